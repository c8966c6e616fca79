#!/usr/bin/env python3
"""Prints the dashboard that is shipped: deploy/grafana/source/dashboard.py > deploy/grafana/dashboards/tailsieve.json

In the classic form, which Grafana 10.4 and all later versions import. What a panel needs is in parts.py.
"""

from parts import (BLUE, GRAY, GREEN, NO_OR_YES, PROMETHEUS, RED, TEMPO, YELLOW, explore, good_below, good_from, growth,
                   laid_out, lines, link, note, number, over_time, painted, panel, quantiles, rate, series, share,
                   table, tidy, total, with_objective)

RUNBOOKS = "https://github.com/tailsieve/tailsieve/blob/main/docs/runbooks.md"
KEPT_IN_TEMPO = link("Traces kept by ${__field.labels.policy}, in Tempo",
                     explore('{ span.tailsieve.policy = "${__field.labels.policy}" }'))
# Objectives, as in deploy/prometheus/alerts.yaml.
LAG, EXPORT_DELAY, DECISION_DELAY = 60, 10, 30


def saved(unit):
    """What of a unit did not reach the backend in the time that is shown: dropped, or late for a dropped trace."""
    dropped = growth(f"tailsieve_dropped_{unit}_total")
    late = growth(f"tailsieve_late_{unit}_total", decision="drop")
    return f"({dropped} + {late})"


GLANCE = [
    number("Traces kept", "The share of decided traces that is kept, in the time that is shown.",
           share(growth("tailsieve_kept_traces_total"),
                 f'({growth("tailsieve_kept_traces_total")} + {growth("tailsieve_dropped_traces_total")})'),
           unit="percentunit", decimals=1),
    number("Spans in", "Spans read from Kafka each second.", rate("tailsieve_received_spans_total"), unit="cps"),
    number("Lag", "Age of the last record read, of the partition that is furthest behind. The objective is below 60 s.",
           f'max({series("tailsieve_kafka_lag_seconds")})', unit="s", steps=good_below(LAG)),
    number("Records lost", "Records that retention deleted before they were read. Anything but 0 is a loss of spans.",
           growth("tailsieve_kafka_lost_records_total"), unit="none", decimals=0, steps=good_below(1)),
    number("Members ready", "The share of the members that Prometheus knows of which every condition of /readyz holds.",
           f'count(min by (job, instance) ({series("tailsieve_ready")}) == 1) / count({series("up")}) or vector(0)',
           unit="percentunit", max=1, steps=good_from(1)),
    number("Alerts", "Alerts of tailsieve that fire now. docs/runbooks.md has a section for each.",
           'count(ALERTS{alertname=~"Tailsieve.+", alertstate="firing"}) or vector(0)',
           unit="none", steps=good_below(1), links=[link("Runbooks", RUNBOOKS)]),
]

SAVED = [
    number("Traces not stored", "Traces dropped in the time that is shown.", growth("tailsieve_dropped_traces_total"), unit="short", size=(6, 4)),
    number("Spans not stored", "Spans of dropped traces, late ones included.", saved("spans"), unit="short", size=(6, 4)),
    number("Bytes not stored", "Bytes of those spans, uncompressed, as OTLP counts them.", saved("bytes"),
           unit="decbytes", size=(6, 4)),
    number("Money saved", "Bytes not stored, at the price of a GB at the top of this page. Whatever currency that is in.",
           f'{saved("bytes")} / 1e9 * $price', unit="none", decimals=2, size=(6, 4)),
    lines("Spans", "Spans read, and what became of them.", [
        over_time(rate("tailsieve_received_spans_total"), "in"),
        over_time(rate("tailsieve_kept_spans_total"), "kept"),
        over_time(rate("tailsieve_dropped_spans_total"), "dropped"),
    ], unit="cps", overrides=painted(**{"in": BLUE, "kept": GREEN, "dropped": GRAY})),
    lines("Bytes", "Bytes of spans read, and what became of them.", [
        over_time(rate("tailsieve_received_bytes_total"), "in"),
        over_time(rate("tailsieve_kept_bytes_total"), "kept"),
        over_time(rate("tailsieve_dropped_bytes_total"), "dropped"),
    ], unit="Bps", overrides=painted(**{"in": BLUE, "kept": GREEN, "dropped": GRAY})),
    lines("Share kept", "Of what is decided, the share that is kept: of traces, spans and bytes.", [
        over_time(share(rate(f"tailsieve_kept_{unit}_total"),
                        f'({rate(f"tailsieve_kept_{unit}_total")} + {rate(f"tailsieve_dropped_{unit}_total")})'), unit)
        for unit in ("traces", "spans", "bytes")
    ], unit="percentunit"),
]

POLICIES = [
    lines("Kept, by policy", "Traces kept, by the policy that they are attributed to. A click on a line leads to them in "
          "Tempo, if kept spans have the attribute tailsieve.policy (annotate.policy).",
          [over_time(rate("tailsieve_kept_traces_total", "policy"), "{{policy}}")],
          unit="cps", stacked=True, data_links=[KEPT_IN_TEMPO]),
    lines("Dropped, by policy", "Traces dropped, by the policy that dropped them; none: no policy kept them.",
          [over_time(rate("tailsieve_dropped_traces_total", "policy"), "{{policy}}")], unit="cps", stacked=True),
    lines("Policy errors", "Traces of which a policy could not evaluate something, which is no vote.",
          [over_time(rate("tailsieve_policy_errors_total", "policy"), "{{policy}}")], unit="cps"),
    table("Policies", "In the time that is shown: votes to keep and to drop (a trace may get several), what is attributed to "
          "the policy; what no other policy would have decided so; and traces that it could not judge.", [
              ("keep votes", "short", growth("tailsieve_policy_votes_total", "policy", vote="keep")),
              ("drop votes", "short", growth("tailsieve_policy_votes_total", "policy", vote="drop")),
              ("kept traces", "short", growth("tailsieve_kept_traces_total", "policy")),
              ("kept bytes", "decbytes", growth("tailsieve_kept_bytes_total", "policy")),
              ("dropped traces", "short", growth("tailsieve_dropped_traces_total", "policy")),
              ("decided alone", "short", growth("tailsieve_alone_traces_total", "policy")),
              ("errors", "short", growth("tailsieve_policy_errors_total", "policy")),
          ], size=(24, 8)),
    lines("Shadow policies", "Traces that a policy in mode: shadow would have kept or dropped, otherwise than was decided. Empty "
          "without such a policy.", [
              over_time(rate("tailsieve_shadow_kept_traces_total", "policy"), "{{policy}} would keep"),
              over_time(rate("tailsieve_shadow_dropped_traces_total", "policy"), "{{policy}} would drop"),
          ], unit="cps"),
    lines("Shadow policies, bytes", "What these would add to or take from what is stored. Empty without such a policy.", [
        over_time(rate("tailsieve_shadow_kept_bytes_total", "policy"), "{{policy}} would add"),
        over_time(rate("tailsieve_shadow_dropped_bytes_total", "policy"), "{{policy}} would take away"),
    ], unit="Bps"),
    lines("Composite policies", "Traces kept by the sub-policies of composite policies. Empty without such a policy.",
          [over_time(rate("tailsieve_composite_kept_traces_total", "policy, sub_policy"), "{{policy}}: {{sub_policy}}")],
          unit="cps", stacked=True),
]

INGEST = [
    lines("Lag in seconds", "Age of the last record read, of the partition that is furthest behind, for each member. The sign of "
          "overload, and what to scale on.",
          [over_time(f'max by (instance) ({series("tailsieve_kafka_lag_seconds")})', "{{instance}}")], unit="s"),
    lines("Lag in records", "Position: not read yet, the backlog. Committed: what a restart would read again; open traces hold "
          "it back by design, so it is never 0 while there is traffic.", [
              over_time(total(series("tailsieve_kafka_lag_records")), "position"),
              over_time(total(series("tailsieve_kafka_committed_lag_records")), "committed"),
          ], unit="short"),
    lines("Offset held back", "For how long the committable offset of a partition has not moved, although records behind it were "
          "read. Some seconds to decision_wait are normal.",
          [over_time(f'max by (instance) ({series("tailsieve_kafka_held_back_seconds")})', "{{instance}}")], unit="s"),
    lines("Records by encoding", "Records read from Kafka, by the encoding of their value.",
          [over_time(rate("tailsieve_received_encoded_records_total", "encoding") + " > 0", "{{encoding}}")],
          unit="cps", stacked=True),
    lines("What cannot be read", "Records refused whole and spans refused, by reason, and dead letters by their outcome.", [
        over_time(rate("tailsieve_invalid_records_total", "reason") + " > 0", "records: {{reason}}"),
        over_time(rate("tailsieve_invalid_spans_total", "reason") + " > 0", "spans: {{reason}}"),
        over_time(rate("tailsieve_dead_letters_total", "outcome"), "letters {{outcome}}"),
    ], unit="cps"),
    lines("Misrouted", "Signs that traces are spread over partitions. Must stay 0; tailsieve doctor says what mends it.",
          [over_time(rate("tailsieve_misrouted_records_total", "kind"), "{{kind}}")], unit="cps"),
]

DECISIONS = [
    lines("Decisions, by trigger", "root: the root span came, and the quiet time after it. wait: decision_wait was over. size: a "
          "cap. memory: decided early, at the bound. log_gone: the topic was deleted. "
          "late, restored: it had been dropped, and a late span or somebody brought it back.",
          [over_time(rate("tailsieve_decision_triggers_total", "trigger"), "{{trigger}}")], unit="cps", stacked=True),
    with_objective(
        lines("Decision delay", "Time from the first span of a trace to its decision, on the clock of the partition. The "
              "objective: 99 % within 30 s.", quantiles("tailsieve_decision_delay_seconds"), unit="s"),
        DECISION_DELAY),
    lines("Late spans", "Spans read after their trace was decided; they follow that decision.",
          [over_time(rate("tailsieve_late_spans_total", "decision"), "{{decision}}")], unit="cps"),
    lines("Age of late spans", "Time from the decision on a trace to a late span of it. If most are young, a longer "
          "decision_wait_after_root_received brings them in time.", quantiles("tailsieve_late_age_seconds"), unit="s"),
    lines("Spans of a trace", "Spans of a trace when it was decided.", quantiles("tailsieve_trace_spans"), unit="short"),
    lines("Duration of a trace", "From the earliest start to the latest end, when it was decided.",
          quantiles("tailsieve_trace_duration_seconds"), unit="s"),
]

MEMORY = [
    lines("Buffer", "Memory that open traces and traces on their way are accounted with, and the bound (buffer.max_bytes) where "
          "traces are decided early.", [
              over_time(f'max by (instance) ({series("tailsieve_buffer_bytes")})', "{{instance}}"),
              over_time(f'min({series("tailsieve_buffer_limit_bytes")})', "bound"),
          ], unit="bytes", overrides=painted(bound=RED)),
    lines("Open traces", "Traces and spans that are not decided yet.", [
        over_time(total(series("tailsieve_open_traces")), "traces"),
        over_time(total(series("tailsieve_open_spans")), "spans"),
    ], unit="short"),
    lines("Resident memory", "Of each process, as the system counts it.",
          [over_time(f'max by (instance) ({series("process_resident_memory_bytes")})', "{{instance}}")], unit="bytes"),
    lines("CPU", "Cores that each process uses.",
          [over_time(rate("process_cpu_seconds_total", "instance"), "{{instance}}")], unit="short", decimals=2),
    lines("Workers that wait", "Workers that take no records at the moment, by what they wait for: room at an exporter, the "
          "decision log, room for dead letters, or proof that the member still is in its group.",
          [over_time(total(series("tailsieve_stalled_workers"), "reason"), "{{reason}}")], unit="none"),
    lines("Decisions remembered", "Decisions that late spans of each member can follow.",
          [over_time(f'max by (instance) ({series("tailsieve_decision_cache_entries")})', "{{instance}}")], unit="short"),
]

EXPORT = [
    lines("Spans out", "Spans that left the exporter, by outcome. abandoned: their partition has a new owner, which sends them.",
          [over_time(rate("tailsieve_export_spans_total", "exporter, outcome"), "{{exporter}} {{outcome}}")], unit="cps"),
    with_objective(
        lines("Export delay", "Time from the decision to keep a trace until the backend accepted it. The objective: 99 % within "
              "10 s. Tempo's metrics-generator ignores spans that ended 30 s ago.",
              quantiles("tailsieve_export_delay_seconds", "exporter"), unit="s"),
        EXPORT_DELAY),
    lines("Requests, by code", "Attempts to send a request, by the code that they ended with.",
          [over_time(rate("tailsieve_export_requests_total", "exporter, code") + " > 0", "{{exporter}} {{code}}")], unit="cps"),
    lines("Duration of a request", "Duration of an attempt.", quantiles("tailsieve_export_request_duration_seconds", "exporter"),
          unit="s"),
    lines("Queue", "How full the queue of each exporter is, of the fullest member. When it is full, no more is read from Kafka.", [
        over_time(f'max by (exporter) ({series("tailsieve_export_queue_bytes")} / '
                  f'({series("tailsieve_export_queue_capacity_bytes")} > 0))', "{{exporter}}"),
    ], unit="percentunit", max=1),
    lines("Backend accepts", "Whether the backend accepted what it was last sent, for each member.",
          [over_time(f'min by (instance, exporter) ({series("tailsieve_export_up")})', "{{instance}} {{exporter}}")],
          unit="none", max=1, mappings=NO_OR_YES),
    lines("Retries", "Attempts that repeat a failed one.",
          [over_time(rate("tailsieve_export_retries_total", "exporter"), "{{exporter}}")], unit="cps"),
    lines("Bytes out", "Bytes of all attempts, before compression.",
          [over_time(rate("tailsieve_export_sent_bytes_total", "exporter"), "{{exporter}}")], unit="Bps"),
    lines("Requests under way", "Attempts that wait for an answer; at most sending_queue.num_consumers for each member.",
          [over_time(total(series("tailsieve_export_in_flight_requests"), "exporter"), "{{exporter}}")], unit="none"),
]

GROUP = [
    lines("Partitions", "Partitions that each member owns. A member without any has nothing to do: there are more members than "
          "partitions.",
          [over_time(total(series("tailsieve_kafka_owned_partitions"), "instance"), "{{instance}}")], unit="none", stacked=True),
    lines("Rebalances", "Partitions that were assigned, revoked in order, or lost, in the last minutes.",
          [over_time(total(f'increase({series("tailsieve_kafka_rebalanced_partitions_total")}[$__rate_interval])', "kind"),
                     "{{kind}}")], unit="none", overrides=painted(assigned=GREEN, revoked=YELLOW, lost=RED)),
    lines("Ready", "The conditions of /readyz, of the member where each holds least.",
          [over_time(f'min by (check) ({series("tailsieve_ready")})', "{{check}}")], unit="none", max=1, mappings=NO_OR_YES),
    lines("Commits", "Offset commits, by outcome, and errors that the Kafka client reported.", [
        over_time(rate("tailsieve_kafka_commits_total", "outcome"), "{{outcome}}"),
        over_time(rate("tailsieve_kafka_errors_total"), "client errors"),
    ], unit="cps"),
    lines("Decision log", "Decisions written and acknowledged, and records that Kafka did not take and that are written again. "
          "Empty without a decision log.", [
              over_time(rate("tailsieve_decision_log_written_decisions_total"), "decisions"),
              over_time(rate("tailsieve_decision_log_failures_total"), "failures"),
          ], unit="cps", overrides=painted(failures=RED)),
    lines("Taking partitions over", "Time from the assignment of a partition until its decision log was read back.",
          quantiles("tailsieve_decision_log_read_back_seconds"), unit="s"),
]

RELOADS = [
    lines("Reloads", "Times that the policy file was found changed, by whether it was good.",
          [over_time(total(f'increase({series("tailsieve_policy_reloads_total")}[$__rate_interval])', "result"), "{{result}}")],
          unit="none", overrides=painted(success=GREEN, failure=RED)),
    lines("Policy file is good", "Whether the policy file was good when each member last read it. If not, the policies before stay "
          "in force.",
          [over_time(f'min by (instance) ({series("tailsieve_policy_last_reload_successful")})', "{{instance}}")],
          unit="none", max=1, mappings=NO_OR_YES),
    table("Policies and versions in force", "The contents of the policy file, as a hash, and the version of tailsieve, by how many "
          "members have them. More than one row: a roll-out is under way, or a member did not get the file.", [
              ("members", "none", f'count by (hash, version) ({series("tailsieve_policy_info")} * on (job, instance) '
                                  f'group_left (version) {series("tailsieve_build_info")})'),
          ]),
]

TRACES = [
    note("A trace by its id", "Opens the trace of the field “Trace id” at the top of this page in Tempo.",
         "Fill in **Trace id** at the top, then "
         f"[open that trace in Tempo]({explore('${trace_id}')}).\n\n"
         "A trace that is not there was dropped, is not decided yet, or was never sent. "
         "`tailsieve decisions --config FILE --from 1h --no-follow --trace ${trace_id}` tells what was decided.",
         (6, 10)),
    panel("table", "Latest traces kept", "From Tempo: traces with the attribute tailsieve.policy. A click on an id opens the trace.",
          [{"datasource": TEMPO, "queryType": "traceql", "query": '{ span.tailsieve.policy != "" }', "limit": 20,
            "tableType": "traces"}],
          unit="short", datasource=TEMPO, options={"cellHeight": "sm", "showHeader": True}, size=(18, 10)),
]

ROWS = [
    ("At a glance", False, GLANCE),
    ("What is saved", False, SAVED),
    ("Kept and dropped, by policy", False, POLICIES),
    ("Ingest and lag", False, INGEST),
    ("Decisions and late spans", False, DECISIONS),
    ("Buffers, memory, CPU", False, MEMORY),
    ("Export", False, EXPORT),
    ("The group, and the decision log", False, GROUP),
    ("Policy file", False, RELOADS),
    ("Traces in Tempo", True, TRACES),
]


def data_source(name, label, kind):
    return {"type": "datasource", "name": name, "label": label, "query": kind, "current": {}, "hide": 0,
            "includeAll": False, "multi": False, "options": [], "refresh": 1, "regex": ""}


def label_values(name, label, expr):
    return {"type": "query", "name": name, "label": label, "datasource": PROMETHEUS, "definition": expr,
            "query": {"qryType": 1, "query": expr, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
            "allValue": ".+", "current": {"selected": True, "text": ["All"], "value": ["$__all"]}, "hide": 0,
            "includeAll": True, "multi": True, "options": [], "refresh": 2, "regex": "", "sort": 1}


def field(name, label, description, value):
    current = {"selected": True, "text": value, "value": value}
    return {"type": "textbox", "name": name, "label": label, "description": description, "query": value,
            "current": current, "hide": 0, "options": [current]}


VARIABLES = [
    data_source("datasource", "Prometheus", "prometheus"),
    data_source("tempo", "Tempo", "tempo"),
    label_values("job", "Job", "label_values(tailsieve_build_info, job)"),
    label_values("instance", "Member", 'label_values(tailsieve_build_info{job=~"$job"}, instance)'),
    field("price", "Price of a GB", "What a GB of spans costs in your backend, in your currency.", "0.50"),
    field("trace_id", "Trace id", "32 hexadecimal digits; see the row “Traces in Tempo”.", ""),
]


def annotation(name, color, expr, text, **more):
    return {"name": name, "datasource": PROMETHEUS, "enable": True, "hide": False, "iconColor": color, "expr": expr,
            "step": "60s", "titleFormat": name, "textFormat": text, "tagKeys": "", "useValueForTime": False, **more}


ANNOTATIONS = [
    {"name": "Annotations & Alerts", "type": "dashboard", "builtIn": 1, "enable": True, "hide": True,
     "iconColor": "rgba(0, 211, 255, 1)", "datasource": {"type": "grafana", "uid": "-- Grafana --"}},
    # The value of the metric is the time of the reload: the mark is exactly there.
    annotation("Policies read", BLUE, f'{series("tailsieve_policy_last_reload_success_timestamp_seconds")} * 1000',
               "{{instance}}", useValueForTime=True),
    annotation("Policy file has errors", RED, f'{series("tailsieve_policy_last_reload_successful")} == 0', "{{instance}}"),
    # Two minutes: also with one scrape a minute there are two values to compare.
    annotation("Rebalance", YELLOW,
               f'sum by (kind) (increase({series("tailsieve_kafka_rebalanced_partitions_total")}[2m])) > 0', "{{kind}}"),
]

DASHBOARD = {
    "uid": "tailsieve",
    "title": "tailsieve",
    "description": "Tail sampling: what is kept and saved, and whether it is in time.",
    "tags": ["tailsieve", "tracing"],
    "schemaVersion": 39,
    "version": 1,
    "editable": True,
    "graphTooltip": 1,
    "refresh": "30s",
    "time": {"from": "now-1h", "to": "now"},
    "timezone": "browser",
    "links": [{"type": "link", "title": "Runbooks", "url": RUNBOOKS, "icon": "doc", "targetBlank": True,
               "tooltip": "A section for each alert", "tags": [], "asDropdown": False, "includeVars": False,
               "keepTime": False}],
    "annotations": {"list": ANNOTATIONS},
    "templating": {"list": VARIABLES},
    "panels": laid_out(ROWS),
}

if __name__ == "__main__":
    print(tidy(DASHBOARD))
