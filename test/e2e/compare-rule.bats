#!/usr/bin/env bats
# walpipe compare: the ranges of larger tables, rows that never hold still, a sink that is behind, and
# commits that the target has before the source shows them.

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
    source "$BATS_TEST_DIRNAME/compare.bash"
    compare_setup
}

teardown() {
    [ ! -e "$dir/session" ] || kill "$(cat "$dir/session")" 2>/dev/null || true
    compare_teardown
}

@test "differences at the ends of ranges are found, and behind the last row" {
    in_src "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT i * 2, i FROM generate_series(1, 120000) i;
        CREATE TABLE u (k uuid PRIMARY KEY, v int);
        INSERT INTO u SELECT md5(i::text)::uuid, i FROM generate_series(1, 60000) i;
        CREATE TABLE c (k text COLLATE \"C\" PRIMARY KEY, v int);
        INSERT INTO c SELECT md5(i::text), i FROM generate_series(1, 60000) i;
        CREATE PUBLICATION p FOR ALL TABLES"
    in_dst "CREATE TABLE t (id int UNIQUE, v int)"
    write_conf
    begin
    compare
    [ "$status" -eq 0 ]
    for id in 2 99999 100000 100002 240000; do
        in_dst "UPDATE t SET v = 0 WHERE id = $id"
    done
    in_dst "INSERT INTO t VALUES (-7, 1), (100001, 1), (300000, 1), (NULL, 5)"
    in_dst "INSERT INTO u VALUES ('00000000-0000-0000-0000-000000000000', 1), ('ffffffff-ffff-ffff-ffff-ffffffffffff', 1)"
    in_dst "INSERT INTO c VALUES ('', 1), ('~', 1)"
    in_ch "INSERT INTO t (id, v, _version) VALUES (-7, 1, 1), (100001, 1, 1), (300000, 1, 1)"
    in_ch "INSERT INTO t (id, v, _version) VALUES (100000, 0, 9000000000000000000)"
    in_ch "INSERT INTO c (k, v, _version) VALUES ('', 1, 1), ('~', 1, 1)"
    compare
    [ "$status" -eq 1 ]
    has "  different     public.t, 120000 rows, 8 differences"
    has "    surplus    id=NULL"
    has "  different     public.t, 120000 rows, 4 differences"
    [ "$(grep -c '^    different  id=100000' <<<"$output")" -eq 2 ]
    [ "$(grep -c '^    surplus    id=300000' <<<"$output")" -eq 2 ]
    has "  different     public.u, 60000 rows, 2 differences"
    [ "$(grep -c '^  different     public.c, 60000 rows, 2 differences' <<<"$output")" -eq 2 ]

    # the same of several tables at the same time
    compare --connections 2 --json
    [ "$status" -eq 1 ]
    [ "$(jq '[.sinks[].tables[].differences[]] | length' <<<"$output")" -eq 18 ]
    [ "$(jq -r .result <<<"$output")" = different ]

    # a limited rate: 120,000 rows at 40,000 per second are 3 seconds
    SECONDS=0
    compare --sink olap --table public.t --rate 40000
    [ "$SECONDS" -ge 2 ]
}

@test "one difference in each of 50 tables is found, and no other" {
    local sql='' plant=''
    for i in $(seq 50); do
        sql+="CREATE TABLE t$i (id int PRIMARY KEY, v text); INSERT INTO t$i SELECT i, 'v' || i FROM generate_series(1, 300) i;"
        plant+="UPDATE t$i SET v = 'x' WHERE id = $i;"
    done
    in_src "$sql CREATE PUBLICATION p FOR ALL TABLES"
    write_conf "" "tables = public.t1"
    begin
    in_dst "$plant"
    compare --sink dst
    [ "$status" -eq 1 ]
    [ "$(grep -c '^  different .* 1 differences' <<<"$output")" -eq 50 ]
    for i in $(seq 50); do
        has "    different  id=$i: v 'v$i' in the source, 'x' in the target"
    done
    in_dst "UPDATE t7 SET v = 'v7' WHERE id = 7"
    compare --sink dst --connections 4
    [ "$status" -eq 1 ]
    has "  equal         public.t7, 300 rows"
    [ "$(grep -c '^  different .* 1 differences' <<<"$output")" -eq 49 ]
}

# hold SQL...: a session that runs these commands and then waits
hold() {
    local commands=()
    for sql in "$@" "SELECT pg_sleep(300)"; do
        commands+=(-c "$sql")
    done
    psql -XAtq -d "$(pg_conninfo src "$db")" "${commands[@]}" >"$dir/session.out" 2>&1 </dev/null 3>&- &
    echo $! >"$dir/session"
}

@test "a commit that the target has before the source shows it is no difference" {
    in_src "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c');
            CREATE PUBLICATION p FOR ALL TABLES"
    write_conf
    begin
    # the source waits for a standby that does not exist, and shows nothing of the transaction
    in_src "ALTER SYSTEM SET synchronous_standby_names = 'nobody'"
    in_src "SELECT pg_reload_conf()"
    # when a new session knows it, the checkpointer has been told, and reads it before a checkpoint
    wait_until 20 eval '[ "$(in_src "SHOW synchronous_standby_names")" = nobody ]'
    in_src "CHECKPOINT"
    hold "BEGIN" "UPDATE t SET v = 'new' WHERE id = 1" "DELETE FROM t WHERE id = 2" "INSERT INTO t VALUES (4, 'd')" "COMMIT"
    wait_until 20 target_has_it
    [ "$(in_src "SELECT string_agg(id || v, ',' ORDER BY id) FROM t")" = 1a,2b,3c ]
    compare --sink dst
    [ "$status" -eq 2 ]
    [ "$(grep -c "a transaction of the source is open, and may be waiting for a standby" <<<"$output")" -eq 3 ]
    in_src "ALTER SYSTEM RESET synchronous_standby_names"
    in_src "SELECT pg_reload_conf()"
    wait_until 20 source_shows_it
    compare
    [ "$status" -eq 0 ]
}

target_has_it() {
    [ "$(in_dst "SELECT string_agg(id || v, ',' ORDER BY id) FROM t")" = 1new,3c,4d ]
}

source_shows_it() {
    [ "$(in_src "SELECT string_agg(id || v, ',' ORDER BY id) FROM t")" = 1new,3c,4d ]
}

@test "an open transaction does not hide a difference, and is waited for only a while" {
    in_src "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c');
            CREATE PUBLICATION p FOR ALL TABLES"
    write_conf
    begin
    hold "BEGIN" "INSERT INTO t VALUES (4, 'd')" "UPDATE t SET v = 'z' WHERE id = 2"
    wait_until 20 session_sleeps
    in_dst "DELETE FROM t WHERE id = 1; UPDATE t SET v = 'y' WHERE id = 2; INSERT INTO t VALUES (9, 'i')"
    compare --sink dst
    [ "$status" -eq 1 ]
    has "    missing    id=1"
    has "    different  id=2: v 'b' in the source, 'y' in the target"
    has "    surplus    id=9"
}

session_sleeps() {
    [ "$(in_src "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(300)' AND backend_xid IS NOT NULL")" = 1 ]
}
