//! What happens when a consumer's position is not in its partition's log, or in that of another
//! topic: retention was faster, the log was cut, the topic was made anew, or nothing was ever
//! committed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rdkafka::consumer::Consumer as _;
use tracing::error;

use super::consumer::Consumer;
use super::resume::Resume;
use crate::ids::{Partition, Position};

impl Consumer {
    /// Finds the partitions whose position is not in the log any more (or never was known), and
    /// goes on where the log begins. librdkafka does not say which partition it was.
    pub(super) fn return_to_range(&mut self) {
        self.context.learn_topic_id(&self.consumer);
        self.leave_old_topic();
        for (partition, mine) in self.context.partitions() {
            let position = mine.position.load(Ordering::Relaxed);
            if position < 0 {
                let start = self.context.start_without_commit(&self.consumer, partition);
                self.start_over(partition, start);
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
                let text = "the log ends below the position, so it was cut; it is read from its \
                            beginning, and what is on record is not decided again";
                error!(partition = partition.0, position, end = high.0, "kafka.log_cut: {text}");
                self.context.end(&[partition]);
                self.start_over(partition, Some(low));
            }
        }
    }

    /// Partitions of a topic that was deleted, where another one of its name is now: offsets mean
    /// other records. Reading starts over where `start_from` says, once that is known for all.
    pub(super) fn leave_old_topic(&mut self) {
        if !self.context.is_recreated() {
            return;
        }
        let mut starts = Vec::new();
        for partition in self.context.partitions_of_old_topic() {
            match self.context.start_without_commit(&self.consumer, partition) {
                Some(start) => starts.push((partition, start)),
                // It stays recreated, and this is tried again.
                None => return,
            }
        }
        self.context.old_topic_left();
        self.hand_over();
        let partitions: Vec<Partition> = starts.iter().map(|(partition, _)| *partition).collect();
        self.context.end(&partitions);
        for (partition, start) in starts {
            self.start_over(partition, Some(start));
        }
    }

    /// Acquires a partition anew: offsets below those already seen would be taken for repeated.
    fn start_over(&self, partition: Partition, start: Option<Position>) {
        let Some(start) = start else { return };
        let owned = self.context.partition(partition).map(|mine| Arc::clone(&mine.owned));
        let log = owned.and_then(|owned| owned.committable().1.log);
        self.acquire_again(partition, start, Resume { log, ..Resume::default() });
    }

    /// Something that was read of a partition was thrown away: reads it again from where it is not
    /// decided, recorded and delivered.
    pub(super) fn read_again(&self, partition: Partition) {
        let Some(mine) = self.context.partition(partition) else { return };
        let (position, resume) = mine.owned.committable();
        let text =
            "records were not handed to their worker, which is a defect; they are read again";
        error!(partition = partition.0, from = position.0, "kafka.records_skipped: {text}");
        if position.0 >= 0 {
            self.acquire_again(partition, position, resume);
        } else {
            let start = self.context.start_without_commit(&self.consumer, partition);
            self.start_over(partition, start);
        }
    }

    fn acquire_again(&self, partition: Partition, start: Position, resume: Resume) {
        if self.context.partition(partition).is_some() {
            self.context.lose(partition);
        }
        self.context.acquire(partition, start, resume);
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
