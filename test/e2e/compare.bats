#!/usr/bin/env bats
# walpipe compare, into PostgreSQL and ClickHouse 18.16: equal tables are equal also while clients
# write, a row that was changed, removed or added by hand is always found, and whatever cannot be
# compared is named.

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
    compare_teardown
}

# Keys of many kinds: t an integer, c text that sorts by bytes, l text that does not, w two columns
# of which the first has few values, u a uuid, ts a time, f REPLICA IDENTITY FULL, k no key.
make_tables() {
    in_src "CREATE TABLE t (id int PRIMARY KEY, v text, n numeric(10,3), f float8, r real, b bool,
            d date, s timestamp, z timestamptz, u uuid, j jsonb, y bytea, a int[], c char(5));
        INSERT INTO t SELECT i, 'v' || i, i / 8.0, i / 7.0, i / 7.0, i % 2 = 0, date '2000-01-01' + i,
            timestamp '2020-01-01' + i * interval '1.5 s', timestamptz '2020-01-01 00:00+02' + i * interval '1 h',
            md5(i::text)::uuid, jsonb_build_object('k', i, 's', 'x|y'), decode(md5(i::text), 'hex'),
            ARRAY[i, NULL], 'c' || i % 10 FROM generate_series(1, 3000) i;
        INSERT INTO t (id) VALUES (-1);
        INSERT INTO t (id, v, f, r, a, y) VALUES (-2, '', 'NaN', '-0', '{}', ''), (-3, '|', '-0', 'NaN', '{NULL}', '\\x00'),
            (-4, E'a\\tb\\nc\\\\', 'Infinity', 1e-30, NULL, NULL), (-5, 'é€', 1e300, 3.4e38, '{1}', '\\xff');
        CREATE TABLE c (k text COLLATE \"C\" PRIMARY KEY, v int);
        INSERT INTO c SELECT 'k' || i, i FROM generate_series(1, 2000) i;
        CREATE TABLE l (k text COLLATE \"en-x-icu\" PRIMARY KEY, v int);
        INSERT INTO l SELECT md5(i::text), i FROM generate_series(1, 3000) i;
        CREATE TABLE w (a int, b text, v int, PRIMARY KEY (a, b));
        INSERT INTO w SELECT i % 3, 'b' || i, i FROM generate_series(1, 2000) i;
        CREATE TABLE u (k uuid PRIMARY KEY, v int);
        INSERT INTO u SELECT md5(i::text)::uuid, i FROM generate_series(1, 2000) i;
        CREATE TABLE ts (k timestamptz PRIMARY KEY, v int);
        INSERT INTO ts SELECT timestamptz '2020-01-01 00:00Z' + i * interval '1.1 s', i FROM generate_series(1, 1500) i;
        CREATE TABLE f (k int PRIMARY KEY, v text); ALTER TABLE f REPLICA IDENTITY FULL;
        INSERT INTO f SELECT i, 'f' FROM generate_series(1, 500) i;
        CREATE TABLE k (x int, y text);
        INSERT INTO k SELECT i % 50, 'y' FROM generate_series(1, 500) i;
        CREATE TABLE \"Q \"\"x'\" (\"I d\"\"'\" int PRIMARY KEY, \"v v\" text);
        INSERT INTO \"Q \"\"x'\" VALUES (1, 'a''b\"c');
        CREATE TABLE part (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
        CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (1000);
        CREATE TABLE part2 PARTITION OF part FOR VALUES FROM (1000) TO (9999);
        INSERT INTO part SELECT i, 'p' FROM generate_series(1, 2000) i;
        CREATE PUBLICATION p FOR ALL TABLES WITH (publish_via_partition_root = on)"
}

# Every table changes, and its keys too.
write_load() {
    cat >"$dir/load.sql" <<'SQL'
\set id random(1, 3000)
\set new random(100000, 200000)
\set x random(1, 50)
UPDATE t SET v = 'load ' || :new, n = :id / 7.0, z = now(), b = NULL WHERE id = :id;
INSERT INTO t (id, v) VALUES (:new, 'new') ON CONFLICT DO NOTHING;
DELETE FROM t WHERE id = :new - 3;
UPDATE c SET v = v + 1 WHERE k = 'k' || :id;
INSERT INTO l VALUES (md5((:new)::text), 1) ON CONFLICT (k) DO UPDATE SET v = l.v + 1;
DELETE FROM l WHERE k = md5((:new - 1)::text);
UPDATE w SET b = b || 'x' WHERE a = 1 AND b = 'b' || :id;
UPDATE u SET v = v + 1 WHERE k = md5((:id)::text)::uuid;
UPDATE part SET id = id + 5000 WHERE id = :id AND NOT EXISTS (SELECT FROM part WHERE id = :id + 5000);
INSERT INTO k VALUES (:x, 'y');
SQL
}

equal_everywhere() {
    [ "$status" -eq 0 ] && [ "${lines[-1]}" = equal ] && [ "$(grep -c '^  equal ' <<<"$output")" -eq 19 ]
}

# Clients write until load_end, as fast as the slower sink takes it. At a fixed rate an overloaded
# ClickHouse would fall further and further behind, since each key that moves to the other worker is a
# barrier for both.
load_begin() {
    write_bursts >"$dir/load.log" 2>&1 3>&- &
    echo $! >"$dir/load.pid"
    kill_later "$(cat "$dir/load.pid")"
}

write_bursts() {
    while [ ! -e "$dir/enough" ]; do
        # two clients may move the same row of part, which ends one of them
        pgbench -n -c 2 -t 10 -f "$dir/load.sql" "$(pg_conninfo src "$db")" || true
        until [ -e "$dir/enough" ] || is_close; do
            sleep 0.1
        done
    done
}

is_close() {
    [ "$(in_src "SELECT pg_current_wal_lsn() - confirmed_flush_lsn < 100000 FROM pg_replication_slots
                  WHERE slot_name = '$db'")" = t ]
}

load_end() {
    wait_until 120 has_bursts
    touch "$dir/enough"
    wait "$(cat "$dir/load.pid")"
}

has_bursts() {
    [ "$(grep -c '^number of transactions actually processed: 20/20' "$dir/load.log")" -ge 3 ]
}

@test "tables that clients change all the time are equal, and planted differences in them are found" {
    make_tables
    write_conf "shards = 2" $'shards = 2\ntables = !public.f'
    begin
    compare
    equal_everywhere
    write_load
    load_begin
    for _ in 1 2; do
        compare
        equal_everywhere
    done

    in_dst "UPDATE t SET a = '{1,2}' WHERE id = -5; DELETE FROM t WHERE id = -1; INSERT INTO t (id) VALUES (-9);
            UPDATE f SET v = 'g' WHERE k = 7"
    in_ch "ALTER TABLE t DELETE WHERE id = -2"
    in_ch "INSERT INTO t (id, v, _version) VALUES (-8, 'x', 1)"
    in_ch "INSERT INTO t (id, v, _version) VALUES (-4, 'x', 9000000000000000000)"
    wait_until 60 gone_in_ch t "id = -2"
    compare --table public.t
    load_end
    [ "$status" -eq 1 ]
    has "    different  id=-5: a '{1}' in the source, '{1,2}' in the target"
    has "    missing    id=-1"
    has "    surplus    id=-9"
    has "    missing    id=-2"
    has "    surplus    id=-8"
    grep -q '^    different  id=-4: v ' <<<"$output"
    [ "$(grep -c '^    [a-z]* *id=' <<<"$output")" -eq 6 ]
    compare --table public.f --sink dst
    [ "$status" -eq 1 ]
    has "    different  k=7: v 'f' in the source, 'g' in the target"
}

gone_in_ch() {
    [ "$(in_ch "SELECT count() FROM $1 FINAL WHERE $2")" = 0 ]
}

@test "a changed, removed or added row is found by every kind of key, and in every kind of table" {
    make_tables
    write_conf "" "tables = !public.f"
    begin
    in_dst "UPDATE c SET v = 0 WHERE k = 'k5'; DELETE FROM c WHERE k = 'k6'; INSERT INTO c VALUES ('zz', 1), ('', 2);
        UPDATE l SET v = 0 WHERE v = 5; DELETE FROM l WHERE v = 6; INSERT INTO l VALUES ('zz', 1);
        UPDATE w SET v = 0 WHERE v = 5; DELETE FROM w WHERE v = 6; INSERT INTO w VALUES (1, 'zz', 1);
        UPDATE u SET v = 0 WHERE v = 5; DELETE FROM u WHERE v = 6;
        INSERT INTO u VALUES ('ffffffff-ffff-ffff-ffff-ffffffffffff', 1);
        UPDATE ts SET v = 0 WHERE v = 5; DELETE FROM ts WHERE v = 6; INSERT INTO ts VALUES ('2030-01-01', 1);
        INSERT INTO k VALUES (3, 'y'), (3, NULL); DELETE FROM k WHERE ctid IN (SELECT ctid FROM k WHERE x = 9 LIMIT 2);
        UPDATE \"Q \"\"x'\" SET \"v v\" = NULL; UPDATE part SET v = 'q' WHERE id = 1500"
    compare --sink dst
    [ "$status" -eq 1 ]
    has "  different     public.c, 2000 rows, 4 differences"
    has "    different  k=k5: v '5' in the source, '0' in the target"
    has "    missing    k=k6"
    has "    surplus    k=zz"
    has "    surplus    k="
    has "  different     public.l, 3000 rows, 3 differences"
    has "  different     public.w, 2000 rows, 3 differences"
    has "    surplus    a=1, b=zz"
    has "  different     public.u, 2000 rows, 3 differences"
    has "    surplus    k=ffffffff-ffff-ffff-ffff-ffffffffffff"
    has "  different     public.ts, 1500 rows, 3 differences"
    has "    surplus    k=2030-01-01 00:00:00+00"
    has "  different     public.k, 500 rows, 3 differences"
    has "    number     x=3, y=y: rows '10' in the source, '11' in the target"
    has "    number     x=3, y=NULL: rows '0' in the source, '1' in the target"
    has "    number     x=9, y=y: rows '10' in the source, '8' in the target"
    has "    different  I d\"'=1: v v 'a'b\"c' in the source, NULL in the target"
    has "    different  id=1500: v 'p' in the source, 'q' in the target"
    [ "$(grep -c '^  equal' <<<"$output")" -eq 2 ]

    # a tombstone that is gone shows the row again
    in_src "DELETE FROM w WHERE v = 10; DELETE FROM c WHERE k = 'k10'"
    caught_up "$conf" src "$db"
    compare --sink olap
    [ "$status" -eq 0 ]
    for t in c w; do
        in_ch "ALTER TABLE $t DELETE WHERE _is_deleted = 1"
    done
    for t in l u ts; do
        in_ch "ALTER TABLE $t UPDATE v = 0 WHERE v = 5"
        in_ch "ALTER TABLE $t DELETE WHERE v = 6"
    done
    in_ch "INSERT INTO k (x, y) SELECT x, y FROM k LIMIT 1"
    wait_until 30 mutations_done
    compare --sink olap
    [ "$status" -eq 1 ]
    has "    surplus    k=k10"
    has "    surplus    a=1, b=b10"
    for t in l u ts; do
        grep -q "^  different     public.$t, [0-9]* rows, 2 differences" <<<"$output"
    done
    grep -q "^    number     x=.*: rows '10' in the source, '11' in the target" <<<"$output"
}

mutations_done() {
    [ "$(in_ch "SELECT count() FROM system.mutations WHERE database = '$db' AND NOT is_done")" = 0 ]
}

@test "row filters, column lists, maps, other types and left-out columns are followed" {
    in_src "CREATE TABLE t (id int PRIMARY KEY, v text, secret text, n int, i int, m numeric(8,2), s timestamp,
            r real, j json, c varchar(9));
        INSERT INTO t SELECT i, 'v' || i, 's', i % 10, i, i / 4.0, timestamp '2020-01-01' + i * interval '0.1 s',
            i / 3.0, '{\"a\": 1,  \"a\": 2}', 'c ' FROM generate_series(1, 1500) i;
        INSERT INTO t (id, n) VALUES (0, 1);
        CREATE PUBLICATION p FOR TABLE t (id, v, n, i, m, s, r, j, c) WHERE (n < 5)"
    in_dst "CREATE SCHEMA x; CREATE TABLE x.y (more int DEFAULT 1, v text, id bigint PRIMARY KEY, n text, i numeric(12,3),
            m numeric, s timestamptz, r float8, j jsonb, c char(12))"
    write_conf "map = public.t -> x.y" "[sink olap table public.t]
leave_out = v
column_types = n -> String, i -> Nullable(Decimal(18, 4)), m -> Nullable(Float64)"
    begin
    compare
    [ "$status" -eq 0 ]
    has "  equal         public.t, 751 rows"
    in_dst "UPDATE x.y SET more = 2; UPDATE x.y SET n = '04' WHERE id = 4; UPDATE x.y SET i = i + 0.001 WHERE id = 11;
        UPDATE x.y SET m = m + 0.01 WHERE id = 12; UPDATE x.y SET s = s + interval '1 us' WHERE id = 13;
        UPDATE x.y SET r = 0.1 WHERE id = 14; UPDATE x.y SET j = '{}' WHERE id = 20; UPDATE x.y SET c = 'C' WHERE id = 21;
        INSERT INTO x.y (id) VALUES (5)"
    in_ch "ALTER TABLE t UPDATE i = i + toDecimal64('0.0001', 4) WHERE id = 11"
    in_ch "ALTER TABLE t UPDATE m = 1.1 WHERE id = 12"
    in_ch "ALTER TABLE t UPDATE n = '04' WHERE id = 4"
    wait_until 30 mutations_done
    compare
    [ "$status" -eq 1 ]
    has "  different     public.t, 751 rows, 8 differences"
    has "    different  id=4: n '4' in the source, '04' in the target"
    has "    different  id=13: s '2020-01-01 00:00:01.3' in the source, '2020-01-01 00:00:01.300001+00' in the target"
    has "    surplus    id=5"
    has "  different     public.t, 751 rows, 3 differences"
    has "    different  id=12: m '3.00' in the source, '1.1' in the target"
}

# metric NAME SINK VALUE
metric() {
    curl -fsS "http://127.0.0.1:$(cat "$dir/http")/metrics" | grep -qx "$1{pipeline=\"$db\",sink=\"$2\"} $3"
}

@test "whatever cannot be compared is named, and the exit code is 2" {
    in_src "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b');
            CREATE TABLE gone (id int PRIMARY KEY); INSERT INTO gone VALUES (1); CREATE TABLE hot (id int PRIMARY KEY, n int);
            INSERT INTO hot VALUES (1, 0), (2, 0); CREATE TABLE empty (id int PRIMARY KEY); CREATE PUBLICATION p FOR ALL TABLES"
    write_conf
    port_new >"$dir/http"
    sed -i "s/^state_dir/http = 127.0.0.1:$(cat "$dir/http")\n&/" "$conf"
    begin
    compare
    [ "$status" -eq 0 ]
    has "  equal         public.empty, 0 rows"

    # usage
    compare --sink nobody
    [ "$status" -eq 100 ]
    compare --table public.nothing
    [ "$status" -eq 100 ]
    compare --rate 0
    [ "$status" -eq 100 ]
    run "$WALPIPE_BIN/walpipe" tables -c "$conf" --rate 1
    [ "$status" -eq 100 ]

    # the metrics have the last result of each sink over all its tables
    metric replicator_compare_rows dst 5
    metric replicator_compare_differences dst 0

    # a table that is not there
    in_dst "DROP TABLE gone"
    compare --sink dst
    [ "$status" -eq 2 ]
    has "  not compared  public.gone, 0 rows"
    has "    not compared: the target has no table public.gone"
    has "no difference found, but not everything could be compared"
    compare --sink dst --table public.t
    [ "$status" -eq 0 ]

    # a difference counts more than that, and values can be hidden
    in_dst "UPDATE t SET v = 'secret' WHERE id = 2"
    compare --sink dst --json --no-values
    [ "$status" -eq 1 ]
    [[ $output != *secret* ]]
    [ "$(jq -c '.sinks[0].tables[] | select(.table == "t") | .differences' <<<"$output")" = \
        '[{"kind":"different","key":"id=2","columns":[{"name":"v"}]}]' ]
    [ "$(jq -r '.result, (.sinks[0].tables[] | .table + " " + .result)' <<<"$output" | sort | tr '\n' ,)" = \
        'different,empty equal,gone not compared,hot equal,t different,' ]

    metric replicator_compare_differences dst 1
    metric replicator_compare_not_compared dst 1
    metric replicator_compare_differences olap 0

    # a paused sink
    "$WALPIPE_BIN/walpipe" pause -c "$conf" --sink olap
    compare --sink olap
    [ "$status" -eq 2 ]
    has "    not compared: the sink is paused"
    "$WALPIPE_BIN/walpipe" resume -c "$conf" --sink olap

    # a pipeline that does not run: what is equal is equal, and the rest is not known
    pipeline_stop "$conf"
    compare --sink dst --table public.hot
    [ "$status" -eq 0 ]
    compare --sink dst --table public.t
    [ "$status" -eq 2 ]
    grep -q '^    not compared: 1 row: pipeline .* is not running' <<<"$output"

    # a target that is down
    pg_stop dst
    compare --sink dst --table public.t
    [ "$status" -eq 2 ]
    pg_start dst
}
