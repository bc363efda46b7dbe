#!/usr/bin/env bats
# sink-ch alone: columns of ClickHouse that get another type while it runs. sink-ch-modern.bats has
# the same on a ClickHouse of today.

load sink-ch-altered

@test "the bug was that rows were misread and confirmed after a column got another type" {
    altered_columns
}

@test "a column or a table that goes while the sink runs: a restart, which says what is missing" {
    columns_that_go
}

@test "an old server whose columns change while rows are written to them: a person has to look" {
    small >"$DIR/in"
    fake '{"same_types": 1}'
    exits 100 sink <"$DIR/in"
    log_has 'changed while rows were written to it: they may have been misread'
    log_has '"lsn":"0/2000"'
    [ "$(inserts)" = 1 ]
    reached_is 0
    fake '{"same_types": 0}'
    exits 111 sink <"$DIR/in"
    [ "$(inserts)" = 0 ]
    # no look at the types where the server compares them
    fake '{"same_types": 0, "settings": {"input_format_with_types_use_header": "0"}}'
    sink <"$DIR/in"
    jq -e -s 'map(select(.insert))[0].params | .input_format_with_types_use_header == "1" and (.query | endswith("FORMAT RowBinaryWithNamesAndTypes"))' \
        "$DIR/requests"
    # four columns, their names and types, the row
    [ "$(jq -r 'select(.insert).body' "$DIR/requests")" = \
        "04$(printf '\002id\001v\010_version\013_is_deleted\005Int32\006String\007UInt128\005UInt8' | od -An -tx1 | tr -d ' \n')0100000001610100000000000000002000000000000000" ]
}
