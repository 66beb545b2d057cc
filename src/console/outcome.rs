//! How a command ends.

/// What a command ends with, short of an error.
pub(crate) enum Outcome {
    Done,
    DamageFound,
}
