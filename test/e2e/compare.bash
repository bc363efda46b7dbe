# compare.bash: what the tests of walpipe compare share. Source servers.bash and pipeline.bash first.

# write_conf [SINK_LINES [MORE_SECTIONS]]: the sinks dst and olap, of the database $db everywhere, or
# dst only if there is no ClickHouse.
write_conf() {
    cat >"$conf" <<CONF
[pipeline]
name = $db
state_dir = $dir/state
copy = yes
[source]
conninfo = $(pg_conninfo src "$db")
slot = $db
publication = p
[sink dst]
type = pg
conninfo = $(pg_conninfo dst "$db")
create_tables = yes
flush_interval = 50ms
${1:-}
CONF
    [ ! -e "$SCRATCH/ch" ] || cat >>"$conf" <<CONF
[sink olap]
type = ch
url = $(ch_url ch)
database = $db
create_tables = yes
flush_interval = 50ms
${2:-}
CONF
}

in_src() {
    pg_sql src "$1" "$db"
}

in_dst() {
    pg_sql dst "SET session_replication_role = replica; $1" "$db"
}

in_ch() {
    ch_sql ch "$1" "$db"
}

everything_streams() {
    local states
    states=$("$WALPIPE_BIN/walpipe" tables -c "$conf" --json | jq -r '.sinks[].tables[].state') || return 1
    [ -n "$states" ] && [ "$(sort -u <<<"$states")" = streaming ]
}

# begin: the pipeline runs, and all tables are copied.
begin() {
    pipeline_start "$conf" && wait_until 60 everything_streams && caught_up "$conf" src "$db"
}

# compare ARGS...: its output and exit status as `run` has them.
compare() {
    run --separate-stderr timeout 300 "$WALPIPE_BIN/walpipe" compare -c "$conf" "$@"
    echo "$output"
    echo "$stderr"
}

has() {
    grep -qxF -- "$1" <<<"$output" || {
        echo "no line: $1"
        return 1
    }
}

compare_setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    db=c$BATS_TEST_NUMBER
    dir=$SCRATCH/$db
    conf=$dir/walpipe.conf
    mkdir "$dir"
    pg_sql src "CREATE DATABASE $db"
    pg_sql dst "CREATE DATABASE $db"
    [ ! -e "$SCRATCH/ch" ] || ch_sql ch "CREATE DATABASE $db"
}

compare_teardown() {
    [ -z "${BATS_ERROR_STATUS:-}" ] || tail -n 20 "$conf.log" 2>/dev/null
    [ ! -s "$conf.exit" ] && [ -e "$conf.pid" ] && pipeline_kill "$conf"
    pg_sql src "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
                 WHERE slot_name = '$db' AND NOT active" >/dev/null
}
