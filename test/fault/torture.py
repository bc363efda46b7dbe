#!/usr/bin/python3
"""torture.py: the crash test of the whole (trap 175).

    torture.py [--minutes M] [--seed N] [--round SECONDS] [--keep DIR]

A source, a PostgreSQL target (a sink with one worker, one with three) and a ClickHouse; walpipe run
between them; clients that change the source at random. In rounds: some seconds of faults at random
moments (programs killed and stopped, servers crashed, connections stalled and cut), then none;
everything must become confirmed with no pause of a minute, and every table of every target must
hold the source's rows. All the while the slot's confirmed_flush_lsn must not pass what any
PostgreSQL worker has in walpipe.progress, nor ackd's checkpoint; no program may end with 101, need
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
import subprocess
import sys
import time

import psycopg2

from faults import Faults
from rig import Failure, ROOT, Rig, proc_args, proc_state, wait_for
from watch import Watch, lsn
from workload import KEYLESS, TABLES, Workload

COLUMNS = {"account": "id, v, note", "toast": "id, n, big, other", "pair": "a, b, v",
           "log": "client, seq, note", "cleared": "id, v", "uniq": "id, u", "whole": "id, v, w"}

# What no fault excuses. 100 is for what only a person can mend: here everything heals by itself.
BAD_LOG = re.compile(
    r"AddressSanitizer|LeakSanitizer|runtime error:|ended with exit code (99|10[01])\b"
    r"|killed by signal (4|6|7|8|11)\b")


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

def pg_rows(conninfo, table):
    conn = psycopg2.connect(conninfo + " connect_timeout=5")
    lines = []

    class Sink:
        @staticmethod
        def write(data):
            lines.append(data)
    try:
        with conn.cursor() as c:
            c.copy_expert("COPY (SELECT %s FROM %s) TO STDOUT" % (COLUMNS[table], table), Sink)
    finally:
        conn.close()
    return collections.Counter(b"".join(
        x if isinstance(x, bytes) else x.encode() for x in lines).splitlines())


def ch_rows(servers, table):
    view = servers.clickhouse("SELECT count() FROM system.tables WHERE database = 'torture' "
                              "AND name = '%s_current'" % table).strip() != b"0"
    return collections.Counter(servers.clickhouse("SELECT %s FROM %s FORMAT TabSeparated" % (
        COLUMNS[table], table + "_current" if view else table), "torture").splitlines())


def ch_rows_truncated(servers, table):
    """The rows that are older than the table's last TRUNCATE: only a ClickHouse before 22.12 may
    bring them back, when it is restarted (sink-ch(1))."""
    note = re.match(rb"walpipe: truncated at (\d+)\.0$", servers.clickhouse(
        "SELECT comment FROM system.columns WHERE database = 'torture' AND table = '%s' "
        "AND name = '_version'" % table).strip())
    if note is None:
        return collections.Counter()
    return collections.Counter(servers.clickhouse(
        "SELECT %s FROM (SELECT * FROM %s FINAL) WHERE _is_deleted = 0 AND _version < %d "
        "FORMAT TabSeparated" % (COLUMNS[table], table, int(note.group(1))), "torture").splitlines())


def differences(want, got, missing_only):
    """The differing rows."""
    out = ["only in the source, %d times: %s" % (n, row[:300]) for row, n in (want - got).items()]
    if not missing_only:
        out += ["only in the target, %d times: %s" % (n, row[:300])
                for row, n in (got - want).items()]
    return out


def compare(servers, may_come_back):
    """may_come_back: ClickHouse was killed. Returns the number of rows, and of those that were
    truncated and came back."""
    found, rows, back = [], 0, collections.Counter()
    for table in TABLES:
        want = pg_rows(servers.conninfo("source", "torture"), table)
        rows += sum(want.values())
        olap = ch_rows(servers, table)
        if table == "cleared" and may_come_back:
            back = ch_rows_truncated(servers, table)
            olap -= back
        targets = [("olap", olap), ("one", pg_rows(servers.conninfo("target", "one"), table))]
        if table != "uniq":
            targets.append(("three", pg_rows(servers.conninfo("target", "three"), table)))
        for sink, got in targets:
            # A table without a key may hold rows twice in ClickHouse.
            diffs = differences(want, got, sink == "olap" and table in KEYLESS)
            if diffs:
                found.append("%s of %s: %d rows differ" % (table, sink, len(diffs)))
                found += ["    " + d for d in diffs[:10]]
    if found:
        raise Failure("\n".join(found))
    return rows, sum(back.values())


# ---- the test ----

class Torture:
    def __init__(self, options):
        self.options = options
        self.rig = Rig()
        self.faults = None
        self.rounds = 0
        self.log_seen = 0
        self.olap_killed = 0  # how often, when no truncated row was there
        self.came_back = 0
        self.slowest = 0.0

    def start(self):
        self.rig.start()
        self.rig.pipeline.start()
        wait_for(60, "the pipeline streams",
                 lambda: "streaming from slot" in self.rig.pipeline.log_text())
        self.watch = Watch(self.rig)
        self.watch.start()
        self.workload = Workload(self.options.seed, self.source())
        self.faults = Faults(self.rig, self.options.seed)

    def source(self):
        return self.rig.servers.conninfo("source", "torture")

    def check(self):
        """Of what must never be."""
        if self.watch.failure:
            raise Failure(self.watch.failure)
        if not self.watch.is_alive():
            raise RuntimeError("nobody watches any more")
        process = self.rig.pipeline.process
        if "walpipe" not in self.faults.down and process.poll() is not None:
            raise Failure("walpipe ended by itself, exit code %d" % process.returncode)

    def check_log(self):
        with open(self.rig.pipeline.log, errors="replace") as f:
            f.seek(self.log_seen)
            new = f.read()
            self.log_seen = f.tell()
        for line in new.splitlines():
            if BAD_LOG.search(line):
                raise Failure("in walpipe's log: " + line)

    def await_confirmed(self, target):
        """However long it takes on a busy machine, it must go on."""
        at, moved = None, time.monotonic()
        while at is None or lsn(at) < lsn(target):
            self.check()
            now = query(self.source(), "SELECT confirmed_flush_lsn FROM pg_replication_slots "
                        "WHERE slot_name = 'torture'")[0][0]
            if now != at:
                at, moved = now, time.monotonic()
            elif time.monotonic() > moved + 60:
                raise Failure("for 60 s the slot has not moved from %s to %s" % (at, target))
            time.sleep(0.05)

    def settle(self):
        self.faults.all_well()
        self.workload.pause()
        self.check()
        self.faults.revive()
        target = query(self.source(), "SELECT pg_current_wal_lsn()")[0][0]
        self.faults.say("no faults any more; the source is at " + target)
        began = time.monotonic()
        self.await_confirmed(target)
        took = time.monotonic() - began
        self.slowest = max(self.slowest, took)
        self.faults.say("all is confirmed, after %.1f s" % took)

    def compare(self):
        kills = self.faults.counts.get("kill olap", 0)
        rows, back = compare(self.rig.servers, kills > self.olap_killed)
        self.came_back = max(self.came_back, back)
        if back == 0:
            self.olap_killed = kills
        return rows

    def one_round(self):
        self.rounds += 1
        self.faults.say("round %d" % self.rounds)
        self.workload.start()
        self.faults.for_a_while(self.options.round, self.check)
        self.settle()
        rows = self.compare()
        if self.rig.pipeline.zombies():
            raise Failure("zombies: %r" % self.rig.pipeline.zombies())
        grown = self.watch.sample_files()
        if grown:
            raise Failure(grown)
        self.check_log()
        committed, lost = self.workload.counts()
        print("# %5.0f s, round %d: equal, %d rows; %d transactions, %d connections lost, "
              "%d faults, %d of them kills" % (
                  time.monotonic() - self.faults.began, self.rounds, rows, committed, lost,
                  sum(self.faults.counts.values()), self.faults.killed), flush=True)
        if rows > 25000:
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
    parser.add_argument("--keep")
    torture = Torture(parser.parse_args())
    print("# seed %d" % torture.options.seed, flush=True)
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
