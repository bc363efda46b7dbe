"""values.py: types for both sides of a column, and values for them. Knows no table and no pipeline.

A value is an SQL expression that has its type; None is NULL. Which pairs of types walpipe serves is
no concern of this file: the oracle finds out what a target's column would hold."""

FAMILIES = {
    "number": ["smallint", "integer", "bigint", "numeric", "numeric(10,2)", "numeric(10,4)",
               "numeric(5,2)", "numeric(20,6)", "numeric(8,0)", "real", "double precision"],
    "string": ["text", "varchar(10)", "varchar(40)", "varchar", "char(5)", "char(12)", "name"],
    "moment": ["timestamp", "timestamp(0)", "timestamp(3)", "timestamptz", "timestamptz(0)", "date"],
    "clock": ["time", "time(0)", "time(3)", "timetz"],
    "interval": ["interval", "interval(0)", "interval day to second(3)", "interval year to month"],
    "bits": ["bit(8)", "bit varying(20)", "bit varying"],
    "json": ["json", "jsonb"],
    "net": ["inet", "cidr"],
}
LONERS = ["uuid", "bytea", "boolean", "money", "oid", '"char"', "int4range", "numrange", "tsrange",
          "point", "tsvector", "macaddr", "pg_lsn", "xml"]
# Pairs across families that somebody might have, or that an assignment cast exists for.
ACROSS = [("integer", "oid"), ("oid", "bigint"), ("interval", "time"), ("boolean", "text"),
          ("boolean", "integer"), ("char(5)", "text"), ("timestamp", "time"), ("bigint", "money"),
          ("numeric(10,2)", "money"), ("inet", "text"), ("json", "text"), ("text", "json"),
          ("text", "bytea"), ("bytea", "text"), ("date", "text"), ("integer", "text"), ("money", "numeric"),
          ("numeric", "text"), ("text", "integer"), ("text", "numeric(5,2)"), ("text", '"char"'),
          ("integer", '"char"'), ("varchar(10)", "name"), ("interval", "text"), ("bit(8)", "integer"),
          ("integer", "bit(8)"), ("uuid", "text"), ("text", "uuid"), ("macaddr", "text"),
          ("timestamptz", "timetz"), ("time", "interval"), ("text", "date"), ("point", "text"),
          ("integer", "boolean"), ("tsvector", "text"), ("xml", "text"), ("text", "xml"),
          ("int4range", "text"), ("numeric", "double precision"), ("double precision", "numeric")]

LITERALS = {
    "smallint": ["0", "1", "-7", "300"],
    "integer": ["0", "1", "-7", "42", "70000", "123456"],
    "bigint": ["0", "1", "-7", "42", "1234567890123", "9007199254740993"],
    "numeric": ["0", "1", "-7.5", "1.5", "2.50", "1.23", "999.99", "1.23456", "12345.6789", "NaN"],
    "real": ["0", "1", "1.5", "0.1", "-7", "16777216", "1e20"],
    "double precision": ["0", "1", "1.5", "0.1", "-7", "123456789.123", "1e200", "NaN"],
    "text": ["", "a", "ab", "abcd", "abcde", "abcdefghij", "a longer text, more than twelve", " pad ", "12",
             "1.5", "x\\y", "ä", "true"],
    "timestamp": ["2024-02-29 23:59:59.999999", "1970-01-01", "2000-01-01 12:00:00.1", "2024-05-05 10:00:00",
                  "infinity", "2021-12-31 23:59:59.5"],
    "date": ["2024-02-29", "1970-01-01", "1999-12-31"],
    "time": ["00:00:00", "12:34:56", "12:34:56.789", "12:34:56.789012", "23:59:59.5"],
    "interval": ["0", "1 day", "24:00:00", "3 days 01:00", "1 year 2 mons", "01:02:03.456789", "-1 mon"],
    "bits": ["00000000", "10110011", "11111111"],
    "json": ['{"a": 1}', '{"a": 1, "a": 2}', "[1,  2]", "null", '"x"', "12"],
    "net": ["10.0.0.1", "10.0.0.0/8", "::1"],
    "uuid": ["00000000-0000-0000-0000-00000000000%d" % n for n in range(4)],
    "bytea": ["\\x", "\\x00ff", "\\x6162"],
    "boolean": ["t", "f"], "money": ["1.50", "-0.01", "1234.00"], "oid": ["0", "42", "4000000000"],
    '"char"': ["", "x", "7"], "int4range": ["empty", "[1,5)", "[3,)"], "numrange": ["empty", "[1.5,2.50)"],
    "tsrange": ["empty", "[2024-01-01,2024-01-02)"], "point": ["(1,2)", "(0.5,-1)"],
    "tsvector": ["a b", "'x':1A"], "macaddr": ["08:00:2b:01:02:03"], "pg_lsn": ["0/16B3748"],
    "xml": ["<a>b</a>", "x"],
}
BASES = {"timestamptz": "timestamp", "timetz": "time", "varchar": "text", "char": "text", "name": "text",
         "bit": "bits", "bit varying": "bits", "jsonb": "json", "inet": "net", "cidr": "net"}


def bare(name):
    """Without the typmod."""
    for prefix in ("interval", "bit varying"):
        if name.startswith(prefix):
            return prefix
    return name.split("(")[0]


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def literals(name):
    base = bare(name)
    found = LITERALS[BASES.get(base, base)]
    if base == "cidr":
        found = ["10.0.0.0/8", "10.1.2.3/32"]
    if base == "numeric" and "(" in name:
        found = [v for v in found if len(v) < 7]
    return found


def scalar(r, name):
    return f"{quoted(r.choice(literals(name)))}::{name}"


class Type:
    """A column's type on one side: a name, the DDL it needs and values. How it is wrapped: plain,
    domain, domain2 (over a domain), array, domarray (of a domain), arraydom (domain over an array),
    row, rowdom (with a domain's attribute) or range."""

    def __init__(self, base, wrap, name):
        self.base, self.wrap, self.ddl = base, wrap, []
        self.name = getattr(self, "make_" + wrap)(base, name)

    def make_plain(self, base, _):
        return base

    def make_array(self, base, _):
        return base + "[]"

    def make_domain(self, base, name):
        self.ddl.append(f"CREATE DOMAIN {name} AS {base}")
        return name

    def make_domain2(self, base, name):
        self.ddl += [f"CREATE DOMAIN {name}_in AS {base}", f"CREATE DOMAIN {name} AS {name}_in"]
        return name

    def make_domarray(self, base, name):
        return self.make_domain(base, name) + "[]"

    def make_arraydom(self, base, name):
        self.ddl.append(f"CREATE DOMAIN {name} AS {base}[]")
        return name

    def make_row(self, base, name):
        self.ddl.append(f"CREATE TYPE {name} AS (x {base}, y text)")
        return name

    def make_rowdom(self, base, name):
        self.ddl += [f"CREATE DOMAIN {name}_in AS {base}", f"CREATE TYPE {name} AS (x {name}_in, y text)"]
        return name

    def make_range(self, base, name):
        self.ddl.append(f"CREATE TYPE {name} AS RANGE (subtype = {base})")
        return name

    def value(self, r):
        one = scalar(r, self.base)
        if self.wrap in ("array", "domarray", "arraydom"):
            items = [one] + [r.choice([scalar(r, self.base), "NULL"]) for _ in range(r.randint(0, 2))]
            return f"ARRAY[{', '.join(items)}]::{self.name}"
        if self.wrap in ("row", "rowdom"):
            return f"ROW({one}, {r.choice(['NULL', quoted('y')])})::{self.name}"
        if self.wrap == "range":
            ends = f"{one}, {scalar(r, self.base)}"
            return f"{self.name}(least({ends}), greatest({ends}))"
        return f"{one}::{self.name}" if self.name != self.base else one


def other_base(r, base):
    """Another type that a target might have for it."""
    across = [t for s, t in ACROSS if s == base]
    family = next((f for f in FAMILIES.values() if base in f), [])
    kin = [t for t in family if t != base]
    if across and (not kin or r.random() < 0.4):
        return r.choice(across)
    return r.choice(kin) if kin else "text"


def typmod_kin(base):
    family = next((f for f in FAMILIES.values() if base in f), [])
    return [t for t in family if t != base and bare(t) == bare(base)]


ORDERED = ("smallint", "integer", "bigint", "numeric", "numeric(10,2)", "numeric(10,4)", "timestamp", "date",
           "timestamptz", "double precision", "text")
WRAPS = ["domain", "domain2", "array", "domarray", "arraydom", "row", "rowdom", "range"]


def pair(r, name):
    """(source's Type, target's Type): equal, or of another typmod, wrapping or base."""
    base = r.choice(ACROSS)[0] if r.random() < 0.15 else r.choice(
        r.choice(list(FAMILIES.values())) if r.random() < 0.8 else LONERS)
    wrap = "plain" if r.random() < 0.55 else r.choice(WRAPS)
    if wrap == "range" and base not in ORDERED:
        wrap = "domain"
    other, way = (base, wrap), r.random()
    if way < 0.3:
        other = (r.choice(typmod_kin(base) or [base]), wrap)
    elif way < 0.55:
        other = (other_base(r, base), wrap)
    elif way < 0.65:
        swap = {"plain": ["domain", "domain2"], "domain": ["plain", "domain2"], "domain2": ["plain", "domain"],
                "array": ["domarray", "arraydom"], "domarray": ["array"], "arraydom": ["array"],
                "row": ["rowdom"], "rowdom": ["row"], "range": ["range"]}
        other = (r.choice([base, other_base(r, base)]), r.choice(swap[wrap]))
    if other[1] == "range" and other[0] not in ORDERED:
        other = (base, wrap)
    return Type(base, wrap, name), Type(other[0], other[1], name)
