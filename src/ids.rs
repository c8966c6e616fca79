//! The identifiers and units that everything else speaks in.
//!
//! Owns the newtypes that keep an offset from being taken for the *next* offset, and a trace id
//! from being taken for any sixteen bytes. Leaves all behaviour to others.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::num::NonZeroU128;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A trace id: 16 bytes, never all zero (OTLP: `Span.trace_id`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TraceId([u8; 16]);

/// As one number, which costs a hasher less than bytes whose number it has to look at.
impl Hash for TraceId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(u128::from_ne_bytes(self.0));
    }
}

impl TraceId {
    /// The id in `bytes`, unless they are not 16 or all of them are zero.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let id: [u8; 16] = bytes.try_into().ok()?;
        (id != [0; 16]).then_some(Self(id))
    }

    /// The id written as 32 hexadecimal digits, upper or lower case.
    pub fn from_hex(hex: &[u8]) -> Option<Self> {
        if hex.len() != 32 {
            return None;
        }
        let mut id = [0; 16];
        let mut all = 0;
        for (byte, pair) in id.iter_mut().zip(hex.as_chunks::<2>().0) {
            let [high, low] = pair.map(|digit| HEX_DIGITS[usize::from(digit)]);
            *byte = high << 4 | low & 0xf;
            all |= high | low;
        }
        if all > 0xf { None } else { Self::from_slice(&id) }
    }

    /// Whether the key of a record is this id: as it stands on the wire, or in hexadecimal digits.
    pub fn is_key(self, key: &[u8]) -> bool {
        key == self.as_bytes() || Self::from_hex(key) == Some(self)
    }

    /// True for one id of so many, a power of two. Ids that were sampled upstream may have some of their bits
    /// in common, so all of the low ones are mixed.
    pub fn is_one_of(self, many: u64) -> bool {
        debug_assert!(many.is_power_of_two());
        let mixed = self.randomness().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed >> 32 & (many - 1) == 0
    }

    /// The 16 bytes as they stand on the wire.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The low 56 bits: the randomness that the W3C Trace Context Level 2 `random` flag promises,
    /// and that consistent probability sampling uses when there is no `rv`.
    pub fn randomness(&self) -> u64 {
        let mut low = [0; 8];
        low[1..].copy_from_slice(&self.0[9..]);
        u64::from_be_bytes(low)
    }
}

/// The value of each byte as a hexadecimal digit; more than 15 if it is none. A table, because
/// whether the next digit of an id is a letter cannot be predicted.
static HEX_DIGITS: [u8; 256] = {
    let mut values = [0xff; 256];
    let mut value = 0;
    while value < 16 {
        values[b"0123456789abcdef"[value] as usize] = value as u8;
        values[b"0123456789ABCDEF"[value] as usize] = value as u8;
        value += 1;
    }
    values
};

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A span id: 8 bytes, never all zero (OTLP: `Span.span_id`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId([u8; 8]);

impl SpanId {
    /// The id in `bytes`, unless they are not 8 or all of them are zero.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let id: [u8; 8] = bytes.try_into().ok()?;
        (id != [0; 8]).then_some(Self(id))
    }

    /// The 8 bytes as they stand on the wire.
    pub fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The id that Kafka gives a topic when it is created (KIP-516): a topic that was deleted and
/// created again has the same name and another id. Never zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TopicId(NonZeroU128);

impl TopicId {
    /// The id whose bits these are; `None` for zero, which is what brokers say that know none.
    pub fn from_bits(bits: u128) -> Option<Self> {
        NonZeroU128::new(bits).map(Self)
    }

    /// Its bits.
    pub fn bits(self) -> u128 {
        self.0.get()
    }
}

impl fmt::Display for TopicId {
    /// As Kafka's own tools write it: base64 of the 16 bytes, for URLs, without padding.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.bits().to_be_bytes()))
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for TopicId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(drop)?;
        let bytes: [u8; 16] = bytes.try_into().map_err(drop)?;
        Self::from_bits(u128::from_be_bytes(bytes)).ok_or(())
    }
}

/// A partition of the input topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(pub i32);

/// The offset of a record that exists. The position after it is [`Offset::next`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Offset(pub i64);

impl Offset {
    /// Stands before every record of a log.
    pub const BEFORE_ALL: Self = Self(-1);

    /// The position after this record: what Kafka calls a committed offset or a position.
    pub fn next(self) -> Position {
        Position(self.0 + 1)
    }
}

/// The offset of the next record to read: what is committed, and where reading starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position(pub i64);

/// One acquisition of a partition by this process. Numbers are never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation(pub u64);

/// Where something under way comes from, and whom to tell what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The worker to tell: an index into the sinks of whoever tells.
    pub worker: usize,
    /// The partition.
    pub partition: Partition,
    /// The acquisition of the partition: what comes back under one that is over changes nothing.
    pub generation: Generation,
}

/// A pin on an offset of a partition: while it is held, nothing at or above it is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pin(pub u64);

/// A point in time in milliseconds since the Unix epoch: Kafka's record timestamps, and the
/// partition clock that runs on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This time plus `duration`, in whole milliseconds, saturating.
    pub fn after(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// This time minus `duration`, in whole milliseconds, saturating.
    pub fn before(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(millis))
    }

    /// The time from `earlier` to this; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn randomness_is_the_low_56_bits() {
        let id = TraceId::from_hex(b"ffffffffffffffffff80000000000001").unwrap();
        assert_eq!(id.randomness(), 0x80000000000001);
    }

    #[test]
    fn ids_of_zeros_or_of_the_wrong_length_are_refused() {
        assert_eq!(TraceId::from_slice(&[0; 16]), None);
        assert_eq!(TraceId::from_slice(&[1; 15]), None);
        assert_eq!(TraceId::from_hex(&[b'0'; 32]), None);
        assert_eq!(TraceId::from_hex(&[b'g'; 32]), None);
        assert_eq!(SpanId::from_slice(&[0; 8]), None);
    }

    #[test]
    fn a_topic_id_is_written_as_kafka_writes_it_and_read_again() {
        let id = TopicId::from_bits(0x1d65_b4f1_3f9a_4d2b_a4c3_7e06_5f2d_9b11).unwrap();
        assert_eq!(id.to_string(), "HWW08T-aTSukw34GXy2bEQ");
        assert_eq!("HWW08T-aTSukw34GXy2bEQ".parse(), Ok(id));
        assert_eq!(TopicId::from_bits(0), None);
        for text in ["", "AAAAAAAAAAAAAAAAAAAAAA", "HWW08T-aTSukw34GXy2b", "no id"] {
            assert_eq!(text.parse::<TopicId>(), Err(()), "{text}");
        }
    }

    #[test]
    fn hex_goes_both_ways() {
        let hex = "0af7651916cd43dd8448eb211c80319c";
        assert_eq!(TraceId::from_hex(hex.as_bytes()).unwrap().to_string(), hex);
    }
}
