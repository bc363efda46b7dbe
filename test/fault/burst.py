#!/usr/bin/python3
"""burst.py PROGRAM ARG...: runs the program and, whenever it sleeps, reads its standard output as
fast as it writes, until 16 MiB have come; ends with 1 when nothing comes for 5 seconds."""

import os
import select
import subprocess
import sys
import time



def state(pid):
    with open("/proc/%d/stat" % pid) as f:
        return f.read().rsplit(")", 1)[1].split()[0]


def main():
    fd, theirs = os.pipe()
    program = subprocess.Popen(sys.argv[1:], stdout=theirs)
    os.close(theirs)
    total = 0
    try:
        while total < 16 << 20:
            if not select.select([fd], [], [], 5)[0]:
                sys.exit("nothing came for 5 s, after %d bytes" % total)
            asleep = 0
            while asleep < 20:
                time.sleep(0.001)
                asleep = asleep + 1 if state(program.pid) == "S" else 0
            # while it writes: then it gets rid of more than the pipe holds
            while select.select([fd], [], [], 0)[0]:
                data = os.read(fd, 1 << 18)
                if not data:
                    sys.exit("it ended, after %d bytes" % total)
                total += len(data)
    finally:
        program.kill()
        program.wait()


if __name__ == "__main__":
    main()
