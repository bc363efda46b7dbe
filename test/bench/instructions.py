#!/usr/bin/python3
"""instructions.py: how many instructions the sinks use for a row, counted by callgrind.

    instructions.py [--bin DIR] [--only NAME[,NAME]] [--keep DIR]

Instructions are the same on a busy machine and on a quiet one. sink-pg and sink-ch read the same
stream twice, once with 40,000 more inserts of a row of five columns, in transactions of 1,000. The
difference is divided by 40,000, so start and end are not counted. Values come in text and in binary
format in turn, and go to real servers. pgout-decode and route are not counted: their sandbox ends
them under valgrind. --bin: the programs (build/release/bin); give another checkout's to compare.
--keep: where callgrind's files are left, for callgrind_annotate."""

import argparse
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]

import stage  # noqa: E402
import stream  # noqa: E402

FEW, MANY, PER_TRANSACTION = 20_000, 60_000, 1_000
PROGRAMS = ("sink-pg", "sink-ch")
TABLE = "CREATE TABLE t (id bigint PRIMARY KEY, a int, b int, c bigint, note text)"
COLUMNS = [stream.col("id", True, stream.INT8), stream.col("a", oid=stream.INT4),
           stream.col("b", oid=stream.INT4), stream.col("c", oid=stream.INT8), stream.col("note")]


def values(n, binary):
    numbers = [("q", n), ("i", n % 1000), ("i", n % 77), ("q", n * 7)]
    return [struct.pack(">" + size, x) if binary else str(x) for size, x in numbers] + ["%060d" % n]


def transaction(number, binary):
    first, lsn = number * PER_TRANSACTION, 0x2000 + number * 0x100
    yield stream.wal(stream.pg_begin(lsn))
    if number == 0:
        yield stream.wal(stream.pg_relation(1, "public", "t", COLUMNS))
    for n in range(first, first + PER_TRANSACTION):
        yield stream.wal(stream.pg_insert(1, values(n, binary)))
    yield stream.wal(stream.pg_commit(lsn, lsn + 0x28))


def wal(rows, binary):
    """The wal stream of so many inserts."""
    parts = [stream.hello(stream="wal", program="pg-wal-read")]
    for number in range(rows // PER_TRANSACTION):
        parts += transaction(number, binary)
    return b"".join(parts + [stream.end()])


class Counter:
    def __init__(self, options, servers, scratch):
        self.options, self.servers, self.scratch = options, servers, scratch

    def path(self, *parts):
        return os.path.join(self.scratch, "-".join(map(str, parts)))

    def run(self, program, source, *args, out=os.devnull):
        """The program over a file, uncounted."""
        with open(source, "rb") as i, open(out, "wb") as o:
            subprocess.run([os.path.join(self.options.bin, program), *args], stdin=i, stdout=o, check=True)

    def stream(self, rows, binary):
        """A file with what the sinks read."""
        decoded, routed = self.path("wal"), self.path("events")
        with open(decoded, "wb") as f:
            f.write(wal(rows, binary))
        self.run("pgout-decode", decoded, out=routed)
        file = self.path("routed", rows)
        open(file, "wb").close()
        self.run("route", routed, "--sink", "s", "--to", file)
        return file

    def arguments(self, program):
        """What else the command line holds: a database without rows, and an ackd."""
        common = ["--ackd", self.path("ack"), "--pipeline", "count"]
        database = self.servers.fresh("run")
        if program == "sink-pg":
            self.servers.sql("target", "CREATE DATABASE " + database, "postgres")
            self.servers.sql("target", TABLE, database)
            return common + ["--conninfo", self.servers.conninfo("target", database)]
        self.servers.clickhouse("CREATE DATABASE " + database)
        return common + ["--url", "http://127.0.0.1:%d" % self.servers.ports["olap"],
                         "--database", database, "--create-tables"]

    def count(self, program, source, name):
        """Instructions of the whole run."""
        name = os.path.join(self.options.keep or self.scratch, program + "." + name)
        command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=" + name,
                   os.path.join(self.options.bin, program), *self.arguments(program)]
        with open(source, "rb") as f:
            done = subprocess.run(command, stdin=f, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                  text=True)
        found = re.search(r"Collected : (\d+)", done.stderr)
        if done.returncode != 0 or not found:
            raise stage.Failure("%s: %s" % (program, done.stderr[-2000:]))
        return int(found.group(1))

    def measure(self, programs, binary):
        few, many = self.stream(FEW, binary), self.stream(MANY, binary)
        format = "binary" if binary else "text"
        for program in programs:
            ack = subprocess.Popen(["/usr/bin/python3", os.path.join(HERE, "..", "lib", "fake_ackd.py"),
                                    self.path("ack")], stdout=subprocess.DEVNULL)
            try:
                stage.wait_for("the ack socket", lambda: os.path.exists(self.path("ack")))
                more = self.count(program, many, format) - self.count(program, few, format + ".few")
            finally:
                ack.terminate()
                ack.wait()
                if os.path.exists(self.path("ack")):
                    os.unlink(self.path("ack"))
            print("%-8s %-6s %6.0f instructions per row" % (program, format, more / (MANY - FEW)),
                  flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=stage.BIN)
    parser.add_argument("--only", default=",".join(PROGRAMS))
    parser.add_argument("--keep")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the servers are ended all the same
    servers = stage.Stage()
    try:
        servers.start()
        with tempfile.TemporaryDirectory(prefix="wp.") as scratch:
            for binary in (False, True):
                Counter(options, servers, scratch).measure(options.only.split(","), binary)
    except stage.Failure as failure:
        sys.exit("instructions.py: %s" % failure)
    finally:
        servers.end()


if __name__ == "__main__":
    main()
