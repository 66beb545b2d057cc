//! What a mount has that is written to.

use std::path::Path;
use std::sync::{Mutex, OnceLock};

use super::journal::recover;
use super::work::Work;
use crate::error::Result;
use crate::fs::source::Source;

/// Is told of each file that nobody writes any more.
type Tell = Box<dyn Fn(&Path) + Send + Sync>;

/// Ends work on the source.
type End = Box<dyn Fn() + Send + Sync>;

/// What a mount has that is written to.
pub(in crate::fs) struct Changes {
    pub(in crate::fs) work: Work,
    /// Held while a file gets another form: one at a time, which none waits for but who needs another one to.
    pub(in crate::fs) converting: Mutex<()>,
    pub(in crate::fs) tell: OnceLock<Tell>,
    pub(in crate::fs) before_end: OnceLock<End>,
}

impl Changes {
    /// Takes hold of a source, and settles what a mount of before was killed in the midst of.
    ///
    /// # Errors
    /// `Environment` if another mount writes to it, `Io` if it cannot be written.
    pub(in crate::fs) fn begin(source: &Source) -> Result<Self> {
        // What is made has the mode that its maker asks for.
        rustix::process::umask(rustix::fs::Mode::empty());
        let work = Work::begin(source)?;
        // What is not settled may lie there still.
        if recover(source) {
            work.remove_left(source);
        }
        Ok(Self {
            work,
            converting: Mutex::default(),
            tell: OnceLock::new(),
            before_end: OnceLock::new(),
        })
    }
}
