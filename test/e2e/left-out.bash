# left-out.bash: two tables that are copied, and changes of them that the sink does not get. Source
# servers.bash, pipeline.bash and compare.bash first. The servers are src, dst and ch.

left_out_setup() {
    db=t$BATS_TEST_NUMBER
    dir=$SCRATCH/$db
    conf=$dir/walpipe.conf
    into=pg
    shards=2
    publications=p,q
    mkdir "$dir"
    for server in src dst; do
        pg_sql $server "CREATE DATABASE $db"
    done
    ch_sql ch "CREATE DATABASE $db"
}

left_out_teardown() {
    [ -z "${BATS_ERROR_STATUS:-}" ] || {
        tail -n 40 "$conf.log"
        notes '*'
    } 2>/dev/null
    [ ! -s "$conf.exit" ] && [ -e "$conf.pid" ] && pipeline_kill "$conf"
    pg_sql src "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
                 WHERE slot_name = '$db' AND NOT active" >/dev/null
}

# write_conf [COPY [SINK_LINES]]
write_conf() {
    cat >"$conf" <<CONF
[pipeline]
name = $db
state_dir = $dir/state
log_level = debug
copy = ${1:-yes}
[source]
conninfo = $(pg_conninfo src "$db")
slot = $db
publication = $publications
[sink dst]
$(target)
flush_interval = 50ms
shards = $shards
${2:-}
CONF
}

target() {
    if [ "$into" = pg ]; then
        echo "type = pg"
        echo "conninfo = $(pg_conninfo dst "$db")"
    else
        echo "type = ch"
        echo "url = $(ch_url ch)"
        echo "database = $db"
        echo "create_tables = yes"
    fi
}

sql() {
    pg_sql src "$1" "$db"
}

# notes COLUMNS [CONDITION]: of the tables
notes() {
    if [ "$into" = pg ]; then
        pg_sql dst "SELECT $1 FROM walpipe.tables WHERE relid <> 0 AND ${2:-true}" "$db"
    else
        ch_sql ch "SELECT $1 FROM walpipe_tables FINAL WHERE relid <> 0 AND state <> 'gone' AND ${2:-1}" "$db"
    fi
}

# all_are STATE NOTES
all_are() {
    [ -e "$conf.exit" ] || [ "$(notes "count(*)" "state = '$1'")" = "$2" ]
}

# Two tables of 1,000 rows, copied.
begin() {
    local table
    for table in t u; do
        sql "CREATE TABLE $table (k int PRIMARY KEY, v text);
            INSERT INTO $table SELECT i, 'v' FROM generate_series(1, 1000) AS i"
        [ "$into" = ch ] || pg_sql dst "CREATE TABLE $table (k int PRIMARY KEY, v text)" "$db"
    done
    sql "CREATE PUBLICATION p FOR TABLE t; CREATE PUBLICATION q FOR TABLE u"
    write_conf
    pipeline_start "$conf"
    wait_until 60 all_are streaming $((2 * shards))
    pipeline_stop "$conf"
}

# Changes of t that the sink does not get.
unheard() {
    sql "DELETE FROM ${1:-t} WHERE k <= 10; UPDATE ${1:-t} SET v = 'unheard' WHERE k = 11;
        INSERT INTO ${1:-t} VALUES (0, 'unheard'); UPDATE u SET v = 'heard' WHERE k = 1"
}

# Starts the pipeline with a pg-table-read that never sends a list.
start_without_lists() {
    mkdir -p "$dir/bin"
    ln -sf "$WALPIPE_BIN"/* "$dir/bin/"
    rm "$dir/bin/pg-table-read"
    printf '#!/bin/sh\nkill -STOP $$\n' >"$dir/bin/pg-table-read"
    chmod +x "$dir/bin/pg-table-read"
    pipeline_start "$conf" WALPIPE_LIBEXEC="$dir/bin"
}

# refused: it ends with 100, and after a resync the tables are equal
refused() {
    pipeline_start "$conf" || true
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq 100 ]
    grep -q "public.$1 was left out of the sink's tables or of the publication" "$conf.log"
    "$WALPIPE_BIN/walpipe" resync -c "$conf" --table "public.$1"
    pipeline_start "$conf"
    wait_until 60 all_are streaming $((2 * shards))
    equal
}

equal() {
    local table
    sql "UPDATE u SET v = 'more' WHERE k = 20"
    caught_up "$conf" src "$db"
    for table in t u; do
        diff <(pg_digest src "$table" "$db") <(target_digest "$table")
    done
    pipeline_stop "$conf"
}

target_digest() {
    if [ "$into" = pg ]; then
        pg_digest dst "$1" "$db"
    else
        ch_digest ch "$1" "$db" src "$db"
    fi
}
