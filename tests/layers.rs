//! Who may use whom: the arrows between the top-level modules of `src`, held against the code.
//!
//! [`MODULES`] is the design, in reading order: an arrow points down only, siblings do not know
//! each other, and the pure core knows no runtime, no Kafka and no clock. A module that is not
//! listed fails the test until it has its place. What `#[cfg(test)]` covers is not looked at.

// A test that cannot go on ends by a panic, also in helpers that clippy does not take for tests.
#![allow(clippy::unwrap_used)]

#[path = "layers/code.rs"]
mod code;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use code::{Source, tokens};

/// A top-level module's place in the design.
struct Module {
    name: &'static str,
    layer: Layer,
    /// The modules that it may use.
    uses: &'static [&'static str],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    /// Wires the parts and runs them: may use everything.
    App,
    /// Threads, sockets and clocks live here.
    Edge,
    /// Functions of (state, input, now).
    Pure,
}

/// What the pure core may not name: crates, by their first path segment, and clocks.
const IMPURE: [&str; 12] = [
    "tokio",
    "tokio_util",
    "rdkafka",
    "tonic",
    "axum",
    "tracing",
    "metrics",
    "rand",
    "reqwest",
    "indicatif",
    "Instant",
    "SystemTime",
];

const fn app(name: &'static str) -> Module {
    Module { name, layer: Layer::App, uses: &[] }
}

const fn edge(name: &'static str, uses: &'static [&'static str]) -> Module {
    Module { name, layer: Layer::Edge, uses }
}

const fn pure(name: &'static str, uses: &'static [&'static str]) -> Module {
    Module { name, layer: Layer::Pure, uses }
}

/// The design, from top to bottom.
const MODULES: &[Module] = &[
    app("main"),
    app("cli"),
    app("demo"),
    app("doctor"),
    app("policy_tests"),
    app("decide"),
    app("capture_topic"),
    app("rekey"),
    app("replay_dead_letters"),
    app("run"),
    app("validate"),
    app("schema"),
    app("generate"),
    app("receiver"),
    app("ledger"),
    app("app"),
    app("watchdog"),
    edge("reload", &["config", "worker", "trace", "policy"]),
    edge(
        "config",
        &[
            "source",
            "export",
            "decision_log",
            "dead_letters",
            "policy",
            "ottl",
            "telemetry",
            "units",
            "ids",
        ],
    ),
    edge(
        "worker",
        &[
            "source",
            "export",
            "decision_log",
            "dead_letters",
            "encoding",
            "otlp",
            "trace",
            "policy",
            "watermark",
            "routing",
            "books",
            "memory",
            "limited",
            "facts",
            "span",
            "probability",
            "ids",
        ],
    ),
    edge("routing", &["books", "limited", "partitioner", "ids"]),
    edge("capture", &["encoding", "otlp_json", "ids"]),
    edge(
        "source",
        &[
            "record_headers",
            "cluster",
            "dead_letters",
            "clock",
            "books",
            "memory",
            "limited",
            "ids",
        ],
    ),
    edge("export", &["record_headers", "publish", "books", "limited", "units", "proto", "ids"]),
    edge(
        "decision_log",
        &["publish", "cluster", "clock", "limited", "proto", "trace", "probability", "ids"],
    ),
    edge("dead_letters", &["record_headers", "publish", "limited", "ids"]),
    edge("publish", &["limited", "ids"]),
    edge("cluster", &["ids"]),
    edge("clock", &["ids"]),
    edge("admin", &["books", "limited", "ids"]),
    edge("telemetry", &["books", "limited", "ids"]),
    edge("books", &["encoding", "ids"]),
    edge("memory", &["ids"]),
    edge("limited", &[]),
    edge("units", &[]),
    pure("otlp", &["span", "probability", "tracestate", "ids"]),
    pure("encoding", &["otlp_json"]),
    pure("otlp_json", &[]),
    pure("trace", &["facts", "span", "ids"]),
    pure("policy", &["ottl", "facts", "span", "probability", "tracestate", "ids"]),
    pure("watermark", &["ids"]),
    pure("partitioner", &["ids"]),
    pure("facts", &["span", "ids"]),
    pure("ottl", &["span", "tracestate", "ids"]),
    pure("span", &["ids"]),
    pure("probability", &["ids"]),
    pure("tracestate", &[]),
    pure("ids", &[]),
    pure("record_headers", &[]),
    // Messages and no more.
    pure("proto", &[]),
];

fn module(name: &str) -> Option<&'static Module> {
    MODULES.iter().find(|module| module.name == name)
}

/// What is wrong with one source file, in the words of the design.
fn violations(source: &Source) -> Vec<String> {
    let at = source.file.display();
    let Some(module) = module(&source.module) else {
        let name = &source.module;
        return vec![format!("{at}: module {name} has no place in MODULES of tests/layers.rs")];
    };
    let mut wrong = Vec::new();
    for used in source.uses() {
        let allowed = module.layer == Layer::App
            || used == module.name
            || module.uses.contains(&used.as_str());
        if !allowed {
            wrong.push(format!("{at}: {} may not use {used}", module.name));
        }
    }
    if module.layer == Layer::Pure {
        let impure = IMPURE.iter().filter(|name| source.names(name));
        wrong.extend(impure.map(|name| format!("{at}: pure core names {name}")));
    }
    wrong.sort();
    wrong.dedup();
    wrong
}

/// Every Rust file below `folder`, besides those of tests.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        if name == "tests" {
            continue;
        } else if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn the_code_keeps_to_the_arrows_of_the_design() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = rust_files(&src);
    assert!(files.len() > 2, "the sources are found");
    let lib = src.join("lib.rs");
    let wrong: Vec<String> = files
        .iter()
        .filter(|file| **file != lib)
        .flat_map(|file| {
            let text = fs::read_to_string(file).unwrap();
            violations(&Source::new(file.strip_prefix(&src).unwrap(), &text))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn arrows_point_down_only() {
    let place: BTreeMap<_, _> = MODULES.iter().map(|module| module.name).zip(0..).collect();
    assert_eq!(place.len(), MODULES.len(), "a module is listed twice");
    for module in MODULES {
        for used in module.uses {
            let below = place.get(used).is_some_and(|used| *used > place[module.name]);
            assert!(below, "{} -> {used} does not point down", module.name);
            let pure = self::module(used).unwrap().layer == Layer::Pure;
            assert!(
                pure || module.layer != Layer::Pure,
                "{} -> {used} leaves the core",
                module.name
            );
        }
    }
}

#[test]
fn planted_violations_are_found() {
    let planted = [
        ("trace/mod.rs", "use crate::policy::Decision;", "trace may not use policy"),
        ("trace/mod.rs", "use crate::{ids::TraceId, source};", "trace may not use source"),
        (
            "trace/mod.rs",
            "use crate::{ids::{Pin, TraceId}, otlp::{scan}};",
            "trace may not use otlp",
        ),
        ("trace/mod.rs", "use super::export::Ack;", "trace may not use export"),
        ("trace/wait/mod.rs", "fn f() { super::super::worker::run() }", "trace may not use worker"),
        ("trace/wait.rs", "fn f(a: crate::export::Ack) {}", "trace may not use export"),
        ("source/mod.rs", "use crate::worker::Worker;", "source may not use worker"),
        ("export/mod.rs", "use crate::*;", "export may not use *"),
        ("watermark.rs", "use std::time::{Duration, Instant};", "pure core names Instant"),
        ("policy/mod.rs", "fn f() { tracing::info!(\"x\"); }", "pure core names tracing"),
        ("otlp/mod.rs", "use tokio::sync::mpsc;", "pure core names tokio"),
        ("otlp/mod.rs", "use ::rdkafka::Message;", "pure core names rdkafka"),
        (
            "otlp/mod.rs",
            "fn f<'a>(c: char) -> bool { c == '\"' } use crate::app;",
            "otlp may not use app",
        ),
        ("novelty.rs", "", "module novelty has no place in MODULES of tests/layers.rs"),
    ];
    for (file, text, violation) in planted {
        let found = violations(&Source::new(Path::new(file), text));
        let wanted = format!("{file}: {violation}");
        assert_eq!(found, [wanted], "in {text}");
    }
}

#[test]
fn what_is_allowed_is_not_reported() {
    let allowed = [
        ("trace/mod.rs", "// use crate::source;\n/* crate::policy /* nested */ crate::app */"),
        (
            "trace/mod.rs",
            "const A: &str = \"use crate::source;\"; const B: &str = r#\"crate::\"app\"#;",
        ),
        (
            "trace/mod.rs",
            "#[cfg(test)]\nmod tests { use crate::source::X; fn f() { { tokio::spawn() } } }",
        ),
        ("trace/mod.rs", "#[cfg(test)] mod tests; #[cfg(test)] use crate::source;"),
        ("trace/wait.rs", "use super::Trace; use self::metrics::X; use crate::trace::metrics;"),
        (
            "trace/mod.rs",
            "pub(crate) struct S; pub(in crate::trace) fn f() {} use std::time::Duration;",
        ),
        ("source/mod.rs", "use std::time::Instant; use tokio::sync::mpsc; use crate::ids::Offset;"),
        ("main.rs", "use tailsieve::app; use crate::worker;"),
    ];
    for (file, text) in allowed {
        assert_eq!(violations(&Source::new(Path::new(file), text)), [""; 0], "in {text}");
    }
    assert_eq!(tokens("a::b // c\n{'x' \"s\"}"), ["a", "::", "b", "{", "}"]);
}
