//! The process's metrics recorder.

use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use super::{Kind, process, table};

/// How often collected values are put into the buckets of histograms. A scrape does this too; here it
/// bounds the memory between scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

const SECONDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];
const BYTES: [f64; 9] =
    [256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0];
const COUNTS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 500.0, 2000.0, 10000.0];

/// The installed recorder.
#[derive(Clone, Debug)]
pub struct Recorder(PrometheusHandle);

/// Installs the recorder. It does not see metrics that were created before.
///
/// # Errors
/// When one is installed already.
pub fn install() -> Result<Recorder, BuildError> {
    let families = table::GROUPS.iter().flat_map(|group| group.families);
    let mut builder = PrometheusBuilder::new();
    for family in families.filter(|family| family.kind == Kind::Histogram) {
        let buckets: &[f64] = match family.unit {
            "seconds" => &SECONDS,
            "bytes" => &BYTES,
            _ => &COUNTS,
        };
        builder = builder.set_buckets_for_metric(Matcher::Full(family.name.to_owned()), buckets)?;
    }
    let recorder = Recorder(builder.install_recorder()?);
    table::BUILD_INFO.with(&[env!("CARGO_PKG_VERSION")]).set(1.0);
    Ok(recorder)
}

impl Recorder {
    /// All metrics, in the text format of Prometheus.
    pub fn render(&self) -> String {
        let mut text = self.0.render();
        text.push_str(&process::render());
        text
    }

    /// Keeps the memory of histograms small, for ever.
    pub async fn upkeep(self) {
        loop {
            tokio::time::sleep(UPKEEP).await;
            self.0.run_upkeep();
        }
    }
}
