//! What a comparison came to, as it is written to a file and read again.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::estimate::Sample;
use super::lane::ReadCounts;
use super::tally::Tally;

/// The number of this form. Others are refused.
const FORM: u32 = 1;

/// A comparison of candidates with one old side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The form of this.
    pub form: u32,
    /// What was read: a topic, or a capture.
    pub source: String,
    /// How many partitions it has.
    pub topic_partitions: u32,
    /// Those of them that were read.
    pub partitions: BTreeSet<i32>,
    /// The first record of a trace is not older, in milliseconds since the epoch; `None` of a capture.
    pub from_unix_milli: Option<i64>,
    /// It is older than this.
    pub to_unix_milli: Option<i64>,
    /// What the candidates are compared with, in words.
    pub baseline: String,
    /// What was read.
    pub read: ReadCounts,
    /// Kafka may not have all of the range any more.
    #[serde(default)]
    pub is_cut: bool,
    /// What has to be known of it.
    pub notes: Vec<String>,
    /// The candidates, in the order of the command line.
    pub candidates: Vec<Candidate>,
}

/// What is said of one candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// Its policy file.
    pub file: String,
    /// The hash of its contents.
    pub hash: String,
    /// It is the file before, with this `decision_wait`, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_wait_millis: Option<u64>,
    /// What was counted, in the partitions that were read.
    #[serde(flatten)]
    pub tally: Tally,
}

/// Why two outcomes do not add up.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum MergeError {
    /// They do not ask the same.
    #[error("they differ in {0}")]
    Other(&'static str),
    /// Both have read it.
    #[error("both have read partition {0}")]
    Twice(i32),
    /// Another version has written it.
    #[error("it was written by another version of tailsieve (form {0})")]
    Form(u32),
}

impl Outcome {
    /// Nothing was read yet.
    pub fn new(source: String, topic_partitions: u32, baseline: String) -> Self {
        Self {
            form: FORM,
            source,
            topic_partitions,
            partitions: BTreeSet::new(),
            from_unix_milli: None,
            to_unix_milli: None,
            baseline,
            read: ReadCounts::default(),
            is_cut: false,
            notes: Vec::new(),
            candidates: Vec::new(),
        }
    }

    /// Which part of all traces was read.
    pub fn sample(&self) -> Sample {
        Sample { read: self.partitions.len() as u32, of: self.topic_partitions }
    }

    /// Adds what was read of other partitions.
    ///
    /// # Errors
    /// When it is not about the same, or of a partition that was read here, too.
    pub fn merge(&mut self, more: &Self) -> Result<(), MergeError> {
        if let Some(other) = [self.form, more.form].into_iter().find(|form| *form != FORM) {
            return Err(MergeError::Form(other));
        }
        let names =
            |it: &Self| -> Vec<_> { it.candidates.iter().map(|it| it.hash.clone()).collect() };
        let range = |it: &Self| (it.from_unix_milli, it.to_unix_milli);
        let differences = [
            (self.source != more.source, "what they read"),
            (self.topic_partitions != more.topic_partitions, "the number of partitions"),
            (range(self) != range(more), "the range of time"),
            (self.baseline != more.baseline, "what they compare with"),
            (names(self) != names(more), "the policy files"),
        ];
        if let Some((_, what)) = differences.into_iter().find(|(differ, _)| *differ) {
            return Err(MergeError::Other(what));
        }
        if let Some(both) = self.partitions.intersection(&more.partitions).next() {
            return Err(MergeError::Twice(*both));
        }
        self.partitions.extend(&more.partitions);
        self.read.add(&more.read);
        self.is_cut |= more.is_cut;
        for note in &more.notes {
            if !self.notes.contains(note) {
                self.notes.push(note.clone());
            }
        }
        let candidates = self.candidates.iter_mut().zip(&more.candidates);
        candidates.for_each(|(all, more)| all.tally.add(&more.tally));
        Ok(())
    }
}
