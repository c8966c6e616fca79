//! Partitions that come and go: what a worker does when its process's share of the topic changes.

use std::sync::Arc;

use tokio::time::Instant;

use super::Worker;
use super::context::Context;
use super::partition::PartitionState;
use crate::kafka::source::{Rebalance, Revocation};
use crate::sampling::trace::Trigger;

impl Worker {
    pub(super) fn rebalance(&mut self, event: Rebalance) {
        match event {
            Rebalance::Resized { partitions } => {
                let Context { shared, counting, .. } = &mut self.ctx;
                shared.routing.resized(partitions, &mut counting.counts);
                self.share_out(partitions);
            }
            Rebalance::Assigned { partition, acquisition, start, metadata, takeover } => {
                let (ctx, topic_size) = (&self.ctx, self.topic_size);
                ctx.shared.decision_room.add_partition();
                let generation = acquisition.generation;
                let acquired = (self.index, partition, acquisition);
                let mut state = PartitionState::new(ctx, acquired, (start, metadata), topic_size);
                state.read_log_back(ctx, metadata, takeover);
                if let Some(old) = self.partitions.assign(partition, generation, state) {
                    self.forget(old);
                }
                self.look_at_leases();
            }
            Rebalance::Revoked(revocation) => self.revoke(revocation),
            Rebalance::Lost { partition, generation } => {
                if let Some(state) = self.partitions.lost(partition, generation) {
                    self.forget(state);
                }
            }
        }
        self.post();
    }

    /// Begins to give a partition up.
    fn revoke(&mut self, revocation: Revocation) {
        self.partitions.revoke(revocation, Instant::now());
        // The whole group waits for the answer, and all partitions of this member stand still.
        self.lanes.set_hurry(self.partitions.has_revoked());
        self.feed();
        self.finish_revocations();
    }

    /// The records of a partition are gone: this process is the last that has what it read of them.
    pub(super) fn log_gone(&mut self, gone: Revocation) {
        if let Some(state) = self.partitions.current(gone.partition, gone.generation) {
            if let Some(reading_back) = &mut state.reading_back {
                // What was read waits until it is known what was decided before.
                reading_back.gone = Some(gone);
                return;
            }
            state.decide_all(&mut self.ctx, Trigger::LogGone);
        }
        self.feed();
        self.revoke(gone);
        self.post();
    }

    /// Lets go of revoked partitions that have nothing in flight, or no time left.
    pub(super) fn finish_revocations(&mut self) {
        let (now, ctx) = (Instant::now(), &mut self.ctx);
        let under_way = |state: &PartitionState| state.settlement.under_way();
        for (_, state) in self.partitions.finish(now, under_way, |state| state.publish(ctx)) {
            self.forget(state);
        }
        self.post();
    }

    /// Strikes out what a partition that is gone still holds open.
    pub(super) fn forget(&mut self, mut state: PartitionState) {
        state.abandon(&mut self.ctx);
        self.ctx.shared.log.iter().for_each(|log| log.end(state.origin));
        self.ctx.shared.decision_room.remove_partition();
        self.lanes.set_hurry(self.partitions.has_revoked());
        self.ctx.outbox.forget(state.origin);
        self.lanes.forget(state.origin);
        self.look_at_leases();
    }

    pub(super) fn go_on_with_revocations(&mut self) {
        if self.partitions.has_revoked() {
            self.finish_revocations();
        }
    }

    /// Finds the leases that the partitions are held under: one for each consumer.
    fn look_at_leases(&mut self) {
        self.leases.clear();
        for PartitionState { acquisition, .. } in self.partitions.states() {
            if self.leases.iter().all(|other| !other.shares_lease(acquisition)) {
                self.leases.push(Arc::clone(acquisition));
            }
        }
    }
}
