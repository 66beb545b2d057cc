//! Whether there is anything to change, and how that begins.

use crate::error::Result;
use crate::fs::errno::errno;
use crate::fs::model_tree::ModelTree;
use crate::fs::place::{ArchivePlace, Place};
use crate::fs::writing::Changes;

impl ModelTree {
    /// # Errors
    /// EROFS if the mount is not written to.
    pub(super) fn changes(&self) -> Result<&Changes> {
        let changes = self.changes.as_ref();
        changes.ok_or_else(|| errno("the mount is read-only", libc::EROFS))
    }

    /// Has `end` be called when the mount ends, before another one may write to the source.
    pub fn before_end(&self, end: Box<dyn Fn() + Send + Sync>) {
        if let Some(changes) = &self.changes {
            // Only the first one is called.
            let _ = changes.before_end.set(end);
        }
    }

    /// Leaves nothing of the mount in the source but what it has changed. To be said when it is unmounted.
    pub fn end_changes(&self) {
        if let Some(changes) = &self.changes {
            if let Some(end) = changes.before_end.get() {
                end();
            }
            changes.work.end(&self.source);
        }
    }
}

/// # Errors
/// EROFS for what is shown in the place of a link, and lies where the mount changes nothing.
pub(super) fn check_inside(at: &ArchivePlace) -> Result<()> {
    match &at.place {
        Place::Inside(_) if !at.by_link => Ok(()),
        _ => Err(errno("the archive lies outside of the source", libc::EROFS)),
    }
}
