//! Which of tailsieve's own spans a thread is in, so that what it logs can say so.
//!
//! There is none unless own telemetry is recorded; then whoever records spans says when they are entered
//! and left.

use std::cell::RefCell;

/// A span, as other telemetry refers to it (W3C Trace Context).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: [u8; 16],
    /// The span.
    pub span_id: [u8; 8],
    /// Whether it is recorded.
    pub is_sampled: bool,
}

thread_local! {
    static ENTERED: RefCell<Vec<TraceContext>> = const { RefCell::new(Vec::new()) };
}

/// The innermost span that this thread is in.
pub fn current() -> Option<TraceContext> {
    ENTERED.with_borrow(|entered| entered.last().copied())
}

/// This thread is in the span from now on.
pub fn enter(context: TraceContext) {
    ENTERED.with_borrow_mut(|entered| entered.push(context));
}

/// It is not any more.
pub fn leave(context: TraceContext) {
    ENTERED.with_borrow_mut(|entered| {
        if let Some(place) = entered.iter().rposition(|known| *known == context) {
            entered.remove(place);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_one_counts_in_whatever_order_they_are_left() {
        let [outer, inner] = [1, 2].map(|id| TraceContext {
            trace_id: [id; 16],
            span_id: [id; 8],
            is_sampled: true,
        });
        assert_eq!(current(), None);
        enter(outer);
        enter(inner);
        assert_eq!(current(), Some(inner));
        leave(outer);
        assert_eq!(current(), Some(inner));
        leave(inner);
        assert_eq!(current(), None);
    }
}
