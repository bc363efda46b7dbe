"""What is around route in route-copy.bats: the program before it, pg-table-read and the workers, and
route itself as a child. Frames are in docs/events.7."""

import os
import re
import select
import subprocess
import sys
import tempfile
import time

from stream import *  # noqa: E402,F403

PATIENCE = 10.0
BIN = os.environ.get("WALPIPE_BIN", "build/asan/bin")
HELLO, END, COPYTABLE, RANGE, ROWS, ABSENT, RANGE_END, HORIZON, TOUCHED, TABLE_END = \
    0, 3, 32, 33, 34, 35, 36, 37, 38, 39
RELATION, BEGIN, INSERT, UPDATE, TRUNCATE, COMMIT, WATERMARK, BARRIER, LAYOUT = \
    16, 17, 19, 20, 22, 24, 25, 26, 27


class Output:
    """What a worker gets."""

    def __init__(self, fd):
        self.fd = fd
        self.incoming = Incoming()
        self.closed = False

    def next(self, seconds=PATIENCE):
        """The next frame as a list; None when none came in time, or the stream is at its end."""
        deadline = time.monotonic() + seconds
        while True:
            elements = self.incoming.frame()
            if elements is not None or self.closed:
                return elements
            left = deadline - time.monotonic()
            if not select.select([self.fd], [], [], max(left, 0))[0]:
                return None
            data = os.read(self.fd, 1 << 20)
            self.closed = not data
            self.incoming.add(data)

    def expect(self, *kinds):
        """The next frames, which are of these types; the last one is returned."""
        for kind in kinds:
            got = self.next()
            assert got is not None, "no frame of type %d came" % kind
            assert got[0] == kind, "%r came, type %d was awaited" % (got, kind)
        return got

    def nothing(self, seconds=0.3):
        got = self.next(seconds)
        assert got is None, "%r came, nothing was awaited" % (got,)

    def rest(self):
        """All up to the end of the stream."""
        frames = []
        while (got := self.next()) is not None:
            frames.append(got)
        assert self.closed, "the stream does not end"
        return frames


class Route:
    """sinks: (name, number of workers, options...) each. Those in version 2 say --stream 2."""

    def __init__(self, *sinks, copy=True, program=None):
        self.outputs, theirs = {}, []
        argv = [program or os.path.join(BIN, "route"), "--log-format", "json"]
        stdin, self.input = os.pipe()
        theirs.append(stdin)
        self.copy_input = -1
        if copy:
            fd, self.copy_input = os.pipe()
            theirs.append(fd)
            argv += ["--copy", "/dev/fd/%d" % fd]
        for name, workers, *options in sinks:
            argv += ["--sink", name, *options]
            for n in range(workers):
                ours, fd = os.pipe()
                theirs.append(fd)
                self.outputs[name, n] = Output(ours)
                argv += ["--to", "/dev/fd/%d" % fd]
        self.log_path = tempfile.mktemp(prefix="route-log.")
        with open(self.log_path, "w") as log:
            self.process = subprocess.Popen(argv, stdin=stdin, stderr=log, pass_fds=theirs)
        for fd in theirs:
            os.close(fd)

    def worker(self, sink="dst", shard=0):
        return self.outputs[sink, shard]

    def workers(self):
        return list(self.outputs.values())

    def say(self, *parts):
        """The program before route writes this."""
        self._write(self.input, b"".join(parts))

    def copy(self, *parts):
        """pg-table-read writes this."""
        self._write(self.copy_input, b"".join(parts))

    @staticmethod
    def _write(fd, data):
        while data:
            data = data[os.write(fd, data):]

    def begin(self, **fields):
        """Both hellos, which the workers have then."""
        self.say(hello(**fields))
        self.copy(hello(version=2, program="pg-table-read", **fields))
        for (_, shard), worker in self.outputs.items():
            worker.hello = worker.expect(HELLO)
            if worker.hello[16] > 1:
                worker.expect(LAYOUT)
        return self

    def close_input(self):
        os.close(self.input)
        self.input = -1

    def close_copy(self):
        os.close(self.copy_input)
        self.copy_input = -1

    def log(self):
        with open(self.log_path) as log:
            return log.read()

    def wait_log(self, pattern):
        deadline = time.monotonic() + PATIENCE
        while not re.search(pattern, self.log()):
            assert time.monotonic() < deadline, "%r is not in the log:\n%s" % (pattern, self.log())
            time.sleep(0.02)

    def exit(self, code, pattern=""):
        got = self.process.wait(PATIENCE)
        assert got == code, "exit %d, not %d:\n%s" % (got, code, self.log())
        assert re.search(pattern, self.log()), "%r is not in the log:\n%s" % (pattern, self.log())

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if error[0] is not None:
            sys.stderr.write(self.log())
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for fd in [self.input, self.copy_input] + [w.fd for w in self.outputs.values()]:
            if fd >= 0:
                os.close(fd)
        os.unlink(self.log_path)


# A table of one text key.
COLS = [col("id", key=True), col("v")]
T = (1, "public", "t", COLS)


def keys_of(shard, shards, count=4, relid=1):
    """Keys whose rows go to that worker."""
    found, n = [], 0
    while len(found) < count:
        if key_hash(relid, COLS, [str(n)]) % shards == shard:
            found.append(str(n))
        n += 1
    return found


def hashed(kind, life, number, rows_, columns=COLS, relid=1, identity="d"):
    """The frame rows or absent as pg-table-read writes it."""
    return rows(life, number, rows_, [key_hash(relid, columns, r, identity) for r in rows_], kind)


def whole_range(life, number, rows_, *, table=T, sinks=(), kind="b", absent_=(), identity="d"):
    """A range, with one frame of rows, and one of absent keys if there are any."""
    relid, _, _, columns = table
    parts = [range_(life, number, *table, identity=identity, kind=kind, sinks=sinks)]
    if rows_:
        parts.append(hashed(ROWS, life, number, rows_, columns, relid, identity))
    if absent_:
        parts.append(hashed(ABSENT, life, number, absent_, columns, relid, identity))
    return b"".join(parts) + range_end(life, number, len(rows_) + len(absent_))
