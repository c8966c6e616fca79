//! What a comparison came to, as a page: one file without a script, which asks for nothing from elsewhere.
//!
//! Says first whether conditions failed and what changes, then the biggest changes, then the details. Promises
//! that whatever a policy, a service or a span is called stays text, and that each figure names its place in
//! the JSON of the same outcome.

mod pieces;
mod tables;
mod top;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::format;
use super::gate::{Condition, Judged};
use super::suggest::Suggestion;
use super::summary::{Amount, Scale, Summary};
use crate::whatif::{Outcome, Square};

use pieces::{At, PAIRS, bytes, name, scrolling, traces};

const STYLE: &str = concat!(
    include_str!("../../../telemetry/admin/assets/palette.css"),
    "\n",
    include_str!("report.css")
);

/// Nothing is loaded, run or sent, whatever is in the page.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The page.
pub(super) fn page(
    outcome: &Outcome,
    scale: &Scale,
    judged: &[(&Condition, String, Judged)],
    suggestions: impl Fn(usize) -> Vec<Suggestion>,
) -> String {
    let is_one = format::files(outcome).count() == 1;
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content={ "tailsieve " (env!("CARGO_PKG_VERSION")) };
                title { "What if: " (title(outcome)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "What if: " @if is_one { (versus(outcome, 0)) } @else { "policy files" } }
                    p.quiet { (format::head(outcome)) }
                    @if let Some(price) = format::price(scale) { p.quiet { (price) } }
                    @for note in &outcome.notes { p.note { (note) } }
                }
                main {
                    @if !judged.is_empty() { (top::gates(judged)) }
                    @if !is_one { (top::overview(outcome, scale, judged)) }
                    @for (number, _) in format::files(outcome) {
                        section {
                            h2 { @if is_one { "What changes" } @else { (versus(outcome, number)) } }
                            (candidate(outcome, number, scale))
                            (suggested(&suggestions(number)))
                        }
                    }
                    (words())
                }
            }
        }
    };
    markup.into_string()
}

/// The files, as the title of a tab has them.
fn title(outcome: &Outcome) -> String {
    let files = format::files(outcome).map(|(_, it)| format::name(&it.file));
    format!("{} on {}", files.collect::<Vec<_>>().join(", "), format::name(&outcome.source))
}

fn versus(outcome: &Outcome, number: usize) -> Markup {
    html! { (name(&outcome.candidates[number].file)) " instead of " (name(&outcome.baseline)) }
}

fn candidate(outcome: &Outcome, number: usize, scale: &Scale) -> Markup {
    let (candidate, at) = (&outcome.candidates[number], At::candidate(number));
    let summary = Summary::of(candidate, scale);
    html! {
        (top::cards(&at, &summary))
        (top::whole(&at, &summary))
        (tables::changes(&at, &summary))
        (tables::examples(&summary))
        (tables::policies(&at, &summary))
        (tables::services(&at, &summary))
        (matrix(&at, &candidate.tally.square(), &summary, scale))
        (tables::waits(outcome, number, scale))
        @if let Some(edges) = format::edges(&candidate.tally.edges) { p { "Not compared: " (edges) } }
        @if let Some(hot) = format::hot(outcome, candidate) { p.note { (hot) } }
    }
}

/// All that was compared, by what both sides say.
fn matrix(at: &At, square: &Square, summary: &Summary<'_>, scale: &Scale) -> Markup {
    let (both, neither) = (scale.amount(&square.kept), scale.amount(&square.dropped));
    let plain = |it: &Amount| html! { td { (format::count(it.traces)) br; span.quiet { (format::size(it.bytes)) } } };
    let moved = |key: &str, class: &str, it: &Amount| {
        let at = at.to(key);
        html! { td { b class=(class) { (traces(&at, it)) } br; span.quiet { (bytes(&at, it)) } } }
    };
    let table = html! {
        table {
            thead { tr { td {} th scope="col" { "kept now" } th scope="col" { "dropped now" } } }
            tbody {
                tr {
                    th scope="row" { "kept before" }
                    (plain(&both)) (moved("newlyLost", "bad", &summary.newly_lost))
                }
                tr {
                    th scope="row" { "dropped before" }
                    (moved("newlyKept", "good", &summary.newly_kept)) (plain(&neither))
                }
            }
        }
    };
    html! { h3 { "Before and now" } p.key { (PAIRS) } (scrolling(&at.label("before and now"), &table)) }
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

/// What the words mean.
fn words() -> Markup {
    let all = [
        (
            "kept before, kept now",
            "by what is on record, or the file that it is compared with; by the file that is tried",
        ),
        ("newly lost, newly kept", "kept before and dropped now; dropped before and kept now"),
        ("it alone", "what would be decided the other way without this policy"),
        (
            "changes no decision",
            "the policy matches, and without it all would be decided as with it",
        ),
        ("simulated", "the policy has a budget: what it keeps depends on what it kept before"),
        (
            "bytes",
            "of spans as they are sent, without the resource and scope that they share; a trace counts with its late spans",
        ),
    ];
    html! {
        section {
            h2 { "What the words mean" }
            dl { @for (word, meaning) in all { dt { (word) } dd { (meaning) } } }
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
            "<bdi>new.yaml</bdi> instead of <bdi>old.yaml</bdi>",
            "kept by <b><bdi>&lt;script src=//evil&gt;</bdi></b> → dropped",
            "+26.7 %",
            "<span class=\"bad\">failed</span>",
            "1 of 1 conditions failed",
            "most records &amp; more",
            "dropped before",
            "<li>leave &lt;b&gt; out</li>",
        ] {
            assert!(page.contains(said), "{said} in {page}");
        }
    }
}
