# copied.bash: a source with two tables, and Python programs with a pipeline that copies them, for
# copied.bats and copied-clickhouse.bats.

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    T=$BATS_TEST_TMPDIR
    pg_new src
    CONNINFO=$(pg_conninfo src)
    export CONNINFO PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$BATS_TEST_DIRNAME:$BATS_TEST_DIRNAME/../lib
    pg_sql src "
        create table t (id int, region int, v text, primary key (id, region));
        insert into t select n, n % 5, 'old' from generate_series(1, 20000) n;
        create table u (id int primary key, v text);
        insert into u select n, 'old' from generate_series(1, 5000) n;
        create publication p for table t"
}

teardown() {
    servers_end
}

# same_rows TABLE COLUMNS: the ClickHouse "ch" has the source's rows.
same_rows() {
    diff <(pg_sql src "select $2 from $1 order by $2" | tr '|' '\t' | sort) \
        <(ch_sql ch "select $2 from $1 final where _is_deleted = 0" | sort) >"$T/diff" ||
        { head -n 5 "$T/diff" && return 1; }
}

# streaming PARTS
streaming() {
    [ "$(ch_sql ch "select countIf(state = 'streaming') from walpipe_tables final where relid <> 0")" = "$1" ]
}

# Runs the Python program on stdin, with a Pipeline p that the options are of.
play() {
    {
        cat <<'PY'
import random, signal, sys
import psycopg2
from copied_worker import *

def query(text, *values):
    c = psycopg2.connect(os.environ["CONNINFO"])
    c.autocommit = True
    with c.cursor() as cursor:
        cursor.execute(text, values)
        result = cursor.fetchall() if cursor.description else None
    c.close()
    return result

class Load(threading.Thread):
    """Transactions of all kinds on t and u until stop is set. most_behind: where the pipeline is so many
    bytes behind, they wait for it. Each step of a copy waits for the stream, so a copy beside clients that
    are faster than the pipeline takes ever longer."""

    def __init__(self, seed, truncate, most_behind=None):
        super().__init__(daemon=True)
        self.dice, self.truncate, self.stop, self.count = random.Random(seed), truncate, False, 0
        self.most_behind = most_behind

    def is_behind(self, cursor):
        if self.most_behind is None or self.count % 20 != 0:
            return False
        cursor.execute("select pg_current_wal_lsn() - confirmed_flush_lsn > %s from pg_replication_slots", (self.most_behind,))
        return any(behind for behind, in cursor.fetchall())

    def statement(self):
        d, table = self.dice, self.dice.choice("ttu")
        n = d.randrange(24000)
        if self.truncate and d.random() < 0.002:
            return "truncate " + d.choice(("t", "u", "t, u"))
        if d.random() < 0.1:
            return "delete from %s where id between %d and %d" % (table, n, n + 5)
        if d.random() < 0.5:
            return "update %s set v = 'c%d' where id between %d and %d" % (table, d.randrange(10**6), n, n + 3)
        if table == "t" and d.random() < 0.5:
            return "update t set region = region + 1 where id = %d" % n
        if d.random() < 0.3:
            return "update %s set id = %d where id = %d and not exists (select from %s where id = %d)" % (
                table, n + 30000, n, table, n + 30000)
        values = "(%d, %d, 'new')" % (n, n % 5) if table == "t" else "(%d, 'new')" % n
        return "insert into %s values %s on conflict do nothing" % (table, values)

    def run(self):
        c = psycopg2.connect(os.environ["CONNINFO"])
        while not self.stop:
            with c, c.cursor() as cursor:
                if self.is_behind(cursor):
                    time.sleep(0.02)
                    continue
                try:
                    for _ in range(self.dice.randrange(1, 4)):
                        cursor.execute(self.statement())
                    if self.dice.random() < 0.1:
                        c.rollback()
                except psycopg2.Error:
                    c.rollback()
            self.count += 1
        c.close()

def confirmed():
    lsn, = query("select pg_current_wal_lsn()")[0]
    return lambda: query("select confirmed_flush_lsn >= %s from pg_replication_slots", lsn)[0][0]

def same(p, table, columns):
    expected = sorted(map(list, query("select %s from %s" % (", ".join(c + "::text" for c in columns), table))))
    got = sorted(p.target.table("public." + table).values())
    extra, lost = [r for r in got if r not in expected][:5], [r for r in expected if r not in got][:5]
    assert got == expected, "%s: %d rows, not %d; extra %r, lost %r" % (table, len(got), len(expected), extra, lost)

def drain(p):
    p.programs["pg-wal-read"].terminate()
    for name, program in p.programs.items():
        assert program.wait(20) == 0, "%s: %s" % (name, program.returncode)
PY
        cat
    } >"$T/play.py"
    mkdir -p "$T/run"
    timeout -k 1 400 /usr/bin/python3 "$T/play.py" "$T/run" 3>&-
}
