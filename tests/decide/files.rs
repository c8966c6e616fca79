//! Policy files as they stand in real life: inside of other files, with variables and numbers of
//! the Collector's YAML. Each decides what the plain file decides.

use serde_json::Value;

use crate::notation::capture;
use crate::rig::tailsieve;

/// Traces of 5, 9, 70, 600 and 1500 ms.
const TRACES: &str = "0..5 / 0..9 / 0..70 / 0..600 / 0..1500";

/// Runs `decide` on the file `p.yaml` among `files`, and returns what becomes of the traces.
fn decide(files: &[(&str, &str)], arguments: &[&str]) -> String {
    let (lines, ids) = capture(TRACES);
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    let of_all = ["decide", "--policies", "p.yaml", "--output", "json"];
    let answer = tailsieve(&[&of_all, arguments].concat(), &files, lines.as_bytes());
    assert_eq!(answer.code, 0, "{}\n{files:?}", answer.err);
    let decisions: Vec<Value> =
        answer.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |id: &String| {
        let decision = decisions.iter().find(|decision| decision["traceId"] == id.as_str());
        if decision.unwrap()["decision"] == "keep" { 'K' } else { 'N' }
    };
    ids.iter().map(of).collect()
}

fn longer_than(threshold: &str) -> String {
    format!("[{{name: a, type: latency, latency: {{threshold_ms: {threshold}}}}}]")
}

#[test]
fn numbers_are_those_of_the_collector() {
    for (threshold, outcome) in [
        ("10", "NNKKK"),
        ("010", "NKKKK"),
        ("0777", "NNNKK"),
        ("0x200", "NNNKK"),
        ("0o777", "NNNKK"),
        ("1_000", "NNNNK"),
        ("1e3", "NNNNK"),
        ("60.0", "NNKKK"),
        ("'${yaml:010}'", "NKKKK"),
        ("'${env:TAILSIEVE_TEST_UNSET:-0777}'", "NNNKK"),
        ("'${env:TAILSIEVE_TEST_UNSET:-${env:TAILSIEVE_TEST_UNSET:-1e3}}'", "NNNNK"),
    ] {
        let file = format!("policies: {}\n", longer_than(threshold));
        assert_eq!(decide(&[("p.yaml", &file)], &[]), outcome, "{threshold}");
    }
}

#[test]
fn lists_and_sections_stand_in_variables() {
    let list = longer_than("60");
    for (file, other) in [
        ("policies: ${file:other.yaml}\n", list.as_str()),
        ("tail_sampling: ${file:other.yaml}\n", &format!("policies: {list}")),
        ("processors: {tail_sampling: '${file:./other.yaml}'}\n", &format!("policies: {list}")),
        ("processors: ${file:other.yaml}\n", &format!("tail_sampling: {{policies: {list}}}")),
        ("policies: ['${file:other.yaml}']\n", &list[1..list.len() - 1]),
    ] {
        assert_eq!(decide(&[("p.yaml", file), ("other.yaml", other)], &[]), "NNKKK", "{file}");
    }
    // What cargo has set is a variable, too.
    let named = |values: &str| {
        let values = format!("key: name, values: {values}");
        let not = format!("{{type: string_attribute, string_attribute: {{{values}}}}}");
        format!("policies: [{{name: a, type: not, not: {{not_sub_policy: {not}}}}}]\n")
    };
    assert_eq!(decide(&[("p.yaml", &named("['${CARGO_PKG_NAME}', \"$$x\"]"))], &[]), "KKKKK");
}

#[test]
fn a_collector_s_file_is_found_where_it_stands() {
    let list = longer_than("60");
    let config = |indentation: &str| {
        let lines = format!("processors:\n  tail_sampling:\n    policies: {list}\n");
        lines.lines().map(|line| format!("{indentation}{line}\n")).collect::<String>()
    };
    let quoted = serde_json::to_string(&config("")).unwrap();
    let other = "apiVersion: v1\nkind: Service\nspec: {ports: []}\n";
    let files = [
        format!("mode: deployment\nconfig:\n{}", config("  ")),
        format!("gateway:\n  enabled: true\n  config:\n{}", config("    ")),
        format!(
            "apiVersion: opentelemetry.io/v1beta1\nkind: OpenTelemetryCollector\nspec:\n  config:\n{}",
            config("    ")
        ),
        format!(
            "apiVersion: opentelemetry.io/v1alpha1\nkind: OpenTelemetryCollector\nspec:\n  config: |\n{}",
            config("    ")
        ),
        format!(
            "apiVersion: v1\nkind: ConfigMap\ndata:\n  relay: |-\n{}  other: |\n    a: b\n",
            config("    ")
        ),
        format!("apiVersion: v1\nkind: ConfigMap\ndata:\n  relay: {quoted}\n"),
        format!(
            "apiVersion: v1\nkind: ConfigMap\ndata:\n  policies.yaml: |\n    policies: {list}\n"
        ),
        format!(
            "kind: List\napiVersion: v1\nitems:\n- kind: ConfigMap\n  data:\n    relay: {quoted}\n"
        ),
        format!("---\n{other}---\nconfig:\n{}---\n", config("  ")),
        format!("---\npolicies: {list}\n---\n"),
    ];
    for file in files {
        assert_eq!(decide(&[("p.yaml", &file)], &[]), "NNKKK", "{file}");
    }
}

#[test]
fn the_processor_is_the_one_that_the_pipeline_uses() {
    let (first, second) = (longer_than("1000"), longer_than("60"));
    let processors = format!(
        "processors: {{tail_sampling/a: {{policies: {first}}}, tail_sampling/b: {{policies: {second}}}}}\n"
    );
    let with = |pipelines: &str| format!("{processors}service: {{pipelines: {{{pipelines}}}}}\n");
    let used =
        with("logs: {processors: [tail_sampling/a]}, traces/x: {processors: [tail_sampling/b]}");
    assert_eq!(decide(&[("p.yaml", &used)], &[]), "NNKKK");
    let several = with(
        "traces/x: {processors: [tail_sampling/a]}, traces/y: {processors: [tail_sampling/b]}",
    );
    let named = ["--processor", "tail_sampling/a"];
    assert_eq!(decide(&[("p.yaml", &several)], &named), "NNNNK");
    let args = ["decide", "--policies", "p.yaml"];
    let answer = tailsieve(&args, &[("p.yaml", several.as_bytes())], b"{}");
    assert_eq!(answer.code, 2, "{}", answer.out);
    assert!(answer.err.contains("several processors are used"), "{}", answer.err);
    assert!(answer.err.contains("--processor NAME"), "{}", answer.err);
}

#[test]
fn tests_of_policies_have_variables_too() {
    let tests = "policies: ${env:TAILSIEVE_TEST_UNSET:-p.yaml}\n\
                 tests:\n\
                 - {name: \"${CARGO_PKG_NAME}\", spans: {duration: \"${yaml:70ms}\"}, expect: \"${yaml:keep}\"}\n\
                 - ${file:more.yaml}\n";
    let files = [
        ("t.yaml", tests.to_owned()),
        ("p.yaml", format!("policies: {}\n", longer_than("010"))),
        ("more.yaml", "{name: more, spans: {duration: 8ms}, expect: drop}\n".to_owned()),
    ];
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    let answer = tailsieve(&["test", "t.yaml"], &files, b"");
    assert_eq!(answer.code, 0, "{}{}", answer.out, answer.err);
    assert!(answer.out.contains("ok    tailsieve"), "{}", answer.out);
    let inline = tests.replace("${env:TAILSIEVE_TEST_UNSET:-p.yaml}", "${file:list.yaml}");
    let list = longer_than("010");
    let files: [(&str, &[u8]); 3] =
        [("t.yaml", inline.as_bytes()), ("list.yaml", list.as_bytes()), files[2]];
    for command in ["test", "validate"] {
        let answer = tailsieve(&[command, "t.yaml"], &files, b"");
        assert_eq!(answer.code, 0, "{}{}", answer.out, answer.err);
    }
}
