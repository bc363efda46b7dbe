# copied.bash: what the tests of copies through walpipe run share: servers src and dst, of which each
# test has databases of its own, pgbench's tables, a load, and comparisons. A file that needs another
# config, or more than that, defines functions again behind `load ../lib/copied`.
# shellcheck disable=SC1091,SC2119,SC2120 # paths are of the test's folder; few tests pass options

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    pg_new src
    pg_new dst
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

setup() {
    copied_setup
}

# Each test has databases, a slot and a state directory of its own.
copied_setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    source "$BATS_TEST_DIRNAME/../lib/compare.bash"
    db=t$BATS_TEST_NUMBER
    dir=$SCRATCH/$db
    conf=$dir/walpipe.conf
    mkdir "$dir"
    for server in src dst; do
        pg_sql $server "CREATE DATABASE $db"
    done
}

teardown() {
    copied_teardown
}

copied_teardown() {
    load_stop
    [ -z "${BATS_ERROR_STATUS:-}" ] || {
        tail -n 60 "$conf.log"
        pg_sql dst "SELECT name, part, shard, state, l0, rows, done FROM walpipe.tables" "$db"
    } 2>/dev/null
    [ ! -s "$conf.exit" ] && [ -e "$conf.pid" ] && pipeline_kill "$conf"
    drop_slot
}

drop_slot() {
    pg_sql src "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
                 WHERE slot_name = '$db' AND NOT active" >/dev/null
}

# write_conf [COPY [LINES [SINK_LINES [STATE]]]]
write_conf() {
    cat >"$conf" <<CONF
[pipeline]
name = $db
state_dir = $dir/${4:-state}
log_level = debug
copy = ${1:-yes}
${2:-}
[source]
conninfo = $(pg_conninfo src "$db")
slot = $db
publication = p
[sink dst]
type = pg
conninfo = $(pg_conninfo dst "$db")
flush_interval = 50ms
${3:-}
CONF
}

# pgbench's tables; its history gets a key.
bench_tables() {
    "$(pg_bindir)/pgbench" -q -i -s "${1:-1}" "$(pg_conninfo src "$db")" >/dev/null 2>&1 3>&-
    pg_sql src "ALTER TABLE pgbench_history ADD id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;
        CREATE PUBLICATION p FOR TABLE pgbench_accounts, pgbench_branches, pgbench_tellers,
            pgbench_history" "$db"
    target_tables
}

# The target gets the source's tables, without rows.
target_tables() {
    "$(pg_bindir)/pg_dump" --schema-only --no-publications "$@" "$(pg_conninfo src "$db")" >"$dir/schema.sql"
    pg_sql dst - "$db" <"$dir/schema.sql" >/dev/null
}

# load_start [RATE]: transactions per second, until load_stop.
load_start() {
    "$(pg_bindir)/pgbench" -n -c 3 -R "${1:-100}" -T 600 "$(pg_conninfo src "$db")" \
        >"$dir/load" 2>&1 3>&- &
    load_pid=$!
    kill_later "$load_pid"
}

load_stop() {
    [ -n "${load_pid:-}" ] || return 0
    kill "$load_pid" 2>/dev/null || true
    wait "$load_pid" || true
    load_pid=
}

# Nobody writes: what a client had sent is done.
source_is_quiet() {
    [ "$(pg_sql src "SELECT count(*) FROM pg_stat_activity WHERE datname = '$db'
                      AND application_name = 'pgbench'")" = 0 ]
}

noted() {
    [ "$(pg_sql dst "SELECT $1 FROM walpipe.tables WHERE relid <> 0 ${2:-}" "$db")" = t ]
}

# all_streaming TABLES [SHARDS]
all_streaming() {
    [ -e "$conf.exit" ] || noted "count(*) = $1 * ${2:-1} AND bool_and(state = 'streaming')"
}

# copied_some [ROWS]: more than so many rows of pgbench_accounts are in the target.
copied_some() {
    [ "$(pg_sql dst "SELECT count(*) FROM pgbench_accounts" "$db")" -gt "${1:-0}" ]
}

equal() {
    local table
    for table in "$@"; do
        diff <(pg_digest "${source:-src}" "$table" "$db") <(pg_digest dst "$table" "$db")
    done
}

BENCH='pgbench_accounts pgbench_branches pgbench_tellers pgbench_history'

# ends_equal SHARDS: the copy comes to its end under load, then both sides are the same.
ends_equal() {
    wait_until 180 all_streaming 4 "$1"
    pipeline_lives "$conf"
    load_stop
    wait_until 30 source_is_quiet
    caught_up "$conf" src "$db" 120
    # shellcheck disable=SC2086 # words
    equal $BENCH
}

# ends CODE: walpipe does, by itself.
ends() {
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq "$1" ]
}

# run_is_refused [MESSAGE]: exit code 100, perhaps before the pipeline was seen to stream.
run_is_refused() {
    pipeline_start "$conf" || true
    ends 100
    [ $# -eq 0 ] || logged "$1"
}

logged() {
    grep -q -- "$1" "$conf.log"
}

# The whole message, and the hint behind it, of walpipe's last error.
last_error() {
    grep '"level":"error"' "$conf.log" | tail -n 1
}

two_tables() {
    pg_sql src "CREATE TABLE a (id int PRIMARY KEY, v text);
        INSERT INTO a SELECT g, 'a' || g FROM generate_series(1, 3000) g;
        CREATE TABLE b (id int PRIMARY KEY, v text);
        INSERT INTO b SELECT g, 'b' || g FROM generate_series(1, 3000) g;
        CREATE PUBLICATION p FOR ALL TABLES" "$db"
    target_tables
}

# Both tables change, and both sides are equal then.
changes_arrive() {
    pg_sql src "UPDATE a SET v = v || 'x' WHERE id % 7 = 0; DELETE FROM b WHERE id % 9 = 0;
        INSERT INTO b VALUES (100000 + $1, 'new')" "$db"
    caught_up "$conf" src "$db"
    equal a b
}

# The slot, and then the source's rows of that moment in the target: nobody writes.
load_target() {
    pg_sql src "SELECT pg_create_logical_replication_slot('$db', 'pgoutput')" "$db" >/dev/null
    "$(pg_bindir)/pg_dump" --data-only "$(pg_conninfo src "$db")" >"$dir/rows.sql"
    pg_sql dst - "$db" <"$dir/rows.sql" >/dev/null
}
