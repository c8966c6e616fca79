//! A consumer and its thread: polls, copies records into batches, hands them to the workers,
//! commits on a timer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tracing::{error, info, warn};

use super::batch_builder::BatchBuilder;
use super::context::Context;
use super::fetched::{self, Client};
use super::handle::{CRASHED, ConsumerStatus, RUNNING};
use super::static_membership::Fatal;
use super::topic_watch::TopicWatch;
use crate::clock;
use crate::ids::{Partition, Position};
use crate::telemetry::log_throttle::LogThrottle;

/// How long a poll waits when there is nothing to read.
const POLL_WAIT: Duration = Duration::from_millis(100);

/// How long the rest of an answer to a fetch may take to come, once some of it was read. librdkafka
/// queues an answer partition by partition: without this wait each of them would wake this thread,
/// and its worker. In a backlog there is always more: waiting would cost an eighth of its rate.
const GATHER_WAIT: Duration = Duration::from_millis(10);

/// Bytes taken in one go before the workers get them.
const TURN_BYTES: usize = 256 * 1024;

/// How long the workers may be behind before fetching is paused. Pausing throws away what was
/// fetched ahead, so it has to be worth it.
const PAUSE_AFTER: Duration = Duration::from_secs(2);

/// An offset that has not moved for this long is logged.
const STUCK_AFTER: Duration = Duration::from_secs(300);

/// How often it is looked whether workers have let go of a client's records.
const LET_GO_WAIT: Duration = Duration::from_millis(5);

/// How long to wait for a client to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug)]
enum Turn {
    On,
    /// The client has a fatal error.
    Fatal,
}

/// A client and its state; replaced by a new one after a fatal error.
pub(super) struct Consumer {
    /// Declared before the client, so that a pending question is dropped before the client.
    pub(super) topic_watch: TopicWatch,
    pub(super) consumer: Client,
    pub(super) context: Arc<Context>,
    state: Arc<AtomicU8>,
    leave_timeout: Arc<AtomicU64>,
    batches: BatchBuilder,
    /// The last turn took as much as a turn may.
    was_full: bool,
    next_commit: Instant,
    /// When to handle the partitions whose position is out of range, if there are any.
    pub(super) out_of_range_at: Option<Instant>,
    /// When to try again to leave a topic that was deleted and created again.
    pub(super) leave_topic_at: Instant,
    /// The client has a fatal error.
    is_fatal: bool,
    stuck: LogThrottle,
}

impl Consumer {
    pub(super) fn new(
        context: Context,
        state: Arc<AtomicU8>,
        leave_timeout: Arc<AtomicU64>,
        status: &ConsumerStatus,
    ) -> Result<Self, KafkaError> {
        let config = context.settings.client_config();
        let topic = context.settings.topic.clone();
        let consumer: BaseConsumer<Context> = config.create_with_context(context)?;
        consumer.subscribe(&[&topic])?;
        let context = Arc::clone(consumer.context());
        status.context.store(Some(Arc::clone(&context)));
        let next_commit = Instant::now() + context.settings.commit_interval;
        let stuck = LogThrottle::new(Duration::from_secs(60));
        Ok(Self {
            topic_watch: TopicWatch::new(),
            consumer: Arc::new(consumer),
            context,
            state,
            leave_timeout,
            batches: BatchBuilder::default(),
            was_full: false,
            next_commit,
            out_of_range_at: None,
            leave_topic_at: Instant::now(),
            is_fatal: false,
            stuck,
        })
    }

    /// Runs until it is stopped, or until its client has a fatal error, which is returned.
    pub(super) fn run(mut self) -> Option<Fatal> {
        loop {
            let state = self.state.load(Ordering::Relaxed);
            if state != RUNNING {
                self.leave(state == CRASHED);
                return None;
            }
            if matches!(self.turn(), Turn::Fatal) {
                self.context.lose_all();
                let cause = self.consumer.client().fatal_error();
                self.close();
                return Some(Fatal::of(cause.map(|(code, _)| code)));
            }
        }
    }

    /// Polls until nothing is left or enough is read, and hands over what was read.
    fn turn(&mut self) -> Turn {
        let now = clock::now();
        let mut wait = POLL_WAIT;
        let mut has_waited = self.was_full;
        while self.batches.bytes < TURN_BYTES {
            match fetched::poll(&self.consumer, wait) {
                None if self.batches.bytes > 0 && !has_waited => {
                    thread::sleep(GATHER_WAIT);
                    has_waited = true;
                }
                None => break,
                Some(Ok(fetched)) => self.batches.push(&self.context, fetched, now),
                Some(Err(error)) => {
                    if let Turn::Fatal = self.on_error(&error) {
                        return Turn::Fatal;
                    }
                    break;
                }
            }
            wait = Duration::ZERO;
        }
        self.was_full = self.batches.bytes >= TURN_BYTES;
        self.hand_over();
        if self.is_fatal {
            return Turn::Fatal;
        }
        if self.out_of_range_at.take_if(|at| *at <= Instant::now()).is_some() {
            self.return_to_range();
        }
        self.pass_on(self.context.reports.take());
        self.watch_topic();
        self.commit_when_due();
        Turn::On
    }

    fn commit_when_due(&mut self) {
        if Instant::now() < self.next_commit {
            return;
        }
        self.next_commit = Instant::now() + self.context.settings.commit_interval;
        self.context.commit(&self.consumer, self.context.assignment.ids());
    }

    /// Hands over what was read.
    pub(super) fn hand_over(&mut self) {
        for (assigned, mut batch) in self.batches.take(&self.context) {
            let worker = assigned.acquisition.worker;
            batch.room = self.wait_for_room(worker, batch.size());
            let next = batch.next_offset();
            if batch.room.is_none() || self.context.workers[worker].records(batch).is_err() {
                // This happens only while the process stops, or after a fatal error.
                return;
            }
            assigned.given_up_to(next);
        }
        for partition in self.context.assignment.take_skipped() {
            self.read_again(partition);
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
            // Commits go on while nothing is read: they renew the lease.
            self.commit_when_due();
            if since.elapsed() < PAUSE_AFTER {
                thread::sleep(Duration::from_millis(2));
                continue;
            }
            if paused_at != Some(self.context.assignment.epoch()) {
                // Pause again after a rebalance: partitions that it brought are not paused.
                paused_at = Some(self.context.assignment.epoch());
                self.pause();
            }
            match fetched::poll(&self.consumer, POLL_WAIT) {
                Some(Ok(fetched)) => self.batches.push(&self.context, fetched, clock::now()),
                Some(Err(error)) => {
                    if let Turn::Fatal = self.on_error(&error) {
                        // It is reported only once. What waits is dropped, and read again.
                        self.is_fatal = true;
                        return None;
                    }
                }
                None => {}
            }
            // The lag grows meanwhile, so keep its metrics up to date.
            self.pass_on(self.context.reports.take());
        }
    }

    fn pause(&self) {
        let owned = self.context.assignment.ids();
        info!(partitions = owned.len(), "kafka.paused: the workers are behind");
        self.context.metrics.paused.increment(1);
        let list = self.context.list(owned);
        if let Err(error) = self.consumer.pause(&list) {
            warn!(%error, "kafka.pause_failed");
        }
        self.context.reports.set_paused(true);
    }

    fn resume(&self) {
        let owned = self.context.assignment.ids();
        info!(partitions = owned.len(), "kafka.resumed");
        let list = self.context.list(owned);
        if let Err(error) = self.consumer.resume(&list) {
            warn!(%error, "kafka.resume_failed");
        }
        // What was fetched ahead was thrown away, and is fetched again.
        self.context.reports.set_paused(false);
    }

    /// Passes the latest statistics on to the workers and to the metrics.
    fn pass_on(&self, states: Vec<super::statistics::ClientState>) {
        let Some(state) = states.into_iter().last() else { return };
        let at = clock::now().before(state.age);
        let mut by_worker = vec![Vec::new(); self.context.workers.len()];
        for (worker, caught_up) in self.context.assignment.caught_up(&state, at) {
            by_worker[worker].push(caught_up);
        }
        for (worker, partitions) in by_worker.into_iter().enumerate() {
            if !partitions.is_empty() {
                // A worker that is gone is noticed when there are records for it.
                let _ = self.context.workers[worker].caught_up(partitions);
            }
        }
        let (mut lag, mut committed_lag, mut lag_time) = (0, 0, Duration::ZERO);
        for (partition, end, committed) in &state.ends {
            let Some(assigned) = self.context.assignment.get(*partition) else { continue };
            assigned.reported(*end, *committed);
            let behind = assigned.lag(clock::now());
            lag += behind.unread.unwrap_or(0);
            lag_time = lag_time.max(behind.age);
            committed_lag += behind.uncommitted.unwrap_or(0);
        }
        self.report_held_back();
        let metrics = &self.context.metrics;
        metrics.lag_records.set(lag as f64);
        metrics.lag_seconds.set(lag_time.as_secs_f64());
        metrics.committed_lag_records.set(committed_lag as f64);
        metrics.client_queue_bytes.set(state.queue_bytes as f64);
    }

    /// It is normal that an offset does not move while traces are open or a backend is down. It is
    /// logged if that lasts for minutes.
    fn report_held_back(&self) {
        let held = self.context.assignment.all().into_iter().map(|(partition, assigned)| {
            let (position, since) = assigned.held_back();
            (since, partition, position)
        });
        let longest = held.max_by_key(|(since, ..)| *since);
        let (since, partition, position) =
            longest.unwrap_or((Duration::ZERO, Partition(0), Position(0)));
        self.context.metrics.held_back_seconds.set(since.as_secs_f64());
        if since > STUCK_AFTER
            && let Some(suppressed) = self.stuck.allow()
        {
            let (partition, offset, seconds) = (partition.0, position.0, since.as_secs());
            warn!(
                partition,
                offset,
                seconds,
                suppressed,
                "partition.held_back: a trace from this offset on is not decided, on record or \
                 delivered yet, so nothing behind it is committed; tailsieve_stalled_workers and \
                 tailsieve_export_up say what it waits for"
            );
        }
    }

    fn on_error(&mut self, error: &KafkaError) -> Turn {
        self.context.metrics.poll_errors.increment(1);
        let code = error.rdkafka_error_code();
        let out_of_range = matches!(
            code,
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)
        );
        if out_of_range {
            self.out_of_range_at = Some(Instant::now());
            return Turn::On;
        }
        if code == Some(RDKafkaErrorCode::UnknownTopicOrPartition) {
            self.topic_watch.hurry();
        }
        let is_fatal = matches!(error, KafkaError::MessageConsumptionFatal(_))
            || code == Some(RDKafkaErrorCode::Fatal);
        if is_fatal {
            let cause = self.consumer.client().fatal_error();
            if Fatal::of(cause.as_ref().map(|(code, _)| *code)) == Fatal::Other {
                let cause = cause.map(|(_, text)| text);
                error!(%error, cause, "kafka.fatal: a new client takes its place");
            }
            return Turn::Fatal;
        }
        if self.context.note_denial(error) {
            return Turn::On;
        }
        if let Some(suppressed) = self.context.errors.allow() {
            let (brokers, topic) = (&self.context.settings.brokers, &self.context.settings.topic);
            warn!(%error, brokers, topic, suppressed, "kafka.error");
        }
        Turn::On
    }

    /// Hands all partitions over and leaves the group.
    fn leave(self, crash: bool) {
        let context = Arc::clone(&self.context);
        if crash {
            context.crashed.store(true, Ordering::Relaxed);
            context.lose_all();
        } else {
            let owned = context.assignment.ids();
            let timeout = Duration::from_millis(self.leave_timeout.load(Ordering::Relaxed));
            context.give_up(&self.consumer, &owned, timeout.max(context.settings.revoke_timeout));
            info!(partitions = owned.len(), "kafka.left");
        }
        self.close();
    }

    /// Closes the client as soon as nobody holds records of it.
    fn close(self) {
        let Self { topic_watch, consumer, batches, .. } = self;
        drop((topic_watch, batches));
        // Closing may wait for brokers that do not answer. What had to be done is done.
        let (closed, wait) = std::sync::mpsc::channel();
        thread::spawn(move || {
            // It must not be closed by a worker that lets go of the last records.
            while Arc::strong_count(&consumer) > 1 {
                thread::sleep(LET_GO_WAIT);
            }
            drop(consumer);
            let _ = closed.send(());
        });
        if wait.recv_timeout(CLOSE_TIMEOUT).is_err() {
            warn!("kafka.close_timed_out");
        }
    }
}
