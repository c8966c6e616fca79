//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::demo::DemoArgs;
use crate::generate::GenerateArgs;

/// Tail sampling for OpenTelemetry traces, on Kafka.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub struct Cli {
    /// How log lines look.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Auto)]
    pub log_format: LogFormat,
    /// What is logged: a level, or filters such as `info,tailsieve::source=debug`.
    #[arg(long, global = true, env = "TAILSIEVE_LOG")]
    pub log: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// Text.
    Text,
    /// JSON, one object a line.
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a member of the consumer group.
    Run {
        /// The static file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Put realistic traffic onto a Kafka topic.
    Generate(GenerateArgs),
    /// Show the whole product in one process, on an embedded broker.
    Demo(DemoArgs),
}
