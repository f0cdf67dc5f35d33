# `make install`: DESTDIR= for packages, PREFIX= (/usr/local), SYSCONFDIR= (/etc). Starts and enables nothing.
SYSCONFDIR ?= /etc
SBINDIR    ?= $(PREFIX)/sbin
BINDIR     ?= $(PREFIX)/bin
LIBEXECDIR ?= $(PREFIX)/libexec/cricket
UNITDIR    ?= $(PREFIX)/lib/systemd/system
MANDIR     ?= $(PREFIX)/share/man/man8
COMPLDIR   ?= $(PREFIX)/share/bash-completion/completions

install: bins
	install -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBEXECDIR) $(DESTDIR)$(UNITDIR) $(DESTDIR)$(MANDIR) $(DESTDIR)$(COMPLDIR) \
	  $(DESTDIR)$(SYSCONFDIR)/cricket
	install -m 0755 $(BUILD)/cricketd $(DESTDIR)$(SBINDIR)/cricketd
	install -m 0755 $(BUILD)/cricket $(DESTDIR)$(BINDIR)/cricket
	install -m 0755 $(BUILD)/cricket-keeper $(BUILD)/cricket-unpack $(BUILD)/cricket-pause $(BUILD)/cricket-enter $(DESTDIR)$(LIBEXECDIR)/
	sed 's|@SBINDIR@|$(SBINDIR)|g' dist/cricketd.service > $(BUILD)/cricketd.service
	install -m 0644 $(BUILD)/cricketd.service $(DESTDIR)$(UNITDIR)/cricketd.service
	install -m 0644 dist/cricket.8 dist/cricketd.8 $(DESTDIR)$(MANDIR)/
	install -m 0644 dist/cricket.bash $(DESTDIR)$(COMPLDIR)/cricket
	$(BUILD)/cricketd config default | sed -e 's|^helper_dir: .*|helper_dir: $(LIBEXECDIR)|' -e '/^[^#]/s/^/#/' > $(BUILD)/config.yaml.example
	install -m 0644 $(BUILD)/config.yaml.example $(DESTDIR)$(SYSCONFDIR)/cricket/config.yaml.example

uninstall:
	rm -f $(DESTDIR)$(SBINDIR)/cricketd $(DESTDIR)$(BINDIR)/cricket $(DESTDIR)$(UNITDIR)/cricketd.service \
	  $(DESTDIR)$(MANDIR)/cricket.8 $(DESTDIR)$(MANDIR)/cricketd.8 $(DESTDIR)$(COMPLDIR)/cricket $(DESTDIR)$(SYSCONFDIR)/cricket/config.yaml.example \
	  $(addprefix $(DESTDIR)$(LIBEXECDIR)/,cricket-keeper cricket-unpack cricket-pause cricket-enter)
	-rmdir $(DESTDIR)$(LIBEXECDIR)
.PHONY: uninstall
