#!/usr/bin/env bats
# sink-pg alone: the notes in walpipe.tables of tables that are copied (docs/copy.md, "What is stored"):
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

note_is() { [ "$(sql "SELECT $1 FROM walpipe.tables WHERE relid = 1")" = "$2" ]; }

# ---- the target table ----

to_b=(--map 'public.t -> public.b')

refused_for_b() {
    [ "$status" -eq 100 ]
    said 'the rows of public.t are in \\"public\\".\\"t\\", and its changes go to \\"public\\".\\"b\\" now'
    said "set map back; if you have moved the table in the target as well, set target = '' in its"
    [ "$(sql "SELECT count(*) FROM b")" = 0 ]
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
