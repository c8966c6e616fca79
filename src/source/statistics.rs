//! What librdkafka's statistics tell: which partitions were read to their end, and the lag.
//!
//! A partition's end is known from its last fetch response. A report of it is evidence only if
//! the leader has answered lately, if nothing waits in the client's queue, where what was fetched
//! is not read yet, and if the report before it said the same: what was on its way into the queue
//! at the first one was in it, and taken out of it, by the second. Reports do not come in the
//! order of the records around them. See librdkafka's STATISTICS.md.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::ids::{Partition, Position};

/// A leader that was silent for longer tells nothing: every fetch is answered within
/// `fetch.wait.max.ms`.
const SILENCE: Duration = Duration::from_secs(2);

/// The part of a report that is read.
#[derive(Debug, Deserialize)]
struct Report<'a> {
    /// Microseconds since the client was made.
    age: i64,
    #[serde(borrow, default)]
    brokers: HashMap<&'a str, Broker<'a>>,
    #[serde(borrow, default)]
    topics: HashMap<&'a str, Topic<'a>>,
}

#[derive(Debug, Deserialize)]
struct Broker<'a> {
    nodeid: i32,
    state: &'a str,
    /// Microseconds since something was received; -1 if nothing ever was.
    rxidle: i64,
}

#[derive(Debug, Deserialize)]
struct Topic<'a> {
    #[serde(borrow, default)]
    partitions: HashMap<&'a str, PartitionReport<'a>>,
}

#[derive(Debug, Deserialize)]
struct PartitionReport<'a> {
    partition: i32,
    leader: i32,
    fetch_state: &'a str,
    next_offset: i64,
    hi_offset: i64,
    ls_offset: i64,
    committed_offset: i64,
    /// Messages in the queue of fetched ones: that of the whole client, since the queues of
    /// partitions are forwarded to it.
    fetchq_cnt: u64,
    fetchq_size: u64,
}

/// What was learned from a report.
#[derive(Debug, Default)]
pub(super) struct Learned {
    /// True if some broker is connected.
    pub(super) connected: bool,
    /// Partitions that were at their end in this report and the one before.
    pub(super) at_end: Vec<(Partition, Position)>,
    /// How long ago that was true at the latest.
    pub(super) age: Duration,
    /// The end of each partition that has been fetched from, and its committed position if
    /// one is known.
    pub(super) ends: Vec<(Partition, Position, Option<Position>)>,
    /// Bytes fetched ahead.
    pub(super) queue_bytes: u64,
}

/// Reads the reports of one client.
#[derive(Debug)]
pub(super) struct Statistics {
    client_made: Instant,
    at_end_before: HashMap<Partition, Position>,
}

impl Statistics {
    pub(super) fn new(client_made: Instant) -> Self {
        Self { client_made, at_end_before: HashMap::new() }
    }

    /// What was reported so far is no evidence any more: positions were changed from outside.
    pub(super) fn forget(&mut self) {
        self.at_end_before.clear();
    }

    /// Reads a report about `topic`; `None` if it cannot be understood.
    pub(super) fn read(&mut self, topic: &str, json: &[u8], now: Instant) -> Option<Learned> {
        let report: Report<'_> = serde_json::from_slice(json).ok()?;
        // The report may have waited in the queue for as long as nobody polled.
        let made_after = Duration::from_micros(u64::try_from(report.age).unwrap_or(0));
        let age = (now - self.client_made).saturating_sub(made_after);
        let mut learned = Learned { age: age + SILENCE, ..Learned::default() };
        learned.connected =
            report.brokers.values().any(|broker| broker.nodeid >= 0 && broker.is_up());
        let answering: HashMap<i32, bool> =
            report.brokers.values().map(|broker| (broker.nodeid, broker.answers())).collect();
        let mut at_end = HashMap::new();
        let partitions = report.topics.get(topic).map(|topic| &topic.partitions);
        for partition in partitions.into_iter().flat_map(HashMap::values) {
            if partition.partition < 0 {
                continue;
            }
            let id = Partition(partition.partition);
            learned.queue_bytes = learned.queue_bytes.max(partition.fetchq_size);
            let Some(end) = partition.end() else { continue };
            let committed = Some(Position(partition.committed_offset)).filter(|p| p.0 >= 0);
            learned.ends.push((id, end, committed));
            let leader_answers = answering.get(&partition.leader).copied().unwrap_or(false);
            if partition.is_read_to(end) && leader_answers {
                at_end.insert(id, end);
            }
        }
        let stayed = |(id, end): (&Partition, &Position)| {
            (self.at_end_before.get(id) == Some(end)).then_some((*id, *end))
        };
        learned.at_end = at_end.iter().filter_map(stayed).collect();
        self.at_end_before = at_end;
        Some(learned)
    }
}

impl Broker<'_> {
    fn is_up(&self) -> bool {
        self.state == "UP"
    }

    fn answers(&self) -> bool {
        self.is_up() && (0..SILENCE.as_micros() as i64).contains(&self.rxidle)
    }
}

impl PartitionReport<'_> {
    /// The end of what may be read: with `read_committed` the last stable offset.
    fn end(&self) -> Option<Position> {
        let end = if self.ls_offset >= 0 { self.ls_offset } else { self.hi_offset };
        (end >= 0).then_some(Position(end))
    }

    fn is_read_to(&self, end: Position) -> bool {
        self.fetch_state == "active" && self.next_offset >= end.0 && self.fetchq_cnt == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(age: u64, rxidle: i64, next: i64, end: i64) -> String {
        report_with_queue(age, rxidle, next, end, 0)
    }

    fn report_with_queue(age: u64, rxidle: i64, next: i64, end: i64, queued: u64) -> String {
        format!(
            r#"{{"age":{age},"brokers":{{"b:1/1":{{"nodeid":1,"state":"UP","rxidle":{rxidle}}}}},
            "topics":{{"t":{{"partitions":{{"0":{{"partition":0,"leader":1,"fetch_state":"active",
            "next_offset":{next},"hi_offset":{end},"ls_offset":{end},"committed_offset":-1001,
            "fetchq_cnt":{queued},"fetchq_size":7}}}}}}}}}}"#
        )
    }

    fn at_end(reports: &[String]) -> usize {
        let made = Instant::now();
        let mut statistics = Statistics::new(made);
        let read = |json: &String| statistics.read("t", json.as_bytes(), made).unwrap();
        reports.iter().map(read).last().unwrap().at_end.len()
    }

    #[test]
    fn one_report_is_not_enough_two_are() {
        assert_eq!(at_end(&[report(0, 5, 9, 9)]), 0);
        assert_eq!(at_end(&[report(0, 5, 9, 9), report(0, 5, 9, 9)]), 1);
        assert_eq!(at_end(&[report(0, 5, 9, 9), report(0, 5, 10, 10)]), 0);
        assert_eq!(at_end(&[report(0, 5, 9, 9), report(0, 5, 9, 10)]), 0);
    }

    #[test]
    fn what_is_fetched_and_not_read_yet_is_not_read() {
        let behind = report_with_queue(0, 5, 9, 9, 3);
        assert_eq!(at_end(&[behind.clone(), behind.clone(), behind.clone()]), 0);
        assert_eq!(at_end(&[behind, report(0, 5, 9, 9)]), 0);
    }

    #[test]
    fn a_change_of_positions_makes_reports_start_over() {
        let made = Instant::now();
        let mut statistics = Statistics::new(made);
        let mut read = |forget: bool| {
            if forget {
                statistics.forget();
            }
            statistics.read("t", report(0, 5, 9, 9).as_bytes(), made).unwrap().at_end.len()
        };
        assert_eq!([false, false, true, false].map(&mut read), [0, 1, 0, 1]);
    }

    #[test]
    fn a_silent_leader_tells_nothing() {
        for rxidle in [-1, 2_000_000] {
            assert_eq!(at_end(&[report(0, 5, 9, 9), report(0, rxidle, 9, 9)]), 0);
        }
    }

    #[test]
    fn a_report_that_waited_is_as_old_as_that() {
        let made = Instant::now();
        let mut statistics = Statistics::new(made);
        let now = made + Duration::from_secs(60);
        let learned = statistics.read("t", report(10_000_000, 5, 1, 1).as_bytes(), now).unwrap();
        assert_eq!(learned.age, Duration::from_secs(50) + SILENCE);
        assert!(learned.connected);
        assert_eq!(learned.ends, [(Partition(0), Position(1), None)]);
    }
}
