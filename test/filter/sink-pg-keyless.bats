#!/usr/bin/env bats
# sink-pg alone: a table without a key is copied under one snapshot, and its changes wait meanwhile
# (docs/copy.md, "Tables without a key").

load sink-pg

# Frames of a table t(id, v), relid 1, under REPLICA IDENTITY FULL.
KEYLESS='
T = [col("id", True, INT4), col("v", True)]
e = Events(sink="dst", shards=1, version=2)
def tx(xid, *changes):
    e.begin(xid=xid)
    for name, *args in changes:
        getattr(e, name)(1, *args)
    e.commit()
def empty(xid):
    e.begin(xid=xid); e.truncate([1]); e.commit()
def describe(columns=None): e.table(1, "public", "t", columns or T, "f")
def ask(): e.add(copytable(0, 1, "public", "t", T, "f", definition="d")).add(table_end(0, "l"))
def life(n): e.add(copytable(n, 1, "public", "t", T, "f", definition="d"))
def block(n, number, rows_, snapshot=(100, 100, ()), mark=0x2028, from_=(0, 0), to=None):
    e.add(range_(n, number, 1, "public", "t", T, "f", from_=from_, snapshot=snapshot, mark=mark, floor=0x100000))
    if rows_: e.add(rows(n, number, rows_))
    e.add(range_end(n, number, len(rows_), to))
'

make_table() {
    sql "CREATE TABLE t (id int, v text)"
}

is_row() {
    [ "$(sql "$1")" = "$2" ]
}

rows_are() {
    sql "SELECT * FROM t ORDER BY id, v" | diff - <(printf '%s' "$1")
}

note() {
    sql "SELECT state, done, rows FROM walpipe.tables WHERE relid <> 0"
}

@test "what the snapshot contains comes with the ranges, what it lacks is applied behind them, in order" {
    make_table
    stream "$T/s" <<PY
$KEYLESS
describe()
tx(90, ("insert", ["1", "before L0"]))
ask(); life(7)
# Not known yet what the snapshot contains: both are held.
tx(91, ("insert", ["2", "contained"]))
tx(150, ("insert", ["3", "lacked"]), ("insert", ["3", "lacked"]), ("update", ["1", "changed"], None, ["1", "before L0"]))
block(7, 1, [["1", "before L0"], ["2", "contained"], ["4", "twice"]], snapshot=(140, 160, (150, 155)), mark=0x2228, to=(5, 0))
# A commit that is visible early: its xid decides, not its place.
tx(151, ("delete", None, ["9", "contained"]), ("insert", ["5", "contained"]))
tx(155, ("delete", None, ["3", "lacked"]), ("update", ["4", "moved"], None, ["4", "twice"]))
block(7, 2, [["4", "twice"], ["5", "contained"]], snapshot=(140, 160, (150, 155)), mark=0x2428, from_=(5, 0))
tx(161, ("insert", ["6", "lacked"]))
e.add(table_end(7))
tx(162, ("insert", ["7", "streaming"]), ("delete", None, ["6", "lacked"]))
e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 0 ]
    rows_are "1|changed
2|contained
3|lacked
4|moved
4|twice
5|contained
7|streaming
"
    [ "$(note)" = "streaming|(0,0)-|5" ]
    [ "$(sql "SELECT relid, piece FROM walpipe.held")" = "1|0" ]
    [ "$(told copied '[.life, .number, .written]')" = '[7,1,true]
[7,2,true]' ]
    unsaid "not there"
}

@test "changes are held in the target before they are reported; after kill -9 the next life has them all" {
    make_table
    stream "$T/one" <<PY
$KEYLESS
describe()
ask(); life(7)
block(7, 1, [["1", "copied"]], mark=0x2028, to=(5, 0))
tx(150, ("insert", ["2", "held"]), ("insert", ["2", "held"]))
out(e)
PY
    start_sink
    exec 8>"$T/in"
    cat "$T/one" >&8
    wait_until 20 reached_is "$((0x2028))"
    [ "$(sql "SELECT piece, xid, type, length(change) > 10 FROM walpipe.held ORDER BY piece, number")" = "0|0|0|f
1|150|19|t
1|150|19|t" ]
    rows_are "1|copied
"
    kill -9 "$sink"
    exec 8>&-
    # 2 comes no more: it was confirmed. The new snapshot contains it.
    stream "$T/two" <<PY
$KEYLESS
e.lsn = 0x2100
describe()
tx(151, ("insert", ["3", "before the next life"]))
ask(); life(8)
tx(152, ("insert", ["4", "lacked"]))
block(8, 1, [["1", "copied"], ["2", "held"], ["2", "held"], ["3", "before the next life"]], snapshot=(152, 152, ()), mark=0x2228)
e.add(table_end(8)); e.end(); out(e)
PY
    sink <"$T/two"
    [ "$status" -eq 0 ]
    rows_are "1|copied
2|held
2|held
3|before the next life
4|lacked
"
    [ "$(sql "SELECT relid, piece FROM walpipe.held")" = "1|0" ]
}

@test "TRUNCATE while it is copied: contained or applied in its place" {
    make_table
    stream "$T/s" <<PY
$KEYLESS
describe()
ask(); life(7)
tx(90, ("insert", ["1", "contained and gone"]))
empty(91)
tx(150, ("insert", ["2", "lacked"]))
block(7, 1, [["3", "copied"]], snapshot=(140, 140, ()), mark=0x2228)
empty(151)
tx(152, ("insert", ["4", "after"]))
e.add(table_end(7)); e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 0 ]
    rows_are "4|after
"
}

@test "of three workers the one with its rows holds another's TRUNCATE, the others leave the table alone" {
    make_table
    for shard in 0 1 2; do
        stream "$T/s$shard" <<PY
${KEYLESS/shards=1/shards=3, shard=$shard}
describe()
mine = e._hash(1, ["1", "x"]) % 3 == $shard
ask(); life(7)
e.begin(xid=150)
if mine: e.insert(1, ["1", "lacked"])
e.commit()
block(7, 1, [["2", "copied"]] if mine else [], snapshot=(140, 140, ()), mark=0x2128)
e.begin(xid=151)
e.add(barrier(1, 0))
if $shard == 0:
    e.truncate([1])
else:
    e.add(touched(1, 1))
e.commit()
e.begin(xid=152)
if mine: e.insert(1, ["3", "after"])
e.commit()
e.add(table_end(7)); e.end(); out(e)
PY
    done
    workers=()
    for shard in 0 1 2; do
        sink <"$T/s$shard" &
        workers+=($!)
    done
    for worker in "${workers[@]}"; do
        wait_until 60 process_gone "$worker"
    done
    rows_are "3|after
"
    [ "$(sql "SELECT count(*) FROM walpipe.tables WHERE state = 'streaming' AND relid <> 0")" = 3 ]
}

@test "a life that is begun again removes what the one before has copied and held" {
    make_table
    stream "$T/s" <<PY
$KEYLESS
describe()
ask(); life(7)
tx(150, ("insert", ["1", "held"]))
block(7, 1, [["2", "copied"]], mark=0x2028, to=(5, 0))
e.add(table_end(7, "a"))
tx(151, ("insert", ["3", "between"]), ("delete", None, ["2", "copied"]))
life(8)
block(8, 1, [["1", "held"], ["3", "between"]], snapshot=(152, 152, ()), mark=0x2128)
e.add(table_end(8)); e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 0 ]
    rows_are "1|held
3|between
"
}

@test "more held than may be, or other columns: its life comes to nothing, and it is named" {
    make_table
    stream "$T/s" <<PY
$KEYLESS
describe()
ask(); life(7)
tx(150, ("insert", ["1", "x" * 1000]))
tx(151, ("insert", ["2", "x" * 1000]))
tx(152, ("insert", ["3", "x" * 1000]))
block(7, 1, [["4", "copied"]], mark=0x2028)
e.add(table_end(7, "a"))
life(8)
block(8, 1, [["1", "a"], ["2", "b"]], snapshot=(160, 160, ()), mark=0x2028)
pause("copied", 2)
tx(161, ("insert", ["5", "held"]))
describe(T + [col("w", True)])
tx(162, ("insert", ["6", "v", "w"]))
# Its ranges are all written: a key that is none asks for another life.
e.add(table_end(8)); e.end(); out(e)
PY
    sink --hold 2500 < <(feed)
    [ "$status" -eq 0 ]
    said "public.t: more than 2500 bytes of changes came while it was copied"
    [ "$(told copied '[.life, .number, .written]')" = '[7,1,false]
[8,1,true]' ]
    [ "$(told missing '[.life, .keys]')" = '[8,{"hex":"90"}]' ]
    [ "$(sql "SELECT relid, piece FROM walpipe.held")" = "1|0" ]
    [ "$(note)" = "copying||2" ]
}

@test "many changes wait in pieces, and a large one" {
    make_table
    stream "$T/s" <<PY
$KEYLESS
describe()
ask(); life(7)
for i in range(30):
    tx(150 + i, *[("insert", [str(i), "y" * 9000])] * 40)
tx(190, ("update", ["0", "z" * 6000000], None, ["0", "y" * 9000]))
tx(191, *[("delete", None, [str(i), "y" * 9000]) for i in range(20, 30)])
block(7, 1, [["100", "copied"]], mark=0x2028)
e.add(table_end(7)); e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 0 ]
    [ "$(sql "SELECT count(*), count(DISTINCT id), sum(length(v)) FROM t")" = "1191|31|$((1189 * 9000 + 6000000 + 6))" ]
}

@test "refused: a shared target, and rows that go to several workers; ranges under two snapshots end it with 101" {
    make_table
    stream "$T/s" <<PY
$KEYLESS
e.add(copytable(0, 2, "public", "u", T, "d", definition="d"))
ask(); life(7); e.end(); out(e)
PY
    sink --map 'public.u -> public.t' <"$T/s"
    [ "$status" -eq 100 ]
    said "public.t cannot be copied: it has no key, and the rows of public.u go to the same table"
    sql "DROP SCHEMA walpipe CASCADE"
    stream "$T/s" <<PY
${KEYLESS/shards=1/shards=2, shard_key=\"column:id\"}
ask(); life(7)
describe()
tx(150, ("insert", ["1", "x"]))
e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 100 ]
    said "public.t cannot be copied: it has no key, and its rows go to several workers"
    sql "DROP SCHEMA walpipe CASCADE"
    stream "$T/s" <<PY
$KEYLESS
ask(); life(7)
block(7, 1, [], snapshot=(140, 140, ()), to=(5, 0))
block(7, 2, [], snapshot=(141, 141, ()), from_=(5, 0))
e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 101 ]
    said "range 7.2 of public.t, which has no key, was read under a snapshot of its own"
}

@test "refused: a copy that began with a key; what the hint says helps" {
    sql "CREATE TABLE t (id int PRIMARY KEY, v text)"
    stream "$T/one" <<PY
$KEYLESS
K = [col("id", True, INT4), col("v")]
e.add(copytable(0, 1, "public", "t", K, definition="k")).add(table_end(0, "l"))
e.add(copytable(6, 1, "public", "t", K, definition="k"))
e.table(1, "public", "t", K)
e.begin(xid=150); e.insert(1, ["1", "x"]); e.commit()
e.end(); out(e)
PY
    sink <"$T/one"
    [ "$status" -eq 0 ]
    stream "$T/two" <<PY
$KEYLESS
e.lsn = 0x2100
ask(); life(7)
block(7, 1, [["1", "x"]], snapshot=(160, 160, ()), mark=0x2000)
e.add(table_end(7)); e.end(); out(e)
PY
    sink <"$T/two"
    [ "$status" -eq 100 ]
    said "public.t cannot be copied further: it has no key, unlike when its copy began"
    said "empty the table and delete its rows from walpipe.tables and walpipe.held"
    sql "BEGIN; TRUNCATE t; DELETE FROM walpipe.tables WHERE name = 't'; DELETE FROM walpipe.held WHERE relid = 1; COMMIT"
    sink <"$T/two"
    [ "$status" -eq 0 ]
    rows_are "1|x
"
}
