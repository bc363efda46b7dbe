#!/usr/bin/env bats
# route alone: its second input, the rows of pg-table-read, and what it says of changes meanwhile.

load route

# Runs the Python program on stdin.
play() {
    { echo 'from route_peers import *'; cat; } >"$T/play.py"
    export PYTHONPATH=$BATS_TEST_DIRNAME:$WALPIPE_ROOT/test/lib PYTHONDONTWRITEBYTECODE=1 TMPDIR=$T
    timeout -k 1 120 /usr/bin/python3 "$T/play.py" 3>&-
}

@test "a range's rows go to the worker of their key; each worker hears of the range and of its own rows" {
    play <<'PY'
with Route(("dst", 3, "--stream", "2"), ("one", 1, "--stream", "2"), ("old", 2)) as r:
    r.begin()
    assert [w.hello[2] for w in r.workers()] == [2, 2, 2, 2, 1, 1]
    mine = [[[k, "v" + k] for k in keys_of(s, 3)] for s in range(3)]
    mixed = [row for four in zip(*mine) for row in four]
    gone = [[k, None] for k in (keys_of(2, 3)[0], keys_of(0, 3)[1])]
    r.copy(copytable(0, *T), table_end(0, "l"), copytable(1, *T), horizon(5, 9, [6]),
           whole_range(1, 7, mixed, absent_=gone, kind="k"), whole_range(1, 8, mine[1]), table_end(1))
    for s in range(3):
        w = r.worker("dst", s)
        w.expect(COPYTABLE, TABLE_END, COPYTABLE, HORIZON)
        assert w.expect(RANGE)[1:4] == [1, 7, "k"]
        got = w.expect(ROWS)
        assert got[3] == 4 and unpack_rows(got[4]) == mine[s] and got[5] == b""
        if s != 1:
            got = w.expect(ABSENT)
            assert unpack_rows(got[4]) == [gone[0] if s == 2 else gone[1]] and got[5] == b""
        assert w.expect(RANGE_END)[1:] == [1, 7, None, 4 if s == 1 else 5]
        w.expect(RANGE)
        if s == 1:
            w.expect(ROWS)
        assert w.expect(RANGE_END)[4] == (4 if s == 1 else 0)
        assert w.expect(TABLE_END) == [39, 1, "d"]
    w = r.worker("one")
    w.expect(COPYTABLE, TABLE_END, COPYTABLE, HORIZON, RANGE)
    got = w.expect(ROWS)
    assert unpack_rows(got[4]) == mixed and got[3] == 12 and got[5] == b""
    assert unpack_rows(w.expect(ABSENT)[4]) == gone
    assert w.expect(RANGE_END)[4] == 14
    w.expect(RANGE, ROWS, RANGE_END, TABLE_END)
    r.copy(end("copied"))
    r.wait_log("the copy has ended")
    r.say(watermark(0x2000), end())
    r.close_input()
    for w in r.workers():
        w.expect(WATERMARK, END)
    r.exit(0)
PY
}

@test "where a column, the table or a layout decides, it decides of copied rows too" {
    echo 'public.t -> public.g' >"$T/layout"
    play <<PY
cols = [col("id", key=True), col("region", key=True), col("v")]
t = (1, "public", "t", cols)
sinks = [("region", 3, "--stream", "2", "--shard-key", "column:region"),
         ("table", 3, "--stream", "2", "--shard-key", "table"),
         ("layout", 3, "--stream", "2", "--layout", "$T/layout")]
rows_ = [[str(n), "r%d" % (n % 7), "v"] for n in range(50)]
rows_.append(["50", None, "v"])
with Route(*sinks) as r:
    r.begin()
    # The same rows as changes show where they belong.
    e = Events().table(*t).begin()
    for row in rows_:
        e.insert(1, row)
    r.say(e.commit().bytes[len(hello()):])
    r.copy(copytable(1, *t), whole_range(1, 1, rows_, table=t, absent_=rows_))
    seen = {name: 0 for name, *_ in sinks}
    for (name, shard), w in r.outputs.items():
        w.expect(RELATION, BEGIN)
        changed = []
        while (f := w.next())[0] == INSERT:
            changed.append(f[4])
        assert f[0] == COMMIT
        w.expect(COPYTABLE, RANGE)
        if changed:
            assert unpack_rows(w.expect(ROWS)[4]) == changed
            assert unpack_rows(w.expect(ABSENT)[4]) == changed
            seen[name] += 1
        assert w.expect(RANGE_END)[4] == 2 * len(changed)
    assert seen == {"region": 3, "table": 1, "layout": 1}, seen
PY
}

@test "a table goes to the sinks that it names and that take it; so do its ranges and its end" {
    play <<'PY'
u = (2, "public", "u", COLS)
two = ("--stream", "2")
with Route(("a", 1, *two), ("b", 1, *two, "--tables", "!*.u"), ("c", 1, *two)) as r:
    r.begin()
    a, b, c = r.workers()
    r.copy(copytable(0, *u), copytable(1, *u), copytable(2, *T, sinks=["a", "b"]),
           whole_range(1, 1, [["1", "x"]], table=u), whole_range(2, 2, [["1", "x"]]),
           whole_range(2, 3, [["1", "x"]], sinks=["b"]), horizon(1, 1), table_end(1, "a"), table_end(2),
           copytable(3, 3, "walpipe", "progress", COLS), table_end(3, "g"))
    a.expect(COPYTABLE, COPYTABLE, COPYTABLE, RANGE, ROWS, RANGE_END)
    assert a.expect(RANGE)[1:3] == [2, 2]
    a.expect(ROWS, RANGE_END, HORIZON)
    assert a.expect(TABLE_END)[1] == 1 and a.expect(TABLE_END)[1] == 2
    b.expect(COPYTABLE, RANGE, ROWS, RANGE_END, RANGE, ROWS, RANGE_END, HORIZON)
    assert b.expect(TABLE_END)[1] == 2
    c.expect(COPYTABLE, COPYTABLE, RANGE, ROWS, RANGE_END, HORIZON)
    assert c.expect(TABLE_END)[1] == 1
    for w in r.workers():
        w.nothing(0.1)
    # What is still on its way when a life ends means nothing any more, and harms nobody.
    r.copy(whole_range(1, 9, [["1", "x"]], table=u), horizon(2, 2))
    for w in r.workers():
        w.expect(HORIZON)
    r.copy(copytable(4, *u, sinks=["b"]))
    r.exit(111, 'sink \\\\"b\\\\" is to get table public.u, which it does not take')
PY
}

@test "nothing of a copy comes inside a transaction, however long that is" {
    play <<'PY'
with Route(("dst", 2, "--stream", "2")) as r:
    r.begin()
    r.say(relation(*T), begin(0x2000))
    for w in r.workers():
        w.expect(RELATION, BEGIN)
    r.copy(copytable(1, *T), whole_range(1, 1, [["1", "x"]]))
    for w in r.workers():
        w.nothing()
    r.say(insert(1, 1, ["1", "y"], 0), commit(0x2000, 0x2028, 1), begin(0x3000))
    r.worker("dst", 0).expect(INSERT)
    for w in r.workers():
        w.expect(COMMIT)
        # Both may come before the next transaction, or the second one has to wait until its end.
        frames = [w.next() for _ in range(2)]
        assert [f[0] for f in frames] in ([COPYTABLE, BEGIN], [BEGIN, None]), frames
PY
}

@test "a range that is not whole reaches nobody, and the stream does not wait for it" {
    play <<'PY'
for last in None, end("drain"):
    with Route(("dst", 2, "--stream", "2")) as r:
        r.begin()
        r.copy(copytable(1, *T), range_(1, 1, *T), hashed(ROWS, 1, 1, [["1", "x"], ["2", "x"]]))
        for w in r.workers():
            w.expect(COPYTABLE)
            w.nothing()
        r.say(watermark(0x2000))
        for w in r.workers():
            w.expect(WATERMARK)
        if last:
            r.copy(last)
            r.wait_log("the copy has ended")
            r.say(watermark(0x3000), end())
            r.close_input()
            for w in r.workers():
                w.expect(WATERMARK, END)
            r.exit(0)
        else:
            r.close_copy()
            r.exit(111, "copy's stream stopped at byte .* without an end frame")
PY
}

@test "pg-table-read dies: the run ends with 111, wherever it was" {
    play <<'PY'
head = hello(version=2)
for sent, text in ((b"", "the copy's stream is empty"), (head[:40], "cut inside a frame"),
                   (head, "without an end frame"), (head + copytable(1, *T)[:9], "cut inside a frame")):
    with Route(("dst", 1, "--stream", "2")) as r:
        r.say(hello())
        r.worker().expect(HELLO)
        r.copy(sent)
        r.close_copy()
        r.exit(111, text)
PY
}

@test "the stream ends: the copy's pipe is closed, and what waits of the copy is forgotten" {
    play <<'PY'
import signal
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
with Route(("dst", 1, "--stream", "2")) as r:
    r.begin()
    r.say(begin(0x2000))
    r.worker().expect(BEGIN)
    r.copy(copytable(1, *T))
    r.say(end())
    r.worker().expect(END)
    try:
        r.copy(horizon(1, 1))
    except BrokenPipeError:
        pass
    else:
        raise AssertionError("the pipe is open")
    r.close_input()
    r.exit(0)
    assert r.worker().rest() == []
PY
}

@test "the copy waits for the stream's hello and must be of its run, source and timeline" {
    play <<'PY'
with Route(("dst", 1, "--stream", "2")) as r:
    r.copy(hello(version=2), horizon(1, 1))
    r.worker().nothing()
    r.say(hello())
    r.worker().expect(HELLO, HORIZON)
for fields, code, text in (({"run_id": bytes(16)}, 111, "the copy belongs to run 0000.*, the stream to run 0001"),
                           ({"system_identifier": 5}, 100, "from another cluster than the stream"),
                           ({"timeline": 2}, 111, "from timeline 2, the stream from 1"),
                           ({"version": 1}, 100, "has format version 1, not 2"),
                           ({"version": 3}, 100, "version"), ({"stream": "wal"}, 100, "wal"),
                           ({"magic": "x"}, 100, "the copy's stream: the input does not begin with walpipe's hello")):
    with Route(("dst", 1, "--stream", "2")) as r:
        r.say(hello())
        r.worker().expect(HELLO)
        r.copy(hello(**{"version": 2, **fields}))
        r.exit(code, text)
PY
}

@test "garbage on the second input ends the run, and no worker gets any of it" {
    play <<'PY'
def refused(code, text, *parts, before=(copytable(1, *T),)):
    with Route(("dst", 2, "--stream", "2"), ("old", 1)) as r:
        r.begin()
        r.copy(*before)
        for n in range(2):
            r.worker("dst", n).expect(*[COPYTABLE for _ in before])
        try:
            r.copy(*parts)
        except BrokenPipeError:
            pass
        r.exit(code, text)
        for w in r.workers():
            assert w.rest() == [], "something came"

row = hashed(ROWS, 1, 1, [["1", "x"]])
start = range_(1, 1, *T)
order = "the copy's stream is not in order: "
refused(101, order + "rows or an end outside of a range", row)
refused(101, order + "rows or an end outside of a range", range_end(1, 1, 0))
refused(101, order + "a range is not followed by its end", start, horizon(1, 1))
refused(101, order + "a range is not followed by its end", start, start)
refused(101, order + "rows or an end of another range", start, hashed(ROWS, 1, 2, [["1", "x"]]))
refused(101, order + "rows or an end of another range", start, range_end(2, 1, 0))
refused(101, order + "a range counts another number", start, row, range_end(1, 1, 2))
refused(101, order + "a range counts another number", start, hashed(ABSENT, 1, 1, [["1", None]]),
        range_end(1, 1, 0))
refused(101, order + "a range of a life that has not begun", range_(2, 1, *T))
refused(101, order + "a range of a life that has not begun", range_(0, 1, *T))
refused(101, order + "a range of another table", range_(1, 1, 2, "public", "u", COLS))
refused(101, order + "the number of a life does not grow", copytable(1, *T))
refused(101, order + "the end of a life that is not open", table_end(2))
refused(101, order + "too many lives are open", copytable(257, *T),
        before=[copytable(n, *T) for n in range(1, 257)])
refused(100, "unknown frame type 38 in the copy's stream", touched(1, 1))
refused(100, "unknown frame type 17", begin(1))
refused(100, "unknown frame type 0", hello(version=2))
refused(100, "malformed frame of type 39", table_end(1, "l"))
refused(100, "malformed frame of type 39", table_end(0, "d"))
refused(100, "malformed frame in the copy's stream", frame("x"))
refused(100, "malformed frame of type 34", start, rows(1, 1, [["1", "x"]]))  # no hash
refused(100, "malformed rows", start, frame(34, 1, 1, 1, b"\x92\xa11", bytes(8)))
refused(100, "malformed rows", start, frame(34, 1, 1, 1, b"\x91\xa11\x91\xa12", bytes(8)))
refused(100, "malformed rows", start, frame(34, 1, 1, 2, b"\x91\xa11", bytes(16)))
refused(100, 'for sink \\\\"no\\\\", which does not exist', copytable(2, *T, sinks=["no"]))
refused(100, 'for sink \\\\"old\\\\", which does not read copies', copytable(2, *T, sinks=["old"]))
refused(100, "follows the end frame", end() + horizon(1, 1))
refused(100, "frame", b"\xff" * 64)
refused(100, "the copy's stream: malformed table event", frame(32, 1))
refused(100, "the copy's stream: malformed range event", frame(33, 1))
refused(100, "the copy's stream: malformed horizon event", frame(37, 1))
PY
}

# ---- touched ----

@test "touched: the workers that do not apply a change hear of it, where its table had a life" {
    play <<'PY'
a, a2 = keys_of(0, 3)[:2]
b = keys_of(1, 3)[0]
two = ("--stream", "2")
with Route(("dst", 3, *two), ("one", 1, *two), ("old", 3), ("no", 3, *two, "--tables", "no.*")) as r:
    r.begin()
    u = (2, "public", "u", COLS)
    r.copy(copytable(0, *T), copytable(0, *u))
    for n in range(3):
        r.worker("dst", n).expect(COPYTABLE, COPYTABLE)

    def change(e, lived):
        """One barrier for dst and old; dst 1 applies it."""
        r.say(e.commit().bytes[len(hello()):])
        told = []
        for (name, n), w in r.outputs.items():
            frames = [w.next()]
            while frames[-1][0] != COMMIT:
                frames.append(w.next())
            barriers = [i for i, f in enumerate(frames) if f[0] == BARRIER]
            assert len(barriers) == (1 if name in ("dst", "old") else 0), (name, n, frames)
            mine = [f for f in frames if f[0] == TOUCHED]
            if name == "dst" and n != frames[barriers[0]][2] and lived:
                assert frames[barriers[0] + 1][0] == TOUCHED
                told.append(mine)
            else:
                assert mine == [], (name, n, mine)
            # touched is not counted
            assert frames[-1][4] == sum(INSERT <= f[0] <= TRUNCATE for f in frames)
        assert len(told) == (2 if lived else 0) and all(t == told[0] for t in told), told
        return told[0] if told else None

    def moved(old=True):
        e = Events().table(*T).begin()
        return e.update(1, [b, UNCHANGED], key=[a, None])

    change(moved(), False)
    change(Events().table(*T).begin().truncate([1]), False)
    r.copy(copytable(1, *T))
    for n in range(3):
        r.worker("dst", n).expect(COPYTABLE)
    assert change(moved(), True) == [[38, 1, 1, [a, None]]]
    r.copy(table_end(1))
    for n in range(3):
        r.worker("dst", n).expect(TABLE_END)
    e = Events().table(*T).table(*u).begin().insert(2, ["1", "x"])
    assert change(e.truncate([2, 1]), True) == [[38, 1, 2, None]]
    r.copy(copytable(2, *u))
    for n in range(3):
        r.worker("dst", n).expect(COPYTABLE)
    e = Events().table(*T).table(*u).begin()
    assert change(e.truncate([2, 1]), True) == [[38, 2, 1, None], [38, 1, 1, None]]
    # The first row of a table whose key changed: the old row where it was sent, or the new one.
    other = [col("id"), col("v", key=True)]
    e = Events().table(1, "public", "t", other).begin()
    assert change(e.insert(1, [a, "x"]), True) == [[38, 1, 1, [a, "x"]]]
    e = Events().table(1, "public", "t", COLS, "f").begin()
    assert change(e.update(1, [b, "y"], old=[a, "x"]), True) == [[38, 1, 1, [a, "x"]]]
    e = Events().table(*T).begin()
    assert change(e.delete(1, key=[b, None]), True) == [[38, 1, 1, [b, None]]]
PY
}

# ---- flow ----

# Frames of a stream, and of a copy, about $1 bytes of each, in $T/stream and $T/copy; a range has $2
# times 85 kB.
make_both() {
    /usr/bin/python3 - "$1" "$2" <<PY
import sys
sys.path[:0] = ["$BATS_TEST_DIRNAME", "$WALPIPE_ROOT/test/lib"]
from route_peers import *
size, frames = map(int, sys.argv[1:])
lsn, n, parts = 0x2000, 0, [hello(), relation(*T)]
one = b"".join(insert(1, i + 1, [str(i), "x" * 80], i) for i in range(20))
while n < size:
    parts += [begin(lsn), one, commit(lsn, lsn + 8, 20), watermark(lsn + 8)]
    lsn += 16
    n += len(one)
open("$T/stream", "wb").write(b"".join(parts) + end())
row = [[str(i), "y" * 100] for i in range(800)]
frame_ = hashed(ROWS, 1, 1, row)
unit = range_(1, 1, *T) + frame_ * frames + range_end(1, 1, 800 * frames)
parts = [hello(version=2), copytable(1, *T)] + [unit + horizon(1, 1)] * (size // len(unit) + 1)
open("$T/copy", "wb").write(b"".join(parts) + end())
PY
}

# check_merged LEAST MOST FILE: what a worker got keeps to the grammar, and each range is whole. The
# copy got at least LEAST times what the stream got, and was never more than MOST bytes ahead of it.
check_merged() {
    /usr/bin/python3 - "$@" <<PY
import sys
sys.path[:0] = ["$BATS_TEST_DIRNAME", "$WALPIPE_ROOT/test/lib"]
from route_peers import *
least, limit = map(float, sys.argv[1:3])
inside = ranged = False
streamed = copied = debt = most = lsn = 0
with open(sys.argv[3], "rb") as f:
    while (head := f.read(4)):
        length, = struct.unpack(">I", head)
        body = f.read(length)
        kind = body[1] if body[0] < 0xdc else body[3]
        if 32 <= kind:
            assert not inside, "a frame of a copy inside a transaction"
            if kind in (ROWS, ABSENT, RANGE_END):
                assert ranged
            else:
                assert not ranged, "something inside a range"
            ranged = kind in (RANGE, ROWS, ABSENT)
            copied += length + 4
            debt += length + 4
        else:
            assert not ranged, "something inside a range"
            inside = kind == BEGIN or (inside and kind != COMMIT)
            if kind == COMMIT:
                assert unpack(body)[2] > lsn
                lsn = unpack(body)[2]
            streamed += length + 4
            debt = max(debt - length - 4, 0)
        most = max(most, debt)
print("stream", streamed, "copy", copied, "most of a copy without as much of the stream", most)
assert copied >= least * streamed, "the copy starves"
assert most <= limit, "the stream waits for the copy"
PY
}

@test "both at full speed: transactions and ranges stay whole, neither starves, the stream goes first" {
    while read -r workers frames most; do
        make_both 15000000 "$frames"
        spread_both "$workers"
        for ((i = 0; i < workers; i++)); do
            check_merged 0.3 "$most" "$T/$i"
        done
    done <<'CASES'
1 10 900000
1 1 90000
3 10 900000
CASES
}

# spread_both N: both inputs are there from the beginning
spread_both() {
    local i to=()
    for ((i = 0; i < $1; i++)); do
        : >"$T/$i"
        to+=(--to "$T/$i")
    done
    timeout 100 "$route" --copy /dev/fd/9 --sink dst --stream 2 "${to[@]}" 9<"$T/copy" <"$T/stream" 3>&-
}

@test "a sink that does not read copies gets the bytes that it gets without a copy" {
    make_both 3000000 1
    touch "$T/without" "$T/with" "$T/b"
    timeout 100 "$route" --sink dst --to "$T/without" <"$T/stream" 3>&-
    timeout 100 "$route" --copy /dev/fd/9 --sink dst --to "$T/with" --sink b --stream 2 --to "$T/b" \
        9<"$T/copy" <"$T/stream" 3>&-
    cmp "$T/without" "$T/with"
    check_merged 0.3 90000 "$T/b"
}

@test "a worker that does not read stops both inputs, and little is kept in memory" {
    play <<'PY'
import fcntl, threading
with Route(("dst", 1, "--stream", "2")) as r:
    r.begin()
    fcntl.fcntl(r.copy_input, fcntl.F_SETFL, os.O_NONBLOCK)
    unit = whole_range(1, 1, [[str(n), "y" * 1000] for n in range(1000)])
    data, sent, quiet = copytable(1, *T), 0, 0
    while quiet < 20:
        try:
            n = os.write(r.copy_input, data)
            data, sent, quiet = data[n:] or unit, sent + n, 0
        except BlockingIOError:
            quiet += 1
            time.sleep(0.05)
    assert sent < 12e6, sent
    got = r.worker().expect(COPYTABLE)
    for _ in range(3):
        r.worker().expect(RANGE, ROWS, RANGE_END)
PY
}

@test "the bug was that a worker with a range to read stopped the stream for the others" {
    play <<'PY'
import fcntl
every = [[str(n), "y" * 1000] for n in range(8000)]
mine = [[row for row in every if key_hash(1, COLS, row) % 2 == shard] for shard in range(2)]
lsn = 0x2000

def change(shard):
    global lsn
    lsn += 16
    row = mine[shard][0]
    return begin(lsn) + insert(1, 1, row, key_hash(1, COLS, row)) + commit(lsn, lsn + 8, 1)

with Route(("dst", 2, "--stream", "2")) as r:
    r.begin()
    slow, fast = r.workers()
    r.copy(copytable(1, *T), whole_range(1, 1, mine[0]))
    fast.expect(COPYTABLE, RANGE, RANGE_END)
    r.say(relation(*T))
    fast.expect(RELATION)
    for _ in range(800):
        r.say(change(1))
        fast.expect(BEGIN, INSERT, COMMIT)
    # Yet no more of the stream is kept than without a range.
    fcntl.fcntl(r.input, fcntl.F_SETFL, os.O_NONBLOCK)
    data, sent, quiet = change(0), 0, 0
    while quiet < 20:
        try:
            n = os.write(r.input, data)
            data, sent, quiet = data[n:] or change(0), sent + n, 0
        except BlockingIOError:
            quiet += 1
            time.sleep(0.05)
    assert 700000 < sent < 2500000, sent
    slow.expect(COPYTABLE, RANGE)
    count = 0
    while (f := slow.next())[0] == ROWS:
        count += f[3]
    assert f[0] == RANGE_END and count == f[4] == len(mine[0])
    slow.expect(RELATION, BEGIN, COMMIT)
PY
}

@test "a row of 30 MB in a range" {
    play <<'PY'
import threading
with Route(("dst", 2, "--stream", "2")) as r:
    r.begin()
    big = ["1", "z" * 30000000]
    writer = threading.Thread(target=r.copy, args=(copytable(1, *T) + whole_range(1, 1, [big, ["2", "x"]]),))
    writer.start()
    shards = [key_hash(1, COLS, row) % 2 for row in (big, ["2", "x"])]
    for n in range(2):
        w = r.worker("dst", n)
        w.expect(COPYTABLE, RANGE)
        if n in shards:
            assert w.expect(ROWS)[3] == shards.count(n)
        w.expect(RANGE_END)
    writer.join()
    too_long = range_(1, 2, *T) + hashed(ROWS, 1, 2, [["1", "y" * 1000000]]) * 18
    try:
        r.copy(too_long)
    except BrokenPipeError:
        pass
    r.exit(101, "a range that is too long")
PY
}

@test "a large row is held twice, as one of the stream is" {
    [ -x "$release/route" ] || skip "no build/release/bin/route"
    play <<PY
import threading
with Route(("dst", 2, "--stream", "2"), program="$release/route") as r:
    r.begin()
    row = ["1", "z" * 60000000]
    data = copytable(1, *T) + whole_range(1, 1, [row])
    writer = threading.Thread(target=r.copy, args=(data,))
    writer.start()
    for n in range(2):
        w = r.worker("dst", n)
        w.expect(COPYTABLE, RANGE)
        if n == key_hash(1, COLS, row) % 2:
            w.expect(ROWS)
        w.expect(RANGE_END)
    writer.join()
    with open("/proc/%d/status" % r.process.pid) as status:
        most, = [int(l.split()[1]) for l in status if l.startswith("VmHWM")]
    assert most < 150000, most
PY
}

@test "--copy and --stream: what is wrong is refused at the start" {
    while IFS='|' read -r text arguments; do
        # shellcheck disable=SC2086
        try "$route" $arguments
        one_error 100 "$text" || {
            echo "arguments: $arguments"
            return 1
        }
    done <<'CASES'
--copy, but no sink has --stream 2|--copy /dev/null --sink a --to /dev/null
--copy, but no sink has --stream 2|--copy /dev/null --sink a --stream 1 --to /dev/null
--stream before the first --sink|--stream 2
--stream: "3" is not 1 or 2|--sink a --stream 3
--stream: "" is not 1 or 2|--sink a --stream=
descriptor 77 of "/dev/fd/77" is not open|--copy /dev/fd/77 --sink a --stream 2 --to /dev/null
CASES
}

# ---- with a real reader ----

# A server with the table t of 30,000 rows, some of whose keys are of two columns.
start_source() {
    pg_new src
    pg_sql src "create table t (id int, region text, v text, primary key (id, region));
        insert into t select n, 'r' || n % 7, repeat(md5(n::text), 8) from generate_series(1, 30000) n;
        create publication p for table t"
}

# The Python on stdin follows; reader() starts a pg-table-read, gather() reads what workers got.
play_with_reader() {
    {
        cat <<PY
import threading
argv = ["$WALPIPE_BIN/pg-table-read", "--conninfo", "$(pg_conninfo src)", "--publication", "p"]
PY
        cat <<'PY'
def reader(*options):
    return subprocess.Popen(argv + list(options), stdout=subprocess.PIPE)

def first_frame(pipe):
    head = pipe.read(4)
    return head + pipe.read(int.from_bytes(head, "big"))

def stream_hello(copy_hello):
    e = unpack(copy_hello[4:])
    return hello(run_id=e[5], system_identifier=e[6], timeline=e[7])

def pump(source, r):
    try:
        while (data := source.read1(65536)):
            r.copy(data)
    except BrokenPipeError:
        pass
    if r.copy_input >= 0:
        r.close_copy()

def begin_with(r, source):
    head = first_frame(source.stdout)
    r.say(stream_hello(head))
    r.copy(head)
    thread = threading.Thread(target=pump, args=(source.stdout, r))
    thread.start()
    return thread

def gather(r, seen, counts):
    """All workers' frames to the end, each in a thread of its own."""
    def one(name, shard, w):
        while (f := w.next(60)) is not None:
            counts.setdefault((name, shard), []).append(f[0])
            if f[0] == ROWS:
                seen.setdefault((name, shard), []).extend(unpack_rows(f[4]))
    threads = [threading.Thread(target=one, args=(*k, w)) for k, w in r.outputs.items()]
    for t in threads:
        t.start()
    return threads
PY
        cat
    } >"$T/real.py"
    play <"$T/real.py"
}

@test "pg-table-read's rows of a real table reach each sink once, at the worker of their changes" {
    start_source
    play_with_reader <<'PY'
two = ("--stream", "2")
with Route(("key", 3, *two), ("region", 3, *two, "--shard-key", "column:region"), ("one", 1, *two), ("old", 1)) as r:
    source = reader("--workers", "3")
    pumping = begin_with(r, source)
    seen, counts = {}, {}
    threads = gather(r, seen, counts)
    for n in range(200):  # the stream goes on meanwhile
        r.say(begin(0x2000 + n * 16), commit(0x2000 + n * 16, 0x2008 + n * 16, 0))
    r.wait_log("the copy has ended")
    assert source.wait(PATIENCE) == 0
    r.say(end())
    r.close_input()
    for t in threads + [pumping]:
        t.join(PATIENCE)
    r.exit(0)
    for name, shards in (("key", 3), ("region", 3), ("one", 1)):
        every = [row for s in range(shards) for row in seen[name, s]]
        assert sorted(int(row[0]) for row in every) == list(range(1, 30001)), name
        for s in range(shards):
            assert counts[name, s].count(COMMIT) == 200
            assert counts[name, s].count(RANGE) == counts[name, s].count(RANGE_END) == counts["one", 0].count(RANGE) > 1
    where = {}
    for s in range(3):
        for row in seen["region", s]:
            assert where.setdefault(row[1], s) == s
    assert len(where) == 7 and ("old", 0) not in seen
    assert set(counts["old", 0]) <= {HELLO, BEGIN, COMMIT, END}
PY
}

@test "kill -9 of pg-table-read: 111; of route: the reader ends with 111; SIGTERM to the reader: the stream goes on" {
    start_source
    play_with_reader <<'PY'
import signal
def run(code, then):
    with Route(("dst", 2, "--stream", "2")) as r:
        source = reader("--rate", "1000000")
        pumping = begin_with(r, source)
        seen, counts = {}, {}
        threads = gather(r, seen, counts)
        deadline = time.monotonic() + PATIENCE
        while not any(ROWS in c for c in list(counts.values())):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        then(r, source)
        pumping.join(PATIENCE)
        source.stdout.close()
        assert source.wait(PATIENCE) == code
        for t in threads:
            t.join(PATIENCE)
        assert len([row for rows_ in seen.values() for row in rows_]) < 30000

def kill_reader(r, source):
    source.kill()
    r.exit(111, "the copy's stream .*pg-table-read stopped; its own log says why")

def kill_route(r, source):
    r.process.kill()
    r.process.wait()

def stop_reader(r, source):
    source.terminate()
    assert source.wait(PATIENCE) == 0
    r.wait_log("the copy has ended")
    r.say(begin(0x2000), commit(0x2000, 0x2008, 0), end())
    r.close_input()
    r.exit(0)

run(-9, kill_reader)
run(0, stop_reader)
run(111, kill_route)
PY
}
