#!/usr/bin/env bats
# What tables of a target may be, and what changes then do: PostgreSQL's own subscription does the
# same changes beside walpipe, and both end in the same rows.

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
    source "$BATS_TEST_DIRNAME/../lib/beside.bash"
    beside_new "t$BATS_TEST_NUMBER"
}

teardown() {
    beside_end
}

# ---- inheritance ----

# The bug was that statements named the target without ONLY: a change of the parent's row reached
# a child's row of the same key.
@test "inheritance: rows move between parent and child; a child that only the target has keeps its rows" {
    local tables="
        CREATE TABLE parent (id int PRIMARY KEY, v text, u int UNIQUE);
        CREATE TABLE child (more text, PRIMARY KEY (id)) INHERITS (parent);
        CREATE TABLE fparent (id int PRIMARY KEY, v text);
        CREATE TABLE fchild (PRIMARY KEY (id)) INHERITS (fparent);
        CREATE TABLE bag (a int, v text);
        CREATE TABLE bagchild () INHERITS (bag);
        CREATE TABLE deferred (id int PRIMARY KEY DEFERRABLE, v text);
        CREATE TABLE deferredchild (PRIMARY KEY (id)) INHERITS (deferred);
        ALTER TABLE fparent REPLICA IDENTITY FULL; ALTER TABLE fchild REPLICA IDENTITY FULL;
        ALTER TABLE bag REPLICA IDENTITY FULL; ALTER TABLE bagchild REPLICA IDENTITY FULL;
        ALTER TABLE deferred REPLICA IDENTITY FULL; ALTER TABLE deferredchild REPLICA IDENTITY FULL"
    src "$tables"
    targets "$tables;
        CREATE TABLE archive () INHERITS (parent); CREATE TABLE bagarchive () INHERITS (bag);
        CREATE TABLE farchive () INHERITS (fparent);
        INSERT INTO archive SELECT g, 'archive', g FROM generate_series(-10, 600) AS g;
        INSERT INTO bagarchive SELECT g, 'v' FROM generate_series(1, 600) AS g;
        INSERT INTO farchive SELECT g, 'v' FROM generate_series(1, 600) AS g"
    beside_start
    for n in 5 60 500; do
        src "INSERT INTO parent SELECT g, 'v', g FROM generate_series(1, $n) AS g;
             INSERT INTO fparent SELECT g, 'v' FROM generate_series(1, $n) AS g;
             INSERT INTO bag SELECT g % 50, 'v' FROM generate_series(1, least($n, 200)) AS g;
             INSERT INTO deferred SELECT g, 'v' FROM generate_series(1, least($n, 200)) AS g"
        src "BEGIN; INSERT INTO child (id, v, u) SELECT * FROM ONLY parent; DELETE FROM ONLY parent; COMMIT;
             BEGIN; INSERT INTO fchild SELECT * FROM ONLY fparent; DELETE FROM ONLY fparent; COMMIT;
             BEGIN; INSERT INTO bagchild SELECT * FROM ONLY bag; DELETE FROM ONLY bag; COMMIT;
             BEGIN; INSERT INTO deferredchild SELECT * FROM ONLY deferred; DELETE FROM ONLY deferred; COMMIT"
        src "INSERT INTO parent SELECT g, 'again', g FROM generate_series(1, $n) AS g; UPDATE ONLY parent SET v = 'w' WHERE id % 2 = 0;
             UPDATE ONLY parent SET id = -id WHERE id % 5 = 0;
             BEGIN; UPDATE ONLY parent SET u = -1 WHERE u = 1; UPDATE ONLY parent SET u = 1 WHERE u = 2;
             UPDATE ONLY parent SET u = 2 WHERE u = -1; COMMIT;
             UPDATE ONLY child SET v = 'child' WHERE id % 3 = 0;
             UPDATE ONLY fparent SET v = 'w' WHERE id % 2 = 0; DELETE FROM ONLY fchild WHERE id % 7 = 0;
             INSERT INTO bag SELECT a, v FROM bagchild; UPDATE ONLY bag SET v = 'w' WHERE a % 2 = 0;
             DELETE FROM ONLY bag WHERE a % 3 = 0;
             INSERT INTO deferred SELECT id, v FROM deferredchild; UPDATE ONLY deferred SET v = 'w' WHERE id % 2 = 0;
             DELETE FROM ONLY deferred WHERE id % 3 = 0"
        beside_wait
        as_source parent child fparent fchild bag bagchild deferred deferredchild
        src "DELETE FROM parent; DELETE FROM fparent; DELETE FROM bag; DELETE FROM deferred"
    done
    src "INSERT INTO parent VALUES (1, 'v', 1); INSERT INTO child VALUES (2, 'v', 2, 'more')"
    src "TRUNCATE ONLY parent"
    beside_wait
    as_source parent child fparent fchild bag bagchild deferred deferredchild
    same archive bagarchive farchive
    [ "$(wal "SELECT count(*), count(DISTINCT v) FROM archive")" = "611|1" ]
    beside_stop
}
