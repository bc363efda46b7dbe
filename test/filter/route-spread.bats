#!/usr/bin/env bats
# route alone: which worker of which sink gets what, by key, table or column.

load route

# ---- who gets what ----

@test "each worker gets its own hello, every transaction and watermark, and its own rows, counted" {
    build <<PY
$(three_keys)
e = Events()
e.table(1, "public", "t", cols)
e.begin().insert(1, [a, "1"]).insert(1, [b, "2"]).insert(1, [a2, "3"]).commit().watermark()
e.begin().add(origin(7, "o")).update(1, [b, "4"]).delete(1, key=[c, None]).commit()
e.begin().commit().end()
out(e)
PY
    spread 3
    [ "$status" -eq 0 ]
    for i in 0 1 2; do
        worker $i ".[0] | .program == \"route\" and .stream == \"event\" and .sink == \"dst\" and
            .shard == $i and .shards == 3 and .run_id == \"000102030405060708090a0b0c0d0e0f\""
        expect 'map(.type) - ["insert", "update", "delete"] == ["hello", "layout", "relation", "begin",
            "commit", "watermark", "begin", "origin", "commit", "begin", "commit", "end"]'
    done
    worker 0 'map(select(.new)) | map(.new.v) == ["1", "3"]'
    expect 'map(select(.type == "commit") | .events) == [2, 0, 0]'
    expect 'map(select(.ordinal) | .ordinal) == [1, 3]'
    worker 1 'map(select(.new)) | map(.new.v) == ["2", "4"]'
    expect 'map(select(.type == "commit") | .events) == [1, 1, 0]'
    worker 2 'map(select(.type == "commit") | .events) == [0, 1, 0]'
    expect 'map(select(.type == "delete")) | length == 1'
}

@test "several sinks: each gets the whole, or what it takes of it" {
    build <<'PY'
e = Events()
e.table(1, "public", "t", [col("id", key=True)]).table(2, "public", "audit", [col("id", key=True)])
e.begin().insert(1, ["1"]).insert(2, ["2"]).insert(2, ["3"]).commit().end()
out(e)
PY
    : >"$T/all"
    : >"$T/some"
    : >"$T/rest"
    try "$route" --sink all --to "$T/all" --sink some --tables 'public.*, !public.audit' \
        --to "$T/some" --sink rest --tables public.audit --to "$T/rest"
    [ "$status" -eq 0 ]
    worker all 'map(select(.type == "commit").events) == [3]'
    worker some 'map(select(.type == "commit").events) == [1]'
    expect 'map(select(.type == "relation").name) == ["t"]'
    expect '.[0] | .sink == "some" and .shards == 1'
    worker rest 'map(select(.new).new.id) == ["2", "3"]'
    expect 'map(select(.ordinal).ordinal) == [2, 3]'
}

# the bug was that walpipe.progress of a source that is itself a target, and publishes all tables, went
# on to the next target: there it is what the next worker reads its own position from
@test "the schema walpipe is nobody's: no row, no truncate, no name of it reaches a sink" {
    build <<'PY'
e = Events()
e.table(1, "public", "t", [col("id", key=True)]).table(2, "walpipe", "progress", [col("id", key=True)])
e.table(3, "walpipe2", "progress", [col("id", key=True)])
e.begin().insert(2, ["1"]).insert(1, ["1"]).update(2, ["1"]).commit()
e.begin().insert(2, ["2"]).commit()
e.begin().truncate([2]).truncate([1, 2]).insert(3, ["1"]).commit().end()
out(e)
PY
    : >"$T/all"
    : >"$T/asked"
    : >"$T/0"
    : >"$T/1"
    try "$route" --sink all --to "$T/all" --sink asked --tables 'walpipe.*, public.*' --to "$T/asked" \
        --sink two --to "$T/0" --to "$T/1"
    [ "$status" -eq 0 ]
    worker all 'map(select(.type == "relation").schema) == ["public", "walpipe2"]'
    expect 'map(select(.new).ordinal) == [2, 3]'
    expect 'map(select(.type == "truncate").relations) == [["public.t"]]'
    expect 'map(select(.type == "commit").events) == [1, 0, 2]'
    worker asked 'map(select(.type == "relation").schema) == ["public"]'
    expect 'map(select(.type == "commit").events) == [1, 0, 1]'
    worker 0 'map(select(.type == "barrier")) | length == 1'
    expect 'map(select(.type == "truncate").relations) == [["public.t"]]'
}

# The property that everything rests on, on random histories and on the captured stream.
@test "random histories: nothing lost, nothing twice, every key's history on one worker in order" {
    for seed in 1 2 3 4 5 6; do
        for key in key table column:id; do
            build <<PY
import random
rng = random.Random($seed)
e = Events()
tables = {1: ("d", [col("id", key=True), col("v")]), 2: ("f", [col("id", key=True), col("v", key=True)]),
          3: ("d", [col("v"), col("id", key=True, oid=INT4)]), 4: ("d", [col("x"), col("y")])}
for relid, (identity, columns) in tables.items():
    e.table(relid, "s", "t%d" % relid, columns, identity)
rows = {relid: {} for relid in tables}
for t in range(60):
    e.begin()
    for n in range(rng.choice([0, 1, 3, 10])):
        relid = rng.choice([1, 2, 3, 4])
        identity, columns = tables[relid]
        key, value = str(rng.randrange(12)), "%d.%d" % (t, n)
        row = [value, key] if relid == 3 else [key, value]
        old_row = [rows[relid].get(key), key] if relid == 3 else [key, rows[relid].get(key)]
        if relid == 4:
            e.insert(relid, row)
        elif key not in rows[relid]:
            e.insert(relid, row)
            rows[relid][key] = value
        elif rng.random() < 0.05:
            e.truncate([relid])
            rows[relid] = {}
        elif rng.random() < 0.3:
            e.delete(relid, **({"old": old_row} if identity == "f" else {"key": old_row}))
            del rows[relid][key]
        else:
            new = str(rng.randrange(12)) if rng.random() < 0.4 else key
            if new in rows[relid] and new != key:
                continue
            del rows[relid][key]
            rows[relid][new] = value
            new_row = [value, new] if relid == 3 else [new, value]
            e.update(relid, new_row, **({"old": old_row} if identity == "f" else
                                        {"key": old_row} if new != key else {}))
    e.commit()
    if rng.random() < 0.3:
        e.watermark()
e.end()
out(e)
PY
            spread 4 --shard-key $key
            [ "$status" -eq 0 ]
            check_spread 4 $key
        done
    done
}

@test "the captured stream spread over 3 workers" {
    "$WALPIPE_BIN/pgout-decode" <"$(golden main.wal)" >"$T/in"
    in=$T/in
    for key in key table; do
        spread 3 --shard-key $key
        [ "$status" -eq 0 ]
        check_spread 3 $key
    done
}

# Compares $T/0 ... with $T/in: all changes once, counts right, and a simulation that lets every
# worker run ahead as far as barriers allow still changes each key in the stream's order.
check_spread() {
    local in
    build "$T/report" <<PY
from collections import defaultdict
N, mode = $1, "$2"
ROWS = (19, 20, 21, 22)
def read(path):
    return list(read_frames(open("$T/" + path, "rb")))
def changes(frames):
    lsn, got = None, []
    for f in frames:
        if f[0] == 17:
            lsn = f[1]
        if f[0] in ROWS:
            got.append(((lsn, f[1] if f[0] == 22 else f[3]), f))
    return got
source = read("in")
workers = [read(str(n)) for n in range(N)]
want = dict(changes(source))
got = [c for w in workers for c in changes(w)]
assert len(got) == len(want), "lost or twice"
assert all(want[p] == f for p, f in got), "changed"
assert all(p1 < p2 for w in workers for (p1, _), (p2, _) in zip(changes(w), changes(w)[1:]))
for w in workers:
    n = 0
    for f in w:
        n = 0 if f[0] == 17 else n + (f[0] in ROWS)
        assert f[0] != 24 or f[4] == n, "count"
    assert [f for f in w if f[0] == 25] == [f for f in source if f[0] == 25]
    assert [f[1] for f in w if f[0] == 24] == [f[1] for f in source if f[0] == 24]
# epochs: barrier n stands between epoch n and n + 1; the change behind it is an epoch of its own
place = {}
for n, w in enumerate(workers):
    ids = [f[1] for f in w if f[0] == 26]
    assert ids == list(range(1, len(ids) + 1)), "barrier ids"
    assert ids == [f[1] for f in workers[0] if f[0] == 26], "the same barriers for all"
    epoch, behind, lsn = 0, None, None
    for f in w:
        if f[0] == 17:
            lsn = f[1]
        if f[0] == 26:
            epoch, behind = f[1], f[2] == n
        elif f[0] in ROWS:
            place[(lsn, f[1] if f[0] == 22 else f[3])] = (2 * epoch - 1 if behind else 2 * epoch, n)
            behind = False
# a row's key: its column "id" where there is one, or else its hash
ids = {}
for f in source:
    if f[0] == 16:
        ids[f[1]] = next((n for n, c in enumerate(f[5]) if c[0] == "id" and c[1]), None)
def key_of(relid, row, key_hash):
    return key_hash if ids[relid] is None else row[ids[relid]]
def rows_of(f):
    return [f[4]] if f[0] == 19 else [f[6], f[7]] if f[0] == 20 else [f[5]]
history = defaultdict(list)
for position, f in sorted(want.items()):
    if f[0] == 22:
        keys = [(r, None) for r in f[3]]
    else:
        keys = {(f[2], key_of(f[2], row, f[1])) for row in rows_of(f) if row is not None}
    for key in keys:
        history[key].append(position)
truncates = {r: [p for p in history[(r, None)]] for r, k in list(history) if k is None}
for (relid, key), positions in history.items():
    positions = sorted(positions + ([] if key is None else truncates.get(relid, [])))
    for one, two in zip(positions, positions[1:]):
        (e1, w1), (e2, w2) = place[one], place[two]
        assert e1 < e2 or (e1 == e2 and w1 == w2), ("order", relid, one, two)
print(len(want), "changes")
PY
    grep -q 'changes$' "$T/report"
}

# ---- tables and patterns ----

@test "trap 173: patterns: wildcards, quotes, excludes" {
    build <<'PY'
e = Events()
names = ["public.orders", "public.order_lines", "public.audit", "sales.orders", "Public.Orders",
         'we ird.a"b', "we ird.a.b", "x.a*b", "x.axb", "größe.tür", "x.", "x.a$1"]
for n, name in enumerate(names):
    schema, _, table = name.partition(".")
    e.table(n + 1, schema, table, [col("id", key=True)])
e.end()
out(e)
PY
    while IFS='|' read -r patterns tables; do
        spread 1 --tables "$patterns"
        [ "$status" -eq 0 ]
        shown "$T/0"
        got=$(jq -r '[.[] | select(.type == "relation") | .schema + "." + .name] | join(",")' "$T/json")
        [ "$got" = "$tables" ] || {
            echo "patterns $patterns took $got, expected $tables"
            return 1
        }
    done <<'CASES'
public.orders|public.orders
public.*|public.orders,public.order_lines,public.audit
*.orders|public.orders,sales.orders
public.order*|public.orders,public.order_lines
public.*s|public.orders,public.order_lines
p*c.o*r*s|public.orders,public.order_lines
public.*, !public.audit|public.orders,public.order_lines
!public.audit, public.*|public.orders,public.order_lines
 public.orders ,  sales.orders |public.orders,sales.orders
public.*,!*.order*|public.audit
"Public"."Orders"|Public.Orders
"P"*."O"*|Public.Orders
"we ird"."a""b"|we ird.a"b
"we ird"."a.b"|we ird.a.b
"we ird".*|we ird.a"b,we ird.a.b
x."a*b"|x.a*b
x.a*b|x.a*b,x.axb
x.*|x.a*b,x.axb,x.,x.a$1
x.a$1|x.a$1
größe.tür|größe.tür
nothing.*|
!*.*|
CASES
    spread 1 --tables '!public.*' --tables '!x.*'
    worker 0 'map(select(.type == "relation")) | length == 5'
    spread 1 --tables 'public.orders' --tables 'sales.*'
    worker 0 'map(select(.type == "relation").schema) == ["public", "sales"]'
}

@test "patterns that are none are refused, with an example" {
    for pattern in '' orders 'public.' '.orders' 'public.orders,' ',public.orders' 'a.b.c' 'a.b c' \
        'a."b' '"a.b' 'a.b;c' '!!a.b' 'a.b !c.d' 'Public.orders' 'public.O*' "a.$(printf 'x%.0s' $(seq 64))" 'a."".b'; do
        spread 1 --tables "$pattern"
        one_error 100 "--tables: " "public.*, !public.audit"
    done
    spread 1 --tables "a.$(printf 'x%.0s' $(seq 63))"
    one_error 111 "event stream is empty"
}

@test "a row or a truncate of a table that was not announced is refused" {
    for change in 'insert(2, 1, ["1"])' 'truncate(1, [1, 2])'; do
        build <<PY
out(Events().table(1, "s", "t", [col("id", key=True)]).begin().add($change).commit(1).end())
PY
        spread 1
        one_error 100 "table oid 2, which was not announced"
        jq -e '.lsn == "0/2000"' "$T/err" >/dev/null
    done
}

# ---- shard keys ----

@test "by table: all of a table on one worker, no barrier where a key changes" {
    build <<PY
e = Events()
for relid in range(1, 21):
    e.table(relid, "s", "t%d" % relid, [col("id", key=True)])
e.begin()
for relid in range(1, 21):
    e.insert(relid, ["1"]).update(relid, ["2"], key=["1"]).delete(relid, key=["2"])
e.commit().end()
out(e)
PY
    spread 2 --shard-key table
    [ "$status" -eq 0 ]
    for i in 0 1; do
        worker $i 'map(select(.type == "barrier")) == []'
        expect '[.[] | select(.ordinal) | .relation] | group_by(.) | map(length) | unique == [3]'
    done
}

@test "by column: rows of one value on one worker; the row that changes its value goes behind a barrier" {
    build <<'PY'
cols = [col("id", key=True, oid=INT4), col("tenant", key=True), col("v", key=True)]
e = Events().table(1, "s", "t", cols, "f").table(2, "s", "plain", [col("id", key=True)])
e.begin()
for n in range(40):
    e.insert(1, [str(n), "tenant %d" % (n % 5), "x"])
e.insert(2, ["by key"])
e.commit().begin()
for n in range(40):
    e.update(1, [str(n), "tenant %d" % (n % 5), "y"], old=[str(n), "tenant %d" % (n % 5), "x"])
e.commit().begin()
for n in range(40):
    e.update(1, [str(n), "tenant %d" % ((n + 1) % 5), UNCHANGED], old=[str(n), "tenant %d" % (n % 5), "y"])
e.commit().begin().delete(1, old=["1", "tenant 2", "y"]).commit().end()
out(e)
PY
    spread 2 --shard-key column:tenant
    [ "$status" -eq 0 ]
    for i in 0 1; do
        worker $i '[.[] | select(.type == "insert" and .relation == "s.t") | .new.tenant] | unique | length > 0'
        cp "$T/json" "$T/json$i"
    done
    jq -s '[.[] | [.[] | select(.type == "insert" and .relation == "s.t") | .new.tenant] | unique] |
        (add | length) == 5 and (add | unique | length) == 5' "$T/json0" "$T/json1" | grep -q true
    # the second transaction moved nothing, the third what changed its worker
    jq -s '[.[] | [.[] | select(.type == "barrier")] | length] | .[0] == .[1] and .[0] >= 8 and .[0] < 40' \
        "$T/json0" "$T/json1" | grep -q true
}

@test "by column: a column outside of the identity or without one spelling is refused, with a way out" {
    for table in '[col("id", key=True), col("tenant")]' \
        '[col("id", key=True), col("tenant", key=True, oid=NUMERIC)]'; do
        build <<PY
out(Events().table(1, "s", "t", $table).end())
PY
        spread 2 --shard-key column:tenant
        one_error 100 'sink dst cannot shard table s.t by column "tenant"' "REPLICA IDENTITY FULL"
        # one worker has nothing to shard, a table that is not taken neither
        spread 1 --shard-key column:tenant
        [ "$status" -eq 0 ]
        spread 2 --shard-key column:tenant --tables '!s.t'
        [ "$status" -eq 0 ]
    done
}

@test "what the catalog says of a table goes to every worker of the sinks that take it" {
    build <<'PY'
e = Events()
for relid, name in ((1, "t"), (2, "u")):
    e.table(relid, "public", name, [col("id", key=True)])
    e.add(tableinfo(relid, "public", name, [attribute(1, "id")], primary=[1]))
out(e.end())
PY
    spread 2 --tables public.t
    [ "$status" -eq 0 ]
    for w in 0 1; do
        worker $w 'map(.type) == ["hello", "layout", "relation", "tableinfo", "end"] and .[3].name == "t"'
    done
    build <<'PY'
out(hello(), tableinfo(3, "public", "t", [attribute(1, "id")]), end())
PY
    spread 1
    [ "$status" -eq 100 ]
    grep -q 'a tableinfo event names table oid 3, which was not announced' "$T/err"
    build <<'PY'
out(hello(), relation(3, "public", "t", [col("id")]), tableinfo(3, "public", "t", [[1, "id", 25, -1, False, None]]), end())
PY
    spread 1
    [ "$status" -eq 100 ]
    grep -q 'malformed tableinfo event' "$T/err"
}

@test "workers hear of a table that is left out where its description would be, if they shall" {
    build <<'PY'
e = Events()
cols = [col("id", key=True), col("v")]
e.table(7, "public", "t", cols).table(8, "public", "u", cols)
e.begin().insert(7, ["1", "x"]).insert(8, ["1", "x"]).commit()
out(e.end())
PY
    spread 2 --tables public.u
    [ "$status" -eq 0 ]
    worker 0 'map(.type) | index("left_out") == null'
    for tell in "--left-out tell" "--stream 2"; do
        # shellcheck disable=SC2086 # two words
        spread 2 --tables public.u $tell
        [ "$status" -eq 0 ]
        for w in 0 1; do
            worker $w 'map(.type)[2:4] == ["left_out", "relation"] and .[2].relid == 7'
        done
    done
    spread 1 --left-out hide
    [ "$status" -eq 100 ]
    grep -q -- 'hide.* is not tell' "$T/err"
}
