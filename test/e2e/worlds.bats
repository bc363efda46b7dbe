#!/usr/bin/env bats
# Random set-ups, shortly; `make worlds` has more time. test/worlds/worlds.py --world SEED.N repeats
# one of them, with everything that it does.

bats_require_minimum_version 1.5.0

worlds() {
    "$BATS_TEST_DIRNAME/../worlds/worlds.py" --out "$BATS_TEST_TMPDIR/worlds" "$@" 3>&-
}

@test "the small worlds that ended wrong once: equal, or refused where nothing else is right" {
    worlds --fixed --installed
}

@test "random worlds: every one ends equal, or refused before anything wrong is confirmed" {
    worlds --seed 7 --seconds 25 --installed
}
