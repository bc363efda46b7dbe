#!/usr/bin/env bats
# sink-pg alone: the changes that are applied while a table is copied (docs/copy.md), after a crash
# between two workers' notes, with a key that was not sent again, and with another name.

load sink-pg
load sink-pg-copy

@test "the bug was that after a crash between two workers' notes one passed over what the other followed" {
    make_table
    run_worker() { # SHARD PYTHON
        stream "$T/s" <<PY
${COPY_PRELUDE/shards=1/shard=$1, shards=2}
$2
e.end(); out(e)
PY
        sink <"$T/s"
        [ "$status" -eq 0 ]
    }
    run_worker 0 'ask()'
    run_worker 1 'ask(); life(7)'
    [ "$(sql "SELECT shard, state FROM walpipe.tables WHERE relid = 1 ORDER BY shard" | xargs)" = "0|waiting 1|copying" ]
    # worker 1 has written it, before the key's row came to worker 0
    sql "INSERT INTO t VALUES (1, 'old', 'b')"
    run_worker 0 'e.table(1, "public", "t", T); tx(150, ("delete", ["1", None, None]))'
    [ "$(sql "SELECT count(*) FROM t")" = 0 ]
    [ "$(sql "SELECT state FROM walpipe.tables WHERE relid = 1 AND shard = 0")" = copying ]
}

@test "the bug was that an update without its key, which is in TOAST, was tracked under no key" {
    sql "CREATE TABLE t (id text PRIMARY KEY, v text, big text)"
    stream "$T/s" <<PY
${COPY_PRELUDE/col(\"id\", True, INT4)/col(\"id\", True)}
e.table(1, "public", "t", T)
ask(); life(7)
e.begin(xid=101); e.update(1, [UNCHANGED, "new", UNCHANGED], key=["long", None, None]); e.commit()
block(7, 1, [["long", "old", "toast"]], mark=0x2028)
block(7, 2, [], kind="q", mark=0x2028)
e.add(table_end(7)); e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 0 ]
    [ "$(sql "SELECT * FROM t")" = "long|new|toast" ]
}

@test "the bug was that a renamed table was taken for one that was made again" {
    make_table
    stream "$T/s" <<PY
$COPY_PRELUDE
ask(); life(7)
block(7, 1, [["1", "v", "b"]], mark=0x1000)
block(7, 2, [], kind="q", mark=0x1000)
e.add(table_end(7)); e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 0 ]
    sql "ALTER TABLE t RENAME TO u; CREATE TABLE t (id int PRIMARY KEY, v text, big text)"
    # another table has its name now
    stream "$T/s" <<PY
$COPY_PRELUDE
e.table(1, "public", "u", T)
tx(150, ("update", ["1", "w", "b"]))
e.add(copytable(0, 1, "public", "u", T, definition="d")).add(copytable(0, 2, "public", "t", T, definition="d"))
e.add(table_end(0, "l")); e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 0 ]
    [ "$(sql "SELECT * FROM u")" = "1|w|b" ]
    [ "$(sql "SELECT relid, name, state FROM walpipe.tables WHERE relid <> 0 ORDER BY relid" | xargs)" = "1|u|streaming 2|t|waiting" ]
}
