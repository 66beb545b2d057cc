//! Planes are decoded and joined in pieces, so that what belongs to a piece stays in the first cache.

use crate::codec::symbol::{Raw, Split};
use crate::simd::prefetch;

/// Elements of a piece.
pub(in crate::codec) const PIECE: usize = 8192;

/// Asks for what the next piece needs: the raw bits at the start of `raw`, and words from `at` on,
/// about one byte an element.
pub(in crate::codec) fn prefetch_piece(split: Split, raw: Raw<'_>, words: &[u8], at: usize) {
    raw.prefetch(split, PIECE);
    // A forged plane may take more words than it has, which is found at its end.
    let ahead = words.get(at..).unwrap_or_default();
    prefetch(&ahead[..ahead.len().min(PIECE)]);
}
