//! From policies as written to policies that are quick to ask.

use regex::bytes::RegexSetBuilder;
use thiserror::Error;

use super::expression::Expression;
use super::predicate::{AttributeTest, Predicates};
use super::spec::{PolicyKind, PolicySpec};
use super::{Policy, PolicySet};
use crate::probability::Threshold;

/// The salt that the Collector uses where an empty one is given.
const DEFAULT_HASH_SALT: &str = "default-hash-seed";

/// Why policies that were read well cannot be compiled.
#[derive(Debug, Error)]
pub enum CompileError {
    /// A regular expression is invalid or too large.
    #[error("policy {policy:?}: {source}")]
    Regex {
        /// The policy it stands in.
        policy: String,
        /// What is wrong with it.
        #[source]
        source: regex::Error,
    },
    /// More policies or span predicates than can be numbered.
    #[error("policy {policy:?}: there are more than 65535 policies or conditions in the file")]
    TooMany {
        /// The first one that is too many.
        policy: String,
    },
    /// A `drop` policy inside another policy.
    #[error("policy {policy:?}: `drop` stands only at the top level of the file")]
    NestedDrop {
        /// The `drop` policy.
        policy: String,
    },
}

/// Compiles the policies of a file, in its order.
pub fn compile(specs: &[PolicySpec]) -> Result<PolicySet, CompileError> {
    let mut predicates = Predicates::default();
    let mut policies = Vec::with_capacity(specs.len());
    for spec in specs {
        if policies.len() > usize::from(u16::MAX) {
            return Err(CompileError::TooMany { policy: spec.name.clone() });
        }
        let (drops, expression) = match &spec.kind {
            PolicyKind::Drop(all) => (true, Expression::All(compile_all(all, &mut predicates)?)),
            _ => (false, expression(spec, &mut predicates)?),
        };
        policies.push(Policy { name: spec.name.clone(), drops, expression });
    }
    Ok(PolicySet { policies, predicates })
}

fn compile_all(
    specs: &[PolicySpec],
    predicates: &mut Predicates,
) -> Result<Vec<Expression>, CompileError> {
    specs.iter().map(|spec| expression(spec, predicates)).collect()
}

fn expression(spec: &PolicySpec, predicates: &mut Predicates) -> Result<Expression, CompileError> {
    let too_many = || CompileError::TooMany { policy: spec.name.clone() };
    let compiled = match &spec.kind {
        PolicyKind::AlwaysSample => Expression::Always,
        PolicyKind::StatusCode { status_codes } => {
            let codes = status_codes.iter().fold(0, |codes, code| codes | 1 << *code as u8);
            Expression::Fact(predicates.status(codes).ok_or_else(too_many)?)
        }
        PolicyKind::Latency { threshold_ms, upper_threshold_ms } => {
            Expression::Latency { above_ms: *threshold_ms, upto_ms: *upper_threshold_ms }
        }
        PolicyKind::Probabilistic { sampling_percentage, hash_salt: None } => {
            Expression::Passes(Threshold::from_probability(sampling_percentage / 100.0))
        }
        PolicyKind::Probabilistic { sampling_percentage, hash_salt: Some(salt) } => {
            hashed(*sampling_percentage, salt)
        }
        PolicyKind::StringAttribute { key, values, enabled_regex_matching, invert_match } => {
            let test = string_test(spec, values, *enabled_regex_matching)?;
            let fact = predicates.attribute(key, test).ok_or_else(too_many)?;
            negated_if(*invert_match, Expression::Fact(fact))
        }
        PolicyKind::NumericAttribute { key, min_value, max_value, invert_match } => {
            let range = min_value.unwrap_or(i64::MIN)..=max_value.unwrap_or(i64::MAX);
            let fact = predicates.attribute(key, AttributeTest::Within(range));
            negated_if(*invert_match, Expression::Fact(fact.ok_or_else(too_many)?))
        }
        PolicyKind::BooleanAttribute { key, value, invert_match } => {
            let fact = predicates.attribute(key, AttributeTest::Is(*value));
            negated_if(*invert_match, Expression::Fact(fact.ok_or_else(too_many)?))
        }
        PolicyKind::SpanCount { min_spans, max_spans } => {
            Expression::Spans(*min_spans..=max_spans.unwrap_or(u32::MAX))
        }
        PolicyKind::TraceState { key, values } => {
            Expression::Fact(predicates.trace_state(key, values).ok_or_else(too_many)?)
        }
        PolicyKind::TraceFlags => Expression::Fact(predicates.sampled().ok_or_else(too_many)?),
        PolicyKind::Not(negated) => Expression::Not(Box::new(expression(negated, predicates)?)),
        PolicyKind::And(all) => Expression::All(compile_all(all, predicates)?),
        PolicyKind::Drop(_) => {
            return Err(CompileError::NestedDrop { policy: spec.name.clone() });
        }
    };
    Ok(compiled)
}

fn negated_if(negated: bool, expression: Expression) -> Expression {
    if negated { Expression::Not(Box::new(expression)) } else { expression }
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
    let expressions = RegexSetBuilder::new(values).build();
    let expressions =
        expressions.map_err(|source| CompileError::Regex { policy: spec.name.clone(), source })?;
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
