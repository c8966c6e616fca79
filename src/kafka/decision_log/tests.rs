use std::time::Duration;

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::testing::dropped;
use super::*;
use crate::ids::Generation;

const PARTITION: Partition = Partition(1);

fn cluster() -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("decisions", 2, 1).unwrap();
    cluster
}

fn start(brokers: &str, group_id: &str) -> (DecisionLog, mpsc::Receiver<LogEvent>) {
    let settings = DecisionLogSettings {
        topic: "decisions".into(),
        brokers: brokers.into(),
        group_id: group_id.into(),
        client_id: "test".into(),
        properties: Vec::new(),
        index: None,
    };
    let (sender, events) = mpsc::channel();
    let sender = Mutex::new(sender);
    let sink: LogSink = Box::new(move |event| drop(sender.lock().unwrap().send(event)));
    (DecisionLog::start(&settings, vec![sink]).unwrap(), events)
}

fn origin(generation: u64) -> Origin {
    Origin { worker: 0, partition: PARTITION, generation: Generation(generation) }
}

fn ticket(generation: u64, sequence: u64) -> LogTicket {
    LogTicket { origin: origin(generation), sequence }
}

fn recorded(trace: u8, delivered: bool) -> DecisionRecord {
    let first = i64::from(trace);
    DecisionRecord { delivered, ..dropped(trace, first, first + 5) }
}

/// Reads the log of a partition back; the decisions, and where the log was read from.
fn read_back(
    log: &DecisionLog,
    events: &mpsc::Receiver<LogEvent>,
    owner: u64,
    from: Option<i64>,
) -> (Vec<DecisionRecord>, Position) {
    log.read_back(origin(owner), OwnerId(owner), Topics::default(), from.map(Position));
    let mut all = Vec::new();
    loop {
        match events.recv_timeout(Duration::from_secs(30)).unwrap() {
            LogEvent::Decisions { decisions, origin: of } => {
                assert_eq!(of, origin(owner));
                all.extend(decisions);
            }
            LogEvent::ReadBack { from, .. } => return (all, from),
            LogEvent::Written(_) => {}
            event @ LogEvent::Unwritten { .. } => panic!("{event:?}"),
        }
    }
}

fn write(
    log: &DecisionLog,
    events: &mpsc::Receiver<LogEvent>,
    owner: u64,
    decisions: &[DecisionRecord],
) -> Vec<Written> {
    for (sequence, decision) in (0..).zip(decisions) {
        let batch = LogBatch::with(log.group(), OwnerId(owner), std::slice::from_ref(decision));
        log.append(ticket(owner, sequence), batch).unwrap();
    }
    let mut written = Vec::new();
    while written.len() < decisions.len() {
        match events.recv_timeout(Duration::from_secs(30)).unwrap() {
            LogEvent::Written(more) => written.extend(more),
            event => panic!("{event:?}"),
        }
    }
    written
}

#[test]
fn the_next_owner_is_told_what_was_decided() {
    let cluster = cluster();
    let (first, events) = start(&cluster.bootstrap_servers(), "shop");
    assert_eq!(read_back(&first, &events, 1, None), (vec![], Position(0)));
    let decisions = [recorded(1, false), recorded(2, false), recorded(1, true)];
    let written = write(&first, &events, 1, &decisions);
    let sequences: Vec<_> = written.iter().map(|it| it.ticket.sequence).collect();
    assert_eq!(sequences, [0, 1, 2]);
    assert_eq!(written[0].offset, Offset(1), "behind the record of the ownership");

    let (second, events) = start(&cluster.bootstrap_servers(), "shop");
    let (told, from) = read_back(&second, &events, 2, None);
    assert_eq!((told, from), (vec![recorded(1, true), recorded(2, false)], Position(0)));
    // Read again from a position: only what is there.
    let (told, from) = read_back(&second, &events, 3, Some(2));
    assert_eq!((told, from), (vec![recorded(2, false), recorded(1, true)], Position(2)));
}

#[test]
fn another_group_is_told_nothing() {
    let cluster = cluster();
    let (shop, events) = start(&cluster.bootstrap_servers(), "shop");
    read_back(&shop, &events, 1, None);
    write(&shop, &events, 1, &[recorded(1, false)]);
    let (bank, events) = start(&cluster.bootstrap_servers(), "bank");
    assert_eq!(read_back(&bank, &events, 2, None), (vec![], Position(0)));
}

#[test]
fn a_position_beyond_the_end_tells_nothing_and_does_not_wait() {
    let cluster = cluster();
    let (log, events) = start(&cluster.bootstrap_servers(), "shop");
    read_back(&log, &events, 1, None);
    write(&log, &events, 1, &[recorded(1, false)]);
    let (told, _) = read_back(&log, &events, 2, Some(2));
    assert_eq!(told, []);
}
