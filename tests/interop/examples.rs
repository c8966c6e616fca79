//! The services of deploy/examples, in Node, Python, Go and Java, through the Collector of
//! deploy/collector: one order is one trace through all four, and is kept or dropped as one.

use std::collections::BTreeSet;
use std::env;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::otlp_json::Traces;
use crate::pipeline::Pipeline;
use crate::support::{Process, Scratch, eventually, free_address};
use crate::{Expected, assert_arrived, expected, settle};

/// Orders of a run: of twenty, one fails and one is slow.
const ORDERS: usize = 300;

/// How long services may take to start, or to send their last spans.
const PATIENCE: Duration = Duration::from_secs(120);

const SERVICES: [&str; 4] = ["orders", "payment", "stock", "storefront"];

/// What an order was to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Fine,
    Failed,
    Slow,
}

/// The four services, and what makes orders. Each service calls the one before it here.
struct Shop {
    folder: PathBuf,
    storefront: String,
    _services: Vec<Process>,
}

impl Shop {
    /// Starts all services; they send to the Collector at `endpoint`.
    fn start(scratch: &Scratch, endpoint: &str) -> Self {
        let folder = env::var_os("TAILSIEVE_TEST_SHOP").expect(
            "TAILSIEVE_TEST_SHOP names what tests/support/shop built: run ./tests/run interop",
        );
        let folder = PathBuf::from(folder);
        let mut services = Vec::new();
        let mut next = None;
        for service in ["payment", "stock", "orders", "storefront"] {
            let address = free_address();
            let port = address.rsplit(':').next().expect("an address ends in a port").to_owned();
            let mut command = command(&folder, service, &port);
            command
                .env("OTEL_SERVICE_NAME", service)
                .env("PORT", &port)
                .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{endpoint}"))
                .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
                .env("OTEL_METRICS_EXPORTER", "none")
                .env("OTEL_LOGS_EXPORTER", "none")
                .env("OTEL_BSP_SCHEDULE_DELAY", "200");
            if let Some(next) = next {
                command.env("NEXT_URL", next);
            }
            services.push(Process::spawn(command, scratch.path(), service));
            // Not by a request, which would make spans.
            eventually(service, PATIENCE, || TcpStream::connect(&address).ok());
            next = Some(format!("http://{address}"));
        }
        let storefront = next.expect("there are services");
        Self { folder, storefront, _services: services }
    }

    /// Makes the orders: what each was to be, with its trace id.
    fn order(&self, scratch: &Scratch) -> Vec<(Kind, String)> {
        let mut load = Command::new("node");
        load.arg(self.folder.join("node/load.js")).arg(&self.storefront);
        load.args(["--rate=20", "--fail=payment", "--slow=stock"]);
        load.arg(format!("--requests={ORDERS}"));
        let mut load = Process::spawn(load, scratch.path(), "load");
        assert!(load.wait().success());
        let orders: Vec<_> = load.log().lines().map(parse).collect();
        assert_eq!(orders.len(), ORDERS);
        orders
    }
}

/// How a service is started, without what all have in common.
fn command(folder: &Path, service: &str, port: &str) -> Command {
    let listen = format!("--listen=127.0.0.1:{port}");
    let (part, program, arguments) = match service {
        "storefront" => (
            "node",
            "node".into(),
            vec!["--require", "@opentelemetry/auto-instrumentations-node/register", "app.js"],
        ),
        "orders" => (
            "python",
            folder.join("python/venv/bin/opentelemetry-instrument"),
            vec!["venv/bin/waitress-serve", &listen, "app:app"],
        ),
        "stock" => ("go", folder.join("go/stock"), vec![]),
        _ => (
            "java",
            "java".into(),
            vec!["-javaagent:target/opentelemetry-javaagent.jar", "-jar", "target/payment.jar"],
        ),
    };
    let mut command = Command::new(program);
    command.current_dir(folder.join(part)).args(arguments);
    command
}

/// A line of load.js: what the order was to be, the status of the answer, the trace id.
fn parse(line: &str) -> (Kind, String) {
    let words: Vec<&str> = line.split(' ').collect();
    let (kind, id) = match words[..] {
        ["fine", "200", id] => (Kind::Fine, id),
        ["fail", "500", id] => (Kind::Failed, id),
        ["slow", "200", id] => (Kind::Slow, id),
        _ => panic!("an order got an answer that it should not get: {line}"),
    };
    (kind, id.to_owned())
}

/// Whether all spans of an order have come.
fn is_complete(sent: &Traces, id: &str) -> bool {
    let trace = sent.by_id.get(id);
    trace.is_some_and(|trace| trace.is_whole() && trace.services() == BTreeSet::from(SERVICES))
}

#[test]
#[ignore = "needs Kafka and the Collector: run ./tests/run interop"]
fn interop_orders_through_four_languages_are_kept_or_dropped_whole() {
    let mut pipeline = Pipeline::start_gateway("examples");
    let shop = Shop::start(pipeline.scratch(), pipeline.endpoint());
    let orders = shop.order(pipeline.scratch());
    eventually("the last spans of all orders", PATIENCE, || {
        let sent = pipeline.sent();
        orders.iter().all(|(_, id)| is_complete(&sent, id)).then_some(())
    });
    let sent = pipeline.stop_publisher();
    let kept = settle(&mut pipeline, &sent).remove(0);
    assert_arrived(sent.by_id.keys(), &sent, &kept);
    let (mut fine, mut kept_fine) = (0, 0);
    for (kind, id) in &orders {
        match (kind, expected(&sent, id)) {
            (Kind::Failed, Expected::Certain("errors"))
            | (Kind::Slow, Expected::Certain("slow")) => {
                assert!(is_complete(&kept, id), "{kind:?} order {id} is not whole");
            }
            // On a busy machine an order takes long that was not to.
            (Kind::Fine, Expected::Certain("slow")) => {}
            (Kind::Fine, Expected::Tenth | Expected::Dropped) => {
                fine += 1;
                kept_fine += usize::from(kept.by_id.contains_key(id));
            }
            (kind, expected) => panic!("{kind:?} order {id} is expected as {expected:?}"),
        }
    }
    println!("{kept_fine} of {fine} fine and fast orders are kept");
    // Five standard deviations: it is by chance which ids they get.
    let (mean, deviation) = (fine as f64 * 0.1, (fine as f64 * 0.09).sqrt());
    assert!((kept_fine as f64 - mean).abs() <= 5.0 * deviation, "one in ten is kept");
}
