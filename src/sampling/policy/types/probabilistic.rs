//! `probabilistic`

use super::{
    Asked, Asking, CompileError, Compiler, Expression, Matching, PolicyKind, PolicyType, keeps,
};
use crate::options::{any_number, options, text};
use crate::otlp::probability::Threshold;
use crate::sampling::policy::explain::randomness_reason;

/// The salt that the Collector uses where an empty one is given.
const DEFAULT_HASH_SALT: &str = "default-hash-seed";

options! {
    /// Keeps a share of the traces, by their randomness.
    pub struct Probabilistic {
        /// 0 keeps none, 100 keeps all.
        sampling_percentage: f64 = any_number().required("10"),
        /// Decides by the Collector's hash with this salt, so that a fleet that mixes both keeps the
        /// same traces.
        hash_salt: Option<String> = text().optional(),
    }
}

impl Probabilistic {
    fn threshold(&self) -> Threshold {
        Threshold::from_probability(self.sampling_percentage / 100.0)
    }

    fn hashed(&self, salt: &str) -> Expression {
        let percentage = self.sampling_percentage;
        if percentage <= 0.0 || percentage.is_nan() {
            return Expression::Passes(Threshold::NEVER);
        }
        if percentage >= 100.0 {
            return Expression::Always;
        }
        let salt = if salt.is_empty() { DEFAULT_HASH_SALT } else { salt };
        let (salt, limit) = (salt.as_bytes().into(), hash_limit(percentage));
        Expression::Hashed { salt, limit, chance: self.threshold() }
    }
}

impl PolicyType for Probabilistic {
    fn compile(&self, _: &mut Compiler) -> Result<Asking, CompileError> {
        Ok(Asking::Whole(match &self.hash_salt {
            None => Expression::Passes(self.threshold()),
            Some(salt) => self.hashed(salt),
        }))
    }

    fn reason(&self, expression: &Expression, asked: &mut Asked<'_>) -> String {
        let percentage = self.sampling_percentage;
        if self.hash_salt.is_none() {
            let why = randomness_reason(self.threshold(), asked.trace);
            return format!("{percentage} %: {why}");
        }
        let side = if keeps(expression, asked) { "within" } else { "beyond" };
        format!("{percentage} %: the salted hash of the trace id is {side} it")
    }

    fn matching(&self, _: &[Matching]) -> Matching {
        match self.sampling_percentage {
            ..=0.0 => Matching::never("sampling_percentage", "it keeps 0 % of the traces"),
            100.0.. => Matching::Always,
            _ => Matching::Sometimes,
        }
    }

    fn covers(&self, other: &PolicyKind) -> bool {
        let PolicyKind::Probabilistic(Self { sampling_percentage, hash_salt }) = other else {
            return false;
        };
        self.hash_salt == *hash_salt && self.sampling_percentage >= *sampling_percentage
    }
}

/// `trunc(u64::MAX * percentage / 100)` as the Collector computes it, with Go's `big.Float`: the
/// product of u64::MAX and the fraction, an f64, rounded to a 64-bit mantissa.
fn hash_limit(percentage: f64) -> u64 {
    let fraction = percentage / 100.0;
    let bits = fraction.to_bits();
    let mantissa = u128::from(bits & ((1 << 52) - 1) | 1 << 52);
    let exponent = ((bits >> 52) & 0x7ff) as i32 - 1075;
    let product = u128::from(u64::MAX) * mantissa;
    let excess = (u128::BITS - product.leading_zeros()).saturating_sub(64);
    let rounded = round_half_even(product, excess);
    // The value is rounded * 2^(excess + exponent), and below 2^64.
    let shift = excess as i32 + exponent;
    if shift >= 0 {
        return (rounded << shift.min(63)) as u64;
    }
    rounded.checked_shr(shift.unsigned_abs()).unwrap_or(0) as u64
}

fn round_half_even(value: u128, drop_bits: u32) -> u128 {
    if drop_bits == 0 {
        return value;
    }
    let kept = value >> drop_bits;
    let rest = value & ((1 << drop_bits) - 1);
    let half = 1 << (drop_bits - 1);
    if rest > half || (rest == half && kept & 1 == 1) { kept + 1 } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_limit_is_the_share_of_all_hashes() {
        assert_eq!(hash_limit(50.0), u64::MAX / 2);
        assert_eq!(hash_limit(25.0), u64::MAX / 4);
        let tenth = hash_limit(10.0);
        assert!(tenth.abs_diff(u64::MAX / 10) < 1 << 12, "{tenth}");
        assert_eq!(hash_limit(1e-30), 0);
    }
}
