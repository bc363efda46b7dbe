#!/usr/bin/env bats
# pg-table-read between a real PostgreSQL, a real ackd and workers that are played (copy_crew.py): what
# it asks, what it reads, what it reads again, and when it says that a table is finished.

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
    export PYTHONPATH=$BATS_TEST_DIRNAME:$BATS_TEST_DIRNAME/../lib PYTHONDONTWRITEBYTECODE=1
    export TMPDIR=$BATS_TEST_TMPDIR DATABASE=d$BATS_TEST_NUMBER TIMELINE=1
    pg_sql src "create database $DATABASE"
    CONNINFO=$(pg_conninfo src "$DATABASE")
    SYSTEM=$(pg_sql src "select system_identifier from pg_control_system()")
    export CONNINFO SYSTEM
}

# Runs the Python program on stdin.
play() {
    { echo 'from copy_crew import *'; cat; } >"$BATS_TEST_TMPDIR/play.py"
    timeout 120 /usr/bin/python3 "$BATS_TEST_TMPDIR/play.py" 3>&-
}

@test "tables that somebody wants are read, for those who want them" {
    play <<'PY'
sql("""create table a (id int primary key, v text); insert into a select g, 'v' || g from generate_series(1, 3000) g;
       create table b (id int primary key); insert into b values (1);
       create table c (id int primary key);
       create publication p for all tables""")
with Crew({"dst": 1, "olap": 2}) as crew:
    b = int(sql("select 'b'::regclass::oid"))
    a = int(sql("select 'a'::regclass::oid"))
    crew.notes.update({(w, s, b): None for w, s in (("dst", 0), ("olap", 0), ("olap", 1))})
    crew.notes["dst", 0, a] = None
    crew.copied("public.a", "public.c")
    assert crew.listed == 1
    questions = [e for e in crew.frames if e[0] == TABLE and e[1] == 0]
    assert sorted(e[10] for e in questions) == ["a", "b", "c"] and all(e[6] == [] for e in questions)
    lives = {l.name: l for l in crew.lives.values()}
    assert sorted(lives) == ["a", "c"] and lives["a"].sinks == ["olap"], lives
    assert sorted(lives["c"].sinks) == ["dst", "olap"]
    crew.same("public.a", "id::text, v", "olap")
    assert ("dst", "public.a") not in crew.rows
    # Behind the blocks it is asked which keys are missing.
    kinds = [(r.kind, len(r.rows)) for r in crew.ranges if r.life == lives["a"].number]
    assert kinds[-1] == ("q", 0) and [k for k, _ in kinds[:-1]] == ["b"] * (len(kinds) - 1), kinds
    crew.for_a_while(1.5)
    assert crew.process.poll() is None
    # A table that comes later is asked about, and copied.
    sql("create table late (id int primary key); insert into late values (5)")
    crew.copied("public.late", seconds=40)
    crew.same("public.late", "id::text", "dst")
    assert crew.listed == 2
PY
}

@test "what all workers have finished is not read again after a kill" {
    play <<'PY'
sql("""create table t (id int primary key, v text); insert into t select g, repeat('x', 200) from generate_series(1, 60000) g;
       create publication p for table t""")
notes, rows = {}, {}
with Crew({"dst": 2}, notes, ["--rate", "3000000"]) as crew:
    crew.until(lambda: len(crew.ranges) >= 2)
    crew.kill()
    rows.update(crew.rows)
part = int(sql("select 't'::regclass::oid"))
assert notes["dst", 0, part][2] == notes["dst", 1, part][2] != ""
first = len(rows["dst", "public.t"])
assert 0 < first < 60000
with Crew({"dst": 2}, notes) as crew:
    crew.rows.update(rows)
    crew.copied("public.t")
    assert sum(len(r.rows) for r in crew.ranges) == 60000 - first
    crew.same("public.t", "id::text, v")
# One of two workers lacks the first range.
for missing, expected in (("(0,0)-(600,0),(700,5)-", 1), ("", 2)):
    file, definition = int(sql("select pg_relation_filenode('t')")), crew.lives[1].definition
    notes.update({("dst", 0, part): [file, definition, "(0,0)-(512,0),(600,0)-"],
                  ("dst", 1, part): [file, definition, missing]})
    with Crew({"dst": 2}, notes) as crew:
        crew.copied("public.t")
        got = sorted((r.start, r.end) for r in crew.ranges if r.kind == "b")
        if missing:
            assert got[0][0] == [512, 0] and got[-1][1] == [700, 5], got
            assert all(a[1] == b[0] for a, b in zip(got, got[1:])), got
        else:
            assert sum(len(r.rows) for r in crew.ranges) == 60000
PY
}

@test "another file, or another definition, and nothing that was finished counts" {
    play <<'PY'
sql("""create table t (id int primary key, v text); insert into t select g, repeat('x', 200) from generate_series(1, 30000) g;
       create publication p for table t""")
part = int(sql("select 't'::regclass::oid"))
with Crew() as crew:
    crew.copied("public.t")
    definition = crew.lives[1].definition
file = int(sql("select pg_relation_filenode('t')"))

def read(note):
    with Crew(notes={("dst", 0, part): note}) as crew:
        crew.copied("public.t")
        return sum(len(r.rows) for r in crew.ranges)

assert read([file, definition, "(0,0)-"]) == 0
assert read([file, definition, "(0,0)-(200,0),(300,0)-"]) < 10000
assert read([file, "00", "(0,0)-"]) == 30000
assert read([file + 1, definition, "(0,0)-(200,0),(300,0)-"]) == 30000
sql("vacuum full t")
assert read([file, definition, "(0,0)-(200,0),(300,0)-"]) == 30000
file = int(sql("select pg_relation_filenode('t')"))
assert read([file, definition, "(0,0)-"]) == 0
sql("alter publication p set table t where (id <= 100)")
assert read([file, definition, "(0,0)-"]) == 100
PY
}

@test "the list of transactions is taken when all workers have answered" {
    play <<'PY'
sql("create table t (id int primary key); insert into t values (1); create publication p for table t")
with Crew({"dst": 2}) as crew:
    crew.until(lambda: crew.listed == 1)
    crew.silent = True
    crew.until(lambda: crew.unanswered)
    one = open_session()
    tell(one, "begin; insert into t values (2)")
    table = crew.unanswered.pop()
    crew.silent = False
    crew.state(("dst", 0), table.number, table, True)
    crew.for_a_while(1.5)
    assert not crew.ranges and sum(e[0] == HORIZON for e in crew.frames) >= 1
    two = open_session()
    tell(two, "begin; insert into t values (3)")
    before = sum(e[0] == HORIZON for e in crew.frames)
    crew.state(("dst", 1), table.number, table, True)
    crew.for_a_while(1)
    tell(one, "commit")
    sql("create table other (id int); insert into other values (1)")
    crew.for_a_while(2)
    assert not crew.ranges
    assert sum(e[0] == HORIZON for e in crew.frames) > before
    three = open_session()
    tell(three, "begin; insert into t values (4)")  # began behind the list: not waited for
    tell(two, "commit")
    crew.copied("public.t")
    crew.same("public.t", "id::text")
    assert sorted(crew.rows["dst", "public.t"]) == [("1",), ("2",), ("3",)]
    tell(three, "rollback")
PY
}

@test "no more than copy_workers and two ranges are with workers" {
    play <<'PY'
sql("""create table t (id int primary key, v text); alter table t alter v set storage external;
       insert into t select g, repeat(md5(g::text), 3000) from generate_series(1, 600) g;
       create publication p for table t""")
with Crew(args=["--workers", "2"]) as crew:
    crew.holds = lambda r: True
    bytes = lambda: sum(r.bytes for r in crew.held)
    crew.until(lambda: bytes() >= 15 << 20)
    crew.for_a_while(3)
    assert bytes() < 17 << 20, bytes()
    # each is of several pieces, which the workers report one by one
    assert all(r.bytes < 512 << 10 for r in crew.held)
    while bytes() > 12 << 20:
        crew.write(crew.held.pop())
    crew.until(lambda: bytes() >= 15 << 20)
    crew.for_a_while(1)
    assert bytes() < 17 << 20, bytes()
    crew.holds = lambda r: False
    while crew.held:
        crew.write(crew.held.pop())
    crew.copied("public.t", seconds=60)
    crew.same("public.t", "id::text, v")
PY
}

@test "a range that one worker drops is read again" {
    play <<'PY'
sql("""create table t (id int primary key, v text); insert into t select g, repeat('x', 200) from generate_series(1, 60000) g;
       create publication p for table t""")
with Crew({"dst": 2, "olap": 1}) as crew:
    dropped = []
    def drops(worker, range_):
        first = worker == ("dst", 1) and len(dropped) < 3 and (range_.start, range_.end) not in dropped
        if first:
            dropped.append((range_.start, range_.end))
        return first
    crew.drops = drops
    crew.copied("public.t", seconds=60)
    assert len(dropped) == 3
    again = [(r.start, r.end) for r in crew.ranges if r.kind == "b"]
    assert all(again.count(d) >= 2 or any(a[0] == d[0] for a in again[1:]) for d in dropped)
    crew.same("public.t", "id::text, v")
    crew.same("public.t", "id::text, v", "olap")
PY
}

@test "missing keys are read again, and those that are gone are named" {
    play <<'PY'
sql("""create domain code as varchar(20);
       create table t (a code, n numeric(10, 2), v text, b bytea, "odd ""c" timestamptz,
         primary key (a, n, b, "odd ""c"));
       insert into t select 'k''' || g, g, 'v', '\\x00ff', '2026-01-01 00:00:00+00' from generate_series(1, 1000) g;
       insert into t values ('back\\slash', 1, null, '', 'infinity');
       create publication p for table t""")
with Crew({"dst": 1, "olap": 1}) as crew:
    wanted = [["k'%d" % i, "%d.00" % i, "\\x00ff", "2026-01-01 00:00:00+00"] for i in range(1, 700)]
    wanted.append(["back\\slash", "1.00", "\\x", "infinity"])
    gone = [["k'1", "2.00", "\\x00ff", "2026-01-01 00:00:00+00"], ["no", "7.00", "\\x", "-infinity"]]
    calls = []
    def missing(worker, life):
        calls.append(worker)
        return wanted + gone if worker == ("dst", 0) and len(calls) <= 2 else []
    crew.missing = missing
    crew.copied("public.t")
    keys = [r for r in crew.ranges if r.kind == "k"]
    rows = [row for r in keys for row in r.rows]
    absent = [row for r in keys for row in r.absent]
    assert sorted([r[0], r[1], r[3], r[4]] for r in rows) == sorted(wanted), len(rows)
    assert sorted([r[0], r[1], r[3], r[4]] for r in absent) == sorted(gone)
    assert all(r[2] is None for r in absent) and {r[2] for r in rows} == {"v", None}
    assert len(calls) == 4  # two workers, asked twice
    assert all(r.rows or r.absent for r in keys)
PY
}

@test "the bug was that a key was asked for without end when its row has another text of it" {
    play <<'PY'
sql("""create table t (id numeric primary key, v text); insert into t values (1.00, 'one'), (2, 'two');
       create publication p for table t""")
with Crew() as crew:
    lacks = {"1.0", "2"}
    def missing(worker, life):
        for r in crew.ranges:
            if r.kind == "k":
                lacks.difference_update(row[0] for row in r.rows + r.absent)
        return [[key] for key in sorted(lacks)]
    crew.missing = missing
    crew.copied("public.t")
    keys = [r for r in crew.ranges if r.kind == "k" and r.rows]
    assert sorted(row[0] for r in keys for row in r.rows) == ["1.00", "2"]
    assert [row[0] for r in keys for row in r.absent] == ["1.0"]
PY
}

@test "keys of a partitioned table, with a row filter, when all partitions are read" {
    play <<'PY'
sql("create table r (id int, v int, primary key (id)) partition by hash (id);" +
    "".join("create table r%d partition of r for values with (modulus 20, remainder %d);" % (i, i) for i in range(20)) +
    """insert into r select g, g % 10 from generate_series(1, 500) g;
       create publication p for table r where (v < 5) with (publish_via_partition_root = true)""")
with Crew() as crew:
    asked = {}
    def missing(worker, life):
        asked[life.number] = asked.get(life.number, 0) + 1
        return [[str(i)] for i in range(1, 21)] if asked[life.number] == 1 else []
    crew.missing = missing
    crew.until(lambda: sum(l.ended == "d" for l in crew.lives.values()) == 20)
    # The bug was that keys were asked for again and again while some partitions waited for their turn.
    kinds = "".join(r.kind for r in crew.ranges)
    assert 0 < len(asked) < 20 and kinds.rindex("b") < kinds.index("q"), kinds
    for number in asked:
        keys = [r for r in crew.ranges if r.kind == "k" and r.life == number]
        assert sorted(int(row[0]) for r in keys for row in r.rows) == [1, 2, 3, 4, 10, 11, 12, 13, 14, 20]
        assert sorted(int(row[0]) for r in keys for row in r.absent) == [5, 6, 7, 8, 9, 15, 16, 17, 18, 19]
    crew.same("public.r", "id::text, v::text", source="r where v < 5")
    # A worker that lacks rows of a partition that is finished gets them.
    first = crew.lives[1]
    crew.workers["dst", 0].say(MISSING, first.number, pack_keys([["10"]]))
    crew.until(lambda: any(l.part == first.part and l.number > 20 and l.ended == "d" for l in crew.lives.values()))
PY
}

@test "rows of keys that are more than 4 MiB; keys that are dropped; keys that come after the end" {
    play <<'PY'
sql("""create table t (id int primary key, v text); alter table t alter v set storage external;
       insert into t select g, repeat(md5(g::text), 3000) from generate_series(1, 200) g;
       create publication p for table t""")
with Crew() as crew:
    calls, dropped = [], []
    crew.missing = lambda worker, life: calls.append(1) or ([[str(i)] for i in range(1, 151)]
                                                            if len(calls) == 1 else [])
    def drops(worker, range_):
        if range_.kind == "k" and range_.rows and not dropped:
            dropped.append(range_)
            return True
        return False
    crew.drops = drops
    crew.copied("public.t", seconds=60)
    keys = [r for r in crew.ranges if r.kind == "k" and r.rows]
    assert len(keys) > 3 and all(r.bytes < 6 << 20 for r in keys)
    assert {int(row[0]) for r in keys if r is not dropped[0] for row in r.rows} == set(range(1, 151))
    crew.same("public.t", "id::text, v")
    # A worker that lacks rows at the end says so; another life reads them.
    life = crew.lives[max(crew.lives)]
    crew.notes["dst", 0, life.part] = [1, life.definition, "(0,0)-"]
    calls.clear()
    crew.workers["dst", 0].say(MISSING, life.number, pack_keys([["7"]]))
    crew.until(lambda: len(crew.lives) == 2 and crew.lives[2].ended == "d")
    assert not [r for r in crew.ranges if r.life == 2 and r.kind == "b"]
    assert len([row for r in crew.ranges if r.life == 2 for row in r.rows]) == 150
PY
}

@test "the key changes while keys are missing: another life" {
    play <<'PY'
sql("""create table t (id int primary key, v text); insert into t select g, 'v' || g from generate_series(1, 300) g;
       create publication p for table t""")
with Crew() as crew:
    # The bug was that the run ended.
    def missing(worker, life):
        if life.number > 1:
            return []
        crew.rows.clear()
        sql("alter table t drop constraint t_pkey; alter table t add primary key (id, v)")
        return [["1"], ["2"]]
    crew.missing = missing
    crew.copied("public.t")
    assert [crew.lives[n].ended for n in sorted(crew.lives)] == ["a", "d"]
    crew.same("public.t", "id::text, v")
PY
}

@test "a large row among keys is the range's last frame" {
    play <<'PY'
sql("""create table t (id int primary key, v text); alter table t alter v set storage external;
       insert into t values (1, repeat('x', 20000000)), (3, ''); create publication p for table t""")
with Crew() as crew:
    # The bug was that absent keys came behind it, where route takes no more.
    calls = []
    crew.missing = lambda worker, life: calls.append(1) or ([["2"], ["1"], ["4"]]
                                                            if len(calls) == 1 else [])
    crew.copied("public.t")
    kinds = [e[0] for e in crew.frames]
    assert ABSENT in kinds and kinds[kinds.index(ABSENT) + 1] == ROWS, kinds
    crew.same("public.t", "id::text, v")
PY
}

@test "a table whose ranges are dropped rests" {
    play <<'PY'
sql("create table t (id int primary key); insert into t values (1); create publication p for table t")
with Crew() as crew:
    # The bug was that it was read again without a pause, hundreds of times a second.
    crew.drops = lambda worker, range_: True
    crew.until(lambda: crew.ranges)
    crew.for_a_while(3)
    assert 3 <= len(crew.ranges) <= 8, len(crew.ranges)
    crew.drops = lambda worker, range_: False
    crew.copied("public.t")
    crew.same("public.t", "id::text")
PY
}

@test "draining is 0, ackd's death is 111, SIGTERM ends the stream" {
    play <<'PY'
sql("""create table t (id int primary key, v text); insert into t select g, repeat('x', 200) from generate_series(1, 60000) g;
       create publication p for table t""")
with Crew(args=["--rate", "1000000"]) as crew:
    crew.until(lambda: crew.ranges)
    crew.source.say(DRAINING)
    crew.exit(0)
with Crew(args=["--rate", "1000000"]) as crew:
    crew.until(lambda: crew.ranges)
    crew.process.stdout.close()  # route ends before the word comes
    time.sleep(0.5)
    assert crew.process.poll() is None
    crew.source.say(DRAINING)
    assert crew.process.wait(20) == 0
with Crew(args=["--rate", "1000000"]) as crew:
    crew.until(lambda: crew.ranges)
    crew.process.stdout.close()
    crew.ackd.kill()
    assert crew.process.wait(20) == 111
with Crew(args=["--rate", "1000000"]) as crew:
    crew.until(lambda: crew.ranges)
    crew.holds = lambda r: True  # a worker has nobody to tell
    crew.ackd.kill()
    crew.exit(111, "ackd closed the connection")
with Crew(args=["--rate", "1000000"]) as crew:
    crew.until(lambda: crew.ranges)
    crew.process.terminate()
    crew.exit(0)
    assert crew.end_reason == "drain"
    # The bug was that workers went on tracking without a horizon.
    assert [l.ended for l in crew.lives.values()] == ["a"]
PY
}

@test "SIGTERM before there is a run: the end comes behind hello, or nothing comes where none begins" {
    play <<'PY'
sql("create table t (id int primary key); create publication p for table t")
def start(ackd):
    p = subprocess.Popen([os.path.join(BIN, "pg-table-read"), "--conninfo", CONNINFO, "--publication", "p",
                          "--ackd", ackd.socket_path], stdout=subprocess.PIPE)
    ackd.wait_log("pg-table-read is connected")
    p.terminate()
    return p
# The bug was that the stream ended without hello, which route takes for a death: walpipe that was told to
# stop right after its start ended with 111.
with Ackd() as ackd:
    p = start(ackd)
    ackd.ready()
    source = Reader(ackd).start(100, system=SYSTEM, timeline=TIMELINE, database=DATABASE)
    worker = Worker(ackd).start("dst", 0, 1, version=2)
    assert [f[0] for f in Incoming().frames(p.stdout.read())] == [0, 3]  # hello, end
    assert p.wait(20) == 0
with Ackd() as ackd:
    p = start(ackd)
    ackd.kill()
    assert p.stdout.read() == b"" and p.wait(20) == 0
PY
}

@test "what a person must mend: a refusal, a root without a key, another source" {
    play <<'PY'
sql("""create table t (id int primary key); create table k (v int) partition by range (v);
       create table low partition of k for values from (0) to (10); create publication p for table t;
       create publication q for table k with (publish_via_partition_root)""")
with Crew() as crew:
    crew.want = lambda worker, part: "r"
    crew.exit(100, "sink .*dst.* does not take public.t: no")
    assert "because" in crew.log()
with Crew(publication="q") as crew:
    crew.exit(100, "public.k has no key and is published through its root: its partitions cannot be copied")
with Crew(publication="q") as crew:
    crew.want = lambda worker, part: "h"  # nothing is to be copied: no key is needed
    crew.note = lambda worker, part: [1, "00", "(0,0)-"]
    crew.until(lambda: "public.low: its columns or what is published of it changed" in crew.log())
    crew.for_a_while(1)
    assert crew.process.poll() is None and not crew.lives
with Crew(system=SYSTEM + 1) as crew:
    crew.exit(100, "rows would come from")
with Crew(database="other") as crew:
    crew.exit(100, "rows would come from")
with Crew(timeline=2) as crew:
    crew.exit(111, "rows would come from timeline 1")
with Crew(standby=True) as crew:
    crew.exit(100, "the stream comes from a standby: no table can be copied")
with Crew(standby=False, publication="nobody") as crew:
    crew.for_a_while(1)
PY
}

@test "tables that change, leave and come back" {
    play <<'PY'
sql("""create table t (id int primary key, v text); insert into t select g, repeat('x', 200) from generate_series(1, 60000) g;
       create table u (id int primary key); insert into u values (1); create publication p for table t, u""")
with Crew(args=["--rate", "2000000"]) as crew:
    crew.until(lambda: any(r.rows for r in crew.ranges))
    crew.holds = lambda r: r.life == 1
    sql("alter table t add w int default 7")
    crew.until(lambda: crew.finished("public.t", "a"), 60)
    crew.holds = lambda r: False
    for r in crew.held:
        crew.workers["dst", 0].say(COPIED, r.life, r.number, True)  # late: means nothing
    crew.rows.clear()
    crew.copied("public.t", seconds=90)
    crew.same("public.t", "id::text, v, w::text")
with Crew(args=["--rate", "500000"]) as crew:
    crew.until(lambda: any(r.rows for r in crew.ranges if crew.lives[r.life].name == "t"))
    sql("alter publication p drop table t")
    crew.until(lambda: crew.finished("public.t", "g"), 60)
    sql("alter publication p add table t")
    n = crew.listed
    crew.until(lambda: crew.listed > n and any(l.ended is None for l in crew.lives.values()), 60)
    sql("drop table t")
    crew.until(lambda: sum(l.ended == "g" for l in crew.lives.values() if l.name == "t") == 2, 60)
    crew.copied("public.u")
PY
}

@test "a table is gone, and a life of it begins, only when the workers have what was before" {
    play <<'PY'
sql("""create table t (id int primary key, v text); insert into t select g, repeat('x', 200) from generate_series(1, 60000) g;
       create publication p for table t""")
with Crew(args=["--rate", "500000"], lags=True) as crew:
    crew.until(lambda: crew.listed == 1)
    crew.for_a_while(1)
    assert not crew.lives
    crew.reach()
    crew.until(lambda: any(r.rows for r in crew.ranges))
    # Such a transaction is published in part.
    session = open_session()
    tell(session, "begin; insert into t values (0, 'y')")
    sql("alter publication p drop table t")
    crew.until(lambda: "is no longer published: waiting" in crew.log(), 40)
    crew.reach()
    crew.for_a_while(1)
    tell(session, "commit")
    # The bug was that workers forgot a table whose changes were still to come.
    crew.for_a_while(1)
    assert not crew.finished("public.t", "g")
    crew.reach()
    crew.until(lambda: crew.finished("public.t", "g"))
    sql("alter table t drop constraint t_pkey, add primary key (v, id); alter publication p add table t")
    crew.until(lambda: crew.listed == 2, 40)
    crew.for_a_while(1)
    assert len(crew.lives) == 1
    crew.reach()
    crew.until(lambda: len(crew.lives) == 2)
PY
}

@test "a partition that another table gets is copied as that table's" {
    play <<'PY'
sql("""create table a (id int primary key) partition by range (id);
       create table b (id int primary key) partition by range (id);
       create table low partition of a for values from (0) to (100);
       insert into a select generate_series(1, 50);
       create publication p for all tables with (publish_via_partition_root = true)""")
with Crew() as crew:
    crew.copied("public.a")
    # The bug was that the workers were not asked again: they have it as a's only.
    crew.want = lambda worker, part: "w"
    crew.notes.clear()
    sql("alter table a detach partition low; alter table b attach partition low for values from (0) to (100)")
    crew.copied("public.b", seconds=40)
    crew.same("public.b", "id::text")
    # Nothing in the stream takes the rows away.
    assert "public.low: it is a partition of another table now; its rows stay in the target of the earlier table" in crew.log()
    sql("drop table low")
    crew.until(lambda: "public.low: it is no longer a partition of public.b; its rows stay in the target" in crew.log(), 40)
PY
}

@test "before 14 a table that comes late is copied in the next run" {
    source "$BATS_TEST_DIRNAME/../lib/majors.bash"
    major_or_skip 13
    major_new old 13
    DATABASE=postgres
    CONNINFO=$(pg_conninfo old postgres)
    SYSTEM=$(pg_sql old "select system_identifier from pg_control_system()")
    play <<'PY'
sql("""create table t (id int primary key); insert into t select generate_series(1, 300000);
       create table late (id int primary key); insert into late values (1);
       create publication p for table t""")
with Crew(lags=True) as crew:
    crew.until(lambda: crew.listed == 1)
    crew.reach()
    crew.copied("public.t")
    # The bug was that the first range of a table that was never analysed had no end.
    ranges = [r for r in crew.ranges if r.kind == "b"]
    assert min(r.start for r in ranges) == [0, 0] and [512, 0] in [r.end for r in ranges]
    crew.missing = lambda worker, life: []
    session = open_session()
    tell(session, "begin; insert into late values (2)")
    sql("alter publication p add table late")
    crew.until(lambda: crew.listed == 2, 40)
    crew.for_a_while(1.5)
    crew.reach()
    crew.for_a_while(1)
    assert crew.process.poll() is None and len(crew.lives) == 1
    tell(session, "commit")
    crew.for_a_while(2)
    assert crew.process.poll() is None  # the worker is not there yet
    crew.reach()
    crew.exit(111, "public.late: what is published of it has changed; a server before PostgreSQL 14")
with Crew(notes=crew.notes) as crew:
    crew.copied("public.late")
    crew.same("public.late", "id::text")
PY
}

@test "the source ends all connections: 111, and the next run reads the rest" {
    play <<'PY'
sql("""create table t (id int primary key, v text); insert into t select g, repeat('x', 200) from generate_series(1, 60000) g;
       create publication p for table t""")
notes, rows = {}, {}
with Crew(notes=notes, args=["--rate", "2000000"]) as crew:
    crew.until(lambda: len(crew.ranges) > 1)
    sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'walpipe copy'")
    crew.exit(111)
    rows.update(crew.rows)
with Crew(notes=notes) as crew:
    crew.rows.update(rows)
    crew.copied("public.t")
    crew.same("public.t", "id::text, v")
    assert sum(len(r.rows) for r in crew.ranges) < 60000
PY
}

@test "the bug was that a resync was refused as long as workers had not said what they have" {
    play <<'PY'
sql("create table t (id int primary key); insert into t values (1); create publication p for table t")
part = int(sql("select 't'::regclass::oid"))
with Crew(notes={("dst", 0, part): None}) as crew:
    while "pg-table-read is connected" not in crew.ackd.log():
        time.sleep(0.05)
    command = Peer(crew.ackd)
    # nobody reads yet, so nobody answers
    command.say(22, 0, "resync", "", "public", "t")
    assert command.hear(1.5) is None
    crew.until(lambda: crew.lives)
    assert command.expect(23)[3] is True
    crew.copied("public.t")
    refused = Peer(crew.ackd)
    refused.say(22, 0, "resync", "", "public", "u")
    crew.for_a_while(0.5)
    assert refused.expect(23)[3] is False
PY
}
