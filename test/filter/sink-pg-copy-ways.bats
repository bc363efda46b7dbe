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
pause("copied", 2)
tx(102, ("insert", ["250", "streamed", "b"]))
e.add(horizon(103, 103))
block(7, 3, part(201), to=(27, 0), from_=(18, 0), snapshot=(103, 103, ()), mark=0x2128)
block(7, 4, part(301), from_=(27, 0), snapshot=(103, 103, ()), mark=0x2128)
block(7, 5, [], kind="q", mark=0x2128)
e.add(horizon(200, 200)).add(table_end(7)); e.end(); out(e)
PY
    sink --log-level debug < <(feed)
    [ "$status" -eq 0 ]
    sql "SELECT v, big, count(*), min(id), max(id) FROM t GROUP BY 1, 2 ORDER BY min(id)" | diff - <(printf '%s\n' \
        "copied|b|396|1|400" "newer|b|1|30|30" "laid over|b|1|31|31" "|tab"$'\t'"and\\line" "|1|101|101")
    # two ranges go together, if both are there
    [[ "$(statements 'COPY "public"."t"')" = [23] ]]
    [[ "$(statements 'COPY pg_temp')" = [12] ]]
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

# The first time that 250 comes the backend ends. A sequence stays where it is then.
breaks_off_once() {
    sql "CREATE SEQUENCE times;
         CREATE FUNCTION ends(id int) RETURNS bool LANGUAGE plpgsql AS \$\$ BEGIN
             IF id = 250 AND nextval('public.times') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
             RETURN true; END \$\$;
         ALTER TABLE t ADD CHECK (ends(id))"
}

# Three ranges whose mark is the position where the stream stands.
STILL='
e.table(1, "public", "t", T, ident)
e.watermark(e.lsn); ask(); life(7)
block(7, 1, part(1), to=(9, 0), mark=e.lsn)
block(7, 2, part(101), to=(18, 0), from_=(9, 0), mark=e.lsn)
block(7, 3, part(201), from_=(18, 0), mark=e.lsn)
'

@test "the bug was that ranges were taken for written if the target broke off where the progress stood still" {
    make_table
    breaks_off_once
    stream "$T/s" <<PY
$COPY_PRELUDE$ROWS
ident = "d"
$STILL
block(7, 4, [], kind="q", mark=e.lsn)
e.add(horizon(200, 200)).add(table_end(7)); e.end(); out(e)
PY
    sink --log-level debug <"$T/s"
    [ "$status" -eq 0 ]
    said "terminating connection"
    [ "$(sql "SELECT count(*), max(id) FROM t")" = "300|300" ]
    [ "$(sql "SELECT state, rows FROM walpipe.tables WHERE relid = 1")" = "streaming|300" ]
}

@test "the same of a table without a key: each row comes once" {
    sql "CREATE TABLE t (id int, v text, big text)"
    breaks_off_once
    stream "$T/s" <<PY
$COPY_PRELUDE$ROWS
ident = "f"
T = [col("id", True, INT4), col("v", True), col("big", True)]
def ask(): e.add(copytable(0, 1, "public", "t", T, ident, definition="d")).add(table_end(0, "l"))
def life(n): e.add(copytable(n, 1, "public", "t", T, ident, definition="d"))
def block(n, number, rows_, to=None, from_=(0, 0), mark=0):
    e.add(range_(n, number, 1, "public", "t", T, ident, from_=from_, snapshot=(100, 100, ()), mark=mark, floor=0x100000))
    e.add(rows(n, number, rows_)).add(range_end(n, number, len(rows_), to))
$STILL
e.add(table_end(7)); e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 0 ]
    said "terminating connection"
    [ "$(sql "SELECT count(*), count(DISTINCT id) FROM t")" = "300|300" ]
}

@test "the answer to a COMMIT of ranges is lost where the progress stands still: they are written again" {
    make_table
    stream "$T/s" <<PY
$COPY_PRELUDE$ROWS
e.table(1, "public", "t", T)
e.watermark(e.lsn); ask(); life(7)
for n in range(70):
    block(7, n + 1, part(100 * n + 1), from_=(n, 0), to=(n + 1, 0) if n < 69 else None, mark=e.lsn)
    pause("copied", n + 1)
block(7, 100, [], kind="q", mark=e.lsn)
e.add(horizon(200, 200)).add(table_end(7)); e.end(); out(e)
PY
    proxy() { /usr/bin/python3 "$WALPIPE_ROOT/test/lib/proxy.py" "$1" "$T/proxy.sock" "${@:2}"; }
    port=$(port_new)
    proxy serve "dst=$port:$(pg_port dst)" 3>&- &
    pids+=($!)
    wait_until 10 test -S "$T/proxy.sock"
    proxy tell dst commit turns 9
    status=0
    "$WALPIPE_BIN/sink-pg" --conninfo "host=127.0.0.1 port=$port user=postgres dbname=$db" --pipeline p --ackd "$ack" \
        < <(feed) 2>>"$T/err" 3>&- || status=$?
    [ "$status" -eq 0 ]
    [ "$(sql "SELECT count(*), max(id) FROM t")" = "7000|7000" ]
    [ "$(sql "SELECT state, rows FROM walpipe.tables WHERE relid = 1")" = "streaming|7000" ]
    proxy tell dst counts | jq -e '."commit before" >= 2 and ."commit after" >= 2'
}
