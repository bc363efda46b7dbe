# sink-ch-copy.bash: a table that is copied while the stream goes on (docs/copy.md), for sink-ch-copy.bats
# and, with a ClickHouse of today, sink-ch-modern.bats.

# A stream of version 2, and the frames of a table t(id, v, big), relid 1.
COPY_PRELUDE='
T = [col("id", True, INT4), col("v"), col("big")]
e = Events(sink="olap", shards=1, version=2)
def tx(xid, *changes):
    e.begin(xid=xid)
    for name, *args in changes:
        getattr(e, name)(1, *args)
    e.commit()
def ask(*parts):
    for part in parts or [None]: e.add(copytable(0, 1, "public", "t", T, definition="d", part=part))
    e.add(table_end(0, "l"))
def life(n, part=None): e.add(copytable(n, 1, "public", "t", T, definition="d", part=part))
def block(n, number, rows_, to=None, from_=(0, 0), snapshot=(100, 100, ()), mark=0x2028, kind="b", keys=()):
    e.add(range_(n, number, 1, "public", "t", T, from_=from_, snapshot=snapshot, mark=mark, floor=0x100000, kind=kind))
    if rows_: e.add(rows(n, number, rows_))
    if keys: e.add(absent(n, number, [[k, None, None] for k in keys]))
    e.add(range_end(n, number, len(rows_) + len(keys), to))
'

# copied OPTION... < Python: the stream into the sink.
copied() {
    {
        echo "$COPY_PRELUDE"
        cat
        echo 'out(e)'
    } | /usr/bin/python3 "$WALPIPE_ROOT/test/lib/stream.py" py >"$DIR/s"
    : >"$DIR/log"
    sink --create-tables "$@" <"$DIR/s"
}

# told MESSAGE FILTER: what ackd was told, one JSON line each.
told() {
    jq -c "select(.message == \"$1\") | $2" "$DIR/acks"
}

told_is() {
    diff <(told "$1" "$2") <(printf '%s' "${3:+$3$'\n'}")
}

notes_are() {
    is "SELECT relid, part, shard, state, done FROM walpipe_tables FINAL WHERE state <> 'gone' ORDER BY relid, part, shard" "$1"
}

missing_are() {
    is "SELECT count() FROM walpipe_missing FINAL WHERE missing = 1" "$1"
}

rows_are() {
    is "SELECT id, v, big FROM t FINAL WHERE _is_deleted = 0 ORDER BY id" "$1"
}

check_copy() {
    copied <<'PY'
e.table(1, "public", "t", T)
tx(90, ("insert", ["1", "in the copy", "b"]))
ask(); life(7)
# whole: put in; partial: the range brings the row; partial of a row that no range brings: missing
tx(101, ("update", ["2", "whole", "new"]), ("update", ["3", "partial", UNCHANGED]), ("update", ["4", "partial", UNCHANGED]), ("delete", ["5", None, None]))
block(7, 1, [["1", "in the copy", "b"], ["2", "old", "old"], ["3", "old", "toast"], ["5", "old", "old"], ["6", "six", "b"]], mark=0x2128)
block(7, 2, [], kind="q", mark=0x2128)
block(7, 3, [["4", "older", "toast"]], kind="k", mark=0x2128)
block(7, 4, [], kind="q", mark=0x2128)
e.add(horizon(200, 200)).add(table_end(7)); e.end()
PY
    rows_are '1 in the copy b
2 whole new
3 partial toast
4 partial toast
6 six b'
    notes_are '0 0 0 waiting 
1 1 0 streaming (0,0)-'
    is "SELECT schema, name, l0, definition, rows FROM walpipe_tables FINAL WHERE relid = 1 AND part = 1" "public t $((0x2028)) d 5"
    missing_are 0
    told_is table_state '[.life, .relid, .state, .last]' '[0,1,"w",false]
[0,0,"h",true]
[7,1,"w",true]'
    # 3 was missing, too, until its range came
    told_is missing .keys '{"hex":"91a134"}'
    told_is copied '[.life, .number, .written]' '[7,1,true]
[7,2,true]
[7,3,true]
[7,4,true]'
    # replayed from the beginning, all is as it was
    copied <<'PY'
e.table(1, "public", "t", T)
tx(90, ("insert", ["1", "in the copy", "b"]))
tx(101, ("update", ["2", "whole", "new"]), ("update", ["3", "partial", UNCHANGED]), ("update", ["4", "partial", UNCHANGED]), ("delete", ["5", None, None]))
ask(); e.end()
PY
    rows_are '1 in the copy b
2 whole new
3 partial toast
4 partial toast
6 six b'
    missing_are 0
}

# The row of key 1 is deleted, and another, unknown row moves there: what a range brings then must win
# against the tombstone, which is younger than the life.
check_moved() {
    copied <<'PY'
e.table(1, "public", "t", T)
tx(90)
ask(); life(7)
tx(101, ("insert", ["1", "first", "b"]))
tx(102, ("delete", ["1", None, None]))
tx(103, ("update", ["1", "moved", UNCHANGED], ["2", None, None]))
block(7, 1, [["1", "moved", "toast"]], snapshot=(104, 104, ()), mark=0x2328, kind="k")
block(7, 2, [], snapshot=(104, 104, ()), kind="q", mark=0x2328)
e.add(table_end(7)); e.end()
PY
    rows_are '1 moved toast'
    told_is missing .keys ''
    missing_are 0
    # A replay in which the row is a newer one's by now.
    copied <<'PY'
e.lsn = 0x2200
e.table(1, "public", "t", T)
tx(102, ("delete", ["1", None, None]))
tx(103, ("update", ["1", "moved", UNCHANGED], ["2", None, None]))
ask(); e.end()
PY
    rows_are '1 moved toast'
}

# tables_are LINES: what sink-ch --tables prints, with spaces for tabs.
tables_are() {
    diff <(sink --tables --sink olap | tr '\t' ' ') <(printf '%s\n' "$1")
}

check_tables() {
    local system part reached source
    tables_are 'sink waiting 0/0 0 0 0 0 0'
    is "SELECT count() FROM system.tables WHERE database = '$DB'" 0
    copied <<'PY'
e.table(1, "public", "t", T)
ask(); life(7)
block(7, 1, [["1", "v", "b"]], to=(512, 0), mark=0x1000)
tx(150, ("update", ["2", "partial", UNCHANGED]), ("update", ["3", "partial", UNCHANGED]))
e.end()
PY
    missing_are 2
    updated() { q "SELECT toUInt64(updated_at) * 1000000 FROM walpipe_tables FINAL WHERE relid = $1 AND part > 0"; }
    reached=$(q "SELECT max(lsn) FROM walpipe_progress")
    reached=$(printf '0/%X' "$reached")
    source=$(q "SELECT concat(toString(any(system_identifier)), ' ', toString(any(timeline))) FROM walpipe_progress")
    part="part 1 1 0 copying 0/1000 1 1 $(updated 1) 0 (0,0)-(512,0) public t"
    tables_are "$part
sink waiting $reached 1 1 1 $source
missing 1 2"
    # a note of another source, one that is gone, and a name with what separates fields
    system=$(q "SELECT any(system_identifier) FROM walpipe_tables")
    note() { # SYSTEM RELID STATE NAME SECONDS
        q "INSERT INTO walpipe_tables (pipeline, sink, system_identifier, relid, part, shard, schema, name, state, l0, file,
            definition, done, rows, layout, version, updated_at)
            VALUES ('p', 'olap', $1, $2, $2, 0, 's', '$4', '$3', 16, 3, '', '', 5, 0, 99, now() + $5)"
    }
    note "$system" 2 gone t 1000
    note "$system" 3 streaming "a\\tb\\'c\\\\d\\ne" 1000
    note 1 4 copying t 2000
    tables_are "$part
part 3 3 0 streaming 0/10 3 5 $(updated 3) 0  s a\\tb'c\\\\d\\ne
sink waiting $reached 1 1 1 $source
missing 1 2"
    # workers of two more layouts: one has not noted anything, so the position is of those before
    progress() { # SHARD SHARDS LSN SECONDS
        q "INSERT INTO walpipe_progress SELECT pipeline, sink, toUInt32($1), toUInt32($2), system_identifier, timeline, slot,
            toUInt64($3), now() + $4, layout FROM walpipe_progress WHERE lsn > 0 LIMIT 1"
    }
    sink_is() { [ "$(sink --tables --sink olap | grep ^sink | tr '\t' ' ')" = "$1" ]; }
    progress 0 2 0x10000 10
    progress 1 2 0x20000 10
    tables_are "$(sink --tables --sink olap | grep -v ^sink | tr '\t' ' ' | head -n 2)
sink waiting 0/10000 2 1 0 $source
missing 1 2"
    # both at one position; then a write that may have gone beyond it
    progress 0 2 0x20000 15
    sink_is "sink waiting 0/20000 2 1 1 $source"
    progress 0 0 0x20008 15
    sink_is "sink waiting 0/20000 2 1 0 $source"
    progress 2 3 0x30000 20
    sink_is "sink waiting 0/20000 3 1 0 $source"
    # without walpipe_progress the source is that of the latest note
    q "DROP TABLE walpipe_progress"
    tables_are "part 4 4 0 copying 0/10 3 5 $(updated 4) 0  s t
sink waiting 0/0 0 0 0 0 0"
    [ "$(sink --tables --sink other)" = $'sink\twaiting\t0/0\t0\t0\t0\t0\t0' ]
}

check_random() {
    local seed
    for seed in ${SEED:-1 2 3}; do
        mkdir "$DIR/$seed"
        timeout 120 /usr/bin/python3 "$BATS_TEST_DIRNAME/sinkpg_copies.py" --bin "$WALPIPE_BIN" --ch "$URL" \
            --database "$DB" --scratch "$DIR/$seed" --seed "$seed" 3>&- ||
            { tail -n 3 "$DIR/$seed/err" && return 1; }
    done
}
