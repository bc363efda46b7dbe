"""report.py: what the bench has measured, as a table for the terminal, as docs/performance.md, and
as one SVG chart a workload, drawn by gnuplot."""

import os
import platform
import statistics
import subprocess

from stage import ROOT


def median(values):
    return statistics.median(values)


def spread(values):
    """Lowest, median and highest."""
    return min(values), median(values), max(values)


class Row:
    """One goal: what was measured, against what, and whether it was reached."""

    def __init__(self, workload, ours, peer, figure, goal, reached):
        self.workload, self.ours, self.peer = workload, ours, peer
        self.figure, self.goal, self.reached = figure, goal, reached

    def cells(self):
        return [self.workload, self.ours, self.peer, self.figure, self.goal,
                "yes" if self.reached else "no"]


HEAD = ["workload", "walpipe", "peer", "ratio or figure", "goal", "reached"]


def table(rows, head=HEAD):
    """Markdown that is also readable as it is."""
    cells = [head] + rows
    widths = [max(len(r[c]) for r in cells) for c in range(len(head))]
    lines = ["| " + " | ".join(v.ljust(w) for v, w in zip(r, widths)) + " |" for r in cells]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)


def machine():
    cpu = "?"
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                cpu = line.split(":", 1)[1].strip()
                break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2 ** 30
    return "%d cores (%s), %.0f GiB, Linux %s" % (os.cpu_count(), cpu, memory, platform.release())


def commit():
    return subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"],
                          capture_output=True, text=True).stdout.strip()


def gnuplot(path, commands, data):
    script = ("set terminal svg size 720,400 font 'sans,13' background '#ffffff'\n"
              "set termoption noenhanced\nset output '%s'\n" % path)
    for name, lines in data.items():
        script += "$%s << EOD\n%s\nEOD\n" % (name, "\n".join(lines))
    subprocess.run(["gnuplot"], input=script + commands, text=True, check=True)


COLOURS = ["#2a78b5", "#e08a1e", "#5a9e52", "#9a6fb0"]


def bars(path, title, unit, series):
    """series: (name, values of each run): the median as a bar, lowest to highest as a whisker."""
    labels = [name.replace(" ", "\\n", 1) if len(name) > 14 else name for name, _ in series]
    data = {"d%d" % n: ["%d %g %g %g" % (n, median(v), min(v), max(v))]
            for n, (_, v) in enumerate(series)}
    plots = ", ".join("$d%d using 1:2:3:4:(0.6) with boxerrorbars lc rgb '%s' notitle"
                      % (n, COLOURS[n % len(COLOURS)]) for n in range(len(series)))
    ticks = ", ".join('"%s" %d' % (label, n) for n, label in enumerate(labels))
    gnuplot(path, "set title \"%s\"\nset ylabel \"%s\"\nset yrange [0:*]\nset xrange [-0.7:%g]\n"
            "set style fill solid 0.85\nset bmargin 3.5\nset offsets 0, 0, graph 0.05, 0\n"
            "set grid ytics\nset format y '%%.0s%%c'\nset xtics (%s)\n"
            "plot %s\n" % (title, unit, len(series) - 0.3, ticks, plots), data)


def lines(path, title, x, y, series):
    """series: (name, [(x, y) ...]) on logarithmic x."""
    data = {"d%d" % n: ["%g %g" % p for p in points] for n, (_, points) in enumerate(series)}
    plots = ", ".join("$d%d with linespoints lw 2 pt 7 lc rgb '%s' title \"%s\""
                      % (n, COLOURS[n % len(COLOURS)], name) for n, (name, _) in enumerate(series))
    gnuplot(path, "set title \"%s\"\nset xlabel \"%s\"\nset ylabel \"%s\"\nset logscale x\n"
            "set format x '%%.0s%%c'\nset format y '%%.0s%%c'\nset yrange [0:*]\nset grid\n"
            "set key bottom right\nplot %s\n" % (title, x, y, plots), data)


BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def keep_page(path, measured, charts):
    """Puts the figures and the charts between the page's two marks; the rest of it is written by
    people."""
    with open(path) as f:
        page = f.read()
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    pictures = "\n".join("![%s](performance/%s.svg)" % (name, name) for name in charts)
    with open(path, "w") as f:
        f.write(before + BEGIN + "\n" + measured + "\n" + pictures + "\n" + END + after)
