//! Feeds a batch of letters back, and waits until it is known of each what became of it.
//!
//! Owns the producer, which writes to the topics, and the exporters, which are started when the
//! first letter needs one. Promises that a batch that comes back without an error is settled: each
//! letter is acknowledged where it belongs, or is on the dead-letter topic again.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use rdkafka::error::KafkaError;
use thiserror::Error;
use tokio::runtime::Handle;
use tracing::{info, warn};

use super::found::{Course, Found, Place, Wanted};
use super::report::Fate;
use crate::config::Settings;
use crate::export::{
    Ack, AckSink, BackendCheckError, Chunk, DeliveryId, ExportError, ExportMetrics, ExportSettings,
    Exporter, Fence, GIVEN_UP, Refusal, Ticket, check_backend,
};
use crate::ids::{Generation, Offset, Origin, Partition, Timestamp, TraceId};
use crate::kafka::dead_letters::{ATTEMPTS, DeadLetterSettings, Letter};
use crate::kafka::publish::{DeliveryReports, Failed, Outgoing, Publisher, PublisherSettings};
use crate::kafka::record_headers;
use crate::kafka::source::GenerationStatus;
use crate::otlp::{AttributeKeys, Scan, scan};

/// Bytes of records that may wait: more than a batch and the largest letter together.
const QUEUE_BYTES: usize = 160 << 20;

/// When a letter is given up that its backend neither takes nor, while it takes others, refuses.
const PATIENCE: Duration = Duration::from_secs(30);

/// How soon a backend is asked again: somebody waits for the end.
const INTERVAL: Duration = Duration::from_secs(1);

/// What is refused so often, while others are taken, is a letter again, and nothing is lost by it.
const ATTEMPTS_BEFORE_REFUSED: u32 = 3;

/// How long is waited for news before it is looked whether to stop.
const SLICE: Duration = Duration::from_millis(100);

/// Why a batch is not settled. Its offsets must not be committed.
#[derive(Debug, Error)]
pub(super) enum FeedError {
    /// The producer does not start.
    #[error("the Kafka producer refuses its settings: {0}")]
    Producer(#[from] KafkaError),
    /// An exporter does not start.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The backend does not take what an exporter would send.
    #[error(
        "the backend of exporter {exporter} takes nothing: {error}; its letters stay where they are, \
         feed them back when it does"
    )]
    Backend {
        /// Its name.
        exporter: String,
        /// What it says.
        error: BackendCheckError,
    },
    /// It took nothing any more.
    #[error(
        "the backend of exporter {exporter} takes nothing any more: {said}; what it did not take was \
         put back as it was, feed it back when it does"
    )]
    GaveUp {
        /// Its name.
        exporter: String,
        /// What it says.
        said: String,
    },
    /// A letter that could not be fed back cannot be put back either.
    #[error(
        "a letter cannot be written to the dead-letter topic again: {0}; what was under way is \
         fed back again next time"
    )]
    NotPutBack(String),
    /// It took too long after a signal.
    #[error("stopped in the middle of a batch, which is fed back again next time")]
    Interrupted,
}

/// News of a letter, by its place in the batch.
enum News {
    Written(usize, Result<(), String>),
    Settled(usize, usize, Option<Box<Refusal>>),
}

/// Passes on what the producer says.
struct Tell(mpsc::Sender<News>);

impl DeliveryReports for Tell {
    type Ticket = usize;

    fn settled(&self, letter: usize, result: Result<(Partition, Offset), Failed<'_>>) {
        let result = result.map(drop).map_err(|failed| failed.error.to_string());
        // Nobody listens any more after an error.
        let _ = self.0.send(News::Written(letter, result));
    }
}

/// Nothing here can be taken away.
struct Held;

impl Fence for Held {
    fn status(&self, _: Partition, _: Generation) -> GenerationStatus {
        GenerationStatus::Current
    }
}

/// Something that has to go to the dead-letter topic again.
enum Back {
    AsItWas,
    RefusedAgain(Letter),
}

pub(super) struct Feeder<'a> {
    settings: &'a Settings,
    dead_letter: &'a DeadLetterSettings,
    wanted: &'a Wanted,
    /// How many partitions the topic has that records go to.
    partitions: usize,
    runtime: Handle,
    stop: &'a dyn Fn() -> bool,
    publisher: Publisher<Tell>,
    exporters: Vec<Exporter>,
    tell: mpsc::Sender<News>,
    news: mpsc::Receiver<News>,
    batches: u64,
    /// Of the last batch, by exporter.
    tallies: Vec<Tally>,
    scan: Scan,
}

/// What a backend did with the letters of a batch.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    delivered: bool,
    given_up: bool,
}

impl Tally {
    /// The trouble of a backend that takes nothing any more: it took none of the batch, some were given up,
    /// and nothing was accepted since, not even a request without spans. One that nothing was sent
    /// to, or that gives up only letters at fault, is none that is away.
    fn of_one_away(self, trouble: Option<String>) -> Option<String> {
        trouble.filter(|_| !self.delivered && self.given_up)
    }
}

/// What is known of a batch so far.
struct Progress<'b> {
    batch: &'b [(Place, Found)],
    fates: Vec<Fate>,
    back: Vec<(usize, Back)>,
    under_way: usize,
    /// By exporter.
    tallies: Vec<Tally>,
}

impl Progress<'_> {
    /// A letter that could not be fed back is put back, once.
    fn failed(&mut self, letter: usize, why: &str) {
        if self.fates[letter] == Fate::Failed {
            return;
        }
        let Place { partition, offset } = self.batch[letter].0;
        let (partition, offset) = (partition.0, offset.0);
        warn!(partition, offset, why, "replay.failed: the letter is put back as it was");
        self.fates[letter] = Fate::Failed;
        self.back.push((letter, Back::AsItWas));
    }
}

impl<'a> Feeder<'a> {
    pub(super) fn start(
        settings: &'a Settings,
        dead_letter: &'a DeadLetterSettings,
        wanted: &'a Wanted,
        partitions: usize,
        runtime: Handle,
        stop: &'a dyn Fn() -> bool,
    ) -> Result<Self, FeedError> {
        let source = &settings.source;
        let mut publishing =
            PublisherSettings::new("tailsieve-replay", &source.brokers, &source.properties);
        publishing.message_timeout = Some(dead_letter.message_timeout);
        publishing.queue_bytes = QUEUE_BYTES;
        let (tell, news) = mpsc::channel();
        let publisher = Publisher::start(publishing, Tell(tell.clone()))?;
        let (exporters, scan) = (Vec::new(), Scan::default());
        Ok(Self {
            settings,
            dead_letter,
            wanted,
            partitions,
            runtime,
            stop,
            publisher,
            exporters,
            tell,
            news,
            batches: 0,
            tallies: Vec::new(),
            scan,
        })
    }

    /// Feeds a batch back. Blocks until it is settled; returns what became of each.
    pub(super) fn feed(&mut self, batch: &[(Place, Found)]) -> Result<Vec<Fate>, FeedError> {
        self.batches += 1;
        let fates = vec![Fate::FedBack; batch.len()];
        let tallies = vec![Tally::default(); self.settings.exports.len()];
        let mut progress = Progress { batch, fates, back: Vec::new(), under_way: 0, tallies };
        let is_exported = |found: &Found| {
            matches!(self.wanted.course(found, self.partitions), Course::Exporters(_))
        };
        // Before anything is fed back: if there is no backend, everything stays where it is.
        let first = batch.iter().find(|(_, found)| is_exported(found));
        if let Some((_, found)) = first.filter(|_| self.exporters.is_empty()) {
            self.start_exporters(&found.forwarded(&self.settings.source.headers).into())?;
        }
        for letter in 0..batch.len() {
            self.send(letter, &mut progress)?;
        }
        self.wait(&mut progress, 0)?;
        self.put_back(&mut progress)?;
        self.tallies = progress.tallies;
        Ok(progress.fates)
    }

    /// Whether a backend took nothing any more, so that it makes no sense to go on.
    pub(super) fn gave_up(&self) -> Option<FeedError> {
        self.exporters.iter().zip(&self.tallies).find_map(|(exporter, tally)| {
            let said = tally.of_one_away(exporter.trouble())?;
            Some(FeedError::GaveUp { exporter: exporter.name().to_owned(), said })
        })
    }

    fn send(&mut self, letter: usize, progress: &mut Progress<'_>) -> Result<(), FeedError> {
        let (place, found) = &progress.batch[letter];
        match self.wanted.course(found, self.partitions) {
            Course::Topic(partition) => {
                let (attempts, forwarded) = (found.attempts().to_string(), found.foreign_headers());
                let attempts = std::iter::once((ATTEMPTS, attempts.as_bytes()));
                let headers: Vec<_> = attempts.chain(record_headers::iter(&forwarded)).collect();
                let outgoing = Outgoing {
                    topic: self.wanted.target(),
                    partition,
                    key: found.key.as_deref(),
                    value: found.value.as_deref(),
                    headers: &headers,
                };
                match self.publisher.publish(&outgoing, letter) {
                    Ok(()) => progress.under_way += 1,
                    Err((refusal, _)) => progress.failed(letter, &refusal.to_string()),
                }
            }
            Course::Exporters(exporters) => return self.export(letter, &exporters, progress),
            Course::Left => {
                progress.fates[letter] = Fate::Left;
                progress.back.push((letter, Back::AsItWas));
            }
            Course::Stuck(why) => progress.failed(letter, &why),
            Course::Elsewhere => progress.fates[letter] = Fate::PassedOver,
            Course::NoLetter => {
                let (partition, offset) = (place.partition.0, place.offset.0);
                warn!(partition, offset, "replay.no_letter: it is passed over");
                progress.fates[letter] = Fate::PassedOver;
            }
        }
        Ok(())
    }

    /// Hands spans that were judged already to the exporters.
    fn export(
        &mut self,
        letter: usize,
        exporters: &[usize],
        progress: &mut Progress<'_>,
    ) -> Result<(), FeedError> {
        let value = progress.batch[letter].1.value.as_deref().unwrap_or_default();
        let Some((trace_id, spans)) = self.look_into(value) else {
            progress.failed(letter, "it holds no spans that can be read");
            return Ok(());
        };
        let bytes = Bytes::copy_from_slice(value);
        let forwarded = progress.batch[letter].1.forwarded(&self.settings.source.headers);
        let forwarded = Bytes::from(forwarded);
        for exporter in exporters {
            let (partition, generation) =
                (progress.batch[letter].0.partition, Generation(self.batches));
            let origin = Origin { worker: 0, partition, generation };
            let ticket = Ticket { origin, delivery: DeliveryId(letter as u64) };
            let mut chunk = Chunk {
                bytes: bytes.clone(),
                forwarded: forwarded.clone(),
                trace_id,
                spans,
                traces: 1,
                ticket,
            };
            // A full queue holds something of which there will be news.
            while let Err(back) = self.exporters[*exporter].try_send(chunk) {
                chunk = back;
                let below = progress.under_way.saturating_sub(1);
                self.wait(progress, below)?;
            }
            progress.under_way += 1;
        }
        Ok(())
    }

    /// The trace of the spans in a request, and how many they are.
    fn look_into(&mut self, value: &[u8]) -> Option<(TraceId, u32)> {
        scan(value, &AttributeKeys::default(), &mut self.scan).ok()?;
        let spans = u32::try_from(self.scan.spans.len()).ok()?;
        Some((self.scan.spans.first()?.trace_id, spans))
    }

    /// Starts them if all backends take what goes `forwarded` with the first letter.
    fn start_exporters(&mut self, forwarded: &Bytes) -> Result<(), FeedError> {
        for settings in &self.settings.exports {
            let answer = self.runtime.block_on(check_backend(settings, forwarded.clone()));
            let exporter = || settings.name.clone();
            answer.map_err(|error| FeedError::Backend { exporter: exporter(), error })?;
        }
        for (place, settings) in self.settings.exports.iter().enumerate() {
            let settings = &in_a_hurry(settings);
            let tell = self.tell.clone();
            let sink = move |acks: Vec<Ack>| {
                for ack in acks {
                    let letter = usize::try_from(ack.ticket.delivery.0).unwrap_or(usize::MAX);
                    // Nobody listens any more after an error.
                    let _ = tell.send(News::Settled(letter, place, ack.refusal));
                }
            };
            let metrics = ExportMetrics::new(settings);
            let sinks: Vec<AckSink> = vec![Box::new(sink)];
            let exporter =
                Exporter::start(settings, &self.runtime, Arc::new(Held), sinks, metrics)?;
            info!(exporter = exporter.name(), backend = exporter.endpoint(), "replay.exporter");
            self.exporters.push(exporter);
        }
        Ok(())
    }

    /// Waits until no more than so many are under way.
    fn wait(&self, progress: &mut Progress<'_>, most: usize) -> Result<(), FeedError> {
        let mut told_to_stop: Option<Instant> = None;
        while progress.under_way > most {
            match self.news.recv_timeout(SLICE) {
                Ok(news) => {
                    progress.under_way -= 1;
                    self.take_note(news, progress);
                }
                // The sender of `tell` is always there.
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    if (self.stop)() {
                        let since = *told_to_stop.get_or_insert_with(Instant::now);
                        if since.elapsed() > self.settings.shutdown_timeout {
                            return Err(FeedError::Interrupted);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn take_note(&self, news: News, progress: &mut Progress<'_>) {
        match news {
            News::Written(_, Ok(())) => {}
            News::Settled(_, exporter, None) => progress.tallies[exporter].delivered = true,
            News::Written(letter, Err(why)) => progress.failed(letter, &why),
            News::Settled(letter, exporter, Some(refusal)) if refusal.reason == GIVEN_UP => {
                progress.tallies[exporter].given_up = true;
                progress.failed(letter, &refusal.message);
            }
            News::Settled(letter, exporter, Some(refusal)) => {
                let (place, found) = &progress.batch[letter];
                let Refusal { bytes, reason, message, .. } = *refusal;
                let name = &self.settings.exports[exporter].name;
                let partition = found.partition().unwrap_or(place.partition);
                let mut again = Letter::refused(partition, &bytes, name, reason, &message);
                again.attempts = found.attempts();
                again.forwarded = found.foreign_headers();
                progress.fates[letter] = Fate::RefusedAgain;
                progress.back.push((letter, Back::RefusedAgain(again)));
            }
        }
    }

    /// Writes what has to be there again to the dead-letter topic.
    fn put_back(&self, progress: &mut Progress<'_>) -> Result<(), FeedError> {
        let back = std::mem::take(&mut progress.back);
        for (letter, back) in &back {
            let found = &progress.batch[*letter].1;
            match back {
                // With its old time it is not kept for longer than it would have been.
                Back::AsItWas => {
                    self.put_back_one(*letter, found, &found.headers, found.timestamp)?;
                }
                Back::RefusedAgain(again) => {
                    let topic = found.topic().unwrap_or(&self.wanted.input);
                    let own = again.headers(topic, SystemTime::now()).into_iter();
                    let own = own.map(|(key, value)| (key.to_owned(), value.into_bytes()));
                    let forwarded = record_headers::iter(&again.forwarded);
                    let forwarded = forwarded.map(|(key, value)| (key.to_owned(), value.to_vec()));
                    let headers: Vec<_> = own.chain(forwarded).collect();
                    self.put_back_one(*letter, found, &headers, None)?;
                }
            }
        }
        for _ in &back {
            match self.news.recv() {
                Ok(News::Written(_, Err(why))) => return Err(FeedError::NotPutBack(why)),
                Ok(_) => {}
                Err(error) => return Err(FeedError::NotPutBack(error.to_string())),
            }
        }
        Ok(())
    }

    fn put_back_one(
        &self,
        letter: usize,
        found: &Found,
        headers: &[(String, Vec<u8>)],
        timestamp: Option<Timestamp>,
    ) -> Result<(), FeedError> {
        let headers: Vec<(&str, &[u8])> =
            headers.iter().map(|(key, value)| (key.as_str(), value.as_slice())).collect();
        let outgoing = Outgoing {
            topic: &self.dead_letter.topic,
            partition: None,
            key: found.key.as_deref(),
            value: found.value.as_deref(),
            headers: &headers,
        };
        let published = self.publisher.publish_at(&outgoing, timestamp, letter);
        published.map_err(|(refusal, _)| FeedError::NotPutBack(refusal.to_string()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_is_away_only_if_it_took_nothing_and_something_was_given_up() {
        let trouble = Some("UNAVAILABLE".to_owned());
        let away = |delivered, given_up, trouble: &Option<String>| {
            Tally { delivered, given_up }.of_one_away(trouble.clone()).is_some()
        };
        assert!(away(false, true, &trouble));
        assert!(!away(true, true, &trouble), "only letters at fault are left");
        assert!(!away(false, false, &trouble), "nothing was sent to it");
        assert!(!away(false, false, &None), "it was not asked yet");
        assert!(!away(false, true, &None), "it accepts something again");
    }
}
