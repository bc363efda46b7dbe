#!/usr/bin/env bats
# pgout-decode alone: captured wal streams in, event streams out; hand-made ones to break it.
#
# Golden files: test/golden/NAME.wal are captures of a real server (test/golden/capture makes them
# anew); NAME.json is what evcat shows of their decoding. After a change of the formats:
#
#   UPDATE_GOLDEN=1 bats test/filter/pgout-decode.bats     and read the diff

setup_file() {
    . "$BATS_TEST_DIRNAME/../lib/servers.bash"
    pg_new src max_prepared_transactions=5 logical_decoding_work_mem=64kB
}

setup() {
    . "$BATS_TEST_DIRNAME/../lib/servers.bash"
    . "$BATS_TEST_DIRNAME/filters.bash"
    decode=$WALPIPE_BIN/pgout-decode
}

teardown_file() {
    . "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

check_golden() {
    in=$(golden "$1.wal")
    try "$decode"
    [ "$status" -eq 0 ]
    [ ! -s "$T/err" ]
    "$decode" <"$in" | cmp - "$T/out"
    "$WALPIPE_BIN/evcat" <"$T/out" >"$T/shown"
    jq -e . <"$T/shown" >"$T/parsed"
    [ "$(jq -s length "$T/shown")" -eq "$(wc -l <"$T/shown")" ]
    [ -z "${UPDATE_GOLDEN:-}" ] || cp "$T/shown" "$(golden "$1.json")"
    diff "$(golden "$1.json")" "$T/shown"
}

# ---- real captures ----

@test "golden: every message of protocol 1, values as text (traps 37, 39, 58, 60, 61)" {
    check_golden main
}

@test "golden: values in binary format" {
    check_golden binary
}

@test "golden: partitions through their root" {
    check_golden root
}

# the bug was that two databases which replicate to each other sent every change round for ever
@test "--origin none: what came by replication is dropped, its table and its position are not" {
    build <<'PY'
w = Wal()
t, u = pg_relation(1, "s", "t", [("id", True, 23, -1)]), pg_relation(2, "s", "u", [("id", True, 23, -1)])
w.add(pg_begin(0x2000), t, pg_insert(1, ["1"]), pg_commit(0x2000, 0x2028))
w.add(pg_begin(0x3000), pg_origin(0, "other"), u, pg_insert(1, ["2"]), pg_update(1, ["2"]),
      pg_delete(1, key=["2"]), pg_truncate([1]), pg_message(0x2900, "p", b"m"), pg_insert(2, ["3"]),
      pg_commit(0x3000, 0x3028))
w.add(pg_begin(0x4000), pg_insert(2, ["4"]), pg_commit(0x4000, 0x4028)).end()
out(w)
PY
    try "$decode" --origin none
    [ "$status" -eq 0 ]
    shown
    expect 'map(.type) == ["hello", "begin", "relation", "insert", "commit",
        "begin", "origin", "relation", "commit", "begin", "insert", "commit", "end"]'
    expect 'map(select(.type == "commit").events) == [1, 0, 1]'
    expect 'map(select(.type == "commit").end_lsn) == ["0/2028", "0/3028", "0/4028"]'
    expect 'map(select(.new).new.id) == ["1", "4"]'
    for option in "--origin any" ""; do
        # shellcheck disable=SC2086 # words
        try "$decode" $option
        [ "$status" -eq 0 ]
        shown
        expect 'map(select(.type == "commit").events) == [1, 5, 1]'
    done
    try "$decode" --origin local
    [ "$status" -eq 100 ]
}

@test "a table of 1,600 columns, and one with none" {
    in=$(golden wide.wal)
    try "$decode"
    [ "$status" -eq 0 ]
    shown
    expect 'map(select(.type == "relation") | (.columns | length)) == [1600, 0]'
    expect 'map(select(.type == "insert") | .new)[0] | .c1600 == "t" and .c1599 == null and .id == "1"'
    expect 'map(select(.type == "insert") | .new)[1] == {}'
}

@test "key hashes are those of events(7), computed a second time in Python" {
    for name in main binary root wide; do
        "$decode" <"$(golden $name.wal)" >"$T/$name"
    done
    build "$T/report" <<PY
tables, checked = {}, 0
for name in "main", "binary", "root", "wide":
    for e in read_frames(open("$T/" + name, "rb")):
        if e[0] == 16:
            tables[e[1]] = (e[5], e[2])
        if e[0] not in (19, 20, 21):
            continue
        columns, identity = tables[e[2]]
        if e[0] == 19:
            want = [(1, e[4], None)]
        elif e[0] == 20:
            want = [(1, e[7], e[6]), (4, e[7] if e[5] is None else e[6], None)]
        else:
            want = [(1, e[5], None)]
        for element, row, old in want:
            assert e[element] == key_hash(e[2], columns, row, identity, old), (name, e)
            checked += 1
print(checked)
PY
    [ "$(cat "$T/report")" -gt 100 ]
}

@test "rows with the same key have one hash, whatever the value's spelling (numeric 1.0 and 1.00)" {
    "$decode" <"$(golden main.wal)" | "$WALPIPE_BIN/evcat" | jq -s . >"$T/json"
    expect '[.[] | select(.relation == "s.num_key") | .key_hash] | length == 4 and (unique | length) == 1'
    expect '[.[] | select(.relation == "s.nokey" and .type == "insert") | .key_hash] | length == 3 and (unique | length) == 1'
}

@test "trap 38: transactions in commit order though their LSNs are not" {
    "$decode" <"$(golden main.wal)" | "$WALPIPE_BIN/evcat" | jq -s . >"$T/json"
    expect '[.[] | select(.type == "insert" and .relation == "s.plain") | .new.v] |
        index("second session") < index("first session")'
    # the capture has it: the first session's row stands before the other transaction in the WAL
    "$WALPIPE_BIN/evcat" <"$(golden main.wal)" | jq -s '[.[] | select(.tag == "I") | .start_lsn]' >"$T/json"
    expect '. != sort'
}

@test "trap 49: unchanged TOAST in an insert that a row filter made is not NULL" {
    "$decode" <"$(golden main.wal)" | "$WALPIPE_BIN/evcat" | jq -s . >"$T/json"
    expect '[.[] | select(.relation == "s.filtered")][0] |
        .type == "insert" and .new.id == "20" and .new.big == {"unchanged": true}'
}

@test "trap 50: a TOASTed key comes with the old row and keeps its hash" {
    "$decode" <"$(golden main.wal)" | "$WALPIPE_BIN/evcat" | jq -s . >"$T/json"
    expect '[.[] | select(.relation == "s.toast_k")] | (map(.key_hash) | unique | length) == 1 and
        .[1].type == "update" and .[1].new.k == {"unchanged": true} and
        (.[1].old_key.k | length) == 2500 and (.[1] | has("old_key_hash") | not)'
}

# ---- watermarks ----

@test "trap 10: a keepalive inside a transaction is held until its commit" {
    build <<'PY'
w = Wal()
w.add(pg_relation(1, "s", "t", [col("id", key=True)]))
w.add(pg_begin(0x2000)); w.keepalive(0x3000); w.keepalive(0x3100)
w.add(pg_insert(1, ["1"]), pg_commit(0x2000, 0x2028)); w.end()
out(w)
PY
    try "$decode"
    [ "$status" -eq 0 ]
    shown
    expect 'map(.type) == ["hello","relation","begin","insert","commit","watermark","end"]'
    expect '.[5].lsn == "0/3100"'
}

@test "trap 10: a held keepalive is not written when the stream ends inside the transaction" {
    build <<'PY'
w = Wal()
w.add(pg_begin(0x2000)); w.keepalive(0x3000); w.end()
out(w)
PY
    try "$decode"
    [ "$status" -eq 0 ]
    shown
    expect 'map(.type) == ["hello","begin","end"]'
}

@test "a held keepalive is dropped by the next transaction's begin and by an older commit" {
    build <<'PY'
w = Wal()
w.add(pg_begin(0x2000)); w.keepalive(0x1800); w.add(pg_commit(0x2000, 0x2028))
w.add(pg_begin(0x2100)); w.add(pg_commit(0x2100, 0x2128)); w.end()
out(w)
PY
    try "$decode"
    shown
    expect 'map(.type) == ["hello","begin","commit","begin","commit","end"]'
}

@test "watermarks never go back: keepalives at or below what was written are ignored" {
    build <<'PY'
w = Wal()
w.keepalive(0x2000); w.keepalive(0x2000); w.keepalive(0x1000); w.keepalive(0)
w.add(pg_begin(0x3000), pg_commit(0x3000, 0x3028)); w.keepalive(0x3028); w.keepalive(0x3027)
w.keepalive(0x3029); w.end()
out(w)
PY
    try "$decode"
    [ "$status" -eq 0 ]
    shown
    expect 'map(select(.type == "watermark").lsn) == ["0/2000", "0/3029"]'
}

@test "trap 37: zero LSNs of the wal frames move no position" {
    build "$T/zero" <<'PY'
w = Wal()
w.add(pg_relation(1, "s", "t", [col("id", key=True)]), start=0, end=0)
w.keepalive(0x1500)
w.add(pg_begin(0x2000), start=0, end=0)
w.add(pg_insert(1, ["1"]), start=0x9000, end=0)
w.add(pg_commit(0x2000, 0x2028), start=0, end=0).end()
out(w)
PY
    try "$decode"
    [ "$status" -eq 0 ]
    cp "$T/out" "$T/first"
    build "$T/full" <<'PY'
w = Wal()
w.add(pg_relation(1, "s", "t", [col("id", key=True)]), start=0x1400, end=0x1400)
w.keepalive(0x1500)
w.add(pg_begin(0x2000), start=0x1f00, end=0x1f00)
w.add(pg_insert(1, ["1"]), start=0x1f00, end=0x1f00)
w.add(pg_commit(0x2000, 0x2028), start=0x2000, end=0x2028).end()
out(w)
PY
    try "$decode"
    cmp "$T/out" "$T/first"
}

@test "trap 157: the highest LSNs and times keep all their bits" {
    build <<'PY'
top = 0xffffffffffffffff
w = Wal(start_lsn=top, system_identifier=top)
w.add(pg_begin(top - 1, time=-1, xid=0xffffffff), pg_origin(top, "o"))
w.add(pg_commit(top - 1, top, time=-1), start=top, end=top).end()
out(w)
PY
    try "$decode"
    [ "$status" -eq 0 ]
    /usr/bin/python3 "$WALPIPE_ROOT/test/lib/stream.py" json <"$T/out" >"$T/frames"
    # jq's numbers are doubles: compare the text
    grep -q '"begin", "elements": \[18446744073709551614, -1, 4294967295\]' "$T/frames"
    grep -q '"origin", "elements": \[18446744073709551615, "o"\]' "$T/frames"
    grep -q '"commit", "elements": \[18446744073709551614, 18446744073709551615, -1, 0\]' "$T/frames"
    shown
    expect '.[0].start_lsn == "FFFFFFFF/FFFFFFFF" and .[0].system_identifier == "18446744073709551615"'
}

@test "trap 156: bytes that are no UTF-8 pass as they came" {
    build <<'PY'
w = Wal()
w.add(pg_relation(1, b"s\xff", "t", [col("id", key=True)]), pg_begin(0x2000))
w.add(pg_insert(1, ["a\udcff\udc80b"]), pg_commit(0x2000, 0x2028)).end()
out(w)
PY
    try "$decode"
    [ "$status" -eq 0 ]
    LC_ALL=C grep -qaP 'a\xff\x80b' "$T/out"
    shown
    expect 'map(select(.type == "insert"))[0].new.id == "a\ufffd\ufffdb"'
}

# ---- malformed input ----

@test "a stream cut anywhere is exit 111 and one line; what is not whole is not written" {
    file=$(golden main.wal)
    size=$(stat -c %s "$file")
    in=$T/cut
    for at in $(seq 0 7) $(seq 9 37 "$size" | shuf -n 60 --random-source="$file") $((size - 1)); do
        head -c "$at" "$file" >"$in"
        try "$decode"
        one_error 111 "the wal stream" "its own log says why" || {
            echo "cut at $at"
            return 1
        }
    done
}

# Each kind of message with a byte missing at its end, with a byte too much, and whole.
@test "trap 71: every message with one byte missing or one too much is refused by name and LSN" {
    for kind in Begin Commit Origin Relation Type Insert Update Delete Truncate Message; do
        for change in 'm[:-1]' 'm + b"\0"' m; do
            build <<PY
messages = {
    "Begin": pg_begin(0x2000), "Commit": pg_commit(0x2000, 0x2028), "Origin": pg_origin(1, "o"),
    "Relation": pg_relation(2, "s", "u", [col("id", key=True)]), "Type": pg_type(9, "s", "ty"),
    "Insert": pg_insert(1, ["1"]), "Update": pg_update(1, ["1"], key=["2"]),
    "Delete": pg_delete(1, key=["1"]), "Truncate": pg_truncate([1]),
    "Message": pg_message(0x1f00, "p", b"c")}
w = Wal().add(pg_relation(1, "s", "t", [col("id", key=True)]), pg_type(8, "s", "x"))
if "$kind" != "Begin":
    w.add(pg_begin(0x2000))
m = messages["$kind"]
w.add($change, start=0x1234).end()
out(w)
PY
            try "$decode"
            if [ "$change" = m ]; then
                [ "$status" -eq 0 ]
            else
                one_error 100 "cannot decode pgoutput message $kind ("
                jq -e '.lsn == "0/1234"' "$T/err" >/dev/null
            fi
        done
    done
}

@test "trap 71: lengths and counts that lie are refused" {
    for message in \
        'pg_insert(1, ["1"])[:6] + b"\xff\xff" + b"n"' \
        'pg_insert(1, ["1"])[:8] + b"t\xff\xff\xff\xff1"' \
        'pg_insert(1, ["1"])[:8] + b"t\x00\x00\x00\x021"' \
        'pg_insert(1, ["1"])[:8] + b"x\x00\x00\x00\x011"' \
        'pg_insert(1, ["1"])[:5] + b"K" + pg_insert(1, ["1"])[6:]' \
        'pg_relation(1, "s", "t", [col("id")])[:-15] + b"\xff\xff"' \
        'pg_relation(1, "s", "t", [col("id")], identity="x")' \
        'pg_relation(1, "s", "t", [col("c")] * 1665)' \
        'pg_relation(1, "s", "t", [("id", 2, 25, -1)]).replace(b"\x01id", b"\x02id")' \
        'pg_truncate([1], flags=4)' \
        'pg_truncate([])' \
        'pg_truncate([1])[:1] + b"\xff\xff\xff\xff" + pg_truncate([1])[5:]' \
        'pg_commit(0x2000, 0x2028, flags=1)' \
        'pg_message(1, "p", b"c")[:-5] + b"\xff\xff\xff\xffc"' \
        'b"M\x02" + pg_message(1, "p", b"c")[2:]' \
        'pg_delete(1, key=["1"])[:5] + b"N" + pg_delete(1, key=["1"])[6:]' \
        'pg_update(1, ["1"], key=["1"])[:-8] + b"O" + pg_update(1, ["1"])[6:]'; do
        build <<PY
w = Wal().add(pg_relation(1, "s", "t", [col("id", key=True)]), pg_begin(0x2000))
out(w.add($message, start=0x1234).end())
PY
        try "$decode"
        one_error 100 "cannot decode pgoutput message" || {
            echo "message: $message"
            return 1
        }
    done
}

@test "a message that does not fit its place is refused" {
    while IFS='|' read -r text messages; do
        build <<PY
w = Wal().add(pg_relation(1, "s", "t", [col("id", key=True), col("v")]))
w.keepalive(0x1800)
begin, insert, commit = pg_begin(0x2000), pg_insert(1, ["1", "a"]), pg_commit(0x2000, 0x2028)
out(w.add($messages, start=0x1234).end())
PY
        try "$decode"
        one_error 100 "$text" || {
            echo "messages: $messages"
            return 1
        }
    done <<'CASES'
Insert ('I'): outside of a transaction|insert
Update ('U'): outside of a transaction|pg_update(1, ["1", "a"])
Delete ('D'): outside of a transaction|pg_delete(1, key=["1", None])
Truncate ('T'): outside of a transaction|pg_truncate([1])
Origin ('O'): outside of a transaction|pg_origin(1, "o")
Message ('M'): transactional, but outside of a transaction|pg_message(1, "p", b"")
Begin ('B'): the transaction before has not ended|begin, begin
Commit ('C'): its Begin did not come|commit
Commit ('C'): its Begin did not come|begin, commit, commit
Commit ('C'): its Begin did not come|begin, pg_commit(0x2001, 0x2028)
Commit ('C'): its end LSN goes back|begin, pg_commit(0x2000, 0x2000)
Commit ('C'): its end LSN goes back|pg_begin(0x1000), pg_commit(0x1000, 0x1028)
Insert ('I'): no Relation message announced table oid 2|begin, pg_insert(2, ["1"])
Insert ('I'): it does not have the 2 columns of table oid 1|begin, pg_insert(1, ["1"])
Insert ('I'): it does not have the 2 columns of table oid 1|begin, pg_insert(1, ["1", "2", "3"])
Update ('U'): it does not have the 2 columns of table oid 1|begin, pg_update(1, ["1", "2"], key=["1"])
Delete ('D'): it does not have the 2 columns of table oid 1|begin, pg_delete(1, key=["1"])
Truncate ('T'): it names a table that was not announced|begin, pg_truncate([1, 2])
Insert ('I'): a key column of table oid 1 has no value|begin, pg_insert(1, [UNCHANGED, "a"])
Update ('U'): a key column of table oid 1 has no value|begin, pg_update(1, [UNCHANGED, "a"])
Delete ('D'): a key column of table oid 1 has no value|begin, pg_delete(1, key=[UNCHANGED, None])
unknown pgoutput message type 0x7a|b"z"
unknown pgoutput message type 0x00|b"\0"
empty pgoutput message|b""
CASES
}

@test "trap 33: messages of protocols 2 and 3 are refused by name, with what to do" {
    while IFS='|' read -r name version hint message; do
        build <<PY
out(Wal().add($message, start=0x1234).end())
PY
        try "$decode"
        one_error 100 "cannot decode pgoutput message $name of protocol version $version" "$hint"
        jq -e '.lsn == "0/1234"' "$T/err" >/dev/null
    done <<'CASES'
Stream Start ('S')|2|without streaming|pg_stream_start(700)
Stream Stop ('E')|2|without streaming|pg_stream_stop()
Stream Commit ('c')|2|without streaming|pg_stream_commit(700, 1, 2)
Stream Abort ('A')|2|without streaming|pg_stream_abort(700, 701)
Begin Prepare ('b')|3|two_phase|b"b" + bytes(28) + b"gid\0"
Prepare ('P')|3|two_phase|b"P" + bytes(29) + b"gid\0"
Commit Prepared ('K')|3|two_phase|b"K" + bytes(29) + b"gid\0"
Rollback Prepared ('r')|3|two_phase|b"r" + bytes(37) + b"gid\0"
Stream Prepare ('p')|3|two_phase|b"p" + bytes(29) + b"gid\0"
CASES
}

@test "what is no wal stream is refused before anything is written" {
    while IFS='|' read -r code text bytes; do
        build <<PY
out($bytes)
PY
        try "$decode"
        [ ! -s "$T/out" ]
        one_error "$code" "$text" || {
            echo "bytes: $bytes"
            return 1
        }
    done <<'CASES'
111|is empty|b""
111|was cut inside a frame|b"\0\0"
100|is not a walpipe stream: frame length 0 |b"\0\0\0\0"
100|is not a walpipe stream: frame length 1073807361 |b"\x40\x01\x00\x01"
100|is not a walpipe stream|b"HTTP/1.1 200 OK\r\n"
111|was cut inside a frame|b"\x40\x01\x00\x00"
100|does not begin with walpipe's hello|keepalive(1)
100|does not begin with walpipe's hello|hello("wal", magic="walpipo")
100|does not begin with walpipe's hello|frame(0)
100|does not begin with walpipe's hello|b"\0\0\0\1\xc0"
100|stream format version 2, this program reads 1|hello("wal", version=2)
100|the input is the event stream|hello("event")
100|malformed hello|hello("wal", run_id=bytes(15))
100|malformed hello|hello("wal", slot="s" * 64)
100|malformed hello|hello("wal", publications=["p"] * 65)
100|malformed hello|hello("wal", database="a\0b")
100|malformed hello|hello("wal", start_lsn=-1)
100|malformed hello|hello("wal", shard=1 << 32)
CASES
}

@test "frames that are malformed, unknown or behind the end are refused" {
    while IFS='|' read -r text bytes; do
        build <<PY
out(hello("wal"), $bytes)
PY
        try "$decode"
        one_error 100 "$text" || {
            echo "bytes: $bytes"
            return 1
        }
    done <<'CASES'
malformed frame|b"\0\0\0\1\xc0"
malformed frame|b"\0\0\0\1\x90"
malformed frame|b"\0\0\0\2\x91\xc0"
malformed frame|b"\0\0\0\5\xdd\xff\xff\xff\xff"
unknown frame type 0 |hello("wal")
unknown frame type 16 |relation(1, "s", "t", [col("id")])
unknown frame type 26 |barrier(1, 0)
malformed frame|frame(256)
malformed wal frame|frame(1, 0, 0, 0)
malformed wal frame|frame(1, 0, 0, 0, b"", 0)
malformed wal frame|frame(1, 0, 0, 0, "text")
malformed wal frame|frame(1, -1, 0, 0, b"B")
malformed keepalive frame|frame(2, 1)
malformed keepalive frame|frame(2, "1", 0)
malformed end frame|frame(3)
malformed end frame|end("x" * 32)
a frame of type 2 follows the end frame|end() + keepalive(1)
CASES
    build <<'PY'
data = keepalive(5)
out(hello("wal"), data[:3] + bytes([data[3] + 1]) + data[4:] + b"\0", end())
PY
    try "$decode"
    one_error 100 "malformed keepalive frame"
}

@test "bytes behind the end frame are not a clean end" {
    build <<'PY'
out(Wal().end(), b"\0")
PY
    try "$decode"
    one_error 111 "was cut inside a frame"
}

@test "the limits: 1,664 columns pass" {
    build <<'PY'
w = Wal().add(pg_relation(1, "s", "t", [col("c%d" % n, key=n == 0) for n in range(1664)]))
out(w.add(pg_begin(0x2000), pg_insert(1, [str(n) for n in range(1664)]), pg_commit(0x2000, 0x2028)).end())
PY
    try "$decode"
    [ "$status" -eq 0 ]
    shown
    expect '.[3].new.c1663 == "1663"'
}

# ---- in the shell ----

@test "--help and --version work, wrong usage is exit 100" {
    try "$decode" --help
    [ "$status" -eq 0 ]
    grep -q -- --in "$T/out"
    try "$decode" --version
    [ "$status" -eq 0 ]
    grep -q '^pgout-decode (walpipe) ' "$T/out"
    try "$decode" --nonsense
    one_error 100 nonsense "--help"
    try "$decode" operand
    one_error 100 'unexpected argument "operand"'
    try "$decode" --log-level loud
    one_error 100 '--log-level: "loud" is not debug, info, warning or error'
}

@test "sockets: --in listens, --out connects" {
    "$decode" --in "$T/a" --out "$T/b" 3>&- &
    decoder=$!
    "$WALPIPE_BIN/evcat" --in "$T/b" >"$T/shown" 3>&- &
    shower=$!
    wait_until 10 test -S "$T/a"
    [ "$(stat -c %a "$T/a")" = 600 ]
    /usr/bin/python3 - "$T/a" "$(golden main.wal)" <<'PY'
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(open(sys.argv[2], "rb").read())
PY
    wait "$decoder"
    wait "$shower"
    diff "$(golden main.json)" "$T/shown"
}

# It runs, and sleeps: until then the shell may still wait for the reader.
waits_for_input() {
    [ "$(cat "/proc/$decoder/comm")" = pgout-decode ] && [ "$(sed 's/.*) //; s/ .*//' "/proc/$decoder/stat")" = S ]
}

@test "trap 132: the death of the next program is noticed within a second, also by an idle source" {
    mkfifo "$T/in.fifo" "$T/out.fifo"
    sleep 60 <"$T/out.fifo" 3>&- &
    reader=$!
    "$decode" <"$T/in.fifo" >"$T/out.fifo" 2>"$T/err" 3>&- &
    decoder=$!
    exec 5>"$T/in.fifo"
    build <<'PY'
out(hello("wal"))
PY
    cat "$T/in" >&5
    wait_until 10 waits_for_input
    kill -KILL "$reader"
    wait_until 1 test -s "$T/err"
    wait_until 10 process_gone "$decoder"
    status=0
    wait "$decoder" || status=$?
    exec 5>&-
    one_error 111 "the next program in the pipeline is gone"
}

@test "behind the end frame the next program may go first" {
    mkfifo "$T/in.fifo"
    build <<'PY'
out(Wal().end())
PY
    size=$("$decode" <"$in" | wc -c)
    (
        status=0
        "$decode" <"$T/in.fifo" 2>"$T/err" || status=$?
        echo "$status" >"$T/status"
    ) 3>&- | (head -c "$size" && exec >&- && touch "$T/gone") >"$T/seen" 3>&- &
    exec 5>"$T/in.fifo"
    cat "$in" >&5
    wait_until 5 test -e "$T/gone"
    sleep 0.3 # longer than it takes to notice, if it looked
    exec 5>&-
    wait_until 5 test -s "$T/status"
    cat "$T/err"
    [ "$(cat "$T/status")" = 0 ]
}

@test "trap 142: the first SIGTERM is for the reader only, a second one ends the program" {
    mkfifo "$T/in.fifo"
    "$decode" <"$T/in.fifo" >"$T/out" 3>&- &
    decoder=$!
    exec 5>"$T/in.fifo"
    build <<'PY'
out(hello("wal"))
PY
    cat "$T/in" >&5
    wait_until 5 test -s "$T/out"
    kill -TERM "$decoder"
    size=$(stat -c %s "$T/out")
    build <<'PY'
out(keepalive(0x2000))
PY
    cat "$T/in" >&5
    grows() { [ "$(stat -c %s "$T/out")" -gt "$size" ]; }
    wait_until 5 grows
    kill -TERM "$decoder"
    wait_until 5 process_gone "$decoder"
    exec 5>&-
}

@test "trap 149: frames neither come from a terminal nor go to one" {
    script -qec "$decode </dev/tty >/dev/null" "$T/log" </dev/null >/dev/null || [ $? -eq 100 ]
    grep -q 'cannot read a stream from a terminal' "$T/log"
    script -qec "$decode <$(golden main.wal)" "$T/log" </dev/null >/dev/null || [ $? -eq 100 ]
    grep -q 'cannot write frames to a terminal' "$T/log"
}

@test "trap 135: O_NONBLOCK is not left on descriptors that others share" {
    /usr/bin/python3 - "$decode" "$(golden main.wal)" <<'PY'
import fcntl, os, subprocess, sys
data = open(sys.argv[2], "rb").read()
in_read, in_write = os.pipe()
out_read, out_write = os.pipe()
child = subprocess.Popen([sys.argv[1]], stdin=in_read, stdout=out_write)
os.write(in_write, data[:200])
blocking = lambda: not any(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK
                           for fd in (in_read, in_write, out_read, out_write))
assert os.read(out_read, 1)
assert blocking(), "while it runs"
os.write(in_write, data[200:])
os.close(in_write)
in_write = in_read
os.close(out_write)
out_write = out_read
os.read(out_read, 1 << 20)
child.wait()
assert blocking(), "afterwards"
assert child.returncode == 0, child.returncode
PY
}

@test "an input that somebody else made non-blocking is waited for, not spun on" {
    /usr/bin/python3 - "$decode" <<'PY'
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

# ---- real servers ----

read_slot() {
    "$WALPIPE_BIN/pg-wal-read" --conninfo "$(pg_conninfo src)" --slot "$1" --publication "$2" \
        --no-ack "${@:3}" 3>&- 2>"$T/reader.err" | "$decode" >"$T/out" 2>"$T/err" 3>&- || status=$?
}

@test "trap 33: a slot with two_phase enabled is refused by name" {
    pg_sql src "CREATE TABLE two (id int PRIMARY KEY); CREATE PUBLICATION two FOR TABLE two"
    pg_sql src "SELECT pg_create_logical_replication_slot('two', 'pgoutput', false, true)"
    pg_sql src "BEGIN; INSERT INTO two VALUES (1); PREPARE TRANSACTION 'gid'"
    # pg-wal-read refuses such a slot itself; the messages are real all the same
    pg_sql src "SELECT encode(data, 'hex') FROM pg_logical_slot_peek_binary_changes('two', NULL, NULL,
                'proto_version', '1', 'publication_names', 'two')" >"$T/messages"
    pg_sql src "ROLLBACK PREPARED 'gid'"
    build <<PY
w = Wal()
for line in open("$T/messages"):
    w.add(bytes.fromhex(line))
out(w.end())
PY
    try "$decode"
    one_error 100 "Begin Prepare ('b') of protocol version 3" "two_phase"
}

@test "traps 63 to 65: streaming of transactions in progress is refused by name" {
    pg_sql src "CREATE TABLE big (id int PRIMARY KEY, v text); CREATE PUBLICATION big FOR TABLE big"
    pg_sql src "SELECT pg_create_logical_replication_slot('big', 'pgoutput')"
    pg_sql src "INSERT INTO big SELECT n, repeat('x', 100) FROM generate_series(1, 2000) n"
    pg_sql src "SET logical_decoding_work_mem = '64kB';
        SELECT encode(data, 'hex') FROM pg_logical_slot_peek_binary_changes('big', NULL, NULL,
            'proto_version', '2', 'streaming', 'on', 'publication_names', 'big')" |
        grep -v SET >"$T/messages"
    build <<PY
w = Wal()
for line in open("$T/messages"):
    w.add(bytes.fromhex(line))
out(w.end())
PY
    try "$decode"
    one_error 100 "Stream Start ('S') of protocol version 2" "without streaming"
}

@test "trap 40, 41: DDL that changes nothing, a truncate, and a reconnect: rows pass" {
    pg_sql src "CREATE TABLE ddl (id int PRIMARY KEY); CREATE PUBLICATION ddl FOR TABLE ddl"
    pg_sql src "SELECT pg_create_logical_replication_slot('ddl', 'pgoutput')"
    pg_sql src "INSERT INTO ddl VALUES (1); ALTER TABLE ddl OWNER TO postgres; INSERT INTO ddl VALUES (2)"
    pg_sql src "TRUNCATE ddl; INSERT INTO ddl VALUES (3); ALTER TABLE ddl ADD v text; INSERT INTO ddl VALUES (4)"
    for round in 1 2; do
        : >"$T/wal" # not the round before's
        "$WALPIPE_BIN/pg-wal-read" --conninfo "$(pg_conninfo src)" --slot ddl --publication ddl \
            --no-ack 2>/dev/null >"$T/wal" 3>&- &
        reader=$!
        has_four() { "$decode" <"$T/wal" 2>/dev/null | "$WALPIPE_BIN/evcat" 2>/dev/null | grep -q '"new":{"id":"4"'; }
        wait_until 20 has_four
        kill -TERM "$reader"
        wait "$reader"
        in=$T/wal
        try "$decode"
        [ "$status" -eq 0 ]
        shown
        expect '[.[] | select(.type == "insert") | .new.id] == ["1", "2", "3", "4"]'
        expect '[.[] | select(.type == "relation") | .columns | length] | last == 2'
    done
}

@test "trap 135: pg-wal-read leaves no O_NONBLOCK on an output that others share" {
    pg_sql src "CREATE PUBLICATION nb FOR ALL TABLES"
    pg_sql src "SELECT pg_create_logical_replication_slot('nb', 'pgoutput')"
    /usr/bin/python3 - "$WALPIPE_BIN/pg-wal-read" "$(pg_conninfo src)" <<'PY'
import fcntl, os, signal, socket, subprocess, sys
for kind in "pipe", "socket":
    ours, theirs = os.pipe() if kind == "pipe" else [s.detach() for s in socket.socketpair()]
    child = subprocess.Popen([sys.argv[1], "--conninfo", sys.argv[2], "--slot", "nb",
                              "--publication", "nb", "--no-ack"], stdout=theirs, stderr=subprocess.DEVNULL)
    assert os.read(ours, 10)
    blocking = lambda: not any(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK for fd in (ours, theirs))
    assert blocking(), kind + ", while it runs"
    child.send_signal(signal.SIGTERM)
    assert child.wait() == 0
    assert blocking(), kind + ", afterwards"
PY
}

@test "what the catalog says of a table passes behind the table's relation, and not without one" {
    build <<'PY'
info = tableinfo(5, "s", "t", [attribute(1, "id", not_null=True), attribute(4, "v", missing="x")], primary=[1], lsn=77, type_=4)
w = Wal().add(pg_relation(5, "s", "t", [col("id", True), col("v")]))
w.bytes += info
out(w.end())
PY
    try "$decode"
    [ "$status" -eq 0 ]
    /usr/bin/python3 "$WALPIPE_ROOT/test/lib/stream.py" json <"$T/out" >"$T/json"
    jq -e -s '.[2] == {"type": "tableinfo", "elements": [5, 77, "d", "s", "t", [1], [1],
        [[1, "id", 25, -1, true, false, null], [4, "v", 25, -1, false, false, "x"]]]}' "$T/json"
    build <<'PY'
w = Wal()
w.bytes += tableinfo(5, "s", "t", [], type_=4)
out(w.end())
PY
    try "$decode"
    [ "$status" -eq 100 ]
    grep -q 'a tableinfo frame names table oid 5, which was not announced' "$T/err"
}
