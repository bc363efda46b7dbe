#!/usr/bin/env bats
# sink-ch alone: data of the source's catalog about tables, which is in the stream.

load sink-ch

sorting_key() { # TABLE
    q "SELECT sorting_key FROM system.tables WHERE database = '$DB' AND name = '$1'"
}

@test "the bug was that ORDER BY had the table's order of columns, not the key's own" {
    events >"$DIR/in" <<'EOF'
cols = [col("a", True, INT4), col("v"), col("b", True, INT4)]
types = [attribute(1, "a", INT4), attribute(2, "v"), attribute(4, "b", INT4)]
e.table(1, "public", "t", cols)
e.add(tableinfo(1, "public", "t", types, primary=[4, 1]))
e.table(2, "public", "u", cols)  # nobody could ask
e.table(3, "public", "ahead", cols)  # another key by now
e.add(tableinfo(3, "public", "ahead", types, primary=[4]))
e.begin()
for n in 1, 2, 3: e.insert(n, ["1", "x", "2"])
e.update(1, ["1", "y", "2"]); e.commit(); e.end()
EOF
    sink --create-tables <"$DIR/in"
    [ "$(sorting_key t)" = "b, a" ]
    [ "$(sorting_key u)" = "a, b" ]
    [ "$(sorting_key ahead)" = "a, b" ]
    is "SELECT a, v, b FROM t_current" "1 y 2"
}

full() { # what stands behind the relation
    events <<EOF
cols = [col("v"), col("a", True, INT4), col("b", True, INT4)]
e.table(1, "public", "t", cols, identity="f")
types = [attribute(1, "v"), attribute(2, "a", INT4), attribute(3, "b", INT4)]
$1
e.begin(); e.insert(1, ["x", "1", "2"]); e.insert(1, ["y", "1", "3"]); e.commit()
e.begin(); e.update(1, ["z", "1", "2"], old=["x", "1", "2"]); e.delete(1, old=["y", "1", "3"]); e.commit()
e.begin(); e.update(1, ["z", "1", "5"], old=["z", "1", "2"]); e.commit(); e.end()
EOF
}

@test "the bug was that --create-tables made no table under REPLICA IDENTITY FULL" {
    full 'e.add(tableinfo(1, "public", "t", types, primary=[3, 2], identity="f"))' >"$DIR/in"
    sink --create-tables <"$DIR/in"
    [ "$(sorting_key t)" = "b, a" ]
    is "SELECT v, a, b FROM t_current" "z 1 5"
    is "SELECT name, type FROM system.columns WHERE database = '$DB' AND table = 't' AND name IN ('a', 'b', 'v') ORDER BY name" \
        "a Int32
b Int32
v Nullable(String)"
    # once more: what is replayed changes nothing
    sink --create-tables <"$DIR/in"
    is "SELECT v, a, b FROM t_current" "z 1 5"
}

@test "under REPLICA IDENTITY FULL no table is made without a key that is sure" {
    full '' >"$DIR/in"
    exits 100 sink --create-tables <"$DIR/in"
    log_has "the stream doesn't say which columns are the key, and the source's catalog could not be asked"
    full 'e.add(tableinfo(1, "public", "t", types, identity="f"))' >"$DIR/in"
    exits 100 sink --create-tables <"$DIR/in"
    log_has 'it has REPLICA IDENTITY FULL, and no primary key that is not deferrable'
    # the catalog has another type for b by now
    full 'e.add(tableinfo(1, "public", "t", types[:2] + [attribute(3, "b")], primary=[3, 2], identity="f"))' >"$DIR/in"
    exits 100 sink --create-tables <"$DIR/in"
    is "SELECT count() FROM system.tables WHERE database = '$DB' AND name = 't'" 0
    reached_is 0
}

@test "--check prints engine, ORDER BY and types of the tables that would be made" {
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "t", [col("a", True, INT4), col("v"), col("b", True, INT4)])
e.add(tableinfo(1, "public", "t", [attribute(1, "a", INT4), attribute(2, "v"), attribute(4, "b", INT4)], primary=[4, 1]))
e.table(2, "public", "u", [col("v", True), col("a b", True, INT4)], identity="f")
e.add(tableinfo(2, "public", "u", [attribute(1, "v"), attribute(2, "a b", INT4)], primary=[2], identity="f"))
e.table(3, "public", "w", [col("v")], identity="d")
e.table(4, "public", "narrow", [col("id", True, INT4), col("v"), col("n", False, INT4)])
e.end()
EOF
    table narrow 'id Int32, v String' id
    sink --check --create-tables <"$DIR/in" >"$DIR/out"
    cat "$DIR/out"
    if [ "${WALPIPE_CH:-}" = modern ]; then flag=', `_is_deleted`'; else flag=; fi
    grep -F "table public.t -> \`$DB\`.\`t\`: will be created, ENGINE = ReplacingMergeTree(\`_version\`$flag) ORDER BY (\`b\`, \`a\`): a int4 -> Int32, v text -> Nullable(String), b int4 -> Int32" "$DIR/out"
    grep -F "will be created, ENGINE = ReplacingMergeTree(\`_version\`$flag) ORDER BY (\`a b\`): v text -> Nullable(String), a b int4 -> Int32" "$DIR/out"
    grep -F "will be created, ENGINE = MergeTree ORDER BY tuple(): v text -> Nullable(String)" "$DIR/out"
    grep -F "table public.narrow -> \`$DB\`.\`narrow\`: gets the columns it lacks: id int4 -> Int32, v text -> Nullable(String), n int4 -> Nullable(Int32)" "$DIR/out"
    is "SELECT count() FROM system.tables WHERE database = '$DB' AND name IN ('t', 'u', 'w')" 0
}
