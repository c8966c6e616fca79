//! A running Apache Kafka: topics, their records, and what groups have committed.

use std::collections::BTreeMap;
use std::env;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::thread;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedMessage;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use super::{eventually, unique};

const TIMEOUT: Duration = Duration::from_secs(30);

/// The Kafka that `tests/run` started, or the one named by `TAILSIEVE_TEST_KAFKA`.
pub struct Kafka {
    address: String,
}

impl Kafka {
    /// The Kafka that the environment names.
    pub fn from_env() -> Self {
        let address = env::var("TAILSIEVE_TEST_KAFKA")
            .expect("TAILSIEVE_TEST_KAFKA names a Kafka, host:port: run ./tests/run");
        Self { address }
    }

    /// The Kafka at `address`, which a test started itself.
    pub fn at(address: &str) -> Self {
        Self { address: address.to_owned() }
    }

    /// Its address, `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The settings that every client needs.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address);
        config
    }

    /// A new topic with a name of its own, deleted when it is dropped. `configs` are topic
    /// settings, such as `message.timestamp.type`.
    pub fn topic(&self, prefix: &str, partitions: i32, configs: &[(&str, &str)]) -> Topic {
        self.topic_named(&unique(prefix), partitions, configs)
    }

    /// The same with a given name, which nobody has used yet.
    pub fn topic_named(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> Topic {
        let name = name.to_owned();
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let mut topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
        for (key, value) in configs {
            topic = topic.set(key, value);
        }
        let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
        let created = block_on(admin.create_topics([&topic], &options)).unwrap();
        created.into_iter().for_each(|result| {
            result.unwrap_or_else(|(topic, code)| panic!("creating topic {topic}: {code}"));
        });
        let consumer = ManuallyDrop::new(self.reader("tailsieve-tests"));
        let topic = Topic { name, partitions, admin, consumer };
        // It is created before the broker tells everybody that it is.
        eventually("the topic to be known", TIMEOUT, || topic.is_known().then_some(()));
        topic
    }

    /// Next offset that `group` would read, by partition; `None` where it committed nothing.
    pub fn committed(&self, group: &str, topic: &Topic) -> BTreeMap<i32, Option<i64>> {
        let mut list = TopicPartitionList::new();
        list.add_partition_range(&topic.name, 0, topic.partitions - 1);
        let committed = self.reader(group).committed_offsets(list, TIMEOUT).unwrap();
        let offset = |offset| match offset {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        };
        committed.elements().iter().map(|e| (e.partition(), offset(e.offset()))).collect()
    }

    fn reader(&self, group: &str) -> BaseConsumer {
        let mut config = self.client();
        config.set("group.id", group);
        config.set("enable.auto.commit", "false");
        config.set("auto.offset.reset", "earliest");
        config.set("fetch.message.max.bytes", "16777216");
        config.create().unwrap()
    }
}

/// A topic of a test's own.
pub struct Topic {
    name: String,
    partitions: i32,
    admin: AdminClient<DefaultClientContext>,
    /// Never ended. librdkafka 2.12.1 was seen to wait for a thread of its own for ever when a consumer
    /// ended, and this one ends with the process anyway.
    consumer: ManuallyDrop<BaseConsumer>,
}

impl Topic {
    fn is_known(&self) -> bool {
        let known = self.consumer.fetch_metadata(Some(&self.name), TIMEOUT);
        known.is_ok_and(|all| {
            let topic = all.topics().iter().find(|topic| topic.name() == self.name);
            topic.is_some_and(|topic| topic.partitions().len() == self.partitions as usize)
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of its partitions.
    pub fn partitions(&self) -> i32 {
        self.partitions
    }

    /// By partition: the offset that the next record will get.
    pub fn end_offsets(&self) -> BTreeMap<i32, i64> {
        let end =
            |partition| self.consumer.fetch_watermarks(&self.name, partition, TIMEOUT).unwrap().1;
        (0..self.partitions).map(|partition| (partition, end(partition))).collect()
    }

    /// Deletes the topic, and makes another one of its name.
    pub fn recreate(&self) {
        let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
        let deleted = block_on(self.admin.delete_topics(&[&self.name], &options)).unwrap();
        assert_eq!(deleted, [Ok(self.name.clone())]);
        let topic = NewTopic::new(&self.name, self.partitions, TopicReplication::Fixed(1));
        eventually("the topic to be created again", TIMEOUT, || {
            let created = block_on(self.admin.create_topics([&topic], &options)).unwrap();
            created.iter().all(Result::is_ok).then_some(())
        });
        eventually("the new topic to be known", TIMEOUT, || self.is_known().then_some(()));
    }

    /// Deletes the records below these offsets, by partition.
    pub fn delete_records(&self, before: &BTreeMap<i32, i64>) {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in before {
            list.add_partition_offset(&self.name, *partition, Offset::Offset(*offset)).unwrap();
        }
        block_on(self.admin.delete_records(&list, &AdminOptions::new())).unwrap();
    }

    /// Every record that is in the topic now, in the order of each partition.
    pub fn records(&self) -> Vec<OwnedMessage> {
        let ends = self.end_offsets();
        (0..self.partitions).flat_map(|partition| self.read(partition, ends[&partition])).collect()
    }

    /// The records of one partition below `end`.
    fn read(&self, partition: i32, end: i64) -> Vec<OwnedMessage> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.name, partition, Offset::Beginning).unwrap();
        self.consumer.assign(&list).unwrap();
        let mut records = Vec::new();
        let mut position = 0;
        while position < end {
            let record = match self.consumer.poll(TIMEOUT).expect("a record below the end") {
                Ok(record) => record,
                // Kafka was away since the last reading, and may be there again.
                Err(KafkaError::MessageConsumption(
                    RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure,
                )) => continue,
                Err(error) => panic!("reading {}: {error}", self.name),
            };
            position = record.offset() + 1;
            records.push(record.detach());
        }
        self.consumer.unassign().unwrap();
        records
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
        // Best effort: the broker may be gone, and its data goes with it.
        let _ = block_on(self.admin.delete_topics(&[&self.name], &options));
    }
}

/// Runs `future` to its end, in a test with or without a runtime of its own.
fn block_on<T: Send>(future: impl Future<Output = T> + Send) -> T {
    thread::scope(|scope| {
        let run = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(future)
        });
        run.join().expect("the future does not panic")
    })
}
