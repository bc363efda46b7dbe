#!/usr/bin/env bats
# A publication that gets other options for a time, and a table that leaves its published schema for a
# time. The entries that publish the table stay the same, and changes of that time are lost, so the
# copied table is refused, and walpipe resync leads on.

bats_require_minimum_version 1.5.0

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    pg_new src
    pg_new dst
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    source "$BATS_TEST_DIRNAME/../lib/compare.bash"
    db=t$BATS_TEST_NUMBER
    dir=$SCRATCH/$db
    conf=$dir/walpipe.conf
    publication=p
    mkdir "$dir"
    for server in src dst; do
        pg_sql $server "CREATE DATABASE $db"
    done
}

teardown() {
    [ -z "${BATS_ERROR_STATUS:-}" ] || {
        tail -n 40 "$conf.log"
        pg_sql dst "SELECT name, part, shard, state, definition FROM walpipe.tables" "$db"
    } 2>/dev/null
    [ ! -s "$conf.exit" ] && [ -e "$conf.pid" ] && pipeline_kill "$conf"
    pg_sql src "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
                 WHERE slot_name = '$db' AND NOT active" >/dev/null
}

write_conf() {
    cat >"$conf" <<CONF
[pipeline]
name = $db
state_dir = $dir/state
log_level = debug
copy = yes
[source]
conninfo = $(pg_conninfo src "$db")
slot = $db
publication = $publication
[sink dst]
type = pg
conninfo = $(pg_conninfo dst "$db")
flush_interval = 50ms
CONF
}

sql() {
    pg_sql src "$1" "$db"
}

# begin PUBLICATION: t of 1,000 rows is copied
begin() {
    sql "CREATE TABLE t (k int PRIMARY KEY, v text); CREATE SCHEMA elsewhere;
        INSERT INTO t SELECT i, 'v' FROM generate_series(1, 1000) AS i; CREATE PUBLICATION p $1"
    pg_sql dst "CREATE TABLE t (k int PRIMARY KEY, v text)" "$db"
    write_conf
    pipeline_start "$conf"
    wait_until 60 streams
    pipeline_stop "$conf"
}

streams() {
    [ -e "$conf.exit" ] || [ "$(pg_sql dst "SELECT state FROM walpipe.tables WHERE relid <> 0" "$db")" = streaming ]
}

refused() {
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq 100 ]
    grep -q "public.t was left out of the sink's tables or of the publication" "$conf.log"
}

# runs_on: and everything arrives
runs_on() {
    pipeline_start "$conf"
    wait_until 60 streams
    sql "UPDATE t SET v = 'more' WHERE k = 20"
    caught_up "$conf" src "$db"
    diff <(pg_digest src t "$db") <(pg_digest dst t "$db")
    pipeline_stop "$conf"
}

# stayed: a start notes that nothing was lost
stayed() {
    runs_on
    runs_on
    ! grep '"message":"the pipeline ended because' "$conf.log"
}

# refused_then_resynced: at each start, until it is copied again
refused_then_resynced() {
    local i
    for i in 1 2; do
        pipeline_start "$conf" || true
        refused
    done
    "$WALPIPE_BIN/walpipe" resync -c "$conf" --table public.t
    runs_on
}

# The bug was that these were only named in a warning.
@test "deletes are not published for a time while walpipe is down, and while it runs" {
    begin "FOR TABLE t"
    sql "ALTER PUBLICATION p SET (publish = 'insert')"
    sql "DELETE FROM t WHERE k <= 10"
    sql "ALTER PUBLICATION p SET (publish = 'insert, update, delete, truncate')"
    refused_then_resynced
    pipeline_start "$conf"
    wait_until 30 grep -q '"0 of 1 published tables are to be copied"' "$conf.log"
    sql "ALTER PUBLICATION p SET (publish = 'insert')"
    sql "DELETE FROM t WHERE k <= 30"
    sql "ALTER PUBLICATION p SET (publish = 'insert, update, delete, truncate')"
    refused
    "$WALPIPE_BIN/walpipe" resync -c "$conf" --table public.t
    runs_on
}

@test "another publication publishes all of it meanwhile" {
    begin "FOR TABLE t"
    sql "CREATE PUBLICATION q FOR ALL TABLES"
    publication=p,q
    write_conf
    stayed
    sql "ALTER PUBLICATION p SET (publish = 'insert')"
    sql "DELETE FROM t WHERE k <= 10"
    sql "ALTER PUBLICATION p SET (publish = 'insert, update, delete, truncate')"
    stayed
}

@test "a new owner and a new name lose nothing" {
    begin "FOR TABLE t"
    sql "CREATE ROLE \"keeper of $db\" SUPERUSER; ALTER PUBLICATION p OWNER TO \"keeper of $db\""
    sql "VACUUM FULL t"
    sql "DELETE FROM t WHERE k <= 10"
    stayed
    sql "ALTER PUBLICATION p RENAME TO \"p 2\""
    sql "DELETE FROM t WHERE k <= 30"
    publication='"p 2"'
    write_conf
    stayed
    ! grep 'has another file' "$conf.log" # PostgreSQL does not let a table with an entry become unlogged
}

@test "notes of an older walpipe do not tell, and are completed" {
    begin "FOR TABLE t"
    pg_sql dst "UPDATE walpipe.tables SET definition = regexp_replace(definition, '[.][0-9a-f.]*,', ',', 'g')" "$db"
    sql "DELETE FROM t WHERE k <= 10"
    stayed
    [ "$(pg_sql dst "SELECT definition ~ '[0-9a-f]{12}[.][0-9a-f]{8}[.][0-9a-f]{4},' FROM walpipe.tables
        WHERE relid <> 0" "$db")" = t ]
    sql "ALTER PUBLICATION p SET (publish = 'insert')"
    sql "DELETE FROM t WHERE k <= 30"
    sql "ALTER PUBLICATION p SET (publish = 'insert, update, delete, truncate')"
    refused_then_resynced
}

# The bug was that nothing told of it.
@test "a table leaves its published schema, and comes back, while walpipe is down" {
    begin "FOR TABLES IN SCHEMA public"
    stayed
    sql "ALTER TABLE t SET SCHEMA elsewhere; DELETE FROM elsewhere.t WHERE k <= 10"
    sql "ALTER TABLE elsewhere.t SET SCHEMA public"
    refused_then_resynced
}

@test "its schema gets another name, and the catalog is rewritten: nothing is lost" {
    begin "FOR TABLES IN SCHEMA public"
    sql "ALTER SCHEMA public RENAME TO other; ALTER SCHEMA other RENAME TO public"
    sql "VACUUM FULL pg_depend; VACUUM FULL pg_publication; VACUUM FULL t; DELETE FROM t WHERE k <= 10"
    stayed
}
