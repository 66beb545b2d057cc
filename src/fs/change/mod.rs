//! What changes what a mount shows.
//!
//! Files as they are behave as they do below. Files of archives are files too: their names, owners, modes and times are
//! changed where they are, and whoever writes to one gets it back as a file first.
//!
//! Invariant: at every moment each name that is shown has one form below, whole and durable; who looks sees one of both,
//! never both nor neither. What a killed mount has left half done, or what the system would neither do nor take back, is
//! finished, or taken back, by the next one.

mod attributes;
mod begun;
mod contents;
mod forms;
mod make;
mod packing;
mod pins;
mod remove;
mod rename;
mod to_file;

pub use attributes::{NewAttr, NewTime};
pub use contents::Access;
pub use make::New;
pub use packing::{LEAST_PACKED_BYTES, Packed, Packing, starts_as_model};
