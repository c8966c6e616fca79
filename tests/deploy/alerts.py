"""Checks alerts.yaml and rules.yaml beyond what promtool knows: alerts.py ALERTS RULES RUNBOOKS TESTS...

Every alert has a section in the runbooks, to which its runbook_url leads, and tests in which it fires and in which it does
not although its metric is there. Every record is tested or is a plain sum. Names in expressions exist.
"""

import re
import sys
from pathlib import Path

from ruamel.yaml import YAML

from promql import METRICS, mistakes

URL = "https://github.com/tailsieve/tailsieve/blob/main/docs/runbooks.md#"
PARTS = ("**Meaning.**", "**Look first.**", "**Mend.**", "**False when.**")
SEVERITIES = {"critical", "warning"}


def read(path):
    return YAML(typ="safe").load(Path(path).read_text())


def rules_of(path):
    return [rule for group in read(path)["groups"] for rule in group["rules"]]


def sections(runbooks):
    """The sections about alerts, by their headings."""
    found = re.split(r"^## (.+)$", Path(runbooks).read_text(), flags=re.M)
    return dict(zip(found[1::2], found[2::2]))


def check_alert(rule, runbooks):
    name, annotations = rule["alert"], rule["annotations"]
    if not name.startswith("Tailsieve"):
        yield "its name begins with something else than Tailsieve"
    if set(annotations) != {"summary", "description", "runbook_url"}:
        yield f"its annotations are {sorted(annotations)}"
    if rule["labels"].get("severity") not in SEVERITIES:
        yield f"its severity is none of {sorted(SEVERITIES)}"
    if annotations.get("runbook_url") != URL + name.lower():
        yield f"its runbook_url is not {URL}{name.lower()}"
    section = runbooks.get(name)
    if section is None:
        yield "it has no section in docs/runbooks.md"
    else:
        yield from (f"its section lacks {part}" for part in PARTS if part not in section)


def outcomes(tests):
    """The alerts that fire in some test, and those that do not in one where one of their metrics is."""
    firing, quiet = set(), {}
    for test in (test for path in tests for test in read(path)["tests"]):
        present = {re.match(r"[\w:]+", series["series"]).group() for series in test["input_series"]}
        for case in test.get("alert_rule_test", ()):
            if case.get("exp_alerts"):
                firing.add(case["alertname"])
            else:
                quiet.setdefault(case["alertname"], set()).update(present)
    return firing, quiet


def main(alerts, records, runbooks, *tests):
    errors = []
    alerts, records, runbooks = rules_of(alerts), rules_of(records), sections(runbooks)
    names = {rule["alert"] for rule in alerts}
    firing, quiet = outcomes(tests)
    for rule in alerts:
        name = rule["alert"]
        errors += [f"{name}: {error}" for error in [*check_alert(rule, runbooks), *mistakes(rule["expr"])]]
        if name not in firing:
            errors.append(f"{name}: there is no test in which it fires")
        if not any(metric in rule["expr"] for metric in quiet.get(name, ()) if metric in METRICS):
            errors.append(f"{name}: there is no test in which its metric is there and it does not fire")
    errors += [f"docs/runbooks.md: there is no alert {it}" for it in runbooks if it.startswith("Tailsieve") and it not in names]
    errors += [f"a test of {name}, which is no alert" for name in {*firing, *quiet} - names]
    tested = {case["expr"] for path in tests for test in read(path)["tests"] for case in test.get("promql_expr_test", ())}
    for rule in records:
        name = rule["record"]
        errors += [f"{name}: {error}" for error in mistakes(rule["expr"])]
        if not re.fullmatch(r"tailsieve:\w+:\w+", name) or f"tailsieve_{name.split(':')[1]}" not in rule["expr"]:
            errors.append(f"{name}: it is not called tailsieve:METRIC:OPERATION after a metric that it is made of")
        if "/" in rule["expr"] and name not in tested:
            errors.append(f"{name}: it divides, and has no test")
    for error in errors:
        print(error, file=sys.stderr)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
