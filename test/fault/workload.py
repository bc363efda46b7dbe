"""workload.py: clients that change the source at random, for the torture test.

Each client has its own keys, so that clients do not wait for each other for ever; the tables are
everybody's. What a client believes does not matter, only what the source holds: a COMMIT that the
source's crash cut off may or may not have happened. `log` has no key, and holds equal rows: what
is applied twice shows."""

import collections
import random
import threading
import time

import psycopg2

# columns: what is compared. tree: with the rows of its partitions. heap: the stream does not say what
# its key is. olap: a ClickHouse copies it, since it has a key, or its rows are only added to.
Relation = collections.namedtuple("Relation", "name columns tree heap olap", defaults=(False, False, True))

BASE = [Relation("account", "id, v, note"), Relation("toast", "id, n, big, other"), Relation("pair", "a, b, v"),
        Relation("log", "client, seq, note", heap=True, olap=False), Relation("cleared", "id, v"), Relation("uniq", "id, u"),
        Relation("whole", "id, v, w", heap=True, olap=False), Relation("poison", "id, v")]

SCHEMA = """
CREATE TABLE account (id int PRIMARY KEY, v int, note text);
CREATE TABLE toast (id bigint PRIMARY KEY, n int, big text, other text);
ALTER TABLE toast ALTER big SET STORAGE EXTERNAL, ALTER other SET STORAGE EXTERNAL;
CREATE TABLE pair (a int, b text, v numeric(18,4), PRIMARY KEY (a, b));
CREATE TABLE log (client int, seq int, note text);
CREATE TABLE cleared (id int PRIMARY KEY, v text);
CREATE TABLE uniq (id int PRIMARY KEY, u int UNIQUE);
CREATE TABLE whole (id int PRIMARY KEY, v text, w int);
ALTER TABLE whole REPLICA IDENTITY FULL;
CREATE TABLE poison (id int PRIMARY KEY, v text);
"""

# What the PostgreSQL targets have, and the source has not.
REFUSES = "ALTER TABLE poison ADD CONSTRAINT no_poison CHECK (v <> 'poison')"

# Under REPLICA IDENTITY FULL the stream does not say what the key is.
CLICKHOUSE = (
    """CREATE TABLE whole (id Int32, v Nullable(String), w Nullable(Int32), _version UInt64,
       _is_deleted UInt8) ENGINE = ReplacingMergeTree(_version) ORDER BY id""",
    """CREATE VIEW whole_current AS SELECT id, v, w FROM whole FINAL WHERE _is_deleted = 0""",
)

KEYS = 60  # of one client


class Client(threading.Thread):
    def __init__(self, number, seed, conninfo, late, ease):
        super().__init__(daemon=True)
        self.ease = ease
        self.late_tables = late
        self.random = random.Random("%s client %s" % (seed, number))
        self.number, self.conninfo = number, conninfo
        self.base = number * 1000
        self.go = threading.Event()
        self.idle = threading.Event()
        self.end = False
        self.conn = None
        self.seq = 0
        self.committed = self.lost = 0
        self.error = None

    # ---- the thread ----

    def run(self):
        while not self.end:
            if not self.go.is_set():
                self.idle.set()
                self.go.wait(0.05)
                continue
            self.idle.clear()
            try:
                self.step()
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                self.forget()
            except psycopg2.Error as e:  # pragma: a bug of this file
                self.error = "client %d: %s" % (self.number, e)
                self.forget()
            time.sleep(self.ease * self.random.choice((0, 0.01, 0.03, 0.06)))
        self.idle.set()

    def forget(self):
        self.lost += 1
        try:
            self.conn.close()
        except (AttributeError, psycopg2.Error):
            pass
        self.conn = None
        time.sleep(0.05)

    def step(self):
        if self.conn is None:
            self.conn = psycopg2.connect(self.conninfo + " connect_timeout=3")
            with self.conn.cursor() as c:
                # deadlocks of a swap, of TRUNCATE with others: short, and an end of the transaction
                c.execute("SET deadlock_timeout = '50ms'; SET lock_timeout = '2s'")
            self.conn.commit()
        try:
            with self.conn.cursor() as c:
                self.transaction(c)
            if self.random.random() < 0.08:
                self.conn.rollback()
            else:
                self.conn.commit()
                self.committed += 1
        except (psycopg2.errors.DeadlockDetected, psycopg2.errors.LockNotAvailable,
                psycopg2.errors.UndefinedTable):  # a late table was dropped
            self.conn.rollback()

    # ---- what it does ----

    def transaction(self, c):
        kinds = (self.rows, self.rows, self.toast, self.toast, self.pairs, self.log, self.clear,
                 self.swap, self.whole, self.move, self.late, self.late)
        for _ in range(self.random.choice((1, 1, 2, 3, 6))):
            kind = self.random.choice(kinds)
            if self.random.random() < 0.2:
                c.execute("SAVEPOINT s")
                kind(c)
                c.execute("ROLLBACK TO s" if self.random.random() < 0.5 else "RELEASE s")
            else:
                kind(c)
        if self.random.random() < 0.02:
            self.bulk(c)

    def key(self):
        return self.base + self.random.randrange(KEYS)

    def rows(self, c):
        r = self.random
        what = r.random()
        if what < 0.5:
            c.execute("INSERT INTO account VALUES (%s, %s, %s) ON CONFLICT (id) DO UPDATE "
                      "SET v = excluded.v, note = excluded.note",
                      (self.key(), r.randrange(10 ** 6), r.choice((None, "", "tab\there", "é" * 9))))
        elif what < 0.8:
            c.execute("UPDATE account SET v = v + 1 WHERE id = %s", (self.key(),))
        else:
            c.execute("DELETE FROM account WHERE id = %s", (self.key(),))

    def move(self, c):
        """A key change, to a free key."""
        table = self.random.choice(("account", "toast", "whole"))
        old, new = self.key(), self.key()
        c.execute("UPDATE {0} SET id = %s WHERE id = %s AND NOT EXISTS "
                  "(SELECT FROM {0} WHERE id = %s)".format(table), (new, old, new))

    def swap(self, c):
        """Two rows change their unique values over a third one."""
        a, b = sorted((self.key(), self.key()))
        c.execute("INSERT INTO uniq VALUES (%s, %s), (%s, %s) ON CONFLICT DO NOTHING",
                  (a, a, a + 500, a + 500))
        if a == b:
            c.execute("DELETE FROM uniq WHERE id = %s", (a,))
            return
        c.execute("SELECT id, u FROM uniq WHERE id IN (%s, %s)", (a, b))
        found = c.fetchall()
        if len(found) < 2 or None in (found[0][1], found[1][1]):
            return
        (x, u), (y, v) = found
        for ident, value in ((x, None), (y, u), (x, v)):
            c.execute("UPDATE uniq SET u = %s WHERE id = %s", (value, ident))

    def toast(self, c):
        r = self.random
        k, what = self.key(), r.random()
        if what < 0.3:
            c.execute("INSERT INTO toast VALUES (%s, 0, repeat(md5(%s::text), %s), repeat('o', 3000)) "
                      "ON CONFLICT (id) DO UPDATE SET n = toast.n + 1",
                      (k, r.randrange(10 ** 6), r.randrange(70, 150)))
        elif what < 0.7:
            c.execute("UPDATE toast SET n = n + 1 WHERE id = %s", (k,))
        elif what < 0.85:
            c.execute("UPDATE toast SET big = repeat(md5(%s::text), 90) WHERE id = %s",
                      (r.randrange(10 ** 6), k))
        elif what < 0.92:
            c.execute("UPDATE toast SET other = NULL WHERE id = %s", (k,))
        else:
            c.execute("DELETE FROM toast WHERE id = %s", (k,))

    def pairs(self, c):
        r = self.random
        k = self.key()
        c.execute("INSERT INTO pair VALUES (%s, %s, %s) ON CONFLICT (a, b) DO UPDATE SET v = -pair.v",
                  (k, "key %d" % r.randrange(4), r.randrange(10 ** 6) / 7))
        if r.random() < 0.3:
            c.execute("UPDATE pair SET b = %s WHERE a = %s AND b = 'key 1'",
                      ("moved %d" % r.randrange(10 ** 6), k))
        if r.random() < 0.3:
            c.execute("DELETE FROM pair WHERE a = %s", (self.key(),))

    def log(self, c):
        self.seq += 1
        again = self.random.choice((1, 1, 2, 5))
        c.execute("INSERT INTO log SELECT %s, %s, %s FROM generate_series(1, %s)",
                  (self.number, self.seq, "note %d" % self.random.randrange(100), again))

    def whole(self, c):
        r = self.random
        k = self.key()
        if r.random() < 0.7:
            c.execute("INSERT INTO whole VALUES (%s, repeat('f', %s), %s) "
                      "ON CONFLICT (id) DO UPDATE SET w = excluded.w",
                      (k, r.randrange(200), r.randrange(10 ** 6)))
        else:
            c.execute("DELETE FROM whole WHERE id = %s", (k,))

    def late(self, c):
        """Into a table that came while all runs."""
        r = self.random
        tables = list(self.late_tables)
        if not tables:
            return
        late = r.choice(tables)
        table = late.name
        if late.kind == "heap":
            self.seq += 1
            c.execute("INSERT INTO %s VALUES (%d, %d, 'late')" % (table, self.number, self.seq))
            return
        k, what = self.key(), r.random()
        if what < 0.3:
            into = r.choice(late.into)
            c.execute("INSERT INTO {0} VALUES (%s, 0, 'new', repeat(md5(%s::text), %s)) ON CONFLICT (id) DO UPDATE "
                      "SET n = {0}.n + 1".format(into), (k, r.randrange(10 ** 6), r.choice((0, 1, 90))))
        elif what < 0.6:
            c.execute("UPDATE %s SET n = n + 1 WHERE id BETWEEN %d AND %d" % (table, k, k + r.randrange(9)))
        elif what < 0.7:
            new = self.key()
            c.execute("UPDATE {0} SET id = %s, n = n + 1 WHERE id = %s AND NOT EXISTS "
                      "(SELECT FROM {0} WHERE id = %s)".format(table), (new, k, new))
        elif what < 0.8:
            c.execute("UPDATE %s SET big = NULL WHERE id = %d" % (table, k))
        else:
            c.execute("DELETE FROM %s WHERE id = %d" % (table, k))

    def clear(self, c):
        r = self.random
        if r.random() < 0.05:
            c.execute("TRUNCATE cleared")
        else:
            c.execute("INSERT INTO cleared VALUES (%s, %s) ON CONFLICT (id) DO UPDATE "
                      "SET v = excluded.v", (self.key(), "row %d" % r.randrange(10 ** 6)))

    def bulk(self, c):
        """A transaction of many rows, more than a batch holds."""
        low = self.base + 100
        c.execute("INSERT INTO account SELECT %s + g, g, 'bulk' FROM generate_series(1, 400) AS g "
                  "ON CONFLICT (id) DO UPDATE SET v = account.v + 1", (low,))
        c.execute("INSERT INTO log SELECT %s, -g, 'bulk' FROM generate_series(1, 300) AS g",
                  (self.number,))
        c.execute("DELETE FROM account WHERE id BETWEEN %s AND %s",
                  (low + 200, low + 200 + self.random.randrange(200)))


class Workload:
    """late: a list that may change, of lives.py's tables. ease: how many times longer clients pause."""

    def __init__(self, seed, conninfo, late, ease, count=4):
        self.clients = [Client(n, seed, conninfo, late, ease) for n in range(1, count + 1)]
        for client in self.clients:
            client.start()

    def start(self):
        for client in self.clients:
            client.idle.clear()
            client.go.set()

    def pause(self):
        for client in self.clients:
            client.go.clear()
        for client in self.clients:
            if not client.idle.wait(60):
                raise RuntimeError("a client of the workload hangs")
        errors = [c.error for c in self.clients if c.error]
        if errors:
            raise RuntimeError("the workload is wrong: " + "; ".join(errors))

    def counts(self):
        return sum(c.committed for c in self.clients), sum(c.lost for c in self.clients)

    def stop(self):
        for client in self.clients:
            client.end = True
            client.go.clear()
