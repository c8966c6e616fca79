//! Policies whose answer does not depend on the trace.

use super::{Lint, parts};
use crate::config::document::Node;
use crate::sampling::ottl::{self, Context, Fields, Level};
use crate::sampling::policy::spec::{CompositeChild, PolicyKind, PolicySpec, RuleScope};

/// What a policy can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Never,
    Always,
    Sometimes,
}

impl Verdict {
    fn negated(self) -> Self {
        match self {
            Self::Never => Self::Always,
            Self::Always => Self::Never,
            Self::Sometimes => Self::Sometimes,
        }
    }
}

/// A leaf's verdict, with the key of its block that makes it so, and why.
type Reason = (Verdict, &'static str, String);

/// What the policy can answer. Warns, where it never matches, of what makes it so.
pub(super) fn verdict(lint: &Lint<'_>, spec: &PolicySpec, node: &Node) -> Verdict {
    let of_parts: Vec<Verdict> =
        parts(spec, node).into_iter().map(|(spec, node)| verdict(lint, spec, node)).collect();
    match &spec.kind {
        PolicyKind::And(_) | PolicyKind::Drop(_) => all(&of_parts),
        PolicyKind::Not(_) => of_parts.first().map_or(Verdict::Sometimes, |it| it.negated()),
        PolicyKind::Composite { max_total_spans_per_second: 0, .. } => {
            let why = "a budget of 0 lets nothing through".to_owned();
            tell(lint, spec, node, (Verdict::Never, "max_total_spans_per_second", why))
        }
        PolicyKind::Composite { .. } => {
            let is_never = of_parts.iter().all(|it| *it == Verdict::Never);
            if is_never { Verdict::Never } else { Verdict::Sometimes }
        }
        kind => leaf(kind).map_or(Verdict::Sometimes, |reason| tell(lint, spec, node, reason)),
    }
}

fn tell(lint: &Lint<'_>, spec: &PolicySpec, node: &Node, reason: Reason) -> Verdict {
    let (verdict, key, why) = reason;
    if verdict == Verdict::Never {
        let place = node.find(&format!("{}.{key}", spec.kind.type_name())).place;
        let message = format!("policy `{}` can never match: {why}", spec.name);
        lint.warn(place, message, "correct it, or take the policy out");
    }
    verdict
}

fn all(parts: &[Verdict]) -> Verdict {
    if parts.contains(&Verdict::Never) {
        Verdict::Never
    } else if parts.iter().all(|part| *part == Verdict::Always) {
        Verdict::Always
    } else {
        Verdict::Sometimes
    }
}

fn leaf(kind: &PolicyKind) -> Option<Reason> {
    let never = |key, why: String| Some((Verdict::Never, key, why));
    let always = Some((Verdict::Always, "", String::new()));
    match kind {
        PolicyKind::AlwaysSample => always,
        PolicyKind::Latency { threshold_ms, upper_threshold_ms: Some(upper) }
            if upper <= threshold_ms =>
        {
            let why = format!("no duration is above {threshold_ms} ms and not above {upper} ms");
            never("upper_threshold_ms", why)
        }
        PolicyKind::SpanCount { min_spans, max_spans: Some(most) } if most < min_spans => {
            never("max_spans", format!("max_spans {most} is below min_spans {min_spans}"))
        }
        PolicyKind::SpanCount { min_spans: 0 | 1, max_spans: None } => always,
        PolicyKind::NumericAttribute {
            min_value: Some(least),
            max_value: Some(most),
            invert_match,
            ..
        } if most < least => {
            let why = format!("max_value {most} is below min_value {least}");
            if *invert_match { always } else { never("max_value", why) }
        }
        PolicyKind::Probabilistic { sampling_percentage, .. } => match sampling_percentage {
            ..=0.0 => never("sampling_percentage", "it keeps 0 % of the traces".to_owned()),
            100.0.. => always,
            _ => None,
        },
        PolicyKind::StatusCode { status_codes } => {
            let has_all = (0..3).all(|code| status_codes.iter().any(|it| *it as u8 == code));
            if has_all { always } else { None }
        }
        PolicyKind::RateLimiting { spans_per_second: 0, burst_capacity: None } => {
            never("spans_per_second", "a budget of 0 lets nothing through".to_owned())
        }
        PolicyKind::BytesLimiting { bytes_per_second: 0, burst_capacity: None } => {
            never("bytes_per_second", "a budget of 0 lets nothing through".to_owned())
        }
        PolicyKind::OttlCondition { span, span_event, .. } => conditions(span, span_event),
        PolicyKind::Rule { when, scope, .. } => match (constant(when, Context::Span)?, scope) {
            (true, RuleScope::NoSpan)
            | (false, RuleScope::AnySpan | RuleScope::SameSpan | RuleScope::Root) => {
                never("when", "the condition does not depend on the trace".to_owned())
            }
            // Not every trace has a root.
            (true, RuleScope::Root) => None,
            _ => always,
        },
        _ => None,
    }
}

fn conditions(span: &[String], span_event: &[String]) -> Option<Reason> {
    let of_spans: Vec<_> = span.iter().map(|text| constant(text, Context::Span)).collect();
    let of_events: Vec<_> =
        span_event.iter().map(|text| constant(text, Context::SpanEvent)).collect();
    if of_spans.contains(&Some(true)) {
        return Some((Verdict::Always, "span", String::new()));
    }
    let is_never = of_spans.iter().chain(&of_events).all(|answer| *answer == Some(false));
    let key = if span.is_empty() { "spanevent" } else { "span" };
    is_never.then(|| (Verdict::Never, key, "no condition can be true".to_owned()))
}

/// The answer of a condition that does not depend on the trace.
fn constant(text: &str, context: Context) -> Option<bool> {
    let condition = ottl::compile(text, context).ok()?;
    let leaves = condition.leaves();
    if leaves.iter().any(|leaf| leaf.level() != Level::Constant) {
        return None;
    }
    let mut answer = |leaf: usize| leaves[leaf].evaluate(&Fields::default());
    condition.skeleton().evaluate(&mut answer).ok()
}

/// True if asking the policy spends a budget.
pub(super) fn spends(kind: &PolicyKind) -> bool {
    match kind {
        PolicyKind::RateLimiting { .. }
        | PolicyKind::BytesLimiting { .. }
        | PolicyKind::Composite { .. } => true,
        PolicyKind::And(all) | PolicyKind::Drop(all) => all.iter().any(|it| spends(&it.kind)),
        PolicyKind::Not(negated) => spends(&negated.kind),
        _ => false,
    }
}

/// The share of a composite's child in percent of its total.
pub(super) fn percent(child: &CompositeChild, children: usize) -> f64 {
    child.percent.unwrap_or(100.0 / children as f64)
}
