#!/usr/bin/env bats
# The ceiling of memory that guarantees(7) states: 128 MiB for all programs of a pipeline together,
# whatever the source sends but single large values. With the release programs: AddressSanitizer's
# memory is not walpipe's.

bats_require_minimum_version 1.5.0

CEILING_MIB=128

setup_file() {
    source "$BATS_TEST_DIRNAME/fault.bash"
    pg_new src max_locks_per_transaction=1000
    pg_new dst max_locks_per_transaction=1000
    ch_new olap
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/fault.bash"
    servers_end
}

setup() {
    source "$BATS_TEST_DIRNAME/fault.bash"
    export WALPIPE_BIN=$WALPIPE_ROOT/build/release/bin
    db=m$BATS_TEST_NUMBER
    conf=$SCRATCH/$db.conf
    pg_sql src "CREATE DATABASE $db"
    pg_sql dst "CREATE DATABASE $db"
    ch_sql olap "CREATE DATABASE $db"
    cat >"$conf" <<CONF
[pipeline]
name = $db
state_dir = $SCRATCH/$db.state
[source]
conninfo = $(pg_conninfo src "$db")
slot = $db
publication = p
[sink dst]
type = pg
conninfo = $(pg_conninfo dst "$db")
[sink olap]
type = ch
url = $(ch_url olap)
database = $db
create_tables = yes
tables = *.*, !*.t*
CONF
}

teardown() {
    if [ -z "${BATS_TEST_COMPLETED:-}" ]; then
        tail -n 30 "$conf".*log 2>/dev/null || true
    fi
    if [ -e "$conf.pid" ] && pid=$(pipeline_pid "$conf"); then
        end_process "$pid" KILL 5
    fi
}

tables() {
    src "$1"
    dst "$1"
}

# Prints what each program had at most, and fails when it is too much in sum. What they share (libc,
# their own code's pages) is counted for each, so the truth is lower.
below_ceiling() {
    local pid peak sum=0
    for pid in $(pipeline_pid "$conf") $(pgrep -P "$(pipeline_pid "$conf")"); do
        peak=$(awk '/^VmHWM:/ { print $2 }' "/proc/$pid/status")
        echo "$(cat "/proc/$pid/comm") $((peak / 1024)) MiB"
        sum=$((sum + peak))
    done
    echo "in all $((sum / 1024)) MiB"
    [ "$sum" -gt 0 ] && [ "$sum" -le $((CEILING_MIB * 1024)) ]
}

worker() {
    pgrep -P "$(pipeline_pid "$conf")" -x "$1"
}

walsender_is_blocked() {
    [ "$(src "SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'walsender'")" = \
        WalSenderWriteData ]
}

@test "a large transaction, and more while a sink is stopped, stay below the ceiling" {
    tables "CREATE TABLE big (id int PRIMARY KEY, v text)"
    src "CREATE PUBLICATION p FOR ALL TABLES"
    pipeline_start "$conf"
    src "INSERT INTO big SELECT g, repeat(md5(g::text), 30) FROM generate_series(1, 100000) g"
    caught_up "$conf" src "$db" 120
    below_ceiling
    kill -STOP "$(worker sink-pg)"
    src "UPDATE big SET v = v || 'x' WHERE id <= 20000"
    src "INSERT INTO big SELECT g, repeat(md5(g::text), 30) FROM generate_series(200001, 220000) g"
    # What fits into pipes and buffers goes; the walsender then waits with the rest.
    wait_until 60 walsender_is_blocked
    below_ceiling
    kill -CONT "$(worker sink-pg)"
    caught_up "$conf" src "$db" 120
    below_ceiling
    [ "$(dst 'SELECT count(*), sum(length(v)) FROM big')" = \
        "$(src 'SELECT count(*), sum(length(v)) FROM big')" ]
    [ "$(olap 'SELECT count() FROM big FINAL')" = 120000 ]
    pipeline_stop "$conf"
}

@test "two thousand tables, and one of 1,600 columns, stay below the ceiling" {
    local make="DO \$\$ BEGIN FOR i IN 1..2000 LOOP
        EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, a text, b timestamptz, c numeric)', i);
        END LOOP; END \$\$"
    local fill="DO \$\$ BEGIN FOR i IN 1..2000 LOOP
        EXECUTE format('INSERT INTO t%s VALUES (1, ''a'', now(), 1.5)', i);
        END LOOP; END \$\$" columns
    tables "$make"
    columns=$(printf ', a_column_with_a_long_name_%s int' {1..1599})
    tables "CREATE TABLE twide (id int PRIMARY KEY $columns)"
    src "CREATE PUBLICATION p FOR ALL TABLES"
    pipeline_start "$conf"
    src "$fill"
    src "INSERT INTO twide SELECT g $(printf ', g%.0s' {1..1599}) FROM generate_series(1, 2000) g"
    src "UPDATE twide SET a_column_with_a_long_name_7 = 0 WHERE id % 2 = 0"
    caught_up "$conf" src "$db" 120
    [ "$(dst 'SELECT count(*), sum(a_column_with_a_long_name_7) FROM twide')" = \
        "$(src 'SELECT count(*), sum(a_column_with_a_long_name_7) FROM twide')" ]
    [ "$(dst 'SELECT count(*) FROM t2000')" = 1 ]
    below_ceiling
    pipeline_stop "$conf"
}
