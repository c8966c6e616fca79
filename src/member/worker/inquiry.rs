//! What a worker is asked about its partitions, for those who look at a member. Nothing changes by it.

use tokio::sync::oneshot;

use super::Worker;
use super::partition::PartitionState;
use crate::ids::{Offset, Partition, Position, Timestamp, TraceId};
use crate::sampling::decided::DecisionRecord;
use crate::sampling::trace::OpenTrace;

/// A question. Who asked may be gone when it is answered.
#[derive(Debug)]
pub enum Inquiry {
    /// How the partitions are.
    Partitions {
        /// Gets the answer.
        reply: oneshot::Sender<Vec<PartitionFacts>>,
    },
    /// What is known of a trace.
    Trace {
        /// The trace.
        id: TraceId,
        /// Gets all that is known, by partition.
        reply: oneshot::Sender<Vec<TraceFacts>>,
    },
}

/// How a partition is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionFacts {
    /// The partition.
    pub partition: Partition,
    /// The worker that has it.
    pub worker: usize,
    /// Its decision log is being read back, and nothing is judged before that is done.
    pub is_reading_back: bool,
    /// Its clock; `None` before the first record.
    pub clock: Option<Timestamp>,
    /// Everything below was read by the worker.
    pub next: Position,
    /// Everything below is decided, on record and delivered.
    pub committable: Position,
    /// Number of open traces.
    pub open_traces: usize,
    /// Bytes of memory that they take, about.
    pub open_bytes: u64,
    /// The open trace that was opened first.
    pub oldest: Option<OpenFacts>,
    /// Decisions that are remembered.
    pub decisions: usize,
}

/// What is known of a trace in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceFacts {
    /// It is open.
    Open(Partition, OpenFacts),
    /// It was decided.
    Decided(Partition, DecisionRecord),
}

/// What is known of an open trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenFacts {
    /// The trace.
    pub trace_id: TraceId,
    /// Number of spans so far.
    pub spans: u32,
    /// Their wire bytes.
    pub bytes: u64,
    /// Those with an error.
    pub errors: u32,
    /// The partition's clock when its first span was read.
    pub opened_at: Timestamp,
    /// The partition's clock when its root span was read.
    pub root_at: Option<Timestamp>,
    /// The partition's clock at which it is decided at the latest.
    pub due_at: Timestamp,
    /// Its first record.
    pub first: Offset,
    /// Its last record so far.
    pub last: Offset,
}

impl From<&OpenTrace> for OpenFacts {
    fn from(trace: &OpenTrace) -> Self {
        let summary = &trace.summary;
        Self {
            trace_id: summary.trace_id,
            spans: summary.spans,
            bytes: summary.bytes,
            errors: summary.errors,
            opened_at: trace.opened_at,
            root_at: trace.root_at(),
            due_at: trace.due_at(),
            first: trace.records.first(),
            last: trace.records.last(),
        }
    }
}

impl Worker {
    /// Answers, unless who asked is gone.
    pub(super) fn answer(&mut self, inquiry: Inquiry) {
        let states = self.partitions.current_states();
        match inquiry {
            Inquiry::Partitions { reply } => {
                drop(reply.send(states.map(PartitionState::facts).collect()));
            }
            Inquiry::Trace { id, reply } => {
                drop(reply.send(states.flat_map(|state| state.facts_of(id)).collect()));
            }
        }
    }
}

impl PartitionState {
    fn facts(&mut self) -> PartitionFacts {
        let watermark = &self.settlement.watermark;
        let (next, committable) = (watermark.next(), watermark.committable().position);
        let clock = Some(self.sampler.clock()).filter(|clock| clock.0 > i64::MIN);
        PartitionFacts {
            partition: self.origin.partition,
            worker: self.origin.worker,
            is_reading_back: self.reading_back.is_some(),
            clock,
            next,
            committable,
            open_traces: self.sampler.open_traces(),
            open_bytes: self.sampler.bytes(),
            oldest: self.sampler.oldest_open().map(OpenFacts::from),
            decisions: self.sampler.decision_memory().latest().len(),
        }
    }

    /// A trace that was decided may be open once more, if that was forgotten; and an earlier owner may
    /// have decided other parts of it.
    fn facts_of(&self, id: TraceId) -> Vec<TraceFacts> {
        let partition = self.origin.partition;
        let open = self.sampler.open_trace(id);
        let open = open.map(|open| TraceFacts::Open(partition, open.into()));
        let memory = self.sampler.decision_memory();
        let latest = memory.latest().get(id);
        let prior = memory
            .prior()
            .of(id)
            .filter(|prior| latest.as_ref().is_none_or(|latest| latest.first != prior.first));
        let decided = latest.iter().chain(prior).cloned();
        open.into_iter()
            .chain(decided.map(|decided| TraceFacts::Decided(partition, decided)))
            .collect()
    }
}
