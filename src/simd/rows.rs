//! Sums of rows of numbers.
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "a function for one set of instructions")
)]

use super::Simd;

/// Numbers in a row.
pub(crate) const ROW: usize = 16;

impl Simd {
    /// Adds each row so many times to `sums`. Sums and products wrap.
    #[inline(always)]
    pub(crate) fn add_rows<'a>(
        self,
        sums: &mut [u32; ROW],
        rows: impl Iterator<Item = (&'a [u32; ROW], u32)>,
    ) {
        #[cfg(target_arch = "x86_64")]
        if self.avx512() {
            // SAFETY: the value shows that the machine has these instructions.
            return unsafe { add_rows_avx512(sums, rows) };
        }
        for (row, times) in rows {
            for (sum, number) in sums.iter_mut().zip(row) {
                *sum = sum.wrapping_add(number.wrapping_mul(times));
            }
        }
    }
}

/// Compilers that are left alone gather single numbers of many rows.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f")]
fn add_rows_avx512<'a>(sums: &mut [u32; ROW], rows: impl Iterator<Item = (&'a [u32; ROW], u32)>) {
    use super::avx512::{load_lanes, store_lanes};
    use std::arch::x86_64::{_mm512_add_epi32, _mm512_mullo_epi32, _mm512_set1_epi32};

    let mut sum = load_lanes(sums);
    for (row, times) in rows {
        let times = _mm512_set1_epi32(times.cast_signed());
        sum = _mm512_add_epi32(sum, _mm512_mullo_epi32(load_lanes(row), times));
    }
    store_lanes(sum, sums);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_alike() {
        let mut random = fastrand::Rng::with_seed(1);
        let rows: Vec<([u32; ROW], u32)> = (0..50)
            .map(|_| (std::array::from_fn(|_| random.u32(..)), random.u32(..)))
            .collect();
        let sums = |simd: Simd| {
            let mut sums = [7; ROW];
            simd.add_rows(&mut sums, rows.iter().map(|(row, times)| (row, *times)));
            sums
        };
        for simd in Simd::available() {
            assert_eq!(sums(simd), sums(Simd::PORTABLE));
        }
    }
}
