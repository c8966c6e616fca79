//! The exporters of a replay, for whose end somebody waits.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tracing::info;

use super::Replay;
use super::batch::{News, Tally};
use super::feeder::FeedError;
use crate::export::{
    Ack, AckSink, Chunk, ExportMetrics, ExportSettings, Exporter, Ticket, Unfenced, check_backend,
};
use crate::otlp::{AttributeKeys, Scan, scan};

/// When a letter is given up that its backend neither takes nor, while it takes others, refuses.
const PATIENCE: Duration = Duration::from_secs(30);

/// How soon a backend is asked again: somebody waits for the end.
const INTERVAL: Duration = Duration::from_secs(1);

/// What is refused so often, while others are taken, is a letter again, and nothing is lost by it.
const ATTEMPTS_BEFORE_REFUSED: u32 = 3;

/// In the order of the settings.
pub(super) struct Exporters(Vec<Exporter>);

impl Exporters {
    /// Starts them if all backends take what is `forwarded` with the first letter. What becomes of
    /// letters is told `news`.
    pub(super) fn start(
        Replay { settings, runtime, .. }: &Replay<'_>,
        forwarded: &Bytes,
        news: &Sender<News>,
    ) -> Result<Self, FeedError> {
        for settings in &settings.exports {
            let answer = runtime.block_on(check_backend(settings, forwarded.clone()));
            let exporter = || settings.name.clone();
            answer.map_err(|error| FeedError::Backend { exporter: exporter(), error })?;
        }
        let mut exporters = Vec::with_capacity(settings.exports.len());
        for (place, settings) in settings.exports.iter().enumerate() {
            let settings = &in_a_hurry(settings);
            let news = news.clone();
            let sink = move |acks: Vec<Ack>| {
                for ack in acks {
                    let letter = usize::try_from(ack.ticket.delivery.0).unwrap_or(usize::MAX);
                    // The receiver is gone after an error.
                    let _ = news.send(News::Settled(letter, place, ack.refusal));
                }
            };
            let metrics = ExportMetrics::new(settings);
            let sinks: Vec<AckSink> = vec![Box::new(sink)];
            let exporter = Exporter::start(settings, runtime, Arc::new(Unfenced), sinks, metrics)?;
            info!(exporter = exporter.name(), backend = exporter.endpoint(), "replay.exporter");
            exporters.push(exporter);
        }
        Ok(Self(exporters))
    }

    /// The spans of a request as exporters take them; `None` if there are none that can be read.
    pub(super) fn chunk(&self, spans: &[u8], forwarded: Bytes, ticket: Ticket) -> Option<Chunk> {
        let mut found = Scan::default();
        scan(spans, &AttributeKeys::default(), &mut found).ok()?;
        Some(Chunk {
            bytes: Bytes::copy_from_slice(spans),
            forwarded,
            trace_id: found.spans.first()?.trace_id,
            spans: u32::try_from(found.spans.len()).ok()?,
            traces: 1,
            since: Instant::now(),
            ticket,
        })
    }

    /// Hands a chunk to the exporter at this place.
    ///
    /// # Errors
    /// The chunk, if there is no room for it.
    pub(super) fn try_send(&self, exporter: usize, chunk: Chunk) -> Result<(), Chunk> {
        self.0[exporter].try_send(chunk)
    }

    /// Whether a backend took nothing any more of a batch, so that it makes no sense to go on.
    pub(super) fn gave_up(&self, tallies: &[Tally]) -> Option<FeedError> {
        self.0.iter().zip(tallies).find_map(|(exporter, tally)| {
            let said = tally.of_one_away(exporter.trouble())?;
            Some(FeedError::GaveUp { exporter: exporter.name().to_owned(), said })
        })
    }
}

/// The settings of an exporter for whose end somebody waits.
fn in_a_hurry(settings: &ExportSettings) -> ExportSettings {
    let mut settings = settings.clone();
    let retry = &mut settings.retry_on_failure;
    retry.initial_interval = retry.initial_interval.min(INTERVAL);
    retry.max_interval = retry.max_interval.min(2 * INTERVAL);
    retry.refuse_after_attempts = retry.refuse_after_attempts.min(ATTEMPTS_BEFORE_REFUSED);
    retry.refuse_after_time = Duration::ZERO;
    if retry.max_elapsed_time.is_zero() || retry.max_elapsed_time > PATIENCE {
        retry.max_elapsed_time = PATIENCE;
    }
    settings
}
