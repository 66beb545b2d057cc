//! Which kernel decodes groups, and what all of them get and promise.
//!
//! A kernel decodes the groups of `ids`, one after the other, as long as `GROUP_WORD_BYTES` are
//! left behind `at`, moves `at` behind the words it took and returns how many ids it wrote. Every
//! state may hold anything; what comes of states and words that no encoder made is arbitrary ids.

#[cfg(target_arch = "x86_64")]
use super::avx2;
#[cfg(target_arch = "x86_64")]
use super::avx512;
use super::lanes::{GROUP_WORD_BYTES, LANES, States};
use super::portable;
use super::slot_table::SlotTable;
#[cfg(target_arch = "x86_64")]
use super::slot_table::in_registers;
use crate::error::{Error, Result};
use crate::simd::Simd;

/// Decodes `ids`, whole groups, with a table that was prepared for `simd`.
///
/// # Errors
/// `Corrupt` if the words end too early.
pub(super) fn decode(
    simd: Simd,
    table: &SlotTable,
    states: &mut States,
    words: &[u8],
    at: &mut usize,
    ids: &mut [u8],
) -> Result<()> {
    to_the_end::<_, LANES>(words, at, ids, |_, words, at, ids| {
        run(simd, table, states, words, at, ids)
    })
}

/// Runs a kernel over all of `ids`, also where fewer words are left than it looks at. The kernel gets
/// the place of its ids among all, words, the place in those, and ids. Of what it puts in their place a group has
/// `GROUP`.
///
/// # Errors
/// `Corrupt` if the words end too early.
pub(super) fn to_the_end<T, const GROUP: usize>(
    words: &[u8],
    at: &mut usize,
    ids: &mut [T],
    mut kernel: impl FnMut(usize, &[u8], &mut usize, &mut [T]) -> usize,
) -> Result<()> {
    let mut done = kernel(0, words, at, ids);
    // Near the end of the words the rest of them, in a buffer long enough for every kernel.
    while done < ids.len() {
        let mut padded = [0; 2 * GROUP_WORD_BYTES];
        let rest = words.get(*at..).unwrap_or_default();
        let rest = &rest[..rest.len().min(GROUP_WORD_BYTES)];
        padded[..rest.len()].copy_from_slice(rest);
        let mut taken = 0;
        kernel(done, &padded, &mut taken, &mut ids[done..done + GROUP]);
        if taken > rest.len() {
            return Err(Error::corrupt("a coded plane ends too early"));
        }
        *at += taken;
        done += GROUP;
    }
    Ok(())
}

fn run(
    simd: Simd,
    table: &SlotTable,
    states: &mut States,
    words: &[u8],
    at: &mut usize,
    ids: &mut [u8],
) -> usize {
    #[cfg(target_arch = "x86_64")]
    {
        if in_registers(table.bucket_bits, simd) {
            return avx512::decode_buckets(simd, &table.buckets, states, words, at, ids);
        }
        if simd.avx512() {
            return avx512::decode_slots(simd, &table.slots, states, words, at, ids);
        }
        if simd.avx2() {
            return avx2::decode(simd, &table.slots, states, words, at, ids);
        }
    }
    let _ = simd;
    portable::decode(&table.slots, states, words, at, ids)
}
