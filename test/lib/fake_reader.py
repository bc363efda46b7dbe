#!/usr/bin/python3
"""fake_reader.py: stands in for pg-wal-read: sends a captured wal stream instead of a server's.

    fake_reader.py STREAM CONFIRMED_LSN --ackd SOCKET [what walpipe run gives pg-wal-read] ...

Says to ackd what pg-wal-read would say of the slot in the stream's hello, whose
confirmed_flush_lsn is CONFIRMED_LSN (X/Y). Writes the stream from there on, waits until ackd has
confirmed all of it and ends with 0; with 100 when ackd refuses."""

import os
import socket
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import stream  # noqa: E402


def parse_lsn(text):
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def from_position(frames, confirmed):
    """What a server sends when it begins there: no transaction that committed before; a relation that
    was described in one is described in the first that is sent."""
    skipping, relations = False, []
    for f in frames:
        message = f[4] if f[0] == 1 else b" "
        if message[:1] == b"B":
            skipping = struct.unpack_from(">Q", message, 1)[0] < confirmed
        if not skipping:
            yield f
            if message[:1] == b"B":
                yield from relations
                relations = []
        elif message[:1] == b"R":
            relations.append(f)
        elif message[:1] == b"C":
            skipping = False


class Ack:
    def __init__(self, path, run_id):
        self.run_id = run_id
        self.incoming = stream.Incoming()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)

    def say(self, kind, *fields):
        self.socket.sendall(stream.frame(kind, self.run_id, *fields))

    def hear(self):
        while (elements := self.incoming.frame()) is None:
            data = self.socket.recv(65536)
            if not data:
                sys.exit(111)
            self.incoming.add(data)
        return elements

    def hear_until(self, kind):
        while (elements := self.hear())[0] != kind:
            if elements[0] == stream.REFUSED:
                sys.exit(100)


def main():
    path, confirmed = sys.argv[1], parse_lsn(sys.argv[2])
    with open(path, "rb") as f:
        frames = list(stream.read_frames(f))
    # hello: magic, version, stream, program, run id, system, timeline, database, slot,
    # publications, server version, protocol, start LSN ...
    frames[0] = [*frames[0][:13], confirmed, *frames[0][14:]]
    run_id, system, timeline, database, slot, _, version = frames[0][5:12]
    ack = Ack(sys.argv[sys.argv.index("--ackd") + 1], run_id)
    ack.say(stream.SOURCE, system, timeline, database, slot, version, confirmed, 60000, 0, 0)
    ack.hear_until(stream.ACCEPTED)
    ack.say(stream.RECEIVED, max(f[2] for f in frames if f[0] == 1), False)
    with os.fdopen(1, "wb") as out:
        for elements in from_position(frames, confirmed):
            out.write(stream.frame(*elements))
    ack.say(stream.DRAINING)
    ack.hear_until(stream.DRAINED)


main()
