#!/usr/bin/env bats
# docs/migration.md: a native subscription is taken over and given back by the commands of the page,
# while the source is written to, and no change is lost or applied twice. With one worker and with
# several, and from other major versions.

bats_require_minimum_version 1.5.0

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/majors.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    source "$BATS_TEST_DIRNAME/../lib/compare.bash"
    page=$WALPIPE_ROOT/docs/migration.md
    CONF=$SCRATCH/orders.conf
    export CONF PATH=$WALPIPE_BIN:$PATH
}

# servers [SOURCE_MAJOR [TARGET_MAJOR]]: of the usual version, unless a major version is named.
servers() {
    local major
    for major; do
        major_or_skip "$major"
    done
    server src "${1:-}"
    server dst "${2:-}"
    SOURCE=$(pg_conninfo src)
    TARGET=$(pg_conninfo dst)
    export SOURCE TARGET
}

server() {
    if [ -z "$2" ]; then
        pg_new "$1"
    else
        major_new "$1" "$2"
    fi
}

teardown() {
    [ -z "${BATS_ERROR_STATUS:-}" ] || tail -n 30 "$CONF.log" 2>/dev/null
    servers_end
}

# blocks HEADING [N]: the sh blocks below the heading, or only the Nth one.
blocks() {
    awk -v title="$1" -v only="${2:-0}" '
        /^##/ { here = $0 == title }
        here && /^```sh$/ { inside = only == 0 || ++n == only; next }
        /^```/ { inside = 0 }
        inside' "$page"
}

# part HEADING [N]: runs these blocks, as an operator does who has defined the functions of the section.
part() {
    local output
    blocks "### $1" "${2:-}" >"$SCRATCH/block"
    [ -s "$SCRATCH/block" ]
    { blocks "## From a native subscription" && cat "$SCRATCH/block"; } >"$SCRATCH/part"
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

# write_conf N [WORKERS]: the config of the page, with the Nth state directory.
write_conf() {
    sed -n '/^```ini/,/^```/p' "$page" | grep -v '^```' |
        sed "s|^state_dir.*|state_dir = $SCRATCH/state$1|; s|^conninfo *= host=db1.*|conninfo = $SOURCE|
            s|^conninfo *= host=db3.*|conninfo = $TARGET|" >"$CONF"
    [ -z "${2:-}" ] || echo "shards = $2" >>"$CONF"
}

equal() {
    local table
    for table in t audit; do
        diff <(pg_digest src $table) <(pg_digest dst $table)
    done
}

# moves WORKERS: there with so many workers, back, and there again for good, under load.
moves() {
    local lsn tables="CREATE TABLE t (id int PRIMARY KEY, v int); CREATE TABLE audit (n int)"
    pg_sql src "$tables; INSERT INTO t SELECT g, g FROM generate_series(1, 1000) g; CREATE PUBLICATION orders FOR ALL TABLES"
    # a target that would take a transaction of audit twice is no help in finding one
    pg_sql dst "$tables"
    pg_sql dst "CREATE SUBSCRIPTION orders_sub CONNECTION '$SOURCE' PUBLICATION orders WITH (streaming = on, binary = true)"
    load_begin
    wait_until 60 eval '[ "$(psql "$TARGET" -At -c "SELECT bool_and(srsubstate = '"'r'"') FROM pg_subscription_rel")" = t ]'
    goes_on dst

    write_conf 1 "$1"
    [[ $(part "Is it possible?") == *ready* ]]
    run part "Take it over"
    [ "$status" -eq 0 ]
    lsn=$(grep -o '[0-9A-F]*/[0-9A-F]*' <<<"$output")
    pipeline_start "$CONF"
    wait_until 60 grep -q "the target is at $lsn\"" "$CONF.log"
    goes_on dst
    pipeline_stop "$CONF"
    no_restart "$CONF"
    [ "$(pg_sql dst "SELECT count(*) FROM walpipe.progress")" -eq "$1" ]

    if [ "$1" -gt 1 ]; then
        run ! part "Go back" 2
        [[ $output == *"no rows returned"* ]]
        write_conf 1 1
        pipeline_start "$CONF"
        goes_on dst
        pipeline_stop "$CONF"
    fi
    part "Go back"
    goes_on dst
    [ "$(pg_sql dst "SELECT count(*) FROM walpipe.progress")" -eq 0 ]

    write_conf 2 "$1"
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

@test "a subscription is taken over under load, given back, taken over again and dropped; all rows are equal" {
    servers
    moves 1
}

@test "a sink of three workers takes it over, and one worker gives it back" {
    servers
    moves 3
}

@test "PostgreSQL 10 as source, two workers" {
    servers 10
    moves 2
}

@test "PostgreSQL 18 as source and target, two workers" {
    servers 18 18
    moves 2
}

# subscribed: t is replicated by the subscription orders_sub; a database beside has one of the same name.
subscribed() {
    servers
    pg_sql src "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1); CREATE PUBLICATION orders FOR ALL TABLES"
    pg_sql dst "CREATE TABLE t (id int PRIMARY KEY, v int)"
    pg_sql dst "CREATE DATABASE beside"
    psql "$TARGET dbname=beside" -q -c "CREATE SUBSCRIPTION orders_sub CONNECTION '$SOURCE' PUBLICATION orders
        WITH (connect = false, slot_name = NONE, enabled = false)"
    pg_sql dst "CREATE SUBSCRIPTION orders_sub CONNECTION '$SOURCE' PUBLICATION orders"
    wait_until 60 eval '[[ $(part "Is it possible?" 1) == ready ]]'
}

# other_origin: the position of the subscription in the other database.
other_origin() {
    pg_sql dst "SELECT coalesce(pg_replication_origin_progress('pg_' || s.oid, true)::text, 'none') FROM pg_subscription s
        JOIN pg_database d ON d.oid = s.subdbid WHERE datname = 'beside'"
}

# subscription: its state, its slot, the number of walpipe's positions.
subscription() {
    pg_sql dst "SELECT subenabled, coalesce(subslotname, '-'), (SELECT count(*) FROM walpipe.progress) FROM pg_subscription s
        JOIN pg_database d ON d.oid = s.subdbid WHERE datname = current_database()"
}

@test "a table that the subscription does not know, or is not ready: it is not taken over" {
    subscribed
    pg_sql src "CREATE TABLE late (id int PRIMARY KEY); INSERT INTO late VALUES (1)"
    pg_sql dst "CREATE TABLE late (id int PRIMARY KEY)"
    [[ $(part "Is it possible?" 1) == refresh* ]]
    # whoever does not ask is refused, too
    run ! part "Take it over"
    [[ $output == *"no rows returned"* ]]
    run -0 pg_sql dst "SELECT count(*) FROM pg_namespace WHERE nspname = 'walpipe'"
    [ "$output" = 0 ]
    # the page's way back, and the refresh
    pg_sql dst "ALTER SUBSCRIPTION orders_sub SET (slot_name = 'orders_sub')"
    pg_sql dst "ALTER SUBSCRIPTION orders_sub ENABLE"
    pg_sql dst "ALTER SUBSCRIPTION orders_sub REFRESH PUBLICATION"
    wait_until 60 eval '[[ $(part "Is it possible?" 1) == ready ]]'
    [ "$(pg_sql dst "SELECT count(*) FROM late")" = 1 ]
    # a position that is there already stays as it is
    part "Take it over"
    pg_sql dst "UPDATE walpipe.progress SET shards = 2"
    run ! part "Take it over" 2
    [ "$(subscription)" = "f|-|1" ]
}

@test "going back changes nothing while walpipe runs, has several workers, or stopped within a transaction" {
    local change
    subscribed
    part "Take it over"
    write_conf 1
    pipeline_start "$CONF"
    pg_sql src "INSERT INTO t VALUES (2, 2)"
    caught_up "$CONF" src orders_sub
    run ! part "Go back" 2
    [[ $output == *"no rows returned"* ]]
    [ "$(subscription)" = "f|-|1" ]
    # published meanwhile
    pg_sql dst "CREATE TABLE late (id int PRIMARY KEY)"
    pg_sql src "CREATE TABLE late (id int PRIMARY KEY); INSERT INTO late VALUES (1)"
    # WAL without a change is confirmed as well
    pg_sql src "SELECT pg_logical_emit_message(false, 'x', repeat('x', 100000))"
    caught_up "$CONF" src orders_sub
    pipeline_stop "$CONF"
    no_restart "$CONF"
    run ! part "Go back" 2
    [ "$(subscription)" = "f|-|1" ]
    part "Go back" 1
    for change in "shards = 2" "partial_commit_lsn = '0/1'" "timeline = 7" "lsn = '0/1'" "slot = 'other'"; do
        pg_sql dst "CREATE TABLE kept AS TABLE walpipe.progress; UPDATE walpipe.progress SET $change"
        run ! part "Go back" 2
        [[ $output == *"no rows returned"* ]]
        [ "$(subscription)" = "f|-|1" ]
        pg_sql dst "DELETE FROM walpipe.progress; INSERT INTO walpipe.progress TABLE kept; DROP TABLE kept"
    done
    part "Go back" 2
    [ "$(subscription)" = "t|orders_sub|0" ]
    [ "$(other_origin)" = none ]
    run ! part "When you stay"
    [[ $output == *"no rows returned"* ]]
    [ "$(subscription)" = "t|orders_sub|0" ]
    pg_sql src "INSERT INTO t VALUES (3, 3); INSERT INTO late VALUES (2)"
    wait_until 60 eval 'diff <(pg_digest src late) <(pg_digest dst late) && diff <(pg_digest src t) <(pg_digest dst t)'
}

@test "every block of the page is run, or the text before it says that it is not" {
    [ "$(grep -c '^```sh not-run' "$page")" -eq 2 ]
    [ "$(grep -c 'not run' "$page")" -ge 5 ]
    [ "$(awk '/^##/ { title = $0 } /^```sh$/ { print title }' "$page" | sort -u)" = "$(printf '%s\n' "## From a native subscription" \
        "### Go back" "### Is it possible?" "### Take it over" "### When you stay")" ]
}
