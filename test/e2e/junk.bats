#!/usr/bin/env bats
# Junk on the input of every program that reads a stream: one clear line, exit 100 or 111, quickly
# and in little memory. The sanitized programs run first; memory is measured on the release ones.

bats_require_minimum_version 1.5.0

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    pg_new target
    pg_sql target 'CREATE TABLE t (id text PRIMARY KEY, v text)'
    ch_new olap
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    T=$BATS_TEST_TMPDIR
    ackd=$SCRATCH/ackd$BATS_TEST_NUMBER.sock
    /usr/bin/python3 "$WALPIPE_ROOT/test/lib/fake_ackd.py" "$ackd" >"$T/acks" 2>&1 3>&- &
    kill_later $!
    wait_until 10 test -S "$ackd"
    programs='pgout-decode evcat route sink-pg sink-ch'
}

teardown() {
    [ -n "${BATS_TEST_COMPLETED:-}" ] || cat "$T/err" 2>/dev/null || true
}

# start PROGRAM: with what it needs besides the stream on stdin.
start() {
    case $1 in
    route) set -- route --sink dst --to "$T/routed" && : >"$T/routed" ;;
    sink-pg) set -- sink-pg --conninfo "$(pg_conninfo target)" --pipeline p --ackd "$ackd" ;;
    sink-ch) set -- sink-ch --url "$(ch_url olap)" --database default --create-tables \
        --pipeline p --ackd "$ackd" ;;
    esac
    (PATH=$WALPIPE_BIN:$PATH && exec timeout -k 1 20 "$@") >"$T/out" 2>"$T/err" 3>&-
}

# fed PROGRAM FILE: the program ends as it should.
fed() {
    local status=0 errors
    start "$1" <"$2" || status=$?
    errors=$(jq -cs '[.[] | select(.level == "error")] | length' "$T/err") || {
        echo "$1 wrote something else than JSON lines to stderr, for $2, exit status $status"
        return 1
    }
    if { [ $status -ne 100 ] && [ $status -ne 111 ]; } || [ "$errors" -ne 1 ]; then
        echo "$1 ended with $status and $errors error lines for $2"
        return 1
    fi
}

all_fed() {
    local program
    for program in $programs; do
        fed "$program" "$1"
    done
}

stream() {
    /usr/bin/python3 "$WALPIPE_ROOT/test/lib/stream.py" py
}

@test "an empty input" {
    all_fed /dev/null
    grep -q 'stream is empty' "$T/err"
}

@test "one byte" {
    printf '\0' >"$T/in"
    all_fed "$T/in"
}

@test "64 times ff" {
    head -c 64 /dev/zero | tr '\0' '\377' >"$T/in"
    all_fed "$T/in"
    grep -q 'not a walpipe stream' "$T/err"
}

@test "a megabyte of zeros, of text and of random bytes" {
    head -c 1000000 /dev/zero >"$T/zeros"
    yes 'INSERT INTO t VALUES (1);' | head -c 1000000 >"$T/text"
    # the same bytes every time
    /usr/bin/python3 -c 'import random, sys; random.seed(7); sys.stdout.buffer.write(random.randbytes(1000000))' >"$T/random"
    for file in zeros text random; do
        all_fed "$T/$file"
    done
}

@test "random bodies in frames of right length" {
    for seed in 1 2 3 4 5 6 7 8; do
        stream <<PY >"$T/in"
import random
random.seed($seed)
for n in range(200):
    body = bytes([0x90 + random.randrange(1, 16), random.randrange(0, 28)]) + random.randbytes(random.randrange(40))
    out((hello(sink="dst", shards=1) if n == 0 else b"") + framed(body))
PY
        all_fed "$T/in"
    done
}

@test "lengths of 2 GiB, 4 GiB and just within the maximum, in little memory" {
    release=$WALPIPE_ROOT/build/release/bin
    for length in '\200\0\0\0' '\377\377\377\377' '\077\377\377\377'; do
        { printf "$length"; head -c 100000 /dev/zero; } >"$T/in"
        all_fed "$T/in"
        for program in $programs; do
            case $program in
            route) set -- --sink dst --to "$T/routed" ;;
            sink-pg) set -- --conninfo "$(pg_conninfo target)" --pipeline p --ackd "$ackd" ;;
            sink-ch) set -- --url "$(ch_url olap)" --database default --pipeline p --ackd "$ackd" ;;
            *) set -- ;;
            esac
            /usr/bin/time -f %M -o "$T/rss" "$release/$program" "$@" <"$T/in" >/dev/null 2>"$T/err" || true
            rss=$(tail -n 1 "$T/rss")
            echo "$program took $rss KiB"
            [ "$rss" -lt 40000 ]
        done
    done
}

# What every program takes to its end, as short as can be.
event_stream() {
    stream <<'PY'
e = Events(sink="dst", shards=1)
e.table(1, "public", "t", [col("id", key=True), col("v")])
e.begin()
e.insert(1, ["1", "a"])
e.update(1, ["2", UNCHANGED], key=["1", None])
e.delete(1, ["2", None])
e.commit()
e.watermark()
e.end()
out(e)
PY
}

wal_stream() {
    stream <<'PY'
w = Wal()
w.add(pg_begin(0x2000), pg_relation(1, "public", "t", [col("id", key=True), col("v")]),
      pg_insert(1, ["1", None]), pg_update(1, ["2", UNCHANGED], key=["1", None]),
      pg_delete(1, key=["2", None]), pg_commit(0x2000, 0x2028))
w.keepalive(0x3000)
w.end()
out(w)
PY
}

@test "a filter's stream cut at every byte" {
    event_stream >"$T/events"
    wal_stream >"$T/wal"
    for program in pgout-decode evcat route; do
        whole=$T/events
        [ $program != pgout-decode ] || whole=$T/wal
        start $program <"$whole"
        for ((cut = 0; cut < $(stat -c %s "$whole"); cut++)); do
            head -c $cut "$whole" >"$T/in"
            fed $program "$T/in"
            grep -q '"exit_code":111' "$T/err" || {
                echo "$program cut at $cut: $(cat "$T/err")"
                return 1
            }
        done
    done
}

# A sink connects to its target each time, so only at the frames' borders and one byte beside them.
@test "a sink's stream cut in and between all frames; a cut transaction leaves no row" {
    event_stream >"$T/events"
    borders=$(/usr/bin/python3 -c '
import struct, sys
data = open(sys.argv[1], "rb").read()
at = 0
while at < len(data):
    print(at, at + 1, at + 3, at + 6)
    at += 4 + struct.unpack_from(">I", data, at)[0]
print(len(data) - 1)' "$T/events")
    for program in sink-pg sink-ch; do
        for cut in $borders; do
            head -c "$cut" "$T/events" >"$T/in"
            fed $program "$T/in"
        done
    done
    [ "$(pg_sql target 'SELECT count(*) FROM t')" = 0 ]
    for program in sink-pg sink-ch; do
        start $program <"$T/events"
    done
}

@test "the wrong stream, and a stream of another version" {
    event_stream >"$T/events"
    wal_stream >"$T/wal"
    fed pgout-decode "$T/events"
    grep -q 'the input is the event stream' "$T/err"
    for program in route sink-pg sink-ch; do
        fed $program "$T/wal"
        grep -q 'is the wal stream' "$T/err"
    done
    stream <<<'out(hello(version=2), end())' >"$T/in"
    fed route "$T/in" # evcat and the sinks read it
    grep -q 'version 2' "$T/err"
    stream <<<'out(hello(version=3), end())' >"$T/in"
    programs='evcat route sink-pg sink-ch'
    all_fed "$T/in"
    grep -q 'version 3' "$T/err"
    stream <<<'out(hello(stream="wal", version=2), end())' >"$T/in"
    fed pgout-decode "$T/in"
}

@test "each byte of a short stream changed: never a crash, never silence" {
    event_stream >"$T/events"
    wal_stream >"$T/wal"
    for program in pgout-decode route evcat; do
        whole=$T/events
        [ $program != pgout-decode ] || whole=$T/wal
        size=$(stat -c %s "$whole")
        for ((at = 0; at < size; at += 3)); do
            /usr/bin/python3 - "$whole" $at >"$T/in" <<'PY'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
data[int(sys.argv[2])] ^= 0x81
sys.stdout.buffer.write(data)
PY
            status=0
            start $program <"$T/in" || status=$?
            # a changed value or name is nobody's fault; everything else must be said
            case $status in
            0 | 100 | 101 | 111) ;;
            *)
                echo "$program ended with $status, byte $at changed"
                return 1
                ;;
            esac
            [ $status -eq 0 ] || [ "$(jq -s '[.[] | select(.level == "error")] | length' "$T/err")" = 1 ]
        done
    done
}
