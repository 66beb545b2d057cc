//! Encoding planes of numbers: decides how to cut them and which entropy coder gets the symbols.

use super::ans::{self, Alike};
use super::huffman;
use super::plane::Level;
use super::symbol::{Choices, MAX_EXCEPTIONS, Parts, Plan, Planner, Split, cut};
use crate::format::CodecId;
use crate::simd::Simd;

/// Elements from which ANS always wins over Huffman codes.
const SHORT_PLANE: usize = 1 << 15;

/// Of so many fields the sign of one is looked at.
const SIGN_SHARE: usize = 13;
/// One sign in so many may be another, and become an exception.
const FEW_SIGNS: u32 = 256;

/// Encodes planes of numbers, with buffers that are used again.
pub(super) struct NumbersEncoder {
    level: Level,
    planner: Planner,
    parts: Parts,
    ans: ans::Encoder,
    huffman: huffman::Encoder,
}

impl NumbersEncoder {
    pub fn new(level: Level) -> Self {
        Self {
            level,
            planner: Planner::default(),
            parts: Parts::default(),
            ans: ans::Encoder::new(Simd::detect()),
            huffman: huffman::Encoder::new(),
        }
    }

    /// Appends a plane of the highest `width` bits (8 or 16) of floats, if a codec makes it smaller.
    pub fn encode(
        &mut self,
        plane: &[u8],
        width: u8,
        exponent_bits: u8,
        out: &mut Vec<u8>,
    ) -> Option<CodecId> {
        let with_sign = self.plan_float(plane, width, exponent_bits, 1);
        // A sign that next to all have is no bit to keep: scales are positive.
        let without = is_of_one_sign(plane, width)
            .then(|| self.plan_float(plane, width, exponent_bits, 0))
            .flatten();
        let plans = with_sign.into_iter().chain(without);
        let plan = plans.min_by(|one, other| one.bits.total_cmp(&other.bits))?;
        self.encode_planned(plane, &plan, out)
    }

    /// A plan with the sign at the bottom (`rotate` is 1) or at the top (0).
    fn plan_float(
        &mut self,
        plane: &[u8],
        width: u8,
        exponent_bits: u8,
        rotate: u8,
    ) -> Option<Plan> {
        let below_exponent = width - exponent_bits - (1 - rotate);
        let fewest = match self.level {
            // A type of 8 bits may be worth coding whole.
            _ if width == 8 => 0,
            // Fewer different symbols: more of them are found with one look-up.
            Level::Fast => below_exponent,
            // Further mantissa bits are noise that would only make the tables longer.
            Level::Default | Level::Max => below_exponent.saturating_sub(3),
        };
        let all: Vec<u8> = (fewest..=below_exponent).collect();
        self.planner.choose(
            plane,
            Choices {
                width,
                rotate,
                raw_bits: &all,
            },
        )
    }

    /// Appends a plane of any numbers, if coding each by its frequency makes it smaller.
    pub fn encode_order_0(
        &mut self,
        plane: &[u8],
        width: u8,
        out: &mut Vec<u8>,
    ) -> Option<CodecId> {
        let raw_bits: &[u8] = if width == 8 {
            &[0, 1, 2, 3, 4]
        } else {
            &[4, 5, 6, 7, 8]
        };
        let plan = self.planner.choose(
            plane,
            Choices {
                width,
                rotate: 0,
                raw_bits,
            },
        )?;
        self.encode_planned(plane, &plan, out)
    }

    /// Appends a plane of levels, their lowest bits coded or not, if coding each by its frequency is expected to make
    /// it smaller than so many bytes.
    pub fn encode_levels(
        &mut self,
        plane: &[u8],
        width: u8,
        to_beat: usize,
        out: &mut Vec<u8>,
    ) -> Option<CodecId> {
        let raw_bits: &[u8] = if width == 8 {
            &[0, 1]
        } else {
            &[0, 1, 2, 3, 4, 5, 6, 7, 8]
        };
        let plan = self.planner.choose(
            plane,
            Choices {
                width,
                rotate: 0,
                raw_bits,
            },
        )?;
        if plan.bits >= (to_beat * 8) as f64 {
            return None;
        }
        // Parts of many groups are all alike: what groups differ in is told by their steps.
        let alike = match self.level {
            Level::Fast | Level::Default => Alike::Nothing,
            Level::Max => Alike::CostFinely,
        };
        self.encode_by(plane, &plan, alike, out)
    }

    /// Appends a plane of places in a list of so many, if coding each by its frequency makes it smaller.
    pub fn encode_places(
        &mut self,
        plane: &[u8],
        width: u8,
        count: usize,
        out: &mut Vec<u8>,
    ) -> Option<CodecId> {
        // As few as leave no more symbols than there are ids, or some more.
        let [bits, ..] = count.next_power_of_two().trailing_zeros().to_le_bytes();
        let fewest = bits.saturating_sub(8);
        let raw_bits: Vec<u8> = (fewest..=(fewest + 2).min(width - 1)).collect();
        let plan = self.planner.choose(
            plane,
            Choices {
                width,
                rotate: 0,
                raw_bits: &raw_bits,
            },
        )?;
        self.encode_planned(plane, &plan, out)
    }

    /// Appends a plane of bytes with a Huffman code for all of each byte, if that makes it smaller.
    pub fn encode_bytes(&mut self, plane: &[u8], out: &mut Vec<u8>) -> Option<CodecId> {
        let plan = self.planner.choose(
            plane,
            Choices {
                width: 8,
                rotate: 0,
                raw_bits: &[0],
            },
        )?;
        self.encode_planned(plane, &plan, out)
    }

    fn encode_planned(&mut self, plane: &[u8], plan: &Plan, out: &mut Vec<u8>) -> Option<CodecId> {
        let alike = match (self.level, plan.split) {
            (Level::Max, Split { width: 8, .. } | Split { rotate: 0, .. }) => Alike::CostFinely,
            // Of floats the sign comes to the bottom, so that ids grow with the size.
            (_, Split { rotate: 1, .. }) => Alike::Mean,
            _ => Alike::Cost,
        };
        self.encode_by(plane, plan, alike, out)
    }

    fn encode_by(
        &mut self,
        plane: &[u8],
        plan: &Plan,
        alike: Alike,
        out: &mut Vec<u8>,
    ) -> Option<CodecId> {
        if plan.bits >= (plane.len() * 8) as f64 {
            return None;
        }
        cut(
            &mut self.parts,
            plan.split,
            plan.most_id,
            plan.stand_in,
            plane,
        );
        if self.parts.exceptions.len() > MAX_EXCEPTIONS {
            // The sample the plan was made from told nothing of them.
            return None;
        }
        if self.level == Level::Fast || self.is_smaller_with_huffman() {
            self.huffman
                .encode(plan.split, &self.parts, &self.parts.counts(), out);
            return Some(CodecId::Huffman);
        }
        let tables = ans::tables(self.parts.simd(), &self.parts.ids, alike);
        self.ans.encode(plan.split, &self.parts, &tables, out);
        Some(CodecId::Ans)
    }

    /// Short planes do not make up for the states of ANS.
    fn is_smaller_with_huffman(&self) -> bool {
        if self.parts.ids.len() >= SHORT_PLANE {
            return false;
        }
        let counts = self.parts.counts();
        huffman::coded_bits(&counts) < ans::coded_bits(&counts)
    }
}

/// Whether the highest bit of next to all fields is the same, judged by a sample.
fn is_of_one_sign(plane: &[u8], width: u8) -> bool {
    let step = usize::from(width / 8);
    let tops = plane.iter().skip(step - 1).step_by(SIGN_SHARE * step);
    let (fields, ones) = tops.fold((0, 0), |(fields, ones), byte| {
        (fields + 1, ones + u32::from(byte >> 7))
    });
    ones.min(fields - ones) <= fields / FEW_SIGNS
}
