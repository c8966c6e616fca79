//! Requests to keep a trace that was dropped: what a record says that asks for one, and what comes of it.

use super::context::Context;
use super::partition::PartitionState;
use super::settlement::{LateSpans, ToldFrom};
use crate::kafka::keep_request::KeepRequest;
use crate::kafka::source::Record;
use crate::sampling::sampler::{Restoring, Unrestored};
use crate::sampling::trace::Trigger;
use crate::telemetry::metrics::RestoreFailure;

impl PartitionState {
    /// The record in hand has a header that asks for a trace. Its value was taken in before.
    pub(super) fn requested(&mut self, ctx: &mut Context, record: &Record<'_>, header: &[u8]) {
        // Spans in the record may be of the same trace; nobody who asks sends some.
        let is_empty = record.value.is_some_and(<[u8]>::is_empty);
        let Some(request) = KeepRequest::parse(header).filter(|_| is_empty) else {
            ctx.shared.refusals.request(self.origin.partition, record.offset);
            return refuse(ctx, RestoreFailure::Malformed);
        };
        if ctx.shared.log.as_ref().is_none_or(|log| log.group() != request.group) {
            return;
        }
        let none = LateSpans { offset: record.offset, spans: 0, bytes: 0 };
        let told_from = ToldFrom::Log(request.log);
        match self.sampler.restore(request.trace_id, record.offset) {
            Restoring::Granted(recorded) => {
                ctx.counting.counts.triggers[Trigger::Restored as usize] += 1;
                self.settlement.reopened(recorded, &none, told_from);
            }
            Restoring::Before(recorded) if recorded.delivered => {}
            Restoring::Before(recorded) => {
                self.settlement.reopened_before(recorded, &none, told_from);
            }
            Restoring::Refused(why) => refuse(ctx, failure(why)),
        }
    }
}

fn refuse(ctx: &mut Context, why: RestoreFailure) {
    ctx.counting.counts.restore_failures[why as usize] += 1;
}

fn failure(why: Unrestored) -> RestoreFailure {
    match why {
        Unrestored::Open => RestoreFailure::Open,
        Unrestored::Kept => RestoreFailure::Kept,
        Unrestored::Vetoed => RestoreFailure::Vetoed,
        Unrestored::OverBudget => RestoreFailure::Budget,
    }
}
