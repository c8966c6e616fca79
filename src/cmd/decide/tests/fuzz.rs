//! Mutated captures, policy files and files with tests: nothing panics, hangs or fills the memory.
//!
//! `TAILSIEVE_FUZZ_CASES=100000 cargo test --release --lib decide::tests::fuzz` is the long run.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

use crate::cmd::decide::{Offline, Session};
use crate::cmd::process::Output;
use crate::config::{self, PolicyFile, policy_tests};
use crate::otlp::json;
use crate::testbed::captures::Capture;

const DEFAULT_CASES: u64 = 4000;

/// A case takes milliseconds. One that has not come this far hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// What all cases together may add to the largest use of memory.
const MOST_MEMORY: u64 = 1 << 30;

const TOKENS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b":",
    b",",
    b"\n",
    b"\\",
    b"null",
    b"-1",
    b"1e999",
    b"0.5",
    b"18446744073709551616",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"NaN",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\x0a\xff\xff\xff\xff\x0f",
    b"\x00\x00\x00\x00",
    b"\x28\xb5\x2f\xfd",
    b"{\"resourceSpans\":[",
    b"\"traceId\":\"",
    b"\"recordTimestampMs\":9223372036854775807,",
    b"${env:HOME}",
    b"&a [*a,*a]",
    b"!!binary ",
    b"---\n",
    b"policies:",
    b"- name: x\n",
    b"999%",
    b"type: not\n",
    b"(((((((((((((",
    b"[[[[[[[[[[[[[[[[[[[[[[[[",
    b" and not ",
    b"99999999d",
    b"4294967295",
];

struct Corpus {
    captures: Vec<Vec<u8>>,
    policies: Vec<Vec<u8>>,
    tests: Vec<Vec<u8>>,
}

impl Corpus {
    fn new() -> Self {
        let lines = include_str!("spans.json").trim_end();
        let messages: Vec<Vec<u8>> =
            lines.lines().map(|line| json::to_protobuf(line.as_bytes()).unwrap()).collect();
        let framed = |messages: &[Vec<u8>]| -> Vec<u8> {
            let frame = |it: &Vec<u8>| [&(it.len() as u32).to_be_bytes()[..], it].concat();
            messages.iter().flat_map(frame).collect()
        };
        let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
        let packed: Vec<Vec<u8>> = messages.iter().map(|it| zstd(it)).collect();
        let pretty = |line: &str| {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            serde_json::to_string_pretty(&value).unwrap()
        };
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let file = |name: &str| fs::read(root.join(name)).unwrap();
        Self {
            captures: vec![
                lines.as_bytes().to_vec(),
                lines.lines().map(pretty).collect::<String>().into_bytes(),
                messages.concat(),
                framed(&messages),
                framed(&packed),
                zstd(lines.as_bytes()),
            ],
            policies: vec![file("config/policies.yaml"), include_bytes!("policies.yaml").to_vec()],
            tests: vec![file("config/policy-tests.yaml"), include_bytes!("tests.yaml").to_vec()],
        }
    }
}

fn pick<'a, T>(rng: &mut StdRng, from: &'a [T]) -> &'a T {
    &from[rng.random_range(0..from.len())]
}

fn mutate(rng: &mut StdRng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = pick(rng, seeds).clone();
    for _ in 0..rng.random_range(1..8) {
        let at = rng.random_range(0..=bytes.len());
        let end = (at + rng.random_range(0..40)).min(bytes.len());
        match rng.random_range(0..7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            1 if at < bytes.len() => bytes[at] = rng.next_u32() as u8,
            2 => drop(bytes.drain(at..end)),
            3 => {
                let again = bytes[at..end].to_vec();
                let times = 1 << rng.random_range(0..8);
                bytes.splice(at..at, again.repeat(times));
            }
            4 => drop(bytes.splice(at..at, pick(rng, TOKENS).iter().copied())),
            5 => {
                let other = pick(rng, seeds);
                let from = rng.random_range(0..=other.len());
                let until = (from + rng.random_range(0..200)).min(other.len());
                bytes.splice(at..end, other[from..until].iter().copied());
            }
            _ if rng.random_bool(0.1) => bytes.truncate(at),
            _ => {}
        }
    }
    bytes
}

fn parse(bytes: &[u8]) -> Option<PolicyFile> {
    match config::parse_policies("policies.yaml", &String::from_utf8_lossy(bytes)) {
        Ok(file) => Some(file),
        Err(errors) => {
            assert!(!errors.to_string().is_empty());
            None
        }
    }
}

/// One case; what it comes to does not matter.
fn run(number: u64, corpus: &Corpus) {
    let mut rng = StdRng::seed_from_u64(number);
    let policies = match rng.random_bool(0.5) {
        true => mutate(&mut rng, &corpus.policies),
        false => pick(&mut rng, &corpus.policies).clone(),
    };
    let file = parse(&policies).or_else(|| parse(pick::<Vec<u8>>(&mut rng, &corpus.policies)));
    let file = file.expect("the seeds are good");
    let output = if rng.random_bool(0.5) { Output::Json } else { Output::Text };
    let offline = Offline::new(&file).expect("what was loaded can be compiled");
    let mut session = Session::new(offline, output, io::sink());
    session.is_silent = true;
    let input = mutate(&mut rng, &corpus.captures);
    // An error is as good as a decision.
    let read = Capture::new("spans".to_owned(), Box::new(io::Cursor::new(input)));
    if read.is_ok_and(|capture| session.read(capture).is_ok()) {
        let _ = session.finish("spans");
    }
    if number.is_multiple_of(4) {
        let text = mutate(&mut rng, &corpus.tests);
        run_tests(&String::from_utf8_lossy(&text));
    }
}

fn run_tests(text: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    match policy_tests::parse("tests.yaml", text, &folder) {
        Ok(tests) => {
            for test in &tests.tests {
                let _ = crate::cmd::policy_tests::check(&tests.policies, test);
            }
        }
        Err(errors) => assert!(!errors.to_string().is_empty()),
    }
}

/// The largest use of memory so far, in bytes.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn no_mutation_panics_hangs_or_fills_the_memory() {
    let cases = std::env::var("TAILSIEVE_FUZZ_CASES").ok();
    let cases = cases.map_or(DEFAULT_CASES, |cases| cases.parse().unwrap());
    let first = std::env::var("TAILSIEVE_FUZZ_FIRST").map_or(0, |first| first.parse().unwrap());
    let before = peak_memory();
    let (done, progress) = mpsc::channel();
    let worker = thread::spawn(move || {
        let corpus = Corpus::new();
        for number in first..first + cases {
            run(number, &corpus);
            done.send(number).unwrap();
        }
    });
    let mut next = first;
    while let Ok(number) = progress.recv_timeout(PATIENCE) {
        next = number + 1;
    }
    assert!(next == first + cases, "case {next} panics, or takes longer than {PATIENCE:?}");
    worker.join().unwrap();
    let grown = peak_memory() - before;
    assert!(grown < MOST_MEMORY, "the memory grew by {grown} bytes");
}
