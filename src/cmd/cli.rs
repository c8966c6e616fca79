//! The command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::capture::{self, CaptureArgs};
use super::completions::{self, CompletionsArgs};
use super::convert::{self, ConvertArgs};
use super::decide::{self, DecideArgs};
use super::decisions::{self, DecisionsArgs};
use super::demo::{self, DemoArgs};
use super::doctor::{self, DoctorArgs};
use super::generate::{self, GenerateArgs};
use super::health::{self, HealthArgs};
use super::man::{self, ManArgs};
use super::policy_tests::{self, TestArgs};
use super::process::LogOptions;
use super::rekey::{self, RekeyArgs};
use super::replay_dead_letters::{self, ReplayDeadLettersArgs};
use super::retrieval::{self, RetrievalArgs};
use super::run::{self, RunArgs};
use super::schema::{self, SchemaArgs};
use super::size::{self, SizeArgs};
use super::top::{self, TopArgs};
use super::trace::{self, TraceArgs};
use super::validate::{self, ValidateArgs};
use super::version;
use super::whatif::{self, WhatIfArgs};

/// Tail sampling for OpenTelemetry traces, on Kafka.
#[derive(Debug, Parser)]
#[command(version, long_version = version::text(), about, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    log: LogOptions,
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
    Health(HealthArgs),
    Top(TopArgs),
    Doctor(DoctorArgs),
    Decisions(DecisionsArgs),
    Trace(TraceArgs),
    Retrieval(RetrievalArgs),
    Decide(DecideArgs),
    Capture(CaptureArgs),
    Test(TestArgs),
    #[command(name = "whatif")]
    WhatIf(WhatIfArgs),
    Validate(ValidateArgs),
    Size(SizeArgs),
    Convert(ConvertArgs),
    Schema(SchemaArgs),
    Completions(CompletionsArgs),
    #[command(hide = true)]
    Man(ManArgs),
}

impl Cli {
    /// Runs the command, and says on standard error why it failed if it did.
    pub fn execute(&self) -> ExitCode {
        let ended = match &self.command {
            Command::Run(args) => run::run(args, &self.log),
            Command::Rekey(args) => rekey::run(args, &self.log),
            Command::ReplayDeadLetters(args) => replay_dead_letters::run(args, &self.log),
            Command::Generate(args) => generate::run(args, &self.log),
            Command::Demo(args) => demo::run(args, &self.log),
            Command::Health(args) => health::run(args),
            Command::Top(args) => top::run(args),
            Command::Doctor(args) => doctor::run(args),
            Command::Decisions(args) => decisions::run(args),
            Command::Trace(args) => trace::run(args),
            Command::Retrieval(args) => retrieval::run(args, &self.log),
            Command::Decide(args) => decide::run(args),
            Command::Capture(args) => capture::run(args),
            Command::Test(args) => policy_tests::run(args),
            Command::WhatIf(args) => whatif::run(args),
            Command::Validate(args) => validate::run(args),
            Command::Convert(args) => convert::run(args),
            Command::Size(args) => size::run(args),
            Command::Schema(args) => schema::run(*args),
            Command::Completions(args) => completions::run(*args),
            Command::Man(args) => man::run(args),
        };
        ended.unwrap_or_else(|error| {
            eprintln!("error: {error}");
            error.exit_code()
        })
    }
}
