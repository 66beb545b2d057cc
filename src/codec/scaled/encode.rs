//! Encoding planes with a model. What is stored is described in `layout`.

use std::sync::Arc;

use super::ids::{PLAIN_ROW, SIGN_BIT, base, distance, near_id, raw_bits};
use super::layout::{escape_code, lowest_symbols};
use super::mean::SIGN;
use super::mean_codes::{MeanCodes, NO_MEANS};
use super::model::Model;
use super::place::fill;
use super::rows::{find_row, inverse_scales, row_step_bits, value};
use super::segment::{MAX_SEGMENTS, Segment};
use crate::codec::ans::{Carried, EachEncoder, put_states};
use crate::codec::rice::{append_codes, codes, middle, put_rice, rice_bits, rice_length};
use crate::codec::symbol::{Parts, Split, cut};
use crate::plane::BitWriter;
use crate::simd::Simd;

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
            ans: EachEncoder::new(Simd::detect(), &model.frequencies),
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
        cut(&mut self.parts, split, u8::MAX, 0, &self.unsigned);
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
        let ones = [1.0; PLAIN_ROW];
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
        let (words, states) = self.ans.encode(&self.parts.ids, &self.choice, 0, &payload);
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
        let mut escapes = Vec::new();
        append_codes(self.escapes.iter().copied(), escape_bits, &mut escapes);
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
        out.extend(long(escapes.len()));
        out.extend(long(self.escape_words.len()));
        for segment in segments {
            out.extend(segment.to_bytes());
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
        out.extend(escapes);
        out.extend(self.escape_words.iter().flat_map(|word| word.to_le_bytes()));
    }
}
