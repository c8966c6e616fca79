//! Partitions that come and go: what a worker does when its process's share of the topic changes.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use tokio::time::Instant;
use tracing::info;

use super::partition::{PartitionState, Revocation};
use super::{Worker, current};
use crate::ids::{Generation, Partition, Position};
use crate::kafka::source::{Acquisition, CommitMetadata, LogGone, Rebalance};
use crate::sampling::trace::Trigger;

impl Worker {
    pub(super) fn rebalance(&mut self, event: Rebalance) {
        match event {
            Rebalance::Resized { partitions } => {
                self.shared.routing.resized(partitions, &mut self.desk.counts);
                self.share_out(partitions);
            }
            Rebalance::Assigned { partition, acquisition, start, metadata } => {
                self.shared.decided.add_partition();
                let mut state = self.partition_state(partition, acquisition, start, metadata);
                state.recover(&self.shared, metadata);
                if let Some(old) = self.partitions.insert(partition, state) {
                    self.forget(old);
                }
                self.look_at_leases();
            }
            Rebalance::Revoked { partition, generation, timeout, done } => {
                self.revoke(partition, generation, timeout, done);
            }
            Rebalance::Lost { partition, generation } => {
                if current(&mut self.partitions, partition, generation).is_some()
                    && let Some(state) = self.partitions.remove(&partition)
                {
                    self.forget(state);
                }
            }
        }
        self.post();
    }

    /// Begins to give a partition up.
    fn revoke(
        &mut self,
        partition: Partition,
        generation: Generation,
        timeout: Duration,
        done: Sender<Partition>,
    ) {
        let Some(state) = current(&mut self.partitions, partition, generation) else {
            // A partition that this worker does not have is done with.
            let _ = done.send(partition);
            return;
        };
        let deadline = Instant::now() + timeout;
        state.revocation = Some(Revocation { deadline, done });
        self.revoking.push(partition);
        // The whole group waits for the answer, and all partitions of this member stand still.
        self.lanes.set_hurry(true);
        self.finish_revocations();
    }

    /// The records of a partition are gone: this process is the last that has what it read of them.
    pub(super) fn log_gone(&mut self, gone: LogGone) {
        let state = current(&mut self.partitions, gone.partition, gone.generation);
        if let Some(state) = state {
            if state.recovering.is_some() {
                // What was read waits until it is known what was decided before.
                state.gone = Some(gone);
                return;
            }
            state.decide_all(&self.shared, &mut self.desk, Trigger::LogGone);
        }
        self.feed();
        let LogGone { partition, generation, timeout, done } = gone;
        self.revoke(partition, generation, timeout, done);
        self.post();
    }

    fn partition_state(
        &self,
        partition: Partition,
        acquisition: Arc<Acquisition>,
        start: Position,
        metadata: CommitMetadata,
    ) -> PartitionState {
        let (in_force, topic_size) = (&self.in_force, self.topic_size);
        PartitionState::new(
            self.index,
            partition,
            acquisition,
            start,
            metadata,
            in_force,
            topic_size,
        )
    }

    /// Lets go of revoked partitions that have nothing in flight, or no time left.
    pub(super) fn finish_revocations(&mut self) {
        let now = Instant::now();
        let is_done = |partition: &Partition| {
            let state = self.partitions.get(partition)?;
            let revocation = state.revocation.as_ref()?;
            (state.in_flight() == 0 || revocation.deadline <= now).then_some(*partition)
        };
        let done: Vec<Partition> = self.revoking.iter().filter_map(is_done).collect();
        for partition in done {
            let Some(mut state) = self.partitions.remove(&partition) else { continue };
            state.publish(&mut self.desk);
            if let Some(revocation) = state.revocation.take() {
                let unfinished = state.in_flight();
                info!(partition = partition.0, unfinished, "partition.handed_over");
                // The consumer may have given up waiting.
                let _ = revocation.done.send(partition);
            }
            self.forget(state);
        }
        self.post();
    }

    /// Strikes out what a partition that is gone still holds open.
    pub(super) fn forget(&mut self, mut state: PartitionState) {
        state.abandon(&mut self.desk);
        self.shared.decided.remove_partition();
        let generation = state.generation();
        let partition = state.partition;
        self.revoking.retain(|revoking| *revoking != partition);
        self.lanes.set_hurry(!self.revoking.is_empty());
        self.desk
            .unsent
            .retain(|(_, ticket)| ticket.partition != partition || ticket.generation != generation);
        self.lanes.forget(partition, generation);
        self.look_at_leases();
        self.desk
            .lines
            .retain(|(ticket, _)| ticket.partition != partition || ticket.generation != generation);
        self.left.push(state.remembered);
    }

    pub(super) fn go_on_with_revocations(&mut self) {
        if !self.revoking.is_empty() {
            self.finish_revocations();
        }
    }

    /// Finds the leases that the partitions are held under: one for each consumer.
    fn look_at_leases(&mut self) {
        self.leases.clear();
        for state in self.partitions.values() {
            if self.leases.iter().all(|acquisition| !acquisition.shares_lease(&state.acquisition)) {
                self.leases.push(Arc::clone(&state.acquisition));
            }
        }
    }

    pub(super) fn revoke_deadline(&self) -> Option<Instant> {
        let revoking = self.revoking.iter().filter_map(|it| self.partitions.get(it));
        revoking.filter_map(|state| Some(state.revocation.as_ref()?.deadline)).min()
    }
}
