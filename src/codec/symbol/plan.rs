//! Chooses how to cut the fields of a plane: how many low bits to leave raw, and which symbols get
//! an id.

use super::exceptions::{MAX_EXCEPTIONS, exceptions_bytes};
use super::split::Split;

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
    /// Estimate of the coded plane, raw bits included.
    pub bits: f64,
}

impl Plan {
    /// The bits, and what many ids must save.
    fn cost(&self) -> f64 {
        if self.most_id <= FAST_MOST_ID {
            self.bits
        } else {
            self.bits * (1.0 + ENOUGH_SAVING_OF_MORE_IDS)
        }
    }
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
const ENOUGH_SAVING_OF_MORE_IDS: f64 = 0.001;
/// Bytes of a plane that are looked at together.
const RUN_BYTES: usize = 64;
/// Of a large plane, one run of so many is looked at.
const SAMPLED_SHARE: usize = 4;
/// A plane of fewer bytes is looked at as a whole.
const ENOUGH_BYTES_TO_SAMPLE: usize = 1 << 16;
/// Ids left free for symbols below those in the sample, if there are as many to spare.
const SPARE_IDS: usize = 8;

/// Plans, with buffers that are used again.
#[derive(Debug, Default)]
pub(in crate::codec) struct Planner {
    histogram: Vec<u32>,
    /// Fields in the histogram.
    seen: usize,
}

impl Planner {
    /// The way that comes to the fewest bits, if there is one. It is judged by a sample of the
    /// plane, so there may be more exceptions than it was chosen for.
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
            for most_id in [FAST_MOST_ID, u8::MAX] {
                let plan = self.plan(split, most_id, count);
                let needs_more = plan.as_ref().is_none_or(|(_, exceptions)| *exceptions > 0);
                if let Some((plan, _)) = plan
                    && best.as_ref().is_none_or(|best| plan.cost() < best.cost())
                {
                    best = Some(plan);
                }
                if !needs_more || self.histogram.len() <= usize::from(FAST_MOST_ID) + 1 {
                    break;
                }
            }
        }
        best
    }

    fn count_symbols(&mut self, plane: &[u8], choices: Choices<'_>, raw_bits: u8) {
        let symbols = 1usize << (choices.width - raw_bits);
        // Two histograms in turn: equal neighbours do not wait for each other's counter.
        self.histogram.clear();
        self.histogram.resize(2 * symbols, 0);
        self.seen = 0;
        let (even, odd) = self.histogram.split_at_mut(symbols);
        let counter = Counter {
            rotate: u32::from(choices.rotate),
            shift: u32::from(raw_bits),
            mask: symbols - 1,
        };
        let share = if plane.len() < ENOUGH_BYTES_TO_SAMPLE {
            1
        } else {
            SAMPLED_SHARE
        };
        let mut seen_bytes = 0;
        for (i, runs) in plane.chunks(share * RUN_BYTES).enumerate() {
            // Not always the same of them: rows are often a multiple of a few runs long.
            let at = (i ^ (i / share) ^ (i / (16 * share))) % share * RUN_BYTES;
            let rest = runs.get(at..).unwrap_or_default();
            let run = if share == 1 {
                runs
            } else {
                &rest[..rest.len().min(RUN_BYTES)]
            };
            seen_bytes += run.len();
            if choices.width == 16 {
                counter.count_16(run, even, odd);
            } else {
                counter.count_8(run, even, odd);
            }
        }
        self.seen = seen_bytes / usize::from(choices.width / 8);
        for (even, odd) in even.iter_mut().zip(odd) {
            *even += *odd;
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

    /// The plan for these raw bits, and how many exceptions are expected.
    fn plan(&self, mut split: Split, most_id: u8, count: usize) -> Option<(Plan, u32)> {
        let (&zeros, others) = self.histogram.split_first()?;
        let window = usize::from(most_id).min(others.len());
        let (start, inside) = heaviest_window(others, window);
        let share = count as f64 / self.seen.max(1) as f64;
        let outside = u32::try_from(self.seen).ok()? - zeros - inside;
        let exceptions = (f64::from(outside) * share).ceil();
        if exceptions > MAX_EXCEPTIONS as f64 {
            return None;
        }
        // `others[start]` is symbol `start + 1` and gets id 1.
        split.base = u16::try_from(start).ok()?;
        let counts = &others[start..start + window];
        let (mut stand_in, mut most) = (0, zeros);
        for (id, &count) in (1..=255u8).zip(counts) {
            if count > most {
                (stand_in, most) = (id, count);
            }
        }
        let total = f64::from(outside + zeros + inside);
        let mut ids = 0u32;
        let mut information = 0.0;
        for &count in counts.iter().chain([&zeros]) {
            ids += u32::from(count > 0);
            information += information_of(count);
        }
        information += information_of(most + outside) - information_of(most);
        let entropy = total * f64::from(log2(outside + zeros + inside)) - information;
        // A sample has less entropy than what it was taken from (G. Miller, 1955).
        let bias = if share > 1.0 {
            f64::from(ids) * 0.5 * std::f64::consts::LOG2_E
        } else {
            0.0
        };
        let bits = (entropy + bias) * share
            + f64::from(ids) * TABLE_BITS
            + (count * usize::from(split.raw_bits)) as f64
            + exceptions * (exceptions_bytes(1) * 8) as f64;
        let plan = Plan {
            split,
            most_id,
            stand_in,
            bits,
        };
        Some((plan, outside))
    }
}

/// What a count takes away from the bits of all.
fn information_of(count: u32) -> f64 {
    f64::from(count) * f64::from(log2(count.max(1)))
}

/// How a histogram of symbols is made.
#[derive(Clone, Copy)]
struct Counter {
    rotate: u32,
    shift: u32,
    mask: usize,
}

impl Counter {
    fn count_16(self, run: &[u8], even: &mut [u32], odd: &mut [u32]) {
        // Lengths are those of the mask, so that the compiler sees that no symbol is outside.
        let (even, odd) = (&mut even[..=self.mask], &mut odd[..=self.mask]);
        let symbol = |field: u64| {
            let [low, high, ..] = field.to_le_bytes();
            let rotated = u16::from_le_bytes([low, high]).rotate_left(self.rotate);
            usize::from(rotated >> self.shift) & self.mask
        };
        let (words, rest) = run.as_chunks::<8>();
        for word in words {
            let word = u64::from_le_bytes(*word);
            even[symbol(word)] += 1;
            odd[symbol(word >> 16)] += 1;
            even[symbol(word >> 32)] += 1;
            odd[symbol(word >> 48)] += 1;
        }
        for field in rest.as_chunks::<2>().0 {
            even[symbol(u16::from_le_bytes(*field).into())] += 1;
        }
    }

    fn count_8(self, run: &[u8], even: &mut [u32], odd: &mut [u32]) {
        let (even, odd) = (&mut even[..=self.mask], &mut odd[..=self.mask]);
        let symbol =
            |field: u8| usize::from(field.rotate_left(self.rotate) >> self.shift) & self.mask;
        let (pairs, rest) = run.as_chunks::<2>();
        for &[a, b] in pairs {
            even[symbol(a)] += 1;
            odd[symbol(b)] += 1;
        }
        for &field in rest {
            even[symbol(field)] += 1;
        }
    }
}

/// Where the window of so many counts starts that holds the most, and how many those are. If there
/// is room in it, a few symbols below the first that occurs are inside.
fn heaviest_window(counts: &[u32], window: usize) -> (usize, u32) {
    let Some(first) = counts.iter().position(|&count| count > 0) else {
        return (0, 0);
    };
    let last = counts.iter().rposition(|&count| count > 0).unwrap_or(first);
    let used = last + 1 - first;
    if used <= window {
        let spare = (window - used).min(SPARE_IDS).min(first);
        let start = (first - spare).min(counts.len() - window);
        return (start, counts[first..=last].iter().sum());
    }
    let mut inside: u32 = counts[first..first + window].iter().sum();
    let mut best = (first, inside);
    for start in first + 1..=last + 1 - window {
        inside = inside - counts[start - 1] + counts[start + window - 1];
        if inside >= best.1 {
            best = (start, inside);
        }
    }
    best
}

/// The binary logarithm to about 5 digits, which is all that choices need, in a form that a compiler
/// makes vectors of.
pub(in crate::codec) fn log2(number: u32) -> f32 {
    let bits = (number as f32).to_bits();
    // The mantissa as a number from 3/4 to 3/2.
    let from = bits.wrapping_sub(0x3F40_0000);
    let exponent = from.cast_signed() >> 23;
    let t = f32::from_bits((from & 0x007F_FFFF) + 0x3F40_0000) - 1.0;
    // atanh series: ln(1 + t) = 2 (u + u^3 / 3 + ..), u = t / (2 + t).
    let u = t / (2.0 + t);
    let v = u * u;
    let ln = 2.0 * u * (1.0 + v * (1.0 / 3.0 + v * (0.2 + v * (1.0 / 7.0))));
    exponent as f32 + ln * std::f32::consts::LOG2_E
}
