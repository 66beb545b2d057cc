//! The processor, and what weightfs' kernels for its instructions give.

use serde::Serialize;

use super::decode_speed::DecodeSpeedOf;
use super::found::Found;
use super::sample::{BYTES, Sample};
use crate::codec::Level;
use crate::error::Result;
use crate::format::ElementType;
use crate::made_up::weights;
use crate::os::cpu;
use crate::sync::cores;

/// What there is to decode with.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ProcessorFacts {
    pub(crate) name: String,
    pub(crate) cores: usize,
    /// What else it does, averaged over a minute, before anything was measured.
    pub(crate) load_average: Found<f64>,
    /// This program was compiled to be fast.
    pub(crate) is_optimized: bool,
    /// The variable `WEIGHTFS_SIMD`, which asks for other kernels than the best.
    pub(crate) asked_for: Option<String>,
    /// Bytes a second of made-up BF16 weights at the level `default`, one thread.
    pub(crate) decode: Found<Vec<DecodeSpeedOf>>,
}

impl ProcessorFacts {
    /// Asks, and measures.
    pub(super) fn gather() -> Self {
        Self {
            name: cpu(),
            cores: cores().get(),
            load_average: load_average().ok_or("/proc/loadavg does not tell").into(),
            is_optimized: !cfg!(debug_assertions),
            asked_for: std::env::var("WEIGHTFS_SIMD").ok(),
            decode: speeds().into(),
        }
    }
}

fn load_average() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

fn speeds() -> Result<Vec<DecodeSpeedOf>> {
    made_up()
        .coded(Level::Default)?
        .blocks()
        .speeds_by_instructions()
}

/// Weights where there is no archive to take a sample of.
pub(super) fn made_up() -> Sample {
    Sample {
        element: ElementType::Bf16,
        bytes: weights(BYTES),
    }
}
