"""loads.py: what the source does before the contenders may begin. A load belongs to a publication
and a slot of its own, is made once, and ends with a row in the table "done", which the contenders
are timed by."""

FILLER = "md5(g::text) || substr(md5((g + 7)::text), 1, 28)"


class Load:
    """tables: CREATE statements for both sides. before: statements for both sides that no
    contender replicates. change: statements on the source, each in transactions of its own making.
    equal: queries that must answer the same on source and target; of ClickHouse, those of olap,
    as (source's, ClickHouse's) pairs. rows: row changes that a contender replicates."""

    def __init__(self, name, rows, tables, change, equal, before=(), olap=()):
        self.name, self.rows, self.tables, self.before = name, rows, tables, before
        self.change, self.equal, self.olap = change, equal, olap

    @property
    def publication(self):
        return "p_" + self.name

    @property
    def slot(self):
        return "s_" + self.name

    @property
    def done(self):
        return "done_" + self.name

    def create(self, stage):
        """Makes the template database on the target, the tables, the slot, and the changes. The
        last commit's end LSN is then between last and end."""
        stage.sql("target", "CREATE DATABASE " + self.slot, "postgres")
        tables = self.tables + ["CREATE TABLE %s (id int PRIMARY KEY)" % self.done]
        names = [t.split()[2] for t in tables]
        for server, db in (("source", "bench"), ("target", self.slot)):
            stage.forget(server, db)
            stage.sql(server, "SET synchronous_commit = off", db)
            for statement in tables + list(self.before):
                stage.sql(server, statement, db)
        stage.sql("source", "CREATE PUBLICATION %s FOR TABLE %s" % (self.publication, ", ".join(names)))
        stage.sql("source", "SELECT pg_create_logical_replication_slot('%s', 'pgoutput')" % self.slot)
        for statement in self.change:
            stage.sql("source", statement)
        self.last = stage.sql("source", "SELECT pg_current_wal_insert_lsn()")[0][0]
        stage.sql("source", "INSERT INTO %s VALUES (1)" % self.done)
        self.end = stage.sql("source", "SELECT pg_current_wal_insert_lsn()")[0][0]
        stage.forget("target", self.slot)

    def drop(self, stage):
        """A slot keeps WAL; a load that nobody needs any more gives it back."""
        stage.drop_slot(self.slot)
        stage.sql("source", "DROP PUBLICATION " + self.publication)
        for table in self.tables:
            stage.sql("source", "DROP TABLE " + table.split()[2])
        stage.sql("source", "DROP TABLE " + self.done)
        stage.sql("target", "DROP DATABASE " + self.slot, "postgres")


def bulk(name="bulk", rows=1_000_000, per_transaction=100_000):
    """Rows of about 100 bytes, inserted many at a time."""
    if per_transaction >= 1000:
        change = ["INSERT INTO {0} SELECT g, g % 1000, g % 77, g / 100.0, {3} "
                  "FROM generate_series({1}, {2}) g".format(
                      name, at + 1, min(at + per_transaction, rows), FILLER)
                  for at in range(0, rows, per_transaction)]
    else:
        change = ["DO $$ BEGIN FOR i IN 0..{1} LOOP INSERT INTO {0} SELECT g, g % 1000, g % 77, "
                  "g / 100.0, {3} FROM generate_series(i * {2} + 1, (i + 1) * {2}) g; "
                  "COMMIT; END LOOP; END $$".format(
                      name, rows // per_transaction - 1, per_transaction, FILLER)]
    digest = "SELECT count(*), sum(id), sum(a), sum(b), sum(amount) FROM " + name
    return Load(name, rows,
                ["CREATE TABLE %s (id bigint PRIMARY KEY, a int, b int, amount numeric(12,2), "
                 "note text)" % name],
                change, [digest + ""],
                olap=[("SELECT count(*), sum(id), sum(a), sum(b), sum(length(note)) FROM " + name,
                       "SELECT count(), sum(id), sum(a), sum(b), sum(length(note)) FROM %s_current"
                       % name)])


def small(name="small", transactions=200_000, accounts=100_000):
    """Transactions of one update and one insert, as pgbench's but smaller."""
    return Load(name, 2 * transactions,
                ["CREATE TABLE %s_acct (id int PRIMARY KEY, balance bigint, filler text)" % name,
                 "CREATE TABLE %s_hist (id bigint PRIMARY KEY, acct int, delta int, note text)" % name],
                ["DO $$ BEGIN FOR g IN 1..{1} LOOP "
                 "UPDATE {0}_acct SET balance = balance + g WHERE id = (g * 7919::bigint) % {2} + 1; "
                 "INSERT INTO {0}_hist VALUES (g, (g * 7919::bigint) % {2} + 1, g, 'transfer ' || g); "
                 "COMMIT; END LOOP; END $$".format(name, transactions, accounts)],
                ["SELECT count(*), sum(balance), sum(id * (balance %% 1009)) FROM %s_acct" % name,
                 "SELECT count(*), sum(id), sum(delta), sum(length(note)) FROM %s_hist" % name],
                before=["INSERT INTO {0}_acct SELECT g, 0, repeat('x', 60) "
                        "FROM generate_series(1, {1}) g".format(name, accounts)],
                olap=[("SELECT count(*), sum(balance), sum(id * (balance %% 1009)) FROM %s_acct "
                       "WHERE balance > 0" % name,
                       "SELECT count(), sum(balance), sum(id * (balance %% 1009)) FROM %s_acct_current"
                       % name),
                      ("SELECT count(*), sum(id), sum(delta) FROM %s_hist" % name,
                       "SELECT count(), sum(id), sum(delta) FROM %s_hist_current" % name)])


def columns(count):
    """The same number of values in rows of few or many columns."""
    name, rows = "col%d" % count, max(2000, 1_500_000 // count)
    row = ", ".join("g %% %d" % (n + 2) for n in range(count - 1))
    list_ = ", ".join("c%d int" % n for n in range(count - 1))
    return Load(name, rows, ["CREATE TABLE %s (id bigint PRIMARY KEY, %s)" % (name, list_)],
                ["INSERT INTO %s SELECT g, %s FROM generate_series(%d, %d) g"
                 % (name, row, at + 1, min(at + 10_000, rows)) for at in range(0, rows, 10_000)],
                ["SELECT count(*), sum(id), sum(c0), sum(c%d) FROM %s" % (count - 2, name)])


def tables(count, rows=200_000):
    """Small transactions, each into the next one of many tables."""
    name = "tab%d" % count
    each = 10
    return Load(name, rows,
                ["CREATE TABLE %s_%d (id bigint PRIMARY KEY, note text)" % (name, n)
                 for n in range(count)],
                ["DO $$ BEGIN FOR i IN 0..%d LOOP EXECUTE format('INSERT INTO %s_%%s SELECT g, g::text "
                 "FROM generate_series($1, $2) g', i %% %d) USING i * %d + 1, (i + 1) * %d; "
                 "COMMIT; END LOOP; END $$" % (rows // each - 1, name, count, each, each)],
                ["SELECT count(*), sum(id) FROM %s_%d" % (name, n) for n in (0, count - 1)])


def width(size):
    """The same number of bytes in short or long rows."""
    name, rows = "wid%d" % size, max(1000, 200_000_000 // (size + 100))
    rows = min(rows, 500_000)
    per = max(1, 10_000_000 // (size + 100))
    # EXTERNAL: the bench is not one of pglz
    return Load(name, rows,
                ["CREATE TABLE %s (id bigint PRIMARY KEY, v text)" % name],
                ["INSERT INTO %s SELECT g, repeat(md5(g::text), %d) FROM generate_series(%d, %d) g"
                 % (name, (size + 31) // 32, at + 1, min(at + per, rows)) for at in range(0, rows, per)],
                ["SELECT count(*), sum(id), sum(length(v)), max(md5(v)) FROM %s" % name],
                before=["ALTER TABLE %s ALTER v SET STORAGE external" % name])
