#!/usr/bin/env bats
# Sources and targets of other major versions than the one the other tests use. Each version is a
# source whose database goes to a second one beside it and to a target of the usual version.

bats_require_minimum_version 1.5.0

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    pg_new usual
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/majors.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
}

teardown() {
    [ -n "${conf:-}" ] || return 0
    if [ -z "${BATS_TEST_COMPLETED:-}" ]; then
        tail -n 30 "$conf.log" || true
    fi
    if [ -e "$conf.pid" ] && pid=$(pipeline_pid "$conf"); then
        end_process "$pid" KILL 5
    fi
    end_process "$(pg_pid "$name")" INT 20
}

TABLES="
CREATE TABLE t (id int PRIMARY KEY, v text, big text, n numeric, f float8, d date, at timestamptz, j jsonb,
    by bytea, a int[], iv interval, b bool, u uuid);
CREATE TABLE f (a int, b text, big text);
CREATE TABLE p (id int, region text, v text) PARTITION BY LIST (region);
CREATE TABLE p_a PARTITION OF p (PRIMARY KEY (id, region)) FOR VALUES IN ('a');
CREATE TABLE p_b (v text, region text NOT NULL, id int NOT NULL, PRIMARY KEY (id, region));
ALTER TABLE p ATTACH PARTITION p_b FOR VALUES IN ('b');
ALTER TABLE f REPLICA IDENTITY FULL;
ALTER TABLE t ALTER big SET STORAGE EXTERNAL;
ALTER TABLE f ALTER big SET STORAGE EXTERNAL;
"

# Floats that versions before 12 print like later ones.
changes() {
    pg_sql "$name" - source <<SQL
INSERT INTO t SELECT g, 'v' || g, repeat('b' || g, 1500), g / 7.0, g / 8.0, date '2024-02-28' + g, '2024-02-29 12:00+02',
    '{"a": 1}', '\\x00ff', ARRAY[g, NULL], make_interval(days => g), g % 2 = 0, md5(g::text)::uuid
  FROM generate_series($1, $1 + 199) AS g;
INSERT INTO f SELECT g % 10, 'same', repeat('f', 3000) FROM generate_series(1, 50) AS g;
INSERT INTO p SELECT g, (ARRAY['a', 'b'])[1 + g % 2], 'v' FROM generate_series($1, $1 + 99) AS g;
UPDATE t SET v = 'w' WHERE id % 2 = 0;
UPDATE t SET id = -id WHERE id % 5 = 0;
DELETE FROM t WHERE id % 7 = 0;
UPDATE f SET b = 'other' WHERE a = 3;
DELETE FROM f WHERE ctid IN (SELECT min(ctid) FROM f GROUP BY a);
UPDATE p SET v = 'w' WHERE id % 3 = 0;
BEGIN; INSERT INTO t (id, n) VALUES ($1 + 500, 'NaN'); SAVEPOINT a; DELETE FROM t; ROLLBACK TO a;
ALTER TABLE t ADD c$1 int DEFAULT 5; UPDATE t SET c$1 = id WHERE id > 0; COMMIT;
SQL
}

rows_of() {
    pg_sql "$1" "SELECT md5(to_jsonb(x)::text), left(to_jsonb(x)::text, 200) FROM $3 AS x ORDER BY 1" "$2"
}

equal() {
    local table
    for table; do
        rows_of "$name" source "$table" >"$SCRATCH/want"
        [ -s "$SCRATCH/want" ]
        rows_of usual "$name" "$table" | diff "$SCRATCH/want" -
        [ "$major" -lt 12 ] || rows_of "$name" target "$table" | diff "$SCRATCH/want" -
    done
}

config() {
    cat >"$conf" <<CONF
[pipeline]
name        = $name
state_dir   = $SCRATCH/$name.state
copy        = no
[source]
conninfo    = $(pg_conninfo "$name" source)
slot        = $name
publication = $name
create_slot = yes
binary      = $1
[sink usual]
type        = pg
conninfo    = $(pg_conninfo usual "$name")
CONF
    [ "$major" -lt 12 ] || cat >>"$conf" <<CONF
[sink beside]
type        = pg
conninfo    = $(pg_conninfo "$name" target)
shards      = 2
CONF
}

# works MAJOR: everything above, in text and, where the source has it, in binary format.
works() {
    local database
    major=$1
    name=major$1
    conf=$SCRATCH/$name.conf
    major_or_skip "$major"
    major_new "$name" "$major"
    for database in "$name source" "$name target" "usual $name"; do
        # shellcheck disable=SC2086 # two words
        set -- $database
        pg_sql "$1" "CREATE DATABASE $2"
        pg_sql "$1" "$TABLES" "$2"
    done
    for column in 1000 2000; do
        pg_sql usual "ALTER TABLE t ADD c$column int DEFAULT 5" "$name"
        pg_sql "$name" "ALTER TABLE t ADD c$column int DEFAULT 5" target
    done
    pg_sql "$name" "CREATE PUBLICATION $name FOR TABLE t, f, p_a, p_b" source
    config off
    "$WALPIPE_BIN/walpipe" check -c "$conf"
    pipeline_start "$conf"
    changes 1000
    caught_up "$conf" "$name" "$name" 60
    pipeline_stop "$conf"
    equal f p
    config on
    if [ "$major" -lt 14 ]; then
        run -100 "$WALPIPE_BIN/walpipe" check -c "$conf"
        [[ $output == *'FAIL'*'need PostgreSQL 14'* ]]
        run -1 pipeline_start "$conf"
        [ "$(cat "$conf.exit")" -eq 100 ]
        grep -q 'binary and messages need PostgreSQL 14' "$conf.log"
        config off
        rm "$conf.log"
    fi
    pipeline_start "$conf"
    changes 2000
    [ "$major" -lt 11 ] || pg_sql "$name" "TRUNCATE f; INSERT INTO f VALUES (1)" source
    caught_up "$conf" "$name" "$name" 60
    pipeline_stop "$conf"
    no_restart "$conf"
    equal t f p
}

@test "PostgreSQL 10 as source (trap 36)" {
    works 10
}

@test "PostgreSQL 13 as source and target (trap 36)" {
    works 13
}

@test "PostgreSQL 14 as source and target (trap 36)" {
    works 14
}

@test "PostgreSQL 16 as source and target (trap 36)" {
    works 16
}

@test "PostgreSQL 17 as source and target (trap 36)" {
    works 17
}

@test "PostgreSQL 18 as source and target; it sends generated columns when asked to (traps 36, 59)" {
    works 18
    pg_sql "$name" "CREATE TABLE g (id int PRIMARY KEY, v int, twice int GENERATED ALWAYS AS (v * 2) STORED);
        ALTER PUBLICATION $name ADD TABLE g; ALTER PUBLICATION $name SET (publish_generated_columns = stored)" source
    pg_sql "$name" "CREATE TABLE g (id int PRIMARY KEY, v int, twice int GENERATED ALWAYS AS (v * 2) STORED)" target
    pg_sql usual "CREATE TABLE g (id int PRIMARY KEY, v int, twice int)" "$name"
    pipeline_start "$conf"
    pg_sql "$name" "INSERT INTO g SELECT n, n FROM generate_series(1, 100) AS n; UPDATE g SET v = 7 WHERE id = 7" source
    caught_up "$conf" "$name" "$name" 60
    pipeline_stop "$conf"
    equal g
}
