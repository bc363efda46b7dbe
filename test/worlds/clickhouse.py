"""clickhouse.py: runs a world whose target is a ClickHouse, and judges it. The source's values are
brought to the text that the column's real type gives them (test/history/compare.py)."""

import collections
import os
import sys
import urllib.parse
import urllib.request

import chresync
import oracle
import world as worlds

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "history"))
import compare  # noqa: E402


def ask(url, query, database="default"):
    """Rows as lists of unescaped cells; None is NULL."""
    where = f"{url}/?wait_end_of_query=1&database={urllib.parse.quote(database)}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(where, query.encode()), timeout=60) as answer:
            text = answer.read().decode("utf-8", "surrogateescape")
    except urllib.error.HTTPError as error:
        raise worlds.BadWorld(f"{query}: {error.read().decode()[:300]}") from None
    return [[None if c == "\\N" else compare.unescape(c) for c in line.split("\t")]
            for line in text.split("\n")[:-1]]


def inner(kind):
    return kind[len("Nullable("):-1] if kind.startswith("Nullable(") else kind


def expected_cell(cell, pg_type, kind):
    """Of the source's COPY cell, what ClickHouse must show; Unfit where it cannot hold it."""
    kind = inner(kind)
    if cell == compare.NULL:
        return None
    if "String" in kind:
        return compare.expected_of(cell, pg_type, kind)
    text = compare.unescape(cell)
    try:
        if kind.startswith("DateTime(") and len(text) == 10:
            text += " 00:00:00"
        if kind.startswith("DateTime("):
            return text.removesuffix("+00")
        if kind == "Date":
            return text.removesuffix(" 00:00:00")
        if kind.startswith("Array"):
            return "[" + text[1:-1] + "]"
        if kind[:3] in ("Int", "UIn"):
            number = compare.decimal.Decimal({"t": "1", "f": "0"}.get(text, text))
            return str(number.quantize(1) if number == number.to_integral_value() else number)
        if kind == "UUID":
            return text.lower()
        return compare.canonical(text, pg_type, kind)
    except (ValueError, ArithmeticError) as error:
        return oracle.Unfit(str(error))


def found_cell(cell, kind, pg_type):
    kind = inner(kind)
    if cell is None:
        return None
    if kind.startswith("FixedString"):
        while cell.endswith("00"):
            cell = cell[:-2]
        return cell
    if cell == "0000-00-00 00:00:00":  # how 18.16 writes second 0
        return "1970-01-01 00:00:00"
    if "String" in kind or kind[:3] in ("Int", "UIn") or kind.startswith(("Array", "UUID", "DateTime(")):
        return cell
    return compare.canonical(cell, pg_type, kind)


class ChRun(worlds.Run):
    def __init__(self, bench, world, number, say=lambda text: None):
        super().__init__(bench, world, number, say)
        self.url = bench.clickhouse(world["sink"])
        self.pipeline.sink, self.pipeline.http = "ch", bench.http()

    def set_up(self):
        w = self.world
        self.make_database("source", w["units"])
        self.ddl("source", [w["publication"]], "postgres")
        if not w.get("copy"):
            self.make_slot("run")
        ask(self.url, f"CREATE DATABASE {self.id}")
        for statement in [s for u in w["units"] for s in u["ch"]]:
            ask(self.url, statement, self.id)
        self.remember()
        self.write_config()
        self.keep_slot()

    def sink_lines(self, *_):
        url = self.bench.link(self.world["sink"]) if self.world.get("linked") else self.url
        return ["type = ch", f"url = {url}", f"database = {self.id}", "create_tables = yes"]

    def notes(self):
        if ask(self.url, "EXISTS TABLE walpipe_tables", self.id) == [["0"]]:
            return []
        return ask(self.url, "SELECT relid, state, done, rows FROM walpipe_tables FINAL WHERE relid <> 0 AND "
                   "state <> 'gone'", self.id)

    def tables(self):
        return chresync.tables(self)

    def damage(self, step, table):
        return chresync.locked(self, step, table)

    def do_link(self, step):
        """Answers of ClickHouse come late from now on, or not at all (proxy.py)."""
        self.bench.tell(self.world["sink"], *step["command"])

    def do_hold(self, _):
        """ClickHouse locks no rows."""

    do_release = do_restart = do_hold

    # ---- the oracle ----

    def found(self, check, types, columns):
        """The rows that FINAL shows."""
        cells = ", ".join(f"hex({compare.ch_name(n)})" if "String" in types[n] else f"toString({compare.ch_name(n)})"
                          for n in columns)
        # hex of a NULL is NULL; a table without a version is append-only
        current = " FINAL WHERE _is_deleted = 0" if "_is_deleted" in types else ""
        return ask(self.url, f"SELECT {cells} FROM {compare.ch_name(check['target'])}{current}", self.id)

    def types(self, check):
        rows = ask(self.url, "SELECT name, type FROM system.columns WHERE database = "
                   f"'{self.id}' AND table = {compare.ch_literal(check['target'])}")
        return dict(rows)

    def lines(self, check, rows, types, columns):
        pg = oracle.source_types(self.cursor("source"), check)
        return [tuple(expected_cell(cell, p, types[n]) for cell, p, n in zip(row.split("\t"), pg, columns))
                for row in rows]

    def judge(self, check, rows):
        """(expected, found), both as tuples; None where there is no such table."""
        columns = [c.strip('"') for c in check["columns"]]
        types = self.types(check)
        if not types:
            return None
        if any(c not in types for c in columns):
            return [("columns", *sorted(columns))], [("columns", *sorted(types))]
        pg = oracle.source_types(self.cursor("source"), check)
        found = [tuple(found_cell(cell, types[n], p) for cell, p, n in zip(row, pg, columns))
                 for row in self.found(check, types, columns)]
        expected = self.lines(check, rows, types, columns)
        # zero bytes at the end are how a FixedString is filled up
        fixed = [n for n, c in enumerate(columns) if "FixedString" in types[c]]
        expected = [tuple(stripped(c) if n in fixed else c for n, c in enumerate(row)) for row in expected]
        return expected, found

    def compared(self):
        wrong = []
        for check in self.checks("rows"):
            rows = oracle.source_rows(self.cursor("source"), check)
            sides = self.judge(check, rows)
            if sides is None:
                wrong += [f"{check['target']}: no table for {len(rows)} rows"] if rows else []
                continue
            expected, found = ([str(row) for row in side] for side in sides)
            wrong += [f"{check['target']}: {text}" for text in oracle.differences(expected, found)]
        if wrong:
            return self.fault("differ", wrong, control="impossible")
        return {"end": "equal", "kind": "", "text": []}

    def wrong_statics(self):
        return []

    def wrong_partly(self):
        """Each row that never changed since the confirmed LSN must be there."""
        if self.damaged or self.world.get("leaves"):  # it may not have been mended yet
            return []
        lsn, out = self.confirmed(f"{self.id}_run"), []
        known = self.value("SELECT array[" + ", ".join(f"pg_lsn '{s[0]}' <= '{lsn}'" for s in self.states) + "]")
        first = max([n for n, older in enumerate(known) if older], default=0)
        copied = {chresync.target_of(t) for t in self.tables() if set(t[3]) == {"streaming"}}
        for number, check in enumerate(self.checks("rows")):
            states = [rows[number] for _, rows in self.states[first:]]
            if any(s is None for s in states) or self.world.get("copy") and check["target"] not in copied:
                continue
            stable = set(states[0]).intersection(*map(set, states[1:]))
            sides = self.judge(check, sorted(stable))
            if sides is None:
                out += [f"{check['target']}: confirmed, but there is no table"] if stable else []
                continue
            expected, found = collections.Counter(map(str, sides[0])), collections.Counter(map(str, sides[1]))
            out += [f"{check['target']}: confirmed, but missing: {row[:160]}" for row in list(expected - found)[:4]]
        return out

    def control(self):
        return {"end": "impossible", "text": []}

    def clean(self):
        super().clean()
        if self.world.get("linked"):
            self.bench.tell(self.world["sink"], "pass")
        ask(self.url, f"DROP DATABASE IF EXISTS {self.id}")


def stripped(cell):
    while isinstance(cell, str) and cell.endswith("00") and len(cell) % 2 == 0:
        cell = cell[:-2]
    return cell
