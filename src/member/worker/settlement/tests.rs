//! A settlement through whatever may happen, against a list of what has to be done.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::ids::{Generation, Partition};
use crate::kafka::decision_log::testing::dropped;
use crate::sampling::decided::{Kept, SamplingDecision};

const GROUP: &str = "shop";
const ORIGIN: Origin = Origin { worker: 1, partition: Partition(3), generation: Generation(7) };
/// The last record that each of some decisions covers which an earlier owner made.
const REPLAYED: [i64; 3] = [0, 4, 9];

/// What happens. Numbers say which one, among those that there are, and how many chunks.
#[derive(Clone, Debug)]
enum Step {
    Read { opens: usize, late: Vec<(u8, usize)>, replayed: Vec<(u8, usize)>, letters: usize },
    Drop(u8),
    Keep(u8, usize),
    Close,
    Log(u8),
    Settle(u8),
    SettleLetter(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let parts = || prop::collection::vec((any::<u8>(), 0..3_usize), 0..3);
    prop_oneof![
        6 => (0..3_usize, parts(), parts(), 0..2_usize).prop_map(
            |(opens, late, replayed, letters)| Step::Read { opens, late, replayed, letters }
        ),
        3 => any::<u8>().prop_map(Step::Drop),
        3 => (any::<u8>(), 0..3_usize).prop_map(|(which, chunks)| Step::Keep(which, chunks)),
        4 => Just(Step::Close),
        5 => any::<u8>().prop_map(Step::Log),
        8 => any::<u8>().prop_map(Step::Settle),
        2 => any::<u8>().prop_map(Step::SettleLetter),
    ]
}

/// Something that holds a record back until it is done.
#[derive(Debug)]
struct Task {
    offset: i64,
    /// The trace whose decision has to be on the log before.
    trace: Option<TraceId>,
    /// It is not decided yet.
    is_open: bool,
    /// Chunks or letters that are not settled.
    left: usize,
}

struct World {
    settlement: Settlement,
    outbox: Outbox,
    has_log: bool,
    next: i64,
    traces: u8,
    tasks: Vec<Task>,
    open: Vec<(DecisionRecord, Pin, usize)>,
    kept: Vec<DecisionRecord>,
    /// Batches that the log has, with their numbers, and has not acknowledged.
    appended: Vec<(u64, Vec<DecisionRecord>)>,
    logged: HashMap<TraceId, DecisionRecord>,
    /// The task of each chunk at the backends, and its delivery.
    at_backend: Vec<(usize, DeliveryId)>,
    letters: Vec<(usize, Waiter)>,
    /// How far what was kept is on record as delivered.
    delivered: HashMap<TraceId, Offset>,
}

fn pick<T>(of: &mut Vec<T>, which: u8) -> Option<T> {
    (!of.is_empty()).then(|| of.swap_remove(usize::from(which) % of.len()))
}

/// Chunks that name their task.
fn shipment(task: usize, chunks: usize) -> Shipment {
    let chunk = FramedChunk { bytes: vec![1], spans: task as u32 };
    let framed = || Framed { forwarded: Bytes::new(), chunk: chunk.clone() };
    let targets = Targets::of(&["one".to_owned()], &[]);
    let since = Instant::now();
    Shipment { since, targets, chunks: (0..chunks).map(|_| framed()).collect() }
}

fn letter() -> Letter {
    Letter::refused(ORIGIN.partition, b"", "", "", "")
}

fn keep(record: DecisionRecord) -> DecisionRecord {
    let threshold = crate::otlp::probability::Threshold::ALWAYS;
    let kept = Kept { policy: "all".into(), threshold, consistent: true };
    DecisionRecord { decision: SamplingDecision::Kept(kept), ..record }
}

impl World {
    fn new(has_log: bool) -> Self {
        let writer = has_log.then(|| (GroupHash::of(GROUP), OwnerId(1)));
        let begin = (Position(0), Timestamp(0));
        Self {
            settlement: Settlement::new(ORIGIN, writer, begin, Position(0)),
            outbox: Outbox::default(),
            has_log,
            next: 0,
            traces: 0,
            tasks: Vec::new(),
            open: Vec::new(),
            kept: Vec::new(),
            appended: Vec::new(),
            logged: HashMap::new(),
            at_backend: Vec::new(),
            letters: Vec::new(),
            delivered: HashMap::new(),
        }
    }

    fn task(&mut self, offset: i64, trace: Option<TraceId>, left: usize) -> usize {
        self.tasks.push(Task { offset, trace, is_open: false, left });
        self.tasks.len() - 1
    }

    /// The decision of an earlier owner that has this number.
    fn replayed(number: usize) -> DecisionRecord {
        keep(dropped(200 + number as u8, 0, REPLAYED[number]))
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Read { opens, late, replayed, letters } => {
                self.read(*opens, late, replayed, *letters);
            }
            Step::Drop(which) => {
                let Some((record, pin, task)) = pick(&mut self.open, *which) else { return };
                self.tasks[task].is_open = false;
                let decided = Decided { record: &record, details: None, pin };
                self.settlement.dropped(decided, &mut self.outbox);
            }
            Step::Keep(which, chunks) => {
                let Some((record, pin, task)) = pick(&mut self.open, *which) else { return };
                (self.tasks[task].is_open, self.tasks[task].left) = (false, *chunks);
                let record = keep(record);
                self.kept.push(record.clone());
                let decided = Decided { record: &record, details: None, pin };
                self.settlement.kept(decided, shipment(task, *chunks), &mut self.outbox);
            }
            Step::Close => self.settlement.recording.close_batch(&mut self.outbox),
            Step::Log(which) => {
                let Some((sequence, records)) = pick(&mut self.appended, *which) else { return };
                for record in records.into_iter().filter(|record| !record.delivered) {
                    self.logged.insert(record.trace_id, record);
                }
                let clock = Timestamp(0);
                self.settlement.logged(sequence, Offset(0), clock, &mut self.outbox);
            }
            Step::Settle(which) => {
                let Some((task, delivery)) = pick(&mut self.at_backend, *which) else { return };
                self.tasks[task].left -= 1;
                self.settlement.chunk_settled(delivery, &mut self.outbox);
            }
            Step::SettleLetter(which) => {
                let Some((task, waiter)) = pick(&mut self.letters, *which) else { return };
                self.tasks[task].left -= 1;
                self.settlement.letter_settled(waiter, &mut self.outbox);
            }
        }
        self.take_out();
        self.check();
    }

    fn read(
        &mut self,
        opens: usize,
        late: &[(u8, usize)],
        replayed: &[(u8, usize)],
        letters: usize,
    ) {
        let offset = self.next;
        self.next += 1;
        self.settlement.watermark.read(Offset(offset), Timestamp(0));
        for _ in 0..letters {
            let task = self.task(offset, None, 1);
            self.settlement.refused(Offset(offset), letter(), &mut self.outbox);
            let (_, ticket) = self.outbox.letters.pop_back().expect("there is a letter");
            self.letters.push((task, ticket.waiter));
        }
        for _ in 0..opens {
            self.traces += 1;
            let record = dropped(self.traces, offset, offset);
            let task = self.task(offset, Some(record.trace_id), 0);
            self.tasks[task].is_open = true;
            self.open.push((record, self.settlement.watermark.pin(Offset(offset)), task));
        }
        for (which, chunks) in late {
            let Some(at) = usize::from(*which).checked_rem(self.kept.len()) else { break };
            let record = self.kept[at].clone();
            let task = self.task(offset, Some(record.trace_id), *chunks);
            let shipment = shipment(task, *chunks);
            let late = LateSpans { offset: Offset(offset), spans: 1, bytes: 1 };
            self.settlement.late(record, &late, shipment, &mut self.outbox);
        }
        // Without a log nothing is known of earlier owners.
        let has_log = self.has_log;
        for (which, chunks) in replayed.iter().filter(|_| has_log) {
            let record = Self::replayed(usize::from(*which) % REPLAYED.len());
            if record.last.0 >= offset {
                self.logged.insert(record.trace_id, record.clone());
                let task = self.task(offset, Some(record.trace_id), *chunks);
                let shipment = shipment(task, *chunks);
                self.settlement.read_again(record, Offset(offset), shipment, &mut self.outbox);
            }
        }
        self.settlement.taken_in(&mut self.outbox);
    }

    /// What is handed on: to the backends, and to the log.
    fn take_out(&mut self) {
        for Outbound { chunk, .. } in self.outbox.chunks.drain(..) {
            let is_on_log = self.logged.contains_key(&chunk.trace_id);
            assert!(is_on_log || !self.has_log, "nothing leaves before its decision is on the log");
            assert_eq!(chunk.ticket.origin, ORIGIN);
            self.at_backend.push((chunk.spans as usize, chunk.ticket.delivery));
        }
        for (ticket, batch) in std::mem::take(&mut self.outbox.batches) {
            let (_, records) = batch.decisions(GroupHash::of(GROUP)).expect("it has decisions");
            records.iter().filter(|it| it.delivered).for_each(|record| self.put_on_record(record));
            self.appended.push((ticket.sequence, records));
        }
    }

    /// It is put on record that all up to the last record of the decision was delivered.
    fn put_on_record(&mut self, record: &DecisionRecord) {
        let of_trace = self.tasks.iter().filter(|task| task.trace == Some(record.trace_id));
        for task in of_trace.filter(|task| task.offset <= record.last.0) {
            assert_eq!(task.left, 0, "{record:?} is put on record before {task:?} is delivered");
        }
        let before = self.delivered.insert(record.trace_id, record.last);
        assert!(before.is_none_or(|last| last < record.last), "{record:?} is put on record twice");
    }

    fn check(&self) {
        let is_done = |task: &&Task| {
            let is_logged =
                !self.has_log || task.trace.is_none_or(|trace| self.logged.contains_key(&trace));
            !task.is_open && is_logged && task.left == 0
        };
        let held = self.tasks.iter().filter(|task| !is_done(task)).map(|task| task.offset).min();
        let position = self.settlement.watermark.committable().position;
        assert_eq!(position, Position(held.unwrap_or(self.next)));
    }

    /// Everything is decided, logged and settled.
    fn finish(mut self) {
        while self.settlement.under_way() > 0 || !self.open.is_empty() {
            for step in [Step::Keep(0, 1), Step::Close, Step::Log(0), Step::Settle(0)] {
                self.step(&step);
            }
            self.step(&Step::SettleLetter(0));
        }
        self.check();
        assert_eq!(self.settlement.watermark.committable().position, Position(self.next));
        for record in self.kept.iter().filter(|_| self.has_log) {
            assert!(self.delivered.contains_key(&record.trace_id), "{record:?} is not on record");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_record_is_held_back_until_all_is_done(
        has_log in prop::bool::weighted(0.8),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut world = World::new(has_log);
        steps.iter().for_each(|step| world.step(step));
        world.finish();
    }
}
