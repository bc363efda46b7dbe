"""progress.py: whether a pipeline gets on, however slowly, or hangs. Knows no world.

The slot stands still while a large transaction is applied. What moves then are the changes that the
workers have made durable. ackd counts them for each run of the pipeline, and every run begins at the
slot: so a worker gets on when it has more than in any run since the slot moved. What is sent twice
counts once, and a pipeline that fails at the same change again and again does not get on.

A worker that reports only at the end of a transaction (sink-pg) is granted the processor time that
its sink uses, but for GRANTED times the patience at most, since a sink may also be busy for ever."""

import time

LOOK = 0.5  # seconds between two looks
WORKED = 20  # hundredths of a second that a busy sink computes in the time of patience
GRANTED = 6


class Progress:
    def __init__(self, pipeline, patience, clock=time.monotonic):
        self.pipeline, self.patience, self.clock = pipeline, patience, clock
        self.where, self.best, self.worked = None, {}, 0
        self.moved = self.granted = clock()
        self.looked = self.moved - LOOK

    def hangs(self, where):
        """Called again and again with the slot's LSN; true when nothing moved for the time of patience."""
        now = self.clock()
        if now - self.looked < LOOK:
            return False
        self.looked = now
        if self.gets_on(where):
            self.moved = self.granted = now
            self.worked = self.pipeline.worked()
        if now - self.granted <= self.patience:
            return False
        worked = self.pipeline.worked()
        if worked - self.worked < WORKED or now - self.moved > GRANTED * self.patience:
            return True
        self.granted, self.worked = now, worked
        return False

    def gets_on(self, where):
        moved = where != self.where
        if moved:
            self.where, self.best = where, {}
        more = {w: n for w, n in self.pipeline.durable().items() if n > self.best.get(w, 0)}
        self.best.update(more)
        return moved or bool(more)

    def text(self):
        done = ", ".join(f"{w} {n}" for w, n in sorted(self.best.items()))
        return f"nothing moved for {self.clock() - self.moved:.0f} s; changes beyond the slot: {done or 'not known'}"
