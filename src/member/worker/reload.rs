//! Other policies, or another share of their limits: all partitions of a worker take them at once.

use std::sync::Arc;
use std::time::Instant;

use tracing::info;

use super::{Worker, shares};
use crate::sampling::sampler::Rescan;

impl Worker {
    /// Makes sure that what comes next is judged by the policies in force.
    pub(super) fn keep_up(&mut self) {
        if self.policies.has_changed().unwrap_or(false) {
            self.switch();
        }
    }

    /// Judges by the policies that came into force, from the next record on. What falls due by
    /// them is decided now, for there may be no next record for long.
    pub(super) fn switch(&mut self) {
        self.post();
        self.end_trial();
        self.ctx.switch(Arc::clone(&self.policies.borrow_and_update()));
        let active = &self.ctx.active;
        let since = Instant::now();
        let mut rescan = Rescan::default();
        for state in self.partitions.states() {
            state.sampler.switch(&active.policies, self.topic_size, &mut rescan);
        }
        let millis = since.elapsed().as_millis();
        info!(worker = self.index, hash = active.hash, millis, "worker.policies_switched");
        for state in self.partitions.current_states() {
            state.decide_due(&mut self.ctx);
        }
        self.feed();
        self.post();
        self.mention_small_shares();
    }

    /// The topic has so many partitions: each has its share of the limits. Topics do not shrink;
    /// what says so is a guess of a consumer that could not look.
    pub(super) fn share_out(&mut self, topic_size: u32) {
        if topic_size <= self.topic_size {
            return;
        }
        self.topic_size = topic_size;
        self.partitions.states().for_each(|state| state.sampler.share_out(topic_size));
        if let Some(trial) = &mut self.ctx.trial {
            trial.share_out(topic_size);
        }
        self.mention_small_shares();
    }

    /// The workers have the same shares, so one of them speaks.
    fn mention_small_shares(&self) {
        if self.index == 0 {
            shares::mention_small(&self.ctx.active.policies.set, self.topic_size);
        }
    }
}
