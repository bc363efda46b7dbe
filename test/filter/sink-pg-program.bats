#!/usr/bin/env bats
# sink-pg alone: a broken input, peers that go away, --check and the command line.

load sink-pg

# ---- errors ----

@test "a change that was lost on the way is noticed (trap 159)" {
    sql "CREATE TABLE t (id int PRIMARY KEY, v text, big text)"
    stream "$T/s" <<PY
$PRELUDE
e.begin(); e.insert(1, ["1", None, None]); e.commit(events=2); e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 101 ]
    said "2 changes for this worker, 1 came"
    [ "$(sql "SELECT count(*) FROM t")" = 0 ]
    [ "$(reached)" = 0 ]
}

@test "end inside a transaction throws it away; EOF without end is an error (trap 133)" {
    sql "CREATE TABLE t (id int PRIMARY KEY, v text, big text)"
    stream "$T/s" <<PY
$PRELUDE
tx(("insert", ["1", None, None])); e.begin(); e.insert(1, ["2", None, None]); e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 0 ]
    [ "$(sql "SELECT id FROM t")" = 1 ]
    stream "$T/s" <<PY
$PRELUDE
e.lsn = 0x9000
tx(("insert", ["3", None, None])); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 111 ]
    said "without an end frame"
}

@test "junk on the input: one clear line, 100 or 111, never a crash" {
    sql "CREATE TABLE t (id int PRIMARY KEY, v text, big text)"
    stream "$T/s" <<PY
$PRELUDE
tx(("insert", ["1", "abc", None]), ("update", ["2", "x", UNCHANGED], ["1", None, None]))
e.begin(); e.truncate([1], 0); e.commit(); e.watermark(); e.end(); out(e)
PY
    size=$(wc -c <"$T/s")
    for ((cut = 0; cut < size; cut += 13)); do
        head -c "$cut" "$T/s" >"$T/cut"
        sink <"$T/cut"
        [ "$status" -eq 111 ]
        [ "$(grep -c '"error"' "$T/err")" -eq 1 ]
    done
    /usr/bin/python3 - "$T" <<'PY'
import random, sys
r = random.Random(7)
data = open(sys.argv[1] + "/s", "rb").read()
for n in range(60):
    broken = bytearray(data)
    for _ in range(r.randint(1, 4)):
        broken[r.randrange(len(broken))] = r.randrange(256)
    open("%s/broken%d" % (sys.argv[1], n), "wb").write(broken)
for name, content in (("empty", b""), ("ff", b"\xff" * 64), ("big", b"\x7f\xff\xff\xff" + b"x" * 9)):
    open("%s/broken_%s" % (sys.argv[1], name), "wb").write(content)
PY
    for file in "$T"/broken*; do
        sql "DROP SCHEMA IF EXISTS walpipe CASCADE; TRUNCATE t" 2>/dev/null
        status=0
        timeout 20 "$WALPIPE_BIN/sink-pg" --conninfo "$(pg_conninfo dst "$db")" --pipeline p \
            --ackd "$ack" <"$file" 2>"$T/err" 3>&- || status=$?
        case $status in 0 | 100 | 101 | 111) ;; *) echo "$file: $status" && false ;; esac
    done
}

@test "ackd refuses, or goes away" {
    stream "$T/s" <<PY
$PRELUDE
e.end(); out(e)
PY
    kill "$ackd"
    wait_until 5 test ! -S "$ack"
    start_ackd --refuse "no such sink"
    sink <"$T/s"
    [ "$status" -eq 100 ]
    said "ackd refused: no such sink"
    kill "$ackd"
    wait_until 5 test ! -S "$ack"
    start_ackd --quit-after 2
    start_sink
    exec 8>"$T/in"
    stream "$T/s" <<PY
$PRELUDE
out(e)
PY
    cat "$T/s" >&8
    wait_status 111 "$sink"
    exec 8>&-
}

# ---- the rest ----

@test "a server that says more than it is told does not block the pipeline (trap 93)" {
    # 800 rows of 4 kB, each answered by as much: more than the buffers of both sides hold
    sql "CREATE TABLE loud (id int, v text);
         CREATE FUNCTION say() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN RAISE WARNING ''%'', repeat(''w'', 4000); RETURN NEW; END';
         CREATE TRIGGER say BEFORE INSERT OR UPDATE ON loud FOR EACH ROW EXECUTE FUNCTION say();
         ALTER TABLE loud ENABLE ALWAYS TRIGGER say"
    stream "$T/s" <<'PY'
e = Events(sink="dst", shards=1)
e.table(1, "public", "loud", [col("id", True, INT4), col("v")])
e.begin()
for n in range(400): e.insert(1, [str(n), "x" * 4000]); e.update(1, [str(n), "y" * 4000])
e.commit(); e.end(); out(e)
PY
    run timeout 60 "$WALPIPE_BIN/sink-pg" --conninfo "$(pg_conninfo dst "$db")" --pipeline p --ackd "$ack" <"$T/s" 2>"$T/err"
    [ "$status" -eq 0 ]
    [ "$(sql "SELECT count(*), count(DISTINCT id), min(v) = repeat('y', 4000) FROM loud")" = "400|400|t" ]
}

@test "--check says everything that is wrong, and changes nothing" {
    sql "CREATE TABLE good (id int PRIMARY KEY, v text); CREATE TABLE nokey (id int, v text);
         CREATE TABLE lacks (id int PRIMARY KEY)"
    stream "$T/s" <<'PY'
C = [col("id", True, INT4), col("v")]
out(hello(sink="dst", shards=1))
for n, name in enumerate(("good", "nokey", "lacks", "absent")): out(relation(n + 1, "public", name, C))
out(end())
PY
    status=0
    "$WALPIPE_BIN/sink-pg" --check --conninfo "$(pg_conninfo dst "$db")" --pipeline p <"$T/s" >"$T/out" 2>"$T/err" || status=$?
    [ "$status" -eq 100 ]
    grep -q '^ok    public.good -> public.good' "$T/out"
    grep -q '^warn  public.nokey: no unique' "$T/out"
    grep -q '^FAIL  .*public.lacks.*no column "v".*add the column' "$T/out"
    grep -q '^FAIL  there is no table public.absent' "$T/out"
    [ "$(sql "SELECT count(*) FROM pg_namespace WHERE nspname = 'walpipe'")" = 0 ]
    stream "$T/s" <<'PY'
out(hello(sink="dst", shards=1), relation(1, "public", "good", [col("id", True, INT4), col("v")]), end())
PY
    "$WALPIPE_BIN/sink-pg" --check --conninfo "$(pg_conninfo dst "$db")" --pipeline p <"$T/s" >"$T/out"
    [ "$(grep -c FAIL "$T/out")" -eq 0 ]
    status=0
    "$WALPIPE_BIN/sink-pg" --check --conninfo "host=$T port=1 dbname=x" --pipeline p <"$T/s" >"$T/out" || status=$?
    [ "$status" -eq 100 ]
    grep -q '^FAIL  could not connect' "$T/out"
}

@test "--tables prints what is noted, and makes nothing" {
    tables=("$WALPIPE_BIN/sink-pg" --tables --conninfo "$(pg_conninfo dst "$db")" --pipeline p)
    [ "$("${tables[@]}" --sink dst)" = $'sink\twaiting\t0/0\t0\t0\t0\t0\t0' ]
    [ "$(sql "SELECT count(*) FROM pg_namespace WHERE nspname = 'walpipe'")" = 0 ]
    sql "CREATE TABLE t (id int PRIMARY KEY, v text, big text)"
    stream "$T/s" <<PY
$PRELUDE
tx(("insert", ["1", None, None])); e.end(); out(e)
PY
    sink <"$T/s"
    [ "$("${tables[@]}" --sink dst)" = "$(sql "SELECT 'sink', 'streaming', lsn, 1, 0, 1, system_identifier, timeline FROM walpipe.progress" | tr '|' '\t')" ]
    [ "$("${tables[@]}" --sink other)" = $'sink\twaiting\t0/0\t0\t0\t0\t0\t0' ]
    status=0
    "${tables[@]}" 2>"$T/err" || status=$?
    [ "$status" -eq 100 ]
    grep -q -- '--sink' "$T/err"
}

@test "--drop-progress, --help, --version and wrong usage" {
    "$WALPIPE_BIN/sink-pg" --drop-progress --sink dst --conninfo "$(pg_conninfo dst "$db")" --pipeline p
    stream "$T/s" <<'PY'
out(hello(sink="dst", shards=1), end())
PY
    sink <"$T/s"
    [ "$(sql "SELECT count(*) FROM walpipe.progress")" = 1 ]
    "$WALPIPE_BIN/sink-pg" --drop-progress --sink other --conninfo "$(pg_conninfo dst "$db")" --pipeline p
    [ "$(sql "SELECT count(*) FROM walpipe.progress")" = 1 ]
    "$WALPIPE_BIN/sink-pg" --drop-progress --sink dst --conninfo "$(pg_conninfo dst "$db")" --pipeline p
    [ "$(sql "SELECT count(*) FROM walpipe.progress")" = 0 ]
    "$WALPIPE_BIN/sink-pg" --help | grep -q -- --flush-interval
    "$WALPIPE_BIN/sink-pg" --version | grep -q '^sink-pg (walpipe)'
    for wrong in --nonsense "--batch-rows 0" "--flush-interval 5" "--map a" "--conninfo password=x" "operand"; do
        sink $wrong </dev/null
        [ "$status" -eq 100 ]
        [ "$(wc -l <"$T/err")" -eq 1 ]
    done
}
