#!/usr/bin/env bats
# sink-ch into a ClickHouse of today (the engine of chdb behind test/chdb/front.c): UInt128 versions,
# is_deleted, DateTime64 and what else Debian's 18.16 has not.

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/chdb.bash"
    chdb_available || return 0
    pg_new src
    chdb_new new
    pg_sql src "
        create type mood as enum ('sad', 'ok', 'happy');
        create table kinds (id int primary key, i2 int2, i8 int8, f4 float4, f8 float8, n numeric(20, 4),
            nn numeric, t text, v varchar(10), by bytea, b bool, d date, ts timestamp, tz timestamptz,
            u uuid, j jsonb, m mood, ia int[], ta text[], ip inet);
        create table pairs (a int, b text, v text, primary key (a, b));
        create table docs (id int primary key, j jsonb, a int[], t text, n int);
        alter table docs alter j set storage external, alter a set storage external, alter t set storage external;
        create table short (id int primary key, t text, n int);
        alter table short alter t set storage external;
        create table whole (id int primary key, t text, n int);
        alter table whole alter t set storage external, replica identity full;
        create table heap (v text, n int);
        create publication p for all tables"
    # Made by hand: types that create_tables does not choose, and another engine for each.
    ch_sql new "create table docs (id Int32, j JSON, a Array(Array(Int32)), t LowCardinality(Nullable(String)), n Int32,
        _version UInt128, _is_deleted UInt8) engine = ReplacingMergeTree(_version, _is_deleted) order by id"
    ch_sql new "create table short (id Int32, t String, n Int32, _version UInt64, _is_deleted UInt8)
        engine = ReplacingMergeTree(_version) order by id"
    ch_sql new "create table whole (id Int32, t String, n Int32, _version UInt128, _is_deleted UInt8)
        engine = ReplacingMergeTree(_version, _is_deleted) order by id"
    cat >"$SCRATCH/new.conf" <<C
[pipeline]
name = modern
state_dir = $SCRATCH/state
copy = no
http =
[source]
conninfo = $(pg_conninfo src)
slot = modern
publication = p
create_slot = yes
[sink olap]
type = ch
url = $(ch_url new)
database = default
create_tables = yes
shards = 2
batch_rows = 7
flush_interval = 50ms
C
    start_walpipe
}

start_walpipe() {
    "$WALPIPE_BIN/walpipe" run -c "$SCRATCH/new.conf" 2>>"$SCRATCH/run.log" 3>&- &
    echo $! >"$SCRATCH/walpipe.pid"
    kill_later $!
    wait_until 30 grep -q 'streaming from slot' "$SCRATCH/run.log"
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/chdb.bash"
    chdb_or_skip
}

teardown() {
    [ -n "${BATS_TEST_COMPLETED:-}" ] || grep -v '"level":"info"' "$SCRATCH/run.log" | tail -n 20
}

# Waits until the sink has everything that the source has now.
caught_up() {
    local lsn
    lsn=$(pg_sql src "select pg_current_wal_lsn()")
    reached() {
        [ "$(pg_sql src "select confirmed_flush_lsn >= '$lsn' from pg_replication_slots where slot_name = 'modern'")" = t ]
    }
    wait_until 60 reached
}

@test "tables are made with the engine's own types, versions and tombstones" {
    pg_sql src "insert into kinds (id) values (0); insert into pairs values (0, '', '')"
    caught_up
    run ch_sql new "select engine_full from system.tables where name = 'kinds'"
    [[ $output == "ReplacingMergeTree(_version, _is_deleted) ORDER BY (id)"* ]]
    run ch_sql new "select name, type from system.columns where database = 'default' and
        table = 'kinds' and name in ('_version', 'tz', 'b', 'd', 'n', 'ia') order by name format TSVRaw"
    [ "$output" = "_version	UInt128
b	Nullable(Bool)
d	Nullable(Date32)
ia	Nullable(String)
n	Nullable(Decimal(20, 4))
tz	Nullable(DateTime64(6, 'UTC'))" ] || { echo "$output"; false; }
}

@test "values of every kind arrive as they are" {
    pg_sql src "insert into kinds values (1, -32768, 9223372036854775807, 1.5, -1e300, 1234567890123456.7891, 1e40,
        E'a\\tb\\n\\\\''', 'ünï', '\\x00ff0a', true, '1969-12-31', '1969-12-31 23:59:59.999999',
        '2106-02-07 06:28:16.000001+00', '12345678-9abc-def0-0123-456789abcdef', '{\"a\": [1, null]}', 'happy',
        '{1,NULL,3}', '{\"a b\",\"\",NULL}', '2001:db8::1')"
    caught_up
    run ch_sql new "select i2, i8, f4, f8, n, nn, hex(t), v, hex(by), b, d, ts, tz, u, j, m, ia, ta, ip from kinds_current where id = 1 format TSVRaw"
    [ "$status" -eq 0 ]
    IFS=$'\t' read -r i2 i8 f4 f8 n nn t v by b d ts tz u j m ia ta ip <<<"$output"
    [ "$i2/$i8/$f4/$f8" = "-32768/9223372036854775807/1.5/-1e300" ]
    [ "$n/$nn" = "1234567890123456.7891/10000000000000000000000000000000000000000" ]
    [ "$t/$v/$by/$b" = "6109620A5C27/ünï/00FF0A/true" ]
    [ "$d/$ts/$tz" = "1969-12-31/1969-12-31 23:59:59.999999/2106-02-07 06:28:16.000001" ]
    [ "$u/$j/$m" = '12345678-9abc-def0-0123-456789abcdef/{"a": [1, null]}/happy' ]
    [ "$ia/$ta/$ip" = '{1,NULL,3}/{"a b","",NULL}/2001:db8::1' ] || { echo "$ia/$ta/$ip"; false; }
}

@test "updates, key changes, deletes and several changes of one key in a transaction" {
    pg_sql src "insert into pairs select g, 'k' || g % 3, 'v' || g from generate_series(1, 500) g;
        update pairs set v = v || '!' where a % 2 = 0; delete from pairs where a % 5 = 0;
        update pairs set a = a + 1000 where a between 100 and 200;
        begin; update pairs set v = 'one' where a = 1; update pairs set v = 'two' where a = 1;
               delete from pairs where a = 2; insert into pairs values (2, 'k2', 'again'); commit"
    caught_up
    diff <(pg_sql src "select a || '|' || b || '|' || v from pairs order by a, b") \
        <(ch_sql new "select concat(toString(a), '|', b, '|', coalesce(v, '')) from pairs_current order by a, b")
}

@test "a kill -9 of the sink in mid-stream repeats rows, which changes nothing" {
    pg_sql src "insert into pairs select g, 'crash', 'v' || g from generate_series(10000, 14000) g" &
    load=$!
    pkill -KILL -f -- "sink-ch.*$(ch_url new)"
    wait "$load"
    pg_sql src "update pairs set v = 'after' where a % 7 = 0"
    caught_up
    diff <(pg_sql src "select a || '|' || b || '|' || v from pairs order by a, b") \
        <(ch_sql new "select concat(toString(a), '|', b, '|', coalesce(v, '')) from pairs_current order by a, b")
}

@test "TRUNCATE with two workers, and rows after it" {
    pg_sql src "begin; insert into pairs values (1, 'before', 'x'); truncate pairs; insert into pairs values (1, 'after', 'y'); commit"
    caught_up
    [ "$(ch_sql new "select a, b, v from pairs_current")" = "1	after	y" ]
}

@test "unchanged TOAST is read back, from JSON and nested arrays too, also over a key change (traps 48, 116)" {
    pg_sql src "insert into docs select g, jsonb_build_object('g', g, 'x', repeat('j', 3000)), array[array_fill(g, array[900]), array_fill(1, array[900])], repeat('t', 3000), 0
        from generate_series(1, 9) g"
    caught_up
    pg_sql src "update docs set n = 1 where id < 5; update docs set id = id + 100 where id > 3;
        begin; update docs set n = 7 where id = 1; update docs set id = 201 where id = 1; update docs set n = 8 where id = 201; commit;
        delete from docs where id = 2"
    caught_up
    pg_sql src "select id, j ->> 'g', length(j ->> 'x'), a[1][1], a[1][900], length(t), n from docs order by id" | tr '|' '\t' >"$SCRATCH/want"
    ch_sql new "select id, j.g, length(j.x::String), a[1][1], a[1][900], length(t), n from docs final order by id" | diff "$SCRATCH/want" -
}

@test "an engine without is_deleted and a UInt64 version: tombstones stay in sight, late ones lose (trap 114)" {
    pg_sql src "insert into short select g, repeat('s', 3000), 0 from generate_series(1, 4) g"
    caught_up
    pg_sql src "update short set n = n + 1; begin; update short set n = 5 where id = 1; update short set n = 6 where id = 1; commit;
        delete from short where id = 2; update short set id = 33 where id = 3"
    caught_up
    [ "$(ch_sql new "select id, length(t), n from short final where _is_deleted = 0 order by id" | tr '\t\n' ' ;')" = "1 3000 6;4 3000 1;33 3000 1;" ]
    [ "$(ch_sql new "select id, length(t) from short final where _is_deleted = 1 order by id" | tr '\t\n' ' ;')" = "2 0;3 0;" ]
    [ "$(ch_sql new "select id, length(t), n from short_current order by id" | tr '\t\n' ' ;')" = "1 3000 6;4 3000 1;33 3000 1;" ]
    # an older version of a deleted row changes nothing, also after a merge
    ch_sql new "insert into short values (2, 'late', 1, 4, 0)"
    ch_sql new "optimize table short final"
    [ "$(ch_sql new "select count() from short_current where id = 2")" = 0 ]
}

@test "REPLICA IDENTITY FULL: missing values come from the old row; a table without a key only grows (trap 130)" {
    pg_sql src "insert into whole select g, repeat('w', 3000), 0 from generate_series(1, 3) g; update whole set n = 1;
        update whole set id = 44 where id = 2; delete from whole where id = 3;
        insert into heap values ('a', 1), ('a', 1), (null, 2)"
    caught_up
    [ "$(ch_sql new "select id, length(t), n from whole_current order by id" | tr '\t\n' ' ;')" = "1 3000 1;44 3000 1;" ]
    [ "$(ch_sql new "select engine from system.tables where database = 'default' and name = 'heap'")" = MergeTree ]
    [ "$(ch_sql new "select coalesce(v, '-'), n, count() from heap group by all order by 1" | tr '\t\n' ' ;')" = "- 2 1;a 1 2;" ]
}

@test "tables that would keep wrong rows are refused before the first one (trap 113)" {
    refuses() {
        ch_sql new "drop database if exists bad"
        ch_sql new "create database bad"
        ch_sql new "create table short (id Int32, t String, n Int32, _version UInt128, _is_deleted UInt8) engine = $1" bad
        sed "s/^database = .*/database = bad/; s/^create_tables.*/tables = public.short/" "$SCRATCH/new.conf" >"$SCRATCH/bad.conf"
        run "$WALPIPE_BIN/walpipe" check -c "$SCRATCH/bad.conf"
        [ "$status" -eq 100 ]
        grep -F -- "$2" <<<"$output"
    }
    refuses "ReplacingMergeTree(_version, _is_deleted) order by (id, n)" '"n" in the sorting key of `bad`.`short` is not a key column'
    refuses "ReplacingMergeTree(_version, _is_deleted) order by id % 7" 'is not a key column of the source'
    refuses "ReplacingMergeTree(_version, _is_deleted) order by id partition by n % 3" 'is partitioned by "n", which is not a key column'
    refuses "ReplacingMergeTree order by id" 'is not versioned by column "_version"'
    refuses "MergeTree order by id" 'the engine of `bad`.`short` is MergeTree'
}

@test "ADD COLUMN with DEFAULT is right in older rows, and a renamed column is named" {
    pg_sql src "create table later (id int primary key, v text); insert into later select g, 'x' from generate_series(1, 5) g"
    caught_up
    pg_sql src "update later set v = 'y' where id = 5; alter table later add n int default 5,
        add at timestamptz default '2024-02-29 12:00:00.5+00', add w text default 'it''s'; insert into later values (6, 'z', 6)"
    caught_up
    pg_sql src "insert into later values (7, 'z', null, null, null); delete from later where id = 1"
    caught_up
    [ "$(ch_sql new "select count(), countIf(n = 5), countIf(at = '2024-02-29 12:00:00.500000' and w = 'it\\'s'), countIf(w is null)
        from later_current" | tr '\t' ' ')" = "6 4 5 1" ]
    [ "$(grep -cF 'public.later\" was changed' "$SCRATCH/run.log")" = 0 ]
    pg_sql src "alter table later rename v to v2; insert into later values (8, 'renamed', 8)"
    caught_up
    grep -F 'column \"v\" was renamed to \"v2\"' "$SCRATCH/run.log"
    [ "$(ch_sql new "select v2 from later_current where id = 8")" = renamed ]
}

@test "a restart finds its own tables in order, and SIGTERM drains" {
    pid=$(cat "$SCRATCH/walpipe.pid")
    kill -TERM "$pid"
    wait_until 30 process_gone "$pid"
    run "$WALPIPE_BIN/walpipe" check -c "$SCRATCH/new.conf"
    [ "$status" -eq 0 ]
    : >"$SCRATCH/run.log"
    start_walpipe
    pg_sql src "insert into pairs values (77, 'restarted', 'z')"
    caught_up
    [ "$(ch_sql new "select v from pairs_current where a = 77")" = z ]
}
