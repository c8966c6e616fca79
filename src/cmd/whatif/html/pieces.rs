//! What tables and cards are made of: figures, names, bars.

use std::fmt::Display;

use maud::{Markup, html};

use super::super::format::{self, count, exactly, money, size};
use super::super::summary::Amount;
use crate::cmd::printable::printable;
use crate::whatif::{Estimate, Verdict};

/// Characters of a name that are there for those who want all of it.
const LONGEST_TITLE: usize = 1000;

/// What cells with two numbers have.
pub(super) const PAIRS: &str = "traces, and their bytes below";

/// Where a figure is in the JSON of the same outcome (a JSON pointer, RFC 6901): who doubts one looks there.
#[derive(Clone, Debug)]
pub(super) struct At {
    candidate: usize,
    path: String,
}

impl At {
    /// What is said of the candidate with this number.
    pub(super) fn candidate(number: usize) -> Self {
        Self { candidate: number, path: format!("/candidates/{number}/summary") }
    }

    /// What is there under this key.
    pub(super) fn to(&self, key: impl Display) -> Self {
        Self { candidate: self.candidate, path: format!("{}/{key}", self.path) }
    }

    /// What a table of the candidate is called for those who do not see it: as no other one.
    pub(super) fn label(&self, what: &str) -> String {
        match self.candidate {
            0 => what.to_owned(),
            number => format!("{what}, file {}", number + 1),
        }
    }
}

/// A figure, as it is shown; exactly for programs.
pub(super) fn figure(at: &At, value: f64, shown: &str) -> Markup {
    html! { data value=(value) data-at=(at.path) { (shown) } }
}

fn estimate(at: &At, key: &str, estimate: Estimate, shown: &str) -> Markup {
    figure(&at.to(key).to("value"), estimate.value, shown)
}

pub(super) fn traces(at: &At, amount: &Amount) -> Markup {
    estimate(at, "traces", amount.traces, &count(amount.traces))
}

pub(super) fn spans(at: &At, amount: &Amount) -> Markup {
    estimate(at, "spans", amount.spans, &count(amount.spans))
}

pub(super) fn bytes(at: &At, amount: &Amount) -> Markup {
    let shown = estimate(at, "bytes", amount.bytes, &size(amount.bytes));
    html! { span title=(exactly(amount.bytes, "bytes")) { (shown) } }
}

/// What it costs, if there is a price.
pub(super) fn cost(at: &At, amount: &Amount) -> Option<Markup> {
    amount.money.map(|it| estimate(at, "money", it, &money(it)))
}

/// Traces, and their bytes below.
pub(super) fn pair(at: &At, amount: &Amount) -> Markup {
    html! { td { (traces(at, amount)) br; span.quiet { (bytes(at, amount)) } } }
}

/// A text that others have chosen: it has its own direction, and is cut where it is long.
pub(super) fn name(text: &str) -> Markup {
    let shown = format::name(text);
    html! {
        @if shown == text { bdi { (shown) } }
        @else { bdi title=(printable(text, LONGEST_TITLE)) { (shown) } }
    }
}

/// A verdict, in words.
pub(super) fn verdict(verdict: &Verdict) -> Markup {
    let word = if verdict.kept { "kept" } else { "dropped" };
    html! { (word) @if let Some(policy) = &verdict.policy { " by " b { (name(policy)) } } }
}

/// A bar, as long as this share of the longest one. It is drawn, since backgrounds are not printed.
pub(super) fn bar(share: f64, class: &str) -> Markup {
    let share = if share > 0.0 { share.clamp(0.005, 1.0) } else { 0.0 };
    html! {
        svg.bar viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true" {
            rect class=(class) width=(format!("{:.1}", share * 100.0)) height="4" {}
        }
    }
}

/// What a colour means.
pub(super) fn swatch(class: &str) -> Markup {
    html! { svg.swatch viewBox="0 0 1 1" aria-hidden="true" { rect class=(class) width="1" height="1" {} } }
}

/// A table that scrolls by itself where it is wider than the screen.
pub(super) fn scrolling(what: &str, table: &Markup) -> Markup {
    html! { div.scroll tabindex="0" role="region" aria-label=(what) { (table) } }
}
