//! What policies that are tried would decide, and what they would have to say for it.

use maud::{Markup, html};

use super::traces::{id, why};
use super::{format, table};
use crate::telemetry::accounts::Amount;
use crate::telemetry::admin::status::trial::{TrialExampleStatus, TrialStatus, TriedPolicyStatus};

/// The trials that are remembered.
pub(super) fn list(trials: &[TrialStatus]) -> Markup {
    html! {
        @if !trials.is_empty() {
            section aria-labelledby="trials-title" {
                h2 id="trials-title" { "The last trials" }
                ul {
                    @for trial in trials {
                        li {
                            a href={ "/trials/" (trial.id) } { (trial.started_at) }
                            ": " (state(trial)) ", hash " code { (trial.hash) }
                        }
                    }
                }
            }
        }
    }
}

fn state(trial: &TrialStatus) -> &'static str {
    match trial.state {
        "running" => "running",
        "done" => "done",
        "cancelled" => "cancelled",
        _ => "ended before its time, because other policies came into force",
    }
}

/// One of them.
pub(super) fn shown(trial: &TrialStatus) -> Markup {
    // The script asks no more for one that has ended.
    let liveness = if trial.state == "running" { "" } else { "ended" };
    html! {
        h1 { "Trial of policies" }
        div id="trial" data-live=(liveness) {
            section aria-label="The trial" { (about(trial)) }
            section aria-labelledby="outcome-title" {
                h2 id="outcome-title" { "In force, and tried" }
                (matrix(trial))
            }
            section aria-labelledby="tried-title" {
                h2 id="tried-title" { "Policies of the file" }
                (policies(trial))
            }
            section aria-labelledby="differences-title" {
                h2 id="differences-title" { "Examples of what would be different" }
                (examples("Would be kept, and were dropped", &trial.newly_kept))
                (examples("Would be dropped, and were kept", &trial.newly_dropped))
            }
        }
    }
}

fn about(trial: &TrialStatus) -> Markup {
    html! {
        p role="status" {
            b { (state(trial)) } ", " (trial.seconds) " s from "
            time datetime=(trial.started_at) { (format::time(trial.started_at)) } " UTC; file "
            code { (trial.hash) } ", beside " code { (trial.in_force) } " in force"
        }
        p {
            (format::count(trial.decided.traces)) " traces were decided meanwhile by this member, also "
            "of those that had begun before. The trial took "
            (format::seconds(trial.busy_seconds)) " of the workers' time."
        }
        @if trial.left_out.traces > 0 {
            p class="warn" {
                (format::count(trial.left_out.traces)) " of them were not tried, because a trial takes at "
                "most half of a worker's time."
            }
        }
        @if trial.has_limits {
            p class="warn" {
                "Limits (rate_limiting, bytes_limiting, composite) are simulated for this member alone: "
                "for its partitions, each with its share."
            }
        }
        @if !trial.not_tried.is_empty() {
            p class="warn" {
                "Not tried, and other than in force: " (trial.not_tried.join(", ")) ". A trace is judged when "
                "the policies in force have it decided, on the spans that there are then."
            }
        }
        @for finding in trial.warnings.iter().chain(&trial.notes) {
            pre { (format::block(&finding.shown, 4000)) }
        }
    }
}

fn matrix(trial: &TrialStatus) -> Markup {
    let row = |name: &str, kept: Amount, dropped: Amount| {
        let mut all = kept;
        all.add(dropped);
        html! { tr { th scope="row" { (name) } (cell(kept)) (cell(dropped)) (cell(all)) } }
    };
    let sum = |mut one: Amount, other: Amount| {
        one.add(other);
        one
    };
    let would_keep = sum(trial.kept_kept, trial.dropped_kept);
    let would_drop = sum(trial.kept_dropped, trial.dropped_dropped);
    table(
        "Traces, spans and bytes, by what was decided and what would be",
        &["in force", "would be kept", "would be dropped", "all"],
        html! {
            (row("kept", trial.kept_kept, trial.kept_dropped))
            (row("dropped", trial.dropped_kept, trial.dropped_dropped))
            (row("all", would_keep, would_drop))
        },
    )
}

fn cell(amount: Amount) -> Markup {
    html! {
        td {
            (format::count(amount.traces)) " traces" br;
            (format::count(amount.spans)) " spans" br;
            (format::bytes(amount.bytes))
        }
    }
}

const POLICIES: [&str; 11] = [
    "policy",
    "type",
    "mode",
    "asked",
    "votes keep",
    "votes drop",
    "would keep traces",
    "spans",
    "bytes",
    "would drop traces",
    "errors",
];

fn policies(trial: &TrialStatus) -> Markup {
    table(
        "What each would do",
        &POLICIES,
        html! {
            @for policy in &trial.policies { (tried(policy)) }
            tr {
                th scope="row" { "none of them" }
                @for _ in 1..9 { td { "–" } }
                td { (format::count(trial.dropped_by_none.traces)) }
                td { "–" }
            }
        },
    )
}

fn tried(policy: &TriedPolicyStatus) -> Markup {
    let asked = policy.votes_to_keep + policy.votes_to_drop + policy.no_votes;
    html! {
        tr {
            th scope="row" { (format::name(&policy.name)) }
            td { (policy.kind) }
            td { (policy.mode) }
            td { (format::count(asked)) }
            td { (format::count(policy.votes_to_keep)) }
            td { (format::count(policy.votes_to_drop)) }
            td { (format::count(policy.kept.traces)) }
            td { (format::count(policy.kept.spans)) }
            td { (format::bytes(policy.kept.bytes)) }
            td { (format::count(policy.dropped.traces)) }
            td class=[(policy.errors > 0).then_some("bad")] { (format::count(policy.errors)) }
        }
    }
}

const EXAMPLES: [&str; 8] = [
    "trace",
    "service",
    "span",
    "decided by",
    "why then",
    "spans",
    "would be decided by",
    "reasons",
];

fn examples(caption: &str, examples: &[TrialExampleStatus]) -> Markup {
    let by = |policy: Option<&str>| {
        html! {
            @match policy { Some(name) => (format::name(name)), None => "no policy keeps it" }
        }
    };
    table(
        caption,
        &EXAMPLES,
        html! {
            @if examples.is_empty() { tr { td colspan=(EXAMPLES.len()) { "none yet" } } }
            @for TrialExampleStatus { trace, policy, reasons } in examples {
                tr {
                    td { (id(trace)) }
                    td class="text" { (format::name(trace.service.as_deref().unwrap_or("–"))) }
                    td class="text" { (format::name(trace.name.as_deref().unwrap_or("–"))) }
                    td class="text" { (by(trace.policy.as_deref())) }
                    td { (why(trace.trigger)) }
                    td { (format::count(trace.spans.into())) }
                    td class="text" { (by(policy.as_deref())) }
                    td class="text" {
                        ul class="reasons" {
                            @for reason in reasons {
                                li { (format::name(&reason.policy)) ": " bdi { (format::cut(&reason.reason, 256)) } }
                            }
                        }
                    }
                }
            }
        },
    )
}
