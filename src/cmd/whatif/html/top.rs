//! What a reader sees first: whether conditions failed, and what changes.

use maud::{Markup, html};

use super::super::format::{self, percent};
use super::super::gate::{Condition, Judged};
use super::super::summary::{Amount, Scale, Summary};
use super::pieces::{At, PAIRS, bytes, cost, figure, name, pair, scrolling, spans, swatch, traces};
use crate::whatif::Outcome;

/// The conditions, and what became of them.
pub(super) fn gates(judged: &[(&Condition, String, Judged)]) -> Markup {
    let failed = judged.iter().filter(|(_, _, judged)| judged.holds).count();
    let table = html! {
        table {
            thead {
                tr {
                    th scope="col" { "fails if" } th scope="col" { "result" } th scope="col" { "found" }
                    th scope="col" { "file" }
                }
            }
            tbody {
                @for (condition, file, Judged { holds, found }) in judged {
                    tr {
                        th scope="row" { code { (condition.text()) } }
                        td { @if *holds { span.bad { "failed" } } @else { span.good { "passed" } } }
                        td { (found) }
                        td.text { (name(file)) }
                    }
                }
            }
        }
    };
    html! {
        section class=[(failed > 0).then_some("troubles")] {
            h2 {
                @if failed > 0 { span.bad { (failed) " of " (judged.len()) " conditions failed" } }
                @else { span.good { "No condition failed" } }
            }
            (scrolling("conditions", &table))
        }
    }
}

/// The files beside each other.
pub(super) fn overview(
    outcome: &Outcome,
    scale: &Scale,
    judged: &[(&Condition, String, Judged)],
) -> Markup {
    let row = |number: usize, file: &str| {
        let (at, summary) =
            (At::candidate(number), Summary::of(&outcome.candidates[number], scale));
        let failed = judged.iter().filter(|(_, it, judged)| it == file && judged.holds).count();
        html! {
            tr {
                th scope="row" { (name(file)) }
                (pair(&at.to("keptBefore"), &summary.kept_before))
                (pair(&at.to("keptNow"), &summary.kept_now))
                (pair(&at.to("newlyLost"), &summary.newly_lost))
                (pair(&at.to("newlyKept"), &summary.newly_kept))
                @if !judged.is_empty() {
                    td { @if failed > 0 { span.bad { (failed) " failed" } } @else { span.good { "passed" } } }
                }
            }
        }
    };
    let table = html! {
        table {
            thead {
                tr {
                    th scope="col" { "file" } th scope="col" { "kept before" } th scope="col" { "kept now" }
                    th scope="col" { "newly lost" } th scope="col" { "newly kept" }
                    @if !judged.is_empty() { th scope="col" { "conditions" } }
                }
            }
            tbody {
                @for (number, candidate) in format::files(outcome) { (row(number, &candidate.file)) }
            }
        }
    };
    html! { section { h2 { "The files" } p.key { (PAIRS) } (scrolling("the files", &table)) } }
}

/// What changes, in a few numbers.
pub(super) fn cards(at: &At, summary: &Summary<'_>) -> Markup {
    let Summary { kept_before: before, kept_now: now, .. } = summary;
    let (was, is) = (at.to("keptBefore"), at.to("keptNow"));
    let from_to = |what: &str, before: Markup, now: Markup, note: Markup| {
        html! {
            li {
                p { (what) }
                p.main { (before) " → " (now) }
                p { (note) }
            }
        }
    };
    let change = |before: f64, now: f64| html! { (percent(before, now)) };
    html! {
        ul.cards {
            (from_to("bytes kept", bytes(&was, before), bytes(&is, now),
                change(before.bytes.value, now.bytes.value)))
            (from_to("traces kept", traces(&was, before), traces(&is, now),
                change(before.traces.value, now.traces.value)))
            (from_to("spans kept", spans(&was, before), spans(&is, now),
                change(before.spans.value, now.spans.value)))
            @if let (Some(before), Some(now)) = (cost(&was, before), cost(&is, now)) {
                (from_to("money for what is kept", before, now, money(at, summary)))
            }
            (moved("newly lost", "lost", &at.to("newlyLost"), &summary.newly_lost))
            (moved("newly kept", "kept", &at.to("newlyKept"), &summary.newly_kept))
        }
    }
}

/// By how much it costs more, in the range and in a month.
fn money(at: &At, summary: &Summary<'_>) -> Markup {
    let at_change = at.to("change").to("money").to("value");
    html! {
        @if let Some(change) = summary.change.money {
            (figure(&at_change, change.value, &format::signed(change.value))) " in this range"
        }
        @if let Some(month) = summary.change_per_month {
            ", " (figure(&at.to("changePerMonth"), month, &format::signed(month))) " in 30 days like it"
        }
    }
}

fn moved(what: &str, class: &str, at: &At, amount: &Amount) -> Markup {
    html! {
        li class=(class) {
            p { (what) }
            p.main { (traces(at, amount)) " traces" }
            p { (bytes(at, amount)) ", " (spans(at, amount)) " spans" @if let Some(cost) = cost(at, amount) { ", money " (cost) } }
        }
    }
}

/// All bytes that were compared, as one bar.
pub(super) fn whole(at: &At, summary: &Summary<'_>) -> Markup {
    let all = summary.compared.bytes.value;
    let value = |amount: &Amount| amount.bytes.value;
    let both = (value(&summary.kept_now) - value(&summary.newly_kept)).max(0.0);
    let neither = (all - value(&summary.newly_lost) - value(&summary.newly_kept) - both).max(0.0);
    let parts = [
        ("both", "kept before and now", both),
        ("lost", "newly lost", value(&summary.newly_lost)),
        ("kept", "newly kept", value(&summary.newly_kept)),
        ("neither", "dropped before and now", neither),
    ];
    let share = |part: f64| part / all.max(1.0) * 100.0;
    let starts = parts.iter().scan(0.0, |sum, (_, _, part)| {
        *sum += share(*part);
        Some(*sum - share(*part))
    });
    html! {
        figure {
            svg.whole viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true" {
                @for ((class, _, part), start) in parts.iter().zip(starts) {
                    rect class=(class) x=(format!("{start:.2}")) width=(format!("{:.2}", share(*part))) height="6" {}
                }
            }
            figcaption {
                "Of " (bytes(&at.to("compared"), &summary.compared)) " in "
                (traces(&at.to("compared"), &summary.compared)) " traces that were compared, "
                (spans(&at.to("compared"), &summary.compared)) " spans"
                @if let Some(cost) = cost(&at.to("compared"), &summary.compared) { ", money " (cost) }
                ":"
                ul.key {
                    @for (class, what, part) in parts {
                        li { (swatch(class)) " " (what) " " (format!("{:.1} %", share(part))) }
                    }
                }
            }
        }
    }
}
