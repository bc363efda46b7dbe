#!/usr/bin/env bats
# walpipe skip into PostgreSQL: one transaction that the target cannot take is passed over. The file
# has it first, the rest goes on, and everybody sees what the target lacks until it is repaired.

bats_require_minimum_version 1.5.0

load ../lib/copied

# begin [SINK_LINES [COPY]]: t takes short values only in the target.
begin() {
    local sql="CREATE TABLE u (k int PRIMARY KEY, v text); CREATE TABLE w (k int PRIMARY KEY, v text)"
    pg_sql src "CREATE TABLE t (k int PRIMARY KEY, v text); $sql; CREATE PUBLICATION p FOR ALL TABLES" "$db"
    pg_sql dst "CREATE TABLE t (k int PRIMARY KEY, v varchar(5)); $sql" "$db"
    write_conf "${2:-yes}" "" "${1:-}"
    pipeline_start "$conf"
    [ "${2:-yes}" = no ] || wait_until 60 all_streaming 3 "${3:-1}"
    pg_sql src "INSERT INTO t VALUES (1, 'a'), (2, 'b'); INSERT INTO u VALUES (1, 'a')" "$db"
    caught_up "$conf" src "$db"
}

# One transaction over three tables, and two later ones.
poison() {
    pg_sql src "BEGIN; INSERT INTO u SELECT i, 'p' FROM generate_series(10, 29) AS i;
        UPDATE t SET v = 'b2' WHERE k = 2; INSERT INTO t VALUES (3, 'much too long'), (4, 'd');
        INSERT INTO w VALUES (1, 'p'); COMMIT;
        INSERT INTO u VALUES (50, 'later'); INSERT INTO t VALUES (5, 'e')" "$db"
}

# The transaction's commit LSN, as the last error has it.
error_lsn() {
    grep '"level":"error","program":"sink-pg".*"lsn"' "$conf.log" | tail -n 1 | sed 's/.*"lsn":"\([^"]*\)".*/\1/'
}

skip() {
    "$WALPIPE_BIN/walpipe" skip -c "$conf" --sink dst "$@"
}

tables() {
    "$WALPIPE_BIN/walpipe" tables -c "$conf" "$@"
}

of_target() {
    pg_sql dst "$1" "$db"
}

# The changes in the files of a transaction: evcat's type, relation and key.
letters() {
    local file
    for file in "$dir"/state/skipped.dst."${1/\//-}".*; do
        "$WALPIPE_BIN/evcat" <"$file"
    done | jq -r 'select(.type | IN("insert", "update", "delete", "truncate"))
        | [.type, .relation // (.relations | join(" ")), .new.k] | join(" ")' | sort
}

fails_on_poison() {
    poison
    ends 100
    lsn=$(error_lsn)
    [[ $lsn =~ ^[0-9A-F]+/[0-9A-F]+$ ]]
}

# is_known_to_lack TABLES: to ackd, which hears of it beside changes.
is_known_to_lack() {
    pg_sql src "UPDATE u SET v = v" "$db"
    "$WALPIPE_BIN/walpipe" status -c "$conf" --json | jq -e ".workers[0].lacking_tables == $1"
}

@test "a transaction over several tables is skipped as a whole, and written to the file" {
    begin
    fails_on_poison
    run -0 skip --lsn "$lsn"
    [[ $output == *"the transaction at $lsn is skipped in sink dst"*"the next start of the pipeline skips it" ]]
    run -0 tables
    [[ $output == *"the transaction at $lsn is to be skipped, and is not passed yet"* ]]
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    [ "$(of_target "SELECT string_agg(k || v, ',' ORDER BY k) FROM t")" = 1a,2b,5e ]
    [ "$(of_target "SELECT string_agg(k || v, ',' ORDER BY k) FROM u")" = 1a,50later ]
    [ "$(of_target "SELECT count(*) FROM w")" = 0 ]
    [ "$(letters "$lsn" | wc -l)" -eq 24 ]
    letters "$lsn" | grep -x "update public.t 2"
    # It is gone from the skips, and each table is said to lack it.
    [ "$(of_target "SELECT count(*) FROM walpipe.skips")" = 0 ]
    run -0 tables
    [[ $output == *"public.t lacks 3 changes of the transaction at $lsn, which was skipped"* ]]
    [[ $output == *"public.u lacks 20 changes of the transaction at $lsn"* ]]
    [[ $output == *"public.w lacks 1 changes of the transaction at $lsn"* ]]
    [[ $output != *"is to be skipped"* ]]
    run -0 "$WALPIPE_BIN/walpipe" status -c "$conf"
    [[ $output == *"public.u lacks 20 changes of the transaction at $lsn"* ]]
    wait_until 30 is_known_to_lack 3
    logged "skipped 20 changes of public.u of the transaction at $lsn"
    pipeline_stop "$conf"
    # The next start says so again; a resync ends it, for its table only.
    pg_sql dst "ALTER TABLE t ALTER v TYPE text" "$db"
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    logged "the target lacks 3 changes of public.t, of the transaction at $lsn that was skipped"
    wait_until 30 is_known_to_lack 3
    "$WALPIPE_BIN/walpipe" resync -c "$conf" --table public.t --wait
    run -0 tables --json
    [ "$(jq -c '.sinks[0].lacks | map(.table)' <<<"$output")" = '["u","w"]' ]
    equal t
    skip --lsn "$lsn" --repaired --table public.u
    run -0 tables --json
    [ "$(jq -c '.sinks[0].lacks | map(.table)' <<<"$output")" = '["w"]' ]
    run -100 skip --lsn "$lsn" --repaired --table public.u
    wait_until 30 is_known_to_lack 1
    pipeline_stop "$conf"
}

@test "only one table's changes are skipped, with three workers" {
    begin "shards = 3" yes 3
    fails_on_poison
    skip --lsn "$lsn" --table public.t
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    equal u w
    [ "$(of_target "SELECT string_agg(k || v, ',' ORDER BY k) FROM t WHERE k IN (3, 4)")" != 4d ] ||
        [ "$(letters "$lsn" | grep -c .)" -lt 3 ]
    [ "$(of_target "SELECT count(*) FROM t WHERE k = 3")" = 0 ]
    [ "$(of_target "SELECT v FROM t WHERE k = 5")" = e ]
    letters "$lsn" | grep -x "insert public.t 3"
    run letters "$lsn"
    [[ $output != *public.u* && $output != *public.w* ]]
    wait_until 30 no_skips
    # What some worker had applied before stays, and the rest is noted.
    [ "$(of_target "SELECT sum(changes) FROM walpipe.lacks")" = "$(letters "$lsn" | wc -l)" ]
    pipeline_stop "$conf"
    pg_sql dst "ALTER TABLE t ALTER v TYPE text" "$db"
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    "$WALPIPE_BIN/walpipe" resync -c "$conf" --table public.t --wait
    equal t u w
    run -0 tables
    [[ $output != *lacks* ]]
    pipeline_stop "$conf"
}

no_skips() {
    [ "$(of_target "SELECT count(*) FROM walpipe.skips")" = 0 ]
}

@test "a kill between the file and the progress repeats both, and one behind them repeats nothing" {
    begin
    fails_on_poison
    skip --lsn "$lsn"
    pg_sql dst "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NEW; END';
        CREATE TRIGGER wait BEFORE INSERT ON walpipe.lacks FOR EACH ROW EXECUTE FUNCTION wait();
        ALTER TABLE walpipe.lacks ENABLE ALWAYS TRIGGER wait" "$db"
    "$(pg_bindir)/psql" -XAtqc "SELECT pg_advisory_lock(4711), pg_sleep(300)" "$(pg_conninfo dst "$db")" >/dev/null 3>&- &
    kill_later $!
    wait_until 10 is_locked
    pipeline_start "$conf"
    wait_until 30 waits_for_lock
    letters "$lsn" >"$dir/first"
    [ "$(wc -l <"$dir/first")" -eq 24 ]
    pipeline_kill "$conf"
    [ "$(of_target "SELECT count(*) FROM walpipe.lacks")" = 0 ]
    [ "$(of_target "SELECT count(*) FROM walpipe.skips WHERE NOT met")" = 1 ]
    pg_sql dst "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ 'pg_sleep.300' AND pid <> pg_backend_pid()" "$db"
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    cmp "$dir/first" <(letters "$lsn")
    [ "$(of_target "SELECT sum(changes) FROM walpipe.lacks")" = 24 ]
    pipeline_kill "$conf"
    pipeline_start "$conf"
    pg_sql src "INSERT INTO t VALUES (6, 'f')" "$db"
    caught_up "$conf" src "$db"
    [ "$(of_target "SELECT sum(changes) FROM walpipe.lacks")" = 24 ]
    [ "$(of_target "SELECT string_agg(k || v, ',' ORDER BY k) FROM t")" = 1a,2b,5e,6f ]
    pipeline_stop "$conf"
}

is_locked() {
    [ "$(pg_sql dst "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND granted" "$db")" = 1 ]
}

waits_for_lock() {
    [ "$(pg_sql dst "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted" "$db")" = 1 ]
}

@test "wrong LSNs, sinks and tables are refused, or the truth is said" {
    begin
    run -100 skip --lsn 0/zz
    [[ $output == *"0/zz"*"is not an LSN"* ]]
    run -100 skip --lsn FFFF/0
    [[ $output == *"no transaction has committed at FFFF/0"* ]]
    run -100 skip --lsn 0/1
    [[ $output == *"the slot has passed it"* ]]
    run -100 "$WALPIPE_BIN/walpipe" skip -c "$conf" --sink nobody --lsn 0/1
    [[ $output == *"has no sink"*nobody* ]]
    run -100 "$WALPIPE_BIN/walpipe" skip -c "$conf" --lsn 0/1
    run -100 skip --lsn 0/1 --table t
    run -100 skip --lsn 0/1 --repaired
    [[ $output == *"no table of sink"*"lacks changes"* ]]
    pipeline_lives "$conf"
    fails_on_poison
    # Not a commit's LSN, and a table that the transaction does not have: nothing is skipped.
    skip --lsn "${lsn%?}$(printf %X $((0x${lsn: -1} ^ 1)))"
    skip --lsn "$lsn" --table public.other
    skip --lsn "$lsn" --table public.Odd
    pipeline_start "$conf" || true
    ends 100
    [ "$(error_lsn)" = "$lsn" ]
    skip --lsn "$lsn"
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    wait_until 30 no_skips
    logged "nothing was skipped for ${lsn%?}.: no transaction with changes for this sink has committed there"
    logged "nothing was skipped for $lsn: the transaction has no change of public.other"
    logged "nothing was skipped for $lsn: the transaction has no change of public.Odd"
    run -100 skip --lsn "$lsn"
    [[ $output == *"has passed it"* ]]
    pipeline_stop "$conf"
}

@test "a running pipeline starts again by itself, and skips; without copies, too" {
    begin "" no
    # The row's own trigger waits, so the sink is in the middle of it.
    pg_sql dst "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NEW; END';
        CREATE TRIGGER wait BEFORE INSERT ON w FOR EACH ROW EXECUTE FUNCTION wait();
        ALTER TABLE w ENABLE ALWAYS TRIGGER wait" "$db"
    "$(pg_bindir)/psql" -XAtqc "SELECT pg_advisory_lock(4711), pg_sleep(300)" "$(pg_conninfo dst "$db")" >/dev/null 3>&- &
    kill_later $!
    wait_until 10 is_locked
    pg_sql src "CREATE EXTENSION pg_walinspect" "$db"
    before=$(pg_sql src "SELECT pg_current_wal_lsn()" "$db")
    pg_sql src "INSERT INTO w VALUES (7, 'w')" "$db"
    wait_until 30 waits_for_lock
    lsn=$(pg_sql src "SELECT start_lsn FROM pg_get_wal_records_info('$before', pg_current_wal_lsn())
        WHERE resource_manager = 'Transaction' AND record_type = 'COMMIT' AND xid = (SELECT xmin FROM w WHERE k = 7)" "$db")
    skip --lsn "$lsn" >"$dir/said"
    grep -F "the programs that run start again by themselves" "$dir/said"
    pg_sql dst "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ 'pg_sleep.300' AND pid <> pg_backend_pid()" "$db"
    caught_up "$conf" src "$db"
    [ "$(of_target "SELECT count(*) FROM w")" = 0 ]
    run -0 tables
    [[ $output == *"public.w lacks 1 changes of the transaction at $lsn"* ]]
    skip --lsn "$lsn" --repaired
    run -0 tables
    [[ $output != *lacks* ]]
    pipeline_stop "$conf"
}

@test "a constraint that is checked at the commit names its transaction among several, which is skipped" {
    pg_sql src "CREATE TABLE t (k int PRIMARY KEY); CREATE PUBLICATION p FOR ALL TABLES" "$db"
    pg_sql dst "CREATE TABLE t (k int PRIMARY KEY);
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN IF NEW.k = 4 THEN RAISE check_violation; END IF; RETURN NEW; END';
        CREATE CONSTRAINT TRIGGER c AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION refuse();
        ALTER TABLE t ENABLE ALWAYS TRIGGER c" "$db"
    write_conf
    pipeline_start "$conf"
    wait_until 60 all_streaming 1
    # While the table is locked, all of them gather in one batch.
    "$(pg_bindir)/psql" -XAtqc "BEGIN; LOCK TABLE t; SELECT pg_sleep(300)" "$(pg_conninfo dst "$db")" >/dev/null 2>&1 3>&- &
    kill_later $!
    wait_until 10 is_table_locked
    for k in 1 2 3 4 5; do
        pg_sql src "INSERT INTO t VALUES ($k)" "$db"
    done
    pg_sql dst "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ 'pg_sleep.300' AND pid <> pg_backend_pid()" "$db"
    ends 100
    lsn=$(error_lsn)
    grep -F "to go on without this transaction: walpipe skip -c FILE --sink dst --lsn $lsn" "$conf.log"
    skip --lsn "$lsn"
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    [ "$(of_target "SELECT string_agg(k::text, ',' ORDER BY k) FROM t")" = 1,2,3,5 ]
    letters "$lsn" | grep -x "insert public.t 4"
    pipeline_stop "$conf"
}

is_table_locked() {
    [ "$(of_target "SELECT count(*) FROM pg_locks WHERE relation = 't'::regclass AND mode = 'AccessExclusiveLock' AND granted")" = 1 ]
}

@test "a large streamed transaction is skipped with three workers; kill -9 in the middle of it" {
    begin "shards = 3
batch_rows = 500" yes 3
    pg_sql src "ALTER SYSTEM SET logical_decoding_work_mem = '64kB'" >/dev/null
    pg_sql src "SELECT pg_reload_conf()" >/dev/null
    pg_sql src "BEGIN; INSERT INTO u SELECT i, repeat('u', 100) FROM generate_series(100, 60000) AS i;
        INSERT INTO t VALUES (70, 'much too long'); TRUNCATE w; UPDATE u SET k = -k WHERE k < 200;
        COMMIT; INSERT INTO u VALUES (99999, 'later')" "$db"
    ends 100
    lsn=$(error_lsn)
    skip --lsn "$lsn" | tee "$dir/said"
    grep -E '^[12] of its 3 workers have applied a part of it already, which stays$' "$dir/said"
    pipeline_start "$conf"
    wait_until 60 some_letters
    pipeline_kill "$conf"
    pipeline_start "$conf"
    caught_up "$conf" src "$db" 120
    [ "$(of_target "SELECT string_agg(k || v, ',') FROM u WHERE k > 60000")" = 99999later ]
    wait_until 30 no_skips
    letters "$lsn" >"$dir/letters"
    # What was applied before the skip is in the target, the rest in the files, and nothing is lost.
    applied=$(of_target "SELECT count(*) FROM u WHERE k BETWEEN 100 AND 60000 OR k < 0")
    skipped=$(grep -c "insert public.u" "$dir/letters")
    [ $((applied + skipped)) -eq 59901 ]
    [ "$skipped" -gt 19000 ]
    grep -x "insert public.t 70" "$dir/letters"
    [ "$(of_target "SELECT sum(changes) FROM walpipe.lacks")" = "$(wc -l <"$dir/letters")" ]
    pipeline_stop "$conf"
    pg_sql dst "ALTER TABLE t ALTER v TYPE text" "$db"
    pipeline_start "$conf"
    caught_up "$conf" src "$db"
    "$WALPIPE_BIN/walpipe" resync -c "$conf" --table public.u --wait
    "$WALPIPE_BIN/walpipe" resync -c "$conf" --table public.t --wait
    equal t u
    pipeline_stop "$conf"
}

some_letters() {
    compgen -G "$dir/state/skipped.dst.*"
}
