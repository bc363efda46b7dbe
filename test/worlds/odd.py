"""odd.py: units (see units.py) about relations and names: targets that are no plain tables, names that
need quotes, publications that hold parts of a table."""

from dml import Dml, WORDS, integer, wide
from units import lock, rows, unit

BODY = "(id int PRIMARY KEY, v text, n int)"
CELLS = [("v", WORDS), ("n", integer(0, 9))]


def relations(r, name):
    """What stands in the target under the table's name."""
    t = f"{name}_t"
    kind = r.choice(["view", "view", "check option", "instead", "materialized", "unlogged", "missing", "no partition",
                     "rls", "not null", "check", "foreign privileges", "no column", "two parents", "owned"])
    table, role = f"CREATE TABLE {t} {BODY}", None
    base = f"CREATE TABLE {name}_base {BODY}"
    target = {
        "view": [base, f"CREATE VIEW {t} AS SELECT * FROM {name}_base"],
        "check option": [base, f"CREATE VIEW {t} AS SELECT * FROM {name}_base WHERE n < 5 WITH CHECK OPTION"],
        "instead": [base, f"CREATE VIEW {t} AS SELECT id, v, n FROM {name}_base",
                    f"CREATE FUNCTION {name}_f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                    f"INSERT INTO public.{name}_base VALUES (new.id, new.v, new.n); RETURN new; END $$",
                    f"CREATE TRIGGER tr INSTEAD OF INSERT ON {t} FOR EACH ROW EXECUTE FUNCTION {name}_f()"],
        "materialized": [f"CREATE MATERIALIZED VIEW {t} AS SELECT 1 AS id, 'a'::text AS v, 2 AS n WHERE false",
                         f"CREATE UNIQUE INDEX ON {t} (id)"],
        "unlogged": [table.replace("TABLE", "UNLOGGED TABLE")], "missing": [],
        "no partition": [f"CREATE TABLE {t} {BODY} PARTITION BY RANGE (id)",
                         f"CREATE TABLE {t}_1 PARTITION OF {t} FOR VALUES FROM (0) TO (20)"],
        "rls": [table, f"ALTER TABLE {t} ENABLE ROW LEVEL SECURITY", f"ALTER TABLE {t} FORCE ROW LEVEL SECURITY",
                f"CREATE POLICY p ON {t} USING (id < 10) WITH CHECK (true)"],
        "not null": [f"CREATE TABLE {t} (id int PRIMARY KEY, v text NOT NULL, n int)"],
        "check": [f"CREATE TABLE {t} (id int PRIMARY KEY, v text, n int CHECK (n < 8))"],
        "foreign privileges": [table, f"REVOKE UPDATE ON {t} FROM apply"],
        "no column": [f"CREATE TABLE {t} (id int PRIMARY KEY, v text)"],
        "two parents": [base, f"CREATE TABLE {name}_p (n int)",
                        f"CREATE TABLE {t} (PRIMARY KEY (id)) INHERITS ({name}_base, {name}_p)"],
        "owned": [table, f"ALTER TABLE {t} ADD mine timestamptz NOT NULL DEFAULT now(), ADD own int NOT NULL"]}[kind]
    if kind in ("rls", "foreign privileges"):
        role = "apply"
    dml = Dml(t, [("id", integer(1, 30, 0))], CELLS, most=60)
    found = [] if kind in ("missing", "no column") else [rows(t, t, ["id", "v", "n"], ["id"])]
    return unit("relations", name, source=[f"CREATE TABLE {t} {BODY}"], target=target, publish=[t], note=kind,
                transaction=dml.transaction, checks=found, alone=True, **({"role": role} if role else {}))


ODD = ['"Upper"', '"with space"', '"it\'s"', '"a,b"', '"a""b"', '"ä ☃"', '"select"', '"a.b"', '"a->b"', '"*"', '"!x"',
       '"tab\there"', '"new\nline"', '"' + "long" * 15 + '"', '"$1"', '"back\\slash"', '"%s"', '" lead"']


def names(r, name):
    t, column, key = r.choice(ODD), r.choice(ODD), r.choice(["id", *ODD])
    if key == column:
        key = "id"
    schema = r.choice(["public", "public", '"Sch ema"', '"s.t"'])
    full = r.random() < 0.3
    made = f"CREATE TABLE {schema}.{t} ({key} int PRIMARY KEY, {column} text, big text)"
    ddl = ([f"CREATE SCHEMA {schema}"] if schema != "public" else []) + [
        made, f"ALTER TABLE {schema}.{t} ALTER big SET STORAGE EXTERNAL"]
    dml = Dml(f"{schema}.{t}", [(key, integer(1, 30, 0))], [(column, WORDS), ("big", wide)], most=100)
    return unit("names", name, source=ddl + ([f"ALTER TABLE {schema}.{t} REPLICA IDENTITY FULL"] if full else []),
                target=ddl, publish=[f"{schema}.{t}"], transaction=dml.transaction, alone=True,
                hold=lock(f"{schema}.{t}", key, 3), note=f"{schema}.{t} {column} {key}",
                checks=[rows(f"{schema}.{t}", f"{schema}.{t}", [key, column, "big"], [key])])


def filtered(r, name):
    """Row filters turn updates into inserts and deletes; a column list leaves columns out (15 and later)."""
    t = f"{name}_t"
    full = r.random() < 0.5
    where = r.choice(["id % 3 <> 0", "id < 15", "n > 4", "v IS NOT NULL"] if full else ["id % 3 <> 0", "id < 15"])
    columns = r.choice([None, ["id", "v"], ["v", "n", "id"]]) if not full else None
    if r.random() < 0.3:
        where = None
    text = t + (f" ({', '.join(columns)})" if columns else "") + (f" WHERE ({where})" if where else "")
    made = f"CREATE TABLE {t} {BODY}"
    dml = Dml(t, [("id", integer(1, 25, 0))], CELLS, most=100)
    check = rows(t, t, columns or ["id", "v", "n"], ["id"])
    if where:
        check["where"] = where
    return unit("filtered", name, source=[made] + ([f"ALTER TABLE {t} REPLICA IDENTITY FULL"] if full else []),
                target=[made], publish=[text], transaction=dml.transaction, checks=[check], listed=True,
                needs={"source": 15, "target": 15}, hold=lock(t, "id", 3), note=text)


KINDS = {"relations": (relations, 2), "names": (names, 1), "filtered": (filtered, 2)}
