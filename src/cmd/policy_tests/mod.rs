//! `tailsieve test`: users' own regression tests of their policies.
//!
//! Owns the command. A test is a few traces and what is to become of them; each runs through the
//! completion and the policies of [`crate::cmd::decide`], in a partition of its own.

mod check;
mod report;
mod spans;

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use super::process::{self, CommandError, Output};
use crate::config::policy_tests::{self, PolicyTests};

pub use check::check;

/// Test policies: traces written in a few words, and what is to become of them.
///
/// A file names the policies and holds tests; config/policy-tests.yaml is an example of
/// everything that can be said.
///
/// Exit codes: 0 if all tests pass, 1 if some fail, 2 if a file is wrong.
#[derive(Clone, Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct TestArgs {
    /// How results are printed; json is one object a test, the summary last
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// Files with tests
    #[arg(value_name = "POLICY_TESTS", required = true)]
    pub files: Vec<PathBuf>,
}

/// How many tests passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Everything was as expected.
    pub passed: u64,
    /// Something was not.
    pub failed: u64,
}

/// Runs all tests, and prints what came of them on standard output.
///
/// # Errors
/// If a file is wrong: then no test is run.
pub fn run(args: &TestArgs) -> Result<ExitCode, CommandError> {
    let mut files = Vec::new();
    let mut errors = Vec::new();
    for path in &args.files {
        match policy_tests::load(path) {
            Ok(tests) => files.push((path.display().to_string(), tests)),
            Err(error) => errors.push(error.to_string()),
        }
    }
    if !errors.is_empty() {
        return Err(CommandError::Usage(errors.join("\n\n")));
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let mut score = Score::default();
    process::seen_enough(run_all(&files, args.output, &mut out, &mut score))?;
    Ok(if score.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_all(
    files: &[(String, PolicyTests)],
    output: Output,
    out: &mut impl Write,
    score: &mut Score,
) -> Result<(), CommandError> {
    for (file, PolicyTests { policies, tests }) in files {
        report::file(output, out, file)?;
        for test in tests {
            let outcome = check(policies, test).map_err(|error| {
                CommandError::usage(format_args!("{file}:{}: {error}", test.line))
            })?;
            match outcome.passed() {
                true => score.passed += 1,
                false => score.failed += 1,
            }
            report::test(output, out, file, test, &outcome)?;
        }
    }
    report::score(output, out, *score)?;
    Ok(out.flush()?)
}
