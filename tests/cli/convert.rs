//! `tailsieve convert refinery`, up to what becomes of traces.

use std::fs;

use crate::{tailsieve, told};

const RULES: &str = "\
RulesVersion: 2
Samplers:
  __default__:
    RulesBasedSampler:
      Rules:
        - Name: drop health checks
          Drop: true
          Conditions:
            - {Field: url.path, Operator: in, Value: [/healthz, /readyz]}
        - Name: keep what is not of the shop
          SampleRate: 1
          Conditions:
            - {Field: team, Operator: '!=', Value: shop}
            - {Field: http.response.status_code, Operator: '>=', Value: 500, Datatype: int}
        - Name: nested
          SampleRate: 1
          Conditions:
            - {Field: meta.annotation_type, Operator: '=', Value: link}
        - Name: drop the rest
          Drop: true
";

/// Each trace by its two spans, as attributes, and whether it is kept.
const TRACES: [(&str, &str, &str, &str); 5] = [
    ("health", r#"{"key":"url.path","value":{"stringValue":"/healthz"}}"#, "", "drop"),
    // The team on one span, the code on another: each condition may hold for another span.
    ("bank", r#"{"key":"team","value":{"stringValue":"bank"}}"#, CODE_AS_TEXT, "keep"),
    ("shop", r#"{"key":"team","value":{"stringValue":"shop"}}"#, CODE_AS_TEXT, "drop"),
    // What is missing differs from nothing.
    ("nobody", "", CODE_AS_TEXT, "drop"),
    ("fine", r#"{"key":"team","value":{"stringValue":"bank"}}"#, "", "drop"),
];

const CODE_AS_TEXT: &str = r#"{"key":"http.response.status_code","value":{"stringValue":"503"}}"#;

fn spans(trace: usize, first: &str, second: &str) -> String {
    let id = trace + 1;
    let span = |number: u8, parent: &str, attributes: &str| {
        format!(
            r#"{{"traceId":"{id:032x}","spanId":"{number:016x}","parentSpanId":"{parent}","name":"a",
            "startTimeUnixNano":"1000","endTimeUnixNano":"2000","attributes":[{attributes}]}}"#
        )
    };
    let (root, child) = (span(1, "", first), span(2, &format!("{:016x}", 1), second));
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{root},{child}]}}]}}]}}"#)
        .replace('\n', " ")
}

#[test]
fn converted_rules_decide_as_refinery_does() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("rules.yaml"), RULES).unwrap();
    let (code, policies, notes) = told(&tailsieve(&["convert", "refinery", &path("rules.yaml")]));
    assert_eq!(code, 1, "{notes}");
    assert!(
        notes.contains("rule \"nested\" of __default__: left out: meta.annotation_type"),
        "{notes}"
    );
    assert!(policies.contains("# rule \"nested\" of __default__: left out"), "{policies}");
    fs::write(path("policies.yaml"), &policies).unwrap();
    let (code, out, _) = told(&tailsieve(&["validate", &path("policies.yaml")]));
    assert_eq!(code, 0, "{out}\n{policies}");

    let input: Vec<String> =
        TRACES.iter().zip(0..).map(|((_, one, two, _), trace)| spans(trace, one, two)).collect();
    fs::write(path("spans.json"), input.join("\n")).unwrap();
    let decide =
        ["decide", "--policies", &path("policies.yaml"), "--output", "json", &path("spans.json")];
    let (code, out, error) = told(&tailsieve(&decide));
    assert_eq!(code, 0, "{error}");
    for ((name, _, _, expected), trace) in TRACES.iter().zip(1..) {
        let id = format!("\"traceId\":\"{trace:032x}\"");
        let line = out.lines().find(|line| line.contains(&id)).unwrap_or_else(|| panic!("{name}"));
        assert!(
            line.contains(&format!("\"decision\":\"{expected}\"")),
            "{name}: {line}\n{policies}"
        );
    }
}

#[test]
fn a_file_that_holds_no_rules_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rules.yaml");
    fs::write(&file, "policies: []\n").unwrap();
    let (code, out, error) = told(&tailsieve(&["convert", "refinery", file.to_str().unwrap()]));
    assert_eq!((code, &*out), (2, ""), "{error}");
    assert!(error.contains("RulesVersion: 2"), "{error}");
}
