//! FNV-1a (<http://www.isthe.com/chongo/tech/comp/fnv/>): the hash of the Collector's partitioner and
//! sampler, and of names that have to be alike in every build. Not made to withstand forgery.

/// 32 bits.
pub fn hash_32(bytes: impl Iterator<Item = u8>) -> u32 {
    bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// 64 bits.
pub fn hash_64(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_the_reference_implementation_hold() {
        for (text, short, long) in [
            ("", 0x811c_9dc5, 0xcbf2_9ce4_8422_2325),
            ("foobar", 0xbf9c_f968, 0x8594_4171_f739_67e8),
        ] {
            assert_eq!((hash_32(text.bytes()), hash_64(text.bytes())), (short, long), "{text:?}");
        }
    }
}
