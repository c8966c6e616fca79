//! What a worker and the decision log tell each other.

use std::collections::VecDeque;

use tracing::info;

use super::partition::PartitionState;
use super::{Shared, Worker, current, current_or_revoked};
use crate::ids::{Generation, Partition, Position, Timestamp};
use crate::kafka::decision_log::{
    DecisionRecord, LogEvent, LogTicket, OwnershipMarker, Topics, Written,
};
use crate::kafka::source::CommitMetadata;

/// Records that may wait for the log before no more spans are taken in.
const MAX_WAITING_LINES: usize = 500;

impl PartitionState {
    /// Asks for what was decided before. Until that is known nothing of the partition is judged.
    pub(super) fn recover(&mut self, shared: &Shared, metadata: CommitMetadata) {
        let Some(log) = &shared.log else { return };
        self.recovering = Some(VecDeque::new());
        let topics = Topics { then: metadata.topic, now: self.acquisition.topic() };
        log.read_back(self.ticket(0), self.owner, topics, metadata.log);
    }

    pub(super) fn learn(&mut self, shared: &Shared, decisions: &[DecisionRecord]) {
        let start = self.watermark.next();
        let oldest = self.traces.clock().before(self.in_force.decision_cache_ttl);
        let crowded_out = latest_beyond(shared.decided.share(), decisions);
        for recorded in decisions {
            if recorded.at >= oldest && crowded_out.is_none_or(|latest| recorded.at > latest) {
                self.remember_in_order(shared, recorded);
            }
            self.replay.learn(start, recorded);
            self.log_positions.learn(recorded.at);
        }
    }
}

/// When the latest decision was made that has no room among the `room` latest. Partitions are read
/// back one after the other: if each brought all it has, the last would push out the fresh decisions
/// of the first.
fn latest_beyond(room: usize, decisions: &[DecisionRecord]) -> Option<Timestamp> {
    if decisions.len() <= room {
        return None;
    }
    let mut made: Vec<Timestamp> = decisions.iter().map(|recorded| recorded.at).collect();
    let (_, latest, _) = made.select_nth_unstable_by(room, |one, other| other.cmp(one));
    Some(*latest)
}

impl Worker {
    /// True while it is not known whether a partition still is this process's.
    pub(super) fn is_suspended(&self) -> bool {
        self.leases.iter().any(|acquisition| !acquisition.is_leased())
    }

    /// True while so much waits for the decision log that nothing more may be decided.
    pub(super) fn is_behind_on_record(&self) -> bool {
        self.desk.lines.len() > MAX_WAITING_LINES
            || self.desk.held.unrecorded > self.shared.max_unrecorded_bytes
    }

    /// Hands records to the decision log, in order, as far as it has room.
    pub(super) fn feed_log(&mut self) {
        let Some(log) = &self.shared.log else { return };
        for partition in std::mem::take(&mut self.desk.open_lines) {
            if let Some(state) = self.partitions.get_mut(&partition) {
                state.close_line(&mut self.desk);
            }
        }
        while let Some((ticket, line)) = self.desk.lines.pop_front() {
            let state = self.partitions.get(&ticket.partition);
            let state = state.filter(|state| state.generation() == ticket.generation);
            let Some(state) = state else { continue };
            if !state.acquisition.is_leased() {
                self.desk.lines.push_front((ticket, line));
                return;
            }
            if let Err(line) = log.append(ticket, line) {
                self.desk.lines.push_front((ticket, line));
                return;
            }
        }
    }

    pub(super) fn told_by_log(&mut self, event: LogEvent) {
        match event {
            LogEvent::Written(written) => {
                for Written { ticket, offset } in written {
                    let LogTicket { partition, generation, sequence, .. } = ticket;
                    let state = current_or_revoked(&mut self.partitions, partition, generation);
                    if let Some(state) = state {
                        state.recorded(&self.shared, &mut self.desk, sequence, offset);
                        state.publish(&mut self.desk);
                    }
                }
                self.feed();
                self.go_on_with_revocations();
            }
            LogEvent::Unwritten { ticket, batch: line } => {
                self.desk.lines.push_back((ticket, line))
            }
            LogEvent::Decisions { partition, generation, decisions } => {
                if let Some(state) = current(&mut self.partitions, partition, generation) {
                    state.learn(&self.shared, &decisions);
                }
            }
            LogEvent::ReadBack { partition, generation, from, markers } => {
                self.recovered(partition, generation, from, &markers);
            }
        }
        self.post();
    }

    /// The log of a partition was read back: what came meanwhile is taken in.
    fn recovered(
        &mut self,
        partition: Partition,
        generation: Generation,
        from: Position,
        markers: &[OwnershipMarker],
    ) {
        let Some(state) = current(&mut self.partitions, partition, generation) else { return };
        state.log_positions.learned_from(from, markers);
        let parked = state.recovering.take().unwrap_or_default();
        info!(
            partition = partition.0,
            start = state.watermark.next().0,
            replayed_traces = state.replay.len(),
            waited_batches = parked.len(),
            "partition.recovered"
        );
        let gone = state.gone.take();
        for batch in parked {
            self.take_in(batch);
        }
        if let Some(gone) = gone {
            self.log_gone(gone);
        }
    }
}
