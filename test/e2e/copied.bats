#!/usr/bin/env bats
# A copy through the real programs, into simulated workers (copied_worker.py). The existing rows and
# the changes during the copy must result in the source's rows.

load copied

@test "under load, with keys that move, TRUNCATE and a table that joins later, both workers end equal" {
    play <<'PY'
skipped = 0
for number, (route, truncate) in enumerate((((), False), (("--shard-key", "column:region"), True))):
    folder = "%s/%d" % (sys.argv[1], number)
    os.mkdir(folder)
    if number:
        query("select pg_drop_replication_slot('s')")
        query("alter publication p drop table u")
        query("insert into t select n, n %% 5, 'more' from generate_series(100000, 120000) n")
        query("insert into u select n, 'more' from generate_series(100000, 110000) n")
    p = Pipeline(folder, os.environ["CONNINFO"], 2, route, ["--rate", "400000"])
    try:
        loads = [Load(seed, truncate) for seed in range(4)]
        p.wait(lambda: any(COPYTABLE in w.seen for w in p.workers))
        for load in loads:
            load.start()
        p.wait(lambda: any(RANGE_END in w.seen for w in p.workers))
        query("alter publication p add table u")
        p.wait(lambda: p.finished("public.t") and p.finished("public.u"), 90)
        for load in loads:
            load.stop = True
        for load in loads:
            load.join(20)
        p.wait(confirmed())
        same(p, "t", ("id", "region", "v"))
        same(p, "u", ("id", "v"))
        drain(p)
        print("transactions", sum(l.count for l in loads), *[
            (w.waited, w.skipped, w.touched, w.barriers, w.seen.count(RANGE)) for w in p.workers])
        assert all(w.barriers for w in p.workers) and any(w.touched for w in p.workers)
        skipped += sum(w.skipped for w in p.workers)
    except BaseException:
        p.logs()
        raise
    finally:
        p.end()
# A TRUNCATE may leave no row that could be skipped.
assert skipped > 0
PY
}

@test "pg-table-read that hangs holds up nothing; when it is killed, all end with 111" {
    play <<'PY'
p = Pipeline(sys.argv[1], os.environ["CONNINFO"], 2, reader=["--rate", "100000"])
try:
    p.wait(lambda: all(RANGE_END in w.seen for w in p.workers))
    p.programs["pg-table-read"].send_signal(signal.SIGSTOP)
    for n in range(20):
        query("insert into t select n, 1, 'x' from generate_series(%s, %s) n", 10**6 + 1000 * n, 10**6 + 1000 * n + 999)
        p.wait(confirmed())
    p.programs["pg-table-read"].kill()
    for name in "route", "pgout-decode", "pg-wal-read", "ackd":
        assert p.programs[name].wait(20) == 111, "%s: %s" % (name, p.programs[name].returncode)
finally:
    p.logs()
    p.end()
PY
}

@test "each row that exists already goes to the worker of its changes" {
    pg_sql src "
        drop publication p;
        drop table t, u;
        create table pair (id int, region int, v text, primary key (id, region));
        create table number (k numeric primary key, v text);
        create table word (k text, region int, v text, primary key (region, k));
        create table moment (k timestamptz primary key, v text);
        create table \"Odd name\" (k uuid primary key, gone int, b bytea, v text);
        create table chosen (a int, b int not null unique, v text);
        create table root (id int primary key, v text) partition by range (id);
        create table low partition of root for values from (0) to (50);
        create table high partition of root for values from (50) to (1000);
        alter table \"Odd name\" drop column gone;
        alter table chosen replica identity using index chosen_b_key;
        insert into pair select n, n % 7 from generate_series(1, 60) n;
        insert into number select n / 7.0 from generate_series(1, 60) n;
        insert into word select 'w' || n, n % 7 from generate_series(1, 60) n;
        insert into moment select 'epoch'::timestamptz + n * interval '1 day 0.001 s' from generate_series(1, 60) n;
        insert into \"Odd name\" select md5(n::text)::uuid, '\\xff00' from generate_series(1, 60) n;
        insert into chosen select n, n + 1000 from generate_series(1, 60) n;
        insert into root select n from generate_series(1, 99) n;
        create publication p for all tables"
    play <<'PY'
TABLES = ("pair", "number", "word", "moment", '"Odd name"', "chosen")
PARTS = TABLES + ("low", "high")
layout = sys.argv[1] + "/layout"
with open(layout, "w") as f:
    f.write("public.pair -> public.g\npublic.word -> public.g\n")
for number, (route, via_root) in enumerate((
        ((), False), ((), True), (("--shard-key", "table"), True), (("--shard-key", "column:region"), False),
        (("--layout", layout), True))):
    folder = "%s/%d" % (sys.argv[1], number)
    os.mkdir(folder)
    if number:
        query("select pg_drop_replication_slot('s')")
    query("alter publication p set (publish_via_partition_root = %s)", via_root)
    tables = TABLES + ("root",) if via_root else PARTS
    p = Pipeline(folder, os.environ["CONNINFO"], 3, route)
    try:
        p.wait(lambda: all(p.finished("public." + t.replace('"', '\\"')) for t in PARTS))
        for t in tables:
            query("update %s set v = %%s" % t, str(number))
        p.wait(confirmed())
        drain(p)
        spread = {}
        for t in tables:
            name = "public." + t.strip('"')
            got = [(w.copied_keys.get(name, set()), w.changed_keys.get(name, set())) for w in p.workers]
            assert sum(len(c) for c, _ in got) == query("select count(*) from " + t)[0][0], t
            assert all(copied == changed for copied, changed in got), (route, t, got)
            spread[t] = sum(len(c) > 0 for c, _ in got)
        print(number, spread)
        assert spread["pair"] == spread["word"] == (1 if number in (2, 4) else 3), spread
    except BaseException:
        p.logs()
        raise
    finally:
        p.end()
PY
}

@test "into sink-pg, while programs are killed: both tables end equal" {
    pg_new dst
    pg_sql dst "create table t (id int, region int, v text, primary key (id, region));
        create table u (id int primary key, v text)"
    pg_sql src "alter publication p add table u;
        insert into t select n, n % 5, repeat(md5(n::text), 30) from generate_series(100001, 110000) n"
    TARGET=$(pg_conninfo dst)
    export TARGET
    play <<'PY'
# Dies with all others within seconds, each with 111.
def kill(p, name):
    p.programs[name].kill()
    for other, program in p.programs.items():
        code = program.wait(20)
        assert code == (-9 if other == name else 111), "%s: %s, %s was killed" % (other, code, name)

def rows(where, text):
    c = psycopg2.connect(os.environ[where])
    with c, c.cursor() as cursor:
        cursor.execute(text)
        result = cursor.fetchall()
    c.close()
    return result

def streaming():
    return rows("TARGET", "select count(*), sum((state = 'streaming')::int) from walpipe.tables where name <> '*'") == [(4, 4)]

folder = sys.argv[1] + "/f"
os.mkdir(folder)
loads = [Load(seed, False, 500000) for seed in range(3)]
for load in loads:
    load.start()
for victim in ("sink-pg/0", "pg-table-read", "route", "ackd", None):
    rate = "1000000" if victim else "0"
    p = Pipeline(folder, os.environ["CONNINFO"], 2, reader=["--rate", rate], target=os.environ["TARGET"])
    try:
        if victim:
            p.wait(lambda: "are to be copied" in open(p.log("pg-table-read")).read())
            time.sleep(random.random())  # anywhere in the copy
            kill(p, victim)
            continue
        p.wait(streaming, 180)
        for load in loads:
            load.stop = True
        for load in loads:
            load.join(20)
        p.wait(confirmed())
        for text in ("select id, region, v from t order by 1, 2", "select id, v from u order by 1"):
            got, expected = rows("TARGET", text), rows("CONNINFO", text)
            assert got == expected, "%d rows, not %d: %r" % (len(got), len(expected), sorted(set(got) ^ set(expected))[:9])
        drain(p)
    except BaseException:
        p.logs()
        raise
    finally:
        p.end()
PY
}
