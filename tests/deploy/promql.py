"""What an expression of PromQL names, held against docs/metrics.md; and whether its divisions are guarded.

Not a parser: promtool says whether an expression is one.
"""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Labels that Prometheus, or whoever scrapes, puts on every series.
TARGET_LABELS = {"cluster", "namespace", "job", "instance"}
# Metrics of Prometheus itself.
OF_PROMETHEUS = {"up": {}, "ALERTS": {"alertname": None, "alertstate": None, "severity": None}}
PARTS = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}
WORDS = {"and", "or", "unless", "by", "on", "without", "ignoring", "group_left", "group_right", "offset", "bool", "inf", "nan"}

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
STRING = r'"(?:[^"\\]|\\.)*"'
GROUPING = re.compile(rf"\b(?:by|on|without|ignoring|group_left|group_right)\s*\(([^()]*)\)")


def known_metrics():
    """The series of docs/metrics.md: by name, their labels; by label, its values, or None for any."""
    metrics = dict(OF_PROMETHEUS)
    for group in (ROOT / "docs/metrics.md").read_text().split("\n## ")[1:]:
        labels = {}
        for label, told in re.findall(r"^- `(\w+)`: (.*)$", group, re.M):
            values = re.fullmatch(r"`[^`]+`(, `[^`]+`)*", told)
            labels[label] = set(re.findall(r"`([^`]+)`", told)) if values else None
        for name, named, kind in re.findall(r"^\| `(\w+)(?:\{([\w,]+)\})?` \| (counter|gauge|histogram),", group, re.M):
            its = {label: labels[label] for label in named.split(",") if label}
            for part in PARTS[kind]:
                metrics[name + part] = {**its, "le": None} if part == "_bucket" else its
    assert len(metrics) > 80, "docs/metrics.md has the metrics in tables"
    return metrics


METRICS = known_metrics()


def mistakes(expr, recorded=()):
    """Names, labels and values in `expr` that do not exist, and divisions by what may be 0."""
    return [*unknown(expr, set(recorded)), *unguarded(expr)]


def unknown(expr, recorded):
    selected = list(re.finditer(rf"({NAME})\s*\{{((?:[^{{}}\"]|{STRING})*)\}}", expr))
    labels = set()
    for selector in selected:
        name, matchers = selector.groups()
        labels |= set(METRICS.get(name, ()))
        for label, pattern, value in re.findall(rf'({NAME})\s*(=~|!~|!=|=)\s*({STRING})', matchers):
            if label in TARGET_LABELS or name not in METRICS:
                continue
            if label not in METRICS[name]:
                yield f"{name} has no label {label}"
            elif values := METRICS[name][label]:
                said = value[1:-1].split("|") if "~" in pattern else [value[1:-1]]
                yield from (f"{name} has no {label}={one}" for one in said if one not in values)
    bare = re.sub(rf"\{{(?:[^{{}}\"]|{STRING})*\}}", " ", expr)
    bare = re.sub(STRING, " ", bare)
    grouped = GROUPING.findall(bare)
    bare = re.sub(r"\[[^\]]*\]", " ", GROUPING.sub(" ", bare))
    names = set(re.findall(rf"(?<![\w:$]){NAME}(?!\w)(?!\s*\()", bare)) - WORDS
    # A number with a unit (offset 10m), or in exponents (1e9), is no name: it begins with a digit.
    for name in sorted(names):
        if name in METRICS:
            labels |= set(METRICS[name])
        elif name not in recorded:
            yield f"there is no metric {name}"
    for label in (label.strip() for one in grouped for label in one.split(",") if label.strip()):
        if label not in labels | TARGET_LABELS:
            yield f"nothing in it has a label {label}"


def unguarded(expr):
    """Divisions whose divisor is neither a number, nor a count (which is absent, never 0), nor `(... > 0)`."""
    bare = re.sub(STRING, lambda string: "_" * len(string.group()), expr)
    for division in re.finditer("/", bare):
        divisor = bare[division.end():].lstrip()
        if re.match(r"[0-9]|count\(", divisor):
            continue
        inside = parenthesised(divisor)
        if inside is None or not inside.rstrip().endswith("> 0"):
            yield f"a division by what may be 0: / {divisor[:40]}"


def parenthesised(text):
    """What is in the parentheses that `text` begins with."""
    depth = 0
    for place, char in enumerate(text):
        depth += {"(": 1, ")": -1}.get(char, 0)
        if depth == 0:
            return text[1:place] if place else None
    return None
