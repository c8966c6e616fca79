//! What Tempo asks its external source: a trace by its id, in the paths of 2.10 and of 3.
//!
//! A trace is answered with 200, all else with 404 and an empty body, which Tempo decodes as a trace without
//! spans. Any other status fails the look-up of its user.

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;

use super::Served;
use super::audit::{Caller, text};
use super::body::body;
use super::stream::Peer;
use crate::ids::TraceId;
use crate::retrieval::lookups::{Answer, Question};
use crate::retrieval::pieces;
use crate::telemetry::admin::guard::is_cross_site;
use crate::telemetry::metrics::Retrieved;

/// Names the tenants who ask.
pub(super) const TENANTS: &str = "x-scope-orgid";

/// How large an answer may be: a little less than the 16 MiB that Tempo's components send each other.
const LARGEST: usize = (16 << 20) - (64 << 10);

pub(super) fn router() -> Router<Served> {
    Router::new().route("/api/v2/traces/{id}", get(trace)).route("/api/traces/{id}", get(trace))
}

async fn trace(
    State(Served { lookups, guard, keeper }): State<Served>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    request: Request,
) -> Response {
    let headers = request.headers();
    let caller = Caller { peer, tenant: text(headers, TENANTS) };
    let tenants = tenants(&caller.tenant);
    let id = request.uri().path().rsplit('/').next().unwrap_or_default();
    let question = question(id, request.uri().query().unwrap_or_default());
    let answer = match question {
        _ if !guard.lets_pass(&request) => lookups.refuse(Retrieved::Unauthorized),
        None => lookups.refuse(Retrieved::Malformed),
        Some(question) => lookups.look_up(question, &tenants, LARGEST).await,
    };
    caller.log(id, &answer);
    // A page of another site may have a trace opened, by an image for example.
    if let (Some(keeper), Some(Question { id, .. }), Retrieved::Found) =
        (keeper, question, answer.outcome)
        && !is_cross_site(headers)
    {
        keeper.opened(id, &tenants);
    }
    respond(answer, headers)
}

/// The tenants who ask, with a bar between them.
pub(super) fn tenants(named: &str) -> Vec<&str> {
    named.split('|').map(str::trim).filter(|it| !it.is_empty()).collect()
}

fn respond(answer: Answer, headers: &HeaderMap) -> Response {
    if answer.outcome != Retrieved::Found {
        return StatusCode::NOT_FOUND.into_response();
    }
    let (content_type, data) = if wants_json(headers) {
        match pieces::json(&answer.data) {
            Some(json) => ("application/json", Bytes::from(json)),
            None => return StatusCode::NOT_FOUND.into_response(),
        }
    } else {
        ("application/protobuf", answer.data)
    };
    let (content_type, length) = (HeaderValue::from_static(content_type), data.len().into());
    ([(CONTENT_TYPE, content_type), (CONTENT_LENGTH, length)], body(data)).into_response()
}

fn wants_json(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|it| it.to_str().ok());
    let mut types = accepted
        .flat_map(|it| it.split(','))
        .map(|it| it.split(';').next().unwrap_or_default().trim());
    types.find(|it| ["application/json", "application/protobuf"].contains(it))
        == Some("application/json")
}

/// What is asked for; `None` if the id or a time is none.
fn question(id: &str, query: &str) -> Option<Question> {
    let id = trace_id(id)?;
    let (mut start, mut end, mut all) = (None, None, false);
    for pair in query.split('&') {
        match pair.split_once('=').unwrap_or((pair, "")) {
            ("start", text) => start = time(text)?,
            ("end", text) => end = time(text)?,
            ("all", text) => all = text != "false",
            _ => {}
        }
    }
    Some(Question { id, start, end, all })
}

/// Seconds since the Unix epoch, in milliseconds. Nothing, and 0, is no time to Tempo.
#[expect(clippy::option_option, reason = "a time, none, or a mistake")]
fn time(text: &str) -> Option<Option<i64>> {
    if text.is_empty() {
        return Some(None);
    }
    let seconds: u32 = text.parse().ok()?;
    Some((seconds > 0).then(|| i64::from(seconds) * 1000))
}

/// As Tempo reads it: up to 32 hexadecimal digits, in either case, without those zeros that it begins with.
pub(super) fn trace_id(text: &str) -> Option<TraceId> {
    let is_id = (1..=32).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_hexdigit());
    is_id.then(|| TraceId::from_hex(format!("{text:0>32}").as_bytes())).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_tempo_reads_them() {
        let id = |text: &str| trace_id(text).map(|id| id.to_string());
        let long = "0af7651916cd43dd8448eb211c80319c";
        assert_eq!(id(long).as_deref(), Some(long));
        assert_eq!(id(&long.to_uppercase()).as_deref(), Some(long));
        assert_eq!(id("8448eb211c80319c"), Some(format!("{:0>32}", "8448eb211c80319c")));
        assert_eq!(id("1f3"), Some(format!("{:0>32}", "1f3")));
        for wrong in ["", "0", "xyz", "0af7651916cd43dd8448eb211c80319c0", "0af7%2b"] {
            assert_eq!(id(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_question_may_have_times() {
        let asked = |query| question("1", query).map(|it| (it.start, it.end, it.all));
        assert_eq!(asked(""), Some((None, None, false)));
        assert_eq!(
            asked("start=1700000000&end=1700000060"),
            Some((Some(1_700_000_000_000), Some(1_700_000_060_000), false))
        );
        assert_eq!(asked("end=0&start=&all"), Some((None, None, true)));
        assert_eq!(asked("all=true&mode=all"), Some((None, None, true)));
        assert_eq!(asked("start=soon"), None);
        assert_eq!(asked("end=-5"), None);
    }

    #[test]
    fn json_is_for_those_who_ask_for_it_first() {
        let wants = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().unwrap());
            wants_json(&headers)
        };
        assert!(wants("application/json") && wants("text/html, application/json;q=0.9"));
        assert!(!wants("application/protobuf") && !wants("*/*"));
        assert!(!wants("application/protobuf, application/json") && !wants_json(&HeaderMap::new()));
    }
}
