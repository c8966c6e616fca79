//! The `generate` command: its options, its progress on stderr, its ledger file.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::access;
use super::process::{CommandError, LogOptions, Process};
use crate::ids::Timestamp;
use crate::kafka::access::{Acl, Operation};
use crate::sync::lock;
use crate::telemetry::logs::LogFormat;
use crate::testbed::generator::{
    Acknowledged, Counters, Layout, Model, ModelSettings, ProducerSettings, produce,
};
use crate::testbed::ledger::Ledger;

#[cfg(test)]
mod tests;

/// How often progress is printed.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// Generate realistic traces onto a Kafka topic.
#[derive(Clone, Debug, clap::Args)]
pub struct GenerateArgs {
    /// Kafka brokers, as host:port, separated by commas
    #[arg(long, value_name = "HOST:PORT,...", default_value = "localhost:9092")]
    pub brokers: String,
    /// Topic to produce to
    #[arg(long, default_value = "otlp_spans")]
    pub topic: String,
    /// Spans per second; 0: as fast as possible, with timestamps in the past
    #[arg(long, value_name = "SPANS", default_value_t = 1000.0, value_parser = non_negative)]
    pub rate: f64,
    /// Spans per second of the records' timestamps with --rate 0
    #[arg(long, value_name = "SPANS", default_value_t = 10_000.0, value_parser = positive)]
    pub simulated_rate: f64,
    /// Start no trace after this time
    #[arg(long, value_parser = humantime::parse_duration)]
    pub duration: Option<Duration>,
    /// Start no trace once there are this many spans
    #[arg(long)]
    pub spans: Option<u64>,
    /// Start no trace once there are this many traces
    #[arg(long)]
    pub traces: Option<u64>,
    /// Seed of everything random: equal seeds, settings and start times make equal records
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Time of the first trace (RFC 3339), instead of now
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_rfc3339_weak)]
    pub start_time: Option<SystemTime>,
    /// Write every acknowledged trace with its spans and facts to this file
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,
    /// How spans are put into records
    #[arg(long, alias = "shape", value_enum, default_value_t = Layout::Keyed)]
    pub layout: Layout,
    /// Share of traces with an error
    #[arg(long, value_name = "SHARE", default_value_t = 0.02, value_parser = fraction)]
    pub error_fraction: f64,
    /// Share of traces that last longer than a second
    #[arg(long, value_name = "SHARE", default_value_t = 0.02, value_parser = fraction)]
    pub slow_fraction: f64,
    /// Share of traces whose root span is lost
    #[arg(long, value_name = "SHARE", default_value_t = 0.005, value_parser = fraction)]
    pub lost_root_fraction: f64,
    /// Share of records that are produced twice
    #[arg(long, value_name = "SHARE", default_value_t = 0.002, value_parser = fraction)]
    pub duplicate_fraction: f64,
    /// Share of childless spans that come late
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = fraction)]
    pub late_fraction: f64,
    /// Share of traces without an error of which a span fails late
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = fraction)]
    pub late_error_fraction: f64,
    /// How late they come
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
    pub late_by: Duration,
    /// The most spans a trace may have
    #[arg(long, value_name = "SPANS", default_value_t = 2000)]
    pub max_trace_spans: usize,
    /// Compression of the records: none, gzip, snappy, lz4 or zstd
    #[arg(long, default_value = "zstd")]
    pub compression: String,
    /// How long records wait for others to go with
    #[arg(long, default_value = "20ms", value_parser = humantime::parse_duration)]
    pub linger: Duration,
    /// Any librdkafka property
    #[arg(short = 'X', value_name = "KEY=VALUE", value_parser = property)]
    pub properties: Vec<(String, String)>,
}

fn fraction(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "not a number")?;
    let valid = (0.0..=1.0).contains(&share);
    valid.then_some(share).ok_or("not from 0 to 1".into())
}

fn non_negative(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "not a number")?;
    let valid = rate.is_finite() && rate >= 0.0;
    valid.then_some(rate).ok_or("negative or infinite".into())
}

fn positive(text: &str) -> Result<f64, String> {
    let rate = non_negative(text)?;
    (rate > 0.0).then_some(rate).ok_or("not above 0".into())
}

/// A property of librdkafka.
pub(crate) fn property(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("not KEY=VALUE")?;
    Ok((key.trim().into(), value.trim().into()))
}

impl GenerateArgs {
    /// The traffic that is asked for; `now` is the start time unless there is one.
    pub fn model_settings(&self, now: SystemTime) -> Result<ModelSettings, CommandError> {
        let limited = self.duration.is_some() || self.spans.is_some() || self.traces.is_some();
        if self.rate == 0.0 && !limited {
            return Err(CommandError::usage("--rate 0 needs --duration, --spans or --traces"));
        }
        let mut settings = ModelSettings {
            seed: self.seed,
            rate: if self.rate > 0.0 { self.rate } else { self.simulated_rate },
            layout: self.layout,
            duration: self.duration,
            max_spans: self.spans,
            max_traces: self.traces,
            max_trace_spans: self.max_trace_spans,
            error_fraction: self.error_fraction,
            slow_fraction: self.slow_fraction,
            lost_root_fraction: self.lost_root_fraction,
            duplicate_fraction: self.duplicate_fraction,
            late_fraction: self.late_fraction,
            late_error_fraction: self.late_error_fraction,
            late_by: self.late_by,
            start: timestamp(self.start_time.unwrap_or(now)),
        };
        if self.start_time.is_none() && self.rate == 0.0 {
            settings.start = settings.start.before(settings.expected_span());
        }
        Ok(settings)
    }

    fn producer_settings(&self, start: Timestamp) -> ProducerSettings {
        ProducerSettings {
            compression: self.compression.clone(),
            linger: self.linger,
            properties: self.properties.clone(),
            pace_from: (self.rate > 0.0).then_some(start),
            ..ProducerSettings::new(&self.brokers, &self.topic)
        }
    }
}

fn timestamp(time: SystemTime) -> Timestamp {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH);
    Timestamp(0).after(since_epoch.unwrap_or_default())
}

/// Generates what `args` ask for, until it is done or SIGINT or SIGTERM comes.
///
/// # Errors
/// If any record was not acknowledged; the ledger then holds those that were.
pub fn run(args: &GenerateArgs, logs: &LogOptions) -> Result<ExitCode, CommandError> {
    logs.init(LogFormat::Auto, None)?;
    let (_runtime, stop) = Process::start()?.stop_flag();
    generate(args, &stop)?;
    Ok(ExitCode::SUCCESS)
}

fn generate(args: &GenerateArgs, stop: &AtomicBool) -> Result<(), CommandError> {
    let settings = args.model_settings(crate::clock::system_time())?;
    let producer = args.producer_settings(settings.start);
    let ledger = Arc::new(Mutex::new(Ledger::new(settings.describe())));
    let keeps_ledger = args.ledger.is_some();
    let entries = Arc::clone(&ledger);
    let acknowledged = move |record: Acknowledged| {
        if keeps_ledger {
            let mut ledger = lock(&entries);
            ledger.record(&record.spans);
        }
    };
    let counters = Arc::new(Counters::default());
    let mut model = Model::new(settings);
    let traces = AtomicU64::new(0);
    let records = std::iter::from_fn(|| {
        let record = model.next();
        traces.store(model.traces_started(), Ordering::Relaxed);
        record
    });
    let produced = with_progress(&counters, &traces, || {
        produce(records, &producer, &counters, stop, acknowledged)
    });
    if let Some(path) = &args.ledger {
        let ledger = lock(&ledger);
        let written = File::create(path).and_then(|file| ledger.write(BufWriter::new(file)));
        written.map_err(|error| {
            let path = path.display();
            CommandError::failed(format_args!("cannot write the ledger {path}: {error}"))
        })?;
    }
    produced.map_err(|error| {
        let needed = [Acl::topic(Operation::Write, &args.topic)];
        let denied = access::check_login(&args.brokers, &args.properties, &needed);
        denied.map_or_else(CommandError::failed, |()| CommandError::failed(error))
    })
}

/// Prints progress to stderr while `work` runs, and a summary after it.
fn with_progress<T>(counters: &Counters, traces: &AtomicU64, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let (done, over) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            while over.recv_timeout(PROGRESS_INTERVAL) == Err(mpsc::RecvTimeoutError::Timeout) {
                print_progress("generated", counters, traces, started.elapsed());
            }
        });
        let result = work();
        drop(done);
        print_progress("in all", counters, traces, started.elapsed());
        result
    })
}

fn print_progress(label: &str, counters: &Counters, traces: &AtomicU64, elapsed: Duration) {
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let spans = count(&counters.spans_acknowledged);
    let seconds = elapsed.as_secs_f64();
    eprintln!(
        "{label}: {} traces, {spans} spans, {} records, {:.1} MB in {seconds:.1} s, {:.0} spans/s, {} not acknowledged",
        count(traces),
        count(&counters.records_acknowledged),
        count(&counters.bytes_acknowledged) as f64 / 1e6,
        spans as f64 / seconds.max(0.001),
        count(&counters.records_sent).saturating_sub(count(&counters.records_acknowledged)),
    );
}
