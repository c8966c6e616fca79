//! What goes wrong when: drawn from a seed before anything starts.
//!
//! Two members are there all the time, besides what happens to them; two more come and go. One
//! member at least is running at any time. Faults come every few seconds, some of them together.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::fault::{Answer, Fault, PERMANENT, RETRYABLE, Resource, Side};
use crate::proxy::Mode;

/// Members that are there from the start.
pub const BASE: usize = 2;

/// Members that there may be at most.
pub const SLOTS: usize = 4;

/// After the session timeout of a member the others have its partitions.
pub const SESSION: Duration = Duration::from_secs(6);

/// Nothing goes wrong before: the members need something to lose.
const QUIET_START: f64 = 8.0;

/// A fault and its time since the start of the traffic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event {
    pub at: Duration,
    pub lasts: Duration,
    pub fault: Fault,
}

/// The faults of a run of `lasts`, in the order of their times.
pub fn plan(seed: u64, lasts: Duration, has_decision_log: bool) -> Vec<Event> {
    let mut planner = Planner {
        rng: StdRng::seed_from_u64(seed ^ 0x6368_616f_7321),
        busy: HashMap::new(),
        visits: Default::default(),
        reloads: 0,
        has_decision_log,
    };
    let end = lasts.as_secs_f64();
    let mut events = Vec::new();
    let mut at = QUIET_START;
    while at < end {
        events.extend(planner.event(at, end));
        let is_combined = planner.rng.random_bool(0.3);
        at += if is_combined { 0.2 } else { planner.rng.random_range(1.5..5.0) };
    }
    events
}

struct Planner {
    rng: StdRng,
    /// Until when a resource is taken, in seconds.
    busy: HashMap<Resource, f64>,
    /// When the further members are there.
    visits: [Range<f64>; SLOTS - BASE],
    reloads: u32,
    has_decision_log: bool,
}

impl Planner {
    /// A fault at `at` that is over before `end`, unless what was drawn is not possible then.
    fn event(&mut self, at: f64, end: f64) -> Option<Event> {
        let (fault, lasts) = self.draw(at);
        let over = at + lasts;
        let is_free = |resource| self.busy.get(&resource).is_none_or(|until| *until < at);
        // While one of the first two is gone, the other one is left alone.
        let is_alone = match fault {
            Fault::Kill(slot) | Fault::Leave(slot) | Fault::Freeze(slot) => {
                (0..BASE).all(|other| other == slot || is_free(Resource::Process(other)))
            }
            _ => true,
        };
        if over >= end || !is_free(fault.resource()) || !is_alone {
            return None;
        }
        // A little longer, so that what is mended is not broken again in the same moment; a JVM
        // takes a while to start.
        let rest = if fault == Fault::KafkaDies { 20.0 } else { 1.0 };
        self.busy.insert(fault.resource(), over + rest);
        match fault {
            Fault::Visit(slot) | Fault::VisitAndDie(slot) => self.visits[slot - BASE] = at..over,
            Fault::Reload(version) => self.reloads = version,
            _ => {}
        }
        let seconds = Duration::from_secs_f64;
        Some(Event { at: seconds(at), lasts: seconds(lasts), fault })
    }

    /// A fault and how long it lasts, in seconds.
    fn draw(&mut self, at: f64) -> (Fault, f64) {
        let base = self.rng.random_range(0..BASE);
        let visitor = self.rng.random_range(BASE..SLOTS);
        match self.rng.random_range(0..100) {
            0..14 => (Fault::Kill(base), self.rng.random_range(0.5..10.0)),
            14..20 => (Fault::Leave(base), self.rng.random_range(1.0..10.0)),
            20..29 => (Fault::Visit(visitor), self.rng.random_range(8.0..30.0)),
            29..36 => (Fault::VisitAndDie(visitor), self.rng.random_range(8.0..30.0)),
            36..44 => {
                let session = SESSION.as_secs_f64();
                (Fault::Freeze(base), session + self.rng.random_range(2.0..6.0))
            }
            44..50 => (Fault::KafkaDies, self.rng.random_range(0.5..3.0)),
            50..66 => self.link(at),
            66..86 => (Fault::Backend(self.answer()), self.rng.random_range(1.0..8.0)),
            86..90 => (Fault::Reload(self.reloads + 1), 0.1),
            90..96 if self.has_decision_log => {
                (Fault::DecisionLog, self.rng.random_range(2.0..8.0))
            }
            _ => (Fault::Poison(self.rng.random_range(1..50)), 0.1),
        }
    }

    /// Something between a member that is there and one of its sides.
    fn link(&mut self, at: f64) -> (Fault, f64) {
        let visitors = (BASE..SLOTS).filter(|slot| self.visits[slot - BASE].contains(&at));
        let slots: Vec<usize> = (0..BASE).chain(visitors).collect();
        let slot = *slots.choose(&mut self.rng).expect("the first two");
        let side = if self.rng.random() { Side::Kafka } else { Side::Backend };
        let mode = match self.rng.random_range(0..7) {
            0 | 1 => return (Fault::Cut(side, slot), 0.1),
            2 => Mode::Refuse,
            3 => Mode::Delay(Duration::from_millis(self.rng.random_range(20..400))),
            4 => Mode::Throttle(self.rng.random_range(20_000..200_000)),
            5 => Mode::BlackHole,
            _ => Mode::Mute,
        };
        (Fault::Link(side, slot, mode), self.rng.random_range(1.0..12.0))
    }

    fn answer(&mut self) -> Answer {
        match self.rng.random_range(0..23) {
            0..7 => Answer::Code(*RETRYABLE.choose(&mut self.rng).expect("there are some")),
            7 => Answer::Partial,
            8 => Answer::NoStatus,
            9 => Answer::Close,
            10 | 11 => Answer::AcceptThenFail,
            12 | 13 => Answer::AcceptThenClose,
            14 | 15 => Answer::Slow(Duration::from_millis(self.rng.random_range(300..8000))),
            16 | 17 => Answer::Refuse(*PERMANENT.choose(&mut self.rng).expect("there are some")),
            18..21 => Answer::Restart(*PERMANENT.choose(&mut self.rng).expect("there are some")),
            _ => Answer::Mixed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const LASTS: Duration = Duration::from_secs(600);

    #[test]
    fn a_seed_plans_the_same_again_and_another_one_does_not() {
        assert_eq!(plan(7, LASTS, true), plan(7, LASTS, true));
        assert_ne!(plan(7, LASTS, true), plan(8, LASTS, true));
    }

    #[test]
    fn every_kind_of_fault_comes_and_no_resource_has_two_at_a_time() {
        let mut kinds = HashSet::new();
        for seed in 0..20 {
            let events = plan(seed, LASTS, true);
            assert!(events.len() > 80, "only {} faults", events.len());
            let mut busy = HashMap::new();
            for Event { at, lasts, fault } in events {
                kinds.insert(std::mem::discriminant(&fault));
                let until = busy.insert(fault.resource(), at + lasts);
                assert!(until.is_none_or(|until| until < at), "{fault} at {at:?}");
                assert!(at + lasts < LASTS);
            }
        }
        assert_eq!(kinds.len(), 12);
    }

    #[test]
    fn one_of_the_first_members_is_always_left_alone() {
        for seed in 0..20 {
            let gone = plan(seed, LASTS, false).into_iter().filter_map(|event| match event.fault {
                Fault::Kill(slot) | Fault::Leave(slot) | Fault::Freeze(slot) => {
                    Some((slot, event.at, event.at + event.lasts))
                }
                _ => None,
            });
            let gone: Vec<_> = gone.collect();
            for (slot, from, to) in &gone {
                let other = |o: &&(usize, Duration, Duration)| o.0 != *slot;
                assert!(gone.iter().filter(other).all(|(_, f, t)| t < from || to < f));
            }
        }
    }
}
