//! Levels of quantized weights, in groups and in records.

use fastrand::Rng;
use weightfs::codec::Groups;
use weightfs::plane::record::{Meaning, RecordLayout};

/// Groups of a plane, with a key each.
#[derive(Debug, Clone)]
pub struct LevelGroups {
    keys: Vec<u8>,
    fields: usize,
    pairs: Option<u8>,
}

impl LevelGroups {
    /// Groups of up to so many fields, by two decisions; none for the first being 0.
    pub fn new(fields: u8, how: u8, count: usize) -> Option<Self> {
        let fields = usize::from(fields % 40);
        let groups = count.checked_div(fields)?;
        let mut random = Rng::with_seed(how.into());
        let spread = 1 << (how % 8);
        Some(Self {
            keys: (0..groups)
                .map(|_| 100u8.wrapping_add(random.u8(..spread)))
                .collect(),
            fields,
            pairs: [None, Some(4), Some(3), None][usize::from(how >> 6)],
        })
    }

    /// As codecs take them.
    pub fn groups(&self) -> Groups<'_> {
        Groups {
            keys: &self.keys,
            fields: self.fields,
            pairs: self.pairs,
        }
    }

    /// Levels of all groups, spread as the key says.
    pub fn levels(&self, seed: u32) -> Vec<u8> {
        let mut random = Rng::with_seed(seed.into());
        let keys = self
            .keys
            .iter()
            .flat_map(|&key| std::iter::repeat_n(key, self.fields));
        keys.map(|key| match self.pairs {
            None => level(&mut random, key, 8),
            Some(bits) => level(&mut random, key, bits) | level(&mut random, key, bits) << bits,
        })
        .collect()
    }
}

/// A number of so many bits, the nearer to the middle the more often.
fn level(random: &mut Rng, key: u8, bits: u8) -> u8 {
    let noise = random.u8(..) & random.u8(..) & (u8::MAX >> (key % 5));
    (noise >> (8 - bits)).wrapping_add(1 << (bits - 1)) & (u8::MAX >> (8 - bits))
}

/// Records whose groups have steps of different sizes, or anything.
pub fn records(layout: RecordLayout, count: usize, kind: u8, seed: u32) -> Vec<u8> {
    let mut random = Rng::with_seed(seed.into());
    let mut records = vec![0; count * layout.bytes()];
    if kind % 4 == 3 {
        random.fill(&mut records);
        return records;
    }
    let planes: Vec<Vec<u8>> = layout
        .streams()
        .iter()
        .map(|stream| {
            let len = count * stream.bytes();
            let record = |i: usize| (i / stream.bytes()) as u8;
            (0..len)
                .map(|i| match stream.meaning {
                    Meaning::Half if i % 2 == 1 => 0x20 + record(i) % 8,
                    Meaning::Half => random.u8(..1 << (kind % 8)),
                    Meaning::Scales => random.u8(..64),
                    _ => level(&mut random, record(i), 8),
                })
                .collect()
        })
        .collect();
    let planes: Vec<&[u8]> = planes.iter().map(Vec::as_slice).collect();
    layout.put(&planes, &mut records);
    records
}
