//! The attribute keys that somebody asks for.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use crate::otlp::span::KeyIndex;

/// Longest key that the mask tells apart.
const MASK_BITS: usize = 64;

/// Longest key whose ends are all of it.
const TWO_WORDS: usize = 16;

/// What a scan reads of a record beside its spans and their attributes: only what somebody asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// Parent ids, status messages and dropped counts of spans.
    pub details: bool,
    /// Events and their attributes.
    pub events: bool,
    /// Names, versions and attributes of scopes.
    pub scopes: bool,
}

/// A small set of keys that is quick to say no: most attributes are nobody's.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct AttributeKeys {
    keys: Vec<String>,
    /// Bit n: there is a key of n bytes, or of n and a multiple of 64.
    lengths: u64,
    /// By length up to the mask's width: the keys, and their ends.
    by_length: Vec<Vec<(Ends, KeyIndex)>>,
    fingerprint: u64,
    pub(super) extras: Extras,
}

impl AttributeKeys {
    /// The keys, each found by its place in `keys`.
    ///
    /// # Panics
    ///
    /// If there are more than 65536.
    pub fn new(keys: impl IntoIterator<Item = String>) -> Self {
        let keys: Vec<String> = keys.into_iter().collect();
        let mut by_length = vec![Vec::new(); MASK_BITS];
        let mut lengths = 0;
        for (index, key) in keys.iter().enumerate() {
            let index = u16::try_from(index).expect("there are at most 65536 keys");
            lengths |= 1_u64.wrapping_shl(key.len() as u32);
            by_length[bucket(key.len())].push((ends(key.as_bytes()), KeyIndex(index)));
        }
        let fingerprint = FixedState::default().hash_one(&keys);
        Self { keys, lengths, by_length, fingerprint, extras: Extras::default() }
    }

    /// The same keys, and `extras` beside them.
    pub fn with(self, extras: Extras) -> Self {
        Self { extras, ..self }
    }

    /// Equal for equal keys, and hardly ever for others.
    pub(super) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// False if it is none of those asked for: a quick look for most attributes.
    #[inline(always)]
    pub(super) fn may_have(&self, key: &[u8]) -> bool {
        self.lengths.wrapping_shr(key.len() as u32) & 1 != 0
    }

    /// The index of a key, if it is one of those asked for.
    #[inline]
    pub fn lookup(&self, key: &[u8]) -> Option<KeyIndex> {
        if !self.may_have(key) {
            return None;
        }
        let ends_of_key = ends(key);
        let is_it = |(ends, index): &&(Ends, KeyIndex)| {
            *ends == ends_of_key
                && (key.len() <= TWO_WORDS || self.keys[usize::from(index.0)].as_bytes() == key)
        };
        self.by_length[bucket(key.len())].iter().find(is_it).map(|(_, index)| *index)
    }
}

/// The first and the last eight bytes of a key, which may overlap: keys of one length, up to
/// [`TWO_WORDS`], are equal if these are.
type Ends = (u64, u64);

#[inline]
fn ends(key: &[u8]) -> Ends {
    if let (Some(head), Some(tail)) = (key.first_chunk(), key.last_chunk()) {
        (u64::from_le_bytes(*head), u64::from_le_bytes(*tail))
    } else if let (Some(head), Some(tail)) = (key.first_chunk(), key.last_chunk()) {
        (u32::from_le_bytes(*head).into(), u32::from_le_bytes(*tail).into())
    } else {
        (key.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0)
    }
}

#[inline]
fn bucket(length: usize) -> usize {
    length.min(MASK_BITS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_all_lengths_are_found_and_no_others() {
        let keys: Vec<String> = (0..200).map(|n| "k".repeat(n)).collect();
        let set = AttributeKeys::new(keys.iter().skip(1).step_by(2).cloned());
        for (n, key) in keys.iter().enumerate() {
            let expected = (n % 2 == 1).then_some(KeyIndex((n / 2) as u16));
            assert_eq!(set.lookup(key.as_bytes()), expected, "{n}");
        }
        assert_eq!(AttributeKeys::default().lookup(b"k"), None);
        for key in &keys {
            for changed in 0..key.len() {
                let mut other = key.clone().into_bytes();
                other[changed] = b'x';
                assert_eq!(set.lookup(&other), None, "{changed} of {}", key.len());
            }
            let alone = AttributeKeys::new([key.clone()]);
            assert_eq!(alone.lookup(key.as_bytes()), Some(KeyIndex(0)), "{key}");
        }
    }
}
