//! Dropped traces that late spans re-opened, or that somebody asked for: who reads them again, and how what was read leaves.

use bytes::Bytes;

use super::Worker;
use super::context::Context;
use super::outcomes::Outcomes;
use super::partition::PartitionState;
use super::settlement::ReadAgain;
use crate::ids::Origin;
use crate::otlp::span::{self, Slice};
use crate::otlp::{AttributeKeys, Scan, SpanSegment, scan};
use crate::sampling::decided::SamplingDecision;
use crate::sampling::sampler::{Piece, runs};
use crate::sampling::trace::Trigger;
use crate::telemetry::accounts::Amount;
use crate::telemetry::metrics::{ReopenFailure, RestoreFailure};

/// Reads traces again, on threads of its own.
pub trait Reread: std::fmt::Debug + Send + Sync {
    /// Takes a trace over, and tells its worker what it found by [`Notice::Reread`](super::Notice).
    ///
    /// # Errors
    /// If it has no room: the trace, to be handed over again later.
    fn try_read(&self, trace: ReadAgain) -> Result<(), ReadAgain>;
}

/// What there is of a trace that was read again.
#[derive(Debug)]
pub struct ReadAnew {
    /// What was asked for.
    pub asked: ReadAgain,
    /// Its spans, by record; none if somebody asked for it in vain.
    pub parts: Vec<PartAnew>,
    /// Kafka does not have all of them any more.
    pub is_incomplete: bool,
}

/// The spans of a trace in one record.
#[derive(Debug)]
pub struct PartAnew {
    /// The forwarded headers of the record.
    pub forwarded: Vec<u8>,
    /// A `TracesData` message.
    pub bytes: Vec<u8>,
}

impl Worker {
    /// A trace was read again.
    pub(super) fn told_of_reread(&mut self, anew: &ReadAnew) {
        let Origin { partition, generation, .. } = anew.asked.origin;
        if let Some(state) = self.partitions.get(partition, generation) {
            state.deliver_anew(&mut self.ctx, anew);
            state.publish(&mut self.ctx);
        }
        self.feed();
        self.go_on_with_revocations();
        self.post();
    }
}

impl Context {
    /// Hands traces that are to be read again to who does it, as far as there is room: those that somebody
    /// asked for in order, and the others in order.
    pub(super) fn send_read_again(&mut self) {
        let Some(reread) = &self.shared.reread else { return };
        let waiting = std::mem::take(&mut self.outbox.read_again);
        let left = waiting.into_iter().filter_map(|trace| reread.try_read(trace).err());
        self.outbox.read_again = left.collect();
    }
}

impl PartitionState {
    /// Delivers what was read again.
    pub(super) fn deliver_anew(&mut self, ctx: &mut Context, anew: &ReadAnew) {
        let ReadAnew { asked, parts, is_incomplete } = anew;
        let Some(recorded) = self.settlement.decision_of(asked.delivery).cloned() else { return };
        let SamplingDecision::Kept(kept) = recorded.decision else { return };
        let (_, mut outcomes) = self.sampling(ctx);
        let all = spans_of(parts);
        let late = Amount { traces: 0, spans: asked.late.0, bytes: asked.late.1 };
        if recorded.trigger == Trigger::Restored {
            outcomes.count_restored(amount(&all), late, *is_incomplete);
        } else {
            outcomes.count_reopened(amount(&all), late, *is_incomplete);
        }
        let shipment =
            outcomes.ship((&kept, recorded.trigger), all.iter().map(|some| some.piece(parts)));
        self.settlement.read_anew(asked.delivery, shipment, &mut ctx.outbox);
    }
}

impl Outcomes<'_> {
    /// Counts `all` spans of a trace that was re-opened, of which the `late` ones are counted already.
    fn count_reopened(&mut self, all: Amount, late: Amount, is_incomplete: bool) {
        let counts = &mut self.counting.counts;
        counts.reopened.add(besides(all, late));
        counts.reopen_failures[ReopenFailure::Expired as usize] += u64::from(is_incomplete);
    }

    /// Counts `all` spans of a trace that somebody asked for, of which the `late` ones are counted already.
    fn count_restored(&mut self, all: Amount, late: Amount, is_incomplete: bool) {
        let counts = &mut self.counting.counts;
        let dropped = besides(all, late);
        let failure = match (is_incomplete, dropped.spans) {
            (true, _) => Some(RestoreFailure::Expired),
            (false, 0) => Some(RestoreFailure::Nothing),
            (false, _) => None,
        };
        if let Some(failure) = failure {
            counts.restore_failures[failure as usize] += 1;
        }
        if dropped.spans > 0 {
            counts.restored.add(dropped);
        }
    }
}

/// A trace of which `late` spans are counted already.
fn besides(all: Amount, late: Amount) -> Amount {
    Amount {
        traces: 1,
        spans: all.spans.saturating_sub(late.spans),
        bytes: all.bytes.saturating_sub(late.bytes),
    }
}

/// Spans that stand together in a part.
#[derive(Debug)]
struct Anew {
    part: usize,
    resource: Bytes,
    scope: Bytes,
    spans: Slice,
    count: u64,
}

impl Anew {
    fn piece<'a>(&'a self, parts: &'a [PartAnew]) -> Piece<'a> {
        let PartAnew { forwarded, bytes } = &parts[self.part];
        let (resource, scope) = (&self.resource, &self.scope);
        let segment = SpanSegment { resource, scope, spans: self.spans.of(bytes) };
        Piece { forwarded, segment }
    }
}

/// All spans that are understood, which those that came before were, too.
fn spans_of(parts: &[PartAnew]) -> Vec<Anew> {
    let (keys, mut found, mut all) = (AttributeKeys::default(), Scan::default(), Vec::new());
    for (part, PartAnew { bytes, .. }) in parts.iter().enumerate() {
        if scan(bytes, &keys, &mut found).is_err() {
            continue;
        }
        let header = |pieces: span::Run| -> Bytes {
            let pieces = pieces.of(&found.pieces).iter().map(|piece| piece.of(bytes));
            pieces.flatten().copied().collect()
        };
        all.extend(runs(&found.spans).map(|run| {
            let scope = &found.scopes[run.spans[0].scope as usize];
            let resource = &found.resources[scope.resource as usize];
            let (spans, count) = (run.framed, u64::from(run.count()));
            let (resource, scope) = (header(resource.header), header(scope.header));
            Anew { part, resource, scope, spans, count }
        }));
    }
    all
}

fn amount(all: &[Anew]) -> Amount {
    let spans = all.iter().map(|some| some.count).sum();
    let bytes = all.iter().map(|some| some.spans.len() as u64).sum();
    Amount { traces: 0, spans, bytes }
}
