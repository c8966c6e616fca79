//! Messages as librdkafka holds them, read where they lie, on another thread than that which polled them:
//! a worker needs no copy of what it reads once.
//!
//! rdkafka lends a message for as long as its consumer is borrowed, which no other thread can do. So a
//! message is kept together with a share in its consumer here, under a lifetime that is stretched:
//! hence the `unsafe`. A copy instead takes 7 % of all CPU time of a member. While messages are held,
//! librdkafka's buffers are, so they are held for as long as a batch waits for its worker and no longer.

#![allow(unsafe_code)]

use std::fmt;
use std::mem;
use std::sync::Arc;

use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaResult;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::util::Timeout;

use super::context::Context;

/// A client that is shared with those who hold its messages.
pub(super) type Client = Arc<BaseConsumer<Context>>;

/// A message that was just polled.
pub(super) struct Fetched<'a> {
    pub(super) message: BorrowedMessage<'a>,
    client: &'a Client,
}

impl Fetched<'_> {
    /// Bytes of key and value.
    pub(super) fn bytes(&self) -> usize {
        self.message.key_len() + self.message.payload_len()
    }
}

/// Polls a client.
pub(super) fn poll(client: &Client, wait: impl Into<Timeout>) -> Option<KafkaResult<Fetched<'_>>> {
    let polled = client.poll(wait)?;
    Some(polled.map(|message| Fetched { message, client }))
}

/// A message whose client is held elsewhere; see [`HeldMessages`].
struct Held(BorrowedMessage<'static>);

/// Messages of one client.
#[derive(Default)]
pub(super) struct HeldMessages {
    /// Declared, and so dropped, before the client that they belong to.
    messages: Vec<Held>,
    client: Option<Client>,
}

impl fmt::Debug for HeldMessages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldMessages").field("messages", &self.messages.len()).finish()
    }
}

impl HeldMessages {
    /// Holds one more message; returns its place.
    ///
    /// # Panics
    /// If it is another client's.
    pub(super) fn push(&mut self, fetched: Fetched<'_>) -> usize {
        let Fetched { message, client } = fetched;
        let held = self.client.get_or_insert_with(|| Arc::clone(client));
        assert!(Arc::ptr_eq(held, client), "the messages of a batch are of one client");
        // Safety: the lifetime says that the client outlives the message. `self.client` sees to that: it
        // is the message's own client, is never replaced while there are messages, and is dropped
        // after them. Nothing lends a message for longer than `self` is borrowed.
        let message =
            unsafe { mem::transmute::<BorrowedMessage<'_>, BorrowedMessage<'static>>(message) };
        self.messages.push(Held(message));
        self.messages.len() - 1
    }

    /// Key and value of the message at a place.
    pub(super) fn get(&self, place: usize) -> (Option<&[u8]>, Option<&[u8]>) {
        let Held(message) = &self.messages[place];
        (message.key(), message.payload())
    }

    /// Lets go of all.
    pub(super) fn clear(&mut self) {
        self.messages.clear();
        self.client = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use rdkafka::consumer::Consumer as _;
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
    use rdkafka::{ClientConfig, Offset as KafkaOffset, TopicPartitionList};

    use super::super::batch::{About, RecordBatch, SpareBuffers};
    use super::super::tests::context;
    use super::*;
    use crate::ids::{Generation, Offset, Partition, Timestamp};

    const PATIENCE: Duration = Duration::from_secs(30);
    const MESSAGES: usize = 500;

    /// Keys and values: of all lengths, empty and null.
    fn contents() -> impl Iterator<Item = (Option<Vec<u8>>, Option<Vec<u8>>)> {
        let some = |length: usize, byte: usize| vec![byte as u8; length];
        (0..MESSAGES).map(move |number| {
            let key = (number % 3 > 0).then(|| some(number % 17, number));
            (key, (number % 5 > 0).then(|| some(7 * number, number + 1)))
        })
    }

    fn client_of_all(cluster: &MockCluster<'_, impl rdkafka::client::ClientContext>) -> Client {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", cluster.bootstrap_servers());
        let producer: BaseProducer = config.create().unwrap();
        for (key, value) in contents() {
            let mut record = BaseRecord::<[u8], [u8]>::to("spans");
            (record.key, record.payload) = (key.as_deref(), value.as_deref());
            assert!(producer.send(record).is_ok());
        }
        producer.flush(PATIENCE).unwrap();
        config.set("group.id", "nobody");
        let client: BaseConsumer<Context> = config.create_with_context(context().0).unwrap();
        let mut all = TopicPartitionList::new();
        all.add_partition_offset("spans", 0, KafkaOffset::Beginning).unwrap();
        client.assign(&all).unwrap();
        Arc::new(client)
    }

    /// Scenario: a worker reads what was fetched when nobody else has the client any more.
    /// Guarantees: it is what was written, as it lies there and as a copy.
    #[test]
    fn what_is_held_may_be_read_for_as_long_as_it_is_held() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("spans", 1, 1).unwrap();
        let client = client_of_all(&cluster);
        let mut batch = RecordBatch::new(Partition(0), Generation(1), &SpareBuffers::default());
        for number in 0..MESSAGES {
            let fetched = loop {
                if let Some(Ok(fetched)) = poll(&client, PATIENCE) {
                    break fetched;
                }
            };
            let (offset, timestamp) = (Offset(fetched.message.offset()), Timestamp(0));
            assert_eq!(offset, Offset(number as i64));
            let headers = &[b'h'; 20][..number % 20];
            let about = About { offset, timestamp, attempts: 0, headers, keep: None };
            batch.hold(about, fetched);
        }
        let (go, gone) = mpsc::channel::<()>();
        let worker = thread::spawn(move || {
            assert!(gone.recv().is_err(), "the sender is dropped");
            let read = |batch: &RecordBatch| {
                let owned = |bytes: &[u8]| bytes.to_vec();
                let of = |record: super::super::Record<'_>| {
                    (record.headers.len(), record.key.map(owned), record.value.map(owned))
                };
                (batch.size(), batch.records().map(of).collect::<Vec<_>>())
            };
            let held = read(&batch);
            let copied = read(&batch.copied());
            (held, copied)
        });
        drop(client);
        drop(go);
        let (held, copied) = worker.join().unwrap();
        assert_eq!(held, copied);
        let written = contents().enumerate();
        let written: Vec<_> =
            written.map(|(number, (key, value))| (number % 20, key, value)).collect();
        assert!(held.1 == written);
    }
}
