//! Records on their way to a worker: copied out of librdkafka's buffers once, one buffer a batch.

use tokio::sync::OwnedSemaphorePermit;

use crate::ids::{Generation, Offset, Partition, Position, Timestamp};

/// Records of one partition, in offset order.
#[derive(Debug)]
pub struct RecordBatch {
    /// Where they come from.
    pub partition: Partition,
    /// The acquisition under which they were read.
    pub generation: Generation,
    bytes: Vec<u8>,
    records: Vec<RecordRef>,
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
}

impl RecordBatch {
    pub(super) fn new(partition: Partition, generation: Generation) -> Self {
        Self { partition, generation, bytes: Vec::new(), records: Vec::new(), room: None }
    }

    pub(super) fn push(&mut self, record: Record<'_>) {
        let length = |part: &[u8]| u32::try_from(part.len()).expect("records are below 2 GiB");
        let start = self.bytes.len();
        self.bytes.extend_from_slice(record.key.unwrap_or_default());
        self.bytes.extend_from_slice(record.value.unwrap_or_default());
        self.records.push(RecordRef {
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.map(length),
            value: record.value.map(length),
            start,
        });
    }

    /// The offset behind the last record. A batch that is handed over is not empty.
    pub(super) fn next_offset(&self) -> Position {
        let last = self.records.last().expect("a batch is made for a record");
        last.offset.next()
    }

    /// Bytes of keys and values.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The records.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.records.iter().map(|record| {
            let value_start = record.start + record.key.unwrap_or(0) as usize;
            let value = |length: u32| &self.bytes[value_start..value_start + length as usize];
            Record {
                offset: record.offset,
                timestamp: record.timestamp,
                key: record.key.map(|_| &self.bytes[record.start..value_start]),
                value: record.value.map(value),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_empty_are_told_apart() {
        let mut batch = RecordBatch::new(Partition(0), Generation(1));
        let parts =
            [(None, Some(b"v".as_slice())), (Some(b"k".as_slice()), None), (Some(b""), Some(b""))];
        for (offset, (key, value)) in (0..).map(Offset).zip(parts) {
            batch.push(Record { offset, timestamp: Timestamp(0), key, value });
        }
        let read: Vec<_> = batch.records().map(|record| (record.key, record.value)).collect();
        assert_eq!(read, parts);
        assert_eq!(batch.size(), 2);
    }
}
