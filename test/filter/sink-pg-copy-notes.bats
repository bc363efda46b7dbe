#!/usr/bin/env bats
# sink-pg alone: the notes in walpipe.tables of tables that are copied (docs/copy.md, "The stored state"):
# of tables that get another target, leave, and come back.

load sink-pg
load sink-pg-copy

# asks LSN PYTHON OPTION...: a stream from there on.
asks() {
    local lsn=$1 events=$2
    shift 2
    stream "$T/s" <<PY
$COPY_PRELUDE
e.lsn = $lsn
$events
e.end(); out(e)
PY
    sink "$@" <"$T/s"
}

# One row, by a life that ends, or does not.
copied='e.watermark(e.lsn); life(7); block(7, 1, [["1", "v", "b"]], mark=e.lsn); block(7, 2, [], kind="q", mark=e.lsn)
e.add(horizon(200, 200)).add(table_end(7))'
half='e.watermark(e.lsn); life(7); block(7, 1, [["1", "v", "b"]], to=(512, 0), mark=e.lsn)'

copied_root='e.watermark(e.lsn); ask(11); life(7, 11); block(7, 1, [["1", "v", "b"]], mark=e.lsn)
block(7, 2, [], kind="q", mark=e.lsn); e.add(horizon(200, 200)).add(table_end(7))'

note_is() { [ "$(sql "SELECT $1 FROM walpipe.tables WHERE relid = 1")" = "$2" ]; }

# ---- the target table ----

to_b=(--map 'public.t -> public.b')

refused_for_b() {
    [ "$status" -eq 100 ]
    said 'the rows of public.t are in \\"public\\".\\"t\\", and its changes go to \\"public\\".\\"b\\" now'
    said "set map back; if you have moved the table in the target as well, set target = '' in its"
    [ "$(sql "SELECT count(*) FROM b")" = 0 ]
    # check says so, too
    stream "$T/check" <<PY
e = Events(sink="dst", shards=1)
e.table(1, "public", "t", [col("id", True, INT4), col("v"), col("big")]); e.end(); out(e)
PY
    checks "${to_b[@]}"
    [ "$status" -eq 100 ]
    [[ "$output" == *"the rows of public.t are in another target table than its changes now"* ]]
    checks
    [ "$status" -eq 0 ]
}

checks() {
    run "$WALPIPE_BIN/sink-pg" --check --copies --conninfo "$(pg_conninfo dst "$db")" --pipeline p "$@" <"$T/check"
    echo "$output"
}

# The bug was that the rows stayed in the old target, and the changes went to the new one.
@test "a map that names another target is refused, in and after the copy; three ways out" {
    make_table
    sql "CREATE TABLE b (LIKE t INCLUDING ALL)"
    asks 0x2000 "ask(); $half"
    [ "$status" -eq 0 ]
    note_is "state, done, target" 'copying|(0,0)-(512,0)|"public"."t"'
    asks 0x2100 "ask()" "${to_b[@]}"
    refused_for_b
    # set map back
    asks 0x2100 "ask(); ${copied/block(7, 1/block(7, 1, [[\"2\", \"v\", \"b\"]], from_=(512, 0), mark=e.lsn); block(7, 3}"
    [ "$status" -eq 0 ]
    note_is state streaming
    asks 0x2200 "ask()" "${to_b[@]}"
    refused_for_b
    # let it be copied again
    sql "BEGIN; TRUNCATE b; DELETE FROM walpipe.held WHERE relid = 1;
         UPDATE walpipe.tables SET state = 'waiting', done = '', rows = 0 WHERE relid = 1; COMMIT"
    asks 0x2300 "ask(); $copied" "${to_b[@]}"
    [ "$status" -eq 0 ]
    note_is "state, target" 'streaming|"public"."b"'
    [ "$(sql "SELECT id FROM b")" = 1 ]
    # the table was moved
    sql "ALTER TABLE b RENAME TO c"
    asks 0x2400 "ask()" --map 'public.t -> public.c'
    [ "$status" -eq 100 ]
    sql "UPDATE walpipe.tables SET target = '' WHERE relid = 1"
    asks 0x2400 'e.table(1, "public", "t", T); tx(101, ("insert", ["2", "new", "b"])); ask()' --map 'public.t -> public.c'
    [ "$status" -eq 0 ]
    note_is "state, target" 'streaming|"public"."c"'
    [ "$(sql "SELECT string_agg(id::text, ',' ORDER BY id) FROM c")" = 1,2 ]
}

@test "a table that waits takes another target, if that is empty, also when it was out" {
    local state
    make_table
    sql "CREATE TABLE b (LIKE t INCLUDING ALL); INSERT INTO b VALUES (9)"
    for state in waiting out-waiting; do
        asks 0x2000 "ask()"
        note_is "state, target" 'waiting|"public"."t"'
        [ "$state" = waiting ] || asks 0x2000 'e.add(table_end(0, "l"))' "${to_b[@]}"
        note_is state "$state"
        asks 0x2000 "ask()" "${to_b[@]}"
        [ "$status" -eq 100 ]
        said "public.b is to be copied and has rows already"
        sql "DELETE FROM walpipe.tables WHERE relid = 1"
    done
    asks 0x2000 "ask()"
    sql "TRUNCATE b"
    asks 0x2100 "ask(); $copied" "${to_b[@]}"
    [ "$status" -eq 0 ]
    note_is "state, target" 'streaming|"public"."b"'
    [ "$(sql "SELECT count(*) FROM b")" = 1 ]
}

@test "notes of an older walpipe get the column, and the target of now" {
    make_table
    asks 0x2000 "ask(); $half"
    sql "ALTER TABLE walpipe.tables DROP target; CREATE TABLE b (LIKE t INCLUDING ALL);
         GRANT USAGE ON SCHEMA walpipe TO plain; GRANT ALL ON ALL TABLES IN SCHEMA walpipe TO plain"
    asks 0x2100 "ask()" --conninfo "$(pg_conninfo dst "$db") user=plain"
    [ "$status" -eq 100 ]
    hint="ALTER TABLE walpipe.tables ADD COLUMN target text NOT NULL DEFAULT ''"
    said "run it as the table's owner: $hint"
    sql "$hint; ALTER TABLE walpipe.tables DROP target"
    asks 0x2100 "ask()"
    [ "$status" -eq 0 ]
    note_is "state, target" 'copying|"public"."t"'
    asks 0x2200 "ask()" "${to_b[@]}"
    refused_for_b
}

# ---- partitions that come ----

# The bug was that the changes of such a partition's rows were refused, in each run again.
@test "a partition is attached: an update of its rows without TOASTed values comes before the list" {
    local updates more
    make_table
    asks 0x2000 "$copied_root"
    [ "$status" -eq 0 ]
    [ "$(sql "SELECT part, state FROM walpipe.tables WHERE relid = 1")" = "11|streaming" ]
    # One row, and rows that are applied as a set.
    updates='("update", ["5", "new", UNCHANGED])'
    more='*[("update", [str(i), "new", UNCHANGED]) for i in range(100, 400)]'
    asks 0x2100 "e.table(1, 'public', 't', T); tx(101, $updates); tx(102, $more)"
    [ "$status" -eq 0 ]
    said "public.t: 301 updates found no row in the target and did nothing"
    [ "$(sql "SELECT count(*), count(DISTINCT key) FROM walpipe.missing")" = "301|301" ]
    reached_is $((0x2200))
    # The list has the partition now, and its range has the rows. One is away by then.
    asks 0x2300 "e.watermark(e.lsn); ask(11, 12); life(8, 12)
block(8, 1, [[str(i), 'new', 'toast'] for i in range(100, 400)], snapshot=(103, 103, ()), mark=e.lsn)
block(8, 2, [], kind='q', mark=e.lsn); block(8, 3, [], keys=['5'], kind='k', mark=e.lsn)
e.add(horizon(200, 200)).add(table_end(8))"
    [ "$status" -eq 0 ]
    [ "$(sql "SELECT count(*), min(big), max(big) FROM t WHERE id > 1")" = "300|toast|toast" ]
    [ "$(sql "SELECT count(*) FROM walpipe.missing")" = 0 ]
    [ "$(sql "SELECT part, state FROM walpipe.tables WHERE relid = 1 AND part = 12")" = "12|streaming" ]
    # What was missing when the run began is read, though all ranges are finished.
    [ "$(told table_state 'select(.life == 0 and .part == 11) | .state' | tail -n 1)" = '"w"' ]
}

@test "a row of an ordinary table that is not there is refused" {
    make_table
    asks 0x2000 "ask(); $copied"
    asks 0x2100 'e.table(1, "public", "t", T); tx(101, ("update", ["5", "new", UNCHANGED]))'
    [ "$status" -eq 100 ]
    [ "$(sql "SELECT count(*) FROM walpipe.missing")" = 0 ]
}
