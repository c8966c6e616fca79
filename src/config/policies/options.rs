//! The options beside the policies: tailsieve's own, and those of the Collector's processor
//! (v0.165.1), each of which is read with its meaning, answered with a note, or refused by name.

use std::time::Duration;

use serde_json::json;

use super::super::PolicyFile;
use crate::options::{
    At, Form, Node, Section, collector_duration, list, name, options, or_variable, section, size,
    values, wait, whole,
};
use crate::sampling::policy::ReopenSpec;
use crate::sampling::policy::written::{self, Level};

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

/// How large a trace may grow by default.
const TRACE_SIZE: &str = "16MiB";

options! {
    /// A policy file of tailsieve.
    pub(in super::super) struct FileOptions {
        /// A trace is decided this long after its first span was read; never later.
        decision_wait: Duration = collector_duration().try_map(not_zero).or("20s"),
        /// And this long after its root span was read, if that is sooner. A root is a span without
        /// a parent id.
        decision_wait_after_root_received: Duration = collector_duration().or("3s"),
        /// A trace of so many spans is decided at once, at the end of the record that brings the
        /// last; the rest is late.
        maximum_trace_spans: u32 = whole(1..=u32::MAX).or("50000"),
        /// A trace whose spans have this many bytes on the wire is decided at once; the rest is late.
        maximum_trace_size: u64 = size().or(TRACE_SIZE),
        /// The Collector's: maximum_trace_size under its name there, in bytes.
        maximum_trace_size_bytes: Option<u64> = whole(0..=u64::MAX).optional(),
        /// How decisions are remembered.
        decision_cache: DecisionCache = section().or_defaults(),
        /// Late spans that re-open a trace which was dropped: all of it is read again and delivered.
        /// Without it, late spans of a dropped trace are dropped. Needs the decision log.
        reopen: Option<Reopen> = section().optional(),
        /// The Collector's: it is always trace-complete.
        sampling_strategy: Option<()> = strategy().optional(),
    }
    then |section| {
        if section.context.is_collectors {
            let (wait, after_root) = (&decision_wait, &mut decision_wait_after_root_received);
            waits_of_the_collector(section, *wait, after_root);
        }
        if let Some(bytes) = maximum_trace_size_bytes {
            size_of_the_collector(section, bytes, &mut maximum_trace_size);
        }
        if let Some(node) = section.node("sampling_strategy").filter(|_| sampling_strategy.is_some()) {
            let message = "sampling_strategy has no meaning here: it is always `trace-complete`";
            section.context.notes.add_once(node.place, message.to_owned());
        }
        section.take_without_meaning(WITHOUT_MEANING);
        let list = Form::new(|_, _| Some(()), |schemas| written::describe_list(schemas, Level::Top));
        let doc = "The policies. A trace is kept if any of them votes for it.";
        section.take("policies", doc, list.required("[{name: everything, type: always_sample}]"));
    }
}

options! {
    /// How decisions are remembered.
    pub(in super::super) struct DecisionCache {
        /// How long a decision is remembered, for late spans.
        ttl: Duration = wait().or("10m"),
        /// How many decisions are remembered; beyond it the oldest are forgotten. Read only at the
        /// start.
        max_entries: u64 = whole(1..=1_000_000_000).or("1000000"),
    }
    then |section| { section.take_without_meaning(CACHE_WITHOUT_MEANING) }
}

options! {
    /// Which late spans re-open a trace that was dropped.
    pub(in super::super) struct Reopen {
        /// The names of policies that one late span can convince, whatever else the trace holds:
        /// status_code, trace_flags, latency without an upper bound, those that ask for an attribute
        /// without invert_match, ottl_condition without `trace.` and `root.`, and `and` of these.
        policies: Vec<String> = list(name()).required("[errors]"),
        /// How many traces the whole group re-opens in a second at most; what is beyond stays dropped.
        max_traces_per_second: u64 = whole(1..=100_000).or("100"),
    }
}

impl FileOptions {
    /// Enters the options into the settings.
    pub(in super::super) fn enter(self, file: &mut PolicyFile) {
        file.decision_wait = self.decision_wait;
        file.decision_wait_after_root_received = self.decision_wait_after_root_received;
        file.maximum_trace_spans = self.maximum_trace_spans;
        file.maximum_trace_size = self.maximum_trace_size;
        file.decision_cache_ttl = self.decision_cache.ttl;
        file.decision_cache_entries = self.decision_cache.max_entries;
        file.reopen = self.reopen.map(|Reopen { policies, max_traces_per_second }| ReopenSpec {
            policies,
            max_traces_per_second,
        });
    }
}

fn not_zero(wait: Duration) -> Result<Duration, String> {
    if wait.is_zero() { Err("must be longer than 0s".to_owned()) } else { Ok(wait) }
}

/// Defaults that differ from the Collector's, and its 0.
fn waits_of_the_collector(section: &Section<'_>, wait: Duration, after_root: &mut Duration) {
    let notes = &section.context.notes;
    if section.node("decision_wait").is_none() {
        let wait = humantime::format_duration(wait);
        let message = format!("decision_wait is not given: {wait} here, 30s in the Collector");
        notes.add(section.place, message, None);
    }
    match section.node("decision_wait_after_root_received") {
        None => {
            let wait = humantime::format_duration(*after_root);
            let message = format!(
                "decision_wait_after_root_received is not given: {wait} here, no shorter wait in the Collector"
            );
            notes.add(section.place, message, None);
        }
        // The Collector takes 0 for none; as long as the other wait, it never ends first.
        Some(_) if after_root.is_zero() => *after_root = wait,
        Some(_) => {}
    }
}

/// The Collector's cap on a trace; 0 is none.
fn size_of_the_collector(section: &Section<'_>, bytes: u64, size: &mut u64) {
    let Some(node) = section.node("maximum_trace_size_bytes") else { return };
    if section.node("maximum_trace_size").is_some() {
        let help = "leave one of them out".to_owned();
        let message = "`maximum_trace_size_bytes` and `maximum_trace_size` are the same";
        section.context.problems.add(node.place, message, Some(help));
        return;
    }
    let message = if bytes == 0 {
        format!(
            "maximum_trace_size_bytes: 0 is no cap in the Collector; here a trace of {TRACE_SIZE} is \
             decided at once, and never dropped for its size"
        )
    } else {
        *size = bytes;
        "maximum_trace_size_bytes: a larger trace is decided at once, where the Collector drops it"
            .to_owned()
    };
    section.context.notes.add_once(node.place, message);
}

/// The strategies of the Collector, of which there is one here.
fn strategy() -> Form<()> {
    const STRATEGIES: &[(&str, bool, &str)] =
        &[("trace-complete", true, ""), ("span-ingest", false, "")];
    let read = |node: &Node, at: At<'_>| {
        match values::choice(STRATEGIES)(node) {
            Ok(true) => return Some(()),
            Ok(false) => {
                let message = "`span-ingest` is not supported: a trace is decided once, when it is \
                               complete";
                let help = "use `trace-complete`, or leave it out";
                at.refuse(node, message.to_owned(), Some(help));
            }
            Err(message) => at.refuse(node, message, None),
        }
        None
    };
    Form::new(read, |_| or_variable(json!({ "type": "string", "const": "trace-complete" })))
}
