//! What the tests of the exporter share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::*;

/// A chunk of one span and one trace, with `size` bytes that name its pin.
pub(super) fn chunk(pin: u64, size: usize) -> Chunk {
    let bytes = vec![u8::try_from(pin % 256).unwrap(); size];
    Chunk {
        bytes: Bytes::from(bytes),
        spans: 1,
        traces: 1,
        ticket: ticket(pin),
    }
}

pub(super) fn ticket(pin: u64) -> Ticket {
    Ticket {
        partition: Partition(3),
        generation: Generation(1),
        pin: Pin(pin),
        worker: 0,
    }
}

/// A fence whose current generation can be moved on.
pub(super) struct TestFence(pub(super) AtomicU64);

impl Default for TestFence {
    fn default() -> Self {
        Self(AtomicU64::new(1))
    }
}

impl Fence for TestFence {
    fn is_current(&self, _partition: Partition, generation: Generation) -> bool {
        generation.0 == self.0.load(Ordering::Relaxed)
    }
}

/// The sink of one worker, and the end where its acks arrive.
pub(super) fn ack_channel() -> (AckSink, mpsc::UnboundedReceiver<Vec<Ack>>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let sink: AckSink = Box::new(move |acks| {
        // The test may be over and no longer listen.
        let _ = sender.send(acks);
    });
    (sink, receiver)
}

/// The next `count` acks as (pin, outcome), sorted by pin.
pub(super) async fn acks(
    receiver: &mut mpsc::UnboundedReceiver<Vec<Ack>>,
    count: usize,
) -> Vec<(u64, Outcome)> {
    let mut acks = Vec::new();
    while acks.len() < count {
        let batch = receiver.recv().await.unwrap();
        acks.extend(batch.iter().map(|ack| (ack.ticket.pin.0, ack.outcome)));
    }
    assert_eq!(acks.len(), count, "too many acks: {acks:?}");
    acks.sort_by_key(|(pin, _)| *pin);
    acks
}

/// A list that tests and callbacks share.
pub(super) type Log<T> = Arc<Mutex<Vec<T>>>;
