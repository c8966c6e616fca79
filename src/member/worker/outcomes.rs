//! What becomes of what comes out of a partition's sampler: it is counted, and what is kept is framed
//! and handed to the settlement.

use bytes::Bytes;
use smallvec::SmallVec;
use tokio::time::Instant;

use super::Shared;
use super::active_policies::ActivePolicies;
use super::counting::{Counting, of_run};
use super::outbound::Outbox;
use super::settlement::{Decided, Framed, LateSpans, Settlement, Shipment, ToldFrom};
use super::trial::Part;
use crate::ids::{Offset, Pin};
use crate::otlp::probability::Threshold;
use crate::otlp::{Additions, Chance, Framer};
use crate::sampling::decided::{Kept, SamplingDecision};
use crate::sampling::policy::{Decision, PolicyIndex};
use crate::sampling::sampler::{
    DecidedTrace, FollowingSpans, Piece, Question, ReopenedTrace, Sink, SpanRun,
};
use crate::sampling::trace::{OpenTrace, Trigger};
use crate::telemetry::accounts::Amount;
use crate::telemetry::metrics::{ReopenFailure, Replayed};

/// What is written on kept spans.
#[derive(Clone, Copy, Debug)]
pub struct Annotations {
    /// Attribute `tailsieve.policy`.
    pub policy: bool,
    /// `th` in the tracestate's `ot` entry.
    pub tracestate: bool,
    /// Attribute `SampleRate`.
    pub sample_rate: bool,
}

impl Annotations {
    fn of<'a>(&self, kept: &'a Kept, trigger: Trigger) -> Additions<'a> {
        let restored = trigger == Trigger::Restored;
        Additions {
            // No policy kept what somebody asked for.
            policy: (self.policy && !restored).then_some(&*kept.policy),
            restored,
            chance: chance(kept),
            tracestate: self.tracestate,
            sample_rate: self.sample_rate,
        }
    }
}

fn chance(kept: &Kept) -> Chance {
    match (kept.threshold, kept.consistent) {
        (Threshold::ALWAYS, true) => Chance::Certain,
        (threshold, true) => Chance::Passed(threshold),
        (Threshold::NEVER, false) => Chance::Unknown,
        (threshold, false) => Chance::Apart(threshold),
    }
}

/// Spans of the record at `offset` that came late.
fn late_spans(offset: Offset, Amount { spans, bytes, .. }: Amount) -> LateSpans {
    LateSpans { offset, spans, bytes }
}

/// Takes what comes out of the sampler of one partition.
pub(super) struct Outcomes<'a> {
    pub(super) shared: &'a Shared,
    pub(super) active: &'a ActivePolicies,
    pub(super) counting: &'a mut Counting,
    pub(super) framer: &'a mut Framer,
    pub(super) settlement: &'a mut Settlement,
    pub(super) outbox: &'a mut Outbox,
    pub(super) trial: Option<&'a mut Part>,
}

impl Outcomes<'_> {
    /// Frames spans into chunks. Spans of one chunk have the same forwarded headers.
    pub(super) fn ship<'a>(
        &mut self,
        (kept, trigger): (&Kept, Trigger),
        pieces: impl Iterator<Item = Piece<'a>> + Clone,
    ) -> Shipment {
        let additions = self.shared.annotations.of(kept, trigger);
        let mut forwarded_sets: SmallVec<[&[u8]; 1]> = SmallVec::new();
        for piece in pieces.clone() {
            if !forwarded_sets.contains(&piece.forwarded) {
                forwarded_sets.push(piece.forwarded);
            }
        }
        let mut chunks = Vec::with_capacity(forwarded_sets.len());
        for forwarded in forwarded_sets {
            let of_it = pieces.clone().filter(|piece| piece.forwarded == forwarded);
            let framed = self.framer.frame(of_it.map(|piece| piece.segment), &additions);
            let counts = &mut self.counting.counts;
            counts.oversized_spans += u64::from(framed.oversized_spans);
            counts.malformed_tracestate += u64::from(framed.malformed_tracestate);
            counts.not_utf8_spans += u64::from(framed.not_utf8);
            let forwarded = Bytes::copy_from_slice(forwarded);
            let framed = framed.chunks.into_iter();
            chunks.extend(framed.map(|chunk| Framed { forwarded: forwarded.clone(), chunk }));
        }
        let targets = self.active.targets(&self.shared.exporters, &kept.policy);
        Shipment { targets, chunks, since: Instant::now() }
    }

    fn observe(&self, trace: &OpenTrace, delay: std::time::Duration) {
        let (accounts, summary) = (&self.shared.accounts, &trace.summary);
        accounts.decision_delay.record(delay.as_secs_f64());
        accounts.trace_spans.record(f64::from(summary.spans));
        accounts.trace_bytes.record(summary.bytes as f64);
        accounts.trace_duration.record(summary.duration().as_secs_f64());
    }
}

impl Sink for Outcomes<'_> {
    fn opened(&mut self, offset: Offset) -> Pin {
        self.counting.counts.cache_lookups[1] += 1;
        self.counting.opened_trace();
        self.settlement.watermark.pin(offset)
    }

    fn added(&mut self, run: &SpanRun<'_>) {
        let amount = of_run(run);
        self.counting.counts.received.add(amount);
        self.counting.opened.add(amount);
    }

    fn judge(&mut self, question: Question<'_>) -> Decision {
        let mut votes = self.counting.votes(question.policies);
        question.decide(&mut votes)
    }

    fn decided(&mut self, decided: DecidedTrace<'_>) {
        let (trace, recorded) = (decided.trace, &decided.recorded);
        self.observe(trace, recorded.at.since(trace.opened_at));
        let policies = &self.active.policies.set;
        self.counting.decided(policies, &decided.decision, (trace, recorded.trigger));
        self.remember(&decided);
        if let Some(trial) = &mut self.trial {
            trial.decided(self.settlement.origin(), &decided);
        }
        let details = self.settlement.recording.is_on().then(|| decided.details());
        let settled = Decided { record: recorded, details: details.as_ref(), pin: trace.pin };
        match &recorded.decision {
            SamplingDecision::Dropped => self.settlement.dropped(settled, self.outbox),
            SamplingDecision::Kept(kept) => {
                let shipment = self.ship((kept, recorded.trigger), decided.pieces());
                self.settlement.kept(settled, shipment, self.outbox);
            }
        }
    }

    fn late(&mut self, spans: FollowingSpans<'_>) {
        let FollowingSpans { run, offset, now, piece, recorded } = spans;
        let (amount, age) = (of_run(run), now.since(recorded.at));
        self.shared.accounts.late_age.record(age.as_secs_f64());
        let counts = &mut self.counting.counts;
        counts.cache_lookups[0] += 1;
        counts.received.add(amount);
        let late = late_spans(offset, amount);
        let SamplingDecision::Kept(kept) = &recorded.decision else {
            counts.late_dropped.add(amount);
            self.settlement.late_dropped(recorded, &late);
            return;
        };
        counts.late_kept.add(amount);
        if recorded.trigger.takes_back() && self.settlement.joins_reopened(&recorded, &late) {
            return;
        }
        let shipment = self.ship((kept, recorded.trigger), std::iter::once(piece));
        self.settlement.late(recorded, &late, shipment, self.outbox);
    }

    fn reopened(&mut self, trace: ReopenedTrace<'_>) {
        let ReopenedTrace { run, now, dropped, recorded } = trace;
        let amount = of_run(run);
        self.shared.accounts.late_age.record(now.since(dropped.at).as_secs_f64());
        let counts = &mut self.counting.counts;
        counts.cache_lookups[0] += 1;
        counts.received.add(amount);
        counts.late_kept.add(amount);
        counts.triggers[Trigger::Late as usize] += 1;
        let late = late_spans(recorded.first, amount);
        self.settlement.reopened(recorded, &late, ToldFrom::Clock(dropped.at));
    }

    fn reopen_over_budget(&mut self, _: PolicyIndex) {
        self.counting.counts.reopen_failures[ReopenFailure::Budget as usize] += 1;
    }

    fn read_again(&mut self, spans: FollowingSpans<'_>) {
        let is_read_anew = spans.are_read_anew();
        let FollowingSpans { run, offset, piece, recorded, .. } = spans;
        let amount = of_run(run);
        let counts = &mut self.counting.counts;
        counts.received.add(amount);
        let kept = match &recorded.decision {
            SamplingDecision::Dropped => return counts.replay(Replayed::Dropped, amount),
            SamplingDecision::Kept(_) if recorded.delivered => {
                return counts.replay(Replayed::Delivered, amount);
            }
            SamplingDecision::Kept(kept) => kept,
        };
        counts.replay(Replayed::Forwarded, amount);
        if is_read_anew {
            let ttl = self.active.policies.decision_cache_ttl;
            let since = recorded.at.before(ttl);
            let late = late_spans(offset, amount);
            self.settlement.reopened_before(recorded, &late, ToldFrom::Clock(since));
            return;
        }
        let shipment = self.ship((kept, recorded.trigger), std::iter::once(piece));
        self.settlement.read_again(recorded, offset, shipment, self.outbox);
    }
}
