//! `latency`

use super::{Asked, Asking, CompileError, Compiler, Expression, Matching, PolicyKind, PolicyType};
use crate::options::{options, whole};

options! {
    /// Keeps a trace by its duration, from the earliest start to the latest end of its spans, in
    /// whole milliseconds.
    pub struct Latency {
        /// It lasts longer than this, in milliseconds.
        threshold_ms: u64 = whole(0..=u64::MAX).required("1000"),
        /// And not longer than this; 0 is no bound.
        upper_threshold_ms: Option<u64> = whole(0..=u64::MAX).unless_zero(),
    }
}

impl PolicyType for Latency {
    fn compile(&self, _: &mut Compiler) -> Result<Asking, CompileError> {
        let Self { threshold_ms: above_ms, upper_threshold_ms: upto_ms } = *self;
        Ok(Asking::Whole(Expression::Latency { above_ms, upto_ms }))
    }

    fn reason(&self, _: &Expression, asked: &mut Asked<'_>) -> String {
        let millis = asked.trace.duration().as_millis();
        let least = self.threshold_ms;
        match self.upper_threshold_ms {
            _ if millis <= u128::from(least) => format!("{millis} ms <= {least} ms"),
            Some(upper) if millis > u128::from(upper) => format!("{millis} ms > {upper} ms"),
            Some(upper) => format!("{least} ms < {millis} ms <= {upper} ms"),
            None => format!("{millis} ms > {least} ms"),
        }
    }

    fn matching(&self, _: &[Matching]) -> Matching {
        match (self.threshold_ms, self.upper_threshold_ms) {
            (least, Some(upper)) if upper <= least => {
                let why = format!("no duration is above {least} ms and not above {upper} ms");
                Matching::never("upper_threshold_ms", why)
            }
            _ => Matching::Sometimes,
        }
    }

    fn covers(&self, other: &PolicyKind) -> bool {
        let PolicyKind::Latency(Self { threshold_ms, upper_threshold_ms: upper }) = other else {
            return false;
        };
        let is_below = |most: u64| upper.is_some_and(|upper| upper <= most);
        self.threshold_ms <= *threshold_ms && self.upper_threshold_ms.is_none_or(is_below)
    }
}
