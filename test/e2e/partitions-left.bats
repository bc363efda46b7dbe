#!/usr/bin/env bats
# Partitions that leave a table which is published through its root, as retention drops them. Their
# rows stay in the target, and the table goes on.

bats_require_minimum_version 1.5.0

load ../lib/copied

# root_tables PARTITIONS: of 1,000 rows each, published as their root.
root_tables() {
    pg_sql src "CREATE TABLE r (id int PRIMARY KEY, v text) PARTITION BY RANGE (id)" "$db"
    for ((n = 1; n <= $1; n++)); do
        partition "$n"
    done
    pg_sql src "CREATE PUBLICATION p FOR TABLE r WITH (publish_via_partition_root)" "$db"
    pg_sql dst "CREATE TABLE r (id int PRIMARY KEY, v text)" "$db"
}

# partition NUMBER: r1 has the ids from 1000 on.
partition() {
    pg_sql src "CREATE TABLE r$1 PARTITION OF r FOR VALUES FROM (${1}000) TO ($(($1 + 1))000);
        INSERT INTO r SELECT g, 'r' FROM generate_series(${1}000, ${1}999) g" "$db"
}

oid() {
    pg_sql src "SELECT '$1'::regclass::oid" "$db"
}

# lists NUMBER: pg-table-read has sent so many lists of the tables, in all runs.
lists() {
    [ -e "$conf.exit" ] || [ "$(grep -c 'published tables are to be copied' "$conf.log")" -ge "$1" ]
}

# stays_equal [CONDITION]: for the rows of the partitions that are there, also behind a new start.
stays_equal() {
    local before
    before=$(grep -c 'published tables are to be copied' "$conf.log")
    pipeline_stop "$conf"
    pipeline_start "$conf"
    pg_sql src "UPDATE r SET v = v || 'x' WHERE id % 3 = 0; DELETE FROM r WHERE id % 1000 = 7" "$db"
    wait_until 60 lists $((before + 1))
    caught_up "$conf" src "$db"
    diff <(rows src "${1:-}") <(rows dst "${1:-}")
}

rows() {
    pg_sql "$1" "SELECT count(*), sum(hashtext(r::text)) FROM r WHERE ${2:-true}" "$db"
}

# is_out OID: in the notes of all workers
is_out() {
    noted "count(*) > 0 AND bool_and(state = 'out-streaming')" "AND part = $1"
}

@test "the bug was that the list after that of a dropped partition ended the pipeline, or parked the table" {
    local r1 r2
    root_tables 3
    r1=$(oid r1)
    r2=$(oid r2)
    write_conf yes "" "shards = 2
on_error = park"
    pipeline_start "$conf"
    wait_until 60 all_streaming 3 2
    pg_sql src "DROP TABLE r1" "$db"
    wait_until 60 is_out "$r1"
    partition 4
    wait_until 60 noted "count(*) = 2 AND bool_and(state = 'streaming')" "AND part = $(oid r4)"
    stays_equal "id >= 2000"
    [ "$(pg_sql dst "SELECT count(*) FROM r WHERE id < 2000" "$db")" -eq 1000 ]
    # Copied again, the table is that of the source, and nothing of the partition is noted.
    pg_sql src "ALTER TABLE r DETACH PARTITION r2" "$db"
    wait_until 60 is_out "$r2"
    "$WALPIPE_BIN/walpipe" resync -c "$conf" --table public.r
    wait_until 60 noted "count(*) = 4 AND bool_and(state = 'streaming')"
    equal r
    # So it may be attached again.
    pg_sql src "UPDATE r2 SET v = 'unheard';
        ALTER TABLE r ATTACH PARTITION r2 FOR VALUES FROM (2000) TO (3000)" "$db"
    wait_until 60 noted "count(*) = 2 AND bool_and(state = 'streaming')" "AND part = $r2"
    stays_equal
    [ "$(pg_sql dst "SELECT count(*) FROM walpipe.parked" "$db")" -eq 0 ]
    no_restart "$conf"
    pipeline_stop "$conf"
}

@test "a partition that is attached again is refused, though others have stayed" {
    local r1
    root_tables 2
    r1=$(oid r1)
    write_conf
    pipeline_start "$conf"
    wait_until 60 all_streaming 2
    pg_sql src "ALTER TABLE r DETACH PARTITION r1" "$db"
    wait_until 60 is_out "$r1"
    partition 3
    wait_until 60 noted "bool_and(state = 'streaming')" "AND part = $(oid r3)"
    pg_sql src "DELETE FROM r1 WHERE id = 1001; ALTER TABLE r ATTACH PARTITION r1 FOR VALUES FROM (1000) TO (2000)" "$db"
    ends 100
    logged "a partition of public.r (oid $r1) was truncated or detached"
    run_is_refused
    "$WALPIPE_BIN/walpipe" resync -c "$conf" --table public.r
    pipeline_start "$conf"
    wait_until 60 all_streaming 3
    stays_equal
    equal r
    pipeline_stop "$conf"
}

@test "the whole table was out, and the partition that comes back was never out: refused" {
    root_tables 2
    write_conf
    pipeline_start "$conf"
    wait_until 60 all_streaming 2
    for server in src dst; do
        pg_sql $server "CREATE TABLE other (id int PRIMARY KEY)" "$db"
    done
    pg_sql src "ALTER PUBLICATION p SET TABLE other" "$db"
    wait_until 60 noted "bool_and(state = 'out-streaming')" "AND name = 'r'"
    pg_sql src "DELETE FROM r WHERE id = 1001; DROP TABLE r1, r2" "$db"
    partition 3
    pg_sql src "ALTER PUBLICATION p ADD TABLE r" "$db"
    ends 100
    logged "public.r (oid .*) was truncated or detached, or was left out"
    run_is_refused
    "$WALPIPE_BIN/walpipe" resync -c "$conf" --table public.r
    pipeline_start "$conf"
    wait_until 60 noted "bool_and(state = 'streaming')"
    stays_equal
    equal r
    pipeline_stop "$conf"
}
