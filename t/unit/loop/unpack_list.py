"""Lists a tree, a line an entry, with everything that a layer can say about it: for comparison. Usage: unpack_list.py DIR [no-ns] [no-xattrs]"""
import hashlib, os, stat, sys

top, seconds, xattrs = os.fsencode(sys.argv[1]), "no-ns" in sys.argv, "no-xattrs" not in sys.argv
first = {}


def line(rel, p):
    s = os.lstat(p)
    mtime = s.st_mtime_ns // 10**9 if seconds else s.st_mtime_ns
    words = [ascii(rel), oct(s.st_mode), s.st_uid, s.st_gid, mtime]
    if stat.S_ISREG(s.st_mode):
        words += [s.st_size, hashlib.sha256(open(p, "rb").read()).hexdigest()[:16], first.setdefault(s.st_ino, ascii(rel))]
    elif stat.S_ISLNK(s.st_mode):
        words += [ascii(os.readlink(p))]
    elif stat.S_ISCHR(s.st_mode) or stat.S_ISBLK(s.st_mode):
        words += [os.major(s.st_rdev), os.minor(s.st_rdev)]
    for x in sorted(os.listxattr(p, follow_symlinks=False)) if xattrs else []:
        if x != "security.selinux":
            words += [x, os.getxattr(p, x, follow_symlinks=False)]
    print(*words)


line(b".", top)
for d, dirs, files in os.walk(top):
    dirs.sort()
    for n in sorted(dirs + files):
        line(os.path.relpath(os.path.join(d, n), top), os.path.join(d, n))
