//! Decisions with their reasons, for people. Not on the hot path: it allocates as it likes.

use super::budget::{BudgetIndex, Budgets};
use super::condition::TraceCondition;
use super::expression::{Asked, Child, Expression, Unit};
use super::judge::{Answer, Decision, Observer, Said};
use super::spec::{PolicyKind, PolicySpec, RuleScope, Sample};
use super::vote::{LeafIndex, Vote};
use super::{Asking, PolicyIndex, PolicySet};
use crate::ids::Timestamp;
use crate::otlp::probability::Threshold;
use crate::sampling::facts::Summary;

/// A decision, and how it came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The decision.
    pub decision: Decision,
    /// What the policies said, in the order of the file. Those that were not asked are not here.
    pub votes: Vec<Voted>,
}

/// What one policy said, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voted {
    /// Which one.
    pub policy: PolicyIndex,
    /// What it said.
    pub said: Said,
    /// Why, in a few words, such as `latency: 340 ms <= 1000 ms`.
    pub reason: String,
    /// Some condition of it could not be evaluated.
    pub failed: bool,
}

/// Takes down who said what.
#[derive(Default)]
struct Minutes {
    said: Vec<(PolicyIndex, Said)>,
    failed: Vec<PolicyIndex>,
}

impl Observer for Minutes {
    fn voted(&mut self, policy: PolicyIndex, said: Said) {
        self.said.push((policy, said));
    }

    fn failed(&mut self, policy: PolicyIndex) {
        self.failed.push(policy);
    }

    fn leaf_voted(&mut self, _: LeafIndex) {}
}

impl PolicySet {
    /// Decides a trace as [`PolicySet::decide`] does, and tells why.
    pub fn explain(&self, trace: &Summary, now: Timestamp, budgets: &mut Budgets) -> Explanation {
        let before = budgets.clone();
        let mut minutes = Minutes::default();
        let decision = self.decide(trace, now, budgets, &mut minutes);
        minutes.said.sort_by_key(|(policy, _)| *policy);
        let explained = |(policy, said): (PolicyIndex, Said)| Voted {
            policy,
            said,
            reason: self.reason(policy, trace, now, &before),
            failed: minutes.failed.contains(&policy),
        };
        let votes = minutes.said.iter().copied().map(explained).collect();
        Explanation { decision, votes }
    }

    fn reason(
        &self,
        index: PolicyIndex,
        trace: &Summary,
        now: Timestamp,
        then: &Budgets,
    ) -> String {
        let policy = &self.policies[usize::from(index.0)];
        let mut budgets = then.clone();
        let mut leaf = None;
        let budgets = &mut budgets;
        let mut asked = Asked { trace, now, budgets, failed: false, leaf_voted: &mut leaf };
        match &policy.asking {
            Asking::Whole(expression) => reason(&policy.spec, expression, &mut asked),
            Asking::Rule { sample, .. } => {
                let answer = policy.answer(&mut asked);
                rule_reason(&policy.spec, *sample, &answer, trace)
            }
        }
    }
}

/// Why the expression of `spec` votes as it does.
fn reason(spec: &PolicySpec, expression: &Expression, asked: &mut Asked<'_>) -> String {
    let kind = spec.kind.type_name();
    let why = match (&spec.kind, expression) {
        (PolicyKind::And(specs), Expression::All(all)) => reason_of_all(specs, all, asked),
        (PolicyKind::Drop(specs), Expression::Drops(all)) => match &**all {
            Expression::All(all) => reason_of_all(specs, all, asked),
            _ => String::new(),
        },
        (PolicyKind::Not(spec), Expression::Not(negated)) => reason(spec, negated, asked),
        (
            PolicyKind::Composite { children: specs, .. },
            Expression::Composite { total, children },
        ) => {
            let specs: Vec<&PolicySpec> = specs.iter().map(|child| &child.policy).collect();
            reason_of_composite(&specs, *total, children, asked)
        }
        (_, Expression::Budget { budget, unit }) => reason_of_budget(*budget, *unit, asked),
        (
            PolicyKind::OttlCondition { span, span_event, .. },
            Expression::Conditions { any, .. },
        ) => {
            let texts: Vec<&str> = span.iter().chain(span_event).map(String::as_str).collect();
            let together = texts.join("; ");
            let texts = if any.len() == texts.len() { texts } else { vec![&*together] };
            reason_of_conditions(&texts, any, asked.trace)
        }
        _ => {
            let holds = matches!(expression.evaluate(asked), Vote::Keep(_));
            return match simple_reason(&spec.kind, holds, asked.trace) {
                why if why.is_empty() => kind.to_owned(),
                why => format!("{kind}: {why}"),
            };
        }
    };
    format!("{kind}: {why}")
}

/// The first that does not vote keep; all of them if there is none.
fn reason_of_all(specs: &[PolicySpec], all: &[Expression], asked: &mut Asked<'_>) -> String {
    let mut reasons = Vec::new();
    for (spec, expression) in specs.iter().zip(all) {
        let why = format!("{}: {}", spec.name, reason(spec, expression, asked));
        if matches!(expression.evaluate(asked), Vote::None | Vote::Failed) {
            return why;
        }
        reasons.push(why);
    }
    reasons.join("; ")
}

fn reason_of_composite(
    specs: &[&PolicySpec],
    total: BudgetIndex,
    children: &[Child],
    asked: &mut Asked<'_>,
) -> String {
    let mut reasons = Vec::new();
    for (spec, child) in specs.iter().zip(children) {
        let why = reason(spec, &child.expression, asked);
        let vote = child.expression.evaluate(asked);
        if matches!(vote, Vote::None | Vote::Failed) {
            reasons.push(format!("{}: {why}", spec.name));
            continue;
        }
        let share = reason_of_budget(child.budget, Unit::Spans, asked);
        let all = reason_of_budget(total, Unit::Spans, asked);
        reasons.push(format!("{}: {why}, {share} of its own, {all} in all", spec.name));
        let spans = Unit::Spans.amount(asked.trace);
        let now = asked.now;
        if asked.budgets.spend(child.budget, spans, now) && asked.budgets.spend(total, spans, now) {
            break;
        }
    }
    reasons.join("; ")
}

fn reason_of_budget(budget: BudgetIndex, unit: Unit, asked: &mut Asked<'_>) -> String {
    let amount = unit.amount(asked.trace);
    let left = asked.budgets.left_at(budget, asked.now);
    let mut trial = asked.budgets.clone();
    let (sign, what) = match (trial.spend(budget, amount, asked.now), unit) {
        (true, Unit::Spans) => ("<=", "spans"),
        (true, Unit::Bytes) => ("<=", "bytes"),
        (false, Unit::Spans) => (">", "spans"),
        (false, Unit::Bytes) => (">", "bytes"),
    };
    let share = if trial.has_shares(budget) { " of this partition's share" } else { "" };
    format!("{amount} {what} {sign} {:.0} left{share}", left.max(0.0).floor())
}

fn reason_of_conditions(texts: &[&str], any: &[TraceCondition], trace: &Summary) -> String {
    let outcomes: Vec<_> = any.iter().map(|condition| condition.evaluate(trace)).collect();
    if let Some(at) = outcomes.iter().position(|outcome| outcome.holds) {
        return format!("true: {}", texts[at]);
    }
    let failed = match outcomes.iter().position(|outcome| outcome.failed) {
        Some(at) => format!("; could not be evaluated for some span: {}", texts[at]),
        None => String::new(),
    };
    match texts {
        [only] => format!("never true: {only}{failed}"),
        _ => format!("none of {} conditions is ever true{failed}", texts.len()),
    }
}

fn rule_reason(
    spec: &PolicySpec,
    sample: Option<Threshold>,
    answer: &Answer,
    trace: &Summary,
) -> String {
    let PolicyKind::Rule { when, scope, sample: written } = &spec.kind else {
        return String::new();
    };
    let scope = match scope {
        RuleScope::AnySpan => "",
        RuleScope::SameSpan => " (same_span)",
        RuleScope::NoSpan => " (no_span)",
        RuleScope::Root => " (root)",
    };
    if !answer.is_final {
        return format!("rule: does not match{scope}: {when}");
    }
    let then = match (written, sample) {
        (Sample::Keep, _) => "keep".to_owned(),
        (Sample::Drop, _) | (_, None) => "drop".to_owned(),
        (Sample::Percent(percent), Some(threshold)) => {
            format!("{percent} %: {}", randomness_reason(threshold, trace))
        }
    };
    format!("rule: matches{scope}: {when}: {then}")
}

fn randomness_reason(threshold: Threshold, trace: &Summary) -> String {
    let randomness = trace.randomness();
    let sign = if threshold.keeps(randomness) { ">=" } else { "<" };
    if threshold == Threshold::NEVER {
        return "never".to_owned();
    }
    format!("randomness {randomness:014x} {sign} {:014x}", threshold.value())
}

/// The reason of a policy that asks one thing.
fn simple_reason(kind: &PolicyKind, holds: bool, trace: &Summary) -> String {
    let some =
        |what: String| if holds { format!("a span {what}") } else { format!("no span {what}") };
    let found = |inverted: bool, what: String| match holds != inverted {
        true => format!("there is {what}"),
        false => format!("there is no {what}"),
    };
    match kind {
        PolicyKind::StatusCode { status_codes } => {
            let names: Vec<&str> = status_codes.iter().map(|code| code.name()).collect();
            some(format!("is {}", names.join(" or ")))
        }
        PolicyKind::Latency { threshold_ms, upper_threshold_ms } => {
            let millis = trace.duration().as_millis();
            match upper_threshold_ms {
                _ if millis <= u128::from(*threshold_ms) => {
                    format!("{millis} ms <= {threshold_ms} ms")
                }
                Some(upper) if millis > u128::from(*upper) => format!("{millis} ms > {upper} ms"),
                Some(upper) => format!("{threshold_ms} ms < {millis} ms <= {upper} ms"),
                None => format!("{millis} ms > {threshold_ms} ms"),
            }
        }
        PolicyKind::SpanCount { min_spans, max_spans } => {
            let spans = trace.spans;
            match max_spans {
                _ if spans < *min_spans => format!("{spans} spans < {min_spans}"),
                Some(most) if spans > *most => format!("{spans} spans > {most}"),
                Some(most) => format!("{min_spans} <= {spans} spans <= {most}"),
                None => format!("{spans} spans >= {min_spans}"),
            }
        }
        PolicyKind::Probabilistic { sampling_percentage, hash_salt: None } => {
            let threshold = Threshold::from_probability(sampling_percentage / 100.0);
            format!("{sampling_percentage} %: {}", randomness_reason(threshold, trace))
        }
        PolicyKind::Probabilistic { sampling_percentage, hash_salt: Some(_) } => {
            let side = if holds { "within" } else { "beyond" };
            format!("{sampling_percentage} %: the salted hash of the trace id is {side} it")
        }
        PolicyKind::StringAttribute { key, values, enabled_regex_matching, invert_match } => {
            let verb = if *enabled_regex_matching { "matching" } else { "of" };
            found(*invert_match, format!("{key} {verb} {}", values.join(", ")))
        }
        PolicyKind::NumericAttribute { key, min_value, max_value, invert_match } => {
            let least = min_value.map_or_else(String::new, |least| format!("{least} <= "));
            let most = max_value.map_or_else(String::new, |most| format!(" <= {most}"));
            found(*invert_match, format!("{least}{key}{most}"))
        }
        PolicyKind::BooleanAttribute { key, value, invert_match } => {
            found(*invert_match, format!("{key} {value}"))
        }
        PolicyKind::TraceState { key, values } => {
            some(format!("has {key} of {} in its tracestate", values.join(", ")))
        }
        PolicyKind::TraceFlags => some("has the sampled flag".to_owned()),
        _ => String::new(),
    }
}
