#!/usr/bin/env bats
# walpipe schema for ClickHouse targets: the statements of create_tables, printed or run.

bats_require_minimum_version 1.5.0

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/chdb.bash"
    pg_new src
    ch_new olap
    if chdb_available; then
        chdb_new modern
    fi
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/chdb.bash"
    db=s$BATS_TEST_NUMBER
    dir=$SCRATCH/$db
    conf=$dir/walpipe.conf
    mkdir "$dir"
    pg_sql src "CREATE DATABASE $db"
    pg_sql src "CREATE TABLE t (id bigint PRIMARY KEY, v text, d timestamptz);
        CREATE TABLE \"Odd one\" (\"A\" int PRIMARY KEY, \"b\`c\" numeric(10, 2));
        CREATE TABLE log (at timestamp, v text); CREATE PUBLICATION p FOR ALL TABLES" "$db"
}

# write_conf URL
write_conf() {
    cat >"$conf" <<CONF
[pipeline]
name = $db
state_dir = $dir/state
copy = no
[source]
conninfo = $(pg_conninfo src "$db")
slot = $db
publication = p
[sink olap]
type = ch
url = $1
database = $db
map = public."Odd one" -> odd
CONF
}

walpipe() {
    "$WALPIPE_BIN/walpipe" "$@" -c "$conf"
}

# makes_and_prints SERVER: --apply makes what is missing, and what is printed makes the same.
makes_and_prints() {
    local printed made object
    run -0 walpipe schema --apply
    [[ $output == *"sink olap: table public.t -> \`$db\`.\`t\`: made"* ]]
    [[ $output == *"table public.Odd one -> \`$db\`.\`odd\`: made"* ]]
    walpipe check
    made=$(for object in t odd log t_current; do "$1" "SHOW CREATE TABLE $db.$object"; done)
    run -0 walpipe schema --apply
    [[ $output != *": made"* && $output == *": exists already"* ]]
    run -0 walpipe schema
    [[ $output != *CREATE* ]]
    for object in t_current odd_current t odd log; do
        "$1" "DROP TABLE $db.$object"
    done
    walpipe schema >"$dir/printed.sql" 2>"$dir/said"
    [ ! -s "$dir/said" ]
    # one statement at a time, as clickhouse-client --multiquery sends them
    while IFS= read -r -d ';' printed; do
        [ -z "${printed//[[:space:]]/}" ] || "$1" "$printed"
    done < <(grep -v '^--' "$dir/printed.sql")
    diff <(echo "$made") <(for object in t odd log t_current; do "$1" "SHOW CREATE TABLE $db.$object"; done)
    walpipe check
    # a column that the source gets later
    pg_sql src "ALTER TABLE t ADD late int" "$db"
    run -0 walpipe schema
    [[ $output == *"-- ok    table public.t -> "*"lacks columns, which --apply adds"* ]]
    run -0 walpipe schema --apply
    [[ $output == *"table public.t -> \`$db\`.\`t\`: added columns"* ]]
}

old() { ch_sql olap "$1"; }
modern() { ch_sql modern "$1"; }

@test "ClickHouse 18.16: makes the tables, and prints the same" {
    ch_sql olap "CREATE DATABASE $db"
    write_conf "$(ch_url olap)"
    makes_and_prints old
}

@test "ClickHouse 26: makes the tables, and prints the same" {
    chdb_or_skip
    ch_sql modern "CREATE DATABASE $db"
    write_conf "$(ch_url modern)"
    makes_and_prints modern
}

@test "a table that cannot be made is named, and the others are made" {
    pg_sql src "CREATE TABLE w (id int, _version int, PRIMARY KEY (id))" "$db"
    ch_sql olap "CREATE DATABASE $db"
    write_conf "$(ch_url olap)"
    run -100 walpipe schema --apply
    [[ $output == *"FAIL  sink olap: table public.w: "*"_version"* || $output == *"version_column"* ]]
    [ "$(ch_sql olap "EXISTS TABLE $db.t")" = 1 ]
}
