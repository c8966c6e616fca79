//! A fuzz of what is read back from the decision log: bytes to what a new owner goes by.

use proptest::prelude::*;

use crate::ids::Position;
use crate::kafka::decision_log::testing::{dropped, read_back};
use crate::kafka::decision_log::{GroupHash, LogBatch, OwnerId};
use crate::sampling::decided::{DecisionRecord, PriorDecisions};

/// A line of the log, before something happens to it.
#[derive(Clone, Debug)]
enum Drawn {
    Noise(Vec<u8>),
    Owned(u64),
    Decided {
        by: u64,
        group: &'static str,
        trace: u8,
        first: i64,
        more: i64,
    },
    /// One with a byte changed, and perhaps cut short.
    Broken {
        trace: u8,
        place: usize,
        byte: u8,
        is_cut: bool,
    },
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let group = prop_oneof![3 => Just("shop"), 1 => Just("bank")];
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60).prop_map(Drawn::Noise),
        (1..4_u64).prop_map(Drawn::Owned),
        (1..4_u64, group, 1..9_u8, 0..50_i64, 0..20_i64).prop_map(
            |(by, group, trace, first, more)| Drawn::Decided { by, group, trace, first, more }
        ),
        (1..9_u8, any::<usize>(), any::<u8>(), any::<bool>())
            .prop_map(|(trace, place, byte, is_cut)| Drawn::Broken { trace, place, byte, is_cut }),
    ]
}

fn line(drawn: &Drawn) -> LogBatch {
    match drawn {
        Drawn::Noise(value) => LogBatch::of(value.clone()),
        Drawn::Owned(owner) => LogBatch::marker(GroupHash::of("shop"), OwnerId(*owner)),
        Drawn::Decided { by, group, trace, first, more } => {
            let recorded = dropped(*trace, *first, first + more);
            LogBatch::with(GroupHash::of(group), OwnerId(*by), &[recorded])
        }
        Drawn::Broken { trace, place, byte, is_cut } => {
            let decisions = [dropped(*trace, 1, 2), dropped(*trace, 3, 4)];
            let whole = LogBatch::with(GroupHash::of("shop"), OwnerId(1), &decisions);
            let mut value = whole.value().to_vec();
            let place = place % value.len();
            value[place] = *byte;
            if *is_cut {
                value.truncate(place);
            }
            LogBatch::of(value)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    /// In any order, with or without ownerships: nothing panics, there are no more decisions than
    /// were written, and the last owner's latest word on each of its decisions is found.
    #[test]
    fn no_decision_of_the_owner_is_lost(drawn in prop::collection::vec(drawn(), 0..60)) {
        let group = GroupHash::of("shop");
        let mine: Vec<DecisionRecord> = (0..3_i64).map(|n| dropped(9 + n as u8, n, n + 5)).collect();
        let owner = OwnerId(77);
        let mut lines = vec![LogBatch::marker(group, owner)];
        lines.push(LogBatch::with(group, owner, &mine));
        lines.extend(drawn.iter().map(line));
        // Ownerships among what was drawn are of later owners, which went by what they found.
        let (decisions, _) = read_back(group, Position(0), &lines);
        prop_assert!(decisions.len() <= mine.len() + 2 * drawn.len());
        let mut prior = PriorDecisions::default();
        decisions.iter().for_each(|recorded| prior.learn(Position(0), recorded));
        for recorded in &mine {
            let found = prior.covering(recorded.trace_id, recorded.first);
            prop_assert_eq!(found, Some(recorded));
        }
        let foreign = |it: &Drawn| matches!(it, Drawn::Decided { group: "bank", .. });
        let others: Vec<LogBatch> = drawn.iter().filter(|it| !foreign(it)).map(line).collect();
        let without: Vec<&LogBatch> = lines[..2].iter().chain(&others).collect();
        let (others, _) = read_back(group, Position(0), without);
        prop_assert_eq!(decisions, others, "other groups change nothing");
    }
}
