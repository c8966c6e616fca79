//! How far it is, on a terminal.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How often it is drawn.
const STEP: Duration = Duration::from_millis(200);

/// A bar on standard error, if that is a terminal.
pub(super) struct Progress {
    records: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Nothing of so many records was read yet.
    pub(super) fn of(all: u64) -> io::Result<Self> {
        let (records, is_over): (Arc<AtomicU64>, Arc<AtomicBool>) = Default::default();
        let mut progress = Self { records, is_over, thread: None };
        if io::stderr().is_terminal() {
            let (records, is_over) = (Arc::clone(&progress.records), Arc::clone(&progress.is_over));
            let draw = move || {
                let bar = ProgressBar::new(all).with_style(style());
                while !is_over.load(Ordering::Relaxed) {
                    bar.set_position(records.load(Ordering::Relaxed));
                    thread::sleep(STEP);
                }
                bar.finish_and_clear();
            };
            progress.thread = Some(thread::Builder::new().name("progress".into()).spawn(draw)?);
        }
        Ok(progress)
    }

    /// Where it is counted what was read.
    pub(super) fn records(&self) -> &AtomicU64 {
        &self.records
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It only draws.
            let _ = thread.join();
        }
    }
}

fn style() -> ProgressStyle {
    let template =
        "{bar:32} {percent:>3} %  {human_pos} of {human_len} records  {per_sec}  {eta} left";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
