//! What was counted apart, put together.

use std::collections::HashSet;

use proptest::prelude::*;

use super::super::outcome::MergeError;
use super::super::{Candidate, Outcome, ReadCounts, Tally};
use super::joining::{Told, empty, scope, tell, told};

fn trace_of(told: &Told) -> u8 {
    match *told {
        Told::Old { trace, .. }
        | Told::ReopenedBefore { trace, .. }
        | Told::New { trace, .. }
        | Told::Late { trace, .. }
        | Told::Reopened { trace, .. } => trace,
        Told::NewOwner => 0,
    }
}

fn tallies<'a>(all: impl Iterator<Item = &'a Told>) -> Vec<Tally> {
    let mut join = empty(scope());
    all.for_each(|told| tell(&mut join, told));
    join.finish(&[HashSet::new(), HashSet::new()])
}

fn outcome(partition: i32, tallies: Vec<Tally>) -> Outcome {
    let mut outcome = Outcome::new("spans".to_owned(), 4, "the log".to_owned());
    outcome.partitions.insert(partition);
    outcome.read = ReadCounts { records: 1, bytes: 7, ..ReadCounts::default() };
    let candidate = |(number, tally): (usize, Tally)| Candidate {
        file: format!("{number}.yaml"),
        hash: format!("{number}"),
        decision_wait_millis: None,
        tally,
    };
    outcome.candidates = tallies.into_iter().enumerate().map(candidate).collect();
    outcome
}

proptest! {
    /// Guarantee: traces that are counted apart add up, in any order, and so do files of them.
    #[test]
    fn tallies_of_other_traces_add_up(all in prop::collection::vec(told(), 0..40)) {
        let whole = tallies(all.iter());
        let part = |trace: u8| {
            let is_it = move |told: &&Told| [0, trace].contains(&trace_of(told));
            tallies(all.iter().filter(is_it))
        };
        let mut parts: Vec<Outcome> =
            (1..4).map(|trace| outcome(i32::from(trace), part(trace))).collect();
        for order in [[0, 1, 2], [2, 0, 1]] {
            let mut sum = parts[order[0]].clone();
            for more in &order[1..] {
                let text = serde_json::to_string(&parts[*more]).unwrap();
                sum.merge(&serde_json::from_str(&text).unwrap()).unwrap();
            }
            let summed: Vec<Tally> = sum.candidates.into_iter().map(|it| it.tally).collect();
            prop_assert_eq!(&summed, &whole);
            prop_assert_eq!(sum.read.bytes, 21);
            prop_assert_eq!(sum.partitions.len(), 3);
        }
        parts.truncate(1);
    }
}

#[test]
fn what_does_not_belong_together_is_not_added() {
    let one = outcome(1, tallies([].iter()));
    let merge = |other: Outcome| one.clone().merge(&other).unwrap_err();
    assert_eq!(merge(one.clone()), MergeError::Twice(1));
    let mut other = outcome(2, tallies([].iter()));
    other.candidates[1].hash = "x".to_owned();
    assert_eq!(merge(other.clone()), MergeError::Other("the policy files"));
    other.baseline = "old.yaml".to_owned();
    assert_eq!(merge(other.clone()), MergeError::Other("what they compare with"));
    other.from_unix_milli = Some(1);
    assert_eq!(merge(other.clone()), MergeError::Other("the range of time"));
    other.form = 9;
    assert_eq!(merge(other), MergeError::Form(9));
}
