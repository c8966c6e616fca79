//! The book of one candidate: traces of which both sides are known are entered here, one by one.

use std::collections::BTreeMap;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::figures::Figures;
use super::tally::{
    self, Example, MOST_ROOTS, MOST_SERVICES, OTHERS, RootTally, Square, Tally, Verdict,
};
use super::verdicts::{VerdictIndex, Verdicts};
use crate::ids::{Partition, Timestamp, TraceId};
use crate::sampling::policy::PolicyIndex;
use crate::telemetry::cut::beginning;

/// How much of a name is held, in bytes.
const LONGEST_NAME: usize = 128;

/// What a candidate says of a trace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compared {
    pub(super) verdict: VerdictIndex,
    pub(super) kept: bool,
    pub(super) spans: u64,
    pub(super) bytes: u64,
    pub(super) at: Timestamp,
    pub(super) has_late: bool,
    pub(super) alone: Option<PolicyIndex>,
    pub(super) is_plain: bool,
}

/// What a trace is called.
#[derive(Clone, Debug)]
pub(super) struct Label {
    pub(super) service: ServiceIndex,
    pub(super) name: Box<str>,
}

impl Label {
    /// That of a trace that starts in `service`.
    pub(super) fn new(service: ServiceIndex, name: &str) -> Self {
        Self { service, name: beginning(name, LONGEST_NAME).into() }
    }
}

/// A place in [`Services`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ServiceIndex(u32);

/// The services that traces start in, by number.
#[derive(Debug, Default)]
pub(super) struct Services {
    names: Vec<Box<str>>,
    index: HashMap<Box<str>, ServiceIndex, RandomState>,
}

impl Services {
    /// The number of a service; if there are too many, that of all others.
    pub(super) fn index_of(&mut self, name: &str) -> ServiceIndex {
        if let Some(known) = self.index.get(name) {
            return *known;
        }
        if self.names.len() >= MOST_SERVICES && name != OTHERS {
            return self.index_of(OTHERS);
        }
        let index = ServiceIndex(u32::try_from(self.names.len()).expect("they are bounded"));
        self.names.push(name.into());
        self.index.insert(name.into(), index);
        index
    }

    fn name(&self, index: ServiceIndex) -> &str {
        &self.names[index.0 as usize]
    }
}

/// What is counted of a candidate.
#[derive(Debug)]
pub struct Book {
    pub(super) tally: Tally,
    pub(super) verdicts: Verdicts,
    places: HashMap<(VerdictIndex, VerdictIndex), usize, RandomState>,
    /// By the number of the service.
    services: Vec<Square>,
    /// What a policy alone keeps without an error, by service and name of the root.
    roots: HashMap<(PolicyIndex, ServiceIndex, Box<str>), Figures, RandomState>,
}

impl Book {
    /// Goes on from a tally.
    pub(super) fn new(tally: Tally) -> Self {
        let (verdicts, places, services, roots) = Default::default();
        Self { tally, verdicts, places, services, roots }
    }

    /// A policy voted to keep, or to drop, a trace of the range.
    pub(super) fn voted(&mut self, policy: PolicyIndex, keeps: bool) {
        let policy = &mut self.tally.policies[usize::from(policy.0)];
        let votes = if keeps { &mut policy.votes_keep } else { &mut policy.votes_drop };
        *votes += 1;
    }

    /// A policy could not evaluate some condition.
    pub(super) fn failed(&mut self, policy: PolicyIndex) {
        self.tally.policies[usize::from(policy.0)].errors += 1;
    }

    /// So many bytes of memory were taken by open traces at most.
    pub(super) fn open_bytes(&mut self, most: u64) {
        self.tally.most_open_bytes = most;
    }

    /// Enters a trace.
    pub(super) fn enter(
        &mut self,
        (id, partition, label): (TraceId, Partition, &Label),
        (old_index, old): (VerdictIndex, &Verdict),
        new: &Compared,
        services: &Services,
    ) {
        let Self { tally, verdicts, places, .. } = self;
        let place = *places
            .entry((old_index, new.verdict))
            .or_insert_with(|| tally.place_of(old, verdicts.get(new.verdict)));
        let figures = Figures::of_trace(new.spans, new.bytes);
        tally.cells[place].figures.add(&figures);
        self.row(label.service).at(old.kept, new.kept).add(&figures);
        if let Some(policy) = new.alone {
            self.tally.policies[usize::from(policy.0)].alone.add(&figures);
            if new.kept && new.is_plain {
                self.root((policy, label), &figures);
            }
        }
        let may_be_largest = |largest: &Example| largest.bytes <= new.bytes;
        let may_be_largest = self.tally.largest.as_ref().is_none_or(may_be_largest);
        if !may_be_largest && old.kept == new.kept {
            return;
        }
        let example = example((id, partition, label), new, services);
        if old.kept != new.kept {
            tally::keep_example(&mut self.tally.cells[place].examples, &example);
        }
        if may_be_largest {
            self.tally.see_largest(&example);
        }
    }

    /// A policy alone keeps a trace whose root is called so. Names that are cut are of no use to anybody.
    fn root(&mut self, (policy, label): (PolicyIndex, &Label), figures: &Figures) {
        if label.name.is_empty() || label.name.len() >= LONGEST_NAME {
            return;
        }
        let key = (policy, label.service, label.name.clone());
        let is_full = self.roots.len() >= MOST_ROOTS;
        match self.roots.entry(key) {
            Entry::Occupied(known) => known.into_mut().add(figures),
            Entry::Vacant(new) if !is_full => {
                new.insert(*figures);
            }
            Entry::Vacant(_) => {}
        }
    }

    fn row(&mut self, service: ServiceIndex) -> &mut Square {
        let place = service.0 as usize;
        if self.services.len() <= place {
            self.services.resize(place + 1, Square::default());
        }
        &mut self.services[place]
    }

    /// What was counted.
    pub(super) fn close(mut self, services: &Services) -> Tally {
        let named = |(place, square): (usize, Square)| {
            let name = services.name(ServiceIndex(place as u32)).to_owned();
            (square != Square::default()).then_some((name, square))
        };
        let rows = self.services.into_iter().enumerate().filter_map(named);
        self.tally.services = rows.collect::<BTreeMap<_, _>>();
        let policies = &self.tally.policies;
        let root = |((policy, service, name), kept): ((PolicyIndex, ServiceIndex, Box<str>), _)| {
            let policy = policies[usize::from(policy.0)].name.clone();
            let service = services.name(service).to_owned();
            RootTally { policy, service, name: name.into(), kept }
        };
        self.tally.roots = self.roots.into_iter().map(root).collect();
        self.tally.sort();
        self.tally
    }
}

fn example(
    (id, partition, label): (TraceId, Partition, &Label),
    new: &Compared,
    services: &Services,
) -> Example {
    Example {
        trace_id: id.to_string(),
        partition: partition.0,
        decided_unix_milli: new.at.0,
        spans: new.spans,
        bytes: new.bytes,
        service: services.name(label.service).to_owned(),
        name: label.name.to_string(),
    }
}
