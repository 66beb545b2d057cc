//! Decides the extents of a file: where which element type stands.
//!
//! Neighbours of one type become one extent. Tensors too small to fill blocks of their own join a
//! neighbour, so that ten thousand small tensors do not cost ten thousand blocks.

use std::ops::Range;

use super::header::read_typed;
use super::read_at::ReadAt;
use super::tensor::TypedRange;
use crate::error::Result;
use crate::format::{ElementType, Extent, MAX_EXTENTS};

/// An extent shorter than this joins a neighbour. A quarter of a block: what a wrong type costs in
/// ratio on so few bytes is less than what a block of their own costs.
const ENOUGH_EXTENT_BYTES: u64 = 64 * 1024;

/// The extents of a file, whatever it holds: a file that is no model is one extent of bytes.
///
/// # Errors
/// As `ReadAt::read_at`.
pub fn extents(file: &(impl ReadAt + ?Sized)) -> Result<Vec<Extent>> {
    extents_with_cuts(file, &[])
}

/// The same, where no extent goes on over some places, which are sorted.
///
/// # Errors
/// As `ReadAt::read_at`.
pub fn extents_with_cuts(file: &(impl ReadAt + ?Sized), cuts: &[u64]) -> Result<Vec<Extent>> {
    let of_bytes = || tiled(&[], file.file_bytes());
    Ok(of_model(file, cuts)?.unwrap_or_else(of_bytes))
}

/// The same of a model; `None` if the file is none.
///
/// # Errors
/// As `ReadAt::read_at`.
pub fn of_model(file: &(impl ReadAt + ?Sized), cuts: &[u64]) -> Result<Option<Vec<Extent>>> {
    let header = read_typed(file)?;
    Ok(header.map(|header| tile(header.end, &header.tensors, file.file_bytes(), cuts)))
}

/// Extents of a file of which so much is known, sorted by place; all else is bytes.
pub fn tiled(ranges: &[TypedRange], file_bytes: u64) -> Vec<Extent> {
    tile(0, ranges, file_bytes, &[])
}

/// The tensors of a file with two or more dimensions, as `tensors`.
///
/// # Errors
/// As `ReadAt::read_at`.
pub fn matrices(file: &(impl ReadAt + ?Sized)) -> Result<Vec<TypedRange>> {
    tensors_that(file, |typed| typed.columns.is_some())
}

/// The tensors of a file that are not empty, sorted by place; of those that overlap the first only.
///
/// # Errors
/// As `ReadAt::read_at`.
pub fn tensors(file: &(impl ReadAt + ?Sized)) -> Result<Vec<TypedRange>> {
    tensors_that(file, |_| true)
}

fn tensors_that(
    file: &(impl ReadAt + ?Sized),
    are_wanted: impl Fn(&TypedRange) -> bool,
) -> Result<Vec<TypedRange>> {
    let mut ranges = read_typed(file)?.map_or_else(Vec::new, |header| header.tensors);
    ranges.retain(|typed| are_wanted(typed) && !typed.range.is_empty());
    let mut end = 0;
    ranges.retain(|typed| {
        let is_free = typed.range.start >= end;
        end = end.max(typed.range.end);
        is_free
    });
    Ok(ranges)
}

fn extent(range: Range<u64>, element: ElementType) -> Option<Extent> {
    (range.start < range.end).then(|| Extent {
        start: range.start,
        len: range.end - range.start,
        element,
    })
}

/// Extents that tile the whole file, from tensors sorted by place.
fn tile(header_end: u64, ranges: &[TypedRange], file_bytes: u64, cuts: &[u64]) -> Vec<Extent> {
    let mut least_bytes = ENOUGH_EXTENT_BYTES;
    loop {
        let mut extents: Vec<_> = extent(0..header_end, ElementType::Bytes)
            .into_iter()
            .collect();
        let mut data = Merger::new(least_bytes, cuts);
        let mut at = header_end;
        for typed in ranges {
            // Gaps are bytes; of two tensors that overlap, the first one has the overlap.
            let start = whole_from(typed, at);
            data.push(extent(at..start, ElementType::Bytes));
            at = at.max(typed.range.end);
            let mut from = start;
            let first = cuts.partition_point(|&cut| cut <= start);
            let inside = cuts[first..].iter().take_while(|&&cut| cut < at);
            for &cut in inside {
                // Elements stay whole.
                let cut = cut - (cut - start) % u64::from(typed.element.bytes());
                data.push(extent(from..cut, typed.element));
                from = cut;
            }
            data.push(extent(from..at, typed.element));
        }
        data.push(extent(at..file_bytes, ElementType::Bytes));
        extents.extend(data.extents);
        if extents.len() as u64 <= MAX_EXTENTS {
            return extents;
        }
        least_bytes *= 2;
    }
}

/// Where the first whole element of a tensor starts at or behind a place, if it has one there.
fn whole_from(typed: &TypedRange, at: u64) -> u64 {
    let bytes = u64::from(typed.element.bytes());
    let passed = at.saturating_sub(typed.range.start).div_ceil(bytes);
    let start = typed
        .range
        .start
        .saturating_add(passed.saturating_mul(bytes));
    start.min(typed.range.end).max(at)
}

/// Appends extents, merging each with the one before where that pays.
struct Merger<'a> {
    least_bytes: u64,
    /// Places that none goes on over.
    cuts: &'a [u64],
    extents: Vec<Extent>,
}

impl<'a> Merger<'a> {
    const fn new(least_bytes: u64, cuts: &'a [u64]) -> Self {
        Self {
            least_bytes,
            cuts,
            extents: Vec::new(),
        }
    }

    fn push(&mut self, next: Option<Extent>) {
        let Some(next) = next else { return };
        let is_cut = self.cuts.binary_search(&next.start).is_ok();
        if !is_cut
            && let Some(last) = self.extents.last_mut()
            && let Some(element) = merged_element(last, &next, self.least_bytes)
        {
            last.element = element;
            last.len += next.len;
        } else {
            self.extents.push(next);
        }
    }
}

/// The type of two neighbours together; `None` if they stay apart.
fn merged_element(last: &Extent, next: &Extent, least_bytes: u64) -> Option<ElementType> {
    // The elements of the merged extent count from its start, so what is to be coded by its type must
    // lie a whole number of its elements behind it. Records of 144 bytes do not, behind a norm of 4 KiB.
    let is_whole =
        |part: &Extent| (part.start - last.start).is_multiple_of(part.element.bytes().into());
    if last.element == next.element && is_whole(next) {
        return Some(last.element);
    }
    let larger = if last.len >= next.len { last } else { next };
    let (last_is_small, next_is_small) = (last.len < least_bytes, next.len < least_bytes);
    if is_whole(larger) && (last_is_small || next_is_small) {
        Some(larger.element)
    } else {
        (last_is_small && next_is_small).then_some(ElementType::Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Geometry;
    use ElementType::{Bf16, Bytes, F32, I64, Q4K, Q6K};
    use proptest::prelude::*;

    fn typed(pieces: &[(u64, u64, ElementType)]) -> Vec<TypedRange> {
        pieces
            .iter()
            .map(|&(start, end, element)| TypedRange {
                range: start..end,
                element,
                columns: None,
            })
            .collect()
    }

    fn tiled(pieces: &[(u64, u64, ElementType)], file_bytes: u64) -> Vec<(u64, ElementType)> {
        let extents = tile(100, &typed(pieces), file_bytes, &[]);
        Geometry::new(4096, &extents).unwrap();
        extents.iter().map(|e| (e.len, e.element)).collect()
    }

    const M: u64 = 1 << 20;

    #[test]
    fn neighbours_of_one_type_are_one_extent() {
        let pieces = [(100, M, Bf16), (M, 2 * M, Bf16), (2 * M, 4 * M, F32)];
        assert_eq!(
            tiled(&pieces, 4 * M),
            [(100, Bytes), (2 * M - 100, Bf16), (2 * M, F32)]
        );
    }

    #[test]
    fn small_tensors_join_a_large_neighbour() {
        let pieces = [(100, M, Bf16), (M, M + 8, I64), (M + 8, 2 * M, Bf16)];
        assert_eq!(tiled(&pieces, 2 * M), [(100, Bytes), (2 * M - 100, Bf16)]);
        // One that would shift the elements of what follows stays apart from it.
        let pieces = [(100, M, Bf16), (M, M + 1, Bytes), (M + 1, 2 * M + 1, Bf16)];
        assert_eq!(
            tiled(&pieces, 2 * M + 1),
            [(100, Bytes), (M + 1 - 100, Bf16), (M, Bf16)]
        );
    }

    #[test]
    fn what_follows_a_small_tensor_keeps_the_phase_of_its_elements() {
        // Also where the first part is the larger one.
        let pieces = [(100, 2 * M, Bf16), (2 * M, 2 * M + 1, Bytes)];
        let pieces = [&pieces[..], &[(2 * M + 1, 3 * M + 1, Bf16)]].concat();
        assert_eq!(
            tiled(&pieces, 3 * M + 1),
            [(100, Bytes), (2 * M + 1 - 100, Bf16), (M, Bf16)]
        );
        let (large, norm) = (144 * 7000, 4096);
        let (second, third) = (100 + large + norm, 100 + 2 * (large + norm));
        let pieces = [
            (100, 100 + large, Q4K),
            (100 + large, second, F32),
            (second, second + large, Q4K),
            (second + large, third, F32),
            (third, third + large, Q4K),
        ];
        // A norm joins the records before it, and those behind it start anew.
        assert_eq!(
            tiled(&pieces, third + large),
            [
                (100, Bytes),
                (large + norm, Q4K),
                (large + norm, Q4K),
                (large, Q4K)
            ]
        );
        // Nine of 4096 bytes are 256 records.
        let (norms, records) = (100 + 9 * 4096, 100 + 9 * 4096 + large);
        let pieces = [(100, norms, F32), (norms, records, Q4K)];
        assert_eq!(
            tiled(&pieces, records),
            [(100, Bytes), (records - 100, Q4K)]
        );
        let pieces = [(100, 4196, F32), (4196, 4196 + large, Q4K)];
        assert_eq!(
            tiled(&pieces, 4196 + large),
            [(100, Bytes), (4096, F32), (large, Q4K)]
        );
    }

    #[test]
    fn records_that_another_tensor_cuts_start_with_a_whole_one() {
        let pieces = [(100, M, F32), (1000, 1000 + 210 * 9000, Q6K)];
        let whole = 1000 + (M - 1000).next_multiple_of(210);
        assert_eq!(
            tiled(&pieces, 1000 + 210 * 9000),
            [
                (100, Bytes),
                (whole - 100, F32),
                (1000 + 210 * 9000 - whole, Q6K)
            ]
        );
    }

    #[test]
    fn ten_thousand_tiny_tensors_of_two_types_are_one_extent() {
        let pieces: Vec<_> = (0..10_000)
            .map(|i| (100 + i * 8, 108 + i * 8, if i % 2 == 0 { F32 } else { I64 }))
            .collect();
        assert_eq!(tiled(&pieces, 80_100).len(), 2);
    }

    #[test]
    fn gaps_overlaps_and_trailing_bytes_are_covered_once() {
        let pieces = [(M, 2 * M, Bf16), (3 * M / 2, 3 * M, F32)];
        assert_eq!(
            tiled(&pieces, 4 * M),
            [
                (100, Bytes),
                (M - 100, Bytes),
                (M, Bf16),
                (M, F32),
                (M, Bytes)
            ]
        );
        assert_eq!(tiled(&[(100, 100, F32)], 100), [(100, Bytes)]);
        let nested = [(100, 3 * M, Bf16), (M, 2 * M, F32)];
        assert_eq!(tiled(&nested, 3 * M), [(100, Bytes), (3 * M - 100, Bf16)]);
    }

    proptest! {
        #[test]
        fn whatever_the_header_says_extents_tile_the_file(
            pieces in prop::collection::vec(
                (0u64..300_000, 0u64..200_000, prop::sample::select(ElementType::ALL)), 0..30),
            file_bytes in 100u64..600_000,
        ) {
            let mut ranges: Vec<_> = pieces
                .into_iter()
                .map(|(start, len, element)| {
                    let start = (100 + start).min(file_bytes);
                    TypedRange { range: start..(start + len).min(file_bytes), element, columns: None }
                })
                .collect();
            ranges.sort_by_key(|typed| (typed.range.start, typed.range.end));
            let geometry = Geometry::new(4096, &tile(100, &ranges, file_bytes, &[])).unwrap();
            prop_assert_eq!(geometry.original_bytes(), file_bytes);
        }

        #[test]
        fn large_tensors_are_coded_by_their_type_from_a_whole_element_on(
            pieces in prop::collection::vec(
                (0u64..2000, any::<bool>(), prop::sample::select(ElementType::ALL)), 1..30),
        ) {
            let mut at = 100u64;
            let mut ranges = Vec::new();
            for (elements, is_large, element) in pieces {
                let start = at.next_multiple_of(32);
                let bytes = u64::from(element.bytes());
                let least = if is_large { ENOUGH_EXTENT_BYTES.div_ceil(bytes) } else { 0 };
                at = start + (least + elements) * bytes;
                ranges.push(TypedRange { range: start..at, element, columns: None });
            }
            let extents = tile(100, &ranges, at, &[]);
            for TypedRange { range, element, .. } in ranges {
                if range.end - range.start < ENOUGH_EXTENT_BYTES {
                    continue;
                }
                let holds = |e: &&Extent| e.start <= range.start && range.end <= e.end();
                let extent = extents.iter().find(holds).unwrap();
                prop_assert_eq!(extent.element, element);
                prop_assert_eq!((range.start - extent.start) % u64::from(element.bytes()), 0);
            }
        }
    }
}
