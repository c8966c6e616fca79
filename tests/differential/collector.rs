//! The real Collector: which traces its `tail_sampling` processor keeps, by many policy sets.
//!
//! One process has a pipeline for each of its sets, and all of them get the same spans. None of
//! them decides before the process is asked to end: then each decides all its traces at once, so
//! that nothing depends on how quick the machine is, and nothing has to be waited for.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::input::{Input, list};
use crate::policies::PolicySet;
use crate::support::{Process, Scratch, collector_tool, eventually, free_address};

/// How many policy sets a process has; each of them holds a copy of all spans.
const SETS_AT_ONCE: usize = 36;
/// How many documents go into one request.
const DOCUMENTS_AT_ONCE: usize = 100;
/// How long the Collector may take to start, on a slow and busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// For each set and each trace of the input, whether the trace is kept.
pub fn kept(sets: &[PolicySet], input: &Input) -> Vec<Vec<bool>> {
    let of_process = |sets| kept_by_one_process(sets, input).unwrap();
    sets.chunks(SETS_AT_ONCE).flat_map(of_process).collect()
}

/// The same where the Collector may refuse sets: instead of what is kept, why it does.
pub fn kept_or_refused(sets: &[PolicySet], input: &Input) -> Vec<Result<Vec<bool>, String>> {
    match kept_by_one_process(sets, input) {
        Ok(kept) => kept.into_iter().map(Ok).collect(),
        Err(why) if sets.len() == 1 => vec![Err(why)],
        Err(_) => {
            let (one, other) = sets.split_at(sets.len() / 2);
            [one, other].into_iter().flat_map(|sets| kept_or_refused(sets, input)).collect()
        }
    }
}

fn kept_by_one_process(sets: &[PolicySet], input: &Input) -> Result<Vec<Vec<bool>>, String> {
    let scratch = Scratch::new("collector");
    run(sets, input, &scratch, &[])?;
    Ok(sets.iter().map(|set| read(&output(&scratch, set), input)).collect())
}

/// What the Collector, with a feature gate on, writes for each set: OTLP JSON documents.
pub fn written_with_gate(sets: &[PolicySet], input: &Input, gate: &str) -> Vec<String> {
    let scratch = Scratch::new("collector");
    run(sets, input, &scratch, &[&format!("--feature-gates=+{gate}")]).unwrap();
    sets.iter().map(|set| fs::read_to_string(output(&scratch, set)).unwrap()).collect()
}

/// Lets a process decide the input; what it keeps is in its files then.
fn run(
    sets: &[PolicySet],
    input: &Input,
    scratch: &Scratch,
    arguments: &[&str],
) -> Result<(), String> {
    let endpoint = free_address();
    let mut process = start(&config(sets, &endpoint, scratch), scratch, arguments)?;
    send(&endpoint, &input.documents);
    assert!(process.terminate().success(), "the Collector ends well");
    Ok(())
}

/// Starts the Collector on this configuration and waits until it serves; if it does not like the
/// configuration, says why.
fn start(config: &Value, scratch: &Scratch, arguments: &[&str]) -> Result<Process, String> {
    // `$` begins a variable in the Collector's files.
    let file = scratch.write("collector.yaml", &config.to_string().replace('$', "$$"));
    let mut command = Command::new(collector_tool("otelcol"));
    command.arg("--config").arg(file).args(arguments);
    let mut process = Process::spawn(command, scratch.path(), "otelcol");
    let serves = eventually("the Collector to serve", PATIENCE, || {
        // Looked at before the log: what the process says last, it says before its end.
        let is_running = process.is_running();
        let serves = process.log().contains("Everything is ready");
        (serves || !is_running).then_some(serves)
    });
    if serves { Ok(process) } else { Err(last_line(&process.log())) }
}

fn last_line(log: &str) -> String {
    log.lines().rev().find(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

/// The receiver of all configurations here.
fn receivers(endpoint: &str) -> Value {
    json!({"otlp": {"protocols": {"http": {"endpoint": endpoint}}}})
}

fn output(scratch: &Scratch, set: &PolicySet) -> PathBuf {
    scratch.join(&format!("{}.json", set.name))
}

fn config(sets: &[PolicySet], endpoint: &str, scratch: &Scratch) -> Value {
    let (mut processors, mut exporters, mut pipelines) = (json!({}), json!({}), json!({}));
    for set in sets {
        let (sampler, file) = (format!("tail_sampling/{}", set.name), format!("file/{}", set.name));
        processors[&sampler] =
            json!({"decision_wait": "1h", "num_traces": 1_000_000, "policies": set.policies});
        exporters[&file] = json!({"path": output(scratch, set)});
        pipelines[format!("traces/{}", set.name)] =
            json!({"receivers": ["otlp"], "processors": [sampler], "exporters": [file]});
    }
    json!({
        "receivers": receivers(endpoint),
        "processors": processors,
        "exporters": exporters,
        "service": {"telemetry": {"metrics": {"level": "none"}}, "pipelines": pipelines},
    })
}

/// Sends documents, in their order, as requests of OTLP/HTTP in JSON.
fn send(endpoint: &str, documents: &[Value]) {
    for documents in documents.chunks(DOCUMENTS_AT_ONCE) {
        let resource_spans: Vec<&Value> =
            documents.iter().flat_map(|document| list(document, "resourceSpans")).collect();
        post(endpoint, &json!({"resourceSpans": resource_spans}).to_string());
    }
}

fn post(endpoint: &str, body: &str) {
    let mut stream = TcpStream::connect(endpoint).unwrap();
    let head = format!(
        "POST /v1/traces HTTP/1.0\r\nHost: {endpoint}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.lines().next().unwrap().contains(" 200 "), "the Collector takes it: {answer}");
    assert!(!answer.contains("rejected"), "the Collector takes all of it: {answer}");
}

/// Which traces are in a file that the file exporter wrote; they must be whole.
fn read(file: &Path, input: &Input) -> Vec<bool> {
    let index_of = input.index_of();
    let text = fs::read_to_string(file).unwrap();
    let mut spans = vec![0; input.ids.len()];
    for id in text.split("\"traceId\":\"").skip(1) {
        // Links have trace ids, too; the input has none.
        spans[index_of[&id[..32]]] += 1;
    }
    let is_kept = |(index, spans): (usize, usize)| {
        let all = input.spans[index];
        let id = &input.ids[index];
        assert!(spans == 0 || spans == all, "{id}: {spans} of {all} in {}", file.display());
        spans > 0
    };
    spans.into_iter().enumerate().map(is_kept).collect()
}
