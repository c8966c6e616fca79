//! A partition without Kafka: records in, decisions with their reasons out.
//!
//! The [`Sampler`] is the one that members have; here it is asked for reasons, and kept spans go
//! nowhere. What is left at the end is decided as a partition gone quiet would have it, each trace
//! when its time comes.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::config::PolicyFile;
use crate::ids::{Offset, Pin, Timestamp, TraceId};
use crate::member::reload;
use crate::otlp::{Scan, ScanError, not_understood, scan};
use crate::sampling::decided::SamplingDecision;
use crate::sampling::policy::{
    CompileError, Decision, ExplainedVote, Explanation, PolicyIndex, PolicySet,
};
use crate::sampling::sampler::{
    DecidedTrace, FollowingSpans, Policies, Question, ReopenedTrace, Sampler, ScannedRecord, Sink,
    SpanRun,
};
use crate::sampling::trace::Trigger;
use crate::telemetry::accounts::Amount;

use super::votes::all_votes;

/// A decision, and how it came about.
#[derive(Clone, Debug, PartialEq)]
pub struct ExplainedDecision {
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
    /// The votes of all policies, in the order of the file.
    pub votes: Vec<ExplainedVote>,
}

impl ExplainedDecision {
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
    /// Dropped traces that late spans re-opened.
    pub reopened: u64,
    /// Those that they would have re-opened, had there been budget.
    pub reopen_over_budget: u64,
}

/// Why nothing can be made of a record.
#[derive(Debug, Error)]
pub enum Unread {
    /// It is not OTLP protobuf.
    #[error("not OTLP protobuf: {0}")]
    Scan(#[from] ScanError),
    /// It has content, but no span.
    #[error("no span in it is understood; it has {0}")]
    Unknown(String),
}

/// A partition with the policies of one file.
#[derive(Debug)]
pub struct Offline {
    policies: Arc<Policies>,
    sampler: Sampler,
    counts: Counts,
    /// The offset of the next record.
    next: Offset,
    found: Box<Scan>,
}

impl Offline {
    /// A partition that nothing was read from, on a topic with one partition.
    ///
    /// # Errors
    /// If the policies cannot be compiled.
    pub fn new(file: &PolicyFile) -> Result<Self, CompileError> {
        let policies = Arc::new(reload::policies(file)?);
        let mut sampler = Sampler::new(&policies, Timestamp(i64::MIN), 1);
        let room = usize::try_from(file.decision_cache_entries).unwrap_or(usize::MAX);
        sampler.set_decision_room(room);
        let (counts, found) = (Counts::default(), Box::default());
        Ok(Self { policies, sampler, counts, next: Offset(0), found })
    }

    /// The policies.
    pub fn policies(&self) -> &PolicySet {
        &self.policies.set
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
        out: &mut dyn FnMut(ExplainedDecision),
    ) -> Result<(), Unread> {
        let Self { policies, sampler, counts, next, found } = self;
        let mut scanned = scan(record, &policies.keys, found).map_err(Unread::from);
        let is_empty = found.spans.is_empty() && found.invalid.is_empty();
        if scanned.is_ok() && is_empty {
            scanned = not_understood(record).map_or(Ok(()), |what| Err(Unread::Unknown(what)));
        }
        let latest = || scanned.is_ok().then(|| latest_end(found));
        let mut sink = Explainer { policies: &policies.set, counts, explanation: None, out };
        if let Some(timestamp) = timestamp.or_else(latest) {
            sampler.advance_clock(timestamp, &mut sink);
        }
        if scanned.is_err() {
            counts.malformed_records += 1;
            return scanned;
        }
        let record = ScannedRecord { offset: *next, forwarded: &[], bytes: record, found };
        sampler.take_in(&record, &mut sink);
        sampler.forget_old();
        *next = Offset(next.0 + 1);
        counts.records += 1;
        counts.spans += found.spans.len() as u64;
        counts.invalid_spans += found.invalid.len() as u64;
        counts.empty_records += u64::from(is_empty);
        Ok(())
    }

    /// Nothing comes in for a while: the clock runs on, each trace is decided when its time comes.
    /// With `until`, what is due by then; without, until everything is decided.
    pub fn run_on(&mut self, until: Option<Timestamp>, out: &mut dyn FnMut(ExplainedDecision)) {
        let Self { policies, sampler, counts, .. } = self;
        let mut sink = Explainer { policies: &policies.set, counts, explanation: None, out };
        while let Some(due) = sampler.next_due() {
            if until.is_some_and(|until| due > until) {
                break;
            }
            sampler.advance_clock(due, &mut sink);
        }
    }

    /// Takes note of a record that could not even be made into OTLP protobuf.
    pub fn count_malformed(&mut self) {
        self.counts.malformed_records += 1;
    }
}

/// Explains the decisions of the sampler.
struct Explainer<'a> {
    policies: &'a PolicySet,
    counts: &'a mut Counts,
    /// Of the trace that is being decided.
    explanation: Option<Explanation>,
    out: &'a mut dyn FnMut(ExplainedDecision),
}

impl Sink for Explainer<'_> {
    /// Nothing is committed here, so all traces may hold the same pin.
    fn opened(&mut self, _: Offset) -> Pin {
        Pin(0)
    }

    fn added(&mut self, _: &SpanRun<'_>) {}

    fn judge(&mut self, question: Question<'_>) -> Decision {
        let explanation = question.explain();
        let decision = explanation.decision;
        self.explanation = Some(explanation);
        decision
    }

    fn decided(&mut self, decided: DecidedTrace<'_>) {
        let summary = &decided.trace.summary;
        let explanation = self.explanation.take().expect("a trace is judged before it is decided");
        (self.out)(ExplainedDecision {
            trace_id: summary.trace_id,
            decision: decided.decision,
            trigger: decided.recorded.trigger,
            amount: Amount { traces: 1, spans: u64::from(summary.spans), bytes: summary.bytes },
            duration: summary.duration(),
            votes: all_votes(self.policies, explanation),
        });
    }

    fn late(&mut self, spans: FollowingSpans<'_>) {
        let (run, counts) = (spans.run, &mut *self.counts);
        let amount = of_run(run);
        match spans.recorded.decision {
            SamplingDecision::Kept(_) => counts.late_kept.add(amount),
            SamplingDecision::Dropped => counts.late_dropped.add(amount),
        }
    }

    fn reopened(&mut self, trace: ReopenedTrace<'_>) {
        let amount = of_run(trace.run);
        self.counts.reopened += 1;
        self.counts.late_kept.add(amount);
    }

    fn reopen_over_budget(&mut self, _: PolicyIndex) {
        self.counts.reopen_over_budget += 1;
    }

    fn read_again(&mut self, _: FollowingSpans<'_>) {
        debug_assert!(false, "nothing was decided before");
    }
}

fn of_run(run: &SpanRun<'_>) -> Amount {
    Amount { traces: 0, spans: u64::from(run.count()), bytes: run.bytes() }
}

/// The latest end of a span, in whole milliseconds.
fn latest_end(found: &Scan) -> Timestamp {
    let nanos = found.spans.iter().map(|span| span.end_unix_nano).max().unwrap_or(0);
    Timestamp((nanos / 1_000_000) as i64)
}
