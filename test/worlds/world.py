"""world.py: runs one world on the servers: databases, pipeline, steps, verdict.

A verdict is a dict: {"end": "equal" | "refused" | "fault", "kind": ..., "text": [lines], ...}."""

import copy
import glob
import os
import re
import shutil
import subprocess
import sys
import time

import psycopg2

import oracle
import proxy
import resync
from program import Gone, Hang, Pipeline
from progress import Progress

CONTROL_PATIENCE, ITS_ERRORS_SHOW = 20, 45  # seconds; where a subscription is disabled by an error
NEVER = "belongs to another (source|slot)"  # each world has a target of its own
QUIET_PATIENCE, LOUD = 20, 20000  # seconds until nobody writes; bytes of WAL in 0.7 s
COPIES = ("copy_workers", "copy_rate")  # keys of [pipeline]
LISTED = "published tables are to be copied"  # pg-table-read, behind the workers' answers
RETRIES = 7  # of a sink whose target is there: more will not help


class Bench:
    """Servers that are started when a world needs them, and kept."""

    def __init__(self, servers, options):
        self.servers, self.options = servers, options
        self.started, self.address = set(), None
        self.links, self.control = {}, servers.path("proxy.sock")

    def clickhouse(self, sink):
        """Its URL: Debian's old one, or today's engine."""
        if sink not in self.started:
            self.servers("ch_new" if sink == "ch18" else "chdb_new", sink)
            self.started.add(sink)
        return self.servers("ch_url", sink)

    def http(self):
        """An address for the numbers of a pipeline."""
        if self.address is None:
            self.address = "127.0.0.1:" + self.servers("port_new")
        return self.address

    def link(self, sink):
        """A URL of it through proxy.py, which makes it slow when told to."""
        if sink not in self.links:
            port, target = self.servers("port_new"), self.clickhouse(sink).rpartition(":")[2]
            command = [sys.executable, proxy.__file__, "serve", self.control, f"{sink}={port}:{target}"]
            self.links[sink] = subprocess.Popen(command, stdin=subprocess.DEVNULL), f"http://127.0.0.1:{port}"
            wait_for(lambda: os.path.exists(self.control), 20)
        return self.links[sink][1]

    def tell(self, *words):
        answer = proxy.tell(self.control, *words)
        if answer != "ok":
            raise BadWorld(f"proxy {words}: {answer}")

    def end(self):
        for process, _ in self.links.values():
            process.kill()
            process.wait()

    def name(self, side, major):
        return f"{side}{major}"

    def server(self, side, major):
        name = self.name(side, major)
        if name not in self.started:
            more = ["max_worker_processes=30", "wal_retrieve_retry_interval=200ms", "max_connections=60",
                    "max_wal_size=4GB", "autovacuum=off"]
            self.servers.postgres(name, major, *more)
            self.started.add(name)
            self.run(name, "CREATE ROLE apply LOGIN")
        return name

    def conninfo(self, name, database="postgres", role="postgres"):
        with open(self.servers.path(f"{name}/port")) as f:
            port = f.read().strip()
        return f"host={self.servers.path(name)} port={port} user={role} dbname={database}"

    def connect(self, name, database="postgres"):
        connection = psycopg2.connect(self.conninfo(name, database))
        connection.autocommit = True
        connection.set_client_encoding("UTF8")
        return connection

    def run(self, name, *statements, database="postgres"):
        connection = self.connect(name, database)
        try:
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def restart(self, name, major, mode):
        bindir = self.servers.bindir(major)
        old = self.servers.env.get("PG_BINDIR")
        if bindir:
            self.servers.env["PG_BINDIR"] = bindir
        try:
            self.servers("pg_stop", name, mode)
            self.servers("pg_start", name)
        finally:
            if bindir:
                self.servers.env.pop("PG_BINDIR")
            if old:
                self.servers.env["PG_BINDIR"] = old


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise BadWorld("a server of the test did not start")
        time.sleep(0.02)


class BadWorld(Exception):
    """The generator's own mistake: DDL that a server refuses."""


class Run:
    def __init__(self, bench, world, number, say=lambda text: None):
        self.bench, self.say = bench, say
        self.world = dict(world, units=copy.deepcopy(world["units"]))  # a step may change it
        self.id = f"w{os.getpid()}_{number}"
        self.source = bench.server("source", world["source"])
        self.target = bench.server("target", world["target"]) if world["sink"] == "pg" else None
        self.config = dict(world["config"])
        self.connections, self.states = {}, []
        self.base = bench.servers.path(self.id)
        self.pipeline = Pipeline(bench.servers.env, self.base + ".conf", bench.options.patience)
        self.holder, self.code, self.hang, self.tolerated = None, None, None, 0
        self.damaged, self.refusals, self.wrong = False, [], []  # of resyncs
        self.second, self.statics, self.ended, self.counts = None, {}, False, {"tx": 0, "failed": 0, "changed": 0}

    # ---- connections ----

    def cursor(self, side):
        if side == "target" and self.world["topology"] == "self":
            side = "source"
        if side not in self.connections:
            name = self.source if side == "source" else self.target
            self.connections[side] = self.bench.connect(name, f"{self.id}_{side}")
        return self.connections[side].cursor()

    def sql(self, side, text):
        cursor = self.cursor(side)
        cursor.execute(text)
        return cursor.fetchall() if cursor.description else []

    def ask(self, side, text):
        return self.sql(side, text)[0][0]

    def value(self, text):
        return self.ask("source", text)

    # ---- set-up ----

    def ddl(self, side, statements, role):
        if role != "postgres":
            self.sql(side, f"SET ROLE {role}")
        for statement in statements:
            try:
                self.sql(side, statement)
            except psycopg2.Error as error:
                raise BadWorld(f"{side}: {statement}: {error}") from None
        self.sql(side, "RESET ROLE")

    def make_database(self, side, units, role="postgres"):
        name = self.source if side == "source" else self.target
        self.bench.run(name, f"CREATE DATABASE {self.id}_{side} OWNER {role}")
        for u in units:
            self.ddl(side, u["source" if side == "source" else "target"], role)

    def set_up(self):
        w = self.world
        self.make_database("source", w["units"])
        if w["topology"] != "self":
            self.make_database("target", w["units"], w["role"])
        self.ddl("source", [w["publication"], *w.get("more publications", [])], "postgres")
        for kind in ("control",) if w.get("copy") else ("run", "control"):
            self.make_slot(kind)
        for check in self.checks("static") if w["topology"] != "self" else []:
            self.statics[check["target"]] = oracle.target_rows(self.cursor("target"), check)
        self.remember()
        self.write_config()
        self.keep_slot()
        self.set_up_second()

    def make_slot(self, kind):
        self.sql("source", f"SELECT pg_create_logical_replication_slot('{self.id}_{kind}', 'pgoutput')")

    def do_slot(self, _):
        """What was there before is to be copied. The subscription has got it by its own slot."""
        self.make_slot("run")
        self.remember()

    def keep_slot(self):
        """A copy of the slot as it is now, to begin again from."""
        if any(s["do"] == "replay" for s in self.world["steps"]):
            self.sql("source", f"SELECT pg_copy_logical_replication_slot('{self.id}_run', '{self.id}_old')")

    def do_replay(self, _):
        """Everything comes again, as after a crash that lost the last confirmations."""
        slot = f"FROM pg_replication_slots WHERE slot_name = '{self.id}_run'"
        while self.value(f"SELECT active {slot}"):
            self.sql("source", f"SELECT pg_terminate_backend(active_pid) {slot}")
            time.sleep(0.05)
        self.sql("source", f"SELECT pg_drop_replication_slot('{self.id}_run')")
        self.sql("source", f"SELECT pg_copy_logical_replication_slot('{self.id}_old', '{self.id}_run')")

    def set_up_second(self):
        """The second pipeline of a topology."""
        w = self.world
        if w["topology"] in ("chain", "twoway"):
            self.second = Pipeline(self.bench.servers.env, self.base + ".2.conf", self.bench.options.patience)
            self.ddl("target", ["CREATE PUBLICATION pub FOR ALL TABLES", "SELECT "
                     f"pg_create_logical_replication_slot('{self.id}_second', 'pgoutput')"], "postgres")
            if w["topology"] == "chain":
                self.make_database("next", w["units"])
                self.publish_keyless()
            last = "next" if w["topology"] == "chain" else "source"
            self.write(self.second, w, "target", last, "second")

    def publish_keyless(self):
        """Tables of the target without a key can only be published with FULL."""
        found = self.sql("target", "SELECT oid::regclass FROM pg_class WHERE relkind IN ('r', 'p') AND relreplident = "
                         "'d' AND relnamespace = 'public'::regnamespace AND NOT EXISTS (SELECT FROM pg_index "
                         "WHERE indrelid = pg_class.oid AND indisprimary AND indimmediate)")
        for (table,) in found:
            self.sql("target", f"ALTER TABLE {table} REPLICA IDENTITY FULL")

    def checks(self, kind):
        return [c for u in self.world["units"] for c in u["checks"] if c["check"] == kind]

    def write_config(self):
        self.write(self.pipeline, self.world, "source", "target", "run")

    def write(self, pipeline, w, source, target, slot):
        """The config file of a pipeline between two sides."""
        b, servers = self.bench, {"source": self.source}
        mapped = ", ".join(f"public.{quoted(s)} -> public.{quoted(t)}"
                           for u in w["units"] for s, t in u["map"].items())
        config = {k: v for k, v in self.config.items() if k not in ("binary", *COPIES)}
        target = "source" if w["topology"] == "self" else target
        here, there = servers.get(source, self.target), servers.get(target, self.target)
        lines = ["[pipeline]", "name = world", f"state_dir = {self.base}.{slot}.state",
                 f"copy = {'yes' if w.get('copy') else 'no'}"]
        lines += [f"{k} = {self.config[k]}" for k in COPIES if k in self.config]
        lines += [f"http = {pipeline.http}"] if pipeline.http else []
        lines += ["[source]", f"conninfo = {b.conninfo(here, f'{self.id}_{source}')}", f"slot = {self.id}_{slot}",
                 f"publication = {publications(w)}", f"binary = {self.config.get('binary', 'off')}"]
        lines += ["origin = none"] if w["topology"] == "twoway" else []
        lines += ["[sink dst]", *self.sink_lines(there, f"{self.id}_{target}")]
        lines += [f"{k} = {v}" for k, v in config.items()] + ([f"map = {mapped}"] if mapped else [])
        with open(pipeline.config, "w") as f:
            f.write("\n".join(lines) + "\n")
        if w["topology"] == "twoway" and pipeline.refuses_key():
            with open(pipeline.config, "w") as f:
                f.write("\n".join(line for line in lines if line != "origin = none") + "\n")

    def sink_lines(self, server, database):
        return ["type = pg", f"conninfo = {self.bench.conninfo(server, database, self.world['role'])}"]

    # ---- steps ----

    def transaction(self, statements, side="source"):
        cursor, changed = self.cursor(side), 0
        cursor.execute("BEGIN")
        for statement in statements:
            cursor.execute("SAVEPOINT s")
            try:
                cursor.execute(statement)
                changed += cursor.rowcount != 0 or statement.startswith("TRUNCATE")
                cursor.execute("RELEASE s")
            except psycopg2.Error as error:
                self.counts["failed"] += 1
                self.say(f"  -- fails: {str(error).splitlines()[0]}")
                cursor.execute("ROLLBACK TO s")
        try:
            cursor.execute("COMMIT")
            self.counts["changed"] += changed
        except psycopg2.IntegrityError as error:  # a constraint that is deferred
            self.counts["failed"] += 1
            self.say(f"  -- all of it fails: {str(error).splitlines()[0]}")
        self.counts["tx"] += 1
        self.remember()

    def remember(self):
        """The source's rows as of now, for what a refusal leaves behind."""
        lsn = self.value("SELECT pg_current_wal_insert_lsn()")
        rows = []
        for check in self.checks("rows"):
            lines = oracle.source_rows(self.cursor("source"), check)
            rows.append(lines if len(lines) < oracle.SMALL else None)
        self.states.append((lsn, rows))

    def confirmed(self, slot, side="source"):
        return self.ask(side, f"SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '{slot}'")

    def reached(self, slot, goal, side="source"):
        return self.ask(side, f"SELECT confirmed_flush_lsn >= '{goal}' FROM pg_replication_slots "
                          f"WHERE slot_name = '{slot}'")

    def sync(self):
        """Waits as long as it moves."""
        self.sync_one(self.pipeline, f"{self.id}_run", "source")
        if self.world["topology"] == "twoway" and self.second.process:
            self.sync_one(self.second, f"{self.id}_second", "target")
            self.sync_one(self.pipeline, f"{self.id}_run", "source")

    def sync_one(self, pipeline, slot, side):
        goal = self.ask(side, "SELECT pg_current_wal_lsn()")
        patience = self.world.get("patience", self.bench.options.patience)
        progress, tried = Progress(pipeline, patience), pipeline.retries()
        while not self.reached(slot, goal, side):
            pipeline.look()
            where = self.confirmed(slot, side)
            if progress.hangs(where):
                raise Hang(f"the slot stands at {where}, the goal is {goal}; {progress.text()}")
            if pipeline.retries() - tried > RETRIES and not self.holder:
                raise Hang(f"tries again and again: {pipeline.last_words('waiting for the target')}")
            time.sleep(0.03)

    def notes(self):
        """Of the copied tables: (relid, state, what changes while a copy goes on)."""
        there = self.ask("target", "SELECT to_regclass('walpipe.tables') IS NOT NULL")
        return self.sql("target", "SELECT relid, state, done, rows FROM walpipe.tables WHERE relid <> 0") if there else []

    def sync_copies(self):
        """All published tables are copied; waits as long as a copy moves."""
        patience = self.world.get("patience", self.bench.options.patience)
        known, moved = None, time.monotonic()
        while self.world.get("copy"):
            self.pipeline.look()
            notes = self.notes()
            published = self.value("SELECT count(DISTINCT (schemaname, tablename)) FROM pg_publication_tables "
                                   "WHERE pubname IN ('pub', 'pub2')")
            if len({n[0] for n in notes}) >= published and all(n[1].endswith("streaming") for n in notes):
                return
            if notes != known:
                known, moved = notes, time.monotonic()
            if time.monotonic() > moved + patience:
                raise Hang(f"no copy moves: {published} tables are published, notes: {notes[:12]}")
            time.sleep(0.1)

    def step(self, step):
        do = step["do"]
        if do == "tx":
            return self.transaction(step["sql"], step.get("side", "source"))
        if self.ended:
            return None
        return getattr(self, "do_" + do)(step)

    def do_start(self, _):
        self.pipeline.start()
        if self.world["topology"] == "twoway":
            self.pipeline.wait_streaming()
            self.second.start()
            self.second.wait_streaming()

    def do_hop(self, _):
        """The second pipeline of a chain runs until it has what is there now."""
        self.second.start()
        self.sync_one(self.second, f"{self.id}_second", "target")
        self.second.stop()

    def do_stop(self, _):
        self.pipeline.stop()

    def do_kill(self, step):
        self.tolerated += 1
        self.pipeline.kill(step["program"])

    def do_copied(self, _):
        resync.await_copied(self)

    def tables(self):
        return resync.tables(self)

    def damage(self, step, table):
        return resync.locked(self, step, table)

    def do_resync(self, step):
        try:
            resync.do(self, step)
        except resync.Wrong as wrong:
            self.wrong.append(str(wrong))

    def do_sync(self, _):
        if self.pipeline.process:
            self.sync()

    def do_wait(self, step):
        end = time.monotonic() + step["seconds"]
        while time.monotonic() < end:
            self.pipeline.look()
            time.sleep(0.05)

    def do_config(self, step):
        self.config = dict(step["config"])
        self.write_config()

    def do_remap(self, step):
        """While the pipeline is down, tables of the target get other names, and the map follows."""
        self.do_target(step)
        u = next(u for u in self.world["units"] if u["name"] == step["unit"])
        u["map"] = step["map"]
        for check in u["checks"]:
            check["target"] = step["targets"].get(check["target"], check["target"])
        self.write_config()

    def do_hold(self, step):
        self.do_release(step)
        self.holder = self.bench.connect(self.target, f"{self.id}_target")
        self.holder.autocommit = False
        self.holder.cursor().execute(step["sql"])

    def do_release(self, _):
        if self.holder:
            self.holder.close()
            self.holder = None

    def do_restart(self, _):
        self.tolerated += 1
        for side in [side for side in self.connections if side != "source"]:
            self.connections.pop(side).close()
        # A crash empties an unlogged table: PostgreSQL's promise, not walpipe's.
        unlogged = any("UNLOGGED" in sql for unit in self.world["units"] for sql in unit["target"])
        self.bench.restart(self.target, self.world["target"], "fast" if unlogged else "immediate")

    def do_target(self, step):
        for statement in step["sql"]:
            self.sql("target", statement)

    def run_steps(self):
        """All of them: after the pipeline's end the source's go on, for the control."""
        for number, step in enumerate(self.world["steps"]):
            self.say(f"step {number}: {step}")
            self.guarded(self.step, step)
        self.do_release(None)
        if not self.ended:
            self.guarded(self.finish)

    def finish(self):
        if not self.pipeline.process:
            self.pipeline.start()
        self.sync()
        self.sync_copies()
        if self.world["topology"] == "twoway":
            self.must_be_quiet()
            self.second.stop()
        self.be_listed()
        self.pipeline.stop()
        if self.world["topology"] == "chain":
            self.do_hop(None)

    def be_listed(self):
        """A table may have been out for less than the time between two lists, so only the next one tells."""
        if not self.world.get("leaves"):
            return
        self.pipeline.stop()
        lists = self.pipeline.count(LISTED)
        self.pipeline.start()
        self.pipeline.wait_for("a list of the published tables", lambda: self.pipeline.count(LISTED) > lists)
        self.sync()
        self.sync_copies()

    def must_be_quiet(self):
        """Two pipelines that send each other the same rows write for ever. Pages that are written whole
        after a checkpoint come to an end, and progress rows are nobody's rows."""
        end = time.monotonic() + QUIET_PATIENCE
        while self.wal_grows(0.7) and self.rows_written(2.5):
            if time.monotonic() > end:
                raise Hang("nobody writes, but rows of the source change: a loop")

    def wal_grows(self, seconds):
        before = self.value("SELECT pg_current_wal_insert_lsn()")
        time.sleep(seconds)
        return self.value(f"SELECT pg_current_wal_insert_lsn() - pg_lsn '{before}'") > LOUD

    def rows_written(self, seconds):
        count = ("SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_stat_user_tables "
                 "WHERE schemaname <> 'walpipe'")
        before = self.value(count)
        time.sleep(seconds)
        return self.value(count) > before

    def guarded(self, call, *values):
        try:
            call(*values)
        except Gone as gone:
            self.code, self.ended = gone.code, True
        except Hang as hang:
            self.hang, self.ended = str(hang), True
            self.end_pipelines()

    def end_pipelines(self):
        self.pipeline.end()
        if self.second:
            self.second.end()

    def culprit(self):
        """The pipeline whose log tells what happened."""
        if self.second and self.pipeline.last_error().get("exit_code") != 100:
            return self.second
        return self.pipeline

    # ---- verdict ----

    def verdict(self):
        bug = self.pipeline.sanitizer() or (self.second and self.second.sanitizer())
        if bug:
            return self.fault("crash", [bug])
        if self.wrong:
            return self.fault("resync", self.wrong)
        if self.hang:
            return self.fault("hang", [self.hang, "last error: " + str(self.culprit().last_error())])
        if self.code == 100:
            return self.refused()
        if self.code is not None:
            return self.fault(f"exit {self.code}", [str(self.culprit().last_error())])
        if self.world["topology"] == "self" and self.counts["changed"]:
            return self.fault("loop", ["the target is the source, and it was not refused"])
        return self.compared()

    def fault(self, kind, text, **more):
        return {"end": "fault", "kind": kind, "text": text, **more}

    def compared(self):
        wrong, cut = [], []
        sides = ["target", "next"] if self.world["topology"] == "chain" else ["target"]
        for side, check in [(s, c) for s in sides for c in self.checks("rows")]:
            differ, lose = oracle.compare(self.cursor("source"), self.cursor(side), check)
            wrong += [f"{side} {check['target']}: {text}" for text in differ]
            cut += [f"{side} {check['target']}: {text}" for text in lose]
        wrong += self.wrong_statics() + (resync.leftovers(self) if self.damaged and self.world["sink"] == "pg" else [])
        judged = self.checks("control")
        if wrong or cut or judged:
            control = self.control()
            if control["end"] == "done":
                wrong += control["wrong"]
            elif not wrong and not cut and not self.checks("rows"):
                return {"end": "unjudged", "kind": "control " + control["end"], "text": control["text"]}
            served = control.get("served", control["end"])
            if wrong:
                return self.fault("differ", wrong, control=served)
            if cut:
                return self.fault("cut", cut[:8], control=served)
        return {"end": "equal", "kind": "", "text": []}

    def wrong_statics(self):
        return [f"{c['target']}: {text}" for c in self.checks("static") for text in oracle.differences(
            self.statics[c["target"]], oracle.target_rows(self.cursor("target"), c))] if self.statics else []

    def refused(self):
        error = self.culprit().last_error()
        message = error.get("message", "no error in the log")
        reason = reason_of(message)
        text = [message, "hint: " + str(error.get("hint"))]
        wrong = self.wrong_partly() + self.wrong_statics() if self.world["topology"] in ("one", "chain") else []
        if wrong:
            return self.fault("confirmed before the refusal", text + wrong)
        if re.search(NEVER, message):
            return self.fault("refused what nobody did", text)
        control = self.control()
        code, blind = self.culprit().check()
        if self.world["topology"] == "self" and code == 0:
            return self.fault("loop", text + ["the target is the source: check passes"])
        return {"end": "refused", "kind": reason, "text": text + blind[:4] + control.get("text", []),
                "control": control.get("served", control["end"]), "blind": code == 0,
                "mute": not error.get("hint")}

    def wrong_partly(self):
        """Everything up to the LSN that is confirmed must be there."""
        if self.damaged or self.world.get("leaves"):  # it may not have been mended yet
            return []
        lsn = self.confirmed(f"{self.id}_run")
        known = self.value("SELECT array[" + ", ".join(f"pg_lsn '{s[0]}' <= '{lsn}'" for s in self.states) + "]")
        first = max([n for n, is_older in enumerate(known) if is_older], default=0)
        out = []
        for number, check in enumerate(self.checks("rows")):
            states = [rows[number] for _, rows in self.states[first:]]
            out += [f"{check['target']}: {text}" for text in oracle.compare_partly(
                states, self.cursor("target"), check, self.config.get("shards", 1), self.world.get("copy"))]
        return out

    # ---- PostgreSQL's own subscription ----

    def control(self):
        """{"end": "done" | "impossible" | "failed", "served": does it end equal, "wrong": lines}."""
        w = self.world
        if w["topology"] != "one" or not all(u["control"] for u in w["units"]):
            return {"end": "impossible", "text": []}
        self.make_database("control", w["units"])
        more = ", disable_on_error = true" if w["target"] >= 15 else ""
        try:
            self.sql("control", f"CREATE SUBSCRIPTION {self.id} CONNECTION "
                     f"'{self.bench.conninfo(self.source, self.id + '_source')}' PUBLICATION {publications(w)} WITH "
                     f"(copy_data = false, create_slot = false, slot_name = '{self.id}_control'{more})")
        except psycopg2.Error as error:
            return {"end": "failed", "text": [f"control: {error}"]}
        goal = self.value("SELECT pg_current_wal_lsn()")
        end = time.monotonic() + (ITS_ERRORS_SHOW if more else CONTROL_PATIENCE)
        while not self.reached(f"{self.id}_control", goal):
            enabled = self.sql("control", f"SELECT subenabled FROM pg_subscription WHERE subname = '{self.id}'")
            if not enabled[0][0] or time.monotonic() > end:
                return {"end": "failed", "text": ["control: " + self.control_error()]}
            time.sleep(0.03)
        return self.compare_control()

    def control_error(self):
        with open(self.bench.servers.path(f"{self.target}/log"), errors="replace") as f:
            lines = [line for line in f if " ERROR: " in line and "walpipe" not in line]
        return lines[-1].strip()[:300] if lines else "no error, no end"

    def compare_control(self):
        wrong, served = [], True
        for check in self.checks("rows"):
            differ, cut = oracle.compare(self.cursor("source"), self.cursor("control"), check)
            served = served and not differ and not cut
        for check in self.checks("control") if served else []:  # a wrong judge judges nothing
            want = oracle.target_rows(self.cursor("control"), check)
            found = oracle.target_rows(self.cursor("target"), check)
            wrong += [f"{check['target']} against the subscription's: {text}"
                      for text in oracle.differences(want, found)]
        return {"end": "done", "served": served, "wrong": wrong, "text": []}

    # ---- the end ----

    def clean(self):
        self.end_pipelines()
        self.do_release(None)
        if "control" in self.connections:
            for (name,) in self.sql("control", f"SELECT subname FROM pg_subscription WHERE subname = '{self.id}'"):
                for statement in ("DISABLE", "SET (slot_name = NONE)"):
                    self.sql("control", f"ALTER SUBSCRIPTION {name} {statement}")
                self.sql("control", f"DROP SUBSCRIPTION {name}")
        for connection in self.connections.values():
            connection.close()
        self.connections = {}
        for name, sides in ((self.source, ["source"]), (self.target, ["target", "control", "next"])):
            if name is None:
                continue
            self.drop_slots(name)
            for side in sides:
                self.bench.run(name, f"DROP DATABASE IF EXISTS {self.id}_{side} WITH (FORCE)")
        for path in glob.glob(glob.escape(self.base) + ".*"):
            if os.path.isdir(path):
                shutil.rmtree(path, ignore_errors=True)
            else:
                os.remove(path)

    def drop_slots(self, name):
        """Those of this world, and origins too: both are the cluster's, and there are few."""
        mine = f"slot_name LIKE '{self.id}\\_%'"
        for _ in range(100):
            self.bench.run(name, "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots "
                           f"WHERE {mine} AND active")
            try:
                self.bench.run(name, f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE {mine}")
                break
            except psycopg2.Error:
                time.sleep(0.05)
        try:
            self.bench.run(name, "SELECT pg_replication_origin_drop(roname) FROM pg_replication_origin")
        except psycopg2.Error as error:
            self.say(f"origins stay: {error}")


def publications(world):
    return "pub, pub2" if world.get("more publications") else "pub"


def quoted(name):
    return name if re.fullmatch("[a-z_][a-z0-9_]*", name) else '"' + name + '"'


def reason_of(message):
    """A message without what belongs to this world alone."""
    message = re.sub(r'"[^"]*"', '"_"', re.sub(r"/tmp/\S+", "FILE", message))
    message = re.sub(r"`?w\d+_\d+`?", "DB", message)
    message = re.sub(r"\b[0-9A-F]+/[0-9A-F]+\b", "LSN", message)
    message = re.sub(r"\bu\d+_\w+(\.\w+)?", "_", message)
    return re.sub(r"\b\d+\b", "N", message)[:160]


def runner(world):
    if world["sink"] == "pg":
        return Run
    import clickhouse  # it imports this module
    return clickhouse.ChRun


def run(bench, world, number, say=lambda text: None):
    """The verdict; the world's databases are gone afterwards."""
    started = time.monotonic()
    world.setdefault("topology", "one")
    world.setdefault("sink", "pg")
    one = runner(world)(bench, world, number, say)
    try:
        one.set_up()
        one.run_steps()
        verdict = one.verdict()
        if verdict["end"] == "equal" and number % 6 == 0:
            verdict["strict"] = [line for line in one.pipeline.check()[1] if line.startswith("FAIL")]
        verdict["log"] = one.pipeline.text() + ("\n" + one.second.text() if one.second else "")
        verdict["config"] = open(one.base + ".conf").read()
    except BadWorld as error:
        verdict = {"end": "bad", "kind": "bad world", "text": [str(error)]}
    finally:
        one.clean()
    verdict.update(seconds=time.monotonic() - started, refusals=one.refusals, **one.counts)
    return verdict
