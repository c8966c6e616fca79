//! The index of the decision log: which stretches of the log have entries of a trace.
//!
//! Owns the topic's records, the thread that makes them of what was written to the log, and what a
//! look-up has to read of the log when it knows them. A record holds for the offsets that it names and
//! for no others, so what the index lacks costs a look-up time and hides no trace. Promises that it
//! never blocks who writes the log, and that nothing waits for it. Leaves to others how topics are
//! read.

mod collecting;
mod coverage;
mod metrics;
mod record;
pub mod topic;
mod writer;

use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tracing::error;

use super::settings::DecisionLogSettings;
use super::{GroupHash, LogError, OwnerId};
use crate::ids::{Offset, Origin};
use crate::kafka::publish::{Publisher, PublisherSettings};

use collecting::Ownership;
use metrics::IndexReports;
use writer::{Command, Writer};

pub use coverage::{Coverage, Owners};
pub use record::TraceHash;
#[cfg(test)]
pub(crate) use record::{Stretch, of_shards};

/// More shards than this make many small records, and no look-up faster.
pub const MOST_SHARDS: usize = 64;

/// How long it is tried to write a record: what is younger is worth more.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// Records that may wait for Kafka.
const QUEUE_BYTES: usize = 16 << 20;

/// The records of a stretch may wait for each other.
const LINGER: Duration = Duration::from_millis(100);

/// Settings of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexSettings {
    /// Its topic.
    pub topic: String,
    /// A stretch ends when it has so many entries.
    pub max_entries: usize,
    /// It ends so long after its first record at the latest.
    pub max_age: Duration,
}

impl IndexSettings {
    /// The name of the topic, if the user names none, of the log on the topic `log`.
    pub fn default_topic(log: &str) -> String {
        format!("{log}_index")
    }
}

/// The index of a log that is written. Without settings it does nothing.
#[derive(Debug, Default)]
pub(super) struct Index(Option<Running>);

#[derive(Debug)]
struct Running {
    commands: Sender<Command>,
    publisher: Arc<Publisher<IndexReports>>,
    thread: Option<JoinHandle<()>>,
}

impl Index {
    pub(super) fn start(settings: &DecisionLogSettings) -> Result<Self, LogError> {
        let Some(index) = &settings.index else { return Ok(Self::default()) };
        let name = format!("{}-index", settings.client_id);
        let publisher = PublisherSettings {
            linger: LINGER,
            // Fingerprints are random.
            compression: "none",
            message_timeout: Some(MESSAGE_TIMEOUT),
            waits_for_acls: false,
            queue_bytes: QUEUE_BYTES,
            ..PublisherSettings::new(&name, &settings.brokers, &settings.properties)
        };
        let publisher = Arc::new(Publisher::start(publisher, IndexReports::new(&index.topic))?);
        let writer = Writer::new(&settings.topic, index, Arc::clone(&publisher));
        // Bounded by what the log takes while a record is made.
        let (commands, inbox) = mpsc::channel();
        let thread = thread::Builder::new().name(name).spawn(move || writer.run(&inbox))?;
        Ok(Self(Some(Running { commands, publisher, thread: Some(thread) })))
    }

    /// An ownership has begun to write, behind its marker.
    pub(super) fn begin(&self, origin: Origin, owner: OwnerId, group: GroupHash, marker: Offset) {
        self.command(|| Command::Begin(Ownership { origin, owner, group, marker }));
    }

    /// A record with entries of these traces is on the log.
    pub(super) fn written(&self, origin: Origin, offset: Offset, traces: Vec<TraceHash>) {
        self.command(|| Command::Written { origin, offset, traces });
    }

    /// An ownership writes no more.
    pub(super) fn end(&self, origin: Origin) {
        self.command(|| Command::End(origin));
    }

    /// Writes what was collected, and waits `timeout` for it at most.
    pub(super) fn finish(&self, timeout: Duration) {
        let Some(running) = &self.0 else { return };
        let (done, is_done) = mpsc::channel();
        self.command(|| Command::Finish(done));
        if is_done.recv_timeout(timeout).is_ok() {
            running.publisher.flush(timeout);
        }
    }

    /// Ends as a crash would.
    pub(super) fn crash(&self) {
        self.command(|| Command::Stop);
        self.0.iter().for_each(|running| running.publisher.crash());
    }

    fn command(&self, command: impl FnOnce() -> Command) {
        if let Some(running) = &self.0 {
            // A thread that is gone has nothing to write any more.
            let _ = running.commands.send(command());
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::Stop);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            error!("decision_index.writer_panicked");
        }
    }
}
