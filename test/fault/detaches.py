"""detaches.py: sinks that are detached in the torture test. The source's WAL grows far beyond detach_after
while a sink is paused, or while its target lets nobody in; and walpipe resume --sink brings the sink back by
a copy of all its tables. Those that cannot be copied again are emptied first, as its hint says."""

import os
import re
import time

import psycopg2

from resyncs import WORKERS
from rig import Failure, wait_for

SINKS = ("one", "three", "olap")  # those that have detach_after
SEGMENTS = 3  # of WAL, together more than detach_after
FAILS = 120  # seconds until a sink without its target is detached: 30, and a restart
QUIET = 3  # seconds for the requests of a ClickHouse

# What a resume may say: rows came back, or the pipeline is about to start or to end.
REFUSED = re.compile(r"is not empty|or empty it in the target|has rows already|the slot is in use|programs still run with|cannot run with sink|"
                     r"too old for this command, or just starting|run without walpipe run")


class Detaches:
    def __init__(self, rig, random, faults):
        self.rig, self.random, self.faults = rig, random, faults
        self.wanted = False  # the WAL grows as soon as a sink is paused
        self.grown = False  # since a sink was paused

    def detached(self):
        return [s for s in SINKS if os.path.exists("%s/state/detached.%s" % (self.rig.pipeline.dir, s))]

    def candidates(self):
        detached = self.detached()
        return [s for s in self.faults.pauses.paused() if s in SINKS and s not in detached]

    def hopes(self):
        """ackd detaches a sink as soon as it hears of the source's WAL."""
        self.grown = self.grown and bool(self.candidates())
        return self.grown

    # ---- a paused sink ----

    def act(self):
        pauses = self.faults.pauses
        if "source" in self.faults.down:
            return
        if self.candidates():
            self.grow()
        elif pauses.may_pause():
            self.wanted = True
            pauses.begin("pause", self.random.choice([s for s in SINKS if s not in pauses.aside()]))

    def look(self):
        if self.wanted and "source" not in self.faults.down and self.candidates():
            self.wanted = False
            self.grow()

    def grow(self):
        try:
            conn = psycopg2.connect(self.rig.servers.conninfo("source", "torture") + " connect_timeout=5")
        except psycopg2.OperationalError:
            return
        conn.autocommit = True
        try:
            with conn.cursor() as c:
                for _ in range(SEGMENTS):
                    c.execute("SELECT pg_switch_wal() FROM pg_logical_emit_message(false, 'grow', '')")
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            pass
        finally:
            conn.close()
        self.grown = True
        self.faults.note("grow the WAL", "beyond detach_after of " + ", ".join(self.candidates()))

    # ---- a sink without its target ----

    def fail(self, check):
        """All sinks run, and there are no other faults, since 30 seconds without any are wanted."""
        sink = self.random.choice(SINKS)
        self.faults.note("keep out", sink)
        self.rig.tell(sink, "refuse")
        self.rig.tell(sink, "cut")
        self.grow()
        end = time.monotonic() + FAILS
        while sink not in self.detached():
            check()
            if time.monotonic() > end:
                raise Failure("for %d s sink %s had no target, and is not detached" % (FAILS, sink))
            time.sleep(0.1)
        self.rig.tell(sink, "pass")

    # ---- the way back ----

    def prepare(self, sink):
        """Whether the sink may come back now. Its copy must not meet a poison, nor rows of a table without a key."""
        server = "target" if sink in WORKERS else "olap"
        if self.faults.down & {"source", server}:
            return False
        try:
            self.faults.poisons.remove()
            self.faults.poisons.relaxed.add(sink)
            if sink in WORKERS:
                self.empty_postgres(sink)
            else:
                self.empty_clickhouse()
        except (psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.errors.DeadlockDetected) as e:
            self.faults.say("sink %s is not prepared: %s" % (sink, e))
            return False
        return True

    def to_empty(self, sink):
        """Those that cannot be copied again: without a key, or with others that inherit from them."""
        return [r for r in self.faults.lives.relations(sink)
                if r.heap or sink in WORKERS and r.name.startswith("parent") and not r.name.endswith("child")]

    def empty_postgres(self, sink):
        conn = psycopg2.connect(self.rig.servers.conninfo("target", sink) +
                                " connect_timeout=5 options='-c lock_timeout=2s'")
        try:
            with conn, conn.cursor() as c:
                c.execute("TRUNCATE " + ", ".join("ONLY " + r.name for r in self.to_empty(sink)))
        finally:
            conn.close()

    def empty_clickhouse(self):
        ask = self.faults.lives.ask_clickhouse
        try:
            wait_for(QUIET, "the requests of programs that are gone",
                     lambda: ask("SELECT count() - 1 FROM system.processes") == b"0")
        except Failure as e:
            raise psycopg2.OperationalError(str(e)) from None
        for relation in self.to_empty("olap"):
            # before 22.12 what was truncated may come back with the next kill
            ask("%s TABLE IF EXISTS %s" % ("TRUNCATE" if self.rig.servers.modern else "DROP", relation.name))
