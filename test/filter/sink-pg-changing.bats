#!/usr/bin/env bats
# sink-pg alone: somebody changes the target's tables while the sink runs.
#
# The bug was, for all of these, that a table's catalog was read before its first row only: what
# changed then was not reckoned with, and the rows were confirmed.

load sink-pg

options=()

# begin_stream TABLE...: a sink that has applied a row of each table (id, v, n numeric(10,4)), and
# reads what `more` writes. $options: of the sink; $shards: it is the first of so many workers.
begin_stream() {
    : >"$acks"
    rm -f "$T/err"
    start_sink "${options[@]}"
    exec 8>"$T/in"
    stream "$T/s" <<PY
e = Events(sink="dst", shards=${shards:-1})
for relid, name in enumerate("$*".split(), 1):
    e.table(relid, "public", name, [col("id", True, INT4), col("v"), col("n", oid=1700, typmod=655368)])
e.begin()
for relid in range(1, $# + 1): e.insert(relid, ["1", "a", "1.5"])
e.commit(); out(e)
PY
    cat "$T/s" >&8
    wait_until 30 reached_is $((0x2028))
}

# more < python code: a transaction at 0x9000 of the changes in the list `changes`, then the end.
more() {
    { cat && echo 'out(begin(0x9000), *changes, commit(0x9000, 0x9028, len(changes)), end())'; } >"$T/py"
    stream "$T/s" <"$T/py"
    cat "$T/s" >&8
    exec 8>&-
}

new_tables() {
    sql "DROP SCHEMA public CASCADE; DROP SCHEMA IF EXISTS walpipe CASCADE; CREATE SCHEMA public;
         GRANT USAGE ON SCHEMA public TO plain; CREATE TABLE log (what text); $1
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN INSERT INTO public.log VALUES (tg_op || new.v); RETURN new; END'"
}

PLAIN="CREATE TABLE t (id int PRIMARY KEY, v text, n numeric(10,4));"
PARTED="CREATE TABLE t (id int PRIMARY KEY, v text, n numeric(10,4)) PARTITION BY RANGE (id);
        CREATE TABLE leaf PARTITION OF t FOR VALUES FROM (0) TO (10);
        CREATE TABLE rest PARTITION OF t FOR VALUES FROM (10) TO (1000);"
VIEW="CREATE TABLE base (id int PRIMARY KEY, v text, n numeric(10,4)); CREATE VIEW t AS SELECT * FROM base;"

@test "a column's new type: the next rows are refused, not rounded" {
    local rows
    for rows in 1 60 300; do
        new_tables "$PLAIN"
        options=(--batch-rows 100)
        begin_stream t
        sql "ALTER TABLE t ALTER n TYPE numeric(10,2)"
        more <<<"changes = [insert(1, n - 1, [str(n), 'b', '1.2345']) for n in range(2, $rows + 2)]"
        wait_status 100 "$sink"
        said "the target's tables changed: their catalog is read again"
        said "digits would be rounded away"
        [ "$(sql "SELECT * FROM t")" = "1|a|1.50" ]
        [ "$(reached)" -eq $((0x2028)) ]
    done
}

@test "a table is made anew by another of its name: the next row meets that" {
    new_tables "$PLAIN"
    begin_stream t
    sql "BEGIN; DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, v text, n numeric(10,2)); COMMIT"
    more <<<"changes = [insert(1, 1, ['2', 'b', '1.2345'])]"
    wait_status 100 "$sink"
    [ "$(sql "SELECT count(*) FROM t")" = 0 ]
}

# The first table is locked by then: it waits for the end, whichever that is.
@test "a table changes between the pieces of a large transaction: all of it comes again" {
    new_tables "$PLAIN CREATE TABLE u (LIKE t INCLUDING ALL);"
    options=(--batch-rows 50)
    begin_stream t u
    stream "$T/s" <<<"out(begin(0x9000), *[insert(1, n, [str(n + 1), 'b', '1.2345']) for n in range(1, 61)])"
    cat "$T/s" >&8
    wait_until 30 eval '[ "$(sql "SELECT count(*) > 0 FROM pg_locks WHERE relation = '"'t'::regclass AND mode = 'RowExclusiveLock'"'")" = t ]'
    sql "ALTER TABLE u ALTER n TYPE numeric(10,2)"
    stream "$T/s" <<<"out(*[insert(2, n, [str(n), 'b', '1.2345']) for n in range(61, 121)], commit(0x9000, 0x9028, 120), end())"
    cat "$T/s" >&8
    exec 8>&-
    wait_status 111 "$sink"
    said "the target's tables changed while a transaction was applied"
    [ "$(sql "SELECT count(*), (SELECT count(*) FROM u) FROM t")" = "1|1" ]
    [ "$(reached)" -eq $((0x2028)) ]
}

# 60 updates of one row are merged into one where nothing fires.
@test "a trigger is created, or enabled, also of a partition or behind a view: it sees each change" {
    local on how tables
    for on in t:PLAIN t:PARTED leaf:PARTED base:VIEW; do
        for how in created enabled; do
            tables=${on#*:}
            new_tables "${!tables}"
            [ "$how" = created ] || sql "CREATE TRIGGER note AFTER UPDATE ON ${on%:*} FOR EACH ROW EXECUTE FUNCTION note()"
            begin_stream t
            [ "$how" = enabled ] || sql "CREATE TRIGGER note AFTER UPDATE ON ${on%:*} FOR EACH ROW EXECUTE FUNCTION note()"
            sql "ALTER TABLE ${on%:*} ENABLE ALWAYS TRIGGER note"
            more <<<"changes = [update(1, n, ['1', 'b%d' % n, '1.5']) for n in range(1, 61)]"
            wait_status 0 "$sink"
            [ "$(sql "SELECT count(DISTINCT what) FROM log")" = 60 ] || { echo "$on $how" && false; }
        done
    done
}

@test "a partition is attached that has a trigger, and one that takes rows of the old: rows go on" {
    new_tables "$PARTED"
    begin_stream t
    sql "CREATE TABLE late (LIKE t INCLUDING ALL);
         CREATE TRIGGER note AFTER INSERT OR UPDATE ON late FOR EACH ROW EXECUTE FUNCTION note();
         ALTER TABLE late ENABLE ALWAYS TRIGGER note;
         ALTER TABLE t ATTACH PARTITION late FOR VALUES FROM (1000) TO (2000)"
    more <<<"changes = [insert(1, 1, ['1000', 'b', '1.5'])] + [update(1, n, ['1000', 'b%d' % n, '1.5']) for n in range(2, 61)]"
    wait_status 0 "$sink"
    [ "$(sql "SELECT count(DISTINCT what) FROM log")" = 60 ]
}

# COPY runs no rules.
@test "a rule is created, or enabled: it runs for each row" {
    local how rule="CREATE RULE note AS ON INSERT TO t DO ALSO INSERT INTO log VALUES (new.v)"
    for how in created enabled; do
        new_tables "$PLAIN"
        [ "$how" = created ] || sql "$rule"
        begin_stream t
        [ "$how" = enabled ] || sql "$rule"
        sql "ALTER TABLE t ENABLE REPLICA RULE note"
        more <<<"changes = [insert(1, n, [str(n + 1), 'b%d' % n, '1.5']) for n in range(1, 61)]"
        wait_status 0 "$sink"
        [ "$(sql "SELECT count(DISTINCT what) FROM log")" = 60 ]
    done
}

# Without the right to be a replica foreign keys fire.
@test "a foreign key whose actions fire: the source's order holds across tables" {
    new_tables "$PLAIN CREATE TABLE u (LIKE t INCLUDING ALL);"
    as_plain
    begin_stream t u
    sql "ALTER TABLE u ADD FOREIGN KEY (id) REFERENCES t ON DELETE CASCADE ON UPDATE CASCADE"
    more <<'PY'
changes = [delete(1, 1, ["1", None, None])] + [insert(1, 2, ["1", "b", "1.5"]), insert(2, 3, ["1", "b", "1.5"])]
changes += [insert(1 + n % 2, n + 4, [str(n // 2 + 2), "c", "1.5"]) for n in range(60)]
PY
    wait_status 0 "$sink"
    said "the target's tables changed: their catalog is read again"
    [ "$(sql "SELECT count(*), count(u.id) FROM t FULL JOIN u USING (id)")" = "31|31" ]
}

# as_plain: the next sinks' role may not set session_replication_role.
as_plain() {
    options=(--conninfo "$(pg_conninfo dst "$db") user=plain")
    sql "GRANT ALL ON ALL TABLES IN SCHEMA public TO plain; GRANT CREATE ON DATABASE $db TO plain"
}

# What the table was when the sink started is split over the workers; what it becomes must not be.
@test "one of several workers: a table that must not be split any more is noted, for the restart" {
    local change
    for change in \
        "CREATE TRIGGER note AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION note(); ALTER TABLE t ENABLE ALWAYS TRIGGER note" \
        "CREATE RULE note AS ON DELETE TO t DO ALSO NOTHING; ALTER TABLE t ENABLE ALWAYS RULE note" \
        "ALTER TABLE t ADD UNIQUE (v)" \
        "CREATE TABLE p (LIKE t INCLUDING ALL) PARTITION BY RANGE (id); ALTER TABLE p ATTACH PARTITION t FOR VALUES FROM (0) TO (99)"; do
        new_tables "$PLAIN"
        shards=4 begin_stream t
        sql "$change"
        more <<<"changes = [insert(1, 1, ['2', 'b', '1.5'])]"
        wait_status 111 "$sink"
        said "must go to one worker as a whole"
        [ "$(sql "SELECT count(*) FROM walpipe.whole")" = 1 ]
        [ "$(sql "SELECT count(*) FROM t")" = 1 ]
    done
}

# What the transaction itself changes comes again with each attempt. 60 rows are applied as a set, 120
# rows in pieces.
@test "a view's trigger that creates partitions on the way: rows go on" {
    local rows
    for rows in 1 60 120; do
        new_tables "CREATE TABLE base (id int, v text, n numeric(10,4)) PARTITION BY LIST (id);
            CREATE VIEW t AS SELECT * FROM base;
            CREATE FUNCTION put() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS \$\$ BEGIN
                EXECUTE format('CREATE TABLE IF NOT EXISTS public.p%s PARTITION OF public.base FOR VALUES IN (%s)', new.id, new.id);
                INSERT INTO public.base VALUES (new.*); RETURN new; END \$\$;
            CREATE TRIGGER put INSTEAD OF INSERT ON t FOR EACH ROW EXECUTE FUNCTION put();"
        as_plain
        options+=(--batch-rows 100)
        begin_stream t
        more <<<"changes = [insert(1, n, [str(n + 1), 'b', '1.5']) for n in range(1, $rows + 1)]"
        wait_status 0 "$sink"
        [ "$(sql "SELECT count(*) FROM base")" = $((rows + 1)) ]
    done
}

# commits N: from $((at)) on, each alone; update or insert of one row of t.
commits() {
    local i
    for ((i = 0; i < $1; i++)); do
        stream "$T/s" <<<"out(begin($at), insert(1, 1, ['$((at / 256))', 'c', '2.5']), commit($at, $at + 0x28, 1))"
        cat "$T/s" >&8
        wait_until 30 reached_is $((at + 0x28))
        at=$((at + 256))
    done
}

@test "what is no change for rows: maintenance, own truncates; the catalog is read once at most for each" {
    local sql at=$((0x3000)) before
    new_tables "$PLAIN CREATE TABLE other (id int);"
    sql "INSERT INTO t VALUES (1000000, 'old', 1); ALTER TABLE t ADD late int DEFAULT 7"
    begin_stream t
    for sql in "VACUUM t" "ANALYZE t" "VACUUM FULL t" "CLUSTER t USING t_pkey" "REINDEX TABLE t" \
        "REINDEX TABLE CONCURRENTLY t" "CREATE INDEX CONCURRENTLY ON t (v)" "CREATE INDEX ON other (id)" \
        "GRANT SELECT ON t TO plain" "VACUUM FULL pg_attribute" "ALTER TABLE t SET (fillfactor = 90)" \
        "ALTER TABLE t ALTER n TYPE numeric(20,10)"; do
        before=$(grep -c "their catalog is read again" "$T/err" || true)
        commits 2
        sql "$sql"
        commits 2
        [ "$(grep -c "their catalog is read again" "$T/err" || true)" -le $((before + 1)) ] || { echo "$sql" && false; }
    done
    stream "$T/s" <<<"out(begin($at), truncate(1, [1]), insert(1, 2, ['1', 'c', '2.5']), commit($at, $at + 0x28, 2))"
    cat "$T/s" >&8
    wait_until 30 reached_is $((at + 0x28))
    at=$((at + 256))
    commits 2
    [ "$(sql "SELECT count(*) FROM t")" = 3 ]
    sql "ALTER TABLE t ALTER n TYPE numeric(10,0)"
    stream "$T/s" <<<"out(begin($at), insert(1, 1, ['5', 'c', '2.5']), commit($at, $at + 0x28, 1), end())"
    cat "$T/s" >&8
    exec 8>&-
    wait_status 100 "$sink"
    said "digits would be rounded away"
}

@test "one of many tables changes: its next row meets that, also after others of other tables" {
    local at=$((0x9000)) i
    new_tables "CREATE TABLE t1 (id int PRIMARY KEY, v text, n numeric(10,4));
        SELECT format('CREATE TABLE t%s (LIKE t1 INCLUDING ALL)', n) FROM generate_series(2, 40) AS n \\gexec"
    # shellcheck disable=SC2046
    begin_stream $(seq -f t%g 40)
    for ((i = 0; i < 3; i++)); do
        stream "$T/s" <<PY
for n in range(1, 41):
    at = $at + n * 256
    out(begin(at), insert(n, 1, ["$((i + 2))", "c", "2.5"]), commit(at, at + 0x28, 1))
PY
        cat "$T/s" >&8
        wait_until 30 reached_is $((at + 40 * 256 + 0x28))
        at=$((at + 40 * 256))
        sql "VACUUM t$((i + 7))"
    done
    sql "ALTER TABLE t20 ALTER n TYPE numeric(10,0)"
    at=$((at + 512))
    stream "$T/s" <<<"out(begin($at), insert(1, 1, ['9', 'c', '2.5']), commit($at, $at + 0x28, 1))"
    cat "$T/s" >&8
    wait_until 30 reached_is $((at + 0x28))
    at=$((at + 256))
    stream "$T/s" <<<"out(begin($at), insert(20, 1, ['9', 'c', '2.5']), commit($at, $at + 0x28, 1), end())"
    cat "$T/s" >&8
    exec 8>&-
    wait_status 100 "$sink"
    said "digits would be rounded away"
    [ "$(sql "SELECT count(*) FROM t20 WHERE id = 9")" = 0 ]
}

# How a change is noticed is the server's own.
@test "other major versions of the server: a column's new type is noticed" {
    local major at=$((0x3000))
    source "$BATS_TEST_DIRNAME/../lib/majors.bash"
    major_or_skip 13
    major_or_skip 18
    for major in 13 18; do
        sql() {
            pg_sql "major$major" "$1" "$db"
        }
        major_new "major$major" "$major"
        pg_sql "major$major" "CREATE DATABASE $db; CREATE ROLE plain LOGIN"
        options=(--conninfo "$(pg_conninfo "major$major" "$db")")
        new_tables "$PLAIN"
        begin_stream t
        commits 3
        sql "ALTER TABLE t ALTER n TYPE numeric(10,2)"
        more <<<"changes = [insert(1, 1, ['2', 'b', '1.2345'])]"
        wait_status 100 "$sink"
        said "digits would be rounded away"
        [ "$(sql "SELECT count(*) FROM t WHERE id = 2")" = 0 ]
        end_process "$(pg_pid "major$major")" INT 20
    done
}
