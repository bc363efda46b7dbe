#!/usr/bin/env bats
# sink-ch alone: the config's choices for single tables.

load sink-ch-choices

@test "a table is made with the chosen order, partitions, types and columns" {
    tables_by_choice
}

@test "a choice that is younger than the table is named, and the table stays as it is" {
    older_tables
}

@test "a choice that would lose or merge rows is refused, before the table is made" {
    choices_that_lose_rows
}

@test "columns that come later have their chosen types; what older rows show is right or named" {
    later_columns_by_choice
}

@test "a type that makes different keys equal is refused, before the table is made" {
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "orders", [col("id", True), col("v")])
e.add(tableinfo(1, "public", "orders", [attribute(1, "id", not_null=True), attribute(2, "v")], primary=[1]))
e.begin(); e.insert(1, ["1", "a"]); e.insert(1, ["01", "b"]); e.commit(); e.end()
EOF
    events >"$DIR/described" <<'EOF'
e.table(1, "public", "orders", [col("id", True), col("v")])
e.add(tableinfo(1, "public", "orders", [attribute(1, "id", not_null=True), attribute(2, "v")], primary=[1])).end()
EOF
    refused 'column_types gives column "id" the type Int32: texts that are spelled differently' --column-types 'id -> Int32'
}

@test "tables without a key: ORDER BY and PARTITION BY of columns that are never null" {
    events >"$DIR/in" <<'EOF'
e.table(1, "public", "log", [col("at", False, 1114, 0), col("line")], identity="n")
e.add(tableinfo(1, "public", "log", [attribute(1, "at", 1114, 0, not_null=True), attribute(2, "line")], identity="n"))
e.begin(); e.insert(1, ["2024-01-31 00:00:00", "a"]); e.commit(); e.end()
EOF
    exits 100 sink --create-tables --table public.log --order-by at <"$DIR/in"
    log_has 'order_by names column \"at\", which would be Nullable'
    exits 100 sink --create-tables --nullable source --table public.log --order-by att <"$DIR/in"
    log_has 'order_by names column \"att\", which the table does not have'
    exits 100 sink --create-tables --table public.log --engine ReplacingMergeTree <"$DIR/in"
    log_has 'engine ReplacingMergeTree would merge or lose rows of a table without a key'
    sink --create-tables --nullable source --table public.log --order-by at --partition-by 'toYYYYMM(at)' <"$DIR/in"
    is "SELECT sorting_key, partition_key FROM system.tables WHERE database = '$DB' AND name = 'log'" "at toYYYYMM(at)"
    is "SELECT line FROM log" a
}

@test "the engine keeps its own arguments, version and deleted column follow" {
    fake '{"tables": {}}'
    orders described >"$DIR/in"
    # it lets nobody write
    exits 100 sink --create-tables --table public.orders --engine "ReplicatedReplacingMergeTree('/t/{shard}', '{replica}')" --check \
        <"$DIR/in" >"$DIR/out"
    grep -F "ENGINE = ReplicatedReplacingMergeTree('/t/{shard}', '{replica}', \`_version\`, \`_is_deleted\`) ORDER BY" "$DIR/out"
    exits 100 sink --create-tables --table public.orders --engine "ReplacingMergeTree" --check <"$DIR/in" >"$DIR/out"
    grep -F "ENGINE = ReplacingMergeTree(\`_version\`, \`_is_deleted\`) ORDER BY" "$DIR/out"
}

@test "json is a JSON column only where the server reads it from text" {
    orders described >"$DIR/in"
    sink --create-tables --json json --check <"$DIR/in" >"$DIR/out"
    grep -F 'doc jsonb -> Nullable(String)' "$DIR/out"
    fake '{"tables": {}, "settings": {"input_format_binary_read_json_as_string": "0"}}'
    exits 100 sink --create-tables --json json --check <"$DIR/in" >"$DIR/out"
    grep -F 'doc jsonb -> Nullable(JSON)' "$DIR/out"
}

@test "the bug was that a replicated table on a server without ZooKeeper was tried for ever" {
    without_zookeeper
}

@test "options of a table need one, and it stands there once" {
    orders >"$DIR/in"
    exits 100 sink --engine MergeTree <"$DIR/in"
    log_has '--engine: expected --table SCHEMA.TABLE before it'
    exits 100 sink --table public.orders --table 'public. "orders"' <"$DIR/in"
    log_has 'is named twice'
    exits 100 sink --table orders <"$DIR/in"
    log_has 'expected \".\" at the end'
    exits 100 sink --json text --arrays list <"$DIR/in"
    log_has 'expected text or array, not \"list\"'
    exits 100 sink --table public.orders --column-types 'a -> Decimal(3' <"$DIR/in"
    log_has 'expected a type at \"Decimal(3\"'
}
