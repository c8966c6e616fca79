//! `tailsieve whatif merge`: outcomes of other partitions, together.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::print::PrintArgs;
use crate::cmd::process::CommandError;
use crate::whatif::Outcome;

/// Put together what several processes found in other partitions of the same topic.
///
/// FILES are what `tailsieve whatif --output json --partition ...` printed, each of other partitions, with the same
/// policy files and the same --from and --to.
#[derive(Clone, Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct MergeArgs {
    /// The outcomes
    #[arg(value_name = "FILES", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    print: PrintArgs,
}

/// Prints the sum.
pub(super) fn run(args: &MergeArgs) -> Result<ExitCode, CommandError> {
    args.print.check()?;
    let mut files = args.files.iter();
    let first = files.next().ok_or_else(|| CommandError::usage("there are no files"))?;
    let mut sum = read(first)?;
    for path in files {
        let merged = sum.merge(&read(path)?);
        merged.map_err(|error| {
            let (first, path) = (first.display(), path.display());
            CommandError::usage(format_args!("{path} does not go with {first}: {error}"))
        })?;
    }
    args.print.print(&sum, std::iter::empty())
}

/// Reads an outcome.
pub(super) fn read(path: &Path) -> Result<Outcome, CommandError> {
    let wrong = |error: String| CommandError::usage(format_args!("{}: {error}", path.display()));
    let text =
        fs::read_to_string(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    serde_json::from_str(&text).map_err(|error| {
        wrong(format!("is not what `tailsieve whatif --output json` prints: {error}"))
    })
}
