#!/usr/bin/env bats
# walpipe resync into a ClickHouse target: a table whose target's rows were damaged by hand is copied
# again under load, and whoever reads it meanwhile never sees fewer rows than before.

bats_require_minimum_version 1.5.0

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/chdb.bash"
    pg_new src
    ch_new ch
    chdb_available || true
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

# Each test has databases, a slot and a state directory of its own.
setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    source "$BATS_TEST_DIRNAME/../lib/chdb.bash"
    db=r$BATS_TEST_NUMBER
    dir=$SCRATCH/$db
    conf=$dir/walpipe.conf
    ch=ch
    mkdir "$dir"
    pg_sql src "CREATE DATABASE $db"
    ch_sql ch "CREATE DATABASE $db"
}

teardown() {
    load_stop
    reader_stop
    [ -z "${BATS_ERROR_STATUS:-}" ] || {
        tail -n 60 "$conf.log"
        in_ch "SELECT name, part, shard, state, l0, rows, done FROM walpipe_tables FINAL"
    } 2>/dev/null
    [ ! -s "$conf.exit" ] && [ -e "$conf.pid" ] && pipeline_kill "$conf"
    pg_sql src "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
                 WHERE slot_name = '$db' AND NOT active" >/dev/null
}

# Another ClickHouse than Debian's.
of_today() {
    chdb_or_skip
    ch=new$BATS_TEST_NUMBER
    chdb_new "$ch"
    ch_sql "$ch" "CREATE DATABASE $db"
}

in_ch() {
    ch_sql "$ch" "$1" "$db"
}

# write_conf [SINK_LINES]
write_conf() {
    cat >"$conf" <<CONF
[pipeline]
name = $db
state_dir = $dir/state
log_level = debug
copy = yes
[source]
conninfo = $(pg_conninfo src "$db")
slot = $db
publication = p
[sink olap]
type = ch
url = $(ch_url "$ch")
database = $db
create_tables = yes
flush_interval = 50ms
${1:-}
CONF
}

# all_are STATE NOTES
all_are() {
    [ -e "$conf.exit" ] || [ "$(in_ch "SELECT count(), countIf(state = '$1') FROM walpipe_tables FINAL
        WHERE relid <> 0 AND state <> 'gone'")" = "$2"$'\t'"$2" ]
}

resync() {
    "$WALPIPE_BIN/walpipe" resync -c "$conf" "$@"
}

# again: starts it, until the workers have answered for all tables
again() {
    local lists
    lists=$(lists)
    pipeline_start "$conf"
    wait_until 60 listed "$lists"
}

lists() {
    grep -c 'published tables are to be copied' "$conf.log" || true
}

listed() {
    [ -e "$conf.exit" ] || [ "$(lists)" -gt "$1" ]
}

# mutate TABLE CHANGE: ALTER TABLE, until it is done
mutate() {
    in_ch "ALTER TABLE $1 $2"
    wait_until 60 mutated "$1"
}

mutated() {
    [ "$(in_ch "SELECT count() FROM system.mutations WHERE database = '$db' AND table = '$1' AND NOT is_done")" = 0 ]
}

# equal TABLE COLUMNS
equal() {
    diff <(pg_sql src "SELECT $2 FROM $1" "$db" | tr '|' '\t' | sort) \
        <(in_ch "SELECT $2 FROM $1 FINAL WHERE _is_deleted = 0" | sort) >"$dir/diff" || {
        head -n 10 "$dir/diff"
        return 1
    }
}

# merged SURPLUS
merged() {
    wait_until 60 grep -qF "is copied again: $1 rows were surplus" "$conf.log"
}

slowly() {
    sed -i "/^name/a copy_rate = $1" "$conf"
}

# While it runs.
hurry() {
    sed -i 's/^copy_rate.*/copy_rate = 0/' "$conf"
    kill -HUP "$(pipeline_pid "$conf")"
}

# ---- under load ----

bench_tables() {
    "$(pg_bindir)/pgbench" -q -i -s "${1:-1}" "$(pg_conninfo src "$db")" >/dev/null 2>&1 3>&-
    pg_sql src "ALTER TABLE pgbench_history ADD id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;
        CREATE PUBLICATION p FOR TABLE pgbench_accounts, pgbench_branches, pgbench_tellers,
            pgbench_history" "$db"
}

load_start() {
    "$(pg_bindir)/pgbench" -n -c 3 -R "${1:-60}" -T 600 "$(pg_conninfo src "$db")" \
        >"$dir/load" 2>&1 3>&- &
    load_pid=$!
    kill_later "$load_pid"
}

load_stop() {
    [ -n "${load_pid:-}" ] || return 0
    kill "$load_pid" 2>/dev/null || true
    wait "$load_pid" || true
    load_pid=
}

source_is_quiet() {
    [ "$(pg_sql src "SELECT count(*) FROM pg_stat_activity WHERE datname = '$db'
                      AND application_name = 'pgbench'")" = 0 ]
}

# reader_start TABLE: writes the number of its rows in the target, again and again, into $dir/counts.
reader_start() {
    while in_ch "SELECT count() FROM $1 FINAL WHERE _is_deleted = 0"; do
        sleep 0.1
    done >"$dir/counts" 2>/dev/null 3>&- &
    reader_pid=$!
    kill_later "$reader_pid"
}

reader_stop() {
    [ -n "${reader_pid:-}" ] || return 0
    kill "$reader_pid" 2>/dev/null || true
    wait "$reader_pid" || true
    reader_pid=
}

# Rows that are different, missing and surplus; 200 rows lose the tombstones of their deletes.
damage_accounts() {
    pg_sql src "DELETE FROM pgbench_accounts WHERE aid <= 200" "$db"
    caught_up "$conf" src "$db"
    mutate pgbench_accounts "DELETE WHERE aid % 100 = 7 OR aid <= 200"
    mutate pgbench_accounts "UPDATE abalance = -77 WHERE aid % 100 = 3"
    in_ch "INSERT INTO pgbench_accounts (aid, bid, abalance, filler, _version)
        SELECT toInt32(10000000 + number), 1, 0, 'surplus', 1 FROM system.numbers LIMIT 500"
    in_ch "INSERT INTO pgbench_accounts (aid, bid, abalance, filler, _version)
        SELECT toInt32(1 + number), 1, 0, 'deleted', 1 FROM system.numbers LIMIT 200"
}

all_equal() {
    equal pgbench_accounts "aid, bid, abalance"
    equal pgbench_branches "bid, bbalance"
    equal pgbench_tellers "tid, bid, tbalance"
    equal pgbench_history "id, tid, bid, aid, delta"
}

# under_load SINK_LINES NOTES
under_load() {
    bench_tables
    write_conf "$1"
    pipeline_start "$conf"
    wait_until 120 all_are streaming "$2"
    damage_accounts
    load_start
    reader_start pgbench_accounts
    run -0 resync --table public.pgbench_accounts --wait
    [[ $output == "public.pgbench_accounts is copied again" ]]
    wait_until 10 all_are streaming "$2"
    pipeline_lives "$conf"
    reader_stop
    # updates may have brought some of the rows that are deleted in the target
    merged 700
    [ -s "$dir/counts" ]
    awk '$1 < 99498 || $1 < last - 700 { exit 1 } { last = $1 }' "$dir/counts"
    load_stop
    wait_until 30 source_is_quiet
    caught_up "$conf" src "$db" 120
    all_equal
    # and once more, of the same run: nothing is to be done
    run -0 resync --table public.pgbench_accounts --wait
    merged 0
    all_equal
    pipeline_stop "$conf"
    no_restart "$conf"
}

@test "a damaged table is copied again under load, and no reader sees fewer rows: 18.16" {
    under_load "" 4
}

@test "so it is with three workers: 18.16" {
    under_load "shards = 3" 12
}

@test "so it is with three workers: a ClickHouse of today" {
    of_today
    under_load "shards = 3" 12
}

# ---- values that were not sent ----

# copied ROWS: so many of them are in the target again, or the pipeline has ended
copied() {
    [ -e "$conf.exit" ] ||
        [ "$(in_ch "SELECT toUInt64(sum(rows)) >= $1 FROM walpipe_tables FINAL WHERE state = 'resync'")" = 1 ]
}

# The rows that are updated while it is copied move into blocks that were read, so no range brings
# them; the stream does not send their large values, and those in the target are wrong.
@test "values that the stream does not send are not taken from wrong rows" {
    pg_sql src "CREATE TABLE t (k int PRIMARY KEY, n int, v text);
        ALTER TABLE t ALTER v SET STORAGE EXTERNAL;
        INSERT INTO t SELECT i, 0, repeat(md5(i::text), 80) FROM generate_series(1, 12000) AS i;
        CREATE PUBLICATION p FOR TABLE t" "$db"
    write_conf "shards = 2"
    pipeline_start "$conf"
    wait_until 60 all_are streaming 2
    pg_sql src "DELETE FROM t WHERE k <= 3000" "$db"
    pg_sql src "VACUUM t" "$db"
    caught_up "$conf" src "$db"
    mutate t "UPDATE v = 'wrong' WHERE 1"
    pipeline_stop "$conf"
    slowly 1000000
    again
    # before it is copied no change ends the run for want of a row
    mutate t "DELETE WHERE k = 12000"
    run -0 resync --table public.t
    pg_sql src "UPDATE t SET n = -1 WHERE k = 12000" "$db"
    wait_until 60 copied 3000
    pg_sql src "UPDATE t SET n = n + 1 WHERE k > 10000 AND k % 3 = 0" "$db"
    # each key that moves to the other worker costs some requests
    pg_sql src "UPDATE t SET k = k + 100000 WHERE k BETWEEN 9500 AND 11500 AND k % 50 = 1" "$db"
    pg_sql src "UPDATE t SET k = k + 100000, n = n + 1 WHERE k BETWEEN 110000 AND 111500" "$db"
    pg_sql src "UPDATE t SET n = n + 1 WHERE k > 200000 AND k % 2 = 0" "$db"
    [ "$(pg_sql src "SELECT count(*) > 300 FROM t WHERE k > 10000 AND ctid < '(40,0)'" "$db")" = t ]
    run -0 all_are resync 2
    hurry
    wait_until 60 all_are streaming 2
    merged 0
    caught_up "$conf" src "$db"
    equal t "k, n, v"
    no_restart "$conf"
    # without a resync it ends the run, and the hint leads on
    mutate t "DELETE WHERE k = 12000"
    pg_sql src "UPDATE t SET n = -2 WHERE k = 12000" "$db"
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq 100 ]
    grep -q 'were not sent, and .* has no row with that key.*run walpipe resync for the table' "$conf.log"
    run -0 resync --table public.t
    pipeline_start "$conf"
    wait_until 60 all_are streaming 2
    caught_up "$conf" src "$db"
    equal t "k, n, v"
    pipeline_stop "$conf"
}

# ---- a partition that has left ----

# state_of PART: of its note, "gone" also without one
state_of() {
    in_ch "SELECT if(count() = 0, 'gone', max(state)) FROM walpipe_tables FINAL WHERE part = $1"
}

has_state() { # PART STATE
    [ -e "$conf.exit" ] || [ "$(state_of "$1")" = "$2" ]
}

@test "rows of a partition that was detached are surplus, and it may be attached again" {
    local r1
    pg_sql src "CREATE TABLE r (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
        CREATE TABLE r1 PARTITION OF r FOR VALUES FROM (0) TO (1000);
        CREATE TABLE r2 PARTITION OF r FOR VALUES FROM (1000) TO (2000);
        INSERT INTO r SELECT g, 'r' FROM generate_series(0, 1999) g;
        CREATE PUBLICATION p FOR TABLE r WITH (publish_via_partition_root)" "$db"
    r1=$(pg_sql src "SELECT 'r1'::regclass::oid" "$db")
    write_conf
    pipeline_start "$conf"
    wait_until 60 all_are streaming 2
    pg_sql src "ALTER TABLE r DETACH PARTITION r1" "$db"
    wait_until 60 has_state "$r1" out-streaming
    # the bug was that the next list ended the pipeline
    pg_sql src "CREATE TABLE r3 PARTITION OF r FOR VALUES FROM (3000) TO (4000); INSERT INTO r VALUES (3000, 'r')" "$db"
    wait_until 60 has_state "$(pg_sql src "SELECT 'r3'::regclass::oid" "$db")" streaming
    pipeline_stop "$conf"
    again
    run -0 resync --table public.r --wait
    merged 1000
    [ "$(state_of "$r1")" = gone ]
    equal r "id, v"
    pg_sql src "UPDATE r1 SET v = 'unheard';
        ALTER TABLE r ATTACH PARTITION r1 FOR VALUES FROM (0) TO (1000)" "$db"
    wait_until 60 has_state "$r1" streaming
    caught_up "$conf" src "$db"
    equal r "id, v"
    pipeline_stop "$conf"
    no_restart "$conf"
}

# ---- rows with versions that the source has not reached ----

# What the hint tells to run in ClickHouse.
mend() {
    local statement
    statement=$(grep -o 'ALTER TABLE `[^;]*' | tail -n 1)
    [[ $statement == *"DELETE WHERE"* ]]
    in_ch "$statement"
    wait_until 60 mutated t
}

plant() { # VALUES
    in_ch "INSERT INTO t (k, v, _version, _is_deleted) $1"
}

ended() {
    wait_until 60 test -s "$conf.exit" && [ "$(cat "$conf.exit")" -eq 100 ]
    grep -q 'of its rows have versions that the source has not reached' "$conf.log"
}

refuses_planted() {
    local ahead="max(_version) + ${1:-bitShiftLeft(toUInt64(8388608), 14)}"
    pg_sql src "CREATE TABLE t (k int PRIMARY KEY, v text); CREATE TABLE wal (v text);
        INSERT INTO t SELECT i, repeat('v', 500) FROM generate_series(1, 6000) AS i;
        CREATE PUBLICATION p FOR TABLE t" "$db"
    write_conf "shards = 2"
    pipeline_start "$conf"
    wait_until 60 all_are streaming 2
    pg_sql src "INSERT INTO t VALUES (0, 'new')" "$db"
    caught_up "$conf" src "$db"
    # just above the others: such rows are surplus, or overwritten
    plant "SELECT -1, 'surplus', max(_version) + 1, 0 FROM t"
    plant "SELECT 6, 'different', max(_version) + 1, 0 FROM t"
    # far away: refused before anything begins
    plant "SELECT 5, 'far', max(_version) + ${2:-bitShiftLeft(toUInt64(1099511627776), 14)}, 0 FROM t"
    pg_sql src "UPDATE t SET v = 'hidden' WHERE k = 5" "$db"
    run -100 resync --table public.t
    echo "$output"
    [[ $output == *'1 of its rows have versions that the source has not reached'*"one has the key 5"* ]]
    all_are streaming 2
    pipeline_lives "$conf"
    mend <<<"$output"
    # 32 MB away, which the source passes while it is copied: refused before a range is written
    plant "SELECT 7, 'near', $ahead, 1 FROM t"
    pg_sql src "UPDATE t SET v = 'hidden' WHERE k = 7" "$db"
    pipeline_stop "$conf"
    slowly 100000
    again
    run -0 resync --table public.t
    pg_sql src "INSERT INTO wal SELECT repeat('x', 1000) FROM generate_series(1, 40000)" "$db"
    ended
    [ "$(in_ch "SELECT sum(rows) FROM walpipe_tables FINAL")" = 0 ]
    mend <"$conf.log"
    # what is planted while it is copied is found at the end
    : >"$conf.log"
    pipeline_start "$conf"
    wait_until 60 copied 500
    plant "SELECT 10, 'late', $ahead + $ahead - max(_version), 0 FROM t"
    plant "SELECT -2, 'late', $ahead, 0 FROM t"
    hurry
    ended
    grep -q '"message":"[^"]*2 of its rows have versions' "$conf.log"
    all_are resync 2
    [ "$(in_ch "SELECT sum(rows) FROM walpipe_tables FINAL")" = 0 ]
    mend <"$conf.log"
    pipeline_start "$conf"
    wait_until 60 all_are streaming 2
    merged 1
    caught_up "$conf" src "$db"
    equal t "k, v"
    pipeline_stop "$conf"
}

@test "rows with versions beyond the source's are refused with a way out, whenever they came: 18.16" {
    refuses_planted
}

@test "so they are in a ClickHouse of today" {
    of_today
    refuses_planted "bitShiftLeft(toUInt128(33554432), 64)" "bitShiftLeft(toUInt128(4398046511104), 64)"
}

# ---- an idle source ----

# behind_page_header: the source has written nothing since it went to another segment.
behind_page_header() {
    [ "$(pg_sql src "SELECT (pg_current_wal_insert_lsn() - '0/0') %
        pg_size_bytes(current_setting('wal_segment_size'))")" = 40 ]
}

resync_behind_page_header() {
    pg_sql src "CHECKPOINT"
    pg_sql src "SELECT pg_switch_wal()" >/dev/null
    behind_page_header || return 1
    resync --table public.t --wait || return 1
    behind_page_header
}

@test "the bug was that all rows went in silence if nothing was written behind a page's header" {
    pg_sql src "CREATE TABLE t (k int PRIMARY KEY, v text);
        INSERT INTO t SELECT i, 'v' FROM generate_series(1, 1000) AS i;
        CREATE PUBLICATION p FOR TABLE t" "$db"
    write_conf "shards = 2"
    pipeline_start "$conf"
    wait_until 60 all_are streaming 2
    caught_up "$conf" src "$db"
    mutate t "DELETE WHERE k = 7"
    in_ch "INSERT INTO t (k, v, _version) VALUES (-1, 'surplus', 1)"
    wait_until 120 resync_behind_page_header
    merged 1
    equal t "k, v"
    no_restart "$conf"
    pipeline_stop "$conf"
}

# ---- kills, and changes of the table ----

restarted() {
    [ -e "$conf.exit" ] || [ "$(grep -c '"message":"started the pipeline' "$conf.log")" -gt "$1" ]
}

# child NAME: the pid of a program of the pipeline; of several workers the first one's.
child() {
    pgrep -o -P "$(pipeline_pid "$conf")" -x "$1"
}

@test "kill -9 of each program and of ClickHouse during a resync, and of all near its end: it goes on by itself" {
    local name starts i
    bench_tables
    write_conf "shards = 2"
    pipeline_start "$conf"
    wait_until 120 all_are streaming 8
    damage_accounts
    pipeline_stop "$conf"
    slowly 300000
    again
    load_start 30
    run -0 resync --table public.pgbench_accounts
    for name in pg-table-read sink-ch route ackd clickhouse; do
        wait_until 120 copied 1
        starts=$(grep -c '"message":"started the pipeline' "$conf.log")
        if [ "$name" = clickhouse ]; then
            ch_kill ch
            ch_start ch
            continue
        fi
        kill -KILL "$(child "$name")"
        wait_until 120 restarted "$starts"
        pipeline_lives "$conf"
    done
    grep_notes "countIf(state = 'resync') = 2"
    pipeline_kill "$conf"
    sed -i 's/^copy_rate.*/copy_rate = 0/' "$conf"
    for i in 1 2 3 4 5; do
        pipeline_start "$conf"
        sleep "$(awk -v r="$RANDOM" 'BEGIN { print 1 + r / 16384 }')" # anywhere near the end
        pipeline_kill "$conf"
    done
    pipeline_start "$conf"
    wait_until 120 all_are streaming 8
    load_stop
    wait_until 30 source_is_quiet
    caught_up "$conf" src "$db" 120
    all_equal
    pipeline_stop "$conf"
}

# t, with rows that take some time to copy, damaged, and its resync begun.
resync_of_t() { # SINK_LINES NOTES
    pg_sql src "INSERT INTO t SELECT i, repeat('x', 200) FROM generate_series(1, 20000) AS i" "$db"
    write_conf "$1"
    pipeline_start "$conf"
    wait_until 60 all_are streaming "$2"
    mutate t "DELETE WHERE k % 10 = 0"
    in_ch "INSERT INTO t (k, v, _version) VALUES (-1, 'surplus', 1), (17500, 'surplus', 1)"
    pipeline_stop "$conf"
    slowly 500000
    again
    run -0 resync --table public.t
    run -100 resync --table public.t
    [[ $output == *"is being copied already"* ]]
    wait_until 60 copied 1
}

faster() { # NOTES
    pipeline_stop "$conf"
    sed -i 's/^copy_rate.*/copy_rate = 0/' "$conf"
    pipeline_start "$conf"
    wait_until 60 all_are streaming "$1"
    pipeline_lives "$conf"
    caught_up "$conf" src "$db"
}

@test "TRUNCATE, VACUUM FULL and an ALTER of the source during a resync: it ends right" {
    pg_sql src "CREATE TABLE t (k int PRIMARY KEY, v text); CREATE PUBLICATION p FOR TABLE t" "$db"
    resync_of_t "shards = 2" 2
    pg_sql src "UPDATE t SET v = 'y' WHERE k % 7 = 0; VACUUM FULL t" "$db"
    pg_sql src "ALTER TABLE t ADD w int DEFAULT 5; UPDATE t SET w = 6, v = 'w' WHERE k % 3 = 0; DELETE FROM t WHERE k % 5 = 0" "$db"
    wait_until 60 copied 10000
    pg_sql src "BEGIN; TRUNCATE t; INSERT INTO t SELECT i, repeat('z', 200) FROM generate_series(1, 15000) AS i; COMMIT" "$db"
    pg_sql src "DELETE FROM t WHERE k > 14000" "$db"
    faster 2
    equal t "k, v, w"
    pipeline_stop "$conf"
}

@test "a table that is left out for a time during its resync is copied from the beginning; one that is dropped stops nothing" {
    pg_sql src "CREATE TABLE t (k int PRIMARY KEY, v text); CREATE TABLE u (k int PRIMARY KEY);
        CREATE PUBLICATION p FOR TABLE t, u" "$db"
    resync_of_t "shards = 2" 4
    pipeline_stop "$conf"
    write_conf "shards = 2
tables = public.u"
    pipeline_start "$conf"
    wait_until 60 grep_notes "countIf(state = 'out-resync') = 2"
    # a change that nobody sends, of rows that were copied
    pg_sql src "DELETE FROM t WHERE k <= 10; UPDATE t SET v = 'w' WHERE k = 11" "$db"
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
    write_conf "shards = 2"
    pipeline_start "$conf"
    wait_until 60 grep -q 'the resync of public.t begins again: its changes were not published for a time.*"exit_code":111' "$conf.log"
    wait_until 60 all_are streaming 4
    caught_up "$conf" src "$db"
    equal t "k, v"
    pipeline_stop "$conf"
    slowly 500000
    again
    run -0 resync --table public.t
    wait_until 60 copied 1
    pg_sql src "DROP TABLE t; INSERT INTO u VALUES (1)" "$db"
    caught_up "$conf" src "$db"
    wait_until 60 all_are streaming 2
    equal u k
    pipeline_stop "$conf"
}

grep_notes() { # CONDITION
    [ "$(in_ch "SELECT $1 FROM walpipe_tables FINAL WHERE relid <> 0 AND state <> 'gone'")" = 1 ]
}

# ---- a pipeline that does not run ----

refused_at_start() {
    pipeline_start "$conf" || true
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq 100 ]
    grep -q "$1" "$conf.log"
}

# note_refused MESSAGE ARGUMENT...: with code 100, and nothing is noted
note_refused() {
    local message=$1 before
    shift
    before=$(in_ch "SELECT * FROM walpipe_tables FINAL ORDER BY relid, part, shard")
    run -100 resync "$@"
    echo "$output"
    [[ $output == *"$message"* ]]
    diff <(echo "$before") <(in_ch "SELECT * FROM walpipe_tables FINAL ORDER BY relid, part, shard")
}

@test "without a pipeline it is noted: a target with rows, one that was mapped, left out, or made again" {
    pg_sql src "CREATE TABLE t (k int PRIMARY KEY, v int); CREATE TABLE u (k int PRIMARY KEY);
        INSERT INTO t SELECT i, i FROM generate_series(1, 3000) AS i; CREATE PUBLICATION p FOR TABLE t, u" "$db"
    in_ch "CREATE TABLE t (k Int32, v Nullable(Int32), _version UInt64, _is_deleted UInt8)
        ENGINE = ReplacingMergeTree(_version) ORDER BY k"
    in_ch "INSERT INTO t (k, v, _version) VALUES (1, 7, 9), (-1, 7, 9)"
    write_conf "shards = 2"
    run -100 resync --table public.t
    [[ $output == *"has copied nothing yet"* ]]
    refused_at_start 'is to be copied from .* and has rows already.*walpipe resync'
    run -0 resync --table public.t
    [[ $output == "public.t is noted; the next start of the pipeline copies it again" ]]
    run -0 resync --table public.t
    pipeline_start "$conf"
    wait_until 60 all_are streaming 4
    merged 1
    caught_up "$conf" src "$db"
    equal t "k, v"
    pipeline_stop "$conf"
    # into another table, which has rows
    in_ch "CREATE TABLE other AS t"
    in_ch "INSERT INTO other (k, v, _version) VALUES (1, 7, 9), (-1, 7, 9)"
    write_conf "shards = 2
map = public.t -> $db.other"
    refused_at_start 'its changes go to .*walpipe resync'
    run -0 resync --table public.t
    pipeline_start "$conf"
    wait_until 60 all_are streaming 4
    pg_sql src "DELETE FROM t WHERE k = 2" "$db"
    caught_up "$conf" src "$db"
    sed 's/other/t/' <(in_ch "SELECT k, v FROM other FINAL WHERE _is_deleted = 0" | sort) |
        diff - <(pg_sql src "SELECT k, v FROM t" "$db" | tr '|' '\t' | sort)
    pipeline_stop "$conf"
    # left out for a time
    write_conf "shards = 2
map = public.t -> $db.other
tables = public.u"
    pipeline_start "$conf"
    wait_until 60 grep_notes "countIf(state = 'out-streaming') = 2"
    pg_sql src "DELETE FROM t WHERE k <= 10; UPDATE t SET v = 0 WHERE k = 11; INSERT INTO t VALUES (0, 0)" "$db"
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
    write_conf "shards = 3
map = public.t -> $db.other"
    refused_at_start 'public.t was left out.*walpipe resync'
    run -0 resync --table public.t
    pipeline_start "$conf"
    wait_until 60 all_are streaming 6
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
    # dropped and made again
    pg_sql src "DROP TABLE t; CREATE TABLE t (k int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1), (4000, 2);
        ALTER PUBLICATION p ADD TABLE t" "$db"
    refused_at_start 'the source.s table was dropped and made again.*walpipe resync'
    run -0 resync --table public.t
    pipeline_start "$conf"
    wait_until 60 all_are streaming 6
    caught_up "$conf" src "$db"
    pipeline_lives "$conf"
    [ "$(in_ch "SELECT k, v FROM other FINAL WHERE _is_deleted = 0 ORDER BY k")" = $'1\t1\n4000\t2' ]
    pipeline_stop "$conf"
}

@test "what cannot be copied again is refused, with what to do, and nothing changes" {
    local pipeline
    pg_sql src "CREATE TABLE t (k int PRIMARY KEY); CREATE TABLE n (v int);
        CREATE PUBLICATION p FOR ALL TABLES" "$db"
    write_conf "[sink none]
type = exec
copy = no
command = exec /usr/bin/python3 $BATS_TEST_DIRNAME/exec_sink.py $dir/beside"
    pipeline_start "$conf"
    wait_until 60 all_are streaming 2
    for pipeline in runs "does not run"; do
        note_refused 'no table public.x is published' --table public.x
        note_refused 'has no key that identifies its rows' --table public.n
        note_refused 'only a table of PostgreSQL or ClickHouse can be copied again' --sink none --table public.t
        note_refused 'has no sink' --sink other --table public.t
        [ "$pipeline" != runs ] || pipeline_stop "$conf"
    done
    # what comes into the way behind the note is refused at the start, and the hint leads on
    run -0 resync --sink olap --table public.t
    pg_sql src "ALTER TABLE t DROP CONSTRAINT t_pkey" "$db"
    refused_at_start "has no key that identifies its rows.*UPDATE state = 'streaming'"
    mutate walpipe_tables "UPDATE state = 'streaming' WHERE name = 't'"
    pg_sql src "ALTER TABLE t ADD PRIMARY KEY (k); INSERT INTO t VALUES (1)" "$db"
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    equal t k
    pipeline_stop "$conf"
}

@test "a resync that another sink refuses is undone, and the table goes on being followed" {
    pg_sql src "CREATE TABLE t (k int PRIMARY KEY, v int); INSERT INTO t SELECT g, g FROM generate_series(1, 1000) AS g;
        CREATE PUBLICATION p FOR ALL TABLES" "$db"
    pg_sql src "CREATE DATABASE ${db}_odd"
    pg_sql src "CREATE TABLE t (k int PRIMARY KEY, v int);
        CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION nothing();
        ALTER TABLE t ENABLE ALWAYS TRIGGER x" "${db}_odd"
    write_conf "shards = 2
[sink odd]
type = pg
conninfo = $(pg_conninfo src "${db}_odd")"
    pipeline_start "$conf"
    wait_until 120 all_are streaming 2
    wait_until 60 eval '[ "$(pg_sql src "SELECT state FROM walpipe.tables WHERE relid <> 0" "${db}_odd")" = streaming ]'
    run -100 resync --table public.t
    [[ $output == *triggers* ]]
    wait_until 60 all_are streaming 2
    pipeline_lives "$conf"
    pg_sql src "UPDATE t SET v = -v; DELETE FROM t WHERE k > 900" "$db"
    caught_up "$conf" src "$db"
    equal t k,v
    run -0 resync --sink olap --table public.t --wait
    equal t k,v
    pipeline_stop "$conf"
}
