//! `--state`: what was found so far, in a file, so that a comparison that was stopped goes on.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::merge;
use crate::cmd::process::CommandError;
use crate::ids::{Partition, Timestamp};
use crate::whatif::{Outcome, Plan};

/// The file, and what was in it.
pub(super) struct State {
    path: Option<PathBuf>,
    before: Option<Outcome>,
}

impl State {
    /// Reads the file, if one is named and exists.
    pub(super) fn load(path: Option<&Path>) -> Result<Self, CommandError> {
        let exists = path.filter(|path| path.exists());
        let before = exists.map(merge::read).transpose()?;
        Ok(Self { path: path.map(Path::to_owned), before })
    }

    /// The range of time that it is about.
    pub(super) fn range(&self) -> Option<(Timestamp, Timestamp)> {
        let before = self.before.as_ref()?;
        let (from, to) = before.from_unix_milli.zip(before.to_unix_milli)?;
        Some((Timestamp(from), Timestamp(to)))
    }

    /// Leaves out what was read before.
    pub(super) fn shorten(&self, plan: &mut Plan) {
        let before = self.before.iter().flat_map(|it| &it.partitions);
        plan.leave_out(&before.copied().map(Partition).collect());
    }

    /// With what was found before.
    pub(super) fn complete(&self, mut outcome: Outcome) -> Result<Outcome, CommandError> {
        if let (Some(before), Some(path)) = (&self.before, &self.path) {
            outcome.merge(before).map_err(|error| {
                let path = path.display();
                CommandError::usage(format_args!(
                    "{path} is the state of another comparison: {error}"
                ))
            })?;
        }
        Ok(outcome)
    }

    /// True if a file is named.
    pub(super) fn is_kept(&self) -> bool {
        self.path.is_some()
    }

    /// Writes the file, whole or not at all.
    pub(super) fn save(&self, outcome: &Outcome) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let name = path.file_name().ok_or(ErrorKind::InvalidFilename)?.to_string_lossy();
        let beside = path.with_file_name(format!(".{name}.new"));
        fs::write(&beside, serde_json::to_vec(outcome)?)?;
        fs::rename(&beside, path)
    }
}
