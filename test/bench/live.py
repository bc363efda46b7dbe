"""live.py: what is measured while the source is written: how long a lone commit takes to the
target, and how old ClickHouse's newest row is under a steady load."""

import multiprocessing
import threading
import time

import psycopg2

from contenders import Native, Walpipe
from stage import Failure


def percentile(values, p):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * p))]


class Live:
    """A table on the source that is written while a contender replicates it."""

    def __init__(self, stage, name):
        self.stage, self.name = stage, name
        self.table = "live_" + name
        for server, db in (("source", "bench"), ("target", self.template)):
            if server == "target":
                stage.sql(server, "CREATE DATABASE " + db, "postgres")
            stage.sql(server, "CREATE TABLE %s (id bigint PRIMARY KEY, note text)" % self.table, db)
        stage.forget("target", self.template)
        stage.sql("source", "CREATE PUBLICATION p_%s FOR TABLE %s" % (name, self.table))

    @property
    def template(self):
        return "t_" + self.name

    def begin(self):
        stage = self.stage
        stage.sql("source", "TRUNCATE " + self.table)
        slot = stage.fresh("slot")
        stage.sql("source", "SELECT pg_create_logical_replication_slot('%s', 'pgoutput')" % slot)
        return stage.target_from(self.template), slot

    def end(self, db, slot):
        self.stage.drop_target(db)
        self.stage.drop_slot(slot)


def write_latency(conninfo, table, rate, count, results):
    """A process of its own, so that the one that looks at the target does not hold it up. Puts the
    time of each commit's return into results."""
    conn = psycopg2.connect(conninfo)
    conn.autocommit = True
    cursor = conn.cursor()
    start, committed = time.monotonic() + 0.5, []
    for n in range(count):
        time.sleep(max(0, start + n / rate - time.monotonic()))
        cursor.execute("INSERT INTO %s VALUES (%d, 'x')" % (table, n))
        committed.append(time.monotonic())
    conn.close()
    results.put(committed)


class Latency(Live):
    """Lone commits, rate a second: from the return of COMMIT on the source to the first look at the
    target that shows the row. It looks as fast as one connection can, for every contender alike.
    (Commit timestamps would spare that, but the subscription copies those of the source.)"""

    def __init__(self, stage, rate=40, seconds=15):
        super().__init__(stage, "latency")
        self.rate, self.seconds = rate, seconds

    def measure(self, db):
        total, results = self.rate * self.seconds, multiprocessing.Queue()
        conn = self.stage.connect("target", db)
        cursor = conn.cursor()
        cursor.execute("PREPARE newest AS SELECT coalesce(max(id), -1) FROM " + self.table)
        writer = multiprocessing.Process(target=write_latency, args=(
            self.stage.conninfo("source", "bench"), self.table, self.rate, total, results))
        writer.start()
        seen, end = [], time.monotonic() + self.seconds + 60
        while len(seen) < total:
            cursor.execute("EXECUTE newest")
            newest, now = cursor.fetchone()[0], time.monotonic()
            seen += [now] * (newest + 1 - len(seen))
            if now > end:
                raise Failure("latency: %d of %d commits came" % (len(seen), total))
        committed = results.get()
        writer.join()
        conn.close()
        # the first second warms caches, plans and connections up
        delays = [max(0, s - c) * 1000 for s, c in list(zip(seen, committed))[self.rate:]]
        return {"p50": percentile(delays, 0.5), "p99": percentile(delays, 0.99), "max": max(delays)}

    def native(self):
        native = Native(self.stage)
        db, slot = self.begin()
        native.subscribe("p_latency", slot, db)
        self.stage.sql("target", "ALTER SUBSCRIPTION %s ENABLE" % slot, db)
        result = self.measure(db)
        native.unsubscribe(slot, db)
        self.end(db, slot)
        return result

    def walpipe(self):
        db, slot = self.begin()
        walpipe = Walpipe(self.stage)
        process = walpipe.spawn(walpipe.configure("p_latency", slot, db))
        try:
            result = self.measure(db)
        finally:
            process.stop()
        self.end(db, slot)
        return result


class Freshness(Live):
    """A steady load, and for each row the time from its commit to the first look at ClickHouse
    that shows it."""

    def __init__(self, stage, rate=2500, seconds=20):
        super().__init__(stage, "fresh")
        self.rate, self.seconds = rate, seconds
        self.committed = []  # (last id, time), in order

    def write(self):
        conn = self.stage.connect("source", "bench")
        cursor = conn.cursor()
        start, per = time.monotonic(), 10
        for n in range(self.rate * self.seconds // per):
            time.sleep(max(0, start + n * per / self.rate - time.monotonic()))
            cursor.execute("INSERT INTO %s SELECT g, md5(g::text) FROM generate_series(%d, %d) g"
                           % (self.table, n * per, n * per + per - 1))
            self.committed.append((n * per + per - 1, time.monotonic()))
        conn.close()

    def newest(self, db):
        there = self.stage.clickhouse("SELECT count() FROM system.tables WHERE database = '%s' "
                                      "AND name = '%s'" % (db, self.table))
        if there != "1":
            return -1
        answer = self.stage.clickhouse("SELECT count(), max(id) FROM " + self.table, db).split()
        return int(answer[1]) if answer[0] != "0" else -1

    def walpipe(self):
        db, slot = self.begin()
        self.stage.clickhouse("CREATE DATABASE " + db)
        walpipe = Walpipe(self.stage, pg=False, ch=True)
        process = walpipe.spawn(walpipe.configure("p_fresh", slot, db))
        self.committed = []
        writer = threading.Thread(target=self.write, daemon=True)
        writer.start()
        ages, shown, total = [], 0, self.rate * self.seconds
        end = time.monotonic() + self.seconds + 60
        try:
            while shown * 10 < total:
                process.must_live()
                newest, now = self.newest(db), time.monotonic()
                while shown < len(self.committed) and self.committed[shown][0] <= newest:
                    ages.append((now - self.committed[shown][1]) * 1000)
                    shown += 1
                if now > end:
                    raise Failure("freshness: %d of %d rows came" % (shown * 10, total))
                time.sleep(0.01)
        finally:
            process.stop()
        writer.join()
        self.stage.clickhouse("DROP DATABASE " + db)
        self.end(db, slot)
        return {"p50": percentile(ages, 0.5), "p99": percentile(ages, 0.99), "max": max(ages)}
