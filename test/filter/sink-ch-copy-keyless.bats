#!/usr/bin/env bats
# sink-ch alone: a table without a key is copied under one snapshot, once into an empty table
# (docs/copy.md, "Tables without a key").

load sink-ch
load sink-ch-keyless
load sink-ch-copy-keyless

@test "what the snapshot contains comes with the ranges, what it lacks is added; a replay adds nothing" {
    check_keyless
}

@test "kill -9 at each step: the copy begins again with an empty table, each row is there once" {
    check_keyless_kills
}

@test "a TRUNCATE that the snapshot lacks, and another description, begin the copy again" {
    copied_keyless <<'PY'
describe(); ask(); life(7)
# a change waits for the first range, so that is written at once
tx(149, ("insert", ["0", "held"]))
block(7, 1, [["1", "a"]], mark=0x1000, to=(5, 0))
empty(150)
block(7, 2, [["2", "b"]], mark=0x1000, from_=(5, 0))
tx(151, ("insert", ["3", "behind it"]))
e.add(table_end(7)); e.watermark(0x3000)
ask(); life(8)
e.lsn = 0x3000; e.begin(xid=160); describe(T + [col("more")]); e.commit()
block(8, 1, [["3", "behind it"]], snapshot=(155, 155, ()), mark=0x1000)
e.add(table_end(8, "a")); e.watermark(0x3100)
ask(); life(9)
block(9, 1, [["3", "behind it"]], snapshot=(165, 165, ()), mark=0x1000)
e.add(table_end(9)); e.end()
PY
    pile_is '3 behind it'
    note_is 'streaming (0,0)- 1 1'
    told_is copied '[.life, .written]' '[7,true]
[7,false]
[8,false]
[9,true]'
    told_is missing .keys '{"hex":"90"}'
    log_has "public.t: it was truncated while it was copied; it has no key, so its copy begins again"
}

@test "a TRUNCATE that waits, and changes that are given up: the snapshot decides" {
    copied_keyless <<'PY'
describe(); ask(); life(7)
# 12 MiB: the first ones are given up, and are in the snapshot
for n in range(12): tx(100 + n, ("insert", [str(n), "x" * (1 << 20)]))
empty(120); tx(150, ("insert", ["50", "lacked"]))
block(7, 1, [["1", "a"]], snapshot=(150, 150, ()), mark=0x1000)
e.add(table_end(7)); e.end()
PY
    pile_is '1 a
50 lacked'
    q "TRUNCATE TABLE t"
    q "DROP TABLE walpipe_tables"
    q "DROP TABLE walpipe_progress"
    copied_keyless <<'PY'
e.lsn = 0x4000
describe(); ask(); life(7)
for n in range(12): tx(100 + n, ("insert", [str(n), "x" * (1 << 20)]))
block(7, 1, [["1", "a"]], snapshot=(101, 101, ()), mark=0x1000)
e.add(table_end(7)); e.end()
PY
    log_has "too many changes came before it could be read; it has no key, so its copy begins again"
    note_is 'copying  1 1'
}

@test "rows that came late from a sink that was killed: the copy begins again" {
    keyless_stream >"$DIR/s" <<'PY'
describe(); ask(); life(7)
block(7, 1, [["1", "a"]], mark=0x1000)
PY
    rm -f "$DIR/in"
    mkfifo "$DIR/in"
    sink --create-tables <"$DIR/in" &
    exec 8>"$DIR/in"
    cat "$DIR/s" >&8
    wait_until 20 count_is 1
    q "INSERT INTO t (id, v) VALUES (1, 'a')"
    keyless_stream <<'PY' | tail -c +$(($(stat -c %s "$DIR/s") + 1)) >&8
describe(); ask(); life(7)
block(7, 1, [["1", "a"]], mark=0x1000)
e.add(table_end(7)); e.watermark(0x3000)
ask(); life(8)
block(8, 1, [["1", "a"]], mark=0x1000)
e.add(table_end(8)); e.end()
PY
    exec 8>&-
    wait_until 20 state_is streaming
    pile_is '1 a'
    log_has "public.t: its target has more rows than were copied"
}

@test "an answer that is lost while rows are written: the copy begins again" {
    piles plain
    proxied
    keyless_stream >"$DIR/one" <<<'describe(); ask(); life(7); block(7, 1, [["1", "a"]], mark=0x1000, to=(5, 0))'
    keyless_stream >"$DIR/all" <<'PY'
describe(); ask(); life(7); block(7, 1, [["1", "a"]], mark=0x1000, to=(5, 0))
block(7, 2, [["2", "a"]], mark=0x1000, from_=(5, 0))
e.add(table_end(7)); e.watermark(0x3000)
ask(); life(8)
block(8, 1, [["1", "a"], ["2", "a"]], mark=0x1000)
e.add(table_end(8)); e.end()
PY
    mkfifo "$DIR/fifo"
    sink <"$DIR/fifo" &
    local pid=$!
    exec 8>"$DIR/fifo"
    cat "$DIR/one" >&8
    wait_until 20 count_is 1
    fault insert 1
    tail -c +$(($(stat -c %s "$DIR/one") + 1)) "$DIR/all" >&8
    exec 8>&-
    wait "$pid"
    fault counts
    pile_is '1 a
2 a'
    note_is 'streaming (0,0)- 2 1'
    log_has "public.t: an answer of ClickHouse was lost, so rows may be there twice"
}

@test "refused: an update that the snapshot lacks, a target that replaces rows, a target of two tables" {
    exits 100 copied_keyless <<'PY'
describe(); ask(); life(7)
block(7, 1, [["1", "a"]], mark=0x1000)
tx(150, ("delete", None, ["1", "a"])); e.end()
PY
    log_has "can only be added"
    q "DROP TABLE t"
    q "DROP TABLE walpipe_tables"
    q "CREATE TABLE t (id Int32, v Nullable(String), _version UInt64, _is_deleted UInt8) ENGINE = ReplacingMergeTree(_version) ORDER BY id"
    exits 100 copied_keyless <<'PY'
T = [col("id", True, INT4), col("v", True)]
e.table(1, "public", "t", T, "f")
e.add(copytable(0, 1, "public", "t", T, "f", definition="d")).add(table_end(0, "l")).add(copytable(7, 1, "public", "t", T, "f", definition="d")).end()
PY
    log_has "public.t cannot be copied: it has no key, and its target replaces rows"
    is "SELECT state FROM walpipe_tables FINAL WHERE relid = 1" waiting
    q "DROP TABLE t"
    exits 100 copied_keyless --map "public.t -> t, public.u -> t" <<'PY'
describe(); e.table(2, "public", "u", T)
e.add(copytable(0, 1, "public", "t", T)).add(copytable(0, 2, "public", "u", T)).add(table_end(0, "l")); life(7); e.end()
PY
    log_has "rows of another table go to its target"
}

@test "a table that gets a key while it is copied is refused; the way out" {
    copied_keyless <<<'describe(); ask(); life(7); block(7, 1, [["1", "a"]], mark=0x1000); e.end()'
    local keyed='T = [col("id", True, INT4), col("v")]'
    exits 100 copied_keyless <<<"$keyed; describe(); ask(); life(8); e.end()"
    log_has "public.t cannot be copied further: it has a key, unlike when its copy began"
    log_has "ALTER TABLE walpipe_tables DELETE WHERE"
    q "ALTER TABLE walpipe_tables DELETE WHERE name = 't'"
    done_deleting() { [ "$(q "SELECT count() FROM walpipe_tables WHERE name = 't'")" = 0 ]; }
    wait_until 20 done_deleting
    q "DROP TABLE t"
    copied_keyless <<<"$keyed; describe(); ask(); life(8); block(8, 1, [['1', 'a']], mark=0x1000); e.add(table_end(8)).end()"
    is "SELECT id, v FROM t FINAL" '1 a'
}

@test "two workers: the rows are one worker's, the other one removes nothing" {
    local shard
    run_both() { # Python
        for shard in 0 1; do
            { echo "$KEYLESS"; echo "e = Events(sink='olap', shard=$shard, shards=2, version=2); MINE = $shard == $1"; cat; echo 'out(e)'; } <<<"$2" |
                /usr/bin/python3 "$WALPIPE_ROOT/test/lib/stream.py" py >"$DIR/s"
            sink --create-tables <"$DIR/s"
        done
    }
    # which one it is
    owner=$(/usr/bin/python3 -c 'from stream import *; print(key_hash(1, [col("id", oid=INT4), col("v")], ["1", "a"]) % 2)')
    text='describe(); ask(); life(7)
block(7, 1, [["1", "a"]] if MINE else [], mark=0x1000)
if MINE: tx(150, ("insert", ["2", "b"]))
e.add(table_end(7)).end()'
    run_both "$owner" "$text"
    pile_is '1 a
2 b'
    # one of them had not noted the end: all begin again, and only the owner empties the table
    q "INSERT INTO walpipe_tables SELECT pipeline, sink, system_identifier, relid, part, shard, schema, name, 'copying', l0, file,
        definition, '', 0, layout, target, keyless, version + 1000, now() FROM walpipe_tables FINAL WHERE relid = 1 AND shard = $owner"
    run_both "$owner" "${text//7/8}"
    pile_is '1 a
2 b'
    [ "$(q "SELECT groupArray(state) FROM walpipe_tables FINAL WHERE relid = 1")" = "['streaming','streaming']" ]
}
