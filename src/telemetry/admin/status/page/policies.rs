//! The policies in force, and what each does.

use maud::{Markup, html};

use super::{format, table};
use crate::telemetry::admin::status::model::{PoliciesStatus, PolicyStatus};

pub(super) fn section(status: &PoliciesStatus) -> Markup {
    let (shadows, enforced): (Vec<_>, Vec<_>) =
        status.policies.iter().partition(|policy| policy.mode == "shadow");
    html! {
        section id="policies" aria-labelledby="policies-title" {
            h2 id="policies-title" { "Policies" }
            div id="policies-live" data-live {
                p class="quiet" {
                    @if let Some(file) = &status.file { a href="/policies" { (format::name(file)) } ", " }
                    "hash " code { (status.hash) }
                    @if let Some(since) = status.since {
                        ", in force since "
                        time datetime=(since) { (since.to_string().get(..16).unwrap_or_default().replace('T', " ")) " UTC" }
                    }
                }
                @if let Some(failure) = &status.failure {
                    div class="troubles" {
                        p { b { "The file as it is now is not in force:" } }
                        pre { (format::block(failure, 5000)) }
                    }
                }
                (table("In force, since the start of the process", &IN_FORCE, html! {
                    @for policy in enforced { (in_force(policy)) }
                    tr {
                        th scope="row" { "none of them" }
                        td { "–" } td { "–" } td { "–" } td { "–" } td { "–" } td { "–" }
                        td { (format::count(status.dropped_by_none.traces)) }
                        td { "–" } td { "–" } td { "–" }
                    }
                }))
                @if !shadows.is_empty() {
                    (table("Shadow policies: they vote, and change nothing", &SHADOW, html! {
                        @for policy in shadows { (shadow(policy)) }
                    }))
                }
            }
            p { a href="/trials" { "Try other policies on the traffic that passes" } }
        }
    }
}

const IN_FORCE: [&str; 11] = [
    "policy",
    "type",
    "asked",
    "votes keep",
    "votes drop",
    "kept traces",
    "of all decided",
    "dropped traces",
    "it alone decided",
    "kept spans",
    "errors",
];

fn in_force(policy: &PolicyStatus) -> Markup {
    html! {
        tr {
            (votes(policy))
            td { (format::count(policy.kept.traces)) }
            td { (format::share(policy.kept_share)) }
            td { (format::count(policy.dropped.traces)) }
            td { (format::count(policy.alone.traces)) }
            td { (format::count(policy.kept.spans)) }
            td class=[(policy.errors > 0).then_some("bad")] { (format::count(policy.errors)) }
        }
    }
}

const SHADOW: [&str; 8] = [
    "policy",
    "type",
    "asked",
    "votes keep",
    "votes drop",
    "would keep traces",
    "would drop traces",
    "errors",
];

fn shadow(policy: &PolicyStatus) -> Markup {
    html! {
        tr {
            (votes(policy))
            td { (format::count(policy.would_keep.traces)) }
            td { (format::count(policy.would_drop.traces)) }
            td class=[(policy.errors > 0).then_some("bad")] { (format::count(policy.errors)) }
        }
    }
}

/// The cells with which both kinds of rows begin.
fn votes(policy: &PolicyStatus) -> Markup {
    let asked = policy.votes_to_keep + policy.votes_to_drop + policy.no_votes;
    html! {
        th scope="row" { (format::name(&policy.name)) }
        td { (policy.kind) }
        td { (format::count(asked)) }
        td { (format::count(policy.votes_to_keep)) }
        td { (format::count(policy.votes_to_drop)) }
    }
}
