//! A few sound archives that are the same in every run.

use std::os::unix::fs::FileExt;
use std::sync::LazyLock;

use weightfs::archive::{ArchiveWriter, Original};
use weightfs::block::BlockEncoder;
use weightfs::codec::Level;
use weightfs::codec::scaled::Segment;
use weightfs::format::{ElementType, Extent, Geometry, MIN_BLOCK_BYTES, checksum};

use crate::{MODELS, SharedModel, weights};

/// The archives: one with a few types, one whose blocks share a model, one with more blocks than a
/// page of the index, one of nothing, and one of records.
pub static ARCHIVES: LazyLock<[Vec<u8>; 5]> = LazyLock::new(|| {
    use ElementType::{Bf16, Bytes, F8E4M3, F32, I8, Q4_0, Q6K};
    let parts = [(Bytes, 101), (Bf16, 7500), (F32, 1225), (F8E4M3, 999)];
    let many = [(I8, 70 * MIN_BLOCK_BYTES as usize), (Bytes, 300_000)];
    [
        archive(&parts, None, Level::Fast),
        archive(&[(Bf16, 130 * 60)], Some(&MODELS[0]), Level::Max),
        archive(&many, None, Level::Default),
        archive(&[], None, Level::Default),
        archive(&[(Bytes, 37), (Q4_0, 900), (Q6K, 60)], None, Level::Max),
    ]
});

/// The one matrix of an archive with a model, as number of the profile and columns.
const PROFILE: (u32, u32) = (1, 130);

fn archive(parts: &[(ElementType, usize)], model: Option<&SharedModel>, level: Level) -> Vec<u8> {
    let mut original = Vec::new();
    let mut extents = Vec::new();
    for &(element, count) in parts {
        let kind = if element == ElementType::Bytes { 6 } else { 0 };
        let bytes = weights(element, count, PROFILE.1 as usize, kind, 1);
        extents.push(Extent {
            start: original.len() as u64,
            len: bytes.len() as u64,
            element,
        });
        original.extend(bytes);
    }
    let geometry = Geometry::new(MIN_BLOCK_BYTES, &extents).expect("extents in order");
    let mut encoder =
        BlockEncoder::with_model(level, model.map(|model| model.model.clone())).expect("memory");
    let profiles = model.map_or(&[][..], |model| &model.profiles);
    let file = tempfile::tempfile().expect("a temporary directory");
    let mut writer = ArchiveWriter::new(
        &file,
        &geometry,
        WrittenBeside {
            profiles,
            ..WrittenBeside::default()
        },
    ).expect("a small file");
    let mut stored = Vec::new();
    for block in 0..geometry.block_count() {
        let span = geometry.block(block).expect("one of the blocks");
        let (start, end) = (span.range.start as usize, span.range.end as usize);
        let bytes = &original[start..end];
        let segments = model.map(|_| Segment {
            profile: Some(PROFILE.0),
            columns: PROFILE.1,
            first_column: (start / 2) as u32 % PROFILE.1,
            elements: (bytes.len() / 2) as u32,
        });
        encoder
            .encode(bytes, span.element, segments.as_slice(), &mut stored)
            .expect("memory");
        writer.append(&stored, checksum(bytes)).expect("disk space");
    }
    let superblock = writer
        .finish(&Original {
            sha256: [3; 32],
            lossy: None,
            hashes: Vec::new(),
            mode: 0o640,
            mtime_seconds: 5,
            mtime_nanoseconds: 6,
        })
        .expect("disk space");
    let mut archive = vec![0; superblock.archive_bytes as usize];
    file.read_exact_at(&mut archive, 0).expect("it was written");
    archive
}
