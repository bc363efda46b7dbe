#!/usr/bin/env bats
# pg-wal-read alone, on a real PostgreSQL; what ackd would say comes from fakes.

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    pg_new src log_replication_commands=on max_slot_wal_keep_size=32MB \
        max_replication_slots=40 max_wal_senders=20 max_prepared_transactions=2
    pg_sql src "create table t (id int primary key, v text); create publication p for table t"
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    cd "$BATS_TEST_TMPDIR" || return 1
    slot=s$BATS_TEST_NUMBER
    conninfo=$(pg_conninfo src)
    reader_pids=()
}

teardown() {
    local pid
    for pid in "${reader_pids[@]}"; do
        end_process "$pid" KILL 1
    done
    [ -n "${BATS_TEST_COMPLETED:-}" ] || cat ./*.log 2>/dev/null
    pg_sql src "select pg_drop_replication_slot('$slot') from pg_replication_slots
                where slot_name = '$slot' and not active" >/dev/null 2>&1 || true
}

# Starts pg-wal-read in the background: stdout to wal.bin, stderr to reader.log, pid in $reader.
start_reader() {
    "$WALPIPE_BIN/pg-wal-read" --conninfo "$conninfo" --slot "$slot" --publication p "$@" \
        >wal.bin 2>reader.log 3>&- &
    reader=$!
    reader_pids+=("$reader")
}

streaming() {
    grep -q '"message":"streaming from slot' "${1:-reader.log}"
}

# Waits for the background process $1 and sets $status.
collect() {
    status=0
    wait "$1" || status=$?
}

# What some platforms set; a busy machine may starve a walsender for as long.
short_timeout() {
    conninfo="$conninfo options='-c wal_sender_timeout=2s'"
}

# The FIFO open on descriptor $1 holds all that it can, so its writer waits.
# By the kernel's own word: a pipe's capacity is in pages, and how many bytes fill it depends on the
# writes (trap 136).
pipe_is_full() {
    /usr/bin/python3 -c 'import select, sys; sys.exit(bool(select.select([], [int(sys.argv[1])], [], 0)[1]))' \
        "$1" 3>&-
}

has_event() { # TYPE FILE
    "$WALPIPE_BIN/pgout-decode" <"$2" 2>/dev/null | "$WALPIPE_BIN/evcat" 2>/dev/null |
        grep -q "\"type\":\"$1\""
}

make_slot() {
    pg_sql src "select pg_create_logical_replication_slot('$slot', '${1:-pgoutput}')" >/dev/null
}

# Runs it to its end; $output is what it says, wal.bin what it wrote.
run_reader() {
    run_to_end() { timeout 30 "$WALPIPE_BIN/pg-wal-read" --conninfo "$conninfo" --slot "$slot" "$@" 2>&1 >wal.bin; }
    run run_to_end "$@"
    echo "exit status $status: $output"
}

@test "reads from the slot, ends with an end frame at SIGTERM, confirms nothing without ackd" {
    start_reader --no-ack --create-slot
    wait_until 10 streaming
    before=$(pg_sql src "select confirmed_flush_lsn from pg_replication_slots where slot_name = '$slot'")
    pg_sql src "insert into t values (1, 'a')"
    wait_until 10 has_event insert wal.bin
    kill -TERM "$reader"
    collect "$reader"
    [ "$status" -eq 0 ]
    "$WALPIPE_BIN/evcat" <wal.bin | tail -n 1 | grep -q '"type":"end"'
    after=$(pg_sql src "select confirmed_flush_lsn from pg_replication_slots where slot_name = '$slot'")
    [ "$before" = "$after" ]
    # The slot alone decides where to start (trap 14).
    grep -q "START_REPLICATION SLOT \"$slot\" LOGICAL 0/0 " "$(pg_log src)"
}

@test "SIGTERM to a reader that waits for its slot ends it promptly" {
    start_reader --no-ack --create-slot
    wait_until 10 streaming
    cp reader.log first.log
    "$WALPIPE_BIN/pg-wal-read" --conninfo "$conninfo" --slot "$slot" --publication p --no-ack \
        >second.bin 2>second.log 3>&- &
    second=$!
    reader_pids+=("$second")
    wait_until 10 grep -q 'is in use by the source' second.log
    kill -TERM "$second"
    wait_until 2 process_gone "$second"
}

@test "a slot in use is waited for and taken over when its user dies (trap 18)" {
    start_reader --no-ack --create-slot
    wait_until 10 streaming
    "$WALPIPE_BIN/pg-wal-read" --conninfo "$conninfo" --slot "$slot" --publication p --no-ack \
        >second.bin 2>second.log 3>&- &
    reader_pids+=($!)
    wait_until 10 grep -q 'is in use by the source' second.log
    kill -KILL "$reader"
    wait_until 15 streaming second.log
    pg_sql src "insert into t values (30, 'after')"
    wait_until 10 has_event insert second.bin
}

@test "a blocked stdout does not cost the connection (trap 1)" {
    short_timeout
    mkfifo blocked
    exec 8<>blocked
    "$WALPIPE_BIN/pg-wal-read" --conninfo "$conninfo" --slot "$slot" --publication p --no-ack \
        --create-slot >blocked 2>reader.log 3>&- 8>&- &
    reader=$!
    reader_pids+=("$reader")
    wait_until 10 streaming
    pid=$(pg_sql src "select active_pid from pg_replication_slots where slot_name = '$slot'")
    pg_sql src "insert into t select g, repeat('x', 1000) from generate_series(1000, 21000) g; delete from t where id >= 1000"
    blocked_for_8_seconds() { [ "$((SECONDS - started))" -ge 8 ]; }
    started=$SECONDS
    wait_until 12 blocked_for_8_seconds # four times wal_sender_timeout
    [ "$(pg_sql src "select active_pid from pg_replication_slots where slot_name = '$slot'")" = "$pid" ]
    process_alive "$reader"
    exec 8<&-
}

@test "an idle connection lives with a wal_sender_timeout of 2 s, without a storm (traps 3, 6)" {
    short_timeout
    start_reader --no-ack --create-slot
    wait_until 10 streaming
    pid=$(pg_sql src "select active_pid from pg_replication_slots where slot_name = '$slot'")
    pg_sql src "create table if not exists unpublished (x int); insert into unpublished values (1)"
    idle_for_6_seconds() { [ "$((SECONDS - started))" -ge 6 ]; }
    started=$SECONDS
    wait_until 10 idle_for_6_seconds
    [ "$(pg_sql src "select active_pid from pg_replication_slots where slot_name = '$slot'")" = "$pid" ]
    kill -TERM "$reader"
    collect "$reader"
    [ "$("$WALPIPE_BIN/evcat" <wal.bin | grep -c '"type":"keepalive"')" -lt 50 ]
}

@test "a walsender that is terminated is no clean end (trap 19)" {
    start_reader --no-ack --create-slot
    wait_until 10 streaming
    pg_sql src "select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = '$slot'" >/dev/null
    collect "$reader"
    [ "$status" -eq 111 ]
    grep -q 'terminating connection due to administrator command' reader.log
    # No end frame: the next program must not take it for one either.
    run "$WALPIPE_BIN/pgout-decode" <wal.bin
    [ "$status" -eq 111 ]
}

@test "the source's immediate shutdown ends it with 111" {
    pg_new crash
    pg_sql crash "create table t (id int primary key); create publication p for table t"
    conninfo=$(pg_conninfo crash)
    start_reader --no-ack --create-slot
    wait_until 10 streaming
    pg_stop crash immediate
    collect "$reader"
    [ "$status" -eq 111 ]
}

@test "a lost slot is refused and not recreated (trap 22)" {
    make_slot
    for _ in 1 2 3 4 5; do
        pg_sql src "insert into t select g, 'x' from generate_series(100000, 100100) g on conflict do nothing;
                    delete from t where id >= 100000; select pg_switch_wal()" >/dev/null
    done
    pg_sql src checkpoint
    [ "$(pg_sql src "select wal_status from pg_replication_slots where slot_name = '$slot'")" = lost ]
    run_reader --publication p --no-ack --create-slot
    [ "$status" -eq 100 ]
    [[ $output == *"is lost: the source removed WAL"* ]]
}

@test "a missing slot is refused without --create-slot" {
    run_reader --publication p --no-ack
    [ "$status" -eq 100 ]
    [[ $output == *"replication slot \\\"$slot\\\" does not exist"* ]]
}

@test "a slot of another plugin, or with two_phase, is refused (traps 33, 34)" {
    make_slot test_decoding
    run_reader --publication p --no-ack
    [ "$status" -eq 100 ]
    [[ $output == *'uses output plugin \"test_decoding\"'* ]]
    pg_sql src "select pg_drop_replication_slot('$slot')" >/dev/null
    pg_sql src "select pg_create_logical_replication_slot('$slot', 'pgoutput', false, true)" >/dev/null
    run_reader --publication p --no-ack
    [ "$status" -eq 100 ]
    [[ $output == *"has two_phase enabled"* ]]
}

@test "a slot of another database is refused" {
    pg_sql src "select 1 from pg_database where datname = 'other'" | grep -q 1 ||
        pg_sql src "create database other"
    make_slot
    pg_sql src "create publication p for all tables" other
    conninfo=$(pg_conninfo src other)
    run_reader --publication p --no-ack
    [ "$status" -eq 100 ]
    [[ $output == *'belongs to database \"postgres\", the conninfo names \"other\"'* ]]
}

@test "a publication that does not exist is named (trap 45)" {
    run_reader --publication nope --no-ack --create-slot
    [ "$status" -eq 100 ]
    [[ $output == *'publication \"nope\" does not exist'* ]]
    [ -z "$(pg_sql src "select 1 from pg_replication_slots where slot_name = '$slot'")" ]
}

# A question about the published tables on the replication connection would hide it: the
# walsender's caches then know the publication.
@test "a publication made after the slot stops with its LSN (trap 45)" {
    make_slot
    pg_sql src "insert into t values (15, 'before the publication')"
    pg_sql src "create publication late for table t"
    run_reader --publication late --no-ack
    [ "$status" -eq 100 ]
    [[ $output == *'publication \"late\" does not exist'* ]]
    [[ $output == *"associated LSN"* ]]
    pg_sql src "drop publication late"
}

@test "the bug was that what came with the answer to START_REPLICATION was not read until more came (trap 20)" {
    make_slot
    pg_sql src "insert into t values (115, 'before the publication'); create publication late for table t"
    for _ in {1..20}; do # the error comes in the same packet often, not always
        run_reader --publication late --no-ack
        [ "$status" -eq 100 ]
    done
    pg_sql src "drop publication late"
}

@test "names are quoted for the server (trap 46)" {
    pg_sql src 'create publication "My,""Pub" for table t'
    "$WALPIPE_BIN/pg-wal-read" --conninfo "$conninfo" --slot "$slot" --publication '"My,""Pub",p' \
        --no-ack --create-slot >wal.bin 2>reader.log 3>&- &
    reader=$!
    reader_pids+=("$reader")
    wait_until 10 streaming
    pg_sql src "insert into t values (16, 'odd')"
    wait_until 10 has_event insert wal.bin
    "$WALPIPE_BIN/evcat" <wal.bin 2>/dev/null | head -n 1 | jq -e '.publications == ["My,\"Pub", "p"]'
    pg_sql src 'drop publication "My,""Pub"'
}

@test "the text of values does not depend on the role's settings (traps 67, 68)" {
    pg_sql src "create table kinds (id int primary key, d date, i interval, b bytea, f float4, tz timestamptz, m money);
                create publication kinds for table kinds"
    read_kinds() {
        "$WALPIPE_BIN/pg-wal-read" --conninfo "$conninfo user=$1" --slot "$slot" --publication kinds --no-ack \
            >"$1.bin" 2>"$1.log" 3>&- &
        reader=$!
        reader_pids+=("$reader")
        wait_until 10 has_event commit "$1.bin"
        kill -TERM "$reader"
        collect "$reader"
        "$WALPIPE_BIN/pgout-decode" <"$1.bin" | "$WALPIPE_BIN/evcat" | grep '"type":"insert"' >"$1.json"
    }
    make_slot
    pg_sql src "insert into kinds values (1, '2024-03-04', '1 year 2 mons 3 days 04:05:06.5', '\x00ff', 1e-40,
                '2024-03-04 05:06:07+09', 12.5)"
    pg_sql src "create role hostile superuser login replication;
                alter role hostile set datestyle = 'German'; alter role hostile set intervalstyle = 'iso_8601';
                alter role hostile set bytea_output = 'escape'; alter role hostile set extra_float_digits = 0;
                alter role hostile set timezone = 'Asia/Tokyo'; alter role hostile set client_encoding = 'LATIN1';
                alter role hostile set statement_timeout = '1s'; alter role hostile set search_path = 'nowhere'"
    read_kinds postgres
    PGCLIENTENCODING=LATIN1 read_kinds hostile
    [ -s postgres.json ]
    diff postgres.json hostile.json
    grep -q '"d":"2024-03-04","i":"1 year 2 mons 3 days 04:05:06.5","b":"\\\\x00ff","f":"1e-40","tz":"2024-03-03 20:06:07+00"' hostile.json
    pg_sql src "drop publication kinds; drop table kinds"
}

@test "an ack beyond what was received is never sent (trap 11)" {
    /usr/bin/python3 "$BATS_TEST_DIRNAME/../lib/fake_ackd.py" "$PWD/ackd.sock" --flush 9223372036854775808 >acks.json 3>&- &
    reader_pids+=($!)
    make_slot
    before=$(pg_sql src "select confirmed_flush_lsn from pg_replication_slots where slot_name = '$slot'")
    start_reader --ackd "$PWD/ackd.sock"
    pg_sql src "insert into t values (19, 'x')"
    collect "$reader"
    [ "$status" -eq 101 ]
    grep -q 'ackd wants to confirm up to 80000000/0' reader.log
    [ "$(pg_sql src "select confirmed_flush_lsn from pg_replication_slots where slot_name = '$slot'")" = "$before" ]
}

@test "an ack that goes back is never sent (trap 12)" {
    make_slot
    /usr/bin/python3 "$BATS_TEST_DIRNAME/../lib/fake_ackd.py" "$PWD/ackd.sock" --flush 1 >acks.json 3>&- &
    reader_pids+=($!)
    start_reader --ackd "$PWD/ackd.sock"
    pg_sql src "insert into t values (20, 'x')"
    collect "$reader"
    [ "$status" -eq 101 ]
    grep -q 'ackd wants to go back' reader.log
}

@test "an ack of what was received moves the slot" {
    make_slot
    /usr/bin/python3 "$BATS_TEST_DIRNAME/../lib/fake_ackd.py" "$PWD/ackd.sock" --flush received >acks.json 3>&- &
    reader_pids+=($!)
    start_reader --ackd "$PWD/ackd.sock"
    wait_until 10 streaming
    pg_sql src "insert into t values (21, 'x')"
    target=$(pg_sql src "select pg_current_wal_lsn()")
    moved() {
        [ "$(pg_sql src "select confirmed_flush_lsn >= '$target' from pg_replication_slots where slot_name = '$slot'")" = t ]
    }
    wait_until 10 moved
}

@test "ackd refuses: exit 100 with its reason; ackd gone: exit 111" {
    make_slot
    /usr/bin/python3 "$BATS_TEST_DIRNAME/../lib/fake_ackd.py" "$PWD/ackd.sock" --refuse "the slot is gone" \
        >acks.json 3>&- &
    fake=$!
    reader_pids+=("$fake")
    start_reader --ackd "$PWD/ackd.sock"
    collect "$reader"
    [ "$status" -eq 100 ]
    grep -q '"message":"the slot is gone","hint":"the test said so"' reader.log
    end_process "$fake" TERM 5
    /usr/bin/python3 "$BATS_TEST_DIRNAME/../lib/fake_ackd.py" "$PWD/ackd2.sock" >acks.json 3>&- &
    fake=$!
    reader_pids+=("$fake")
    start_reader --ackd "$PWD/ackd2.sock"
    wait_until 10 streaming
    kill -KILL "$fake"
    collect "$reader"
    [ "$status" -eq 111 ]
    grep -q 'ackd closed the connection' reader.log
}

@test "the next program gone: exit 111 within a second, also when idle (trap 132)" {
    mkfifo out
    exec 8<>out
    make_slot
    "$WALPIPE_BIN/pg-wal-read" --conninfo "$conninfo" --slot "$slot" --publication p --no-ack \
        >out 2>reader.log 3>&- 8>&- &
    reader=$!
    reader_pids+=("$reader")
    wait_until 10 streaming
    exec 8<&-
    wait_until 2 grep -q 'the next program in the pipeline is gone' reader.log
    wait_until 10 process_gone "$reader"
    collect "$reader"
    [ "$status" -eq 111 ]
}

@test "a password on the command line, an odd slot name, missing options: exit 100" {
    run "$WALPIPE_BIN/pg-wal-read" --conninfo "host=x password=secret" --slot s --publication p --no-ack
    [ "$status" -eq 100 ]
    [[ $output == *"cannot take a password on the command line"* ]]
    [[ $output != *secret* ]]
    run "$WALPIPE_BIN/pg-wal-read" --conninfo "host=x" --slot "Bad-Slot" --publication p --no-ack
    [ "$status" -eq 100 ]
    run "$WALPIPE_BIN/pg-wal-read" --conninfo "host=x" --slot s --publication p
    [ "$status" -eq 100 ]
    for list in '"open' 'a,,b' '"a"b' '' "$(printf 'x%.0s' {1..64})"; do
        run "$WALPIPE_BIN/pg-wal-read" --conninfo "host=x" --slot s --publication "$list" --no-ack
        [ "$status" -eq 100 ]
        [[ $output == *publication* ]]
    done
    run "$WALPIPE_BIN/pg-wal-read" --conninfo "nonsense" --slot s --publication p --no-ack
    [ "$status" -eq 100 ]
    [[ $output == *"malformed conninfo"* ]]
    run "$WALPIPE_BIN/pg-wal-read" --conninf x
    [ "$status" -eq 100 ]
    run "$WALPIPE_BIN/pg-wal-read" --help
    [ "$status" -eq 0 ]
    run "$WALPIPE_BIN/pg-wal-read" --version
    [ "$status" -eq 0 ]
}

@test "a source that is down: exit 111; a role that may not log in: exit 100" {
    conninfo="host=/nowhere port=1 user=postgres"
    run_reader --publication p --no-ack
    [ "$status" -eq 111 ]
    conninfo="$(pg_conninfo src) user=nobody_of_that_name"
    run_reader --publication p --no-ack
    [ "$status" -eq 100 ]
}

@test "wal_level below logical is named" {
    pg_new replica wal_level=replica
    conninfo=$(pg_conninfo replica)
    run_reader --publication p --no-ack
    [ "$status" -eq 100 ]
    [[ $output == *'wal_level is \"replica\"'* ]]
}

@test "--check says what works, --drop-slot drops" {
    run_reader --publication p --check --create-slot
    [ "$status" -eq 0 ]
    output=$(cat wal.bin)
    [[ $output == *"ok    wal_level = logical"* ]]
    [[ $output == *"it will be created"* ]]
    make_slot
    run_reader --publication p --check
    [ "$status" -eq 0 ]
    output=$(cat wal.bin)
    [[ $output == *"confirmed up to"* ]]
    run_reader --publication nope --check
    [ "$status" -eq 100 ]
    output=$(cat wal.bin)
    [[ $output == *"FAIL  publication \"nope\" does not exist"* ]]
    run_reader --drop-slot
    [ "$status" -eq 0 ]
    [ -z "$(pg_sql src "select 1 from pg_replication_slots where slot_name = '$slot'")" ]
    run_reader --drop-slot
    [ "$status" -eq 0 ]
}

@test "the bug was that systemd's signal to every process and walpipe's own counted as two stops" {
    mkfifo blocked
    exec 8<>blocked
    "$WALPIPE_BIN/pg-wal-read" --conninfo "$conninfo" --slot "$slot" --publication p --no-ack \
        --create-slot >blocked 2>reader.log 3>&- 8>&- &
    reader=$!
    reader_pids+=("$reader")
    wait_until 10 streaming
    pg_sql src "insert into t select g, repeat('x', 1000) from generate_series(3000, 8000) g; delete from t where id >= 3000"
    wait_until 20 pipe_is_full 8
    kill -TERM "$reader"
    wait_until 5 grep -q 'draining the pipeline' reader.log
    kill -TERM "$reader"
    # What was read goes out, then the end.
    cat <&8 >wal.bin &
    reader_pids+=($!)
    collect "$reader"
    [ "$status" -eq 0 ]
    exec 8<&-
}

# ---- what the catalog says of tables ----

shown() { # JQ-CONDITION on the events so far, as an array
    "$WALPIPE_BIN/pgout-decode" <wal.bin 2>/dev/null | "$WALPIPE_BIN/evcat" 2>/dev/null |
        jq -e -s "$1" >/dev/null
}

exits_with_end() {
    kill -TERM "$reader"
    collect "$reader"
    [ "$status" -eq 0 ]
    shown '.[-1].type == "end"'
}

@test "--table-info: keys, column numbers and missing values stand behind the relation they are of" {
    pg_sql src "select pg_create_logical_replication_slot('$slot', 'pgoutput')" >/dev/null
    pg_sql src "create table info (a int, gone int, b text, primary key (b, a) include (gone));
        alter table info replica identity full; alter publication p add table info;
        insert into info values (1, 1, 'x')"
    start_reader --no-ack --table-info
    wait_until 20 shown 'any(.type == "insert")'
    shown 'map(select(.type != "watermark")) | .[1].type == "begin" and .[2].type == "relation" and
        .[3] == {"type": "tableinfo", "relid": .[2].relid, "lsn": .[3].lsn, "replica_identity": "f", "schema": "public",
        "name": "info", "primary_key": [3, 1], "identity_key": [], "columns": [
        {"attnum": 1, "name": "a", "type_oid": 23, "typmod": -1, "not_null": true, "has_default": false},
        {"attnum": 2, "name": "gone", "type_oid": 23, "typmod": -1, "not_null": false, "has_default": false},
        {"attnum": 3, "name": "b", "type_oid": 25, "typmod": -1, "not_null": true, "has_default": false}]}'
    # the connection is lost between two questions
    pg_sql src "select pg_terminate_backend(pid) from pg_stat_activity
                where application_name = 'walpipe tables'" >/dev/null
    pg_sql src "alter table info drop column gone, drop constraint if exists info_pkey,
            add column gone numeric(4,1) not null default 2.5, add column d text default 'a,\"b\" c',
            add column e int[] default '{1,NULL}', add column f box default '((1,2),(0,0))',
            add column g timestamptz default '2020-01-02 03:04:05+00', add column h text,
            add primary key (a) deferrable;
        alter table info alter d set default 'later'; insert into info values (2, 'y')"
    wait_until 20 shown '[.[] | select(.type == "tableinfo")] | length == 2'
    shown '[.[] | select(.type == "tableinfo")][1] | .primary_key == [] and
        (.columns | map(.attnum)) == [1, 3, 4, 5, 6, 7, 8, 9] and
        (.columns | map(.missing)) == [null, null, "2.5", "a,\"b\" c", "{1,NULL}", "(1,2),(0,0)",
            "2020-01-02 03:04:05+00", null] and
        (.columns[2] | .has_default and .not_null) and (.columns[7].has_default | not)'
    shown 'map(select(.type != "watermark")) | .[-1].type == "commit"'
    exits_with_end
    pg_sql src "alter publication p drop table info; drop table info"
}

@test "--table-info: the stream goes on where the role may not look" {
    pg_sql src "select pg_create_logical_replication_slot('$slot', 'pgoutput')" >/dev/null
    pg_sql src "create role alone login replication; revoke select on pg_catalog.pg_type from public; insert into t values (77, 'a')"
    conninfo="$(pg_conninfo src) user=alone"
    start_reader --no-ack --table-info
    wait_until 20 shown 'any(.type == "insert")'
    exits_with_end
    shown 'map(.type) | contains(["tableinfo"]) | not'
    grep -q '"level":"warning".*could not ask the source.s catalog about table oid .*permission denied' reader.log
    pg_sql src "delete from t where id = 77; drop role alone; grant select on pg_catalog.pg_type to public"
}
