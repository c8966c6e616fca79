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
mod trial;
mod trials;

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use maud::{DOCTYPE, Markup, html};

use super::View;
use super::model::{MemberStatus, Status};
use super::parameter::parameter;
use crate::ids::TraceId;

const STYLE: &str = concat!(
    include_str!("../../assets/palette.css"),
    "\n",
    include_str!("../../assets/status.css")
);
const SCRIPT: &str = include_str!("../../assets/status.js");
const ICON: &str = include_str!("../../assets/icon.svg");

pub(super) fn router() -> Router<Arc<View>> {
    Router::new()
        .route("/", get(overview))
        .route("/live", get(overviews))
        .route("/trace", get(search))
        .route("/assets/status.css", get(|| asset("text/css; charset=utf-8", STYLE)))
        .route("/assets/status.js", get(|| asset("text/javascript; charset=utf-8", SCRIPT)))
        .route("/assets/icon.svg", get(|| asset("image/svg+xml", ICON)))
        .merge(trials::router())
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
    page(StatusCode::OK, whole(&view).await)
}

/// The overview, again and again.
async fn overviews(State(view): State<Arc<View>>) -> Response {
    let looked_at = Arc::clone(&view);
    view.streams.begin("page", move || {
        let view = Arc::clone(&looked_at);
        async move { Some(sent(&whole(&view).await)) }
    })
}

/// A page as an event: one line, whatever is in it.
fn sent(page: &Markup) -> String {
    serde_json::Value::from(page.0.as_str()).to_string()
}

async fn whole(view: &View) -> Markup {
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
    frame("tailsieve", &Top::Overview(&status), sections)
}

/// What is known of the trace `?id=`.
async fn search(State(view): State<Arc<View>>, RawQuery(query): RawQuery) -> Response {
    let wanted = parameter(query.as_deref().unwrap_or_default(), "id").unwrap_or_default();
    let Some(id) = TraceId::from_hex(wanted.as_bytes()) else {
        let refused = traces::no_trace_id(&wanted);
        return page(
            StatusCode::BAD_REQUEST,
            frame("Not a trace id – tailsieve", &Top::Page, refused),
        );
    };
    let found = view.search(id).await;
    let title = format!("Trace {id} – tailsieve");
    page(StatusCode::OK, frame(&title, &Top::Page, traces::found(&found)))
}

/// What stands above the content of a page.
enum Top<'a> {
    /// The state of the member, and where its sections are. Kept up to date.
    Overview(&'a Status),
    /// A way back to that. Kept up to date by this stream.
    Live(&'a str),
    /// The same; the page stays as it is.
    Page,
}

/// The page around `content`.
fn frame(title: &str, top: &Top<'_>, content: Markup) -> Markup {
    let stream = match top {
        Top::Overview(_) => Some("/live"),
        Top::Live(stream) => Some(*stream),
        Top::Page => None,
    };
    let status = if let Top::Overview(status) = top { Some(status) } else { None };
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
                @if stream.is_some() { script src="/assets/status.js" defer {} }
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
                main id="main" tabindex="-1" data-stream=[stream] {
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
