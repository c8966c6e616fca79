//! What came of the tests, as text and as JSON.

use std::io::{self, Write};

use serde::Serialize;

use super::Score;
use super::check::{Difference, Outcome};
use crate::cmd::decide;
use crate::cmd::process::Output;
use crate::config::policy_tests::PolicyTest;

/// A file's tests begin.
pub(super) fn file(output: Output, out: &mut impl Write, file: &str) -> io::Result<()> {
    match output {
        Output::Text => writeln!(out, "{file}"),
        Output::Json => Ok(()),
    }
}

/// A test was run.
pub(super) fn test(
    output: Output,
    out: &mut impl Write,
    file: &str,
    test: &PolicyTest,
    outcome: &Outcome,
) -> io::Result<()> {
    match output {
        Output::Text => text(out, file, test, outcome),
        Output::Json => json(out, file, test, outcome),
    }
}

/// All tests were run.
pub(super) fn score(output: Output, out: &mut impl Write, score: Score) -> io::Result<()> {
    let Score { passed, failed } = score;
    match output {
        Output::Text => writeln!(out, "\n{passed} passed, {failed} failed"),
        Output::Json => {
            let summary = serde_json::json!({ "passed": passed, "failed": failed });
            writeln!(out, "{}", serde_json::json!({ "summary": summary }))
        }
    }
}

/// One line; for a test that fails, what differs, and the votes of all policies.
fn text(out: &mut impl Write, file: &str, test: &PolicyTest, outcome: &Outcome) -> io::Result<()> {
    if outcome.passed() {
        return writeln!(out, "  ok    {}", test.name);
    }
    writeln!(out, "  FAIL  {} ({file}:{})", test.name, test.line)?;
    let policies = outcome.policies();
    for (number, trace) in (1..).zip(&outcome.traces) {
        if trace.differences.is_empty() {
            continue;
        }
        if outcome.traces.len() > 1 {
            writeln!(out, "          trace {number}")?;
        }
        for Difference { what, expected, got } in &trace.differences {
            writeln!(out, "          {what}: expected {expected}, got {got}")?;
        }
        let explained = &trace.explained;
        let why = decide::why(policies, &explained.decision);
        writeln!(out, "          {}, {why}", decide::decision(explained))?;
        decide::write_votes(out, policies, explained, "            ")?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    test: &'a str,
    line: usize,
    passed: bool,
    traces: Vec<Trace<'a>>,
}

#[derive(Serialize)]
struct Trace<'a> {
    differences: Vec<DifferenceLine<'a>>,
    #[serde(flatten)]
    decision: decide::DecisionLine<'a>,
}

#[derive(Serialize)]
struct DifferenceLine<'a> {
    what: &'a str,
    expected: &'a str,
    got: &'a str,
}

fn json(out: &mut impl Write, file: &str, test: &PolicyTest, outcome: &Outcome) -> io::Result<()> {
    let traces = outcome.traces.iter().map(|trace| Trace {
        differences: trace
            .differences
            .iter()
            .map(|it| DifferenceLine { what: &it.what, expected: &it.expected, got: &it.got })
            .collect(),
        decision: decide::DecisionLine::new(outcome.policies(), &trace.explained),
    });
    let line = Line {
        file,
        test: &test.name,
        line: test.line,
        passed: outcome.passed(),
        traces: traces.collect(),
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}
