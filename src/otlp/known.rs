//! Resources that were checked before: the same one comes with nearly every record of a service.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::otlp::span::{AttributeRef, Slice, ValueRef};

/// How many are known at once, and how many bytes they may have. Beyond, all are forgotten: a
/// flood of resources of their own must not cost more than checking them.
const MOST: usize = 1024;
const MOST_BYTES: usize = 4 << 20;

/// How many glances are told apart.
const GLANCES: usize = 1024;

/// Larger ones are not worth comparing.
const LARGEST: usize = 16 << 10;

/// Valid resources, and those of their attributes that are asked for.
#[derive(Debug, Default)]
pub(super) struct KnownResources {
    hasher: RandomState,
    resources: Vec<Known>,
    /// By all their bytes: their places among `resources`.
    places: HashTable<u32>,
    /// By a glance at some of their bytes: where one was that looked like it.
    seen: Vec<u32>,
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
        self.places.clear();
        self.bytes = 0;
    }

    /// The attributes of a resource that is known, as they stand in a record in which it begins at
    /// `start`.
    pub(super) fn attributes(
        &mut self,
        message: &[u8],
        start: usize,
    ) -> Option<impl Iterator<Item = AttributeRef>> {
        if message.len() > LARGEST {
            return None;
        }
        let seen = self.seen.get_mut(glance(message))?;
        let is_seen = self.resources.get(*seen as usize).is_some_and(|it| *it.message == *message);
        if !is_seen {
            let is_it = |place: &u32| *self.resources[*place as usize].message == *message;
            *seen = *self.places.find(hash(&self.hasher, message), is_it)?;
        }
        let start = start as u32;
        let known = self.resources[*seen as usize].attributes.iter();
        Some(known.map(move |attribute| moved(*attribute, |at| at + start)))
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
        let (place, hash) = (self.resources.len() as u32, hash(&self.hasher, message));
        let attributes = attributes.collect();
        self.resources.push(Known { hash, message: message.into(), attributes });
        let resources = &self.resources;
        self.places.insert_unique(hash, place, |place| resources[*place as usize].hash);
        self.seen.resize(GLANCES, place);
        self.seen[glance(message)] = place;
    }
}

fn hash(hasher: &RandomState, message: &[u8]) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(message);
    hasher.finish()
}

/// A number below [`GLANCES`] that is soon made, for it is just a sum. Whoever wants can make
/// resources that have the same: then it is no help, and the hash has to find them.
fn glance(message: &[u8]) -> usize {
    let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    let (words, _) = message.as_chunks();
    let last = message.last_chunk().map_or(0, word);
    let sum = words.iter().map(word).fold(last, u64::wrapping_add);
    (sum.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - GLANCES.ilog2())) as usize
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
        resources: &mut KnownResources,
        message: &[u8],
        start: usize,
    ) -> Option<Vec<AttributeRef>> {
        resources.attributes(message, start).map(Iterator::collect)
    }

    #[test]
    fn attributes_move_with_the_resource() {
        let mut resources = KnownResources::default();
        resources.remember(b"abc", 10, &[attribute(11, 12)]);
        assert_eq!(known(&mut resources, b"abc", 40), Some(vec![attribute(41, 42)]));
        assert_eq!(known(&mut resources, b"abd", 40), None);
    }

    #[test]
    fn resources_that_look_alike_are_told_apart() {
        let (one, other) = (b"first---second--third---", b"second--first---third---");
        assert_eq!(glance(one), glance(other));
        let mut resources = KnownResources::default();
        resources.remember(one, 0, &[attribute(1, 2)]);
        assert_eq!(known(&mut resources, other, 0), None);
        resources.remember(other, 0, &[attribute(3, 4)]);
        for _ in 0..2 {
            assert_eq!(known(&mut resources, one, 0), Some(vec![attribute(1, 2)]));
            assert_eq!(known(&mut resources, other, 0), Some(vec![attribute(3, 4)]));
        }
    }

    #[test]
    fn other_questions_forget_the_answers() {
        let mut resources = KnownResources::default();
        resources.remember(b"abc", 0, &[]);
        resources.ask_for(7);
        assert_eq!(known(&mut resources, b"abc", 0), None);
    }

    #[test]
    fn the_number_is_bounded() {
        let mut resources = KnownResources::default();
        for number in 0..2 * MOST as u32 {
            resources.remember(&number.to_le_bytes(), 0, &[]);
            assert!(resources.resources.len() <= MOST);
        }
        assert!(known(&mut resources, &(2 * MOST as u32 - 1).to_le_bytes(), 0).is_some());
    }
}
