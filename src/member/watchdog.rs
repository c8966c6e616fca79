//! The watchdog: a worker that hangs must not keep its partitions from being worked on for ever.
//!
//! What a worker does at a time takes milliseconds. One that is busy with the same thing for a
//! minute hangs, which only a defect can cause; librdkafka goes on telling the group that the
//! member lives. So the process ends, and its partitions go to others. Promises not to take a
//! process that was stopped, or a machine that slept, for one that hangs: it counts its own looks,
//! not time. As long as no worker hangs, it tells the service manager that the process lives; who stops
//! or hangs itself is ended by that.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tracing::{error, warn};

use crate::member::worker::Liveness;
use crate::telemetry::service_manager::ServiceManager;

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// After how many looks it is worth a word, and after how many it is the end.
const WARN_AFTER: u32 = 10;
const END_AFTER: u32 = 60;

/// What was seen of one worker.
#[derive(Debug, Default)]
struct Seen {
    busy_with: Option<u64>,
    looks: u32,
}

#[derive(Debug, PartialEq, Eq)]
enum WorkerState {
    Fine,
    Slow,
    Hangs,
}

impl Seen {
    fn look(&mut self, liveness: &Liveness) -> WorkerState {
        let busy_with = liveness.busy_with();
        if busy_with.is_none() || busy_with != self.busy_with {
            *self = Self { busy_with, looks: 0 };
            return WorkerState::Fine;
        }
        self.looks += 1;
        match self.looks {
            WARN_AFTER => WorkerState::Slow,
            END_AFTER.. => WorkerState::Hangs,
            _ => WorkerState::Fine,
        }
    }
}

/// Watches workers on a thread of its own; `end` is called, once, if one hangs.
///
/// # Errors
/// When no thread can be had.
pub fn watch(
    liveness: Vec<Arc<Liveness>>,
    service_manager: ServiceManager,
    end: impl FnOnce() + Send + 'static,
) -> std::io::Result<()> {
    let mut seen: Vec<Seen> = liveness.iter().map(|_| Seen::default()).collect();
    thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
        loop {
            thread::sleep(INTERVAL);
            for (worker, (liveness, seen)) in liveness.iter().zip(&mut seen).enumerate() {
                match seen.look(liveness) {
                    WorkerState::Fine => {}
                    WorkerState::Slow => warn!(worker, seconds = WARN_AFTER, "worker.slow"),
                    WorkerState::Hangs => {
                        error!(worker, seconds = END_AFTER, "worker.hangs: the process ends");
                        return end();
                    }
                }
            }
            service_manager.alive();
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_busy_with_the_same_thing_for_long_hangs() {
        let (liveness, mut seen) = (Liveness::default(), Seen::default());
        let mut look_often = |liveness: &Liveness| {
            let states: Vec<_> = (0..=END_AFTER).map(|_| seen.look(liveness)).collect();
            let of = |wanted| states.iter().filter(|it| **it == wanted).count();
            (of(WorkerState::Slow), of(WorkerState::Hangs))
        };
        assert_eq!(look_often(&liveness), (0, 0), "who has nothing to do does not hang");
        liveness.set_busy(1);
        assert_eq!(look_often(&liveness), (1, 1));
        liveness.set_busy(3);
        assert_eq!(look_often(&liveness), (1, 1), "counting starts over for the next thing");
    }
}
