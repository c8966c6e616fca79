//! The metrics of this process, read back from the text that Prometheus gets: so what is shown is what
//! is scraped.

use std::collections::BTreeMap;

use crate::telemetry::accounts::Amount;
use crate::telemetry::metrics::Family;
use crate::telemetry::metrics::text::{Series, series};

/// One state of all metrics.
#[derive(Debug, Default)]
pub(super) struct Scrape {
    /// By name.
    series: BTreeMap<String, Vec<Series>>,
}

impl Scrape {
    /// Reads the text format of Prometheus. A line that cannot be read is left out.
    pub(super) fn read(text: &str) -> Self {
        let mut scrape = Self::default();
        for (name, series) in series(text) {
            scrape.series.entry(name.to_owned()).or_default().push(series);
        }
        scrape
    }

    fn of(&self, family: Family) -> impl Iterator<Item = &Series> {
        self.series.get(family.name).into_iter().flatten()
    }

    /// All series of a family, added up.
    pub(super) fn sum(&self, family: Family) -> f64 {
        self.of(family).map(|series| series.value).sum()
    }

    /// The largest of all series of a family; 0 if there are none.
    pub(super) fn max(&self, family: Family) -> f64 {
        self.of(family).map(|series| series.value).fold(0.0, f64::max)
    }

    /// The value of a series of a family, with these values of its labels, added up over the others.
    pub(super) fn with(&self, family: Family, labels: &[(&str, &str)]) -> f64 {
        let is_it =
            |series: &&Series| labels.iter().all(|(name, value)| series.label(name) == Some(value));
        self.of(family).filter(is_it).map(|series| series.value).sum()
    }

    /// The values of a label of a family, in order.
    pub(super) fn values(&self, family: Family, label: &str) -> Vec<String> {
        let mut values: Vec<String> =
            self.of(family).filter_map(|series| series.label(label)).map(str::to_owned).collect();
        values.sort();
        values.dedup();
        values
    }

    /// The value of a metric by its name, if it is there.
    pub(super) fn get(&self, name: &str) -> Option<f64> {
        Some(self.series.get(name)?.first()?.value)
    }

    /// Traces, spans and bytes, each added up over all series.
    pub(super) fn amount(&self, [traces, spans, bytes]: [Family; 3]) -> Amount {
        let count = |family| count(self.sum(family));
        Amount { traces: count(traces), spans: count(spans), bytes: count(bytes) }
    }

    /// Traces, spans and bytes of a policy.
    pub(super) fn amount_of(&self, families: [Family; 3], policy: &str) -> Amount {
        let [traces, spans, bytes] =
            families.map(|family| count(self.with(family, &[("policy", policy)])));
        Amount { traces, spans, bytes }
    }
}

/// What a metric counts is a whole number.
pub(super) fn count(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::telemetry::metrics::table;

    #[test]
    fn what_the_recorder_writes_is_read_whatever_a_policy_is_called() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let names = ["plain", "a \"quoted\" {one}, b=\"c\"", "back\\slash\nand line", "<b>ü</b> "];
        metrics::with_local_recorder(&recorder, || {
            for (number, name) in names.into_iter().enumerate() {
                table::KEPT_SPANS.with(&[name]).increment(number as u64 + 1);
            }
            table::LAG_SECONDS.with(&["a"]).set(1.5);
            table::LAG_SECONDS.with(&["b"]).set(2.5);
        });
        let scrape = Scrape::read(&recorder.handle().render());
        let kept = table::KEPT_SPANS.family();
        for (number, name) in names.into_iter().enumerate() {
            assert_eq!(scrape.with(kept, &[("policy", name)]), number as f64 + 1.0, "{name}");
        }
        assert_eq!(scrape.sum(kept), 10.0);
        let lag = table::LAG_SECONDS.family();
        assert_eq!((scrape.sum(lag), scrape.max(lag)), (4.0, 2.5));
        assert_eq!(scrape.values(lag, "consumer"), ["a", "b"]);
        assert_eq!(scrape.sum(table::DROPPED_SPANS.family()), 0.0);
    }

    #[test]
    fn lines_that_are_no_series_are_left_out() {
        let text = "# HELP a b\na 1\n\na{ 2\nb{c=\"d} 3\nc\nd{e=\"f\"} x\ne{f=\"g\",} 4\n";
        let scrape = Scrape::read(text);
        let got = ["a", "b", "c", "d", "e"].map(|name| scrape.get(name));
        assert_eq!(got, [Some(1.0), None, None, None, Some(4.0)]);
    }
}
