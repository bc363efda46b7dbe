#!/usr/bin/python3
"""fake_ackd.py: answers on the ack socket (docs/ack.7) and prints what it is told.

    fake_ackd.py SOCKET [--refuse MESSAGE] [--silent-barriers] [--quit-after N] [--flush LSN]

Every message that comes becomes one JSON line on stdout, as {"from": 1, "message": "reached",
"run_id": "00..", "lsn": 8232, ...}; "from" counts connections; {"from": 1, "message": "closed"}
ends one. Workers and pg-wal-read are accepted (with --refuse: refused). A barrier is let go when
all shards of the sink have reached it: its applier first, then, when that is done, the others;
with --silent-barriers never. --quit-after N: exits after N messages, as an ackd that dies.
--flush LSN: answers each "received" with feedback whose flush LSN is this one (decimal, or
"received": the one that was received); without it there is no feedback.
Ends at SIGTERM."""

import argparse
import json
import os
import selectors
import signal
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import stream  # noqa: E402

MESSAGES = {
    stream.SOURCE: ("source", ["system_identifier", "timeline", "database", "slot", "server_version",
                               "confirmed_lsn", "wal_sender_timeout", "previous_timeline",
                               "switch_lsn", "standby"]),
    stream.RECEIVED: ("received", ["lsn", "reply_requested", "commit_time"]),
    stream.SLOT: ("slot", ["current_lsn", "restart_lsn", "retained_bytes", "wal_status", "safe_wal_size",
                           "xmin_age", "output_full"]),
    stream.DRAINING: ("draining", []),
    stream.WAITING: ("waiting", ["standby", "text"]),
    stream.REGISTER: ("register", ["program", "sink", "shard", "shards", "durable_lsn", "timeline",
                                    "version", "position"]),
    stream.REACHED: ("reached", ["lsn", "events", "batch_rows", "flush_micros", "commit_time",
                                  "kept"]),
    stream.TARGET: ("target", ["alive", "reason"]),
    stream.BARRIER_REACHED: ("barrier_reached", ["id", "applier"]),
    stream.BARRIER_DONE: ("barrier_done", ["id"]),
    stream.FINISHED: ("finished", []),
    stream.DIFFERENCES: ("differences", ["relation", "updates", "deletes", "inserts", "schema_changes"]),
    stream.STATUS_REQUEST: ("status_request", []),
    stream.TABLE_STATE: ("table_state", ["life", "relid", "part", "state", "last", "detail"]),
    stream.COPIED: ("copied", ["life", "number", "written"]),
    stream.MISSING: ("missing", ["life", "keys"]),
    stream.COPY_COUNTS: ("copy_counts", ["waiting", "copying", "resync", "parked", "streaming", "rows", "bytes"]),
    stream.LACKS: ("lacks", ["tables", "changes"]),
    stream.TABLE_COUNTS: ("table_counts", ["table", "state", "inserts", "updates", "deletes", "truncates"]),
}


class Connection:
    def __init__(self, number, sock):
        self.number, self.sock = number, sock
        self.incoming = stream.Incoming()
        self.registration = None
        self.run_id = bytes(16)

    def send(self, type_, *elements):
        try:
            self.sock.sendall(stream.frame(type_, self.run_id, *elements))
        except OSError:
            pass


class Ackd:
    def __init__(self, options):
        self.options = options
        self.connections = []
        self.barriers = {}  # (sink, id): {shard: connection}
        self.count = 0

    def tell(self, connection, name, fields):
        print(json.dumps({"from": connection.number, "message": name, **fields}), flush=True)

    def received(self, c, elements):
        name, names = MESSAGES.get(elements[0], (f"unknown {elements[0]}", []))
        c.run_id = elements[1]
        fields = dict(zip(names, map(stream.jsonable, elements[2:])))
        if len(elements) - 2 != len(names):
            fields["wrong_count"] = len(elements) - 2
        self.tell(c, name, {"run_id": elements[1].hex(), **fields})
        if name in ("register", "source"):
            if self.options.refuse:
                c.send(stream.REFUSED, self.options.refuse, "the test said so")
            else:
                c.registration = fields
                c.send(stream.ACCEPTED)
        elif name == "received" and self.options.flush:
            lsn = fields["lsn"] if self.options.flush == "received" else int(self.options.flush)
            c.send(stream.FEEDBACK, stream.feedback_bytes(fields["lsn"], lsn))
        elif name == "draining":
            c.send(stream.DRAINED)
        elif name == "barrier_reached" and not self.options.silent_barriers:
            self.barrier_reached(c, fields)
        elif name == "barrier_done":
            waiting = self.barriers.pop((c.registration["sink"], fields["id"]), {})
            for other in waiting.values():
                if other is not c:
                    other.send(stream.GO, fields["id"])
        self.count += 1
        if self.options.quit_after and self.count >= self.options.quit_after:
            sys.exit(0)

    def barrier_reached(self, c, fields):
        waiting = self.barriers.setdefault((c.registration["sink"], fields["id"]), {})
        waiting[c.registration["shard"]] = c
        if len(waiting) == c.registration["shards"]:
            waiting[fields["applier"]].send(stream.GO, fields["id"])

    def serve(self):
        selector = selectors.DefaultSelector()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.options.socket)
        listener.listen(64)
        selector.register(listener, selectors.EVENT_READ, None)
        while True:
            for key, _ in selector.select():
                if key.data is None:
                    sock, _ = listener.accept()
                    c = Connection(len(self.connections) + 1, sock)
                    self.connections.append(c)
                    selector.register(sock, selectors.EVENT_READ, c)
                    continue
                c = key.data
                try:
                    data = c.sock.recv(65536)
                except OSError:
                    data = b""
                if not data:
                    selector.unregister(c.sock)
                    c.sock.close()
                    self.tell(c, "closed", {})
                    continue
                for elements in c.incoming.frames(data):
                    self.received(c, elements)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("socket")
    parser.add_argument("--refuse")
    parser.add_argument("--silent-barriers", action="store_true")
    parser.add_argument("--quit-after", type=int, default=0)
    parser.add_argument("--flush")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        Ackd(options).serve()
    finally:
        try:
            os.unlink(options.socket)
        except OSError:
            pass


if __name__ == "__main__":
    main()
