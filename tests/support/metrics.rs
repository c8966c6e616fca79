//! A scrape of `/metrics`: its series, whether the accounts in it balance, and whether it is what the
//! table of metrics says.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use tailsieve::testing::telemetry::metrics::{Family, Kind, table::GROUPS};

/// One answer of `/metrics`.
pub struct Scrape {
    text: String,
    /// By name and labels, as written: `tailsieve_kept_spans_total{policy="errors"}`.
    series: BTreeMap<String, f64>,
}

impl Scrape {
    /// Reads the Prometheus text format.
    pub fn parse(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let series = samples.map(|line| {
            let (series, value) = line.rsplit_once(' ').expect("a series and its value");
            (series.to_owned(), value.parse().expect("a number"))
        });
        Self { text: text.to_owned(), series: series.collect() }
    }

    /// The text as it came.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The value of one series, written as in the text; `None` if there is no such series.
    pub fn get(&self, series: &str) -> Option<f64> {
        self.series.get(series).copied()
    }

    /// All series of the metric `name` and their values, added up; 0 if there are none.
    pub fn sum(&self, name: &str) -> f64 {
        let of_metric = |series: &str| series.split('{').next() == Some(name);
        self.series.iter().filter(|(series, _)| of_metric(series)).map(|(_, value)| value).sum()
    }

    /// The names of the metrics in it.
    pub fn names(&self) -> BTreeSet<&str> {
        let kinds = self.text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        kinds.filter_map(|line| Some(line.split_once(' ')?.0)).collect()
    }

    /// All series whose text begins with `prefix`.
    pub fn starting(&self, prefix: &str) -> Vec<(&str, f64)> {
        let series = self.series.iter().filter(|(series, _)| series.starts_with(prefix));
        series.map(|(series, value)| (series.as_str(), *value)).collect()
    }
}

/// Checks that everything received is accounted for, in traces, spans and bytes:
/// received = kept + dropped + open + late + invalid + revoked.
pub fn check_accounts(scrape: &Scrape) -> Result<(), String> {
    // A trace is received when it is opened: late and invalid spans make none.
    balance(scrape, "traces", &["kept", "dropped", "revoked"])?;
    balance(scrape, "spans", &["kept", "dropped", "late", "invalid", "revoked", "replayed"])?;
    balance(scrape, "bytes", &["kept", "dropped", "late", "invalid", "revoked", "replayed"])
}

fn balance(scrape: &Scrape, unit: &str, gone: &[&str]) -> Result<(), String> {
    let total = |what: &str| scrape.sum(&format!("tailsieve_{what}_{unit}_total"));
    let received = total("received");
    let open = scrape.sum(&format!("tailsieve_open_{unit}"));
    let accounted = open + gone.iter().map(|what| total(what)).sum::<f64>();
    // Counts are whole numbers below 2^53: the sums are exact.
    if received == accounted {
        return Ok(());
    }
    let parts: Vec<String> = gone.iter().map(|what| format!("{what} {}", total(what))).collect();
    let parts = parts.join(", ");
    Err(format!("{unit}: received {received}, but accounted for {accounted}: open {open}, {parts}"))
}

/// Checks that each metric of a scrape is in the table, with this kind, help and labels.
pub fn check_table(scrape: &Scrape) -> Result<(), String> {
    for name in scrape.names() {
        let family = GROUPS.iter().flat_map(|group| group.families).find(|it| it.name == name);
        let family = family.ok_or_else(|| format!("{name} is not in the table of metrics"))?;
        for line in [
            format!("# TYPE {name} {}", family.kind.name()),
            format!("# HELP {name} {}", family.help),
        ] {
            if !scrape.text.lines().any(|found| found == line) {
                return Err(format!("no line {line:?}"));
            }
        }
        for series in scrape.series.keys() {
            check_labels(family, series)?;
        }
    }
    Ok(())
}

/// What the names of a histogram's series end in.
const PARTS: [&str; 3] = ["_bucket", "_sum", "_count"];

/// Checks the labels of a series, if it is one of this family.
fn check_labels(family: &Family, series: &str) -> Result<(), String> {
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let is_histogram = family.kind == Kind::Histogram;
    let is_its = |part: &str| part.is_empty() || is_histogram && PARTS.contains(&part);
    if !name.strip_prefix(family.name).is_some_and(is_its) {
        return Ok(());
    }
    let labels = labels.trim_end_matches('}').split(',').filter_map(|label| label.split_once('='));
    let labels: Vec<_> = labels.filter(|(label, _)| !(is_histogram && *label == "le")).collect();
    let mut pairs = family.labels.iter().zip(&labels);
    let is_as_told = pairs
        .all(|(told, (label, value))| told.name == *label && told.may_be(value.trim_matches('"')));
    if is_as_told && labels.len() == family.labels.len() {
        return Ok(());
    }
    Err(format!("{series} has other labels than the table says"))
}

/// Checks a scrape with `promtool check metrics`, which must have nothing to say.
pub fn promtool_check_metrics(scrape: &Scrape) -> Result<(), String> {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("needs promtool (Debian: prometheus): {error}"))?;
    let mut stdin = promtool.stdin.take().expect("stdin is piped");
    stdin.write_all(scrape.text.as_bytes()).map_err(|error| error.to_string())?;
    drop(stdin);
    let output = promtool.wait_with_output().map_err(|error| error.to_string())?;
    let said = [output.stdout, output.stderr].concat();
    if output.status.success() && said.is_empty() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&said).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BALANCED: &str = "\
# TYPE tailsieve_received_spans_total counter
tailsieve_received_traces_total 4
tailsieve_received_spans_total 20
tailsieve_received_bytes_total 200
tailsieve_kept_traces_total{policy=\"errors\"} 1
tailsieve_kept_spans_total{policy=\"errors\"} 5
tailsieve_kept_bytes_total{policy=\"errors\"} 50
tailsieve_dropped_traces_total{policy=\"none\"} 2
tailsieve_dropped_spans_total{policy=\"none\"} 9
tailsieve_dropped_bytes_total{policy=\"none\"} 90
tailsieve_open_traces 1
tailsieve_open_spans 2
tailsieve_open_bytes 20
tailsieve_late_spans_total{decision=\"keep\"} 3
tailsieve_late_bytes_total{decision=\"keep\"} 30
tailsieve_invalid_spans_total{reason=\"span_id\"} 1
tailsieve_invalid_bytes_total{reason=\"span_id\"} 10
";

    #[test]
    fn balanced_accounts_are_accepted() {
        assert_eq!(check_accounts(&Scrape::parse(BALANCED)), Ok(()));
    }

    #[test]
    fn each_missing_amount_is_found() {
        for series in Scrape::parse(BALANCED).series.keys() {
            let line = |line: &&str| !line.starts_with(series.as_str());
            let text: String = BALANCED.lines().filter(line).map(|l| format!("{l}\n")).collect();
            assert!(check_accounts(&Scrape::parse(&text)).is_err(), "without {series}");
        }
    }
}
