//! The tailsieve command.

use std::process::ExitCode;

use clap::Parser;
use tailsieve::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().execute()
}
