"""dml.py: random statements for one table. Knows no pipeline.

Keys and columns are pairs (name, function that makes an SQL expression)."""


def integer(low, high, null=0.1):
    return lambda r: "NULL" if r.random() < null else str(r.randint(low, high))


def text(*choices):
    return lambda r: r.choice(choices)


WORDS = text("'a'", "'b'", "'c d'", "''", "NULL", "'x\\y'", "'ü'")


def wide(r):
    """TOASTed where the column's storage is external."""
    return r.choice(["NULL", "'short'", f"repeat('{r.randint(0, 9)}', {r.randint(2200, 2300)})",
                     f"repeat('{r.choice('abc')}', {r.randint(4000, 4100)})"])


class Dml:
    """spread: the key of bulk rows, of {g}."""

    def __init__(self, table, keys, columns, **more):
        self.table, self.keys, self.columns = table, keys, columns
        self.spread = more.pop("spread", "{g}")
        self.key_updates = more.pop("key_updates", True)
        self.inserts_only = more.pop("inserts_only", False)
        self.arbiter = more.pop("arbiter", True)  # ON CONFLICT is possible
        self.bulks = more.pop("bulks", True)
        self.most = more.pop("most", 300)  # rows of a bulk
        self.bulk_share = more.pop("bulk_share", 0.15)  # of the transactions
        self.only = more.pop("only", "")
        self.fresh = more.pop("fresh", None)  # the key of a new row, where none may come again
        self.overriding = more.pop("overriding", "")
        assert not more, more

    def names(self, given):
        return ", ".join(name for name, _ in given)

    def values(self, r, given):
        return ", ".join(make(r) for _, make in given)

    def new_keys(self):
        return [(self.keys[0][0], lambda r: self.fresh)] + self.keys[1:] if self.fresh else self.keys

    def insert(self, r):
        every = self.new_keys() + self.columns
        count = 1 if r.random() < 0.7 else r.randint(2, 4)
        rows = ", ".join(f"({self.values(r, every)})" for _ in range(count))
        conflict = " ON CONFLICT DO NOTHING" if self.arbiter and r.random() < 0.8 else ""
        return f"INSERT INTO {self.table} ({self.names(every)}) {self.overriding} VALUES {rows}{conflict}"

    def where(self, r):
        tests = [f"{name} = {make(r)}" for name, make in self.keys]
        if r.random() < 0.15 and len(tests) == 1:
            name, make = self.keys[0]
            return f"{name} IN ({', '.join(make(r) for _ in range(5))})"
        if not tests:
            return f"ctid = ANY (ARRAY(SELECT ctid FROM {self.table} OFFSET {r.randint(0, 4)} LIMIT 1))"
        return " AND ".join(tests)

    def update(self, r):
        if not self.columns:
            return self.insert(r)
        chosen = r.sample(self.columns, r.randint(1, min(3, len(self.columns))))
        sets = ", ".join(f"{name} = {make(r)}" for name, make in chosen)
        return f"UPDATE {self.only}{self.table} SET {sets} WHERE {self.where(r)}"

    def update_key(self, r):
        if not self.keys or not self.key_updates:
            return self.update(r)
        name, make = r.choice(self.keys)
        sets = f"{name} = {make(r)}"
        if self.columns and r.random() < 0.3:
            other, value = r.choice(self.columns)
            sets += f", {other} = {value(r)}"
        return f"UPDATE {self.only}{self.table} SET {sets} WHERE {self.where(r)}"

    def delete(self, r):
        return f"DELETE FROM {self.only}{self.table} WHERE {self.where(r)}"

    def one(self, r):
        if self.inserts_only:
            return self.insert(r)
        what = r.random()
        for limit, act in ((0.4, self.insert), (0.68, self.update), (0.8, self.update_key)):
            if what < limit:
                return act(r)
        return self.delete(r)

    def case(self, r, make):
        """A value that depends on g."""
        return f"CASE g % 3 WHEN 0 THEN {make(r)} WHEN 1 THEN {make(r)} ELSE {make(r)} END"

    def bulk(self, r):
        """Many rows at a time, often changed again in the same transaction."""
        first = r.randint(1, 200)
        last = first + r.choice([60, 60, 150, self.most])
        spread = self.fresh or self.spread.format(g="g")
        keys = [spread] + [self.case(r, make) for _, make in self.keys[1:]] if self.keys else []
        cells = ", ".join(keys + [self.case(r, make) for _, make in self.columns])
        conflict = " ON CONFLICT DO NOTHING" if self.arbiter else ""
        out = [f"INSERT INTO {self.table} ({self.names(self.keys + self.columns)}) {self.overriding} "
               f"SELECT {cells} FROM generate_series({first}, {last}) AS g{conflict}"]
        if self.inserts_only or not self.columns:
            return out
        name, make = r.choice(self.columns)
        more = [f"UPDATE {self.only}{self.table} SET {name} = {make(r)}",
                f"DELETE FROM {self.only}{self.table} WHERE ctid IN (SELECT ctid FROM {self.only}{self.table} "
                f"OFFSET {r.randint(0, 20)} LIMIT {r.choice([3, 40, 70])})"]
        return out + r.sample(more, r.randint(0, 2))

    def transaction(self, r):
        if self.bulks and r.random() < self.bulk_share:
            return self.bulk(r)
        return [self.one(r) for _ in range(r.choice([1, 1, 1, 2, 3, 6]))]
