//! What a comparison came to, for a terminal.

use std::io::{self, Write};

use super::format::{self, count, money, name, pair, size, way};
use super::gate::{Condition, Judged};
use super::suggest::Suggestion;
use super::summary::{Amount, PolicyRow, Remark, Scale, ServiceRow, Summary};
use crate::whatif::{Edges, Outcome};

/// How many rows of a table are printed.
const ROWS: usize = 12;

/// How wide the longest bar is.
const BAR: usize = 24;

/// Writes what was read, and what it was compared with.
pub(super) fn write_head(out: &mut impl Write, outcome: &Outcome, scale: &Scale) -> io::Result<()> {
    writeln!(out, "{}", format::head(outcome))?;
    if let Some(price) = format::price(scale) {
        writeln!(out, "{price}")?;
    }
    outcome.notes.iter().try_for_each(|note| writeln!(out, "note: {note}"))
}

/// Writes what is said of one candidate.
pub(super) fn write_candidate(
    out: &mut impl Write,
    outcome: &Outcome,
    number: usize,
    scale: &Scale,
) -> io::Result<()> {
    let candidate = &outcome.candidates[number];
    let summary = Summary::of(candidate, scale);
    writeln!(out, "\n{} instead of {}", candidate.file, outcome.baseline)?;
    write_totals(out, &summary)?;
    write_changes(out, &summary)?;
    write_policies(out, &summary)?;
    write_services(out, &summary)?;
    write_remarks(out, &summary)?;
    write_waits(out, outcome, number, scale)?;
    write_edges(out, &candidate.tally.edges)?;
    match format::hot(outcome, candidate) {
        Some(hot) => writeln!(out, "{hot}"),
        None => Ok(()),
    }
}

/// Writes what could be changed.
pub(super) fn write_suggestions(out: &mut impl Write, all: &[Suggestion]) -> io::Result<()> {
    if !all.is_empty() {
        writeln!(out, "\nsuggestions")?;
    }
    for Suggestion { text, yaml } in all {
        writeln!(out, "- {text}")?;
        if let Some(policy) = yaml {
            writeln!(out, "  - {policy}")?;
        }
    }
    Ok(())
}

/// Writes what became of the conditions.
pub(super) fn write_gates(
    out: &mut impl Write,
    judged: &[(&Condition, String, Judged)],
) -> io::Result<()> {
    for (condition, file, Judged { holds, found }) in judged {
        let word = if *holds { "FAILED" } else { "passed" };
        writeln!(out, "{word}  {}  ({file}: {found})", condition.text())?;
    }
    Ok(())
}

fn write_totals(out: &mut impl Write, summary: &Summary<'_>) -> io::Result<()> {
    let rows = [
        ("compared", &summary.compared),
        ("kept before", &summary.kept_before),
        ("kept now", &summary.kept_now),
        ("newly lost", &summary.newly_lost),
        ("newly kept", &summary.newly_kept),
    ];
    let has_price = summary.compared.money.is_some();
    let table = Table::new(rows.iter().map(|(name, _)| *name), has_price);
    table.head(out, "", "of all bytes")?;
    let all = summary.compared.bytes.value;
    for (name, amount) in rows {
        let share = amount.bytes.value / all.max(1.0);
        table.row(out, name, amount, &format!("{:>5.1} %  {}", share * 100.0, bar(share)))?;
    }
    match format::change(summary) {
        Some(change) => writeln!(out, "{change}"),
        None => Ok(()),
    }
}

fn write_changes(out: &mut impl Write, summary: &Summary<'_>) -> io::Result<()> {
    if summary.changes.is_empty() {
        return writeln!(out, "\nno trace is kept by one side only");
    }
    let shown = &summary.changes[..summary.changes.len().min(ROWS)];
    let names: Vec<String> = shown.iter().map(way).collect();
    let table = Table::new(names.iter().map(String::as_str), summary.compared.money.is_some());
    table.head(out, "biggest changes", "")?;
    let most = shown[0].amount.bytes.value.max(1.0);
    for (name, change) in names.iter().zip(shown) {
        table.row(out, name, &change.amount, &bar(change.amount.bytes.value / most))?;
    }
    more(out, summary.changes.len(), "changes")?;
    writeln!(out, "\nexamples, which `tailsieve trace ID` opens")?;
    for (way, change) in names.iter().zip(shown) {
        for example in change.examples.iter().take(3) {
            let (service, span) = (name(format::service(&example.service)), name(&example.name));
            let (id, spans) = (&example.trace_id, format::spans(example.spans));
            writeln!(out, "{id}  {way}: {service} {span}, {spans}")?;
        }
    }
    Ok(())
}

fn write_policies(out: &mut impl Write, summary: &Summary<'_>) -> io::Result<()> {
    let mark = |row: &PolicyRow<'_>| if row.simulated { " (simulated)" } else { "" };
    let name = |row: &PolicyRow<'_>| format!("{}{}", name(row.name), mark(row));
    let rows: Vec<_> =
        summary.policies.iter().take(ROWS).map(|row| (name(row), row.amounts())).collect();
    write_kept(out, ["by policy", "kept before", "kept now", "lost", "it alone"], &rows)?;
    more(out, summary.policies.len(), "policies")
}

fn write_services(out: &mut impl Write, summary: &Summary<'_>) -> io::Result<()> {
    let name = |row: &ServiceRow<'_>| name(format::service(row.name));
    let rows: Vec<_> =
        summary.services.iter().take(ROWS).map(|row| (name(row), row.amounts())).collect();
    write_kept(out, ["by service", "kept before", "kept now", "newly lost", "newly kept"], &rows)?;
    more(out, summary.services.len(), "services")
}

/// Writes a table of what is kept, by names.
fn write_kept(
    out: &mut impl Write,
    [what, columns @ ..]: [&str; 5],
    rows: &[(String, [&Amount; 4])],
) -> io::Result<()> {
    let width = width(rows.iter().map(|(name, _)| name.as_str()), what);
    write!(out, "\n{what:<width$}")?;
    columns.iter().try_for_each(|column| write!(out, " {column:>22}"))?;
    writeln!(out)?;
    for (name, amounts) in rows {
        write!(out, "{name:<width$}")?;
        amounts.iter().try_for_each(|amount| write!(out, " {:>22}", pair(amount)))?;
        writeln!(out)?;
    }
    Ok(())
}

fn write_remarks(out: &mut impl Write, summary: &Summary<'_>) -> io::Result<()> {
    let (never, redundant) = (Remark::NeverMatches, Remark::Redundant);
    let (never, redundant) = (format::with(summary, never), format::with(summary, redundant));
    if !never.is_empty() || !redundant.is_empty() {
        writeln!(out)?;
    }
    if !never.is_empty() {
        writeln!(out, "matches no trace: {never}")?;
    }
    if !redundant.is_empty() {
        writeln!(out, "matches, and changes no decision: {redundant}")?;
    }
    Ok(())
}

fn write_waits(
    out: &mut impl Write,
    outcome: &Outcome,
    number: usize,
    scale: &Scale,
) -> io::Result<()> {
    let others = format::other_waits(outcome, number);
    if others.is_empty() {
        return Ok(());
    }
    let write = |out: &mut dyn Write, row: [&str; 6]| {
        let [wait, late, cut, open, delay, kept] = row;
        writeln!(out, "{wait:<16} {late:>14} {cut:>14} {open:>12} {delay:>12} {kept:>22}")
    };
    writeln!(out)?;
    write(out, format::WAITS)?;
    let mut all = outcome.candidates[number..=number].iter().chain(others);
    all.try_for_each(|it| write(out, format::wait(it, scale).each_ref().map(String::as_str)))
}

fn write_edges(out: &mut impl Write, edges: &Edges) -> io::Result<()> {
    match format::edges(edges) {
        Some(told) => writeln!(out, "\nnot compared: {told}"),
        None => Ok(()),
    }
}

fn more(out: &mut impl Write, all: usize, what: &str) -> io::Result<()> {
    match all.checked_sub(ROWS) {
        None | Some(0) => Ok(()),
        Some(rest) => writeln!(out, "and {rest} more {what}"),
    }
}

fn width<'a>(names: impl Iterator<Item = &'a str>, head: &str) -> usize {
    names.map(|name| name.chars().count()).max().unwrap_or(0).max(head.len()).clamp(12, 60)
}

/// A table of amounts.
struct Table {
    width: usize,
    has_price: bool,
}

impl Table {
    fn new<'a>(names: impl Iterator<Item = &'a str>, has_price: bool) -> Self {
        Self { width: width(names, "biggest changes"), has_price }
    }

    fn head(&self, out: &mut impl Write, name: &str, last: &str) -> io::Result<()> {
        let Self { width, has_price } = *self;
        write!(out, "\n{name:<width$} {:>16} {:>16} {:>16}", "traces", "spans", "bytes")?;
        if has_price {
            write!(out, " {:>16}", "money")?;
        }
        writeln!(out, "  {last}")
    }

    fn row(&self, out: &mut impl Write, name: &str, amount: &Amount, last: &str) -> io::Result<()> {
        let width = self.width;
        let (traces, spans, bytes) =
            (count(amount.traces), count(amount.spans), size(amount.bytes));
        write!(out, "{name:<width$} {traces:>16} {spans:>16} {bytes:>16}")?;
        if let Some(cost) = amount.money {
            write!(out, " {:>16}", money(cost))?;
        }
        writeln!(out, "  {last}")
    }
}

/// A bar, as long as this share of the longest one.
fn bar(share: f64) -> String {
    let cells = (share.clamp(0.0, 1.0) * BAR as f64).ceil() as usize;
    "█".repeat(cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_is_as_long_as_it_may_be() {
        assert_eq!((bar(0.0), bar(0.01).chars().count()), (String::new(), 1));
        assert_eq!((bar(1.0).chars().count(), bar(7.0).chars().count()), (BAR, BAR));
    }
}
