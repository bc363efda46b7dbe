#!/usr/bin/env bats
# sink-pg alone: the ways by which rows of ranges come into the target (src/sink-pg/ways.h).

load sink-pg
load sink-pg-copy

# The rows of a range, from id `first` on.
ROWS='def part(first, count=100, v="copied"):
    return [[str(i), v, "b"] for i in range(first, first + count)]
'

# statements PATTERN: how many of the sink's statements in this database match.
statements() {
    grep -c "sink-pg p/dst/0 LOG:  statement: .*$1" "$(pg_log dst)"
}

log_statements() {
    : >"$(pg_log dst)"
    sql "ALTER DATABASE $db SET log_statement = 'all'"
}

@test "rows of a range go into the table by COPY; where one is there already they are merged" {
    make_table
    log_statements
    stream "$T/s" <<PY
$COPY_PRELUDE$ROWS
e.table(1, "public", "t", T)
ask(); life(7)
# key 30 is newer than the ranges, 31 is updated in part, 32 is deleted
tx(101, ("insert", ["30", "newer", "b"]), ("update", ["31", "laid over", UNCHANGED]), ("delete", ["32", None, None]))
block(7, 1, part(1), to=(9, 0), mark=0x2028)
block(7, 2, [["101", None, "tab\\tand\\\\line\\n"]] + part(102, 99), to=(18, 0), from_=(9, 0), mark=0x2028)
tx(102, ("insert", ["250", "streamed", "b"]))
e.add(horizon(103, 103))
block(7, 3, part(201), to=(27, 0), from_=(18, 0), snapshot=(103, 103, ()), mark=0x2128)
block(7, 4, part(301), from_=(27, 0), snapshot=(103, 103, ()), mark=0x2128)
block(7, 5, [], kind="q", mark=0x2128)
e.add(horizon(200, 200)).add(table_end(7)); e.end(); out(e)
PY
    sink --log-level debug <"$T/s"
    [ "$status" -eq 0 ]
    sql "SELECT v, big, count(*), min(id), max(id) FROM t GROUP BY 1, 2 ORDER BY min(id)" | diff - <(printf '%s\n' \
        "copied|b|396|1|400" "newer|b|1|30|30" "laid over|b|1|31|31" "|tab"$'\t'"and\\line" "|1|101|101")
    [ "$(statements 'COPY "public"."t"')" = 3 ]
    [ "$(statements 'COPY pg_temp')" = 2 ]
    unsaid "one by one"
    [ "$(sql "SELECT rows FROM walpipe.tables WHERE relid = 1")" = 400 ]
}

@test "keys that are missing are settled by rows that go by COPY, also by those that are merged" {
    make_table
    log_statements
    stream "$T/s" <<PY
$COPY_PRELUDE$ROWS
e.table(1, "public", "t", T)
ask(); life(7)
tx(101, *[("update", [str(i), "partial", UNCHANGED]) for i in range(1, 201)])
e.add(horizon(102, 102))
block(7, 1, [], mark=0x2028)
block(7, 2, [], kind="q", mark=0x2028)
block(7, 3, part(1), snapshot=(102, 102, ()), kind="k", mark=0x2028)
tx(102, ("insert", ["101", "streamed", "b"]))
e.add(horizon(103, 103))
block(7, 4, part(101), snapshot=(103, 103, ()), kind="k", mark=0x2128)
block(7, 5, [], kind="q", mark=0x2128)
e.add(horizon(200, 200)).add(table_end(7)); e.end(); out(e)
PY
    sink --log-level debug <"$T/s"
    [ "$status" -eq 0 ]
    [ "$(sql "SELECT v, count(*) FROM t GROUP BY 1")" = "copied|200" ]
    [ "$(statements 'COPY "public"."t"')" = 2 ]
    # one of them for the updates, which find no row
    [ "$(statements 'COPY pg_temp')" = 2 ]
    [ "$(sql "SELECT count(*) FROM walpipe.missing")" = 0 ]
    [ "$(sql "SELECT state FROM walpipe.tables WHERE relid = 1")" = streaming ]
}
