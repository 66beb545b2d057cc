//! How a command ends.

use crate::error::Error;

/// What a command ends with, short of an error.
pub(crate) enum Outcome {
    Done,
    DamageFound,
    /// `doctor` found what keeps one from mounting, or `family` that a base is missing.
    Hindered,
    /// Some of it could not be done, and the reasons were told. The rest is done.
    SomeFailed,
}

impl Outcome {
    /// How a command ends that went on after failures.
    pub(crate) const fn after(failures: &[Error]) -> Self {
        if failures.is_empty() {
            Self::Done
        } else {
            Self::SomeFailed
        }
    }
}
