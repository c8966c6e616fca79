"""Queries, panels and links: what the dashboard is made of."""

import json
from urllib.parse import quote

# What every selector has.
MEMBERS = 'job=~"$job", instance=~"$instance"'
PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}
TEMPO = {"type": "tempo", "uid": "${tempo}"}

BLUE, GRAY, GREEN, RED, YELLOW = "blue", "#8e8e8e", "green", "red", "yellow"


# Expressions

def series(name, **labels):
    """A selector of the members that are looked at. A value that begins with ~ is a pattern."""
    matchers = [MEMBERS]
    for label, value in labels.items():
        matchers.append(f'{label}=~"{value[1:]}"' if value.startswith("~") else f'{label}="{value}"')
    return f"{name}{{{', '.join(matchers)}}}"


def total(expr, by=""):
    return f"sum by ({by}) ({expr})" if by else f"sum({expr})"


def rate(name, by="", **labels):
    """How fast a counter grows, over all members."""
    return total(f"rate({series(name, **labels)}[$__rate_interval])", by)


def growth(name, by="", **labels):
    """By how much a counter grew in the time that is shown, over all members."""
    return total(f"increase({series(name, **labels)}[$__range])", by)


def share(part, whole):
    """A quotient. Where the whole is 0 there is no value, rather than NaN."""
    return f"{part} / ({whole} > 0)"


def quantile(q, histogram, by=""):
    """A quantile. Where nothing was observed there is no value, rather than NaN."""
    buckets = rate(f"{histogram}_bucket", by=f"le, {by}" if by else "le")
    return f"histogram_quantile({q}, {buckets}) and {rate(f'{histogram}_count', by)} > 0"


def over_time(expr, legend="__auto"):
    return {"datasource": PROMETHEUS, "editorMode": "code", "expr": expr, "legendFormat": legend, "range": True}


def at_the_end(expr, legend="__auto"):
    """One value for the whole time that is shown."""
    return {**over_time(expr, legend), "instant": True, "range": False}


def quantiles(histogram, by=""):
    legend = f" {{{{{by}}}}}" if by else ""
    return [over_time(quantile(q, histogram, by), f"{name}{legend}") for q, name in ((0.5, "half"), (0.99, "99 %"))]


# Panels

def panel(kind, title, description, targets, **more):
    """A panel; its place and its id come from where it stands."""
    defaults = {
        "color": more.pop("color", {"mode": "palette-classic"}),
        "custom": more.pop("custom", {}),
        "links": more.pop("data_links", []),
        "mappings": more.pop("mappings", []),
        "min": 0,
        "thresholds": {"mode": "absolute", "steps": more.pop("steps", [{"color": GREEN, "value": None}])},
        "unit": more.pop("unit"),
    }
    defaults.update({key: more.pop(key) for key in ("decimals", "max") if key in more})
    lettered = [{"refId": chr(ord("A") + place), **target} for place, target in enumerate(targets)]
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": more.pop("datasource", PROMETHEUS),
        "size": more.pop("size", (8, 8)),
        "fieldConfig": {"defaults": defaults, "overrides": more.pop("overrides", [])},
        "options": more.pop("options"),
        "targets": lettered,
        **more,
    }


def lines(title, description, targets, stacked=False, **more):
    custom = {
        "drawStyle": "line",
        "fillOpacity": 40 if stacked else 10,
        "lineWidth": 1,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"group": "A", "mode": "normal" if stacked else "none"},
    }
    legend = {"calcs": ["lastNotNull", "max"], "displayMode": "table", "placement": "bottom", "showLegend": True}
    options = {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
    return panel("timeseries", title, description, targets, custom=custom, options=options, **more)


def number(title, description, expr, **more):
    options = {
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "auto",
    }
    look = {"size": (4, 4), "steps": [{"color": BLUE, "value": None}], "color": {"mode": "thresholds"}}
    return panel("stat", title, description, [at_the_end(expr)], options=options, **{**look, **more})


def table(title, description, columns, **more):
    """Columns, each a name, a unit and an expression, that are joined by the labels that they share."""
    targets = [{**at_the_end(expr), "format": "table"} for _, _, expr in columns]
    # Grafana names a column "Value" if it is the only one.
    letters = [""] if len(columns) == 1 else [f" #{chr(ord('A') + place)}" for place in range(len(columns))]
    names = {f"Value{letter}": name for letter, (name, _, _) in zip(letters, columns)}
    overrides = [
        {"matcher": {"id": "byName", "options": name}, "properties": [{"id": "unit", "value": unit}]}
        for name, unit, _ in columns
    ]
    organize = {"excludeByName": {"Time": True, **more.pop("hide", {})}, "indexByName": {}, "renameByName": names}
    transformations = [{"id": "merge", "options": {}}, {"id": "organize", "options": organize}]
    options = {"cellHeight": "sm", "showHeader": True}
    return panel("table", title, description, targets, unit="short", overrides=overrides,
                 options=options, transformations=transformations, **more)


def note(title, description, content, size):
    return {"type": "text", "title": title, "description": description, "datasource": PROMETHEUS, "size": size,
            "fieldConfig": {"defaults": {"unit": "none"}, "overrides": []},
            "options": {"content": content, "mode": "markdown"}}


def good_below(limit):
    return [{"color": GREEN, "value": None}, {"color": RED, "value": limit}]


def good_from(limit):
    return [{"color": RED, "value": None}, {"color": GREEN, "value": limit}]


def painted(**colors):
    """The colours of series, by their names."""
    return [
        {"matcher": {"id": "byName", "options": name},
         "properties": [{"id": "color", "value": {"fixedColor": color, "mode": "fixed"}}]}
        for name, color in colors.items()
    ]


NO_OR_YES = [{"type": "value", "options": {"0": {"color": RED, "index": 0, "text": "no"},
                                           "1": {"color": GREEN, "index": 1, "text": "yes"}}}]


def with_objective(made, seconds):
    """The panel, with a line where the objective is."""
    defaults = made["fieldConfig"]["defaults"]
    defaults["thresholds"]["steps"] = [{"color": "transparent", "value": None}, {"color": RED, "value": seconds}]
    defaults["custom"]["thresholdsStyle"] = {"mode": "dashed"}
    return made


# Links

def link(title, url):
    return {"targetBlank": True, "title": title, "url": url}


def explore(traceql):
    """The address of a query of Tempo in Explore."""
    target = {"refId": "A", "datasource": TEMPO, "queryType": "traceql", "query": traceql, "limit": 20}
    pane = {"datasource": "${tempo}", "queries": [target], "range": {"from": "now-1h", "to": "now"}}
    return f"/explore?schemaVersion=1&panes={encoded({'a': pane})}&orgId=1"


def encoded(value):
    """JSON in a URL. What Grafana fills in, `${...}`, stays as it is."""
    first, *rest = json.dumps(value, separators=(",", ":")).split("${")
    url = quote(first)
    for part in rest:
        variable, text = part.split("}", 1)
        url += f"${{{variable}}}{quote(text)}"
    return url


# The whole

def tidy(value, indent=0):
    """JSON; what fits on one line is on one line."""
    flat = json.dumps(value, ensure_ascii=False)
    if indent + len(flat) <= 120 or not isinstance(value, (dict, list)) or not value:
        return flat
    pad = " " * (indent + 2)
    if isinstance(value, list):
        parts, (opens, closes) = [tidy(item, indent + 2) for item in value], "[]"
    else:
        parts, (opens, closes) = [f"{json.dumps(key)}: {tidy(its, indent + 2)}" for key, its in value.items()], "{}"
    lines_of_it = f",\n{pad}".join(parts)
    return f"{opens}\n{pad}{lines_of_it}\n{' ' * indent}{closes}"


def laid_out(rows):
    """The panels of (title, collapsed, panels), with ids and places. A line is 24 wide."""
    panels, y, ids = [], 0, iter(range(1, 1000))
    for title, is_collapsed, contents in rows:
        row = {"type": "row", "title": title, "id": next(ids), "collapsed": is_collapsed,
               "gridPos": {"h": 1, "w": 24, "x": 0, "y": y}, "panels": []}
        panels.append(row)
        y += 1
        x = height = 0
        for content in contents:
            content = dict(content)
            width, its_height = content.pop("size")
            if x + width > 24:
                x, y, height = 0, y + height, 0
            place = {"h": its_height, "w": width, "x": x, "y": y}
            kind = content.pop("type")
            placed = {"type": kind, "title": content.pop("title"), "id": next(ids), "gridPos": place, **content}
            (row["panels"] if is_collapsed else panels).append(placed)
            x, height = x + width, max(height, its_height)
        # What is collapsed takes no room; its panels are below its row when it is opened.
        y += 0 if is_collapsed else height
    return panels
