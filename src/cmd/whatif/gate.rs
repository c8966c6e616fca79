//! `--fail-if`: conditions on what a candidate changes, for pipelines.

use super::summary::{Amount, Change, Summary};
use crate::units;

/// What is expected, for error messages.
const EXPECTED: &str =
    "expected e.g. 'lost(errors) > 0', 'lost > 1%', 'bytes > +10%', 'spans > 5000000'";

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition {
    text: String,
    subject: Subject,
    order: Order,
    limit: Limit,
}

/// What is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Subject {
    /// Traces that the old side keeps, on account of this policy or of any, and the candidate drops.
    Lost(Option<String>),
    /// Traces that the old side drops and the candidate keeps, on account of this policy or of any.
    Gained(Option<String>),
    /// What the candidate keeps.
    Kept(Unit),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Traces,
    Spans,
    Bytes,
    Money,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    More,
    NotLess,
    Less,
    NotMore,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    /// So much.
    Absolute(f64),
    /// So much more than before, or less.
    Change(f64),
    /// In percent: of lost traces, of what was kept before; else by how much it changes.
    Percent(f64),
}

/// What came of a condition.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Judged {
    /// It holds: this is a failure.
    pub(super) holds: bool,
    /// What it was compared with.
    pub(super) found: String,
}

/// Reads a condition.
pub(super) fn condition(text: &str) -> Result<Condition, String> {
    let wrong = |what: &str| format!("{what}: {EXPECTED}");
    let place = text.find(['<', '>']).ok_or_else(|| wrong("there is no > or <"))?;
    let (subject, rest) = text.split_at(place);
    let (order, limit) = match rest.as_bytes() {
        [b'>', b'=', ..] => (Order::NotLess, &rest[2..]),
        [b'>', ..] => (Order::More, &rest[1..]),
        [b'<', b'=', ..] => (Order::NotMore, &rest[2..]),
        _ => (Order::Less, &rest[1..]),
    };
    let subject = self::subject(subject.trim())
        .ok_or_else(|| wrong("it is about none of lost, gained, traces, spans, bytes, money"))?;
    let limit =
        self::limit(limit.trim(), &subject).ok_or_else(|| wrong("the limit is no number"))?;
    Ok(Condition { text: text.trim().to_owned(), subject, order, limit })
}

fn subject(text: &str) -> Option<Subject> {
    let kept = |unit| Some(Subject::Kept(unit));
    match text {
        "lost" => return Some(Subject::Lost(None)),
        "gained" => return Some(Subject::Gained(None)),
        "traces" => return kept(Unit::Traces),
        "spans" => return kept(Unit::Spans),
        "bytes" => return kept(Unit::Bytes),
        "money" => return kept(Unit::Money),
        _ => {}
    }
    let (name, policy) = text.strip_suffix(')')?.split_once('(')?;
    let policy = Some(policy.trim().to_owned()).filter(|policy| !policy.is_empty());
    match name.trim() {
        "lost" => Some(Subject::Lost(Some(policy?))),
        "gained" => Some(Subject::Gained(Some(policy?))),
        _ => None,
    }
}

fn limit(text: &str, subject: &Subject) -> Option<Limit> {
    if let Some(percent) = text.strip_suffix('%') {
        return number(percent.trim()).map(Limit::Percent);
    }
    let (sign, digits) = match text.as_bytes().first()? {
        b'+' => (Some(1.0), &text[1..]),
        b'-' => (Some(-1.0), &text[1..]),
        _ => (None, text),
    };
    let value = match subject {
        Subject::Kept(Unit::Bytes) => units::parse_size(digits).ok()? as f64,
        _ => number(digits)?,
    };
    match (sign, subject) {
        (Some(sign), Subject::Kept(_)) => Some(Limit::Change(sign * value)),
        (Some(_), _) => None,
        (None, _) => Some(Limit::Absolute(value)),
    }
}

fn number(text: &str) -> Option<f64> {
    text.replace('_', "").parse().ok().filter(|number: &f64| number.is_finite())
}

impl Condition {
    /// As it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The policy that it names.
    pub(super) fn policy(&self) -> Option<&str> {
        match &self.subject {
            Subject::Lost(policy) | Subject::Gained(policy) => policy.as_deref(),
            Subject::Kept(_) => None,
        }
    }

    /// True if it is about money.
    pub(super) fn needs_price(&self) -> bool {
        self.subject == Subject::Kept(Unit::Money)
    }

    /// Whether it holds.
    pub(super) fn judge(&self, summary: &Summary<'_>) -> Judged {
        let (before, now) = match &self.subject {
            Subject::Lost(policy) => {
                let lost = sum(&summary.changes, policy.as_deref(), |change| change.old);
                (kept_before(summary, policy.as_deref()), lost)
            }
            Subject::Gained(policy) => {
                let gained = sum(&summary.changes, policy.as_deref(), |change| change.new);
                (summary.kept_before.traces.value, gained)
            }
            Subject::Kept(unit) => {
                (value(&summary.kept_before, *unit), value(&summary.kept_now, *unit))
            }
        };
        let is_part = !matches!(self.subject, Subject::Kept(_));
        let (found, limit, unit) = match self.limit {
            Limit::Absolute(limit) => (now, limit, ""),
            Limit::Change(limit) => (now - before, limit, " more than before"),
            Limit::Percent(limit) if is_part => {
                (percent(now, before), limit, " % of what was kept")
            }
            Limit::Percent(limit) => (percent(now - before, before), limit, " % more than before"),
        };
        let holds = match self.order {
            Order::More => found > limit,
            Order::NotLess => found >= limit,
            Order::Less => found < limit,
            Order::NotMore => found <= limit,
        };
        Judged { holds, found: format!("{}{unit}", short(found)) }
    }
}

/// At most two digits behind the point.
fn short(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn percent(part: f64, whole: f64) -> f64 {
    match (part, whole) {
        (0.0, _) => 0.0,
        (part, 0.0) => part.signum() * f64::INFINITY,
        (part, whole) => part / whole * 100.0,
    }
}

fn value(amount: &Amount, unit: Unit) -> f64 {
    match unit {
        Unit::Traces => amount.traces.value,
        Unit::Spans => amount.spans.value,
        Unit::Bytes => amount.bytes.value,
        Unit::Money => amount.money.map_or(0.0, |money| money.value),
    }
}

/// Traces of the changes in which one side keeps on account of this policy, or of any.
fn sum<'a>(
    changes: &[Change<'a>],
    policy: Option<&str>,
    side: impl Fn(&Change<'a>) -> &'a crate::whatif::Verdict,
) -> f64 {
    let is_it = |change: &&Change<'a>| {
        let verdict = side(change);
        verdict.kept && policy.is_none_or(|policy| verdict.policy.as_deref() == Some(policy))
    };
    changes.iter().filter(is_it).fold(0.0, |sum, change| sum + change.amount.traces.value)
}

fn kept_before(summary: &Summary<'_>, policy: Option<&str>) -> f64 {
    let Some(policy) = policy else { return summary.kept_before.traces.value };
    let row = summary.policies.iter().find(|row| row.name == policy);
    row.map_or(0.0, |row| row.kept_before.traces.value)
}

#[cfg(test)]
mod tests {
    use super::super::summary::Scale;
    use super::super::tests::an_outcome;
    use super::*;

    #[test]
    fn conditions_are_read_or_refused_with_an_example() {
        for text in [
            "lost > 0",
            "lost(errors)>0",
            "gained ( slow ) >= 5",
            "bytes > +10%",
            "bytes>-5MB",
            "spans <= 5_000",
            "money > 12.5",
            "traces < 3 %",
        ] {
            assert!(condition(text).is_ok(), "{text}: {:?}", condition(text));
        }
        for text in
            ["lost", "lost() > 0", "kept(a) > 0", "bytes > much", "lost > +1", "lost > NaN", ""]
        {
            let error = condition(text).unwrap_err();
            assert!(error.contains("lost(errors) > 0"), "{text}: {error}");
        }
        assert_eq!(condition("lost(a) > 0").unwrap().policy(), Some("a"));
        assert!(condition("money > 0").unwrap().needs_price());
    }

    #[test]
    fn a_condition_holds_or_not() {
        let outcome = an_outcome();
        let scale = Scale::of(&outcome, Some(2.0));
        let summary = Summary::of(&outcome.candidates[0], &scale);
        let judge = |text: &str| condition(text).unwrap().judge(&summary);
        for (text, holds, found) in [
            // Kept before: 10 by errors, of which 4 are lost, and 5 by slow; newly kept: 8 by more.
            ("lost > 3", true, "4"),
            ("lost > 4", false, "4"),
            ("lost(errors) >= 40%", true, "40 % of what was kept"),
            ("lost(slow) > 0", false, "0"),
            ("gained(more) > 7", true, "8"),
            ("gained(slow) > 0", false, "0"),
            ("traces > +25%", true, "26.67 % more than before"),
            ("traces > +4", false, "4 more than before"),
            ("bytes <= 1900B", true, "1900"),
            ("spans < 38", false, "38"),
            ("money > 0", true, "0"),
        ] {
            let expected = Judged { holds, found: found.to_owned() };
            assert_eq!(judge(text), expected, "{text}");
        }
    }
}
