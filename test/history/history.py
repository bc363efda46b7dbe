#!/usr/bin/python3
"""history.py: the property test: whatever clients do to the source, the targets end with its rows.

    history.py [--seed N] [--seconds S] [--targets pg1,pg4,ch1,ch3,ch26] [--ddl] [--keep] ...

Random clients change a real source while `walpipe run` replicates it; at quiet points and at the end every
table of every target is compared row by row. The seed decides the shapes, the settings, the
targets and each client's statements; it is printed. Exit 0: all equal; 1: a difference, a refusal,
an error in the log, or a restart that nobody asked for."""

import argparse
import collections
import functools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import psycopg2  # noqa: E402

import compare  # noqa: E402
import shapes  # noqa: E402
from workload import Client  # noqa: E402

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
TARGETS = {"pg1": 1, "pg4": 4, "ch1": 1, "ch3": 3, "ch26": 2}
MODERN = "ch26"  # a ClickHouse of today (test/lib/chdb.bash); clamps what does not fit


class Failure(Exception):
    pass


class Servers:
    """What test/lib/servers.bash does, from here."""

    def __init__(self):
        made = subprocess.run(["bash", "-c", '. "$1/test/lib/servers.bash" && echo "$SCRATCH" && env -0',
                               "bash", ROOT], check=True, stdout=subprocess.PIPE).stdout
        self.scratch = made.split(b"\n")[0].decode()
        pairs = (p.split(b"=", 1) for p in made.split(b"\n", 1)[1].split(b"\0") if b"=" in p)
        self.env = {k.decode(): v.decode() for k, v in pairs}

    def __call__(self, *words):
        done = subprocess.run(["bash", "-c", '. "$1/test/lib/servers.bash" && . "$1/test/lib/pipeline.bash" && '
                               '. "$1/test/lib/chdb.bash" && shift && "$@"', "bash", ROOT, *words],
                              env=self.env, stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise Failure(f"{' '.join(words[:2])}: failed; see above")
        return done.stdout.strip("\n")

    def path(self, name):
        return os.path.join(self.scratch, name)


class History:
    def __init__(self, options, servers):
        self.options, self.servers = options, servers
        r = self.r = random.Random(options.seed)
        self.binary = r.random() < 0.4 if options.binary is None else options.binary == "on"
        self.via_root = r.random() < 0.5
        self.tables = shapes.tables(r, self.binary)
        self.by_name = {t.name: t for t in self.tables}
        self.filtered = r.random() < 0.3
        self.unprivileged = r.random() < 0.3  # pg1's role: foreign keys and triggers fire there
        self.extra = r.random() < 0.3  # columns that only PostgreSQL targets have
        self.strict = r.random() < 0.5  # pg1's keys are not deferrable, where its batches are large
        others = [t for t in TARGETS if t != MODERN]
        chosen = sorted(r.sample(others, r.randint(1, 4)))
        self.targets = options.targets.split(",") if options.targets else self.with_modern(chosen)
        self.settings = {t: self.choose_settings(r, t) for t in TARGETS}
        self.strict = self.strict and not self.unprivileged and \
            self.settings["pg1"]["batch_rows"] == 10000
        if self.filtered:  # a table made again would not be in the publication
            self.by_name["h_again"].made_again = False
        self.counts = collections.Counter()
        self.added = 0
        self.config = servers.path("history.conf")
        self.transactions = options.transactions
        self.connections = {}

    # ---- settings ----

    def with_modern(self, chosen):
        """In half of the histories, where there is such a server; no other choice depends on it."""
        if random.Random(f"{self.options.seed}/{MODERN}").random() < 0.5:
            return chosen
        try:
            self.servers("chdb_install")
        except Failure:
            return chosen
        return chosen + [MODERN]

    def choose_settings(self, r, target):
        tiny = r.random() < 0.5
        settings = {"batch_rows": r.randint(3, 20) if tiny else 10000}
        if r.random() < 0.5:
            settings["flush_interval"] = "10ms" if target.startswith("pg") else "50ms"
        if target == MODERN:
            settings["on_overflow"] = "clamp"
        if target == "pg4":
            settings["shard_key"] = r.choice(["key", "key", "table"])
        return settings

    def describe(self):
        chosen = ", ".join(f"{t} {self.settings[t]}" for t in self.targets)
        return (f"seed {self.options.seed}: binary={self.binary} via_root={self.via_root} "
                f"filtered={self.filtered} "
                f"unprivileged={self.unprivileged} extra={self.extra} strict={self.strict} "
                f"ddl={self.options.ddl}; {chosen}")

    def excluded(self, target):
        names = []
        if target.startswith("ch"):
            names = [t.name for t in self.tables if not t.clickhouse]
        return names

    def write_config(self):
        lines = ["[pipeline]", "name = history", f"state_dir = {self.servers.path('state')}", "copy = no",
                 "[source]",
                 f"conninfo = {self.conninfo('source')}", "slot = history", "publication = history",
                 "create_slot = yes", f"binary = {'on' if self.binary else 'off'}"]
        for target in self.targets:
            lines += [f"[sink {target}]", f"shards = {TARGETS[target]}"]
            lines += [f"{k} = {v}" for k, v in self.settings[target].items()]
            if target.startswith("pg"):
                lines += ["type = pg", f"conninfo = {self.conninfo(target, self.role(target))}"]
            else:
                lines += ["type = ch", f"url = {self.servers('ch_url', self.server(target))}",
                          f"database = {target}",
                          "create_tables = yes"]
            if self.excluded(target):
                lines.append("tables = *.*, " + ", ".join(f"!*.{n}" for n in self.excluded(target)))
        with open(self.config, "w") as f:
            f.write("\n".join(lines) + "\n")

    # ---- servers ----

    def server(self, target):
        return "modern" if target == MODERN else "olap" if target.startswith("ch") else "target"

    def role(self, target):
        return "apply" if self.unprivileged and target == "pg1" else "postgres"

    def conninfo(self, database, role="postgres"):
        return self.servers("pg_conninfo", "source" if database == "source" else "target",
                            database).replace("user=postgres", f"user={role}")

    def sql(self, database, text, values=None):
        cursor = self.cursor(database)
        cursor.execute(text, values)
        return cursor.fetchall() if cursor.description else []

    def cursor(self, database):
        if database not in self.connections:
            connection = psycopg2.connect(self.conninfo(database))
            connection.autocommit = True
            connection.set_client_encoding("UTF8")
            self.connections[database] = connection
        return self.connections[database].cursor()

    def ch(self, target, query):
        out = self.servers("ch_sql", self.server(target), query)
        return out.split("\n") if out else []

    def start_servers(self):
        self.servers("pg_new", "source", "max_wal_size=2GB", "max_connections=60")
        self.servers("pg_sql", "source", "CREATE DATABASE source")
        if any(t.startswith("pg") for t in self.targets):
            self.servers("pg_new", "target", "max_wal_size=2GB")
        if any(self.server(t) == "olap" for t in self.targets):
            self.servers("ch_new", "olap")
        if MODERN in self.targets:
            self.servers("chdb_new", "modern")

    def make_tables(self):
        create = "".join(t.create() for t in self.tables)
        self.sql("source", "CREATE SCHEMA shop;" + shapes.TYPES_DDL + create)
        self.sql("source", f"CREATE PUBLICATION history {self.published()} WITH "
                           f"(publish_via_partition_root = {self.via_root})")
        # a second look at the same stream, for whoever has to find a bug
        self.sql("source", "SELECT pg_create_logical_replication_slot('debug', 'pgoutput')")
        for target in self.targets:
            if target.startswith("pg"):
                relaxed = target == "pg4" and self.settings["pg4"]["shard_key"] == "key"
                if self.role(target) != "postgres":
                    self.servers("pg_sql", "target", "CREATE ROLE apply LOGIN")
                self.servers("pg_sql", "target", f"CREATE DATABASE {target} OWNER {self.role(target)}")
                self.sql(target, f"SET ROLE {self.role(target)}; CREATE SCHEMA shop;" +
                         shapes.TYPES_DDL_TARGET)
                strict = target == "pg1" and self.strict
                self.sql(target, "".join(t.create(target=True, relaxed=relaxed, strict=strict)
                                         for t in self.tables))
                if self.extra:
                    self.sql(target, "".join(
                        f"ALTER TABLE {t.sql} ADD \"mine only\" int DEFAULT 7, ADD own text; "
                        for t in self.tables
                        if self.r.random() < 0.5 and not (strict and t.deferred)))
            else:
                self.ch(target, f"CREATE DATABASE {target}")
                for table in self.tables:
                    for statement in filter(None, (table.ch_ddl or "").split(";")):
                        self.ch_in(target, statement)

    def published(self):
        """FOR ALL TABLES, or with a row filter and a column list (traps 49, 55)."""
        if not self.filtered:
            return "FOR ALL TABLES"
        self.by_name["h_int"].filter = "id % 3 <> 0"
        self.by_name["h_uuid"].filter = "id < '00000000-0000-0030-0000-000000000000'"
        self.by_name["h_pair"].published = ["b", "v", "a"]
        parts = []
        for table in self.tables:
            columns = ", ".join(shapes.quote(n) for n in table.published or [])
            parts.append(table.sql + (f" ({columns})" if columns else "") +
                         (f" WHERE ({table.filter})" if table.filter else ""))
        return "FOR TABLE " + ", ".join(parts)

    def ch_in(self, database, statement):
        self.servers("ch_sql", self.server(database), statement.strip(), database)

    # ---- the pipeline ----

    def start(self):
        self.servers("pipeline_start", self.config)

    def reached(self):
        if os.path.exists(self.config + ".exit"):
            raise Failure("walpipe ended")
        return self.sql("source", "SELECT confirmed_flush_lsn >= %s::pg_lsn FROM pg_replication_slots "
                        "WHERE slot_name = 'history'", [self.goal])[0][0]

    def wait_quiet(self):
        self.goal = self.sql("source", "SELECT pg_current_wal_lsn()")[0][0]
        start = last_move = time.monotonic()
        where = None
        while not self.reached():
            now = self.sql("source", "SELECT confirmed_flush_lsn FROM pg_replication_slots "
                           "WHERE slot_name = 'history'")
            self.check_log()
            if now != where:
                where, last_move = now, time.monotonic()
            if time.monotonic() - last_move > self.options.patience:
                raise Failure(f"the slot stands at {where[0][0]} for {self.options.patience} s, "
                              f"the goal is {self.goal}")
            time.sleep(0.05)
        return time.monotonic() - start

    def check_log(self, ended=False):
        """No error, no restart that was not asked for. A table that is made again may have to go whole to one
        worker: then one restart is right. Which error that is shows when the run has ended."""
        errors, noted = [], False
        with open(self.config + ".log", errors="replace") as f:
            for line in f:
                try:
                    entry = json.loads(line)
                except ValueError:
                    raise Failure(f"not a log line: {line.strip()}")
                over = "the pipeline ended because" in entry.get("message", "")
                noted = noted or "noted in walpipe.whole" in entry.get("hint", "")
                if entry.get("level") == "error" or over:
                    errors.append(line.strip())
                if over and noted:
                    errors, noted = [], False
                elif over:
                    raise Failure(f"in the log: {errors[0]}")
        if ended and errors:
            raise Failure(f"in the log: {errors[0]}")

    # ---- comparing ----

    def relations(self, target):
        """(relation, name in ClickHouse, key, row filter, column list) of every table or partition
        the target has."""
        for table in self.tables:
            if table.name in self.excluded(target):
                continue
            keys = [c[0] for c in table.keys]
            prefix = "" if table.schema == "public" else table.schema + "_"
            if table.parts and not self.via_root:
                for part in table.parts:
                    yield shapes.quote(part), part, keys, None, None
            else:
                yield table.sql, prefix + table.name, keys, table.filter, table.published

    def compare(self):
        problems = []
        for target in self.targets:
            for relation, name, *more in self.relations(target):
                source = self.cursor("source")
                if target.startswith("pg"):
                    found = compare.compare_pg(source, self.cursor(target), relation, *more)
                else:
                    ask = functools.partial(self.ch, target)
                    found = compare.compare_ch(source, ask, target, relation, name, *more)
                problems += [f"{target}: {relation}: {text}" for text in found]
            if target.startswith("pg"):
                problems += self.check_own(target)
        if problems:
            raise Failure("\n".join(["the rows differ:"] + problems[:60]))

    def check_own(self, target):
        """Columns that the source does not send."""
        wrong = self.sql(target, "SELECT id FROM h_gen WHERE twice IS DISTINCT FROM v || v")
        return [f"{target}: h_gen: column twice is wrong, id={row[0]}" for row in wrong[:5]]

    # ---- rounds ----

    def ddl(self, sql, targets):
        for target in self.targets if targets else []:
            if target.startswith("pg"):
                self.sql(target, sql)
        self.sql("source", sql)

    def is_made(self, table):
        """In every ClickHouse: under REPLICA IDENTITY FULL a table is not created there."""
        prefix = "" if table.schema == "public" else table.schema + "_"
        return all(self.ch(t, "SELECT count() FROM system.tables WHERE database = "
                              f"'{t}' AND name = {compare.ch_literal(prefix + table.name)}") == ["1"]
                   for t in self.targets if t.startswith("ch"))

    def only_pg(self):
        return all(t.startswith("pg") for t in self.targets)

    def change_names_and_types(self, table, added, quiet, what):
        """Names while nothing is on its way: a target has one of them. Types that take the old
        ones' values, at any time. False: there is nothing of the kind."""
        if quiet and what < 0.2 and added:
            self.added += 1
            old, new = added[0][0], f"added {self.added}"
            self.ddl(f"ALTER TABLE {table.sql} RENAME COLUMN {shapes.quote(old)} TO {shapes.quote(new)}", True)
            table.columns[table.columns.index(added[0])] = (new, *added[0][1:])
            self.counts["renamed columns"] += 1
        elif quiet and what < 0.4 and table.name == "h_uuid":
            # clients know the others by name
            self.added += 1
            new = f"h_uuid {self.added}"
            self.ddl(f"ALTER TABLE {table.sql} RENAME TO {shapes.quote(new)}", True)
            table.name = new
            self.counts["renamed tables"] += 1
        elif what >= 0.4:
            wider = {"int": "bigint", "bigint": "numeric"}
            column = next((c for c in table.values if c[1] in wider and c[0] not in table.generated
                           and c[0] not in (table.unique, "p")), None)
            if column is None:
                return False
            self.ddl(f"ALTER TABLE {table.sql} ALTER {shapes.quote(column[0])} TYPE {wider[column[1]]}", True)
            table.columns[table.columns.index(column)] = (column[0], wider[column[1]], column[2])
            self.counts["types"] += 1
        else:
            return False
        return True

    def change_tables(self):
        """DDL in mid-stream, the targets first. Returns what the clients learn after the round."""
        table = self.r.choice([t for t in self.tables if not (
            t.parts or t.ch_ddl or t.published or t.filter or t.made_again)])
        what = self.r.random()
        added = [c for c in table.columns if c[0].startswith("added ")]
        quiet = not self.clients_run
        if self.only_pg() and what < 0.6 and self.change_names_and_types(table, added, quiet, what):
            return lambda: None
        what = self.r.random()
        if what < 0.3 and table.identity == "d" and self.is_made(table):
            # another identity: another distribution over the workers
            kind = self.r.choice(["FULL", "DEFAULT"])
            self.ddl(f"ALTER TABLE {table.sql} REPLICA IDENTITY {kind}", False)
            return lambda: None
        if what < 0.5 and added and quiet:
            # the target keeps it, and its values
            table.columns.remove(added[0])
            self.ddl(f"ALTER TABLE {table.sql} DROP COLUMN {shapes.quote(added[0][0])}", False)
            return lambda: None
        self.added += 1
        column, kind = f"added {self.added}", self.r.choice(["int", "text", "timestamptz"])
        self.ddl(f"ALTER TABLE {table.sql} ADD COLUMN {shapes.quote(column)} {kind}", True)
        value = shapes.integer(0, 9) if kind == "int" else shapes.choice(*shapes.TIMES)
        return lambda: table.columns.append((column, kind, value))

    def round(self, number, clients):
        running = [c.round(self.transactions) for c in clients]
        learn = []
        self.clients_run = False
        if self.options.ddl and self.r.random() < 0.4:
            self.change_tables()()
        for client in running:
            client.start()
        self.clients_run = True
        if self.options.ddl:
            learn = [self.change_tables() for _ in range(self.r.randint(1, 3))]
        if number % 3 == 2:
            self.servers("pipeline_stop", self.config)
            self.start()
            self.counts["drains"] += 1
        for client in running:
            client.join()
            if client.failure:
                raise client.failure
        for news in learn:
            news()
        waited = self.wait_quiet()
        self.check_log(ended=True)
        self.compare()
        self.counts["comparisons"] += 1
        if self.options.verbose:
            print(f"  round {number}: {dict(self.counts)}, waited {waited:.1f} s", flush=True)

    def run(self):
        print(self.describe(), flush=True)
        self.start_servers()
        self.make_tables()
        self.write_config()
        self.start()
        end = time.monotonic() + self.options.seconds
        clients = [Client(n, random.Random(f"{self.options.seed}/{n}"), self.conninfo("source"),
                          self.tables, self.counts) for n in range(self.options.clients)]
        number = 0
        while number == 0 or time.monotonic() < end:
            number += 1
            self.round(number, clients)
        self.servers("pipeline_stop", self.config)
        self.check_log()
        self.compare()
        print(f"equal: {dict(self.counts)}", flush=True)

    # ---- after a failure ----

    def keep_evidence(self):
        """The log, the config and the events as JSON."""
        out = os.path.join(ROOT, "build", "history", f"seed-{self.options.seed}")
        shutil.rmtree(out, ignore_errors=True)
        os.makedirs(out)
        for name in (self.config, self.config + ".log", self.servers.path("source/log"),
                     self.servers.path("target/log"), self.servers.path("olap/log"),
                     self.servers.path("modern/log")):
            if os.path.exists(name):
                shutil.copy(name, os.path.join(out, name[len(self.servers.scratch) + 1:].replace("/", "-")))
        self.dump_events(os.path.join(out, "events.json"))
        print(f"the evidence is in {out}", file=sys.stderr)

    def dump_events(self, path):
        """Everything since the slot, up to now, by another slot."""
        self.sql("source", "SELECT pg_logical_emit_message(false, 'history', 'end of the evidence')")
        reader, before = None, None
        for command in (["pg-wal-read", "--conninfo", self.conninfo("source"), "--slot", "debug",
                         "--publication", "history", "--no-ack", "--messages"],
                        ["pgout-decode"], ["evcat"]):
            command[0] = os.path.join(self.servers.env["WALPIPE_BIN"], command[0])
            out = open(path, "wb") if command[0].endswith("evcat") else subprocess.PIPE
            before = subprocess.Popen(command, env=self.servers.env, stderr=subprocess.DEVNULL,
                                      stdin=before.stdout if before else None, stdout=out)
            reader = reader or before
        end = time.monotonic() + 60
        while time.monotonic() < end and reader.poll() is None:
            with open(path, "rb") as f:
                f.seek(max(0, os.path.getsize(path) - 4000))
                if "end of the evidence".encode().hex().encode() in f.read():  # the message, in hex
                    break
            time.sleep(0.2)
        reader.terminate()
        before.wait()


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, help="default: a new one")
    parser.add_argument("--seconds", type=int, default=60, help="begin no new round afterwards")
    parser.add_argument("--targets", help="of pg1,pg4,ch1,ch3,ch26; default: by the seed")
    parser.add_argument("--binary", choices=["on", "off"], help="default: by the seed")
    parser.add_argument("--clients", type=int, default=5)
    parser.add_argument("--transactions", type=int, default=150, help="of a client in a round")
    parser.add_argument("--patience", type=int, default=90, help="seconds without progress")
    parser.add_argument("--ddl", action="store_true", help="change tables in mid-stream")
    parser.add_argument("--keep", action="store_true", help="leave the servers running after a failure")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1, 1000000)
    for target in (options.targets or "").split(","):
        if target and target not in TARGETS:
            parser.error(f"unknown target {target}")
    return options


def main():
    options = parse()
    servers = Servers()
    history = History(options, servers)
    failed = False
    try:
        history.run()
    except KeyboardInterrupt:
        failed = True
    except Exception as failure:
        failed = True
        kind = "" if isinstance(failure, Failure) else type(failure).__name__ + ": "
        print(f"FAILED with seed {options.seed}: {kind}{failure}", file=sys.stderr)
        try:
            history.keep_evidence()
        except Exception as also:
            print(f"no evidence: {also}", file=sys.stderr)
    finally:
        for connection in history.connections.values():
            connection.close()
        if failed and options.keep:
            print(f"SCRATCH={servers.scratch}", file=sys.stderr)
        else:
            servers("servers_end")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
