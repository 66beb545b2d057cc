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
use crate::codec::ans::{Body, Course, EachTables, LANES, LastRaw, Pieces};
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
    step_bits: u8,
    rice_bits: u8,
    escape_bits: u8,
    middle: i16,
    means: Option<MeanCodes>,
    segments: &'a [u8],
    rows: &'a [u8],
    body: Body<'a>,
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
        {
            return Err(malformed());
        }
        let segments = parts.take(usize::from(segments) * SEGMENT_BYTES)?;
        let rows = parts.take(long(12))?;
        let body = Body::take(&mut parts, split, count, long(16))?;
        let escapes = parts.take(long(20))?;
        let escape_words = parts.take(long(24).saturating_mul(2))?;
        parts.finish()?;
        Ok(Self {
            step_bits,
            rice_bits,
            escape_bits,
            middle: i16::from_le_bytes([e, f]),
            means,
            segments,
            rows,
            body,
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
    last: LastRaw,
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
        let mut last = std::mem::take(&mut self.last);
        let mut pieces = PlanePieces {
            decoder: self,
            coded: &coded,
            simd,
            escape_ids: BitReader::new(coded.escapes),
            escape_words: coded.escape_words.as_chunks::<2>().0.iter(),
            fields,
        };
        let decoded = coded.body.decode(&mut last, &mut pieces);
        let (ids, words) = (pieces.escape_ids, pieces.escape_words);
        self.last = last;
        decoded?;
        if ids.taken_bytes() != coded.escapes.len() || words.len() > 0 {
            return Err(malformed());
        }
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
                    (coded.body.split().base, coded.body.split().raw_bits),
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
}

/// A plane that is being decoded: ids, escapes resolved, come to the start of the decoder's buffer.
struct PlanePieces<'d, 'c> {
    decoder: &'d mut Decoder,
    coded: &'d Payload<'c>,
    simd: Simd,
    /// Escapes that were not met yet.
    escape_ids: BitReader<'c>,
    escape_words: std::slice::Iter<'c, [u8; 2]>,
    fields: &'d mut [u8],
}

impl Pieces for PlanePieces<'_, '_> {
    fn decode_ids(&mut self, elements: Range<usize>, course: &mut Course<'_>) -> Result<()> {
        let decoder = &mut *self.decoder;
        let (done, len) = (elements.start, elements.len());
        let (choice, ids) = (&decoder.choice, &mut decoder.ids);
        decoder
            .tables
            .decode_some(self.simd, choice, &elements, course, ids)?;
        // As many as there are ids.
        decoder.no_ids.resize(decoder.ids.len(), 0);
        decoder.whole.clear();
        for (first, ids) in decoder.ids[..len].chunks_mut(32).enumerate() {
            // Escapes are rare: most chunks are done with one comparison.
            if !ids.contains(&0) {
                continue;
            }
            for (i, id) in ids.iter_mut().enumerate().filter(|(_, id)| **id == 0) {
                let table = decoder.choice[done + 32 * first + i];
                *id = take_rice(&mut self.escape_ids, self.coded.escape_bits)
                    .and_then(|code| escaped_id(code, decoder.lowest[usize::from(table)]))
                    .ok_or_else(malformed)?;
                if *id & SYMBOL_MASK == 0 {
                    let symbol = self.escape_words.next().ok_or_else(malformed)?;
                    let whole = (32 * first + i, u16::from_le_bytes(*symbol));
                    decoder.whole.push(whole);
                }
            }
        }
        Ok(())
    }

    fn join(&mut self, elements: Range<usize>, raw: Raw<'_>) {
        let (decoder, split) = (&*self.decoder, self.coded.body.split());
        let len = elements.len();
        let fields = &mut self.fields[2 * elements.start..2 * elements.end];
        // Raw bits by themselves, as id 0 is symbol 0; then symbols and signs above them.
        join(split, self.simd, &decoder.no_ids[..len], raw, fields);
        let raw_bits = split.raw_bits;
        let fields = fields.as_chunks_mut::<2>().0;
        let places = decoder.ids[..len].iter().zip(&decoder.bases[elements]);
        for (field, (&id, &base)) in fields.iter_mut().zip(places) {
            let symbol = base.wrapping_add(u16::from(id & SYMBOL_MASK) << raw_bits);
            // A symbol too large for its bits would reach the sign.
            let bits = symbol & !SIGN | (base ^ u16::from(id) << 8) & SIGN;
            *field = (u16::from_le_bytes(*field) | bits).to_le_bytes();
        }
        for &(place, symbol) in &decoder.whole {
            let field = u16::from_le_bytes(fields[place]);
            let kept = field & (SIGN | ((1 << raw_bits) - 1));
            fields[place] = (kept | (symbol << raw_bits) & !SIGN).to_le_bytes();
        }
    }
}
