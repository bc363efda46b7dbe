# copy-only.bash: a source and a PostgreSQL target with copy = only, for copy-only.bats and
# copy-only-ways.bats.

load ../lib/copied

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    pg_new src wal_sender_timeout=5s wal_keep_size=1GB
    pg_new dst
}

teardown() {
    load_stop
    [ -z "${BATS_ERROR_STATUS:-}" ] || tail -n 60 "$conf.log" 2>/dev/null
    for config in "$conf" "$dir/second.conf"; do
        [ ! -s "$config.exit" ] && [ -e "$config.pid" ] && pipeline_kill "$config"
    done
    wait_until 10 drop_slot || true
}

drop_slot() {
    pg_sql src "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
                 WHERE slot_name = '$db' AND NOT active" >/dev/null
    run ! slot_exists
}

slot_exists() {
    [ "$(pg_sql src "SELECT count(*) FROM pg_replication_slots WHERE slot_name = '$db'")" -eq 1 ]
}

# write_conf [COPY [LINES [SINK_LINES [STATE]]]]
write_conf() {
    cat >"$conf" <<CONF
[pipeline]
name = $db
state_dir = $dir/${4:-state}
log_level = debug
copy = ${1:-only}
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

# pgbench's tables. Its history has no key, which walpipe copies under one snapshot.
bench_tables() {
    "$(pg_bindir)/pgbench" -q -i -s "${1:-1}" "$(pg_conninfo src "$db")" >/dev/null 2>&1 3>&-
    pg_sql src "CREATE PUBLICATION p FOR ALL TABLES" "$db"
    target_tables
}

small_tables() {
    pg_sql src "CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY, v text);
        INSERT INTO a SELECT g, repeat('a', 200) FROM generate_series(1, 3000) g;
        INSERT INTO b SELECT g, 'b' FROM generate_series(1, 3000) g;
        CREATE PUBLICATION p FOR ALL TABLES" "$db"
    target_tables
}

# runs CODE [CONF]: walpipe run, to its end.
runs() {
    local config=${2:-$conf}
    pipeline_begin "$config"
    ends "$1" "$config"
}

ends() { # CODE [CONF]
    local config=${2:-$conf}
    wait_until 180 test -s "$config.exit"
    [ "$(cat "$config.exit")" -eq "$1" ] || { tail -n 5 "$config.log"; false; }
}

logged() {
    grep -q -- "$1" "${2:-$conf}.log"
}

starts() {
    grep -c '"message":"started the pipeline' "$conf.log" || true
}

rows() { # TABLE
    pg_sql dst "SELECT count(*) FROM $1" "$db"
}

# The position that the end's log line names, of sink SINK.
end_lsn() {
    grep '^{' "$conf.log" | jq -r 'select(.program == "walpipe").message | capture("^sink '"${1:-dst}"': .* rows as of (?<l>.*)$").l' |
        tail -n 1
}

# The source's rows as of LSN, in a server "past": a backup from before that is recovered up to there.
backup_take() {
    "$(pg_bindir)/pg_basebackup" -D "$dir/past" -X none -c fast -d "$(pg_conninfo src)" 2>/dev/null
    chmod 700 "$dir/past"
}

past_start() { # LSN
    local name=past$BATS_TEST_NUMBER
    mkdir "$SCRATCH/$name"
    mv "$dir/past" "$SCRATCH/$name/data"
    port_new >"$SCRATCH/$name/port"
    : >"$SCRATCH/$name/log"
    # WAL that is still being written is copied with what follows the position, which recovery ignores
    pg_sql src "SELECT pg_switch_wal()" >/dev/null
    touch "$SCRATCH/$name/data/recovery.signal"
    pg_configure "$name" "restore_command=cp $(pg_data src)/pg_wal/%f %p" "recovery_target_lsn=$1" \
        "recovery_target_inclusive=off" "recovery_target_action=promote"
    [ "$UID" -ne 0 ] || chown -R postgres: "$SCRATCH/$name"
    pg_start "$name"
    wait_until 60 past_is_there "$name"
}

past_is_there() {
    [ "$(pg_sql "$1" "SELECT pg_is_in_recovery()")" = f ]
}

# child NAME: the pid of a program of the pipeline; of several workers the first one's.
child() {
    pgrep -o -P "$(pipeline_pid "$conf")" -x "$1"
}

restarted() {
    [ -e "$conf.exit" ] || [ "$(starts)" -gt "$1" ]
}

more_rows() {
    [ "$(rows pgbench_accounts)" -gt "$1" ]
}
