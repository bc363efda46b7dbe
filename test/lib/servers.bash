# servers.bash: real servers for tests, the demo and the bench: PostgreSQL and ClickHouse in a
# directory of their own, on ports of their own, gone afterwards. Source it; works in bats and in a
# plain bash script.
#
#   pg_new NAME [setting=value ...]   a new PostgreSQL cluster, started
#   pg_conninfo NAME [DB]             its connection string: "host=... port=... user=... dbname=..."
#   pg_sql NAME SQL [DB]              psql -XAtq; stops at the first error; SQL "-" reads stdin
#   pg_stop NAME [MODE], pg_start NAME, pg_kill NAME    MODE: smart, fast (default), immediate
#   pg_data NAME, pg_log NAME, pg_port NAME, pg_pid NAME
#   ch_new NAME                       a new ClickHouse, started
#   ch_url NAME                       http://127.0.0.1:PORT
#   ch_sql NAME SQL [DB]              SQL "-" reads stdin
#   ch_stop NAME, ch_start NAME, ch_kill NAME, ch_log NAME, ch_pid NAME
#   port_new                          prints a TCP port nobody else in the tests has
#   wait_until SECONDS CMD ARGS...    polls until CMD succeeds; says so and fails at the deadline
#   kill_later PID                    servers_end ends this process too (first)
#   servers_logs                      the end of every server's log, for a test that failed
#   servers_end                       ends all that was started, by pid, and removes $SCRATCH
#
# Everything lives in files under $SCRATCH, so that setup_file, the tests and teardown_file, which
# bats runs in different processes, see the same servers. Nothing here leaves loopback.

WALPIPE_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
: "${WALPIPE_BIN:=$WALPIPE_ROOT/build/asan/bin}"
# A sanitizer's finding must never look like one of walpipe's own exit codes.
: "${ASAN_OPTIONS:=exitcode=99:detect_leaks=1:abort_on_error=0}"
: "${UBSAN_OPTIONS:=exitcode=99:print_stacktrace=1}"
: "${LSAN_OPTIONS:=exitcode=99}"
export WALPIPE_ROOT WALPIPE_BIN ASAN_OPTIONS UBSAN_OPTIONS LSAN_OPTIONS

# Debian's own psql is a Perl script that looks for a server first: ten times the processor time, and
# a wait calls it often.
prefer_psql_itself() {
    local dir
    for dir in /usr/lib/postgresql/*/bin; do
        [ ! -x "$dir/psql" ] || PATH=$dir:$PATH
    done
}
prefer_psql_itself

# bats's own directory is closed to the user postgres and too long for a socket's path.
if [ -z "${SCRATCH:-}" ]; then
    SCRATCH=$(mktemp -d "${WALPIPE_TMP:-/tmp}/wp.XXXXXX")
    chmod 755 "$SCRATCH"
fi
export SCRATCH

# ---- small things ----

servers_fail() {
    echo "servers.bash: $*" >&2
    return 1
}

wait_until() {
    local seconds=$1 end output
    shift
    end=$(($(date +%s%N) + seconds * 1000000000))
    until output=$("$@" 2>&1); do
        if [ "$(date +%s%N)" -ge "$end" ]; then
            servers_fail "waited $seconds s in vain for: $*${output:+; it last said: $output}"
            return 1
        fi
        sleep 0.05
    done
}

# A zombie is dead: nobody may be there to collect it. But the first thread of a process that was
# killed can be a zombie while others still end, and as long as one does, the process holds its
# files, locks and ports.
process_alive() {
    local file line state
    for file in "/proc/$1/task"/*/stat; do
        { read -r line <"$file"; } 2>/dev/null || continue
        state=${line##*) }
        case ${state%% *} in
        Z | X) ;;
        *) return 0 ;;
        esac
    done
    return 1
}

process_gone() {
    ! process_alive "$1"
}

# process_continue PID: SIGCONT to one that SIGSTOP has stopped. To one that ends, it would take back the
# stop of the leak check's ptrace, and the check would wait for ever.
process_continue() {
    [ "$(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null)" != T ] || kill -CONT "$1"
}

# process_born PID: a number that no later process with this pid has, or nothing when it is gone.
process_born() {
    local line fields
    { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 0
    read -ra fields <<<"${line##*) }"
    echo "${fields[19]}"
}

kill_later() {
    echo "$1 $(process_born "$1")" >>"$SCRATCH/pids"
}

# end_process PID SIGNAL SECONDS: asks with SIGNAL, then with KILL.
end_process() {
    process_alive "$1" || return 0
    kill "-$2" "$1" 2>/dev/null || return 0
    wait_until "$3" process_gone "$1" 2>/dev/null && return 0
    kill -KILL "$1" 2>/dev/null || return 0
    wait_until 10 process_gone "$1"
}

port_listens() {
    (exec 9<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# A port below the ephemeral range. It stays ours as long as $SCRATCH exists, also while its server
# is stopped; the table of ports is guarded by a lock.
port_new() {
    local table=/tmp/walpipe-test-ports-$UID port
    mkdir -p "$table"
    (
        flock 9
        for ((port = 20000 + $$ % 9000; ; port = port < 31999 ? port + 1 : 20000)); do
            [ -e "$table/$port" ] && [ -d "$(cat "$table/$port")" ] && continue
            port_listens "$port" && continue
            echo "$SCRATCH" >"$table/$port"
            echo "$port"
            break
        done
    ) 9>"$table/lock"
}

ports_free() {
    local table=/tmp/walpipe-test-ports-$UID file
    for file in "$table"/[0-9]*; do
        [ -e "$file" ] && [ "$(cat "$file" 2>/dev/null)" = "$SCRATCH" ] && rm -f "$file"
    done
    return 0
}

# ---- PostgreSQL ----

pg_bindir() {
    local dir
    for dir in ${PG_BINDIR:-/usr/lib/postgresql/15/bin /usr/lib/postgresql/*/bin}; do
        [ -x "$dir/initdb" ] && echo "$dir" && return 0
    done
    servers_fail "no PostgreSQL server found in /usr/lib/postgresql"
}

# PostgreSQL refuses to run as root.
as_postgres() {
    if [ "$UID" -eq 0 ]; then
        (cd / && exec setpriv --reuid postgres --regid postgres --init-groups -- "$@")
    else
        "$@"
    fi
}

# pg_initdb DIR: an empty cluster that trusts everybody who can reach it.
pg_initdb() {
    as_postgres "$(pg_bindir)/initdb" -D "$1" -U postgres -A trust -E UTF8 --locale=C.UTF-8 \
        --no-sync --no-instructions >"$SCRATCH/initdb.log" 2>&1 3>&- && return 0
    cat "$SCRATCH/initdb.log" >&2
    servers_fail "could not make a PostgreSQL cluster in $1"
}

# Prints the directory of a cluster to copy, made once per user and server version.
pg_template() {
    local bindir template work
    bindir=$(pg_bindir) || return 1
    template=/tmp/walpipe-test-template-$UID-$("$bindir/postgres" -V | sed 's/[^0-9.]*\([0-9.]*\).*/\1/')
    (
        flock 9
        [ -d "$template" ] && exit 0
        work=$(mktemp -d "$template.XXXXXX")
        [ "$UID" -ne 0 ] || chown postgres: "$work"
        pg_initdb "$work" && mv "$work" "$template"
    ) 9>"$template.lock" || return 1
    echo "$template"
}

# A copy has its template's system identifier, and tests must not run with one identifier
# everywhere: no two clusters of the real world share theirs. pg_resetwal takes a control file with
# another one and begins its WAL anew.
pg_renew_identity() {
    local dir=$1
    /usr/bin/python3 - "$dir/global/pg_control" <<'PYTHON' || return 1
import os, struct, sys

def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff

with open(sys.argv[1], "r+b") as f:
    content = bytearray(f.read())
    # the checksum's place differs between versions: it is the last field of the struct
    at = next(n for n in range(100, 400, 4)
              if struct.unpack_from("=I", content, n)[0] == crc32c(content[:n])
              and any(content[n:n + 4]))
    identifier = struct.unpack_from("=Q", content)[0] ^ int.from_bytes(os.urandom(4), "little")
    struct.pack_into("=Q", content, 0, identifier)
    struct.pack_into("=I", content, at, crc32c(content[:at]))
    f.seek(0)
    f.write(content)
PYTHON
    as_postgres "$(pg_bindir)/pg_resetwal" -f -D "$dir" >/dev/null
}

pg_data() { echo "$SCRATCH/$1/data"; }
pg_log() { echo "$SCRATCH/$1/log"; }
pg_port() { cat "$SCRATCH/$1/port"; }
pg_pid() { head -n 1 "$SCRATCH/$1/data/postmaster.pid"; }

pg_conninfo() {
    echo "host=$SCRATCH/$1 port=$(pg_port "$1") user=postgres dbname=${2:-postgres}"
}

# pg_configure NAME [setting=value ...]
pg_configure() {
    local name=$1 dir=$SCRATCH/$1 setting
    shift
    {
        echo "listen_addresses = '127.0.0.1'"
        echo "port = $(pg_port "$name")"
        echo "unix_socket_directories = '$dir'"
        echo "fsync = off"
        echo "wal_level = logical"
        echo "max_wal_senders = 20"
        echo "max_replication_slots = 20"
        echo "shared_buffers = 64MB"
        echo "log_line_prefix = '%m [%p] %a '"
        echo "timezone = 'UTC'"
        for setting in "$@"; do
            echo "${setting%%=*} = '${setting#*=}'"
        done
    } >>"$dir/data/postgresql.conf"
}

pg_new() {
    local name=$1 dir=$SCRATCH/$1 template
    shift
    template=$(pg_template) || return 1
    mkdir "$dir" && cp -a --reflink=auto "$template" "$dir/data" || return 1
    port_new >"$dir/port"
    : >"$dir/log"
    [ "$UID" -ne 0 ] || chown postgres: "$dir" "$dir/log"
    pg_renew_identity "$dir/data" || return 1
    pg_configure "$name" "$@"
    pg_start "$name"
}

pg_start() {
    local log
    log=$(pg_log "$1")
    as_postgres "$(pg_bindir)/pg_ctl" start -s -w -t 60 -D "$(pg_data "$1")" -l "$log" \
        </dev/null >/dev/null 2>&1 3>&- 4>&- && return 0
    tail -n 30 "$log" >&2
    servers_fail "could not start PostgreSQL \"$1\", its log's end is above"
}

pg_stop() {
    as_postgres "$(pg_bindir)/pg_ctl" stop -s -w -t 60 -m "${2:-fast}" -D "$(pg_data "$1")" \
        >/dev/null 3>&- 4>&-
}

process_stopped() {
    grep -q '^State:[^TZ]*T' "/proc/$1/status"
}

# As the power failing: the postmaster first, so that it cannot tidy up after its children. It is
# stopped before they are counted: the next server on this directory must not meet one that was
# forked meanwhile.
pg_kill() {
    local pid children child
    pid=$(pg_pid "$1") && kill -STOP "$pid" && wait_until 10 process_stopped "$pid" || return 1
    children=$(pgrep -P "$pid")
    kill -KILL "$pid" || return 1
    for child in $children; do
        kill -KILL "$child" 2>/dev/null || true # it may have noticed, and be gone
    done
    for child in $pid $children; do
        wait_until 20 process_gone "$child" || return 1
    done
    # A postmaster that nobody collected is a zombie, which the next one takes for a living one.
    rm -f "$(pg_data "$1")/postmaster.pid" "$SCRATCH/$1"/.s.PGSQL.*
}

pg_sql() {
    if [ "$2" = - ]; then
        psql -XAtq -v ON_ERROR_STOP=1 -d "$(pg_conninfo "$1" "${3:-}")" -f -
    else
        psql -XAtq -v ON_ERROR_STOP=1 -d "$(pg_conninfo "$1" "${3:-}")" -f - <<<"$2"
    fi
}

# ---- ClickHouse ----

ch_log() { echo "$SCRATCH/$1/log"; }
ch_pid() { cat "$SCRATCH/$1/pid"; }
ch_url() { echo "http://127.0.0.1:$(cat "$SCRATCH/$1/port")"; }

ch_server() {
    PATH=$PATH:/usr/sbin:/sbin type -P clickhouse-server
}

ch_new() {
    local dir=$SCRATCH/$1
    mkdir -p "$dir/data" "$dir/tmp" "$dir/user_files" "$dir/format_schemas" || return 1
    port_new >"$dir/port"
    port_new >"$dir/tcp_port"
    cat >"$dir/config.xml" <<XML
<yandex>
    <logger><level>information</level><console>1</console></logger>
    <http_port>$(cat "$dir/port")</http_port>
    <tcp_port>$(cat "$dir/tcp_port")</tcp_port>
    <listen_host>127.0.0.1</listen_host>
    <path>$dir/data/</path>
    <tmp_path>$dir/tmp/</tmp_path>
    <user_files_path>$dir/user_files/</user_files_path>
    <format_schema_path>$dir/format_schemas/</format_schema_path>
    <users_config>$dir/users.xml</users_config>
    <default_profile>default</default_profile>
    <default_database>default</default_database>
    <timezone>UTC</timezone>
    <mark_cache_size>67108864</mark_cache_size>
    <max_concurrent_queries>100</max_concurrent_queries>
    <merge_tree><old_parts_lifetime>1</old_parts_lifetime></merge_tree>
</yandex>
XML
    cat >"$dir/users.xml" <<XML
<yandex>
    <profiles><default><max_memory_usage>4000000000</max_memory_usage></default></profiles>
    <users>
        <default>
            <password></password>
            <networks><ip>127.0.0.1</ip></networks>
            <profile>default</profile>
            <quota>default</quota>
        </default>
    </users>
    <quotas><default></default></quotas>
</yandex>
XML
    ch_start "$1"
}

ch_answers() {
    curl -sf --noproxy '*' --max-time 2 "$(ch_url "$1")/ping" >/dev/null
}

# A session of its own: Ctrl-C on a terminal reaches the script that will end it, not the server.
ch_start() {
    local dir=$SCRATCH/$1 server pid
    server=$(ch_server) || {
        servers_fail "no clickhouse-server found"
        return 1
    }
    # shellcheck disable=SC2016 # the inner shell expands them
    setsid bash -c 'cd "$1" && echo $$ >"$1/pid" && exec "$2" --config-file="$1/config.xml"' \
        clickhouse "$dir" "$server" </dev/null >>"$dir/log" 2>&1 3>&- 4>&- &
    disown
    wait_until 5 test -s "$dir/pid" && pid=$(ch_pid "$1") || return 1
    wait_until 60 ch_started_or_dead "$1" "$pid" && ch_answers "$1" && return 0
    tail -n 30 "$dir/log" >&2
    servers_fail "could not start ClickHouse \"$1\", its log's end is above"
}

ch_started_or_dead() {
    ch_answers "$1" || process_gone "$2"
}

ch_stop() {
    end_process "$(ch_pid "$1")" TERM 30 && rm -f "$SCRATCH/$1/pid"
}

ch_kill() {
    local pid
    pid=$(ch_pid "$1") && kill -KILL "$pid" && wait_until 10 process_gone "$pid" &&
        rm -f "$SCRATCH/$1/pid"
}

# wait_end_of_query: an exception after the first rows becomes a status other than 200.
ch_sql() {
    local url
    url="$(ch_url "$1")/?wait_end_of_query=1&database=${3:-default}"
    if [ "$2" = - ]; then
        curl -sS --noproxy '*' --fail-with-body --data-binary @- "$url"
    else
        curl -sS --noproxy '*' --fail-with-body --data-binary @- "$url" <<<"$2"
    fi
}

# ---- the end ----

servers_logs() {
    local log
    for log in "$SCRATCH"/*/log; do
        [ -e "$log" ] || continue
        echo "---- the end of $log"
        tail -n "${1:-20}" "$log"
    done
}

servers_end() {
    local file pid born
    [ -n "${SCRATCH:-}" ] && [ -d "$SCRATCH" ] || return 0
    if [ -e "$SCRATCH/pids" ]; then
        # where pids come round soon, one may be another test's by now
        while read -r pid born; do
            if [ -n "$born" ] && [ "$(process_born "$pid")" = "$born" ]; then
                end_process "$pid" TERM 5
            fi
        done <"$SCRATCH/pids"
    fi
    for file in "$SCRATCH"/*/data/postmaster.pid; do
        [ -e "$file" ] && end_process "$(head -n 1 "$file")" QUIT 20
    done
    for file in "$SCRATCH"/*/config.xml; do
        pid=$(cat "${file%/config.xml}/pid" 2>/dev/null) && end_process "$pid" KILL 5
    done
    ports_free
    rm -rf "$SCRATCH"
}
