#!/usr/bin/python3
"""Makes the layers of the images that `pull` pulls, always the same bytes, as tar files: images.py DIRECTORY.

large-1 to large-5: binaries and texts, 208 MB that gzip makes about half of; many-1 to many-40: a few files each;
small-1: 50,000 files of some hundred bytes.
"""
import io
import random
import sys
import tarfile

TEXT = b"".join(b"%06d the quick brown fox jumps over the lazy dog\n" % i for i in range(2000))


def content(rng, size):
    """Half noise, half text, in pieces as they follow each other in programs."""
    out = bytearray()
    while len(out) < size:
        out += rng.randbytes(2048)
        start = rng.randrange(len(TEXT) - 2048)
        out += TEXT[start : start + 2048]
    return bytes(out[:size])


def layer(path, rng, top, files, size):
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for d in range((files + 99) // 100):
            entry = tarfile.TarInfo("%s/d%03d" % (top, d))
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for f in range(files):
            data = content(rng, size(rng))
            entry = tarfile.TarInfo("%s/d%03d/f%05d" % (top, f // 100, f))
            entry.size, entry.mode, entry.mtime = len(data), 0o644, 1700000000
            tar.addfile(entry, io.BytesIO(data))


def main(directory):
    rng = random.Random(1)
    for i in range(1, 6):
        layer("%s/large-%d.tar" % (directory, i), rng, "large%d" % i, 2300, lambda r: int(r.paretovariate(1.16) * 3400) % 2000000)
    for i in range(1, 41):
        layer("%s/many-%d.tar" % (directory, i), rng, "many%d" % i, 20, lambda r: r.randrange(8192))
    layer("%s/small-1.tar" % directory, rng, "small", 50000, lambda r: r.randrange(600))


main(sys.argv[1])
