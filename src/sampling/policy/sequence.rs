//! Conditions that are asked one after the other until the first has an answer, be it that it
//! cannot be evaluated: what the Collector's `error_mode: propagate` means.

use std::sync::Arc;

use super::condition::{Answer, ConditionError, TraceCondition};
use super::predicates_builder::PredicatesBuilder;
use crate::otlp::span::{EventView, SpanView};
use crate::sampling::facts::Facts;
use crate::sampling::ottl::{self, Condition, Context, EvalError, Fields, Level};

/// Conditions of which the first span or event that makes one true, or one fail, has the last
/// word.
#[derive(Debug)]
pub(super) struct Sequence {
    spans: Vec<Arc<Condition>>,
    events: Vec<Arc<Condition>>,
    answer: Answer,
}

impl Sequence {
    /// Enters what the span and its events answer, unless the last word was spoken.
    pub(super) fn ask(&self, span: &SpanView<'_>, facts: &mut Facts) {
        let Answer { yes, failed } = self.answer;
        if facts.contains(yes) || facts.contains(failed) {
            return;
        }
        match self.answer_of(span) {
            Ok(false) => {}
            result => self.answer.enter(result, facts),
        }
    }

    fn answer_of(&self, span: &SpanView<'_>) -> Result<bool, EvalError> {
        if any(&self.spans, &Fields::of_span(span))? {
            return Ok(true);
        }
        for event in span.events {
            let attributes = event.attributes.of(span.all_attributes);
            let view = EventView { span: *span, event, attributes };
            if any(&self.events, &Fields::of_event(&view))? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn any(conditions: &[Arc<Condition>], fields: &Fields<'_>) -> Result<bool, EvalError> {
    for condition in conditions {
        if condition.skeleton().evaluate(&mut |leaf| condition.leaves()[leaf].evaluate(fields))? {
            return Ok(true);
        }
    }
    Ok(false)
}

impl PredicatesBuilder {
    /// Conditions of which the first answer counts, be it a failure; `None` if some are about
    /// more than spans and events. An error names its condition.
    pub(super) fn sequence(
        &mut self,
        spans: &[String],
        events: &[String],
    ) -> Result<Option<TraceCondition>, (String, ConditionError)> {
        let all = |texts: &[String], context| {
            let one = |text: &String| {
                let condition = ottl::compile(text, context);
                condition.map_err(|error| (text.clone(), ConditionError::Ottl(error)))
            };
            texts.iter().map(one).collect::<Result<Vec<_>, _>>()
        };
        let mut spans = all(spans, Context::Span)?;
        let mut events = all(events, Context::SpanEvent)?;
        let is_of_spans = |leaf: &ottl::Leaf| matches!(leaf.level(), Level::Span | Level::Constant);
        let mut both = spans.iter_mut().chain(&mut events);
        if !both.all(|condition| condition.leaves().iter().all(is_of_spans)) {
            return Ok(None);
        }
        for condition in spans.iter_mut().chain(&mut events) {
            self.look_for(condition).map_err(|error| (condition.text().to_owned(), error))?;
        }
        let shared = |conditions: Vec<Condition>| conditions.into_iter().map(Arc::new).collect();
        let (spans, events): (Vec<_>, Vec<_>) = (shared(spans), shared(events));
        let Some(condition) = spans.iter().chain(&events).next().cloned() else { return Ok(None) };
        let text = || condition.text().to_owned();
        let answer = self.answer().map_err(|error| (text(), error))?;
        self.predicates.sequences.push(Sequence { spans, events, answer });
        Ok(Some(TraceCondition::answered(condition, answer)))
    }
}
