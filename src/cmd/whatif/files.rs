//! The policy files of a comparison.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::WhatIfArgs;
use crate::cmd::process::CommandError;
use crate::config::{self, PolicyFile};
use crate::member::reload;
use crate::whatif::{Candidate, Judge, Tally};

/// The files, read.
pub(super) struct Files {
    pub(super) candidates: Vec<File>,
    pub(super) baseline: Option<File>,
}

/// A policy file.
pub(super) struct File {
    pub(super) name: String,
    pub(super) file: PolicyFile,
    pub(super) judge: Judge,
    /// It is a file with another `decision_wait`.
    decision_wait_millis: Option<u64>,
}

impl Files {
    /// Reads them.
    pub(super) fn load(args: &WhatIfArgs) -> Result<Self, CommandError> {
        let mut candidates = Vec::new();
        for path in &args.policies {
            let file = File::load(path)?;
            let others = args.decision_wait.iter().map(|wait| file.waiting(*wait));
            let others = others.collect::<Result<Vec<_>, _>>()?;
            candidates.push(file);
            candidates.extend(others);
        }
        let baseline = args.baseline.as_deref().map(File::load).transpose()?;
        Ok(Self { candidates, baseline })
    }

    fn all(&self) -> impl Iterator<Item = &File> {
        self.candidates.iter().chain(&self.baseline)
    }

    /// The candidates, of which nothing is said yet.
    pub(super) fn named(&self) -> Vec<Candidate> {
        let named = |it: &File| Candidate {
            file: it.name.clone(),
            hash: it.file.hash.clone(),
            decision_wait_millis: it.decision_wait_millis,
            tally: Tally::default(),
        };
        self.candidates.iter().map(named).collect()
    }

    /// The longest time that a trace is open.
    pub(super) fn longest_wait(&self) -> Duration {
        self.all().map(|it| it.file.decision_wait).max().unwrap_or_default()
    }

    /// The longest time that a decision is remembered.
    pub(super) fn longest_memory(&self) -> Duration {
        self.all().map(|it| it.file.decision_cache_ttl).max().unwrap_or_default()
    }

    /// The most decisions that are remembered.
    pub(super) fn room(&self) -> usize {
        self.all().map(|it| it.judge.room).max().unwrap_or_default()
    }

    /// The names of all policies.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.all().flat_map(|it| it.judge.policies.set.names())
    }
}

impl File {
    fn load(path: &Path) -> Result<Self, CommandError> {
        let file = config::load_policies(path)?;
        for warning in &file.warnings {
            eprintln!("warning: {warning}");
        }
        Self::new(path.display().to_string(), file, None)
    }

    fn new(name: String, file: PolicyFile, wait: Option<u64>) -> Result<Self, CommandError> {
        let policies = Arc::new(reload::policies(&file)?);
        let room = usize::try_from(file.decision_cache_entries).unwrap_or(usize::MAX);
        let judge = Judge { policies, room };
        Ok(Self { name, file, judge, decision_wait_millis: wait })
    }

    /// The same with another wait.
    fn waiting(&self, wait: Duration) -> Result<Self, CommandError> {
        let file = PolicyFile { decision_wait: wait, ..self.file.clone() };
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        Self::new(self.name.clone(), file, Some(millis))
    }
}
