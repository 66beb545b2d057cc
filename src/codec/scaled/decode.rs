//! Decoding planes with the profiles of their archive. What is stored is described in `layout`.

use std::ops::Range;

use super::ids::{SYMBOL_MASK, raw_bits, tables};
use super::kept::KeptColumns;
use super::layout::{HEADER_BYTES, escaped_id, lowest_symbols};
use super::mean::{BINS, NONE, SIGN};
use super::mean_codes::{MeanCodes, NO_MEANS};
use super::place::{Row, fill};
use super::segment::{SEGMENT_BYTES, Segment};
use super::stored_profile::take_tables;
use crate::codec::ans::{
    Carried, EachTables, LANES, PIECE, States, complete_raw, prefetch_piece, take_states,
};
use crate::codec::parts::PartReader;
use crate::codec::plane::Coded;
use crate::codec::rice::{scale, take_rice};
use crate::codec::symbol::{Raw, Split, join};
use crate::error::{Error, Result};
use crate::format::Profiles;
use crate::plane::BitReader;
use crate::simd::Simd;

/// A coded plane, taken apart.
struct Payload<'a> {
    split: Split,
    step_bits: u8,
    rice_bits: u8,
    escape_bits: u8,
    middle: i16,
    means: Option<MeanCodes>,
    segments: &'a [u8],
    rows: &'a [u8],
    states: States,
    words: &'a [u8],
    /// From the words on to the end: kernels may look beyond what they take.
    from_words: &'a [u8],
    raw: Raw<'a>,
    escapes: &'a [u8],
    escape_words: &'a [u8],
}

impl<'a> Payload<'a> {
    fn parse(coded: &'a [u8], count: usize) -> Result<Self> {
        let mut parts = PartReader::new(coded);
        let header = parts.take_array::<HEADER_BYTES>()?;
        let [
            a,
            b,
            c,
            d,
            step_bits,
            rice_bits,
            segments,
            e,
            f,
            escape_bits,
            means_bits,
            means_middle,
            ..,
        ] = *header;
        let split = Split::parse([a, b, c, d], 16)?;
        let long = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
                as usize
        };
        let means = match [means_bits, means_middle] {
            [NO_MEANS, 0] => None,
            means => Some(MeanCodes::parse(means).ok_or_else(malformed)?),
        };
        // What is joined relies on where the sign and the symbol are.
        if split.rotate != 0
            || ![5, 8].map(raw_bits).contains(&split.raw_bits)
            || step_bits > 8
            || rice_bits > 15
            || escape_bits > 15
            || segments == 0
            || long(16) % 2 != 0
        {
            return Err(malformed());
        }
        let carried = Carried::new(split, count);
        let segments = parts.take(usize::from(segments) * SEGMENT_BYTES)?;
        let rows = parts.take(long(12))?;
        let states = take_states(&mut parts)?;
        let from_words = parts.rest();
        let words = parts.take(long(16))?;
        let low = parts.take(split.low_bytes(count) - carried.low)?;
        let packed = parts.take(split.packed_bytes(count) - carried.packed)?;
        let escapes = parts.take(long(20))?;
        let escape_words = parts.take(long(24).saturating_mul(2))?;
        parts.finish()?;
        Ok(Self {
            split,
            step_bits,
            rice_bits,
            escape_bits,
            middle: i16::from_le_bytes([e, f]),
            means,
            segments,
            rows,
            states,
            words,
            from_words,
            raw: Raw { low, packed },
            escapes,
            escape_words,
        })
    }
}

fn malformed() -> Error {
    Error::corrupt("a plane coded with scales is malformed")
}

/// Decodes planes; holds tables and buffers between calls.
#[derive(Default)]
pub(in crate::codec) struct Decoder {
    tables: EachTables,
    tables_of: Option<u64>,
    /// For each table the symbol below which there are none with a frequency.
    lowest: Vec<u8>,
    kept: KeptColumns,
    choice: Vec<u8>,
    bases: Vec<u16>,
    ids: Vec<u8>,
    no_ids: Vec<u8>,
    low: Vec<u8>,
    packed: Vec<u8>,
    whole: Vec<(usize, u16)>,
}

impl Decoder {
    /// Keeps nothing of the profiles it has read: they may not have been what they should be.
    pub fn forget_profiles(&mut self) {
        self.tables_of = None;
        self.kept.forget();
    }

    /// Gives back buffers that are as long as the longest plane so far.
    pub fn give_back(&mut self) {
        (self.choice, self.bases) = (Vec::new(), Vec::new());
    }

    /// Decodes a plane of fields of 16 bits into `fields`.
    ///
    /// # Errors
    /// `Corrupt` if the coded bytes are not such a plane, or need profiles that are not there.
    pub fn decode_into(&mut self, coded: &Coded<'_>, fields: &mut [u8]) -> Result<()> {
        let count = fields.len() / 2;
        let (profiles, simd) = (coded.context.profiles, coded.simd);
        let coded = Payload::parse(coded.bytes, count)?;
        if self.tables_of != Some(profiles.id()) {
            self.tables_of = None;
            let frequencies = take_tables(profiles.tables()?)?;
            self.tables.prepare(&frequencies);
            self.lowest = lowest_symbols(&frequencies);
            self.tables_of = Some(profiles.id());
        }
        self.find_places(&coded, profiles, count)?;
        let mut states = coded.states;
        let (mut at, mut done) = (0, 0);
        let mut escapes = Escapes {
            ids: BitReader::new(coded.escapes),
            words: coded.escape_words.as_chunks::<2>().0.iter(),
        };
        // The last piece is long enough to hold all elements with a raw bit that the states carry.
        while count - done >= 2 * PIECE {
            let raw = coded.raw.skip(coded.split, done);
            prefetch_piece(coded.split, raw, coded.words, at);
            self.decode_ids(
                &coded,
                simd,
                &mut states,
                &mut at,
                done..done + PIECE,
                &mut escapes,
            )?;
            self.join(coded.split, simd, done, PIECE, raw, fields);
            done += PIECE;
        }
        let last = count - done;
        let elements = done..count;
        self.decode_ids(&coded, simd, &mut states, &mut at, elements, &mut escapes)?;
        if at != coded.words.len()
            || escapes.ids.taken_bytes() != coded.escapes.len()
            || escapes.words.len() > 0
        {
            return Err(malformed());
        }
        let (mut low, mut packed) = (
            std::mem::take(&mut self.low),
            std::mem::take(&mut self.packed),
        );
        let carried = Carried::new(coded.split, count);
        let stored = coded.raw.skip(coded.split, done);
        complete_raw(stored, carried, &states, &mut low, &mut packed)?;
        let raw = Raw {
            low: &low,
            packed: &packed,
        };
        self.join(coded.split, simd, done, last, raw, fields);
        (self.low, self.packed) = (low, packed);
        Ok(())
    }

    /// Tables and bases of all elements, and some behind them so that groups are whole.
    fn find_places(
        &mut self,
        coded: &Payload<'_>,
        profiles: Profiles<'_>,
        count: usize,
    ) -> Result<()> {
        let whole = count.next_multiple_of(LANES);
        if self.choice.len() < whole {
            self.choice.resize(whole, 0);
            self.bases.resize(whole, 0);
        }
        let mut rows = BitReader::new(coded.rows);
        let mut at = 0usize;
        for segment in Segment::all(coded.segments) {
            let elements = segment.elements as usize;
            if elements == 0 || elements > count - at {
                return Err(malformed());
            }
            let columns = self.kept.of_segment(profiles, &segment)?;
            let mut means = None;
            if columns.is_some_and(|columns| !columns.means.is_empty()) {
                if self.lowest.len() < tables(BINS) {
                    return Err(malformed());
                }
                means = Some(coded.means.ok_or_else(malformed)?);
            }
            let mut column = segment.first_column as usize;
            for len in segment.rows() {
                let code = take_rice(&mut rows, coded.rice_bits).ok_or_else(malformed)?;
                let run = at..at + len;
                let mean = match means {
                    Some(means) => means.take(&mut rows).ok_or_else(malformed)?,
                    None => NONE,
                };
                fill(
                    Row {
                        scale: scale(code, coded.middle, coded.step_bits),
                        mean,
                    },
                    columns.map(|columns| (columns, column)),
                    (coded.split.base, coded.split.raw_bits),
                    &mut self.choice[run.clone()],
                    &mut self.bases[run],
                );
                at += len;
                column = 0;
            }
        }
        if at != count || rows.taken_bytes() != coded.rows.len() {
            return Err(malformed());
        }
        self.choice[count..whole].fill(0);
        Ok(())
    }

    /// Decodes the ids of some elements to the start of `self.ids`, escapes resolved.
    fn decode_ids(
        &mut self,
        coded: &Payload<'_>,
        simd: Simd,
        states: &mut States,
        at: &mut usize,
        elements: Range<usize>,
        escapes: &mut Escapes<'_>,
    ) -> Result<()> {
        let (done, len) = (elements.start, elements.len());
        let whole = len.next_multiple_of(LANES);
        if self.ids.len() < whole {
            self.ids.resize(whole, 0);
            self.no_ids.resize(whole, 0);
        }
        self.tables.decode(
            simd,
            &self.choice[done..done + whole],
            states,
            coded.from_words,
            at,
            &mut self.ids[..whole],
        )?;
        self.whole.clear();
        for (first, ids) in self.ids[..len].chunks_mut(32).enumerate() {
            // Escapes are rare: most chunks are done with one comparison.
            if !ids.contains(&0) {
                continue;
            }
            for (i, id) in ids.iter_mut().enumerate().filter(|(_, id)| **id == 0) {
                let table = self.choice[done + 32 * first + i];
                *id = take_rice(&mut escapes.ids, coded.escape_bits)
                    .and_then(|code| escaped_id(code, self.lowest[usize::from(table)]))
                    .ok_or_else(malformed)?;
                if *id & SYMBOL_MASK == 0 {
                    let symbol = escapes.words.next().ok_or_else(malformed)?;
                    self.whole
                        .push((32 * first + i, u16::from_le_bytes(*symbol)));
                }
            }
        }
        Ok(())
    }

    /// Joins ids and raw bits of elements `done .. done + len`.
    fn join(
        &self,
        split: Split,
        simd: Simd,
        done: usize,
        len: usize,
        raw: Raw<'_>,
        fields: &mut [u8],
    ) {
        let fields = &mut fields[2 * done..2 * (done + len)];
        // Raw bits by themselves, as id 0 is symbol 0; then symbols and signs above them.
        join(split, simd, &self.no_ids[..len], raw, fields);
        let raw_bits = split.raw_bits;
        let fields = fields.as_chunks_mut::<2>().0;
        let places = self.ids[..len].iter().zip(&self.bases[done..done + len]);
        for (field, (&id, &base)) in fields.iter_mut().zip(places) {
            let symbol = base.wrapping_add(u16::from(id & SYMBOL_MASK) << raw_bits);
            // A symbol too large for its bits would reach the sign.
            let bits = symbol & !SIGN | (base ^ u16::from(id) << 8) & SIGN;
            *field = (u16::from_le_bytes(*field) | bits).to_le_bytes();
        }
        for &(place, symbol) in &self.whole {
            let field = u16::from_le_bytes(fields[place]);
            let kept = field & (SIGN | ((1 << raw_bits) - 1));
            fields[place] = (kept | (symbol << raw_bits) & !SIGN).to_le_bytes();
        }
    }
}

/// Escapes that were not met yet.
struct Escapes<'a> {
    ids: BitReader<'a>,
    words: std::slice::Iter<'a, [u8; 2]>,
}
