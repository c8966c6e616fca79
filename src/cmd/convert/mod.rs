//! `tailsieve convert`: policy files out of the files of other samplers.
//!
//! The Collector's `tail_sampling` needs none of this: tailsieve reads it as it is. Promises that what
//! is printed can be used as it is, that it means what the other file meant, and that whatever has no
//! counterpart is named with the reason, in the result and on standard error.

mod refinery;

use std::process::ExitCode;

use super::process::CommandError;
use refinery::RefineryArgs;

/// Make a policy file out of the rules of another sampler.
#[derive(Clone, Debug, clap::Args)]
pub struct ConvertArgs {
    #[command(subcommand)]
    from: From,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum From {
    Refinery(RefineryArgs),
}

/// Prints the policy file to standard output, and what is to be known of it to standard error.
///
/// # Errors
/// When the file cannot be read as what it should be.
pub fn run(args: &ConvertArgs) -> Result<ExitCode, CommandError> {
    match &args.from {
        From::Refinery(args) => refinery::run(args),
    }
}
