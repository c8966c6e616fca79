//! Those that were measured side by side, a column each, with how many times tailsieve's figure each
//! of the others has.

use std::fmt;

use crate::live::Live;
use crate::report::{Medians, Report};

const MIB: f64 = (1 << 20) as f64;

/// tailsieve and the Collector on the topic, as far as each had its turns.
pub struct Backlog<'a>(pub &'a Report);

/// All that read the live traffic; tailsieve is the first.
pub struct SideBySide<'a>(pub &'a [Live]);

/// Writes a row: figures that are not known stay empty.
fn row(f: &mut fmt::Formatter<'_>, name: &str, figures: &[f64], digits: usize) -> fmt::Result {
    write!(f, "{name:<44}")?;
    for (number, figure) in figures.iter().enumerate() {
        if figure.is_finite() {
            write!(f, " {figure:>12.digits$}")?;
        } else {
            write!(f, " {:>12}", "")?;
        }
        let ratio = figure / figures[0];
        match (number, ratio.is_finite() && ratio > 0.0) {
            (0, _) => {}
            (_, true) => write!(f, " {ratio:>8.2}x")?,
            (_, false) => write!(f, " {:>9}", "")?,
        }
    }
    writeln!(f)
}

fn heading<'a>(
    f: &mut fmt::Formatter<'_>,
    what: &str,
    lanes: impl Iterator<Item = &'a str>,
) -> fmt::Result {
    write!(f, "{what:<44}")?;
    for (number, lane) in lanes.enumerate() {
        write!(f, " {lane:>12}{}", if number == 0 { "" } else { "          " })?;
    }
    writeln!(f)
}

impl Backlog<'_> {
    fn figures(&self, suffix: &str, figure: impl Fn(&Medians) -> f64) -> [f64; 2] {
        ["tailsieve", "Collector"].map(|lane| {
            let medians = self.0.medians_of(&format!("{lane}{suffix}"));
            medians.map_or(f64::NAN, |it| figure(&it))
        })
    }
}

impl fmt::Display for Backlog<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        heading(f, "backlog", ["tailsieve", "Collector"].into_iter())?;
        row(f, "CPU us/span", &self.figures("", |it| it.cpu), 2)?;
        row(f, "CPU us/span, kept spans sent as gzip", &self.figures(", gzip", |it| it.cpu), 2)?;
        row(f, "spans/s", &self.figures("", |it| it.rate), 0)?;
        row(f, "spans/s, gzip", &self.figures(", gzip", |it| it.rate), 0)?;
        row(f, "peak memory, MiB", &self.figures("", |it| it.peak_rss / MIB), 0)?;
        row(f, "peak memory, MiB, gzip", &self.figures(", gzip", |it| it.peak_rss / MIB), 0)
    }
}

impl fmt::Display for SideBySide<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.0;
        heading(f, "live", all.iter().map(|it| it.lane.as_str()))?;
        let reader = |figure: fn(&Live) -> f64| all.iter().map(figure).collect::<Vec<_>>();
        // The bare loop keeps and delivers nothing.
        let sampler = |figure: fn(&Live) -> f64| {
            let of = |it: &Live| if it.expected_spans > 0 { figure(it) } else { f64::NAN };
            all.iter().map(of).collect::<Vec<_>>()
        };
        row(f, "CPU us/span", &reader(|it| it.cpu_us_per_span), 2)?;
        row(f, "CPU, % of a core", &reader(|it| it.core_percent), 2)?;
        row(f, "context switches a second", &reader(|it| it.switches_per_second), 0)?;
        row(f, "arrives after it was due, p50 ms", &sampler(|it| it.delay_p50_ms), 0)?;
        row(f, "arrives after it was due, p99 ms", &sampler(|it| it.delay_p99_ms), 0)?;
        row(f, "memory before traffic, MiB", &reader(|it| it.idle_rss_bytes as f64 / MIB), 0)?;
        row(f, "most spans buffered", &sampler(|it| it.buffered_spans as f64), 0)?;
        row(f, "wire bytes of these, MiB", &sampler(|it| it.buffered_bytes as f64 / MIB), 0)?;
        row(f, "memory then, MiB", &sampler(|it| it.rss_bytes as f64 / MIB), 0)?;
        row(f, "bytes per buffered span", &sampler(Live::bytes_per_buffered_span), 0)?;
        row(f, "spans with an error or slow", &sampler(|it| it.expected_spans as f64), 0)?;
        row(f, "of these lost", &sampler(|it| it.lost_spans as f64), 0)?;
        let percent = |it: &Live| it.lost_spans as f64 * 100.0 / it.expected_spans as f64;
        row(f, "of these lost, %", &sampler(percent), 2)?;
        row(f, "traces of them", &sampler(|it| it.expected_traces as f64), 0)?;
        row(f, "traces that never arrived", &sampler(|it| it.lost_traces as f64), 0)?;
        row(f, "traces that arrived in part", &sampler(|it| it.cut_traces as f64), 0)?;
        row(f, "spans that arrived again", &sampler(|it| it.duplicates as f64), 0)
    }
}
