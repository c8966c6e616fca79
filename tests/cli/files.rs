//! What `tailsieve run` answers to files that are wrong.

use std::fs;
use std::process::{Command, Output};

fn run(config: &str, policies: &str) -> Output {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("tailsieve.yaml");
    fs::write(&file, config).expect("the file is written");
    fs::write(dir.path().join("policies.yaml"), policies).expect("the file is written");
    Command::new(env!("CARGO_BIN_EXE_tailsieve"))
        .args(["run", "--config"])
        .arg(&file)
        .env("TEST_PASSWORD", "hunter2")
        .output()
        .expect("tailsieve starts")
}

#[test]
fn bad_files_end_the_start_with_exit_code_2_and_every_error() {
    let config = r#"policies: policies.yaml
kafka:
  brokers: [localhost:9092]
  topik: spans
  properties:
    enable.auto.commit: "true"
    sasl.password: ["${env:TEST_PASSWORD}"]
buffer: { max_bytes: lots }
export: { endpoint: "ftp://x" }
"#;
    let policies =
        "policies:\n  - { name: errors, type: status_kode }\n  - { name: errors, typ: latency }\n";
    let output = run(config, policies);
    let errors = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2), "{errors}");
    let expected = [
        "tailsieve.yaml:4:3: unknown key `topik`",
        "did you mean `topic`?",
        "tailsieve.yaml:6:5: `enable.auto.commit` may not be set",
        "tailsieve.yaml:7:",
        "tailsieve.yaml:8:22: max_bytes: expected a size",
        "tailsieve.yaml:9:21: endpoint",
        "policies.yaml:2:27: type: `status_kode` is no policy type",
        "policies.yaml:3:21: unknown key `typ`",
    ];
    for part in expected {
        assert!(errors.contains(part), "{part:?} is not in:\n{errors}");
    }
    assert!(!errors.contains("hunter2"), "a secret is shown:\n{errors}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let output = Command::new(env!("CARGO_BIN_EXE_tailsieve"))
        .args(["run", "--config", "/nowhere/tailsieve.yaml"])
        .output()
        .expect("tailsieve starts");
    let errors = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("/nowhere/tailsieve.yaml"), "{errors}");
}
