//! What encoders, decoders and all kernels agree on: how many coders run side by side.

/// Coders side by side: enough that the latency of one step is hidden by the others' on every
/// processor measured; 64 are a fourth slower with AVX-512.
pub(in crate::codec) const LANES: usize = 128;
/// Flags are bits in words: so many words are those of a group.
pub(in crate::codec) const FLAG_WORDS: usize = LANES / 64;
/// A state is never below this between two steps.
pub(super) const STATE_MIN: u32 = 1 << 16;
/// Most bytes of words that a group takes.
pub(super) const GROUP_WORD_BYTES: usize = 2 * LANES;

/// The states of all lanes.
pub(in crate::codec) type States = [u32; LANES];

/// Tables that elements choose from where each has a table of its own.
pub(in crate::codec) const TABLES: usize = 64;

/// Where decoding a plane is: the states, and how many bytes of the words were taken.
pub(in crate::codec) struct Course<'a> {
    pub states: States,
    pub words: &'a [u8],
    pub at: usize,
}
