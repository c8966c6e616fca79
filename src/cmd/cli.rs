//! The command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::cmd::capture::{self, CaptureArgs};
use crate::cmd::decide::{self, DecideArgs};
use crate::cmd::demo::{self, DemoArgs};
use crate::cmd::doctor::{self, DoctorArgs};
use crate::cmd::generate::{self, GenerateArgs};
use crate::cmd::policy_tests::{self, TestArgs};
use crate::cmd::rekey::{self, RekeyArgs};
use crate::cmd::replay_dead_letters::{self, ReplayDeadLettersArgs};
use crate::cmd::run::{self, RunArgs};
use crate::cmd::schema::{self, SchemaArgs};
use crate::cmd::validate::{self, ValidateArgs};
use crate::telemetry::logs::{self, LogFormat};

/// Tail sampling for OpenTelemetry traces, on Kafka.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub struct Cli {
    /// How log lines look
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Auto)]
    log_format: LogFormat,
    /// What is logged: a level, or filters such as `info,tailsieve::kafka::source=debug`
    #[arg(long, global = true, value_name = "FILTER", env = "TAILSIEVE_LOG")]
    log: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(RunArgs),
    Rekey(RekeyArgs),
    ReplayDeadLetters(ReplayDeadLettersArgs),
    Generate(GenerateArgs),
    Demo(DemoArgs),
    Doctor(DoctorArgs),
    Decide(DecideArgs),
    Capture(CaptureArgs),
    Test(TestArgs),
    Validate(ValidateArgs),
    Schema(SchemaArgs),
}

impl Cli {
    /// Runs the command, and says on standard error why it failed if it did.
    pub fn execute(&self) -> ExitCode {
        let log = self.log.as_deref();
        match &self.command {
            Command::Run(args) => match run::run(args, self.log_format, log) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failed(&error, error.exit_code()),
            },
            Command::Rekey(args) => match rekey::run(args, self.log_format, log) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failed(&error, error.exit_code()),
            },
            Command::ReplayDeadLetters(args) => {
                match replay_dead_letters::run(args, self.log_format, log) {
                    Ok(true) => ExitCode::SUCCESS,
                    Ok(false) => ExitCode::FAILURE,
                    Err(error) => failed(&error, error.exit_code()),
                }
            }
            Command::Generate(args) => {
                if let Err(error) = logs::init(self.log_format, log) {
                    return failed(&error, ExitCode::from(run::EXIT_USAGE));
                }
                match generate::run(args) {
                    Ok(()) => ExitCode::SUCCESS,
                    Err(error) => failed(&error, ExitCode::FAILURE),
                }
            }
            Command::Demo(args) => {
                // A demo is looked at: only what is wrong is logged, unless more is asked for.
                if let Err(error) = logs::init(self.log_format, log.or(Some("error"))) {
                    return failed(&error, ExitCode::from(run::EXIT_USAGE));
                }
                match demo::run(args) {
                    Ok(true) => ExitCode::SUCCESS,
                    Ok(false) => ExitCode::FAILURE,
                    Err(error) => failed(&error, error.exit_code()),
                }
            }
            Command::Doctor(args) => match doctor::run(args) {
                Ok(code) => ExitCode::from(code),
                Err(error) => failed(&error, ExitCode::FAILURE),
            },
            Command::Schema(args) => match schema::run(*args) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failed(&error, ExitCode::FAILURE),
            },
            Command::Test(args) => match policy_tests::run(args) {
                Ok(score) if score.failed == 0 => ExitCode::SUCCESS,
                Ok(_) => ExitCode::FAILURE,
                Err(error) => failed(&error, error.exit_code()),
            },
            Command::Decide(args) => match decide::run(args) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failed(&error, error.exit_code()),
            },
            Command::Capture(args) => match capture::run(args) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failed(&error, error.exit_code()),
            },
            Command::Validate(args) => {
                let report = validate::check(args);
                match report.print(args.output) {
                    Ok(()) => ExitCode::from(report.exit_code(args.strict)),
                    Err(error) => failed(&error, ExitCode::from(validate::EXIT_ERRORS)),
                }
            }
        }
    }
}

fn failed(error: &dyn std::error::Error, code: ExitCode) -> ExitCode {
    eprintln!("error: {error}");
    code
}
