#!/usr/bin/env bats
# walpipe resync into a PostgreSQL target: a table whose target's rows were damaged by hand is copied
# again under load, and whoever reads it meanwhile sees it whole.

bats_require_minimum_version 1.5.0

load ../lib/copied

teardown() {
    reader_stop
    copied_teardown
}

# write_conf [SINK_LINES [COPY]]
write_conf() {
    cat >"$conf" <<CONF
[pipeline]
name = $db
state_dir = $dir/state
log_level = debug
copy = ${2:-yes}
[source]
conninfo = $(pg_conninfo src "$db")
slot = $db
publication = p
[sink dst]
type = pg
conninfo = $(pg_conninfo dst "$db")
flush_interval = 50ms
${1:-}
CONF
}

# tables SQL: in both databases, and published.
tables() {
    pg_sql src "$1; CREATE PUBLICATION p FOR ALL TABLES ${2:-}" "$db"
    pg_sql dst "$1" "$db"
}

# reader_start TABLE: writes the number of its rows in the target, again and again, into $dir/counts.
reader_start() {
    echo "SELECT count(*) FROM $1 \\watch 0.05" |
        "$(pg_bindir)/psql" -XAtq "$(pg_conninfo dst "$db")" >"$dir/counts" 2>/dev/null 3>&- &
    reader_pid=$!
    kill_later "$reader_pid"
}

reader_stop() {
    [ -n "${reader_pid:-}" ] || return 0
    kill "$reader_pid" 2>/dev/null || true
    wait "$reader_pid" || true
    reader_pid=
}

# all_are STATE ROWS_OF_NOTES
all_are() {
    [ -e "$conf.exit" ] || [ "$(pg_sql dst "SELECT count(*) FILTER (WHERE state = '$1') = $2
        FROM walpipe.tables WHERE relid <> 0" "$db")" = t ]
}

resync() {
    "$WALPIPE_BIN/walpipe" resync -c "$conf" "$@"
}

no_staging() {
    [ "$(pg_sql dst "SELECT count(*) FROM pg_class WHERE relname ~ '^resync_'" "$db")" = 0 ]
}

damage_accounts() {
    pg_sql dst "UPDATE pgbench_accounts SET abalance = -77 WHERE aid % 100 = 3;
        DELETE FROM pgbench_accounts WHERE aid % 100 = 7;
        INSERT INTO pgbench_accounts SELECT 10000000 + i, 1, 0, 'surplus' FROM generate_series(1, 500) AS i" "$db"
}

# under_load SHARDS
under_load() {
    bench_tables
    write_conf "$1"
    pipeline_start "$conf"
    wait_until 120 all_are streaming "$2"
    load_start 60
    damage_accounts
    reader_start pgbench_accounts
    run -0 resync --table public.pgbench_accounts --wait
    [[ $output == "public.pgbench_accounts is copied again" ]]
    wait_until 10 all_are streaming "$2"
    pipeline_lives "$conf"
    grep -E '"public.pgbench_accounts is copied again: [0-9]+ rows were missing, [0-9]+ were different, 500 were surplus"' "$conf.log"
    reader_stop
    # It was never less than the rows that it had; updates bring some of those that were removed.
    [ -s "$dir/counts" ]
    awk '$1 < 99500 || $1 < last - 500 { exit 1 } { last = $1 }' "$dir/counts"
    load_stop
    wait_until 30 source_is_quiet
    caught_up "$conf" src "$db" 120
    equal pgbench_accounts pgbench_branches pgbench_tellers pgbench_history
    no_staging
    pipeline_stop "$conf"
    no_restart "$conf"
}

@test "a damaged table is copied again under load, and is whole for every reader" {
    under_load "" 4
}

@test "so it is with three workers" {
    under_load "shards = 3" 12
}

# ---- the rows ----

# The merge of one table whose target was damaged by SQL. merged MISSING DIFFERENT SURPLUS
merged() {
    wait_until 60 grep -qF "is copied again: $1 rows were missing, $2 were different, $3 were surplus" "$conf.log"
}

# t of the test below, without the target's own column.
same_t() {
    local sql="SELECT k, u, j, n, f, a, b, d FROM t ORDER BY k"
    diff <(pg_sql src "$sql" "$db") <(pg_sql dst "$sql" "$db")
}

@test "rows differ by their images: json, 1.0 and 1.00, -0, NULL; unique values change places; own columns stay" {
    tables "CREATE TABLE t (k int PRIMARY KEY, u int UNIQUE, j json, n numeric, f float8, a text[], b bytea,
        d int GENERATED ALWAYS AS (k * 2) STORED)"
    pg_sql dst "ALTER TABLE t ADD own text NOT NULL DEFAULT 'new'" "$db"
    pg_sql src "INSERT INTO t SELECT i, i, '{\"a\": 1}', 1.00, 0, ARRAY['x', NULL], '\\x00ff' FROM generate_series(1, 20) AS i" "$db"
    write_conf
    pipeline_start "$conf"
    wait_until 60 all_are streaming 1
    pg_sql dst "UPDATE t SET own = 'kept ' || k;
        UPDATE t SET j = '{\"a\":1}' WHERE k = 1;
        UPDATE t SET n = 1.0 WHERE k = 2;
        UPDATE t SET f = '-0' WHERE k = 3;
        UPDATE t SET a = NULL WHERE k = 4;
        UPDATE t SET b = '' WHERE k = 5;
        UPDATE t SET u = -6 WHERE k = 6; UPDATE t SET u = 6 WHERE k = 7; UPDATE t SET u = 7 WHERE k = 6;
        DELETE FROM t WHERE k = 8; INSERT INTO t (k, u) VALUES (100, 8)" "$db"
    run -0 resync --table public.t --wait
    merged 1 7 1
    same_t
    [ "$(pg_sql dst "SELECT count(*) FROM t WHERE own = 'kept ' || k" "$db")" = 19 ]
    [ "$(pg_sql dst "SELECT own FROM t WHERE k = 8" "$db")" = new ]
    # and once more, of the same run: nothing is to be done
    run -0 resync --table public.t --wait
    merged 0 0 0
    pg_sql src "UPDATE t SET n = 2; DELETE FROM t WHERE k = 20" "$db"
    caught_up "$conf" src "$db"
    same_t
    pipeline_stop "$conf"
    no_restart "$conf"
}

@test "a row filter, a column list, partitions by their root and a map: right rows, two tables at once" {
    pg_sql src "CREATE TABLE f (k int PRIMARY KEY, v int, w int);
        CREATE TABLE p (k int PRIMARY KEY, v text) PARTITION BY RANGE (k);
        CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (1000);
        CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (1000) TO (2000);
        CREATE PUBLICATION p FOR TABLE f (k, v) WHERE (k > 10), p WITH (publish_via_partition_root)" "$db"
    pg_sql src "INSERT INTO f SELECT i, i, i FROM generate_series(1, 100) AS i;
        INSERT INTO p SELECT i, 'v' || i FROM generate_series(1, 1999) AS i" "$db"
    pg_sql dst "CREATE TABLE g (k int PRIMARY KEY, v int, w int DEFAULT 7);
        CREATE TABLE p (k int PRIMARY KEY, v text) PARTITION BY HASH (k);
        CREATE TABLE h0 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE h1 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 1)" "$db"
    write_conf "map = public.f -> public.g
shards = 2"
    pipeline_start "$conf"
    wait_until 60 all_are streaming 6
    pg_sql dst "UPDATE g SET w = k; UPDATE g SET v = 0 WHERE k = 20; INSERT INTO g VALUES (5, 5), (500, 500);
        DELETE FROM g WHERE k = 30; DELETE FROM p WHERE k % 10 = 0; UPDATE p SET v = '' WHERE k % 100 = 1;
        INSERT INTO p VALUES (-1, 'x'), (5000, 'y')" "$db"
    run -0 resync --table public.p
    run -0 resync --table public.f --wait
    run resync --table public.p --wait
    [[ $status -eq 0 || $output == *"is being copied already"* ]]
    wait_until 60 all_are streaming 6
    pipeline_lives "$conf"
    merged 1 1 2
    merged 199 20 2
    diff <(pg_sql src "SELECT k, v FROM f WHERE k > 10 ORDER BY k" "$db") <(pg_sql dst "SELECT k, v FROM g ORDER BY k" "$db")
    [ "$(pg_sql dst "SELECT count(*) FROM g WHERE w = k" "$db")" = 89 ]
    equal p
    no_staging
    pipeline_stop "$conf"
    no_restart "$conf"
}

# ---- what is refused ----

# refused MESSAGE ARGUMENT...: with code 100, and the pipeline goes on
refused() {
    local message=$1
    shift
    run -100 resync "$@"
    echo "$output"
    [[ $output == *"$message"* ]]
    pipeline_lives "$conf"
}

@test "what cannot be copied again is refused, with what to do, and nothing changes" {
    tables "CREATE TABLE t (k int PRIMARY KEY); CREATE TABLE n (v int); CREATE TABLE fired (k int PRIMARY KEY);
        CREATE TABLE a (k int PRIMARY KEY); CREATE TABLE b (k int PRIMARY KEY)"
    pg_sql dst "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER x BEFORE INSERT ON fired FOR EACH ROW EXECUTE FUNCTION nothing();
        ALTER TABLE fired ENABLE ALWAYS TRIGGER x" "$db"
    write_conf "map = public.b -> public.a
[sink none]
type = exec
copy = no
command = exec /usr/bin/python3 $BATS_TEST_DIRNAME/exec_sink.py $dir/beside"
    pipeline_start "$conf"
    wait_until 60 all_are streaming 5
    refused 'no table public.x is published' --table public.x
    refused 'public.n has no key' --table public.n
    refused 'only a table of PostgreSQL or ClickHouse' --sink none --table public.t
    refused 'has no sink' --sink other --table public.t
    refused 'triggers' --table public.fired
    refused 'several source tables share its rows' --table public.a
    refused 'expected' --table t
    all_are streaming 5
    no_staging
    run -0 resync --sink dst --table public.t --wait
    pg_sql src "INSERT INTO t VALUES (1)" "$db"
    caught_up "$conf" src "$db"
    equal t
    pipeline_stop "$conf"
    no_restart "$conf"
}

@test "the bug was that a sink stayed in a resync that another one had refused" {
    tables "CREATE TABLE t (k int PRIMARY KEY, v int); INSERT INTO t SELECT g, g FROM generate_series(1, 1000) AS g"
    pg_sql dst "TRUNCATE t" "$db"
    pg_sql dst "CREATE DATABASE ${db}_odd"
    pg_sql dst "CREATE TABLE t (k int PRIMARY KEY, v int);
        CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION nothing();
        ALTER TABLE t ENABLE ALWAYS TRIGGER x" "${db}_odd"
    write_conf "shards = 2
[sink odd]
type = pg
conninfo = $(pg_conninfo dst "${db}_odd")
flush_interval = 50ms"
    pipeline_start "$conf"
    wait_until 120 all_are streaming 2
    pg_sql dst "SELECT relid, shard, state, l0, file, definition, done, rows FROM walpipe.tables ORDER BY 1, 2" "$db" >"$dir/before"
    wait_until 60 eval '[ "$(pg_sql dst "SELECT state FROM walpipe.tables WHERE relid <> 0" "${db}_odd")" = streaming ]'
    refused 'triggers' --table public.t
    wait_until 30 all_are streaming 2
    wait_until 30 no_staging
    pg_sql dst "SELECT relid, shard, state, l0, file, definition, done, rows FROM walpipe.tables ORDER BY 1, 2" "$db" |
        diff "$dir/before" -
    pg_sql src "UPDATE t SET v = -v; DELETE FROM t WHERE k > 900" "$db"
    run -0 resync --sink dst --table public.t --wait
    caught_up "$conf" src "$db"
    equal t
    no_staging
    pipeline_stop "$conf"
    no_restart "$conf"
}

# ---- kills, and changes of the table ----

restarted() {
    [ -e "$conf.exit" ] || [ "$(grep -c '"message":"started the pipeline' "$conf.log")" -gt "$1" ]
}

# child NAME: the pid of a program of the pipeline; of several workers the first one's.
child() {
    pgrep -o -P "$(pipeline_pid "$conf")" -x "$1"
}

# staged ROWS: more of them are in the staging table, or the resync has ended
staged() {
    local name
    [ ! -e "$conf.exit" ] || return 0
    name=$(pg_sql dst "SELECT relname FROM pg_class WHERE relname ~ '^resync_[0-9]+_[0-9a-f]+$'" "$db")
    [ -n "$name" ] && [ "$(pg_sql dst "SELECT count(*) FROM walpipe.$name" "$db")" -gt "$1" ]
}

slowly() {
    sed -i "/^name/a copy_rate = $1" "$conf"
}

@test "kill -9 of each program during a resync, and of all while it waits to merge: it goes on by itself" {
    local name starts holder
    bench_tables 2
    write_conf "shards = 2"
    pipeline_start "$conf"
    wait_until 120 all_are streaming 8
    pipeline_stop "$conf"
    slowly 500000
    pipeline_start "$conf"
    load_start 30
    damage_accounts
    run -0 resync --table public.pgbench_accounts
    for name in pg-table-read sink-pg route ackd; do
        wait_until 120 staged 0
        starts=$(grep -c '"message":"started the pipeline' "$conf.log")
        kill -KILL "$(child "$name")"
        wait_until 120 restarted "$starts"
        pipeline_lives "$conf"
    done
    run -0 all_are resync 2
    # the merge waits for a writer of the target
    mkfifo "$dir/holder"
    "$(pg_bindir)/psql" -Xq "$(pg_conninfo dst "$db")" <"$dir/holder" >/dev/null 2>&1 3>&- &
    kill_later $!
    exec {holder}>"$dir/holder"
    echo "BEGIN; LOCK TABLE pgbench_accounts IN ROW EXCLUSIVE MODE;" >&"$holder"
    pipeline_kill "$conf"
    sed -i 's/^copy_rate.*/copy_rate = 0/' "$conf"
    pipeline_start "$conf"
    wait_until 120 merge_waits
    pipeline_kill "$conf"
    pipeline_start "$conf"
    wait_until 120 merge_waits
    echo "COMMIT;" >&"$holder"
    exec {holder}>&-
    wait_until 120 all_are streaming 8
    load_stop
    wait_until 30 source_is_quiet
    caught_up "$conf" src "$db" 120
    equal pgbench_accounts pgbench_branches pgbench_tellers pgbench_history
    no_staging
    pipeline_stop "$conf"
}

merge_waits() {
    [ "$(pg_sql dst "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND mode = 'ShareRowExclusiveLock'" "$db")" = t ]
}

# t, with rows that take some time to copy, damaged, and its resync begun.
resync_of_t() {
    pg_sql src "INSERT INTO t SELECT i, repeat('x', 200) FROM generate_series(1, 20000) AS i" "$db"
    write_conf "${1:-}"
    pipeline_start "$conf"
    wait_until 60 all_are streaming "$2"
    pipeline_stop "$conf"
    slowly 500000
    pipeline_start "$conf"
    pg_sql dst "DELETE FROM t WHERE k % 10 = 0; INSERT INTO t VALUES (-1, 'surplus')" "$db"
    run -0 resync --table public.t
    run -100 resync --table public.t
    [[ $output == *"is being copied already"* ]]
    wait_until 60 staged 0
}

faster() {
    pipeline_stop "$conf"
    sed -i 's/^copy_rate.*/copy_rate = 0/' "$conf"
    pipeline_start "$conf"
    wait_until 60 all_are streaming "$1"
    pipeline_lives "$conf"
    caught_up "$conf" src "$db"
    equal t
    no_staging
    pipeline_stop "$conf"
}

@test "TRUNCATE, VACUUM FULL and an ALTER of both sides during a resync: it ends right" {
    local starts
    tables "CREATE TABLE t (k int PRIMARY KEY, v text)"
    resync_of_t "" 1
    pg_sql src "UPDATE t SET v = 'y' WHERE k % 7 = 0; VACUUM FULL t" "$db"
    pg_sql src "BEGIN; TRUNCATE t; INSERT INTO t SELECT i, repeat('z', 200) FROM generate_series(1, 15000) AS i; COMMIT" "$db"
    wait_until 60 staged 10000
    pg_sql dst "ALTER TABLE t ADD w int DEFAULT 5" "$db"
    starts=$(grep -c '"message":"started the pipeline' "$conf.log")
    pg_sql src "ALTER TABLE t ADD w int DEFAULT 5; UPDATE t SET w = 6, v = 'w' WHERE k % 3 = 0; DELETE FROM t WHERE k % 5 = 0" "$db"
    # what was staged has no such column
    wait_until 60 restarted "$starts"
    wait_until 60 staged 0
    faster 1
}

@test "a table that leaves the publication during its resync leaves nothing staged" {
    pg_sql src "CREATE TABLE t (k int PRIMARY KEY, v text); CREATE TABLE u (k int PRIMARY KEY);
        CREATE PUBLICATION p FOR TABLE t, u" "$db"
    pg_sql dst "CREATE TABLE t (k int PRIMARY KEY, v text); CREATE TABLE u (k int PRIMARY KEY)" "$db"
    resync_of_t "shards = 2" 4
    pg_sql src "DROP TABLE t" "$db"
    wait_until 60 no_staging
    pg_sql src "INSERT INTO u VALUES (1)" "$db"
    caught_up "$conf" src "$db"
    all_are streaming 2
    equal u
    pipeline_stop "$conf"
}

# ---- a staging table that goes ----

# Drops the staging table when the rows of a part are noted as staged, others have not begun, and the
# next one waits for its lock to begin.
drops_staging() {
    pg_sql dst "SET statement_timeout = '120s';
        DO \$\$
        DECLARE staging text;
        BEGIN
            WHILE NOT EXISTS (SELECT FROM walpipe.tables WHERE state = 'resync' AND rows > 0) LOOP
                PERFORM pg_sleep(0.005);
            END LOOP;
            SELECT relname INTO STRICT staging FROM pg_class WHERE relname ~ '^resync_[0-9]+_[0-9a-f]+\$';
            PERFORM pg_advisory_xact_lock(hashtextextended(staging, 0));
            WHILE NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted) LOOP
                PERFORM pg_sleep(0.005);
            END LOOP;
            EXECUTE format('DROP TABLE walpipe.%I', staging);
        END \$\$" "$db"
}

# Puts an empty table in the place of the staging table, in the sink's own transaction that notes the
# first rows as staged.
replaces_staging() {
    pg_sql dst "CREATE TABLE armed (); INSERT INTO armed DEFAULT VALUES;
        CREATE FUNCTION replace() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS \$\$
        DECLARE staging text := (SELECT relname FROM pg_class WHERE relname ~ '^resync_[0-9]+_[0-9a-f]+\$');
        BEGIN
            IF EXISTS (SELECT FROM armed) THEN
                DELETE FROM armed;
                EXECUTE format('ALTER TABLE walpipe.%I RENAME TO lost', staging);
                EXECUTE format('CREATE TABLE walpipe.%I (LIKE walpipe.lost INCLUDING INDEXES)', staging);
                DROP TABLE walpipe.lost;
            END IF;
            RETURN NULL;
        END \$\$;
        CREATE TRIGGER replace AFTER UPDATE ON walpipe.tables FOR EACH ROW
            WHEN (NEW.state = 'resync' AND NEW.rows > 0) EXECUTE FUNCTION replace();
        ALTER TABLE walpipe.tables ENABLE ALWAYS TRIGGER replace" "$db"
}

# begins_again REASON NOTES: the run ends for that reason, and the next one resyncs t
begins_again() {
    wait_until 40 grep -q "the resync of public.t begins again: $1" "$conf.log"
    grep -q 'begins again: .*"exit_code":111' "$conf.log"
    wait_until 120 all_are streaming "$2"
    pipeline_lives "$conf"
    caught_up "$conf" src "$db"
    equal t
    no_staging
    pipeline_stop "$conf"
}

# The bug was that the part which began next made a new staging table. The parts that were finished
# were not read again, so the merge deleted their rows.
@test "the staging table goes while some partitions have ended and others have not begun: all is staged anew" {
    local dropper
    pg_sql src "CREATE TABLE t (k int PRIMARY KEY, v text) PARTITION BY RANGE (k);
        SELECT format('CREATE TABLE t%s PARTITION OF t FOR VALUES FROM (%s) TO (%s)', i, i * 1000, i * 1000 + 1000)
            FROM generate_series(0, 149) AS i \\gexec
        INSERT INTO t SELECT i, 'v' || i FROM generate_series(0, 999) AS i;
        CREATE PUBLICATION p FOR TABLE t WITH (publish_via_partition_root)" "$db"
    pg_sql dst "CREATE TABLE t (k int PRIMARY KEY, v text)" "$db"
    write_conf
    pipeline_start "$conf"
    wait_until 120 all_are streaming 150
    drops_staging 3>&- &
    dropper=$!
    run -0 resync --table public.t
    wait "$dropper"
    begins_again "its staging table is gone" 150
}

@test "an empty table in the place of the staging table is never merged" {
    tables "CREATE TABLE t (k int PRIMARY KEY, v text)"
    pg_sql src "INSERT INTO t SELECT i, repeat('x', 200) FROM generate_series(1, 40000) AS i" "$db"
    write_conf
    slowly 4000000
    pipeline_start "$conf"
    wait_until 60 all_are streaming 1
    replaces_staging
    run -0 resync --table public.t
    begins_again "its staging table was replaced" 1
}

# ---- a pipeline that does not run ----

refused_at_start() {
    pipeline_start "$conf" || true
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq 100 ]
    grep -q "$1" "$conf.log"
}

@test "without a pipeline it is noted: a target with rows, and a table that was dropped and made again" {
    tables "CREATE TABLE t (k int PRIMARY KEY, v int)"
    pg_sql src "INSERT INTO t SELECT i, i FROM generate_series(1, 3000) AS i" "$db"
    pg_sql dst "INSERT INTO t SELECT i, 0 FROM generate_series(1, 10) AS i; INSERT INTO t VALUES (-1, 0)" "$db"
    write_conf "shards = 2"
    run -100 resync --table public.t
    [[ $output == *"has copied nothing yet"* ]]
    refused_at_start 'public.t is to be copied and has rows already'
    run -100 resync --table public.u
    [[ $output == *"no table public.u is published"* ]]
    run -0 resync --table public.t
    [[ $output == "public.t is noted; the next start of the pipeline copies it again" ]]
    run -0 resync --table public.t
    pipeline_start "$conf"
    wait_until 60 all_are streaming 2
    merged 2990 10 1
    caught_up "$conf" src "$db"
    equal t
    pipeline_stop "$conf"
    pg_sql src "DROP TABLE t; CREATE TABLE t (k int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1), (4000, 2)" "$db"
    refused_at_start 'the source.s table was dropped and made again'
    run -0 resync --table public.t
    pipeline_start "$conf"
    wait_until 60 all_are streaming 2
    caught_up "$conf" src "$db"
    pipeline_lives "$conf"
    equal t
    no_staging
    pipeline_stop "$conf"
}

@test "without a pipeline it is noted: a table that was left out for a time" {
    tables "CREATE TABLE t (k int PRIMARY KEY, v int); CREATE TABLE u (k int PRIMARY KEY)"
    pg_sql src "INSERT INTO t SELECT i, i FROM generate_series(1, 1000) AS i" "$db"
    write_conf
    pipeline_start "$conf"
    wait_until 60 all_are streaming 2
    pipeline_stop "$conf"
    write_conf "tables = public.u"
    pipeline_start "$conf"
    wait_until 60 all_are out-streaming 1
    pg_sql src "DELETE FROM t WHERE k <= 10; UPDATE t SET v = 0 WHERE k = 11; INSERT INTO t VALUES (0, 0)" "$db"
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
    write_conf
    refused_at_start 'public.t was left out.*run walpipe resync'
    run -0 resync --table public.t
    pipeline_start "$conf"
    wait_until 60 all_are streaming 2
    caught_up "$conf" src "$db"
    equal t u
    no_staging
    pipeline_stop "$conf"
}

@test "without a pipeline it is noted: a root of which one partition was truncated" {
    pg_sql src "CREATE TABLE t (k int PRIMARY KEY, v int) PARTITION BY RANGE (k);
        CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (1000);
        CREATE TABLE high PARTITION OF t FOR VALUES FROM (1000) TO (9000);
        INSERT INTO t SELECT i, i FROM generate_series(1, 2000) AS i;
        CREATE PUBLICATION p FOR TABLE t WITH (publish_via_partition_root = true)" "$db"
    pg_sql dst "CREATE TABLE t (k int PRIMARY KEY, v int)" "$db"
    write_conf
    pipeline_start "$conf"
    wait_until 60 all_are streaming 2
    pipeline_stop "$conf"
    pg_sql src "ANALYZE low; TRUNCATE low; INSERT INTO t VALUES (5000, 1)" "$db"
    refused_at_start 'was truncated or detached.*run walpipe resync'
    run -0 resync --table public.t
    pipeline_start "$conf"
    wait_until 60 all_are streaming 2
    caught_up "$conf" src "$db"
    equal t
    no_staging
    pipeline_stop "$conf"
}

# ---- the note is checked, and is not made beside a pipeline that runs ----

# what walpipe has noted in the target, and who may commit
noted() {
    pg_sql dst "SELECT * FROM walpipe.tables ORDER BY relid, part, shard" "$db"
    pg_sql dst "SELECT * FROM walpipe.missing ORDER BY 1, 2, 3" "$db"
    pg_sql dst "SELECT shard, epoch >> 32 FROM walpipe.progress ORDER BY shard" "$db"
}

# note_refused MESSAGE ARGUMENT...: with code 100, and nothing is noted
note_refused() {
    local message=$1 before
    shift
    before=$(noted)
    run -100 resync "$@"
    echo "$output"
    [[ $output == *"$message"* ]]
    diff <(echo "$before") <(noted)
}

# The bug was that these were noted, and every start ended with 100.
@test "without a pipeline, what cannot be copied again is refused, and the next start runs" {
    tables "CREATE TABLE t (k int PRIMARY KEY); CREATE TABLE n (v int); CREATE TABLE fired (k int PRIMARY KEY);
        CREATE TABLE a (k int PRIMARY KEY); CREATE TABLE b (k int PRIMARY KEY); CREATE TABLE u (k int PRIMARY KEY)"
    pg_sql dst "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER x BEFORE INSERT ON fired FOR EACH ROW EXECUTE FUNCTION nothing();
        ALTER TABLE fired ENABLE ALWAYS TRIGGER x" "$db"
    write_conf "map = public.b -> public.a
tables = !public.u"
    pipeline_start "$conf"
    wait_until 60 all_are streaming 5
    pipeline_stop "$conf"
    note_refused 'has no key that identifies its rows' --table public.n
    note_refused 'several source tables share its rows' --table public.a
    note_refused 'several source tables share its rows' --table public.b
    note_refused 'triggers' --table public.fired
    note_refused 'no sink that takes copies has public.u in its tables' --table public.u
    pipeline_start "$conf"
    pg_sql src "INSERT INTO t VALUES (1); INSERT INTO n VALUES (1); INSERT INTO a VALUES (1); INSERT INTO b VALUES (2)" "$db"
    caught_up "$conf" src "$db"
    all_are streaming 5
    equal t n
    pipeline_stop "$conf"
    no_restart "$conf"
}

@test "without a pipeline, if one of two targets cannot be noted, the message says that the other is" {
    tables "CREATE TABLE t (k int PRIMARY KEY)"
    write_conf
    pipeline_start "$conf"
    wait_until 60 all_are streaming 1
    pipeline_stop "$conf"
    cp "$conf" "$dir/one.conf"
    cat >>"$conf" <<CONF
[sink second]
type = pg
conninfo = $(pg_conninfo dst nowhere)
CONF
    run resync --table public.t
    echo "$output"
    [ "$status" -ne 0 ]
    [[ $output == *"sink second: sink-pg ended"*"it is noted in dst; the next start copies the table again there"* ]]
    mv "$dir/one.conf" "$conf"
    pipeline_start "$conf"
    merged 0 0 0
    wait_until 60 all_are streaming 1
    pipeline_stop "$conf"
}

# elsewhere: $conf with another state directory, and so another socket
elsewhere() {
    sed "s|^state_dir.*|state_dir = $dir/elsewhere|" "$conf" >"$dir/elsewhere.conf"
}

# The bug was that the notes of a pipeline that runs were overwritten under its workers.
@test "beside a pipeline that runs with another state_dir it is refused, and nothing of that one changes" {
    tables "CREATE TABLE t (k int PRIMARY KEY, v text)"
    resync_of_t "" 1
    elsewhere
    pg_sql dst "INSERT INTO walpipe.missing SELECT pipeline, sink, relid, 0, '{k}', '{1}' FROM walpipe.tables WHERE relid <> 0" "$db"
    run -100 "$WALPIPE_BIN/walpipe" resync -c "$dir/elsewhere.conf" --table public.t
    [[ $output == *"the slot is in use: another walpipe runs this pipeline"* ]]
    [ ! -e "$dir/elsewhere" ]
    [ "$(pg_sql dst "SELECT count(*) FROM walpipe.missing" "$db")" = 1 ]
    staged 0
    faster 1
    ! grep '"message":"the pipeline ended because' "$conf.log"
}

slot_is_idle() {
    [ "$(pg_sql src "SELECT active FROM pg_replication_slots WHERE slot_name = '$db'")" = f ]
}

t_is_locked() {
    [ "$(pg_sql dst "SELECT count(*) FROM pg_locks WHERE granted AND relation = 't'::regclass AND mode = 'ExclusiveLock'" "$db")" = 1 ]
}

sink_waits() {
    [ "$(pg_sql dst "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 't'::regclass" "$db")" = t ]
}

# The bug was that a worker that lived committed behind the note, and overwrote it.
@test "a worker that lives while its slot is idle commits nothing behind the note, and finds it" {
    local holder reader
    tables "CREATE TABLE t (k int PRIMARY KEY, v text)"
    pg_sql src "INSERT INTO t SELECT i, 'v' FROM generate_series(1, 100) AS i" "$db"
    write_conf
    pipeline_start "$conf"
    wait_until 60 all_are streaming 1
    caught_up "$conf" src "$db"
    elsewhere
    mkfifo "$dir/holder"
    "$(pg_bindir)/psql" -Xq "$(pg_conninfo dst "$db")" <"$dir/holder" >/dev/null 2>&1 3>&- &
    kill_later $!
    exec {holder}>"$dir/holder"
    echo "DELETE FROM t WHERE k > 50; BEGIN; LOCK TABLE t IN EXCLUSIVE MODE;" >&"$holder"
    wait_until 30 t_is_locked
    pg_sql src "INSERT INTO t VALUES (0, 'new')" "$db"
    wait_until 30 sink_waits
    reader=$(child pg-wal-read)
    kill -STOP "$reader"
    pg_sql src "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '$db'" >/dev/null
    wait_until 30 slot_is_idle
    run -0 "$WALPIPE_BIN/walpipe" resync -c "$dir/elsewhere.conf" --table public.t
    all_are resync 1
    echo "COMMIT;" >&"$holder"
    exec {holder}>&-
    wait_until 60 grep -q 'another walpipe took over' "$conf.log"
    [ "$(pg_sql dst "SELECT count(*) FROM t" "$db")" = 50 ]
    process_continue "$reader"
    wait_until 60 all_are streaming 1
    merged 50 0 0
    caught_up "$conf" src "$db"
    equal t
    no_staging
    pipeline_stop "$conf"
}

# The bug was that the first copied everything before it was refused, and that no hint led on.
@test "what comes into the way behind the note is refused at the start; the hint leads on" {
    tables "CREATE TABLE t (k int PRIMARY KEY, v text)"
    pg_sql src "INSERT INTO t SELECT i, 'v' FROM generate_series(1, 100) AS i" "$db"
    pg_sql dst "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'" "$db"
    write_conf "shards = 2"
    pipeline_start "$conf"
    wait_until 60 all_are streaming 2
    pipeline_stop "$conf"
    run -0 resync --table public.t
    pg_sql dst "CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION nothing();
        ALTER TABLE t ENABLE ALWAYS TRIGGER x" "$db"
    refused_at_start "triggers.*set state = 'streaming' in its rows of walpipe.tables"
    no_staging
    pg_sql dst "UPDATE walpipe.tables SET state = 'streaming' WHERE name = 't'" "$db"
    pipeline_start "$conf"
    pg_sql src "INSERT INTO t VALUES (101, 'v'); UPDATE t SET v = 'w' WHERE k = 1" "$db"
    caught_up "$conf" src "$db"
    all_are streaming 2
    equal t
    pipeline_stop "$conf"
    # or what is in the way goes
    pg_sql dst "DROP TRIGGER x ON t; DELETE FROM t WHERE k > 50" "$db"
    run -0 resync --table public.t
    pg_sql src "ALTER TABLE t DROP CONSTRAINT t_pkey" "$db"
    refused_at_start "no key that identifies its rows.*set state = 'streaming'"
    pg_sql src "ALTER TABLE t ADD PRIMARY KEY (k)" "$db"
    pipeline_start "$conf"
    wait_until 60 all_are streaming 2
    caught_up "$conf" src "$db"
    equal t
    no_staging
    pipeline_stop "$conf"
}
