//! How likely elements of each key are to be changed.
//!
//! A chance is the logarithm of how many are changed to how many are equal: in steps of a quarter of an octave, 48 where they
//! are as many, at most 96. Stored are 6 bits for the lowest key that has one and for how many follow; 4 bits for a Rice
//! parameter; 7 bits for the first chance; and for each of the others how far it lies from the one before, zigzag, as a
//! Rice code. Other keys do not occur.

use super::layout::{KEY_BITS, KEYS};
use crate::codec::ans::FlagTables;
use crate::codec::ans::frequencies::SLOTS;
use crate::codec::rice::{put_rice, rice_bits, rice_length, take_rice, unzigzag, zigzag};
use crate::codec::symbol::log2;
use crate::plane::{BitReader, BitWriter};

const STEPS: usize = 4;
const EVEN: u8 = 48;
const MOST: u8 = 2 * EVEN;
const CHANCE_BITS: u8 = 7;
const RICE_BITS: u8 = 4;

/// The chances of some keys.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Chances {
    lowest: u8,
    chances: Vec<u8>,
}

impl Chances {
    /// Of elements of which so many of each key are equal, and so many changed.
    pub fn of(equal: &[u32; KEYS], changed: &[u32; KEYS]) -> Self {
        let keys = || equal.iter().copied().zip(changed.iter().copied());
        let occurs = |counts: (u32, u32)| counts != (0, 0);
        let lowest = keys().position(occurs).unwrap_or(0);
        let highest = keys().rposition(occurs).unwrap_or(0);
        let mut before = EVEN;
        let chances = keys().take(highest + 1).skip(lowest).map(|counts| {
            if occurs(counts) {
                before = nearest(counts);
            }
            before
        });
        Self {
            chances: chances.collect(),
            lowest: lowest.to_le_bytes()[0],
        }
    }

    /// How many slots are those of changed elements, by key. Behind the keys it is the one that is least.
    pub fn tables(&self) -> FlagTables {
        let mut tables = FlagTables([slots(EVEN); KEYS + 1]);
        for (slot, &chance) in tables.0[self.lowest.into()..].iter_mut().zip(&self.chances) {
            *slot = slots(chance);
        }
        tables.0[KEYS] = 1;
        tables
    }

    fn steps(&self) -> impl Iterator<Item = u32> + Clone {
        let steps = self.chances.windows(2);
        steps.map(|pair| zigzag(i32::from(pair[1]) - i32::from(pair[0])))
    }

    pub fn stored_bits(&self) -> usize {
        let rice = rice_bits(self.steps());
        let steps: usize = self.steps().map(|step| rice_length(step, rice)).sum();
        usize::from(2 * KEY_BITS + RICE_BITS + CHANCE_BITS) + steps
    }

    pub fn put(&self, out: &mut BitWriter<'_>) {
        out.put(self.lowest.into(), KEY_BITS);
        out.put(self.chances.len() as u64 - 1, KEY_BITS);
        let rice = rice_bits(self.steps());
        out.put(rice.into(), RICE_BITS);
        out.put(
            self.chances.first().copied().unwrap_or(EVEN).into(),
            CHANCE_BITS,
        );
        for step in self.steps() {
            put_rice(step, rice, out);
        }
    }

    /// What `put` wrote, or `None`.
    pub fn take(from: &mut BitReader<'_>) -> Option<Self> {
        let [lowest, ..] = from.take(KEY_BITS).to_le_bytes();
        let more = from.take(KEY_BITS);
        if u64::from(lowest) + more >= KEYS as u64 {
            return None;
        }
        let [rice, ..] = from.take(RICE_BITS).to_le_bytes();
        let [mut chance, ..] = from.take(CHANCE_BITS).to_le_bytes();
        let mut chances = Vec::new();
        for _ in 0..more {
            chances.push(chance);
            let next = i32::from(chance).checked_add(unzigzag(take_rice(from, rice)?))?;
            chance = u8::try_from(next).ok()?;
        }
        chances.push(chance);
        let sound = chances.iter().all(|&chance| chance <= MOST);
        sound.then_some(Self { lowest, chances })
    }
}

fn nearest((equal, changed): (u32, u32)) -> u8 {
    // As if there were a bit more of each, of which there may be none.
    let octaves = log2(changed.saturating_mul(3) | 1) - log2(equal.saturating_mul(3) | 1);
    let steps = (octaves * STEPS as f32).round() + f32::from(EVEN);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within the bounds"
    )]
    let steps = steps.clamp(0.0, MOST.into()) as u8;
    steps
}

/// How many of the slots a chance comes to.
fn slots(chance: u8) -> u16 {
    /// Powers of 2 by quarters, times 2^16.
    const QUARTERS: [u64; STEPS] = [65536, 77936, 92682, 110_218];
    const EVEN_ODDS: u64 = QUARTERS[0] << (EVEN as usize / STEPS);
    let odds = QUARTERS[usize::from(chance) % STEPS] << (usize::from(chance) / STEPS);
    let all = odds + EVEN_ODDS;
    let slots = (odds * SLOTS as u64 + all / 2) / all;
    let [low, high, ..] = slots.clamp(1, SLOTS as u64 - 1).to_le_bytes();
    u16::from_le_bytes([low, high])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn chances_come_back(
            counts in prop::collection::vec((0u32..100_000, 0u32..100_000), 1..KEYS),
            from in 0..KEYS,
        ) {
            let (mut equal, mut changed) = ([0; KEYS], [0; KEYS]);
            for (place, counts) in (from..KEYS).zip(counts) {
                (equal[place], changed[place]) = counts;
            }
            let chances = Chances::of(&equal, &changed);
            let mut stored = vec![0; chances.stored_bits().div_ceil(8)];
            let mut writer = BitWriter::new(&mut stored);
            chances.put(&mut writer);
            writer.finish();
            prop_assert_eq!(Chances::take(&mut BitReader::new(&stored)), Some(chances.clone()));
            let tables = chances.tables();
            for (slots, (&equal, &changed)) in tables.0.iter().zip(equal.iter().zip(&changed)) {
                let all = equal + changed;
                let share = SLOTS as f64 * f64::from(changed) / f64::from(all);
                let slots = f64::from(*slots);
                prop_assert!(all < 100 || slots < 1.2 * share + 5.0 && slots > 0.8 * share - 5.0);
            }
        }

        #[test]
        fn garbage_is_no_chances(garbage in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some(chances) = Chances::take(&mut BitReader::new(&garbage)) {
                let tables = chances.tables();
                prop_assert!(tables.0.iter().all(|&slots| (1..SLOTS).contains(&slots.into())));
            }
        }
    }
}
