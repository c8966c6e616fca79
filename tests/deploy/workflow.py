#!/usr/bin/env python3
"""The steps of a workflow that are commands.

    workflow.py steps WORKFLOW FOLDER    writes each of them into a file of its own
    workflow.py flow WORKFLOW            plays them, in bash as GitHub runs it, with a tailsieve and a gh that end as a
                                         case says: the job has to end, and to comment, as that case expects
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from ruamel.yaml import YAML

TAILSIEVE = """#!/bin/sh
echo "$*" >> asked
case "$*" in
    "validate "*|"test "*) exit 0 ;;
    *merge*--output\\ html*) echo "<!DOCTYPE html>"; exit "$GATE" ;;
    *merge*) printf '```\\n</details>\\nkept now\\n'; exit "$GATE" ;;
    *) echo '{}'; exit "$READ" ;;
esac
"""
GH = """#!/bin/sh
echo "$*" > commented
"""

# How reading ends, how the gate ends; how the job has to end, and whether there are a page and a comment.
CASES = [(0, 0, 0, True), (0, 1, 1, True), (4, 4, 0, True), (4, 1, 1, True), (3, 0, 3, False), (5, 0, 5, False)]


def steps(path):
    job = YAML(typ="safe").load(Path(path))["jobs"]["whatif"]
    return [step for step in job["steps"] if "run" in step]


def play(all_steps, read, gate):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "bin").mkdir()
        for name, text in [("tailsieve", TAILSIEVE), ("gh", GH)]:
            (folder / "bin" / name).write_text(text)
            (folder / "bin" / name).chmod(0o755)
        given = {"READ": str(read), "GATE": str(gate), "OUTCOME": "failure", "PULL_REQUEST": "7", "RUN": "https://run"}
        environment = {**os.environ, **given, "PATH": f"{folder}/bin:{os.environ['PATH']}"}
        code = 0
        for step in all_steps:
            needed = re.search(r"hashFiles\('(.*?)'\)", step.get("if", ""))
            if (code and "always()" not in step.get("if", "")) or (needed and not (folder / needed[1]).exists()):
                continue
            command = ["bash", "-e", "-c", step["run"]]
            ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
            code = code or ended.returncode
        comment = folder / "comment.md"
        has_page = (folder / "whatif.html").exists() and (folder / "commented").exists()
        return code, has_page, comment.read_text() if comment.exists() else ""


def main(what, workflow, folder=None):
    all_steps = steps(workflow)
    if what == "steps":
        Path(folder).mkdir()
        for number, step in enumerate(all_steps):
            (Path(folder) / str(number)).write_text(step["run"])
        return
    for read, gate, expected, has_comment in CASES:
        code, commented, text = play(all_steps, read, gate)
        if (code, commented) != (expected, has_comment):
            sys.exit(f"{read}, {gate}: the job ends with {code}, and {'comments' if commented else 'does not comment'}")
        lines = text.splitlines()
        if has_comment and (lines.count("</details>") != 1 or "    </details>" not in lines or "```" in lines):
            sys.exit(f"{read}, {gate}: the comment is\n{text}")


main(*sys.argv[1:])
