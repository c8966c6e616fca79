//! What the pages answer.

use std::fmt::Write as _;

use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::{Check, Pages};

/// The text format of Prometheus, version 0.0.4.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

const POLICIES_LINK: &str = "<li><a href=policies>/policies</a>: what is in force, what the last \
     reload changed, what is wrong with the file. <code>POST /-/reload</code> reads it again.\n";

pub(super) async fn metrics(State(pages): State<Pages>) -> Response {
    ([(header::CONTENT_TYPE, PROMETHEUS_TEXT)], (pages.metrics)()).into_response()
}

/// Says only that the process runs and answers, so that an orchestrator does not restart it because
/// Kafka is down.
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// 200 if spans can flow; else 503 and what is missing. With `?verbose`, every check and all current
/// problems.
pub(super) async fn readyz(State(pages): State<Pages>, RawQuery(query): RawQuery) -> Response {
    let is_verbose = asks_for(query.as_deref(), "verbose");
    let checks = (pages.readiness)();
    let is_ready = checks.iter().all(|check| check.state.is_ok());
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let notes = if is_verbose { (pages.notes)() } else { Vec::new() };
    (status, report(&checks, &notes, is_verbose)).into_response()
}

/// The active policies; with `?format=json`, as JSON.
pub(super) async fn policies(State(pages): State<Pages>, RawQuery(query): RawQuery) -> Response {
    let Some(policies) = &pages.policies else { return StatusCode::NOT_FOUND.into_response() };
    if asks_for(query.as_deref(), "format=json") {
        let kind = [(header::CONTENT_TYPE, "application/json")];
        return (kind, (policies.json)()).into_response();
    }
    (policies.text)().into_response()
}

/// Reads the policy file again: 200 and what changed; or 422 and every error in it, and nothing
/// changes.
pub(super) async fn reload(State(pages): State<Pages>) -> Response {
    let Some(policies) = &pages.policies else { return StatusCode::NOT_FOUND.into_response() };
    match (policies.reload)().await {
        Ok(changed) => changed.into_response(),
        Err(errors) => (StatusCode::UNPROCESSABLE_ENTITY, errors + "\n").into_response(),
    }
}

fn asks_for(query: Option<&str>, what: &str) -> bool {
    query.is_some_and(|query| query.split('&').any(|it| it.starts_with(what)))
}

fn report(checks: &[Check], notes: &[String], is_verbose: bool) -> String {
    let mut text = String::new();
    for Check { name, state } in checks {
        let line = match state {
            Ok(()) if is_verbose => format!("[+] {name} ok"),
            Ok(()) => continue,
            Err(missing) => format!("[-] {name}: {missing}"),
        };
        text.push_str(&line);
        text.push('\n');
    }
    notes.iter().for_each(|note| {
        let _ = writeln!(text, "[!] {note}");
    });
    let is_ready = checks.iter().all(|check| check.state.is_ok());
    text.push_str(if is_ready { "ready\n" } else { "not ready\n" });
    text
}

pub(super) async fn home(State(pages): State<Pages>) -> Html<String> {
    let mut rows = String::new();
    for Check { name, state } in (pages.readiness)() {
        let state = state.map_or_else(|missing| escape(&missing), |()| "ok".to_owned());
        let _ = write!(rows, "<tr><td>{name}<td>{state}");
    }
    let policies = pages.policies.map_or("", |_| POLICIES_LINK);
    Html(format!(
        "<!doctype html>\n<html lang=en><meta charset=utf-8><title>tailsieve</title>\n\
         <style>body{{font:1rem/1.5 sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem}}\
         td{{padding-right:1rem;vertical-align:top}}</style>\n\
         <h1>tailsieve {version}</h1>\n\
         <p>A tail-sampling stream processor: reads spans from Kafka, decides whole traces by \
         policy, forwards the kept ones over OTLP.\n\
         <table>{rows}</table>\n\
         <ul>\n\
         <li><a href=metrics>/metrics</a>: for Prometheus. <code>tailsieve_received_spans_total</code>, \
         <code>tailsieve_kept_spans_total</code> and <code>tailsieve_dropped_spans_total</code> give the \
         drop rate; <code>tailsieve_open_traces</code> is what waits for a decision.\n\
         <li><a href=readyz?verbose>/readyz</a>: 200 when spans can flow; what is missing otherwise.\n\
         <li><a href=livez>/livez</a>: 200 while the process runs.\n\
         {policies}</ul>\n",
        version = env!("CARGO_PKG_VERSION"),
    ))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
