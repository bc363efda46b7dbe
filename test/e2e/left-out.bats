#!/usr/bin/env bats
# Changes of a copied table that a sink's `tables` leaves out pass the sink by. Its notes say so before
# any of them is confirmed, so the table is refused when it is back, and walpipe resync leads on.

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

# The bug was that only the end of the first list made the note, and changes were confirmed before.
passed_without_a_list() {
    begin
    write_conf yes "tables = public.u"
    start_without_lists
    unheard
    caught_up "$conf" src "$db"
    [ "$(notes "count(*)" "state = 'out-streaming' AND name = 't'")" = "$shards" ]
    pipeline_kill "$conf"
    write_conf
    refused t
}

@test "changes pass before the first list, PostgreSQL" {
    passed_without_a_list
}

@test "changes pass before the first list, ClickHouse" {
    into=ch
    passed_without_a_list
}

# The bug was that nothing noted it without a copy.
passed_without_a_copy() {
    begin
    write_conf no "tables = public.u"
    pipeline_start "$conf"
    unheard
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
    [ "$(notes "count(*)" "state = 'out-streaming' AND name = 't'")" = "$shards" ]
    write_conf
    refused t
}

@test "changes pass while copy = no, PostgreSQL" {
    passed_without_a_copy
}

@test "changes pass while copy = no, ClickHouse" {
    into=ch
    passed_without_a_copy
}

@test "the target is down when they come, and copy = no" {
    begin
    write_conf no "tables = public.u"
    pipeline_start "$conf"
    pg_stop dst
    unheard
    wait_until 30 grep -q 'waiting for the target' "$conf.log"
    pg_start dst
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
    write_conf
    refused t
}

@test "a table gets a name that the sink's tables leave out, and no list has seen that" {
    begin
    write_conf yes "tables = public.t, public.u"
    start_without_lists
    sql "ALTER TABLE t RENAME TO other"
    unheard other
    caught_up "$conf" src "$db"
    pipeline_kill "$conf"
    sql "ALTER TABLE other RENAME TO t"
    write_conf
    refused t
}

@test "the worker that passed them over is no more" {
    begin
    pg_sql dst "UPDATE walpipe.tables SET state = 'out-streaming' WHERE name = 't' AND shard = 1" "$db"
    shards=1
    write_conf
    refused t
}

@test "a table that is left out without any change, and comes back, is not refused" {
    begin
    write_conf no "tables = public.u"
    pipeline_start "$conf"
    sql "UPDATE u SET v = 'heard' WHERE k = 1"
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
    write_conf
    pipeline_start "$conf"
    equal
}

# The bug was that each worker updated the notes of all inside the transaction: one waited for the
# other's lock, so it did not read, and route could not send the commit to the other one.
@test "a table is left out within a large transaction, and copy = no" {
    begin
    write_conf no "tables = public.u
batch_rows = 100"
    pipeline_start "$conf"
    sql "BEGIN; INSERT INTO u SELECT i, repeat('x', 100) FROM generate_series(2000, 12000) AS i;
        DELETE FROM t WHERE k = 1;
        INSERT INTO u SELECT i, repeat('x', 100) FROM generate_series(20000, 220000) AS i; COMMIT"
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
    [ "$(notes "count(*)" "state = 'out-streaming' AND name = 't'")" = "$shards" ]
    write_conf
    refused t
}

# The bug was that nothing noted it. While nothing lists the tables, the notes name the publications.
read_others() {
    begin
    publications=q
    write_conf "$1"
    if [ "$1" = no ]; then
        pipeline_start "$conf"
    else
        start_without_lists
    fi
    unheard
    caught_up "$conf" src "$db"
    pipeline_kill "$conf"
    publications=q,p
    write_conf
    pipeline_start "$conf" || true
    wait_until 60 test -s "$conf.exit"
    "$WALPIPE_BIN/walpipe" resync -c "$conf" --table public.u
    refused t
}

@test "a publication is not read for a time, and no list comes, PostgreSQL" {
    read_others yes
}

@test "a publication is not read for a time, and no list comes, ClickHouse" {
    into=ch
    read_others yes
}

@test "a publication is not read for a time while copy = no, PostgreSQL" {
    read_others no
}

@test "a publication is not read for a time while copy = no, ClickHouse" {
    into=ch
    read_others no
}

# all_have PATTERN: the tables' definitions
all_have() {
    [ -e "$conf.exit" ] || [ "$(notes "count(*)" "definition ~ '$1'")" = $((2 * shards)) ]
}

@test "a list settles that other publications are read" {
    begin
    sql "CREATE PUBLICATION r FOR TABLE t, u"
    pipeline_start "$conf"
    wait_until 60 all_have '(,.*){2} s[0-9a-f]{8}$'
    pipeline_stop "$conf"
    for publications in q,r r; do
        write_conf
        start_without_lists
        sql "UPDATE t SET v = '$publications' WHERE k = 3"
        caught_up "$conf" src "$db"
        all_have ' u[0-9a-f]{8}$'
        pipeline_kill "$conf"
        pipeline_start "$conf"
        wait_until 60 all_have ' s[0-9a-f]{8}$'
        equal
    done
}
