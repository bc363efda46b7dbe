#!/usr/bin/env bats
# A table's rows change their worker in the middle of the stream: several shards of sink-pg on real
# servers must end in the source's rows all the same.

setup_file() {
    . "$BATS_TEST_DIRNAME/../lib/servers.bash"
    pg_new src
    pg_new dst
}

setup() {
    . "$BATS_TEST_DIRNAME/../lib/servers.bash"
    T=$BATS_TEST_TMPDIR
    db=r$BATS_TEST_NUMBER
    run_pid=
    pg_sql src "CREATE DATABASE $db"
    pg_sql dst "CREATE DATABASE $db"
    cat >"$T/conf" <<CONF
[pipeline]
name = $db
state_dir = $T/state
copy = no
[source]
conninfo = $(pg_conninfo src "$db")
slot = $db
publication = p
create_slot = yes
[sink dst]
type = pg
conninfo = $(pg_conninfo dst "$db")
shards = 3
CONF
}

teardown() {
    [ -z "$run_pid" ] || end_process "$run_pid" KILL 5
    [ -z "${BATS_ERROR_STATUS:-}" ] || tail -n 30 "$T/log"
}

teardown_file() {
    . "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

start() {
    "$WALPIPE_BIN/walpipe" run -c "$T/conf" 2>>"$T/log" >&2 3>&- &
    run_pid=$!
    kill_later "$run_pid"
    slot_is_active() { [ "$(pg_sql src "SELECT active FROM pg_replication_slots WHERE slot_name = '$db'")" = t ]; }
    wait_until 20 slot_is_active
}

# Stops when all that the source has is in the target.
drain() {
    local status=0 lsn
    lsn=$(pg_sql src "SELECT pg_current_wal_lsn()")
    confirmed() { [ "$(pg_sql src "SELECT confirmed_flush_lsn >= '$lsn' FROM pg_replication_slots WHERE slot_name = '$db'")" = t ]; }
    wait_until 30 confirmed
    kill -TERM "$run_pid"
    wait_until 60 process_gone "$run_pid"
    wait "$run_pid" || status=$?
    run_pid=
    [ "$status" -eq 0 ]
}

rows() {
    pg_sql "$1" "SELECT count(*), md5(string_agg(t::text, ',' ORDER BY t::text)) FROM $2 t" "$db"
}

# moving_keys BEFORE AFTER: of the ids 1 to 100, which of two tables announce as BEFORE(id) and
# AFTER(id), Python for key hashes, those that were on the worker of id 1 and no longer are.
moving_keys() {
    /usr/bin/python3 "$WALPIPE_ROOT/test/lib/stream.py" py <<PY
by_id = lambda oid, n: key_hash(oid, [col("id", key=True, oid=INT4)], [str(n)]) % 3
keyless = lambda oid, n: key_hash(oid, [], []) % 3
before, after = lambda n: $1, lambda n: $2
out(",".join(str(n) for n in range(2, 101) if before(n) == before(1) != after(n)).encode())
PY
}

oid_of() {
    pg_sql src "SELECT '$1'::regclass::oid" "$db"
}

# The worker that inserts id 1 into the target's t has to wait until unblock.
block() {
    mkfifo "$T/blocker"
    psql -XAtq -d "$(pg_conninfo dst "$db")" <"$T/blocker" >"$T/blocking" 3>&- &
    exec 6>"$T/blocker"
    echo "BEGIN; INSERT INTO t VALUES (1, 'not committed'); SELECT 'blocks';" >&6
    wait_until 5 test -s "$T/blocking"
}

unblock() {
    sleep 1 # time enough for the other workers to overtake, if nothing held them
    echo "ROLLBACK;" >&6
    exec 6>&-
}

@test "the bug was that rows of a table that got a key in mid-stream overtook each other" {
    pg_sql src "CREATE TABLE t (id int NOT NULL, v text); CREATE PUBLICATION p FOR TABLE t" "$db"
    pg_sql dst "CREATE TABLE t (id int PRIMARY KEY, v text)" "$db"
    oid=$(oid_of t)
    keys=$(moving_keys "keyless($oid, n)" "by_id($oid, n)")
    start
    block
    pg_sql src "INSERT INTO t SELECT n, 'old' FROM generate_series(1, 100) n" "$db"
    pg_sql src "ALTER TABLE t ADD PRIMARY KEY (id)" "$db"
    pg_sql src "UPDATE t SET v = 'new' WHERE id IN ($keys) AND id > 50; DELETE FROM t WHERE id IN ($keys) AND id < 50" "$db"
    unblock
    drain
    [ "$(rows src t)" = "$(rows dst t)" ]
}

@test "and those of a table that took over another's name" {
    pg_sql src "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE next (LIKE t INCLUDING ALL);
                CREATE PUBLICATION p FOR TABLE t" "$db"
    pg_sql dst "CREATE TABLE t (id int PRIMARY KEY, v text)" "$db"
    keys=$(moving_keys "by_id($(oid_of t), n)" "by_id($(oid_of next), n)")
    pg_sql src "INSERT INTO next SELECT n, 'old' FROM generate_series(1, 100) n" "$db"
    start
    block
    pg_sql src "INSERT INTO t SELECT n, 'old' FROM generate_series(1, 100) n" "$db"
    pg_sql src "BEGIN; ALTER TABLE t RENAME TO gone; ALTER TABLE next RENAME TO t;
                ALTER PUBLICATION p SET TABLE t; COMMIT" "$db"
    pg_sql src "UPDATE t SET v = 'new' WHERE id IN ($keys)" "$db"
    unblock
    drain
    [ "$(rows src t)" = "$(rows dst t)" ]
}
