//! Which type a run is coded by: the one by which samples of it take least.

use super::pattern::Pattern;
use super::runs::Run;
use crate::block::BlockEncoder;
use crate::codec::Level;
use crate::error::Result;
use crate::format::ElementType;
use crate::model::ReadAt;

/// Bytes of a sample.
const SAMPLE_BYTES: u64 = 64 << 10;
/// Samples of a run: one of so many bytes, and so many at most.
const SAMPLED_BYTES: u64 = 512 << 10;
const SAMPLES: u64 = 4;
/// What a type must take less than bytes do: one in so many of those.
const LESS: u64 = 200;
/// And at least so many bytes.
const LEAST: u64 = 64;

/// A type is that of the run before if by it samples take so much more of what bytes take at most.
const ALIKE_SHARE: f64 = 0.05;

/// Encodes samples, with buffers that are used again.
pub(super) struct Trial {
    encoder: BlockEncoder,
    /// The type of the run before, and the share of bytes' size that it took.
    last: Option<(ElementType, f64)>,
    bytes: Vec<u8>,
    stored: Vec<u8>,
}

impl Trial {
    pub fn new() -> Result<Self> {
        Ok(Self {
            encoder: BlockEncoder::new(Level::Default)?,
            last: None,
            bytes: Vec::new(),
            stored: Vec::new(),
        })
    }

    /// The type of a run, and at which remainder of its bytes its elements start; `None` if it is best taken as bytes.
    pub fn best(
        &mut self,
        file: &(impl ReadAt + ?Sized),
        run: &Run,
    ) -> Result<Option<(ElementType, u64)>> {
        let (elements, likeliest, phases): (&[_], _, _) = match run.pattern {
            Pattern::Noise | Pattern::Empty => return Ok(None),
            // Integers that others are packed into have bytes that are all alike.
            Pattern::Bytes => (
                &[
                    ElementType::U8,
                    ElementType::I8,
                    ElementType::F8E4M3,
                    ElementType::F8E5M2,
                    ElementType::I32,
                ],
                0,
                1,
            ),
            Pattern::Numbers { bytes, least } => (
                match bytes {
                    2 => &[ElementType::Bf16, ElementType::F16, ElementType::I16],
                    4 => &[ElementType::F32, ElementType::I32],
                    _ => &[ElementType::F64, ElementType::I64],
                },
                // Of floats the last byte has sign and exponent.
                u64::from(least) + 1,
                u64::from(bytes),
            ),
        };
        let sampled = self.stored_bytes(file, run, ElementType::Bytes, 0)?;
        let most = sampled.saturating_sub((sampled / LESS).max(LEAST));
        // Where there are numbers of a type, mostly more of it follow.
        if let Some((element, share)) = self.last
            && elements.contains(&element)
        {
            let phase = likeliest % phases;
            let stored = self.stored_bytes(file, run, element, phase)?;
            if stored < most && share_of(stored, sampled) < share + ALIKE_SHARE {
                return Ok(Some((element, phase)));
            }
        }
        let mut best = (most, None);
        for ahead in 0..phases {
            let phase = (likeliest + ahead) % phases;
            for &element in elements {
                let stored = self.stored_bytes(file, run, element, phase)?;
                if stored < best.0 {
                    best = (stored, Some((element, phase)));
                }
            }
            // Floats gain by their fields only where they start.
            if matches!(best.1, Some((element, _)) if element.exponent_bits().is_some()) {
                break;
            }
        }
        let (stored, found) = best;
        if let Some((element, _)) = found {
            self.last = Some((element, share_of(stored, sampled)));
        }
        Ok(found)
    }

    /// Bytes that samples of a run take.
    fn stored_bytes(
        &mut self,
        file: &(impl ReadAt + ?Sized),
        run: &Run,
        element: ElementType,
        phase: u64,
    ) -> Result<u64> {
        let width = u64::from(element.bytes());
        let len = run.range.end - run.range.start;
        let samples = (len / SAMPLED_BYTES).clamp(1, SAMPLES);
        let mut sum = 0;
        for sample in 0..samples {
            // From the middle of each of so many parts, so that edges are in none.
            let part = len / samples;
            let sample_len = SAMPLE_BYTES.min(part);
            let start = run.range.start + part * sample + (part - sample_len) / 2;
            let start = start - start % 8 + phase;
            let end = (start + sample_len).min(run.range.end);
            let whole = end.saturating_sub(start) / width * width;
            self.bytes.resize(usize::try_from(whole).unwrap_or(0), 0);
            if self.bytes.is_empty() {
                continue;
            }
            file.read_at(&mut self.bytes, start)?;
            self.encoder
                .encode(&self.bytes, element, &[], &mut self.stored)?;
            sum += self.stored.len() as u64;
        }
        Ok(sum)
    }
}

fn share_of(stored: u64, of: u64) -> f64 {
    stored as f64 / of.max(1) as f64
}
