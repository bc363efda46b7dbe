#!/usr/bin/env bats
# What the notes of an attach must carry: tables without a key, other names, and another walpipe that has
# brought the sink back.

bats_require_minimum_version 1.5.0

load detach

teardown() {
    for conf in "$conf" ${other:+"$other"}; do
        pauses_teardown
    done
}

detach() { # SINK ...
    local sink
    for sink; do
        pause_sink "$sink"
    done
    wal_grows 6
    wait_until 60 are_detached "$@"
}

keyless_only() { # SINK ...
    local sink
    pg_sql src "CREATE TABLE keyless (v text); INSERT INTO keyless SELECT g FROM generate_series(1, 100) g" "$db"
    for sink; do
        sed -i "/^\[sink $sink\]/a tables = public.keyless" "$conf"
    done
}

without_copy() { # SINK
    sed -i "/^\[sink $1\]/a copy = no" "$conf"
}

with_copy() {
    sed -i '/^copy = no/d' "$conf"
}

ends() { # EXIT PATTERN
    pipeline_start "$conf" || true
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq "$1" ] && logged "$2"
}

@test "after a resume a sink whose tables have no key never goes on without the copy" {
    local sink
    keyless_only three olap
    pipeline_start "$conf"
    wait_until 60 all_streaming
    detach three olap
    pg_sql src "INSERT INTO keyless VALUES ('unheard')" "$db"
    moves_on dst
    pipeline_stop "$conf"
    pg_sql dst "TRUNCATE keyless" "${db}_three"
    ch_sql ch "TRUNCATE TABLE keyless" "$db"
    for sink in three olap; do
        resume_sink "$sink"
        without_copy "$sink"
        run walpipe check
        [[ $output == *"sink $sink: all its tables are to be copied after walpipe resume"* ]]
        ends 100 "all tables are to be copied after walpipe resume of the detached sink, and the sink does not copy"
        with_copy
    done
    pipeline_start "$conf"
    wait_until 60 all_streaming
    caught_up "$conf" src "$db"
    equal three keyless && equal olap keyless
    # the tables have notes of their own by now
    pipeline_stop "$conf"
    without_copy three
    without_copy olap
    pipeline_start "$conf"
    pg_sql src "INSERT INTO keyless VALUES ('later')" "$db"
    caught_up "$conf" src "$db"
    equal three keyless && equal olap keyless
    pipeline_stop "$conf"
}

@test "the same where the config in force does not copy, and the file does: detached again" {
    keyless_only three
    pipeline_start "$conf"
    wait_until 60 all_streaming
    detach three
    pg_sql src "INSERT INTO keyless VALUES ('unheard')" "$db"
    pipeline_stop "$conf"
    without_copy three
    pipeline_start "$conf"
    with_copy
    pg_sql dst "TRUNCATE keyless" "${db}_three"
    refused 100 "the pipeline cannot run with sink three: " resume --sink three
    moves_on dst
    are_detached three
    run -0 walpipe reload
    resume_sink three
    wait_until 60 all_streaming
    caught_up "$conf" src "$db"
    equal three keyless
    pipeline_stop "$conf"
}

@test "tables that are renamed, or exchange their names, while their sinks are detached" {
    local table
    sed -i '/^\[sink dst\]/a tables = public.t' "$conf"
    for table in a b c; do
        pg_sql src "CREATE TABLE $table (id int PRIMARY KEY, v text);
            INSERT INTO $table SELECT g, '$table' FROM generate_series(1, 1000) g" "$db"
    done
    pipeline_start "$conf"
    wait_until 60 all_streaming
    detach three olap
    pg_sql src "BEGIN; ALTER TABLE a RENAME TO x; ALTER TABLE b RENAME TO a; ALTER TABLE x RENAME TO b; COMMIT;
        ALTER TABLE c RENAME TO d; DELETE FROM a WHERE id < 200; DELETE FROM d WHERE id < 300" "$db"
    moves_on dst
    # a primary key keeps its name when its table gets another
    pg_sql dst "CREATE TABLE d (id int PRIMARY KEY, v text)" "${db}_three"
    resume_sink three
    resume_sink olap
    wait_until 60 all_streaming
    pg_sql src "UPDATE a SET v = 'later' WHERE id > 900; UPDATE b SET v = 'later' WHERE id > 800; INSERT INTO d VALUES (1, 'later')" "$db"
    caught_up "$conf" src "$db"
    for table in a b d; do
        equal three "$table" && equal olap "$table"
    done
    pipeline_stop "$conf"
}

@test "a table from which others inherit must be empty, and is a new one then" {
    local target=${db}_three
    sed -i '/^\[sink dst\]/a tables = public.t' "$conf"
    pg_sql src "CREATE TABLE p (id int PRIMARY KEY, v text); CREATE TABLE c (PRIMARY KEY (id)) INHERITS (p);
        INSERT INTO p SELECT g, 'p' FROM generate_series(1, 1000) g; INSERT INTO c SELECT g, 'c' FROM generate_series(1, 1000) g" "$db"
    pg_sql dst "CREATE TABLE p (id int PRIMARY KEY, v text); CREATE TABLE c (PRIMARY KEY (id)) INHERITS (p)" "$target"
    pipeline_start "$conf"
    wait_until 60 all_streaming
    detach three
    pg_sql src "DELETE FROM ONLY p WHERE id < 100; UPDATE c SET v = 'unheard' WHERE id < 200" "$db"
    moves_on dst
    refused 100 "other tables inherit from it" resume --sink three
    [[ $output == *"or empty it in the target, and run walpipe resume again"* ]]
    pg_sql dst "TRUNCATE ONLY p" "$target"
    resume_sink three
    wait_until 60 all_streaming
    caught_up "$conf" src "$db"
    equal three c && equal three p
    [ "$(pg_sql dst "SELECT count(*) FROM ONLY p" "$target")" -eq 901 ]
    pipeline_stop "$conf"
}

waits() {
    walpipe status --json | jq -e .source.standby
}

@test "a walpipe that only waits for the slot does not bring back a sink that another one has" {
    local first=$conf
    other=$dir/other.conf
    pipeline_start "$conf"
    wait_until 60 all_streaming
    detach three
    pg_sql src "UPDATE t SET v = 'unheard' WHERE id < 1000" "$db"
    moves_on dst
    pipeline_kill "$conf"
    sed "s|^state_dir = .*|state_dir = $dir/other|; s/^http = .*/http = 127.0.0.1:$(port_new)/" "$conf" >"$other"
    conf=$other
    pipeline_start "$conf"
    wait_until 60 are_detached three
    resume_sink three
    wait_until 60 all_streaming
    conf=$first
    rm -f "$conf.exit"
    # shellcheck disable=SC2016 # the inner shell expands them
    setsid bash -c 'echo $$ >"$1.pid"; "$2/walpipe" run -c "$1"; echo $? >"$1.exit"' \
        pipeline "$conf" "$WALPIPE_BIN" </dev/null >>"$conf.log" 2>&1 3>&- &
    disown
    wait_until 60 waits
    refused 100 "the slot is in use: another walpipe runs this pipeline" resume --sink three
    conf=$other
    streaming three
    caught_up "$conf" src "$db"
    all_equal
    pipeline_stop "$conf"
    conf=$first
    pipeline_kill "$conf"
}
