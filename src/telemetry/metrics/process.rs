//! Metrics of the process from Linux's `/proc`, with the names of the Prometheus client libraries.
//! Other systems do not have them.
//!
//! They are written by hand because counters of the recorder are integers, and CPU time is not.

use std::fs;

use super::{Metric, table};

/// Clock ticks a second in `/proc`: `USER_HZ`, part of the kernel's interface.
const TICKS_PER_SECOND: f64 = 100.0;

/// Indexes of fields in `/proc/self/stat`, counted from the one after the command (proc(5)).
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;
const THREADS: usize = 17;
const START_TICKS: usize = 19;

/// The process's metrics, in the text format of Prometheus.
pub(super) fn render() -> String {
    let stat = fs::read_to_string("/proc/self/stat").ok();
    let field = |place| stat.as_deref().and_then(|stat| stat_field(stat, place));
    let cpu = field(USER_TICKS).zip(field(SYSTEM_TICKS)).map(|(user, system)| user + system);
    let start = boot_time().zip(field(START_TICKS));
    let start = start.map(|(boot, ticks)| boot + ticks / TICKS_PER_SECOND);
    let files = fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as f64);
    [
        text(&table::PROCESS_CPU, cpu.map(|ticks| ticks / TICKS_PER_SECOND)),
        text(&table::PROCESS_MEMORY, resident_bytes()),
        text(&table::PROCESS_START, start),
        text(&table::PROCESS_FILES, files),
        text(&table::PROCESS_THREADS, field(THREADS)),
    ]
    .concat()
}

/// A metric of which the value is known.
fn text<H>(metric: &Metric<H>, value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| metric.text(&[], value))
}

/// A numeric field of a `stat` line. The command may contain blanks and brackets, so counting starts
/// after the last bracket.
fn stat_field(stat: &str, place: usize) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(place)?.parse().ok()
}

fn resident_bytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0)
}

fn boot_time() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_behind_the_command_whatever_its_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 12345 1 2";
        assert_eq!(stat_field(stat, USER_TICKS), Some(250.0));
        assert_eq!(stat_field(stat, SYSTEM_TICKS), Some(50.0));
        assert_eq!(stat_field(stat, THREADS), Some(9.0));
        assert_eq!(stat_field(stat, START_TICKS), Some(12345.0));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn every_metric_is_there_on_linux() {
        let text = render();
        for name in [
            "cpu_seconds_total",
            "resident_memory_bytes",
            "start_time_seconds",
            "open_fds",
            "threads",
        ] {
            assert!(text.contains(&format!("\nprocess_{name} ")), "{name} in {text}");
        }
    }
}
