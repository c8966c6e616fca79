//! Keeping a dropped trace after all: on request, and, if that is wanted, when it is opened.
//!
//! Unlike what Tempo asks for, a request for this is answered in plain words and with a status that says what
//! came of it. That a trace is asked for says nothing yet of its being kept: the log of decisions tells that.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use moka::sync::Cache;
use serde_json::json;

use super::Served;
use super::audit::text;
use super::guard::Guard;
use super::stream::Peer;
use super::tempo::{TENANTS, tenants, trace_id};
use crate::ids::TraceId;
use crate::retrieval::lookups::Lookups;
use crate::retrieval::{Asker, Verdict};
use crate::telemetry::admin::guard::is_cross_site;
use crate::telemetry::metrics::{KeepAnswer, Retrieved};

/// One that was opened is not asked for again within this time.
const OPENED_AGAIN: Duration = Duration::from_secs(60);

/// How many of them are remembered.
const OPENED: u64 = 10_000;

/// Asks the group to keep traces.
pub(super) struct Keeper {
    lookups: Arc<Lookups>,
    asker: Asker,
    /// Those that were asked for when they were opened; `None` if they are not.
    opened: Option<Cache<TraceId, ()>>,
}

/// What came of it.
struct Outcome {
    answer: KeepAnswer,
    message: String,
}

impl Keeper {
    /// `on_open` says that traces are asked for when they are opened, too.
    pub(super) fn new(lookups: Arc<Lookups>, asker: Asker, on_open: bool) -> Self {
        let opened = || Cache::builder().max_capacity(OPENED).time_to_live(OPENED_AGAIN).build();
        let opened = on_open.then(opened);
        Self { lookups, asker, opened }
    }

    /// A dropped trace was opened, for these tenants.
    pub(super) fn opened(self: &Arc<Self>, id: TraceId, tenants: &[&str]) {
        let Some(opened) = &self.opened else { return };
        if opened.contains_key(&id) {
            return;
        }
        opened.insert(id, ());
        let this = Arc::clone(self);
        let tenants: Vec<String> = tenants.iter().map(|&tenant| tenant.to_owned()).collect();
        tokio::spawn(async move {
            let tenants: Vec<&str> = tenants.iter().map(String::as_str).collect();
            let outcome = this.keep(id, &tenants).await;
            tracing::info!(trace_id = %id, outcome = outcome.answer.label(), "retrieval.keep_on_open");
        });
    }

    async fn keep(&self, id: TraceId, tenants: &[&str]) -> Outcome {
        let outcome = match self.lookups.verdict(id, tenants).await {
            Ok(Verdict::Ask(requests)) => match self.asker.ask(&requests).await {
                Ok(()) => Outcome::of(KeepAnswer::Requested),
                Err(reason) => Outcome { answer: KeepAnswer::Failed, message: reason },
            },
            Ok(Verdict::Kept { .. }) => Outcome::of(KeepAnswer::Kept),
            Ok(Verdict::Vetoed(policy)) => Outcome {
                answer: KeepAnswer::Vetoed,
                message: format!("policy {policy:?} drops such traces whatever others say"),
            },
            Ok(Verdict::Incomplete) => Outcome::of(KeepAnswer::Incomplete),
            Err(why) => Outcome::of(not_told(why)),
        };
        self.lookups.asked(outcome.answer);
        outcome
    }

    fn refuse(&self, answer: KeepAnswer) -> Outcome {
        self.lookups.asked(answer);
        Outcome::of(answer)
    }
}

/// Why it cannot be told whether a trace can be kept.
fn not_told(why: Retrieved) -> KeepAnswer {
    match why {
        Retrieved::BeyondRetention => KeepAnswer::Incomplete,
        Retrieved::OverBudget => KeepAnswer::OverBudget,
        Retrieved::KafkaAway => KeepAnswer::Failed,
        _ => KeepAnswer::NotFound,
    }
}

impl Outcome {
    fn of(answer: KeepAnswer) -> Self {
        let message = match answer {
            KeepAnswer::Requested => "its member is asked to keep it",
            KeepAnswer::Kept => "it is kept already",
            KeepAnswer::NotFound => "no decision on it is on record, or none yet",
            KeepAnswer::Incomplete => "Kafka does not have all of its records any more",
            KeepAnswer::Vetoed => "a policy drops such traces whatever others say",
            KeepAnswer::OverBudget => "too much is looked up at the moment",
            KeepAnswer::Failed => "Kafka does not answer",
            KeepAnswer::Unauthorized => "expected the token of the configuration (retrieval.token)",
            KeepAnswer::CrossSite => "a page of another site may not change anything here",
            KeepAnswer::Malformed => "expected a trace id: 32 hexadecimal digits",
        };
        Self { answer, message: message.to_owned() }
    }

    fn status(&self) -> StatusCode {
        match self.answer {
            KeepAnswer::Requested => StatusCode::ACCEPTED,
            KeepAnswer::Kept => StatusCode::OK,
            KeepAnswer::NotFound => StatusCode::NOT_FOUND,
            KeepAnswer::Incomplete => StatusCode::GONE,
            KeepAnswer::Vetoed => StatusCode::CONFLICT,
            KeepAnswer::OverBudget | KeepAnswer::Failed => StatusCode::SERVICE_UNAVAILABLE,
            KeepAnswer::Unauthorized => StatusCode::UNAUTHORIZED,
            KeepAnswer::CrossSite => StatusCode::FORBIDDEN,
            KeepAnswer::Malformed => StatusCode::BAD_REQUEST,
        }
    }
}

pub(super) fn router(keeper: Arc<Keeper>) -> Router<Served> {
    let answer = async move |State(served): State<Served>, peer: ConnectInfo<Peer>, request| {
        keep(&keeper, &served.guard, peer, request).await
    };
    Router::new().route("/api/traces/{id}/keep", post(answer))
}

async fn keep(
    keeper: &Keeper,
    guard: &Guard,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    request: Request,
) -> Response {
    let headers = request.headers();
    let path = request.uri().path().strip_suffix("/keep").unwrap_or_default();
    let id = trace_id(path.rsplit('/').next().unwrap_or_default());
    let outcome = match id {
        _ if !guard.lets_pass(&request) => keeper.refuse(KeepAnswer::Unauthorized),
        _ if is_cross_site(headers) => keeper.refuse(KeepAnswer::CrossSite),
        None => keeper.refuse(KeepAnswer::Malformed),
        Some(id) => keeper.keep(id, &tenants(&text(headers, TENANTS))).await,
    };
    let trace_id = id.map(|id| id.to_string());
    let label = outcome.answer.label();
    tracing::info!(%peer, trace_id, outcome = label, message = outcome.message, "retrieval.keep");
    let body = json!({ "trace_id": trace_id, "outcome": label, "message": outcome.message });
    (outcome.status(), [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
