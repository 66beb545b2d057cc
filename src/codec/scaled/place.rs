//! From the place of an element to its table, its octave, and the sign it is expected to have.

use super::ids::{MANTISSA_BITS, PHASE_BITS, PHASES};
use super::mean::{SIGN, bin};

/// What is stored of a part of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub scale: i16,
    /// In the form of `mean`; of no meaning if its columns have none.
    pub mean: i16,
}

/// What is stored of the columns of a matrix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::codec) struct Columns {
    pub scales: Vec<i16>,
    /// In the form of `mean`, or none at all.
    pub means: Vec<i16>,
}

/// The number of the table and the base of each of a run of elements of one row.
///
/// A base is that of the element's octave, shifted to where a field has its symbol, which is
/// `raw_bits` up; the bit of the sign is set if the mean is negative. `columns` are those of the
/// matrix, and the run starts at column `first`; or there is none.
pub(super) fn fill(
    row: Row,
    columns: Option<(&Columns, usize)>,
    (base, raw_bits): (u16, u8),
    tables: &mut [u8],
    bases: &mut [u16],
) {
    let base = base << raw_bits;
    let octave_bits = MANTISSA_BITS + raw_bits;
    let place = |scale: i16| {
        let octave = (scale >> PHASE_BITS).cast_unsigned();
        let [phase, _] = scale.to_le_bytes();
        (
            phase % PHASES.to_le_bytes()[0],
            base.wrapping_add(octave << octave_bits) & !SIGN,
        )
    };
    let Some((columns, first)) = columns else {
        let (table, base) = place(row.scale);
        tables.fill(table);
        bases.fill(base);
        return;
    };
    let scales = &columns.scales[first..];
    let places = tables.iter_mut().zip(bases);
    if columns.means.is_empty() {
        for ((table, base), &scale) in places.zip(scales) {
            (*table, *base) = place(row.scale.wrapping_add(scale));
        }
        return;
    }
    let means = scales.iter().zip(&columns.means[first..]);
    for ((table, base), (&scale, &mean)) in places.zip(means) {
        let (phase, from) = place(row.scale.wrapping_add(scale));
        let (bin, sign) = bin(row.mean, mean);
        *table = bin << PHASE_BITS | phase;
        *base = from | sign;
    }
}
