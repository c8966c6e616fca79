//! The page on which a policy file is tried on the traffic that passes: the form, and what is answered
//! to it. It works without a script.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::multipart::{Multipart, MultipartError};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use maud::{Markup, html};

use super::{Top, format, frame, page, sent, trial};
use crate::telemetry::admin::guard::{Changes, Refusal};
use crate::telemetry::admin::status::View;
use crate::telemetry::admin::status::trial::{
    Findings, LARGEST_FILE, LONGEST, SHORTEST, TrialRefusal, USUAL, duration, too_large,
};

/// What a form has beside the file.
const FORM_BYTES: usize = 64 << 10;

pub(super) fn router() -> Router<Arc<View>> {
    // The text may be in the form twice: as a file, and in its field.
    let limit = DefaultBodyLimit::max(2 * LARGEST_FILE + FORM_BYTES);
    Router::new()
        .route("/trials", get(overview).post(begin))
        .route("/trials/{trial_id}", get(one))
        .route("/trials/{trial_id}/live", get(updates))
        .route("/trials/{trial_id}/cancel", post(cancel))
        .layer(limit)
}

/// What was filled in.
#[derive(Default)]
struct Form {
    text: String,
    file: Vec<u8>,
    seconds: String,
    token: String,
}

/// What is said above the form.
enum Trouble<'a> {
    None,
    Text(&'a str),
    Refused(&'a TrialRefusal),
}

impl Form {
    async fn read(mut parts: Multipart) -> Result<Self, MultipartError> {
        let mut form = Self::default();
        while let Some(part) = parts.next_field().await? {
            let name = part.name().unwrap_or_default().to_owned();
            let bytes = part.bytes().await?;
            let text = || String::from_utf8_lossy(&bytes).into_owned();
            match &*name {
                "file" => form.file = bytes.to_vec(),
                // Forms send lines as mail does.
                "text" => form.text = text().replace("\r\n", "\n"),
                "seconds" => form.seconds = text().trim().to_owned(),
                "token" => form.token = text().trim().to_owned(),
                _ => {}
            }
        }
        if !form.file.is_empty() {
            form.text = String::from_utf8_lossy(&form.file).into_owned();
        }
        Ok(form)
    }

    /// The policy file; the one that was chosen, if one was.
    fn policies(&self) -> &[u8] {
        if self.file.is_empty() { self.text.as_bytes() } else { &self.file }
    }

    fn duration(&self) -> Result<Duration, String> {
        duration(&self.seconds)
    }
}

async fn overview(State(view): State<Arc<View>>) -> Response {
    shown(&view, StatusCode::OK, &Form::default(), &Trouble::None)
}

async fn begin(State(view): State<Arc<View>>, parts: Multipart) -> Response {
    let form = match Form::read(parts).await {
        Ok(form) => form,
        Err(error) => {
            let told = if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
                too_large()
            } else {
                error.body_text()
            };
            return shown(&view, error.status(), &Form::default(), &Trouble::Text(&told));
        }
    };
    if let Some(refusal) = view.guard.refusal_of(Some(&form.token)) {
        return shown(&view, StatusCode::FORBIDDEN, &form, &Trouble::Text(no_token(refusal)));
    }
    let duration = match form.duration() {
        Ok(duration) => duration,
        Err(error) => {
            return shown(&view, StatusCode::BAD_REQUEST, &form, &Trouble::Text(&error));
        }
    };
    if form.policies().len() > LARGEST_FILE {
        let told = too_large();
        return shown(&view, StatusCode::PAYLOAD_TOO_LARGE, &form, &Trouble::Text(&told));
    }
    match view.begin_trial(form.policies(), duration).await {
        Ok(status) => Redirect::to(&format!("/trials/{}", status.id)).into_response(),
        Err(refusal) => {
            let status = match &refusal {
                TrialRefusal::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
                TrialRefusal::Busy(_) => StatusCode::CONFLICT,
                TrialRefusal::NoAnswer => StatusCode::SERVICE_UNAVAILABLE,
            };
            shown(&view, status, &form, &Trouble::Refused(&refusal))
        }
    }
}

async fn one(State(view): State<Arc<View>>, Path(id): Path<String>) -> Response {
    match whole(&view, &id) {
        Some(whole) => page(StatusCode::OK, whole),
        None => unknown(&view),
    }
}

/// The page of a trial, again and again.
async fn updates(State(view): State<Arc<View>>, Path(id): Path<String>) -> Response {
    if view.trial(&id).is_none() {
        return unknown(&view);
    }
    let looked_at = Arc::clone(&view);
    view.streams.begin("page", move || {
        let page = whole(&looked_at, &id).map(|page| sent(&page));
        std::future::ready(page)
    })
}

fn whole(view: &View, id: &str) -> Option<Markup> {
    let status = view.trial(id)?;
    let content = html! {
        (trial::shown(&status))
        div id="trial-cancel" data-live {
            @if status.state == "running" && *view.guard.changes() != Changes::Off {
                form action={ "/trials/" (status.id) "/cancel" } method="post" enctype="multipart/form-data" {
                    (token(view))
                    button type="submit" { "Cancel the trial" }
                }
            }
        }
        p { a href="/trials" { "Try another policy file" } }
    };
    let stream = format!("/trials/{}/live", status.id);
    Some(frame("Trial of policies – tailsieve", &Top::Live(&stream), content))
}

async fn cancel(
    State(view): State<Arc<View>>,
    Path(id): Path<String>,
    parts: Multipart,
) -> Response {
    let form = Form::read(parts).await.unwrap_or_default();
    if let Some(refusal) = view.guard.refusal_of(Some(&form.token)) {
        let trouble = Trouble::Text(no_token(refusal));
        return shown(&view, StatusCode::FORBIDDEN, &Form::default(), &trouble);
    }
    match view.cancel_trial(&id).await {
        Some(status) => Redirect::to(&format!("/trials/{}", status.id)).into_response(),
        None => unknown(&view),
    }
}

fn unknown(view: &View) -> Response {
    let text = "There is no such trial: a member remembers the last five, until it ends.";
    shown(view, StatusCode::NOT_FOUND, &Form::default(), &Trouble::Text(text))
}

fn no_token(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::TokenUnreadable => {
            "The token that is expected cannot be read (admin.token_file); the log says why."
        }
        _ => "That is not the token of the configuration (admin.token, admin.token_file).",
    }
}

fn shown(view: &View, status: StatusCode, form: &Form, trouble: &Trouble<'_>) -> Response {
    let content = html! {
        h1 { "Try a policy file on the traffic that passes" }
        p {
            "For a while, each trace that this member decides is judged a second time, by the policies of "
            "the file. Nothing that is in force changes, and nothing is delivered otherwise. It costs CPU: "
            "at most half of the workers' time. "
            a href="/policies" { "The policies in force" }
        }
        (troubles(trouble))
        @if *view.guard.changes() == Changes::Off {
            p class="troubles" {
                "Requests that change something are switched off (" code { "admin.allow_changes" }
                "), and with them those that begin a trial."
            }
        } @else { (fields(view, form)) }
        (trial::list(&view.trials()))
    };
    page(status, frame("Try policies – tailsieve", &Top::Page, content))
}

fn troubles(trouble: &Trouble<'_>) -> Markup {
    let text = match trouble {
        Trouble::None => return html! {},
        Trouble::Text(text) => format::cut(text, 500),
        Trouble::Refused(refusal) => refusal.text(),
    };
    html! {
        div class="troubles" role="alert" {
            p { b { (text) } }
            @if let Trouble::Refused(TrialRefusal::Busy(Some(id))) = trouble {
                p { a href={ "/trials/" (id) } { "Look at it" } }
            }
            @if let Trouble::Refused(TrialRefusal::Invalid(findings)) = trouble {
                (all(findings))
            }
        }
    }
}

fn all(Findings { errors, warnings, notes }: &Findings) -> Markup {
    html! {
        @for finding in errors.iter().chain(warnings).chain(notes) {
            pre { (format::block(&finding.shown, 4000)) }
        }
    }
}

fn fields(view: &View, form: &Form) -> Markup {
    let seconds =
        if form.seconds.is_empty() { USUAL.to_string() } else { format::cut(&form.seconds, 20) };
    html! {
        form class="tall" action="/trials" method="post" enctype="multipart/form-data" {
            label for="trial-text" { "The policy file, as " code { "tailsieve validate" } " reads it" }
            textarea id="trial-text" name="text" rows="16" spellcheck="false" autocapitalize="off"
                aria-describedby="trial-hint" { "\n" (form.text) }
            p id="trial-hint" class="quiet" {
                "At most " (LARGEST_FILE >> 10) " KiB. Variables such as " code { "${env:NAME}" }
                " are not filled in."
            }
            label for="trial-file" { "or the file itself, which is taken if one is chosen" }
            input id="trial-file" name="file" type="file" accept=".yaml,.yml,.json";
            label for="trial-seconds" { "Seconds, from " (SHORTEST) " to " (LONGEST) }
            input id="trial-seconds" name="seconds" type="number" min=(SHORTEST) max=(LONGEST)
                value=(seconds) required;
            (token(view))
            button type="submit" { "Try it" }
        }
    }
}

/// The field for the token, if one is expected.
fn token(view: &View) -> Markup {
    html! {
        @if matches!(view.guard.changes(), Changes::WithToken(_)) {
            label for="trial-token" { "Token (" code { "admin.token" } ")" }
            input id="trial-token" name="token" type="password" autocomplete="off" required;
        } @else {
            // A form has at least one part.
            input type="hidden" name="token" value="";
        }
    }
}
