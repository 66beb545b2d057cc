//! A search for an inode that has seen all there is, noted it, and did not find it.

use std::time::{Duration, Instant};

/// It is believed for so long, and for as long as it took: who asks for what does not exist keeps no more
/// than half a processor busy.
const BELIEVED: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct InVain {
    ended: Instant,
    took: Duration,
}

impl InVain {
    /// One that ends now.
    pub(super) fn since(started: Instant) -> Self {
        Self {
            ended: Instant::now(),
            took: started.elapsed(),
        }
    }

    pub(super) fn is_believed(&self) -> bool {
        self.ended.elapsed() < self.took.max(BELIEVED)
    }
}
