//! A consumer and its thread: polls, copies records into batches, hands them to the workers,
//! commits on a timer.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use thiserror::Error;
use tracing::{error, info, warn};

use super::assignment::{Context, Mine};
use super::batch::{Record, RecordBatch, SpareBuffers};
use super::clock;
use super::events::CaughtUp;
use super::inbox::InboxSender;
use super::metrics::SourceMetrics;
use super::ownership::Ownership;
use super::settings::SourceSettings;
use crate::ids::{Offset, Partition, Position, Timestamp};
use crate::limited::Limited;

/// How long a poll waits when there is nothing to read.
const POLL_WAIT: Duration = Duration::from_millis(50);

/// Bytes taken in one go before the workers get them.
const TURN_BYTES: usize = 256 * 1024;

/// How long the workers may be behind before fetching is paused. Pausing throws away what was
/// fetched ahead, so it has to be worth it.
const PAUSE_AFTER: Duration = Duration::from_secs(2);

/// How long a new client is waited with after a fatal error.
const RESTART_WAIT: Duration = Duration::from_secs(1);

/// How long closing a client may take before it is left to itself.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

const RUNNING: u8 = 0;
const STOPPING: u8 = 1;
const CRASHED: u8 = 2;

/// Why a consumer cannot be made.
#[derive(Debug, Error)]
pub enum StartError {
    /// librdkafka refuses the settings.
    #[error("the Kafka client refuses its settings: {0}")]
    Settings(#[from] KafkaError),
    /// No thread could be had.
    #[error("the consumer's thread cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// A running consumer.
#[derive(Debug)]
pub struct ConsumerHandle {
    state: Arc<AtomicU8>,
    status: Arc<ConsumerStatus>,
    thread: JoinHandle<()>,
}

/// How a consumer is; outlives it.
#[derive(Debug, Default)]
pub struct ConsumerStatus {
    context: arc_swap::ArcSwapOption<Context>,
}

impl ConsumerStatus {
    /// `Ok` if a broker is connected and the group was joined; else what is missing.
    pub fn ready(&self) -> Result<(), String> {
        let context = self.context.load();
        let Some(context) = context.as_ref() else {
            return Err("the Kafka client is not running".into());
        };
        let settings = &context.settings;
        if !context.connected.load(Ordering::Relaxed) {
            return Err(format!("no Kafka broker of {} is connected", settings.brokers));
        }
        if !context.joined.load(Ordering::Relaxed) {
            let (group, topic) = (&settings.group_id, &settings.topic);
            return Err(format!("consumer group {group} is not joined yet (topic {topic})"));
        }
        Ok(())
    }
}

impl ConsumerHandle {
    /// How the consumer is.
    pub fn status(&self) -> Arc<ConsumerStatus> {
        Arc::clone(&self.status)
    }

    /// Asks the consumer to hand its partitions over and leave the group; [`Self::join`] waits.
    pub fn stop(&self) {
        self.state.fetch_max(STOPPING, Ordering::Relaxed);
    }

    /// Makes the consumer leave as a crash would: nothing is finished, nothing is committed.
    pub fn crash(&self) {
        self.state.fetch_max(CRASHED, Ordering::Relaxed);
    }

    /// Waits until the consumer's thread has ended.
    pub fn join(self) {
        if self.thread.join().is_err() {
            error!("kafka.consumer_panicked");
        }
    }
}

/// Starts a consumer that hands records to `workers`. Settings that librdkafka refuses are found
/// out here; a broker that is out of reach is not an error.
pub fn start(
    name: String,
    settings: SourceSettings,
    ownership: Arc<Ownership>,
    workers: Vec<InboxSender>,
) -> Result<ConsumerHandle, StartError> {
    let state = Arc::new(AtomicU8::new(RUNNING));
    let status = Arc::new(ConsumerStatus::default());
    let metrics = Arc::new(SourceMetrics::new(&name));
    let make = {
        let (state, status) = (Arc::clone(&state), Arc::clone(&status));
        move || -> Result<Consumer, KafkaError> {
            let context = Context::new(
                settings.clone(),
                Arc::clone(&ownership),
                workers.clone(),
                Arc::clone(&metrics),
            );
            Consumer::new(context, Arc::clone(&state), &status)
        }
    };
    let first = make()?;
    let own_state = Arc::clone(&state);
    let thread = thread::Builder::new().name(name).spawn(move || {
        let mut next = Some(first);
        while let Some(consumer) = next.take() {
            consumer.run();
            while next.is_none() && own_state.load(Ordering::Relaxed) == RUNNING {
                thread::sleep(RESTART_WAIT);
                next = make().inspect_err(|error| error!(%error, "kafka.restart_failed")).ok();
            }
        }
    })?;
    Ok(ConsumerHandle { state, status, thread })
}

/// Batches that are being filled.
#[derive(Debug, Default)]
struct Pending {
    batches: HashMap<Partition, RecordBatch>,
    spare: SpareBuffers,
    bytes: usize,
    /// The partition of the last record: records come in runs.
    last: Option<(Partition, Arc<Mine>)>,
    epoch: u64,
    /// The log says which kind of timestamps the topic has.
    timestamps_told: bool,
}

/// Decisions can be repeated exactly only if the broker sets the timestamps, so it is said which
/// kind was found.
fn tell_timestamps(timestamp: rdkafka::Timestamp) {
    match timestamp {
        rdkafka::Timestamp::LogAppendTime(_) => info!("kafka.timestamps: LogAppendTime"),
        rdkafka::Timestamp::CreateTime(_) => info!(
            "kafka.timestamps: CreateTime, so the clocks of producers decide when traces are \
             complete; message.timestamp.type=LogAppendTime on the topic is recommended"
        ),
        rdkafka::Timestamp::NotAvailable => warn!(
            "kafka.timestamps: none, so the time of reading is taken, and a replay may decide \
             differently"
        ),
    }
}

impl Pending {
    fn push(&mut self, context: &Context, message: &BorrowedMessage<'_>, now: Timestamp) {
        let partition = Partition(message.partition());
        if self.epoch != context.epoch() {
            self.epoch = context.epoch();
            self.last = None;
        }
        if self.last.as_ref().is_none_or(|(last, _)| *last != partition) {
            self.last = context.partition(partition).map(|mine| (partition, mine));
        }
        // A message of a partition that was taken away while it waited in the queue.
        let Some((_, mine)) = &self.last else { return };
        let offset = Offset(message.offset());
        mine.position.store(offset.next().0, Ordering::Relaxed);
        let latest = now.after(context.settings.future_tolerance);
        if !self.timestamps_told {
            self.timestamps_told = true;
            tell_timestamps(message.timestamp());
        }
        let timestamp = Timestamp(message.timestamp().to_millis().unwrap_or(now.0));
        if timestamp > latest {
            context.metrics.clamped.increment(1);
        }
        let timestamp = timestamp.min(latest);
        mine.last_timestamp.store(timestamp.0, Ordering::Relaxed);
        let generation = mine.owned.generation;
        let batch = self.batches.entry(partition);
        let batch = batch.or_insert_with(|| RecordBatch::new(partition, generation, &self.spare));
        if batch.generation != generation {
            // What was read under the old generation is read again by whoever owns it now.
            *batch = RecordBatch::new(partition, generation, &self.spare);
        }
        batch.push(Record { offset, timestamp, key: message.key(), value: message.payload() });
        self.bytes += message.payload_len() + message.key_len();
    }
}

#[derive(Debug)]
enum Turn {
    On,
    /// The client is of no use any more.
    Fatal,
}

struct Consumer {
    consumer: BaseConsumer<Context>,
    context: Arc<Context>,
    state: Arc<AtomicU8>,
    pending: Pending,
    next_commit: Instant,
    errors: Limited,
}

impl Consumer {
    fn new(
        context: Context,
        state: Arc<AtomicU8>,
        status: &ConsumerStatus,
    ) -> Result<Self, KafkaError> {
        let config = context.settings.client_config();
        let topic = context.settings.topic.clone();
        let consumer: BaseConsumer<Context> = config.create_with_context(context)?;
        consumer.subscribe(&[&topic])?;
        let context = Arc::clone(consumer.context());
        status.context.store(Some(Arc::clone(&context)));
        let next_commit = Instant::now() + context.settings.commit_interval;
        let errors = Limited::new(Duration::from_secs(10));
        let pending = Pending::default();
        Ok(Self { consumer, context, state, pending, next_commit, errors })
    }

    fn run(mut self) {
        loop {
            let state = self.state.load(Ordering::Relaxed);
            if state != RUNNING {
                return self.leave(state == CRASHED);
            }
            if matches!(self.turn(), Turn::Fatal) {
                self.context.lose_all();
                return;
            }
        }
    }

    /// Polls until there is nothing more or enough, and hands over what was read.
    fn turn(&mut self) -> Turn {
        let now = clock::now();
        let mut wait = POLL_WAIT;
        while self.pending.bytes < TURN_BYTES {
            match self.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => self.pending.push(&self.context, &message, now),
                Some(Err(error)) => {
                    if let Turn::Fatal = self.on_error(&error) {
                        return Turn::Fatal;
                    }
                    break;
                }
            }
            wait = Duration::ZERO;
        }
        self.hand_over();
        self.tell(self.context.take_learned());
        if Instant::now() >= self.next_commit {
            self.next_commit = Instant::now() + self.context.settings.commit_interval;
            let partitions = self.context.partitions();
            let partitions = partitions.into_iter().map(|(partition, _)| partition);
            self.context.commit(&self.consumer, partitions, CommitMode::Async);
        }
        Turn::On
    }

    fn hand_over(&mut self) {
        self.pending.bytes = 0;
        for (partition, mut batch) in std::mem::take(&mut self.pending.batches) {
            let Some(mine) = self.context.partition(partition) else { continue };
            if mine.owned.generation != batch.generation {
                continue;
            }
            let worker = mine.owned.worker;
            batch.room = self.wait_for_room(worker, batch.size());
            let next = batch.next_offset();
            if batch.room.is_none() || self.context.workers[worker].records(batch).is_err() {
                // Only while the process stops.
                return;
            }
            mine.handed_over.store(next.0, Ordering::Relaxed);
        }
    }

    /// Waits for room in the inboxes. After a while fetching is paused, so that librdkafka can be
    /// polled, as the group demands, without more records coming.
    fn wait_for_room(
        &mut self,
        worker: usize,
        bytes: usize,
    ) -> Option<tokio::sync::OwnedSemaphorePermit> {
        let since = Instant::now();
        let mut paused_at = None;
        loop {
            let room = self.context.workers[worker].try_room(bytes);
            if room.is_some() || self.state.load(Ordering::Relaxed) != RUNNING {
                if paused_at.is_some() {
                    self.resume();
                }
                return room;
            }
            if since.elapsed() < PAUSE_AFTER {
                thread::sleep(Duration::from_millis(2));
                continue;
            }
            if paused_at != Some(self.context.epoch()) {
                // Again after a rebalance: what came in with it is not paused.
                paused_at = Some(self.context.epoch());
                self.pause();
            }
            match self.consumer.poll(POLL_WAIT) {
                Some(Ok(message)) => self.pending.push(&self.context, &message, clock::now()),
                Some(Err(error)) => {
                    self.on_error(&error);
                }
                None => {}
            }
        }
    }

    fn pause(&self) {
        let owned = self.context.partitions();
        info!(partitions = owned.len(), "kafka.paused: the workers are behind");
        self.context.metrics.paused.increment(1);
        let list = self.context.list(owned.into_iter().map(|(partition, _)| partition));
        if let Err(error) = self.consumer.pause(&list) {
            warn!(%error, "kafka.pause_failed");
        }
    }

    fn resume(&self) {
        let owned = self.context.partitions();
        info!(partitions = owned.len(), "kafka.resumed");
        let list = self.context.list(owned.into_iter().map(|(partition, _)| partition));
        if let Err(error) = self.consumer.resume(&list) {
            warn!(%error, "kafka.resume_failed");
        }
        // What was fetched ahead was thrown away, and is fetched again.
        self.context.forget_reports();
    }

    /// Passes on what the statistics told, to the workers and to the metrics.
    fn tell(&self, learned: Vec<super::statistics::Learned>) {
        let Some(learned) = learned.into_iter().last() else { return };
        let at = clock::now().before(learned.age);
        let mut by_worker = vec![Vec::new(); self.context.workers.len()];
        for (partition, position) in &learned.at_end {
            let Some(mine) = self.context.partition(*partition) else { continue };
            if !mine.is_handed_over() {
                continue;
            }
            let generation = mine.owned.generation;
            let (partition, position) = (*partition, *position);
            by_worker[mine.owned.worker].push(CaughtUp { partition, generation, position, at });
        }
        for (worker, partitions) in by_worker.into_iter().enumerate() {
            if !partitions.is_empty() {
                // A worker that is gone is noticed when there are records for it.
                let _ = self.context.workers[worker].caught_up(partitions);
            }
        }
        let (mut lag, mut committed_lag, mut lag_time) = (0, 0, Duration::ZERO);
        for (partition, end, committed) in &learned.ends {
            let Some(mine) = self.context.partition(*partition) else { continue };
            let behind = |position: i64| (end.0 - position).max(0);
            let unread = behind(mine.position.load(Ordering::Relaxed));
            lag += unread;
            let last = Timestamp(mine.last_timestamp.load(Ordering::Relaxed));
            if unread > 0 && last.0 >= 0 {
                lag_time = lag_time.max(clock::now().since(last));
            }
            committed_lag += committed.map_or(0, |committed| behind(committed.0));
        }
        let metrics = &self.context.metrics;
        metrics.lag_records.set(lag as f64);
        metrics.lag_seconds.set(lag_time.as_secs_f64());
        metrics.committed_lag_records.set(committed_lag as f64);
        metrics.client_queue_bytes.set(learned.queue_bytes as f64);
    }

    fn on_error(&self, error: &KafkaError) -> Turn {
        self.context.metrics.poll_errors.increment(1);
        let code = error.rdkafka_error_code();
        let out_of_range = matches!(
            code,
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)
        );
        if out_of_range {
            self.return_to_range();
            return Turn::On;
        }
        if matches!(error, KafkaError::MessageConsumptionFatal(_))
            || code == Some(RDKafkaErrorCode::Fatal)
        {
            error!(%error, "kafka.fatal: the client is made anew");
            return Turn::Fatal;
        }
        if let Some(left_out) = self.errors.allow() {
            let (brokers, topic) = (&self.context.settings.brokers, &self.context.settings.topic);
            warn!(%error, brokers, topic, left_out, "kafka.error");
        }
        Turn::On
    }

    /// Finds the partitions whose position is not in the log any more (or never was known), and
    /// goes on where the log begins. librdkafka does not say which partition it was.
    fn return_to_range(&self) {
        for (partition, mine) in self.context.partitions() {
            let position = mine.position.load(Ordering::Relaxed);
            if position < 0 {
                self.start_over(
                    partition,
                    self.context.start_without_commit(&self.consumer, partition),
                );
                continue;
            }
            let Some((low, high)) = self.context.watermarks(&self.consumer, partition) else {
                continue;
            };
            if position < low.0 {
                let lost = (low.0 - position).unsigned_abs();
                self.context.metrics.lost_records.increment(lost);
                let text = "retention deleted records before they were read";
                let (from, to, partition_id) = (position, low.0 - 1, partition.0);
                error!(partition = partition_id, from, to, lost, "kafka.records_lost: {text}");
                mine.move_to(low);
                self.assign_again(partition, low);
            } else if position > high.0 {
                let text = "the log ends below the position: the topic was made anew or cut";
                error!(partition = partition.0, position, end = high.0, "kafka.log_cut: {text}");
                self.start_over(partition, Some(low));
            }
        }
    }

    /// Acquires a partition anew: offsets below those already seen would be taken for repeated.
    fn start_over(&self, partition: Partition, start: Option<Position>) {
        let Some(start) = start else { return };
        self.context.lose(partition);
        self.context.acquire(partition, start);
        self.assign_again(partition, start);
    }

    fn assign_again(&self, partition: Partition, start: Position) {
        let mut list = self.context.list(std::iter::once(partition));
        self.context.forget_reports();
        let topic = &self.context.settings.topic;
        let offset = rdkafka::Offset::Offset(start.0);
        let assigned = self
            .consumer
            .incremental_unassign(&list)
            .and_then(|()| list.set_partition_offset(topic, partition.0, offset))
            .and_then(|()| self.consumer.incremental_assign(&list));
        if let Err(error) = assigned {
            error!(%error, partition = partition.0, "kafka.assign_failed");
        }
    }

    /// Hands all partitions over and leaves the group.
    fn leave(self, crash: bool) {
        let context = Arc::clone(&self.context);
        if crash {
            context.crashed.store(true, Ordering::Relaxed);
            context.lose_all();
        } else {
            let owned: Vec<_> = context.partitions().into_iter().map(|(p, _)| p).collect();
            context.give_up(&self.consumer, &owned, context.settings.revoke_timeout);
            info!(partitions = owned.len(), "kafka.left");
        }
        // Closing may wait for brokers that do not answer. What had to be done is done.
        let (closed, wait) = std::sync::mpsc::channel();
        let consumer = self.consumer;
        thread::spawn(move || {
            drop(consumer);
            let _ = closed.send(());
        });
        if wait.recv_timeout(CLOSE_TIMEOUT).is_err() {
            warn!("kafka.close_timed_out");
        }
    }
}
