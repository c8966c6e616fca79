//! A real Prometheus with the files of `deploy/prometheus`, in which a minute is a second.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use regex::{Captures, Regex};
use serde_json::{Value, json};

use super::{Process, eventually, free_address, http_get};

const PATIENCE: Duration = Duration::from_secs(60);

/// Where what it scrapes stands; it notices when that changes.
const TARGETS: &str = "targets.json";

/// What is shorter in a test, beside times: the objectives.
const OBJECTIVES: [(&str, &str); 4] = [
    ("tailsieve_kafka_lag_seconds > 60", "tailsieve_kafka_lag_seconds > 3"),
    ("tailsieve_kafka_held_back_seconds > 300", "tailsieve_kafka_held_back_seconds > 5"),
    (
        r#"tailsieve_decision_delay_seconds_bucket{le=~"30("#,
        r#"tailsieve_decision_delay_seconds_bucket{le=~"5("#,
    ),
    (
        r#"tailsieve_export_delay_seconds_bucket{le=~"10("#,
        r#"tailsieve_export_delay_seconds_bucket{le=~"1("#,
    ),
];

/// A running Prometheus.
pub struct Prometheus {
    process: Process,
    address: String,
    targets: PathBuf,
}

impl Prometheus {
    /// Starts it, with its files in `dir`, and waits until it answers.
    pub fn start(dir: &Path) -> Self {
        for (file, objectives) in [("alerts.yaml", &OBJECTIVES[..]), ("rules.yaml", &[])] {
            let mut text = hurried(&deployed(file));
            for (long, short) in objectives {
                assert!(text.contains(long), "{file} has {long}");
                text = text.replace(long, short);
            }
            fs::write(dir.join(file), text).unwrap();
        }
        let config = dir.join("prometheus.yaml");
        fs::write(&config, reading_targets(&deployed("prometheus.yaml"))).unwrap();
        let address = free_address();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("tsdb").display()))
            .arg(format!("--web.listen-address={address}"))
            .args(["--query.lookback-delta=5s", "--log.level=warn"]);
        let process = Process::spawn(command, dir, "prometheus");
        let mut started = Self { process, address, targets: dir.join(TARGETS) };
        started.scrape(&[]);
        eventually("prometheus to answer", PATIENCE, || {
            assert!(started.process.is_running(), "prometheus ended (Debian: prometheus)");
            http_get(&started.address, "/-/ready").filter(|(status, _)| *status == 200)
        });
        started
    }

    /// From now on it scrapes these addresses.
    pub fn scrape(&self, targets: &[&str]) {
        let text = json!([{ "targets": targets }]).to_string();
        // By a rename: it must not read half of it.
        let new = self.targets.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, &self.targets).unwrap();
    }

    /// The values of an expression now.
    ///
    /// # Errors
    /// What Prometheus says to it.
    pub fn query(&self, expr: &str) -> Result<Vec<f64>, String> {
        let answer = self.get(&format!("/api/v1/query?query={}", encoded(expr)));
        if answer["status"] != "success" {
            return Err(answer["error"].to_string());
        }
        let result = &answer["data"]["result"];
        let samples = match answer["data"]["resultType"].as_str() {
            Some("vector") => result.as_array().unwrap().iter().map(|it| &it["value"][1]).collect(),
            Some("scalar") => vec![&result[1]],
            other => return Err(format!("an answer of the type {other:?}")),
        };
        Ok(samples.into_iter().map(|it| it.as_str().unwrap().parse().unwrap()).collect())
    }

    /// The names of the alerts that fire. Their texts are whole.
    pub fn firing(&self) -> BTreeSet<String> {
        let alerts = self.get("/api/v1/alerts")["data"]["alerts"].take();
        let firing = alerts.as_array().unwrap().iter().filter(|alert| alert["state"] == "firing");
        firing
            .map(|alert| {
                let texts = alert["annotations"].to_string();
                let gaps = ["<no value>", "<error", "{{"];
                assert!(!gaps.iter().any(|gap| texts.contains(gap)), "{texts}");
                alert["labels"]["alertname"].as_str().unwrap().to_owned()
            })
            .collect()
    }

    /// Every rule, as (name, expression, its last error).
    pub fn rules(&self) -> Vec<(String, String, String)> {
        let groups = self.get("/api/v1/rules")["data"]["groups"].take();
        let rules = groups.as_array().unwrap().iter().flat_map(|group| {
            let text = |rule: &Value, key: &str| rule[key].as_str().unwrap_or_default().to_owned();
            let rules = group["rules"].as_array().unwrap();
            rules.iter().map(move |it| (text(it, "name"), text(it, "query"), text(it, "lastError")))
        });
        rules.collect()
    }

    fn get(&self, path: &str) -> Value {
        let (_, body) = http_get(&self.address, path).expect("prometheus answers");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
    }
}

/// A file of `deploy/prometheus`.
fn deployed(file: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus");
    fs::read_to_string(folder.join(file)).unwrap()
}

/// Rules in which ranges, offsets and waits of minutes are seconds, and those of an hour a minute.
fn hurried(rules: &str) -> String {
    let time = Regex::new(r"(\[|offset |for: )(\d+)([mh])\b").unwrap();
    let shorter = |found: &Captures<'_>| {
        let unit = if &found[3] == "h" { "m" } else { "s" };
        format!("{}{}{unit}", &found[1], &found[2])
    };
    time.replace_all(rules, shorter).into_owned()
}

/// The configuration, but with one job whose targets are in a file, and which is scraped twice a second.
fn reading_targets(config: &str) -> String {
    let (rest, _) = config.split_once("scrape_configs:").expect("it ends with what is scraped");
    assert!(rest.contains("scrape_interval: 5s"));
    let often = "scrape_interval: 500ms\n  scrape_timeout: 500ms\n  evaluation_interval: 500ms";
    let rest = rest.replace("scrape_interval: 5s", often);
    let job = format!("{{job_name: tailsieve, file_sd_configs: [{{files: [{TARGETS}]}}]}}");
    format!("{rest}scrape_configs: [{job}]\n")
}

/// A text in a URL.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}
