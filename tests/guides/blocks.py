#!/usr/bin/env python3
"""The command blocks of the pages that people read: as one script, or a check that each is marked.

    blocks.py script    prints the script that tests/guides/run runs
    blocks.py check [PAGE COPY]   each block of README.md and docs/*.md says whether it is run

With COPY, that text is read in the place of the page. Prints what is wrong, with file and line, and
ends with exit code 1 if there is anything. A comment before each block says what to do with it:

    <!-- test: run -->                      the next commands of the shell
    <!-- test: run, alone -->               when all that runs in the background has been stopped, by SIGTERM
    <!-- test: run, in the repository -->   in the folder of the repository
    <!-- test: each -->                     each command by itself
    <!-- test: each, perhaps for ever -->   the same; one that does not end is stopped
    <!-- test: background -->               one command, which the reader starts in another terminal
    <!-- test: no, REASON -->               not run
    <!-- test: prints -->                   before a block without a language: the commands above it print these
                                            lines, in this order, among others
    <!-- test: prints, with other numbers --> the same, whatever numbers, times and ids there are

The pages other than the guide speak of the topics, files and members that its reader has made. So they
run in its world, before its reader cleans up.
"""

import re
import sys
from collections import Counter
from pathlib import Path

GUIDE = Path("docs/getting-started.md")
FENCE = re.compile(r" *```(\w*)$")
MARKER = re.compile(r" *<!-- test: (.+) -->$")
MARKS = re.compile(r"run|run, alone|run, in the repository|each|each, perhaps for ever|background|no, .+")
PRINTS = ("prints", "prints, with other numbers")


class Block:
    """A fenced block: its language, what its comment says, its text, and where it begins."""

    def __init__(self, page, line, language, mark, lines):
        self.page, self.line, self.language, self.mark = page, line, language, mark
        indent = min((len(it) - len(it.lstrip()) for it in lines if it.strip()), default=0)
        self.text = "".join(it[indent:] + "\n" for it in lines)


def blocks(page, text):
    found, mark, begun = [], None, None
    for number, line in enumerate(text.splitlines(), 1):
        fence = FENCE.fullmatch(line)
        if begun and fence and not fence[1]:
            found.append(Block(page, *begun))
            mark = begun = None
        elif begun:
            begun[3].append(line)
        elif fence:
            begun = (number, fence[1], mark, [])
        elif line.strip():
            marker = MARKER.fullmatch(line)
            mark = marker[1] if marker else None
    return found


def pages(replaced):
    # README first: its reader has made nothing yet.
    paths = [Path("README.md"), *sorted(Path("docs").rglob("*.md"))]
    paths = [it for it in paths if it != GUIDE] + [GUIDE]
    return {path: blocks(path, replaced.get(path, path).read_text(encoding="utf-8")) for path in paths}


def check(all_pages):
    for page, found in all_pages.items():
        before = None
        for block in found:
            place = f"{page}:{block.line}:"
            if block.language == "sh" and not MARKS.fullmatch(block.mark or ""):
                yield f"{place} no <!-- test: run --> (or each; background; no, REASON) before this block"
            if block.language != "sh" and block.mark not in (None, *PRINTS):
                yield f"{place} <!-- test: {block.mark} --> before what is no command"
            if block.mark in PRINTS and (before is None or not before.mark.startswith("run")):
                yield f"{place} <!-- test: prints --> behind no block that is run"
            if block.language == "sh":
                before = block


def commands(text):
    """The commands of a block, each with its continued lines."""
    return [it.strip() for it in re.sub(r"\\\n", " ", text).splitlines() if it.strip()]


def step(block):
    """What the script does for a block."""
    log = f"$logs/{block.page.stem}-{block.line}.log"
    say = f'echo "-- {block.page}:{block.line} ({block.mark}, after $SECONDS s)" >&2\n'
    if block.mark == "background":
        return f'{say}{{ exec {block.text}}} >"{log}" 2>&1 & others+=($!)\n'
    if block.mark.startswith("each"):
        how = "for_a_while" if "ever" in block.mark else "by_itself"
        each = "".join(f"{how} <<'COMMAND'\n{it}\nCOMMAND\n" for it in commands(block.text))
        return f"{say}{each}"
    if block.mark in PRINTS:
        how = "squeezed" if block.mark == "prints" else "blurred"
        return f"printed {how} {block.page}:{block.line} <<'LINES'\n{block.text}LINES\n"
    before = "stop_others\n" if block.mark == "run, alone" else ""
    if block.mark == "run, in the repository":
        return f'{say}pushd "$repository" >/dev/null\nshown="{log}"\n{{\n{block.text}}} >"$shown" 2>&1\npopd >/dev/null\n'
    return f'{say}{before}shown="{log}"\n{{\n{block.text}}} >"$shown" 2>&1\n'


def is_run(block):
    return block.mark is not None and not block.mark.startswith("no, ")


def script(all_pages):
    others = [block for page, found in all_pages.items() if page != GUIDE for block in found if is_run(block)]
    guide = [block for block in all_pages[GUIDE] if is_run(block)]
    first = [it for it in others if it.mark == "run, in the repository" or it.page == Path("README.md")]
    rest = [it for it in others if it not in first]
    end = next((at for at, it in enumerate(guide) if it.mark == "run, alone"), len(guide))
    yield from map(step, first + guide[:end])
    for page in dict.fromkeys(it.page for it in rest):
        # Each in a copy of the folder, and with the files that its reader has.
        yield "(\nin_a_copy\n"
        yield from (step(it) for it in rest if it.page == page)
        yield ")\n"
    yield from map(step, guide[end:])
    commands_of = [block for found in all_pages.values() for block in found if block.language == "sh"]
    reasons = Counter(it.mark.removeprefix("no, ") for it in commands_of if not is_run(it))
    run = len(commands_of) - reasons.total()
    told = "; ".join(f"{number} {reason}" for reason, number in reasons.most_common())
    yield f"cat <<'TOLD'\n{run} blocks run, {reasons.total()} marked: {told}\nTOLD\n"


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    everything = pages({Path(rest[0]): Path(rest[1])} if rest else {})
    wrong = list(check(everything))
    print(*wrong, sep="\n", end="\n" if wrong else "", file=sys.stderr)
    if wrong:
        sys.exit(1)
    if what == "script":
        print(*script(everything), sep="")
