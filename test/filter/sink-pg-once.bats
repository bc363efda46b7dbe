#!/usr/bin/env bats
# sink-pg alone: batches, and each transaction exactly once whatever breaks.

load sink-pg

# ---- batches ----

@test "a transaction larger than a batch: in pieces, seen whole or not at all (trap 66)" {
    stream "$T/s" <<PY
$PRELUDE
tx(("insert", ["-1", "before", None]))
e.begin()
for n in range(5000): e.insert(1, [str(n), "v", None])
for n in range(5000): e.update(1, [str(n), "w", "b"])
for n in range(2000): e.delete(1, [str(n), None, None])
out(e); e.bytes = b""
with open("$T/rest", "wb") as f: f.write(e.commit().watermark().end().bytes)
PY
    sql "CREATE TABLE t (id int PRIMARY KEY, v text, big text)"
    start_sink --batch-rows 500
    exec 8>"$T/in"
    cat "$T/s" >&8
    wait_until 10 reached_is $((0x2028))
    wait_until 10 eval '[ "$(sql "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = '"'idle in transaction'"'")" = 1 ]'
    [ "$(sql "SELECT count(*) FROM t")" = 1 ]
    # cut off here, nothing of it is kept
    exec 8>&-
    wait_status 111 "$sink"
    said "without an end frame"
    [ "$(sql "SELECT count(*) FROM t")" = 1 ]
    [ "$(reached)" = $((0x2028)) ]
    start_sink --batch-rows 500
    exec 8>"$T/in"
    cat "$T/s" "$T/rest" >&8
    exec 8>&-
    wait_status 0 "$sink"
    [ "$(sql "SELECT count(*), min(id), min(v), max(v) FROM t WHERE id >= 0")" = "3000|2000|w|w" ]
}

@test "whole transactions are one target transaction; a lone one does not wait (trap 166)" {
    stream "$T/s" <<PY
$PRELUDE
for n in range(300): tx(("insert", [str(n), None, None]))
out(e)
PY
    sql "CREATE TABLE t (id int PRIMARY KEY, v text, big text)"
    start_sink --flush-interval 60s
    exec 8>"$T/in"
    cat "$T/s" >&8
    # drained: everything is there long before the interval is over
    wait_until 10 reached_is $((0x2000 + 299 * 0x100 + 0x28))
    [ "$(sql "SELECT count(DISTINCT xmin::text) < 20 FROM t")" = t ]
    exec 8>&-
    wait_status 111 "$sink"
}

@test "watermarks and empty commits are confirmed, but the progress row holds them first (traps 9, 62, 165, 172)" {
    start_sink --flush-interval 500ms
    exec 8>"$T/in"
    stream "$T/s" <<PY
$PRELUDE
e.watermark(0x1500); out(e)
PY
    cat "$T/s" >&8
    wait_until 10 reached_is $((0x1500))
    [ "$(sql "SELECT lsn FROM walpipe.progress")" = "0/1500" ]
    stream "$T/s" <<'PY'
for n in range(2000):
    out(begin(0x2000 + n * 0x100), commit(0x2000 + n * 0x100, 0x2028 + n * 0x100, 0), watermark(0x2030 + n * 0x100))
PY
    cat "$T/s" >&8
    last=$((0x2030 + 1999 * 0x100))
    wait_until 10 reached_is "$last"
    [ "$(sql "SELECT lsn - '0/0' FROM walpipe.progress")" = "$last" ]
    [ "$(grep -c reached "$acks")" -lt 10 ]
    exec 8>&-
}

# ---- exactly once ----

@test "what is durable is skipped when it comes again, whole transactions (traps 13, 39, 53, 168)" {
    stream "$T/s" <<PY
e = Events(sink="dst", shards=1)
e.table(1, "public", "log", [col("v")])
for n in range(10): e.begin(); e.insert(1, [str(n)]); e.insert(1, [str(n)]); e.commit()
open("$T/first", "wb").write(e.bytes + end())
# commit end == next begin (trap 39): the first run stops right between them
e.begin(0x2900 + 0x28); e.insert(1, ["x"]); e.commit()
e.end(); out(e)
PY
    sql "CREATE TABLE log (v text)"
    sink <"$T/first"
    [ "$(sql "SELECT count(*) FROM log")" = 20 ]
    for _ in 1 2 3; do
        sink <"$T/s"
        [ "$status" -eq 0 ]
        [ "$(sql "SELECT count(*), count(DISTINCT v) FROM log")" = "21|11" ]
    done
    [ "$(jq -s '[.[] | select(.message == "register") | .durable_lsn]' "$acks" | tr -d ' \n')" = "[0,$((0x2928)),$((0x2950)),$((0x2950))]" ]
}

@test "kill -9 in the middle, many times: no row twice, none missing (traps 8, 75)" {
    stream "$T/s" <<'PY'
e = Events(sink="dst", shards=1)
e.table(1, "public", "log", [col("v")])
for n in range(3000):
    e.begin()
    for k in range(n % 7): e.insert(1, ["%d.%d" % (n, k)])
    e.commit()
e.end(); out(e)
PY
    sql "CREATE TABLE log (v text)"
    for n in 1 2 3 4 5 6 7 8; do
        start_sink --batch-rows 10
        cat "$T/s" >"$T/in" 2>/dev/null &
        before=$(sql "SELECT count(*) FROM log")
        wait_until 20 eval '[ "$(sql "SELECT count(*) FROM log")" -gt '"$((before + n * 100))"' ] || ! kill -0 '"$sink"
        kill -9 "$sink" 2>/dev/null || true
        wait "$sink" || true
        wait $! || true
        [ "$(sql "SELECT count(*) = count(DISTINCT v) FROM log")" = t ]
    done
    sink <"$T/s"
    [ "$status" -eq 0 ]
    [ "$(sql "SELECT count(*), count(DISTINCT v) FROM log")" = "8994|8994" ]
}

@test "a worker whose epoch is not the current one cannot commit (traps 161, 169)" {
    sql "CREATE TABLE t (id int PRIMARY KEY, v text, big text)"
    start_sink
    first=$sink
    exec 8>"$T/in"
    stream "$T/s" <<PY
$PRELUDE
tx(("insert", ["1", "a", None])); out(e)
PY
    cat "$T/s" >&8
    wait_until 10 reached_is $((0x2028))
    # another worker's start
    sql "UPDATE walpipe.progress SET epoch = epoch + 1"
    stream "$T/more" <<'PY'
out(begin(0x2100), insert(1, 1, ["2", "first", None]), commit(0x2100, 0x2128, 1))
PY
    cat "$T/more" >&8
    wait_status 111 "$first"
    exec 8>&-
    said "another walpipe took over"
    [ "$(sql "SELECT id FROM t")" = 1 ]
    [ "$(sql "SELECT lsn FROM walpipe.progress")" = 0/2028 ]
    [ "$(reached)" = $((0x2028)) ]
}

@test "a worker that hangs with an open transaction is not in its successor's way (trap 161)" {
    sql "CREATE TABLE t (id int PRIMARY KEY, v text, big text)"
    stream "$T/s" <<PY
$PRELUDE
e.begin()
for n in range(1000): e.insert(1, [str(n), "v", None])
out(e); e.bytes = b""
open("$T/rest", "wb").write(e.commit().end().bytes)
PY
    start_sink --batch-rows 100
    first=$sink
    exec 8>"$T/in"
    cat "$T/s" >&8
    wait_until 10 eval '[ "$(sql "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = '"'idle in transaction'"'")" = 1 ]'
    kill -STOP "$first"
    mv "$T/err" "$T/err1"
    cat "$T/s" "$T/rest" >"$T/whole"
    sink <"$T/whole"
    [ "$status" -eq 0 ]
    said "an earlier worker's session was still in the target and was ended"
    [ "$(sql "SELECT count(*) FROM t")" = 1000 ]
    kill -CONT "$first"
    wait_status 111 "$first"
    exec 8>&-
    [ "$(sql "SELECT count(*) FROM t")" = 1000 ]
    [ "$(jq -s '[.[] | select(.message == "finished") | .from] | length' "$acks")" = 1 ]
}

@test "progress of another source is refused (traps 16, 112)" {
    sql "CREATE TABLE t (id int PRIMARY KEY, v text, big text)"
    stream "$T/s" <<PY
$PRELUDE
tx(("insert", ["1", "a", None])); e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 0 ]
    sql "UPDATE walpipe.progress SET timeline = 2"
    for other in "system_identifier=5" "timeline=1" 'timeline=2, slot="x"'; do
        stream "$T/s" <<PY
out(hello(sink="dst", shards=1, $other), end())
PY
        sink <"$T/s"
        [ "$status" -eq 100 ]
        said "belongs to another source: its"
    done
}

@test "progress of an earlier timeline is ackd's to judge, and becomes the source's with the first commit (trap 16)" {
    sql "CREATE TABLE t (id int PRIMARY KEY, v text, big text)"
    stream "$T/s" <<PY
$PRELUDE
tx(("insert", ["1", "a", None])); e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 0 ]
    stream "$T/s" <<'PY'
out(hello(sink="dst", shards=1, timeline=2), end())
PY
    sink <"$T/s"
    [ "$status" -eq 0 ]
    [ "$(jq -s -c 'map(select(.message == "register") | [.durable_lsn, .timeline]) | last' "$acks")" = "[8232,1]" ]
    [ "$(sql "SELECT timeline FROM walpipe.progress")" = 1 ]
    stream "$T/s" <<'PY'
out(hello(sink="dst", shards=1, timeline=2), watermark(0x3000), end())
PY
    sink <"$T/s"
    [ "$status" -eq 0 ]
    [ "$(sql "SELECT timeline, lsn FROM walpipe.progress")" = "2|0/3000" ]
    # there is no way back, and none for half a transaction
    sink <"$T/s"
    [ "$status" -eq 0 ]
    sql "UPDATE walpipe.progress SET timeline = 1, partial_commit_lsn = '0/4000', partial_ordinal = 1"
    sink <"$T/s"
    [ "$status" -eq 100 ]
}

@test "the answer to COMMIT is lost: never twice, never not at all (trap 77)" {
    sql "CREATE TABLE log (v text)"
    stream "$T/s" <<'PY'
e = Events(sink="dst", shards=1)
e.table(1, "public", "log", [col("v")])
for n in range(400): e.begin(); e.insert(1, [str(n)]); e.commit()
e.begin()
for n in range(1000): e.insert(1, ["big %d" % n])
e.commit()
e.end(); out(e)
PY
    proxy() { /usr/bin/python3 "$WALPIPE_ROOT/test/lib/proxy.py" "$1" "$T/proxy.sock" "${@:2}"; }
    port=$(port_new)
    proxy serve "dst=$port:$(pg_port dst)" 3>&- &
    pids+=($!)
    wait_until 10 test -S "$T/proxy.sock"
    proxy tell dst commit turns 9
    # 111 when the big transaction, whose first pieces are gone, is cut: a restart, as by walpipe run
    status=111
    for ((n = 0; status == 111 && n < 20; n++)); do
        status=0
        "$WALPIPE_BIN/sink-pg" --conninfo "host=127.0.0.1 port=$port user=postgres dbname=$db" \
            --pipeline p --ackd "$ack" --batch-rows 5 <"$T/s" 2>>"$T/err" 3>&- || status=$?
    done
    [ "$status" -eq 0 ]
    [ "$(sql "SELECT count(*), count(DISTINCT v) FROM log")" = "1400|1400" ]
    proxy tell dst counts | jq -e '."commit before" >= 3 and ."commit after" >= 3'
}

@test "the target restarts: the batch is held, ackd is told, nothing is lost or doubled (traps 90, 98)" {
    sql "CREATE TABLE log (v text)"
    start_sink --batch-rows 20
    exec 8>"$T/in"
    stream "$T/s" <<'PY'
e = Events(sink="dst", shards=1)
e.table(1, "public", "log", [col("v")])
for n in range(100): e.begin(); e.insert(1, [str(n)]); e.commit()
out(e)
PY
    cat "$T/s" >&8
    wait_until 10 reached_is $((0x2028 + 99 * 0x100))
    pg_stop dst immediate
    # told although nothing was to be written
    wait_until 10 eval "jq -e 'select(.message == \"target\" and .alive == false)' '$acks'"
    stream "$T/s" <<'PY'
for n in range(100, 200): out(begin(0x2000 + n * 0x100), insert(1, 1, [str(n)]), commit(0x2000 + n * 0x100, 0x2028 + n * 0x100, 1))
out(end())
PY
    cat "$T/s" >&8
    exec 8>&-
    pg_start dst
    wait_status 0 "$sink"
    [ "$(sql "SELECT count(*), count(DISTINCT v) FROM log")" = "200|200" ]
    # false comes for each attempt that failed
    [ "$(jq -c 'select(.message == "target") | .alive' "$acks" | uniq | tr -d '\n')" = truefalsetrue ]
}

@test "a target that is not there yet is waited for; not when ackd or the input is gone" {
    stream "$T/s" <<PY
$PRELUDE
e.end(); out(e)
PY
    mkfifo "$T/in"
    "$WALPIPE_BIN/sink-pg" --conninfo "host=$T port=1 dbname=x" --pipeline p --ackd "$ack" \
        <"$T/in" 2>"$T/err" 3>&- &
    sink=$!
    pids+=("$sink")
    exec 8>"$T/in"
    head -c 200 "$T/s" >&8
    wait_until 10 said "waiting for the target"
    kill "$ackd"
    wait_status 111 "$sink"
    said "ackd closed the connection"
    exec 8>&-
}
