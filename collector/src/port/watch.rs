//! Files that are read again when they change. What is bad is said once, and what was good stays in use.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::time::{MissedTickBehavior, interval};

pub(crate) struct Watched {
    files: Vec<PathBuf>,
    reload: Box<dyn Fn() -> Result<(), String> + Send>,
    seen: Vec<Option<Stamp>>,
}

/// What changes when a file does: its time and length, or the file itself.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

impl Watched {
    pub(crate) fn new(files: Vec<PathBuf>, reload: impl Fn() -> Result<(), String> + Send + 'static) -> Self {
        let seen = stamps(&files);
        Self { files, reload: Box::new(reload), seen }
    }

    fn look(&mut self) {
        let now = stamps(&self.files);
        if now == self.seen {
            return;
        }
        self.seen = now;
        match (self.reload)() {
            Ok(()) => tracing::info!(files = ?self.files, "read again, and in use"),
            Err(reason) => {
                tracing::error!(reason, "changed, and cannot be used; what was there before stays in use");
            }
        }
    }
}

/// For ever.
pub(crate) async fn watch(mut watched: Vec<Watched>) {
    if watched.is_empty() {
        return std::future::pending().await;
    }
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        watched.iter_mut().for_each(Watched::look);
    }
}

/// `None` for a file that is not there.
fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    files.iter().map(|file| stamp(file)).collect()
}

fn stamp(file: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(file).ok()?;
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
    #[cfg(not(unix))]
    let inode = 0;
    Some(Stamp { modified: metadata.modified().ok(), bytes: metadata.len(), inode })
}

const EVERY: Duration = Duration::from_secs(2);
