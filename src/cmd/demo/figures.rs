//! The figures that are shown, taken from the metrics as anybody can scrape them.

use std::collections::BTreeMap;
use std::fmt;

/// Some of the metrics at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Figures {
    pub(super) received: Amounts,
    pub(super) kept: Amounts,
    pub(super) dropped: Amounts,
    pub(super) open: Amounts,
    pub(super) late: Amounts,
    pub(super) invalid: Amounts,
    pub(super) revoked: Amounts,
    pub(super) replayed: Amounts,
    /// Traces by policy.
    pub(super) kept_by: BTreeMap<String, f64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Amounts {
    pub(super) traces: f64,
    pub(super) spans: f64,
    pub(super) bytes: f64,
}

impl Figures {
    /// Reads a page of metrics in the text format of Prometheus.
    pub(super) fn of(page: &str) -> Self {
        let mut figures = Self::default();
        for line in page.lines() {
            if let Some((series, value)) = line.rsplit_once(' ')
                && let Ok(value) = value.parse()
            {
                figures.take_in(series, value);
            }
        }
        figures
    }

    fn take_in(&mut self, series: &str, value: f64) {
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let Some(name) = name.strip_prefix("tailsieve_") else { return };
        let name = name.strip_suffix("_total").unwrap_or(name);
        let Some((what, unit)) = name.rsplit_once('_') else { return };
        let amounts = match what {
            "received" => &mut self.received,
            "kept" => &mut self.kept,
            "dropped" => &mut self.dropped,
            "open" => &mut self.open,
            "late" => &mut self.late,
            "invalid" => &mut self.invalid,
            "revoked" => &mut self.revoked,
            "replayed" => &mut self.replayed,
            _ => return,
        };
        match unit {
            "traces" => amounts.traces += value,
            "spans" => amounts.spans += value,
            "bytes" => amounts.bytes += value,
            _ => return,
        }
        if what == "kept" && unit == "traces" {
            let policy = labels.trim_start_matches("policy=\"").trim_end_matches("\"}");
            self.kept_by.insert(policy.to_owned(), value);
        }
    }

    /// True if what came in is what became of it.
    pub(super) fn balance(&self) -> bool {
        let gone = [self.kept, self.dropped, self.late, self.invalid, self.revoked];
        let rest = gone.into_iter().chain([self.open, self.replayed]);
        let of = |unit: fn(&Amounts) -> f64| rest.clone().map(|it| unit(&it)).sum::<f64>();
        self.received.spans == of(|it| it.spans)
            && self.received.bytes == of(|it| it.bytes)
            && self.received.traces == of(|it| it.traces)
    }

    /// Share of the decided spans that were dropped, in percent.
    pub(super) fn drop_rate(&self) -> f64 {
        let decided = self.kept.spans + self.dropped.spans;
        if decided == 0.0 { 0.0 } else { 100.0 * self.dropped.spans / decided }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<18}{:>12}{:>12}{:>12}", "accounts", "traces", "spans", "MB")?;
        let rows = [
            ("received", self.received),
            ("kept", self.kept),
            ("dropped", self.dropped),
            ("open", self.open),
            ("late", self.late),
            ("invalid", self.invalid),
            ("handed over", self.revoked),
            ("read again", self.replayed),
        ];
        for (label, Amounts { traces, spans, bytes }) in rows {
            writeln!(f, "{label:<18}{traces:>12}{spans:>12}{:>12.1}", bytes / 1e6)?;
        }
        write!(f, "{:<18}{:>12.1} % of the decided spans", "drop rate", self.drop_rate())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_summed_over_their_labels() {
        let figures = Figures::of(
            "# HELP tailsieve_kept_traces_total traces\n\
             tailsieve_received_traces_total 7\n\
             tailsieve_kept_traces_total{policy=\"errors\"} 2\n\
             tailsieve_kept_traces_total{policy=\"the rest\"} 1\n\
             tailsieve_dropped_traces_total{policy=\"none\"} 3\n\
             tailsieve_open_traces 1\n\
             tailsieve_received_spans_total 5\n\
             tailsieve_replayed_spans_total{outcome=\"dropped\"} 2\n\
             tailsieve_replayed_spans_total{outcome=\"forwarded\"} 3\n\
             tailsieve_buffer_limit_bytes 99\n",
        );
        assert_eq!(figures.kept.traces, 3.0);
        assert_eq!(figures.kept_by["the rest"], 1.0);
        assert!(figures.balance());
        assert!(!Figures::of("tailsieve_received_spans_total 7\n").balance());
    }
}
