#!/usr/bin/env bats
# A sink that has followed its tables without copies, and copies from now on: its tables stay as they
# are.

bats_require_minimum_version 1.5.0

load ../lib/copied

write_conf() { # COPY
    cat >"$conf" <<CONF
[pipeline]
name = $db
state_dir = $dir/state
log_level = debug
copy = $1
[source]
conninfo = $(pg_conninfo src "$db")
slot = $db
publication = p
[sink dst]
type = pg
conninfo = $(pg_conninfo dst "$db")
flush_interval = 50ms
shards = 2
CONF
}

# followed: t and w of 5,000 rows, of which the source has half now
followed() {
    local sql="CREATE TABLE t (k int PRIMARY KEY, v text); CREATE TABLE w (k int PRIMARY KEY, v text)"
    pg_sql src "$sql; CREATE PUBLICATION p FOR TABLE t, w" "$db"
    pg_sql dst "$sql" "$db"
    write_conf no
    pipeline_start "$conf"
    pg_sql src "INSERT INTO t SELECT i, 'a' FROM generate_series(1, 5000) AS i; INSERT INTO w SELECT * FROM t" "$db"
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
    pg_sql src "DELETE FROM t WHERE k % 2 = 0; DELETE FROM w WHERE k % 2 = 0" "$db"
}

# freeze_second SECONDS: worker 1 is registered, and does nothing for so long
freeze_second() {
    local pid
    wait_until 30 grep -q '"shard":1,"message":"registered' "$conf.log"
    pid=$(grep -o 'started sink dst/1, pid [0-9]*' "$conf.log" | tail -n 1)
    kill -STOP "${pid##* }"
    sleep "$1"
    kill -CONT "${pid##* }"
}

# The bug was that worker 1 took the tables for new: it was refused, or passed over their changes.
@test "all workers know that the tables were followed, whoever notes them first" {
    followed
    for freeze in 0 2; do
        write_conf yes
        : >"$conf.log"
        freeze_second $freeze 3>&- &
        freezer=$!
        pipeline_start "$conf"
        wait "$freezer"
        wait_until 60 all_streaming 2 2
        pg_sql src "UPDATE t SET v = 'later $freeze'; DELETE FROM w WHERE k < 100" "$db"
        caught_up "$conf" src "$db"
        equal t w
        [ "$(pg_sql dst "SELECT count(*) FROM walpipe.tables WHERE relid <> 0" "$db")" = 4 ]
        pipeline_stop "$conf"
        [ "$freeze" = 2 ] || {
            pg_sql dst "DROP TABLE walpipe.tables, walpipe.missing, walpipe.held" "$db"
            pg_sql src "DELETE FROM t WHERE k % 3 = 0; DELETE FROM w WHERE k % 3 = 0" "$db"
        }
    done
}
