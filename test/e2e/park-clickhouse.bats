#!/usr/bin/env bats
# on_error = park in a ClickHouse sink: an error of one table's data or definition sets the table aside,
# the others go on, and walpipe resume --table brings it back.

bats_require_minimum_version 1.5.0

load ../lib/parked
load ../lib/parked_clickhouse

park_and_return() { # SHARDS
    local http
    http=127.0.0.1:$(port_new)
    pipeline_lines="http = $http" begin "$1" a gone good
    break_it a
    pass_over a
    in_ch "DROP TABLE gone_current"
    in_ch "DROP TABLE gone"
    pg_sql src "BEGIN; INSERT INTO good VALUES (2000, 1, 'with gone'); UPDATE gone SET n = 5 WHERE k < 50; COMMIT" "$db"
    pass_over a,gone
    equal good
    # Further changes are passed over, also those that would succeed, and behind a restart.
    pg_sql src "UPDATE a SET k = k + 5000 WHERE k < 20; INSERT INTO a VALUES (-1, 1, 'x'); TRUNCATE good, gone;
        INSERT INTO good SELECT i, 1, 'new' FROM generate_series(1, 50) AS i; INSERT INTO gone VALUES (1, 1, 'new')" "$db"
    caught_up "$conf" src "$db"
    equal good
    pipeline_kill "$conf"
    pg_sql src "UPDATE good SET n = 7; UPDATE a SET n = 7 WHERE k % 9 = 0; DELETE FROM a WHERE k % 100 = 99" "$db"
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    equal good
    parked a,gone
    [ "$(in_ch "SELECT count() FROM a_current WHERE k = -1 OR k > 5000")" = 0 ]
    shows_them "$http"
    # Not mended: it is parked again.
    before=$(parked_since a)
    run resume --table public.a
    echo "$output"
    [ "$status" -eq 0 ] || [[ $output == *"ended before it answered"* ]]
    wait_until 60 parked_again a "$before"
    pass_over a,gone
    mend a
    run -0 resume --table public.a --wait
    # And one while the pipeline is stopped.
    pipeline_stop "$conf"
    run -0 resume --table public.gone --sink olap
    [[ $output == *"the next start of the pipeline copies it again"* ]]
    pipeline_start "$conf"
    wait_until 60 all_streaming 3 "$1"
    parked ''
    caught_up "$conf" src "$db"
    equal a gone good
    curl -sf "http://$http/healthz" >"$dir/healthz"
    ! grep degraded "$dir/healthz"
    pipeline_stop "$conf"
}

# Reason, LSN, and the command that ends it, wherever people look.
shows_them() { # HTTP
    run -0 tables
    [[ $output == *"public.a is parked since 20"*"column \"n\" of table \"public.a\""* ]]
    [[ $output == *"walpipe resume -c FILE --sink olap --table 'public.a'"* ]]
    tables --json | jq -e '.sinks[0] | .tables_parked == 2 and .tables_streaming == 1 and
        ([.tables[] | select(.state == "parked") | .parked.reason != "" and .parked.lsn != null] | length == 2 and all)'
    wait_until 30 is_degraded "$1" 2
    # of two workers each tells it for itself
    wait_until 30 first_worker_has_parked "$1" 2
    grep '"level":"warning".*public.a is parked since ' "$conf.log"
}

first_worker_has_parked() { # HTTP TABLES
    curl -sf "http://$1/metrics" | grep "replicator_copy_tables{.*sink=\"olap\",shard=\"0\",state=\"parked\"} $2"
}

is_degraded() { # HTTP TABLES
    [ "$(curl -sf "http://$1/healthz" | head -n 1 | grep -c "^degraded: sink olap: tables that are parked after an error: $2")" = 1 ]
}

parked_since() {
    in_ch "SELECT since FROM walpipe_parked FINAL WHERE name = '$1'"
}

parked_again() { # TABLE BEFORE
    [ -e "$conf.exit" ] || [ "$(in_ch "SELECT state = 'parked' AND since > $2 FROM walpipe_parked FINAL WHERE name = '$1'")" = 1 ]
}

@test "a value that does not fit and a missing table park their tables, and each comes back" {
    park_and_return 1
}

@test "the same with two workers into a ClickHouse of today" {
    of_today
    park_and_return 2
}

@test "more tables than the limit in a minute stop the sink, and the connection parks nothing" {
    lines='park_limit = 1' begin 1 a b good
    ch_kill ch
    pg_sql src "INSERT INTO good VALUES (0, 0, '')" "$db"
    wait_until 30 grep -q 'target of .* is down' "$conf.log"
    ch_start ch
    caught_up "$conf" src "$db"
    equal good
    parked ''
    break_it a
    pass_over a
    break_it b
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq 100 ]
    grep '"level":"error"' "$conf.log" | tail -n 1 | grep 'park_limit = 1 tables were parked within a minute'
    parked a
    mend b
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    equal b good
    parked a
    # Without copies nothing would pass over its changes.
    pipeline_stop "$conf"
    sed -i 's/^copy = yes/copy = no/; s/^on_error = park/on_error = stop/' "$conf"
    pipeline_start "$conf" || true
    wait_until 60 test -s "$conf.exit"
    grep 'public.a is parked, and this stream brings no copies' "$conf.log"
}

@test "a table that is copied, one whose target has rows, and one whose view fails are parked" {
    make a b good
    in_ch "CREATE TABLE a (k Int32, n Int8, v String, _version UInt64, _is_deleted UInt8)
        ENGINE = ReplacingMergeTree(_version) ORDER BY k"
    in_ch "CREATE TABLE b (k Int32, n Int32, v String, _version UInt64, _is_deleted UInt8)
        ENGINE = ReplacingMergeTree(_version) ORDER BY k"
    in_ch "INSERT INTO b VALUES (-5, 0, '', 0, 0)"
    pg_sql src "UPDATE a SET n = 1000 WHERE k = 500" "$db"
    write_conf
    pipeline_start "$conf"
    pass_over a,b
    grep 'public.b is parked: .* is to be copied from .* and has rows already' "$conf.log"
    wait_until 60 is_streaming good
    in_ch "CREATE TABLE sums (s Int8) ENGINE = MergeTree ORDER BY s"
    in_ch "CREATE MATERIALIZED VIEW adds TO sums AS SELECT toInt8(n) AS s FROM good"
    in_ch "DROP TABLE sums"
    pg_sql src "UPDATE a SET n = 3; UPDATE b SET n = 4; UPDATE good SET n = 5" "$db"
    pass_over a,b,good
    in_ch "DROP TABLE adds"
    mend a
    for table in a b good; do
        run -0 resume --table "public.$table" --wait
    done
    caught_up "$conf" src "$db"
    for table in a b; do
        diff <(pg_sql src "SELECT k, n, md5(v) FROM $table ORDER BY k" "$db" | tr '|' '\t') \
            <(in_ch "SELECT k, n, lower(hex(MD5(v))) FROM $table FINAL WHERE _is_deleted = 0 ORDER BY k")
    done
    equal good
    parked ''
}

is_streaming() {
    [ -e "$conf.exit" ] || [ "$(in_ch "SELECT countIf(state = 'streaming') FROM walpipe_tables FINAL WHERE name = '$1'")" = 1 ]
}

@test "a table without a key is parked, and comes back by the way that resume prints" {
    begin 1 a good
    pg_sql src "CREATE TABLE heap (v text, n int NOT NULL); INSERT INTO heap SELECT i, i % 100 FROM generate_series(1, 100) AS i" "$db"
    wait_until 60 all_streaming 3
    pipeline_stop "$conf"
    modify heap Int8
    pipeline_start "$conf"
    pg_sql src "INSERT INTO heap VALUES ('x', 1), ('no', 1000), ('yes', 2); INSERT INTO good VALUES (0, 0, '')" "$db"
    pass_over heap
    equal good
    run -100 resume --table public.heap
    [[ $output == *"in ClickHouse TRUNCATE it, then ALTER TABLE walpipe_tables DELETE WHERE ..."* ]]
    pipeline_stop "$conf"
    in_ch "TRUNCATE TABLE heap"
    mutate walpipe_tables "DELETE WHERE name = 'heap'"
    modify heap Int32
    pg_sql src "INSERT INTO heap VALUES ('later', 3)" "$db"
    pipeline_start "$conf"
    wait_until 60 all_streaming 3
    pg_sql src "INSERT INTO heap VALUES ('last', 4)" "$db"
    caught_up "$conf" src "$db"
    diff <(pg_sql src "SELECT v, n FROM heap ORDER BY v, n" "$db" | tr '|' '\t' | sort) <(in_ch "SELECT v, n FROM heap" | sort)
    equal good
    parked ''
}

@test "an error behind the pieces of a large transaction, keys that move, and a TRUNCATE of several tables" {
    lines='batch_rows = 50' begin 2 a good
    pipeline_stop "$conf"
    modify a Int8
    pipeline_start "$conf"
    pg_sql src "BEGIN; INSERT INTO good SELECT i, i, 'x' FROM generate_series(2001, 4000) AS i;
        UPDATE a SET k = k + 10000 WHERE k % 100 = 0; UPDATE good SET k = k + 10000 WHERE k % 100 = 1;
        INSERT INTO a VALUES (-1, 1000, ''); INSERT INTO good VALUES (-1, 0, ''); COMMIT" "$db"
    pass_over a
    equal good
    [ "$(in_ch "SELECT count() FROM a_current WHERE k = -1")" = 0 ]
    pg_sql src "TRUNCATE good, a; INSERT INTO good VALUES (1, 1, ''); INSERT INTO a VALUES (1, 1000, '')" "$db"
    caught_up "$conf" src "$db"
    equal good
    [ "$(in_ch "SELECT count() >= 1000 FROM a_current")" = 1 ]
    mend a
    run -0 "$WALPIPE_BIN/walpipe" resync -c "$conf" --table public.a --wait # the same as resume
    caught_up "$conf" src "$db"
    equal a good
    parked ''
}

@test "a parked table that a person has emptied is copied as a new one, and one that is mapped elsewhere holds up nothing" {
    begin 2 a b good
    break_it a
    pass_over a
    break_it b
    pass_over a,b
    pipeline_stop "$conf"
    # What several hints say.
    in_ch "TRUNCATE TABLE a"
    mutate walpipe_tables "UPDATE state = 'waiting', done = '', rows = 0 WHERE name = 'a'"
    mend a
    write_conf $'shards = 2\nmap = public.b -> elsewhere'
    pg_sql src "UPDATE a SET n = 2000 WHERE k < 100; UPDATE b SET n = 2000 WHERE k < 100; UPDATE good SET n = 1" "$db"
    pipeline_start "$conf"
    wait_until 60 all_are_streaming a 2
    pass_over b
    equal a good
    run -0 resume --table public.b --wait
    caught_up "$conf" src "$db"
    diff <(pg_sql src "SELECT k, n, md5(v) FROM b ORDER BY k" "$db" | tr '|' '\t') \
        <(in_ch "SELECT k, n, lower(hex(MD5(v))) FROM elsewhere_current ORDER BY k")
    equal a good
    parked ''
}

all_are_streaming() { # TABLE WORKERS
    [ -e "$conf.exit" ] || [ "$(in_ch "SELECT countIf(state = 'streaming') FROM walpipe_tables FINAL WHERE name = '$1'")" = "$2" ]
}
