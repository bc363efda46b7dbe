#!/usr/bin/env bats
# The ceiling of memory that guarantees(7) states: 128 MiB for all programs of a pipeline together,
# whatever the source sends but single large values, and what those cost. With the release programs:
# AddressSanitizer's memory is not walpipe's.

bats_require_minimum_version 1.5.0

CEILING_MIB=128

setup_file() {
    source "$BATS_TEST_DIRNAME/fault.bash"
    pg_new src max_locks_per_transaction=1000
    pg_new dst max_locks_per_transaction=1000
    ch_new olap
    # 1,600 columns: ClickHouse takes buffers of that size for each, or 6 GB.
    ch_stop olap
    sed -i 's|<max_memory_usage>|<max_compress_block_size>65536</max_compress_block_size>&|' \
        "$SCRATCH/olap/users.xml"
    ch_start olap
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
copy = no
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
tables = *.*, !*.dst_only*
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

for_each_table() { # NAME COUNT STATEMENT-OF-%s
    echo "DO \$\$ BEGIN FOR i IN 1..$2 LOOP EXECUTE format('$3', '$1' || i); END LOOP; END \$\$"
}

@test "two thousand tables, 300 of them in ClickHouse too, and one of 1,600 columns, stay below the ceiling" {
    local columns wide='SELECT count(*), sum(a_column_with_a_long_name_7) FROM wide'
    local create='CREATE TABLE %s (id int PRIMARY KEY, a text, b timestamptz, c numeric)'
    local insert="INSERT INTO %s VALUES (1, ''a'', now(), 1.5)"
    columns=$(printf ', a_column_with_a_long_name_%s int' {1..1599})
    tables "$(for_each_table dst_only 1700 "$create")"
    tables "$(for_each_table both 300 "$create")"
    tables "CREATE TABLE wide (id int PRIMARY KEY $columns)"
    src "CREATE PUBLICATION p FOR ALL TABLES"
    pipeline_start "$conf"
    src "$(for_each_table dst_only 1700 "$insert")"
    src "$(for_each_table both 300 "$insert")"
    src "INSERT INTO wide SELECT g $(printf ', g%.0s' {1..1599}) FROM generate_series(1, 2000) g"
    src "UPDATE wide SET a_column_with_a_long_name_7 = 0 WHERE id % 2 = 0"
    caught_up "$conf" src "$db" 120
    [ "$(dst "$wide")" = "$(src "$wide")" ]
    [ "$(olap "$wide FINAL" | tr '\t' '|')" = "$(src "$wide")" ]
    [ "$(dst 'SELECT count(*) FROM dst_only1700')" = 1 ]
    [ "$(olap "SELECT count() FROM merge('$db', '^both[0-9]+\$')")" = 300 ]
    below_ceiling
    pipeline_stop "$conf"
}

peak_is_at_most() { # PROGRAM TIMES MIB: that much, and what each program has for itself
    local peak
    peak=$(awk '/^VmHWM:/ { print int($2 / 1024) }' "/proc/$(worker "$1")/status")
    echo "$1 $peak MiB for a value of $3 MiB"
    [ "$peak" -le $(($2 * $3 + 24)) ]
}

@test "a large value is held as often as guarantees(7) says" {
    # 20 bytes, with some that COPY escapes
    local piece="'0123' || chr(92) || '4' || chr(10) || '56' || chr(9) || '789abcdefg'" mib=48
    tables "CREATE TABLE large (id int PRIMARY KEY, n int, v text)"
    src "CREATE PUBLICATION p FOR ALL TABLES"
    pipeline_start "$conf"
    src "INSERT INTO large SELECT 1, 0, repeat($piece, $mib * 1024 * 1024 / 20)"
    caught_up "$conf" src "$db" 120
    [ "$(dst 'SELECT n, md5(v) FROM large')" = "$(src 'SELECT n, md5(v) FROM large')" ]
    src "UPDATE large SET n = 1, v = 'x' || v"
    caught_up "$conf" src "$db" 120
    [ "$(dst 'SELECT n, md5(v) FROM large')" = "$(src 'SELECT n, md5(v) FROM large')" ]
    [ "$(olap 'SELECT lower(hex(MD5(assumeNotNull(v)))) FROM large_current')" = \
        "$(src 'SELECT md5(v) FROM large')" ]
    peak_is_at_most pg-wal-read 3 $mib
    peak_is_at_most pgout-decode 2 $mib
    peak_is_at_most route 3 $mib
    peak_is_at_most sink-ch 2 $mib
    peak_is_at_most sink-pg 2 $mib
    pipeline_stop "$conf"
}

@test "a row that PostgreSQL cannot decode stops the pipeline by its LSN, and nothing beyond is confirmed (trap 70)" {
    tables "CREATE TABLE large (id int PRIMARY KEY, v bytea)"
    src "CREATE PUBLICATION p FOR ALL TABLES"
    pipeline_start "$conf"
    src "INSERT INTO large VALUES (1, 'before')"
    caught_up "$conf" src "$db"
    # twice that as text is more than the 1 GiB of a message
    src "INSERT INTO large SELECT 2, repeat('x', 550 * 1024 * 1024)::bytea"
    local last
    last=$(src 'SELECT pg_current_wal_lsn()')
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" = 100 ]
    grep '"program":"pg-wal-read"' "$conf.log" | grep 'invalid memory alloc request size' |
        grep 'in the change callback, associated LSN'
    [ "$(src "SELECT confirmed_flush_lsn < '$last' FROM pg_replication_slots WHERE slot_name = '$db'")" = t ]
    [ "$(dst 'SELECT count(*) FROM large')" = 1 ]
}
