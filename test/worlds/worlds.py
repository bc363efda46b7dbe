#!/usr/bin/python3
"""worlds.py: random set-ups: whatever source, target and config look like, a world ends equal or refused.

    worlds.py [--seed N] [--seconds S] [--worlds N] [--kinds typed,merged] ...
    worlds.py --fixed                       the small worlds of fixed.py
    worlds.py --world SEED.N [--shrink]     one of them again, with all that it does

Each world is a source, a target, a config and a short history, made from the seed; the oracle is in
oracle.py. One line per world, a summary at the end. Exit 0: no fault; 1: at least one."""

import argparse
import collections
import copy
import json
import os
import random
import re
import sys
import time
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

import fixed  # noqa: E402
import make  # noqa: E402
import script  # noqa: E402
import shrink  # noqa: E402
import world as worlds  # noqa: E402
from servers import Failure, ROOT, Servers  # noqa: E402


def describe(world):
    kinds = ", ".join(u["kind"] + (f" ({u['note']})" if u.get("note") else "") for u in world["units"])
    config = " ".join(f"{k}={v}" for k, v in world["config"].items())
    role = "" if world["role"] == "postgres" else f" role={world['role']}"
    role += " copy" if world.get("copy") else ""
    role += " pub2" if world.get("more publications") else ""
    role += " leaves" if world.get("leaves") else ""
    resyncs = sum(s["do"] == "resync" for s in world["steps"])
    role += f" resyncs={resyncs}" if resyncs else ""
    for step in world["steps"]:
        if step["do"] == "config":
            config += ", then " + " ".join(f"{k}={v}" for k, v in step["config"].items())
    if world.get("topology", "one") != "one":
        role += f" topology={world['topology']}"
    target = world["target"] if world.get("sink", "pg") == "pg" else world["sink"]
    return f"{world['source']}->{target} {kinds}; {config}{role}"


class Session:
    def __init__(self, options, servers):
        self.options, self.bench, self.number = options, worlds.Bench(servers, options), 0
        self.ends, self.reasons = collections.Counter(), collections.Counter()
        self.faults, self.began = [], time.monotonic()
        self.strict, self.resyncs, self.no_resyncs = collections.Counter(), 0, collections.Counter()
        self.mute = collections.Counter()
        self.blind, self.needless = collections.Counter(), collections.Counter()

    def run(self, world, say=lambda text: None):
        self.number += 1
        try:
            return worlds.run(self.bench, world, self.number, say)
        except Failure as failure:  # without npm there is one major version
            return {"end": "skipped", "kind": str(failure), "text": [], "seconds": 0}
        except Exception:
            return {"end": "bad", "kind": "the test itself", "text": traceback.format_exc().split("\n")[-12:], "seconds": 0}

    def note(self, world, verdict):
        self.ends[verdict["end"]] += 1
        more = verdict["kind"]
        if verdict["end"] == "refused":
            self.reasons[verdict["kind"]] += 1
            if verdict["control"] is True:
                self.needless[verdict["kind"]] += 1
                more += " [subscription can]"
            if verdict["mute"]:
                self.mute[verdict["kind"]] += 1
                more += " [no hint]"
            if verdict["blind"]:
                self.blind[verdict["kind"]] += 1
                more += " [check passes]"
        self.resyncs += verdict.get("resyncs", 0)
        self.no_resyncs.update(worlds.reason_of(line) for line in verdict.get("refusals", []))
        for line in verdict.get("strict", []):
            self.strict[worlds.reason_of(line)] += 1
            more += " [check fails]"
        if verdict["end"] == "fault":
            self.faults.append((world["name"], verdict))
            more += f" [subscription: {verdict.get('control', 'not asked')}]"
        print(f"{world['name']} {verdict['end']} {verdict['seconds']:.1f} s: {describe(world)}"
              f"{': ' + more if more else ''}", flush=True)
        if verdict["end"] in ("fault", "bad", "unjudged"):
            print("".join(f"    {line[:400]}\n" for line in verdict["text"][:12]), end="", flush=True)

    def keep(self, world, verdict):
        """What one needs to see it again."""
        out = os.path.join(self.options.out, world["name"])
        os.makedirs(out, exist_ok=True)
        for name, text in (("world.json", json.dumps(world, indent=1)), ("script.sh", script.text(world)),
                           ("verdict.txt", "\n".join(verdict["text"]) + "\n"),
                           ("log", verdict.get("log", "")), ("walpipe.conf", verdict.get("config", ""))):
            with open(os.path.join(out, name), "w") as f:
                f.write(text)
        return out

    def more(self, number):
        if self.options.worlds:
            return number < self.options.worlds
        return time.monotonic() - self.began < self.options.seconds

    def loop(self):
        number = self.options.first
        while self.more(number - self.options.first):
            number += 1
            world = make.make(self.options.seed, number, self.options)
            if self.options.topology not in (None, world["topology"]):
                continue
            verdict = self.run(world)
            self.note(world, verdict)
            if verdict["end"] == "fault":
                self.keep(world, verdict)
                if self.options.shrink:
                    self.shrink(world, verdict)

    def fixed(self):
        """The small ones of fixed.py: each must end as it says."""
        for world in fixed.every():
            if self.options.installed and (world["source"], world["target"]) != (15, 15) or \
                    self.options.match not in world["name"]:
                continue
            verdict = self.run(world)
            verdict = self.wanted(world["want"], verdict)
            self.note(world, verdict)
            if verdict["end"] == "fault":
                self.keep(dict(world, name=re.sub(r"\W+", "-", world["name"])), verdict)

    @staticmethod
    def wanted(want, verdict):
        """The same; or a fault where another end was wanted, and none where that is a hang."""
        if want == "hang" and verdict["kind"] == "hang":
            return dict(verdict, end="hang, as it must")
        if verdict["end"] in ("equal", "refused") and want not in (None, verdict["end"]):
            return dict(verdict, end="fault", kind=f"{verdict['end']}, not {want}")
        return verdict

    def shrink(self, world, verdict):
        small, end = shrink.shrink(world, verdict, self.run, self.options.shrink_seconds)
        small["name"] = world["name"] + "-small"
        out = self.keep(small, end)
        print(script.text(small) + "\n".join(end["text"]) + f"\nkept in {out}", flush=True)

    def one(self):
        """--world: with everything printed."""
        if os.path.exists(self.options.world):
            with open(self.options.world) as f:
                world = json.load(f)
        else:
            seed, number = self.options.world.split(".")
            world = make.make(int(seed), int(number), self.options)
        print(script.text(world), flush=True)
        verdict = self.run(copy.deepcopy(world), lambda text: print(text, flush=True))
        print(verdict.get("log", ""))
        self.note(world, verdict)
        print("\n".join(verdict["text"]))
        if verdict["end"] == "fault" and self.options.shrink:
            self.shrink(world, verdict)

    def summary(self):
        print(f"\nseed {self.options.seed}: {sum(self.ends.values())} worlds in "
              f"{time.monotonic() - self.began:.0f} s: " + ", ".join(f"{n} {e}" for e, n in self.ends.items()))
        print(f"{self.resyncs} tables were damaged and copied again")
        for title, counted in (("refused", self.reasons), ("refused, but the subscription can", self.needless),
                               ("refused, but check passes", self.blind), ("refused without a hint", self.mute),
                               ("equal, but check fails", self.strict), ("resync refused", self.no_resyncs)):
            if counted:
                print(f"{title}:")
                for reason, count in counted.most_common():
                    print(f"  {count:4} {reason}")
        if self.faults:
            print("faults:")
            for kind, count in collections.Counter(v["kind"] for _, v in self.faults).most_common():
                names = [name for name, v in self.faults if v["kind"] == kind]
                print(f"  {count:4} {kind}: {' '.join(names[:12])}")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, help="default: a new one")
    parser.add_argument("--seconds", type=int, default=60, help="begin no new world afterwards")
    parser.add_argument("--worlds", type=int, help="how many, instead of --seconds")
    parser.add_argument("--first", type=int, default=0, help="leave out the first worlds of the seed")
    parser.add_argument("--world", help="SEED.N or a world.json: only this one")
    parser.add_argument("--kinds", default="", help="only these kinds of units (units.py)")
    parser.add_argument("--fixed", action="store_true", help="the small worlds of fixed.py, each once")
    parser.add_argument("--match", default="", help="of these only those with this in their names")
    parser.add_argument("--topology", help="only worlds of this one: one, chain, twoway, self")
    parser.add_argument("--sinks", default="pg", help="of pg,ch18,ch26: a random one of these for each world")
    parser.add_argument("--copies", type=float, default=0, metavar="SHARE",
                        help="of the worlds with one pipeline: rows are there before it, and it copies them")
    parser.add_argument("--installed", action="store_true", help="only the installed PostgreSQL, none from npm")
    parser.add_argument("--shrink", action="store_true", help="make a failing world smaller")
    parser.add_argument("--shrink-seconds", type=int, default=240)
    parser.add_argument("--patience", type=int, default=45, help="seconds without progress")
    parser.add_argument("--out", default=os.path.join(ROOT, "build", "worlds"), help="for faults")
    options = parser.parse_args()
    options.sinks = options.sinks.split(",")
    options.kinds = [k for k in options.kinds.split(",") if k]
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1, 1000000)
    return options


def main():
    options = parse()
    servers = Servers()
    session = Session(options, servers)
    try:
        if options.fixed:
            session.fixed()
        elif options.world:
            session.one()
        else:
            session.loop()
    except KeyboardInterrupt:
        print("interrupted")
    except Failure as failure:
        print(f"FAILED: {failure}")
        session.ends["broken"] += 1
    finally:
        session.summary()
        session.bench.end()
        servers("servers_end")
    return 1 if session.faults or session.ends["bad"] or session.ends["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
