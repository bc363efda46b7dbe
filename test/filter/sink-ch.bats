#!/usr/bin/env bats
# sink-ch alone: event streams written by stream.py, a real ClickHouse, a fake ackd.

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    ch_new ch
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
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
    done
    if [ -z "${BATS_TEST_COMPLETED:-}" ]; then
        cat "$DIR"/log* "$DIR/acks" 2>/dev/null || true
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

# ---- rows ----

@test "insert, update, delete and a key change; deletes leave tombstones" {
    table t "id Int32, v Nullable(String)" id
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "t", [col("id", True, INT4), col("v")])
e.begin(); e.insert(1, ["1", "a"]); e.insert(1, ["2", "b"]); e.insert(1, ["3", None]); e.commit()
e.begin(); e.update(1, ["1", "a2"]); e.delete(1, key=["2", None])
e.update(1, ["4", "c"], key=["3", None]); e.commit()
e.watermark(); e.end()
EOF
    sink <"$DIR/in"
    is "SELECT id, v, _version, _is_deleted FROM t FINAL ORDER BY id" \
        "1 a2 8448 0
2 \\N 8448 1
3 \\N 8448 1
4 c 8448 0"
    reached_is 21f8
    [ "$(jq -r .message "$DIR/acks" | grep -v closed | tr '\n' ' ')" = "register reached finished " ]
    sink <"$DIR/in"
    is "SELECT id, v FROM t FINAL WHERE _is_deleted = 0 ORDER BY id" "1 a2
4 c"
}

@test "one row a key and batch: the last change wins, also when a batch is cut inside a transaction (trap 111)" {
    table t "id Int32, v String" id
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "t", [col("id", True, INT4), col("v")])
e.begin()
for i in range(1000):
    e.insert(1, [str(i % 10), "v%d" % i]) if i < 10 else e.update(1, [str(i % 10), "v%d" % i])
e.delete(1, key=["9", None])
e.commit(); e.end()
EOF
    sink --batch-rows 3 <"$DIR/in"
    is "SELECT count(), max(v) FROM t FINAL WHERE _is_deleted = 0" "9 v998"
    is "SELECT id, v FROM t FINAL WHERE _is_deleted = 0 AND id = 4" "4 v994"
}

@test "rows that swap keys: through a third value, and under a deferrable key (trap 115)" {
    table t "id Int32, v String" id
    table f "id Int32, v String" id
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "t", [col("id", True, INT4), col("v")])
e.table(2, "public", "f", [col("id", True, INT4), col("v", True)], identity="f")
e.begin()
for r in (1, 2): e.insert(r, ["1", "one"]); e.insert(r, ["2", "two"])
e.insert(2, ["7", "gone"])
e.commit()
e.begin()
e.update(1, ["3", "one"], key=["1", None])
e.update(1, ["1", "two"], key=["2", None])
e.update(1, ["2", "one"], key=["3", None])
e.update(2, ["2", "one"], old=["1", "one"])
e.update(2, ["2", "two!"], old=["2", "two"])   # of the row that is still to leave key 2
e.update(2, ["1", "two!"], old=["2", "two!"])
e.delete(2, old=["7", "gone"]); e.insert(2, ["7", "new"])
e.update(2, ["8", "new"], old=["7", "new"])
e.commit()
e.end()
EOF
    sink <"$DIR/in"
    is "SELECT id, v FROM t FINAL WHERE _is_deleted = 0 ORDER BY id" "1 two
2 one"
    is "SELECT id, v FROM f FINAL WHERE _is_deleted = 0 ORDER BY id" "1 two!
2 one
8 new"
    # the same with the first transaction in a batch of its own
    q "TRUNCATE TABLE f"
    sink --batch-rows 5 <"$DIR/in"
    is "SELECT id, v FROM f FINAL WHERE _is_deleted = 0 ORDER BY id" "1 two!
2 one
8 new"
}

@test "truncate stands in its place of the order (traps 58, 117)" {
    table a "id Int32" id
    table b "id Int32" id
    table c "id Int32" id
    events >"$DIR/in" <<'EOF'
for r, n in ((1, "a"), (2, "b"), (3, "c")): e.table(r, "public", n, [col("id", True, INT4)])
e.begin()
for r in (1, 2, 3): e.insert(r, ["1"])
e.truncate([1, 2], 3)
e.insert(1, ["2"])
e.commit()
e.end()
EOF
    sink <"$DIR/in"
    sink <"$DIR/in"
    is "SELECT count() FROM a" 1
    is "SELECT id FROM a" 2
    is "SELECT count() FROM b" 0
    is "SELECT id FROM c FINAL" 1
}

@test "a table without a key: rows are added, updates and deletes are refused (trap 130)" {
    q "CREATE TABLE t (v Nullable(String)) ENGINE = MergeTree ORDER BY tuple()"
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "t", [col("v")], identity="n")
e.begin(); e.insert(1, ["a"]); e.insert(1, ["a"]); e.insert(1, [None]); e.commit(); e.end()
EOF
    sink <"$DIR/in"
    is "SELECT count(), countIf(v = 'a') FROM t" "3 2"
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "t", [col("v")], identity="n")
e.begin(); e.delete(1, old=["a"]); e.commit(); e.end()
EOF
    exits 100 sink <"$DIR/in"
    log_has 'cannot apply a delete of table \"public.t\"'
}

@test "columns go by name; computed ones are left to ClickHouse, extra ones to their defaults (traps 56, 122)" {
    q "CREATE TABLE t (extra Int32 DEFAULT 7, b String, m String MATERIALIZED upper(b), id Int32,
        c String MATERIALIZED 'x', _version UInt64, _is_deleted UInt8)
        ENGINE = ReplacingMergeTree(_version) ORDER BY id"
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "t", [col("c"), col("id", True, INT4), col("b")])
e.begin(); e.insert(1, ["from source", "1", "b"]); e.commit()
e.table(1, "public", "t", [col("b"), col("id", True, INT4)])
e.begin(); e.insert(1, ["b2", "2"]); e.commit()
e.end()
EOF
    sink <"$DIR/in"
    is "SELECT id, b, m, c, extra FROM t ORDER BY id" "1 b B x 7
2 b2 B2 x 7"
}

@test "names: public.t is t, s.t is s_t, --map decides otherwise; odd names are quoted" {
    q "CREATE TABLE s_t (\`id\` Int32, _version UInt64, _is_deleted UInt8) ENGINE = ReplacingMergeTree(_version) ORDER BY id"
    table '`a b``c'"'"'d`' '`i d` Int32, `x\`y` String' '`i d`' || true
    q 'CREATE TABLE `a b` (`i d` Int32, `x\`y` String, _version UInt64, _is_deleted UInt8)
        ENGINE = ReplacingMergeTree(_version) ORDER BY `i d`'
    table other "id Int32" id
    events >"$DIR/in" <<'EOF'
e.table(1, "s", "t", [col("id", True, INT4)])
e.table(2, "public", "a b", [col("i d", True, INT4), col("x`y")])
e.table(3, "public", "m", [col("id", True, INT4)])
e.begin(); e.insert(1, ["1"]); e.insert(2, ["2", "x"]); e.insert(3, ["3"]); e.commit(); e.end()
EOF
    sink --map "public.m -> $DB.other, public.q -> r" <"$DIR/in"
    is "SELECT id FROM s_t" 1
    is 'SELECT * FROM `a b`' "2 x 8192 0"
    is "SELECT id FROM other" 3
    exits 100 sink --map "public.m -> " <"$DIR/in"
    exits 100 sink --map "public.m -> a, public.m -> b" <"$DIR/in"
}

@test "a table of 1,000 columns with long names (trap 127)" {
    /usr/bin/python3 - >"$DIR/create" <<'EOF'
names = ["%s_%04d" % ("c" * 55, i) for i in range(1000)]
print("CREATE TABLE wide (id Int32, %s, _version UInt64, _is_deleted UInt8) ENGINE = ReplacingMergeTree(_version) ORDER BY id"
      % ", ".join("%s Int16" % n for n in names))
EOF
    ch_sql ch - "$DB" <"$DIR/create"
    events >"$DIR/in" <<'EOF'
names = ["%s_%04d" % ("c" * 55, i) for i in range(1000)]
e.table(1, "public", "wide", [col("id", True, INT4)] + [col(n, oid=INT4) for n in names])
e.begin()
for r in range(3): e.insert(1, [str(r)] + [str(10 + i) for i in range(1000)])
e.commit(); e.end()
EOF
    sink <"$DIR/in"
    is "SELECT count(), sum($(printf 'c%.0s' {1..55})_0999) FROM wide" "3 3027"
}

# ---- unchanged TOAST ----

@test "unchanged TOAST: from the batch, from ClickHouse, over a key change, from a full old row (traps 48, 50, 116)" {
    table t "id Int32, a Nullable(Int32), b Nullable(String), c String" id
    table k "k String, n Int32" k
    table f "id Int32, n Int32, b String" id
    events >"$DIR/in" <<'EOF'
U = UNCHANGED
e.table(1, "public", "t", [col("id", True, INT4), col("a", oid=INT4), col("b"), col("c")])
e.table(2, "public", "k", [col("k", True), col("n", oid=INT4)])
e.table(3, "public", "f", [col("id", True, INT4), col("n", True, INT4), col("b", True)], identity="f")
e.begin()
for i in range(1, 7): e.insert(1, [str(i), "0", "big%d" % i, "C%d" % i])
e.update(1, ["1", "1", U, U])                       # from the batch
e.insert(2, ["K" * 3000, "1"])
e.insert(3, ["1", "1", "full"])
e.commit()
e.watermark()
EOF
    sink --batch-rows 1 < <(cat "$DIR/in"; events <<<'' | tail -c +99999; /usr/bin/python3 -c 'from stream import *; out(end())')
    events >"$DIR/in" <<'EOF'
U = UNCHANGED
e.lsn = 0x3000
e.table(1, "public", "t", [col("id", True, INT4), col("a", oid=INT4), col("b"), col("c")])
e.table(2, "public", "k", [col("k", True), col("n", oid=INT4)])
e.table(3, "public", "f", [col("id", True, INT4), col("n", True, INT4), col("b", True)], identity="f")
e.begin()
e.update(1, ["1", "10", U, U])                      # from ClickHouse
e.update(1, ["2", "20", U, "C2!"])                  # one of two
e.update(1, ["2", "21", U, U])                      # a hole that stands on a hole
e.update(1, ["33", "30", U, U], key=["3", None, None, None])    # by the old key
e.update(1, ["333", "31", "new", U], key=["33", None, None, None])
e.update(1, ["4", "40", U, U]); e.delete(1, key=["4", None, None, None])
e.update(1, ["5", "50", None, U])
e.update(2, [U, "2"], key=["K" * 3000, None])       # the key itself is TOASTed
e.update(3, ["1", "2", U], old=["1", "1", "full"])
e.commit(); e.end()
EOF
    sink <"$DIR/in"
    is "SELECT id, a, b, c FROM t FINAL WHERE _is_deleted = 0 ORDER BY id" "1 10 big1 C1
2 21 big2 C2!
5 50 \\N C5
6 0 big6 C6
333 31 new C3"
    is "SELECT length(k), n FROM k FINAL" "3000 2"
    is "SELECT id, n, b FROM f FINAL" "1 2 full"
    # a replay, when ClickHouse is already past it
    sink <"$DIR/in"
    is "SELECT id, a, b, c FROM t FINAL WHERE _is_deleted = 0 ORDER BY id" "1 10 big1 C1
2 21 big2 C2!
5 50 \\N C5
6 0 big6 C6
333 31 new C3"
}

@test "unchanged TOAST at a replay: a row that later moved, was deleted or came anew" {
    table t "id Int32, a Int32, b String" id
    events >"$DIR/in" <<'EOF'
U = UNCHANGED
e.table(1, "public", "t", [col("id", True, INT4), col("a", oid=INT4), col("b")])
e.begin(); [e.insert(1, [str(i), "0", "big%d" % i]) for i in (1, 2, 3, 4)]; e.commit()
e.begin(); [e.update(1, [str(i), "1", U]) for i in (1, 2, 3)]; e.commit()
e.begin(); e.update(1, ["11", "2", U], key=["1", None, None]); e.commit()
e.begin(); e.delete(1, key=["2", None, None]); e.delete(1, key=["3", None, None]); e.commit()
e.begin(); e.insert(1, ["3", "9", "anew"]); e.insert(1, ["1", "9", "other"]); e.commit()
e.begin(); e.update(1, ["44", "5", U], key=["4", None, None]); e.insert(1, ["4", "6", "x"]); e.commit()
e.end()
EOF
    expected="1 9 other
3 9 anew
4 6 x
11 2 big1
44 5 big4"
    for rows in 1 100 1 2; do
        sink --batch-rows $rows <"$DIR/in"
        is "SELECT id, a, b FROM t FINAL WHERE _is_deleted = 0 ORDER BY id" "$expected"
    done
    # from the second transaction on, as after a restart
    events >"$DIR/in2" <<'EOF'
U = UNCHANGED
e.lsn = 0x2100
e.table(1, "public", "t", [col("id", True, INT4), col("a", oid=INT4), col("b")])
e.begin(); [e.update(1, [str(i), "1", U]) for i in (1, 2, 3)]; e.commit()
e.begin(); e.update(1, ["11", "2", U], key=["1", None, None]); e.commit()
e.begin(); e.delete(1, key=["2", None, None]); e.delete(1, key=["3", None, None]); e.commit()
e.begin(); e.insert(1, ["3", "9", "anew"]); e.insert(1, ["1", "9", "other"]); e.commit()
e.begin(); e.update(1, ["44", "5", U], key=["4", None, None]); e.insert(1, ["4", "6", "x"]); e.commit()
e.end()
EOF
    for rows in 1 100; do
        sink --batch-rows $rows <"$DIR/in2"
        is "SELECT id, a, b FROM t FINAL WHERE _is_deleted = 0 ORDER BY id" "$expected"
    done
}

@test "unchanged TOAST that is nowhere to be found stops the sink, never a default (traps 48, 49)" {
    table t "id Int32, b Nullable(String)" id
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "t", [col("id", True, INT4), col("b")])
e.begin(); e.update(1, ["77", UNCHANGED]); e.commit(); e.end()
EOF
    exits 100 sink <"$DIR/in"
    log_has 'unchanged TOAST values of table \"public.t\" were not sent'
    log_has 'RowBinary 4d000000'
    log_has '"lsn":"0/2000"'
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "t", [col("id", True, INT4), col("b")])
e.begin(); e.insert(1, ["78", UNCHANGED]); e.commit(); e.end()
EOF
    exits 100 sink <"$DIR/in"
    is "SELECT count() FROM t" 0
    reached_is 0
}

@test "many read-backs in one batch, with a key of two columns" {
    table t "k Int32, s String, b String, n Int32" "k, s"
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "t", [col("k", True, INT4), col("b"), col("s", True), col("n", oid=INT4)])
e.begin()
for i in range(3000): e.insert(1, [str(i), "b%d" % i, "s'%d" % i, "0"])
e.commit(); e.begin()
for i in range(3000): e.update(1, [str(i), UNCHANGED, "s'%d" % i, "1"])
e.commit(); e.end()
EOF
    sink --batch-rows 3000 <"$DIR/in"
    is "SELECT count(), sum(n), countIf(b = concat('b', toString(k))) FROM t FINAL" "3000 3000 3000"
}

# ---- what goes wrong ----

small() { # the stream of one row into t
    events <<'EOF'
e.table(1, "public", "t", [col("id", True, INT4), col("v")])
e.begin(); e.insert(1, ["1", "a"]); e.commit(); e.end()
EOF
}

@test "ClickHouse is down: the sink waits, says so, and sends the same rows when it is back (traps 103, 109)" {
    table t "id Int32, v String" id
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "t", [col("id", True, INT4), col("v")])
for i in range(200): e.begin(); e.insert(1, [str(i), "v"]); e.commit()
e.end()
EOF
    mkfifo "$DIR/fifo"
    sink --batch-rows 10 <"$DIR/fifo" &
    local pid=$!
    exec 7>"$DIR/fifo"
    head -c 4000 "$DIR/in" >&7
    wait_until 10 reached_more_than 0
    ch_kill ch
    tail -c +4001 "$DIR/in" >&7
    exec 7>&-
    wait_until 10 grep -q '"alive": false' "$DIR/acks"
    process_alive "$pid"
    ch_start ch
    wait "$pid"
    grep -q '"alive": true' "$DIR/acks"
    log_has "trying again"
    log_has "the target is back"
    is "SELECT count() FROM t FINAL" 200
    reached_is e728
}

reached_more_than() {
    [ "$((16#$(reached)))" -gt "$1" ]
}

@test "while ClickHouse is down, the sink notices that ackd or its input died (trap 133)" {
    URL=http://127.0.0.1:$(port_new)
    small >"$DIR/in"
    mkfifo "$DIR/fifo"
    sink <"$DIR/fifo" &
    local pid=$!
    exec 7>"$DIR/fifo"
    cat "$DIR/in" >&7
    wait_until 10 grep -q '"alive": false' "$DIR/acks"
    kill "$ACKD_PID"
    exits 111 wait "$pid"
    log_has "ackd closed the connection"
    exec 7>&-

    ackd
    head -c -5 "$DIR/in" >"$DIR/cut"
    sink <"$DIR/fifo" &
    pid=$!
    exec 7>"$DIR/fifo"
    cat "$DIR/cut" >&7
    wait_until 10 grep -q '"alive": false' "$DIR/acks"
    exec 7>&-
    exits 111 wait "$pid"
    log_has "was cut inside a frame"
}

@test "kill -9 at any moment, then the whole stream again: the same rows (traps 103, 106)" {
    table t "id Int32, v String" id
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "t", [col("id", True, INT4), col("v")])
for i in range(300):
    e.begin(); e.insert(1, [str(i), "x" * 5000]); e.update(1, [str(i // 2), "u%d" % i + "y" * 5000])
    if i % 3 == 0: e.delete(1, key=[str(i), None])
    if i % 7 == 0: e.update(1, [str(i + 1000), "moved"], key=[str(i // 2), None])
    e.commit()
e.end()
EOF
    local i
    for i in 1 2 3 4 5 6; do
        # timeout's own exit code says that it killed
        timeout -s KILL "0.$((i * 7))" "$WALPIPE_BIN/sink-ch" --url "$URL" --database "$DB" \
            --pipeline p --ackd "$ACKD" --batch-rows $((i * 20)) <"$DIR/in" 2>>"$DIR/log" 3>&- || true
    done
    sink <"$DIR/in"
    q "SELECT id, v, _is_deleted FROM t FINAL ORDER BY id" >"$DIR/got"
    q "TRUNCATE TABLE t"
    sink <"$DIR/in"
    q "SELECT id, v, _is_deleted FROM t FINAL ORDER BY id" >"$DIR/expected"
    cmp "$DIR/got" "$DIR/expected"
}

@test "EOF without end: exit 111, and nothing of the open transaction was sent (trap 133)" {
    table t "id Int32, v String" id
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "t", [col("id", True, INT4), col("v")])
e.begin(); e.insert(1, ["1", "a"]); e.commit()
e.begin(); e.insert(1, ["2", "b"])
EOF
    exits 111 sink <"$DIR/in"
    log_has "without an end frame"
    is "SELECT count() FROM t WHERE id = 2" 0
    exits 111 sink </dev/null
    head -c -3 "$DIR/in" >"$DIR/cut"
    exits 111 sink <"$DIR/cut"
    log_has "was cut inside a frame"
}

@test "end inside a transaction: what was complete is flushed and reported, the rest is thrown away" {
    table t "id Int32, v String" id
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "t", [col("id", True, INT4), col("v")])
e.begin(); e.insert(1, ["1", "a"]); e.insert(1, ["2", "b"]); e.commit()
e.begin(); e.update(1, ["1", "open"]); e.delete(1, key=["2", None]); e.insert(1, ["3", "open"]); e.end()
EOF
    sink <"$DIR/in"
    is "SELECT id, v, _is_deleted FROM t FINAL ORDER BY id" "1 a 0
2 b 0"
    reached_is 2028
}

@test "a lost event is noticed, nothing of its transaction is acknowledged (trap 159)" {
    table t "id Int32, v String" id
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "t", [col("id", True, INT4), col("v")])
e.begin(); e.insert(1, ["1", "a"]); e.commit(events=2); e.end()
EOF
    exits 101 sink <"$DIR/in"
    log_has "2 changes for this worker, but 1 arrived"
    reached_is 0
}

@test "junk on the input is refused" {
    local i
    head -c 3000 /dev/urandom >"$DIR/junk"
    exits 100 sink <"$DIR/junk"
    small >"$DIR/in"
    table t "id Int32, v String" id
    for bytes in '\xc1' '\x92\x13\x01' '\x91\x63' '\x95\x13\x00\x09\x01\x90' '\x94\x10\x01\xa1x\xa1y'; do
        { head -c $(($(stat -c %s "$DIR/in") - 12)) "$DIR/in"
            printf "\\x00\\x00\\x00\\x$(printf '%02x' "$(printf "$bytes" | wc -c)")$bytes"; } >"$DIR/bad"
        local code=0
        sink <"$DIR/bad" || code=$?
        [ "$code" = 100 ] || [ "$code" = 101 ]
    done
    reached_is 0
}

@test "one row, then silence: it is there within the flush interval; an idle stream acknowledges watermarks (traps 165, 166)" {
    table t "id Int32, v String" id
    small >"$DIR/in"
    mkfifo "$DIR/fifo"
    sink --flush-interval 200ms <"$DIR/fifo" &
    local pid=$!
    exec 7>"$DIR/fifo"
    head -c -12 "$DIR/in" | cat >&7
    wait_until 5 is "SELECT count() FROM t" 1
    wait_until 5 reached_is 2028
    /usr/bin/python3 -c 'from stream import *; out(watermark(0x9000))' >&7
    wait_until 5 reached_is 9000
    /usr/bin/python3 -c 'from stream import *; out(*[watermark(0x9000 + n) for n in range(1, 2000)])' >&7
    wait_until 5 reached_is 97cf
    [ "$(grep -c '"reached"' "$DIR/acks")" -lt 12 ]
    /usr/bin/python3 -c 'from stream import *; out(end())' >&7
    exec 7>&-
    wait "$pid"
}

@test "a large transaction is sent in pieces, its predecessors are acknowledged; ackd hears of it only after its commit" {
    table t "id Int32, v String" id
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "t", [col("id", True, INT4), col("v")])
e.begin(); e.insert(1, ["-1", "before"]); e.commit(); e.begin()
for i in range(1000): e.insert(1, [str(i), "v"])
EOF
    mkfifo "$DIR/fifo"
    sink --batch-rows 100 --flush-interval 10min <"$DIR/fifo" &
    local pid=$!
    exec 7>"$DIR/fifo"
    cat "$DIR/in" >&7
    wait_until 5 is "SELECT count() FROM t" 1000
    reached_is 2028
    /usr/bin/python3 -c 'from stream import *; out(commit(0x2100, 0x2128, 1000), end())' >&7
    exec 7>&-
    wait "$pid"
    reached_is 2128
    is "SELECT count() FROM t" 1001
}

@test "two workers and barriers: the applier goes first" {
    table t "id Int32, v String" id
    table u "id Int32, v String" id
    for shard in 0 1; do
        events >"$DIR/in$shard" <<EOF
e = Events(sink="olap", shard=$shard, shards=2)
e.table(1, "public", "t", [col("id", True, INT4), col("v")])
e.table(2, "public", "u", [col("id", True, INT4), col("v")])
e.begin()
for i in range(100): e.insert(1, [str(2 * i + $shard), "a"]); e.insert(2, [str(2 * i + $shard), "a"])
e.add(barrier(1, 1))
if $shard == 1: e.truncate([1, 2])
e.insert(1, [str(1000 + $shard), "b"])
e.add(barrier(2, 0))
if $shard == 0: e.update(1, ["2001", "b"], key=["1001", None])
e.commit(); e.end()
EOF
    done
    sink <"$DIR/in0" &
    local pid=$!
    sink <"$DIR/in1"
    wait "$pid"
    is "SELECT id, v FROM t FINAL WHERE _is_deleted = 0 ORDER BY id" "1000 b
2001 b"
    is "SELECT count() FROM u" 0
    [ "$(grep -c '"finished"' "$DIR/acks")" = 2 ]
    [ "$(jq -r 'select(.message == "barrier_done").id' "$DIR/acks" | tr '\n' ' ')" = "1 2 " ]
}
