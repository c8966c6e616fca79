//! Hours of a quiet week: members come and go, policies are replaced, traffic goes on; and a member
//! that stays is asked again and again what it holds.

use std::fmt;
use std::fs;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::fault::Fault;
use crate::plan::{Event, SLOTS};

/// How often the member that stays is looked at.
pub const GLANCE: Duration = Duration::from_secs(5);

/// Nothing happens before, and what is held then is not what is held later.
const WARM_UP: f64 = 60.0;

/// A plan of `lasts`: each minute or so something that happens in a week. The first member stays all
/// the time.
pub fn plan(seed: u64, lasts: Duration) -> Vec<Event> {
    let mut rng = StdRng::seed_from_u64(seed ^ 0x736f_616b);
    let (mut at, mut reloads, mut events) = (WARM_UP, 0, Vec::new());
    loop {
        let stays = rng.random_range(20.0..60.0);
        let visitor = rng.random_range(2..SLOTS);
        let (fault, lasts_for) = match rng.random_range(0..6) {
            0 => (Fault::Leave(1), rng.random_range(1.0..20.0)),
            1 => (Fault::Kill(1), rng.random_range(1.0..20.0)),
            2 => (Fault::Visit(visitor), stays),
            3 => (Fault::VisitAndDie(visitor), stays),
            _ => {
                reloads += 1;
                (Fault::Reload(reloads), 0.1)
            }
        };
        if at + lasts_for >= lasts.as_secs_f64() {
            return events;
        }
        let seconds = Duration::from_secs_f64;
        events.push(Event { at: seconds(at), lasts: seconds(lasts_for), fault });
        at += lasts_for + rng.random_range(10.0..40.0);
    }
}

/// What a process holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Vitals {
    pub at: Duration,
    pub resident_kib: u64,
    pub files: u64,
    pub threads: u64,
}

impl Vitals {
    /// Those of the process `pid` at `at`; `None` if it is gone.
    pub fn of(pid: u32, at: Duration) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let files = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64;
        let (resident_kib, threads) = (number("VmRSS:")?, number("Threads:")?);
        Some(Self { at, resident_kib, files, threads })
    }
}

/// What a process held over time: medians of the second quarter of the time, and of the last.
#[derive(Clone, Copy, Debug)]
pub struct Growth {
    before: Vitals,
    after: Vitals,
}

impl Growth {
    /// `None` if there is too little to say anything.
    pub fn of(samples: &[Vitals]) -> Option<Self> {
        let quarter = samples.len() / 4;
        if quarter < 5 {
            return None;
        }
        let median = |samples: &[Vitals]| {
            let middle = |value: fn(&Vitals) -> u64| {
                let mut values: Vec<u64> = samples.iter().map(value).collect();
                values.sort_unstable();
                values[values.len() / 2]
            };
            Vitals {
                at: samples[samples.len() / 2].at,
                resident_kib: middle(|it| it.resident_kib),
                files: middle(|it| it.files),
                threads: middle(|it| it.threads),
            }
        };
        let after = median(&samples[samples.len() - quarter..]);
        Some(Self { before: median(&samples[quarter..2 * quarter]), after })
    }

    /// What has grown.
    pub fn defects(&self) -> Vec<String> {
        let Self { before, after } = self;
        let checks = [
            // Partitions come and go, and with them what is open.
            ("memory", before.resident_kib * 5 / 4 + (16 << 10), after.resident_kib),
            ("open files", before.files + 8, after.files),
            ("threads", before.threads + 2, after.threads),
        ];
        let grown = checks.into_iter().filter(|(_, most, after)| after > most);
        grown.map(|(what, _, _)| format!("{what} have grown: {self}")).collect()
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, after } = self;
        write!(
            f,
            "{} -> {} KiB resident, {} -> {} open files, {} -> {} threads from {:.0} s to {:.0} s",
            before.resident_kib,
            after.resident_kib,
            before.files,
            after.files,
            before.threads,
            after.threads,
            before.at.as_secs_f64(),
            after.at.as_secs_f64()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(resident_kib: fn(u64) -> u64, files: fn(u64) -> u64) -> Vec<Vitals> {
        let sample = |n| {
            let at = Duration::from_secs(n);
            Vitals { at, resident_kib: resident_kib(n), files: files(n), threads: 9 }
        };
        (0..100).map(sample).collect()
    }

    #[test]
    fn what_grows_is_found_and_what_only_varies_is_not() {
        let found = |samples: &[Vitals]| Growth::of(samples).unwrap().defects();
        let flat = samples(|n| 100_000 + n % 7 * 1000, |n| 40 + n % 3);
        assert_eq!(found(&flat), Vec::<String>::new());
        assert!(found(&samples(|n| 100_000 + n * 2000, |_| 40))[0].starts_with("memory"));
        assert!(found(&samples(|_| 100_000, |n| 40 + n / 5))[0].starts_with("open files"));
        assert!(Growth::of(&flat[..10]).is_none());
    }

    #[test]
    fn something_happens_all_the_time_and_the_first_member_stays() {
        let lasts = Duration::from_secs(3600);
        let events = plan(1, lasts);
        assert!(events.len() > 50, "only {}", events.len());
        for Event { at, lasts: lasts_for, fault } in events {
            assert!(at + lasts_for < lasts);
            assert!(!matches!(fault, Fault::Kill(0) | Fault::Leave(0)));
        }
    }

    #[test]
    fn a_process_has_vitals() {
        let own = Vitals::of(std::process::id(), Duration::ZERO).unwrap();
        assert!(own.resident_kib > 0 && own.files > 0 && own.threads > 0);
    }
}
