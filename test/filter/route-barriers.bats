#!/usr/bin/env bats
# route alone: barriers, and what else concerns all the workers of a sink.

load route

# ---- barriers ----

@test "truncate: a barrier for all, the change for shard 0 alone, of the taken tables only" {
    build <<PY
$(three_keys)
e = Events()
e.table(1, "public", "t", cols).table(2, "public", "u", cols).table(3, "public", "no", cols)
e.begin().insert(1, [b, "1"]).truncate([1, 3, 2], flags=3).insert(1, [c, "2"]).commit()
e.begin().truncate([3]).commit().begin().truncate([2]).commit().end()
out(e)
PY
    spread 3 --tables '!*.no'
    [ "$status" -eq 0 ]
    for i in 0 1 2; do
        worker $i 'map(select(.type == "barrier") | [.id, .applier]) == [[1, 0], [2, 0]]'
    done
    worker 0 'map(select(.type == "truncate")) | map(.relations) == [["public.t", "public.u"], ["public.u"]]'
    expect 'map(select(.type == "truncate"))[0] | .cascade and .restart_identity and .ordinal == 2'
    expect 'map(select(.type == "commit").events) == [1, 0, 1]'
    expect '(map(.type) | index("truncate")) == (map(.type) | index("barrier")) + 1'
    worker 1 'map(.type) | index("insert") < index("barrier")'
    expect 'map(select(.type == "truncate")) == [] and map(select(.type == "commit").events) == [1, 0, 0]'
    worker 2 'map(.type) | index("insert") > index("barrier")'
}

@test "one worker: no barriers at all" {
    build <<PY
$(three_keys)
e = Events().table(1, "public", "t", cols)
e.begin().insert(1, [a, "1"]).update(1, [b, "1"], key=[a, None]).truncate([1]).commit()
e.table(1, "public", "t", [col("id"), col("v", key=True)]).begin().insert(1, [a, "1"]).commit().end()
out(e)
PY
    spread 1
    [ "$status" -eq 0 ]
    worker 0 'map(select(.type == "barrier")) == [] and map(select(.type == "commit").events) == [3, 1]'
}

@test "an update that moves a row: a barrier for all, the change for the new worker alone" {
    build <<PY
$(three_keys)
e = Events().table(1, "public", "t", cols)
e.begin().insert(1, [a, "1"]).update(1, [a2, "2"], key=[a, None]).update(1, [c, "3"], key=[a2, None])
e.delete(1, key=[c, None]).commit().end()
out(e)
PY
    spread 3
    [ "$status" -eq 0 ]
    for i in 0 1 2; do
        worker $i 'map(select(.type == "barrier") | [.id, .applier]) == [[1, 2]]'
    done
    worker 0 'map(.type) == ["hello","layout","relation","begin","insert","update","barrier","commit","end"]'
    expect 'map(select(.type == "commit").events) == [2]'
    worker 1 'map(select(.type == "commit").events) == [0]'
    worker 2 'map(.type) == ["hello","layout","relation","begin","barrier","update","delete","commit","end"]'
    expect 'map(select(.type == "commit").events) == [2]'
}

@test "the bug was that a table's new key sent a row to another worker with nothing in between" {
    build <<PY
$(three_keys)
e = Events().table(1, "public", "t", [col("id"), col("v")])  # no key: all rows on one worker
e.begin().insert(1, [a, "1"]).insert(1, [b, "1"]).insert(1, [c, "1"]).commit()
e.table(1, "public", "t", cols)                              # ALTER TABLE ADD PRIMARY KEY
e.begin().update(1, [a, "2"]).update(1, [b, "2"]).update(1, [c, "2"]).commit().end()
out(e)
PY
    spread 3
    [ "$status" -eq 0 ]
    check_barriers_once 0
}

# All three workers have the one barrier, which stands in front of shard $1's first update.
check_barriers_once() {
    for i in 0 1 2; do
        worker $i "map(select(.type == \"barrier\") | [.id, .applier]) == [[1, $1]]"
        expect '(map(.type) | index("barrier")) < (map(.type) | index("update"))'
    done
    worker "$1" '(map(.type) | index("barrier")) + 1 == (map(.type) | index("update"))'
}

@test "the same where a table's identity, its key's columns or their types change, and where names do" {
    while IFS='|' read -r key change; do
        build <<PY
$(three_keys)
e = Events().table(1, "public", "t", cols).table(9, "public", "other", cols)
e.begin().insert(1, [a, "1"]).insert(1, [b, "1"]).insert(1, [c, "1"]).commit()
e.$change
relid = 2 if 2 in e.tables else 1
e.begin().update(relid, [a, "2"], old=[a, "1"]).update(relid, [b, "2"], old=[b, "1"]).commit().end()
out(e)
PY
        spread 3 --shard-key $key
        [ "$status" -eq 0 ]
        shown "$T/0"
        expect 'map(select(.type == "barrier")) | length >= 1' || {
            echo "change: $change"
            return 1
        }
    done <<'CASES'
key|table(1, "public", "t", cols, "f")
key|table(1, "public", "t", [col("id"), col("v", key=True)])
key|table(1, "public", "t", [col("id", key=True), col("v", key=True)])
key|table(1, "public", "t", [col("id", key=True, oid=INT4), col("v")])
key|table(1, "public", "renamed", cols)
key|table(2, "public", "t", cols)
table|table(2, "public", "t", cols)
column:id|table(1, "public", "t", [col("id", key=True, oid=INT4), col("v")])
CASES
}

@test "and nowhere else: a relation sent again, columns that come and go, a new table" {
    while IFS='|' read -r key change; do
        build <<PY
$(three_keys)
e = Events().table(1, "public", "t", cols)
e.begin().insert(1, [a, "1"]).insert(1, [b, "1"]).commit()
e.$change
relid = 2 if 2 in e.tables else 1
row = [a] + ["2"] * (len(e.tables[relid][0]) - 1)
e.begin().insert(relid, row).commit().end()
out(e)
PY
        spread 3 --shard-key $key
        [ "$status" -eq 0 ]
        shown "$T/0"
        expect 'map(select(.type == "barrier")) == []' || {
            echo "change: $change"
            return 1
        }
    done <<'CASES'
key|table(1, "public", "t", cols)
key|table(1, "public", "t", cols + [col("w")])
key|table(1, "public", "t", [col("id", key=True), col("v", oid=INT4)])
key|table(1, "public", "t", [col("id", key=True)])
key|table(2, "public", "u", cols)
table|table(1, "public", "t", [col("id", key=True, oid=INT4), col("v", key=True)])
CASES
}

@test "messages go to one worker of each sink and are not counted" {
    build <<'PY'
e = Events().add(message(0x1500, "out", b"1", transactional=False))
e.begin().add(message(0x1600, "in", b"2")).commit().end()
out(e)
PY
    spread 2
    [ "$status" -eq 0 ]
    worker 0 'map(select(.type == "message").prefix) == ["out", "in"]'
    expect 'map(select(.type == "commit").events) == [0]'
    worker 1 'map(select(.type == "message")) == []'
}
