//! `tailsieve validate`: checks files before they are rolled out.
//!
//! Promises everything that is wrong at once, each with its place, and exit codes that a pipeline
//! can go by. Starts nothing and connects to nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::process::{self, CommandError, Output};
use crate::config::{self, Checked, Finding, Surroundings};

/// The exit code when there are only warnings and `--strict` is given.
const EXIT_WARNINGS: u8 = 1;

/// The exit code when there are errors.
const EXIT_ERRORS: u8 = 2;

/// Check static files, policy files, Collector configurations and files with tests.
///
/// What a file is, is told by its content: a static file (`tailsieve run --config`), a policy
/// file, a `tail_sampling` block, or a whole Collector configuration. The policy file that a
/// static file names is checked, too. Nothing is started or connected to.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Exit codes:\n  0  the files can be used; there may be warnings\n  1  \
                        there are warnings, and --strict is given\n  2  there are errors")]
pub struct ValidateArgs {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Warnings are errors
    #[arg(long)]
    pub strict: bool,
    /// The processor that is meant in a Collector configuration, for example `tail_sampling/shop`;
    /// by default the one that its pipelines of traces use
    #[arg(long, value_name = "NAME")]
    pub processor: Option<String>,
    /// How the findings are printed; json is one document for all files
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// What was found in all files.
#[derive(Clone, Debug)]
pub struct Report {
    files: Vec<Checked>,
}

/// Checks the files, and prints what was found to standard output.
///
/// # Errors
/// When that cannot be written.
pub fn run(args: &ValidateArgs) -> Result<ExitCode, CommandError> {
    let report = check(args);
    let text = match args.output {
        Output::Text => report.text(),
        Output::Json => format!("{:#}\n", report.json()),
    };
    process::print(&text).map_err(CommandError::usage)?;
    Ok(ExitCode::from(report.exit_code(args.strict)))
}

/// Checks the files, each once.
pub fn check(args: &ValidateArgs) -> Report {
    let mut report = Report { files: Vec::with_capacity(args.files.len()) };
    let mut seen = BTreeSet::new();
    for file in &args.files {
        if seen.insert(file.clone()) {
            report.files.push(check_one(file, args.processor.clone(), None));
        }
    }
    // After the files that were asked for, so that none of them is taken for one of these.
    for checked in report.files.clone() {
        let Some((path, processor)) = checked.policies else { continue };
        if seen.insert(path.clone()) {
            let processor = processor.or_else(|| args.processor.clone());
            report.files.push(check_one(&path, processor, checked.exporters));
        }
    }
    report
}

/// Checks a file. `processor` counts only if the file is one that may hold processors.
fn check_one(path: &Path, processor: Option<String>, exporters: Option<Vec<String>>) -> Checked {
    let mut surroundings = Surroundings { processor, exporters, ..Surroundings::default() };
    let checked = config::check(path, &surroundings);
    if surroundings.processor.is_some() && checked.kind == config::Kind::Policies {
        surroundings.processor = None;
        return config::check(path, &surroundings);
    }
    checked
}

impl Report {
    /// What was found in each file.
    pub fn files(&self) -> &[Checked] {
        &self.files
    }

    fn exit_code(&self, strict: bool) -> u8 {
        let has_warnings = self.files.iter().any(|file| !file.warnings.is_empty());
        if self.files.iter().any(|file| !file.errors.is_empty()) {
            EXIT_ERRORS
        } else if strict && has_warnings {
            EXIT_WARNINGS
        } else {
            0
        }
    }

    /// For people: all findings of a file, and a line that sums them up.
    fn text(&self) -> String {
        let mut text = String::new();
        for Checked { file, kind, errors, warnings, notes, .. } in &self.files {
            if text.ends_with('\n')
                && !(errors.is_empty() && warnings.is_empty() && notes.is_empty())
            {
                text += "\n";
            }
            for (findings, what) in [(errors, ""), (warnings, "warning: "), (notes, "note: ")] {
                for finding in findings {
                    text += &finding.shown(file, what);
                    text += "\n\n";
                }
            }
            let counts = [(errors, "error"), (warnings, "warning"), (notes, "note")];
            let counts = counts.map(|(findings, what)| count(findings.len(), what));
            let counts: Vec<String> = counts.into_iter().flatten().collect();
            let sum = if counts.is_empty() { "ok".to_owned() } else { counts.join(", ") };
            text += &format!("{file} ({}): {sum}\n", kind.name());
        }
        text
    }

    fn json(&self) -> Value {
        let findings = |findings: &[Finding]| findings.iter().map(finding).collect::<Vec<_>>();
        let file = |checked: &Checked| {
            json!({
                "file": checked.file,
                "kind": checked.kind.name(),
                "errors": findings(&checked.errors),
                "warnings": findings(&checked.warnings),
                "notes": findings(&checked.notes),
            })
        };
        json!({ "files": self.files.iter().map(file).collect::<Vec<_>>() })
    }
}

fn count(number: usize, what: &str) -> Option<String> {
    match number {
        0 => None,
        1 => Some(format!("1 {what}")),
        _ => Some(format!("{number} {what}s")),
    }
}

/// A finding about the file as a whole has neither line nor column; one in a file that a variable
/// names has that file.
fn finding(finding: &Finding) -> Value {
    let place = |number: usize| (number > 0).then_some(number);
    let mut json = json!({
        "line": place(finding.line),
        "column": place(finding.column),
        "message": finding.message,
        "help": finding.help,
        "excerpt": finding.excerpt,
    });
    if let Some(file) = &finding.file {
        json["file"] = json!(file);
    }
    json
}
