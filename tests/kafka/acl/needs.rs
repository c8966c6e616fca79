//! The ACLs that each command needs: what the tests grant, and the table of docs/security.md.

use std::collections::BTreeSet;
use std::env;
use std::fmt::Write as _;
use std::fs;

use Kind::{Group, Topic};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/security.md");

/// What an ACL is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Topic,
    Group,
}

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    pub operation: &'static str,
    pub kind: Kind,
    /// The option that names the topic or the group.
    pub name: &'static str,
    /// When it is needed; always, if this is empty.
    pub when: &'static str,
}

const fn need(operation: &'static str, kind: Kind, name: &'static str) -> Need {
    Need { operation, kind, name, when: "" }
}

const fn only(operation: &'static str, kind: Kind, name: &'static str, when: &'static str) -> Need {
    Need { operation, kind, name, when }
}

pub const LOG: &str = "`decision_log.topic`";
pub const INDEX: &str = "`decision_log.index.topic`";
pub const LETTERS: &str = "`dead_letter.topic`";
pub const INPUT: &str = "`kafka.topic`";
pub const EXPORT: &str = "`export.topic`";
pub const GROUP: &str = "`kafka.group_id`";
pub const REKEY_GROUP: &str = "`kafka.group_id` with `-rekey` behind it, or `--group`";
pub const REPLAY_GROUP: &str = "`kafka.group_id` with `-replay` behind it";
pub const FROM: &str = "`--from`";
pub const TO: &str = "`--to`, or `kafka.topic`";

const WITH_LOG: &str = "unless `decision_log.enabled: false`";
const WITH_LETTERS: &str = "with a section `dead_letter`";
const WITH_EXPORT: &str = "with an exporter of `protocol: kafka`";

pub const RUN: &[Need] = &[
    need("Read", Topic, INPUT),
    need("Read", Group, GROUP),
    only("Read", Topic, LOG, WITH_LOG),
    only("Write", Topic, LOG, WITH_LOG),
    only("Write", Topic, LETTERS, WITH_LETTERS),
    only("Write", Topic, EXPORT, WITH_EXPORT),
];

/// Nothing fails without them.
pub const RUN_INDEX: &[Need] = &[
    only(
        "Write",
        Topic,
        INDEX,
        "or `trace` reads all of the decision log; unless `decision_log.index.enabled: false`",
    ),
    only("Read", Topic, INDEX, "or keeping a dropped trace reads more of the decision log"),
];

/// Nothing fails without them, either.
const CREATE_INDEX: &[Need] = &[only(
    "Create",
    Topic,
    INDEX,
    "if it does not exist yet; or `trace` reads all of the decision log",
)];

/// As of `RUN_INDEX`.
const TRACE_INDEX: &[Need] = &[only("Read", Topic, INDEX, "or it reads all of the decision log")];

/// Besides those of `RUN`.
pub const CREATE_TOPICS: &[Need] = &[
    only("Create", Topic, LOG, "if it does not exist yet"),
    only("Create", Topic, LETTERS, "if it does not exist yet"),
];

/// Besides those of `RUN`, which it asks for.
pub const DOCTOR: &[Need] = &[
    only("DescribeConfigs", Topic, INPUT, "or its settings are not looked at"),
    only("DescribeConfigs", Topic, LOG, "or its settings are not looked at"),
];

pub const REKEY: &[Need] =
    &[need("Read", Topic, FROM), need("Read", Group, REKEY_GROUP), need("Write", Topic, TO)];

/// Nothing fails without them.
const REKEY_SIZES: &[Need] =
    &[only("DescribeConfigs", Topic, TO, "or its records are kept below 1 MiB")];

pub const REPLAY: &[Need] = &[
    need("Read", Topic, LETTERS),
    need("Write", Topic, LETTERS),
    need("Read", Group, REPLAY_GROUP),
    need("Write", Topic, TO),
];

pub const DRY_RUN: &[Need] = &[
    need("Read", Topic, LETTERS),
    need("Describe", Group, REPLAY_GROUP),
    need("Describe", Topic, TO),
];

pub const CAPTURE: &[Need] = &[need("Read", Topic, INPUT)];

pub const DECISIONS: &[Need] = &[need("Read", Topic, LOG)];

pub const TRACE: &[Need] = &[need("Read", Topic, LOG), need("Read", Topic, INPUT)];

pub const WHATIF: &[Need] =
    &[need("Read", Topic, INPUT), only("Read", Topic, LOG, "unless there is a `--baseline`")];

/// Where a dropped trace is kept after all.
pub const KEEP: &[Need] =
    &[only("Write", Topic, INPUT, "with `retrieval.keep`, and for `trace --keep`")];

pub const GENERATE: &[Need] = &[need("Write", Topic, "`--topic`")];

const TABLE: &[(&str, &[Need])] = &[
    ("`run`", RUN),
    ("", RUN_INDEX),
    ("`run --create-topics`: those of `run`, and", CREATE_TOPICS),
    ("", CREATE_INDEX),
    ("`doctor`: those of `run`, and", DOCTOR),
    ("`rekey`", REKEY),
    ("", REKEY_SIZES),
    ("`replay-dead-letters`", REPLAY),
    ("`replay-dead-letters --dry-run`", DRY_RUN),
    ("`capture`", CAPTURE),
    ("`decisions`", DECISIONS),
    ("`trace`, `retrieval`, and `run` with `retrieval.listen`", TRACE),
    ("", TRACE_INDEX),
    ("", KEEP),
    ("`whatif`", WHATIF),
    ("`generate`", GENERATE),
];

/// An ACL on a resource of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl {
    pub operation: &'static str,
    pub kind: Kind,
    pub name: String,
}

impl Need {
    /// On the resource that `name` finds for the option.
    pub fn on(&self, name: impl Fn(&'static str) -> String) -> Acl {
        Acl { operation: self.operation, kind: self.kind, name: name(self.name) }
    }
}

impl Acl {
    /// How a command names it when it is missing: what, and how it is granted.
    pub fn texts(&self) -> [String; 2] {
        let Self { operation, kind, name } = self;
        let kind = match kind {
            Topic => "topic",
            Group => "group",
        };
        [
            format!("the user of `sasl.username` lacks the ACL {operation} on the {kind} {name}"),
            format!("--add --allow-principal User:NAME --operation {operation} --{kind} {name}"),
        ]
    }
}

fn table() -> String {
    let mut text =
        String::from("| command | resource | name | operation | |\n|---|---|---|---|---|\n");
    for (command, needs) in TABLE {
        for (row, Need { operation, kind, name, when }) in needs.iter().enumerate() {
            let command = if row == 0 { command } else { "" };
            let _ = writeln!(text, "| {command} | {kind:?} | {name} | {operation} | {when} |");
        }
    }
    text
}

/// Those of a member with a dead-letter topic, on the topics of the examples.
fn of_the_examples() -> BTreeSet<(&'static str, &'static str, &'static str)> {
    let needs = RUN.iter().chain(RUN_INDEX).filter(|need| need.name != EXPORT);
    needs
        .map(|need| {
            let kind = if need.kind == Topic { "topic" } else { "group" };
            let name = match need.name {
                INPUT => "otlp_spans",
                GROUP => "tailsieve",
                LOG => "otlp_spans_decisions",
                INDEX => "otlp_spans_decisions_index",
                LETTERS => "otlp_spans_dead",
                other => panic!("{other} has no name in the examples"),
            };
            (kind, name, need.operation)
        })
        .collect()
}

/// Guarantees: the user of Strimzi, and the commands of docs/security.md, grant what a member needs and
/// nothing else.
#[test]
fn acls_of_the_examples_are_those_of_a_member() {
    const USER: &str = include_str!("../../../deploy/kubernetes/strimzi/kafkauser.yaml");
    let user: serde_json::Value = serde_saphyr::from_str(USER).unwrap();
    let mut granted = BTreeSet::new();
    for acl in user["spec"]["authorization"]["acls"].as_array().unwrap() {
        for operation in acl["operations"].as_array().unwrap() {
            let [kind, name] = ["type", "name"].map(|key| acl["resource"][key].as_str().unwrap());
            granted.insert((kind, name, operation.as_str().unwrap()));
        }
    }
    assert_eq!(granted, of_the_examples());

    let page = fs::read_to_string(FILE).unwrap();
    let mut granted = BTreeSet::new();
    for command in page.lines().filter(|line| line.starts_with("kafka-acls.sh ")) {
        let words: Vec<&str> = command.split(' ').collect();
        let after = |option: &str| {
            let pairs = words.windows(2).filter(move |pair| pair[0] == option);
            pairs.map(|pair| pair[1]).collect::<Vec<_>>()
        };
        for kind in ["topic", "group"] {
            for name in after(&format!("--{kind}")) {
                granted.extend(
                    after("--operation").into_iter().map(|operation| (kind, name, operation)),
                );
            }
        }
    }
    assert_eq!(granted, of_the_examples());
}

/// Guarantees: docs/security.md has the table that is tested. `TAILSIEVE_UPDATE=1` writes it.
#[test]
fn acls_of_the_documentation_are_those_that_are_tested() {
    const BEGIN: &str = "<!-- ACLs: tests/kafka/acl/needs.rs writes this table -->\n";
    const END: &str = "<!-- ACLs: end -->\n";
    let page = fs::read_to_string(FILE).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the table has a beginning");
    let (found, after) = rest.split_once(END).expect("the table has an end");
    let table = format!("\n{}\n", table());
    if env::var_os("TAILSIEVE_UPDATE").is_some() {
        fs::write(FILE, [before, BEGIN, &table, END, after].concat()).unwrap();
    } else {
        assert_eq!(found, table, "TAILSIEVE_UPDATE=1 cargo test --test kafka acls_of writes it");
    }
}
