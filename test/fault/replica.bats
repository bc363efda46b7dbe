#!/usr/bin/env bats
# Physical standbys of newer sources: 16 and later decode on one, 17 and later keep failover slots on
# one (traps 16, 25, 31).

bats_require_minimum_version 1.5.0

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    pg_new dst
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/majors.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    one=one$BATS_TEST_NUMBER two=two$BATS_TEST_NUMBER db=p$BATS_TEST_NUMBER
    conf=$SCRATCH/$db.conf
}

teardown() {
    local pid
    if [ -z "${BATS_TEST_COMPLETED:-}" ]; then
        tail -n 30 "$conf.log" || true
        tail -n 30 "$(pg_log "$two")" || true
    fi 2>/dev/null
    if [ -e "$conf.pid" ] && pid=$(pipeline_pid "$conf"); then
        end_process "$pid" KILL 5
    fi
    for name in "$one" "$two"; do
        [ ! -e "$(pg_data "$name")/postmaster.pid" ] || end_process "$(pg_pid "$name")" INT 20
    done
}

# pair MAJOR [SETTING]: $one, and $two, its physical standby by the slot two. The npm packages have no
# pg_basebackup.
pair() {
    local dir=$SCRATCH/$two
    major_or_skip "$1"
    major_new "$one" "$1"
    pg_sql "$one" "CREATE DATABASE $db"
    pg_sql "$one" "SELECT pg_create_physical_replication_slot('two', true)"
    pg_sql "$one" "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE PUBLICATION p FOR TABLE t" "$db"
    pg_sql dst "CREATE DATABASE $db"
    pg_sql dst "CREATE TABLE t (id int PRIMARY KEY, v text)" "$db"
    PG_BINDIR=$(major_install "$1")
    export PG_BINDIR
    pg_stop "$one"
    mkdir "$dir" && port_new >"$dir/port" && : >"$dir/log"
    [ "$UID" -ne 0 ] || chown postgres: "$dir" "$dir/log"
    as_postgres cp -r "$(pg_data "$one")" "$dir/data"
    as_postgres touch "$dir/data/standby.signal"
    rm -rf "$dir/data/pg_replslot/two"
    {
        echo "port = $(pg_port "$two")"
        echo "unix_socket_directories = '$dir'"
        echo "primary_conninfo = 'host=127.0.0.1 port=$(pg_port "$one") user=postgres dbname=postgres'"
        echo "primary_slot_name = 'two'"
        echo "hot_standby_feedback = on"
        echo "${2:-}"
    } >>"$dir/data/postgresql.conf"
    pg_start "$one"
    pg_start "$two"
    wait_until 30 eval "[ \"\$(pg_sql $one 'SELECT count(*) FROM pg_stat_replication')\" = 1 ]"
}

config() { # CONNINFO
    cat >"$conf" <<CONF
[pipeline]
name = $db
state_dir = $SCRATCH/$db.state
copy = no
[source]
conninfo = $1 user=postgres dbname=$db connect_timeout=5
slot = $db
publication = p
create_slot = yes
[sink pg]
type = pg
conninfo = $(PG_BINDIR='' pg_conninfo dst "$db")
flush_interval = 50ms
CONF
}

insert() { # SERVER FROM TO
    pg_sql "$1" "INSERT INTO t SELECT g, 'v' || g FROM generate_series($2, $3) g" "$db"
}

target_has() {
    [ "$(pg_sql dst "SELECT count(*) || ' ' || coalesce(sum(id), 0) FROM t" "$db")" = "$1" ]
}

# The standby's copy of the slot is one that survives a promotion.
synced() {
    [ "$(pg_sql "$two" "SELECT synced AND NOT temporary AND invalidation_reason IS NULL
                          FROM pg_replication_slots WHERE slot_name = '$db'")" = t ]
}

@test "PostgreSQL 17: the slot is a failover slot, and a promoted standby goes on with it (traps 16, 25)" {
    pair 17 "sync_replication_slots = on"
    config "host=127.0.0.1,127.0.0.1 port=$(pg_port "$one"),$(pg_port "$two") target_session_attrs=read-write"
    pipeline_start "$conf"
    [ "$(pg_sql "$one" "SELECT failover FROM pg_replication_slots WHERE slot_name = '$db'")" = t ]
    insert "$one" 1 100
    caught_up "$conf" "$one" "$db"
    wait_until 60 synced
    insert "$one" 101 200
    wait_until 30 target_has "200 20100"
    wait_until 30 eval "[ \"\$(pg_sql $two 'SELECT count(*) FROM t' $db)\" = 200 ]"
    pg_kill "$one"
    pg_sql "$two" "SELECT pg_promote()"
    insert "$two" 201 300
    caught_up "$conf" "$two" "$db"
    target_has "300 45150"
    grep -q "the source moved from timeline 1 to 2" "$conf.log"
    pipeline_stop "$conf"
}

@test "PostgreSQL 17: a standby is a source (trap 31)" {
    pair 17
    config "host=127.0.0.1 port=$(pg_port "$two")"
    pipeline_start "$conf" &
    local starter=$!
    # a standby's slot begins where the primary says which transactions run
    wait_until 60 eval "pg_sql $one 'SELECT pg_log_standby_snapshot()'; grep -q 'streaming from slot' $conf.log"
    wait "$starter"
    [ "$(pg_sql "$one" "SELECT count(*) FROM pg_replication_slots WHERE slot_name = '$db'")" -eq 0 ]
    insert "$one" 1 100
    wait_until 30 target_has "100 5050"
    # The bug was that the primary's rows were copied beside it.
    run -100 timeout 20 "$WALPIPE_BIN/pg-table-read" --publication p --ackd "$SCRATCH/$db.state/ackd.sock" \
        --conninfo "host=127.0.0.1 port=$(pg_port "$one") user=postgres dbname=$db" </dev/null 3>&-
    [[ $output == *"the stream comes from a standby: no table can be copied"* ]]
    pipeline_stop "$conf"
    insert "$one" 101 200
    pipeline_start "$conf"
    wait_until 30 target_has "200 20100"
    pipeline_stop "$conf"
    "$WALPIPE_BIN/walpipe" check -c "$conf"
}
