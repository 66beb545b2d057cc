//! The parts that a plane is cut into.

use crate::simd::Simd;

/// What `cut` makes of a plane.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::codec) struct Parts {
    pub(super) simd: Simd,
    /// One id an element.
    pub ids: Vec<u8>,
    /// Run of low bytes.
    pub low: Vec<u8>,
    /// Bit string.
    pub packed: Vec<u8>,
    /// Places of elements whose symbol has no id, with that symbol.
    pub exceptions: Vec<(u32, u16)>,
}

/// Which ids there are for symbols.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    /// Highest id.
    pub most_id: u8,
    /// The id that exceptions are coded as.
    pub stand_in: u8,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            simd: Simd::detect(),
            ids: Vec::new(),
            low: Vec::new(),
            packed: Vec::new(),
            exceptions: Vec::new(),
        }
    }
}

impl Parts {
    /// What the ids were cut with.
    pub const fn simd(&self) -> Simd {
        self.simd
    }

    /// How often each id occurs.
    pub fn counts(&self) -> [u32; 256] {
        // Four in turn: equal neighbours do not wait for each other's counter.
        let mut counts = [[0u32; 256]; 4];
        let (words, rest) = self.ids.as_chunks::<4>();
        for ids in words {
            for (counts, &id) in counts.iter_mut().zip(ids) {
                counts[usize::from(id)] += 1;
            }
        }
        for &id in rest {
            counts[0][usize::from(id)] += 1;
        }
        std::array::from_fn(|id| counts.iter().map(|counts| counts[id]).sum())
    }

    /// Notes the symbol of an element as an exception.
    pub(super) fn except(&mut self, place: usize, symbol: u16) {
        let place = u32::try_from(place).expect("invariant: a block has fewer elements than 2^32");
        self.exceptions.push((place, symbol));
    }
}
