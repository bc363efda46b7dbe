"""chunits.py: units of worlds whose target is a ClickHouse: tables that walpipe makes and tables made by
hand, with all kinds of types. As units.py; `ch` holds the DDL of what is made by hand."""

import units
import values
from dml import Dml, WORDS, integer, wide

NUMBERS = ["Int8", "Int16", "Int32", "Int64", "UInt32", "UInt64", "Float64", "String", "Decimal(18, 4)"]
TYPES = {
    "smallint": NUMBERS, "integer": NUMBERS, "bigint": NUMBERS,
    "numeric": ["String", "String", "Decimal(18, 4)", "Float64", "Int64"],
    "numeric(10,2)": ["Decimal(10, 2)", "Decimal(10, 2)", "Decimal(18, 4)", "Float64", "Decimal(9, 1)", "String"],
    "real": ["Float32", "Float64", "String"], "double precision": ["Float64", "Float64", "Float32", "String"],
    "text": ["String", "String", "String", "FixedString(12)", "FixedString(4)", "Int32", "UUID", "Float64"],
    "varchar(10)": ["String", "FixedString(10)", "FixedString(40)"], "char(5)": ["String", "FixedString(5)"],
    "uuid": ["UUID", "String"], "date": ["Date", "String", "DateTime('UTC')"],
    "timestamp": ["DateTime('UTC')", "String", "Date"], "timestamptz": ["DateTime('UTC')", "String"],
    "boolean": ["UInt8", "String", "Int32"], "inet": ["String", "FixedString(16)"], "bytea": ["String", "FixedString(4)"],
    "json": ["String"], "interval": ["String"], "integer[]": ["String", "Array(Int32)", "Array(Nullable(Int32))"],
}
TAME = {"timestamp": ["2024-02-29 23:59:59", "1970-01-01", "2000-01-01 12:00:00"], "numeric": ["0", "1.5", "-7.25", "2.50"],
        "date": ["2024-02-29", "1970-01-01", "1999-12-31"], "text": ["a", "ab", "abcd", "12", "", "ä", "a longer text"]}


def value_of(r, kind):
    """A function that makes values; tame ones fit into most types."""
    base = kind.removesuffix("[]")
    wild = r.random() < 0.3

    def make(r):
        found = TAME.get(values.BASES.get(values.bare(base), values.bare(base)))
        one = values.scalar(r, base) if wild or not found else f"{values.quoted(r.choice(found))}::{base}"
        if kind.endswith("[]"):
            return r.choice([f"ARRAY[{one}, {values.scalar(r, base)}]", f"ARRAY[]::{kind}", f"ARRAY[{one}, NULL]"])
        return one
    return make


KEYS = {"integer": ("{n}", ["Int32", "Int64", "UInt32", "String"]), "bigint": ("{n}", ["Int64", "UInt64", "Int32"]),
        "text": ("'k{n}'", ["String", "String", "FixedString(8)"]),
        "text number": ("lpad('{n}', {w}, '0')", ["Int32", "String"]),
        "bytea": ("'\\x6162{n:02x}'::bytea || substr('\\x0000'::bytea, 1, {w} % 3)", ["FixedString(8)", "String"]),
        "uuid": ("'00000000-0000-0000-0000-{n:012d}'::uuid", ["UUID", "String"]),
        "text uuid": ("repeat('{c}', 8) || '-0000-0000-0000-{n:012d}'", ["UUID", "String"]),
        "numeric": ("{n}.{w}", ["String", "Decimal(18, 4)", "Float64"]),
        "date": ("'2024-01-01'::date + {n}", ["Date", "String", "DateTime('UTC')"]),
        "timestamp": ("'2024-01-01'::timestamp + {n} * interval '0.5 s'", ["DateTime('UTC')", "String"]),
        "boolean": ("{n} % 2 = 0", ["UInt8", "String"]), "varchar(10)": ("'k{n}'", ["String", "FixedString(10)"])}


def key_value(kind):
    shape = KEYS[kind][0]
    return lambda r: (lambda n: shape.format(n=n, w=1 + r.randint(0, 2), c=r.choice("aA")))(r.randint(1, 30))


def nullable(r, kind):
    return kind if kind.startswith("Array") or r.random() < 0.05 else f"Nullable({kind})"


def hand_made(table, columns, keys, version):
    return (f"CREATE TABLE {table} ({', '.join(columns)}, _version {version}, _is_deleted UInt8) "
            f"ENGINE = ReplacingMergeTree(_version) ORDER BY ({', '.join(keys)})")


def typed(r, name, sink):
    t = f"{name}_t"
    kind = r.choice(list(KEYS))
    key_type = kind.split(" ")[0]
    kinds = [r.choice(list(TYPES)) for _ in range(r.randint(1, 4))]
    cells = [(f"c{n}", k) for n, k in enumerate(kinds)]
    full = r.random() < 0.25
    source = [f"CREATE TABLE {t} (k {key_type} NOT NULL, {', '.join(f'{n} {k}' for n, k in cells)}, PRIMARY KEY (k))"]
    source += [f"ALTER TABLE {t} REPLICA IDENTITY FULL"] if full else []
    by_hand = []
    if full or r.random() < 0.5:
        version = "UInt128" if sink == "ch26" and r.random() < 0.7 else "UInt64"
        columns = [f"k {r.choice(KEYS[kind][1])}"]
        columns += [f"{n} {nullable(r, 'String' if r.random() < 0.5 else r.choice(TYPES[k]))}" for n, k in cells]
        by_hand = [hand_made(t, columns, ["k"], version)]
    makers = [(n, nullable_value(value_of(r, k))) for n, k in cells]
    spread = KEYS[kind][0].replace("'{n}'", "({g})::text").replace("{w}", "2").replace("{c}", "a")
    bulks = "{n:" not in spread and "'k" not in spread and kind != "boolean"
    table = Dml(t, [("k", key_value(kind))], makers, bulks=bulks, spread=spread.replace("{n}", "{g}"))
    return units.unit("ch typed", name, source=source, publish=[t], transaction=table.transaction, ch=by_hand,
                      checks=[units.rows(t, t, ["k"] + [n for n, _ in cells], ["k"])], alone=True,
                      note=f"key {kind}, {'by hand' if by_hand else 'made'}{', FULL' if full else ''}")


def nullable_value(make):
    return lambda r: "NULL" if r.random() < 0.1 else make(r)


def plain(r, name, _):
    """Keys that move, TOASTed values that do not change, TRUNCATE."""
    made = units.plain(r, name, 200)  # three rows a batch, each with a read-back, are slow
    made["source"] = [s for s in made["source"] if "IDENTITY FULL" not in s]
    made["source"] = [s.replace(" DEFERRABLE", "") for s in made["source"]]
    return dict(made, kind="ch plain", ch=[])


def partition(r, name, _):
    made = units.partition(r, name)
    root = made["publish"][0]
    leaves = [f"{name}_leaf{n}" for n in range(3) if any(f"{name}_leaf{n}" in s for s in made["source"])]
    columns = ["id Int32", "k Int32", "v Nullable(String)", "big Nullable(String)"]
    tables = [root] if made["via_root"] else leaves
    return dict(made, kind="ch partition", map={}, switch=None,
                ch=[hand_made(t, columns, ["id", "k"], "UInt64") for t in tables],
                checks=[units.rows(t, t, ["id", "k", "v", "big"], ["id", "k"]) for t in tables])


def names(r, name, _):
    """Names that collide with walpipe's own, or need care."""
    column = r.choice(["_version", "_is_deleted", '"owner\'s id"', '"a b"', '"tab\there"', "keys", '"table"', '"Ünï"', '"a.b"'])
    t = r.choice([f"{name}_t", f"{name}_t_current", f'"{name} odd`t"'])
    in_key = r.random() < 0.4
    keys = [("id", integer(1, 30, 0))] + ([(column, integer(1, 2, 0))] if in_key else [])
    others = [("v", WORDS), ("big", wide)] + ([] if in_key else [(column, integer(1, 9))])
    source = [f"CREATE TABLE {t} (id int, {column} int, v text, big text, {units.primary([n for n, _ in keys])})",
              f"ALTER TABLE {t} ALTER big SET STORAGE EXTERNAL"]
    table = Dml(t, keys, others)
    return units.unit("ch names", name, source=source, publish=[t], transaction=table.transaction, ch=[], alone=True,
                      checks=[units.rows(t, t.strip('"'), ["id", column, "v", "big"], ["id"])], note=f"{t} {column}")


def changing(r, name, _):
    """Column c goes and comes again, or gets another name or default, and every row is written anew."""
    t = f"{name}_t"
    full = r.random() < 0.2
    source = [f"CREATE TABLE {t} (id int PRIMARY KEY, v text, c text, n int)"]
    table = Dml(t, [("id", integer(1, 30, 0))], [("v", WORDS), ("c", WORDS), ("n", integer(0, 9))], most=100)
    changes = [["DROP c", "ADD c text DEFAULT 'x'"], ["DROP c", "ADD c text"], ["ALTER c SET DEFAULT 'y'"],
               ["RENAME c TO {spare}", "ADD c text"], ["RENAME c TO {spare}", "RENAME v TO c", "RENAME {spare} TO v"],
               ["ADD {spare} int NOT NULL DEFAULT 5"], ["ALTER c TYPE varchar(20)"]]
    spares = iter(range(1000))

    def transaction(r):
        if r.random() > 0.2:
            return table.transaction(r)
        spare = f"s{next(spares)}"
        return ([f"ALTER TABLE {t} {c.format(spare=spare)}" for c in r.choice(changes)] +
                [f"UPDATE {t} SET n = coalesce(n, 0) + 1"])

    by_hand = [hand_made(t, ["id Int32", *(f"{c} Nullable(String)" for c in "vc"), "n Nullable(Int32)"], ["id"], "UInt64")]
    return units.unit("ch changing", name, publish=[t], transaction=transaction, ch=by_hand if full else [],
                      source=source + ([f"ALTER TABLE {t} REPLICA IDENTITY FULL"] if full else []),
                      checks=[units.rows(t, t, ["id", "v", "c", "n"], ["id"])])


KINDS = {"ch changing": (changing, 2), "ch typed": (typed, 6), "ch plain": (plain, 4), "ch partition": (partition, 2), "ch names": (names, 1)}
