"""watch.py: what must hold at every moment of the torture test, sampled all the while: the slot is
never ahead of what the target of a PostgreSQL sink has that is not detached, nor of ackd's checkpoint on
disk; no program needs ever more memory, or keeps ever more files open."""

import os
import re
import threading
import time

import psycopg2

from rig import proc_args

MEMORY_MOST = 200 << 20  # of one program; a sanitizer needs more


def program(pid):
    """'' when it is gone."""
    return os.path.basename((proc_args(pid) or [""])[0])


def lsn(text):
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def peak_memory(pid):
    """VmHWM in bytes; 0 when it is gone."""
    try:
        with open("/proc/%d/status" % pid) as f:
            for line in f:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) << 10
    except OSError:
        pass
    return 0


def open_files(pid):
    try:
        return len(os.listdir("/proc/%d/fd" % pid))
    except OSError:
        return 0


class Watch(threading.Thread):
    def __init__(self, rig):
        super().__init__(daemon=True)
        self.servers, self.pipeline = rig.servers, rig.pipeline
        self.sanitized = b"__asan_init" in open(self.pipeline.bin + "/walpipe", "rb").read()
        self.conns = {}
        # where the slot was created: a worker that begins has nothing before it, and says 0/0
        # (the last time: it is made again if definitions changed meanwhile)
        self.first = re.findall(r'created replication slot .* at ([0-9A-F]+/[0-9A-F]+)',
                                self.pipeline.log_text())[-1]
        self.samples = 0
        self.was_detached = set()  # sinks, whose workers begin again without a position
        self.memory = {}  # program: the most so far
        self.files = {}
        self.failure = None
        self.end = False

    def run(self):
        next_memory = 0.0
        while not self.end and self.failure is None:
            self.look_for_detached()
            try:
                self.sample_positions()
            except psycopg2.Error:
                for conn in self.conns.values():
                    conn.close()
                self.conns = {}
            if time.monotonic() > next_memory:
                next_memory = time.monotonic() + 0.5
                self.sample_memory()
            time.sleep(0.05)

    # ---- positions: the slot first, then what must not be behind it ----

    def ask(self, server, db, sql):
        if db not in self.conns:
            conn = psycopg2.connect(self.servers.conninfo(server, db) + " connect_timeout=2")
            conn.autocommit = True
            self.conns[db] = conn
        with self.conns[db].cursor() as c:
            c.execute(sql)
            return c.fetchall()

    def look_for_detached(self):
        now = {sink for sink in ("one", "three") if os.path.exists("%s/state/detached.%s" % (self.pipeline.dir, sink))}
        self.was_detached |= now
        return now

    def checkpoint(self):
        try:
            with open(self.pipeline.dir + "/state/checkpoint") as f:
                return dict(line.split("=", 1) for line in f.read().splitlines())["safe_lsn"]
        except FileNotFoundError:
            return None

    def sample_positions(self):
        slot = self.ask("source", "torture", "SELECT confirmed_flush_lsn FROM pg_replication_slots "
                        "WHERE slot_name = 'torture'")
        if not slot or slot[0][0] is None:
            return
        confirmed = slot[0][0]
        checkpoint = self.checkpoint()
        if checkpoint is not None and lsn(checkpoint) < lsn(confirmed):
            self.failure = "the slot is confirmed to %s, but the checkpoint says only %s" % (
                confirmed, checkpoint)
        # A sink that comes back has its new progress before its file is removed.
        detached = self.look_for_detached()
        for sink in {"one", "three"} - detached:
            if self.ask("target", sink, "SELECT to_regclass('walpipe.progress')")[0][0] is None:
                continue
            for shard, at in self.ask("target", sink, "SELECT shard, lsn FROM walpipe.progress"):
                begins = at == "0/0" and (confirmed == self.first or sink in self.was_detached)
                if lsn(at) < lsn(confirmed) and not begins:
                    self.failure = "the slot is confirmed to %s, but %s/%d has only %s" % (
                        confirmed, sink, shard, at)
        self.samples += 1

    # ---- resources ----

    def sample_memory(self):
        for pid in self.pipeline.everybody():
            name = program(pid)
            if not name:
                continue
            peak = peak_memory(pid)
            self.memory[name] = max(peak, self.memory.get(name, 0))
            if peak > MEMORY_MOST and not self.sanitized:
                self.failure = "%s (pid %d) needed %d MiB" % (name, pid, peak >> 20)

    def sample_files(self):
        """When all is quiet. Returns what grew since the early rounds, or None."""
        now = {}
        for pid in self.pipeline.everybody():
            name = program(pid)
            if name:
                now[name] = max(open_files(pid), now.get(name, 0))
        for name, count in now.items():
            first = self.files.setdefault(name, count)
            if count > first + 4:
                return "%s has %d files open, and had %d" % (name, count, first)
        return None
