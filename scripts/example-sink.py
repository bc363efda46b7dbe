#!/usr/bin/python3
"""example-sink.py FILE: a complete sink for walpipe, to read and to start your own from.

Appends a JSON line to FILE for each transaction that changed something:
    {"commit_lsn": "0/2000", "time": "...", "xid": 7, "changes": [
        {"op": "insert", "table": "public.t", "new": {"id": "1"}}, ...], "end_lsn": "0/2028"}
FILE.state says up to which LSN, and which byte of FILE, all is durable; what stands behind it is cut
off at a start, because it will come again: each transaction is in FILE exactly once.

In the config: type = exec, command = exec /usr/bin/python3 .../example-sink.py /var/lib/audit.json
All that it does follows from frame(7), events(7) and ack(7). Needs python3-msgpack."""

import datetime
import json
import os
import select
import signal
import socket
import struct
import sys
import time

import msgpack

FRAME_MAX = (1 << 30) + (64 << 10)
UNCHANGED = msgpack.ExtType(1, b"")  # a TOASTed value that was not sent; it is not NULL
BATCH_CHANGES = 10000
EPOCH = datetime.datetime(2000, 1, 1, tzinfo=datetime.timezone.utc)


class Refused(Exception):
    """Only a person can mend it: exit 100, nobody starts us again."""


class Gone(Exception):
    """A neighbour or the system failed: exit 111, all start again from the slot."""


def lsn_text(lsn):
    return "%X/%X" % (lsn >> 32, lsn & 0xFFFFFFFF)


class Frames:
    """Reads frames: a 4-byte big-endian length and a msgpack array."""

    def __init__(self, fd, peer):
        self.fd, self.peer, self.data = fd, peer, b""

    def next(self):
        """The next whole frame as a list, or None: then fill() first."""
        if len(self.data) < 4:
            return None
        end = 4 + struct.unpack_from(">I", self.data)[0]
        if not 4 < end <= 4 + FRAME_MAX:
            raise Refused("the input is not walpipe's event stream")
        if len(self.data) < end:
            return None
        body, self.data = self.data[4:end], self.data[end:]
        # a source in SQL_ASCII sends any bytes: surrogateescape keeps them
        return msgpack.unpackb(body, unicode_errors="surrogateescape")

    def fill(self):
        chunk = os.read(self.fd, max(1 << 18, len(self.data)))
        if not chunk:
            raise Gone(self.peer + " is gone")
        self.data += chunk


class Ack:
    """ackd's socket. Every message carries the run id from hello."""

    def __init__(self, run_id):
        self.run_id, self.socket = run_id, socket.socket(socket.AF_UNIX)
        self.socket.connect(os.environ["WALPIPE_ACKD"])
        self.answers = Frames(self.socket.fileno(), "ackd")

    def say(self, kind, *elements):
        body = msgpack.packb([kind, self.run_id, *elements])
        self.socket.sendall(struct.pack(">I", len(body)) + body)

    def hear(self):
        while (answer := self.answers.next()) is None:
            self.answers.fill()
        return answer


class Target:
    """FILE and FILE.state. reached: durable up to here; size: of FILE's whole transactions."""

    def __init__(self, path, source):
        self.path, self.source, self.reached, self.size = path, source, 0, 0
        self.file = open(path, "ab")
        if os.path.exists(path + ".state"):
            with open(path + ".state") as f:
                state = json.load(f)
            if state["source"] != source:  # LSNs of two servers cannot be compared
                raise Refused(f"{path} belongs to {state['source']}, the stream is {source}'s")
            self.reached, self.size = state["reached"], state["size"]
        if self.file.tell() < self.size:
            raise Refused(f"{path} is shorter than {path}.state says: was it replaced?")
        self.file.truncate(self.size)

    def make_durable(self, reached):
        """FILE first, then the state that speaks of it, replaced in one step."""
        self.file.flush()
        os.fsync(self.file.fileno())
        with open(self.path + ".state.new", "w") as f:
            json.dump({"source": self.source, "reached": reached, "size": self.size}, f)
            f.flush()
            os.fsync(f.fileno())
        os.rename(self.path + ".state.new", self.path + ".state")
        folder = os.open(os.path.dirname(os.path.abspath(self.path)), os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        self.reached = reached


class Sink:
    def __init__(self, path, hello):
        _, magic, version, stream, _, run_id, system, _, database, slot = hello[:10]
        name, shard, shards = hello[14:17]
        if (magic, version, stream) != ("walpipe", 1, "event"):
            raise Refused("the input is not an event stream of format 1")
        if shards != 1:  # several workers would have to stop at barriers, inside transactions
            raise Refused("this sink keeps whole transactions: set shards = 1")
        self.target = Target(path, f"{system}/{database}/{slot}")
        self.position = self.target.reached  # end LSN or watermark that came last
        self.tables, self.begin, self.count, self.unreported = {}, None, 0, 0
        self.ack = Ack(run_id)
        self.ack.say(8, "example-sink", name, shard, shards, self.target.reached)  # register
        answer = self.ack.hear()
        if answer[0] != 32:  # not accepted
            raise Refused("ackd refused: " + " ".join(answer[2:4]))

    def flush(self):
        """Makes all up to the last commit or watermark durable, and only then reports it."""
        if self.position > self.target.reached:
            start = time.monotonic()
            self.target.make_durable(self.position)
            micros = int((time.monotonic() - start) * 1e6)
            self.ack.say(9, self.position, self.unreported, self.unreported, micros)  # reached
            self.unreported = 0

    def row(self, relid, values, only_key=False):
        """By column name; what was not sent is left out."""
        return {name: {"binary": value.hex()} if isinstance(value, bytes) else value
                for (name, key, *_), value in zip(self.tables[relid][1], values)
                if value != UNCHANGED and (key or not only_key)}

    def change(self, op, table, **rows):
        """Adds to the open transaction's line. A row counts also when it is a replay."""
        self.count += 1
        _, commit_lsn, micros, xid = self.begin
        if commit_lsn < self.target.reached:
            return
        if self.count == 1:
            when = (EPOCH + datetime.timedelta(microseconds=micros)).isoformat()
            head = json.dumps({"commit_lsn": lsn_text(commit_lsn), "time": when, "xid": xid})
            self.target.file.write(head[:-1].encode() + b', "changes": [')
        line = json.dumps({"op": op, "table": table, **rows})
        self.target.file.write((b", " if self.count > 1 else b"") + line.encode())
        self.unreported += 1

    def commit(self, commit_lsn, end_lsn, events):
        if events != self.count or commit_lsn != self.begin[1]:
            raise Gone(f"the transaction at {lsn_text(commit_lsn)} is not whole")
        if self.count > 0 and commit_lsn >= self.target.reached:
            self.target.file.write(b'], "end_lsn": "%s"}\n' % lsn_text(end_lsn).encode())
            self.target.size = self.target.file.tell()
        self.begin, self.position = None, max(self.position, end_lsn)
        if self.unreported >= BATCH_CHANGES:
            self.flush()

    def take(self, e):
        """One frame of events(7)."""
        kind = e[0]
        if kind == 16:  # relation: what comes last replaces what was known
            self.tables[e[1]] = (e[3] + "." + e[4], e[5])
        elif kind == 17:
            self.begin, self.count = e, 0
        elif kind == 19:
            self.change("insert", self.tables[e[2]][0], new=self.row(e[2], e[4]))
        elif kind == 20:
            old = {} if e[5] is None else {"old": self.row(e[2], e[6], only_key=e[5] == "K")}
            self.change("update", self.tables[e[2]][0], **old, new=self.row(e[2], e[7]))
        elif kind == 21:
            self.change("delete", self.tables[e[2]][0], old=self.row(e[2], e[5], e[4] == "K"))
        elif kind == 22:
            self.change("truncate", [self.tables[relid][0] for relid in e[3]])
        elif kind == 24:
            self.commit(e[1], e[2], e[4])
        elif kind == 25:  # watermark: to be acked like a commit
            self.position = max(self.position, e[1])
        elif kind not in (18, 23):  # origin and message say nothing to us
            raise Refused(f"unknown event of type {kind}")


def run(path):
    stdin, sink = Frames(0, "the program before this one"), None
    while True:
        event = stdin.next()
        if event is None:
            if sink and not select.select([0], [], [], 0)[0]:
                sink.flush()  # nothing more to do: the source shall not wait
            if sink and sink.ack.socket in select.select([0, sink.ack.socket], [], [])[0]:
                raise Gone("ackd is gone")  # it says nothing unasked
            stdin.fill()
        elif sink is None:
            sink = Sink(path, event)
        elif event[0] == 3:  # end: a transaction that is open now will come again
            sink.flush()
            sink.ack.say(13)  # finished
            return 0
        else:
            sink.take(event)


def main():
    # SIGTERM to the whole process group means "drain": the end frame ends us; a second one kills.
    for number in signal.SIGTERM, signal.SIGINT:
        signal.signal(number, lambda n, _: signal.signal(n, signal.SIG_DFL))
    try:
        if len(sys.argv) != 2 or "WALPIPE_ACKD" not in os.environ:
            raise Refused("usage: example-sink.py FILE, as an exec sink of walpipe")
        return run(sys.argv[1])
    except (Refused, LookupError, TypeError, ValueError) as e:
        code, why = 100, e
    except (Gone, OSError) as e:
        code, why = 111, e
    print(json.dumps({"level": "error", "program": "example-sink", "message": str(why),
                      "exit_code": code}), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
