//! The configuration of docs/security.md is one that tailsieve takes.

use std::fs;
use std::process::Command;

const PAGE: &str = include_str!("../../docs/security.md");

/// The YAML of the page.
fn blocks() -> Vec<&'static str> {
    let parts = PAGE.split("```yaml\n").skip(1);
    parts.map(|part| part.split("```").next().expect("a block ends")).collect()
}

/// A static file with a block in it, and where else its files are.
fn file_of(block: &str, folder: &str) -> String {
    let mut file = block.replace("/etc/tailsieve", folder);
    for (section, text) in [
        ("kafka", "kafka: {brokers: localhost:9092}\n"),
        ("export", "export: {endpoint: localhost:4317}\n"),
        ("policies", "policies: policies.yaml\n"),
    ] {
        if !block.lines().any(|line| line.starts_with(&format!("{section}:"))) {
            file.push_str(text);
        }
    }
    file
}

/// Whether `validate --strict` takes a file; and what it says.
fn validate(file: &str) -> (bool, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tailsieve.yaml");
    let policies =
        "policies: [{name: all, type: probabilistic, probabilistic: {sampling_percentage: 10}}]\n";
    fs::write(folder.path().join("policies.yaml"), policies).expect("the file is written");
    for name in ["kafka-password", "admin-token", "otlp-token"] {
        fs::write(folder.path().join(name), "secret").expect("the file is written");
    }
    let file = file.replace("$FOLDER", folder.path().to_str().expect("text"));
    fs::write(&path, file).expect("the file is written");
    let output = Command::new(env!("CARGO_BIN_EXE_tailsieve"))
        .args(["validate", "--strict"])
        .arg(&path)
        .env("KAFKA_PASSWORD", "secret")
        .output()
        .expect("tailsieve starts");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn every_configuration_of_the_security_page_is_taken() {
    let blocks = blocks();
    assert!(blocks.len() >= 7, "they are found");
    for block in blocks {
        let (is_taken, said) = validate(&file_of(block, "$FOLDER"));
        assert!(is_taken, "{said}\n{block}");
    }
}

#[test]
fn a_mistake_in_such_a_configuration_is_found() {
    let block = blocks()[0].replace("allow_changes", "allow_change");
    assert!(!validate(&file_of(&block, "$FOLDER")).0);
}
