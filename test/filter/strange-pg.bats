#!/usr/bin/env bats
# A server, like a pooler or a proxy, that speaks PostgreSQL's protocol and gives unexpected answers.
# Every program reports this and ends with 111.

bats_require_minimum_version 1.5.0

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
}

teardown() {
    servers_end
}

# strange COLUMNS ROWS VALUE: a server that answers this to everything
strange() {
    local dir=$SCRATCH/$1.$2.$3
    mkdir "$dir"
    "$WALPIPE_ROOT/test/filter/strange_pg.py" "$dir" 5432 "$@" 3>&- &
    kill_later $!
    conninfo="host=$dir port=5432 user=u dbname=d"
    wait_until 10 test -S "$dir/.s.PGSQL.5432"
}

target_refused() { # MESSAGE
    run -111 "$WALPIPE_BIN/sink-pg" --conninfo "$conninfo" --pipeline p --sink s --drop-progress
    echo "$output"
    [[ $output == *"could not ask for the target's encoding and privileges: the server's answer has $1"* ]]
}

source_refused() { # MESSAGE
    run -100 "$WALPIPE_BIN/pg-wal-read" --conninfo "$conninfo" --slot s --publication p --check
    echo "$output"
    [[ $output == "FAIL  could not identify the source: the server's answer has $1"* ]]
}

catalog_refused() { # MESSAGE
    cat >"$SCRATCH/conf" <<CONF
[pipeline]
name = p
state_dir = $SCRATCH/state
copy = no
[source]
conninfo = $conninfo
slot = s
publication = p
[sink pg]
type = pg
conninfo = $conninfo
CONF
    run -100 "$WALPIPE_BIN/walpipe" check -c "$SCRATCH/conf"
    echo "$output"
    [[ $output == *"could not read the source's identity: the server's answer has $1"* ]]
}

@test "the bug was that an answer without its row was read through NULL" {
    strange 2 0 t
    target_refused "0 rows instead of 1"
    strange 4 0 t
    source_refused "0 rows instead of 1"
    strange 6 0 t
    catalog_refused "0 rows instead of 1"
}

@test "an answer without columns, or with others" {
    strange 0 1 t
    target_refused "0 columns instead of 2"
    source_refused "0 columns instead of 4"
    catalog_refused "0 columns instead of 6"
}

@test "NULL where a value must be" {
    strange 2 1 NULL
    target_refused "NULL in column 1 of row 1"
    strange 4 1 NULL
    source_refused "NULL in column 1 of row 1"
}

@test "more rows than there can be" {
    strange 4 3 7
    source_refused "3 rows instead of 1"
}
