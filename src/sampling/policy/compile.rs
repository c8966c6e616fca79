//! From policies as written to policies that are quick to ask.

use thiserror::Error;

use super::attribute::AttributeTest;
use super::budget::{BudgetIndex, Limit};
use super::condition::{self, ConditionError, Scope, TraceCondition};
use super::expression::{Child, Expression, OnError, Unit};
use super::predicate::Predicates;
use super::spec::{CompositeChild, ErrorMode, Mode, PolicyKind, PolicySpec, RuleScope, Sample};
use super::vote::LeafIndex;
use super::{Asking, Leaf, Policy, PolicyIndex, PolicySet};
use crate::otlp::probability::Threshold;
use crate::sampling::ottl::{self, Context};

/// The salt that the Collector uses where an empty one is given.
const DEFAULT_HASH_SALT: &str = "default-hash-seed";

/// Key and value of a tracestate's member that is looked for are shorter than this together.
const LONGEST_MEMBER: usize = 256;

/// How much larger than a second's tokens a bucket is by default.
const DEFAULT_BURST: f64 = 2.0;

/// Why policies that were read well cannot be compiled.
#[derive(Debug, Error)]
pub enum CompileError {
    /// A regular expression is invalid or too large.
    #[error("policy {policy:?}: regular expression {reason}")]
    Regex {
        /// The policy it stands in.
        policy: String,
        /// Which one, and what is wrong with it.
        reason: String,
    },
    /// An OTTL condition is invalid.
    #[error("policy {policy:?}: {condition:?}: {source}")]
    Condition {
        /// The policy it stands in.
        policy: String,
        /// The condition.
        condition: String,
        /// What is wrong with it.
        #[source]
        source: ConditionError,
    },
    /// More policies or span predicates than can be numbered.
    #[error("policy {policy:?}: there are more than 65535 policies or conditions in the file")]
    TooMany {
        /// The first one that is too many.
        policy: String,
    },
    /// A `rule` inside another policy.
    #[error("policy {policy:?}: `rule` stands only at the top level of the file")]
    NestedRule {
        /// The rule.
        policy: String,
    },
}

/// Compiles the policies of a file, in its order.
///
/// # Errors
/// The first thing that cannot be compiled.
pub fn compile(specs: &[PolicySpec]) -> Result<PolicySet, CompileError> {
    let mut compiler = Compiler::default();
    let mut policies = Vec::with_capacity(specs.len());
    for spec in specs {
        let Ok(index) = u16::try_from(policies.len()) else { return Err(too_many(spec)) };
        compiler.policy = PolicyIndex(index);
        policies.push(compiler.policy(spec)?);
    }
    let Compiler { mut predicates, limits, leaves, .. } = compiler;
    predicates.finish();
    Ok(PolicySet { policies, predicates, limits, leaves })
}

fn too_many(spec: &PolicySpec) -> CompileError {
    CompileError::TooMany { policy: spec.name.clone() }
}

/// A compilation under way: what the policies share.
#[derive(Default)]
struct Compiler {
    predicates: Predicates,
    limits: Vec<Limit>,
    leaves: Vec<Leaf>,
    /// The policy of the file that is in hand.
    policy: PolicyIndex,
}

impl Compiler {
    fn policy(&mut self, spec: &PolicySpec) -> Result<Policy, CompileError> {
        let spec = spends_last(spec);
        let first_budget = self.limits.len();
        let asking = match &spec.kind {
            PolicyKind::Rule { when, scope, sample } => self.rule(&spec, when, *scope, *sample)?,
            _ => Asking::Whole(self.expression(&spec)?),
        };
        let budgets = first_budget..self.limits.len();
        let is_shadow = spec.mode == Mode::Shadow;
        let comes_first = asking.comes_first();
        let name = spec.name.as_str().into();
        Ok(Policy { name, is_shadow, comes_first, asking, budgets, spec })
    }

    fn rule(
        &mut self,
        spec: &PolicySpec,
        when: &str,
        scope: RuleScope,
        sample: Sample,
    ) -> Result<Asking, CompileError> {
        let asked_of = match scope {
            RuleScope::AnySpan => Scope::Apart,
            RuleScope::SameSpan | RuleScope::NoSpan => Scope::Whole,
            RuleScope::Root => Scope::Root,
        };
        let how = condition::Asking { scope: asked_of, failures_matter: false };
        let when = self.condition(spec, when, Context::Span, how)?;
        let sample = match sample {
            Sample::Keep => Some(Threshold::ALWAYS),
            Sample::Drop => None,
            Sample::Percent(percent) => Some(Threshold::from_probability(percent / 100.0)),
        };
        Ok(Asking::Rule { when, negated: scope == RuleScope::NoSpan, sample })
    }

    fn all(&mut self, specs: &[PolicySpec]) -> Result<Expression, CompileError> {
        specs
            .iter()
            .map(|spec| self.expression(spec))
            .collect::<Result<_, _>>()
            .map(Expression::All)
    }

    fn expression(&mut self, spec: &PolicySpec) -> Result<Expression, CompileError> {
        let compiled = match &spec.kind {
            PolicyKind::AlwaysSample => Expression::Always,
            PolicyKind::Latency { threshold_ms, upper_threshold_ms } => {
                Expression::Latency { above_ms: *threshold_ms, upto_ms: *upper_threshold_ms }
            }
            PolicyKind::SpanCount { min_spans, max_spans } => {
                Expression::Spans(*min_spans..=max_spans.unwrap_or(u32::MAX))
            }
            PolicyKind::Probabilistic { sampling_percentage, hash_salt: None } => {
                Expression::Passes(Threshold::from_probability(sampling_percentage / 100.0))
            }
            PolicyKind::Probabilistic { sampling_percentage, hash_salt: Some(salt) } => {
                hashed(*sampling_percentage, salt)
            }
            PolicyKind::StatusCode { .. }
            | PolicyKind::StringAttribute { .. }
            | PolicyKind::NumericAttribute { .. }
            | PolicyKind::BooleanAttribute { .. }
            | PolicyKind::TraceState { .. }
            | PolicyKind::TraceFlags => self.of_spans(spec)?,
            PolicyKind::RateLimiting { spans_per_second, burst_capacity } => {
                self.bucket(spec, *spans_per_second, *burst_capacity, Unit::Spans)?
            }
            PolicyKind::BytesLimiting { bytes_per_second, burst_capacity } => {
                self.bucket(spec, *bytes_per_second, *burst_capacity, Unit::Bytes)?
            }
            PolicyKind::OttlCondition { span, span_event, error_mode } => {
                self.conditions(spec, span, span_event, *error_mode)?
            }
            PolicyKind::Not(negated) => Expression::Not(Box::new(self.expression(negated)?)),
            PolicyKind::And(all) => self.all(all)?,
            PolicyKind::Drop(all) => Expression::Drops(Box::new(self.all(all)?)),
            PolicyKind::Composite { max_total_spans_per_second, children } => {
                self.composite(spec, *max_total_spans_per_second, children)?
            }
            PolicyKind::Rule { .. } => {
                return Err(CompileError::NestedRule { policy: spec.name.clone() });
            }
        };
        Ok(compiled)
    }

    /// Policies that some span answers.
    fn of_spans(&mut self, spec: &PolicySpec) -> Result<Expression, CompileError> {
        let predicates = &mut self.predicates;
        let (fact, inverted) = match &spec.kind {
            PolicyKind::StatusCode { status_codes } => {
                let codes = status_codes.iter().fold(0, |codes, code| codes | 1 << *code as u8);
                (predicates.status(codes), false)
            }
            PolicyKind::StringAttribute { key, values, enabled_regex_matching, invert_match } => {
                let test = string_test(spec, values, *enabled_regex_matching)?;
                (predicates.attribute(key, test), *invert_match)
            }
            PolicyKind::NumericAttribute { key, min_value, max_value, invert_match } => {
                let range = min_value.unwrap_or(i64::MIN)..=max_value.unwrap_or(i64::MAX);
                (predicates.attribute(key, AttributeTest::Within(range)), *invert_match)
            }
            PolicyKind::BooleanAttribute { key, value, invert_match } => {
                (predicates.attribute(key, AttributeTest::Is(*value)), *invert_match)
            }
            PolicyKind::TraceState { key, values } => {
                // The Collector does not look for longer ones.
                let is_short = |value: &&String| key.len() + value.len() < LONGEST_MEMBER;
                let values: Vec<String> = values.iter().filter(is_short).cloned().collect();
                (predicates.trace_state(key, &values), false)
            }
            _ => (predicates.sampled(), false),
        };
        let fact = Expression::Fact(fact.ok_or_else(|| too_many(spec))?);
        Ok(if inverted { Expression::Not(Box::new(fact)) } else { fact })
    }

    fn bucket(
        &mut self,
        spec: &PolicySpec,
        per_second: u64,
        capacity: Option<u64>,
        unit: Unit,
    ) -> Result<Expression, CompileError> {
        let per_second = per_second as f64;
        let capacity = capacity.map_or(per_second * DEFAULT_BURST, |capacity| capacity as f64);
        let budget = self.budget(spec, Limit::Bucket { per_second, capacity })?;
        Ok(Expression::Budget { budget, unit })
    }

    fn budget(&mut self, spec: &PolicySpec, limit: Limit) -> Result<BudgetIndex, CompileError> {
        let index = u16::try_from(self.limits.len()).map_err(|_| too_many(spec))?;
        self.limits.push(limit);
        Ok(BudgetIndex(index))
    }

    fn conditions(
        &mut self,
        spec: &PolicySpec,
        span: &[String],
        span_event: &[String],
        error_mode: ErrorMode,
    ) -> Result<Expression, CompileError> {
        let spans = span.iter().map(|text| (text, Context::Span));
        let events = span_event.iter().map(|text| (text, Context::SpanEvent));
        let failures_matter = error_mode == ErrorMode::Propagate;
        if failures_matter
            && let Some(answer) = self.predicates.sequence(span, span_event).map_err(|error| {
                let (condition, source) = error;
                CompileError::Condition { policy: spec.name.clone(), condition, source }
            })?
        {
            return Ok(Expression::Conditions { any: vec![answer], on_error: OnError::Abstain });
        }
        let how = condition::Asking { scope: Scope::Whole, failures_matter };
        let mut any = Vec::with_capacity(span.len() + span_event.len());
        for (text, context) in spans.chain(events) {
            any.push(self.condition(spec, text, context, how)?);
        }
        let on_error = match error_mode {
            ErrorMode::Ignore => OnError::Pass { count: true },
            ErrorMode::Silent => OnError::Pass { count: false },
            ErrorMode::Propagate => OnError::Abstain,
        };
        Ok(Expression::Conditions { any, on_error })
    }

    fn condition(
        &mut self,
        spec: &PolicySpec,
        text: &str,
        context: Context,
        how: condition::Asking,
    ) -> Result<TraceCondition, CompileError> {
        self.predicates.condition(text, context, how).map_err(|source| CompileError::Condition {
            policy: spec.name.clone(),
            condition: text.to_owned(),
            source,
        })
    }

    fn composite(
        &mut self,
        spec: &PolicySpec,
        total: u64,
        children: &[CompositeChild],
    ) -> Result<Expression, CompileError> {
        let total_rate = total as f64;
        let even = 100.0 / children.len() as f64;
        let total = self.budget(spec, Limit::Window { per_second: total_rate })?;
        let mut compiled = Vec::with_capacity(children.len());
        for child in children {
            let percent = child.percent.unwrap_or(even);
            let per_second = total_rate * percent / 100.0;
            let budget = self.budget(spec, Limit::Window { per_second })?;
            let leaf = u16::try_from(self.leaves.len()).map_err(|_| too_many(spec))?;
            let name = child.policy.name.as_str().into();
            self.leaves.push(Leaf { policy: self.policy, name });
            let expression = self.expression(&child.policy)?;
            compiled.push(Child { expression, budget, leaf: LeafIndex(leaf) });
        }
        Ok(Expression::Composite { total, children: compiled })
    }
}

/// The same policy; of those that must all vote keep, the ones that spend budgets stand last, so
/// that nothing is spent in vain.
fn spends_last(spec: &PolicySpec) -> PolicySpec {
    let sorted = |all: &[PolicySpec]| {
        let mut all: Vec<PolicySpec> = all.iter().map(spends_last).collect();
        all.sort_by_key(spends);
        all
    };
    let kind = match &spec.kind {
        PolicyKind::And(all) => PolicyKind::And(sorted(all)),
        PolicyKind::Drop(all) => PolicyKind::Drop(sorted(all)),
        PolicyKind::Not(negated) => PolicyKind::Not(Box::new(spends_last(negated))),
        PolicyKind::Composite { max_total_spans_per_second, children } => {
            let child = |child: &CompositeChild| CompositeChild {
                policy: spends_last(&child.policy),
                percent: child.percent,
            };
            PolicyKind::Composite {
                max_total_spans_per_second: *max_total_spans_per_second,
                children: children.iter().map(child).collect(),
            }
        }
        kind => kind.clone(),
    };
    PolicySpec { kind, ..spec.clone() }
}

/// True if budgets are spent by asking the policy.
fn spends(spec: &PolicySpec) -> bool {
    match &spec.kind {
        PolicyKind::RateLimiting { .. }
        | PolicyKind::BytesLimiting { .. }
        | PolicyKind::Composite { .. } => true,
        PolicyKind::And(all) | PolicyKind::Drop(all) => all.iter().any(spends),
        PolicyKind::Not(negated) => spends(negated),
        _ => false,
    }
}

fn hashed(percentage: f64, salt: &str) -> Expression {
    if percentage <= 0.0 || percentage.is_nan() {
        return Expression::Passes(Threshold::NEVER);
    }
    if percentage >= 100.0 {
        return Expression::Always;
    }
    let salt = if salt.is_empty() { DEFAULT_HASH_SALT } else { salt };
    Expression::Hashed {
        salt: salt.as_bytes().into(),
        limit: hash_limit(percentage),
        chance: Threshold::from_probability(percentage / 100.0),
    }
}

/// `trunc(u64::MAX * percentage / 100)` as the Collector computes it, with Go's `big.Float`: the
/// product of u64::MAX and the fraction, an f64, rounded to a 64-bit mantissa.
fn hash_limit(percentage: f64) -> u64 {
    let fraction = percentage / 100.0;
    let bits = fraction.to_bits();
    let mantissa = u128::from(bits & ((1 << 52) - 1) | 1 << 52);
    let exponent = ((bits >> 52) & 0x7ff) as i32 - 1075;
    let product = u128::from(u64::MAX) * mantissa;
    let excess = (u128::BITS - product.leading_zeros()).saturating_sub(64);
    let rounded = round_half_even(product, excess);
    // The value is rounded * 2^(excess + exponent), and below 2^64.
    let shift = excess as i32 + exponent;
    if shift >= 0 {
        return (rounded << shift.min(63)) as u64;
    }
    rounded.checked_shr(shift.unsigned_abs()).unwrap_or(0) as u64
}

fn round_half_even(value: u128, drop_bits: u32) -> u128 {
    if drop_bits == 0 {
        return value;
    }
    let kept = value >> drop_bits;
    let rest = value & ((1 << drop_bits) - 1);
    let half = 1 << (drop_bits - 1);
    if rest > half || (rest == half && kept & 1 == 1) { kept + 1 } else { kept }
}

fn string_test(
    spec: &PolicySpec,
    values: &[String],
    is_regex: bool,
) -> Result<AttributeTest, CompileError> {
    if !is_regex {
        let values = values.iter().map(|value| value.as_bytes().into());
        return Ok(AttributeTest::OneOf(values.collect()));
    }
    let expressions = ottl::compile_patterns(values);
    let expressions =
        expressions.map_err(|reason| CompileError::Regex { policy: spec.name.clone(), reason })?;
    Ok(AttributeTest::Matches(expressions))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_limit_is_the_share_of_all_hashes() {
        assert_eq!(hash_limit(50.0), u64::MAX / 2);
        assert_eq!(hash_limit(25.0), u64::MAX / 4);
        let tenth = hash_limit(10.0);
        assert!(tenth.abs_diff(u64::MAX / 10) < 1 << 12, "{tenth}");
        assert_eq!(hash_limit(1e-30), 0);
    }
}
