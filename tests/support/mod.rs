//! What the tests with real processes share: a real Kafka, the real binary, its metrics.
//!
//! Owns starting, watching and stopping of processes, and reading of topics, groups and metrics.
//! Everything here panics with what went wrong; nothing is left running behind a failed test.
//! What is expected of tailsieve is left to the tests.

// Each test crate compiles its own copy and uses a part of it.
#![allow(dead_code, unused_imports)]
// A test that cannot go on ends by a panic, also in helpers that clippy does not take for tests.
#![allow(clippy::unwrap_used)]

mod certificates;
mod kafka;
mod metrics;
mod process;
mod prometheus;

pub use certificates::{Authority, Files, Leaf};
pub use kafka::{Kafka, Topic};
pub use metrics::{Scrape, check_accounts, check_table, promtool_check_metrics};
pub use process::{Member, Process, collector_tool, tailsieve};
pub use prometheus::Prometheus;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often a condition is looked at.
const GLANCE: Duration = Duration::from_millis(50);

/// What `look` finds, as soon as it finds something; panics after `deadline`, saying what was
/// awaited. The deadline is there to end a broken test, not to measure.
pub fn eventually<T>(what: &str, deadline: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "after {deadline:?} still waiting: {what}");
        thread::sleep(GLANCE);
    }
}

/// A name that no other test, of this run or another, has used.
pub fn unique(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}-{now:x}-{}-{number}", std::process::id())
}

/// An address of the loopback interface on which nothing listens at the moment.
pub fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Status and body of `GET path` at `address`; `None` if nothing answers.
pub fn http_get(address: &str, path: &str) -> Option<(u16, String)> {
    http(address, "GET", path, "")
}

/// Status and body of `POST path`, without a body, at `address`; `None` if nothing answers.
pub fn http_post(address: &str, path: &str) -> Option<(u16, String)> {
    http(address, "POST", path, "")
}

/// Status and body of a request with this body at `address`; `None` if nothing answers.
pub fn http(address: &str, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    // HTTP/1.0: the body ends with the connection and is never chunked.
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {length}\r\n");
    write!(stream, "{head}\r\n{body}").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// A folder for a test's files. Removed when the test passes; left behind, and named, when not.
pub struct Scratch(PathBuf);

impl Scratch {
    /// An empty folder named after the test.
    pub fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(unique(&format!("tailsieve-{test}")));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of `name` in the folder.
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file into the folder.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the test's files are in {}", self.0.display());
        } else {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}
