//! Rebalances: what happens on the consumer's thread, inside librdkafka's callbacks.
//!
//! While a revoke is unanswered librdkafka stops all partitions of the member, so it is answered
//! here, in time, and cleaned up after.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};
use tracing::span::EnteredSpan;
use tracing::{debug, error, field, info, info_span, warn};

use super::commit_metadata::CommitMetadata;
use super::context::Context;
use super::events::{Rebalance, Revocation};
use super::ownership::Acquisition;
use super::start_position;
use super::static_membership::Fatal;
use crate::ids::{Partition, Position, TopicId};

/// How much longer than told a worker may take to answer a revoke before it is left behind.
const WORKER_GRACE: Duration = Duration::from_millis(500);

impl Context {
    /// Acquires a partition of `topic`, which is read from `start` on, and tells its worker.
    pub(super) fn acquire(
        &self,
        partition: Partition,
        topic: Option<TopicId>,
        (start, metadata): (Position, CommitMetadata),
    ) {
        let worker = self.ownership.least_loaded(self.workers.len());
        let acquired = (start, metadata);
        let acquisition = self.ownership.acquire(partition, worker, &self.lease, topic, acquired);
        self.assignment.insert(partition, Arc::clone(&acquisition), start);
        let takeover = info_span!(
            "partition.takeover",
            partition = partition.0,
            start = start.0,
            replayed_traces = field::Empty,
        );
        self.send(
            worker,
            Rebalance::Assigned { partition, acquisition, start, metadata, takeover },
        );
        self.metrics.assigned.increment(1);
    }

    /// Ends the acquisition of a partition.
    fn release(&self, partition: Partition) -> Option<Arc<Acquisition>> {
        self.assignment.remove(partition);
        self.ownership.release(partition)
    }

    /// Forgets a partition that is gone, without a commit.
    pub(super) fn lose(&self, partition: Partition) {
        if let Some(acquisition) = self.release(partition) {
            let generation = acquisition.generation;
            self.send(acquisition.worker, Rebalance::Lost { partition, generation });
        }
        self.metrics.lost.increment(1);
    }

    /// Forgets all partitions, without a commit.
    pub(super) fn lose_all(&self) {
        self.assignment.ids().into_iter().for_each(|partition| self.lose(partition));
        self.metrics.owned_partitions.set(self.assignment.len() as f64);
    }

    /// Asks the workers to finish with `partitions`, commits their watermarks, and ends their
    /// acquisitions. That may take longer than the lease runs, so it is renewed meanwhile; once it has
    /// ended, workers may do nothing more, and nothing is waited for.
    pub(super) fn give_up(
        &self,
        consumer: &BaseConsumer<Self>,
        partitions: &[Partition],
        timeout: Duration,
    ) {
        let ask = |partition, acquisition: &Acquisition, done| {
            let generation = acquisition.generation;
            let revocation = Revocation { partition, generation, timeout, done };
            self.send(acquisition.worker, Rebalance::Revoked(revocation));
        };
        let commit = || self.commit(consumer, partitions.iter().copied());
        let is_member = || {
            commit();
            self.lease.is_valid()
        };
        if self.finish(partitions, timeout, ask, is_member) {
            commit();
        }
        for partition in partitions {
            self.release(*partition);
            self.metrics.revoked.increment(1);
        }
    }

    /// Asks the workers to finish with `partitions` whose records are gone from Kafka. The workers have
    /// the only copy of what was read, so they decide those traces now. The caller acquires the
    /// partitions again.
    pub(super) fn end(&self, partitions: &[Partition]) {
        let timeout = self.settings.revoke_timeout;
        let ask = |partition, acquisition: &Acquisition, done| {
            let generation = acquisition.generation;
            let revocation = Revocation { partition, generation, timeout, done };
            if self.workers[acquisition.worker].log_gone(revocation).is_err() {
                debug!(worker = acquisition.worker, "rebalance.worker_gone");
            }
        };
        self.finish(partitions, timeout, ask, || true);
    }

    /// Asks the workers of `partitions` to finish with them, and waits until they have, or `goes_on`,
    /// which is asked now and then, says no: then false.
    fn finish(
        &self,
        partitions: &[Partition],
        timeout: Duration,
        ask: impl Fn(Partition, &Acquisition, mpsc::Sender<Partition>),
        goes_on: impl Fn() -> bool,
    ) -> bool {
        let (done, answers) = mpsc::channel();
        let mut waiting = 0;
        for (partition, assigned) in
            partitions.iter().filter_map(|p| Some((*p, self.assignment.get(*p)?)))
        {
            ask(partition, &assigned.acquisition, done.clone());
            waiting += 1;
        }
        let deadline = Instant::now() + timeout + WORKER_GRACE;
        while waiting > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if answers.recv_timeout(left.min(self.settings.commit_interval)).is_ok() {
                waiting -= 1;
            } else if left.is_zero() {
                warn!(partitions = waiting, "revoke.unanswered");
                break;
            } else if !goes_on() {
                warn!(
                    partitions = waiting,
                    "revoke.lease_ended: their next owner reads them again"
                );
                return false;
            }
        }
        true
    }

    /// Commits the watermarks of `partitions`, also of those that did not move: what the group
    /// answers says that this process is a member of it.
    pub(super) fn commit(
        &self,
        consumer: &BaseConsumer<Self>,
        partitions: impl IntoIterator<Item = Partition>,
    ) {
        let mut list = TopicPartitionList::new();
        for (partition, assigned) in
            partitions.into_iter().filter_map(|p| Some((p, self.assignment.get(p)?)))
        {
            let (position, metadata) = assigned.acquisition.committable();
            assigned.note(position);
            if position.0 < 0 {
                continue;
            }
            let mut element = list.add_partition(&self.settings.topic, partition.0);
            element.set_metadata(metadata.to_text());
            if let Err(error) = element.set_offset(KafkaOffset::Offset(position.0)) {
                warn!(%error, partition = partition.0, "kafka.commit_failed");
            }
        }
        if list.count() == 0 {
            return;
        }
        // Synchronous: librdkafka does not report how an asynchronous commit ended.
        let asked = Instant::now();
        match consumer.commit(&list, CommitMode::Sync) {
            Ok(()) => {
                self.lease.renew(asked);
                self.denied.store(None);
                self.metrics.commits.increment(1);
            }
            Err(error) => self.commit_failed(&error),
        }
    }

    fn commit_failed(&self, error: &KafkaError) {
        self.metrics.commit_failures.increment(1);
        if self.note_denial(error) {
            return;
        }
        if let Some(suppressed) = self.trouble.allow() {
            let text = "offsets stay uncommitted for now; they are committed again later";
            warn!(%error, suppressed, "kafka.commit_failed: {text}");
        }
    }

    /// The span of a change of so many partitions.
    fn span(&self, kind: &'static str, partitions: &[Partition]) -> EnteredSpan {
        let (group, topic) = (&self.settings.group_id, &self.settings.topic);
        let partitions = partitions.len();
        info_span!("kafka.rebalance", kind, partitions, group, topic).entered()
    }

    fn on_assigned(&self, consumer: &BaseConsumer<Self>, list: &mut TopicPartitionList) {
        self.lease.renew(Instant::now());
        let partitions: Vec<Partition> =
            list.elements().iter().map(|element| Partition(element.partition())).collect();
        let _span = self.span("assigned", &partitions);
        let (mut topic, mut starts) = (None, HashMap::new());
        if !partitions.is_empty() {
            self.learn_topic_size(consumer, &partitions);
            topic = self.learn_topic_id(consumer);
            starts = start_position::starts(consumer, &partitions, topic);
        }
        for partition in &partitions {
            let (start, metadata) = match starts.get(partition) {
                Some((start, metadata)) => (Some(*start), *metadata),
                None => (None, CommitMetadata::default()),
            };
            // If the start is not known, librdkafka looks the committed offset up itself, however
            // long that takes, and reports an error if there is none.
            let offset = start.map_or(KafkaOffset::Stored, |start| KafkaOffset::Offset(start.0));
            if let Err(error) = list.set_partition_offset(&self.settings.topic, partition.0, offset)
            {
                warn!(%error, partition = partition.0, "kafka.assign_failed");
            }
            // If the brokers do not tell the topic's id, that of the committed offset is assumed.
            let topic = topic.or(metadata.topic).or(self.topic.id());
            self.acquire(*partition, topic, (start.unwrap_or(Position(-1)), metadata));
        }
        if let Err(error) = consumer.incremental_assign(list) {
            error!(%error, "kafka.assign_failed");
        }
        // A partition that was revoked while it was paused still is: librdkafka (2.12.1) clears that
        // neither when it is taken nor when it is given again, and would never fetch it.
        if let Err(error) = consumer.resume(list) {
            error!(%error, "kafka.resume_failed");
        }
        self.joined.store(true, Ordering::Relaxed);
        self.denied.store(None);
        self.topic.set_rebalanced();
        // The group has answered, so a broker is connected. The next statistics confirm it.
        self.reports.set_connected(true);
        let owned = self.ownership.len();
        info!(assigned = partitions.len(), owned, "kafka.assigned");
    }

    fn on_revoked(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let since = Instant::now();
        let partitions: Vec<Partition> =
            list.elements().iter().map(|element| Partition(element.partition())).collect();
        let lost = consumer.assignment_lost() || self.crashed.load(Ordering::Relaxed);
        let _span = self.span(if lost { "lost" } else { "revoked" }, &partitions);
        let is_all = partitions.len() == self.assignment.len();
        if lost {
            partitions.iter().for_each(|partition| self.lose(*partition));
        } else if is_all && !partitions.is_empty() && self.is_topic_gone(consumer) {
            self.end(&partitions);
            partitions.iter().for_each(|partition| self.lose(*partition));
        } else {
            self.give_up(consumer, &partitions, self.settings.revoke_timeout);
        }
        if let Err(error) = consumer.incremental_unassign(list) {
            error!(%error, "kafka.unassign_failed");
        }
        let owned = self.ownership.len();
        let millis = since.elapsed().as_millis();
        info!(revoked = partitions.len(), lost, owned, millis, "kafka.revoked");
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            // Logged where the fatal error is handled.
            _ if facility == "FATAL" => debug!(facility, message, "kafka.client_log"),
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                error!(facility, message, "kafka.client_log");
            }
            _ => debug!(facility, message, "kafka.client_log"),
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.reports.push(&self.settings.topic, statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.metrics.poll_errors.increment(1);
        if Fatal::of(error.rdkafka_error_code()) != Fatal::Other || self.note_denial(&error) {
            // Logged where it is handled, with what to do about it.
            return;
        }
        if let Some(suppressed) = self.trouble.allow() {
            warn!(%error, reason, brokers = self.settings.brokers, suppressed, "kafka.trouble");
        }
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        self.reports.forget();
        if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.on_assigned(consumer, list);
        } else {
            self.on_revoked(consumer, list);
        }
        self.metrics.owned_partitions.set(self.assignment.len() as f64);
    }
}
