//! What happens when a consumer's position is not in its partition's log: retention was faster,
//! the topic was made anew, or nothing was ever committed.

use std::sync::atomic::Ordering;

use rdkafka::consumer::Consumer as _;
use tracing::error;

use super::consumer::Consumer;
use super::resume::Resume;
use crate::ids::{Partition, Position};

impl Consumer {
    /// Finds the partitions whose position is not in the log any more (or never was known), and
    /// goes on where the log begins. librdkafka does not say which partition it was.
    pub(super) fn return_to_range(&self) {
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
        self.context.acquire(partition, start, Resume::default());
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
}
