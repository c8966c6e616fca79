//! What has to be read: of which partitions, from where to where.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use thiserror::Error;

use crate::ids::{Partition, Timestamp};
use crate::retrieval::{Budget, Origin, Reader, RetrievalError};

/// Questions about offsets, and nothing is read.
const OF_QUESTIONS: [(&str, &str); 1] = [("queued.max.messages.kbytes", "64")];

/// How far the clock of a member may be behind those who stamp the records.
const CLOCKS_APART: Duration = Duration::from_secs(300);

/// Which traces are asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeSpan {
    /// Their first record is not older.
    pub from: Timestamp,
    /// It is older than this.
    pub to: Timestamp,
    /// So much is read before, so that traces that began earlier, and late spans, are known for such.
    pub warm_up: Duration,
}

/// Why there is nothing to read.
#[derive(Debug, Error)]
pub enum PlanError {
    /// Kafka does not answer, or has no such topic.
    #[error(transparent)]
    Kafka(#[from] RetrievalError),
    /// The topic has no records in the range.
    #[error("the topic {0} has no records in that range")]
    Empty(String),
    /// Kafka has deleted all of it.
    #[error("the topic {0} has no records in that range, and Kafka has deleted those that it had")]
    BeyondRetention(String),
    /// The log is not that of the topic.
    #[error(
        "the decision log {log} has {found} partitions and the topic {topic} has {wanted}: it is that of \
         another topic; name one with --decision-log"
    )]
    OtherPartitions {
        /// The decision log.
        log: String,
        /// How many partitions it has.
        found: u32,
        /// The topic.
        topic: String,
        /// How many partitions it has.
        wanted: u32,
    },
    /// There is no such partition.
    #[error("the topic {topic} has {of} partitions: there is no partition {partition}")]
    NoPartition {
        /// The topic.
        topic: String,
        /// How many partitions it has.
        of: u32,
        /// The one that was asked for.
        partition: i32,
    },
}

/// Which partitions are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// All.
    All,
    /// So many, spread over all.
    Some(u32),
    /// These.
    These(BTreeSet<Partition>),
}

/// A partition, and what is read of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The partition.
    pub partition: Partition,
    /// Its records, those of the warm-up included.
    pub records: Range<i64>,
    /// Where the range begins.
    pub begin: i64,
    /// Of the decision log.
    pub decisions: Range<i64>,
}

/// All that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How many partitions the topic has.
    pub topic_size: u32,
    /// Those that are read and have records.
    pub stretches: Vec<Stretch>,
    /// Those that are read, with and without records.
    pub chosen: BTreeSet<Partition>,
    /// Kafka may have deleted some of the range.
    pub is_cut: bool,
    /// It may have deleted some of the decisions.
    pub is_log_cut: bool,
}

impl Plan {
    /// Asks Kafka.
    ///
    /// # Errors
    /// When there is nothing to read, or Kafka does not answer.
    pub fn make(
        origin: &Origin,
        with_log: bool,
        span: TimeSpan,
        choice: &Choice,
    ) -> Result<Self, PlanError> {
        let budget = Budget::of_a_person(|_| ());
        let topic = Reader::new(origin, &origin.topic, &OF_QUESTIONS)?;
        let topic_size = topic.partitions(&budget)?;
        let chosen = chosen(choice, topic_size).map_err(|partition| PlanError::NoPartition {
            topic: origin.topic.clone(),
            of: topic_size,
            partition: partition.0,
        })?;
        let there = topic.whole(&chosen, &budget)?;
        let at = |time| topic.at(&chosen, time, &budget);
        let (warm_up, from, to) =
            (at(span.from.before(span.warm_up))?, at(span.from)?, at(span.to)?);
        let log = if with_log {
            log(origin, &chosen, topic_size, span, &budget)?
        } else {
            Log::default()
        };
        let (mut stretches, mut is_cut, mut is_gone) = (Vec::new(), false, false);
        for (partition, there) in there {
            let first_at = |found: &BTreeMap<Partition, Option<i64>>| {
                found.get(&partition).copied().flatten().unwrap_or(there.end)
            };
            let (start, begin, end) = (first_at(&warm_up), first_at(&from), first_at(&to));
            // That its first record is in the range does not tell what was before it.
            let may_be_cut = there.start > 0 && begin <= there.start;
            is_cut |= may_be_cut && begin < there.end;
            is_gone |= may_be_cut;
            let decisions = log.stretches.get(&partition).cloned().unwrap_or(0..0);
            if begin < end {
                stretches.push(Stretch { partition, records: start..end, begin, decisions });
            }
        }
        if stretches.is_empty() {
            let topic = origin.topic.clone();
            return Err(if is_gone {
                PlanError::BeyondRetention(topic)
            } else {
                PlanError::Empty(topic)
            });
        }
        let is_log_cut = log.is_cut;
        Ok(Self { topic_size, stretches, chosen, is_cut, is_log_cut })
    }
}

impl Plan {
    /// These are not read.
    pub fn leave_out(&mut self, partitions: &BTreeSet<Partition>) {
        self.stretches.retain(|stretch| !partitions.contains(&stretch.partition));
        self.chosen.retain(|partition| !partitions.contains(partition));
    }
}

#[derive(Default)]
struct Log {
    stretches: BTreeMap<Partition, Range<i64>>,
    is_cut: bool,
}

/// From where on the decision log is read; to its end, since members may lag.
fn log(
    origin: &Origin,
    chosen: &BTreeSet<Partition>,
    wanted: u32,
    span: TimeSpan,
    budget: &Budget,
) -> Result<Log, PlanError> {
    let log = Reader::new(origin, &origin.decision_log, &OF_QUESTIONS)?;
    let found = log.partitions(budget)?;
    if found != wanted {
        let (log, topic) = (origin.decision_log.clone(), origin.topic.clone());
        return Err(PlanError::OtherPartitions { log, found, topic, wanted });
    }
    let there = log.whole(chosen, budget)?;
    let starts = log.at(chosen, span.from.before(CLOCKS_APART), budget)?;
    let mut of_range = Log::default();
    for (partition, there) in there {
        let start = starts.get(&partition).copied().flatten().unwrap_or(there.end);
        of_range.is_cut |= there.start > 0 && start <= there.start;
        of_range.stretches.insert(partition, start..there.end);
    }
    Ok(of_range)
}

fn chosen(choice: &Choice, of: u32) -> Result<BTreeSet<Partition>, Partition> {
    let partition = |number: u64| Partition(number as i32);
    match choice {
        Choice::All => Ok((0..u64::from(of)).map(partition).collect()),
        Choice::Some(some) => {
            let some = u64::from((*some).clamp(1, of));
            Ok((0..some).map(|number| partition(number * u64::from(of) / some)).collect())
        }
        Choice::These(these) => {
            let is_missing = |it: &&Partition| !(0..of.cast_signed()).contains(&it.0);
            these.iter().find(is_missing).map_or_else(|| Ok(these.clone()), |it| Err(*it))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(choice: &Choice, of: u32) -> Result<Vec<i32>, Partition> {
        chosen(choice, of).map(|all| all.into_iter().map(|it| it.0).collect())
    }

    #[test]
    fn partitions_are_chosen_all_over_the_topic() {
        assert_eq!(numbers(&Choice::All, 3), Ok(vec![0, 1, 2]));
        assert_eq!(numbers(&Choice::Some(4), 12), Ok(vec![0, 3, 6, 9]));
        assert_eq!(numbers(&Choice::Some(3), 5), Ok(vec![0, 1, 3]));
        assert_eq!(numbers(&Choice::Some(9), 2), Ok(vec![0, 1]));
        let these = |all: &[i32]| Choice::These(all.iter().copied().map(Partition).collect());
        assert_eq!(numbers(&these(&[4, 1]), 5), Ok(vec![1, 4]));
        assert_eq!(numbers(&these(&[1, 5]), 5), Err(Partition(5)));
    }
}
