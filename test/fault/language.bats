#!/usr/bin/env bats
# Servers that speak another language than English: what a failure is must not depend on words. And
# servers that say more than they are asked.

bats_require_minimum_version 1.5.0

# Debian's server has its translations with it. LANGUAGE counts only for a locale other than C, and
# C.UTF-8 is one that every machine has.
setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    local name
    export LANGUAGE=de
    for name in src dst; do
        pg_new $name lc_messages=C.UTF-8
        pg_sql $name "CREATE ROLE replicator LOGIN REPLICATION PASSWORD 'secret'"
        printf 'local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n' \
            >"$(pg_data $name)/pg_hba.conf"
        kill -HUP "$(pg_pid $name)"
    done
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    name=l$BATS_TEST_NUMBER
    dir=$SCRATCH/$name
    conf=$dir/conf
    mkdir "$dir"
    pg_sql src 'SELECT 1 / 0' 2>&1 | grep -q FEHLER || skip "the server has no translations"
}

teardown() {
    if [ -z "${BATS_TEST_COMPLETED:-}" ]; then
        tail -n 30 "$dir"/*log 2>/dev/null || true
    fi
    if [ -e "$conf.pid" ] && pid=$(pipeline_pid "$conf"); then
        end_process "$pid" KILL 5
    fi
}

# config [SOURCE-PASSWORD [TARGET-PASSWORD [DATABASE]]]
config() {
    local where="host=127.0.0.1 user=replicator dbname=${3:-$name}"
    cat >"$conf" <<CONF
[pipeline]
name = $name
state_dir = $dir/state
copy = no
[source]
conninfo = $where port=$(pg_port src) password=${1:-secret}
slot = $name
publication = p
[sink dst]
type = pg
conninfo = $where port=$(pg_port dst) password=${2:-secret}
flush_interval = 50ms
CONF
}

# databases SQL: the tables on both sides.
databases() {
    local server
    for server in src dst; do
        pg_sql $server "CREATE DATABASE $name OWNER replicator"
        pg_sql $server "SET ROLE replicator; $1" "$name"
    done
    pg_sql src "CREATE PUBLICATION p FOR ALL TABLES" "$name"
}

# refuses TEXT: walpipe run ends with 100, and says so.
refuses() {
    run -100 timeout 60 "$WALPIPE_BIN/walpipe" run -c "$conf"
    grep -qF "$1" <<<"$output" || { echo "no \"$1\" in: $output" && false; }
}

@test "the bug was that a wrong password was tried for ever unless the server spoke English" {
    databases 'CREATE TABLE t (id int PRIMARY KEY, v text)'
    config wrong
    refuses 28P01
    refuses fehlgeschlagen
    config secret wrong
    refuses 28P01
    config secret secret nosuch
    refuses 3D000
}

@test "a login that is refused at the first attempt: exit 100 and a hint" {
    databases 'CREATE TABLE t (id int PRIMARY KEY, v text)'
    config wrong
    refuses "correct the password"
    config secret secret nosuch
    refuses "correct dbname, or create the database"
    config
    pg_sql src "ALTER ROLE replicator NOREPLICATION"
    refuses "ALTER ROLE ... REPLICATION"
    pg_sql src "ALTER ROLE replicator REPLICATION"
    echo 'local all all trust' >"$(pg_data src)/pg_hba.conf"
    kill -HUP "$(pg_pid src)"
    wait_until 20 eval '! psql -X "host=127.0.0.1 port=$(pg_port src) user=replicator dbname=$name password=secret" -c "" 2>/dev/null'
    refuses "pg_hba.conf must let it into this database"
    echo 'host all all 127.0.0.1/32 scram-sha-256' >>"$(pg_data src)/pg_hba.conf"
    kill -HUP "$(pg_pid src)"
    wait_until 20 eval 'psql -X "host=127.0.0.1 port=$(pg_port src) user=replicator dbname=$name password=secret" -c "" 2>/dev/null'
}

@test "the bug was that a passfile that libpq does not use was not named" {
    databases 'CREATE TABLE t (id int PRIMARY KEY, v text)'
    config
    sed -i "s,password=secret,passfile=$dir/pgpass," "$conf"
    refuses "passfile \\\"$dir/pgpass\\\" cannot be read: No such file or directory"
    echo '*:*:*:*:secret' >"$dir/pgpass"
    chmod 644 "$dir/pgpass"
    refuses "is open to other users (mode 0644), and libpq ignores it: chmod 0600 it"
    run -100 "$WALPIPE_BIN/walpipe" check -c "$conf"
    grep -q '^FAIL.*is open to other users (mode 0644)' <<<"$output"
    echo 'elsewhere:*:*:*:secret' >"$dir/pgpass"
    chmod 600 "$dir/pgpass"
    refuses "or add a line for this host, port, database and user to passfile"
    # the hints help, also with a password that a line of the config cannot hold
    pg_sql src "ALTER ROLE replicator PASSWORD 'a ;b'"
    pg_sql dst "ALTER ROLE replicator PASSWORD 'a ;b'"
    sed -i "s,passfile=$dir/pgpass,password='a ;b'," "$conf"
    refuses 'begins a comment also between quotes: keep such a password in a passfile'
    sed -i "s,password='a ;b',passfile=$dir/pgpass," "$conf"
    echo '*:*:*:*:a ;b' >"$dir/pgpass"
    pipeline_start "$conf"
    pipeline_stop "$conf"
    pg_sql src "ALTER ROLE replicator PASSWORD 'secret'"
    pg_sql dst "ALTER ROLE replicator PASSWORD 'secret'"
}

# refused_after SERVER TEXT: its password is changed under a running pipeline; the log says TEXT.
refused_after() {
    pg_sql "$1" "ALTER ROLE replicator PASSWORD 'another'"
    pg_sql "$1" "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE usename = 'replicator'" >/dev/null
    wait_until 60 grep -q "\"level\":\"error\".*$2.*28P01" "$conf.log"
}

@test "the bug was that a new password at the server ended a pipeline that had run for long" {
    databases 'CREATE TABLE t (id int PRIMARY KEY, v text)'
    config
    pipeline_start "$conf"
    pg_sql src "INSERT INTO t VALUES (1, 'eins')" "$name"
    caught_up "$conf" src "$name"
    refused_after src "waiting for the source"
    # the log has it before ackd
    wait_until 20 eval '"$WALPIPE_BIN/walpipe" status -c "$conf" | grep "WAITING: .*28P01"'
    pg_sql src "ALTER ROLE replicator PASSWORD 'secret'; INSERT INTO t VALUES (2, 'zwei')" "$name"
    caught_up "$conf" src "$name"
    refused_after dst "the target refuses a login that worked before"
    pg_sql src "INSERT INTO t VALUES (3, 'drei')" "$name"
    pg_sql dst "ALTER ROLE replicator PASSWORD 'secret'"
    caught_up "$conf" src "$name"
    [ "$(pg_sql dst 'SELECT count(*) FROM t' "$name")" = 3 ]
    pipeline_stop "$conf"
    # the next run knows nothing of that
    config secret wrong
    refuses "correct the password"
}

@test "a pipeline between two servers that speak German; a value, a partition that is missing" {
    databases 'CREATE TABLE t (id int PRIMARY KEY, v text);
               CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id);
               CREATE TABLE part1 PARTITION OF parted FOR VALUES FROM (0) TO (10)'
    pg_sql src "CREATE TABLE part2 PARTITION OF parted FOR VALUES FROM (10) TO (20);
                ALTER PUBLICATION p SET (publish_via_partition_root = true)" "$name"
    config
    pipeline_start "$conf"
    pg_sql src "INSERT INTO t VALUES (1, 'eins')" "$name"
    caught_up "$conf" src "$name"
    [ "$(pg_sql dst 'SELECT * FROM t' "$name")" = '1|eins' ]
    pg_stop dst
    pg_sql src "INSERT INTO t VALUES (2, 'zwei')" "$name"
    LANGUAGE=de pg_start dst
    caught_up "$conf" src "$name"
    no_restart "$conf"
    pg_sql src "INSERT INTO parted VALUES (15)" "$name"
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq 100 ]
    grep -q 'create the partition in the target' "$conf.log"
}

@test "a slot that is in use is waited for, and a source that starts up" {
    local first=$conf
    databases 'CREATE TABLE t (id int PRIMARY KEY, v text)'
    config
    pipeline_start "$conf"
    conf=$dir/second
    config
    sed -i "s#^state_dir.*#state_dir = $dir/second.state#" "$conf"
    "$WALPIPE_BIN/walpipe" run -c "$conf" >"$dir/second.log" 2>&1 3>&- &
    kill_later $!
    wait_until 30 grep -q 'is in use' "$dir/second.log"
    kill "$!"
    wait "$!"
    conf=$first
    pg_stop src
    wait_until 30 grep -q 'the pipeline ended because' "$conf.log"
    LANGUAGE=de pg_start src
    pg_sql src "INSERT INTO t VALUES (1, 'eins')" "$name"
    caught_up "$conf" src "$name"
    [ "$(pg_sql dst 'SELECT * FROM t' "$name")" = '1|eins' ]
}

@test "the bug was that a server's warning at the login stood between the lines of the log" {
    databases 'CREATE TABLE t (id int PRIMARY KEY, v text)'
    for server in src dst; do
        pg_sql $server "UPDATE pg_database SET datcollversion = 'old' WHERE datname = '$name'"
        PGPASSWORD=secret psql -XAtq -c '' \
            "host=127.0.0.1 port=$(pg_port $server) user=replicator dbname=$name" 2>&1 |
            grep WARNUNG
    done
    config
    pipeline_start "$conf"
    pg_sql src "INSERT INTO t VALUES (1, 'eins')" "$name"
    caught_up "$conf" src "$name"
    pipeline_stop "$conf"
    [ -s "$conf.log" ]
    run -1 grep -v '^{.*}$' "$conf.log"
    [ "$output" = "" ]
    run "$WALPIPE_BIN/walpipe" check -c "$conf"
    [ "$status" -eq 0 ]
    [[ $output != *WARNUNG* ]]
}

# mends TARGET-COLUMN VALUE TEXT HINT MEND: the row ('contents', VALUE) is refused with that text and
# hint, and nobody reads its contents in the log; what the hint says lets it in.
mends() {
    pg_sql dst "DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, v text, w $1);
                ALTER TABLE t OWNER TO replicator" "$name"
    number=$((number + 1))
    pg_sql src "INSERT INTO t VALUES ($number, 'contents', $2)" "$name"
    refuses "$3"
    refuses "$4"
    refuses "start again; nothing is lost"
    ! grep -q contents <<<"$output" || { echo "the row is in the log: $output" && false; }
    pg_sql dst "$5" "$name"
    pipeline_start "$conf"
    caught_up "$conf" src "$name"
    pipeline_stop "$conf"
    [ "$(pg_sql dst "SELECT w FROM t WHERE id = $number" "$name")" = "$(pg_sql src "SELECT w FROM t WHERE id = $number" "$name")" ]
}

@test "a value that the target refuses: its column, and a way out that helps, in any language" {
    number=0
    databases 'CREATE TABLE t (id int PRIMARY KEY, v text, w text)'
    config
    pipeline_start "$conf"
    pipeline_stop "$conf"
    pg_sql dst "CREATE DOMAIN d AS text CHECK (value <> 'four')" "$name"
    mends "numeric(5,2)" "'12345.25'" 'column \"w\": ' "the source's type, or a wider one" \
        "ALTER TABLE t ALTER w TYPE text"
    mends "varchar(3)" "'toolong'" 'column \"w\": ' "the source's type, or a wider one" \
        "ALTER TABLE t ALTER w TYPE text"
    mends "int" "'x'" 'column \"w\": ' "the source's type, or a wider one" \
        "ALTER TABLE t ALTER w TYPE text"
    mends "d" "'four'" 'column \"w\": ' "drop or change the constraint in the target" \
        "ALTER DOMAIN d DROP CONSTRAINT d_check"
    mends "text NOT NULL" "NULL" 'column \"w\": ' "DROP NOT NULL in the target" \
        "ALTER TABLE t ALTER w DROP NOT NULL"
    mends "text, x text NOT NULL" "'six'" 'column \"x\": ' "has a DEFAULT" \
        "ALTER TABLE t ALTER x SET DEFAULT 'none'"
    mends "text CHECK (w <> 'seven')" "'seven'" "t_w_check" "drop or change the constraint in the target" \
        "ALTER TABLE t DROP CONSTRAINT t_w_check"
}
