//! The command: its inputs, its output, and how it ends.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::notation::{capture, file, named, of, p};
use crate::rig::{decide, decide_lines, tailsieve};

fn errors() -> String {
    p("status_code", "status_codes: [ERROR]")
}

/// Runs `decide` on files, and returns the JSON lines, what it complained of, and the exit code.
fn run(policies: &str, files: &[(&str, &[u8])], input: &[u8]) -> (Vec<Value>, String, i32) {
    let mut all = vec![("policies.yaml", policies.as_bytes())];
    all.extend(files);
    let mut args = vec!["decide", "--policies", "policies.yaml", "--output", "json"];
    args.extend(files.iter().map(|(name, _)| *name));
    let answer = tailsieve(&args, &all, input);
    let lines = answer.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (lines, answer.err, answer.code)
}

#[test]
fn a_line_has_the_fields_of_its_form() {
    let shadow =
        "{name: slow, mode: shadow, type: latency, latency: {threshold_ms: 1000}}".to_owned();
    let decided = decide(&file(&[errors(), shadow]), "0..340.5 ! ; 0..20");
    let expected = json!({
        "traceId": decided.traces[0], "decision": "keep", "policy": "status_code",
        "probability": 1.0, "threshold": "0", "trigger": "root", "spans": 2, "durationMs": 340.5,
        "votes": [
            { "policy": "status_code", "vote": "keep", "mode": "enforce",
              "reason": "status_code: a span is ERROR" },
            { "policy": "slow", "vote": "none", "mode": "shadow",
              "reason": "latency: 340 ms <= 1000 ms" },
        ],
    });
    assert_eq!(decided.lines, [expected]);
    let dropped = decide(&file(&[errors()]), "0..340");
    let line = &dropped.lines[0];
    let fields = ["policy", "probability", "threshold"].map(|field| line[field].is_null());
    assert_eq!((fields, &line["durationMs"]), ([true; 3], &json!(340)));
    assert_eq!(dropped.summary["traces"], 1);
}

#[test]
fn policies_that_were_not_asked_say_why() {
    let rule = |name: &str, sample: &str| {
        named(name, "rule", &format!("when: 'attributes[\"r\"] == \"{name}\"', sample: {sample}"))
    };
    let budget = p("rate_limiting", "spans_per_second: 1000");
    let all = "{name: all, type: always_sample}".to_owned();
    let health = named(
        "health",
        "drop",
        &format!("drop_sub_policy: [{}]", p("string_attribute", "key: path, values: [/health]")),
    );
    let policies =
        file(&[budget, health, rule("keep", "keep"), rule("drop", "drop"), errors(), all]);
    let decided =
        decide(&policies, "0..1 r=keep path=/x / 0..1 r=drop path=/x / 0..1 path=/health / 0..1 !");
    let reason = |trace, policy| decided.vote(trace, policy)["reason"].as_str().unwrap();
    assert_eq!(decided.outcomes(), "KKDK");
    assert_eq!(decided.vote(1, "all")["vote"], "none");
    assert_eq!(reason(1, "all"), "not asked: rule keep matched and is final");
    assert_eq!(reason(2, "status_code"), "not asked: rule drop matched and is final");
    assert_eq!(decided.vote(2, "drop")["vote"], "drop");
    assert_eq!(
        reason(3, "rate_limiting"),
        "not asked: it spends a budget, and health drops the trace"
    );
    let late = file(&[errors(), p("rate_limiting", "spans_per_second: 1000")]);
    let decided = decide(&late, "0..1 !");
    let reason = &decided.vote(1, "rate_limiting")["reason"];
    assert_eq!(reason, "not asked: it spends a budget, and status_code keeps the trace");
}

#[test]
fn the_summary_tells_what_each_policy_alone_is_responsible_for() {
    let slow = p("latency", "threshold_ms: 100");
    let health = of("drop", &[p("string_attribute", "key: path, values: [/health]")]);
    let shadow = |name: &str, kind: &str, fields: &str| {
        format!("{{name: {name}, mode: shadow, type: {kind}, {kind}: {{{fields}}}}}")
    };
    let more = shadow("more", "latency", "threshold_ms: 50");
    let quiet =
        shadow("quiet", "drop", &format!("drop_sub_policy: [{}]", p("span_count", "min_spans: 3")));
    // Both keep; errors alone; slow alone, of three spans; nobody; dropped though kept by errors;
    // dropped and kept by nobody; nobody, but for the shadow.
    let notation =
        "0..200 ! / 0..1 ! / 0..200 x3 / 0..1 / 0..1 ! path=/health / 0..1 path=/health / 0..60";
    let decided = decide(&file(&[errors(), slow, health, more, quiet]), notation);
    assert_eq!(decided.outcomes(), "KKKNDDN");
    let summary = &decided.summary;
    let of = |policy: usize, what: &str| {
        let amount = &summary["policies"][policy][what];
        (amount["traces"].as_u64().unwrap(), amount["spans"].as_u64().unwrap())
    };
    assert_eq!([of(0, "kept"), of(0, "alone"), of(0, "dropped")], [(2, 2), (1, 1), (0, 0)]);
    assert_eq!([of(1, "kept"), of(1, "alone")], [(1, 3), (1, 3)]);
    assert_eq!([of(2, "dropped"), of(2, "alone")], [(2, 2), (1, 1)]);
    assert_eq!([of(3, "wouldKeep"), of(3, "wouldDrop")], [(1, 1), (0, 0)]);
    assert_eq!([of(4, "wouldKeep"), of(4, "wouldDrop")], [(0, 0), (1, 3)]);
    assert_eq!(summary["policies"][0]["votes"], 3);
    let totals = ["traces", "spans"].map(|what| summary[what].as_u64().unwrap());
    assert_eq!(totals, [7, 9]);
    assert_eq!((&summary["kept"]["traces"], &summary["dropped"]["traces"]), (&json!(3), &json!(4)));
    assert_eq!(summary["droppedByNoPolicy"]["traces"], 2);
    let bytes = |what: &str| summary[what]["bytes"].as_u64().unwrap();
    assert_eq!(summary["bytes"], bytes("kept") + bytes("dropped"));
}

#[test]
fn files_are_read_one_after_the_other_as_one_partition() {
    let (first, ids) = capture("at:0 0..1 child");
    let second = first.replace("\"status\":null", "\"status\":{\"code\":2}");
    let second = second.replace("0000000000000001\"", "0000000000000002\"");
    let (lines, err, code) = run(
        &file(&[errors()]),
        &[("a.json", first.as_bytes()), ("b.json", second.as_bytes())],
        b"",
    );
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!((&lines[0]["traceId"], &lines[0]["spans"]), (&json!(ids[0]), &json!(2)));
    assert_eq!((&lines[0]["decision"], &lines[0]["trigger"]), (&json!("keep"), &json!("wait")));
}

#[test]
fn broken_records_are_named_and_counted_and_the_others_decided() {
    let (good, _) = capture("0..1 !");
    let bad_ids =
        r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"00"},{"traceId":""}]}]}]}"#;
    let input = format!("{{\"resourceSpans\":[\n{bad_ids}\nx\n{good}");
    let (lines, err, code) = run(&file(&[errors()]), &[("spans", input.as_bytes())], b"");
    assert_eq!((code, lines.len()), (0, 2), "{err}");
    let summary = &lines[1]["summary"];
    let counts = ["records", "malformedRecords", "invalidSpans", "traces"];
    assert_eq!(counts.map(|what| summary[what].as_u64().unwrap()), [2, 2, 2, 1]);
    assert!(err.contains("warning: spans:2:0: not valid JSON: EOF"), "{err}");
    assert!(err.contains("warning: spans:3:1: not valid JSON"), "{err}");
    // Protobuf that is none, alone and before a good message.
    let (lines, err, code) = run(&file(&[errors()]), &[("spans", b"\x0a\x05x")], b"");
    assert_eq!((code, lines.len()), (1, 0), "{err}");
    assert!(err.contains("spans:byte 0: not OTLP protobuf: a field is longer"), "{err}");
    let good = tailsieve::testing::otlp::json::to_protobuf(good.as_bytes()).unwrap();
    let framed =
        [&b"\x00\x00\x00\x03\x0a\x05x\x00\x00\x00"[..], &[good.len() as u8], &good].concat();
    let (lines, _, code) = run(&file(&[errors()]), &[("spans", &framed)], b"");
    assert_eq!((code, &lines[1]["summary"]["malformedRecords"]), (0, &json!(1)));
}

#[test]
fn no_input_is_told_what_is_expected() {
    let policies = file(&[errors()]);
    for input in ["", "\n\n", "hello", "[1]", "{}"] {
        let (lines, err, code) = run(&policies, &[], input.as_bytes());
        assert_eq!((code, lines.len()), (1, 0), "{input}");
        assert!(err.contains("standard input"), "{err}");
        assert!(
            err.contains("expected OTLP JSON (one `{\"resourceSpans\": [...]}` a line)"),
            "{err}"
        );
    }
    let missing = ["decide", "--policies", "p.yaml", "nowhere.json"];
    let answer = tailsieve(&missing, &[("p.yaml", policies.as_bytes())], b"");
    assert_eq!(answer.code, 1);
    assert!(answer.err.contains("nowhere.json: cannot be read"), "{}", answer.err);
    let answer = tailsieve(&["decide", "--policies", "nowhere.yaml"], &[], b"");
    assert_eq!(answer.code, 2);
    assert!(answer.err.contains("nowhere.yaml: cannot be read"), "{}", answer.err);
}

#[test]
fn a_processor_of_a_collector_configuration_can_be_named() {
    let collector = "processors:
  tail_sampling: {policies: [{name: none, type: latency, latency: {threshold_ms: 9}}]}
  tail_sampling/shop: {num_traces: 5, policies: [{name: all, type: always_sample}]}
";
    let (input, _) = capture("0..1");
    let files = [("p.yaml", collector.as_bytes())];
    for (processor, decision) in [("tail_sampling", "drop"), ("tail_sampling/shop", "keep")] {
        let args = ["decide", "--policies", "p.yaml", "--processor", processor, "--output", "json"];
        let answer = tailsieve(&args, &files, input.as_bytes());
        assert!(answer.out.contains(&format!("\"decision\":\"{decision}\"")), "{}", answer.err);
        assert_eq!(
            answer.err.contains("num_traces"),
            processor.ends_with("shop"),
            "{}",
            answer.err
        );
    }
}

#[test]
fn text_is_for_people() {
    let shadow =
        "{name: slow, mode: shadow, type: latency, latency: {threshold_ms: 100}}".to_owned();
    let policies = file(&[errors(), shadow]);
    let (input, traces) = capture("at:0 0..340 ! / 0..120.5 | at:0 #1 0..1 | at:1 #2 0..1");
    let answer = tailsieve(
        &["decide", "--policies", "p.yaml"],
        &[("p.yaml", policies.as_bytes())],
        input.as_bytes(),
    );
    let expected = format!(
        "{}  keep  by status_code, with certainty  (1 span, 340 ms, root)
  keep  status_code  status_code: a span is ERROR
  keep  slow         (shadow) latency: 340 ms > 100 ms
{}  drop  no policy keeps it  (1 span, 120.5 ms, root)
  none  status_code  status_code: no span is ERROR
  keep  slow         (shadow) latency: 120 ms > 100 ms

                            traces        spans        bytes
decided                          2            2          BBB
kept                             1            1          BBB
dropped                          1            1          BBB
late, kept                       0            1          BBB
late, dropped                    0            1          BBB

kept by                     traces        spans        bytes        alone
status_code                      1            1          BBB            1

dropped by                  traces        spans        bytes        alone
no policy                        1            1          BBB

shadow, would               traces        spans        bytes
slow keep                        1            1          BBB
slow drop                        0            0            0
",
        traces[0], traces[1]
    );
    // Bytes in the tables: three digits each.
    let is_row =
        |line: &&str| line.split_whitespace().filter(|it| it.parse::<u64>().is_ok()).count() >= 3;
    let blank = |line: &str| {
        if !is_row(&line) || line.len() < 60 {
            return line.to_owned();
        }
        let (head, bytes) = line.split_at(57);
        let (bytes, tail) = bytes.split_at(3);
        assert!(bytes.trim().parse::<u64>().is_ok(), "{line}");
        let bytes = if bytes == "  0" { bytes } else { "BBB" };
        format!("{head}{bytes}{tail}")
    };
    let out: Vec<String> = answer.out.lines().map(blank).collect();
    assert_eq!(out.join("\n") + "\n", expected, "{}", answer.out);
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    // What is decided of it is more than a pipe holds.
    let (input, _) = capture(&vec!["0..1"; 20_000].join(" / "));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("p.yaml"), file(&[errors()])).unwrap();
    std::fs::write(folder.path().join("spans.json"), input).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_tailsieve"))
        .args(["decide", "--policies", "p.yaml", "spans.json", "--output", "json"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("{\"traceId\""), "{first}");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn a_trace_at_its_cap_is_decided_at_the_end_of_the_record() {
    let policies = format!("maximum_trace_spans: 2\n{}", file(&[p("span_count", "min_spans: 3")]));
    let (input, _) = capture("at:0 0..1 child ; 0..1 ; 0..1 / 0..1 child");
    let (lines, summary) = decide_lines(&policies, &input);
    let decided: Vec<_> = lines.iter().map(|it| (&it["trigger"], &it["spans"])).collect();
    assert_eq!(decided, [(&json!("size"), &json!(3)), (&json!("wait"), &json!(1))]);
    assert_eq!(summary["late"]["dropped"]["spans"], 0);
}
