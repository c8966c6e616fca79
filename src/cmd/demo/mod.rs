//! `tailsieve demo`: the whole product in one process.
//!
//! The generator writes onto an embedded broker that speaks the Kafka protocol; two members of
//! the real pipeline read from it and deliver to an in-process OTLP receiver. The ledger of what
//! was written judges what was delivered.

mod dropped;
mod figures;
mod members;
mod stage;
mod traffic;
mod view;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;

use super::process::{self, CommandError, LogOptions};
use crate::config::{self, PolicyFile};
use crate::telemetry::logs::LogFormat;
use crate::telemetry::metrics;
use crate::testbed::ledger::Expectation;
use figures::Figures;
use members::Members;
use stage::Stage;
use traffic::Traffic;
use view::View;

/// The policies of the demo, unless others are given: the commented file of `config/`.
const POLICIES: &str = include_str!("../../../config/policies.yaml");

/// Traces of the demo's traffic last 5 s at most, so that this is long enough for those whose
/// root span is lost, and the demo ends sooner than with the 20 s of the file.
const DECISION_WAIT: Duration = Duration::from_secs(8);

const TICK: Duration = Duration::from_millis(250);

/// How long everything may take to start, and to end after the last span.
const PATIENCE: Duration = Duration::from_secs(60);

/// Show the whole product in one process, on an embedded broker.
#[derive(Clone, Debug, clap::Args)]
pub struct DemoArgs {
    /// For how long spans are generated; the last traces are decided some 10 s later
    #[arg(long, default_value = "20s", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// Spans per second
    #[arg(long, value_name = "SPANS", default_value_t = 5000.0)]
    rate: f64,
    /// Another policy file
    #[arg(long, value_name = "FILE")]
    policies: Option<PathBuf>,
    /// Forward the kept traces to an OTLP/gRPC receiver too, such as Jaeger at localhost:4317
    #[arg(long, value_name = "ENDPOINT")]
    export: Option<String>,
    /// Half-way, make one of the two members lose all its state, as a crash would
    #[arg(long)]
    crash: bool,
    /// Where the status page and /metrics are served meanwhile; if it is taken, a free port is
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9464")]
    listen: SocketAddr,
    /// The seed of the traffic
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs the demo, which succeeds if the ledger balances.
///
/// # Errors
/// When it cannot be shown at all.
pub fn run(args: &DemoArgs, logs: &LogOptions) -> Result<ExitCode, CommandError> {
    // A demo is looked at: only what is wrong is logged, unless more is asked for.
    logs.init(LogFormat::Auto, Some("error"))?;
    let runtime = process::runtime()?;
    let (file, expectation) = policies(args)?;
    let recorder = metrics::install()?;
    let stage = runtime.block_on(Stage::start(args.export.as_deref(), expectation))?;
    let mut members = Members::start(&stage, &file, runtime.handle().clone())?;
    let accounts = members.accounts();
    let render = move || accounts.read(|| recorder.render());
    let render: Arc<dyn Fn() -> String + Send + Sync> = Arc::new(render);
    let listen = runtime.block_on(members.serve_pages(args.listen, Arc::clone(&render)))?;
    eprintln!(
        "tailsieve demo: {} spans/s for {}, {} partitions, 2 members; status page on http://{listen}/",
        args.rate,
        humantime::format_duration(args.duration),
        stage::PARTITIONS,
    );

    wait_for("the members to join the group", || Ok(members.are_ready()))?;
    let started = Instant::now();
    let mut view = View::new(started);
    let mut traffic = Traffic::start(&stage, args)?;
    let mut hinted = None;
    while !traffic.is_over() {
        if args.crash && !members.has_crashed() && started.elapsed() > args.duration / 2 {
            members.crash_one()?;
            view.say("a member crashed: its open traces are gone, a new member takes over");
        }
        view.show(&Figures::of(&render()));
        if hinted.is_none() {
            hinted = dropped::best(members.dropped());
            if let Some(trace) = &hinted {
                view.say(&dropped::hint(&stage.brokers(), trace));
            }
        }
        std::thread::sleep(TICK);
    }
    let (ledger, ends) = traffic.finish()?;
    view.say("all spans are written; waiting for the last decisions");
    wait_for("the last traces to be decided, delivered and committed", || {
        view.show(&Figures::of(&render()));
        stage.is_committed(&ends)
    })?;
    let dropped = dropped::best(members.dropped()).or(hinted);
    members.stop();
    view.finish();

    let verdict = stage.verdict(&ledger);
    let figures = Figures::of(&render());
    if let Some(dropped) = dropped {
        dropped::print(stage.brokers(), dropped.trace_id)?;
    }
    println!("{figures}\n\n{verdict}");
    stage.finish(&runtime);
    let is_balanced = verdict.is_balanced() && figures.balance();
    Ok(if is_balanced { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What an error of the embedded broker is.
fn broker(error: KafkaError) -> CommandError {
    CommandError::failed(format_args!("the embedded Kafka broker: {error}"))
}

fn policies(args: &DemoArgs) -> Result<(PolicyFile, Expectation), CommandError> {
    if let Some(path) = &args.policies {
        return Ok((config::load_policies(path)?, Expectation::WholeOnly));
    }
    let mut file = config::parse_policies("config/policies.yaml", POLICIES)?;
    file.decision_wait = DECISION_WAIT;
    Ok((file, Expectation::default()))
}

fn wait_for(
    what: &'static str,
    mut is_done: impl FnMut() -> Result<bool, CommandError>,
) -> Result<(), CommandError> {
    let deadline = Instant::now() + PATIENCE;
    while !is_done()? {
        if Instant::now() > deadline {
            let text = format_args!("gave up after {PATIENCE:?} of waiting for {what}");
            return Err(CommandError::failed(text));
        }
        std::thread::sleep(TICK);
    }
    Ok(())
}
