"""program.py: walpipe run, as a process that worlds start, stop and kill, and what its log says."""

import json
import os
import re
import signal
import subprocess
import time
import urllib.request


class Gone(Exception):
    """walpipe ended by itself."""

    def __init__(self, code):
        super().__init__(f"walpipe ended with {code}")
        self.code = code


class Hang(Exception):
    pass


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return [int(p) for p in f.read().split()]
    except OSError:
        return []


def name_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline") as f:
            return os.path.basename(f.read().split("\0")[0])
    except OSError:
        return ""


def processor_time(pid):
    """In hundredths of a second."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return sum(int(n) for n in f.read().rpartition(")")[2].split()[11:13])
    except OSError:
        return 0


DURABLE = re.compile(r'^replicator_events_processed_total\{pipeline="[^"]*",sink="([^"]*)",shard="(\d+)"\} (\d+)$', re.M)
DRAIN_TOO_LONG = "could not drain the pipeline within"  # walpipe's words when it kills after 60 s
NOTED = "noted in walpipe.whole"
DRAIN = 20  # seconds of that without a durable change are a hang


class Pipeline:
    sink, http = "pg", None  # http: where ackd tells its numbers

    def __init__(self, env, config, patience):
        self.bin, self.env, self.config, self.patience = env["WALPIPE_BIN"], env, config, patience
        self.log = config + ".log"
        self.process, self.streams = None, 0
        open(self.log, "w").close()

    def command(self, *words):
        return [os.path.join(self.bin, "walpipe"), *words, "-c", self.config]

    def refuses_key(self):
        """Whether the config file has a key that this walpipe does not know."""
        done = subprocess.run(self.command("print"), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              env=self.env)
        return "unknown key" in done.stdout + done.stderr

    def start(self):
        self.streams = self.count("streaming from slot")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command("run"), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=self.env, start_new_session=True)

    def text(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def count(self, words):
        return self.text().count(words)

    def look(self):
        """Raises Gone where it ended without being told."""
        if self.process is not None and self.process.poll() is not None:
            code, self.process = self.process.returncode, None
            raise Gone(code)

    def wait_for(self, what, condition, seconds=None):
        end = time.monotonic() + (seconds or self.patience)
        while not condition():
            self.look()
            if time.monotonic() > end:
                raise Hang(f"waited {seconds or self.patience} s in vain: {what}")
            time.sleep(0.03)

    def retries(self):
        """How often the sink tried in vain."""
        return self.count("waiting for the target")

    def durable(self):
        """{worker: changes it has made durable in this run}; empty while ackd is not there."""
        if self.http is None:
            return {}
        try:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(f"http://{self.http}/metrics", timeout=5) as answer:
                page = answer.read().decode()
        except OSError:
            return {}
        return {f"{sink}/{worker}": int(n) for sink, worker, n in DURABLE.findall(page)}

    def worked(self):
        """Processor time of its sinks; none where durable() says what they do."""
        if self.http is not None:
            return 0
        return sum(processor_time(p) for p in children(self.process.pid) if name_of(p).startswith("sink-"))

    def wait_streaming(self):
        self.wait_for("streaming", lambda: self.count("streaming from slot") > self.streams)

    def stop(self):
        """SIGTERM; it must drain. Before it streams, a signal ends it at once, which is right too."""
        self.wait_streaming()
        killed, noted = self.count(DRAIN_TOO_LONG), self.count(NOTED)
        self.process.send_signal(signal.SIGTERM)
        code, got_on = self.drained()
        self.process = None
        # neither a slow target nor another layout is a fault: what was not drained comes again
        slow = got_on and self.count(DRAIN_TOO_LONG) > killed
        if code != 0 and not slow and not (code == 111 and self.count(NOTED) > noted):
            raise Gone(code)

    def drained(self):
        """Its exit code, and whether its workers got on to the end."""
        now = time.monotonic()
        best, moved, looked, end = sum(self.durable().values()), now - DRAIN, now, now + self.patience + 65
        while self.process.poll() is None:
            now = time.monotonic()
            if now > end:
                raise Hang("SIGTERM did not end it")
            if now - looked > 0.5:
                done, looked = sum(self.durable().values()), now
                best, moved = (done, now) if done > best else (best, moved)
            time.sleep(0.02)
        return self.process.returncode, time.monotonic() - moved < DRAIN

    def kill(self, program):
        """SIGKILL to walpipe, or to one of its programs, which the unit must survive."""
        self.look()
        if program == "walpipe":
            mine = children(self.process.pid)
            self.process.kill()
            self.process.wait()
            self.process = None
            end = time.monotonic() + 20
            while any(name_of(p) for p in mine):
                if time.monotonic() > end:
                    raise Hang("walpipe was killed, its programs live on")
                time.sleep(0.02)
            return
        self.wait_streaming()
        program = program if program != "sink-pg" or self.sink == "pg" else "sink-ch"
        before = self.count("streaming from slot")
        for pid in children(self.process.pid):
            if name_of(pid) == program:
                self.streams = before
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                break

    def end(self):
        """Whatever state it is in."""
        if self.process is not None:
            mine = children(self.process.pid)
            self.process.kill()
            self.process.wait()
            self.process = None
            end = time.monotonic() + 20
            while any(name_of(p) for p in mine) and time.monotonic() < end:
                time.sleep(0.02)

    # ---- the log ----

    def entries(self):
        for line in self.text().split("\n"):
            try:
                yield json.loads(line)
            except ValueError:
                continue

    def last_error(self):
        errors = [e for e in self.entries() if e.get("level") == "error"]
        errors = [e for e in errors if e.get("program") != "walpipe"] or errors  # it only blames another
        fatal = [e for e in errors if e.get("exit_code") == 100]
        return (fatal or errors or [{}])[-1]

    def last_words(self, words):
        return [line for line in self.text().split("\n") if words in line][-1][:400]

    def sanitizer(self):
        """The first line of a sanitizer's finding, or of one of walpipe's own bugs."""
        for line in self.text().split("\n"):
            if re.search(r"Sanitizer|runtime error:|ended with exit code (101|99)", line):
                return line[:300]
        return None

    def check(self):
        """walpipe check: (exit code, its lines that are not ok)."""
        done = subprocess.run(self.command("check"), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              env=self.env, timeout=120)
        out = done.stdout + done.stderr
        return done.returncode, [line for line in out.split("\n") if line and not line.startswith("ok")]
