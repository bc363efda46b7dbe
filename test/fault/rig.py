"""rig.py: what the torture test tortures: real servers (test/lib/servers.bash), proxies between
them and the pipeline, and walpipe run with programs of its own, copied so that a build meanwhile
does not matter and that each process is known by its executable."""

import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import workload

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import proxy  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAMS = ("walpipe", "ackd", "pg-wal-read", "pgout-decode", "route", "pg-table-read", "sink-pg",
            "sink-ch")
LINKS = ("source", "one", "three", "olap")


class Failure(Exception):
    """The test has found something."""


def wait_for(seconds, what, condition):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failure("waited %d s in vain: %s" % (seconds, what))
        time.sleep(0.05)


def proc_children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
            return [int(p) for p in f.read().split()]
    except OSError:
        return []


def proc_state(pid):
    """'R', 'S', 'T', 'Z' ...; '' when there is no such process."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0]
    except (OSError, IndexError):
        return ""


def proc_args(pid):
    try:
        with open("/proc/%d/cmdline" % pid) as f:
            return f.read().split("\0")
    except OSError:
        return []


class Servers:
    """modern: the ClickHouse is today's engine (test/lib/chdb.bash), not Debian's."""

    def __init__(self, modern=False):
        self.modern = modern
        self.olap = "chdb" if modern else "ch"  # how the functions begin that start it
        self.dir = subprocess.check_output(
            ["mktemp", "-d", os.environ.get("WALPIPE_TMP", "/tmp") + "/wp.XXXXXX"], text=True).strip()
        os.chmod(self.dir, 0o755)
        self.env = dict(os.environ, SCRATCH=self.dir)
        self.env.pop("BASH_ENV", None)

    def bash(self, script, timeout=120):
        done = subprocess.run(
            ["bash", "-c", 'source "$0/test/lib/servers.bash"\nsource "$0/test/lib/chdb.bash"\n' + script,
             ROOT], env=self.env,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
        if done.returncode != 0:
            raise Failure("%s: %s%s" % (script, done.stdout[-500:], done.stderr[-2000:]))
        return done.stdout.strip()

    def start(self):
        self.bash("pg_new source wal_sender_timeout=3s synchronous_commit=on max_connections=60\n"
                  "pg_new target max_connections=60 synchronous_commit=on\n%s_new olap" % self.olap)
        self.port = {s: int(open("%s/%s/port" % (self.dir, s)).read())
                     for s in ("source", "target", "olap")}
        for name in LINKS:
            self.port["proxy " + name] = int(self.bash("port_new"))

    def conninfo(self, server, db, through=None):
        port = self.port["proxy " + through] if through else self.port[server]
        return "host=127.0.0.1 port=%d user=postgres dbname=%s" % (port, db)

    def clickhouse(self, sql, db="default"):
        return subprocess.run(
            ["curl", "-sS", "--noproxy", "*", "--fail-with-body", "--max-time", "60",
             "--data-binary", "@-",
             "http://127.0.0.1:%d/?wait_end_of_query=1&database=%s" % (self.port["olap"], db)],
            input=sql.encode(), capture_output=True, check=True).stdout

    def end(self):
        self.bash("servers_end", timeout=1200)  # a busy disk takes minutes to forget them


class Pipeline:
    """walpipe run on SCRATCH/torture.conf."""

    def __init__(self, servers, aside):
        self.servers = servers
        self.aside = aside  # tables are parked, and sinks are detached
        self.dir = servers.dir
        self.bin = self.dir + "/bin"
        self.log = self.dir + "/walpipe.log"
        self.conf = self.dir + "/torture.conf"
        self.process = None
        self.started_at = 0.0
        self.on_error = {sink: "park" if aside else "stop" for sink in ("one", "three")}
        os.mkdir(self.bin)
        for name in PROGRAMS:
            shutil.copy(os.environ.get("WALPIPE_BIN", ROOT + "/build/asan/bin") + "/" + name, self.bin)

    def limits(self, park=False):
        return ("detach_after = 40MB" if self.aside else "") + ("\npark_limit = 1000" if park else "")

    def configure(self):
        """Commands may read the file meanwhile."""
        s = self.servers
        with open(self.conf + ".new", "w") as f:
            f.write("""[pipeline]
name = torture
state_dir = %s/state
copy = yes
copy_rate = 4000000
[source]
conninfo = %s
slot = torture
publication = torture
[sink one]
type = pg
conninfo = %s
batch_rows = 300
flush_interval = 100ms
on_error = %s
%s
[sink three]
type = pg
conninfo = %s
shards = 3
batch_rows = 200
flush_interval = 50ms
on_error = %s
%s
tables = public.*, !public.uniq
[sink olap]
type = ch
url = http://127.0.0.1:%d
database = torture
create_tables = yes
%s
shards = 2
flush_interval = 200ms
batch_rows = 500
tables = public.*, !public.log, !public.whole, !public.full_*
[sink nocopy]
type = ch
copy = no
url = http://127.0.0.1:%d
database = nocopy
create_tables = yes
flush_interval = 200ms
tables = public.log, public.whole
""" % (self.dir, s.conninfo("source", "torture", "source"), s.conninfo("target", "one", "one"),
                self.on_error["one"], self.limits(park=True), s.conninfo("target", "three", "three"), self.on_error["three"],
                self.limits(park=True), s.port["proxy olap"], self.limits(), s.port["proxy olap"]))
        os.replace(self.conf + ".new", self.conf)

    def start(self):
        # A sanitizer's finding must never look like one of walpipe's own exit codes.
        env = {"ASAN_OPTIONS": "exitcode=99:detect_leaks=1", "LSAN_OPTIONS": "exitcode=99",
               "UBSAN_OPTIONS": "exitcode=99:print_stacktrace=1"}
        env = dict(env, **os.environ)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.bin + "/walpipe", "run", "-c", self.conf], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env=env, start_new_session=True)
        self.started_at = time.monotonic()

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def children(self):
        """pid: its name, with the number of the worker."""
        out = {}
        for pid in proc_children(self.process.pid) if self.alive() else []:
            args = proc_args(pid)
            # one that is still walpipe has been forked, but is not yet what it will be
            if not args or args[0] not in PROGRAMS or proc_state(pid) in ("", "Z"):
                continue
            out[pid] = args[0]
        return out

    def streams(self):
        """Whether what was started last has all its workers."""
        with open(self.log, "rb") as f:
            f.seek(max(0, os.path.getsize(self.log) - 20000))
            end = f.read()
        return end.rfind(b"workers are registered") > max(end.rfind(b"ended with"), end.rfind(b"killed by signal"))

    def await_stream(self, seconds, meanwhile):
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.streams():
            meanwhile()
            time.sleep(0.05)

    def waits(self):
        """For the end of its backoff."""
        return (time.monotonic() > self.started_at + 1 and not self.children() and
                proc_state(self.process.pid) == "S")

    def everybody(self):
        """Every process of ours, whoever its parent is: pids."""
        out = []
        for exe in glob.glob("/proc/[0-9]*/exe"):
            try:
                if os.readlink(exe).startswith(self.bin + "/"):
                    out.append(int(exe.split("/")[2]))
            except OSError:
                pass
        return out

    def zombies(self):
        return [p for p in proc_children(self.process.pid) if proc_state(p) == "Z"]

    def kill(self):
        """As the OOM killer would; the kernel has to end the programs. A process that ends loses its
        executable's name before its locks and sockets."""
        before = self.everybody()
        self.process.kill()
        self.process.wait()
        wait_for(15, "walpipe was killed, its programs live on", lambda: not self.everybody() and
                 all(proc_state(pid) in ("", "Z") for pid in before))

    def wait_until_begun(self):
        """Before it has begun, a signal has its usual meaning."""
        time.sleep(max(0, self.started_at + 1 - time.monotonic()))

    def drain(self, seconds=75, told=False):
        """SIGTERM, unless it was told before: a second one means "at once". Returns the exit
        code."""
        self.wait_until_begun()
        if self.process.poll() is None and not told:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure("walpipe did not end within %d s of SIGTERM" % seconds) from None
        wait_for(15, "walpipe ended, its programs live on", lambda: not self.everybody())
        return code

    def log_text(self):
        with open(self.log, errors="replace") as f:
            return f.read()


class Rig:
    def __init__(self, modern=False, aside=False):
        self.servers = Servers(modern)
        self.pipeline = Pipeline(self.servers, aside)
        self.proxy = None
        self.control = self.servers.dir + "/proxy.sock"

    def start(self, rows, publication):
        """The source has these rows before the pipeline starts."""
        s = self.servers
        s.start()
        for server, db in (("source", "torture"), ("target", "one"), ("target", "three")):
            s.bash('pg_sql %s "CREATE DATABASE %s"' % (server, db))
            s.bash("pg_sql %s - %s <<'SQL'\n%s\nSQL" % (server, db, workload.SCHEMA))
        for db in ("one", "three"):
            s.bash('pg_sql target "%s" %s' % (workload.REFUSES, db))
        s.bash("pg_sql source - torture <<'SQL'\n%s\n%s\nSQL" % (rows, publication))
        # tells what happened to a row that differs
        s.bash("pg_sql source \"SELECT pg_create_logical_replication_slot('witness', 'test_decoding')\" torture")
        for db in ("torture", "nocopy"):
            s.clickhouse("CREATE DATABASE " + db)
        for sql in workload.CLICKHOUSE:
            s.clickhouse(sql, "nocopy")
        targets = {"source": "source", "one": "target", "three": "target", "olap": "olap"}
        with open(s.dir + "/proxy.log", "ab") as log:
            self.proxy = subprocess.Popen(
                ["/usr/bin/python3", proxy.__file__, "serve", self.control] +
                ["%s=%d:%d" % (n, s.port["proxy " + n], s.port[targets[n]]) for n in LINKS],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for(10, "the proxy", lambda: os.path.exists(self.control))
        self.pipeline.configure()

    def tell(self, *words):
        answer = proxy.tell(self.control, *words)
        if answer[:1] not in ("o", "{"):
            raise RuntimeError("proxy: " + answer)
        return answer

    def proxy_counts(self):
        return {n: json.loads(self.tell(n, "counts")) for n in LINKS}

    def end(self):
        if self.pipeline.alive():
            self.pipeline.process.kill()
            self.pipeline.process.wait()
        for pid in self.pipeline.everybody():
            os.kill(pid, signal.SIGKILL)
        if self.proxy is not None:
            self.proxy.kill()
            self.proxy.wait()
        self.servers.end()
