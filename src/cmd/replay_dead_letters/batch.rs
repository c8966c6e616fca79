//! A batch of letters that is under way: what is known of each so far.

use tracing::warn;

use super::found::{Found, Place};
use super::report::Fate;
use crate::export::{GIVEN_UP, Refusal};
use crate::kafka::dead_letters::Letter;

/// News of a letter, by its place in the batch.
pub(super) enum News {
    /// Kafka took it, or did not.
    Written(usize, Result<(), String>),
    /// The backend of the exporter at the second place took it, or refused it.
    Settled(usize, usize, Option<Box<Refusal>>),
}

/// Something that has to go to the dead-letter topic again.
pub(super) enum Back {
    AsItWas,
    RefusedAgain(Letter),
}

/// What a backend did with the letters of a batch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    delivered: bool,
    given_up: bool,
}

impl Tally {
    /// The trouble of a backend that is away: it took none of the batch, its exporter gave some up, and
    /// it has accepted nothing since, not even a request without spans. A backend is not away if
    /// nothing was sent to it, or if only letters at fault were given up.
    pub(super) fn of_one_away(self, trouble: Option<String>) -> Option<String> {
        trouble.filter(|_| !self.delivered && self.given_up)
    }
}

/// What is known of a batch so far.
pub(super) struct Batch<'b> {
    pub(super) letters: &'b [(Place, Found)],
    pub(super) fates: Vec<Fate>,
    /// By the place of the letter.
    pub(super) back: Vec<(usize, Back)>,
    pub(super) under_way: usize,
    /// By exporter.
    pub(super) tallies: Vec<Tally>,
}

impl<'b> Batch<'b> {
    pub(super) fn new(letters: &'b [(Place, Found)], exporters: usize) -> Self {
        let (fates, tallies) =
            (vec![Fate::FedBack; letters.len()], vec![Tally::default(); exporters]);
        Self { letters, fates, back: Vec::new(), under_way: 0, tallies }
    }

    /// A letter that could not be fed back is put back, once.
    pub(super) fn failed(&mut self, letter: usize, why: &str) {
        if self.fates[letter] == Fate::Failed {
            return;
        }
        let Place { partition, offset } = self.letters[letter].0;
        let (partition, offset) = (partition.0, offset.0);
        warn!(partition, offset, why, "replay.failed: the letter is put back as it was");
        self.put_back(letter, Fate::Failed, Back::AsItWas);
    }

    pub(super) fn put_back(&mut self, letter: usize, fate: Fate, back: Back) {
        self.fates[letter] = fate;
        self.back.push((letter, back));
    }

    /// One of those that are under way is settled; `exporters` are their names.
    pub(super) fn take_note(&mut self, news: News, exporters: &[String]) {
        self.under_way -= 1;
        match news {
            News::Written(_, Ok(())) => {}
            News::Settled(_, exporter, None) => self.tallies[exporter].delivered = true,
            News::Written(letter, Err(why)) => self.failed(letter, &why),
            News::Settled(letter, exporter, Some(refusal)) if refusal.reason == GIVEN_UP => {
                self.tallies[exporter].given_up = true;
                self.failed(letter, &refusal.message);
            }
            News::Settled(letter, exporter, Some(refusal)) => {
                let (place, found) = &self.letters[letter];
                let Refusal { bytes, reason, message, .. } = *refusal;
                let partition = found.partition().unwrap_or(place.partition);
                let name = &exporters[exporter];
                let mut again = Letter::refused(partition, &bytes, name, reason, &message);
                again.attempts = found.attempts();
                again.forwarded = found.foreign_headers();
                self.put_back(letter, Fate::RefusedAgain, Back::RefusedAgain(again));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_is_away_only_if_it_took_nothing_and_something_was_given_up() {
        let trouble = Some("UNAVAILABLE".to_owned());
        let away = |delivered, given_up, trouble: &Option<String>| {
            Tally { delivered, given_up }.of_one_away(trouble.clone()).is_some()
        };
        assert!(away(false, true, &trouble));
        assert!(!away(true, true, &trouble), "only letters at fault are left");
        assert!(!away(false, false, &trouble), "nothing was sent to it");
        assert!(!away(false, false, &None), "it was not asked yet");
        assert!(!away(false, true, &None), "it accepts something again");
    }
}
