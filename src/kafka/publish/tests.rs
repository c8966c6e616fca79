use std::sync::{Mutex, mpsc};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use super::*;

#[derive(Default)]
struct Told {
    settled: Mutex<Vec<(u64, bool)>>,
}

impl DeliveryReports for Told {
    type Ticket = u64;

    fn settled(&self, ticket: u64, result: Result<(Partition, Offset), Failed<'_>>) {
        self.settled.lock().unwrap().push((ticket, result.is_ok()));
    }
}

fn outgoing<'a>(
    key: &'a [u8],
    value: &'a [u8],
    headers: &'a [(&'a str, &'a [u8])],
) -> Outgoing<'a> {
    Outgoing {
        topic: "out",
        partition: Some(Partition(1)),
        key: Some(key),
        value: Some(value),
        headers,
    }
}

#[test]
fn records_arrive_as_they_were_and_each_is_settled_once() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("out", 2, 1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let settings = PublisherSettings::new("test", &brokers, &[]);
    let publisher = Publisher::start(settings, Told::default()).unwrap();
    for number in 0..100_u64 {
        let key = number.to_be_bytes();
        let headers = [("reason", b"because".as_slice())];
        publisher.publish(&outgoing(&key, b"value", &headers), number).unwrap();
    }
    assert!(publisher.flush(Duration::from_secs(30)));
    let mut settled = publisher.reports().settled.lock().unwrap().clone();
    settled.sort_unstable();
    assert_eq!(settled, (0..100).map(|number| (number, true)).collect::<Vec<_>>());

    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &brokers)
        .set("group.id", "reader")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("out", 1, KafkaOffset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let message = loop {
        if let Some(message) = consumer.poll(Duration::from_secs(1)) {
            break message.unwrap();
        }
    };
    assert_eq!(
        (message.key(), message.payload()),
        (Some([0; 8].as_slice()), Some(b"value".as_slice()))
    );
    let header = message.headers().unwrap().get(0);
    assert_eq!((header.key, header.value), ("reason", Some(b"because".as_slice())));
}

#[test]
fn a_record_ends_the_rest_of_the_thread() {
    struct Teller(Mutex<mpsc::Sender<u64>>);

    impl DeliveryReports for Teller {
        type Ticket = u64;

        fn settled(&self, ticket: u64, _: Result<(Partition, Offset), Failed<'_>>) {
            self.0.lock().unwrap().send(ticket).unwrap();
        }
    }

    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("out", 2, 1).unwrap();
    let settings = PublisherSettings::new("test", &cluster.bootstrap_servers(), &[]);
    let (teller, told) = mpsc::channel();
    let an_hour = Duration::from_secs(3600);
    let publisher = Publisher::start_with(settings, Teller(Mutex::new(teller)), an_hour).unwrap();
    for number in 0..20 {
        publisher.publish(&outgoing(b"key", b"value", &[]), number).unwrap();
        assert_eq!(told.recv_timeout(Duration::from_secs(60)), Ok(number));
    }
}

/// Scenario: an ACL is missing for two attempts, and then for longer than a record may wait.
/// Guarantees: the record waits and is written; it fails with the ACL when its time is up, or at once for
/// those who try again themselves.
#[test]
fn what_the_user_may_not_write_waits_for_the_acl() {
    #[derive(Default)]
    struct Reasons(Mutex<Vec<Result<u64, String>>>);

    impl DeliveryReports for Reasons {
        type Ticket = u64;

        fn settled(&self, ticket: u64, result: Result<(Partition, Offset), Failed<'_>>) {
            let result = result.map(|_| ticket).map_err(|failed| failed.reason());
            self.0.lock().unwrap().push(result);
        }
    }

    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    let settle = |errors, message_timeout, waits_for_acls| {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("out", 2, 1).unwrap();
        cluster.request_errors(RDKafkaApiKey::Produce, &vec![denied; errors]);
        let settings = PublisherSettings::new("test", &cluster.bootstrap_servers(), &[]);
        let settings = PublisherSettings { message_timeout, waits_for_acls, ..settings };
        let publisher = Publisher::start(settings, Reasons::default()).unwrap();
        publisher.publish(&outgoing(b"key", b"value", &[("a", b"b")]), 7).unwrap();
        assert!(publisher.flush(Duration::from_secs(60)));
        assert_eq!(publisher.in_flight(), 0);
        publisher.reports().0.lock().unwrap().clone()
    };
    assert_eq!(settle(2, None, true), [Ok(7)]);
    let second = Some(Duration::from_secs(1));
    for failed in [settle(100, second, true), settle(1, second, false)] {
        let reason = failed[0].as_ref().unwrap_err();
        assert!(reason.contains("lacks the ACL Write on the topic out"), "{failed:?}");
        assert_eq!(failed.len(), 1, "it is settled once");
    }
}

#[test]
fn what_cannot_be_delivered_fails_and_a_full_queue_hands_back() {
    let mut settings = PublisherSettings::new("test", "127.0.0.1:1", &[]);
    settings.message_timeout = Some(Duration::from_millis(200));
    settings.queue_bytes = 4096;
    let publisher = Publisher::start(settings, Told::default()).unwrap();
    let value = [0; 1000];
    let mut taken = 0;
    let refused = loop {
        match publisher.publish(&outgoing(b"key", &value, &[]), taken) {
            Ok(()) => taken += 1,
            Err((refusal, ticket)) => break (refusal, ticket),
        }
    };
    assert!(matches!(refused, (Refusal::QueueFull, ticket) if ticket == taken));
    assert!(publisher.flush(Duration::from_secs(30)));
    let settled = publisher.reports().settled.lock().unwrap();
    assert_eq!(settled.len() as u64, taken);
    assert!(settled.iter().all(|(_, is_delivered)| !is_delivered));
}
