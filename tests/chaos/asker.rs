//! Somebody who has dropped traces kept while members come and go, by a `tailsieve retrieval` of their own.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;
use tailsieve::testing::ids::TraceId;
use tailsieve::testing::kafka::source;
use tokio::runtime::Runtime;

use crate::rules::Rules;
use crate::support::{Process, eventually, free_address, http_get, tailsieve};
use crate::traffic::Written;

/// How long ago a trace began that is asked for: it is decided, unless its members are behind. Its late spans come
/// later, or not.
const AGE: Duration = Duration::from_secs(10);

/// A request is a record of its own time, and carries the clock of its partition on. While the traffic is further
/// behind the clock on the wall, as on a machine that is too busy, traces would be judged before their spans are there.
const MOST_BEHIND: Duration = Duration::from_millis(1500);

/// Between two traces, of which a partition grants five a second.
const PAUSE: Duration = Duration::from_millis(200);

/// How often each is asked for.
const TIMES: usize = 2;

/// How long everything may take, on a slow and busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// What came of it.
#[derive(Debug, Default)]
pub struct Asked {
    /// Traces of which a request was taken: each has to come.
    pub taken: BTreeSet<TraceId>,
    /// What was answered, and how often.
    pub answers: BTreeMap<String, u64>,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} traces were asked for; answers: {:?}", self.taken.len(), self.answers)
    }
}

/// Asks until it is told to end.
pub struct Asker {
    thread: JoinHandle<Asked>,
    ends: Arc<AtomicBool>,
}

impl Asker {
    /// Begins to ask for traces of those that are `written` so far and dropped by the `rules`. `config` is the
    /// static file of a member.
    pub fn start(dir: &Path, config: &str, rules: Rules, written: Arc<Mutex<Written>>) -> Self {
        let [address, admin] = [(); 2].map(|()| free_address());
        let section = format!("retrieval: {{listen: {address}, keep: on_request, token: chaos}}");
        let file = dir.join("asker.yaml");
        std::fs::write(&file, config.replace("$ADMIN", &admin) + &section).unwrap();
        let mut command = tailsieve();
        command.args(["--log-format=json", "retrieval", "--config"]).arg(file);
        let server = Process::spawn(command, dir, "asker");
        eventually("somebody to be there to ask", PATIENCE, || {
            http_get(&admin, "/readyz").filter(|(status, _)| *status == 200)
        });
        let ends = Arc::new(AtomicBool::new(false));
        let work = Work {
            server: (server, address),
            runtime: Runtime::new().unwrap(),
            client: reqwest::Client::new(),
            rules,
            written,
            ends: Arc::clone(&ends),
        };
        Self { thread: thread::spawn(move || work.run()), ends }
    }

    /// Ends when it is known of each request whether it was taken.
    pub fn finish(self) -> Asked {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

struct Work {
    server: (Process, String),
    runtime: Runtime,
    client: reqwest::Client,
    rules: Rules,
    written: Arc<Mutex<Written>>,
    ends: Arc<AtomicBool>,
}

impl Work {
    fn run(self) -> Asked {
        let (mut asked, mut tried, mut unsure) = (Asked::default(), HashSet::new(), Vec::new());
        loop {
            let next = match self.ends.load(Ordering::Relaxed) {
                false => self.next(&tried),
                true => match unsure.pop() {
                    None => return asked,
                    unsure => unsure,
                },
            };
            let Some(trace) = next else {
                thread::sleep(PAUSE);
                continue;
            };
            tried.insert(trace);
            for _ in 0..TIMES {
                let answer = self.ask(trace);
                match answer.as_str() {
                    "requested" | "kept" => _ = asked.taken.insert(trace),
                    // It may be on the topic all the same.
                    "failed" => unsure.push(trace),
                    _ => {}
                }
                *asked.answers.entry(answer).or_default() += 1;
            }
            thread::sleep(PAUSE);
        }
    }

    /// A trace that was dropped some time ago, and not asked for; none while the traffic is behind.
    fn next(&self, tried: &HashSet<TraceId>) -> Option<TraceId> {
        let now = source::now();
        let before = now.0 - AGE.as_millis() as i64;
        let written = self.written.lock().unwrap();
        if written.youngest.is_none_or(|youngest| now.since(youngest) > MOST_BEHIND) {
            return None;
        }
        let is_wanted = |id: &&TraceId| {
            let is_old = written.places.get(*id).is_some_and(|place| place.at.0 < before);
            let trace = &written.ledger.traces[*id];
            is_old && !tried.contains(*id) && self.rules.kept_at_once_by(trace).is_none()
        };
        written.ledger.traces.keys().find(is_wanted).copied()
    }

    /// What is answered to a request.
    fn ask(&self, trace: TraceId) -> String {
        let url = format!("http://{}/api/traces/{trace}/keep", self.server.1);
        let request = self.client.post(url).header("authorization", "Bearer chaos").send();
        let body = self.runtime.block_on(async { request.await?.bytes().await });
        let body: Value = serde_json::from_slice(&body.unwrap()).unwrap();
        body["outcome"].as_str().unwrap().to_owned()
    }
}
