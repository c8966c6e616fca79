//! Looks at a running member, for those who watch it: asks its workers, and changes nothing that they do.
//!
//! Promises that a question costs a worker no more than one pass over its partitions, that it waits no
//! longer than [`PATIENCE`] for the answers, and that few questions wait at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::routing::Routing;
use super::worker::{Inquiry, Notice, OpenFacts, PartitionFacts, TraceFacts, Trial, TrialNotice};
use crate::ids::{Partition, Position, TraceId};
use crate::kafka::source::{ConsumerStatus, PartitionLag};
use crate::sampling::decided::{DecisionRecord, SamplingDecision};
use crate::telemetry::admin::status::{
    FoundTrace, OpenTraceStatus, PartitionStatus, Time, TraceSearch, WorkerPart,
};
use crate::telemetry::latest::Latest;
use crate::telemetry::metrics::TRIGGERS;

/// How long the workers have for an answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many questions may wait at a time.
const QUESTIONS: usize = 4;

/// Looks at one member, for as long as it runs.
#[derive(Clone, Debug)]
pub struct Observer {
    workers: Vec<mpsc::UnboundedSender<Notice>>,
    consumers: Vec<Arc<ConsumerStatus>>,
    routing: Arc<Routing>,
    latest: Arc<Latest>,
    room: Arc<Semaphore>,
}

impl Observer {
    /// Looks at a member with these parts.
    pub(super) fn new(
        workers: Vec<mpsc::UnboundedSender<Notice>>,
        consumers: Vec<Arc<ConsumerStatus>>,
        routing: Arc<Routing>,
        latest: Arc<Latest>,
    ) -> Self {
        Self { workers, consumers, routing, latest, room: Arc::new(Semaphore::new(QUESTIONS)) }
    }

    /// The traces that it decided last.
    pub fn latest(&self) -> &Latest {
        &self.latest
    }

    /// The partitions that it has.
    pub async fn partitions(&self) -> Vec<PartitionStatus> {
        let (facts, _) = self.ask(|reply| Notice::Inquiry(Inquiry::Partitions { reply })).await;
        let facts = facts.into_iter().flatten().map(|facts| (facts.partition, facts));
        let mut facts: BTreeMap<Partition, PartitionFacts> = facts.collect();
        let status = |(partition, lag)| status_of(partition, lag, facts.remove(&partition));
        self.lags().into_iter().map(status).collect()
    }

    /// What is known of a trace.
    pub async fn search(&self, id: TraceId) -> TraceSearch {
        let (facts, is_complete) =
            self.ask(|reply| Notice::Inquiry(Inquiry::Trace { id, reply })).await;
        TraceSearch {
            trace_id: id.to_string(),
            link: None,
            found: facts.into_iter().flatten().map(found).collect(),
            partition: self.routing.partition_of(id).map(|partition| partition.0),
            owned_partitions: self.lags().into_keys().map(|partition| partition.0).collect(),
            is_complete,
        }
    }

    /// Has policies tried on what is decided from now on; whether a worker takes part.
    pub(super) async fn begin_trial(&self, trial: &Arc<Trial>) -> bool {
        let begin = |reply| TrialNotice::Begin { trial: Arc::clone(trial), reply };
        let (take_part, _) = self.ask(|reply| Notice::Trial(begin(reply))).await;
        take_part.contains(&true)
    }

    /// Ends that. All that was counted is in the trial then, of the workers that answer.
    pub(super) async fn end_trial(&self, trial: &Arc<Trial>) {
        let end = |reply| TrialNotice::End { trial: Arc::clone(trial), reply };
        self.ask(|reply| Notice::Trial(end(reply))).await;
    }

    fn lags(&self) -> BTreeMap<Partition, PartitionLag> {
        self.consumers.iter().flat_map(|consumer| consumer.partitions()).collect()
    }

    /// The answers of all workers, and whether all have answered.
    async fn ask<T>(&self, inquiry: impl Fn(oneshot::Sender<T>) -> Notice) -> (Vec<T>, bool) {
        let deadline = Instant::now() + PATIENCE;
        let Ok(Ok(_room)) = timeout_at(deadline, self.room.acquire()).await else {
            return (Vec::new(), false);
        };
        let ask = |worker: &mpsc::UnboundedSender<Notice>| {
            let (reply, answer) = oneshot::channel();
            // Of a worker that is gone there is no answer.
            let _ = worker.send(inquiry(reply));
            answer
        };
        let mut answers = Vec::with_capacity(self.workers.len());
        for answer in self.workers.iter().map(ask).collect::<Vec<_>>() {
            if let Ok(Ok(answer)) = timeout_at(deadline, answer).await {
                answers.push(answer);
            }
        }
        let is_complete = answers.len() == self.workers.len();
        (answers, is_complete)
    }
}

fn status_of(
    partition: Partition,
    lag: PartitionLag,
    facts: Option<PartitionFacts>,
) -> PartitionStatus {
    let number = |position: Option<Position>| position.map(|position| position.0);
    PartitionStatus {
        partition: partition.0,
        position: number(lag.position),
        end: number(lag.end),
        committed: number(lag.committed),
        lag_records: lag.unread,
        lag_seconds: lag.age.as_secs_f64(),
        committed_lag_records: lag.uncommitted,
        held_back_seconds: lag.held_back.as_secs_f64(),
        worker: facts.map(|facts| WorkerPart {
            number: facts.worker,
            is_reading_back: facts.is_reading_back,
            clock: facts.clock.map(Time),
            committable: facts.committable.0,
            open_traces: facts.open_traces,
            open_bytes: facts.open_bytes,
            oldest_open_trace: facts.oldest.map(open),
            remembered_decisions: facts.decisions,
        }),
    }
}

fn open(facts: OpenFacts) -> OpenTraceStatus {
    OpenTraceStatus {
        trace_id: facts.trace_id.to_string(),
        spans: facts.spans,
        bytes: facts.bytes,
        errors: facts.errors,
        opened_at: Time(facts.opened_at),
        root_at: facts.root_at.map(Time),
        due_at: Time(facts.due_at),
        first_offset: facts.first.0,
        last_offset: facts.last.0,
    }
}

fn found(facts: TraceFacts) -> FoundTrace {
    match facts {
        TraceFacts::Open(partition, open) => FoundTrace {
            spans: Some(open.spans),
            bytes: Some(open.bytes),
            errors: Some(open.errors),
            opened_at: Some(Time(open.opened_at)),
            root_at: open.root_at.map(Time),
            due_at: Some(Time(open.due_at)),
            ..FoundTrace::new(partition.0, "open", (open.first.0, open.last.0))
        },
        TraceFacts::Decided(partition, decided) => {
            let DecisionRecord { first, last, at, trigger, .. } = decided;
            let state = match decided.decision {
                SamplingDecision::Dropped => "dropped",
                SamplingDecision::Kept(_) => "kept",
            };
            FoundTrace {
                decided_at: Some(Time(at)),
                policy: decided.policy().map(|policy| policy.to_string()),
                probability: decided.probability(),
                trigger: Some(TRIGGERS[trigger as usize]),
                ..FoundTrace::new(partition.0, state, (first.0, last.0))
            }
        }
    }
}
