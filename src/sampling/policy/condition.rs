//! OTTL conditions on whole traces.
//!
//! A condition is about one span, or one event, at a time; a trace is asked whether some span
//! makes it true. Spans are not kept for that: each is asked on arrival, and what it answered
//! becomes a fact of its trace. Where a condition also names things that are known only at the end
//! (`trace.`, `root.`), the facts say which combinations of answers its spans gave, and the rest is
//! put in when the trace is decided.

use std::sync::Arc;

use thiserror::Error;

use super::predicates_builder::PredicatesBuilder;
use crate::otlp::span::{EventView, SpanView};
use crate::sampling::facts::{Facts, Summary};
use crate::sampling::ottl::{
    self, Condition, Context, EvalError, Fields, Level, OttlError, TraceFields,
};

/// Which spans a condition has to hold for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The whole for one of them.
    Whole,
    /// Each comparison for one of them.
    Apart,
    /// The whole for the root.
    Root,
}

/// How a condition is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asking {
    pub(super) scope: Scope,
    /// That it could not be evaluated for some span has to be known even if it is true for another.
    pub(super) failures_matter: bool,
}

/// Why a condition cannot be compiled.
#[derive(Debug, Error)]
pub enum ConditionError {
    /// It is not in the language.
    #[error(transparent)]
    Ottl(#[from] OttlError),
    /// There are more conditions than can be numbered.
    #[error("there are more than 65535 conditions in the file")]
    TooMany,
}

/// What a condition came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) holds: bool,
    /// It could not be evaluated for some span.
    pub(super) failed: bool,
}

/// The facts that a question to a span leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) yes: u16,
    pub(super) failed: u16,
}

impl Answer {
    pub(super) fn enter(self, result: Result<bool, EvalError>, facts: &mut Facts) {
        match result {
            Ok(true) => facts.insert(self.yes),
            Ok(false) => {}
            Err(_) => facts.insert(self.failed),
        }
    }

    fn read(self, facts: &Facts) -> Outcome {
        Outcome { holds: facts.contains(self.yes), failed: facts.contains(self.failed) }
    }
}

/// What is asked of each span or event on arrival.
#[derive(Debug)]
pub(super) struct Question {
    condition: Arc<Condition>,
    about: About,
}

#[derive(Debug)]
enum About {
    /// One part of the condition, of any span. Once one made it true, no other is asked, unless
    /// every failure matters.
    Any { leaf: usize, answer: Answer, failures_matter: bool },
    /// One part, of the root.
    Root { leaf: usize, answer: Answer },
    /// Nothing but whether it is there.
    Presence { fact: u16 },
    /// Several parts together: the facts from `first` on stand for the combinations of their
    /// answers.
    Together { leaves: Vec<usize>, first: u16 },
}

/// How a trace's facts answer a condition.
#[derive(Clone, Debug)]
pub(super) struct TraceCondition {
    condition: Arc<Condition>,
    /// By part of the condition.
    parts: Vec<Part>,
    /// The facts that stand for combinations of answers, if there are any.
    together: Option<(u16, u16)>,
    root_seen: Option<u16>,
    /// A fact without which it does not hold: that there was a root, or an event.
    needs: Option<u16>,
}

#[derive(Clone, Copy, Debug)]
enum Part {
    Any(Answer),
    /// The answer of the root; the other one if there is none.
    Root(Answer, Result<bool, EvalError>),
    /// Its place in the combinations.
    Together(usize),
    /// Known when the trace is decided; or always.
    Late,
}

impl TraceCondition {
    /// The one that this answer stands for.
    pub(super) fn answered(condition: Arc<Condition>, answer: Answer) -> Self {
        let parts = vec![Part::Any(answer)];
        Self { condition, parts, together: None, root_seen: None, needs: None }
    }

    /// True if a span that makes it true does so in every trace.
    pub(super) fn is_of_one_span(&self) -> bool {
        matches!(self.parts[..], [Part::Any(_)])
    }

    pub(super) fn evaluate(&self, trace: &Summary) -> Outcome {
        if let [Part::Any(answer)] = self.parts[..] {
            return answer.read(&trace.facts);
        }
        if self.needs.is_some_and(|fact| !trace.facts.contains(fact)) {
            return Outcome::default();
        }
        let Some((first, count)) = self.together else { return self.combine(trace, 0) };
        let mut outcome = Outcome::default();
        for combination in (0..count).filter(|number| trace.facts.contains(first + number)) {
            let one = self.combine(trace, combination);
            outcome.holds |= one.holds;
            outcome.failed |= one.failed;
        }
        outcome
    }

    /// The condition for spans with this combination of answers.
    fn combine(&self, trace: &Summary, combination: u16) -> Outcome {
        let mut failed_anywhere = false;
        let result = self.condition.skeleton().evaluate(&mut |leaf| match self.parts[leaf] {
            Part::Any(answer) => {
                let outcome = answer.read(&trace.facts);
                failed_anywhere |= outcome.failed;
                Ok(outcome.holds)
            }
            Part::Root(answer, without) => match self.root_seen {
                Some(seen) if trace.facts.contains(seen) => match answer.read(&trace.facts) {
                    Outcome { failed: true, .. } => Err(SOME_ERROR),
                    Outcome { holds, .. } => Ok(holds),
                },
                _ => without,
            },
            Part::Together(place) => digit(combination, place),
            Part::Late => {
                let fields = Fields { trace: Some(trace_fields(trace)), ..Fields::default() };
                self.condition.leaves()[leaf].evaluate(&fields)
            }
        });
        Outcome { holds: result == Ok(true), failed: result.is_err() || failed_anywhere }
    }
}

/// What `trace.` paths see.
fn trace_fields(trace: &Summary) -> TraceFields {
    let whole = |number: u128| i64::try_from(number).unwrap_or(i64::MAX);
    TraceFields {
        duration_ms: whole(trace.duration().as_millis()),
        span_count: i64::from(trace.spans),
        error_count: i64::from(trace.errors),
        service_count: whole(trace.services.count() as u128),
        bytes: whole(u128::from(trace.bytes)),
    }
}

/// That a part has no answer is a fact of the trace; which error it was is not.
const SOME_ERROR: EvalError = EvalError::OutOfRange;

/// Combinations are numbers to the base of 3: false, true, failed.
const BASE: u16 = 3;

fn digit(combination: u16, place: usize) -> Result<bool, EvalError> {
    match combination / BASE.pow(place as u32) % BASE {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(SOME_ERROR),
    }
}

impl Question {
    /// Enters what the span answers; of events, each by itself.
    pub(super) fn ask(&self, span: &SpanView<'_>, is_first_root: bool, facts: &mut Facts) {
        let root = is_first_root.then_some(span);
        if self.condition.context() == Context::Span || matches!(self.about, About::Root { .. }) {
            let fields = Fields { span: Some(span), root, ..Fields::default() };
            self.enter(&fields, is_first_root, facts);
            return;
        }
        for event in span.events {
            let attributes = event.attributes.of(span.all_attributes);
            let view = EventView { span: *span, event, attributes };
            let fields = Fields { span: Some(span), event: Some(&view), root, ..Fields::default() };
            self.enter(&fields, is_first_root, facts);
        }
    }

    fn enter(&self, fields: &Fields<'_>, is_first_root: bool, facts: &mut Facts) {
        let leaves = self.condition.leaves();
        match &self.about {
            About::Any { answer, failures_matter, .. }
                if facts.contains(answer.yes)
                    && (!failures_matter || facts.contains(answer.failed)) => {}
            About::Any { leaf, answer, .. } => answer.enter(leaves[*leaf].evaluate(fields), facts),
            About::Root { leaf, answer } if is_first_root => {
                answer.enter(leaves[*leaf].evaluate(fields), facts);
            }
            About::Root { .. } => {}
            About::Presence { fact } => facts.insert(*fact),
            About::Together { leaves: several, first } => {
                let mut combination = 0;
                for leaf in several.iter().rev() {
                    let digit = leaves[*leaf].evaluate(fields).map_or(2, u16::from);
                    combination = combination * BASE + digit;
                }
                facts.insert(first + combination);
            }
        }
    }
}

impl PredicatesBuilder {
    /// Has scans look for what the condition needs.
    pub(super) fn look_for(&mut self, condition: &mut Condition) -> Result<(), ConditionError> {
        if self.predicates.keys.len() + condition.attribute_keys().len() > usize::from(u16::MAX) {
            return Err(ConditionError::TooMany);
        }
        condition.bind(|key| self.key(key));
        self.need(condition.needs());
        Ok(())
    }

    /// The condition as traces will answer it. What is asked of spans is asked from now on.
    pub(super) fn condition(
        &mut self,
        text: &str,
        context: Context,
        how: Asking,
    ) -> Result<TraceCondition, ConditionError> {
        let known = self.conditions.iter().find(|(known, asked_of, known_how, _)| {
            known == text && *asked_of == context && *known_how == how
        });
        if let Some((.., condition)) = known {
            return Ok(condition.clone());
        }
        let mut condition = match how.scope {
            Scope::Apart => ottl::compile_apart(text, context)?,
            Scope::Whole | Scope::Root => ottl::compile(text, context)?,
        };
        self.look_for(&mut condition)?;
        let condition = self.questions(Arc::new(condition), how)?;
        self.conditions.push((text.to_owned(), context, how, condition.clone()));
        Ok(condition)
    }

    fn questions(
        &mut self,
        condition: Arc<Condition>,
        how: Asking,
    ) -> Result<TraceCondition, ConditionError> {
        let Asking { scope, failures_matter } = how;
        let leaves = condition.leaves();
        let of_spans = leaves.iter().filter(|leaf| leaf.level() == Level::Span).count();
        let together = scope == Scope::Whole && leaves.len() > 1 && of_spans > 0;
        let mut several = Vec::new();
        let mut parts = Vec::with_capacity(leaves.len());
        for (index, leaf) in leaves.iter().enumerate() {
            parts.push(match (leaf.level(), scope) {
                (Level::Constant | Level::Trace, _) => Part::Late,
                (Level::Span, Scope::Whole) if together => {
                    several.push(index);
                    Part::Together(several.len() - 1)
                }
                (Level::Span, Scope::Whole | Scope::Apart) => {
                    let answer = self.answer()?;
                    self.ask(&condition, About::Any { leaf: index, answer, failures_matter });
                    Part::Any(answer)
                }
                (Level::Root, _) | (Level::Span, Scope::Root) => {
                    let answer = self.answer()?;
                    self.ask(&condition, About::Root { leaf: index, answer });
                    Part::Root(answer, leaf.evaluate(&Fields::default()))
                }
            });
        }
        let root_seen = match parts.iter().any(|part| matches!(part, Part::Root(..))) {
            true => Some(self.root_seen().ok_or(ConditionError::TooMany)?),
            false => None,
        };
        debug_assert!(several.len() <= ottl::MAX_MIXED_LEAVES, "the compiler refuses more");
        let together = match several.len() {
            0 => None,
            some => Some(self.together(&condition, several, BASE.pow(some as u32))?),
        };
        let is_of_events =
            parts.iter().any(|part| matches!(part, Part::Any(_) | Part::Together(_)));
        let needs = match condition.context() {
            Context::Span if scope == Scope::Root => root_seen,
            Context::Span => None,
            Context::SpanEvent if is_of_events => None,
            Context::SpanEvent => {
                let fact = self.next_facts(1).ok_or(ConditionError::TooMany)?;
                self.ask(&condition, About::Presence { fact });
                Some(fact)
            }
        };
        Ok(TraceCondition { condition, parts, together, root_seen, needs })
    }

    fn together(
        &mut self,
        condition: &Arc<Condition>,
        leaves: Vec<usize>,
        count: u16,
    ) -> Result<(u16, u16), ConditionError> {
        let first = self.next_facts(count).ok_or(ConditionError::TooMany)?;
        self.ask(condition, About::Together { leaves, first });
        Ok((first, count))
    }

    pub(super) fn answer(&mut self) -> Result<Answer, ConditionError> {
        let yes = self.next_facts(2).ok_or(ConditionError::TooMany)?;
        Ok(Answer { yes, failed: yes + 1 })
    }

    fn ask(&mut self, condition: &Arc<Condition>, about: About) {
        self.predicates.questions.push(Question { condition: Arc::clone(condition), about });
    }
}
