//! What recent records of the topic say: keys, partitions, encodings, times.

use std::collections::{BTreeMap, HashMap};

use rdkafka::Timestamp as KafkaTimestamp;

use super::encoding::{Contents, Reader};
use crate::ids::{Partition, Timestamp, TraceId};
use crate::kafka::partitioner::{Placements, explanation};

/// Some records, looked at one by one.
#[derive(Debug, Default)]
pub struct Sample {
    /// Records looked at.
    pub records: u64,
    /// Of those with spans: without a key.
    pub null_keys: u64,
    /// With a key that is not their trace's id.
    pub foreign_keys: u64,
    /// With spans of several traces.
    pub many_traces: u64,
    /// With spans.
    pub with_spans: u64,
    /// By what they are.
    pub encodings: BTreeMap<Contents, u64>,
    /// Who placed those that are keyed by their trace.
    pub placements: Placements,
    /// Traces that were found on two partitions.
    pub two_partitions: u64,
    /// How far the farthest timestamp is ahead of this machine's clock, in milliseconds.
    pub ahead_ms: i64,
    /// True if the broker set the timestamps.
    pub is_append_time: bool,
    /// From the end of the last span of a record to the record's timestamp, in milliseconds.
    pub delays_ms: Vec<i64>,
    /// What could not be read, for example an unknown compression codec.
    pub errors: Vec<String>,
    traces: HashMap<TraceId, Partition>,
    reader: Reader,
}

/// A record as it is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Where it was.
    pub partition: Partition,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
    /// Its time, and who set it.
    pub timestamp: KafkaTimestamp,
}

impl Sample {
    /// Looks at a record; `now` is this machine's clock.
    pub fn look_at(&mut self, record: Seen<'_>, partitions: u32, now: Timestamp) {
        self.records += 1;
        self.is_append_time |= matches!(record.timestamp, KafkaTimestamp::LogAppendTime(_));
        let timestamp = record.timestamp.to_millis();
        if let Some(timestamp) = timestamp {
            self.ahead_ms = self.ahead_ms.max(timestamp.saturating_sub(now.0));
        }
        let (contents, found) = self.reader.read(record.value);
        *self.encodings.entry(contents).or_default() += 1;
        let Some(found) = found else { return };
        let Some(first) = found.spans.first() else { return };
        self.with_spans += 1;
        let trace = first.trace_id;
        let is_alone = found.spans.iter().all(|span| span.trace_id == trace);
        let end = found.spans.iter().map(|span| span.end_unix_nano / 1_000_000).max();
        if let (Some(timestamp), Some(end)) = (timestamp, end) {
            self.delays_ms.push(timestamp.saturating_sub(end.cast_signed()));
        }
        for span in &found.spans {
            let first_seen = *self.traces.entry(span.trace_id).or_insert(record.partition);
            self.two_partitions += u64::from(first_seen != record.partition);
        }
        match record.key {
            None => self.null_keys += 1,
            Some(_) if !is_alone => self.many_traces += 1,
            Some(key) if trace.is_key(key) => {
                self.placements.add(explanation(key, record.partition, partitions.max(1)));
            }
            Some(_) => self.foreign_keys += 1,
        }
        if record.key.is_none() && !is_alone {
            self.many_traces += 1;
        }
    }

    /// The middle one of the delays, in milliseconds.
    pub fn usual_delay_ms(&self) -> Option<i64> {
        let mut delays = self.delays_ms.clone();
        let middle = delays.len() / 2;
        (!delays.is_empty()).then(|| *delays.select_nth_unstable(middle).1)
    }
}
