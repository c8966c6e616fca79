//! `tailsieve size`: what a load needs, before anything is installed.
//!
//! Owns what is asked for and how it is printed. The arithmetic is in [`model`], from measured
//! constants; the bytes of the decision log are those that this build writes.

mod model;

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use super::process::{self, CommandError, Output};
use crate::config::PolicyFile;
use crate::ids::{Offset, Timestamp, TraceId};
use crate::kafka::decision_log::{GroupHash, LogBatch, OwnerId};
use crate::otlp::probability::Threshold;
use crate::sampling::decided::{DecisionRecord, Kept, SamplingDecision, TraceDetails};
use crate::sampling::trace::{RecordOffsets, Trigger};
use crate::units;

use model::{EntryBytes, Load, Need};

/// Say what a load needs: cores, members, partitions, memory, and what Kafka has to carry.
///
/// Takes the rate at its peak, and leaves room for one member to be away. The constants behind it
/// are measured; docs/performance.md has them.
#[derive(Clone, Debug, clap::Args)]
pub struct SizeArgs {
    /// Spans a second, at the peak
    #[arg(long, value_name = "SPANS", value_parser = positive)]
    rate: f64,
    /// Size of a span, such as 600 or 1KiB: bytes of the topic by spans on it
    #[arg(long, value_name = "SIZE", default_value = "600", value_parser = size)]
    span_bytes: u64,
    /// Spans of a trace
    #[arg(long, value_name = "NUMBER", default_value = "10", value_parser = positive)]
    spans_per_trace: f64,
    /// How long a trace is open: decision_wait at most; usually its duration and
    /// decision_wait_after_root_received
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = duration)]
    wait: Duration,
    /// How much is kept, such as 10%
    #[arg(long, value_name = "SHARE", default_value = "10%", value_parser = share)]
    kept: f64,
    /// Cores of a member
    #[arg(long, value_name = "NUMBER", default_value = "2",
        value_parser = clap::value_parser!(u64).range(1..=1024))]
    member_cores: u64,
    /// How long spans stay on their topic: longer than an outage that you want to survive
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration)]
    retention: Duration,
    /// Copies of each partition, of both topics
    #[arg(long, value_name = "NUMBER", default_value = "3",
        value_parser = clap::value_parser!(u8).range(1..))]
    replication: u8,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.replace('_', "").parse::<f64>().ok();
    let number = number.filter(|number| (1e-3..=1e12).contains(number));
    number.ok_or_else(|| "expected a number above 0, such as 20000".to_owned())
}

fn size(text: &str) -> Result<u64, String> {
    units::parse_size(text).and_then(|bytes| match bytes {
        0 => Err("expected a size above 0".to_owned()),
        bytes => Ok(bytes),
    })
}

fn duration(text: &str) -> Result<Duration, String> {
    units::parse_duration(text)
}

/// A share of 1, as `10%` or `0.1`.
fn share(text: &str) -> Result<f64, String> {
    let (number, whole) = text.strip_suffix('%').map_or((text, 1.0), |text| (text, 100.0));
    let share = number.trim().parse::<f64>().ok().map(|number| number / whole);
    let share = share.filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "expected a share such as 10%, between 0% and 100%".to_owned())
}

/// Prints what the load needs.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(args: &SizeArgs) -> Result<ExitCode, CommandError> {
    let load = load(args);
    let need = load.need();
    let text = match args.output {
        Output::Text => text(&load, &need),
        Output::Json => {
            let json = serde_json::to_string_pretty(&need);
            json.map_err(CommandError::failed)? + "\n"
        }
    };
    process::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn load(args: &SizeArgs) -> Load {
    let defaults = PolicyFile::default();
    Load {
        rate: args.rate,
        span_bytes: args.span_bytes as f64,
        spans_per_trace: args.spans_per_trace,
        wait: args.wait,
        kept: args.kept,
        cache_ttl: defaults.decision_cache_ttl,
        cache_entries: defaults.decision_cache_entries,
        queue_bytes: 8 << 20,
        sending_queue_bytes: 64 << 20,
        member_cores: args.member_cores,
        retention: args.retention,
        replication: args.replication.into(),
        log_retention: Duration::from_secs(24 * 3600),
        entry_bytes: EntryBytes {
            dropped: entry_bytes(false, true),
            kept: entry_bytes(true, true),
            delivered: entry_bytes(true, false),
        },
    }
}

/// How many bytes an entry of the decision log has, as this build writes it: of a kept trace, or of a
/// dropped one; of the decision, with what is known of the trace, or of the delivery. It has a policy
/// with a name of twelve letters, large offsets, and names that others of its record have, too.
fn entry_bytes(kept: bool, is_decision: bool) -> f64 {
    const ENTRIES: u32 = 100;
    let policy = "a-policy-two".into();
    let threshold = Threshold::from_probability(0.1);
    let decision = match kept {
        true => SamplingDecision::Kept(Kept { policy, threshold, consistent: true }),
        false => SamplingDecision::Dropped,
    };
    let record = DecisionRecord {
        trace_id: TraceId::from_slice(&[1; 16]).expect("it is not zero"),
        decision,
        dropped_by: None,
        first: Offset(1_000_000_000),
        last: Offset(1_000_001_000),
        at: Timestamp(1_764_480_691_123),
        trigger: Trigger::Root,
        delivered: false,
    };
    let mut batch = LogBatch::new(GroupHash::of("tailsieve"), OwnerId(u64::MAX));
    let mut records = RecordOffsets::one(record.first);
    (1..=5).for_each(|step| records.add(Offset(record.first.0 + step * 200)));
    let details = TraceDetails {
        records,
        spans: 20,
        bytes: 12_000,
        duration: Some(Duration::from_millis(300)),
        errors: Some(0),
        service: "checkout".into(),
        name: "POST /checkout".into(),
    };
    let details = is_decision.then_some(&details);
    (0..ENTRIES).for_each(|_| batch.push(&record, details));
    batch.bytes() as f64 / f64::from(ENTRIES)
}

fn text(load: &Load, need: &Need) -> String {
    let Need { cpu, members, partitions, member, kafka, backend } = need;
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let line = format!("{name:<28}{value}");
        let _ = writeln!(text, "{}", line.trim_end());
    };
    line(
        "members",
        format!("{members}: {} have room for everything, one may be away", members - 1),
    );
    line("  cores", format!("{} each", member.cores));
    line("  memory", format!("{} each (its limit)", bytes(member.memory_bytes as f64)));
    line("  buffer.max_bytes", format!("{}MiB", member.buffer_max_bytes >> 20));
    let open = format_args!("{} traces", count(member.open_traces));
    line("  open, while one is away", format!("{open}, {}", bytes(member.open_bytes as f64)));
    line("  decisions remembered", bytes(member.decisions_bytes as f64));
    let busy = format_args!("{:.2} busy", cpu.busy_cores);
    line("cores of all", format!("{:.2} ({busy}, and half of it in reserve)", cpu.planned_cores));
    line("partitions", format!("{partitions} at least, of the input and of the decision log"));
    line("Kafka, before compression", String::new());
    let input = rate(kafka.input_bytes_per_second);
    line("  input", format!("{input} written, and read once; {}", bytes(kafka.input_stored_bytes)));
    let log = rate(kafka.decision_log_bytes_per_second);
    let entries = count(kafka.decision_log_entries_per_second);
    let stored = bytes(kafka.decision_log_stored_bytes);
    line("  decision log", format!("{log} written ({entries} entries/s); {stored}"));
    let kept = count(backend.spans_per_second);
    let sent = rate(backend.bytes_per_second);
    line("backend", format!("{sent} before compression ({kept} spans/s)"));
    let retention = humantime::format_duration(load.retention);
    let _ = write!(
        text,
        "\nTopics hold {retention} of the input and 1day of decisions, in {} copies.\nMeasured: 2.54 us of \
         CPU a span (live, spans of 617 bytes), 1.3 bytes of memory\nfor each byte of open \
         traces, 40 bytes a decision. Larger spans, many policies and slow\nmachines cost more: \
         docs/performance.md.\n",
        load.replication
    );
    text
}

fn rate(per_second: f64) -> String {
    format!("{}/s", bytes(per_second))
}

/// In the unit where it has up to three digits before its point.
fn bytes(bytes: f64) -> String {
    scaled(bytes, 1024.0, &[" B", " KiB", " MiB", " GiB", " TiB", " PiB"])
}

fn count(number: f64) -> String {
    scaled(number, 1000.0, &["", " thousand", " million", " billion"])
}

fn scaled(number: f64, factor: f64, units: &[&str]) -> String {
    let (mut number, mut unit) = (number, 0);
    while number >= factor && unit + 1 < units.len() {
        number /= factor;
        unit += 1;
    }
    let digits = usize::from(number < 99.95 && (unit > 0 || number.fract() > 0.0));
    format!("{number:.digits$}{}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_numbers_are_read_as_people_write_them() {
        assert_eq!(share("14%"), Ok(0.14));
        assert_eq!(share("0.5"), Ok(0.5));
        assert_eq!(positive("20_000"), Ok(20_000.0));
        for wrong in ["101%", "-1", "a", "NaN"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
        for wrong in ["0", "-1", "inf", "NaN", ""] {
            assert!(positive(wrong).is_err(), "{wrong}");
        }
        assert!(size("0").is_err());
    }

    #[test]
    fn numbers_are_printed_as_people_read_them() {
        assert_eq!(bytes(1536.0), "1.5 KiB");
        assert_eq!(bytes(1_536_000_000.0), "1.4 GiB");
        assert_eq!(bytes(300.0 * 1024.0), "300 KiB");
        assert_eq!(count(11_000.0), "11.0 thousand");
        assert_eq!(count(7.0), "7");
    }

    /// What a dropped and a kept trace cost on the log: an id of 18 bytes, an outcome of 2, a policy of 14, a
    /// threshold of 9, its kind of 2, offsets of 12, a time of 7, a trigger of 2, and 2 before them. Of the
    /// trace: six records of 13, spans of 2, bytes of 3, a duration of 5, errors of 2, two names of 2 each,
    /// and 2 before them.
    #[test]
    fn entries_are_as_long_as_they_are_written() {
        let (dropped, kept) = (entry_bytes(false, true), entry_bytes(true, true));
        let delivered = entry_bytes(true, false);
        assert!((74.0..75.5).contains(&dropped), "{dropped}");
        assert!((97.0..101.0).contains(&kept), "{kept}");
        assert!((66.0..69.0).contains(&delivered), "{delivered}");
    }
}
