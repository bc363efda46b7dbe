# pauses.bash: a pipeline with three sinks, of which tests pause some. Source servers.bash,
# pipeline.bash and compare.bash first. The servers are src, dst and ch.

pauses_setup() { # NAME, of the databases, the slot and the directory
    db=$1
    dir=$SCRATCH/$db
    conf=$dir/walpipe.conf
    mkdir "$dir"
    pg_sql src "CREATE DATABASE $db"
    pg_sql dst "CREATE DATABASE $db"
    pg_sql dst "CREATE DATABASE ${db}_three"
    ch_sql ch "CREATE DATABASE $db"
    pg_sql src "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE PUBLICATION p FOR ALL TABLES;
        INSERT INTO t SELECT g, 'old' FROM generate_series(1, 2000) g" "$db"
    for target in "$db" "${db}_three"; do
        pg_sql dst "CREATE TABLE t (id int PRIMARY KEY, v text)" "$target"
    done
    cat >"$conf" <<CONF
[pipeline]
name = $db
state_dir = $dir/state
http = 127.0.0.1:$(port_new)
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
[sink three]
type = pg
conninfo = $(pg_conninfo dst "${db}_three")
create_tables = yes
shards = 3
flush_interval = 50ms
[sink olap]
type = ch
url = $(ch_url ch)
database = $db
create_tables = yes
flush_interval = 100ms
CONF
}

pauses_teardown() {
    rm -f "$dir/load"
    [ -z "${BATS_ERROR_STATUS:-}" ] || {
        tail -n 60 "$conf.log"
        walpipe tables
        walpipe status
    } 2>&1
    [ ! -s "$conf.exit" ] && [ -e "$conf.pid" ] && pipeline_kill "$conf"
    pg_sql src "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
                 WHERE slot_name = '$db' AND NOT active" >/dev/null || true
}

logged() {
    [ "$(grep -c -- "$1" "$conf.log")" -ge "${2:-1}" ]
}

walpipe() {
    "$WALPIPE_BIN/walpipe" "$@" -c "$conf"
}

pause_sink() {
    run walpipe pause --sink "$1"
    echo "$output"
    [ "$status" -eq 0 ]
}

resume_sink() {
    run walpipe resume --sink "$1"
    echo "$output"
    [ "$status" -eq 0 ]
}

# refused EXIT PATTERN COMMAND ...
refused() {
    local code=$1 pattern=$2
    shift 2
    run walpipe "$@"
    echo "$output"
    [ "$status" -eq "$code" ] && [[ $output == *"$pattern"* ]]
}

# Transactions on t until load_end.
load_begin() {
    touch "$dir/load"
    # shellcheck disable=SC2016 # the inner shell expands them
    bash -c 'source "$1/test/lib/servers.bash"
        for ((n = $4; ; n += 20)); do
            [ -e "$3/load" ] || exit 0
            pg_sql src "INSERT INTO t SELECT g, 1 FROM generate_series($n, $n + 19) g;
                UPDATE t SET v = $n WHERE id % 401 = $n / 20 % 401; DELETE FROM t WHERE id = $n - 99;
                UPDATE t SET id = id - 1 WHERE id = $n - 98" "$2" || exit 1
            sleep 0.05
        done' load "$WALPIPE_ROOT" "$db" "$dir" "$(pg_sql src "SELECT max(id) + 1000 FROM t" "$db")" 3>&- &
    load_pid=$!
    kill_later "$load_pid"
}

load_end() {
    rm "$dir/load"
    wait "$load_pid"
}

streaming() { # SINK ...
    local sink
    for sink; do
        walpipe tables --json | jq -e --arg s "$sink" \
            '[.sinks[] | select(.sink == $s) | .tables[].state] | length > 0 and all(. == "streaming")' || return 1
    done
}

all_streaming() {
    streaming dst three olap
}

confirmed() {
    pg_sql src "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '$db'"
}

target_of() { # dst, three
    [ "$1" = dst ] && echo "$db" || echo "${db}_$1"
}

# Changes of now arrive in the sink.
moves_on() { # SINK
    marks=$((${marks:-0} + 1))
    pg_sql src "INSERT INTO t VALUES (-$marks, 'mark')" "$db"
    wait_until 60 eval "[ \"\$(pg_sql dst 'SELECT count(*) FROM t WHERE id = -$marks' '$(target_of "$1")')\" -eq 1 ]"
}

equal() { # SINK TABLE
    if [ "$1" = olap ]; then
        [ "$(ch_digest ch "$2" "$db" src "$db")" = "$(pg_digest src "$2" "$db")" ]
    else
        [ "$(pg_digest dst "$2" "$(target_of "$1")")" = "$(pg_digest src "$2" "$db")" ]
    fi
}

all_equal() { # [TABLE ...]
    local sink table
    for table in "${@:-t}"; do
        for sink in dst three olap; do
            equal "$sink" "$table" || {
                echo "$table of $sink differs"
                return 1
            }
        done
    done
}
