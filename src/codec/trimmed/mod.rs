//! Planes in which runs of fields end in zero bits: of these fields only the rest is stored.
//!
//! Between the full values of a table of F32 there may be rows of f16 or bf16 values, where parts of
//! the model come from a training in that precision. Of the plane of low mantissa bits, which is
//! noise otherwise, these rows use the top 3 bits, or none. Subnormals of f16 use fewer still, so
//! that there are no exceptions to code.
//!
//! A coded plane is its runs, then the fields of each run:
//!
//! | bytes | |
//! |---|---|
//! | 4 | run 0: in bits 0 to 4 the number `z` of zero bits, at most `width`; in bits 5 to 31 the number `n` of fields, not zero |
//! | 4 | run 1, and so on until the runs hold all fields of the plane |
//! | `ceil(n * (width - z) / 8)` | the fields of run 0 without their `z` lowest bits, which are zero, as a plane of `n` fields of `width - z` bits |
//! | ... | the fields of run 1, and so on |
//!
//! Runs may meet at any field: rows cost the same wherever block boundaries cut the tensor. A run of
//! full fields is a copy, and a run of zeros takes no bytes.

#[cfg(test)]
mod tests;

use super::DEFAULT_LEAST_SAVING;
use crate::error::{Error, Result};

const RUN_BYTES: usize = 4;
/// Bits of a run that tell its zero bits; the others tell its number of fields.
const ZEROS_BITS: u32 = 5;
const MAX_RUN_FIELDS: usize = 0x07FF_FFFF;
/// Zero bits of a field of the widest planes.
const MAX_ZEROS: usize = 16;

/// Bytes that the writer looks at together to find runs: no longer than the rows of any table that
/// matters, and so long that noise does not look like a run.
const DEFAULT_UNIT_BYTES: usize = 32;
/// Bytes that are unpacked together: 8 fields of 16 bits or 16 fields of 8 bits.
const GROUP_BYTES: usize = 16;

/// Neighbouring fields that all end in so many zero bits, or in more.
#[derive(Debug, Clone, Copy)]
struct Run {
    zeros: u8,
    fields: usize,
}

impl Run {
    fn encode_to(self, out: &mut Vec<u8>) {
        let fields = u32::try_from(self.fields).expect("invariant: at most MAX_RUN_FIELDS");
        out.extend_from_slice(&(fields << ZEROS_BITS | u32::from(self.zeros)).to_le_bytes());
    }

    fn decode(bytes: [u8; RUN_BYTES], width: u8) -> Result<Self> {
        let zeros = bytes[0] & ((1 << ZEROS_BITS) - 1);
        match usize::try_from(u32::from_le_bytes(bytes) >> ZEROS_BITS) {
            Ok(fields) if fields > 0 && zeros <= width => Ok(Self { zeros, fields }),
            _ => Err(Error::corrupt("a trimmed plane has a run that cannot be")),
        }
    }
}

/// Appends the coded plane to `out` and returns true, if there are whole fields of 8 or 16 bits in it
/// and that saves enough.
pub(super) fn encode(plane: &[u8], width: u8, out: &mut Vec<u8>) -> bool {
    let Some(field_count) = field_count(plane, width) else {
        return false;
    };
    let wanted_bytes = plane.len() - plane.len() / DEFAULT_LEAST_SAVING;
    // No choice of runs saves more than a run for each unit, were it free. Where there is nothing to
    // save, this pass is all that the codec costs.
    let zeros: usize = unit_zeros(plane, width).map(usize::from).sum();
    let most_saved_bytes = zeros * DEFAULT_UNIT_BYTES / usize::from(width);
    if plane.len() >= wanted_bytes + most_saved_bytes || field_count > MAX_RUN_FIELDS {
        return false;
    }
    let before = out.len();
    let runs = find_runs(plane, width);
    for run in &runs {
        run.encode_to(out);
    }
    let mut rest = plane;
    for run in &runs {
        let (fields, behind) = rest.split_at(run.fields * usize::from(width / 8));
        pack(fields, width, run.zeros, out);
        rest = behind;
    }
    let saves = out.len() - before < wanted_bytes;
    if !saves {
        out.truncate(before);
    }
    saves
}

/// The number of fields, if their width is one that this codec has and the last one is whole.
fn field_count(plane: &[u8], width: u8) -> Option<usize> {
    let field_bytes = usize::from(width / 8);
    let whole = matches!(width, 8 | 16) && plane.len().is_multiple_of(field_bytes);
    whole.then(|| plane.len() / field_bytes)
}

/// How many zero bits all fields of each unit end in.
fn unit_zeros(plane: &[u8], width: u8) -> impl Iterator<Item = u8> {
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
fn find_runs(plane: &[u8], width: u8) -> Vec<Run> {
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

/// Appends the fields without their `zeros` lowest bits.
fn pack(fields: &[u8], width: u8, zeros: u8, out: &mut Vec<u8>) {
    if zeros == 0 {
        out.extend_from_slice(fields);
        return;
    }
    for group in fields.chunks(GROUP_BYTES) {
        let mut padded = [0; GROUP_BYTES];
        padded[..group.len()].copy_from_slice(group);
        let packed = pack_group(&padded, u32::from(width), u32::from(width - zeros));
        let bits = group.len() * 8 / usize::from(width) * usize::from(width - zeros);
        out.extend_from_slice(&packed[..bits.div_ceil(8)]);
    }
}

/// Decodes a plane of fields of `width` bits, 8 or 16.
///
/// # Errors
/// `Corrupt` if the coded bytes are not such a plane.
pub(super) fn decode_into(coded: &[u8], width: u8, plane: &mut [u8]) -> Result<()> {
    let Some(mut left) = field_count(plane, width) else {
        return Err(Error::corrupt(
            "a trimmed plane has fields of another width",
        ));
    };
    let (records, _) = coded.as_chunks();
    let mut run_count = 0;
    while left > 0 {
        let Some(&record) = records.get(run_count) else {
            return Err(Error::corrupt("a trimmed plane is cut off in its runs"));
        };
        let run = Run::decode(record, width)?;
        run_count += 1;
        left = left
            .checked_sub(run.fields)
            .ok_or_else(|| Error::corrupt("a trimmed plane has runs that are too long"))?;
    }
    let mut data = &coded[run_count * RUN_BYTES..];
    let mut plane = plane;
    for &record in &records[..run_count] {
        let run = Run::decode(record, width)?;
        let (fields, behind) = plane.split_at_mut(run.fields * usize::from(width / 8));
        let bits = run.fields * usize::from(width - run.zeros);
        let Some(packed) = data.get(..bits.div_ceil(8)) else {
            return Err(Error::corrupt("a trimmed plane is cut off in its fields"));
        };
        if !bits.is_multiple_of(8) && packed.last().is_some_and(|last| last >> (bits % 8) != 0) {
            return Err(Error::corrupt("a trimmed plane has bits behind a run"));
        }
        unpack(packed, data, width, width - run.zeros, fields);
        data = &data[packed.len()..];
        plane = behind;
    }
    if data.is_empty() {
        Ok(())
    } else {
        Err(Error::corrupt("a trimmed plane is followed by more bytes"))
    }
}

/// Fills the fields of a run from the `kept` bits of each that are in `packed`, which `data` starts
/// with.
fn unpack(packed: &[u8], data: &[u8], width: u8, kept: u8, fields: &mut [u8]) {
    // Widths that are constants become constant shifts and masks: twice as fast.
    macro_rules! unpack {
        ($width:literal: $($kept:literal)+) => {
            match kept {
                0 => fields.fill(0),
                $($kept => unpack_groups::<$width, $kept>(data, fields),)+
                _ => fields.copy_from_slice(packed),
            }
        };
    }
    if width == 8 {
        unpack!(8: 1 2 3 4 5 6 7);
    } else {
        unpack!(16: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    }
}

/// What `data` holds behind the run does no harm: it becomes fields that are not there.
fn unpack_groups<const WIDTH: u32, const KEPT: u32>(data: &[u8], fields: &mut [u8]) {
    let mut data = data;
    for group in fields.chunks_mut(GROUP_BYTES) {
        match (group.first_chunk_mut(), data.first_chunk()) {
            (Some(group), Some(packed)) => *group = unpack_group::<WIDTH, KEPT>(packed),
            _ => {
                let mut packed = [0; GROUP_BYTES];
                let len = data.len().min(GROUP_BYTES);
                packed[..len].copy_from_slice(&data[..len]);
                let unpacked = unpack_group::<WIDTH, KEPT>(&packed);
                group.copy_from_slice(&unpacked[..group.len()]);
            }
        }
        data = data
            .get(GROUP_BYTES / WIDTH as usize * KEPT as usize..)
            .unwrap_or_default();
    }
}

/// Takes packed fields apart, half by half, until each has its own lane:
///
/// ```text
/// 4 fields of 3 bits                dddcccbbbaaa
/// lanes of 32 bits      ......dddccc|......bbbaaa
/// lanes of 16 bits    ...ddd|...ccc|...bbb|...aaa
/// fields              ddd...|ccc...|bbb...|aaa...
/// ```
#[inline(always)]
fn unpack_group<const WIDTH: u32, const KEPT: u32>(
    packed: &[u8; GROUP_BYTES],
) -> [u8; GROUP_BYTES] {
    let word_bits = 64 / WIDTH * KEPT;
    let second = load(packed, (word_bits / 8) as usize) >> (word_bits % 8);
    let mut words = [load(packed, 0), second];
    halve_lanes::<32, WIDTH, KEPT>(&mut words);
    halve_lanes::<16, WIDTH, KEPT>(&mut words);
    if WIDTH == 8 {
        halve_lanes::<8, WIDTH, KEPT>(&mut words);
    }
    let mut fields = [0; GROUP_BYTES];
    for (bytes, word) in fields.chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&(word << (WIDTH - KEPT)).to_le_bytes());
    }
    fields
}

/// Moves the upper half of the fields in each lane to the next lane of `LANE` bits.
#[inline(always)]
fn halve_lanes<const LANE: u32, const WIDTH: u32, const KEPT: u32>(words: &mut [u64; 2]) {
    let half_bits = LANE / WIDTH * KEPT;
    let low = const { low_halves(LANE, LANE / WIDTH * KEPT) };
    for word in words {
        *word = *word & low | (*word & low << half_bits) << (LANE - half_bits);
    }
}

/// The steps of `unpack_group` backwards.
fn pack_group(fields: &[u8; GROUP_BYTES], width: u32, kept: u32) -> [u8; GROUP_BYTES] {
    let mut words = [load(fields, 0), load(fields, 8)];
    for word in &mut words {
        *word >>= width - kept;
    }
    for lane_bits in [8, 16, 32] {
        if lane_bits >= width {
            let half_bits = lane_bits / width * kept;
            let low = low_halves(lane_bits, half_bits);
            for word in &mut words {
                *word = *word & low | *word >> (lane_bits - half_bits) & low << half_bits;
            }
        }
    }
    let [first, second] = words.map(u128::from);
    (first | second << (64 / width * kept)).to_le_bytes()
}

/// The low `half_bits` of every other lane.
#[inline(always)]
const fn low_halves(lane_bits: u32, half_bits: u32) -> u64 {
    let mut mask = (1 << half_bits) - 1;
    let mut bits = 2 * lane_bits;
    while bits < 64 {
        mask |= mask << bits;
        bits *= 2;
    }
    mask
}

#[inline(always)]
fn load(bytes: &[u8; GROUP_BYTES], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}
