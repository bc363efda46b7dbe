#!/usr/bin/env bats
# Two standbys of one primary are promoted, one after the other, and the second does not know of the
# first. Both are on a timeline of the same number then (trap 16).

bats_require_minimum_version 1.5.0

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    source "$BATS_TEST_DIRNAME/../lib/compare.bash"
    conf=$SCRATCH/walpipe.conf
    pg_new dst
    pg_new one
    pg_sql one "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE PUBLICATION p FOR ALL TABLES"
    pg_sql dst "CREATE TABLE t (id int PRIMARY KEY, v text)"
    standby_new two as_postgres "$(pg_bindir)/pg_basebackup" -D "$SCRATCH/two/data" -R -c fast --no-sync \
        -h "$SCRATCH/one" -p "$(pg_port one)" -U postgres
    pg_start two
}

teardown() {
    [ -z "${BATS_ERROR_STATUS:-}" ] || tail -n 30 "$conf.log"
    servers_end
}

# standby_new NAME COMMAND...: the command makes its data directory
standby_new() {
    local dir=$SCRATCH/$1
    mkdir "$dir"
    port_new >"$dir/port"
    : >"$dir/log"
    [ "$UID" -ne 0 ] || chown postgres: "$dir" "$dir/log"
    "${@:2}"
    {
        echo "port = $(pg_port "$1")"
        echo "unix_socket_directories = '$dir'"
    } >>"$dir/data/postgresql.conf"
}

configure() { # SOURCE COPY
    cat >"$conf" <<CONF
[pipeline]
name = orders
state_dir = $SCRATCH/state
copy = $2
[source]
conninfo = $(pg_conninfo "$1")
slot = orders
publication = p
[sink dst]
type = pg
conninfo = $(pg_conninfo dst)
flush_interval = 50ms
CONF
}

standby_has_all() { # STANDBY
    local lsn
    lsn=$(pg_sql one "SELECT pg_current_wal_lsn()")
    wait_until 60 eval "[ \"\$(pg_sql $1 \"SELECT pg_last_wal_replay_lsn() >= '$lsn'\")\" = t ]"
}

promote() {
    as_postgres "$(pg_bindir)/pg_ctl" promote -s -w -t 60 -D "$(pg_data "$1")" >/dev/null 3>&-
    [ "$(pg_sql "$1" "SELECT timeline_id FROM pg_control_checkpoint()")" = 2 ] || pg_sql "$1" CHECKPOINT
}

insert() { # SERVER FROM TO
    pg_sql "$1" "INSERT INTO t SELECT g, '$1' || g FROM generate_series($2, $3) g"
}

@test "the bug was that a second promotion to a timeline of the same number counted as the first" {
    configure one no
    pipeline_start "$conf"
    insert one 1 100
    caught_up "$conf" one orders
    # both standbys get the slot, and the third gets nothing behind it
    pg_sql one CHECKPOINT
    standby_has_all two
    pg_stop two
    as_postgres cp -r "$(pg_data one)/pg_replslot/orders" "$(pg_data two)/pg_replslot/"
    standby_new three as_postgres cp -a "$(pg_data two)" "$SCRATCH/three/"
    pg_start two
    insert one 101 200
    caught_up "$conf" one orders
    standby_has_all two
    pipeline_stop "$conf"
    pg_kill one
    promote two
    configure two no
    pipeline_start "$conf"
    insert two 201 300
    caught_up "$conf" two orders
    pipeline_stop "$conf"
    pg_kill two
    # its changes are at positions that the target is beyond
    pg_start three
    promote three
    insert three 101 150
    for _ in 1 2 3; do
        insert three 151 151
        pg_sql three "DELETE FROM t WHERE id = 151; SELECT pg_switch_wal()" >/dev/null
    done
    [ "$(pg_sql three "SELECT pg_current_wal_lsn() > '$(pg_sql dst "SELECT lsn FROM walpipe.progress")'")" = t ]
    configure three no
    pipeline_start "$conf" || true
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq 100 ]
    grep -q "the source's timeline 2 began at .*, that of the checkpoint at .*: another server was promoted" "$conf.log"
    # as the hint says
    "$WALPIPE_BIN/walpipe" drop -c "$conf" --yes
    pg_sql dst "TRUNCATE t"
    configure three yes
    pipeline_start "$conf"
    insert three 301 400
    caught_up "$conf" three orders
    wait_until 60 eval '"$WALPIPE_BIN/walpipe" tables -c "$conf" | grep -q "1 of 1 tables streaming"'
    diff <(pg_digest three t) <(pg_digest dst t)
    pipeline_stop "$conf"
}
