//! One partition: its records in, what both sides say of its traces out.
//!
//! Knows no Kafka, and reads no clock: the partition's time is that of its records.

use std::collections::HashSet;
use std::sync::Arc;

use super::join::{Join, Scope};
use super::on_record::OnRecord;
use super::panel::Question;
use super::routing::{RoutingCounts, Seen};
use super::side::Side;
use super::tally::Tally;
use crate::ids::{Offset, Timestamp};
use crate::otlp::encoding::Decoder;
use crate::otlp::{Scan, scan, value};
use crate::sampling::sampler::{Policies, ScannedRecord};

/// At the bound, this share of the open traces is decided early.
const RELIEF: f64 = 0.1;

/// A partition that is being read.
#[derive(Debug)]
pub struct Lane {
    sides: Vec<Side>,
    /// The number of its scan, for each side: those who look for the same share one.
    scan_of: Vec<usize>,
    scans: Vec<(Arc<Policies>, Box<Scan>)>,
    join: Join,
    on_record: Option<OnRecord>,
    max_bytes: u64,
    decoder: Decoder,
    clock: Timestamp,
    read: ReadCounts,
    seen: Seen,
}

/// What was read of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadCounts {
    /// Records with spans, and others.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Records that cannot be read.
    pub unreadable: u64,
    /// How they are keyed.
    #[serde(flatten)]
    pub routing: RoutingCounts,
    /// Traces that were decided early, for want of memory.
    pub relieved: u64,
    /// Records and entries of the decision log that are not understood.
    pub log_not_understood: u64,
    /// Records of the decision log that other groups wrote.
    pub log_of_others: u64,
}

impl ReadCounts {
    /// Adds what was read elsewhere.
    pub fn add(&mut self, more: &Self) {
        self.records += more.records;
        self.bytes += more.bytes;
        self.unreadable += more.unreadable;
        self.routing.add(&more.routing);
        self.relieved += more.relieved;
        self.log_not_understood += more.log_not_understood;
        self.log_of_others += more.log_of_others;
    }
}

impl Lane {
    /// A partition of which nothing was read.
    pub fn new(question: &Question, scope: Scope) -> Self {
        let Question { on_record, panels, tallies, topic_size, max_bytes } = question;
        let sides: Vec<Side> = panels.iter().map(|panel| Side::new(panel, *topic_size)).collect();
        let join = Join::new(scope, tallies.iter().cloned());
        let (mut scans, mut scan_of) = (Vec::<(Arc<Policies>, Box<Scan>)>::new(), Vec::new());
        for side in &sides {
            let is_same = |(it, _): &(Arc<Policies>, _)| it.keys == side.policies().keys;
            scan_of.push(scans.iter().position(is_same).unwrap_or_else(|| {
                scans.push((Arc::clone(side.policies()), Box::default()));
                scans.len() - 1
            }));
        }
        Self {
            sides,
            scan_of,
            scans,
            join,
            on_record: on_record.map(OnRecord::new),
            max_bytes: *max_bytes,
            decoder: Decoder::default(),
            clock: Timestamp(i64::MIN),
            read: ReadCounts::default(),
            seen: Seen::default(),
        }
    }

    /// Takes in the next record of the topic. Returns whether it can be read.
    pub fn take_in(&mut self, offset: Offset, timestamp: Timestamp, value: Option<&[u8]>) -> bool {
        self.advance_clock(timestamp);
        self.read.records += 1;
        let value = value.unwrap_or_default();
        self.read.bytes += value.len() as u64;
        let Self { sides, scan_of, scans, join, decoder, .. } = self;
        let Some((first, others)) = scans.split_first_mut() else { return false };
        let read = value::read(decoder, &first.0.keys, &mut first.1, value);
        let Ok(bytes) = read else {
            self.read.unreadable += 1;
            return false;
        };
        for (policies, found) in others {
            let scanned = scan(&bytes, &policies.keys, found);
            debug_assert_eq!(scanned, Ok(()), "what was scanned once can be scanned again");
        }
        for (side, number) in sides.iter_mut().zip(scan_of) {
            let found = &scans[*number].1;
            let record = ScannedRecord { offset, forwarded: &[], bytes: &bytes, found };
            side.take_in(&record, join);
        }
        self.relieve();
        true
    }

    /// Takes in the next record of the topic, with its key.
    pub fn take_in_keyed(
        &mut self,
        offset: Offset,
        timestamp: Timestamp,
        (key, value): (Option<&[u8]>, Option<&[u8]>),
    ) {
        let is_read = self.take_in(offset, timestamp, value);
        let found = self.scans.first().filter(|_| is_read).map(|(_, found)| &found.spans);
        self.seen.take_in(key, found.into_iter().flatten().map(|span| span.trace_id));
    }

    /// What was seen of keys and traces.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Takes in the next record of a capture. Without a time of its own it has that of the latest end of a span
    /// in it, as for `decide`.
    pub fn take_in_captured(
        &mut self,
        offset: Offset,
        timestamp: Option<Timestamp>,
        record: &[u8],
    ) {
        let timestamp = timestamp.or_else(|| {
            let (policies, found) = self.scans.first_mut()?;
            value::read(&mut self.decoder, &policies.keys, found, record).ok()?;
            let ends = found.spans.iter().map(|span| span.end_unix_nano);
            Some(Timestamp((ends.max().unwrap_or(0) / 1_000_000) as i64))
        });
        match timestamp {
            Some(timestamp) => {
                self.take_in(offset, timestamp, Some(record));
            }
            None => self.unreadable(),
        }
    }

    /// A record cannot be read.
    pub fn unreadable(&mut self) {
        self.read.unreadable += 1;
    }

    /// Takes in the next record of the decision log.
    pub fn take_in_decisions(&mut self, value: Option<&[u8]>) {
        let Self { on_record, join, clock, .. } = self;
        if let Some(on_record) = on_record {
            on_record.take_in(value, *clock, join);
        }
    }

    /// The partition's time is `now`: decides what is due.
    pub fn advance_clock(&mut self, now: Timestamp) {
        self.clock = self.clock.max(now);
        self.sides.iter_mut().for_each(|side| side.advance_clock(self.clock, &mut self.join));
        self.join.pass(self.clock);
    }

    /// Lets time pass until everything is decided.
    pub fn run_out(&mut self) {
        while let Some(due) = self.sides.iter_mut().filter_map(Side::next_due).min() {
            self.advance_clock(due);
        }
    }

    /// The partition's time.
    pub fn clock(&self) -> Timestamp {
        self.clock
    }

    /// How far the decision log was read, in the partition's time; `None` if it is not asked.
    pub fn on_record_until(&self) -> Option<Timestamp> {
        self.on_record.as_ref().map(OnRecord::latest)
    }

    /// True if the log may still tell of some trace.
    pub fn misses_old(&self) -> bool {
        self.on_record.is_some() && self.join.misses_old()
    }

    /// What was compared, by candidate.
    pub fn finish(mut self) -> (Vec<Tally>, ReadCounts) {
        let mut open = vec![HashSet::new(); self.join.candidates()];
        for side in &mut self.sides {
            let of_side = side.open();
            for candidate in side.candidates() {
                open[candidate].clone_from(&of_side);
                self.join.book(candidate).open_bytes(side.most_bytes());
            }
        }
        self.read.routing = self.seen.counts;
        if let Some(on_record) = &self.on_record {
            self.read.log_not_understood = on_record.not_understood();
            self.read.log_of_others = on_record.of_others();
        }
        (self.join.finish(&open), self.read)
    }

    fn relieve(&mut self) {
        for side in &mut self.sides {
            if side.bytes() > self.max_bytes {
                self.read.relieved += side.relieve(RELIEF, &mut self.join);
            }
        }
    }
}
