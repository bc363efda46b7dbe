#!/usr/bin/env bats
# Random set-ups, shortly; `make worlds` has more time. test/worlds/worlds.py --world SEED.N repeats
# one of them, with everything that it does.

bats_require_minimum_version 1.5.0

worlds() {
    "$BATS_TEST_DIRNAME/../worlds/worlds.py" --out "$BATS_TEST_TMPDIR/worlds" "$@" 3>&-
}

@test "plain tables, foreign keys and renamed tables: every world ends equal or refused" {
    worlds --seed 7 --seconds 25 --installed --kinds plain,foreign,renamed
}
