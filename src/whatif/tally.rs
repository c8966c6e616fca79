//! What a comparison has counted: of one candidate, in one stretch of one partition or in many.
//!
//! Promises that the tallies of disjoint sets of traces add up to that of all of them, in any order, examples
//! included: those with the smallest ids are kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::figures::Figures;

/// How many examples a cell has.
const EXAMPLES: usize = 5;

/// How many services are told apart; what is of others is counted as [`OTHERS`].
pub(super) const MOST_SERVICES: usize = 1000;

/// How many kinds of roots are told apart, with the policies that alone keep them. The first ones that come are: those
/// that keep much come soon.
pub(super) const MOST_ROOTS: usize = 2000;

/// The name of all services that are not told apart.
pub(super) const OTHERS: &str = "(others)";

/// What was decided of a trace, by late spans that re-opened it, too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Verdict {
    /// It is kept.
    pub kept: bool,
    /// On whose account; `None` if no policy kept it and none dropped it.
    pub policy: Option<String>,
}

/// Traces of which both sides say the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// What is on record, or what the baseline says.
    pub old: Verdict,
    /// What the candidate says.
    pub new: Verdict,
    /// How much that is.
    #[serde(flatten)]
    pub figures: Figures,
    /// Some of them, if one side keeps them and the other does not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<Example>,
}

impl Cell {
    /// Kept by one side only.
    pub fn is_change(&self) -> bool {
        self.old.kept != self.new.kept
    }
}

/// A trace of which the sides say something else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Example {
    /// Its id, as `tailsieve trace` takes it.
    pub trace_id: String,
    /// Where its first record is.
    pub partition: i32,
    /// The clock of its partition at the candidate's decision, in milliseconds since the epoch.
    pub decided_unix_milli: i64,
    /// Its spans.
    pub spans: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The `service.name` of its root span, or of its first one.
    pub service: String,
    /// The name of that span.
    pub name: String,
}

/// What is kept and dropped of what starts in a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Square {
    /// Kept by both sides.
    pub kept: Figures,
    /// Kept by the old side only.
    pub newly_lost: Figures,
    /// Kept by the candidate only.
    pub newly_kept: Figures,
    /// Kept by neither.
    pub dropped: Figures,
}

impl Square {
    /// Where traces belong that the sides decided so.
    pub fn at(&mut self, old_kept: bool, new_kept: bool) -> &mut Figures {
        match (old_kept, new_kept) {
            (true, true) => &mut self.kept,
            (true, false) => &mut self.newly_lost,
            (false, true) => &mut self.newly_kept,
            (false, false) => &mut self.dropped,
        }
    }

    /// What the old side keeps.
    pub fn kept_before(&self) -> Figures {
        Figures::sum([&self.kept, &self.newly_lost])
    }

    /// What the candidate keeps.
    pub fn kept_now(&self) -> Figures {
        Figures::sum([&self.kept, &self.newly_kept])
    }

    /// All.
    pub fn all(&self) -> Figures {
        Figures::sum([&self.kept, &self.newly_lost, &self.newly_kept, &self.dropped])
    }

    fn add(&mut self, more: &Self) {
        self.kept.add(&more.kept);
        self.newly_lost.add(&more.newly_lost);
        self.newly_kept.add(&more.newly_kept);
        self.dropped.add(&more.dropped);
    }
}

/// How a policy of the candidate voted on the traces that began in the range and were decided.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyTally {
    /// Its name.
    pub name: String,
    /// Its votes have no effect.
    #[serde(default)]
    pub shadow: bool,
    /// It has budgets: what it keeps depends on what it kept before, and is simulated.
    #[serde(default)]
    pub simulated: bool,
    /// How often it voted to keep.
    pub votes_keep: u64,
    /// How often it voted to drop.
    pub votes_drop: u64,
    /// Traces for which some condition of it could not be evaluated.
    pub errors: u64,
    /// What was compared and would be decided the other way without it.
    pub alone: Figures,
}

/// What a policy of the candidate alone keeps of traces that have no error and the same kind of root.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RootTally {
    /// The policy.
    pub policy: String,
    /// The `service.name` of the root span.
    pub service: String,
    /// The name of the root span.
    pub name: String,
    /// How much that is.
    #[serde(flatten)]
    pub kept: Figures,
}

impl RootTally {
    /// It is of a service that is not told apart from others.
    pub fn is_of_others(&self) -> bool {
        self.service == OTHERS
    }

    fn key(&self) -> (&str, &str, &str) {
        (&self.policy, &self.service, &self.name)
    }
}

/// Traces that are not compared, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Edges {
    /// The candidate decided them in the range, and they began before it.
    pub began_before: u64,
    /// The candidate had not decided them at the end of the range.
    pub undecided: u64,
    /// The candidate decided them, and the old side has no decision that begins with the same record.
    pub not_on_record: u64,
    /// The old side decided them, and the candidate saw no trace begin there.
    pub only_on_record: u64,
}

impl Edges {
    /// All.
    pub fn traces(&self) -> u64 {
        self.began_before + self.undecided + self.not_on_record + self.only_on_record
    }

    fn add(&mut self, more: &Self) {
        self.began_before += more.began_before;
        self.undecided += more.undecided;
        self.not_on_record += more.not_on_record;
        self.only_on_record += more.only_on_record;
    }
}

/// What was counted of one candidate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// Traces that were compared, by what both sides say.
    pub cells: Vec<Cell>,
    /// The same, by service.
    pub services: BTreeMap<String, Square>,
    /// The policies of the candidate, in the order of the file.
    pub policies: Vec<PolicyTally>,
    /// What each policy alone keeps, without an error, by the root span: what could be kept less of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roots: Vec<RootTally>,
    /// What was not compared.
    pub edges: Edges,
    /// Spans that came after their trace was decided; they are counted with it.
    pub late_spans: u64,
    /// The traces that have such spans: they were judged without them.
    pub late_traces: u64,
    /// Traces that began in the range and were decided.
    pub decided: u64,
    /// From their first spans to their decisions, in the partition's time, all of them together.
    pub delay_millis: u64,
    /// The most bytes of memory that open traces took: the sum over partitions, each at its worst.
    pub most_open_bytes: u64,
    /// The largest of the traces that were compared.
    pub largest: Option<Example>,
}

impl Tally {
    /// All that was compared.
    pub fn square(&self) -> Square {
        let mut square = Square::default();
        for Cell { old, new, figures, .. } in &self.cells {
            square.at(old.kept, new.kept).add(figures);
        }
        square
    }

    /// Where traces of which the sides say this are counted.
    pub(super) fn place_of(&mut self, old: &Verdict, new: &Verdict) -> usize {
        let is_it = |cell: &Cell| cell.old == *old && cell.new == *new;
        self.cells.iter().position(is_it).unwrap_or_else(|| {
            let (old, new) = (old.clone(), new.clone());
            self.cells.push(Cell { old, new, figures: Figures::default(), examples: Vec::new() });
            self.cells.len() - 1
        })
    }

    /// The row of a service, or of all others if there are too many.
    pub(super) fn service(&mut self, name: &str) -> &mut Square {
        let is_known = self.services.contains_key(name);
        let name = if is_known || self.services.len() < MOST_SERVICES { name } else { OTHERS };
        if !self.services.contains_key(name) {
            self.services.insert(name.to_owned(), Square::default());
        }
        self.services.get_mut(name).expect("it was put there")
    }

    /// Adds what was counted of other traces, by the same candidate.
    pub fn add(&mut self, more: &Self) {
        for cell in &more.cells {
            let place = self.place_of(&cell.old, &cell.new);
            self.cells[place].figures.add(&cell.figures);
            cell.examples.iter().for_each(|it| keep_example(&mut self.cells[place].examples, it));
        }
        more.services.iter().for_each(|(name, square)| self.service(name).add(square));
        if self.policies.is_empty() {
            self.policies.clone_from(&more.policies);
        } else {
            for (policy, more) in self.policies.iter_mut().zip(&more.policies) {
                policy.votes_keep += more.votes_keep;
                policy.votes_drop += more.votes_drop;
                policy.errors += more.errors;
                policy.alone.add(&more.alone);
            }
        }
        more.roots.iter().for_each(|root| self.add_root(root));
        self.edges.add(&more.edges);
        self.late_spans += more.late_spans;
        self.late_traces += more.late_traces;
        self.decided += more.decided;
        self.delay_millis += more.delay_millis;
        self.most_open_bytes += more.most_open_bytes;
        if let Some(largest) = &more.largest {
            self.see_largest(largest);
        }
        self.sort();
    }

    /// Remembers a trace if none was larger.
    pub(super) fn see_largest(&mut self, example: &Example) {
        let order = |it: &Example| (it.bytes, std::cmp::Reverse(it.trace_id.clone()));
        if self.largest.as_ref().is_none_or(|largest| order(largest) < order(example)) {
            self.largest = Some(example.clone());
        }
    }

    fn add_root(&mut self, more: &RootTally) {
        match self.roots.binary_search_by(|it| it.key().cmp(&more.key())) {
            Ok(known) => self.roots[known].kept.add(&more.kept),
            Err(place) if self.roots.len() < MOST_ROOTS => self.roots.insert(place, more.clone()),
            Err(_) => {}
        }
    }

    /// In an order that does not depend on that of the traces.
    pub(super) fn sort(&mut self) {
        self.cells.sort_by(|one, other| (&one.old, &one.new).cmp(&(&other.old, &other.new)));
        self.roots.sort_by(|one, other| one.key().cmp(&other.key()));
    }
}

/// Adds an example, unless there are enough with smaller ids.
pub(super) fn keep_example(examples: &mut Vec<Example>, example: &Example) {
    let place = examples.partition_point(|it| it < example);
    if place < EXAMPLES {
        examples.insert(place, example.clone());
        examples.truncate(EXAMPLES);
    }
}
