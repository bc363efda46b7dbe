#!/usr/bin/python3
"""exec_sink.py FILE: a sink for the tests, written from docs/events.7 and docs/ack.7 alone: what an
exec sink in another language has to do.

Every change becomes a line "COMMIT_LSN ORDINAL OPERATION TABLE VALUES" of FILE, every commit a line
"commit END_LSN", every watermark a line "watermark LSN"; FILE is this sink's target and holds its progress: a start throws an unfinished
transaction's lines away, and transactions that are there are skipped."""

import json
import os
import signal
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from stream import UNCHANGED, frame, read_frames  # noqa: E402


def recover(path):
    """The target's file, opened behind its last commit, and that commit's end LSN."""
    target = open(path, "a+b")
    target.seek(0)
    good, progress = 0, 0
    for line in target:
        if line.startswith((b"commit ", b"watermark ")) and line.endswith(b"\n"):
            good, progress = target.tell(), int(line.split()[1])
    target.truncate(good)
    return target, progress


class Ack:
    def __init__(self, run_id):
        self.run_id = run_id
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(os.environ["WALPIPE_ACKD"])
        self.answers = self.socket.makefile("rb")

    def say(self, type_, *elements):
        self.socket.sendall(frame(type_, self.run_id, *elements))

    def hear(self):
        return next(read_frames(self.answers))

    def register(self, sink, shard, shards, progress):
        self.say(8, "exec_sink", sink, shard, shards, progress)
        answer = self.hear()
        if answer[0] != 32:
            sys.exit("ackd refused: %r" % (answer,))


def values(row):
    return json.dumps([None if v is None else "<unchanged>" if v == UNCHANGED else v for v in row])


def main():
    target, progress = recover(sys.argv[1])
    tables, ack, skipping, lines, events = {}, None, False, [], 0
    for e in read_frames(sys.stdin.buffer):
        kind = e[0]
        if kind == 0:
            assert e[14] == os.environ["WALPIPE_SINK"]
            assert e[15] == int(os.environ["WALPIPE_SHARD"])
            ack = Ack(e[5])
            ack.register(e[14], e[15], e[16], progress)
        elif kind == 16:
            tables[e[1]] = e[3] + "." + e[4]
        elif kind == 17:
            commit_lsn, skipping, lines, events = e[1], e[1] < progress, [], 0
        elif kind in (19, 20, 21, 22):
            events += 1
            operation, ordinal, relids, row = {
                19: lambda: ("insert", e[3], [e[2]], e[4]),
                20: lambda: ("update", e[3], [e[2]], e[7]),
                21: lambda: ("delete", e[3], [e[2]], e[5]),
                22: lambda: ("truncate", e[1], e[3], []),
            }[kind]()
            for relid in relids:
                lines.append("%d %d %s %s %s\n" % (commit_lsn, ordinal, operation, tables[relid],
                                                   values(row)))
        elif kind == 24:
            assert e[4] == events, "lost a change"
            if not skipping:
                target.write("".join(lines).encode() + b"commit %d\n" % e[2])
                target.flush()
            ack.say(9, e[2], 0 if skipping else events, 0 if skipping else events, 1)
        elif kind == 25:
            # progress that leaves out a confirmed watermark lies behind the slot: ackd refuses it
            target.write(b"watermark %d\n" % e[1])
            target.flush()
            ack.say(9, e[1], 0, 0, 0)
        elif kind == 26:
            ack.say(11, e[1], e[2])
            assert ack.hear()[0] == 36
        elif kind == 3:
            ack.say(13)
            return 0
    return 111


if __name__ == "__main__":
    for number in (15, 2):
        signal.signal(number, signal.SIG_IGN)
    sys.exit(main())
