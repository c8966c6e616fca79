//! The questions about single spans, as they come up while policies are compiled.
//!
//! Owns the numbers of facts, and promises that each question is asked once, however many policies
//! ask it. The parts about conditions are in `condition` and `sequence`.

use super::attribute::{AttributeTest, AttributeTests};
use super::condition::{Asking, TraceCondition};
use super::predicate::{Predicates, TraceStateTest};
use crate::otlp::span::KeyIndex;
use crate::sampling::ottl::{Context, Needs};

/// The resource attribute that names the service.
const SERVICE_NAME: &str = "service.name";

/// Predicates that questions are added to.
#[derive(Debug, Default)]
pub(super) struct PredicatesBuilder {
    pub(super) predicates: Predicates,
    /// How many facts there are.
    facts: u16,
    /// The status codes that were asked for before.
    statuses: Vec<(u8, u16)>,
    /// The conditions that were asked before.
    pub(super) conditions: Vec<(String, Context, Asking, TraceCondition)>,
}

impl PredicatesBuilder {
    /// The fact that some span has one of the status codes in the bit set `codes`.
    pub(super) fn status(&mut self, codes: u8) -> Option<u16> {
        if let Some((_, fact)) = self.statuses.iter().find(|(asked, _)| *asked == codes) {
            return Some(*fact);
        }
        let fact = self.next_fact()?;
        self.statuses.push((codes, fact));
        for (code, facts) in self.predicates.by_status.iter_mut().enumerate() {
            if codes >> code & 1 == 1 {
                facts.insert(fact);
            }
        }
        Some(fact)
    }

    /// The fact that some span has the sampled flag.
    pub(super) fn sampled(&mut self) -> Option<u16> {
        if self.predicates.sampled.is_none() {
            self.predicates.sampled = Some(self.next_fact()?);
        }
        self.predicates.sampled
    }

    /// The fact that some span's tracestate has the member `key` with one of `values`.
    pub(super) fn trace_state(&mut self, key: &str, values: &[String]) -> Option<u16> {
        let test = TraceStateTest { key: key.to_owned(), values: values.to_vec() };
        if let Some((_, fact)) =
            self.predicates.trace_states.iter().find(|(asked, _)| *asked == test)
        {
            return Some(*fact);
        }
        let fact = self.next_fact()?;
        self.predicates.trace_states.push((test, fact));
        Some(fact)
    }

    /// The fact that the resource or some span has the attribute and the test holds for it.
    pub(super) fn attribute(&mut self, key: &str, test: AttributeTest) -> Option<u16> {
        let index = usize::from(self.key(key).0);
        if let Some(fact) = self.predicates.by_key[index].fact_of(&test) {
            return Some(fact);
        }
        let fact = self.next_fact()?;
        self.predicates.by_key[index].add(test, fact);
        Some(fact)
    }

    /// The index of a key, which is looked for from now on.
    pub(super) fn key(&mut self, key: &str) -> KeyIndex {
        let index =
            self.predicates.keys.iter().position(|known| known == key).unwrap_or_else(|| {
                self.predicates.keys.push(key.to_owned());
                self.predicates.by_key.push(AttributeTests::default());
                self.predicates.keys.len() - 1
            });
        KeyIndex(u16::try_from(index).expect("a file has fewer keys than conditions"))
    }

    /// Looks at more than attributes.
    pub(super) fn need(&mut self, more: Needs) {
        let needs = &mut self.predicates.needs;
        needs.details |= more.details;
        needs.events |= more.events;
        needs.scopes |= more.scopes;
        needs.services |= more.services;
        if needs.services {
            self.predicates.service_name = Some(self.key(SERVICE_NAME));
        }
    }

    /// The fact that the root was there.
    pub(super) fn root_seen(&mut self) -> Option<u16> {
        if self.predicates.root_seen.is_none() {
            self.predicates.root_seen = Some(self.next_fact()?);
        }
        self.predicates.root_seen
    }

    /// No further questions come.
    pub(super) fn finish(mut self) -> Predicates {
        self.predicates.by_key.iter_mut().for_each(AttributeTests::finish);
        self.predicates
    }

    fn next_fact(&mut self) -> Option<u16> {
        self.next_facts(1)
    }

    /// The first of `count` new facts.
    pub(super) fn next_facts(&mut self, count: u16) -> Option<u16> {
        let first = self.facts;
        self.facts = first.checked_add(count)?;
        Some(first)
    }
}
