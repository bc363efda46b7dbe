#!/usr/bin/python3
"""sinkch_random.py: random histories through sink-ch, cut and replayed at random, against a model.

    sinkch_random.py URL DATABASE ACKD-SOCKET SEED ROUNDS    (the sink's command: $SINK)

Each round makes a history of inserts, updates (some with unchanged TOAST), deletes, key changes and
truncates, feeds it to sinks that are cut off at random bytes or killed, each time again from a
random transaction at or before the last acknowledged one, and at last to the end. Then the rows in
ClickHouse must be the model's."""

import os
import random
import signal
import subprocess
import sys
import time
import urllib.request

from stream import *

URL, DATABASE, ACKD, SEED, ROUNDS = sys.argv[1:6]
KEYS = 30


def query(sql):
    request = urllib.request.Request(URL + "/?wait_end_of_query=1&database=" + DATABASE,
                                     data=sql.encode())
    return urllib.request.urlopen(request).read().decode()


COLUMNS = [col("id", True, INT4), col("a", oid=INT4), col("big"), col("c")]
HEAD = hello(sink="olap", shard=0, shards=1) + relation(1, "public", "t", COLUMNS)


def change(r, rows, ordinal):
    """One random change of rows (id: [a, big, c]) as a frame."""
    absent = [k for k in range(KEYS) if k not in rows]
    what = r.random()
    if r.random() < 0.004:
        rows.clear()
        return truncate(ordinal, [1])
    if not rows or (what < 0.3 and absent):
        k = r.choice(absent)
        rows[k] = [str(r.randrange(1000)), "B%d" % r.randrange(10**6), "c"]
        return insert(1, ordinal, [str(k)] + rows[k])
    k = r.choice(list(rows))
    key = [str(k), None, None, None]
    if what < 0.45:
        del rows[k]
        return delete(1, ordinal, key=key)
    row = list(rows[k])
    row[0] = str(r.randrange(1000))
    sent = list(row)
    if r.random() < 0.6:
        sent[1] = UNCHANGED
    else:
        row[1] = sent[1] = "B%d" % r.randrange(10**6)
    if r.random() < 0.5:
        sent[2] = UNCHANGED
    else:
        row[2] = sent[2] = "C%d" % r.randrange(100)
    if what < 0.65 and absent:
        new = r.choice(absent)
        del rows[k]
        rows[new] = row
        return update(1, ordinal, [str(new)] + sent, key=key)
    rows[k] = row
    return update(1, ordinal, [str(k)] + sent)


def history(r):
    rows, transactions = {}, []
    for n in range(r.randrange(5, 60)):
        lsn = 0x2000 + 0x100 * n
        count = r.choice([1, 1, 2, 5, 20, 60])
        data = begin(lsn) + b"".join(change(r, rows, i + 1) for i in range(count))
        transactions.append(data + commit(lsn, lsn + 0x28, count))
    return rows, transactions


def acknowledged():
    """The number of transactions that the last report in the fake ackd's output covers."""
    best = 0
    for line in open(os.environ["ACKS"]):
        if '"reached"' in line:
            best = json.loads(line)["lsn"]
    return 0 if best == 0 else (best - 0x2000) // 0x100 + 1


def run(r, data):
    command = os.environ["SINK"].split() + ["--url", URL, "--database", DATABASE, "--pipeline",
                                            "p", "--ackd", ACKD, "--batch-rows",
                                            str(r.choice([1, 3, 10, 50, 1000]))]
    sink = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=open(os.environ["LOG"], "a"))
    return sink, data


def main():
    for n in range(int(ROUNDS)):
        seed = int(SEED) + n
        r = random.Random(seed)
        rows, transactions = history(r)
        query("DROP TABLE IF EXISTS t")
        query("CREATE TABLE t (id Int32, a Int32, big String, c String, _version UInt64, "
              "_is_deleted UInt8) ENGINE = ReplacingMergeTree(_version) ORDER BY id")
        open(os.environ["ACKS"], "w").close()
        acked = 0
        for attempt in range(r.randrange(1, 5)):
            start = r.randrange(acked + 1)
            whole = HEAD + b"".join(transactions[start:]) + end()
            cut = whole[:r.randrange(len(HEAD), len(whole))]
            sink, _ = run(r, cut)
            try:
                sink.stdin.write(cut)
                sink.stdin.flush()
                if r.random() < 0.4:
                    time.sleep(r.random() * 0.15)
                    sink.send_signal(signal.SIGKILL)
                sink.stdin.close()
            except BrokenPipeError:
                pass
            code = sink.wait()
            assert code in (111, -9), "seed %d: a cut stream ended with %d" % (seed, code)
            acked = max(acked, min(acknowledged(), len(transactions)))
        start = r.randrange(acked + 1)
        sink, _ = run(r, b"")
        sink.stdin.write(HEAD + b"".join(transactions[start:]) + end())
        sink.stdin.close()
        assert sink.wait() == 0, "seed %d: the whole stream failed" % seed
        if r.random() < 0.3:
            query("OPTIMIZE TABLE t FINAL")
        got = query("SELECT id, a, big, c FROM t FINAL WHERE _is_deleted = 0 ORDER BY id")
        expected = "".join("%d\t%s\n" % (k, "\t".join(rows[k])) for k in sorted(rows))
        assert got == expected, "seed %d: got\n%s\nexpected\n%s" % (seed, got, expected)


main()
