#!/usr/bin/env bats
# Random histories, shortly: one that is always the same and one that never is. `make history` has
# more time. test/history/history.py --seed N repeats it.

bats_require_minimum_version 1.5.0

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/chdb.bash"
}

teardown() {
    servers_end
}

history() {
    "$BATS_TEST_DIRNAME/../history/history.py" --seconds 1 --transactions 60 "$@" 3>&-
}

@test "a fixed random history ends equal on all targets (traps 48-58, 79-88, 111-118)" {
    targets=pg1,pg4,ch1,ch3
    ! chdb_available || targets+=,ch26
    history --seed 42 --targets "$targets"
}

@test "a new random history ends equal" {
    seed=$RANDOM
    echo "# seed $seed" >&3
    history --ddl --seed "$seed"
}
