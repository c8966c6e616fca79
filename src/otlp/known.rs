//! Resources that were checked before: the same one comes with nearly every record of a service.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::otlp::span::{AttributeRef, Slice, ValueRef};

/// How many are known at once, and how many bytes they may have. Beyond, all are forgotten: a
/// flood of resources of their own must not cost more than checking them.
const MOST: usize = 1024;
const MOST_BYTES: usize = 4 << 20;

/// Larger ones are not worth comparing.
const LARGEST: usize = 16 << 10;

/// Valid resources, and those of their attributes that are asked for.
#[derive(Debug, Default)]
pub(super) struct KnownResources {
    hasher: RandomState,
    resources: HashTable<Known>,
    bytes: usize,
    /// What is asked for (see `AttributeKeys::fingerprint`).
    fingerprint: u64,
}

#[derive(Debug)]
struct Known {
    hash: u64,
    message: Box<[u8]>,
    /// Their slices count from the start of the message.
    attributes: Box<[AttributeRef]>,
}

impl KnownResources {
    /// From now on the attributes with these keys are asked for.
    pub(super) fn ask_for(&mut self, fingerprint: u64) {
        if self.fingerprint != fingerprint {
            self.fingerprint = fingerprint;
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.resources.clear();
        self.bytes = 0;
    }

    /// The attributes of a resource that is known, as they stand in a record in which it begins at
    /// `start`.
    pub(super) fn attributes(
        &self,
        message: &[u8],
        start: usize,
    ) -> Option<impl Iterator<Item = AttributeRef>> {
        if message.len() > LARGEST {
            return None;
        }
        let is_it = |known: &Known| *known.message == *message;
        let known = self.resources.find(self.hash(message), is_it)?;
        let start = start as u32;
        Some(known.attributes.iter().map(move |attribute| moved(*attribute, |at| at + start)))
    }

    /// Remembers a resource that begins at `start` of its record and was found to be valid.
    pub(super) fn remember(&mut self, message: &[u8], start: usize, attributes: &[AttributeRef]) {
        if message.len() > LARGEST {
            return;
        }
        if self.resources.len() >= MOST || self.bytes + message.len() > MOST_BYTES {
            self.forget();
        }
        self.bytes += message.len();
        let start = start as u32;
        let attributes = attributes.iter().map(|attribute| moved(*attribute, |at| at - start));
        let hash = self.hash(message);
        let known = Known { hash, message: message.into(), attributes: attributes.collect() };
        self.resources.insert_unique(hash, known, |known| known.hash);
    }

    fn hash(&self, message: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(message);
        hasher.finish()
    }
}

fn moved(attribute: AttributeRef, to: impl Fn(u32) -> u32) -> AttributeRef {
    let slice = |slice: Slice| Slice { start: to(slice.start), end: to(slice.end) };
    let value = match attribute.value {
        ValueRef::String(it) => ValueRef::String(slice(it)),
        ValueRef::Bytes(it) => ValueRef::Bytes(slice(it)),
        ValueRef::Other(it) => ValueRef::Other(slice(it)),
        value @ (ValueRef::Empty | ValueRef::Bool(_) | ValueRef::Int(_) | ValueRef::Double(_)) => {
            value
        }
    };
    AttributeRef { value, ..attribute }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::span::KeyIndex;

    fn attribute(start: u32, end: u32) -> AttributeRef {
        AttributeRef { key: KeyIndex(3), value: ValueRef::String(Slice { start, end }) }
    }

    fn known(
        resources: &KnownResources,
        message: &[u8],
        start: usize,
    ) -> Option<Vec<AttributeRef>> {
        resources.attributes(message, start).map(Iterator::collect)
    }

    #[test]
    fn attributes_move_with_the_resource() {
        let mut resources = KnownResources::default();
        resources.remember(b"abc", 10, &[attribute(11, 12)]);
        assert_eq!(known(&resources, b"abc", 40), Some(vec![attribute(41, 42)]));
        assert_eq!(known(&resources, b"abd", 40), None);
    }

    #[test]
    fn other_questions_forget_the_answers() {
        let mut resources = KnownResources::default();
        resources.remember(b"abc", 0, &[]);
        resources.ask_for(7);
        assert_eq!(known(&resources, b"abc", 0), None);
    }

    #[test]
    fn the_number_is_bounded() {
        let mut resources = KnownResources::default();
        for number in 0..2 * MOST as u32 {
            resources.remember(&number.to_le_bytes(), 0, &[]);
            assert!(resources.resources.len() <= MOST);
        }
        assert!(known(&resources, &(2 * MOST as u32 - 1).to_le_bytes(), 0).is_some());
    }
}
