"""make.py: the world of a seed: which units it has, on which servers, under which config, and what
happens in which order. Knows how to choose, not how to run.

A world is a dict that JSON can hold:
    name, source, target   "SEED.N", major versions
    units, publication     see units.py; the publication's DDL
    config, role           keys of the config file that differ from its defaults; the sink's user
    copy                   true: rows are copied; the step "slot" makes the slot when they are there
    steps                  [{"do": ...}]: tx, slot, start, stop, kill, sync, hold, release, restart, target, remap,
                           copied, resync"""

import random
import re

import chunits
import odd
import units

KINDS = {**units.KINDS, **odd.KINDS}
INSTALLED = 15
OTHER_MAJORS = [13, 14, 16, 17, 18]
WAITS = [0.3, 1.0] * 8 + [23]  # seconds of a lock; siblings get impatient after 20
NAME = r'(ONLY )?("[^"]*"|[^" ]*)'  # in front of a list of columns or a filter
PROGRAMS = ["sink-pg", "sink-pg", "route", "pg-wal-read", "pgout-decode", "ackd"]


def choose_clickhouse_units(r, sink, kinds):
    names = [k for k in chunits.KINDS if not kinds or k in kinds] or list(chunits.KINDS)
    weights = [chunits.KINDS[k][1] for k in names]
    made = []
    for n in range(r.choice([1, 1, 2])):
        made.append(chunits.KINDS[r.choices(names, weights)[0]][0](r, f"u{n}", sink))
        if made[-1]["alone"]:
            return [made[-1]]
    return made


def choose_units(r, kinds):
    names = [k for k in KINDS if not kinds or k in kinds]
    weights = [KINDS[k][1] for k in names]
    made = []
    for n in range(r.choice([1, 1, 1, 2, 3])):
        kind = r.choices(names, weights)[0]
        made.append(KINDS[kind][0](r, f"u{n}"))
        if made[-1]["alone"]:
            return [made[-1]]
    return made


def choose_major(r, side, world):
    least = max(u["needs"].get(side, 0) for u in world["units"])
    if least > 15:
        return r.choice([m for m in OTHER_MAJORS if m >= least])
    return 15 if r.random() < 0.75 else r.choice([m for m in OTHER_MAJORS if m >= least])


def choose_layout(r, world):
    """shards and shard_key."""
    config = {"shards": r.choice([1, 1, 1, 2, 3, 4])}
    if world["units"][0]["kind"] in ("merged", "unique", "collate", "foreign", "partition"):
        config["shards"] = r.choice([1, 2, 3, 4, 4])
    if config["shards"] > 1:
        config["shard_key"] = r.choice(["key", "key", "key", "table", "column:id"])
    return config


def choose_config(r, world):
    config = choose_layout(r, world)
    if world["source"] >= 14 and r.random() < 0.4:
        config["binary"] = "on"
    if r.random() < 0.5:
        config["batch_rows"] = r.choice([3, 10, 40, 400])
    if r.random() < 0.5:
        config["flush_interval"] = r.choice(["10ms", "50ms"])
    return config


def change_config(r, world, config):
    """What the next start runs with."""
    changed = dict(config)
    way = r.random()
    if way < 0.35 and config["shards"] > 1:
        changed["shard_key"] = r.choice(["key", "table", "column:id"])
    elif way < 0.7:
        changed.pop("shard_key", None)
        changed.update(choose_layout(r, world))
    if world["source"] >= 14 and r.random() < 0.25:
        changed["binary"] = "off" if config.get("binary") == "on" else "on"
    if r.random() < 0.25:
        changed["batch_rows"] = r.choice([3, 40, 10000])
    return changed


def choose_topology(r, world):
    """Most worlds have one pipeline from one database to another. "chain": a second one leads from the
    target on; "self": the target is the source; "twoway": a second one leads back."""
    ordinary = all(u["kind"] in ("plain", "inherit", "unique", "columns") for u in world["units"])
    fitting = ordinary and world["sink"] == "pg" and world["role"] == "postgres" and world["target"] == world["source"]
    if not fitting or r.random() < 0.5:
        return "one"
    world["config"].pop("binary", None)
    if r.random() < 0.2:
        return "self"
    return r.choice(["chain", "twoway"])


def publication(r, world):
    via = any(u["via_root"] for u in world["units"])
    options = f" WITH (publish_via_partition_root = {'true' if via else 'false'})"
    if r.random() < 0.3 and not any(u.get("listed") for u in world["units"]):
        return "CREATE PUBLICATION pub FOR ALL TABLES" + options
    names = ", ".join(t for u in world["units"] for t in u["publish"])
    return f"CREATE PUBLICATION pub FOR TABLE {names}" + options


def some_transaction(r, world):
    """Of one unit, most often."""
    which = r.randrange(len(world["units"]))
    sql = world["units"][which]["transaction"](r)
    if r.random() < 0.1 and len(world["units"]) > 1:
        sql = sql + r.choice(world["units"])["transaction"](r)
    return {"do": "tx", "sql": sql}


class Steps:
    """Builds the list; keeps what is running."""

    def __init__(self, r, world):
        self.r, self.world, self.config = r, world, dict(world["config"])
        self.steps, self.held, self.restarts = [], False, 0
        self.remaps = [u["remap"] for u in world["units"] if u.get("remap")]

    def add(self, **step):
        self.steps.append(step)

    def transactions(self, count):
        for _ in range(count):
            self.steps.append(some_transaction(self.r, self.world))

    def release(self):
        if self.held:
            self.add(do="release")
            self.held = False

    def hold(self):
        """Whoever needs this row waits, and workers stand at different positions."""
        locks = [u["hold"] for u in self.world["units"] if u["hold"]]
        if locks and not self.held:
            self.add(do="hold", sql=self.r.choice(locks))
            self.held = True

    def down(self):
        """Ends the pipeline, cleanly or not, and starts it, often with another config."""
        r = self.r
        clean = r.random() < 0.4
        if clean:
            self.release()
        elif r.random() < 0.6:
            self.hold()
            self.transactions(r.randint(2, 6))
            self.add(do="wait", seconds=r.choice(WAITS))
        self.add(do="stop" if clean else "kill", program="walpipe")
        self.release()
        if r.random() < (0.5 if self.world["sink"] != "pg" else 0.15):
            self.add(do="replay")
        if self.remaps and r.random() < 0.7:
            self.add(do="remap", **self.remaps.pop())
        self.transactions(r.choice([0, 1, 4]))
        config = change_config(r, self.world, self.config) if r.random() < 0.6 else self.config
        if config != self.config:
            self.config = config
            self.add(do="config", config=config)
        self.add(do="start")

    def switch(self):
        """publish_via_partition_root, while running."""
        found = [u["switch"] for u in self.world["units"] if u.get("switch")]
        if found:
            self.add(do="tx", sql=[found[0].format(value=self.r.choice(["true", "false"]))])

    def disturb(self):
        what = self.r.random()
        if what < 0.3:
            self.release()
            self.add(do="sync")
        elif what < 0.55 and self.restarts < 2:
            self.restarts += 1
            self.down()
        elif what < 0.6 and self.restarts < 2:
            self.restarts += 1
            self.add(do="kill", program=self.r.choice(PROGRAMS))
        elif what < 0.67:
            self.hold()
        elif what < 0.75:
            self.release()
        elif what < 0.77 and self.restarts < 2:
            self.restarts += 1
            self.release()
            self.add(do="restart")
        elif what < 0.9:
            self.switch()
            if self.world["topology"] == "chain":
                self.add(do="hop")

    def make(self):
        r = self.r
        self.transactions(r.choice([0, 1, 5, 12]))  # what is there at once goes in large batches
        self.add(do="start")
        for _ in range(r.randint(3, 8)):
            self.transactions(r.randint(1, 4))
            if r.random() < 0.45:
                self.disturb()
        self.release()
        return self.steps


def two_ways(r, world):
    """Half of the transactions come from the other side, at quiet points: nobody wants conflicts. No
    kill, no change of the config."""
    steps = [s for s in world["steps"] if s["do"] == "tx"]
    for step in r.sample(steps, len(steps) // 2):
        step["side"] = "target"
    world["steps"] = [{"do": "start"}]
    for step in steps:
        world["steps"] += [step, {"do": "sync"}]


def is_running(steps):
    """After these steps."""
    last = [s for s in steps if s["do"] in ("start", "stop") or s["do"] == "kill" and s["program"] == "walpipe"]
    return bool(last) and last[-1]["do"] == "start"


def with_resyncs(r, world):
    """Tables are copied again, while the pipeline runs or between two runs, and their targets are damaged."""
    steps = world["steps"]
    start = steps.index({"do": "start"})
    for _ in range(r.choice([1, 1, 2, 4])):
        step = {"do": "resync", "number": r.randrange(10 ** 6), "wait": r.random() < 0.3}
        at = r.randrange(start + 1, len(steps) + 1)
        if not is_running(steps[:at]):
            steps.insert(at, dict(step, wait=False))
        elif r.random() < 0.3:
            down = {"do": r.choice(["stop", "kill"]), "program": "walpipe"}
            steps[at:at] = [{"do": "copied"}] * (r.random() < 0.8) + [down, dict(step, wait=False), {"do": "start"}]
        else:
            steps[at:at] = [step] + [{"do": "kill", "program": r.choice(PROGRAMS)}] * (r.random() < 0.3)


def with_publications(r, world):
    """A second publication has some tables, too."""
    entries = [t for u in world["units"] for t in u["publish"]]
    if " FOR TABLE " not in world["publication"]:
        return
    second = r.sample(entries, r.randint(1, len(entries)))
    for entry in second:
        if entry in world["publication"] and r.random() < 0.5 and "," in world["publication"].replace(entry, ""):
            world["publication"] = world["publication"].replace(", " + entry, "", 1)
    options = world["publication"][world["publication"].find(" WITH ("):]
    world["more publications"] = [f"CREATE PUBLICATION pub2 FOR TABLE {', '.join(second)}{options}"]


def may_be_unlogged(world):
    """Tables with TOAST: of others a warning tells. A foreign key needs a logged table."""
    made = [s for u in world["units"] if u["kind"] != "foreign" for s in u["source"]]
    tables = [re.match(rf"CREATE TABLE ({NAME}) \(.*\btext\b(?!.*\bPARTITION\b)", s, re.S) for s in made]
    return [t[1] for t in tables if t and not any(f"REFERENCES {t[1]}" in s for s in made)]


def with_leaving(r, world):
    """The changes of a table are not sent for some steps, while the pipeline runs or not."""
    steps = world["steps"]
    start = steps.index({"do": "start"})
    published = [t for u in world["units"] for t in u["publish"] if t in world["publication"]]
    if " FOR TABLE " in world["publication"]:
        table = r.choice(published)
        ways = [[f"ALTER PUBLICATION pub DROP TABLE {re.match(NAME, table)[0]}",
                 f"ALTER PUBLICATION pub ADD TABLE {table}"]]
    else:
        ways = [[f"ALTER TABLE {t} SET UNLOGGED", f"ALTER TABLE {t} SET LOGGED"] for t in may_be_unlogged(world)]
    if not ways:
        return
    gone, back = sorted(r.sample(range(start + 1, len(steps) + 2), 2))
    for at, statement in zip((gone, back), r.choice(ways)):
        steps.insert(at, {"do": "tx", "sql": [statement]})
    world["leaves"] = True


def with_copy(r, world):
    """Rows are there before the slot, and walpipe copies them. One table may be published later."""
    world["copy"] = True
    world["config"].pop("binary", None)
    steps = world["steps"] = [s for s in world["steps"] if s["do"] != "replay"]
    for step in steps:
        if step["do"] == "config":
            step["config"].pop("binary", None)
    start = next(n for n, s in enumerate(steps) if s["do"] == "start")
    before = [some_transaction(r, world) for _ in range(r.choice([1, 4, 10]))]
    steps[:start] = before + [{"do": "slot"}] + steps[:start]
    tables = [t for u in world["units"] for t in u["publish"]]
    if " FOR TABLE " in world["publication"] and len(tables) > 1 and not any(u.get("listed") for u in world["units"]):
        late = tables.pop()
        world["publication"] = world["publication"].replace(", " + late, "", 1)
        add = {"do": "tx", "sql": [f"ALTER PUBLICATION pub ADD TABLE {late}"]}
        steps.insert(r.randrange(steps.index({"do": "start"}) + 1, len(steps) + 1), add)
    for config in [world["config"], *(s["config"] for s in steps if s["do"] == "config")]:
        config["copy_workers"] = r.choice([1, 2, 4])
        if r.random() < 0.3:
            config["copy_rate"] = r.choice([100000, 1000000])
    if world["sink"] == "pg" and r.random() < 0.25:
        with_publications(r, world)
    if r.random() < 0.8:
        with_resyncs(r, world)
    if r.random() < 0.25:
        with_leaving(r, world)


def runs_on(major, units):
    return all(needed <= major for u in units for needed in u["needs"].values())


def are_keyed(units):
    return not any(f"IDENTITY {word}" in s for u in units for s in u["source"] for word in ("FULL", "NOTHING"))


def choose_units_for(r, sink, options):
    """With --installed those that the installed PostgreSQL knows; with copies mostly those with a key,
    since only they can be copied again."""
    keyed = options.copies > 0 and r.random() < 0.7
    for attempt in range(100):
        units = (choose_units(r, options.kinds) if sink == "pg" else
                 choose_clickhouse_units(r, sink, options.kinds))
        if (not options.installed or runs_on(INSTALLED, units)) and (not keyed or attempt > 50 or are_keyed(units)):
            return units
    raise SystemExit(f"no unit of {options.kinds} runs on PostgreSQL {INSTALLED}")


def make(seed, number, options):
    r = random.Random(f"{seed}.{number}")
    sink = r.choice(options.sinks)
    world = {"name": f"{seed}.{number}", "sink": sink, "units": choose_units_for(r, sink, options)}
    world["source"] = INSTALLED if options.installed else choose_major(r, "source", world)
    world["target"] = INSTALLED if options.installed else choose_major(r, "target", world)
    world["config"] = choose_config(r, world)
    plain_role = 0.5 if any(u["kind"] == "foreign" for u in world["units"]) else 0.08
    world["role"] = "apply" if r.random() < plain_role else "postgres"
    world["role"] = next((u["role"] for u in world["units"] if u.get("role")), world["role"])
    world["topology"] = choose_topology(r, world)
    world["publication"] = publication(r, world)
    world["steps"] = Steps(r, world).make()
    if world["topology"] == "twoway":
        two_ways(r, world)
    if world["topology"] == "self":
        world["steps"] = [{"do": "start"}, *[s for s in world["steps"] if s["do"] == "tx"],
                          {"do": "wait", "seconds": 3}]
    # where the subscription is the judge, triggers see a copy as other operations
    judged = any(c["check"] == "control" for u in world["units"] for c in u["checks"])
    if options.copies and world["topology"] == "one" and not judged and r.random() < options.copies:
        with_copy(r, world)
    for u in world["units"]:
        del u["transaction"]
    return world
