"""faults.py: what can go wrong, at random. Each fault says what it did and how it is undone."""

import heapq
import os
import random
import signal
import time

from detaches import Detaches
from parks import Parks
from pauses import Pauses
from poisons import Poisons
from resyncs import Resyncs
from rig import LINKS, Failure, proc_state

PG_LINKS = ("one", "three")
WORKS = 15  # seconds, at most, until a pipeline that is left alone works
COPIES = 60  # seconds, at most, until all tables are copied while clients write
RESYNCS = 30  # seconds of a round, at most, for tables that are copied again


class Faults:
    def __init__(self, rig, seed, lives):
        self.rig = rig
        self.lives = lives
        self.resyncs = Resyncs(rig, lives, lambda: random.Random(self.random.random()))
        self.random = random.Random("%s faults" % seed)
        self.poisons = Poisons(rig, random.Random("%s poisons" % seed))
        self.pauses = Pauses(rig, random.Random("%s pauses" % seed), self)
        self.detaches = Detaches(rig, random.Random("%s detaches" % seed), self)
        self.parks = Parks(rig, lives, random.Random("%s parks" % seed))
        self.undo = []  # (time, number, what, function)
        self.number = 0
        self.began = time.monotonic()
        self.log = []
        self.counts = {}
        self.down = set()  # servers, and "walpipe"
        self.drained = 0
        self.killed = 0  # programs, walpipe, servers: with no chance to tidy up
        self.revived = 0
        self.kinds = [
            (28, self.kill_program), (10, self.kill_several), (6, self.kill_walpipe),
            (2, self.drain_and_kill), (5, self.crash_source), (5, self.crash_target),
            (4, self.crash_clickhouse), (9, self.stop_program), (1, self.stop_walpipe),
            (2, self.drain_walpipe), (3, self.stall), (2, self.delay), (3, self.cut),
            (5, self.cut_at_byte), (1, self.refuse), (6, self.cut_at_commit),
            (5, self.cut_at_request), (6, self.add_table), (4, self.drop_table),
            (4, self.copy_again), (5, self.pause_or_resume), (3, self.poison),
            (6, self.resync), (2, self.resync_stopped), (3, self.rewrite)] + [
                (4, self.detach), (8, self.park_or_resume)] * rig.pipeline.aside

    def note(self, kind, text, kill=False):
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.killed += kill
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
            pause = min(end, time.monotonic() + self.random.choice((0, 0.05, 0.2, 0.4, 0.8, 1.2)))
            self.revive()
            if self.detaches.hopes() and self.random.random() < 0.5:
                self.work_until(lambda: not self.detaches.hopes(), min(end, time.monotonic() + WORKS), check)
            if self.random.random() < 0.06:  # the next fault meets a pipeline that works
                self.work_for(self.random.choice((0, 0.5, 2, 4)), min(end, time.monotonic() + WORKS), check)
            while True:
                self.undo_due()
                self.pauses.look()
                self.parks.look()
                check()
                if time.monotonic() >= pause:
                    break
                time.sleep(0.02)

    def work_until(self, condition, latest, check):
        """Nothing new happens until then."""
        while not condition() and time.monotonic() < latest:
            self.undo_due()
            self.revive()
            self.pauses.look()
            check()
            time.sleep(0.05)

    def work_for(self, seconds, latest, check):
        """From when all workers are there."""
        streams = False
        end = latest
        while time.monotonic() < end:
            self.undo_due()
            self.revive()
            check()
            if not streams and self.rig.pipeline.streams():
                streams, end = True, min(latest, time.monotonic() + seconds)
            time.sleep(0.05)

    def resync_in_peace(self, check):
        """Where faults come fast a pipeline seldom begins a resync: few faults, while clients write."""
        self.all_well()
        self.revive()
        self.pauses.end(check)
        self.poisons.remove()
        self.parks.end(check, self.revive)
        self.await_copies(check)
        for ask in (self.resync, self.resync):
            ask()
            pause = time.monotonic() + self.random.choice((1, 2, 4, 8))
            while time.monotonic() < pause:
                check()
                time.sleep(0.02)
        self.random.choice((self.kill_program, self.kill_several, self.crash_target, self.kill_walpipe,
                            self.rewrite, self.cut_at_commit))()
        end = time.monotonic() + RESYNCS
        while self.resyncs.are_asked() and time.monotonic() < end:
            self.undo_due()
            self.revive()
            check()
            time.sleep(0.05)

    def keep_out_in_peace(self, check):
        """A target lets nobody in for so long that its sink is detached."""
        self.all_well()
        self.revive()
        self.pauses.end(check)
        self.await_copies(check)
        self.detaches.fail(check)
        self.kill_program()

    def await_copies(self, check):
        """All tables stream, if clients and a busy machine let them."""
        end = time.monotonic() + COPIES
        while time.monotonic() < end:
            self.revive()
            check()
            if self.rig.pipeline.streams() and not self.lives.unfinished()[0]:
                return
            time.sleep(0.2)

    def all_well(self):
        """Takes every fault back."""
        self.undo_due(everything=True)
        for link in LINKS:
            self.rig.tell(link, "pass")
        for pid in self.rig.pipeline.everybody():
            self.send(pid, signal.SIGCONT)

    @staticmethod
    def send(pid, signo):
        # SIGCONT to a program that ends would take back the stop of the leak check's ptrace, and the
        # check would wait for ever.
        if signo == signal.SIGCONT and proc_state(pid) != "T":
            return
        try:
            os.kill(pid, signo)
        except ProcessLookupError:
            pass

    # ---- programs ----

    def any_program(self):
        """Each kind of program as often as another, however many run."""
        children = self.rig.pipeline.children()
        if not children:
            return None, None
        name = self.random.choice(sorted(set(children.values())))
        return self.random.choice(sorted(p for p in children if children[p] == name)), name

    def kill_program(self):
        pid, name = self.any_program()
        if pid is None:
            return
        self.note("kill " + name, "pid %d" % pid, kill=True)
        self.send(pid, signal.SIGKILL)

    def kill_several(self):
        children = self.rig.pipeline.children()
        for pid in self.random.sample(sorted(children), min(len(children),
                                                            self.random.choice((2, 3, 4)))):
            self.note("kill " + children[pid], "pid %d, one of several" % pid, kill=True)
            self.send(pid, signal.SIGKILL)

    def stop_program(self):
        pid, name = self.any_program()
        if pid is None:
            return
        seconds = self.random.uniform(0.2, 3)
        self.note("stop " + name, "pid %d for %.1f s" % (pid, seconds))
        self.send(pid, signal.SIGSTOP)
        self.later(seconds, "SIGCONT to %d" % pid, lambda: self.send(pid, signal.SIGCONT))

    def ended_well(self, code):
        """100 where a transaction is under way that a target cannot take."""
        return code in (0, 111) or code == 100 and self.poisons.pending

    def start_walpipe(self):
        if self.rig.pipeline.aside:
            self.parks.choose_ways()
        self.rig.pipeline.start()
        self.down.discard("walpipe")

    def kill_walpipe(self):
        if "walpipe" in self.down:
            return
        self.note("kill walpipe", "pid %d" % self.rig.pipeline.process.pid, kill=True)
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
        if self.down:
            return
        self.all_well()
        self.down.add("walpipe")
        code = self.rig.pipeline.drain()
        self.note("drain walpipe", "exit code %d" % code)
        if not self.ended_well(code):
            raise Failure("walpipe was told to drain and ended with %d" % code)
        self.drained += code == 0
        self.start_walpipe()

    def drain_and_kill(self):
        """A program dies while all are told to finish: nobody may wait for it for ever."""
        if "walpipe" in self.down:
            return
        pipeline, process = self.rig.pipeline, self.rig.pipeline.process
        pipeline.wait_until_begun()
        self.note("drain walpipe, and kill", "pid %d" % process.pid)
        self.send(process.pid, signal.SIGTERM)
        time.sleep(self.random.choice((0, 0.01, 0.05)))
        self.kill_program()
        self.down.add("walpipe")
        self.all_well()
        code = pipeline.drain(told=True)
        if not self.ended_well(code):
            raise Failure("walpipe was told to drain, lost a program and ended with %d" % code)
        self.start_walpipe()

    def revive(self):
        """walpipe's backoff grows where faults come so fast: rather begin it anew, as an impatient
        person would."""
        pipeline = self.rig.pipeline
        if "walpipe" in self.down or not pipeline.alive() or not pipeline.waits():
            return
        self.revived += 1
        if self.random.random() < 0.3:
            self.say("walpipe waits: told to stop, and started again")
            code = pipeline.drain()
            # it may have begun to start again at that moment
            if not self.ended_well(code):
                raise Failure("walpipe was told to stop while it waited and ended with %d" % code)
        else:
            self.say("walpipe waits: killed, and started again")
            pipeline.kill()
        pipeline.start()

    # ---- servers ----

    def crash(self, server, ways, start):
        if server in self.down:
            return
        way = self.random.choice(ways)
        kill = way != "pg_stop fast"
        self.note("%s %s" % ("kill" if kill else "stop", server), way, kill)
        self.down.add(server)
        self.rig.servers.bash("%s %s %s" % (way.split()[0], server, " ".join(way.split()[1:])))

        def again():
            self.rig.servers.bash("%s %s" % (start, server))
            self.down.discard(server)
        self.later(self.random.choice((0, 0, 0.5, 1.5)), server + " starts", again)

    def crash_source(self):
        self.crash("source", ("pg_stop immediate", "pg_stop immediate", "pg_kill", "pg_kill", "pg_stop fast"),
                   "pg_start")

    def crash_target(self):
        self.crash("target", ("pg_stop immediate", "pg_stop immediate", "pg_kill", "pg_kill", "pg_stop fast"),
                   "pg_start")

    def crash_clickhouse(self):
        self.crash("olap", ("ch_kill",), self.rig.servers.olap + "_start")

    # ---- tables ----

    def add_table(self):
        self.lives.add(self)

    def drop_table(self):
        self.lives.drop(self)

    def copy_again(self):
        self.lives.again(self)

    def rewrite(self):
        self.lives.rewrite(self)

    def poison(self):
        self.poisons.act(self)

    def pause_or_resume(self):
        self.pauses.act()

    def detach(self):
        self.detaches.act()

    def park_or_resume(self):
        self.parks.act(self)

    def resync(self):
        self.resyncs.ask(self)

    def resync_stopped(self):
        if self.down:
            return
        self.lives.stop_pipeline(self)
        self.resyncs.stopped(self)
        self.start_walpipe()

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
