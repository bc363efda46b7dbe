#!/usr/bin/env bats
# sink-ch alone: what ClickHouse may answer, and what must stay secret.

load sink-ch

# ---- answers ----

@test "an answer that is not success is never taken for it, and the same bytes are sent again (trap 104)" {
    small >"$DIR/in"
    fake '{"inserts": [
        {"headers": {"X-ClickHouse-Exception-Code": "209"}},
        {"body": "Code: 241. DB::Exception: Memory limit exceeded (MEMORY_LIMIT_EXCEEDED)"},
        {"body": "something else"},
        {"status": 503},
        {"status": 500, "body": "Code: 999, e.displayText() = Coordination::Exception: session expired"},
        "close"]}'
    sink <"$DIR/in"
    [ "$(inserts)" = 7 ]
    [ "$(jq -s -r 'map(select(.insert) | .body + .params.query_id) | unique | length' "$DIR/requests")" = 1 ]
    reached_is 2028
    [ "$(grep -c '"reached"' "$DIR/acks")" = 1 ]
    # each attempt that failed is told, with its own reason
    [ "$(jq -r 'select(.message == "target") | .alive' "$DIR/acks" | uniq | tr '\n' ' ')" = "true false true " ]
    [ "$(jq -r 'select(.alive == false).reason' "$DIR/acks" | sort -u | wc -l)" -ge 5 ]
}

@test "a modern server: UInt128 versions, settings only where they are known and differ (traps 107, 108, 111, 125)" {
    small >"$DIR/in"
    fake '{}'
    WALPIPE_CH_PASSWORD=geheim sink --user writer <"$DIR/in"
    jq -e -s 'map(select(.insert))[0].params | .async_insert == "0" and
        .input_format_null_as_default == "0" and .wait_end_of_query == "1"' "$DIR/requests"
    # id 1, "a", ordinal 1, commit LSN 0x2000, not deleted
    [ "$(jq -r 'select(.insert).body' "$DIR/requests")" = 01000000016101000000000000000020000000000000"00" ]
    jq -e -s 'all(.user == "writer" and .key == "geheim" and .expect == null)' "$DIR/requests"
    jq -r .path "$DIR/requests" >"$DIR/paths"
    exits 1 grep -E 'geheim|writer' "$DIR/paths"
    fake '{"settings": {"async_insert": "0", "max_insert_block_size": "1048449"}}'
    sink <"$DIR/in"
    jq -e -s 'all(.params | has("async_insert") or has("input_format_null_as_default") | not)' "$DIR/requests"
}

@test "JSON columns are refused where the server doesn't take them as text, else it is told to (trap 108)" {
    local json='"tables": {"t": {"engine": "MergeTree", "sorting_key": "", "engine_full": "MergeTree ORDER BY tuple()",
        "columns": [["v", "Array(JSON(max_dynamic_paths=8))", "", 0]]}}'
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "t", [col("v", oid=3807)], identity="n")
e.begin(); e.insert(1, ['{"{}"}']); e.commit(); e.end()
EOF
    fake "{$json}"
    exits 100 sink <"$DIR/in"
    log_has 'does not read JSON columns in RowBinary as text'
    [ "$(inserts)" = 0 ]
    fake "{$json, \"settings\": {\"input_format_binary_read_json_as_string\": \"0\"}}"
    sink <"$DIR/in"
    jq -e -s 'map(select(.insert))[0] | .body == "01027b7d" and .params.input_format_binary_read_json_as_string == "1"' "$DIR/requests"
}

@test "codes that only a person can mend stop the sink, with table, code and LSN (trap 109)" {
    small >"$DIR/in"
    for code in 60 16 497 27 158 191 396 307 455 1; do
        fake '{"inserts": [{"status": 404, "body": "Code: '$code'. DB::Exception: It does not fit. (SOME_NAME)"}]}'
        exits 100 sink <"$DIR/in"
        log_has "ClickHouse says: It does not fit. (SOME_NAME) (code $code)"
        log_has '"relation":"public.t","lsn":"0/2000"'
    done
    fake '{"inserts": [{"status": 403}]}'
    exits 100 sink <"$DIR/in"
    reached_is 0
}

@test "a login that is refused: exit 100 at the first attempt, 111 once it has worked" {
    local code
    small >"$DIR/in"
    exits 100 sink --user nobody --login-note "$DIR/login" <"$DIR/in"
    log_has 'correct user, password or password_file'
    [ ! -e "$DIR/login" ]
    for code in 192 193 194 516; do
        fake '{"inserts": [{"status": 403, "body": "Code: '$code'. DB::Exception: No. (NO)"}]}'
        exits 111 sink --login-note "$DIR/login" <"$DIR/in"
        log_has 'this login worked before'
        [ -e "$DIR/login" ]
    done
    # what another process found counts
    URL=$(ch_url ch)
    exits 111 sink --user nobody --login-note "$DIR/login" <"$DIR/in"
}

@test "too many partitions in one block: fewer rows at once; too many parts: again later (trap 110)" {
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "t", [col("id", True, INT4), col("v")])
e.begin()
for i in range(250): e.insert(1, [str(i), "a"])
e.commit(); e.end()
EOF
    fake '{"inserts": [
        {"status": 500, "body": "Code: 252. DB::Exception: Too many parts (300). Merges are processing slower than inserts. (TOO_MANY_PARTS)"},
        {"status": 500, "body": "Code: 252. DB::Exception: Too many partitions for single INSERT block (more than 100). (TOO_MANY_PARTS)"}]}'
    sink <"$DIR/in"
    [ "$(jq -s -r 'map(select(.insert) | .body | length / 2 / 23 | tostring) | join(" ")' "$DIR/requests")" = "250 250 100 100 50" ]
}

@test "rows go in requests of at most max_insert_block_size rows (trap 105)" {
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "t", [col("id", True, INT4), col("v")])
e.begin()
for i in range(25): e.insert(1, [str(i), "a"])
e.commit(); e.end()
EOF
    fake '{"settings": {"max_insert_block_size": "10"}}'
    sink <"$DIR/in"
    [ "$(jq -s -r 'map(select(.insert) | .body | length / 2 / 23 | tostring) | join(" ")' "$DIR/requests")" = "10 10 5" ]
}

# ---- secrets ----

@test "the password: from a private file only, never in a URL, a log or a query (traps 126, 146)" {
    small >"$DIR/in"
    echo "no-such-secret" >"$DIR/pw"
    chmod 644 "$DIR/pw"
    exits 100 sink --password-file "$DIR/pw" <"$DIR/in"
    log_has "is open to others (mode 0644)"
    chmod 600 "$DIR/pw"
    exits 100 sink --password-file "$DIR/pw" <"$DIR/in"
    log_has "(code 192)"
    URL=http://default:no-such-secret@127.0.0.1:1 exits 100 sink <"$DIR/in"
    exits 100 sink --user 'a
b' <"$DIR/in"
    exits 1 grep no-such-secret "$DIR/log" "$DIR/acks" "$(ch_log ch)"
}
