"""shapes.py: the tables of the random histories: their DDL on the source and on the targets, and
values for their columns. Knows no client and no pipeline.

A value is a text that PostgreSQL's input function takes, or None for NULL."""

import datetime
import uuid

TEXTS = ["", "a", "b", "c", "tab\there", "back\\slash", "\\N", "\\.", "new\nline\r\n", "quote'\"",
         "ünï ☃ 𝄞", "x" * 300, "NULL", "{}", " pad ", None]


def quote(name):
    return '"' + name.replace('"', '""') + '"'


def some_text(r):
    return r.choice(TEXTS)


def word(r):
    return r.choice("alpha beta gamma delta".split()) + str(r.randint(1, 40))


def integer(low, high, null=0.1):
    return lambda r: None if r.random() < null else str(r.randint(low, high))


def choice(*values):
    return lambda r: r.choice(values)


def fixed(value_of):
    """A value that is never NULL."""
    def value(r):
        got = value_of(r)
        return "" if got is None else got
    return value


def numeric(scale):
    return lambda r: r.choice([None, "0", "-1", f"{r.randint(-10**9, 10**9) / 10**scale:.{scale}f}"])


def wide(r):
    """3 to 20 kB, so that it is stored out of line; now and then a short one or none."""
    if r.random() < 0.1:
        return r.choice([None, "", "short"])
    return (uuid.UUID(int=r.getrandbits(128)).hex * 700)[:r.randint(3000, 20000)]


def wide_key(r):
    return (f"{r.randint(1, 25):02}" * 1300)[:2200 + r.randint(0, 1)]


def numeric_key(r):
    return str(r.randint(1, 60)) + r.choice(["", ".0", ".00", ".50"])


def some_uuid(r):
    return str(uuid.UUID(int=r.randint(1, 80) << 64 | 0xdeadbeef))


def int_key(high=150):
    """Some keys are hot."""
    return lambda r: str(r.randint(1, 5) if r.random() < 0.25 else r.randint(1, high))


def some_float(r):
    return r.choice(FLOATS) if r.random() < 0.4 else repr(r.uniform(-1, 1) * 10 ** r.randint(-300, 300))


def some_numeric(r):
    """Any number of digits on both sides of the point."""
    if r.random() < 0.3:
        return r.choice(["NaN", "0", "0.000", "10000", "0.0001", "-9999.9999", None])
    digits = "".join(r.choice("0123456789") for _ in range(r.randint(1, 60)))
    at = r.randint(0, len(digits))
    return r.choice(["", "-"]) + (digits[:at] or "0") + ("." + digits[at:] if at < len(digits) else "")


def some_day(first, last):
    days = datetime.date.fromisoformat(first), datetime.date.fromisoformat(last)
    return lambda r: None if r.random() < 0.1 else \
        str(days[0] + datetime.timedelta(r.choice([0, (days[1] - days[0]).days]) if r.random() < 0.1 else
                                         r.randint(0, (days[1] - days[0]).days)))


def some_time(r):
    if r.random() < 0.3:
        return r.choice(TIMES)
    at = datetime.datetime(1, 1, 1) + datetime.timedelta(seconds=r.randint(0, 315537897598))
    return at.isoformat(" ") + r.choice(["", f".{r.randint(0, 999999):06}", ".5"])


def some_interval(r):
    return None if r.random() < 0.1 else " ".join(
        f"{r.randint(-100, 100)} {u}" for u in ("years", "months", "days", "hours", "microseconds")
        if r.random() < 0.6) or "0"


FLOATS = ["0", "-0", "1.5", "NaN", "Infinity", "-Infinity", "0.1", "1e-300", "-1.7976931348623157e308",
          "3.141592653589793", "123456789.123", None]
FLOATS4 = ["0", "1.5", "NaN", "Infinity", "-Infinity", "0.1", "1e-30", "3.4e38", "16777216", None]
TIMES = ["2024-02-29 23:59:59.999999", "1970-01-01 00:00:00", "2000-01-01 12:00:00.1",
         "2099-12-31 23:59:59.000001", "1969-07-20 20:17:40", None]
ODD_TIMES = TIMES + ["infinity", "-infinity", "0044-03-15 12:00:00 BC", "294276-12-31 00:00:00"]
JSONS = ['{"a": 1, "b": [1, 2, null]}', "null", "[]", '"\\u00e9\\\\ \\" text"', "12345678901234567890.50",
         '{"a": {"a": {"a": "deep"}}}', None]
ARRAYS = ["{1,2,3}", "{{1,2},{3,4}}", "{NULL,7}", "{}", None]
TEXT_ARRAYS = ['{"a b",NULL,"NULL","",\\"}'.replace('\\"', '"q\\"q"'), "{}", "{x}", '{{a,b},{"c,d","{}"}}',
               None]

TYPES_DDL = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'très bien', 'it''s "fine"');
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE DOMAIN shouting AS text;
CREATE TYPE pair AS (m mood, n numeric, t text);
"""

# Types made in another order have other oids: what the stream says by oid must not matter.
TYPES_DDL_TARGET = """
CREATE TYPE pushes_oids_on AS (x int);
CREATE DOMAIN shouting AS text;
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE TYPE mood AS ENUM ('it''s "fine"', 'très bien', 'ok', 'sad');
CREATE TYPE pair AS (m mood, n numeric, t text);
"""


class Table:
    """columns: (name, type, value function); the first `keys` ones are the key that clients know
    rows by. The DDL's %s is the column list. `identity` is what the stream calls key: d, f, i or
    n (no key at all)."""

    def __init__(self, name, keys, columns, **more):
        self.schema, self.name = more.pop("schema", "public"), name
        self.columns = columns
        self.keys = columns[:keys]
        self.identity = more.pop("identity", "d")
        self.primary = more.pop("primary", True)  # PRIMARY KEY over the keys
        self.extra = more.pop("extra", "")  # into the column list, on both sides
        self.extra_relaxed = more.pop("extra_relaxed", "")  # on a target with several workers
        self.after = more.pop("after", "")  # statements, %s: the table
        self.after_target = more.pop("after_target", self.after)
        self.parts = more.pop("parts", [])  # leaf partitions' names
        self.ddl = more.pop("ddl", None)  # instead of the usual; %s: the table
        self.ch_ddl = more.pop("ch_ddl", None)
        self.clickhouse = more.pop("clickhouse", True)
        self.inserts_only = more.pop("inserts_only", False)
        self.key_updates = more.pop("key_updates", True)
        self.generated = more.pop("generated", [])  # columns with a value of their own
        self.wide = more.pop("wide", [])  # columns that are rarely updated
        self.empties = more.pop("empties", True)  # TRUNCATE it now and then
        self.unique = more.pop("unique", None)  # a column with a unique constraint of its own
        self.deferred = more.pop("deferred", False)
        self.made_again = more.pop("made_again", False)  # dropped and created now and then
        self.filter = None  # of the publication: only these rows are published
        self.published = None  # of the publication: only these columns are
        assert not more, more

    @property
    def sql(self):
        return f"{quote(self.schema)}.{quote(self.name)}"

    def casts(self, columns):
        """A parameter for each column, of its type."""
        return ["%s::" + c[1].split(" GENERATED")[0] for c in columns]

    @property
    def values(self):
        return self.columns[len(self.keys):]

    def create(self, target=False, relaxed=False, strict=False):
        """relaxed: without the unique constraints that several workers cannot keep. strict: without
        deferrable ones."""
        if self.ddl:
            return self.ddl
        parts = [f"{quote(n)} {t}" for n, t, _ in self.columns]
        extra = self.extra_relaxed if relaxed and self.unique else self.extra
        if target:
            parts = parts[::-1]  # by name, not by place
        if extra:
            parts.append(extra)
        if self.primary and self.keys:
            deferred = " DEFERRABLE INITIALLY DEFERRED" if self.deferred and not strict else ""
            parts.append(f"PRIMARY KEY ({', '.join(quote(k[0]) for k in self.keys)}){deferred}")
        after = self.after_target if target else self.after
        return f"CREATE TABLE {self.sql} ({', '.join(parts)}); " + after.replace("%s", self.sql)


def external(*names):
    return "".join(f"ALTER TABLE %s ALTER {quote(n)} SET STORAGE EXTERNAL; " for n in names)


FULL = "ALTER TABLE %s REPLICA IDENTITY FULL; "

PART_DDL = """
CREATE TABLE h_part (id int, region int, v text, n int, PRIMARY KEY (id, region))
    PARTITION BY LIST (region);
CREATE TABLE h_part_1 PARTITION OF h_part FOR VALUES IN (1);
CREATE TABLE h_part_2 (n int, v text, gone int, region int NOT NULL, id int NOT NULL);
ALTER TABLE h_part_2 DROP gone;
ALTER TABLE h_part_2 ADD PRIMARY KEY (id, region);
ALTER TABLE h_part ATTACH PARTITION h_part_2 FOR VALUES IN (2);
CREATE TABLE h_part_3 PARTITION OF h_part DEFAULT;
"""

CH_FULLKEY = """
CREATE TABLE h_fullkey (id Int32, v Nullable(String), w Nullable(String), _version UInt64,
    _is_deleted UInt8) ENGINE = ReplacingMergeTree(_version) ORDER BY id;
CREATE VIEW h_fullkey_current AS SELECT id, v, w FROM h_fullkey FINAL WHERE _is_deleted = 0"""
CH_DEFER = CH_FULLKEY.replace("h_fullkey", "h_defer")


def plain_tables(r):
    ident = r.choice(["ALWAYS", "BY DEFAULT"])
    return [
        Table("h_int", 1, [("id", "int", int_key()), ("v", "text", some_text),
                           ("n", "int", integer(-5, 1000))]),
        Table("h_ident", 1, [("id", f"bigint GENERATED {ident} AS IDENTITY", None),
                             ("v", "text", some_text)],
              key_updates=ident != "ALWAYS", generated=["id"]),
        Table("h_pair", 2, [("a", "text", word), ("b", "int", lambda r: str(r.randint(1, 3))),
                            ("v", "numeric(12,3)", numeric(3)), ("w", "text", some_text)],
              schema="shop"),
        Table('Odd "Name', 2, [("Schlüssel, groß", "text", fixed(some_text)),
                               ('the "b"', "varchar(20)", lambda r: str(r.randint(1, 5))),
                               ("select", "text", some_text), ("naïve col", "char(8)", word),
                               ("a'b\\c", "int", integer(0, 9))]),
        Table("h_uuid", 1, [("id", "uuid", some_uuid), ("v", "text", some_text)]),
        Table("h_numeric", 1, [("k", "numeric", numeric_key), ("v", "text", some_text)]),
        Table("h_uniq", 1, [("id", "int", int_key(60)), ("u", "int", integer(1, 100, 0.05)),
                            ("v", "text", some_text)],
              extra="UNIQUE (u)", unique="u"),
        Table("h_parent", 1, [("id", "int", int_key(40)), ("v", "text", some_text)]),
        Table("h_child", 1, [("id", "int", int_key(120)), ("p", "int", integer(1, 40)),
                             ("v", "text", some_text)],
              extra="FOREIGN KEY (p) REFERENCES h_parent ON UPDATE CASCADE ON DELETE " +
              r.choice(["CASCADE", "SET NULL", "NO ACTION"])),
        Table("h_again", 1, [("id", "int", int_key(50)), ("v", "text", some_text),
                             ("n", "int", integer(0, 9))], made_again=True),
        Table("h_gen", 1, [("id", "int", int_key()), ("v", "text", some_text)],
              extra="twice text GENERATED ALWAYS AS (v || v) STORED"),
    ]


def identity_tables():
    full_columns = [("a", "int", integer(1, 4, 0.2)), ("b", "text", choice("x", "y", None)),
                    ("j", "json", choice('{"a": 1, "a": 2}', "null", "[1,\n 2]", None)),
                    ("f", "float8", choice("0", "-0", "NaN", "1", None)),
                    ("n", "numeric", choice("1.0", "1.00", "NaN", None))]
    return [
        Table("h_log", 0, [("at", "timestamptz", choice(*TIMES)), ("client", "int", integer(0, 9)),
                           ("note", "text", some_text)], identity="n", inserts_only=True),
        Table("h_full", 0, full_columns, identity="f", after=FULL, clickhouse=False),
        Table("h_full_toast", 0, [("a", "int", integer(1, 30)), ("n", "int", integer(0, 100)),
                                  ("big", "text", wide)],
              identity="f", after=FULL + external("big"), clickhouse=False, wide=["big"]),
        Table("h_fullkey", 1, [("id", "int", int_key()), ("v", "text", some_text),
                               ("w", "text", wide)],
              identity="f", after=FULL + external("w"), ch_ddl=CH_FULLKEY, wide=["w"]),
        Table("h_defer", 1, [("id", "int", int_key(30)), ("v", "text", some_text),
                             ("w", "text", some_text)],
              identity="f", after=FULL, ch_ddl=CH_DEFER, deferred=True),
        Table("h_index", 1, [("u", "int", int_key(60)), ("id", "int", integer(1, 5000, 0)),
                             ("v", "text", some_text)],
              primary=False, identity="i", extra="u2 int, PRIMARY KEY (id)", unique="id",
              extra_relaxed="u2 int",
              after="ALTER TABLE %s ALTER u SET NOT NULL; CREATE UNIQUE INDEX h_index_u ON %s (u);"
              "ALTER TABLE %s REPLICA IDENTITY USING INDEX h_index_u;"),
        Table("h_toast", 1, [("id", "bigint", int_key(60)), ("n", "int", integer(0, 1000)),
                             ("big", "text", wide), ("other", "text", wide)],
              after=external("big", "other"), wide=["big", "other"]),
        Table("h_toastkey", 1, [("k", "text", wide_key), ("n", "int", integer(0, 1000)),
                                ("big", "text", wide)],
              after=external("k", "big"), wide=["big"]),
        Table("h_part", 2, [("id", "int", int_key(80)), ("region", "int", integer(1, 3, 0)),
                            ("v", "text", some_text), ("n", "int", integer(0, 100))],
              ddl=PART_DDL, parts=["h_part_1", "h_part_2", "h_part_3"]),
        Table("h_big", 1, [("id", "int", int_key(9000)), ("v", "text", some_text),
                           ("n", "int", integer(0, 100))]),
    ]


def typed_tables(binary):
    """h_more has what no sink refuses: a composite's parts are not told in binary format, and ClickHouse takes
    no such table then."""
    return [
        Table("h_types", 1, [
            ("id", "int", int_key()), ("b", "bool", choice("t", "f", None)),
            ("n1", "numeric(18,4)", numeric(4)), ("n2", "numeric", some_numeric),
            ("f8", "float8", some_float), ("f4", "float4", choice(*FLOATS4)),
            ("i2", "smallint", integer(-32768, 32767)), ("i8", "bigint", integer(-2**63, 2**63 - 1)),
            ("d", "date", some_day("1970-01-01", "2105-12-31")),
            ("ts", "timestamp", some_time), ("tz", "timestamptz", some_time),
            ("t0", "timestamp(0)", choice("2024-02-29 23:59:59", "1970-01-01", None)),
            ("by", "bytea", choice("\\x", "\\x00ff5c27220a", "\\x" + "ab" * 500, None)),
            ("js", "json", choice(*JSONS)), ("jb", "jsonb", choice(*JSONS)), ("u", "uuid", some_uuid),
            ("c", "char(5)", choice("ab", "", "äöü", None)), ("name", "name", choice("x", None)),
            ("ch", '"char"', choice("x", "", None))]),
        Table("h_more", 1, [
            ("id", "int", int_key()), ("ia", "int[]", choice(*ARRAYS)),
            ("ta", "text[]", choice(*TEXT_ARRAYS)),
            ("iv", "interval", some_interval),
            ("ip", "inet", choice("10.0.0.1", "10.0.0.0/8", "::1", None)),
            ("mac", "macaddr", choice("08:00:2b:01:02:03", None)),
            ("m", "mood", choice("sad", "très bien", 'it\'s "fine"', None)),
            ("ma", "mood[]", choice('{sad,ok,"très bien"}', "{}", None)),
            ("p", "positive", choice("1", "7", None)), ("sh", "shouting", some_text),
            *([] if binary else [("pair", "pair", choice('(ok,1.50,"a ""b"" c")', "(,,)", "(sad,NaN,)", None))]),
            ("r", "int4range", choice("[1,5)", "empty", "(,)", None)),
            ("pt", "point", choice("(1,2)", None)), ("tt", "timetz", choice("12:00:00+05:30", None)),
            ("ti", "time", choice("24:00:00", "00:00:00.000001", None)),
            ("bits", "bit varying", choice("10110", "", None)),
            ("x", "xml", choice("<a>b</a>", None)), ("l", "pg_lsn", choice("0/16B3748", None))],
              clickhouse=not binary),
        Table("h_odd", 1, [
            ("ts", "timestamptz", choice(*[t for t in ODD_TIMES if t])),
            ("d", "date", choice("infinity", "-infinity", "0044-03-15 BC", "5874897-12-31", None)),
            ("n", "numeric", choice("Infinity", "-Infinity", "NaN", "1e-200", "1e200", None)),
            ("n2", "numeric(1000,-3)", choice("5000", "-12345678901234567000", None)),
            ("na", "numeric[]", choice("{1.50,NaN,NULL}", "{{1},{2}}", "[0:1]={7,8}", None)),
            ("iv", "interval", some_interval),
            ("m", "money", choice("$1,234.50", "-$0.01", None)),
            ("c", "circle", choice("<(1,2),3>", None)), ("v", "text", some_text)],
              clickhouse=False),
    ]


def tables(r, binary):
    return plain_tables(r) + identity_tables() + typed_tables(binary)
