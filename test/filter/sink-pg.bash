# sink-pg.bash: what the tests of sink-pg alone share: event streams made by test/lib/stream.py in,
# rows of a real PostgreSQL out. ackd is test/lib/fake_ackd.py, which writes down what it is told.

setup_file() {
    . "$BATS_TEST_DIRNAME/../lib/servers.bash"
    pg_new dst max_prepared_transactions=5
    as_postgres psql -XAtq -h "$SCRATCH/dst" -p "$(pg_port dst)" -d postgres \
        -c "CREATE ROLE plain LOGIN" 3>&-
}

setup() {
    . "$BATS_TEST_DIRNAME/../lib/servers.bash"
    T=$(mktemp -d "$SCRATCH/t.XXXXXX")
    db=t$BATS_TEST_NUMBER
    pg_sql dst "CREATE DATABASE $db"
    acks=$T/acks
    start_ackd
}

teardown() {
    local pid
    for pid in "${pids[@]}"; do
        stop_process "$pid" || true
    done
    [ -n "$BATS_TEST_COMPLETED" ] || { tail -n 20 "$T"/err* "$acks"; }
    pg_sql dst "DROP DATABASE $db WITH (FORCE)"
}

teardown_file() {
    . "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

pids=()

stop_process() {
    process_continue "$1"
    end_process "$1" TERM 60
    wait "$1" 2>/dev/null
}

start_ackd() {
    ack=$T/ack.sock
    /usr/bin/python3 "$WALPIPE_ROOT/test/lib/fake_ackd.py" "$ack" "$@" >>"$acks" 2>&1 3>&- &
    ackd=$!
    pids+=("$ackd")
    wait_until 5 test -S "$ack"
}

# wait_status CODE PID: the background process PID ends with CODE.
wait_status() {
    status=0
    wait_until 60 process_gone "$2" || return 1
    wait "$2" || status=$?
    [ "$status" -eq "$1" ] || { echo "exit $status, expected $1" && return 1; }
}

sql() {
    pg_sql dst "$1" "$db"
}

# stream FILE < python code: writes an event stream, with everything of stream.py in reach. feed waits at
# each pause(MESSAGE, COUNT) behind what the Events object e has got so far.
stream() {
    rm -f "$1.pauses"
    {
        echo "def pause(message, count): print(len(e.bytes), message, count, file=open('$1.pauses', 'a'))"
        cat
    } | /usr/bin/python3 "$WALPIPE_ROOT/test/lib/stream.py" py >"$1"
}

# told MESSAGE FILTER: what ackd was told, one JSON line each.
told() {
    jq -c "select(.message == \"$1\") | $2" "$acks"
}

# The stream $T/s, which goes on behind each pause(MESSAGE, COUNT) when ackd was told that often.
feed() {
    local at=0 to message count
    while read -r to message count; do
        head -c "$to" "$T/s" | tail -c "+$((at + 1))"
        wait_until 60 has_told "$message" "$count"
        at=$to
    done <"$T/s.pauses"
    tail -c "+$((at + 1))" "$T/s"
}

has_told() {
    [ "$(told "$1" .message | wc -l)" -ge "$2" ]
}

# A table t(id, v, big) with relid 1, and an Events object e for it.
PRELUDE='
e = Events(sink="dst", shards=1)
T = [col("id", True, INT4), col("v"), col("big")]
e.table(1, "public", "t", T)
def tx(*changes):
    e.begin()
    for name, *args in changes:
        getattr(e, name)(1, *args)
    e.commit()
'

# sink OPTION... : runs to the end of its input; $status and $T/err.
sink() {
    status=0
    "$WALPIPE_BIN/sink-pg" --conninfo "$(pg_conninfo dst "$db")" --pipeline p --ackd "$ack" "$@" \
        2>"$T/err" 3>&- || status=$?
}

# A sink in the background that reads the FIFO $T/in: `exec 8>"$T/in"` writes to it.
start_sink() {
    [ -p "$T/in" ] || mkfifo "$T/in"
    "$WALPIPE_BIN/sink-pg" --conninfo "$(pg_conninfo dst "$db")" --pipeline p --ackd "$ack" "$@" \
        <"$T/in" 2>>"$T/err" 3>&- &
    sink=$!
    pids+=("$sink")
}

# The highest LSN ackd was told.
reached() {
    jq -s '[.[] | select(.message == "reached") | .lsn] | max // 0' "$acks"
}

reached_is() {
    [ "$(reached)" -ge "$1" ]
}

said() {
    grep -q "$1" "$T/err"
}

# A bare `!` does not fail a bats test.
unsaid() {
    ! said "$1" || { echo "said: $1" && return 1; }
}
