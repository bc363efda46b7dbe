#!/usr/bin/env bats
# sink-ch alone with a new ClickHouse whose user has only some rights.

WALPIPE_CH=modern
load sink-ch
load sink-ch-layouts

# restricted GRANT...: the engine again, with a user who has these rights and no others.
restricted() {
    local grant
    {
        echo '<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users><default><password/>'
        echo '<networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota><grants>'
        for grant; do echo "<query>$grant</query>"; done
        echo '</grants></default></users></clickhouse>'
    } >"$SCRATCH/ch/users.xml"
    echo '<clickhouse><users_config>users.xml</users_config><user_directories><users_xml><path>users.xml</path></users_xml></user_directories></clickhouse>' \
        >"$SCRATCH/ch/config.xml"
    ch_stop ch
    chdb_start ch
}

unrestricted() {
    rm -f "$SCRATCH/ch/config.xml" "$SCRATCH/ch/users.xml"
    ch_stop ch
    chdb_start ch
}

# The GRANT lines of sink-ch(1), one a line, for this test's database.
manual() {
    sed -n '/^GRANT SELECT, INSERT/,/^\.Ed/p' "$WALPIPE_ROOT/src/sink-ch/sink-ch.1" | grep -v '^--\|^\.' |
        tr -s '\n ' ' ' | tr ';' '\n' | sed "s/^ *//; s/ TO walpipe//; s/db\./$DB./" | grep GRANT
}

# All that a sink does. A column comes, so the view is made anew.
everything() {
    events >"$DIR/in" <<'EOF'
cols = [col("id", True, INT4), col("v")]
known = [attribute(1, "id", INT4), attribute(2, "v"), attribute(3, "n", INT4, missing="4")]
e.table(1, "public", "t", cols); e.add(tableinfo(1, "public", "t", known[:2], primary=[1]))
e.begin(); e.insert(1, ["1", "a"]); e.insert(1, ["2", "b"]); e.commit()
e.table(1, "public", "t", cols + [col("n", False, INT4)]); e.add(tableinfo(1, "public", "t", known, primary=[1]))
e.begin(); e.update(1, ["1", UNCHANGED, "5"]); e.truncate([1]); e.insert(1, ["3", "c", "6"]); e.commit(); e.end()
EOF
}

@test "the bug was that a GRANT line of sink-ch(1) was no SQL: they are enough for all that it does" {
    everything
    readarray -t grants < <(manual)
    printf '%s\n' "${grants[@]}"
    [ "${#grants[@]}" -ge 6 ]
    for grant in "${grants[@]}"; do # each is SQL, in the form in which a person runs it
        run ch_sql ch "${grant/%/ TO nobody}"
        [[ $output = *"no role \`nobody\`"* ]]
    done
    restricted "${grants[@]}"
    events >"$DIR/tables" <<'EOF'
e.table(1, "public", "t", [col("id", True, INT4), col("v")]); e.end()
EOF
    sink --check --create-tables <"$DIR/tables" >"$DIR/out"
    [ "$(grep -c '^FAIL\|^WARN\|^warn' "$DIR/out")" = 0 ]
    sink --create-tables <"$DIR/in"
    is "SELECT id, v, n FROM t_current" "3 c 6"
    [ "$(grep -c '"level":"warning"' "$DIR/log")" = 0 ]
    # the bug was that what a skip leaves could not be dropped
    sink --skip 0/9000 --sink olap <"$DIR/tables"
    is "SELECT count() FROM walpipe_skips" 1
    sink --drop-progress --sink olap </dev/null
    is "SELECT count() FROM walpipe_skips" 0
    unrestricted
}

@test "the bug was that a user without the rights for create_tables passed --check" {
    events >"$DIR/tables" <<'EOF'
e.table(1, "public", "t", [col("id", True, INT4), col("v")])
e.table(2, "public", "there", [col("id", True, INT4), col("v")]); e.end()
EOF
    table there 'id Int32, v String' id
    restricted "GRANT SELECT, INSERT ON $DB.*" "GRANT SELECT ON system.*"
    exits 100 sink --check --create-tables <"$DIR/tables" >"$DIR/out"
    cat "$DIR/out"
    for right in "CREATE TABLE on \`$DB\`.\`t\`" "ALTER ADD COLUMN on \`$DB\`.\`t\`" "CREATE VIEW on \`$DB\`.\`t_current\`" \
        "DROP VIEW on \`$DB\`.\`there_current\`" "ALTER ADD COLUMN on \`$DB\`.\`there\`"; do
        grep '^FAIL' "$DIR/out" | grep -F "has no right to $right"
    done
    [ "$(grep -c "CREATE TABLE on .*there" "$DIR/out")" = 0 ]
    grep -F "has no right to ALTER COMMENT COLUMN on \`$DB\`.\`there\`, so a truncate may be done again" "$DIR/out"
    # without create_tables only the table's own rights matter
    events >"$DIR/tables" <<'EOF'
e.table(2, "public", "there", [col("id", True, INT4), col("v")]); e.end()
EOF
    sink --check <"$DIR/tables"
    unrestricted
}

@test "without the right to add the layout to an old walpipe_progress, it proves no more than the slot" {
    old_table
    note 0 2 20000
    note 1 2 10000
    note 0 1 3000
    restricted "GRANT SELECT, INSERT, CREATE TABLE ON $DB.*" "GRANT SELECT ON system.*"
    worker 0 1 key
    registered $((0x1000))
    [ "$(grep -c '"level":"warning"' "$DIR/log")" = 0 ]
    killed 0 2 key 30000
    log_has "ALTER TABLE walpipe_progress ADD COLUMN layout UInt64"
    killed 1 2 key 25000
    all_have 0/61A8
    worker 0 2 table
    registered $((0x1000))
    unrestricted
    # the hint is right
    q "ALTER TABLE walpipe_progress ADD COLUMN layout UInt64"
    worker 0 2 table
    registered $((0x1000))
    killed 0 2 table 30000
    worker 0 2 table
    registered 30000
}
