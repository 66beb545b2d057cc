//! Chooses how to cut the fields of a plane: how many low bits to leave raw, and which symbols get
//! an id.

use super::{Split, exceptions_bytes};

/// About what a frequency table costs for each id in it.
const TABLE_BITS: f64 = 6.5;

/// A way to cut a plane, with what it will come to.
#[derive(Debug, Clone)]
pub(in crate::codec) struct Plan {
    pub split: Split,
    /// Highest id.
    pub most_id: u8,
    /// The id that exceptions are coded as.
    pub stand_in: u8,
    /// How often each id occurs, exceptions included.
    pub counts: [u32; 256],
    /// Estimate of the coded plane, raw bits included.
    pub bits: f64,
}

/// What may be chosen.
#[derive(Debug, Clone, Copy)]
pub(in crate::codec) struct Choices<'a> {
    /// Bits of a field: 8 or 16.
    pub width: u8,
    /// Bits a field is rotated left by: 0 or 1.
    pub rotate: u8,
    /// Raw bits to try, the fewest first.
    pub raw_bits: &'a [u8],
}

/// Ids up to this decode fastest.
const FAST_MOST_ID: u8 = 127;
/// More ids must save this share of the size.
const LEAST_SAVING_OF_MORE_IDS: f64 = 0.001;

/// Plans, with buffers that are used again.
#[derive(Debug, Default)]
pub(in crate::codec) struct Planner {
    histogram: Vec<u32>,
}

impl Planner {
    /// The way that comes to the fewest bits, if there is one.
    pub fn choose(&mut self, plane: &[u8], choices: Choices<'_>) -> Option<Plan> {
        let &finest = choices.raw_bits.first()?;
        let count = plane.len() / usize::from(choices.width / 8);
        self.count_symbols(plane, choices, finest);
        let mut best: Option<Plan> = None;
        let mut folded = finest;
        for &raw_bits in choices.raw_bits {
            while folded < raw_bits {
                self.fold();
                folded += 1;
            }
            let split = Split {
                width: choices.width,
                rotate: choices.rotate,
                raw_bits,
                base: 0,
            };
            for (most_id, factor) in [
                (FAST_MOST_ID, 1.0),
                (u8::MAX, 1.0 - LEAST_SAVING_OF_MORE_IDS),
            ] {
                if let Some(plan) = self.plan(split, most_id, count)
                    && best
                        .as_ref()
                        .is_none_or(|best| plan.bits < best.bits * factor)
                {
                    best = Some(plan);
                }
                if self.histogram.len() <= usize::from(FAST_MOST_ID) + 1 {
                    break;
                }
            }
        }
        best
    }

    fn count_symbols(&mut self, plane: &[u8], choices: Choices<'_>, raw_bits: u8) {
        let split = Split {
            width: choices.width,
            rotate: choices.rotate,
            raw_bits,
            base: 0,
        };
        let symbols = 1usize << (choices.width - raw_bits);
        // Four histograms in turn: equal neighbours do not wait for each other's counter.
        self.histogram.clear();
        self.histogram.resize(4 * symbols, 0);
        let (a, rest) = self.histogram.split_at_mut(symbols);
        let (b, rest) = rest.split_at_mut(symbols);
        let (c, d) = rest.split_at_mut(symbols);
        let mask = symbols - 1;
        let (shift, field_bytes) = (u32::from(raw_bits), usize::from(choices.width / 8));
        if field_bytes == 2 {
            let symbol = |field: u64| {
                let [low, high, ..] = field.to_le_bytes();
                usize::from(split.rotate(u16::from_le_bytes([low, high])) >> shift) & mask
            };
            let (words, rest) = plane.as_chunks::<8>();
            for word in words {
                let word = u64::from_le_bytes(*word);
                a[symbol(word)] += 1;
                b[symbol(word >> 16)] += 1;
                c[symbol(word >> 32)] += 1;
                d[symbol(word >> 48)] += 1;
            }
            for field in rest.as_chunks::<2>().0 {
                a[symbol(u16::from_le_bytes(*field).into())] += 1;
            }
        } else {
            let symbol = |field: u8| usize::from(split.rotate(field.into()) >> shift) & mask;
            let (words, rest) = plane.as_chunks::<4>();
            for &[w, x, y, z] in words {
                a[symbol(w)] += 1;
                b[symbol(x)] += 1;
                c[symbol(y)] += 1;
                d[symbol(z)] += 1;
            }
            for &field in rest {
                a[symbol(field)] += 1;
            }
        }
        for (i, count) in a.iter_mut().enumerate() {
            *count += b[i] + c[i] + d[i];
        }
        self.histogram.truncate(symbols);
    }

    /// One raw bit more: pairs of symbols become one.
    fn fold(&mut self) {
        let half = self.histogram.len() / 2;
        for i in 0..half {
            self.histogram[i] = self.histogram[2 * i] + self.histogram[2 * i + 1];
        }
        self.histogram.truncate(half);
    }

    fn plan(&self, mut split: Split, most_id: u8, count: usize) -> Option<Plan> {
        let (&zeros, others) = self.histogram.split_first()?;
        let window = usize::from(most_id).min(others.len());
        let (start, inside) = heaviest_window(others, window);
        let exceptions = u32::try_from(count).ok()? - zeros - inside;
        if u16::try_from(exceptions).is_err() {
            return None;
        }
        // `others[start]` is symbol `start + 1` and gets id 1.
        split.base = u16::try_from(start).ok()?;
        let mut counts = [0; 256];
        counts[0] = zeros;
        counts[1..=window].copy_from_slice(&others[start..start + window]);
        let stand_in = (0..=255u8).max_by_key(|&id| counts[usize::from(id)])?;
        counts[usize::from(stand_in)] += exceptions;
        let total = count as f64;
        let entropy_and_tables: f64 = counts
            .iter()
            .filter(|&&count| count > 0)
            .map(|&count| f64::from(count) * (total / f64::from(count)).log2() + TABLE_BITS)
            .sum();
        Some(Plan {
            split,
            most_id,
            stand_in,
            counts,
            bits: entropy_and_tables
                + (count * usize::from(split.raw_bits)) as f64
                + (exceptions_bytes(exceptions as usize) * 8) as f64,
        })
    }
}

/// Where the window of so many counts starts that holds the most, and how many those are. Of
/// several the one that starts last, so that the lowest id is in use.
fn heaviest_window(counts: &[u32], window: usize) -> (usize, u32) {
    let mut inside: u32 = counts[..window].iter().sum();
    let mut best = (0, inside);
    for start in 1..=counts.len() - window {
        inside = inside - counts[start - 1] + counts[start + window - 1];
        if inside >= best.1 {
            best = (start, inside);
        }
    }
    best
}
