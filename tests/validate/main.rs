//! `tailsieve validate` and `tailsieve schema` from outside. Needs neither Kafka nor a Collector.
//!
//! Every YAML file in `tests/validate` and `tests/schema-broken` has a text file beside it with
//! what is expected of `validate`. With `TAILSIEVE_BLESS=1` these are written instead: look at
//! what changes.

// A test that cannot go on ends by a panic, also in helpers that clippy does not take for tests.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn tailsieve(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tailsieve"))
        .current_dir(folder)
        .args(arguments)
        .env_remove("TAILSIEVE_TEST_UNSET")
        .env("TAILSIEVE_TEST_SECRET", "hunter2")
        .env("TAILSIEVE_TEST_LIST", "[/checkout, /pay]")
        .env("TAILSIEVE_TEST_OCTAL", "0123")
        .env("TAILSIEVE_TEST_NESTED", "${TAILSIEVE_TEST_SECRET}")
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_yaml = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "yaml");
    let mut files: Vec<PathBuf> = paths.filter(is_yaml).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// Compares what `validate` says of a file with the text beside it.
fn golden(file: &Path) -> Result<Output, String> {
    let output = tailsieve(file.parent().unwrap(), &["validate", name(file)]);
    let code = output.status.code().unwrap();
    let told = format!("{}\nexit code {code}\n", stdout(&output));
    assert!(!told.contains("hunter2"), "a secret shows: {told}");
    let expected = file.with_extension("txt");
    if std::env::var_os("TAILSIEVE_BLESS").is_some() {
        fs::write(&expected, told).unwrap();
        return Ok(output);
    }
    let expected = fs::read_to_string(expected).unwrap_or_default();
    if told == expected {
        return Ok(output);
    }
    Err(format!("{}: expected\n{expected}\nbut was told\n{told}", name(file)))
}

#[test]
fn every_finding_is_told_with_its_place_and_what_to_do() {
    let files = yaml_files(&root().join("tests/validate"));
    let wrong: Vec<String> = files.iter().filter_map(|file| golden(file).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_the_schema_refuses_is_refused_with_its_place() {
    let files = yaml_files(&root().join("tests/schema-broken"));
    assert!(files.len() >= 12);
    let mut wrong = Vec::new();
    for file in files {
        match golden(&file) {
            Ok(output) if output.status.code() == Some(2) => {}
            Ok(_) => wrong.push(format!("{} is taken", name(&file))),
            Err(difference) => wrong.push(difference),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_files_that_come_along_are_fine() {
    for folder in ["config", "deploy/compose"] {
        for file in yaml_files(&root().join(folder)) {
            let text = fs::read_to_string(&file).unwrap();
            let is_ours = ["policies", "policy-tests", "tailsieve"]
                .iter()
                .any(|start| name(&file).starts_with(start));
            if !is_ours || !text.contains("policies:") {
                continue;
            }
            let output = tailsieve(root(), &["validate", "--strict", file.to_str().unwrap()]);
            assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
            if folder == "config" {
                let first = text.lines().next().unwrap();
                let schema = first.strip_prefix("# yaml-language-server: $schema=");
                let schema = schema.unwrap_or_else(|| panic!("{file:?} has no schema: {first}"));
                assert!(root().join(folder).join(schema).is_file(), "{schema}");
            }
        }
    }
}

#[test]
fn exit_codes_tell_errors_from_warnings() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("good.yaml", "policies: [{name: a, type: trace_flags}]\n");
    write("warned.yaml", "policies: [{name: a, type: always_sample}]\n");
    write("bad.yaml", "policies: []\n");
    let cases: &[(&[&str], i32)] = &[
        (&["good.yaml"], 0),
        (&["good.yaml", "--strict"], 0),
        (&["warned.yaml"], 0),
        (&["warned.yaml", "--strict"], 1),
        (&["bad.yaml"], 2),
        (&["good.yaml", "warned.yaml", "bad.yaml", "--strict"], 2),
        (&["nowhere.yaml"], 2),
        (&[], 2),
        (&["good.yaml", "--output", "xml"], 2),
    ];
    for (arguments, expected) in cases {
        let arguments = [&["validate"], *arguments].concat();
        let output = tailsieve(dir.path(), &arguments);
        assert_eq!(output.status.code(), Some(*expected), "{arguments:?}: {}", stdout(&output));
    }
    let help = stdout(&tailsieve(dir.path(), &["validate", "--help"]));
    assert!(help.contains("Exit codes") && help.contains("--strict"), "{help}");
}

#[test]
fn one_json_document_holds_the_findings_of_all_files() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    let kafka = "kafka: {brokers: k:9092}\nexport: {endpoint: t:4317}\n";
    write("tailsieve.yaml", &format!("{kafka}policies: p.yaml\nbufer: {{}}\n"));
    write("p.yaml", "num_traces: 5\npolicies:\n- {name: a, type: always_sample}\n");
    let output = tailsieve(dir.path(), &["validate", "--output", "json", "tailsieve.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["files"].as_array().unwrap().len(), 2, "{json:#}");
    let file = &json["files"][0];
    assert_eq!((&file["file"], &file["kind"]), (&"tailsieve.yaml".into(), &"config".into()));
    let expected = serde_json::json!([{
        "line": 4, "column": 1, "message": "unknown key `bufer`",
        "help": "did you mean `buffer`?", "excerpt": "bufer: {}",
    }]);
    assert_eq!(file["errors"], expected);
    let file = &json["files"][1];
    assert_eq!((&file["file"], &file["kind"]), (&"p.yaml".into(), &"policies".into()));
    assert_eq!(
        (&file["warnings"][0]["line"], &file["warnings"][0]["column"]),
        (&3.into(), &10.into())
    );
    assert_eq!(file["notes"][0]["line"], 1);
    assert_eq!(file["errors"], serde_json::json!([]));
    let output = tailsieve(dir.path(), &["validate", "--output", "json", "nowhere.yaml"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["files"][0]["kind"], "unknown");
    assert_eq!(json["files"][0]["errors"][0]["line"], Value::Null);
}

#[test]
fn a_finding_in_a_file_that_a_variable_names_has_that_file() {
    let folder = root().join("tests/validate");
    let output = tailsieve(&folder, &["validate", "--output", "json", "included-processor.yaml"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let error = &json["files"][0]["errors"][0];
    assert_eq!((&error["file"], &error["line"]), (&"included/tail.yaml".into(), &4.into()));
}

#[test]
fn a_processor_can_be_named_by_flag_and_in_the_static_file() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    let bad = "{policies: [{name: a, type: latencyy}]}";
    let good = "{decision_wait: 10s, decision_wait_after_root_received: 2s, policies: [{name: a, type: trace_flags}]}";
    let collector = format!("processors:\n  tail_sampling: {bad}\n  tail_sampling/good: {good}\n");
    write("collector.yaml", &collector);
    write("policies.yaml", "policies: [{name: a, type: trace_flags}]\n");
    let code = |arguments: &[&str]| {
        let output = tailsieve(dir.path(), &[&["validate"], arguments].concat());
        (output.status.code().unwrap(), stdout(&output))
    };
    assert_eq!(code(&["collector.yaml"]).0, 2);
    let (told, text) =
        code(&["collector.yaml", "--processor", "tail_sampling/good", "policies.yaml"]);
    assert_eq!(told, 0, "{text}");
    let (told, text) = code(&["collector.yaml", "--processor", "tail_sampling/god"]);
    assert!(told == 2 && text.contains("did you mean `tail_sampling/good`?"), "{text}");
    let kafka = "kafka: {brokers: k:9092}\nexport: {endpoint: t:4317}\n";
    let file = format!("{kafka}policies: collector.yaml\npolicies_processor: tail_sampling/good\n");
    write("tailsieve.yaml", &file);
    let (told, text) = code(&["tailsieve.yaml"]);
    assert_eq!(told, 0, "{text}");
    write("tailsieve.yaml", &file.replace("tail_sampling/good", "batch"));
    let (told, text) = code(&["tailsieve.yaml"]);
    assert!(told == 2 && text.contains("policies_processor: expected `tail_sampling`"), "{text}");
}

#[test]
fn schemas_are_printed() {
    let schemas = [("policies", "policies"), ("config", "config"), ("tests", "policy-tests")];
    for (which, file) in schemas {
        let output = tailsieve(root(), &["schema", which]);
        let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
        let committed = root().join(format!("config/schema/{file}.schema.json"));
        assert_eq!(fs::read_to_string(committed).unwrap(), stdout(&output));
    }
}
