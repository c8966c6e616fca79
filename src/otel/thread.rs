//! The thread that sends own telemetry.
//!
//! It has a runtime of its own, so that it holds up nothing else, and so that all that is done to send is
//! done on it: that is how it is left out of what is recorded.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self};
use std::time::{Duration, SystemTime};

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::batch::Batches;
use super::client::Client;
use super::counts::Counts;
use super::encode::{self, OwnLog, OwnSpan};
use super::environment::EnvironmentError;
use super::layer::leave_this_thread_out;
use super::metrics::Metrics;
use super::queue::Queue;
use super::settings::{OtelSettings, SignalSettings};
use crate::clock;
use crate::export::Signal;

/// All metrics in the text format of Prometheus, once they are set up.
pub(super) type MetricsSource = Arc<OnceLock<Arc<dyn Fn() -> String + Send + Sync>>>;

/// What there is to send.
type Sources = (Option<Arc<Queue<OwnSpan>>>, Option<Arc<Queue<OwnLog>>>, MetricsSource);

/// The running thread.
#[derive(Debug)]
pub(super) struct OtelThread {
    stop: CancellationToken,
    /// Closed when it has ended.
    ended: Receiver<()>,
}

impl OtelThread {
    /// Starts it.
    ///
    /// # Errors
    /// When a setting cannot be used, or the system refuses a thread.
    pub(super) fn start(
        settings: &OtelSettings,
        sources: Sources,
        counts: Arc<Counts>,
    ) -> Result<Self, EnvironmentError> {
        let refused = |error: std::io::Error| EnvironmentError {
            variable: "the thread of own telemetry".to_owned(),
            reason: error.to_string(),
        };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(refused)?;
        let stop = CancellationToken::new();
        let work = Work {
            settings: settings.clone(),
            counts,
            stop: stop.clone(),
            since: clock::system_time(),
        };
        let tasks = work.tasks(&runtime, sources)?;
        let (ends, ended) = sync_channel(0);
        let run = move || run(&runtime, tasks, ends);
        thread::Builder::new().name("tailsieve-otel".to_owned()).spawn(run).map_err(refused)?;
        Ok(Self { stop, ended })
    }

    /// Has it send what is left, and waits for that, but no longer than told.
    pub(super) fn stop(self, patience: Duration) {
        self.stop.cancel();
        if self.ended.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            let seconds = patience.as_secs();
            warn!(seconds, "otel.not_flushed: what is left of own telemetry is lost");
        }
    }
}

fn run(runtime: &Runtime, mut tasks: JoinSet<()>, ends: SyncSender<()>) {
    leave_this_thread_out();
    runtime.block_on(async {
        while let Some(task) = tasks.join_next().await {
            if let Err(error) = task {
                warn!(%error, "otel.task_panicked");
            }
        }
    });
    drop(ends);
    debug!("otel.stopped");
}

struct Work {
    settings: OtelSettings,
    counts: Arc<Counts>,
    stop: CancellationToken,
    since: SystemTime,
}

impl Work {
    /// A task for each signal.
    fn tasks(self, runtime: &Runtime, sources: Sources) -> Result<JoinSet<()>, EnvironmentError> {
        let _context = runtime.enter();
        let (spans, logs, metrics) = sources;
        let OtelSettings { resource, .. } = &self.settings;
        let mut tasks = JoinSet::new();
        if let Some((traces, queue)) = self.settings.traces.as_ref().zip(spans) {
            let client = self.client(Signal::Traces, &traces.to)?;
            let (signal, batch, resource) = (Signal::Traces, traces.batch, resource.clone());
            let batches = Batches { signal, queue, batch, resource, encode: encode::spans };
            tasks.spawn(batches.run(client, Arc::clone(&self.counts), self.stop.clone()));
        }
        if let Some((logs, queue)) = self.settings.logs.as_ref().zip(logs) {
            let client = self.client(Signal::Logs, &logs.to)?;
            let (signal, batch, resource) = (Signal::Logs, logs.batch, resource.clone());
            let batches = Batches { signal, queue, batch, resource, encode: encode::logs };
            tasks.spawn(batches.run(client, Arc::clone(&self.counts), self.stop.clone()));
        }
        if let Some(settings) = &self.settings.metrics {
            let client = self.client(Signal::Metrics, &settings.to)?;
            let state = Metrics::new(resource.clone(), settings.temporality, self.since);
            tasks.spawn(send_metrics(settings.clone(), state, metrics, client, self.stop.clone()));
        }
        Ok(tasks)
    }

    fn client(&self, signal: Signal, to: &SignalSettings) -> Result<Client, EnvironmentError> {
        Client::new(signal, to, Arc::clone(&self.counts), self.stop.clone())
    }
}

/// Sends the metrics now and then until `stop` is cancelled, and then once more.
async fn send_metrics(
    settings: super::settings::MetricSettings,
    mut state: Metrics,
    source: MetricsSource,
    client: Client,
    stop: CancellationToken,
) {
    let mut next = tokio::time::Instant::now();
    loop {
        next = (next + settings.interval).max(tokio::time::Instant::now());
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = stop.cancelled() => {}
        }
        let is_last = stop.is_cancelled();
        if let Some(render) = source.get() {
            let (message, points) = state.request(&render(), clock::system_time());
            if client.export(message, points, settings.timeout).await {
                state.accepted();
            }
        }
        if is_last {
            return;
        }
    }
}
