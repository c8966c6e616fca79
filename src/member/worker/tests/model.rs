//! One partition through many owners, against a model that looks everything over.
//!
//! The topic, the decision log and the backend are lists here. What happens, and in which order, is
//! drawn: records come in, the log and the backend answer or do not, owners hand over, crash, or go
//! on for a while when they are owners no more.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::{Span, TracesData};
use proptest::prelude::*;
use prost::Message;

use super::bench;
use crate::export::Chunk;
use crate::ids::{Offset, Partition, Position, Timestamp, TraceId};
use crate::kafka::decision_log::testing::{ByHand, read_back};
use crate::kafka::decision_log::{GroupHash, LogBatch, LogEntry, LogTicket};
use crate::kafka::keep_request::KeepRequest;
use crate::kafka::source::{CaughtUp, CommitMetadata, OwnershipTable, Record};
use crate::member::rereader::telling;
use crate::member::worker::context::Context;
use crate::member::worker::partition::PartitionState;
use crate::member::worker::{ActivePolicies, PartAnew, ReadAnew};
use crate::retrieval::{Entry, dropped};
use crate::sampling::decided::{DecisionRecord, SamplingDecision};
use crate::sampling::policy::{self, ReopenSpec};
use crate::sampling::sampler::Policies;
use crate::sampling::trace::{Limits, Trigger};
use crate::telemetry::accounts::Counts;

const TRACES: u8 = 5;
const GROUP: &str = "shop";
/// A span with this much text is larger than a request may be.
const LARGE: usize = 2000;
const MAX_CHUNK: usize = 1000;
const LIMITS: Limits = Limits {
    decision_wait: Duration::from_secs(5),
    decision_wait_after_root_received: Duration::from_secs(1),
    maximum_trace_spans: 8,
    maximum_trace_size: 1 << 20,
};

/// What a span of a record is like.
#[derive(Clone, Copy, Debug)]
struct Kind {
    trace: u8,
    is_root: bool,
    is_error: bool,
    is_large: bool,
}

#[derive(Clone, Debug)]
enum Step {
    /// A record is produced, so much later than the last one, or earlier.
    Produce {
        millis: i64,
        spans: Vec<Kind>,
    },
    Read(u8),
    /// The wall clock carries a quiet partition on.
    Quiet {
        millis: i64,
    },
    /// The log writes records, in order.
    Write(u8),
    /// The log did not take a record; or it did, and that is not known.
    Unwritten {
        is_written: bool,
    },
    /// The backend takes a chunk and says so.
    Take(u8),
    /// It takes one, and the answer is lost.
    TakeUntold(u8),
    /// It never will take one.
    Refuse(u8),
    /// A re-opened trace is read again.
    ReadAgain,
    /// Somebody looks on the log whether something of a trace was dropped, and will ask for it then;
    /// or will ask for it without a look.
    Ask {
        trace: u8,
        is_blind: bool,
    },
    /// What they ask for comes to be on the topic.
    Send,
    Commit,
    HandOver,
    Crash,
    /// A record of an owner that was superseded arrives on the log.
    ZombieWrites,
    /// The backend takes a chunk of an owner that was superseded.
    ZombieDelivers(u8),
}

fn kind() -> impl Strategy<Value = Kind> {
    (0..TRACES, prop::bool::weighted(0.3), prop::bool::weighted(0.3), prop::bool::weighted(0.1))
        .prop_map(|(trace, is_root, is_error, is_large)| Kind {
            trace,
            is_root,
            is_error,
            is_large,
        })
}

fn step() -> impl Strategy<Value = Step> {
    let spans = prop::collection::vec(kind(), 1..4);
    prop_oneof![
        12 => (-500..3000_i64, spans).prop_map(|(millis, spans)| Step::Produce { millis, spans }),
        12 => (1..4_u8).prop_map(Step::Read),
        1 => (0..8000_i64).prop_map(|millis| Step::Quiet { millis }),
        8 => (1..4_u8).prop_map(Step::Write),
        1 => any::<bool>().prop_map(|is_written| Step::Unwritten { is_written }),
        7 => any::<u8>().prop_map(Step::Take),
        1 => any::<u8>().prop_map(Step::TakeUntold),
        1 => any::<u8>().prop_map(Step::Refuse),
        3 => Just(Step::ReadAgain),
        4 => Just(Step::Commit),
        1 => Just(Step::HandOver),
        2 => Just(Step::Crash),
        2 => Just(Step::ZombieWrites),
        2 => any::<u8>().prop_map(Step::ZombieDelivers),
    ]
}

fn step_or_request() -> impl Strategy<Value = Step> {
    let ask = (0..TRACES, prop::bool::weighted(0.1));
    prop_oneof![
        12 => step(),
        1 => ask.prop_map(|(trace, is_blind)| Step::Ask { trace, is_blind }),
        1 => Just(Step::Send),
    ]
}

/// A record of the topic.
#[derive(Debug)]
struct Produced {
    timestamp: Timestamp,
    value: Vec<u8>,
    /// The header that asks for a trace.
    keep: Option<Vec<u8>>,
}

/// A span of the topic, and what became of it.
#[derive(Debug)]
struct Sent {
    trace: u8,
    offset: Offset,
    /// It is larger than a request may be, or the backend refused it.
    is_given_up: bool,
    /// By whom it was delivered.
    delivered_by: Vec<usize>,
}

/// A record on the decision log.
#[derive(Debug)]
struct OnLog {
    line: LogBatch,
    /// It was written by who was the owner then.
    is_by_owner: bool,
    /// Where the marker of that owner is.
    marker: usize,
}

/// The decision that the model believes in.
#[derive(Clone, Debug)]
struct Stands {
    decision: SamplingDecision,
    last: Offset,
    trigger: Trigger,
    /// An owner said so, or took it over.
    is_owners: bool,
}

struct Owner {
    number: usize,
    ctx: Context,
    state: PartitionState,
    /// Where the log stood when it began.
    marker: usize,
    committed: Position,
    at_backend: Vec<Chunk>,
    read: usize,
}

impl Owner {
    fn committable(&mut self) -> (Position, CommitMetadata) {
        self.state.publish(&mut self.ctx);
        self.state.acquisition.committable()
    }
}

/// What the policies are like.
#[derive(Clone, Copy, Debug)]
struct Rules {
    ttl: Duration,
    /// Late errors re-open dropped traces.
    reopens: bool,
}

struct World {
    group: GroupHash,
    rules: Rules,
    records: Vec<Produced>,
    /// Requests that are not on the topic yet.
    asked: VecDeque<KeepRequest>,
    clock: i64,
    wall: i64,
    sent: Vec<Sent>,
    log: Vec<OnLog>,
    stands: HashMap<(TraceId, Offset), Stands>,
    /// Which records hold spans of a trace, as entries of the log list them.
    found: HashSet<(TraceId, Offset)>,
    committed: (Position, CommitMetadata),
    owner: Owner,
    owners: usize,
    zombie_lines: VecDeque<LogBatch>,
    zombie_chunks: Vec<(usize, Chunk)>,
    /// Spans that the backend has taken without saying so.
    untold: HashSet<usize>,
    /// Spans that were delivered when nothing was under way any more, not to the log either: they
    /// are not delivered again.
    settled: HashSet<usize>,
}

fn active(Rules { ttl, reopens }: Rules) -> ActivePolicies {
    let policies = [
        bench::attribute("all", "kept", "yes"),
        bench::limited("some", 2),
        bench::errors("errors"),
    ];
    let mut policies = policy::compile(&policies).unwrap();
    if reopens {
        let spec = ReopenSpec { policies: vec!["errors".into()], max_traces_per_second: 100_000 };
        policies = policies.reopening(&spec).unwrap();
    }
    ActivePolicies::new(Policies::new(policies, LIMITS, ttl), "hash".to_owned())
}

fn owner(number: usize, committed: (Position, CommitMetadata), rules: Rules) -> Owner {
    let mut shared = bench::shared(active(rules));
    shared.log = Some(Arc::new(ByHand(GroupHash::of(GROUP))));
    shared.max_chunk_bytes = MAX_CHUNK;
    let active = shared.policies.get();
    let ctx = Context::new(Arc::new(shared), active);
    let start = committed.0;
    let acquisition = OwnershipTable::default().acquire_for_test(Partition(0), start);
    let state = PartitionState::new(&ctx, (0, Partition(0), acquisition), committed, 1);
    let read = usize::try_from(start.0).unwrap();
    Owner { number, ctx, state, marker: 0, committed: start, at_backend: Vec::new(), read }
}

fn id(trace: u8) -> TraceId {
    bench::id(trace + 1)
}

impl World {
    fn new(rules: Rules) -> Self {
        let committed = (Position(0), CommitMetadata::default());
        let owner = owner(0, committed, rules);
        let mut world = Self {
            group: GroupHash::of(GROUP),
            rules,
            records: Vec::new(),
            asked: VecDeque::new(),
            clock: 1_000_000,
            wall: 1_000_000,
            sent: Vec::new(),
            log: Vec::new(),
            stands: HashMap::new(),
            found: HashSet::new(),
            committed,
            owner,
            owners: 1,
            zombie_lines: VecDeque::new(),
            zombie_chunks: Vec::new(),
            untold: HashSet::new(),
            settled: HashSet::new(),
        };
        world.take_over();
        world
    }

    /// True if no decision is ever forgotten.
    fn remembers(&self) -> bool {
        self.rules.ttl > Duration::from_secs(3600)
    }

    /// The owner puts its ownership on record and reads the log back.
    fn take_over(&mut self) {
        let line = LogBatch::marker(self.group, self.owner.state.owner);
        self.owner.marker = self.log.len();
        self.log.push(OnLog { line, is_by_owner: true, marker: self.owner.marker });
        // What stands now the owner goes by.
        self.stands.values_mut().for_each(|stands| stands.is_owners = true);
        let from = self.committed.1.log.unwrap_or(Position(0));
        let from = usize::try_from(from.0).unwrap();
        assert!(from < self.log.len(), "the log is read from what is on it");
        let lines = self.log[from..self.owner.marker].iter().map(|it| &it.line);
        let from = Position(from as i64);
        let (decisions, markers) = read_back(self.group, from, lines);
        let Owner { ctx, state, .. } = &mut self.owner;
        state.learn(ctx, &decisions);
        state.settlement.recording.read_back(from, &markers);
    }

    fn succeed(&mut self) {
        let fresh = owner(self.owners, self.committed, self.rules);
        let mut old = std::mem::replace(&mut self.owner, fresh);
        old.state.abandon(&mut old.ctx);
        self.check_accounts(&old);
        self.owners += 1;
        if self.remembers() {
            // Else one owner may have forgotten, by the wall clock, what another one follows; who
            // is believed then depends on when the line arrives, and either is right.
            self.zombie_lines.extend(old.ctx.outbox.batches.into_iter().map(|(_, line)| line));
        }
        let number = old.number;
        self.zombie_chunks.extend(old.at_backend.into_iter().map(|chunk| (number, chunk)));
        self.untold.clear();
        self.take_over();
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Produce { millis, spans } => self.produce(*millis, spans),
            Step::Read(count) => (0..*count).for_each(|_| self.read()),
            Step::Quiet { millis } => self.quiet(*millis),
            Step::Write(count) => (0..*count).for_each(|_| self.write()),
            Step::Unwritten { is_written } => self.unwritten(*is_written),
            Step::Take(which) => self.take(*which),
            Step::TakeUntold(which) => self.take_untold(*which),
            Step::Refuse(which) => self.refuse(*which),
            Step::ReadAgain => self.read_again(),
            Step::Ask { trace, is_blind } => self.ask(*trace, *is_blind),
            Step::Send => self.send(),
            Step::Commit => self.commit(),
            Step::HandOver => {
                self.write_and_deliver();
                self.commit();
                self.succeed();
            }
            Step::Crash => self.succeed(),
            Step::ZombieWrites => {
                if let Some(line) = self.zombie_lines.pop_front() {
                    self.append(line);
                }
            }
            Step::ZombieDelivers(which) => {
                if !self.zombie_chunks.is_empty() {
                    let which = usize::from(*which) % self.zombie_chunks.len();
                    let (number, chunk) = self.zombie_chunks.swap_remove(which);
                    self.land(number, &chunk, true);
                }
            }
        }
        self.collect();
        self.close();
        self.settle();
        self.check_accounts(&self.owner);
        let position = self.owner.committable().0;
        self.check_position(position);
    }

    fn produce(&mut self, millis: i64, spans: &[Kind]) {
        self.clock += millis;
        self.wall = self.wall.max(self.clock);
        let offset = Offset(self.records.len() as i64);
        let mut made = Vec::new();
        for kind in spans {
            let number = self.sent.len() as u64;
            let span = if kind.is_root { bench::root } else { bench::span };
            let mut span: Span = span(kind.trace + 1);
            span.span_id = (number + 1).to_be_bytes().to_vec();
            if kind.is_error {
                span = bench::failed(span);
            }
            if kind.trace == 0 {
                span = bench::with(span, "kept", "yes");
            }
            if kind.is_large {
                span = bench::with(span, "text", &"x".repeat(LARGE));
            }
            made.push(span);
            let (trace, is_given_up) = (kind.trace, kind.is_large);
            self.sent.push(Sent { trace, offset, is_given_up, delivered_by: Vec::new() });
        }
        let (timestamp, value) = (Timestamp(self.clock), bench::record("shop", made));
        self.records.push(Produced { timestamp, value, keep: None });
    }

    fn ask(&mut self, trace: u8, is_blind: bool) {
        let (group, trace_id) = (self.group, id(trace));
        let entries = self.entries(trace_id, 0);
        let earliest = entries.iter().map(|entry| Position(entry.offset.0)).min();
        let was_dropped = !dropped(&entries, Partition(0), Offset(i64::MAX)).entries.is_empty();
        if was_dropped || is_blind {
            let log = earliest.unwrap_or(Position(0));
            self.asked.push_back(KeepRequest { group, trace_id, log });
        }
    }

    fn send(&mut self) {
        let Some(request) = self.asked.pop_front() else { return };
        let keep = Some(request.to_string().into_bytes());
        let timestamp = Timestamp(self.clock);
        self.records.push(Produced { timestamp, value: Vec::new(), keep });
    }

    fn read(&mut self) {
        let Owner { ctx, state, read, .. } = &mut self.owner;
        let Some(Produced { timestamp, value, keep }) = self.records.get(*read) else { return };
        let record = Record {
            offset: Offset(*read as i64),
            timestamp: *timestamp,
            key: None,
            value: Some(value.as_slice()),
            attempts: 0,
            headers: b"",
            keep: keep.as_deref(),
        };
        state.take_in(ctx, &record);
        *read += 1;
        self.collect();
    }

    fn quiet(&mut self, millis: i64) {
        let Owner { ctx, state, read, .. } = &mut self.owner;
        if *read < self.records.len() {
            return;
        }
        self.wall += millis;
        let quiet = CaughtUp {
            partition: Partition(0),
            generation: state.origin.generation,
            position: Position(*read as i64),
            at: Timestamp(self.wall),
        };
        state.caught_up(ctx, &quiet);
        self.collect();
    }

    fn collect(&mut self) {
        let Owner { ctx, state, at_backend, .. } = &mut self.owner;
        state.sampler.forget_old();
        at_backend.extend(ctx.outbox.chunks.drain(..).map(|outbound| outbound.chunk));
    }

    /// A line comes to be on the log. Returns where.
    fn append(&mut self, line: LogBatch) -> Offset {
        let offset = Offset(self.log.len() as i64);
        let (writer, decisions) = line.decisions(self.group).expect("owners write decisions");
        let is_by_owner = writer == self.owner.state.owner;
        decisions.iter().for_each(|recorded| self.believe(recorded, is_by_owner));
        self.find(&line);
        self.log.push(OnLog { line, is_by_owner, marker: self.owner.marker });
        offset
    }

    /// Takes note where the spans are that the entries tell of first.
    fn find(&mut self, line: &LogBatch) {
        for LogEntry { record, details } in line.entries() {
            let Some(details) = details else { continue };
            for offset in details.records.listed().expect("a trace has few records") {
                let is_there =
                    |sent: &Sent| id(sent.trace) == record.trace_id && sent.offset == offset;
                assert!(self.sent.iter().any(is_there), "{record:?} has no spans at {offset:?}");
                self.found.insert((record.trace_id, offset));
            }
        }
    }

    fn believe(&mut self, recorded: &DecisionRecord, is_by_owner: bool) {
        let DecisionRecord { trace_id, decision, first, last, .. } = recorded;
        let key = (*trace_id, *first);
        let new = Stands {
            decision: decision.clone(),
            last: *last,
            trigger: recorded.trigger,
            is_owners: is_by_owner,
        };
        match self.stands.get_mut(&key) {
            Some(old) if old.is_owners && is_by_owner => {
                assert_eq!(old.decision, *decision, "{key:?} is judged twice");
                old.last = old.last.max(*last);
            }
            Some(old) if old.is_owners => {}
            _ => drop(self.stands.insert(key, new)),
        }
    }

    fn decisions(&self, on_log: &OnLog) -> Vec<DecisionRecord> {
        on_log.line.decisions(self.group).map_or(Vec::new(), |(_, decisions)| decisions)
    }

    /// What was decided since the last time goes to the log together.
    fn close(&mut self) {
        let Owner { ctx, state, .. } = &mut self.owner;
        state.settlement.recording.close_batch(&mut ctx.outbox);
    }

    fn pop_line(&mut self) -> Option<(LogTicket, LogBatch)> {
        self.owner.ctx.outbox.batches.pop_front()
    }

    fn write(&mut self) {
        let Some((ticket, line)) = self.pop_line() else { return };
        let offset = self.append(line);
        let Owner { ctx, state, .. } = &mut self.owner;
        let clock = state.sampler.clock();
        state.settlement.logged(ticket.sequence, offset, clock, &mut ctx.outbox);
        self.collect();
    }

    /// Until there is nothing more to write or to deliver.
    fn write_and_deliver(&mut self) {
        self.close();
        while !self.owner.ctx.outbox.batches.is_empty()
            || !self.owner.at_backend.is_empty()
            || !self.owner.ctx.outbox.read_again.is_empty()
        {
            self.write();
            self.read_again();
            self.take(0);
            self.close();
        }
    }

    /// The entries of the log on a trace that count.
    fn entries(&self, trace: TraceId, from: usize) -> Vec<Entry> {
        let lines = (0..).map(Offset).zip(&self.log).skip(from);
        let entries = lines.flat_map(|(offset, OnLog { line, is_by_owner, marker })| {
            line.entries().into_iter().map(move |LogEntry { record, details }| Entry {
                partition: Partition(0),
                offset,
                marker: Some(Offset(*marker as i64)),
                by_former_owner: !is_by_owner,
                record,
                details,
            })
        });
        let mut entries: Vec<Entry> =
            entries.filter(|entry| entry.record.trace_id == trace).collect();
        let is_decision =
            |entry: &&Entry| entry.details.as_ref().is_some_and(|details| !details.is_late());
        let by_owners = entries.iter().filter(|it| !it.by_former_owner).filter(is_decision);
        let by_owners: HashSet<Offset> = by_owners.map(|entry| entry.record.first).collect();
        entries.retain(|it| !it.by_former_owner || !by_owners.contains(&it.record.first));
        entries
    }

    /// Reads a re-opened trace again, from the records that the log lists for it.
    fn read_again(&mut self) {
        let Some(asked) = self.owner.ctx.outbox.read_again.pop_front() else { return };
        let entries = self.entries(asked.trace_id, usize::try_from(asked.log.0).unwrap());
        let late = (asked.late.0 > 0).then_some(asked.last.0);
        let mut offsets: BTreeSet<i64> = late.into_iter().collect();
        for entry in telling(&entries, &asked) {
            if let Some(details) = entry.details {
                offsets.extend(details.records.listed().unwrap().map(|offset| offset.0));
            }
        }
        let parts = offsets.range(..=asked.last.0).map(|offset| {
            let value = &*self.records[*offset as usize].value;
            let mut request = TracesData::decode(value).expect("it was made here");
            for scope in request.resource_spans.iter_mut().flat_map(|it| &mut it.scope_spans) {
                scope.spans.retain(|span| span.trace_id == asked.trace_id.as_bytes());
            }
            PartAnew { forwarded: Vec::new(), bytes: request.encode_to_vec() }
        });
        let anew = ReadAnew { parts: parts.collect(), asked, is_incomplete: false };
        let Owner { ctx, state, .. } = &mut self.owner;
        state.deliver_anew(ctx, &anew);
        self.collect();
    }

    fn unwritten(&mut self, is_written: bool) {
        let Some((ticket, line)) = self.pop_line() else { return };
        if is_written {
            self.append(line.clone());
        }
        self.owner.ctx.outbox.batches.push_back((ticket, line));
    }

    fn some_chunk(&self, which: u8) -> Option<usize> {
        let chunks = self.owner.at_backend.len();
        (chunks > 0).then(|| usize::from(which) % chunks)
    }

    fn take(&mut self, which: u8) {
        let Some(which) = self.some_chunk(which) else { return };
        let chunk = self.owner.at_backend.remove(which);
        self.land(self.owner.number, &chunk, false);
        let Owner { ctx, state, .. } = &mut self.owner;
        state.settlement.chunk_settled(chunk.ticket.delivery, &mut ctx.outbox);
        self.collect();
    }

    fn take_untold(&mut self, which: u8) {
        let Some(which) = self.some_chunk(which) else { return };
        let chunk = self.owner.at_backend[which].clone();
        self.land(self.owner.number, &chunk, false);
        self.untold.extend(spans_of(&chunk));
    }

    fn refuse(&mut self, which: u8) {
        let Some(which) = self.some_chunk(which) else { return };
        let chunk = self.owner.at_backend.remove(which);
        for span in spans_of(&chunk) {
            self.sent[span].is_given_up = true;
        }
        let Owner { ctx, state, .. } = &mut self.owner;
        state.settlement.chunk_settled(chunk.ticket.delivery, &mut ctx.outbox);
        self.collect();
    }

    /// Spans come to be at the backend.
    fn land(&mut self, by: usize, chunk: &Chunk, is_superseded: bool) {
        for span in spans_of(chunk) {
            let sent = &self.sent[span];
            let (trace, offset) = (id(sent.trace), sent.offset);
            let is_on_record = self.log.iter().flat_map(|it| self.decisions(it)).any(|recorded| {
                recorded.trace_id == trace
                    && (recorded.first <= offset || recorded.trigger.takes_back())
                    && recorded.decision != SamplingDecision::Dropped
            });
            assert!(is_on_record, "span {span} is delivered before it is on record as kept");
            if !sent.delivered_by.is_empty() && !is_superseded && !self.untold.contains(&span) {
                assert!(!sent.delivered_by.contains(&by), "span {span} is delivered twice by {by}");
                self.check_duplicate(span);
            }
            self.sent[span].delivered_by.push(by);
        }
    }

    fn settle(&mut self) {
        let Owner { ctx, state, at_backend, .. } = &self.owner;
        let is_idle = ctx.outbox.batches.is_empty() && at_backend.is_empty();
        if is_idle && state.settlement.all_is_recorded() {
            let spans = self.sent.iter().enumerate();
            let delivered = spans.filter(|(_, sent)| !sent.delivered_by.is_empty());
            let by_owner =
                delivered.filter(|(_, sent)| sent.delivered_by.contains(&self.owner.number));
            self.settled.extend(by_owner.map(|(span, _)| span));
        }
    }

    /// The owner may deliver again only what it could not know to be delivered.
    fn check_duplicate(&self, span: usize) {
        let (trace, offset) = (id(self.sent[span].trace), self.sent[span].offset);
        let by_owners = self.log[..self.owner.marker].iter().filter(|it| it.is_by_owner);
        let known = by_owners.flat_map(|it| self.decisions(it)).any(|recorded| {
            let of_what_was_dropped = || {
                self.reopened(&self.sent[span]).is_some_and(|(first, _)| first == recorded.first)
            };
            recorded.trace_id == trace
                && recorded.delivered
                && (recorded.first <= offset || of_what_was_dropped())
                && offset <= recorded.last
        });
        assert!(!known, "span {span} is delivered again, and was on record as delivered");
        assert!(!self.settled.contains(&span), "span {span} is delivered again, and was settled");
    }

    fn commit(&mut self) {
        let committable = self.owner.committable();
        assert!(committable.0 >= self.owner.committed, "what is committed never goes back");
        self.owner.committed = committable.0;
        self.check_position(committable.0);
        self.committed = committable;
    }

    /// Below `position` everything is decided, on record, and delivered.
    fn check_position(&self, position: Position) {
        for (number, sent) in self.sent.iter().enumerate() {
            if sent.offset.0 >= position.0 {
                continue;
            }
            let stands = self.standing(sent).unwrap_or_else(|| {
                panic!("span {number} of {position:?} is passed, and not on record")
            });
            if let Some((record, _)) = self.reopened(sent) {
                let is_delivered = !sent.delivered_by.is_empty() || sent.is_given_up;
                assert!(
                    is_delivered || record.0 >= position.0,
                    "span {number} was re-opened at {record:?}, which is passed, and not delivered"
                );
            }
            let is_delivered = !sent.delivered_by.is_empty() || sent.is_given_up;
            assert!(
                stands.decision == SamplingDecision::Dropped || is_delivered,
                "span {number} is passed, and not delivered"
            );
            // Late spans that were delivered are with the backends, whatever is on record.
            let is_found = self.found.contains(&(id(sent.trace), sent.offset));
            assert!(
                is_found || stands.decision != SamplingDecision::Dropped,
                "span {number} is dropped, and no entry lists its record"
            );
        }
    }

    /// The decision that a span follows: the latest of its trace that began before.
    fn standing(&self, sent: &Sent) -> Option<&Stands> {
        let of_trace = self
            .stands
            .iter()
            .filter(|((trace, first), _)| *trace == id(sent.trace) && *first <= sent.offset);
        of_trace.max_by_key(|((_, first), _)| *first).map(|(_, stands)| stands)
    }

    /// The decision that takes back what a span follows, if one did, and the record by which: the next one, if
    /// late spans made it, or any later one that somebody asked for.
    fn reopened(&self, sent: &Sent) -> Option<(Offset, &Stands)> {
        let of_trace = || self.stands.iter().filter(|((trace, _), _)| *trace == id(sent.trace));
        let dropped = of_trace()
            .filter(|((_, first), stands)| *first <= sent.offset && !stands.trigger.takes_back());
        let ((_, first), stands) = dropped.max_by_key(|((_, first), _)| *first)?;
        if stands.decision != SamplingDecision::Dropped {
            return None;
        }
        let later = || of_trace().filter(|((_, other), _)| other > first);
        let next = later().min_by_key(|((_, first), _)| *first);
        let by_late = next.filter(|(_, next)| next.trigger == Trigger::Late);
        let restored = later().filter(|(_, later)| later.trigger == Trigger::Restored);
        let restored = || restored.min_by_key(|((_, first), _)| *first);
        let ((_, record), taken_back) = by_late.or_else(restored)?;
        (sent.offset <= *record).then_some((*record, taken_back))
    }

    fn check_accounts(&self, owner: &Owner) {
        let Counts { received, policies, unwanted, late_kept, late_dropped, .. } =
            &owner.ctx.counting.counts;
        let decided: u64 = policies.iter().map(|it| it.kept.spans + it.dropped.spans).sum();
        let late = late_kept.spans + late_dropped.spans;
        let replayed: u64 = owner.ctx.counting.counts.replayed.iter().map(|it| it.spans).sum();
        let open = owner.ctx.counting.opened.spans - owner.ctx.counting.closed.spans;
        let revoked = owner.ctx.counting.counts.revoked.spans;
        let accounted = decided + unwanted.spans + late + replayed + open + revoked;
        assert_eq!(received.spans, accounted, "the accounts of owner {} balance", owner.number);
    }

    /// Everything is read, decided, written and delivered; then nothing may be missing.
    fn finish(mut self) {
        while let Some(line) = self.zombie_lines.pop_front() {
            self.append(line);
        }
        for _ in 0..2 {
            while self.owner.read < self.records.len() {
                self.read();
            }
            for _ in 0..3 {
                self.quiet(20_000);
                self.write_and_deliver();
            }
            self.commit();
            assert_eq!(self.committed.0, Position(self.records.len() as i64), "all is committed");
            assert!(self.owner.state.settlement.all_is_recorded(), "all is on record as delivered");
            self.succeed();
        }
        for (number, sent) in self.sent.iter().enumerate() {
            let stands = self.standing(sent).expect("every trace is on record");
            let stands = self.reopened(sent).map_or(stands, |(_, reopened)| reopened);
            let is_delivered = !sent.delivered_by.is_empty();
            if stands.decision == SamplingDecision::Dropped {
                let is_covered = self.remembers() || sent.offset <= stands.last;
                assert!(!(is_delivered && is_covered), "span {number} of a dropped trace leaves");
            } else {
                assert!(is_delivered || sent.is_given_up, "span {number} of a kept trace is lost");
            }
        }
    }
}

fn spans_of(chunk: &Chunk) -> Vec<usize> {
    let request = TracesData::decode(chunk.bytes.clone()).unwrap();
    let scopes = request.resource_spans.into_iter().flat_map(|it| it.scope_spans);
    let number = |span: Span| {
        let id = u64::from_be_bytes(span.span_id.try_into().unwrap());
        usize::try_from(id - 1).unwrap()
    };
    scopes.flat_map(|scope| scope.spans).map(number).collect()
}

fn run(ttl: Duration, reopens: bool, steps: &[Step]) {
    let mut world = World::new(Rules { ttl, reopens });
    steps.iter().for_each(|step| world.step(step));
    world.finish();
}

/// Scenario: a trace is asked for when the decision to drop it is not on record yet, and Kafka does not take
/// that at first; then the owner crashes.
/// Guarantees: the request is not on record before, as if the trace began there.
#[test]
fn a_request_waits_for_what_it_takes_back() {
    let span = Kind { trace: 1, is_root: true, is_error: false, is_large: false };
    let steps = [
        // More spans than there is budget for.
        Step::Produce { millis: 0, spans: vec![span; 3] },
        Step::Read(1),
        Step::Quiet { millis: 20_000 },
        Step::Ask { trace: 1, is_blind: true },
        Step::Send,
        Step::Read(1),
        Step::Unwritten { is_written: false },
        Step::Write(1),
        Step::Crash,
        Step::Read(2),
        Step::ReadAgain,
    ];
    run(Duration::from_secs(1_000_000), false, &steps);
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, ..ProptestConfig::with_cases(20_000) })]

    #[test]
    fn whatever_happens_the_promises_hold(steps in prop::collection::vec(step(), 1..120)) {
        run(Duration::from_secs(1_000_000), false, &steps);
    }

    #[test]
    fn whatever_is_asked_for_the_promises_hold(
        steps in prop::collection::vec(step_or_request(), 1..120),
        reopens in any::<bool>(),
    ) {
        run(Duration::from_secs(1_000_000), reopens, &steps);
    }

    #[test]
    fn whatever_is_asked_for_when_it_is_forgotten_the_promises_hold(
        steps in prop::collection::vec(step_or_request(), 1..120),
        reopens in any::<bool>(),
    ) {
        run(Duration::from_secs(6), reopens, &steps);
    }

    #[test]
    fn whatever_is_reopened_the_promises_hold(steps in prop::collection::vec(step(), 1..120)) {
        run(Duration::from_secs(1_000_000), true, &steps);
    }

    /// Traces that come again when they were forgotten are decided again.
    #[test]
    fn whatever_is_forgotten_the_promises_hold(steps in prop::collection::vec(step(), 1..120)) {
        run(Duration::from_secs(6), false, &steps);
    }

    #[test]
    fn whatever_is_forgotten_and_reopened_the_promises_hold(
        steps in prop::collection::vec(step(), 1..120),
    ) {
        run(Duration::from_secs(6), true, &steps);
    }
}
