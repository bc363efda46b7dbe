"""oracle.py: what a target must hold. The source's rows as the target's types would hold them, found
by COPY on the target itself; and PostgreSQL's own subscription, where a check names it as the judge.
Rows are lines of COPY. Knows no pipeline.

Checks (see units.py):
    rows     target's columns hold the union of the source tables' rows
    control  the target's table is that of the subscription
    static   the target's table is as it was in the beginning"""

import collections
import io
import re
from decimal import Decimal

import psycopg2

SESSION = ("SET datestyle = ISO; SET timezone = 'UTC'; SET intervalstyle = postgres; SET bytea_output = hex; "
           "SET extra_float_digits = 3; SET lc_monetary = 'C'")
SHOWN = 6
SMALL = 1500  # rows: larger tables have no snapshots


def unquoted(name):
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def copy_out(cursor, query):
    """Lines. The type "char" cuts a character in the middle: such a byte is a surrogate here."""
    cursor.execute(SESSION)
    out = io.BytesIO()
    cursor.copy_expert(f"COPY ({query}) TO STDOUT", out)
    return out.getvalue().decode("utf-8", "surrogateescape").split("\n")[:-1]


def source_rows(cursor, check):
    only = "ONLY " if check.get("only") else ""
    names = ", ".join(check["columns"])
    where = f" WHERE {check['where']}" if "where" in check else ""
    return copy_out(cursor, " UNION ALL ".join(f"SELECT {names} FROM {only}{t}{where}" for t in check["source"]))


def target_rows(cursor, check):
    only = "ONLY " if check.get("only") else ""
    names = ", ".join(check.get("columns", ["*"]))
    return copy_out(cursor, f"SELECT {names} FROM {only}{check['target']}")


def target_types(cursor, check):
    cursor.execute("SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = "
                   "%s::regclass AND attnum > 0 AND NOT attisdropped", [check["target"]])
    return dict(cursor.fetchall())


class Unfit(Exception):
    """A value that the target's type does not take."""


class Converter:
    """Brings the source's lines into the form that the target's types give them."""

    def __init__(self, cursor, check):
        self.cursor, types = cursor, target_types(cursor, check)
        self.types = [types[unquoted(c)] for c in check["columns"]]
        self.known = {}
        columns = "".join(f", c{n} {t}" for n, t in enumerate(self.types))
        cursor.execute(SESSION + f"; DROP TABLE IF EXISTS pg_temp.expected; "
                       f"CREATE TEMP TABLE expected (n int{columns})")

    def load(self, lines):
        self.cursor.execute("TRUNCATE pg_temp.expected")
        text = "".join(f"{n}\t{line}\n" for n, line in enumerate(lines))
        self.cursor.copy_expert("COPY pg_temp.expected FROM STDIN",
                                io.BytesIO(text.encode("utf-8", "surrogateescape")))
        names = ", ".join(f"c{n}" for n in range(len(self.types)))
        made = copy_out(self.cursor, f"SELECT {names} FROM pg_temp.expected ORDER BY n")
        self.known.update(zip(lines, made))

    def convert(self, lines):
        """Line by line where one does not fit: then it is Unfit's text."""
        new = [line for line in dict.fromkeys(lines) if line not in self.known]
        try:
            if new:
                self.load(new)
        except psycopg2.Error:
            for line in new:
                try:
                    self.load([line])
                except psycopg2.Error as error:
                    self.known[line] = Unfit(str(error).split("\n")[0])
        return [self.known[line] for line in lines]


# ---- nothing cut or rounded ----

NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")


def canonical(cell):
    """A value's text without what another type may write differently."""
    cell = re.sub(r" 00:00:00|\+00\b|/32|/128|[\s\"\\$]", "", cell)
    cell = {"true": "t", "false": "f"}.get(cell, cell)
    return NUMBER.sub(lambda m: str(Decimal(m.group()).normalize() + 0) if len(m.group()) < 400 else m.group(), cell)


# of the types that domains are over
COMPOSITE = re.compile(r"u\d+_t\d+$")  # as units.py names them; an attribute may be json here and jsonb there
LOSES_BY_DESIGN = [("json", "jsonb"), ("text", "bytea"), ("bytea", "text"), ("integer", "boolean")]
BASES = """WITH RECURSIVE chain(name, type, typmod, depth) AS (
    SELECT attname, atttypid, atttypmod, 0 FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0
    UNION ALL SELECT name, typbasetype, typtypmod, depth + 1 FROM chain JOIN pg_type y ON y.oid = type
    WHERE typtype = 'd')
SELECT DISTINCT ON (name) name, format_type(type, typmod) FROM chain ORDER BY name, depth DESC"""


def loses_by_design(source_type, target_type, a, b):
    """Whether only that is lost which the types lose; in elements and attributes too."""
    if (source_type.removesuffix("[]"), target_type.removesuffix("[]")) in LOSES_BY_DESIGN:
        return True
    return COMPOSITE.match(source_type) and canonical(a).replace("{a:1,a:2}", "{a:2}") == canonical(b)


def lost(source_types, target_types, line, made):
    """Columns whose value is another one."""
    out = []
    for n, (a, b) in enumerate(zip(line.split("\t"), made.split("\t"))):
        if a != b and canonical(a) != canonical(b) and not loses_by_design(source_types[n], target_types[n], a, b):
            out.append(f"{source_types[n]} {a} became {target_types[n]} {b}")
    return out


def source_types(cursor, check):
    cursor.execute("SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = "
                   "%s::regclass AND attnum > 0", [check["source"][0]])
    types = dict(cursor.fetchall())
    return [types[unquoted(c)] for c in check["columns"]]


def base_types(cursor, table, check):
    cursor.execute(BASES, [table])
    types = dict(cursor.fetchall())
    return [types[unquoted(c)] for c in check["columns"]]


# ---- differences ----

def differences(expected, found, what="source"):
    expected, found = collections.Counter(expected), collections.Counter(found)
    missing, surplus = list((expected - found).elements()), list((found - expected).elements())
    if not missing and not surplus:
        return []
    out = [f"{len(missing)} rows missing, {len(surplus)} rows too much (of {sum(expected.values())})"]
    out += [f"  missing:  {line[:160]}" for line in sorted(missing)[:SHOWN]]
    out += [f"  too much: {line[:160]}" for line in sorted(surplus)[:SHOWN]]
    return out


def compare(source, target, check):
    """(what differs, what was lost on the way into the target's types)."""
    lines = source_rows(source, check)
    converter = Converter(target, check)
    made = converter.convert(lines)
    unfit = [f"  {line[:100]}: {text}" for line, text in zip(lines, made) if isinstance(text, Unfit)]
    wrong = differences([m for m in made if not isinstance(m, Unfit)], target_rows(target, check))
    if unfit:
        wrong = wrong + [f"{len(unfit)} rows do not fit"] + unfit[:SHOWN]
    here, there = base_types(source, check["source"][0], check), base_types(target, check["target"], check)
    cut = [text for line, m in zip(lines, made) if not isinstance(m, Unfit) for text in lost(here, there, line, m)]
    return wrong, list(dict.fromkeys(cut))


def compare_partly(states, target, check, workers, copied=False):
    """After a refusal: states are the source's lines as of the confirmed LSN and after each later
    transaction. What never changed must be there, unless it may not have been copied yet, and nothing may
    be there that never was."""
    if any(state is None for state in states):
        return []
    converter = Converter(target, check)
    stable = set(states[0])
    for state in states[1:]:
        stable &= set(state)
    possible = {m for state in states for m in converter.convert(state) if not isinstance(m, Unfit)}
    found = set(target_rows(target, check))
    must = {m for m in converter.convert(list(stable)) if not isinstance(m, Unfit)}
    out = [f"confirmed, but missing:  {line[:160]}" for line in sorted(must - found)[:SHOWN] if not copied]
    if workers > 1:  # the parts of a transaction come one after the other
        return out
    return out + [f"never in the source: {line[:160]}" for line in sorted(found - possible)[:SHOWN]]
