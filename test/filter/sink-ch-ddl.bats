#!/usr/bin/env bats
# sink-ch alone: DDL of the source while ClickHouse has rows already. sink-ch-modern.bats has the same
# on a ClickHouse of today.

load sink-ch-ddl

@test "the bug was that ADD COLUMN with a DEFAULT left NULL in older rows" {
    columns_with_defaults
}

@test "a column whose older values nobody knows gets NULL there, and a warning" {
    columns_without_a_value
}

@test "a default that does not fit its column stops the sink, and on_overflow leads on" {
    a_value_that_does_not_fit null
}

@test "a default that does not fit its column stops the sink, and a column made by hand leads on" {
    a_value_that_does_not_fit hand
}

@test "the bug was that renamed, dropped and exchanged columns and tables left older rows wrong silently" {
    ddl_that_is_not_followed
}
