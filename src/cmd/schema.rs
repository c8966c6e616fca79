//! `tailsieve schema`: the JSON Schemas of the files, for editors and pipelines.

use std::io::{self, ErrorKind, Write};

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

/// Prints the schema to standard output; a reader that has left is not an error.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(args: SchemaArgs) -> io::Result<()> {
    let schema = match args.which {
        Which::Policies => schema::policies(),
        Which::Config => schema::config(),
        Which::Tests => schema::policy_tests(),
    };
    match io::stdout().write_all(schema.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}
