//! The traces that were decided last, and what is known of one.

use maud::{Markup, html};

use super::{format, table};
use crate::telemetry::admin::status::model::{FoundTrace, LatestTraces, TraceSearch, TraceStatus};

/// How many of each kind are on the page.
const SHOWN: usize = 12;

pub(super) fn section(latest: &LatestTraces) -> Markup {
    html! {
        section id="traces" aria-labelledby="traces-title" {
            h2 id="traces-title" { "Traces" }
            (form(""))
            div id="traces-live" data-live {
                (list("Kept last", &latest.kept))
                (list("Dropped last", &latest.dropped))
            }
            p class="quiet" {
                "At most " (latest.most_each_second) " of each kind are looked at in a second. "
                "Times are those of the partition's clock."
            }
        }
    }
}

fn form(value: &str) -> Markup {
    html! {
        form action="/trace" method="get" role="search" {
            label for="trace-id" { "What became of the trace" }
            input id="trace-id" name="id" type="text" autocomplete="off" spellcheck="false"
                required pattern="\\s*[0-9A-Fa-f]{32}\\s*"
                title="32 hexadecimal digits" placeholder="0af7651916cd43dd8448eb211c80319c"
                value=(value);
            button type="submit" { "Search" }
        }
    }
}

const HEAD: [&str; 9] =
    ["decided", "trace", "service", "span", "policy", "why then", "spans", "errors", "duration"];

fn list(caption: &str, traces: &[TraceStatus]) -> Markup {
    let rows = html! {
        @if traces.is_empty() { tr { td colspan=(HEAD.len()) { "none yet" } } }
        @for trace in traces.iter().take(SHOWN) {
            tr {
                td { (format::time(trace.decided_at)) }
                td { (id(trace)) }
                td class="text" { (format::name(trace.service.as_deref().unwrap_or("–"))) }
                td class="text" { (format::name(trace.name.as_deref().unwrap_or("–"))) }
                td class="text" { (policy(trace.policy.as_deref(), trace.probability)) }
                td { (why(trace.trigger)) }
                td { (format::count(trace.spans.into())) }
                td class=[(trace.errors > 0).then_some("bad")] { (format::count(trace.errors.into())) }
                td { (format::seconds(trace.duration_seconds)) }
            }
        }
    };
    table(caption, &HEAD, rows)
}

/// Its id, and where it can be looked at.
pub(super) fn id(trace: &TraceStatus) -> Markup {
    let search = format!("/trace?id={}", trace.trace_id);
    html! {
        a class="id" href=(search) { (trace.trace_id) }
        @if let Some(link) = &trace.link {
            " " a href=(link) rel="noreferrer noopener" aria-label={ "open trace " (trace.trace_id) } { "open" }
        }
    }
}

/// The policy on whose account it was, and the chance that the trace had.
fn policy(policy: Option<&str>, probability: Option<f64>) -> Markup {
    html! {
        @match policy { Some(name) => (format::name(name)), None => "no policy keeps it" }
        @if let Some(chance) = probability.filter(|chance| *chance < 1.0) {
            " (" (format::share(Some(chance))) ")"
        }
    }
}

/// What a trigger means.
pub(super) fn why(trigger: &str) -> &'static str {
    match trigger {
        "root" => "quiet after its root",
        "wait" => "longest wait",
        "size" => "size",
        "memory" => "memory bound",
        _ => "its records are gone",
    }
}

/// It is no trace id.
pub(super) fn no_trace_id(wanted: &str) -> Markup {
    html! {
        h1 { "Not a trace id" }
        p { "Expected 32 hexadecimal digits that are not all zero, found “" (format::name(wanted)) "”." }
        (form(&format::cut(wanted, 64)))
    }
}

/// What is known of a trace.
pub(super) fn found(search: &TraceSearch) -> Markup {
    html! {
        h1 { "Trace " span class="id" { (search.trace_id) } }
        @if let Some(link) = &search.link {
            p { a href=(link) rel="noreferrer noopener" { "Open the trace" } }
        }
        @for found in &search.found { (one(found)) }
        @if search.found.is_empty() { (unknown(search)) }
        @if !search.is_complete {
            p class="troubles" { "Not all workers of this member have answered in time: ask again." }
        }
        (form(""))
    }
}

fn one(found: &FoundTrace) -> Markup {
    let state = match found.state {
        "open" => "Open: it is not decided yet",
        "kept" => "Kept",
        _ => "Dropped",
    };
    html! {
        section aria-label={ "Partition " (found.partition) ", " (found.state) ", from offset " (found.first_offset) } {
            h2 class=(found.state) { (state) }
            dl {
                @if found.state != "open" {
                    dt { "by" } dd { (policy(found.policy.as_deref(), found.probability)) }
                }
                @if let Some(trigger) = found.trigger { dt { "why then" } dd { (why(trigger)) } }
                @if let Some(at) = found.decided_at { dt { "decided" } dd { (at) } }
                @if let Some(at) = found.opened_at { dt { "first span read" } dd { (at) } }
                @if found.state == "open" {
                    dt { "root span read" }
                    dd { @match found.root_at { Some(at) => (at), None => "not yet" } }
                }
                @if let Some(at) = found.due_at { dt { "decided at the latest" } dd { (at) } }
                @if let Some(spans) = found.spans { dt { "spans so far" } dd { (format::count(spans.into())) } }
                @if let Some(errors) = found.errors { dt { "with an error" } dd { (format::count(errors.into())) } }
                @if let Some(bytes) = found.bytes { dt { "size" } dd { (format::bytes(bytes)) } }
                dt { "partition" } dd { (found.partition) }
                dt { "records" } dd { "offsets " (found.first_offset) " to " (found.last_offset) }
            }
            @if found.state != "open" {
                p class="quiet" { "Times are those of the partition's clock, which record timestamps move." }
            }
        }
    }
}

/// Nothing is known of it: why that may be.
fn unknown(search: &TraceSearch) -> Markup {
    let is_owned = |partition: &i32| search.owned_partitions.contains(partition);
    html! {
        @match search.partition {
            Some(partition) if !is_owned(&partition) => p {
                "This member does not have it: the trace belongs to partition " (partition)
                ", which another member has. Ask that one."
            },
            Some(partition) => p {
                "This member has the partition of this trace, " (partition)
                ", and knows nothing of it. No span of it was read, or its decision was forgotten "
                "(decision_cache), or its spans lie elsewhere because its records are not keyed by trace."
            },
            None => p {
                "This member knows nothing of it. Which partition it belongs to is known once enough "
                "records were read. Other members may know it: this one has "
                (search.owned_partitions.len()) " partitions."
            },
        }
    }
}
