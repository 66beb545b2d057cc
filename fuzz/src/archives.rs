//! A few sound archives that are the same in every run.

use std::os::unix::fs::FileExt;
use std::sync::LazyLock;

use weightfs::archive::{ArchiveWriter, Original, WrittenBeside};
use weightfs::block::{BlockEncoder, Kin};
use weightfs::codec::Level;
use weightfs::codec::scaled::Segment;
use weightfs::format::{
    BaseRecord, ElementType, Extent, Geometry, MIN_BLOCK_BYTES, TensorHash, checksum,
};

use crate::{MODELS, SharedModel, moved, weights};

/// The archives: one with a few types, one whose blocks share a model, one with more blocks than a
/// page of the index, one of nothing, one of records, and one that rests on `BASE` and has hashes.
pub static ARCHIVES: LazyLock<[Vec<u8>; 6]> = LazyLock::new(|| {
    use ElementType::{Bf16, Bytes, F8E4M3, F16, F32, I8, Q4_0, Q6K};
    let parts = [(Bytes, 101), (Bf16, 7500), (F32, 1225), (F8E4M3, 999)];
    let many = [(I8, 70 * MIN_BLOCK_BYTES as usize), (Bytes, 300_000)];
    [
        archive(&parts, None, Level::Fast, false),
        archive(&[(Bf16, 130 * 60)], Some(&MODELS[0]), Level::Max, false),
        archive(&many, None, Level::Default, false),
        archive(&[], None, Level::Default, false),
        archive(
            &[(Bytes, 37), (Q4_0, 900), (Q6K, 60)],
            None,
            Level::Max,
            false,
        ),
        archive(
            &[(Bytes, 64), (Bf16, 3000), (F16, 3000), (F32, 1500)],
            None,
            Level::Max,
            true,
        ),
    ]
});

/// What the last of the archives rests on: the numbers of `weights`, and bytes that are the archive's own.
pub static BASE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let numbers = [
        (ElementType::Bf16, 4000),
        (ElementType::F16, 4000),
        (ElementType::F32, 2000),
    ];
    let all = numbers.map(|(element, count)| weights(element, count, 130, 0, 1));
    all.concat()
});

/// The one matrix of an archive with a model, as number of the profile and columns.
const PROFILE: (u32, u32) = (1, 130);

fn archive(
    parts: &[(ElementType, usize)],
    model: Option<&SharedModel>,
    level: Level,
    rests: bool,
) -> Vec<u8> {
    let mut original = Vec::new();
    let mut extents = Vec::new();
    let mut hashes = Vec::new();
    for (number, &(element, count)) in (1..).zip(parts) {
        let kind = if element == ElementType::Bytes { 6 } else { 0 };
        let mut bytes = weights(element, count, PROFILE.1 as usize, kind, 1);
        if rests && number % 2 == 0 {
            bytes = moved(&bytes, element.bytes().into(), 3);
        }
        if rests {
            let hash = TensorHash {
                start: original.len() as u64,
                len: bytes.len() as u64,
                hash: number,
            };
            hash.encode_to(&mut hashes);
        }
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
    let mut bases = Vec::new();
    if rests {
        let record = BaseRecord {
            sha256: [4; 32],
            bytes: BASE.len() as u64,
            name: "base".into(),
        };
        record.encode_to(&mut bases);
    }
    let file = tempfile::tempfile().expect("a temporary directory");
    let mut writer = ArchiveWriter::new(
        &file,
        &geometry,
        WrittenBeside {
            profiles,
            bases: &bases,
            hashed_tensors: if rests { parts.len() } else { 0 },
            ..WrittenBeside::default()
        },
    )
    .expect("a small file");
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
        // Where the type has its numbers in the base.
        let offset = match span.element {
            _ if !rests => None,
            ElementType::Bf16 => Some(start - 64),
            ElementType::F16 => Some(start - 64 + 2000),
            ElementType::F32 => Some(start - 64 + 4000),
            _ => None,
        };
        let encoded = match offset {
            Some(offset) => {
                let len = bytes.len() - bytes.len() % usize::from(span.element.bytes());
                let kin = Kin {
                    base: 0,
                    offset: offset as u64,
                    is_rounded: false,
                    bytes: &BASE[offset..offset + len],
                };
                encoder.encode_beside(bytes, span.element, &[], &kin, &mut stored)
            }
            None => encoder.encode(bytes, span.element, segments.as_slice(), &mut stored),
        };
        encoded.expect("memory");
        writer.append(&stored, checksum(bytes)).expect("disk space");
    }
    let superblock = writer
        .finish(&Original {
            sha256: [3; 32],
            lossy: None,
            hashes,
            mode: 0o640,
            mtime_seconds: 5,
            mtime_nanoseconds: 6,
        })
        .expect("disk space");
    let mut archive = vec![0; superblock.archive_bytes as usize];
    file.read_exact_at(&mut archive, 0).expect("it was written");
    archive
}
