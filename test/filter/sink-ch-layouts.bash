# sink-ch-layouts.bash: the tests of sink-ch-layouts.bats and sink-ch-layouts-modern.bats.

# The LSN with which the last worker has registered.
registered() {
    local got
    got=$(sed -n 's/.*"register".*"durable_lsn": \([0-9]*\).*/\1/p' "$DIR/acks" | tail -n 1)
    [ "$got" = "$1" ] || {
        echo "registered with $got, expected $1" >&2
        return 1
    }
}

# worker SHARD SHARDS KEY [OPTION...]: it gets no changes. The slot is at 0x1000.
worker() {
    printf 'e = Events(sink="olap", shard=%s, shards=%s, shard_key="%s")\ne.end()\nout(e)\n' "$1" "$2" "$3" |
        /usr/bin/python3 "$WALPIPE_ROOT/test/lib/stream.py" py >"$DIR/in"
    sink "${@:4}" <"$DIR/in"
}

# killed SHARD SHARDS KEY LSN: the worker has everything up to the LSN, then it was killed.
killed() {
    printf 'e = Events(sink="olap", shard=%s, shards=%s, shard_key="%s")\ne.watermark(%s)\nout(e)\n' "$1" "$2" "$3" "$4" |
        /usr/bin/python3 "$WALPIPE_ROOT/test/lib/stream.py" py >"$DIR/killed"
    mkfifo "$DIR/fifo"
    sink --flush-interval 10ms <"$DIR/fifo" &
    local pid=$!
    exec 7>"$DIR/fifo"
    cat "$DIR/killed" >&7
    wait_until 10 noted "$1" "$4"
    exec 7>&-
    wait "$pid" || true
    rm "$DIR/fifo"
}

noted() {
    [ "$(q "SELECT count() > 0 FROM walpipe_progress WHERE shard = $1 AND lsn = $2")" = 1 ]
}

check_shard_key() {
    killed 0 2 key 20000
    killed 1 2 key 10000
    # their own rows are there, whoever of them stopped first
    worker 0 2 key
    registered 20000
    worker 1 2 key
    registered 10000
    # a row between the two may have been worker 1's, and be worker 0's now
    worker 0 2 table
    registered 10000
    worker 1 2 table
    registered 10000
    # one worker of the new layout is further than the other one of the old: no proof of any
    killed 1 2 table 18000
    worker 0 2 column:id
    registered 10000
    # back and forth
    worker 0 2 key
    registered 20000
    worker 1 2 key
    registered 10000
    worker 0 3 key
    registered 10000
    killed 0 2 table 15000
    worker 2 3 key
    registered 15000
}

# note SHARD SHARDS LSN: as walpipe noted it before the layout was.
note() {
    q "INSERT INTO walpipe_progress (pipeline, sink, shard, shards, system_identifier, timeline, slot, lsn)
        VALUES ('p', 'olap', $1, $2, 7000000000000000001, 1, 's', $3)"
}

old_table() {
    q "DROP TABLE IF EXISTS walpipe_progress"
    q "CREATE TABLE walpipe_progress (pipeline String, sink String, shard UInt32, shards UInt32,
        system_identifier UInt64, timeline UInt32, slot String, lsn UInt64, updated_at DateTime DEFAULT now())
        ENGINE = ReplacingMergeTree(lsn) ORDER BY (pipeline, sink, system_identifier, timeline, slot, shards, shard)"
}

# all_have LSN: as `walpipe tables` shows it.
all_have() {
    sink --tables --sink olap >"$DIR/tables"
    [ "$(awk '$1 == "sink" { print $3 }' "$DIR/tables")" = "$1" ]
}

check_old_table() {
    old_table
    note 0 2 20000
    all_have 0/0
    worker 0 2 key
    registered 0 # worker 1 has none
    note 1 2 10000
    all_have 0/2710
    # it proves that the slot is right, and nothing beyond the slot
    worker 0 2 key
    registered $((0x1000))
    # the column is there, and counts
    killed 0 2 key 20000
    killed 1 2 key 10000
    worker 0 2 key
    registered 20000
    worker 0 2 table
    registered 10000
    # rows of another layout replace each other, and what is left is true
    q "OPTIMIZE TABLE walpipe_progress FINAL"
    worker 0 2 table
    registered 10000
    # one worker alone
    old_table
    note 0 1 20000
    worker 0 1 key
    registered 20000
}
