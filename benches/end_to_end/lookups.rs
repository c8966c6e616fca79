//! Traces that are looked up while tailsieve works off a backlog: by a server of their own, as fast as its
//! budget lets them.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::lane::{GLANCE, PATIENCE, Processes, Turn};
use crate::roles;
use crate::support::{free_address, http_get};

/// Questions at a time: more than are looked up at a time, so that the server is never idle.
const ASKERS: usize = 16;

/// Traces that are asked for, the first ones of each partition. More than the server remembers.
const TRACES: usize = 100_000;

/// The server, and who asks it.
pub struct LookUps {
    asker: Processes,
    _server: Processes,
    _folder: tempfile::TempDir,
}

impl LookUps {
    /// Starts both. `decided` is a turn that is over, whose decision log is still there.
    pub fn start(decided: &Turn<'_>, binary: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (listen, admin) = (free_address(), free_address());
        let config = decided.config("localhost:1", "none", &admin);
        let file = folder.path().join("retrieval.yaml");
        fs::write(&file, format!("{config}retrieval: {{listen: '{listen}'}}\n")).expect("written");
        let mut command = Command::new(binary);
        command.args(["--log", "warn", "retrieval", "--config"]).arg(&file).stdin(Stdio::null());
        let server = Processes(vec![command.spawn().expect("the server starts")]);
        let deadline = Instant::now() + PATIENCE;
        while http_get(&admin, "/readyz").is_none_or(|(status, _)| status != 200) {
            assert!(Instant::now() < deadline, "the server of traces does not start");
            thread::sleep(GLANCE);
        }
        let (topic, partitions) = (&decided.topic.name, decided.topic.partitions.to_string());
        let arguments = ["as-asker", &listen, decided.kafka.address(), topic, &partitions];
        Self { asker: Processes(vec![roles::start(&arguments)]), _server: server, _folder: folder }
    }

    /// Waits until questions are asked.
    pub fn wait(&mut self) {
        self.line();
    }

    /// Ends both, and says what they came to.
    pub fn finish(mut self) -> String {
        drop(self.asker.0[0].stdin.take());
        self.line()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        let answers = self.asker.0[0].stdout.as_mut().expect("piped");
        // A byte at a time, so that nothing is read that is meant for later.
        BufReader::with_capacity(1, answers).read_line(&mut line).expect("a line");
        line.trim().to_owned()
    }
}

/// Asks until its standard input ends. Says when it begins, and in the end how many were opened, how many were
/// not, and how long half and 99 of 100 took.
pub fn ask(listen: &str, brokers: &str, topic: &str, partitions: i32) {
    let ids = Arc::new(ids(brokers, topic, partitions));
    let (next, opened, others) =
        (Arc::new(AtomicU64::new(0)), Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let is_over = Arc::new(AtomicBool::new(false));
    let times = Arc::new(Mutex::new(Vec::new()));
    let start = Instant::now();
    println!("asking");
    let askers: Vec<_> = (0..ASKERS)
        .map(|_| {
            let (ids, next, listen) = (Arc::clone(&ids), Arc::clone(&next), listen.to_owned());
            let (opened, others) = (Arc::clone(&opened), Arc::clone(&others));
            let (is_over, times) = (Arc::clone(&is_over), Arc::clone(&times));
            thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed) as usize % ids.len();
                    let since = Instant::now();
                    let is_opened = opens(&listen, &ids[number]).unwrap_or(false);
                    let counter = if is_opened { &opened } else { &others };
                    counter.fetch_add(1, Ordering::Relaxed);
                    times.lock().expect("nobody panics").push(since.elapsed());
                }
            })
        })
        .collect();
    let mut line = String::new();
    let _ = std::io::stdin().lock().read_line(&mut line);
    is_over.store(true, Ordering::Relaxed);
    askers.into_iter().for_each(|asker| asker.join().expect("nobody panics"));
    let mut times: Vec<Duration> = std::mem::take(&mut times.lock().expect("nobody panics"));
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
    println!(
        "{} traces opened, {} not, {:.0} a second, p50 {} ms, p99 {} ms",
        opened.load(Ordering::Relaxed),
        others.load(Ordering::Relaxed),
        times.len() as f64 / start.elapsed().as_secs_f64(),
        at(50).as_millis(),
        at(99).as_millis(),
    );
}

/// Whether the server has a trace, as Tempo would ask it; kept ones too.
fn opens(listen: &str, id: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(listen)?;
    write!(stream, "GET /api/traces/{id}?all HTTP/1.0\r\nHost: {listen}\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer.split(|byte| *byte == b' ').nth(1) == Some(b"200"))
}

/// The keys of the first records of each partition, which are ids of traces, in an order that is none.
fn ids(brokers: &str, topic: &str, partitions: i32) -> Vec<String> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", "asker");
    config.set("enable.auto.commit", "false").set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.create().expect("a consumer");
    let mut ids = std::collections::HashSet::new();
    for partition in 0..partitions {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Beginning).expect("valid");
        consumer.assign(&list).expect("assigned");
        let enough = TRACES * (partition as usize + 1) / partitions as usize;
        while ids.len() < enough {
            match consumer.poll(Duration::from_secs(10)) {
                Some(Ok(message)) => {
                    let key = message.key().unwrap_or_default();
                    ids.insert(String::from_utf8_lossy(key).into_owned());
                }
                _ => break,
            }
        }
    }
    ids.into_iter().collect()
}
