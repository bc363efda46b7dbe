#!/usr/bin/python3
"""bench.py: how fast walpipe is, as ratios against a peer in the same run.

    bench.py [--runs N] [--only NAME[,NAME]] [--no-growth] [--copy-rows N] [--keep DIR]

Each workload's contenders take turns; medians of N runs (5) are compared. Every run begins with a
checkpoint and ends with a comparison of the rows; one whose rows differ ends the bench. NAME:
bulk small olap both latency fresh filters growth copy copytables copyolap copylag. With --keep the results, the charts and the
tables are written to DIR/performance.md and DIR/performance/."""

import argparse
import datetime
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import loads  # noqa: E402
import report  # noqa: E402
from copies import Beside, NativeCopy, PsqlCopy, Rows, WalpipeCopy  # noqa: E402
from contenders import Filters, Native, Reader, Recvlogical, Walpipe  # noqa: E402
from live import Freshness, Latency  # noqa: E402
from stage import Failure, Stage  # noqa: E402

FLUSH_INTERVAL_MS = 1000  # sink-ch's default
# A backlog's last rows would wait a whole one; what is measured is the rate.
OLAP_BACKLOG = "flush_interval = 100ms"
MEMORY_GOAL = 64 * 2 ** 20


def say(*words):
    print(*words, file=sys.stderr, flush=True)


class Bench:
    def __init__(self, options, stage):
        self.options, self.stage = options, stage
        self.results, self.goals, self.charts, self.curves = {}, [], [], []
        self.memory = []

    def turns(self, workload, contenders, runs=None):
        """contenders: (name, function) pairs. Lists of results by name, taken in turn; the first
        to go changes with every round."""
        taken = {name: [] for name, _ in contenders}
        for n in range(runs or self.options.runs):
            order = contenders[n % len(contenders):] + contenders[:n % len(contenders)]
            for name, run in order:
                result = run()
                taken[name].append(result)
                self.memory.append(result.get("memory", 0))
                say("# %s: %s: %s" % (workload, name, describe(result)))
        self.results[workload] = taken
        return taken

    def rates(self, taken, rows, key="seconds"):
        return {name: [rows / r[key] for r in results if key in r] for name, results in taken.items()}

    def goal(self, *words):
        self.goals.append(report.Row(*words))
        say("# ->", " | ".join(self.goals[-1].cells()))

    def ratio_goal(self, workload, rates, ours, peer, goal):
        """Pair by pair, since the machine's speed drifts; the median of the pairs' ratios."""
        ratio = report.median([a / b for a, b in zip(rates[ours], rates[peer])])
        self.goal(workload, thousands(rates[ours]) + " rows/s", "%s: %s rows/s" % (peer, thousands(
            rates[peer])), "%.2f" % ratio, "at least %.1f" % goal, ratio >= goal)

    # ---- the workloads ----

    def into_postgres(self, load, what, goal):
        native, walpipe = Native(self.stage), Walpipe(self.stage)
        load.create(self.stage)
        taken = self.turns(load.name, [
            (walpipe.title, lambda: walpipe.run(load)), (native.title, lambda: native.run(load)),
            (Reader.title, lambda: Reader(self.stage).run(load)),
            (Recvlogical.title, lambda: Recvlogical(self.stage).run(load))])
        rates = self.rates(taken, load.rows)
        self.ratio_goal(what, rates, walpipe.title, native.title, goal)
        self.charts.append((load.name, what, "rows/s", list(rates.items())))

    def into_clickhouse(self, load, what):
        walpipe = Walpipe(self.stage, pg=False, ch=True, settings=OLAP_BACKLOG)
        taken = self.turns(load.name + "-olap", [
            (walpipe.title, lambda: walpipe.run(load)),
            (Reader.title, lambda: Reader(self.stage).run(load))])
        rates = self.rates(taken, load.rows)
        self.ratio_goal(what, rates, walpipe.title, Reader.title, 0.9)
        self.charts.append((load.name + "-olap", what, "rows/s", list(rates.items())))

    def both_at_once(self, load):
        both = Walpipe(self.stage, "both sinks", ch=True, settings=OLAP_BACKLOG)
        pg = Walpipe(self.stage, "PostgreSQL alone", settings=OLAP_BACKLOG)
        ch = Walpipe(self.stage, "ClickHouse alone", pg=False, ch=True, settings=OLAP_BACKLOG)
        taken = self.turns("both", [(c.title, lambda c=c: c.run(load)) for c in (both, pg, ch)])
        rates = self.rates(taken, load.rows)
        slower = min((pg.title, ch.title), key=lambda name: report.median(rates[name]))
        self.ratio_goal("both sinks from one slot, bulk", rates, both.title, slower, 0.8)
        self.charts.append(("both", "both sinks from one slot, bulk", "rows/s", list(rates.items())))

    def latency(self):
        latency = Latency(self.stage)
        taken = self.turns("latency", [("walpipe", latency.walpipe), ("native", latency.native)])
        medians = {name: {p: report.median([r[p] for r in runs]) for p in ("p50", "p99")}
                   for name, runs in taken.items()}
        ours, native = medians["walpipe"], medians["native"]
        more = ours["p50"] - native["p50"]
        self.goal("lone commit to PostgreSQL, p50", "%.2f ms" % ours["p50"],
                  "native: %.2f ms" % native["p50"], "%+.2f ms" % more, "at most +0.5 ms", more <= 0.5)
        times = ours["p99"] / native["p99"]
        self.goal("lone commit to PostgreSQL, p99", "%.2f ms" % ours["p99"],
                  "native: %.2f ms" % native["p99"], "%.2f" % times, "at most 2", times <= 2)
        self.charts.append(("latency", "lone commit to the target, p50 and p99, 40 commits/s", "ms", [
            ("%s, %s" % (name, p), [r[p] for r in taken[name]])
            for p in ("p50", "p99") for name in ("walpipe", "native")]))

    def fresh(self):
        freshness = Freshness(self.stage)
        taken = self.turns("fresh", [("walpipe", freshness.walpipe)])
        p99 = report.median([r["p99"] for r in taken["walpipe"]])
        p50 = report.median([r["p50"] for r in taken["walpipe"]])
        limit = FLUSH_INTERVAL_MS + 100
        self.goal("ClickHouse at 2,500 rows/s, p99", "%.0f ms (p50 %.0f)" % (p99, p50),
                  "flush_interval: %d ms" % FLUSH_INTERVAL_MS, "%+.0f ms" % (p99 - FLUSH_INTERVAL_MS),
                  "at most +100 ms", p99 <= limit)
        self.charts.append(("fresh", "age of ClickHouse's newest row, 2,500 rows/s", "ms", [
            (p, [r[p] for r in taken["walpipe"]]) for p in ("p50", "p99", "max")]))

    def filters(self, load):
        filters = Filters(self.stage)
        taken = self.turns("filters", [("filters", lambda: filters.run(load))])["filters"]
        per_row = {name: [r["used"][name] / load.rows * 1e6 for r in taken] for name in taken[0]["used"]}
        all_ = [sum(r["used"].values()) / load.rows * 1e6 for r in taken]
        parts = ", ".join("%s %.2f" % (name, report.median(v)) for name, v in per_row.items())
        us = report.median(all_)
        self.goal("processor time of the three filters, bulk", "%.2f us a row" % us, parts,
                  "%.2f us" % us, "under 1.0 us", us < 1.0)
        self.charts.append(("filters", "processor time a row, bulk", "us",
                            list(per_row.items()) + [("all three", all_)]))

    def memory_goal(self):
        peak = max(self.memory)
        self.goal("memory of the whole tree (PSS), highest of all runs", "%.0f MiB" % (peak / 2 ** 20),
                  "", "%.0f MiB" % (peak / 2 ** 20), "under 64 MiB", 0 < peak < MEMORY_GOAL)

    # ---- rows that are there already ----

    def copy_goal(self, what, taken, load, ours, peer, goal):
        """The median of the pairs' ratios, and the worst."""
        rates = self.rates(taken, load.rows)
        ratios = [a / b for a, b in zip(rates[ours], rates[peer])]
        ratio = report.median(ratios)
        self.goal(what + (", " + ours.split(", ")[1] if ", " in ours else ""),
                  thousands(rates[ours]) + " rows/s", "%s: %s rows/s" % (peer, thousands(rates[peer])),
                  "%.2f, worst %.2f" % (ratio, min(ratios)), "at least %.1f" % goal, ratio >= goal)

    def copies(self, load, what):
        ours = [WalpipeCopy(self.stage), WalpipeCopy(self.stage, workers=2)]
        native, psql = NativeCopy(self.stage), PsqlCopy(self.stage)
        taken = self.turns(load.name, [(c.title, lambda c=c: c.run(load)) for c in ours + [native, psql]])
        for contender in ours:
            self.copy_goal(what, taken, load, contender.title, native.title, 2)
            self.copy_goal(what, taken, load, contender.title, psql.title, 0.8)
        self.charts.append((load.name, what, "rows/s", list(self.rates(taken, load.rows).items())))

    def copies_into_clickhouse(self, load):
        walpipe, psql = WalpipeCopy(self.stage, ch=True), PsqlCopy(self.stage, into=False)
        taken = self.turns(load.name + "-olap", [(c.title, lambda c=c: c.run(load)) for c in (walpipe, psql)])
        what = "copy of a large table into ClickHouse"
        self.copy_goal(what, taken, load, walpipe.title, psql.title, 0.8)
        self.charts.append((load.name + "-olap", what, "rows/s", list(self.rates(taken, load.rows).items())))

    def lag_of_copies(self, load):
        beside = Beside(self.stage, load)
        beside.create()
        taken = self.turns("copylag", [("no copy", lambda: beside.run(False)), ("copy", lambda: beside.run(True))])
        for p in ("p50", "p99"):
            without, beside_it = ([r[p] for r in taken[name]] for name in ("no copy", "copy"))
            ratios = [a / b for a, b in zip(beside_it, without)]
            self.goal("lone commit beside pgbench and a copy, " + p, "%.2f ms" % report.median(beside_it),
                      "no copy: %.2f ms" % report.median(without),
                      "%.2f, worst %.2f" % (report.median(ratios), max(ratios)), "under 2",
                      report.median(ratios) < 2)

    def all_copies(self, wanted):
        rows, large = self.options.copy_rows, None
        if any(wanted(n) for n in ("copy", "copyolap", "copylag")):
            large = Rows("copy", 1, rows)
            large.create(self.stage)
        if wanted("copy"):
            self.copies(large, "copy of a large table")
        if wanted("copyolap"):
            self.copies_into_clickhouse(large)
        if wanted("copylag"):
            self.lag_of_copies(large)
        if wanted("copytables"):
            many = Rows("copytables", 100, rows)
            many.create(self.stage)
            self.copies(many, "copy of 100 tables")
            many.drop(self.stage)

    # ---- how cost grows ----

    def curve(self, name, title, axis, points, native=True):
        """points: (x, load or function of a contender, contender)."""
        series = {"walpipe": [], "PostgreSQL's subscription": []}
        for x, load, walpipe in points:
            if not hasattr(load, "last"):
                load.create(self.stage)
            series["walpipe"].append((x, load.rows / walpipe.run(load)["seconds"]))
            if native:
                series["PostgreSQL's subscription"].append(
                    (x, load.rows / Native(self.stage).run(load)["seconds"]))
            say("# growth: %s %d: %s" % (name, x, ", ".join(
                "%s %.0f rows/s" % (k, v[-1][1]) for k, v in series.items() if v)))
            if load.name not in ("bulk", "small"):
                load.drop(self.stage)
        self.curves.append((name, title, axis, [(k, v) for k, v in series.items() if v]))

    def growth(self, small):
        walpipe = Walpipe(self.stage)
        self.curve("workers", "small transactions by number of workers", "workers", [
            (n, small, Walpipe(self.stage, settings="shards = %d" % n)) for n in (1, 2, 4, 8)],
            native=False)
        self.curve("transaction", "inserts by rows a transaction", "rows a transaction", [
            (n, loads.bulk("tx%d" % n, max(200_000, n), n), walpipe)
            for n in (10, 100, 1000, 10_000, 100_000, 1_000_000)])
        self.curve("columns", "inserts by columns a row", "columns", [
            (n, loads.columns(n), walpipe) for n in (5, 50, 500)])
        self.curve("tables", "transactions of ten inserts, by number of tables", "tables", [
            (n, loads.tables(n), walpipe) for n in (1, 10, 100, 1000)])
        self.curve("width", "inserts by bytes a row", "bytes a row", [
            (n, loads.width(n), walpipe) for n in (100, 1000, 10_000, 100_000)])

    def run(self):
        only = self.options.only
        wanted = lambda name: not only or name in only  # noqa: E731
        bulk, small = loads.bulk(), loads.small()
        if any(wanted(n) for n in ("bulk", "olap", "both", "filters")):
            if wanted("bulk"):
                self.into_postgres(bulk, "backlog of bulk inserts into PostgreSQL", 1.5)
            else:
                bulk.create(self.stage)
        if wanted("olap"):
            self.into_clickhouse(bulk, "backlog of bulk inserts into ClickHouse")
        if wanted("both"):
            self.both_at_once(bulk)
        if wanted("filters"):
            self.filters(bulk)
        if any(wanted(n) for n in ("small", "olap", "growth")):
            if wanted("small"):
                self.into_postgres(small, "backlog of small transactions into PostgreSQL", 1.7)
            else:
                small.create(self.stage)
        if wanted("olap"):
            self.into_clickhouse(small, "backlog of small transactions into ClickHouse")
        if wanted("latency"):
            self.latency()
        if wanted("fresh"):
            self.fresh()
        self.all_copies(wanted)
        if self.memory and max(self.memory):
            self.memory_goal()
        if self.options.keep:
            self.keep(self.options.keep)
        if wanted("growth") and not self.options.no_growth:
            self.growth(small)

    # ---- what is left of it ----

    def profile(self):
        lines = []
        for workload, taken in self.results.items():
            for name, runs in taken.items():
                if "used" not in runs[0] or "seconds" not in runs[0]:
                    continue
                used = {p: report.median([r["used"].get(p, 0) for r in runs]) for p in runs[0]["used"]}
                lines.append("- %s, %s, in %.1f s: %s" % (
                    workload, name, report.median([r["seconds"] for r in runs]),
                    ", ".join("%s %.2f" % pair for pair in sorted(used.items(), key=lambda u: -u[1]))))
        return lines

    def page(self):
        versions = "PostgreSQL %s, ClickHouse %s" % (
            self.stage.sql("source", "SHOW server_version")[0][0],
            self.stage.clickhouse("SELECT version()"))
        text = ["Measured %s with commit %s on %s; %s; medians of %d runs in turn." % (
            datetime.date.today(), report.commit(), report.machine(), versions, self.options.runs), "",
            report.table([row.cells() for row in self.goals])]
        text += ["", "Where the processors' time went, in seconds, medians:", ""] + self.profile()
        for name, title, axis, series in self.curves:
            text += ["", "%s, rows/s:" % title, "", report.table(
                [[("%d" % x)] + ["%.0f" % dict(points)[x] for _, points in series]
                 for x, _ in series[0][1]], [axis] + [k for k, _ in series])]
        return "\n".join(text) + "\n"

    def keep(self, directory):
        os.makedirs(directory + "/performance", exist_ok=True)
        for name, title, unit, series in self.charts:
            report.bars("%s/performance/%s.svg" % (directory, name), title, unit, series)
        for name, title, axis, series in self.curves:
            report.lines("%s/performance/%s.svg" % (directory, name), title, axis, "rows/s", series)
        report.keep_page(directory + "/performance.md", self.page(),
                         [c[0] for c in self.charts + self.curves])


def thousands(rates):
    return "%.0fk" % (report.median(rates) / 1000)


def describe(result):
    words = []
    for key, value in result.items():
        if key == "memory":
            words.append("memory %.0f MiB" % (value / 2 ** 20))
        elif isinstance(value, dict):
            words += ["%s %.2f" % pair for pair in value.items()]
        else:
            words.append("%s %.2f" % (key, value))
    return ", ".join(words)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", type=lambda v: v.split(","))
    parser.add_argument("--copy-rows", type=int, default=10_000_000)
    parser.add_argument("--no-growth", action="store_true")
    parser.add_argument("--keep")
    bench = Bench(parser.parse_args(), Stage())
    try:
        bench.stage.start()
        bench.run()
        print(bench.page())
        if bench.options.keep:
            bench.keep(bench.options.keep)
    except Failure as failure:
        say("bench: %s" % failure)
        return 1
    finally:
        bench.stage.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
