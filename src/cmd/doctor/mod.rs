//! `tailsieve doctor`: connects to everything that a member needs, and says what is wrong.
//!
//! Owns the order of things: the files, then what they name, asked within one deadline, then the
//! judgement of what was found out, which is pure. Promises to change nothing (it joins no group,
//! commits and writes nothing), to end within half a minute whatever is broken, and to name the
//! command or the setting that fixes each thing. Leaves what the files mean to `validate`.

mod encoding;
mod facts;
mod finding;
mod gather;
mod judge;
mod sample;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::process::{self, CommandError, Output};
use crate::cmd::validate::{self, ValidateArgs};
use crate::config;
use crate::sync::lock;

use facts::Plan;
use finding::{Finding, State};

/// How long all questions together may take.
const DEADLINE: Duration = Duration::from_secs(25);

/// Connect to everything that the files name, and say what is wrong and what mends it.
///
/// Reads the static file and its policies, then asks Kafka (brokers, topic, settings, group,
/// recent records, decision log), the backend and this machine. Changes nothing.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Exit codes:\n  0  all is well; there may be warnings\n  1  there are \
                        errors\n  2  the command line is wrong")]
pub struct DoctorArgs {
    /// The static file
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// How the findings are printed; json is one document
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// Looks at everything, and prints what was found.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(args: &DoctorArgs) -> Result<ExitCode, CommandError> {
    let findings = examine(args);
    let text = match args.output {
        Output::Text => finding::text(&findings),
        Output::Json => format!("{:#}\n", finding::json(&findings)),
    };
    process::print(&text)?;
    let is_wrong = finding::worst(&findings) == State::Error;
    Ok(if is_wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn examine(args: &DoctorArgs) -> Vec<Finding> {
    let deadline = Instant::now() + DEADLINE;
    let mut findings = files(args);
    // Policies that are wrong keep nothing else from being looked at.
    let Ok(settings) = config::load(&args.config) else {
        let text = "nothing is connected to before the static file can be read";
        findings.push(Finding::skipped("everything else", text));
        return findings;
    };
    let policies = config::load_both(&args.config).map(|(_, policies)| policies);
    let plan = Plan::new(&settings, &policies.unwrap_or_default());
    let board = gather::gather(&plan, &settings, deadline);
    let facts = std::mem::take(&mut *lock(&board));
    findings.extend(judge::judge(&plan, &facts));
    findings
}

/// What `validate` says of the files.
fn files(args: &DoctorArgs) -> Vec<Finding> {
    let files = vec![args.config.clone()];
    let output = Output::Text;
    let checked = validate::check(&ValidateArgs { files, strict: false, processor: None, output });
    let mut findings = Vec::new();
    for file in checked.files() {
        for found in &file.errors {
            let text = format!("{}: {}", place(&file.file, found), found.message);
            let fix = found.help.clone().unwrap_or_else(|| "mend the file".to_owned());
            findings.push(Finding::error("files", text, fix));
        }
        for found in &file.warnings {
            let text = format!("{}: {}", place(&file.file, found), found.message);
            let fix = found.help.clone().unwrap_or_else(|| "look at the file".to_owned());
            findings.push(Finding::warning("files", text, fix));
        }
        if file.errors.is_empty() && file.warnings.is_empty() {
            findings.push(Finding::ok("files", format!("{} can be used", file.file)));
        }
    }
    findings
}

fn place(file: &str, finding: &config::Finding) -> String {
    let file = finding.file.as_deref().unwrap_or(file);
    if finding.line == 0 { file.to_owned() } else { format!("{file}:{}", finding.line) }
}
