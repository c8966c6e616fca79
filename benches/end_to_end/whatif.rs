//! `tailsieve whatif` on what tailsieve has decided in its turn before: how fast it is against `tailsieve run`, and
//! what more candidates cost.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::lane::{Figures, Fullest, Processes, Sample, Taken, Turn, decision_log};
use crate::probe;
use crate::report::Report;

/// How often its memory is looked at, and whether it has ended.
const GLANCE: Duration = Duration::from_millis(10);

/// At least this share of the rate at which `tailsieve run` works off a backlog.
const LEAST_RATE: f64 = 0.8;

/// Four candidates take at most so many times the CPU time of one.
const MOST_CPU: f64 = 1.5;

/// What is added to the policies, by candidate.
const MORE: [&str; 3] = [
    "- {name: payment, type: string_attribute, string_attribute: {key: service.name, values: [payment]}}",
    "- {name: server-errors, type: numeric_attribute, numeric_attribute: {key: http.response.status_code, \
     min_value: 500}}",
    "- {name: limited, type: rate_limiting, rate_limiting: {spans_per_second: 1000}}",
];

/// Which candidates are tried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tried {
    /// The policies that are in force.
    One,
    /// These, and each of three files that have a policy more.
    Four,
    /// The policies that are in force, with four values of `decision_wait`.
    Waits,
}

impl Tried {
    /// In the order of their turns.
    pub const ALL: [Self; 3] = [Self::One, Self::Four, Self::Waits];

    /// What the table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::One => "what-if",
            Self::Four => "what-if, four",
            Self::Waits => "what-if, waits",
        }
    }

    fn command(self, turn: &Turn<'_>, binary: &Path, folder: &Path) -> Command {
        let policies = &turn.options.policies;
        let mut command = Command::new(binary);
        command.args(["--log", "warn", "whatif", "--brokers", turn.kafka.address()]);
        command.args(["--topic", &turn.topic.name, "--decision-log", &decision_log(turn.group)]);
        command.args(["--from", "2000-01-01T00:00:00Z", "--output", "json"]);
        command.arg("--policies").arg(policies);
        if self == Self::Waits {
            command.args(["--decision-wait", "10s,15s,30s"]);
        }
        if self == Self::Four {
            let text = fs::read_to_string(policies).expect("the policy file");
            for (number, more) in MORE.iter().enumerate() {
                let file = folder.join(format!("{number}.yaml"));
                let with_more =
                    text.replacen("\npolicies:\n", &format!("\npolicies:\n  {more}\n"), 1);
                assert_ne!(with_more, text, "the policy file has `policies:` on a line of its own");
                fs::write(&file, with_more).expect("written");
                command.arg("--policies").arg(file);
            }
        }
        command
    }

    /// A turn, after that of tailsieve whose decision log is still there.
    pub fn run(self, turn: &Turn<'_>, binary: &Path) -> Figures {
        let folder = tempfile::tempdir().expect("a folder");
        let said = folder.path().join("said.json");
        let mut command = self.command(turn, binary, folder.path());
        command.stdin(Stdio::null()).stdout(fs::File::create(&said).expect("a file"));
        let start = Instant::now();
        let mut children = Processes(vec![command.spawn().expect("tailsieve starts")]);
        let (mut peak_rss, mut rss) = (0, 0);
        // One that has ended is still there to be looked at, without its memory, until it is waited for.
        while !probe::has_ended(&children.0[0]) {
            if let Some(now) = probe::memory_while_running(&children.0[0]) {
                (peak_rss, rss) = now;
            }
            std::thread::sleep(GLANCE);
        }
        let (at, cpu) = (start.elapsed(), probe::cpu(&children.0));
        let status = children.0[0].wait().expect("it can be waited for");
        assert!(status.success(), "what-if ends with {status}");
        assert_compared(&said, turn.topic.traces);
        let read = Sample { cpu, at, records: turn.topic.records as f64 };
        let (third, fullest) = (Sample::default(), Fullest::default());
        let (kept, delivered) = (0, Taken::default());
        Figures { third, read, cpu, peak_rss, rss, fullest, kept, delivered }
    }
}

/// Panics unless nearly all traces were compared.
fn assert_compared(said: &Path, traces: u64) {
    let said = fs::read(said).expect("what it said");
    let said: serde_json::Value = serde_json::from_slice(&said).expect("it is JSON");
    for candidate in said["candidates"].as_array().expect("candidates") {
        let cells = candidate["cells"].as_array().expect("cells").iter();
        let compared = cells.map(|cell| cell["traces"].as_u64().expect("a number")).sum::<u64>();
        assert!(compared * 10 >= traces * 9, "{compared} of {traces} traces were compared");
    }
}

/// Both goals, in a line each.
pub fn goals(report: &Report) -> Option<String> {
    let of = |name: &str| report.medians_of(name);
    let (run, one) = (of("tailsieve")?, of(Tried::One.name())?);
    let (four, waits) = (of(Tried::Four.name())?, of(Tried::Waits.name())?);
    Some(format!(
        "what-if reads at {:.2} times the rate of run (at least {LEAST_RATE} is the goal), {:.2} times that from a \
         third on\nfour candidates take {:.2} times the CPU of one (at most {MOST_CPU}), with four waits {:.2} times",
        one.rate / run.rate,
        one.rate / run.later_rate,
        four.cpu / one.cpu,
        waits.cpu / one.cpu,
    ))
}
