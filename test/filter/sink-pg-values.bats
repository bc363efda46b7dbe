#!/usr/bin/env bats
# sink-pg alone: the values of every kind of type, in text and in binary format.

load sink-pg

@test "domains, enums, citext keys, arrays, composites and special values (traps 72, 73, 87, 88)" {
    stream "$T/s" <<'PY'
e = Events(sink="dst", shards=1)
K = [col("id", True, 90001, -1, "public", "citext"), col("d", oid=90002, type_name="int4"),
     col("e", oid=90003, type_schema="public", type_name="mood"), col("a", oid=1007), col("c", oid=90004),
     col("ts", oid=1184), col("iv", oid=1186), col("b", oid=17)]
e.table(1, "public", "t", K)
def row(key, n):
    return [key, str(n), "sad" if n % 2 else "happy", "{{1,2},{3,%d}}" % n, '(%d,"a ""b""")' % n,
            "infinity" if n % 3 else "0044-03-15 00:00:00+00 BC", "1 mon -1 days", "\\x00ff%02x" % (n % 256)]
e.begin()
for n in range(120): e.insert(1, row("Key%d" % n, n))
for n in range(120): e.update(1, row("Key%d" % n, n + 1))
e.commit()
e.begin(); e.update(1, row("Key5", 7)); e.delete(1, ["Key6"] + [None] * 7); e.commit()
e.end(); out(e)
PY
    sql "CREATE EXTENSION citext; CREATE DOMAIN dom AS int NOT NULL CHECK (VALUE >= 0);
         CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TYPE comp AS (x int, y text);
         CREATE TABLE t (id citext PRIMARY KEY, d dom, e mood, a int[], c comp, ts timestamptz,
                         iv interval, b bytea)"
    sink --log-level debug <"$T/s"
    [ "$status" -eq 0 ]
    unsaid "one by one"
    [ "$(sql "SET timezone = 'UTC'; SELECT * FROM t WHERE id = 'key5'")" = 'Key5|7|sad|{{1,2},{3,7}}|(7,"a ""b""")|infinity|1 mon -1 days|\x00ff07' ]
    [ "$(sql "SELECT count(*), sum(d) FROM t")" = "119|7254" ]
}

@test "identity always, generated columns, columns of the target's own (traps 59, 86)" {
    stream "$T/s" <<PY
$PRELUDE
tx(("insert", ["1", "a", "toast"]), ("insert", ["2", "b", "x"]))
tx(("update", ["10", "c", UNCHANGED], ["1", None, None]))
e.begin()
for n in range(100, 200): e.insert(1, [str(n), "v", "w"]); e.update(1, [str(n), "vv", UNCHANGED])
e.commit(); e.end(); out(e)
PY
    sql "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text, big text,
                         g text GENERATED ALWAYS AS (v || big) STORED, own int DEFAULT 5)"
    sink <"$T/s"
    [ "$status" -eq 0 ]
    [ "$(sql "SELECT id, v, big, g, own FROM t WHERE id < 101 ORDER BY id")" = "2|b|x|bx|5
10|c|toast|ctoast|5
100|vv|w|vvw|5" ]
}

@test "values in binary format: copied, merged, converted to the target's types (trap 69)" {
    stream "$T/s" <<'PY'
import struct
i4 = lambda n: struct.pack(">i", n)
e = Events(sink="dst", shards=1)
for relid, name in ((1, "same"), (2, "wider")):
    e.table(relid, "public", name, [col("id", True, INT4), col("v"), col("b", oid=17)])
    e.begin()
    for n in range(200): e.insert(relid, [i4(n), b"t\xc3\xbc", b"\x00\xff"])
    for n in range(100): e.update(relid, [i4(n), b"u", UNCHANGED])
    for n in range(50): e.delete(relid, [i4(n), None, None])
    e.commit()
    e.begin(); e.insert(relid, [i4(1000), b"x", None]); e.update(relid, [i4(1001), b"y", b"z"], [i4(1000), None, None]); e.commit()
e.table(3, "public", "mixed", [col("id", True, INT4), col("v")])
e.begin()
for n in range(100): e.insert(3, [i4(n), "text"])
e.commit(); e.end(); out(e)
PY
    sql "CREATE TABLE same (id int PRIMARY KEY, v text, b bytea);
         CREATE TABLE wider (id bigint PRIMARY KEY, v varchar, b bytea);
         CREATE TABLE mixed (id int PRIMARY KEY, v text)"
    sink --log-level debug <"$T/s"
    [ "$status" -eq 0 ]
    unsaid "public.same: one by one"
    for table in same wider; do
        [ "$(sql "SELECT count(*), sum(id), count(*) FILTER (WHERE v = 'u'), min(v), max(v) FROM $table")" = "151|19676|50|tü|y" ] ||
        [ "$(sql "SELECT count(*), sum(id), count(*) FILTER (WHERE v = 'u') FROM $table")" = "151|19676|50" ]
        [ "$(sql "SELECT * FROM $table WHERE id = 1001")" = '1001|y|\x7a' ]
    done
    [ "$(sql "SELECT count(*), sum(id) FROM mixed WHERE v = 'text'")" = "100|4950" ]
}

@test "values in text format that COPY takes in binary: each as the server's own (trap 69)" {
    # recoded NAME OID TYPE SEND VALUES: random values, and the edges of the type
    recoded() {
        sql "SET timezone = '$1'; SET extra_float_digits = 3; SET datestyle = ISO; DO \$\$ BEGIN PERFORM setseed(0.5); END \$\$;
             SELECT $2, encode(v::text::bytea, 'hex'), encode($4(v), 'hex') FROM ($5) AS r (v)
             WHERE v IS NOT NULL" >>"$T/values"
    }
    local n='generate_series(1, 3000) AS g'
    for zone in UTC Asia/Kolkata America/St_Johns Europe/Amsterdam; do
        recoded $zone 1184 timestamptz timestamptz_send "SELECT to_timestamp(random() * 8e9 - 4e9) FROM $n UNION ALL
            SELECT unnest('{0001-01-01,9999-12-31 23:59:59.999999,1999-12-31 23:59:59.5,2000-01-01,1937-06-30 12:00,
                            infinity,-infinity,0044-03-15 BC,10000-01-01,2024-02-29}'::timestamptz[])"
    done
    recoded UTC 1114 timestamp timestamp_send "SELECT '0001-01-01'::timestamp + random() * '9990 years'::interval FROM $n
        UNION ALL SELECT unnest('{1999-12-31 23:59:59.000001,2000-01-01,1900-02-28 23:59:59,infinity}'::timestamp[])"
    recoded UTC 1082 date date_send "SELECT '0001-01-01'::date + (random() * 3652058)::int FROM $n
        UNION ALL SELECT unnest('{1999-12-31,2000-01-01,1900-02-28,1900-03-01,infinity,-infinity,0044-03-15 BC}'::date[])"
    recoded UTC 1700 numeric numeric_send "SELECT (random() - 0.5)::numeric * 10::numeric ^ (random() * 60 - 30)::int FROM $n
        UNION ALL SELECT round((random() * 1e9)::numeric, (random() * 12)::int) FROM $n
        UNION ALL SELECT g::numeric / 100 FROM $n UNION ALL SELECT g * 10::numeric ^ (g % 300) FROM $n
        UNION ALL SELECT -g * 10::numeric ^ (- g % 300) FROM $n
        UNION ALL SELECT unnest('{0,0.0,0.00000,-0.0,1,-1,9999,10000,10001,0.0001,0.00001,99999999.99990000,
            NaN,Infinity,-Infinity,123456789012345678901234567890.000100}'::numeric[])
        UNION ALL SELECT repeat('9', 3000)::numeric UNION ALL SELECT ('0.' || repeat('0', 2000) || '7')::numeric"
    recoded UTC 701 float8 float8send "SELECT (random() - 0.5) * 10::float8 ^ (random() * 600 - 300) FROM $n
        UNION ALL SELECT unnest('{0,-0,1,NaN,Infinity,-Infinity,5e-324,1.7976931348623157e308,0.1,1e23}'::float8[])"
    recoded UTC 700 float4 float4send "SELECT ((random() - 0.5) * 10::float8 ^ (random() * 70 - 35))::float4 FROM $n
        UNION ALL SELECT unnest('{0,-0,1,NaN,Infinity,-Infinity,1e-45,3.4028235e38,0.1,16777216}'::float4[])"
    recoded UTC 20 int8 int8send "SELECT ((random() - 0.5) * 1.8e19)::int8 FROM $n
        UNION ALL SELECT unnest('{0,-1,9223372036854775807,-9223372036854775808}'::int8[])"
    recoded UTC 23 int4 int4send "SELECT ((random() - 0.5) * 4e9)::int4 FROM $n
        UNION ALL SELECT unnest('{0,-1,2147483647,-2147483648}'::int4[])"
    recoded UTC 21 int2 int2send "SELECT generate_series(-32768, 32767)::int2"
    recoded UTC 26 oid oidsend "SELECT unnest('{0,1,4294967295}'::oid[])"
    recoded UTC 16 bool boolsend "SELECT unnest('{t,f}'::bool[])"
    recoded UTC 2950 uuid uuid_send "SELECT md5(random()::text)::uuid FROM $n"
    run "$WALPIPE_ROOT/build/asan/unit/sink-pg_recode" compare <"$T/values"
    echo "$output"
    [ "$status" -eq 0 ]
    # all but the infinities, NaN and the years that are not of four digits
    [[ $output =~ ([0-9]+)\ values\ compared,\ ([0-9]+)\ of\ a\ known\ form ]]
    (( BASH_REMATCH[1] > 100000 && BASH_REMATCH[1] - BASH_REMATCH[2] < 40 ))
}

@test "a text of no known binary form: the row is there, and COPY takes the table's rows as text (trap 69)" {
    stream "$T/s" <<'PY'
e = Events(sink="dst", shards=1)
e.table(1, "public", "t", [col("id", True, INT4), col("d", oid=1082), col("n", oid=1700), col("j", oid=3802),
                           col("b", oid=17), col("v"), col("e", oid=90003, type_schema="public", type_name="mood")])
def row(n, date="2026-11-23"):
    return [str(n), date, "%d.50" % n, '{"a": %d}' % n, "\\x00ff", "a\tb\\N\n\u00fc", "sad" if n % 2 else None]
for first in (0, 200, 400):
    e.begin()
    for n in range(first, first + 200): e.insert(1, row(n, "infinity" if n == 300 else "0044-03-15 BC" if n == 301 else "2026-11-23"))
    e.commit()
    e.begin()
    for n in range(first, first + 200, 2): e.update(1, row(n, "infinity" if n % 100 == 0 and first == 400 else "1999-12-31"))
    e.delete(1, [str(first + 1)] + [None] * 6)
    e.commit()
e.end(); out(e)
PY
    sql "CREATE TYPE mood AS ENUM ('sad', 'happy');
         CREATE TABLE t (id int PRIMARY KEY, d date, n numeric, j jsonb, b bytea, v text, e mood);
         ALTER DATABASE $db SET log_statement = 'all'"
    local log=$SCRATCH/dst/log from
    from=$(wc -l <"$log")
    sink --log-level debug --batch-rows 200 <"$T/s"
    [ "$status" -eq 0 ]
    [ "$(sql "SELECT count(*), sum(id), sum(n), count(*) FILTER (WHERE d = 'infinity'), min(d),
                     count(*) FILTER (WHERE d = '1999-12-31'), count(e), count(DISTINCT v) FROM t")" = "597|179097|179395.50|2|0044-03-15 BC|298|297|1" ]
    [ "$(sql "SELECT v = E'a\tb\\\\N\n\u00fc', b = '\x00ff', j FROM t WHERE id = 42")" = 't|t|{"a": 42}' ]
    tail -n "+$((from + 1))" "$log" | grep -o 'COPY.*STDIN.*' | sed 's/(.*)//' >"$T/copies"
    cat "$T/copies"
    [[ $(head -n 1 "$T/copies") == *BINARY ]]
    [[ $(tail -n 1 "$T/copies") != *BINARY ]]
}

@test "a column of the target's own that takes no NULL: --check and the error name it, each way out works" {
    # the bug was that --check saw neither a domain's NOT NULL nor a partition's, and that the error
    # named no column for a domain
    sql "CREATE DOMAIN firm AS text NOT NULL;
         CREATE DOMAIN loose AS firm;
         CREATE DOMAIN ready AS text NOT NULL DEFAULT 'd';
         CREATE TABLE t (id int PRIMARY KEY, v text, big text, x loose);
         CREATE TABLE fine (id int PRIMARY KEY, v text, a ready, b int GENERATED BY DEFAULT AS IDENTITY,
             c firm DEFAULT 'c', d int NOT NULL GENERATED ALWAYS AS (1) STORED);
         CREATE TABLE tree (id int PRIMARY KEY, v text, x text, y text DEFAULT 'y') PARTITION BY RANGE (id);
         CREATE TABLE sub PARTITION OF tree FOR VALUES FROM (0) TO (9) PARTITION BY RANGE (id);
         CREATE TABLE leaf PARTITION OF sub FOR VALUES FROM (0) TO (9);
         ALTER TABLE leaf ALTER x SET NOT NULL, ALTER x SET DEFAULT 'not for rows by the root',
             ALTER y SET NOT NULL"
    stream "$T/check" <<'PY'
C = [col("id", True, INT4), col("v")]
out(hello(sink="dst", shards=1), relation(1, "public", "t", C + [col("big")]))
for n, name in enumerate(("fine", "tree", "leaf")): out(relation(n + 2, "public", name, C))
out(end())
PY
    sink --check <"$T/check" >"$T/out"
    [ "$(grep -c 'takes no NULL and has no default' "$T/out")" -eq 2 ]
    grep '^warn  public.t: column x is not in the source, takes no NULL' "$T/out"
    grep '^warn  public.tree: column x is not in the source, takes no NULL' "$T/out"

    stream "$T/s" <<PY
$PRELUDE
tx(("insert", ["1", "a", "b"]))
e.table(2, "public", "tree", [col("id", True, INT4), col("v")])
e.begin(); e.insert(2, ["1", "a"]); e.commit(); e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 100 ]
    said 'insert into public.t (id)=(1): column ..x..: .*domain public.loose does not allow null values.*ALTER DOMAIN'
    sql "ALTER DOMAIN firm DROP NOT NULL"
    sink <"$T/s"
    [ "$status" -eq 100 ]
    said 'insert into public.tree (id)=(1): column ..x..: .*null value.*that of a partitioned table at its root'
    sql "ALTER TABLE tree ALTER x SET DEFAULT 'r'"
    sink <"$T/s"
    [ "$status" -eq 0 ]
    [ "$(sql "SELECT tree.*, t.* FROM tree, t")" = "1|a|r|y|1|a|b|" ]
}

@test "a value that does not fit is found, whatever the batch (traps 90-92, 102)" {
    sql "CREATE TABLE t (id int PRIMARY KEY, v varchar(5), big text CHECK (big <> 'bad'))"
    stream "$T/s" <<PY
$PRELUDE
tx(("insert", ["-1", "ok", "ok"]))
e.begin()
for n in range(2000): e.insert(1, [str(n), "abc", "bad" if n == 1234 else "x"])
e.commit(); e.end(); out(e)
PY
    for rows in 100 100000; do
        sink --batch-rows "$rows" <"$T/s"
        [ "$status" -eq 100 ]
        said "insert into public.t (id)=(1234): .*t_big_check.*23514"
        [ "$(jq -r 'select(.level == "error") | .lsn + " " + .relation' "$T/err")" = "0/2100 public.t" ]
    done
    # the transaction before it was not kept back: rows 100 cuts between them
    [ "$(sql "SELECT id FROM t")" = -1 ]
    for bad in '"toolong", "x"' '"a\0b", "x"' '"\udcff", "x"'; do
        stream "$T/s" <<PY
$PRELUDE
e.lsn = 0x9000
tx(("insert", ["7", $bad]))
e.end(); out(e)
PY
        sink <"$T/s"
        [ "$status" -eq 100 ]
        said "insert into public.t (id)=(7): "
    done
}
