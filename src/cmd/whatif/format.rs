//! Figures and what is said of them, in words: the same in all forms of output.

use std::time::Duration;

use super::summary::{Amount, Change, Remark, Scale, Summary, Waiting};
use crate::cmd::decisions::entry::time;
use crate::cmd::printable::printable;
use crate::ids::Timestamp;
use crate::whatif::{Candidate, Edges, Estimate, Outcome, Verdict};

/// A trace with this share of the bytes is named.
const HOT: f64 = 0.05;

/// Characters of a name that are shown.
const LONGEST_NAME: usize = 80;

/// The most digits behind the point of an amount of money.
const MOST_DIGITS: i32 = 6;

/// What was read.
pub(super) fn head(outcome: &Outcome) -> String {
    let sample = outcome.sample();
    let range = outcome.from_unix_milli.zip(outcome.to_unix_milli);
    let range = range.map_or_else(String::new, |(from, to)| {
        format!(", {} to {}", time(Timestamp(from)), time(Timestamp(to)))
    });
    let part = match sample.is_whole() {
        true => String::new(),
        false => format!(
            ", {} of {} partitions: figures are scaled up, ± is half of a 95 % interval",
            sample.read, sample.of
        ),
    };
    format!("{}{range}{part}", outcome.source)
}

/// What the change comes to, if something was kept before.
pub(super) fn change(summary: &Summary<'_>) -> Option<String> {
    let (before, change) = (summary.kept_before.bytes.value, &summary.change);
    let percent = (before > 0.0).then(|| change.bytes.value / before * 100.0)?;
    let mut text = format!("that is {percent:+.1} % of the bytes that are kept");
    if let Some(money) = change.money {
        text += &format!(", {} of money in this range", signed(money.value));
    }
    if let Some(month) = summary.change_per_month {
        text += &format!(", {} in 30 days like this", signed(month));
    }
    Some(text)
}

/// By how much it is more, or less.
pub(super) fn percent(before: f64, now: f64) -> String {
    match (before, now) {
        (before, now) if before == now => "unchanged".to_owned(),
        (0.0, _) => "nothing before".to_owned(),
        (before, now) => format!("{:+.1} %", (now - before) / before * 100.0),
    }
}

/// What money is, if there is a price.
pub(super) fn price(scale: &Scale) -> Option<String> {
    let price = money(Estimate::exact(scale.price_per_gb()?));
    Some(format!("money: {price} for each GB (10^9 bytes) of kept spans"))
}

/// The trace that has a large share of all bytes, if there is one.
pub(super) fn hot(outcome: &Outcome, candidate: &Candidate) -> Option<String> {
    let largest = candidate.tally.largest.as_ref()?;
    let share = largest.bytes as f64 / outcome.read.bytes.max(1) as f64;
    let (percent, id, partition) = (share * 100.0, &largest.trace_id, largest.partition);
    (share >= HOT).then(|| {
        format!("{id} (partition {partition}) alone has {percent:.0} % of the bytes that were read")
    })
}

/// The policies with this remark.
pub(super) fn with(summary: &Summary<'_>, remark: Remark) -> String {
    let rows = summary.policies.iter().filter(|row| row.remark == Some(remark));
    rows.map(|row| name(row.name)).collect::<Vec<_>>().join(", ")
}

/// Why traces were not compared, if some were not.
pub(super) fn edges(edges: &Edges) -> Option<String> {
    let reasons = [
        (edges.began_before, "began before the range"),
        (edges.undecided, "were not decided at its end"),
        (edges.not_on_record, "have no decision on record"),
        (edges.only_on_record, "have a decision on record only"),
    ];
    let told = reasons.iter().filter(|(count, _)| *count > 0);
    let told: Vec<String> = told.map(|(count, what)| format!("{count} {what}")).collect();
    (!told.is_empty()).then(|| format!("{} traces: {}", edges.traces(), told.join(", ")))
}

/// Why no trace was compared.
pub(super) fn nothing(outcome: &Outcome) -> String {
    let edges = outcome.candidates.first().map(|it| &it.tally.edges);
    let why = edges.and_then(self::edges).unwrap_or_else(|| "none began in that range".to_owned());
    let is_off_record = edges.is_some_and(|it| it.not_on_record > 0);
    let hint = "; --baseline compares with a policy file instead";
    format!("no trace was compared: {why}{}", if is_off_record { hint } else { "" })
}

/// The candidates that are the file of this one with other waits, which come behind it.
pub(super) fn other_waits(outcome: &Outcome, number: usize) -> &[Candidate] {
    let behind = &outcome.candidates[number + 1..];
    let end = behind.iter().position(|it| it.decision_wait_millis.is_none());
    &behind[..end.unwrap_or(behind.len())]
}

/// The files themselves, by their numbers.
pub(super) fn files(outcome: &Outcome) -> impl Iterator<Item = (usize, &Candidate)> {
    let all = outcome.candidates.iter().enumerate();
    all.filter(|(_, candidate)| candidate.decision_wait_millis.is_none())
}

/// The head of the table of waits.
pub(super) const WAITS: [&str; 6] =
    ["decision_wait", "late spans", "traces cut", "open memory", "mean delay", "kept"];

/// A row of the table of waits.
pub(super) fn wait(candidate: &Candidate, scale: &Scale) -> [String; 6] {
    let summary = Summary::of(candidate, scale);
    let Waiting { late_spans, late_traces, mean_delay_millis, most_open_bytes } = summary.waiting;
    let number = |value: f64| grouped(value.round() as u64);
    let wait = candidate.decision_wait_millis.map(Duration::from_millis);
    [
        wait.map_or_else(
            || "as in the file".to_owned(),
            |it| humantime::format_duration(it).to_string(),
        ),
        number(late_spans),
        number(late_traces),
        size(Estimate::exact(most_open_bytes)),
        format!("{:.1} s", mean_delay_millis / 1000.0),
        pair(&summary.kept_now),
    ]
}

/// A text that others have chosen: harmless for terminals, and cut where it is long.
pub(super) fn name(text: &str) -> String {
    printable(text, LONGEST_NAME)
}

/// A service, which may have no name.
pub(super) fn service(name: &str) -> &str {
    if name.is_empty() { "(none)" } else { name }
}

/// From which verdict to which.
pub(super) fn way(change: &Change<'_>) -> String {
    format!("{} -> {}", verdict(change.old), verdict(change.new))
}

/// A verdict, in words.
fn verdict(verdict: &Verdict) -> String {
    match (verdict.kept, &verdict.policy) {
        (true, Some(policy)) => format!("kept by {}", name(policy)),
        (true, None) => "kept".to_owned(),
        (false, Some(policy)) => format!("dropped by {}", name(policy)),
        (false, None) => "dropped".to_owned(),
    }
}

/// Traces and bytes.
pub(super) fn pair(amount: &Amount) -> String {
    format!("{}  {}", count(amount.traces), size(amount.bytes))
}

/// A number; with half of its interval, if it is not known exactly.
pub(super) fn count(estimate: Estimate) -> String {
    let number = grouped(estimate.value.round().max(0.0) as u64);
    number + &margin(estimate)
}

/// All digits; or between what it is, if it is not known exactly.
pub(super) fn exactly(estimate: Estimate, unit: &str) -> String {
    let number = |value: f64| grouped(value.round().max(0.0) as u64);
    let Estimate { value, low, high } = estimate;
    match high > low {
        true => format!("{} to {} {unit}, with 95 %", number(low), number(high)),
        false => format!("{} {unit}", number(value)),
    }
}

/// Money; with half of its interval, if it is not known exactly.
pub(super) fn money(estimate: Estimate) -> String {
    let value = estimate.value;
    format!("{value:.*}{}", digits(value), margin(estimate))
}

/// Money, more or less than before.
pub(super) fn signed(value: f64) -> String {
    format!("{value:+.*}", digits(value))
}

/// Cents, or so many digits that something is seen of small amounts.
fn digits(value: f64) -> usize {
    if value == 0.0 {
        return 2;
    }
    (1 - value.abs().log10().floor() as i32).clamp(2, MOST_DIGITS) as usize
}

/// Spans of a trace.
pub(super) fn spans(number: u64) -> String {
    format!("{} span{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// A size, in units of 1000.
pub(super) fn size(estimate: Estimate) -> String {
    let (mut value, mut unit) = (estimate.value, 0);
    let units = ["B", "kB", "MB", "GB", "TB", "PB"];
    while value >= 999.5 && unit + 1 < units.len() {
        (value, unit) = (value / 1000.0, unit + 1);
    }
    let digits = if unit == 0 || value >= 99.95 { 0 } else { 1 };
    format!("{value:.digits$} {}{}", units[unit], margin(estimate))
}

fn margin(estimate: Estimate) -> String {
    let Estimate { value, low, high } = estimate;
    if high <= low || value <= 0.0 {
        return String::new();
    }
    format!(" ±{:.0}%", ((high - low) / 2.0 / value * 100.0).max(1.0))
}

/// `1 234 567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_have_their_margin() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1 000", "1 234 567"]);
        let estimate = Estimate { value: 12_000.0, low: 10_800.0, high: 13_200.0 };
        assert_eq!(count(estimate), "12 000 ±10%");
        assert_eq!(size(estimate), "12.0 kB ±10%");
        assert_eq!(size(Estimate::exact(999.0)), "999 B");
        assert_eq!(size(Estimate::exact(999_600.0)), "1.0 MB");
        assert_eq!(exactly(estimate, "bytes"), "10 800 to 13 200 bytes, with 95 %");
        assert_eq!(exactly(Estimate::exact(1234.0), "bytes"), "1 234 bytes");
    }

    #[test]
    fn of_small_amounts_of_money_something_is_seen() {
        let shown = [0.0, 1234.5, 0.5, 0.012, 0.000_34, 1e-9].map(Estimate::exact).map(money);
        assert_eq!(shown, ["0.00", "1234.50", "0.50", "0.012", "0.00034", "0.000000"]);
        assert_eq!([-0.012, 3.0].map(signed), ["-0.012", "+3.00"]);
        let shown = [(0.0, 0.0), (0.0, 1.0), (4.0, 5.0)].map(|(before, now)| percent(before, now));
        assert_eq!(shown, ["unchanged", "nothing before", "+25.0 %"]);
    }
}
