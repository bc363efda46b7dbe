#!/usr/bin/env bats
# Resources run out: descriptors, and the disks of the state directory and of both targets (traps
# 151, 153). walpipe logs a clear line, loses nothing, and continues when there is room again.

bats_require_minimum_version 1.5.0

setup_file() {
    source "$BATS_TEST_DIRNAME/fault.bash"
    pg_new src
    pg_new dst
    ch_new olap
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/fault.bash"
    servers_end
}

setup() {
    source "$BATS_TEST_DIRNAME/fault.bash"
    local server
    db=l$BATS_TEST_NUMBER
    conf=$SCRATCH/$db.conf
    small=$SCRATCH/$db.small
    for server in src dst; do
        pg_sql $server "CREATE DATABASE $db"
        pg_sql $server "CREATE TABLE t (id int PRIMARY KEY, v text)" "$db"
    done
    src "CREATE PUBLICATION p FOR ALL TABLES"
    ch_sql olap "CREATE DATABASE $db"
}

teardown() {
    if [ -z "${BATS_TEST_COMPLETED:-}" ]; then
        tail -n 30 "$conf".*log 2>/dev/null || true
    fi
    if [ -e "$conf.pid" ] && pid=$(pipeline_pid "$conf"); then
        end_process "$pid" KILL 5
    fi
    if mountpoint -q "$small"; then
        dst "DROP TABLE IF EXISTS t" || true
        pg_sql dst "DROP TABLESPACE IF EXISTS $db" || true
        ch_sql olap "DROP DATABASE IF EXISTS $db" || true
        umount -l "$small"
    fi
}

# config STATE-DIRECTORY SINK
config() {
    cat >"$conf" <<CONF
[pipeline]
name = $db
state_dir = $1
copy = no
[source]
conninfo = $(pg_conninfo src "$db")
slot = $db
publication = p
CONF
    case $2 in
    pg)
        cat >>"$conf" <<CONF
[sink dst]
type = pg
conninfo = $(pg_conninfo dst "$db")
flush_interval = 50ms
CONF
        ;;
    ch)
        cat >>"$conf" <<CONF
[sink olap]
type = ch
url = $(ch_url olap)
database = $db
create_tables = yes
flush_interval = 50ms
CONF
        ;;
    esac
}

# small_disk SIZE OWNER: a file system of its own at $small.
small_disk() {
    mkdir "$small"
    mount -t tmpfs -o "size=$1" tmpfs "$small" 2>/dev/null || skip "needs the right to mount"
    chown "$2": "$small"
    chmod 700 "$small"
}

fill() {
    ! cat /dev/zero >"$small/filler" 2>/dev/null || false
}

# rows SINK COUNT
rows() {
    case $1 in
    pg) [ "$(dst 'SELECT count(*) FROM t')" = "$2" ] ;;
    ch) [ "$(olap 'SELECT count() FROM t FINAL')" = "$2" ] ;;
    esac
}

logs() {
    grep -q "$1" "$conf.log"
}

@test "too few descriptors: the limit is raised, or refused with the number that is needed" {
    config "$SCRATCH/$db.state" pg
    sed -i 's/^type = pg/&\nshards = 20/' "$conf"
    run bash -c 'ulimit -n 80; exec "$0" run -c "$1"' "$WALPIPE_BIN/walpipe" "$conf"
    echo "$output"
    [ "$status" -eq 100 ]
    [[ "$output" == *"the limit of open files is 80, 20 worker(s) need 104"*"ulimit -n"* ]]
    # The bug was that ackd's poll named more descriptors than the limit allows.
    ulimit -S -n 80
    pipeline_start "$conf"
    src "INSERT INTO t SELECT g, 'v' FROM generate_series(1, 100) g"
    wait_until 60 rows pg 100
    pipeline_stop "$conf"
}

@test "no room for the checkpoint: nothing is confirmed until there is" {
    small_disk 128k root
    config "$small/state" pg
    pipeline_start "$conf"
    src "INSERT INTO t VALUES (1, 'before')"
    caught_up "$conf" src "$db"
    fill
    lsn=$(slot confirmed_flush_lsn)
    src "INSERT INTO t VALUES (2, 'full')"
    wait_until 30 logs 'could not write checkpoint .*No space left on device'
    [ "$(slot "confirmed_flush_lsn = '$lsn'")" = t ]
    rm "$small/filler"
    caught_up "$conf" src "$db" 90
    rows pg 2
    pipeline_stop "$conf"
}

@test "PostgreSQL's disk is full: the sink waits, and goes on when it is not" {
    small_disk 24M postgres
    pg_sql dst "CREATE TABLESPACE $db LOCATION '$small'"
    dst "ALTER TABLE t SET TABLESPACE $db"
    config "$SCRATCH/$db.state" pg
    pipeline_start "$conf"
    src "INSERT INTO t VALUES (0, 'first')"
    wait_until 30 rows pg 1
    fill
    src "INSERT INTO t SELECT g, repeat(md5(g::text), 30) FROM generate_series(1, 5000) g"
    wait_until 30 logs 'No space left on device'
    rows pg 1
    [ "$(slot active)" = t ]
    rm "$small/filler"
    wait_until 60 rows pg 5001
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
    no_restart "$conf"
}

@test "ClickHouse's disk is full: the sink waits, and goes on when it is not" {
    small_disk 48M root
    config "$SCRATCH/$db.state" ch
    pipeline_start "$conf"
    src "INSERT INTO t VALUES (0, 'first')"
    wait_until 30 rows ch 1
    # The table moves to the small disk, as it is.
    olap "DETACH TABLE t"
    mv "$SCRATCH/olap/data/data/$db/t" "$small/t"
    ln -s "$small/t" "$SCRATCH/olap/data/data/$db/t"
    olap "ATTACH TABLE t"
    fill
    src "INSERT INTO t SELECT g, repeat(md5(g::text), 30) FROM generate_series(1, 5000) g"
    wait_until 30 logs "waiting for the target"
    rows ch 1
    rm "$small/filler"
    wait_until 90 rows ch 5001
    caught_up "$conf" src "$db"
    pipeline_stop "$conf"
    no_restart "$conf"
}
