//! Is it the backend, or is it this request? Each answer, while all fails and while others pass.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::time::Instant;
use tonic::Code as Grpc;

use super::super::code::Code;
use super::super::testing::{Harness, Sent, TIMEOUT, chunk, failure};
use super::super::transport::{Failure, Reply};
use super::super::*;

/// Pins from here on are of traces that nothing is wrong with.
const GOOD: u64 = 100;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

type Answer = Result<Reply, Failure>;

fn settings() -> ExportSettings {
    settings_for(Code::Grpc(Grpc::Ok))
}

/// Settings of the protocol that has the code.
fn settings_for(code: Code) -> ExportSettings {
    let protocol = if matches!(code, Code::Grpc(_)) { Protocol::Grpc } else { Protocol::Http };
    let mut settings = ExportSettings { max_request_bytes: 1024, ..ExportSettings::of(protocol) };
    settings.retry_on_failure.refuse_after_attempts = 3;
    settings.retry_on_failure.refuse_after_time = Duration::from_secs(20);
    settings
}

/// Every code there is, in both protocols.
fn codes() -> Vec<Code> {
    let grpc = (1..=16).map(|code| Code::Grpc(Grpc::from_i32(code)));
    let statuses = [200, 301, 308, 400, 401, 403, 404, 405, 408, 415, 422, 429, 500, 501, 502, 503]
        .into_iter()
        .chain([504, 505, 520, 530]);
    grpc.chain(statuses.map(Code::Http)).collect()
}

fn is_bad(sent: &Sent) -> bool {
    sent.pins.iter().any(|pin| *pin < GOOD)
}

/// Fails with `code` whatever has a bad trace in it.
fn against_bad(code: Code) -> impl Fn(&Sent, usize) -> Answer + Send + Sync + 'static {
    move |sent, _| {
        if is_bad(sent) { Err(Failure::new(code, "told so")) } else { Ok(Reply::default()) }
    }
}

/// Sends a good trace each second until `count` acks of others came. Promises that none of the good
/// ones waits for long; returns how the others ended.
async fn among_others(harness: &mut Harness, count: usize) -> BTreeMap<u64, Outcome> {
    let (mut ended, mut pin) = (BTreeMap::new(), GOOD);
    loop {
        let sent_at = Instant::now();
        harness.exporter.try_send(chunk(pin, 10)).unwrap();
        let mut is_delivered = false;
        while !is_delivered {
            let acks = tokio::time::timeout(HOUR, harness.acks.recv()).await;
            for ack in acks.expect("a good trace is not delivered").unwrap() {
                let delivery = ack.ticket.delivery.0;
                if delivery == pin {
                    assert_eq!(ack.outcome, Outcome::Delivered);
                    is_delivered = true;
                } else {
                    ended.insert(delivery, ack.outcome);
                }
            }
        }
        assert!(sent_at.elapsed() < SECOND, "a good trace waited for {:?}", sent_at.elapsed());
        if ended.len() >= count {
            return ended;
        }
        tokio::time::sleep(SECOND).await;
        pin = GOOD + (pin + 1 - GOOD) % 100;
    }
}

/// Scenario: for five hours the backend answers all requests so, and then it is well again.
/// Guarantees: nothing is refused, the exporter is not reachable meanwhile, and the backend is asked
/// now and then.
#[tokio::test(start_paused = true)]
async fn while_nothing_is_accepted_nothing_is_refused_whatever_is_answered() {
    for code in codes() {
        let start = Instant::now();
        let mut harness = Harness::start(&settings_for(code), move |_, _| {
            let is_down = start.elapsed() < 5 * HOUR;
            if is_down { Err(Failure::new(code, "told so")) } else { Ok(Reply::default()) }
        });
        harness.listens.store(true, Ordering::Relaxed);
        for pin in 0..12 {
            harness.exporter.try_send(chunk(pin, 300)).unwrap();
        }
        tokio::time::sleep(4 * HOUR).await;
        assert!(!harness.exporter.reachable(), "{code:?}");
        let trouble = harness.exporter.trouble().unwrap();
        assert_eq!(trouble, format!("{}: told so", code.name()));
        let attempts = harness.sent().len();
        assert!((400..1000).contains(&attempts), "{code:?}: {attempts} attempts in four hours");
        let acks = harness.acks(12).await;
        assert!(acks.iter().all(|(_, outcome)| *outcome == Outcome::Delivered), "{code:?}");
        assert!(harness.exporter.reachable());
        assert!(start.elapsed() < 5 * HOUR + 60 * SECOND, "{code:?}: as soon as it is well");
    }
}

/// Scenario: one trace is answered so for ever, and others are accepted.
/// Guarantees: the others do not notice; the trace is refused, after the attempts and not before
/// the time of the settings, and ten times as many attempts if the code may pass.
#[tokio::test(start_paused = true)]
async fn while_others_are_accepted_one_trace_is_refused_whatever_is_answered() {
    for code in codes() {
        let start = Instant::now();
        let mut harness = Harness::start(&settings_for(code), against_bad(code));
        harness.exporter.try_send(chunk(1, 10)).unwrap();
        tokio::time::sleep(SECOND).await;
        let ended = among_others(&mut harness, 1).await;
        assert_eq!(ended, BTreeMap::from([(1, Outcome::Refused)]), "{code:?}");
        let attempts = harness.sent().iter().filter(|sent| is_bad(sent)).count();
        let wanted = match code {
            Code::Grpc(
                Grpc::Cancelled
                | Grpc::DeadlineExceeded
                | Grpc::Aborted
                | Grpc::OutOfRange
                | Grpc::Unavailable
                | Grpc::DataLoss
                | Grpc::ResourceExhausted,
            )
            | Code::Http(429 | 502 | 503 | 504) => 30..36,
            _ => 3..9,
        };
        assert!(wanted.contains(&attempts), "{code:?}: {attempts} attempts");
        assert!(start.elapsed() >= Duration::from_secs(20));
        assert!(harness.exporter.reachable(), "that was not the backend");
    }
}

/// Scenario: a trace that is answered so for ever has a quiet hour to itself, and then others come.
/// Guarantees: it is not refused before there is evidence, and then it is.
#[tokio::test(start_paused = true)]
async fn a_trace_at_fault_waits_until_others_show_that_it_is() {
    for code in [Code::Grpc(Grpc::InvalidArgument), Code::Http(400), Code::Http(503)] {
        let mut harness = Harness::start(&settings_for(code), against_bad(code));
        // What is accepted without spans is no evidence.
        harness.listens.store(true, Ordering::Relaxed);
        harness.exporter.try_send(chunk(1, 10)).unwrap();
        tokio::time::sleep(HOUR).await;
        assert!(harness.acks.try_recv().is_err(), "{code:?}");
        let ended = among_others(&mut harness, 1).await;
        assert_eq!(ended, BTreeMap::from([(1, Outcome::Refused)]), "{code:?}");
    }
}

/// Scenario: traces at fault are in one request with good ones, and nothing else is sent.
/// Guarantees: the good ones are delivered all the same.
#[tokio::test(start_paused = true)]
async fn what_was_in_one_request_with_a_trace_at_fault_is_delivered_without_it() {
    for code in [Code::Grpc(Grpc::Internal), Code::Http(400), Code::Http(401)] {
        let mut harness = Harness::start(&settings_for(code), against_bad(code));
        let pins = [100, 1, 101, 102, 103, 2, 104];
        for pin in pins {
            harness.exporter.try_send(chunk(pin, 10)).unwrap();
        }
        let acks = harness.acks(5).await;
        assert!(acks.iter().all(|(pin, outcome)| *pin >= GOOD && *outcome == Outcome::Delivered));
        assert_eq!(harness.sent()[0].pins, pins);
    }
}

/// Scenario: five traces are at fault, each in another way, some with `RetryInfo`.
/// Guarantees: no other one waits for them, with two consumers as with one.
#[tokio::test(start_paused = true)]
async fn five_traces_at_fault_stop_nobody() {
    for consumers in [1, 2] {
        let mut settings = settings();
        settings.sending_queue.num_consumers = consumers;
        let mut harness = Harness::start(&settings, |sent, _| {
            let told = |seconds| Some(Duration::from_secs(seconds));
            match sent.pins.iter().min() {
                Some(1) => Err(failure(Grpc::InvalidArgument)),
                Some(2) => {
                    Err(Failure { retry_after: told(3), ..failure(Grpc::ResourceExhausted) })
                }
                Some(3) => Err(failure(Grpc::DeadlineExceeded)),
                Some(4) => {
                    Err(Failure { retry_after: told(99_999_999_999), ..failure(Grpc::Unavailable) })
                }
                Some(5) => Err(failure(Grpc::Unauthenticated)),
                _ => Ok(Reply::default()),
            }
        });
        for pin in 1..=5 {
            harness.exporter.try_send(chunk(pin, 10)).unwrap();
            tokio::time::sleep(SECOND).await;
            among_others(&mut harness, 0).await;
            tokio::time::sleep(SECOND).await;
        }
        let ended = among_others(&mut harness, 5).await;
        assert!(ended.values().all(|outcome| *outcome == Outcome::Refused), "{ended:?}");
        assert_eq!(ended.len(), 5);
    }
}

/// Scenario: eight traces are at fault, the attempts of which hang until the time is over; others
/// come all the time.
/// Guarantees: the attempts of the eight never take the last consumer, so that others go at once;
/// with a single one, others have every second turn.
#[tokio::test(start_paused = true)]
async fn traces_that_hang_do_not_starve_others() {
    for (consumers, most) in [(4, SECOND), (2, SECOND), (1, 2 * TIMEOUT)] {
        let mut settings = settings();
        settings.sending_queue.num_consumers = consumers;
        settings.retry_on_failure.refuse_after_attempts = 1_000_000;
        let mut harness = Harness::start(&settings, |sent, _| {
            if is_bad(sent) { Err(Failure::timed_out()) } else { Ok(Reply::default()) }
        });
        for pin in 0..8 {
            harness.exporter.try_send(chunk(pin, 1000)).unwrap();
        }
        // Until each had its first attempt, and it is known that others pass.
        tokio::time::sleep(300 * SECOND).await;
        for round in 0..200 {
            let pin = GOOD + round % 100;
            let sent_at = Instant::now();
            harness.exporter.try_send(chunk(pin, 10)).unwrap();
            assert_eq!(harness.acks(1).await, [(pin, Outcome::Delivered)]);
            let waited = sent_at.elapsed();
            assert!(round < 10 || waited < most, "{consumers} consumers, {round}: {waited:?}");
            tokio::time::sleep(SECOND).await;
        }
        let bad = harness.sent().iter().filter(|sent| is_bad(sent)).count();
        assert!(bad > 24, "they are tried all the same: {bad}");
    }
}

/// Scenario: traces at fault take most of the queue, half of the evidence against them is there, and
/// no more of it comes.
/// Guarantees: those with half of the evidence are refused, and the exporter goes on.
#[tokio::test(start_paused = true)]
async fn a_queue_full_of_traces_at_fault_stops_nobody_for_good() {
    let mut settings = settings();
    settings.sending_queue.queue_size_bytes = 1000;
    settings.retry_on_failure.refuse_after_attempts = 100;
    let code = Code::Grpc(Grpc::InvalidArgument);
    let mut harness = Harness::start(&settings, against_bad(code));
    for pin in 0..9 {
        harness.exporter.try_send(chunk(pin, 100)).unwrap();
        tokio::time::sleep(SECOND).await;
    }
    // Evidence until each is suspect, and then nothing more of it.
    for _ in 0..2000 {
        // While all that was sent last failed, there may be no room for a moment.
        let _ = harness.exporter.try_send(chunk(GOOD, 10));
        tokio::time::sleep(SECOND).await;
    }
    let room = harness.exporter.room(500);
    tokio::time::timeout(HOUR, room).await.expect("it stands still for good");
    while let Ok(acks) = harness.acks.try_recv() {
        let wanted = |pin| if pin < GOOD { Outcome::Refused } else { Outcome::Delivered };
        assert!(acks.iter().all(|ack| ack.outcome == wanted(ack.ticket.delivery.0)));
    }
}

/// Scenario: the same, but nothing was ever accepted.
/// Guarantees: that is an outage, and nothing is refused.
#[tokio::test(start_paused = true)]
async fn a_queue_that_is_full_without_evidence_is_an_outage() {
    let mut settings = settings();
    settings.sending_queue.queue_size_bytes = 1000;
    let mut harness = Harness::start(&settings, against_bad(Code::Grpc(Grpc::InvalidArgument)));
    for pin in 0..10 {
        harness.exporter.try_send(chunk(pin, 100)).unwrap();
        tokio::time::sleep(SECOND).await;
    }
    tokio::time::sleep(HOUR).await;
    assert!(harness.acks.try_recv().is_err());
    assert!(!harness.exporter.reachable());
}

/// Scenario: the same five, with nothing else for an hour; then a good one comes.
/// Guarantees: it does not wait for them.
#[tokio::test(start_paused = true)]
async fn a_trace_that_comes_after_a_quiet_hour_of_failures_goes_at_once() {
    let mut harness = Harness::start(&settings(), against_bad(Code::Grpc(Grpc::Internal)));
    among_others(&mut harness, 0).await;
    for pin in 1..=5 {
        harness.exporter.try_send(chunk(pin, 10)).unwrap();
    }
    tokio::time::sleep(HOUR).await;
    let start = Instant::now();
    harness.exporter.try_send(chunk(GOOD, 10)).unwrap();
    assert_eq!(harness.acks(1).await, [(GOOD, Outcome::Delivered)]);
    assert!(start.elapsed() < SECOND, "it waited for {:?}", start.elapsed());
}

/// Scenario: one of three replicas answers nonsense for ten minutes; a request goes over another
/// connection than the one it failed over.
/// Guarantees: nothing is refused.
#[tokio::test(start_paused = true)]
async fn a_replica_that_answers_nonsense_costs_no_trace() {
    for code in [Grpc::Unknown, Grpc::Unimplemented, Grpc::Unauthenticated] {
        let start = Instant::now();
        let turn = AtomicUsize::new(0);
        let mut harness = Harness::start(&settings(), move |sent, _| {
            let next = || turn.fetch_add(1, Ordering::Relaxed) % 3;
            let mut over = next();
            if Some(over) == sent.not_over {
                over = next();
            }
            if over == 0 && start.elapsed() < 600 * SECOND {
                return Err(Failure { over: Some(over), ..failure(code) });
            }
            Ok(Reply::default())
        });
        for pin in 0..200 {
            harness.exporter.try_send(chunk(pin, 10)).unwrap();
            tokio::time::sleep(3 * SECOND).await;
        }
        let acks = harness.acks(200).await;
        assert!(acks.iter().all(|(_, outcome)| *outcome == Outcome::Delivered), "{code:?}");
    }
}

/// Scenario: for an hour two of three requests are turned away, as a limit on the rate does.
/// Guarantees: nothing is refused.
#[tokio::test(start_paused = true)]
async fn a_limit_on_the_rate_costs_no_trace() {
    let told = Some(SECOND);
    let limits = [
        Failure { retry_after: told, ..failure(Grpc::ResourceExhausted) },
        failure(Grpc::ResourceExhausted),
        Failure { retry_after: told, ..Failure::new(Code::Http(429), "slow down") },
    ];
    for limit in limits {
        let start = Instant::now();
        let settings = settings_for(limit.code);
        let settings =
            ExportSettings { retry_on_failure: settings::RetrySettings::default(), ..settings };
        let mut harness = Harness::start(&settings, move |_, attempt| {
            // Irregular, and the same each time.
            let is_lucky = attempt.wrapping_mul(2_654_435_761) % 1000 < 333;
            if is_lucky || start.elapsed() > HOUR {
                Ok(Reply::default())
            } else {
                Err(limit.clone())
            }
        });
        for pin in 0..200 {
            harness.exporter.try_send(chunk(pin, 100)).unwrap();
            tokio::time::sleep(18 * SECOND).await;
        }
        let acks = harness.acks(200).await;
        assert!(acks.iter().all(|(_, outcome)| *outcome == Outcome::Delivered));
    }
}

/// Scenario: a trace is too large for the backend, which says so clearly, and nothing else is sent.
/// Guarantees: it is refused after three attempts; what is said unclearly waits for evidence.
#[tokio::test(start_paused = true)]
async fn a_trace_that_is_clearly_too_large_is_refused_by_itself() {
    let clear = Failure { is_too_large: true, ..Failure::new(Code::Http(413), "too large") };
    let mut harness = Harness::start(&settings_for(clear.code), move |sent, _| {
        if sent.bytes > 500 { Err(clear.clone()) } else { Ok(Reply::default()) }
    });
    for (pin, size) in [(1, 600), (2, 200), (3, 200)] {
        harness.exporter.try_send(chunk(pin, size)).unwrap();
    }
    let delivered = [(2, Outcome::Delivered), (3, Outcome::Delivered)];
    assert_eq!(harness.acks(2).await, delivered);
    assert_eq!(harness.acks(1).await, [(1, Outcome::Refused)]);
    let alone = harness.sent().iter().filter(|sent| sent.pins == [1]).count();
    assert_eq!(alone, 3);
}

/// Scenario: the backend is away, with a long queue.
/// Guarantees: one request at a time asks for it, and when it is back the rest goes at once.
#[tokio::test(start_paused = true)]
async fn a_backend_that_is_away_is_asked_by_one_request_at_a_time() {
    let is_up = Arc::new(AtomicBool::new(false));
    let up = is_up.clone();
    let mut harness = Harness::start(&settings(), move |_, _| match up.load(Ordering::Relaxed) {
        true => Ok(Reply::default()),
        false => Err(failure(Grpc::Unavailable)),
    });
    for pin in 0..60 {
        harness.exporter.try_send(chunk(pin, 500)).unwrap();
    }
    tokio::time::sleep(HOUR).await;
    let sent = harness.sent();
    let late: Vec<_> = sent.iter().skip(4).collect();
    assert!(late.windows(2).all(|two| two[1].at - two[0].at >= SECOND), "one at a time");
    assert!(sent.len() < 300, "{} attempts in an hour", sent.len());
    is_up.store(true, Ordering::Relaxed);
    let start = Instant::now();
    assert_eq!(harness.acks(60).await.len(), 60);
    assert!(start.elapsed() < 46 * SECOND);
    let first = harness.sent()[sent.len()].at;
    assert!(harness.sent().last().unwrap().at - first < SECOND, "the rest goes at once");
}

/// Scenario: a partition is given up while its traces wait: to be sent again, in the queue, or for
/// as long as the backend asked for.
/// Guarantees: they are abandoned within moments, and not sent again.
#[tokio::test(start_paused = true)]
async fn what_waits_of_a_partition_that_was_given_up_is_abandoned_at_once() {
    let mut harness = Harness::start(&settings(), |_, _| {
        Err(Failure { retry_after: Some(HOUR), ..failure(Grpc::Unavailable) })
    });
    for pin in 0..20 {
        harness.exporter.try_send(chunk(pin, 500)).unwrap();
    }
    tokio::time::sleep(10 * SECOND).await;
    let attempts = harness.sent().len();
    let start = Instant::now();
    harness.fence.0.store(2, Ordering::Relaxed);
    let acks = harness.acks(20).await;
    assert!(acks.iter().all(|(_, outcome)| *outcome == Outcome::Abandoned));
    assert!(start.elapsed() <= 2 * SECOND);
    assert_eq!(harness.sent().len(), attempts);
    assert_eq!(harness.exporter.held_bytes(), 0);
}

/// Scenario: the exporter drains while a trace waits that is at fault, and another for the backend.
/// Guarantees: each has one more attempt, and no more than that before the next wait is over.
#[tokio::test(start_paused = true)]
async fn a_drain_ends_waits_for_one_more_attempt() {
    let mut harness = Harness::start(&settings(), against_bad(Code::Grpc(Grpc::Internal)));
    harness.exporter.try_send(chunk(1, 10)).unwrap();
    tokio::time::sleep(SECOND).await;
    among_others(&mut harness, 0).await;
    harness.exporter.try_send(chunk(GOOD, 10)).unwrap();
    assert_eq!(harness.acks(1).await, [(GOOD, Outcome::Delivered)]);
    tokio::time::sleep(SECOND).await;
    let bad = |harness: &Harness| harness.sent().iter().filter(|sent| is_bad(sent)).count();
    let before = bad(&harness);
    assert_eq!(harness.exporter.drain(Duration::from_millis(500)).await, 1);
    assert_eq!(bad(&harness), before + 1);
}

/// Scenario: `max_elapsed_time` is set and the backend is away.
/// Guarantees: what was sent once is given up when that is over, not only when it has its turn.
#[tokio::test(start_paused = true)]
async fn what_waits_is_given_up_in_time() {
    let mut settings = settings();
    settings.retry_on_failure.max_elapsed_time = Duration::from_secs(60);
    let start = Instant::now();
    let mut harness = Harness::start(&settings, |_, _| Err(failure(Grpc::Unavailable)));
    for pin in 0..4 {
        harness.exporter.try_send(chunk(pin, 1000)).unwrap();
    }
    let acks = harness.acks(4).await;
    assert!(acks.iter().all(|(_, outcome)| *outcome == Outcome::Refused));
    assert!(start.elapsed() < 120 * SECOND, "{:?}", start.elapsed());
}
