#!/usr/bin/env bats
# Values of one type into columns of another (type_pairs.py): equal, or refused. The bug was that
# binary values went into whatever was there, and that only scalars were looked at.

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    pg_new src
    pg_new dst
    mkdir "$SCRATCH/work"
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
}

server() {
    echo "host=$SCRATCH/$1 port=$(pg_port "$1") user=postgres"
}

@test "pairs of types, domains, arrays, composites: text and binary, with a key and under FULL" {
    /usr/bin/python3 "$BATS_TEST_DIRNAME/type_pairs.py" "$(server src)" "$(server dst)" \
        "$SCRATCH/work" >"$SCRATCH/out" || { grep -v '^refused' "$SCRATCH/out" && false; }
    tail -n 1 "$SCRATCH/out"
}
