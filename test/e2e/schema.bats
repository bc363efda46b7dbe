#!/usr/bin/env bats
# walpipe schema: the tables of a PostgreSQL target, from pg_dump of the source.

bats_require_minimum_version 1.5.0

load ../lib/copied

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    pg_new src
    pg_new dst
    pg_sql src "CREATE ROLE reader LOGIN REPLICATION"
}

setup() {
    copied_setup
    source "$BATS_TEST_DIRNAME/../lib/majors.bash"
}

# write_conf [SINK_LINES [COPY [SOURCE_SERVER [MORE]]]]
write_conf() {
    cat >"$conf" <<CONF
[pipeline]
name = $db
state_dir = $dir/state
copy = ${2:-yes}
copy_workers = 3
[source]
conninfo = $(pg_conninfo "${3:-src}" "$db") ${user:-}
slot = $db
publication = p
[sink dst]
type = pg
conninfo = $(pg_conninfo dst "$db")
${1:-}
${4:-}
CONF
}

walpipe() {
    "$WALPIPE_BIN/walpipe" "$@" -c "$conf"
}

odd_tables() {
    pg_sql src - "$db" <"$BATS_TEST_DIRNAME/schema_odd.sql"
    pg_sql src 'CREATE PUBLICATION p FOR TABLE orders, z_last, "Odd Schema"."Table; Type: x""y",
        sales.events, parent, child, ident, secret (id, open), audit;
        GRANT USAGE ON SCHEMA sales, "Odd Schema" TO reader;
        GRANT SELECT ON orders, z_last, "Odd Schema"."Table; Type: x""y", sales.events,
            sales.events_1, sales.events_2, sales.events_2_d, parent, child, ident, secret, audit,
            a_first, shared, orders_id_seq, sales.events_id_seq TO reader;
        GRANT SELECT ON ALL SEQUENCES IN SCHEMA "Odd Schema" TO reader' "$db"
    odd_map='map = public.orders -> "New Sales".orders2, "Odd Schema"."Table; Type: x""y" -> public.x
tables = *.*, !public.audit'
}

# same SOURCE_TABLE TARGET_TABLE [COLUMNS]
same() {
    local rows="SELECT count(*), md5(string_agg(r::text, ',' ORDER BY r::text)) FROM (SELECT ${3:-*} FROM"
    diff <(pg_sql src "$rows $1) r" "$db") <(pg_sql dst "$rows $2) r" "$db")
}

all_streaming() {
    [ -e "$conf.exit" ] && return 0
    [ "$(pg_sql dst "SELECT count(DISTINCT relid) = $1 AND bool_and(state = 'streaming') FROM walpipe.tables
                      WHERE relid <> 0" "$db")" = t ]
}

# What else than its columns belongs to a table, one line each.
belongings() {
    pg_sql "$1" "SELECT 'constraint', conname, contype, convalidated FROM pg_constraint
                  WHERE conrelid = '$2'::regclass
                 UNION ALL SELECT 'index', relname, indisvalid::text, indisreplident FROM pg_index
                   JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = '$2'::regclass
                 UNION ALL SELECT 'trigger', tgname, tgenabled::text, NULL FROM pg_trigger
                  WHERE tgrelid = '$2'::regclass AND NOT tgisinternal
                 UNION ALL SELECT 'statistics', stxname, '', NULL FROM pg_statistic_ext
                  WHERE stxrelid = '$2'::regclass
                 UNION ALL SELECT 'default', attname, attidentity || attgenerated, atthasdef
                   FROM pg_attribute WHERE attrelid = '$2'::regclass AND attnum > 0
                    AND NOT attisdropped
                 ORDER BY 1, 2" "$db"
}

@test "odd tables: made in an empty database, copied, and indexed when they are streaming" {
    odd_tables
    user="user=reader" write_conf "$odd_map"
    run -0 walpipe schema --apply
    grep -F 'sink dst: table "New Sales".orders2: made' <<<"$output"
    grep -F 'sink dst: 15 index(es), constraint(s) and trigger(s) wait' <<<"$output"
    [[ $output != *unpublished* && $output != *audit* && $output != *secret_check* ]]
    [ "$(pg_sql dst "SELECT count(*) FROM pg_class WHERE relname ~ 'unpublished|audit' OR relkind = 'v'
                      AND relnamespace = 'public'::regnamespace" "$db")" = 0 ]
    [ "$(pg_sql dst "SELECT count(*) FROM pg_attribute WHERE attrelid = 'secret'::regclass AND attnum > 0
                      AND NOT attisdropped" "$db")" = 2 ]

    run -0 walpipe check
    [[ $output != *FAIL* ]]
    pipeline_start "$conf"
    wait_until 120 all_streaming 9
    pipeline_lives "$conf"
    run -0 walpipe schema --apply
    grep -F 'sink dst: index "New Sales".orders_c_idx: made' <<<"$output"
    grep -F 'sink dst: constraint Table; Type: x"y_order_fkey on public.x: made' <<<"$output"
    [[ $output != *wait* ]]
    pg_sql src "INSERT INTO orders (n) VALUES (7); INSERT INTO \"Odd Schema\".\"Table; Type: x\"\"y\" DEFAULT VALUES;
        UPDATE sales.events SET t = 'new' WHERE id < 50" "$db"
    caught_up "$conf" src "$db" 120
    pipeline_stop "$conf"

    same orders '"New Sales".orders2'
    same '"Odd Schema"."Table; Type: x""y"' x
    same sales.events sales.events
    same sales.events_2_d sales.events_2_d
    same "ONLY parent" "ONLY parent"
    same child child
    same ident ident
    same z_last z_last
    same secret secret "id, open"
    diff <(belongings src orders) <(belongings dst '"New Sales".orders2')
    diff <(belongings src '"Odd Schema"."Table; Type: x""y"') <(belongings dst x)
    for table in sales.events sales.events_1 sales.events_2_d parent child ident z_last; do
        diff <(belongings src $table) <(belongings dst $table)
    done

    # everything is there: nothing to do
    run -0 walpipe schema --apply
    [[ $output != *": made"* && $output == *'table "New Sales".orders2: exists already'* ]]
    run -0 walpipe schema
    [[ $output != *CREATE* && $output != *ADD* && $output != *BEGIN* ]]
}

@test "the printed SQL makes the same as --apply" {
    odd_tables
    write_conf "$odd_map" no
    walpipe schema >"$dir/printed.sql"
    pg_sql dst - "$db" <"$dir/printed.sql"
    # without a copy there is nothing to wait for
    diff <(belongings src orders) <(belongings dst '"New Sales".orders2')
    diff <(belongings src sales.events) <(belongings dst sales.events)
    run -0 walpipe schema --apply
    [[ $output != *": made"* ]]
}

@test "partitions that are published as their root come with it" {
    pg_sql src "CREATE TABLE t (k int PRIMARY KEY, s int, v text NOT NULL) PARTITION BY RANGE (k);
        CREATE INDEX ON t (s);
        CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (100);
        CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (100) TO (200);
        INSERT INTO t SELECT i, i, 'v' FROM generate_series(0, 199) i;
        CREATE PUBLICATION p FOR TABLE t (k, s) WITH (publish_via_partition_root = true)" "$db"
    write_conf "map = public.t -> other.r"
    walpipe schema --apply
    [ "$(pg_sql dst "SELECT string_agg(attrelid::regclass::text || ' ' || attname, ',' ORDER BY 1)
        FROM (SELECT attrelid::regclass, attname FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped
              AND attrelid IN ('other.r'::regclass, 't1'::regclass, 't2'::regclass)
              ORDER BY attrelid::regclass::text, attnum) a" "$db")" = "other.r k,other.r s,t1 k,t1 s,t2 k,t2 s" ]
    walpipe check
    pipeline_start "$conf"
    wait_until 60 all_streaming 1
    # a partition that comes later
    pg_sql src "CREATE TABLE t3 PARTITION OF t FOR VALUES FROM (200) TO (300)" "$db"
    run -0 walpipe schema --apply
    [[ $output == *"table public.t3: made"* && $output == *"table public.t3 to its parent: made"* ]]
    run -0 walpipe schema --apply
    [[ $output != *": made"* ]]
    pg_sql src "INSERT INTO t VALUES (250, 1, 'v')" "$db"
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
    same t other.r "k, s"
    same t3 t3 "k, s"
}

@test "two source tables with one target make it once" {
    pg_sql src "CREATE SCHEMA a; CREATE SCHEMA b;
        CREATE TABLE a.t (id int PRIMARY KEY, v text); CREATE INDEX ON a.t (v);
        CREATE TABLE b.t (id int PRIMARY KEY, v text); CREATE INDEX ON b.t (v);
        CREATE PUBLICATION p FOR ALL TABLES" "$db"
    write_conf "map = a.t -> one.t, b.t -> one.t" no
    run -0 walpipe schema --apply
    [ "$(grep -c 'table one.t: made' <<<"$output")" = 1 ]
    [ "$(grep -c 'index one.t_v_idx: made' <<<"$output")" = 1 ]
}

@test "the first step is made as a whole or not at all, and after a repair it goes on" {
    pg_sql src "CREATE TYPE mood AS ENUM ('a'); CREATE TABLE t (id int PRIMARY KEY, m mood);
        CREATE TABLE u (id int PRIMARY KEY, v int CHECK (v < 5)); CREATE INDEX taken ON u (v);
        CREATE INDEX free ON u (v, id); CREATE PUBLICATION p FOR ALL TABLES" "$db"
    write_conf "" no
    pg_sql dst "CREATE SCHEMA s; CREATE TABLE other (id int CONSTRAINT t_pkey PRIMARY KEY)" "$db"
    run -100 walpipe schema --apply
    [[ $output == *'could not make constraint t_pkey on public.t: relation '*t_pkey*' already exists'* ]]
    [[ $output != *": made"* ]]
    [ "$(pg_sql dst "SELECT to_regclass('u') IS NULL AND to_regtype('mood') IS NULL" "$db")" = t ]
    # the second step goes on after a failure, and names it
    pg_sql dst "DROP TABLE other; CREATE MATERIALIZED VIEW taken AS SELECT 1" "$db"
    run -100 walpipe schema --apply
    [[ $output == *'index public.taken: could not make it: relation "taken" already exists'* ]]
    [[ $output == *'index public.free: made'* && $output == *'1 object(s) could not be made'* ]]
    pg_sql dst "DROP MATERIALIZED VIEW taken" "$db"
    run -0 walpipe schema --apply
    [[ $output == *'index public.taken: made'* && $output != *'public.free: made'* ]]
}

@test "a table that is there already stays, and is compared" {
    pg_sql src "CREATE TABLE t (id bigserial PRIMARY KEY, v text); CREATE PUBLICATION p FOR ALL TABLES" "$db"
    pg_sql dst "CREATE TABLE t (id bigint PRIMARY KEY)" "$db"
    write_conf
    run -100 walpipe schema --apply
    [[ $output == *"table public.t: exists already"* && $output == *'FAIL  sink dst: '*'"v"'* ]]
    [[ $output != *": made"* ]]
}

@test "--sequences sets the target's sequences, again without harm, and never backwards" {
    odd_tables
    user="user=reader" write_conf "$odd_map"
    walpipe schema --apply >/dev/null
    run -0 walpipe schema --sequences
    [[ $output == *"SELECT pg_catalog.setval('\"New Sales\".orders_id_seq', 500, true)"* ]]
    run -0 walpipe schema --sequences --apply
    [[ $output == *'sequence "New Sales".orders_id_seq: set to 500'* ]]
    [[ $output == *'sequence public.a_first: set to -20'* ]]
    run -0 walpipe schema --sequences --apply
    [[ $output != *"set to"* && $output == *"sequence public.a_first: not behind the source"* ]]
    [ "$(pg_sql dst "SELECT nextval('public.a_first'), nextval('\"New Sales\".orders_id_seq'),
        nextval('public.shared')" "$db")" = "-21|501|301" ]
    # identities too
    [ "$(pg_sql dst 'INSERT INTO x DEFAULT VALUES RETURNING "Id"' "$db")" = 301 ]
    pg_sql dst "SELECT setval('\"New Sales\".orders_id_seq', 9000)" "$db"
    walpipe schema --sequences --apply
    [ "$(pg_sql dst "SELECT last_value FROM \"New Sales\".orders_id_seq" "$db")" = 9000 ]
    pg_sql dst "DROP SEQUENCE shared CASCADE" "$db"
    run -0 walpipe schema --sequences --apply
    [[ $output == *"sequence public.shared: the target does not have it"* ]]
}

@test "create_tables: run makes missing tables and copies into them, a later one after a restart" {
    odd_tables
    user="user=reader" write_conf "$odd_map
create_tables = yes"
    run -0 walpipe check
    [[ $output == *"the table does not exist yet: run will create it"* ]]
    pipeline_start "$conf"
    wait_until 120 all_streaming 9
    pipeline_lives "$conf"
    grep -q 'made table .*orders2' "$conf.log"
    same orders '"New Sales".orders2'
    # nothing that waits for the copy
    [ "$(pg_sql dst "SELECT to_regclass('\"New Sales\".orders_c_idx') IS NULL" "$db")" = t ]
    pg_sql src "CREATE TABLE later (id int PRIMARY KEY); INSERT INTO later VALUES (1);
        GRANT SELECT ON later TO reader; ALTER PUBLICATION p ADD TABLE later" "$db"
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" = 100 ]
    grep -q 'there is no table public.later' "$conf.log"
    pipeline_start "$conf"
    wait_until 60 all_streaming 10
    pg_sql src "INSERT INTO later VALUES (2)" "$db"
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
    same later later
}

@test "a missing table under copy = yes stops the run, and the hint can be followed" {
    pg_sql src "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);
        CREATE PUBLICATION p FOR ALL TABLES" "$db"
    write_conf
    pipeline_start "$conf" || true
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" = 100 ]
    grep -q 'there is no table public.t.*walpipe schema --apply' "$conf.log"
    walpipe schema --apply
    pipeline_start "$conf"
    wait_until 60 all_streaming 1
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
    same t t
}

@test "a source that is newer than every pg_dump here is refused" {
    major_or_skip 18
    major_new new 18
    pg_sql new "CREATE DATABASE $db"
    pg_sql new "CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION p FOR ALL TABLES" "$db"
    write_conf "" no new
    run -100 walpipe schema --apply
    [[ $output == *"pg_dump 15 cannot read the source, a PostgreSQL 18"* && $output == *postgresql-client-18* ]]
    # check says so, and whether run needs it
    sed -i '/^copy = /d; s/^\[pipeline\]/&\ncopy = yes/' "$conf"
    run walpipe check
    grep "^warn  sink dst: pg_dump 15 cannot read the source, a PostgreSQL 18, which walpipe schema needs: .*postgresql-client-18" <<<"$output"
    sed -i 's/^type = pg/&\ncreate_tables = yes/' "$conf"
    run -100 walpipe check
    grep "^FAIL  sink dst: pg_dump 15 cannot read .*, which create_tables needs: " <<<"$output"
    pg_sql dst "CREATE TABLE t (id int PRIMARY KEY)" "$db"
    run -0 walpipe check
    grep "^warn  sink dst: pg_dump 15 cannot read" <<<"$output"
    # the one in PATH is used
    mkdir "$dir/bin"
    printf '#!/bin/sh\necho "pg_dump (PostgreSQL) 18.1"\n[ "$1" = --version ] || { echo "pg_dump: error: no luck" >&2; exit 1; }\n' >"$dir/bin/pg_dump"
    chmod +x "$dir/bin/pg_dump"
    PATH=$dir/bin:$PATH run -100 walpipe schema --apply
    [[ $output == *"pg_dump of the source failed: no luck"* ]]
}

@test "a source of PostgreSQL 13 into a 15" {
    major_or_skip 13
    major_new old 13
    pg_sql old "CREATE DATABASE $db"
    grep -v 'secret' "$BATS_TEST_DIRNAME/schema_odd.sql" | sed 's/sales.citext/text/; /EXTENSION/d' >"$dir/odd.sql"
    pg_sql old - "$db" <"$dir/odd.sql"
    pg_sql old "CREATE PUBLICATION p FOR ALL TABLES" "$db"
    write_conf "map = public.orders -> sales.o" no old
    walpipe schema --apply
    walpipe check
}

@test "SQL is printed for one sink only, and options are for schema alone" {
    write_conf "" no src "$(printf '[sink two]\ntype = pg\nconninfo = %s' "$(pg_conninfo dst)")"
    run -100 walpipe schema
    [[ $output == *"SQL is printed for one of them"* && $output == *"--sink NAME"* ]]
    run -100 walpipe schema --sink nobody
    [[ $output == *'has no sink '*nobody* ]]
    run -100 walpipe status --apply
    [[ $output == *"only for walpipe schema"* ]]
}
