"""parks.py: tables that are parked in the torture test. A constraint makes a target refuse some keys of a
table, so that on_error = park sets it aside whenever the stream, a copy or a merge meets one of them. Later
the constraint goes, and walpipe resume --table brings the table back. Now and then the command is killed.
Nothing else may park a table but a poison (poisons.py). A sink stops instead while it has on_error = stop."""

import collections
import re
import subprocess
import time

import psycopg2

from rig import Failure

NAME = "refuses_some"  # the constraint's
REASONS = (NAME, "no_poison")
SINKS = ("one", "three")
MOST = 3  # tables that are broken at once
AFTER = 1.5  # seconds, at least, from a constraint to its end
COMMAND = 60  # seconds
PATIENCE = 200  # seconds; a command waits for the pipeline, and a second one follows
ODD = re.compile(r"AddressSanitizer|LeakSanitizer|runtime error:")


def key_of(relation):
    return "a" if relation.name == "pair" else "id"


class Parks:
    def __init__(self, rig, lives, random):
        self.rig, self.lives, self.random = rig, lives, random
        self.bin = rig.servers.dir + "/command"  # of Resyncs
        self.broken = {}  # (sink, name): since when
        self.command = None  # (process, when to kill it)
        self.counts = collections.Counter()
        self.said = ""  # by the last command

    # ---- the target ----

    def ask(self, sink, sql):
        conn = psycopg2.connect(self.rig.servers.conninfo("target", sink) +
                                " connect_timeout=5 options='-c lock_timeout=2s'")
        try:
            with conn, conn.cursor() as c:
                c.execute(sql)
                return c.fetchall() if c.description else []
        finally:
            conn.close()

    def parked(self, sink):
        """The names of those that are parked now. Each was parked for our reason."""
        if self.ask(sink, "SELECT to_regclass('walpipe.parked')") == [(None,)]:
            return []
        rows = self.ask(sink, "SELECT name, reason, resumed_at IS NULL FROM walpipe.parked")
        for name, reason, _ in rows:
            if not any(r in reason for r in REASONS):
                raise Failure("%s of %s was parked: %s" % (name, sink, reason))
        return [name for name, _, active in rows if active]

    def choose_ways(self):
        """Now and then another on_error, at a start. With stop nothing but a poison may be refused."""
        if self.random.random() < 0.8:
            return
        ways = self.rig.pipeline.on_error
        sink = self.random.choice(SINKS)
        if ways[sink] == "stop":
            ways[sink] = "park"
        elif not any(s == sink for s, _ in self.broken):
            ways[sink] = "stop"
        self.counts["%s: on_error = %s" % (sink, ways[sink])] += 1
        self.rig.pipeline.configure()

    # ---- the actions ----

    def act(self, faults):
        if "target" in faults.down:
            return
        self.look()
        try:
            due = [k for k, since in self.broken.items() if time.monotonic() > since + AFTER]
            if due and (len(self.broken) >= MOST or self.random.random() < 0.5):
                self.mend(faults, *self.random.choice(due))
            elif len(self.broken) < MOST:
                self.spoil(faults)
        except (psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.errors.LockNotAvailable,
                psycopg2.errors.DeadlockDetected, psycopg2.errors.UndefinedTable):
            self.counts["no lock, or no server"] += 1

    def spoil(self, faults):
        sinks = [s for s in SINKS if self.rig.pipeline.on_error[s] == "park"]
        if not sinks:
            return
        sink = self.random.choice(sinks)
        able = [r for r in self.lives.copied(sink)
                if not r.heap and not r.tree and (sink, r.name) not in self.broken]
        relation = self.random.choice(able)
        self.broken[sink, relation.name] = time.monotonic()
        self.ask(sink, "ALTER TABLE %s ADD CONSTRAINT %s CHECK ((hashint8(%s) & 1023) %% %d <> 1) NO INHERIT NOT VALID" % (
            relation.name, NAME, key_of(relation), self.random.choice((2, 20, 200))))
        self.counts["constraints"] += 1
        faults.note("refuse keys", "%s of %s" % (relation.name, sink))

    def mend(self, faults, sink, name):
        self.ask(sink, "ALTER TABLE IF EXISTS %s DROP CONSTRAINT IF EXISTS %s" % (name, NAME))
        del self.broken[sink, name]
        parked = name in self.parked(sink)
        self.counts["mended, %s" % ("parked" if parked else "not parked")] += 1
        faults.note("take all keys", "%s of %s, %s" % (name, sink, "parked" if parked else "not parked"))
        if parked and self.command is None:
            kill = self.random.random() < 0.3
            self.resume(sink, name, time.monotonic() + (self.random.choice((0.02, 0.1, 0.5, 1)) if kill else COMMAND))

    # ---- the command ----

    def resume(self, sink, name, kill):
        argv = [self.bin + "/walpipe", "resume", "-c", self.rig.pipeline.conf, "--sink", sink, "--table", "public." + name]
        self.command = (subprocess.Popen(argv + ["--wait"] * (self.random.random() < 0.3), stdin=subprocess.DEVNULL,
                                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True), kill)

    def look(self):
        if self.command is None:
            return
        process, kill = self.command
        if process.poll() is None and time.monotonic() > kill:
            process.kill()
            process.wait()
        if process.poll() is None:
            return
        text = process.stdout.read()
        process.stdout.close()
        self.command = None
        self.said = text
        self.counts["resume: exit code %d" % process.returncode] += 1
        if process.returncode not in (0, 100, 111, -9) or ODD.search(text):
            raise Failure("walpipe resume ended with %d: %s" % (process.returncode, text))

    # ---- the end of a round ----

    def mend_all(self):
        """The servers are up, but one may still begin."""
        for sink, name in list(self.broken):
            end = time.monotonic() + PATIENCE
            while (sink, name) in self.broken:
                try:
                    self.ask(sink, "ALTER TABLE IF EXISTS %s DROP CONSTRAINT IF EXISTS %s" % (name, NAME))
                    del self.broken[sink, name]
                except psycopg2.Error as e:
                    if time.monotonic() > end:
                        raise Failure("%s of %s cannot be mended: %s" % (name, sink, e)) from None
                    time.sleep(0.2)

    def left(self):
        """Those that are parked and still there."""
        return [(s, n) for s in SINKS for n in self.parked(s) if n in {r.name for r in self.lives.relations(s)}]

    def end(self, check, revive):
        """No table is parked any more, and the poisons are gone."""
        self.mend_all()
        end, left = time.monotonic() + PATIENCE, None
        while left is None or left or self.command is not None:
            check()
            revive()
            self.look()
            try:
                left = self.left()
            except psycopg2.OperationalError:
                left = None
            if left and self.command is None:
                self.resume(*left[0], time.monotonic() + COMMAND)
            if time.monotonic() > end:
                raise Failure("tables stay parked: %r; %s" % (left, self.said))
            time.sleep(0.1)
