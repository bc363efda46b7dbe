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

@test "what a crash leaves: finished ranges stand, and the table goes on being followed" {
    exits 111 copied <<'PY'
ask(); life(7)
block(7, 1, [["1", "v", "b"]], to=(512, 0), mark=0x1000)
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
    log_has "not copied, because the sink has followed them without copies: 1"
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

# ---- what is refused ----

@test "refused: a target with rows, a table without a key, another table of that name, a stream without copies" {
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
    for identity in f n; do
        exits 100 copied <<<"e.add(copytable(0, 3, 'public', 'k', [col('id', True, INT4)], identity='$identity')).end()"
        log_has "public.k cannot be copied: it has no key that finds its rows"
    done
    # what has begun must not be forgotten
    small >"$DIR/in"
    exits 100 sink <"$DIR/in"
    log_has "the copy of public.t has not ended, and this stream brings none"
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
    log_has "public.t was left out of the sink's tables or of the publication, and its changes of that time are lost"
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
    for name in walpipe_tables walpipe_missing walpipe_progress; do
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
