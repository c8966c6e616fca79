//! The status page: HTML that says everything without a script. A small one keeps it up to date.
//!
//! Promises that whatever a policy, a service or a span is called stays text ([`format::name`]), and
//! that script, style and pictures come from this server only.

mod chart;
mod flow;
mod format;
mod policies;
mod system;
mod traces;

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use maud::{DOCTYPE, Markup, html};

use super::View;
use super::model::{MemberStatus, Status};
use crate::ids::TraceId;

const STYLE: &str = include_str!("../../assets/status.css");
const SCRIPT: &str = include_str!("../../assets/status.js");
const ICON: &str = include_str!("../../assets/icon.svg");

pub(super) fn router() -> Router<Arc<View>> {
    Router::new()
        .route("/", get(overview))
        .route("/trace", get(search))
        .route("/assets/status.css", get(|| asset("text/css; charset=utf-8", STYLE)))
        .route("/assets/status.js", get(|| asset("text/javascript; charset=utf-8", SCRIPT)))
        .route("/assets/icon.svg", get(|| asset("image/svg+xml", ICON)))
}

async fn asset(kind: &'static str, text: &'static str) -> Response {
    // Another version of the server may have another one: it is asked for each time.
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], text).into_response()
}

fn page(status: StatusCode, page: Markup) -> Response {
    let kind =
        [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    (status, kind, page.into_string()).into_response()
}

async fn overview(State(view): State<Arc<View>>) -> Response {
    let status = view.status().await;
    let configuration = view.configuration();
    let sections = html! {
        (flow::section(&status.flow))
        (policies::section(&status.policies))
        (traces::section(&status.traces))
        (system::partitions(&status.partitions))
        (system::exporters(&status.member))
        (system::logs(&status.logs))
        @if !configuration.is_empty() { (system::configuration(&configuration)) }
    };
    page(StatusCode::OK, frame("tailsieve", Some(&status), sections))
}

/// What is known of the trace `?id=`.
async fn search(State(view): State<Arc<View>>, RawQuery(query): RawQuery) -> Response {
    let wanted = parameter(query.as_deref().unwrap_or_default(), "id");
    let Some(id) = TraceId::from_hex(wanted.as_bytes()) else {
        let refused = traces::no_trace_id(&wanted);
        return page(StatusCode::BAD_REQUEST, frame("Not a trace id – tailsieve", None, refused));
    };
    let found = view.search(id).await;
    let title = format!("Trace {id} – tailsieve");
    page(StatusCode::OK, frame(&title, None, traces::found(&found)))
}

/// The value of a parameter of a query, as forms send it; white space around it is not meant.
fn parameter(query: &str, name: &str) -> String {
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let mut bytes = Vec::new();
    let mut rest = value.unwrap_or_default().bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|it| char::from(it).to_digit(16));
                let (high, low) = (digit(), digit());
                high.zip(low).map_or(b'?', |(high, low)| (high << 4 | low) as u8)
            }
            other => other,
        });
    }
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

/// The page around `content`; with the state of the member, if it is the overview.
fn frame(title: &str, status: Option<&Status>, content: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/assets/status.css";
                @if status.is_some() { script src="/assets/status.js" defer {} }
            }
            body {
                a class="skip" href="#main" { "Skip to the content" }
                header {
                    div class="bar" {
                        a class="home" href="/" { "tailsieve" }
                        @if let Some(status) = status { (state(&status.member)) }
                        @else { p { a href="/" { "Status of this member" } } }
                    }
                    @if status.is_some() { (navigation()) }
                }
                main id="main" tabindex="-1" {
                    @if let Some(status) = status {
                        h1 class="hidden" { "Status of this member" }
                        (troubles(&status.member))
                    }
                    (content)
                }
                footer { (links()) }
            }
        }
    }
}

/// Whether spans can flow, in a few words. Told by screen readers when it changes.
fn state(member: &MemberStatus) -> Markup {
    let uptime = (member.at.0.since(member.started_at.0)).as_secs_f64();
    html! {
        p id="state" data-live role="status" aria-live="polite" {
            @if member.is_ready { span class="good" { "Ready" } }
            @else { span class="bad" { "Not ready" } }
        }
        p id="process" data-live class="quiet" {
            "version " (member.version) ", up " (format::seconds(uptime))
            @if let Some(bytes) = member.resident_bytes { ", " (format::bytes(bytes)) " resident" }
            ", " span class="nowrap" { "as of " (format::time(member.at)) " UTC" }
        }
    }
}

fn navigation() -> Markup {
    let sections = [
        ("flow", "Flow"),
        ("policies", "Policies"),
        ("traces", "Traces"),
        ("partitions", "Partitions"),
        ("exporters", "Exporters"),
        ("logs", "Log"),
    ];
    html! {
        nav aria-label="Sections" {
            ul {
                @for (id, name) in sections { li { a href={ "#" (id) } { (name) } } }
            }
        }
    }
}

/// What is missing, and what is wrong, if anything is.
fn troubles(member: &MemberStatus) -> Markup {
    let missing = member.checks.iter().filter_map(|it| Some((it.name, it.missing.as_ref()?)));
    let missing: Vec<_> = missing.collect();
    html! {
        div id="troubles" data-live {
            @if !missing.is_empty() || !member.notes.is_empty() || !member.stalled_workers.is_empty() {
                section class="troubles" aria-label="What is wrong" {
                    ul {
                        @for (name, missing) in &missing { li { b { (name) } ": " (format::cut(missing, 500)) } }
                        @for stalled in &member.stalled_workers {
                            li { b { "workers wait" } ": " (stalled.workers) " for " (stalled.reason) }
                        }
                        @for note in &member.notes { li { (format::cut(note, 1000)) } }
                    }
                }
            }
        }
    }
}

fn links() -> Markup {
    html! {
        nav aria-label="For programs" {
            ul {
                li { a href="/metrics" { "/metrics" } " for Prometheus" }
                li { a href="/readyz?verbose" { "/readyz" } }
                li { a href="/livez" { "/livez" } }
                li { a href="/api/v1/status" { "/api/v1/status" } " as JSON" }
                li { a href="/api/v1/openapi.json" { "OpenAPI" } }
            }
        }
    }
}

/// A table that scrolls by itself where it is wider than the page: with the keyboard, too.
fn table(caption: &str, head: &[&str], rows: Markup) -> Markup {
    html! {
        div class="scroll" role="region" aria-label=(caption) tabindex="0" {
            table {
                caption { (caption) }
                thead { tr { @for name in head { th scope="col" { (name) } } } }
                tbody { (rows) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_read_as_forms_send_it() {
        let query = "x=1&id=%3Cb%3e+ab%C3%BC%4&id=2";
        assert_eq!(parameter(query, "id"), "<b> abü?");
        assert_eq!(parameter("id=+ab%20", "id"), "ab");
        assert_eq!(parameter("idx=1", "id"), "");
        assert_eq!(parameter("", "id"), "");
    }
}
