-- The types and tables of types_pg.bats, on the source and on the targets. For each type of `types`:
-- vN (the value beside a key), kN (the value as key, where the type can be one) and fN (REPLICA
-- IDENTITY FULL, no key).

CREATE SCHEMA ext;
CREATE EXTENSION hstore SCHEMA ext;
CREATE EXTENSION citext SCHEMA ext;
CREATE EXTENSION ltree SCHEMA ext;
CREATE EXTENSION cube SCHEMA ext;
CREATE SCHEMA "Odd ""s";
CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s "fine", {so} \ far', '');
CREATE TYPE "Odd ""s"."Ty pe" AS (a int, "b ""c" text, m mood, d numeric(10, 2)[]);
CREATE TYPE nest AS (inner_one "Odd ""s"."Ty pe", list "Odd ""s"."Ty pe"[], t timestamptz);
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE DOMAIN small AS positive CHECK (value < 1000);
CREATE DOMAIN given AS text NOT NULL DEFAULT 'x';
CREATE DOMAIN ci AS ext.citext CHECK (value <> 'never');
CREATE DOMAIN cici AS ci;
CREATE DOMAIN moods AS mood[];
CREATE TYPE float_range AS RANGE (subtype = float8, subtype_diff = float8mi);

CREATE TABLE "Odd ""s"."ta ble" (id int);

DO $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT * FROM types ORDER BY t LOOP
        EXECUTE format('CREATE TABLE v%s (id int PRIMARY KEY, v %s, n int)', r.t, r.type);
        EXECUTE format('COMMENT ON TABLE v%s IS %L', r.t, r.type);
        EXECUTE format('CREATE TABLE f%s (id int, v %s, n int)', r.t, r.type);
        EXECUTE format('ALTER TABLE f%s REPLICA IDENTITY FULL', r.t);
        EXECUTE format('COMMENT ON TABLE f%s IS %L', r.t, r.type);
        BEGIN
            EXECUTE format('CREATE TABLE k%s (k %s, r int, n int, PRIMARY KEY (k, r))', r.t, r.type);
            EXECUTE format('COMMENT ON TABLE k%s IS %L', r.t, r.type);
            -- an index can be made on an array of anything, but not filled
            EXECUTE format('INSERT INTO k%s SELECT value::%s, 0, 0 FROM cases WHERE type = %L
                                ON CONFLICT DO NOTHING', r.t, r.type, r.type);
            EXECUTE format('TRUNCATE k%s', r.t);
        EXCEPTION WHEN undefined_object OR undefined_function THEN
            NULL; -- the type has no order
        END;
    END LOOP;
END $$;
