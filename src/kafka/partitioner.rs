//! The partition of a key, by each of the three families of partitioners that are in use.
//!
//! Owns the hashes (FNV-1a of the Collector, Sarama and franz-go, murmur2 of Java, CRC32 of
//! librdkafka by default), and finds out which family has placed the records of a topic. Promises to
//! agree with librdkafka's own implementation on every key. Two families on one topic put the spans
//! of a trace into different partitions, so that has to be noticed.

use crate::fnv;
use crate::ids::Partition;

/// A family of partitioners: producers of one family agree on where a key belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// The Collector, Sarama, franz-go; `partitioner=fnv1a_random` of librdkafka.
    Fnv1a,
    /// The Java client; `murmur2_random` of librdkafka.
    Murmur2,
    /// librdkafka by default (`consistent_random`).
    Crc32,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Fnv1a, Self::Murmur2, Self::Crc32];

    /// Its name, and which producers use it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fnv1a => "FNV-1a (the Collector)",
            Self::Murmur2 => "murmur2 (Java clients)",
            Self::Crc32 => "CRC32 (librdkafka's default)",
        }
    }

    /// The partition of `key` among `partitions`.
    ///
    /// # Panics
    /// If there are no partitions.
    pub fn partition(self, key: &[u8], partitions: u32) -> Partition {
        let hash = match self {
            // Made positive as Sarama does it.
            Self::Fnv1a => fnv::hash_32(key.iter().copied()).cast_signed().unsigned_abs(),
            Self::Murmur2 => murmur2(key) & 0x7fff_ffff,
            Self::Crc32 => crc32fast::hash(key),
        };
        Partition((hash % partitions).cast_signed())
    }

    const fn bit(self) -> usize {
        1 << self as usize
    }
}

/// Which families would put `key` into `partition`: an index into [`Placements`].
pub fn explanation(key: &[u8], partition: Partition, partitions: u32) -> usize {
    let explains = |family: &&Family| family.partition(key, partitions) == partition;
    Family::ALL.iter().filter(explains).map(|family| family.bit()).sum()
}

/// Keys that are needed before anything is said about a topic.
const ENOUGH: u64 = 64;

/// So many keys that the family of the majority does not explain make another family suspected.
const ENOUGH_OTHERS: u64 = 24;

/// How many keys were placed as which families would place them, by [`explanation`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Placements(pub [u64; 8]);

/// Which families have placed the keys of a topic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Detected {
    /// Too few keys were looked at.
    TooFew,
    /// One family.
    One(Family),
    /// Two families, at least.
    Several {
        /// The one that explains most.
        most: Family,
        /// The one that explains most of the rest.
        other: Family,
        /// The share of keys that `most` does not explain.
        share: f64,
    },
    /// None of these families: another partitioner, or partitions were added.
    Unknown,
}

impl Placements {
    /// Counts one key.
    pub fn add(&mut self, explanation: usize) {
        self.0[explanation] += 1;
    }

    /// Keys looked at.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    fn count(&self, is_counted: impl Fn(usize) -> bool) -> u64 {
        let counted = self.0.iter().enumerate().filter(|(explanation, _)| is_counted(*explanation));
        counted.map(|(_, count)| count).sum()
    }

    /// The family that explains most of the keys that `but` does not explain.
    fn most(&self, but: usize) -> Family {
        let explained = |family: &Family| {
            self.count(|explanation| explanation & but == 0 && explanation & family.bit() != 0)
        };
        // Of equals the first: the Collector's.
        let best = Family::ALL.into_iter().rev().max_by_key(explained);
        best.unwrap_or(Family::Fnv1a)
    }

    /// Which families have placed these keys. By chance, a key of an unknown partitioner is where
    /// some family would put it. So a few keys that the majority's family does not explain prove
    /// nothing, and neither do keys that no family explains.
    pub fn detect(&self) -> Detected {
        let total = self.total();
        if total < ENOUGH {
            return Detected::TooFew;
        }
        let most = self.most(0);
        let others = self.count(|explanation| explanation & most.bit() == 0);
        if others * 100 <= total {
            return Detected::One(most);
        }
        let unexplained = self.0[0];
        if unexplained * 10 > others {
            return Detected::Unknown;
        }
        if others < ENOUGH_OTHERS {
            return Detected::TooFew;
        }
        let share = others as f64 / total as f64;
        Detected::Several { most, other: self.most(most.bit()), share }
    }
}

/// MurmurHash2 with the seed of the Java client.
fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ key.len() as u32;
    let (words, rest) = key.as_chunks::<4>();
    for word in words {
        let mut word = u32::from_le_bytes(*word).wrapping_mul(M);
        word ^= word >> 24;
        hash = hash.wrapping_mul(M) ^ word.wrapping_mul(M);
    }
    if !rest.is_empty() {
        for (place, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * place);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
    use rdkafka::{ClientConfig, ClientContext, Message as _, message::DeliveryResult};

    use super::*;

    const PARTITIONS: u32 = 37;

    #[derive(Default)]
    struct Placed(Mutex<Vec<(Vec<u8>, i32)>>);

    impl ClientContext for Placed {}

    impl ProducerContext for Placed {
        type DeliveryOpaque = ();

        fn delivery(&self, result: &DeliveryResult<'_>, _: ()) {
            let message = result.as_ref().unwrap();
            let key = message.key().unwrap().to_vec();
            self.0.lock().unwrap().push((key, message.partition()));
        }
    }

    /// Keys of every length up to 64, and trace ids in hexadecimal.
    fn keys() -> Vec<Vec<u8>> {
        let mut random = StdRng::seed_from_u64(7);
        let any = (1..=64).flat_map(|length| [length; 8]);
        let mut keys: Vec<Vec<u8>> =
            any.map(|length| (0..length).map(|_| random.random()).collect()).collect();
        keys.extend((0..500).map(|_| format!("{:032x}", random.random::<u128>()).into_bytes()));
        keys
    }

    fn placed_by_librdkafka(brokers: &str, partitioner: &str) -> Vec<(Vec<u8>, i32)> {
        let producer: BaseProducer<Placed> = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("partitioner", partitioner)
            .create_with_context(Placed::default())
            .unwrap();
        for key in keys() {
            let record = BaseRecord::<[u8], [u8]>::to("t").key(&key).payload(b"v");
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(Duration::from_secs(30)).unwrap();
        std::mem::take(&mut producer.context().0.lock().unwrap())
    }

    #[test]
    fn every_family_places_keys_as_librdkafka_does() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", PARTITIONS as i32, 1).unwrap();
        let families =
            [("fnv1a", Family::Fnv1a), ("murmur2", Family::Murmur2), ("consistent", Family::Crc32)];
        for (partitioner, family) in families {
            let placed = placed_by_librdkafka(&cluster.bootstrap_servers(), partitioner);
            assert_eq!(placed.len(), keys().len());
            for (key, partition) in placed {
                let own = family.partition(&key, PARTITIONS);
                assert_eq!(own, Partition(partition), "{partitioner} of {key:02x?}");
            }
        }
    }

    /// Places `keys` keys each: by some families, or by chance.
    fn detect(partitions: u32, by: &[(Option<Family>, usize)]) -> Detected {
        let mut random = StdRng::seed_from_u64(11);
        let mut placements = Placements::default();
        for (family, keys) in by {
            for _ in 0..*keys {
                let key = format!("{:032x}", random.random::<u128>()).into_bytes();
                let partition = match family {
                    Some(family) => family.partition(&key, partitions),
                    None => Partition(random.random_range(0..partitions).cast_signed()),
                };
                placements.add(explanation(&key, partition, partitions));
            }
        }
        placements.detect()
    }

    #[test]
    fn the_families_on_a_topic_are_told_apart() {
        use Family::{Crc32, Fnv1a, Murmur2};
        for partitions in [2, 3, 12, 48] {
            for family in Family::ALL {
                let one = detect(partitions, &[(Some(family), 500)]);
                assert_eq!(one, Detected::One(family), "{partitions} partitions");
            }
            let two = detect(partitions, &[(Some(Murmur2), 900), (Some(Crc32), 100)]);
            let Detected::Several { most: Murmur2, other: Crc32, share } = two else {
                panic!("{two:?} of {partitions} partitions");
            };
            assert!((0.03..=0.1).contains(&share), "{share} of {partitions} partitions");
            let own = detect(partitions, &[(None, 500)]);
            assert_eq!(own, Detected::Unknown, "{partitions} partitions");
            let some = detect(partitions, &[(Some(Fnv1a), 60)]);
            assert_eq!(some, Detected::TooFew);
        }
    }
}
