//! The topic that is read: its id, and its number of partitions, over which the limits of the whole
//! group are divided.
//!
//! A topic that was deleted and created again has other records at the same offsets. Kafka's clients
//! go on at the old offset without an error as soon as the new log is long enough. Only the id tells.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tracing::{debug, error, info, warn};

use super::consumer::Consumer;
use super::context::Context;
use super::events::Rebalance;
use crate::ids::{Partition, TopicId};
use crate::kafka::cluster::describe::{self, Asked, NoAnswer};

/// How long a look-up may take, inside a rebalance.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

/// How often the topic's id is asked for.
const WATCH_INTERVAL: Duration = Duration::from_secs(10);

/// How often at most, when an error looks as if the topic was created again.
const HURRIED_INTERVAL: Duration = Duration::from_secs(1);

/// Asks for the topic's id from time to time, without waiting for the answer.
#[derive(Debug)]
pub(super) struct TopicWatch {
    asked: Option<Asked<Option<TopicId>>>,
    last: Instant,
    interval: Duration,
}

impl TopicWatch {
    pub(super) fn new() -> Self {
        Self { asked: None, last: Instant::now(), interval: WATCH_INTERVAL }
    }

    /// An error looks as if the topic was created again.
    pub(super) fn hurry(&mut self) {
        self.interval = HURRIED_INTERVAL;
    }

    /// The answer, if one has come. Asks again when it is due, and after a rebalance.
    ///
    /// Cooperative rebalances come in pairs: partitions are revoked in the first and assigned in the
    /// second, for which all members join again. librdkafka (2.12, `rkcg_join_intvl`) joins once a
    /// second, unless partitions of the member were revoked or it got metadata of topics since. A
    /// member without either would keep the partitions of others waiting. The answer to this
    /// question is such metadata.
    fn look(&mut self, context: &Context, consumer: &BaseConsumer<Context>) -> Option<TopicId> {
        if let Some(asked) = &self.asked {
            let answer = asked.answer(Duration::ZERO)?;
            self.asked = None;
            return answer.unwrap_or_else(|error| no_answer(context, &error));
        }
        let is_due = self.last.elapsed() >= self.interval && context.assignment.len() > 0;
        if context.topic.take_rebalanced() || is_due {
            (self.last, self.interval) = (Instant::now(), WATCH_INTERVAL);
            self.asked = Some(describe::topic_id(consumer.client(), &context.settings.topic));
        }
        None
    }
}

fn no_answer(context: &Context, error: &NoAnswer) -> Option<TopicId> {
    debug!(%error, topic = context.settings.topic, "kafka.topic_id_unknown");
    None
}

impl Consumer {
    /// Finds out whether the topic was deleted and created again, and reads the new one if so.
    pub(super) fn watch_topic(&mut self) {
        if let Some(now) = self.topic_watch.look(&self.context, &self.consumer) {
            self.context.note_topic_id(now);
        }
        self.leave_old_topic();
    }
}

impl Context {
    /// Asks for the topic's id when partitions are assigned; `None` if it is not known.
    pub(super) fn learn_topic_id(&self, consumer: &BaseConsumer<Self>) -> Option<TopicId> {
        if self.topic.tells_no_id() {
            return None;
        }
        let asked = describe::topic_id(consumer.client(), &self.settings.topic);
        let answer = asked.answer(LOOKUP_TIMEOUT);
        let now = answer.and_then(|it| it.unwrap_or_else(|error| no_answer(self, &error)));
        match now {
            Some(now) => self.note_topic_id(now),
            // The next rebalance does not wait for an answer that may never come: the watch does.
            None => self.topic.set_tells_no_id(true),
        }
        now
    }

    /// True if the topic that is read was deleted. Then the group takes all its partitions away, and
    /// nobody reads them again.
    pub(super) fn is_topic_gone(&self, consumer: &BaseConsumer<Self>) -> bool {
        let asked = describe::topic_id(consumer.client(), &self.settings.topic);
        let is_gone = match asked.answer(LOOKUP_TIMEOUT) {
            Some(Ok(now)) => {
                now.is_some() && self.topic.id().is_some_and(|known| Some(known) != now)
            }
            Some(Err(NoAnswer::NoSuchTopic)) => true,
            Some(Err(NoAnswer::Denied | NoAnswer::Failed(_))) | None => false,
        };
        if is_gone {
            let text = "the topic was deleted; what was read of it is decided on what there is";
            error!(topic = self.settings.topic, "kafka.topic_deleted: {text}");
        }
        is_gone
    }

    fn note_topic_id(&self, now: TopicId) {
        let before = self.topic.replace_id(now).filter(|before| *before != now);
        for (_, assigned) in self.assignment.all() {
            assigned.acquisition.set_topic_id(now);
        }
        let is_left = self.partitions_of_old_topic().is_empty();
        if before.is_some() || (!is_left && !self.topic.is_recreated()) {
            self.report_recreated(before, now);
        }
        self.topic.set_recreated(!is_left);
    }

    /// The partitions that are still read as those of an older topic.
    pub(super) fn partitions_of_old_topic(&self) -> Vec<Partition> {
        let now = self.topic.id();
        let is_old = |of: Option<TopicId>| of.is_some() && of != now;
        let owned = self.assignment.all().into_iter();
        owned
            .filter_map(|(partition, assigned)| {
                is_old(assigned.acquisition.topic()).then_some(partition)
            })
            .collect()
    }

    /// Logs and counts that the topic is another one than the one that was read.
    fn report_recreated(&self, before: Option<TopicId>, now: TopicId) {
        let before = before.map(|before| before.to_string());
        let text = "a topic of this name with another id is there: the one that was read was \
                    deleted. What was not read of it is gone; the new one is read from where \
                    kafka.start_from says";
        let (topic, start_from) = (&self.settings.topic, self.settings.start_from);
        error!(topic, before, now = %now, ?start_from, "kafka.topic_recreated: {text}");
        self.metrics.topic_recreated.increment(1);
    }

    /// Looks up the number of partitions of the topic when some are assigned, and tells the workers
    /// if it has changed. A topic that grows rebalances its groups, so this is often enough.
    pub(super) fn learn_topic_size(&self, consumer: &BaseConsumer<Self>, coming: &[Partition]) {
        let before = self.topic.partitions();
        // If the brokers do not answer: at least the assigned partitions exist.
        let seen = coming.iter().map(|partition| partition.0 + 1).max().unwrap_or(0);
        let at_least = before.max(seen.cast_unsigned());
        let partitions = look_up_topic_size(consumer).unwrap_or(at_least);
        if partitions == before {
            return;
        }
        self.topic.set_partitions(partitions);
        info!(topic = self.settings.topic, partitions, "kafka.topic_size");
        for worker in 0..self.workers.len() {
            self.send(worker, Rebalance::Resized { partitions });
        }
    }
}

fn look_up_topic_size(consumer: &BaseConsumer<Context>) -> Option<u32> {
    let topic = &consumer.context().settings.topic;
    let metadata = match consumer.fetch_metadata(Some(topic), LOOKUP_TIMEOUT) {
        Ok(metadata) => metadata,
        Err(error) => {
            let text = "limits are shared out over the partitions that were seen so far";
            warn!(%error, topic, "kafka.topic_size_unknown: {text}");
            return None;
        }
    };
    let found = metadata.topics().iter().find(|found| found.name() == topic)?;
    u32::try_from(found.partitions().len()).ok().filter(|partitions| *partitions > 0)
}
