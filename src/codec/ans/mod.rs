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
mod carried;
mod choose;
mod each;
mod encode;
#[cfg(target_arch = "x86_64")]
mod encode_avx512;
mod kernel;
mod piece;
mod plane;
mod portable;
pub(in crate::codec) mod table;

#[cfg(test)]
mod tests;

pub(in crate::codec) use carried::{Carried, complete_raw, put_states, take_states};
pub(in crate::codec) use choose::tables;
pub(in crate::codec) use each::{EachEncoder, EachTables};
pub(in crate::codec) use piece::{PIECE, prefetch_piece};
pub(in crate::codec) use plane::{Decoder, Encoder, coded_bits};

/// Coders side by side: enough that the latency of one step is hidden by the others' on every
/// processor measured; 64 are a fourth slower with AVX-512.
pub(in crate::codec) const LANES: usize = 128;
/// A state is never below this between two steps.
const STATE_MIN: u32 = 1 << 16;
/// Most bytes of words that a group takes.
const GROUP_WORD_BYTES: usize = 2 * LANES;

/// The states of all lanes.
pub(in crate::codec) type States = [u32; LANES];
