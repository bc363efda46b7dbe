#!/usr/bin/env bats
# The targets stop, start again, lose answers, or lose changes that they had.

bats_require_minimum_version 1.5.0

setup_file() {
    source "$BATS_TEST_DIRNAME/fault.bash"
    fault_servers ch
}

setup() {
    source "$BATS_TEST_DIRNAME/fault.bash"
}

teardown() {
    fault_end
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

armed_happened() { # LINK KIND TIMES
    [ "$(proxy "$1" counts | jq ".\"$2\" // 0")" -ge "$3" ]
}

@test "COMMITs whose answers are lost, 20 rounds: no row twice, none missing (trap 77)" {
    fault_new pg pg3
    pipeline_start "$conf"
    local n before
    before=$(proxy dst counts | jq '."commit after" // 0')
    for ((n = 0; n < 20; n++)); do
        proxy dst commit after $((n % 3 + 1))
        insert $((n * 50 + 1)) $((n * 50 + 50))
        wait_until 20 armed_happened dst "commit after" $((before += n % 3 + 1))
    done
    caught_up "$conf" src "$db"
    equal pg pg3
}

@test "COMMITs that never arrive, 10 rounds (trap 77)" {
    fault_new pg
    pipeline_start "$conf"
    local n before
    before=$(proxy dst counts | jq '."commit before" // 0')
    for ((n = 0; n < 10; n++)); do
        proxy dst commit before 1
        insert $((n * 50 + 1)) $((n * 50 + 50))
        wait_until 20 armed_happened dst "commit before" $((before += 1))
    done
    caught_up "$conf" src "$db"
    equal pg
}

@test "a target that lost what it had confirmed is refused (trap 99)" {
    fault_new pg
    pipeline_start "$conf"
    insert 1 100
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
    # as after a restore of an older backup
    local was at
    was=$(dst "SELECT lsn FROM walpipe.progress")
    pipeline_start "$conf"
    insert 101 200
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
    at=$(slot confirmed_flush_lsn)
    dst "DELETE FROM t WHERE id > 100; DELETE FROM log WHERE n > 100;
         UPDATE walpipe.progress SET lsn = '$was'"
    start_ends 100
    logged "$was"
    logged "$at"
    [ "$(dst 'SELECT max(id) FROM t')" = 100 ]
    [ "$(slot confirmed_flush_lsn)" = "$at" ]
}

@test "nor while it runs: a failover to a server that is behind ends the run (trap 99)" {
    fault_new pg
    pipeline_start "$conf"
    insert 1 100
    caught_up "$conf" src "$db"
    local was
    was=$(dst "SELECT lsn FROM walpipe.progress")
    insert 101 200
    caught_up "$conf" src "$db"
    # the connection breaks, and the server behind the next one does not have the last rows
    proxy dst refuse
    proxy dst cut
    dst "DELETE FROM t WHERE id > 100; DELETE FROM log WHERE n > 100;
         UPDATE walpipe.progress SET lsn = '$was'"
    proxy dst pass
    insert 201 300
    ended 100 40
    logged "$was"
    [ "$(dst 'SELECT max(id) FROM t')" = 100 ]
}

@test "targets that are down for a while are waited for by the same processes (trap 90)" {
    fault_new pg pg3 ch
    pipeline_start "$conf"
    insert 1 100
    caught_up "$conf" src "$db"
    local before
    before=$(programs | sort)
    pg_stop dst immediate
    ch_kill olap
    insert 101 300
    wait_until 20 eval '[ "$("$WALPIPE_BIN/walpipe" status -c "$conf" | grep -c "target down")" -ge 2 ]'
    pg_start dst
    ch_start olap
    insert 301 400
    caught_up "$conf" src "$db"
    equal pg pg3 ch
    [ "$(programs | sort)" = "$before" ]
    no_restart "$conf"
}

@test "HTTP bodies that are cut, answers that are lost: every row once (traps 103, 121)" {
    fault_new ch
    pipeline_start "$conf"
    local n bodies answers
    bodies=$(proxy olap counts | jq '.body // 0')
    answers=$(proxy olap counts | jq '.answer // 0')
    for ((n = 0; n < 6; n++)); do
        proxy olap body 1
        insert $((n * 100 + 1)) $((n * 100 + 50))
        wait_until 60 armed_happened olap body $((bodies += 1))
        proxy olap answer 2
        insert $((n * 100 + 51)) $((n * 100 + 100))
        wait_until 60 armed_happened olap answer $((answers += 2))
    done
    caught_up "$conf" src "$db"
    equal ch
}

@test "a connection that ClickHouse closed while it was idle (trap 124)" {
    fault_new ch
    pipeline_start "$conf"
    insert 1 100
    caught_up "$conf" src "$db"
    sleep 4 # the server's keep_alive_timeout is 3 s
    insert 101 200
    caught_up "$conf" src "$db"
    sleep 4
    proxy olap cut
    insert 201 300
    caught_up "$conf" src "$db"
    equal ch
    no_restart "$conf"
}
