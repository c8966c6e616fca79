use super::bench::*;

#[test]
fn decisions_are_forgotten_when_no_span_would_follow_them() {
    let mut bench = Bench::new(in_force(&[errors("errors")]));
    bench.take_in(0, "shop", vec![span(1)]);
    bench.take_in(1_000, "shop", vec![span(2)]);
    bench.run_clock_to(31_000);
    let mut are_known_at = |clock| {
        bench.run_clock_to(clock);
        bench.state.forget_old(&bench.shared);
        [1, 2].map(|trace| bench.decided(trace).is_some())
    };
    // Both were decided when the clock was at 31 s.
    assert_eq!(are_known_at(630_000), [true, true]);
    assert_eq!(are_known_at(631_001), [false, false]);
}

#[test]
fn a_decision_that_took_the_place_of_an_old_one_stays() {
    let mut bench = Bench::new(in_force(&[errors("errors")]));
    bench.take_in(0, "shop", vec![span(1)]);
    bench.run_clock_to(30_000);
    bench.run_clock_to(640_000);
    bench.take_in(640_001, "shop", vec![span(1)]);
    bench.run_clock_to(670_001);
    bench.state.forget_old(&bench.shared);
    let again = bench.decided(1).expect("it is not old");
    assert_eq!(again.covers.0, crate::ids::Offset(1));
}
