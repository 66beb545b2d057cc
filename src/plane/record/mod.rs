//! Records: groups of quantized weights with their scales, as llama.cpp keeps them.
//!
//! A record is taken apart into streams of fields that mean the same: levels put together from their low and
//! high bits, scales of six bits, floats. Each stream of a block is a plane of its own. Every bit of a record
//! is in exactly one field, so any bytes of the right length come back.
//!
//! Files, each importing only those before it: `layout` has the types that records are described by, `columns`
//! the records whose fields are whole bytes, `packed` those that put them together from bits, `layouts` all
//! of them, `packing` how wide their fields are, `peaks` what groups of levels are without their farthest one,
//! `form` a layout with or without that.

mod columns;
mod form;
mod layout;
mod layouts;
mod packed;
mod packing;
mod peaks;
#[cfg(test)]
mod tests;

pub use form::{LevelGroups, RecordForm};
pub use layout::{Meaning, Stream};
pub use layouts::RecordLayout;
pub use packing::Packing;
