"""The files of the chart that are made of other files.

A chart cannot read outside of itself, so it has copies of the rules and the dashboards; its schema
has the options of tailsieve's own files; its README has a table of the values. `derived` says what each
of them has to be. `tests/deploy/kubernetes` compares, or writes them.
"""

import json
import pathlib
import re

import yaml


def derived(chart, root):
    """What the files have to contain, by their path in the chart."""
    return {
        **copies(root),
        "values.schema.json": schema(chart, root),
        "README.md": readme(chart),
    }


def leftovers(chart, root):
    """Copies whose source is gone."""
    wanted = copies(root)
    there = (it.relative_to(chart).as_posix() for it in (chart / "files").rglob("*") if it.is_file())
    return sorted(it for it in there if it not in wanted)


# ---- copies

def copies(root):
    """Rules and dashboards."""
    deploy = root / "deploy"
    candidates = [*deploy.glob("prometheus/*.yaml"), deploy / "alerts.yaml"]
    rules = [it for it in candidates if it.is_file() and has_rules(it)]
    dashboards = deploy.glob("grafana/**/*.json")
    return {
        **{f"files/rules/{it.name}": it.read_text(encoding="utf-8") for it in rules},
        **{f"files/dashboards/{it.name}": it.read_text(encoding="utf-8") for it in dashboards},
    }


def has_rules(path):
    contents = yaml.safe_load(path.read_text(encoding="utf-8"))
    return isinstance(contents, dict) and "groups" in contents


# ---- values.schema.json

def schema(chart, root):
    """The schema as it is, with descriptions out of values.yaml and the schemas of tailsieve's files."""
    whole = json.loads((chart / "values.schema.json").read_text(encoding="utf-8"))
    for path, (description, _) in descriptions(chart).items():
        place = whole
        for key in path:
            place = place.get("properties", {}).get(key, {})
        if place:
            place["description"] = description
    require_sections(whole, yaml.safe_load((chart / "values.yaml").read_text(encoding="utf-8")))
    own = {name: it for name, it in whole["definitions"].items() if "." not in name}
    static = embedded(root / "config/schema/config.schema.json", "Config")
    policies = embedded(root / "config/schema/policies.schema.json", "PolicyFile")
    sections = ["admin", "buffer", "kafka"]
    own["Config"] = {
        "allOf": [{"$ref": "#/definitions/Config.root"}],
        "required": sections,
        "properties": {name: {"type": "object"} for name in sections},
    }
    own["Policies"] = {"$ref": "#/definitions/PolicyFile.PolicyFile"}
    # What is missing is told by the templates, in words of their own.
    forgotten = [("Config.root", ["required", "oneOf"]), ("Config.Kafka", ["required"]), ("Config.Retrieval", ["if", "then"])]
    for name, forget in forgotten:
        for key in forget:
            static[name].pop(key, None)
    del static["Config.root"]["properties"]["policies"]
    brokers = static["Config.Kafka"]["properties"]["brokers"]
    for shape in brokers["anyOf"]:
        shape.pop("minItems", None)
    whole["definitions"] = {**own, **static, **{k: v for k, v in policies.items() if k != "PolicyFile.root"}}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def require_sections(shape, values):
    """A section of the values cannot be taken away by `null`: templates look into it."""
    sections = [it for it, value in values.items()
                if isinstance(value, dict) and ("properties" in shape["properties"][it] or it == "config")]
    if sections:
        shape["required"] = sorted(sections)
    for name in sections:
        if "properties" in shape["properties"][name]:
            require_sections(shape["properties"][name], values[name])


def embedded(path, prefix):
    """The definitions of a schema under names that begin with the prefix; the schema itself is `root`."""
    text = path.read_text(encoding="utf-8").replace('"#/definitions/', f'"#/definitions/{prefix}.')
    root = json.loads(text)
    parts = root.pop("definitions")
    root.pop("$schema")
    return {f"{prefix}.{name}": it for name, it in {"root": root, **parts}.items()}


# ---- README.md

LINE = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z][\w]*):")


def descriptions(chart):
    """Of each value with a comment `# --`: the comment, and what `# @default --` says."""
    found, path, text, default = {}, [], None, None
    for line in (chart / "values.yaml").read_text(encoding="utf-8").splitlines():
        comment = line.strip()
        if comment.startswith("# -- "):
            text = comment.removeprefix("# -- ")
        elif comment.startswith("# @default -- "):
            default = comment.removeprefix("# @default -- ")
        elif key := LINE.match(line):
            del path[len(key["indent"]) // 2:]
            path.append(key["key"])
            if text:
                found[tuple(path)] = (text, default)
            text = default = None
    return found


def undescribed(chart):
    """Values without a description, of their own or of what they are in."""
    told = descriptions(chart)

    def walk(path, value):
        if path in told:
            return
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                yield from walk((*path, key), inner)
        else:
            yield ".".join(path)

    values = yaml.safe_load((chart / "values.yaml").read_text(encoding="utf-8"))
    return [it for key, value in values.items() for it in walk((key,), value)]


def readme(chart):
    """README.md.gotmpl as helm-docs fills it in."""
    about = yaml.safe_load((chart / "Chart.yaml").read_text(encoding="utf-8"))
    badges = {"Version": about["version"], "Type": about["type"], "AppVersion": about["appVersion"]}
    parts = {
        "chart.header": f"# {about['name']}",
        "chart.badgesSection": " ".join(badge(*it) for it in badges.items()),
        "chart.description": about["description"],
        "chart.requirementsSection": f"## Requirements\n\nKubernetes: `{about['kubeVersion']}`",
        "chart.valuesSection": f"## Values\n\n{values_table(chart)}",
    }
    text = (chart / "README.md.gotmpl").read_text(encoding="utf-8")
    return re.sub(r'\{\{ template "([\w.]+)" \. \}\}', lambda it: parts[it[1]], text)


def badge(name, value):
    shown = value.replace("-", "--")
    return f"![{name}: {value}](https://img.shields.io/badge/{name}-{shown}-informational?style=flat-square)"


def values_table(chart):
    values = yaml.safe_load((chart / "values.yaml").read_text(encoding="utf-8"))
    rows = ["| Key | Type | Default | Description |", "|-----|------|---------|-------------|"]
    for path, (text, default) in sorted(descriptions(chart).items()):
        value = values
        for key in path:
            value = value[key]
        shown = default or f"`{json.dumps(value, separators=(',', ':'), ensure_ascii=False, sort_keys=True)}`"
        rows.append(f"| {'.'.join(path)} | {kind(value)} | {shown} | {text} |".replace("||", r"\|\|"))
    return "\n".join(rows)


def kind(value):
    names = {bool: "bool", int: "int", float: "float", str: "string", list: "list", dict: "object"}
    return names[type(value)]


def write(chart, root):
    """Writes what differs, and removes what is left over."""
    for path in leftovers(chart, root):
        (chart / path).unlink()
    for path, text in derived(chart, root).items():
        place = pathlib.Path(chart / path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
