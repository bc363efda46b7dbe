#!/usr/bin/env bats
# A sink is detached while tables of it are parked. Its resume copies these, too, so nothing is parked any more.

bats_require_minimum_version 1.5.0

load detach

setup() {
    detach_setup
    sed -i -E '/^\[sink (three|olap)\]/a on_error = park' "$conf"
    pg_sql src "CREATE TABLE u (id int PRIMARY KEY, n int NOT NULL);
        INSERT INTO u SELECT g, g % 100 FROM generate_series(1, 500) g" "$db"
    pg_sql dst "CREATE TABLE u (id int PRIMARY KEY, n int NOT NULL)" "$db"
    pg_sql dst "CREATE TABLE u (id int PRIMARY KEY, n int NOT NULL)" "${db}_three"
}

parked_in() { # SINK TABLES
    [ "$(walpipe tables --json | jq -r --arg s "$1" '[.sinks[] | select(.sink == $s) | .tables[] |
        select(.state == "parked") | .table] | sort | join(",")')" = "$2" ]
}

@test "tables that are parked in a sink that is detached come back with all others" {
    local sink
    pipeline_start "$conf"
    wait_until 60 all_streaming
    pg_sql dst "ALTER TABLE u ADD CHECK (n < 1000) NOT VALID" "${db}_three"
    pipeline_stop "$conf"
    ch_sql ch "ALTER TABLE u MODIFY COLUMN n Int8" "$db"
    pipeline_start "$conf"
    pg_sql src "UPDATE u SET n = 2000 WHERE id < 100" "$db"
    for sink in three olap; do
        wait_until 90 parked_in "$sink" u
    done
    moves_on three
    for sink in three olap; do
        pause_sink "$sink"
    done
    wal_grows 6
    wait_until 60 are_detached three olap
    pg_sql src "UPDATE u SET n = 2001 WHERE id < 50; DELETE FROM u WHERE id > 400; UPDATE t SET v = 'unheard'" "$db"
    moves_on dst
    pg_sql dst "ALTER TABLE u DROP CONSTRAINT u_n_check" "${db}_three"
    ch_sql ch "ALTER TABLE u MODIFY COLUMN n Int32" "$db"
    for sink in three olap; do
        resume_sink "$sink"
    done
    wait_until 90 all_streaming
    caught_up "$conf" src "$db"
    all_equal t u
    for sink in three olap; do
        parked_in "$sink" ''
    done
    # nor behind a restart
    pipeline_stop "$conf"
    pg_sql src "UPDATE u SET n = 5; UPDATE t SET v = 'last'" "$db"
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    all_equal t u
    pipeline_stop "$conf"
}
