//! A partition without Kafka: records in, decisions with their reasons out.
//!
//! The completion, the policies and the decision cache are the worker's own, and so is the order
//! of things: what is due before the record that moves the clock, then its spans, run by run. What
//! is left at the end is decided as a partition gone quiet would have it, each trace when its time
//! comes. Kept spans go nowhere.

use std::time::Duration;

use thiserror::Error;

use crate::config::PolicyFile;
use crate::ids::{Generation, Offset, Partition, Pin, Timestamp, TraceId};
use crate::member::reload;
use crate::member::worker::{SpanRun, ask_resource, gather, keys_for, next_run};
use crate::otlp::{AttributeKeys, Scan, ScanError, not_understood, scan};
use crate::sampling::policy::{self, Budgets, CompileError, Decision, PolicySet, ResourceFacts};
use crate::sampling::trace::{
    Decided, DecidedTraces, Headers, OpenTrace, OpenTraces, Segment, Slot, Trigger,
};
use crate::telemetry::accounts::Amount;

use super::ballot::{Ballot, ballots};

const PARTITION: Partition = Partition(0);
const GENERATION: Generation = Generation(0);
/// Nothing is committed here, so all traces may hold the same pin.
const PIN: Pin = Pin(0);
/// And come from the same record.
const OFFSET: Offset = Offset(0);

/// A decision, and how it came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The trace that was decided.
    pub trace_id: TraceId,
    /// What was decided.
    pub decision: Decision,
    /// Why it was decided when it was.
    pub trigger: Trigger,
    /// Its number of spans and their bytes.
    pub amount: Amount,
    /// From its earliest start to its latest end.
    pub duration: Duration,
    /// What each policy said, in the order of the file.
    pub ballots: Vec<Ballot>,
}

impl Verdict {
    /// True if the trace was kept.
    pub fn is_kept(&self) -> bool {
        matches!(self.decision, Decision::Keep { .. })
    }
}

/// What became of records and spans beside the decisions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records that were read.
    pub records: u64,
    /// Records that cannot be read, or of which no span is understood; not among the others.
    pub malformed_records: u64,
    /// Records that were read and hold no span.
    pub empty_records: u64,
    /// Spans that were read.
    pub spans: u64,
    /// Spans without a valid trace id or span id.
    pub invalid_spans: u64,
    /// Spans of traces that had been kept already: forwarded.
    pub late_kept: Amount,
    /// Spans of traces that had been dropped already: discarded.
    pub late_dropped: Amount,
}

/// Why nothing can be made of a record.
#[derive(Debug, Error)]
pub enum Unread {
    /// It is none.
    #[error("not OTLP protobuf: {0}")]
    Scan(#[from] ScanError),
    /// It has content, but no span.
    #[error("no span in it is understood; it has {0}")]
    Unknown(String),
}

/// A partition with the policies of one file.
#[derive(Debug)]
pub struct Offline {
    policies: PolicySet,
    keys: AttributeKeys,
    traces: OpenTraces,
    budgets: Budgets,
    decided: DecidedTraces<bool>,
    /// For how long a decision is remembered.
    decided_ttl: Duration,
    counts: Counts,
    found: Box<Scan>,
    /// By resource of the record in hand, once something asked for it.
    resources: Vec<Option<ResourceFacts>>,
    /// Kept spans are not framed, so no header is ever read: one stands for all.
    segment: Segment,
}

impl Offline {
    /// A partition that nothing was read from, on a topic with one partition.
    ///
    /// # Errors
    /// If the policies cannot be compiled.
    pub fn new(file: &PolicyFile) -> Result<Self, CompileError> {
        let policies = policy::compile(&file.policies)?;
        let mut headers = Headers::default();
        let header = headers.hold(std::iter::empty());
        Ok(Self {
            keys: keys_for(policies.predicates()),
            traces: OpenTraces::new(reload::limits(file)),
            budgets: policies.budgets(1),
            decided: DecidedTraces::new(file.decision_cache_entries),
            decided_ttl: file.decision_cache_ttl,
            counts: Counts::default(),
            found: Box::default(),
            resources: Vec::new(),
            segment: Segment { resource: header, scope: header },
            policies,
        })
    }

    /// The policies.
    pub fn policies(&self) -> &PolicySet {
        &self.policies
    }

    /// What was counted so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Takes in a record. Without a `timestamp` its time is the latest end of a span in it. What
    /// is decided goes to `out`.
    ///
    /// # Errors
    /// If the record is not OTLP protobuf, or no span of it is understood; it is counted, and has
    /// moved the clock.
    pub fn take_in(
        &mut self,
        timestamp: Option<Timestamp>,
        record: &[u8],
        out: &mut dyn FnMut(Verdict),
    ) -> Result<(), Unread> {
        let mut found = std::mem::take(&mut self.found);
        let mut scanned = scan(record, &self.keys, &mut found).map_err(Unread::from);
        if scanned.is_ok() && found.spans.is_empty() && found.invalid.is_empty() {
            scanned = not_understood(record).map_or(Ok(()), |what| Err(Unread::Unknown(what)));
        }
        let latest = || scanned.is_ok().then(|| latest_end(&found));
        if let Some(timestamp) = timestamp.or_else(latest) {
            self.traces.advance_clock(timestamp);
            self.decide_due(out);
        }
        match scanned {
            Ok(()) => {
                self.counts.records += 1;
                self.counts.spans += found.spans.len() as u64;
                let is_empty = found.spans.is_empty() && found.invalid.is_empty();
                self.counts.empty_records += u64::from(is_empty);
                self.arrive(record, &found, out);
            }
            Err(_) => self.counts.malformed_records += 1,
        }
        self.found = found;
        scanned
    }

    /// Nothing comes in for a while: the clock runs on, each trace is decided when its time comes.
    /// With `until`, what is due by then; without, until everything is decided.
    pub fn run_on(&mut self, until: Option<Timestamp>, out: &mut dyn FnMut(Verdict)) {
        while let Some(due) = self.traces.next_due() {
            if until.is_some_and(|until| due > until) {
                break;
            }
            self.traces.advance_clock(due);
            self.decide_due(out);
        }
    }

    /// Takes note of a record that could not even be made into OTLP protobuf.
    pub fn count_malformed(&mut self) {
        self.counts.malformed_records += 1;
    }

    fn decide_due(&mut self, out: &mut dyn FnMut(Verdict)) {
        while let Some((trace, trigger)) = self.traces.take_due() {
            out(self.decide(&trace, trigger));
        }
    }

    fn arrive(&mut self, record: &[u8], found: &Scan, out: &mut dyn FnMut(Verdict)) {
        self.counts.invalid_spans += found.invalid.len() as u64;
        self.resources.clear();
        self.resources.resize_with(found.resources.len(), Default::default);
        let mut at_cap = Vec::new();
        let mut first = 0;
        while first < found.spans.len() {
            let run = next_run(&found.spans, first);
            first += run.spans.len();
            let Some(slot) = self.slot_for(&run) else { continue };
            self.add_facts(slot, record, found, &run);
            let spans = run.spans.len() as u32;
            self.traces.append(slot, OFFSET, self.segment, run.framed.of(record), spans);
            if run.spans.iter().any(|span| span.is_root) {
                self.traces.root_received(slot);
            }
            if self.traces.is_at_cap(slot) && !at_cap.contains(&slot) {
                at_cap.push(slot);
            }
        }
        // Between two records, so that a decision covers whole records.
        for slot in at_cap {
            let trace = self.traces.take(slot);
            out(self.decide(&trace, Trigger::Size));
        }
    }

    /// The open trace that a run belongs to; `None` if it is late.
    fn slot_for(&mut self, run: &SpanRun<'_>) -> Option<Slot> {
        let id = run.trace_id();
        if let Some(slot) = self.traces.find(id) {
            return Some(slot);
        }
        let now = self.traces.clock();
        let decided = self.decided.get(PARTITION, id, GENERATION, now, self.decided_ttl);
        match decided.map(|decided| decided.decision) {
            None => Some(self.traces.open(id, OFFSET, PIN)),
            Some(true) => {
                self.counts.late_kept.add(run.amount());
                None
            }
            Some(false) => {
                self.counts.late_dropped.add(run.amount());
                None
            }
        }
    }

    fn add_facts(&mut self, slot: Slot, record: &[u8], found: &Scan, run: &SpanRun<'_>) {
        let predicates = self.policies.predicates();
        let resource = found.scopes[run.spans[0].scope as usize].resource as usize;
        let facts = self.resources[resource]
            .get_or_insert_with(|| ask_resource(predicates, record, found, resource));
        let spans = run.first..run.first + run.spans.len();
        gather(predicates, facts, record, found, spans, &mut self.traces.get_mut(slot).summary);
    }

    fn decide(&mut self, trace: &OpenTrace, trigger: Trigger) -> Verdict {
        let (now, summary) = (self.traces.clock(), &trace.summary);
        let explanation = self.policies.explain(summary, now, &mut self.budgets);
        let verdict = Verdict {
            trace_id: summary.trace_id,
            decision: explanation.decision,
            trigger,
            amount: Amount { traces: 1, spans: u64::from(summary.spans), bytes: summary.bytes },
            duration: summary.duration(),
            ballots: ballots(&self.policies, explanation),
        };
        let decision = verdict.is_kept();
        let decided = Decided { generation: GENERATION, at: now, decision };
        self.decided.insert(PARTITION, summary.trace_id, decided);
        verdict
    }
}

/// The latest end of a span, in whole milliseconds.
fn latest_end(found: &Scan) -> Timestamp {
    let nanos = found.spans.iter().map(|span| span.end_unix_nano).max().unwrap_or(0);
    Timestamp((nanos / 1_000_000) as i64)
}
