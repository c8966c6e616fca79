//! The Kafka of the bench: a real one, whose data stay in the cache folder from run to run.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/kafka");

/// What the script fetches.
const VERSION: &str = "4.2.0";

/// How long it may take to start, on a slow and busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running Kafka. One of its own ends when it is dropped.
pub struct Kafka {
    address: String,
    /// Where what is known of its topics is kept.
    notes: PathBuf,
    script: Option<Child>,
}

impl Kafka {
    /// The one that `TAILSIEVE_TEST_KAFKA` names, or one of its own.
    ///
    /// # Errors
    ///
    /// Says what is missing, or where Kafka says why it does not start.
    pub fn start() -> Result<Self, String> {
        let dir = cache().join("bench-kafka");
        if let Ok(address) = env::var("TAILSIEVE_TEST_KAFKA") {
            let notes = dir.join(address.replace(':', "-"));
            if !answers(&address) {
                return Err(format!("no Kafka answers at {address} (TAILSIEVE_TEST_KAFKA)"));
            }
            return Ok(Self { address, notes, script: None });
        }
        check_java()?;
        fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let log = dir.join("kafka.log");
        // One that never came up has nothing worth keeping.
        let is_known = dir.join("address").exists();
        let command = if is_known { "resume" } else { "serve" };
        let mut script = Command::new(SCRIPT)
            .arg(command)
            .arg(&dir)
            .stdin(Stdio::null())
            .spawn()
            .expect("tests/support/kafka runs");
        let end = Instant::now() + PATIENCE;
        let address = loop {
            let address = fs::read_to_string(dir.join("address")).unwrap_or_default();
            if !address.is_empty() && answers(address.trim()) {
                break address.trim().to_owned();
            }
            if let Some(status) = script.try_wait().expect("it can be waited for") {
                return Err(format!(
                    "Kafka did not start ({status}); its log is {}",
                    log.display()
                ));
            }
            if Instant::now() > end {
                stop(&mut script);
                return Err(format!("Kafka does not answer; its log is {}", log.display()));
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        Ok(Self { address, notes: dir.join("topics"), script: Some(script) })
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its version, if it is its own.
    pub fn version(&self) -> &str {
        if self.script.is_some() { VERSION } else { "unknown" }
    }

    /// Where what is known of a topic is kept.
    pub fn note(&self, topic: &str) -> PathBuf {
        self.notes.join(format!("{topic}.json"))
    }

    /// What every client needs.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address);
        config
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        if let Some(mut script) = self.script.take() {
            stop(&mut script);
        }
    }
}

/// The script is the one that ends the JVM, when it is asked to end.
fn stop(script: &mut Child) {
    let _ = Command::new("kill").arg(script.id().to_string()).status();
    let _ = script.wait();
}

fn check_java() -> Result<(), String> {
    let java = Command::new("java").arg("-version").stdin(Stdio::null()).output();
    match java {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err("needs a Java runtime, 17 or newer, for Kafka (Debian: apt-get install \
                  default-jre-headless), or a Kafka that TAILSIEVE_TEST_KAFKA names"
            .to_owned()),
    }
}

/// How far a group has committed.
pub struct Commits {
    consumer: BaseConsumer,
    partitions: TopicPartitionList,
}

impl Commits {
    /// Of this group on all partitions of a topic.
    pub fn new(kafka: &Kafka, group: &str, topic: &str, partitions: i32) -> Self {
        let consumer = kafka.client().set("group.id", group).create().expect("a consumer");
        let mut list = TopicPartitionList::new();
        list.add_partition_range(topic, 0, partitions - 1);
        Self { consumer, partitions: list }
    }

    /// Records below the committed offsets of a topic that begins at 0.
    pub fn records(&self) -> u64 {
        let timeout = Duration::from_secs(10);
        let committed = self.consumer.committed_offsets(self.partitions.clone(), timeout);
        let offset = |offset: Offset| offset.to_raw().filter(|offset| *offset > 0).unwrap_or(0);
        committed
            .map_or(0, |list| list.elements().iter().map(|it| offset(it.offset())).sum::<i64>())
            as u64
    }
}

fn answers(address: &str) -> bool {
    let consumer: Result<BaseConsumer, _> =
        ClientConfig::new().set("bootstrap.servers", address).set("log_level", "0").create();
    consumer.is_ok_and(|it| it.fetch_metadata(None, Duration::from_secs(1)).is_ok())
}

fn cache() -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache");
    env::var_os("TAILSIEVE_CACHE").map_or(default, PathBuf::from)
}
