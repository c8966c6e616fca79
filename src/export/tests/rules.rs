//! Retries, halves, fencing, bounds and shutdown, on a paused clock.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::Instant;
use tonic::Code;

use super::super::monitor::{PROBE_INTERVAL, QUIET};
use super::super::testing::{Harness, PAUSED_DAY, TestFence, ack_channel, acks, chunk, failure};
use super::super::transport::{Failure, Reply};
use super::super::*;

fn settings() -> ExportSettings {
    ExportSettings { max_request_bytes: 1024, ..ExportSettings::default() }
}

fn accept() -> Result<Reply, Failure> {
    Ok(Reply::default())
}

fn fail(code: Code) -> Result<Reply, Failure> {
    Err(failure(code))
}

#[tokio::test(start_paused = true)]
async fn chunks_of_one_interval_travel_in_one_request() {
    let mut harness = Harness::start(&settings(), |_, _| accept());
    for pin in 0..5 {
        harness.exporter.try_send(chunk(pin, 10)).unwrap();
    }
    let acks = harness.acks(5).await;
    assert!(acks.iter().all(|(_, outcome)| *outcome == Outcome::Delivered));
    assert_eq!(harness.sent().len(), 1);
    assert_eq!(harness.sent()[0].pins, [0, 1, 2, 3, 4]);
}

/// Scenario: a chunk waits for the decision log and for room, and its first attempts fail.
/// Guarantees: its delay is that from the decision until it is accepted, and counts once.
#[tokio::test(start_paused = true)]
async fn the_delay_is_that_from_the_decision_to_the_acceptance() {
    let answer = |_: &_, attempt| if attempt < 3 { fail(Code::Unavailable) } else { accept() };
    let mut harness = Harness::start(&settings(), answer);
    let since = Instant::now();
    tokio::time::advance(Duration::from_secs(20)).await;
    harness.exporter.try_send(Chunk { since, ..chunk(1, 10) }).unwrap();
    assert_eq!(harness.acks(1).await, [(1, Outcome::Delivered)]);
    let delay = since.elapsed().as_secs_f64();
    assert!(delay > 25.0, "{delay} has the waits before the attempts in it");
    harness.assert_metric("tailsieve_export_delay_seconds_count{exporter=\"default\"} 1");
    let sum = format!("tailsieve_export_delay_seconds_sum{{exporter=\"default\"}} {delay}");
    harness.assert_metric(&sum);
}

#[tokio::test(start_paused = true)]
async fn requests_stay_below_the_limit_and_nothing_is_left_behind() {
    let mut harness = Harness::start(&settings(), |_, _| accept());
    for pin in 0..100 {
        let size = 1 + usize::try_from(pin).unwrap() * 7 % 400;
        harness.exporter.try_send(chunk(pin, size)).unwrap();
    }
    assert_eq!(harness.acks(100).await.len(), 100);
    let sent = harness.sent();
    assert!(sent.iter().all(|sent| sent.bytes <= 1024));
    assert!(sent.len() < 40, "requests are not filled: {}", sent.len());
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_may_pass_is_retried_with_growing_waits() {
    for code in [
        Code::Cancelled,
        Code::DeadlineExceeded,
        Code::Aborted,
        Code::OutOfRange,
        Code::Unavailable,
        Code::DataLoss,
    ] {
        let mut settings = settings();
        settings.retry_on_failure.randomization_factor = 0.0;
        let mut harness = Harness::start(&settings, move |_, attempt| match attempt {
            1..=3 => fail(code),
            _ => accept(),
        });
        harness.exporter.try_send(chunk(1, 10)).unwrap();
        assert_eq!(harness.acks(1).await, [(1, Outcome::Delivered)]);
        let sent = harness.sent();
        let waits: Vec<_> = sent
            .windows(2)
            .map(|pair| pair[1].at.duration_since(pair[0].at).as_secs_f64())
            .collect();
        let near = |wait: f64, wanted: f64| (wait - wanted).abs() < 0.1;
        assert!(
            waits.len() == 3 && near(waits[0], 5.0) && near(waits[1], 7.5) && near(waits[2], 11.25),
            "{code:?}: {waits:?}"
        );
        harness.assert_metric("tailsieve_export_retries_total{exporter=\"default\"} 3");
    }
}

#[tokio::test(start_paused = true)]
async fn retry_info_says_when() {
    let mut harness = Harness::start(&settings(), |_, attempt| match attempt {
        1 => Err(Failure {
            retry_after: Some(Duration::from_secs(77)),
            ..failure(Code::ResourceExhausted)
        }),
        _ => accept(),
    });
    harness.exporter.try_send(chunk(1, 10)).unwrap();
    assert_eq!(harness.acks(1).await, [(1, Outcome::Delivered)]);
    let sent = harness.sent();
    let wait = sent[1].at.duration_since(sent[0].at);
    assert_eq!(wait.as_secs(), 77);
    assert!(harness.exporter.reachable());
}

#[tokio::test(start_paused = true)]
async fn one_bad_trace_does_not_cost_the_others() {
    let mut harness = Harness::start(&settings(), |sent, _| {
        let is_bad = sent.pins.iter().any(|pin| [3, 11].contains(pin));
        if is_bad { fail(Code::InvalidArgument) } else { accept() }
    });
    for pin in 0..16 {
        harness.exporter.try_send(chunk(pin, 10)).unwrap();
    }
    let delivered = harness.acks(14).await;
    assert!(delivered.iter().all(|(_, outcome)| *outcome == Outcome::Delivered));
    assert!(delivered.iter().all(|(pin, _)| ![3, 11].contains(pin)));
    // Others that are accepted are the evidence against the two.
    let mut refused = Vec::new();
    while refused.len() < 2 {
        harness.exporter.try_send(chunk(100, 10)).unwrap();
        let acks = harness.acks.recv().await.unwrap();
        let ended = acks.iter().filter(|ack| ack.outcome == Outcome::Refused);
        refused.extend(ended.map(|ack| ack.ticket.delivery.0));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    refused.sort_unstable();
    assert_eq!(refused, [3, 11]);
    harness
        .assert_metric("tailsieve_export_spans_total{exporter=\"default\",outcome=\"refused\"} 2");
}

#[tokio::test(start_paused = true)]
async fn max_elapsed_time_gives_up_and_zero_does_not() {
    let mut limited = settings();
    limited.retry_on_failure.max_elapsed_time = Duration::from_secs(60);
    let mut harness = Harness::start(&limited, |_, _| fail(Code::Unavailable));
    harness.exporter.try_send(chunk(1, 10)).unwrap();
    assert_eq!(harness.acks(1).await, [(1, Outcome::Refused)]);

    let start = Instant::now();
    let hours = Duration::from_secs(5 * 3600);
    let mut harness = Harness::start(&settings(), move |_, _| {
        if start.elapsed() < hours { fail(Code::Unavailable) } else { accept() }
    });
    harness.exporter.try_send(chunk(1, 10)).unwrap();
    assert_eq!(harness.acks(1).await, [(1, Outcome::Delivered)]);
}

#[tokio::test(start_paused = true)]
async fn an_old_generation_is_never_sent() {
    let mut harness = Harness::start(&settings(), |_, _| accept());
    let mut old = chunk(1, 10);
    old.ticket.origin.generation = Generation(0);
    harness.exporter.try_send(old).unwrap();
    harness.exporter.try_send(chunk(2, 10)).unwrap();
    assert_eq!(harness.acks(2).await, [(1, Outcome::Abandoned), (2, Outcome::Delivered)]);
    assert_eq!(harness.sent()[0].pins, [2]);
    harness.assert_metric(
        "tailsieve_export_spans_total{exporter=\"default\",outcome=\"abandoned\"} 1",
    );
}

#[tokio::test(start_paused = true)]
async fn a_generation_that_ends_during_the_retries_is_not_sent_again() {
    let mut harness = Harness::start(&settings(), |_, _| fail(Code::Unavailable));
    harness.exporter.try_send(chunk(1, 10)).unwrap();
    while harness.sent().is_empty() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    harness.fence.0.store(2, Ordering::Relaxed);
    assert_eq!(harness.acks(1).await, [(1, Outcome::Abandoned)]);
    assert_eq!(harness.sent().len(), 1);
}

/// Scenario: some pieces of a request were taken although the attempt failed.
/// Guarantees: those are settled and not sent again; the others are.
#[tokio::test(start_paused = true)]
async fn what_was_taken_of_a_failed_request_is_not_sent_again() {
    let mut harness = Harness::start(&settings(), |_, attempt| match attempt {
        1 => Err(Failure { taken: vec![0, 2], ..failure(Code::Unavailable) }),
        _ => accept(),
    });
    for pin in 0..4 {
        harness.exporter.try_send(chunk(pin, 10)).unwrap();
    }
    assert_eq!(harness.acks(2).await, [(0, Outcome::Delivered), (2, Outcome::Delivered)]);
    assert_eq!(harness.acks(2).await, [(1, Outcome::Delivered), (3, Outcome::Delivered)]);
    assert_eq!(harness.sent()[1].pins, [1, 3]);
}

/// Scenario: it is not known for a while whether the partition of a chunk is still held.
/// Guarantees: nothing is sent meanwhile; afterwards it is sent if the partition is held, else not;
/// chunks whose partition is known to be held do not wait for it.
#[tokio::test(start_paused = true)]
async fn a_suspended_chunk_waits_until_it_is_known_who_owns_it() {
    for (becomes, outcome) in [(1, Outcome::Delivered), (2, Outcome::Abandoned)] {
        let mut settings = settings();
        settings.retry_on_failure.max_elapsed_time = Duration::from_secs(60);
        let mut harness = Harness::start(&settings, |_, _| accept());
        harness.fence.0.store(0, Ordering::Relaxed);
        harness.exporter.try_send(chunk(1, 10)).unwrap();
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(harness.sent().len(), 0);
        assert!(harness.acks.try_recv().is_err());
        harness.fence.0.store(becomes, Ordering::Relaxed);
        assert_eq!(harness.acks(1).await, [(1, outcome)]);
        assert_eq!(harness.sent().len(), usize::from(becomes == 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_suspended_chunk_does_not_hold_up_the_others_of_its_request() {
    let mut harness = Harness::start(&settings(), |_, _| accept());
    let mut suspended = chunk(1, 10);
    suspended.ticket.origin.generation = TestFence::SUSPENDED;
    harness.exporter.try_send(suspended).unwrap();
    harness.exporter.try_send(chunk(2, 10)).unwrap();
    assert_eq!(harness.acks(1).await, [(2, Outcome::Delivered)]);
    assert_eq!(harness.sent()[0].pins, [2]);
}

#[tokio::test(start_paused = true)]
async fn the_ack_of_what_is_refused_carries_it() {
    let too_large = Failure { is_too_large: true, ..failure(Code::OutOfRange) };
    let mut harness = Harness::start(&settings(), move |_, _| Err(too_large.clone()));
    harness.exporter.try_send(chunk(7, 10)).unwrap();
    let acks = tokio::time::timeout(PAUSED_DAY, harness.acks.recv()).await.unwrap().unwrap();
    let refusal = acks[0].refusal.as_deref().unwrap();
    assert_eq!(refusal.bytes, chunk(7, 10).bytes);
    assert_eq!((refusal.reason, &*refusal.message), ("OUT_OF_RANGE", "scripted"));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_a_request_is_settled_without_one() {
    let mut harness = Harness::start(&settings(), |_, _| accept());
    harness.exporter.try_send(chunk(1, 2000)).unwrap();
    harness.exporter.try_send(chunk(2, 0)).unwrap();
    assert_eq!(harness.acks(2).await, [(1, Outcome::Refused), (2, Outcome::Delivered)]);
    assert!(harness.sent().is_empty());
}

#[tokio::test(start_paused = true)]
async fn rejected_spans_are_counted_and_never_sent_again() {
    let mut harness = Harness::start(&settings(), |_, _| {
        Ok(Reply { rejected_spans: 2, message: "too old".to_owned() })
    });
    for pin in 0..5 {
        harness.exporter.try_send(chunk(pin, 10)).unwrap();
    }
    let acks = harness.acks(5).await;
    assert!(acks.iter().all(|(_, outcome)| *outcome == Outcome::Delivered));
    assert_eq!(harness.sent().len(), 1);
    harness
        .assert_metric("tailsieve_export_spans_total{exporter=\"default\",outcome=\"rejected\"} 2");
    harness.assert_metric(
        "tailsieve_export_spans_total{exporter=\"default\",outcome=\"delivered\"} 3",
    );
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_hands_chunks_back_until_the_backend_comes_back() {
    let mut settings = settings();
    settings.sending_queue.queue_size_bytes = 1000;
    let is_up = Arc::new(AtomicBool::new(false));
    let up = is_up.clone();
    let mut harness = Harness::start(&settings, move |_, _| {
        if up.load(Ordering::Relaxed) { accept() } else { fail(Code::Unavailable) }
    });
    for pin in 0..10 {
        harness.exporter.try_send(chunk(pin, 100)).unwrap();
    }
    let refused = harness.exporter.try_send(chunk(10, 100)).unwrap_err();
    harness.assert_metric("tailsieve_export_queue_bytes{exporter=\"default\"} 1000");
    harness.assert_metric("tailsieve_export_queue_capacity_bytes{exporter=\"default\"} 1000");

    let room = tokio::spawn({
        let exporter = harness.exporter.clone();
        async move { exporter.room(100).await }
    });
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(!room.is_finished());
    assert!(!harness.exporter.reachable());

    is_up.store(true, Ordering::Relaxed);
    room.await.unwrap();
    harness.exporter.try_send(refused).unwrap();
    assert_eq!(harness.acks(11).await.len(), 11);
    assert!(harness.exporter.reachable());
    harness.exporter.drain(Duration::from_secs(1)).await;
    harness.assert_metric("tailsieve_export_queue_bytes{exporter=\"default\"} 0");
    harness.assert_metric("tailsieve_export_in_flight_requests{exporter=\"default\"} 0");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_retried_does_not_hold_up_the_others() {
    let mut harness = Harness::start(&settings(), |sent, _| {
        if sent.pins.contains(&1) { fail(Code::Unavailable) } else { accept() }
    });
    harness.exporter.try_send(chunk(1, 10)).unwrap();
    while harness.sent().is_empty() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    harness.exporter.try_send(chunk(2, 10)).unwrap();
    assert_eq!(harness.acks(1).await, [(2, Outcome::Delivered)]);
}

#[tokio::test(start_paused = true)]
async fn acks_go_to_the_worker_that_sent_the_chunk() {
    let (sink, mut other_acks) = ack_channel();
    let mut harness = Harness::start_with(&settings(), vec![sink], |_, _| accept());
    let mut other = chunk(1, 10);
    other.ticket.origin.worker = 1;
    harness.exporter.try_send(other).unwrap();
    harness.exporter.try_send(chunk(2, 10)).unwrap();
    assert_eq!(harness.acks(1).await, [(2, Outcome::Delivered)]);
    assert_eq!(acks(&mut other_acks, 1, PAUSED_DAY).await, [(1, Outcome::Delivered)]);
    assert_eq!(harness.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn draining_sends_at_once_what_waits() {
    let mut settings = settings();
    settings.flush_interval = Duration::from_secs(3600);
    let mut harness = Harness::start(&settings, |_, _| accept());
    harness.exporter.try_send(chunk(1, 10)).unwrap();
    let start = Instant::now();
    assert_eq!(harness.exporter.drain(Duration::from_secs(10)).await, 0);
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!(harness.acks(1).await, [(1, Outcome::Delivered)]);
    assert!(harness.exporter.try_send(chunk(2, 10)).is_err());
}

#[tokio::test(start_paused = true)]
async fn draining_does_not_sit_out_a_backoff() {
    let mut harness = Harness::start(&settings(), |_, attempt| match attempt {
        1 => fail(Code::Unavailable),
        _ => accept(),
    });
    harness.exporter.try_send(chunk(1, 10)).unwrap();
    while harness.sent().is_empty() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(harness.exporter.drain(Duration::from_secs(1)).await, 0);
    assert_eq!(harness.acks(1).await, [(1, Outcome::Delivered)]);
}

#[tokio::test(start_paused = true)]
async fn draining_ends_at_the_deadline_and_leaves_no_false_ack() {
    let mut harness = Harness::start(&settings(), |_, _| fail(Code::Unavailable));
    harness.exporter.try_send(chunk(1, 10)).unwrap();
    harness.exporter.try_send(chunk(2, 10)).unwrap();
    assert_eq!(harness.exporter.drain(Duration::from_secs(10)).await, 2);
    assert!(harness.acks.try_recv().is_err());
    let attempts = harness.sent().len();
    assert!(attempts <= 3, "a drain is no tight loop: {attempts}");
}

#[tokio::test(start_paused = true)]
async fn reachable_is_known_before_there_is_anything_to_send() {
    let harness = Harness::start(&settings(), |_, _| accept());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!harness.exporter.reachable());
    harness.assert_metric("tailsieve_export_up{exporter=\"default\"} 0");
    harness.listens.store(true, Ordering::Relaxed);
    while !harness.exporter.reachable() {
        tokio::time::sleep(PROBE_INTERVAL).await;
    }
    harness.assert_metric("tailsieve_export_up{exporter=\"default\"} 1");
}

/// Scenario: nothing is kept for a while, and the backend goes away meanwhile.
/// Guarantees: that is noticed; while there is traffic, requests without spans are few.
#[tokio::test(start_paused = true)]
async fn a_backend_that_goes_away_in_a_quiet_time_is_noticed() {
    let mut harness = Harness::start(&settings(), |_, _| accept());
    harness.listens.store(true, Ordering::Relaxed);
    for _ in 0..60 {
        harness.exporter.try_send(chunk(1, 10)).unwrap();
        harness.acks(1).await;
        assert!(harness.exporter.reachable());
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    assert!(harness.probes.load(Ordering::Relaxed) <= 1, "accepted traces say it all");
    harness.listens.store(false, Ordering::Relaxed);
    tokio::time::sleep(QUIET + 2 * PROBE_INTERVAL).await;
    assert!(!harness.exporter.reachable());
    assert_eq!(harness.exporter.trouble().unwrap(), "UNAVAILABLE: scripted");
    harness.listens.store(true, Ordering::Relaxed);
    tokio::time::sleep(2 * PROBE_INTERVAL).await;
    assert!(harness.exporter.reachable() && harness.exporter.trouble().is_none());
    let before = harness.probes.load(Ordering::Relaxed);
    tokio::time::sleep(10 * QUIET).await;
    assert!(harness.probes.load(Ordering::Relaxed) <= before + 10);
}

/// Scenario: traces go to tenants, and then nothing is kept for a while.
/// Guarantees: the backend is asked in the name of the tenant whose traces it took last.
#[tokio::test(start_paused = true)]
async fn in_a_quiet_time_the_backend_is_asked_as_it_was_sent_to_last() {
    let mut harness = Harness::start(&settings(), |_, _| accept());
    harness.listens.store(true, Ordering::Relaxed);
    for (pin, tenant) in [(1, "blue"), (2, "red")] {
        harness.exporter.try_send(Chunk { forwarded: tenant.into(), ..chunk(pin, 10) }).unwrap();
        harness.acks(1).await;
    }
    let before = harness.probed_forwarded.lock().unwrap().len();
    tokio::time::sleep(QUIET + 2 * PROBE_INTERVAL).await;
    let asked = harness.probed_forwarded.lock().unwrap()[before..].to_vec();
    assert!(!asked.is_empty() && asked.iter().all(|forwarded| forwarded == "red"), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_listens_but_takes_nothing_is_not_reachable() {
    let harness = Harness::start(&settings(), |_, _| fail(Code::Unavailable));
    harness.listens.store(true, Ordering::Relaxed);
    harness.exporter.try_send(chunk(1, 10)).unwrap();
    while harness.sent().is_empty() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(10 * PROBE_INTERVAL).await;
    assert!(!harness.exporter.reachable());
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_every_chunk_is_acknowledged_exactly_once() {
    let codes = [
        Code::Unavailable,
        Code::InvalidArgument,
        Code::Aborted,
        Code::Internal,
        Code::PermissionDenied,
        Code::DeadlineExceeded,
    ];
    let mut settings = settings();
    settings.sending_queue.queue_size_bytes = 5000;
    let mut harness = Harness::start(&settings, move |_, attempt| {
        // A fixed but irregular mixture of answers.
        match (attempt * attempt * 7 + attempt * 3) % 11 {
            index @ 0..6 => fail(codes[index]),
            _ => accept(),
        }
    });
    let count = 250;
    let sender = tokio::spawn({
        let exporter = harness.exporter.clone();
        async move {
            for pin in 0..count {
                let size = 1 + usize::try_from(pin).unwrap() * 31 % 1200;
                let mut chunk = chunk(pin, size);
                while let Err(back) = exporter.try_send(chunk) {
                    exporter.room(size).await;
                    chunk = back;
                }
            }
        }
    });
    let acks = harness.acks(count.try_into().unwrap()).await;
    sender.await.unwrap();
    let pins: Vec<_> = acks.iter().map(|(pin, _)| *pin).collect();
    assert_eq!(pins, (0..count).collect::<Vec<_>>());
    assert_eq!(harness.exporter.drain(Duration::from_secs(1)).await, 0);
    assert_eq!(harness.exporter.held_bytes(), 0);
    assert!(harness.acks.try_recv().is_err());
}
