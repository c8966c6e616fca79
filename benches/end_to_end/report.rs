//! What the lanes came to: a table, and the same as JSON.

use std::fmt;
use std::fs;
use std::path::Path;
use std::thread::available_parallelism;

use serde_json::{Value, json};

use crate::kafka::Kafka;
use crate::lane::{Figures, Lane};
use crate::live::Live;
use crate::options::Options;
use crate::topic::Topic;

/// The figures of all turns.
pub struct Report {
    topic: Topic,
    conditions: Value,
    lanes: Vec<(String, Vec<Figures>)>,
}

/// The medians of a lane.
#[derive(Clone, Copy, Debug)]
pub struct Medians {
    /// CPU time of a span in microseconds: of the whole run, and from a third on.
    pub cpu: f64,
    later_cpu: f64,
    /// Spans per second.
    pub rate: f64,
    pub later_rate: f64,
    pub peak_rss: f64,
    rss: f64,
    open_traces: f64,
    /// Bytes of their spans, and resident memory then.
    open_bytes: f64,
    open_rss: f64,
    kept: f64,
    delivered: f64,
    requests: f64,
}

impl Report {
    /// No figures yet.
    pub fn new(options: &Options, kafka: &Kafka, topic: &Topic, lanes: &[Lane]) -> Self {
        let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
        let conditions = json!({
            "cores": available_parallelism().map_or(0, usize::from),
            "cpu": cpu_model(),
            "tailsieve": env!("CARGO_PKG_VERSION"),
            "librdkafka": librdkafka,
            "kafka": kafka.version(),
            "members": options.members,
            "policies": options.policies,
            "rounds": options.rounds,
            "codec": options.codec,
            "shape": options.shape.to_string(),
            "open_traces": options.open_traces,
        });
        let lanes = lanes.iter().map(|lane| (lane.name().to_owned(), Vec::new())).collect();
        Self { topic: topic.clone(), conditions, lanes }
    }

    /// Enters a turn of the lane `number`.
    pub fn enter(&mut self, number: usize, figures: Figures) {
        self.lanes[number].1.push(figures);
    }

    /// CPU time of a span in the lane `name` over that of the bare loop; the better of the whole
    /// run's and that from a third on, since a short run is mostly start.
    pub fn cpu_ratio(&self, name: &str) -> f64 {
        let (bare, found) = (&self.lanes[0].1, self.lanes.iter().find(|lane| lane.0 == name));
        let (bare, own) = (self.medians(bare), self.medians(&found.expect("a lane").1));
        (own.cpu / bare.cpu).min(own.later_cpu / bare.later_cpu)
    }

    /// The medians of the lane `name`, if there is one.
    pub fn medians_of(&self, name: &str) -> Option<Medians> {
        let lane = self.lanes.iter().find(|lane| lane.0 == name)?;
        Some(self.medians(&lane.1))
    }

    fn medians(&self, figures: &[Figures]) -> Medians {
        let per_record = self.topic.spans_per_record();
        let of = |value: &dyn Fn(&Figures) -> f64| {
            let mut values: Vec<f64> = figures.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        // Not a number if all was read between two looks, as on a small topic.
        let later = |it: &Figures| {
            let records = it.read.records - it.third.records;
            if records > 0.0 { records * per_record } else { f64::NAN }
        };
        Medians {
            cpu: of(&|it| it.cpu.as_secs_f64() * 1e6 / (it.read.records * per_record)),
            later_cpu: of(&|it| (it.cpu - it.third.cpu).as_secs_f64() * 1e6 / later(it)),
            rate: of(&|it| it.read.records * per_record / it.read.at.as_secs_f64()),
            later_rate: of(&|it| later(it) / (it.read.at - it.third.at).as_secs_f64()),
            peak_rss: of(&|it| it.peak_rss as f64),
            open_traces: of(&|it| it.fullest.open_traces),
            open_bytes: of(&|it| it.fullest.open_bytes),
            open_rss: of(&|it| it.fullest.rss as f64),
            rss: of(&|it| it.rss as f64),
            kept: of(&|it| it.kept as f64),
            delivered: of(&|it| it.delivered.spans as f64),
            requests: of(&|it| it.delivered.requests as f64),
        }
    }

    fn all_medians(&self) -> Vec<(&str, Medians)> {
        let lanes = self.lanes.iter();
        lanes.map(|(name, figures)| (name.as_str(), self.medians(figures))).collect()
    }

    fn json(&self) -> Value {
        let all = self.all_medians();
        let bare = all[0].1;
        let lane = |(name, it): &(&str, Medians)| {
            json!({
                "lane": name,
                "cpu_us_per_span": it.cpu,
                "cpu_ratio": it.cpu / bare.cpu,
                "later_cpu_us_per_span": it.later_cpu,
                "later_cpu_ratio": it.later_cpu / bare.later_cpu,
                "spans_per_second": it.rate,
                "rate_ratio": it.rate / bare.rate,
                "later_spans_per_second": it.later_rate,
                "later_rate_ratio": it.later_rate / bare.later_rate,
                "peak_rss_bytes": it.peak_rss,
                "rss_at_end_bytes": it.rss,
                "open_traces": it.open_traces,
                "open_bytes": it.open_bytes,
                "rss_when_most_were_open_bytes": it.open_rss,
                "kept_spans": it.kept,
                "requests": it.requests,
                "delivered_spans": it.delivered,
            })
        };
        let lanes: Vec<Value> = all.iter().map(lane).collect();
        json!({"conditions": self.conditions, "topic": self.topic, "lanes": lanes})
    }
}

/// Writes everything as JSON.
pub fn write(path: &Path, turns: Option<&Report>, live: &[Live]) {
    let mut text = turns.map_or_else(|| json!({}), Report::json);
    if !live.is_empty() {
        text["live"] = json!(live);
    }
    let text = serde_json::to_string_pretty(&text).expect("it can be written");
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).expect("a folder for the figures");
    }
    fs::write(path, text + "\n").expect("the figures are written");
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |name: &str| self.conditions[name].to_string().replace('"', "");
        writeln!(
            f,
            "{} cores, {}; tailsieve {}, librdkafka {}, Kafka {}; rounds {}, members {}, codec {}",
            of("cores"),
            of("cpu"),
            of("tailsieve"),
            of("librdkafka"),
            of("kafka"),
            of("rounds"),
            of("members"),
            of("codec")
        )?;
        writeln!(
            f,
            "{:<18} {:>17} {:>17} {:>19} {:>19} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9} {:>9} {:>8}",
            "medians",
            "CPU us/span",
            "from a third on",
            "spans/s",
            "from a third on",
            "peak MiB",
            "end MiB",
            "open",
            "open MiB",
            "RSS then",
            "kept",
            "arrived",
            "requests"
        )?;
        let all = self.all_medians();
        let bare = all[0].1;
        for (name, it) in &all {
            writeln!(
                f,
                "{name:<18} {:>9.3} {:>6.2}x {:>9.3} {:>6.2}x {:>11.0} {:>6.2}x {:>11.0} {:>6.2}x {:>8.0} {:>8.0} {:>8.0} {:>8.0} {:>8.0} {:>9.0} {:>9.0} {:>8.0}",
                it.cpu,
                it.cpu / bare.cpu,
                it.later_cpu,
                it.later_cpu / bare.later_cpu,
                it.rate,
                it.rate / bare.rate,
                it.later_rate,
                it.later_rate / bare.later_rate,
                it.peak_rss / f64::from(1 << 20),
                it.rss / f64::from(1 << 20),
                it.open_traces,
                it.open_bytes / f64::from(1 << 20),
                it.open_rss / f64::from(1 << 20),
                it.kept,
                it.delivered,
                it.requests
            )?;
        }
        Ok(())
    }
}

fn cpu_model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split(':').nth(1)).unwrap_or("unknown").trim().to_owned()
}
