"""What stands in for route and the workers in pg-table-read-ackd.bats: a real ackd with a fake
pg-wal-read, and a Crew that reads pg-table-read's output and answers as all workers of all sinks.
Every worker gets every row: who keeps which is route's business.

CONNINFO, SYSTEM, TIMELINE and DATABASE in the environment say where the rows are."""

import re

from ackd_peers import *  # noqa: F401,F403
from ackd_peers import Ackd, BIN, Peer, Reader, Worker

TABLE, RANGE, ROWS, ABSENT, RANGE_END, HORIZON, TABLE_END = 32, 33, 34, 35, 36, 37, 39
CONNINFO = os.environ["CONNINFO"]
SYSTEM, TIMELINE = int(os.environ["SYSTEM"]), int(os.environ["TIMELINE"])
DATABASE = os.environ["DATABASE"]


def sql(text):
    done = subprocess.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", CONNINFO, "-c", text],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def open_session():
    """A psql that goes on."""
    return subprocess.Popen(["psql", "-XqAt", CONNINFO], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)


def tell(session, text):
    """Runs it there, and waits until it is done."""
    session.stdin.write(text + ";\nselect 'done';\n")
    session.stdin.flush()
    while session.stdout.readline().strip() != "done":
        pass


class Life:
    def __init__(self, table):
        self.number, self.part, _, _, self.definition, self.sinks = table[1:7]
        self.relid, self.identity, self.schema, self.name, columns = table[-5:]  # behind "resync"
        self.columns = [c[0] for c in columns]
        self.raw_columns = columns
        self.ended = None

    def full_name(self):
        return "%s.%s" % (self.schema, self.name)


class Range:
    def __init__(self, elements):
        (self.life, self.number, self.kind, self.start, self.file, self.snapshot, self.mark,
         self.floor, self.sinks) = elements[1:10]
        self.rows, self.absent, self.end = [], [], None
        self.bytes = 0

    def span(self):
        return "(%d,%d)-%s" % (*self.start, "" if self.end is None else "(%d,%d)" % tuple(self.end))


class Crew:
    """sinks: name to number of workers. What workers have is in notes, by (sink, shard, part):
    [file, definition, done]; a part that is not there they want, and one whose note is None they
    have, but for no life. What a test overrides: holds(range) keeps a range and reports nothing,
    drops(worker, range), missing(worker, life) is what a worker lacks at a call: rows of keys.
    Unless they lag the workers have reached whatever there is."""

    def __init__(self, sinks=None, notes=None, args=(), publication="p", lags=False, **source):
        self.sinks = {"dst": 1} if sinks is None else sinks
        self.notes = {} if notes is None else notes
        self.rows = {}  # table name to set of rows, of the life's last file
        self.frames, self.ranges, self.lives, self.held = [], [], {}, []
        self.listed = 0  # how often life 0 was asked to the end
        self.open_range = None
        self.end_reason = None
        self.silent = False  # workers do not answer `table`
        self.unanswered = []
        self.ackd = Ackd(" ".join("%s=%d" % s for s in self.sinks.items()))
        self.ackd.ready()
        self.source = Reader(self.ackd).start(100, **{"system": SYSTEM, "timeline": TIMELINE,
                                                      "database": DATABASE, **source})
        self.workers = {(sink, i): Worker(self.ackd).start(sink, i, n, version=2)
                        for sink, n in self.sinks.items() for i in range(n)}
        if not lags:
            self.reach(1 << 60)
        self.log_path = tempfile.mktemp(prefix="reader-log.")
        with open(self.log_path, "w") as log:
            self.process = subprocess.Popen(
                [os.path.join(BIN, "pg-table-read"), "--conninfo", CONNINFO, "--publication",
                 publication, "--ackd", self.ackd.socket_path, "--log-level", "debug", *args],
                stdout=subprocess.PIPE, stderr=log)
        self.incoming = Incoming()

    def reach(self, lsn=None):
        """The workers have reached lsn, or where the source is now."""
        if lsn is None:
            high, low = sql("select pg_current_wal_lsn()").split("/")
            lsn = int(high, 16) << 32 | int(low, 16)
        self.source.got(lsn)
        for worker in self.workers.values():
            worker.reached(lsn)

    # ---- what a test may override ----

    def holds(self, range_):
        return False

    def drops(self, worker, range_):
        return False

    def missing(self, worker, life):
        return []

    def want(self, worker, part):
        return "h" if self.notes.get((*worker, part), 0) is None else "w"

    # ---- the workers ----

    def of(self, names):
        return [w for w in self.workers if not names or w[0] in names]

    def note(self, worker, part):
        return self.notes.get((*worker, part)) or [0, "", ""]

    def state(self, worker, life, table, last):
        want = self.want(worker, table.part)
        detail = ["no", "because"] if want == "r" else self.note(worker, table.part)
        self.workers[worker].say(TABLE_STATE, life, table.relid, table.part, want, last,
                                 msgpack.packb(detail))

    def answer(self, table):
        for worker in self.of(table.sinks):
            self.state(worker, table.number, table, table.number > 0)

    def answer_all(self):
        self.silent = False
        while self.unanswered:
            self.answer(self.unanswered.pop(0))

    def write(self, range_):
        """Every worker writes its part of it, or drops it, and says so."""
        life = self.lives[range_.life]
        if life.ended:
            return
        for worker in self.of(life.sinks):
            if self.drops(worker, range_):
                self.workers[worker].say(COPIED, range_.life, range_.number, False)
                continue
            self.keep(worker, life, range_)
            if range_.kind == "q":
                assert not range_.rows and not range_.absent
                keys = self.missing(worker, life)
                if keys:
                    self.workers[worker].say(MISSING, life.number, pack_keys(keys))
            self.workers[worker].say(COPIED, range_.life, range_.number, True)

    def keep(self, worker, life, range_):
        table = self.rows.setdefault((worker[0], life.full_name()), {})
        for row in range_.rows:
            table[tuple(v for v, c in zip(row, life.raw_columns) if c[1])] = tuple(row)
        for row in range_.absent:
            table.pop(tuple(v for v, c in zip(row, life.raw_columns) if c[1]), None)
        if range_.kind != "b":
            return
        note = self.notes.setdefault((*worker, life.part), [0, "", ""])
        if note[0] != range_.file or note[1] != life.definition:
            note[:] = [range_.file, life.definition, ""]
        note[2] += ("," if note[2] else "") + range_.span()

    # ---- the stream ----

    def take(self, e):
        kind = e[0]
        self.frames.append(e)
        if kind == TABLE:
            table = Life(e)
            if table.number > 0:
                self.lives[table.number] = table
            if self.silent:
                self.unanswered.append(table)
            else:
                self.answer(table)
        elif kind == TABLE_END and e[2] == "l":
            assert e[1] == 0
            for worker in self.workers:
                self.workers[worker].say(TABLE_STATE, 0, 0, 0, "h", True, b"")
            self.listed += 1
        elif kind == TABLE_END:
            self.lives[e[1]].ended = e[2]
            if e[2] == "d":
                for worker in self.of(self.lives[e[1]].sinks):
                    self.notes[(*worker, self.lives[e[1]].part)] = None
        elif kind == RANGE:
            assert self.open_range is None
            self.open_range = Range(e)
            assert self.lives[self.open_range.life].ended is None
        elif kind in (ROWS, ABSENT):
            self.add_rows(e)
        elif kind == RANGE_END:
            r, self.open_range = self.open_range, None
            assert e[1:3] == [r.life, r.number] and e[4] == len(r.rows) + len(r.absent), (e, r.rows, r.absent)
            r.end = e[3]
            self.ranges.append(r)
            if self.holds(r):
                self.held.append(r)
            else:
                self.write(r)
        elif kind == 3:
            self.end_reason = e[1]

    def add_rows(self, e):
        life = self.lives[e[1]]
        r = self.open_range
        assert e[1:3] == [r.life, r.number]
        new = unpack_rows(e[4])
        assert len(new) == e[3] and len(e[5]) == 8 * e[3]
        (r.rows if e[0] == ROWS else r.absent).extend(new)
        r.bytes += len(e[4])
        for i, row in enumerate(new[:20]):
            hash_, = struct.unpack_from(">Q", e[5], 8 * i)
            assert hash_ == key_hash(life.relid, [tuple(c) for c in life.raw_columns], row,
                                     life.identity)

    def step(self, seconds):
        """False: the output has ended."""
        ready = select.select([self.process.stdout], [], [], seconds)[0]
        if not ready:
            return True
        data = os.read(self.process.stdout.fileno(), 1 << 20)
        for e in self.incoming.frames(data):
            self.take(e)
        return bool(data)

    def until(self, condition, seconds=30):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "waited in vain:\n" + self.log()
            if not self.step(0.05):
                assert condition(), "the output has ended:\n" + self.log()
        return self

    def for_a_while(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.step(0.05)
        return self

    def finished(self, name, life_end="d"):
        return any(l.ended == life_end and l.full_name() == name for l in self.lives.values())

    def copied(self, *names, seconds=30):
        return self.until(lambda: all(self.finished(n) for n in names), seconds)

    def same(self, name, columns, sink="dst", source=None):
        """The sink has the rows that the source has."""
        text = sql("select jsonb_build_array(%s) from %s" % (columns, source or name))
        expected = sorted(json.dumps(json.loads(l)) for l in text.splitlines())
        got = sorted(json.dumps(list(r)) for r in self.rows.get((sink, name), {}).values())
        assert got == expected, (len(got), len(expected), got[:3], expected[:3])

    # ---- the end ----

    def log(self):
        with open(self.log_path) as log:
            return log.read()

    def exit(self, code, pattern=""):
        deadline = time.monotonic() + 30
        while self.process.poll() is None and time.monotonic() < deadline:
            self.step(0.05)
        while self.step(0.01):
            if not select.select([self.process.stdout], [], [], 0)[0]:
                break
        got = self.process.wait(1)
        assert got == code, "exit %r, not %d:\n%s" % (got, code, self.log())
        assert re.search(pattern, self.log()), "%r is not in the log:\n%s" % (pattern, self.log())
        return self

    def kill(self):
        for process in self.process, self.ackd.process:
            if process.poll() is None:
                process.kill()
            process.wait()
        return self

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if error[0] is not None:
            sys.stderr.write(self.log())
        self.kill()
        self.ackd.__exit__(*error)


def pack_keys(keys):
    return b"".join(msgpack.packb(list(k)) for k in keys)
