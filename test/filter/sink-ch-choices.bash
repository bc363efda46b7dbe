# sink-ch-choices.bash: what the tests of choices of tables do on both ClickHouses.

load sink-ch

# orders: a key of two columns, columns that are NOT NULL and others, arrays, a document.
orders() { # [described]: what --check reads
    events <<EOF
described = "${1:-}" == "described"
e.table(1, "public", "orders", [col("tenant", True, INT4), col("day", True, 1082), col("note"), col("tags", False, 1009),
    col("sizes", False, 1231, (10 << 16 | 2) + 4), col("maybe", False, 1007), col("doc", False, 3802), col("secret"), col("n", False, INT4)])
e.add(tableinfo(1, "public", "orders", [attribute(1, "tenant", INT4, not_null=True), attribute(2, "day", 1082, not_null=True),
    attribute(3, "note", not_null=True), attribute(4, "tags", 1009, not_null=True),
    attribute(5, "sizes", 1231, (10 << 16 | 2) + 4, not_null=True), attribute(6, "maybe", 1007), attribute(7, "doc", 3802),
    attribute(8, "secret", not_null=True), attribute(9, "n", INT4)], primary=[1, 2]))
row = lambda tenant, day, note, n: [tenant, day, note, '{a,NULL,"b c"}', "{1.25,NULL}", "{{1},{2}}", '{"a": 1}', "hidden", n]
if not described:
    e.begin(); e.insert(1, row("1", "2024-01-31", "first", "1")); e.insert(1, row("2", "2024-02-01", "second", None)); e.commit()
    e.begin(); e.update(1, row("1", "2024-01-31", "changed", "3")); e.commit()
    e.begin(); e.insert(1, row("3", "2024-02-02", "gone", "4")); e.delete(1, ["3", "2024-02-02"] + [None] * 7); e.commit()
e.end()
EOF
}

choosing=(--create-tables --nullable source --arrays array --table public.orders --order-by 'day, tenant'
    --partition-by 'toYYYYMM(day)' --leave-out secret --column-types 'note -> FixedString(8), n -> Nullable(Int64)')

tables_by_choice() {
    orders >"$DIR/in"
    orders described >"$DIR/described"
    sink "${choosing[@]}" --check <"$DIR/described" >"$DIR/out"
    grep -F 'PARTITION BY toYYYYMM(day) ORDER BY (`day`, `tenant`)' "$DIR/out"
    grep -F 'note text -> FixedString(8), tags text[] -> Array(Nullable(String)), sizes numeric[] -> Array(Nullable(Decimal(10, 2))), maybe int4[] -> Nullable(String)' "$DIR/out"
    exits 1 grep -F secret "$DIR/out"
    sink "${choosing[@]}" <"$DIR/in"
    is "SELECT tenant, day, note, tags, sizes, maybe, n FROM orders_current ORDER BY tenant" \
        "1 2024-01-31 changed\\0 ['a',NULL,'b c'] [1.25,NULL] {{1},{2}} 3
2 2024-02-01 second\\0\\0 ['a',NULL,'b c'] [1.25,NULL] {{1},{2}} \\N"
    is "SELECT count() FROM system.columns WHERE database = '$DB' AND table = 'orders' AND name = 'secret'" 0
    is "SELECT uniqExact(partition) FROM system.parts WHERE active AND database = '$DB' AND table = 'orders'" 2
    # what comes again changes nothing, and nothing of it is other than the config says
    sink "${choosing[@]}" <"$DIR/in"
    is "SELECT count() FROM orders FINAL WHERE _is_deleted = 0" 2
    exits 1 grep -F 'the table stays as it is' "$DIR/log"
}

# The rows go into the table as it is.
older_tables() {
    orders >"$DIR/in"
    orders described >"$DIR/described"
    sink --create-tables <"$DIR/in"
    q "SELECT tenant, note, tags FROM orders FINAL WHERE _is_deleted = 0 ORDER BY tenant" >"$DIR/before"
    sink "${choosing[@]}" --check <"$DIR/described" >"$DIR/out"
    local line
    for line in 'order_by has other columns, or another order, than' 'partition_by is toYYYYMM(day), and' 'is partitioned by nothing' \
        'column "note" is to be FixedString(8) by the config, and is Nullable(String)' 'column "tags" is to be Array(Nullable(String))'; do
        grep '^warn' "$DIR/out" | grep -F "$line"
    done
    sink "${choosing[@]}" <"$DIR/in"
    log_has 'table \"public.orders\": partition_by is toYYYYMM(day), and'
    q "SELECT tenant, note, tags FROM orders FINAL WHERE _is_deleted = 0 ORDER BY tenant" | cmp - "$DIR/before"
    small >"$DIR/in"
    sink --create-tables <"$DIR/in"
    sink --create-tables --table public.t --engine "ReplicatedReplacingMergeTree('/t', 'r')" <"$DIR/in"
    log_has 'engine is ReplicatedReplacingMergeTree, and that of'
}

refused() { # MESSAGE OPTION...
    local message=$1
    shift
    : >"$DIR/log"
    exits 100 sink --create-tables --table public.orders "$@" --check <"$DIR/described" >"$DIR/out"
    grep '^FAIL' "$DIR/out" | grep -F -- "$message"
    exits 100 sink --create-tables --table public.orders "$@" <"$DIR/in"
    log_has "${message//\"/\\\"}"
    is "EXISTS TABLE orders" 0
}

choices_that_lose_rows() {
    orders >"$DIR/in"
    orders described >"$DIR/described"
    refused 'order_by names "note", which is not a key column' --order-by 'tenant, day, note'
    refused 'order_by lacks key columns' --order-by tenant
    refused 'partition_by names "note", which is no key column' --partition-by 'tuple(tenant, note)'
    refused 'partition_by names "note", which is no key column' --partition-by 'tuple(`note`)'
    refused 'partition_by names "AND", which is no key column' --partition-by 'tenant AND day'
    refused 'partition_by is not an expression' --partition-by 'tenant) + (tenant'
    refused 'partition_by is not an expression' --partition-by 'tenant -- '
    refused 'partition_by is not an expression' --partition-by 'tenant;'
    refused 'leave_out names column "day", which is part of the key' --leave-out 'secret, day'
    refused 'leave_out names column "secrte", which the source' --leave-out secrte
    refused 'column_types gives column "note" the type Map(String, String): columns of this' --column-types 'note -> Map(String, String)'
    refused 'column_types gives column "n" the type UUID: ' --column-types 'n -> UUID'
    refused 'column_types gives column "n" the type Integer: columns of this' --column-types 'n -> Integer'
    refused 'column_types gives column "tenant" the type Nullable(Int32): a key column cannot be Nullable' --column-types 'tenant -> Nullable(Int32)'
    refused 'engine MergeTree would merge or lose rows' --engine MergeTree
    refused 'engine CollapsingMergeTree would merge or lose rows' --engine CollapsingMergeTree
    refused 'engine is not understood' --engine "ReplacingMergeTree(_version)"
    refused 'engine is not understood' --engine "ReplacingMergeTree('a') SETTINGS x = 1"
}

later_columns_by_choice() {
    events >"$DIR/in" <<'EOF'
old, first = [col("id", True, INT4)], [attribute(1, "id", INT4, not_null=True)]
kinds = [("a", INT4, "7"), ("b", NUMERIC, "123456.789"), ("c", TEXT, "x"), ("d", 1007, "{1,2}"), ("f", INT4, None), ("g", 700, "1.5")]
e.table(1, "public", "t", old); e.add(tableinfo(1, "public", "t", first, primary=[1]))
e.begin(); e.insert(1, ["1"]); e.commit()
e.table(1, "public", "t", old + [col(n, False, oid) for n, oid, _ in kinds])
e.add(tableinfo(1, "public", "t", first + [attribute(2 + i, n, oid, not_null=n == "d", has_default=m is not None, missing=m)
    for i, (n, oid, m) in enumerate(kinds)], primary=[1]))
e.begin(); e.insert(1, ["2"] + [m for _, _, m in kinds[:4]] + ["9", "1.5"]); e.commit(); e.end()
EOF
    sink --create-tables --on-overflow clamp --arrays array --table public.t \
        --column-types 'a -> Int64, b -> Nullable(Decimal(6, 2)), c -> String, f -> Int32, g -> Float64' <"$DIR/in"
    is "SELECT id, a, b, c, d, f, g FROM t FINAL ORDER BY id" '1 7 \N x [] 0 1.5
2 7 9999.99 x [1,2] 9 1.5'
    log_has 'table \"public.t\": column_types names column \"a\", which the source'
    local column
    for column in b d f; do
        log_has "column \\\"$column\\\" was added to"
    done
    [ "$(jq -s 'map(select(.message == "differences").schema_changes) | add // 0' "$DIR/acks")" = 3 ]
}

without_zookeeper() {
    small >"$DIR/in"
    exits 100 sink --create-tables --table public.t --engine "ReplicatedReplacingMergeTree('/t', 'r')" <"$DIR/in"
    log_has "Can't create replicated table without ZooKeeper"
}
