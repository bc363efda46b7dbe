#!/usr/bin/env bats
# A copy through the real programs into ClickHouse, while the source changes and programs are killed:
# the rows become the source's rows.

load copied

# copy_into WORKERS: into the ClickHouse "ch".
copy_into() {
    WORKERS=$1
    TARGET=$(ch_url ch)
    export WORKERS TARGET
    pg_sql src "alter publication p add table u;
        alter table t add n int default 0;
        alter table t alter v set storage external;
        insert into t select n, n % 5, repeat(md5(n::text), 80), 0 from generate_series(20001, 26000) n"
    play <<'PY'
import urllib.request

def ch(text):
    request = urllib.request.Request(os.environ["TARGET"] + "/?wait_end_of_query=1", data=text.encode())
    return [line.split("\t") for line in urllib.request.urlopen(request).read().decode().splitlines()]

class Toasted(Load):
    """Also updates that do not send the large value. A row that moves to another worker costs some
    requests of each worker: no more of them than ClickHouse answers."""

    def statement(self):
        time.sleep(0.05)
        n = self.dice.randrange(20000, 26000)
        if self.dice.random() < 0.3:
            return "update t set n = n + 1 where id between %d and %d" % (n, n + 3)
        if self.dice.random() < 0.02:
            return "update t set region = region + 1, n = n + 1 where id = %d" % n
        statement = super().statement()
        return statement if "region + 1" not in statement else "update t set n = n + 1 where id = %d" % n

# Dies with all others within seconds, each with 111.
def kill(p, name):
    p.programs[name].kill()
    for other, program in p.programs.items():
        code = program.wait(30)
        assert code == (-9 if other == name else 111), "%s: %s, %s was killed" % (other, code, name)

def streaming():
    return ch("select count(), countIf(state = 'streaming') from walpipe_tables final "
              "where relid <> 0 and state <> 'gone'") == [[str(2 * workers)] * 2]

def compare():
    for name, columns in ("t", "id, region, v, n"), ("u", "id, v"):
        expected = sorted([str(value) for value in row] for row in query("select %s from %s" % (columns, name)))
        got = sorted(ch("select %s from %s final where _is_deleted = 0" % (columns, name)))
        extra, lost = [r for r in got if r not in expected][:3], [r for r in expected if r not in got][:3]
        assert got == expected, "%s: %d rows, not %d: extra %r, lost %r" % (
            name, len(got), len(expected), extra, lost)

workers = int(os.environ["WORKERS"])
folder = sys.argv[1] + "/f"
os.mkdir(folder)
loads = [Toasted(seed, False) for seed in range(2)]
for load in loads:
    load.start()
sink = ["sink-ch", "--url", os.environ["TARGET"], "--database", "default", "--create-tables",
        "--flush-interval", "200ms"]
for victim in ("sink-ch/0", "pg-table-read", "route", "sink-ch/%d" % (workers - 1), "ackd", None):
    rate = "2000000" if victim else "0"
    p = Pipeline(folder, os.environ["CONNINFO"], workers, reader=["--rate", rate], command=sink)
    try:
        if victim:
            p.wait(lambda: "are to be copied" in open(p.log("pg-table-read")).read())
            time.sleep(2 * random.random())  # anywhere in the copy
            kill(p, victim)
            continue
        p.wait(streaming, 200)
        for load in loads:
            load.stop = True
        for load in loads:
            load.join(20)
        p.wait(confirmed())
        compare()
        assert ch("select count() from walpipe_missing final where missing = 1") == [["0"]]
        print("transactions", sum(load.count for load in loads), "missed", ch("select count() from walpipe_missing final"))
        drain(p)
    except BaseException:
        p.logs()
        raise
    finally:
        p.end()
PY
}

@test "one worker into ClickHouse 18.16, while programs are killed" {
    ch_new ch
    copy_into 1
}

@test "three workers into ClickHouse 18.16, while programs are killed" {
    ch_new ch
    copy_into 3
}

@test "three workers into a ClickHouse of today, while programs are killed" {
    source "$BATS_TEST_DIRNAME/../lib/chdb.bash"
    chdb_available || true
    chdb_or_skip
    chdb_new ch
    copy_into 3
}

@test "walpipe run copies what is there and a table that is added, makes the tables, and copies nothing again" {
    source "$BATS_TEST_DIRNAME/../lib/pipeline.bash"
    ch_new ch
    conf=$T/w.conf
    cat >"$conf" <<C
[pipeline]
name = w
state_dir = $T/state
copy = yes
[source]
conninfo = $CONNINFO
slot = w
publication = p
[sink olap]
type = ch
url = $(ch_url ch)
database = default
create_tables = yes
shards = 2
flush_interval = 200ms
C
    pipeline_start "$conf"
    pg_sql src "update t set v = 'new' where id % 3 = 0; delete from t where id < 100; update t set id = id + 50000 where id < 200"
    wait_until 120 streaming 2
    pg_sql src "alter publication p add table u; update u set v = 'new' where id % 3 = 0"
    wait_until 120 streaming 4
    pg_sql src "delete from u where id < 100; update t set region = region + 1 where id < 300"
    caught_up "$conf" src w 120
    same_rows t "id, region, v"
    same_rows u "id, v"
    [ "$(ch_sql ch "select count() from u_current")" = 4901 ]
    pipeline_stop "$conf"
    copies=$(grep -c '"[1-9][0-9]* of [0-9]* published tables are to be copied' "$conf.log")
    pipeline_start "$conf"
    pg_sql src "insert into u values (1, 'back')"
    caught_up "$conf" src w 120
    same_rows u "id, v"
    pipeline_stop "$conf"
    [ "$copies" -gt 0 ]
    [ "$(grep -c '"[1-9][0-9]* of [0-9]* published tables are to be copied' "$conf.log")" = "$copies" ]
    no_restart "$conf"
}
