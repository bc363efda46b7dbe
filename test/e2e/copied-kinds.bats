#!/usr/bin/env bats
# walpipe run with copy = yes and tables of unusual shapes: very wide, very many, empty, hot, trees;
# and a source whose commits wait for walpipe itself.

bats_require_minimum_version 1.5.0

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    pg_new src max_locks_per_transaction=2000
    pg_new dst max_locks_per_transaction=2000
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

# Each test has databases, a slot and a state directory of its own.
setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    source "$BATS_TEST_DIRNAME/../lib/compare.bash"
    db=k$BATS_TEST_NUMBER
    dir=$SCRATCH/$db
    conf=$dir/walpipe.conf
    mkdir "$dir"
    src "CREATE DATABASE $db" postgres
    dst "CREATE DATABASE $db" postgres
    : >"$dir/load"
}

teardown() {
    [ -n "${BATS_TEST_COMPLETED:-}" ] || {
        tail -n 40 "$conf.log"
        dst "SELECT name, state, count(*), sum(rows) FROM walpipe.tables GROUP BY 1, 2 LIMIT 40"
    } 2>/dev/null || true
    rm -f "$dir/load"
    setting RESET synchronous_standby_names
    [ ! -e "$conf.pid" ] || [ -s "$conf.exit" ] || pipeline_kill "$conf"
    src "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active" >/dev/null
}

src() { pg_sql src "$1" "${2:-$db}"; }
dst() { pg_sql dst "$1" "${2:-$db}"; }

setting() { # SET | RESET WHAT
    src "ALTER SYSTEM $*" && src "SELECT pg_reload_conf()" >/dev/null
}

# both SQL: in the source and in the target
both() {
    src "$1" && dst "$1"
}

# write_conf [PIPELINE_LINES [SINK_LINES]]
write_conf() {
    cat >"$conf" <<CONF
[pipeline]
name = $db
state_dir = $dir/state
copy = yes
${1:-}
[source]
conninfo = $(pg_conninfo src "$db")
slot = $db
publication = p
[sink dst]
type = pg
conninfo = $(pg_conninfo dst "$db")
flush_interval = 50ms
${2:-}
CONF
}

# all_streaming NOTES: so many tables, times workers, are copied, and no other is noted.
all_streaming() {
    [ -e "$conf.exit" ] || [ "$(dst "SELECT count(*) = $1 AND bool_and(state = 'streaming')
        FROM walpipe.tables WHERE relid <> 0")" = t ]
}

copied() { # NOTES [SECONDS]
    wait_until "${2:-90}" all_streaming "$1"
    pipeline_lives "$conf"
}

equal() {
    local table
    for table in "$@"; do
        diff <(pg_digest src "$table" "$db") <(pg_digest dst "$table" "$db")
    done
}

# changing NUMBER SQL: a client repeats it, each time with another :n, until changes_end.
changing() {
    local n=0
    while [ -e "$dir/load" ]; do
        echo "SELECT $((n++)) AS n \\gset"
        echo "$2"
        sleep 0.01 # the client's pace
    done | psql -Xq -v ON_ERROR_STOP=1 -d "$(pg_conninfo src "$db")" >>"$dir/load.$1" 2>&1 3>&- &
    echo $! >>"$dir/clients"
}

changes_end() {
    local pid
    rm -f "$dir/load"
    while read -r pid; do
        wait "$pid" || { cat "$dir"/load.* && return 1; }
    done <"$dir/clients"
}

@test "a table of 1,600 columns" {
    local columns
    columns=$(src "SELECT string_agg(format('c%s %s', n, CASE n % 3 WHEN 0 THEN 'int' WHEN 1 THEN 'boolean'
        ELSE 'date' END), ', ') FROM generate_series(2, 1600) n")
    both "CREATE TABLE wide (c1 int PRIMARY KEY, $columns)"
    src "INSERT INTO wide (c1, c2, c3, c799, c1600) SELECT g, '2000-01-01', g, g % 2 = 0, g % 3 = 0
            FROM generate_series(1, 300) g;
        CREATE PUBLICATION p FOR TABLE wide"
    write_conf "" "shards = 2"
    pipeline_start "$conf"
    src "UPDATE wide SET c3 = -c3, c1599 = c1 WHERE c1 % 3 = 0; DELETE FROM wide WHERE c1 % 10 = 0"
    copied 2
    src "UPDATE wide SET c1600 = NULL, c1 = c1 + 1000 WHERE c1 < 20"
    caught_up "$conf" src "$db"
    equal wide
    no_restart "$conf"
    pipeline_stop "$conf"
}

@test "a thousand tables, every fourth one empty" {
    both "SELECT format('CREATE TABLE t%s (id int PRIMARY KEY, v text)', n) FROM generate_series(1, 1000) n \\gexec"
    src "SELECT format('INSERT INTO t%s SELECT g, ''row '' || g FROM generate_series(1, 50) g', n)
            FROM generate_series(1, 1000) n WHERE n % 4 <> 0 \\gexec
        CREATE PUBLICATION p FOR ALL TABLES"
    write_conf "copy_workers = 4"
    pipeline_start "$conf"
    src "UPDATE t1 SET v = 'new' WHERE id < 9; INSERT INTO t1000 VALUES (1, 'new'); DELETE FROM t999"
    copied 1000 240
    src "UPDATE t500 SET v = 'later'; INSERT INTO t4 VALUES (2, 'later')"
    caught_up "$conf" src "$db" 60
    no_restart "$conf"
    pipeline_stop "$conf"
    [ "$(dst "SELECT count(*) FROM pg_stat_user_tables WHERE relname ~ '^t[0-9]'")" -eq 1000 ]
    all_rows() {
        "$1" "SELECT 'SELECT ' || n || ', count(*), sum(hashtext(t::text)) FROM t' || n || ' t'
            FROM generate_series(1, 1000) n \\gexec"
    }
    diff <(all_rows src) <(all_rows dst)
    [ "$(src "SELECT count(*) FROM t4")" -eq 1 ]
}

@test "hot rows with TOASTed values that are not sent" {
    both "CREATE TABLE hot (id int PRIMARY KEY, n int, big text, other text);
        ALTER TABLE hot ALTER big SET STORAGE EXTERNAL, ALTER other SET STORAGE EXTERNAL"
    src "INSERT INTO hot SELECT g, 0, repeat(md5(g::text), 100), repeat('o', 3000)
            FROM generate_series(1, 2000) g;
        CREATE PUBLICATION p FOR TABLE hot"
    write_conf "copy_rate = 3000000" "shards = 2"
    changing 1 "UPDATE hot SET n = n + 1 WHERE id % 97 = :n % 97;"
    changing 2 "UPDATE hot SET other = repeat('p', 3000 + :n % 9) WHERE id = 100 + :n % 50;"
    changing 3 "UPDATE hot SET id = -id WHERE abs(id) = 500 + :n % 20;"
    changing 4 "WITH gone AS (DELETE FROM hot WHERE id = 600 + :n % 9 RETURNING *) INSERT INTO hot SELECT * FROM gone;"
    pipeline_start "$conf"
    copied 2
    changes_end
    caught_up "$conf" src "$db" 60
    equal hot
    [ "$(dst "SELECT count(*) FROM walpipe.missing")" -eq 0 ]
    no_restart "$conf"
    pipeline_stop "$conf"
}

# A parent with rows of its own, a child; a partitioned table of two levels.
trees() {
    both "CREATE TABLE parent (id int PRIMARY KEY, v text);
        CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent);
        CREATE TABLE root (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
        CREATE TABLE low PARTITION OF root FOR VALUES FROM (0) TO (1000);
        CREATE TABLE high PARTITION OF root FOR VALUES FROM (1000) TO (9000) PARTITION BY RANGE (id);
        CREATE TABLE high_a PARTITION OF high FOR VALUES FROM (1000) TO (2000);
        CREATE TABLE high_b PARTITION OF high FOR VALUES FROM (2000) TO (9000);
        CREATE TABLE none PARTITION OF root DEFAULT"
    src "INSERT INTO parent SELECT g, 'parent' FROM generate_series(1, 3000) g;
        INSERT INTO child SELECT g, 'child' FROM generate_series(2000, 4000) g;
        INSERT INTO root SELECT g, 'old' FROM generate_series(1, 5000) g;
        CREATE PUBLICATION p FOR TABLE parent, root WITH (publish_via_partition_root = $1)"
    changing 1 "UPDATE root SET v = :'n', id = (id + 700) % 5000 WHERE id = :n % 5000 AND NOT EXISTS
        (SELECT FROM root WHERE id = (:n % 5000 + 700) % 5000); DELETE FROM root WHERE id = :n % 5000 + 3;"
    changing 2 "UPDATE parent SET v = :'n' WHERE id = 1990 + :n % 20; DELETE FROM ONLY parent WHERE id = :n;"
}

# NOTES TABLE...
trees_end_equal() {
    copied "$1"
    changes_end
    caught_up "$conf" src "$db" 60
    equal parent child root low high_a high_b none
    # no row has the wrong place
    for server in src dst; do
        pg_sql $server "SELECT tableoid::regclass, count(*) FROM parent GROUP BY 1" "$db" | sort >"$dir/$server"
    done
    diff "$dir/src" "$dir/dst"
    no_restart "$conf"
    pipeline_stop "$conf"
}

@test "inheritance, and partitions published by themselves, under changes" {
    trees false
    write_conf "copy_rate = 200000" "shards = 2"
    pipeline_start "$conf"
    trees_end_equal 12
}

@test "inheritance, and partitions published through their root, under changes" {
    trees true
    write_conf "copy_rate = 200000" "shards = 2"
    pipeline_start "$conf"
    trees_end_equal 12
}

@test "walpipe is the synchronous standby of its source: commits and copies never wait for each other" {
    local writer
    both "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE late (id int PRIMARY KEY, v text)"
    src "INSERT INTO t SELECT g, 'old' FROM generate_series(1, 5000) g;
        INSERT INTO late SELECT g, 'old' FROM generate_series(1, 5000) g;
        CREATE PUBLICATION p FOR TABLE t"
    write_conf
    pipeline_start "$conf"
    wait_until 60 all_streaming 1
    setting SET "synchronous_standby_names = '\"walpipe $db\"'"
    is_sync() { [ "$(src "SELECT sync_state FROM pg_stat_replication")" = sync ]; }
    wait_until 30 is_sync
    # The reader waits for a transaction that has written, and whose commit will wait for walpipe.
    mkfifo "$dir/writer"
    psql -Xq -d "$(pg_conninfo src "$db")" <"$dir/writer" 3>&- &
    writer=$!
    exec 8>"$dir/writer"
    echo "BEGIN; UPDATE late SET v = 'written' WHERE id = 7;" >&8
    has_written() { [ "$(src "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'")" = 1 ]; }
    wait_until 20 has_written
    echo "INSERT INTO late VALUES (-1, 'written');" >&8
    changing 1 "INSERT INTO t VALUES (30000 + :n, 'new'); UPDATE late SET v = :'n' WHERE id = 100 + :n;"
    changing 2 "UPDATE t SET v = :'n' WHERE id = 5000 - :n; DELETE FROM late WHERE id = 5000 - :n;"
    src "ALTER PUBLICATION p ADD TABLE late"
    waits() { [ "$(dst "SELECT state <> 'streaming' FROM walpipe.tables WHERE name = 'late'")" = t ]; }
    wait_until 30 waits
    committed() { src "SELECT count(*) FROM t WHERE id > 30000"; }
    before=$(committed)
    more_committed() { [ "$(committed)" -gt $((before + 10)) ]; }
    wait_until 30 more_committed
    waits # still
    printf 'COMMIT;\n\\q\n' >&8
    exec 8>&-
    wait "$writer"
    copied 2
    changes_end
    caught_up "$conf" src "$db"
    equal t late
    [ "$(dst "SELECT v FROM late WHERE id = 7")" = written ]
    no_restart "$conf"
    setting RESET synchronous_standby_names
    pipeline_stop "$conf"
}

@test "a root with a primary key and REPLICA IDENTITY FULL is refused; with DEFAULT it is copied" {
    local hint="set REPLICA IDENTITY DEFAULT for it and for each partition"
    src "CREATE TABLE root (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
        CREATE TABLE low PARTITION OF root FOR VALUES FROM (0) TO (10);
        ALTER TABLE root REPLICA IDENTITY FULL; ALTER TABLE low REPLICA IDENTITY FULL;
        INSERT INTO root VALUES (1, 'a'), (2, 'b');
        CREATE PUBLICATION p FOR TABLE root WITH (publish_via_partition_root = true)"
    dst "CREATE TABLE root (id int PRIMARY KEY, v text)"
    write_conf
    run -100 "$WALPIPE_BIN/walpipe" check -c "$conf"
    grep -q "^FAIL  copy: public.root .*$hint" <<<"$output"
    pipeline_start "$conf" || true
    wait_until 30 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq 100 ]
    grep -q "$hint" "$conf.log"
    src "ALTER TABLE root REPLICA IDENTITY DEFAULT; ALTER TABLE low REPLICA IDENTITY DEFAULT"
    pipeline_start "$conf"
    copied 1
    src "UPDATE root SET v = 'c' WHERE id = 2; DELETE FROM root WHERE id = 1"
    caught_up "$conf" src "$db"
    equal root
    pipeline_stop "$conf"
}

# detached_at_once ROOT_OPTION
detached_at_once() {
    both "CREATE TABLE root (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
        CREATE TABLE low PARTITION OF root FOR VALUES FROM (0) TO (10);
        CREATE TABLE high PARTITION OF root FOR VALUES FROM (10) TO (20)"
    src "INSERT INTO root SELECT g, 'old' FROM generate_series(1, 19) g;
        CREATE PUBLICATION p FOR TABLE root WITH (publish_via_partition_root = $1)"
    write_conf
    pipeline_start "$conf"
    copied 2
    src "ALTER TABLE root DETACH PARTITION high; UPDATE high SET v = 'meanwhile' WHERE id = 15;
        ALTER TABLE root ATTACH PARTITION high FOR VALUES FROM (10) TO (20)"
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq 100 ]
    grep "\"exit_code\":100" "$conf.log" | grep -q "$2"
    "$WALPIPE_BIN/walpipe" resync -c "$conf" --table "public.$3"
    pipeline_start "$conf"
    copied 2
    caught_up "$conf" src "$db"
    equal root low high
    pipeline_stop "$conf"
}

@test "the bug was that a partition detached and attached within seconds lost its changes of between" {
    detached_at_once true "a partition of public.root .* was truncated or detached" root
}

@test "and one that its root's membership publishes by itself" {
    detached_at_once false "public.high was left out" high
}
