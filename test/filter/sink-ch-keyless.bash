# sink-ch-keyless.bash: what the tests of tables without a key do on both ClickHouses.

load sink-ch

# keyless FIRST LAST [more]: the stream of a row for each transaction, and perhaps one of 50 rows.
keyless() {
    local more='
e.begin()
for i in range(50): e.insert(1, ["1000", "same"])
e.commit()'
    events <<EOF
e.table(1, "public", "t", [col("id", False, INT4), col("v")], identity="n")
for i in range($1, $2 + 1):
    e.begin(); e.insert(1, [str(i), "same"]); e.commit()
${3:+$more}
e.end()
EOF
}

# Killed behind the insert of the last transactions, of which ClickHouse has all and nobody a note.
killed_behind_an_insert() {
    keyless 1 20 | head -c -12 >"$DIR/in"
    mkfifo "$DIR/fifo"
    sink --batch-rows 1 --flush-interval 10min "$@" <"$DIR/fifo" &
    local pid=$!
    exec 7>"$DIR/fifo"
    cat "$DIR/in" >&7
    wait_until 20 is "SELECT count() FROM t" 20
    kill -KILL "$(pgrep -P "$pid" -x sink-ch || pgrep -P "$(pgrep -P "$pid")" -x sink-ch)"
    wait "$pid" || true
    exec 7>&-
}

restarts_add_no_row() {
    killed_behind_an_insert --create-tables
    keyless 1 30 more >"$DIR/in"
    sink --create-tables <"$DIR/in"
    is "SELECT count(), sum(id) FROM t" "80 50465"
    sink --create-tables --batch-rows 7 <"$DIR/in"
    is "SELECT count(), sum(id) FROM t" "80 50465"
    # what a person removed comes again, what is there does not
    q "CREATE TABLE rest AS t"
    q "INSERT INTO rest SELECT * FROM t WHERE id % 2 = 1"
    q "DROP TABLE t"
    q "RENAME TABLE rest TO t"
    sink <"$DIR/in"
    is "SELECT count(), sum(id) FROM t" "80 50465"
    exits 1 grep -F 'come again' "$DIR/log"
}

# proxied COMMAND...: the sink's ClickHouse is behind a proxy that has faults as said.
proxied() {
    local port
    port=$(port_new)
    /usr/bin/python3 "$WALPIPE_ROOT/test/lib/proxy.py" serve "$SCRATCH/proxy$BATS_TEST_NUMBER.sock" \
        "olap=$port:${URL##*:}" >"$DIR/proxy" 2>&1 3>&- &
    wait_until 10 test -S "$SCRATCH/proxy$BATS_TEST_NUMBER.sock"
    URL=http://127.0.0.1:$port
}

fault() {
    /usr/bin/python3 "$WALPIPE_ROOT/test/lib/proxy.py" tell "$SCRATCH/proxy$BATS_TEST_NUMBER.sock" olap "$@"
}

lost_answers_add_no_row() {
    proxied
    keyless 1 200 >"$DIR/in"
    mkfifo "$DIR/fifo"
    sink --create-tables --batch-rows 10 <"$DIR/fifo" &
    local pid=$! n
    exec 7>"$DIR/fifo"
    head -c 2500 "$DIR/in" >&7
    wait_until 20 is "SELECT count() >= 10 FROM t" 1
    fault insert 7
    fault body 3
    fault answer 3
    tail -c +2501 "$DIR/in" >&7
    exec 7>&-
    wait "$pid"
    fault counts
    is "SELECT count(), sum(id) FROM t" "200 20100"
    log_has 'waiting for the target'
}
