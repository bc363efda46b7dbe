#!/usr/bin/env bats
# The whole pipeline: a source, three sinks, walpipe run. The targets must have the source's rows.

bats_require_minimum_version 1.5.0

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    pg_new source
    pg_new target
    ch_new olap
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/compare.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    source "$BATS_TEST_DIRNAME/workload.bash"
    # A name of its own for what lives in the servers, so that no test meets another's.
    name=t$BATS_TEST_NUMBER
    conf=$SCRATCH/$name.conf
    pg_sql source "CREATE DATABASE $name"
}

teardown() {
    if [ -z "${BATS_TEST_COMPLETED:-}" ]; then
        tail -n 60 "$SCRATCH/$name".*log 2>/dev/null || true
    fi
    if [ -e "$conf.pid" ] && pid=$(pipeline_pid "$conf"); then
        end_process "$pid" KILL 5
    fi
    wait_until 10 slot_is_free
    pg_sql source "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots" >/dev/null
}

slot_is_free() {
    [ "$(pg_sql source 'SELECT count(*) FROM pg_replication_slots WHERE active')" = 0 ]
}

# config SINKS...: writes $conf with the sinks named: one (a worker), four (workers), olap.
config() {
    local sink
    cat >"$conf" <<CONF
[pipeline]
name        = $name
state_dir   = $SCRATCH/$name.state
copy        = no

[source]
conninfo    = $(pg_conninfo source "$name") ${source_options:-}
slot        = $name
publication = $name
create_slot = yes
CONF
    for sink in "$@"; do
        case $sink in
        one | four)
            pg_sql target "CREATE DATABASE ${name}_$sink"
            cat >>"$conf" <<CONF
[sink $sink]
type        = pg
conninfo    = $(pg_conninfo target "${name}_$sink")
shards      = $([ "$sink" = one ] && echo 1 || echo 4)
batch_rows  = 500
flush_interval = 100ms
CONF
            ;;
        olap)
            ch_sql olap "CREATE DATABASE $name"
            cat >>"$conf" <<CONF
[sink olap]
type        = ch
url         = $(ch_url olap)
database    = $name
create_tables = yes
shards      = 2
flush_interval = 300ms
CONF
            ;;
        esac
    done
}

# equal TABLE...: prints every difference.
equal() {
    local table want got sink result=0
    for table in "$@"; do
        want=$(pg_digest source "$table" "$name") || return 1
        for sink in one four; do
            grep -q "^\[sink $sink\]" "$conf" || continue
            got=$(pg_digest target "$table" "${name}_$sink") || return 1
            [ "$got" = "$want" ] || { echo "$table: source $want, $sink $got" && result=1; }
        done
        grep -q '^\[sink olap\]' "$conf" || continue
        got=$(ch_digest olap "$table" "$name" source "$name") || return 1
        [ "$got" = "$want" ] || { echo "$table: source $want, olap $got" && result=1; }
    done
    return $result
}

@test "ten tables under concurrent load end equal on one worker, four workers and ClickHouse" {
    workload_tables source "$name"
    pg_sql source "CREATE PUBLICATION $name FOR ALL TABLES" "$name"
    config one four olap
    workload_tables target "${name}_one"
    workload_tables target "${name}_four"
    # Under REPLICA IDENTITY FULL the stream does not say what the key is.
    ch_sql olap "CREATE TABLE w_full (id Int32, v Nullable(String), w Nullable(Int32),
                    _version UInt64, _is_deleted UInt8)
                 ENGINE = ReplacingMergeTree(_version) ORDER BY id" "$name"
    ch_sql olap "CREATE VIEW w_full_current AS
                 SELECT id, v, w FROM w_full FINAL WHERE _is_deleted = 0" "$name"
    pipeline_start "$conf"
    workload_run source 400 "$name"
    caught_up "$conf" source "$name" 120
    equal $WORKLOAD_TABLES

    # and once more, over a drain and a new start
    workload_run source 100 "$name"
    pipeline_stop "$conf"
    pipeline_start "$conf"
    workload_run source 100 "$name"
    caught_up "$conf" source "$name" 120
    equal $WORKLOAD_TABLES
    pipeline_stop "$conf"
    no_restart "$conf"
}

@test "the comparison above would see a single changed value" {
    workload_tables source "$name"
    config one
    workload_tables target "${name}_one"
    equal w_pair
    pg_sql source "INSERT INTO w_pair VALUES (1, 'x', 1), (2, 'y', NULL)" "$name"
    run -1 equal w_pair
    pg_sql target "INSERT INTO w_pair VALUES (1, 'x', 1), (2, 'y', 0)" "${name}_one"
    run -1 equal w_pair
    pg_sql target "UPDATE w_pair SET v = NULL WHERE a = 2" "${name}_one"
    equal w_pair
}

snapshot_is_there() {
    grep -q pgoutput "$SCRATCH/$name.slot"
}

@test "rows from before: pg_dump of the slot's snapshot, under load, then walpipe" {
    workload_tables source "$name"
    pg_sql source "CREATE PUBLICATION $name FOR ALL TABLES" "$name"
    workload_run source 40 "$name"
    config one
    workload_tables target "${name}_one"
    workload_run source 200 "$name" 3>&- &
    load=$!
    # A psql that keeps its session, and with it the snapshot.
    mkfifo "$SCRATCH/$name.in"
    psql -XAt "$(pg_conninfo source "$name") replication=database" \
        <"$SCRATCH/$name.in" >"$SCRATCH/$name.slot" 3>&- &
    exec 7>"$SCRATCH/$name.in"
    echo "CREATE_REPLICATION_SLOT $name LOGICAL pgoutput EXPORT_SNAPSHOT;" >&7
    wait_until 30 snapshot_is_there
    snapshot=$(cut -d '|' -f 3 "$SCRATCH/$name.slot")
    "$(pg_bindir)/pg_dump" --data-only --snapshot="$snapshot" "$(pg_conninfo source "$name")" 3>&- |
        pg_sql target - "${name}_one" >/dev/null
    exec 7>&-
    pipeline_start "$conf"
    wait $load
    caught_up "$conf" source "$name"
    equal $WORKLOAD_TABLES
    pipeline_stop "$conf"
    no_restart "$conf"
    # Every row was found where it had to be. TRUNCATE is not MVCC-safe, so pg_dump may have read less
    # of the table that is truncated.
    ! grep 'found no row' "$conf.log" | grep -v w_truncated
}

capture_has() {
    grep -qa "$1" "$SCRATCH/$name.wal"
}

@test "a captured wal stream decodes to the same bytes again, and evcat shows it as JSON" {
    workload_tables source "$name"
    pg_sql source "CREATE PUBLICATION $name FOR ALL TABLES" "$name"
    pg_sql source "SELECT pg_create_logical_replication_slot('$name', 'pgoutput')" "$name"
    workload_run source 60 "$name"
    pg_sql source "INSERT INTO w_log VALUES (now(), 0, 'the last row')" "$name"
    "$WALPIPE_BIN/pg-wal-read" --conninfo "$(pg_conninfo source "$name")" --slot "$name" \
        --publication "$name" --no-ack >"$SCRATCH/$name.wal" 2>"$SCRATCH/$name.log" 3>&- &
    reader=$!
    wait_until 30 capture_has 'the last row'
    kill -TERM $reader
    wait $reader
    for copy in 1 2; do
        "$WALPIPE_BIN/pgout-decode" <"$SCRATCH/$name.wal" >"$SCRATCH/$name.events$copy"
    done
    cmp "$SCRATCH/$name.events1" "$SCRATCH/$name.events2"
    "$WALPIPE_BIN/evcat" <"$SCRATCH/$name.events1" >"$SCRATCH/$name.json"
    "$WALPIPE_BIN/evcat" <"$SCRATCH/$name.wal" >"$SCRATCH/$name.waljson"
    # every line is an object, the first is hello, the last is end
    [ "$(jq -r .type "$SCRATCH/$name.json" | sed -n '1p;$p' | paste -sd ' ')" = 'hello end' ]
    [ "$(jq -r .type "$SCRATCH/$name.waljson" | sed -n '1p;$p' | paste -sd ' ')" = 'hello end' ]
    [ "$(jq -r .type "$SCRATCH/$name.json" | grep -c '^insert$')" -gt 100 ]
    # the reader written from the manual page agrees on every frame's type
    diff <(jq -r .type "$SCRATCH/$name.json") \
        <(/usr/bin/python3 "$WALPIPE_ROOT/test/lib/stream.py" types <"$SCRATCH/$name.events1")
    # nothing was confirmed by looking
    [ "$(pg_sql source "SELECT count(*) FROM pg_stat_replication")" = 0 ]
    [ "$(pg_sql source "SELECT confirmed_flush_lsn < '$(pg_sql source 'SELECT pg_current_wal_lsn()')'::pg_lsn - 50000
                          FROM pg_replication_slots WHERE slot_name = '$name'")" = t ]
}

@test "what a rolled back transaction or savepoint wrote never enters the stream" {
    pg_sql source "CREATE TABLE w (id int PRIMARY KEY, v text)" "$name"
    pg_sql source "CREATE PUBLICATION $name FOR ALL TABLES" "$name"
    pg_sql source "SELECT pg_create_logical_replication_slot('$name', 'pgoutput')" "$name"
    pg_sql source "BEGIN; INSERT INTO w VALUES (1, 'never'); ROLLBACK;
        BEGIN; INSERT INTO w VALUES (2, 'kept'); SAVEPOINT a; UPDATE w SET v = 'never';
        SAVEPOINT b; DELETE FROM w; ROLLBACK TO a; INSERT INTO w VALUES (3, 'kept'); COMMIT;
        INSERT INTO w VALUES (4, 'the last row')" "$name"
    "$WALPIPE_BIN/pg-wal-read" --conninfo "$(pg_conninfo source "$name")" --slot "$name" \
        --publication "$name" --no-ack >"$SCRATCH/$name.wal" 2>"$SCRATCH/$name.log" 3>&- &
    reader=$!
    wait_until 30 capture_has 'the last row'
    kill -TERM $reader
    wait $reader
    "$WALPIPE_BIN/pgout-decode" <"$SCRATCH/$name.wal" | "$WALPIPE_BIN/evcat" >"$SCRATCH/$name.json"
    [ "$(jq -c 'select(.type == "insert" or .type == "update" or .type == "delete")
                | [.type, .ordinal, .new.id]' "$SCRATCH/$name.json" | paste -sd ' ')" = \
        '["insert",1,"2"] ["insert",2,"3"] ["insert",1,"4"]' ]
}

@test "an idle publication advances while other tables are written (trap 9)" {
    pg_sql source "CREATE TABLE quiet (id int PRIMARY KEY); CREATE TABLE loud (v text);
        CREATE PUBLICATION $name FOR TABLE quiet" "$name"
    config one olap
    pg_sql target "CREATE TABLE quiet (id int PRIMARY KEY)" "${name}_one"
    pipeline_start "$conf"
    pg_sql source "INSERT INTO quiet VALUES (1)" "$name"
    caught_up "$conf" source "$name"
    for _ in 1 2 3; do
        pg_sql source "INSERT INTO loud SELECT repeat('x', 1000) FROM generate_series(1, 7000)" "$name"
        caught_up "$conf" source "$name" 20
    done
    equal quiet
    pipeline_stop "$conf"
}

walsender_pid() {
    pg_sql source "SELECT pid FROM pg_stat_replication"
}

received_at_least() {
    [ "$(pg_sql source "SELECT sent_lsn >= '$1' FROM pg_stat_replication")" = t ]
}

@test "feedback goes on while a sink does not read: the same walsender afterwards (trap 1)" {
    pg_sql source "CREATE TABLE big (id int PRIMARY KEY, v text); ALTER TABLE big ALTER v SET STORAGE EXTERNAL;
        CREATE PUBLICATION $name FOR TABLE big" "$name"
    # here only: a busy machine may starve a walsender for as long
    source_options="options='-c wal_sender_timeout=2s'"
    config one
    pg_sql target "CREATE TABLE big (id int PRIMARY KEY, v text)" "${name}_one"
    pipeline_start "$conf"
    pg_sql source "INSERT INTO big VALUES (0, 'first')" "$name"
    caught_up "$conf" source "$name"
    before=$(walsender_pid)
    sink=$(pgrep -P "$(pipeline_pid "$conf")" -x sink-pg)
    kill -STOP "$sink"
    # More than all buffers and pipes together: pg-wal-read's output is full and stays so.
    pg_sql source "INSERT INTO big SELECT g, repeat(md5(g::text), 300) FROM generate_series(1, 5000) AS g" "$name"
    end=$(pg_sql source "SELECT pg_current_wal_lsn()")
    sleep 10 # five times wal_sender_timeout
    [ "$(walsender_pid)" = "$before" ]
    run -1 received_at_least "$end"
    kill -CONT "$sink"
    caught_up "$conf" source "$name"
    [ "$(walsender_pid)" = "$before" ]
    equal big
    pipeline_stop "$conf"
    no_restart "$conf"
}
