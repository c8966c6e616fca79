//! `tailsieve man`: the man pages, for those who make packages.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::CommandFactory as _;

use super::cli::Cli;
use super::process::CommandError;

/// Write the man pages, one for each command, into a folder.
#[derive(Clone, Debug, clap::Args)]
pub struct ManArgs {
    /// The folder, which has to be there
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Writes them.
///
/// # Errors
/// When the folder cannot be written to.
pub fn run(args: &ManArgs) -> Result<ExitCode, CommandError> {
    if !args.dir.is_dir() {
        let dir = args.dir.display();
        return Err(CommandError::usage(format_args!("{dir} is no folder: create it before")));
    }
    clap_mangen::generate_to(Cli::command(), &args.dir)?;
    Ok(ExitCode::SUCCESS)
}
