# sink-ch-altered.bash: what the tests of columns whose type changes do on both ClickHouses.

load sink-ch

# altered FROM TO OID FIRST SECOND [ROWS]: column v gets another type while the sink runs; it was
# FIRST in a row before, and is SECOND in so many rows of a batch behind it.
altered() {
    local change="ALTER TABLE t MODIFY COLUMN v $2"
    changed "$@"
    is "SELECT count() FROM t WHERE id != 0" 0
}

# As altered, by the statement $change.
changed() {
    local first='
e.table(1, "public", "t", [col("id", True, INT4), col("v", False, '$3')])
e.begin(); e.insert(1, ["0", "'$4'"]); e.commit()'
    q "DROP TABLE IF EXISTS t"
    q "CREATE TABLE t (id Int32, v $1, _version UInt64, _is_deleted UInt8) ENGINE = ReplacingMergeTree(_version) ORDER BY id"
    q "TRUNCATE TABLE IF EXISTS walpipe_progress"
    : >"$DIR/log"
    echo "$first" | events >"$DIR/first"
    printf '%s\ne.begin()\nfor i in range(1, %d): e.insert(1, [str(i), "%s"])\ne.commit(); e.end()\n' "$first" $((${6:-1} + 1)) "$5" |
        events >"$DIR/in"
    rm -f "$DIR/fifo"
    mkfifo "$DIR/fifo"
    sink --flush-interval 50ms <"$DIR/fifo" &
    local pid=$!
    exec 7>"$DIR/fifo"
    cat "$DIR/first" >&7
    wait_until 10 is "SELECT count() FROM t" 1
    q "$change"
    tail -c +$(($(stat -c %s "$DIR/first") + 1)) "$DIR/in" >&7
    exec 7>&-
    exits 111 wait "$pid"
    log_has "the columns of \`$DB\`.\`t\` changed"
    [ "$(jq -s 'map(select(.message == "reached").lsn) | last' "$DIR/acks")" = $((0x2028)) ]
}

# A type of the same size, in which the bytes say something else; then one of another size, in which
# 17 rows of 21 bytes are 21 rows of 17 bytes.
altered_columns() {
    altered 'Decimal(18, 4)' 'Decimal(18, 2)' NUMERIC 1.2345 6.7891
    exits 100 sink <"$DIR/in"
    log_has 'more digits behind the point than the column holds'
    altered UInt32 Int32 INT8 5 4000000000
    exits 100 sink <"$DIR/in"
    altered Int64 Int32 INT8 5 7 17
    sink <"$DIR/in"
    is "SELECT count(), sum(id), sum(v) FROM t FINAL" "18 153 124"
    altered Int32 Int64 INT8 5 7
    sink <"$DIR/in"
    is "SELECT id, v FROM t FINAL ORDER BY id" "0 5
1 7"
}

# A column or the table is gone; the next start says it as ever.
columns_that_go() {
    local change='ALTER TABLE t DROP COLUMN v'
    changed UInt32 '' INT8 5 7
    exits 100 sink <"$DIR/in"
    log_has 'has no column \"v\"'
    change='DROP TABLE t'
    changed UInt32 '' INT8 5 7
    exits 100 sink <"$DIR/in"
    log_has 'does not exist in ClickHouse'
}
