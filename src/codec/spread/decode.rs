//! Decoding levels with the profiles of their archive. What is stored is described in `layout`.

use std::ops::Range;

use super::layout::{
    FEW_ESCAPES, HEADER_BYTES, MAX_RAW_BITS, SCALES, carried_escapes, middle_symbol, split,
};
use super::scales::{COUNT, Prepared, Used};
use crate::codec::ans::{Body, Course, EachTables, LANES, LastRaw, Pieces};
use crate::codec::parts::PartReader;
use crate::codec::plane::Coded;
use crate::codec::rice::{scale, take_rice, unzigzag};
use crate::codec::scaled::{KeptColumns, SEGMENT_BYTES, Segment, Shape};
use crate::codec::symbol::{Raw, join};
use crate::error::{Error, Result};
use crate::format::Profiles;
use crate::plane::BitReader;
use crate::simd::Simd;

/// A coded plane, taken apart.
struct Payload<'a> {
    count: usize,
    step_bits: u8,
    rice_bits: u8,
    escape_bits: u8,
    middle: i16,
    lowest: i16,
    shape: u32,
    segments: &'a [u8],
    rows: &'a [u8],
    body: Body<'a>,
    /// Those that are stored; the states carry so many more bytes.
    escapes: &'a [u8],
    carried_escapes: usize,
}

impl<'a> Payload<'a> {
    fn parse(coded: &'a [u8], width: u8, count: usize) -> Result<Self> {
        let mut parts = PartReader::new(coded);
        let header = parts.take_array::<HEADER_BYTES>()?;
        let [
            raw_bits,
            step_bits,
            rice_bits,
            escape_bits,
            segments,
            reserved,
            a,
            b,
            c,
            d,
            ..,
        ] = *header;
        let long = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let most_raw_bits = if width == 8 { 0 } else { MAX_RAW_BITS };
        let lowest = i16::from_le_bytes([c, d]);
        if raw_bits > most_raw_bits
            || step_bits > 8
            || rice_bits > 15
            || escape_bits > 15
            || segments == 0
            || reserved != 0
            || !(*SCALES.start()..=*SCALES.end() - COUNT + 1).contains(&lowest)
        {
            return Err(malformed());
        }
        let split = split(width, raw_bits);
        let segments = parts.take(usize::from(segments) * SEGMENT_BYTES)?;
        let rows = parts.take(long(14) as usize)?;
        let body = Body::take(&mut parts, split, count, long(18) as usize)?;
        let escapes_len = long(22) as usize;
        let carried_escapes = carried_escapes(split, count, escapes_len);
        let escapes = parts.take(escapes_len - carried_escapes)?;
        parts.finish()?;
        Ok(Self {
            count,
            step_bits,
            rice_bits,
            escape_bits,
            middle: i16::from_le_bytes([a, b]),
            lowest,
            shape: long(10),
            segments,
            rows,
            body,
            escapes,
            carried_escapes,
        })
    }
}

fn malformed() -> Error {
    Error::corrupt("a plane of levels with scales is malformed")
}

/// Decodes planes; holds tables and buffers between calls.
#[derive(Default)]
pub(in crate::codec) struct Decoder {
    tables: EachTables,
    prepared: Prepared,
    kept: KeptColumns,
    choice: Vec<u8>,
    ids: Vec<u8>,
    last: LastRaw,
    /// Places of escapes.
    escaped: Vec<u32>,
}

impl Decoder {
    /// Keeps nothing of the profiles it has read: they may not have been what they should be.
    pub fn forget_profiles(&mut self) {
        self.prepared.forget();
        self.kept.forget();
    }

    /// Gives back buffers that are as long as the longest plane so far.
    pub fn give_back(&mut self) {
        self.choice = Vec::new();
    }

    /// Decodes a plane of fields of 8 or 16 bits into `fields`.
    ///
    /// # Errors
    /// `Corrupt` if the coded bytes are not such a plane, or need profiles that are not there.
    pub fn decode_into(&mut self, coded: &Coded<'_>, fields: &mut [u8]) -> Result<()> {
        let (profiles, simd) = (coded.context.profiles, coded.simd);
        let count = coded.shape.count;
        let coded = Payload::parse(coded.bytes, coded.shape.width, count)?;
        let used = self.find_places(&coded, simd, profiles, count)?;
        let shape = Shape::take(profiles.record(coded.shape)?)?;
        let tables = &mut self.tables;
        let of = (profiles.id(), coded.shape, coded.body.split().raw_bits);
        self.prepared.make(of, &shape, &used, |table, frequencies| {
            tables.prepare_one(table, frequencies);
        });
        self.escaped.clear();
        let mut last = std::mem::take(&mut self.last);
        let mut pieces = PlanePieces {
            decoder: self,
            coded: &coded,
            simd,
            fields,
        };
        let carried = coded.body.decode_carrying(&mut last, &mut pieces);
        self.last = last;
        let carried = carried?;
        if coded.carried_escapes > 0 {
            let escapes = [coded.escapes, &carried].concat();
            return self.put_escapes(&coded, &escapes, fields);
        }
        if carried.iter().any(|&byte| byte != 0) {
            return Err(malformed());
        }
        self.put_escapes(&coded, coded.escapes, fields)
    }

    /// Tables of all elements, and of some behind them so that groups are whole.
    fn find_places(
        &mut self,
        coded: &Payload<'_>,
        simd: Simd,
        profiles: Profiles<'_>,
        count: usize,
    ) -> Result<Used> {
        let whole = count.next_multiple_of(LANES);
        if self.choice.len() < whole {
            self.choice.resize(whole, 0);
        }
        let mut used = Used::new(coded.lowest);
        let mut rows = BitReader::new(coded.rows);
        let mut at = 0usize;
        for segment in Segment::all(coded.segments) {
            let elements = segment.elements as usize;
            if elements == 0 || elements > count - at {
                return Err(malformed());
            }
            let columns = self.kept.of_segment(profiles, &segment)?;
            let mut column = segment.first_column as usize;
            for len in segment.rows() {
                let code = take_rice(&mut rows, coded.rice_bits).ok_or_else(malformed)?;
                let row = scale(code, coded.middle, coded.step_bits);
                let place = columns.map(|columns| (columns, column));
                used.fill(simd, row, place, &mut self.choice[at..at + len]);
                at += len;
                column = 0;
            }
        }
        if at != count || rows.taken_bytes() != coded.rows.len() {
            return Err(malformed());
        }
        let last = self.choice[..count].last().copied().unwrap_or(0);
        self.choice[count..whole].fill(last);
        Ok(used)
    }

    /// Puts the symbols of escapes in their places.
    fn put_escapes(&self, coded: &Payload<'_>, escapes: &[u8], fields: &mut [u8]) -> Result<()> {
        let split = coded.body.split();
        let bytes = usize::from(split.width / 8);
        let middle = i32::from(middle_symbol(split.width, split.raw_bits));
        let symbols = 1i32 << (split.width - split.raw_bits);
        let mut codes = BitReader::new(escapes);
        for &place in &self.escaped {
            let code = take_rice(&mut codes, coded.escape_bits).ok_or_else(malformed)?;
            let symbol = unzigzag(code).saturating_add(middle);
            if !(0..symbols).contains(&symbol) {
                return Err(malformed());
            }
            let symbol = u16::try_from(symbol).map_err(|_| malformed())?;
            let field = &mut fields[place as usize * bytes..][..bytes];
            let raw = u16::from(field[0]) & ((1 << split.raw_bits) - 1);
            let whole = symbol << split.raw_bits | raw;
            field.copy_from_slice(&whole.to_le_bytes()[..bytes]);
        }
        if codes.taken_bytes() == escapes.len() {
            Ok(())
        } else {
            Err(malformed())
        }
    }
}

/// A plane that is being decoded: ids come to the start of the decoder's buffer.
struct PlanePieces<'d> {
    decoder: &'d mut Decoder,
    coded: &'d Payload<'d>,
    simd: Simd,
    fields: &'d mut [u8],
}

impl Pieces for PlanePieces<'_> {
    fn decode_ids(&mut self, elements: Range<usize>, course: &mut Course<'_>) -> Result<()> {
        let decoder = &mut *self.decoder;
        let (done, len) = (elements.start, elements.len());
        let (choice, ids) = (&decoder.choice, &mut decoder.ids);
        decoder
            .tables
            .decode_some(self.simd, choice, &elements, course, ids)?;
        for (first, ids) in decoder.ids[..len].chunks(32).enumerate() {
            // Escapes are rare: most chunks are done with one comparison.
            if !ids.contains(&0) {
                continue;
            }
            let places = (0u32..).zip(ids).filter(|(_, id)| **id == 0);
            let first = u32::try_from(done + 32 * first).map_err(|_| malformed())?;
            decoder.escaped.extend(places.map(|(i, _)| first + i));
        }
        if decoder.escaped.len() > self.coded.count / FEW_ESCAPES {
            return Err(malformed());
        }
        Ok(())
    }

    fn join(&mut self, elements: Range<usize>, raw: Raw<'_>) {
        let split = self.coded.body.split();
        let bytes = usize::from(split.width / 8);
        let fields = &mut self.fields[bytes * elements.start..bytes * elements.end];
        join(
            split,
            self.simd,
            &self.decoder.ids[..elements.len()],
            raw,
            fields,
        );
    }
}
