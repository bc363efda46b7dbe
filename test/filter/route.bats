#!/usr/bin/env bats
# route alone: hand-made event streams in, one stream a worker out.

setup() {
    . "$BATS_TEST_DIRNAME/../lib/servers.bash"
    . "$BATS_TEST_DIRNAME/filters.bash"
    route=$WALPIPE_BIN/route
    release=$WALPIPE_ROOT/build/release/bin
}

teardown() {
    servers_end
}

# spread N [OPTION]...: routes $in to the N files $T/0, $T/1, ... of the sink "dst"
spread() {
    local n=$1 i to=()
    shift
    for ((i = 0; i < n; i++)); do
        : >"$T/$i"
        to+=(--to "$T/$i")
    done
    try "$route" --sink dst "$@" "${to[@]}"
}

# worker I JQ: true of the frames that worker I got
worker() {
    shown "$T/$1"
    expect "$2"
}

# A table of one text key, three keys on three different workers of three: $a, $b, $c.
three_keys() {
    cat <<'PY'
cols = [col("id", key=True), col("v")]
by_shard = {}
for n in range(100):
    by_shard.setdefault(key_hash(1, cols, [str(n)]) % 3, []).append(str(n))
(a, a2), (b, b2), (c, c2) = (by_shard[n][:2] for n in range(3))
PY
}

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
        expect 'map(.type) - ["insert", "update", "delete"] == ["hello", "relation", "begin",
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
Public.Orders|Public.Orders
"Public".Orders|Public.Orders
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
        'a."b' '"a.b' 'a.b;c' '!!a.b' 'a.b !c.d' "a.$(printf 'x%.0s' $(seq 64))" 'a."".b'; do
        spread 1 --tables "$pattern"
        one_error 100 "malformed table pattern" "public.*, !public.audit"
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
    worker 0 'map(.type) == ["hello","relation","begin","insert","update","barrier","commit","end"]'
    expect 'map(select(.type == "commit").events) == [2]'
    worker 1 'map(select(.type == "commit").events) == [0]'
    worker 2 'map(.type) == ["hello","relation","begin","barrier","update","delete","commit","end"]'
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

# ---- a stream that is not whole ----

@test "trap 159: an event lost or doubled before route stops it; nothing says it is a commit" {
    build "$T/whole" <<'PY'
e = Events().table(1, "s", "t", [col("id", key=True)])
e.begin().insert(1, ["1"]).update(1, ["1"]).delete(1, key=["1"]).truncate([1]).commit()
e.begin().insert(1, ["2"]).commit().end()
out(e)
PY
    for change in 'del f[n]' 'f.insert(n, f[n])'; do
        # 0 hello, 1 relation, 2 begin, 3 to 6 changes, 7 commit, 8 begin, 9 insert; the last
        # commit is not missed: end may come inside a transaction
        for n in 2 3 4 5 6 7 8 9; do
            build <<PY
import io
f, n = list(read_frames(open("$T/whole", "rb"))), $n
$change
out(*[frame(*x) for x in f])
PY
            spread 2
            one_error 101 "the event stream is not whole" || {
                echo "$change $n"
                return 1
            }
            # the commit of the torn transaction reached nobody
            "$WALPIPE_BIN/evcat" <"$T/1" 2>/dev/null | jq -s . >"$T/json"
            [ "$n" -gt 6 ] || expect 'map(select(.type == "commit")) == []'
        done
    done
}

@test "a watermark inside a transaction is refused" {
    build <<'PY'
out(Events().begin().watermark().commit().end())
PY
    spread 1
    one_error 101 "a watermark inside a transaction"
}

@test "what is malformed, unknown or behind the end is refused" {
    while IFS='|' read -r text bytes; do
        build <<PY
e = Events(shards=0).table(1, "s", "t", [col("id", key=True)]).begin()
out(e, $bytes)
PY
        spread 2
        one_error 100 "$text" || {
            echo "bytes: $bytes"
            return 1
        }
    done <<'CASES'
unknown frame type 1 |wal(b"B")
unknown frame type 26 |barrier(1, 0)
unknown frame type 99 |frame(99)
unknown frame type 0 |hello()
malformed frame|b"\0\0\0\1\xc0"
malformed frame of type 19|frame(19)
malformed frame of type 19|frame(19, -1, 1, 1, [])
malformed frame of type 20|frame(20, 1, 1, 1, None)
malformed frame of type 17|frame(17, 1)
malformed frame of type 24|frame(24, 0x2000, 0x2028, 0)
malformed frame of type 25|frame(25, 1, 2)
malformed frame of type 3|frame(3, 1)
malformed truncate|frame(22, 1, 0, [])
malformed relation|frame(16, 1, "d", "s", "t", [["a"]])
malformed relation|relation(1, "s", "t\0", [col("id")])
is not a walpipe stream|b"\xff\xff\xff\xff"
follows the end frame|end() + watermark(1)
CASES
    build <<'PY'
out(hello(stream="wal"))
PY
    spread 1
    one_error 100 "the input is the wal stream" "pg-wal-read | pgout-decode | route | sink"
}

@test "a stream cut anywhere is exit 111 and one line" {
    "$WALPIPE_BIN/pgout-decode" <"$(golden root.wal)" >"$T/whole"
    size=$(stat -c %s "$T/whole")
    in=$T/cut
    for at in $(seq 0 23 "$size") $((size - 1)); do
        head -c "$at" "$T/whole" >"$in"
        spread 2
        one_error 111 "the event stream" "its own log says why"
    done
}

# ---- workers that are slow, dead, or done ----

# Rows of 1,000 bytes: megabytes N
megabytes() {
    build <<PY
e = Events().table(1, "s", "t", [col("id", key=True), col("v")]).begin()
rows = []
for n in range($1 * 1000):
    rows.append(insert(1, n + 1, [str(n), "x" * 950], key_hash=n))
e.ordinal = len(rows)
e.bytes += b"".join(rows)
e.commit().end()
out(e)
PY
}

# stop_reader PID FIFO: stops it once it has opened its FIFO: before, it would stop the writer's open
stop_reader() {
    opened_by() { find "/proc/$1/fd" -lname "$2" 2>/dev/null | grep -q .; }
    wait_until 5 opened_by "$1" "$2"
    kill -STOP "$1"
}

peak_rss_kb() {
    sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$1/status"
}

@test "a worker that does not read stops the input; memory stays bounded" {
    [ -x "$release/route" ] || skip "no build/release/bin/route"
    megabytes 30
    mkfifo "$T/fast" "$T/slow"
    sleep 100 <"$T/slow" 3>&- &
    sleeper=$!
    cat "$T/fast" >"$T/got" 3>&- &
    "$release/route" --sink a --to "$T/fast" --to "$T/slow" <"$in" 2>"$T/err" 3>&- &
    router=$!
    asleep() { [ "$(sed 's/.*) //' "/proc/$router/stat" | cut -c1)" = S ]; }
    still() { # it has not read for a while
        local before
        before=$(sed -n 's/^rchar: //p' "/proc/$router/io")
        sleep 0.2
        [ "$before" = "$(sed -n 's/^rchar: //p' "/proc/$router/io")" ] && asleep
    }
    wait_until 20 test -s "$T/got"
    wait_until 20 still
    read_bytes=$(sed -n 's/^rchar: //p' "/proc/$router/io")
    rss=$(peak_rss_kb "$router")
    echo "read $read_bytes bytes, peak $rss kB"
    [ "$read_bytes" -lt 12000000 ]
    [ "$rss" -lt 20000 ]
    process_alive "$router"
    kill -KILL "$sleeper"
    wait_until 1 process_gone "$router"
    status=0
    wait "$router" || status=$?
    one_error 111 "the worker behind $T/slow is gone"
}

@test "trap 66: a transaction of 60 MB needs no more memory than a small one" {
    [ -x "$release/route" ] && [ -x "$release/pgout-decode" ] || skip "no release build"
    build <<'PY'
w = Wal().add(pg_relation(1, "s", "t", [col("id", key=True), col("v")]), pg_begin(0x2000))
rows = [wal(pg_insert(1, [str(n), "x" * 950])) for n in range(60000)]
w.bytes += b"".join(rows)
out(w.add(pg_commit(0x2000, 0x2028)).end())
PY
    mkfifo "$T/a" "$T/b" "$T/middle"
    wc -c <"$T/a" >"$T/count" 3>&- &
    wc -c <"$T/b" >"$T/count2" 3>&- &
    /usr/bin/python3 - "$release" "$T" <<'PY'
import os, resource, subprocess, sys
release, t = sys.argv[1:]
read, write = os.pipe()
decode = subprocess.Popen([release + "/pgout-decode"], stdin=open(t + "/in", "rb"), stdout=write)
route = subprocess.Popen([release + "/route", "--sink", "s", "--to", t + "/a", "--to", t + "/b"], stdin=read)
os.close(read), os.close(write)
peaks = {}
for name, child in ("decode", decode), ("route", route):
    _, status, usage = os.wait4(child.pid, 0)
    assert status == 0, (name, status)
    peaks[name] = usage.ru_maxrss
print(peaks)
assert all(kb < 20000 for kb in peaks.values()), peaks
PY
}

@test "trap 138: one slow worker: the others go on up to the bound, and all recover" {
    megabytes 12
    mkfifo "$T/fast" "$T/slow"
    cat "$T/fast" >"$T/got" 3>&- &
    cat "$T/slow" >"$T/late" 3>&- &
    slow=$!
    mkfifo "$T/in.fifo"
    "$route" --sink a --to "$T/fast" --to "$T/slow" <"$T/in.fifo" 2>"$T/err" 3>&- &
    router=$!
    kill_later "$router"
    exec 5>"$T/in.fifo"
    stop_reader "$slow" "$T/slow"
    cat "$in" >&5 3>&- &
    exec 5>&-
    has_some() { [ "$(stat -c %s "$T/got")" -gt 500000 ]; }
    wait_until 20 has_some
    process_alive "$router"
    [ "$(stat -c %s "$T/late")" -lt 100000 ]
    kill -CONT "$slow"
    wait "$router"
    in=$T/in
    for f in got late; do
        wait_until 5 whole "$T/$f"
        shown "$T/$f"
        expect 'last.type == "end" and (map(select(.type == "commit").events) == [6000])'
    done
}

whole() {
    "$WALPIPE_BIN/evcat" <"$1" >/dev/null 2>&1
}

@test "trap 132, 138: the death of an idle worker is noticed within a second, and named" {
    build <<'PY'
out(hello())
PY
    mkfifo "$T/in.fifo" "$T/a" "$T/b"
    sleep 100 <"$T/a" 3>&- &
    a=$!
    sleep 100 <"$T/b" 3>&- &
    b=$!
    kill_later "$a"
    "$route" --sink s --to "$T/a" --to "$T/b" <"$T/in.fifo" 2>"$T/err" 3>&- &
    router=$!
    exec 5>"$T/in.fifo"
    cat "$in" >&5
    opened() { [ "$(find /proc/"$router"/fd -lname "$T/b" 2>/dev/null | wc -l)" -ge 1 ]; }
    wait_until 5 opened
    kill -KILL "$b"
    wait_until 1 process_gone "$router"
    status=0
    wait "$router" || status=$?
    exec 5>&-
    one_error 111 "the worker behind $T/b is gone" "its own log says why"
}

@test "a worker that has its end may go before the others, and before the input closes" {
    build <<'PY'
e = Events().table(1, "s", "t", [col("id", key=True)]).begin()
for n in range(3000):
    e.insert(1, [str(n), "x" * 500])
out(e.commit().end())
PY
    mkfifo "$T/in.fifo" "$T/a" "$T/b"
    cat "$T/a" >"$T/got" 3>&- & # gone at its end of file
    fast=$!
    cat "$T/b" >"$T/late" 3>&- &
    slow=$!
    "$route" --sink s --to "$T/a" --sink t --to "$T/b" <"$T/in.fifo" 2>"$T/err" 3>&- &
    router=$!
    kill_later "$router"
    exec 5>"$T/in.fifo"
    stop_reader "$slow" "$T/b"
    timeout 10 cat "$in" >&5
    wait_until 10 process_gone "$fast"
    whole "$T/got"
    process_alive "$router"
    kill -CONT "$slow"
    wait_until 10 process_gone "$slow"
    process_alive "$router" # its input is still open
    exec 5>&-
    wait "$router"
    whole "$T/late"
    [ ! -s "$T/err" ]
}

# ---- in the shell ----

@test "workers on Unix sockets, the input too" {
    for n in 0 1; do
        "$WALPIPE_BIN/evcat" --in "$T/w$n" >"$T/shown$n" 3>&- &
    done
    "$route" --in "$T/r" --sink dst --to "$T/w0" --to "$T/w1" 3>&- &
    router=$!
    wait_until 10 test -S "$T/r"
    "$WALPIPE_BIN/pgout-decode" --out "$T/r" <"$(golden main.wal)"
    wait "$router"
    wait
    for n in 0 1; do
        jq -se "(.[0].shard == $n) and (last.type == \"end\")" <"$T/shown$n" >/dev/null
    done
    # the same as through files
    "$WALPIPE_BIN/pgout-decode" <"$(golden main.wal)" >"$T/in"
    in=$T/in
    spread 2
    "$WALPIPE_BIN/evcat" <"$T/1" | diff - "$T/shown1"
}

@test "a worker's socket that goes is noticed too" {
    "$WALPIPE_BIN/evcat" --in "$T/w" >"$T/shown" 3>&- &
    shower=$!
    mkfifo "$T/in.fifo"
    "$route" --sink dst --to "$T/w" <"$T/in.fifo" 2>"$T/err" 3>&- &
    router=$!
    exec 5>"$T/in.fifo"
    build <<'PY'
out(hello())
PY
    cat "$in" >&5
    wait_until 10 test -s "$T/shown"
    kill -KILL "$shower"
    wait_until 1 process_gone "$router"
    status=0
    wait "$router" || status=$?
    exec 5>&-
    one_error 111 "the worker behind $T/w is gone"
}

@test "the shell's >(...): each reader ends when route does, nobody else holds its pipe" {
    "$WALPIPE_BIN/pgout-decode" <"$(golden main.wal)" |
        "$route" --sink a --to >("$WALPIPE_BIN/evcat" >"$T/a") --to >("$WALPIPE_BIN/evcat" >"$T/b") \
            --sink c --to >("$WALPIPE_BIN/evcat" >"$T/c") 3>&-
    ended() { jq -se 'last.type == "end"' <"$T/$1" >/dev/null; }
    for f in a b c; do
        wait_until 5 ended $f
    done
}

@test "trap 135: O_NONBLOCK is not left on the workers' descriptors that others share" {
    "$WALPIPE_BIN/pgout-decode" <"$(golden main.wal)" >"$T/events"
    /usr/bin/python3 - "$route" "$T/events" <<'PY'
import fcntl, os, socket, subprocess, sys
pipe = os.pipe()
pair = [s.detach() for s in socket.socketpair()]
child = subprocess.Popen([sys.argv[1], "--sink", "a", "--to", "/dev/fd/%d" % pipe[1],
                          "--sink", "b", "--to", "/dev/fd/%d" % pair[1]],
                         stdin=open(sys.argv[2], "rb"), pass_fds=(pipe[1], pair[1]))
for fd in pipe[0], pair[0]:
    assert os.read(fd, 65536)
nonblocking = [fd for fd in pipe + tuple(pair) if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK]
assert not nonblocking, nonblocking
assert child.wait() == 0
nonblocking = [fd for fd in pipe + tuple(pair) if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK]
assert not nonblocking, nonblocking
PY
}

@test "--help and --version work, wrong usage is exit 100 and says what" {
    try "$route" --help
    [ "$status" -eq 0 ]
    grep -q -- --shard-key "$T/out"
    try "$route" --version
    [ "$status" -eq 0 ]
    while IFS='|' read -r text arguments; do
        # shellcheck disable=SC2086
        try "$route" $arguments
        one_error 100 "$text" || {
            echo "arguments: $arguments"
            return 1
        }
    done <<'CASES'
at least one --sink is needed|
sink "a" has no --to|--sink a
sink "b" has no --to|--sink a --to /dev/null --sink b
sink "a" is named twice|--sink a --to /dev/null --sink a
--to before the first --sink|--to /dev/null
--tables before the first --sink|--tables *.*
--shard-key before the first --sink|--shard-key key
shard key "keys" is not key, table or column:NAME|--sink a --shard-key keys
shard key "column:" is not key, table or column:NAME|--sink a --shard-key column:
unknown log level "loud"|--log-level loud
unexpected argument "x"|--sink a --to /dev/null x
descriptor 77 of "/dev/fd/77" is not open|--sink a --to /dev/fd/77
CASES
    try "$route" --sink "$(printf 'x%.0s' $(seq 64))"
    one_error 100 "has not 1 to 63 bytes"
    try "$route" $(for n in $(seq 257); do echo "--sink s$n --to /dev/null"; done)
    one_error 100 "more than 256"
}

@test "256 workers, the most there may be" {
    build <<'PY'
e = Events().table(1, "s", "t", [col("id", key=True)]).begin()
for n in range(2000):
    e.insert(1, [str(n)])
out(e.commit().end())
PY
    spread 256
    [ "$status" -eq 0 ]
    for n in 0 255; do
        worker $n 'map(select(.new)) | length > 0'
    done
}
