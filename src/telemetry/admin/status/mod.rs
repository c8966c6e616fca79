//! The status of a member, live: as a page for people, and as JSON for programs.
//!
//! Promises that looking costs the pipeline next to nothing: totals are read back from the metrics, the
//! workers are asked at most once a second however many look, and what is remembered of the past is
//! bounded. Leaves what a member says beside its metrics to a [`StatusSource`].

mod api;
mod gather;
mod history;
mod model;
mod page;
mod parameter;
mod scrape;
mod stream;
mod trace_url;
mod trial;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Pages;
use super::guard::Guard;
use crate::clock;
use crate::ids::TraceId;
use crate::sync::lock;

use history::History;
use scrape::Scrape;
use stream::Streams;

pub use model::{
    FoundTrace, Later, OpenTraceStatus, PartitionStatus, PoliciesStatus, PolicyStatus, Setting,
    Status, StatusSource, Time, TraceSearch, WorkerPart,
};
pub use trace_url::TraceUrl;
pub use trial::{
    FindingStatus, Findings, ReasonStatus, TrialExampleStatus, TrialRefusal, TrialStatus, Trials,
    TriedPolicyStatus,
};

/// How old what is shown may be. Within that time nobody is asked again.
const FRESH: Duration = Duration::from_secs(1);

/// What is shown of one member, and what it is made of.
pub(super) struct View {
    source: Arc<dyn StatusSource>,
    pages: Pages,
    trace_url: Option<TraceUrl>,
    guard: Arc<Guard>,
    streams: Streams,
    started_at: Time,
    history: Mutex<History>,
    /// The last one that was made. Locked while one is made, so that it is made once.
    last: tokio::sync::Mutex<Option<(Instant, Arc<Status>)>>,
}

impl View {
    /// Of the member that `source` tells of. Its streams end with `stop`.
    pub(super) fn new(
        source: Arc<dyn StatusSource>,
        pages: Pages,
        (trace_url, guard): (Option<TraceUrl>, Arc<Guard>),
        stop: CancellationToken,
    ) -> Self {
        Self {
            source,
            pages,
            trace_url,
            guard,
            streams: Streams::new(stop),
            started_at: clock::system_time().into(),
            history: Mutex::default(),
            last: tokio::sync::Mutex::default(),
        }
    }

    /// Remembers how spans flow, for ever.
    pub(super) async fn watch(&self) {
        let mut seconds = interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next_sample = Instant::now();
        loop {
            let now = seconds.tick().await;
            self.source.renew();
            if now >= next_sample {
                next_sample = now + history::INTERVAL;
                let flow = gather::totals(&self.scrape());
                lock(&self.history).push(Instant::now(), clock::system_time().into(), flow);
            }
        }
    }

    /// How the member is, at most [`FRESH`] ago.
    async fn status(&self) -> Arc<Status> {
        let mut last = self.last.lock().await;
        if let Some((made, status)) = &*last
            && made.elapsed() < FRESH
        {
            return Arc::clone(status);
        }
        let partitions = self.source.partitions().await;
        let scrape = self.scrape();
        let (now, at) = (Instant::now(), Time::from(clock::system_time()));
        let (checks, notes) = ((self.pages.readiness)(), (self.pages.notes)());
        let (kept, dropped) = (self.source.latest(true), self.source.latest(false));
        let status = Arc::new(Status {
            member: gather::member(&scrape, (self.started_at, at), checks, notes),
            flow: gather::flow(&scrape, &lock(&self.history), (now, at)),
            partitions,
            policies: gather::policies(&scrape, self.source.policies()),
            traces: gather::latest(kept, dropped, self.trace_url.as_ref()),
            logs: gather::logs(),
        });
        *last = Some((now, Arc::clone(&status)));
        status
    }

    /// What is known of a trace.
    async fn search(&self, id: TraceId) -> TraceSearch {
        let mut search = self.source.search(id).await;
        let is_kept = search.found.iter().any(|found| found.state == "kept");
        let url = self.trace_url.as_ref().filter(|_| is_kept);
        search.link = url.map(|url| url.of(id));
        search
    }

    fn configuration(&self) -> Vec<Setting> {
        self.source.configuration()
    }

    fn scrape(&self) -> Scrape {
        Scrape::read(&(self.pages.metrics)())
    }
}

/// The page, and the API.
pub(super) fn router(view: Arc<View>) -> Router {
    page::router().merge(api::router()).with_state(view)
}

#[cfg(test)]
mod tests;
