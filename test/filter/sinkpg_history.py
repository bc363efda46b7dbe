#!/usr/bin/python3
"""sinkpg_history.py: a random history of changes as an event stream, and the rows it ends in.

    sinkpg_history.py SEED TRANSACTIONS CHANGES OUT_STREAM OUT_EXPECTED

CHANGES: at most so many changes a transaction. The tables are those of sinkpg_tables.sql below
(printed by: sinkpg_history.py ddl). The history is one that a source could have had: keys and
unique values are free when they are taken. OUT_EXPECTED holds one line a row, "table|...", as the
test's query prints the target."""

import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from stream import *  # noqa: E402,F403

DDL = """
CREATE TABLE plain (id int PRIMARY KEY, v text, big text, n numeric);
CREATE TABLE "Odd ""name" ("a b" int, "C" text, "select" text, x int[], PRIMARY KEY ("C", "a b"));
CREATE TABLE uniq (id int PRIMARY KEY, u int UNIQUE, v text);
CREATE TABLE keyless (a int, b text, j json);
CREATE TABLE fullkey (id int PRIMARY KEY, v text, w text);
CREATE TABLE deco (k numeric PRIMARY KEY, v text, mine text DEFAULT 'default',
                   twice text GENERATED ALWAYS AS (v || v) STORED);
CREATE TABLE ident (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text, big text);
"""

COLUMNS = {
    1: ("plain", [col("id", True, INT4), col("v"), col("big"), col("n", oid=NUMERIC)], "d", [0]),
    2: ('Odd "name', [col("select"), col("a b", True, INT4), col("x", oid=1007), col("C", True)],
        "d", [1, 3]),
    3: ("uniq", [col("id", True, INT4), col("u", oid=INT4), col("v")], "d", [0]),
    4: ("keyless", [col("a", True, INT4), col("b", True), col("j", True, oid=114)], "f", None),
    5: ("fullkey", [col("w", True), col("id", True, INT4), col("v", True)], "f", [1]),
    6: ("deco", [col("k", True, NUMERIC), col("v")], "d", [0]),
    7: ("ident", [col("id", True, INT4), col("v"), col("big")], "d", [0]),
}

TEXTS = ["", "a", "tab\there", "back\\slash", "\\N", "\\.", "new\nline\r", "quote'\"", "ünï", "x" * 300,
         "{}", "NULL", None]
JSON = ['{"a": 1, "a": 2}', "null", "[1,\n 2]", None]
ARRAYS = ["{1,2}", "{{1,2},{3,4}}", "{NULL}", "{}", None]
NUMBERS = ["1.0", "1.00", "NaN", "12345678901234567890.5", None]


class History:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.e = Events(sink="dst", shards=1)
        self.rows = {relid: [] for relid in COLUMNS}
        self.uniques = set()
        for relid, (name, columns, identity, _) in COLUMNS.items():
            self.e.table(relid, "public", name, columns, identity)

    def new_key(self, relid):
        keys = {self.key(relid, row) for row in self.rows[relid]}
        for _ in range(100):
            n = self.r.randint(1, 60)
            key = {2: (str(n % 9), str(n)), 6: (str(n) + self.r.choice(["", ".0", ".00"]),)}.get(
                relid, (str(n),))
            if relid == 6:
                taken = {k[0].split(".")[0] for k in keys}
                if key[0].split(".")[0] in taken:
                    continue
            if key not in keys:
                return key
        return None

    def key(self, relid, row):
        places = COLUMNS[relid][3]
        return None if places is None else tuple(row[p] for p in places)

    def new_row(self, relid, key):
        r = self.r
        if relid == 1:
            return [key[0], r.choice(TEXTS), r.choice(TEXTS), r.choice(NUMBERS)]
        if relid == 2:
            return [r.choice(TEXTS), key[0], r.choice(ARRAYS), key[1]]
        if relid == 3:
            return [key[0], self.new_unique(), r.choice(TEXTS)]
        if relid == 4:
            return [str(r.randint(1, 3)), r.choice(TEXTS[:3]), r.choice(JSON)]
        if relid == 5:
            return [r.choice(TEXTS), key[0], r.choice(TEXTS)]
        if relid == 6:
            return [key[0], r.choice(TEXTS)]
        return [key[0], r.choice(TEXTS), r.choice(TEXTS)]

    def new_unique(self):
        taken = {row[1] for row in self.rows[3]}
        free = [str(n) for n in range(100) if str(n) not in taken]
        return self.r.choice(free)

    def toastable(self, relid):
        return {1: [2], 7: [2]}.get(relid, [])

    def insert(self, relid):
        key = self.new_key(relid) if COLUMNS[relid][3] is not None else None
        if key is None and relid != 4:
            return
        row = self.new_row(relid, key)
        self.rows[relid].append(row)
        self.e.insert(relid, row)

    def old_key(self, relid, row):
        return [v if COLUMNS[relid][1][n][1] else None for n, v in enumerate(row)]

    def update(self, relid):
        if not self.rows[relid]:
            return
        row = self.r.choice(self.rows[relid])
        at = next(n for n, other in enumerate(self.rows[relid]) if other is row)
        key = self.key(relid, row)
        changes_key = key is not None and self.r.random() < 0.2
        if changes_key:
            key = self.new_key(relid) or key
        new = self.new_row(relid, key)
        if relid == 3 and self.r.random() < 0.5:
            new[1] = row[1]
        sent = list(new)
        if COLUMNS[relid][2] != "f":
            for n in self.toastable(relid):
                if self.r.random() < 0.5:
                    new[n], sent[n] = row[n], UNCHANGED
        self.rows[relid][at] = new
        if COLUMNS[relid][2] == "f":
            self.e.update(relid, sent, old=row)
        elif key != self.key(relid, row):
            self.e.update(relid, sent, key=self.old_key(relid, row))
        else:
            self.e.update(relid, sent)

    def swap_unique(self):
        """Release and reuse: a -> parked, b -> a's, a -> b's."""
        if len(self.rows[3]) < 2:
            return
        a, b = self.r.sample(self.rows[3], 2)
        ua, ub = a[1], b[1]
        for row, value in ((a, self.new_unique()), (b, ua), (a, ub)):
            row[1] = value
            self.e.update(3, list(row))

    def delete(self, relid):
        if not self.rows[relid]:
            return
        row = self.rows[relid].pop(self.r.randrange(len(self.rows[relid])))
        if COLUMNS[relid][2] == "f":
            self.e.delete(relid, old=row)
        else:
            self.e.delete(relid, key=self.old_key(relid, row))

    def reinsert(self, relid):
        """Delete and insert of one key."""
        if not self.rows[relid] or relid == 4:
            return
        row = self.r.choice(self.rows[relid])
        key = self.key(relid, row)
        self.rows[relid] = [other for other in self.rows[relid] if other is not row]
        self.e.delete(relid, **({"old": row} if COLUMNS[relid][2] == "f"
                                else {"key": self.old_key(relid, row)}))
        new = self.new_row(relid, key)
        self.rows[relid].append(new)
        self.e.insert(relid, new)

    def truncate(self):
        relids = self.r.sample(list(COLUMNS), self.r.randint(1, 3))
        for relid in relids:
            self.rows[relid] = []
        self.e.truncate(relids, self.r.choice([0, 2]))

    def change(self):
        relid = self.r.choice(list(COLUMNS))
        what = self.r.random()
        if what < 0.002:
            self.truncate()
        elif what < 0.35:
            self.insert(relid)
        elif what < 0.75:
            self.update(relid)
        elif what < 0.80:
            self.swap_unique()
        elif what < 0.85:
            self.reinsert(relid)
        else:
            self.delete(relid)

    def transactions(self, count, changes):
        for _ in range(count):
            self.e.begin()
            for _ in range(self.r.randint(0, changes)):
                self.change()
            self.e.commit()
            if self.r.random() < 0.1:
                self.e.watermark()
        self.e.end()

    def expected(self):
        lines = []
        for relid, (name, columns, _, _) in COLUMNS.items():
            order = sorted(range(len(columns)), key=lambda n: columns[n][0].encode())
            for row in self.rows[relid]:
                cells = ["\\N" if row[n] is None else row[n].encode().hex() for n in order]
                lines.append("|".join([name] + cells))
        return sorted(lines)


def query():
    """SQL that prints the target as expected() does: each value's text in hex."""
    parts = []
    for name, columns, _, _ in COLUMNS.values():
        cells = [f"coalesce(encode(convert_to({quote(c[0])}::text, 'UTF8'), 'hex'), '\\N')"
                 for c in sorted(columns, key=lambda c: c[0].encode())]
        parts.append(f"SELECT concat_ws('|', '{name}', {', '.join(cells)}) AS line "
                     f"FROM {quote(name)}")
    return "SELECT line FROM (" + " UNION ALL ".join(parts) + ") AS all_rows"


def quote(name):
    return '"' + name.replace('"', '""') + '"'


def main():
    if sys.argv[1] == "ddl":
        print(DDL)
        return
    if sys.argv[1] == "query":
        print(query())
        return
    history = History(int(sys.argv[1]))
    history.transactions(int(sys.argv[2]), int(sys.argv[3]))
    with open(sys.argv[4], "wb") as out_stream:
        out_stream.write(history.e.bytes)
    with open(sys.argv[5], "w") as out_expected:
        out_expected.write("".join(line + "\n" for line in history.expected()))


if __name__ == "__main__":
    main()
