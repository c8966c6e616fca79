//! Resource and scope headers, each kept once: they repeat in every record of a service.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// A header that is held. Void once the last holder released it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HeaderId(u32);

#[derive(Debug)]
struct Header {
    bytes: Box<[u8]>,
    /// How many of them, at the beginning, are what went along with the record.
    forwarded: u32,
    hash: u64,
    holders: u32,
}

/// The headers of one partition's open traces, counted by holders and dropped with the last.
#[derive(Debug, Default)]
pub struct Headers {
    hasher: RandomState,
    headers: Vec<Header>,
    free: Vec<HeaderId>,
    index: HashTable<HeaderId>,
    bytes: u64,
}

impl Headers {
    /// The header that `pieces` make up, one after the other, with one more holder.
    pub fn hold<'a>(&mut self, pieces: impl Iterator<Item = &'a [u8]> + Clone) -> HeaderId {
        self.hold_with_forwarded(&[], pieces)
    }

    /// The same, of records with which `forwarded` goes: with something else it is another header.
    pub fn hold_with_forwarded<'a>(
        &mut self,
        forwarded: &'a [u8],
        pieces: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> HeaderId {
        let pieces = std::iter::once(forwarded).chain(pieces);
        let forwarded = forwarded.len() as u32;
        let hash = self.hash(pieces.clone());
        let headers = &self.headers;
        let same = |id: &HeaderId| {
            let header = &headers[id.0 as usize];
            header.forwarded == forwarded && is_made_of(&header.bytes, pieces.clone())
        };
        if let Some(id) = self.index.find(hash, same) {
            self.headers[id.0 as usize].holders += 1;
            return *id;
        }
        let mut bytes = Vec::with_capacity(pieces.clone().map(<[u8]>::len).sum());
        pieces.for_each(|piece| bytes.extend_from_slice(piece));
        self.bytes += bytes.len() as u64;
        let header = Header { bytes: bytes.into_boxed_slice(), forwarded, hash, holders: 1 };
        let id = match self.free.pop() {
            Some(id) => {
                self.headers[id.0 as usize] = header;
                id
            }
            None => {
                self.headers.push(header);
                HeaderId(u32::try_from(self.headers.len() - 1).expect("memory bounds the headers"))
            }
        };
        let headers = &self.headers;
        self.index.insert_unique(hash, id, |id| headers[id.0 as usize].hash);
        id
    }

    /// Adds a holder to a header that is held.
    pub fn hold_again(&mut self, id: HeaderId) {
        debug_assert!(self.headers[id.0 as usize].holders > 0, "only a held header is held again");
        self.headers[id.0 as usize].holders += 1;
    }

    /// Releases a header for one holder.
    pub fn release(&mut self, id: HeaderId) {
        let header = &mut self.headers[id.0 as usize];
        debug_assert!(header.holders > 0, "a header is released once by each holder");
        header.holders -= 1;
        if header.holders > 0 {
            return;
        }
        let hash = header.hash;
        self.bytes -= std::mem::take(&mut header.bytes).len() as u64;
        if let Ok(entry) = self.index.find_entry(hash, |other| *other == id) {
            entry.remove();
        }
        self.free.push(id);
    }

    /// The bytes of a header that is held.
    pub fn get(&self, id: HeaderId) -> &[u8] {
        let header = &self.headers[id.0 as usize];
        &header.bytes[header.forwarded as usize..]
    }

    /// What went along with the records of a header that is held.
    pub fn forwarded(&self, id: HeaderId) -> &[u8] {
        let header = &self.headers[id.0 as usize];
        &header.bytes[..header.forwarded as usize]
    }

    /// Bytes of all headers that are held.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn hash<'a>(&self, pieces: impl Iterator<Item = &'a [u8]>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        pieces.for_each(|piece| hasher.write(piece));
        hasher.finish()
    }
}

fn is_made_of<'a>(bytes: &[u8], pieces: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut rest = bytes;
    for piece in pieces {
        match rest.strip_prefix(piece) {
            Some(behind) => rest = behind,
            None => return false,
        }
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_same_bytes_are_kept_once_while_they_are_held() {
        let mut headers = Headers::default();
        let one = headers.hold([b"ab".as_slice(), b"c"].into_iter());
        let other = headers.hold([b"xyz".as_slice()].into_iter());
        let same = headers.hold([b"abc".as_slice()].into_iter());
        assert_ne!(one, other);
        assert_eq!(headers.get(one), b"abc");
        assert_eq!(headers.get(other), b"xyz");
        assert_eq!(headers.bytes(), 6 + if one == same { 0 } else { 3 });
        headers.release(one);
        headers.release(same);
        headers.release(other);
        assert_eq!(headers.bytes(), 0);
        assert!(headers.index.is_empty());
    }

    #[test]
    fn what_goes_along_makes_another_header() {
        let mut headers = Headers::default();
        let none = headers.hold([b"ab".as_slice()].into_iter());
        let one = headers.hold_with_forwarded(b"a", [b"b".as_slice()].into_iter());
        let other = headers.hold_with_forwarded(b"b", [b"b".as_slice()].into_iter());
        assert_eq!(headers.hold_with_forwarded(b"a", [b"b".as_slice()].into_iter()), one);
        assert!(none != one && one != other);
        let read = [none, one, other].map(|id| (headers.forwarded(id), headers.get(id)));
        assert_eq!(read, [(&b""[..], &b"ab"[..]), (b"a", b"b"), (b"b", b"b")]);
    }

    /// Few different ones, which differ in little, or in where their pieces end.
    fn header() -> impl Strategy<Value = (usize, Vec<Vec<u8>>)> {
        let piece = prop_oneof![
            Just(vec![]),
            Just(b"a".to_vec()),
            Just(vec![7; 40]),
            (0..3_u8).prop_map(|byte| [&[7; 38][..], &[byte]].concat()),
            (0..3_u8).prop_map(|byte| [vec![byte; 9], vec![1; 30]].concat()),
        ];
        (0..3_usize, prop::collection::vec(piece, 0..3))
    }

    proptest! {
        /// Against a list of what is held.
        #[test]
        fn agrees_with_a_list(
            steps in prop::collection::vec((header(), prop::option::of(any::<usize>())), 0..60)
        ) {
            let mut headers = Headers::default();
            let mut held: Vec<(HeaderId, Vec<u8>, Vec<u8>)> = Vec::new();
            for ((forwarded, pieces), release) in steps {
                if let Some(which) = release.filter(|_| !held.is_empty()) {
                    headers.release(held.swap_remove(which % held.len()).0);
                } else {
                    let forwarded = vec![b'a'; forwarded];
                    let slices = pieces.iter().map(Vec::as_slice);
                    let id = headers.hold_with_forwarded(&forwarded, slices);
                    held.push((id, forwarded, pieces.concat()));
                }
                for (id, forwarded, bytes) in &held {
                    prop_assert_eq!(headers.forwarded(*id), forwarded);
                    prop_assert_eq!(headers.get(*id), bytes);
                }
                let mut different = held.clone();
                different.sort_by_key(|(id, ..)| id.0);
                different.dedup_by_key(|(id, ..)| *id);
                let bytes = different.iter().map(|(_, one, other)| one.len() + other.len());
                prop_assert_eq!(headers.bytes(), bytes.sum::<usize>() as u64);
            }
            held.iter().for_each(|(id, ..)| headers.release(*id));
            prop_assert_eq!((headers.bytes(), headers.index.len()), (0, 0));
        }
    }

    #[test]
    fn a_freed_place_is_used_again() {
        let mut headers = Headers::default();
        let one = headers.hold([b"a".as_slice()].into_iter());
        headers.hold_again(one);
        headers.release(one);
        assert_eq!(headers.get(one), b"a");
        headers.release(one);
        let other = headers.hold([b"b".as_slice()].into_iter());
        assert_eq!((one, headers.get(other)), (other, b"b".as_slice()));
    }
}
