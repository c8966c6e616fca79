//! The decision log: what goes to it, what is written, and what is read back.

use tokio::time::Instant;
use tracing::{Span, info};

use super::Worker;
use super::context::Context;
use super::partition::{PartitionState, ReadingBack};
use crate::ids::{Origin, Position};
use crate::kafka::decision_log::{LogEvent, LogTicket, OwnershipMarker, Topics, Written};
use crate::kafka::source::CommitMetadata;
use crate::sampling::decided::DecisionRecord;

/// Records that may wait for the log before no more spans are taken in.
const MAX_WAITING_BATCHES: usize = 500;

impl PartitionState {
    /// Asks for what was decided before. Until that is known nothing of the partition is judged.
    /// `takeover` ends when it is.
    pub(super) fn read_log_back(
        &mut self,
        ctx: &Context,
        metadata: CommitMetadata,
        takeover: Span,
    ) {
        let Some(log) = &ctx.shared.log else { return };
        self.reading_back = Some(ReadingBack::new(takeover));
        let topics = Topics { then: metadata.topic, now: self.acquisition.topic() };
        log.read_back(self.origin, self.owner, topics, metadata.log);
    }

    pub(super) fn learn(&mut self, ctx: &Context, decisions: &[DecisionRecord]) {
        let room = ctx.shared.decision_room.share();
        self.sampler.learn(self.settlement.watermark.next(), decisions, room);
        self.settlement.recording.learned(decisions);
    }
}

impl Worker {
    /// True while it is not known whether a partition still is this process's.
    pub(super) fn is_suspended(&self) -> bool {
        self.leases.iter().any(|acquisition| !acquisition.is_leased())
    }

    /// True while so much waits for the decision log that nothing more may be decided.
    pub(super) fn is_behind_on_record(&self) -> bool {
        let Context { shared, outbox, held, .. } = &self.ctx;
        outbox.batches.len() > MAX_WAITING_BATCHES || held.unrecorded > shared.max_unrecorded_bytes
    }

    /// Hands what is due to the decision log, in order, as far as it has room.
    pub(super) fn feed_log(&mut self) {
        let Context { shared, outbox, .. } = &mut self.ctx;
        let Some(log) = &shared.log else { return };
        let now = Instant::now();
        for (origin, urgency) in outbox.open_batches.drain(..) {
            self.gathering.add(origin, urgency, now);
        }
        // The whole group waits for partitions that are given up.
        let is_in_a_hurry = self.partitions.has_revoked();
        for origin in self.gathering.take_due(now, is_in_a_hurry) {
            let Origin { partition, generation, .. } = origin;
            if let Some(state) = self.partitions.get(partition, generation) {
                state.settlement.recording.close_batch(outbox);
            }
        }
        while let Some((ticket, batch)) = outbox.batches.pop_front() {
            let Origin { partition, generation, .. } = ticket.origin;
            let Some(state) = self.partitions.get(partition, generation) else { continue };
            if !state.acquisition.is_leased() {
                outbox.batches.push_front((ticket, batch));
                return;
            }
            if let Err(batch) = log.append(ticket, batch) {
                outbox.batches.push_front((ticket, batch));
                return;
            }
        }
    }

    pub(super) fn told_by_log(&mut self, event: LogEvent) {
        match event {
            LogEvent::Written(written) => {
                for Written { ticket: LogTicket { origin, sequence }, offset } in written {
                    let Origin { partition, generation, .. } = origin;
                    if let Some(state) = self.partitions.get(partition, generation) {
                        let (ctx, clock) = (&mut self.ctx, state.sampler.clock());
                        state.settlement.logged(sequence, offset, clock, &mut ctx.outbox);
                        state.publish(ctx);
                    }
                }
                self.feed();
                self.go_on_with_revocations();
            }
            LogEvent::Unwritten { ticket, batch } => {
                self.ctx.outbox.batches.push_back((ticket, batch));
            }
            LogEvent::Decisions { origin, decisions } => {
                let Origin { partition, generation, .. } = origin;
                if let Some(state) = self.partitions.current(partition, generation) {
                    state.learn(&self.ctx, &decisions);
                }
            }
            LogEvent::ReadBack { origin, from, markers } => {
                self.log_was_read_back(origin, from, &markers);
            }
        }
        self.post();
    }

    /// The log of a partition was read back: what came meanwhile is taken in.
    fn log_was_read_back(
        &mut self,
        Origin { partition, generation, .. }: Origin,
        from: Position,
        markers: &[OwnershipMarker],
    ) {
        let Some(state) = self.partitions.current(partition, generation) else { return };
        state.settlement.recording.read_back(from, markers);
        let ReadingBack { parked, gone, takeover } =
            state.reading_back.take().unwrap_or_else(|| ReadingBack::new(Span::none()));
        let replayed_traces = state.sampler.decision_memory().prior().len();
        takeover.record("replayed_traces", replayed_traces);
        let entered = takeover.entered();
        info!(
            partition = partition.0,
            start = state.settlement.watermark.next().0,
            replayed_traces,
            waited_batches = parked.len(),
            "partition.recovered"
        );
        drop(entered);
        for batch in parked {
            self.take_in(batch);
        }
        if let Some(gone) = gone {
            self.log_gone(gone);
        }
    }
}
