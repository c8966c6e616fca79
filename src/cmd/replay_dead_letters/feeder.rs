//! Feeds a batch of letters back, and waits until it is known of each what became of it.
//!
//! Owns the producer, which writes to the topics, and the exporters, which are started when the
//! first letter needs one. Promises that a batch that comes back without an error is settled: each
//! letter is acknowledged where it belongs, or is on the dead-letter topic again.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use thiserror::Error;
use tracing::warn;

use super::Replay;
use super::batch::{Back, Batch, News, Tally};
use super::exporters::Exporters;
use super::found::{Course, Found, Place};
use super::report::Fate;
use crate::export::{BackendCheckError, DeliveryId, ExportError, Ticket};
use crate::ids::{Generation, Offset, Origin, Partition, Timestamp};
use crate::kafka::dead_letters::ATTEMPTS;
use crate::kafka::publish::{DeliveryReports, Failed, Outgoing, Publisher, PublisherSettings};
use crate::kafka::record_headers;

/// Bytes of records that may wait: more than a batch and the largest letter together.
const QUEUE_BYTES: usize = 160 << 20;

/// How long to wait for news before the next look whether to stop.
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

/// Passes on what the producer says.
struct Tell(mpsc::Sender<News>);

impl DeliveryReports for Tell {
    type Ticket = usize;

    fn settled(&self, letter: usize, result: Result<(Partition, Offset), Failed<'_>>) {
        let result = result.map(drop).map_err(|failed| failed.reason());
        // The receiver is gone after an error.
        let _ = self.0.send(News::Written(letter, result));
    }
}

pub(super) struct Feeder<'a> {
    replay: &'a Replay<'a>,
    /// How many partitions the topic has that records go to.
    partitions: usize,
    publisher: Publisher<Tell>,
    exporters: Option<Exporters>,
    tell: mpsc::Sender<News>,
    news: mpsc::Receiver<News>,
    batches: u64,
    /// Of the last batch, by exporter.
    tallies: Vec<Tally>,
}

impl<'a> Feeder<'a> {
    pub(super) fn start(replay: &'a Replay<'a>, partitions: usize) -> Result<Self, FeedError> {
        let source = &replay.settings.source;
        let mut publishing =
            PublisherSettings::new("tailsieve-replay", &source.brokers, &source.properties);
        publishing.message_timeout = Some(replay.dead_letter.message_timeout);
        publishing.queue_bytes = QUEUE_BYTES;
        publishing.waits_for_acls = false;
        let (tell, news) = mpsc::channel();
        let publisher = Publisher::start(publishing, Tell(tell.clone()))?;
        let (exporters, batches, tallies) = (None, 0, Vec::new());
        Ok(Self { replay, partitions, publisher, exporters, tell, news, batches, tallies })
    }

    /// Feeds a batch back. Blocks until it is settled; returns what became of each.
    pub(super) fn feed(&mut self, letters: &[(Place, Found)]) -> Result<Vec<Fate>, FeedError> {
        self.batches += 1;
        let mut batch = Batch::new(letters, self.replay.settings.exports.len());
        if self.exporters.is_none() {
            self.start_exporters(letters)?;
        }
        for letter in 0..letters.len() {
            self.send(letter, &mut batch)?;
        }
        self.wait(&mut batch, 0)?;
        self.put_back(&mut batch)?;
        self.tallies = batch.tallies;
        Ok(batch.fates)
    }

    /// Whether a backend took nothing any more, so that it makes no sense to go on.
    pub(super) fn gave_up(&self) -> Option<FeedError> {
        self.exporters.as_ref()?.gave_up(&self.tallies)
    }

    /// Starts the exporters if one of the letters goes to one. Before anything is fed back: if there
    /// is no backend, everything stays where it is.
    fn start_exporters(&mut self, letters: &[(Place, Found)]) -> Result<(), FeedError> {
        let Replay { settings, wanted, .. } = self.replay;
        let is_exported =
            |found: &Found| matches!(wanted.course(found, self.partitions), Course::Exporters(_));
        if let Some((_, first)) = letters.iter().find(|(_, found)| is_exported(found)) {
            let forwarded = first.forwarded(&settings.source.headers).into();
            self.exporters = Some(Exporters::start(self.replay, &forwarded, &self.tell)?);
        }
        Ok(())
    }

    fn send(&self, letter: usize, batch: &mut Batch<'_>) -> Result<(), FeedError> {
        let (place, found) = &batch.letters[letter];
        match self.replay.wanted.course(found, self.partitions) {
            Course::Topic(partition) => match self.publish(letter, found, partition) {
                Ok(()) => batch.under_way += 1,
                Err(why) => batch.failed(letter, &why),
            },
            Course::Exporters(exporters) => return self.export(letter, &exporters, batch),
            Course::Left => batch.put_back(letter, Fate::Left, Back::AsItWas),
            Course::Stuck(why) => batch.failed(letter, &why),
            Course::Elsewhere => batch.fates[letter] = Fate::PassedOver,
            Course::NoLetter => {
                let (partition, offset) = (place.partition.0, place.offset.0);
                warn!(partition, offset, "replay.no_letter: it is passed over");
                batch.fates[letter] = Fate::PassedOver;
            }
        }
        Ok(())
    }

    /// Writes a record to the topic that it is to be judged from.
    fn publish(
        &self,
        letter: usize,
        found: &Found,
        partition: Option<Partition>,
    ) -> Result<(), String> {
        let (attempts, foreign) = (found.attempts().to_string(), found.foreign_headers());
        let attempts = std::iter::once((ATTEMPTS, attempts.as_bytes()));
        let headers: Vec<_> = attempts.chain(record_headers::iter(&foreign)).collect();
        let outgoing = Outgoing {
            topic: self.replay.wanted.target(),
            partition,
            key: found.key.as_deref(),
            value: found.value.as_deref(),
            headers: &headers,
        };
        self.publisher.publish(&outgoing, letter).map_err(|(refusal, _)| refusal.to_string())
    }

    /// Hands spans that were judged already to the exporters.
    fn export(
        &self,
        letter: usize,
        places: &[usize],
        batch: &mut Batch<'_>,
    ) -> Result<(), FeedError> {
        let (place, found) = &batch.letters[letter];
        let generation = Generation(self.batches);
        let origin = Origin { worker: 0, partition: place.partition, generation };
        let ticket = Ticket { origin, delivery: DeliveryId(letter as u64) };
        let forwarded = found.forwarded(&self.replay.settings.source.headers).into();
        let spans = found.value.as_deref().unwrap_or_default();
        let exporters = self.exporters.as_ref().expect("they are started if a letter needs them");
        let Some(chunk) = exporters.chunk(spans, forwarded, ticket) else {
            batch.failed(letter, "it holds no spans that can be read");
            return Ok(());
        };
        for place in places {
            let mut chunk = chunk.clone();
            // A full queue holds something of which there will be news.
            while let Err(back) = exporters.try_send(*place, chunk) {
                chunk = back;
                let below = batch.under_way.saturating_sub(1);
                self.wait(batch, below)?;
            }
            batch.under_way += 1;
        }
        Ok(())
    }

    /// Waits until at most `most` letters are under way.
    fn wait(&self, batch: &mut Batch<'_>, most: usize) -> Result<(), FeedError> {
        let mut told_to_stop: Option<Instant> = None;
        while batch.under_way > most {
            match self.news.recv_timeout(SLICE) {
                Ok(news) => batch.take_note(news, &self.replay.wanted.exporters),
                // The sender of `tell` is always there.
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    if self.replay.stop.load(Ordering::Relaxed) {
                        let since = *told_to_stop.get_or_insert_with(Instant::now);
                        if since.elapsed() > self.replay.settings.shutdown_timeout {
                            return Err(FeedError::Interrupted);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes what has to be there again to the dead-letter topic.
    fn put_back(&self, batch: &mut Batch<'_>) -> Result<(), FeedError> {
        let back = std::mem::take(&mut batch.back);
        for (letter, back) in &back {
            let found = &batch.letters[*letter].1;
            match back {
                // With its old time it is not kept for longer than it would have been.
                Back::AsItWas => {
                    self.put_back_one(*letter, found, &found.headers, found.timestamp)?;
                }
                Back::RefusedAgain(again) => {
                    let topic = found.topic().unwrap_or(&self.replay.wanted.input);
                    let own = again.headers(topic, crate::clock::system_time()).into_iter();
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
            topic: &self.replay.dead_letter.topic,
            partition: None,
            key: found.key.as_deref(),
            value: found.value.as_deref(),
            headers: &headers,
        };
        let published = self.publisher.publish_at(&outgoing, timestamp, letter);
        published.map_err(|(refusal, _)| FeedError::NotPutBack(refusal.to_string()))
    }
}
