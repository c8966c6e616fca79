#!/usr/bin/env python3
"""Holds a bill of materials and the licences that go with it against what they have to be.

    materials.py DIRECTORY

The bill is CycloneDX as its schema has it, whole (what is used is listed), and has only licences that
deny.toml allows; each component has its licences in THIRD-PARTY.txt.
"""

import json
import re
import sys
import tomllib
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

# Compiled from C whatever the features are.
NATIVE = {"librdkafka", "lz4", "zstd", "zlib", "jemalloc"}


def licence(component):
    entry = component["licenses"][0]
    return entry.get("expression") or entry["license"]["id"]


def is_allowed(expression, allowed):
    """SPDX: of what OR joins, one, of what AND joins, all."""
    expression = expression.strip()
    depth, place = 0, {"OR": [], "AND": []}
    for match in re.finditer(r"[()]|\b(?:OR|AND)\b", expression):
        depth += {"(": 1, ")": -1}.get(match.group(), 0)
        if depth == 0 and match.group() in place:
            place[match.group()].append(match.span())
    for word, judge in (("OR", any), ("AND", all)):
        if place[word]:
            ends = [0] + [at for span in place[word] for at in span] + [len(expression)]
            parts = [expression[ends[i]:ends[i + 1]] for i in range(0, len(ends), 2)]
            return judge(is_allowed(part, allowed) for part in parts)
    if expression.startswith("("):
        return is_allowed(expression[1:-1], allowed)
    return expression in allowed


def wrong(directory):
    text = (directory / "tailsieve.cdx.json").read_text(encoding="utf-8")
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if error:
        yield f"it is no CycloneDX 1.6: {str(error.data)[:500]}"
        return
    bill = json.loads(text)
    components = bill["components"]
    known = {it["bom-ref"] for it in components} | {bill["metadata"]["component"]["bom-ref"]}
    used = {name for it in bill["dependencies"] for name in it["dependsOn"]}
    yield from (f"{name} is used and not listed" for name in sorted(used - known))
    root = bill["metadata"]["component"]["bom-ref"]
    yield from (f"{name} is listed and used by nothing" for name in sorted(known - used - {root}))
    allowed = set(tomllib.loads(Path("deny.toml").read_text(encoding="utf-8"))["licenses"]["allow"])
    notices = (directory / "THIRD-PARTY.txt").read_text(encoding="utf-8")
    for component in components:
        name = f"{component['name']} {component['version']}"
        if not is_allowed(licence(component), allowed):
            yield f"{name}: deny.toml does not allow {licence(component)}"
        if f"\n{name} (" not in notices:
            yield f"{name}: THIRD-PARTY.txt does not have it"
    features = {it["value"] for it in bill["metadata"]["component"]["properties"]}
    native = NATIVE | ({"openssl"} if "tls" in features else set())
    found = {it["name"] for it in components if it["purl"].startswith("pkg:generic/")}
    yield from (f"the C library {name} is missing" for name in sorted(native - found))


def main():
    found = list(wrong(Path(sys.argv[1])))
    for text in found:
        print(f"{sys.argv[1]}: {text}", file=sys.stderr)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
