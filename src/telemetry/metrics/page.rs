//! `docs/metrics.md`, printed from the table; and the names of metrics in other documents.
//!
//! `TAILSIEVE_UPDATE=1 cargo test --lib telemetry::metrics` writes the page.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::family::Stability;
use super::family::{Family, Group, Label, Values};
use super::own;
use super::table::GROUPS;

const HEAD: &str = "\
# Metrics

`/metrics` on the admin address serves them in the text format of Prometheus. This page is printed from the table in
[`src/telemetry/metrics/table.rs`](../src/telemetry/metrics/table.rs), which the code takes its metrics from.

Counters begin at 0 when the process starts, and their series are there from then on; so `increase()` sees the first event.
A metric that is there under a condition only says so. Buckets of histograms are those of the unit: 5 ms to 300 s,
256 bytes to 16 MiB, or 1 to 10 000. The same metrics can be sent [over OTLP](own-telemetry.md).

Each name here has a stability level. **stable**: it, its labels, its unit and its meaning change only with a line in the
[changelog](../CHANGELOG.md), and a release has the old and the new name before the old one goes. **development**: it may change with any
release. Alerts and dashboards of this repository use stable ones only.

## What has to balance

In each scrape of a member, over all labels, for spans and for bytes:

    received = kept + dropped + open + late + invalid + revoked + replayed

that is `tailsieve_received_spans_total` = `tailsieve_kept_spans_total` + `tailsieve_dropped_spans_total` +
`tailsieve_open_spans` and so on. For traces, to which late, invalid and replayed spans do not add any:

    received = kept + dropped + open + revoked

And for records, of which only those without a value have no encoding:

    tailsieve_received_records_total =
        tailsieve_received_encoded_records_total + tailsieve_invalid_records_total{reason=\"null_value\"}

The drop rate is `rate(tailsieve_dropped_spans_total[5m])` to `rate(tailsieve_received_spans_total[5m])`, both summed up.
";

/// Where the alerts are.
const ALERTS: &str = "deploy/prometheus/alerts.yaml";

/// A rule of [`ALERTS`].
#[derive(Deserialize)]
struct Rule {
    alert: String,
    expr: String,
    annotations: Annotations,
}

#[derive(Deserialize)]
struct Annotations {
    summary: String,
}

#[derive(Deserialize)]
struct RuleGroup {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rules {
    groups: Vec<RuleGroup>,
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn alerts() -> Vec<Rule> {
    let text = fs::read_to_string(repository().join(ALERTS)).unwrap();
    let rules: Rules = serde_saphyr::from_str(&text).unwrap();
    rules.groups.into_iter().flat_map(|group| group.rules).collect()
}

fn families() -> impl Iterator<Item = &'static Family> {
    GROUPS.iter().flat_map(|group| group.families)
}

/// The whole page.
fn page() -> String {
    let mut page = HEAD.to_owned();
    let _ = writeln!(
        page,
        "\n## What to be woken for\n\nThe alerts of [`{ALERTS}`](../{ALERTS}); [runbooks](runbooks.md) has a \
         section for each. The metrics with **must stay 0** below are at 0 as long as nothing is wrong.\n\n\
         | alert | when | |\n|---|---|---|"
    );
    for Rule { alert, expr, annotations } in alerts() {
        // On one line; and a bar would end the cell, also in code.
        let expr = expr.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
        let (anchor, summary) = (alert.to_lowercase(), annotations.summary);
        let _ = writeln!(page, "| [{alert}](runbooks.md#{anchor}) | `{expr}` | {summary} |");
    }
    for group in GROUPS {
        print(group, &mut page);
    }
    own::print(&mut page);
    page
}

fn print(Group { title, text, families }: &Group, page: &mut String) {
    let _ =
        write!(page, "\n## {title}\n\n{text}\n\n| metric | | | stability |\n|---|---|---|---|\n");
    for family in *families {
        let Family { name, kind, unit, labels, help, only, must_stay_zero, stability } = family;
        let labels: Vec<&str> = labels.iter().map(|label| label.name).collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let only = only.map_or_else(String::new, |only| format!(" *Only {only}.*"));
        let zero = if *must_stay_zero { " **Must stay 0.**" } else { "" };
        let (kind, stability) = (kind.name(), stability.name());
        let _ = writeln!(
            page,
            "| `{name}{labels}` | {kind}, {unit} | {help}{only}{zero} | {stability} |"
        );
    }
    let labels = distinct(families);
    if !labels.is_empty() {
        page.push_str("\nLabels:\n\n");
    }
    let names: BTreeSet<_> = labels.iter().map(|label| label.name).collect();
    assert_eq!(names.len(), labels.len(), "in {title} one label has one meaning");
    for Label { name, values } in labels {
        let values = match values {
            Values::Any(what) => what.to_owned(),
            Values::OneOf(values) => {
                values().iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ")
            }
        };
        let _ = writeln!(page, "- `{name}`: {values}");
    }
}

/// The labels of some families, each once.
fn distinct(families: &[Family]) -> Vec<Label> {
    let mut labels: Vec<Label> = Vec::new();
    for label in families.iter().flat_map(|family| family.labels) {
        let is_same = |known: &Label| format!("{known:?}") == format!("{label:?}");
        if !labels.iter().any(is_same) {
            labels.push(*label);
        }
    }
    labels
}

#[test]
fn the_page_is_printed_from_the_table() {
    let file = repository().join("docs/metrics.md");
    if std::env::var_os("TAILSIEVE_UPDATE").is_some() {
        fs::write(&file, page()).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    let hint = "docs/metrics.md is not what the table says; \
                TAILSIEVE_UPDATE=1 cargo test --lib telemetry::metrics writes it";
    assert!(found == page(), "{hint}");
}

#[test]
fn names_keep_to_the_rules_of_prometheus_and_stand_once() {
    let mut names = BTreeSet::new();
    for Family { name, kind, unit, help, .. } in families() {
        assert!(names.insert(name), "{name} stands once");
        let is_counter = *kind == super::Kind::Counter;
        assert_eq!(name.ends_with("_total"), is_counter, "{name}: only counters are totals");
        let base = name.trim_end_matches("_total");
        for its in ["seconds", "bytes"] {
            assert_eq!(base.ends_with(its), *unit == its, "{name} names its unit");
        }
        assert!(help.starts_with(char::is_uppercase) && help.ends_with('.'), "{name}: a sentence");
        assert!(!help.contains(['\n', '\\', '|']), "{name}: plain text");
    }
}

#[test]
fn what_alerts_and_dashboards_name_is_stable() {
    let dashboards = fs::read_dir(repository().join("deploy/grafana/dashboards")).unwrap();
    let files = dashboards.map(|file| file.unwrap().path());
    let files = files.chain([repository().join(ALERTS)]);
    let texts: Vec<String> = files.map(|file| fs::read_to_string(file).unwrap()).collect();
    for family in families().filter(|family| family.stability == Stability::Development) {
        let names = names_of(family);
        let is_named =
            |text: &String| mentioned(text).any(|name| names.iter().any(|it| it == name));
        assert!(!texts.iter().any(is_named), "{} is relied on", family.name);
    }
}

#[test]
fn what_must_stay_zero_has_an_alert() {
    let alerts = alerts();
    for Family { name, .. } in families().filter(|family| family.must_stay_zero) {
        assert!(alerts.iter().any(|rule| rule.expr.contains(name)), "{name} has no alert");
    }
}

/// Scenario: the README and the other pages and files name metrics, also several as `tailsieve_late_*`,
/// or the series of a histogram.
/// Guarantees: all of them exist.
#[test]
fn metrics_that_documents_name_exist() {
    let names: Vec<String> = families().flat_map(names_of).collect();
    let folder = |name: &str| {
        let files = fs::read_dir(repository().join(name)).unwrap();
        files.map(|file| file.unwrap().path()).collect::<Vec<PathBuf>>()
    };
    let folders = ["docs", "deploy", "deploy/prometheus", "deploy/grafana/dashboards", "config"];
    let mut files = folders.map(folder).concat();
    files.push(repository().join("README.md"));
    let mut found = 0;
    let is_looked_at = |file: &PathBuf| file.is_file() && !file.ends_with("docs/metrics.md");
    for file in files.into_iter().filter(is_looked_at) {
        let text = fs::read_to_string(&file).unwrap();
        for name in mentioned(&text) {
            found += 1;
            let is_known = |known: &String| match name.ends_with('_') {
                true => known.starts_with(name),
                false => known == name,
            };
            assert!(names.iter().any(is_known), "{} names {name}", file.display());
        }
    }
    assert!(found > 40, "{found} names are found");
}

/// The name of a metric, and those of its series where they differ.
fn names_of(Family { name, kind, .. }: &Family) -> Vec<String> {
    let parts: &[&str] = match kind {
        super::Kind::Histogram => &["", "_bucket", "_sum", "_count"],
        super::Kind::Counter | super::Kind::Gauge => &[""],
    };
    parts.iter().map(|part| format!("{name}{part}")).collect()
}

/// The names of metrics in a text; the beginning of one where a wild card or a brace follows.
fn mentioned(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("tailsieve_").map(|(at, _)| {
        let rest = &text[at..];
        let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        rest.split_once(|c| !is_part(c)).map_or(rest, |(name, _)| name)
    })
}
