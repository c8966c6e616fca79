//! Kept traces on their way to the exporters, and what waits because one has no room.

use std::collections::VecDeque;

use super::gathering::Urgency;
use super::settlement::ReadAgain;
use crate::export::{Chunk, Exporter};
use crate::ids::Origin;
use crate::kafka::dead_letters::{self, Letter};
use crate::kafka::decision_log::{self, LogBatch};

/// Which exporters get something: a bit for each, in the order of the static file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Targets(u64);

impl Targets {
    /// Those of `all` that `named` names; all of them if it names none that is there.
    pub(super) fn of(all: &[String], named: &[String]) -> Self {
        debug_assert!((1..=64).contains(&all.len()), "there are 1 to 64 exporters");
        let everything = u64::MAX >> (64 - all.len().clamp(1, 64));
        let bit = |(place, name)| u64::from(named.contains(name)) << place;
        let some = all.iter().enumerate().map(bit).fold(0, |bits, bit| bits | bit);
        Self(if some == 0 { everything } else { some })
    }

    /// The number of exporters.
    pub(super) fn count(self) -> usize {
        self.0.count_ones() as usize
    }

    fn has(self, place: usize) -> bool {
        self.0 >> place & 1 == 1
    }
}

/// What the partitions of a worker have to hand on.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Chunks of kept traces that may leave.
    pub(super) chunks: Vec<Outbound>,
    /// Ownerships that have decisions to put on record, new or more urgent than those before.
    pub(super) open_batches: Vec<(Origin, Urgency)>,
    /// Records that the decision log has not taken yet.
    pub(super) batches: VecDeque<(decision_log::LogTicket, LogBatch)>,
    /// Letters that the dead-letter producer has no room for. While there are any, no records are
    /// taken: there are never more than those of one batch.
    pub(super) letters: VecDeque<(Letter, dead_letters::LetterTicket)>,
    /// Re-opened traces that are to be read again.
    pub(super) read_again: VecDeque<ReadAgain>,
}

impl Outbox {
    /// True if something has to be handed over again before long.
    pub(super) fn has_to_retry(&self) -> bool {
        !self.batches.is_empty() || !self.read_again.is_empty()
    }

    /// Forgets what is of an ownership that ended.
    pub(super) fn forget(&mut self, origin: Origin) {
        self.read_again.retain(|trace| trace.origin != origin);
        self.letters.retain(|(_, ticket)| ticket.origin != origin);
        self.batches.retain(|(ticket, _)| ticket.origin != origin);
    }
}

/// A chunk, and the exporters that it is for.
#[derive(Clone, Debug)]
pub(super) struct Outbound {
    pub(super) targets: Targets,
    pub(super) chunk: Chunk,
}

/// An exporter, and the chunks that it has no room for.
#[derive(Debug)]
struct Lane {
    exporter: Exporter,
    waiting: VecDeque<Chunk>,
}

/// The ways out of one worker. While anything waits here, no records are taken.
#[derive(Debug)]
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    waiting_bytes: u64,
    is_in_a_hurry: bool,
}

impl Lanes {
    pub(super) fn new(exporters: Vec<Exporter>) -> Self {
        let lane = |exporter| Lane { exporter, waiting: VecDeque::new() };
        let lanes = exporters.into_iter().map(lane).collect();
        Self { lanes, waiting_bytes: 0, is_in_a_hurry: false }
    }

    /// Takes a chunk over. It leaves with the next [`Self::feed`].
    pub(super) fn push(&mut self, outbound: Outbound) {
        let Outbound { targets, chunk } = outbound;
        for (place, lane) in self.lanes.iter_mut().enumerate() {
            if targets.has(place) {
                self.waiting_bytes += chunk.bytes.len() as u64;
                lane.waiting.push_back(chunk.clone());
            }
        }
    }

    /// Hands to each exporter, in order, what it has room for.
    pub(super) fn feed(&mut self) {
        for lane in &mut self.lanes {
            while let Some(chunk) = lane.waiting.pop_front() {
                let bytes = chunk.bytes.len() as u64;
                if let Err(chunk) = lane.exporter.try_send(chunk) {
                    lane.waiting.push_front(chunk);
                    break;
                }
                self.waiting_bytes -= bytes;
            }
        }
    }

    /// Whether what the exporters have is to leave at once, rather than with more to go with it.
    pub(super) fn set_hurry(&mut self, is_in_a_hurry: bool) {
        if self.is_in_a_hurry == is_in_a_hurry {
            return;
        }
        self.is_in_a_hurry = is_in_a_hurry;
        for Lane { exporter, .. } in &self.lanes {
            if is_in_a_hurry {
                exporter.hurry();
            } else {
                exporter.calm();
            }
        }
    }

    /// The first exporter that has no room, and for how many bytes.
    pub(super) fn full(&self) -> Option<(Exporter, usize)> {
        let full = |lane: &Lane| Some((lane.exporter.clone(), lane.waiting.front()?.bytes.len()));
        self.lanes.iter().find_map(full)
    }

    /// Forgets what waits of an ownership that ended.
    pub(super) fn forget(&mut self, origin: Origin) {
        for lane in &mut self.lanes {
            lane.waiting.retain(|Chunk { ticket, bytes, .. }| {
                let goes = ticket.origin == origin;
                if goes {
                    self.waiting_bytes -= bytes.len() as u64;
                }
                !goes
            });
        }
    }

    /// Bytes that wait, counted for each exporter.
    pub(super) fn waiting_bytes(&self) -> u64 {
        self.waiting_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_names_no_exporter_sends_to_all() {
        let names = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| (*name).to_owned()).collect()
        };
        let all = names(&["tempo", "jaeger", "archive"]);
        let of = |named: &[&str]| {
            let targets = Targets::of(&all, &names(named));
            let has: Vec<bool> = (0..3).map(|place| targets.has(place)).collect();
            (has, targets.count())
        };
        assert_eq!(of(&[]), (vec![true; 3], 3));
        assert_eq!(of(&["jaeger"]), (vec![false, true, false], 1));
        assert_eq!(of(&["archive", "tempo"]), (vec![true, false, true], 2));
        assert_eq!(of(&["gone"]), (vec![true; 3], 3), "nothing is kept for nobody");
    }
}
