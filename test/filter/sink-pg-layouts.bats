#!/usr/bin/env bats
# sink-pg alone: the layout changes between two runs, whatever the workers' positions.

load sink-pg

# The progress rows as they were before layouts were stored with them.
OLD_TABLE='CREATE SCHEMA walpipe; CREATE TABLE walpipe.progress (
    pipeline text NOT NULL, sink text NOT NULL, shard integer NOT NULL, shards integer NOT NULL,
    system_identifier text NOT NULL, timeline bigint NOT NULL, slot text NOT NULL,
    epoch bigint NOT NULL, lsn pg_lsn NOT NULL, partial_commit_lsn pg_lsn, partial_ordinal bigint,
    updated_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    PRIMARY KEY (pipeline, sink, shard)) WITH (fillfactor = 50);'

# old_row SHARD SHARDS LSN [PARTIAL_LSN ORDINAL]: as the commit 9eb0840 would have left it.
old_row() {
    local partial=NULL
    [ -z "${4:-}" ] || partial="'$4'"
    sql "INSERT INTO walpipe.progress VALUES
         ('p', 'dst', $1, $2, '7000000000000000001', 1, 's', 4, '$3', $partial, ${5:-NULL})"
}

# run_workers SHARDS KEY [WHOLE]: every worker once, over a stream without changes.
run_workers() {
    local n
    for ((n = 0; n < $1; n++)); do
        stream "$T/s" <<PY
e = Events(sink="dst", shards=$1, shard=$n, shard_key="$2", whole=[${3:-}]); e.end(); out(e)
PY
        sink <"$T/s"
        [ "$status" -eq 0 ] || return 0
    done
}

rows() {
    sql "SELECT shard, shards, lsn, epoch > 4, layout FROM walpipe.progress ORDER BY shard"
}

before() {
    sql "SELECT generation, shard, lsn, partial_commit_lsn, partial_ordinal FROM walpipe.progress_before ORDER BY 1, 2"
}

@test "another layout becomes a layer; it is forgotten when all workers have passed it (trap 167)" {
    run_workers 2 key
    [ "$status" -eq 0 ]
    sql "UPDATE walpipe.progress SET lsn = '0/3000', partial_commit_lsn = '0/4000', partial_ordinal = 7 WHERE shard = 1;
         UPDATE walpipe.progress SET lsn = '0/2000' WHERE shard = 0"
    run_workers 2 table
    [ "$status" -eq 0 ]
    [ "$(before)" = "1|0|0/2000||
1|1|0/3000|0/4000|7" ]
    [ "$(sql "SELECT DISTINCT lsn, layout FROM walpipe.progress")" = "0/2000|2" ]
    # and another one on top
    sql "UPDATE walpipe.progress SET lsn = '0/2800' WHERE shard = 1"
    run_workers 3 table
    [ "$(before | wc -l)" = 4 ]
    [ "$(sql "SELECT count(*), min(lsn::text), max(lsn::text), max(layout) FROM walpipe.progress")" = "3|0/2000|0/2000|3" ]
    # the same again changes nothing
    run_workers 3 table
    [ "$(before | wc -l)" = 4 ]
    # 0/4000 is where a transaction commits of which a part is there: only behind it is it passed
    sql "UPDATE walpipe.progress SET lsn = '0/4000'"
    run_workers 3 table
    [ "$(before | wc -l)" = 2 ]
    sql "UPDATE walpipe.progress SET lsn = '0/4001'"
    run_workers 3 table
    [ -z "$(before)" ]
    [ "$(sql "SELECT generation FROM walpipe.layout")" = 3 ]
    # at one position there is nothing to remember
    run_workers 1 key
    [ -z "$(before)" ]
    [ "$(sql "SELECT shard, shards, lsn FROM walpipe.progress")" = "0|1|0/4001" ]
}

@test "a layout that changes too often is refused until the workers have caught up" {
    local n
    for n in 1 2 3 4 5 6 7 8; do
        run_workers 2 key "'a.b -> c.d$n'"
        [ "$status" -eq 0 ]
        sql "UPDATE walpipe.progress SET lsn = ('0/' || $n || '000')::pg_lsn WHERE shard = 1"
    done
    run_workers 2 key
    [ "$status" -eq 0 ]
    sql "UPDATE walpipe.progress SET lsn = '0/9000' WHERE shard = 1"
    run_workers 3 key
    [ "$status" -eq 100 ]
    said "changed 8 times before its workers had passed"
    sql "UPDATE walpipe.progress SET lsn = '0/9000'"
    run_workers 3 key
    [ "$status" -eq 0 ]
}

@test "rows of an older walpipe: one position, or one worker, is carried forward" {
    sql "$OLD_TABLE"
    old_row 0 2 0/3000
    old_row 1 2 0/3000
    run_workers 2 key
    [ "$status" -eq 0 ]
    [ "$(rows)" = "0|2|0/3000|t|1
1|2|0/3000|t|1" ]
    [ -z "$(before)" ]
    sql "DROP SCHEMA walpipe CASCADE; $OLD_TABLE"
    old_row 0 1 0/3000 0/4000 2
    # a single worker needs nothing new
    run_workers 1 key
    [ "$status" -eq 0 ]
    [ "$(sql "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'walpipe'")" = 1 ]
    run_workers 3 key
    [ "$status" -eq 0 ]
    [ "$(sql "SELECT count(*), min(lsn::text), max(lsn::text) FROM walpipe.progress")" = "3|0/3000|0/3000" ]
    [ "$(before)" = "1|0|0/3000|0/4000|2" ]
}

@test "and those of workers that did not stop at one position are refused, with the way out" {
    sql "$OLD_TABLE"
    old_row 0 2 0/3000
    old_row 1 2 0/4000
    run_workers 2 key
    [ "$status" -eq 100 ]
    said "did not stop at one position"
    said "stop it with SIGTERM"
    # one that was killed before it had made its row
    sql "DELETE FROM walpipe.progress WHERE shard = 1"
    run_workers 2 key
    [ "$status" -eq 100 ]
    [ "$(sql "SELECT count(*) FROM walpipe.progress")" = 1 ]
}

@test "a promoted source and another layout at once: refused while older workers are ahead" {
    run_workers 2 key
    sql "UPDATE walpipe.progress SET timeline = 1, lsn = ('0/' || shard + 2 || '000')::pg_lsn"
    stream "$T/s" <<'PY'
e = Events(sink="dst", shards=3, shard=0, timeline=2); e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 100 ]
    said "both the source's timeline and the layout"
}

@test "an old worker cannot write any more once the layout is another" {
    sql "CREATE TABLE t (id int PRIMARY KEY, v text, big text)"
    start_sink
    exec 8>"$T/in"
    stream "$T/s" <<'PY'
e = Events(sink="dst", shards=2)
e.table(1, "public", "t", [col("id", True, INT4), col("v"), col("big")])
e.begin(); e.insert(1, ["1", None, None]); e.commit(); out(e)
PY
    cat "$T/s" >&8
    wait_until 10 reached_is $((0x2028))
    old=$sink
    run_workers 1 key
    [ "$status" -eq 0 ]
    wait_status 111 "$old"
    exec 8>&-
    [ "$(sql "SELECT id FROM t")" = 1 ]
}

@test "one history under many layouts, the workers killed at different positions: the same rows" {
    local seed
    for seed in ${SEED:-101 102}; do
        sql "DROP TABLE IF EXISTS t1, t2, t3, t4; DROP SCHEMA IF EXISTS walpipe CASCADE"
        timeout 300 /usr/bin/python3 "$BATS_TEST_DIRNAME/sinkpg_layouts.py" --bin "$WALPIPE_BIN" \
            --conninfo "$(pg_conninfo dst "$db")" --scratch "$T" --seed "$seed" --rounds 4 \
            --transactions 150 3>&-
        rm -rf "$T"/round*
    done
}
