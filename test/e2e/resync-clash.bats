#!/usr/bin/env bats
# walpipe resync into a PostgreSQL target whose surplus rows conflict with the source's changes, by a
# unique or an exclusion constraint. The resync removes these rows, so it must be able to end.

bats_require_minimum_version 1.5.0

load ../lib/copied

write_conf() {
    cat >"$conf" <<CONF
[pipeline]
name = $db
state_dir = $dir/state
log_level = debug
copy = yes
copy_rate = ${1:-0}
[source]
conninfo = $(pg_conninfo src "$db")
slot = $db
publication = p
[sink dst]
type = pg
conninfo = $(pg_conninfo dst "$db") ${role:+user=$role}
flush_interval = 50ms
shards = 2
CONF
}

# t goes to one worker as a whole, because of its constraints; w is split.
begin() {
    local sql="CREATE TABLE t (k int PRIMARY KEY, u int UNIQUE, d int UNIQUE DEFERRABLE INITIALLY DEFERRED,
            r int4range, v text, EXCLUDE USING gist (r WITH &&));
        CREATE TABLE w (k int PRIMARY KEY, v text)"
    pg_sql src "$sql; CREATE PUBLICATION p FOR TABLE t, w" "$db"
    pg_sql dst "$sql" "$db"
    [ -z "${role:-}" ] || pg_sql dst "CREATE ROLE $role LOGIN; GRANT CREATE, TEMPORARY ON DATABASE $db TO $role;
        ALTER TABLE t OWNER TO $role; ALTER TABLE w OWNER TO $role" "$db"
    pg_sql src "INSERT INTO t SELECT i, i, i, int4range(i, i + 1), repeat('x', 200) FROM generate_series(1, 10000) AS i;
        INSERT INTO w SELECT i, 'w' FROM generate_series(1, 1000) AS i" "$db"
    write_conf "${1:-0}"
    pipeline_start "$conf"
    wait_until 60 all_streaming 2 2
}

resync() {
    "$WALPIPE_BIN/walpipe" resync -c "$conf" "$@"
}

# staged: there are rows in the staging table
staged() {
    local name
    [ ! -e "$conf.exit" ] || return 0
    name=$(pg_sql dst "SELECT relname FROM pg_class WHERE relname ~ '^resync_[0-9]+_[0-9a-f]+$'" "$db")
    [ -n "$name" ] && [ "$(pg_sql dst "SELECT count(*) FROM walpipe.$name" "$db")" -gt 0 ]
}

is_behind() {
    [ -e "$conf.exit" ] || noted "bool_or(behind)"
}

arrived() {
    [ -e "$conf.exit" ] || [ "$(pg_sql dst "SELECT v FROM w WHERE k = $1" "$db")" = "$2" ]
}

# Rows that come into the way of later changes, and one that has the value of a row of the source.
clashes() {
    pg_sql dst "INSERT INTO t (k, u) VALUES (-1, 20001); INSERT INTO t (k, d) VALUES (-2, 20002);
        INSERT INTO t (k, r) VALUES (-3, '[20003,20004)'); UPDATE t SET u = -5 WHERE k = 5;
        INSERT INTO t (k, u) VALUES (-4, 5)" "$db"
}

ends_right() {
    write_conf
    "$WALPIPE_BIN/walpipe" reload -c "$conf"
    wait_until 90 all_streaming 2 2
    pipeline_lives "$conf"
    caught_up "$conf" src "$db"
    equal t w
    [ "$(pg_sql dst "SELECT count(*) FROM walpipe.tables WHERE behind" "$db")" = 0 ]
    [ "$(pg_sql dst "SELECT count(*) FROM pg_class WHERE relname ~ '^resync_'" "$db")" = 0 ]
    # and the table's changes arrive again
    pg_sql src "UPDATE t SET v = 'end' WHERE k < 10" "$db"
    caught_up "$conf" src "$db"
    equal t w
    pipeline_stop "$conf"
}

begin_resync() {
    begin
    write_conf 20000 # it does not end before the test wants it
    "$WALPIPE_BIN/walpipe" reload -c "$conf"
    pg_sql dst "DELETE FROM t WHERE k % 10 = 0; UPDATE t SET v = 'old' WHERE k = 1" "$db"
    clashes
    run -0 resync --table public.t
    wait_until 60 staged
}

# The bug was that the run ended with 100, at each start.
@test "a change that the target's garbage refuses goes to the staged rows alone, and the resync ends" {
    begin_resync
    run -0 noted "NOT bool_or(behind)"
    pg_sql src "INSERT INTO t (k, u, v) VALUES (20001, 20001, 'a')" "$db"
    wait_until 60 is_behind
    pg_sql src "INSERT INTO t (k, d, v) VALUES (20002, 20002, 'b');
        INSERT INTO t (k, r, v) VALUES (20003, '[20003,20005)', 'c');
        UPDATE t SET v = 'new' WHERE k = 1; UPDATE w SET v = 'beside' WHERE k = 1" "$db"
    wait_until 60 arrived 1 beside
    # readers see the table as it was
    [ "$(pg_sql dst "SELECT v FROM t WHERE k = 1" "$db")" = old ]
    grep -q 'a row of the target is in the way.*"exit_code":111' "$conf.log"
    ends_right
}

# A role that may not set session_replication_role has its constraints checked at COMMIT.
@test "so it is if the clash shows at COMMIT only" {
    role=plain
    begin_resync
    pg_sql src "INSERT INTO t (k, d) VALUES (20002, 20002)" "$db"
    wait_until 60 is_behind
    ends_right
}

@test "so it is by an exclusion constraint, in an update" {
    begin_resync
    pg_sql src "UPDATE t SET r = '[20003,20005)' WHERE k = 7" "$db"
    wait_until 60 is_behind
    ends_right
}

@test "a large transaction meets the garbage in one of its pieces; kill -9 behind the note; TRUNCATE" {
    begin_resync
    pg_sql src "BEGIN; UPDATE w SET v = repeat('y', 8000); UPDATE w SET v = repeat('z', 8000);
        INSERT INTO t (k, u) VALUES (20001, 20001); UPDATE w SET v = 'large'; COMMIT" "$db"
    wait_until 60 is_behind
    pipeline_kill "$conf"
    pipeline_start "$conf"
    wait_until 60 arrived 7 large
    pg_sql src "BEGIN; TRUNCATE t; INSERT INTO t (k, u, v) SELECT i, i, 'anew' FROM generate_series(1, 3000) AS i; COMMIT;
        UPDATE w SET v = 'beside' WHERE k = 1" "$db"
    wait_until 60 arrived 1 beside
    [ "$(pg_sql dst "SELECT v FROM t WHERE k = 1" "$db")" = old ]
    ends_right
}

# Before its first life nothing is staged, and the stream brings the change that was refused.
@test "without a resync the change is refused, and the hint leads on: noted, started, ended" {
    begin
    clashes
    pg_sql src "INSERT INTO t (k, u) VALUES (20001, 20001); UPDATE w SET v = 'beside' WHERE k = 1" "$db"
    ends 100
    logged 'have walpipe resync replace the table.s rows'
    run_is_refused
    run -0 resync --table public.t
    write_conf
    pipeline_start "$conf"
    wait_until 60 arrived 1 beside
    ends_right
}

@test "a table that is behind is not taken for streaming" {
    begin_resync
    pg_sql src "INSERT INTO t (k, u) VALUES (20001, 20001)" "$db"
    wait_until 60 is_behind
    pipeline_kill "$conf"
    run -0 "$WALPIPE_BIN/walpipe" tables -c "$conf"
    [[ "$output" == *"public.t is behind: "*"until the resync ends"* ]]
    pg_sql dst "UPDATE walpipe.tables SET state = 'streaming' WHERE name = 't'" "$db"
    run_is_refused 'the target lacks changes of public.t'
    run -0 resync --table public.t
    pipeline_start "$conf"
    ends_right
}

# Such a sink has no notes of its tables. The bug was that the hint did not name copy = yes, and that
# resync asked for a start that the same change refused.
@test "a sink that followed without copies: the hint leads on, with the name as it was printed" {
    pg_sql src "CREATE TABLE \"Odd\" (k int PRIMARY KEY, u int UNIQUE); CREATE TABLE w (k int PRIMARY KEY, v text);
        INSERT INTO w VALUES (1, 'w'); CREATE PUBLICATION p FOR TABLE \"Odd\", w" "$db"
    target_tables
    load_target
    write_conf
    run -100 resync --table public.Odd
    [[ $output == *"has copied nothing yet"* ]]
    sed -i 's/^copy = yes/copy = no/' "$conf"
    pipeline_start "$conf"
    pg_sql src "INSERT INTO \"Odd\" SELECT i, i FROM generate_series(1, 1000) AS i" "$db"
    caught_up "$conf" src "$db"
    pg_sql dst "INSERT INTO \"Odd\" VALUES (-1, 20001)" "$db"
    pg_sql src "INSERT INTO \"Odd\" VALUES (20001, 20001)" "$db"
    ends 100
    logged 'insert into public.Odd.*set copy = yes in the sink and have walpipe resync replace the table.s rows'
    run -100 resync --table public.Odd
    [[ $output == *"no sink of $conf takes copies"* ]]
    write_conf
    run -0 resync --table public.Odd
    pipeline_start "$conf" || pipeline_start "$conf"
    wait_until 90 all_streaming 2 2
    caught_up "$conf" src "$db"
    equal '"Odd"' w
    pipeline_stop "$conf"
}
