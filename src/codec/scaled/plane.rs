//! A plane coded with row and column scales: what is stored, how it is made and read.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | split; `base` is that of octave 0 |
//! | 1 | log2 of the step between row scales |
//! | 1 | Rice parameter of the row scales |
//! | 1 | number of segments, not zero |
//! | 2 | the row scale in the middle, signed |
//! | 1 | Rice parameter of the escapes |
//! | 1 | Rice parameter of the row means, or 255 if there are none |
//! | 1 | the row mean in the middle, signed, zero if there are none |
//! | 4 | length of the row scales |
//! | 4 | length of the words |
//! | 4 | length of the escapes |
//! | 4 | number of escape words |
//! | 16 each | segments: profile (or 2^32 - 1), columns, column of the first element, elements |
//! | .. | for each part of a row Rice codes as those of columns in `profile`: of its scale, and of its mean if its matrix has means; as one bit string |
//! | .. | the states of the lanes |
//! | .. | words |
//! | .. | run of low bytes |
//! | .. | bit string of the other raw bits |
//! | .. | for each escape a Rice code, as one bit string: how far its symbol lies below the one below the lowest of its table, modulo 128, and in the lowest bit the sign |
//! | 2 each | escape words |
//!
//! The states carry raw bits as in `ans`.

use std::sync::Arc;

use super::context::{Columns, Row, Segment, fill};
use super::fit::{
    distance, find_row, inverse_scales, near_id, raw_bits, row_step_bits, tables, value,
};
use super::mean::{BINS, NONE, SIGN};
use super::profile::{
    MeanCodes, Model, NO_MEANS, codes, middle, put_rice, rice_bits, rice_length, scale,
    take_columns, take_rice, take_tables,
};
use super::{SIGN_BIT, SYMBOL_MASK, base};
use crate::codec::ans::table::Frequencies;
use crate::codec::ans::{
    Carried, EachEncoder, EachTables, LANES, States, complete_raw, put_states, take_states,
};
use crate::codec::parts::PartReader;
use crate::codec::symbol::{Parts, Raw, Split, join};
use crate::error::{Error, Result};
use crate::format::Profiles;
use crate::plane::{BitReader, BitWriter};
use crate::simd::{Simd, prefetch};

const HEADER_BYTES: usize = 28;
const SEGMENT_BYTES: usize = 16;
const MAX_SEGMENTS: usize = 255;
const NO_PROFILE: u32 = u32::MAX;
/// Elements that are decoded and joined at once, so that what belongs to them stays in the first
/// caches.
const PIECE: usize = 8192;
/// Column scales that a decoder keeps.
const KEPT_COLUMNS: usize = 4;

/// Encodes planes with one model, with buffers that are used again.
pub(in crate::codec) struct Encoder {
    model: Arc<Model>,
    /// Factors that take the column scales off, and the profile they are of.
    inverse: (Option<u32>, Vec<f32>),
    ans: EachEncoder,
    parts: Parts,
    values: Vec<f32>,
    /// What is left of a row without what is expected.
    left: Vec<f32>,
    /// The plane with all signs positive.
    unsigned: Vec<u8>,
    scales: Vec<i16>,
    /// For each part of a row its mean, if its matrix has means.
    means: Vec<Option<i16>>,
    choice: Vec<u8>,
    bases: Vec<u16>,
    /// For each table the symbol below which there are none with a frequency.
    lowest: Vec<u8>,
    escapes: Vec<u32>,
    escape_words: Vec<u16>,
}

impl Encoder {
    pub fn new(model: Arc<Model>) -> Self {
        Self {
            ans: EachEncoder::new(&model.frequencies),
            lowest: lowest_symbols(&model.frequencies),
            model,
            inverse: (None, Vec::new()),
            parts: Parts::default(),
            values: Vec::new(),
            left: Vec::new(),
            unsigned: Vec::new(),
            scales: Vec::new(),
            means: Vec::new(),
            choice: Vec::new(),
            bases: Vec::new(),
            escapes: Vec::new(),
            escape_words: Vec::new(),
        }
    }

    /// Appends a plane of the highest 16 bits of floats, made up of these segments. Returns false,
    /// and appends nothing, if that cannot be.
    pub fn encode(
        &mut self,
        plane: &[u8],
        exponent_bits: u8,
        segments: &[Segment],
        out: &mut Vec<u8>,
    ) -> bool {
        let count = plane.len() / 2;
        let elements: u64 = segments.iter().map(|s| u64::from(s.elements)).sum();
        if !matches!(exponent_bits, 5 | 8)
            || !(1..=MAX_SEGMENTS).contains(&segments.len())
            || segments.iter().all(|segment| segment.profile.is_none())
            || elements != count as u64
        {
            return false;
        }
        let split = Split {
            width: 16,
            rotate: 0,
            raw_bits: raw_bits(exponent_bits),
            base: base(exponent_bits),
        };
        // For the raw bits alone: ids come from the context.
        self.unsigned.clear();
        self.unsigned.extend_from_slice(plane);
        for [_, high] in self.unsigned.as_chunks_mut().0 {
            *high &= 0x7F;
        }
        self.parts.cut(split, u8::MAX, 0, &self.unsigned);
        let step_bits = self.find_rows(plane, exponent_bits, segments, split);
        self.find_ids(plane, split);
        self.write(split, step_bits, segments, out);
        true
    }

    /// Scales and means of rows, tables and bases of all elements; returns log2 of the step between
    /// scales.
    fn find_rows(
        &mut self,
        plane: &[u8],
        exponent_bits: u8,
        segments: &[Segment],
        split: Split,
    ) -> u8 {
        let fields = plane.as_chunks::<2>().0;
        self.values.clear();
        self.values.extend(
            fields
                .iter()
                .map(|field| value(u16::from_le_bytes(*field), exponent_bits)),
        );
        let longest = segments.iter().flat_map(Segment::rows).max().unwrap_or(0);
        let step_bits = row_step_bits(longest);
        let ones = [1.0; super::PLAIN_ROW];
        self.scales.clear();
        self.means.clear();
        self.choice.resize(fields.len(), 0);
        self.bases.resize(fields.len(), 0);
        let mut at = 0;
        for segment in segments {
            let profile = segment
                .profile
                .map(|number| &self.model.profiles[number as usize]);
            if let Some(profile) = profile
                && self.inverse.0 != segment.profile
            {
                self.inverse = (segment.profile, inverse_scales(&profile.columns.scales));
            }
            let means = profile.map_or(&[][..], |profile| &profile.means);
            let mut column = segment.first_column as usize;
            for len in segment.rows() {
                let run = at..at + len;
                let inverse = match segment.profile {
                    Some(_) => &self.inverse.1[column..column + len],
                    None => &ones[..len],
                };
                let row = find_row(
                    &self.values[run.clone()],
                    inverse,
                    means.get(column..column + len).unwrap_or_default(),
                    step_bits,
                    &mut self.left,
                );
                self.scales.push(row.scale);
                self.means.push((!means.is_empty()).then_some(row.mean));
                fill(
                    row,
                    profile.map(|profile| (&profile.columns, column)),
                    (split.base, split.raw_bits),
                    &mut self.choice[run.clone()],
                    &mut self.bases[run],
                );
                at += len;
                column = 0;
            }
        }
        step_bits
    }

    fn find_ids(&mut self, plane: &[u8], split: Split) {
        self.escapes.clear();
        self.escape_words.clear();
        let fields = plane.as_chunks::<2>().0.iter();
        let places = self.choice.iter().zip(&self.bases);
        for ((field, id), (&table, &base)) in fields.zip(&mut self.parts.ids).zip(places) {
            let field = u16::from_le_bytes(*field);
            let (distance, sign) = distance(field, base, split.raw_bits);
            let near = near_id(distance, sign);
            *id = match near {
                Some(near) if self.ans.knows(table, near) => near,
                _ => {
                    let lowest = self.lowest[usize::from(table)];
                    let far = near.unwrap_or(if sign { SIGN_BIT } else { 0 });
                    self.escapes.push(escape_code(far, lowest));
                    if near.is_none() {
                        self.escape_words.push((field & !SIGN) >> split.raw_bits);
                    }
                    0
                }
            };
        }
    }

    fn write(&mut self, split: Split, step_bits: u8, segments: &[Segment], out: &mut Vec<u8>) {
        let count = self.parts.ids.len();
        let carried = Carried::new(split, count);
        let (low, packed, payload) = carried.lend(&self.parts);
        let (words, states) = self.ans.encode(&self.parts.ids, &self.choice, &payload);
        let middle = middle(&self.scales);
        let codes = codes(&self.scales, middle, step_bits);
        let bits = rice_bits(codes.clone());
        let with_means: Vec<i16> = self.means.iter().flatten().copied().collect();
        let means = MeanCodes::new(&with_means);
        let rows_len = codes
            .clone()
            .map(|code| rice_length(code, bits))
            .chain(self.means.iter().flatten().map(|&mean| means.length(mean)))
            .sum::<usize>()
            .div_ceil(8);
        let escape_bits = rice_bits(self.escapes.iter().copied());
        let escapes_len = self
            .escapes
            .iter()
            .map(|&code| rice_length(code, escape_bits))
            .sum::<usize>()
            .div_ceil(8);
        let long = |len: usize| {
            u32::try_from(len)
                .expect("invariant: bounded by the block")
                .to_le_bytes()
        };
        out.extend(split.to_bytes());
        out.extend([step_bits, bits, segments.len().to_le_bytes()[0]]);
        out.extend(middle.to_le_bytes());
        out.push(escape_bits);
        out.extend(if with_means.is_empty() {
            [NO_MEANS, 0]
        } else {
            means.to_bytes()
        });
        out.extend(long(rows_len));
        out.extend(long(words.len()));
        out.extend(long(escapes_len));
        out.extend(long(self.escape_words.len()));
        for segment in segments {
            out.extend(segment.profile.unwrap_or(NO_PROFILE).to_le_bytes());
            out.extend(segment.columns.to_le_bytes());
            out.extend(segment.first_column.to_le_bytes());
            out.extend(segment.elements.to_le_bytes());
        }
        let at = out.len();
        out.resize(at + rows_len, 0);
        let mut writer = BitWriter::new(&mut out[at..]);
        for (code, mean) in codes.zip(&self.means) {
            put_rice(code, bits, &mut writer);
            if let Some(mean) = *mean {
                means.put(mean, &mut writer);
            }
        }
        writer.finish();
        put_states(&states, out);
        out.extend(words);
        out.extend(low);
        out.extend(packed);
        let at = out.len();
        out.resize(at + escapes_len, 0);
        let mut writer = BitWriter::new(&mut out[at..]);
        for &code in &self.escapes {
            put_rice(code, escape_bits, &mut writer);
        }
        writer.finish();
        out.extend(self.escape_words.iter().flat_map(|word| word.to_le_bytes()));
    }
}

/// A coded plane, taken apart.
struct Coded<'a> {
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

impl<'a> Coded<'a> {
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

    fn segments(&self) -> impl Iterator<Item = Segment> + use<'a> {
        self.segments
            .as_chunks::<SEGMENT_BYTES>()
            .0
            .iter()
            .map(|row| {
                let field = |at: usize| {
                    u32::from_le_bytes([row[at], row[at + 1], row[at + 2], row[at + 3]])
                };
                Segment {
                    profile: Some(field(0)).filter(|&number| number != NO_PROFILE),
                    columns: field(4),
                    first_column: field(8),
                    elements: field(12),
                }
            })
    }
}

fn malformed() -> Error {
    Error::corrupt("a plane coded with scales is malformed")
}

/// Columns of a profile.
#[derive(Debug, Default)]
struct Kept {
    /// Profiles and number.
    of: Option<(u64, u32)>,
    columns: Columns,
}

/// Decodes planes; holds tables and buffers between calls.
pub(in crate::codec) struct Decoder {
    simd: Simd,
    tables: EachTables,
    tables_of: Option<u64>,
    /// For each table the symbol below which there are none with a frequency.
    lowest: Vec<u8>,
    kept: [Kept; KEPT_COLUMNS],
    next_kept: usize,
    choice: Vec<u8>,
    bases: Vec<u16>,
    ids: Vec<u8>,
    no_ids: Vec<u8>,
    low: Vec<u8>,
    packed: Vec<u8>,
    whole: Vec<(usize, u16)>,
}

impl Decoder {
    pub fn new(simd: Simd) -> Self {
        Self {
            simd,
            tables: EachTables::default(),
            tables_of: None,
            lowest: Vec::new(),
            kept: Default::default(),
            next_kept: 0,
            choice: Vec::new(),
            bases: Vec::new(),
            ids: Vec::new(),
            no_ids: Vec::new(),
            low: Vec::new(),
            packed: Vec::new(),
            whole: Vec::new(),
        }
    }

    /// Decodes a plane of fields of 16 bits into `fields`.
    ///
    /// # Errors
    /// `Corrupt` if the coded bytes are not such a plane, or need profiles that are not there.
    pub fn decode_into(
        &mut self,
        coded: &[u8],
        profiles: Profiles<'_>,
        fields: &mut [u8],
    ) -> Result<()> {
        let count = fields.len() / 2;
        let coded = Coded::parse(coded, count)?;
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
            raw.prefetch(coded.split, PIECE);
            prefetch(&coded.words[at..coded.words.len().min(at + PIECE)]);
            self.decode_ids(&coded, &mut states, &mut at, done, PIECE, &mut escapes)?;
            self.join(coded.split, done, PIECE, raw, fields);
            done += PIECE;
        }
        let last = count - done;
        self.decode_ids(&coded, &mut states, &mut at, done, last, &mut escapes)?;
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
        self.join(coded.split, done, last, raw, fields);
        (self.low, self.packed) = (low, packed);
        Ok(())
    }

    /// Tables and bases of all elements, and some behind them so that groups are whole.
    fn find_places(
        &mut self,
        coded: &Coded<'_>,
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
        for segment in coded.segments() {
            let elements = segment.elements as usize;
            if elements == 0 || elements > count - at {
                return Err(malformed());
            }
            let kept = match segment.profile {
                Some(number) => Some(self.load_columns(profiles, number)?),
                None => None,
            };
            let columns = kept.map(|kept| &self.kept[kept].columns);
            let mut means = None;
            if let Some(columns) = columns {
                if columns.scales.len() != segment.columns as usize
                    || segment.first_column >= segment.columns
                {
                    return Err(malformed());
                }
                if !columns.means.is_empty() {
                    if self.lowest.len() < tables(BINS) {
                        return Err(malformed());
                    }
                    means = Some(coded.means.ok_or_else(malformed)?);
                }
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

    /// Which of the kept columns are those of a profile.
    fn load_columns(&mut self, profiles: Profiles<'_>, number: u32) -> Result<usize> {
        let of = Some((profiles.id(), number));
        if let Some(kept) = self.kept.iter().position(|kept| kept.of == of) {
            return Ok(kept);
        }
        let place = self.next_kept;
        let kept = &mut self.kept[place];
        kept.of = None;
        take_columns(profiles.record(number)?, &mut kept.columns)?;
        kept.of = of;
        self.next_kept = (place + 1) % KEPT_COLUMNS;
        Ok(place)
    }

    /// Decodes the ids of elements `done .. done + len` to the start of `self.ids`, escapes resolved.
    fn decode_ids(
        &mut self,
        coded: &Coded<'_>,
        states: &mut States,
        at: &mut usize,
        done: usize,
        len: usize,
        escapes: &mut Escapes<'_>,
    ) -> Result<()> {
        let whole = len.next_multiple_of(LANES);
        if self.ids.len() < whole {
            self.ids.resize(whole, 0);
            self.no_ids.resize(whole, 0);
        }
        self.tables.decode(
            self.simd,
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
    fn join(&self, split: Split, done: usize, len: usize, raw: Raw<'_>, fields: &mut [u8]) {
        let fields = &mut fields[2 * done..2 * (done + len)];
        // Raw bits by themselves, as id 0 is symbol 0; then symbols and signs above them.
        join(split, self.simd, &self.no_ids[..len], raw, fields);
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

/// For each table the lowest symbol that has a frequency, but for the escape.
fn lowest_symbols(frequencies: &[Frequencies]) -> Vec<u8> {
    let lowest = |frequencies: &Frequencies| {
        (1..=SYMBOL_MASK)
            .find(|&id| {
                frequencies[usize::from(id)] > 0 || frequencies[usize::from(id | SIGN_BIT)] > 0
            })
            .unwrap_or(0)
    };
    frequencies.iter().map(lowest).collect()
}

/// Most escapes are numbers much smaller than expected, and the farther the rarer: symbols are
/// counted downwards from below the lowest one, and those above it follow behind zero.
fn escape_code(id: u8, lowest: u8) -> u32 {
    let below = lowest.wrapping_sub(1).wrapping_sub(id) & SYMBOL_MASK;
    u32::from(below) << 1 | u32::from(id & SIGN_BIT != 0)
}

fn escaped_id(code: u32, lowest: u8) -> Option<u8> {
    let below = u8::try_from(code >> 1).ok()?;
    let sign = if code & 1 == 1 { SIGN_BIT } else { 0 };
    let symbol = lowest.wrapping_sub(1).wrapping_sub(below) & SYMBOL_MASK;
    (below <= SYMBOL_MASK).then_some(symbol | sign)
}
