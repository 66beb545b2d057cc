//! Which block holds which bytes of the original file.
//!
//! Extents tile the file. Inside the extent that starts at `start` with elements of `e` bytes,
//! block boundaries lie at `k * block_bytes + start % e` for every integer `k`: on a grid of the
//! whole file, so that aligned reads meet aligned blocks, moved by the few bytes that keep elements
//! whole. Records keep to no such grid: their blocks have as many whole records as fit, counted from the
//! start of the extent. Both directions are arithmetic; the table of extents is short.

use std::ops::Range;

use super::element::ElementType;
use super::field;
use crate::error::{Error, Result};

/// Uncompressed bytes of a block unless the writer is told otherwise: the smallest size at which
/// the costs per block (tables, dispatch, cache) no longer show in sequential reads, while a random
/// read still pays only about 0.1 ms of decoding.
pub const DEFAULT_BLOCK_BYTES: u32 = 256 * 1024;
/// Smallest block a reader accepts: a page, below which nothing is gained.
pub const MIN_BLOCK_BYTES: u32 = 4 * 1024;
/// Largest block a reader accepts. It bounds what one hostile block can make a reader allocate.
pub const MAX_BLOCK_BYTES: u32 = 4 * 1024 * 1024;

/// Bytes of one extent on disk.
pub const EXTENT_BYTES: usize = 32;
/// Most extents a reader accepts (32 MiB of table). The writer merges neighbours long before.
pub const MAX_EXTENTS: u64 = 1 << 20;

/// A run of the original file with one element type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Offset of the first byte in the original file.
    pub start: u64,
    /// Length in bytes, not zero.
    pub len: u64,
    /// What the numbers are.
    pub element: ElementType,
}

/// The blocks of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Geometry {
    block_bytes: u64,
    original_bytes: u64,
    block_count: u64,
    extents: Vec<Placed>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Placed {
    extent: Extent,
    first_block: u64,
}

/// What a block holds of the original file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockSpan {
    /// The bytes of the file, at least one and at most `MAX_BLOCK_BYTES`.
    pub range: Range<u64>,
    /// What the numbers are.
    pub element: ElementType,
}

impl BlockSpan {
    /// What no block is: nothing. For workers that have no block yet.
    pub const EMPTY: Self = Self {
        range: 0..0,
        element: ElementType::Bytes,
    };

    /// Length in bytes, as that of a buffer.
    pub fn buffer_bytes(&self) -> usize {
        usize::try_from(self.range.end - self.range.start)
            .expect("invariant: a block is at most MAX_BLOCK_BYTES")
    }
}

impl Extent {
    /// Offset of the first byte behind the extent.
    pub const fn end(&self) -> u64 {
        self.start + self.len
    }

    /// Where a block boundary lies from which the others are counted: at most as far as the start.
    fn origin(&self) -> u64 {
        if self.element.is_record() {
            self.start
        } else {
            self.start % u64::from(self.element.bytes())
        }
    }

    /// The distance of block boundaries.
    fn step(&self, block_bytes: u64) -> u64 {
        if self.element.is_record() {
            block_bytes - block_bytes % u64::from(self.element.bytes())
        } else {
            block_bytes
        }
    }

    /// The grid cell that the byte at `offset` (inside the extent) lies in.
    fn cell(&self, offset: u64, block_bytes: u64) -> u64 {
        (offset - self.origin()) / self.step(block_bytes)
    }

    fn block_count(&self, block_bytes: u64) -> u64 {
        self.cell(self.end() - 1, block_bytes) - self.cell(self.start, block_bytes) + 1
    }
}

impl Geometry {
    /// Lays blocks of `block_bytes` over extents that tile a file from offset 0.
    ///
    /// # Errors
    /// `InvalidInput` if the block size is not a power of two within the limits, if an extent is
    /// empty, or if the extents leave gaps, overlap or are too many.
    pub fn new(block_bytes: u32, extents: &[Extent]) -> Result<Self> {
        let invalid = |what: String| Err(Error::InvalidInput(what));
        if !block_bytes.is_power_of_two()
            || !(MIN_BLOCK_BYTES..=MAX_BLOCK_BYTES).contains(&block_bytes)
        {
            return invalid(format!(
                "block size {block_bytes} is not a power of two from {MIN_BLOCK_BYTES} to {MAX_BLOCK_BYTES}"
            ));
        }
        if extents.len() as u64 > MAX_EXTENTS {
            return invalid(format!("{} extents are too many", extents.len()));
        }
        let block_bytes = u64::from(block_bytes);
        let mut placed = Vec::with_capacity(extents.len());
        let (mut offset, mut block_count) = (0u64, 0u64);
        for extent in extents {
            let end = extent.start.checked_add(extent.len);
            // Half of the range of u64 is left unused so that no sum of offsets can overflow.
            let end = end.filter(|&end| end <= i64::MAX as u64);
            let (Some(end), true) = (end, extent.len > 0 && extent.start == offset) else {
                return invalid(format!(
                    "extent {} at {} of {} bytes does not follow offset {offset}",
                    placed.len(),
                    extent.start,
                    extent.len
                ));
            };
            placed.push(Placed {
                extent: *extent,
                first_block: block_count,
            });
            block_count += extent.block_count(block_bytes);
            offset = end;
        }
        Ok(Self {
            block_bytes,
            original_bytes: offset,
            block_count,
            extents: placed,
        })
    }

    /// Reads the table of extents.
    ///
    /// # Errors
    /// `Corrupt` or `Unsupported`, as `new` and `ElementType::from_code` say.
    pub fn parse(block_bytes: u32, table: &[u8]) -> Result<Self> {
        let mut extents = Vec::with_capacity(table.len() / EXTENT_BYTES);
        for row in table.chunks_exact(EXTENT_BYTES) {
            if !field::is_zero(&row[17..]) {
                return Err(Error::corrupt("reserved bytes of an extent are not zero"));
            }
            extents.push(Extent {
                start: field::u64(row, 0),
                len: field::u64(row, 8),
                element: ElementType::from_code(row[16])?,
            });
        }
        Self::new(block_bytes, &extents).map_err(|error| Error::corrupt(error.to_string()))
    }

    /// The table of extents as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut table = vec![0; self.extents.len() * EXTENT_BYTES];
        for (row, placed) in table.chunks_exact_mut(EXTENT_BYTES).zip(&self.extents) {
            field::put(row, 0, &placed.extent.start.to_le_bytes());
            field::put(row, 8, &placed.extent.len.to_le_bytes());
            row[16] = placed.extent.element.code();
        }
        table
    }

    /// Length of the original file in bytes.
    pub const fn original_bytes(&self) -> u64 {
        self.original_bytes
    }

    /// How many blocks there are.
    pub const fn block_count(&self) -> u64 {
        self.block_count
    }

    /// The most bytes a block decodes to.
    pub const fn block_bytes(&self) -> u64 {
        self.block_bytes
    }

    /// Whether there are records.
    pub fn has_records(&self) -> bool {
        self.extents().any(|extent| extent.element.is_record())
    }

    /// The extents in file order.
    pub fn extents(&self) -> impl ExactSizeIterator<Item = &Extent> {
        self.extents.iter().map(|placed| &placed.extent)
    }

    /// The block that holds the byte at `offset`; `None` at or behind the end of the file.
    pub fn block_at(&self, offset: u64) -> Option<u64> {
        if offset >= self.original_bytes {
            return None;
        }
        let after = self.extents.partition_point(|p| p.extent.start <= offset);
        let placed = self.extents.get(after.checked_sub(1)?)?;
        let first_cell = placed.extent.cell(placed.extent.start, self.block_bytes);
        Some(placed.first_block + placed.extent.cell(offset, self.block_bytes) - first_cell)
    }

    /// What a block holds; `None` if there is no such block.
    pub fn block(&self, number: u64) -> Option<BlockSpan> {
        if number >= self.block_count {
            return None;
        }
        let after = self.extents.partition_point(|p| p.first_block <= number);
        let placed = self.extents.get(after.checked_sub(1)?)?;
        let extent = placed.extent;
        let cell = extent.cell(extent.start, self.block_bytes) + (number - placed.first_block);
        let step = extent.step(self.block_bytes);
        let grid = cell * step + extent.origin();
        let range = grid.max(extent.start)..(grid + step).min(extent.end());
        Some(BlockSpan {
            range,
            element: extent.element,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tiled(pieces: &[(u64, ElementType)]) -> Vec<Extent> {
        let mut start = 0;
        pieces
            .iter()
            .map(|&(len, element)| {
                let extent = Extent {
                    start,
                    len,
                    element,
                };
                start += len;
                extent
            })
            .collect()
    }

    #[test]
    fn the_last_possible_offsets_do_not_overflow() {
        let huge = |len| {
            Geometry::new(
                MIN_BLOCK_BYTES,
                &tiled(&[(3, ElementType::Bytes), (len, ElementType::F64)]),
            )
        };
        let geometry = huge(i64::MAX as u64 - 3).unwrap();
        let last = geometry.block_count() - 1;
        assert_eq!(geometry.block(last).unwrap().range.end, i64::MAX as u64);
        assert_eq!(geometry.block_at(i64::MAX as u64 - 1), Some(last));
        assert!(huge(i64::MAX as u64).is_err());
    }

    #[test]
    fn gaps_overlaps_and_empty_extents_are_refused() {
        let mut extents = tiled(&[(10, ElementType::Bytes), (10, ElementType::U8)]);
        extents[1].start = 11;
        assert!(Geometry::new(4096, &extents).is_err());
        extents[1].start = 9;
        assert!(Geometry::new(4096, &extents).is_err());
        assert!(Geometry::new(4096, &tiled(&[(0, ElementType::U8)])).is_err());
        assert!(Geometry::new(4097, &[]).is_err());
    }

    proptest! {
        #[test]
        fn blocks_tile_the_file_and_keep_elements_whole(
            pieces in prop::collection::vec(
                (1u64..20_000, prop::sample::select(ElementType::ALL)), 0..12),
        ) {
            let extents = tiled(&pieces);
            let geometry = Geometry::new(4096, &extents).unwrap();
            prop_assert_eq!(&Geometry::parse(4096, &geometry.encode()).unwrap(), &geometry);
            let mut offset = 0;
            for number in 0..geometry.block_count() {
                let BlockSpan { range, element } = geometry.block(number).unwrap();
                prop_assert_eq!(range.start, offset);
                prop_assert!(range.end > range.start && range.end - range.start <= 4096);
                prop_assert_eq!(geometry.block_at(range.start), Some(number));
                prop_assert_eq!(geometry.block_at(range.end - 1), Some(number));
                let extent = extents.iter().find(|e| e.start <= offset && offset < e.end()).unwrap();
                prop_assert_eq!(extent.element, element);
                prop_assert_eq!((range.start - extent.start) % u64::from(element.bytes()), 0);
                offset = range.end;
            }
            prop_assert_eq!(offset, geometry.original_bytes());
            prop_assert_eq!(geometry.block(geometry.block_count()), None);
            prop_assert_eq!(geometry.block_at(offset), None);
        }
    }
}
