//! Misrouting: whether the topic keeps each trace in one partition, as a running member sees it.
//!
//! Owns the evidence: keys that are not the trace id, traces that come in on two partitions of
//! this process, keys that two families of partitioners placed, partitions that were added.
//! Promises to explain each kind in the log with its fix, at a limited rate, to count it by
//! kind, and to cost next to nothing: what needs a look-up is looked at for one trace in
//! [`SAMPLED`], by its id. Members see their own partitions only. Nothing here changes a decision.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::sync::Cache;
use tracing::warn;

use crate::ids::{Partition, TraceId};
use crate::kafka::partitioner::{Detected, Placements, explanation};
use crate::telemetry::accounts::Counts;
use crate::telemetry::log_throttle::LogThrottle;
use crate::telemetry::metrics::Misrouted;

/// Of this many traces, one is looked at closely.
pub const SAMPLED: u64 = 64;

/// How many sampled traces are remembered with their partition, and for how long.
const REMEMBERED: u64 = 16_384;
const REMEMBERED_FOR: Duration = Duration::from_secs(600);

/// How often the same kind is explained in the log.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// For how long a kind is shown after it was last seen.
const SHOWN_FOR: Duration = Duration::from_secs(600);

/// Bytes of a key that is a trace id as it stands on the wire.
const RAW_KEY: usize = 16;

/// How many keys count. Beyond that the older half is forgotten, so that a fix of the topic shows.
const MOST_KEYS: u64 = 4096;

/// What is known of the topic's routing, shared by all workers of a process.
#[derive(Debug)]
pub struct Routing {
    started: Instant,
    /// Partitions of the topic; 0 before that is known.
    partitions: AtomicU32,
    /// The last key that was looked at was a raw trace id, not one in hexadecimal.
    has_raw_keys: AtomicBool,
    /// Where sampled traces were first seen.
    seen: Cache<TraceId, Partition, foldhash::fast::FixedState>,
    /// Sampled keys, as in [`Placements`].
    placements: [AtomicU64; 8],
    kinds: [Kind; Misrouted::ALL.len()],
}

/// What is known of one kind of misrouting.
#[derive(Debug)]
struct Kind {
    /// Milliseconds from the start to when it was last seen; 0 if it never was.
    last_seen: AtomicU64,
    log: LogThrottle,
}

impl Default for Routing {
    fn default() -> Self {
        let seen = Cache::builder().max_capacity(REMEMBERED).time_to_live(REMEMBERED_FOR);
        Self {
            started: Instant::now(),
            partitions: AtomicU32::new(0),
            has_raw_keys: AtomicBool::new(false),
            seen: seen.build_with_hasher(foldhash::fast::FixedState::default()),
            placements: Default::default(),
            kinds: std::array::from_fn(|_| Kind {
                last_seen: AtomicU64::new(0),
                log: LogThrottle::new(LOG_INTERVAL),
            }),
        }
    }
}

/// Whether a trace is one of those that are looked at.
fn is_sampled(trace: TraceId) -> bool {
    trace.is_one_of(SAMPLED)
}

impl Routing {
    /// Looks at a record of `partition` that carries spans of `trace`, and of no other one if it
    /// `is_alone`.
    pub fn check(
        &self,
        partition: Partition,
        key: Option<&[u8]>,
        trace: TraceId,
        is_alone: bool,
        counts: &mut Counts,
    ) {
        match key {
            None => self.saw(Misrouted::NullKey, counts),
            Some(_) if !is_alone => self.saw(Misrouted::ManyTraces, counts),
            Some(key) if !trace.is_key(key) => self.saw(Misrouted::ForeignKey, counts),
            Some(key) if is_sampled(trace) => self.check_placement(partition, key, counts),
            Some(_) => return,
        }
        if is_sampled(trace) && self.is_elsewhere(partition, trace) {
            self.saw(Misrouted::TwoPartitions, counts);
        }
    }

    /// Takes note of how many partitions the topic has.
    pub fn resized(&self, partitions: u32, counts: &mut Counts) {
        let before = self.partitions.swap(partitions, Ordering::Relaxed);
        if before == partitions {
            return;
        }
        // Keys were placed among fewer partitions until now.
        self.placements.iter().for_each(|count| count.store(0, Ordering::Relaxed));
        if before > 0 && partitions > before {
            self.saw(Misrouted::PartitionsAdded, counts);
        }
    }

    /// What is wrong, for people: the kinds seen lately, each with its fix.
    pub fn notes(&self) -> Vec<String> {
        let now = self.now();
        let is_shown = |kind: &&Misrouted| {
            let last = self.kinds[**kind as usize].last_seen.load(Ordering::Relaxed);
            last > 0 && now - last.min(now) < SHOWN_FOR.as_millis() as u64
        };
        let shown = Misrouted::ALL.iter().filter(is_shown);
        shown.map(|kind| format!("{}: {}; {}", kind.label(), what(*kind), fix(*kind))).collect()
    }

    fn check_placement(&self, partition: Partition, key: &[u8], counts: &mut Counts) {
        let partitions = self.partitions.load(Ordering::Relaxed);
        if partitions < 2 {
            return;
        }
        let explained = explanation(key, partition, partitions);
        self.placements[explained].fetch_add(1, Ordering::Relaxed);
        self.has_raw_keys.store(key.len() == RAW_KEY, Ordering::Relaxed);
        let placements = self.placements();
        if let Detected::Several { most, .. } = placements.detect()
            && most.partition(key, partitions) != partition
        {
            self.saw(Misrouted::TwoPartitioners, counts);
        }
        if placements.total() >= MOST_KEYS {
            let halve = |count: &AtomicU64| {
                // Another worker may halve it too: that forgets more, and no harm is done.
                count.store(count.load(Ordering::Relaxed) / 2, Ordering::Relaxed);
            };
            self.placements.iter().for_each(halve);
        }
    }

    fn placements(&self) -> Placements {
        Placements(std::array::from_fn(|it| self.placements[it].load(Ordering::Relaxed)))
    }

    /// The partition that the key of a trace belongs to; `None` as long as it is not known which
    /// partitioner places the keys.
    pub fn partition_of(&self, trace: TraceId) -> Option<Partition> {
        let partitions = self.partitions.load(Ordering::Relaxed);
        if partitions == 1 {
            return Some(Partition(0));
        }
        let Detected::One(family) = self.placements().detect() else { return None };
        let partition = match self.has_raw_keys.load(Ordering::Relaxed) {
            true => family.partition(trace.as_bytes(), partitions),
            false => family.partition(trace.to_string().as_bytes(), partitions),
        };
        Some(partition)
    }

    /// True if the trace was seen on another partition.
    fn is_elsewhere(&self, partition: Partition, trace: TraceId) -> bool {
        match self.seen.get(&trace) {
            Some(first) => first != partition,
            None => {
                self.seen.insert(trace, partition);
                false
            }
        }
    }

    fn saw(&self, kind: Misrouted, counts: &mut Counts) {
        counts.misrouted[kind as usize] += 1;
        let state = &self.kinds[kind as usize];
        state.last_seen.store(self.now().max(1), Ordering::Relaxed);
        if let Some(suppressed) = state.log.allow() {
            let (label, what, fix) = (kind.label(), what(kind), fix(kind));
            warn!(kind = label, suppressed, fix, "records.misrouted: {what}");
        }
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }
}

/// What a kind means for the user's traces.
pub fn what(kind: Misrouted) -> &'static str {
    match kind {
        Misrouted::NullKey => {
            "the topic is not keyed by trace id, so the spans of a trace lie in several \
             partitions and are judged apart"
        }
        Misrouted::ForeignKey => {
            "records are keyed by something else than their trace id, so the spans of a trace may \
             lie in several partitions and are judged apart"
        }
        Misrouted::ManyTraces => {
            "records hold several traces, so the spans of a trace lie in several partitions and \
             are judged apart"
        }
        Misrouted::TwoPartitions => {
            "spans of one trace came in on two partitions; each part is judged apart"
        }
        Misrouted::TwoPartitioners => {
            "producers with different partitioners write to the topic, so a trace that both write \
             to lies in two partitions and is judged in parts"
        }
        Misrouted::PartitionsAdded => {
            "partitions were added to the topic, which moves most keys; traces that were open then \
             are judged in two parts, once"
        }
    }
}

/// What to do about it.
pub fn fix(kind: Misrouted) -> &'static str {
    match kind {
        Misrouted::NullKey | Misrouted::ManyTraces | Misrouted::ForeignKey => {
            "set `partition_traces_by_id: true` on the Collector's Kafka exporter, or key records \
             by the trace id as 32 lower-case hexadecimal digits, one trace a record; for \
             producers that cannot be changed there is `tailsieve rekey`"
        }
        Misrouted::TwoPartitions => {
            "see the other kinds for the cause; `tailsieve doctor` tells them apart"
        }
        Misrouted::TwoPartitioners => {
            "give all producers the Collector's partitioner: `partitioner=fnv1a_random` for \
             librdkafka, an FNV-1a partitioner for Java; or put `tailsieve rekey` between"
        }
        Misrouted::PartitionsAdded => "nothing is to be done; add partitions in quiet hours",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::partitioner::Family;

    /// Ids that are looked at.
    fn sampled() -> impl Iterator<Item = TraceId> {
        let ids = (1_u128..).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
        ids.filter_map(|id| TraceId::from_slice(&id.to_be_bytes())).filter(|id| is_sampled(*id))
    }

    fn counted(counts: &Counts) -> Vec<(&'static str, u64)> {
        let counted =
            Misrouted::ALL.iter().map(|kind| (kind.label(), counts.misrouted[*kind as usize]));
        counted.filter(|(_, count)| *count > 0).collect()
    }

    #[test]
    fn one_id_in_64_is_looked_at_also_of_ids_with_equal_high_bits() {
        let ids = (0..64_000_u128).map(|n| TraceId::from_slice(&(n + 1).to_be_bytes()).unwrap());
        let sampled = ids.filter(|id| is_sampled(*id)).count();
        assert!((800..1200).contains(&sampled), "{sampled}");
    }

    #[test]
    fn keys_are_held_against_the_trace() {
        let routing = Routing::default();
        let mut counts = Counts::new(0, 0);
        let id = TraceId::from_hex(b"0af7651916cd43dd8448eb211c80319c").unwrap();
        let mut check = |key: Option<&[u8]>, is_alone| {
            routing.check(Partition(0), key, id, is_alone, &mut counts);
        };
        check(Some(id.to_string().as_bytes()), true);
        check(Some(id.as_bytes()), true);
        check(None, true);
        check(None, false);
        check(Some(b"service-7"), true);
        check(Some(id.to_string().as_bytes()), false);
        let expected = [("null_key", 2), ("foreign_key", 1), ("many_traces", 1)];
        assert_eq!(counted(&counts), expected);
        assert_eq!(routing.notes().len(), 3);
        assert!(routing.notes()[0].contains("partition_traces_by_id: true"));
    }

    #[test]
    fn a_trace_on_two_partitions_is_seen() {
        let routing = Routing::default();
        let mut counts = Counts::new(0, 0);
        let mut ids = sampled();
        let (whole, split) = (ids.next().unwrap(), ids.next().unwrap());
        for (id, partition) in [(whole, 1), (whole, 1), (split, 1), (split, 2), (whole, 1)] {
            let key = id.to_string();
            routing.check(Partition(partition), Some(key.as_bytes()), id, true, &mut counts);
        }
        assert_eq!(counted(&counts), [("two_partitions", 1)]);
    }

    /// What is counted of 2000 records of which one in `share` was placed by another family.
    fn with_families(share: usize) -> Vec<(&'static str, u64)> {
        let routing = Routing::default();
        let mut counts = Counts::new(0, 0);
        routing.resized(12, &mut counts);
        for (number, id) in sampled().take(2000).enumerate() {
            let is_other = share > 0 && number % share == 0;
            let family = if is_other { Family::Murmur2 } else { Family::Fnv1a };
            let key = id.to_string();
            let partition = family.partition(key.as_bytes(), 12);
            routing.check(partition, Some(key.as_bytes()), id, true, &mut counts);
        }
        counted(&counts)
    }

    #[test]
    fn where_a_trace_belongs_is_known_when_enough_keys_were_seen() {
        for is_raw in [false, true] {
            let routing = Routing::default();
            let mut counts = Counts::new(0, 0);
            let key = |id: TraceId| match is_raw {
                true => id.as_bytes().to_vec(),
                false => id.to_string().into_bytes(),
            };
            let home = |id| Family::Murmur2.partition(&key(id), 12);
            routing.resized(12, &mut counts);
            let all: Vec<TraceId> = sampled().take(200).collect();
            assert_eq!(routing.partition_of(all[0]), None);
            for id in &all[..100] {
                routing.check(home(*id), Some(&key(*id)), *id, true, &mut counts);
            }
            let known = |id: &TraceId| routing.partition_of(*id) == Some(home(*id));
            assert!(all.iter().all(known));
        }
        let routing = Routing::default();
        routing.resized(1, &mut Counts::new(0, 0));
        assert_eq!(routing.partition_of(sampled().next().unwrap()), Some(Partition(0)));
    }

    #[test]
    fn two_partitioners_are_seen_and_one_is_not() {
        assert_eq!(with_families(0), []);
        let counted = with_families(10);
        let [("two_partitioners", count)] = counted[..] else { panic!("{counted:?}") };
        assert!((100..200).contains(&count), "{count} of 200");
    }

    #[test]
    fn added_partitions_are_told_once_for_all_workers() {
        let routing = Routing::default();
        let mut counts = Counts::new(0, 0);
        for partitions in [12, 12, 24, 24, 24] {
            routing.resized(partitions, &mut counts);
        }
        assert_eq!(counted(&counts), [("partitions_added", 1)]);
    }
}
