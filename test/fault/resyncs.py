"""resyncs.py: walpipe resync in the torture test. A table is damaged in the target, and the command has it
copied again: while the pipeline runs, with --wait and without, and while it does not; now and then the
command is killed itself.

The damage is planted behind the note of the resync and before its end, since no promise says what changes
do to damaged rows of a table that streams. So a session locks the table in the target, asks for the
resync, looks for its note, damages, and commits. The lock keeps the merge away, and nobody else."""

import collections
import os
import re
import signal
import subprocess
import threading
import time

import psycopg2

from rig import Failure

WORKERS = {"one": 1, "three": 3}  # of the sinks
READY = 20  # seconds until the pipeline runs and the table streams; else it is asked without that
ASKING = 12  # seconds; a TRUNCATE of the source that waits for the lock keeps the answer back
COMMAND = 60  # seconds; it waits until the slot is free
WAITING = 120  # seconds until --wait has noticed that nothing is copied any more
FAR = 10 ** 7  # keys that the source never has

DAMAGE = {
    # table: a change of it, and rows that only the target has; {n} is a number from FAR on
    "account": ("note = 'damaged', v = -1", "(id, v, note) SELECT {n} + g, g, 'surplus'"),
    "toast": ("n = -5, big = 'damaged'", "(id, n, big) SELECT {n} + g, g, repeat('surplus', 500)"),
    "pair": ("v = -7", "(a, b, v) SELECT {n} + g, 'surplus', g"),
    "cleared": ("v = 'damaged'", "(id, v) SELECT {n} + g, 'surplus'"),
    "uniq": ("u = -id", "(id, u) SELECT {n} + g, {n} + g"),
}
# The same for a ClickHouse: columns, what becomes of them, and rows that only the target has.
DAMAGE_OLAP = {
    "account": ("id, v, note", "id, -1, 'damaged'", "{n} + number, 0, 'surplus'"),
    "toast": ("id, n, big", "id, -5, 'damaged'", "{n} + number, 0, 'surplus'"),
    "pair": ("a, b, v", "a, b, toDecimal64(-7, 4)", "{n} + number, 'surplus', toDecimal64(1, 4)"),
    "cleared": ("id, v", "id, 'damaged'", "{n} + number, 'surplus'"),
    "uniq": ("id, u", "id, -id", "{n} + number, {n} + number"),
}
LATE_OLAP = ("id, n, v, big", "id, -5, v, 'damaged'", "{n} + number, 0, 'surplus', 'surplus'")
LATE = ("n = -5, big = 'damaged'", "(id, n, v, big) SELECT {n} + g, g, 'surplus', repeat('surplus', 500)")


def key_of(relation):
    return "a, b" if relation.name == "pair" else "id"


class Request(threading.Thread):
    """One resync of a table of a PostgreSQL sink, while all else goes on."""

    def __init__(self, resyncs, sink, relation, wait):
        super().__init__(daemon=True)
        self.resyncs, self.sink, self.relation, self.wait = resyncs, sink, relation, wait
        self.random = resyncs.new_random()
        self.error = None

    def run(self):
        try:
            self.ask()
        except (psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.errors.DeadlockDetected,
                psycopg2.errors.LockNotAvailable, psycopg2.errors.UndefinedTable):
            self.resyncs.count("a session was lost, or a lock did not come")
        except (Failure, psycopg2.Error, OSError) as e:
            self.error = "resync of %s of %s: %s" % (self.relation.name, self.sink, e)

    def ask(self):
        conn = psycopg2.connect(self.resyncs.conninfo(self.sink) + " connect_timeout=5 options='-c lock_timeout=5s'")
        process = None
        try:
            with conn.cursor() as c:
                self.resyncs.await_run(c, self.sink, self.relation)
                self.resyncs.lock(c, self.relation)
                process = self.resyncs.command(self.sink, self.relation, self.wait)
                noted = self.see_note(c, process)
                if noted:
                    self.resyncs.damage(c, self.relation, self.random)
            conn.commit()
        except Exception:
            self.give_up(process)
            raise
        finally:
            conn.close()
        self.end(process, noted)

    @staticmethod
    def give_up(process):
        if process is not None:
            process.kill()
            process.wait()
            process.stdout.close()

    def see_note(self, c, process):
        """The command ends, or the note is there, or it takes too long."""
        end = time.monotonic() + ASKING
        code = None
        while code is None and time.monotonic() < end:
            code = process.poll()
            if self.wait and self.resyncs.is_noted(c, self.sink, self.relation):
                return True
            time.sleep(0.05)
        noted = self.resyncs.is_noted(c, self.sink, self.relation)
        if code == 0 and not noted and self.resyncs.lives.has(self.relation):
            raise Failure("it was accepted, and is not noted: %r" % self.resyncs.states(c, self.relation))
        return noted

    def end(self, process, noted):
        patience = WAITING if self.wait and noted else 0
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            if patience:
                # the table may have been copied by hand meanwhile, or dropped
                self.resyncs.count("--wait took long")
            process.kill()
            process.wait()
        self.resyncs.ended(process, noted)


class Resyncs:
    def __init__(self, rig, lives, new_random):
        self.rig, self.lives, self.new_random = rig, lives, new_random
        self.counts = collections.Counter()
        self.requests = []
        self.guard = threading.Lock()
        # The command's programs are not the pipeline's: the same files under other names.
        self.bin = rig.servers.dir + "/command"
        os.mkdir(self.bin)
        for name in os.listdir(rig.pipeline.bin):
            os.link("%s/%s" % (rig.pipeline.bin, name), "%s/%s" % (self.bin, name))

    def conninfo(self, sink):
        return self.rig.servers.conninfo("target", sink)

    def count(self, what):
        with self.guard:
            self.counts[what] += 1

    # ---- the target ----

    @staticmethod
    def lock(c, relation):
        c.execute("LOCK TABLE %s%s IN ROW EXCLUSIVE MODE" % ("" if relation.tree else "ONLY ", relation.name))

    @staticmethod
    def states(c, relation):
        c.execute("SELECT to_regclass('walpipe.tables') IS NOT NULL")
        if not c.fetchone()[0]:
            return []
        c.execute("SELECT state FROM walpipe.tables WHERE relid <> 0 AND name = %s", (relation.name,))
        return [state for state, in c.fetchall()]

    def are_all(self, c, sink, relation, state):
        """The notes of all workers."""
        states = self.states(c, relation)
        return len(states) >= WORKERS[sink] and {s.removeprefix("out-") for s in states} == {state}

    def is_noted(self, c, sink, relation):
        """The resync begins, whatever comes."""
        return self.are_all(c, sink, relation, "resync")

    def damage(self, c, relation, random):
        """Rows are removed, changed and added; none of it can clash with what the source sends."""
        change, add = DAMAGE.get(relation.name, LATE)
        only = "" if relation.tree else "ONLY "
        key = key_of(relation)
        some = "(%s) IN (SELECT %s FROM %s%s ORDER BY random() LIMIT %d)"
        ways = random.sample(("remove", "change", "add"), random.choice((1, 2, 3, 3)))
        if random.random() < 0.1:
            ways = ["remove all"]
        if "remove" in ways:
            c.execute("DELETE FROM %s%s WHERE " % (only, relation.name) + some % (
                key, key, only, relation.name, random.choice((1, 50, 2000))))
        if "change" in ways:
            c.execute("UPDATE %s%s SET %s WHERE " % (only, relation.name, change) + some % (
                key, key, only, relation.name, random.choice((1, 50, 2000))))
        if "add" in ways and not relation.name.endswith("_b"):  # its bounds are full
            far = -FAR if relation.name.endswith("_a") else FAR
            c.execute("INSERT INTO %s %s FROM generate_series(1, %d) AS g ON CONFLICT DO NOTHING" % (
                relation.name, add.format(n=far), random.choice((1, 50, 2000))))
        if "remove all" in ways:
            c.execute("DELETE FROM %s%s" % (only, relation.name))
        self.count("damaged: " + ", ".join(sorted(ways)))
        self.lives.counts["resynced"] += 1

    # ---- the command ----

    def await_run(self, c, sink, relation):
        """Most often, the pipeline runs when it is asked, and the table is copied."""
        end = time.monotonic() + READY
        while time.monotonic() < end and not self.are_all(c, sink, relation, "streaming"):
            time.sleep(0.1)
        self.rig.pipeline.await_stream(end - time.monotonic(), lambda: None)

    def command(self, sink, relation, wait=False):
        argv = [self.bin + "/walpipe", "resync", "-c", self.rig.pipeline.conf, "--sink", sink, "--table",
                "public." + relation.name] + ["--wait"] * wait
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, start_new_session=True)

    def ended(self, process, noted):
        """Sorts what the command said."""
        text, code = process.stdout.read(), process.returncode
        process.stdout.close()
        said = [line for line in text.splitlines() if line] or [""]
        first = next((line for line in said if '"error"' in line), said[-1])  # a program's, before walpipe's
        last = re.sub(r'.*"message":"((?:[^"\\]|\\.)*)".*', r"\1", first)
        last = re.sub(r"\w+_\d+(_\w+)?|account|toast|pair|cleared|uniq|whole|log|[0-9A-F]+/[0-9A-F]+", "_", last)[:90]
        self.count("%s, %s: %s" % ({0: "accepted", -9: "killed"}.get(code, "exit %d" % code),
                                   "noted" if noted else "not noted", last))
        if code not in (0, 100, 111, -9):
            raise Failure("walpipe resync ended with %d: %s" % (code, text))

    # ---- the actions ----

    def ask(self, faults):
        """While all goes on, whether the pipeline runs just now or not."""
        if "target" in faults.down:
            return
        sink, relation = self.choose(faults)
        wait = faults.random.random() < 0.3
        request = Request(self, sink, relation, wait)
        self.requests.append(request)
        faults.note("resync", "%s of %s%s" % (relation.name, sink, ", with --wait" if wait else ""))
        request.start()

    def choose(self, faults, sinks=("one", "three")):
        sink = faults.random.choice(sinks)
        able = [r for r in self.lives.copied(sink) if not r.heap or faults.random.random() < 0.05]
        return sink, faults.random.choice(able)

    def stopped(self, faults):
        """The pipeline is down, and the next start finds the note. walpipe is in faults.down."""
        sink, relation = self.choose(faults, ("one", "three", "olap"))
        process = self.command(sink, relation)
        killed = faults.random.random() < 0.3
        if killed:
            time.sleep(faults.random.choice((0, 0.02, 0.1, 0.3)))
            if faults.random.random() < 0.5:  # the sink's program, which notes it, may live on
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)
        try:
            code = process.wait(COMMAND)
        except subprocess.TimeoutExpired:
            process.kill()
            raise Failure("walpipe resync of a stopped pipeline hangs") from None
        look = self.look_and_damage_olap if sink == "olap" else self.look_and_damage
        states = look(sink, relation, faults.random)
        noted = "resync" in states
        if code == 0 and not noted:
            raise Failure("resync of %s of %s was noted, and is not: %r" % (relation.name, sink, states))
        faults.note("resync, stopped", "%s of %s%s, %s" % (
            relation.name, sink, ", killed" if killed else "", "noted" if noted else "not noted"))
        self.ended(process, noted)

    def look_and_damage(self, sink, relation, random):
        conn = psycopg2.connect(self.conninfo(sink) + " connect_timeout=5 options='-c lock_timeout=10s'")
        try:
            with conn, conn.cursor() as c:
                self.lock(c, relation)
                states = {s.removeprefix("out-") for s in self.states(c, relation)}
                if "resync" in states:  # one worker's note is enough: whoever loads it takes it for all
                    self.damage(c, relation, random)
        finally:
            conn.close()
        return states

    def look_and_damage_olap(self, _, relation, random):
        ask = self.lives.ask_clickhouse
        if ask("EXISTS TABLE walpipe_tables") != b"1" or ask("EXISTS TABLE " + relation.name) != b"1":
            return set()
        states = set(ask("SELECT state FROM walpipe_tables FINAL WHERE relid <> 0 AND name = '%s'"
                         % relation.name).decode().split())
        states = {s.removeprefix("out-") for s in states}
        if "resync" not in states:
            return states
        columns, change, add = DAMAGE_OLAP.get(relation.name, LATE_OLAP)
        ways = random.sample(("remove", "change", "add"), random.choice((1, 2, 3)))
        far = -FAR if relation.name.endswith("_a") else FAR
        insert = "INSERT INTO %s (%s, _version, _is_deleted) " % (relation.name, columns)
        if "remove" in ways:
            ask("ALTER TABLE %s DELETE WHERE %s %% 3 = 1" % (relation.name, columns.split(",", maxsplit=1)[0]))
            self.lives.await_mutations(relation.name)
        if "change" in ways:  # newer than the row, and older than all that comes
            ask(insert + "SELECT %s, _version + 1, 0 FROM %s FINAL WHERE _is_deleted = 0 LIMIT %d" % (
                change, relation.name, random.choice((1, 50, 2000))))
        if "add" in ways:
            ask(insert + "SELECT %s, 1, 0 FROM numbers(%d)" % (add.format(n=far), random.choice((1, 50, 2000))))
        self.count("damaged in ClickHouse: " + ", ".join(sorted(ways)))
        self.lives.counts["resynced"] += 1
        return states

    # ---- what must not be ----

    def are_asked(self):
        return any(r.is_alive() for r in self.requests)

    def check(self):
        for request in self.requests:
            if request.error:
                raise Failure(request.error)
        self.requests = [r for r in self.requests if r.is_alive()]

    def settle(self, check):
        """All requests end. Tables that are streaming have nothing left over."""
        end = time.monotonic() + WAITING + 30
        while self.requests:
            check()
            self.check()
            if time.monotonic() > end:
                raise Failure("a resync of %s does not end" % ", ".join(r.relation.name for r in self.requests))
            time.sleep(0.1)
        self.check()

    def leftovers(self):
        for sink in ("one", "three"):
            found = self.lives.target(sink, "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^resync_' "
                                      "AND relnamespace = to_regnamespace('walpipe')")
            if found:
                raise Failure("staging tables of %s are left: %r" % (sink, found))
