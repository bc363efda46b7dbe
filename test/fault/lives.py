"""lives.py: the copies of the torture test. Tables have rows when the pipeline starts; others are made
with rows and published while it runs, under writes, and dropped again; a target's table is emptied
and copied again. Each of these is a life of a table, and each is counted."""

import collections
import random
import time

import psycopg2

from rig import Failure, wait_for
from workload import BASE, Relation

KEYED = "(id int PRIMARY KEY, n int, v text, big text)"
COLUMNS = "id, n, v, big"
TEXTS = {"account": "note", "toast": "other", "pair": "b", "log": "note"}  # a column of each; the others' is v
LATE_MOST = 6  # tables that were added and not dropped yet

# What the tables of workload.py hold before walpipe starts. A ClickHouse cannot copy the others.
ROWS = """
INSERT INTO account SELECT g, g, 'old' FROM generate_series(1, 6000) AS g;
INSERT INTO toast SELECT g, 0, CASE WHEN g % 10 = 0 THEN repeat(md5(g::text), 90) END,
    CASE WHEN g % 15 = 0 THEN repeat('o', 3000) END FROM generate_series(1, 5000) AS g;
INSERT INTO pair SELECT g, 'key ' || g % 4, g FROM generate_series(1, 5000) AS g;
INSERT INTO cleared SELECT g, 'old' FROM generate_series(1, 4000) AS g;
INSERT INTO uniq SELECT g, g FROM generate_series(1, 1000) AS g;
"""


def run(conninfo, *statements):
    """In one transaction. The rows of the last statement, if it has any."""
    conn = psycopg2.connect(conninfo + " connect_timeout=10 options='-c lock_timeout=30s'")
    try:
        with conn, conn.cursor() as c:
            for sql in statements:
                c.execute(sql)
            return c.fetchall() if c.description else []
    finally:
        conn.close()


class Late:
    """A table that comes later: its definition, its rows, and what of it is published."""

    def __init__(self, number, kind, rows, via_root):
        self.kind = kind
        self.name = name = "%s_%d" % (kind, number)
        storage = "ALTER TABLE %s ALTER big SET STORAGE EXTERNAL" % name
        self.ddl = ["CREATE TABLE %s %s" % (name, KEYED), storage]
        self.relations = [Relation(name, COLUMNS)]
        self.into = into = [name]
        if kind == "heap":
            self.ddl = ["CREATE TABLE %s (client int, seq int, note text)" % name]
            self.relations = [Relation(name, "client, seq, note", heap=True)]
        elif kind == "full":
            self.ddl.append("ALTER TABLE %s REPLICA IDENTITY FULL" % name)
            self.relations = [Relation(name, COLUMNS, heap=True, olap=False)]
        elif kind == "parted":
            parts = [name + end for end in ("_a", "_b", "_c")]
            bounds = ("FOR VALUES FROM (MINVALUE) TO (1500)", "FOR VALUES FROM (1500) TO (3000)", "DEFAULT")
            self.ddl[0] += " PARTITION BY RANGE (id)"
            self.ddl += ["CREATE TABLE %s PARTITION OF %s %s" % (p, name, b) for p, b in zip(parts, bounds)]
            self.relations = ([Relation(name, COLUMNS, tree=True)] if via_root else
                              [Relation(p, COLUMNS) for p in parts])
        elif kind == "parent":
            self.into = into = [name, name + "_child"]
            self.ddl.append("CREATE TABLE %s (PRIMARY KEY (id)) INHERITS (%s)" % (into[1], name))
            self.relations.append(Relation(into[1], COLUMNS))
        values = ("0, g, 'old'" if kind == "heap" else
                  "g, 0, 'row ' || g, CASE WHEN g % 10 = 0 THEN repeat(md5(g::text), 90) END")
        self.fill = ["INSERT INTO %s SELECT %s FROM generate_series(1, %d) AS g" % (t, values, rows)
                     for t in into]


class Lives:
    def __init__(self, rig, seed):
        self.rig, self.servers = rig, rig.servers
        self.random = random.Random("%s lives" % seed)
        self.named = self.random.random() < 0.5
        self.via_root = self.random.random() < 0.5
        self.tables = []  # in the source
        self.gone = []  # dropped in the source, but not in the targets
        self.number = 0
        self.counts = collections.Counter({"there at the start": len(BASE)})
        self.written = []  # the clients' list: they write into these, too
        self.again_ways = {"one": self.again_in_postgres, "three": self.again_in_postgres,
                           "olap": self.again_in_clickhouse}

    def publication(self):
        tables = "TABLE " + ", ".join(r.name for r in BASE) if self.named else "ALL TABLES"
        return "CREATE PUBLICATION torture FOR %s WITH (publish_via_partition_root = %s)" % (
            tables, str(self.via_root).lower())

    def source(self, *statements):
        return run(self.servers.conninfo("source", "torture"), *statements)

    def target(self, sink, *statements):
        return run(self.servers.conninfo("target", sink), *statements)

    def relations(self, sink=None):
        """All, or those that the sink copies."""
        every = BASE + [r for t in self.tables for r in t.relations]
        return [r for r in every if not (sink == "three" and r.name == "uniq" or sink == "olap" and not r.olap)]

    def copied(self, sink=None):
        """Those that faults have copied again, or written anew."""
        return [r for r in self.relations(sink) if r.name != "poison"]

    def has(self, relation):
        return relation in self.relations()

    # ---- a table comes and goes ----

    def add(self, faults):
        if faults.down & {"source", "target"} or len(self.tables) >= LATE_MOST:
            return
        self.number += 1
        r = self.random
        late = Late(self.number, r.choice(("keyed", "keyed", "parted", "parent", "heap", "full")),
                    r.choice((0, 300, 3000, 6000)), self.via_root)
        for sink in ("one", "three"):
            self.target(sink, *late.ddl)
        if r.random() < 0.5:
            self.source(*late.ddl, *late.fill)
        else:
            self.source(*late.ddl)
            self.source(*late.fill)
        self.written.append(late)
        self.tables.append(late)
        if self.named:
            time.sleep(r.choice((0, 0.2)))  # rows that are not published
            self.source("ALTER PUBLICATION torture ADD TABLE " + late.name)
        self.counts["added"] += 1
        faults.note("add a table", "%s, %s" % (late.name, late.fill[0].rsplit(", ", 1)[1]))

    def drop(self, faults):
        """The oldest, or the newest, which may be in the middle of its copy."""
        if "source" in faults.down or len(self.tables) < 2:
            return
        late = self.tables.pop(self.random.choice((0, 0, -1)))
        self.written.remove(late)
        if self.named and self.random.random() < 0.5:
            self.source("ALTER PUBLICATION torture DROP TABLE " + late.name)
        self.source("DROP TABLE %s CASCADE" % late.name)
        self.gone.append(late)
        faults.note("drop a table", late.name)

    def forget_gone(self):
        """When nothing of them can come any more."""
        for late in self.gone:
            for sink in ("one", "three"):
                self.target(sink, "DROP TABLE %s CASCADE" % late.name)
        self.gone = []

    # ---- a table is written anew, or emptied ----

    def rewrite(self, faults):
        """Its rows move into another file, of which the stream says nothing; or they go."""
        if "source" in faults.down:
            return
        relation = self.random.choice(self.copied())
        tree = [t for t in self.tables if relation in t.relations]
        ways = ["VACUUM FULL {t}"]
        # Elsewhere it may have been unlogged for a time, or have other values, so it is refused.
        if self.named and not (tree and tree[0].kind == "parted"):
            ways += ["ALTER TABLE {t} ALTER {c} TYPE text USING {c} || ''"]
        if tree and tree[0].kind in ("keyed", "parted", "full"):
            ways += ["TRUNCATE {t}"]
        way = self.random.choice(ways).format(t=relation.name, c=TEXTS.get(relation.name, "v"))
        if relation.name.startswith("heap") or relation.name == "uniq":
            way = "VACUUM FULL " + relation.name
        if way.startswith("ALTER") and relation not in BASE and relation.name != tree[0].name:
            way = way.replace("ALTER TABLE", "VACUUM FULL").split(" ALTER")[0]  # a column that is inherited
        try:
            conn = psycopg2.connect(self.servers.conninfo("source", "torture") +
                                    " connect_timeout=5 options='-c lock_timeout=2s'")
            conn.autocommit = True
            conn.cursor().execute(way)
            conn.close()
        except (psycopg2.errors.LockNotAvailable, psycopg2.errors.DeadlockDetected):
            return
        faults.note("rewrite a table", way)

    # ---- a table is copied again: the way that walpipe.conf(5) gives ----

    def again(self, faults):
        if faults.down:
            return
        sink = self.random.choice(sorted(self.again_ways))
        relation = self.random.choice(self.copied(sink))
        self.stop_pipeline(faults)
        self.again_ways[sink](sink, relation)
        self.counts["copied again"] += 1
        faults.note("copy again", "%s of %s" % (relation.name, sink))
        faults.start_walpipe()

    def stop_pipeline(self, faults):
        """In one of two ways, with all servers up."""
        pipeline = self.rig.pipeline
        faults.all_well()
        faults.down.add("walpipe")
        if self.random.random() < 0.5:
            pipeline.kill()
        else:
            code = pipeline.drain()
            if not faults.ended_well(code):
                raise Failure("walpipe was told to stop, and ended with %d" % code)

    def again_in_postgres(self, sink, relation):
        sessions = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity " \
            "WHERE application_name LIKE 'walpipe%' AND datname = current_database()"
        wait_for(30, "the sessions of a walpipe that is gone", lambda: self.target(sink, sessions) == [(0,)])
        held = self.target(sink, "SELECT to_regclass('walpipe.held') IS NOT NULL")[0][0]
        forget = ["DELETE FROM walpipe.held WHERE relid IN (SELECT relid FROM walpipe.tables WHERE name = '%s')"
                  % relation.name] if held else []
        noted = self.target(sink, "SELECT to_regclass('walpipe.tables') IS NOT NULL")[0][0]
        self.target(sink, "TRUNCATE %s%s" % ("" if relation.tree else "ONLY ", relation.name), *forget,
                    *["UPDATE walpipe.tables SET state = 'waiting', done = '', rows = 0 WHERE name = '%s'"
                      % relation.name] * noted)

    def ask_clickhouse(self, sql):
        return self.servers.clickhouse(sql, "torture").strip()

    def await_mutations(self, table):
        wait_for(30, "the mutation of " + table, lambda: self.ask_clickhouse(
            "SELECT count() FROM system.mutations WHERE database = 'torture' AND table = '%s' AND NOT is_done"
            % table) == b"0")

    def again_in_clickhouse(self, sink, relation):
        ask = self.ask_clickhouse
        wait_for(30, "the requests of a walpipe that is gone", lambda: ask(
            "SELECT count() FROM system.processes WHERE current_database = 'torture' AND query_id <> queryID()"
            if self.servers.modern else "SELECT count() - 1 FROM system.processes") == b"0")
        if ask("EXISTS TABLE " + relation.name) == b"1":
            # before 22.12 what was truncated may come back with the next kill
            ask("%s TABLE %s" % ("TRUNCATE" if self.servers.modern else "DROP", relation.name))
        if ask("EXISTS TABLE walpipe_tables") == b"1":
            ask("ALTER TABLE walpipe_tables UPDATE state = 'waiting', done = '', rows = 0 WHERE name = '%s'"
                % relation.name)
            self.await_mutations("walpipe_tables")

    # ---- the end of the copies ----

    def notes(self, sink):
        """{(table, worker): states}, and something that changes while a copy goes on."""
        sql = "SELECT name, shard, state, done, rows FROM %s WHERE relid <> 0 %s ORDER BY 1, 2, 3, 4, 5"
        if sink == "olap":
            lines = self.servers.clickhouse(sql % ("walpipe_tables FINAL", "AND state <> 'gone'"), "torture")
            rows = [tuple(line.split("\t")) for line in lines.decode().splitlines()]
        else:
            rows = self.target(sink, sql % ("walpipe.tables", ""))
        states = collections.defaultdict(set)
        for name, shard, state, _, _ in rows:
            states[name, int(shard)].add(state)
        return dict(states), rows

    def unfinished(self):
        """(What is not streaming, what changes as it goes on.)"""
        waits, moves = [], []
        for sink, shards in (("one", 1), ("three", 3), ("olap", 2)):
            states, rows = self.notes(sink)
            wanted = {(r.name, shard) for r in self.relations(sink) for shard in range(shards)}
            waits += ["%s/%d: %s %s" % (sink, shard, name, "/".join(sorted(states.get((name, shard), ["not noted"]))))
                      for name, shard in sorted(wanted) if states.get((name, shard)) != {"streaming"}]
            # The note stays of a table that was dropped while walpipe was down, and until the next
            # start if the stream brings the table when the list is without it already.
            waits += ["%s/%d: %s %s, and is gone" % (sink, shard, name, "/".join(sorted(states[name, shard])))
                      for name, shard in sorted(set(states) - wanted)
                      if not all(state.startswith("out-") or state == "waiting" for state in states[name, shard])]
            moves.append(rows)
        return waits, moves

    def await_copied(self, check, patience):
        """All tables are streaming everywhere, however long it takes as long as it goes on."""
        known, moved = None, time.monotonic()
        while True:
            check()
            waits, now = self.unfinished()
            if not waits:
                return
            if now != known:
                known, moved = now, time.monotonic()
            elif time.monotonic() > moved + patience:
                raise Failure("for %d s no copy has moved: %s" % (patience, "; ".join(waits[:20])))
            time.sleep(0.2)
