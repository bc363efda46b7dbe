"""shrink.py: makes a failing world smaller as long as it fails in the same way."""

import copy
import time


def without(items, at, count):
    return items[:at] + items[at + count:]


def fewer_steps(world):
    """Worlds without some of the steps, the largest parts first."""
    size = len(world["steps"]) // 2
    while size:
        for at in range(0, len(world["steps"]), size):
            yield dict(world, steps=without(world["steps"], at, size))
        size //= 2


def fewer_statements(world):
    for n, step in enumerate(world["steps"]):
        if step["do"] == "tx" and len(step["sql"]) > 1:
            for at in range(len(step["sql"])):
                smaller = dict(step, sql=without(step["sql"], at, 1))
                yield dict(world, steps=world["steps"][:n] + [smaller] + world["steps"][n + 1:])


def fewer_units(world):
    for n in range(len(world["units"])):
        if len(world["units"]) > 1:
            yield dict(world, units=without(world["units"], n, 1), publication=(
                "CREATE PUBLICATION pub FOR ALL TABLES" + world["publication"][world["publication"].find(" WITH"):]))


def simpler_config(world):
    for key in world["config"]:
        yield dict(world, config={k: v for k, v in world["config"].items() if k != key})
    if world["role"] != "postgres":
        yield dict(world, role="postgres")
    for side in ("source", "target"):
        if world[side] != 15:
            yield dict(world, **{side: 15})


QUICK = 4  # seconds
WAYS = (fewer_units, fewer_steps, simpler_config, fewer_statements)


def same(verdict, other):
    return other["end"] == "fault" and other["kind"] == verdict["kind"]


def shrink(world, verdict, run, seconds):
    """(the smallest world found in that time, its verdict)."""
    end, found = time.monotonic() + seconds, verdict
    world, again = copy.deepcopy(world), True
    while again and time.monotonic() < end:
        again = False
        for way in WAYS:
            smaller = True
            while smaller and time.monotonic() < end:
                smaller = False
                for candidate in way(world):
                    if time.monotonic() > end:
                        break
                    other = run(candidate)
                    if not same(verdict, other) and other["seconds"] < QUICK:
                        other = run(candidate)  # how rows fall into batches is up to chance
                    if same(verdict, other):
                        world, found, smaller, again = candidate, other, True, True
                        break
    return world, found
