//! The partitions that a worker has, with whatever it keeps of each, and how they are given up.
//!
//! Owns which acquisition a state belongs to, and who waits for its end. Promises that nothing of
//! another acquisition finds a state, and that each revocation is answered, once: when nothing of
//! the partition is in flight any more, or its time is over. Leaves to the worker what a state is,
//! and what is done with one that is gone.

use std::collections::HashMap;
use std::sync::mpsc::Sender;

use tokio::time::Instant;
use tracing::info;

use super::events::Revocation;
use crate::ids::{Generation, Partition};

/// The partitions of a worker.
#[derive(Debug)]
pub struct Partitions<S> {
    entries: HashMap<Partition, Entry<S>>,
}

#[derive(Debug)]
struct Entry<S> {
    generation: Generation,
    state: S,
    /// Until when it has to be given up, and who waits for it.
    revocation: Option<(Instant, Sender<Partition>)>,
}

impl<S> Default for Partitions<S> {
    fn default() -> Self {
        Self { entries: HashMap::new() }
    }
}

impl<S> Partitions<S> {
    /// A partition was acquired. Returns the state of an acquisition that had not ended, whose end
    /// nobody waits for any more.
    pub fn assign(&mut self, partition: Partition, generation: Generation, state: S) -> Option<S> {
        let entry = Entry { generation, state, revocation: None };
        self.entries.insert(partition, entry).map(|old| old.state)
    }

    /// The state of a partition, if `generation` is its current acquisition.
    pub fn get(&mut self, partition: Partition, generation: Generation) -> Option<&mut S> {
        self.entry(partition, generation).map(|entry| &mut entry.state)
    }

    /// The same, if it is not being given up either.
    pub fn current(&mut self, partition: Partition, generation: Generation) -> Option<&mut S> {
        let entry = self.entry(partition, generation);
        entry.filter(|entry| entry.revocation.is_none()).map(|entry| &mut entry.state)
    }

    /// The states of all partitions.
    pub fn states(&mut self) -> impl Iterator<Item = &mut S> {
        self.entries.values_mut().map(|entry| &mut entry.state)
    }

    /// Those of the partitions that are not being given up.
    pub fn current_states(&mut self) -> impl Iterator<Item = &mut S> {
        let current = self.entries.values_mut().filter(|entry| entry.revocation.is_none());
        current.map(|entry| &mut entry.state)
    }

    /// Takes out what there is, without an answer to anybody: nothing more is done for it.
    pub fn take_all(&mut self) -> Vec<S> {
        self.entries.drain().map(|(_, entry)| entry.state).collect()
    }

    /// True if some are being given up.
    pub fn has_revoked(&self) -> bool {
        self.entries.values().any(|entry| entry.revocation.is_some())
    }

    fn entry(&mut self, partition: Partition, generation: Generation) -> Option<&mut Entry<S>> {
        self.entries.get_mut(&partition).filter(|entry| entry.generation == generation)
    }

    /// Begins to give a partition up: [`finish`](Self::finish) goes on with it. A partition that the worker
    /// does not have, or that is being given up already, is done with.
    pub fn revoke(&mut self, revocation: Revocation, now: Instant) {
        let Revocation { partition, generation, timeout, done } = revocation;
        match self.entry(partition, generation) {
            Some(entry) if entry.revocation.is_none() => {
                entry.revocation = Some((now + timeout, done));
            }
            _ => answer(&done, partition),
        }
    }

    /// When [`finish`](Self::finish) is due at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        let entries = self.entries.values().filter_map(|entry| entry.revocation.as_ref());
        entries.map(|(deadline, _)| *deadline).min()
    }

    /// Takes out the partitions that are being given up and have nothing `in_flight`, or no time
    /// left. Each has `last` done to it before who waits for it is told.
    pub fn finish(
        &mut self,
        now: Instant,
        in_flight: impl Fn(&S) -> usize,
        mut last: impl FnMut(&mut S),
    ) -> Vec<(Partition, S)> {
        let mut finished = Vec::new();
        let is_done = |entry: &Entry<S>| {
            let revocation = entry.revocation.as_ref();
            revocation.is_some_and(|it| it.0 <= now || in_flight(&entry.state) == 0)
        };
        let done = self.entries.iter().filter(|(_, entry)| is_done(entry));
        for partition in done.map(|(partition, _)| *partition).collect::<Vec<_>>() {
            let Some(mut entry) = self.entries.remove(&partition) else { continue };
            last(&mut entry.state);
            let unfinished = in_flight(&entry.state);
            info!(partition = partition.0, unfinished, "partition.handed_over");
            if let Some((_, done)) = entry.revocation {
                answer(&done, partition);
            }
            finished.push((partition, entry.state));
        }
        finished
    }

    /// A partition is gone already. Returns its state, unless it is being given up: that comes to
    /// its end by itself.
    pub fn lost(&mut self, partition: Partition, generation: Generation) -> Option<S> {
        self.current(partition, generation)?;
        self.entries.remove(&partition).map(|entry| entry.state)
    }
}

fn answer(done: &Sender<Partition>, partition: Partition) {
    // The consumer may have given up waiting.
    let _ = done.send(partition);
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver};
    use std::time::Duration;

    use super::*;

    const PARTITION: Partition = Partition(3);
    const OLD: Generation = Generation(6);
    const GENERATION: Generation = Generation(7);
    const TIMEOUT: Duration = Duration::from_secs(1);

    /// A partition whose state is what it has in flight.
    fn with(in_flight: usize) -> Partitions<usize> {
        let mut partitions = Partitions::default();
        assert_eq!(partitions.assign(PARTITION, GENERATION, in_flight), None);
        partitions
    }

    fn revoke(
        partitions: &mut Partitions<usize>,
        generation: Generation,
        now: Instant,
    ) -> Receiver<Partition> {
        let ((done, answers), partition, timeout) = (mpsc::channel(), PARTITION, TIMEOUT);
        partitions.revoke(Revocation { partition, generation, timeout, done }, now);
        answers
    }

    fn finish(partitions: &mut Partitions<usize>, now: Instant) -> Vec<(Partition, usize)> {
        partitions.finish(now, |in_flight| *in_flight, |_| {})
    }

    #[test]
    fn another_acquisition_finds_nothing() {
        let mut partitions = with(1);
        assert_eq!(partitions.current(PARTITION, GENERATION), Some(&mut 1));
        assert_eq!(partitions.current(PARTITION, OLD), None);
        assert_eq!(partitions.get(PARTITION, OLD), None);
        assert_eq!(partitions.lost(PARTITION, OLD), None);
        let now = Instant::now();
        assert!(revoke(&mut partitions, OLD, now).try_recv().is_ok(), "it is done with");
        assert_eq!(finish(&mut partitions, now), []);
        assert_eq!(partitions.assign(PARTITION, Generation(8), 2), Some(1));
        assert_eq!(partitions.get(PARTITION, GENERATION), None);
    }

    #[test]
    fn who_waits_is_told_once_nothing_is_in_flight() {
        let (mut partitions, now) = (with(1), Instant::now());
        let answers = revoke(&mut partitions, GENERATION, now);
        assert_eq!(partitions.current(PARTITION, GENERATION), None, "nothing more is taken in");
        assert_eq!(partitions.deadline(), Some(now + TIMEOUT));
        assert_eq!(finish(&mut partitions, now), []);
        assert!(revoke(&mut partitions, GENERATION, now).try_recv().is_ok(), "asked once more");
        assert!(answers.try_recv().is_err());
        *partitions.get(PARTITION, GENERATION).unwrap() = 0;
        let mut was_last = false;
        let finished = partitions.finish(
            now,
            |in_flight| *in_flight,
            |_| was_last = answers.try_recv().is_err(),
        );
        assert_eq!(
            (finished, was_last, answers.try_recv()),
            (vec![(PARTITION, 0)], true, Ok(PARTITION))
        );
        assert_eq!(partitions.deadline(), None);
    }

    #[test]
    fn who_waits_is_told_at_the_deadline() {
        let (mut partitions, now) = (with(2), Instant::now());
        let answers = revoke(&mut partitions, GENERATION, now);
        assert_eq!(finish(&mut partitions, now + TIMEOUT), [(PARTITION, 2)]);
        assert_eq!(answers.try_recv(), Ok(PARTITION));
        assert_eq!(partitions.get(PARTITION, GENERATION), None);
    }

    #[test]
    fn a_lost_partition_is_gone_unless_it_is_being_given_up() {
        let (mut partitions, now) = (with(1), Instant::now());
        let answers = revoke(&mut partitions, GENERATION, now);
        assert_eq!(partitions.lost(PARTITION, GENERATION), None);
        assert_eq!(finish(&mut partitions, now + TIMEOUT), [(PARTITION, 1)]);
        assert!(answers.try_recv().is_ok());
        assert_eq!(with(1).lost(PARTITION, GENERATION), Some(1));
    }
}
