//! The records of the index: to bytes and back.
//!
//! Promises that what is read is what was written, byte for byte, or an error: a filter that lost a bit
//! would hide a trace. Leaves to others what a record is good for.

use std::ops::Range;

use prost::Message as _;
use thiserror::Error;
use xorf::{BinaryFuse16, Descriptor, Filter as _};

use crate::ids::{Offset, Partition, TopicId, TraceId};
use crate::kafka::decision_log::{GroupHash, OwnerId};
use crate::proto;

/// The version of the format.
const VERSION: u8 = 1;

/// The version and the checksum.
const HEAD: usize = 5;

/// The longest segment that a filter has.
const LONGEST_SEGMENT: u32 = 1 << 18;

/// What is looked for instead of a trace id. Spread evenly, whatever the ids are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TraceHash(pub(super) u64);

impl TraceHash {
    /// The hash of an id.
    pub fn of(id: TraceId) -> Self {
        let [high, low] = [0, 8].map(|at| {
            let mut half = [0; 8];
            half.copy_from_slice(&id.as_bytes()[at..at + 8]);
            u64::from_be_bytes(half)
        });
        Self(mix(low ^ mix(high)))
    }

    /// In which of so many shards it is.
    pub fn shard(self, shards: u32) -> u32 {
        // Less than `shards`.
        ((u128::from(self.0) * u128::from(shards)) >> 64) as u32
    }
}

/// A step of `SplitMix64`.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Which records of one partition of the log a stretch is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Who wrote them.
    pub owner: OwnerId,
    /// For which group.
    pub group: GroupHash,
    /// The log, if its id is known.
    pub log: Option<TopicId>,
    /// The partition of the log.
    pub partition: Partition,
    /// Where the owner's marker is.
    pub marker: Offset,
    /// The records, in order. Never empty; ranges do not touch.
    pub runs: Vec<Range<i64>>,
}

/// A record of the index.
#[derive(Debug)]
pub struct IndexRecord {
    /// What it covers.
    pub stretch: Stretch,
    /// Of which shard it is, and of how many.
    pub shard: (u32, u32),
    filter: Option<BinaryFuse16>,
}

/// Why a record of the index is of no use.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Unusable {
    /// A later version wrote it, or another program.
    #[error("it is not of a version that is known")]
    Version,
    /// It is not as it was written.
    #[error("its checksum is wrong")]
    Checksum,
    /// It is not a record of an index.
    #[error("it is not a record of an index")]
    Malformed,
}

/// A filter could not be made, which the hashes have to be blamed for: they are not all distinct.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("no filter was found for these hashes")]
pub struct NoFilter;

/// The record that covers a stretch for the `hashes` of one shard, which are all distinct.
///
/// # Errors
/// When no filter can be made.
pub fn write(
    stretch: &Stretch,
    shard: (u32, u32),
    hashes: &[TraceHash],
) -> Result<Vec<u8>, NoFilter> {
    let filter = match hashes {
        [] => None,
        _ => {
            let made = BinaryFuse16::try_from_iterator(hashes.iter().map(|hash| hash.0));
            Some(filter_to_wire(&made.map_err(|_| NoFilter)?))
        }
    };
    let message = proto::IndexRecord {
        owner: stretch.owner.0,
        group: stretch.group.bits(),
        log_topic_id: stretch.log.map(|id| id.bits().to_be_bytes().to_vec()).unwrap_or_default(),
        partition: stretch.partition.0,
        marker_offset: stretch.marker.0,
        first_offset: stretch.runs.first().map_or(0, |run| run.start),
        runs: runs_to_wire(&stretch.runs),
        shard: shard.0,
        shards: shard.1,
        filter,
    };
    let mut value = Vec::with_capacity(HEAD + message.encoded_len());
    value.extend_from_slice(&[VERSION, 0, 0, 0, 0]);
    let encoded = message.encode(&mut value);
    debug_assert!(encoded.is_ok(), "a vector grows");
    let checksum = crc32fast::hash(&value[HEAD..]).to_be_bytes();
    value[1..HEAD].copy_from_slice(&checksum);
    Ok(value)
}

/// The records of all shards of a stretch, of hashes in order, each once.
pub fn of_shards(
    stretch: &Stretch,
    hashes: &[TraceHash],
    shards: u32,
) -> impl Iterator<Item = Result<Vec<u8>, NoFilter>> {
    let mut rest = hashes;
    (0..shards).map(move |shard| {
        // Shards are ranges of hashes.
        let count = rest.partition_point(|hash| hash.shard(shards) == shard);
        let (of_shard, others) = rest.split_at(count);
        rest = others;
        write(stretch, (shard, shards), of_shard)
    })
}

fn filter_to_wire(filter: &BinaryFuse16) -> proto::Filter {
    let Descriptor { seed, segment_length, segment_count_length, .. } = filter.descriptor;
    let fingerprints = filter.fingerprints.iter().flat_map(|it| it.to_le_bytes()).collect();
    proto::Filter { seed, segment_length, segment_count_length, fingerprints }
}

fn runs_to_wire(runs: &[Range<i64>]) -> Vec<u64> {
    let mut lengths = Vec::with_capacity(runs.len() * 2);
    let mut end = None;
    for run in runs {
        lengths.extend(end.map(|end| run.start.abs_diff(end)));
        lengths.push(run.end.abs_diff(run.start));
        end = Some(run.end);
    }
    lengths
}

/// Reads a record.
///
/// # Errors
/// When it is of no use.
pub fn read(value: &[u8]) -> Result<IndexRecord, Unusable> {
    let (head, message) = value.split_at_checked(HEAD).ok_or(Unusable::Malformed)?;
    if head[0] != VERSION {
        return Err(Unusable::Version);
    }
    if head[1..] != crc32fast::hash(message).to_be_bytes() {
        return Err(Unusable::Checksum);
    }
    of_message(message).ok_or(Unusable::Malformed)
}

#[expect(clippy::disallowed_methods, reason = "a record of the index, not of spans")]
fn of_message(message: &[u8]) -> Option<IndexRecord> {
    let message = proto::IndexRecord::decode(message).ok()?;
    let log = match message.log_topic_id.as_slice() {
        [] => None,
        id => Some(TopicId::from_bits(u128::from_be_bytes(id.try_into().ok()?))?),
    };
    let stretch = Stretch {
        owner: OwnerId(message.owner),
        group: GroupHash::from_bits(message.group),
        log,
        partition: Partition(message.partition),
        marker: Offset(message.marker_offset),
        runs: runs_of_wire(message.first_offset, &message.runs)?,
    };
    if message.shard >= message.shards {
        return None;
    }
    let filter = match &message.filter {
        Some(filter) => Some(filter_of_wire(filter)?),
        None => None,
    };
    Some(IndexRecord { stretch, shard: (message.shard, message.shards), filter })
}

fn runs_of_wire(first: i64, lengths: &[u64]) -> Option<Vec<Range<i64>>> {
    // A stretch begins and ends with a run.
    if first < 0 || lengths.len().is_multiple_of(2) || lengths.contains(&0) {
        return None;
    }
    let (mut at, mut runs) = (first, Vec::with_capacity(lengths.len() / 2 + 1));
    for (number, length) in lengths.iter().enumerate() {
        let end = at.checked_add(i64::try_from(*length).ok()?)?;
        if number.is_multiple_of(2) {
            runs.push(at..end);
        }
        at = end;
    }
    Some(runs)
}

/// The filter, if each of the positions that it may be asked for is in it.
fn filter_of_wire(message: &proto::Filter) -> Option<BinaryFuse16> {
    let proto::Filter { seed, segment_length, segment_count_length, .. } = *message;
    let (fingerprints, rest) = message.fingerprints.as_chunks::<2>();
    let is_sound = segment_length.is_power_of_two()
        && segment_length <= LONGEST_SEGMENT
        && segment_count_length > 0
        && segment_count_length.is_multiple_of(segment_length)
        && u64::from(segment_count_length) + 2 * u64::from(segment_length)
            == fingerprints.len() as u64
        && rest.is_empty();
    let descriptor = Descriptor {
        seed,
        segment_length,
        segment_length_mask: segment_length.wrapping_sub(1),
        segment_count_length,
    };
    let fingerprints = fingerprints.iter().map(|it| u16::from_le_bytes(*it));
    is_sound.then(|| BinaryFuse16 { descriptor, fingerprints: fingerprints.collect() })
}

impl IndexRecord {
    /// False if the stretch has no entry of the trace with this hash, which is of this shard.
    pub fn may_have(&self, hash: TraceHash) -> bool {
        self.filter.as_ref().is_some_and(|filter| filter.contains(&hash.0))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;

    use super::*;

    fn stretch() -> impl Strategy<Value = Stretch> {
        let runs = (0..1_i64 << 60, vec((1..1000_i64, 1..1000_i64), 1..20));
        let runs = runs.prop_map(|(mut at, lengths)| {
            let run = |(covered, passed): (i64, i64)| {
                let run = at..at + covered;
                at = run.end + passed;
                run
            };
            lengths.into_iter().map(run).collect()
        });
        let log = any::<u128>().prop_map(TopicId::from_bits);
        (any::<(u64, u32, i32, i64)>(), log, runs).prop_map(
            |((owner, group, partition, marker), log, runs)| Stretch {
                owner: OwnerId(owner),
                group: GroupHash::from_bits(group),
                log,
                partition: Partition(partition),
                marker: Offset(marker),
                runs,
            },
        )
    }

    fn written() -> impl Strategy<Value = (Stretch, (u32, u32), Vec<TraceHash>)> {
        let shard = (1..100_u32).prop_flat_map(|shards| (0..shards, Just(shards)));
        let hashes = btree_set(any::<u64>(), 0..300);
        let hashes = hashes.prop_map(|all| all.into_iter().map(TraceHash).collect());
        (stretch(), shard, hashes)
    }

    proptest! {
        /// Guarantees: what was written is read, with every hash in it.
        #[test]
        fn what_was_written_is_read((stretch, shard, hashes) in written()) {
            let record = read(&write(&stretch, shard, &hashes).unwrap()).unwrap();
            prop_assert_eq!(&record.stretch, &stretch);
            prop_assert_eq!(record.shard, shard);
            prop_assert!(hashes.iter().all(|hash| record.may_have(*hash)));
        }

        /// Guarantees: each hash is in the record of its shard, whatever their number.
        #[test]
        fn every_hash_is_in_its_shard((stretch, (_, shards), hashes) in written()) {
            let records: Vec<_> = of_shards(&stretch, &hashes, shards)
                .map(|value| read(&value.unwrap()).unwrap())
                .collect();
            prop_assert_eq!(records.len(), shards as usize);
            for hash in hashes {
                prop_assert!(records[hash.shard(shards) as usize].may_have(hash));
            }
        }

        /// Guarantees: a record that was cut or changed is refused, and nothing panics.
        #[test]
        fn what_is_not_as_it_was_written_is_refused(
            (stretch, shard, hashes) in written(),
            at in any::<prop::sample::Index>(),
            bits in 1..=255_u8,
        ) {
            let value = write(&stretch, shard, &hashes).unwrap();
            let at = at.index(value.len());
            prop_assert!(read(&value[..at]).is_err());
            let mut changed = value;
            changed[at] ^= bits;
            prop_assert!(read(&changed).is_err());
        }

        /// Guarantees: whatever a filter says of itself, it is refused or can be asked.
        #[test]
        fn a_filter_of_wrong_lengths_is_refused_or_can_be_asked(
            seed in any::<u64>(),
            segment_length in prop_oneof![0..70_u32, any::<u32>(), (0..32_u32).prop_map(|it| 1 << it)],
            segments in prop_oneof![0..5_u32, any::<u32>()],
            off in prop_oneof![Just(0_i64), -9..9_i64],
            hash in any::<u64>(),
        ) {
            let segment_count_length = segment_length.wrapping_mul(segments);
            let length = (u64::from(segment_count_length) + 2 * u64::from(segment_length)) * 2;
            let length = length.min(1 << 16).saturating_add_signed(off) as usize;
            let fingerprints = vec![0; length];
            let message = proto::Filter { seed, segment_length, segment_count_length, fingerprints };
            if let Some(filter) = filter_of_wire(&message) {
                filter.contains(&hash);
            }
        }
    }

    #[test]
    fn a_message_that_makes_no_sense_is_refused() {
        let of = |change: fn(&mut proto::IndexRecord)| {
            let mut message =
                proto::IndexRecord { shards: 2, shard: 1, runs: vec![3], ..Default::default() };
            change(&mut message);
            of_message(&message.encode_to_vec()).is_some()
        };
        assert!(of(|_| {}));
        assert!(!of(|message| message.shard = 2));
        assert!(!of(|message| message.first_offset = -1));
        assert!(!of(|message| message.runs.clear()));
        assert!(!of(|message| message.runs = vec![3, 1]));
        assert!(!of(|message| message.runs = vec![3, 0, 4]));
        assert!(!of(|message| message.runs = vec![u64::MAX]));
        assert!(!of(|message| message.log_topic_id = vec![1; 15]));
        assert!(!of(|message| message.filter = Some(proto::Filter::default())));
    }

    /// Scenario: ids as old systems make them: one after the other, with zeros in front.
    /// Guarantees: the shards have about as many each, and few that are not there seem to be.
    #[test]
    fn ids_are_spread_evenly_whatever_they_are_like() {
        let hash = |number: u64| {
            let id = TraceId::from_slice(&u128::from(number).to_be_bytes()).unwrap();
            TraceHash::of(id)
        };
        let mut shards = [0; 8];
        (1..=8000).for_each(|number| shards[hash(number).shard(8) as usize] += 1);
        assert!(shards.iter().all(|count| (900..1100).contains(count)), "{shards:?}");
        let mut hashes: Vec<_> = (1..=65_536).map(hash).collect();
        hashes.sort_unstable();
        let stretch = Stretch {
            owner: OwnerId(1),
            group: GroupHash::of("shop"),
            log: None,
            partition: Partition(0),
            marker: Offset(0),
            runs: vec![Range { start: 0, end: 700 }],
        };
        let value = write(&stretch, (0, 1), &hashes).unwrap();
        let bits = value.len() * 8 / hashes.len();
        assert!(bits <= 20, "{bits} bits a trace");
        let record = read(&value).unwrap();
        let wrong = (100_000..300_000).filter(|number| record.may_have(hash(*number))).count();
        assert!(wrong < 20, "{wrong} of 200 000");
    }
}
