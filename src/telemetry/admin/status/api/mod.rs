//! `/api/v1`: what the page shows, as JSON. `openapi.json` describes it.

mod trials;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use serde_json::json;

use super::View;
use super::model::Status;
use crate::ids::TraceId;

/// The description of the API.
pub(super) const OPENAPI: &str = include_str!("../../assets/openapi.json");

type Shared = State<Arc<View>>;

pub(super) fn router() -> Router<Arc<View>> {
    Router::new()
        .route("/api/v1/openapi.json", get(openapi))
        .route("/api/v1/status", get(|view: Shared| part(view, answer)))
        .route("/api/v1/events", get(events))
        .route("/api/v1/member", get(|view: Shared| part(view, |status| answer(&status.member))))
        .route("/api/v1/flow", get(|view: Shared| part(view, |status| answer(&status.flow))))
        .route(
            "/api/v1/partitions",
            get(|view: Shared| part(view, |status| answer(&status.partitions))),
        )
        .route(
            "/api/v1/policies",
            get(|view: Shared| part(view, |status| answer(&status.policies))),
        )
        .route("/api/v1/traces", get(|view: Shared| part(view, |status| answer(&status.traces))))
        .route("/api/v1/traces/{trace_id}", get(trace))
        .route("/api/v1/logs", get(|view: Shared| part(view, |status| answer(&status.logs))))
        .route("/api/v1/configuration", get(configuration))
        .merge(trials::router())
}

async fn part(State(view): Shared, of: impl FnOnce(&Status) -> Response) -> Response {
    of(&*view.status().await)
}

/// The status, again and again.
async fn events(State(view): Shared) -> Response {
    let looked_at = Arc::clone(&view);
    view.streams.begin("status", move || {
        let view = Arc::clone(&looked_at);
        async move { Some(text(&*view.status().await)) }
    })
}

async fn openapi() -> Response {
    as_json(StatusCode::OK, OPENAPI.to_owned())
}

async fn configuration(State(view): Shared) -> Response {
    answer(&view.configuration())
}

async fn trace(State(view): Shared, Path(trace_id): Path<String>) -> Response {
    match TraceId::from_hex(trace_id.as_bytes()) {
        Some(id) => answer(&view.search(id).await),
        None => {
            let error =
                json!({ "error": "expected a trace id: 32 hexadecimal digits, not all zero" });
            as_json(StatusCode::BAD_REQUEST, error.to_string())
        }
    }
}

fn answer(what: &impl Serialize) -> Response {
    as_json(StatusCode::OK, text(what))
}

fn text(what: &impl Serialize) -> String {
    serde_json::to_string(what).expect("it has text keys, and nothing in it fails")
}

fn as_json(status: StatusCode, text: String) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, text).into_response()
}
