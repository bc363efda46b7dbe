"""workload.py: clients that change the source's tables at random, all at once. Knows the tables'
shapes, no pipeline.

Each client has a random generator of its own, so that a seed gives the same statements; in which
order the server runs those of several clients is up to the server."""

import io
import threading

import psycopg2

from shapes import quote

# What a client may meet among others: it gives the statement or the transaction up.
EXPECTED = (psycopg2.errors.IntegrityError, psycopg2.errors.DeadlockDetected,
            psycopg2.errors.LockNotAvailable, psycopg2.errors.SerializationFailure,
            psycopg2.errors.UndefinedTable, psycopg2.errors.InternalError_)  # h_again was dropped


class Client(threading.Thread):
    def __init__(self, number, r, conninfo, tables, counts):
        super().__init__(daemon=True)
        self.number, self.r, self.tables, self.counts = number, r, tables, counts
        self.conninfo = conninfo
        self.by_name = {t.name: t for t in tables}
        self.failure = None
        self.left = 0

    def round(self, transactions):
        """A thread runs once; the next round is another thread with the same generator."""
        other = Client(self.number, self.r, self.conninfo, self.tables, self.counts)
        other.left = transactions
        return other

    def run(self):
        try:
            self.connection = psycopg2.connect(self.conninfo)
            self.connection.autocommit = True
            self.cursor = self.connection.cursor()
            self.cursor.execute("SET lock_timeout = '3s'; SET deadlock_timeout = '100ms'")
            for _ in range(self.left):
                self.transaction()
            self.connection.close()
        except Exception as failure:  # told by the main thread
            self.failure = failure

    # ---- statements ----

    def run_sql(self, sql, values=None):
        self.cursor.execute(sql, values)
        return self.cursor.rowcount

    def changed(self, rows):
        self.counts["rows"] += max(rows, 0)

    def columns_of(self, table, given):
        return ", ".join(quote(c[0]) for c in given)

    def insert(self, table):
        columns = [c for c in table.columns if c[0] not in table.generated]
        rows = 1 if self.r.random() < 0.7 else self.r.randint(2, 6)
        row = f"({', '.join(table.casts(columns))})"
        values = [c[2](self.r) for _ in range(rows) for c in columns]
        conflict = ""
        if table.keys and table.primary and not table.deferred and not table.generated and \
                self.r.random() < 0.6:
            sets = ", ".join(f"{quote(c[0])} = excluded.{quote(c[0])}" for c in table.values)
            keys = self.columns_of(table, table.keys)
            conflict = f" ON CONFLICT ({keys}) " + \
                (f"DO UPDATE SET {sets}" if rows == 1 and self.r.random() < 0.6 else "DO NOTHING")
        self.changed(self.run_sql(f"INSERT INTO {table.sql} ({self.columns_of(table, columns)}) "
                                  f"VALUES {', '.join([row] * rows)}{conflict}", values))

    def copy(self, table):
        """Most often a duplicate key ends it."""
        columns = [c for c in table.columns if c[0] not in table.generated]
        lines = []
        for _ in range(self.r.randint(1, 30)):
            cells = [c[2](self.r) for c in columns]
            lines.append("\t".join(
                "\\N" if v is None else v.replace("\\", "\\\\").replace("\t", "\\t")
                .replace("\n", "\\n").replace("\r", "\\r") for v in cells))
        self.cursor.copy_expert(f"COPY {table.sql} ({self.columns_of(table, columns)}) FROM STDIN",
                                io.StringIO("".join(line + "\n" for line in lines)))
        self.changed(len(lines))

    def where(self, table):
        """Some rows: by key most often, else whatever comes first."""
        if table.keys and not table.generated and self.r.random() < 0.7:
            tests = [f"{quote(c[0])} = %s::{c[1]}" for c in table.keys]
            values = [c[2](self.r) for c in table.keys]
            if len(tests) > 1 and self.r.random() < 0.3:
                return tests[0], values[:1]
            return " AND ".join(tests), values
        if not table.keys and self.r.random() < 0.3:
            column = table.columns[0]
            return f"{quote(column[0])} = %s::{column[1]}", [column[2](self.r)]
        limit = 1 if self.r.random() < 0.7 else self.r.randint(2, 12)
        rows = f"SELECT ctid FROM {table.sql} OFFSET %s LIMIT %s"
        if table.parts:
            return f"(tableoid, ctid) IN ({rows.replace('ctid', 'tableoid, ctid', 1)})", \
                [self.r.randint(0, 30), limit]
        return f"ctid = ANY (ARRAY({rows}))", [self.r.randint(0, 30), limit]

    def update(self, table):
        narrow = [c for c in table.values if c[0] not in table.wide]
        columns = self.r.sample(narrow, self.r.randint(1, min(4, len(narrow)))) if narrow else []
        if table.wide and self.r.random() < 0.2:
            name = self.r.choice(table.wide)
            columns.append(next(c for c in table.columns if c[0] == name))
        if table.unique and self.r.random() < 0.5:
            columns = [c for c in columns if c[0] != table.unique] or columns
        where, found = self.where(table)
        sets = ", ".join(f"{quote(c[0])} = %s::{c[1]}" for c in columns)
        self.changed(self.run_sql(f"UPDATE {table.sql} SET {sets} WHERE {where}",
                                  [c[2](self.r) for c in columns] + found))

    def update_key(self, table):
        if not table.keys or not table.key_updates or table.generated:
            return self.update(table)
        columns = self.r.sample(table.keys, self.r.randint(1, len(table.keys)))
        sets = [f"{quote(c[0])} = %s::{c[1]}" for c in columns]
        values = [c[2](self.r) for c in columns]
        if self.r.random() < 0.3 and table.values:
            column = self.r.choice(table.values)
            sets.append(f"{quote(column[0])} = %s::{column[1]}")
            values.append(column[2](self.r))
        tests = " AND ".join(f"{quote(c[0])} = %s::{c[1]}" for c in table.keys)
        self.changed(self.run_sql(f"UPDATE {table.sql} SET {', '.join(sets)} WHERE {tests}",
                                  values + [c[2](self.r) for c in table.keys]))

    def has_int_key(self, table):
        return len(table.keys) == 1 and table.key_updates and \
            table.keys[0][1].split()[0] in ("int", "bigint")

    def shift_keys(self, table):
        """Chains: every key becomes another one of the set, through a distant range. Where rows
        are known by an int key only."""
        if not self.has_int_key(table):
            return self.update_key(table)
        key, first, by = quote(table.keys[0][0]), self.r.randint(1, 40), self.r.randint(1, 3)
        far = 1000000 + self.number * 1000
        span = f"{key} BETWEEN {first} AND {first + self.r.randint(1, 8)}"
        self.run_sql(f"UPDATE {table.sql} SET {key} = {key} + {far} WHERE {span}")
        self.changed(self.run_sql(f"UPDATE {table.sql} SET {key} = {key} - {far} + {by} "
                                  f"WHERE {key} BETWEEN {far} AND {far + 999}"))

    def swap_keys(self, table):
        if not self.has_int_key(table):
            return self.update_key(table)
        key = quote(table.keys[0][0])
        a, b = self.r.sample(range(1, 40), 2)
        if table.deferred:
            sets = f"{key} = CASE WHEN {key} = {a} THEN {b} ELSE {a} END"
            self.changed(self.run_sql(f"UPDATE {table.sql} SET {sets} WHERE {key} IN ({a}, {b})"))
            return None
        for old, new in ((a, -1 - self.number), (b, a), (-1 - self.number, b)):
            self.changed(self.run_sql(f"UPDATE {table.sql} SET {key} = {new} WHERE {key} = {old}"))
        return None

    def swap_unique(self, _):
        table = self.by_name["h_uniq"]
        a, b = self.r.sample(range(1, 60), 2)
        self.run_sql(f"SELECT id, u FROM {table.sql} WHERE id IN ({a}, {b}) ORDER BY id FOR UPDATE")
        found = dict(self.cursor.fetchall())
        if len(found) < 2:
            return
        for row, value in ((a, -1 - self.number), (b, found[a]), (a, found[b])):
            self.changed(self.run_sql(f"UPDATE {table.sql} SET u = %s WHERE id = {row}", [value]))

    def delete(self, table):
        where, values = self.where(table)
        self.changed(self.run_sql(f"DELETE FROM {table.sql} WHERE {where}", values))

    def reinsert(self, table):
        """Rows leave and come back with other values."""
        if table.generated:
            return self.delete(table)
        where, values = self.where(table)
        names = [c[0] for c in table.columns]
        self.run_sql(f"DELETE FROM {table.sql} WHERE {where} RETURNING "
                     + ", ".join(f"{quote(n)}::text" for n in names), values)
        for row in self.cursor.fetchall():
            new = [old if n < len(table.keys) or self.r.random() < 0.5 else c[2](self.r)
                   for n, (old, c) in enumerate(zip(row, table.columns))]
            marks = ", ".join(table.casts(table.columns))
            self.changed(self.run_sql(
                f"INSERT INTO {table.sql} ({self.columns_of(table, table.columns)}) "
                f"VALUES ({marks})", new))
        return None

    def empty(self, _):
        tables = self.r.sample(self.tables, self.r.randint(1, 3))
        if self.by_name["h_parent"] in tables and self.by_name["h_child"] not in tables:
            tables.append(self.by_name["h_child"])
        self.run_sql("TRUNCATE " + ", ".join(t.sql for t in tables) +
                     self.r.choice(["", " RESTART IDENTITY", " CASCADE", " RESTART IDENTITY CASCADE"]))
        self.counts["truncates"] += 1

    def bulk(self, _):
        """A large transaction, of statements with many rows each."""
        first, n = self.r.randint(1, 3000), self.r.randint(3000, 6000)
        self.changed(self.run_sql(
            f"INSERT INTO h_big SELECT g, 'bulk ' || g, g % 7 FROM generate_series({first}, "
            f"{first + n}) AS g ON CONFLICT (id) DO UPDATE SET n = h_big.n + 1"))
        for sql in self.r.sample([
                "UPDATE h_big SET v = v || '.' WHERE id % 3 = %d",
                "DELETE FROM h_big WHERE id % 5 = %d",
                "UPDATE h_big SET id = id + 20000 WHERE id % 7 = %d AND id < 10000",
                "DELETE FROM h_big WHERE id > 15000 + %d",
                "INSERT INTO h_log (client, note) SELECT g % 10, 'bulk' FROM generate_series(1, 500) "
                "AS g WHERE g > %d"], self.r.randint(1, 3)):
            self.changed(self.run_sql(sql.replace("%d", str(self.r.randint(0, 2)))))

    def make_again(self, _):
        """A new table of the same name, its columns in another order, in mid-transaction. What was in
        the old one goes by TRUNCATE: DROP is not replicated."""
        table = self.by_name["h_again"]
        if not table.made_again:
            return
        self.run_sql(f"TRUNCATE {table.sql}; DROP TABLE {table.sql}; " + table.create(target=self.r.random() < 0.5))
        self.counts["made again"] += 1
        for _ in range(self.r.randint(0, 3)):
            self.insert(table)

    # ---- transactions ----

    def change(self):
        table = self.r.choice(self.tables)
        what = self.r.random()
        if table.inserts_only:
            return self.copy(table) if what < 0.1 else self.insert(table)
        for limit, act in ((0.34, self.insert), (0.60, self.update), (0.67, self.update_key),
                           (0.69, self.shift_keys), (0.72, self.swap_keys), (0.74, self.swap_unique),
                           (0.82, self.reinsert), (0.84, self.copy)):
            if what < limit:
                return act(table)
        return self.delete(table)

    def guarded(self, depth=0):
        """A statement in a savepoint, which may be rolled back on purpose too."""
        self.cursor.execute("SAVEPOINT s")
        try:
            for _ in range(self.r.randint(1, 3)):
                if depth < 2 and self.r.random() < 0.2:
                    self.guarded(depth + 1)
                else:
                    self.change()
        except EXPECTED:
            self.cursor.execute("ROLLBACK TO s")
            return
        self.cursor.execute(self.r.choice(["ROLLBACK TO s", "RELEASE s", "RELEASE s"]))

    def transaction(self):
        kind = self.r.random()
        try:
            if kind < 0.35:
                self.change()
            else:
                self.cursor.execute("BEGIN")
                self.inside(kind)
                self.cursor.execute("ROLLBACK" if self.r.random() < 0.06 else "COMMIT")
        except EXPECTED:
            self.cursor.execute("ROLLBACK")
            self.counts["given up"] += 1
        self.counts["transactions"] += 1

    def inside(self, kind):
        if kind > 0.994:
            self.bulk(None)
        elif kind > 0.985:
            self.empty(None)
        elif kind > 0.980:
            self.make_again(None)
        elif kind > 0.95:
            self.run_sql("SELECT pg_logical_emit_message(%s, 'history', %s)",
                         [self.r.random() < 0.5, "x" * self.r.randint(0, 3000)])
        for _ in range(self.r.randint(1, 8)):
            if self.r.random() < 0.7:
                self.guarded()
            else:
                self.change()
