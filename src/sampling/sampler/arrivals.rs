//! The spans of a record, into their traces.

use super::sink::{FollowingSpans, Piece, ReopenedTrace, Sink};
use super::{Sampler, SpanRun, ask_resource, runs, summarize};
use crate::ids::Offset;
use crate::otlp::Scan;
use crate::sampling::decided::DecisionRecord;
use crate::sampling::policy::{Predicates, ResourceFacts};
use crate::sampling::trace::{HeaderId, Headers, Segment, Slot, Trigger};

/// A record of which it is known where its spans are.
#[derive(Clone, Copy, Debug)]
pub struct ScannedRecord<'a> {
    /// Its offset.
    pub offset: Offset,
    /// Those of its headers that go along with its spans wherever they go. The sampler does not look
    /// into them.
    pub forwarded: &'a [u8],
    /// Its value, as OTLP protobuf.
    pub bytes: &'a [u8],
    /// What a scan found in these bytes, which looked for the keys of
    /// [`Policies`](super::Policies).
    pub found: &'a Scan,
}

/// What is known of the record in hand: buffers that are used again from record to record.
#[derive(Debug, Default)]
pub(super) struct InHand {
    resources: Vec<ResourceInHand>,
    scopes: Vec<Option<HeaderId>>,
    /// Traces that it brought to a cap.
    at_cap: Vec<Slot>,
}

/// A resource of the record in hand, once something asked for it.
#[derive(Debug, Default)]
struct ResourceInHand {
    header: Option<HeaderId>,
    facts: Option<ResourceFacts>,
}

impl Sampler {
    /// Takes in the spans of a record. The clock was advanced to its time before.
    pub fn take_in(&mut self, record: &ScannedRecord<'_>, sink: &mut impl Sink) {
        let found = record.found;
        let InHand { resources, scopes, .. } = &mut self.in_hand;
        resources.clear();
        resources.resize_with(found.resources.len(), Default::default);
        scopes.clear();
        scopes.resize(found.scopes.len(), None);
        for run in runs(&found.spans) {
            self.take_in_run(record, &run, sink);
        }
        self.decide_at_cap(sink);
        let InHand { resources, scopes, .. } = &mut self.in_hand;
        let held = resources.drain(..).filter_map(|resource| resource.header);
        for header in held.chain(scopes.drain(..).flatten()) {
            self.headers.release(header);
        }
    }

    fn take_in_run(&mut self, record: &ScannedRecord<'_>, run: &SpanRun<'_>, sink: &mut impl Sink) {
        let (id, offset) = (run.trace_id(), record.offset);
        if let Some(recorded) = self.memory.covering(id, offset).cloned() {
            let segment = self.in_hand.segment(&mut self.headers, record, run);
            sink.read_again(self.following(record, run, segment, recorded));
            return;
        }
        let slot = match self.traces.find(id) {
            Some(slot) => slot,
            None => {
                let (now, ttl) = (self.traces.clock(), self.policies.decision_cache_ttl);
                if let Some(recorded) = self.memory.followed(id, offset, now, ttl) {
                    if let Some(kept) = self.reopen(record, run, &recorded, sink) {
                        let (dropped, recorded) = (recorded, kept);
                        sink.reopened(ReopenedTrace { run, now, dropped, recorded });
                        return;
                    }
                    let segment = self.in_hand.segment(&mut self.headers, record, run);
                    sink.late(self.following(record, run, segment, recorded));
                    return;
                }
                self.traces.open(id, offset, sink.opened(offset))
            }
        };
        sink.added(run);
        let predicates = self.policies.set.predicates();
        let facts = self.in_hand.facts(predicates, record, run);
        let spans = run.first..run.first + run.spans.len();
        let summary = &mut self.traces.get_mut(slot).summary;
        summarize(predicates, facts, record.bytes, record.found, spans, summary);
        let segment = self.in_hand.segment(&mut self.headers, record, run);
        self.headers.hold_again(segment.resource);
        self.headers.hold_again(segment.scope);
        self.traces.append(slot, offset, segment, run.framed.of(record.bytes), run.count());
        let root = run.spans.iter().find(|span| span.is_root);
        let named = root.unwrap_or(&run.spans[0]);
        self.traces.name_by(slot, named.name.within(run.framed), root.is_some());
        if root.is_some() {
            self.traces.root_received(slot);
        }
        if self.traces.is_at_cap(slot) && !self.in_hand.at_cap.contains(&slot) {
            self.in_hand.at_cap.push(slot);
        }
    }

    fn following<'a>(
        &'a self,
        record: &ScannedRecord<'a>,
        run: &'a SpanRun<'a>,
        segment: Segment,
        recorded: DecisionRecord,
    ) -> FollowingSpans<'a> {
        let (offset, now) = (record.offset, self.traces.clock());
        let piece = Piece::new(&self.headers, segment, run.framed.of(record.bytes));
        FollowingSpans { run, offset, now, piece, recorded }
    }

    /// Decides the traces that the record brought to a cap: once it was taken in, so that a
    /// decision covers whole records.
    fn decide_at_cap(&mut self, sink: &mut impl Sink) {
        for place in 0..self.in_hand.at_cap.len() {
            let trace = self.traces.take(self.in_hand.at_cap[place]);
            self.decide(&trace, Trigger::Size, sink);
        }
        self.in_hand.at_cap.clear();
    }
}

impl InHand {
    /// What the resource of a run says to the policies.
    pub(super) fn facts(
        &mut self,
        predicates: &Predicates,
        record: &ScannedRecord<'_>,
        run: &SpanRun<'_>,
    ) -> &ResourceFacts {
        let ScannedRecord { bytes, found, .. } = *record;
        let resource = found.scopes[run.spans[0].scope as usize].resource as usize;
        let facts = &mut self.resources[resource].facts;
        facts.get_or_insert_with(|| ask_resource(predicates, bytes, found, resource))
    }

    /// The interned headers of a run, held until the record is done with.
    fn segment(
        &mut self,
        headers: &mut Headers,
        record: &ScannedRecord<'_>,
        run: &SpanRun<'_>,
    ) -> Segment {
        let ScannedRecord { forwarded, bytes, found, .. } = *record;
        let scope_index = run.spans[0].scope as usize;
        let scope = &found.scopes[scope_index];
        let pieces = |header: crate::otlp::span::Run| {
            header.of(&found.pieces).iter().map(move |piece| piece.of(bytes))
        };
        let resource_index = scope.resource as usize;
        let resource = &found.resources[resource_index];
        let held = &mut self.resources[resource_index].header;
        let resource = *held
            .get_or_insert_with(|| headers.hold_with_forwarded(forwarded, pieces(resource.header)));
        let held = &mut self.scopes[scope_index];
        let scope = *held.get_or_insert_with(|| headers.hold(pieces(scope.header)));
        Segment { resource, scope }
    }
}
