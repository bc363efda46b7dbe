"""stage.py: the quiet servers of the bench (test/lib/servers.bash) and what every measurement needs
of them: databases from a template, copies of a slot, checkpoints, connections, processes' use of
memory and processor."""

import os
import re
import signal
import subprocess
import time
import urllib.request

import psycopg2

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("WALPIPE_BIN", ROOT + "/build/release/bin")
READER = ROOT + "/build/bench/reader"
PG_RECVLOGICAL = subprocess.check_output(
    ["bash", "-c", 'source "$0/test/lib/servers.bash"; rmdir "$SCRATCH"; pg_bindir', ROOT],
    text=True).strip() + "/pg_recvlogical"

# The same for both PostgreSQL servers and all contenders. fsync is off: what is compared is the
# programs' work, and the disk of a shared machine is its neighbours' too.
# The origins of each run stay and take a slot each, and without one a subscription waits for ever.
SETTINGS = ("autovacuum=off", "fsync=off", "shared_buffers=1GB", "max_wal_size=20GB",
            "checkpoint_timeout=1h", "max_connections=100", "max_worker_processes=30",
            "max_logical_replication_workers=20", "wal_retrieve_retry_interval=100ms",
            "logical_decoding_work_mem=256MB", "jit=off", "max_replication_slots=200")

NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Failure(Exception):
    """A measurement that can't count: unequal rows, a program that ended."""


def wait_for(what, condition, seconds=300, pause=0.004):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failure("waited %d s in vain: %s" % (seconds, what))
        time.sleep(pause)


def ticks(pid):
    """Seconds of processor time that a living process has used, user and system."""
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def name_of(pid):
    with open("/proc/%d/comm" % pid) as f:
        return f.read().strip()


def pss(pid):
    """Bytes of memory, shared pages divided among their users; 0 when the process is gone."""
    try:
        with open("/proc/%d/smaps_rollup" % pid) as f:
            return int(re.search(r"^Pss: +(\d+)", f.read(), re.M).group(1)) * 1024
    except (OSError, AttributeError):
        return 0


def children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
            return [int(p) for p in f.read().split()]
    except OSError:
        return []


class Stage:
    def __init__(self):
        self.dir = subprocess.check_output(["mktemp", "-d", "/tmp/wp.XXXXXX"], text=True).strip()
        os.chmod(self.dir, 0o755)
        self.env = dict(os.environ, SCRATCH=self.dir)
        self.number = 0
        self.kept = {}

    def bash(self, script):
        done = subprocess.run(
            ["bash", "-c", 'source "$0/test/lib/servers.bash"\n' + script, ROOT], env=self.env,
            stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure("%s: %s" % (script, done.stderr[-2000:]))
        return done.stdout.strip()

    def start(self):
        settings = " ".join("'%s'" % s for s in SETTINGS)
        self.bash("pg_new source %s && pg_new target %s && ch_new olap" % (settings, settings))
        self.ports = {name: int(open("%s/%s/port" % (self.dir, name)).read())
                      for name in ("source", "target", "olap")}
        self.pids = {name: int(self.bash("%s_pid %s" % ("ch" if name == "olap" else "pg", name)))
                     for name in self.ports}
        self.sql("source", "CREATE DATABASE bench", "postgres")

    def end(self):
        for conn in self.kept.values():
            conn.close()
        self.bash("servers_end")

    def fresh(self, what):
        self.number += 1
        return "%s%d" % (what, self.number)

    def conninfo(self, server, db):
        # TCP, as between machines
        return "host=127.0.0.1 port=%d user=postgres dbname=%s" % (self.ports[server], db)

    def connect(self, server, db):
        conn = psycopg2.connect(self.conninfo(server, db))
        conn.autocommit = True
        return conn

    def sql(self, server, sql, db="bench"):
        """Runs one statement; its rows, if any."""
        key = server, db
        if key not in self.kept or self.kept[key].closed:
            self.kept[key] = self.connect(server, db)
        with self.kept[key].cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else None

    def forget(self, server, db):
        conn = self.kept.pop((server, db), None)
        if conn:
            conn.close()

    def clickhouse(self, sql, db="default"):
        url = "http://127.0.0.1:%d/?wait_end_of_query=1&database=%s" % (self.ports["olap"], db)
        with NO_PROXY.open(url, sql.encode(), timeout=120) as answer:
            return answer.read().decode().strip()

    def backends(self, server, db):
        """(what it is, pid) of the processes that serve replication."""
        return self.sql(server, "SELECT CASE backend_type WHEN 'client backend' THEN 'target''s backend' "
                        "WHEN 'logical replication worker' THEN 'apply worker' ELSE backend_type END, pid "
                        "FROM pg_stat_activity WHERE backend_type = 'walsender' OR (datname = '%s' AND "
                        "(backend_type = 'logical replication worker' OR application_name LIKE "
                        "'walpipe%%'))" % db, "postgres")

    # ---- what a run begins with ----

    def quiet(self):
        for server in ("source", "target"):
            self.sql(server, "CHECKPOINT", "postgres")

    def target_from(self, template):
        db = self.fresh("run")
        self.forget("target", template)
        self.sql("target", "CREATE DATABASE %s TEMPLATE %s STRATEGY file_copy" % (db, template),
                 "postgres")
        return db

    def drop_target(self, db):
        self.forget("target", db)
        self.sql("target", "DROP DATABASE %s WITH (FORCE)" % db, "postgres")

    def slot_from(self, template):
        """Every run reads the same WAL again, from a copy of one slot."""
        slot = self.fresh("slot")
        self.sql("source", "SELECT pg_copy_logical_replication_slot('%s', '%s')" % (template, slot))
        return slot

    def drop_slot(self, slot):
        wait_for("slot %s is free" % slot, lambda: not self.sql(
            "source", "SELECT 1 FROM pg_replication_slots WHERE slot_name = '%s' AND active" % slot))
        self.sql("source", "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
                           "WHERE slot_name = '%s'" % slot)


class Process:
    """A program whose end, and time on the processor, is known."""

    def __init__(self, args, log, **more):
        self.log = log
        with open(log, "ab") as f:
            self.popen = subprocess.Popen(args, stdin=subprocess.DEVNULL, stderr=f,
                                          start_new_session=True, **more)

    def must_live(self):
        if self.popen.poll() is not None:
            with open(self.log) as f:
                raise Failure("%s ended with %d: %s" % (self.popen.args[0], self.popen.returncode,
                                                        f.read()[-1500:]))

    def stop(self, seconds=60):
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(self.popen.pid, signal.SIGKILL)
                raise Failure("%s did not end on SIGTERM" % self.popen.args[0])
        return self.popen.returncode
