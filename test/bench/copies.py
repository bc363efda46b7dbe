"""copies.py: how fast rows that are there already are copied, and how late the stream is meanwhile.
A contender takes a load from its start to the moment when it says that all tables are copied; the
rows must be equal then."""

import os
import resource
import subprocess
import time

import psycopg2

from contenders import Memory, Native, Walpipe, must_equal
from live import Latency
from stage import Failure, Process, children, name_of, ticks, wait_for

PSQL = "psql -XAtqd"

# Between two looks at the target whether all is copied. Each look costs it processor time.
LOOK_SECONDS = 0.05


class Rows:
    """Tables like pgbench_accounts that have rows before a contender starts."""

    def __init__(self, name, tables, rows):
        self.name, self.rows = name, rows
        self.tables = ["%s_%d" % (name, n) for n in range(tables)]

    @property
    def publication(self):
        return "p_" + self.name

    @property
    def template(self):
        return "t_" + self.name

    def create(self, stage):
        stage.sql("target", "CREATE DATABASE " + self.template, "postgres")
        for table in self.tables:
            for server, db in (("source", "bench"), ("target", self.template)):
                stage.sql(server, "CREATE TABLE %s (aid int PRIMARY KEY, bid int, abalance int, "
                          "filler char(84))" % table, db)
            stage.sql("source", "INSERT INTO %s SELECT g, g / 100000 + 1, 0, '' FROM "
                      "generate_series(1, %d) g" % (table, self.rows // len(self.tables)))
            stage.sql("source", "VACUUM ANALYZE " + table)
        stage.forget("target", self.template)
        stage.sql("source", "CREATE PUBLICATION %s FOR TABLE %s"
                  % (self.publication, ", ".join(self.tables)))

    def drop(self, stage):
        stage.sql("source", "DROP PUBLICATION " + self.publication)
        for table in self.tables:
            stage.sql("source", "DROP TABLE " + table)
        stage.drop_target(self.template)

    def sums(self, table):
        return "SELECT count(*), sum(aid), sum(bid), sum(abalance) FROM " + table

    def verify(self, stage, db):
        for table in self.tables:
            must_equal(table, stage.sql("source", self.sums(table)),
                       stage.sql("target", self.sums(table), db))

    def verify_olap(self, stage, db):
        for table in self.tables:
            ours = "\t".join(str(v) for v in stage.sql("source", self.sums(table))[0])
            must_equal(table, ours, stage.clickhouse(self.sums(table), db))


def server_seconds(stage, name):
    """Of a server with all its backends, also those that have ended."""
    if name == "olap":
        return ticks(stage.pids[name])
    with open("/proc/%d/stat" % stage.pids[name]) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    total = sum(int(v) for v in fields[11:15]) / os.sysconf("SC_CLK_TCK")
    for child in children(stage.pids[name]):
        try:
            total += ticks(child)
        except OSError:
            pass  # it has just ended
    return total


class Copy:
    """What all contenders have in common. run() copies into a new database and returns its result."""
    servers = ("source", "target")

    def __init__(self, stage):
        self.stage = stage

    def measured(self, load):
        stage = self.stage
        db = stage.target_from(load.template)
        stage.quiet()
        before = {name: server_seconds(stage, name) for name in self.servers}
        begin = time.monotonic()
        result = self.copy(load, db)
        result["seconds"] = result.pop("end") - begin
        result.setdefault("used", {})
        for name in self.servers:
            result["used"][name] = server_seconds(stage, name) - before[name]
        self.verify(load, db)
        stage.drop_target(db)
        return result

    run = measured

    def verify(self, load, db):
        load.verify(self.stage, db)


class NativeCopy(Copy):
    """PostgreSQL's own subscription, which copies two tables at a time."""
    title = Native.title

    def copy(self, load, db):
        stage, name = self.stage, self.stage.fresh("copy")
        states = "SELECT bool_and(srsubstate IN ('s', 'r')) FROM pg_subscription_rel"
        stage.sql("target", "CREATE SUBSCRIPTION %s CONNECTION '%s' PUBLICATION %s"
                  % (name, stage.conninfo("source", "bench"), load.publication), db)
        wait_for("the subscription", lambda: stage.sql("target", states, db)[0][0], 3600, LOOK_SECONDS)
        end = time.monotonic()
        stage.sql("target", "DROP SUBSCRIPTION " + name, db)
        return {"end": end}


class WalpipeCopy(Copy):
    """walpipe run with copy = yes."""

    def __init__(self, stage, workers=1, ch=False):
        super().__init__(stage)
        self.ch = ch
        self.title = "walpipe" if workers == 1 else "walpipe, %d workers" % workers
        self.servers = ("source", "olap") if ch else ("source", "target")
        settings = "copy = yes\nshards = %d\n" % workers
        self.walpipe = Walpipe(stage, pg=not ch, ch=ch, settings=settings)

    def is_done(self, load, db):
        if self.ch:
            query = "SELECT countDistinct(relid) FROM walpipe_tables FINAL WHERE relid <> 0 AND state = 'streaming'"
            there = self.stage.clickhouse("EXISTS TABLE walpipe_tables", db) == "1"
            return there and int(self.stage.clickhouse(query, db)) == len(load.tables)
        try:
            return self.stage.sql("target", "SELECT count(DISTINCT relid) = %d AND bool_and(state = 'streaming') "
                                  "FROM walpipe.tables WHERE relid <> 0" % len(load.tables), db)[0][0]
        except psycopg2.errors.UndefinedTable:
            return False

    def copy(self, load, db):
        stage, slot = self.stage, self.stage.fresh("copy")
        if self.ch:
            stage.clickhouse("CREATE DATABASE " + db)
        process = self.walpipe.spawn(self.walpipe.configure(load.publication, slot, db, create_slot="yes"))
        memory = Memory(process.popen.pid)
        try:
            wait_for("walpipe's copy", lambda: process.must_live() or self.is_done(load, db), 3600, LOOK_SECONDS)
            result = {"end": time.monotonic(), "used": {}}
            for child in children(process.popen.pid):
                name = name_of(child)
                result["used"][name] = result["used"].get(name, 0) + ticks(child)
        finally:
            peak = memory.end()
            process.stop()
        stage.drop_slot(slot)
        return dict(result, memory=peak)

    def verify(self, load, db):
        if not self.ch:
            return load.verify(self.stage, db)
        load.verify_olap(self.stage, db)
        self.stage.clickhouse("DROP DATABASE " + db)


class PsqlCopy(Copy):
    """COPY TO | COPY FROM by psql, over two connections at a time, of the halves of one table or of
    many tables. Without `into` the rows are thrown away."""

    def __init__(self, stage, into=True):
        super().__init__(stage)
        self.into = into
        self.title = "psql's COPY, two connections" if into else "COPY TO alone, two connections"

    def command(self, db, what, table):
        source = "%s '%s' -c \"COPY (SELECT * FROM %s) TO STDOUT\"" % (
            PSQL, self.stage.conninfo("source", "bench"), what)
        if not self.into:
            return source + " >/dev/null"
        return "%s | %s '%s' -c 'COPY %s FROM STDIN'" % (
            source, PSQL, self.stage.conninfo("target", db), table)

    def scripts(self, load, db):
        if len(load.tables) > 1:
            return ["\n".join(self.command(db, t, t) for t in load.tables[n::2]) for n in (0, 1)]
        table = load.tables[0]
        middle = self.stage.sql("source", "SELECT pg_relation_size('%s') / 8192 / 2" % table)[0][0]
        return [self.command(db, "%s WHERE ctid %s '(%d,0)'" % (table, op, middle), table)
                for op in ("<", ">=")]

    def copy(self, load, db):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        both = [subprocess.Popen(["bash", "-euc", "set -o pipefail\n" + script])
                for script in self.scripts(load, db)]
        if any([process.wait() != 0 for process in both]):
            raise Failure("psql failed")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return {"end": time.monotonic(), "used": {"psql": used}}

    def verify(self, load, db):
        if self.into:
            load.verify(self.stage, db)


class Beside(Latency):
    """Lone commits while pgbench writes, without a copy and while a large table is copied."""

    def __init__(self, stage, load, rate=40, seconds=8, tps=100):
        super().__init__(stage, rate, seconds)
        self.load, self.tps = load, tps
        self.bench_tables = "pgbench_accounts, pgbench_branches, pgbench_tellers, pgbench_history"

    def pgbench(self, *args):
        return ["pgbench", "-n", *args, "-h", "127.0.0.1", "-p", str(self.stage.ports["source"]), "-U",
                "postgres", "bench"]

    def create(self):
        stage = self.stage
        subprocess.run(self.pgbench("-iq"), check=True, stderr=subprocess.DEVNULL)
        stage.forget("target", self.template)
        dump = "pg_dump -s -t 'pgbench_*' -t '%s_*' '%s' | %s '%s' >/dev/null" % (
            self.load.name, stage.conninfo("source", "bench"), PSQL, stage.conninfo("target", self.template))
        subprocess.run(["bash", "-euc", "set -o pipefail\n" + dump], check=True)
        stage.sql("source", "CREATE PUBLICATION p_beside FOR TABLE %s, %s, %s" % (
            self.table, ", ".join(self.load.tables), self.bench_tables))

    def copying(self, db):
        try:
            return self.stage.sql("target", "SELECT count(*) = 1 FROM walpipe.tables WHERE state = 'copying' "
                                  "AND name = '%s' AND rows > 0" % self.load.tables[0], db)[0][0]
        except psycopg2.errors.UndefinedTable:
            return False

    def run(self, copy):
        db, slot = self.begin()
        walpipe = Walpipe(self.stage, settings="copy = %s" % ("yes" if copy else "no"))
        process = walpipe.spawn(walpipe.configure("p_beside", slot, db))
        load = Process(self.pgbench("-c", "4", "-R", str(self.tps), "-T", "600"), self.stage.dir + "/pgbench.log",
                       stdout=subprocess.DEVNULL)
        try:
            wait_for("the stream", lambda: self.copying(db) if copy else
                     self.stage.sql("target", "SELECT count(*) FROM pgbench_history", db)[0][0] > 0, 300)
            result = self.measure(db)
            if copy and not self.copying(db):
                raise Failure("the copy was over before the commits were")
        finally:
            load.stop()
            process.stop()
        self.end(db, slot)
        return result
