"""Checks a dashboard: dashboard.py DASHBOARD. With --rules, prints its expressions as recording rules, for promtool.

It is what Grafana 10.4 and later import (the schema is that of the SDK of Grafana that Python finds), every panel says what it shows and in which
unit, nothing overlaps, and expressions name what exists.
"""

import json
import re
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from promql import mistakes

NEWEST_CLASSIC_SCHEMA = 42
# Those of the variables, and Grafana itself.
DATA_SOURCES = ({"type": "prometheus", "uid": "${datasource}"}, {"type": "tempo", "uid": "${tempo}"},
                {"type": "grafana", "uid": "-- Grafana --"})
# What Grafana fills in, and something like it.
FILLED_IN = {"$__rate_interval": "1m", "$__range": "5m", "$price": "0.5", "$job": ".+", "$instance": ".+"}
BUILT_IN = re.compile(r"__\w+")
# Fields that Grafana reads, and that only the newer SDKs list: annotations of Prometheus, and what an editor shows of a variable.
NOT_IN_SCHEMA = re.compile(
    r"/annotations/list/(expr|step|titleFormat|textFormat|tagKeys|useValueForTime)|/templating/list/definition")


def panels_of(dashboard):
    """All panels but rows, and for each of them the group of panels among which it is placed."""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from ((inner, panel["title"]) for inner in panel["panels"])
        else:
            yield panel, ""


def expressions(dashboard):
    for panel, _ in panels_of(dashboard):
        yield from ((panel["title"], target["expr"]) for target in panel.get("targets", ()) if "expr" in target)
    for annotation in dashboard["annotations"]["list"]:
        if "expr" in annotation:
            yield f"the annotation {annotation['name']}", annotation["expr"]


def filled_in(expr):
    for variable, value in FILLED_IN.items():
        expr = expr.replace(variable, value)
    return expr


def unlike_schema(said, kept, path=""):
    """What is lost or changed when Grafana's SDK reads the dashboard and writes it again."""
    if isinstance(said, dict) and isinstance(kept, dict):
        for key, value in said.items():
            if key in kept:
                yield from unlike_schema(value, kept[key], f"{path}/{key}")
            elif not NOT_IN_SCHEMA.fullmatch(f"{path}/{key}"):
                yield f"{path}/{key} is not in the schema"
    elif isinstance(said, list) and isinstance(kept, list) and len(said) == len(kept):
        for one, its in zip(said, kept):
            yield from unlike_schema(one, its, path)
    elif said != kept:
        yield f"{path}: {said!r} is not as the schema has it"


def check_schema(dashboard):
    register_default_plugins()
    kept = json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))
    yield from sorted(set(unlike_schema(dashboard, kept)))


def check_whole(dashboard):
    if dashboard["schemaVersion"] > NEWEST_CLASSIC_SCHEMA:
        yield f"schemaVersion {dashboard['schemaVersion']} is not classic"
    if not re.fullmatch(r"[a-z0-9-]{1,40}", dashboard["uid"]) or "id" in dashboard:
        yield "it needs a uid of its own, and no id of one installation"
    ids = [panel["id"] for panel in dashboard["panels"]] + [
        panel["id"] for row in dashboard["panels"] for panel in row.get("panels", ())]
    yield from (f"two panels have the id {it}" for it in sorted(set(ids)) if ids.count(it) > 1)
    titles = [panel["title"] for panel, _ in panels_of(dashboard)]
    yield from (f"two panels are called {it}" for it in sorted(set(titles)) if titles.count(it) > 1)
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    for name in ("datasource", "job", "instance"):
        if name not in variables:
            yield f"there is no variable {name}"
    yield from (f"the data source {it} is not that of a variable" for it in data_sources(dashboard) if it not in DATA_SOURCES)
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(dashboard)))
    yield from (f"there is no variable {it}" for it in sorted(used - set(variables)) if not BUILT_IN.fullmatch(it))
    yield from (f"the variable {it} is not used" for it in sorted(set(variables) - used))


def data_sources(value):
    """All data sources that are named, wherever."""
    if isinstance(value, list):
        for one in value:
            yield from data_sources(one)
    elif isinstance(value, dict):
        if "datasource" in value:
            yield value["datasource"]
        for its in value.values():
            yield from data_sources(its)


def check_panel(panel):
    if len(panel.get("description", "")) < 20:
        yield "it has no description"
    if not panel["fieldConfig"]["defaults"].get("unit"):
        yield "it has no unit"
    if any("datasource" not in one for one in [panel, *panel.get("targets", ())]):
        yield "it names no data source"
    refs = [target["refId"] for target in panel.get("targets", ())]
    if len(refs) != len(set(refs)) or (not refs and panel["type"] != "text"):
        yield "it needs targets, each with a refId of its own"


def check_places(dashboard):
    """That panels are within the 24 columns, and do not overlap."""
    taken = {}
    rows = [(panel, "") for panel in dashboard["panels"] if panel["type"] == "row"]
    for panel, among in [*rows, *panels_of(dashboard)]:
        place = panel["gridPos"]
        if place["x"] < 0 or place["w"] < 1 or place["h"] < 1 or place["x"] + place["w"] > 24:
            yield f"{panel['title']}: it is not within 24 columns"
        cells = {(among, x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}
        over = {taken[cell] for cell in cells & set(taken)}
        yield from (f"{panel['title']}: it lies over {it}" for it in sorted(over))
        taken.update(dict.fromkeys(cells, panel["title"]))


def check(dashboard):
    yield from check_schema(dashboard)
    yield from check_whole(dashboard)
    yield from check_places(dashboard)
    for panel, _ in panels_of(dashboard):
        yield from (f"{panel['title']}: {error}" for error in check_panel(panel))
    for where, expr in expressions(dashboard):
        yield from (f"{where}: {error}" for error in mistakes(filled_in(expr)))


def as_rules(dashboard):
    rules = [{"record": f"dashboard:expression:{place}", "expr": filled_in(expr)}
             for place, (_, expr) in enumerate(expressions(dashboard))]
    return {"groups": [{"name": "dashboard", "rules": rules}]}


if __name__ == "__main__":
    *options, path = sys.argv[1:]
    dashboard = json.loads(Path(path).read_text())
    if options == ["--rules"]:
        # JSON is YAML.
        print(json.dumps(as_rules(dashboard), indent=2))
        sys.exit(0)
    errors = list(check(dashboard))
    print(*errors, sep="\n", end="\n" if errors else "", file=sys.stderr)
    sys.exit(1 if errors else 0)
