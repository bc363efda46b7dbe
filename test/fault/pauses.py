"""pauses.py: walpipe pause and resume in the torture test, at random moments, also while the pipeline does
not run. Now and then the command is killed itself. watch.py sees whether the slot passes a paused sink."""

import collections
import os
import re
import subprocess
import time

from rig import Failure

SINKS = ("one", "three", "olap", "nocopy")
PATIENCE = 200  # seconds; a command waits a minute for the programs, and a second one follows
ODD = re.compile(r"AddressSanitizer|LeakSanitizer|runtime error:")


class Pauses:
    def __init__(self, rig, random, faults):
        self.rig = rig
        self.random = random
        self.faults = faults
        self.commands = []  # (process, what, when to kill it)
        self.counts = collections.Counter()

    def paused(self):
        return [s for s in SINKS if os.path.exists("%s/state/paused.%s" % (self.rig.pipeline.dir, s))]

    def act(self):
        """One command at a time, since they exclude each other."""
        self.look()
        if self.commands:
            return
        paused = self.paused()
        if paused and (len(paused) == len(SINKS) - 1 or self.random.random() < 0.4):
            self.begin("resume", self.random.choice(paused))
        else:
            self.begin("pause", self.random.choice([s for s in SINKS if s not in paused]))

    def begin(self, verb, sink):
        pipeline = self.rig.pipeline
        process = subprocess.Popen([pipeline.bin + "/walpipe", verb, "-c", pipeline.conf, "--sink", sink],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        kill = time.monotonic() + self.random.choice((0.01, 0.05, 0.2, 0.5, 1, 2)) if self.random.random() < 0.3 else None
        self.commands = [(process, verb, kill)]
        self.faults.note(verb + " a sink", sink + (", and kill the command" if kill else ""))

    def look(self):
        for process, verb, kill in self.commands:
            if process.poll() is None and kill is not None and time.monotonic() > kill:
                process.kill()
                process.wait()
            if process.poll() is None:
                return
            self.ended(process, verb)
        self.commands = []

    def ended(self, process, verb):
        text = process.stdout.read().decode()
        process.stdout.close()
        self.counts["%s: exit code %d" % (verb, process.returncode)] += 1
        if not (self.faults.ended_well(process.returncode) or process.returncode == -9) or ODD.search(text):
            raise Failure("walpipe %s ended with %d: %s" % (verb, process.returncode, text))
        if verb == "resume" and process.returncode == 100:  # the sink is paused again
            self.faults.poisons.skip_named(self.faults)

    def end(self, check):
        """No sink is paused any more, and the commands say so."""
        end = time.monotonic() + PATIENCE
        while self.commands or self.paused():
            check()
            self.look()
            if not self.commands and self.paused():
                process = subprocess.Popen([self.rig.pipeline.bin + "/walpipe", "resume", "-c", self.rig.pipeline.conf],
                                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                self.commands = [(process, "resume", None)]
            if time.monotonic() > end:
                raise Failure("sinks stay paused: %r" % self.paused())
            time.sleep(0.05)
