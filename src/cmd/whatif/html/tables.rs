//! The tables of a candidate, each with its bars.

use maud::{Markup, html};

use super::super::format;
use super::super::summary::{Amount, Change, PolicyRow, Remark, Scale, ServiceRow, Summary};
use super::pieces::{
    At, PAIRS, bar, bytes, cost, name, pair, scrolling, spans, swatch, traces, verdict,
};
use crate::whatif::{Candidate, Outcome};

/// So many rows are seen at once; the others are folded away.
const ROWS: usize = 20;

/// A table of these rows, and one of those that are folded away.
fn folded<T>(what: &str, head: &Markup, rows: &[T], row: impl Fn(usize, &T) -> Markup) -> Markup {
    let numbered = || rows.iter().enumerate();
    let table = |some: &Markup| html! { table { thead { (head) } tbody { (some) } } };
    let first = html! { @for (number, it) in numbered().take(ROWS) { (row(number, it)) } };
    let rest = html! { @for (number, it) in numbered().skip(ROWS) { (row(number, it)) } };
    html! {
        (scrolling(what, &table(&first)))
        @if rows.len() > ROWS {
            details {
                summary { "and " (rows.len() - ROWS) " more" }
                (scrolling(&format!("more {what}"), &table(&rest)))
            }
        }
    }
}

/// What one side keeps and the other does not, the most bytes first.
pub(super) fn changes(at: &At, summary: &Summary<'_>) -> Markup {
    let most = summary.changes.first().map_or(1.0, |change| change.amount.bytes.value.max(1.0));
    let has_price = summary.compared.money.is_some();
    let head = html! {
        tr {
            th scope="col" { "decided otherwise" } th scope="col" { "traces" } th scope="col" { "spans" }
            th scope="col" { "bytes" } @if has_price { th scope="col" { "money" } }
        }
    };
    let row = |number: usize, change: &Change<'_>| {
        let (at, amount) = (at.to("changes").to(number), &change.amount);
        let (class, word) = if change.new.kept { ("kept", "kept") } else { ("lost", "lost") };
        html! {
            tr {
                th scope="row" {
                    span class={ "tag " (class) } { (word) } " "
                    (verdict(change.old)) " → " (verdict(change.new))
                    (bar(amount.bytes.value / most, class))
                }
                td { (traces(&at, amount)) } td { (spans(&at, amount)) } td { (bytes(&at, amount)) }
                @if let Some(cost) = cost(&at, amount) { td { (cost) } }
            }
        }
    };
    html! {
        h3 { "Biggest changes" }
        @if summary.changes.is_empty() { p { "No trace is kept by one side only." } }
        @else { (folded(&at.label("biggest changes"), &head, &summary.changes, row)) }
    }
}

/// What is kept on account of a policy or of a service: before, now, and two amounts more.
struct Kept<'a> {
    name: Markup,
    amounts: [&'a Amount; 4],
}

/// A table of these. `at` is where the rows are, `what` they are called by, and `columns` are the heads of their amounts,
/// with the keys of these in the JSON.
fn kept_table(at: &At, what: &str, columns: [(&str, &str); 4], rows: &[Kept<'_>]) -> Markup {
    let kept = rows.iter().flat_map(|row| &row.amounts[..2]);
    let most = kept.fold(1.0, |most: f64, amount| most.max(amount.bytes.value));
    let head = html! {
        tr { th scope="col" { (what) } @for (head, _) in columns { th scope="col" { (head) } } }
    };
    let row = |number: usize, row: &Kept<'_>| {
        let (at, [before, now, ..]) = (at.to(number), row.amounts);
        html! {
            tr {
                th scope="row" {
                    (row.name) (bar(before.bytes.value / most, "before")) (bar(now.bytes.value / most, "now"))
                }
                @for ((_, key), amount) in columns.iter().zip(row.amounts) { (pair(&at.to(key), amount)) }
            }
        }
    };
    html! {
        h3 { "By " (what) }
        p.key { (PAIRS) "; bytes as bars: " (swatch("before")) " kept before " (swatch("now")) " kept now" }
        (folded(&at.label(&format!("by {what}")), &head, rows, row))
    }
}

pub(super) fn policies(at: &At, summary: &Summary<'_>) -> Markup {
    let columns = [
        ("kept before", "keptBefore"),
        ("kept now", "keptNow"),
        ("lost", "lost"),
        ("it alone", "alone"),
    ];
    let row = |row: &PolicyRow<'_>| html! { (name(row.name)) (marks(row)) };
    let rows: Vec<_> =
        summary.policies.iter().map(|it| Kept { name: row(it), amounts: it.amounts() }).collect();
    kept_table(&at.to("policies"), "policy", columns, &rows)
}

fn marks(row: &PolicyRow<'_>) -> Markup {
    let remark = match row.remark {
        Some(Remark::NeverMatches) => Some("matches no trace"),
        Some(Remark::Redundant) => Some("changes no decision"),
        Some(Remark::Shadow) => Some("shadow"),
        None => None,
    };
    html! {
        @if row.simulated { " " span.tag { "simulated" } }
        @if let Some(remark) = remark { " " span.tag { (remark) } }
    }
}

pub(super) fn services(at: &At, summary: &Summary<'_>) -> Markup {
    let columns = [
        ("kept before", "keptBefore"),
        ("kept now", "keptNow"),
        ("newly lost", "newlyLost"),
        ("newly kept", "newlyKept"),
    ];
    let row = |it: &ServiceRow<'_>| name(format::service(it.name));
    let rows: Vec<_> =
        summary.services.iter().map(|it| Kept { name: row(it), amounts: it.amounts() }).collect();
    kept_table(&at.to("services"), "service", columns, &rows)
}

/// A cell of the text, of which a second part comes below.
fn stacked(cell: &str) -> Markup {
    html! {
        @if let Some((first, second)) = cell.split_once("  ") { td { (first) br; span.quiet { (second) } } }
        @else { td { (cell) } }
    }
}

pub(super) fn waits(outcome: &Outcome, number: usize, scale: &Scale) -> Markup {
    let others = format::other_waits(outcome, number);
    let all: Vec<&Candidate> = outcome.candidates[number..=number].iter().chain(others).collect();
    let head = html! { tr { @for head in format::WAITS { th scope="col" { (head) } } } };
    let row = |_, candidate: &&Candidate| {
        let [wait, cells @ ..] = format::wait(candidate, scale);
        html! { tr { th scope="row" { (wait) } @for cell in &cells { (stacked(cell)) } } }
    };
    html! { @if !others.is_empty() { h3 { "Other waits" } p.key { "kept: " (PAIRS) } (folded(&At::candidate(number).label("other waits"), &head, &all, row)) } }
}

/// Some traces of each change.
pub(super) fn examples(summary: &Summary<'_>) -> Markup {
    let changes = || summary.changes.iter().filter(|change| !change.examples.is_empty());
    html! {
        @if changes().next().is_some() {
            details {
                summary { "Examples, which " code { "tailsieve trace ID" } " opens" }
                @for change in changes() {
                    p { (verdict(change.old)) " → " (verdict(change.new)) }
                    ul {
                        @for it in change.examples {
                            li {
                                code { (it.trace_id) } " " (name(format::service(&it.service))) " "
                                (name(&it.name)) ", " (format::spans(it.spans))
                            }
                        }
                    }
                }
            }
        }
    }
}
