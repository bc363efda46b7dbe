"""faults.py: what can go wrong, at random. Each fault says what it did and how it is undone."""

import heapq
import os
import random
import signal
import time

from rig import LINKS, Failure

PG_LINKS = ("one", "three")


class Faults:
    def __init__(self, rig, seed):
        self.rig = rig
        self.random = random.Random("%s faults" % seed)
        self.undo = []  # (time, number, what, function)
        self.number = 0
        self.began = time.monotonic()
        self.log = []
        self.counts = {}
        self.down = set()  # servers, and "walpipe"
        self.drained = 0
        self.kinds = [
            (14, self.kill_program), (10, self.stop_program), (3, self.kill_walpipe),
            (1, self.stop_walpipe), (2, self.drain_walpipe), (3, self.crash_source),
            (3, self.crash_target), (2, self.crash_clickhouse), (4, self.stall), (3, self.delay),
            (4, self.cut), (6, self.cut_at_byte), (2, self.refuse), (6, self.cut_at_commit),
            (5, self.cut_at_request)]

    def note(self, kind, text):
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.say("%s: %s" % (kind, text))

    def say(self, text):
        self.log.append("%9.3f %s" % (time.monotonic() - self.began, text))

    def later(self, seconds, what, function):
        self.number += 1
        heapq.heappush(self.undo, (time.monotonic() + seconds, self.number, what, function))

    def undo_due(self, everything=False):
        while self.undo and (everything or self.undo[0][0] <= time.monotonic()):
            _, _, what, function = heapq.heappop(self.undo)
            self.say("  " + what)
            function()

    def inject(self):
        weights = [w for w, _ in self.kinds]
        self.random.choices([f for _, f in self.kinds], weights)[0]()

    def for_a_while(self, seconds, check):
        """Faults at random moments; check is called often."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.inject()
            pause = min(end, time.monotonic() + self.random.choice((0, 0.05, 0.2, 0.4, 0.8)))
            while True:
                self.undo_due()
                check()
                if time.monotonic() >= pause:
                    break
                time.sleep(0.02)

    def all_well(self):
        """Takes every fault back."""
        self.undo_due(everything=True)
        for link in LINKS:
            self.rig.tell(link, "pass")
        for pid in self.rig.pipeline.everybody():
            self.send(pid, signal.SIGCONT)

    @staticmethod
    def send(pid, signo):
        try:
            os.kill(pid, signo)
        except ProcessLookupError:
            pass

    # ---- programs ----

    def any_program(self):
        children = self.rig.pipeline.children()
        if not children:
            return None, None
        pid = self.random.choice(sorted(children))
        return pid, children[pid]

    def kill_program(self):
        pid, name = self.any_program()
        if pid is None:
            return
        self.note("kill " + name, "pid %d" % pid)
        self.send(pid, signal.SIGKILL)

    def stop_program(self):
        pid, name = self.any_program()
        if pid is None:
            return
        seconds = self.random.uniform(0.2, 3)
        self.note("stop " + name, "pid %d for %.1f s" % (pid, seconds))
        self.send(pid, signal.SIGSTOP)
        self.later(seconds, "SIGCONT to %d" % pid, lambda: self.send(pid, signal.SIGCONT))

    def start_walpipe(self):
        self.rig.pipeline.start()
        self.down.discard("walpipe")

    def kill_walpipe(self):
        if "walpipe" in self.down:
            return
        self.note("kill walpipe", "pid %d" % self.rig.pipeline.process.pid)
        self.down.add("walpipe")
        self.rig.pipeline.kill()
        self.later(self.random.choice((0, 0.5)), "walpipe starts", self.start_walpipe)

    def stop_walpipe(self):
        if "walpipe" in self.down:
            return
        process, seconds = self.rig.pipeline.process, self.random.uniform(0.2, 2)
        self.note("stop walpipe", "for %.1f s" % seconds)
        self.send(process.pid, signal.SIGSTOP)
        self.later(seconds, "SIGCONT to walpipe",
                   lambda: process.poll() is None and self.send(process.pid, signal.SIGCONT))

    def drain_walpipe(self):
        if "walpipe" in self.down or self.down:
            return
        self.all_well()
        self.down.add("walpipe")
        code = self.rig.pipeline.drain()
        self.note("drain walpipe", "exit code %d" % code)
        if code not in (0, 111):
            raise Failure("walpipe was told to drain and ended with %d" % code)
        self.drained += code == 0
        self.start_walpipe()

    # ---- servers ----

    def crash(self, server, ways, start):
        if server in self.down:
            return
        way = self.random.choice(ways)
        self.note("%s %s" % (way.split()[0].replace("_", " "), server), way)
        self.down.add(server)
        self.rig.servers.bash("%s %s %s" % (way.split()[0], server, " ".join(way.split()[1:])))

        def again():
            self.rig.servers.bash("%s %s" % (start, server))
            self.down.discard(server)
        self.later(self.random.choice((0, 0, 0.5, 1.5)), server + " starts", again)

    def crash_source(self):
        self.crash("source", ("pg_stop immediate", "pg_kill", "pg_stop fast"), "pg_start")

    def crash_target(self):
        self.crash("target", ("pg_stop immediate", "pg_kill", "pg_stop fast"), "pg_start")

    def crash_clickhouse(self):
        self.crash("olap", ("ch_kill",), "ch_start")

    # ---- connections ----

    def link(self, kind, *words, links=LINKS, seconds=None):
        name = self.random.choice(links)
        self.note("%s %s" % (kind, name), " ".join(words))
        self.rig.tell(name, *words)
        if seconds is not None:
            self.later(seconds, name + " passes again", lambda: self.rig.tell(name, "pass"))

    def stall(self):
        self.link("stall", "stall", seconds=self.random.uniform(0.3, 4))

    def delay(self):
        self.link("delay", "delay", str(self.random.randrange(5, 300)),
                  seconds=self.random.uniform(0.5, 3))

    def cut(self):
        self.link("cut", "cut")

    def cut_at_byte(self):
        self.link("cut at a byte", "bytes", self.random.choice(("up", "up", "down")),
                  str(int(10 ** self.random.uniform(0.5, 4.5))))

    def refuse(self):
        self.link("refuse", "refuse", seconds=self.random.uniform(0.2, 2))

    def cut_at_commit(self):
        self.link("cut at COMMIT", "commit", self.random.choice(("before", "after", "after")),
                  str(self.random.choice((1, 1, 3))), links=PG_LINKS)

    def cut_at_request(self):
        self.link("cut at a request", self.random.choice(("answer", "body")),
                  str(self.random.choice((1, 1, 3))), links=("olap",))
