"""What the tests of copied-keyless.bats share: load on tables without a key, and comparisons."""

import contextlib
import os
import random
import sys
import threading
import time

import psycopg2

from copied_worker import Pipeline


def ask(where, text, *values):
    c = psycopg2.connect(os.environ[where])
    c.autocommit = True
    with c.cursor() as cursor:
        cursor.execute(text, values or None)
        result = cursor.fetchall() if cursor.description else None
    c.close()
    return result


def source(text, *values):
    return ask("CONNINFO", text, *values)


def target(text, *values):
    return ask("TARGET", text, *values)


class Load(threading.Thread):
    """Transactions on history, which only grows, and pile, where rows are equal to others."""

    def __init__(self, seed, truncate=0.0):
        super().__init__(daemon=True)
        self.dice, self.truncate, self.stop, self.count, self.error = random.Random(seed), truncate, False, 0, None

    def statement(self):
        d = self.dice
        if d.random() < self.truncate:
            return "truncate " + d.choice(("history", "pile", "history, pile"))
        kind, n = d.random(), d.randrange(500)
        if kind < 0.5:
            return "insert into history select %d, n, now(), 'new' from generate_series(1, %d) n" % (n, d.randrange(1, 5))
        if kind < 0.7:
            return "insert into pile values (%d, 'new'), (%d, 'new')" % (n, n)
        where = "ctid in (select ctid from pile where a = %d limit %d for update skip locked)" % (n, d.randrange(1, 4))
        if kind < 0.85:
            return "update pile set v = 'c%d' where %s" % (d.randrange(100), where)
        return "delete from pile where " + where

    def run(self):
        c = psycopg2.connect(os.environ["CONNINFO"])
        try:
            while not self.stop:
                with c, c.cursor() as cursor:
                    try:
                        for _ in range(self.dice.randrange(1, 4)):
                            cursor.execute(self.statement())
                        if self.dice.random() < 0.1:
                            c.rollback()
                    except psycopg2.errors.DeadlockDetected:
                        c.rollback()
                self.count += 1
                time.sleep(self.dice.random() / 50)  # a change of pile reads all of it in the target
        except Exception as error:  # end() shows it
            self.error = error
        c.close()


def end(loads):
    for load in loads:
        load.stop = True
    for load in loads:
        load.join(30)
        assert load.error is None, load.error


class Programs(Pipeline):
    def text(self, name):
        with open(self.log(name)) as log:
            return log.read()


@contextlib.contextmanager
def pipeline(folder, workers, rate="0", route=(), sink=(), reader=()):
    """The programs of the pipeline in this folder of the run; their logs are shown when it fails."""
    path = os.path.join(sys.argv[1], folder)
    os.makedirs(path, exist_ok=True)
    p = Programs(path, os.environ["CONNINFO"], workers, route, ["--rate", rate, *reader], os.environ["TARGET"], sink)
    try:
        yield p
    except BaseException:
        p.logs()
        raise
    finally:
        p.end()


def kill(p, name):
    """It dies with all others, each with 111."""
    p.programs[name].kill()
    for other, program in p.programs.items():
        code = program.wait(30)
        assert code == (-9 if other == name else 111), "%s: %s, %s was killed" % (other, code, name)


def drain(p):
    p.programs["pg-wal-read"].terminate()
    for name, program in p.programs.items():
        assert program.wait(30) == 0, "%s: %s" % (name, program.returncode)


def confirmed():
    lsn, = source("select pg_current_wal_lsn()")[0]
    return lambda: source("select confirmed_flush_lsn >= %s from pg_replication_slots", lsn)[0][0]


def streaming(*tables):
    if target("select to_regclass('walpipe.tables')") == [(None,)]:
        return False
    rows = target("select name, bool_and(state = 'streaming') from walpipe.tables where name = any(%s) group by 1",
                  list(tables))
    return len(rows) == len(tables) and all(done for _, done in rows)


def same(*tables):
    """Equal rows, equally often."""
    for table in tables:
        text = "select t::text, count(*) from %s t group by 1" % table
        got, expected = dict(target(text)), dict(source(text))
        wrong = {k: (got.get(k, 0), expected.get(k, 0)) for k in got.keys() | expected.keys()
                 if got.get(k) != expected.get(k)}
        assert not wrong, "%s: %d rows, not %d; row: (there, expected): %r" % (
            table, sum(got.values()), sum(expected.values()), dict(list(wrong.items())[:8]))


def start_again(*tables):
    """Another pipeline copies them anew."""
    source("select pg_drop_replication_slot('s')")
    target("drop schema walpipe cascade")
    target("truncate " + ", ".join(tables))
