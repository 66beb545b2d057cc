//! A file whose records are taken apart, and each stream of their fields coded as a frame of zstd: what is
//! published for GGUF, so that figures can be held beside it.
//!
//! The table of extents with its length before it; then, for each part of each extent, a frame for each
//! stream of its records and one for what is behind the last whole record, each with its length before
//! it. What is no records is one frame a part.

use std::hash::Hasher;
use std::io::{self, Read, Write};
use std::ops::Range;

use twox_hash::XxHash3_64;

use super::framed::{PART_BYTES, get, get_frame, put, put_frame};
use crate::error::{Error, Result};
use crate::format::{DEFAULT_BLOCK_BYTES, EXTENT_BYTES, Extent, Geometry, MAX_EXTENTS};
use crate::job::Monitor;
use crate::job::source_file::SourceFile;
use crate::model::{ReadAt, extents};
use crate::plane::record::RecordLayout;

/// The parts of an extent: whole records, but for the end.
fn parts(extent: &Extent) -> impl Iterator<Item = Range<u64>> + use<> {
    let Extent { start, len, .. } = *extent;
    let step = PART_BYTES - PART_BYTES % u64::from(extent.element.bytes());
    (0..len.div_ceil(step)).map(move |i| start + i * step..start + len.min((i + 1) * step))
}

/// The lengths of a part's planes, and of what is behind them.
fn lengths(layout: Option<RecordLayout>, part_bytes: usize) -> (Vec<usize>, usize) {
    let Some(layout) = layout else {
        return (Vec::new(), part_bytes);
    };
    let records = part_bytes / layout.bytes();
    let planes = layout
        .streams()
        .iter()
        .map(|stream| records * stream.bytes());
    (planes.collect(), part_bytes - records * layout.bytes())
}

/// Writes the coded form of a file.
///
/// # Errors
/// `Io` if the system refuses, `Environment` if the source changes meanwhile, `Interrupted`.
pub(super) fn encode(
    level: u32,
    source: &SourceFile,
    out: &mut impl Write,
    cannot: impl Fn(io::Error) -> Error,
    monitor: &Monitor<'_>,
) -> Result<()> {
    let geometry = Geometry::new(DEFAULT_BLOCK_BYTES, &extents::extents(source)?)?;
    put(out, &geometry.encode()).map_err(&cannot)?;
    let (mut part, mut planes) = (Vec::new(), Vec::new());
    for extent in geometry.extents() {
        let layout = extent.element.record();
        for range in parts(extent) {
            part.resize(buffer_bytes(&range), 0);
            source.read_at(&mut part, range.start)?;
            planes.clear();
            if let Some(layout) = layout {
                layout.take(&part, &mut planes);
            }
            let (_, rest) = lengths(layout, part.len());
            for bytes in planes
                .iter()
                .map(Vec::as_slice)
                .chain([&part[part.len() - rest..]])
            {
                put_frame(out, level, bytes, &cannot, monitor)?;
            }
            (monitor.progress)(part.len() as u64);
        }
    }
    Ok(())
}

/// Decodes what `encode` wrote; returns how many bytes it holds and their XXH3.
///
/// # Errors
/// `Io` if the system refuses or something is damaged, `Corrupt`, `Interrupted`.
pub(super) fn decode(
    input: &mut impl Read,
    cannot: impl Fn(io::Error) -> Error,
    monitor: &Monitor<'_>,
) -> Result<(u64, u64)> {
    let most = EXTENT_BYTES as u64 * MAX_EXTENTS;
    let table = get(input, most).map_err(&cannot)?;
    let geometry = Geometry::parse(DEFAULT_BLOCK_BYTES, &table)?;
    let (mut part, mut planes) = (Vec::new(), Vec::new());
    let mut hasher = XxHash3_64::new();
    for extent in geometry.extents() {
        let layout = extent.element.record();
        for range in parts(extent) {
            part.resize(buffer_bytes(&range), 0);
            let (lengths, rest) = lengths(layout, part.len());
            planes.resize_with(lengths.len(), Vec::new);
            for (plane, len) in planes.iter_mut().zip(lengths) {
                monitor.check()?;
                plane.resize(len, 0);
                get_frame(input, plane).map_err(&cannot)?;
            }
            let (records, rest) = {
                let at = part.len() - rest;
                part.split_at_mut(at)
            };
            if let Some(layout) = layout {
                let planes: Vec<&[u8]> = planes.iter().map(Vec::as_slice).collect();
                layout.put(&planes, records);
            }
            get_frame(input, rest).map_err(&cannot)?;
            hasher.write(&part);
            (monitor.progress)(part.len() as u64);
        }
    }
    Ok((geometry.original_bytes(), hasher.finish()))
}

fn buffer_bytes(part: &Range<u64>) -> usize {
    usize::try_from(part.end - part.start).expect("invariant: a part is at most PART_BYTES")
}
