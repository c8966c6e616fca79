//! `/api/v1/policies/trials`: policies that are tried on the traffic that passes.

use std::sync::Arc;

use axum::Router;
use axum::body::{self, Body};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::json;

use super::{Shared, answer, as_json};
use crate::telemetry::admin::status::View;
use crate::telemetry::admin::status::parameter::parameter;
use crate::telemetry::admin::status::trial::{
    LARGEST_FILE, TrialRefusal, USUAL, duration, too_large,
};

pub(super) fn router() -> Router<Arc<View>> {
    Router::new()
        .route("/api/v1/policies/trials", post(begin).get(all))
        .route("/api/v1/policies/trials/{trial_id}", get(one).delete(cancel))
}

/// The body is the file.
async fn begin(State(view): Shared, RawQuery(query): RawQuery, file: Body) -> Response {
    let seconds = query.as_deref().and_then(|query| parameter(query, "seconds"));
    let duration = match duration(&seconds.unwrap_or_else(|| USUAL.to_string())) {
        Ok(duration) => duration,
        Err(error) => return failure(StatusCode::BAD_REQUEST, &error),
    };
    let Ok(file) = body::to_bytes(file, LARGEST_FILE).await else {
        return failure(StatusCode::PAYLOAD_TOO_LARGE, &too_large());
    };
    match view.begin_trial(&file, duration).await {
        Ok(status) => {
            let location = HeaderValue::from_str(&format!("/api/v1/policies/trials/{}", status.id));
            let mut response = answer(&status);
            *response.status_mut() = StatusCode::CREATED;
            response.headers_mut().extend(location.ok().map(|it| (header::LOCATION, it)));
            response
        }
        Err(refusal) => refused(&refusal),
    }
}

fn refused(refusal: &TrialRefusal) -> Response {
    let error = refusal.text();
    match refusal {
        TrialRefusal::Invalid(findings) => {
            let mut json = json!(findings);
            json["error"] = json!(error);
            as_json(StatusCode::UNPROCESSABLE_ENTITY, json.to_string())
        }
        TrialRefusal::Busy(_) => failure(StatusCode::CONFLICT, &error),
        TrialRefusal::NoAnswer => failure(StatusCode::SERVICE_UNAVAILABLE, &error),
    }
}

async fn all(State(view): Shared) -> Response {
    answer(&view.trials())
}

async fn one(State(view): Shared, Path(id): Path<String>) -> Response {
    view.trial(&id).map_or_else(unknown, |status| answer(&status))
}

async fn cancel(State(view): Shared, Path(id): Path<String>) -> Response {
    view.cancel_trial(&id).await.map_or_else(unknown, |status| answer(&status))
}

fn unknown() -> Response {
    let error = "there is no trial of this id; a member remembers the last five until it ends";
    failure(StatusCode::NOT_FOUND, error)
}

fn failure(status: StatusCode, error: &str) -> Response {
    as_json(status, json!({ "error": error }).to_string())
}
