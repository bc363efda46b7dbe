#!/usr/bin/env bats
# sink-ch alone: its workers stop apart, and the rule that assigns rows to them changes.

load sink-ch
load sink-ch-layouts

@test "the bug was that a worker took its position under another shard_key for its own, and rows were lost" {
    check_shard_key
}

@test "a walpipe_progress of before layouts were noted gets the column, and proves no more than the slot" {
    check_old_table
}
