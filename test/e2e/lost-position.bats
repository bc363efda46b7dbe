#!/usr/bin/env bats
# A target that has lost walpipe's tables, and with them its position, is not taken for a new one.

bats_require_minimum_version 1.5.0

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    pg_new src
    pg_new dst
    ch_new olap
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    source "$BATS_TEST_DIRNAME/../lib/compare.bash"
    db=lost$BATS_TEST_NUMBER
    dir=$SCRATCH/$db
    conf=$dir/walpipe.conf
    mkdir "$dir"
    pg_sql src "CREATE DATABASE $db"
    pg_sql src "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE PUBLICATION p FOR ALL TABLES" "$db"
    pg_sql dst "CREATE DATABASE $db"
    pg_sql dst "CREATE TABLE t (id int PRIMARY KEY, v text)" "$db"
    ch_sql olap "CREATE DATABASE $db"
    cat >"$conf" <<CONF
[pipeline]
name = $db
state_dir = $dir/state
copy = no
[source]
conninfo = $(pg_conninfo src "$db")
slot = $db
publication = p
CONF
}

teardown() {
    local pid
    [ -n "${BATS_TEST_COMPLETED:-}" ] || tail -n 30 "$conf.log" 2>/dev/null || true
    if [ -e "$conf.pid" ] && pid=$(pipeline_pid "$conf"); then
        end_process "$pid" KILL 5
    fi
}

pg_sink() {
    cat >>"$conf" <<CONF
[sink dst]
type = pg
conninfo = $(pg_conninfo dst "$db")
flush_interval = 50ms
CONF
}

ch_sink() {
    cat >>"$conf" <<CONF
[sink olap]
type = ch
url = $(ch_url olap)
database = $db
create_tables = yes
flush_interval = 50ms
CONF
}

insert() { # FROM TO
    pg_sql src "INSERT INTO t SELECT g, 'v' || g FROM generate_series($1, $2) g" "$db"
}

dump() { # SCHEMA: of the target
    "$(pg_bindir)/pg_dump" -d "$(pg_conninfo dst "$db")" -n "$1" >"$dir/$1.sql"
}

restore() { # SCHEMA...: the target becomes what was dumped of it
    local schema
    pg_sql dst "DROP SCHEMA public CASCADE; DROP SCHEMA walpipe CASCADE" "$db"
    for schema; do
        psql -XAtq -v ON_ERROR_STOP=1 -d "$(pg_conninfo dst "$db")" -f "$dir/$schema.sql" >/dev/null
    done
}

refused() { # SINK
    : >"$conf.log"
    pipeline_start "$conf" || true
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq 100 ]
    grep -q "sink $1/0 found no position in its target, which had everything up to" "$conf.log"
}

pg_equal() {
    diff <(pg_digest src t "$db") <(pg_digest dst t "$db")
}

ch_equal() {
    diff <(pg_digest src t "$db") <(ch_digest olap t "$db" src "$db")
}

copied() {
    "$WALPIPE_BIN/walpipe" tables -c "$conf" | grep -q "^sink $1: 1 of 1 tables streaming"
}

@test "the bug was that a PostgreSQL target from yesterday without its positions counted as a new one" {
    pg_sink
    pipeline_start "$conf"
    insert 1 100
    caught_up "$conf" src "$db"
    dump public
    insert 101 200
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
    restore public
    insert 201 300
    refused dst
    # and again: a refusal forgets nothing
    refused dst
    [ "$(pg_sql dst "SELECT max(id) FROM t" "$db")" = 100 ]
    # it begins anew, as the hint says
    pg_sql dst "DROP SCHEMA walpipe CASCADE; TRUNCATE t" "$db"
    sed -i 's/^copy = no/copy = yes/' "$conf"
    pipeline_start "$conf"
    wait_until 60 copied dst
    insert 301 400
    caught_up "$conf" src "$db"
    pg_equal
    pipeline_stop "$conf"
    # and is followed as before
    sed -i 's/^copy = yes/copy = no/' "$conf"
    pipeline_start "$conf"
    insert 401 500
    caught_up "$conf" src "$db"
    pg_equal
    pipeline_stop "$conf"
}

# As when a stopped target moves to another server.
@test "a target that moves with its positions goes on, and one without them on a person's word" {
    pg_sink
    pipeline_start "$conf"
    insert 1 100
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
    dump public
    dump walpipe
    insert 101 200
    restore public
    refused dst
    restore public walpipe
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    pg_equal
    pipeline_stop "$conf"
    dump public
    restore public
    refused dst
    rm "$dir/state/reached"
    pipeline_start "$conf"
    insert 201 300
    caught_up "$conf" src "$db"
    pg_equal
    pipeline_stop "$conf"
    # from then on its position counts again
    restore public
    refused dst
}

@test "a ClickHouse target that lost its positions is refused, with copy = yes too, until the sink begins anew" {
    local table
    ch_sink
    sed -i 's/^copy = no/copy = yes/' "$conf"
    pipeline_start "$conf"
    insert 1 100
    wait_until 60 copied olap
    caught_up "$conf" src "$db"
    pipeline_kill "$conf"
    ch_sql olap "DROP TABLE walpipe_progress" "$db"
    refused olap
    sed -i 's/^copy = yes/copy = no/' "$conf"
    refused olap
    # as operations.md says
    sed -i 's/^copy = no/copy = yes/' "$conf"
    for table in progress tables missing skips lacks; do
        ch_sql olap "DROP TABLE IF EXISTS walpipe_$table" "$db"
    done
    ch_sql olap "TRUNCATE TABLE t" "$db"
    pipeline_start "$conf"
    wait_until 60 copied olap
    insert 101 200
    caught_up "$conf" src "$db"
    ch_equal
    pipeline_kill "$conf"
    # killed and started again, it finds its position
    pipeline_start "$conf"
    insert 201 300
    caught_up "$conf" src "$db"
    ch_equal
    pipeline_stop "$conf"
}

# A program of a person's keeps its positions where it likes, and a new sink has none.
@test "a new sink, and one whose program keeps no position, start again and again" {
    cat >>"$conf" <<CONF
[sink own]
type = exec
command = exec /usr/bin/python3 $WALPIPE_ROOT/test/e2e/exec_sink.py $dir/own
CONF
    pipeline_start "$conf"
    insert 1 100
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
    pg_sink
    ch_sink
    for _ in 1 2; do
        pipeline_start "$conf"
        pipeline_kill "$conf"
    done
    pipeline_start "$conf"
    insert 101 200
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
    pipeline_start "$conf"
    insert 201 300
    caught_up "$conf" src "$db"
    [ "$(pg_sql dst "SELECT count(*) FROM t" "$db")" = 200 ]
    pipeline_stop "$conf"
}
