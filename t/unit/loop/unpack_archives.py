"""Makes the archives of unpack_test.c in the directory that is named: good ones with Debian's tar, odd and hostile ones byte by byte."""
import gzip, hashlib, io, os, stat, subprocess, sys, tarfile

out = sys.argv[1]
os.umask(0)


def path(name):
    return os.path.join(out, name)


class Layer:
    """An archive of hand-made entries."""

    def __init__(self, name, fmt=tarfile.PAX_FORMAT):
        self.name, self.tar = name, tarfile.open(path(name), "w", format=fmt)

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.tar.close()

    def add(self, name, type=tarfile.REGTYPE, data=b"", mode=0o644, link="", mtime=1600000000, uid=0, gid=0, pax=None, dev=(0, 0)):
        t = tarfile.TarInfo(name)
        t.type, t.mode, t.linkname, t.mtime, t.uid, t.gid = type, mode, link, mtime, uid, gid
        t.size, t.devmajor, t.devminor = len(data), dev[0], dev[1]
        t.pax_headers = pax or {}
        self.tar.addfile(t, io.BytesIO(data))
        return self

    def dir(self, name, mode=0o755, **k):
        return self.add(name, tarfile.DIRTYPE, mode=mode, **k)

    def symlink(self, name, to):
        return self.add(name, tarfile.SYMTYPE, link=to)

    def hardlink(self, name, to):
        return self.add(name, tarfile.LNKTYPE, link=to)


def source_tree(top):
    def put(name, data=b"x", mode=0o644, uid=0, gid=0, ns=1500000000123456789):
        p = os.path.join(top, name)
        os.makedirs(os.path.dirname(p), exist_ok=True)
        with open(p, "wb") as f:
            f.write(data)
        os.chown(p, uid, gid)
        os.chmod(p, mode)
        os.utime(p, ns=(ns, ns))

    put("etc/passwd", b"root:x:0:0\n")
    put("etc/empty", b"")
    put("bin/su", b"\x7fELF" + bytes(3000), 0o4755)
    put("bin/wall", b"w", 0o2755, 0, 5)
    put("bin/other-owner-suid", b"w", 0o6711, 1000, 1000)
    put("home/u/secret", b"s" * 100, 0o600, 1000, 1001)
    put("home/u/zero-mode", b"z", 0o000, 1000, 1001)
    put("big/five-megabytes", os.urandom(1 << 16) * 80 + b"tail")
    put("names/" + "n" * 255, b"long name")
    put("/".join(["deep" + "d" * 60] * 12) + "/leaf", b"long path")
    put("names/caf\u00e9", b"composed")
    put("names/cafe\u0301", b"decomposed")
    put(os.fsdecode(b"names/latin-\xe9\xff"), b"no utf-8")
    put("names/new\nline", b"newline")
    put("names/ spaces and \"quotes\" \\ back", b"q")
    put("names/.whiteout-not", b"q")
    put("own/huge", b"h", 0o640, 3000000, 4000000000)
    put("old", b"o", ns=-86400 * 10**9)
    put("s/in-setgid", b"g")
    os.makedirs(top + "/s/sub")
    os.chown(top + "/s", 0, 50)
    os.chmod(top + "/s", 0o2775)
    os.makedirs(top + "/tmp")
    os.chmod(top + "/tmp", 0o1777)
    os.makedirs(top + "/closed")
    put("closed/in", b"i")
    os.chmod(top + "/closed", 0o500)
    os.link(top + "/etc/passwd", top + "/etc/passwd-link")
    os.link(top + "/etc/passwd", top + "/zz-link")
    os.symlink("passwd", top + "/etc/relative")
    os.symlink("/usr/../" + "l" * 180, top + "/etc/absolute-and-long")
    os.symlink("caf\u00e9", top + "/names/to-caf\u00e9")
    os.link(top + "/names/cafe\u0301", top + "/names/hard-cafe\u0301")
    os.lchown(top + "/etc/relative", 7, 8)
    os.mkfifo(top + "/fifo", 0o620)
    os.mknod(top + "/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(top + "/block", stat.S_IFBLK | 0o660, os.makedev(259, 70000))
    os.chown(top + "/block", 0, 6)
    with open(top + "/sparse", "wb") as f:
        for at in (1 << 20, 3 << 20, 9 << 20):
            f.seek(at)
            f.write(b"data" * 1024)
        f.truncate(20 << 20)
    with open(top + "/all-hole", "wb") as f:
        f.truncate(8 << 20)
    os.setxattr(top + "/etc/passwd", "user.note", b"bin\x00ary=\n1")
    os.setxattr(top + "/tmp", "user.dir", b"d")
    os.setxattr(top + "/etc/relative", "trusted.link", b"l", follow_symlinks=False)
    os.setxattr(top + "/bin/wall", "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))
    for d, _, _ in os.walk(top, topdown=False):
        os.utime(d, ns=(1400000000987654321, 1400000000987654321))


def debian_tar():
    top = path("source")
    os.mkdir(top)
    source_tree(top)
    for fmt in ("gnu", "pax"):
        cmd = ["tar", "-C", top, "--format=" + fmt, "--sparse", "--numeric-owner", "-cf", path("tree-" + fmt + ".tar"), "."]
        subprocess.run(cmd[:4] + (["--xattrs", "--xattrs-include=*"] if fmt == "pax" else []) + cmd[4:], check=True)
    for v in ("0.0", "0.1"):
        subprocess.run(["tar", "-C", top, "--format=pax", "--sparse-version=" + v, "--sparse", "--xattrs", "--xattrs-include=*",
                        "-cf", path("tree-pax-" + v + ".tar"), "."], check=True)
    plain = open(path("tree-pax.tar"), "rb").read()
    half = len(plain) // 2 + 13
    with open(path("tree-multi.tar.gz"), "wb") as f:
        f.write(gzip.compress(plain[:half]) + gzip.compress(b"") + gzip.compress(plain[half:], 1))
    with open(path("tree-garbage.tar.gz"), "wb") as f:
        f.write(gzip.compress(plain, 1) + b"\0" * 4096 + b"no gzip member")
    parts = [subprocess.run(["zstd", "-qc", "-3"], input=p, stdout=subprocess.PIPE, check=True).stdout for p in (plain[:half], plain[half:])]
    skippable = b"\x53\x2a\x4d\x18\x05\0\0\0hello"
    with open(path("tree-multi.tar.zst"), "wb") as f:
        f.write(skippable + parts[0] + skippable + parts[1] + skippable)
    with open(path("tree-garbage.tar.zst"), "wb") as f:
        f.write(parts[0] + parts[1] + b"\0\0")
    with open(path("tree-trailing.tar"), "wb") as f:
        f.write(plain + b"anything" * 10000)
    with open(path("damaged.tar.gz"), "wb") as f:
        z = bytearray(gzip.compress(plain, 1))
        z[len(z) // 2] ^= 0x55
        f.write(z)
    with open(path("wrong-crc.tar.gz"), "wb") as f:
        z = bytearray(gzip.compress(plain, 1))
        z[-6] ^= 1
        f.write(z)
    with open(path("damaged.tar.zst"), "wb") as f:
        z = bytearray(parts[0])
        z[len(z) // 2:len(z) // 2 + 64] = bytes(64)
        f.write(z)


def layers():
    with Layer("empty.tar"):
        pass
    with Layer("lower.tar") as l:
        l.dir("./", mode=0o711, uid=3).dir("a", mode=0o750, uid=10, gid=20, mtime=1111111111).dir("a/b", mode=0o2701, uid=11, pax={"SCHILY.xattr.user.k": "v"})
        l.dir("hidden", mode=0o700, uid=66).dir("hidden/x", mode=0o700, uid=66).dir("opq/x", mode=0o700, uid=67)
    with Layer("middle.tar") as l:
        l.add(".wh.hidden").add("opq/.wh..wh..opq").dir("only-here", mode=0o511)
    with Layer("upper.tar") as l:
        l.add("a/b/file").add("hidden/x/y").add("opq/x/y").add("only-here/z").add("late/f").dir("late", mode=0o700, uid=5)
    with Layer("whiteouts.tar") as l:
        l.dir("d", mtime=1234567890).add("d/.wh.gone").add("d/kept", data=b"1").add("d/.wh.kept").add("d/.wh.back").add("d/back", data=b"2")
        l.add("d/.wh.dir-after").dir("d/dir-after", mode=0o700).add("d/dir-after/f").dir("d/dir-before").add("d/dir-before/f").add("d/.wh.dir-before")
        l.add("d/.wh.parent").add("d/parent/deep/f").dir("o").add("o/f").add("o/.wh..wh..opq").add("p/.wh..wh..opq").add("p/sub/f")
        l.dir(".wh..wh.plnk").add(".wh..wh.plnk/1.2", data=b"x").add("d/.wh..wh.aufs").add("q/.wh.implied-parent")
    with Layer("opaque-root.tar") as l:
        l.add(".wh..wh..opq").add("f")
    with Layer("duplicates.tar") as l:
        l.add("f", data=b"first, longer").add("f", data=b"second").dir("f-to-d").add("f-to-d/in", data=b"1").add("f-to-d", data=b"now a file")
        l.add("d-from-f", data=b"file").dir("d-from-f", mode=0o711).add("d-from-f/in", data=b"2").dir("d", mode=0o700, uid=4).add("d/keep", data=b"3")
        l.dir("d", mode=0o755, uid=0, mtime=1300000000).symlink("link", "f").add("link", data=b"replaced, f is not").hardlink("hard", "f").add("f", data=b"third")
        l.hardlink("self", "f").hardlink("self", "./self").hardlink("self", "f").add("hard2", data=b"x").hardlink("hard2", "/f").symlink("link2", "a").symlink("link2", "b")
        l.dir("tree").add("tree/a/b/c/d").symlink("tree", "elsewhere")
        l.add("abyss/" + "x/" * 2000 + "f").add("abyss", data=b"filled")
    with Layer("names.tar") as l:
        l.add("/absolute/file", data=b"a").add("./dot/./file", data=b"b").dir("slash///").add("slash//file", data=b"c").hardlink("dot/link", "./absolute/file")
        l.hardlink("dot/link2", "/absolute/file").dir(".", mode=0o751, uid=9)
    with Layer("through-links.tar") as l:
        l.dir("usr").dir("usr/lib", mtime=1222222222).symlink("lib", "usr/lib").add("lib/via-link", data=b"v").add("usr/lib/direct", data=b"d").add("lib/second", data=b"v2")
        l.symlink("var/run", "/run").add("var/run/pid", data=b"1").symlink("up", "../../../../up-target").add("up/f", data=b"u")
    with Layer("escape-link.tar") as l:
        l.symlink("root", "/").add("root/ESCAPED", data=b"e").symlink("up", "../../../../../..").add("up/ESCAPED-2", data=b"e").symlink("r", ".").add("r/r/r/f", data=b"e")
    with Layer("xattrs.tar") as l:
        l.add("f", pax={"SCHILY.xattr.trusted.overlay.redirect": "/etc", "SCHILY.xattr.user.ok": "yes", "SCHILY.xattr.security.selinux": "x:y:z",
                        "SCHILY.xattr.user.overlay.opaque": "y", "SCHILY.xattr.com.apple.x": "y", "SCHILY.acl.access": "user::rw-"})
        l.dir("d", pax={"SCHILY.xattr.trusted.overlay.opaque": "y", "SCHILY.xattr.trusted.ok": "t"})
    with Layer("plain-archive.tar", tarfile.GNU_FORMAT) as l:
        l.add("manifest.json", data=b"[]", mode=0o400, uid=99).dir("blobs", mode=0o500).add("blobs/one", data=b"1").symlink("two", "blobs/one").hardlink("three", "blobs/one")
        l.add("null", tarfile.CHRTYPE, dev=(1, 3)).add(".wh.kept", data=b"w").add("fifo", tarfile.FIFOTYPE)
    with Layer("empty-dirs.tar") as l:
        for i in range(300):
            l.dir("d%d" % i, mode=0o700, mtime=1000000000 + i).add("d%d/f" % i)
        for i in range(300):
            l.add("d%d/again" % i)


def hostile():
    def one(name, n, **k):
        with Layer(name + ".tar") as l:
            l.add(n, **k)

    one("bad-dotdot", n="../../etc/ESCAPED")
    one("bad-dotdot-inside", n="a/b/../../../ESCAPED")
    one("bad-hardlink-dotdot", n="h", type=tarfile.LNKTYPE, link="../../../etc/hostname")
    one("bad-hardlink-outside", n="h", type=tarfile.LNKTYPE, link="/etc/hostname")
    one("bad-root-file", n=".", data=b"x")
    one("bad-component", n="c" * 256)
    one("bad-path", n="/".join(["p" * 100] * 45))
    one("bad-whiteout", n="a/.wh...")
    one("bad-owner", n="f", uid=0xffffffff)
    one("bad-name-newline", n="a\nb/../c")
    with Layer("bad-below-file.tar") as l:
        l.add("f", data=b"x").add("f/below")
    with Layer("bad-link-loop.tar") as l:
        l.symlink("a", "b").symlink("b", "a").add("a/f")
    with Layer("bad-hardlink-dir.tar") as l:
        l.dir("d").hardlink("h", "d")
    with Layer("many.tar", tarfile.USTAR_FORMAT) as l:
        for i in range(5000):
            l.add("d%d/f%d" % (i % 7, i))
    bomb = io.BytesIO()
    with gzip.GzipFile(fileobj=bomb, mode="wb", compresslevel=1) as z:
        t = tarfile.TarInfo("bomb")
        t.size = 64 << 20
        z.write(t.tobuf())
        for _ in range(64):
            z.write(bytes(1 << 20))
        z.write(bytes(1024))
    open(path("bomb.tar.gz"), "wb").write(bomb.getvalue())
    with open(path("bomb-behind.tar.gz"), "wb") as f:
        f.write(gzip.compress(bytes(1024) + bytes(64 << 20), 1))
    good = open(path("names.tar"), "rb").read()
    open(path("bad-checksum.tar"), "wb").write(good[:148] + b"777777\0 " + good[156:])
    open(path("bad-text.tar"), "wb").write(b"this is no archive at all\n" * 100)
    open(path("no-bytes.tar"), "wb").write(b"")
    pax = bytearray(open(path("xattrs.tar"), "rb").read())
    at = pax.index(b"SCHILY") - 3
    pax[at:at + 3] = b"99 "
    open(path("odd-pax.tar"), "wb").write(pax)


def digests():
    for name in sorted(os.listdir(out)):
        if ".tar" in name:
            with open(path(name + ".sha256"), "w") as f:
                f.write(hashlib.sha256(open(path(name), "rb").read()).hexdigest())


debian_tar()
layers()
hostile()
digests()
