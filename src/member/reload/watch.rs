//! The directories that the policy file is in, watched with inotify(7).
//!
//! Directories, because a file that is replaced is another file: an editor renames a new one over
//! it, and a Kubernetes ConfigMap swaps the symbolic link `..data` beside it. Where the file is a
//! link, the directory of what it leads to is watched, too.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::net::unix::pipe;
use tracing::warn;

/// What makes a look at the file worth it. Writing is not among it, the end of writing is.
const EVENTS: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::ATTRIB);

/// Room for the events of one read; they are not looked at.
const BUFFER: usize = 4096;

/// The watched directories; none if the system has no watches left, or cannot watch them.
pub(super) struct Watch {
    /// Read like a pipe: what comes out of it is events.
    events: Option<pipe::Receiver>,
    watched: Vec<i32>,
}

impl Watch {
    pub(super) fn new() -> Self {
        let events = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC);
        let events = events.map_err(io::Error::from);
        let events = events.and_then(pipe::Receiver::from_owned_fd_unchecked);
        let events = events.inspect_err(|error| {
            warn!(%error, "policies.watch_unavailable: changes are noticed at the next poll");
        });
        Self { events: events.ok(), watched: Vec::new() }
    }

    /// Watches the directories that `file` is in now, and no others.
    pub(super) fn arm(&mut self, file: &Path) {
        let Some(events) = &self.events else { return };
        let watch = |directory: PathBuf| inotify::add_watch(events, directory, EVENTS).ok();
        let watched: Vec<i32> = directories(file).into_iter().filter_map(watch).collect();
        for old in self.watched.iter().filter(|old| !watched.contains(old)) {
            // It goes by itself with its directory.
            let _ = inotify::remove_watch(events, *old);
        }
        self.watched = watched;
    }

    /// Something happened in one of the directories. May be dropped at any time.
    pub(super) async fn event(&mut self) {
        let Some(events) = &self.events else { return std::future::pending().await };
        let mut buffer = [0; BUFFER];
        let mut happened = false;
        while !happened {
            if events.readable().await.is_err() {
                return std::future::pending().await;
            }
            while events.try_read(&mut buffer).is_ok_and(|read| read > 0) {
                happened = true;
            }
        }
    }
}

fn directories(file: &Path) -> Vec<PathBuf> {
    let parent = |file: &Path| match file.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let target = fs::canonicalize(file).ok();
    std::iter::once(parent(file)).chain(target.as_deref().map(parent)).collect()
}
