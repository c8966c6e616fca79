//! The spans of a record, into their traces.

use super::decide::Remembered;
use super::deliver::{Part, Undelivered};
use super::gather::{ask_resource, gather};
use super::partition::PartitionState;
use super::runs::{SpanRun, next_run};
use super::{Desk, Shared};
use crate::ids::{Offset, Partition};
use crate::kafka::decision_log::{DecisionRecord, SamplingDecision};
use crate::kafka::source::Record;
use crate::otlp::Scan;
use crate::sampling::trace::{Decided, Segment, Slot, Trigger};
use crate::telemetry::accounts::Amount;
use crate::telemetry::metrics::Replayed;

impl PartitionState {
    /// Takes in what a scan found in a record.
    pub(super) fn arrive(
        &mut self,
        shared: &Shared,
        desk: &mut Desk,
        record: &Record<'_>,
        value: &[u8],
        found: &Scan,
    ) {
        self.refuse_spans(shared, desk, record, value, found);
        check_routing(shared, desk, self.partition, record, found);
        self.resources.clear();
        self.resources.resize_with(found.resources.len(), Default::default);
        self.scopes.clear();
        self.scopes.resize(found.scopes.len(), None);
        let mut first = 0;
        while first < found.spans.len() {
            let run = next_run(&found.spans, first);
            first += run.spans.len();
            self.arrive_run(shared, desk, record, value, found, &run);
        }
        self.let_go_in_hand(shared, desk);
        self.decide_at_cap(shared, desk);
        let held = self.resources.drain(..).filter_map(|resource| resource.header);
        for header in held.chain(self.scopes.drain(..).flatten()) {
            self.headers.release(header);
        }
    }

    fn arrive_run(
        &mut self,
        shared: &Shared,
        desk: &mut Desk,
        record: &Record<'_>,
        value: &[u8],
        found: &Scan,
        run: &SpanRun<'_>,
    ) {
        let (id, offset) = (run.trace_id(), record.offset);
        desk.counts.received.add(run.amount());
        if let Some(recorded) = self.replay.find(id, offset) {
            let recorded = recorded.clone();
            let segment = self.hold_segment(record, value, found, run);
            self.arrive_again(shared, desk, offset, (segment, run.framed.of(value)), run, recorded);
            return;
        }
        let slot = match self.traces.find(id) {
            Some(slot) => slot,
            None => {
                let decided = self.decided_before(shared, id, offset);
                desk.counts.cache_lookups[usize::from(decided.is_none())] += 1;
                if let Some(decided) = decided {
                    let segment = self.hold_segment(record, value, found, run);
                    let spans = (segment, run.framed.of(value));
                    self.arrive_late(shared, desk, offset, spans, run, &decided);
                    return;
                }
                let opened = Amount { traces: 1, ..Amount::default() };
                desk.counts.received.add(opened);
                desk.opened.add(opened);
                self.traces.open(id, offset, self.watermark.pin(offset))
            }
        };
        desk.opened.add(run.amount());
        self.add_facts(slot, value, found, run);
        let segment = self.hold_segment(record, value, found, run);
        self.headers.hold_again(segment.resource);
        self.headers.hold_again(segment.scope);
        let count = run.spans.len() as u32;
        self.traces.append(slot, offset, segment, run.framed.of(value), count);
        if run.spans.iter().any(|span| span.is_root) {
            self.traces.root_received(slot);
        }
        if self.traces.is_at_cap(slot) && !self.at_cap.contains(&slot) {
            self.at_cap.push(slot);
        }
    }

    /// Decides the traces that the record brought to a cap: once it was taken in, so that a
    /// decision covers whole records.
    fn decide_at_cap(&mut self, shared: &Shared, desk: &mut Desk) {
        for slot in std::mem::take(&mut self.at_cap) {
            let trace = self.traces.take(slot);
            self.decide(shared, desk, &trace, Trigger::Size);
        }
    }

    fn add_facts(&mut self, slot: Slot, value: &[u8], found: &Scan, run: &SpanRun<'_>) {
        let predicates = self.in_force.policies.predicates();
        let resource = found.scopes[run.spans[0].scope as usize].resource as usize;
        let facts = self.resources[resource]
            .facts
            .get_or_insert_with(|| ask_resource(predicates, value, found, resource));
        let spans = run.first..run.first + run.spans.len();
        let summary = &mut self.traces.get_mut(slot).summary;
        gather(predicates, facts, value, found, spans, summary);
    }

    /// The interned headers of a run, held until the record is done with.
    fn hold_segment(
        &mut self,
        record: &Record<'_>,
        value: &[u8],
        found: &Scan,
        run: &SpanRun<'_>,
    ) -> Segment {
        let scope_index = run.spans[0].scope as usize;
        let scope = &found.scopes[scope_index];
        let headers = &mut self.headers;
        let pieces = |header: crate::otlp::span::Run| {
            header.of(&found.pieces).iter().map(move |piece| piece.of(value))
        };
        let resource_index = scope.resource as usize;
        let resource = &found.resources[resource_index];
        let held = &mut self.resources[resource_index].header;
        let resource = *held.get_or_insert_with(|| {
            headers.hold_with_forwarded(record.headers, pieces(resource.header))
        });
        let held = &mut self.scopes[scope_index];
        let scope = *held.get_or_insert_with(|| headers.hold(pieces(scope.header)));
        Segment { resource, scope }
    }

    /// Spans whose trace is decided: they follow it.
    fn arrive_late(
        &mut self,
        shared: &Shared,
        desk: &mut Desk,
        offset: Offset,
        spans: (Segment, &[u8]),
        run: &SpanRun<'_>,
        decided: &Decided<Remembered>,
    ) {
        let age = self.traces.clock().since(decided.at);
        shared.accounts.late_age.record(age.as_secs_f64());
        let Remembered { decision: verdict, covers: (first, last), trigger } = &decided.decision;
        let SamplingDecision::Kept(kept) = verdict else {
            desk.counts.late_dropped.add(run.amount());
            return;
        };
        desk.counts.late_kept.add(run.amount());
        let (id, additions) = (run.trace_id(), shared.annotations.of(kept));
        let of = (id, *first);
        let chunks = self.frame(desk, std::iter::once(spans), &additions);
        if shared.log.is_some() {
            let recorded = || DecisionRecord {
                trace_id: id,
                decision: verdict.clone(),
                dropped_by: None,
                first: *first,
                last: *last,
                at: decided.at,
                trigger: *trigger,
                delivered: true,
            };
            self.undelivered.entry(of).or_insert_with(|| Undelivered::but_late(recorded()));
            self.hold_in_hand(of, Part::Late(offset), false);
        }
        let pin = self.watermark.pin(offset);
        self.deliver(shared, desk, of, Part::Late(offset), pin, (kept, chunks));
    }

    /// Spans of a record that is read again, whose trace was decided before.
    fn arrive_again(
        &mut self,
        shared: &Shared,
        desk: &mut Desk,
        offset: Offset,
        spans: (Segment, &[u8]),
        run: &SpanRun<'_>,
        recorded: DecisionRecord,
    ) {
        let amount = run.amount();
        let kept = match &recorded.decision {
            SamplingDecision::Dropped => return desk.counts.replay(Replayed::Dropped, amount),
            SamplingDecision::Kept(_) if recorded.delivered => {
                return desk.counts.replay(Replayed::Delivered, amount);
            }
            SamplingDecision::Kept(kept) => kept.clone(),
        };
        desk.counts.replay(Replayed::Forwarded, amount);
        let (of, additions) = ((run.trace_id(), recorded.first), shared.annotations.of(&kept));
        let chunks = self.frame(desk, std::iter::once(spans), &additions);
        let is_last = offset >= recorded.last;
        self.undelivered.entry(of).or_insert_with(|| Undelivered::in_parts(recorded));
        self.hold_in_hand(of, Part::Covered, is_last);
        let pin = self.watermark.pin(offset);
        self.deliver(shared, desk, of, Part::Covered, pin, (&kept, chunks));
    }
}

/// Looks at whether a record keeps its trace in one partition.
fn check_routing(
    shared: &Shared,
    desk: &mut Desk,
    partition: Partition,
    record: &Record<'_>,
    found: &Scan,
) {
    let Some(first) = found.spans.first() else { return };
    let id = first.trace_id;
    let is_alone = found.spans.iter().all(|span| span.trace_id == id);
    shared.routing.check(partition, record.key, id, is_alone, &mut desk.counts);
}
