#!/usr/bin/env bats
# route alone: broken streams, slow and dead workers, sockets and pipes, the command line.

load route

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
    wait_until 1 test -s "$T/err"
    wait_until 10 process_gone "$router"
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
    wait_until 1 test -s "$T/err"
    wait_until 10 process_gone "$router"
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
    wait_until 1 test -s "$T/err"
    wait_until 10 process_gone "$router"
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
option --sink is missing|
sink "a" has no --to|--sink a
sink "b" has no --to|--sink a --to /dev/null --sink b
sink "a" is named twice|--sink a --to /dev/null --sink a
--to before the first --sink|--to /dev/null
--tables before the first --sink|--tables *.*
--shard-key before the first --sink|--shard-key key
--shard-key: "keys" is not key, table or column:NAME|--sink a --shard-key keys
--shard-key: "column:" is not key, table or column:NAME|--sink a --shard-key column:
--log-level: "loud" is not debug, info, warning or error|--log-level loud
unexpected argument "x"|--sink a --to /dev/null x
descriptor 77 of "/dev/fd/77" is not open|--sink a --to /dev/fd/77
CASES
    try "$route" --sink "$(printf 'x%.0s' $(seq 64))"
    one_error 100 "must have 1 to 63 bytes"
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
