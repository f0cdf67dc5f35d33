#!/usr/bin/python3
"""filters.py dump PID: the seccomp filter of a process, as hexadecimal text, by PTRACE_SECCOMP_GET_FILTER.
filters.py same A B: whether two filters give the same answer to every system call number and a choice of arguments."""
import ctypes, os, struct, sys

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
SEIZE, INTERRUPT, DETACH, GET_FILTER = 0x4206, 0x4207, 17, 0x420C


def ptrace(what, pid, addr=0, data=0):
    r = libc.ptrace(what, pid, addr, data)
    if r < 0:
        raise OSError(ctypes.get_errno(), f"ptrace {what:#x}")
    return r


def dump(pid):
    ptrace(SEIZE, pid)
    ptrace(INTERRUPT, pid)
    os.waitpid(pid, 0x40000000)  # __WALL
    n = ptrace(GET_FILTER, pid, 0, 0)
    program = ctypes.create_string_buffer(n * 8)
    ptrace(GET_FILTER, pid, 0, ctypes.addressof(program))
    ptrace(DETACH, pid)
    return program.raw.hex()


def run(program, data):
    """The return value of a filter for a struct seccomp_data."""
    a, at, memory = 0, 0, [0] * 16
    x = 0
    while True:
        code, jt, jf, k = program[at]
        at += 1
        kind = code & 7
        if kind == 6:  # RET
            return a if code & 0x18 == 0x10 else k
        if kind == 0:  # LD
            mode = code & 0xE0
            a = {0x20: lambda: struct.unpack_from("<I", data, k)[0], 0: lambda: k, 0x60: lambda: memory[k]}[mode]()
        elif kind == 2:  # ST
            memory[k] = a
        elif kind == 4:  # ALU
            other = x if code & 8 else k
            a = {0x50: a & other, 0x40: a | other}[code & 0xF0]
        elif kind == 5:  # JMP
            op = code & 0xF0
            if op == 0:
                at += k
                continue
            true = {0x10: a == k, 0x20: a > k, 0x30: a >= k, 0x40: bool(a & k)}[op]
            at += jt if true else jf
        else:
            raise ValueError(f"instruction {code:#x}")


def parse(text):
    raw = bytes.fromhex(text)
    return [struct.unpack_from("<HBBI", raw, i) for i in range(0, len(raw), 8)]


def same(one, two):
    programs = parse(one), parse(two)
    numbers = [*range(0, 620), *range(0x40000000, 0x4000026C), 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
    arches = [0xC000003E, 0x40000003, 0xC00000B7, 0x40000028]  # x86_64, i386, aarch64, arm
    values = [0, 1, 8, 0x20000, 0x7E020000, 0xFFFFFFFF, 0x100000000, (1 << 64) - 1]
    differ = 0
    for arch in arches:
        for n in numbers:
            for v in values:
                data = struct.pack("<IIQ6Q", n, arch, 0, *[v] * 6)
                if run(programs[0], data) != run(programs[1], data):
                    differ += 1
                    if differ < 5:
                        print(f"call {n:#x} of {arch:#x} with {v:#x}: "
                              f"{run(programs[0], data):#x} and {run(programs[1], data):#x}")
    return differ == 0


if sys.argv[1] == "dump":
    print(dump(int(sys.argv[2])))
else:
    sys.exit(0 if same(open(sys.argv[2]).read(), open(sys.argv[3]).read()) else 1)
