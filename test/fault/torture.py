#!/usr/bin/python3
"""torture.py: the crash test of the whole (trap 175).

    torture.py [--minutes M] [--seed N] [--round SECONDS] [--patience SECONDS] [--ease N] [--keep DIR]
               [--modern] [--set-aside]

A source that has rows, a PostgreSQL target (a sink with one worker, one with three) and a ClickHouse
(with --modern today's engine); walpipe run between them, which copies the rows; clients that change
the source at random. In rounds: some seconds of faults at random moments (programs killed and
stopped, servers crashed, connections stalled and cut), then few, then none. Meanwhile tables are made
and published, written anew, dropped, and copied again (lives.py), and damaged tables of a PostgreSQL
target are copied again by walpipe resync (resyncs.py), sinks are paused and resumed (pauses.py), and transactions
that a target cannot take are skipped (poisons.py). With --set-aside sinks are detached and brought back
(detaches.py), and tables are parked and resumed (parks.py). Everything must become confirmed with no pause
of a minute (--patience, and --ease, for a busy machine), each table must come to the end of its copy, and every table of every target
must hold the source's rows. All the while the slot's confirmed_flush_lsn must not pass what any
PostgreSQL worker has in walpipe.progress whose sink is not detached, nor ackd's checkpoint; no program may end with 101, need
much memory or keep ever more files open; in the end no process and no session may be left
(watch.py).

The seed decides the faults and what the clients do, not the exact moments: the same seed gives the
same kind of run, not the same run. Exit 0: nothing found; 1: a failure, with the faults that led
to it; logs are then in DIR (default build/torture/SEED; when given, always)."""

import argparse
import collections
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import psycopg2

from faults import Faults
from lives import ROWS, Lives
from rig import Failure, ROOT, Rig, proc_args, proc_state, wait_for
from watch import Watch, lsn
from workload import BASE, Workload

# What no fault excuses. 100 means that a person must solve a problem, but here every fault ends by itself.
BAD_LOG = re.compile(
    r"AddressSanitizer|LeakSanitizer|runtime error:|ended with exit code (99|10[01])\b"
    r"|killed by signal (4|6|7|8|11)\b")
# A program that ends for a state of which detaches.py and parks.py count.
COUNTED = re.compile(r"(is detached: (?:it is paused|its target does not answer|the source has removed)"
                     r"|public\.\w+ is parked: )")
KEEPS_OUT = 6  # rounds
POISONED = re.compile(r"sink (one|three)/\d+ [^\"]*ended with exit code 100\b")  # a transaction that is to be skipped


def query(conninfo, sql):
    conn = psycopg2.connect(conninfo + " connect_timeout=5")
    try:
        conn.autocommit = True
        with conn.cursor() as c:
            c.execute(sql)
            return c.fetchall()
    finally:
        conn.close()


# ---- comparison ----

def pg_rows(conninfo, relation):
    conn = psycopg2.connect(conninfo + " connect_timeout=5")
    lines = []

    class Sink:
        @staticmethod
        def write(data):
            lines.append(data)
    try:
        with conn.cursor() as c:
            c.copy_expert("COPY (SELECT %s FROM %s%s) TO STDOUT" % (
                relation.columns, "" if relation.tree else "ONLY ", relation.name), Sink)
    finally:
        conn.close()
    return collections.Counter(b"".join(
        x if isinstance(x, bytes) else x.encode() for x in lines).splitlines())


def ch_rows(servers, relation, db):
    """A table that never had a row need not be there."""
    names = servers.clickhouse("SELECT name FROM system.tables WHERE database = '%s'" % db).decode().split()
    table = next((t for t in (relation.name + "_current", relation.name) if t in names), None)
    if table is None:
        return collections.Counter()
    zeros = " SETTINGS output_format_decimal_trailing_zeros = 1" if servers.modern else ""
    return collections.Counter(servers.clickhouse("SELECT %s FROM %s FORMAT TabSeparated%s" % (
        relation.columns, table, zeros), db).splitlines())


def ch_rows_truncated(servers, relation):
    """The rows that are older than the table's last TRUNCATE: only a ClickHouse before 22.12 may
    bring them back, when it is restarted (sink-ch(1))."""
    note = re.match(rb"walpipe: truncated at (\d+)\.0(?:;|$)", servers.clickhouse(
        "SELECT comment FROM system.columns WHERE database = 'torture' AND table = '%s' "
        "AND name = '_version'" % relation.name).strip())
    if note is None:
        return collections.Counter()
    return collections.Counter(servers.clickhouse(
        "SELECT %s FROM (SELECT * FROM %s FINAL) WHERE _is_deleted = 0 AND _version < %d "
        "FORMAT TabSeparated" % (relation.columns, relation.name, int(note.group(1))),
        "torture").splitlines())


def differences(want, got, missing_only):
    """The differing rows."""
    out = ["only in the source, %d times: %s" % (n, row[:300]) for row, n in (want - got).items()]
    if not missing_only:
        out += ["only in the target, %d times: %s" % (n, row[:300])
                for row, n in (got - want).items()]
    return out


def history(servers, relation, sink, want, got):
    """All that the source's WAL says of the first rows that differ, since all was equal, and all that a
    ClickHouse holds of them."""
    out = []
    for row in list((got - want) + (want - got))[:3]:
        column, key = relation.columns.split(",")[0], row.split(b"\t")[0].decode()
        changes = "SELECT lsn, xid, data FROM pg_logical_slot_peek_changes('witness', NULL, NULL) WHERE data ~ " \
            "'^(BEGIN|COMMIT)|^table public.%s.*[ :(]%s[^0-9]'" % (relation.name, key)
        lines = query(servers.conninfo("source", "torture"), changes)
        xids = {x for _, x, data in lines if data.startswith("table")}
        out += ["    %s" % key] + ["      %s %s %s" % (at, x, data[:200]) for at, x, data in lines if x in xids]
        if sink == "olap":
            held = servers.clickhouse("SELECT *, intDiv(_version, 4096) FROM %s WHERE toString(%s) = '%s' "
                                      "ORDER BY _version FORMAT TabSeparated" % (relation.name, column, key), "torture")
            out += ["      ClickHouse: " + r[:300] for r in held.decode().splitlines()]
    return out


def compare(servers, lives, may_come_back):
    """may_come_back: ClickHouse was killed. Returns the number of rows, and of those that were
    truncated and came back."""
    found, rows, back = [], 0, 0
    for relation in lives.relations():
        want = pg_rows(servers.conninfo("source", "torture"), relation)
        rows += sum(want.values())
        targets = [(sink, pg_rows(servers.conninfo("target", sink), relation))
                   for sink in ("one", "three") if relation in lives.relations(sink)]
        if relation in lives.relations("olap"):
            olap = ch_rows(servers, relation, "torture")
            if may_come_back and not servers.modern:
                truncated = ch_rows_truncated(servers, relation)
                olap -= truncated
                back += sum(truncated.values())
            targets.append(("olap", olap))
        elif relation in BASE:
            targets.append(("nocopy", ch_rows(servers, relation, "nocopy")))
        for sink, got in targets:
            # A table without a key may hold rows twice in ClickHouse.
            diffs = differences(want, got, sink == "nocopy" and relation.name == "log")
            if diffs:
                found.append("%s of %s: %d rows differ" % (relation.name, sink, len(diffs)))
                found += ["    " + d for d in diffs[:10]]
                found += history(servers, relation, sink, want, got)
    if found:
        raise Failure("\n".join(found))
    return rows, back


# ---- the test ----

class Torture:
    def __init__(self, options):
        self.options = options
        self.rig = Rig(options.modern, options.set_aside)
        self.lives = Lives(self.rig, options.seed)
        self.faults = None
        self.rounds = 0
        self.log_seen = 0
        self.olap_killed = 0  # how often, when no truncated row was there
        self.came_back = 0
        self.slowest = 0.0
        self.seen = collections.Counter()

    def start(self):
        self.rig.start(ROWS, self.lives.publication())
        self.rig.pipeline.start()
        wait_for(60, "the pipeline streams",
                 lambda: "streaming from slot" in self.rig.pipeline.log_text())
        self.watch = Watch(self.rig)
        self.watch.start()
        self.workload = Workload(self.options.seed, self.source(), self.lives.written, self.options.ease)
        self.faults = Faults(self.rig, self.options.seed, self.lives)

    def source(self):
        return self.rig.servers.conninfo("source", "torture")

    def check(self):
        """Of what must never be."""
        if self.watch.failure:
            raise Failure(self.watch.failure)
        if self.faults:
            self.faults.resyncs.check()
        if not self.watch.is_alive():
            raise RuntimeError("nobody watches any more")
        process = self.rig.pipeline.process
        if "walpipe" not in self.faults.down and process.poll() is not None:
            if process.returncode == 100 and self.faults.poisons.pending:
                self.faults.poisons.take(self.faults)
                return
            raise Failure("walpipe ended by itself, exit code %d" % process.returncode)

    def check_log(self):
        with open(self.rig.pipeline.log, errors="replace") as f:
            f.seek(self.log_seen)
            new = f.read()
            self.log_seen = f.tell()
        for line in new.splitlines():
            self.count(line)
            if BAD_LOG.search(line) and not (self.faults.poisons.number and POISONED.search(line)):
                raise Failure("in walpipe's log: " + line)

    def count(self, line):
        found = COUNTED.search(line)
        if found and '"level":"error"' in line and re.search(r'"program":"(ackd|sink-pg|sink-ch)"', line):
            self.seen["a table is parked" if "parked: " in found[0] else "a sink " + found[0]] += 1

    def await_confirmed(self, target):
        """However long it takes on a busy machine, it must go on."""
        at, moved = None, time.monotonic()
        while at is None or lsn(at) < lsn(target):
            self.check()
            now = query(self.source(), "SELECT confirmed_flush_lsn FROM pg_replication_slots "
                        "WHERE slot_name = 'torture'")[0][0]
            if now != at:
                at, moved = now, time.monotonic()
            elif time.monotonic() > moved + self.options.patience:
                raise Failure("for %d s the slot has not moved from %s to %s" % (self.options.patience, at, target))
            time.sleep(0.05)

    def settle(self):
        self.faults.all_well()
        self.workload.pause()
        self.check()
        self.faults.revive()
        self.faults.parks.mend_all()
        self.faults.pauses.end(self.check)
        self.faults.poisons.remove()
        target = query(self.source(), "SELECT pg_current_wal_lsn()")[0][0]
        self.faults.say("no faults any more; the source is at " + target)
        began = time.monotonic()
        self.await_confirmed(target)
        took = time.monotonic() - began
        self.slowest = max(self.slowest, took)
        self.faults.say("all is confirmed, after %.1f s" % took)
        self.faults.parks.end(self.check, self.faults.revive)
        self.faults.resyncs.settle(self.check)
        self.faults.parks.end(self.check, self.faults.revive)
        self.faults.pauses.end(self.check)
        self.lives.await_copied(self.check, self.options.patience * 1.5)
        self.faults.say("all is copied, after %.1f s" % (time.monotonic() - began))
        self.faults.poisons.repair(self.check)
        self.faults.resyncs.leftovers()

    def compare(self):
        kills = self.faults.counts.get("kill olap", 0)
        rows, back = compare(self.rig.servers, self.lives, kills > self.olap_killed)
        self.came_back = max(self.came_back, back)
        if back == 0:
            self.olap_killed = kills
        return rows

    def one_round(self):
        self.rounds += 1
        self.faults.say("round %d" % self.rounds)
        self.workload.start()
        self.faults.add_table()
        self.faults.drop_table()
        self.faults.add_table()
        if self.options.set_aside:
            self.faults.detach()
            self.faults.park_or_resume()
        self.faults.for_a_while(self.options.round, self.check)
        self.faults.resync_in_peace(self.check)
        if self.options.set_aside and self.rounds % KEEPS_OUT == 4:
            self.faults.keep_out_in_peace(self.check)
        self.settle()
        rows = self.compare()
        self.lives.forget_gone()
        query(self.source(), "SELECT pg_replication_slot_advance('witness', pg_current_wal_lsn())")
        if self.rig.pipeline.zombies():
            raise Failure("zombies: %r" % self.rig.pipeline.zombies())
        grown = self.watch.sample_files()
        if grown:
            raise Failure(grown)
        self.check_log()
        committed, lost = self.workload.counts()
        print("# %5.0f s, round %d: equal, %d rows; %d transactions, %d connections lost, "
              "%d faults, %d of them kills, %d lives of tables" % (
                  time.monotonic() - self.faults.began, self.rounds, rows, committed, lost,
                  sum(self.faults.counts.values()), self.faults.killed,
                  sum(self.lives.counts.values())), flush=True)
        if query(self.source(), "SELECT count(*) FROM log")[0][0] > 20000:
            with psycopg2.connect(self.source()) as conn:
                conn.cursor().execute("TRUNCATE log")
            conn.close()

    def nothing_left(self):
        """Of a pipeline that was told to stop; its processes, drain() has seen."""
        servers = self.rig.servers
        sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'walpipe%'"
        for server, db in (("source", "torture"), ("target", "one"), ("target", "three")):
            wait_for(30, "no session of walpipe is left on " + server,
                     lambda s=server, d=db: query(servers.conninfo(s, d), sql) == [(0,)])

    def run(self):
        end = time.monotonic() + self.options.minutes * 60
        self.start()
        while time.monotonic() < end or self.rounds == 0:
            self.one_round()
        code = self.rig.pipeline.drain()
        self.faults.down.add("walpipe")
        if code != 0:
            raise Failure("the last drain ended with %d" % code)
        self.check_log()
        self.nothing_left()
        self.watch.end = True
        self.workload.stop()

    def summary(self):
        for kind, n in sorted(self.faults.counts.items()):
            print("# %5d  %s" % (n, kind))
        print("# %d rounds, %d faults, %d of them kills, %d drains with exit code 0, %d starts of "
              "the stream" % (self.rounds, sum(self.faults.counts.values()), self.faults.killed,
                              self.faults.drained,
                              self.rig.pipeline.log_text().count("streaming from slot")))
        print("# %d lives of tables: %s; published by %s, partitions %s" % (
            sum(self.lives.counts.values()),
            ", ".join("%d %s" % (n, what) for what, n in sorted(self.lives.counts.items())),
            "name" if self.lives.named else "FOR ALL TABLES",
            "through their root" if self.lives.via_root else "by themselves"))
        for what, n in sorted(self.faults.resyncs.counts.items()):
            print("# %5d  resync: %s" % (n, what))
        for what, n in sorted((self.faults.pauses.counts + self.faults.poisons.counts + self.seen).items()):
            print("# %5d  %s" % (n, what))
        for what, n in sorted(self.faults.parks.counts.items()):
            print("# %5d  parked tables: %s" % (n, what))
        print("# confirmed at the latest %.1f s after the last fault; %d samples of the slot; %d "
              "truncated rows that ClickHouse brought back" % (
                  self.slowest, self.watch.samples, self.came_back))
        print("# most memory, in MiB: " + ", ".join("%s %.1f" % (name, size / 2 ** 20) for name, size
                                                 in sorted(self.watch.memory.items())))
        for link, counts in self.rig.proxy_counts().items():
            print("# proxy %s: %s" % (link, counts))

    def snapshot(self, path):
        """What everybody is doing now, for what does not go on."""
        pipeline, servers = self.rig.pipeline, self.rig.servers
        activity = "SELECT pid, application_name, state, wait_event_type, wait_event, xact_start, " \
            "query_start, left(query, 200) FROM pg_stat_activity WHERE backend_type <> 'x'"
        with open(path, "w") as f:
            f.write(servers.bash(
                "%s/walpipe status -c %s 2>&1; true" % (pipeline.bin, pipeline.conf)) + "\n")
            for pid in pipeline.everybody():
                f.write("%d %s %s: %s" % (pid, proc_args(pid)[:1], proc_state(pid), subprocess.run(
                    ["sh", "-c", "cat /proc/%d/wchan; echo; ls -l /proc/%d/fd | tail -n +2; "
                     "timeout 5 gdb -p %d -batch -ex bt 2>/dev/null | grep '^#'; true"
                     % (pid, pid, pid)], capture_output=True, text=True, check=False).stdout))
            for server, db, sql in (
                    ("source", "torture", "SELECT * FROM pg_replication_slots"),
                    ("source", "torture", "SELECT * FROM pg_stat_replication"),
                    ("target", "one", "SELECT * FROM walpipe.progress"),
                    ("target", "three", "SELECT * FROM walpipe.progress"),
                    ("target", "one", "SELECT * FROM walpipe.tables"),
                    ("target", "three", "SELECT * FROM walpipe.tables"),
                    ("target", "one", "SELECT * FROM walpipe.missing"),
                    ("target", "three", "SELECT * FROM walpipe.missing"),
                    ("source", "torture", activity), ("target", "one", activity)):
                try:
                    f.write("\n%s %s: %s\n" % (server, db, sql))
                    f.writelines("  %r\n" % (row,) for row in query(
                        servers.conninfo(server, db), sql))
                except psycopg2.Error as e:
                    f.write(repr(e))

    def keep(self, snapshot):
        where = self.options.keep or "%s/build/torture/%s" % (ROOT, self.options.seed)
        shutil.rmtree(where, ignore_errors=True)
        os.makedirs(where)
        for name in ("walpipe.log", "torture.conf", "proxy.log", "source/log", "target/log",
                     "olap/log"):
            path = self.rig.servers.dir + "/" + name
            if os.path.exists(path):
                shutil.copy(path, where + "/" + name.replace("/", "."))
        if snapshot:
            self.snapshot(where + "/state")
        with open(where + "/faults.log", "w") as f:
            f.write("\n".join(self.faults.log if self.faults else []) + "\n")
        return where


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--round", type=float, default=10)
    parser.add_argument("--patience", type=float, default=60, help="seconds without progress; a busy machine needs more")
    parser.add_argument("--ease", type=float, default=1, metavar="N", help="clients pause N times as long")
    parser.add_argument("--keep")
    parser.add_argument("--set-aside", action="store_true", help="park tables, and detach sinks")
    parser.add_argument("--modern", action="store_true", help="a ClickHouse of today, by chdb")
    torture = Torture(parser.parse_args())
    print("# seed %d" % torture.options.seed, flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))
    try:
        torture.run()
        torture.summary()
        if torture.options.keep:
            torture.keep(snapshot=False)
    except Exception as e:  # the harness's own too: the logs say what it stumbled over
        where = torture.keep(snapshot=True)
        try:
            torture.check_log()
        except (Failure, OSError) as also:
            print(also)
        print("FAILED, seed %d, round %d: %s" % (torture.options.seed, torture.rounds,
                                                 e if isinstance(e, Failure) else repr(e)))
        for line in torture.faults.log[-60:] if torture.faults else []:
            print("    " + line)
        print("logs are in " + where, flush=True)
        if not isinstance(e, Failure):
            raise
        sys.exit(1)
    finally:
        torture.rig.end()


if __name__ == "__main__":
    main()
