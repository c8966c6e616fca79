//! `span_count`

use super::{Asked, Asking, CompileError, Compiler, Expression, Matching, PolicyKind, PolicyType};
use crate::options::{options, whole};

options! {
    /// Keeps a trace by its number of spans. One bound is enough.
    pub struct SpanCount {
        /// The least number.
        min_spans: u32 = whole(0..=u32::MAX).or("0"),
        /// The greatest number; 0 is no bound.
        max_spans: Option<u32> = whole(0..=u32::MAX).unless_zero(),
    }
    then |section| { section.need_either(["min_spans", "max_spans"], "min_spans: 2") }
}

impl PolicyType for SpanCount {
    fn compile(&self, _: &mut Compiler) -> Result<Asking, CompileError> {
        let range = self.min_spans..=self.max_spans.unwrap_or(u32::MAX);
        Ok(Asking::Whole(Expression::Spans(range)))
    }

    fn reason(&self, _: &Expression, asked: &mut Asked<'_>) -> String {
        let (spans, least) = (asked.trace.spans, self.min_spans);
        match self.max_spans {
            _ if spans < least => format!("{spans} spans < {least}"),
            Some(most) if spans > most => format!("{spans} spans > {most}"),
            Some(most) => format!("{least} <= {spans} spans <= {most}"),
            None => format!("{spans} spans >= {least}"),
        }
    }

    fn matching(&self, _: &[Matching]) -> Matching {
        match (self.min_spans, self.max_spans) {
            (least, Some(most)) if most < least => {
                let why = format!("max_spans {most} is below min_spans {least}");
                Matching::never("max_spans", why)
            }
            (0 | 1, None) => Matching::Always,
            _ => Matching::Sometimes,
        }
    }

    fn covers(&self, other: &PolicyKind) -> bool {
        let PolicyKind::SpanCount(Self { min_spans, max_spans }) = other else { return false };
        let is_below = |bound: u32| max_spans.is_some_and(|most| most <= bound);
        self.min_spans <= *min_spans && self.max_spans.is_none_or(is_below)
    }
}
