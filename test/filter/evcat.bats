#!/usr/bin/env bats
# evcat alone: either stream as JSON lines. What it shows of real event streams is compared with
# golden files in pgout-decode.bats.

setup() {
    . "$BATS_TEST_DIRNAME/../lib/servers.bash"
    . "$BATS_TEST_DIRNAME/filters.bash"
    evcat=$WALPIPE_BIN/evcat
}

teardown() {
    servers_end
}

@test "a wal stream: frames in order, messages as hex, valid JSON" {
    in=$(golden main.wal)
    try "$evcat"
    [ "$status" -eq 0 ]
    jq -s . <"$T/out" >"$T/json"
    expect '.[0] | .type == "hello" and .stream == "wal" and .program == "pg-wal-read" and .publications == ["p_main"]'
    expect 'last == {"type": "end", "reason": "drain"}'
    expect 'map(.type) | unique == ["end", "hello", "keepalive", "wal"]'
    expect 'map(select(.type == "wal")) | all((.message | length) == 2 * .bytes)'
    expect '[.[] | select(.tag) | .tag] | unique == ["B", "C", "D", "I", "M", "O", "R", "T", "U", "Y"]'
}

@test "every member of every event" {
    build <<'PY'
e = Events(sink="dst", shard=1, shards=2, publications=["a", 'b"'])
e.table(1, "s", "t", [col("id", key=True), ("v", False, 99, 5, "x", "enum"), col("w")])
e.add(tableinfo(1, "s", "t", [attribute(1, "id", not_null=True), attribute(3, "v", 99, 5, False, True, "a,b")], primary=[3, 1], lsn=0x20))
e.add(begin(0x16B374D848, time=1, xid=7)).add(origin(5, "up"))
e.add(insert(1, 1, ["1", None, UNCHANGED], 255)).add(update(1, 2, ["2", b"\x00\xff", ""], key=["1", None, None], key_hash=1, old_key_hash=2))
e.add(update(1, 3, ["2", "v", "w"], key_hash=1)).add(delete(1, 4, old=["2", None, "w"])).add(truncate(5, [1, 2], 2))
e.add(message(6, "p", b"\x01")).add(barrier(8, 1)).add(commit(0x16B374D848, 0x16B374D870, 5, time=-1)).watermark(9).end("why")
out(e)
PY
    try "$evcat"
    [ "$status" -eq 0 ]
    diff - "$T/out" <<'JSON'
{"type":"hello","stream":"event","version":1,"program":"test","run_id":"000102030405060708090a0b0c0d0e0f","system_identifier":"7000000000000000001","timeline":1,"database":"postgres","slot":"s","publications":["a","b\""],"server_version":150020,"proto_version":1,"start_lsn":"0/1000","sink":"dst","shard":1,"shards":2}
{"type":"layout","text":"shards 2\u000ashard_key key\u000a"}
{"type":"relation","relid":1,"schema":"s","name":"t","replica_identity":"d","columns":[{"name":"id","key":true,"type_oid":25,"typmod":-1},{"name":"v","key":false,"type_oid":99,"typmod":5,"type_schema":"x","type_name":"enum"},{"name":"w","key":false,"type_oid":25,"typmod":-1}]}
{"type":"tableinfo","relid":1,"lsn":"0/20","replica_identity":"d","schema":"s","name":"t","primary_key":[3,1],"identity_key":[3,1],"columns":[{"attnum":1,"name":"id","type_oid":25,"typmod":-1,"not_null":true,"has_default":false},{"attnum":3,"name":"v","type_oid":99,"typmod":5,"not_null":false,"has_default":true,"missing":"a,b"}]}
{"type":"begin","commit_lsn":"16/B374D848","commit_time":"2000-01-01T00:00:00.000001Z","xid":7}
{"type":"origin","origin_lsn":"0/5","name":"up"}
{"type":"insert","relation":"s.t","ordinal":1,"key_hash":"00000000000000ff","new":{"id":"1","v":null,"w":{"unchanged":true}}}
{"type":"update","relation":"s.t","ordinal":2,"key_hash":"0000000000000001","old_key_hash":"0000000000000002","old_key":{"id":"1"},"new":{"id":"2","v":{"binary":"00ff"},"w":""}}
{"type":"update","relation":"s.t","ordinal":3,"key_hash":"0000000000000001","new":{"id":"2","v":"v","w":"w"}}
{"type":"delete","relation":"s.t","ordinal":4,"key_hash":"0000000000000000","old":{"id":"2","v":null,"w":"w"}}
{"type":"truncate","ordinal":5,"cascade":false,"restart_identity":true,"relations":["s.t",2]}
{"type":"message","transactional":true,"lsn":"0/6","prefix":"p","content":"01"}
{"type":"barrier","id":8,"applier":1}
{"type":"commit","commit_lsn":"16/B374D848","end_lsn":"16/B374D870","commit_time":"1999-12-31T23:59:59.999999Z","events":5}
{"type":"watermark","lsn":"0/9"}
{"type":"end","reason":"why"}
JSON
}

@test "every member of every frame that brings rows which exist already" {
    build <<'PY'
cols = [col("id", key=True), ("v", False, 99, 5, "x", "enum")]
out(hello(version=2), copytable(3, 1, "s", "t", cols, part=9, rows=7, bytes_=8192, definition="0f", sinks=["dst", "olap"]))
out(horizon(700, 1 << 63, [700, (1 << 63) - 1]), range_(3, 4, 1, "s", "t", cols, from_=(512, 1), file=5,
    snapshot=(8, 9, [8]), mark=0x16B374D848, floor=0x20, sinks=["dst"]))
out(rows(3, 4, [["1", None], ["2", b"\x00\xff"]], [255, 1]), absent(3, 4, [["5", None]], [7]), rows(3, 4, []))
out(range_end(3, 4, 2, (1024, 0)), range_end(3, 5, 0), rows(3, 5, [["x"]]))
out(relation(1, "s", "t", cols), begin(1), barrier(1, 0), touched(1, 6, ["1", None]), touched(2, 7), commit(1, 2, 0))
out(table_end(3, "a"), end())
PY
    try "$evcat"
    [ "$status" -eq 0 ]
    grep -vE '^{"type":"(hello|relation|begin|commit|barrier|end)"' "$T/out" >"$T/shown"
    diff - "$T/shown" <<'JSON'
{"type":"table","life":3,"part":9,"rows":7,"bytes":8192,"definition":"0f","sinks":["dst","olap"],"relid":1,"schema":"s","name":"t","replica_identity":"d","columns":[{"name":"id","key":true,"type_oid":25,"typmod":-1},{"name":"v","key":false,"type_oid":99,"typmod":5,"type_schema":"x","type_name":"enum"}]}
{"type":"horizon","snapshot":"700:9223372036854775808:700,9223372036854775807"}
{"type":"range","life":3,"number":4,"kind":"b","from":"(512,1)","file":5,"snapshot":"8:9:8","mark":"16/B374D848","floor":"0/20","sinks":["dst"],"relid":1,"schema":"s","name":"t","replica_identity":"d","columns":[{"name":"id","key":true,"type_oid":25,"typmod":-1},{"name":"v","key":false,"type_oid":99,"typmod":5,"type_schema":"x","type_name":"enum"}]}
{"type":"rows","life":3,"number":4,"rows":[{"id":"1","v":null},{"id":"2","v":{"binary":"00ff"}}],"key_hashes":["00000000000000ff","0000000000000001"]}
{"type":"absent","life":3,"number":4,"rows":[{"id":"5"}],"key_hashes":["0000000000000007"]}
{"type":"rows","life":3,"number":4,"rows":[]}
{"type":"range end","life":3,"number":4,"to":"(1024,0)","rows":2}
{"type":"range end","life":3,"number":5,"to":null,"rows":0}
{"type":"rows","life":3,"number":5,"rows":[["x"]]}
{"type":"touched","relation":"s.t","ordinal":6,"key":{"id":"1"}}
{"type":"touched","relation":2,"ordinal":7,"key":null}
{"type":"table end","life":3,"kind":"a"}
JSON
    head -n 1 "$T/out" >"$T/json"
    expect '.version == 2'
}

@test "any bytes in names and values make valid JSON" {
    build <<'PY'
nasty = '"\\\n\t\x01\x7f\u2028\U0001f600\ud800'.encode("utf-8", "surrogatepass")
bad = [bytes([n]) for n in range(256)] + [b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", nasty]
text = lambda b: b.decode("utf-8", "surrogateescape")
e = Events().table(1, text(nasty), text(nasty), [col(text(nasty), key=True), col("é")])
e.begin()
for b in bad:
    e.insert(1, [text(b), text(b"a" + b + b"b")])
out(e.commit().end())
PY
    try "$evcat"
    [ "$status" -eq 0 ]
    jq -s . <"$T/out" >"$T/json"
    expect 'length == 268'
    expect '[.[] | select(.type == "insert") | .new["é"]] | .[0] == "a\u0000b" and .[34] == "a\"b" and
        .[127] == "a\u007fb" and .[128] == "a\ufffdb" and .[255] == "a\ufffdb" and all(startswith("a") and endswith("b"))'
}

@test "rows of a table that was not announced are shown by position" {
    build <<'PY'
out(hello(), begin(1), insert(7, 1, ["x", None]), commit(1, 2, 1), end())
PY
    try "$evcat"
    [ "$status" -eq 0 ]
    jq -s . <"$T/out" >"$T/json"
    expect '.[2] | .relation == 7 and .new == ["x", null]'
}

@test "times at the ends of their range do not stop it" {
    build <<'PY'
out(hello())
for t in 0x7fffffffffffffff, -0x8000000000000000, 0, 252455615999999999:
    out(begin(1, time=t), commit(1, 2, 0))
out(end())
PY
    try "$evcat"
    [ "$status" -eq 0 ]
    jq -s . <"$T/out" >"$T/json"
    expect 'map(select(.type == "begin").commit_time) | length == 4 and .[2] == "2000-01-01T00:00:00.000000Z" and
        .[3] == "9999-12-31T23:59:59.999999Z"'
}

@test "a stream that is cut: exit 111, and what came before is shown" {
    "$WALPIPE_BIN/pgout-decode" <"$(golden root.wal)" >"$T/whole"
    "$evcat" <"$T/whole" >"$T/shown"
    size=$(stat -c %s "$T/whole")
    in=$T/cut
    for at in $(seq 1 67 "$size") $((size - 1)); do
        head -c "$at" "$T/whole" >"$in"
        try "$evcat"
        one_error 111 "stream" "its own log says why"
        head -n "$(wc -l <"$T/out")" "$T/shown" | cmp - "$T/out"
    done
}

@test "what is no stream of walpipe's is exit 100" {
    while IFS='|' read -r text bytes; do
        build <<PY
out($bytes)
PY
        try "$evcat"
        one_error 100 "$text" || {
            echo "bytes: $bytes"
            return 1
        }
    done <<'CASES'
is not a walpipe stream|b"{\"json\": true}"
hello|end()
the input is the ack stream|hello(stream="ack")
stream format version 9, this program reads 2|hello(version=9)
unknown frame type 37 in the event stream|hello() + horizon(1, 1)
unknown frame type 40 in the event stream|hello(version=2) + frame(40)
malformed frame of type 34|hello(version=2) + rows(1, 1, [["a"]])[:-1] + b"\xc0"
malformed frame of type 34|hello(version=2) + frame(34, 1, 1, 2, b"\x91\xa1x\x91", b"")
malformed table event|hello(version=2) + frame(32, 1)
unknown frame type 1 in the event stream|hello() + wal(b"B")
unknown frame type 17 in the wal stream|hello("wal") + begin(1)
malformed frame of type 17|hello() + frame(17)
malformed frame of type 19|hello() + insert(1, 1, [1])
malformed frame of type 21|hello() + frame(21, 1, 1, 1, None, None)
malformed relation|hello() + relation(1, "s", "t", [("a", True, 25, 1 << 31, "", "")])
malformed truncate|hello() + truncate(1, [])
a frame of type 25 follows the end frame|hello() + end() + watermark(1)
CASES
}

@test "it shows what came when the input pauses" {
    mkfifo "$T/in.fifo"
    "$evcat" <"$T/in.fifo" >"$T/out" 3>&- &
    shower=$!
    exec 5>"$T/in.fifo"
    build <<'PY'
out(hello(), begin(1))
PY
    cat "$in" >&5
    two_lines() { [ "$(wc -l <"$T/out")" -eq 2 ]; }
    wait_until 5 two_lines
    build <<'PY'
out(end())
PY
    cat "$in" >&5
    exec 5>&-
    wait "$shower"
}

@test "a reader that has seen enough is no failure" {
    "$WALPIPE_BIN/pgout-decode" <"$(golden wide.wal)" >"$T/events"
    (
        status=0
        "$evcat" <"$T/events" 2>"$T/err" || status=$?
        echo "$status" >"$T/status"
    ) 3>&- | head -c 10 >/dev/null
    wait_until 5 test -s "$T/status"
    [ "$(cat "$T/status")" = 0 ]
    [ ! -s "$T/err" ]
    in=$T/events
    try bash -c "'$evcat' >/dev/full"
    one_error 111 "could not write the output"
}

@test "--help and --version work, wrong usage is exit 100" {
    try "$evcat" --help
    [ "$status" -eq 0 ]
    grep -q -- --in "$T/out"
    try "$evcat" --version
    [ "$status" -eq 0 ]
    try "$evcat" --out x
    one_error 100 "--out"
    try "$evcat" file
    one_error 100 'unexpected argument "file"'
}

@test "an input that somebody else made non-blocking is waited for, not spun on" {
    /usr/bin/python3 - "$evcat" <<'PY'
import os, resource, subprocess, sys, time
read, write = os.pipe()
os.set_blocking(read, False)
child = subprocess.Popen([sys.argv[1]], stdin=read, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
time.sleep(1)
os.close(read), os.close(write)
assert child.wait() == 111
used = resource.getrusage(resource.RUSAGE_CHILDREN)
assert used.ru_utime + used.ru_stime < 0.5, used
PY
}
