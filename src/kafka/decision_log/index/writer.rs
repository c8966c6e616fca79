//! The thread that makes records of stretches: sorting and filters take a few milliseconds for each.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use tracing::debug;

use super::collecting::{Collected, Collecting, Ownership};
use super::metrics::IndexReports;
use super::record::{self, TraceHash};
use super::{IndexSettings, MOST_SHARDS};
use crate::ids::{Offset, Origin, Partition, TopicId};
use crate::kafka::publish::{Outgoing, Publisher};

/// How long a question to the brokers may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long the thread waits when nothing is collected.
const IDLE_WAIT: Duration = Duration::from_secs(60);

/// An answer about the log's id holds for so long, so that many stretches that begin together ask once.
const ANSWER_HOLDS: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) enum Command {
    Begin(Ownership),
    Written { origin: Origin, offset: Offset, traces: Vec<TraceHash> },
    End(Origin),
    Finish(Sender<()>),
    Stop,
}

pub(super) struct Writer {
    topic: String,
    collecting: Collecting,
    publisher: Arc<Publisher<IndexReports>>,
    log: LogId,
}

/// Asks for the id of the log's topic.
struct LogId {
    topic: String,
    publisher: Arc<Publisher<IndexReports>>,
    known: Option<(Instant, Option<TopicId>)>,
}

impl LogId {
    fn at(&mut self, now: Instant) -> Option<TopicId> {
        match self.known {
            Some((asked, id)) if now.duration_since(asked) < ANSWER_HOLDS => id,
            _ => self.ask(),
        }
    }

    fn ask(&mut self) -> Option<TopicId> {
        let id = self.publisher.topic_id(&self.topic, TIMEOUT);
        self.known = Some((Instant::now(), id));
        id
    }
}

impl Writer {
    /// For the log on the topic `log`.
    pub(super) fn new(
        log: &str,
        settings: &IndexSettings,
        publisher: Arc<Publisher<IndexReports>>,
    ) -> Self {
        let log = LogId { topic: log.to_owned(), publisher: Arc::clone(&publisher), known: None };
        let collecting = Collecting::new(settings);
        Self { topic: settings.topic.clone(), collecting, publisher, log }
    }

    pub(super) fn run(mut self, inbox: &Receiver<Command>) {
        loop {
            let now = Instant::now();
            let wait = self.collecting.next().map_or(IDLE_WAIT, |next| next.duration_since(now));
            let mut next = match inbox.recv_timeout(wait) {
                Ok(command) => Some(command),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut finished = Vec::new();
            while let Some(command) = next {
                match command {
                    Command::Stop => return,
                    Command::Finish(done) => {
                        self.collecting.end_all();
                        finished.push(done);
                    }
                    command => self.take_in(command),
                }
                next = inbox.try_recv().ok();
            }
            let ended = self.collecting.take_ended(Instant::now());
            self.publisher.reports().collected(self.collecting.bytes());
            self.write(ended);
            // Who waits may have left.
            finished.iter().for_each(|done| done.send(()).unwrap_or_default());
        }
    }

    fn take_in(&mut self, command: Command) {
        let now = Instant::now();
        match command {
            Command::Begin(ownership) => {
                let log = self.log.at(now);
                self.collecting.begin(ownership, now, log);
            }
            Command::Written { origin, offset, traces } => {
                let log = &mut self.log;
                self.collecting.written((origin, offset), &traces, now, || log.at(now));
            }
            Command::End(origin) => self.collecting.end(origin),
            Command::Finish(_) | Command::Stop => {}
        }
    }

    /// Writes stretches that have ended.
    fn write(&mut self, ended: Vec<Collected>) {
        if ended.is_empty() {
            return;
        }
        let shards = match self.publisher.partitions(&self.topic, TIMEOUT) {
            // A record holds for the number of shards that it names. Look-ups find the shard by the
            // number of partitions, too.
            Ok(Some(partitions)) => partitions.min(MOST_SHARDS) as u32,
            Ok(None) => return self.failed(ended.len(), "the topic does not exist"),
            Err(error) => return self.failed(ended.len(), &error.to_string()),
        };
        let log = self.log.ask();
        for collected in ended {
            if collected.log != log {
                // Which of the two its offsets are of is not known.
                debug!("decision_index.log_changed");
                continue;
            }
            self.write_stretch(collected, shards);
        }
    }

    fn failed(&self, stretches: usize, error: &str) {
        self.publisher.reports().failed(stretches as u64, error);
    }

    fn write_stretch(&self, collected: Collected, shards: u32) {
        let (stretch, hashes) = collected.finish();
        for (shard, value) in (0..).zip(record::of_shards(&stretch, &hashes, shards)) {
            let value = match value {
                Ok(value) => value,
                Err(error) => {
                    self.failed(1, &error.to_string());
                    continue;
                }
            };
            let outgoing = Outgoing {
                topic: &self.topic,
                partition: Some(Partition(shard)),
                key: None,
                value: Some(&value),
                headers: &[],
            };
            if let Err((refusal, _)) = self.publisher.publish(&outgoing, value.len() as u64) {
                self.failed(1, &refusal.to_string());
            }
        }
    }
}
