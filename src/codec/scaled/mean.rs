//! The mean that is expected of an element: the product of one of its row and one of its column, in
//! units of its scale.
//!
//! Both are kept as half octaves, `round(2 log2 |mean|)`, with the sign below: `half << 1 | sign`.

/// The bit of a field that is the sign.
pub(super) const SIGN: u16 = 1 << 15;
/// Bins of means, each with tables of its own. Bin 0 is no mean, the others are an octave each.
pub(super) const BINS: usize = 8;
const MAX_BIN: i16 = 7;
const _: () = assert!(MAX_BIN as usize + 1 == BINS);
/// Means below this number of half octaves are none: what they tell of an element is less than
/// their sign takes.
const MIN_HALVES: i16 = -8;
const MAX_HALVES: i16 = 40;
/// No mean, whatever it is multiplied with.
pub(super) const NONE: i16 = -64 << 1;

/// The kept form of a mean.
pub(super) fn quantize(mean: f32) -> i16 {
    let halves = (2.0 * mean.abs().log2()).round();
    if halves >= f32::from(MIN_HALVES) {
        #[expect(clippy::cast_possible_truncation, reason = "whole and limited")]
        let halves = halves.min(f32::from(MAX_HALVES)) as i16;
        halves << 1 | i16::from(mean < 0.0)
    } else {
        NONE
    }
}

/// What is stored of a mean as a number: half octaves, one below the least for none.
pub(super) fn stored(mean: i16) -> i16 {
    (mean >> 1).max(MIN_HALVES - 1)
}

/// The mean of such a number; `sign` is asked for if it has one.
pub(super) fn from_stored(halves: i16, sign: impl FnOnce() -> bool) -> i16 {
    if halves < MIN_HALVES {
        NONE
    } else {
        halves.min(MAX_HALVES) << 1 | i16::from(sign())
    }
}

/// True unless it is none.
pub(super) const fn has_sign(mean: i16) -> bool {
    mean >> 1 >= MIN_HALVES
}

/// The bin of a product, and its sign at the place of a field's.
///
/// The product is in bin `round(log2 |product| + 3.25) + 1`, as far as there is one.
#[inline(always)]
pub(super) fn bin(row: i16, column: i16) -> (u8, u16) {
    let halves = (row >> 1) + (column >> 1);
    let [bin, _] = ((halves + 9) >> 1).clamp(0, MAX_BIN).to_le_bytes();
    (bin, (row ^ column).cast_unsigned() << 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_fall_into_their_bins() {
        for (row, column, expected) in [
            (1.0, 1.0, 4),
            (-1.0, 1.0, 4),
            (0.125, 1.0, 1),
            (0.05, 1.0, 0),
            (0.0, 1e9, 0),
            (f32::NAN, 8.0, 0),
            (-8.0, -8.0, 7),
            (f32::INFINITY, f32::INFINITY, 7),
        ] {
            let (row_mean, column_mean) = (quantize(row), quantize(column));
            let (bin, sign) = bin(row_mean, column_mean);
            assert_eq!(bin, expected, "{row} {column}");
            if bin > 0 {
                assert_eq!(sign == SIGN, row * column < 0.0);
            }
            for mean in [row_mean, column_mean] {
                assert_eq!(from_stored(stored(mean), || mean & 1 == 1), mean);
                assert_eq!(has_sign(mean), mean != NONE);
            }
        }
    }
}
