#!/usr/bin/env bats
# walpipe check reports before the start the reasons why run would stop, and silent effects of run.

bats_require_minimum_version 1.5.0

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    pg_new src
    pg_new dst
    ch_new olap
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    db=c$BATS_TEST_NUMBER
    dir=$SCRATCH/$db
    conf=$dir/walpipe.conf
    mkdir "$dir"
    pg_sql src "CREATE DATABASE $db"
    pg_sql dst "CREATE DATABASE $db"
    ch_sql olap "CREATE DATABASE $db"
    pg_sql src "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE PUBLICATION p FOR ALL TABLES" "$db"
    pg_sql dst "CREATE TABLE t (id int PRIMARY KEY, v text)" "$db"
    write_conf
}

teardown() {
    if [ -e "$conf.pid" ] && pid=$(pipeline_pid "$conf"); then
        end_process "$pid" KILL 5
    fi
    pg_sql src "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active" "$db" >/dev/null || true
}

# With more lines in $pipeline, $source, $dst, $olap; $publication, $state_dir, $user.
write_conf() {
    cat >"$conf" <<CONF
[pipeline]
name = $db
state_dir = ${state_dir:-$dir/state}
copy = ${copy:-no}
${pipeline:-}
[source]
conninfo = $(pg_conninfo src "$db")
slot = $db
publication = ${publication:-p}
[sink dst]
type = pg
conninfo = $(pg_conninfo dst "$db") ${user:-}
${dst:-}
[sink olap]
type = ch
url = $(ch_url olap)
database = $db
create_tables = yes
${olap:-}
CONF
}

# says STATUS LINE...: check ends with STATUS and has these lines, as patterns of their beginning.
says() {
    local want=$1 line
    shift
    run "$WALPIPE_BIN/walpipe" check -c "$conf"
    echo "$output"
    [ "$status" -eq "$want" ] || return 1
    for line in "$@"; do
        grep -E "^$line" <<<"$output" || {
            echo "no line $line"
            return 1
        }
    done
}

# run stops with exit code 100 and this in its log.
run_stops() {
    pipeline_start "$conf" || true
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq 100 ]
    grep "$1" "$conf.log"
    rm "$conf.exit"
}

@test "all is well" {
    pipeline="http = 127.0.0.1:$(port_new)" dst="tables = public.t
map = public.t -> public.t" write_conf
    says 0 "ok    state directory .* does not exist yet" "ok    http = .* the port is free"
    run ! grep -E "^(warn|FAIL)  sink dst: (tables|map)" <<<"$output"
}

# The bug was that a name that matches nothing, often one that is written wrong, was passed over:
# the table went nowhere, or to the table of its own name.
@test "patterns of tables and entries of map that are for no published table" {
    dst='tables = public.*, !public.ordesr, "Public".*
map = public.t -> public.t, public.gone -> public.t' olap="tables = public.*, !public.t
map = public.t -> u" write_conf
    says 0 'warn  sink dst: tables: !public.ordesr matches no published table' \
        'warn  sink dst: tables: "P"ublic.\* matches no published table' \
        'warn  sink dst: map: no table public.gone is published' \
        'warn  sink olap: map: tables leaves public.t out'
}

@test "sections of tables: what is made, what is refused, and tables that are not published" {
    pg_sql src "CREATE TABLE o (id int, day date, v text NOT NULL, tags text[] NOT NULL, secret text, PRIMARY KEY (id, day))" "$db"
    pg_sql dst "CREATE TABLE o (id int, day date, v text NOT NULL, tags text[] NOT NULL, secret text, PRIMARY KEY (id, day))" "$db"
    olap="nullable = source
arrays = array
[sink olap table public.o]
order_by = day, id
partition_by = toYYYYMM(day)
column_types = v -> FixedString(5)
leave_out = secret
[sink olap table public.gone]
json = text" write_conf
    says 0 'warn  sink olap: line [0-9]+: no table public.gone is published' \
        'ok    sink olap: table public.o -> .*PARTITION BY toYYYYMM\(day\) ORDER BY \(`day`, `id`\): id int4 -> Int32, day date -> Date, v text -> FixedString\(5\), tags text\[\] -> Array\(Nullable\(String\)\)$'
    pipeline_start "$conf"
    pg_sql src "INSERT INTO o VALUES (1, '2024-01-31', 'a', '{x,NULL}', 'hidden')" "$db"
    arrived() { [ "$(ch_sql olap "SELECT id, tags FROM o_current" "$db")" = "1	['x',NULL]" ]; }
    wait_until 60 arrived
    pipeline_stop "$conf"
    sed -i 's/^leave_out = secret/leave_out = secrte/; s/^order_by = day, id/order_by = day/' "$conf"
    says 100 'FAIL  sink olap: table public.o: leave_out names column "secrte"' \
        'FAIL  sink olap: table public.o: order_by lacks key columns'
    pg_sql src "INSERT INTO o VALUES (2, '2024-01-31', 'a', '{}', 'hidden')" "$db"
    run_stops 'leave_out names column .*secrte'
}

# The bug was that run stopped at the table's first change, with the server's words.
@test "one table with two lists of columns" {
    pg_sql src "CREATE PUBLICATION a FOR TABLE t (id); CREATE PUBLICATION b FOR TABLE t (id, v)" "$db"
    publication=a,b write_conf
    says 100 "FAIL  the publications have different lists of columns of table public.t: "
    run_stops "the publications have different lists of columns of table public.t"
    # what the hint says
    publication=b write_conf
    says 0
}

# The bug was that check passed it, and run stopped at the first row.
@test "row-level security in the target; a table that is not logged" {
    pg_sql dst "CREATE ROLE ${db}_apply LOGIN; CREATE TABLE w (id int PRIMARY KEY); ALTER TABLE w SET UNLOGGED;
        CREATE TABLE part (id int PRIMARY KEY) PARTITION BY RANGE (id);
        CREATE UNLOGGED TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (100);
        GRANT ALL ON ALL TABLES IN SCHEMA public TO ${db}_apply; GRANT CREATE ON DATABASE $db TO ${db}_apply;
        ALTER TABLE t ENABLE ROW LEVEL SECURITY" "$db"
    pg_sql src "CREATE TABLE w (id int PRIMARY KEY); CREATE TABLE part (id int PRIMARY KEY)" "$db"
    says 0 "warn  sink dst: public.w is UNLOGGED" "warn  sink dst: public.part is UNLOGGED"
    user="user=${db}_apply" write_conf
    says 100 "FAIL  sink dst: public.t has row-level security that applies to the role"
    run ! grep "public.w has row-level" <<<"$output"
    pipeline_start "$conf"
    pg_sql src "INSERT INTO t VALUES (1, 'v')" "$db"
    wait_until 60 test -s "$conf.exit"
    [ "$(cat "$conf.exit")" -eq 100 ]
    [ "$(pg_sql dst "SELECT count(*) FROM t" "$db")" = 0 ]
    # what the hint says
    pg_sql dst "ALTER ROLE ${db}_apply BYPASSRLS" "$db"
    says 0
    rm "$conf.exit"
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    [ "$(pg_sql dst "SELECT count(*) FROM t" "$db")" = 1 ]
}

# The bug was that check passed them, and run stopped at the first row or when it started them.
@test "targets that take no rows, a role with privileges on columns, a command that is not there" {
    pg_sql src "CREATE TABLE f (id int PRIMARY KEY); CREATE TABLE part (id int PRIMARY KEY)" "$db"
    pg_sql dst "CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
        CREATE FOREIGN TABLE f (id int) SERVER files OPTIONS (filename '/dev/null');
        CREATE TABLE part (id int PRIMARY KEY) PARTITION BY RANGE (id);
        CREATE ROLE ${db}_apply LOGIN; GRANT CREATE ON DATABASE $db TO ${db}_apply;
        GRANT ALL ON f, part TO ${db}_apply; GRANT SELECT (id, v), INSERT (id, v), UPDATE (id), DELETE, TRUNCATE ON t TO ${db}_apply" "$db"
    user="user=${db}_apply" olap="[sink own]
type = exec
command = exec $dir/none --any flags" write_conf
    says 100 "FAIL  sink dst: public.f takes no inserts" "FAIL  sink dst: public.part is partitioned and has no partition" \
        "FAIL  sink dst: public.t: the role lacks UPDATE: grant it" "FAIL  sink own: cannot run \"$dir/none\": No such file"
    pg_sql dst "GRANT UPDATE (v) ON t TO ${db}_apply; CREATE TABLE part_1 PARTITION OF part DEFAULT" "$db"
    printf '#!/bin/sh\n' >"$dir/none" && chmod +x "$dir/none"
    sed -i '/^type = pg/a tables = public.t, public.part' "$conf"
    says 0 "ok    sink own: your own program, not tested"
}

@test "a state directory that cannot be made" {
    touch "$dir/file"
    state_dir=$dir/file/state write_conf
    says 100 "FAIL  state directory.*/file/state\" is not a directory"
    run_stops "could not make state directory"
    state_dir=$dir/a/b/c write_conf
    says 0 "ok    state directory .* does not exist yet"
    [ ! -e "$dir/a" ]
    [ "$UID" -ne 0 ] || {
        chmod 755 "$dir" "$SCRATCH" && chmod 644 "$conf"
        run as_postgres "$WALPIPE_BIN/walpipe" check -c "$conf"
        echo "$output"
        grep "^FAIL  state directory $dir/a/b/c cannot be made in \"$dir\": Permission denied" <<<"$output"
    }
}

@test "an http port that is taken, an address that is not here" {
    local port
    port=$(port_new)
    /usr/bin/python3 -c "
import socket, time
s = socket.socket(); s.bind(('127.0.0.1', $port)); s.listen()
time.sleep(600)" 3>&- &
    kill_later $!
    wait_until 10 eval "! /usr/bin/python3 -c 'import socket; socket.socket().bind((\"127.0.0.1\", $port))' 2>/dev/null"
    pipeline="http = 127.0.0.1:$port" write_conf
    says 100 "FAIL  http = 127.0.0.1:$port: could not listen there: Address already in use"
    pipeline="http = 192.0.2.1:$port" write_conf
    says 100 "FAIL  http = 192.0.2.1:$port: could not listen there: Cannot assign requested address"
    # a pipeline that runs has its own port
    pipeline="http = 127.0.0.1:$(port_new)" write_conf
    pipeline_start "$conf"
    says 0 "warn  state directory .*: a pipeline runs in it now"
}

@test "a slot that is gone while the checkpoint is there" {
    pipeline_start "$conf"
    pipeline_stop "$conf"
    rm "$conf.exit"
    pg_sql src "SELECT pg_drop_replication_slot('$db')" "$db"
    says 100 "FAIL  replication slot \"$db\" is gone: changes after .* would be missing: .*walpipe drop"
    run_stops "slot"
    # what the hint says
    run -0 "$WALPIPE_BIN/walpipe" drop --yes -c "$conf"
    [[ $output == *"slot $db does not exist any more"* ]]
    says 0
    pipeline_start "$conf"
}

@test "a state directory of another pipeline, a checkpoint that is damaged" {
    pipeline_start "$conf"
    pipeline_stop "$conf"
    rm "$conf.exit"
    says 0 "ok    checkpoint: slot \"$db\" of database \"$db\", at "
    pg_sql src "SELECT pg_create_logical_replication_slot('${db}_b', 'pgoutput')" "$db"
    sed -i "s/^slot = .*/slot = ${db}_b/" "$conf"
    says 100 "FAIL  the slot is \"${db}_b\", the checkpoint's is \"$db\""
    run_stops "the checkpoint's is"
    sed -i "s/^slot = .*/slot = $db/; s/^name = .*/name = another/" "$conf"
    says 100 "FAIL  checkpoint .* belongs to pipeline \"$db\", not to \"another\": give each pipeline a state_dir"
    run_stops "belongs to pipeline"
    echo x >>"$dir/state/checkpoint"
    says 100 "FAIL  cannot use checkpoint .*damaged"
    run_stops "checkpoint"
}

# The bug was that no sink was tried.
@test "a source that is down: the sinks are tried alone" {
    sed -i "/^\[source/,/^\[sink dst/s/port=[0-9]*/port=1/" "$conf"
    sed -i "/^\[sink olap/,\$s/^url = .*/url = http:\/\/127.0.0.1:1/" "$conf"
    says 100 "FAIL  .*connect" "warn  sink dst: not checked against the source's tables" \
        "ok    sink dst: target: connected to PostgreSQL" "FAIL  sink olap: ClickHouse at"
}

@test "a root without an identity, an index with more columns than its key" {
    pg_sql src "DROP PUBLICATION p; CREATE TABLE r (a int, b int) PARTITION BY RANGE (a);
        CREATE TABLE r_1 PARTITION OF r FOR VALUES FROM (0) TO (10); ALTER TABLE r_1 ADD PRIMARY KEY (a);
        CREATE TABLE more (id int, v text, PRIMARY KEY (id) INCLUDE (v));
        CREATE PUBLICATION p FOR ALL TABLES WITH (publish_via_partition_root)" "$db"
    dst="tables = public.more" write_conf
    pg_sql dst "CREATE TABLE more (id int PRIMARY KEY, v text)" "$db"
    says 0 "warn  table public.r has no replica identity, and its partitions are published as it"
    # the bug was that check took the columns of INCLUDE for columns of the key
    run ! grep -E "^warn  sink dst: .*more" <<<"$output"
    # what the hint says
    pg_sql src "ALTER TABLE r ADD PRIMARY KEY (a)" "$db"
    says 0
    run ! grep "table public.r has no" <<<"$output"
}

# The bug was that walpipe check gave sink-ch an option that only sink-pg has, so that check failed.
@test "copy = yes into ClickHouse" {
    copy=yes write_conf
    says 0 "ok    copy: 1 table\(s\)" "ok    sink olap: table public.t -> "
}

state_of() { # SINK [TABLE]
    "$WALPIPE_BIN/walpipe" tables -c "$conf" --json |
        jq -re --arg s "$1" --arg t "${2:-t}" '.sinks[] | select(.sink == $s).tables[] | select(.table == $t).state'
}

is_streaming() { # SINK TABLE
    [ "$(state_of "$1" "$2")" = streaming ]
}

both_are() { # STATE
    [ "$(state_of dst)" = "$1" ] && [ "$(state_of olap)" = "$1" ]
}

both_have() { # ROWS
    [ "$(pg_sql dst "SELECT count(*) FROM t" "$db")" -eq "$1" ] &&
        [ "$(ch_sql olap "SELECT count() FROM t_current" "$db")" -eq "$1" ]
}

unnoted() {
    [ "$(ch_sql olap "SELECT count() FROM walpipe_tables WHERE name = 't'" "$db")" -eq 0 ]
}

@test "a copy that has not ended, while copy = no; a table that was made again" {
    pg_sql src "INSERT INTO t SELECT g, repeat('v', 500) FROM generate_series(1, 30000) g" "$db"
    copy=yes pipeline="copy_rate = 1000000" write_conf
    pipeline_start "$conf"
    wait_until 60 both_are copying
    pipeline_stop "$conf"
    rm "$conf.exit"
    copy=no write_conf
    says 100 "FAIL  sink dst: the copy of public.t has not ended, .*: set copy = yes" \
        "FAIL  sink olap: the copy of public.t has not ended, .*: set copy = yes"
    run_stops "the copy of public.t has not ended"
    copy=yes write_conf
    says 0
    pipeline_start "$conf"
    wait_until 120 both_are streaming
    pipeline_stop "$conf"
    rm "$conf.exit"
    pg_sql src "DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (7, 'again')" "$db"
    says 100 "FAIL  sink dst: public.t was dropped and made again in the source, .*walpipe resync" \
        "FAIL  sink olap: public.t was dropped and made again in the source, .*TRUNCATE the target table"
    run_stops "was dropped and made again"
    # what the lines say
    "$WALPIPE_BIN/walpipe" resync -c "$conf" --sink dst --table public.t
    ch_sql olap "ALTER TABLE walpipe_tables DELETE WHERE name = 't'" "$db"
    wait_until 30 unnoted
    ch_sql olap "TRUNCATE TABLE t" "$db"
    says 0
    pipeline_start "$conf"
    wait_until 60 both_are streaming
    caught_up "$conf" src "$db"
    both_have 1
    pipeline_stop "$conf"
}

@test "a primary key that is DEFERRABLE is no key; the index that the lines name is one" {
    pg_sql src "CREATE TABLE d (id int PRIMARY KEY DEFERRABLE, v text); INSERT INTO d VALUES (1, 'v')" "$db"
    pg_sql dst "CREATE TABLE d (id int PRIMARY KEY, v text)" "$db"
    copy=yes dst="tables = public.d" olap="tables = public.t" write_conf
    says 0 "warn  table public.d has no replica identity: .*REPLICA IDENTITY USING INDEX with a unique index" \
        "warn  copy: public.d has no key: .*a unique index with REPLICA IDENTITY USING INDEX"
    pg_sql src "CREATE UNIQUE INDEX d_key ON d (id); ALTER TABLE d REPLICA IDENTITY USING INDEX d_key" "$db"
    says 0
    run ! grep "public.d has no" <<<"$output"
    pipeline_start "$conf"
    wait_until 60 is_streaming dst d
    pg_sql src "UPDATE d SET v = 'new'" "$db"
    caught_up "$conf" src "$db"
    [ "$(pg_sql dst "SELECT v FROM d" "$db")" = new ]
    pipeline_stop "$conf"
}
