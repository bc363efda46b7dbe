#!/usr/bin/env bats
# Every kind of value that PostgreSQL knows, through the whole pipeline into PostgreSQL: types_pg_*.sql
# hold the values and what happens to them. Two sinks take them: `rows`, whose
# batches are so small that every change is applied by itself, and `sets`, two workers, which copy
# and merge. The texts of all columns of all rows are then compared.

bats_require_minimum_version 1.5.0

# Settings that change how values are written or read; both sides' roles and databases have them.
HOSTILE="
ALTER % SET datestyle = 'German, DMY';
ALTER % SET intervalstyle = 'sql_standard';
ALTER % SET bytea_output = 'escape';
ALTER % SET extra_float_digits = -15;
ALTER % SET timezone = 'Asia/Kathmandu';
ALTER % SET search_path = 'pg_temp, \"Odd \"\"s\"';
ALTER % SET client_encoding = 'LATIN1';
ALTER % SET statement_timeout = '1ms';
ALTER % SET lock_timeout = '1ms';
ALTER % SET idle_in_transaction_session_timeout = '1ms';
ALTER % SET row_security = on;
ALTER % SET xmloption = 'document';
ALTER % SET xmlbinary = 'hex';
ALTER % SET array_nulls = off;
ALTER % SET standard_conforming_strings = off;
ALTER % SET quote_all_identifiers = on;
ALTER % SET default_transaction_isolation = 'serializable';
"

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    pg_new source
    pg_new target
    pg_sql source "CREATE ROLE repl SUPERUSER REPLICATION LOGIN; ${HOSTILE//%/ROLE repl}"
    pg_sql target "CREATE ROLE apply SUPERUSER LOGIN; ${HOSTILE//%/ROLE apply}"
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    conf=$SCRATCH/t$BATS_TEST_NUMBER.conf
}

teardown() {
    if [ -z "${BATS_TEST_COMPLETED:-}" ]; then
        grep -v '"level":"debug"' "$conf.log" | tail -n 20 || true
    fi
    if [ -e "$conf.pid" ] && pid=$(pipeline_pid "$conf"); then
        end_process "$pid" KILL 5
    fi
}

# script off|on PART...
script() {
    echo "\\set binary $1"
    shift
    for part; do
        cat "$BATS_TEST_DIRNAME/types_pg_$part.sql"
    done
}

config() {
    local binary=$1
    cat >"$conf" <<CONF
[pipeline]
name        = $name
state_dir   = $SCRATCH/$name.state
copy        = no
log_level   = debug
[source]
conninfo    = $(pg_conninfo source "$name" | sed 's/user=postgres/user=repl/')
slot        = $name
publication = $name
create_slot = yes
binary      = $binary
[sink rows]
type        = pg
conninfo    = $(pg_conninfo target "${name}_rows" | sed 's/user=postgres/user=apply/')
batch_rows  = 20
flush_interval = 1s
[sink sets]
type        = pg
conninfo    = $(pg_conninfo target "${name}_sets" | sed 's/user=postgres/user=apply/')
shards      = 2
batch_rows  = 10000
flush_interval = 1s
CONF
}

# dump SERVER DB: every row of every table, each line with its table and its value's type.
dump() {
    pg_sql "$1" - "$2" <<'SQL'
SET extra_float_digits = 3;
SELECT format('COPY (SELECT %L, t.* FROM public.%I AS t ORDER BY t::text COLLATE "C") TO STDOUT',
              relname || ' ' || obj_description(oid, 'pg_class'), relname)
  FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
 ORDER BY relname COLLATE "C"
\gexec
SQL
}

# everything_arrives off|on
everything_arrives() {
    local binary=$1 db
    name=types_$binary
    pg_sql source "CREATE DATABASE $name"
    pg_sql source "${HOSTILE//%/DATABASE $name}"
    for db in rows sets; do
        pg_sql target "CREATE DATABASE ${name}_$db"
    done
    pg_sql target "${HOSTILE//%/DATABASE ${name}_rows} ${HOSTILE//%/DATABASE ${name}_sets}"
    # This session is not what is tested.
    export PGOPTIONS='-c datestyle=iso,mdy -c intervalstyle=postgres -c bytea_output=hex -c timezone=UTC
        -c search_path=public -c client_encoding=UTF8 -c statement_timeout=0 -c lock_timeout=0
        -c idle_in_transaction_session_timeout=0 -c xmloption=content -c array_nulls=on
        -c standard_conforming_strings=on -c quote_all_identifiers=off
        -c default_transaction_isolation=read\ committed'
    for db in source:$name target:${name}_rows target:${name}_sets; do
        # other oids on each side
        [ "$db" = "source:$name" ] || pg_sql target "SELECT lo_create(0) FROM generate_series(1, 77)" "${db#*:}" >/dev/null
        script "$binary" values tables | pg_sql "${db%%:*}" - "${db#*:}"
    done
    pg_sql source "CREATE PUBLICATION $name FOR ALL TABLES" "$name"
    config "$binary"
    pipeline_start "$conf" -u PGOPTIONS PGCLIENTENCODING=LATIN1 PGDATESTYLE=German PGTZ=Asia/Tokyo
    script "$binary" values changes | pg_sql source - "$name"
    caught_up "$conf" source "$name" 120
    dump source "$name" >"$SCRATCH/$name.source"
    dump target "${name}_rows" >"$SCRATCH/$name.rows"
    dump target "${name}_sets" >"$SCRATCH/$name.sets"
    pipeline_stop "$conf"
    no_restart "$conf"
    [ "$(wc -l <"$SCRATCH/$name.source")" -gt 10000 ]
    diff "$SCRATCH/$name.source" "$SCRATCH/$name.rows"
    diff "$SCRATCH/$name.source" "$SCRATCH/$name.sets"
}

@test "every value of every type arrives as it is (traps 67-69, 72, 73, 87, 88, 101)" {
    everything_arrives off
}

@test "and in binary format" {
    everything_arrives on
}

# stops MESSAGE SQL: the change stops the pipeline with exit 100 and MESSAGE, and goes on in text.
stops() {
    sed -i 's/^binary.*/binary = on/' "$conf"
    pipeline_start "$conf"
    pg_sql source "$2" "$name"
    run -1 caught_up "$conf" source "$name" 60
    [ "$(cat "$conf.exit")" -eq 100 ]
    grep -E "$1" "$conf.log" | grep -q '"hint":"set binary = off.*"lsn":"[0-9A-F]*/[0-9A-F]*","exit_code":100'
    sed -i 's/^binary.*/binary = off/' "$conf"
    pipeline_start "$conf"
    caught_up "$conf" source "$name" 60
    pipeline_stop "$conf"
}

@test "the bug was that regclass in binary format became another table" {
    name=types_oids
    ddl="CREATE TABLE o (id int PRIMARY KEY, r regclass, rs regtype[]);"
    pg_sql source "CREATE DATABASE $name"
    pg_sql source "$ddl CREATE TABLE a (); CREATE TABLE b (); CREATE PUBLICATION $name FOR ALL TABLES" "$name"
    for db in rows sets; do
        pg_sql target "CREATE DATABASE ${name}_$db"
        pg_sql target "CREATE TABLE b (); CREATE TABLE a (); $ddl" "${name}_$db"
    done
    config on
    stops 'insert into public.o .*: the value of column \\"r\\" names an object by its oid' \
        "INSERT INTO o VALUES (1, 'pg_class'), (2, 'int4'::regtype::oid), (3, '-'); INSERT INTO o SELECT 4, 'a'"
    stops 'the value of column \\"rs\\" names an object by its oid' "UPDATE o SET rs = '{text}' WHERE id = 1"
    pg_sql source 'TABLE o ORDER BY id' "$name" >"$SCRATCH/want"
    grep -qx '4|a|' "$SCRATCH/want"
    for db in rows sets; do
        pg_sql target 'TABLE o ORDER BY id' "${name}_$db" | diff "$SCRATCH/want" -
    done
}

@test "the bug was that the parts of a composite were read as whatever the target has there" {
    name=types_parts
    pg_sql source "CREATE DATABASE $name"
    pg_sql source "CREATE DOMAIN d AS int8; CREATE TYPE c AS (a d);
                   CREATE TABLE o (id int PRIMARY KEY, ds d[], c c);
                   CREATE PUBLICATION $name FOR ALL TABLES" "$name"
    for db in rows sets; do
        pg_sql target "CREATE DATABASE ${name}_$db"
        pg_sql target "CREATE DOMAIN d AS int4; CREATE TYPE c AS (a d);
                       CREATE TABLE o (id int PRIMARY KEY, ds d[], c c)" "${name}_$db"
    done
    config on
    stops 'the value of column \\"ds\\" comes in binary format' "INSERT INTO o VALUES (1, '{42}')"
    stops 'the value of column \\"c\\" comes in binary format' "INSERT INTO o VALUES (2, NULL, '(42)')"
    pg_sql source 'TABLE o ORDER BY id' "$name" >"$SCRATCH/want"
    for db in rows sets; do
        pg_sql target 'TABLE o ORDER BY id' "${name}_$db" | diff "$SCRATCH/want" -
    done
    run "$WALPIPE_BIN/walpipe" check -c "$conf"
    echo "$output"
    [[ $output == *'ok    sink rows: public.o'* && $output != *'set binary = off'* ]]
    sed -i 's/^binary.*/binary = on/' "$conf"
    run "$WALPIPE_BIN/walpipe" check -c "$conf"
    [ "$status" -eq 100 ]
    grep 'FAIL.*column "ds".*set binary = off' <<<"$output"
    grep 'FAIL.*column "c".*set binary = off' <<<"$output"
}
