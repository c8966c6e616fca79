//! What the policies ask of single spans.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::attribute::AttributeTests;
use super::condition::Question;
use super::sequence::Sequence;
use crate::otlp::span::{AttributeRef, KeyIndex, SpanRef, SpanView, ValueRef};
use crate::otlp::tracestate;
use crate::sampling::facts::{Facts, Summary};
use crate::sampling::ottl::Needs;

/// The status code ERROR.
const ERROR: i32 = 2;

/// The sampled bit of the W3C trace flags.
const SAMPLED: u32 = 1;

/// All questions about single spans that a policy set has, each once.
#[derive(Debug, Default)]
pub struct Predicates {
    /// The attribute keys that some policy names; an [`AttributeRef`] names its key by the index
    /// in here.
    pub(super) keys: Vec<String>,
    /// By status code 0 to 2: the facts that a span with it makes true.
    pub(super) by_status: [Facts; 3],
    /// By key: what is asked of that attribute.
    pub(super) by_key: Vec<AttributeTests>,
    /// The fact that a span has the sampled flag, if somebody asks.
    pub(super) sampled: Option<u16>,
    /// What is asked of tracestates.
    pub(super) trace_states: Vec<(TraceStateTest, u16)>,
    /// What conditions ask.
    pub(super) questions: Vec<Question>,
    /// What conditions ask of which the first answer counts.
    pub(super) sequences: Vec<Sequence>,
    /// The fact that the root was there, if somebody asks of it.
    pub(super) root_seen: Option<u16>,
    /// What conditions need beside attributes.
    pub(super) needs: Needs,
    /// The key of service names, if services are counted.
    pub(super) service_name: Option<KeyIndex>,
}

/// What the attributes of a resource say, whatever spans it has.
#[derive(Clone, Debug, Default)]
pub struct ResourceFacts {
    facts: Facts,
    service: Option<u64>,
}

/// The question whether a tracestate has a member with one of these values.
#[derive(Debug, PartialEq)]
pub(super) struct TraceStateTest {
    pub(super) key: String,
    pub(super) values: Vec<String>,
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
