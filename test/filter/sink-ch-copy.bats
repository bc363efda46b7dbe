#!/usr/bin/env bats
# sink-ch alone: tables that are copied while the stream goes on (docs/copy.md).

load sink-ch
load sink-ch-copy

# ---- a copy ----

@test "a table is copied while it changes: rows, changes of rows that are not there yet, notes" {
    check_copy
}

@test "a copied row wins against the tombstone of another row that had its key" {
    check_moved
}

@test "before its life a table's changes are left to the ranges, and its note says that it waits" {
    copied <<'PY'
e.table(1, "public", "t", T)
tx(90, ("insert", ["1", "v", "b"]), ("update", ["9", "v", UNCHANGED]), ("delete", ["8", None, None]))
e.begin(xid=91); e.truncate([1]); e.commit()
e.end()
PY
    is "EXISTS TABLE t" 0
    reached_is 2128
    notes_are '0 0 0 waiting 
1 0 0 waiting '
    # a partition that is asked about takes its place
    copied <<'PY'
e.add(copytable(0, 1, "public", "t", T, part=11)).add(copytable(0, 1, "public", "t", T, part=12)).add(table_end(0, "l")).end()
PY
    notes_are '0 0 0 waiting 
1 11 0 waiting 
1 12 0 waiting '
}

@test "a range whose mark has not come, or that lacks a change of the table's columns, is not written" {
    copied <<'PY'
ask(); life(7)
block(7, 1, [["1", "v", "b"]], mark=0x9000)
e.table(1, "public", "t", T)
tx(150, ("insert", ["2", "v", "b"]))
e.begin(xid=151).table(1, "public", "t", T + [col("more")]).insert(1, ["3", "v", "b", None]).commit()
block(7, 2, [["4", "v", "b"]], snapshot=(151, 151, ()), mark=0x2000)
block(7, 3, [["5", "v", "b"]], snapshot=(152, 152, ()), mark=0x2000, from_=(5, 0))
e.end()
PY
    is "SELECT groupArray(id) FROM (SELECT id FROM t FINAL ORDER BY id)" "[2,3,5]"
    is "SELECT state, done FROM walpipe_tables FINAL WHERE relid = 1" "copying (5,0)-"
    told_is copied '[.number, .written]' '[2,false]
[3,true]'
}

@test "ranges wait for others, and are written before the end of their life drops them" {
    copied <<'PY'
e.watermark(e.lsn); ask(); life(7)
block(7, 1, [["1", "v", "b"]], to=(9, 0), mark=e.lsn); block(7, 2, [["2", "v", "b"]], from_=(9, 0), to=(18, 0), mark=e.lsn)
e.add(table_end(7, "a")).end()
PY
    is "SELECT groupArray(id) FROM (SELECT id FROM t FINAL ORDER BY id)" "[1,2]"
    is "SELECT max(max_block_number) FROM system.parts WHERE database = '$DB' AND table = 't'" 1
    is "SELECT state, done FROM walpipe_tables FINAL WHERE relid = 1" "copying (0,0)-(18,0)"
}

@test "what a crash leaves: finished ranges stand, and the table goes on being followed" {
    exits 111 copied <<'PY'
ask(); life(7)
block(7, 1, [["1", "v", "b"]], to=(512, 0), mark=0x1000); block(7, 2, [], kind="q", mark=0x1000)
e.table(1, "public", "t", T)
tx(150, ("update", ["1", "w", UNCHANGED]), ("update", ["2", "partial", UNCHANGED]), ("update", ["3", "whole", "b"]))
e.watermark(0x3000)
PY
    # the stream begins again before what was confirmed
    copied <<'PY'
e.table(1, "public", "t", T)
tx(150, ("update", ["1", "w", UNCHANGED]), ("update", ["2", "partial", UNCHANGED]), ("update", ["3", "whole", "b"]))
e.watermark(0x3000)
e.lsn = 0x3000
tx(160, ("update", ["1", "x", UNCHANGED]), ("update", ["4", "partial", UNCHANGED]))
ask(); life(1007)
block(1007, 1, [], kind="q", mark=0x1000)
# the table was written anew: its blocks are others
e.add(range_(1007, 2, 1, "public", "t", T, file=2, mark=0x1000, floor=0x100000)).add(range_end(1007, 2, 0, (3, 0)))
e.end()
PY
    rows_are '1 x b
3 whole b'
    missing_are 2
    # [file 1, definition d, done]
    told_is table_state 'select(.life == 1007) | .detail.hex' "\"9301a164ad$(printf '(0,0)-(512,0)' | od -An -tx1 | tr -d ' \n')\""
    told_is missing .keys '{"hex":"91a13291a134"}'
    is "SELECT file, done FROM walpipe_tables FINAL WHERE relid = 1" "2 (0,0)-(3,0)"
}

@test "the bug was that a row that came and went before its table's life came back for ever by two restarts" {
    # neither change is in the target, and the range does not have the row
    copied <<'PY'
e.table(1, "public", "t", T)
tx(90, ("insert", ["1", "short", "b"])); tx(91, ("delete", ["1", None, None]))
ask(); life(7)
tx(101, ("insert", ["2", "two", "b"]))
block(7, 1, [["3", "three", "b"]], mark=0x2128); block(7, 2, [], kind="q", mark=0x2128)
e.watermark(0x3000).add(table_end(7)).end()
PY
    rows_are '2 two b
3 three b'
    # The slot is behind, as after a crash of the source. This run ends between the two changes.
    copied <<'PY'
e.table(1, "public", "t", T)
tx(90, ("insert", ["1", "short", "b"])); e.end()
PY
    # by then the slot was moved up to what the sink had long ago
    copied <<'PY'
e.lsn = 0x3000
e.table(1, "public", "t", T)
tx(110, ("insert", ["4", "four", "b"]))
ask(); e.end()
PY
    rows_are '2 two b
3 three b
4 four b'
    # after the way out of a table that must be copied anew, a life begins where it begins
    q "TRUNCATE TABLE t"
    q "ALTER TABLE walpipe_tables UPDATE state = 'waiting', done = '', rows = 0 WHERE name = 't'"
    wait_until 20 waits_again
    copied <<'PY'
e.lsn = 0x3100
e.table(1, "public", "t", T)
tx(120, ("insert", ["5", "short", "b"])); tx(121, ("delete", ["5", None, None]))
ask(); life(9)
block(9, 1, [["3", "three", "b"]], snapshot=(130, 130, ()), mark=0x3100); block(9, 2, [], kind="q", mark=0x3100)
e.add(table_end(9)).end()
PY
    copied <<'PY'
e.lsn = 0x3100
e.table(1, "public", "t", T)
tx(120, ("insert", ["5", "short", "b"])); e.end()
PY
    rows_are '3 three b'
}

@test "keys of an identity that has changed are forgotten, as all rows are read again" {
    copied <<'PY'
ask(); life(7)
e.table(1, "public", "t", T); tx(150, ("update", ["2", "partial", UNCHANGED]))
e.add(range_(7, 1, 1, "public", "t", [col("id", True, INT4), col("v", True), col("big")], kind="q", mark=0x1000, floor=0x100000)).add(range_end(7, 1, 0))
e.end()
PY
    missing_are 0
    told_is missing .keys ''
}

@test "a sink that an older walpipe has followed is carried over: nothing is copied" {
    small >"$DIR/in"
    sink --create-tables <"$DIR/in"
    copied <<'PY'
T = [col("id", True, INT4), col("v")]
e.lsn = 0x2100
e.table(1, "public", "t", T); tx(90, ("insert", ["2", "v"])); ask(); e.end()
PY
    is "SELECT count() FROM t" 2
    notes_are '0 0 0 waiting 
1 1 0 streaming '
    told_is table_state 'select(.relid == 1) | .state' '"h"'
    # the bug was that nothing said so
    log_has "not copied, because the sink has replicated them without copies: 1"
    # a table that comes later is a new one
    copied <<'PY'
e.lsn = 0x2200
e.table(2, "public", "u", T); e.begin(); e.insert(2, ["2", "v", "b"]); e.commit(); e.end()
PY
    is "EXISTS TABLE u" 0
    is "SELECT state FROM walpipe_tables FINAL WHERE relid = 2" waiting
}

@test "the bug was that a table made again under copy = no was refused, and the hint lost its rows" {
    copied <<<'ask(); life(7); e.add(table_end(7)).end()'
    # with copy = no the source drops the table and makes it again
    events <<'PY' >"$DIR/in"
e.lsn = 0x3000
e.table(2, "public", "t", [col("id", True, INT4), col("v"), col("big")])
e.begin(); e.insert(2, ["1", "of the new table", "b"]); e.commit(); e.end()
PY
    sink --create-tables <"$DIR/in"
    copied <<'PY'
e.lsn = 0x4000
e.add(copytable(0, 2, "public", "t", T, definition="d")).add(table_end(0, "l"))
e.table(2, "public", "t", T); e.begin(); e.insert(2, ["2", "new", "b"]); e.commit(); e.end()
PY
    rows_are '1 of the new table b
2 new b'
    is "SELECT state FROM walpipe_tables FINAL WHERE relid = 2" streaming
    # from now on another one is refused again
    exits 100 copied <<<'e.add(copytable(0, 3, "public", "t", T)).end()'
    log_has "the source's table was dropped and made again"
}

@test "another number of workers: what all had finished stays finished, missing keys are worker 0's" {
    three() { # SHARD: a worker of three, and what it has
        copied <<PY
e = Events(sink="olap", shard=$1, shards=3, version=2)
e.table(1, "public", "t", T); e.table(2, "public", "u", T)
e.add(copytable(0, 1, "public", "t", T, definition="d")).add(copytable(0, 2, "public", "u", T, definition="d"))
e.add(table_end(0, "l"))
life(7); e.add(copytable(8, 2, "public", "u", T, definition="d"))
tx(150, ("update", ["$1", "partial", UNCHANGED]))
block(7, 1, [], mark=0x1000, to=(9, 0))
e.add(range_(8, 1, 2, "public", "u", T, mark=0x1000, floor=0x100000)).add(range_end(8, 1, 0)).add(table_end(8))
e.end()
PY
    }
    three 0
    three 1
    three 2
    notes_are '0 0 0 waiting 
1 1 0 copying (0,0)-(9,0)
1 1 1 copying (0,0)-(9,0)
1 1 2 copying (0,0)-(9,0)
2 2 0 streaming (0,0)-
2 2 1 streaming (0,0)-
2 2 2 streaming (0,0)-'
    copied <<'PY'
e.lsn = 0x3000
e.table(1, "public", "t", T); e.add(copytable(0, 2, "public", "u", T)); ask(); life(7)
block(7, 1, [], kind="q", mark=0x1000)
e.end()
PY
    notes_are '0 0 0 waiting 
1 1 0 copying 
2 2 0 streaming (0,0)-'
    [ "$(told missing .keys.hex | tail -n 1 | grep -o 91a13 | wc -l)" = 3 ]
}

@test "the bug was that a missing key stayed missing while whole changes of it came all the time" {
    copied <<'PY'
e.table(1, "public", "t", T)
ask(); life(7)
# whole changes that the snapshot lacks, before the key is read and behind it
tx(101, ("update", ["4", "partial", UNCHANGED]), ("update", ["5", "partial", UNCHANGED]), ("update", ["6", "partial", UNCHANGED]))
block(7, 1, [], mark=0x2028, kind="q")
tx(102, ("update", ["4", "whole", "a"]), ("update", ["5", "whole", "a"]), ("update", ["6", "whole", "a"]))
block(7, 2, [["4", "old", "toast"], ["5", "old", "toast"], ["6", "old", "toast"]], mark=0x2128, kind="k")
e.watermark(0x2180)
tx(103, ("update", ["4", "whole", "b"]), ("delete", ["5", None, None]))
# 6 is whole for a moment only: a row that is not known moves to its key
tx(104, ("update", ["6", "whole", "b"]), ("delete", ["6", None, None]), ("update", ["6", "moved", UNCHANGED], ["9", None, None]))
block(7, 3, [], mark=0x2328, kind="q")
e.end()
PY
    missing_are 1
    told missing .keys.hex | tail -n 1 | grep -qx '"91a136"'
    rows_are '4 whole b'
}

@test "the bug was that a slow worker's note stood for a table that was gone and back" {
    notes() { q "SELECT shard, state, done FROM walpipe_tables FINAL WHERE relid = 1 AND state <> 'gone' ORDER BY shard" | xargs; }
    local begins back="e.add(table_end(7, 'g')); ask()" slow
    begins='ask(); life(7); block(7, 1, [[str(e.shard), "old", "b"]], mark=0x1000, to=(9, 0)); e.watermark(0x3000)'
    stream_of() { # SHARD < Python
        { echo "$COPY_PRELUDE"; echo "e = Events(sink='olap', shard=$1, shards=2, version=2); e.shard = $1"; cat; } |
            /usr/bin/python3 "$WALPIPE_ROOT/test/lib/stream.py" py
    }
    # worker 1 is slow: it does not know yet that the table is gone
    stream_of 1 <<PY
def part(name, at=0):
    with open("$DIR/" + name, "wb") as f: f.write(bytes(e.bytes)[at:])
    return len(e.bytes)
$begins; at = part("begins")
block(7, 2, [["3", "old", "b"]], mark=0x1000, from_=(9, 0), to=(12, 0)); e.watermark(0x3100); at = part("goes on", at)
$back; e.watermark(0x3200); part("is told", at)
PY
    mkfifo "$DIR/in"
    sink --create-tables <"$DIR/in" &
    slow=$!
    exec 8>"$DIR/in"
    cat "$DIR/begins" >&8
    noted() { [ "$(notes)" = "$1" ]; }
    wait_until 20 noted "1 copying (0,0)-(9,0)"
    stream_of 0 <<<"$begins; $back; e.end(); out(e)" >"$DIR/s"
    exits 100 sink --create-tables <"$DIR/s"
    log_has 'is to be copied from \"public.t\" and has rows already'
    noted ""
    # nor does the note come back with what that worker still writes
    cat "$DIR/goes on" >&8
    third() { [ "$(q "SELECT count() FROM t WHERE id = 3")" = 1 ]; }
    wait_until 20 third
    noted ""
    # the way out
    q "TRUNCATE TABLE t"
    stream_of 0 <<<"ask(); e.end(); out(e)" >"$DIR/s"
    sink --create-tables <"$DIR/s"
    noted "0 waiting"
    cat "$DIR/is told" >&8
    wait_until 20 noted "0 waiting 1 waiting"
    exec 8>&-
    wait "$slow" || true
}

# ---- what is refused ----

@test "the bug was that --check said nothing of a target with rows that run refuses" {
    table t "id Int32, v Nullable(String), big Nullable(String)" id
    asked() { # CODE OPTION...
        local code=$1
        shift
        events <<<'e.table(1, "public", "t", [col("id", True, INT4), col("v"), col("big")]); e.end()' >"$DIR/in"
        exits "$code" sink --check "$@" <"$DIR/in" >"$DIR/out"
    }
    asked 0 --copies
    q "INSERT INTO t (id) VALUES (1)"
    asked 0
    asked 100 --copies
    grep -qF 'FAIL  table public.t: ' "$DIR/out"
    grep -qF 'is to be copied from "public.t" and has rows already: if nothing else writes to it, run TRUNCATE' "$DIR/out"
    # once its copy has begun the rows are its own
    q "TRUNCATE TABLE t"
    copied <<<'ask(); life(7); block(7, 1, [["1", "v", "b"]], mark=0x1000); e.end()'
    asked 0 --copies
    # and a sink that an older walpipe has followed copies nothing
    q "DROP TABLE walpipe_tables"
    q "DROP TABLE walpipe_progress"
    asked 100 --copies
    small >"$DIR/in"
    sink --map "public.t -> other" --create-tables <"$DIR/in"
    asked 0 --copies
}

@test "refused: a target with rows, another table of that name, a stream without copies" {
    table t "id Int32, v Nullable(String), big Nullable(String)" id
    q "INSERT INTO t (id) VALUES (1)"
    asks='ask(); e.end()'
    exits 100 copied <<<"$asks"
    log_has 'is to be copied from \"public.t\" and has rows already'
    log_has "TRUNCATE TABLE"
    notes_are '0 0 0 waiting '
    # the way out
    q "TRUNCATE TABLE t"
    copied <<<"$asks"
    # not the same oid
    exits 100 copied <<<'e.add(copytable(0, 2, "public", "t", T)).end()'
    log_has "the source's table was dropped and made again"
    # the way out, in its order
    q "ALTER TABLE walpipe_tables DELETE WHERE name = 't'"
    wait_until 20 forgotten
    q "TRUNCATE TABLE t"
    copied <<<'e.add(copytable(0, 2, "public", "t", T)).add(table_end(0, "l")).end()'
    # what has begun must not be forgotten
    small >"$DIR/in"
    exits 100 sink <"$DIR/in"
    log_has "the copy of public.t has not ended, and the sink does not copy any more"
    "$WALPIPE_BIN/sink-ch" --url "$URL" --database "$DB" --pipeline p --drop-progress --sink olap 2>>"$DIR/log"
    is "SELECT count() FROM walpipe_tables" 0
    sink <"$DIR/in"
}

forgotten() {
    [ "$(q "SELECT count() FROM walpipe_tables WHERE name = 't'")" = 0 ]
}

@test "the bug was that a table that was out of the list for a while went on without its changes" {
    table t "id Int32, v Nullable(String), big Nullable(String)" id
    state_is() {
        is "SELECT state FROM walpipe_tables FINAL WHERE relid = 1" "$1"
    }
    # A table that waits has no changes to lose.
    copied <<<'ask(); e.end()'
    copied <<<'e.add(table_end(0, "l")).end()'
    state_is out-waiting
    copied <<<'ask(); e.end()'
    state_is waiting
    copied <<<'ask(); life(6); e.end()'
    copied <<<'e.add(table_end(0, "l")).end()'
    state_is out-copying
    exits 100 copied <<<'ask(); e.end()'
    log_has "public.t was left out of the sink's tables or of the publication, or was published otherwise or unlogged, and its changes of that time are lost"
    state_is out-copying
    # A stream without copies brings no such table.
    small >"$DIR/in"
    sink --create-tables <"$DIR/in"
    # the way out
    q "TRUNCATE TABLE t"
    q "ALTER TABLE walpipe_tables UPDATE state = 'waiting', done = '', rows = 0 WHERE name = 't'"
    wait_until 20 waits_again
    copied <<<'ask(); e.end()'
    state_is waiting
}

waits_again() {
    [ "$(q "SELECT count() FROM system.mutations WHERE table = 'walpipe_tables' AND NOT is_done")" = 0 ]
}

# The bug was that the changes of such a partition's rows were refused, in each run again.
@test "a partition is attached: an update of its rows without TOASTed values comes before the list" {
    copied <<'PY'
e.watermark(e.lsn); ask(11); life(7, 11); block(7, 1, [["1", "v", "b"]], mark=e.lsn)
block(7, 2, [], kind="q", mark=e.lsn); e.add(table_end(7)); e.end()
PY
    copied <<'PY'
e.lsn = 0x3000; e.table(1, "public", "t", T)
tx(101, ("update", ["5", "new", UNCHANGED]), ("update", ["6", "new", UNCHANGED]))
e.end()
PY
    missing_are 2
    rows_are '1 v b'
    # The list has the partition now, and its range has a row. One is away by then.
    copied <<'PY'
e.lsn = 0x3800; e.watermark(e.lsn); ask(11, 12); life(8, 12)
block(8, 1, [["6", "new", "toast"]], snapshot=(103, 103, ()), mark=e.lsn)
block(8, 2, [], kind="q", mark=e.lsn); block(8, 3, [], keys=["5"], kind="k", mark=e.lsn)
e.add(table_end(8)); e.end()
PY
    rows_are '1 v b
6 new toast'
    missing_are 0
    # What was missing when the run began is read, though all ranges are finished.
    told_is table_state 'select(.life == 0 and .part == 11) | .state' '"w"
"w"'
    # An ordinary table's row must be there.
    table o "id Int32, v Nullable(String), big Nullable(String)" id
    exits 100 copied <<'PY'
e.lsn = 0x4000; e.table(2, "public", "o", T)
e.add(copytable(0, 2, "public", "o", T, definition="d")).add(copytable(0, 1, "public", "t", T, definition="d", part=11))
e.add(copytable(0, 1, "public", "t", T, definition="d", part=12)).add(table_end(0, "l"))
e.add(copytable(9, 2, "public", "o", T, definition="d")).add(range_(9, 1, 2, "public", "o", T, mark=0x3000, floor=0x100000))
e.add(range_end(9, 1, 0)).watermark(e.lsn).add(table_end(9))
e.begin(xid=150); e.update(2, ["5", "new", UNCHANGED]); e.commit(); e.end()
PY
    log_has 'has no row with that key'
}

# The bug was that the rows stayed in the old target, and the changes went to the new one.
@test "a map that names another target is refused, in and after the copy; three ways out" {
    local half copied to_b=(--map 'public.t -> b')
    half='e.watermark(e.lsn); ask(); life(7); block(7, 1, [["1", "v", "b"]], to=(512, 0), mark=e.lsn); e.end()'
    copied='e.lsn = 0x3000; e.watermark(e.lsn); ask(); life(7); block(7, 1, [["1", "v", "b"]], mark=e.lsn)
block(7, 2, [], kind="q", mark=e.lsn); e.add(table_end(7)); e.end()'
    note_is() {
        is "SELECT $1 FROM walpipe_tables FINAL WHERE relid = 1" "$2"
    }
    refused_for_b() {
        exits 100 copied "${to_b[@]}" <<<'ask(); e.end()'
        log_has "the rows of public.t are in \`$DB\`.\`t\`, and its changes go to \`$DB\`.\`b\` now"
        log_has "set map back; if you have renamed the table in ClickHouse as well, ALTER TABLE"
        is "EXISTS TABLE b" 0
    }
    again() {
        q "ALTER TABLE walpipe_tables UPDATE $1 WHERE name = 't'"
        wait_until 20 waits_again
    }
    copied <<<"$half"
    note_is "state, target" "copying \`$DB\`.\`t\`"
    refused_for_b
    # An older walpipe's notes get the column, and the target of now, also when nothing is copied.
    q "ALTER TABLE walpipe_tables DROP COLUMN target"
    small >"$DIR/in"
    exits 100 sink <"$DIR/in"
    log_has "the copy of public.t has not ended"
    q "ALTER TABLE walpipe_tables DROP COLUMN target"
    copied <<<"${half/[[\"1\"/[[\"2\"}"
    refused_for_b
    # let it be copied again
    again "state = 'waiting', done = '', rows = 0"
    table b "id Int32, v Nullable(String), big Nullable(String)" id
    q "INSERT INTO b (id) VALUES (9)"
    exits 100 copied "${to_b[@]}" <<<'ask(); e.end()'
    log_has 'is to be copied from \"public.t\" and has rows already'
    note_is "target" "\`$DB\`.\`t\`"
    q "TRUNCATE TABLE b"
    copied "${to_b[@]}" <<<"$copied"
    note_is "state, target" "streaming \`$DB\`.\`b\`"
    is "SELECT id FROM b" 1
    # the table was renamed
    q "RENAME TABLE b TO c"
    exits 100 copied --map 'public.t -> c' <<<'ask(); e.end()'
    again "target = ''"
    copied --map 'public.t -> c' <<<'e.lsn = 0x4000; e.table(1, "public", "t", T); tx(101, ("insert", ["2", "new", "b"])); ask(); e.end()'
    note_is "state, target" "streaming \`$DB\`.\`c\`"
    is "SELECT groupArray(id) FROM (SELECT id FROM c FINAL ORDER BY id)" "[1,2]"
}

@test "refused: a missing target that may not be made, walpipe's own tables as a target" {
    { echo "$COPY_PRELUDE"; echo 'ask(); e.end(); out(e)'; } | /usr/bin/python3 "$WALPIPE_ROOT/test/lib/stream.py" py >"$DIR/in"
    exits 100 sink <"$DIR/in"
    log_has 'for rows of \"public.t\" does not exist in ClickHouse'
    notes_are '0 0 0 waiting '
    sink --create-tables <"$DIR/in"
    for name in walpipe_tables walpipe_missing walpipe_progress walpipe_skips walpipe_lacks; do
        events <<PY >"$DIR/in"
e.table(1, "public", "$name", [col("id", True, INT4), col("v")])
e.begin(); e.insert(1, ["1", "a"]); e.commit(); e.end()
PY
        q "DROP TABLE IF EXISTS walpipe_tables"
        exits 100 sink --create-tables <"$DIR/in"
        log_has "where walpipe keeps notes of its own"
    done
}

@test "--tables prints what is noted, and makes nothing" {
    check_tables
    # followed without a copy
    q "DROP TABLE walpipe_tables"
    small >"$DIR/in"
    sink --create-tables <"$DIR/in"
    [ "$(sink --tables --sink olap | head -n 1 | cut -f 1,2,4)" = $'sink\tstreaming\t1' ]
    exits 100 sink --tables
    log_has --sink
}

@test "--tables of a server that is away, of another user, and of a database that does not exist" {
    : >"$DIR/log"
    exits 111 sink --tables --sink olap --url "http://127.0.0.1:$(port_new)" >"$DIR/out"
    grep -q $'^error\tcould not ask ClickHouse for its version: ' "$DIR/out"
    WALPIPE_CH_PASSWORD=wrong exits 100 sink --tables --sink olap --user default >"$DIR/out"
    grep -q $'^error\tcould not ask ClickHouse for its version: ' "$DIR/out"
    exits 100 sink --tables --sink olap --database nowhere >"$DIR/out"
    grep -qx $'error\tdatabase "nowhere" does not exist in ClickHouse' "$DIR/out"
    exits 100 sink --tables --sink olap --password-file "$DIR/none" >"$DIR/out"
    grep -q $'^error\tcould not open password file' "$DIR/out"
}

@test "random sources are copied while they change, sink-ch is killed: right at every position, equal in the end" {
    check_random
}

@test "the bug was that a list behind the beginning of a life took its question away, and the copy waited for ever" {
    copied <<'PY'
e.table(1, "public", "t", T)
ask(); life(7); ask(); e.end()
PY
    told_is table_state 'select(.life == 7) | [.relid, .state, .last]' '[1,"w",true]'
}
