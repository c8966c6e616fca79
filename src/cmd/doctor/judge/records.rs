//! Recent records: what they are, how they are keyed, who placed them, what their times say.

use std::time::Duration;

use super::super::encoding::Contents;
use super::super::facts::{Facts, Plan};
use super::super::finding::Finding;
use super::super::sample::Sample;
use super::{set_command, unanswered};
use crate::kafka::partitioner::Detected;
use crate::member::routing;
use crate::otlp::encoding::Encoding;
use crate::telemetry::metrics::Misrouted;

const RECORDS: &str = "records";
const ENCODING: &str = "encoding";
const OTLP_PROTO: &str = "set `encoding: otlp_proto` on the Collector's Kafka exporter";
const KEYS: &str = "keys";
const PARTITIONER: &str = "partitioner";
const CLOCKS: &str = "clocks";

/// From the end of a span to its record, as it usually is: beyond, clocks differ.
const EARLIEST_MS: i64 = -2_000;
const LATEST_MS: i64 = 60_000;

pub(super) fn judge(plan: &Plan, facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(sample) = &facts.sample else {
        findings.push(unanswered(RECORDS));
        return;
    };
    if let Some(error) = sample.errors.first() {
        findings.push(unreadable(plan, error));
    }
    if sample.records == 0 {
        let text = format!(
            "{} has no records to look at: keys, encoding and clocks are not known; start a \
             producer and ask again",
            plan.topic
        );
        findings.push(Finding::skipped(RECORDS, text));
        return;
    }
    findings.push(encoding(sample));
    if sample.with_spans > 0 {
        let keys = keys(sample);
        let is_keyed = keys.fix.is_none();
        findings.push(keys);
        if is_keyed {
            findings.push(partitioner(sample));
        }
    }
    findings.push(clocks(plan, sample));
}

/// A record that cannot be read stops its partition.
fn unreadable(plan: &Plan, error: &str) -> Finding {
    let text = format!("records of {} cannot be read: {error}", plan.topic);
    let lower = error.to_lowercase();
    let fix =
        if lower.contains("codec") || lower.contains("compress") || lower.contains("implement") {
            "this build does not know the compression: set compression.type to zstd, lz4, snappy, \
         gzip or none on the producers"
        } else {
            "look at the brokers' logs, and at the ACLs of this user (READ on topic and group)"
        };
    Finding::error(RECORDS, text, fix)
}

fn share(part: u64, whole: u64) -> String {
    let percent = part as f64 * 100.0 / whole.max(1) as f64;
    if part < whole && percent > 99.0 {
        return "almost all".to_owned();
    }
    if percent < 1.0 { "less than 1%".to_owned() } else { format!("{percent:.0}%") }
}

fn encoding(sample: &Sample) -> Finding {
    let unread = sample.encodings.iter().filter(|(contents, _)| !contents.is_read());
    let Some((worst, count)) = unread.max_by_key(|(_, count)| **count) else {
        let mut kinds: Vec<_> = sample.encodings.iter().collect();
        kinds.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let kinds: Vec<String> = match kinds.as_slice() {
            [(only, _)] => vec![format!("all of them {only}")],
            kinds => kinds
                .iter()
                .map(|(contents, count)| format!("{} {contents}", share(**count, sample.records)))
                .collect(),
        };
        let text = format!("{} records looked at, {}", sample.records, kinds.join(", "));
        return Finding::ok(ENCODING, text);
    };
    let share = share(*count, sample.records);
    let text = format!("{share} of the records cannot be read: they are {worst}");
    let fix = match worst {
        Contents::Other("otlp_logs" | "otlp_metrics") => {
            "another pipeline writes to this topic: give it a topic of its own"
        }
        Contents::Packed(_) | Contents::TooLarge => {
            "have the producers compress by Kafka (compression.type) and not the values themselves"
        }
        Contents::Other(name) => own_hint(name).unwrap_or(OTLP_PROTO),
        Contents::NotUnderstood => {
            "bring the producers up to date: OTLP called scope_spans instrumentation_library_spans \
             until 2022"
        }
        Contents::Null => "find out who writes them: they become dead letters, or are dropped",
        _ => OTLP_PROTO,
    };
    Finding::error(ENCODING, text, fix)
}

/// What is to be said of an encoding by this name, beside that it should be another one.
fn own_hint(name: &str) -> Option<&'static str> {
    Encoding::ALL.iter().find(|encoding| encoding.name() == name)?.own_hint()
}

fn keys(sample: &Sample) -> Finding {
    let kinds = [
        (Misrouted::NullKey, sample.null_keys, "have no key"),
        (Misrouted::ManyTraces, sample.many_traces, "hold several traces"),
        (Misrouted::ForeignKey, sample.foreign_keys, "are keyed by something else"),
    ];
    let seen: Vec<String> = kinds
        .iter()
        .filter(|(_, count, _)| *count > 0)
        .map(|(_, count, what)| format!("{} {what}", share(*count, sample.with_spans)))
        .collect();
    let worst = kinds.iter().find(|(_, count, _)| *count > 0);
    if let Some((kind, _, _)) = worst {
        let text = format!("of the records {}; {}", seen.join(", "), routing::what(*kind));
        return Finding::error(KEYS, text, routing::fix(*kind));
    }
    Finding::ok(KEYS, "every record holds one trace and is keyed by its id")
}

fn partitioner(sample: &Sample) -> Finding {
    match sample.placements.detect() {
        _ if sample.two_partitions > 0 && !is_several(sample) => {
            let text = format!(
                "{} spans lie in another partition than the first of their trace",
                sample.two_partitions
            );
            let fix = "if partitions were added lately this passes; otherwise give all producers \
                       the Collector's partitioner (librdkafka: partitioner=fnv1a_random)";
            Finding::error(PARTITIONER, text, fix)
        }
        Detected::One(family) => {
            Finding::ok(PARTITIONER, format!("all producers partition by {}", family.name()))
        }
        Detected::Several { most, other, share } => {
            let text = format!(
                "{:.0}% of the keys were not placed by {}, as most were, but by {} or another one; \
                 {}",
                share * 100.0,
                most.name(),
                other.name(),
                routing::what(Misrouted::TwoPartitioners)
            );
            Finding::error(PARTITIONER, text, routing::fix(Misrouted::TwoPartitioners))
        }
        Detected::Unknown => {
            let text = "no known partitioner placed these keys: partitions were added lately, or \
                        the producers have one of their own";
            let fix = "if they have one of their own: make sure that all of them have the same";
            Finding::warning(PARTITIONER, text, fix)
        }
        Detected::TooFew => {
            let text = format!("{} keys are too few to tell", sample.placements.total());
            Finding::skipped(PARTITIONER, text)
        }
    }
}

fn is_several(sample: &Sample) -> bool {
    matches!(sample.placements.detect(), Detected::Several { .. })
}

fn clocks(plan: &Plan, sample: &Sample) -> Finding {
    let shown = |millis: i64| {
        let millis = millis.unsigned_abs();
        humantime::format_duration(Duration::from_millis(millis)).to_string()
    };
    let tolerance = i64::try_from(plan.future_tolerance.as_millis()).unwrap_or(i64::MAX);
    if sample.ahead_ms > tolerance {
        let ahead = shown(sample.ahead_ms);
        if sample.is_append_time {
            let text = format!("the brokers' clocks are {ahead} ahead of this machine's");
            return Finding::error(CLOCKS, text, "synchronise the clocks (NTP)");
        }
        let text = format!(
            "records are up to {ahead} ahead of this machine's clock: the clock of a producer is \
             wrong, or this one is"
        );
        let fix = format!(
            "synchronise the clocks (NTP), and have the broker set the times:\n{}",
            set_command(plan, &plan.topic, "message.timestamp.type=LogAppendTime")
        );
        return Finding::error(CLOCKS, text, fix);
    }
    match sample.usual_delay_ms() {
        Some(delay) if delay < EARLIEST_MS => {
            let text = format!(
                "spans usually end {} after their record was written: the clocks of the services \
                 are ahead",
                shown(delay)
            );
            Finding::warning(CLOCKS, text, "synchronise the clocks of the services (NTP)")
        }
        Some(delay) if delay > LATEST_MS => {
            let text = format!(
                "records are usually written {} after their spans ended: the services' clocks are \
                 behind, or spans wait for long on their way",
                shown(delay)
            );
            let fix = "synchronise the clocks of the services (NTP); look at the queues of the \
                       Collectors. Tempo's metrics-generator ignores spans older than 30s";
            Finding::warning(CLOCKS, text, fix)
        }
        _ => Finding::ok(CLOCKS, "the times of spans, records and this machine agree"),
    }
}
