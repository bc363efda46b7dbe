# sink-ch-ddl.bash: what the tests of the source's DDL do on both ClickHouses.

load sink-ch

# The warnings' count, as ackd got it.
schema_changes() {
    jq -s 'map(select(.message == "differences").schema_changes) | add // 0' "$DIR/acks"
}

# A row is older than its columns. One with the same values comes later, and one with nulls.
columns_with_defaults() {
    events >"$DIR/in" <<'EOF'
known = [("a", INT4, -1, "-7"), ("b", INT8, -1, "-9223372036854775808"), ("c", 21, -1, "-32768"),
         ("d", BOOL, -1, "t"), ("e", 700, -1, "0.1"), ("f", 701, -1, "0.30000000000000004"),
         ("g", 701, -1, "-Infinity"), ("h", NUMERIC, (10 << 16 | 2) + 4, "-123.40"), ("i", NUMERIC, -1, "1e-20"),
         ("j", UUID, -1, "6f1c2f6e-9b1f-4a59-8a4d-0a7c1d6c33c1"), ("k", 1082, -1, "1999-12-31"),
         ("l", 1114, -1, "1970-01-01 00:00:01.000007"), ("m", 1184, 0, "2024-02-29 23:59:59+00"),
         ("n", TEXT, -1, "it's\\\n\tü"), ("o", TEXT, -1, ""), ("p", 17, -1, "\\x00ff27"), ("q", 26, -1, "4294967295"),
         ("r", 1007, -1, "{1,NULL,3}"), ("s", 3802, -1, '{"a": [1, "x"]}'), ("t u`v", TEXT, -1, "x"),
         ("w", 701, -1, "NaN"), ("x", 1114, 3, "1969-12-31 23:59:59.999"), ("y", TEXT, -1, "z" * 65536)]
old, names = [col("id", True, INT4), col("v")], [n for n, *_ in known]
cols = old + [col(n, False, oid, typmod) for n, oid, typmod, _ in known]
first = [attribute(1, "id", INT4, not_null=True), attribute(2, "v")]
e.table(1, "public", "t", old)
e.add(tableinfo(1, "public", "t", first, primary=[1]))
e.begin(); e.insert(1, ["1", "old"]); e.commit()
e.table(1, "public", "t", cols)
e.add(tableinfo(1, "public", "t", first + [
    attribute(3 + n, name, oid, typmod, has_default=True, missing=text)
    for n, (name, oid, typmod, text) in enumerate(known)], primary=[1]))
values = [text for *_, text in known]
e.begin(); e.insert(1, ["2", "new"] + values); e.insert(1, ["3", "null"] + [None] * len(values)); e.commit()
e.begin(); e.insert(1, ["4", "gone"] + values); e.delete(1, ["4"] + [None] * (len(values) + 1)); e.commit(); e.end()
EOF
    sink --create-tables --on-overflow clamp <"$DIR/in"
    local columns='a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, `t u\`v`, w, x, y'
    for _ in parts merged; do
        q "SELECT $columns FROM t FINAL WHERE id = 1" >"$DIR/old"
        q "SELECT $columns FROM t FINAL WHERE id = 2" >"$DIR/new"
        [ -s "$DIR/old" ]
        cut -c 1-300 "$DIR/old" "$DIR/new"
        cmp "$DIR/old" "$DIR/new"
        [ "$(q "SELECT $columns FROM t FINAL WHERE id = 3" | tr -d '\\N\t\n')" = "" ]
        is "SELECT id FROM t_current ORDER BY id" "1
2
3"
        q "OPTIMIZE TABLE t FINAL"
    done
    log_has 'added column \"a\" to'
    [ "$(schema_changes)" = 0 ]
    # what comes again changes nothing
    sink --create-tables --on-overflow clamp <"$DIR/in"
    q "SELECT $columns FROM t FINAL WHERE id = 1" | cmp - "$DIR/new"
}

# Where the source's catalog says nothing that holds for the stream.
columns_without_a_value() {
    events >"$DIR/in" <<'EOF'
old = [col("id", True, INT4), col("v")]
first = [attribute(1, "id", INT4, not_null=True), attribute(2, "v")]
kinds = {"unasked": None, "ahead": attribute(3, "c", INT8, missing="5"), "volatile": attribute(3, "c", INT4, has_default=True),
         "identity": attribute(3, "c", INT4, not_null=True), "plain": attribute(3, "c", INT4),
         "long": attribute(3, "c", INT4, missing="1" * 65537)}
for n, (name, column) in enumerate(kinds.items()):
    e.table(n, "public", name, old)
    e.add(tableinfo(n, "public", name, first, primary=[1]))
    e.begin(); e.insert(n, ["1", "old"]); e.commit()
    e.table(n, "public", name, old + [col("c", False, INT4)])
    if column: e.add(tableinfo(n, "public", name, first + [column], primary=[1]))
    e.begin(); e.insert(n, ["2", "new", "6"]); e.commit()
e.end()
EOF
    sink --create-tables <"$DIR/in"
    local table
    for table in unasked ahead volatile identity plain long; do
        is "SELECT id, c FROM $table FINAL ORDER BY id" '1 \N
2 6'
    done
    for table in unasked ahead volatile identity long; do
        grep -F "\"relation\":\"public.$table\"" "$DIR/log" | grep -F 'column \"c\" was added'
    done
    [ "$(schema_changes)" = 5 ]
    [ "$(grep -cF 'public.plain\" was changed' "$DIR/log")" = 0 ]
}

# A value that no row of the column could have, either.
a_value_that_does_not_fit() {
    events >"$DIR/in" <<'EOF'
old = [col("id", True, INT4)]
e.table(1, "public", "t", old); e.begin(); e.insert(1, ["1"]); e.commit()
e.table(1, "public", "t", old + [col("d", False, 1082)])
e.add(tableinfo(1, "public", "t", [attribute(1, "id", INT4), attribute(2, "d", 1082, missing="0001-01-01")], primary=[1]))
e.begin(); e.insert(1, ["2", None]); e.commit(); e.end()
EOF
    exits 100 sink --create-tables <"$DIR/in"
    log_has 'cannot add column \"d\" to'
    log_has 'the value of older rows in the source does not fit'
    reached_is 2028
    if [ "$1" = null ]; then
        sink --create-tables --on-overflow null <"$DIR/in"
        is "SELECT id, isNull(d) FROM t FINAL ORDER BY id" "1 1
2 1"
    else # or by hand
        q "ALTER TABLE t ADD COLUMN d Nullable(String) DEFAULT '0001-01-01'"
        sink --create-tables <"$DIR/in"
        is "SELECT id, d FROM t FINAL ORDER BY id" '1 0001-01-01
2 \N'
    fi
}

# What is not followed: each is named, with its LSN.
ddl_that_is_not_followed() {
    events >"$DIR/in" <<'EOF'
def step(relid, name, columns, row, informed=True):
    e.begin()
    e.table(relid, "public", name, [col(c, c == "id", INT4) for _, c in columns])
    if informed: e.add(tableinfo(relid, "public", name, [attribute(n, c, INT4) for n, c in columns], primary=[1]))
    e.insert(relid, row); e.commit()
step(1, "renamed", [(1, "id"), (2, "a")], ["1", "10"])
step(1, "renamed", [(1, "id"), (2, "b")], ["2", "20"])
step(1, "renamed", [(1, "id"), (2, "b"), (3, "a")], ["3", "30", "31"])  # and the name is used again
step(2, "again", [(1, "id"), (2, "a")], ["1", "10"])
step(2, "again", [(1, "id"), (3, "a")], ["2", "20"])
step(3, "later", [(1, "id"), (2, "a")], ["1", "10"])
step(3, "later", [(1, "id")], ["2"])
step(3, "later", [(1, "id"), (3, "a")], ["3", "30"])
step(4, "blind", [(1, "id"), (2, "a")], ["1", "10"], False)
step(4, "blind", [(1, "id"), (2, "b")], ["2", "20"], False)
step(5, "anew", [(1, "id"), (2, "a")], ["1", "10"])
step(6, "anew", [(1, "id"), (2, "a")], ["2", "20"])
step(7, "moved", [(1, "id"), (2, "a")], ["1", "10"])
step(7, "away", [(1, "id"), (2, "a")], ["2", "20"])
step(8, "dropped", [(1, "id"), (2, "a")], ["1", "10"])
step(8, "dropped", [(1, "id")], ["2"])
e.end()
EOF
    sink --create-tables <"$DIR/in"
    said renamed 0/2100 'column \"a\" was renamed to \"b\"; older rows'
    said renamed 0/2200 'column \"a\" was dropped and added again'
    said again 0/2400 'column \"a\" was dropped and added again; older rows'
    said later 0/2700 'column \"a\" was dropped and added again'
    said blind 0/2900 'column \"a\" was dropped or renamed'
    said anew 0/2B00 'another table had this name, which was dropped or renamed; its rows are still in'
    said away 0/2D00 "its name was \\\"public.moved\\\"; the rows that it had stay in \`$DB\`.\`moved\`, those that change"
    # besides, the new column of `blind` may have a value in older rows
    [ "$(schema_changes)" = 8 ]
    is "SELECT id, a, b FROM renamed FINAL ORDER BY id" '1 10 \N
2 \N 20
3 31 30'
    [ "$(grep -cF 'public.dropped\" was changed' "$DIR/log")" = 0 ]
    # a column that a person renamed in ClickHouse is no difference
    q "CREATE TABLE followed (id Int32, b Nullable(Int32), _version UInt64, _is_deleted UInt8)
        ENGINE = ReplacingMergeTree(_version) ORDER BY id"
    events >"$DIR/in" <<'EOF'
e = Events(lsn=0x4000, sink="olap", shards=1)
for name in "a", "b":
    e.table(9, "public", "followed", [col("id", True, INT4), col(name, False, INT4)])
    e.add(tableinfo(9, "public", "followed", [attribute(1, "id", INT4), attribute(2, name, INT4)], primary=[1]))
e.begin(); e.insert(9, ["1", "10"]); e.commit(); e.end()
EOF
    sink --create-tables <"$DIR/in"
    [ "$(grep -cF 'public.followed\" was changed' "$DIR/log")" = 0 ]
}

said() { # TABLE LSN WORDS
    grep -F "table \\\"public.$1\\\" was changed before the transaction at $2" "$DIR/log" | grep -F -- "$3"
}

# A column that comes later, of a name that the server does not take.
column_not_taken() { # NAME WORDS
    q "CREATE TABLE t (id Int32, \`n.a\` Array(Int32), _version UInt64, _is_deleted UInt8)
        ENGINE = ReplacingMergeTree(_version) ORDER BY id"
    events >"$DIR/in" <<EOF
e.table(1, "public", "t", [col("id", True, INT4), col("$1")])
e.begin(); e.insert(1, ["1", "a"]); e.commit(); e.end()
EOF
    exits 100 sink --create-tables <"$DIR/in"
    log_has 'could not add a column: ClickHouse says'
    log_has "$2"
    exits 1 grep -F 'added column' "$DIR/log"
    reached_is 0
}
