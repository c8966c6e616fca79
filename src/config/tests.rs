use super::*;

use super::document::Variables;
use crate::source::StartFrom;

/// The static file `text`, as if it lay in /etc/tailsieve.
fn settings(text: &str) -> Result<Settings, String> {
    let document = Document::parse("t.yaml", text).map_err(|errors| errors.to_string())?;
    static_file(&document, Path::new("/etc/tailsieve")).map_err(|errors| errors.to_string())
}

fn errors(text: &str) -> String {
    settings(text).unwrap_err()
}

const LEAST: &str = "kafka: {brokers: k:9092}\nexport: {endpoint: t:4317}\npolicies: p.yaml\n";

#[test]
fn the_least_that_is_needed_is_enough() {
    let settings = settings(LEAST).unwrap();
    assert_eq!(settings.source.brokers, "k:9092");
    assert_eq!(settings.source.start_from, StartFrom::Earliest);
    assert_eq!(settings.export, ExportSettings { endpoint: "t:4317".into(), ..Default::default() });
    assert_eq!(settings.policies, Path::new("/etc/tailsieve/p.yaml"));
    assert!(settings.workers > 0);
}

#[test]
fn the_commented_files_hold_the_defaults() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let commented = load(&folder.join("tailsieve.yaml")).unwrap();
    let defaults = settings(LEAST).unwrap();
    let of = |settings: &Settings| {
        let mut settings = settings.clone();
        settings.source.brokers.clear();
        settings.decision_log.iter_mut().for_each(|log| log.brokers.clear());
        settings.policies = PathBuf::new();
        settings.export.endpoint = String::new();
        settings.telemetry.log = None;
        let source = &settings.source;
        let waits = (source.revoke_timeout, source.future_tolerance);
        let times = (source.commit_interval, source.lease_timeout, waits);
        format!("{settings:?} {times:?}")
    };
    assert_eq!(of(&commented), of(&defaults));

    let commented = load_policies(&commented.policies).unwrap();
    let defaults = parse_policies("p", "policies: [{name: a, type: always_sample}]").unwrap();
    let of = |file: &PolicyFile| PolicyFile {
        policies: Vec::new(),
        warnings: Vec::new(),
        hash: String::new(),
        ..file.clone()
    };
    assert_eq!(of(&commented), of(&defaults));
    assert_eq!(commented.policies.len(), 3);
    assert_eq!(commented.warnings, [""; 0]);
}

#[test]
fn what_is_commented_out_of_the_policy_file_works_too() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/policies.yaml");
    let text = fs::read_to_string(path).unwrap();
    let (_, more) = text.split_once("labelled with.\n  #\n").unwrap();
    let more: String = more.lines().map(|line| line.replacen("  # ", "  ", 1) + "\n").collect();
    let more = more.replace("  #\n", "\n");
    let file = parse_policies("p", &format!("policies:\n{more}")).unwrap();
    assert_eq!(file.policies.len(), 10, "{more}");
}

#[test]
fn the_files_of_deploy_load() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    let settings = load(&folder.join("tailsieve.yaml")).unwrap();
    load_policies(&settings.policies).unwrap();
}

#[test]
fn every_error_is_told_at_once_with_its_place_and_what_to_do() {
    let told = errors(
        "kafka:\n  brokers: [k:9092]\n  topik: spans\n  consumers: 0\n  start_from: yesterday\n\
         export:\n  endpoint: https://t:4317\n  compression: gzp\n  timeout: 5\n\
         buffer: 1GiB\n",
    );
    let expected = "\
t.yaml:1:1: `policies` is missing
   |
 1 | kafka:
   | ^
   = for example `policies: policies.yaml`

t.yaml:3:3: unknown key `topik`
   |
 3 |   topik: spans
   |   ^^^^^
   = did you mean `topic`?

t.yaml:4:14: consumers: expected a whole number from 1 to 64, found `0`
   |
 4 |   consumers: 0
   |              ^

t.yaml:5:15: start_from: expected earliest, latest or a time such as 2026-01-31T12:00:00Z, found `yesterday`
   |
 5 |   start_from: yesterday
   |               ^^^^^^^^^

t.yaml:7:13: endpoint: export endpoint \"https://t:4317\": TLS is not supported yet, use http://
   |
 7 |   endpoint: https://t:4317
   |             ^^^^^^^^^^^^^^

t.yaml:8:16: compression: expected one of gzip, zstd, none, found `gzp`; did you mean gzip?
   |
 8 |   compression: gzp
   |                ^^^

t.yaml:9:12: timeout: expected a duration such as `200ms` or `5s`, found `5`
   |
 9 |   timeout: 5
   |            ^

t.yaml:10:9: expected a section with keys, found text
    |
 10 | buffer: 1GiB
    |         ^^^^

8 errors";
    assert_eq!(told, expected);
}

#[test]
fn settings_that_would_break_a_promise_are_refused_by_name() {
    let told = errors(
        "kafka:\n  brokers: k:9092\n  group_protocol: consumer\n  properties:\n    \
         enable.auto.commit: true\n    auto.offset.reset: latest\n    session.timeout.ms: 6000\n    \
         fetch.min.bytes: 1\nexport: {endpoint: t:4317}\npolicies: p.yaml\n",
    );
    for name in [
        "`enable.auto.commit` may not",
        "`auto.offset.reset` may not",
        "`session.timeout.ms` may not",
    ] {
        assert!(told.contains(name), "{told}");
    }
    assert!(told.contains("t.yaml:5:5") && told.ends_with("3 errors"), "{told}");
}

#[test]
fn syntax_errors_and_duplicate_keys_have_their_place() {
    let told = errors("kafka:\n  brokers: [k:9092\nexport: x\n");
    assert!(told.contains("t.yaml:") && told.contains("not valid YAML"), "{told}");
    let told = errors(&format!("{LEAST}policies: q.yaml\n"));
    assert!(told.starts_with("t.yaml:4:1: `policies` is given twice"), "{told}");
    let told = errors("");
    assert!(
        told.contains("`brokers` is missing") && told.contains("`policies` is missing"),
        "{told}"
    );
}

#[test]
fn secrets_are_shown_nowhere() {
    let text = "kafka:\n  brokers: k:9092\n  properties:\n    sasl.password: hunter2\n    \
                ssl.key.password: [hunter2]\nexport:\n  endpoint: t:4317\n  headers:\n    \
                x-scope: hunter2\n    \"bad name\": hunter2\n    other: [hunter2]\npolicies: p.yaml\n";
    let told = errors(text);
    assert!(told.contains("ssl.key.password: expected a single value"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
    let fine = "kafka: {brokers: k:9092, properties: {sasl.password: hunter2}}\n\
                export: {endpoint: t:4317, headers: {authorization: hunter2}}\npolicies: p.yaml\n";
    assert!(!format!("{:?}", settings(fine).unwrap()).contains("hunter2"));
    assert!(!errors(&format!("{fine}x: y\n")).contains("hunter2"));
}

#[test]
fn variables_are_put_into_scalars_after_parsing() {
    let variable = |name: &str| (name == "SET").then(|| "a: b".to_owned());
    let substitute = |text: &str| document::substitute(text, Variables::Explicit, variable);
    assert_eq!(substitute("x${env:SET}y"), Ok(("xa: by".to_owned(), true)));
    assert_eq!(substitute("${env:UNSET:-d}"), Ok(("d".to_owned(), true)));
    assert_eq!(substitute("${env:UNSET:-}"), Ok((String::new(), true)));
    assert_eq!(substitute("$$ {env:SET} ^a$ $x"), Ok(("$ {env:SET} ^a$ $x".to_owned(), false)));
    assert!(substitute("${env:UNSET}").unwrap_err().contains("UNSET is not set"));
    assert!(substitute("${env:SET").is_err());
    let told = errors("kafka: {brokers: \"${env:TAILSIEVE_TEST_UNSET}\"}\n");
    assert!(
        told.contains("t.yaml:1:") && told.contains("TAILSIEVE_TEST_UNSET is not set"),
        "{told}"
    );
    let text = LEAST.replace("k:9092", "${env:TAILSIEVE_TEST_UNSET:-k:9093}");
    let text =
        text.replace("{brokers: ", "{consumers: \"${env:TAILSIEVE_TEST_UNSET:-3}\", brokers: ");
    let text = text.replace(", brokers: ${", ", brokers: \"${").replace("9093}}", "9093}\"}");
    let settings = settings(&text).unwrap();
    assert_eq!((settings.source.brokers.as_str(), settings.consumers), ("k:9093", 3));
}
