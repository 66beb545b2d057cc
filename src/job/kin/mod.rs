//! What of a file rests on what: the bases it is packed against, kept so that nobody loses them.

mod base_file;
mod family;
mod likeness;
mod matching;
mod pins;
mod plan;

pub(super) use base_file::BaseFile;
pub(super) use family::Family;
pub use family::{BaseAsked, OpenedBases};
pub(super) use pins::{hold_pins, hold_pins_alone, pin};
pub(super) use plan::{KinPlan, Place};
