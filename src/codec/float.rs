//! Encoding planes of numbers: decides how to cut them and which entropy coder gets the symbols.

use super::symbol::{Choices, Parts, Plan, Planner};
use super::{Level, ans};
use crate::format::CodecId;

/// Encodes planes of numbers, with buffers that are used again.
pub(super) struct FloatEncoder {
    level: Level,
    planner: Planner,
    parts: Parts,
    ans: ans::Encoder,
}

impl FloatEncoder {
    pub fn new(level: Level) -> Self {
        Self {
            level,
            planner: Planner::default(),
            parts: Parts::default(),
            ans: ans::Encoder::new(),
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
        // The exponent with up to three mantissa bits: further ones are noise that would only make
        // the tables longer. A type of 8 bits may be worth coding whole.
        let below_exponent = width - exponent_bits;
        let fewest = if width == 8 {
            0
        } else {
            below_exponent.saturating_sub(3)
        };
        let all: Vec<u8> = (fewest..=below_exponent).collect();
        let plan = self.planner.choose(
            plane,
            Choices {
                width,
                rotate: 1,
                raw_bits: &all,
            },
        )?;
        self.encode_planned(plane, &plan, out)
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

    fn encode_planned(&mut self, plane: &[u8], plan: &Plan, out: &mut Vec<u8>) -> Option<CodecId> {
        if plan.bits >= (plane.len() * 8) as f64 {
            return None;
        }
        self.parts
            .cut(plan.split, plan.most_id, plan.stand_in, plane);
        let tables = match self.level {
            Level::Fast => ans::one_table(&self.parts.ids, &plan.counts),
            Level::Default | Level::Max => ans::tables(&self.parts.ids, &plan.counts),
        };
        self.ans.encode(plan.split, &self.parts, &tables, out);
        Some(CodecId::Ans)
    }
}
