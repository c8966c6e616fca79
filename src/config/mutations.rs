//! Files that are damaged in all kinds of ways: they are taken or refused, and nothing else.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::diagnostics::lines;
use super::document::Document;
use super::{parse_policies, static_file};

/// How many damaged files are read; the variable of this name says otherwise.
const CASES: &str = "TAILSIEVE_MUTATIONS";
const DEFAULT_CASES: u32 = 20_000;

/// What is put in: YAML's own marks, numbers at the edge, pieces of policies.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ": ",
    "- ",
    "\n",
    "\n  ",
    "#",
    "'",
    "\"",
    "|\n",
    ">\n",
    "&a ",
    "*a",
    "<<: ",
    "!!str ",
    "\t",
    "\u{feff}",
    "\u{0}",
    "é",
    "~",
    "null",
    "-1",
    "0",
    "1e999",
    ".nan",
    "18446744073709551616",
    "170141183460469231731687303715884105728",
    "true",
    "no",
    "${",
    "${env:",
    "${env:HOME}",
    "${yaml:",
    "${yaml:[a, ${HOME}]}",
    "${env:NOWHERE:-",
    "${file:Cargo.toml}",
    "0777",
    "config: {processors: {",
    "$$",
    "110%",
    "policies:",
    "type: rule",
    "type: not",
    "drop",
    "processors:",
    "tail_sampling:",
    "name == \"",
    "[[[[[[[[",
    "]]]]",
    "\\",
    "\\u00e9",
    "---\n",
    "...",
    "%",
];

static FILES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["config", "deploy", "tests/validate", "tests/schema-broken"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                files.push(fs::read_to_string(path).unwrap());
            }
        }
    }
    files.sort();
    files
});

/// One damage: at a place, given in thousandths of the file.
#[derive(Clone, Debug)]
enum Damage {
    Insert { at: u16, piece: usize },
    Remove { at: u16, length: usize },
    Copy { at: u16, length: usize, to: u16 },
    Replace { at: u16, by: char },
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = || 0u16..1000;
    prop_oneof![
        (at(), 0..PIECES.len()).prop_map(|(at, piece)| Damage::Insert { at, piece }),
        (at(), 1usize..40).prop_map(|(at, length)| Damage::Remove { at, length }),
        (at(), 1usize..200, at()).prop_map(|(at, length, to)| Damage::Copy { at, length, to }),
        (at(), any::<char>()).prop_map(|(at, by)| Damage::Replace { at, by }),
    ]
}

fn damaged(text: &str, damages: &[Damage]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for damage in damages {
        let place = |at: &u16| usize::from(*at) * chars.len() / 1000;
        let end = |at: usize, length: &usize| (at + length).min(chars.len());
        match damage {
            Damage::Insert { at, piece } => {
                let at = place(at);
                chars.splice(at..at, PIECES[*piece].chars());
            }
            Damage::Remove { at, length } => {
                let at = place(at);
                chars.drain(at..end(at, length));
            }
            Damage::Copy { at, length, to } => {
                let (at, to) = (place(at), place(to));
                let copy = chars[at..end(at, length)].to_vec();
                chars.splice(to..to, copy);
            }
            Damage::Replace { at, by } => {
                let at = place(at);
                if let Some(c) = chars.get_mut(at) {
                    *c = *by;
                }
            }
        }
    }
    chars.into_iter().collect()
}

/// Every place that is told lies in the file, and every message can be shown.
fn read(text: &str) {
    let lines = lines(text).count();
    let refused = [
        parse_policies("p", text).err(),
        Document::parse_alone("s", text)
            .and_then(|mut document| {
                document.substitute(&[]);
                static_file(&document, Path::new("")).map(|_| ())
            })
            .err(),
    ];
    for errors in refused.into_iter().flatten() {
        assert!(!errors.findings().is_empty());
        let of_file = errors.findings().iter().filter(|finding| finding.file.is_none());
        assert!(of_file.into_iter().all(|finding| finding.line <= lines + 1), "{errors}");
    }
}

#[test]
fn damaged_files_are_taken_or_refused() {
    let cases = std::env::var(CASES).ok().and_then(|cases| cases.parse().ok());
    let config = Config { cases: cases.unwrap_or(DEFAULT_CASES), ..Config::default() };
    let strategy = (0..FILES.len(), prop::collection::vec(damage(), 1..5));
    let result = TestRunner::new(config).run(&strategy, |(file, damages)| {
        read(&damaged(&FILES[file], &damages));
        Ok(())
    });
    result.unwrap();
}

#[test]
fn files_are_refused_without_much_memory() {
    // Lists of lists of lists, by aliases: 10^9 items.
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..9 {
        let items = vec![format!("*a{}", level - 1); 10].join(",");
        bomb += &format!("a{level}: &a{level} [{items}]\n");
    }
    assert!(parse_policies("p", &bomb).is_err());
}
