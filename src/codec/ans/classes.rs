//! Parts of a plane that get a table of their own, told apart by what coding them costs: that needs no
//! knowledge of what ids mean, so that it holds for numbers in two's complement and for bytes of two
//! nibbles alike.

use super::counts::{Counts, count};
use super::frequencies::{Frequencies, SLOT_BITS, coded_bits, normalize, stored_bits};
use super::lanes::LANES;
use super::layout::{Tables, choice_bits};
use crate::codec::symbol::log2;
use crate::simd::Simd;

/// log2 of the groups that share a choice: costs tell less of 256 ids than means do of floats, and a
/// choice of less than 512 costs more than it saves.
const SEGMENT_BITS: u8 = 2;
/// Ids in a segment.
const SEGMENT_IDS: usize = LANES << SEGMENT_BITS;
/// Segments that there must be for each table.
const ENOUGH_SEGMENTS: usize = 4;
/// How often tables are made of their segments and segments given to the cheapest table. The first time
/// gains most, further ones next to nothing.
const ROUNDS: usize = 2;
/// Costs are in so many parts of a bit.
const COST_PARTS: f32 = 16.0;
/// Ids whose costs are added in 16 bits: they stay below 13 bits each.
const RUN_IDS: usize = 256;
/// Tables whose costs are looked up together.
const TOGETHER: usize = 4;

/// Tables for at most `N` classes of segments, as many of them as save more than they cost.
pub(super) fn tables_of_classes<const N: usize>(simd: Simd, ids: &[u8]) -> Option<Tables> {
    let segments = ids.len().div_ceil(SEGMENT_IDS);
    if segments < ENOUGH_SEGMENTS * N {
        return None;
    }
    let mut choice = vec![0; segments];
    let all = count::<1>(simd, ids, SEGMENT_IDS, &choice);
    let of_all = Costs::new(&all.map(|counts| normalize(&counts)));
    let costs: Vec<u32> = ids
        .chunks(SEGMENT_IDS)
        .map(|segment| of_all.of(segment)[0])
        .collect();
    deal(&costs, N, &mut choice);
    let mut counts = count::<N>(simd, ids, SEGMENT_IDS, &choice);
    for _ in 0..ROUNDS {
        let (tables, numbers): (Vec<_>, Vec<u8>) = (0..)
            .zip(&counts)
            .filter(|(_, counts)| **counts != [0; 256])
            .map(|(number, counts)| (normalize(counts), number))
            .unzip();
        let costs: Vec<_> = tables.chunks(TOGETHER).map(Costs::new).collect();
        for (choice, segment) in choice.iter_mut().zip(ids.chunks(SEGMENT_IDS)) {
            let of_each = costs.iter().flat_map(|costs| costs.of(segment));
            let cheapest = of_each.zip(&numbers).min_by_key(|(cost, _)| *cost);
            *choice = cheapest.map_or(0, |(_, &number)| number);
        }
        counts = count::<N>(simd, ids, SEGMENT_IDS, &choice);
    }
    Some(join(&counts, choice, ids.len()))
}

/// Gives segments to as many classes of equal number, by what they cost.
fn deal(costs: &[u32], classes: usize, choice: &mut [u8]) {
    let mut sorted = costs.to_vec();
    sorted.sort_unstable();
    for (choice, cost) in choice.iter_mut().zip(costs) {
        *choice = (1..classes)
            .map(|class| u8::from(*cost >= sorted[class * sorted.len() / classes]))
            .sum();
    }
}

/// What each id costs in each of up to four tables, 16 bits for one.
struct Costs([u64; 256]);

impl Costs {
    fn new(tables: &[Frequencies]) -> Self {
        let mut costs = [0; 256];
        for place in 0..TOGETHER {
            for (id, costs) in costs.iter_mut().enumerate() {
                let cost = tables
                    .get(place)
                    .map_or(u64::from(u8::MAX), |table| cost(table[id]));
                *costs |= cost << (16 * place);
            }
        }
        Self(costs)
    }

    /// What a segment costs in each.
    fn of(&self, segment: &[u8]) -> [u32; TOGETHER] {
        let mut costs = [0; TOGETHER];
        for run in segment.chunks(RUN_IDS) {
            // Two sums in turn do not wait for each other.
            let (pairs, rest) = run.as_chunks::<2>();
            let (mut even, mut odd) = (0, 0);
            for &[a, b] in pairs {
                even += self.0[usize::from(a)];
                odd += self.0[usize::from(b)];
            }
            for &id in rest {
                even += self.0[usize::from(id)];
            }
            let sums: u64 = even + odd;
            for (place, cost) in costs.iter_mut().enumerate() {
                let [low, high, ..] = (sums >> (16 * place)).to_le_bytes();
                *cost += u32::from(u16::from_le_bytes([low, high]));
            }
        }
        costs
    }
}

/// What an id of this frequency costs; one that has none, a bit more than any other.
fn cost(frequency: u16) -> u64 {
    let bits = match frequency {
        0 => SLOT_BITS as f32 + 1.0,
        _ => SLOT_BITS as f32 - log2(frequency.into()),
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to 13 bits"
    )]
    let cost = (bits * COST_PARTS) as u64;
    cost
}

/// A class of segments.
struct Class {
    counts: Counts,
    table: Frequencies,
    bits: f64,
    /// Numbers of the classes that it was made of.
    numbers: Vec<u8>,
}

impl Class {
    /// `share` is the number of ids for each that was counted.
    fn new(counts: Counts, numbers: Vec<u8>, share: f64) -> Self {
        let table = normalize(&counts);
        let bits = coded_bits(&counts, &table) * share + stored_bits(&table) as f64;
        Self {
            counts,
            table,
            bits,
            numbers,
        }
    }

    fn with(&self, other: &Self, share: f64) -> Self {
        let counts = std::array::from_fn(|id| self.counts[id] + other.counts[id]);
        let numbers = [&self.numbers[..], &other.numbers].concat();
        Self::new(counts, numbers, share)
    }
}

/// Joins the two classes that lose least by it, again and again, down to one class: what of all this comes
/// to the fewest bits.
fn join<const N: usize>(counts: &[Counts; N], mut choice: Vec<u8>, ids: usize) -> Tables {
    let counted: u32 = counts.as_flattened().iter().sum();
    let share = ids as f64 / f64::from(counted.max(1));
    let mut classes: Vec<Class> = (0..)
        .zip(counts)
        .filter(|(_, counts)| **counts != [0; 256])
        .map(|(number, &counts)| Class::new(counts, vec![number], share))
        .collect();
    let bits_of = |classes: &[Class]| {
        let choices = usize::from(choice_bits(classes.len())) * choice.len();
        classes.iter().map(|class| class.bits).sum::<f64>() + choices as f64
    };
    let (mut best, mut best_bits) = (Vec::new(), f64::INFINITY);
    loop {
        let bits = bits_of(&classes);
        if bits < best_bits {
            best_bits = bits;
            best = classes
                .iter()
                .map(|class| (class.table, class.numbers.clone()))
                .collect();
        }
        let pairs = (1..classes.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
        let joined = pairs.map(|(a, b)| {
            let both = classes[a].with(&classes[b], share);
            let loss = both.bits - classes[a].bits - classes[b].bits;
            (loss, a, b, both)
        });
        let Some((_, a, b, both)) = joined.min_by(|one, other| one.0.total_cmp(&other.0)) else {
            break;
        };
        classes.remove(b);
        classes[a] = both;
    }
    let mut table_of = [0; N];
    for (table, (_, numbers)) in (0..).zip(&best) {
        for &number in numbers {
            table_of[usize::from(number)] = table;
        }
    }
    for choice in &mut choice {
        *choice = table_of[usize::from(*choice)];
    }
    Tables {
        frequencies: best.into_iter().map(|(table, _)| table).collect(),
        choice,
        segment_bits: SEGMENT_BITS,
    }
}
