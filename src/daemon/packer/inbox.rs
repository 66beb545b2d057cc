//! Between those who write files and the thread that packs them.

use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

use crate::sync::lock;

/// What the thread is to know.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    told: Mutex<Told>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct Told {
    paths: Vec<PathBuf>,
    is_ending: bool,
}

/// What has come.
pub(super) enum News {
    /// These files were written.
    Written(Vec<PathBuf>),
    /// The thread is to end.
    End,
}

impl Inbox {
    /// A file was written.
    pub(super) fn tell(&self, path: &Path) {
        let mut told = lock(&self.told);
        // Told again before anybody looked.
        if told.paths.last().is_none_or(|last| last != path) {
            told.paths.push(path.to_path_buf());
        }
        drop(told);
        self.news.notify_one();
    }

    /// The thread is to end.
    pub(super) fn end(&self) {
        lock(&self.told).is_ending = true;
        self.news.notify_one();
    }

    /// Waits for news, but no longer than to `limit`, if there is one.
    pub(super) fn wait(&self, limit: Option<Instant>) -> News {
        let mut told = lock(&self.told);
        while !told.is_ending && told.paths.is_empty() {
            told = match limit {
                None => self.news.wait(told).unwrap_or_else(PoisonError::into_inner),
                Some(limit) => {
                    let left = limit.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    let waited = self.news.wait_timeout(told, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        if told.is_ending {
            return News::End;
        }
        News::Written(std::mem::take(&mut told.paths))
    }
}
