#!/usr/bin/env bats
# walpipe init: a first config, and a pipeline that runs from it as it is.

bats_require_minimum_version 1.5.0

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    walpipe=$WALPIPE_BIN/walpipe
    conf=$SCRATCH/Orders-eu.conf
}

teardown() {
    [ -z "${BATS_ERROR_STATUS:-}" ] || tail -n 40 "$conf.log" 2>/dev/null
    servers_end
}

rows_are() {
    [ "$(pg_sql dst "SELECT count(*) FROM t")" -eq "$1" ]
}

@test "a config that check accepts and run runs" {
    pg_new src
    pg_new dst
    for server in src dst; do
        pg_sql $server "CREATE TABLE t (id int PRIMARY KEY)"
    done
    pg_sql src "CREATE PUBLICATION orders_eu FOR ALL TABLES; INSERT INTO t VALUES (1), (2)"
    "$walpipe" init "$conf" --source "$(pg_conninfo src)" --pg "$(pg_conninfo dst)"
    [ "$(stat -c %a "$conf")" = 600 ]
    pipeline_start "$conf"
    wait_until 60 rows_are 2
    pipeline_stop "$conf"
    [ "$(pg_sql src "SELECT slot_name FROM pg_replication_slots")" = orders_eu ]
    [ -d "$SCRATCH/orders_eu.state" ]
}

@test "several targets of both types; the file is there although check fails" {
    run -100 "$walpipe" init "$conf" --source "host=/nowhere dbname=a" --pg "host=/one dbname=b" \
        --ch http://127.0.0.1:1 --pg "host=/two dbname=b"
    grep -q "^FAIL.*/nowhere" <<<"$output"
    [ "$(grep '^\[' "$conf" | tr '\n' ' ')" = "[pipeline] [source] [sink dst] [sink dst2] [sink olap] " ]
}

# refuses MESSAGE ARGUMENT...
refuses() {
    local message=$1
    shift
    run -100 "$walpipe" init "$@"
    grep -q -- "$message" <<<"$output"
}

@test "what cannot be a config is refused, and nothing is written" {
    local source=(--source "host=/nowhere dbname=a") pg=(--pg "host=/one dbname=b")
    refuses "needs the name of a new file" "${source[@]}" "${pg[@]}"
    refuses "needs --source" "$conf" "${pg[@]}"
    refuses "needs a target" "$conf" "${source[@]}"
    refuses "option --source: the value has a password.*list of processes" "$conf" \
        --source "host=/nowhere password=geheim" "${pg[@]}"
    refuses "would begin a comment" "$conf" --source "host=/nowhere dbname='a ;b'" "${pg[@]}"
    refuses "option --pg: malformed conninfo" "$conf" "${source[@]}" --pg nothing
    refuses "option --ch: .*user and password_file" "$conf" "${source[@]}" --ch http://u:geheim@h:8123
    refuses "gives no name" "$SCRATCH/.conf" "${source[@]}" "${pg[@]}"
    refuses "No such file" "$SCRATCH/none/a.conf" "${source[@]}" "${pg[@]}"
    [ ! -e "$conf" ]
    echo mine >"$conf"
    refuses "overwrites nothing" "$conf" "${source[@]}" "${pg[@]}"
    [ "$(cat "$conf")" = mine ]
}
