#!/usr/bin/env bats
# Tables without a key are copied through the real programs into sink-pg, while the source changes
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
