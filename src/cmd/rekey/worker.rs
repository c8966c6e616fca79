//! A worker: splits the records of some partitions by trace, and holds their offsets back until
//! all that was made of them is on the other topic.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::metrics::{Fate, RekeyMetrics};
use super::reports::{NewRecord, Reports, Settled, Ticket};
use crate::clock;
use crate::ids::{Generation, Origin, Partition, Pin, Position, Timestamp};
use crate::kafka::publish::{Outgoing, Publisher, Refusal};
use crate::kafka::record_headers;
use crate::kafka::source::{
    Acquisition, CaughtUp, CommitMetadata, Event, Inbox, Partitions, Rebalance, Record,
    RecordBatch, Revocation,
};
use crate::otlp::encoding::Decoder;
use crate::otlp::{SplitRecord, Splitter, value};
use crate::sampling::watermark::Watermark;
use crate::telemetry::log_throttle::LogThrottle;

/// How long to wait before a full producer is tried again.
const FULL_WAIT: Duration = Duration::from_millis(10);

/// How long to wait before a record that was not taken is written again.
const RETRY_WAIT: Duration = Duration::from_secs(1);

/// How often it is logged that records cannot be read.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Nothing here depends on the time of a partition.
const NO_CLOCK: Timestamp = Timestamp(0);

/// What a worker is made with.
pub(super) struct Parts {
    pub(super) index: usize,
    pub(super) inbox: Inbox,
    pub(super) settled: mpsc::UnboundedReceiver<Vec<Settled>>,
    pub(super) publisher: Arc<Publisher<Reports>>,
    /// The topic to write to.
    pub(super) to: String,
    pub(super) max_bytes: usize,
    pub(super) metrics: RekeyMetrics,
}

/// One worker.
pub(super) struct Worker {
    parts: Parts,
    decoder: Decoder,
    splitter: Splitter,
    partitions: Partitions<State>,
    /// What the producer has no room for, or has given back. While there is any, no records are
    /// taken, so it is bounded by a batch and by what the producer holds.
    waiting: VecDeque<(Instant, NewRecord)>,
    log: LogThrottle,
}

struct State {
    acquisition: Arc<Acquisition>,
    watermark: Watermark,
    in_flight: usize,
}

impl State {
    fn new(acquisition: Arc<Acquisition>, start: Position) -> Self {
        let watermark = Watermark::new(start, NO_CLOCK);
        Self { acquisition, watermark, in_flight: 0 }
    }

    /// Takes note of a record; false if it was read before.
    fn read(&mut self, record: &Record<'_>) -> bool {
        if record.offset.next() <= self.watermark.next() {
            return false;
        }
        self.watermark.read(record.offset, NO_CLOCK);
        true
    }

    /// There is nothing to read below `position`.
    fn skip_to(&mut self, position: Position) {
        if self.watermark.next() <= position {
            self.watermark.skip_to(position, NO_CLOCK);
            self.publish();
        }
    }

    /// One of the records that the pinned one was split into is on the topic.
    fn written(&mut self, pin: Pin) {
        self.in_flight -= 1;
        self.watermark.release(pin);
        self.publish();
    }

    /// Tells the consumer what may be committed.
    fn publish(&self) {
        self.acquisition
            .set_committable(self.watermark.committable().position, CommitMetadata::default());
    }
}

impl Worker {
    pub(super) fn new(parts: Parts) -> Self {
        let splitter = Splitter::new(parts.max_bytes);
        let (partitions, waiting) = (Partitions::default(), VecDeque::new());
        let (decoder, log) = (Decoder::default(), LogThrottle::new(LOG_INTERVAL));
        Self { parts, decoder, splitter, partitions, waiting, log }
    }

    /// Runs until `stop` is cancelled, or its inbox is closed.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            let is_stalled = !self.waiting.is_empty();
            let retry = self.waiting.iter().map(|(due, _)| *due).min();
            let revoke = self.partitions.deadline();
            tokio::select! {
                biased;
                rebalance = self.parts.inbox.rebalances.recv() => match rebalance {
                    Some(rebalance) => self.rebalance(rebalance),
                    None => break,
                },
                () = stop.cancelled() => break,
                Some(settled) = self.parts.settled.recv() => self.settle(settled),
                () = clock::until(revoke) => self.finish_revocations(),
                () = clock::until(retry), if is_stalled => self.write_waiting(),
                Some(event) = self.parts.inbox.events.recv(), if !is_stalled => match event {
                    Event::Records(batch) => self.take_in(&batch),
                    Event::CaughtUp(partitions) => self.caught_up(&partitions),
                    Event::LogGone(revocation) => self.revoke(revocation),
                },
            }
        }
    }

    fn rebalance(&mut self, event: Rebalance) {
        match event {
            Rebalance::Resized { .. } => {}
            Rebalance::Assigned { partition, acquisition, start, .. } => {
                let generation = acquisition.generation;
                self.partitions.assign(partition, generation, State::new(acquisition, start));
            }
            Rebalance::Revoked(revocation) => self.revoke(revocation),
            Rebalance::Lost { partition, generation } => {
                if self.partitions.lost(partition, generation).is_some() {
                    self.forget(self.origin(partition, generation));
                }
            }
        }
    }

    fn revoke(&mut self, revocation: Revocation) {
        self.partitions.revoke(revocation, Instant::now());
        self.finish_revocations();
    }

    /// Drops what waits of an ownership that ended: the next owner reads it again.
    fn forget(&mut self, origin: Origin) {
        self.waiting.retain(|(_, new)| new.ticket.origin != origin);
    }

    fn origin(&self, partition: Partition, generation: Generation) -> Origin {
        Origin { worker: self.parts.index, partition, generation }
    }

    fn take_in(&mut self, batch: &RecordBatch) {
        for record in batch.records() {
            let (partition, generation) = (batch.partition, batch.generation);
            let Some(state) = self.partitions.current(partition, generation) else { return };
            if !state.read(&record) {
                continue;
            }
            let origin = self.origin(partition, generation);
            for part in self.split(partition, &record) {
                self.write(origin, &record, part);
            }
        }
        self.write_waiting();
    }

    /// What takes the record's place; never nothing.
    fn split(&mut self, partition: Partition, record: &Record<'_>) -> Vec<KeyAndValue> {
        let key = || record.key.map(<[u8]>::to_vec);
        let metrics = &self.parts.metrics;
        let Some(value) = record.value else {
            metrics.read(Fate::NullValue, 0);
            return vec![(key(), None)];
        };
        let split = value::split(&mut self.decoder, &mut self.splitter, value);
        let fate = match &split {
            Ok((_, SplitRecord::Whole(_))) => Fate::Keyed,
            Ok((_, SplitRecord::Parts(_))) => Fate::Split,
            Ok((_, SplitRecord::Without)) => Fate::WithoutSpans,
            Err(_) => Fate::Unreadable,
        };
        metrics.read(fate, value.len());
        match split {
            Ok((whole, SplitRecord::Whole(trace))) => {
                vec![(Some(trace.to_string().into_bytes()), Some(whole.to_vec()))]
            }
            Ok((_, SplitRecord::Parts(parts))) => parts
                .into_iter()
                .map(|part| {
                    let trace = part.trace.map(|trace| trace.to_string().into_bytes());
                    (trace.or_else(key), Some(part.bytes))
                })
                .collect(),
            Ok((_, SplitRecord::Without)) => vec![(key(), Some(value.to_vec()))],
            Err(error) => {
                if let Some(suppressed) = self.log.allow() {
                    let (partition, offset) = (partition.0, record.offset.0);
                    let text = "it cannot be read, and is passed on as it is, with its key";
                    warn!(partition, offset, %error, suppressed, "rekey.unreadable: {text}");
                }
                vec![(key(), Some(value.to_vec()))]
            }
        }
    }

    /// Pins the record for one of those that it was split into, which is written.
    fn write(&mut self, origin: Origin, record: &Record<'_>, (key, value): KeyAndValue) {
        let Some(state) = self.partitions.get(origin.partition, origin.generation) else { return };
        let pin = state.watermark.pin(record.offset);
        state.in_flight += 1;
        let (timestamp, headers) = (record.timestamp, record.headers.into());
        let bytes = value.as_ref().map_or(0, Vec::len);
        let ticket = Ticket { origin, pin, timestamp, bytes, headers };
        let new = NewRecord { key, value, ticket };
        if self.waiting.is_empty() {
            self.publish_or_wait(new);
        } else {
            self.waiting.push_back((Instant::now() + FULL_WAIT, new));
        }
    }

    fn publish_or_wait(&mut self, new: NewRecord) {
        let headers = Arc::clone(&new.ticket.headers);
        let headers: Vec<_> = record_headers::iter(&headers).collect();
        let outgoing = Outgoing {
            topic: &self.parts.to,
            partition: None,
            key: new.key.as_deref(),
            value: new.value.as_deref(),
            headers: &headers,
        };
        let at = Some(new.ticket.timestamp).filter(|at| *at > Timestamp(0));
        match self.parts.publisher.publish_at(&outgoing, at, new.ticket.clone()) {
            Ok(()) => {}
            Err((Refusal::QueueFull, _)) => {
                self.waiting.push_back((Instant::now() + FULL_WAIT, new));
            }
            Err((error, _)) => {
                if let Some(suppressed) = self.log.allow() {
                    let topic = &self.parts.to;
                    warn!(%error, topic, suppressed, "rekey.not_taken: it is written again");
                }
                self.parts.metrics.retried.increment(1);
                self.waiting.push_back((Instant::now() + RETRY_WAIT, new));
            }
        }
    }

    /// Writes what is due of what waits.
    fn write_waiting(&mut self) {
        let now = Instant::now();
        for (due, new) in std::mem::take(&mut self.waiting) {
            if due <= now {
                self.publish_or_wait(new);
            } else {
                self.waiting.push_back((due, new));
            }
        }
    }

    fn settle(&mut self, settled: Vec<Settled>) {
        for settled in settled {
            match settled {
                Settled::Done(Ticket { origin, pin, bytes, .. }) => {
                    self.parts.metrics.written.increment(1);
                    self.parts.metrics.written_bytes.increment(bytes as u64);
                    if let Some(state) = self.partitions.get(origin.partition, origin.generation) {
                        state.written(pin);
                    }
                }
                Settled::Again(new) => {
                    let origin = new.ticket.origin;
                    if self.partitions.get(origin.partition, origin.generation).is_some() {
                        self.parts.metrics.retried.increment(1);
                        self.waiting.push_back((Instant::now() + RETRY_WAIT, new));
                    }
                }
            }
        }
        self.finish_revocations();
    }

    fn caught_up(&mut self, caught_up: &[CaughtUp]) {
        for quiet in caught_up {
            if let Some(state) = self.partitions.get(quiet.partition, quiet.generation) {
                state.skip_to(quiet.position);
            }
        }
    }

    /// Lets go of revoked partitions that have nothing in flight, or no time left.
    fn finish_revocations(&mut self) {
        let (now, in_flight) = (Instant::now(), |state: &State| state.in_flight);
        for (partition, state) in self.partitions.finish(now, in_flight, |state| state.publish()) {
            self.forget(self.origin(partition, state.acquisition.generation));
        }
    }
}

type KeyAndValue = (Option<Vec<u8>>, Option<Vec<u8>>);
