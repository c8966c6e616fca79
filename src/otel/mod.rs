//! Own telemetry over OTLP: metrics, logs, and traces of tailsieve's own work, as the environment
//! variables of OpenTelemetry (`OTEL_*`) say.
//!
//! Owns what those variables mean, the spans and log records that wait, and the one thread that sends
//! them. Promises that nothing is there and nothing is spent unless the variables ask for it; that what
//! waits is bounded, and what has no room is counted; that a receiver that is away or slow holds nothing
//! up; that sending makes no telemetry that would be sent; and that the end waits [`FLUSH`] at most.
//! Leaves to others which spans there are, and what is logged and counted.

mod batch;
mod check;
mod client;
mod counts;
mod encode;
mod environment;
mod headers;
mod layer;
mod metrics;
mod queue;
mod resource;
mod sampling;
mod settings;
#[cfg(test)]
mod tests;
mod thread;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use crate::sync::lock;
use crate::telemetry::logs::OwnLayer;

use self::counts::Counts;
use self::queue::Queue;
use self::thread::{MetricsSource, OtelThread};

pub use self::check::{SignalCheck, check};
pub use self::environment::{Environment, EnvironmentError};
pub use self::settings::OtelSettings;

/// How long the end of the process waits for what is left to be sent.
const FLUSH: Duration = Duration::from_secs(3);

/// Own telemetry that is being recorded, and sent once it is [started](Self::start).
pub struct Otel {
    settings: OtelSettings,
    spans: Option<Arc<Queue<encode::OwnSpan>>>,
    logs: Option<Arc<Queue<encode::OwnLog>>>,
    metrics: MetricsSource,
    counts: Arc<Counts>,
    thread: Mutex<Option<OtelThread>>,
}

impl Otel {
    /// Gets ready to record.
    pub fn new(settings: OtelSettings) -> Self {
        let spans = settings.traces.as_ref().map(|traces| Arc::new(Queue::new(traces.batch)));
        let logs = settings.logs.as_ref().map(|logs| Arc::new(Queue::new(logs.batch)));
        let (metrics, counts) = (MetricsSource::default(), Arc::default());
        Self { settings, spans, logs, metrics, counts, thread: Mutex::default() }
    }

    /// What is sent, and where.
    pub fn settings(&self) -> &OtelSettings {
        &self.settings
    }

    /// What records spans, and the log records that pass `filter`.
    pub fn layer(&self, filter: EnvFilter) -> OwnLayer {
        let ratio = self.settings.traces.as_ref().map_or(1.0, |traces| traces.ratio);
        layer::of(self.spans.clone(), ratio, self.logs.clone(), filter)
    }

    /// Starts to send.
    ///
    /// # Errors
    /// When a file that the variables name cannot be used, or the system refuses a thread.
    pub fn start(&self) -> Result<(), EnvironmentError> {
        let thread = OtelThread::start(
            &self.settings,
            (self.spans.clone(), self.logs.clone(), Arc::clone(&self.metrics)),
            Arc::clone(&self.counts),
        )?;
        *lock(&self.thread) = Some(thread);
        Ok(())
    }

    /// The metrics, in the text format of Prometheus, are what `render` gives. Call it when the recorder
    /// of metrics is installed.
    pub fn observe(&self, render: Arc<dyn Fn() -> String + Send + Sync>) {
        self.counts.register(&self.settings);
        // There is one member in a process, and so one source.
        let _known_before = self.metrics.set(render);
    }

    /// Sends what is left, and ends. Blocks, for [`FLUSH`] at most.
    pub fn shut_down(&self) {
        if let Some(thread) = lock(&self.thread).take() {
            thread.stop(FLUSH);
        }
    }
}
