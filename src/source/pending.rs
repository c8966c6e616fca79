//! The batches that the consumer's thread fills, one for each partition it reads from.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use tracing::{info, warn};

use super::assignment::{Context, Mine};
use super::batch::{Record, RecordBatch, SpareBuffers};
use crate::dead_letters::ATTEMPTS;
use crate::ids::{Offset, Partition, Timestamp};

/// Batches that are being filled.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) batches: HashMap<Partition, RecordBatch>,
    spare: SpareBuffers,
    pub(super) bytes: usize,
    /// The partition of the last record: records come in runs.
    last: Option<(Partition, Arc<Mine>)>,
    epoch: u64,
    /// The log says which kind of timestamps the topic has.
    timestamps_told: bool,
}

/// Decisions can be repeated exactly only if the broker sets the timestamps, so it is said which
/// kind was found.
fn tell_timestamps(timestamp: rdkafka::Timestamp) {
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

/// What the header [`ATTEMPTS`] says; nearly no record has headers.
fn attempts(message: &BorrowedMessage<'_>) -> u32 {
    let Some(headers) = message.headers() else { return 0 };
    let header = headers.iter().find(|header| header.key == ATTEMPTS);
    let text = header.and_then(|header| std::str::from_utf8(header.value?).ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

impl Pending {
    pub(super) fn push(
        &mut self,
        context: &Context,
        message: &BorrowedMessage<'_>,
        now: Timestamp,
    ) {
        let partition = Partition(message.partition());
        if self.epoch != context.epoch() {
            self.epoch = context.epoch();
            self.last = None;
        }
        if self.last.as_ref().is_none_or(|(last, _)| *last != partition) {
            self.last = context.partition(partition).map(|mine| (partition, mine));
        }
        // A message of a partition that was taken away while it waited in the queue.
        let Some((_, mine)) = &self.last else { return };
        let offset = Offset(message.offset());
        mine.position.store(offset.next().0, Ordering::Relaxed);
        let latest = now.after(context.settings.future_tolerance);
        if !self.timestamps_told {
            self.timestamps_told = true;
            tell_timestamps(message.timestamp());
        }
        let timestamp = Timestamp(message.timestamp().to_millis().unwrap_or(now.0));
        if timestamp > latest {
            context.metrics.clamped.increment(1);
        }
        let timestamp = timestamp.min(latest);
        mine.last_timestamp.store(timestamp.0, Ordering::Relaxed);
        let generation = mine.owned.generation;
        let batch = self.batches.entry(partition);
        let batch = batch.or_insert_with(|| RecordBatch::new(partition, generation, &self.spare));
        if batch.generation != generation {
            // What was read under the old generation is read again by whoever owns it now.
            *batch = RecordBatch::new(partition, generation, &self.spare);
        }
        let (key, value) = (message.key(), message.payload());
        batch.push(Record { offset, timestamp, key, value, attempts: attempts(message) });
        self.bytes += message.payload_len() + message.key_len();
    }
}
