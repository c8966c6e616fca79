//! The spans of a trace, out of the records that hold them.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::places::Places;
use super::reader::{Reader, Stretches};
use super::{Budget, RetrievalError};
use crate::ids::{Offset, Partition, Timestamp, TraceId};
use crate::kafka::topic_reader::Record;
use crate::otlp::encoding::Decoder;
use crate::otlp::{SplitRecord, Splitter, value};

/// So many records are passed over rather than asked for anew: they come with the others, mostly. A trace of
/// five records in busy traffic is read in three or four goes then, one of 64 in a few.
const NEAR: i64 = 32;

/// What is left of a trace in its topic.
#[derive(Debug, Default)]
pub struct Fetched {
    /// What its records hold of it, in order.
    pub parts: Vec<Part>,
    /// How many records that an entry lists Kafka does not have any more, or that cannot be read.
    pub missing: u64,
}

/// The spans of the trace in one record.
#[derive(Debug)]
pub struct Part {
    pub partition: Partition,
    pub offset: Offset,
    pub timestamp: Timestamp,
    /// The headers of the record.
    pub headers: Vec<(String, Vec<u8>)>,
    /// A `TracesData` message.
    pub bytes: Vec<u8>,
}

/// Reads the records.
pub(super) fn fetch(
    spans: &Reader,
    id: TraceId,
    places: &Places,
    budget: &mut Budget,
) -> Result<Fetched, RetrievalError> {
    spans.partitions(budget)?;
    let mut fetched = Fetched::default();
    let mut extract = Extract::new(id);
    let partitions: BTreeSet<Partition> = places.all().map(|(partition, _)| partition).collect();
    let there = match partitions.is_empty() {
        true => Stretches::new(),
        false => spans.whole(&partitions, budget)?,
    };
    for (partition, wanted) in places.all() {
        let there = there.get(&partition).cloned().unwrap_or(0..0);
        let mut absent = wanted.listed.clone();
        let mut left = Vec::with_capacity(wanted.ranges.len());
        for range in &wanted.ranges {
            let of_it = (*range.start()).max(there.start)..=(*range.end()).min(there.end - 1);
            let is_cut = of_it.is_empty() || of_it.start() > range.start();
            // How many records of the trace were there nobody knows, unless they are listed.
            fetched.missing += u64::from(is_cut && !wanted.listed.contains(range.start()));
            if !of_it.is_empty() {
                left.push(of_it);
            }
        }
        for near in together(&left) {
            let stretch = *near[0].start()..near[near.len() - 1].end() + 1;
            let stretches = Stretches::from([(partition, stretch)]);
            spans.read(&stretches, budget, &mut |record| {
                let is_wanted = near.iter().any(|range| range.contains(&record.offset.0));
                if is_wanted && extract.take(record, &mut fetched.parts) {
                    absent.remove(&record.offset.0);
                }
            })?;
        }
        fetched.missing += absent.len() as u64;
    }
    Ok(fetched)
}

/// Those that are read in one go.
fn together(ranges: &[RangeInclusive<i64>]) -> impl Iterator<Item = &[RangeInclusive<i64>]> {
    ranges.chunk_by(|before, next| next.start() - before.end() <= NEAR)
}

/// Takes the spans of one trace out of records.
struct Extract {
    id: TraceId,
    decoder: Decoder,
    splitter: Splitter,
}

impl Extract {
    fn new(id: TraceId) -> Self {
        Self { id, decoder: Decoder::default(), splitter: Splitter::new(usize::MAX) }
    }

    /// Returns false if the record has no span of the trace: its offset has been given to another one
    /// since, or it cannot be read.
    fn take(&mut self, record: &Record, parts: &mut Vec<Part>) -> bool {
        let bytes = record.value.as_deref().unwrap_or_default();
        let split = value::split(&mut self.decoder, &mut self.splitter, bytes);
        let before = parts.len();
        let mut part = |bytes: Vec<u8>| {
            let Record { partition, offset, timestamp, ref headers, .. } = *record;
            parts.push(Part { partition, offset, timestamp, headers: headers.clone(), bytes });
        };
        match split {
            Ok((protobuf, SplitRecord::Whole(id))) if id == self.id => part(protobuf.into_owned()),
            Ok((_, SplitRecord::Parts(all))) => {
                let of_it = all.into_iter().filter(|it| it.trace == Some(self.id));
                of_it.for_each(|it| part(it.bytes));
            }
            _ => {}
        }
        parts.len() > before
    }
}

#[cfg(test)]
mod tests;
