#!/usr/bin/env bats
# The source is a primary with a physical standby, conninfo names both, and the primary dies (traps
# 16, 25, 31).

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
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    one=one$BATS_TEST_NUMBER two=two$BATS_TEST_NUMBER db=p$BATS_TEST_NUMBER
    conf=$SCRATCH/$db.conf
    pg_new "$one" max_prepared_transactions=5
    pg_sql "$one" "CREATE DATABASE $db"
    pg_sql "$one" "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE PUBLICATION p FOR TABLE t" "$db"
    pg_sql dst "CREATE DATABASE $db"
    pg_sql dst "CREATE TABLE t (id int PRIMARY KEY, v text)" "$db"
    standby_new
    cat >"$conf" <<CONF
[pipeline]
name = $db
state_dir = $SCRATCH/$db.state
copy = no
[source]
conninfo = host=127.0.0.1,127.0.0.1 port=$(pg_port "$one"),$(pg_port "$two") user=postgres dbname=$db target_session_attrs=read-write connect_timeout=5
slot = $db
publication = p
[sink pg]
type = pg
conninfo = $(pg_conninfo dst "$db")
flush_interval = 50ms
CONF
}

teardown() {
    local pid
    [ -n "${BATS_TEST_COMPLETED:-}" ] || tail -n 30 "$conf.log" 2>/dev/null || true
    if [ -e "$conf.pid" ] && pid=$(pipeline_pid "$conf"); then
        end_process "$pid" KILL 5
    fi
    pg_stop "$one" immediate || true
    pg_stop "$two" immediate || true
}

# $two: a physical standby of $one.
standby_new() {
    local dir=$SCRATCH/$two
    mkdir "$dir"
    port_new >"$dir/port"
    : >"$dir/log"
    [ "$UID" -ne 0 ] || chown postgres: "$dir" "$dir/log"
    as_postgres "$(pg_bindir)/pg_basebackup" -D "$dir/data" -R -c fast --no-sync -h "$SCRATCH/$one" \
        -p "$(pg_port "$one")" -U postgres
    {
        echo "port = $(pg_port "$two")"
        echo "unix_socket_directories = '$dir'"
    } >>"$dir/data/postgresql.conf"
    pg_start "$two"
    wait_until 20 eval "[ \"\$(pg_sql $one 'SELECT count(*) FROM pg_stat_replication')\" = 1 ]"
}

standby_has_all() {
    local lsn
    lsn=$(pg_sql "$one" "SELECT pg_current_wal_lsn()")
    wait_until 30 eval "[ \"\$(pg_sql $two \"SELECT pg_last_wal_replay_lsn() >= '$lsn'\")\" = t ]"
}

# The primary is gone for good, the standby takes its place.
promote() {
    pg_kill "$one"
    as_postgres "$(pg_bindir)/pg_ctl" promote -s -w -t 60 -D "$(pg_data "$two")" >/dev/null 3>&-
}

# What pg_failover_slots does, or PostgreSQL 17 with failover slots: the slot as it is on the primary.
copy_slot() {
    pg_sql "$one" "CHECKPOINT"
    standby_has_all
    pg_stop "$two"
    as_postgres cp -r "$(pg_data "$one")/pg_replslot/$db" "$(pg_data "$two")/pg_replslot/"
    pg_start "$two"
}

insert() { # SERVER FROM TO
    pg_sql "$1" "INSERT INTO t SELECT g, 'v' || g FROM generate_series($2, $3) g" "$db"
}

rows() {
    pg_sql "$1" "SELECT count(*) || ' ' || sum(id) FROM t" "$db"
}

logged() {
    grep -q -- "$1" "$conf.log"
}

ended() {
    wait_until 60 test -s "$conf.exit" && [ "$(cat "$conf.exit")" -eq "$1" ]
}

@test "a promoted standby without the slot is refused: the slot is gone (traps 16, 25)" {
    pipeline_start "$conf"
    insert "$one" 1 100
    caught_up "$conf" "$one" "$db"
    standby_has_all
    promote
    insert "$two" 101 200
    ended 100
    logged "replication slot .*$db.* is gone: changes after .*, the checkpoint, would be missing"
    [ "$(pg_sql "$two" "SELECT count(*) FROM pg_replication_slots")" -eq 0 ]
    [ "$(rows dst)" = "100 5050" ]
}

@test "one to which the slot was copied goes on, after the target's word for its timeline (traps 16, 25)" {
    pipeline_start "$conf"
    insert "$one" 1 100
    caught_up "$conf" "$one" "$db"
    copy_slot
    insert "$one" 101 200
    caught_up "$conf" "$one" "$db"
    standby_has_all
    promote
    insert "$two" 201 300
    wait_until 60 logged "the source moved from timeline 1 to 2"
    caught_up "$conf" "$two" "$db" 60
    [ "$(rows dst)" = "300 45150" ]
    [ "$(pg_sql dst "SELECT timeline FROM walpipe.progress" "$db")" = 2 ]
}

# Prepared transactions stand for those of slow clients. The slot needs a snapshot from the time of "a"
# to decode "b".
slot_needs_snapshot() {
    local before
    before=$(pg_sql "$one" "SELECT restart_lsn FROM pg_replication_slots")
    pg_sql "$one" "BEGIN; INSERT INTO t VALUES (1001, 'a'); PREPARE TRANSACTION 'a'" "$db"
    pg_sql "$one" CHECKPOINT
    pg_sql "$one" "BEGIN; INSERT INTO t VALUES (1002, 'b'); PREPARE TRANSACTION 'b'" "$db"
    pg_sql "$one" "COMMIT PREPARED 'a'" "$db"
    pg_sql "$one" CHECKPOINT
    insert "$one" 101 110
    caught_up "$conf" "$one" "$db"
    wait_until 30 eval "[ \"\$(pg_sql $one \"SELECT restart_lsn > '$before' FROM pg_replication_slots\")\" = t ]"
    pipeline_stop "$conf"
    copy_slot
    pg_sql "$one" "COMMIT PREPARED 'b'" "$db"
    insert "$one" 111 120
    standby_has_all
    promote
}

@test "one to which the slot was copied without its snapshots is refused: it cannot decode all (trap 177)" {
    pipeline_start "$conf"
    insert "$one" 1 100
    slot_needs_snapshot
    pipeline_start "$conf" || true
    ended 100
    logged "the source cannot decode every transaction behind the slot's position"
    [ "$(rows dst)" = "111 7106" ]
    # the way out of the hint
    "$WALPIPE_BIN/walpipe" drop -c "$conf" --yes
    pg_sql dst "TRUNCATE t" "$db"
    sed -i 's/^copy = no/copy = yes/' "$conf"
    pipeline_start "$conf"
    insert "$two" 121 130
    wait_until 60 eval '[ "$(rows dst)" = "$(rows "$two")" ]'
    [ "$(rows dst)" = "132 10518" ]
}

@test "with the snapshots it goes on" {
    copy_slot() {
        pg_sql "$one" "CHECKPOINT"
        standby_has_all
        pg_stop "$two"
        as_postgres cp -r "$(pg_data "$one")/pg_replslot/$db" "$(pg_data "$two")/pg_replslot/"
        as_postgres cp -r "$(pg_data "$one")/pg_logical/snapshots" "$(pg_data "$two")/pg_logical/"
        pg_start "$two"
    }
    pipeline_start "$conf"
    insert "$one" 1 100
    slot_needs_snapshot
    pipeline_start "$conf"
    caught_up "$conf" "$two" "$db" 60
    [ "$(rows dst)" = "$(rows "$two")" ]
    [ "$(rows dst)" = "122 9263" ]
}

@test "one that is behind what the target has is refused, with the point where the timelines part (trap 16)" {
    pipeline_start "$conf"
    insert "$one" 1 100
    caught_up "$conf" "$one" "$db"
    copy_slot
    # the standby is cut off, and misses what the target gets
    pg_stop "$two"
    insert "$one" 101 200
    caught_up "$conf" "$one" "$db"
    pg_kill "$one"
    pg_start "$two"
    as_postgres "$(pg_bindir)/pg_ctl" promote -s -w -t 60 -D "$(pg_data "$two")" >/dev/null 3>&-
    # more than was lost: the end of WAL alone would not tell
    insert "$two" 101 5000
    ended 100
    logged "the source left timeline 1 at .*, and sink pg/0 found in its target changes of that timeline up to"
    [ "$(rows dst)" = "200 20100" ]
}

# The same source into a ClickHouse.
into_clickhouse() {
    ch_new "ch$db"
    sed -i '/^\[sink pg\]/,$d' "$conf"
    cat >>"$conf" <<CONF
[sink olap]
type = ch
url = $(ch_url "ch$db")
database = default
create_tables = yes
flush_interval = 50ms
CONF
}

@test "the bug was that a ClickHouse kept rows of a lost tail, which hid those of the standby that was behind" {
    into_clickhouse
    pipeline_start "$conf"
    insert "$one" 1 100
    caught_up "$conf" "$one" "$db"
    copy_slot
    pg_stop "$two"
    insert "$one" 101 200
    caught_up "$conf" "$one" "$db"
    pg_kill "$one"
    pg_start "$two"
    as_postgres "$(pg_bindir)/pg_ctl" promote -s -w -t 60 -D "$(pg_data "$two")" >/dev/null 3>&-
    insert "$two" 101 5000
    ended 100
    logged "the source left timeline 1 at .*, and sink olap has in its target changes of that timeline up to"
    [ "$(ch_sql "ch$db" "SELECT count() FROM t")" -eq 200 ]
    ch_stop "ch$db"
}

@test "a ClickHouse goes on with a standby that had everything" {
    into_clickhouse
    pipeline_start "$conf"
    insert "$one" 1 100
    caught_up "$conf" "$one" "$db"
    copy_slot
    insert "$one" 101 200
    caught_up "$conf" "$one" "$db"
    standby_has_all
    promote
    insert "$two" 201 300
    wait_until 60 logged "the source moved from timeline 1 to 2"
    caught_up "$conf" "$two" "$db" 60
    [ "$(ch_sql "ch$db" "SELECT count(), sum(id) FROM t_current")" = $'300\t45150' ]
    ch_sql "ch$db" "SELECT comment FROM system.columns WHERE table = 't' AND name = '_version'" | grep -q '/2 public.t'
    ch_stop "ch$db"
}

# A copy of 40 MB that takes its time, on a busy machine too; it has begun, and has not ended.
copy_begins() {
    sed -i 's/^copy = no/copy = yes\ncopy_rate = 500000/' "$conf"
    pg_sql "$one" "INSERT INTO t SELECT g, repeat('v' || g, 100) FROM generate_series(1, 60000) g" "$db"
    pipeline_start "$conf"
    wait_until 60 eval '[ "$(pg_sql dst "SELECT count(*) > 0 FROM t" "$db")" = t ]'
}

hurry() {
    sed -i 's/^copy_rate.*/copy_rate = 0/' "$conf"
    kill -HUP "$(pipeline_pid "$conf")"
}

still_copying() {
    [ "$(pg_sql dst "SELECT state FROM walpipe.tables WHERE relid <> 0" "$db")" = copying ]
}

copy_has_ended() {
    [ -s "$conf.exit" ] || [ "$(pg_sql dst "SELECT state FROM walpipe.tables WHERE relid <> 0" "$db")" = streaming ]
}

all_of_t() {
    pg_sql "$1" "SELECT count(*), sum(hashtext(t::text)) FROM t" "$db"
}

@test "the standby is promoted during a copy: what was finished stands, and both end equal" {
    copy_begins
    copy_slot
    pg_sql "$one" "UPDATE t SET v = 'one' WHERE id % 10 = 0; DELETE FROM t WHERE id % 11 = 0" "$db"
    caught_up "$conf" "$one" "$db" 60
    standby_has_all
    still_copying
    local last rows
    rows=$(pg_sql dst "SELECT rows FROM walpipe.tables WHERE relid <> 0" "$db")
    promote
    hurry
    pg_sql "$two" "UPDATE t SET v = 'two' WHERE id % 9 = 0; DELETE FROM t WHERE id % 13 = 0;
        INSERT INTO t VALUES (0, 'new')" "$db"
    wait_until 60 logged "the source moved from timeline 1 to 2"
    wait_until 120 copy_has_ended
    caught_up "$conf" "$two" "$db" 60
    diff <(all_of_t "$two") <(all_of_t dst)
    # Not all was read again, of the 50,350 rows that are left.
    last=$(jq -r 'select(.program == "pg-table-read").message | select(startswith("public.t: ")) | split(" ")[1]' "$conf.log" | tail -n 1)
    [ "$rows" -gt 0 ]
    [ "$last" -lt $((50400 - rows / 2)) ]
}

@test "a standby that is behind is promoted during a copy: refused, with the point where the timelines part" {
    copy_begins
    copy_slot
    pg_stop "$two"
    pg_sql "$one" "UPDATE t SET v = 'lost' WHERE id % 10 = 0" "$db"
    caught_up "$conf" "$one" "$db" 60
    still_copying
    pg_kill "$one"
    pg_start "$two"
    as_postgres "$(pg_bindir)/pg_ctl" promote -s -w -t 60 -D "$(pg_data "$two")" >/dev/null 3>&-
    pg_sql "$two" "UPDATE t SET v = repeat('two', 30)" "$db"
    ended 100
    logged "the source left timeline 1 at .*, and sink pg/0 found in its target changes of that timeline up to"
    still_copying
}

# notes_of_ch CONDITION: in the ClickHouse's notes, or the pipeline has ended
notes_of_ch() {
    [ -s "$conf.exit" ] ||
        [ "$(ch_sql "ch$db" "SELECT $1 FROM walpipe_tables FINAL WHERE relid <> 0")" = 1 ]
}

equal_in_ch() {
    diff <(pg_sql "$1" "SELECT id, v FROM t" "$db" | tr '|' '\t' | sort) \
        <(ch_sql "ch$db" "SELECT id, v FROM t FINAL WHERE _is_deleted = 0" | sort) >"$SCRATCH/diff"
}

# promoted_during STATE: the copy of t into two workers of a ClickHouse has that state, and has begun
promoted_during() {
    local rows last
    wait_until 60 notes_of_ch "countIf(state = '$1' AND rows > 0) = 2"
    copy_slot
    pg_sql "$one" "UPDATE t SET v = 'one' WHERE id % 10 = 0; DELETE FROM t WHERE id % 11 = 0" "$db"
    caught_up "$conf" "$one" "$db" 60
    standby_has_all
    notes_of_ch "countIf(state = '$1') = 2"
    rows=$(ch_sql "ch$db" "SELECT sum(rows) FROM walpipe_tables FINAL")
    promote
    hurry
    pg_sql "$two" "UPDATE t SET v = 'two' WHERE id % 9 = 0; DELETE FROM t WHERE id % 13 = 0;
        INSERT INTO t VALUES (0, 'new')" "$db"
    wait_until 60 logged "the source moved from timeline 1 to 2"
    wait_until 120 notes_of_ch "countIf(state = 'streaming') = 2"
    caught_up "$conf" "$two" "$db" 60
    equal_in_ch "$two"
    # Not all was read again, of the 33,567 rows that are left.
    last=$(jq -r 'select(.program == "pg-table-read").message | select(startswith("public.t: ")) | split(" ")[1]' "$conf.log" | tail -n 1)
    [ "$rows" -gt 0 ]
    [ "$last" -lt $((33600 - rows / 2)) ]
    ch_stop "ch$db"
}

into_two_workers() {
    into_clickhouse
    sed -i "s/^copy = no/copy = yes\ncopy_rate = $1/" "$conf"
    echo "shards = 2" >>"$conf"
    pg_sql "$one" "INSERT INTO t SELECT g, repeat('v' || g, 100) FROM generate_series(1, 40000) g" "$db"
    pipeline_start "$conf"
}

@test "the standby is promoted during a copy into ClickHouse: what was finished stands, and both end equal" {
    into_two_workers 500000
    promoted_during copying
}

@test "so it is during a resync into ClickHouse" {
    into_two_workers 0
    wait_until 60 notes_of_ch "countIf(state = 'streaming') = 2"
    ch_sql "ch$db" "INSERT INTO t (id, v, _version) VALUES (-1, 'surplus', 1), (1, 'different', 2)"
    pipeline_stop "$conf"
    sed -i 's/^copy_rate.*/copy_rate = 500000/' "$conf"
    "$WALPIPE_BIN/walpipe" resync -c "$conf" --table public.t
    pipeline_start "$conf"
    promoted_during resync
    logged 'is copied again: 1 rows were surplus'
}

@test "a standby that is not promoted is waited for (trap 31)" {
    sed -i 's/ target_session_attrs=read-write//; s/host=127.0.0.1,127.0.0.1 port=[0-9]*,/host=127.0.0.1 port=/' "$conf"
    pipeline_begin "$conf"
    wait_until 30 logged "the source is a standby, and PostgreSQL before 16 decodes WAL on a primary only"
    kill_later "$(pipeline_pid "$conf")"
    promote
    wait_until 60 logged "streaming from slot"
    insert "$two" 1 10
    caught_up "$conf" "$two" "$db"
    [ "$(rows dst)" = "10 55" ]
}
