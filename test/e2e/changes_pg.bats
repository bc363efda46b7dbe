#!/usr/bin/env bats
# Every kind of change through the whole pipeline into PostgreSQL: identities, keys, constraints,
# partitions, filters, truncates, DDL in mid-stream; and what cannot be applied stops the pipeline
# by name and is made good. test/filter/sink-pg-*.bats has the same changes, and more of them, from
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
copy        = no
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
    if [ "$1" = true ]; then
        # guarantees(7): the source does not send it
        src "TRUNCATE part_b; INSERT INTO part VALUES (2, 'b', 'v', 'big')"
        caught
        [ "$(src 'SELECT id FROM part')" = 2 ]
        for sink in one two; do
            [ "$(pg_sql target 'SELECT id FROM part ORDER BY id' "${name}_$sink" | paste -sd ' ')" = '1 2' ]
        done
    else
        src "TRUNCATE part_b; INSERT INTO part VALUES (2, 'b', 'v', 'big')"
        caught
        equal part
    fi
    pipeline_stop "$conf"
    no_restart "$conf"
}

@test "partitions by their leaves, in other orders of columns (trap 56)" {
    partitions_arrive false "$PARTITIONS"
}

@test "partitions via their root, into a table without partitions (traps 56, 57)" {
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

@test "a row filter makes an insert of an update: with its TOASTed value or not at all (trap 49)" {
    src "CREATE TABLE toast (id int PRIMARY KEY, n int, big text); ALTER TABLE toast ALTER big SET STORAGE EXTERNAL;
         CREATE TABLE whole (LIKE toast INCLUDING ALL); ALTER TABLE whole REPLICA IDENTITY FULL; CREATE TABLE other (id int PRIMARY KEY);
         CREATE PUBLICATION $name FOR TABLE toast WHERE (id > 10), whole WHERE (n > 10), other"
    dst "CREATE TABLE toast (id int PRIMARY KEY, n int, big text); CREATE TABLE whole (LIKE toast INCLUDING ALL); CREATE TABLE other (id int PRIMARY KEY)"
    config
    pipeline_start "$conf"
    src "INSERT INTO whole SELECT g, g, repeat('w' || g, 2000) FROM generate_series(1, 20) AS g;
         INSERT INTO toast SELECT g, g, repeat('t' || g, 2000) FROM generate_series(1, 20) AS g; UPDATE whole SET n = n + 5"
    caught
    src "UPDATE toast SET id = 100 WHERE id = 1; INSERT INTO other VALUES (1)"
    run -1 caught
    [ "$(cat "$conf.exit")" -eq 100 ]
    grep 'insert into public.toast (id)=(100): the source did not send a TOASTed value' "$conf.log" | grep -q 'REPLICA IDENTITY FULL.*"lsn":"'
    # the way out that the message names
    sed -i 's/^shards .*/&\ntables = *.*, !public.toast/' "$conf"
    pipeline_start "$conf"
    caught
    pipeline_stop "$conf"
    equal other
    dst "TRUNCATE toast"
    for sink in one two; do
        src 'COPY (SELECT * FROM toast WHERE id > 10) TO STDOUT' >"$SCRATCH/$name.toast"
        pg_sql target "COPY toast FROM '$SCRATCH/$name.toast'" "${name}_$sink"
    done
    sed -i '/^tables/d' "$conf"
    src "ALTER TABLE toast REPLICA IDENTITY FULL"
    pipeline_start "$conf"
    src "UPDATE toast SET id = 102 WHERE id = 2; UPDATE toast SET n = 0; UPDATE whole SET n = n - 5; UPDATE whole SET n = n + 7"
    caught
    for sink in one two; do
        for table in 'toast WHERE id > 10' 'whole WHERE n > 10'; do
            [ "$(pg_sql target "SELECT * FROM ${table%% *} ORDER BY id" "${name}_$sink" | md5sum)" = \
                "$(src "SELECT * FROM $table ORDER BY id" | md5sum)" ]
        done
    done
    pipeline_stop "$conf"
}

@test "the target's types are others that take the text: types(7)" {
    src "CREATE TABLE y (id smallint PRIMARY KEY, a int, b int8, c varchar(5), d char(5), e float4, f int, g timestamp, h timestamptz,
           i json, j text, k text); CREATE PUBLICATION $name FOR ALL TABLES"
    dst "CREATE TABLE y (id int8 PRIMARY KEY, a int8, b numeric, c text, d text, e float8, f text, g timestamptz, h timestamp,
           i jsonb, j varchar(3), k bytea)"
    config
    pipeline_start "$conf"
    for first in 1 100; do # one by one, and as sets
        src "INSERT INTO y SELECT n, -n, 9223372036854775807, 'äöüßé', 'ab', 0.1, n, '2024-07-01 12:00:00.000001', '2024-07-01 12:00:00.5+05:45',
               '{\"b\": 1, \"a\":  [1.0]}', 'abc', 'k\\\\k' FROM generate_series($first, $first * 3) AS n;
             INSERT INTO y (id, g, h) VALUES (-$first, 'infinity', '-infinity'); UPDATE y SET a = a - 1"
    done
    caught
    for sink in one two; do
        [ "$(pg_sql target "SET timezone = 'UTC'; SELECT count(*), min(a), sum(b), min(c), count(DISTINCT d || '|'), min(d) || '|', min(e), min(f), min(g)
               FILTER (WHERE id = 1), min(h) FILTER (WHERE id = 1), min(i::text), min(j), min(encode(k, 'hex')) FROM y" "${name}_$sink")" = \
            '206|-301|1881567895518374264628|äöüßé|1|ab   ||0.1|1|2024-07-01 12:00:00.000001+00|2024-07-01 06:15:00.5|{"a": [1.0], "b": 1}|abc|6b5c6b' ] || {
            pg_sql target "SELECT * FROM y WHERE id IN (1, -1)" "${name}_$sink"
            return 1
        }
        [ "$(pg_sql target "SELECT g, h FROM y WHERE id = -1" "${name}_$sink")" = 'infinity|-infinity' ]
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

@test "a change of the schema that the target has not: the message says what to do, and nothing is lost (traps 43, 44)" {
    src "CREATE TABLE t (id int PRIMARY KEY, a int, b text); CREATE TABLE u (id int PRIMARY KEY, a int); CREATE PUBLICATION $name FOR ALL TABLES"
    dst "CREATE TABLE t (id int PRIMARY KEY, a int, b text); CREATE TABLE u (id int PRIMARY KEY, a int)"
    config
    pipeline_start "$conf"
    src "INSERT INTO t SELECT g, g, 'b' FROM generate_series(1, 100) AS g; INSERT INTO u SELECT g, g FROM generate_series(1, 100) AS g"
    stops 'public.t: the target table has no column \\"c\\".*"hint":"add the column' \
        "BEGIN; UPDATE t SET a = 0; ALTER TABLE t ADD c int DEFAULT 7; UPDATE t SET c = id WHERE id > 50; COMMIT" "ALTER TABLE t ADD c int DEFAULT 7" t
    stops 'public.t: the target table has no column \\"b2\\"' \
        "UPDATE t SET b = 'x'; ALTER TABLE t RENAME b TO b2; UPDATE t SET b2 = 'y' WHERE id = 5" "ALTER TABLE t RENAME b TO b2" t
    stops '(insert into|update of) public.t \(id\)=\(6\): column \\"a\\": .*invalid input syntax for type integer' \
        "BEGIN; UPDATE t SET a = 1; ALTER TABLE t ALTER a TYPE text; UPDATE t SET a = 'six' WHERE id = 6; COMMIT" "ALTER TABLE t ALTER a TYPE text" t
    stops 'there is no table public.u2 in the target.*"hint":"create the table' \
        "UPDATE u SET a = 1; ALTER TABLE u RENAME TO u2; UPDATE u2 SET a = 2" "ALTER TABLE u RENAME TO u2" u2
    stops 'public.u2: the target table has no column \\"other\\"' \
        "DELETE FROM u2; BEGIN; DROP TABLE u2; CREATE TABLE u2 (other text, id int PRIMARY KEY); INSERT INTO u2 VALUES ('o', 1); COMMIT" \
        "ALTER TABLE u2 ADD other text, DROP a" u2
    # what a target may keep
    src "ALTER TABLE t DROP c; UPDATE t SET b2 = 'z' WHERE id = 7; ALTER TABLE u2 RENAME TO gone; DROP TABLE gone; INSERT INTO t VALUES (1000)"
    caught
    for sink in one two; do
        [ "$(pg_sql target "SELECT a, b2, c FROM t WHERE id IN (7, 1000) ORDER BY id" "${name}_$sink" | paste -sd ' ')" = '1|z|7 ||7' ]
    done
    pipeline_stop "$conf"
}

@test "rows that no partition of the target takes: the partitioned table and the key are named (trap 89)" {
    src "CREATE TABLE p (id int, region text, PRIMARY KEY (id, region)); CREATE PUBLICATION $name FOR ALL TABLES"
    dst "CREATE TABLE p (id int, region text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
         CREATE TABLE p_a PARTITION OF p FOR VALUES IN ('a')"
    config
    pipeline_start "$conf"
    src "INSERT INTO p SELECT g, 'a' FROM generate_series(1, 200) AS g"
    stops 'insert into public.p \(id, region\)=\(500, b\): .*no partition of relation \\"p\\" found for row.*"hint":"create the partition' \
        "INSERT INTO p SELECT g, CASE g WHEN 500 THEN 'b' ELSE 'a' END FROM generate_series(400, 600) AS g" \
        "CREATE TABLE p_b PARTITION OF p FOR VALUES IN ('b')" p
    # between partitions, and out of all of them
    stops 'update of public.p \(id, region\)=\(7, b\): .*no partition of relation' \
        "UPDATE p SET region = 'b' WHERE id < 100; UPDATE p SET region = 'c' WHERE id = 7; DELETE FROM p WHERE id = 8" \
        "CREATE TABLE p_c PARTITION OF p FOR VALUES IN ('c')" p
    pipeline_stop "$conf"
}

@test "transactions with an origin, messages; sequences at a cut-over (traps 60, 61, 74)" {
    src "CREATE TABLE t (id serial PRIMARY KEY, v text); CREATE TABLE i (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text);
         CREATE TABLE hidden (id int); CREATE UNLOGGED TABLE un (id int PRIMARY KEY); CREATE PUBLICATION $name FOR TABLE t, i"
    dst "CREATE TABLE t (id serial PRIMARY KEY, v text); CREATE TABLE i (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text)"
    config
    pipeline_start "$conf"
    src "SELECT pg_replication_origin_create('$name');
         SELECT pg_replication_origin_session_setup('$name');
         BEGIN; SELECT pg_replication_origin_xact_setup('0/ABC', now()); INSERT INTO t (v) SELECT 'o' FROM generate_series(1, 9); COMMIT;
         SELECT pg_replication_origin_session_reset(); SELECT pg_replication_origin_drop('$name');
         SELECT pg_logical_emit_message(false, 'm', 'outside');
         BEGIN; INSERT INTO i (v) VALUES ('i'), ('j'); SELECT pg_logical_emit_message(true, 'm', 'inside'); INSERT INTO t (v) VALUES ('last'); COMMIT" >/dev/null
    for n in {1..50}; do
        echo "INSERT INTO hidden VALUES ($n); INSERT INTO un VALUES ($n);"
    done | pg_sql source - "$name"
    caught
    equal t i
    for sink in one two; do
        # the query of guarantees(7)
        sed -n '/^SELECT format(.SELECT setval/,/gexec$/p' "$WALPIPE_ROOT/docs/guarantees.7" | sed 's/\\egexec/\\gexec/' |
            pg_sql target - "${name}_$sink" >/dev/null
        [ "$(pg_sql target "INSERT INTO t (v) VALUES ('mine') RETURNING id; INSERT INTO i (v) VALUES ('mine') RETURNING id" \
            "${name}_$sink" | paste -sd ' ')" = '11 3' ]
    done
    pipeline_stop "$conf"
    no_restart "$conf"
}

@test "bytes that are no UTF-8, characters that the target lacks: stopped by LSN or by row and column, no loop (trap 102)" {
    pg_sql target "DROP DATABASE ${name}_two"
    pg_sql target "CREATE DATABASE ${name}_two ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    src "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE PUBLICATION $name FOR ALL TABLES"
    dst "CREATE TABLE t (id int PRIMARY KEY, v text)"
    config
    pipeline_start "$conf"
    src "INSERT INTO t SELECT g, 'é' FROM generate_series(1, 200) AS g; INSERT INTO t SELECT g, CASE g WHEN 250 THEN '€' END FROM generate_series(201, 300) AS g"
    run -1 caught
    [ "$(cat "$conf.exit")" -eq 100 ]
    grep '"sink":"two"' "$conf.log" | grep 'insert into public.t (id)=(250): .*LATIN1' | grep -q '"lsn":"'
    [ "$(pipeline_starts "$conf")" -eq 1 ]
    # the source's own bytes: the server finds them while it sends
    pg_sql source "CREATE DATABASE ${name}a ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    name=${name}a
    conf=$SCRATCH/$name.conf
    for sink in one two; do
        pg_sql target "CREATE DATABASE ${name}_$sink"
    done
    src "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE PUBLICATION $name FOR ALL TABLES"
    dst "CREATE TABLE t (id int PRIMARY KEY, v text)"
    config
    pipeline_start "$conf"
    src "INSERT INTO t VALUES (1, 'é')"
    caught
    src "INSERT INTO t VALUES (3, chr(255))"
    run -1 caught
    [ "$(cat "$conf.exit")" -eq 100 ]
    grep '"program":"pg-wal-read"' "$conf.log" | grep -q 'invalid byte sequence.*LSN [0-9A-F]*/'
    [ "$(pipeline_starts "$conf")" -eq 1 ]
    [ "$(pg_sql target "SELECT id, v FROM t" "${name}_one")" = '1|é' ]
}
