//! Who may use whom: the arrows between the rooms of `src`, and between the modules in a room, held
//! against the code.
//!
//! [`ROOMS`] is the design, in reading order: an arrow points down only, every arrow is one that
//! exists, and the pure core knows no runtime, no Kafka and no clock. A room or a module that is not
//! listed fails the test until it has its place. What `#[cfg(test)]` covers is not looked at.

// A test that cannot go on ends by a panic, also in helpers that clippy does not take for tests.
#![allow(clippy::unwrap_used)]

mod code;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use code::{Source, tokens};

/// A folder or a file of `src`, and its place in the design.
struct Room {
    name: &'static str,
    layer: Layer,
    /// The rooms that it uses.
    uses: &'static [&'static str],
    /// Its modules, in reading order, each with those it uses. What is not in one of them is the
    /// room's own, which has the name of the room. None are listed for a room that is one thing.
    modules: &'static [(&'static str, &'static [&'static str])],
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
const IMPURE: [&str; 16] = [
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
    "ratatui",
    // Shared between threads, which the pure core has none of.
    "dashmap",
    "arc_swap",
    "moka",
    "Instant",
    "SystemTime",
];

/// The design, from top to bottom.
const ROOMS: &[Room] = &[
    Room { name: "main", layer: Layer::App, uses: &[], modules: &[] },
    Room { name: "testing", layer: Layer::App, uses: &[], modules: &[] },
    Room { name: "cmd", layer: Layer::App, uses: &[], modules: &[] },
    Room {
        name: "member",
        layer: Layer::Edge,
        uses: &[
            "config",
            "export",
            "kafka",
            "retrieval",
            "sampling",
            "telemetry",
            "otlp",
            "clock",
            "sync",
            "ids",
        ],
        modules: &[
            ("app", &["observer", "rereader", "worker", "routing"]),
            ("trials", &["observer", "reload", "worker"]),
            ("observer", &["worker", "routing"]),
            ("reload", &["worker"]),
            ("rereader", &["worker"]),
            ("watchdog", &["worker"]),
            ("worker", &["routing"]),
            ("routing", &[]),
        ],
    },
    Room {
        name: "otel",
        layer: Layer::Edge,
        uses: &["export", "telemetry", "secret", "clock", "sync"],
        modules: &[],
    },
    Room {
        name: "config",
        layer: Layer::Edge,
        uses: &[
            "retrieval",
            "export",
            "kafka",
            "sampling",
            "telemetry",
            "options",
            "secret",
            "fnv",
            "ids",
        ],
        modules: &[],
    },
    Room {
        name: "testbed",
        layer: Layer::Edge,
        uses: &["otlp", "sync", "ids"],
        modules: &[
            ("captures", &[]),
            ("generator", &["ledger"]),
            ("ledger", &[]),
            ("receiver", &[]),
        ],
    },
    Room {
        name: "export",
        layer: Layer::Edge,
        uses: &["kafka", "telemetry", "options", "secret", "clock", "sync", "ids"],
        modules: &[],
    },
    Room {
        name: "whatif",
        layer: Layer::Edge,
        uses: &["retrieval", "kafka", "sampling", "telemetry", "otlp", "sync", "ids"],
        modules: &[
            ("outcome", &["estimate", "lane", "tally"]),
            ("run", &["lane", "panel", "plan", "stream", "tally", "join", "routing"]),
            ("plan", &[]),
            ("stream", &[]),
            ("lane", &["on_record", "side", "panel", "tally", "join", "routing"]),
            ("routing", &[]),
            ("on_record", &["side", "join"]),
            ("side", &["join", "panel"]),
            ("panel", &["tally"]),
            ("join", &["book", "tally", "verdicts"]),
            ("book", &["tally", "verdicts", "figures"]),
            ("verdicts", &["tally"]),
            ("tally", &["figures"]),
            ("estimate", &["figures"]),
            ("figures", &[]),
        ],
    },
    Room {
        name: "retrieval",
        layer: Layer::Edge,
        uses: &["kafka", "sampling", "telemetry", "otlp", "sync", "proto", "ids"],
        modules: &[],
    },
    Room {
        name: "kafka",
        layer: Layer::Edge,
        uses: &["sampling", "telemetry", "options", "otlp", "clock", "sync", "proto", "fnv", "ids"],
        modules: &[
            ("source", &["cluster", "dead_letters", "record_headers", "access", "keep_request"]),
            ("keep_request", &["decision_log"]),
            ("decision_log", &["cluster", "publish", "access"]),
            ("dead_letters", &["publish", "record_headers"]),
            ("publish", &["cluster", "access"]),
            ("topic_reader", &["cluster"]),
            ("cluster", &["access"]),
            ("access", &[]),
            ("record_headers", &[]),
            ("partitioner", &[]),
        ],
    },
    Room {
        name: "sampling",
        layer: Layer::Pure,
        uses: &["options", "otlp", "fnv", "ids"],
        modules: &[
            ("sampler", &["decided", "trace", "policy", "facts"]),
            ("decided", &["trace"]),
            ("trace", &["facts"]),
            ("policy", &["ottl", "facts"]),
            ("ottl", &[]),
            ("facts", &[]),
            ("watermark", &[]),
        ],
    },
    Room {
        name: "telemetry",
        layer: Layer::Edge,
        uses: &["otlp", "secret", "clock", "sync", "ids"],
        modules: &[],
    },
    Room {
        name: "otlp",
        layer: Layer::Pure,
        uses: &["ids"],
        modules: &[
            ("value", &["encoding", "otlp"]),
            ("encoding", &["json"]),
            ("json", &[]),
            ("otlp", &["span", "probability", "tracestate"]),
            ("span", &[]),
            ("probability", &[]),
            ("tracestate", &[]),
        ],
    },
    // Not of span data: what files may hold, as a function of their tree.
    Room { name: "options", layer: Layer::Pure, uses: &["units"], modules: &[] },
    Room { name: "clock", layer: Layer::Edge, uses: &["ids"], modules: &[] },
    Room { name: "secret", layer: Layer::Pure, uses: &[], modules: &[] },
    Room { name: "sync", layer: Layer::Edge, uses: &[], modules: &[] },
    Room { name: "units", layer: Layer::Pure, uses: &[], modules: &[] },
    // Messages and no more.
    Room { name: "proto", layer: Layer::Pure, uses: &[], modules: &[] },
    Room { name: "fnv", layer: Layer::Pure, uses: &[], modules: &[] },
    Room { name: "ids", layer: Layer::Pure, uses: &[], modules: &[] },
];

fn room(name: &str) -> Option<&'static Room> {
    ROOMS.iter().find(|room| room.name == name)
}

/// An arrow: two rooms, or two modules of one room.
type Arrow = (String, String);

impl Room {
    /// The module of this room that a path leads to.
    fn module(&self, path: &[String]) -> &'static str {
        let name = path.get(1).map_or("", String::as_str);
        self.modules.iter().find(|(module, _)| *module == name).map_or(self.name, |(name, _)| name)
    }

    /// The arrows that this room may have.
    fn arrows(&self) -> Vec<Arrow> {
        let inside = self.modules.iter();
        let inside = inside.flat_map(|(module, uses)| uses.iter().map(|used| (*module, *used)));
        let rooms = self.uses.iter().map(|used| (self.name, *used));
        let place = |module: &str| format!("{}::{module}", self.name);
        rooms
            .map(|(from, to)| (from.to_owned(), to.to_owned()))
            .chain(inside.map(|(from, to)| (place(from), place(to))))
            .collect()
    }
}

/// The arrows of a source file, to other rooms and to other modules of its own.
fn arrows(room: &Room, source: &Source) -> BTreeSet<Arrow> {
    let from = room.module(&source.modules);
    let mut arrows = BTreeSet::new();
    for path in source.paths() {
        if path[0] != room.name {
            arrows.insert((room.name.to_owned(), path[0].clone()));
        } else if !room.modules.is_empty() && room.module(&path) != from {
            let place = |module: &str| format!("{}::{module}", room.name);
            arrows.insert((place(from), place(room.module(&path))));
        }
    }
    arrows
}

/// What is wrong with one source file, in the words of the design.
fn violations(source: &Source) -> Vec<String> {
    let at = source.file.display();
    let name = &source.modules[0];
    let Some(room) = room(name) else {
        return vec![format!("{at}: {name} has no place in ROOMS of tests/layers")];
    };
    let mut wrong = Vec::new();
    let allowed = room.arrows();
    for (from, to) in arrows(room, source) {
        if room.layer != Layer::App && !allowed.contains(&(from.clone(), to.clone())) {
            wrong.push(format!("{at}: {from} may not use {to}"));
        }
    }
    if room.layer == Layer::Pure {
        let impure = IMPURE.iter().filter(|name| source.names(name));
        wrong.extend(impure.map(|name| format!("{at}: pure core names {name}")));
    }
    wrong.sort();
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

/// All of `src` but its list of rooms.
fn sources() -> Vec<Source> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = rust_files(&src);
    assert!(files.len() > 2, "the sources are found");
    let files = files.iter().filter(|file| **file != src.join("lib.rs"));
    files
        .map(|file| {
            let text = fs::read_to_string(file).unwrap();
            Source::new(file.strip_prefix(&src).unwrap(), &text)
        })
        .collect()
}

#[test]
fn the_code_keeps_to_the_arrows_of_the_design() {
    let wrong: Vec<String> = sources().iter().flat_map(violations).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_arrow_of_the_design_exists() {
    let sources = sources();
    let used: BTreeSet<Arrow> = (sources.iter())
        .filter_map(|source| Some(arrows(room(&source.modules[0])?, source)))
        .flatten()
        .collect();
    let allowed = ROOMS.iter().flat_map(Room::arrows);
    let unused: Vec<Arrow> = allowed.filter(|arrow| !used.contains(arrow)).collect();
    assert!(unused.is_empty(), "allowed, and not used: {unused:?}");
}

#[test]
fn arrows_point_down_only() {
    let order: Vec<&str> = ROOMS.iter().map(|room| room.name).collect();
    for room in ROOMS {
        let pure = |name: &str| self::room(name).unwrap().layer == Layer::Pure;
        for used in room.uses {
            assert!(is_below(&order, room.name, used), "{} -> {used}", room.name);
            let stays = room.layer != Layer::Pure || pure(used);
            assert!(stays, "{} -> {used} leaves the core", room.name);
        }
        let order: Vec<&str> = room.modules.iter().map(|(module, _)| *module).collect();
        for (module, uses) in room.modules {
            for used in *uses {
                assert!(is_below(&order, module, used), "{}: {module} -> {used}", room.name);
            }
        }
    }
}

/// Whether `below` stands after `above`, and both stand there once.
fn is_below(order: &[&str], above: &str, below: &str) -> bool {
    let place = |wanted: &str| {
        let mut places = order.iter().zip(0..).filter(|(name, _)| **name == wanted);
        places.next().map(|(_, place)| place).filter(|_| places.next().is_none())
    };
    matches!((place(above), place(below)), (Some(above), Some(below)) if above < below)
}

#[test]
fn planted_violations_are_found() {
    let planted = [
        (
            "sampling/trace/mod.rs",
            "use crate::sampling::policy::Decision;",
            "sampling::trace may not use sampling::policy",
        ),
        (
            "sampling/trace/mod.rs",
            "use crate::{ids::TraceId, kafka};",
            "sampling may not use kafka",
        ),
        (
            "sampling/trace/mod.rs",
            "use crate::{ids::{Pin, TraceId}, sampling::{ottl as x, facts}};",
            "sampling::trace may not use sampling::ottl",
        ),
        (
            "sampling/trace/mod.rs",
            "use super::ottl::Value;",
            "sampling::trace may not use sampling::ottl",
        ),
        (
            "sampling/trace/wait/mod.rs",
            "fn f() { super::super::super::member::run() }",
            "sampling may not use member",
        ),
        ("sampling/trace/wait.rs", "fn f(a: crate::export::Ack) {}", "sampling may not use export"),
        ("kafka/source/mod.rs", "use crate::member::Worker;", "kafka may not use member"),
        ("export/mod.rs", "use crate::*;", "export may not use *"),
        ("sampling/watermark.rs", "use std::time::{Duration, Instant};", "pure core names Instant"),
        ("sampling/policy/mod.rs", "fn f() { tracing::info!(\"x\"); }", "pure core names tracing"),
        ("sampling/trace/mod.rs", "use moka::sync::Cache;", "pure core names moka"),
        ("otlp/mod.rs", "use tokio::sync::mpsc;", "pure core names tokio"),
        ("otlp/mod.rs", "use ::rdkafka::Message;", "pure core names rdkafka"),
        (
            "otlp/mod.rs",
            "fn f<'a>(c: char) -> bool { c == '\"' } use crate::cmd;",
            "otlp may not use cmd",
        ),
        ("novelty.rs", "", "novelty has no place in ROOMS of tests/layers"),
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
        (
            "sampling/trace/mod.rs",
            "// use crate::kafka::source;\n/* crate::sampling::policy /* nested */ crate::member::app */",
        ),
        (
            "sampling/trace/mod.rs",
            "const A: &str = \"use crate::kafka::source;\"; const B: &str = r#\"crate::\"app\"#;",
        ),
        (
            "sampling/trace/mod.rs",
            "#[cfg(test)]\nmod tests { use crate::kafka::source::X; fn f() { { tokio::spawn() } } }",
        ),
        ("sampling/trace/mod.rs", "#[cfg(test)] mod tests; #[cfg(test)] use crate::kafka::source;"),
        (
            "sampling/trace/wait.rs",
            "use super::Trace; use self::metrics::X; use crate::sampling::trace::metrics;",
        ),
        (
            "sampling/trace/mod.rs",
            "pub(crate) struct S; pub(in crate::sampling::trace) fn f() {} use std::time::Duration;",
        ),
        (
            "kafka/source/mod.rs",
            "use std::time::Instant; use tokio::sync::mpsc; use crate::ids::Offset;",
        ),
        ("main.rs", "use tailsieve::member::app; use crate::member::worker;"),
    ];
    for (file, text) in allowed {
        assert_eq!(violations(&Source::new(Path::new(file), text)), [""; 0], "in {text}");
    }
    assert_eq!(tokens("a::b // c\n{'x' \"s\"}"), ["a", "::", "b", "{", "}"]);
}

/// The list in `docs/architecture.md` is the code's: at most 25 files, each once, with functions that
/// they have.
#[test]
fn the_way_of_a_kept_span_is_as_it_is_written() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/architecture.md")).unwrap();
    let (_, section) = page.split_once("## A kept span, file by file").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let stops = section.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    let mut files = BTreeSet::new();
    for stop in stops {
        let mut names = stop.split('`').skip(1).step_by(2);
        let file = names.next().unwrap();
        assert!(files.insert(file), "{file} stands there twice");
        let source = Source::new(Path::new(file), &fs::read_to_string(root.join(file)).unwrap());
        for function in names {
            assert!(source.has_function(function), "{file} has no function {function}");
        }
    }
    assert!((10..=25).contains(&files.len()), "{} files", files.len());
}
