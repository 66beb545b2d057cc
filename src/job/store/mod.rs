//! Jobs on directories of archives that rest on one another.

mod dedup;
mod gc;
mod relations;
mod repack;

pub use dedup::{Dedup, DedupOptions, dedup};
pub use gc::{Collected, gc};
pub use relations::{Pin, Relation, Relations, Rest, relations};
pub use repack::{detach, export};
