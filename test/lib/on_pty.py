#!/usr/bin/python3
"""on_pty.py: runs a command in a session of its own on a new terminal, as a person would.

    on_pty.py OUTPUT COMMAND [ARGUMENT ...]

What the command writes to the terminal goes to the file OUTPUT. SIGUSR1 presses Ctrl-C: the
terminal sends SIGINT to the whole foreground process group. Ends with the command's exit code, 128
and the signal's number if one killed it."""

import os
import pty
import signal
import sys


def main():
    output = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    pid, terminal = pty.fork()
    if pid == 0:
        # a shell ignores it for what it starts in the background
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.execvp(sys.argv[2], sys.argv[2:])
    signal.signal(signal.SIGUSR1, lambda *_: os.write(terminal, b"\x03"))
    signal.signal(signal.SIGTERM, lambda *_: os.killpg(pid, signal.SIGKILL))
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # nobody has the terminal open any more
            break
        if not data:
            break
        os.write(output, data)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    sys.exit(status if status >= 0 else 128 - status)


main()
