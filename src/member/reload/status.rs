//! What is in force and how it came about, for the log and for people.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{Trigger, metrics};
use crate::member::worker::ActivePolicies;
use crate::sampling::policy::spec::{Mode, PolicySpec};
use crate::sampling::sampler::Policies;

/// What is in force, and what the last looks at the file came to.
#[derive(Clone, Debug, PartialEq)]
pub struct ReloadStatus {
    /// The policy file.
    pub file: PathBuf,
    /// Names the contents that are in force.
    pub hash: String,
    /// Since when they are.
    pub since: SystemTime,
    /// The policies, in the order of the file.
    pub policies: Vec<Listed>,
    /// What the last reload changed; `None` before the first.
    pub changed: Option<Changed>,
    /// What is wrong with the file as it is now; `None` if it is what is in force.
    pub failure: Option<Failure>,
}

/// A policy in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its type, as files have it.
    pub kind: &'static str,
    /// `enforce` or `shadow`.
    pub mode: &'static str,
}

/// What a reload changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// What brought it about.
    pub trigger: Trigger,
    /// Policies that were not there.
    pub added: Vec<String>,
    /// Policies that are there no more.
    pub removed: Vec<String>,
    /// Policies that were written otherwise.
    pub changed: Vec<String>,
    /// How many policies are as they were.
    pub unchanged: usize,
    /// Other settings, from what to what.
    pub settings: Vec<String>,
}

/// A file that was not put in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// When it was read.
    pub at: SystemTime,
    /// Why it was.
    pub trigger: Trigger,
    /// Everything that is wrong with it.
    pub errors: String,
}

impl ReloadStatus {
    pub(super) fn at_start(file: &Path, active: &ActivePolicies) -> Self {
        Self {
            file: file.to_owned(),
            hash: active.hash.clone(),
            since: crate::clock::system_time(),
            policies: active.policies.set.specs().map(Listed::from).collect(),
            changed: None,
            failure: None,
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        self.to_string()
    }

    /// For programs.
    pub fn json(&self) -> String {
        let policy = |it: &Listed| json!({"name": it.name, "type": it.kind, "mode": it.mode});
        let changed = self.changed.as_ref().map(|changed| {
            json!({
                "trigger": changed.trigger.name(),
                "added": changed.added,
                "removed": changed.removed,
                "changed": changed.changed,
                "unchanged": changed.unchanged,
                "settings": changed.settings,
            })
        });
        let failure = self.failure.as_ref().map(|failure| {
            let trigger = failure.trigger.name();
            json!({"at": time(failure.at), "trigger": trigger, "errors": failure.errors})
        });
        let status: Value = json!({
            "file": self.file.display().to_string(),
            "hash": self.hash,
            "since": time(self.since),
            "policies": self.policies.iter().map(policy).collect::<Vec<_>>(),
            "lastReload": changed,
            "failure": failure,
        });
        format!("{status:#}\n")
    }

    /// For Prometheus.
    pub fn metrics(&self) -> String {
        metrics::render_hash(&self.hash)
    }
}

impl From<&PolicySpec> for Listed {
    fn from(spec: &PolicySpec) -> Self {
        let mode = match spec.mode {
            Mode::Enforce => "enforce",
            Mode::Shadow => "shadow",
        };
        Self { name: spec.name.clone(), kind: spec.kind.type_name(), mode }
    }
}

fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_seconds(at).to_string()
}

impl fmt::Display for ReloadStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "file    {}", self.file.display())?;
        writeln!(f, "hash    {}", self.hash)?;
        writeln!(f, "since   {}\n", time(self.since))?;
        let longest = |field: fn(&Listed) -> &str| {
            self.policies.iter().map(|it| field(it).chars().count()).max().unwrap_or(0).max(6)
        };
        let (names, kinds) = (longest(|it| &it.name), longest(|it| it.kind));
        writeln!(f, "{:names$}  {:kinds$}  mode", "policy", "type")?;
        for Listed { name, kind, mode } in &self.policies {
            writeln!(f, "{name:names$}  {kind:kinds$}  {mode}")?;
        }
        if let Some(changed) = &self.changed {
            writeln!(f, "\nlast reload, by {}\n{changed}", changed.trigger.name())?;
        }
        if let Some(Failure { at, trigger, errors }) = &self.failure {
            let (at, trigger) = (time(*at), trigger.name());
            writeln!(f, "\nNOT in force: the file as it is since {at} ({trigger})\n\n{errors}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            ("added", &self.added),
            ("removed", &self.removed),
            ("changed", &self.changed),
            ("settings", &self.settings),
        ];
        for (what, names) in names.into_iter().filter(|(_, names)| !names.is_empty()) {
            writeln!(f, "{:9}  {}", what, names.join(", "))?;
        }
        write!(f, "unchanged  {}", self.unchanged)
    }
}

impl Changed {
    pub(super) fn new(trigger: Trigger, old: &ActivePolicies, new: &ActivePolicies) -> Self {
        let changes = new.policies.set.changes(&old.policies.set);
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            trigger,
            added: owned(&changes.added),
            removed: owned(&changes.removed),
            changed: owned(&changes.changed),
            unchanged: changes.unchanged,
            settings: settings(old, new),
        }
    }
}

/// Settings beside the policies that changed.
fn settings(old: &ActivePolicies, new: &ActivePolicies) -> Vec<String> {
    let (old, new) = (&old.policies, &new.policies);
    let (from, to) = (&old.limits, &new.limits);
    let wait = |time: Duration| humantime::format_duration(time).to_string();
    let reopen = |policies: &Policies| {
        let names: Vec<&str> = policies.set.reopeners().collect();
        if names.is_empty() { "off".to_owned() } else { names.join(", ") }
    };
    let all = [
        ("decision_wait", wait(from.decision_wait), wait(to.decision_wait)),
        (
            "decision_wait_after_root_received",
            wait(from.decision_wait_after_root_received),
            wait(to.decision_wait_after_root_received),
        ),
        (
            "maximum_trace_spans",
            from.maximum_trace_spans.to_string(),
            to.maximum_trace_spans.to_string(),
        ),
        (
            "maximum_trace_size",
            from.maximum_trace_size.to_string(),
            to.maximum_trace_size.to_string(),
        ),
        ("reopen.policies", reopen(old), reopen(new)),
        ("decision_cache.ttl", wait(old.decision_cache_ttl), wait(new.decision_cache_ttl)),
    ];
    let changed = all.into_iter().filter(|(_, from, to)| from != to);
    changed.map(|(name, from, to)| format!("{name} {from} -> {to}")).collect()
}
