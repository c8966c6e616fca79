//! The names of own telemetry beside metrics, for `docs/metrics.md`: spans, and log events. Both are held
//! against the code.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::family::Stability;

/// A span of tailsieve's own work.
struct OwnSpan {
    name: &'static str,
    attributes: &'static [&'static str],
    help: &'static str,
}

/// Every span, in reading order.
const SPANS: [OwnSpan; 6] = [
    OwnSpan {
        name: "member.start",
        attributes: &[],
        help: "From the beginning of the process until the member is ready first, or cannot start.",
    },
    OwnSpan {
        name: "kafka.rebalance",
        attributes: &["kind", "partitions", "group", "topic"],
        help: "A change of the partitions of a consumer: `kind` is `assigned`, `revoked` or `lost`.",
    },
    OwnSpan {
        name: "partition.takeover",
        attributes: &["partition", "start", "replayed_traces"],
        help: "In a rebalance: from the assignment of a partition until its decision log is read back.",
    },
    OwnSpan {
        name: "policies.reload",
        attributes: &["trigger", "result", "hash"],
        help: "A look at the policy file that found a change, or was asked for.",
    },
    OwnSpan {
        name: "export.outage",
        attributes: &["exporter", "endpoint", "code"],
        help: "From the first failed attempt that is logged until the backend accepts something again.",
    },
    OwnSpan {
        name: "member.stop",
        attributes: &["signal"],
        help: "From the signal until all partitions are handed over.",
    },
];

/// The log events that may be relied on.
const STABLE_EVENTS: [&str; 18] = [
    "dead_letter.topic_created",
    "decision_log.write_failed",
    "export.backend_down",
    "export.backend_up",
    "export.refused",
    "kafka.assigned",
    "kafka.commit_failed",
    "kafka.records_lost",
    "kafka.revoked",
    "kafka.topic_recreated",
    "member.not_ready",
    "member.ready",
    "member.starting",
    "member.stopped",
    "member.stopping",
    "policies.reload_failed",
    "policies.reloaded",
    "records.misrouted",
];

/// The sections about both.
pub(super) fn print(page: &mut String) {
    page.push_str(
        "\n## Own spans\n\nOnly with [own telemetry](own-telemetry.md) over OTLP. Those that failed have the status ERROR, \
         with the reason.\n\n| span | attributes | | stability |\n|---|---|---|---|\n",
    );
    for OwnSpan { name, attributes, help } in SPANS {
        let attributes: Vec<String> = attributes.iter().map(|name| format!("`{name}`")).collect();
        let (attributes, level) = (attributes.join(", "), Stability::Development.name());
        let _ = writeln!(page, "| `{name}` | {attributes} | {help} | {level} |");
    }
    page.push_str(
        "\n## Log events\n\nWhat lines of the log begin with, from level INFO on; as `event_name` over OTLP. Names are as \
         stable as it says here; texts and fields are in development.\n\n| event | level | stability |\n|---|---|---|\n",
    );
    for (event, levels) in events() {
        let is_stable = STABLE_EVENTS.contains(&&*event);
        let level = if is_stable { Stability::Stable } else { Stability::Development };
        let levels = Vec::from_iter(levels).join(", ");
        let _ = writeln!(page, "| `{event}` | {levels} | {} |", level.name());
    }
}

/// The sources without tests.
fn sources() -> Vec<String> {
    fn below(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            // This file is one of tests, too, and full of what looks like calls.
            let is_of_tests = path.ends_with("telemetry/metrics/own.rs")
                || path.file_stem().is_some_and(|name| name == "tests" || name == "testing");
            match path.is_dir() {
                _ if is_of_tests => {}
                true => below(&path, files),
                false => files.push(path),
            }
        }
    }
    let mut files = Vec::new();
    below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let rust = files.into_iter().filter(|file| file.extension().is_some_and(|it| it == "rs"));
    let code = |file: PathBuf| {
        let text = fs::read_to_string(file).unwrap();
        let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
        text[..end].to_owned()
    };
    rust.map(code).collect()
}

/// What stands between the brackets of each call of a macro.
fn calls<'a>(code: &'a str, name: &str) -> Vec<&'a str> {
    let begins = code.match_indices(name).filter(|(at, _)| {
        !code[..*at].ends_with(|before: char| before.is_ascii_alphanumeric() || before == '_')
    });
    begins
        .map(|(at, _)| {
            let body = &code[at + name.len()..];
            let (mut depth, mut is_text, mut is_escaped) = (1, false, false);
            let end = body.find(|c: char| {
                match c {
                    _ if is_escaped => is_escaped = false,
                    '\\' if is_text => is_escaped = true,
                    '"' => is_text = !is_text,
                    '(' if !is_text => depth += 1,
                    ')' if !is_text => depth -= 1,
                    _ => {}
                }
                depth == 0
            });
            &body[..end.unwrap()]
        })
        .collect()
}

/// The names that texts in a call begin with.
fn names(call: &str) -> impl Iterator<Item = &str> {
    let texts = call.split('"').skip(1).step_by(2);
    texts.filter_map(|text| {
        let name = text.split_once(": ").map_or(text, |(name, _)| name);
        let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let is_word = |word: &str| !word.is_empty() && word.chars().all(is_part);
        (name.contains('.') && name.split('.').all(is_word)).then_some(name)
    })
}

/// Every event that the code logs, and its levels.
fn events() -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut events: BTreeMap<String, BTreeSet<_>> = BTreeMap::new();
    for code in sources() {
        for (name, level) in [("info!(", "INFO"), ("warn!(", "WARN"), ("error!(", "ERROR")] {
            for call in calls(&code, name) {
                for event in names(call) {
                    events.entry(event.to_owned()).or_default().insert(level);
                }
            }
        }
    }
    events
}

#[test]
fn the_spans_are_those_of_the_code() {
    let sources = sources();
    let calls = sources.iter().flat_map(|code| calls(code, "info_span!("));
    let made: BTreeMap<&str, &str> =
        calls.map(|call| (names(call).next().expect("a span has a name"), call)).collect();
    let told: BTreeSet<&str> = SPANS.iter().map(|span| span.name).collect();
    assert_eq!(made.keys().copied().collect::<BTreeSet<_>>(), told);
    for OwnSpan { name, attributes, .. } in SPANS {
        // Behind the name, each up to its value; without those that have a meaning of their own.
        let (_, fields) = made[name].split_once(name).unwrap();
        let fields = fields.split(',').skip(1).map(|field| field.split('=').next().unwrap().trim());
        let is_told = |field: &&str| {
            !field.is_empty() && *field != "discarded" && *field != "otel.status_description"
        };
        assert_eq!(fields.filter(is_told).collect::<Vec<_>>(), attributes, "of {name}");
    }
}

#[test]
fn events_are_found_and_the_stable_ones_are_there() {
    let events = events();
    assert!(events.len() > 90, "{}", events.len());
    for event in STABLE_EVENTS {
        assert!(events.contains_key(event), "{event} is logged nowhere");
    }
    let code = "info!(a = f(\")\"), \"x.y: z\"); tracing::warn!(\"x.z\"); my_info!(\"no.no\")";
    assert_eq!(calls(code, "info!("), ["a = f(\")\"), \"x.y: z\""]);
    assert_eq!(names(calls(code, "info!(")[0]).collect::<Vec<_>>(), ["x.y"]);
    assert_eq!(names(calls(code, "warn!(")[0]).collect::<Vec<_>>(), ["x.z"]);
}
