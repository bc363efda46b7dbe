#!/usr/bin/env bats
# docs/migration.md: a native subscription is taken over and given back by the commands of the page,
# while the source is written to, and no change is lost or applied twice.

bats_require_minimum_version 1.5.0

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    source "$BATS_TEST_DIRNAME/../lib/compare.bash"
    page=$WALPIPE_ROOT/docs/migration.md
    pg_new src
    pg_new dst
    SOURCE=$(pg_conninfo src)
    TARGET=$(pg_conninfo dst)
    CONF=$SCRATCH/orders.conf
    export SOURCE TARGET CONF PATH=$WALPIPE_BIN:$PATH
}

teardown() {
    [ -z "${BATS_ERROR_STATUS:-}" ] || tail -n 30 "$CONF.log" 2>/dev/null
    servers_end
}

# part HEADING: runs the sh blocks below the heading, and looks for the text that follows.
part() {
    local output
    awk -v title="### $1" '
        /^##/ { here = $0 == title }
        here && /^```sh$/ { inside = 1; next }
        /^```/ { inside = 0 }
        inside' "$page" >"$SCRATCH/part"
    [ -s "$SCRATCH/part" ]
    output=$(bash -euo pipefail "$SCRATCH/part" 2>&1) || {
        echo "$output"
        return 1
    }
    echo "$output"
}

# Every transaction writes its number into audit, so that a lost or doubled one is seen.
load_begin() {
    touch "$SCRATCH/load"
    # shellcheck disable=SC2016 # the inner shell expands them
    bash -c 'source "$1/test/lib/servers.bash"
        for ((n = 1; ; n++)); do
            [ -e "$SCRATCH/load" ] || exit 0
            pg_sql src "BEGIN; INSERT INTO audit VALUES ($n); INSERT INTO t VALUES ($n + 1000, $n);
                UPDATE t SET v = v + 1 WHERE id % 97 = $n % 97; DELETE FROM t WHERE id = $n; COMMIT" || exit 1
        done' load "$WALPIPE_ROOT" 3>&- &
    load_pid=$!
    kill_later "$load_pid"
}

load_end() {
    rm "$SCRATCH/load"
    wait "$load_pid"
}

transactions() {
    pg_sql "$1" "SELECT count(*) FROM audit"
}

# goes_on SERVER: it gets transactions that begin after now.
goes_on() {
    local now
    now=$(transactions src)
    wait_until 60 eval '[ "$(transactions '"$1"')" -gt '"$now"' ]'
}

write_conf() {
    sed -n '/^```ini/,/^```/p' "$page" | grep -v '^```' |
        sed "s|^state_dir.*|state_dir = $SCRATCH/state$1|; s|^conninfo *= host=db1.*|conninfo = $SOURCE|
            s|^conninfo *= host=db3.*|conninfo = $TARGET|" >"$CONF"
}

equal() {
    local table
    for table in t audit; do
        diff <(pg_digest src $table) <(pg_digest dst $table)
    done
}

@test "a subscription is taken over under load, given back, taken over again and dropped; all rows are equal" {
    local lsn tables="CREATE TABLE t (id int PRIMARY KEY, v int); CREATE TABLE audit (n int)"
    pg_sql src "$tables; INSERT INTO t SELECT g, g FROM generate_series(1, 1000) g; CREATE PUBLICATION orders FOR ALL TABLES"
    # a target that would take a transaction of audit twice is no help in finding one
    pg_sql dst "$tables"
    pg_sql dst "CREATE SUBSCRIPTION orders_sub CONNECTION '$SOURCE' PUBLICATION orders WITH (streaming = on, binary = true)"
    load_begin
    wait_until 60 eval '[ "$(psql "$TARGET" -At -c "SELECT bool_and(srsubstate = '"'r'"') FROM pg_subscription_rel")" = t ]'
    goes_on dst

    write_conf 1
    [[ $(part "Is it possible?") == *ready* ]]
    run part "Take it over"
    [ "$status" -eq 0 ]
    lsn=$(grep -o '[0-9A-F]*/[0-9A-F]*' <<<"$output")
    pipeline_start "$CONF"
    grep -q "the target is at $lsn\"" "$CONF.log"
    goes_on dst
    pipeline_stop "$CONF"
    no_restart "$CONF"

    part "Go back"
    goes_on dst
    [ "$(pg_sql dst "SELECT count(*) FROM walpipe.progress")" -eq 0 ]

    write_conf 2
    part "Take it over"
    pipeline_start "$CONF"
    goes_on dst
    part "When you stay"
    load_end
    caught_up "$CONF" src orders_sub
    equal
    [ "$(transactions dst)" -gt 20 ]
    pipeline_stop "$CONF"
}

@test "every block of the page is run, or the text before it says that it is not" {
    [ "$(grep -c '^```sh not-run' "$page")" -eq 2 ]
    [ "$(grep -c 'not run' "$page")" -ge 5 ]
    [ "$(awk '/^##/ { title = $0 } /^```sh$/ { print title }' "$page" | sort -u)" = "$(printf '### %s\n' \
        "Go back" "Is it possible?" "Take it over" "When you stay")" ]
}
