/*
 * A program's file on a read-only mount that only its descriptor holds.
 *
 * crun makes sure that no container can write to the host's crun through /proc/PID/exe (CVE-2019-5736): unless it finds its
 * own file sealed or on a read-only mount, it makes such a mount and runs itself again from there, and so is loaded and
 * linked twice for each command. Started from here, it finds what it wants. For crun alone: others look at more.
 *
 * Without libc's heap and stdio: cricket-keeper has it as well.
 */
#pragma once

/*
 * A descriptor (close-on-exec) for execveat(2) or /proc/self/fd/N, or a negative errno: -ENOEXEC for what is no ELF file (a
 * script's interpreter could not open it), -ENOSYS before Linux 5.12, -EPERM without CAP_SYS_ADMIN. Then run it by its path.
 */
int program_mount(const char *path);
