"""poisons.py: transactions that a PostgreSQL target cannot take, in the torture test. The sink stops, which
ends walpipe run with 100; walpipe skip passes the transaction, with the command that the sink's hint
names; and at the end of a round the tables that lack its changes are copied again by walpipe resync. A sink
with on_error = park sets the table aside instead (parks.py).

No copy ever meets such a row, since nothing copies the table `poison` but that resync, behind the row's
delete."""

import collections
import json
import os
import re
import subprocess
import time

import psycopg2

from lives import run
from resyncs import WORKERS
from rig import Failure, wait_for

HINT = re.compile(r"walpipe skip -c FILE --sink (\w+) --lsn ([0-9A-F]+/[0-9A-F]+)")
PATIENCE = 120  # seconds
MOST = 4  # of a round


class Poisons:
    def __init__(self, rig, random):
        self.rig, self.random = rig, random
        self.source = rig.servers.conninfo("source", "torture")
        self.pending = False  # since the round's first poison
        self.number = 0
        self.sent = 0  # in this round
        self.log_seen = 0
        self.skipped = set()  # (sink, LSN)
        self.relaxed = set()  # sinks that are copied as a whole in this round, and perhaps see a transaction again
        self.counts = collections.Counter()

    def act(self, faults):
        """A transaction with a row that the targets' CHECK refuses, and most often with others."""
        if ("source" in faults.down or self.sent == MOST or faults.pauses.attaches() or
                not all(self.is_known(faults, sink) for sink in WORKERS)):
            return
        self.number += 1
        self.sent += 1
        self.pending = True
        also = ["UPDATE account SET note = 'beside a poison' WHERE id %% 97 = %d" % (self.number % 97)]
        row = ["INSERT INTO poison VALUES (%d, 'poison')" % (1000 + self.number)]
        try:
            run(self.source, *self.random.choice((row, row + also, also + row)))
        except psycopg2.Error:  # whether it was committed does not matter
            pass
        faults.note("poison", "number %d" % self.number)

    @staticmethod
    def is_known(faults, sink):
        """The first copy of the table would meet the row, which no skip passes. A parked table passes it over."""
        try:
            noted = faults.lives.target(sink, "SELECT count(*) FROM walpipe.tables WHERE name = 'poison' "
                                        "AND state = 'streaming'")[0][0]
            return noted == WORKERS[sink] or "poison" in faults.parks.parked(sink)
        except psycopg2.Error:
            return False

    def take(self, faults):
        """walpipe has ended with 100, as it must. Skips the transaction, and starts it."""
        pipeline = self.rig.pipeline
        faults.down.add("walpipe")
        wait_for(15, "walpipe ended, its programs live on", lambda: not pipeline.everybody())
        self.skip_named(faults)
        faults.start_walpipe()

    def skip_named(self, faults):
        """What the newest hint of the log names."""
        with open(self.rig.pipeline.log, errors="replace") as f:
            f.seek(self.log_seen)
            found = HINT.findall(f.read())
            self.log_seen = f.tell()
        if not found:
            raise Failure("an exit code is 100, and no hint names a transaction that could be skipped")
        sink, lsn = found[-1]
        if (sink, lsn) in self.skipped and sink not in self.relaxed:
            raise Failure("%s of %s was skipped, and failed again" % (lsn, sink))
        self.skip(faults, sink, lsn)
        self.skipped.add((sink, lsn))

    def skip(self, faults, sink, lsn):
        only = self.random.random() < 0.4
        argv = [self.rig.pipeline.bin + "/walpipe", "skip", "-c", self.rig.pipeline.conf, "--sink", sink,
                "--lsn", lsn] + ["--table", "public.poison"] * only
        end = time.monotonic() + PATIENCE
        while True:
            faults.undo_due()
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT, text=True)
            if self.random.random() < 0.2:
                time.sleep(self.random.choice((0.01, 0.05, 0.2)))
                process.kill()
            text = process.communicate(timeout=PATIENCE)[0]
            self.counts["skip: exit code %d" % process.returncode] += 1
            if process.returncode == 0:
                break
            if process.returncode not in (111, -9) or time.monotonic() > end:
                raise Failure("walpipe skip ended with %d: %s" % (process.returncode, text))
            time.sleep(0.1)
        faults.note("skip", "%s of %s%s" % (lsn, sink, ", of one table" if only else ""))

    def remove(self):
        """Behind the last poison of a round."""
        if self.pending:
            run(self.source, "DELETE FROM poison WHERE v = 'poison'")

    def lacks(self):
        done = subprocess.run([self.rig.pipeline.bin + "/walpipe", "tables", "-c", self.rig.pipeline.conf, "--json"],
                              capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise Failure("walpipe tables ended with %d: %s%s" % (done.returncode, done.stdout, done.stderr))
        return {(s["sink"], "%s.%s" % (lack["schema"], lack["table"]))
                for s in json.loads(done.stdout)["sinks"] for lack in s["lacks"]}

    def repair(self, check):
        """All is confirmed and copied. Copies again what lacks changes, of which each skip names some."""
        if not self.pending:
            return
        lacks = self.lacks()
        silent = {sink for sink, _ in self.skipped} - {sink for sink, _ in lacks} - self.relaxed
        if silent:
            raise Failure("transactions were skipped, and no table lacks anything: %r, %r" % (silent, self.skipped))
        end = time.monotonic() + PATIENCE
        while lacks:
            for sink, table in sorted(lacks):
                done = subprocess.run([self.rig.pipeline.bin + "/walpipe", "resync", "-c", self.rig.pipeline.conf,
                                       "--sink", sink, "--table", table, "--wait"],
                                      capture_output=True, text=True, timeout=PATIENCE, check=False)
                self.counts["repair: exit code %d" % done.returncode] += 1
                check()
                if done.returncode not in (0, 111):
                    raise Failure("resync of %s of %s ended with %d: %s%s" % (
                        table, sink, done.returncode, done.stdout, done.stderr))
            if time.monotonic() > end:
                raise Failure("tables still lack changes: %r" % lacks)
            lacks = self.lacks()
        letters = [f for f in os.listdir(self.rig.pipeline.dir + "/state") if f.startswith("skipped.")]
        for sink, lsn in self.skipped:
            if not any(f.startswith("skipped.%s.%s." % (sink, lsn.replace("/", "-"))) for f in letters):
                raise Failure("%s of %s was skipped, and no file has its changes" % (lsn, sink))
        for name in letters:
            os.unlink("%s/state/%s" % (self.rig.pipeline.dir, name))
        self.counts["repaired"] += len(self.skipped)
        self.skipped.clear()
        self.relaxed.clear()
        self.sent = 0
        self.pending = False
