#!/usr/bin/python3
"""types_ch.py: the cases of types_ch.cases: tables for them on both sides, and what arrived.

    types_ch.py prepare CONNINFO TAG URL DB      tables TAG.error, TAG.clamp and TAG.null in the
                                                 source, DB_error.TAG_error and so on in ClickHouse;
                                                 a case is a column
    types_ch.py insert CONNINFO TAG ID           the values as row ID
    types_ch.py compare TAG URL DB ID            what the server shows against what is expected
    types_ch.py refuse CONNINFO TAG URL DB SINK ACKD [URL]   each refused case, one run of sink-ch;
                                                 only those whose type the last server lacks
    types_ch.py texts CONNINFO URL DB FIRST      texts.wide from id FIRST on: all columns are
                                                 Strings, and hold PostgreSQL's own text

TAG is old or new, as in "only old".
"""

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request

import psycopg2

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from stream import Events, col  # noqa: E402

POLICIES = ("error", "clamp", "null")
# Asked for where the server knows them: cases show all digits of a Decimal.
SETTINGS = {
    "output_format_decimal_trailing_zeros": "1",
    "allow_experimental_low_cardinality_type": "1",
    "allow_suspicious_low_cardinality_types": "1",
}
PLAIN_TYPES = "CREATE TYPE mood AS ENUM ('sad', 'it''s ok'); CREATE DOMAIN small AS int2"


class Case:
    def __init__(self, number, fields):
        self.name = "c%d" % number
        self.pg, value, self.ch = fields[:3]
        self.value = "" if value == "''" else value
        error = fields[3]
        rest = [error, error] if len(fields) == 4 else fields[4:6]
        self.expected = dict(zip(POLICIES, [error] + rest))
        self.line = " | ".join(fields)

    def refused(self, policy):
        return self.expected[policy].startswith("refused")

    def type(self, policy):
        plain = re.match("(Array|Nullable|LowCardinality)\\(", self.ch)
        return "Nullable(%s)" % self.ch if policy == "null" and not plain else self.ch


class Server:
    def __init__(self, url):
        self.url, self.settings = url, {}
        known = self.ask("SELECT name FROM system.settings").split("\n")
        self.settings = {n: v for n, v in SETTINGS.items() if n in known}
        self.types = set(self.ask("SELECT name FROM system.data_type_families").split("\n"))

    def ask(self, sql, database="default"):
        arguments = dict(self.settings, database=database, wait_end_of_query="1")
        request = urllib.request.Request(self.url + "/?" + urllib.parse.urlencode(arguments),
                                         data=sql.encode())
        try:
            answer = urllib.request.urlopen(request).read()
        except urllib.error.HTTPError as error:
            sys.exit("%s\n%s" % (sql, error.read().decode(errors="replace")))
        return answer.decode("utf-8", "surrogateescape")

    def has(self, case):
        return all(word in self.types or word in ("UTC",) for word in
                   re.findall("[A-Z][A-Za-z0-9]+", re.sub("'[^']*'", "", case.ch.replace("\\'", ""))))


def all_cases():
    """Each case with the tag it is for, or None."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "types_ch.cases")
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            line = line.rstrip("\n")
            if not line or line.startswith("#"):
                continue
            fields = line.split(" | ")
            only = fields.pop()[5:] if fields[-1].startswith("only ") else None
            if len(fields) not in (4, 6) or (len(fields) == 4 and fields[3].startswith("refused")):
                sys.exit("types_ch.cases:%d: %d fields" % (number, len(fields)))
            yield only, Case(number, fields)


def read_cases(server, tag):
    return [case for only, case in all_cases() if only in (None, tag) and server.has(case)]


def connect(conninfo):
    connection = psycopg2.connect(conninfo)
    connection.autocommit = True
    return connection.cursor()


def prepare(conninfo, tag, url, database):
    server, pg = Server(url), connect(conninfo)
    cases = read_cases(server, tag)
    pg.execute("SELECT to_regtype('mood') IS NULL")
    if pg.fetchone()[0]:
        pg.execute(PLAIN_TYPES)
    pg.execute("CREATE SCHEMA IF NOT EXISTS " + tag)
    for policy in POLICIES:
        mine = [c for c in cases if not c.refused(policy)]
        columns = ", ".join("%s %s" % (c.name, c.pg) for c in mine)
        pg.execute("CREATE TABLE IF NOT EXISTS %s.%s (id int PRIMARY KEY, %s)" % (tag, policy, columns))
        server.ask("CREATE DATABASE %s_%s" % (database, policy))
        columns = ", ".join("%s %s" % (c.name, c.type(policy)) for c in mine)
        server.ask("CREATE TABLE %s_%s (id Int32, %s, _version UInt64, _is_deleted UInt8)"
                   " ENGINE = ReplacingMergeTree(_version) ORDER BY id"
                   % (tag, policy, columns), "%s_%s" % (database, policy))
        print("%s: %d columns" % (policy, len(mine)))


def insert(conninfo, tag, row_id):
    pg = connect(conninfo)
    values = {case.name: case.value for _, case in all_cases()}
    for policy in POLICIES:
        pg.execute("SELECT attname FROM pg_attribute WHERE attrelid = '%s.%s'::regclass AND "
                   "attnum > 1 ORDER BY attnum" % (tag, policy))
        names = [name for name, in pg.fetchall()]
        # literals take the column's type
        literals = ", ".join(pg.mogrify("%s", (values[n],)).decode() for n in names)
        pg.execute("INSERT INTO %s.%s VALUES (%s, %s)" % (tag, policy, row_id, literals))


def compare(tag, url, database, row_id):
    server = Server(url)
    wrong = compared = 0
    for policy in POLICIES:
        mine = [c for c in read_cases(server, tag) if not c.refused(policy)]
        answer = server.ask("SELECT %s FROM %s_%s FINAL WHERE id = %s AND _is_deleted = 0 FORMAT TSV"
                            % (", ".join(c.name for c in mine), tag, policy, row_id),
                            "%s_%s" % (database, policy))
        shown = answer.rstrip("\n").split("\t")
        if len(shown) != len(mine):
            sys.exit("%s: %d columns instead of %d: %s" % (policy, len(shown), len(mine), answer))
        for case, got in zip(mine, shown):
            expected = case.expected[policy]
            # a "." at the end keeps spaces in sight
            expected = "" if expected == "''" else re.sub(" \\.$", " ", expected)
            compared += 1
            if got != expected:
                wrong += 1
                print("%s, under %s: %s shows %r, expected %r" % (case.line, policy, tag, got, expected))
    print("%d compared, %d wrong" % (compared, wrong))
    sys.exit(1 if wrong else 0)


def run_refused(case, policy, oid, text, sink):
    e = Events(sink="olap", shards=1)
    named = {"type_schema": "public", "type_name": case.pg} if case.pg == "mood" else {}
    e.table(1, "public", case.name + policy,
            [col("id", True, 23), col("v", oid=oid, **named)])
    e.begin()
    e.insert(1, ["7", text])
    e.commit()
    e.end()
    run = subprocess.run(sink + ["--on-overflow", policy], input=e.bytes, stderr=subprocess.PIPE,
                         check=False)
    log = run.stderr.decode(errors="replace")
    reason = case.expected["error"].partition(": ")[2] if policy == "error" else ""
    wanted = ["cannot write column \\\"v\\\" of table \\\"public.%s\\\"" % (case.name + policy),
              "row (id) = (7)", reason, '"lsn":"0/2000"']
    return run.returncode == 100 and all(w in log for w in wanted), log


def refuse(conninfo, tag, url, database, program, ackd, other_url=None):
    server, pg = Server(url), connect(conninfo)
    other = Server(other_url) if other_url else None
    sink = [program, "--url", url, "--database", database, "--pipeline", "p", "--ackd", ackd]
    failed = ran = 0
    server.ask("CREATE DATABASE " + database)
    for case in read_cases(server, tag):
        for policy in [p for p in POLICIES if case.refused(p)]:
            if other is not None and other.has(case):
                continue
            server.ask("CREATE TABLE %s (id Int32, v %s, _version UInt64, _is_deleted UInt8) ENGINE"
                       " = ReplacingMergeTree(_version) ORDER BY id"
                       % (case.name + policy, case.type(policy)), database)
            pg.execute("SELECT %%s::regtype::oid, CAST(%%s AS %s)::text" % case.pg,
                       (re.sub("\\(.*\\)", "", case.pg), case.value))
            oid, text = pg.fetchone()
            good, log = run_refused(case, policy, oid, text, sink)
            ran += 1
            if not good:
                failed += 1
                print("%s, under %s:\n%s" % (case.line, policy, log))
    print("%d refused, %d otherwise" % (ran, failed))
    sys.exit(1 if failed else 0)


def texts(conninfo, url, database, first):
    server, pg = Server(url), connect(conninfo)
    pg.execute("SET datestyle = ISO; SET intervalstyle = postgres; SET timezone = 'UTC';"
               "SET extra_float_digits = 3; SET bytea_output = hex; SET lc_monetary = 'C'")
    pg.execute("SELECT c, min(type) FROM texts.cases GROUP BY c ORDER BY c")
    columns = pg.fetchall()
    # a cast to text would drop the padding of char(n)
    pg.execute("SELECT id, %s FROM texts.wide WHERE id >= %s ORDER BY id" % (", ".join(
        "CASE WHEN c%s IS NOT NULL THEN format('%%s', c%s) END" % (c, c) for c, _ in columns), first))
    expected = [list(row) for row in pg.fetchall()]
    answer = server.ask("SELECT id, %s FROM texts_wide FINAL WHERE id >= %s ORDER BY id FORMAT"
                        " JSONCompact" % (", ".join("c%s" % c for c, _ in columns), first), database)
    got = json.loads(answer)["data"]
    wrong = compared = 0
    for mine, theirs in zip(expected, got):
        for (number, name), a, b in zip([(0, "id")] + columns, mine, theirs):
            compared += a is not None
            if a != b:
                wrong += 1
                print("row %s, %s: %.200r, expected %.200r" % (mine[0], name, b, a))
    print("%d texts of %d types compared, %d wrong" % (compared, len(columns), wrong))
    sys.exit(1 if wrong or len(got) != len(expected) or compared < 300 else 0)


if __name__ == "__main__":
    commands = {"prepare": prepare, "insert": insert, "compare": compare, "refuse": refuse,
                "texts": texts}
    commands[sys.argv[1]](*sys.argv[2:])
