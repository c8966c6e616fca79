//! How many partitions the topic has: what limits of the whole group are shared out over.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tracing::{info, warn};

use super::assignment::Context;
use super::events::Rebalance;
use crate::ids::Partition;

/// For how long the look-up may take, inside a rebalance.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

impl Context {
    /// Looks up how many partitions the topic has, when some come in, and tells the workers if
    /// that is news. A topic that grows rebalances its groups, so this is often enough.
    pub(super) fn learn_topic_size(&self, consumer: &BaseConsumer<Self>, coming: &[Partition]) {
        let before = self.topic_size.load(Ordering::Relaxed);
        // If nobody can tell: what came in is there.
        let seen = coming.iter().map(|partition| partition.0 + 1).max().unwrap_or(0);
        let at_least = before.max(seen.cast_unsigned());
        let partitions = self.look_up_topic_size(consumer).unwrap_or(at_least);
        if partitions == before {
            return;
        }
        self.topic_size.store(partitions, Ordering::Relaxed);
        info!(topic = self.settings.topic, partitions, "kafka.topic_size");
        for worker in 0..self.workers.len() {
            self.send(worker, Rebalance::Resized { partitions });
        }
    }

    fn look_up_topic_size(&self, consumer: &BaseConsumer<Self>) -> Option<u32> {
        let topic = &self.settings.topic;
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
}
