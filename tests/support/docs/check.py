"""Checks of the pages that people read, called by tests/deploy/docs:

    check.py links [PAGE COPY]   relative links and anchors of all Markdown files lead somewhere
    check.py summary [COPY]      docs/SUMMARY.md has every page of docs/ once
    check.py book FOLDER         so do the links within a book that mdBook has built

With COPY, that text is read in the place of the page, so that planted mistakes can be seen caught.
Prints what is wrong, with file and line; the exit code is 1 if there is anything.
"""

import re
import subprocess
import sys
import unicodedata
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

from markdown_it import MarkdownIt

MARKDOWN = MarkdownIt("commonmark").enable("table")
SUMMARY = Path("docs/SUMMARY.md")


class Pages:
    """All Markdown files of the repository, with the text of one replaced on demand."""

    def __init__(self, page=None, copy=None):
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()
        self.paths = sorted(Path(path) for path in listed if Path(path).exists())
        self.replaced = {Path(page): Path(copy)} if copy else {}
        self.known = {}

    def tokens(self, path):
        return MARKDOWN.parse(self.replaced.get(path, path).read_text(encoding="utf-8"))

    def anchors(self, path):
        if path not in self.known:
            self.known[path] = set(anchors(self.tokens(path)))
        return self.known[path]


def anchors(tokens):
    """Those that GitHub gives the headings of a page, and those that it sets itself."""
    seen = {}
    for at, token in enumerate(tokens):
        for html in (it for it in [token, *(token.children or [])] if it.type.startswith("html_")):
            yield from re.findall(r'(?:id|name)="([^"]+)"', html.content)
        if token.type == "heading_open":
            inline = tokens[at + 1].children or []
            name = anchor("".join(it.content for it in inline if it.type in ("text", "code_inline")))
            yield name if name not in seen else f"{name}-{seen[name]}"
            seen[name] = seen.get(name, 0) + 1


def anchor(heading):
    """GitHub keeps letters, numbers, marks, `_`, `-` and blanks, and makes `-` of the latter."""
    kept = (
        it
        for it in heading.strip().lower()
        if it in "-_ " or unicodedata.category(it)[0] in "LNM" or unicodedata.category(it) == "Pc"
    )
    return "".join(kept).replace(" ", "-")


def links(tokens):
    """Line and target of every link and picture; code has none."""
    for token in tokens:
        line = token.map[0] + 1 if token.map else 0
        for child in token.children or []:
            target = child.attrGet("href") or child.attrGet("src")
            if target:
                yield line, target


def check_links(page=None, copy=None):
    pages = Pages(page, copy)
    root = Path.cwd().resolve()
    for path in pages.paths:
        for line, target in links(pages.tokens(path)):
            if re.match(r"[a-z][a-z0-9+.-]*:", target):
                continue
            name, _, wanted = unquote(target).partition("#")
            to = (path.parent / name).resolve() if name else path.resolve()
            if not to.is_relative_to(root):
                yield f"{path}:{line}: {target} leaves the repository"
            elif not to.exists():
                yield f"{path}:{line}: {target} does not exist"
            elif wanted and to.suffix == ".md" and wanted not in pages.anchors(to.relative_to(root)):
                yield f"{path}:{line}: {target}: there is no such heading"


def check_summary(copy=None):
    pages = Pages(SUMMARY, copy)
    named = [Path("docs") / target for _, target in links(pages.tokens(SUMMARY))]
    there = {path for path in pages.paths if path.parts[0] == "docs" and path != SUMMARY}
    yield from (f"{SUMMARY}: {path} is missing" for path in sorted(there - set(named)))
    yield from (f"{SUMMARY}: {path} is not there" for path in sorted(set(named) - there))
    yield from (f"{SUMMARY}: {path} is there twice" for path in sorted(set(named)) if named.count(path) > 1)


class Chapter(HTMLParser):
    """Links and ids of a page of the book."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.targets, self.inside = set(), [], 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.inside += tag == "main"
        if "id" in attrs:
            self.ids.add(attrs["id"])
        target = attrs.get("href") if tag == "a" else attrs.get("src") if tag == "img" else None
        if self.inside and target:
            self.targets.append(target)

    def handle_endtag(self, tag):
        self.inside -= tag == "main"


def check_book(folder):
    root = Path(folder).resolve()
    chapters = {path: Chapter(path) for path in root.rglob("*.html")}
    for path, chapter in sorted(chapters.items()):
        # All chapters in one, and what is shown for a wrong address.
        if path.name in ("print.html", "404.html", "toc.html"):
            continue
        for target in chapter.targets:
            if re.match(r"[a-z][a-z0-9+.-]*:", target):
                continue
            name, _, wanted = unquote(target).partition("#")
            to = (path.parent / name).resolve() if name else path
            if not to.exists() or not to.is_relative_to(root):
                yield f"book: {path.relative_to(root)}: {target} does not exist"
            elif wanted and to in chapters and wanted not in chapters[to].ids:
                yield f"book: {path.relative_to(root)}: {target}: there is no such heading"


CHECKS = {"links": check_links, "summary": check_summary, "book": check_book}

if __name__ == "__main__":
    wrong = list(CHECKS[sys.argv[1]](*sys.argv[2:]))
    print(*wrong, sep="\n", end="\n" if wrong else "")
    sys.exit(1 if wrong else 0)
