#!/usr/bin/env bats
# pg-table-read alone, on a real PostgreSQL: the rows of its frames are the tables' rows, whatever
# happens to the tables meanwhile.

setup_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    pg_new src
}

teardown_file() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    servers_end
}

setup() {
    source "$BATS_TEST_DIRNAME/../lib/servers.bash"
    source "$BATS_TEST_DIRNAME/../lib/majors.bash"
    cd "$BATS_TEST_TMPDIR" || return 1
    server=src
    db=d$BATS_TEST_NUMBER
    pg_sql src "create database $db"
    reader=
}

teardown() {
    [ -z "$reader" ] || end_process "$reader" KILL 1
    [ -n "${BATS_TEST_COMPLETED:-}" ] || cat log 2>/dev/null
}

sql() {
    pg_sql $server "$1" $db
}

read_tables() {
    "$WALPIPE_BIN/pg-table-read" --conninfo "$(pg_conninfo $server $db)" --publication p "$@" \
        >out 2>log
}

read_tables_to_pipe() {
    "$WALPIPE_BIN/pg-table-read" --conninfo "$(pg_conninfo $server $db)" --publication p \
        --rate 1000000 2>log
}

start_reading() {
    "$WALPIPE_BIN/pg-table-read" --conninfo "$(pg_conninfo $server $db)" --publication p "$@" \
        >out 2>log 3>&- &
    reader=$!
}

frames() {
    "$WALPIPE_BIN/evcat" <out >frames.json 2>evcat.err
}

# The rows of table $1, a JSON array of texts each, from its last life and that life's last file.
rows_of() {
    jq -c --arg table "$1" '
        if .type == "table" and .schema + "." + .name == $table then {begins: .life} else empty end' \
        frames.json | tail -n 1 >life.json
    jq -cn --slurpfile life life.json '
        [inputs] as $all | $life[0].begins as $n
        | [$all[] | select(.type == "range" and .life == $n)] as $ranges
        | ($ranges | last | .file) as $file
        | ([$ranges[] | select(.file == $file) | .number]) as $numbers
        | $all[] | select(.type == "rows" and .life == $n)
        | select(.number as $k | $numbers | index($k)) | .rows[] | [.[]]' frames.json | LC_ALL=C sort
}

# The same as the source has them: columns $2 of $1 (and what else a query needs).
rows_in_source() {
    sql "select jsonb_build_array($2) from $1" | jq -c . | LC_ALL=C sort
}

same_rows() {
    rows_of "$1" >copied
    rows_in_source "${3:-only $1}" "$2" >expected
    diff copied expected >difference || {
        head -n 5 difference
        return 1
    }
}

@test "rows of every shape, over several ranges and connections" {
    sql "create table many (id int primary key, v text);
         insert into many select g, repeat('x', 200) from generate_series(1, 60000) g;
         create table odd (\"Key \"\"q\" text primary key, \"select\" text);
         insert into odd values ('a', null), ('b', ''), ('c', E'tab\tback\\\\slash\nline\r\b\f\v'),
           ('d', '\\N'), ('e', 'ü 漢字');
         create table empty (id int primary key);
         create publication p for all tables"
    read_tables --workers 3
    frames
    [ "$(jq -c 'select(.type == "range") | .number' frames.json | wc -l)" -gt 4 ]
    same_rows public.many "id::text, v"
    same_rows public.odd '"Key ""q", "select"'
    same_rows public.empty "id::text"
    [ "$(jq -r 'select(.type == "table end") | .kind' frames.json | sort | uniq -c | xargs)" = "3 d" ]
}

@test "a range of more than 4 MiB is cut, and the next goes on behind it" {
    sql "create table t (id int primary key, v text); alter table t alter v set storage external;
         insert into t select g, repeat(md5(g::text), 3000) from generate_series(1, 150) g;
         create publication p for table t"
    read_tables --workers 2
    frames
    [ "$(jq -c 'select(.type == "range") | .number' frames.json | wc -l)" -ge 3 ]
    same_rows public.t "id::text, v"
}

# The ranges of COPYs without ctids begin with a block, those that are cut behind a row do not.
@test "blocks that have far more bytes than those before are read again, and cut behind rows" {
    sql "create table t (id int primary key, v text); alter table t alter v set storage external;
         insert into t select g, repeat('x', 200) from generate_series(1, 40000) g;
         insert into t select g, repeat(md5(g::text), 3000) from generate_series(40001, 40150) g;
         insert into t select g, repeat('x', 200) from generate_series(40151, 60000) g;
         create publication p for table t"
    read_tables --workers 2
    frames
    same_rows public.t "id::text, v"
    jq -r 'select(.type == "range") | .from' frames.json >from
    [ "$(grep -c ',0)$' from)" -gt 30 ]
    [ "$(grep -vc ',0)$' from)" -gt 2 ]
}

# behind_page_header: nothing was written behind the switch to another segment.
behind_page_header() {
    [ "$(sql "select (pg_current_wal_insert_lsn() - '0/0') % pg_size_bytes(current_setting('wal_segment_size'))")" = 40 ]
}

read_behind_page_header() {
    sql "checkpoint"
    sql "select pg_switch_wal()" >/dev/null
    behind_page_header && read_tables && behind_page_header
}

@test "the bug was that behind a page's header the marks of ranges were lower than their floor" {
    sql "create table t (id int primary key); insert into t values (1); create publication p for table t"
    wait_until 60 read_behind_page_header
    frames
    jq -e 'select(.type == "range") | .mark, .floor' frames.json | sort -u >marks
    cat marks
    [ "$(wc -l <marks)" = 1 ]
}

@test "row filters, column lists, generated columns, inheritance" {
    sql "create table f (id int primary key, v int, w text);
         insert into f select g, g % 10, 'w' from generate_series(1, 1000) g;
         create table g (id int primary key, twice int generated always as (id * 2) stored);
         insert into g values (1), (2);
         create table parent (id int primary key); create table child (primary key (id)) inherits (parent);
         insert into parent values (1); insert into child values (2);
         create publication p for table f (id, v) where (v < 2), g, parent, child;
         create publication q for table f (id, v) where (v = 7)"
    read_tables --publication q
    frames
    same_rows public.f "id::text, v::text" "f where v < 2 or v = 7"
    same_rows public.g "id::text"
    same_rows public.parent "id::text"
    same_rows public.child "id::text"
}

@test "partitions, published as their root and by themselves" {
    sql "create table r (id int, v text, primary key (id)) partition by hash (id);
         create table r0 partition of r for values with (modulus 2, remainder 0);
         create table r1 (v text, gone int, id int not null primary key);
         alter table r1 drop gone;
         alter table r attach partition r1 for values with (modulus 2, remainder 1);
         insert into r select g, 'v' || g from generate_series(1, 500) g;
         create publication p for table r with (publish_via_partition_root = true)"
    read_tables
    frames
    [ "$(jq -c 'select(.type == "table") | [.name, .life]' frames.json | xargs)" = '[r,1] [r,2]' ]
    jq -c 'select(.type == "rows") | .rows[] | [.[]]' frames.json | LC_ALL=C sort >copied
    rows_in_source r "id::text, v" | diff - copied
    sql "alter publication p set (publish_via_partition_root = false)"
    read_tables
    frames
    same_rows public.r0 "id::text, v"
    same_rows public.r1 "v, id::text"
}

waits_for_transactions() {
    grep -q 'life 1 begins' log && [ "$(pg_sql src "select count(*) from pg_stat_activity
        where application_name = 'walpipe copy' and query like '%pg_locks%'" $db)" = 1 ]
}

@test "no range is read before a transaction has ended that wrote" {
    sql "create table t (id int primary key); insert into t values (1); create publication p for table t"
    mkfifo session
    psql -Xq "$(pg_conninfo src $db)" <session 3>&- &
    exec 5>session
    echo "begin; insert into t values (2);" >&5
    wait_until 10 writes_to_t
    start_reading --log-level debug
    wait_until 20 waits_for_transactions
    [ "$(grep -c ' rows' log)" = 0 ]
    echo "commit;" >&5
    exec 5>&-
    wait "$reader"
    frames
    same_rows public.t "id::text"
}

writes_to_t() {
    [ "$(sql "select count(*) from pg_locks where relation = 't'::regclass and mode = 'RowExclusiveLock'")" = 1 ]
}

has_read_some() {
    [ -s out ] && "$WALPIPE_BIN/evcat" <out 2>/dev/null | grep -q '"type":"range"'
}

@test "a table that is rewritten, or gets a column, is read again" {
    sql "create table t (id int primary key, v text);
         insert into t select g, repeat('x', 200) from generate_series(1, 60000) g;
         create publication p for table t"
    start_reading --rate 3000000 --workers 2
    wait_until 20 has_read_some
    sql "delete from t where id % 3 = 0; vacuum full t" 2>/dev/null || {
        sql "delete from t where id % 3 = 0"
        sql "vacuum full t"
    }
    wait "$reader"
    frames
    [ "$(jq 'select(.type == "range") | .file' frames.json | sort -u | wc -l)" = 2 ]
    same_rows public.t "id::text, v"
    start_reading --rate 1500000 --workers 2
    wait_until 20 has_read_some
    sql "alter table t add w int default 7"
    wait "$reader"
    frames
    [ "$(jq -r 'select(.type == "table end") | .kind' frames.json | xargs)" = "a d" ]
    same_rows public.t "id::text, v, w::text"
}

@test "a lock on the table is waited for" {
    sql "create table t (id int primary key, v text);
         insert into t select g, repeat('x', 200) from generate_series(1, 60000) g;
         create publication p for table t"
    start_reading --rate 3000000 --workers 1
    wait_until 20 has_read_some
    psql -Xq "$(pg_conninfo src $db)" -c "begin; lock table t" -c "select pg_sleep(600)" >/dev/null 3>&- &
    wait_until 20 grep -q 'lock timeout' log
    sql "select pg_terminate_backend(pid) from pg_stat_activity where query like 'select pg_sleep%'
         and datname = '$db'" >/dev/null
    wait "$reader"
    frames
    same_rows public.t "id::text, v"
}

@test "what a person must mend: rights, row security, an option" {
    sql "create table t (id int primary key); insert into t values (1); create publication p for table t;
         create role poor$BATS_TEST_NUMBER login"
    status=0
    "$WALPIPE_BIN/pg-table-read" --conninfo "$(pg_conninfo src $db) user=poor$BATS_TEST_NUMBER" \
        --publication p >out 2>log || status=$?
    [ "$status" = 100 ]
    grep -q 'permission denied for table t' log && grep -q 'SELECT on' log
    sql "grant select on t to poor$BATS_TEST_NUMBER; alter table t enable row level security"
    status=0
    "$WALPIPE_BIN/pg-table-read" --conninfo "$(pg_conninfo src $db) user=poor$BATS_TEST_NUMBER" \
        --publication p >out 2>log || status=$?
    [ "$status" = 100 ]
    grep -q 'BYPASSRLS' log
    run "$WALPIPE_BIN/pg-table-read" --conninfo "$(pg_conninfo src $db)"
    [ "$status" = 100 ]
}

@test "SIGTERM ends the stream; a reader or a server that is gone is 111" {
    sql "create table t (id int primary key, v text);
         insert into t select g, repeat('x', 200) from generate_series(1, 90000) g;
         create publication p for table t"
    start_reading --rate 100000 --workers 1
    wait_until 20 has_read_some
    kill -TERM "$reader"
    wait "$reader"
    frames
    [ "$(jq -r 'select(.type == "end") | .reason' frames.json)" = drain ]
    {
        read_tables_to_pipe || echo "$?" >code
    } | head -c 1000 >/dev/null
    [ "$(cat code)" = 111 ]
    start_reading --rate 100000 --workers 1
    wait_until 20 has_read_some
    sql "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'walpipe copy'" >/dev/null
    status=0
    wait "$reader" || status=$?
    [ "$status" = 111 ]
}

@test "a source of PostgreSQL 13 and of 18" {
    major_or_skip 13
    major_or_skip 18
    for major in 13 18; do
        server=old$major
        db=postgres
        major_new $server $major
        sql "create table t (id int primary key, v text);
             insert into t select g, repeat('x', 200) from generate_series(1, 30000) g;
             delete from t where id % 7 = 0; create publication p for table t"
        read_tables
        frames
        [ "$(jq -c 'select(.type == "range") | .number' frames.json | wc -l)" -ge 2 ]
        same_rows public.t "id::text, v"
    done
}
