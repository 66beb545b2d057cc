//! What a mount has of a source that it writes to: the right to, held alone; places for what is being made; records of what
//! is being changed. Knows nothing of what is shown.

mod changes;
mod journal;
mod lock;
mod own;
mod work;

pub(super) use changes::Changes;
pub(super) use journal::{PathBytes, Record, forget, forget_when_durable, note};
pub(super) use work::Work;
