#!/usr/bin/env bats
# walpipe tables on real servers: what it says of a copy that runs, and of notes that were written by
# hand where a copy would not come by at the right moment.

bats_require_minimum_version 1.5.0

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    walpipe=$WALPIPE_BIN/walpipe
    conf=$SCRATCH/walpipe.conf
    pg_new src
    pg_new dst
}

teardown() {
    servers_end
}

# write_conf [LINE ...]: pipeline x into dst; lines are of the sink.
write_conf() {
    cat >"$conf" <<CONF
[pipeline]
name = x
state_dir = $SCRATCH/state
[source]
conninfo = $(pg_conninfo src)
slot = s
publication = p
[sink dst]
type = pg
conninfo = $(pg_conninfo dst)
copy = yes
CONF
    printf '%s\n' "$@" >>"$conf"
}

# tables FILTER: of the JSON.
tables() {
    "$walpipe" tables -c "$conf" --json 2>"$SCRATCH/log" | jq -cer "$1"
}

# says FILTER: and the rest of the line is what it says.
says() {
    local filter=$1 said
    shift
    said=$(tables "$filter") || { cat "$SCRATCH/log"; return 1; }
    [ "$said" = "$*" ] || { echo "$filter: $said, not $*"; return 1; }
}

# A target in which a copy was asked for; its tables are those of the manual page.
note_tables() {
    pg_sql dst "create schema walpipe"
    sed -n '/^CREATE TABLE walpipe/,/;$\|^\.Ed/ { s/^\.Ed/;/; p }' "$WALPIPE_ROOT/src/sink-pg/sink-pg.1" |
        pg_sql dst -
    pg_sql dst "insert into walpipe.progress
            (pipeline, sink, shard, shards, system_identifier, timeline, slot, epoch, lsn)
            select 'x', 'dst', n, ${1:-1}, '1', 1, 's', 1, '0/100' from generate_series(0, ${1:-1} - 1) n;
        insert into walpipe.tables (pipeline, sink, relid, part, shard, schema, name, state, layout)
            values ('x', 'dst', 0, 0, 0, '*', '*', '${2:-waiting}', 0)"
}

# note TABLE PART SHARD STATE DONE [FILE]: a worker's note, with 10 rows; the file is the source's.
note() {
    local ids
    ids=$(pg_sql src "select '$1'::regclass::oid || ', ' || '$2'::regclass::oid || ', $3, ''' ||
        nspname || ''', ' || quote_literal(relname) || ', ''$4'', ''0/20'', ' ||
        coalesce(${6:-null}, pg_relation_filenode('$2'))
        from pg_class c join pg_namespace n on n.oid = relnamespace where c.oid = '$1'::regclass")
    pg_sql dst "insert into walpipe.tables
        (pipeline, sink, relid, part, shard, schema, name, state, l0, file, done, rows, layout)
        values ('x', 'dst', $ids, '$5', 10, 0)"
}

# big NAME: a table of 100 blocks.
big() {
    pg_sql src "create table $1 (id int primary key, v text) with (fillfactor = 10);
        alter table $1 alter v set storage plain;
        insert into $1 select n, repeat('x', 7000) from generate_series(1, 100) n"
    [ "$(pg_sql src "select pg_relation_size('$1') / 8192")" = 100 ]
}

@test "a copy that runs, was killed, and has ended; the source and the target away" {
    pg_sql src "create table t (id int primary key, v text);
        insert into t select n, repeat(md5(n::text), 10) from generate_series(1, 40000) n;
        create table small (id int primary key); insert into small values (1), (2);
        create publication p for table t, small"
    pg_sql dst "create table t (id int primary key, v text); create table small (id int primary key)"
    write_conf "shards = 2"
    # nothing has begun
    says '.sinks[0] | [.lsn, .tables_total, .tables_streaming, (.tables | map(.state) | unique)]' \
        '[null,2,0,["waiting"]]'
    CONNINFO=$(pg_conninfo src) TARGET=$(pg_conninfo dst) PYTHONDONTWRITEBYTECODE=1 \
        PYTHONPATH=$BATS_TEST_DIRNAME:$BATS_TEST_DIRNAME/../lib timeout -k 1 400 \
        /usr/bin/python3 - "$SCRATCH" "$walpipe" "$conf" 3>&- <<'PY'
import json, subprocess, sys
from copied_worker import *

folder, walpipe, conf = sys.argv[1] + "/run", *sys.argv[2:]
os.mkdir(folder)

def sink():
    done = subprocess.run([walpipe, "tables", "-c", conf, "--json"], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)["sinks"][0]

def table(name):
    return next(t for t in sink()["tables"] if t["table"] == name)

p = Pipeline(folder, os.environ["CONNINFO"], 2, reader=["--rate", "1000000"], target=os.environ["TARGET"])
try:
    shown = []
    def seen():
        shown.append(table("t"))
        return shown[-1]["state"] == "copying" and shown[-1]["bytes_per_second"] is not None
    p.wait(seen)
    t = shown[-1]
    assert 0 < t["copied_bytes"] < t["size_bytes"] and 0 < t["percent"] < 100, t
    assert abs(t["percent"] - 100 * t["copied_bytes"] / t["size_bytes"]) < 0.1, t
    assert 0 < t["rows"] < 40000 and t["since_lsn"] and t["copied_by_walpipe"], t
    left = (t["size_bytes"] - t["copied_bytes"]) / t["bytes_per_second"]
    assert abs(t["seconds_left"] - left) < 0.2 and t["bytes_per_second"] < 40000000, t
    for program in p.programs.values():
        program.kill()
    t = table("t")
    assert t["state"] == "copying" and t["percent"] < 100 and t["bytes_per_second"] is None, t
finally:
    p.end()
p = Pipeline(folder, os.environ["CONNINFO"], 2, target=os.environ["TARGET"])
try:
    p.wait(lambda: sink()["tables_streaming"] == 2)
    t = table("t")
    assert t["percent"] == 100 and t["copied_bytes"] == t["size_bytes"], t
    assert t["rows"] >= 40000 and t["missing_keys"] == 0 and t["published"] is True, t
    assert t["bytes_per_second"] is None and t["seconds_left"] is None, t
finally:
    p.end()
PY
    run -0 "$walpipe" tables -c "$conf"
    [[ "${lines[0]}" == "sink dst: 2 of 2 tables streaming" ]]
    [[ "$output" == *"public.small"*"streaming"*" 2 "*"100.0 %"*"public.t"*"streaming"* ]]
    pg_stop src
    says '[.source.known, (.sinks[0] | .size_bytes, .tables_streaming, (.tables[] | .rows > 1, .published))]' \
        '[false,null,2,true,null,true,null]'
    grep -q '"level":"warning".*the source could not be read' "$SCRATCH/log"
    run -0 --separate-stderr "$walpipe" tables -c "$conf"
    [[ "$output" == "source: not known: "*"2 of 2 tables streaming"* ]]
    pg_start src
    pg_stop dst
    run -111 --separate-stderr "$walpipe" tables -c "$conf"
    [[ "$output" == "sink dst: not known: "* ]]
    run -111 --separate-stderr "$walpipe" tables -c "$conf" --json
    jq -e '.sinks[0] | .known == false and (.error | length > 10) and .tables == []' <<<"$output"
}

# status_says FILTER: of its JSON, which is kept in $SCRATCH/shown.
status_says() {
    "$walpipe" status -c "$conf" --json >"$SCRATCH/shown" && jq -e "$1" "$SCRATCH/shown"
}

# questions: how often the target was asked for its notes.
questions() {
    pg_sql dst "select count(*) from pg_stat_activity" >/dev/null # the log has what came before
    grep -c 'application_name=walpipe sink-pg --tables' "$(pg_log dst)" || true
}

@test "status and metrics while a pipeline copies; when the copy has ended no target is asked" {
    pg_stop dst
    echo "log_connections = on" >>"$(pg_data dst)/postgresql.conf"
    pg_start dst
    pg_sql src "create table t (id int primary key, v text);
        insert into t select n, repeat(md5(n::text), 10) from generate_series(1, 40000) n;
        create table small (id int primary key); insert into small values (1), (2);
        create publication p for table t, small"
    pg_sql dst "create table t (id int primary key, v text); create table small (id int primary key)"
    write_conf
    http=127.0.0.1:$(port_new)
    sed -i "s/^name = x/&\nhttp = $http\ncopy_rate = 500000/" "$conf"
    pipeline_start "$conf"
    wait_until 60 status_says '.copies[0] | .tables_streaming == 1 and .tables_total == 2 and
        (.tables | length) == 1 and (.tables[0] | .table == "t" and .state == "copying" and .percent > 0)'
    [ "$(questions)" -gt 0 ]
    "$walpipe" status -c "$conf" >"$SCRATCH/text"
    grep -q '^sink dst: 1 of 2 tables streaming, [0-9.]* % of .* copied' "$SCRATCH/text"
    grep -q '^public.t  *copying ' "$SCRATCH/text"
    run ! grep -q '^public.small' "$SCRATCH/text"
    curl -sf "http://$http/metrics" | grep '^replicator_copy_tables' |
        diff - <(printf 'replicator_copy_tables{pipeline="x",sink="dst",shard="0",state="%s"} %s\n' waiting 0 copying 1 resync 0 parked 0 streaming 1)
    curl -sf "http://$http/status.json" | jq -e '[.tables[] | .table + " " + .state] | sort == ["public.small streaming", "public.t copying"]'
    wait_until 90 status_says '.copies == [] and (.workers[0].copies |
        .tables_streaming == 2 and .tables_copying == 0 and .tables_waiting == 0 and .rows == 40002 and .bytes > 1000000)'
    before=$(questions)
    "$walpipe" status -c "$conf" >"$SCRATCH/text"
    grep -qx 'sink dst: 2 of 2 tables streaming' "$SCRATCH/text"
    curl -sf "http://$http/status.json" | jq -e 'all(.tables[]; .state == "streaming")'
    curl -sf "http://$http/metrics" >"$SCRATCH/metrics"
    grep -qx 'replicator_copy_rows_total{pipeline="x",sink="dst",shard="0"} 40002' "$SCRATCH/metrics"
    [ "$(questions)" = "$before" ]
    pipeline_stop "$conf"
}

@test "a block counts when all workers have it, of the file that the table has now" {
    big a
    big b
    big c
    big moved
    pg_sql src "create publication p for all tables"
    write_conf "shards = 3"
    note_tables 3
    # worker 1 has noted nothing of b, worker 2 has another file of c
    note a a 0 copying '(0,0)-(50,0),(60,0)-'
    note a a 1 copying '(10,0)-(80,0)'
    note a a 2 copying '(0,0)-(90,0)'
    note b b 0 copying '(0,0)-(50,0)'
    note b b 2 copying '(0,0)-(50,0)'
    note c c 0 copying '(0,0)-(50,0)'
    note c c 1 copying '(0,0)-(50,0)'
    note c c 2 copying '(0,0)-(50,0)' 1
    for shard in 0 1 2; do note moved moved $shard streaming '(0,0)-'; done
    pg_sql src "vacuum full moved"
    says '.sinks[0].tables | map([.table, .state, .copied_bytes / 8192, .size_bytes / 8192, .percent, .rows])' \
        '[["a","copying",60,100,60,30],["b","copying",0,100,0,20],["c","copying",0,100,0,30],["moved","streaming",100,100,100,30]]'
    # 160 of 400
    says '.sinks[0] | [.tables_total, .tables_copying, .tables_streaming, .percent]' '[4,3,1,40]'
    run -0 "$walpipe" tables -c "$conf"
    [ "${lines[0]}" = "sink dst: 1 of 4 tables streaming, 40.0 % of 3200.0 kB copied" ]
    [[ "$output" != *"["* ]]
    # on a terminal a bar
    /usr/bin/python3 "$BATS_TEST_DIRNAME/../lib/on_pty.py" "$SCRATCH/screen" "$walpipe" tables -c "$conf"
    grep -q 'public.a .* 60.0 % .* \[############        \]' "$SCRATCH/screen"
    run ! grep -q 'public.moved.*\[' "$SCRATCH/screen"
    # keys, and a state that this walpipe does not know
    pg_sql dst "insert into walpipe.missing select 'x', 'dst', $(pg_sql src "select 'b'::regclass::oid"), n % 3, '{id}',
            array[n::text] from generate_series(1, 7) n;
        update walpipe.tables set state = 'parked' where name = 'c' and shard = 1"
    says '.sinks[0].tables | map([.table, .state, .missing_keys])' \
        '[["a","copying",0],["b","copying",7],["c","parked",0],["moved","streaming",0]]'
}

@test "what the last worker has, and rates, by when the notes were written" {
    big a
    big b
    pg_sql src "create publication p for all tables"
    write_conf
    note_tables
    note a a 0 copying '(0,0)-(10,0)'
    note b b 0 copying '(0,0)-(10,0)'
    # 40 blocks of a in four seconds while the command looks, and nothing of b
    pg_sql dst "update walpipe.tables set updated_at = now() - interval '4 s'"
    mkdir "$SCRATCH/bin"
    cat >"$SCRATCH/bin/sink-pg" <<SH
#!/bin/bash
"$WALPIPE_BIN/sink-pg" "\$@" || exit
[ ! -e "$SCRATCH/looked" ] || exit 0
touch "$SCRATCH/looked"
psql -Xqd "$(pg_conninfo dst)" -c "update walpipe.tables set done = '(0,0)-(50,0)', rows = 50,
    updated_at = updated_at + interval '4 s' where name = 'a'"
SH
    chmod +x "$SCRATCH/bin/sink-pg"
    WALPIPE_LIBEXEC=$SCRATCH/bin tables . >"$SCRATCH/json"
    jq -e '.sinks[0] | .bytes_per_second == 81920 and .seconds_left == 14 and
        (.tables[0] | .bytes_per_second == 81920 and .seconds_left == 5 and .rows_per_second == 10) and
        (.tables[1] | .bytes_per_second == null and .seconds_left == null)' "$SCRATCH/json"
}

@test "tables that another walpipe made, that are not published, and sinks without notes" {
    pg_sql src "create table old (id int primary key); create table \"a.b\"\"c
d\" (id int primary key);
        create table left_out (id int primary key); create table gone (id int primary key);
        create table new (id int primary key);
        create publication p for table old, \"a.b\"\"c
d\", left_out, new"
    write_conf "tables = public.*, !public.left_out" "[sink audit]" "type = exec" "command = cat"
    note_tables 1 streaming
    note gone gone 0 copying ''
    # the table of this note was dropped, and made again
    pg_sql dst "insert into walpipe.tables (pipeline, sink, relid, part, shard, schema, name, state, layout)
        values ('x', 'dst', 1, 1, 0, 'public', 'new', 'streaming', 0)"
    says '.sinks[0].tables | map([.table, .state, .published, .copied_by_walpipe, .relid == 1])' \
        '[["gone","copying",false,true,false],["a.b\"c\nd","streaming",true,false,false],["new","streaming",false,false,true],["new","streaming",true,false,false],["old","streaming",true,false,false]]'
    says '.sinks[1] | [.sink, .known, .error]' '["audit",false,"an exec sink keeps its own notes"]'
    run -0 "$walpipe" tables -c "$conf"
    [[ "$output" == *'public."a.b""c?d" '*"streaming"*" - "* ]]
    [[ "$output" == *"public.gone "*"not published"* ]]
    [ "${lines[-1]}" = "sink audit: not known: an exec sink keeps its own notes" ]
    # without notes a sink that has applied something streams all
    pg_sql dst "drop table walpipe.tables, walpipe.missing"
    says '.sinks[0] | [.tables_total, .tables_streaming, .lsn]' '[3,3,"0/100"]'
}

@test "a table that is behind, in each state, and notes of a walpipe that knew none" {
    pg_sql src "create table a (id int primary key); create table \"B\" (id int primary key);
        create table c (id int primary key); create table d (id int primary key); create publication p for all tables"
    write_conf "shards = 2"
    note_tables 2
    for shard in 0 1; do
        note a a $shard resync ''
        note '"B"' '"B"' $shard streaming ''
        note c c $shard out-resync ''
        note d d $shard streaming ''
    done
    # one worker's note counts, whatever the other one's says
    pg_sql dst "update walpipe.tables set behind = true where name <> 'd' and shard = 1 and relid <> 0"
    says '.sinks[0].tables | map([.table, .behind])' '[["a",true],["c",true],["B",true],["d",false]]'
    run -0 "$walpipe" tables -c "$conf"
    grep -x 'public.a is behind: .* until the resync ends, which removes these rows' <<<"$output"
    grep -x 'public.c is behind: .* until the table is published again, .*, and its resync ends' <<<"$output"
    grep -x 'public."B" is behind: .* until you run walpipe resync --sink dst --table '"'public.\"B\"'"'$' <<<"$output"
    [ "$(grep -c 'is behind' <<<"$output")" = 3 ]
    pg_sql dst "alter table walpipe.tables drop behind"
    says '.sinks[0].tables | map([.table, .behind])' '[["a",false],["c",false],["B",false],["d",false]]'
}

@test "partitions through their root: each counts, and one that no worker knows is waiting" {
    pg_sql src "create table root (id int primary key, v text) partition by range (id);
        create table low partition of root for values from (0) to (1000);
        create table high partition of root for values from (1000) to (2000);
        create table empty (id int primary key) partition by range (id);
        alter table low set (fillfactor = 10); alter table low alter v set storage plain;
        alter table high set (fillfactor = 10); alter table high alter v set storage plain;
        insert into root select n, repeat('x', 7000) from generate_series(900, 1099) n;
        create publication p for table root, empty with (publish_via_partition_root)"
    write_conf
    note_tables
    says '.sinks[0].tables | map([.table, .state, .size_bytes / 8192])' '[["empty","waiting",0],["root","waiting",200]]'
    # a change came before the list of parts
    note root 0 0 copying '' 0
    says '.sinks[0].tables[0] | [.table, .state, .percent]' '["root","copying",0]'
    pg_sql dst "delete from walpipe.tables where name = 'root'"
    note root low 0 streaming '(0,0)-'
    says '.sinks[0].tables[0] | [.table, .state, .percent]' '["root","copying",50]'
    note root high 0 copying '(0,0)-(50,0)'
    says '.sinks[0].tables[0] | [.table, .state, .percent]' '["root","copying",75]'
    pg_sql dst "update walpipe.tables set state = 'streaming' where name = 'root'"
    says '.sinks[0].tables[1] | [.table, .state, .percent]' '["root","streaming",100]'
}

@test "a table that is locked is as large as when it was last analyzed" {
    big a
    pg_sql src "analyze a; insert into a select n, repeat('x', 7000) from generate_series(101, 200) n;
        create publication p for table a"
    write_conf
    note_tables
    says '.sinks[0].tables[0].size_bytes / 8192' 200
    coproc psql -XAtq -d "$(pg_conninfo src)" 3>&-
    echo "begin; lock table a; select 'locked';" >&"${COPROC[1]}"
    read -r answer <&"${COPROC[0]}"
    [ "$answer" = locked ]
    says '.sinks[0].tables[0].size_bytes / 8192' 100
    note a a 0 copying '(0,0)-(150,0)'
    says '.sinks[0].tables[0] | [.copied_bytes / 8192, .percent]' '[150,100]'
    echo "\\q" >&"${COPROC[1]}"
}

@test "a target that does not answer, that refuses, and a role that may not read the notes" {
    pg_sql src "create table a (id int primary key); create publication p for table a"
    write_conf "[sink other]" "type = pg" "conninfo = $(pg_conninfo dst) connect_timeout=2"
    note_tables
    sed -i '/^\[sink dst\]/,/^conninfo/s/dbname=postgres/dbname=nowhere/' "$conf"
    run -100 --separate-stderr "$walpipe" tables -c "$conf"
    [[ "${lines[0]}" == "sink dst: not known: "*nowhere* ]]
    [[ "$output" == *"sink other: 1 of 1 tables streaming"* ]]
    pg_sql dst "create role reader login; revoke all on schema walpipe from public"
    sed -i 's/dbname=nowhere/dbname=postgres/; s/user=postgres/user=reader/' "$conf"
    sed -i '/^\[source\]/,/^slot/s/user=reader/user=postgres/' "$conf"
    run -100 --separate-stderr "$walpipe" tables -c "$conf"
    [[ "${lines[0]}" == "sink dst: not known: could not look for walpipe's tables in the target: permission denied"* ]]
    # no publication of that name
    sed -i 's/user=reader/user=postgres/; s/^publication = p/publication = q/' "$conf"
    says '[.source.known, (.sinks[0].tables | length)]' '[true,0]'
}

@test "a ClickHouse sink: before, during and after a copy, in status too; the target away" {
    ch_new ch
    # its user has a password, which only the environment has
    sed -i 's#<password></password>#<password>secret</password>#' "$SCRATCH/ch/users.xml"
    ch_stop ch
    ch_start ch
    export WALPIPE_CH_PASSWORD=secret
    pg_sql src "create table t (id int primary key, v text);
        insert into t select n, repeat(md5(n::text), 10) from generate_series(1, 120000) n;
        create table small (id int primary key); insert into small values (1), (2);
        create publication p for table t, small"
    cat >"$conf" <<CONF
[pipeline]
name = x
state_dir = $SCRATCH/state
copy_rate = 2000000
[source]
conninfo = $(pg_conninfo src)
slot = s
publication = p
[sink olap]
type = ch
url = $(ch_url ch)
database = default
user = default
create_tables = yes
copy = yes
shards = 2
CONF
    # nothing has begun, and nothing is made
    says '.sinks[0] | [.known, .lsn, .tables_total, .tables_streaming, (.tables | map(.state) | unique)]' \
        '[true,null,2,0,["waiting"]]'
    [ "$(curl -sS --noproxy '*' "$(ch_url ch)/?password=secret&query=SELECT+count()+FROM+system.tables+WHERE+database='default'")" = 0 ]
    pipeline_start "$conf"
    wait_until 60 status_says '.copies[0] | .tables_total == 2 and
        (.tables[] | select(.table == "t") | .state == "copying" and .percent > 0 and .percent < 100)'
    tables '.sinks[0].tables[] | select(.table == "t") | [.table, .state, .percent > 0, .rows > 0, .since_lsn != null, .copied_by_walpipe]' >"$SCRATCH/said"
    [ "$(cat "$SCRATCH/said")" = '["t","copying",true,true,true,true]' ]
    "$walpipe" status -c "$conf" >"$SCRATCH/text"
    grep -q '^sink olap: [01] of 2 tables streaming, [0-9.]* % of .* copied' "$SCRATCH/text" || { cat "$SCRATCH/text"; return 1; }
    wait_until 120 status_says '.copies == []'
    caught_up "$conf" src s
    says '.sinks[0] | [.lsn != null, .tables_total, .tables_streaming, (.tables | map([.table, .state, .percent, .rows, .missing_keys]))]' \
        '[true,2,2,[["small","streaming",100,2,0],["t","streaming",100,120000,0]]]'
    pipeline_stop "$conf"
    WALPIPE_CH_PASSWORD=wrong run -100 --separate-stderr "$walpipe" tables -c "$conf"
    [[ "$output" == "sink olap: not known: "*"password"* ]]
    ch_stop ch
    run -111 --separate-stderr "$walpipe" tables -c "$conf"
    [[ "$output" == "sink olap: not known: could not ask ClickHouse for its version: "* ]]
}
