"""fixed.py: small worlds, each of which ended wrong once. They run in every `make test`.

want is how a world must end: "equal" where the set-up can be served, "refused" where it cannot, "hang"
where the target stands still."""

from units import rows, unit

KEYED = "(id int PRIMARY KEY, v text, n int)"
HELD = 3  # its worker, of four, is another one than that of the whole table
FULL = "ALTER TABLE {} REPLICA IDENTITY FULL".format


def transactions(*texts):
    """One transaction for each text; statements end with a semicolon."""
    return [{"do": "tx", "sql": [s.strip() for s in text.split(";") if s.strip()]} for text in texts]


def world(name, want, units, steps, **more):
    via = any(u["via_root"] for u in units)
    made = {"name": name, "want": want, "units": units, "source": 15, "target": 15, "config": {}, "role": "postgres",
            "topology": "one", "sink": "pg", "steps": steps + [{"do": "start"}],
            "publication": f"CREATE PUBLICATION pub FOR ALL TABLES WITH (publish_via_partition_root = {via})"}
    made.update(more)
    return made


def one(source, target, columns, **more):
    """A unit of a table t on both sides."""
    table = more.pop("table", "t")
    return unit("fixed", "u", source=source, target=target, publish=[table],
                checks=[rows(table, table, columns.split(), only=more.pop("only", False)), *more.pop("checks", [])],
                **more)


def inheritance():
    ddl = [f"CREATE TABLE t {KEYED}", "CREATE TABLE child (PRIMARY KEY (id)) INHERITS (t)"]
    archive = ["CREATE TABLE archive () INHERITS (t)", "INSERT INTO archive SELECT g, 'old', g FROM generate_series(1, 9) g"]
    checks = [rows("child", "child", ["id", "v", "n"], only=True),
              {"check": "static", "target": "archive", "columns": ["id", "v", "n"]}]
    for full in (False, True):
        yield world(f"inheritance full={full}", "equal",
                    [one(ddl + ([FULL("t"), FULL("child")] if full else []), ddl + archive, "id v n", only=True, checks=checks)],
                    transactions("INSERT INTO t SELECT g, 'x', g FROM generate_series(1, 5) g",
                                 "INSERT INTO child SELECT * FROM ONLY t; DELETE FROM ONLY t",
                                 "INSERT INTO t VALUES (3, 'y', 1); UPDATE ONLY t SET n = 2 WHERE id = 3"))


def identities():
    ddl = ["CREATE TABLE t (id int PRIMARY KEY, v text, big text) PARTITION BY RANGE (id)",
           "CREATE TABLE leaf PARTITION OF t DEFAULT", "ALTER TABLE t ALTER big SET STORAGE EXTERNAL",
           "ALTER TABLE leaf ALTER big SET STORAGE EXTERNAL"]
    for root, leaf in ((True, False), (False, True)):
        source = ddl + ([FULL("t")] if root else []) + ([FULL("leaf")] if leaf else [])
        yield world(f"identity of root full={root}, of leaf full={leaf}", None,
                    [one(source, ddl, "id v big", via_root=True)],
                    transactions("INSERT INTO t VALUES (1, 'x', repeat('1', 9000)), (2, 'y', repeat('2', 9000))",
                                 "UPDATE t SET id = 51 WHERE id = 1", "UPDATE t SET v = 'z' WHERE id = 2"))


def mapped():
    names = ["s1", "s2"]
    move = "WITH gone AS (DELETE FROM {} RETURNING *) INSERT INTO {} SELECT id, v, n + 1 FROM gone".format
    for shards in (1, 4):
        both = unit("fixed", "u", source=[f"CREATE TABLE {n} {KEYED}" for n in names], target=[f"CREATE TABLE t {KEYED}"],
                    publish=names, map={n: "t" for n in names}, control=False,
                    checks=[rows(names, "t", ["id", "v", "n"])])
        yield world(f"two tables into one, shards = {shards}", "equal", [both],
                    transactions("INSERT INTO s1 SELECT g, 'x', g FROM generate_series(1, 500) g",
                                 *[move("s1", "s2"), move("s2", "s1")] * 6), config={"shards": shards})
    yield world("rows that move between two tables of one target, one worker", "equal", [both],
                transactions("INSERT INTO s1 SELECT g, 'x', g FROM generate_series(1, 60) g",
                             "INSERT INTO s2 VALUES (70, 'x', 1); DELETE FROM s2; INSERT INTO s1 VALUES (70, 'y', 2)",
                             "DELETE FROM s1 WHERE id < 40; INSERT INTO s2 SELECT g, 'z', g FROM generate_series(1, 39) g",
                             "DELETE FROM s2 WHERE id < 20; INSERT INTO s1 SELECT g, 'w', g FROM generate_series(1, 19) g"))


def collations():
    collation = "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
    ddl = [collation, "CREATE TABLE t (k text COLLATE ci PRIMARY KEY, n int)"]
    again = "WITH gone AS (DELETE FROM t RETURNING *) INSERT INTO t SELECT {}(k), n + 1 FROM gone".format
    yield world("k1 and K1 are one key", "equal", [one(ddl, ddl, "k n")],
                transactions("INSERT INTO t SELECT 'k' || g, 0 FROM generate_series(1, 400) g") +
                [{"do": "start"}, {"do": "sync"}, {"do": "hold", "sql": "SELECT 1 FROM t WHERE k = 'k7' FOR UPDATE"}] +
                transactions(again("upper"), again("lower"), again("upper")) +
                [{"do": "wait", "seconds": 1}, {"do": "release"}], config={"shards": 4, "batch_rows": 10})
    plain = ["CREATE TABLE t (k text PRIMARY KEY, n int)"]
    yield world("k1 and K1 are one key in the target only", "refused", [one(plain, ddl, "k n")],
                transactions("INSERT INTO t VALUES ('k1', 1)", "INSERT INTO t VALUES ('K1', 2)"))


def constraints():
    ddl = ["CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE, v text)"]
    moves = transactions(*[f"UPDATE t SET u = NULL WHERE u = 7; UPDATE t SET u = 7 WHERE id = {1 + n % 40}"
                           for n in range(60)])
    begin = transactions("INSERT INTO t SELECT g, g + 100, 'x' FROM generate_series(1, 80) g")
    yield world("a unique value that moves between rows", "equal", [one(ddl, ddl, "id u v")], begin + moves,
                config={"shards": 4})
    held = [{"do": "start"}, {"do": "sync"}, {"do": "hold", "sql": f"SELECT 1 FROM t WHERE id = {HELD} FOR UPDATE"},
            *transactions(f"UPDATE t SET v = 'held' WHERE id = {HELD}",
                          *[f"UPDATE t SET v = 'y{n}' WHERE id = {n}" for n in range(4, 60)]),
            {"do": "wait", "seconds": 1}, {"do": "kill", "program": "walpipe"}, {"do": "release"},
            {"do": "config", "config": {"shards": 4, "shard_key": "table"}},
            *transactions("UPDATE t SET v = v || '!' WHERE id > 50")]
    plain = [f"CREATE TABLE t {KEYED}"]
    rows_of = transactions("INSERT INTO t SELECT g, 'x', g FROM generate_series(1, 80) g")
    yield world("another shard_key after workers stopped at different positions", "equal",
                [one(plain, plain, "id v n")], rows_of + held, config={"shards": 4})
    other = [dict(s, config={"shards": 1}) if s["do"] == "config" else s for s in held]
    yield world("another number of workers after they stopped at different positions", "equal",
                [one(plain, plain, "id v n")], rows_of + other, config={"shards": 4})


def foreign_keys():
    ddl = ["CREATE TABLE t (id int PRIMARY KEY, v text)", "CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES t)"]
    yield world("foreign keys that fire, several workers", "equal",
                [one(ddl, ddl, "id v", checks=[rows("c", "c", ["id", "p"])])],
                transactions(*[f"INSERT INTO t VALUES ({n}, 'p'); INSERT INTO c VALUES ({n}, {n})" for n in range(50)],
                             *[f"DELETE FROM c WHERE p = {n}; DELETE FROM t WHERE id = {n}" for n in range(20)]),
                config={"shards": 4}, role="apply")


def binary_values():
    on = {"binary": "on"}
    for name, domain, target, value in (
            ("an int8 domain into float8", "bigint", "double precision", "1234567890123"),
            ("a float8 domain into int8", "double precision", "bigint", "42"),
            ("numeric into integer", "numeric", "integer", "1.5"),
            ("an interval into time", "interval", "time", "'3 days 01:00'"),
            ("char(5) into text", "char(5)", "text", "'ab'"), ("boolean into text", "boolean", "text", "true"),
            ("float4 into float8", "real", "double precision", "0.1"),
            ("a range of text into one of integer", "rangetext", "rangeint", "rangetext('a', 'b')")):
        before = [f"CREATE DOMAIN d AS {domain}"] if "domain" in name else []
        if "range" in name:
            before = ["CREATE TYPE rangetext AS RANGE (subtype = text)"]
        after = ["CREATE TYPE rangeint AS RANGE (subtype = integer)"] if "range" in name else []
        kind = "d" if "domain" in name else domain
        yield world(f"binary: {name}", None,
                    [one(before + [f"CREATE TABLE t (id int PRIMARY KEY, c {kind})"],
                         after + [f"CREATE TABLE t (id int PRIMARY KEY, c {target})"], "id c")],
                    transactions(f"INSERT INTO t VALUES (1, {value})", f"UPDATE t SET c = {value}"), config=on)


def keyless():
    for name, here, there in (("numeric(10,2) into numeric(10,4)", "numeric(10,2)", "numeric(10,4)"),
                              ("int into numeric(10,2)", "int", "numeric(10,2)")):
        yield world(f"FULL without a key: {name}", "equal",
                    [one([f"CREATE TABLE t (id int, c {here})", FULL("t")], [f"CREATE TABLE t (id int, c {there})"], "id c")],
                    transactions("INSERT INTO t SELECT g, g FROM generate_series(1, 20) g", "UPDATE t SET c = c + 1",
                                 "DELETE FROM t WHERE id > 10"))


def nothing_cut():
    for here, there, value in (("numeric[]", "numeric(5,2)[]", "'{1.239}'"),
                               ("timestamp[]", "date[]", "'{2024-01-01 12:00}'"), ("text[]", "name[]", f"'{{{'x' * 80}}}'")):
        yield world(f"{here} into {there}", "refused",
                    [one([f"CREATE TABLE t (id int PRIMARY KEY, c {here})"],
                         [f"CREATE TABLE t (id int PRIMARY KEY, c {there})"], "id c")],
                    transactions(f"INSERT INTO t VALUES (1, {value})"))


def kinds_of_columns():
    ddl = ["CREATE TABLE t (id int PRIMARY KEY, v text, s bigint GENERATED ALWAYS AS IDENTITY)"]
    yield world("an identity column that is no key", "equal", [one(ddl, ddl, "id v s")],
                transactions("INSERT INTO t VALUES (1, 'x'), (2, 'y')", "UPDATE t SET v = 'z'",
                             "UPDATE t SET s = DEFAULT WHERE id = 1",
                             "INSERT INTO t SELECT g, 'x' FROM generate_series(10, 90) g; UPDATE t SET v = 'w'"))
    ddl = ["CREATE TABLE t (id int4range, at int4range, v text, PRIMARY KEY (id, at WITHOUT OVERLAPS))"]
    yield world("WITHOUT OVERLAPS", None, [one(ddl, ddl, "id at v")],
                transactions("INSERT INTO t VALUES ('[1,2)', '[1,5)', 'x'), ('[1,2)', '[5,9)', 'y')",
                             "UPDATE t SET v = 'z' WHERE at = '[1,5)'", "DELETE FROM t WHERE at = '[5,9)'"),
                source=18, target=18)


def cancelled():
    made = f"CREATE TABLE t {KEYED}"
    function = "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} END $$".format
    trigger = "CREATE TRIGGER tr BEFORE {} ON t FOR EACH ROW EXECUTE FUNCTION f()".format
    control = [{"check": "control", "target": "t"}]
    for count in (5, 80):
        steps = transactions(f"INSERT INTO t SELECT g, 'x', 0 FROM generate_series(1, {count}) g",
                             "UPDATE t SET n = 1", "DELETE FROM t WHERE id % 2 = 0")
        for what in ("UPDATE", "DELETE"):
            yield world(f"a trigger cancels {what} of {count} rows", "equal", [
                unit("fixed", "u", source=[made], publish=["t"], checks=control, target=[
                    made, function("RETURN NULL;"), trigger(what), "ALTER TABLE t ENABLE ALWAYS TRIGGER tr"])],
                [{"do": "start"}, *steps])
        log = ["CREATE TABLE log (at bigserial, op text, id int)",
               function("INSERT INTO public.log (op, id) VALUES (tg_op, new.id); RETURN new;"),
               trigger("INSERT OR UPDATE"), "ALTER TABLE t ENABLE REPLICA TRIGGER tr"]
        yield world(f"a trigger sees each operation of {count} rows", "equal", [
            unit("fixed", "u", source=[made], target=[made, *log], publish=["t"], checks=control + [
                {"check": "control", "target": "log", "columns": ["row_number() OVER (ORDER BY at)", "op", "id"]}])],
            transactions(f"INSERT INTO t SELECT g, 'x', 0 FROM generate_series(1, {count}) g; UPDATE t SET n = 1"))
        # walpipe runs rules, the subscription does not
        want = [f"CREATE TABLE want {KEYED}", f"INSERT INTO want SELECT g, 'x', 0 FROM generate_series(1, {count}, 2) g"]
        yield world(f"an INSTEAD rule of {count} rows", "equal", [
            unit("fixed", "u", source=[made, *want], publish=["t"], checks=[rows("want", "t", ["id", "v", "n"])], target=[
                made, "CREATE RULE ru AS ON UPDATE TO t DO INSTEAD NOTHING", "ALTER TABLE t ENABLE ALWAYS RULE ru"])],
            steps)


def own_traces():
    ddl = [f"CREATE TABLE t {KEYED}"]
    steps = transactions("INSERT INTO t SELECT g, 'x', g FROM generate_series(1, 5) g", "UPDATE t SET n = 7 WHERE id = 2")
    yield world("a target that is a source", "equal", [one(ddl, ddl, "id v n")],
                steps + [{"do": "start"}, {"do": "sync"}, {"do": "hop"}, *transactions("DELETE FROM t WHERE id = 1"),
                         {"do": "sync"}, {"do": "hop"}], topology="chain")
    yield world("the target is the source", "refused", [one(ddl, ddl, "id v n")],
                [{"do": "start"}, *steps, {"do": "wait", "seconds": 3}], topology="self")
    back = dict(transactions("INSERT INTO t VALUES (50, 'from the target', 1)")[0], side="target")
    yield world("two ways", "equal", [one(ddl, ddl, "id v n")],
                [{"do": "start"}, *steps, {"do": "sync"}, back, {"do": "sync"}], topology="twoway")


def views():
    """A trigger of a view cannot be set to fire in a replica; PostgreSQL then says INSERT 0 1 and does nothing."""
    base = [f"CREATE TABLE base {KEYED}", "CREATE VIEW t AS SELECT id, v, n FROM base"]
    into = [*base, "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.base VALUES "
            "(new.id, new.v, new.n); RETURN new; END $$",
            "CREATE TRIGGER tr INSTEAD OF INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()"]
    behind = [base[0], into[1].replace(" t ", " inner_view "), into[2], into[3].replace(" t ", " inner_view "),
              "CREATE VIEW t AS SELECT * FROM inner_view"]
    for name, want, target in (("a view", "equal", base), ("a view with an INSTEAD OF trigger", "refused", into),
                               ("a view of a view with an INSTEAD OF trigger", "refused", behind)):
        yield world(name, want, [one([f"CREATE TABLE t {KEYED}"], target, "id v n", control=False)],
                    transactions("INSERT INTO t SELECT g, 'x', g FROM generate_series(1, 10) g", "UPDATE t SET n = 0 "
                                 "WHERE id < 4; DELETE FROM t WHERE id = 9"))


def slow_targets():
    """One transaction takes longer than the harness has patience, but each batch of it does not. The bug
    was that only the slot and the sink's processor time counted as progress."""
    steps = [{"do": "start"}, *transactions("INSERT INTO t VALUES (0, 'x', 0)"), {"do": "sync"}]
    large = transactions("INSERT INTO t SELECT g, 'x', g FROM generate_series(1, 120) g")
    for name, want, command in (("slow", "equal", ["delay", "150"]), ("silent", "hang", ["stall"])):
        yield world(f"a ClickHouse that is {name}", want, [one([f"CREATE TABLE t {KEYED}"], [], "id v n", ch=[])],
                    [*steps, {"do": "link", "command": command}, *large, {"do": "sync"}], sink="ch18",
                    config={"batch_rows": 3}, linked=True, patience=4)


def every():
    """All of them; a start that is there already is not added."""
    out = []
    for group in (inheritance, identities, mapped, collations, constraints, foreign_keys, binary_values, keyless,
                  nothing_cut, kinds_of_columns, cancelled, views, own_traces, slow_targets):
        for made in group():
            starts = [n for n, s in enumerate(made["steps"]) if s["do"] in ("start", "kill")]
            if len(starts) > 1 and made["steps"][starts[-2]]["do"] == "start":
                made["steps"].pop()
            out.append(made)
    return out
