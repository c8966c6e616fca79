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

/// So many records are passed over rather than asked for anew: they are here already, mostly.
const NEAR: i64 = 100;

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
    for (partition, ranges) in places.all() {
        let there = there.get(&partition).cloned().unwrap_or(0..0);
        let mut left = Vec::with_capacity(ranges.len());
        for range in ranges {
            let of_it = (*range.start()).max(there.start)..=(*range.end()).min(there.end - 1);
            let is_gone = of_it.is_empty() || of_it.start() > range.start();
            fetched.missing += u64::from(is_gone);
            if !of_it.is_empty() {
                // Of a range that is looked through it is not known how many records it should have.
                left.push((of_it, range.start() == range.end()));
            }
        }
        for near in together(&left) {
            let stretch = *near[0].0.start()..near[near.len() - 1].0.end() + 1;
            let stretches = Stretches::from([(partition, stretch)]);
            spans.read(&stretches, budget, &mut |record| {
                let range = near.iter().find(|(range, _)| range.contains(&record.offset.0));
                if let Some((_, is_listed)) = range {
                    fetched.missing += extract.take(record, &mut fetched.parts, *is_listed);
                }
            })?;
        }
    }
    Ok(fetched)
}

/// Records that are read, and whether an entry lists them one by one.
type Wanted = (RangeInclusive<i64>, bool);

/// Those that are read in one go.
fn together(ranges: &[Wanted]) -> impl Iterator<Item = &[Wanted]> {
    ranges.chunk_by(|before, next| next.0.start() - before.0.end() <= NEAR)
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

    /// Returns 1 if the record `is_listed` and has no span of the trace: its offset has been given to
    /// another one since, or it cannot be read.
    fn take(&mut self, record: &Record, parts: &mut Vec<Part>, is_listed: bool) -> u64 {
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
        u64::from(is_listed && parts.len() == before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_read_in_one_go() {
        let ranges = [(1..=1, true), (5..=9, false), (109..=109, true), (210..=210, true)];
        let together: Vec<usize> = together(&ranges).map(<[_]>::len).collect();
        assert_eq!(together, [3, 1]);
    }
}
