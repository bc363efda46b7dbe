"""resync.py: walpipe resync in a world. A table of the target is damaged and copied again, whatever the
world is; or the command refuses it, and nothing has changed.

The damage comes behind the note of the resync and before its end, since no promise says what changes do
to damaged rows of a table that streams: a session of the target locks the table, asks, looks for the
note, damages, and commits. chresync.py does the same to a ClickHouse."""

import random
import re
import subprocess
import time

import psycopg2

ASKED = 12  # seconds; who waits for the lock, or for a row that a step holds, keeps the answer back
READY = 10  # seconds until the table is copied; else it is asked for without that
COPIED = 90  # seconds of --wait

TABLES = ("SELECT name, target, schema, array_agg(state) FROM walpipe.tables WHERE relid <> 0 "
          "GROUP BY 1, 2, 3 ORDER BY 1, 2, 3")
# What may be changed freely in a target: columns that are in no index and no constraint, and are no
# generated ones.
FREE = """SELECT quote_ident(attname) FROM pg_attribute a WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
    AND attgenerated = '' AND attidentity = '' AND NOT attnotnull
    AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = attrelid AND (attnum = ANY (indkey) OR indexprs IS NOT NULL))
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = attrelid AND attnum = ANY (conkey))"""
OWN = "SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT " \
    "attisdropped AND attgenerated = ''"


class Wrong(Exception):
    """The command broke a promise."""


def tables(run):
    """[(name, target, schema, states)] of the notes in a PostgreSQL."""
    if not run.ask("target", "SELECT to_regclass('walpipe.tables') IS NOT NULL"):
        return []
    return run.sql("target", TABLES)


def chosen(run, number):
    found = run.tables()
    return found[number % len(found)][:3] if found else None


def states(run, table):
    return {s.removeprefix("out-") for t in run.tables() if t[:3] == table for s in t[3]}


def await_copied(run):
    """Until all tables stream, or for some seconds: some never do, while a step holds a row."""
    end = time.monotonic() + READY
    while run.pipeline.process and time.monotonic() < end:
        run.pipeline.look()
        found = run.tables()
        if found and all(state.endswith("streaming") for t in found for state in t[3]):
            return
        time.sleep(0.05)


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def start(run, table, wait):
    name = quoted(table[2]) + "." + quoted(table[0])
    return subprocess.Popen(run.pipeline.command("resync", "--table", name, *["--wait"] * wait),
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env=run.bench.servers.env)


def tried(cursor, statement):
    """Whether the target takes it."""
    cursor.execute("SAVEPOINT damage")
    try:
        cursor.execute(statement)
    except psycopg2.Error:
        cursor.execute("ROLLBACK TO damage")
        return False
    cursor.execute("RELEASE damage")
    return True


def damage(cursor, target, r):
    """Rows that are added, changed and removed; none of it can clash with what the source sends."""
    cursor.execute("SET LOCAL session_replication_role = replica")
    cursor.execute(OWN, [target])
    columns = [c for c, in cursor.fetchall()]
    if "id" in columns:
        values = ", ".join("id + 1000000" if c == "id" else c for c in columns)
        tried(cursor, f"INSERT INTO {target} ({', '.join(columns)}) OVERRIDING SYSTEM VALUE "
              f"SELECT {values} FROM {target} LIMIT {r.choice([1, 40])}")

    def some(number):
        return f"(tableoid, ctid::text) IN (SELECT tableoid, ctid::text FROM {target} ORDER BY random() LIMIT {number})"

    cursor.execute(FREE, [target])
    for column, in cursor.fetchall():
        if r.random() < 0.5:
            tried(cursor, f"UPDATE {target} SET {column} = NULL WHERE " + some(r.choice([1, 5, 100])))
        elif r.random() < 0.5:
            tried(cursor, f"UPDATE {target} SET {column} = (SELECT {column} FROM {target} LIMIT 1) WHERE " +
                  some(r.choice([1, 5])))
    tried(cursor, f"DELETE FROM {target} WHERE " + some(r.choice([0, 1, 5, 100, 10 ** 6])))


def locked(run, step, table):
    """Returns (the process, whether it is noted)."""
    target = table[1] or quoted(table[2]) + "." + quoted(table[0])
    connection = run.bench.connect(run.target, f"{run.id}_target")
    connection.autocommit = False
    process = None
    try:
        cursor = connection.cursor()
        cursor.execute("SET LOCAL lock_timeout = '5s'")
        view = not tried(cursor, f"LOCK TABLE {target} IN ROW EXCLUSIVE MODE")
        process = start(run, table, step.get("wait", False))
        noted = see_note(run, process, table, step)
        if noted and not view:
            damage(cursor, target, random.Random(step["number"]))
            run.damaged = True
        connection.commit()
    except psycopg2.OperationalError:
        process.kill()
        process.wait()
        return None, False
    finally:
        connection.close()
    return process, noted


def see_note(run, process, table, step):
    end, code = time.monotonic() + ASKED, None
    while code is None and time.monotonic() < end:
        code = process.poll()
        if step.get("wait") and states(run, table) == {"resync"}:
            return True
        time.sleep(0.03)
    found = states(run, table)
    if code == 0 and found != {"resync"} and not step.get("wait"):
        raise Wrong(f"resync of {table[0]} was accepted, but the notes say {found}")
    return found == {"resync"}


def do(run, step):
    if step["number"] % 5:
        await_copied(run)
    table = chosen(run, step["number"])
    if table is None:
        return
    process, noted = run.damage(step, table)
    if process is None:
        return
    try:
        text = process.communicate(timeout=COPIED if noted and step.get("wait") else 0.1)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        text = process.communicate()[0]
        if noted and step.get("wait") and run.pipeline.process and not run.holder:
            raise Wrong(f"--wait of {table[0]} does not end; the notes say {states(run, table)}") from None
    run.say(f"  -- {table[0]}: {process.returncode}, {'noted' if noted else 'not noted'}: {text}")
    run.counts["resyncs"] = run.counts.get("resyncs", 0) + noted
    if process.returncode not in (0, 100, 111, -9):
        raise Wrong(f"walpipe resync ended with {process.returncode}: {text}")
    if process.returncode == 100:
        run.refusals.append(last_message(text))


def last_message(text):
    found = re.findall(r'"message":"((?:[^"\\]|\\.)*)"', text)
    return found[0] if found else text


def leftovers(run):
    if not run.ask("target", "SELECT to_regnamespace('walpipe') IS NOT NULL"):
        return []
    return [f"{name}: a staging table is left" for name, in run.sql(
        "target", "SELECT relname FROM pg_class WHERE relnamespace = 'walpipe'::regnamespace AND relkind = 'r' "
        "AND relname ~ '^resync_'")]
