#!/usr/bin/env bats
# Targets that are sources too: two databases that replicate to each other, a chain, a subscription
# beside, and a target that is the source itself.

bats_require_minimum_version 1.5.0

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    pg_new a
    pg_new b
    pg_new c
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/majors.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    walpipe=$WALPIPE_BIN/walpipe
    db=t$BATS_TEST_NUMBER
    confs=()
}

teardown() {
    local conf pid
    for conf in "${confs[@]}"; do
        if [ -z "${BATS_TEST_COMPLETED:-}" ] && [ -e "$conf.log" ]; then
            echo "== $conf" && tail -n 30 "$conf.log"
        fi
        if [ -e "$conf.pid" ] && pid=$(pipeline_pid "$conf"); then
            end_process "$pid" KILL 5
        fi
    done 2>/dev/null
    return 0
}

# databases SERVER ...: each with a table and a publication of all tables
databases() {
    local server
    for server; do
        pg_sql "$server" "CREATE DATABASE $db"
        pg_sql "$server" "CREATE TABLE t (id int PRIMARY KEY, v text, n int NOT NULL DEFAULT 0);
                          CREATE PUBLICATION p FOR ALL TABLES" "$db"
    done
}

# config FILE PIPELINE SOURCE TARGET [LINE of the source] [LINES of the sink] [LOGIN of the sink]
config() {
    conf=$SCRATCH/$db.$1.conf
    confs+=("$conf")
    cat >"$conf" <<CONF
[pipeline]
name = $2
state_dir = $SCRATCH/$db.$1.state
copy = no
[source]
conninfo = $(pg_conninfo "$3" "$db")
slot = ${db}_$1
publication = p
${5:-}
[sink dst]
type = pg
conninfo = $(pg_conninfo "$4" "$db") ${7:-}
flush_interval = 50ms
${6:-}
CONF
}

rows() {
    pg_sql "$1" "SELECT * FROM t ORDER BY id" "$db"
}

# same_rows SERVER SERVER COUNT
same_rows() {
    rows "$1" >"$SCRATCH/one" && [ "$(wc -l <"$SCRATCH/one")" -eq "$3" ] && rows "$2" | cmp -s - "$SCRATCH/one"
}

# Rows that were inserted, changed and deleted in t since it was made.
written() {
    pg_sql "$1" "SELECT n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables WHERE relname = 't'" "$db"
}

has_written() {
    [ "$(written "$1")" -eq "$2" ]
}

has_row() {
    [ "$(pg_sql "$1" "SELECT count(*) FROM t WHERE id = $2" "$db")" -eq 1 ]
}

# Names without what stands for the database: its oid.
origins() {
    pg_sql "$1" "SELECT regexp_replace(roname, '^walpipe/[0-9]+/', 'walpipe/') FROM pg_replication_origin
                 WHERE roname ~ '^walpipe/[0-9]+/${db}' ORDER BY 1"
}

# A server's statistics come up to a second late, from sessions that are at work.
still() {
    local before
    before=$(written "$1")
    sleep 2.5
    has_written "$1" "$before"
}

# ping SERVER SERVER ID: a row there and one back arrive, and nothing else is written.
ping() {
    local one two
    wait_until 60 still "$1"
    wait_until 60 still "$2"
    one=$(written "$1")
    two=$(written "$2")
    pg_sql "$1" "INSERT INTO t VALUES ($3, 'ping')" "$db"
    wait_until 60 has_row "$2" "$3"
    pg_sql "$2" "INSERT INTO t VALUES ($3 + 1, 'pong')" "$db"
    wait_until 60 has_row "$1" "$(($3 + 1))"
    wait_until 30 has_written "$1" "$((one + 2))"
    wait_until 30 has_written "$2" "$((two + 2))"
    still "$1" && still "$2"
}

# ---- two directions ----

# the bug was that each change went round for ever
both_ways() {
    local x=$1 y=$2 shards=$3 there back
    databases "$x" "$y"
    config there "${db}_there" "$x" "$y" "origin = none" "shards = $shards"
    there=$conf
    config back "${db}_back" "$y" "$x" "origin = none" "shards = $shards"
    back=$conf
    "$walpipe" check -c "$there" >"$SCRATCH/check"
    grep -q '^ok .*replication origins are permitted' "$SCRATCH/check"
    grep -q '^warn .*publication "p" of this database publishes walpipe.progress' "$SCRATCH/check"
    pipeline_start "$there"
    pipeline_start "$back"
    pg_sql "$x" "INSERT INTO t SELECT g, 'x' FROM generate_series(1, 200) AS g" "$db"
    pg_sql "$y" "INSERT INTO t SELECT g, 'y' FROM generate_series(1001, 1200) AS g" "$db"
    wait_until 60 same_rows "$x" "$y" 400
    pg_sql "$x" "UPDATE t SET n = n + 1 WHERE id <= 100" "$db"
    wait_until 60 same_rows "$x" "$y" 400
    pg_sql "$y" "UPDATE t SET n = n + 10; DELETE FROM t WHERE id % 10 = 0" "$db"
    wait_until 60 same_rows "$x" "$y" 360
    ping "$x" "$y" 100001
    [ "$(origins "$y" | wc -l)" -eq "$shards" ]
    [ "$(origins "$x" | head -n 1)" = "walpipe/${db}_back/dst/0" ]

    # Killed with changes on their way: the next worker gets the origin that the dead one had.
    pg_sql "$x" "INSERT INTO t SELECT g, 'x' FROM generate_series(2001, 12000) AS g" "$db"
    pg_sql "$y" "INSERT INTO t SELECT g, 'y' FROM generate_series(20001, 30000) AS g" "$db"
    pipeline_kill "$there"
    pipeline_kill "$back"
    pipeline_start "$there"
    pipeline_start "$back"
    wait_until 90 same_rows "$x" "$y" 20362
    ping "$x" "$y" 100011
    # The position of a stream whose changes are all left out moves too.
    caught_up "$there" "$x" "${db}_there"
    caught_up "$back" "$y" "${db}_back"
    run ! grep 'replication origin' "$there.log" "$back.log"
    pipeline_stop "$there"
    pipeline_stop "$back"

    "$walpipe" drop --yes -c "$there" && "$walpipe" drop --yes -c "$back"
    [ -z "$(origins "$x")$(origins "$y")" ]
}

@test "two directions on PostgreSQL 15: each change arrives once, whatever is killed" {
    both_ways a b 1
}

@test "two directions with two workers each" {
    both_ways a b 2
}

@test "two directions on PostgreSQL 16 and 18: the source filters" {
    major_or_skip 16
    major_or_skip 18
    major_new x 16
    major_new y 18
    both_ways x y 1
}

# ---- a chain, and a subscription ----

# the bug was that walpipe.progress of b was replicated to c like any table: there it was the progress
# of the second pipeline, which has the same names
@test "a chain a -> b -> c of one name, all tables published, a subscription of b beside it" {
    databases a b c
    pg_sql c "CREATE DATABASE ${db}_native"
    pg_sql c "CREATE TABLE t (id int PRIMARY KEY, v text, n int NOT NULL DEFAULT 0)" "${db}_native"
    config one "$db" a b
    config two "$db" b c
    pipeline_start "$SCRATCH/$db.one.conf"
    pipeline_start "$SCRATCH/$db.two.conf"
    pg_sql a "INSERT INTO t SELECT g, 'a' FROM generate_series(1, 1000) AS g" "$db"
    wait_until 60 same_rows a c 1000

    # As `check` says: the subscription needs a table like walpipe.progress.
    pg_sql b "SELECT 'CREATE SCHEMA walpipe; CREATE TABLE walpipe.progress ('
                     || string_agg(quote_ident(attname) || ' ' || format_type(atttypid, atttypmod), ',' ORDER BY attnum)
                     || ', PRIMARY KEY (pipeline, sink, shard))'
                FROM pg_attribute WHERE attrelid = 'walpipe.progress'::regclass AND attnum > 0
                 AND NOT attisdropped" "$db" >"$SCRATCH/progress.sql"
    pg_sql c - "${db}_native" <"$SCRATCH/progress.sql"
    pg_sql c "CREATE SUBSCRIPTION $db CONNECTION '$(pg_conninfo b "$db")' PUBLICATION p" "${db}_native"
    pg_sql a "UPDATE t SET n = id; TRUNCATE t; INSERT INTO t SELECT g, 'a' FROM generate_series(1, 500) AS g" "$db"
    # before b's own rows: the TRUNCATE would take them away
    wait_until 60 same_rows a b 500
    pg_sql b "INSERT INTO t SELECT g, 'b' FROM generate_series(10001, 10100) AS g" "$db"
    pipeline_kill "$SCRATCH/$db.one.conf"
    pipeline_kill "$SCRATCH/$db.two.conf"
    pg_sql a "INSERT INTO t SELECT g, 'a' FROM generate_series(501, 600) AS g" "$db"
    pipeline_start "$SCRATCH/$db.two.conf"
    pipeline_start "$SCRATCH/$db.one.conf"
    wait_until 60 same_rows b c 700
    native() { [ "$(pg_sql c "SELECT * FROM t ORDER BY id" "${db}_native")" = "$(rows b)" ]; }
    wait_until 60 native
    [ "$(pg_sql c "SELECT count(*) FROM walpipe.progress" "$db")" -eq 1 ]
    [ "$(pg_sql c "SELECT slot FROM walpipe.progress" "$db")" = "${db}_two" ]
    pg_sql c "DROP SUBSCRIPTION $db" "${db}_native"
    pipeline_stop "$SCRATCH/$db.one.conf"
    pipeline_stop "$SCRATCH/$db.two.conf"
}

# ---- the target is the source ----

# the bug was that one insert became 1,500 events a second for ever
@test "a target that is the source itself: refused by check and by run, unless the table goes elsewhere" {
    databases a
    pg_sql a "CREATE TABLE t2 (id int PRIMARY KEY, v text, n int NOT NULL DEFAULT 0);
              DROP PUBLICATION p; CREATE PUBLICATION p FOR TABLE t" "$db"
    config self "$db" a a "" "map = public.t -> public.t2, public.t2 -> public.t"
    run "$walpipe" check -c "$conf"
    [ "$status" -eq 100 ]
    [[ $output == *"FAIL "*"cannot replicate public.t: the target is the source's own database"* ]]
    sed -i '/^map/d' "$conf"
    run "$walpipe" check -c "$conf"
    [ "$status" -eq 100 ]
    [[ $output == *"FAIL "*"cannot replicate public.t: the target is the source's own database"* ]]
    pipeline_start "$conf"
    pg_sql a "INSERT INTO t SELECT g, 'v' FROM generate_series(1, 10) AS g" "$db"
    wait_until 30 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq 100 ]
    grep -q "cannot replicate public.t: the target is the source's own database" "$conf.log"
    [ "$(written a)" -eq 10 ]

    echo "map = public.t -> public.t2" >>"$conf"
    "$walpipe" check -c "$conf"
    pipeline_start "$conf"
    copied() { [ "$(pg_sql a "SELECT count(*) FROM t2" "$db")" -eq 10 ]; }
    wait_until 30 copied
    pipeline_stop "$conf"
    "$walpipe" drop --yes -c "$conf"
}

# refused NAME: by check and by run, before anything is written
refused() {
    local words="cannot replicate public.$1: the target is the source's own database, .* leads to"
    run "$walpipe" check -c "$conf"
    [ "$status" -eq 100 ]
    grep -q "^FAIL .*$words" <<<"$output"
    pipeline_start "$conf"
    change
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq 100 ]
    grep -q "$words" "$conf.log"
    "$walpipe" drop --yes -c "$conf" >/dev/null
    : >"$conf.log"
}

# the bug was that only a table's own name was seen: a partition that is mapped to its root, a view
# or a rule got the same rows again for ever
@test "a target in the source's database that leads to the source's rows by another name" {
    databases a
    pg_sql a "CREATE TABLE root (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
              CREATE TABLE mid PARTITION OF root FOR VALUES FROM (0) TO (9999) PARTITION BY RANGE (id);
              CREATE TABLE leaf PARTITION OF mid FOR VALUES FROM (0) TO (9999);
              CREATE TABLE away (id int PRIMARY KEY, v text); CREATE TABLE log (id int);
              CREATE TABLE kin (id int PRIMARY KEY, v text) ; CREATE TABLE child () INHERITS (kin);
              CREATE VIEW inner_view AS SELECT id, v FROM leaf;
              CREATE VIEW outer_view AS SELECT * FROM inner_view;
              CREATE VIEW away_view AS SELECT id, v FROM away;
              CREATE RULE back AS ON INSERT TO away DO ALSO INSERT INTO mid VALUES (NEW.id, NEW.v);
              DROP PUBLICATION p; CREATE PUBLICATION p FOR TABLE root" "$db"
    rows=0
    change() { pg_sql a "INSERT INTO root VALUES ($((++rows)), 'v')" "$db"; }
    for map in "leaf -> public.root" "leaf -> public.mid" "leaf -> public.outer_view" \
        "leaf -> public.away_view, public.root -> public.log, public.away -> public.mid"; do
        config self "$db" a a "" "map = public.$map"
        refused leaf
    done
    pg_sql a "ALTER PUBLICATION p SET (publish_via_partition_root = true)" "$db"
    for map in "root -> public.leaf" "root -> public.mid" "root -> public.inner_view"; do
        config self "$db" a a "" "map = public.$map"
        refused root
    done
    # a rule counts when it applies
    config self "$db" a a "" "map = public.root -> public.away"
    "$walpipe" check -c "$conf"
    pg_sql a "ALTER TABLE away ENABLE ALWAYS RULE back" "$db"
    refused root
    [ "$(pg_sql a "SELECT count(*) FROM root" "$db")" -eq "$rows" ]
    [ "$(pg_sql a "SELECT count(*) FROM away" "$db")" -eq 0 ]

    pg_sql a "DROP RULE back ON away; ALTER PUBLICATION p ADD TABLE child" "$db"
    config self "$db" a a "" "map = public.root -> public.away_view, public.child -> public.kin"
    "$walpipe" check -c "$conf"
    pipeline_start "$conf"
    change
    copied() { [ "$(pg_sql a "SELECT count(*) FROM away" "$db")" -ge 1 ]; }
    wait_until 60 copied
    pipeline_stop "$conf"
    "$walpipe" drop --yes -c "$conf"
}

# ---- who may ----

@test "a role that may not use origins: said by check and in the log, until it is granted" {
    local may="GRANT EXECUTE ON FUNCTION pg_replication_origin_create(text),
                   pg_replication_origin_session_setup(text) TO $db"
    databases a b
    pg_sql b "CREATE ROLE $db LOGIN; GRANT ALL ON t TO $db; GRANT CREATE ON DATABASE $db TO $db" "$db"
    config one "$db" a b "" "" "user=$db"
    run "$walpipe" check -c "$conf"
    [[ $output == *"warn "*"the role may not use replication origins"*"GRANT EXECUTE"* ]]
    pipeline_start "$conf"
    pg_sql a "INSERT INTO t VALUES (1)" "$db"
    wait_until 30 same_rows a b 1
    [ "$(grep -c 'may not use replication origins.*GRANT EXECUTE' "$conf.log")" -eq 1 ]
    pipeline_stop "$conf"
    [ -z "$(origins b)" ]
    pg_sql b "$may" "$db"
    run "$walpipe" check -c "$conf"
    [[ $output == *"ok "*"replication origins are permitted"* ]]
    pipeline_start "$conf"
    has_origin() { [ "$(origins b)" = "walpipe/$db/dst/0" ]; }
    wait_until 30 has_origin
    pipeline_stop "$conf"
}

@test "no room for an origin: said, with the setting's name, and the pipeline runs without" {
    pg_new full max_replication_slots=0
    databases a full
    config one "$db" a full
    run "$walpipe" check -c "$conf"
    [[ $output == *"warn "*"max_replication_slots = 0 may be too low"* ]]
    pipeline_start "$conf"
    pg_sql a "INSERT INTO t VALUES (1)" "$db"
    wait_until 30 same_rows a full 1
    grep -q 'has no room for replication origin .*raise max_replication_slots' "$conf.log"
    pipeline_stop "$conf"
    pg_stop full
}
