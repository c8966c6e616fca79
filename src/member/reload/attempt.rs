//! One look at the policy file: from its bytes to policies that could be put in force.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::ReloadSettings;
use crate::config::{self, PolicyFile};
use crate::member::worker::ActivePolicies;
use crate::sampling::policy::{self, CompileError};
use crate::sampling::sampler::Policies;
use crate::sampling::trace::Limits;

/// Tells contents apart, also those that are no policy file, and no file at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(u64);

/// What a look at the file came to.
#[derive(Debug)]
pub(super) enum Attempt {
    /// It holds what it held when it was looked at last.
    Same,
    /// It holds what is in force.
    Active(Fingerprint),
    /// It holds other policies, and they are good.
    Good(Fingerprint, PolicyFile, Box<ActivePolicies>),
    /// It is bad: every error in it.
    Bad(Fingerprint, String),
}

impl Attempt {
    /// What the file holds, if that is something else than it did.
    pub(super) fn change(&self) -> Option<Fingerprint> {
        match self {
            Self::Same | Self::Active(_) => None,
            Self::Good(fingerprint, ..) | Self::Bad(fingerprint, _) => Some(*fingerprint),
        }
    }
}

/// Reads and checks the file, unless it is as it was when `seen` was made. `hash` is that of the
/// policies in force. Blocks.
pub(super) fn attempt(settings: &ReloadSettings, seen: Option<Fingerprint>, hash: &str) -> Attempt {
    let path = &settings.path;
    let text = config::read_file(path)
        .map_err(|error| format!("{}: cannot be read: {error}", path.display()));
    // What variables hold is read again with the file: another file that it names may change.
    let has_variables = text.as_ref().is_ok_and(|text| text.contains("${"));
    let mut of_file = fingerprint(&text);
    if seen == Some(of_file) && !has_variables {
        return Attempt::Same;
    }
    let file = text.and_then(|text| {
        let name = path.display().to_string();
        let file = config::parse_policies_in(&name, &text, &settings.surroundings);
        file.map_err(|errors| errors.to_string())
    });
    if has_variables {
        of_file = fingerprint(&file.as_ref().map(|file| file.hash.clone()).map_err(Clone::clone));
        if seen == Some(of_file) {
            return Attempt::Same;
        }
    }
    let fingerprint = of_file;
    match file {
        Ok(file) if file.hash == hash => Attempt::Active(fingerprint),
        Ok(file) => match active_policies(&file) {
            Ok(next) => Attempt::Good(fingerprint, file, Box::new(next)),
            Err(error) => Attempt::Bad(fingerprint, format!("{}: {error}", path.display())),
        },
        Err(errors) => Attempt::Bad(fingerprint, errors),
    }
}

fn fingerprint(text: &Result<String, String>) -> Fingerprint {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    Fingerprint(hasher.finish())
}

/// What decisions are made by, as a policy file says it.
///
/// # Errors
/// When a policy cannot be compiled.
pub fn policies(file: &PolicyFile) -> Result<Policies, CompileError> {
    let limits = Limits {
        decision_wait: file.decision_wait,
        decision_wait_after_root_received: file.decision_wait_after_root_received,
        maximum_trace_spans: file.maximum_trace_spans,
        maximum_trace_size: file.maximum_trace_size,
    };
    let mut set = policy::compile(&file.policies)?;
    if let Some(reopen) = &file.reopen {
        set = set.reopening(reopen)?;
    }
    Ok(Policies::new(set, limits, file.decision_cache_ttl))
}

/// What a policy file puts in force. Its metrics are there from now on.
///
/// # Errors
/// When a policy cannot be compiled.
pub fn active_policies(file: &PolicyFile) -> Result<ActivePolicies, CompileError> {
    Ok(ActivePolicies::new(policies(file)?, file.hash.clone()))
}
