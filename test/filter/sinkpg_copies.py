#!/usr/bin/python3
"""sinkpg_copies.py: a random source whose table is copied while it changes, into a real sink-pg, or
sink-ch with --ch.

    sinkpg_copies.py --bin DIR --conninfo C --scratch DIR --seed N [--steps N] [--kills N]
    sinkpg_copies.py --bin DIR --ch URL --database D --scratch DIR --seed N [--steps N] [--kills N]

The source is a model: row versions in blocks, transactions that commit in one order and become
visible in another, snapshots, TRUNCATE, VACUUM FULL, ALTER TABLE, keys that are equal and have
other texts (1 and 1.0). This program is pg-table-read, route and ackd
at once. While it goes every row of the target must be the source's row as of the target's
position; in the end the rows must be equal. The sink is killed at random, and goes on from its notes.
ClickHouse may be ahead of the stream after a restart: there rows are compared when the stream is as
far again.
Exit 0, or the seed and what differs."""

import argparse
import os
import random
import re
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import stream as S  # noqa: E402

RELID = 5


def columns(version):
    """The table as described after so many ALTERs: v has another type modifier."""
    return [S.col("id", True, S.NUMERIC), S.col("u", False, S.INT4), S.col("v", typmod=version + 4 if version else -1),
            S.col("big")]


COMMIT_BYTES = 0x28


class Failed(Exception):
    pass


class Postgres:
    """The target of sink-pg, which has what it has confirmed, and skips it."""
    replays, texts = False, True

    def __init__(self, options):
        self.conninfo = options.conninfo
        self.sink = ["sink-pg", "--conninfo", options.conninfo]

    def sql(self, text):
        return subprocess.run(["psql", "-XAtq", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-c", text,
                               self.conninfo], check=True, capture_output=True, text=True).stdout

    def reset(self):
        self.sql("drop table if exists t; drop schema if exists walpipe cascade; "
                 "create table t (id numeric primary key, u int unique, v text, big text)")

    def rows(self):
        return self.sql("select * from t")

    def states(self):
        return self.sql("select distinct state from walpipe.tables where relid <> 0").split()

    def missing(self):
        return self.sql("select count(*) from walpipe.missing").strip()

    def start_again(self):
        """What a hint of sink-pg says: the table is copied as if it were new."""
        self.sql("begin; lock table t; delete from t; do $$ begin if to_regclass('walpipe.tables') is not null "
                 "then delete from walpipe.tables where name = 't'; end if; end $$; commit")


class ClickHouse:
    """The target of sink-ch, to which the stream is sent again after a restart."""
    replays, texts = True, False  # in a String 1 and 1.0 are two keys

    def __init__(self, options):
        self.url, self.database = options.ch, options.database
        self.sink = ["sink-ch", "--url", options.ch, "--database", options.database]

    def sql(self, text):
        url = self.url + "/?wait_end_of_query=1&database=" + self.database
        return urllib.request.urlopen(urllib.request.Request(url, data=text.encode())).read().decode()

    def reset(self):
        for table in ("t", "walpipe_tables", "walpipe_missing", "walpipe_progress"):
            self.sql("drop table if exists " + table)
        self.sql("create table t (id String, u Int32, v String, big String, _version UInt64, _is_deleted UInt8) "
                 "engine = ReplacingMergeTree(_version) order by id")

    def rows(self):
        return self.sql("select id, u, v, big from t final where _is_deleted = 0")

    def states(self):
        return self.sql("select distinct state from walpipe_tables final where relid <> 0 and state <> 'gone'").split()

    def missing(self):
        return self.sql("select count() from walpipe_missing final where missing = 1").strip()

    def start_again(self):
        """What a hint of sink-ch says, with the same outcome, since the rows of the notes go one by one."""
        if self.sql("exists table walpipe_tables").strip() != "1":
            return
        self.sql("create table rest as walpipe_tables engine = ReplacingMergeTree(version) "
                 "order by (pipeline, sink, system_identifier, relid, part, shard)")
        self.sql("insert into rest select * from walpipe_tables where relid = 0")
        self.sql("drop table walpipe_tables")
        self.sql("rename table rest to walpipe_tables")
        self.sql("truncate table t")


class Source:
    """Rows as MVCC has them, and the WAL."""

    def __init__(self, r, texts):
        self.r, self.texts = r, texts
        self.versions = []  # [row, block, born, died]
        self.open = {}      # xid: changes
        self.committed = {} # xid: not visible yet
        self.visible = {2}
        self.next_xid = 3
        self.lsn = 0x2000
        self.wal = []       # (commit lsn, xid, changes)
        self.file = 1
        self.alters = []    # xids that changed the table's description
        self.locked = None  # xid that holds the table for itself
        self.numbers = 0
        # Ranges of more than 50 rows go another way into PostgreSQL than those of fewer.
        self.size, self.widest = r.choice([(40, 3), (110, 19)])

    def not_visible(self):
        return sorted(list(self.open) + list(self.committed))

    def snapshot(self):
        xmax = max(self.visible) + 1
        running = [x for x in self.not_visible() if x < xmax]
        return (min(running + [xmax]), xmax, tuple(running))

    def read(self, snapshot, wanted):
        sees = lambda x: contains(snapshot, x)  # noqa: E731
        return [v[0] for v in self.versions
                if wanted(v) and sees(v[2]) and not (v[3] is not None and sees(v[3]))]

    def latest(self):
        return [v for v in self.versions if v[3] is None]

    def free(self, column, value):
        """A unique index would take the value: nobody has it who may come, or come back."""
        return not any(float(v[0][column]) == float(value) and (v[3] is None or v[3] not in self.visible)
                       for v in self.versions)

    def changeable(self, xid):
        mine = lambda v: v[2] == xid or v[2] in self.visible  # noqa: E731
        return [v for v in self.latest() if mine(v)]

    def text(self):
        self.numbers += 1
        return "%d" % self.numbers

    def new_value(self, column, top):
        for _ in range(30):
            value = str(self.r.randint(1, top)) + (".0" if column == 0 and self.texts and self.r.random() < 0.3 else "")
            if self.free(column, value):
                return value
        return None

    def add(self, row, xid):
        self.versions.append([row, self.r.randint(0, 19), xid, None])

    def change(self, xid):
        r, changes = self.r, self.open[xid]
        what, rows = r.random(), self.changeable(xid)
        if what < 0.3 + 0.4 * (len(rows) < self.size) or not rows:
            id_, u = self.new_value(0, 150), self.new_value(1, 170)
            if id_ is not None and u is not None:
                row = [id_, u, self.text(), "toast" + self.text()]
                self.add(row, xid)
                changes.append(("insert", row))
            return
        old = r.choice(rows)
        row = list(old[0])
        if what < 0.45:
            changes.append(("delete", [row[0], None, None, None]))
        else:
            row[2], partial, key = self.text(), r.random() < 0.6, None
            u = self.new_value(1, 170) if r.random() < 0.3 else None
            id_ = self.new_value(0, 150) if r.random() < 0.2 else None
            if self.texts and r.random() < 0.1:
                id_ = row[0][:-2] if row[0].endswith(".0") else row[0] + ".0"
            if u is not None:
                row[1] = u
            if id_ is not None:
                key, row[0] = [old[0][0], None, None, None], id_
            if not partial:
                row[3] = "toast" + self.text()
            self.add(row, xid)
            changes.append(("update", row[:3] + [S.UNCHANGED if partial else row[3]], key, row))
        old[3] = xid

    def begin(self):
        if self.locked is None:
            self.open[self.next_xid] = []
            self.next_xid += 1

    def truncate(self):
        if self.not_visible():
            return
        xid = self.next_xid
        self.next_xid += 1
        for v in self.latest():
            v[3] = xid
        self.file += 1
        self.open[xid], self.locked = [("truncate",)], xid

    def alter(self):
        """Not seen in the stream before the table's next change."""
        if self.not_visible():
            return
        self.alters.append(self.next_xid)
        self.open[self.next_xid], self.locked = [], self.next_xid
        self.next_xid += 1

    def version(self, sees):
        return sum(map(sees, self.alters))

    def vacuum_full(self):
        if self.not_visible():
            return
        self.versions = self.latest()
        for v in self.versions:
            v[1] = self.r.randint(0, 19)
        self.file += 1

    def commit(self, xid):
        self.wal.append((self.lsn, xid, self.open.pop(xid)))
        self.lsn += 0x100
        self.committed[xid] = True

    def show(self, xid):
        del self.committed[xid]
        self.visible.add(xid)
        if self.locked == xid:
            self.locked = None

    def abort(self, xid):
        del self.open[xid]
        self.versions = [v for v in self.versions if v[2] != xid]
        for v in self.versions:
            if v[3] == xid:
                v[3] = None
        self.visible.add(xid)

    def step(self):
        r, what = self.r, self.r.random()
        if what < 0.15 and len(self.open) < 4:
            self.begin()
        elif what < 0.6 and self.open:
            xid = r.choice(list(self.open))
            if xid != self.locked:
                self.change(xid)
        elif what < 0.78 and self.open:
            xid = r.choice(list(self.open))
            self.abort(xid) if xid != self.locked and r.random() < 0.1 else self.commit(xid)
        elif what < 0.97 and self.committed:
            self.show(r.choice(list(self.committed)))
        elif what < 0.972:
            self.truncate()
        elif what < 0.975:
            self.vacuum_full()
        elif what < 0.98:
            self.alter()


def contains(snapshot, xid):
    return xid < snapshot[1] and xid not in snapshot[2]


def ctid(block):
    return (block, 0)


class Run:
    """One life of the sink, with everything around it."""

    def __init__(self, test, from_lsn):
        self.test, self.source, self.r = test, test.source, test.r
        self.ackd = socket.socket(socket.AF_UNIX)
        path = os.path.join(test.options.scratch, "ack%d" % test.runs)
        self.ackd.bind(path)
        self.ackd.listen(1)
        self.err = open(os.path.join(test.options.scratch, "err"), "ab")
        self.process = subprocess.Popen(
            [os.path.join(test.options.bin, test.target.sink[0]), *test.target.sink[1:], "--pipeline", "p",
             "--ackd", path, "--flush-interval", "20ms", "--batch-rows", str(self.r.choice([5, 500]))],
            stdin=subprocess.PIPE, stderr=self.err)
        self.incoming = S.Incoming()
        self.out = bytearray()
        self.reached = 0
        self.delivered = from_lsn    # end of what was sent, or confirmed before
        self.sent = 0                # by this run
        self.described = None
        self.answers = {}            # life: state, detail
        self.listed = self.finished = self.registered = False
        # the copy
        self.phase = "listing"
        self.life, self.number, self.pass_ = test.runs * 1000, 0, 0
        self.rests, self.read, self.flying = [], [], {}
        self.missing, self.file = [], 0
        self.send(S.hello(program="route", sink="dst", shard=0, shards=1, version=2, start_lsn=from_lsn,
                          run_id=self.r.randbytes(16)))
        os.write(self.process.stdin.fileno(), self.out)
        self.out.clear()
        os.set_blocking(self.process.stdin.fileno(), False)
        self.ackd.settimeout(30)
        self.sock, _ = self.ackd.accept()
        self.sock.setblocking(False)

    # ---- bytes ----

    def send(self, *parts):
        for part in parts:
            self.out += part

    def pump(self, seconds=0.0):
        """Moves bytes both ways; waits at most so long for some."""
        wants = [self.process.stdin] if self.out else []
        readable, writable, _ = select.select([self.sock], wants, [], seconds)
        if writable:
            del self.out[:os.write(self.process.stdin.fileno(), self.out[:65536])]
        if readable:
            try:
                data = self.sock.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                raise Failed("the sink has ended")
            for message in self.incoming.frames(data):
                self.on_message(message[0], message[1], message[2:])

    def on_message(self, type_, run_id, fields):
        if type_ == S.REGISTER:
            self.sock.sendall(S.frame(S.ACCEPTED, run_id))
            self.reached, self.registered = fields[4], True
        elif type_ == S.REACHED:
            if fields[0] > self.delivered:
                raise Failed("reached %x beyond %x" % (fields[0], self.delivered))
            self.reached = fields[0]
        elif type_ == S.TABLE_STATE:
            life, relid, part, state, last, detail = fields
            if relid == 0:
                self.listed = True
            else:
                self.answers[life] = (state, S.msgpack.unpackb(detail, raw=False))
        elif type_ == S.FINISHED:
            self.finished = True
        elif type_ == S.COPIED:
            life, number, written = fields
            range_ = self.flying.pop((life, number))
            self.test.written += written
            if not written and range_["kind"] == "b" and range_["pass"] == self.pass_:
                self.rests.append((range_["from"], range_["to"]))
        elif type_ == S.MISSING:
            unpacker = S.msgpack.Unpacker(raw=False)
            unpacker.feed(fields[1])
            self.missing = [key[0] for key in unpacker]
            self.test.missed += len(self.missing)
            if self.phase == "done":
                self.phase = "wanted"

    # ---- the stream ----

    def describe(self, xid):
        version = self.source.version(lambda x: x <= xid)
        if self.described != version:
            self.described = version
            return S.relation(RELID, "public", "t", columns(version))
        return b""

    def deliver(self):
        """The next transaction, if there is one."""
        for lsn, xid, changes in self.source.wal:
            if lsn + COMMIT_BYTES > self.delivered:
                break
        else:
            return False
        self.send(S.begin(lsn, xid=xid))
        for ordinal, (kind, *args) in enumerate(changes, 1):
            if kind == "truncate":
                self.send(self.describe(xid), S.truncate(ordinal, [RELID]))
                continue
            self.send(self.describe(xid))
            if kind == "insert":
                self.send(S.insert(RELID, ordinal, args[0], 1))
            elif kind == "delete":
                self.send(S.delete(RELID, ordinal, args[0], None, 1))
            else:
                self.send(S.update(RELID, ordinal, args[0], args[1], None, 1, 1))
        self.send(S.commit(lsn, lsn + COMMIT_BYTES, len(changes)))
        self.delivered = self.sent = lsn + COMMIT_BYTES
        return True

    def all_delivered(self):
        return not self.source.wal or self.source.wal[-1][0] + COMMIT_BYTES <= self.delivered

    def watermark(self):
        if self.all_delivered():
            self.delivered = self.sent = max(self.delivered, self.source.lsn)
            self.send(S.watermark(self.delivered))

    # ---- pg-table-read ----

    def table(self, life):
        return S.copytable(life, RELID, "public", "t", columns(self.source.version(lambda x: x in self.source.visible)),
                           definition=self.test.definition)

    def spread(self):
        """All blocks in ranges; the last one has no end."""
        at, rests = 0, []
        while at < 18:
            to = at + self.r.randint(1, self.source.widest)
            rests.append((at, to))
            at = to
        return rests + [(at, None)]

    def take_rests(self, detail):
        file, definition, done = detail
        self.file, self.pass_ = self.source.file, self.pass_ + 1
        if not done or file != self.file or definition != self.test.definition:
            self.rests = self.spread()
            return
        self.rests, at = [], 0
        for from_, to in re.findall(r"\((\d+),0\)-(?:\((\d+),0\))?", done):
            if int(from_) > at:
                self.rests.append((at, int(from_)))
            if not to:
                return
            at = int(to)
        self.rests.append((at, None))

    def put_range(self, range_):
        kind, rows = range_["kind"], range_["rows"]
        self.send(S.horizon(*self.horizon()))
        self.send(S.range_(self.life, range_["number"], RELID, "public", "t", columns(range_["version"]), kind=kind,
                           from_=ctid(range_["from"] or 0), file=range_["file"], snapshot=range_["snapshot"],
                           mark=range_["mark"], floor=self.floor))
        for at in range(0, len(rows), 3):
            self.send(S.rows(self.life, range_["number"], rows[at:at + 3]))
        if range_["absent"]:
            self.send(S.absent(self.life, range_["number"], [[k, None, None, None] for k in range_["absent"]]))
        to = range_["to"]
        self.send(S.range_end(self.life, range_["number"], len(rows) + len(range_["absent"]), ctid(to) if to is not None else None))

    def horizon(self):
        snapshots = [range_["snapshot"] for range_ in self.read] + [self.source.snapshot()]
        return min(snapshots, key=lambda s: (s[1], -len(s[2])))

    def start_range(self, kind, from_=None, to=None, keys=()):
        snapshot = self.source.snapshot()
        if kind == "b":
            rows = self.source.read(snapshot, lambda v: v[1] >= from_ and (to is None or v[1] < to))
        else:
            rows = [row for key in keys for row in self.source.read(snapshot, lambda v: float(v[0][0]) == float(key))]
        self.number += 1
        found = {row[0] for row in rows}
        self.read.append({"kind": kind, "number": self.number, "from": from_, "to": to, "rows": rows,
                          "absent": [k for k in keys if k not in found], "snapshot": snapshot,
                          "mark": self.source.lsn, "file": self.source.file, "version": self.source.version(lambda x: contains(snapshot, x)), "pass": self.pass_})

    def send_range(self):
        range_ = self.read.pop(self.r.randrange(len(self.read)))
        self.read.insert(0, range_)  # it is in the horizon until it is sent
        self.put_range(range_)
        self.read.pop(0)
        self.flying[(self.life, range_["number"])] = range_

    def copy_step(self):
        phase, source = self.phase, self.source
        if phase == "listing":
            self.send(self.table(0), S.table_end(0, "l"))
            self.phase = "asked"
        elif phase == "asked" and self.listed:
            self.phase = "wanted" if self.answers[0][0] == "w" else "done"
        elif phase == "wanted":
            self.life += 1
            self.send(self.table(self.life))
            self.phase = "begun"
        elif phase == "begun" and self.life in self.answers:
            self.floor, self.waits = source.lsn, set(source.not_visible())
            self.take_rests(self.answers[self.life][1])
            self.phase = "waiting"
        elif phase == "done" and self.r.random() < 0.1 and not self.test.ending:
            self.test.definition = "d%d" % self.life
            self.phase = "wanted"
        elif phase == "waiting" and not self.waits & set(source.not_visible()):
            self.phase = "reading"
        elif phase == "reading":
            self.reading_step()
        elif phase == "asking" and not self.flying and not self.read:
            if self.missing:
                if source.locked is None:
                    self.start_range("k", keys=tuple(self.missing))
                    self.missing, self.phase = [], "reading"
            else:
                self.send(S.table_end(self.life))
                self.phase = "done"
                self.test.ended += 1

    def reading_step(self):
        if self.read and self.r.random() < 0.5:
            self.send_range()
        elif self.source.locked is not None:
            pass
        elif self.rests and len(self.read) + len(self.flying) < 4:
            from_, to = self.rests.pop(self.r.randrange(len(self.rests)))
            if self.file != self.source.file:
                self.file, self.rests, self.pass_ = self.source.file, self.spread(), self.pass_ + 1
                return
            self.start_range("b", from_, to)
        elif not self.rests and not self.read and not self.flying:
            if self.file != self.source.file:
                self.file, self.rests, self.pass_ = self.source.file, self.spread(), self.pass_ + 1
                return
            self.start_range("q")
            self.send_range()
            self.phase = "asking"

    def waits_for_sink(self):
        """Steps are much faster than answers."""
        return bool(self.out) or self.phase in ("asked", "begun", "asking") or len(self.flying) > 2

    # ---- looking ----

    def settle(self):
        """Everything that was sent is durable."""
        deadline = time.time() + 60
        self.watermark()
        while self.out or not self.registered or self.reached < self.sent:
            if time.time() > deadline:
                raise Failed("reached %x, sent %x" % (self.reached, self.sent))
            self.pump(0.05)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.close()

    def close(self):
        self.process.stdin.close()
        self.sock.close()
        self.ackd.close()
        self.err.close()


class Test:
    def __init__(self, options):
        self.options, self.r = options, random.Random(options.seed)
        self.target, self.furthest = (ClickHouse if options.ch else Postgres)(options), 0
        self.source = Source(self.r, self.target.texts)
        self.runs, self.definition, self.ending = 0, "d", False
        self.checks = self.missed = self.written = self.ended = 0

    def rows_at(self, lsn):
        """The source's rows as of a position of the stream."""
        rows = {}
        for commit_lsn, _, changes in self.source.wal:
            if commit_lsn + COMMIT_BYTES > lsn:
                break
            for kind, *args in changes:
                if kind == "truncate":
                    rows.clear()
                elif kind == "insert":
                    rows[args[0][0]] = args[0]
                elif kind == "delete":
                    del rows[args[0][0]]
                else:
                    old = args[1][0] if args[1] else args[2][0]
                    del rows[old]
                    rows[args[2][0]] = args[2]
        return rows

    def compare(self, run, whole):
        self.furthest = max(self.furthest, run.delivered)
        if self.target.replays and run.delivered < self.furthest:
            return
        self.checks += 1
        expected = self.rows_at(max(run.delivered, run.reached))
        target = {line.split("\t")[0]: line.split("\t")
                  for line in self.target.rows().splitlines()}
        for id_, row in target.items():
            if expected.get(id_) != row:
                raise Failed("at %x the target has %s, the source %s" % (run.delivered, row, expected.get(id_)))
        if whole and len(target) != len(expected):
            raise Failed("missing: %s" % sorted(set(expected) - set(target)))

    def start(self, reached):
        self.runs += 1
        if self.r.random() < 0.15:
            self.definition = "d%d" % self.runs
        # What was confirmed may come again.
        from_ = reached if self.r.random() < 0.7 else max(self.slot, reached - 0x300)
        return Run(self, from_)

    def go(self):
        self.target.reset()
        for _ in range(self.r.randint(0, 15 * self.source.size)):
            self.source.step()
        confirmed = self.source.lsn  # the slot was made here: what is older must come with the copy
        self.slot = confirmed
        for xid in list(self.source.committed):
            if self.r.random() < 0.5:
                self.source.show(xid)
        run, kills = self.start(confirmed), self.options.kills
        copies = self.r.choice([0.1, 0.2, 0.3])
        for step in range(self.options.steps):
            what = self.r.random()
            if what < copies:
                run.copy_step()
                run.pump(0.02 if run.waits_for_sink() else 0)
            elif what < 0.7:
                self.source.step()
            elif what < 0.97:
                run.deliver()
            else:
                run.watermark()
            run.pump()
            if self.r.random() < 0.01:
                run.settle()
                self.compare(run, run.phase == "done" and not run.missing)
            if kills and self.r.random() < kills / self.options.steps:
                run.kill()
                self.furthest = max(self.furthest, run.delivered)
                confirmed = max(confirmed, run.reached)
                if self.r.random() < 0.5:
                    self.target.start_again()
                run = self.start(confirmed)
        self.finish(run)

    def finish(self, run):
        source, deadline, self.ending = self.source, time.time() + 60, True
        for xid in list(source.open):
            source.commit(xid)
        for xid in list(source.committed):
            source.show(xid)
        while run.phase != "done" or not run.all_delivered():
            run.deliver()
            run.copy_step()
            run.watermark()
            run.pump(0.01)
            if run.phase == "done" and run.all_delivered():
                run.settle()
            if time.time() > deadline:
                raise Failed("the copy does not end: %s, rests %s, flying %s, missing %s"
                             % (run.phase, run.rests, run.flying, run.missing))
        self.compare(run, True)
        run.send(S.end())
        while not run.finished:
            run.pump(0.05)
        run.close()
        if run.process.wait(60) != 0:
            raise Failed("the sink ended with %d" % run.process.returncode)
        state = self.target.states()
        if state != ["streaming"]:
            raise Failed("the note says %s" % state)
        missing = self.target.missing()
        if missing != "0":
            raise Failed("%s keys are missing still" % missing)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--conninfo")
    parser.add_argument("--ch")
    parser.add_argument("--database")
    parser.add_argument("--scratch", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=4)
    options = parser.parse_args()
    test = Test(options)
    try:
        test.go()
    except (Failed, OSError, KeyError, subprocess.CalledProcessError) as failure:
        print("seed %d: %r" % (options.seed, failure))
        raise
    print("seed %d: equal; %d runs, %d transactions, %d ranges, %d keys missing, %d lives to their end, "
          "%d comparisons" % (options.seed, test.runs, len(test.source.wal), test.written, test.missed,
                              test.ended, test.checks))


if __name__ == "__main__":
    main()
