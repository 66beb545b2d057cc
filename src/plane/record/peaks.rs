//! Groups of levels without their farthest one, which is kept apart with its place: quantizers scale each group
//! so that its farthest level is the last there is, so that it is known but for its place and its sign.

/// How levels of a group lie in their stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    /// Levels: 16 or 32.
    pub levels: usize,
    /// Bits of a level, if two share a byte.
    pub pairs: Option<u8>,
    /// Twice the level that stands for zero; 0 for levels that are signed bytes.
    pub zero: u8,
}

impl Group {
    /// Bytes of a group in the stream of all levels.
    pub(super) const fn bytes(self) -> usize {
        match self.pairs {
            Some(_) => self.levels / 2,
            None => self.levels,
        }
    }

    /// Takes groups apart, and appends for each its farthest level, its place, and the others, one in a byte.
    pub(super) fn take(
        self,
        levels: &[u8],
        places: &mut Vec<u8>,
        peaks: &mut Vec<u8>,
        rest: &mut Vec<u8>,
    ) {
        match self.levels {
            16 => self.take_groups::<16>(levels, places, peaks, rest),
            _ => self.take_groups::<32>(levels, places, peaks, rest),
        }
    }

    fn take_groups<const N: usize>(
        self,
        levels: &[u8],
        places: &mut Vec<u8>,
        peaks: &mut Vec<u8>,
        rest: &mut Vec<u8>,
    ) {
        let groups = levels.chunks_exact(self.bytes());
        let mut at = rest.len();
        // The last group writes one too many.
        rest.resize(at + groups.len() * (N - 1) + 1, 0);
        for group in groups {
            let spread = self.spread::<N>(group);
            let place = self.farthest(&spread);
            places.push(place);
            peaks.push(spread[usize::from(place) % N]);
            let mut behind = [0; N];
            behind[..N - 1].copy_from_slice(&spread[1..]);
            let mut others = [0; N];
            for (j, other) in (0..).zip(&mut others) {
                let (before, behind) = (spread[usize::from(j)], behind[usize::from(j)]);
                *other = if j < place { before } else { behind };
            }
            rest[at..at + N].copy_from_slice(&others);
            at += N - 1;
        }
        rest.truncate(at);
    }

    /// The first of the places with the farthest level.
    fn farthest<const N: usize>(self, levels: &[u8; N]) -> u8 {
        let distances = levels.map(|level| self.distance(level));
        let mut farthest = [0; N];
        farthest.copy_from_slice(&distances);
        // Each half against the other, so that compilers make vectors of it.
        let mut half = N / 2;
        while half > 0 {
            let (low, high) = farthest.split_at_mut(half);
            for (low, &high) in low.iter_mut().zip(&*high) {
                *low = high.max(*low);
            }
            half /= 2;
        }
        let [farthest, ..] = farthest[..] else {
            return 0;
        };
        let bits = distances.iter().rev().fold(0u32, |bits, &distance| {
            bits << 1 | u32::from(distance == farthest)
        });
        let [place, ..] = bits.trailing_zeros().to_le_bytes();
        place
    }

    /// How far a level is from zero, twice.
    const fn distance(self, level: u8) -> u8 {
        if self.zero == 0 {
            level.cast_signed().unsigned_abs()
        } else {
            level.wrapping_mul(2).abs_diff(self.zero)
        }
    }

    /// One level in a byte.
    fn spread<const N: usize>(self, group: &[u8]) -> [u8; N] {
        let mut levels = [0; N];
        let Some(bits) = self.pairs else {
            levels.copy_from_slice(group);
            return levels;
        };
        let (low, high) = levels.split_at_mut(N / 2);
        for (byte, (low, high)) in group.iter().zip(low.iter_mut().zip(high)) {
            *low = byte & ((1 << bits) - 1);
            *high = byte >> bits;
        }
        levels
    }

    /// Puts as many groups together as there is room for. `spread` is a buffer.
    pub(super) fn put(
        self,
        places: &[u8],
        peaks: &[u8],
        rest: &[u8],
        spread: &mut Vec<u8>,
        levels: &mut [u8],
    ) {
        let count = levels.len() / self.bytes();
        // Behind the last group there is room for what is written too far.
        let needed = (count + 1) * self.levels + 1;
        if spread.len() < needed {
            spread.resize(needed, 0);
        }
        match self.levels {
            16 => put_groups::<16>(places, peaks, rest, spread),
            _ => put_groups::<32>(places, peaks, rest, spread),
        }
        match self.pairs {
            None => levels.copy_from_slice(&spread[..levels.len()]),
            Some(bits) => {
                let groups = spread.chunks_exact(self.levels);
                for (group, spread) in levels.chunks_exact_mut(self.bytes()).zip(groups) {
                    let (low, high) = spread.split_at(self.levels / 2);
                    for (byte, (low, high)) in group.iter_mut().zip(low.iter().zip(high)) {
                        *byte = low & ((1 << bits) - 1) | high << bits;
                    }
                }
            }
        }
    }
}

/// Writes groups of `N` levels, as many as there are places, and not more than `2 * N` bytes behind the start of
/// the last one.
fn put_groups<const N: usize>(places: &[u8], peaks: &[u8], rest: &[u8], levels: &mut [u8]) {
    for (i, (&place, &peak)) in places.iter().zip(peaks).enumerate() {
        let place = usize::from(place) % N;
        let (from, to) = (i * (N - 1), i * N);
        // All of them, then those behind the peak once more, one place further up: copies of constant length.
        // What they write too far is written again by the next group.
        if let (Some(all), Some(behind)) = (
            rest[from..].first_chunk::<N>(),
            rest[from + place..].first_chunk::<N>(),
        ) {
            levels[to..to + N].copy_from_slice(all);
            levels[to + place + 1..to + place + 1 + N].copy_from_slice(behind);
        } else {
            let (before, behind) = rest[from..from + N - 1].split_at(place);
            levels[to..to + place].copy_from_slice(before);
            levels[to + place + 1..to + N].copy_from_slice(behind);
        }
        levels[to + place] = peak;
    }
}
