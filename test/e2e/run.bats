#!/usr/bin/env bats
# walpipe run and its other commands on real servers: one source, a PostgreSQL target and an exec
# sink (exec_sink.py) side by side.

bats_require_minimum_version 1.5.0

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    pg_new src "wal_sender_timeout=5s" max_replication_slots=40
    pg_new dst
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

# Each test has databases, a slot and a state directory of its own.
setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    walpipe=$WALPIPE_BIN/walpipe
    db=t$BATS_TEST_NUMBER
    dir=$SCRATCH/$db
    conf=$dir/walpipe.conf
    out=$dir/exec.out
    mkdir "$dir"
    pg_sql src "CREATE DATABASE $db"
    pg_sql dst "CREATE DATABASE $db"
    for server in src dst; do
        pg_sql $server "CREATE TABLE t (id int PRIMARY KEY, v text)" "$db"
    done
    pg_sql src "CREATE PUBLICATION p FOR ALL TABLES" "$db"
    write_conf "$(exec_sink)"
}

teardown() {
    [ -z "${run_pid:-}" ] || end_process "$run_pid" KILL 5
    [ -z "${BATS_ERROR_STATUS:-}" ] || tail -n 40 "$dir"/log* 2>/dev/null
}

exec_sink() {
    echo "exec /usr/bin/python3 $BATS_TEST_DIRNAME/exec_sink.py $out"
}

write_conf() {
    cat >"$conf" <<EOF
[pipeline]
name = $db
state_dir = $dir/state
copy = no
log_level = debug
[source]
conninfo = $(pg_conninfo src "$db") password=quellgeheim
slot = $db
publication = p
[sink dst]
type = pg
conninfo = $(pg_conninfo dst "$db") password=zielgeheim
flush_interval = 50ms
[sink audit]
type = exec
command = $1
EOF
}

start() {
    setsid "$walpipe" run -c "$conf" >"$dir/out" 2>>"$dir/log" 3>&- &
    run_pid=$!
    kill_later "$run_pid"
}

logged() {
    grep -q -- "$1" "$dir/log"
}

streaming() {
    [ "$(grep -c "all 2 workers are registered" "$dir/log")" -ge "${1:-1}" ]
}

# ends CODE [SECONDS]: walpipe ends with it.
ends() {
    local code=0
    wait_until "${2:-20}" process_gone "$run_pid"
    wait "$run_pid" || code=$?
    run_pid=
    [ "$code" -eq "$1" ] || {
        echo "exit code $code, expected $1"
        return 1
    }
}

insert() {
    pg_sql src "INSERT INTO t SELECT g, 'v' || g FROM generate_series($1, $2) g" "$db"
}

# Every row is in both targets, once.
arrived() {
    [ "$(pg_sql dst "SELECT count(*), count(DISTINCT id), max(id) FROM t" "$db")" = "$1|$1|$1" ] &&
        [ "$(grep -c insert "$out")" -eq "$1" ] &&
        [ "$(grep insert "$out" | sort -u | wc -l)" -eq "$1" ]
}

slot() {
    pg_sql src "SELECT $1 FROM pg_replication_slots WHERE slot_name = '$db'"
}

slot_is_free() {
    [ "$(slot active)" = f ]
}

child() {
    pgrep -P "$run_pid" -f "^($1 |[^ ]*python3 [^ ]*$1)"
}

# The relation events of a stream that may still be growing.
relations() {
    "$WALPIPE_BIN/evcat" <"$1" 2>/dev/null | jq -cS 'select(.type == "relation")' | sort
}

# ---- ends ----

@test "run replicates, drains on SIGTERM, and the next run goes on where it stopped" {
    start
    wait_until 20 streaming
    insert 1 100
    wait_until 20 arrived 100
    insert 101 20000
    kill -TERM "$run_pid"
    ends 0
    run ! logged "killed"
    # all that the targets have is confirmed: nothing comes twice
    local last
    last=$(grep ^commit "$out" | tail -n 1 | cut -d ' ' -f 2)
    [ "$(pg_sql src "SELECT confirmed_flush_lsn - '0/0'::pg_lsn >= $last FROM pg_replication_slots
         WHERE slot_name = '$db'")" = t ]
    insert 20001 20100
    start
    wait_until 20 arrived 20100
    kill -INT "$run_pid"
    ends 0
}

@test "SIGTERM to the whole process group under load: exit 0, nothing is replayed (trap 142)" {
    start
    wait_until 20 streaming
    for i in 1 2 3 4 5; do insert $((i * 2000 - 1999)) $((i * 2000)); done
    kill -TERM -- "-$run_pid"
    ends 0
    run ! logged '"level":"error"'
    start
    wait_until 20 arrived 10000
}

@test "SIGTERM to pg-wal-read alone drains as well" {
    start
    wait_until 20 streaming
    insert 1 100
    wait_until 20 arrived 100
    kill -TERM "$(child pg-wal-read)"
    ends 0
}

@test "kill -9 of walpipe leaves no process, the slot is free and the next start has it all (trap 143)" {
    start
    wait_until 20 streaming
    insert 1 5000
    local pids
    pids=$(pgrep -P "$run_pid")
    [ "$(wc -w <<<"$pids")" -eq 6 ]
    kill -9 "$run_pid"
    for pid in $pids; do
        wait_until 5 process_gone "$pid"
    done
    wait_until 10 slot_is_free
    start
    wait_until 20 arrived 5000
}

@test "SIGTERM while the slot is in use by another process: exit 0 at once" {
    pg_sql src "SELECT pg_create_logical_replication_slot('$db', 'pgoutput')" "$db"
    "$(pg_bindir)/pg_recvlogical" -d "$(pg_conninfo src "$db")" --slot "$db" --start -f /dev/null \
        -o proto_version=1 -o publication_names=p 2>/dev/null 3>&- &
    local other=$!
    kill_later "$other"
    wait_until 10 eval '[ "$(slot active)" = t ]'
    start
    wait_until 20 logged "slot .*${db}"
    kill -TERM "$run_pid"
    ends 0 4
    kill "$other"
}

@test "a second walpipe takes over when the first one is gone" {
    start
    wait_until 20 streaming
    insert 1 10
    wait_until 20 arrived 10
    local first=$run_pid
    sed "s,$dir/state,$dir/state2,; s,_sink.py $out,_sink.py $out," "$conf" >"$dir/second.conf"
    conf=$dir/second.conf
    start
    wait_until 20 eval "[ \$(pgrep -P $run_pid | wc -l) -eq 6 ]"
    wait_until 20 eval '"$walpipe" status -c "$conf" | grep -q "^source      STANDBY: "'
    "$walpipe" status -c "$conf" --json | jq -e '.lag_bytes == null and .received_lsn == null and
        .safe_lsn == null and all(.workers[]; .lag_bytes == null and .reached_lsn == null)'
    kill -TERM "$first"
    wait_until 10 process_gone "$first"
    insert 11 20
    wait_until 20 arrived 20
}

# ---- failures ----

@test "each program killed with -9 in turn: one restart each, nothing lost, nothing twice" {
    start
    wait_until 20 streaming
    local n=0
    for name in ackd sink-pg exec_sink route pgout-decode pg-wal-read; do
        n=$((n + 1))
        insert $((n * 1000 - 999)) $((n * 1000 - 500)) &
        local load=$!
        kill -9 "$(child "$name")"
        wait "$load"
        wait_until 30 streaming $((n + 1))
        insert $((n * 1000 - 499)) $((n * 1000))
        wait_until 20 arrived $((n * 1000))
    done
    [ "$(grep -c 'the pipeline ended because' "$dir/log")" -eq "$n" ]
    [ "$("$walpipe" status -c "$conf" --json | jq .restarts)" -eq "$n" ]
    kill -TERM "$run_pid"
    ends 0
}

@test "the source goes down and comes back: one restart, which waits until it is there" {
    start
    wait_until 20 streaming
    insert 1 10
    wait_until 20 arrived 10
    pg_stop src immediate
    # the bug was that status failed while the source was away, and its log had 112 lines in 30 s
    for _ in 1 2 3; do
        run -0 "$walpipe" status -c "$conf"
    done
    wait_until 20 eval '"$walpipe" status -c "$conf" | grep "^source      WAITING: could not connect: "'
    run -0 "$walpipe" status -c "$conf"
    [[ $output == *"received    -"*" behind what was last seen of the source"*"slot        -"* ]]
    "$walpipe" status -c "$conf" --json |
        jq -e '.received_lsn == null and .slot == null and (.safe_lsn | type) == "string" and
            (.lag_bytes | type) == "number" and .run_id == null and
            all(.workers[]; .reached_lsn == null and .lag_bytes < 100000 and .state == "not connected")'
    wait_until 20 logged "waiting for the source: could not connect"
    # the bug was that another program than the one that lost its server was named, without a reason
    grep 'the pipeline ended because' "$dir/log" | tee /dev/stderr |
        jq -se 'length == 1 and (.[0].message |
            test("^the pipeline ended because pg-wal-read [^:]* exit code 111: could not (go on streaming|read from the source): "))'
    pg_start src
    wait_until 40 logged "connected to the source after "
    insert 11 20
    wait_until 40 arrived 20
    [ "$("$walpipe" status -c "$conf" --json | jq .restarts)" -eq 1 ]
    [ "$(grep -c "waiting for the source" "$dir/log")" -eq 1 ]
}

@test "the source is down at the start; SIGTERM meanwhile ends with 0" {
    sed -i "s/port=$(pg_port src)/port=1/" "$conf"
    start
    wait_until 20 logged "waiting for the source"
    kill -TERM "$run_pid"
    ends 0 4
    run ! logged "restarting the pipeline"
}

@test "a target that goes down is waited for, without a restart" {
    start
    wait_until 20 streaming
    pg_stop dst immediate
    insert 1 10
    wait_until 20 eval '"$walpipe" status -c "$conf" | grep -q "target down"'
    # the exec sink, which says no commit time, has everything; the other one's state grows old
    wait_until 20 eval '"$walpipe" status -c "$conf" --json | jq -e ".lag_seconds > 2 and
        (.workers[] | select(.sink == \"dst\").lag_seconds > 2)"'
    pg_start dst
    wait_until 40 arrived 10
    wait_until 20 eval '"$walpipe" status -c "$conf" --json | jq -e ".lag_seconds == 0"'
    run ! logged "restarting"
    run -0 "$walpipe" status -c "$conf"
    [[ $output == *"last error  20"*"Z, sink dst/0: "* ]]
}

@test "the bug was that a target down since the start was as far behind as 0/0" {
    start
    wait_until 20 streaming
    kill -TERM "$run_pid"
    ends 0
    pg_stop dst immediate
    start
    insert 1 100
    wait_until 20 eval '"$walpipe" status -c "$conf" --json |
        jq -e "(.workers[0] | .reached_lsn == null and .lag_bytes > 0 and .lag_bytes < 1000000 and
            .state == \"not connected\") and .lag_bytes < 1000000"'
    pg_start dst
    wait_until 40 arrived 100
}

@test "a target that is down keeps SIGTERM waiting; a second SIGTERM does not, and nothing is lost" {
    start
    wait_until 20 streaming
    pg_stop dst immediate
    insert 1 10
    wait_until 20 eval '"$walpipe" status -c "$conf" | grep -q "target down"'
    kill -TERM "$run_pid"
    wait_until 5 logged "draining the pipeline"
    kill -TERM "$run_pid" # the same signal once more, as timeout(1) sends it
    sleep 2.2 # longer than the time in which a second signal counts as the first
    process_alive "$run_pid"
    kill -TERM "$run_pid"
    ends 111 5
    pg_start dst
    start
    wait_until 40 arrived 10
}

@test "what only a person can mend is exit 100, without a restart" {
    sed -i 's/^publication = p/publication = missing/' "$conf"
    start
    ends 100
    logged 'publication \\"missing\\" does not exist'
    run ! logged "restarting"
}

@test "a missing target table: exit 100 with its name, and nothing is lost" {
    start
    wait_until 20 streaming
    pg_sql src "CREATE TABLE later (id int PRIMARY KEY)" "$db"
    pg_sql src "INSERT INTO later VALUES (1)" "$db"
    ends 100
    # the reason and its hint once more at the end, and not that of a bystander
    tail -n 1 "$dir/log" | tee /dev/stderr |
        jq -e '.message | test("^the pipeline ended because sink dst/0 .* exit code 100: there is no table public.later in the target database")'
    # and afterwards in status, also when all is well again
    run "$walpipe" status -c "$conf"
    [[ ${lines[0]} == *"sink dst/0: there is no table public.later in the target database"* ]]
    pg_sql dst "CREATE TABLE later (id int PRIMARY KEY)" "$db"
    start
    wait_until 20 eval '[ "$(pg_sql dst "SELECT id FROM later" "$db")" = 1 ]'
    "$walpipe" status -c "$conf" --json | tee /dev/stderr |
        jq -e '.last_error | .program == "sink dst/0" and .exit_code == 100 and (.hint | length > 0) and
            (.message | startswith("there is no table public.later"))'
}

# ---- secrets ----

@test "no password in any command line or log (trap 146)" {
    start
    wait_until 20 streaming
    for pid in "$run_pid" $(pgrep -P "$run_pid"); do
        run ! grep -a geheim "/proc/$pid/cmdline"
    done
    grep -qaz '^PGPASSWORD=zielgeheim$' "/proc/$(child sink-pg)/environ"
    for name in ackd route pgout-decode; do
        run ! grep -a PGPASSWORD "/proc/$(child "$name")/environ"
    done
    run ! grep geheim "$dir/log"
}

# ---- print, status, check, drop ----

# As the script's comment says; and evcat looks on.
take_tees() {
    sed -i "s,# tee -i wal.bin |,tee -i $dir/wal.bin |,
        s,# tee -i events.bin |,tee -i $dir/events.bin >(evcat >$dir/seen) |," "$dir/script"
}

@test "the bug was that Ctrl-C ended tee and evcat, and so cut the stream" {
    "$walpipe" print -c "$conf" >"$dir/script"
    take_tees
    local code=0
    WALPIPE_SOURCE_PASSWORD=x WALPIPE_DST_PASSWORD=x /usr/bin/python3 \
        "$BATS_TEST_DIRNAME/../lib/on_pty.py" "$dir/log" bash "$dir/script" 3>&- &
    run_pid=$!
    kill_later "$run_pid"
    wait_until 20 streaming
    insert 1 100
    wait_until 20 arrived 100
    insert 101 20000
    kill -USR1 "$run_pid"
    ends 0
    "$WALPIPE_BIN/pgout-decode" <"$dir/wal.bin" 2>/dev/null | cmp - "$dir/events.bin"
    "$WALPIPE_BIN/evcat" <"$dir/events.bin" | cmp - "$dir/seen"
    [ "$(tail -n 1 "$dir/seen")" = '{"type":"end","reason":"drain"}' ]
    # what was read before Ctrl-C is durable and confirmed: the next start repeats nothing
    [ "$(pg_sql dst "SELECT count(*) FROM t" "$db")" = "$(grep -c '"type":"insert"' "$dir/seen")" ]
    wait_until 10 slot_is_free
    start
    wait_until 20 arrived 20000
}

@test "print: the script replicates and drains on SIGTERM to pg-wal-read" {
    "$walpipe" print -c "$conf" >"$dir/script"
    take_tees
    local pid code=0
    WALPIPE_SOURCE_PASSWORD=x WALPIPE_DST_PASSWORD=x bash "$dir/script" 2>"$dir/log" 3>&- &
    pid=$!
    kill_later "$pid"
    wait_until 20 streaming
    insert 1 100
    wait_until 20 arrived 100
    kill -TERM "$(pgrep -f "^[^ ]*pg-wal-read .*$SCRATCH/.*--slot $db ")"
    wait "$pid" || code=$?
    [ "$code" -eq 0 ]
    # what tee kept is both streams, from hello to end
    "$WALPIPE_BIN/evcat" <"$dir/events.bin" | grep -c insert | grep -x 100
    "$WALPIPE_BIN/pgout-decode" <"$dir/wal.bin" 2>/dev/null | cmp - "$dir/events.bin"
    wait_until 10 slot_is_free
}

@test "print: a script whose target is wrong ends, with every program" {
    pg_sql dst "DROP DATABASE $db"
    "$walpipe" print -c "$conf" >"$dir/script"
    local code=0
    WALPIPE_SOURCE_PASSWORD=x WALPIPE_DST_PASSWORD=x timeout 30 bash "$dir/script" \
        2>"$dir/log" 3>&- || code=$?
    [ "$code" -eq 111 ]
    wait_until 5 eval "! pgrep -f -- '$dir/state'"
}

@test "status: a table, and the same as JSON" {
    start
    wait_until 20 streaming
    insert 1 100
    wait_until 20 arrived 100
    run "$walpipe" status -c "$conf"
    [ "$status" -eq 0 ]
    [[ $output == *"pipeline    $db, run "*"source      connected: database $db, slot $db"* ]]
    [[ $output == *"dst/0 "*" ok"*"audit/0 "*" ok"* ]]
    "$walpipe" status -c "$conf" --json >"$dir/json"
    jq -e --arg db "$db" '.pipeline == $db and .source.alive and .slot.wal_status == "reserved" and
        (.workers | length == 2 and all(.registered and .target_alive and .events == 100 and
         .events_per_second == 0))' "$dir/json"
}

# page_says FILTER: the last answer of /status.json, in $SCRATCH/status.json, passes jq's filter.
page_says() {
    curl -sf --noproxy '*' "http://$http/status.json" >"$SCRATCH/status.json" &&
        jq -e "$1" "$SCRATCH/status.json" >/dev/null
}

@test "the status page of a real pipeline, its JSON, and the programs in the metrics" {
    local http
    http=127.0.0.1:$(port_new)
    sed -i "s/^name = .*/&\nhttp = $http/" "$conf"
    start
    wait_until 20 streaming
    insert 1 100
    wait_until 20 arrived 100
    wait_until 20 page_says '.healthy and .lag_seconds == 0 and .source.waits == "upstream" and
        (.workers | length == 2 and .[0].events == 100 and all(.[]; .waits == "upstream"))'
    jq -e '[.programs[] | .name + (if .sink then " " + .sink else "" end)] | sort ==
        ["ackd", "pg-wal-read", "pgout-decode", "python3 audit", "route", "sink-pg dst", "walpipe"]' "$SCRATCH/status.json"
    wait_until 10 page_says '.tables == [{sink: "dst", table: "public.t", state: "", inserts: 100, updates: 0, deletes: 0, truncates: 0}]'
    jq -e 'all(.programs[]; .resident_bytes > 100000) and any(.programs[]; .cpu_millis > 0)' "$SCRATCH/status.json"
    curl -sf --noproxy '*' "http://$http/metrics" >"$SCRATCH/metrics"
    grep -q "^replicator_program_cpu_seconds_total{pipeline=\"$db\",program=\"route\"} [0-9.]*\$" "$SCRATCH/metrics"
    grep -q "^replicator_program_resident_memory_bytes{pipeline=\"$db\",sink=\"dst\",shard=\"0\",program=\"sink-pg\"} [0-9]*\$" "$SCRATCH/metrics"
    grep -Fxq "replicator_table_changes_total{pipeline=\"$db\",sink=\"dst\",table=\"public.t\",kind=\"insert\"} 100" "$SCRATCH/metrics"
    grep -Fxq "replicator_waiting{pipeline=\"$db\",sink=\"dst\",shard=\"0\",for=\"upstream\"} 1" "$SCRATCH/metrics"
    run ! grep -q geheim "$SCRATCH/metrics" "$SCRATCH/status.json"
    # a target that is down, tried again and again
    pg_stop dst immediate
    insert 101 200
    wait_until 20 page_says '(.healthy | not) and (.workers[0] | .state == "target down" and .waits == "target" and
        .target_message != "") and (.errors[0].program == "sink dst/0")'
    wait_until 20 eval 'curl -sf --noproxy "*" "http://$http/metrics" |
        grep -Eq "^replicator_target_retries_total\{.*sink=\"dst\",shard=\"0\"\} ([2-9]|[0-9][0-9]+)\$"'
    pg_start dst
    wait_until 40 page_says '.healthy and .workers[0].reconnects == 1 and .workers[0].events == 200'
    pg_sql src "BEGIN; UPDATE t SET v = 'x' WHERE id <= 7; DELETE FROM t WHERE id > 195; COMMIT; TRUNCATE t" "$db"
    wait_until 20 page_says '.tables == [{sink: "dst", table: "public.t", state: "", inserts: 200, updates: 7, deletes: 5, truncates: 1}]'
    curl -sf --noproxy '*' "http://$http/" | grep -q '<title>walpipe</title>'
}

@test "check: all is well, before the first start and while it runs" {
    run "$walpipe" check -c "$conf"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output != *FAIL* ]]
    grep -x "ok    replica identity: 1 published table(s), 0 with identity full" <<<"$output"
    grep "^ok    sink dst: " <<<"$output"
    grep "^ok    sink audit: your own program, not tested: " <<<"$output"
    [ ! -e "$dir/state" ]
    [ -z "$(slot slot_name)" ]
    start
    wait_until 20 streaming
    run "$walpipe" check -c "$conf"
    [ "$status" -eq 0 ]
    grep "^warn  state directory .* a pipeline runs in it now" <<<"$output"
}

@test "check: every table without an identity has a line (trap 47)" {
    pg_sql src "CREATE TABLE keyless (a int);
        CREATE TABLE nothing (id int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING;
        CREATE TABLE deferrable_key (id int PRIMARY KEY DEFERRABLE);
        CREATE TABLE fully (a int); ALTER TABLE fully REPLICA IDENTITY FULL;
        CREATE TABLE by_index (a int NOT NULL UNIQUE);
        ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_a_key" "$db"
    sed -i '/^type = pg/a tables = public.t' "$conf"
    run "$walpipe" check -c "$conf"
    [ "$status" -eq 0 ]
    [ "$(grep -c "^warn  table public\.\(keyless\|nothing\|deferrable_key\) has no replica" \
        <<<"$output")" -eq 3 ]
    [ "$(grep -c "has no replica identity" <<<"$output")" -eq 3 ]
    # only inserts are published: nothing to warn about
    pg_sql src "ALTER PUBLICATION p SET (publish = 'insert')" "$db"
    run "$walpipe" check -c "$conf"
    grep "^ok    replica identity: 6 published table(s), 1 with identity full" <<<"$output"
}

@test "check describes the tables as pgoutput does" {
    pg_sql src "CREATE TYPE mood AS ENUM ('a', 'b'); CREATE DOMAIN happy AS mood;
        CREATE DOMAIN posint AS int CHECK (value > 0); CREATE SCHEMA \"S.1\";
        CREATE TYPE pair AS (x int, y text);
        CREATE TABLE \"S.1\".\"T t\" (id posint, m mood, h happy, ms mood[], p pair, gone int,
            vc varchar(10), n numeric(10, 2), g int GENERATED ALWAYS AS (id * 2) STORED,
            js jsonb, i information_schema.cardinal_number, PRIMARY KEY (vc, id));
        ALTER TABLE \"S.1\".\"T t\" DROP COLUMN gone;
        CREATE TABLE fully (a int, m mood); ALTER TABLE fully REPLICA IDENTITY FULL;
        CREATE TABLE by_index (a int NOT NULL, b int NOT NULL UNIQUE, PRIMARY KEY (a));
        ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_b_key;
        CREATE TABLE some_columns (a int PRIMARY KEY, b int, c mood);
        CREATE TABLE parts (a int PRIMARY KEY, b text) PARTITION BY RANGE (a);
        CREATE TABLE part1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
        DROP PUBLICATION p;
        CREATE PUBLICATION p FOR TABLE t, \"S.1\".\"T t\", fully, by_index, some_columns (c, a), parts
        " "$db"
    # what check says to route
    mkdir "$dir/bin"
    ln -s "$WALPIPE_BIN"/* "$dir/bin/"
    rm "$dir/bin/route"
    printf '#!/bin/sh\ntee %s/said | %s/route "$@"\n' "$dir" "$WALPIPE_BIN" >"$dir/bin/route"
    chmod +x "$dir/bin/route"
    WALPIPE_LIBEXEC=$dir/bin run "$walpipe" check -c "$conf"
    # what the stream says
    pg_sql src "SELECT pg_create_logical_replication_slot('$db', 'pgoutput')" "$db"
    pg_sql src "INSERT INTO t VALUES (1); INSERT INTO \"S.1\".\"T t\" (id, vc) VALUES (1, 'x');
        INSERT INTO fully VALUES (1); INSERT INTO by_index VALUES (1, 2);
        INSERT INTO some_columns VALUES (1, 2, 'a'); INSERT INTO parts VALUES (1)" "$db"
    "$WALPIPE_BIN/pg-wal-read" --conninfo "$(pg_conninfo src "$db")" --slot "$db" --publication p \
        --no-ack 2>"$dir/log" 3>&- | "$WALPIPE_BIN/pgout-decode" >"$dir/stream" 2>>"$dir/log" 3>&- &
    kill_later $!
    wait_until 20 eval "[ \$(relations '$dir/stream' | wc -l) -eq 6 ]"
    relations "$dir/said"
    diff <(relations "$dir/said") <(relations "$dir/stream")
    kill "$(pgrep -f "^[^ ]*pg-wal-read .*$SCRATCH/.*--slot $db ")"
}

@test "check: what is wrong has a FAIL line each, to the last sink, and exit 100" {
    pg_sql src "CREATE TABLE other (id int PRIMARY KEY)" "$db"
    pg_sql dst "ALTER TABLE t DROP COLUMN v" "$db"
    cat >>"$conf" <<EOF
[sink nowhere]
type = pg
conninfo = host=$SCRATCH/none dbname=x
[sink byname]
type = pg
conninfo = $(pg_conninfo dst "$db")
tables = public.other
shards = 2
shard_key = column:nope
EOF
    run "$walpipe" check -c "$conf"
    echo "$output"
    [ "$status" -eq 100 ]
    grep "^FAIL  sink dst: .*other" <<<"$output"
    grep "^FAIL  sink dst: .*\bv\b" <<<"$output"
    grep "^FAIL  sink nowhere: " <<<"$output"
    grep "^FAIL  sink byname: .*other" <<<"$output"
    run ! grep "^FAIL  sink byname: .*public.t\b" <<<"$output"
}

@test "check: a source that cannot be reached" {
    sed -i "s/port=$(pg_port src)/port=1/" "$conf"
    run "$walpipe" check -c "$conf"
    [ "$status" -eq 100 ]
    grep "^FAIL  .*connect" <<<"$output"
    grep "^warn  sink dst: not checked" <<<"$output"
    run ! grep geheim <<<"$output"
}

@test "drop: the slot, the progress rows and the checkpoint are gone; the rows stay" {
    start
    wait_until 20 streaming
    insert 1 10
    wait_until 20 arrived 10
    kill -TERM "$run_pid"
    ends 0
    [ "$(pg_sql dst "SELECT count(*) FROM walpipe.progress" "$db")" -eq 1 ]
    run "$walpipe" drop -c "$conf" <<<y
    echo "$output"
    [ "$status" -eq 0 ]
    [ -z "$(slot slot_name)" ]
    [ "$(pg_sql dst "SELECT count(*) FROM walpipe.progress" "$db")" -eq 0 ]
    [ ! -e "$dir/state/checkpoint" ]
    [ "$(pg_sql dst "SELECT count(*) FROM t" "$db")" -eq 10 ]
    # again: there is nothing left, and that is no error
    run "$walpipe" drop --yes -c "$conf"
    [ "$status" -eq 0 ]
}
