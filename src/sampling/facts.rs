//! What is known of a whole trace: the vocabulary between the traces that gather it, span by
//! span, and the policies that judge by it.

use std::time::Duration;

use smallvec::SmallVec;

use crate::ids::TraceId;

/// A set of small numbers: which of the policies' span predicates were true for some span.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    words: SmallVec<[u64; 2]>,
}

impl Facts {
    /// Adds `fact`.
    pub fn insert(&mut self, fact: u16) {
        let word = usize::from(fact / 64);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (fact % 64);
    }

    /// True if `fact` was added.
    pub fn contains(&self, fact: u16) -> bool {
        self.words.get(usize::from(fact / 64)).is_some_and(|word| word >> (fact % 64) & 1 == 1)
    }

    /// True if one of `others` was added.
    pub fn has_any(&self, others: &Self) -> bool {
        self.words.iter().zip(&others.words).any(|(word, other)| word & other != 0)
    }

    /// Adds all facts of `other`.
    pub fn merge(&mut self, other: &Self) {
        if other.words.len() > self.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
    }
}

/// The services of a trace, told apart by the hashes of their names: counted if somebody asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Services {
    hashes: SmallVec<[u64; 1]>,
}

impl Services {
    /// Adds the service whose name has this hash.
    pub fn insert(&mut self, hash: u64) {
        if !self.hashes.contains(&hash) {
            self.hashes.push(hash);
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.hashes.len()
    }
}

/// A trace as far as it came in: what a decision is made of.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Whose summary this is.
    pub trace_id: TraceId,
    /// Number of spans.
    pub spans: u32,
    /// Their wire bytes, without the resource and scope that they share.
    pub bytes: u64,
    /// Number of spans with status ERROR.
    pub errors: u32,
    /// Its services, if they are counted.
    pub services: Services,
    /// The earliest start of a span, Unix time in nanoseconds.
    pub start_unix_nano: u64,
    /// The latest end of a span, Unix time in nanoseconds.
    pub end_unix_nano: u64,
    /// The explicit randomness (`rv`) that a span's tracestate carried, the first that came.
    pub explicit_randomness: Option<u64>,
    /// The span predicates that were true for some span.
    pub facts: Facts,
}

impl Summary {
    /// A trace of which nothing came in yet.
    pub fn new(trace_id: TraceId) -> Self {
        Self {
            trace_id,
            spans: 0,
            bytes: 0,
            errors: 0,
            services: Services::default(),
            start_unix_nano: u64::MAX,
            end_unix_nano: 0,
            explicit_randomness: None,
            facts: Facts::default(),
        }
    }

    /// From the earliest start to the latest end; zero where clocks disagree so far that the end
    /// comes first.
    pub fn duration(&self) -> Duration {
        Duration::from_nanos(self.end_unix_nano.saturating_sub(self.start_unix_nano))
    }

    /// The randomness R of the trace, 56 bits: the explicit one, else that of the trace id.
    pub fn randomness(&self) -> u64 {
        self.explicit_randomness.unwrap_or_else(|| self.trace_id.randomness())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_found_again_across_words() {
        let mut facts = Facts::default();
        facts.insert(3);
        facts.insert(200);
        let mut other = Facts::default();
        other.insert(64);
        facts.merge(&other);
        let found: Vec<u16> = (0..300).filter(|fact| facts.contains(*fact)).collect();
        assert_eq!(found, [3, 64, 200]);
        assert!(facts.has_any(&other));
        other = Facts::default();
        other.insert(65);
        assert!(!facts.has_any(&other) && !Facts::default().has_any(&facts));
    }
}
