//! The splitmix64 generator: the same numbers on every machine and with every version of a crate.
//!
//! Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators".

/// A stream of numbers that its seed determines.
pub struct Random(u64);

impl Random {
    /// The stream of `seed`; streams of neighbouring seeds have nothing in common.
    pub fn new(seed: u64) -> Self {
        // One step apart, the streams would be the same but for their beginnings.
        Self(Self(seed).next())
    }

    /// The next number, any of 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True so many times out of a hundred.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of several.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// A random id in hexadecimal; `digits` is 32 for traces and 16 for spans.
    pub fn id(&mut self, digits: usize) -> String {
        let (high, low) = (self.next(), self.next());
        format!("{high:016x}{low:016x}")[..digits].to_owned()
    }
}
