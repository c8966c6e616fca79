use super::bench::*;
use crate::ids::Timestamp;
use crate::kafka::decision_log::testing::dropped;
use crate::member::worker::DecisionRoom;
use crate::sampling::decided::DecisionRecord;

#[test]
fn decisions_are_forgotten_when_no_span_would_follow_them() {
    let mut bench = Bench::new(active(&[errors("errors")]));
    bench.take_in(0, "shop", vec![span(1)]);
    bench.take_in(1_000, "shop", vec![span(2)]);
    bench.run_clock_to(31_000);
    let mut are_known_at = |clock| {
        bench.run_clock_to(clock);
        bench.state.sampler.forget_old();
        [1, 2].map(|trace| bench.decided(trace).is_some())
    };
    // Both were decided when the clock was at 31 s.
    assert_eq!(are_known_at(630_000), [true, true]);
    assert_eq!(are_known_at(631_001), [false, false]);
}

#[test]
fn a_decision_that_took_the_place_of_an_old_one_stays() {
    let mut bench = Bench::new(active(&[errors("errors")]));
    bench.take_in(0, "shop", vec![span(1)]);
    bench.run_clock_to(30_000);
    bench.run_clock_to(640_000);
    bench.take_in(640_001, "shop", vec![span(1)]);
    bench.run_clock_to(670_001);
    bench.state.sampler.forget_old();
    let again = bench.decided(1).expect("it is not old");
    assert_eq!(again.first, crate::ids::Offset(1));
}

/// Which of four decisions, a second apart and told in no order, a new owner has at hand.
fn at_hand_after_read_back(room: u64, partitions: usize, clock: i64) -> Vec<u8> {
    let mut bench = Bench::new(active(&[errors("errors")]));
    bench.shared().decision_room = DecisionRoom::new(room);
    (0..partitions).for_each(|_| bench.ctx.shared.decision_room.add_partition());
    bench.run_clock_to(clock);
    let decisions = [3, 1, 4, 2].map(|trace| {
        let at = Timestamp(i64::from(trace) * 1000);
        DecisionRecord { at, ..dropped(trace, 0, 0) }
    });
    bench.state.learn(&bench.ctx, &decisions);
    (1..=4).filter(|trace| bench.decided(*trace).is_some()).collect()
}

#[test]
fn a_new_owner_learns_the_latest_decisions_that_every_partition_has_room_for() {
    assert_eq!(at_hand_after_read_back(8, 2, 5_000), [1, 2, 3, 4]);
    assert_eq!(at_hand_after_read_back(8, 4, 5_000), [3, 4]);
    assert_eq!(at_hand_after_read_back(8, 8, 5_000), [4]);
    assert_eq!(at_hand_after_read_back(8, 9, 5_000), [0; 0]);
}

#[test]
fn a_new_owner_learns_nothing_that_no_span_would_follow() {
    assert_eq!(at_hand_after_read_back(8, 1, 601_000), [1, 2, 3, 4]);
    assert_eq!(at_hand_after_read_back(8, 1, 602_001), [3, 4]);
}
