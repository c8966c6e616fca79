//! Records on their way to a worker: copied out of librdkafka's buffers once, one buffer a batch.
//!
//! The buffers are large and short-lived. An allocator would take fresh pages from the kernel for
//! each, so they are reused.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedSemaphorePermit;

use crate::ids::{Generation, Offset, Partition, Position, Timestamp};

/// How many buffers are kept while nobody needs them, and how large they may be.
const MOST_SPARE: usize = 16;
const LARGEST_SPARE: usize = 1 << 20;

/// Buffers of batches that were dropped.
#[derive(Clone, Debug, Default)]
pub(super) struct SpareBuffers(Arc<Mutex<Vec<Buffers>>>);

#[derive(Debug, Default)]
struct Buffers {
    bytes: Vec<u8>,
    records: Vec<RecordRef>,
}

impl SpareBuffers {
    fn take(&self) -> Buffers {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn put_back(&self, mut buffers: Buffers) {
        if buffers.bytes.capacity() > LARGEST_SPARE {
            return;
        }
        buffers.bytes.clear();
        buffers.records.clear();
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < MOST_SPARE {
            spare.push(buffers);
        }
    }
}

/// Records of one partition, in offset order.
#[derive(Debug)]
pub struct RecordBatch {
    /// Where they come from.
    pub partition: Partition,
    /// The acquisition under which they were read.
    pub generation: Generation,
    buffers: Buffers,
    home: SpareBuffers,
    /// Room in the inbox, given back when the batch is dropped.
    pub(super) room: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
struct RecordRef {
    offset: Offset,
    timestamp: Timestamp,
    /// Length of the key, which comes before the value; `None` for a null key.
    key: Option<u32>,
    /// Length of the value; `None` for a null value.
    value: Option<u32>,
    attempts: u32,
    /// Length of the headers, which come between key and value.
    headers: u32,
    start: usize,
}

/// One record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp, clamped to what the wall clock allows.
    pub timestamp: Timestamp,
    /// Its key, if it has one.
    pub key: Option<&'a [u8]>,
    /// Its value, if it has one.
    pub value: Option<&'a [u8]>,
    /// How often it was a dead letter before: `replay-dead-letters` writes that into a header.
    pub attempts: u32,
    /// Its forwarded headers, see [`record_headers`](crate::kafka::record_headers).
    pub headers: &'a [u8],
}

impl RecordBatch {
    pub(super) fn new(partition: Partition, generation: Generation, home: &SpareBuffers) -> Self {
        let buffers = home.take();
        Self { partition, generation, buffers, home: home.clone(), room: None }
    }

    pub(super) fn push(&mut self, record: Record<'_>) {
        let length = |part: &[u8]| u32::try_from(part.len()).expect("records are below 2 GiB");
        let Buffers { bytes, records } = &mut self.buffers;
        let start = bytes.len();
        bytes.extend_from_slice(record.key.unwrap_or_default());
        bytes.extend_from_slice(record.headers);
        bytes.extend_from_slice(record.value.unwrap_or_default());
        records.push(RecordRef {
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.map(length),
            value: record.value.map(length),
            attempts: record.attempts,
            headers: length(record.headers),
            start,
        });
    }

    /// The position after the last record. A batch that is handed over is not empty.
    pub(super) fn next_offset(&self) -> Position {
        let last = self.buffers.records.last().expect("a batch is made for a record");
        last.offset.next()
    }

    /// Bytes of keys, values and headers.
    pub fn size(&self) -> usize {
        self.buffers.bytes.len()
    }

    /// The records.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let Buffers { bytes, records } = &self.buffers;
        records.iter().map(move |record| {
            let headers_start = record.start + record.key.unwrap_or(0) as usize;
            let value_start = headers_start + record.headers as usize;
            let value = |length: u32| &bytes[value_start..value_start + length as usize];
            Record {
                offset: record.offset,
                timestamp: record.timestamp,
                key: record.key.map(|_| &bytes[record.start..headers_start]),
                value: record.value.map(value),
                attempts: record.attempts,
                headers: &bytes[headers_start..value_start],
            }
        })
    }
}

#[cfg(test)]
impl RecordBatch {
    /// A batch of one record, as a consumer hands it over.
    pub(crate) fn of_one(
        partition: Partition,
        generation: Generation,
        record: Record<'_>,
        room: OwnedSemaphorePermit,
    ) -> Self {
        let mut batch = Self::new(partition, generation, &SpareBuffers::default());
        batch.push(record);
        batch.room = Some(room);
        batch
    }
}

impl Drop for RecordBatch {
    fn drop(&mut self) {
        self.home.put_back(std::mem::take(&mut self.buffers));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_empty_are_told_apart() {
        let mut batch = RecordBatch::new(Partition(0), Generation(1), &SpareBuffers::default());
        let parts =
            [(None, Some(b"v".as_slice())), (Some(b"k".as_slice()), None), (Some(b""), Some(b""))];
        for (offset, (key, value)) in (0..).map(Offset).zip(parts) {
            let timestamp = Timestamp(0);
            batch.push(Record { offset, timestamp, key, value, attempts: 0, headers: b"h" });
        }
        let read: Vec<_> = batch.records().map(|record| (record.key, record.value)).collect();
        assert_eq!(read, parts);
        assert!(batch.records().all(|record| record.headers == b"h"));
        assert_eq!(batch.size(), 5);
    }

    #[test]
    fn a_buffer_is_used_again_and_is_empty() {
        let spare = SpareBuffers::default();
        let mut batch = RecordBatch::new(Partition(0), Generation(1), &spare);
        batch.push(Record {
            offset: Offset(0),
            timestamp: Timestamp(0),
            key: None,
            value: Some(b"v"),
            attempts: 0,
            headers: b"",
        });
        let place = batch.buffers.bytes.as_ptr();
        drop(batch);
        let batch = RecordBatch::new(Partition(1), Generation(1), &spare);
        assert_eq!(batch.buffers.bytes.as_ptr(), place);
        assert_eq!(batch.records().count(), 0);
    }
}
