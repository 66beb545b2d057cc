//! Entropy coding of ids with interleaved rANS (range asymmetric numeral systems, J. Duda,
//! arXiv:1311.2540) and static frequency tables.
//!
//! `LANES` coders run side by side: element `i` belongs to lane `i % LANES`, and elements
//! `g * LANES .. (g + 1) * LANES` are group `g`. A state lies in `2^16 .. 2^32`. Decoding one
//! element:
//!
//! ```text
//! slot  = state % 4096
//! id    = the id that owns the slot, with its frequency f and the slot's rank
//! state = f * (state / 4096) + rank
//! if state < 2^16: state = state * 2^16 + next word of 16 bits
//! ```
//!
//! Words are taken in the order of the lanes, group by group. Where the encoder started, which is
//! where the decoder ends, a state is `2^16` plus any 16 bits: these carry the last raw bytes of the
//! plane, so that many lanes cost next to nothing.
//!
//! Knows nothing of what ids mean.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod body;
mod carried;
mod choose;
mod classes;
mod counts;
mod decode;
mod each;
mod each_steps;
mod encode;
#[cfg(target_arch = "x86_64")]
mod encode_avx512;
mod encode_groups;
mod flags;
#[cfg(target_arch = "x86_64")]
mod flags_avx2;
#[cfg(target_arch = "x86_64")]
mod flags_avx512;
pub(in crate::codec) mod frequencies;
mod kernel;
mod lanes;
mod layout;
mod portable;
mod slot_table;
mod step_table;
#[cfg(test)]
mod tests;

pub(super) use body::{Body, LastRaw, PIECE, Pieces};
pub(super) use carried::{CARRIED_BYTES, Carried, payload, put_states, starting_with};
pub(super) use choose::{Alike, tables};
pub(super) use decode::Decoder;
pub(super) use each::{EachEncoder, EachTables};
pub(super) use encode::Encoder;
pub(super) use flags::FlagTables;
pub(super) use lanes::{Course, FLAG_WORDS, LANES, States, TABLES};
pub(super) use layout::coded_bits;
