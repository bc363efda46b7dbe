"""units.py: one unit of a world is a table, or a few that belong together, on both sides: its DDL, its
statements, and what must hold in the end. Knows no pipeline.

A unit is a dict:
    kind, name     what it is; its tables' names begin with its name
    source, target DDL statements
    publish        what stands behind FOR TABLE
    map            {source table: target table}, schema public
    checks         see oracle.py: rows, control and static
    control        False where PostgreSQL's own subscription cannot do the same
    transaction    function of a random generator: statements of one transaction (not kept)
    alone          should be the only unit of its world
    needs          {"source": first major version, "target": ...}
    hold           a statement that locks a row of the target, or None
    remap          the step with which the target's tables and the map may change between two runs, or None"""

import values
from dml import Dml, WORDS, integer, text, wide


def unit(kind, name, **more):
    made = {"kind": kind, "name": name, "source": [], "target": [], "publish": [], "map": {}, "checks": [],
            "control": True, "alone": False, "needs": {}, "hold": None, "via_root": False}
    made.update(more)
    return made


def rows(source, target, columns, keys=(), **more):
    """The check that target's rows are source's; each may be a list: the union of several."""
    listed = source if isinstance(source, list) else [source]
    return {"check": "rows", "source": listed, "target": target, "columns": list(columns),
            "keys": list(keys), **more}


def external(table, *names):
    return [f"ALTER TABLE {table} ALTER {n} SET STORAGE EXTERNAL" for n in names]


def shuffled(r, parts):
    return r.sample(parts, len(parts)) if r.random() < 0.5 else parts


def primary(names, mode=""):
    return f"PRIMARY KEY ({', '.join(names)}){mode}"


def lock(table, key, value):
    return f"SELECT 1 FROM {table} WHERE {key} = {value} FOR UPDATE"


# ---- types ----

def typed(r, name):
    """Columns of all kinds of types, another one in the target now and then."""
    columns = [(f"c{n}", *values.pair(r, f"{name}_t{n}")) for n in range(r.randint(1, 3))]
    key = r.choice([("integer", "integer"), ("integer", "bigint"), ("integer", "numeric"), ("bigint", "bigint"),
                    ("integer", "numeric(10,2)")])
    identity = r.choice(["default", "default", "full", "full keyless", "full keyless", "full keyless",
                         "full no key", "index", "nothing"])
    t = f"{name}_t"
    source = [d for c in columns for d in c[1].ddl] + [
        f"CREATE TABLE {t} (id {key[0]} NOT NULL, " + ", ".join(f"{n} {s.name}" for n, s, _ in columns) +
        (")" if identity in ("index", "full no key") else ", PRIMARY KEY (id))")]
    target_parts = [f"id {key[1]} NOT NULL"] + [f"{n} {g.name}" for n, _, g in columns]
    extra = r.random() < 0.2
    target = [d for c in columns for d in c[2].ddl] + [
        f"CREATE TABLE {t} ({', '.join(shuffled(r, target_parts))}" +
        (", mine int DEFAULT 7" if extra else "") +
        (", PRIMARY KEY (id))" if identity in ("default", "full", "index") else ")")]
    if identity.startswith("full"):
        source.append(f"ALTER TABLE {t} REPLICA IDENTITY FULL")
    if identity == "index":
        source += [f"CREATE UNIQUE INDEX {t}_u ON {t} (id)", f"ALTER TABLE {t} REPLICA IDENTITY USING INDEX {t}_u"]
    if identity == "nothing":
        source.append(f"ALTER TABLE {t} REPLICA IDENTITY NOTHING")
    makers = [(n, nullable(s.value)) for n, s, _ in columns]
    table = Dml(t, [("id", integer(1, 30, 0))], makers, inserts_only=identity == "nothing",
                arbiter=identity != "full no key", most=100)
    return unit("typed", name, source=source, target=target, publish=[t], transaction=table.transaction,
                alone=True, hold=lock(t, "id", 3),
                checks=[rows(t, t, ["id"] + [n for n, _, _ in columns], ["id"])])


def nullable(make):
    return lambda r: "NULL" if r.random() < 0.1 else make(r)


# ---- plain ----

def plain(r, name, most=2500):
    """Keys of one or two columns, TOASTed values, TRUNCATE."""
    t = f"{name}_t"
    keys = [("id", integer(1, 40, 0))] + ([("part", text("'x'", "'y'"))] if r.random() < 0.3 else [])
    key = primary([n for n, _ in keys])
    parts = ["id int NOT NULL", "v text", "n int", "big text"] + (["part text"] if len(keys) > 1 else [])
    full = r.random() < 0.3
    deferred = " DEFERRABLE" if r.random() < 0.15 else ""
    source = [f"CREATE TABLE {t} ({', '.join(parts + [key + deferred])})", *external(t, "big")]
    if full or deferred:
        source.append(f"ALTER TABLE {t} REPLICA IDENTITY FULL")
    keyless = full and r.random() < 0.3
    target = [f"CREATE TABLE {t} ({', '.join(shuffled(r, parts) + ([] if keyless else [key + deferred]))})"]
    table = Dml(t, keys, [("v", WORDS), ("n", integer(0, 99)), ("big", wide)], arbiter=not deferred, most=most)

    def transaction(r):
        return [f"TRUNCATE {t}"] + table.transaction(r) if r.random() < 0.03 else table.transaction(r)

    return unit("plain", name, source=source, target=target, publish=[t], transaction=transaction,
                hold=lock(t, "id", 3),
                checks=[rows(t, t, [n for n, _ in keys] + ["v", "n", "big"], [n for n, _ in keys])])


# ---- inheritance ----

def inherit(r, name):
    p, c, g, a = (f"{name}_{x}" for x in ("parent", "child", "grand", "archive"))
    full = r.random() < 0.35
    tables = [p, c] + ([g] if r.random() < 0.3 else [])
    source = [f"CREATE TABLE {p} (id int PRIMARY KEY, v text, n int)",
              f"CREATE TABLE {c} (PRIMARY KEY (id)) INHERITS ({p})"]
    if g in tables:
        source.append(f"CREATE TABLE {g} (PRIMARY KEY (id)) INHERITS ({c})")
    keyless = full and r.random() < 0.5
    key = "" if keyless else ", PRIMARY KEY (id)"
    same = r.random() < 0.7
    target = [f"CREATE TABLE {p} (id int NOT NULL, v text, n int{key})"]
    for parent, child in zip(tables, tables[1:]):
        target.append(f"CREATE TABLE {child} ({key[2:]}) INHERITS ({parent})" if same else
                      f"CREATE TABLE {child} (id int NOT NULL, v text, n int{key})")
    checks = [rows(t, t, ["id", "v", "n"], ["id"], only=True) for t in tables]
    if r.random() < 0.4:
        target += [f"CREATE TABLE {a} (kept int DEFAULT 1) INHERITS ({p})",
                   f"INSERT INTO {a} SELECT g, 'archive', g FROM generate_series(1, 30) AS g"]
        checks.append({"check": "static", "target": a, "columns": ["id", "v", "n", "kept"]})
    if full:
        source += [f"ALTER TABLE {t} REPLICA IDENTITY FULL" for t in tables]
    dmls = [Dml(t, [("id", integer(1, 30, 0))], [("v", WORDS), ("n", integer(0, 9))],
                only=r.choice(["", "ONLY "]), most=60) for t in tables]

    def transaction(r):
        one, other = r.choice(tables), r.choice(tables)
        if r.random() < 0.25 and one != other:
            move = [f"INSERT INTO {other} (id, v, n) SELECT id, v, n FROM ONLY {one} ON CONFLICT DO NOTHING",
                    f"DELETE FROM ONLY {one}"]
            return move
        return r.choice(dmls).transaction(r)

    return unit("inherit", name, source=source, target=target, publish=[p], transaction=transaction,
                checks=checks, hold=lock("ONLY " + p, "id", 3))


# ---- partitions ----

IDENTITIES = {"default": [], "full": ["ALTER TABLE {t} REPLICA IDENTITY FULL"],
              "nothing": ["ALTER TABLE {t} REPLICA IDENTITY NOTHING"],
              "index": ["CREATE UNIQUE INDEX {t}_i ON {t} (id, k)",
                        "ALTER TABLE {t} REPLICA IDENTITY USING INDEX {t}_i"]}


def partition_ddl(r, root, how, leaves, odd):
    """A root with its leaves; an odd leaf has its columns in another order."""
    columns = "id int NOT NULL, k int NOT NULL, v text, big text"
    out = [f"CREATE TABLE {root} ({columns}, PRIMARY KEY (id, k)) PARTITION BY {how} (k)"]
    bounds = {"LIST": [f"IN ({n})" for n in range(len(leaves) - 1)] + ["DEFAULT"],
              "RANGE": [f"FROM ({n}) TO ({n + 1})" for n in range(len(leaves) - 1)] + ["DEFAULT"],
              "HASH": [f"WITH (MODULUS {len(leaves)}, REMAINDER {n})" for n in range(len(leaves))]}[how]
    for n, (leaf, bound) in enumerate(zip(leaves, bounds)):
        clause = bound if bound == "DEFAULT" else f"FOR VALUES {bound}"
        if n == odd:
            out += [f"CREATE TABLE {leaf} (big text, gone int, v text, k int NOT NULL, id int NOT NULL)",
                    f"ALTER TABLE {leaf} DROP gone", f"ALTER TABLE {root} ATTACH PARTITION {leaf} {clause}"]
        else:
            out.append(f"CREATE TABLE {leaf} PARTITION OF {root} {clause}")
    for table in [root] + leaves:
        out += external(table, "big")
    return out


def partition(r, name):
    root = f"{name}_root"
    leaves = [f"{name}_leaf{n}" for n in range(r.choice([2, 3]))]
    how = r.choice(["LIST", "RANGE", "HASH"])
    via = r.random() < 0.6
    source = partition_ddl(r, root, how, leaves, r.choice([None, 0, 1]))
    kinds = ["default", "default", "full", "full", "index"]
    identity = {t: r.choice(kinds) for t in [root] + leaves}
    if r.random() < 0.3:
        identity = dict.fromkeys(identity, r.choice(kinds))
    if r.random() < 0.1:
        identity[r.choice([root] + leaves)] = "nothing"
    # an index on the root makes one on each leaf: leaves first
    for table in leaves + [root]:
        source += [s.format(t=table) for s in IDENTITIES[identity[table]]]
    columns, keys = ["id", "k", "v", "big"], ["id", "k"]
    plan, mapped = r.choice(["same", "same", "other", "plain"] if via else ["same", "same", "leaves", "one"]), {}
    whole = "(id int NOT NULL, k int NOT NULL, v text, big text, PRIMARY KEY (id, k))"
    checks = [rows(root, root, columns, keys)]
    if plan == "same":
        target = partition_ddl(r, root, how, leaves, None)
    elif plan == "other":
        target = partition_ddl(r, root, r.choice(["LIST", "HASH"]), [f"{name}_own{n}" for n in range(2)], 1)
    elif plan == "plain":
        target = [f"CREATE TABLE {root} {whole}"]
    elif plan == "leaves":
        target = [f"CREATE TABLE {leaf} {whole}" for leaf in leaves]
        checks = [rows(leaf, leaf, columns, keys) for leaf in leaves]
    else:
        target, mapped = [f"CREATE TABLE {name}_all {whole}"], {leaf: f"{name}_all" for leaf in leaves}
        checks = [rows(root, f"{name}_all", columns, keys)]
    table = Dml(root, [("id", integer(1, 25, 0)), ("k", integer(0, 2, 0))], [("v", WORDS), ("big", wide)], most=150)

    def transaction(r):
        n = r.randint(1, 20)
        if r.random() < 0.2:  # the key changes, big does not
            return [f"UPDATE {root} SET id = id + {r.choice([30, -1, 1])} WHERE id BETWEEN {n} AND {n + 4}"]
        return [f"TRUNCATE {root}"] if r.random() < 0.02 else table.transaction(r)

    switch = "ALTER PUBLICATION pub SET (publish_via_partition_root = {value})" if plan == "same" else None
    return unit("partition", name, source=source, target=target, publish=[root], transaction=transaction,
                map=mapped, control=not mapped, checks=checks, via_root=via, alone=True, switch=switch,
                hold=lock(f"{name}_all" if mapped else root if plan != "leaves" else leaves[0], "id", 3),
                note=f"{how} via_root={via} plan={plan} {identity}")


# ---- several sources, one target ----

def merged_target(r, target, columns, count):
    """Where rows of several tables meet: one table, a partition and its root, views over one table."""
    way = r.choice(["table", "table", "tree", "views"])
    if way == "tree":
        leaf = f"{target}_leaf"
        return ([f"CREATE TABLE {target} {columns} PARTITION BY RANGE (id)",
                 f"CREATE TABLE {leaf} PARTITION OF {target} FOR VALUES FROM (MINVALUE) TO (MAXVALUE)"],
                [target, leaf] + [r.choice([target, leaf]) for _ in range(count - 2)])
    if way == "views":
        views = [f"{target}_v{n}" for n in range(count)]
        return ([f"CREATE TABLE {target} {columns}"] +
                [f"CREATE VIEW {view} AS SELECT * FROM {target}" for view in views], views)
    return [f"CREATE TABLE {target} {columns}"], [target] * count


def merged(r, name):
    tables = [f"{name}_s{n}" for n in range(r.choice([2, 3]))]
    full = r.random() < 0.2
    target = f"{name}_t"
    columns = "id int PRIMARY KEY, v text, n int"
    source = [f"CREATE TABLE {t} ({columns})" for t in tables]
    source += [f"ALTER TABLE {t} REPLICA IDENTITY FULL" for t in tables if full]
    unique = r.random() < 0.2
    ddl, targets = merged_target(r, target, f"({columns}{', UNIQUE (id, n)' if unique else ''})", len(tables))

    def absent(t, key):
        return " AND ".join(f"NOT EXISTS (SELECT FROM {o} WHERE {o}.id = {key})" for o in tables if o != t)

    def transaction(r):
        t, other = r.sample(tables, 2)
        key = r.randint(1, 40)
        first = r.randint(1, 60)
        move = [f"WITH gone AS (DELETE FROM {t} WHERE id = {key} RETURNING *) INSERT INTO {other} "
                "SELECT * FROM gone"]
        many = [f"WITH gone AS (DELETE FROM {t} WHERE id % 3 = {key % 3} RETURNING *) INSERT INTO {other} "
                "SELECT * FROM gone"]
        put = [f"INSERT INTO {t} SELECT {key}, {WORDS(r)}, {key} WHERE {absent(t, key)} ON CONFLICT (id) "
               "DO UPDATE SET n = excluded.n + 1"]
        bulk = [f"INSERT INTO {t} SELECT g, 'bulk', g FROM generate_series({first}, {first + 80}) AS g "
                f"WHERE {absent(t, 'g')} ON CONFLICT DO NOTHING"]
        change = [f"UPDATE {t} SET v = {WORDS(r)}, n = n + 1 WHERE id IN ({key}, {key + 1})"]
        drop = [f"DELETE FROM {t} WHERE id = {key}"]
        return sum(r.choices([move, many, put, bulk, change, drop], [4, 1, 4, 1, 3, 1], k=r.randint(1, 3)), [])

    return unit("merged", name, source=source, publish=tables, transaction=transaction, control=False,
                target=ddl, map=dict(zip(tables, targets)), hold=lock(target, "id", 3),
                checks=[rows(tables, target, ["id", "v", "n"], ["id"])])


# ---- constraints ----

def unique(r, name):
    """A second unique or exclusion constraint, whose values move between rows."""
    t = f"{name}_t"
    mode = r.choice(["", "", " DEFERRABLE", " DEFERRABLE INITIALLY DEFERRED"])
    kind = r.choice(["unique", "unique", "index", "exclusion", "both"])
    parts = ["id int PRIMARY KEY", "u int", "v text", "span int4range"]
    extra = {"unique": [f"UNIQUE (u){mode}"], "index": [], "both": [f"UNIQUE (u){mode}", f"UNIQUE (v, u){mode}"],
             "exclusion": [f"EXCLUDE USING gist (span WITH &&){mode}"]}[kind]
    ddl = [f"CREATE TABLE {t} ({', '.join(parts + extra)})"]
    if kind == "index":
        ddl.append(f"CREATE UNIQUE INDEX {t}_u ON {t} ((u + 1)) WHERE u > 3")
    def some_span(r):
        n = r.randint(0, 30)
        return r.choice(["NULL", f"int4range({n}, {n + 2})"])
    table = Dml(t, [("id", integer(1, 25, 0))], [("u", integer(1, 30, 0.2)), ("v", WORDS), ("span", some_span)],
                bulks=False)

    def transaction(r):
        a, b = r.sample(range(1, 26), 2)
        column, none = r.choice([("u", "NULL"), ("span", "NULL")])
        value = r.choice(["1", "2"]) if column == "u" else "int4range(5, 7)"
        way = r.random()
        if way < 0.25:
            return [f"UPDATE {t} SET {column} = {none} WHERE {column} = {value}",
                    f"UPDATE {t} SET {column} = {value} WHERE id = {a}"]
        if way < 0.4:
            return [f"DELETE FROM {t} WHERE {column} = {value} OR id = {b}",
                    f"INSERT INTO {t} (id, {column}) VALUES ({b}, {value}) ON CONFLICT DO NOTHING"]
        if way < 0.5:
            return [f"UPDATE {t} SET u = CASE WHEN id = {a} THEN (SELECT u FROM {t} WHERE id = {b}) ELSE "
                    f"(SELECT u FROM {t} WHERE id = {a}) END WHERE id IN ({a}, {b})"]
        if way < 0.6 and kind in ("unique", "both", "index"):
            return [f"INSERT INTO {t} (id, u) SELECT g, g + 100 FROM generate_series(100, 180) AS g "
                    "ON CONFLICT DO NOTHING", f"UPDATE {t} SET u = u + 1000 WHERE id >= 100",
                    f"UPDATE {t} SET u = 1300 - id WHERE id >= 100"]
        return table.transaction(r)

    full = r.random() < 0.15
    source = ddl + ([f"ALTER TABLE {t} REPLICA IDENTITY FULL"] if full else [])
    return unit("unique", name, source=source, target=ddl, publish=[t], transaction=transaction,
                hold=lock(t, "id", 3), checks=[rows(t, t, ["id", "u", "v", "span"], ["id"])])


KEY_KINDS = {  # keys that are equal but written differently
    "nondeterministic": ("text COLLATE {name}_ci", ["'k{n}'", "'K{n}'"], "'k' || {g}"),
    "numeric": ("numeric", ["{n}", "{n}.0", "{n}.00"], "{g}"),
    "interval": ("interval", ["'{n} days'::interval", "'{h} hours'::interval"], "{g} * interval '1 day'"),
    "float": ("double precision", ["{n}", "'-0'::float8", "0"], "{g}"),
    "char": ("char(6)", ["'k{n}'", "'k{n}  '"], "'k' || {g}"),
    "array": ("numeric[]", ["ARRAY[{n}, 1.0]", "ARRAY[{n}.0, 1]"], "ARRAY[{g}::numeric]"),
    "range": ("numrange", ["numrange({n}, {n} + 1)", "numrange({n}.0, {n} + 1.0)"], "numrange({g}, {g} + 1)"),
    "citext": ("citext", ["'k{n}'", "'K{n}'"], "'k' || {g}"),
    "jsonb": ("jsonb", ["'{{\"a\": {n}}}'", "'{{\"a\": {n}.0}}'"], "to_jsonb({g})"),
    "timetz": ("timetz", ["'12:00:{n:02}+00'", "'13:00:{n:02}+01'"], "'12:00+00'::timetz + {g} * interval '1 s'"),
    "domain": ("{name}_dom", ["{n}", "{n}.0"], "{g}"),
}


def collate(r, name):
    t = f"{name}_t"
    kind = r.choice(["nondeterministic"] * 4 + list(KEY_KINDS))
    column, spellings, spread = KEY_KINDS[kind]
    before = {"nondeterministic": [f"CREATE COLLATION {name}_ci (provider = icu, locale = 'und-u-ks-level2', "
                                   "deterministic = false)"],
              "citext": ["CREATE EXTENSION IF NOT EXISTS citext"],
              "domain": [f"CREATE DOMAIN {name}_dom AS numeric"]}.get(kind, [])

    def key(r):
        n = r.randint(1, 15)
        return r.choice(spellings).format(n=n, h=n * 24)

    two = r.random() < 0.2
    keys = ["k"] + (["j"] if two else [])
    made = f"CREATE TABLE {t} (k {column.format(name=name)}, j int DEFAULT 1, v text, n int, {primary(keys)})"
    only_target = kind == "nondeterministic" and r.random() < 0.15
    source_made = made.replace(f" COLLATE {name}_ci", "") if only_target else made
    identity = [f"ALTER TABLE {t} REPLICA IDENTITY FULL"] if r.random() < 0.2 else []
    table = Dml(t, [("k", key)], [("v", WORDS), ("n", integer(0, 9))], spread=spread)
    upper = r.choice(["upper(k)", "CASE WHEN k = lower(k) COLLATE \"C\" THEN upper(k) ELSE lower(k) END"])

    def transaction(r):
        if r.random() < 0.3:
            n = r.randint(1, 15)
            a, b = (s.format(n=n, h=n * 24) for s in r.choices(spellings, k=2))
            again = upper if kind in ("nondeterministic", "citext") else "k"
            every = (f"WITH gone AS (DELETE FROM {t} RETURNING *) INSERT INTO {t} SELECT {again}, j, v, n + 1 FROM gone")
            return r.choice([[f"INSERT INTO {t} (k) SELECT {spread.format(g='g')} FROM generate_series(1, 400) AS g "
                              "ON CONFLICT DO NOTHING"], [every], [every],
                             [f"DELETE FROM {t} WHERE k = {a}", f"INSERT INTO {t} (k, v) VALUES ({b}, 'again')"],
                             [f"UPDATE {t} SET k = {b}, n = n + 1 WHERE k = {a}"]])
        return table.transaction(r)

    return unit("collate", name, source=before + [source_made] + identity, target=before + [made], publish=[t],
                transaction=transaction, hold=f"SELECT 1 FROM {t} LIMIT 1 FOR UPDATE",
                checks=[rows(t, t, ["k", "j", "v", "n"], ["k"])], note=kind)


def overlaps(r, name):
    """PostgreSQL 18's temporal keys."""
    t = f"{name}_t"
    kind = r.choice(["PRIMARY KEY", "PRIMARY KEY", "UNIQUE"])
    made = (f"CREATE TABLE {t} (id int4range NOT NULL, at int4range NOT NULL, v text, n int, "
            f"{kind} (id, at WITHOUT OVERLAPS))")
    full = kind == "UNIQUE" or r.random() < 0.4
    identity = [f"ALTER TABLE {t} REPLICA IDENTITY FULL"] if full else []

    def span(r):
        n = r.randint(0, 10)
        return f"int4range({n}, {n + r.randint(1, 4)})"

    table = Dml(t, [("id", lambda r: f"int4range({r.randint(1, 6)}, 9)"), ("at", span)],
                [("v", WORDS), ("n", integer(0, 9))], arbiter=True, spread="int4range({g} + 20, {g} + 21)")

    def transaction(r):
        if r.random() < 0.3:
            return [f"UPDATE {t} SET v = {WORDS(r)}, n = n + 1 WHERE n = {r.randint(0, 9)}"]
        return table.transaction(r)

    return unit("overlaps", name, source=[made] + identity, target=[made], publish=[t], transaction=transaction,
                needs={"source": 18, "target": 18}, checks=[rows(t, t, ["id", "at", "v", "n"], ["id", "at"])])


# ---- kinds of columns ----

def columns(r, name):
    """Identity and generated columns, defaults, on either side or both."""
    t = f"{name}_t"
    kinds = {"serial": ("s bigint GENERATED {how} AS IDENTITY", "s bigint GENERATED {how} AS IDENTITY"),
             "to plain": ("s bigint GENERATED {how} AS IDENTITY", "s bigint"),
             "to identity": ("s bigint NOT NULL DEFAULT 5", "s bigint GENERATED {how} AS IDENTITY"),
             "both computed": ("g text GENERATED ALWAYS AS (v || '!') STORED",
                               "g text GENERATED ALWAYS AS (v || '?') STORED"),
             "computed there": ("", "g text GENERATED ALWAYS AS (v || '!') STORED"),
             "computed here": ("g text GENERATED ALWAYS AS (v || '!') STORED", "g text"),
             "default": ("", "d int NOT NULL DEFAULT 7"), "domain default": ("", f"d {name}_d"),
             "key computed": ("", "g int GENERATED ALWAYS AS (id + 1) STORED UNIQUE")}
    chosen = r.sample(list(kinds), r.randint(1, 3))
    used, source, target = set(), ["id int PRIMARY KEY", "v text", "n int"], ["id int PRIMARY KEY", "v text", "n int"]
    checked, computed = ["id", "v", "n"], False
    for kind in chosen:
        here, there = (k.format(how=r.choice(["ALWAYS", "ALWAYS", "BY DEFAULT"])) for k in kinds[kind])
        column = (here or there).split()[0]
        if column in used:
            continue
        used.add(column)
        source += [here] if here else []
        target += [there] if there else []
        if column == "s":
            checked.append("s")
        computed = computed or "computed" in kind
    ident = r.random() < 0.2
    if ident:
        source[0] = target[0] = "id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
    domain = [f"CREATE DOMAIN {name}_d AS int DEFAULT 9"]
    full = r.random() < 0.3
    keyless = full and r.random() < 0.4
    if keyless:
        target[0] = target[0].replace(" PRIMARY KEY", " NOT NULL").replace("IDENTITY NOT NULL", "IDENTITY")
    table = Dml(t, [("id", integer(1, 30, 0))], [("v", WORDS), ("n", integer(0, 9))], key_updates=not ident,
                overriding="OVERRIDING SYSTEM VALUE" if ident else "")

    def transaction(r):
        if "s" in used and r.random() < 0.15:
            return [f"UPDATE {t} SET s = DEFAULT WHERE id = {r.randint(1, 30)}"]
        return table.transaction(r)

    identity = [f"ALTER TABLE {t} REPLICA IDENTITY FULL"] if full else []
    here = [f"CREATE TABLE {t} ({', '.join(source)})"]
    there = [f"CREATE TABLE {t} ({', '.join(shuffled(r, target))})"]
    return unit("columns", name, source=domain + here + identity, target=domain + there, publish=[t],
                transaction=transaction, hold=lock(t, "id", 3), note=", ".join(chosen),
                checks=[rows(t, t, checked, ["id"]), {"check": "control", "target": t}])


# ---- triggers and rules ----

def triggers(r, name):
    """Triggers and rules of the target, of every mode. What they must do, the subscription shows."""
    t, log = f"{name}_t", f"{name}_log"
    made = f"CREATE TABLE {t} (id int PRIMARY KEY, v text, n int)"
    target = [made, f"CREATE TABLE {log} (at bigserial, op text, id int, v text)"]
    kind = r.choice(["log", "log", "cancel", "cancel", "change", "rule", "move"])
    mode = r.choice(["REPLICA", "ALWAYS", "REPLICA", "ALWAYS", "REPLICA", "ALWAYS", "", "DISABLE"])
    moment = r.choice(["BEFORE", "AFTER"]) if kind == "log" else "BEFORE"
    ops = " OR ".join(r.sample(["INSERT", "UPDATE", "DELETE"], r.randint(1, 3)))
    body = {
        "log": f"INSERT INTO public.{log} (op, id, v) VALUES (tg_op, coalesce(new.id, old.id), new.v); RETURN coalesce(new, old);",
        "cancel": f"IF {r.choice(['true', 'coalesce(new.id, old.id) < 10'])} "
                  "THEN RETURN NULL; END IF; RETURN coalesce(new, old);",
        "change": "IF tg_op <> 'DELETE' THEN new.v := coalesce(new.v, '') || '!'; END IF; RETURN coalesce(new, old);",
        "move": f"UPDATE public.{t} SET n = -1 WHERE id = coalesce(new.id, old.id) + 1; RETURN coalesce(new, old);"}
    if kind == "rule":
        event = r.choice(["INSERT", "UPDATE", "DELETE"])
        row = "old" if event == "DELETE" else "new"
        action = r.choice(["NOTHING", f"INSERT INTO {log} (op, id) VALUES ('{event}', {row}.id)"])
        target.append(f"CREATE RULE ru AS ON {event} TO {t} DO {r.choice(['INSTEAD', 'INSTEAD', 'ALSO'])} {action}")
        if mode:
            target.append(f"ALTER TABLE {t} {mode if mode == 'DISABLE' else 'ENABLE ' + mode} RULE ru")
    else:
        target += [f"CREATE FUNCTION {name}_f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body[kind]} END $$",
                   f"CREATE TRIGGER tr {moment} {ops} ON {t} FOR EACH ROW EXECUTE FUNCTION {name}_f()"]
        if mode:
            target.append(f"ALTER TABLE {t} {mode if mode == 'DISABLE' else 'ENABLE ' + mode} TRIGGER tr")
    source = [made, f"CREATE SEQUENCE {name}_seq"]
    source += [f"ALTER TABLE {t} REPLICA IDENTITY FULL"] if r.random() < 0.2 else []
    # where a delete is cancelled the key must not come again;
    # an update of a row that is not there inserts it (sink-pg(1)): a cancelled insert's key must not move
    table = Dml(t, [("id", integer(1, 20, 0))], [("v", WORDS), ("n", integer(0, 9))], most=80,
                key_updates=kind != "cancel", bulk_share=0.35,
                fresh=f"nextval('{name}_seq')" if kind in ("cancel", "rule") else None)
    checks = [{"check": "control", "target": t},
              {"check": "control", "target": log,
               "columns": ["row_number() OVER (ORDER BY at)", "op", "id", "v"]}]
    if kind == "rule" and mode in ("REPLICA", "ALWAYS"):
        checks = []  # the subscription runs no rules, walpipe does (sink-pg(1)): it must come to an end
    return unit("triggers", name, role="postgres", source=source, target=target, publish=[t], transaction=table.transaction,
                alone=True, checks=checks, order_free=True, note=f"{kind} {mode or 'origin'} {moment} {ops}",
                hold=lock(t, "id", 3))


# ---- foreign keys ----

def foreign(r, name):
    p, c = f"{name}_parent", f"{name}_child"
    rule = r.choice(["", " ON DELETE CASCADE", " ON DELETE SET NULL", " ON UPDATE CASCADE"])
    ddl = [f"CREATE TABLE {p} (id int PRIMARY KEY, v text)",
           f"CREATE TABLE {c} (id int PRIMARY KEY, p int REFERENCES {p}{rule}, v text)"]
    parent = Dml(p, [("id", integer(1, 15, 0))], [("v", WORDS)], most=80)
    child = Dml(c, [("id", integer(1, 40, 0))], [("p", integer(1, 15)), ("v", WORDS)], bulks=False)

    def transaction(r):
        if r.random() < 0.3:
            n = r.randint(1, 40)
            return [f"INSERT INTO {p} VALUES ({n % 15 + 1}, 'p') ON CONFLICT DO NOTHING",
                    f"INSERT INTO {c} VALUES ({n}, {n % 15 + 1}, 'c') ON CONFLICT DO NOTHING"]
        if r.random() < 0.1:
            return [f"DELETE FROM {c} WHERE p = 3", f"DELETE FROM {p} WHERE id = 3"]
        return r.choice([parent, child]).transaction(r)

    return unit("foreign", name, source=ddl, target=ddl, publish=[p, c], transaction=transaction,
                checks=[rows(p, p, ["id", "v"], ["id"]), rows(c, c, ["id", "p", "v"], ["id"])],
                hold=lock(p, "id", 3))


# ---- renamed ----

def renamed(r, name):
    """Two tables that change places, or one that only changes its name."""
    a, b = f"{name}_a", f"{name}_b"
    body = "(id int PRIMARY KEY, v text, n int)"
    source = [f"CREATE TABLE {t} {body}" for t in (a, b)]
    mapped = r.choice([{a: b, b: a}, {a: f"{name}_Odd Name", b: f"{name}_b2"}])
    target = [f'CREATE TABLE "{t}" {body}' for t in mapped.values()]
    other = {a: f"{name}_x", b: mapped[a]}  # one name is new, the other was another table's
    remap = {"unit": name, "map": other, "targets": {f'"{mapped[k]}"': f'"{other[k]}"' for k in (a, b)},
             "sql": [f'ALTER TABLE "{mapped[k]}" RENAME TO "{other[k]}"' for k in (a, b)]}
    dmls = [Dml(t, [("id", integer(1, 30, 0))], [("v", WORDS), ("n", integer(0, 9))]) for t in (a, b)]
    return unit("renamed", name, source=source, target=target, publish=[a, b], map=mapped, control=False, remap=remap,
                transaction=lambda r: r.choice(dmls).transaction(r), hold=lock(f'"{mapped[a]}"', "id", 3),
                checks=[rows(s, f'"{t}"', ["id", "v", "n"], ["id"]) for s, t in mapped.items()])


KINDS = {"typed": (typed, 8), "plain": (plain, 2), "inherit": (inherit, 2), "partition": (partition, 4),
         "merged": (merged, 3), "unique": (unique, 3), "collate": (collate, 3), "overlaps": (overlaps, 1),
         "columns": (columns, 2), "triggers": (triggers, 4), "foreign": (foreign, 2), "renamed": (renamed, 2)}
