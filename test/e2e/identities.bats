#!/usr/bin/env bats
# publish_via_partition_root: the root is announced, and old rows follow each partition's own
# replica identity. Every combination of the two ends in the rows of the source, as PostgreSQL's own
# subscription does, or is refused by the partition's name before anything is confirmed.

bats_require_minimum_version 1.5.0

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    pg_new source
    pg_new target
    ch_new olap
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    source "$BATS_TEST_DIRNAME/../lib/compare.bash"
    source "$BATS_TEST_DIRNAME/../lib/beside.bash"
    beside_new "t$BATS_TEST_NUMBER"
}

teardown() {
    beside_end
    [ ! -e "$conf.exit" ] || wait_until 20 eval '! [ "$(src "SELECT bool_or(active) FROM pg_replication_slots")" = t ]'
    src "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active" >/dev/null || true
}

# identity TABLE KIND: default, full, nothing, index (part, code) or wide (part, code, id).
identity() {
    case $2 in
    full | nothing | default) echo "ALTER TABLE $1 REPLICA IDENTITY $2;" ;;
    *) echo "ALTER TABLE $1 REPLICA IDENTITY USING INDEX ${1}_$2;" ;;
    esac
}

columns="part int NOT NULL, id int NOT NULL, code text NOT NULL, big text, note text"

# tree NAME ROOT LEAF: the partitions 1 and 2 have the identity LEAF, partition 3 the root's.
tree() {
    local name=$1 n
    echo "CREATE TABLE $name ($columns, PRIMARY KEY (part, id)) PARTITION BY LIST (part);
        ALTER TABLE $name ALTER big SET STORAGE EXTERNAL;
        CREATE UNIQUE INDEX ${name}_index ON $name (part, code);
        CREATE UNIQUE INDEX ${name}_wide ON $name (part, code, id);"
    for n in 1 2 3; do
        echo "CREATE TABLE ${name}_$n ($columns, PRIMARY KEY (part, id));
            CREATE UNIQUE INDEX ${name}_${n}_index ON ${name}_$n (part, code);
            CREATE UNIQUE INDEX ${name}_${n}_wide ON ${name}_$n (part, code, id);
            ALTER TABLE ${name}_$n ALTER big SET STORAGE EXTERNAL;
            ALTER TABLE $name ATTACH PARTITION ${name}_$n FOR VALUES IN ($n);"
    done
    identity "$name" "$2"
    identity "${name}_1" "$3"
    identity "${name}_2" "$3"
    identity "${name}_3" "$2"
}

check_reader() {
    "$WALPIPE_BIN/pg-wal-read" --check --conninfo "$(pg_conninfo source "$name")" --slot s \
        --publication "$name" --create-slot
}

# The rows of partition PART of table T; then every kind of change of them.
fill() {
    echo "INSERT INTO $1 SELECT $2, g, 'c' || g, repeat('x', 3000) || g, 'n' FROM generate_series(1, 20) g;
        INSERT INTO $1 SELECT $2, g, 'c' || g, NULL, NULL FROM generate_series(21, 30) g;"
}

changes() {
    echo "UPDATE $1 SET note = 'm' WHERE part = $2 AND id % 3 = 0;
        UPDATE $1 SET id = id + 100 WHERE part = $2 AND id IN (2, 22);
        UPDATE $1 SET code = 'd' || id WHERE part = $2 AND id IN (3, 4, 24);
        UPDATE $1 SET id = id + 200, code = 'e' || id WHERE part = $2 AND id IN (5, 25);
        UPDATE $1 SET big = repeat('y', 4000) WHERE part = $2 AND id IN (6, 26);
        UPDATE $1 SET big = NULL WHERE part = $2 AND id = 7;
        BEGIN; INSERT INTO $1 VALUES ($2, 1000, 'f', repeat('z', 5000), NULL);
        UPDATE $1 SET note = 'o' WHERE part = $2 AND id = 1000; UPDATE $1 SET id = 1001 WHERE part = $2 AND id = 1000;
        DELETE FROM $1 WHERE part = $2 AND id = 1001; COMMIT;
        DELETE FROM $1 WHERE part = $2 AND id IN (8, 9, 28, 29);"
}

# The bug was that what a partition sent was taken for what its root announced: an unchanged TOASTed
# value became NULL, deletes were lost, and old rows stayed where the key changed.
@test "every root and partition: refused by the partition's name, or not" {
    local root leaf verdict
    while read -r root leaf verdict; do
        src "DROP PUBLICATION IF EXISTS $name; DROP TABLE IF EXISTS r;
            $(tree r "$root" "$leaf")
            CREATE PUBLICATION $name FOR TABLE r WITH (publish_via_partition_root)" 2>/dev/null
        status=0
        output=$(check_reader) || status=$?
        echo "$root $leaf: $output"
        if [ "$verdict" = ok ]; then
            [ "$status" -eq 0 ]
            continue
        fi
        [ "$status" -eq 100 ]
        [[ $output == *"FAIL  partition public.r_"[12]" has REPLICA IDENTITY "*"public.r,"*"ALTER TABLE public.r_"* ]]
        # what its hint says helps
        src "ALTER TABLE r_1 REPLICA IDENTITY FULL; ALTER TABLE r_2 REPLICA IDENTITY FULL"
        check_reader >/dev/null
        # nor does it matter where only inserts are published, or each partition as itself
        src "$(identity r_1 "$leaf") ALTER PUBLICATION $name SET (publish = 'insert')"
        check_reader >/dev/null
        src "ALTER PUBLICATION $name SET (publish = 'insert, update', publish_via_partition_root = off)"
        check_reader >/dev/null
    done <<'CASES'
default default ok
default full ok
default nothing ok
default index refused
default wide ok
full default refused
full full ok
full nothing ok
full index refused
full wide refused
nothing default ok
nothing full ok
nothing nothing ok
nothing index ok
index default refused
index full ok
index nothing ok
index index ok
index wide ok
CASES
}

@test "run refuses what check refuses, before the slot is made" {
    src "$(tree r full default) CREATE PUBLICATION $name FOR TABLE r WITH (publish_via_partition_root)"
    targets "CREATE TABLE r ($columns, PRIMARY KEY (part, id))"
    run beside_start
    [ "$(cat "$conf.exit")" -eq 100 ]
    grep -q 'partition public.r_1 has REPLICA IDENTITY DEFAULT {id,part}, but public.r' "$conf.log"
    [ -z "$(src "SELECT 1 FROM pg_replication_slots WHERE slot_name = '$name'")" ]
}

# Two PostgreSQL targets beside the subscription's, one of them without any key, and a ClickHouse.
targets_of() {
    local table=$1
    pg_sql "$to" "CREATE TABLE $table ($columns)" "${name}_bare"
    case $table in
    index_*) targets "CREATE TABLE $table ($columns); CREATE UNIQUE INDEX ${table}_key ON $table (part, code);
        ALTER TABLE $table REPLICA IDENTITY USING INDEX ${table}_key" ;;
    *) targets "CREATE TABLE $table ($columns, PRIMARY KEY (part, id))" ;;
    esac
    [[ $table != full_* ]] || ch_sql olap "CREATE TABLE $name.$table (part Int32, id Int32, code String,
        big Nullable(String), note Nullable(String), _version UInt64, _is_deleted UInt8)
        ENGINE = ReplacingMergeTree(_version) ORDER BY (part, id)"
}

# served ROOT/LEAF...
served() {
    local root leaf pair table tables=() part
    pg_sql "$to" "CREATE DATABASE ${name}_bare"
    ch_sql olap "CREATE DATABASE $name"
    for pair in "$@"; do
        IFS=/ read -r root leaf <<<"$pair"
        tables+=("${root}_$leaf")
        src "$(tree "${root}_$leaf" "$root" "$leaf")"
        targets_of "${root}_$leaf"
    done
    src "CREATE PUBLICATION $name FOR ALL TABLES WITH (publish_via_partition_root)"
    beside_start "batch_rows = 1000
[sink bare]
type = pg
conninfo = $(pg_conninfo "$to" "${name}_bare")
[sink olap]
type = ch
url = $(ch_url olap)
database = $name
create_tables = yes
flush_interval = 50ms"
    for table in "${tables[@]}"; do
        for part in 1 2 3; do
            src "$(fill "$table" $part)"
            src "$(changes "$table" $part)"
        done
        # from one partition into another: a delete and an insert
        src "UPDATE $table SET part = 3, id = id + 5000, code = 'p' || id WHERE part = 1 AND id IN (10, 11, 30)"
    done
    beside_wait
    for table in "${tables[@]}"; do
        as_source "$table"
        [ "$(pg_digest "$to" "$table" "${name}_bare")" = "$(pg_digest "$from" "$table" "$name")" ] &&
            [ "$(ch_digest olap "$table" "$name" "$from" "$name")" = "$(pg_digest "$from" "$table" "$name")" ] || {
            echo "$table differs"
            return 1
        }
    done
    beside_stop
}

@test "what is not refused ends in the source's rows, in PostgreSQL and in ClickHouse" {
    served default/default default/full default/wide full/full index/full index/index index/wide
}

@test "the same from PostgreSQL 13 and 18" {
    source "$BATS_TEST_DIRNAME/../lib/majors.bash"
    for major in 13 18; do
        major_or_skip "$major"
        major_new "source$major" "$major"
        from=source$major
        beside_new "v$major"
        served default/full default/wide full/full index/full
    done
}

# refused SQL MESSAGE: the change stops the pipeline, and nothing of it is confirmed.
refused() {
    local commit
    caught_up "$conf" source "$name"
    src "$1"
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq 100 ] && grep -q "$2" "$conf.log" || return 1
    # The server may have written something else in front of the transaction, which is confirmed.
    commit=$(grep "$2" "$conf.log" | grep -o '"lsn":"[^"]*"' | head -n 1 | cut -d '"' -f 4)
    [ "$(src "SELECT confirmed_flush_lsn <= '$commit' FROM pg_replication_slots WHERE slot_name = '$name'")" = t ]
    rm "$conf.exit" "$conf.log"
}

# The tree r in all targets, and the pipeline running.
start_with_olap() {
    targets "CREATE TABLE r ($columns, PRIMARY KEY (part, id))"
    ch_sql olap "CREATE DATABASE $name"
    ch_sql olap "CREATE TABLE $name.r (part Int32, id Int32, code String, big Nullable(String),
        note Nullable(String), _version UInt64, _is_deleted UInt8)
        ENGINE = ReplacingMergeTree(_version) ORDER BY (part, id)"
    src "CREATE PUBLICATION $name FOR TABLE r WITH (publish_via_partition_root)"
    beside_start "[sink olap]
type = ch
url = $(ch_url olap)
database = $name
flush_interval = 50ms"
}

# The bug was that it set big to NULL in PostgreSQL and in ClickHouse.
@test "a partition's identity that changes while walpipe runs: what the rows prove is refused" {
    src "$(tree r full full) $(fill r 1)"
    start_with_olap
    src "INSERT INTO r SELECT 2, g, 'c' || g, repeat('x', 3000), 'n' FROM generate_series(1, 9) g; ALTER TABLE r_2 REPLICA IDENTITY DEFAULT"
    refused "UPDATE r SET id = 51 WHERE part = 2 AND id = 1" "table public.r: it announces REPLICA IDENTITY FULL, but the old row is not whole"
    [ "$(wal "SELECT count(*) FROM r WHERE big IS NULL AND part = 2")" = 0 ]
    [ "$(ch_sql olap "SELECT count() FROM $name.r WHERE isNull(big) AND part = 2")" = 0 ]
    # the source is mended, but not what the WAL has of it
    src "ALTER TABLE r_2 REPLICA IDENTITY FULL"
    pipeline_start "$conf" || true
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq 100 ]
    # the hint: drop, copy again
    "$WALPIPE_BIN/walpipe" drop --yes -c "$conf"
    rm "$conf.exit" "$conf.log"
    wal "TRUNCATE r"
    ch_sql olap "TRUNCATE TABLE $name.r"
    pipeline_start "$conf"
    src "DELETE FROM r; $(fill r 2)"
    src "$(changes r 2)"
    beside_wait
    as_source r
    src "ALTER TABLE r_3 REPLICA IDENTITY DEFAULT; $(fill r 3)"
    refused "UPDATE r SET note = 'm' WHERE part = 3 AND id = 1" "it announces REPLICA IDENTITY FULL, but the old row is not there"
}

@test "a key column that is NULL in the old row of a partition is refused" {
    src "$(tree r default default) $(fill r 1)"
    start_with_olap
    src "ALTER TABLE r_1 REPLICA IDENTITY USING INDEX r_1_index"
    refused "DELETE FROM r WHERE part = 1 AND id = 1" "table public.r: it announces a replica identity, but the old row lacks columns of the key"
}

# No row can prove it: the partition logs no old row for a change of the root's key.
@test "a partition's identity that changes while walpipe runs: what no row proves is seen soon" {
    src "$(tree r default default)"
    start_with_olap
    src "$(fill r 1)"
    src "ALTER TABLE r_1 REPLICA IDENTITY USING INDEX r_1_index"
    wait_until 90 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq 100 ]
    grep 'partition public.r_1 has REPLICA IDENTITY USING INDEX {code,part}, but public.r' "$conf.log"
    rm "$conf.exit" "$conf.log"
    src "ALTER TABLE r_1 REPLICA IDENTITY FULL; $(changes r 1)"
    pipeline_start "$conf"
    beside_wait
    as_source r
}

@test "a root without an identity: the first update stops both sinks, with what to do" {
    src "$(tree r nothing default) $(fill r 1)"
    start_with_olap
    refused "UPDATE r SET note = 'm' WHERE part = 1 AND id = 1" "cannot apply an update of .*public.r"
}
