"""pauses.py: walpipe pause and resume in the torture test, at random moments, also while the pipeline does
not run. Now and then the command is killed itself. watch.py sees whether the slot passes a paused sink. Of a
detached sink, detaches.py says when it may come back."""

import collections
import os
import re
import subprocess
import time

from detaches import REFUSED
from rig import Failure

SINKS = ("one", "three", "olap", "nocopy")
PATIENCE = 200  # seconds; a command waits a minute for the programs, and a second one follows
ODD = re.compile(r"AddressSanitizer|LeakSanitizer|runtime error:")


class Pauses:
    def __init__(self, rig, random, faults):
        self.rig = rig
        self.random = random
        self.faults = faults
        self.command = None  # (process, what, when to kill it)
        self.counts = collections.Counter()
        self.said = ""  # by the last one that failed

    def paused(self):
        return [s for s in SINKS if os.path.exists("%s/state/paused.%s" % (self.rig.pipeline.dir, s))]

    def aside(self):
        detached = self.faults.detaches.detached()
        return [s for s in SINKS if s in detached or s in self.paused()]

    def may_pause(self):
        """One command at a time, since they exclude each other. The last sink is neither paused nor detached."""
        return self.command is None and len(self.aside()) < len(SINKS) - 1

    def act(self):
        self.look()
        aside = self.aside()
        if self.command is not None:
            return
        if aside and (not self.may_pause() or self.random.random() < 0.4):
            self.resume(self.random.choice(aside))
        else:
            self.begin("pause", self.random.choice([s for s in SINKS if s not in aside]))

    def resume(self, sink):
        detaches = self.faults.detaches
        if sink not in detaches.detached():
            self.begin("resume", sink)
        elif detaches.prepare(sink):
            self.begin("attach", sink)

    def begin(self, what, sink):
        verb = "resume" if what == "attach" else what
        kill = time.monotonic() + self.random.choice((0.01, 0.05, 0.2, 0.5, 1, 2)) if self.random.random() < 0.3 else None
        self.run(what, [verb, "--sink", sink], kill)
        self.faults.note(verb + (" a detached sink" if what == "attach" else " a sink"),
                         sink + (", and kill the command" if kill else ""))

    def run(self, what, words, kill=None):
        pipeline = self.rig.pipeline
        process = subprocess.Popen([pipeline.bin + "/walpipe", words[0], "-c", pipeline.conf, *words[1:]],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.command = (process, what, kill)

    def attaches(self):
        return self.command is not None and self.command[1] == "attach"

    def look(self):
        self.faults.detaches.look()
        if self.command is None:
            return
        process, what, kill = self.command
        if process.poll() is None and kill is not None and time.monotonic() > kill:
            process.kill()
            process.wait()
        if process.poll() is not None:
            self.command = None
            self.ended(process, what)

    def may_end(self, what, code, text):
        return self.faults.ended_well(code) or code == -9 or (
            code == 100 and what == "attach" and REFUSED.search(text))

    def ended(self, process, what):
        text = process.stdout.read().decode()
        process.stdout.close()
        self.counts["%s: exit code %d" % (what, process.returncode)] += 1
        if not self.may_end(what, process.returncode, text) or ODD.search(text):
            raise Failure("walpipe %s ended with %d: %s" % (what, process.returncode, text))
        if process.returncode != 0:
            self.said = text
            self.faults.say("walpipe %s ended with %d: %s" % (what, process.returncode, text))
        # the sink is paused or detached again
        if process.returncode == 100 and (what == "resume" or what == "attach" and "cannot run with sink" in text):
            self.faults.poisons.skip_named(self.faults)

    def end(self, check):
        """No sink is paused or detached any more, and the commands say so."""
        end = time.monotonic() + PATIENCE
        while self.command is not None or self.aside():
            check()
            self.look()
            detached = self.faults.detaches.detached()
            if self.command is None and detached:
                self.resume(detached[0])
            elif self.command is None and self.paused():
                self.run("resume", ["resume"])
            if time.monotonic() > end:
                raise Failure("sinks stay paused or detached: %r; %s" % (self.aside(), self.said))
            time.sleep(0.05)
