#!/usr/bin/env bats
# detach_after: a sink that is paused or fails is given up before it costs the slot of all, and comes back by
# a copy of all its tables.

bats_require_minimum_version 1.5.0

load detach

@test "paused sinks that hold too much are detached under load, the slot goes on, and a resume copies all again" {
    local at sink
    pipeline_start "$conf"
    wait_until 60 all_streaming
    load_begin
    pause_sink three
    pause_sink olap
    at=$(confirmed)
    wal_grows 6
    wait_until 60 are_detached three olap
    moves_on dst
    wait_until 30 has_moved "$at"
    logged "sink three is detached: it is paused, and is [0-9]* bytes of WAL behind"
    # what the detached ones lack from here on
    pg_sql src "DELETE FROM t WHERE id < 500; UPDATE t SET v = 'unheard' WHERE id < 1000" "$db"
    for sink in three olap; do
        shows_detached "$sink"
    done
    # neither a new life of the programs nor one of walpipe brings them back
    pipeline_kill "$conf"
    pipeline_start "$conf"
    moves_on dst
    are_detached three olap
    run walpipe resume
    [ "$status" -eq 0 ] && [[ $output == *"no sink is paused"*"sink three is detached, and only walpipe resume -c $conf --sink three brings it back"* ]]
    resume_sink three
    [[ $output == *"sink three, detached since 20"*"Z, runs again, and copies all its tables again"* ]]
    resume_sink olap
    wait_until 60 all_streaming
    load_end
    caught_up "$conf" src "$db"
    all_equal
    [ ! -e "$dir/state/detached.three" ] && [ ! -e "$dir/state/paused.three" ]
    pipeline_stop "$conf"
}

@test "a sink whose target is down is detached, also at a start, and a table comes and goes meanwhile" {
    pg_sql src "CREATE TABLE gone (id int PRIMARY KEY); INSERT INTO gone VALUES (1), (2)" "$db"
    pipeline_start "$conf"
    wait_until 60 all_streaming
    ch_stop ch
    pg_sql src "UPDATE t SET v = 'unheard' WHERE id < 1000" "$db"
    wait_until 60 eval "walpipe status --json | jq -e 'any(.workers[]; .state == \"target down\")'"
    wal_grows 6
    pipeline_kill "$conf"
    pipeline_start "$conf"
    wait_until 90 are_detached olap
    logged "sink olap is detached: its target does not answer, and is [0-9]* bytes of WAL behind"
    moves_on three
    [[ $(walpipe tables) == *"sink olap is detached since 20"*"sink olap: not known"* ]]
    pg_sql dst "CREATE TABLE late (id int PRIMARY KEY, v text)" "$db"
    pg_sql dst "CREATE TABLE late (id int PRIMARY KEY, v text)" "${db}_three"
    pg_sql src "DROP TABLE gone; CREATE TABLE late (id int PRIMARY KEY, v text); INSERT INTO late VALUES (1, 'late')" "$db"
    moves_on dst
    # the target does not answer yet
    run walpipe resume --sink olap
    echo "$output"
    [ "$status" -eq 111 ] && [ -e "$dir/state/detached.olap" ]
    are_detached olap
    ch_start ch
    resume_sink olap
    # the dropped table keeps its old rows, as in the other sinks
    wait_until 60 all_copied
    [[ $(walpipe tables) == *"public.gone  out-streaming"*"public.gone  out-streaming"*"public.gone  out-streaming"* ]]
    caught_up "$conf" src "$db"
    all_equal t late
    pipeline_stop "$conf"
}

@test "each refusal changes nothing, and its way out works" {
    cat >>"$conf" <<<$'[sink audit]\ntype = exec\ncopy = no\ncommand = exec cat\ndetach_after = 1GB'
    refused 100 "detach_after is not for sinks with type = exec" check
    sed -i '/^\[sink audit\]/,$d' "$conf"
    sed 's/^detach_after = .*/detach_after = 1 GB/' "$conf" >"$dir/odd.conf"
    run "$WALPIPE_BIN/walpipe" check -c "$dir/odd.conf"
    [ "$status" -eq 100 ] && [[ $output == *"a size such as 100GB"* ]]
    pg_sql src "CREATE TABLE keyless (v text); INSERT INTO keyless VALUES ('old')" "$db"
    pipeline_start "$conf"
    wait_until 60 all_streaming
    pause_sink three
    wal_grows 6
    wait_until 60 are_detached three
    pg_sql src "INSERT INTO keyless VALUES ('unheard'); DELETE FROM t WHERE id = 1" "$db"
    moves_on dst
    refused 100 "sink \\\"three\\\" is detached since 20" pause --sink three
    refused 100 "sink \\\"three\\\" is detached since 20" resync --sink three --table public.t
    # a table without a key
    refused 100 "keyless cannot be copied again: it has no key that identifies its rows, and is not empty" resume --sink three
    are_detached three
    pg_sql dst "TRUNCATE keyless" "${db}_three"
    # a sink that does not copy
    sed -i '/^\[sink three\]/a copy = no' "$conf"
    refused 100 "sink \\\"three\\\" does not copy" resume --sink three
    sed -i '/^copy = no/d' "$conf"
    # a file that nobody has written so
    pipeline_stop "$conf"
    sed -i 's/^lsn=.*/lsn=x/' "$dir/state/detached.three"
    refused 100 "does not have the form of a detached sink" run
    resume_sink three
    [[ $output == *"runs again from the next start on"* ]]
    pipeline_start "$conf"
    wait_until 60 all_streaming
    caught_up "$conf" src "$db"
    all_equal t keyless
    pipeline_stop "$conf"
}

@test "the last sink that runs is never detached" {
    detachable dst
    pipeline_start "$conf"
    wait_until 60 all_streaming
    pause_sink three
    pause_sink olap
    wal_grows 6
    wait_until 60 are_detached three olap
    moves_on dst
    refused 100 "is the only one that is not paused" pause --sink dst
    run "$WALPIPE_BIN/ackd" --socket "$dir/s" --state "$dir/x" --sink a=1 --sink b=1 --detached a --detached b
    [ "$status" -eq 100 ] && [[ $output == *"every --sink is --detached"* ]]
    pipeline_stop "$conf"
    # drop would forget that they lack changes
    refused 100 "sink three is detached, so its target lacks changes" drop --yes
    grep -v detach_after "$conf" | awk '/^\[/ { out = $2 ~ /^(three|olap)\]/ } !out' >"$dir/less.conf"
    "$WALPIPE_BIN/walpipe" drop --yes -c "$dir/less.conf"
    run ! ls "$dir"/state/detached.*
}

@test "another walpipe finds the target behind the slot: with detach_after it is detached, else refused" {
    local other=$dir/other.conf
    pipeline_start "$conf"
    wait_until 60 all_streaming
    pause_sink three
    pause_sink olap
    wal_grows 6
    wait_until 60 are_detached three olap
    pg_sql src "UPDATE t SET v = 'unheard' WHERE id < 1000" "$db"
    moves_on dst
    sed "s|^state_dir = .*|state_dir = $dir/other|; s/^http = .*/http = 127.0.0.1:$(port_new)/" "$conf" >"$other"
    pipeline_kill "$conf"
    # a state directory of its own, and no word of it
    first=$conf conf=$other
    pipeline_start "$other"
    wait_until 60 are_detached three olap
    logged "the source has removed changes that its target lacks"
    moves_on dst
    pipeline_stop "$other"
    # without the key nothing is given up
    sed -i '/^detach_after/d' "$other"
    rm "$dir/other/detached.three"
    pipeline_start "$other" || true
    wait_until 60 test -s "$other.exit"
    [ "$(cat "$other.exit")" -eq 100 ]
    logged "the slot is ahead of what sink three/[0-2] found in its target"
    # the file alone keeps a sink out, and the first walpipe brings its own back
    conf=$first
    detachable_no_more
    pipeline_start "$conf"
    are_detached three olap
    resume_sink olap
    resume_sink three
    wait_until 60 all_streaming
    caught_up "$conf" src "$db"
    all_equal
    pipeline_stop "$conf"
}

@test "what changes meanwhile: shards, map, the publication, a table of the same name, unique values that move" {
    local target=${db}_three
    pg_sql src "DROP PUBLICATION p; CREATE TABLE u (id int PRIMARY KEY, v text UNIQUE); CREATE TABLE w (id int PRIMARY KEY, v text);
        INSERT INTO u SELECT g, g FROM generate_series(1, 100) g; INSERT INTO w VALUES (1, 'old'); CREATE PUBLICATION p FOR TABLE t, u, w" "$db"
    pg_sql dst "CREATE TABLE u (id int PRIMARY KEY, v text UNIQUE); CREATE TABLE w (id int PRIMARY KEY, v text)" "$target"
    sed -i '/^\[sink dst\]/a tables = public.t' "$conf"
    pipeline_start "$conf"
    wait_until 60 all_streaming
    pause_sink three
    pause_sink olap
    wal_grows 6
    wait_until 60 are_detached three olap
    # u leaves the publication and comes back, w is another table, and values of u go round
    pg_sql src "ALTER PUBLICATION p DROP TABLE u" "$db"
    pg_sql src "DELETE FROM u WHERE id % 10 = 0; UPDATE u SET v = -id; UPDATE u SET v = (id + 1) % 100 - 100 * (id / 99)" "$db"
    pg_sql src "ALTER PUBLICATION p ADD TABLE u; DROP TABLE w; CREATE TABLE w (id int PRIMARY KEY, v text);
        INSERT INTO w VALUES (2, 'new'); ALTER PUBLICATION p ADD TABLE w; UPDATE t SET v = 'unheard' WHERE id < 1000" "$db"
    moves_on dst
    pipeline_stop "$conf"
    # workers, and the place of one table
    sed -i 's/^shards = 3/shards = 2/; /^\[sink olap\]/,$ s/^shards = .*//' "$conf"
    sed -i '/^\[sink three\]/a map = public.w -> public.w2' "$conf"
    pg_sql dst "CREATE TABLE w2 (id int PRIMARY KEY, v text)" "$target"
    pipeline_start "$conf"
    resume_sink three
    resume_sink olap
    pg_sql src "UPDATE u SET v = 'x' || id WHERE id < 50; INSERT INTO w VALUES (3, 'newer')" "$db"
    wait_until 60 all_streaming
    caught_up "$conf" src "$db"
    all_equal t
    equal three u && equal olap u && equal olap w
    [ "$(pg_digest dst w2 "$target")" = "$(pg_digest src w "$db")" ]
    pipeline_stop "$conf"
}
