#!/usr/bin/env bats
# Every kind of change through the whole pipeline into PostgreSQL: identities, keys, constraints,
# partitions, filters, truncates, DDL in mid-stream; and what cannot be applied stops the pipeline
# by name and is made good. test/filter/sink-pg.bats has the same changes, and more of them, from
# streams made by hand.

bats_require_minimum_version 1.5.0

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    pg_new source
    pg_new target
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    name=t$BATS_TEST_NUMBER
    conf=$SCRATCH/$name.conf
    pg_sql source "CREATE DATABASE $name"
    for sink in one two; do
        pg_sql target "CREATE DATABASE ${name}_$sink"
    done
}

teardown() {
    if [ -z "${BATS_TEST_COMPLETED:-}" ]; then
        tail -n 40 "$conf.log" || true
    fi
    if [ -e "$conf.pid" ] && pid=$(pipeline_pid "$conf"); then
        end_process "$pid" KILL 5
    fi
}

src() {
    pg_sql source "$1" "$name"
}

# On both targets.
dst() {
    pg_sql target "$1" "${name}_one"
    pg_sql target "$1" "${name}_two"
}

# config [SHARD_KEY]: sinks one (a worker, one by one and sets) and two (two workers).
config() {
    local sink
    cat >"$conf" <<CONF
[pipeline]
name        = $name
state_dir   = $SCRATCH/$name.state
[source]
conninfo    = $(pg_conninfo source "$name")
slot        = $name
publication = $name
create_slot = yes
CONF
    for sink in one two; do
        cat >>"$conf" <<CONF
[sink $sink]
type        = pg
conninfo    = $(pg_conninfo target "${name}_$sink")
shards      = $([ $sink = one ] && echo 1 || echo 2)
shard_key   = ${1:-key}
flush_interval = 100ms
CONF
    done
}

caught() {
    caught_up "$conf" source "$name" 60
}

rows_of() {
    pg_sql "$1" "COPY (SELECT to_jsonb(t), t::text FROM $3 AS t ORDER BY t::text COLLATE \"C\") TO STDOUT" "$2"
}

# equal TABLE...: the same columns, by name, and the same rows. A jsonb object has no order of
# columns; where the order differs, so does the row's text.
equal() {
    local table sink
    for table in "$@"; do
        rows_of source "$name" "$table" | cut -f 1 | sort >"$SCRATCH/$name.want"
        for sink in one two; do
            rows_of target "${name}_$sink" "$table" | cut -f 1 | sort >"$SCRATCH/$name.got"
            diff "$SCRATCH/$name.want" "$SCRATCH/$name.got" || { echo "$table differs in $sink" && return 1; }
        done
    done
}

TABLES='
CREATE TABLE def (id int PRIMARY KEY, u int UNIQUE, big text, v text);
CREATE TABLE full_key (id int PRIMARY KEY, u int UNIQUE, big text, v text);
CREATE TABLE full_bag (a int, b text, j json, p point, f float8, big text);
CREATE TABLE by_index (id int PRIMARY KEY, a int NOT NULL, b text NOT NULL, big text, v text, UNIQUE (b, a));
CREATE TABLE append (a int, b text);
CREATE TABLE toast_key (k text PRIMARY KEY, v int, big text);
CREATE TABLE deferred (id int PRIMARY KEY, u int UNIQUE DEFERRABLE INITIALLY DEFERRED, v text);
CREATE TABLE always (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v int,
    twice int GENERATED ALWAYS AS (v * 2) STORED, s serial);
CREATE TABLE parent (id int PRIMARY KEY, v text);
CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE);
ALTER TABLE full_key REPLICA IDENTITY FULL;
ALTER TABLE full_bag REPLICA IDENTITY FULL;
ALTER TABLE append REPLICA IDENTITY NOTHING;
ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_b_a_key;
ALTER TABLE def ALTER big SET STORAGE EXTERNAL;
ALTER TABLE full_key ALTER big SET STORAGE EXTERNAL;
ALTER TABLE full_bag ALTER big SET STORAGE EXTERNAL;
ALTER TABLE by_index ALTER big SET STORAGE EXTERNAL;
ALTER TABLE toast_key ALTER k SET STORAGE EXTERNAL, ALTER big SET STORAGE EXTERNAL;
'
ALL_TABLES='def full_key full_bag by_index append toast_key deferred always parent child'

changes_of_rows() {
    src "
INSERT INTO def SELECT g, g, repeat('d' || g, 1500), 'v' FROM generate_series(1, 200) AS g;
INSERT INTO full_key SELECT * FROM def;
INSERT INTO full_bag SELECT g % 7, nullif(g % 3, 0)::text, '{\"a\":1, \"a\":2}', point(g % 7, -0.0), '-0', repeat('f', 3000 * (g % 2))
  FROM generate_series(1, 100) AS g;
INSERT INTO full_bag SELECT NULL FROM generate_series(1, 3);
INSERT INTO by_index SELECT g, g, 'b' || g % 10, repeat('i' || g, 1500), 'v' FROM generate_series(1, 200) AS g;
INSERT INTO append SELECT g % 5, 'same' FROM generate_series(1, 100) AS g;
INSERT INTO toast_key SELECT repeat(chr(64 + g), 2300), g, repeat('t' || g, 1500) FROM generate_series(1, 26) AS g;
INSERT INTO deferred SELECT g, g, 'v' FROM generate_series(1, 100) AS g;
INSERT INTO always (v) SELECT g FROM generate_series(1, 100) AS g;
INSERT INTO parent SELECT g, 'p' FROM generate_series(1, 20) AS g;
INSERT INTO child SELECT g, 1 + g % 20 FROM generate_series(1, 60) AS g"
    # values stay in TOAST, whatever names the row
    src "UPDATE def SET v = 'w' WHERE id % 2 = 0"
    src "UPDATE full_key SET v = 'w' WHERE id % 2 = 0"
    src "UPDATE full_bag SET f = a WHERE a > 2; UPDATE full_bag SET b = 'set' WHERE a IS NULL AND ctid =
           (SELECT min(ctid) FROM full_bag WHERE a IS NULL)"
    src "UPDATE by_index SET v = 'w' WHERE id % 2 = 0; UPDATE by_index SET id = id + 1000 WHERE id % 3 = 0"
    src "UPDATE toast_key SET v = v + 100; UPDATE toast_key SET big = 'short' WHERE v % 5 = 0"
    # keys change, in chains, circles, over free places, with and without TOAST
    src "UPDATE def SET id = id + 1000 WHERE id % 5 = 0;
         BEGIN; UPDATE def SET id = -1 WHERE id = 1; UPDATE def SET id = 1 WHERE id = 2;
         UPDATE def SET id = 2 WHERE id = -1; COMMIT;
         BEGIN; UPDATE def SET id = 5000 WHERE id = 3; UPDATE def SET id = 5001 WHERE id = 5000; DELETE FROM def WHERE id = 4;
         INSERT INTO def VALUES (4, 4, 'new', 'new'), (3, 10003, 'new', 'new'); UPDATE def SET id = 5000 WHERE id = 5001; COMMIT"
    src "UPDATE full_key SET id = id + 1000 WHERE id % 5 = 0;
         BEGIN; UPDATE full_key SET id = -1 WHERE id = 1; UPDATE full_key SET id = 1 WHERE id = 2;
         UPDATE full_key SET id = 2 WHERE id = -1; COMMIT"
    src "UPDATE toast_key SET k = repeat('new' || v, 400) WHERE v % 3 = 0; UPDATE toast_key SET v = -v"
    src "UPDATE by_index SET a = a + 1000, b = 'key' WHERE id % 7 = 0"
    src "UPDATE always SET v = v + 1; DELETE FROM always WHERE id % 3 = 0; INSERT INTO always (v) VALUES (7);
         UPDATE always SET id = DEFAULT WHERE id = 4"
    # other unique values change places: over a third, and at the commit
    src "BEGIN; UPDATE def SET u = -1 WHERE u = 11; UPDATE def SET u = 11 WHERE u = 12; UPDATE def SET u = 12 WHERE u = -1; COMMIT;
         BEGIN; UPDATE full_key SET u = -1 WHERE u = 11; UPDATE full_key SET u = 11 WHERE u = 12;
         UPDATE full_key SET u = 12 WHERE u = -1; COMMIT;
         BEGIN; DELETE FROM def WHERE u = 21; UPDATE def SET u = 21 WHERE u = 22; INSERT INTO def VALUES (9000, 22, 'x', 'x'); COMMIT;
         UPDATE deferred SET u = 101 - u; UPDATE deferred SET v = 'w', u = u % 100 + 1"
    # cascades fire on the source, and on the source only
    src "DELETE FROM parent WHERE id % 4 = 0; UPDATE parent SET id = id + 100 WHERE id % 4 = 1"
    # one of several equal rows; all rows of a kind
    src "DELETE FROM full_bag WHERE ctid IN (SELECT min(ctid) FROM full_bag GROUP BY a, b, j::text, p::text)"
    src "DELETE FROM def WHERE id % 13 = 0; DELETE FROM full_key WHERE id % 13 = 0; DELETE FROM by_index WHERE id % 13 = 0;
         DELETE FROM toast_key WHERE v % 13 = 0"
}

@test "identities, TOAST, keys, unique values, identity and generated columns, foreign keys (traps 48-54, 59, 81, 82, 84, 86)" {
    src "$TABLES"
    dst "$TABLES
        CREATE FUNCTION fired() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''fired''; END';
        CREATE TRIGGER t BEFORE INSERT OR UPDATE OR DELETE ON parent FOR EACH ROW EXECUTE FUNCTION fired()"
    src "CREATE PUBLICATION $name FOR ALL TABLES"
    config table # unique values move between rows
    pipeline_start "$conf"
    changes_of_rows
    caught
    # shellcheck disable=SC2086 # names
    equal $ALL_TABLES
    # in the place where the source did it, however it names the tables
    src "BEGIN; INSERT INTO append VALUES (-1, 'before'); INSERT INTO def VALUES (-5, -5, '', ''); TRUNCATE append, def;
         INSERT INTO def VALUES (-6, -6, '', ''); COMMIT; TRUNCATE parent CASCADE; INSERT INTO parent VALUES (1, 'after');
         INSERT INTO child VALUES (1, 1); TRUNCATE always RESTART IDENTITY; INSERT INTO always (v) VALUES (1)"
    src "UPDATE def SET v = 'last'; TRUNCATE full_bag; TRUNCATE full_bag"
    caught
    # shellcheck disable=SC2086
    equal $ALL_TABLES
    [ "$(src 'SELECT count(*) FROM def')" = 1 ]
    pipeline_stop "$conf"
    no_restart "$conf"
    [ "$(grep -c 'found no row' "$conf.log")" -eq 0 ]
}

# A leaf with columns in another order, one with columns that were dropped.
PARTITIONS="
CREATE TABLE part (id int, region text, v text, big text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE part_a PARTITION OF part FOR VALUES IN ('a');
CREATE TABLE part_b (big text, v text, region text NOT NULL, gone int, id int NOT NULL);
ALTER TABLE part_b DROP gone;
ALTER TABLE part ATTACH PARTITION part_b FOR VALUES IN ('b');
CREATE TABLE part_rest PARTITION OF part DEFAULT;
ALTER TABLE part ALTER big SET STORAGE EXTERNAL;
ALTER TABLE part_b ALTER big SET STORAGE EXTERNAL;
"

partitions_arrive() {
    src "$PARTITIONS CREATE PUBLICATION $name FOR ALL TABLES WITH (publish_via_partition_root = $1)"
    dst "$2"
    config
    pipeline_start "$conf"
    src "INSERT INTO part SELECT g, (ARRAY['a', 'b', 'c'])[1 + g % 3], 'v' || g, repeat('x' || g, 1500)
           FROM generate_series(1, 200) AS g;
         UPDATE part SET v = 'w' WHERE id % 2 = 0;
         UPDATE part SET region = 'b' WHERE id % 5 = 0;
         DELETE FROM part WHERE id % 7 = 0;
         BEGIN; UPDATE part SET region = 'a' WHERE id < 20; UPDATE part SET region = 'b', id = -id WHERE id < 20;
         UPDATE part SET v = 'again' WHERE id < 0; COMMIT"
    caught
    equal part
    src "TRUNCATE part; INSERT INTO part VALUES (1, 'b', 'v', 'big')"
    caught
    equal part
    pipeline_stop "$conf"
    no_restart "$conf"
}

@test "partitions by their leaves, in other orders of columns (trap 56)" {
    partitions_arrive false "$PARTITIONS"
}

@test "partitions via their root, into a table without partitions" {
    partitions_arrive true "CREATE TABLE part (v text, id int, extra int DEFAULT 5, big text, region text, PRIMARY KEY (region, id));
        ALTER TABLE part DROP extra"
}

@test "row filters and column lists: rows move in and out (traps 51, 55)" {
    src "CREATE TABLE f (id int PRIMARY KEY, v text, secret text);
         CREATE TABLE g (id int, v int, secret text, PRIMARY KEY (id, v)); ALTER TABLE g REPLICA IDENTITY FULL;
         CREATE PUBLICATION $name FOR TABLE f (id, v) WHERE (id > 10), g WHERE (v > 10)"
    dst "CREATE TABLE f (v text, id int PRIMARY KEY); CREATE TABLE g (id int, v int, secret text, PRIMARY KEY (id, v))"
    config
    pipeline_start "$conf"
    src "INSERT INTO f SELECT g, 'v', 'secret' FROM generate_series(1, 100) AS g;
         INSERT INTO g SELECT g, g, 'secret' FROM generate_series(1, 100) AS g;
         UPDATE f SET secret = 'still'; UPDATE f SET v = 'w' WHERE id % 2 = 0"
    for _ in 1 2; do
        src "UPDATE f SET id = id + 1000 WHERE id < 10; UPDATE f SET id = id - 1000 WHERE id > 1000; UPDATE f SET id = -id WHERE id > 90;
             UPDATE f SET id = -id WHERE id < -90; UPDATE g SET v = -v WHERE id % 3 = 0; UPDATE g SET secret = 'x' WHERE id % 2 = 0;
             DELETE FROM f WHERE id % 13 = 0; DELETE FROM g WHERE id % 13 = 0"
    done
    caught
    for sink in one two; do
        [ "$(pg_sql target 'SELECT id, v FROM f ORDER BY id' "${name}_$sink")" = \
            "$(src 'SELECT id, v FROM f WHERE id > 10 ORDER BY id')" ]
        [ "$(pg_sql target 'SELECT * FROM g ORDER BY id' "${name}_$sink")" = "$(src 'SELECT * FROM g WHERE v > 10 ORDER BY id')" ]
    done
    pipeline_stop "$conf"
    no_restart "$conf"
}

@test "columns and tables change in mid-stream and in mid-transaction (traps 41-44)" {
    src "CREATE TABLE s (id int PRIMARY KEY, a int, b varchar(10), c text); CREATE TABLE old (id int PRIMARY KEY, v text);
         CREATE PUBLICATION $name FOR ALL TABLES"
    # ready for what will come: other order, wider types, columns of its own
    dst "CREATE TABLE s (mine text DEFAULT 'mine', c text, b text, a bigint, id bigint PRIMARY KEY, d int, b2 text, extra numeric);
         CREATE TABLE old (v text, id int PRIMARY KEY); CREATE TABLE new (v text, id int PRIMARY KEY, w date)"
    config
    pipeline_start "$conf"
    src "INSERT INTO s SELECT g, g, 'b', 'c' FROM generate_series(1, 100) AS g;
         BEGIN; UPDATE s SET a = -a; ALTER TABLE s ADD d int DEFAULT 7; UPDATE s SET d = 8 WHERE id > 50;
         ALTER TABLE s DROP c; INSERT INTO s VALUES (101, 1, 'x', 9); ALTER TABLE s RENAME b TO b2;
         UPDATE s SET b2 = 'renamed' WHERE id > 90; COMMIT;
         ALTER TABLE s ALTER a TYPE bigint; UPDATE s SET a = 9223372036854775807 WHERE id = 1;
         BEGIN; SAVEPOINT x; ALTER TABLE s ADD never int; UPDATE s SET never = 1; ROLLBACK TO x; UPDATE s SET a = 2 WHERE id = 2; COMMIT;
         INSERT INTO old VALUES (1, 'old'); ALTER TABLE old RENAME TO new; INSERT INTO new VALUES (2, 'renamed');
         DROP TABLE new; CREATE TABLE new (w date, id int PRIMARY KEY, v text); INSERT INTO new VALUES ('2024-02-29', 3, 'made again');
         BEGIN; INSERT INTO new VALUES (NULL, 4, 'x'); ALTER TABLE new RENAME TO old; INSERT INTO old VALUES (NULL, 5, 'x');
         COMMIT"
    run -1 caught
    [ "$(cat "$conf.exit")" -eq 100 ]
    grep -q 'public.old: the target table has no column \\"w\\"' "$conf.log"
    dst "ALTER TABLE old ADD w date"
    pipeline_start "$conf"
    caught
    for sink in one two; do
        got=$(pg_sql target "SELECT string_agg(concat_ws(' ', id, a, d, b2, mine), ',' ORDER BY id)
                               FROM s WHERE id IN (1, 2, 60, 95, 101)" "${name}_$sink")
        want='1 9223372036854775807 7 b mine,2 2 7 b mine,60 -60 8 mine,95 -95 8 renamed mine,101 1 9 renamed mine'
        [ "$got" = "$want" ] || { echo "$got" && return 1; }
        [ "$(pg_sql target 'SELECT id, v, w FROM new ORDER BY id' "${name}_$sink" | paste -sd ' ')" = \
            '2|renamed| 3|made again|2024-02-29 4|x|' ]
        [ "$(pg_sql target 'SELECT id, v, w FROM old ORDER BY id' "${name}_$sink" | paste -sd ' ')" = '1|old| 5|x|' ]
    done
    pipeline_stop "$conf"
}

# stops MESSAGE SQL MEND [SQL ON TARGETS]: the change stops the pipeline with exit 100 and MESSAGE, an
# extended regular expression, beside the LSN; after MEND on the targets it goes on.
stops() {
    src "$2"
    run -1 caught
    [ "$(cat "$conf.exit")" -eq 100 ]
    grep -E "$1" "$conf.log" | grep -q '"lsn":"[0-9A-F]*/[0-9A-F]*","exit_code":100'
    dst "$3"
    pipeline_start "$conf"
    caught
    equal "${@:4}"
}

@test "what cannot be applied stops by table, column, key and LSN, and goes on when it is mended (traps 44, 90, 92)" {
    src "CREATE TABLE t (id int PRIMARY KEY, v varchar(10), n int, d date);
         CREATE PUBLICATION $name FOR ALL TABLES"
    dst "CREATE TABLE t (id int PRIMARY KEY, v varchar(5), n smallint, d date)"
    config
    pipeline_start "$conf"
    src "INSERT INTO t SELECT g, 'v', g, '2024-02-29' FROM generate_series(1, 200) AS g"
    # few rows and many: the row is found in both
    stops 'insert into public.t \(id\)=\(201\): column \\"v\\": .*value too long' "INSERT INTO t VALUES (201, 'too long')" \
        "ALTER TABLE t ALTER v TYPE varchar(10)" t
    stops 'update of public.t \(id\)=\(150\): column \\"n\\": .*out of range for type smallint' \
        "UPDATE t SET n = CASE id WHEN 150 THEN 40000 ELSE -id END" "ALTER TABLE t ALTER n TYPE int" t
    dst "ALTER TABLE t ADD CHECK (d > '2000-01-01')"
    stops '\(id\)=\(3\).*violates check constraint' "UPDATE t SET d = '1999-12-31' WHERE id = 3" \
        "ALTER TABLE t DROP CONSTRAINT t_d_check" t
    stops 'public.u' "CREATE TABLE u (id int PRIMARY KEY, v numeric(10, 4)); INSERT INTO u VALUES (1, 1.2345)" \
        "CREATE TABLE u (id int PRIMARY KEY, v numeric(10, 4))" u
    # the bug was that types which lose something took it, and rounded
    pipeline_stop "$conf" # what a running sink knows of a table it does not ask again
    dst "ALTER TABLE u ALTER v TYPE numeric(10, 2)"
    pipeline_start "$conf"
    stops 'public.u: its column \\"v\\" is numeric\(10,2\), which cannot hold all' "INSERT INTO u VALUES (2, 2.3456)" \
        "ALTER TABLE u ALTER v TYPE numeric; UPDATE u SET v = 1.2345 WHERE id = 1" u
    dst "ALTER TABLE t ALTER n TYPE numeric(6, 0)"
    stops '\(id\)=\(7\): column \\"n\\": .*numeric field overflow' "UPDATE t SET n = 4000000 WHERE id = 7" \
        "ALTER TABLE t ALTER n TYPE int" t
    dst "CREATE DOMAIN positive AS int CHECK (value > -1000); ALTER TABLE t ALTER n TYPE positive"
    stops '\(id\)=\(8\): column \\"n\\": .*violates check constraint' "UPDATE t SET n = -40000 WHERE id = 8" \
        "ALTER TABLE t ALTER n TYPE int" t
    dst "CREATE TABLE w (id int PRIMARY KEY, at date)"
    stops 'public.w: its column \\"at\\" is date, .* time of day' \
        "CREATE TABLE w (id int PRIMARY KEY, at timestamp); INSERT INTO w VALUES (1, '2024-02-29 01:02:03')
        " "ALTER TABLE w ALTER at TYPE timestamp" w
    pipeline_stop "$conf"
}
