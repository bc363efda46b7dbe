"""chresync.py: what resync.py does in a ClickHouse. It locks no rows there, so the source's table is locked:
changes still come, and no range is read until the damage is done.

Copied rows win by their versions. So rows are changed where they are, with the versions that they have, and
rows that only the target has get a low one: sink-ch(1) says that no others are found. A key that was deleted
loses its tombstone, and what is below may come back."""

import random
import re
import time

import clickhouse
import resync

MUTATED = 30  # seconds
NUMBERS = ("Int", "UInt", "Float", "Decimal")
COLUMNS = """SELECT name, type, is_in_sorting_key OR is_in_partition_key, default_kind IN ('MATERIALIZED', 'ALIAS')
    FROM system.columns WHERE database = '{}' AND table = {}"""


def ask(run, query):
    """Says what changes something."""
    if query.startswith(("ALTER", "INSERT")):
        run.say(f"  -- damage: {query}")
    return clickhouse.ask(run.url, query, run.id)


def tables(run):
    """[(name, target, schema, states)] of the notes."""
    if ask(run, "EXISTS TABLE walpipe_tables") == [["0"]]:
        return []
    found = {}
    for name, target, schema, state in ask(run, "SELECT name, target, schema, state FROM walpipe_tables FINAL WHERE "
                                           "relid <> 0 AND state <> 'gone' ORDER BY name, target, schema"):
        found.setdefault((name, target, schema), []).append(state)
    return [(*table, states) for table, states in found.items()]


def target_of(table):
    """The note holds `database`.`table`, with backslashes."""
    return re.sub(r"\\(.)", r"\1", table[1].partition(".")[2][1:-1])


def mutate(run, name, change):
    ask(run, f"ALTER TABLE {clickhouse.compare.ch_name(name)} {change}")
    end = time.monotonic() + MUTATED
    while ask(run, f"SELECT count() FROM system.mutations WHERE database = '{run.id}' AND table = "
              f"{clickhouse.compare.ch_literal(name)} AND NOT is_done") != [["0"]]:
        if time.monotonic() > end:
            raise clickhouse.worlds.BadWorld(f"a mutation of {name} does not end: {change}")
        time.sleep(0.05)


def other(kind):
    """A value of the type that a row seldom has; None where there is none."""
    if kind.startswith("Nullable("):
        return "NULL"
    if kind == "String":
        return "'damaged'"
    return f"CAST(7 AS {kind})" if kind.startswith(NUMBERS) else None


def far_key(name, kind):
    """A key that the source never has."""
    name = clickhouse.compare.ch_name(name)
    if kind == "String":
        return f"concat({name}, ' surplus')"
    return f"CAST({name} + 10000 AS {kind})" if kind in ("Int32", "Int64", "UInt32", "UInt64") else None


def add(run, name, columns, r):
    """Rows under other keys, and as old as can be."""
    far = [(c, far_key(c, kind)) for c, kind, key, _ in columns if key == "1" and far_key(c, kind)]
    if not far:
        return
    new = {"_version": "1", "_is_deleted": "0", far[0][0]: far[0][1]}
    stored = [c for c, _, _, computed in columns if computed == "0"]
    names = ", ".join(clickhouse.compare.ch_name(c) for c in stored)
    cells = ", ".join(new.get(c, clickhouse.compare.ch_name(c)) for c in stored)
    name = clickhouse.compare.ch_name(name)
    ask(run, f"INSERT INTO {name} ({names}) SELECT {cells} FROM {name} FINAL WHERE _is_deleted = 0 "
        f"LIMIT {r.choice([1, 40])}")


def damage(run, name, r):
    """True where something was done."""
    columns = ask(run, COLUMNS.format(run.id, clickhouse.compare.ch_literal(name)))
    if not {"_version", "_is_deleted"} <= {c for c, *_ in columns}:
        return False
    keys = ", ".join(clickhouse.compare.ch_name(c) for c, _, key, _ in columns if key == "1")

    def some():
        return f"cityHash64(toString(tuple({keys})), {r.randrange(1000)}) % {r.choice([1, 3, 10])} = 0"

    if r.random() < 0.7:
        add(run, name, columns, r)
    for column, kind, key, computed in columns:
        if key == "0" and computed == "0" and column not in ("_version", "_is_deleted") and other(kind) and \
                r.random() < 0.4:
            mutate(run, name, f"UPDATE {clickhouse.compare.ch_name(column)} = {other(kind)} WHERE {some()}")
    if r.random() < 0.4:
        mutate(run, name, "DELETE WHERE _is_deleted = 1")
    if r.random() < 0.6:
        mutate(run, name, f"DELETE WHERE {some()}")
    return True


def locked(run, step, table):
    """Returns (the process, whether it is noted)."""
    connection = run.bench.connect(run.source, f"{run.id}_source")
    connection.autocommit = False
    try:
        cursor = connection.cursor()
        cursor.execute("SET LOCAL lock_timeout = '5s'")
        held = resync.tried(cursor, f"LOCK TABLE {resync.quoted(table[2])}.{resync.quoted(table[0])}")
        # what an earlier resync has copied may not be damaged
        held = held and resync.states(run, table) == {"streaming"}
        process = resync.start(run, table, step.get("wait", False))
        noted = resync.see_note(run, process, table, step)
        if noted and held:
            run.damaged = damage(run, target_of(table), random.Random(step["number"])) or run.damaged
        connection.commit()
    finally:
        connection.close()
    return process, noted
