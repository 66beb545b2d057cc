//! Chooses the runs of a plane.

use super::run::{RUN_BYTES, Run};

/// Bytes that the writer looks at together to find runs: no longer than the rows of any table that
/// matters, and so long that noise does not look like a run.
pub(super) const DEFAULT_UNIT_BYTES: usize = 32;
/// Zero bits of a field of the widest planes.
const MAX_ZEROS: usize = 16;

/// How many zero bits all fields of each unit end in.
pub(super) fn unit_zeros(plane: &[u8], width: u8) -> impl Iterator<Item = u8> {
    plane.chunks(DEFAULT_UNIT_BYTES).map(move |unit| {
        let (words, rest) = unit.as_chunks();
        let mut used = words
            .iter()
            .fold(0, |used, &word| used | u64::from_le_bytes(word));
        for (i, &byte) in rest.iter().enumerate() {
            used |= u64::from(byte) << (8 * i);
        }
        used |= used >> 32;
        used |= used >> 16;
        if width == 8 {
            used |= used >> 8;
        }
        trailing_zeros(used, width)
    })
}

/// Zero bits at the low end of the low `width` bits.
fn trailing_zeros(bits: u64, width: u8) -> u8 {
    (bits | 1 << width).trailing_zeros().to_le_bytes()[0]
}

/// The runs that code the plane in the fewest bits, but for what `sharpen` still gains.
pub(super) fn find_runs(plane: &[u8], width: u8) -> Vec<Run> {
    let units = plane.chunks(DEFAULT_UNIT_BYTES);
    let candidates = join(
        units
            .zip(unit_zeros(plane, width))
            .map(|(unit, zeros)| Run {
                zeros,
                fields: unit.len() / usize::from(width / 8),
            }),
    );
    let chosen = choose_zeros(&candidates, width);
    let mut runs = join(candidates.iter().zip(chosen).map(|(candidate, zeros)| Run {
        zeros,
        fields: candidate.fields,
    }));
    sharpen(&mut runs, plane, width);
    runs
}

/// Makes one run of neighbours that have the same number of zero bits.
fn join(runs: impl Iterator<Item = Run>) -> Vec<Run> {
    let mut joined: Vec<Run> = Vec::new();
    for run in runs {
        match joined.last_mut() {
            Some(last) if last.zeros == run.zeros => last.fields += run.fields,
            _ => joined.push(run),
        }
    }
    joined
}

/// Chooses, for each candidate, the zero bits of the run that it becomes part of.
///
/// With `cost[z]` the fewest bits for all candidates so far if the last run has `z` zero bits, the
/// next candidate either belongs to that run or starts one, and stores its fields:
///
/// ```text
/// cost[z] = min(cost[z], min(cost) + a run) + fields * (width - z)    where it has z zero bits
/// ```
fn choose_zeros(candidates: &[Run], width: u8) -> Vec<u8> {
    const IMPOSSIBLE: u64 = u64::MAX / 2;
    const RUN_BITS: u64 = 8 * RUN_BYTES as u64;
    let mut cost = [0; MAX_ZEROS + 1];
    let cost = &mut cost[..=usize::from(width)];
    let cheapest = |cost: &[u64]| {
        let costs = (0..=width).zip(cost.iter().copied());
        costs.min_by_key(|&(_, cost)| cost).unwrap_or_default()
    };
    // For each candidate: the cheapest `z` before it, and a bit for each `z` that comes from there.
    let mut steps = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        let (before, before_cost) = cheapest(cost);
        let mut starts = 0u32;
        for (z, cost) in (0..=width).zip(cost.iter_mut()) {
            if before_cost + RUN_BITS < *cost {
                *cost = before_cost + RUN_BITS;
                starts |= 1 << z;
            }
            *cost = if z <= candidate.zeros {
                *cost + candidate.fields as u64 * u64::from(width - z)
            } else {
                IMPOSSIBLE
            };
        }
        steps.push((before, starts));
    }
    let (mut z, _) = cheapest(cost);
    let mut chosen = vec![0; candidates.len()];
    for (chosen, (before, starts)) in chosen.iter_mut().zip(steps).rev() {
        *chosen = z;
        if starts >> z & 1 == 1 {
            z = before;
        }
    }
    chosen
}

/// Moves borders from the unit to the field: the run with more zero bits gets all that fits it.
///
/// Something is left of the other one: if all of it fitted, `choose_zeros` would have made them one.
fn sharpen(runs: &mut [Run], plane: &[u8], width: u8) {
    let field_bytes = usize::from(width / 8);
    let zeros = |index: usize| {
        let mut field = [0; 8];
        let at = index * field_bytes;
        field[..field_bytes].copy_from_slice(&plane[at..at + field_bytes]);
        trailing_zeros(u64::from_le_bytes(field), width)
    };
    let mut start = 0;
    for i in 1..runs.len() {
        let (left, right) = (runs[i - 1], runs[i]);
        let unit_border = start + left.fields;
        let end = unit_border + right.fields;
        let border = if left.zeros > right.zeros {
            (unit_border..end).find(|&field| zeros(field) < left.zeros)
        } else {
            let last = (start..unit_border).rfind(|&field| zeros(field) < right.zeros);
            last.map(|field| field + 1)
        };
        let border = border.unwrap_or(unit_border);
        runs[i - 1].fields = border - start;
        runs[i].fields = end - border;
        start = border;
    }
}
