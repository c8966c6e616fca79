use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits {
    decision_wait: Duration::from_secs(30),
    decision_wait_after_root_received: Duration::from_secs(1),
    maximum_trace_spans: 5,
    maximum_trace_size: 1000,
};

fn id(n: u8) -> TraceId {
    TraceId::from_slice(&[n + 1; 16]).expect("not all zero")
}

/// A header that nobody looks up.
fn segment() -> Segment {
    let mut headers = Headers::default();
    let id = headers.hold([b"h".as_slice()].into_iter());
    Segment { resource: id, scope: id }
}

fn arrive(traces: &mut OpenTraces, n: u8, root: bool, bytes: usize) -> Slot {
    let slot = traces.find(id(n)).unwrap_or_else(|| traces.open(id(n), Offset(0), Pin(0)));
    traces.append(slot, Offset(0), segment(), &vec![0; bytes], 1);
    if root {
        traces.root_received(slot);
    }
    slot
}

#[test]
fn a_root_shortens_the_wait_and_never_lengthens_it() {
    for (root_at, due) in [(2_000, 3_000), (29_500, 30_000), (29_000, 30_000)] {
        let mut traces = OpenTraces::new(LIMITS);
        traces.advance_clock(Timestamp(0));
        arrive(&mut traces, 1, false, 10);
        traces.advance_clock(Timestamp(root_at));
        arrive(&mut traces, 1, true, 10);
        assert_eq!(traces.next_due(), Some(Timestamp(due)));
        traces.advance_clock(Timestamp(due - 1));
        assert!(traces.take_due().is_none());
        traces.advance_clock(Timestamp(due));
        let (trace, trigger) = traces.take_due().unwrap();
        assert_eq!(trace.summary.spans, 2);
        assert_eq!(trigger, if due == 30_000 { Trigger::Wait } else { Trigger::Root });
        assert!(traces.take_due().is_none() && traces.index.is_empty());
        assert_eq!(traces.cost(), 0);
    }
}

#[test]
fn an_old_record_waits_from_the_clock_not_from_its_own_time() {
    let mut traces = OpenTraces::new(LIMITS);
    traces.advance_clock(Timestamp(100_000));
    traces.advance_clock(Timestamp(40_000));
    arrive(&mut traces, 1, false, 10);
    assert_eq!(traces.next_due(), Some(Timestamp(130_000)));
}

#[test]
fn caps_count_spans_and_bytes() {
    let mut traces = OpenTraces::new(LIMITS);
    traces.advance_clock(Timestamp(0));
    for span in 1..=5 {
        let slot = arrive(&mut traces, 1, false, 1);
        assert_eq!(traces.is_at_cap(slot), span == 5);
    }
    let slot = arrive(&mut traces, 2, false, 999);
    assert!(!traces.is_at_cap(slot));
    let slot = arrive(&mut traces, 2, false, 1);
    assert!(traces.is_at_cap(slot));
}

#[test]
fn the_heaviest_are_those_with_the_largest_bytes_times_age() {
    let mut traces = OpenTraces::new(LIMITS);
    traces.advance_clock(Timestamp(0));
    arrive(&mut traces, 1, false, 10);
    arrive(&mut traces, 2, false, 500);
    traces.advance_clock(Timestamp(9_000));
    arrive(&mut traces, 3, false, 900);
    traces.advance_clock(Timestamp(10_000));
    let taken = traces.take_heaviest(600);
    let ids: Vec<TraceId> = taken.iter().map(|trace| trace.summary.trace_id).collect();
    assert_eq!(ids, [id(2)]);
    assert_eq!(traces.take_heaviest(u64::MAX).len(), 2);
    assert_eq!(traces.cost(), 0);
}

#[derive(Clone, Debug)]
struct Arrival {
    after: i64,
    trace: u8,
    root: bool,
    bytes: usize,
}

fn arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    let arrival = (-500..4_000i64, 0..6u8, prop::bool::weighted(0.2), 1..400usize);
    let arrival =
        arrival.prop_map(|(after, trace, root, bytes)| Arrival { after, trace, root, bytes });
    prop::collection::vec(arrival, 0..80)
}

/// What a trace looks like to someone who keeps everything and looks it all over each time.
#[derive(Clone, Debug, Default)]
struct Model {
    opened: i64,
    root: Option<i64>,
    spans: u32,
    bytes: usize,
}

impl Model {
    fn due(&self) -> (i64, Trigger) {
        let wait = self.opened + 30_000;
        match self.root {
            Some(root) if root + 1_000 < wait => (root + 1_000, Trigger::Root),
            _ => (wait, Trigger::Wait),
        }
    }
}

type Completed = (TraceId, Trigger, u32, i64);

fn reference(arrivals: &[Arrival]) -> Vec<Vec<Completed>> {
    let mut open: BTreeMap<u8, Model> = BTreeMap::new();
    let (mut clock, mut time) = (i64::MIN, 0);
    let mut steps = Vec::new();
    for arrival in arrivals {
        time += arrival.after;
        clock = clock.max(time);
        let mut step = Vec::new();
        let mut due: Vec<u8> = open.keys().copied().collect();
        due.retain(|n| open[n].due().0 <= clock);
        for n in due {
            let model = open.remove(&n).expect("listed");
            let (at, trigger) = model.due();
            step.push((id(n), trigger, model.spans, at));
        }
        let opened = Model { opened: clock, ..Model::default() };
        let model = open.entry(arrival.trace).or_insert(opened);
        model.spans += 1;
        model.bytes += arrival.bytes;
        if arrival.root {
            model.root = Some(model.root.unwrap_or(clock));
        }
        if model.spans >= 5 || model.bytes >= 1000 {
            step.push((id(arrival.trace), Trigger::Size, model.spans, clock));
            open.remove(&arrival.trace);
        }
        step.sort_by_key(|(id, ..)| *id);
        steps.push(step);
    }
    steps
}

fn real(arrivals: &[Arrival]) -> Vec<Vec<Completed>> {
    let mut traces = OpenTraces::new(LIMITS);
    let mut time = 0;
    let mut steps = Vec::new();
    for arrival in arrivals {
        time += arrival.after;
        traces.advance_clock(Timestamp(time));
        let mut step = Vec::new();
        let mut last = Timestamp(i64::MIN);
        while let Some(due) = traces.next_due() {
            let Some((trace, trigger)) = traces.take_due() else { break };
            assert!(due >= last, "earlier deadlines come first");
            last = due;
            step.push((trace.summary.trace_id, trigger, trace.summary.spans, due.0));
        }
        let slot = arrive(&mut traces, arrival.trace, arrival.root, arrival.bytes);
        if traces.is_at_cap(slot) {
            let trace = traces.take(slot);
            let clock = traces.clock().0;
            step.push((trace.summary.trace_id, Trigger::Size, trace.summary.spans, clock));
        }
        step.sort_by_key(|(id, ..)| *id);
        steps.push(step);
    }
    steps
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn completion_agrees_with_a_slow_reference(arrivals in arrivals()) {
        prop_assert_eq!(real(&arrivals), reference(&arrivals));
    }
}
