#!/usr/bin/env python3
"""Checks the Helm chart and the plain manifests; tests/deploy/kubernetes calls it.

    check.py                  all checks
    check.py configuration    those that are named

Each check is a function that takes the folder of a chart and yields what is wrong with it, so that it
can be asked about a copy with a mistake in it as well (mistakes.py).
"""

import functools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import helm_python
import jsonschema
import kubernetes_validate
import yaml
import yamllint.config
import yamllint.linter

import derived
import helm

ROOT = pathlib.Path(__file__).resolve().parents[3]
CHART = ROOT / "deploy/helm/tailsieve"
PLAIN = ROOT / "deploy/kubernetes/tailsieve.yaml"
GOLDEN = ROOT / "tests/deploy/golden"
SCHEMAS = ROOT / "tests/deploy/schemas"
REWRITE = "TAILSIEVE_UPDATE=1 tests/deploy/run kubernetes"

# The oldest that the chart admits, and the newest that is known.
KUBERNETES = ["1.27", kubernetes_validate.latest_version()]
CUSTOM = {
    "monitoring.coreos.com/v1": ["servicemonitor", "podmonitor", "prometheusrule"],
    "keda.sh/v1alpha1": ["scaledobject"],
}

LINT = yamllint.config.YamlLintConfig("""
extends: default
rules:
  braces: {max-spaces-inside: 1}
  comments: {min-spaces-from-content: 1}
  document-start: disable
  line-length: disable
  truthy: {check-keys: false}
""")
# Helm indents lists in two ways, and leaves lines empty.
LINT_RENDERED = yamllint.config.YamlLintConfig("""
extends: default
rules:
  braces: disable
  comments: {min-spaces-from-content: 1}
  comments-indentation: disable
  empty-lines: {max: 3}
  indentation: disable
  line-length: disable
  trailing-spaces: disable
  truthy: {check-keys: false}
""")


def value_sets(chart):
    """The values of ci/, by their name."""
    files = sorted((chart / "ci").glob("*-values.yaml"))
    return {it.name.removesuffix("-values.yaml"): helm.values_of(it) for it in files}


@functools.cache
def renderings(chart):
    """What is rendered with each of them."""
    return {name: helm.render(chart, values) for name, values in value_sets(chart).items()}


# ---- checks: each yields a line for each thing that is wrong

def up_to_date(chart):
    """Files that are made of others."""
    for path, text in derived.derived(chart, ROOT).items():
        place = chart / path
        if not place.is_file() or place.read_text(encoding="utf-8") != text:
            yield f"{path} is not what its sources make of it: {REWRITE}"
    for path in derived.leftovers(chart, ROOT):
        yield f"{path} has no source any more: {REWRITE}"
    for value in derived.undescribed(chart):
        yield f"values.yaml: {value} has no description (# --)"
    jsonschema.Draft7Validator.check_schema(json.loads((chart / "values.schema.json").read_text(encoding="utf-8")))
    cargo = re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(encoding="utf-8"), re.MULTILINE)
    about = helm.values_of(chart / "Chart.yaml")
    if about["appVersion"] != cargo[1]:
        yield f"Chart.yaml: appVersion is {about['appVersion']}, but Cargo.toml has {cargo[1]}"


def helm_lint(chart):
    for name, values in value_sets(chart).items():
        for told in helm.lint(chart, values):
            yield f"helm lint, {name}: {told}"


def yaml_lint(chart):
    """The files that are YAML themselves, and what templates make of them."""
    files = [chart / "Chart.yaml", chart / "values.yaml", *sorted((chart / "ci").glob("*.yaml")),
             *sorted(PLAIN.parent.glob("kustomization.yaml"))]
    texts = [(it.name, it.read_text(encoding="utf-8"), LINT) for it in files]
    for name, files in renderings(chart).items():
        texts.append((f"rendered with {name}", helm.manifests(files), LINT_RENDERED))
    for name, text, rules in texts:
        for problem in yamllint.linter.run(text, rules):
            yield f"yamllint, {name}:{problem.line}: {problem.desc}"


def native_manifests(chart):
    for name, files in renderings(chart).items():
        for resource in helm.resources(files):
            if resource["apiVersion"] in CUSTOM:
                continue
            for version in KUBERNETES:
                try:
                    kubernetes_validate.validate(resource, version, strict=True)
                except kubernetes_validate.ValidationError as error:
                    place = ".".join(map(str, error.path))
                    yield f"{name}, {resource['kind']} in Kubernetes {version}: {place}: {error.message}"
                except kubernetes_validate.SchemaNotFoundError as error:
                    yield f"{name}: {error.message}"


def custom_resources(chart):
    """Against the schemas of their CRDs; each of `CUSTOM` has to be in some rendering."""
    unseen = {kind for kinds in CUSTOM.values() for kind in kinds}
    for name, files in renderings(chart).items():
        for resource in helm.resources(files):
            if resource["apiVersion"] not in CUSTOM:
                continue
            kind = resource["kind"].lower()
            unseen.discard(kind)
            schema = yaml.safe_load((SCHEMAS / f"{kind}.json").read_text(encoding="utf-8"))
            for error in jsonschema.Draft7Validator(schema).iter_errors(resource):
                yield f"{name}, {resource['kind']}: {error.json_path}: {error.message}"
    for kind in unseen:
        yield f"no value set renders a {kind}"


def golden_texts(chart):
    """Manifests and notes by the name of their file. Dashboards are named only: they are copies anyway."""
    boards = {it.name: it.read_text(encoding="utf-8").strip()
              for it in (chart / "files/dashboards").glob("*.json")}
    for name, files in renderings(chart).items():
        text = helm.manifests(files)
        for board, contents in boards.items():
            indented = "\n".join(f"    {line}" if line else "    " for line in contents.splitlines())
            text = text.replace(indented, f"    (files/dashboards/{board})")
        yield f"{name}.yaml", text
        yield f"{name}-notes.txt", files["NOTES.txt"]


def golden(chart):
    seen = set()
    for name, text in golden_texts(chart):
        place = GOLDEN / name
        seen.add(place)
        if not place.is_file() or place.read_text(encoding="utf-8") != text:
            yield f"{place.relative_to(ROOT)} is not what the chart renders: {REWRITE}, and look at git diff"
    for place in set(GOLDEN.iterdir()) - seen:
        yield f"{place.relative_to(ROOT)} has no value set"


def plain_text(chart):
    """The manifests without what only Helm needs."""
    files = helm.render(chart, value_sets(chart)["plain"])
    theirs = ("helm.sh/chart:", "app.kubernetes.io/managed-by:", f"namespace: {helm.NAMESPACE}", "# Source:")
    lines = [it for it in helm.manifests(files).splitlines() if not it.strip().startswith(theirs)]
    head = f"# Rendered from deploy/helm/tailsieve with ci/plain-values.yaml: {REWRITE}\n"
    return head + "\n".join(lines) + "\n"


def plain(chart):
    if not PLAIN.is_file() or PLAIN.read_text(encoding="utf-8") != plain_text(chart):
        yield f"{PLAIN.relative_to(ROOT)} is not what the chart renders: {REWRITE}"
    listed = yaml.safe_load((PLAIN.parent / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    if listed != [PLAIN.name]:
        yield f"{PLAIN.parent.relative_to(ROOT)}/kustomization.yaml has to list {PLAIN.name}"


def refused(chart):
    """The cases of cases.yaml."""
    minimal = helm.values_of(chart / "ci/minimal-values.yaml")
    cases = yaml.safe_load((pathlib.Path(__file__).parent / "cases.yaml").read_text(encoding="utf-8"))
    for case in cases:
        try:
            helm.render(chart, overlaid(minimal, case["values"]))
        except helm_python.HelmError as error:
            if case["says"] not in str(error):
                yield f"with {case['values']} the chart does not say '{case['says']}' but: {error}"
        else:
            yield f"the chart takes {case['values']}; it should say: {case['says']}"


def overlaid(values, more):
    merged = dict(values)
    for key, value in more.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = overlaid(merged[key], value) if both else value
    return merged


def behaviour(chart):
    """What a change of values does, and does not do, to the pods and the rules."""
    values = helm.values_of(chart / "ci/monitoring-values.yaml")

    def pods(more):
        return helm.render(chart, overlaid(values, more))["statefulset.yaml"]

    if pods({"policies": {"decision_wait": "40s"}}) != pods({}):
        yield "a change of policies restarts the pods"
    if pods({"config": {"kafka": {"topic": "other"}}}) == pods({}):
        yield "a change of config does not restart the pods"
    minimal = helm.values_of(chart / "ci/minimal-values.yaml")
    all_rules = rules_of(chart, overlaid(minimal, {"prometheusRule": {"enabled": True}}))
    sources = sorted((chart / "files/rules").glob("*.yaml"))
    wanted = [rule for it in sources for group in helm.values_of(it)["groups"] for rule in group["rules"]]
    if all_rules != wanted:
        yield "the PrometheusRule has other rules than files/rules"
    ours = {rule["alert"]: rule for rule in rules_of(chart, values) if "alert" in rule}
    names = {it["alert"] for it in wanted if "alert" in it}
    if set(ours) != names - {"TailsieveTopicRecreated"} | {"NoMembers"}:
        yield "prometheusRule.disabled and extraGroups do not change just the rules of ci/monitoring-values.yaml"
    without = overlaid(minimal, {"prometheusRule": {"enabled": True, "recordingRules": False}})
    if rules_of(chart, without) != [it for it in wanted if "alert" in it]:
        yield "prometheusRule.recordingRules does not leave out those, and only those"
    changed = {"for": "15m", "labels": {"severity": "critical", "team": "tracing"}}
    if any(ours["TailsieveBehind"][key] != value for key, value in changed.items()):
        yield "prometheusRule.overrides does not change TailsieveBehind"


def rules_of(chart, values):
    found = yaml.safe_load_all(helm.render(chart, values)["prometheusrule.yaml"])
    return [rule for it in found if it for group in it["spec"]["groups"] for rule in group["rules"]]


def queries(chart):
    """promtool on the rules as the operator gets them, and on the query of the autoscaler."""
    for name, files in renderings(chart).items():
        for resource in helm.resources(files):
            groups = []
            if resource["kind"] == "PrometheusRule":
                groups = resource["spec"]["groups"]
            elif resource["kind"] == "ScaledObject":
                asked = [it["metadata"]["query"] for it in resource["spec"]["triggers"] if it["type"] == "prometheus"]
                groups = [{"name": "lag", "rules": [{"record": f"lag:{i}", "expr": it} for i, it in enumerate(asked)]}]
                unknown = set(re.findall(r"tailsieve_\w+", " ".join(asked))) - metrics()
                for metric in unknown:
                    yield f"{name}: the autoscaler asks for {metric}, which is not in docs/metrics.md"
            if groups:
                text = yaml.safe_dump({"groups": groups})
                done = subprocess.run(["promtool", "check", "rules", "/dev/stdin"], input=text,
                                      capture_output=True, text=True, check=False)
                if done.returncode != 0:
                    yield f"promtool, {name}, {resource['kind']}: {done.stdout}{done.stderr}"


def metrics():
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    return set(re.findall(r"^\| `(\w+)", page, re.MULTILINE))


def restricted(chart):
    """The Pod Security Standard "restricted", and no token of the API server."""
    for name, files in renderings(chart).items():
        for resource in helm.resources(files):
            if resource["kind"] not in ("StatefulSet", "Deployment", "Pod"):
                continue
            spec = resource["spec"].get("template", resource)["spec"]
            own = next(it for it in spec["containers"] if it["name"] in ("tailsieve", "doctor"))
            for wanted, got in [
                (True, spec["securityContext"].get("runAsNonRoot")),
                ("RuntimeDefault", spec["securityContext"].get("seccompProfile", {}).get("type")),
                (False, own["securityContext"].get("allowPrivilegeEscalation")),
                (["ALL"], own["securityContext"].get("capabilities", {}).get("drop")),
                (True, own["securityContext"].get("readOnlyRootFilesystem")),
                (False, spec.get("automountServiceAccountToken")),
            ]:
                if got != wanted:
                    yield f"{name}, {resource['kind']}: {got} instead of {wanted} in the security context"


def tailsieve_binary():
    named = os.environ.get("TAILSIEVE_BIN")
    return pathlib.Path(named).resolve() if named else None


def configuration(chart):
    """`tailsieve validate --strict` on what the pods are given. Silent if there is no binary."""
    binary = tailsieve_binary()
    if not binary:
        return
    for name, files in renderings(chart).items():
        resources = helm.resources(files)
        maps = {it["metadata"]["name"]: it["data"] for it in resources if it["kind"] == "ConfigMap"}
        for workload in (it for it in resources if it["kind"] in ("StatefulSet", "Deployment")):
            own = maps[workload["metadata"]["name"]]["tailsieve.yaml"]
            container = workload["spec"]["template"]["spec"]["containers"][0]
            variables = {it["name"]: it.get("value", "kafka:9092") for it in container["env"]}
            with tempfile.TemporaryDirectory(prefix="tailsieve-chart.") as folder:
                place = pathlib.Path(folder)
                (place / "tailsieve.yaml").write_text(own, encoding="utf-8")
                policies = next((it["policies.yaml"] for it in maps.values() if "policies.yaml" in it), None)
                policies = policies or (ROOT / "deploy/compose/policies.yaml").read_text(encoding="utf-8")
                (place / "policies.yaml").write_text(policies, encoding="utf-8")
                done = subprocess.run([binary, "validate", "--strict", "tailsieve.yaml"], cwd=folder, env=variables,
                                      capture_output=True, text=True, check=False)
            if done.returncode != 0:
                yield f"tailsieve validate, {name}, {workload['kind']}:\n{done.stdout}{done.stderr}"


def retrieval(chart):
    """With `retrieval.mode: deployment` its pods serve, and no member does; they have no secret that only members need."""
    values = helm.values_of(chart / "ci/retrieval-values.yaml")
    resources = helm.resources(helm.render(chart, values))
    pods = {it["kind"]: it["spec"]["template"] for it in resources if it["kind"] in ("StatefulSet", "Deployment")}
    ports = {kind: {it["name"] for it in pod["spec"]["containers"][0]["ports"]} for kind, pod in pods.items()}
    if ports != {"StatefulSet": {"admin"}, "Deployment": {"admin", "retrieval"}}:
        yield f"the ports of pods are {ports}"
    maps = {it["metadata"]["name"]: yaml.safe_load(it["data"]["tailsieve.yaml"])
            for it in resources if it["kind"] == "ConfigMap" and "tailsieve.yaml" in it["data"]}
    if {name for name, it in maps.items() if "retrieval" in it} != {"tailsieve-retrieval"}:
        yield "other pods than those of the Deployment are told to serve"
    for secret in ("tempo-token", "tailsieve-admin"):
        if secret in yaml.safe_dump(pods["Deployment"]) or secret not in yaml.safe_dump(pods["StatefulSet"]):
            yield f"the Secret {secret} is not just for members"
    labels = {kind: pod["metadata"]["labels"].items() for kind, pod in pods.items()}
    selectors = [("Service", "tailsieve-retrieval", lambda it: it["selector"]),
                 ("PodDisruptionBudget", "tailsieve-retrieval", lambda it: it["selector"]["matchLabels"]),
                 ("NetworkPolicy", "tailsieve-retrieval", lambda it: it["podSelector"]["matchLabels"])]
    for kind, name, selector in selectors:
        found = [it for it in resources if (it["kind"], it["metadata"]["name"]) == (kind, name)]
        chosen = [of for of in pods for it in found if selector(it["spec"]).items() <= labels[of]]
        if chosen != ["Deployment"]:
            yield f"the {kind} {name} is of the pods of {chosen}"

    def pod(more):
        return yaml.safe_load(helm.render(chart, overlaid(values, more))["retrieval.yaml"])["spec"]["template"]

    if pod({"policies": {"decision_wait": "40s"}}) != pod({}):
        yield "a change of policies restarts the pods that serve dropped traces"
    if pod({"config": {"retrieval": {"lookups": 9}}}) == pod({}):
        yield "a change of config.retrieval does not restart them"
    # Not in ci: the oldest Kubernetes does not know it.
    lifecycle = {"preStop": {"sleep": {"seconds": 5}}}
    if pod({"retrieval": {"deployment": {"lifecycle": lifecycle}}})["spec"]["containers"][0].get("lifecycle") != lifecycle:
        yield "retrieval.deployment.lifecycle is not that of the container"


CHECKS = [up_to_date, helm_lint, yaml_lint, native_manifests, custom_resources, golden, plain, refused,
          behaviour, queries, restricted, configuration, retrieval]


def rewrite():
    """Everything that is made of something else, anew."""
    derived.write(CHART, ROOT)
    renderings.cache_clear()
    shutil.rmtree(GOLDEN, ignore_errors=True)
    GOLDEN.mkdir()
    for name, text in golden_texts(CHART):
        (GOLDEN / name).write_text(text, encoding="utf-8")
    PLAIN.parent.mkdir(exist_ok=True)
    PLAIN.write_text(plain_text(CHART), encoding="utf-8")


def main():
    if os.environ.get("TAILSIEVE_UPDATE"):
        rewrite()
    wanted = [it for it in CHECKS if it.__name__ in sys.argv[1:] or not sys.argv[1:]]
    problems = [it for check in wanted for it in check(CHART)]
    for problem in problems:
        print(problem, file=sys.stderr)
    if configuration in wanted and not tailsieve_binary():
        print(f"{sys.argv[0]}: TAILSIEVE_BIN names no tailsieve: the configurations of the chart were not validated",
              file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
