#!/usr/bin/python3
"""sinkpg_layouts.py: one history through route and sink-pg under one layout after the other, every
worker killed at random, the last time to its end; then the rows are compared.

    sinkpg_layouts.py --bin DIR --conninfo C --scratch DIR --seed N [--rounds N] [--transactions N]

Layouts differ in the number of workers, the shard key and the tables that go whole. Some workers
are stopped for a while, so that they are at different positions when they are killed. Exit 0 when
the rows are equal; prints the seed and what differs otherwise."""

import argparse
import os
import random
import select
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
from stream import *  # noqa: E402,F403

TABLES = {
    1: ("t1", [col("id", True, INT4), col("c", True), col("v"), col("big")], "d"),
    2: ("t2", [col("id", True, INT4), col("c", True), col("v", True), col("big", True)], "f"),
    3: ("t3", [col("id", True), col("c"), col("v"), col("big")], "d"),
    4: ("t4", [col("id", True, INT4), col("c", True), col("v"), col("big")], "d"),
}
KEYS = {1: 2, 2: 1, 3: 1, 4: 2}
DDL = """
create table t1 (id int, c text, v text, big text, primary key (id, c));
create table t2 (id int primary key, c text, v text, big text);
create table t3 (id text primary key, c text, v text, big text);
create table t4 (id int, c text, v text, big text, primary key (id, c));
"""


class History:
    """A random history, and the rows that it leaves."""

    def __init__(self, r, transactions):
        self.r = r
        self.events = Events()
        self.rows = {t: {} for t in TABLES}
        for t, (name, columns, identity) in TABLES.items():
            self.events.table(t, "public", name, columns, identity)
        for _ in range(transactions):
            self.transaction()
        self.events.end()

    def key(self, t, row):
        return tuple(row[:KEYS[t]])

    def new_key(self, t):
        r = self.r
        for _ in range(50):
            key = (str(r.randint(1, 60)), r.choice("abcde"))[:KEYS[t]]
            if key not in self.rows[t]:
                return key
        return None

    def value(self):
        r = self.r
        return r.choice([None, "v%d" % r.randint(0, 999), "w" * r.randint(0, 30)])

    def change(self, t):
        r, e, rows, full = self.r, self.events, self.rows[t], TABLES[t][2] == "f"
        what = r.random()
        if what < 0.45 or not rows:
            key = self.new_key(t)
            if key is None:
                return
            row = list(key) + [self.value() for _ in range(4 - len(key))]
            if len(key) == 1:
                row[1] = r.choice("abcde")
            rows[key] = row
            e.insert(t, row)
            return
        key = r.choice(list(rows))
        old = rows[key]
        known = old if full else [x if i < KEYS[t] else None for i, x in enumerate(old)]
        kind = {"old": known} if full else {"key": known}
        if what < 0.6:
            del rows[key]
            e.delete(t, **kind)
            return
        new = list(old)
        new[2] = self.value()
        sent = list(new)
        if full and r.random() < 0.3:
            new[1] = sent[1] = r.choice("abcde")
        if not full and old[3] is not None and r.random() < 0.3:
            sent[3] = UNCHANGED
        moved = self.new_key(t) if r.random() < 0.25 else None
        if moved is not None:
            new[:len(moved)] = sent[:len(moved)] = moved
            del rows[key]
        rows[self.key(t, new)] = new
        e.update(t, sent, **(kind if full or moved is not None else {}))

    def transaction(self):
        r, e = self.r, self.events
        e.begin()
        for _ in range(r.choice([0, 1, 1, 2, 5, 12, 40])):
            if r.random() < 0.004:
                tables = r.sample(sorted(TABLES), r.randint(1, 2))
                e.truncate(tables)
                for t in tables:
                    self.rows[t] = {}
            else:
                self.change(r.choice(sorted(TABLES)))
        e.commit()
        if r.random() < 0.1:
            e.watermark()


def random_layout(r):
    shards = r.choice([1, 2, 3, 4])
    whole = []
    for t in TABLES.values():
        if r.random() < 0.4:
            whole.append("public.%s -> public.%s" % (t[0], r.choice(["g1", "g2", t[0]])))
    # column:c is no part of t3's key, and t2's rows could not be split by it
    splits = all(any(t in w for w in whole) for t in ("public.t2 ", "public.t3 "))
    keys = ["key", "table"] + (["column:c"] if splits else [])
    if r.random() < 0.1:
        whole = ["*"]
    return shards, r.choice(keys), whole


class Round:
    def __init__(self, a, r, number, stream, last):
        self.a, self.r = a, r
        self.dir = os.path.join(a.scratch, "round%d" % number)
        os.makedirs(self.dir)
        self.shards, self.key, self.whole = random_layout(r)
        self.last = last
        self.stream = stream
        self.procs = []
        self.registered = False

    def start(self, argv, **how):
        p = subprocess.Popen(argv, **how)
        self.procs.append(p)
        return p

    def log(self, name):
        return open(os.path.join(self.dir, name), "w")

    def run(self):
        a, r, d = self.a, self.r, self.dir
        ack = os.path.join(d, "a.sock")
        self.start(["/usr/bin/python3", os.path.join(HERE, "..", "lib", "fake_ackd.py"), ack],
                   stdout=self.log("acks"))
        while not os.path.exists(ack):
            time.sleep(0.02)
        with open(os.path.join(d, "layout"), "w") as f:
            f.write("# why\n" + "".join(w + "\n" for w in self.whole))
        sinks, to, writers = [], [], []
        for n in range(self.shards):
            reader, writer = os.pipe()
            to += ["--to", "/dev/fd/%d" % writer]
            writers.append(writer)
            sinks.append(self.start(
                [a.bin + "/sink-pg", "--conninfo", a.conninfo, "--pipeline", "p", "--ackd", ack,
                 "--batch-rows", str(r.choice([1, 7, 50, 1000])), "--flush-interval", "20ms"],
                stdin=reader, stderr=self.log("sink%d.log" % n)))
            os.close(reader)
        route = self.start([a.bin + "/route", "--sink", "dst", "--shard-key", self.key, "--layout",
                            os.path.join(d, "layout"), *to], stdin=subprocess.PIPE,
                           pass_fds=writers, stderr=self.log("route.log"))
        for writer in writers:
            os.close(writer)
        codes = self.drive(route, sinks)
        self.end()
        return codes

    def drive(self, route, sinks):
        r, at, data = self.r, 0, self.stream
        stop_at = len(data) if self.last else r.randint(0, len(data))
        stopped = None
        os.set_blocking(route.stdin.fileno(), False)
        try:
            while at < stop_at:
                n = min(r.choice([200, 1000, 4000]), stop_at - at)
                ready = select.select([], [route.stdin], [], 60 if self.last else 0.1)[1]
                if not ready:
                    break  # a stopped worker holds everything up
                at += os.write(route.stdin.fileno(), data[at:at + n])
                if self.last:
                    continue
                self.wait_for_workers()
                time.sleep(r.choice([0, 0.005, 0.02]))
                if stopped is None and r.random() < 0.05:
                    stopped = r.choice(sinks)
                    stopped.send_signal(signal.SIGSTOP)
                if stopped is not None and r.random() < 0.15:
                    break
            if not self.last:
                time.sleep(r.choice([0, 0.01, 0.1]))
                r.shuffle(sinks)
                for s in sinks:
                    s.kill()
                    if r.random() < 0.3:
                        time.sleep(0.02)
                return []
            route.stdin.close()
        except BrokenPipeError:
            pass
        if not self.last:
            return ["a worker ended by itself"]
        return [p.wait(timeout=120) for p in sinks]

    def wait_for_workers(self):
        """Until all have registered: what is killed before has done nothing."""
        end = time.time() + 30
        while not self.registered and time.time() < end:
            with open(os.path.join(self.dir, "acks")) as f:
                self.registered = f.read().count('"register"') == self.shards
            time.sleep(0.01)

    def end(self):
        for p in self.procs:
            p.kill()
            p.wait()
            if p.stdin:
                try:
                    p.stdin.close()
                except BrokenPipeError:
                    pass

    def refused(self):
        """A worker that refused to go on for another reason than being killed."""
        words = ""
        for name in sorted(os.listdir(self.dir)):
            if name.endswith(".log"):
                with open(os.path.join(self.dir, name)) as f:
                    words += "".join(name + ": " + line for line in f if '"error"' in line)
        return words


def sql(a, text):
    return subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", a.conninfo, "-c", text],
                          check=True, stdout=subprocess.PIPE).stdout.decode()


def compare(a, history):
    ok = True
    for t, (name, _, _) in TABLES.items():
        got = sql(a, "copy (select * from %s) to stdout (null '<null>')" % name).splitlines()
        want = ["\t".join("<null>" if v is None else v for v in row)
                for row in history.rows[t].values()]
        for line in sorted(set(got) ^ set(want)):
            ok = False
            print("%s %s: %s" % (name, "too much" if line in got else "missing", line))
    return ok


def main():
    p = argparse.ArgumentParser()
    for name in "bin", "conninfo", "scratch":
        p.add_argument("--" + name, required=True)
    p.add_argument("--seed", type=int, required=True)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--transactions", type=int, default=300)
    a = p.parse_args()
    r = random.Random(a.seed)
    sql(a, DDL)
    history = History(r, a.transactions)
    done = []
    for n in range(a.rounds + 1):
        round_ = Round(a, r, n, history.events.bytes, n == a.rounds)
        codes = round_.run()
        done.append("%d %s %s" % (round_.shards, round_.key, round_.whole))
        words = round_.refused()
        if any(w in words for w in ('"code":100', "refused", "cannot", "duplicate key", "not in order")) or any(codes):
            print("seed %d, round %d of %s: %s\n%s" % (a.seed, n, done, codes, words))
            return 1
    if compare(a, history):
        return 0
    print("seed %d: %s" % (a.seed, done))
    return 1


if __name__ == "__main__":
    sys.exit(main())
