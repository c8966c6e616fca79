//! The attribute keys that somebody asks for.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use crate::otlp::span::KeyIndex;

/// Longest key that the mask tells apart.
const MASK_BITS: usize = 64;

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
#[derive(Debug, Default)]
pub struct AttributeKeys {
    keys: Vec<String>,
    /// Bit n: there is a key of n bytes, or of n and a multiple of 64.
    lengths: u64,
    /// By length up to the mask's width: the keys.
    by_length: Vec<Vec<KeyIndex>>,
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
            by_length[bucket(key.len())].push(KeyIndex(index));
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
        let bucket = bucket(key.len());
        let is_it = |index: &&KeyIndex| self.keys[usize::from(index.0)].as_bytes() == key;
        self.by_length[bucket].iter().find(is_it).copied()
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
        for key in keys {
            let alone = AttributeKeys::new([key.clone()]);
            assert_eq!(alone.lookup(key.as_bytes()), Some(KeyIndex(0)), "{key}");
        }
    }
}
