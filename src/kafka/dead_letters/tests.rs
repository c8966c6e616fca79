use metrics_exporter_prometheus::PrometheusBuilder;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::mocking::MockCluster;
use rdkafka::types::RDKafkaRespErr;
use tokio::sync::mpsc;

use std::time::SystemTime;

use super::*;
use crate::ids::Generation;

/// The header of a record that goes along with it.
fn tenant() -> Vec<u8> {
    let mut forwarded = Vec::new();
    record_headers::push(&mut forwarded, "X-Scope-OrgID", b"blue");
    forwarded
}

fn letter() -> Letter {
    Letter {
        kind: Kind::Record,
        reason: "malformed".to_owned(),
        message: "it is not OTLP protobuf: a field's tag is invalid".to_owned(),
        partition: Partition(3),
        offset: Some(Offset(42)),
        exporter: None,
        attempts: 1,
        key: Some(b"key".to_vec()),
        value: Some(b"\xff\x00value".to_vec()),
        forwarded: tenant(),
    }
}

fn ticket(pin: u64) -> LetterTicket {
    let origin = Origin { worker: 1, partition: Partition(3), generation: Generation(7) };
    LetterTicket { origin, waiter: Waiter::Record(Pin(pin)) }
}

struct World {
    brokers: String,
    letters: DeadLetters,
    told: mpsc::UnboundedReceiver<LetterTicket>,
}

fn start(
    cluster: &MockCluster<'_, impl rdkafka::client::ClientContext>,
    timeout: Duration,
) -> World {
    let brokers = cluster.bootstrap_servers();
    let (sender, told) = mpsc::unbounded_channel();
    let other: LetterSink = Box::new(|ticket| panic!("{ticket:?} is of another worker"));
    let mine: LetterSink = Box::new(move |ticket| {
        let _ = sender.send(ticket);
    });
    let settings = DeadLetterSettings { topic: "dead".to_owned(), message_timeout: timeout };
    let input = Input { brokers: &brokers, properties: &[], topic: "spans" };
    let letters = DeadLetters::start(&settings, input, vec![other, mine]).unwrap();
    World { brokers, letters, told }
}

fn first_record(brokers: &str) -> rdkafka::message::OwnedMessage {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", "reader");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut list = rdkafka::TopicPartitionList::new();
    list.add_partition_offset("dead", 0, rdkafka::Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    loop {
        if let Some(message) = consumer.poll(Duration::from_secs(1)) {
            return message.unwrap().detach();
        }
    }
}

#[test]
fn a_letter_is_the_record_with_why_and_from_where() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("dead", 1, 1).unwrap();
    let mut world = start(&cluster, Duration::from_secs(30));
    world.letters.try_send(&letter(), ticket(5)).unwrap();
    assert_eq!(world.told.blocking_recv(), Some(ticket(5)));
    let written = first_record(&world.brokers);
    assert_eq!(written.key(), letter().key.as_deref());
    assert_eq!(written.payload(), letter().value.as_deref());
    let text = |value: Option<&[u8]>| String::from_utf8(value.unwrap().to_vec()).unwrap();
    let headers: Vec<_> =
        written.headers().unwrap().iter().map(|it| (it.key.to_owned(), text(it.value))).collect();
    let time = &headers.iter().find(|(key, _)| key == "tailsieve.timestamp").unwrap().1;
    assert!(humantime::parse_rfc3339(time).is_ok(), "{time}");
    let expected = [
        ("tailsieve.kind", "record"),
        ("tailsieve.reason", "malformed"),
        ("tailsieve.message", "it is not OTLP protobuf: a field's tag is invalid"),
        ("tailsieve.topic", "spans"),
        ("tailsieve.partition", "3"),
        ("tailsieve.offset", "42"),
        ("tailsieve.timestamp", time),
        ("tailsieve.version", env!("CARGO_PKG_VERSION")),
        ("tailsieve.attempts", "2"),
        ("X-Scope-OrgID", "blue"),
    ];
    assert_eq!(headers, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
}

#[test]
fn what_a_backend_refused_names_the_exporter_and_no_offset() {
    let letter = Letter::refused(Partition(1), b"spans", "tempo", "INVALID_ARGUMENT", "no");
    let headers = letter.headers("spans", SystemTime::UNIX_EPOCH);
    let get = |key| headers.iter().find(|(name, _)| *name == key).map(|(_, it)| it.as_str());
    assert_eq!(get("tailsieve.kind"), Some("refused"));
    assert_eq!(get("tailsieve.reason"), Some("INVALID_ARGUMENT"));
    assert_eq!(get("tailsieve.exporter"), Some("tempo"));
    assert_eq!(get("tailsieve.offset"), None);
    assert_eq!(get("tailsieve.attempts"), Some("1"));
    let long = Letter { message: "ü".repeat(5000), ..letter };
    let headers = long.headers("spans", SystemTime::UNIX_EPOCH);
    let message = headers.iter().find(|(name, _)| *name == "tailsieve.message");
    assert_eq!(message.unwrap().1.chars().count(), 1003, "a letter has to fit");
}

#[test]
fn a_letter_that_cannot_be_written_is_given_up_counted_and_its_receipt_comes_back() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let scrape = recorder.handle();
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("dead", 1, 1).unwrap();
    let error = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    cluster.request_errors(rdkafka::types::RDKafkaApiKey::Produce, &[error]);
    metrics::with_local_recorder(&recorder, || {
        let mut world = start(&cluster, Duration::from_secs(30));
        world.letters.try_send(&letter(), ticket(1)).unwrap();
        assert_eq!(world.told.blocking_recv(), Some(ticket(1)));
        // Refused by the client itself.
        let huge = Letter { value: Some(vec![0; MAX_LETTER_BYTES + 1]), ..letter() };
        world.letters.try_send(&huge, ticket(2)).unwrap();
        assert_eq!(world.told.blocking_recv(), Some(ticket(2)));
        world.letters.try_send(&letter(), ticket(3)).unwrap();
        assert_eq!(world.told.blocking_recv(), Some(ticket(3)));
    });
    let text = scrape.render();
    let series = |outcome| format!("tailsieve_dead_letters_total{{outcome=\"{outcome}\"}}");
    assert!(text.contains(&format!("{} 2\n", series("failed"))), "{text}");
    assert!(text.contains(&format!("{} 1\n", series("written"))), "{text}");
}

#[tokio::test]
async fn a_full_queue_hands_the_letter_back_and_tells_when_there_is_room() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("dead", 1, 1).unwrap();
    cluster.broker_down(1).unwrap();
    let mut world = start(&cluster, Duration::from_secs(600));
    let large = Letter { value: Some(vec![0; 30 << 20]), ..letter() };
    let (one, two, three) = (ticket(1), ticket(2), ticket(3));
    world.letters.try_send(&large, one).unwrap();
    world.letters.try_send(&large, two).unwrap();
    assert_eq!(world.letters.try_send(&large, three), Err(Full));
    cluster.broker_up(1).unwrap();
    while world.letters.try_send(&large, three) == Err(Full) {
        world.letters.room().await;
    }
    for expected in [one, two, three] {
        assert_eq!(world.told.recv().await, Some(expected));
    }
}
