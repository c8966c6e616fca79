//! Reads the logs of newly assigned partitions back, on a thread of its own.
//!
//! It first writes the ownership marker, and then reads up to it: all that was on the topic before is
//! below. It tries again, for as long as it takes, what cannot be written or read.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{ClientConfig, Offset as KafkaOffset, TopicPartitionList};
use tracing::{debug, error, info, warn};

use super::index::Index;
use super::metrics::LogMetrics;
use super::read_back::{ReadBack, Step};
use super::record::{self, GroupHash, OwnerId};
use super::settings::DecisionLogSettings;
use super::supersession::Reading;
use super::{Appended, LogEvent, LogReports, LogSink, Topics};
use crate::clock;
use crate::ids::{Offset, Origin, Partition, Position};
use crate::kafka::access::{Acl, Denied, Operation};
use crate::kafka::cluster;
use crate::kafka::publish::{Outgoing, Publisher};
use crate::sync::lock;
use crate::telemetry::log_throttle::LogThrottle;
use crate::telemetry::metrics::table;

/// How long the thread waits for something to happen.
const WAIT: Duration = Duration::from_millis(20);

/// How long it waits for work when it has none.
const IDLE_WAIT: Duration = Duration::from_millis(200);

/// How long to wait before a failed step is tried again.
const RETRY_WAIT: Duration = Duration::from_millis(500);

/// How long the look-up of a log's beginning may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// If reading back takes longer than this, `ready` says so.
const LONG: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) enum Command {
    ReadBack {
        origin: Origin,
        owner: OwnerId,
        topics: Topics,
        from: Option<Position>,
    },
    /// An ownership marker is written, or not.
    Marked {
        origin: Origin,
        result: Result<Offset, String>,
    },
    Stop,
}

/// A handle to the thread.
#[derive(Debug)]
pub(super) struct Reader {
    commands: Sender<Command>,
    trouble: Arc<Mutex<Option<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    pub(super) fn start(
        settings: &DecisionLogSettings,
        group: GroupHash,
        publisher: Arc<Publisher<LogReports>>,
        index: Arc<Index>,
        sinks: Arc<Vec<LogSink>>,
        metrics: Arc<LogMetrics>,
        (commands, inbox): (Sender<Command>, Receiver<Command>),
    ) -> Result<Self, super::LogError> {
        let trouble = Arc::default();
        let worker = ReaderThread {
            topic: settings.topic.clone(),
            group,
            publisher,
            index,
            sinks,
            metrics,
            consumer: client_config(settings).create()?,
            read_backs: HashMap::new(),
            trouble: Arc::clone(&trouble),
            errors: LogThrottle::new(Duration::from_secs(10)),
            brokers: settings.brokers.clone(),
            failure: None,
        };
        let name = format!("{}-log-reader", settings.client_id);
        let thread = thread::Builder::new().name(name).spawn(move || worker.run(&inbox))?;
        Ok(Self { commands, trouble, thread: Some(thread) })
    }

    pub(super) fn command(&self, command: Command) {
        if self.commands.send(command).is_err() {
            debug!("decision_log.reader_gone");
        }
    }

    pub(super) fn ready(&self) -> Result<(), String> {
        let trouble = lock(&self.trouble);
        trouble.clone().map_or(Ok(()), Err)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.command(Command::Stop);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            error!("decision_log.reader_panicked");
        }
    }
}

/// The configuration of a consumer outside any group: its partitions are assigned by hand.
fn client_config(settings: &DecisionLogSettings) -> ClientConfig {
    let client_id = format!("{}-log-reader", settings.client_id);
    let DecisionLogSettings { brokers, properties, group_id, .. } = settings;
    let mut config = cluster::client_config(brokers, properties, &client_id, group_id);
    config
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("enable.partition.eof", "false")
        .set("isolation.level", "read_committed")
        .set("check.crcs", "true")
        .set("fetch.wait.max.ms", "50")
        .set("fetch.min.bytes", "1")
        .set("fetch.message.max.bytes", "4194304")
        .set("queued.max.messages.kbytes", "32768")
        .set(cluster::QUEUE_BACKOFF.0, cluster::QUEUE_BACKOFF.1)
        .set("statistics.interval.ms", "0");
    config
}

struct ReaderThread {
    topic: String,
    group: GroupHash,
    publisher: Arc<Publisher<LogReports>>,
    index: Arc<Index>,
    sinks: Arc<Vec<LogSink>>,
    metrics: Arc<LogMetrics>,
    consumer: BaseConsumer,
    read_backs: HashMap<Partition, ReadBack>,
    trouble: Arc<Mutex<Option<String>>>,
    errors: LogThrottle,
    brokers: String,
    /// Why the last step failed; forgotten when a log was read back.
    failure: Option<String>,
}

impl ReaderThread {
    fn run(mut self, inbox: &Receiver<Command>) {
        loop {
            let wait = if self.read_backs.is_empty() { IDLE_WAIT } else { Duration::ZERO };
            let mut next = match inbox.recv_timeout(wait) {
                Ok(command) => Some(command),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            while let Some(command) = next {
                match command {
                    Command::ReadBack { origin, owner, topics, from } => {
                        self.begin(origin, owner, topics, from);
                    }
                    Command::Marked { origin, result } => self.marked(origin, result),
                    Command::Stop => return,
                }
                next = inbox.try_recv().ok();
            }
            self.step();
            self.read();
            self.update_trouble();
        }
    }

    fn begin(&mut self, origin: Origin, owner: OwnerId, topics: Topics, from: Option<Position>) {
        // Nobody waits for the log of an acquisition that has ended.
        self.abandon(origin.partition);
        let now = Instant::now();
        let read_back = ReadBack {
            origin,
            owner,
            topics,
            from,
            since: now,
            step: Step::Mark(now),
            reading: Reading::of(topics.then),
            read: 0,
        };
        self.read_backs.insert(origin.partition, read_back);
    }

    fn abandon(&mut self, partition: Partition) {
        if let Some(read_back) = self.read_backs.remove(&partition)
            && matches!(read_back.step, Step::Read { .. })
        {
            self.unassign(partition);
        }
    }

    fn unassign(&self, partition: Partition) {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, partition.0);
        if let Err(error) = self.consumer.incremental_unassign(&list) {
            debug!(%error, "decision_log.unassign_failed");
        }
    }

    fn marked(&mut self, origin: Origin, result: Result<Offset, String>) {
        let Some(read_back) = self.read_backs.get_mut(&origin.partition) else { return };
        if read_back.origin != origin {
            return;
        }
        let now = Instant::now();
        read_back.step = match result {
            Ok(end) => Step::Seek { end, at: now },
            Err(reason) => {
                self.failure = Some(reason);
                Step::Mark(now + RETRY_WAIT)
            }
        };
    }

    /// Starts the steps that are due.
    fn step(&mut self) {
        let now = Instant::now();
        let partitions: Vec<Partition> = self.read_backs.keys().copied().collect();
        for partition in partitions {
            let Some(read_back) = self.read_backs.get(&partition) else { continue };
            match read_back.step {
                Step::Mark(at) if at <= now => self.mark(partition),
                Step::Seek { end, at } if at <= now => self.seek(partition, end),
                _ => {}
            }
        }
    }

    fn mark(&mut self, partition: Partition) {
        let Some(read_back) = self.read_backs.get_mut(&partition) else { return };
        let value = record::marker(read_back.owner, self.group, clock::now(), read_back.topics.now);
        let outgoing = Outgoing {
            topic: &self.topic,
            partition: Some(partition),
            key: None,
            value: Some(&value),
            headers: &[],
        };
        let taken = self.publisher.publish(&outgoing, Appended::Marker(read_back.origin));
        read_back.step = match taken {
            Ok(()) => Step::Marking,
            Err(_) => Step::Mark(Instant::now() + RETRY_WAIT),
        };
    }

    /// Begins to read, from the position that was asked for or from the beginning of the log.
    fn seek(&mut self, partition: Partition, end: Offset) {
        let Some(from) = self.read_backs.get(&partition).map(|read_back| read_back.from) else {
            return;
        };
        let started = self.start_of(partition, from).and_then(|from| {
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(&self.topic, partition.0, KafkaOffset::Offset(from.0))?;
            self.consumer.incremental_assign(&list)?;
            Ok(from)
        });
        let Some(read_back) = self.read_backs.get_mut(&partition) else { return };
        match started {
            Ok(from) => read_back.step = Step::Read { end, from },
            Err(error) => {
                read_back.step = Step::Seek { end, at: Instant::now() + RETRY_WAIT };
                self.failed(&error);
            }
        }
    }

    fn start_of(
        &self,
        partition: Partition,
        from: Option<Position>,
    ) -> Result<Position, KafkaError> {
        let (low, _) = self.consumer.fetch_watermarks(&self.topic, partition.0, LOOKUP_TIMEOUT)?;
        Ok(from.map_or(Position(low), |from| from.max(Position(low))))
    }

    fn failed(&mut self, error: &KafkaError) {
        let needed = [Acl::topic(Operation::Read, &self.topic)];
        let denied = Denied::of(error.rdkafka_error_code(), &self.brokers, &needed);
        if denied.is_some() {
            table::KAFKA_DENIED.handle().increment(1);
        }
        let error = denied.map_or_else(|| error.to_string(), |denied| denied.to_string());
        self.failure = Some(error.clone());
        if let Some(suppressed) = self.errors.allow() {
            let topic = &self.topic;
            warn!(%error, topic, suppressed, "decision_log.read_failed: it is tried again");
        }
    }

    /// Reads what there is.
    fn read(&mut self) {
        let is_reading =
            self.read_backs.values().any(|read_back| matches!(read_back.step, Step::Read { .. }));
        if !is_reading {
            if !self.read_backs.is_empty() {
                thread::sleep(WAIT);
            }
            return;
        }
        let until = Instant::now() + WAIT;
        let mut wait = WAIT;
        while let Some(message) = self.consumer.poll(wait) {
            wait = Duration::ZERO;
            match message {
                Ok(message) => {
                    let partition = Partition(message.partition());
                    if let Some(read_back) = self.read_backs.get_mut(&partition)
                        && read_back.take_in(self.group, &self.metrics, &message)
                    {
                        drop(message);
                        self.finish(partition);
                    }
                }
                Err(error) => {
                    self.failed(&error);
                    return;
                }
            }
            if Instant::now() >= until {
                return;
            }
        }
    }

    /// A log was read up to its own marker.
    fn finish(&mut self, partition: Partition) {
        self.unassign(partition);
        self.failure = None;
        let Some(read_back) = self.read_backs.remove(&partition) else { return };
        let ReadBack { origin, owner, since, step, reading, read, topics, .. } = read_back;
        let from = if let Step::Read { from, end } = step {
            // Before the worker is told, which then begins to write.
            self.index.begin(origin, owner, self.group, end);
            from
        } else {
            Position(0)
        };
        self.metrics.void.increment(reading.superseded);
        self.metrics.read_back.record(since.elapsed().as_secs_f64());
        let (decisions, markers) = reading.finish(topics.now);
        let millis = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let count = decisions.len();
        info!(
            partition = partition.0,
            records = read,
            decisions = count,
            millis,
            "decision_log.read_back"
        );
        (self.sinks[origin.worker])(LogEvent::Decisions { origin, decisions });
        (self.sinks[origin.worker])(LogEvent::ReadBack { origin, from, markers });
    }

    /// Updates what `ready` says: what keeps partitions waiting, if something does.
    fn update_trouble(&self) {
        let oldest = self.read_backs.values().filter(|read_back| read_back.since.elapsed() > LONG);
        let trouble = oldest
            .map(|read_back| (read_back.origin.partition, read_back.step))
            .min_by_key(|(partition, _)| *partition);
        let trouble = trouble.map(|(partition, step)| {
            let doing = match step {
                Step::Mark(_) | Step::Marking => "cannot be written to",
                Step::Seek { .. } => "cannot be read",
                Step::Read { .. } => "is still being read back",
            };
            let topic = &self.topic;
            let why = self.failure.as_deref().unwrap_or("`tailsieve doctor` says more");
            format!(
                "the decision log {topic} {doing} (partition {}), so nothing of that partition is \
                 decided yet; {why}",
                partition.0
            )
        });
        *lock(&self.trouble) = trouble;
    }
}
