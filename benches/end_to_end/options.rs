//! What can be asked for.

use std::path::PathBuf;

use tailsieve::testing::testbed::generator::Layout;

/// What a span costs, against a bare consumer.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "cargo bench --bench end_to_end --", args_override_self = true)]
pub struct Options {
    /// Spans on the topic
    #[arg(long, default_value_t = 1_500_000, value_parser = clap::value_parser!(u64).range(1000..))]
    pub spans: u64,
    /// How often each lane has its turn; medians are shown; 0: no turns, for live traffic alone
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// How the topic is compressed
    #[arg(long, default_value = "none", value_parser = ["none", "gzip", "snappy", "lz4", "zstd"])]
    pub codec: String,
    /// What a record holds: small records of one trace, what one service did for a trace, or batches
    #[arg(long, value_enum, default_value_t = Layout::Service)]
    pub shape: Layout,
    /// Partitions of the topic
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(i32).range(1..))]
    pub partitions: i32,
    /// Members of the group
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    pub members: usize,
    /// The policy file
    #[arg(long, value_name = "FILE", default_value = POLICIES)]
    pub policies: PathBuf,
    /// About how many traces are open at a time, which the topic's own time is stretched for
    #[arg(long, default_value_t = 8_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub open_traces: u64,
    /// Another tailsieve that has its turns, too: how a change is told from noise
    #[arg(long, value_name = "BINARY")]
    pub other: Option<PathBuf>,
    /// An OpenTelemetry Collector that has its turns, too; the policy file is its whole configuration
    #[arg(long, value_name = "BINARY")]
    pub collector: Option<PathBuf>,
    /// After the turns, so many seconds of live traffic for tailsieve, a bare loop, the other tailsieve
    /// and the Collector if there are, which are killed in the middle of it; 0: none
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub live: u64,
    /// Spans per second of it
    #[arg(long, value_name = "SPANS", default_value_t = 8_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub live_rate: u64,
    /// Kills nothing: what is lost then is not lost by the kill
    #[arg(long)]
    pub no_kill: bool,
    /// Where the figures go
    #[arg(long, value_name = "FILE", default_value = JSON)]
    pub json: PathBuf,
    /// Fail if the CPU time of a span is above so many times that of the bare loop, both of the
    /// whole run and from a third on
    #[arg(long, value_name = "RATIO")]
    pub fail_above: Option<f64>,
    /// Fail if live the CPU time of a span is above so many times that of the bare loop
    #[arg(long, value_name = "RATIO")]
    pub fail_live_above: Option<f64>,
    /// At most 600 000 spans and two rounds: what CI has time for
    #[arg(long)]
    pub quick: bool,
    /// What cargo says
    #[arg(long, hide = true)]
    pub bench: bool,
}

/// The policies that come with tailsieve.
const POLICIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/policies.yaml");

const JSON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/bench/end_to_end.json");

/// How many spans and rounds `--quick` has at most.
const QUICK_SPANS: u64 = 600_000;
const QUICK_ROUNDS: usize = 2;

impl Options {
    /// With what follows from the others, or what is wrong with them.
    pub fn settled(mut self) -> Result<Self, String> {
        let files = [Some(&self.policies), self.other.as_ref(), self.collector.as_ref()];
        if let Some(missing) = files.into_iter().flatten().find(|file| !file.is_file()) {
            return Err(format!("there is no file {}", missing.display()));
        }
        // It is named in a file in another folder.
        self.policies = std::path::absolute(&self.policies).map_err(|error| error.to_string())?;
        if self.quick {
            self.spans = self.spans.min(QUICK_SPANS);
            self.rounds = self.rounds.min(QUICK_ROUNDS);
        }
        Ok(self)
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("not a number of at least 1".to_owned()),
        Ok(number) => Ok(number),
    }
}
