//! The spans of a record, into their traces.

use std::time::Duration;

use tracing::warn;

use super::decide::Remembered;
use super::gather::{ask_resource, gather};
use super::partition::PartitionState;
use super::runs::{SpanRun, next_run};
use super::{Desk, Shared};
use crate::books::{Amount, Misrouted};
use crate::ids::{Offset, TraceId};
use crate::limited::Limited;
use crate::otlp::Scan;
use crate::source::Record;
use crate::trace::{Segment, Slot};

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
        check_key(shared, desk, record, found);
        self.resources.clear();
        self.resources.resize_with(found.resources.len(), Default::default);
        self.scopes.clear();
        self.scopes.resize(found.scopes.len(), None);
        let mut first = 0;
        while first < found.spans.len() {
            let run = next_run(&found.spans, first);
            first += run.spans.len();
            self.arrive_run(shared, desk, record.offset, value, found, &run);
        }
        let held = self.resources.drain(..).filter_map(|resource| resource.header);
        for header in held.chain(self.scopes.drain(..).flatten()) {
            self.headers.release(header);
        }
    }

    fn arrive_run(
        &mut self,
        shared: &Shared,
        desk: &mut Desk,
        offset: Offset,
        value: &[u8],
        found: &Scan,
        run: &SpanRun<'_>,
    ) {
        let id = run.trace_id();
        desk.tally.received.add(run.amount());
        let slot = match self.traces.find(id) {
            Some(slot) => slot,
            None => {
                let now = self.traces.clock();
                let ttl = self.in_force.decision_cache_ttl;
                let decided = shared.decided.get(self.partition, id, self.generation(), now, ttl);
                if let Some(decided) = decided {
                    let segment = self.hold_segment(value, found, run);
                    let framed = run.framed.of(value);
                    let (spans, late) = (run.amount(), &decided.decision);
                    self.arrive_late(shared, desk, offset, segment, framed, spans, late);
                    return;
                }
                let opened = Amount { traces: 1, ..Amount::default() };
                desk.tally.received.add(opened);
                desk.opened.add(opened);
                self.traces.open(id, self.watermark.pin(offset))
            }
        };
        desk.opened.add(run.amount());
        self.add_facts(slot, value, found, run);
        let segment = self.hold_segment(value, found, run);
        self.headers.hold_again(segment.resource);
        self.headers.hold_again(segment.scope);
        self.traces.append(slot, segment, run.framed.of(value), run.spans.len() as u32);
        if run.spans.iter().any(|span| span.is_root) {
            self.traces.root_received(slot);
        }
        if self.traces.is_at_cap(slot) {
            let trace = self.traces.take(slot);
            self.decide(shared, desk, &trace, crate::trace::Trigger::Size);
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
    fn hold_segment(&mut self, value: &[u8], found: &Scan, run: &SpanRun<'_>) -> Segment {
        let scope_index = run.spans[0].scope as usize;
        let scope = &found.scopes[scope_index];
        let headers = &mut self.headers;
        let pieces = |header: crate::span::Run| {
            header.of(&found.pieces).iter().map(move |piece| piece.of(value))
        };
        let resource_index = scope.resource as usize;
        let resource = &found.resources[resource_index];
        let held = &mut self.resources[resource_index].header;
        let resource = *held.get_or_insert_with(|| headers.hold(pieces(resource.header)));
        let held = &mut self.scopes[scope_index];
        let scope = *held.get_or_insert_with(|| headers.hold(pieces(scope.header)));
        Segment { resource, scope }
    }

    /// Spans whose trace is decided: they follow it.
    #[expect(clippy::too_many_arguments, reason = "what a late run is made of")]
    fn arrive_late(
        &mut self,
        shared: &Shared,
        desk: &mut Desk,
        offset: Offset,
        segment: Segment,
        framed: &[u8],
        amount: Amount,
        decided: &Remembered,
    ) {
        match decided {
            Remembered::Dropped => desk.tally.late_dropped.add(amount),
            Remembered::Kept(kept) => {
                desk.tally.late_kept.add(amount);
                let pin = self.watermark.pin(offset);
                let segments = std::iter::once((segment, framed));
                let additions = shared.annotations.of(kept);
                self.forward(desk, pin, segments, &additions);
            }
        }
    }
}

/// Holds a record's key against the traces it carries.
fn check_key(shared: &Shared, desk: &mut Desk, record: &Record<'_>, found: &Scan) {
    let Some(first) = found.spans.first() else { return };
    let id = first.trace_id;
    let kind = match record.key {
        None => Misrouted::NullKey,
        Some(_) if found.spans.iter().any(|span| span.trace_id != id) => Misrouted::ManyTraces,
        Some(key) if key == id.as_bytes() || TraceId::from_hex(key) == Some(id) => return,
        Some(_) => Misrouted::ForeignKey,
    };
    desk.tally.misrouted[kind as usize] += 1;
    shared.keying.misrouted(kind);
}

/// What is said, once in a while, about records that are not keyed as they should be.
#[derive(Debug)]
pub struct Keying {
    misrouted: Limited,
}

impl Default for Keying {
    fn default() -> Self {
        Self { misrouted: Limited::new(Duration::from_secs(60)) }
    }
}

impl Keying {
    fn misrouted(&self, kind: Misrouted) {
        if let Some(left_out) = self.misrouted.allow() {
            warn!(
                kind = kind.label(),
                left_out,
                "records.misrouted: the topic is not keyed by trace id, so the spans of a trace \
                 lie in several partitions and are judged apart; set `partition_traces_by_id: \
                 true` on the Collector's Kafka exporter, or key the records by the trace id as \
                 32 lower-case hexadecimal digits"
            );
        }
    }
}
