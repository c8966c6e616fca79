#!/usr/bin/env python3
"""A preprocessor of mdBook: links that leave this folder lead to the repository's web page.

On that page they are relative, and right. A book may be published anywhere, without the files beside
it, so there they have to be whole.
"""

import json
import posixpath
import re
import sys

# `](../config/x.yaml)`, and `[name]: ../config/x.yaml` at the start of a line.
LINK = re.compile(r"(?P<before>\]\(|^\[[^\]\n]+\]:[ ]+)(?P<target>\.\./[^)\s]*)", re.MULTILINE)


def rewrite(text, page, repository):
    """The text of `page`, a path in this folder."""

    def whole(link):
        path, hash_, anchor = link["target"].partition("#")
        path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), path))
        if path.startswith("docs/"):
            return link[0]
        return f"{link['before']}{repository}/blob/main/{path}{hash_}{anchor}"

    return LINK.sub(whole, text)


def walk(items, repository):
    for item in items:
        chapter = item.get("Chapter") if isinstance(item, dict) else None
        if chapter:
            if chapter.get("source_path"):
                chapter["content"] = rewrite(chapter["content"], chapter["source_path"], repository)
            walk(chapter["sub_items"], repository)


def main():
    # `supports RENDERER`: all of them.
    if sys.argv[1:2] == ["supports"]:
        return
    context, book = json.load(sys.stdin)
    repository = context["config"]["output"]["html"]["git-repository-url"]
    walk(book.get("items") or book["sections"], repository)
    json.dump(book, sys.stdout)


if __name__ == "__main__":
    main()
