#!/usr/bin/env bats
# The crash test of the whole, short; `make torture MINUTES=60` is the long one.

@test "a minute of random kills, stops, crashes and cuts: every table equal (trap 175)" {
    run /usr/bin/python3 "$BATS_TEST_DIRNAME/torture.py" --minutes 1 --seed 175
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"rounds, "*" faults, "* ]]
}
