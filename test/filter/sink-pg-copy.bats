#!/usr/bin/env bats
# sink-pg alone: tables that are copied while the stream goes on (docs/copy.md).

load sink-pg
load sink-pg-copy

# ---- a copy ----

@test "a table is copied while it changes: rows, changes of rows that are not there yet, notes" {
    make_table
    stream "$T/s" <<PY
$COPY_PRELUDE
e.table(1, "public", "t", T)
tx(90, ("insert", ["1", "in the copy", "b"]))
ask(); life(7)
# whole: put in; partial: the range brings the row; partial of a row that no range brings: missing
tx(101, ("update", ["2", "whole", "new"]), ("update", ["3", "partial", UNCHANGED]), ("update", ["4", "partial", UNCHANGED]), ("delete", ["5", None, None]))
block(7, 1, [["1", "in the copy", "b"], ["2", "old", "old"], ["3", "old", "toast"], ["5", "old", "old"], ["6", "six", "b"]], mark=0x2128)
block(7, 2, [], kind="q", mark=0x2128)
# The bug was that keys of which this worker has none were taken for the question.
block(7, 3, [], kind="k", mark=0x2128)
block(7, 4, [["4", "older", "toast"]], kind="k", mark=0x2128)
block(7, 5, [], kind="q", mark=0x2128)
e.add(horizon(200, 200)).add(table_end(7)); e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 0 ]
    sql "SELECT * FROM t ORDER BY id" | diff - <(printf '%s\n' "1|in the copy|b" "2|whole|new" "3|partial|toast" "4|partial|toast" "6|six|b")
    [ "$(sql "SELECT relid, part, shard, schema, name, state, l0, definition, done, rows FROM walpipe.tables WHERE relid <> 0")" = \
        "1|1|0|public|t|streaming|0/2028|d|(0,0)-|5" ]
    [ "$(sql "SELECT count(*) FROM walpipe.missing")" = 0 ]
    [ "$(told table_state '[.life, .relid, .state, .last]')" = '[0,1,"w",false]
[0,0,"h",true]
[7,1,"w",true]' ]
    # 3 was missing, too, until its range came
    [ "$(told missing .keys)" = '{"hex":"91a134"}' ]
    [ "$(told copied '[.life, .number, .written]')" = '[7,1,true]
[7,2,true]
[7,3,true]
[7,4,true]
[7,5,true]' ]
    # Only rows that came in a range count, and the end of the copy is told once.
    told copy_counts '[.waiting, .copying, .streaming]' | uniq | diff - <(printf '%s\n' '[1,0,0]' '[0,1,0]' '[0,0,1]')
    [ "$(told copy_counts .rows | jq -s add)" = 6 ]
    [ "$(told copy_counts 'select(.rows > 0) | .bytes > 10' | uniq)" = true ]
    unsaid "not there"
}

@test "the bug was that a range went one by one if a row of it was there already" {
    make_table
    # A transaction that the range's snapshot contains comes through the stream first.
    stream "$T/s" <<PY
$COPY_PRELUDE
e.table(1, "public", "t", T)
ask(); life(7)
tx(60, ("update", ["50", "changed", "b"]))
def part(first, changed=()):
    return [[str(i), "changed" if i in changed else "copied", "b"] for i in range(first, first + 200)]
block(7, 1, part(1, (50,)), to=(9, 0))
block(7, 2, part(201), from_=(9, 0))
block(7, 3, [], kind="q")
e.add(horizon(200, 200)).add(table_end(7)); e.end(); out(e)
PY
    sink --log-level debug <"$T/s"
    [ "$status" -eq 0 ]
    [ "$(sql "SELECT v, count(*), min(id), max(id) FROM t GROUP BY v ORDER BY v")" = \
        "changed|1|50|50"$'\n'"copied|399|1|400" ]
    unsaid "one by one"
    # From then on ranges of this table are not given to COPY in vain.
    [ "$(grep -c "public.t: not applied as a set: .*t_pkey" "$T/err")" -eq 1 ]
}

@test "one of two workers: a range's table is the stream's, and need not go to one worker" {
    make_table
    stream "$T/s" <<PY
${COPY_PRELUDE/shards=1/shards=2}
e.table(1, "public", "t", T)
ask(); life(7)
tx(101, ("insert", ["1", "new", "b"]))
# The bug was that they counted as two source tables of one target: 111, in each run again.
block(7, 1, [["2", "copied", "b"]], mark=0x2028)
tx(102, ("insert", ["3", "new", "b"]))
block(7, 2, [], kind="q", mark=0x2028)
e.add(table_end(7)); e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 0 ]
    [ "$(sql "SELECT string_agg(id::text, ',' ORDER BY id) FROM t")" = 1,2,3 ]
    [ "$(sql "SELECT count(*) FROM walpipe.whole")" = 0 ]
}

@test "the bug was that a missing key was forgotten though its row was left out" {
    make_table
    stream "$T/s" <<PY
$COPY_PRELUDE
ask(); life(7)
e.table(1, "public", "t", T)
tx(101, ("update", ["2", "missing", UNCHANGED]))
# key 2 is read under a snapshot that lacks 102 and 103: another row of which not all is known gets it
tx(102, ("delete", ["2", None, None]))
tx(103, ("update", ["2", "another", UNCHANGED], ["1", None, None]))
block(7, 1, [["2", "missing", "old"]], kind="k", snapshot=(102, 102, ()), mark=0x2228)
block(7, 2, [], kind="q", mark=0x2228)
block(7, 3, [["2", "another", "b"]], kind="k", snapshot=(104, 104, ()), mark=0x2228)
block(7, 4, [], kind="q", mark=0x2228)
e.add(horizon(200, 200)).add(table_end(7)).end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 0 ]
    [ "$(sql "SELECT * FROM t")" = "2|another|b" ]
    [ "$(told missing .keys)" = '{"hex":"91a132"}' ]
    [ "$(sql "SELECT state FROM walpipe.tables WHERE relid = 1")" = streaming ]
}

@test "the bug was that an absent key took away the row of another table, or of an equal key" {
    sql "CREATE TABLE t (id numeric PRIMARY KEY, v text, big text)"
    stream "$T/s" <<PY
${COPY_PRELUDE/'"id", True, INT4'/'"id", True, NUMERIC'}
e.add(copytable(0, 2, "public", "u", T, definition="d")); ask()
e.add(copytable(6, 2, "public", "u", T, definition="d")); life(7)
e.table(1, "public", "t", T)
tx(101, ("update", ["5", "gone", UNCHANGED]), ("update", ["1.0", "v", UNCHANGED]))
tx(102, ("update", ["1.00", "w", UNCHANGED], ["1.0", None, None]))
tx(103, ("delete", ["5", None, None]))
e.add(range_(6, 1, 2, "public", "u", T, snapshot=(104, 104, ()), mark=0x2028, floor=0x100000))
e.add(rows(6, 1, [["5", "of u", "b"]])).add(range_end(6, 1, 1))
block(7, 2, [], kind="q", mark=0x2028)
# both keys of the same row were asked for
block(7, 3, [["1.00", "w", "b"]] * 2, kind="k", snapshot=(104, 104, ()), mark=0x2228, keys=["5", "1.0"])
block(7, 4, [], kind="q", mark=0x2228)
e.add(horizon(200, 200)).add(table_end(7)).end(); out(e)
PY
    sink --map 'public.u -> public.t' <"$T/s"
    [ "$status" -eq 0 ]
    sql "SELECT * FROM t ORDER BY id" | diff - <(printf '%s\n' "1.00|w|b" "5|of u|b")
    [ "$(sql "SELECT count(*) FROM walpipe.missing")" = 0 ]
}

@test "the bug was that a key that another worker had noted as missing was not settled" {
    make_table
    stream "$T/s" <<PY
$COPY_PRELUDE
e = Events(sink="dst", shard=1, shards=2, version=2)
ask(); life(7); out(e)
PY
    stream "$T/more" <<PY
$COPY_PRELUDE
e = Events(sink="dst", shard=1, shards=2, version=2)
e.bytes = b""
block(7, 1, [["4", "v", "b"]], kind="k", mark=0x1000)
e.watermark(0x3000).end(); out(e)
PY
    start_sink
    exec 8>"$T/in"
    cat "$T/s" >&8
    wait_until 20 eval '[ "$(told table_state "select(.life == 7) | .state")" = "\"w\"" ]'
    # its row has moved to this worker since
    sql "INSERT INTO walpipe.missing VALUES ('p', 'dst', 1, 0, '{id}', '{4}')"
    cat "$T/more" >&8
    exec 8>&-
    wait_status 0 "$sink"
    [ "$(sql "SELECT count(*) FROM t")" = 1 ]
    [ "$(sql "SELECT count(*) FROM walpipe.missing")" = 0 ]
}

@test "the bug was that a worker wrote no range behind another's barrier until a row of its own came" {
    make_table
    sql "CREATE TABLE u (LIKE t INCLUDING ALL)"
    stream "$T/s" <<PY
$COPY_PRELUDE
e = Events(sink="dst", shard=1, shards=2, version=2)
ask(); life(7)
e.begin(); e.add(barrier(1, 0)); e.commit(0)
block(7, 1, [["1", "v", "b"]], mark=0x2028)
e.watermark(); out(e)
PY
    stream "$T/s0" <<PY
$COPY_PRELUDE
e = Events(sink="dst", shard=0, shards=2, version=2)
e.table(2, "public", "u", T); e.begin(); e.add(barrier(1, 0)); e.truncate([2]); e.commit(); e.watermark(); out(e)
PY
    start_sink
    exec 8>"$T/in"
    cat "$T/s" >&8
    mkfifo "$T/in0"
    "$WALPIPE_BIN/sink-pg" --conninfo "$(pg_conninfo dst "$db")" --pipeline p --ackd "$ack" <"$T/in0" 2>>"$T/err0" 3>&- 8>&- &
    pids+=("$!")
    exec 9>"$T/in0"
    cat "$T/s0" >&9
    wait_until 20 eval '[ "$(sql "SELECT count(*) FROM t")" = 1 ]'
    exec 8>&- 9>&-
}

@test "before its life a table's changes are left to the ranges, and its note says that it waits" {
    make_table
    stream "$T/s" <<PY
$COPY_PRELUDE
e.table(1, "public", "t", T)
tx(90, ("insert", ["1", "v", "b"]), ("update", ["9", "v", UNCHANGED]), ("delete", ["8", None, None]))
e.begin(xid=91); e.truncate([1]); e.commit()
e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 0 ]
    [ "$(sql "SELECT count(*) FROM t")" = 0 ]
    [ "$(sql "SELECT lsn FROM walpipe.progress")" = 0/2128 ]
    [ "$(sql "SELECT relid, part, state FROM walpipe.tables ORDER BY relid")" = "0|0|waiting
1|0|waiting" ]
    # a partition that is asked about takes its place
    stream "$T/s" <<PY
$COPY_PRELUDE
e.add(copytable(0, 1, "public", "t", T, part=11)).add(copytable(0, 1, "public", "t", T, part=12)).add(table_end(0, "l")).end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 0 ]
    [ "$(sql "SELECT relid, part, state FROM walpipe.tables WHERE relid <> 0 ORDER BY part")" = "1|11|waiting
1|12|waiting" ]
}

@test "the bug was that a worker's start noted tables for workers that had begun, and they waited for ever" {
    local shard
    make_table
    for shard in 1 2; do
        stream "$T/s" <<PY
$COPY_PRELUDE
e = Events(sink="dst", shard=$shard, shards=3, version=2)
if $shard == 1:
    e.table(1, "public", "t", T)
    tx(90, ("insert", ["1", "v", "b"]))
e.end(); out(e)
PY
        sink <"$T/s"
        [ "$status" -eq 0 ]
    done
    # worker 0 may have begun before both, without a note of the table
    [ "$(sql "SELECT shard, state FROM walpipe.tables WHERE relid = 1 ORDER BY shard")" = "1|waiting
2|waiting" ]
}

@test "a range whose mark has not come, or that lacks a change of the table's columns, is not written" {
    make_table
    stream "$T/s" <<PY
$COPY_PRELUDE
ask(); life(7)
block(7, 1, [["1", "v", "b"]], mark=0x9000)
e.table(1, "public", "t", T)
tx(150, ("insert", ["2", "v", "b"]))
e.begin(xid=151).table(1, "public", "t", T + [col("more")]).insert(1, ["3", "v", "b", None]).commit()
block(7, 2, [["4", "v", "b"]], snapshot=(151, 151, ()), mark=0x2000)
block(7, 3, [["5", "v", "b"]], snapshot=(152, 152, ()), mark=0x2000, from_=(5, 0))
e.end(); out(e)
PY
    sql "ALTER TABLE t ADD more text"
    sink <"$T/s"
    [ "$status" -eq 0 ]
    [ "$(sql "SELECT id FROM t ORDER BY id" | xargs)" = "2 3 5" ]
    [ "$(sql "SELECT state, done FROM walpipe.tables WHERE relid = 1")" = "copying|(5,0)-" ]
    [ "$(told copied '[.number, .written]')" = '[2,false]
[3,true]' ]
}

@test "the bug was that the first description of a run was not compared with the life's" {
    sql "CREATE TABLE t (id int PRIMARY KEY, v text, big text, more text)"
    stream "$T/s" <<PY
$COPY_PRELUDE
ask(); life(7)
block(7, 1, [["1", "v", "b"]], mark=0x2028)
# big was dropped and more was added: as many columns as before
e.begin(xid=151).table(1, "public", "t", T[:2] + [col("more")]).insert(1, ["2", "v", "m"]).commit()
e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 0 ]
    [ "$(sql "SELECT id FROM t")" = 2 ]
    [ "$(told copied '[.number, .written]')" = '[1,false]' ]
}

@test "the bug was that newer values were laid over columns of other names" {
    sql "CREATE TABLE t (id int PRIMARY KEY, v text, big text, more text)"
    stream "$T/s" <<PY
$COPY_PRELUDE
ask(); life(7)
e.table(1, "public", "t", T)
tx(101, ("update", ["1", UNCHANGED, "new"]))
T = T[:2] + [col("more")]
block(7, 1, [["1", "v", "m"]], mark=0x2028)
e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 101 ]
    said "a range of public.t has other columns than an update that it lacks"
    [ "$(sql "SELECT count(*) FROM t")" = 0 ]
}

@test "the bug was that an insert with unchanged TOAST was refused" {
    make_table
    stream "$T/s" <<PY
$COPY_PRELUDE
ask(); life(7)
e.table(1, "public", "t", T)
# a row filter makes them of updates
tx(101, ("insert", ["1", "v", UNCHANGED]), ("insert", ["2", "w", UNCHANGED]))
block(7, 1, [["1", "v", "toast"]], snapshot=(102, 102, ()), mark=0x2028)
block(7, 2, [], kind="q", mark=0x2028)
block(7, 3, [["2", "old", "toast"]], kind="k", mark=0x2028)
e.add(table_end(7)).end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 0 ]
    sql "SELECT * FROM t ORDER BY id" | diff - <(printf '%s\n' "1|v|toast" "2|w|toast")
    [ "$(told missing .keys)" = '{"hex":"91a132"}' ]
    [ "$(sql "SELECT count(*) FROM walpipe.missing")" = 0 ]
}

@test "a list is one commit; the bug was that parts stayed that their table no longer has" {
    make_table
    list() {
        stream "$T/s" <<PY
$COPY_PRELUDE
e.lsn = 0x3000
for part in $1:
    e.add(copytable(0, 1, "public", "t", T, part=part, definition="d"))
e.add(table_end(0, "l")).end(); out(e)
PY
        sink <"$T/s"
        [ "$status" -eq 0 ]
    }
    list "range(1, 31)"
    [ "$(sql "SELECT count(*), count(DISTINCT xmin::text) FROM walpipe.tables WHERE relid = 1")" = "30|1" ]
    list "(3, 4, 40)"
    [ "$(sql "SELECT string_agg(part::text, ',' ORDER BY part) FROM walpipe.tables WHERE relid = 1")" = 3,4,40 ]
    # The rows of one that had some stay in the target, which its note says.
    sql "UPDATE walpipe.tables SET state = 'copying', file = 7 WHERE part = 4"
    list "(3, 40)"
    [ "$(sql "SELECT state, file FROM walpipe.tables WHERE part = 4")" = "out-streaming|0" ]
    # the stream may have changes still of a table that is no longer published
    list "()"
    [ "$(sql "SELECT count(*) FROM walpipe.tables WHERE relid = 1")" = 3 ]
}

@test "the bug was that a slow worker's note stood for a table that was gone and back" {
    make_table
    notes() { sql "SELECT shard, state, done FROM walpipe.tables WHERE relid = 1 ORDER BY shard" | xargs; }
    local begins back="e.add(table_end(7, 'g')); ask()"
    begins='ask(); life(7); block(7, 1, [[str(e.shard), "old", "b"]], mark=0x1000, to=(9, 0)); e.watermark(0x3000)'
    # worker 1 is slow: it does not know yet that the table is gone
    stream "$T/s1" <<PY
${COPY_PRELUDE/shards=1/shard=1, shards=2}
e.shard = 1
def part(name, at=0):
    with open("$T/" + name, "wb") as f: f.write(bytes(e.bytes)[at:])
    return len(e.bytes)
$begins; at = part("begins")
block(7, 2, [["3", "old", "b"]], mark=0x1000, from_=(9, 0), to=(12, 0)); e.watermark(0x3100); at = part("goes on", at)
$back; e.watermark(0x3200); part("is told", at)
PY
    start_sink
    exec 8>"$T/in"
    cat "$T/begins" >&8
    wait_until 20 eval '[ "$(notes)" = "1|copying|(0,0)-(9,0)" ]'
    stream "$T/s" <<PY
${COPY_PRELUDE/shards=1/shards=2}
e.shard = 0
$begins; $back; e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 100 ]
    said "public.t is to be copied and has rows already"
    [ "$(notes)" = "" ]
    # nor does the note come back with what that worker still writes
    cat "$T/goes on" >&8
    wait_until 20 eval '[ "$(sql "SELECT count(*) FROM t WHERE id = 3")" = 1 ]'
    [ "$(notes)" = "" ]
    # the way out
    sql "TRUNCATE t"
    stream "$T/s" <<PY
${COPY_PRELUDE/shards=1/shards=2}
ask(); e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 0 ]
    [ "$(notes)" = "0|waiting|" ]
    cat "$T/is told" >&8
    wait_until 20 eval '[ "$(notes)" = "0|waiting| 1|waiting|" ]'
    exec 8>&-
}

@test "the bug was that missing keys stayed of a table that is gone" {
    make_table
    gone() {
        stream "$T/s" <<PY
$COPY_PRELUDE
e.lsn = $1
ask(); life(7)
e.table(1, "public", "t", T); tx(101, ("update", ["2", "partial", UNCHANGED]))
e.add(horizon(200, 200))
$2
e.add(table_end(7, "g")).end(); out(e)
PY
        sink <"$T/s"
        [ "$status" -eq 0 ]
    }
    # not while another part of the table is there
    gone 0x2000 'e.add(copytable(0, 1, "public", "t", T, part=2, definition="d"))'
    [ "$(sql "SELECT count(*) FROM walpipe.missing")" = 1 ]
    sql "DELETE FROM walpipe.tables WHERE part = 2"
    gone 0x4000
    [ "$(sql "SELECT count(*) FROM walpipe.tables WHERE relid = 1")" = 0 ]
    [ "$(sql "SELECT count(*) FROM walpipe.missing")" = 0 ]
}

@test "what a crash leaves: finished ranges stand, and the table goes on being followed" {
    make_table
    stream "$T/s" <<PY
$COPY_PRELUDE
ask(); life(7)
block(7, 1, [["1", "v", "b"]], to=(512, 0), mark=0x1000)
e.table(1, "public", "t", T)
tx(150, ("update", ["1", "w", UNCHANGED]), ("update", ["2", "partial", UNCHANGED]), ("update", ["3", "whole", "b"]))
e.watermark(0x3000)
# so everything before it is written
e.add(table_end(7, "a")); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 111 ]
    stream "$T/s" <<PY
$COPY_PRELUDE
e.lsn = 0x3000
e.table(1, "public", "t", T)
tx(160, ("update", ["1", "x", UNCHANGED]), ("update", ["4", "partial", UNCHANGED]))
ask(); life(1007)
block(1007, 1, [], kind="q", mark=0x1000)
# the table was written anew: its blocks are others
e.add(range_(1007, 2, 1, "public", "t", T, file=2, mark=0x1000, floor=0x100000)).add(range_end(1007, 2, 0, (3, 0)))
e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 0 ]
    sql "SELECT * FROM t ORDER BY id" | diff - <(printf '%s\n' "1|x|b" "3|whole|b")
    [ "$(sql "SELECT columns, key FROM walpipe.missing ORDER BY key" | xargs)" = "{id,23}|{2} {id,23}|{4}" ]
    # [file 1, definition d, done]
    [ "$(told table_state 'select(.life == 1007) | .detail.hex')" = "\"9301a164ad$(printf '(0,0)-(512,0)' | od -An -tx1 | tr -d ' \n')\"" ]
    [ "$(told missing .keys)" = '{"hex":"91a13291a134"}' ]
    [ "$(sql "SELECT file, done FROM walpipe.tables WHERE relid = 1")" = "2|(0,0)-(3,0)" ]
}

@test "keys of an identity that has changed are forgotten, as all rows are read again" {
    make_table
    sql "CREATE UNIQUE INDEX ON t (v)"
    stream "$T/s" <<PY
$COPY_PRELUDE
ask(); life(7)
e.table(1, "public", "t", T); tx(150, ("update", ["2", "partial", UNCHANGED]))
T = [col("id", False, INT4), col("v", True), col("big")]
e.add(table_end(7, "a"))
e.add(copytable(8, 1, "public", "t", T, definition="other"))
e.add(range_(8, 1, 1, "public", "t", T, snapshot=(200, 200, ()), mark=0x1000, floor=0x100000)).add(rows(8, 1, [["2", "partial", "b"]])).add(range_end(8, 1, 1))
e.add(range_(8, 2, 1, "public", "t", T, kind="q", snapshot=(200, 200, ()), mark=0x1000, floor=0x100000)).add(range_end(8, 2, 0))
e.add(table_end(8)).end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 0 ]
    [ "$(sql "SELECT state, definition FROM walpipe.tables WHERE relid = 1")" = "streaming|other" ]
    [ "$(sql "SELECT count(*) FROM walpipe.missing")" = 0 ]
    [ "$(told missing .keys)" = "" ]
}

@test "the bug was that keys stayed that a new type of their column cannot read" {
    sql "CREATE TABLE t (id text PRIMARY KEY, v text, big text)"
    stream "$T/s" <<PY
${COPY_PRELUDE/'"id", True, INT4'/'"id", True, TEXT'}
ask(); life(7)
e.table(1, "public", "t", T); tx(150, ("update", ["none", "partial", UNCHANGED])); tx(151, ("delete", ["none", None, None]))
e.add(table_end(7, "a")).end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 0 ]
    # keys that an older worker noted have no types, and are settled as before
    sql "INSERT INTO walpipe.missing VALUES ('p', 'dst', 1, 0, '{id}', '{1}')"
    stream "$T/s" <<PY
$COPY_PRELUDE
e.lsn = 0x3000
ask(); e.add(copytable(8, 1, "public", "t", T, definition="other"))
block(8, 1, [["1", "v", "b"]], snapshot=(200, 200, ()))
block(8, 2, [], kind="q")
e.add(table_end(8)).end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 0 ]
    [ "$(told missing .keys)" = "" ]
    [ "$(sql "SELECT count(*) FROM walpipe.missing")" = 0 ]
}

@test "a target that an older walpipe has followed is carried over: nothing is copied" {
    make_table
    stream "$T/s" <<PY
$PRELUDE
tx(("insert", ["1", "v", "b"])); e.end(); out(e)
PY
    sink <"$T/s"
    stream "$T/s" <<PY
$COPY_PRELUDE
e.lsn = 0x2100
e.table(1, "public", "t", T); tx(90, ("insert", ["2", "v", "b"])); ask(); e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 0 ]
    [ "$(sql "SELECT count(*) FROM t")" = 2 ]
    [ "$(sql "SELECT relid, part, state FROM walpipe.tables ORDER BY relid" | xargs)" = "0|0|waiting 1|1|streaming" ]
    [ "$(told table_state 'select(.relid == 1) | .state')" = '"h"' ]
    # the bug was that nothing said so
    said "not copied, because the sink has replicated them without copies: 1"
    # a table that comes later is a new one
    stream "$T/s" <<PY
$COPY_PRELUDE
e.lsn = 0x2200
e.table(2, "public", "u", T); e.begin(); e.insert(2, ["2", "v", "b"]); e.commit(); e.end(); out(e)
PY
    sql "CREATE TABLE u (LIKE t INCLUDING ALL)"
    sink <"$T/s"
    [ "$status" -eq 0 ]
    [ "$(sql "SELECT count(*) FROM u")" = 0 ]
    [ "$(sql "SELECT state FROM walpipe.tables WHERE relid = 2")" = waiting ]
}

@test "the bug was that a table made again under copy = no was refused, and the hint lost its rows" {
    make_table
    stream "$T/s" <<PY
$COPY_PRELUDE
ask(); life(7)
block(7, 1, [["1", "of the old table", "b"]])
e.add(table_end(7)).end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 0 ]
    # with copy = no the source drops the table and makes it again
    stream "$T/s" <<PY
$PRELUDE
e.lsn = 0x3000
e.table(2, "public", "t", T).begin(); e.truncate([2]); e.insert(2, ["1", "of the new table", "b"]); e.commit(); e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 0 ]
    # it is streaming then, as are its partitions, also one that comes later
    for parts in "(2,)" "(2, 3)"; do
        stream "$T/s" <<PY
$COPY_PRELUDE
e.lsn = 0x4000
e.table(2, "public", "t", T)
for part in $parts:
    e.add(copytable(0, 2, "public", "t", T, part=part, definition="d"))
e.add(table_end(0, "l"))
e.begin(); e.insert(2, [str(len($parts) + 1), "new", "b"]); e.commit(); e.end(); out(e)
PY
        sink <"$T/s"
        [ "$status" -eq 0 ]
    done
    [ "$(sql "SELECT part, state FROM walpipe.tables WHERE relid = 2 ORDER BY part" | xargs)" = "2|streaming 3|waiting" ]
    [ "$(sql "SELECT v FROM t ORDER BY id LIMIT 2" | xargs -d '\n')" = "of the new table new" ]
    # from now on another one is refused again
    stream "$T/s" <<PY
$COPY_PRELUDE
e.add(copytable(0, 4, "public", "t", T)).add(table_end(0, "l")).end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 100 ]
    said "the source's table was dropped and made again"
    sql "BEGIN; TRUNCATE t; DELETE FROM walpipe.tables WHERE name = 't'; COMMIT"
    sink <"$T/s"
    [ "$status" -eq 0 ]
    [ "$(sql "SELECT relid, state FROM walpipe.tables WHERE relid <> 0" | xargs)" = "4|waiting" ]
}

# ---- what is refused ----

@test "refused: a target with rows, another table of that name, a stream without copies" {
    make_table
    sql "INSERT INTO t VALUES (1)"
    asks() {
        stream "$T/s" <<PY
$COPY_PRELUDE
$1
ask(); e.end(); out(e)
PY
        sink <"$T/s"
    }
    asks ""
    [ "$status" -eq 100 ]
    said "public.t is to be copied and has rows already"
    said "if nothing else writes to it, empty it and start again, or let walpipe resync replace its rows; or"
    sql "TRUNCATE t"
    asks ""
    [ "$status" -eq 0 ]
    # not the same oid
    stream "$T/s" <<PY
$COPY_PRELUDE
e.add(copytable(0, 2, "public", "t", T)).add(table_end(0, "l")).end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 100 ]
    said "the source's table was dropped and made again"
    said "if nothing else writes to the target's table, run walpipe resync for it, or stop walpipe"
    # the way out
    sql "BEGIN; TRUNCATE t; DELETE FROM walpipe.tables WHERE name = 't'; COMMIT"
    sink <"$T/s"
    [ "$status" -eq 0 ]
    # what has begun must not be forgotten
    stream "$T/s" <<PY
$PRELUDE
e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 100 ]
    said "the copy of public.t has not ended, and the sink does not copy any more"
    "$WALPIPE_BIN/sink-pg" --conninfo "$(pg_conninfo dst "$db")" --pipeline p --drop-progress --sink dst
    [ "$(sql "SELECT count(*) FROM walpipe.tables")" = 0 ]
    sink <"$T/s"
    [ "$status" -eq 0 ]
}

# The bug was that rows came twice. The stream brings row 1, which the range contains as well.
@test "refused: a target that cannot overwrite by the key; it is copied when it can" {
    copies() {
        stream "$T/s" <<PY
${COPY_PRELUDE//INT4/$1}
e.table(1, "public", "t", T)
tx(90, ("insert", ["1", "in the copy", "b"])); ask(); life(7)
tx(101, ("insert", ["1", "in the copy", "b"]))
block(7, 1, [["1", "in the copy", "b"], ["2", "two", "b"]], snapshot=(102, 102, ()), mark=0x2128)
block(7, 2, [], kind="q", mark=0x2128)
e.add(horizon(200, 200)).add(table_end(7)); e.end(); out(e)
PY
        stream "$T/check" <<PY
e = Events(sink="dst", shards=1)
e.table(1, "public", "t", [col("id", True, $1), col("v"), col("big")]); e.end(); out(e)
PY
    }
    # refused MESSAGE HINT: nothing is written, and --check says so.
    refused() {
        sink <"$T/s"
        [ "$status" -eq 100 ]
        said "$1"
        said "$2"
        [ "$(sql "SELECT count(*) FROM t")" = 0 ]
        run "$WALPIPE_BIN/sink-pg" --check --copies --conninfo "$(pg_conninfo dst "$db")" --pipeline p <"$T/check"
        echo "$output"
        [ "$status" -eq 100 ]
        grep -E "^FAIL +public.t cannot take copied rows: $1" <<<"$output"
    }
    # copied: what the hint says is done.
    copied() {
        sink <"$T/s"
        [ "$status" -eq 0 ]
        [ "$(sql "SELECT string_agg(id::text, ',' ORDER BY id::text) FROM t")" = 1,2 ]
        "$WALPIPE_BIN/sink-pg" --check --copies --conninfo "$(pg_conninfo dst "$db")" --pipeline p <"$T/check"
        sql "DROP TABLE t CASCADE; DROP SCHEMA walpipe CASCADE"
    }
    copies INT4
    sql "CREATE TABLE t (id int, v text, big text); CREATE INDEX ON t (id); CREATE UNIQUE INDEX ON t (id) WHERE id < 0"
    refused "it has no unique index" "create a primary key or a unique index on exactly these columns"
    sql "CREATE UNIQUE INDEX ON t (id)"
    copied
    # a deferrable constraint is enough
    sql "CREATE TABLE t (id int, v text, big text, UNIQUE (id) DEFERRABLE)"
    copied
    sql "CREATE TABLE base (id int PRIMARY KEY, v text, big text); CREATE VIEW t AS SELECT * FROM base"
    refused "it has no unique index" "map the source table to an empty ordinary table"
    sql "DELETE FROM walpipe.tables WHERE name = 't'"
    sink --map 'public.t -> public.base' <"$T/s"
    [ "$status" -eq 0 ]
    [ "$(sql "SELECT count(*) FROM base")" = 2 ]
    sql "DROP TABLE base CASCADE; DROP SCHEMA walpipe CASCADE"
    copies TEXT
    sql "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        CREATE TABLE t (id text COLLATE ci PRIMARY KEY, v text, big text)"
    refused "keys that differ in the source may be equal in it" "give the target's key the type and the collation"
    sql 'ALTER TABLE t ALTER id TYPE text COLLATE "default"'
    copied
}

@test "the bug was that a table that was out of the list for a while went on without its changes" {
    make_table
    asks() {
        stream "$T/s" <<PY
$COPY_PRELUDE
e.lsn = $1
$2
e.end(); out(e)
PY
        sink <"$T/s"
    }
    state_is() { [ "$(sql "SELECT state FROM walpipe.tables WHERE relid = 1")" = "$1" ]; }
    without='e.add(table_end(0, "l"))'
    copied='life(7); e.table(1, "public", "t", T); tx(101, ("insert", ["3", "new", "b"]))
block(7, 1, [["1", "v", "b"]], mark=0x2628); block(7, 2, [], kind="q", mark=0x2628)
e.add(horizon(200, 200)).add(table_end(7))'
    # A table that waits has no changes to lose.
    asks 0x2000 "ask()"
    asks 0x2100 "$without"
    state_is out-waiting
    asks 0x2200 "ask()"
    [ "$status" -eq 0 ]
    state_is waiting
    # In the middle of its copy. It is treated as before, because the stream may bring its changes.
    asks 0x2300 "ask(); life(6)"
    asks 0x2400 "$without"'; e.table(1, "public", "t", T); tx(90, ("insert", ["9", "late", "b"]))'
    [ "$status" -eq 0 ]
    state_is out-copying
    [ "$(sql "SELECT id FROM t")" = 9 ]
    asks 0x2500 "ask()"
    [ "$status" -eq 100 ]
    said "public.t was left out of the sink's tables or of the publication, or was published otherwise or unlogged, and its changes of that time are lost"
    said "set state = 'waiting', done = '' and rows = 0 in its rows of walpipe.tables"
    state_is out-copying
    # A stream without copies brings no such table.
    stream "$T/s" <<PY
$PRELUDE
e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 0 ]
    # the way out
    sql "BEGIN; TRUNCATE t; DELETE FROM walpipe.held WHERE relid = 1;
         UPDATE walpipe.tables SET state = 'waiting', done = '', rows = 0 WHERE relid = 1; COMMIT"
    asks 0x2600 "ask(); $copied"
    [ "$status" -eq 0 ]
    state_is streaming
    [ "$(sql "SELECT string_agg(id::text, ',' ORDER BY id) FROM t")" = 1,3 ]
}

@test "a stream that lost a range's rows, a floor before the life, a key in binary format" {
    make_table
    try() {
        stream "$T/s" <<PY
$COPY_PRELUDE
e.table(1, "public", "t", T); tx(90)
ask(); life(7)
$1
e.end(); out(e)
PY
        sink <"$T/s"
    }
    try 'e.add(range_(7, 1, 1, "public", "t", T, mark=0x1000, floor=0x100000)).add(rows(7, 1, [["1", "v", "b"]])).add(range_end(7, 1, 2))'
    [ "$status" -eq 101 ]
    said "range 7.1 had 2 rows and absent keys for this worker, 1 came"
    # The bug was that a key that got lost was not missed, and was taken for one that is missing still.
    try 'e.add(range_(7, 1, 1, "public", "t", T, kind="k", mark=0x1000, floor=0x100000)).add(range_end(7, 1, 1))'
    [ "$status" -eq 101 ]
    said "range 7.1 had 1 rows and absent keys for this worker, 0 came"
    try 'e.add(range_(7, 1, 1, "public", "t", T, mark=0x1000, floor=0x1000)).add(range_end(7, 1, 0))'
    [ "$status" -eq 101 ]
    said "a range.s floor lies before the place where this worker began to track public.t"
    try 'e.add(rows(7, 1, [["1", "v", "b"]]))'
    [ "$status" -eq 101 ]
    try 'life(8)'
    [ "$status" -eq 101 ]
    said "a life begins before the one before has ended"
    try 'tx(101, ("insert", [b"\0\0\0\1", "v", "b"]))'
    [ "$status" -eq 100 ]
    said "a value of its key is not text"
    said "set binary = off"
    stream "$T/s" <<PY
$COPY_PRELUDE
e.lsn = 0x3000; e.table(1, "public", "t", T); tx(101, ("update", [b"\0\0\0\1", "v", UNCHANGED])); e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 100 ]
    said "a key of public.t that is missing is not text"
    said "set binary = off"
    [ "$(sql "SELECT count(*) FROM t")" = 0 ]
}

@test "random sources are copied while they change, sink-pg is killed: right at every position, equal in the end" {
    local seed
    for seed in ${SEED:-1 2 3}; do
        mkdir "$T/$seed"
        timeout 120 /usr/bin/python3 "$BATS_TEST_DIRNAME/sinkpg_copies.py" --bin "$WALPIPE_BIN" \
            --conninfo "$(pg_conninfo dst "$db")" --scratch "$T/$seed" --seed "$seed" 3>&- ||
            { tail -n 3 "$T/$seed/err" && return 1; }
    done
}
