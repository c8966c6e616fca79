//! A Kafka of the test's own, which can be killed and started again.
//!
//! It has one listener for the test itself and one for each member, and what it tells members about
//! where it is found leads them to a proxy of theirs.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::support::{Process, Scratch, eventually};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/kafka");

/// How long a JVM may take to start on a slow and busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Groups of the consumer protocol get their session from the broker. As short as that of members
/// of the classic one, so that a member that is gone is noticed soon.
const PROPERTIES: &str = "group.consumer.session.timeout.ms=6000
group.consumer.heartbeat.interval.ms=1000
log.retention.check.interval.ms=3600000";

/// A running Kafka, or one that was killed.
pub struct Broker {
    scratch: Scratch,
    script: Option<Process>,
    address: String,
}

impl Broker {
    /// Starts a Kafka with a further listener for each pair of a port of its own and the port that
    /// clients are told.
    pub fn start(listeners: &[(u16, u16)]) -> Self {
        let scratch = Scratch::new("chaos-kafka");
        let name = |(number, (port, told)): (usize, &(u16, u16))| {
            format!("MEMBER{}:{port}:{told}", number + 1)
        };
        let listeners: Vec<String> = listeners.iter().enumerate().map(name).collect();
        let mut command = script("serve", scratch.path());
        command.env("TAILSIEVE_KAFKA_LISTENERS", listeners.join(","));
        command.env("TAILSIEVE_KAFKA_PROPERTIES", PROPERTIES);
        let mut script = Process::spawn(command, scratch.path(), "script");
        let address = eventually("Kafka to start", PATIENCE, || {
            assert!(script.is_running(), "Kafka ended: {}", script.log());
            fs::read_to_string(scratch.join("address")).ok()
        });
        Self { scratch, script: Some(script), address: address.trim().to_owned() }
    }

    /// Where it is found without a proxy.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Ends it by SIGKILL, its data as they are.
    pub fn kill(&mut self) {
        if let Some(mut script) = self.script.take() {
            // The script is the one that knows the JVM, and ends in no other way.
            script.terminate();
        }
    }

    /// Starts it again on what is left, without waiting until it serves.
    pub fn resume(&mut self) {
        let command = script("resume", self.scratch.path());
        self.script = Some(Process::spawn(command, self.scratch.path(), "script"));
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
        // Of a failed run only the logs are of use to anybody.
        let _ = fs::remove_dir_all(self.scratch.join("data"));
    }
}

fn script(command: &str, dir: &Path) -> Command {
    let mut script = Command::new(SCRIPT);
    script.arg(command).arg(dir);
    script
}

/// Ports of the loopback interface on which nothing listens, from below the range that the system
/// takes ports of clients from: they stay free while Kafka is away.
pub fn free_ports<const N: usize>() -> [u16; N] {
    // Another run on this machine may be looking at the same time: not from the seed of this one.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let mut rng = StdRng::seed_from_u64(now.as_nanos() as u64 ^ u64::from(std::process::id()));
    let mut ports = [0; N];
    for index in 0..N {
        ports[index] = loop {
            let port = rng.random_range(20_000..30_000);
            let is_free = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_ok();
            if is_free && !ports.contains(&port) {
                break port;
            }
        };
    }
    ports
}
