//! What became of the letters, by kind and reason, for people.

use std::collections::BTreeMap;
use std::fmt;

use super::found::Found;
use crate::kafka::dead_letters::Kind;

/// What became of one letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// On its topic, or with its backend; in a dry run: it would go there.
    FedBack,
    /// The backend refused it again: it is on the dead-letter topic again.
    RefusedAgain,
    /// It cannot be fed back, and is on the dead-letter topic again, as it was.
    Failed,
    /// Not asked for: on the dead-letter topic again, as it was.
    Left,
    /// Of another input topic, or no letter: it stays where it is.
    PassedOver,
}

impl Fate {
    const ALL: [(Self, &'static str); 5] = [
        (Self::FedBack, "fed back"),
        (Self::RefusedAgain, "refused again"),
        (Self::Failed, "failed"),
        (Self::Left, "left"),
        (Self::PassedOver, "passed over"),
    ];
}

/// Counts letters.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// By kind and reason: how many letters had each fate.
    rows: BTreeMap<(&'static str, String), [u64; Fate::ALL.len()]>,
}

impl Report {
    pub(super) fn add(&mut self, found: &Found, fate: Fate) {
        let kind = found.kind().map_or("(no letter)", Kind::name);
        let row = self.rows.entry((kind, found.reason().to_owned())).or_default();
        row[fate as usize] += 1;
    }

    pub(super) fn count(&self, fate: Fate) -> u64 {
        self.rows.values().map(|row| row[fate as usize]).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rows.is_empty() {
            return f.write_str("no letters");
        }
        let widest = self.rows.keys().map(|(_, reason)| reason.len()).max().unwrap_or(0).max(6);
        write!(f, "{:<11}  {:<widest$}", "kind", "reason")?;
        Fate::ALL.iter().try_for_each(|(_, name)| write!(f, "  {name:>13}"))?;
        for ((kind, reason), row) in &self.rows {
            write!(f, "\n{kind:<11}  {reason:<widest$}")?;
            row.iter().try_for_each(|count| write!(f, "  {count:>13}"))?;
        }
        Ok(())
    }
}

// What the places in a row are numbered by.
const _: () = assert!(Fate::PassedOver as usize + 1 == Fate::ALL.len());

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::dead_letters::{KIND, REASON};

    #[test]
    fn letters_are_counted_by_kind_and_reason() {
        let found = |kind: &str, reason: &str| Found {
            headers: vec![(KIND.into(), kind.into()), (REASON.into(), reason.into())],
            ..Found::default()
        };
        let mut report = Report::default();
        assert_eq!(report.to_string(), "no letters");
        report.add(&found("record", "malformed"), Fate::FedBack);
        report.add(&found("record", "malformed"), Fate::Left);
        report.add(&found("refused", "INVALID_ARGUMENT"), Fate::RefusedAgain);
        let text = report.to_string();
        let words: Vec<Vec<_>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[1], ["record", "malformed", "1", "0", "0", "1", "0"], "{text}");
        assert_eq!(words[2], ["refused", "INVALID_ARGUMENT", "0", "1", "0", "0", "0"], "{text}");
        assert_eq!(report.count(Fate::FedBack), 1);
    }
}
