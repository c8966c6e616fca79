"""Helm, from the library in the wheel helm-python-sdk.

`render` is `helm template`, `lint` is `helm lint --strict`; neither needs a cluster or the program.
"""

import pathlib

import helm_python
import yaml

NAME = "tailsieve"
NAMESPACE = "tracing"


def values_of(path):
    """The values of a file, as a dict."""
    return yaml.safe_load(pathlib.Path(path).read_text(encoding="utf-8")) or {}


def render(chart, values, name=NAME):
    """The rendered files by the path of their template; a `helm_python.HelmError` with Helm's own words."""
    with helm_python.Chart.load(chart) as loaded:
        loaded.validate_schema(values)
        files = loaded.render(values, name=name, namespace=NAMESPACE)
    return {path.split("/templates/")[1]: text for path, text in sorted(files.items())}


def manifests(files):
    """What was rendered as one text, as `helm template` prints it: without notes and empty files."""
    rendered = []
    for path, text in files.items():
        if not path.endswith(".yaml") or not text.strip():
            continue
        body = text.strip().removeprefix("---\n")
        rendered.append(f"---\n# Source: tailsieve/templates/{path}\n{body}\n")
    return "".join(rendered)


def resources(files):
    """The resources that were rendered."""
    return [it for it in yaml.safe_load_all(manifests(files)) if it]


def lint(chart, values):
    """What `helm lint --strict` says, a line each."""
    report = helm_python.lint(chart, values, strict=True)
    told = [f"{it['path']}: {it['error']}" for it in report["messages"] if it["severity"] > 1]
    return told + report["errors"]
