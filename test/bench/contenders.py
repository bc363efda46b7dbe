"""contenders.py: who is measured. A contender takes a load from the moment it is started to the
moment its target shows the load's last row, and must have every row of it then."""

import os
import subprocess
import threading
import time

from stage import (BIN, PG_RECVLOGICAL, READER, Failure, Process, children, name_of, pss, ticks,
                   wait_for)


class Memory(threading.Thread):
    """The highest sum of PSS over a process and its children while it runs."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak, self.ended = pid, 0, threading.Event()
        self.start()

    def run(self):
        while not self.ended.wait(0.1):
            self.peak = max(self.peak, sum(pss(p) for p in [self.pid] + children(self.pid)))

    def end(self):
        self.ended.set()
        self.join()
        return self.peak


def used(stage, db, pid=None):
    """Seconds on the processor of each process that has a part in a run."""
    pairs = stage.backends("source", "bench") + stage.backends("target", db)
    for child in children(pid) if pid else []:
        pairs.append((name_of(child), child))
    total = {}
    for name, process in pairs:
        total[name] = total.get(name, 0) + ticks(process)
    return total


def shows_done(stage, server, db, load):
    """A function that looks for the load's last row on a connection of its own."""
    conn = stage.connect(server, db)
    cursor = conn.cursor()

    def look():
        cursor.execute("SELECT 1 FROM " + load.done)
        return cursor.fetchone() is not None
    return look


def must_equal(what, ours, theirs):
    if ours != theirs:
        raise Failure("%s: %r is not %r" % (what, theirs, ours))


def verify(stage, load, db):
    for query in load.equal:
        must_equal(query, stage.sql("source", query), stage.sql("target", query, db))


def verify_olap(stage, load, db):
    for source, olap in load.olap:
        ours = "\t".join(str(v) for v in stage.sql("source", source)[0])
        must_equal(olap, ours, stage.clickhouse(olap, db))


class Native:
    """PostgreSQL's own subscription."""
    title = "PostgreSQL's subscription"

    def __init__(self, stage, options=""):
        self.stage, self.options = stage, options

    def subscribe(self, publication, slot, db):
        self.stage.sql("target", "CREATE SUBSCRIPTION %s CONNECTION '%s' PUBLICATION %s WITH "
                       "(create_slot = false, slot_name = '%s', copy_data = false, enabled = false%s)"
                       % (slot, self.stage.conninfo("source", "bench"), publication, slot,
                          self.options), db)

    def unsubscribe(self, slot, db):
        self.stage.sql("target", "ALTER SUBSCRIPTION %s DISABLE" % slot, db)
        self.stage.sql("target", "ALTER SUBSCRIPTION %s SET (slot_name = NONE)" % slot, db)
        self.stage.sql("target", "DROP SUBSCRIPTION " + slot, db)

    def run(self, load):
        stage = self.stage
        db, slot = stage.target_from(load.slot), stage.slot_from(load.slot)
        self.subscribe(load.publication, slot, db)
        done = shows_done(stage, "target", db, load)
        stage.quiet()
        begin = time.monotonic()
        stage.sql("target", "ALTER SUBSCRIPTION %s ENABLE" % slot, db)
        wait_for("native", done)
        result = {"seconds": time.monotonic() - begin, "used": used(stage, db)}
        verify(stage, load, db)
        self.unsubscribe(slot, db)
        stage.drop_target(db)
        stage.drop_slot(slot)
        return result


class Walpipe:
    """walpipe run, with PostgreSQL, ClickHouse or both as sinks; settings are sink keys."""

    def __init__(self, stage, title="walpipe", pg=True, ch=False, source="", settings=""):
        self.stage, self.title, self.pg, self.ch = stage, title, pg, ch
        self.source, self.settings = source, settings

    def configure(self, publication, slot, db, create_slot="no"):
        stage = self.stage
        name = stage.fresh("walpipe")
        path = "%s/%s.conf" % (stage.dir, name)
        with open(path, "w") as f:
            f.write("[pipeline]\nname = %s\nstate_dir = %s/%s\nlog_level = warning\ncopy = no\n"
                    "[source]\nconninfo = %s\nslot = %s\npublication = %s\ncreate_slot = %s\n%s\n"
                    % (name, stage.dir, name, stage.conninfo("source", "bench"), slot, publication,
                       create_slot, self.source))
            if self.pg:
                f.write("[sink pg]\ntype = pg\nconninfo = %s\n%s\n"
                        % (stage.conninfo("target", db), self.settings))
            if self.ch:
                f.write("[sink ch]\ntype = ch\nurl = http://127.0.0.1:%d\ndatabase = %s\n"
                        "create_tables = yes\n%s\n" % (stage.ports["olap"], db, self.settings))
        return path

    def spawn(self, path):
        return Process([BIN + "/walpipe", "run", "-c", path], path + ".log")

    def olap_done(self, load, db):
        query = "SELECT count() FROM system.tables WHERE database = '%s' AND name = '%s'"
        there = self.stage.clickhouse(query % (db, load.done)) == "1"
        return there and self.stage.clickhouse("SELECT count() FROM " + load.done, db) == "1"

    def run(self, load):
        stage = self.stage
        db, slot = stage.target_from(load.slot), stage.slot_from(load.slot)
        if self.ch:
            stage.clickhouse("CREATE DATABASE " + db)
        path = self.configure(load.publication, slot, db)
        done = shows_done(stage, "target", db, load)
        stage.quiet()
        begin = time.monotonic()
        process = self.spawn(path)
        memory = Memory(process.popen.pid)
        result = {}
        try:
            if self.pg:
                wait_for("walpipe: the last row in PostgreSQL",
                         lambda: process.must_live() or done())
                result["pg"] = time.monotonic() - begin
            if self.ch:
                wait_for("walpipe: the last row in ClickHouse",
                         lambda: process.must_live() or self.olap_done(load, db))
                result["ch"] = time.monotonic() - begin
            result["seconds"] = time.monotonic() - begin
            result["used"] = used(stage, db, process.popen.pid)
        finally:
            result["memory"] = memory.end()
            status = process.stop()
        if status != 0:
            raise Failure("walpipe exited with %d, see %s.log" % (status, path))
        if self.pg:
            verify(stage, load, db)
        if self.ch:
            verify_olap(stage, load, db)
            stage.clickhouse("DROP DATABASE " + db)
        stage.drop_target(db)
        stage.drop_slot(slot)
        return result


class Reader:
    """A client that throws everything away: what the walsender itself can do."""
    title = "walsender's limit"

    def __init__(self, stage):
        self.stage = stage

    def command(self, load, slot):
        return [READER, self.stage.conninfo("source", "bench"), slot, load.publication, load.last]

    def check(self, load, output):
        must_equal("rows that the reader saw", str(load.rows + 1), output.read().decode().strip())

    def run(self, load):
        stage = self.stage
        slot = stage.slot_from(load.slot)
        stage.quiet()
        with open(stage.dir + "/reader.out", "w+b") as output:
            begin = time.monotonic()
            process = Process(self.command(load, slot), stage.dir + "/reader.log", stdout=output)
            process.popen.wait(300)
            seconds = time.monotonic() - begin
            must_equal("exit status of " + self.title, 0, process.popen.returncode)
            output.seek(0)
            self.check(load, output)
        stage.drop_slot(slot)
        return {"seconds": seconds}


class Recvlogical(Reader):
    """PostgreSQL's own, which reads a message at a time, into a file in memory."""
    title = "pg_recvlogical"

    def command(self, load, slot):
        return [PG_RECVLOGICAL, "-d", self.stage.conninfo("source", "bench"), "-S", slot, "--start",
                "-o", "proto_version=1", "-o", "publication_names=" + load.publication, "-n",
                "-f", "-", "-F", "0", "-E", load.end]

    def check(self, load, output):
        if not output.read(1):
            raise Failure("pg_recvlogical has written nothing")


class Filters:
    """pg-wal-read | pgout-decode | route, into one FIFO that cat empties: what they cost."""
    title = "pg-wal-read, pgout-decode, route"

    def __init__(self, stage):
        self.stage = stage

    def run(self, load):
        stage = self.stage
        slot = stage.slot_from(load.slot)
        fifo = "%s/%s" % (stage.dir, stage.fresh("fifo"))
        os.mkfifo(fifo)
        log = stage.dir + "/filters.log"
        stage.quiet()
        between, after = os.pipe(), os.pipe()
        drain = Process(["cat", fifo], log, stdout=open(os.devnull, "wb"))
        with open(log, "ab") as err:
            read = subprocess.Popen(
                [BIN + "/pg-wal-read", "--conninfo", stage.conninfo("source", "bench"), "--slot", slot,
                 "--publication", load.publication, "--no-ack"], stdout=between[1], stderr=err)
            decode = subprocess.Popen([BIN + "/pgout-decode"], stdin=between[0], stdout=after[1],
                                      stderr=err)
            route = subprocess.Popen([BIN + "/route", "--sink", "s", "--to", fifo], stdin=after[0],
                                     stderr=err)
        for fd in between + after:
            os.close(fd)
        begin = time.monotonic()
        wait_for("the filters have read it all", lambda: self.idle_at(slot, load.last), 120, 0.02)
        seconds = time.monotonic() - begin
        read.terminate()
        used = {}
        for name, process in (("pg-wal-read", read), ("pgout-decode", decode), ("route", route)):
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            used[name] = usage.ru_utime + usage.ru_stime
            must_equal("exit status of " + name, 0, process.returncode)
        drain.popen.wait(10)
        os.unlink(fifo)
        stage.drop_slot(slot)
        return {"seconds": seconds, "used": used}

    def idle_at(self, slot, last):
        rows = self.stage.sql(
            "source", "SELECT write_lsn >= '%s' FROM pg_stat_replication r JOIN pg_replication_slots s "
            "ON s.active_pid = r.pid WHERE slot_name = '%s'" % (last, slot))
        return bool(rows and rows[0][0])
