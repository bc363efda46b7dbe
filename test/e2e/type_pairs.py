#!/usr/bin/python3
"""type_pairs.py: values of one type into columns of another, by sink-pg, against what must hold.

    type_pairs.py SOURCE TARGET WORK [--seed N [--cases N]]

SOURCE and TARGET are connection strings without a database, WORK is a directory. Without --seed the
list in PAIRS is tried; with it, random pairs, values and depths. Each case is one value of a source
type, in a table with a key and in one with REPLICA IDENTITY FULL and no key in the target. All cases
go through sink-pg twice, from a stream in text and from one in binary format. A case ends well if

  - it is refused, with the table's name, and then only a part of its transactions is there; or
  - each row is what the target's input function makes of the source's text (that is what
    PostgreSQL's own subscription does), and nothing of the value is lost: read back as the source's
    type it is the same text, but for what types(7) names.

Prints the counts, and a line for each case that ends otherwise; exit 1 if there is one."""

import argparse
import collections
import glob
import json
import os
import random
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BIN = os.environ["WALPIPE_BIN"]

# Types that somebody made: under one name, but perhaps not the same on both sides.
BOTH = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN d_int8 AS int8;
CREATE DOMAIN d_same AS numeric(5,2);
CREATE DOMAIN dd_same AS d_same;
CREATE TYPE c_same AS (a numeric(5,2), b text, c date, m mood);
CREATE TYPE c_plain AS (a int4, b text);
CREATE TYPE r_same AS RANGE (subtype = float8);
"""
SOURCE_TYPES = BOTH + """
CREATE DOMAIN d_num AS numeric;
CREATE DOMAIN dd_num AS d_num;
CREATE DOMAIN d_ts AS timestamp;
CREATE DOMAIN d_i AS int8;
CREATE DOMAIN d_f AS float8;
CREATE DOMAIN d_v AS varchar(10);
CREATE DOMAIN d_arr AS numeric[];
CREATE TYPE c_narrow AS (a numeric, b text, c timestamp);
CREATE TYPE c_dom AS (a d_i, b d_ts);
CREATE TYPE c_deep AS (a int4, b c_narrow[]);
CREATE TYPE r_narrow AS RANGE (subtype = timestamp);
"""
TARGET_TYPES = BOTH + """
CREATE DOMAIN d_num AS numeric(5,2);
CREATE DOMAIN dd_num AS d_num;
CREATE DOMAIN d_ts AS date;
CREATE DOMAIN d_i AS float8;
CREATE DOMAIN d_f AS int8;
CREATE DOMAIN d_v AS varchar(5);
CREATE DOMAIN d_arr AS numeric(5,2)[];
CREATE TYPE c_narrow AS (a numeric(5,2), b varchar(3), c date);
CREATE TYPE c_dom AS (a d_i, b d_ts);
CREATE TYPE c_deep AS (a int4, b c_narrow[]);
CREATE TYPE r_narrow AS RANGE (subtype = date);
"""

VALUES = {
    "int2": ["7", "-32768"], "int4": ["42", "16777217"], "int8": ["1234567890123", "42", "9007199254740993"],
    "oid": ["42", "4294967295"], "numeric": ["1.5", "1.239", "NaN", "1e20"],
    "numeric(10,2)": ["1.50", "12345678.91"], "float4": ["0.1", "1.5", "42"],
    "float8": ["0.1", "42", "1e300", "NaN"], "money": ["1.25"], "bool": ["t", "f"],
    "text": ["abc", "1.5", "1.239", "2020-01-02", "2020-01-02 03:04:05.678", "x" * 70, "ab  ", "t"],
    "varchar(10)": ["abcdef", "ab   ", "42"], "char(5)": ["ab", "abcde"], "name": ["nm"], '"char"': ["x"],
    "bytea": ["\\x6162"], "uuid": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
    "date": ["2020-02-03", "infinity"], "time": ["10:11:12.5", "24:00:00"], "timetz": ["10:11:12.5+02"],
    "timestamp": ["2020-02-03 10:11:12.123456", "2020-02-03 00:00:00"],
    "timestamp(0)": ["2020-02-03 10:11:12"], "timestamptz": ["2020-02-03 10:11:12.123456+00"],
    "interval": ["3 days 01:00:00", "01:02:03.456789"], "json": ['{"a": 1, "a": 2}'], "jsonb": ['{"a": 1}'],
    "inet": ["10.1.2.3", "10.1.2.3/24"], "cidr": ["10.1.2.0/24"], "macaddr": ["08:00:2b:01:02:03"],
    "bit(3)": ["101"], "varbit": ["1011"], "xml": ["<a>1</a>"], "point": ["(0.1,2)"], "box": ["(2,2),(1,1)"],
    "int4range": ["[1,5)"], "numrange": ["[1.5,2.25)"], "tsrange": ['["2020-01-01 10:00:00","2020-01-02 11:00:00")'],
    "daterange": ["[2020-01-01,2020-02-01)"], "tsvector": ["'a' 'b':2"], "pg_lsn": ["16/B374D848"],
    "int4[]": ["{1,2}", "[0:1]={1,2}"], "int8[]": ["{9007199254740993}"], "numeric[]": ["{1.5,1.239}", "{{1},{2}}"],
    "numeric(10,2)[]": ["{1.50,2.25}"], "text[]": ['{a,"b c"}', "{%s}" % ("x" * 70), "{1.239}"],
    "float8[]": ["{0.1}"], "float4[]": ["{0.1}"], "timestamp[]": ['{"2020-02-03 10:11:12.5"}', '{"2020-02-03 00:00:00"}'],
    "timestamp(0)[]": ['{"2020-02-03 10:11:12"}'], "date[]": ["{2020-02-03}"], "interval[]": ['{"1 day 02:03:04.5"}'],
    "varchar(10)[]": ["{abcdef}"], "tsrange[]": ['{"[\\"2020-01-01 10:00:00\\",\\"2020-01-02 00:00:00\\")"}'],
    "mood": ["sad"], "mood[]": ["{sad,happy}"], "d_int8": ["1234567890123", "42"], "d_same": ["1.50"],
    "dd_same": ["1.50"], "d_same[]": ["{1.50}"], "c_same": ['(1.50,"x y",2020-01-02,ok)'], "c_plain": ["(1,abc)"],
    "c_same[]": ['{"(1.50,x,2020-01-02,sad)"}'], "r_same": ["[0.1,0.5)"], "d_num": ["1.50", "1.239", "1.5"],
    "dd_num": ["1.50", "1.239"], "d_num[]": ["{1.50}", "{1.239}"], "d_ts": ["2020-02-03 10:11:12", "2020-02-03 00:00:00"],
    "d_i": ["1234567890123", "9007199254740993", "42"], "d_f": ["42", "1.5"], "d_v": ["abc", "abcdefgh", "abc    "],
    "d_arr": ["{1.50}", "{1.239}"], "d_i[]": ["{42}"], "d_f[]": ["{42}"],
    "c_narrow": ['(1.50,abc,"2020-01-02 00:00:00")', '(1.239,abc,"2020-01-02 00:00:00")', "(1.50,abc,)", "(,,)",
                 '(1.50,abc,"2020-01-02 10:00:00")', "(1.50,abcdef,)", '(1.50,"abc ",)'],
    "c_dom": ["(42,)", '(9007199254740993,"2020-01-02 00:00:00")', '(,"2020-01-02 00:00:00")'],
    "c_deep": ['(1,"{""(1.50,abc,)""}")', '(1,"{""(1.239,abc,)""}")'],
    "r_narrow": ['["2020-01-01 10:00:00","2020-01-02 10:00:00")', '["2020-01-01 00:00:00","2020-01-03 00:00:00")'],
}
TARGETS = list(VALUES) + [
    "numeric(5,2)", "numeric(10,4)", "numeric(10,4)[]", "numeric(5,2)[]", "numeric(5,0)", "numeric(3,-2)",
    "timestamp(3)", "timestamptz(0)", "time(0)", "interval(0)", "interval day to minute", "char(8)", "varchar(3)",
    "varchar(3)[]", "name[]", '"char"[]', "timestamptz[]", "timestamp(3)[]", "time[]", "money[]", "float4[]",
    "bit(8)", "varbit(8)", "citext"]

# The pairs that were found wrong, and their neighbours.
PAIRS = [p.split(" -> ") for p in """
d_int8 -> float8, d_int8 -> int8, d_int8 -> d_int8, d_i -> d_i, d_f -> d_f, d_f -> int8, float8 -> d_f, d_i -> text,
int8 -> d_i, d_num -> d_num, dd_num -> dd_num, d_same -> d_same, dd_same -> dd_same, d_same -> numeric(10,4),
d_num -> numeric(5,2), d_num -> numeric, d_ts -> d_ts, timestamp -> d_ts, d_ts -> timestamp, d_v -> d_v, d_v -> text,
d_arr -> d_arr, d_num[] -> d_num[], d_i[] -> d_i[], d_f[] -> d_f[], d_same[] -> d_same[], numeric[] -> d_num[],
c_same -> c_same, c_narrow -> c_narrow, c_dom -> c_dom, c_deep -> c_deep, c_same[] -> c_same[], c_plain -> c_plain,
c_plain -> text, c_plain -> c_narrow, r_same -> r_same, r_narrow -> r_narrow, mood -> mood, mood[] -> mood[], mood -> text,
mood -> name, text -> mood, numeric -> int4, numeric -> int8, numeric -> text, numeric -> numeric(5,2), numeric(10,2) -> numeric(10,4),
interval -> time, interval -> text, interval -> interval(0), char(5) -> text, char(5) -> varchar(10), char(5) -> char(8),
varchar(10) -> char(5), bool -> text, bool -> int4, bool -> char(5), float4 -> float8, float4 -> numeric, float8 -> float4,
int4 -> int8, int4 -> numeric(10,2), int4 -> float4, int4 -> text, int8 -> int4, int8 -> float8, int2 -> float4, oid -> int8,
oid -> float4, int4 -> oid, int8 -> oid, date -> timestamp, date -> timestamptz, timestamp -> date, timestamp -> timestamptz,
timestamptz -> timestamp, timestamp -> timestamp(3), time -> interval, time -> time(0), timetz -> time, time -> timetz,
inet -> text, inet -> cidr, cidr -> inet, name -> text, text -> name, "char" -> text, text -> "char", text -> numeric(5,2),
text -> date, text -> float8, text -> bool, json -> jsonb, jsonb -> json, jsonb -> text, xml -> text, bytea -> text, uuid -> text,
text -> varchar(3), text -> varchar(10), money -> numeric, money -> text, bit(3) -> varbit, bit(3) -> bit(8), bit(3) -> text, varbit -> bit(3),
macaddr -> text, point -> text, numeric[] -> numeric(5,2)[], numeric(10,2)[] -> numeric(10,4)[], numeric[] -> float8[],
numeric[] -> text, int4[] -> text[], int4[] -> int8[], int8[] -> float8[], int4[] -> numeric(10,2)[], timestamp[] -> date[],
timestamp[] -> timestamp(3)[], timestamp(0)[] -> timestamp(3)[], date[] -> timestamp[], text[] -> name[], text[] -> "char"[],
text[] -> varchar(3)[], text[] -> numeric(5,2)[], float8[] -> float4[], float4[] -> float8[], interval[] -> time[],
varchar(10)[] -> varchar(3)[], tsrange -> daterange, tsrange -> tstzrange, int4range -> numrange, numrange -> int4range,
tsrange[] -> daterange[], daterange -> tsrange, tsvector -> text, pg_lsn -> text, text -> citext, int4 -> citext
""".replace("\n", " ").strip().split(", ") for p in [p.strip()]]
TARGET_EXTRA = "CREATE EXTENSION citext;"

# What types(7) says is not a loss: padding, spaces beyond n, another spelling of the same.
SAME_BUT = [("json", "jsonb")]

Case = collections.namedtuple("Case", "number source target value")


# Debian's psql is a script around the real one, which takes most of the time.
PSQL = next(iter(glob.glob("/usr/lib/postgresql/*/bin/psql")), "psql")


def psql(conninfo, sql, check=True):
    done = subprocess.run([PSQL, "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", conninfo, "-f", "-"], input=sql,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if check and done.returncode != 0:
        sys.exit(f"psql: {done.stderr}\n{sql[:2000]}")
    return done.stdout if done.returncode == 0 else None


def literal(value):
    return "'" + value.replace("'", "''") + "'"


def script(conninfo, pieces):
    """Runs each (key, sql) whatever becomes of the others: {key: what it printed}."""
    sql = "".join(f"ROLLBACK;\n\\echo ==={key}\n{piece}\n" for key, piece in pieces)
    done = subprocess.run([PSQL, "-XAtq", "-d", conninfo, "-f", "-"], input="\\set QUIET on\n" + sql,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    parts = re.split(r"^===(.*)\n", done.stdout, flags=re.M)[1:]
    return {key: text[:-1] if text.endswith("\n") else text for key, text in zip(parts[::2], parts[1::2])}


def write_descriptions(events, path):
    """What sink-pg --check reads of the stream: hello, relations, end."""
    data, at = open(events, "rb").read(), 0
    with open(path, "wb") as out:
        while at < len(data):
            size = 4 + int.from_bytes(data[at:at + 4], "big")
            body = data[at + 4:at + 8]
            kind = body[1] if body[0] & 0xf0 == 0x90 else body[3]  # fixarray or array 16
            if kind in (0, 16, 3):
                out.write(data[at:at + size])
            at += size


class Trial:
    def __init__(self, args):
        self.work = args.work
        self.source = args.source + " dbname=pairs"
        self.target = {mode: f"{args.target} dbname=pairs_{mode}" for mode in ("text", "binary")}
        psql(args.source + " dbname=postgres", "CREATE DATABASE pairs")
        for mode in self.target:
            psql(args.target + " dbname=postgres", f"CREATE DATABASE pairs_{mode}")
        psql(self.source, TARGET_EXTRA + SOURCE_TYPES)
        for conninfo in self.target.values():
            psql(conninfo, TARGET_EXTRA + TARGET_TYPES)
        self.wrong = 0
        self.counts = collections.Counter()

    def complain(self, case, mode, table, text):
        self.wrong += 1
        print(f"WRONG {case.source} -> {case.target}, {case.value}, {mode}, table {table}: {text}", flush=True)

    def make(self, cases):
        """The tables; a case whose types or value a server does not have is left out."""
        source, target = [], []
        for n, s, t, v in cases:
            source.append((n, f"BEGIN; SELECT {literal(v)}::{s}; CREATE TABLE k{n} (id int PRIMARY KEY, v {s}); "
                              f"CREATE TABLE f{n} (id int, v {s}); ALTER TABLE f{n} REPLICA IDENTITY FULL; COMMIT;"))
            target.append((n, f"BEGIN; CREATE TABLE k{n} (id int PRIMARY KEY, v {t}); "
                              f"CREATE TABLE f{n} (id int, v {t}); CREATE TABLE o{n} (v {t}); COMMIT;"))
        script(self.source, source)
        for conninfo in self.target.values():
            script(conninfo, target)
        there = [set(psql(c, "SELECT tablename FROM pg_tables").split())
                 for c in [self.source] + list(self.target.values())]
        return [c for c in cases if all(f"f{c.number}" in names for names in there)]

    def write(self, cases):
        sql = ["CREATE TABLE last (id int PRIMARY KEY)", "CREATE PUBLICATION p FOR ALL TABLES",
               "SELECT FROM pg_create_logical_replication_slot('pairs', 'pgoutput')"]
        for case in cases:
            v = literal(case.value)
            for t in f"k{case.number}", f"f{case.number}":
                sql += [f"INSERT INTO {t} SELECT g, {v} FROM generate_series(1, 3) AS g",
                        f"UPDATE {t} SET id = 20 WHERE id = 2", f"UPDATE {t} SET v = {v} WHERE id = 3",
                        f"DELETE FROM {t} WHERE id = 1"]
        sql += ["INSERT INTO last VALUES (1)"]
        psql(self.source, ";\n".join(sql))

    def capture(self, mode):
        path = f"{self.work}/{mode}.events"
        with open(path, "wb") as out, open(f"{self.work}/{mode}.log", "wb") as log:
            reader = subprocess.Popen([f"{BIN}/pg-wal-read", "--conninfo", self.source, "--slot", "pairs",
                                       "--publication", "p", "--no-ack"] + (["--binary"] if mode == "binary" else []),
                                      stdout=subprocess.PIPE, stderr=log)
            decoder = subprocess.Popen([f"{BIN}/pgout-decode"], stdin=reader.stdout, stdout=out, stderr=log)
            reader.stdout.close()
            end = time.monotonic() + 120
            while b"\xa4last" not in open(path, "rb").read() and time.monotonic() < end:
                time.sleep(0.1)
            time.sleep(0.5)  # the row behind the description
            reader.terminate()
            if reader.wait() != 0 or decoder.wait() != 0:
                sys.exit(f"could not capture: {open(f'{self.work}/{mode}.log').read()}")
        return path

    def apply(self, mode, events, socket):
        """Runs sink-pg until it takes what is left; the refused tables with the reasons."""
        descriptions = f"{self.work}/{mode}.relations"
        write_descriptions(events, descriptions)
        with open(descriptions, "rb") as source:
            lines = subprocess.run([f"{BIN}/sink-pg", "--conninfo", self.target[mode], "--pipeline", "pairs", "--check"],
                                   stdin=source, stdout=subprocess.PIPE, text=True, check=False).stdout.splitlines()
        failed = [(re.search(r"public\.([kf]\d+)", line), line) for line in lines if line.startswith("FAIL")]
        refused = {found[1]: line for found, line in failed if found}
        while True:
            tables = ", ".join(["public.*"] + [f"!public.{t}" for t in refused] + ["!public.last"])
            part, said = f"{self.work}/{mode}.part", f"{self.work}/{mode}.said"
            with open(events, "rb") as source:
                subprocess.run([f"{BIN}/route", "--sink", "dst", "--tables", tables, "--to", "/dev/stdout"],
                               stdin=source, stdout=open(part, "wb"), check=True)
            with open(part, "rb") as source, open(said, "wb") as log:
                code = subprocess.run([f"{BIN}/sink-pg", "--conninfo", self.target[mode], "--pipeline", "pairs",
                                       "--batch-rows", "6", "--ackd", socket], stdin=source, stderr=log, check=False).returncode
            if code == 0:
                return refused
            error = [json.loads(line) for line in open(said) if '"error"' in line]
            if code != 100 or not error:
                sys.exit(f"sink-pg: exit {code}: {open(said).read()}")
            text = error[-1]["message"] + " / " + error[-1].get("hint", "")
            found = re.search(r"public\.([kf]\d+)", f"{error[-1].get('relation')} {text}")
            if not found:
                sys.exit(f"no table is named: {text}")
            table = found[1]
            if table in refused:
                sys.exit(f"{table} is refused twice: {text}")
            refused[table] = refused.setdefault("f" + table[1:], text)  # what refuses k refuses f

    def ask_oracle(self, cases):
        """{number: what the source has, what the target's input makes of it (None: it refuses), and
        what the source makes of that}."""
        names = [c.number for c in cases]
        source = script(self.source, [(n, f"SELECT v FROM k{n} WHERE id = 20;") for n in names])
        escaped = script(self.source, [(n, f"COPY (SELECT v FROM k{n} WHERE id = 20) TO STDOUT;") for n in names])
        target = script(self.target["text"], [
            (n, f"COPY o{n} FROM STDIN;\n{escaped[str(n)]}\n\\.\nSELECT count(*), 0 FROM o{n};\n"
                f"SELECT v FROM o{n};") for n in names])
        stored = {n: target[str(n)].split("\n", 1)[1] if target[str(n)].startswith("1|") else None
                  for n in names}
        back = script(self.source, [(c.number, f"SELECT x::{c.source} FROM (SELECT "
                                               f"{literal(stored[c.number] or '')}::text) AS y(x);") for c in cases])
        return {n: (source[str(n)], stored[n], back[str(n)]) for n in names}

    def is_lossless(self, case, source, stored, back):
        if back == source or stored == source or (case.source, case.target) in SAME_BUT:
            return True
        if case.target == "bytea":  # text's own bytes
            return stored == "\\x" + source.encode().hex()
        if source.rstrip(" ") == stored.rstrip(" ") and re.search("char|citext|text|name", case.target):
            return True
        if re.match(r"char|varchar|d_v", case.target) or "varchar" in case.target or "c_narrow" in case.target:
            return source.replace(" ", "") == stored.replace(" ", "")
        numbers = [re.sub(r"(\.\d*?)0+(?=[^\d]|$)", r"\1", x).replace(".,", ",").replace(".}", "}").rstrip(".")
                   for x in (source, stored)]
        return numbers[0] == numbers[1]

    def judge(self, mode, case, refused, oracle, all_rows):
        source, stored, back = oracle
        for table in f"k{case.number}", f"f{case.number}":
            rows = [row for row in all_rows[table].split("\n") if row]
            if table in refused:
                self.counts[mode + " refused"] += 1
                values = {row.split("|", 1)[1] for row in rows}
                if values - {stored}:
                    self.complain(case, mode, table, f"refused, but there are {rows}")
                continue
            self.counts[mode + " equal"] += 1
            want = [f"{i}|{stored}" for i in (3, 20)]
            if stored is None:
                self.complain(case, mode, table, f"the target's input refuses {source}, but there are {rows}")
            elif "\n".join(rows) != "\n".join(want):
                self.complain(case, mode, table, f"{rows} instead of {want}")
            elif not self.is_lossless(case, source, stored, back):
                self.complain(case, mode, table, f"{source} became {stored}")

    def run(self, cases, least):
        cases = self.make(cases)
        self.write(cases)
        oracle = self.ask_oracle(cases)
        socket = f"{self.work}/ack.sock"
        with open(f"{self.work}/acks", "wb") as acks:
            ackd = subprocess.Popen(["/usr/bin/python3", f"{HERE}/../lib/fake_ackd.py", socket], stdout=acks)
            while not os.path.exists(socket):
                time.sleep(0.05)
            try:
                for mode in self.target:
                    refused = self.apply(mode, self.capture(mode), socket)
                    for table, text in refused.items():
                        case = next(c for c in cases if str(c.number) == table[1:])
                        print(f"refused {mode} {table} {case.source} -> {case.target}, {case.value}: {text}")
                    rows = script(self.target[mode], [(t, f"SELECT id, v FROM {t} ORDER BY id;")
                                                      for c in cases for t in (f"k{c.number}", f"f{c.number}")])
                    for case in cases:
                        self.judge(mode, case, refused, oracle[case.number], rows)
            finally:
                ackd.terminate()
                ackd.wait()
        print(f"{len(cases)} cases:", dict(self.counts), f"{self.wrong} wrong")
        few = [mode for mode in self.target if self.counts[mode + " equal"] < least]
        if few:
            print("too many are refused:", *few)
        return 1 if self.wrong or few else 0


def random_cases(seed, count):
    r = random.Random(seed)
    for n in range(count):
        source = r.choice(list(VALUES))
        made = [t for t in TARGETS if t == source or t.split("[")[0] == source.split("[")[0]]
        target = r.choice(made) if r.random() < 0.3 else r.choice(TARGETS)
        yield Case(n, source, target, r.choice(VALUES[source]))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("source")
    p.add_argument("target")
    p.add_argument("work")
    p.add_argument("--seed", type=int)
    p.add_argument("--cases", type=int, default=200)
    args = p.parse_args()
    if args.seed is None:
        listed = [(s, t, v) for s, t in PAIRS for v in VALUES[s]]
        cases = [Case(n, *c) for n, c in enumerate(listed)]
    else:
        cases = list(random_cases(args.seed, args.cases))
    # of the list, what PostgreSQL 15 takes without a loss
    sys.exit(Trial(args).run(cases, 280 if args.seed is None else 1))


main()
