# parked.bash: what the tests of parked tables share, beside copied.bash.
# shellcheck disable=SC2154 # copied.bash sets the variables

# write_conf [SINK_LINES [PIPELINE_LINES [STATE]]]
write_conf() {
    cat >"$conf" <<CONF
[pipeline]
name = $db
state_dir = $dir/${3:-state}
log_level = debug
copy = ${copy:-yes}
${2:-}
[source]
conninfo = $(pg_conninfo src "$db")
slot = $db
publication = p
[sink dst]
type = pg
conninfo = $(pg_conninfo dst "$db") ${role:+user=$role}
flush_interval = 50ms
on_error = ${on_error:-park}
${1:-}
CONF
}

# make TABLE...: each gets 1000 rows in the source, and the target is to copy them.
make() {
    local table sql=
    for table in "$@"; do
        sql+="CREATE TABLE $table (k int PRIMARY KEY, u int, v text);"
    done
    pg_sql src "$sql" "$db"
    pg_sql dst "$sql" "$db"
    for table in "$@"; do
        pg_sql src "INSERT INTO $table SELECT i, i, 'v' || i FROM generate_series(1, 1000) AS i" "$db"
    done
    pg_sql src "CREATE PUBLICATION p FOR ALL TABLES" "$db"
}

# begin SHARDS TABLE...: all are streaming.
begin() {
    local shards=$1
    shift
    make "$@"
    write_conf "shards = $shards"$'\n'"${lines:-}" "${pipeline_lines:-}"
    pipeline_start "$conf"
    wait_until 60 all_streaming $# "$shards"
}

# parked TABLES: the names of all that are parked, in their order, separated by commas.
parked() {
    [ "$(pg_sql dst "SELECT coalesce(string_agg(name, ',' ORDER BY name), '') FROM walpipe.parked
        WHERE resumed_at IS NULL" "$db")" = "$1" ]
}

# is_parked TABLES: or the pipeline has ended.
is_parked() {
    [ -e "$conf.exit" ] || parked "$1"
}

# runs_with TABLES: the last run began with all of them parked, and all its workers are there.
runs_with() {
    [ -e "$conf.exit" ] || awk -v tables="$(wc -w <<<"${1//,/ }")" '
        /"message":"started ackd, pid/ || / is parked: / { parked = all = 0 }
        /"message":"[^ ]* is parked since/ { parked++ }
        / workers are registered"/ { all = 1 }
        END { exit !(all && parked == tables) }' "$conf.log"
}

# Behind the last restart that parks.
pass_over() {
    wait_until 90 is_parked "$1"
    wait_until 60 runs_with "$1"
    pipeline_lives "$conf"
    caught_up "$conf" src "$db" 60
    parked "$1"
}

resume() {
    "$WALPIPE_BIN/walpipe" resume -c "$conf" "$@"
}

tables() {
    "$WALPIPE_BIN/walpipe" tables -c "$conf" "$@"
}
