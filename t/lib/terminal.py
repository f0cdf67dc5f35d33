#!/usr/bin/python3
"""Runs a program in a terminal and types into it.

Usage: terminal.py STEPS PROGRAM [ARGUMENT]...
STEPS is JSON, [[WAIT FOR, ACTION], ...]: when the text has come, after that of the step before, a string is typed,
[ROWS, COLUMNS] makes the terminal that large, {"signal": N} sends one to the program, null does nothing.
Prints "exit CODE TERMINAL", TERMINAL being cooked or raw as the program left it, then all the output.
"""
import fcntl, json, os, pty, select, struct, subprocess, sys, termios, time

LIMIT = 20


def resize(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def read(fd, out, end):
    if not select.select([fd], [], [], max(0, end - time.monotonic()))[0]:
        sys.exit(f"waited in vain; the output so far: {out!r}")
    return out + os.read(fd, 65536)


def act(fd, program, action):
    if isinstance(action, str):
        os.write(fd, action.encode())
    elif isinstance(action, list):
        resize(fd, *action)
    elif action:
        program.send_signal(action["signal"])


def main():
    master, slave = pty.openpty()
    resize(master, 24, 80)
    program = subprocess.Popen(sys.argv[2:], stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                               preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    out, seen, end = b"", 0, time.monotonic() + LIMIT
    for wanted, action in json.loads(sys.argv[1]):
        while (at := out.find(wanted.encode(), seen)) < 0:
            out = read(master, out, end)
        seen = at + len(wanted)
        act(master, program, action)
    code = None
    while code is None or select.select([master], [], [], 0)[0]:
        if select.select([master], [], [], 0.01)[0]:
            out = read(master, out, end)
        elif time.monotonic() > end:
            program.kill()
            sys.exit(f"the program does not end; its output: {out!r}")
        code = program.poll() if code is None else code
    cooked = termios.tcgetattr(slave)[3] & (termios.ICANON | termios.ECHO | termios.ISIG)
    print(f"exit {code} {'cooked' if cooked == termios.ICANON | termios.ECHO | termios.ISIG else 'raw'}")
    print(out.decode(errors="replace"))


main()
