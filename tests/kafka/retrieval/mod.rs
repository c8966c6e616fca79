//! The server of dropped traces.

mod jaeger;
mod tempo;
mod tls;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use prost::Message as _;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde_json::Value;

use crate::rig::Rig;
use crate::support::{Process, Scrape, eventually, free_address, http_get, tailsieve};
use crate::trace::{Contents, add, entries};

const PATIENCE: Duration = Duration::from_secs(60);

/// Tempo gives up after ten seconds.
const LONGEST: Duration = Duration::from_secs(8);

/// What came back: status, type, body.
struct Got {
    status: u16,
    content_type: String,
    body: Vec<u8>,
}

impl Got {
    fn is_not_there(&self) -> bool {
        self.status == 404 && self.body.is_empty()
    }
}

/// A server, perhaps a member of the group as well.
struct Server<'a> {
    rig: &'a Rig,
    address: String,
    admin: String,
    process: Option<Process>,
}

impl<'a> Server<'a> {
    /// `tailsieve retrieval` with these lines in its section.
    fn start(rig: &'a Rig, name: &str, brokers: &str, lines: &str) -> Self {
        let (address, admin) = (free_address(), free_address());
        // Without that of the member.
        let config = rig.config().replace("$ADMIN", &admin).replace("retrieval: ", "# ");
        let config = config.replace(rig.kafka.address(), brokers);
        let config = format!("{config}retrieval:\n  listen: {address}\n{lines}");
        let file = rig.scratch.write(&format!("{name}.yaml"), &config);
        let mut command = tailsieve();
        command.args(["--log-format=json", "retrieval", "--config"]).arg(file);
        let process = Process::spawn(command, rig.scratch.path(), name);
        let server = Self { rig, address, admin, process: Some(process) };
        eventually("the server to listen", PATIENCE, || {
            http_get(&server.admin, "/readyz").filter(|(status, _)| *status == 200)
        });
        server
    }

    /// What it says, if it does so in time.
    fn get(&self, path: &str, headers: &[(&str, &str)]) -> Got {
        let url = format!("http://{}{path}", self.address);
        let mut request = reqwest::Client::new().get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let since = Instant::now();
        let got = self.rig.runtime.block_on(async {
            let response = request.send().await.unwrap();
            let content_type = response.headers().get(CONTENT_TYPE).cloned();
            Got {
                status: response.status().as_u16(),
                content_type: content_type
                    .map_or_else(String::new, |it| it.to_str().unwrap().to_owned()),
                body: response.bytes().await.unwrap().to_vec(),
            }
        });
        assert!(since.elapsed() < LONGEST, "{path} took {:?}", since.elapsed());
        got
    }

    fn is_not_there(&self, path: &str, headers: &[(&str, &str)]) {
        let got = self.get(path, headers);
        assert!(got.is_not_there(), "{path}: {} with {} bytes", got.status, got.body.len());
    }

    /// The spans of a trace, which Tempo asks for in these words.
    fn open(&self, path: &str, headers: &[(&str, &str)]) -> BTreeMap<String, Contents> {
        let asked = [headers, &[(ACCEPT.as_str(), "application/protobuf")]].concat();
        let got = self.get(path, &asked);
        assert_eq!((got.status, &*got.content_type), (200, "application/protobuf"), "{path}");
        let mut found = BTreeMap::new();
        add(&mut found, &got.body);
        found
    }

    /// What it has logged, if it is a process of its own.
    fn log(&self) -> String {
        self.process.as_ref().unwrap().log()
    }

    fn outcomes(&self, outcome: &str) -> f64 {
        let (_, text) = http_get(&self.admin, "/metrics").unwrap();
        let scrape = Scrape::parse(&text);
        let series = format!("tailsieve_retrieval_lookups_total{{outcome=\"{outcome}\"}}");
        scrape.get(&series).unwrap()
    }
}

/// The traces on record: those dropped, those kept, and those of which late spans came.
struct Decided {
    dropped: BTreeSet<String>,
    kept: BTreeSet<String>,
    late: BTreeSet<String>,
}

fn decided(file: &str) -> Decided {
    let entries = entries(file);
    let of = |is_wanted: &dyn Fn(&Value) -> bool| {
        let wanted = entries.iter().filter(|entry| is_wanted(entry));
        wanted.map(|entry| entry["traceId"].as_str().unwrap().to_owned()).collect()
    };
    let kept: BTreeSet<String> = of(&|entry| entry["decision"] == "keep");
    let dropped: BTreeSet<String> = of(&|entry| entry["decision"] == "drop");
    let dropped = dropped.difference(&kept).cloned().collect();
    Decided { dropped, kept, late: of(&|entry| entry["late"] == true) }
}

/// The service of a span.
fn service(span: &[u8]) -> String {
    let spans = ResourceSpans::decode(span).unwrap();
    let attributes = spans.resource.unwrap().attributes;
    let name = attributes.into_iter().find(|it| it.key == "service.name").unwrap();
    match name.value.unwrap().value.unwrap() {
        any_value::Value::StringValue(name) => name,
        other => panic!("{other:?}"),
    }
}
