#!/usr/bin/env bats
# Tables without a key are copied through the real programs, while the source changes
# and programs are killed: each row of the source is there once (docs/copy.md, "Tables without a key").

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    T=$BATS_TEST_TMPDIR
    pg_new src
    pg_new dst
    CONNINFO=$(pg_conninfo src)
    TARGET=$(pg_conninfo dst)
    export CONNINFO TARGET PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$BATS_TEST_DIRNAME:$BATS_TEST_DIRNAME/../lib
}

teardown() {
    servers_end
}

# Runs the Python program on stdin with copied_keyless.py's names, in $T/run.
play() {
    mkdir -p "$T/run"
    {
        echo "from copied_keyless import *"
        cat
    } >"$T/play.py"
    timeout -k 1 500 /usr/bin/python3 "$T/play.py" "$T/run" 3>&-
}

make_tables() {
    local tables="
        create table history (tid int, delta int, at timestamp, filler text);
        create table pile (a int, v text)"
    pg_sql src "$tables; alter table pile replica identity full;
        insert into history select n, n, now(), repeat(md5(n::text), 4) from generate_series(1, 60000) n;
        insert into pile select n % 500, repeat(md5((n / 2)::text), 20) from generate_series(1, 4000) n;
        create publication p for all tables"
    pg_sql dst "$tables"
}

@test "with 1 and 3 workers, under load, while programs are killed: each row is there once" {
    make_tables
    play <<'PY'
for number, workers in enumerate((1, 3)):
    if number:
        start_again("history", "pile")
    loads = [Load(seed) for seed in range(3)]
    for load in loads:
        load.start()
    for victim in ("sink-pg/0", "pg-table-read", "route", "sink-pg/%d" % (workers - 1), None):
        with pipeline(str(number), workers, rate="3000000" if victim else "0") as p:
            if victim:
                p.wait(lambda: "are to be copied" in p.text("pg-table-read"))
                time.sleep(random.random() * 2)  # anywhere in the copy
                kill(p, victim)
                continue
            p.wait(lambda: streaming("history", "pile"), 180)
            end(loads)
            p.wait(confirmed())
            same("history", "pile")
            assert target("select count(*) from walpipe.held where piece > 0") == [(0,)]
            drain(p)
PY
}

@test "TRUNCATE, VACUUM FULL and too many changes begin the copy again: each row is there once" {
    make_tables
    play <<'PY'
for number, (truncate, sink) in enumerate(((0.0, ("--hold", "60000")), (0.004, ()))):
    if number:
        start_again("history", "pile")
    loads = [Load(seed, truncate) for seed in range(3)]
    for load in loads:
        load.start()
    with pipeline(str(number), 3, rate="2000000", sink=sink, reader=("--log-level", "debug")) as p:
        p.wait(lambda: p.text("pg-table-read").count(" begins") >= 2)
        source("vacuum full history")
        source("vacuum full pile")
        p.wait(lambda: p.text("pg-table-read").count(" begins") >= 3 or streaming("history", "pile"), 60)
        if sink:
            p.wait(lambda: any("bytes of changes came" in p.text("sink-pg/%d" % n) for n in range(3)), 60)
            end(loads)
        p.wait(lambda: streaming("history", "pile"), 120)
        end(loads)
        p.wait(confirmed())
        same("history", "pile")
        drain(p)
PY
}

# into_clickhouse WORKERS...: rows are only added to history, in the ClickHouse "ch".
into_clickhouse() {
    local url
    url=$(ch_url ch)
    pg_sql src "create table history (tid int, delta int, at timestamp, filler text);
        insert into history select n, n, now(), repeat(md5(n::text), 4) from generate_series(1, 60000) n;
        create publication p for all tables"
    CH=$url COUNTS="$*" play <<'PY'
import urllib.request

def ch(text):
    request = urllib.request.Request(os.environ["CH"] + "/?wait_end_of_query=1", data=text.encode())
    return [line.split("\t") for line in urllib.request.urlopen(request).read().decode().splitlines()]

class Adds(Load):
    def statement(self):
        n = self.dice.randrange(10 ** 9)
        return "insert into history select %d, n, now(), 'new' from generate_series(1, %d) n" % (
            n, self.dice.randrange(1, 5))

def are_streaming():
    return ch("select count() > 0 and countIf(state <> 'streaming') = 0 from walpipe_tables final "
              "where relid <> 0 and state <> 'gone'") == [["1"]]

sink = ["sink-ch", "--url", os.environ["CH"], "--database", "default", "--create-tables", "--flush-interval", "100ms"]
for number, workers in enumerate(int(n) for n in os.environ["COUNTS"].split()):
    if number:
        source("select pg_drop_replication_slot('s')")
        for name in ("walpipe_tables", "walpipe_missing", "walpipe_progress", "history"):
            ch("drop table " + name)
    loads = [Adds(seed) for seed in range(3)]
    for load in loads:
        load.start()
    for victim in ("sink-ch/0", "pg-table-read", "sink-ch/%d" % (workers - 1), "route", "sink-ch/0", None):
        folder = os.path.join(sys.argv[1], str(number))
        os.makedirs(folder, exist_ok=True)
        p = Programs(folder, os.environ["CONNINFO"], workers, reader=["--rate", "3000000" if victim else "0"], command=sink)
        try:
            if victim:
                p.wait(lambda: "are to be copied" in p.text("pg-table-read"), 60)
                time.sleep(random.random() * 2)  # anywhere in the copy
                kill(p, victim)
                continue
            p.wait(are_streaming, 180)
            end(loads)
            p.wait(confirmed(), 60)
            got = {tuple(row[:2]): row[2] for row in ch("select tid, delta, toString(count()) from history group by tid, delta")}
            expected = {(str(a), str(b)): str(n) for a, b, n in
                        source("select tid, delta, count(*) from history group by 1, 2")}
            assert got == expected, "%d rows, not %d" % (len(got), len(expected))
            drain(p)
        except BaseException:
            p.logs()
            raise
        finally:
            p.end()
PY
}

@test "into ClickHouse 18.16 with 1 and 3 workers, under load, while programs are killed: each row is there once" {
    ch_new ch
    into_clickhouse 1 3
}

@test "into a ClickHouse of today with 2 workers, under load, while programs are killed: each row is there once" {
    source "$BATS_TEST_DIRNAME/../lib/chdb.bash"
    chdb_available || true
    chdb_or_skip
    chdb_new ch
    into_clickhouse 2
}
