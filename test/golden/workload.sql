-- The changes behind main.wal, binary.wal and root.wal: run by ./capture on an empty database whose
-- slots exist already. $CONNINFO is the environment's, for a second session.
\set ON_ERROR_STOP 1
\set QUIET 1
SET client_min_messages = warning;
CREATE SCHEMA s;

CREATE TYPE s.mood AS ENUM ('sad', 'so so', 'happy');
CREATE DOMAIN s.percent AS int CHECK (VALUE BETWEEN 0 AND 100);
CREATE TYPE s.pair AS (a int, b text);
CREATE TABLE s.types (
    id int PRIMARY KEY, b bool, i2 smallint, i8 bigint, n numeric(12, 3), f4 real, f8 float8,
    t text, v varchar(20), c char(5), by bytea, d date, tm time, ts timestamp, tz timestamptz,
    iv interval, u uuid, j json, jb jsonb, m money, ar int[], rc regclass, mood s.mood,
    pc s.percent, pair s.pair, moods s.mood[]);
CREATE TABLE s.plain (id int PRIMARY KEY, v text);
CREATE TABLE s.nokey (a int, b text);
CREATE TABLE s.full_id (a int, b text, c numeric);
ALTER TABLE s.full_id REPLICA IDENTITY FULL;
CREATE TABLE s.by_index (id int PRIMARY KEY, u bigint NOT NULL, v text);
CREATE UNIQUE INDEX by_index_u ON s.by_index (u);
ALTER TABLE s.by_index REPLICA IDENTITY USING INDEX by_index_u;
CREATE TABLE s.pair_key (k1 int, k2 text, v text, PRIMARY KEY (k2, k1));
CREATE TABLE s.num_key (id numeric PRIMARY KEY, v text);
CREATE TABLE s.gen (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED,
                    ident int GENERATED ALWAYS AS IDENTITY);
CREATE TABLE s.toast_d (id int PRIMARY KEY, a int, big text);
CREATE TABLE s.toast_f (id int PRIMARY KEY, a int, big text);
CREATE TABLE s.toast_k (k text PRIMARY KEY, a int);
CREATE TABLE s.filtered (id int PRIMARY KEY, a int, big text);
ALTER TABLE s.toast_d ALTER big SET STORAGE EXTERNAL;
ALTER TABLE s.toast_f ALTER big SET STORAGE EXTERNAL;
ALTER TABLE s.toast_k ALTER k SET STORAGE EXTERNAL;
ALTER TABLE s.filtered ALTER big SET STORAGE EXTERNAL;
ALTER TABLE s.toast_f REPLICA IDENTITY FULL;
CREATE TABLE s.measure (id int, at date, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE s.measure_1 PARTITION OF s.measure FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
CREATE TABLE s.measure_2 (v text, at date NOT NULL, id int NOT NULL, PRIMARY KEY (id, at));
ALTER TABLE s.measure ATTACH PARTITION s.measure_2 FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
CREATE TABLE s."Größe, ""x""" ("naïve 😀" int PRIMARY KEY, "a.b" text);
CREATE TABLE s.parent (id int PRIMARY KEY);
CREATE TABLE s.child (id serial PRIMARY KEY, parent int REFERENCES s.parent);
CREATE TABLE s.ddl (id int PRIMARY KEY, a text);
CREATE TABLE s.old_name (id int PRIMARY KEY, v text);
CREATE TABLE s.hidden (id int PRIMARY KEY);

CREATE PUBLICATION p_main FOR TABLE s.types, s.plain, s.nokey, s.full_id, s.by_index, s.pair_key,
    s.num_key, s.gen, s.toast_d, s.toast_f, s.toast_k, s.measure, s."Größe, ""x""", s.parent,
    s.child, s.ddl, s.old_name, s.filtered WHERE (id > 10);
CREATE PUBLICATION p_root FOR TABLE s.measure WITH (publish_via_partition_root);
-- the source refuses updates of tables without an identity: s.nokey is insert and truncate only

-- every type, the extremes of some, and nothing but NULL
INSERT INTO s.types VALUES
    (1, true, -32768, 9223372036854775807, 123456.789, 1.5, 'NaN', E'tab\there\nline ''q'' "d" \\',
     'väre', 'ab', '\x00ff5c', '2024-02-29', '23:59:59.999999', '2024-02-29 12:34:56.789',
     '2024-02-29 12:34:56.789+02', '1 year 2 mons -3 days 04:05:06.5',
     'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"a": [1, null]}', '{"b": 1.10, "a": "ü"}', 12.34,
     '{1,NULL,3}', 's.plain', 'so so', 50, '(1,"x,y")', '{happy,NULL,sad}'),
    (2, false, 0, -9223372036854775808, 0, '-0', '-Infinity', '', '', '', '', 'infinity', '00:00',
     '-infinity', 'infinity', '0', '00000000-0000-0000-0000-000000000000', 'null', '{}', -0.01,
     '{}', 0, 'sad', 0, '(,)', '{}');
INSERT INTO s.types (id) VALUES (3);

-- insert, update, update of the key, delete; a failed savepoint; a lone watermark behind
BEGIN;
INSERT INTO s.plain SELECT n, 'row ' || n FROM generate_series(1, 5) n;
UPDATE s.plain SET v = '' WHERE id = 1;
UPDATE s.plain SET v = NULL WHERE id = 2;
UPDATE s.plain SET id = 30 WHERE id = 3;
DELETE FROM s.plain WHERE id = 4;
SAVEPOINT a;
INSERT INTO s.plain VALUES (99, 'never');
ROLLBACK TO a;
INSERT INTO s.plain VALUES (6, 'after the savepoint');
COMMIT;
INSERT INTO s.hidden VALUES (1);

-- the identities
INSERT INTO s.nokey VALUES (1, 'a'), (1, 'a'), (NULL, NULL);
BEGIN;
INSERT INTO s.full_id VALUES (1, 'x', 1.0), (1, 'x', 1.00), (NULL, NULL, NULL);
UPDATE s.full_id SET b = 'y' WHERE c = 1 AND ctid = (SELECT min(ctid) FROM s.full_id);
DELETE FROM s.full_id WHERE a IS NULL;
COMMIT;
BEGIN;
INSERT INTO s.by_index VALUES (1, 11, 'a');
UPDATE s.by_index SET id = 5 WHERE u = 11;
UPDATE s.by_index SET u = 12 WHERE u = 11;
DELETE FROM s.by_index WHERE u = 12;
COMMIT;
BEGIN;
INSERT INTO s.pair_key VALUES (1, '', 'empty'), (1, 'k', 'v');
UPDATE s.pair_key SET k1 = 2 WHERE k2 = 'k';
DELETE FROM s.pair_key WHERE k2 = '';
COMMIT;
BEGIN;
INSERT INTO s.num_key VALUES (1.0, 'a');
UPDATE s.num_key SET id = 1.00;
UPDATE s.num_key SET id = 2;
DELETE FROM s.num_key;
COMMIT;
INSERT INTO s.gen (id, a) VALUES (1, 21);
UPDATE s.gen SET a = 4;

-- TOAST: unchanged under each identity, changed, and in the key
BEGIN;
INSERT INTO s.toast_d VALUES (1, 1, repeat('d', 2500));
INSERT INTO s.toast_f VALUES (1, 1, repeat('f', 2500));
INSERT INTO s.toast_k VALUES (repeat('k', 2500), 1);
COMMIT;
UPDATE s.toast_d SET a = 2;
UPDATE s.toast_d SET id = 3;
UPDATE s.toast_f SET a = 2;
UPDATE s.toast_k SET a = 2;
UPDATE s.toast_d SET big = 'short';
DELETE FROM s.toast_k;
DELETE FROM s.toast_f;

-- rows that move into and out of the filter; the first update is an insert with unchanged TOAST
INSERT INTO s.filtered VALUES (1, 1, repeat('w', 2500));
UPDATE s.filtered SET id = 20;
UPDATE s.filtered SET a = 2;
UPDATE s.filtered SET id = 2;
DELETE FROM s.filtered;

-- partitions, one with its columns in another order; a row that changes its partition
INSERT INTO s.measure VALUES (1, '2024-01-15', 'one'), (2, '2024-02-15', 'two');
UPDATE s.measure SET at = '2024-02-20' WHERE id = 1;
TRUNCATE s.measure_1;
DELETE FROM s.measure WHERE id = 2;

INSERT INTO s."Größe, ""x""" VALUES (1, 'ä');
UPDATE s."Größe, ""x""" SET "a.b" = '😀';

-- truncate: one, several with both flags between other changes
BEGIN;
INSERT INTO s.parent VALUES (1);
INSERT INTO s.child (parent) VALUES (1), (1);
TRUNCATE s.parent, s.plain RESTART IDENTITY CASCADE;
INSERT INTO s.plain VALUES (7, 'after truncate');
COMMIT;
TRUNCATE s.nokey;

-- schema changes in the middle of a transaction, and a key that comes later
BEGIN;
INSERT INTO s.ddl VALUES (1, 'a');
ALTER TABLE s.ddl ADD b int DEFAULT 7;
INSERT INTO s.ddl VALUES (2, 'b', 8);
ALTER TABLE s.ddl DROP a;
INSERT INTO s.ddl VALUES (3, 9);
ALTER TABLE s.ddl RENAME b TO c;
ALTER TABLE s.ddl ALTER c TYPE text;
INSERT INTO s.ddl VALUES (4, 'text');
ALTER TABLE s.ddl DROP CONSTRAINT ddl_pkey;
INSERT INTO s.ddl VALUES (5, 'no key');
COMMIT;
ALTER TABLE s.ddl ADD PRIMARY KEY (id);
UPDATE s.ddl SET c = 'key again' WHERE id = 5;

-- renamed, then another table under the old name
INSERT INTO s.old_name VALUES (1, 'first');
ALTER TABLE s.old_name RENAME TO new_name;
CREATE TABLE s.old_name (id int PRIMARY KEY, w text);
ALTER PUBLICATION p_main ADD TABLE s.old_name;
INSERT INTO s.new_name VALUES (2, 'renamed');
INSERT INTO s.old_name VALUES (1, 'second');

-- messages: in a transaction, in one that does nothing else, in one that is rolled back, in none
BEGIN;
INSERT INTO s.plain VALUES (8, 'with message');
SELECT pg_logical_emit_message(true, 'in', 'transactional') IS NULL \g /dev/null
COMMIT;
SELECT pg_logical_emit_message(true, '', '\x00ff'::bytea) IS NULL \g /dev/null
BEGIN;
SELECT pg_logical_emit_message(true, 'lost', 'rolled back') IS NULL \g /dev/null
SELECT pg_logical_emit_message(false, 'out', 'survives') IS NULL \g /dev/null
INSERT INTO s.plain VALUES (9, 'rolled back');
ROLLBACK;

-- two sessions: the second commits first, so its LSNs stand before smaller ones
BEGIN;
INSERT INTO s.plain VALUES (10, 'first session');
\! psql -XAtqd "$CONNINFO" -c "INSERT INTO s.plain VALUES (11, 'second session')"
INSERT INTO s.plain VALUES (12, 'first session');
COMMIT;

-- replicated to here from elsewhere
SELECT pg_replication_origin_create('upstream') IS NULL \g /dev/null
SELECT pg_replication_origin_session_setup('upstream') IS NULL \g /dev/null
BEGIN;
SELECT pg_replication_origin_xact_setup('0/ABC', '2024-01-01') IS NULL \g /dev/null
INSERT INTO s.plain VALUES (13, 'from upstream');
COMMIT;
SELECT pg_replication_origin_session_reset() IS NULL \g /dev/null

SELECT pg_logical_emit_message(false, 'last', '') IS NULL \g /dev/null
