use opentelemetry_proto::tonic::trace::v1::Span;
use proptest::prelude::*;

use super::bench::*;
use crate::sampling::trace::Limits;

fn named(trace: u8, name: String) -> Span {
    Span { name, ..span(trace) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Spans of a record are stored by trace, however they are mixed in it: each trace is delivered
    /// whole, and in the order in which it came.
    #[test]
    fn traces_that_share_records_keep_their_order(
        records in prop::collection::vec(prop::collection::vec(1..6_u8, 1..20), 1..6)
    ) {
        let mut bench = Bench::new(active(&[everything("all")]));
        let mut expected = vec![Vec::new(); 6];
        for (number, traces) in records.iter().enumerate() {
            let spans: Vec<Span> = (traces.iter().enumerate())
                .map(|(place, trace)| named(*trace, format!("{number}-{place}")))
                .collect();
            for span in &spans {
                expected[usize::from(span.trace_id[0])].push(span.name.clone());
            }
            bench.take_in(0, ["shop", "bank"][number % 2], spans);
        }
        bench.run_clock_to(31_000);
        let mut delivered = vec![Vec::new(); 6];
        for span in bench.forwarded() {
            delivered[usize::from(span.trace_id[0])].push(span.name);
        }
        prop_assert_eq!(delivered, expected);
    }
}

/// Of two traces, those that a budget of two spans kept, where so many spans are a trace's cap.
fn kept(cap: u32, spans: Vec<Span>) -> Vec<u8> {
    let limits = Limits { maximum_trace_spans: cap, ..LIMITS };
    let mut bench = Bench::new(active_with(&[limited("limited", 2)], limits));
    bench.take_in(0, "shop", spans);
    bench.run_clock_to(3_000);
    (1..3).filter(|trace| bench.kept_by(*trace).is_some()).collect()
}

#[test]
fn what_falls_due_at_once_is_decided_in_the_order_in_which_roots_came() {
    assert_eq!(kept(9, vec![root(1), root(2), span(1)]), [1]);
    assert_eq!(kept(9, vec![span(1), root(2), root(1)]), [2]);
}

#[test]
fn what_came_to_a_cap_is_decided_in_the_order_in_which_it_did() {
    assert_eq!(kept(2, vec![span(1), span(2), span(1), span(2)]), [1]);
    assert_eq!(kept(2, vec![span(1), span(2), span(2), span(1)]), [2]);
}
