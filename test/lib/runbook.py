#!/usr/bin/python3
"""runbook: runs the commands of a page, docs/operations.md, as they stand there.

    runbook.py run PAGE RAN HEADING ...    runs the sh blocks below these headings, in their order
    runbook.py left PAGE RAN               prints the sh blocks that no run has had; exit 1 if any
    runbook.py skipped PAGE                prints the blocks that the page itself says are not run,
                                           and indented commands that are in no block that runs

A block between ```sh and ``` is a script for bash -euo pipefail on the machine that its first line
names ("# on db1"), by default walpipe1. The machines are those of machines.bash. ```sh exit=N has to
end with N, any other block with 0. A ```text block behind it shows its output: each of these lines
has to be in the output, in this order, where ... stands for anything and blanks do not count.
```sh not-run is not run, and the paragraph before it has to say so ("not run"). In its place the test
may do something else (RUNBOOK_INSTEAD). The file RAN keeps
which blocks were run."""

import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SECONDS = 120
DEFAULT = "walpipe1"


class Block:
    def __init__(self, heading, line, info, before):
        self.heading, self.line, self.before = heading, line, before
        words = info.split()
        self.kind, self.options = words[0] if words else "", words[1:]
        self.text, self.shown = "", None

    def place(self):
        return f"{self.line} {self.heading}"

    def machine(self):
        named = re.match(r"# on (\w+)", self.text)
        return named[1] if named else DEFAULT

    def exit_code(self):
        return next((int(o[5:]) for o in self.options if o.startswith("exit=")), 0)

    def runs(self):
        return self.kind == "sh" and "not-run" not in self.options


def parse(page):
    """Headings in order, as [level, title], and the sh blocks."""
    headings, blocks, open_block, paragraph, last = [], [], None, "", None
    with open(page, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            if open_block is not None:
                if line.startswith("```"):
                    if open_block.kind == "sh":
                        blocks.append(open_block)
                    elif open_block.kind == "text" and last is not None:
                        last.shown = open_block.text
                    last = open_block if open_block.kind == "sh" else None
                    open_block = None
                else:
                    open_block.text += line
            elif line.startswith("```"):
                open_block = Block(headings[-1][1], number, line[3:], paragraph)
            elif line.startswith("#"):
                marks, title = line.rstrip().split(" ", 1)
                headings.append([len(marks), title])
                last = None
            elif line.strip():
                paragraph = line if not paragraph.strip() else paragraph + line
                last = None
            else:
                paragraph = paragraph if paragraph.endswith("\n\n") else paragraph + "\n"
                paragraph = paragraph.split("\n\n")[-2] + "\n" if "\n\n" in paragraph else paragraph
    return headings, blocks


def below(headings, title):
    """The heading and those below it."""
    titles = [t for _, t in headings]
    if titles.count(title) != 1:
        sys.exit(f"the page has {titles.count(title)} headings \"{title}\"")
    at = titles.index(title)
    found = [title]
    for level, name in headings[at + 1:]:
        if level <= headings[at][0]:
            break
        found.append(name)
    return found


def squeezed(text):
    return re.sub(r"\s+", " ", text).strip()


def lacks(output, shown):
    """The first line that the output should have and has not."""
    lines = [squeezed(line) for line in output.split("\n")]
    at = 0
    for line in shown.split("\n"):
        wanted = squeezed(line)
        if not wanted or wanted == "...":
            continue
        pattern = ".*".join(re.escape(part) for part in wanted.split("..."))
        while at < len(lines) and not re.fullmatch(pattern, lines[at]):
            at += 1
        if at == len(lines):
            return wanted
        at += 1
    return None


def run_block(block):
    print(f"---- line {block.line}, on {block.machine()}, {block.heading}", flush=True)
    script = 'source "$0/servers.bash"; source "$0/machines.bash"; on "$1" bash -euo pipefail -c "$2"'
    begun = time.monotonic()
    try:
        done = subprocess.run(["bash", "-c", script, HERE, block.machine(), block.text], check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace", timeout=SECONDS)
    except subprocess.TimeoutExpired as late:
        output = (late.stdout or b"").decode(errors="replace") if isinstance(late.stdout, bytes) else late.stdout
        return f"did not end in {SECONDS} s, and printed:\n{output}"
    print(f"{done.stdout}---- {time.monotonic() - begun:.1f} s", flush=True)
    if done.returncode != block.exit_code():
        return f"ended with exit code {done.returncode}, and the page says {block.exit_code()}"
    missing = lacks(done.stdout, block.shown) if block.shown else None
    return f"its output lacks the page's line \"{missing}\"" if missing else None


def run(page, ran, *titles):
    headings, blocks = parse(page)
    for title in titles:
        wanted = below(headings, title)
        for block in blocks:
            if block.heading not in wanted:
                continue
            if not block.runs():
                subprocess.run(["bash", "-c", os.environ.get("RUNBOOK_INSTEAD", "true")], check=True)
            else:
                wrong = run_block(block)
                if wrong:
                    print(f"{page}:{block.line}: {wrong}\n{block.text}", flush=True)
                    return 1
                with open(ran, "a", encoding="utf-8") as f:
                    f.write(block.place() + "\n")
    return 0


def left(page, ran):
    with open(ran, encoding="utf-8") as f:
        had = set(f.read().split("\n"))
    missing = [b.place() for b in parse(page)[1] if b.runs() and b.place() not in had]
    print("\n".join(missing))
    return 1 if missing else 0


def indented(page):
    """The indented lines between the blocks, with their numbers."""
    fenced = False
    with open(page, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            fenced ^= line.startswith("```")
            if not fenced and line.startswith("    "):
                yield number, line.strip()


def skipped(page):
    unsaid = 0
    commands = {line.strip() for b in parse(page)[1] if b.runs() for line in b.text.split("\n")}
    for number, line in indented(page):
        if line not in commands:
            print(f"{page}:{number}: this line is in no block that runs: {line}")
            unsaid += 1
    for block in parse(page)[1]:
        if not block.runs():
            said = "not run" in squeezed(block.before)
            print(f"{page}:{block.line}: {block.heading}{'' if said else ': the text before does not say so'}")
            unsaid += not said
    return 1 if unsaid else 0


sys.exit({"run": run, "left": left, "skipped": skipped}[sys.argv[1]](*sys.argv[2:]))
