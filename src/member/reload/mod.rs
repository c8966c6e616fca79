//! The policy file while the process runs: noticed when it changes, put in force when it is good.
//!
//! One task owns reloading, whatever asks for it: a look at the contents every second, SIGHUP, and the
//! admin pages. Contents are looked at, and nothing is watched: a link somewhere on the way to the file
//! may be swapped, and network file systems tell nothing. Promises that a file is read and checked whole before anything changes, that a bad one changes
//! nothing and is told of once, with all its errors, and that [`ReloadStatus`] says what is in force
//! and since when. Leaves the change of open traces to the workers.

mod attempt;
mod metrics;
mod status;
mod task;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch as published};
use tokio_util::sync::CancellationToken;

use crate::config::{PolicyFile, Surroundings};
use crate::member::worker::PolicyWatch;
use crate::telemetry::service_manager::ServiceManager;

pub use attempt::{active_policies, policies};
pub use status::{Changed, Listed, ReloadStatus};

/// How many requests may wait. They are answered one by one, and people ask more slowly.
const REQUESTS: usize = 16;

/// What the reloader has to know.
#[derive(Clone, Debug)]
pub struct ReloadSettings {
    /// The policy file.
    pub path: PathBuf,
    /// The processor to read, and the exporters that there are.
    pub surroundings: Surroundings,
    /// How often the contents are looked at.
    pub poll_interval: Duration,
    /// Told of a reload by SIGHUP, which it sends.
    pub service_manager: ServiceManager,
}

/// Why the file is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// It was time.
    Poll,
    /// SIGHUP.
    Signal,
    /// Somebody asked on the admin pages.
    Request,
}

impl Trigger {
    /// Its name in logs and pages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Signal => "SIGHUP",
            Self::Request => "request",
        }
    }

    /// True if no person asked, so that a file without changes is no news.
    fn is_automatic(self) -> bool {
        self == Self::Poll
    }
}

/// What came of a look at the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Its policies are in force now.
    Reloaded(Changed),
    /// They were in force already.
    Unchanged,
    /// It is bad, and changed nothing: every error in it.
    Refused(String),
}

/// What the task is asked for.
#[derive(Debug)]
enum Message {
    /// To look at the file now, whether it changed or not.
    Reload { reply: oneshot::Sender<Answer> },
}

/// The reloader, seen from outside. Clones are handles of the same one.
#[derive(Clone, Debug)]
pub struct Reloader {
    messages: mpsc::Sender<Message>,
    status: published::Receiver<Arc<ReloadStatus>>,
}

impl Reloader {
    /// Starts looking after the file that `loaded` was read from; ends with `stop`. To be called
    /// inside a runtime.
    ///
    /// # Errors
    /// When the system refuses a signal handler.
    pub fn start(
        settings: ReloadSettings,
        loaded: &PolicyFile,
        policies: Arc<PolicyWatch>,
        stop: CancellationToken,
    ) -> io::Result<Self> {
        let (messages, requests) = mpsc::channel(REQUESTS);
        let first = ReloadStatus::at_start(&settings.path, &policies.get());
        let (publish, status) = published::channel(Arc::new(first));
        let task = task::Task::new(settings, loaded, policies, publish)?;
        tokio::spawn(task.run(requests, stop));
        Ok(Self { messages, status })
    }

    /// Looks at the file now. `None` if the process is about to end.
    pub async fn reload(&self) -> Option<Answer> {
        let (reply, answer) = oneshot::channel();
        self.messages.send(Message::Reload { reply }).await.ok()?;
        answer.await.ok()
    }

    /// What is in force, and what the last look at the file came to.
    pub fn status(&self) -> Arc<ReloadStatus> {
        Arc::clone(&self.status.borrow())
    }
}

#[cfg(test)]
mod tests;
