//! The batches that the consumer's thread fills: one for each partition that it reads.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use tracing::{info, warn};

use super::assignment::AssignedPartition;
use super::batch::{About, RecordBatch, SpareBuffers};
use super::context::Context;
use super::fetched::Fetched;
use super::settings::KeptHeaders;
use crate::ids::{Offset, Partition, Timestamp};
use crate::kafka::dead_letters::ATTEMPTS;
use crate::kafka::keep_request::KEEP;
use crate::kafka::record_headers;

/// Batches that are being filled.
#[derive(Debug, Default)]
pub(super) struct BatchBuilder {
    batches: HashMap<Partition, OpenBatch>,
    spare: SpareBuffers,
    pub(super) bytes: usize,
    /// The partition of the last record: records come in runs.
    last: Option<(Partition, Arc<AssignedPartition>)>,
    epoch: u64,
    /// The kind of timestamps was logged.
    timestamp_type_logged: bool,
}

/// Logs the kind of timestamps: decisions are reproducible only if the broker sets them.
fn log_timestamp_type(timestamp: rdkafka::Timestamp) {
    match timestamp {
        rdkafka::Timestamp::LogAppendTime(_) => info!("kafka.timestamps: LogAppendTime"),
        rdkafka::Timestamp::CreateTime(_) => info!(
            "kafka.timestamps: CreateTime, so the clocks of producers decide when traces are \
             complete; message.timestamp.type=LogAppendTime on the topic is recommended"
        ),
        rdkafka::Timestamp::NotAvailable => warn!(
            "kafka.timestamps: none, so the time of reading is taken, and a replay may decide \
             differently"
        ),
    }
}

/// What headers say that matters here. Few records have any.
#[derive(Default)]
struct ReadHeaders {
    /// The value of [`ATTEMPTS`].
    attempts: u32,
    forwarded: Vec<u8>,
    /// The value of [`KEEP`].
    keep: Option<Vec<u8>>,
}

fn read_headers(message: &BorrowedMessage<'_>, kept: &KeptHeaders) -> ReadHeaders {
    let mut read = ReadHeaders::default();
    let Some(headers) = message.headers() else { return read };
    for header in headers.iter() {
        let Some(value) = header.value else { continue };
        if header.key == ATTEMPTS {
            let text = std::str::from_utf8(value).ok();
            read.attempts = text.and_then(|text| text.parse().ok()).unwrap_or(0);
        }
        if header.key == KEEP {
            read.keep = Some(value.to_vec());
        }
        if let Some(name) = kept.name(header.key) {
            record_headers::push(&mut read.forwarded, name, value);
        }
    }
    read
}

/// A batch that is being filled.
#[derive(Debug)]
struct OpenBatch {
    batch: RecordBatch,
    /// The epoch in which its last record was read.
    epoch: u64,
}

impl BatchBuilder {
    /// Adds a message that the client has returned.
    pub(super) fn push(&mut self, context: &Context, fetched: Fetched<'_>, now: Timestamp) {
        let message = &fetched.message;
        if !self.timestamp_type_logged {
            self.timestamp_type_logged = true;
            log_timestamp_type(message.timestamp());
        }
        let ReadHeaders { attempts, forwarded, keep } =
            read_headers(message, &context.settings.headers);
        let about = About {
            offset: Offset(message.offset()),
            timestamp: Timestamp(message.timestamp().to_millis().unwrap_or(now.0)),
            attempts,
            headers: &forwarded,
            keep: keep.as_deref(),
        };
        let (partition, bytes) = (Partition(message.partition()), fetched.bytes());
        self.take_in(context, (partition, about, now), |batch, about| {
            batch.hold(about, fetched);
            bytes
        });
    }

    /// Has `add` put what was read of a partition at `now` into its batch, which tells its bytes.
    pub(super) fn take_in(
        &mut self,
        context: &Context,
        (partition, mut about, now): (Partition, About<'_>, Timestamp),
        add: impl FnOnce(&mut RecordBatch, About<'_>) -> usize,
    ) {
        context.reports.count_polled();
        let epoch = context.assignment.epoch();
        if self.epoch != epoch {
            self.epoch = epoch;
            self.last = None;
        }
        if self.last.as_ref().is_none_or(|(last, _)| *last != partition) {
            self.last = context.assignment.get(partition).map(|assigned| (partition, assigned));
        }
        // A record of a partition that was taken away while it waited in the queue.
        let Some((_, assigned)) = &self.last else { return };
        assigned.position.store(about.offset.next().0, Ordering::Relaxed);
        let latest = now.after(context.settings.future_tolerance);
        if about.timestamp > latest {
            context.metrics.clamped.increment(1);
            about.timestamp = latest;
        }
        assigned.last_timestamp.store(about.timestamp.0, Ordering::Relaxed);
        let generation = assigned.acquisition.generation;
        let new =
            || OpenBatch { batch: RecordBatch::new(partition, generation, &self.spare), epoch };
        let open = self.batches.entry(partition).or_insert_with(new);
        if open.batch.generation != generation {
            throw_away(context, std::mem::replace(open, new()));
        }
        open.epoch = epoch;
        self.bytes += add(&mut open.batch, about);
    }

    /// Takes out the batches that are to be handed over, each with its partition.
    pub(super) fn take(&mut self, context: &Context) -> Vec<(Arc<AssignedPartition>, RecordBatch)> {
        self.bytes = 0;
        let mut batches = Vec::with_capacity(self.batches.len());
        for (partition, open) in self.batches.drain() {
            let Some(assigned) = context.assignment.get(partition) else { continue };
            if assigned.acquisition.generation == open.batch.generation {
                batches.push((assigned, open.batch));
            } else {
                throw_away(context, open);
            }
        }
        batches
    }
}

/// Drops records that were read under an acquisition that has ended. Whoever has the partition now
/// reads them again, if they were read before the new acquisition began. Nothing else may be dropped;
/// if it is, reading must start over before anything after it is committed.
fn throw_away(context: &Context, open: OpenBatch) {
    let partition = open.batch.partition;
    let Some(assigned) = context.assignment.get(partition) else { return };
    if open.epoch >= assigned.epoch {
        context.metrics.skipped_records.increment(open.batch.records().count() as u64);
        context.assignment.note_skipped(partition);
    }
}
