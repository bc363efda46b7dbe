# parked_clickhouse.bash: what the tests of parked tables in a ClickHouse share. Load it behind
# parked.bash, whose functions for a PostgreSQL target it replaces.
# shellcheck disable=SC1091,SC2034,SC2154 # paths are of the test's folder; shared variables

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/chdb.bash"
    pg_new src
    ch_new ch
    chdb_available || true
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

# Each test has databases, a slot and a state directory of its own.
setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    source "$BATS_TEST_DIRNAME/../lib/chdb.bash"
    db=k$BATS_TEST_NUMBER
    dir=$SCRATCH/$db
    conf=$dir/walpipe.conf
    ch=ch
    mkdir "$dir"
    pg_sql src "CREATE DATABASE $db"
    ch_sql ch "CREATE DATABASE $db"
}

teardown() {
    parked_teardown
}

parked_teardown() {
    [ -z "${BATS_ERROR_STATUS:-}" ] || {
        tail -n 60 "$conf.log"
        in_ch "SELECT name, part, shard, state, l0, rows, done FROM walpipe_tables FINAL"
        in_ch "SELECT name, state, reason FROM walpipe_parked FINAL"
    } 2>/dev/null
    [ ! -s "$conf.exit" ] && [ -e "$conf.pid" ] && pipeline_kill "$conf"
    pg_sql src "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
                 WHERE slot_name = '$db' AND NOT active" >/dev/null
}

# Another ClickHouse than Debian's.
of_today() {
    chdb_or_skip
    ch=new$BATS_TEST_NUMBER
    chdb_new "$ch"
    ch_sql "$ch" "CREATE DATABASE $db"
}

in_ch() {
    ch_sql "$ch" "$1" "$db"
}

# write_conf [SINK_LINES [PIPELINE_LINES [STATE]]]
write_conf() {
    cat >"$conf" <<CONF
[pipeline]
name = $db
state_dir = $dir/${3:-state}
log_level = debug
copy = yes
${2:-}
[source]
conninfo = $(pg_conninfo src "$db")
slot = $db
publication = p
[sink olap]
type = ch
url = ${url:-$(ch_url "$ch")}
database = $db
create_tables = yes
flush_interval = 50ms
on_error = ${on_error:-park}
${1:-}
CONF
}

# make TABLE...: each has 1000 rows in the source, some of them out of line.
make() {
    local table
    for table in "$@"; do
        pg_sql src "CREATE TABLE $table (k int PRIMARY KEY, n int NOT NULL, v text NOT NULL);
            ALTER TABLE $table ALTER v SET STORAGE EXTERNAL;
            INSERT INTO $table SELECT i, i % 100, repeat('v' || i, 700) FROM generate_series(1, 1000) AS i" "$db"
    done
    pg_sql src "CREATE PUBLICATION p FOR ALL TABLES" "$db"
}

# begin SHARDS TABLE...: all are streaming.
begin() {
    local shards=$1
    shift
    make "$@"
    write_conf "shards = $shards"$'\n'"${lines:-}" "${pipeline_lines:-}"
    pipeline_start "$conf"
    wait_until 60 all_streaming $# "$shards"
}

# all_streaming TABLES [SHARDS]
all_streaming() {
    [ -e "$conf.exit" ] || [ "$(in_ch "SELECT count(), countIf(state = 'streaming') FROM walpipe_tables FINAL
        WHERE relid <> 0 AND state <> 'gone'")" = "$(($1 * ${2:-1}))"$'\t'"$(($1 * ${2:-1}))" ]
}

# parked TABLES: the names of all that are parked, in their order, separated by commas.
parked() {
    [ "$(in_ch "SELECT name FROM walpipe_parked FINAL WHERE state = 'parked' ORDER BY name" | paste -sd ,)" = "$1" ]
}

# equal TABLE...
equal() {
    local table
    for table in "$@"; do
        diff <(pg_sql src "SELECT k, n, md5(v) FROM $table ORDER BY k" "$db" | tr '|' '\t') \
            <(in_ch "SELECT k, n, lower(hex(MD5(v))) FROM ${table}_current ORDER BY k") >"$dir/diff" || {
            head -n 20 "$dir/diff"
            return 1
        }
    done
}

# modify TABLE TYPE: of n.
modify() {
    in_ch "ALTER TABLE $1 MODIFY COLUMN n Nullable($2)"
}

# break_it TABLE: some of its changes do not fit any more.
break_it() {
    pipeline_stop "$conf"
    modify "$1" Int8
    pipeline_start "$conf"
    pg_sql src "BEGIN; UPDATE good SET n = n + 1 WHERE k % 10 = 0; UPDATE $1 SET n = 1000 + k WHERE k % 7 = 3; DELETE FROM $1 WHERE k = 8; COMMIT" "$db"
}

mend() {
    modify "$1" Int32
}

# ALTER TABLE until it is done.
mutate() { # TABLE CHANGE
    in_ch "ALTER TABLE $1 $2"
    wait_until 60 mutated "$1"
}

mutated() {
    [ "$(in_ch "SELECT count() FROM system.mutations WHERE database = '$db' AND table = '$1' AND NOT is_done")" = 0 ]
}
