#!/usr/bin/env python3
"""Plants mistakes in copies of the chart: the check that each is for has to find it."""

import pathlib
import shutil
import sys
import tempfile

import helm_python

import check

# Check, file of the chart, text in it, and what that becomes.
MISTAKES = [
    (check.up_to_date, "files/rules/alerts.yaml", "> 300", "> 3000"),
    (check.up_to_date, "values.yaml", "# -- Priority class of the pods\n", ""),
    (check.up_to_date, "README.md", "| replicaCount | int |", "| replicas | int |"),
    (check.up_to_date, "values.schema.json", '"shutdown_timeout"', '"shutdown_timeuot"'),
    (check.up_to_date, "Chart.yaml", "\nappVersion: ", "\nappVersion: 9."),
    (check.golden, "templates/NOTES.txt", "Is all well?", "All is well."),
    (check.helm_lint, "Chart.yaml", "\nversion: ", "\nversion: first."),
    (check.helm_lint, "templates/service.yaml", "  clusterIP: None", "  clusterIP: None: None"),
    (check.yaml_lint, "ci/minimal-values.yaml", "brokers: [kafka:9092]", "brokers: [kafka:9092]  "),
    (check.yaml_lint, "templates/service.yaml", "  clusterIP: None", "  clusterIP: None\n  clusterIP: None"),
    (check.native_manifests, "templates/statefulset.yaml", "minReadySeconds:", "minReadySecond:"),
    (check.native_manifests, "templates/service.yaml", "publishNotReadyAddresses: true", "publishNotReadyAddresses: 3"),
    (check.custom_resources, "templates/scaledobject.yaml", "  pollingInterval:", "  pollInterval:"),
    (check.custom_resources, "templates/servicemonitor.yaml", "- port: admin", "- ports: admin"),
    (check.custom_resources, "templates/podmonitor.yaml", "podMetricsEndpoints:", "endpoints:"),
    (check.custom_resources, "templates/prometheusrule.yaml", "  groups:", "  rules:"),
    (check.golden, "templates/networkpolicy.yaml", "port: 53", "port: 5353"),
    (check.golden, "templates/networkpolicy.yaml", "port: retrieval", "port: admin"),
    (check.native_manifests, "templates/service.yaml", "targetPort: retrieval", "targetPort: []"),
    (check.configuration, "templates/_config.tpl", '"cert_file" (printf "%s/tls.crt"', '"certificate" (printf "%s/tls.crt"'),
    (check.configuration, "templates/_config.tpl", '(dict "listen" $config.admin.listen', '(dict "listens" $config.admin.listen'),
    (check.retrieval, "templates/_config.tpl", '{{- $_ := unset $config "retrieval" -}}', ""),
    (check.retrieval, "templates/statefulset.yaml", '{{- if include "tailsieve.membersServe" . }}', "{{- if .Values.retrieval.enabled }}"),
    (check.retrieval, "templates/service.yaml", 'include "tailsieve.retrievalLabels"', 'include "tailsieve.memberLabels"'),
    (check.retrieval, "templates/poddisruptionbudget.yaml", 'include "tailsieve.retrievalLabels"', 'include "tailsieve.selectorLabels"'),
    (check.retrieval, "templates/networkpolicy.yaml", 'include "tailsieve.retrievalLabels"', 'include "tailsieve.selectorLabels"'),
    (check.retrieval, "templates/retrieval.yaml", '(include "tailsieve.kafkaSources" .)', '(include "tailsieve.secretSources" .)'),
    (check.retrieval, "templates/retrieval.yaml", 'include "tailsieve.retrievalConfig" . | sha', 'include "tailsieve.config" . | sha'),
    (check.restricted, "templates/retrieval.yaml", 'toYaml .Values.securityContext', 'toYaml .Values.podSecurityContext'),
    (check.plain, "templates/poddisruptionbudget.yaml", "maxUnavailable: {{", "minAvailable: {{"),
    (check.refused, "templates/_validate.tpl", "(gt $replicas $useful)", "(gt $replicas 1000)"),
    (check.refused, "values.schema.json", '"additionalProperties": false', '"additionalProperties": true'),
    (check.behaviour, "templates/statefulset.yaml", 'include "tailsieve.config" .', 'include "tailsieve.policies" .'),
    (check.behaviour, "templates/prometheusrule.yaml", "(not (has $name $values.disabled))", "true"),
    (check.behaviour, "templates/prometheusrule.yaml", ".root.Files.Get .path |", '.root.Files.Get .path | replace "{{" "" |'),
    (check.behaviour, "templates/prometheusrule.yaml", "(or .alert $values.recordingRules)", "$values.recordingRules"),
    (check.queries, "files/rules/alerts.yaml", "[10m]", "[10 m]"),
    (check.queries, "files/rules/alerts.yaml", "  - name: tailsieve\n", "  - {name: tailsieve, rules: [{record: a, expr: up}]}\n  - name: tailsieve\n"),
    (check.queries, "templates/scaledobject.yaml", "max(tailsieve_kafka_lag_seconds{", "max(tailsieve_lag{"),
    (check.restricted, "values.yaml", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"),
    (check.configuration, "values.yaml", "- name: slow\n", "- name: errors\n"),
]


def is_found(mistake):
    wanted, path, text, planted = mistake
    with tempfile.TemporaryDirectory(prefix="tailsieve-mistake.") as folder:
        copy = pathlib.Path(folder) / "tailsieve"
        shutil.copytree(check.CHART, copy)
        place = copy / path
        before = place.read_text(encoding="utf-8")
        if text not in before:
            sys.exit(f"{path} has no '{text}'")
        place.write_text(before.replace(text, planted), encoding="utf-8")
        try:
            return any(wanted(copy))
        except helm_python.HelmError:
            # Nothing is rendered: any check would notice that.
            return False


def main():
    missed = [it for it in MISTAKES if not is_found(it)]
    if not check.tailsieve_binary():
        missed = [it for it in missed if it[0] is not check.configuration]
    for wanted, path, text, planted in missed:
        print(f"{wanted.__name__} does not find '{planted}' for '{text}' in {path}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
