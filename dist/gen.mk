# Tables that are made at build time, included by the .c file that uses them; the Makefile makes them before objects.
SECCOMP_PROFILE ?= /usr/share/containers/seccomp.json
GEN_TABLES += $(BUILD)/gen/seccomp_table.h

$(BUILD)/gen/seccomp_table.h: dist/seccomp_table.jq $(SECCOMP_PROFILE)
	@mkdir -p $(@D)
	jq -r -f dist/seccomp_table.jq $(SECCOMP_PROFILE) >$@.tmp
	mv $@.tmp $@
