"""What talks to ackd in ackd-*.bats: a fake pg-wal-read and fake workers, and ackd itself as a child.
Messages are in docs/ack.7."""

import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from stream import *  # noqa: E402,F403

RUN = bytes(range(16))
OTHER_RUN = bytes(range(1, 17))
PATIENCE = 10.0
BIN = os.environ.get("WALPIPE_BIN", "build/asan/bin")


class Gone(Exception):
    """ackd closed the connection."""


class Peer:
    def __init__(self, ackd, run=RUN):
        self.run = run
        self.incoming = Incoming()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(ackd.socket_path)
        ackd.peers.append(self)  # alive until the test ends, whoever forgets it

    def raw(self, data):
        self.socket.sendall(data)

    def say(self, kind, *fields, run=None):
        self.raw(frame(kind, self.run if run is None else run, *fields))

    def hear(self, seconds=PATIENCE):
        """The next message as a list, or None when none came in time."""
        deadline = time.monotonic() + seconds
        while True:
            elements = self.incoming.frame()
            if elements is not None:
                return elements
            left = deadline - time.monotonic()
            if not select.select([self.socket], [], [], max(left, 0))[0]:
                return None
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                raise Gone()
            self.incoming.add(data)

    def expect(self, kind, seconds=PATIENCE):
        message = self.hear(seconds)
        assert message is not None, "no message of type %d in %g s" % (kind, seconds)
        assert message[0] == kind, "%r came, type %d was awaited" % (message, kind)
        return message

    def expect_closed(self):
        try:
            message = self.hear()
        except Gone:
            return
        raise AssertionError("%r came, the end of the connection was awaited" % (message,))

    def close(self):
        self.socket.close()


class Reader(Peer):
    def source(self, confirmed, system=7, timeline=1, database="shop", slot="orders", timeout=60000,
               previous=0, switch=0, standby=None):
        self.say(SOURCE, system, timeline, database, slot, 150000, confirmed, timeout, previous,
                 switch, *([] if standby is None else [standby]))

    def waits(self, message, standby=True):
        self.say(WAITING, standby, message)

    def start(self, confirmed, **more):
        self.source(confirmed, **more)
        self.expect(ACCEPTED)
        return self

    def got(self, lsn, reply=False, commit=None):
        self.say(RECEIVED, lsn, reply, *([] if commit is None else [commit]))

    def slot(self, current, restart=1, status="reserved", safe=-1, age=5, full=False):
        self.say(SLOT, current, restart, current - restart, status, safe, age, full)

    def feedback(self, seconds=PATIENCE):
        """(write, flush) of the next feedback, or None when none came in time."""
        while True:
            message = self.hear(seconds)
            if message is None:
                return None
            if message[0] != FEEDBACK:
                raise AssertionError("%r came, feedback was awaited" % (message,))
            write, flush, when, reply = unpack_feedback(message[2])
            assert flush <= write
            self.asked = reply == 1
            assert abs(when / 1e6 + 946684800 - time.time()) < 60
            return write, flush

    def confirmed(self, lsn, seconds=PATIENCE):
        """Reads feedback until flush is lsn; it must never be more, nor go back."""
        last = 0
        while True:
            got = self.feedback(seconds)
            assert got is not None, "%#x was never confirmed, but %#x" % (lsn, last)
            assert last <= got[1] <= lsn, "%#x was confirmed on the way to %#x" % (got[1], lsn)
            last = got[1]
            if last == lsn:
                return got

    def drained(self):
        while True:
            message = self.hear()
            assert message is not None and message[0] in (FEEDBACK, DRAINED), message
            if message[0] == DRAINED:
                return

    def never_more_than(self, lsn, seconds):
        """Whatever is confirmed in that time, it is not more than lsn."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            got = self.feedback(deadline - time.monotonic())
            assert got is None or got[1] <= lsn, "%#x was confirmed" % got[1]


class Worker(Peer):
    def register(self, sink="dst", shard=0, shards=1, durable=0, timeline=None, version=None):
        self.say(REGISTER, "fake", sink, shard, shards, durable,
                 *([] if timeline is None and version is None else [timeline or 0]),
                 *([] if version is None else [version]))

    def start(self, *args, **more):
        self.register(*args, **more)
        self.expect(ACCEPTED)
        return self

    def reached(self, lsn, events=0, rows=0, micros=0, commit=None):
        self.say(REACHED, lsn, events, rows, micros, *([] if commit is None else [commit]))


class Copier(Peer):
    """A fake pg-table-read."""

    def __init__(self, ackd):
        super().__init__(ackd, bytes(16))
        self.say(COPIER, "pg-table-read")

    def start(self):
        self.run = self.expect(RUN_IS)[1]
        return self

    def ask(self, life, *sinks):
        self.say(ASK, life, list(sinks))

    def relayed(self, sink, shard):
        """The message of that worker that is passed on next."""
        got = self.expect(RELAYED)
        assert got[2:4] == [sink, shard], got
        return unpack(got[4])


def unlabelled(metrics, label='pipeline="orders"'):
    """The page without the label that every value has."""
    lines = metrics.split("\n")[:-1]
    for i, line in enumerate(lines):
        if not line.startswith("#"):
            assert re.match(r"\w+\{" + label + "[,}]", line), line
            lines[i] = line.replace("{" + label + "}", "", 1).replace(label + ",", "", 1)
    return "\n".join(lines) + "\n"


class Ackd:
    def __init__(self, sinks="dst=1", state=None, extra=(), pipeline="orders"):
        self.own = state is None
        self.peers = []
        self.state = tempfile.mkdtemp(prefix="ackd.") if state is None else state
        self.socket_path = os.path.join(self.state, "ackd.sock")
        self.checkpoint_path = os.path.join(self.state, "checkpoint")
        self.log_path = tempfile.mktemp(prefix="ackd-log.")
        argv = [os.path.join(BIN, "ackd"), "--socket", self.socket_path, "--state", self.state,
                "--pipeline", pipeline, "--log-level", "debug"]
        for sink in sinks.split():
            argv += ["--sink", sink]
        argv += extra
        with open(self.log_path, "w") as log:
            self.process = subprocess.Popen(argv, stderr=log, stdout=log)

    def log(self):
        with open(self.log_path) as log:
            return log.read()

    def wait_log(self, pattern):
        """The match of pattern, waited for."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = re.search(pattern, self.log())
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError("%r is not in the log:\n%s" % (pattern, self.log()))

    def ready(self):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                probe.connect(self.socket_path)
                return self
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.02)
            finally:
                probe.close()
        raise AssertionError("ackd does not listen:\n" + self.log())

    def exit(self, code, pattern=""):
        got = self.process.wait(PATIENCE)
        assert got == code, "exit %d, not %d:\n%s" % (got, code, self.log())
        assert re.search(pattern, self.log()), "%r is not in the log:\n%s" % (pattern, self.log())
        return self

    def kill(self):
        self.process.kill()
        self.process.wait()
        return self

    def checkpoint(self):
        with open(self.checkpoint_path) as f:
            return dict(line.rstrip("\n").split("=", 1) for line in f)

    def safe(self):
        high, low = self.checkpoint()["safe_lsn"].split("/")
        return int(high, 16) << 32 | int(low, 16)

    def http(self, path, method="GET", body=None):
        """(status, body) of a request to the port that the log names."""
        port = self.wait_log(r"HTTP on \S+, port (\d+)").group(1)
        request = urllib.request.Request("http://127.0.0.1:%s%s" % (port, path), method=method,
                                         data=body)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                text = answer.read().decode()
                return answer.status, unlabelled(text) if path == "/metrics" else text
        except urllib.error.HTTPError as answer:
            return answer.code, answer.read().decode()

    def wait_http(self, path, status, line):
        """Until the page has this status and a line that begins so."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            got = self.http(path)
            if got[0] == status and any(l.startswith(line) for l in got[1].splitlines()):
                return
            time.sleep(0.02)
        raise AssertionError("%s is not %d with %r: %r" % (path, status, line, got))

    def __enter__(self):
        return self.ready()

    def __exit__(self, *error):
        if error[0] is not None:
            sys.stderr.write(self.log())
        if self.process.poll() is None:
            self.kill()
        os.unlink(self.log_path)
        if self.own:
            shutil.rmtree(self.state, ignore_errors=True)


def sealed(text):
    """Checkpoint text with the check line that belongs to it."""
    h = 0xcbf29ce484222325
    for byte in text.encode():
        h = (h ^ byte) * 0x100000001b3 % 2**64
    return text + "check=%016x\n" % h
