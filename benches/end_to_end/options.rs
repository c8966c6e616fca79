//! What can be asked for.

use std::path::{Path, PathBuf};

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
    /// The tailsieve that is measured, instead of the one that was built with this bench
    #[arg(long, value_name = "BINARY", default_value = OWN, hide_default_value = true)]
    pub binary: PathBuf,
    /// Other tailsieves that have their turns, too: how a change is told from noise
    #[arg(long, value_name = "BINARY")]
    pub other: Vec<PathBuf>,
    /// A setting of tailsieve's Kafka client
    #[arg(long, value_name = "NAME=VALUE", value_parser = property)]
    pub property: Vec<(String, String)>,
    /// Two more lanes: tailsieve while another process opens traces as fast as its budget allows, and
    /// while another reads the topic: what it costs that somebody else uses the machine
    #[arg(long)]
    pub lookups: bool,
    /// More lanes: `tailsieve whatif` with one candidate and with four, on what tailsieve has decided
    #[arg(long)]
    pub what_if: bool,
    /// An OpenTelemetry Collector that has its turns, too; the policy file is its whole configuration
    #[arg(long, value_name = "BINARY")]
    pub collector: Option<PathBuf>,
    /// After the turns, so many seconds of live traffic for tailsieve, a bare loop, the other tailsieves
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

/// The tailsieve that was built with this bench.
const OWN: &str = env!("CARGO_BIN_EXE_tailsieve");

/// The policies that come with tailsieve.
const POLICIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/policies.yaml");

const JSON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/bench/end_to_end.json");

/// How many spans and rounds `--quick` has at most.
const QUICK_SPANS: u64 = 600_000;
const QUICK_ROUNDS: usize = 2;

impl Options {
    /// With what follows from the others, or what is wrong with them.
    pub fn settled(mut self) -> Result<Self, String> {
        let named = [&self.policies, &self.binary];
        let files = named.into_iter().chain(&self.other).chain(&self.collector);
        let missing: Vec<_> = files.filter(|file| !file.is_file()).cloned().collect();
        if let Some(missing) = missing.first() {
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

    /// What a lane with another tailsieve is called.
    pub fn name_of(other: &Path) -> String {
        other.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The settings of tailsieve's Kafka client, as YAML, with those that `else_` has.
    pub fn properties(&self, else_: &[(&str, &str)]) -> String {
        let given = self.property.iter().map(|(name, value)| format!("{name}: '{value}'"));
        let else_ = else_.iter().filter(|(name, _)| self.property.iter().all(|it| it.0 != *name));
        let else_ = else_.map(|(name, value)| format!("{name}: '{value}'"));
        format!("{{{}}}", given.chain(else_).collect::<Vec<_>>().join(", "))
    }
}

fn property(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("not of the form NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("not a number of at least 1".to_owned()),
        Ok(number) => Ok(number),
    }
}
