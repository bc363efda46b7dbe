#!/usr/bin/env bats
# The slot on the source: it runs into its limit, cannot be made, or makes commits wait for us.

bats_require_minimum_version 1.5.0

setup_file() {
    source "$BATS_TEST_DIRNAME/fault.bash"
    fault_servers
    pg_sql src "ALTER SYSTEM SET log_replication_commands = on"
    pg_sql src "SELECT pg_reload_conf()" >/dev/null
}

setup() {
    source "$BATS_TEST_DIRNAME/fault.bash"
    fault_new pg
}

teardown() {
    for setting in max_slot_wal_keep_size synchronous_standby_names; do
        pg_sql src "ALTER SYSTEM RESET $setting" || true
    done
    pg_sql src "SELECT pg_reload_conf()" >/dev/null || true
    fault_end
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

setting() { # NAME VALUE
    pg_sql src "ALTER SYSTEM SET $1 = '$2'"
    pg_sql src "SELECT pg_reload_conf()" >/dev/null
    wait_until 10 eval "[ \"\$(pg_sql src 'SHOW $1')\" = '$2' ]"
}

status_json() {
    "$WALPIPE_BIN/walpipe" status -c "$conf" --json
}

@test "a stuck sink: status says who, a warning comes before the slot is lost, then exit 100 (traps 22, 23, 30, 174)" {
    setting max_slot_wal_keep_size 48MB
    pg_sql src "SELECT pg_switch_wal()" >/dev/null
    pipeline_start "$conf"
    insert 1 100
    caught_up "$conf" src "$db"
    sink=$(programs sink-pg)
    kill -STOP "$sink"
    # more than pipes and buffers hold
    src "INSERT INTO t SELECT g, repeat(md5(g::text), 40) FROM generate_series(1001, 9000) g"
    wait_until 30 eval 'status_json | jq -e ".slot.output_full and .slot.retained_bytes > 8000000 and
        (.workers[0].state == \"busy or stuck\")"'
    run "$WALPIPE_BIN/walpipe" status -c "$conf"
    [[ $output == *"reader      waits for the pipeline, not for the source"*"busy or stuck"* ]]
    src "CREATE TABLE c1 (); CREATE TABLE c2 (); CREATE TABLE c3 ()"
    wait_until 20 eval 'status_json | jq -e ".slot.xmin_age >= 3"'
    src "INSERT INTO t SELECT g, repeat(md5(g::text), 40) FROM generate_series(10001, 41000) g"
    wait_until 30 logged "replication slot .* is \(reserved\|extended\|unreserved\): it keeps .* find the slow sink"
    run ! logged "is lost"
    src "INSERT INTO t SELECT g, repeat(md5(g::text), 40) FROM generate_series(50001, 80000) g"
    pg_sql src "SELECT pg_switch_wal()" >/dev/null
    pg_sql src "CHECKPOINT"
    wait_until 20 eval '[ "$(slot wal_status)" = lost ]'
    process_continue "$sink"
    ended 100 60
    logged "slot .*$db.* is lost: the source removed WAL that it needs"
}

@test "every slot of the source is in use: said with its setting, and begun when one is free (trap 29)" {
    local i free
    free=$(pg_sql src "SELECT current_setting('max_replication_slots')::int - count(*) FROM pg_replication_slots")
    pg_sql src "SELECT count(pg_create_physical_replication_slot('full_' || g)) FROM generate_series(1, $free) g" >/dev/null
    run "$WALPIPE_BIN/walpipe" check -c "$conf"
    [ "$status" -eq 100 ]
    grep -q '^FAIL.*max_replication_slots = .* are in use: raise it and restart the source' <<<"$output"
    pipeline_begin "$conf"
    wait_until 30 logged "all replication slots are in use.*max_replication_slots"
    pg_sql src "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name LIKE 'full_%'" >/dev/null
    wait_until 30 eval '[ "$(pipeline_starts "$conf")" -gt 0 ]'
    insert 1 100
    caught_up "$conf" src "$db"
    equal pg
}

@test "a slot is not made while an old transaction is open: who that is is said (traps 14, 27, 28)" {
    local holder
    mkfifo "$SCRATCH/$db.fifo"
    psql -XAtq -d "$(pg_conninfo src "$db")" <"$SCRATCH/$db.fifo" >/dev/null 2>&1 3>&- &
    holder=$!
    exec 5>"$SCRATCH/$db.fifo"
    echo "BEGIN; INSERT INTO t VALUES (0, 'before the slot');" >&5
    wait_until 10 eval '[ "$(src "SELECT count(*) FROM pg_stat_activity WHERE state = '"'idle in transaction'"'")" = 1 ]'
    pipeline_begin "$conf"
    wait_until 30 logged "every transaction that was open has ended; it waits for process [0-9]*, idle in transaction since"
    # the log has it before ackd
    wait_until 10 eval '"$WALPIPE_BIN/walpipe" status -c "$conf" | grep -q "source      WAITING: the source makes slot .* it waits for process"'
    echo "COMMIT;" >&5
    exec 5>&-
    wait "$holder"
    wait_until 30 eval '[ "$(pipeline_starts "$conf")" -gt 0 ]'
    insert 1 100
    caught_up "$conf" src "$db"
    [ "$(dst 'SELECT count(*) FROM t')" -eq 100 ]
    # its snapshot is nobody's, and the slot says where to start
    grep "START_REPLICATION SLOT \"$db\" LOGICAL 0/0" "$(pg_log src)" >/dev/null
    grep "CREATE_REPLICATION_SLOT \"$db\"" "$(pg_log src)" | grep -q NOEXPORT_SNAPSHOT
}

@test "synchronous_standby_names names us: said loudly, and a commit waits until the sink has it (trap 17)" {
    local began
    pipeline_start "$conf"
    insert 1 10
    caught_up "$conf" src "$db"
    run ! logged "synchronous_standby_names"
    setting synchronous_standby_names "\"walpipe $db\""
    wait_until 20 logged "synchronous_standby_names of the source names this connection .*walpipe $db"
    [ "$(src "SELECT sync_state FROM pg_stat_replication WHERE application_name = 'walpipe $db'")" = sync ]
    for ((i = 0; i < 20; i++)); do
        # what has committed there is here at once
        src "INSERT INTO t VALUES ($((1000 + i)), 'sync')"
        [ "$(dst "SELECT count(*) FROM t WHERE id = $((1000 + i))")" -eq 1 ]
    done
    began=$(date +%s%N)
    src "CREATE TABLE other ()"
    echo "# a commit without rows took $((($(date +%s%N) - began) / 1000000)) ms" >&3
    [ $((($(date +%s%N) - began) / 1000000)) -lt 5000 ]
    # with the sink stopped nothing is committed
    sink=$(programs sink-pg)
    kill -STOP "$sink"
    run timeout 3 psql -XAtq -d "$(pg_conninfo src "$db")" -c "INSERT INTO t VALUES (2000, 'waits')"
    [ "$status" -eq 124 ]
    kill -CONT "$sink"
    caught_up "$conf" src "$db"
    no_restart "$conf"
}

@test "wal_sender_timeout = 0: the server never asks, and still everything is confirmed (trap 5)" {
    src "ALTER ROLE postgres IN DATABASE $db SET wal_sender_timeout = 0"
    pipeline_start "$conf"
    insert 1 100
    caught_up "$conf" src "$db" 30
    # also what is not ours: the slot follows the WAL of another database (trap 9)
    pg_sql src "CREATE TABLE IF NOT EXISTS elsewhere AS SELECT g FROM generate_series(1, 10000) g"
    caught_up "$conf" src "$db" 30
    equal pg
    no_restart "$conf"
}

# opens FD ROW: begins a transaction that writes ROW and stays open, on the psql behind descriptor FD.
opens() {
    local before
    before=$(src "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'")
    echo "BEGIN; INSERT INTO t VALUES ($2);" >&"$1"
    wait_until 10 eval "[ \"\$(src \"SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'\")\" = $((before + 1)) ]"
}

# makes_old_slot [COMMAND]: a slot that decodes without the column log.c, which came while the source
# made it. COMMAND runs before it is made.
makes_old_slot() {
    exec 5> >(psql -XAtq -d "$(pg_conninfo src "$db")" >/dev/null 2>&1)
    opens 5 "1, 'first'"
    pipeline_begin "$conf"
    wait_until 30 eval '[ "$(src "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '"'CREATE_REPLICATION_SLOT%'"' AND wait_event = '"'transactionid'"'")" = 1 ]'
    exec 6> >(psql -XAtq -d "$(pg_conninfo src "$db")" >/dev/null 2>&1)
    opens 6 "2, 'second'"
    src "ALTER TABLE log ADD c text"
    dst "ALTER TABLE log ADD c text"
    "$@"
    echo "COMMIT;" >&5
    exec 5>&-
    wait_until 10 eval '[ "$(src "SELECT count(*) FROM t")" = 1 ]'
    insert 3 3
    echo "COMMIT;" >&6
    exec 6>&-
}

@test "the bug was that the source decoded without a column that was added while it made the slot (trap 176)" {
    makes_old_slot
    wait_until 30 logged "tables or publications changed while the source made slot"
    wait_until 30 eval '[ "$(pipeline_starts "$conf")" -gt 0 ]'
    src "INSERT INTO log VALUES (9, 'note', 'here')"
    caught_up "$conf" src "$db"
    [ "$(dst "SELECT c FROM log WHERE n = 9")" = here ]
}

# slot_is_made [CONDITION]
slot_is_made() {
    [ "$(slot "confirmed_flush_lsn IS NOT NULL AND ${1:-true}")" = t ]
}

# The reader cannot see the answer, and dies.
stops_reader() {
    kill -STOP "$(programs pg-wal-read)"
}

kills_all() {
    pipeline_kill "$conf"
    wait_until 30 slot_is_made "NOT active"
}

@test "the bug was that a slot was used whose making a kill had cut short (trap 176)" {
    makes_old_slot stops_reader
    wait_until 30 slot_is_made
    grep -q "^1 $db [0-9]* making " "$SCRATCH/$db.state/slot"
    kills_all
    pipeline_start "$conf" || true
    wait_until 30 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq 100 ]
    logged "walpipe was ended while it made slot"
    [ "$(slot "count(*)")" -eq 1 ] # another walpipe might have read from it
    src "SELECT pg_drop_replication_slot('$db')" >/dev/null
    pipeline_start "$conf"
    grep -q "^1 $db [0-9]* made " "$SCRATCH/$db.state/slot"
    src "INSERT INTO log VALUES (9, 'note', 'here')"
    caught_up "$conf" src "$db"
    [ "$(dst "SELECT c FROM log WHERE n = 9")" = here ]
}

@test "a kill between the slot and its note: the slot is kept where no definition has changed" {
    pipeline_start "$conf"
    pipeline_stop "$conf"
    sed -i 's/ made / making /' "$SCRATCH/$db.state/slot"
    pipeline_start "$conf"
    [ "$(grep -c "created replication slot" "$conf.log")" -eq 1 ]
    grep -q " made " "$SCRATCH/$db.state/slot"
    insert 1 100
    caught_up "$conf" src "$db"
    equal pg
}
