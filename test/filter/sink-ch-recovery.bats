#!/usr/bin/env bats
# sink-ch alone: ClickHouse, ackd, the input or sink-ch itself breaks.

load sink-ch

# ---- what goes wrong ----

@test "ClickHouse is down: the sink waits, says so, and sends the same rows when it is back (traps 103, 109)" {
    table t "id Int32, v String" id
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "t", [col("id", True, INT4), col("v")])
for i in range(200): e.begin(); e.insert(1, [str(i), "v"]); e.commit()
e.end()
EOF
    mkfifo "$DIR/fifo"
    sink --batch-rows 10 <"$DIR/fifo" &
    local pid=$!
    exec 7>"$DIR/fifo"
    head -c 4000 "$DIR/in" >&7
    wait_until 10 reached_more_than 0
    ch_kill ch
    tail -c +4001 "$DIR/in" >&7
    exec 7>&-
    wait_until 10 grep -q '"alive": false' "$DIR/acks"
    process_alive "$pid"
    ch_start ch
    wait "$pid"
    grep -q '"alive": true' "$DIR/acks"
    log_has "waiting for the target"
    log_has "the target is back"
    is "SELECT count() FROM t FINAL" 200
    reached_is e728
}

# The last registration's durable LSN.
registered() {
    [ "$(sed -n 's/.*"register".*"durable_lsn": \([0-9]*\).*/\1/p' "$DIR/acks" | tail -n 1)" = "$1" ]
}

reached_more_than() {
    [ "$((16#$(reached)))" -gt "$1" ]
}

@test "while ClickHouse is down, the sink notices that ackd or its input died (trap 133)" {
    URL=http://127.0.0.1:$(port_new)
    small >"$DIR/in"
    mkfifo "$DIR/fifo"
    sink <"$DIR/fifo" &
    local pid=$!
    exec 7>"$DIR/fifo"
    cat "$DIR/in" >&7
    wait_until 10 log_has "waiting for the target"
    kill "$ACKD_PID"
    exits 111 wait "$pid"
    log_has "ackd closed the connection"
    exec 7>&-

    : >"$DIR/log"
    ackd
    head -c -5 "$DIR/in" >"$DIR/cut"
    sink <"$DIR/fifo" &
    pid=$!
    exec 7>"$DIR/fifo"
    cat "$DIR/cut" >&7
    wait_until 10 log_has "waiting for the target"
    exec 7>&-
    exits 111 wait "$pid"
    log_has "was cut inside a frame"
}

@test "what is durable is noted in ClickHouse before it is reported, and found again (trap 15)" {
    small >"$DIR/in"
    sink --create-tables <"$DIR/in"
    local lsn
    lsn=$((16#$(reached)))
    is "SELECT pipeline, sink, shard, shards, slot, max(lsn) FROM walpipe_progress GROUP BY pipeline, sink, shard, shards, slot" "p olap 0 1 s $lsn"
    registered 0
    sink --create-tables <"$DIR/in"
    registered "$lsn"
    # what others noted is no proof, and of less than the slot says ackd hears
    ch_sql ch "TRUNCATE TABLE walpipe_progress" "$DB"
    ch_sql ch "INSERT INTO walpipe_progress (pipeline, sink, shard, shards, system_identifier, timeline, slot, lsn, layout)
        SELECT 'p', 'olap', arrayJoin([0, 1]), 3, 7000000000000000001, 1, 's', 9000000, 7" "$DB"
    ch_sql ch "INSERT INTO walpipe_progress (pipeline, sink, shard, shards, system_identifier, timeline, slot, lsn)
        VALUES ('p', 'olap', 0, 1, 8, 1, 's', 9000000), ('p', 'olap', 0, 1, 7000000000000000001, 1, 't', 9000000),
        ('p2', 'olap', 0, 1, 7000000000000000001, 1, 's', 9000000), ('p', 'olap', 0, 1, 7000000000000000001, 1, 's', 1)" "$DB"
    sink --create-tables <"$DIR/in"
    registered 1
    # what all of another number of workers had, this one has
    ch_sql ch "INSERT INTO walpipe_progress (pipeline, sink, shard, shards, system_identifier, timeline, slot, lsn, layout)
        VALUES ('p', 'olap', 2, 3, 7000000000000000001, 1, 's', 8000000, 7)" "$DB"
    sink --create-tables <"$DIR/in"
    registered 8000000
}

@test "kill -9 at any moment, then the whole stream again: the same rows (traps 103, 106)" {
    table t "id Int32, v String" id
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "t", [col("id", True, INT4), col("v")])
for i in range(300):
    e.begin(); e.insert(1, [str(i), "x" * 5000]); e.update(1, [str(i // 2), "u%d" % i + "y" * 5000])
    if i % 3 == 0: e.delete(1, key=[str(i), None])
    if i % 7 == 0: e.update(1, [str(i + 1000), "moved"], key=[str(i // 2), None])
    e.commit()
e.end()
EOF
    local i
    for i in 1 2 3 4 5 6; do
        # timeout's own exit code says that it killed
        timeout -s KILL "0.$((i * 7))" "$WALPIPE_BIN/sink-ch" --url "$URL" --database "$DB" \
            --pipeline p --ackd "$ACKD" --batch-rows $((i * 20)) <"$DIR/in" 2>>"$DIR/log" 3>&- || true
    done
    sink <"$DIR/in"
    q "SELECT id, v, _is_deleted FROM t FINAL ORDER BY id" >"$DIR/got"
    q "TRUNCATE TABLE t"
    sink <"$DIR/in"
    q "SELECT id, v, _is_deleted FROM t FINAL ORDER BY id" >"$DIR/expected"
    cmp "$DIR/got" "$DIR/expected"
}

@test "EOF without end: exit 111, and nothing of the open transaction was sent (trap 133)" {
    table t "id Int32, v String" id
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "t", [col("id", True, INT4), col("v")])
e.begin(); e.insert(1, ["1", "a"]); e.commit()
e.begin(); e.insert(1, ["2", "b"])
EOF
    exits 111 sink <"$DIR/in"
    log_has "without an end frame"
    is "SELECT count() FROM t WHERE id = 2" 0
    exits 111 sink </dev/null
    head -c -3 "$DIR/in" >"$DIR/cut"
    exits 111 sink <"$DIR/cut"
    log_has "was cut inside a frame"
}

@test "end inside a transaction: what was complete is flushed and reported, the rest is thrown away" {
    table t "id Int32, v String" id
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "t", [col("id", True, INT4), col("v")])
e.begin(); e.insert(1, ["1", "a"]); e.insert(1, ["2", "b"]); e.commit()
e.begin(); e.update(1, ["1", "open"]); e.delete(1, key=["2", None]); e.insert(1, ["3", "open"]); e.end()
EOF
    sink <"$DIR/in"
    is "SELECT id, v, _is_deleted FROM t FINAL ORDER BY id" "1 a 0
2 b 0"
    reached_is 2028
}

@test "a lost event is noticed, nothing of its transaction is acknowledged (trap 159)" {
    table t "id Int32, v String" id
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "t", [col("id", True, INT4), col("v")])
e.begin(); e.insert(1, ["1", "a"]); e.commit(events=2); e.end()
EOF
    exits 101 sink <"$DIR/in"
    log_has "2 changes for this worker, 1 came"
    reached_is 0
}

@test "junk on the input is refused" {
    local i
    # a length beyond every frame's: another random one might only say that more must follow
    { printf '\xff'; head -c 3000 /dev/urandom; } >"$DIR/junk"
    exits 100 sink <"$DIR/junk"
    small >"$DIR/in"
    table t "id Int32, v String" id
    for bytes in '\xc1' '\x92\x13\x01' '\x91\x63' '\x95\x13\x00\x09\x01\x90' '\x94\x10\x01\xa1x\xa1y'; do
        { head -c $(($(stat -c %s "$DIR/in") - 12)) "$DIR/in"
            printf "\\x00\\x00\\x00\\x$(printf '%02x' "$(printf "$bytes" | wc -c)")$bytes"; } >"$DIR/bad"
        local code=0
        sink <"$DIR/bad" || code=$?
        [ "$code" = 100 ] || [ "$code" = 101 ]
    done
    reached_is 0
}

@test "one row, then silence: it is there within the flush interval; an idle stream acknowledges watermarks (traps 165, 166)" {
    table t "id Int32, v String" id
    small >"$DIR/in"
    mkfifo "$DIR/fifo"
    sink --flush-interval 200ms <"$DIR/fifo" &
    local pid=$!
    exec 7>"$DIR/fifo"
    head -c -12 "$DIR/in" | cat >&7
    wait_until 5 is "SELECT count() FROM t" 1
    wait_until 5 reached_is 2028
    /usr/bin/python3 -c 'from stream import *; out(watermark(0x9000))' >&7
    wait_until 5 reached_is 9000
    /usr/bin/python3 -c 'from stream import *; out(*[watermark(0x9000 + n) for n in range(1, 2000)])' >&7
    wait_until 5 reached_is 97cf
    [ "$(grep -c '"reached"' "$DIR/acks")" -lt 12 ]
    /usr/bin/python3 -c 'from stream import *; out(end())' >&7
    exec 7>&-
    wait "$pid"
}

@test "a large transaction is sent in pieces, its predecessors are acknowledged; ackd hears of it only after its commit" {
    table t "id Int32, v String" id
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "t", [col("id", True, INT4), col("v")])
e.begin(); e.insert(1, ["-1", "before"]); e.commit(); e.begin()
for i in range(1000): e.insert(1, [str(i), "v"])
EOF
    mkfifo "$DIR/fifo"
    sink --batch-rows 100 --flush-interval 10min <"$DIR/fifo" &
    local pid=$!
    exec 7>"$DIR/fifo"
    cat "$DIR/in" >&7
    wait_until 5 is "SELECT count() FROM t" 1000
    reached_is 2028
    /usr/bin/python3 -c 'from stream import *; out(commit(0x2100, 0x2128, 1000), end())' >&7
    exec 7>&-
    wait "$pid"
    reached_is 2128
    is "SELECT count() FROM t" 1001
}

@test "two workers and barriers: the applier goes first" {
    table t "id Int32, v String" id
    table u "id Int32, v String" id
    for shard in 0 1; do
        events >"$DIR/in$shard" <<EOF
e = Events(sink="olap", shard=$shard, shards=2)
e.table(1, "public", "t", [col("id", True, INT4), col("v")])
e.table(2, "public", "u", [col("id", True, INT4), col("v")])
e.begin()
for i in range(100): e.insert(1, [str(2 * i + $shard), "a"]); e.insert(2, [str(2 * i + $shard), "a"])
e.add(barrier(1, 1))
if $shard == 1: e.truncate([1, 2])
e.insert(1, [str(1000 + $shard), "b"])
e.add(barrier(2, 0))
if $shard == 0: e.update(1, ["2001", "b"], key=["1001", None])
e.commit(); e.end()
EOF
    done
    sink <"$DIR/in0" &
    local pid=$!
    sink <"$DIR/in1"
    wait "$pid"
    is "SELECT id, v FROM t FINAL WHERE _is_deleted = 0 ORDER BY id" "1000 b
2001 b"
    is "SELECT count() FROM u" 0
    [ "$(grep -c '"finished"' "$DIR/acks")" = 2 ]
    [ "$(jq -r 'select(.message == "barrier_done").id' "$DIR/acks" | tr '\n' ' ')" = "1 2 " ]
}
