//! What a comparison came to, as a page: one file without a script, which asks for nothing from elsewhere.
//!
//! Promises that whatever a policy, a service or a span is called stays text.

use maud::{DOCTYPE, Markup, html};

use super::format::{self, count, pair, size, way};
use super::gate::{Condition, Judged};
use super::suggest::Suggestion;
use super::summary::{Amount, Change, Remark, Scale, Summary};
use crate::whatif::{Candidate, Outcome};

const STYLE: &str = include_str!("whatif.css");

/// Nothing is loaded, whatever is in the page.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The page.
pub(super) fn page(
    outcome: &Outcome,
    scale: &Scale,
    judged: &[(&Condition, String, Judged)],
    suggestions: impl Fn(usize) -> Vec<Suggestion>,
) -> String {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width";
                title { "what if: " (outcome.source) }
                style { (maud::PreEscaped(STYLE)) }
            }
            body {
                h1 { "What if" }
                p { (format::head(outcome)) }
                @for note in &outcome.notes { p.note { (note) } }
                @if !judged.is_empty() { (gates(judged)) }
                @for (number, _) in format::files(outcome) {
                    (section(outcome, number, scale))
                    (suggested(&suggestions(number)))
                }
            }
        }
    };
    markup.into_string()
}

fn gates(judged: &[(&Condition, String, Judged)]) -> Markup {
    html! {
        table {
            tr { th { "fails if" } th { "file" } th { "found" } th { } }
            @for (condition, file, Judged { holds, found }) in judged {
                tr {
                    td { code { (condition.text()) } }
                    td { (file) }
                    td { (found) }
                    @if *holds { td.failed { "failed" } } @else { td.passed { "passed" } }
                }
            }
        }
    }
}

fn section(outcome: &Outcome, number: usize, scale: &Scale) -> Markup {
    let candidate = &outcome.candidates[number];
    let summary = Summary::of(candidate, scale);
    html! {
        h2 { (candidate.file) " instead of " (outcome.baseline) }
        (totals(&summary))
        @if let Some(change) = format::change(&summary) { p { (change) } }
        (matrix(candidate, scale))
        (changes(&summary))
        (policies(&summary))
        (services(&summary))
        (waits(outcome, number, scale))
        @if let Some(edges) = format::edges(&candidate.tally.edges) { p { "not compared: " (edges) } }
        @if let Some(hot) = format::hot(outcome, candidate) { p.note { (hot) } }
    }
}

fn suggested(all: &[Suggestion]) -> Markup {
    html! {
        @if !all.is_empty() {
            h3 { "Suggestions" }
            ul {
                @for Suggestion { text, yaml } in all {
                    li { (text) @if let Some(policy) = yaml { pre { code { "- " (policy) } } } }
                }
            }
        }
    }
}

fn figures(amount: &Amount) -> Markup {
    html! {
        td { (count(amount.traces)) }
        td { (count(amount.spans)) }
        td { (size(amount.bytes)) }
        @if let Some(money) = amount.money { td { (format!("{:.2}", money.value)) } }
    }
}

fn heads(first: &str, has_price: bool) -> Markup {
    html! {
        th { (first) } th { "traces" } th { "spans" } th { "bytes" }
        @if has_price { th { "money" } }
    }
}

/// A bar, as long as this share of the longest one.
fn bar(share: f64) -> Markup {
    let width = format!("width:{:.1}%", share.clamp(0.0, 1.0) * 100.0);
    html! { td.bar { div style=(width) { } } }
}

fn totals(summary: &Summary<'_>) -> Markup {
    let rows = [
        ("compared", "", &summary.compared),
        ("kept before", "", &summary.kept_before),
        ("kept now", "", &summary.kept_now),
        ("newly lost", "lost", &summary.newly_lost),
        ("newly kept", "kept", &summary.newly_kept),
    ];
    let all = summary.compared.bytes.value.max(1.0);
    html! {
        table {
            tr { (heads("", summary.compared.money.is_some())) th { "of all bytes" } }
            @for (name, class, amount) in rows {
                tr class=(class) { td { (name) } (figures(amount)) (bar(amount.bytes.value / all)) }
            }
        }
    }
}

fn matrix(candidate: &Candidate, scale: &Scale) -> Markup {
    let square = candidate.tally.square();
    let cell = |figures| pair(&scale.amount(figures));
    html! {
        table.matrix {
            tr { th { "traces, bytes" } th { "kept now" } th { "dropped now" } }
            tr {
                th { "kept before" }
                td { (cell(&square.kept)) }
                td.change { (cell(&square.newly_lost)) }
            }
            tr {
                th { "dropped before" }
                td.change { (cell(&square.newly_kept)) }
                td { (cell(&square.dropped)) }
            }
        }
    }
}

fn changes(summary: &Summary<'_>) -> Markup {
    let most = summary.changes.first().map_or(1.0, |change| change.amount.bytes.value.max(1.0));
    let class = |change: &Change<'_>| if change.new.kept { "kept" } else { "lost" };
    html! {
        h3 { "Biggest changes" }
        @if summary.changes.is_empty() { p { "No trace is kept by one side only." } }
        @else {
            table {
                tr { (heads("", summary.compared.money.is_some())) th { } }
                @for change in &summary.changes {
                    tr class=(class(change)) {
                        td { (way(change)) (examples(change)) }
                        (figures(&change.amount))
                        (bar(change.amount.bytes.value / most))
                    }
                }
            }
        }
    }
}

fn examples(change: &Change<'_>) -> Markup {
    html! {
        @if !change.examples.is_empty() {
            details {
                summary { "examples, for tailsieve trace" }
                @for it in change.examples {
                    div {
                        code { (it.trace_id) } " " (format::service(&it.service)) " " (it.name) ", " (it.spans)
                        " spans"
                    }
                }
            }
        }
    }
}

fn policies(summary: &Summary<'_>) -> Markup {
    let remark = |remark: Option<Remark>| match remark {
        Some(Remark::NeverMatches) => "matches no trace",
        Some(Remark::Redundant) => "changes no decision",
        Some(Remark::Shadow) => "shadow",
        None => "",
    };
    html! {
        h3 { "By policy" }
        table {
            tr {
                th { } th { "kept before" } th { "kept now" } th { "lost" } th { "it alone" } th { }
            }
            @for row in &summary.policies {
                tr {
                    td { (row.name) @if row.simulated { " (simulated)" } }
                    td { (pair(&row.kept_before)) }
                    td { (pair(&row.kept_now)) }
                    td { (pair(&row.lost)) }
                    td { (pair(&row.alone)) }
                    td { (remark(row.remark)) }
                }
            }
        }
    }
}

fn services(summary: &Summary<'_>) -> Markup {
    html! {
        h3 { "By service" }
        table {
            tr {
                th { } th { "kept before" } th { "kept now" } th { "newly lost" } th { "newly kept" }
            }
            @for row in &summary.services {
                tr {
                    td { (format::service(row.name)) }
                    td { (pair(&row.kept_before)) }
                    td { (pair(&row.kept_now)) }
                    td { (pair(&row.newly_lost)) }
                    td { (pair(&row.newly_kept)) }
                }
            }
        }
    }
}

fn waits(outcome: &Outcome, number: usize, scale: &Scale) -> Markup {
    let others = format::other_waits(outcome, number);
    let all = outcome.candidates[number..=number].iter().chain(others);
    html! {
        @if !others.is_empty() {
            h3 { "Other waits" }
            table {
                tr { @for head in format::WAITS { th { (head) } } }
                @for candidate in all {
                    tr { @for cell in format::wait(candidate, scale) { td { (cell) } } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::an_outcome;
    use super::*;
    use crate::cmd::whatif::gate::condition;

    /// Guarantees: the page asks for nothing from elsewhere, says what the text says, and takes no name for
    /// markup.
    #[test]
    fn a_page_is_whole_in_itself() {
        let mut outcome = an_outcome();
        outcome.candidates[0].tally.cells[1].old.policy = Some("<script src=//evil>".to_owned());
        outcome.notes.push("most records & more".to_owned());
        let scale = Scale::of(&outcome, Some(2.0));
        let condition = condition("lost > 3").unwrap();
        let summary = Summary::of(&outcome.candidates[0], &scale);
        let judged = [(&condition, "new.yaml".to_owned(), condition.judge(&summary))];
        let page = page(&outcome, &scale, &judged, |_| vec!["leave <b> out".to_owned().into()]);
        for asking in ["<script", "src=", "href", "url(", "@import", "http://", "https://", "<link"]
        {
            assert!(!page.replace("&lt;script src=", "").contains(asking), "{asking} in {page}");
        }
        for said in [
            "new.yaml instead of old.yaml",
            "kept by &lt;script src=//evil&gt; -&gt; dropped",
            "that is +26.7 % of the bytes that are kept",
            "<td class=\"failed\">failed</td>",
            "most records &amp; more",
            "dropped before",
            "<li>leave &lt;b&gt; out</li>",
        ] {
            assert!(page.contains(said), "{said} in {page}");
        }
    }
}
