//! Server-sent events: a page, or the status as JSON, again and again.
//!
//! Promises that there are few streams at a time, that one whose reader is slow waits for it with one
//! event and no more, and that all end when the server does.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::channel::Channel;
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often something is sent.
const EVERY: Duration = Duration::from_secs(2);

/// How many streams there may be at a time.
pub(super) const MOST: usize = 16;

/// How soon a browser comes again when a stream has ended, in milliseconds.
const RETRY_MILLIS: u32 = 2000;

/// Where streams come from.
pub(super) struct Streams {
    room: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Streams {
    /// They end with `stop`.
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self { room: Arc::new(Semaphore::new(MOST)), stop }
    }

    /// A stream of events of this name, with what `render` has to say; it ends when that has nothing
    /// to say any more.
    pub(super) fn begin<F>(
        &self,
        name: &'static str,
        render: impl Fn() -> F + Send + 'static,
    ) -> Response
    where
        F: Future<Output = Option<String>> + Send,
    {
        let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else { return full() };
        // One event waits at most: whoever is slow gets the next one later, and as it is then.
        let (mut sender, body) = Channel::<Bytes>::new(1);
        let stop = self.stop.clone();
        let send = async move {
            let mut seconds = interval(EVERY);
            seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                seconds.tick().await;
                let Some(data) = render().await else { return };
                if sender.send_data(event(name, &data).into()).await.is_err() {
                    return;
                }
            }
        };
        tokio::spawn(async move {
            tokio::select! {
                () = send => {}
                () = stop.cancelled() => {}
            }
            drop(room);
        });
        let headers = [
            (header::CONTENT_TYPE, "text/event-stream"),
            (header::CACHE_CONTROL, "no-store"),
            // For nginx, which otherwise gathers what it passes on.
            (header::HeaderName::from_static("x-accel-buffering"), "no"),
        ];
        (headers, Body::new(body)).into_response()
    }
}

/// An event as the HTML standard has it.
fn event(name: &str, data: &str) -> String {
    let mut event = format!("retry: {RETRY_MILLIS}\nevent: {name}\n");
    for line in data.lines() {
        // Writing to a string does not fail.
        let _ = writeln!(event, "data: {line}");
    }
    event + "\n"
}

fn full() -> Response {
    let headers = [(header::RETRY_AFTER, "10"), (header::CACHE_CONTROL, "no-store")];
    let text = format!("{MOST} streams are open already, and there may be no more\n");
    (StatusCode::SERVICE_UNAVAILABLE, headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_its_lines() {
        assert_eq!(event("page", "a\nb"), "retry: 2000\nevent: page\ndata: a\ndata: b\n\n");
    }
}
