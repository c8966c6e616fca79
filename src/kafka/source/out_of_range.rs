//! What happens when a consumer's position is out of range: retention has deleted the records, the
//! log was cut, the topic was deleted and created again, or nothing was ever committed.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use tracing::{error, warn};

use super::commit_metadata::CommitMetadata;
use super::consumer::Consumer;
use super::start_position;
use crate::ids::{Partition, Position};

/// How soon a failed look-up is tried again.
const RETRY_WAIT: Duration = Duration::from_secs(1);

impl Consumer {
    /// Finds the partitions whose position is not in the log any more, or was never known, and goes
    /// on where the log begins. librdkafka does not tell which partition it was, and fetches nothing
    /// of it until it is assigned again.
    pub(super) fn return_to_range(&mut self) {
        self.context.learn_topic_id(&self.consumer);
        if self.context.topic.is_recreated() {
            self.leave_old_topic();
            return;
        }
        let (mut cut, mut in_range) = (Vec::new(), Vec::new());
        let (mut is_unknown, mut is_found) = (false, false);
        for (partition, assigned) in self.context.assignment.all() {
            let position = assigned.position.load(Ordering::Relaxed);
            if position < 0 {
                let start = start_position::without_commit(&self.consumer, partition);
                is_found = true;
                is_unknown |= start.is_none();
                self.start_over(partition, start);
                continue;
            }
            let Some((low, high)) = start_position::log_range(&self.consumer, partition) else {
                is_unknown = true;
                continue;
            };
            if position < low.0 {
                let lost = (low.0 - position).unsigned_abs();
                self.context.metrics.lost_records.increment(lost);
                let text = "retention deleted records before they were read";
                let (from, to, partition_id) = (position, low.0 - 1, partition.0);
                error!(partition = partition_id, from, to, lost, "kafka.records_lost: {text}");
                is_found = true;
                assigned.move_to(low);
                self.assign_again(partition, low);
            } else if position > high.0 {
                let text = "the log ends below the position, so it was cut; it is read from its \
                            beginning, and what is on record is not decided again";
                error!(partition = partition.0, position, end = high.0, "kafka.log_cut: {text}");
                cut.push((partition, low));
            } else {
                in_range.push((partition, Position(position)));
            }
        }
        is_found |= !cut.is_empty();
        self.read_new_log(cut);
        if is_unknown {
            self.out_of_range_at = Some(Instant::now() + RETRY_WAIT);
        } else if !is_found {
            // The log has grown beyond the position since, or was cut and written on.
            let partitions = in_range.len();
            let text = "a position was not in its log and is now; reading goes on there";
            warn!(partitions, "kafka.in_range_again: {text}");
            for (partition, position) in in_range {
                self.assign_again(partition, position);
            }
        }
    }

    /// Leaves a topic that was deleted and created again: its offsets mean other records. Reading
    /// starts over where `start_from` says, once that position is known for all partitions.
    pub(super) fn leave_old_topic(&mut self) {
        if !self.context.topic.is_recreated() || self.leave_topic_at > Instant::now() {
            return;
        }
        let mut starts = Vec::new();
        for partition in self.context.partitions_of_old_topic() {
            let Some(start) = start_position::without_commit(&self.consumer, partition) else {
                // `is_recreated` stays true, so it is tried again.
                self.leave_topic_at = Instant::now() + RETRY_WAIT;
                return;
            };
            starts.push((partition, start));
        }
        self.hand_over();
        // There may have been a rebalance while `hand_over` waited for room.
        let old = self.context.partitions_of_old_topic();
        starts.retain(|(partition, _)| old.contains(partition));
        self.read_new_log(starts);
        self.context.topic.set_recreated(!self.context.partitions_of_old_topic().is_empty());
    }

    /// Makes the workers decide everything that was read of logs that are gone, and reads the new
    /// logs from these positions on.
    fn read_new_log(&self, starts: Vec<(Partition, Position)>) {
        if starts.is_empty() {
            return;
        }
        // The look-ups took time. This commit renews the lease, without which nothing is delivered.
        self.context.commit(&self.consumer, self.context.assignment.ids());
        let partitions: Vec<Partition> = starts.iter().map(|(partition, _)| *partition).collect();
        self.context.end(&partitions);
        for (partition, start) in starts {
            self.start_over(partition, Some(start));
        }
    }

    /// Acquires a partition again: offsets below those already seen would be taken for repeated.
    fn start_over(&self, partition: Partition, start: Option<Position>) {
        let (Some(start), Some(assigned)) = (start, self.context.assignment.get(partition)) else {
            return;
        };
        let CommitMetadata { log, topic, .. } = assigned.acquisition.committable().1;
        self.acquire_again(partition, (start, CommitMetadata { clock: None, log, topic }));
    }

    /// Reads a partition again from its committable position, after records of it were dropped.
    pub(super) fn read_again(&self, partition: Partition) {
        let Some(assigned) = self.context.assignment.get(partition) else { return };
        let (position, metadata) = assigned.acquisition.committable();
        let text =
            "records were not handed to their worker, which is a defect; they are read again";
        error!(partition = partition.0, from = position.0, "kafka.records_skipped: {text}");
        if position.0 >= 0 {
            self.acquire_again(partition, (position, metadata));
        } else {
            let start = start_position::without_commit(&self.consumer, partition);
            self.start_over(partition, start);
        }
    }

    fn acquire_again(&self, partition: Partition, from: (Position, CommitMetadata)) {
        self.context.lose(partition);
        self.context.acquire(partition, self.context.topic.id(), from);
        self.assign_again(partition, from.0);
    }

    fn assign_again(&self, partition: Partition, start: Position) {
        let mut list = self.context.list([partition]);
        self.context.reports.forget();
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
