#!/usr/bin/env bats
# sink-ch alone: DDL of the source while ClickHouse has rows already. sink-ch-modern.bats has the same
# on a ClickHouse of today.

load sink-ch-ddl

@test "the bug was that ADD COLUMN with a DEFAULT left NULL in older rows" {
    columns_with_defaults
}

@test "a column whose older values nobody knows gets NULL there, and a warning" {
    columns_without_a_value
}

@test "a default that does not fit its column stops the sink, and on_overflow leads on" {
    a_value_that_does_not_fit null
}

@test "a default that does not fit its column stops the sink, and a column made by hand leads on" {
    a_value_that_does_not_fit hand
}

@test "the bug was that renamed, dropped and exchanged columns and tables left older rows wrong silently" {
    ddl_that_is_not_followed
}

@test "the bug was that a column whose name ClickHouse refuses was taken for one that another worker added" {
    column_not_taken n 'column with this name already exists'
}

# another_was_first TYPE CODE: a column c of this type is there when Nullable(Int32) is to be added.
another_was_first() {
    fake "{\"alter\": {\"adds\": [\"c\", \"$1\", \"DEFAULT\", 0], \"answer\": {\"status\": 500,
        \"body\": \"Code: $2. DB::Exception: Cannot add column c: column with this name already exists\"}}}"
    : >"$DIR/log"
    events >"$DIR/in" <<'EOF'
cols, known = [col("id", True, INT4), col("v")], [attribute(1, "id", INT4, not_null=True), attribute(2, "v")]
e.table(1, "public", "t", cols)
e.add(tableinfo(1, "public", "t", known, primary=[1]))
e.begin(); e.insert(1, ["1", "old"]); e.commit()
e.table(1, "public", "t", cols + [col("c", False, INT4)])
e.add(tableinfo(1, "public", "t", known + [attribute(3, "c", INT4, has_default=True, missing="5")], primary=[1]))
e.begin(); e.insert(1, ["2", "new", "5"]); e.commit(); e.end()
EOF
    sink --create-tables <"$DIR/in"
    [ "$(inserts)" = 2 ]
    exits 1 grep -F 'added column' "$DIR/log"
}

@test "a column that another was first to add is taken as it is; one of another type is named" {
    another_was_first 'Nullable(Int32)' 44
    exits 1 grep -F 'was changed before' "$DIR/log"
    another_was_first 'Nullable(Int64)' 15
    log_has 'column \"c\" was added to'
}
