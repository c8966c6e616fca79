//! tailsieve and the Collector side by side, as far as each was measured.

use std::fmt;

use crate::live::Live;
use crate::report::{Medians, Report};

/// A table of both; `f64::NAN` where something was not measured.
pub struct Comparison<'a> {
    pub report: &'a Report,
    /// tailsieve's and the Collector's, if there was live traffic.
    pub live: &'a [Live],
}

impl Comparison<'_> {
    /// A figure of two lanes.
    fn lanes(&self, suffix: &str, figure: impl Fn(&Medians) -> f64) -> [f64; 2] {
        ["tailsieve", "Collector"].map(|lane| {
            let medians = self.report.medians_of(&format!("{lane}{suffix}"));
            medians.map_or(f64::NAN, |it| figure(&it))
        })
    }

    fn live(&self, figure: impl Fn(&Live) -> f64) -> [f64; 2] {
        [0, 1].map(|number| self.live.get(number).map_or(f64::NAN, &figure))
    }
}

impl fmt::Display for Comparison<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MIB: f64 = (1 << 20) as f64;
        writeln!(f, "{:<44} {:>12} {:>12} {:>10}", "", "tailsieve", "Collector", "ratio")?;
        let mut row = |name: &str, [own, other]: [f64; 2], digits: usize| {
            write!(f, "{name:<44} {own:>12.digits$}")?;
            if other.is_finite() {
                write!(f, " {other:>12.digits$}")?;
            }
            if own > 0.0 && other > 0.0 {
                write!(f, " {:>9.2}x", other / own)?;
            }
            writeln!(f)
        };
        row("CPU us/span", self.lanes("", |it| it.cpu), 2)?;
        row("CPU us/span, kept spans sent as gzip", self.lanes(", gzip", |it| it.cpu), 2)?;
        row("spans/s", self.lanes("", |it| it.rate), 0)?;
        row("spans/s, gzip", self.lanes(", gzip", |it| it.rate), 0)?;
        row("peak memory, MiB", self.lanes("", |it| it.peak_rss / MIB), 0)?;
        row("peak memory, MiB, gzip", self.lanes(", gzip", |it| it.peak_rss / MIB), 0)?;
        if self.live.is_empty() {
            return Ok(());
        }
        row("live: CPU us/span", self.live(|it| it.cpu_us_per_span), 2)?;
        row("live: arrives after it was due, p50 ms", self.live(|it| it.delay_p50_ms), 0)?;
        row("live: arrives after it was due, p99 ms", self.live(|it| it.delay_p99_ms), 0)?;
        row("live: most spans buffered", self.live(|it| it.buffered_spans as f64), 0)?;
        row("live: memory then, MiB", self.live(|it| it.rss_bytes as f64 / MIB), 0)?;
        row("live: memory before traffic, MiB", self.live(|it| it.idle_rss_bytes as f64 / MIB), 0)?;
        row("live: bytes per buffered span", self.live(Live::bytes_per_buffered_span), 0)?;
        row("kill -9: spans with an error or slow", self.live(|it| it.expected_spans as f64), 0)?;
        row("kill -9: of these lost", self.live(|it| it.lost_spans as f64), 0)?;
        let percent = |it: &Live| it.lost_spans as f64 * 100.0 / it.expected_spans as f64;
        row("kill -9: of these lost, %", self.live(percent), 2)?;
        row("kill -9: traces of them", self.live(|it| it.expected_traces as f64), 0)?;
        row("kill -9: traces that never arrived", self.live(|it| it.lost_traces as f64), 0)?;
        row("kill -9: traces that arrived in part", self.live(|it| it.cut_traces as f64), 0)?;
        row("kill -9: spans that arrived again", self.live(|it| it.duplicates as f64), 0)
    }
}
