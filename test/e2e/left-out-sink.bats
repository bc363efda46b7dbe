#!/usr/bin/env bats
# A sink that is missing for a time, while the others go on, is not taken for one that has everything.

bats_require_minimum_version 1.5.0

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    source "$BATS_TEST_DIRNAME/../lib/compare.bash"
    conf=$SCRATCH/walpipe.conf
    pg_new src
    pg_new dst
    ch_new olap
    pg_sql src "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE PUBLICATION p FOR ALL TABLES;
        INSERT INTO t SELECT g, 'old' FROM generate_series(1, 1000) g"
    pg_sql dst "CREATE TABLE t (id int PRIMARY KEY, v text)"
    cat >"$SCRATCH/without" <<CONF
[pipeline]
name = orders
state_dir = $SCRATCH/state
copy = yes
[source]
conninfo = $(pg_conninfo src)
slot = orders
publication = p
[sink dst]
type = pg
conninfo = $(pg_conninfo dst)
CONF
    cat "$SCRATCH/without" - >"$SCRATCH/with" <<CONF
[sink olap]
type = ch
url = $(ch_url olap)
database = default
create_tables = yes
flush_interval = 50ms
CONF
}

teardown() {
    [ -z "${BATS_ERROR_STATUS:-}" ] || tail -n 30 "$conf.log"
    servers_end
}

# begin with|without: starts with this config, and waits until what is to be copied is copied.
begin() {
    cp "$SCRATCH/$1" "$conf"
    pipeline_start "$conf"
    wait_until 60 eval '! "$WALPIPE_BIN/walpipe" tables -c "$conf" | grep -q "0 of 1 tables streaming"'
}

# end SQL: what the source does before the pipeline stops.
end() {
    pg_sql src "$1"
    caught_up "$conf" src orders
    pipeline_stop "$conf"
}

refused() {
    cp "$SCRATCH/with" "$conf"
    pipeline_start "$conf" || true
    wait_until 30 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq 100 ]
    grep -q "the slot is ahead of what sink olap/0 found in its target" "$conf.log"
}

equal() {
    diff <(pg_digest src t) <(ch_digest olap t default src)
    diff <(pg_digest src t) <(pg_digest dst t)
}

@test "the bug was that a ClickHouse sink lacked what came while the config left it out" {
    local table
    begin with
    end "INSERT INTO t VALUES (2000, 'all have it')"
    begin without
    end "INSERT INTO t VALUES (2001, 'olap is left out'); DELETE FROM t WHERE id = 1"
    refused
    # as the runbook says
    for table in walpipe_progress walpipe_tables walpipe_missing; do
        ch_sql olap "ALTER TABLE $table DELETE WHERE pipeline = 'orders' AND sink = 'olap'"
        wait_until 20 eval '[ "$(ch_sql olap "SELECT count() FROM '$table'")" = 0 ]'
    done
    ch_sql olap "TRUNCATE TABLE t"
    begin with
    end "INSERT INTO t VALUES (2002, 'all have it')"
    equal
}

promote() { # THE NEW TIMELINE
    pg_stop src
    touch "$(pg_data src)/standby.signal"
    pg_start src
    pg_sql src "SELECT pg_promote()" >/dev/null
    wait_until 30 eval '[ "$(pg_sql src "SELECT pg_is_in_recovery()")" = f ]'
    pg_sql src CHECKPOINT
    [ "$(pg_sql src "SELECT timeline_id FROM pg_control_checkpoint()")" = "$1" ]
}

@test "the bug was that after a promotion a ClickHouse sink that was left out before it lacked what came" {
    begin with
    end "INSERT INTO t VALUES (2000, 'all have it')"
    promote 2
    begin with
    end "INSERT INTO t VALUES (2001, 'all have it')"
    equal
    begin without
    end "INSERT INTO t VALUES (2002, 'olap is left out'); DELETE FROM t WHERE id = 1"
    promote 3
    # A source that was stopped may have forgotten the last confirmation.
    begin without
    end "INSERT INTO t VALUES (2003, 'olap is left out')"
    refused
}

@test "the bug was that a ClickHouse sink went on behind a drop that had not reached it, and lacked what came between" {
    begin with
    end "INSERT INTO t VALUES (2000, 'all have it')"
    ch_stop olap
    run -111 "$WALPIPE_BIN/walpipe" drop -c "$conf" --yes
    [[ $output == *"dropped slot"*"dropped progress of sink dst"*"could not drop progress of sink olap"* ]]
    pg_sql src "INSERT INTO t VALUES (2001, 'no slot keeps it')"
    ch_start olap
    pg_sql dst "TRUNCATE t"
    refused
    "$WALPIPE_BIN/walpipe" drop -c "$conf" --yes
    pg_sql dst "TRUNCATE t"
    ch_sql olap "TRUNCATE TABLE t"
    begin with
    end "INSERT INTO t VALUES (2002, 'all have it')"
    equal
}
