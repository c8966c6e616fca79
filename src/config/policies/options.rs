//! The options beside the policies: tailsieve's own, and those of the Collector's processor
//! (v0.165.1), each of which is read with its meaning, answered with a note, or refused by name.

use std::time::Duration;

use super::super::PolicyFile;
use super::super::document::{Node, Value};
use super::super::reader::Section;
use super::super::values;
use super::{Form, Reader};

const BYTES: &str = "memory is bounded in bytes, by buffer.max_bytes of the static file";

/// Options of the Collector that mean nothing here, and why.
const WITHOUT_MEANING: &[(&str, &str)] = &[
    ("num_traces", BYTES),
    ("expected_new_traces_per_sec", BYTES),
    ("block_on_overflow", BYTES),
    ("num_shards", "each partition of the topic is decided on its own"),
    ("tail_storage", "Kafka holds the spans of open traces"),
    (
        "sample_on_first_match",
        "policies without a budget are all asked, and budgets are not spent on traces that are \
         kept already: the same traces are kept",
    ),
    ("mutates_data", "spans go on as they came, with what `annotate` of the static file adds"),
    (
        "drop_pending_traces_on_shutdown",
        "open traces are read again by the next owner of their partition, and never dropped",
    ),
];

const CACHE_WITHOUT_MEANING: &[(&str, &str)] = &[
    ("sampled_cache_size", "the decisions that are remembered are bounded by max_entries"),
    ("non_sampled_cache_size", "the decisions that are remembered are bounded by max_entries"),
];

const STRATEGIES: &[(&str, bool, &str)] =
    &[("trace-complete", false, ""), ("span-ingest", true, "")];

/// Reads the options into `file`.
pub(super) fn read<'d>(reader: &Reader<'d>, root: &mut Section<'d>, file: &mut PolicyFile) {
    waits(reader, root, file);
    root.read("maximum_trace_spans", &mut file.maximum_trace_spans, values::whole(1..=u32::MAX));
    root.read("maximum_trace_size", &mut file.maximum_trace_size, values::size);
    maximum_trace_size_bytes(reader, root, file);
    strategy(reader, root);
    let mut cache = root.section("decision_cache");
    cache.read("ttl", &mut file.decision_cache_ttl, |node| {
        let ttl = values::duration(node)?;
        if ttl.is_zero() { Err("must be longer than 0s".to_owned()) } else { Ok(ttl) }
    });
    let entries = &mut file.decision_cache_entries;
    cache.read("max_entries", entries, values::whole(1..=1_000_000_000));
    without_meaning(reader, &mut cache, CACHE_WITHOUT_MEANING);
    cache.finish();
    without_meaning(reader, root, WITHOUT_MEANING);
}

fn without_meaning<'d>(
    reader: &Reader<'d>,
    section: &mut Section<'d>,
    keys: &'static [(&'static str, &'static str)],
) {
    for (key, reason) in keys {
        if let Some(node) = section.node(key) {
            reader.note(node, format!("{key} has no meaning here: {reason}"));
        }
    }
}

fn waits<'d>(reader: &Reader<'d>, root: &mut Section<'d>, file: &mut PolicyFile) {
    root.read("decision_wait", &mut file.decision_wait, |node| {
        let wait = duration(reader, node)?;
        if wait.is_zero() { Err("must be longer than 0s".to_owned()) } else { Ok(wait) }
    });
    let after_root = &mut file.decision_wait_after_root_received;
    root.read("decision_wait_after_root_received", after_root, |node| duration(reader, node));
    if reader.form != Form::Policies {
        waits_of_the_collector(reader, root, file);
    }
}

/// Defaults that differ from the Collector's, and its 0.
fn waits_of_the_collector<'d>(reader: &Reader<'d>, root: &mut Section<'d>, file: &mut PolicyFile) {
    let place = root.place;
    if root.node("decision_wait").is_none() {
        let wait = humantime::format_duration(file.decision_wait);
        let message = format!("decision_wait is not given: {wait} here, 30s in the Collector");
        reader.notes.add(place, message, None);
    }
    let after_root = &mut file.decision_wait_after_root_received;
    match root.node("decision_wait_after_root_received") {
        None => {
            let wait = humantime::format_duration(*after_root);
            let message = format!(
                "decision_wait_after_root_received is not given: {wait} here, no shorter wait in the Collector"
            );
            reader.notes.add(place, message, None);
        }
        // The Collector takes 0 for none; as long as the other wait, it never ends first.
        Some(_) if after_root.is_zero() => *after_root = file.decision_wait,
        Some(_) => {}
    }
}

/// A duration as Go writes it, or as the other files have it. A bare number is nanoseconds to the
/// Collector.
fn duration(reader: &Reader<'_>, node: &Node) -> Result<Duration, String> {
    if let Some(duration) = values::go_duration(node) {
        return Ok(duration);
    }
    let number = match &node.value {
        Value::Integer(number) => *number,
        Value::Float(number) if number.fract() == 0.0 => *number as i128,
        _ => 0,
    };
    if number < 1 || reader.form == Form::Policies {
        return values::duration(node);
    }
    let nanoseconds = u64::try_from(number).map_err(|_| "is too long".to_owned())?;
    let (message, help) = if node.from_env {
        let message =
            "a bare number is nanoseconds, as in the Collector, and the variable holds one";
        (message.to_owned(), "with its unit, for example `10s`".to_owned())
    } else {
        let message = format!("a bare {number} is {number} nanoseconds, as in the Collector");
        (message, format!("with its unit, for example `{number}s`"))
    };
    reader.warnings.add(node.place, message, Some(help));
    Ok(Duration::from_nanos(nanoseconds))
}

/// The Collector's cap on a trace; 0 is none.
fn maximum_trace_size_bytes<'d>(
    reader: &Reader<'d>,
    root: &mut Section<'d>,
    file: &mut PolicyFile,
) {
    let own = root.node("maximum_trace_size").is_some();
    let Some(node) = root.node("maximum_trace_size_bytes") else { return };
    let Some(bytes) = root.optional("maximum_trace_size_bytes", values::whole(0..=u64::MAX)) else {
        return;
    };
    if own {
        let help = "leave one of them out".to_owned();
        let message = "`maximum_trace_size_bytes` and `maximum_trace_size` are the same";
        reader.problems.add(node.place, message, Some(help));
    } else if bytes == 0 {
        let message = "maximum_trace_size_bytes: 0 is no cap in the Collector; here a trace of \
                       16MiB is decided at once, and never dropped for its size";
        reader.note(node, message);
    } else {
        file.maximum_trace_size = bytes;
        let message = "maximum_trace_size_bytes: a larger trace is decided at once, where the \
                       Collector drops it";
        reader.note(node, message);
    }
}

fn strategy<'d>(reader: &Reader<'d>, root: &mut Section<'d>) {
    let Some(at_ingest) = root.optional("sampling_strategy", values::choice(STRATEGIES)) else {
        return;
    };
    let Some(node) = root.node("sampling_strategy") else { return };
    if at_ingest {
        let message = "sampling_strategy: `span-ingest` is not supported: a trace is decided \
                       once, when it is complete";
        let help = "use `trace-complete`, or leave it out".to_owned();
        reader.problems.add(node.place, message, Some(help));
    } else {
        reader.note(node, "sampling_strategy has no meaning here: it is always `trace-complete`");
    }
}
