//! The entries of one trace in the decision log.

use std::collections::BTreeSet;

use memchr::memmem::Finder;
use rdkafka::consumer::BaseConsumer;

use super::{Asked, Entry, Origin, Reader};
use crate::cmd::decisions::entry::Owners;
use crate::cmd::decisions::reader::Step;
use crate::cmd::process::CommandError;
use crate::cmd::topic_reader::{Record, client_config, kafka, no_topic};
use crate::ids::{Partition, TraceId};
use crate::kafka::cluster;
use crate::kafka::partitioner::Family;

/// An ownership marker is no longer than this, and has to be read: it says who the owner is.
const LONGEST_MARKER: usize = 64;

/// All entries that count: those of a former owner only if there are no others.
pub(super) fn search(asked: &Asked) -> Result<Vec<Entry>, CommandError> {
    let partitions = partitions(&asked.log)?;
    // The decision is on the partition of the spans, which is that of the trace id as their key.
    let likely = likely(asked.id, partitions);
    let others = (0..partitions.cast_signed()).map(Partition);
    let others = others.filter(|partition| !likely.contains(partition)).collect();
    for partitions in [likely, others] {
        let mut entries = read(asked, partitions)?;
        if entries.iter().any(|entry| !entry.by_former_owner) {
            entries.retain(|entry| !entry.by_former_owner);
        }
        if !entries.is_empty() {
            return Ok(entries);
        }
    }
    Ok(Vec::new())
}

fn partitions(log: &Origin) -> Result<u32, CommandError> {
    let config = client_config(&log.brokers, &log.properties, "tailsieve-trace");
    let asked = || {
        let consumer: BaseConsumer = config.create()?;
        cluster::partitions(&consumer, &log.topic)
    };
    let partitions =
        cluster::asked_again(asked).map_err(|error| kafka(&log.brokers, &log.topic, &error))?;
    let partitions = partitions.ok_or_else(|| no_topic(&log.topic))?;
    Ok(u32::try_from(partitions).unwrap_or(u32::MAX))
}

/// Where producers put the key of a trace: its id in hexadecimal digits, or its bytes.
fn likely(id: TraceId, partitions: u32) -> BTreeSet<Partition> {
    let digits = id.to_string();
    let keys = [digits.as_bytes(), id.as_bytes().as_slice()];
    let of = |key| Family::ALL.map(|family| family.partition(key, partitions));
    keys.into_iter().flat_map(of).collect()
}

fn read(asked: &Asked, partitions: BTreeSet<Partition>) -> Result<Vec<Entry>, CommandError> {
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let mut reader = Reader::start(&Origin { partitions: Some(partitions), ..asked.log.clone() })?;
    let finder = Finder::new(asked.id.as_bytes());
    let (mut owners, mut entries) = (Owners::default(), Vec::new());
    let may_matter = |record: &Record| {
        let value = record.value.as_deref().unwrap_or_default();
        value.len() <= LONGEST_MARKER || finder.find(value).is_some()
    };
    loop {
        match reader.next(false)? {
            Step::Record(record) if may_matter(&record) => {
                // What others wrote there is not looked for.
                if let Ok((all, _)) = owners.read(asked.group, &record) {
                    entries.extend(all.into_iter().filter(|it| it.record.trace_id == asked.id));
                }
            }
            Step::Record(_) | Step::Nothing => {}
            Step::Ended => return Ok(entries),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_looked_for_where_producers_put_it() {
        let id = TraceId::from_hex(b"0af7651916cd43dd8448eb211c80319c").unwrap();
        let likely = likely(id, 1000);
        let collectors = Family::Fnv1a.partition(b"0af7651916cd43dd8448eb211c80319c", 1000);
        assert!(likely.contains(&collectors) && likely.len() <= 6);
        assert_eq!(super::likely(id, 1).len(), 1);
    }
}
