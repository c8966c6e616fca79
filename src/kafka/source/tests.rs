//! What is handed to a worker while acquisitions change at every point, against a model of the worker.
//!
//! The log and the client are numbers here: which offsets hold records, and the client's position. The
//! events and their order are random. In any case a worker must not take a record as done that it was
//! not given under its acquisition.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::batch::{About, Record};
use super::batch_builder::BatchBuilder;
use super::commit_metadata::CommitMetadata;
use super::context::Context;
use super::inbox::{Event, Inbox, InboxSender, inboxes};
use super::metrics::SourceMetrics;
use super::ownership::OwnershipTable;
use super::settings::{KeptHeaders, SourceSettings, StartFrom};
use super::statistics::ClientState;
use super::{CaughtUp, Rebalance};
use crate::ids::{Generation, Offset, Partition, Position, Timestamp};
use crate::telemetry::log_throttle::LogThrottle;

const PARTITIONS: i32 = 2;
const NOW: Timestamp = Timestamp(1_000_000);

pub(super) fn settings() -> SourceSettings {
    SourceSettings {
        brokers: String::new(),
        topic: "spans".to_owned(),
        group_id: "group".to_owned(),
        group_instance_id: None,
        consumer_protocol: false,
        start_from: StartFrom::Earliest,
        commit_interval: Duration::from_secs(1),
        lease_timeout: Duration::from_secs(3600),
        revoke_timeout: Duration::ZERO,
        future_tolerance: Duration::from_secs(5),
        headers: KeptHeaders::None,
        properties: Vec::new(),
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// A record is written, or something that takes an offset and is no record, like the marker of a
    /// transaction.
    Write { partition: i32, is_record: bool },
    /// The client returns records.
    Poll { partition: i32, records: u8 },
    /// What was polled is handed to the worker.
    HandOver,
    /// The client has fetched everything, returned or not, and two reports said so.
    AtEnd { is_drained: bool },
    /// The worker commits.
    Commit { partition: i32 },
    /// A rebalance takes the partition away, and assigns it again at the committed position.
    Rebalance { partition: i32 },
    /// The partition is acquired again at the beginning of the log: its position was out of range.
    StartOver { partition: i32 },
}

fn step() -> impl Strategy<Value = Step> {
    let partition = 0..PARTITIONS;
    prop_oneof![
        4 => (partition.clone(), prop::bool::weighted(0.8))
            .prop_map(|(partition, is_record)| Step::Write { partition, is_record }),
        4 => (partition.clone(), 1..4_u8)
            .prop_map(|(partition, records)| Step::Poll { partition, records }),
        3 => Just(Step::HandOver),
        2 => any::<bool>().prop_map(|is_drained| Step::AtEnd { is_drained }),
        1 => partition.clone().prop_map(|partition| Step::Commit { partition }),
        1 => partition.clone().prop_map(|partition| Step::Rebalance { partition }),
        1 => partition.prop_map(|partition| Step::StartOver { partition }),
    ]
}

/// A partition: its log, the client's position in it, and what its worker believes.
#[derive(Debug, Default)]
struct Model {
    records: BTreeSet<i64>,
    end: i64,
    client: i64,
    committed: i64,
    worker: Option<Believed>,
}

#[derive(Debug)]
struct Believed {
    generation: Generation,
    start: i64,
    next: i64,
    given: BTreeSet<i64>,
}

struct World {
    context: Context,
    batches: BatchBuilder,
    inbox: Inbox,
    sender: InboxSender,
    partitions: Vec<Model>,
}

/// What a consumer of nothing has, with its worker's inbox.
pub(super) fn context() -> (Context, InboxSender, Inbox) {
    let (senders, mut inboxes) = inboxes(1, 1 << 20);
    let sender = senders[0].clone();
    let (ownership, metrics) = (Arc::new(OwnershipTable::default()), SourceMetrics::new("model"));
    let limited = || Arc::new(LogThrottle::new(Duration::ZERO));
    let limits = (limited(), limited());
    let context = Context::new(settings(), ownership, senders, Arc::new(metrics), limits);
    (context, sender, inboxes.remove(0))
}

impl World {
    fn new() -> Self {
        let (context, sender, inbox) = context();
        let partitions = (0..PARTITIONS).map(|_| Model::default()).collect();
        let mut world =
            Self { context, batches: BatchBuilder::default(), inbox, sender, partitions };
        (0..PARTITIONS).for_each(|partition| world.acquire(partition, 0));
        world.work();
        world
    }

    fn model(&mut self, partition: i32) -> &mut Model {
        &mut self.partitions[usize::try_from(partition).unwrap()]
    }

    fn acquire(&mut self, partition: i32, start: i64) {
        let from = (Position(start), CommitMetadata::default());
        self.context.acquire(Partition(partition), None, from);
        self.model(partition).client = start;
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Write { partition, is_record } => {
                let model = self.model(partition);
                if is_record {
                    model.records.insert(model.end);
                }
                model.end += 1;
            }
            Step::Poll { partition, records } => {
                (0..records).for_each(|_| self.poll(partition));
            }
            Step::HandOver => self.hand_over(),
            Step::AtEnd { is_drained } => self.at_end(is_drained),
            Step::Commit { partition } => {
                let model = self.model(partition);
                model.committed = model.worker.as_ref().unwrap().next;
            }
            Step::Rebalance { partition } => {
                self.context.lose(Partition(partition));
                let committed = self.model(partition).committed;
                self.acquire(partition, committed);
            }
            Step::StartOver { partition } => {
                self.context.lose(Partition(partition));
                self.acquire(partition, 0);
            }
        }
        self.work();
    }

    fn poll(&mut self, partition: i32) {
        let model = self.model(partition);
        let Some(offset) = model.records.range(model.client..).next().copied() else {
            model.client = model.end;
            return;
        };
        model.client = offset + 1;
        let (offset, timestamp) = (Offset(offset), NOW);
        let about = About { offset, timestamp, attempts: 0, headers: b"", keep: None };
        let of = (Partition(partition), about, NOW);
        self.batches.take_in(&self.context, of, |batch, about| {
            let About { offset, timestamp, attempts, headers, keep } = about;
            let (key, value) = (None, Some(&b"spans"[..]));
            batch.push(Record { offset, timestamp, key, value, attempts, headers, keep });
            b"spans".len()
        });
    }

    fn hand_over(&mut self) {
        for (assigned, mut batch) in self.batches.take(&self.context) {
            batch.room = self.sender.try_room(batch.size());
            let next = batch.next_offset();
            self.sender.records(batch).unwrap();
            assigned.given_up_to(next);
        }
        assert!(self.context.assignment.take_skipped().is_empty(), "nobody would read it again");
    }

    fn at_end(&mut self, is_drained: bool) {
        for partition in 0..PARTITIONS {
            while is_drained && self.model(partition).client < self.model(partition).end {
                self.poll(partition);
            }
        }
        let ends: Vec<_> = (0..PARTITIONS)
            .map(|partition| (Partition(partition), Position(self.model(partition).end)))
            .collect();
        let state = ClientState { at_end: ends, is_drained, ..ClientState::default() };
        for (worker, caught_up) in self.context.assignment.caught_up(&state, NOW) {
            assert_eq!(worker, 0);
            self.sender.caught_up(vec![caught_up]).unwrap();
        }
    }

    /// The worker handles its inbox, rebalances first.
    fn work(&mut self) {
        while let Ok(rebalance) = self.inbox.rebalances.try_recv() {
            match rebalance {
                Rebalance::Assigned { partition, acquisition, start, .. } => {
                    let believed = Believed {
                        generation: acquisition.generation,
                        start: start.0,
                        next: start.0,
                        given: BTreeSet::new(),
                    };
                    self.model(partition.0).worker = Some(believed);
                }
                Rebalance::Lost { partition, .. } => self.model(partition.0).worker = None,
                Rebalance::Resized { .. } | Rebalance::Revoked(_) => unreachable!(),
            }
        }
        while let Ok(event) = self.inbox.events.try_recv() {
            match event {
                Event::Records(batch) => {
                    let worker = self.model(batch.partition.0).worker.as_mut().unwrap();
                    if worker.generation != batch.generation {
                        continue;
                    }
                    for record in batch.records() {
                        worker.given.insert(record.offset.0);
                        worker.next = worker.next.max(record.offset.next().0);
                    }
                }
                Event::CaughtUp(partitions) => {
                    for CaughtUp { partition, generation, position, .. } in partitions {
                        let worker = self.model(partition.0).worker.as_mut().unwrap();
                        if worker.generation == generation {
                            worker.next = worker.next.max(position.0);
                        }
                    }
                }
                Event::LogGone(_) => unreachable!(),
            }
        }
        for model in &self.partitions {
            let worker = model.worker.as_ref().unwrap();
            let believed_done = model.records.range(worker.start..worker.next.max(worker.start));
            let passed_over: Vec<_> =
                believed_done.filter(|offset| !worker.given.contains(offset)).collect();
            assert!(passed_over.is_empty(), "{passed_over:?} are passed over: {model:?}");
        }
    }

    /// In the end everything is read under the last acquisitions.
    fn finish(&mut self) {
        self.hand_over();
        self.at_end(true);
        self.hand_over();
        self.at_end(true);
        self.work();
        for model in &self.partitions {
            assert_eq!(model.worker.as_ref().unwrap().next, model.end, "{model:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn nothing_is_passed_over_whenever_ownerships_change(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.step(step));
        world.finish();
    }
}

/// Every second step is a change, at each place of a short story.
#[test]
fn an_ownership_may_change_between_any_two_steps() {
    let write = || Step::Write { partition: 0, is_record: true };
    let poll = || Step::Poll { partition: 0, records: 1 };
    let story = [
        write(),
        write(),
        write(),
        poll(),
        poll(),
        Step::HandOver,
        poll(),
        Step::HandOver,
        Step::AtEnd { is_drained: true },
        Step::Commit { partition: 0 },
        write(),
        poll(),
        Step::HandOver,
        Step::AtEnd { is_drained: true },
    ];
    for change in [Step::Rebalance { partition: 0 }, Step::StartOver { partition: 0 }] {
        for first in 0..=story.len() {
            for second in first..=story.len() {
                let mut world = World::new();
                for (place, step) in story.iter().enumerate() {
                    if place == first || place == second {
                        world.step(&change);
                    }
                    world.step(step);
                }
                world.finish();
            }
        }
    }
}
