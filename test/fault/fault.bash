# fault.bash: what the fault tests share: a source, targets, a TCP proxy before each, and a pipeline
# through the proxies. Source it in setup_file, setup and teardown.
#
#   fault_servers [ch]            src and dst (PostgreSQL), olap (ClickHouse), their proxies
#   fault_new SINK...             databases $db, tables t (key id) and log (no key), $conf with these
#                                 sinks: pg, pg3 (three workers), ch
#   fault_end                     for teardown: ends the test's pipeline, drops its slot
#   proxy src|dst|olap COMMAND... see proxy.py
#   src SQL, dst SQL, olap SQL    in the test's database; pg3's is dst3 SQL
#   insert FROM TO                rows of t and log, ten transactions
#   equal SINK...                 t and log are the same in the source and in the sinks
#   programs [NAME]               pids of the pipeline's programs whose command begins with NAME
#   logged TEXT [TIMES]           walpipe's log has it, that often at least
#   slot COLUMN                   of the test's slot

# shellcheck source=/dev/null
source "$BATS_TEST_DIRNAME/../lib/servers.bash"
# shellcheck source=/dev/null
source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"

fault_servers() {
    local links=() name
    pg_new src wal_sender_timeout=2s
    pg_new dst
    [ "${1:-}" != ch ] || ch_new olap
    for name in src dst ${1:+olap}; do
        port_new >"$SCRATCH/$name/proxy"
        links+=("$name=$(cat "$SCRATCH/$name/proxy"):$(cat "$SCRATCH/$name/port")")
    done
    setsid /usr/bin/python3 "$WALPIPE_ROOT/test/lib/proxy.py" serve "$SCRATCH/proxy.sock" "${links[@]}" \
        </dev/null >"$SCRATCH/proxy.log" 2>&1 3>&- &
    kill_later "$!"
    disown
    wait_until 10 test -S "$SCRATCH/proxy.sock"
}

proxy() {
    /usr/bin/python3 "$WALPIPE_ROOT/test/lib/proxy.py" tell "$SCRATCH/proxy.sock" "$@"
}

through() { # SERVER DB
    echo "host=127.0.0.1 port=$(cat "$SCRATCH/$1/proxy") user=postgres dbname=$2"
}

src() { pg_sql src "$1" "$db"; }
dst() { pg_sql dst "$1" "$db"; }
dst3() { pg_sql dst "$1" "${db}_3"; }
olap() { ch_sql olap "$1" "$db"; }
slot() { src "SELECT $1 FROM pg_replication_slots WHERE slot_name = '$db'"; }

fault_new() {
    local name sink
    db=f$BATS_TEST_NUMBER
    conf=$SCRATCH/$db.conf
    pg_sql src "CREATE DATABASE $db"
    for name in "$@"; do
        case $name in
        pg) pg_sql dst "CREATE DATABASE $db" ;;
        pg3) pg_sql dst "CREATE DATABASE ${db}_3" ;;
        ch) ch_sql olap "CREATE DATABASE $db" ;;
        esac
    done
    for sink in src "$@"; do
        case $sink in
        src | pg | pg3) fault_tables "$sink" "CREATE TABLE t (id int PRIMARY KEY, v text);
            CREATE TABLE log (n int, note text)" ;;
        esac
    done
    src "CREATE PUBLICATION p FOR ALL TABLES"
    fault_config "$@"
    for name in src dst olap; do
        [ ! -e "$SCRATCH/$name/proxy" ] || proxy "$name" pass >/dev/null
    done
}

fault_tables() {
    case $1 in
    src) src "$2" ;;
    pg) dst "$2" ;;
    pg3) dst3 "$2" ;;
    esac
}

fault_config() {
    local sink
    cat >"$conf" <<CONF
[pipeline]
name = $db
state_dir = $SCRATCH/$db.state
copy = no
[source]
conninfo = $(through src "$db")
slot = $db
publication = p
CONF
    for sink in "$@"; do
        case $sink in
        pg | pg3)
            cat >>"$conf" <<CONF
[sink $sink]
type = pg
conninfo = $(through dst "$db$([ "$sink" = pg ] || echo _3)")
shards = $([ "$sink" = pg ] && echo 1 || echo 3)
flush_interval = 50ms
CONF
            ;;
        ch)
            cat >>"$conf" <<CONF
[sink ch]
type = ch
url = http://127.0.0.1:$(cat "$SCRATCH/olap/proxy")
database = $db
create_tables = yes
flush_interval = 100ms
CONF
            ;;
        esac
    done
}

fault_end() {
    local pid
    [ -n "${BATS_TEST_COMPLETED:-}" ] || tail -n 40 "$SCRATCH/$db".*log 2>/dev/null || true
    for pid in $(programs); do
        process_continue "$pid"
    done
    if [ -e "$conf.pid" ] && pid=$(pipeline_pid "$conf"); then
        end_process "$pid" KILL 5
    fi
    proxy src pass >/dev/null
    wait_until 20 slot_is_free
    src "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
         WHERE slot_name = '$db'" >/dev/null
}

slot_is_free() {
    [ "$(src "SELECT count(*) FROM pg_replication_slots WHERE slot_name = '$db' AND active")" = 0 ]
}

insert() {
    local low=$1 high=$2 step sql='' i
    step=$(((high - low + 10) / 10))
    for ((i = low; i <= high; i += step)); do
        sql+="BEGIN; INSERT INTO t SELECT g, 'v' || g FROM generate_series($i, least($((i + step - 1)), $high)) g;
              INSERT INTO log SELECT g, 'note' FROM generate_series($i, least($((i + step - 1)), $high)) g; COMMIT;"
    done
    src "$sql"
}

# Counts, and a sum that sees values; ClickHouse may hold rows of a keyless table twice.
fault_sum() {
    case $1 in
    src | pg | pg3) fault_tables "$1" "SELECT (SELECT count(*) || ' ' || coalesce(sum(id), 0) || ' ' ||
        coalesce(sum(length(v)), 0) FROM t) || ', ' || (SELECT count(DISTINCT n) || ' ' ||
        count(*) FROM log)" ;;
    ch) olap "SELECT concat(t, ', ', log) FROM (SELECT concat(toString(count()), ' ',
        toString(sum(id)), ' ', toString(sum(length(v)))) AS t, 1 AS one FROM t_current) ANY INNER JOIN
        (SELECT concat(toString(uniqExact(n)), ' ', toString(uniqExact(n))) AS log, 1 AS one FROM log)
        USING one" ;;
    esac
}

equal() {
    local want sink got result=0
    want=$(fault_sum src)
    for sink in "$@"; do
        got=$(fault_sum "$sink")
        [ "$got" = "$want" ] || { echo "source $want, $sink $got" && result=1; }
    done
    return $result
}

programs() {
    local pid
    pid=$(pipeline_pid "$conf") || return 0
    pgrep -P "$pid" -f "^${1:-}" || true
}

logged() {
    [ "$(grep -c -- "$1" "$conf.log")" -ge "${2:-1}" ]
}

# walpipe has ended, with this exit code.
ended() { # CODE [SECONDS]
    wait_until "${2:-20}" test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq "$1" ] || {
        echo "exit code $(cat "$conf.exit"), expected $1"
        return 1
    }
}

# Starts walpipe, which must end with this code by itself.
start_ends() {
    pipeline_begin "$conf"
    ended "$1" 30
}
