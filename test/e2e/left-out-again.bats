#!/usr/bin/env bats
# Tables that a sink leaves out for a time only, under another name or in another schema, or before
# it has a note of any table.

bats_require_minimum_version 1.5.0

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    pg_new src
    pg_new dst
    ch_new ch
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    source "$BATS_TEST_DIRNAME/../lib/compare.bash"
    source "$BATS_TEST_DIRNAME/left-out.bash"
    left_out_setup
}

teardown() {
    left_out_teardown
}

# The bug was that later changes of it were applied, and only the next start refused it.
out_and_in_again() {
    begin
    write_conf yes "tables = public.t, public.u"
    : >"$conf.log" # the lists of before
    pipeline_start "$conf"
    wait_until 30 grep -q 'published tables are to be copied' "$conf.log"
    sql "ALTER TABLE t RENAME TO other"
    unheard other
    sql "ALTER TABLE other RENAME TO t"
    sql "UPDATE t SET v = 'later' WHERE k = 500"
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq 100 ]
    refused t
}

@test "a name is left out and given back between two lists, PostgreSQL" {
    out_and_in_again
}

@test "a name is left out and given back between two lists, ClickHouse" {
    into=ch
    out_and_in_again
}

@test "a name is left out and given back, and copy = no: a warning" {
    begin
    write_conf no "tables = public.t, public.u"
    pipeline_start "$conf"
    sql "ALTER TABLE t RENAME TO other"
    unheard other
    sql "ALTER TABLE other RENAME TO t"
    sql "UPDATE t SET v = 'later' WHERE k = 500"
    wait_until 60 grep -q '"message":"public.t had a name for a time that the sink.s tables leave out' "$conf.log"
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
    write_conf
    refused t
}

# The bug was that it was taken as streaming, because no note of it was there.
of_a_sink_without_notes() {
    write_conf no
    sql "CREATE PUBLICATION p FOR TABLE t; CREATE PUBLICATION q FOR TABLE u"
    pipeline_start "$conf"
    for table in t u; do
        sql "INSERT INTO $table SELECT i, 'v' FROM generate_series(1, 1000) AS i"
    done
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
    write_conf yes "tables = public.u"
    start_without_lists
    unheard
    caught_up "$conf" src "$db"
    pipeline_kill "$conf"
    write_conf
    refused t
}

@test "no table has a note yet, since the sink followed without copies, PostgreSQL" {
    local table
    for table in t u; do
        sql "CREATE TABLE $table (k int PRIMARY KEY, v text)"
        pg_sql dst "CREATE TABLE $table (k int PRIMARY KEY, v text)" "$db"
    done
    of_a_sink_without_notes
}

@test "no table has a note yet, since the sink followed without copies, ClickHouse" {
    local table
    into=ch
    for table in t u; do
        sql "CREATE TABLE $table (k int PRIMARY KEY, v text)"
    done
    of_a_sink_without_notes
}

# The bug was that route told of it only where the sink had tables.
@test "a table is in the schema walpipe for a time, and copy = no" {
    begin
    sql "CREATE SCHEMA walpipe"
    write_conf no
    pipeline_start "$conf"
    sql "ALTER TABLE t SET SCHEMA walpipe"
    unheard walpipe.t
    sql "ALTER TABLE walpipe.t SET SCHEMA public"
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
    write_conf
    refused t
}
