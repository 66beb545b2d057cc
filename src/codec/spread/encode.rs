//! Encoding levels. What is stored is described in `layout`.

use std::sync::Arc;

use super::layout::{FEW_ESCAPES, MAX_RAW_BITS, carried_escapes, middle_symbol, split};
use super::scales::{COUNT, Prepared, Used, lowest_below, table_of};
use crate::codec::ans::{self, Carried, EachEncoder, put_states};
use crate::codec::rice::{append_codes, codes, middle, rice_bits, zigzag};
use crate::codec::scaled::{
    MAX_SEGMENTS, Model, PLAIN_ROW, Segment, Shape, inverse_scales, quantize, row_step_bits,
    scaled_mean,
};
use crate::codec::symbol::{Parts, cut};
use crate::simd::Simd;

/// Bits more that an element takes whose scale has so many ids, times the square of those: within an id all levels
/// count as alike (of a normal distribution, of which a scale is the mean magnitude).
const ALIKE_BITS: f64 = 0.0383;
/// About what an escape takes more than the id it stands for.
const ESCAPE_BITS: f64 = 12.0;
/// Of so many elements the scale of one is counted.
const COUNTED_SHARE: usize = 5;

/// Encodes planes with the shape and profiles of one model, with buffers that are used again.
pub(in crate::codec) struct Encoder {
    model: Arc<Model>,
    ans: EachEncoder,
    prepared: Prepared,
    parts: Parts,
    /// Factors that take the column scales off, and the profile they are of.
    inverse: (Option<u32>, Vec<f32>),
    scales: Vec<i16>,
    choice: Vec<u8>,
    escapes: Vec<u32>,
}

impl Encoder {
    pub fn new(model: Arc<Model>) -> Self {
        Self {
            model,
            ans: EachEncoder::new(Simd::detect(), &[]),
            prepared: Prepared::default(),
            parts: Parts::default(),
            inverse: (None, Vec::new()),
            scales: Vec::new(),
            choice: Vec::new(),
            escapes: Vec::new(),
        }
    }

    /// Appends a plane of levels of `width` bits, made up of these segments; `in_steps` are the numbers
    /// before they became levels. Returns false, and appends nothing, if that cannot be.
    pub fn encode(
        &mut self,
        plane: &[u8],
        width: u8,
        in_steps: &[f32],
        segments: &[Segment],
        out: &mut Vec<u8>,
    ) -> bool {
        let count = plane.len() / usize::from(width / 8);
        let elements: u64 = segments.iter().map(|s| u64::from(s.elements)).sum();
        let model = Arc::clone(&self.model);
        let Some((number, shape)) = model.shape() else {
            return false;
        };
        if !(1..=MAX_SEGMENTS).contains(&segments.len())
            || elements != count as u64
            || in_steps.len() != count
        {
            return false;
        }
        let longest = segments.iter().flat_map(Segment::rows).max().unwrap_or(0);
        let step_bits = row_step_bits(longest);
        self.find_rows(in_steps, segments, step_bits);
        let Some(highest) = self.highest(segments) else {
            return false;
        };
        let used = self.find_tables(segments, Used::new(lowest_below(highest)));
        let raw_bits = if width == 8 {
            0
        } else {
            self.raw_bits(shape, used.lowest)
        };
        let ans = &mut self.ans;
        self.prepared
            .make((0, number, raw_bits), shape, &used, |table, frequencies| {
                ans.set(table, frequencies);
            });
        cut(&mut self.parts, split(width, raw_bits), u8::MAX, 0, plane);
        self.find_escapes(plane, width, raw_bits);
        if self.escapes.len() > count / FEW_ESCAPES {
            return false;
        }
        self.write(
            width,
            raw_bits,
            step_bits,
            used.lowest,
            number,
            segments,
            out,
        );
        true
    }

    /// Scales of the parts of rows.
    fn find_rows(&mut self, in_steps: &[f32], segments: &[Segment], step_bits: u8) {
        let ones = [1.0; PLAIN_ROW];
        self.scales.clear();
        let mut at = 0;
        for segment in segments {
            if let Some(number) = segment.profile
                && self.inverse.0 != segment.profile
            {
                let columns = self.model.columns(number);
                self.inverse = (segment.profile, inverse_scales(&columns.scales));
            }
            let mut column = segment.first_column as usize;
            for len in segment.rows() {
                let inverse = match segment.profile {
                    Some(_) => &self.inverse.1[column..column + len],
                    None => &ones[..len],
                };
                let mean = scaled_mean(&in_steps[at..at + len], inverse);
                self.scales.push(if mean > 0.0 && mean.is_finite() {
                    quantize(mean.log2(), step_bits)
                } else {
                    0
                });
                at += len;
                column = 0;
            }
        }
    }

    /// The highest scale of an element.
    fn highest(&self, segments: &[Segment]) -> Option<i16> {
        let mut rows = self.scales.iter();
        segments
            .iter()
            .map(|segment| {
                let count = segment.rows().count();
                let row = rows.by_ref().take(count).max().copied().unwrap_or(0);
                let columns = segment.profile.map(|number| self.model.columns(number));
                let column = columns.and_then(|columns| columns.scales.iter().max().copied());
                row.saturating_add(column.unwrap_or(0))
            })
            .max()
    }

    fn find_tables(&mut self, segments: &[Segment], mut used: Used) -> Used {
        let elements = segments.iter().map(|segment| segment.elements as usize);
        self.choice.resize(elements.sum(), 0);
        let mut rows = self.scales.iter();
        let mut at = 0;
        for segment in segments {
            let columns = segment.profile.map(|number| self.model.columns(number));
            let mut column = segment.first_column as usize;
            for (len, &row) in segment.rows().zip(rows.by_ref()) {
                let place = columns.map(|columns| (columns, column));
                used.fill(
                    self.parts.simd(),
                    row,
                    place,
                    &mut self.choice[at..at + len],
                );
                at += len;
                column = 0;
            }
        }
        used
    }

    /// The raw bits with which the elements take least: with few, those of high scales are escapes; with many, those
    /// of low ones have too few ids.
    fn raw_bits(&self, shape: &Shape, lowest: i16) -> u8 {
        let mut counts = [0u32; COUNT as usize];
        for &table in self.choice.iter().step_by(COUNTED_SHARE) {
            counts[usize::from(table)] += 1;
        }
        let cost = |raw_bits: u8| -> f64 {
            let costs = (lowest..lowest + COUNT).map(|scale| {
                let count = f64::from(counts[usize::from(table_of(scale))]);
                let ids = (f64::from(scale) / 8.0 - f64::from(raw_bits)).exp2();
                let alike = if raw_bits > 0 {
                    ALIKE_BITS / (ids * ids)
                } else {
                    0.0
                };
                count * (alike.min(4.0) + ESCAPE_BITS * shape.share_beyond(127.0 / ids))
            });
            costs.sum()
        };
        (0..=MAX_RAW_BITS)
            .min_by(|&one, &other| cost(one).total_cmp(&cost(other)))
            .unwrap_or(0)
    }

    fn find_escapes(&mut self, plane: &[u8], width: u8, raw_bits: u8) {
        self.escapes.clear();
        let middle = i32::from(middle_symbol(width, raw_bits));
        let symbol = |place: usize| {
            let field = if width == 8 {
                plane[place].into()
            } else {
                u16::from_le_bytes([plane[2 * place], plane[2 * place + 1]])
            };
            i32::from(field >> raw_bits)
        };
        let places = self.parts.ids.iter_mut().zip(&self.choice).enumerate();
        for (place, (id, &table)) in places {
            if *id == 0 || !self.ans.knows(table, *id) {
                *id = 0;
                self.escapes.push(zigzag(symbol(place) - middle));
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "each is a field of the header")]
    fn write(
        &mut self,
        width: u8,
        raw_bits: u8,
        step_bits: u8,
        lowest: i16,
        shape: u32,
        segments: &[Segment],
        out: &mut Vec<u8>,
    ) {
        let count = self.parts.ids.len();
        let split = split(width, raw_bits);
        let carried = Carried::new(split, count);
        let (low, packed, mut payload) = carried.lend(&self.parts);
        let escape_bits = rice_bits(self.escapes.iter().copied());
        let mut escapes = Vec::new();
        append_codes(self.escapes.iter().copied(), escape_bits, &mut escapes);
        let stored_escapes = escapes.len() - carried_escapes(split, count, escapes.len());
        if stored_escapes < escapes.len() {
            payload = ans::payload(escapes[stored_escapes..].iter());
        }
        let last = self.choice.last().copied().unwrap_or(0);
        let (words, states) = self
            .ans
            .encode(&self.parts.ids, &self.choice, last, &payload);
        let middle = middle(&self.scales);
        let codes = codes(&self.scales, middle, step_bits);
        let bits = rice_bits(codes.clone());
        let mut rows = Vec::new();
        append_codes(codes, bits, &mut rows);
        let long = |len: usize| {
            u32::try_from(len)
                .expect("invariant: bounded by the block")
                .to_le_bytes()
        };
        out.extend([raw_bits, step_bits, bits, escape_bits]);
        out.extend([segments.len().to_le_bytes()[0], 0]);
        out.extend(middle.to_le_bytes());
        out.extend(lowest.to_le_bytes());
        out.extend(shape.to_le_bytes());
        out.extend(long(rows.len()));
        out.extend(long(words.len()));
        out.extend(long(escapes.len()));
        for segment in segments {
            out.extend(segment.to_bytes());
        }
        out.extend(rows);
        put_states(&states, out);
        out.extend(words);
        out.extend(low);
        out.extend(packed);
        out.extend(&escapes[..stored_escapes]);
    }
}
