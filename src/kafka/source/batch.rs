//! Records on their way to a worker: those of one partition, where librdkafka has them, or copied.
//!
//! Buffers for them are short-lived, so they are reused.

use std::sync::{Arc, Mutex};

use tokio::sync::OwnedSemaphorePermit;

use super::fetched::{Fetched, HeldMessages};
use crate::ids::{Generation, Offset, Partition, Position, Timestamp};
use crate::sync::lock;

/// How many buffers are kept while nobody needs them, and how large they may be.
const MOST_SPARE: usize = 16;
const LARGEST_SPARE: usize = 1 << 20;

/// Buffers of batches that were dropped.
#[derive(Clone, Debug, Default)]
pub(super) struct SpareBuffers(Arc<Mutex<Vec<Buffers>>>);

#[derive(Debug, Default)]
struct Buffers {
    records: Vec<RecordRef>,
    /// The messages of those that were not copied.
    messages: HeldMessages,
    /// Headers, and what was copied.
    bytes: Vec<u8>,
}

impl SpareBuffers {
    fn take(&self) -> Buffers {
        lock(&self.0).pop().unwrap_or_default()
    }

    fn put_back(&self, mut buffers: Buffers) {
        // What librdkafka holds is let go at once, also if the buffers are not kept.
        buffers.messages.clear();
        if buffers.bytes.capacity() > LARGEST_SPARE {
            return;
        }
        buffers.bytes.clear();
        buffers.records.clear();
        let mut spare = lock(&self.0);
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
    /// Bytes of keys, values and headers.
    size: usize,
    /// Room in the inbox, given back when the batch is dropped.
    pub(super) room: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
struct RecordRef {
    offset: Offset,
    timestamp: Timestamp,
    attempts: u32,
    /// Where its headers are among the bytes, and how long they are.
    start: usize,
    headers: u32,
    /// How long the header behind them is that asks for a trace, if there is one.
    keep: Option<u32>,
    content: Content,
}

/// Where key and value of a record are.
#[derive(Debug)]
enum Content {
    /// The message at this place has them.
    Held(usize),
    /// Behind that, of these lengths; `None` for a null.
    Copied { key: Option<u32>, value: Option<u32> },
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
    /// The value of the header that asks for a dropped trace, see
    /// [`keep_request`](crate::kafka::keep_request). Few records have it.
    pub keep: Option<&'a [u8]>,
}

/// What is known of a record beside its content.
#[derive(Clone, Copy, Debug)]
pub(super) struct About<'a> {
    pub(super) offset: Offset,
    /// Clamped to what the wall clock allows.
    pub(super) timestamp: Timestamp,
    pub(super) attempts: u32,
    pub(super) headers: &'a [u8],
    /// See [`Record::keep`].
    pub(super) keep: Option<&'a [u8]>,
}

impl RecordBatch {
    pub(super) fn new(partition: Partition, generation: Generation, home: &SpareBuffers) -> Self {
        let buffers = home.take();
        Self { partition, generation, buffers, home: home.clone(), size: 0, room: None }
    }

    /// Adds a record, and holds its message.
    pub(super) fn hold(&mut self, about: About<'_>, fetched: Fetched<'_>) {
        let bytes = fetched.bytes();
        let place = self.buffers.messages.push(fetched);
        self.add(about, Content::Held(place), bytes);
    }

    /// Adds a copy of a record.
    pub(super) fn push(&mut self, record: Record<'_>) {
        let Record { offset, timestamp, key, value, attempts, headers, keep } = record;
        let content = Content::Copied { key: key.map(length), value: value.map(length) };
        let copied = [key.unwrap_or_default(), value.unwrap_or_default()];
        let about = About { offset, timestamp, attempts, headers, keep };
        self.add(about, content, copied[0].len() + copied[1].len());
        copied.iter().for_each(|part| self.buffers.bytes.extend_from_slice(part));
    }

    fn add(&mut self, about: About<'_>, content: Content, size: usize) {
        let About { offset, timestamp, attempts, headers, keep } = about;
        let Buffers { records, bytes, .. } = &mut self.buffers;
        let (start, headers_length) = (bytes.len(), length(headers));
        bytes.extend_from_slice(headers);
        bytes.extend_from_slice(keep.unwrap_or_default());
        records.push(RecordRef {
            offset,
            timestamp,
            attempts,
            start,
            headers: headers_length,
            keep: keep.map(length),
            content,
        });
        self.size += size + headers.len() + keep.map_or(0, <[u8]>::len);
    }

    /// The same with all records copied: for one that has to wait for long, since librdkafka's buffers
    /// are much larger than the records of one partition in them.
    pub fn copied(mut self) -> Self {
        let mut copy = Self::new(self.partition, self.generation, &self.home);
        self.records().for_each(|record| copy.push(record));
        copy.room = self.room.take();
        copy
    }

    /// The position after the last record. A batch that is handed over is not empty.
    pub(super) fn next_offset(&self) -> Position {
        let last = self.buffers.records.last().expect("a batch is made for a record");
        last.offset.next()
    }

    /// Bytes of keys, values and headers.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The records.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let Buffers { records, messages, bytes } = &self.buffers;
        records.iter().map(move |record| {
            let (headers, behind) = bytes[record.start..].split_at(record.headers as usize);
            let (keep_bytes, behind) = behind.split_at(record.keep.unwrap_or(0) as usize);
            let keep = record.keep.map(|_| keep_bytes);
            let (key, value) = match record.content {
                Content::Held(place) => messages.get(place),
                Content::Copied { key, value } => {
                    let (key_bytes, behind) = behind.split_at(key.unwrap_or(0) as usize);
                    (key.map(|_| key_bytes), value.map(|length| &behind[..length as usize]))
                }
            };
            let RecordRef { offset, timestamp, attempts, .. } = *record;
            Record { offset, timestamp, key, value, attempts, headers, keep }
        })
    }
}

/// Records are below 2 GiB.
fn length(part: &[u8]) -> u32 {
    u32::try_from(part.len()).expect("records are below 2 GiB")
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
            let (attempts, headers, keep) =
                (0, b"h".as_slice(), (key.is_none()).then_some(&b"k"[..]));
            batch.push(Record { offset, timestamp, key, value, attempts, headers, keep });
        }
        let read: Vec<_> = batch.records().map(|record| (record.key, record.value)).collect();
        assert_eq!(read, parts);
        assert!(batch.records().all(|record| record.headers == b"h"));
        let keep: Vec<_> = batch.records().map(|record| record.keep).collect();
        assert_eq!(keep, [Some(&b"k"[..]), None, None]);
        assert_eq!(batch.size(), 6);
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
            keep: None,
        });
        let place = batch.buffers.bytes.as_ptr();
        drop(batch);
        let batch = RecordBatch::new(Partition(1), Generation(1), &spare);
        assert_eq!(batch.buffers.bytes.as_ptr(), place);
        assert_eq!(batch.records().count(), 0);
    }
}
