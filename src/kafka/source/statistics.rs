//! librdkafka's statistics: which partitions were read to their end, and the lag.
//!
//! The end of a partition is known from its last fetch response. A report counts only if the leader
//! has answered lately and the report before said the same. Then the offset of the last record tells
//! whether it was read. If the log ends in something that is no record (a transaction marker), the
//! client's queue tells: all that was fetched up to the end was in the queue at the first report, and
//! was read by the second. Reports and records have no common order. See librdkafka's STATISTICS.md.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::ids::{Partition, Position};

/// What is reported of a leader that was silent for longer does not count: every fetch is answered
/// within `fetch.wait.max.ms`.
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

/// What a report says about the client and its partitions.
#[derive(Debug, Default)]
pub(super) struct ClientState {
    /// True if some broker is connected.
    pub(super) connected: bool,
    /// Partitions that were fetched to their end in this report and the one before.
    pub(super) at_end: Vec<(Partition, Position)>,
    /// Whether as many records were read since the one before as waited then.
    pub(super) is_drained: bool,
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
    /// Reports that were made before this do not count.
    counts_from: Instant,
    before: Before,
}

/// What the report before said.
#[derive(Debug, Default)]
struct Before {
    /// The partitions that were fetched to their end.
    at_end: HashMap<Partition, Position>,
    /// How many records will have been read when none is left of what waited then.
    read_by: u64,
}

impl Statistics {
    pub(super) fn new(client_made: Instant) -> Self {
        Self { client_made, counts_from: client_made, before: Before::default() }
    }

    /// Nothing that was reported up to `now` counts any more, because positions were changed from
    /// outside; nor do reports that are made by now and not read yet.
    pub(super) fn forget(&mut self, now: Instant) {
        self.before.at_end.clear();
        self.counts_from = now;
    }

    /// Reads a report about `topic`, when `polled` records have been read from the client; `None` if
    /// it cannot be understood.
    pub(super) fn read(
        &mut self,
        topic: &str,
        json: &[u8],
        now: Instant,
        polled: u64,
    ) -> Option<ClientState> {
        let report: Report<'_> = serde_json::from_slice(json).ok()?;
        // The report may have waited in the queue for as long as nobody polled.
        let made_after = Duration::from_micros(u64::try_from(report.age).unwrap_or(0));
        let age = (now - self.client_made).saturating_sub(made_after);
        let counts = self.client_made + made_after >= self.counts_from;
        let mut state = ClientState { age: age + SILENCE, ..ClientState::default() };
        state.connected =
            report.brokers.values().any(|broker| broker.nodeid >= 0 && broker.is_up());
        let answering: HashMap<i32, bool> =
            report.brokers.values().map(|broker| (broker.nodeid, broker.answers())).collect();
        let mut at_end = HashMap::new();
        let mut queued = 0;
        let partitions = report.topics.get(topic).map(|topic| &topic.partitions);
        for partition in partitions.into_iter().flat_map(HashMap::values) {
            if partition.partition < 0 {
                continue;
            }
            let id = Partition(partition.partition);
            state.queue_bytes = state.queue_bytes.max(partition.fetchq_size);
            queued = queued.max(partition.fetchq_cnt);
            let Some(end) = partition.end() else { continue };
            let committed = Some(Position(partition.committed_offset)).filter(|p| p.0 >= 0);
            state.ends.push((id, end, committed));
            let leader_answers = answering.get(&partition.leader).copied().unwrap_or(false);
            if counts && partition.is_fetched_to(end) && leader_answers {
                at_end.insert(id, end);
            }
        }
        let stayed = |(id, end): (&Partition, &Position)| {
            (self.before.at_end.get(id) == Some(end)).then_some((*id, *end))
        };
        state.at_end = at_end.iter().filter_map(stayed).collect();
        state.is_drained = polled >= self.before.read_by;
        self.before = Before { at_end, read_by: polled.saturating_add(queued) };
        Some(state)
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

    fn is_fetched_to(&self, end: Position) -> bool {
        self.fetch_state == "active" && self.next_offset >= end.0
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

    /// How many partitions were read to their end, whatever it holds, with the records polled before
    /// each report.
    fn at_end_polled(reports: &[(String, u64)]) -> usize {
        let made = Instant::now();
        let mut statistics = Statistics::new(made);
        let read = |(json, polled): &(String, u64)| {
            statistics.read("t", json.as_bytes(), made, *polled).unwrap()
        };
        let state = reports.iter().map(read).last().unwrap();
        if state.is_drained { state.at_end.len() } else { 0 }
    }

    fn at_end(reports: &[String]) -> usize {
        let reports: Vec<_> = reports.iter().map(|report| (report.clone(), 0)).collect();
        at_end_polled(&reports)
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
    fn a_queue_that_is_never_empty_hides_no_end_once_what_was_in_it_is_read() {
        // Other partitions of the client have a backlog.
        let busy = report_with_queue(0, 5, 9, 9, 300);
        assert_eq!(at_end_polled(&[(busy.clone(), 50), (busy.clone(), 349)]), 0);
        assert_eq!(at_end_polled(&[(busy.clone(), 50), (busy, 350)]), 1);
    }

    #[test]
    fn a_change_of_positions_makes_reports_start_over() {
        let made = Instant::now();
        let mut statistics = Statistics::new(made);
        let mut micros = 0;
        let mut read = |forget: bool| {
            if forget {
                statistics.forget(made + Duration::from_micros(micros));
            }
            micros += 1;
            let report = report(micros, 5, 9, 9);
            statistics.read("t", report.as_bytes(), made, 0).unwrap().at_end.len()
        };
        assert_eq!([false, false, true, false].map(&mut read), [0, 1, 0, 1]);
    }

    #[test]
    fn reports_that_were_made_before_positions_changed_tell_nothing_though_read_after() {
        let made = Instant::now();
        let mut statistics = Statistics::new(made);
        statistics.forget(made + Duration::from_micros(50));
        let ages = [48, 49, 51, 52];
        let read = ages.map(|age| {
            let report = report(age, 5, 9, 9);
            statistics.read("t", report.as_bytes(), made, 0).unwrap().at_end.len()
        });
        assert_eq!(read, [0, 0, 0, 1]);
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
        let report = report(10_000_000, 5, 1, 1);
        let state = statistics.read("t", report.as_bytes(), now, 0).unwrap();
        assert_eq!(state.age, Duration::from_secs(50) + SILENCE);
        assert!(state.connected);
        assert_eq!(state.ends, [(Partition(0), Position(1), None)]);
    }
}
