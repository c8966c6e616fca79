//! What the policies ask of single spans.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::attribute::{AttributeTest, AttributeTests};
use super::condition::{Asking, Question, TraceCondition};
use super::sequence::Sequence;
use crate::otlp::span::{AttributeRef, KeyIndex, SpanRef, SpanView, ValueRef};
use crate::otlp::tracestate;
use crate::sampling::facts::{Facts, Summary};
use crate::sampling::ottl::{Context, Needs};

/// The status code ERROR.
const ERROR: i32 = 2;

/// The resource attribute that names the service.
const SERVICE_NAME: &str = "service.name";

/// The sampled bit of the W3C trace flags.
const SAMPLED: u32 = 1;

/// All questions about single spans that a policy set has, each once.
#[derive(Debug, Default)]
pub struct Predicates {
    /// The attribute keys that some policy names; an [`AttributeRef`] names its key by the index
    /// in here.
    keys: Vec<String>,
    /// By status code 0 to 2: the facts that a span with it makes true.
    by_status: [Facts; 3],
    /// By key: what is asked of that attribute.
    by_key: Vec<AttributeTests>,
    /// The fact that a span has the sampled flag, if somebody asks.
    sampled: Option<u16>,
    /// What is asked of tracestates.
    trace_states: Vec<(TraceStateTest, u16)>,
    /// What conditions ask.
    pub(super) questions: Vec<Question>,
    /// What conditions ask of which the first answer counts.
    pub(super) sequences: Vec<Sequence>,
    /// The fact that the root was there, if somebody asks of it.
    root_seen: Option<u16>,
    /// What conditions need beside attributes.
    needs: Needs,
    /// The key of service names, if services are counted.
    service_name: Option<KeyIndex>,
    /// How many facts there are.
    facts: u16,
    /// What was asked before, so that it is asked once.
    statuses: Vec<(u8, u16)>,
    pub(super) conditions: Vec<(String, Context, Asking, TraceCondition)>,
}

/// What the attributes of a resource say, whatever spans it has.
#[derive(Clone, Debug, Default)]
pub struct ResourceFacts {
    facts: Facts,
    service: Option<u64>,
}

/// The question whether a tracestate has a member with one of these values.
#[derive(Debug, PartialEq)]
struct TraceStateTest {
    key: String,
    values: Vec<String>,
}

impl TraceStateTest {
    fn holds(&self, trace_state: &[u8]) -> bool {
        let value = tracestate::member(trace_state, &self.key).unwrap_or_default();
        !value.is_empty() && self.values.iter().any(|wanted| wanted == value)
    }
}

impl Predicates {
    /// The attribute keys to look for; an [`AttributeRef`] names its key by the index in here.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// What to look at beside attributes.
    pub fn needs(&self) -> Needs {
        self.needs
    }

    /// What a resource of `record` with these attributes says; good for all of its spans.
    pub fn ask_resource(&self, attributes: &[AttributeRef], record: &[u8]) -> ResourceFacts {
        let mut known = ResourceFacts::default();
        self.ask_attributes(attributes, record, &mut known.facts);
        if let Some(key) = self.service_name
            && let Some(name) = attributes.iter().find(|attribute| attribute.key == key)
            && let ValueRef::String(name) = name.value
        {
            known.service = Some(FixedState::default().hash_one(name.of(record)));
        }
        known
    }

    /// Adds what a span of `record` says to the summary of its trace, besides what its resource
    /// says and what conditions ask. `attributes` are its own.
    pub fn ask_span(
        &self,
        span: &SpanRef,
        attributes: &[AttributeRef],
        record: &[u8],
        trace: &mut Summary,
    ) {
        let facts = &mut trace.facts;
        trace.errors += u32::from(span.status == ERROR);
        // Codes that came after this program was written are nobody's.
        if let Some(more) = usize::try_from(span.status).ok().and_then(|s| self.by_status.get(s)) {
            facts.merge(more);
        }
        if let Some(fact) = self.sampled
            && span.flags & SAMPLED != 0
        {
            facts.insert(fact);
        }
        if !span.trace_state.is_empty() {
            for (test, fact) in &self.trace_states {
                if !facts.contains(*fact) && test.holds(span.trace_state.of(record)) {
                    facts.insert(*fact);
                }
            }
        }
        self.ask_attributes(attributes, record, facts);
    }

    /// True if conditions ask something of each span.
    pub fn has_conditions(&self) -> bool {
        !self.questions.is_empty() || !self.sequences.is_empty()
    }

    /// Adds what conditions make of a span to the facts of its trace.
    pub fn ask_conditions(&self, view: &SpanView<'_>, facts: &mut Facts) {
        let is_new = |seen: &u16| view.span.is_root && !facts.contains(*seen);
        let first_root = self.root_seen.filter(is_new);
        for question in &self.questions {
            question.ask(view, first_root.is_some(), facts);
        }
        for sequence in &self.sequences {
            sequence.ask(view, facts);
        }
        if let Some(seen) = first_root {
            facts.insert(seen);
        }
    }

    fn ask_attributes(&self, attributes: &[AttributeRef], record: &[u8], facts: &mut Facts) {
        for (index, attribute) in attributes.iter().enumerate() {
            // Of a key that stands twice the first value counts, as for the Collector.
            if attributes[..index].iter().any(|before| before.key == attribute.key) {
                continue;
            }
            self.by_key[usize::from(attribute.key.0)].ask(attribute.value, record, facts);
        }
    }

    /// The fact that some span has one of the status codes in the bit set `codes`.
    pub(super) fn status(&mut self, codes: u8) -> Option<u16> {
        if let Some((_, fact)) = self.statuses.iter().find(|(asked, _)| *asked == codes) {
            return Some(*fact);
        }
        let fact = self.next_fact()?;
        self.statuses.push((codes, fact));
        for (code, facts) in self.by_status.iter_mut().enumerate() {
            if codes >> code & 1 == 1 {
                facts.insert(fact);
            }
        }
        Some(fact)
    }

    /// The fact that some span has the sampled flag.
    pub(super) fn sampled(&mut self) -> Option<u16> {
        if self.sampled.is_none() {
            self.sampled = Some(self.next_fact()?);
        }
        self.sampled
    }

    /// The fact that some span's tracestate has the member `key` with one of `values`.
    pub(super) fn trace_state(&mut self, key: &str, values: &[String]) -> Option<u16> {
        let test = TraceStateTest { key: key.to_owned(), values: values.to_vec() };
        if let Some((_, fact)) = self.trace_states.iter().find(|(asked, _)| *asked == test) {
            return Some(*fact);
        }
        let fact = self.next_fact()?;
        self.trace_states.push((test, fact));
        Some(fact)
    }

    /// The fact that the resource or some span has the attribute and the test holds for it.
    pub(super) fn attribute(&mut self, key: &str, test: AttributeTest) -> Option<u16> {
        let index = usize::from(self.key(key).0);
        if let Some(fact) = self.by_key[index].fact_of(&test) {
            return Some(fact);
        }
        let fact = self.next_fact()?;
        self.by_key[index].add(test, fact);
        Some(fact)
    }

    /// The index of a key, which is looked for from now on.
    pub(super) fn key(&mut self, key: &str) -> KeyIndex {
        let index = self.keys.iter().position(|known| known == key).unwrap_or_else(|| {
            self.keys.push(key.to_owned());
            self.by_key.push(AttributeTests::default());
            self.keys.len() - 1
        });
        KeyIndex(u16::try_from(index).expect("a file has fewer keys than conditions"))
    }

    /// Looks at more than attributes.
    pub(super) fn need(&mut self, more: Needs) {
        let needs = &mut self.needs;
        needs.details |= more.details;
        needs.events |= more.events;
        needs.scopes |= more.scopes;
        needs.services |= more.services;
        if needs.services {
            self.service_name = Some(self.key(SERVICE_NAME));
        }
    }

    /// The fact that the root was there.
    pub(super) fn root_seen(&mut self) -> Option<u16> {
        if self.root_seen.is_none() {
            self.root_seen = Some(self.next_fact()?);
        }
        self.root_seen
    }

    /// No further questions come.
    pub(super) fn finish(&mut self) {
        self.by_key.iter_mut().for_each(AttributeTests::finish);
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

impl ResourceFacts {
    /// Adds what the resource says to the summary of a trace that has a span of it.
    pub fn enter(&self, trace: &mut Summary) {
        trace.facts.merge(&self.facts);
        if let Some(service) = self.service {
            trace.services.insert(service);
        }
    }
}
