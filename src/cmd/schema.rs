//! `tailsieve schema`: the JSON Schemas of the files, for editors and pipelines.

use std::process::ExitCode;

use super::process::{self, CommandError};
use crate::config::schema;

/// Print the JSON Schema of a file.
///
/// Editors read the line `# yaml-language-server: $schema=FILE` at the top of a YAML file; the
/// files in `config/` have it.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct SchemaArgs {
    /// Which file
    #[arg(value_enum)]
    pub which: Which,
}

/// A file that there is a schema for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Which {
    /// A policy file, a `tail_sampling` block or a Collector configuration
    Policies,
    /// The static file
    Config,
    /// A file with tests of policies
    Tests,
}

/// Prints the schema to standard output.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(args: SchemaArgs) -> Result<ExitCode, CommandError> {
    let schema = match args.which {
        Which::Policies => schema::policies(),
        Which::Config => schema::config(),
        Which::Tests => schema::policy_tests(),
    };
    process::print(&schema)?;
    Ok(ExitCode::SUCCESS)
}
