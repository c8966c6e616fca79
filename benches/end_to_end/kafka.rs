//! The Kafka of the bench: a real one, whose data stay in the cache folder from run to run.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/kafka");

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
    pub fn start() -> Self {
        let dir = cache().join("bench-kafka");
        if let Ok(address) = env::var("TAILSIEVE_TEST_KAFKA") {
            let notes = dir.join(address.replace(':', "-"));
            return Self { address, notes, script: None };
        }
        fs::create_dir_all(&dir).expect("a folder for Kafka's data");
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
                panic!("Kafka did not start ({status}); its log is {}/kafka.log", dir.display());
            }
            assert!(Instant::now() < end, "Kafka does not answer; see {}/kafka.log", dir.display());
            std::thread::sleep(Duration::from_millis(100));
        };
        Self { address, notes: dir.join("topics"), script: Some(script) }
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
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
        let Some(mut script) = self.script.take() else { return };
        // The script is the one that ends the JVM, when it is asked to end.
        let _ = Command::new("kill").arg(script.id().to_string()).status();
        let _ = script.wait();
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
