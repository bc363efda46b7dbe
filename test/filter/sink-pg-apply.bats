#!/usr/bin/env bats
# sink-pg alone: rows and keys, written one by one and as a set.

load sink-pg

# ---- rows ----

@test "inserts, updates, deletes, key changes, NULLs and odd values: directly and as a set" {
    stream "$T/in1" <<PY
$PRELUDE
tx(("insert", ["1", "a\\tb\\\\N", None]), ("insert", ["2", "", "\\\\."]), ("insert", ["3", "c", "x"]))
tx(("update", ["1", "new", None]), ("update", ["33", "moved", UNCHANGED], ["3", None, None]))
tx(("delete", ["2", None, None]))
e.end(); out(e)
PY
    stream "$T/in2" <<PY
$PRELUDE
e.lsn = 0x9000
e.begin()
for n in range(100, 400): e.insert(1, [str(n), "v", "big %d" % n])
for n in range(100, 300): e.update(1, [str(n), "u'\\"", UNCHANGED])
for n in range(100, 200): e.delete(1, [str(n), None, None])
for n in range(100, 150): e.insert(1, [str(n), "again", None])
e.commit(); e.end(); out(e)
PY
    sql "CREATE TABLE t (id int PRIMARY KEY, v text, big text)"
    sink --log-level debug <"$T/in1"
    [ "$status" -eq 0 ]
    [ "$(sql "SELECT id, v, big FROM t ORDER BY id")" = "1|new|
33|moved|x" ]
    sink --log-level debug <"$T/in2"
    [ "$status" -eq 0 ]
    unsaid "one by one"
    [ "$(sql "SELECT v, count(*), count(big), min(id) FROM t WHERE id >= 100 GROUP BY v ORDER BY 4")" = "again|50|0|100
u'\"|100|100|200
v|100|100|300" ]
    [ "$(sql "SELECT big FROM t WHERE id = 250")" = "big 250" ]
    [ "$(jq -r .message "$acks" | tail -n 2 | head -n 1)" = finished ]
}

@test "random histories end in the same rows by every way (traps 42, 48, 54, 59, 79-82, 86-88, 101)" {
    history=$WALPIPE_ROOT/test/filter/sinkpg_history.py
    for seed in 1 2 $RANDOM$RANDOM; do
        echo "seed $seed" >&2
        /usr/bin/python3 "$history" "$seed" 40 250 "$T/stream" "$T/expected"
        for rows in 100000 300 9; do
            sql "DROP SCHEMA public CASCADE; CREATE SCHEMA public;
                 DROP SCHEMA IF EXISTS walpipe CASCADE" 2>/dev/null
            /usr/bin/python3 "$history" ddl | pg_sql dst - "$db"
            sink --batch-rows "$rows" --flush-interval 60s <"$T/stream"
            [ "$status" -eq 0 ]
            /usr/bin/python3 "$history" query | pg_sql dst - "$db" | LC_ALL=C sort >"$T/got"
            LC_ALL=C sort "$T/expected" | diff - "$T/got"
        done
    done
}

@test "names from hell, and --map" {
    stream "$T/s" <<'PY'
e = Events(sink="dst", shards=1)
e.table(1, 'S "1"', "t;--", [col('a"b', True, INT4), col("select"), col("ü")])
e.table(2, "public", "from_here", [col("id", True, INT4)])
e.begin(); e.insert(1, ["1", "x", "y"]); e.insert(2, ["7"]); e.update(1, ["1", "x2", UNCHANGED])
for n in range(100): e.insert(1, [str(n + 10), "x", "y"]); e.update(1, [str(n + 10), "z", "y"])
e.commit(); e.end(); out(e)
PY
    sql 'CREATE SCHEMA "S ""1"""; CREATE TABLE "S ""1"""."t;--" ("ü" text, "select" text, "a""b" int PRIMARY KEY);
         CREATE TABLE "To" (id int PRIMARY KEY)'
    sink --map 'public.from_here -> public."To"' <"$T/s"
    [ "$status" -eq 0 ]
    [ "$(sql 'SELECT "a""b", "select", "ü" FROM "S ""1"""."t;--" WHERE "a""b" < 12 ORDER BY 1')" = "1|x2|y
10|z|y
11|z|y" ]
    [ "$(sql 'SELECT id FROM "To"')" = 7 ]
}

@test "unique values that change places: over a parking place, in a circle, deferred (trap 82)" {
    stream "$T/s" <<'PY'
e = Events(sink="dst", shards=1)
for relid, name in ((1, "immediate"), (2, "deferrable")):
    e.table(relid, "public", name, [col("id", True, INT4), col("u", oid=INT4)])
for relid in (1, 2):
    e.begin(); e.insert(relid, ["1", "1"]); e.insert(relid, ["2", "2"]); e.insert(relid, ["3", "3"]); e.commit()
    e.begin(); e.update(relid, ["1", "2"]); e.update(relid, ["2", "3"]); e.update(relid, ["3", "1"]); e.commit()
e.end(); out(e)
PY
    sql "CREATE TABLE \"immediate\" (id int PRIMARY KEY, u int UNIQUE);
         CREATE TABLE \"deferrable\" (id int PRIMARY KEY, u int UNIQUE DEFERRABLE)"
    for rows in 3 100; do
        sql "TRUNCATE \"immediate\", \"deferrable\"; DROP SCHEMA IF EXISTS walpipe CASCADE" 2>/dev/null
        sink --batch-rows "$rows" <"$T/s"
        [ "$status" -eq 0 ]
        [ "$(sql "SELECT string_agg(u::text, ' ' ORDER BY id) FROM \"immediate\"")" = "2 3 1" ]
        [ "$(sql "SELECT string_agg(u::text, ' ' ORDER BY id) FROM \"deferrable\"")" = "2 3 1" ]
    done
}

@test "keys of the target: deferrable, partial index, none at all (trap 83)" {
    stream "$T/s" <<'PY'
e = Events(sink="dst", shards=1)
for relid, name in ((1, "deferrable"), (2, "partial"), (3, "bare")):
    e.table(relid, "public", name, [col("id", True, INT4), col("v")])
    e.begin()
    for n in range(80): e.insert(relid, [str(n), "a"])
    for n in range(80): e.update(relid, [str(n), "b"])
    for n in range(40): e.delete(relid, [str(n), None])
    e.insert(relid, ["0", "again"]); e.update(relid, ["1", "c"], ["0", None])
    e.commit()
e.end(); out(e)
PY
    sql "CREATE TABLE \"deferrable\" (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, v text);
         CREATE TABLE partial (id int, v text); CREATE UNIQUE INDEX ON partial (id) WHERE id > 0;
         CREATE TABLE bare (id int, v text)"
    sink <"$T/s"
    [ "$status" -eq 0 ]
    for table in deferrable partial bare; do
        [ "$(sql "SELECT count(*), count(DISTINCT id), sum(id), min(v), max(v) FROM \"$table\"")" = "41|41|2381|b|c" ]
    done
}

@test "rows that swap deferrable keys under REPLICA IDENTITY FULL (trap 115)" {
    # The bug was that the target's key found the rows: both, once they shared it for a moment.
    stream "$T/s" <<'PY'
e = Events(sink="dst", shards=1)
for relid, name in ((1, "initially"), (2, "now")):
    e.table(relid, "public", name, [col("id", True, INT4), col("v", True)], "f")
    e.begin()
    for n in range(100): e.insert(relid, [str(n), f"v{n}"])
    e.commit()
    e.begin()
    for n in range(0, 100, 2):
        e.update(relid, [str(n + 1), f"v{n}"], old=[str(n), f"v{n}"])
        e.update(relid, [str(n), f"v{n + 1}"], old=[str(n + 1), f"v{n + 1}"])
    e.commit()
e.end(); out(e)
PY
    sql "CREATE TABLE \"initially\" (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, v text);
         CREATE TABLE \"now\" (id int PRIMARY KEY DEFERRABLE, v text)"
    for rows in 3 1000; do
        sql "TRUNCATE \"initially\", \"now\"; DROP SCHEMA IF EXISTS walpipe CASCADE" 2>/dev/null
        sink --batch-rows "$rows" <"$T/s"
        [ "$status" -eq 0 ]
        for table in initially now; do
            [ "$(sql "SELECT count(*), count(*) FILTER (WHERE v = 'v' || (id + 1 - 2 * (id % 2)))
                        FROM \"$table\"")" = "100|100" ]
        done
    done
}

@test "keys that swap under REPLICA IDENTITY FULL, but not in the target: in one batch or not at all (trap 115)" {
    # The bug was that one row took the other one's key and place, without a word.
    sql "CREATE TABLE t (id int PRIMARY KEY, v text)"
    for n in 4 100; do
        stream "$T/s" <<PY
e = Events(sink="dst", shards=1)
e.table(1, "public", "t", [col("id", True, INT4), col("v", True)], "f")
e.begin()
for n in range($n): e.insert(1, [str(n), f"v{n}"])
e.commit()
e.begin()
for n in range(0, $n, 2):
    e.update(1, [str(n + 1), f"v{n}"], old=[str(n), f"v{n}"])
    e.update(1, [str(n), f"v{n + 1}"], old=[str(n + 1), f"v{n + 1}"])
e.commit(); e.end(); out(e)
PY
        for rows in 1 3 1000; do
            sql "TRUNCATE t; DROP SCHEMA IF EXISTS walpipe CASCADE" 2>/dev/null
            sink --batch-rows "$rows" <"$T/s"
            got=$(sql "SELECT count(*), count(*) FILTER (WHERE v = 'v' || id),
                              count(*) FILTER (WHERE v = 'v' || (id + 1 - 2 * (id % 2))) FROM t")
            if [ "$rows" -eq 1000 ]; then
                [ "$status" -eq 0 ]
                [ "$got" = "$n|0|$n" ]
                continue
            fi
            [ "$status" -eq 100 ]
            said 't_pkey.*DEFERRABLE'
            [ "$got" = "$n|$n|0" ] || [ "$got" = "0|0|0" ] # all as it was, or nothing yet
        done
    done
}

@test "the bug was that a row went with the one that had its deferrable key for a moment (trap 115)" {
    # REPLICA IDENTITY FULL; `few` goes one by one, `many` by sets of rows
    sql "CREATE TABLE few (id int PRIMARY KEY, v text); CREATE TABLE many (LIKE few INCLUDING ALL);
         CREATE TABLE few_d (id int PRIMARY KEY DEFERRABLE, v text); CREATE TABLE many_d (id int PRIMARY KEY DEFERRABLE, v text)"
    stream "$T/s" <<'PY'
e = Events(sink="dst", shards=1)
tables = {1: ("few", 1), 2: ("many", 80), 3: ("few_d", 1), 4: ("many_d", 80)}
for relid, (name, n) in tables.items():
    e.table(relid, "public", name, [col("id", True, INT4), col("v", True)], "f")
    e.begin()
    for i in range(7 * n): e.insert(relid, [str(i), "old"])
    e.commit()
for relid, (name, n) in tables.items():
    e.begin()
    for i in range(n):
        k = [str(7 * i + j) for j in range(7)]
        away = str(100000 + i)
        e.insert(relid, [k[0], "new"]); e.delete(relid, old=[k[0], "old"])
        e.insert(relid, [k[1], "new"]); e.delete(relid, old=[k[1], "new"])
        e.insert(relid, [k[2], "new"]); e.update(relid, [away, "old"], old=[k[2], "old"])
        e.update(relid, [k[3], "from 4"], old=[k[4], "old"]); e.delete(relid, old=[k[3], "old"])
        e.update(relid, [k[5], "moved"], old=[k[6], "old"]); e.update(relid, [k[6], "moved"], old=[k[5], "old"])
    e.commit()
e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 0 ]
    for table in few few_d; do
        [ "$(sql "SELECT id, v FROM $table ORDER BY id" | paste -sd ' ')" = \
            "0|new 1|old 2|new 3|from 4 5|moved 6|moved 100000|old" ]
    done
    for table in many many_d; do
        [ "$(sql "SELECT CASE WHEN id >= 100000 THEN 7 ELSE id % 7 END, v, count(*) FROM $table GROUP BY 1, 2 ORDER BY 1" | paste -sd ' ')" = \
            "0|new|80 1|old|80 2|new|80 3|from 4|80 5|moved|80 6|moved|80 7|old|80" ]
    done

    # cut between the two rows of a key: a whole transaction or nothing of it
    for rows in 1 2 3 97; do
        sql "TRUNCATE few, many, few_d, many_d; DROP SCHEMA IF EXISTS walpipe CASCADE" 2>/dev/null
        sink --batch-rows "$rows" <"$T/s"
        [ "$status" -eq 100 ]
        said 'few_pkey.*DEFERRABLE\|many_pkey.*DEFERRABLE'
        case $(sql "SELECT id, v FROM few ORDER BY id" | paste -sd ' ') in
        "" | "0|old 1|old 2|old 3|old 4|old 5|old 6|old") ;;
        "0|new 1|old 2|new 3|from 4 5|moved 6|moved 100000|old") [ "$rows" -eq 97 ] ;;
        *) return 1 ;;
        esac
        case $(sql "SELECT v, count(*) FROM many GROUP BY 1 ORDER BY 1" | paste -sd ' ') in
        "" | "old|560") ;;
        *) return 1 ;;
        esac
    done
}

@test "rows that should be there and are not; rows that are and should not (traps 49, 55, 100)" {
    sql "CREATE TABLE t (id int PRIMARY KEY, v text, big text); INSERT INTO t VALUES (1, 'old', 'old')"
    stream "$T/s" <<PY
$PRELUDE
tx(("insert", ["1", "new", "new"]), ("update", ["2", "upd", "whole"]), ("delete", ["3", None, None]))
e.begin()
for n in range(100, 200): e.update(1, [str(n), "v", "whole"])
for n in range(200, 300): e.delete(1, [str(n), None, None])
e.commit(); e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 0 ]
    [ "$(sql "SELECT * FROM t WHERE id < 100 ORDER BY id")" = "1|new|new
2|upd|whole" ]
    [ "$(sql "SELECT count(*) FROM t")" = 102 ]
    said "public.t: 101 updates found no row in the target and inserted it, 101 deletes found none"
    [ "$(jq -c 'select(.message == "differences") | [.relation, .updates, .deletes]' "$acks")" = '["public.t",101,101]' ]

    stream "$T/s" <<PY
$PRELUDE
e.lsn = 0x9000
tx(("update", ["2", "fine", UNCHANGED]))
tx(("update", ["9", "v", UNCHANGED]))
e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 100 ]
    said "update of public.t (id)=(9): the target has no such row"
    [ "$(jq -r 'select(.level == "error") | .lsn + " " + .relation' "$T/err")" = "0/9100 public.t" ]

    stream "$T/s" <<PY
$PRELUDE
e.lsn = 0x9100
tx(("insert", ["9", "v", UNCHANGED]))
e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 100 ]
    said "the source did not send a TOASTed value"
}

# the bug was that with binary = on the key of the row that failed was said as "(binary)"
@test "an error names a key that came in binary format as people read it" {
    sql "CREATE TABLE t (id int PRIMARY KEY, v text, big text)"
    stream "$T/s" <<PY
$PRELUDE
tx(("update", [(9).to_bytes(4, "big"), b"v", UNCHANGED]))
e.end(); out(e)
PY
    sink <"$T/s"
    [ "$status" -eq 100 ]
    said "update of public.t (id)=(9): the target has no such row"
}

# the bug was that what was found missing within ten seconds of the last time was said by nobody when
# no later batch had rows of that table
@test "what was missing is counted, told to ackd when it is durable, and all said at the end" {
    sql "CREATE TABLE t (id int PRIMARY KEY, v text UNIQUE, big text); INSERT INTO t VALUES (5, 'taken', ''), (6, 'x', '')"
    stream "$T/s" <<PY
$PRELUDE
tx(("update", ["1", "a", "whole"]))
tx(("update", ["2", "b", "whole"]), ("delete", ["3", None, None]))
tx(("update", ["5", "free", "whole"]), ("update", ["6", "taken", "whole"]), ("delete", ["4", None, None]),
   *[("insert", [str(n), "v%d" % n, ""]) for n in range(100, 200)], ("update", ["7", "c", "whole"]))
tx(("insert", ["8", "d", "whole"]))
e.end(); out(e)
PY
    sink --batch-rows 1 <"$T/s"
    [ "$status" -eq 0 ]
    [ "$(jq -r 'select(.level == "warning") | .message' "$T/err" | grep -o '[0-9]* \(updates\|deletes\)' |
        awk '{ n[$2] += $1 } END { print n["updates"], n["deletes"] }')" = "3 2" ]
    [ "$(jq -s -c '[.[] | select(.message == "differences")] | [(map(.updates) | add), (map(.deletes) | add)]' "$acks")" = '[3,2]' ]
}

# inserts_counted TABLE N: ackd has been told of N inserts that overwrote a row of the table.
inserts_counted() {
    local n
    n=$(jq -s --arg t "$1" '[.[] | select(.message == "differences" and .relation == $t) | .inserts] | add // 0' "$acks")
    [ "$n" -eq "$2" ] || { echo "$1: $n inserts, expected $2" && return 1; }
}

# the bug was that an insert took the place of another row, and nobody was told
@test "inserts that overwrite another row are counted by every way, those of an equal row are not" {
    sql "CREATE TABLE one (id int PRIMARY KEY, v text, j json, n numeric);
         CREATE TABLE copied (LIKE one INCLUDING ALL); CREATE TABLE merged (LIKE one INCLUDING ALL);
         CREATE TABLE evicted (id int PRIMARY KEY, v text UNIQUE, j json, n numeric);
         CREATE TABLE parted (LIKE one INCLUDING ALL) PARTITION BY RANGE (id);
         CREATE TABLE leaf (n numeric, j json, v text, id int NOT NULL);
         ALTER TABLE parted ATTACH PARTITION leaf FOR VALUES FROM (0) TO (9999);
         CREATE TABLE fired (LIKE one INCLUDING ALL);
         CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
         CREATE TRIGGER fire BEFORE INSERT OR UPDATE ON fired FOR EACH ROW EXECUTE FUNCTION nothing();
         ALTER TABLE fired ENABLE ALWAYS TRIGGER fire;
         CREATE TABLE later (id int PRIMARY KEY DEFERRABLE, v text, j json, n numeric);
         CREATE TABLE always (id int PRIMARY KEY, v text, j json, n numeric, i int GENERATED ALWAYS AS IDENTITY);
         CREATE TABLE keys (id int PRIMARY KEY)"
    for t in one copied merged evicted parted fired later; do
        sql "INSERT INTO $t SELECT g, 'v' || g, CASE WHEN g % 2 = 0 THEN '{}' END::json, 1.50 FROM generate_series(1, 20) g"
    done
    sql "INSERT INTO always OVERRIDING SYSTEM VALUE SELECT g, 'v' || g, CASE WHEN g % 2 = 0 THEN '{}' END::json, 1.50, g
             FROM generate_series(1, 20) g; INSERT INTO keys SELECT generate_series(1, 20)"
    stream "$T/s" <<'PY'
e = Events(sink="dst", shards=1)
names = ["one", "copied", "merged", "evicted", "parted", "fired", "later", "always", "keys"]
cols = [col("id", True, INT4), col("v"), col("j", oid=114), col("n", oid=1700)]
for relid, name in enumerate(names, 1):
    e.table(relid, "public", name, [cols[0]] if name == "keys" else
            cols + [col("i", oid=INT4)] if name == "always" else cols)
def row(name, n, v=None, j=None, num="1.50"):
    r = [str(n), v or "v%d" % n, j or ("{}" if n % 2 == 0 else None), num]
    return r[:1] if name == "keys" else r + [str(n)] if name == "always" else r
# 1 to 10 are as they are, 11 differs in v, 12 in j, 13 in n, 14 in all; 30 and 31 are new
def rows(name):
    return [row(name, n) for n in range(1, 11)] + [row(name, 11, v="w11"), row(name, 12, j="{ }"),
        row(name, 13, num="1.5"), row(name, 14, "w14", "[]", "0"), row(name, 30), row(name, 31)]
for relid, name in enumerate(names, 1):
    if name in ("copied", "merged", "evicted"): continue
    for r in rows(name):                                    # transactions of one row, and the rest at once
        e.begin(); e.insert(relid, r); e.commit()
e.begin()
for r in rows("copied") + [row("", n) for n in range(100, 300)]: e.insert(2, r)
e.commit()
for again in range(2):
    e.begin()
    for r in rows("merged") if again == 0 else [row("", 14, "x14")]: e.insert(3, r)
    for n in range(100, 200): e.insert(3, row("", 100 * again + n)); e.delete(3, [str(100 * again + n), None, None, None])
    e.insert(3, row("", 400 + again))
    e.commit()
# v changes places: the rows are taken out first; 17 and 18 are then put in anew, 18 with other values
e.begin()
e.update(4, row("", 15, "v16")); e.update(4, row("", 16, "v15"))
e.insert(4, row("", 17)); e.insert(4, row("", 18, "w18")); e.insert(4, row("", 40))
e.commit()
e.end(); out(e)
PY
    sink --batch-rows 217 --flush-interval 1ms <"$T/s"
    [ "$status" -eq 0 ]
    for t in one copied parted fired later always; do
        inserts_counted public.$t 4
        [ "$(sql "SELECT v || coalesce(j::text, '-') || n FROM $t WHERE id BETWEEN 11 AND 14 ORDER BY id" | paste -sd ' ')" = \
            "w11-1.50 v12{ }1.50 v13-1.5 w14[]0" ]
    done
    inserts_counted public.merged 5
    inserts_counted public.evicted 1
    inserts_counted public.keys 0
    said "public.one: .*4 inserts overwrote another row\|public.one: .*1 inserts overwrote another row"
    [ "$(sql "SELECT string_agg(v, ' ' ORDER BY id) FROM evicted WHERE id BETWEEN 15 AND 18")" = "v16 v15 v17 w18" ]
}

@test "TOASTed key, unchanged: its value is in the old key (trap 50)" {
    stream "$T/s" <<PY
$PRELUDE
T[0] = col("id", True); e.table(1, "public", "t", T)
tx(("insert", ["long", "a", "b"]))
tx(("update", [UNCHANGED, "c", UNCHANGED], ["long", None, None]))
e.end(); out(e)
PY
    sql "CREATE TABLE t (id text PRIMARY KEY, v text, big text)"
    sink <"$T/s"
    [ "$status" -eq 0 ]
    [ "$(sql "SELECT * FROM t")" = "long|c|b" ]
}
