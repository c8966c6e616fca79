//! Asking the group to keep a trace after all that it dropped.
//!
//! Owns what is looked at before anybody is asked, and the producer of the requests. Promises that nothing is
//! asked for that was kept, that a policy drops whatever others say, or that Kafka has in part only. Leaves
//! to the owners of the partitions what they make of a request.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::KafkaError;
use tokio::sync::oneshot;

use super::{Entry, Origin, dropped};
use crate::ids::{Offset, Partition, Position, TraceId};
use crate::kafka::decision_log::GroupHash;
use crate::kafka::keep_request::{KEEP, KeepRequest};
use crate::kafka::publish::{DeliveryReports, Failed, Outgoing, Publisher, PublisherSettings};

/// How long it is tried to write a request.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// A request is small.
const QUEUE_BYTES: usize = 1 << 20;

/// What there is to ask for.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// These requests, each for a partition of the topic.
    Ask(Vec<(Partition, KeepRequest)>),
    /// Nothing: the trace was kept, or is kept since.
    Kept {
        /// It is on record that the backend has all of it.
        is_delivered: bool,
    },
    /// Nothing: this policy drops such traces whatever others say.
    Vetoed(Arc<str>),
    /// Nothing: Kafka does not have all of its records any more.
    Incomplete,
}

/// What there is to ask `group` for, of a trace with these entries, at least one; `is_whole` says that Kafka
/// has all of it.
pub fn verdict(group: GroupHash, id: TraceId, entries: &[Entry], is_whole: bool) -> Verdict {
    let partitions: BTreeSet<Partition> = entries.iter().map(|entry| entry.partition).collect();
    let mut requests = Vec::new();
    for partition in partitions {
        let dropped = dropped(entries, partition, Offset(i64::MAX));
        if let Some(policy) = dropped.vetoed_by {
            return Verdict::Vetoed(policy);
        }
        if !dropped.entries.is_empty() {
            // What was kept of it tells what was delivered.
            let here = entries.iter().filter(|entry| entry.partition == partition);
            let earliest = here.map(|entry| entry.offset.0).min().unwrap_or(0);
            let request = KeepRequest { group, trace_id: id, log: Position(earliest) };
            requests.push((partition, request));
        }
    }
    if requests.is_empty() {
        return Verdict::Kept { is_delivered: are_delivered(entries) };
    }
    if is_whole { Verdict::Ask(requests) } else { Verdict::Incomplete }
}

/// True if it is on record of all that was kept that it was delivered.
pub fn are_delivered(entries: &[Entry]) -> bool {
    let kept = |is_delivered: bool| -> BTreeSet<(Partition, Offset)> {
        let of_it = entries.iter().filter(|entry| entry.is_kept());
        let of_it = of_it.filter(|entry| !is_delivered || entry.record.delivered);
        of_it.map(|entry| (entry.partition, entry.record.first)).collect()
    };
    kept(false) == kept(true)
}

/// Asks.
pub struct Asker {
    publisher: Publisher<Reports>,
    topic: String,
}

/// What became of a request: why it is not on the topic, if it is not.
type Written = Result<(), String>;

struct Reports;

impl DeliveryReports for Reports {
    type Ticket = oneshot::Sender<Written>;

    fn settled(&self, ticket: Self::Ticket, result: Result<(Partition, Offset), Failed<'_>>) {
        // Who asked may not wait for it any more.
        let _ = ticket.send(result.map(drop).map_err(|failed| failed.reason()));
    }
}

impl Asker {
    /// Of the members that read this topic. Kafka out of reach is not an error.
    ///
    /// # Errors
    /// When a property is wrong.
    pub fn new(origin: &Origin) -> Result<Self, KafkaError> {
        let settings = PublisherSettings {
            message_timeout: Some(WRITE_TIMEOUT),
            waits_for_acls: false,
            queue_bytes: QUEUE_BYTES,
            ..PublisherSettings::new("tailsieve-keep", &origin.brokers, &origin.properties)
        };
        let publisher = Publisher::start(settings, Reports)?;
        Ok(Self { publisher, topic: origin.topic.clone() })
    }

    /// Writes requests to the topic, and waits until all are there.
    ///
    /// # Errors
    /// Why one is not there. Others may be: asking again does no harm.
    pub async fn ask(&self, requests: &[(Partition, KeepRequest)]) -> Written {
        let mut under_way = Vec::with_capacity(requests.len());
        for (partition, request) in requests {
            let (key, header) = (request.trace_id.to_string(), request.to_string());
            let (settled, report) = oneshot::channel();
            let outgoing = Outgoing {
                topic: &self.topic,
                partition: Some(*partition),
                key: Some(key.as_bytes()),
                value: Some(b""),
                headers: &[(KEEP, header.as_bytes())],
            };
            let taken = self.publisher.publish(&outgoing, settled);
            taken.map_err(|(refusal, _)| refusal.to_string())?;
            under_way.push(report);
        }
        for report in under_way {
            report.await.unwrap_or_else(|_| Err("the producer ended".to_owned()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::decision_log::testing;
    use crate::sampling::decided::{DecisionRecord, Kept, SamplingDecision};

    fn entry(partition: i32, first: i64, kept: Option<bool>) -> Entry {
        let dropped = testing::dropped(1, first, first);
        let record = match kept {
            None => dropped,
            Some(delivered) => {
                let decision = SamplingDecision::Kept(Kept::on_request());
                DecisionRecord { decision, delivered, ..dropped }
            }
        };
        let (partition, offset) = (Partition(partition), Offset(100 + first));
        Entry { partition, offset, marker: None, by_former_owner: false, record, details: None }
    }

    fn of(entries: &[Entry], is_whole: bool) -> Verdict {
        let id = TraceId::from_slice(&[1; 16]).unwrap();
        verdict(GroupHash::from_bits(7), id, entries, is_whole)
    }

    #[test]
    fn each_partition_is_asked_for_what_it_dropped() {
        let entries = [
            entry(1, 5, Some(true)),
            entry(1, 9, None),
            entry(2, 3, Some(true)),
            entry(4, 8, None),
        ];
        let Verdict::Ask(requests) = of(&entries, true) else { panic!("it was dropped") };
        let places: Vec<_> = requests.iter().map(|(at, it)| (at.0, it.log.0)).collect();
        assert_eq!(places, [(1, 105), (4, 108)]);
        assert_eq!(of(&entries, false), Verdict::Incomplete);
    }

    #[test]
    fn what_was_kept_or_vetoed_is_not_asked_for() {
        let kept = |delivered: &[bool]| -> Verdict {
            let entries = delivered.iter().map(|delivered| entry(1, 5, Some(*delivered)));
            of(&entries.collect::<Vec<_>>(), false)
        };
        assert_eq!(kept(&[false]), Verdict::Kept { is_delivered: false });
        assert_eq!(kept(&[false, true]), Verdict::Kept { is_delivered: true });
        let mut vetoed = entry(1, 9, None);
        vetoed.record.dropped_by = Some("no-health-checks".into());
        assert_eq!(of(&[vetoed], true), Verdict::Vetoed("no-health-checks".into()));
    }
}
