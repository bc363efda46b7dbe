#!/usr/bin/env bats
# Two walpipes for one pipeline, each with a state directory of its own, as on two machines: one
# replicates, the other waits for the slot and takes over (traps 15, 18, 161, 169).

bats_require_minimum_version 1.5.0

setup_file() {
    source "$BATS_TEST_DIRNAME/fault.bash"
    fault_servers ch
}

setup() {
    source "$BATS_TEST_DIRNAME/fault.bash"
    fault_new pg3 ch
    first=$conf
    second=$SCRATCH/$db.second.conf
    sed "s,^state_dir = .*,state_dir = $SCRATCH/$db.second.state," "$first" >"$second"
    sed -i "s,^state_dir.*,&\nhttp = 127.0.0.1:$(port_new)," "$first"
    sed -i "s,^state_dir.*,&\nhttp = 127.0.0.1:$(port_new)," "$second"
}

teardown() {
    for conf in "$second" "$first"; do
        [ -n "${BATS_TEST_COMPLETED:-}" ] || grep -h message "$conf.log" | tail -n 25 || true
        for_tree CONT "$conf"
        [ ! -e "$conf.pid" ] || end_process "$(pipeline_pid "$conf" || echo 0)" KILL 5
    done
    fault_end
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

# A signal to walpipe and all its programs at once, as a whole machine that stops.
for_tree() { # SIGNAL CONFIG
    local walpipe
    walpipe=$(pipeline_pid "$2" 2>/dev/null) || return 0
    # shellcheck disable=SC2046 # one word a pid
    kill "-$1" "$walpipe" $(pgrep -P "$walpipe") 2>/dev/null || true
}

healthz() {
    curl -s --noproxy '*' "http://$(sed -n 's/^http = //p' "$1")/healthz"
}

says() { # CONFIG LINE-PATTERN
    healthz "$1" | grep -q "$2"
}

streams_again() { # CONFIG STARTS
    [ "$(pipeline_starts "$1")" -gt "$2" ]
}

@test "the standby says so, takes over within seconds, and back again (traps 15, 18)" {
    local began walsender load
    pipeline_start "$first"
    insert 1 100
    caught_up "$first" src "$db"
    pipeline_begin "$second"
    walsender=$(slot active_pid)
    wait_until 20 says "$second" "source: standby: slot .* in use by the source's process $walsender (walpipe $db"
    [ "$(curl -s --noproxy '*' -o /dev/null -w '%{http_code}' "http://$(sed -n 's/^http = //p' "$second")/healthz")" = 503 ]
    says "$first" 'source: ok'
    grep -q "standby: slot .*in use by the source's process $walsender" "$second.log"
    run "$WALPIPE_BIN/walpipe" status -c "$second"
    [[ $output == *"STANDBY: slot \"$db\" is in use by the source's process $walsender"* ]]
    "$WALPIPE_BIN/walpipe" status -c "$second" --json | jq -e '.source.standby and (.source.alive | not)'
    curl -s --noproxy '*' "http://$(sed -n 's/^http = //p' "$second")/metrics" | grep -Eqx 'replicator_standby\{pipeline="[a-z0-9_]+"\} 1'

    # the first one's machine dies under load
    insert 101 5000 3>&- &
    load=$!
    wait_until 30 eval '[ "$(dst3 "SELECT count(*) FROM t")" -gt 200 ]'
    began=$(date +%s%N)
    for_tree KILL "$first"
    wait_until 15 streams_again "$second" 0
    echo "# the standby streams $((($(date +%s%N) - began) / 1000000)) ms after the kill" >&3
    wait "$load"
    caught_up "$second" src "$db"
    equal pg3 ch
    says "$second" 'source: ok'

    # back on its machine, the first one waits in its turn, and then goes on though its checkpoint is
    # behind the slot: the target proves that nothing is missing
    pipeline_begin "$first"
    wait_until 20 says "$first" "standby: slot"
    insert 5001 6000
    caught_up "$second" src "$db"
    began=$(pipeline_starts "$first")
    kill -TERM "$(pipeline_pid "$second")"
    wait_until 30 streams_again "$first" "$began"
    wait_until 60 test -s "$second.exit"
    [ "$(cat "$second.exit")" -eq 0 ]
    insert 6001 6100
    caught_up "$first" src "$db"
    equal pg3 ch
    grep -q 'ahead of the checkpoint at .*another walpipe' "$first.log"
    wait_until 10 grep -q 'every target has all changes up to the slot' "$first.log"
    # from now on its checkpoint is its own again
    pipeline_stop "$first"
    grep -qx "safe_lsn=$(slot confirmed_flush_lsn)" "$SCRATCH/$db.state/checkpoint"
}

@test "a first one that was only frozen does not write after the take-over (traps 18, 161)" {
    local starts epochs load
    pipeline_start "$first"
    insert 1 100
    caught_up "$first" src "$db"
    pipeline_begin "$second"
    wait_until 20 says "$second" "standby: slot"
    # with changes in its pipes and batches
    insert 101 8000 3>&- &
    load=$!
    wait_until 30 eval '[ "$(dst3 "SELECT count(*) FROM t")" -gt 200 ]'
    for_tree STOP "$first"
    wait_until 30 streams_again "$second" 0 # the source's wal_sender_timeout is 2 s
    wait "$load"
    caught_up "$second" src "$db"
    equal pg3 ch
    # without the commits, which it counts, too
    epochs=$(dst3 "SELECT sum(epoch >> 32) FROM walpipe.progress")
    starts=$(pipeline_starts "$first")
    for_tree CONT "$first"
    # it ends its run, begins again and waits in its turn
    wait_until 40 says "$first" "standby: slot"
    [ "$(pipeline_starts "$first")" -eq "$starts" ]
    insert 8001 8100
    caught_up "$second" src "$db"
    equal pg3 ch
    [ "$(dst3 "SELECT sum(epoch >> 32) FROM walpipe.progress")" = "$epochs" ]
    run ! grep -q '"exit_code":101' "$first.log"
}

@test "of two standbys one takes over, the other goes on waiting" {
    local third=$SCRATCH/$db.third.conf
    sed -e "s,^state_dir = .*,state_dir = $SCRATCH/$db.third.state," -e '/^http/d' "$first" >"$third"
    pipeline_start "$first"
    insert 1 100
    caught_up "$first" src "$db"
    pipeline_begin "$second"
    pipeline_begin "$third"
    wait_until 20 grep -q "standby: slot" "$second.log"
    wait_until 20 grep -q "standby: slot" "$third.log"
    for_tree KILL "$first"
    wait_until 20 eval '[ $(($(pipeline_starts "$second") + $(pipeline_starts "'"$third"'"))) -eq 1 ]'
    insert 101 200
    wait_until 30 equal pg3 ch
    wait_until 20 eval '[ $(($(grep -c "standby: slot" "$second.log") + $(grep -c "standby: slot" "'"$third"'.log"))) -eq 3 ]'
    [ $(($(pipeline_starts "$second") + $(pipeline_starts "$third"))) -eq 1 ]
    run ! grep -h '"exit_code"' "$second.log" "$third.log"
    end_process "$(pipeline_pid "$third")" KILL 5
    end_process "$(pipeline_pid "$second")" KILL 5
}

@test "a slot that was moved behind both their backs is refused by both (trap 15)" {
    pipeline_start "$first"
    insert 1 100
    caught_up "$first" src "$db"
    pipeline_begin "$second"
    wait_until 20 says "$second" "standby: slot"
    for_tree KILL "$first"
    wait_until 15 streams_again "$second" 0
    insert 101 200
    caught_up "$second" src "$db"
    pipeline_stop "$second"
    insert 201 300
    src "SELECT pg_replication_slot_advance('$db', pg_current_wal_lsn())" >/dev/null
    insert 301 310
    for conf in "$first" "$second"; do
        start_ends 100
        logged "slot is ahead of what sink pg3/. found in its target: confirmed $(slot confirmed_flush_lsn)"
        # and not only the first time
        start_ends 100
    done
    [ "$(dst3 'SELECT count(*) FROM t')" -eq 200 ]
    # nor does a target that was emptied pass for one that has it all
    dst3 "DROP SCHEMA walpipe CASCADE"
    for conf in "$first" "$first" "$second"; do
        : >"$conf.log"
        start_ends 100
        logged "ahead of the checkpoint .* cannot tell whether its target has the changes between"
    done
    [ "$(dst3 'SELECT count(*) FROM t')" -eq 200 ]
}
