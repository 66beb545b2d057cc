//! What every plane coded by ANS ends in: the states of the lanes, words, and raw bits; and the way through it. Ids are
//! decoded and joined with their raw bits in pieces, so that what belongs to a piece stays in the first cache.

use std::ops::Range;

use super::carried::{CARRIED_BYTES, Carried, carried_bytes, take_states};
use super::lanes::{Course, States};
use crate::codec::parts::PartReader;
use crate::codec::symbol::{Raw, Split};
use crate::error::{Error, Result};
use crate::simd::prefetch;

/// Elements of a piece. The last one is longer: it holds all elements with a raw bit that the states carry.
pub(in crate::codec) const PIECE: usize = 8192;

/// States, words and raw bits of a plane, taken apart.
pub(in crate::codec) struct Body<'a> {
    split: Split,
    count: usize,
    states: States,
    words: &'a [u8],
    /// From the words on to the end: kernels may look beyond what they take.
    from_words: &'a [u8],
    /// What is stored of them; the states carry the rest.
    raw: Raw<'a>,
    carried: Carried,
}

/// What a codec does with each piece of a plane.
pub(in crate::codec) trait Pieces {
    /// Decodes the ids of some elements.
    ///
    /// # Errors
    /// `Corrupt` if the plane is malformed.
    fn decode_ids(&mut self, elements: Range<usize>, course: &mut Course<'_>) -> Result<()>;

    /// Joins the ids that were decoded last with their raw bits.
    fn join(&mut self, elements: Range<usize>, raw: Raw<'_>);
}

/// Buffers for the raw bits of the last piece.
#[derive(Debug, Default)]
pub(in crate::codec) struct LastRaw {
    low: Vec<u8>,
    packed: Vec<u8>,
}

impl<'a> Body<'a> {
    /// Takes the body of a plane of `count` elements with so many bytes of words.
    ///
    /// # Errors
    /// `Corrupt` if there is none.
    pub fn take(
        parts: &mut PartReader<'a>,
        split: Split,
        count: usize,
        words_len: usize,
    ) -> Result<Self> {
        if !words_len.is_multiple_of(2) {
            return Err(Error::corrupt("a coded plane has half a word"));
        }
        let carried = Carried::new(split, count);
        let states = take_states(parts)?;
        let from_words = parts.rest();
        let words = parts.take(words_len)?;
        let low = parts.take(split.low_bytes(count) - carried.low)?;
        let packed = parts.take(split.packed_bytes(count) - carried.packed)?;
        Ok(Self {
            split,
            count,
            states,
            words,
            from_words,
            raw: Raw { low, packed },
            carried,
        })
    }

    /// How its fields are cut.
    pub const fn split(&self) -> Split {
        self.split
    }

    /// Goes through all pieces. The states carry nothing but raw bits.
    ///
    /// # Errors
    /// `Corrupt` if the plane is malformed.
    pub fn decode(&self, last: &mut LastRaw, pieces: &mut impl Pieces) -> Result<()> {
        if self.decode_carrying(last, pieces)? == [0; CARRIED_BYTES] {
            Ok(())
        } else {
            Err(Error::corrupt("a coded plane ends in the wrong state"))
        }
    }

    /// The same, where states that carry no raw bits may carry something else, which is returned.
    ///
    /// # Errors
    /// `Corrupt` if the plane is malformed.
    pub fn decode_carrying(
        &self,
        last: &mut LastRaw,
        pieces: &mut impl Pieces,
    ) -> Result<[u8; CARRIED_BYTES]> {
        let mut course = self.course();
        let mut done = 0;
        while self.count - done >= 2 * PIECE {
            let raw = self.raw.skip(self.split, done);
            self.prefetch(raw, course.at);
            pieces.decode_ids(done..done + PIECE, &mut course)?;
            pieces.join(done..done + PIECE, raw);
            done += PIECE;
        }
        pieces.decode_ids(done..self.count, &mut course)?;
        let carried = self.finish(&course)?;
        let raw = self.raw.skip(self.split, done);
        let (raw, left) = last.complete(raw, self.carried, carried);
        pieces.join(done..self.count, raw);
        Ok(left)
    }

    /// The start of the way.
    pub const fn course(&self) -> Course<'a> {
        Course {
            states: self.states,
            words: self.from_words,
            at: 0,
        }
    }

    /// What the states carry where the way has ended.
    ///
    /// # Errors
    /// `Corrupt` if that is not where the words end, or no state to start from.
    pub fn finish(&self, course: &Course<'_>) -> Result<[u8; CARRIED_BYTES]> {
        if course.at != self.words.len() {
            return Err(Error::corrupt("a coded plane has the wrong length"));
        }
        carried_bytes(&course.states)
    }

    /// Asks for what the next piece needs: the raw bits at the start of `raw`, and words from `at` on, about one byte
    /// an element.
    fn prefetch(&self, raw: Raw<'_>, at: usize) {
        raw.prefetch(self.split, PIECE);
        // A forged plane may take more words than it has, which is found at its end.
        let ahead = self.words.get(at..).unwrap_or_default();
        prefetch(&ahead[..ahead.len().min(PIECE)]);
    }
}

impl LastRaw {
    /// The raw bits of the last elements, of what is stored and what the states carried; and what they carried
    /// besides.
    fn complete(
        &mut self,
        stored: Raw<'_>,
        carried: Carried,
        bytes: [u8; CARRIED_BYTES],
    ) -> (Raw<'_>, [u8; CARRIED_BYTES]) {
        self.low.clear();
        self.low.extend_from_slice(stored.low);
        self.packed.clear();
        self.packed.extend_from_slice(stored.packed);
        let mut left = [0; CARRIED_BYTES];
        if carried.low > 0 {
            self.low.extend(bytes);
        } else if carried.packed > 0 {
            self.packed.extend(bytes);
        } else {
            left = bytes;
        }
        let raw = Raw {
            low: &self.low,
            packed: &self.packed,
        };
        (raw, left)
    }
}
