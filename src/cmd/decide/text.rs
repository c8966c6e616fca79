//! Decisions as text, for people.

use std::io::{self, Write};

use super::json::{attribution, decision, vote_name};
use super::offline::{Counts, ExplainedDecision};
use super::summary::Summary;
use super::votes::spec;
use crate::otlp::probability::Threshold;
use crate::sampling::policy::spec::PolicyKind;
use crate::sampling::policy::{Decision, PolicyIndex, PolicySet};
use crate::telemetry::accounts::Amount;
use crate::telemetry::metrics::TRIGGERS;

/// Writes one decision, and a line for each policy.
pub(crate) fn write_decision(
    out: &mut impl Write,
    policies: &PolicySet,
    explained: &ExplainedDecision,
) -> io::Result<()> {
    let spans = noun(explained.amount.spans, "span");
    let millis = explained.duration.as_nanos() as f64 / 1e6;
    let trigger = TRIGGERS[explained.trigger as usize];
    let (id, decision) = (explained.trace_id, decision(explained));
    let why = why(policies, &explained.decision);
    writeln!(out, "{id}  {decision}  {why}  ({spans}, {millis} ms, {trigger})")?;
    write_votes(out, policies, explained, "  ")
}

/// Writes a line for each policy: its vote, and why.
pub(crate) fn write_votes(
    out: &mut impl Write,
    policies: &PolicySet,
    explained: &ExplainedDecision,
    margin: &str,
) -> io::Result<()> {
    let width = policies.names().map(|name| name.chars().count()).max().unwrap_or(0);
    for vote in &explained.votes {
        let (name, voted) = (policies.name(vote.policy), vote_name(vote.vote));
        let shadow = if policies.is_shadow(vote.policy) { "(shadow) " } else { "" };
        writeln!(out, "{margin}{voted:<4}  {name:<width$}  {shadow}{}", vote.reason)?;
    }
    Ok(())
}

/// On whose account, and with which chance.
pub(crate) fn why(policies: &PolicySet, decision: &Decision) -> String {
    let (policy, probability, threshold) = attribution(decision);
    let Some(policy) = policy else { return "no policy keeps it".to_owned() };
    let name = policies.name(policy);
    if matches!(decision, Decision::Drop { .. }) {
        return format!("by {name}");
    }
    let chance = match (probability, threshold) {
        (_, Some(Threshold::ALWAYS)) => "with certainty".to_owned(),
        (Some(p), Some(threshold)) => format!("probability {p:.6}, th:{threshold}"),
        (Some(p), None) => format!("probability {p:.6}, not by its randomness"),
        (None, _) => "probability unknown: a budget decided".to_owned(),
    };
    format!("by {name}, {chance}")
}

/// Writes what all decisions came to, as tables.
pub(super) fn write_summary(
    out: &mut impl Write,
    policies: &PolicySet,
    summary: &Summary,
    counts: &Counts,
) -> io::Result<()> {
    let names = policies.names().map(|name| name.chars().count());
    let mut table = Table { width: names.max().unwrap_or(0).max(16), out };
    let all = summary.decided();
    table.head("", &["traces", "spans", "bytes"])?;
    table.row("decided", all, &[])?;
    table.row("kept", summary.kept, &[])?;
    table.row("dropped", summary.dropped, &[])?;
    if counts.late_kept.spans > 0 {
        table.row("late, kept", counts.late_kept, &[])?;
    }
    if counts.late_dropped.spans > 0 {
        table.row("late, dropped", counts.late_dropped, &[])?;
    }
    if counts.reopened > 0 {
        let reopened = Amount { traces: counts.reopened, ..Amount::default() };
        table.row("re-opened", reopened, &[])?;
    }
    table.head("kept by", &["traces", "spans", "bytes", "alone"])?;
    let (counted, shadows): (Vec<_>, Vec<_>) = (0..)
        .map(PolicyIndex)
        .zip(&summary.policies)
        .partition(|(policy, _)| !policies.is_shadow(*policy));
    let only_drops = |policy| matches!(spec(policies, policy).kind, PolicyKind::Drop(_));
    for (policy, share) in counted.iter().filter(|(policy, _)| !only_drops(*policy)) {
        table.row(policies.name(*policy), share.kept, &[share.alone.traces])?;
    }
    table.head("dropped by", &["traces", "spans", "bytes", "alone"])?;
    for (policy, share) in counted {
        let has_dropped = share.dropped.traces > 0;
        match only_drops(policy) {
            true => {
                table.row(policies.name(policy), share.dropped, &[share.alone.traces])?;
            }
            // Of a rule: what it alone is responsible for stands above.
            false if has_dropped => table.row(policies.name(policy), share.dropped, &[])?,
            false => {}
        }
    }
    table.row("no policy", summary.dropped_by_none, &[])?;
    if !shadows.is_empty() {
        table.head("shadow, would", &["traces", "spans", "bytes"])?;
    }
    for (policy, share) in shadows {
        table.row(&format!("{} keep", policies.name(policy)), share.would_keep, &[])?;
        table.row(&format!("{} drop", policies.name(policy)), share.would_drop, &[])?;
    }
    write_faults(table.out, policies, summary, counts)
}

/// Writes what went wrong, if anything did.
fn write_faults(
    out: &mut impl Write,
    policies: &PolicySet,
    summary: &Summary,
    counts: &Counts,
) -> io::Result<()> {
    let failed = (0..).map(PolicyIndex).zip(&summary.policies).filter(|(_, it)| it.errors > 0);
    let failed = failed.map(|(policy, share)| {
        let traces = noun(share.errors, "trace");
        format!("a condition of {} could not be evaluated for {traces}", policies.name(policy))
    });
    let malformed = (counts.malformed_records > 0)
        .then(|| format!("{} could not be read", noun(counts.malformed_records, "record")));
    let empty = (counts.empty_records > 0)
        .then(|| format!("{} without a span", noun(counts.empty_records, "record")));
    let invalid = (counts.invalid_spans > 0).then(|| {
        format!("{} without a valid trace id or span id", noun(counts.invalid_spans, "span"))
    });
    let faults: Vec<String> =
        malformed.into_iter().chain(empty).chain(invalid).chain(failed).collect();
    if !faults.is_empty() {
        writeln!(out)?;
    }
    faults.iter().try_for_each(|fault| writeln!(out, "{fault}"))
}

/// A table whose first column is `width` wide.
struct Table<'o, W> {
    width: usize,
    out: &'o mut W,
}

impl<W: Write> Table<'_, W> {
    fn head(&mut self, label: &str, columns: &[&str]) -> io::Result<()> {
        let columns: String = columns.iter().map(|column| format!(" {column:>12}")).collect();
        writeln!(self.out, "\n{label:<width$}{columns}", width = self.width + 5)
    }

    fn row(&mut self, label: &str, amount: Amount, more: &[u64]) -> io::Result<()> {
        let numbers = [amount.traces, amount.spans, amount.bytes];
        let numbers = numbers.iter().chain(more).map(|number| format!(" {number:>12}"));
        let numbers: String = numbers.collect();
        writeln!(self.out, "{label:<width$}{numbers}", width = self.width + 5)
    }
}

/// `1 span`, `2 spans`.
pub(crate) fn noun(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
