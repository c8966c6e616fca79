"""Checks a file of Grafana's provisioning: provisioning.py FILE."""

import re
import sys
from pathlib import Path

from ruamel.yaml import YAML

# A single $ is a variable of the environment to Grafana; what is meant for later is written $$.
ENVIRONMENT = re.compile(r"(?<!\$)\$(?!\$)")
LINKS = {
    "prometheus": {("exemplarTraceIdDestinations", "tempo")},
    "tempo": {("tracesToLogsV2", "loki"), ("tracesToMetrics", "prometheus"), ("serviceMap", "prometheus")},
    "loki": {("derivedFields", "tempo")},
}


def leading(settings):
    """Where the settings of a data source lead, by section."""
    for section, value in settings.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict) and "datasourceUid" in one:
                yield section, one["datasourceUid"]


def check_sources(sources):
    kinds = {source["uid"]: source["type"] for source in sources}
    if sum(source.get("isDefault", False) for source in sources) != 1:
        yield "one data source is the default"
    for source in sources:
        name, leads = source["name"], set(leading(source["jsonData"]))
        yield from (f"{name}: there is no data source {uid}" for _, uid in leads if uid not in kinds)
        found = {(section, kinds.get(uid)) for section, uid in leads}
        missing = LINKS[source["type"]] - found
        yield from (f"{name}: {section} does not lead to {kind}" for section, kind in missing)
        if not re.fullmatch(r"http://[a-z]+:\d+", source["url"]) or source["access"] != "proxy":
            yield f"{name}: its address is not that of a service"


def check_loaders(providers):
    for provider in providers:
        if provider["type"] != "file" or provider["options"] != {"path": "/var/lib/grafana/dashboards"}:
            yield f"{provider['name']}: it does not load files from /var/lib/grafana/dashboards"


def check(text):
    content = YAML(typ="safe").load(text)
    if content["apiVersion"] != 1:
        yield "apiVersion is 1"
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    yield from (f"a single $ at {code[place.start():][:20]!r}" for place in ENVIRONMENT.finditer(code))
    yield from check_sources(content.get("datasources", ())) if "datasources" in content else ()
    yield from check_loaders(content.get("providers", ()))


if __name__ == "__main__":
    errors = list(check(Path(sys.argv[1]).read_text()))
    print(*errors, sep="\n", end="\n" if errors else "", file=sys.stderr)
    sys.exit(1 if errors else 0)
