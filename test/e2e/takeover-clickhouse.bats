#!/usr/bin/env bats
# Two walpipes with a state directory each, of which one waits: during a copy into ClickHouse the other
# one is killed.

bats_require_minimum_version 1.5.0

load copied
load ../lib/pipeline

walpipe_conf() { # NAME COPY_RATE SHARDS
    cat >"$T/$1.conf" <<C
[pipeline]
name = w
state_dir = $T/$1
copy_rate = $2
copy = yes
[source]
conninfo = $CONNINFO
slot = w
publication = p
[sink olap]
type = ch
url = $(ch_url ch)
database = default
create_tables = yes
shards = $3
flush_interval = 200ms
C
}

ranges_done() { # MORE_THAN
    [ "$(ch_sql ch "select count() from t")" -gt "$1" ]
}

copies() {
    grep -c '"[1-9][0-9]* of [0-9]* published tables are to be copied' "$T/second.conf.log" || true
}

source_is_quiet() {
    [ "$(pg_sql src "select count(*) from pg_stat_activity where application_name = 'pgbench'")" = 0 ]
}

# take_over SHARDS: the one that waits goes on with the copy, and so does the one that was killed when it
# has come back.
take_over() {
    local rows starts
    pg_sql src "alter publication p add table u; alter table t alter v set storage external;
        insert into t select n, n % 5, repeat(md5(n::text), 80) from generate_series(20001, 40000) n"
    walpipe_conf first 1000000 "$1"
    walpipe_conf second 1000000 "$1"
    echo "\\set k random(1, 40000)
update t set v = v || 'x' where id = :k;
update u set v = v || 'x' where id = :k / 8;
update t set region = region + 1 where id = 40001 - :k and :k < 2000;" >"$T/changes"
    "$(pg_bindir)/pgbench" -n -c 2 -R 40 -T 600 -f "$T/changes" "$CONNINFO" >"$T/load" 2>&1 3>&- &
    load_pid=$!
    kill_later "$load_pid"
    pipeline_start "$T/first.conf"
    wait_until 60 ranges_done 0
    pipeline_begin "$T/second.conf"
    wait_until 60 pipeline_waits "$T/second.conf"
    rows=$(ch_sql ch "select count() from t")
    pipeline_kill "$T/first.conf"
    wait_until 60 pipeline_streams_or_gone "$T/second.conf" 0
    wait_until 60 ranges_done "$rows"
    run ! streaming $((2 * $1))
    starts=$(pipeline_starts "$T/first.conf")
    rows=$(ch_sql ch "select count() from t")
    walpipe_conf first 0 "$1"
    pipeline_begin "$T/first.conf"
    wait_until 60 pipeline_waits "$T/first.conf"
    pipeline_kill "$T/second.conf"
    wait_until 60 pipeline_streams_or_gone "$T/first.conf" "$starts"
    wait_until 60 ranges_done "$rows"
    kill "$load_pid"
    wait "$load_pid" || true
    wait_until 30 source_is_quiet
    wait_until 180 streaming $((2 * $1))
    pipeline_lives "$T/first.conf"
    caught_up "$T/first.conf" src w 120
    same_rows t "id, region, v"
    same_rows u "id, v"
    # The other one copies nothing that is copied.
    starts=$(copies)
    pipeline_stop "$T/first.conf"
    pipeline_start "$T/second.conf"
    pg_sql src "insert into u values (90000, 'back')"
    caught_up "$T/second.conf" src w 120
    same_rows u "id, v"
    pipeline_stop "$T/second.conf"
    [ "$(copies)" = "$starts" ]
}

@test "a hot standby takes over during the copy, and the first one takes over again: 18.16" {
    ch_new ch
    take_over 1
}

@test "so they do with three workers into a ClickHouse of today" {
    source "$BATS_TEST_DIRNAME/../lib/chdb.bash"
    chdb_available || true
    chdb_or_skip
    chdb_new ch
    take_over 3
}
