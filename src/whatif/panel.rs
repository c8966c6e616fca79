//! Who judges the traces, and for whom they are put together in common.
//!
//! Judges that wait for the same time, and remember the same decisions for as long, see the same traces, whatever they
//! make of them. So one sampler serves all of these: a *panel*. What their policies ask of spans is asked once.

use std::sync::Arc;

use super::tally::{PolicyTally, Tally};
use crate::kafka::decision_log::GroupHash;
use crate::sampling::policy::{PolicyIndex, PolicySet, asking_in_common};
use crate::sampling::sampler::Policies;

/// Policies, and how many decisions are remembered by them.
#[derive(Clone, Debug)]
pub struct Judge {
    /// The policies.
    pub policies: Arc<Policies>,
    /// How many decisions are remembered.
    pub room: usize,
}

impl Judge {
    /// True if both see the same traces. Late spans that re-open a trace have its decision remembered for longer, so
    /// which traces there are depends on the policies then.
    fn sees_the_same_as(&self, other: &Self) -> bool {
        let (one, two) = (&self.policies, &other.policies);
        self.room == other.room
            && one.limits == two.limits
            && one.decision_cache_ttl == two.decision_cache_ttl
            && !one.set.can_reopen()
            && !two.set.can_reopen()
    }
}

/// What the candidates are compared with.
#[derive(Clone, Debug)]
pub enum Baseline {
    /// What the decision log says: of this group, or of the one that wrote it.
    OnRecord(Option<GroupHash>),
    /// What these policies say.
    Judged(Judge),
}

/// What is compared, in any partition.
#[derive(Clone, Debug)]
pub struct Question {
    /// Whose decisions are on record; `None` if the old side is judged, too.
    pub(super) on_record: Option<Option<GroupHash>>,
    pub(super) panels: Vec<Panel>,
    /// A tally for each candidate, in which nothing is counted.
    pub(super) tallies: Vec<Tally>,
    pub(super) topic_size: u32,
    pub(super) max_bytes: u64,
}

impl Question {
    /// What candidates would change. The topic has so many partitions, over which budgets are shared out; the open
    /// traces that one panel has of a partition are bound to so many bytes.
    pub fn new(
        baseline: Baseline,
        candidates: Vec<Judge>,
        topic_size: u32,
        max_bytes: u64,
    ) -> Self {
        let tallies = candidates.iter().map(|it| empty_tally(&it.policies.set)).collect();
        let mut judges = Vec::with_capacity(candidates.len() + 1);
        let on_record = match baseline {
            Baseline::OnRecord(group) => Some(group),
            Baseline::Judged(judge) => {
                judges.push((Role::Baseline, judge));
                None
            }
        };
        let numbered = candidates.into_iter().enumerate();
        judges.extend(numbered.map(|(number, judge)| (Role::Candidate(number), judge)));
        Self { on_record, panels: Panel::all(judges), tallies, topic_size, max_bytes }
    }
}

/// Whose decisions these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Those of the old side, where no decision log tells them.
    Baseline,
    /// Those of the candidate with this number.
    Candidate(usize),
}

/// A tally of these policies in which nothing is counted.
pub(super) fn empty_tally(policies: &PolicySet) -> Tally {
    let policy = |(index, name): (PolicyIndex, &str)| PolicyTally {
        name: name.to_owned(),
        shadow: policies.is_shadow(index),
        simulated: policies.has_budgets(index),
        ..PolicyTally::default()
    };
    let policies = (0..).map(PolicyIndex).zip(policies.names()).map(policy).collect();
    Tally { policies, ..Tally::default() }
}

/// Those that judge the same traces; at least one.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    pub(super) judges: Vec<(Role, Arc<Policies>)>,
    /// How many decisions are remembered.
    pub(super) room: usize,
}

impl Panel {
    fn all(judges: Vec<(Role, Judge)>) -> Vec<Self> {
        let mut groups: Vec<Vec<(Role, Judge)>> = Vec::new();
        for (role, judge) in judges {
            let is_it = |group: &&mut Vec<_>| group_sees(group, &judge);
            match groups.iter_mut().find(is_it) {
                Some(group) => group.push((role, judge)),
                None => groups.push(vec![(role, judge)]),
            }
        }
        groups.iter().flat_map(|group| Self::of(group)).collect()
    }

    /// One panel of them, unless they ask too much for one.
    fn of(group: &[(Role, Judge)]) -> Vec<Self> {
        let room = group[0].1.room;
        let sets: Vec<&PolicySet> = group.iter().map(|(_, judge)| &judge.policies.set).collect();
        let alone = |(role, judge): &(Role, Judge)| Self {
            judges: vec![(*role, Arc::clone(&judge.policies))],
            room,
        };
        match asking_in_common(&sets) {
            Ok(sets) if group.len() > 1 => {
                let judges = group.iter().zip(sets).map(|((role, judge), set)| {
                    let Policies { limits, decision_cache_ttl, .. } = *judge.policies;
                    (*role, Arc::new(Policies::new(set, limits, decision_cache_ttl)))
                });
                vec![Self { judges: judges.collect(), room }]
            }
            _ => group.iter().map(alone).collect(),
        }
    }
}

fn group_sees(group: &[(Role, Judge)], judge: &Judge) -> bool {
    group[0].1.sees_the_same_as(judge)
}
