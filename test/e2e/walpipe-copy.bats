#!/usr/bin/env bats
# walpipe run with copy = yes: a PostgreSQL source that has rows, and that is written to all the
# while, into a PostgreSQL target.

bats_require_minimum_version 1.5.0

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    pg_new src
    pg_new dst
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

# Each test has databases, a slot and a state directory of its own.
setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    source "$BATS_TEST_DIRNAME/../lib/compare.bash"
    db=t$BATS_TEST_NUMBER
    dir=$SCRATCH/$db
    conf=$dir/walpipe.conf
    mkdir "$dir"
    for server in src dst; do
        pg_sql $server "CREATE DATABASE $db"
    done
}

teardown() {
    load_stop
    [ -z "${BATS_ERROR_STATUS:-}" ] || {
        tail -n 60 "$conf.log"
        pg_sql dst "SELECT name, shard, state, rows, done FROM walpipe.tables" "$db"
    } 2>/dev/null
    [ ! -s "$conf.exit" ] && [ -e "$conf.pid" ] && pipeline_kill "$conf"
    drop_slot
}

drop_slot() {
    pg_sql src "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
                 WHERE slot_name = '$db' AND NOT active" >/dev/null
}

# write_conf [COPY [LINES [SINK_LINES [STATE]]]]
write_conf() {
    cat >"$conf" <<CONF
[pipeline]
name = $db
state_dir = $dir/${4:-state}
log_level = debug
copy = ${1:-yes}
${2:-}
[source]
conninfo = $(pg_conninfo src "$db")
slot = $db
publication = p
[sink dst]
type = pg
conninfo = $(pg_conninfo dst "$db")
flush_interval = 50ms
${3:-}
CONF
}

# pgbench's tables; its history gets a key.
bench_tables() {
    "$(pg_bindir)/pgbench" -q -i -s "${1:-1}" "$(pg_conninfo src "$db")" >/dev/null 2>&1 3>&-
    pg_sql src "ALTER TABLE pgbench_history ADD id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;
        CREATE PUBLICATION p FOR TABLE pgbench_accounts, pgbench_branches, pgbench_tellers,
            pgbench_history" "$db"
    target_tables
}

# The target gets the source's tables, without rows.
target_tables() {
    "$(pg_bindir)/pg_dump" --schema-only --no-publications "$@" "$(pg_conninfo src "$db")" >"$dir/schema.sql"
    pg_sql dst - "$db" <"$dir/schema.sql" >/dev/null
}

# load_start [RATE]: transactions per second, until load_stop.
load_start() {
    "$(pg_bindir)/pgbench" -n -c 3 -R "${1:-100}" -T 600 "$(pg_conninfo src "$db")" \
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

# Nobody writes: what a client had sent is done.
source_is_quiet() {
    [ "$(pg_sql src "SELECT count(*) FROM pg_stat_activity WHERE datname = '$db'
                      AND application_name = 'pgbench'")" = 0 ]
}

noted() {
    [ "$(pg_sql dst "SELECT $1 FROM walpipe.tables WHERE relid <> 0 ${2:-}" "$db")" = t ]
}

# all_streaming TABLES [SHARDS]
all_streaming() {
    [ -e "$conf.exit" ] || noted "count(*) = $1 * ${2:-1} AND bool_and(state = 'streaming')"
}

# copied_some [ROWS]: more than so many rows of pgbench_accounts are in the target.
copied_some() {
    [ "$(pg_sql dst "SELECT count(*) FROM pgbench_accounts" "$db")" -gt "${1:-0}" ]
}

equal() {
    local table
    for table in "$@"; do
        diff <(pg_digest src "$table" "$db") <(pg_digest dst "$table" "$db")
    done
}

BENCH='pgbench_accounts pgbench_branches pgbench_tellers pgbench_history'

# ends_equal SHARDS: the copy comes to its end under load, then both sides are the same.
ends_equal() {
    wait_until 180 all_streaming 4 "$1"
    pipeline_lives "$conf"
    load_stop
    wait_until 30 source_is_quiet
    caught_up "$conf" src "$db" 120
    # shellcheck disable=SC2086 # words
    equal $BENCH
}

# ends CODE: walpipe does, by itself.
ends() {
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq "$1" ]
}

# run_is_refused [MESSAGE]: exit code 100, perhaps before the pipeline was seen to stream.
run_is_refused() {
    pipeline_start "$conf" || true
    ends 100
    [ $# -eq 0 ] || logged "$1"
}

logged() {
    grep -q -- "$1" "$conf.log"
}

# The whole message, and the hint behind it, of walpipe's last error.
last_error() {
    grep '"level":"error"' "$conf.log" | tail -n 1
}

# ---- the first copy ----

@test "a source with rows, under load, one worker: copied, followed, equal" {
    bench_tables
    write_conf
    load_start
    pipeline_start "$conf"
    ends_equal 1
    no_restart "$conf"
    pipeline_stop "$conf"
}

@test "the same with three workers, and a sink of version 1 beside it" {
    bench_tables
    write_conf yes "copy_workers = 3" "shards = 3
[sink beside]
type = exec
copy = no
command = exec /usr/bin/python3 $BATS_TEST_DIRNAME/exec_sink.py $dir/beside"
    load_start
    pipeline_start "$conf"
    ends_equal 3
    no_restart "$conf"
    pipeline_stop "$conf"
    # it has the changes, and none of the 100,000 rows that were there
    [ "$(grep -c 'insert public.pgbench_history' "$dir/beside")" -gt 0 ]
    [ "$(grep -c 'insert public.pgbench_accounts' "$dir/beside")" -eq 0 ]
}

# child NAME: the pid of a program of the pipeline; of several workers the first one's.
child() {
    pgrep -o -P "$(pipeline_pid "$conf")" -x "$1"
}

restarted() {
    [ -e "$conf.exit" ] || [ "$(grep -c '"message":"started the pipeline' "$conf.log")" -gt "$1" ]
}

@test "kill -9 of each program during the copy: the next start goes on, and all ends equal" {
    bench_tables 3 # enough for a copy that goes on while six programs are killed, on a busy machine too
    write_conf yes "copy_rate = 1000000" "shards = 2"
    load_start 40
    pipeline_start "$conf"
    local name starts rows=0
    for name in pg-table-read sink-pg route pgout-decode pg-wal-read ackd; do
        wait_until 120 copied_some "$rows"
        run ! noted "bool_and(state = 'streaming')" "AND name = 'pgbench_accounts'"
        starts=$(grep -c '"message":"started the pipeline' "$conf.log")
        kill -KILL "$(child "$name")"
        wait_until 120 restarted "$starts"
        # what a killed run had finished stays
        rows=$(pg_sql dst "SELECT count(*) FROM pgbench_accounts" "$db")
    done
    wait_until 120 copied_some "$rows"
    pipeline_kill "$conf"
    sed -i 's/^copy_rate.*/copy_rate = 0/' "$conf"
    pipeline_start "$conf"
    ends_equal 2
    pipeline_stop "$conf"
}

@test "SIGTERM during the copy drains; the next run goes on where it was, the third copies nothing" {
    bench_tables
    write_conf yes "copy_rate = 2000000"
    load_start 40
    pipeline_start "$conf"
    wait_until 60 noted "bool_or(rows > 20000)" "AND name = 'pgbench_accounts'"
    pipeline_stop "$conf"
    run ! logged "killing"
    local rows
    rows=$(pg_sql dst "SELECT rows FROM walpipe.tables WHERE name = 'pgbench_accounts'" "$db")
    noted "bool_and(state = 'copying')" "AND name = 'pgbench_accounts'"
    sed -i 's/^copy_rate.*/copy_rate = 0/' "$conf"
    pipeline_start "$conf"
    ends_equal 1
    pipeline_stop "$conf"
    # the rows that pg-table-read has read in the second life
    local read
    read=$(jq -r 'select(.program == "pg-table-read").message | select(startswith("public.pgbench_accounts: ") and endswith(" rows")) | split(" ")[1]' "$conf.log")
    [ "$read" -le $((100000 - rows + 10000)) ]
    pipeline_start "$conf"
    wait_until 30 logged '"message":"0 of 4 published tables are to be copied'
    pipeline_stop "$conf"
}

@test "a second walpipe with another state directory copies nothing, and goes on with what is not done" {
    bench_tables
    write_conf yes "copy_rate = 2000000"
    pipeline_start "$conf"
    wait_until 60 copied_some 20000
    pipeline_kill "$conf"
    write_conf yes "" "" other
    pipeline_start "$conf"
    ends_equal 1
    pipeline_stop "$conf"
    rm -r "$dir/other"
    pipeline_start "$conf"
    wait_until 30 logged '"message":"0 of 4 published tables are to be copied'
    pg_sql src "UPDATE pgbench_tellers SET tbalance = 7" "$db"
    caught_up "$conf" src "$db"
    equal pgbench_tellers
    pipeline_stop "$conf"
}

# ---- tables that come later ----

@test "tables that are published later are copied while the others flow" {
    bench_tables
    pg_sql src "CREATE TABLE late (id int PRIMARY KEY, v text);
        INSERT INTO late SELECT g, 'old' || g FROM generate_series(1, 30000) g" "$db"
    pg_sql dst "CREATE TABLE late (id int PRIMARY KEY, v text)" "$db"
    write_conf
    load_start
    pipeline_start "$conf"
    wait_until 180 all_streaming 4
    pg_sql src "ALTER PUBLICATION p ADD TABLE late" "$db"
    wait_until 60 all_streaming 5
    pg_sql src "UPDATE late SET v = 'new' WHERE id < 100; DELETE FROM late WHERE id = 100" "$db"
    load_stop
    caught_up "$conf" src "$db"
    no_restart "$conf"
    # shellcheck disable=SC2086 # words
    equal $BENCH late
    pipeline_stop "$conf"
}

@test "a table that is made later in FOR ALL TABLES is copied" {
    pg_sql src "CREATE TABLE first (id int PRIMARY KEY); INSERT INTO first VALUES (1);
        CREATE PUBLICATION p FOR ALL TABLES" "$db"
    target_tables
    write_conf
    pipeline_start "$conf"
    wait_until 60 all_streaming 1
    pg_sql dst "CREATE TABLE second (id int PRIMARY KEY, v text)" "$db"
    pg_sql src "CREATE TABLE second (id int PRIMARY KEY, v text);
        INSERT INTO second SELECT g, 'v' FROM generate_series(1, 1000) g" "$db"
    wait_until 60 all_streaming 2
    caught_up "$conf" src "$db"
    no_restart "$conf"
    equal first second
    pipeline_stop "$conf"
}

# ---- targets that have something already ----

two_tables() {
    pg_sql src "CREATE TABLE a (id int PRIMARY KEY, v text);
        INSERT INTO a SELECT g, 'a' || g FROM generate_series(1, 3000) g;
        CREATE TABLE b (id int PRIMARY KEY, v text);
        INSERT INTO b SELECT g, 'b' || g FROM generate_series(1, 3000) g;
        CREATE PUBLICATION p FOR ALL TABLES" "$db"
    target_tables
}

# Both tables change, and both sides are equal then.
changes_arrive() {
    pg_sql src "UPDATE a SET v = v || 'x' WHERE id % 7 = 0; DELETE FROM b WHERE id % 9 = 0;
        INSERT INTO b VALUES (100000 + $1, 'new')" "$db"
    caught_up "$conf" src "$db"
    equal a b
}

# The slot, and then the source's rows of that moment in the target: nobody writes.
load_target() {
    pg_sql src "SELECT pg_create_logical_replication_slot('$db', 'pgoutput')" "$db" >/dev/null
    "$(pg_bindir)/pg_dump" --data-only "$(pg_conninfo src "$db")" >"$dir/rows.sql"
    pg_sql dst - "$db" <"$dir/rows.sql" >/dev/null
}

@test "a target table that has rows: exit 100; when it was emptied, it is copied" {
    two_tables
    pg_sql dst "INSERT INTO b VALUES (1, 'theirs')" "$db"
    write_conf
    run_is_refused
    last_error | tee /dev/stderr |
        jq -e '(.message | contains("public.b is to be copied and has rows already"))
           and (.hint | contains("empty it") and contains("copy = no"))'
    pg_sql dst "TRUNCATE b" "$db"
    pipeline_start "$conf"
    wait_until 60 all_streaming 2
    changes_arrive 1
    pipeline_stop "$conf"
}

@test "a target table that has rows: exit 100; with copy = no they stay, and copy = yes copies later tables only" {
    two_tables
    load_target
    pg_sql src "DELETE FROM a WHERE id > 2990" "$db"
    write_conf
    run_is_refused
    write_conf no
    pipeline_start "$conf"
    changes_arrive 1
    pipeline_stop "$conf"
    # the bug was that they were refused again: that no copy was wanted had been forgotten
    write_conf yes
    pipeline_start "$conf"
    wait_until 60 all_streaming 2
    logged '"message":"0 of 2 published tables are to be copied'
    changes_arrive 2
    pg_sql dst "CREATE TABLE c (id int PRIMARY KEY)" "$db"
    pg_sql src "CREATE TABLE c (id int PRIMARY KEY); INSERT INTO c VALUES (1), (2)" "$db"
    wait_until 60 all_streaming 3
    caught_up "$conf" src "$db"
    equal a b c
    pipeline_stop "$conf"
}

@test "what was replicated with copy = no is not copied when copy is set, nor what came while it was unset again" {
    two_tables
    load_target
    write_conf no
    pipeline_start "$conf"
    changes_arrive 1
    pipeline_stop "$conf"
    [ "$(pg_sql dst "SELECT to_regclass('walpipe.tables') IS NULL" "$db")" = t ]
    write_conf yes
    pipeline_start "$conf"
    wait_until 60 all_streaming 2
    logged '"message":"0 of 2 published tables are to be copied'
    changes_arrive 2
    pipeline_stop "$conf"
    # c comes while copy is no: its rows from now on are wanted
    write_conf no
    pg_sql dst "CREATE TABLE c (id int PRIMARY KEY)" "$db"
    pg_sql src "CREATE TABLE c (id int PRIMARY KEY)" "$db"
    pipeline_start "$conf"
    pg_sql src "INSERT INTO c VALUES (1), (2)" "$db"
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
    write_conf yes
    pipeline_start "$conf"
    wait_until 60 all_streaming 3
    changes_arrive 3
    equal c
    pipeline_stop "$conf"
}

@test "copy = no while a copy has not ended is refused; copy = yes goes on with it" {
    bench_tables
    write_conf yes "copy_rate = 1000000"
    pipeline_start "$conf"
    wait_until 60 copied_some
    pipeline_stop "$conf"
    write_conf no
    run_is_refused
    last_error | tee /dev/stderr |
        jq -e '(.message | contains("has not ended")) and (.hint | contains("set copy = yes"))'
    write_conf yes
    pipeline_start "$conf"
    ends_equal 1
    pipeline_stop "$conf"
}

@test "the bug was that tables left a table out, took it in again, and its changes were lost" {
    pg_sql src "CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY);
        INSERT INTO a SELECT g, 'a' FROM generate_series(1, 1000) g;
        CREATE PUBLICATION p FOR ALL TABLES" "$db"
    target_tables
    write_conf
    pipeline_start "$conf"
    wait_until 60 all_streaming 2
    pipeline_stop "$conf"
    write_conf yes "" "tables = public.b"
    pipeline_start "$conf"
    wait_until 60 noted "bool_and(state = 'out-streaming')" "AND name = 'a'"
    pg_sql src "UPDATE a SET v = 'new' WHERE id <= 100; DELETE FROM a WHERE id > 900" "$db"
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
    write_conf
    run_is_refused
    logged "public.a was left out of the sink's tables or of the publication"
    # the way out
    pg_sql dst "BEGIN; TRUNCATE a; DELETE FROM walpipe.held WHERE relid IN (SELECT relid FROM walpipe.tables WHERE name = 'a');
        UPDATE walpipe.tables SET state = 'waiting', done = '', rows = 0 WHERE name = 'a'; COMMIT" "$db"
    pipeline_start "$conf"
    wait_until 60 all_streaming 2
    caught_up "$conf" src "$db"
    equal a b
    pipeline_stop "$conf"
}

# out_for_a_while TABLE CHANGES [BACK]
out_for_a_while() {
    pg_sql src "ALTER PUBLICATION p DROP TABLE $1" "$db"
    pg_sql src "$2" "$db"
    pg_sql src "ALTER PUBLICATION p ADD TABLE ${3:-$1}" "$db"
}

# is_refused_back TABLE STATE: also in the next run.
is_refused_back() {
    for _ in 1 2; do
        ends 100
        logged "public.$1 was left out of the sink's tables or of the publication, and its changes of that time are lost"
        noted "bool_and(state = '$2')" "AND name = '$1'"
        pipeline_start "$conf" || true
    done
    ends 100
}

# copy_again TABLE: what the hint says.
copy_again() {
    pg_sql dst "BEGIN; TRUNCATE $1; DELETE FROM walpipe.held WHERE relid IN (SELECT relid FROM walpipe.tables WHERE name = '$1');
        UPDATE walpipe.tables SET state = 'waiting', done = '', rows = 0 WHERE name = '$1'; COMMIT" "$db"
}

@test "the bug was that a table left the publication and came back in a run, and its changes were lost" {
    pg_sql src "CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY, v text);
        INSERT INTO a SELECT g, 'a' FROM generate_series(1, 1000) g;
        INSERT INTO b SELECT g, repeat('b', 1000) FROM generate_series(1, 30000) g;
        CREATE PUBLICATION p FOR TABLE a" "$db"
    target_tables
    write_conf yes "copy_rate = 2000000"
    pipeline_start "$conf"
    wait_until 60 all_streaming 1
    out_for_a_while a "UPDATE a SET v = 'new' WHERE id <= 100; DELETE FROM a WHERE id > 900"
    is_refused_back a out-streaming
    copy_again a
    pg_sql src "ALTER PUBLICATION p ADD TABLE b" "$db"
    pipeline_start "$conf"
    # In the middle of its copy: what was deleted would stay.
    wait_until 60 noted "bool_or(rows > 5000)" "AND name = 'b'"
    out_for_a_while b "DELETE FROM b WHERE id < 100"
    is_refused_back b out-copying
    copy_again b
    write_conf
    pipeline_start "$conf"
    wait_until 60 all_streaming 2
    caught_up "$conf" src "$db"
    equal a b
    # A filter that leaves nothing out that was published.
    pg_sql src "ALTER PUBLICATION p SET TABLE a WHERE (id > 0), b" "$db"
    is_refused_back a out-streaming
    pg_sql dst "UPDATE walpipe.tables SET state = 'streaming' WHERE name = 'a'" "$db"
    pipeline_start "$conf"
    changes_arrive 1
    equal a b
    # A second publication takes over, and nothing is lost.
    pg_sql src "CREATE PUBLICATION q FOR TABLE b; ALTER TABLE b ADD w int" "$db"
    pg_sql dst "ALTER TABLE b ADD w int" "$db"
    changes_arrive 2
    pipeline_stop "$conf"
}

# root_tables: two partitions of 1,000 rows, published as their root.
root_tables() {
    pg_sql src "CREATE TABLE r (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
        CREATE TABLE r1 PARTITION OF r FOR VALUES FROM (0) TO (1000);
        CREATE TABLE r2 PARTITION OF r FOR VALUES FROM (1000) TO (2000);
        INSERT INTO r SELECT g, 'r' FROM generate_series(0, 1999) g;
        CREATE PUBLICATION p FOR TABLE r WITH (publish_via_partition_root)" "$db"
    pg_sql dst "CREATE TABLE r (id int PRIMARY KEY, v text)" "$db"
}

is_refused_part() {
    for _ in 1 2; do
        ends 100
        logged "a partition of public.r (oid $1) was truncated or detached, or was left out"
        noted "bool_and(state = 'out-streaming')" "AND part = $1"
        pipeline_start "$conf" || true
    done
    ends 100
}

# The bug was that nobody noticed.
@test "one partition is truncated, while walpipe runs and while it does not; its root, which is sent" {
    local r1
    root_tables
    r1=$(pg_sql src "SELECT 'r1'::regclass::oid" "$db")
    write_conf
    pipeline_start "$conf"
    wait_until 60 all_streaming 2
    wait_until 60 logged "2 of 2 published tables are to be copied"
    pg_sql src "TRUNCATE r1" "$db"
    is_refused_part "$r1"
    # One way out: its rows are taken away by hand.
    pg_sql dst "DELETE FROM r WHERE id < 1000; UPDATE walpipe.tables SET state = 'streaming' WHERE part = $r1" "$db"
    pipeline_start "$conf"
    pg_sql src "INSERT INTO r VALUES (1, 'new')" "$db"
    caught_up "$conf" src "$db"
    equal r
    # The whole root: nothing is lost, now and in the next run.
    pg_sql src "TRUNCATE r; INSERT INTO r VALUES (2, 'new'), (1002, 'new'); VACUUM r1" "$db"
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
    pg_sql src "CREATE TABLE r3 PARTITION OF r FOR VALUES FROM (3000) TO (4000); INSERT INTO r VALUES (3000, 'new')" "$db"
    pipeline_start "$conf"
    wait_until 60 all_streaming 3
    caught_up "$conf" src "$db"
    equal r
    pipeline_stop "$conf"
    # The other way out: the table is copied again.
    copy_again r
    pipeline_start "$conf"
    wait_until 60 all_streaming 3
    pipeline_stop "$conf"
    pg_sql src "TRUNCATE r1" "$db"
    pipeline_start "$conf" || true
    is_refused_part "$r1"
    copy_again r
    pipeline_start "$conf"
    wait_until 60 all_streaming 3
    caught_up "$conf" src "$db"
    equal r
    # A rewrite takes nothing away.
    pg_sql src "VACUUM FULL r2" "$db"
    wait_until 60 logged "public.r2: it was rewritten, or truncated without its root"
    [ ! -s "$conf.exit" ]
    pipeline_stop "$conf"
}

@test "a partition that is detached or dropped is named in the notes for ever; if it comes back, it is refused" {
    local r1
    root_tables
    r1=$(pg_sql src "SELECT 'r1'::regclass::oid" "$db")
    write_conf
    pipeline_start "$conf"
    wait_until 60 all_streaming 2
    pg_sql src "ALTER TABLE r DETACH PARTITION r1" "$db"
    wait_until 60 noted "bool_and(state = 'out-streaming')" "AND part = $r1"
    noted "bool_and(state = 'streaming')" "AND part <> $r1"
    pg_sql src "INSERT INTO r VALUES (1500, 'x') ON CONFLICT (id) DO UPDATE SET v = 'x'" "$db"
    caught_up "$conf" src "$db"
    run "$WALPIPE_BIN/walpipe" tables -c "$conf"
    echo "$output"
    [[ "$output" == *"public.r"*"out-streaming"* ]]
    pg_sql src "ALTER TABLE r ATTACH PARTITION r1 FOR VALUES FROM (0) TO (1000)" "$db"
    is_refused_part "$r1"
    copy_again r
    pipeline_start "$conf"
    wait_until 60 all_streaming 2
    caught_up "$conf" src "$db"
    equal r
    pipeline_stop "$conf"
    pg_sql src "DROP TABLE r1" "$db"
    pipeline_start "$conf"
    wait_until 60 noted "bool_and(state = 'out-streaming')" "AND part = $r1"
    # When its rows are as they should be, its note may go.
    pg_sql dst "DELETE FROM r WHERE id < 1000; DELETE FROM walpipe.tables WHERE part = $r1" "$db"
    equal r
    pipeline_stop "$conf"
}

@test "the bug was that a table dropped while walpipe was down stayed copying for ever" {
    pg_sql src "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, v text);
        INSERT INTO b SELECT g, repeat('b', 1000) FROM generate_series(1, 30000) g;
        CREATE PUBLICATION p FOR ALL TABLES" "$db"
    target_tables
    write_conf yes "copy_rate = 2000000"
    pipeline_start "$conf"
    wait_until 60 noted "bool_or(rows > 5000)" "AND name = 'b'"
    pipeline_stop "$conf"
    pg_sql src "DROP TABLE b" "$db"
    pipeline_start "$conf"
    wait_until 60 noted "bool_and(state = 'out-copying')" "AND name = 'b'"
    pipeline_stop "$conf"
    write_conf no
    pipeline_start "$conf"
    pg_sql src "INSERT INTO a VALUES (1)" "$db"
    caught_up "$conf" src "$db"
    equal a
    pipeline_stop "$conf"
}

@test "a table that the target lacks: exit 100; when it is there, it is copied" {
    two_tables
    pg_sql dst "DROP TABLE b" "$db"
    write_conf
    run_is_refused
    last_error | tee /dev/stderr | jq -e '.message | contains("public.b")'
    pg_sql dst "CREATE TABLE b (id int PRIMARY KEY, v text)" "$db"
    pipeline_start "$conf"
    wait_until 60 all_streaming 2
    changes_arrive 1
    pipeline_stop "$conf"
}

@test "a table without a key is copied with the others, and followed" {
    two_tables
    pg_sql src "CREATE TABLE nokey (v text); INSERT INTO nokey VALUES ('a'), ('a')" "$db"
    pg_sql dst "CREATE TABLE nokey (v text)" "$db"
    write_conf
    pipeline_start "$conf"
    wait_until 60 all_streaming 3
    pg_sql src "INSERT INTO nokey VALUES ('b')" "$db"
    changes_arrive 1
    [ "$(pg_sql dst "SELECT string_agg(v, ',' ORDER BY v) FROM nokey" "$db")" = a,a,b ]
    pipeline_stop "$conf"
}

# ---- walpipe check ----

# says STATUS LINE...: check ends with STATUS and has these lines, as patterns of their beginning.
says() {
    local want=$1 line
    shift
    run "$WALPIPE_BIN/walpipe" check -c "$conf"
    echo "$output"
    [ "$status" -eq "$want" ] || return 1
    for line in "$@"; do
        grep -E "^$line" <<<"$output" || {
            echo "no line $line"
            return 1
        }
    done
}

# The source is read as the role that the test has made.
as_copier() {
    sed -i "/^\[source\]/,/^conninfo/s|^conninfo.*|conninfo = $(pg_conninfo src "$db") user=copier_$db|" "$conf"
}

@test "check: a target table that has rows, until its copy has begun" {
    two_tables
    pg_sql dst "INSERT INTO b VALUES (1, 'theirs')" "$db"
    pg_sql src "ANALYZE" "$db"
    write_conf
    says 100 "FAIL  sink dst: public.b is to be copied and has rows already: if nothing else" \
        "ok    copy: 2 table\(s\), about [0-9.]+ [kM]B on the source"
    run ! grep "public.a is to be copied" <<<"$output"
    pg_sql dst "TRUNCATE b" "$db"
    says 0
    pipeline_start "$conf"
    wait_until 60 all_streaming 2
    pipeline_stop "$conf"
    says 0
    # with copy = no nobody asks
    drop_slot
    pg_sql dst "DROP SCHEMA walpipe CASCADE" "$db"
    rm -r "$dir/state"
    says 100 "FAIL  sink dst: public.a is to be copied"
    write_conf no
    says 0
    run ! grep "copy" <<<"$output"
}

# The bug was that rows of a table that inherits from the target's counted as its own.
@test "a target table is copied although tables that inherit from it have rows" {
    two_tables
    pg_sql dst "CREATE TABLE archive (kept int) INHERITS (b); INSERT INTO archive VALUES (7, 'kept', 1)" "$db"
    write_conf
    says 0
    pipeline_start "$conf"
    wait_until 60 all_streaming 2
    pipeline_stop "$conf"
    [ "$(pg_sql dst "SELECT count(*) FROM archive" "$db")" = 1 ]
    [ "$(pg_sql dst "SELECT count(*) FROM ONLY b" "$db")" = "$(pg_sql src "SELECT count(*) FROM b" "$db")" ]
}

@test "check: rows that came with copy = no are not refused" {
    two_tables
    load_target
    write_conf no
    pipeline_start "$conf"
    changes_arrive 1
    pipeline_stop "$conf"
    write_conf yes
    says 0
    run ! grep "origin = none" <<<"$output"
    sed -i 's/^slot = .*/&\norigin = none/' "$conf"
    says 0 "warn  copy: origin = none .* only one may copy"
}

@test "check and run: rights on the source, row-level security, a table without a key" {
    two_tables
    pg_sql src "CREATE ROLE copier_$db LOGIN REPLICATION; REVOKE ALL ON SCHEMA public FROM public;
        CREATE SCHEMA hidden;
        CREATE TABLE hidden.c (id int PRIMARY KEY);
        CREATE TABLE guarded (id int PRIMARY KEY); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
        CREATE UNLOGGED TABLE scratch (id int PRIMARY KEY);
        CREATE TABLE nokey (v text);
        GRANT USAGE ON SCHEMA public TO copier_$db;
        GRANT SELECT ON a, hidden.c, guarded, nokey TO copier_$db" "$db"
    pg_sql dst "CREATE SCHEMA hidden; CREATE TABLE hidden.c (id int PRIMARY KEY);
        CREATE TABLE guarded (id int PRIMARY KEY); CREATE TABLE nokey (v text)" "$db"
    write_conf
    as_copier
    says 100 "FAIL  copy: the role lacks SELECT on public.b: grant it" \
        "FAIL  copy: the role lacks USAGE on the schema of hidden.c: grant it" \
        "FAIL  copy: public.guarded has row-level security .*BYPASSRLS" \
        "warn  copy: public.nokey has no key: a snapshot stays open" \
        "warn  copy: public.scratch is unlogged"
    run ! grep "lacks.* public.a" <<<"$output"
    # run stops at each of them too, and what check says mends it
    sed -i "s/^flush_interval.*/&\ntables = public.*, hidden.*, !public.nokey/" "$conf"
    run_is_refused "exit code 100: .*public.b"
    pg_sql src "GRANT SELECT ON b TO copier_$db; GRANT USAGE ON SCHEMA hidden TO copier_$db" "$db"
    run_is_refused "exit code 100: .*guarded"
    pg_sql src "ALTER ROLE copier_$db BYPASSRLS" "$db"
    says 0
    pipeline_start "$conf"
    wait_until 60 all_streaming 4
    pipeline_stop "$conf"
    pg_sql src "DROP OWNED BY copier_$db; DROP ROLE copier_$db" "$db"
}

@test "check: the partitions of a table that is published as one" {
    pg_sql src "CREATE TABLE root (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
        CREATE TABLE low PARTITION OF root FOR VALUES FROM (0) TO (10);
        CREATE TABLE high PARTITION OF root FOR VALUES FROM (10) TO (20);
        INSERT INTO root VALUES (1), (11);
        CREATE PUBLICATION p FOR TABLE root WITH (publish_via_partition_root);
        CREATE ROLE copier_$db LOGIN REPLICATION; GRANT SELECT ON root, high TO copier_$db" "$db"
    pg_sql dst "CREATE TABLE root (id int PRIMARY KEY, v text)" "$db"
    write_conf
    as_copier
    says 100 "FAIL  copy: the role lacks SELECT on public.low"
    run_is_refused "exit code 100: .*public.low"
    pg_sql src "GRANT SELECT ON low TO copier_$db" "$db"
    says 0 "ok    copy: 1 table"
    pipeline_start "$conf"
    wait_until 60 all_streaming 2
    equal root
    pipeline_stop "$conf"
    # the rows of a foreign table are nobody's
    pg_sql src "CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER none FOREIGN DATA WRAPPER nothing;
        CREATE TABLE far (id int) PARTITION BY RANGE (id);
        CREATE FOREIGN TABLE away PARTITION OF far FOR VALUES FROM (0) TO (9) SERVER none;
        ALTER PUBLICATION p ADD TABLE far; GRANT SELECT ON far TO copier_$db" "$db"
    says 100 "warn  copy: public.away is a foreign table"
    pg_sql src "DROP OWNED BY copier_$db; DROP ROLE copier_$db" "$db"
}

# ---- two walpipes ----

waits_for_slot() {
    "$WALPIPE_BIN/walpipe" status -c "$1" | grep -q STANDBY
}

@test "a hot standby takes over during the copy" {
    bench_tables
    write_conf yes "copy_rate = 1000000" "" standby
    sed 's|/standby$|/state|' "$conf" >"$dir/first.conf"
    load_start 40
    pipeline_start "$dir/first.conf"
    wait_until 60 copied_some
    setsid bash -c 'echo $$ >"$1.pid"; "$2/walpipe" run -c "$1"; echo $? >"$1.exit"' \
        pipeline "$conf" "$WALPIPE_BIN" </dev/null >>"$conf.log" 2>&1 3>&- &
    wait_until 60 waits_for_slot "$conf"
    kill_later "$(pipeline_pid "$conf")"
    # it keeps its hands off the target
    copied_some
    run ! noted "bool_and(state = 'streaming')" "AND name = 'pgbench_accounts'"
    pipeline_kill "$dir/first.conf"
    wait_until 60 logged '"message":"streaming from slot'
    logged '"message":"[1-4] of 4 published tables are to be copied' ||
        wait_until 30 logged '"message":"[1-4] of 4 published tables are to be copied'
    ends_equal 1
    pipeline_stop "$conf"
}
