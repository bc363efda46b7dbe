"""A sink's worker that follows docs/copy.md in memory, and the programs around it, for
copied.bats: pg-wal-read, pgout-decode, route, pg-table-read and ackd are the real ones. It is
written from docs/copy.md and docs/events.7 only, for tables with a key and without TOAST."""

import os
import socket
import subprocess
import threading
import time

from stream import *  # noqa: E402,F403

BIN = os.environ["WALPIPE_BIN"]
COPYTABLE, RANGE, RANGE_END = 32, 33, 36


class Target:
    """The rows of all workers of a sink: table name to key to row."""

    def __init__(self):
        self.tables = {}
        self.lock = threading.Lock()

    def table(self, name):
        return self.tables.setdefault(name, {})


def contains(snapshot, xid):
    xmin, xmax, running = snapshot
    return xid < xmin or (xid < xmax and xid not in running)


class Worker(threading.Thread):
    def __init__(self, target, path, ackd):
        super().__init__(daemon=True)
        self.target, self.path, self.ackd_path = target, path, ackd
        self.relations = {}  # relid to name, indexes of the key
        self.tracked = {}    # relid to (xid, key or None for all) of each change since its life began
        self.held = []       # whole ranges that wait for their mark
        self.range = None
        self.position = 0
        self.error = None
        self.seen = []       # types of frames, in order
        self.waited = self.skipped = self.touched = self.barriers = 0
        self.copied_keys, self.changed_keys = {}, {}  # that came, by the name of the table

    # ---- ackd ----

    def say(self, kind, *fields):
        self.ackd.sendall(frame(kind, self.run_id, *fields))

    def hear(self, kind):
        while (got := self.answers.frame()) is None:
            data = self.ackd.recv(65536)
            if not data:
                raise EOFError("ackd is gone")
            self.answers.add(data)
        assert got[0] == kind, got
        return got

    def register(self, hello_):
        self.run_id, self.sink, self.shard, self.shards = hello_[5], *hello_[14:17]
        assert hello_[2] == 2
        self.ackd = socket.socket(socket.AF_UNIX)
        self.ackd.connect(self.ackd_path)
        self.answers = Incoming()
        self.say(REGISTER, "played", self.sink, self.shard, self.shards, 0, 0, 2)
        self.hear(ACCEPTED)

    # ---- the stream ----

    def run(self):
        try:
            with open(self.path, "rb") as stream:
                frames = read_frames(stream)
                self.register(next(frames))
                for f in frames:
                    self.seen.append(f[0])
                    self.take(f)
                    if f[0] == 3:
                        self.say(FINISHED)
                        return
        except Exception as error:  # the test shows it
            self.error = error

    def take(self, f):
        kind = f[0]
        if kind == 16:
            self.relations[f[1]] = (f[3] + "." + f[4], [i for i, c in enumerate(f[5]) if c[1]])
        elif kind == 17:
            self.xid = f[3]
        elif kind in (19, 20, 21):
            self.change(f)
        elif kind == 22:
            self.truncate(f[3])
        elif kind == 24:
            self.reach(f[2])
        elif kind == 25:
            self.reach(f[1])
        elif kind == 26:
            self.barriers += 1
            self.say(BARRIER_REACHED, f[1], f[2])
            self.hear(GO)
            self.applies = f[1] if f[2] == self.shard else None
        elif kind >= 32:
            self.copied_frame(f)
        if kind in (19, 20, 21, 22) and getattr(self, "applies", None) is not None:
            self.say(BARRIER_DONE, self.applies)
            self.applies = None

    def reach(self, lsn):
        self.position = max(self.position, lsn)
        self.write_ranges()
        self.say(REACHED, lsn, 0, 0, 0)

    def key_of(self, relid, row):
        return tuple(row[i] for i in self.relations[relid][1])

    def track(self, relid, key):
        if relid in self.tracked:
            self.tracked[relid].append((self.xid, key))

    def change(self, f):
        relid = f[2]
        new = f[4] if f[0] == 19 else f[7] if f[0] == 20 else None
        old = f[6] if f[0] == 20 else f[5] if f[0] == 21 else None
        with self.target.lock:
            rows_ = self.target.table(self.relations[relid][0])
            if old is not None:
                self.track(relid, self.key_of(relid, old))
                rows_.pop(self.key_of(relid, old), None)
            if new is not None:
                assert UNCHANGED not in new
                self.track(relid, self.key_of(relid, new))
                rows_[self.key_of(relid, new)] = new
                self.changed_keys.setdefault(self.relations[relid][0], set()).add(self.key_of(relid, new))

    def truncate(self, relids):
        with self.target.lock:
            for relid in relids:
                self.track(relid, None)
                self.target.table(self.relations[relid][0]).clear()

    # ---- the copy ----

    def copied_frame(self, f):
        kind = f[0]
        if kind == 32:
            life, part, relid = f[1], f[2], f[7]
            if life > 0:
                self.tracked.setdefault(relid, [])
            self.say(TABLE_STATE, life, relid, part, "w", life > 0, msgpack.packb([0, "", ""]))
        elif kind == 39 and f[2] == "l":
            self.say(TABLE_STATE, 0, 0, 0, "h", True, b"")
        elif kind == 33:
            self.range = {"life": f[1], "number": f[2], "snapshot": f[6], "mark": f[7], "relid": f[10],
                          "name": f[12] + "." + f[13], "rows": [], "absent": [],
                          "key": [i for i, c in enumerate(f[14]) if c[1]]}
        elif kind in (34, 35):
            assert f[1:3] == [self.range["life"], self.range["number"]] and f[5] == b""
            new = unpack_rows(f[4])
            assert len(new) == f[3]
            self.range["rows" if kind == 34 else "absent"] += new
            self.copied_keys.setdefault(self.range["name"], set()).update(
                tuple(row[i] for i in self.range["key"]) for row in new)
        elif kind == 36:
            assert f[4] == len(self.range["rows"])
            self.held.append(self.range)
            self.range = None
            self.waited += self.held[-1]["mark"] > self.position
            self.write_ranges()
        elif kind == 38:
            self.touched += 1
            key = None if f[3] is None else self.key_of(f[1], f[3])
            self.track(f[1], key)

    def write_ranges(self):
        for r in [r for r in self.held if r["mark"] <= self.position]:
            self.held.remove(r)
            with self.target.lock:
                self.write_range(r)
            self.say(COPIED, r["life"], r["number"], True)

    def write_range(self, r):
        lacking = {key for xid, key in self.tracked[r["relid"]] if not contains(r["snapshot"], xid)}
        rows_ = self.target.table(r["name"])
        for of_rows in ("rows", "absent"):
            for row in r[of_rows]:
                key = tuple(row[i] for i in r["key"])
                if None in lacking or key in lacking:
                    self.skipped += 1
                elif of_rows == "rows":
                    rows_[key] = row
                else:
                    rows_.pop(key, None)


class Pipeline:
    """A sink "dst" of so many workers: played ones, sink-pg's into the target, or those of the
    command. The folder may be that of a pipeline that has ended."""

    def __init__(self, folder, conninfo, workers, route=(), reader=(), target=None, sink=(), command=None):
        self.folder, self.target = folder, Target()
        ackd = os.path.join(folder, "state", "ackd.sock")
        fifos = [os.path.join(folder, "w%d" % n) for n in range(workers)]
        copy = os.path.join(folder, "copy")
        for path in [*fifos, copy]:
            if not os.path.exists(path):
                os.mkfifo(path)
        os.makedirs(os.path.join(folder, "state"), 0o700, exist_ok=True)
        self.programs = {}
        self.start("ackd", "--socket", ackd, "--state", os.path.join(folder, "state"), "--sink",
                   "dst=%d" % workers)
        wal, events = os.pipe(), os.pipe()
        self.start("pg-wal-read", "--conninfo", conninfo, "--slot", "s", "--publication", "p",
                   "--create-slot", "--ackd", ackd, stdout=wal[1])
        self.start("pgout-decode", stdin=wal[0], stdout=events[1])
        to = [x for path in fifos for x in ("--to", path)]
        self.start("route", "--copy", copy, "--sink", "dst", "--stream", "2", *route, *to, stdin=events[0])
        for fd in (*wal, *events):
            os.close(fd)
        command = command or (target and ["sink-pg", "--conninfo", target])
        self.workers = [Worker(self.target, path, ackd) for path in fifos if not command]
        for w in self.workers:
            w.start()
        for n in range(workers if command else 0):
            self.start(*command, "--pipeline", "x", "--ackd", ackd, "--in", fifos[n], *sink,
                       key="%s/%d" % (command[0], n))
        self.start("pg-table-read", "--conninfo", conninfo, "--publication", "p", "--ackd", ackd,
                   "--out", copy, *reader)

    def start(self, name, *args, stdin=None, stdout=None, key=None):
        key = key or name
        with open(self.log(key), "w") as log:
            self.programs[key] = subprocess.Popen([os.path.join(BIN, name), *args], stdin=stdin,
                                                  stdout=stdout, stderr=log)

    def log(self, key):
        return os.path.join(self.folder, key.replace("/", "-") + ".log")

    def wait(self, condition, seconds=60):
        deadline = time.monotonic() + seconds
        while not condition():
            for w in self.workers:
                assert w.error is None, "worker %s: %r" % (w.path, w.error)
            for name, p in self.programs.items():
                assert p.poll() is None, "%s ended with %s" % (name, p.poll())
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.02)

    def finished(self, name):
        """pg-table-read says that the table is finished."""
        with open(self.log("pg-table-read")) as log:
            return any(name + ":" in line and " rows" in line for line in log)

    def logs(self):
        for name in self.programs:
            with open(self.log(name)) as log:
                print("== %s\n%s" % (name, log.read()[-2000:]))

    def end(self):
        for p in self.programs.values():
            if p.poll() is None:
                p.kill()
            p.wait()
