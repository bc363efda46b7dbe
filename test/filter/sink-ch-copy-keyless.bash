# sink-ch-copy-keyless.bash: a table without a key is copied under one snapshot (docs/copy.md), for
# sink-ch-copy-keyless.bats and, with a ClickHouse of today, sink-ch-modern.bats.

# Frames of a table t(id, v), relid 1, without a replica identity.
KEYLESS='
T = [col("id", oid=INT4), col("v")]
e = Events(sink="olap", shards=1, version=2)
def tx(xid, *changes):
    e.begin(xid=xid)
    for name, *args in changes:
        getattr(e, name)(1, *args)
    e.commit()
def empty(xid):
    e.begin(xid=xid); e.truncate([1]); e.commit()
def describe(columns=None): e.table(1, "public", "t", columns or T)
def ask(): e.add(copytable(0, 1, "public", "t", T, definition="d")).add(table_end(0, "l"))
def life(n): e.add(copytable(n, 1, "public", "t", T, definition="d"))
def block(n, number, rows_, snapshot=(100, 100, ()), mark=0x2028, from_=(0, 0), to=None):
    e.add(range_(n, number, 1, "public", "t", T, from_=from_, snapshot=snapshot, mark=mark, floor=0x100000))
    if rows_: e.add(rows(n, number, rows_))
    e.add(range_end(n, number, len(rows_), to))
'

# copied_keyless OPTION... < Python: the stream into the sink.
copied_keyless() {
    keyless_stream >"$DIR/s"
    : >"$DIR/log"
    sink --create-tables "$@" <"$DIR/s"
}

keyless_stream() {
    { echo "$KEYLESS"; cat; echo 'out(e)'; } | /usr/bin/python3 "$WALPIPE_ROOT/test/lib/stream.py" py
}

told() {
    jq -c "select(.message == \"$1\") | $2" "$DIR/acks"
}

told_is() {
    diff <(told "$1" "$2") <(printf '%s' "${3:+$3$'\n'}")
}

piles() { # with and without a version column
    local columns="id Nullable(Int32), v Nullable(String)"
    q "DROP TABLE IF EXISTS t"
    q "DROP TABLE IF EXISTS walpipe_tables"
    q "DROP TABLE IF EXISTS walpipe_progress"
    [ "$1" = plain ] || columns+=", _version UInt64"
    q "CREATE TABLE t ($columns) ENGINE = MergeTree ORDER BY tuple()"
}

pile_is() {
    is "SELECT id, v FROM t ORDER BY id, v" "$1"
}

note_is() {
    is "SELECT state, done, rows, keyless FROM walpipe_tables FINAL WHERE part = 1" "$1"
}

check_keyless() {
    local kind
    for kind in plain versions; do
        piles $kind
        copied_keyless <<'PY'
describe()
tx(90, ("insert", ["1", "before L0"]))
ask(); life(7)
# Not known yet what the snapshot contains: both wait.
tx(91, ("insert", ["2", "contained"]))
tx(150, ("insert", ["3", "lacked"]), ("insert", ["3", "lacked"]))
block(7, 1, [["1", "before L0"], ["2", "contained"], ["4", "twice"]], snapshot=(140, 160, (150, 155)), mark=0x2228, to=(5, 0))
# A commit that is visible early: its xid decides, not its place.
tx(151, ("delete", None, ["9", "contained"]), ("insert", ["5", "contained"]))
tx(155, ("insert", ["6", "lacked"]))
block(7, 2, [["4", "twice"], ["5", "contained"]], snapshot=(140, 160, (150, 155)), mark=0x2428, from_=(5, 0))
tx(161, ("insert", ["7", "lacked"]))
e.add(table_end(7))
tx(162, ("insert", ["8", "streaming"]))
e.end()
PY
        pile_is '1 before L0
2 contained
3 lacked
3 lacked
4 twice
4 twice
5 contained
6 lacked
7 lacked
8 streaming'
        note_is 'streaming (0,0)- 5 1'
        told_is missing .keys ''
        [ "$(told copied .written | uniq)" = true ]
        # A replay brings nothing of before the end of the copy again.
        copied_keyless <<'PY'
describe()
tx(90, ("insert", ["1", "before L0"])); tx(91, ("insert", ["2", "contained"]))
tx(150, ("insert", ["3", "lacked"]), ("insert", ["3", "lacked"]))
tx(151, ("delete", None, ["9", "contained"]), ("insert", ["5", "contained"]))
empty(152)
tx(161, ("insert", ["7", "lacked"]))
e.lsn = 0x2700
tx(163, ("insert", ["9", "streaming"])); ask(); e.end()
PY
        is "SELECT count() FROM t" 11
    done
}

# until FILE CONDITION...: the sink reads FILE and more, is killed when the condition holds.
killed_when() {
    local file=$1
    shift
    rm -f "$DIR/in"
    mkfifo "$DIR/in"
    "$WALPIPE_BIN/sink-ch" --url "$URL" --database "$DB" --pipeline p --ackd "$ACKD" --create-tables \
        <"$DIR/in" 2>>"$DIR/log" 3>&- &
    SINK=$!
    exec 8>"$DIR/in"
    cat "$file" >&8
    wait_until 20 "$@"
    kill -9 "$SINK"
    exec 8>&-
    wait "$SINK" || true
}

state_is() {
    [ "$(q "SELECT state FROM walpipe_tables FINAL WHERE part = 1" 2>/dev/null)" = "$1" ]
}

count_is() {
    [ "$(q "SELECT count() FROM t" 2>/dev/null)" = "$1" ]
}

reports() {
    told reached .lsn | grep -cx "$((0x2028))" || true
}

reported_again() {
    [ "$(reports)" -gt "$before" ]
}

check_keyless_kills() {
    local kind before
    for kind in plain versions; do
        piles $kind
        # before any row
        keyless_stream >"$DIR/one" <<<'describe(); ask(); life(7)'
        killed_when "$DIR/one" state_is copying
        # while changes wait: they are confirmed
        before=$(reports)
        keyless_stream >"$DIR/two" <<<'describe(); ask(); life(8); tx(150, ("insert", ["2", "waits"]))'
        killed_when "$DIR/two" reported_again
        count_is 0
        # with a part of its rows, and one that the stream brought
        keyless_stream >"$DIR/three" <<'PY'
e.lsn = 0x2100
describe(); ask(); life(9)
block(9, 1, [["1", "a"], ["2", "waits"]], snapshot=(152, 152, ()), mark=0x1000, to=(5, 0))
tx(153, ("insert", ["3", "b"]))
PY
        killed_when "$DIR/three" count_is 3
        # behind the last range
        keyless_stream >"$DIR/four" <<'PY'
e.lsn = 0x2100
describe(); tx(153, ("insert", ["3", "b"])); ask(); life(10)
block(10, 1, [["1", "a"], ["2", "waits"], ["3", "b"]], snapshot=(154, 154, ()), mark=0x1000)
PY
        killed_when "$DIR/four" count_is 3
        # at the end
        keyless_stream >"$DIR/five" <<'PY'
e.lsn = 0x2100
describe(); tx(153, ("insert", ["3", "b"])); ask(); life(11)
tx(155, ("insert", ["4", "c"]))
block(11, 1, [["1", "a"], ["2", "waits"], ["3", "b"]], snapshot=(155, 155, ()), mark=0x1000)
e.add(table_end(11))
PY
        killed_when "$DIR/five" state_is streaming
        copied_keyless <<'PY'
e.lsn = 0x2100
describe(); tx(153, ("insert", ["3", "b"])); tx(155, ("insert", ["4", "c"])); tx(156, ("insert", ["5", "d"])); ask(); e.end()
PY
        pile_is '1 a
2 waits
3 b
4 c
5 d'
    done
}
