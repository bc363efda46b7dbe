# sink-ch.bash: what the tests of sink-ch alone share: event streams written by stream.py, a real
# ClickHouse, a fake ackd. With WALPIPE_CH=modern the ClickHouse is today's (chdb.bash).

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    if [ "${WALPIPE_CH:-}" = modern ]; then
        source "$BATS_TEST_DIRNAME/../lib/chdb.bash"
        ! chdb_available || chdb_new ch
    else
        ch_new ch
    fi
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    if [ "${WALPIPE_CH:-}" = modern ]; then
        source "$BATS_TEST_DIRNAME/../lib/chdb.bash"
        chdb_or_skip
    fi
    export PYTHONPATH=$WALPIPE_ROOT/test/lib PYTHONDONTWRITEBYTECODE=1
    DB=t$BATS_TEST_NUMBER
    DIR=$BATS_TEST_TMPDIR
    # A socket's path is short.
    ACKD=$SCRATCH/ackd$BATS_TEST_NUMBER.sock
    URL=$(ch_url ch)
    ch_sql ch "CREATE DATABASE IF NOT EXISTS $DB"
    ackd
}

teardown() {
    local job
    for job in $(jobs -p); do
        kill -KILL "$job" 2>/dev/null || true
        wait "$job" 2>/dev/null || true
    done
    if [ -z "${BATS_TEST_COMPLETED:-}" ]; then
        cat "$DIR"/log* "$DIR/acks" "$DIR/requests" 2>/dev/null || true
    fi
    rm -f "$ACKD"
}

# ---- helpers ----

ackd() {
    /usr/bin/python3 "$WALPIPE_ROOT/test/lib/fake_ackd.py" "$ACKD" "$@" >"$DIR/acks" 3>&- &
    ACKD_PID=$!
    wait_until 10 test -S "$ACKD"
}

# Runs the Python on stdin with stream.py's names and e, an event stream for this sink; prints the
# stream.
events() {
    {
        echo 'e = Events(sink="olap", shards=1)'
        cat
        echo 'out(e)'
    } | /usr/bin/python3 "$WALPIPE_ROOT/test/lib/stream.py" py
}

sink() {
    timeout -s KILL 60 "$WALPIPE_BIN/sink-ch" --url "$URL" --database "$DB" --pipeline p --ackd "$ACKD" "$@" \
        2>>"$DIR/log" 3>&-
}

q() {
    ch_sql ch "$1" "$DB"
}

# is SQL EXPECTED: the query's rows, columns separated by spaces.
is() {
    local got
    got=$(q "$1" | tr '\t' ' ')
    [ "$got" = "$2" ] || {
        printf 'query    %s\ngot      %s\nexpected %s\n' "$1" "$got" "$2" >&2
        return 1
    }
}

# exits CODE COMMAND...
exits() {
    local expected=$1 code=0
    shift
    "$@" || code=$?
    [ "$code" = "$expected" ] || {
        echo "exit code $code, expected $expected" >&2
        return 1
    }
}

log_has() {
    grep -qF -- "$1" "$DIR/log" || {
        echo "the log does not say: $1" >&2
        return 1
    }
}

# The highest LSN reported as reached, in hex.
reached() {
    jq -s -r 'map(select(.message == "reached").lsn) | max // 0' "$DIR/acks" |
        xargs printf '%x\n'
}

reached_is() {
    [ "$(reached)" = "$1" ] || {
        echo "reached $(reached), expected $1" >&2
        return 1
    }
}

table() { # NAME COLUMNS KEY
    q "CREATE TABLE $1 ($2, _version UInt64, _is_deleted UInt8)
        ENGINE = ReplacingMergeTree(_version) ORDER BY ($3)"
}

small() { # the stream of one row into t
    events <<'EOF'
e.table(1, "public", "t", [col("id", True, INT4), col("v")])
e.begin(); e.insert(1, ["1", "a"]); e.commit(); e.end()
EOF
}

# fake PLAN-AS-PYTHON: a ClickHouse 24.8 with the table t.
fake() {
    local port
    port=$(port_new)
    /usr/bin/python3 - >"$DIR/plan" <<EOF
import json
plan = {"version": "24.8.4.13", "types": ["UInt128", "Bool", "Date32", "DateTime64", "Decimal256"],
    "settings": {"async_insert": "1", "input_format_null_as_default": "1", "max_insert_block_size": "1048449"},
    "tables": {"t": {"engine": "ReplacingMergeTree", "sorting_key": "id",
        "engine_full": "ReplacingMergeTree(_version, _is_deleted) ORDER BY id SETTINGS index_granularity = 8192",
        "columns": [["id", "Int32", "", 0], ["v", "String", "", 0], ["_version", "UInt128", "", 0], ["_is_deleted", "UInt8", "", 0]]}},
    "inserts": []}
plan.update($1)
print(json.dumps(plan))
EOF
    /usr/bin/python3 "$BATS_TEST_DIRNAME/sinkch_fake.py" "$port" "$DIR/plan" >"$DIR/requests" 3>&- &
    URL=http://127.0.0.1:$port
    wait_until 10 port_listens "$port"
}

inserts() {
    jq -s 'map(select(.insert)) | length' "$DIR/requests"
}
