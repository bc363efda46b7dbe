#!/usr/bin/env bats
# sink-ch alone: settings of the user's profile, and rows that were cleaned up, must not change results.

load sink-ch

# An update without its large value, which has to be read back.
read_back() { # COLUMN
    q "CREATE TABLE t (id Int32, $1 String, n Int32, _version UInt64, _is_deleted UInt8)
        ENGINE = ReplacingMergeTree(_version) ORDER BY id"
    events >"$DIR/one" <<EOF
e.table(1, "public", "t", [col("id", True, INT4), col("$1"), col("n", False, INT4)])
e.begin(); e.insert(1, ["1", "large", "1"]); e.commit(); e.end()
EOF
    events >"$DIR/two" <<EOF
e = Events(lsn=0x3000, sink="olap", shards=1)
e.table(1, "public", "t", [col("id", True, INT4), col("$1"), col("n", False, INT4)])
e.begin(); e.update(1, ["1", UNCHANGED, "2"]); e.commit(); e.end()
EOF
    sink <"$DIR/one"
}

@test "the bug was that a column named keys hid the keys of a read-back" {
    read_back keys
    sink <"$DIR/two"
    is "SELECT id, keys, n FROM t FINAL" "1 large 2"
}

@test "the bug was that a replay never got past an update whose row was deleted and cleaned away since" {
    read_back v
    events >"$DIR/three" <<'EOF'
e = Events(lsn=0x4000, sink="olap", shards=1)
e.table(1, "public", "t", [col("id", True, INT4), col("v"), col("n", False, INT4)])
e.begin(); e.delete(1, key=["1", None, None]); e.commit(); e.end()
EOF
    sink <"$DIR/two"
    sink <"$DIR/three"
    q "TRUNCATE TABLE t" # what OPTIMIZE FINAL CLEANUP leaves
    sink <"$DIR/two"
    is "SELECT count() FROM t" 0
    # but what was never there is still missed
    q "TRUNCATE TABLE walpipe_progress"
    exits 100 sink <"$DIR/two"
    log_has 'has no row with that key'
}

@test "a server without tokens is told not to look for repeated inserts, another gets one for each" {
    small >"$DIR/in"
    fake '{}'
    sink <"$DIR/in"
    jq -r 'select(.insert) | .path' "$DIR/requests" | grep -q 'insert_deduplicate=0'
    fake '{"settings": {"insert_deduplication_token": "", "max_insert_block_size": "1048449"}}'
    sink <"$DIR/in"
    jq -r 'select(.insert) | .path' "$DIR/requests" >"$DIR/paths"
    grep -q 'insert_deduplication_token=walpipe-000102030405060708090a0b0c0d0e0f-0-1' "$DIR/paths"
    exits 1 grep insert_deduplicate= "$DIR/paths"
}

