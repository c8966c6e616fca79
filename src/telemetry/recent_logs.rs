//! The last warnings and errors that were logged, for those who look at a member.
//!
//! Owns a ring of them, of the whole process as the log itself is. Promises that it is bounded, in
//! number and in length. What it shows is what the log shows: nothing secret.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::sync::Mutex;
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::cut::beginning;
use crate::sync::lock;

/// How many are remembered.
const REMEMBERED: usize = 100;

/// How many bytes of what one says.
const LONGEST: usize = 2000;

static RECENT: Mutex<VecDeque<LoggedEvent>> = Mutex::new(VecDeque::new());

/// A warning or an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedEvent {
    /// When it was logged.
    pub at: SystemTime,
    /// `WARN` or `ERROR`.
    pub level: &'static str,
    /// The module.
    pub target: &'static str,
    /// What happened.
    pub event: String,
    /// What else it says: `name=value`, one after the other.
    pub fields: String,
}

/// The last ones, the last one first.
pub fn recent() -> Vec<LoggedEvent> {
    lock(&RECENT).iter().rev().cloned().collect()
}

/// Puts what is logged into the ring.
#[derive(Debug)]
pub(super) struct Recorder;

impl<S: Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if *metadata.level() > Level::WARN {
            return;
        }
        let mut text = Text::default();
        event.record(&mut text);
        let logged = LoggedEvent {
            at: crate::clock::system_time(),
            level: metadata.level().as_str(),
            target: metadata.target(),
            event: text.event.text,
            fields: text.fields.text,
        };
        let mut recent = lock(&RECENT);
        if recent.len() == REMEMBERED {
            recent.pop_front();
        }
        recent.push_back(logged);
    }
}

/// What an event says.
#[derive(Default)]
struct Text {
    event: Bounded,
    fields: Bounded,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // A text that is full takes no more, which is no error.
        let _ = match field.name() {
            "message" => write!(self.event, "{value:?}"),
            name if self.fields.text.is_empty() => write!(self.fields, "{name}={value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

/// A text that takes no more than [`LONGEST`] bytes.
#[derive(Default)]
struct Bounded {
    text: String,
    is_full: bool,
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        if self.is_full {
            return Err(fmt::Error);
        }
        let fitting = beginning(more, LONGEST - self.text.len());
        self.text.push_str(fitting);
        if fitting.len() == more.len() {
            return Ok(());
        }
        self.text.push('…');
        self.is_full = true;
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// The ring is that of the process: other tests may log meanwhile.
    fn logged(text: &str) -> Option<LoggedEvent> {
        recent().into_iter().find(|logged| logged.event.contains(text))
    }

    #[test]
    fn warnings_and_errors_are_remembered_with_what_they_say() {
        let subscriber =
            tracing_subscriber::fmt().with_writer(std::io::sink).finish().with(Recorder);
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(partition = 3, reason = "<b>", "recent_logs.test_warning");
            tracing::info!("recent_logs.test_news");
            tracing::error!(long = "ä".repeat(5000), more = 1, "recent_logs.test_long");
        });
        let warning = logged("test_warning").unwrap();
        assert_eq!((warning.level, &*warning.fields), ("WARN", "partition=3 reason=\"<b>\""));
        assert_eq!(logged("test_news"), None);
        let long = logged("test_long").unwrap();
        assert!(long.fields.ends_with('…') && long.fields.len() <= LONGEST + '…'.len_utf8());
        assert_eq!(long.level, "ERROR");
    }
}
