//! Archives as a whole: every byte comes back, and no damage goes unnoticed.
#![expect(clippy::cast_possible_truncation, reason = "made-up numbers")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{ArchiveReader, ArchiveWriter, LossyOriginal, Original, WrittenBeside};
use crate::block::{BlockDecoder, BlockEncoder};
use crate::codec::Level;
use crate::error::{Error, Result};
use crate::format::{
    BlockSpan, ElementType, Extent, Fidelity, Geometry, GridKind, LossyMethod, Superblock,
    TensorFidelity, checksum,
};
use crate::grid::{Bound, PartsOf, ScaleFit, Treatment};
use crate::storage::Memory;

const BLOCK_BYTES: u32 = 4096;

fn sample() -> (Vec<u8>, Vec<u8>) {
    let original: Vec<u8> = (0..20_001u32)
        .map(|i| {
            if i % 2 == 0 {
                (i.wrapping_mul(0x9E37_79B1) >> 24) as u8
            } else {
                0x3c
            }
        })
        .collect();
    let extents = [
        (0, 101, ElementType::Bytes),
        (101, 15_000, ElementType::Bf16),
        (15_101, 4_900, ElementType::F32),
    ]
    .map(|(start, len, element)| Extent {
        start,
        len,
        element,
    });
    let archive = write(&original, &Geometry::new(BLOCK_BYTES, &extents).unwrap());
    (original, archive)
}

/// The same of records.
fn sample_of_records() -> (Vec<u8>, Vec<u8>) {
    let mut original = vec![7; 30];
    for i in 0..90u32 {
        // Where the step is small beside those around, levels are anything, elsewhere always the same.
        let is_small = i % 3 == 0;
        original.extend([0, if is_small { 0x20 } else { 0x38 }]);
        let levels = (0..16u32).map(|j| match is_small {
            true => ((i * 16 + j).wrapping_mul(0x9E37_79B1) >> 24).to_le_bytes()[0],
            false => 0x87 + u8::from(j == 0),
        });
        original.extend(levels);
    }
    let extents = [(0, 30, ElementType::Bytes), (30, 1620, ElementType::Q4_0)].map(
        |(start, len, element)| Extent {
            start,
            len,
            element,
        },
    );
    let archive = write(&original, &Geometry::new(BLOCK_BYTES, &extents).unwrap());
    let header = open(archive.clone()).unwrap().block_header(1).unwrap();
    assert!(header.record.is_some());
    (original, archive)
}

/// Rows of the matrices that become levels.
const ROW: u32 = 40;

/// Matrices of numbers from -2000 to 2000, a block each, and what is left of them on every kind of grid. Their types
/// have few numbers above those, so that covers are made fast.
fn sample_of_levels() -> (Vec<u8>, Vec<u8>) {
    use ElementType::{F16, F32, F64};
    let bounded = |bound| Treatment::Bounded {
        bound,
        typical: 1000.0,
    };
    let groups = |most, group| Treatment::Groups {
        most,
        group,
        fit: ScaleFit::Max,
    };
    let parts = [
        (F16, bounded(Bound::Absolute(30.0)), GridKind::Cover),
        (
            F16,
            bounded(Bound::Pointwise(0.2)),
            GridKind::PointwiseCover,
        ),
        (F16, bounded(Bound::Row(0.1)), GridKind::CoverRows),
        (F16, groups(7, 13), GridKind::Groups),
        (F32, bounded(Bound::Absolute(0.001)), GridKind::Uniform),
        (F32, bounded(Bound::Pointwise(0.01)), GridKind::Logarithmic),
        (F64, bounded(Bound::Row(0.1)), GridKind::UniformRows),
        (F64, groups(127, 50), GridKind::Groups),
    ];
    let mut source = vec![7; 30];
    let mut extents = vec![(30, ElementType::Bytes)];
    for (element, ..) in parts {
        let before = source.len();
        for i in 0..if element == F16 { 150 } else { 80u32 } {
            let noise = f64::from(i.wrapping_mul(0x9E37_79B1)) / f64::from(u32::MAX) - 0.5;
            let number = match i {
                20 => f64::NAN,
                70 => f64::NEG_INFINITY,
                _ => 4000.0 * noise,
            };
            match element {
                F16 => source.extend(half::f16::from_f64(number).to_le_bytes()),
                F32 => source.extend((number as f32).to_le_bytes()),
                _ => source.extend(number.to_le_bytes()),
            }
        }
        extents.push((source.len() - before, element));
    }
    let mut start = 0;
    let extents: Vec<_> = extents
        .iter()
        .map(|&(len, element)| {
            let extent = Extent {
                start,
                len: len as u64,
                element,
            };
            start += len as u64;
            extent
        })
        .collect();
    let geometry = Geometry::new(1 << 16, &extents).unwrap();
    let file = tempfile::tempfile().unwrap();
    let mut writer = ArchiveWriter::new(
        &file,
        &geometry,
        WrittenBeside {
            lossy_tensors: parts.len(),
            ..WrittenBeside::default()
        },
    )
    .unwrap();
    let mut encoder = BlockEncoder::new(Level::Default).unwrap();
    let mut decoder = BlockDecoder::new().unwrap();
    let (mut stored, mut fidelity) = (Vec::new(), Vec::new());
    let mut served = source[..30].to_vec();
    encoder
        .encode(&served, ElementType::Bytes, &[], &mut stored)
        .unwrap();
    writer.append(&stored, checksum(&served)).unwrap();
    for (extent, (element, treatment, _)) in extents[1..].iter().zip(&parts) {
        let start = extent.start as usize;
        let parts = PartsOf {
            bytes: &source[start..start + extent.len as usize],
            before: 0,
            row: ROW,
            first_column: 0,
        };
        let count = parts.bytes.len() / usize::from(element.bytes());
        let encoded = encoder
            .encode_treated(*element, treatment, parts, count, &[], &mut stored)
            .unwrap();
        assert_eq!(encoded.fidelity, Fidelity::Lossy);
        let mut decoded = vec![0; parts.bytes.len()];
        let sum = encoded.decoded_checksum;
        decoder
            .decode_into(&stored, sum, crate::format::Profiles::NONE, &mut decoded)
            .unwrap();
        writer.append(&stored, sum).unwrap();
        served.extend(decoded);
        record(extent, count as u64).encode_to(&mut fidelity);
    }
    let lossy = Some(LossyOriginal {
        sha256: [4; 32],
        fidelity,
    });
    let superblock = finish(writer, lossy);
    let archive = contents(&file);
    assert_eq!(archive.len() as u64, superblock.archive_bytes);
    let reader = open(archive.clone()).unwrap();
    for (number, (.., kind)) in (1..).zip(parts) {
        let grid = reader.block_header(number).unwrap().grid.unwrap();
        assert_eq!((grid.kind, grid.exceptions), (kind, 2));
    }
    (served, archive)
}

fn record(extent: &Extent, elements: u64) -> TensorFidelity {
    TensorFidelity {
        start: extent.start,
        elements,
        method: LossyMethod::RowBound,
        group: 0,
        parameter: 0.1,
        bound: 0.1,
        greatest_error: 0.05,
        mean_error: 0.02,
        root_mean_square_error: 0.03,
        stored_bytes: 300,
        exact: 12,
    }
}

fn write(original: &[u8], geometry: &Geometry) -> Vec<u8> {
    let file = tempfile::tempfile().unwrap();
    let mut writer = ArchiveWriter::new(&file, geometry, WrittenBeside::default()).unwrap();
    let mut encoder = BlockEncoder::new(Level::Default).unwrap();
    let mut stored = Vec::new();
    for block in 0..geometry.block_count() {
        let BlockSpan { range, element } = geometry.block(block).unwrap();
        let bytes =
            &original[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
        encoder.encode(bytes, element, &[], &mut stored).unwrap();
        writer.append(&stored, checksum(bytes)).unwrap();
    }
    let superblock = finish(writer, None);
    let archive = contents(&file);
    assert_eq!(archive.len() as u64, superblock.archive_bytes);
    archive
}

fn finish(writer: ArchiveWriter<'_>, lossy: Option<LossyOriginal>) -> Superblock {
    let original = Original {
        sha256: [3; 32],
        lossy,
        hashes: Vec::new(),
        mode: 0o640,
        mtime_seconds: 5,
        mtime_nanoseconds: 6,
    };
    writer.finish(&original).unwrap()
}

fn contents(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn open(archive: Vec<u8>) -> Result<ArchiveReader> {
    ArchiveReader::from_storage(Box::new(Memory(archive)), Path::new("sample.wfz"))
}

/// Decodes all blocks, each to the right bytes or an error, with a decoder that has decoded other things before,
/// which takes far less time.
fn blocks_by(
    decoder: &mut BlockDecoder,
    reader: &ArchiveReader,
    original: &[u8],
) -> Vec<Result<()>> {
    (0..reader.geometry().block_count())
        .map(|block| {
            let range = reader.geometry().block(block).unwrap().range;
            let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
            let mut decoded = vec![0; range.len()];
            reader.decode_block(block, decoder, &mut decoded)?;
            assert!(decoded == original[range], "block {block} is wrong");
            Ok(())
        })
        .collect()
}

fn problems(reader: &ArchiveReader, original: &[u8]) -> Vec<Error> {
    problems_by(&mut BlockDecoder::new().unwrap(), reader, original)
}

fn problems_by(decoder: &mut BlockDecoder, reader: &ArchiveReader, original: &[u8]) -> Vec<Error> {
    let mut found = reader.check_tables();
    let blocks = 0..reader.geometry().block_count();
    found.extend(blocks.filter_map(|block| verify(decoder, reader, block).err()));
    let read = blocks_by(decoder, reader, original);
    found.extend(read.into_iter().filter_map(Result::err));
    found
}

fn verify(decoder: &mut BlockDecoder, reader: &ArchiveReader, block: u64) -> Result<()> {
    let span = reader.geometry().block(block).unwrap();
    let mut decoded = vec![0; span.buffer_bytes()];
    reader.verify_block(block, decoder, &mut decoded)
}

#[test]
fn a_sound_archive_has_no_problems() {
    let (original, archive) = sample();
    let reader = open(archive).unwrap();
    assert!(problems(&reader, &original).is_empty());
    assert_eq!(reader.superblock().mode, 0o640);
    assert!(reader.entry(reader.geometry().block_count()).is_err());
}

#[test]
fn an_empty_file_has_an_archive() {
    let reader = open(write(&[], &Geometry::new(BLOCK_BYTES, &[]).unwrap())).unwrap();
    assert_eq!(reader.geometry().block_count(), 0);
    assert!(problems(&reader, &[]).is_empty());
}

#[test]
fn every_flipped_bit_is_reported_and_never_changes_what_is_read() {
    flip_every_bit(sample());
    flip_every_bit(sample_of_records());
    flip_every_bit(sample_of_levels());
}

fn flip_every_bit((original, archive): (Vec<u8>, Vec<u8>)) {
    let mut decoder = BlockDecoder::new().unwrap();
    let mut survived = 0;
    for bit in 0..archive.len() * 8 {
        let mut archive = archive.clone();
        archive[bit / 8] ^= 1 << (bit % 8);
        let reader = open(archive).unwrap_or_else(|e| panic!("bit {bit}: one copy is whole: {e}"));
        assert!(
            !problems_by(&mut decoder, &reader, &original).is_empty(),
            "bit {bit} unnoticed"
        );
        let readable = blocks_by(&mut decoder, &reader, &original)
            .into_iter()
            .all(|r| r.is_ok());
        survived += usize::from(readable);
    }
    // Damage to a superblock or table leaves everything readable.
    assert!(survived > 2 * 256 * 8, "{survived}");
}

#[test]
fn every_truncation_is_reported_and_leaves_what_is_left_readable() {
    cut_everywhere(sample(), 600);
    cut_everywhere(sample_of_levels(), 2000);
}

/// The tables in front are whole once there are so many bytes.
fn cut_everywhere((original, archive): (Vec<u8>, Vec<u8>), tables_end: usize) {
    let mut decoder = BlockDecoder::new().unwrap();
    let mut most_readable = 0;
    for len in 0..archive.len() {
        let Ok(reader) = open(archive[..len].to_vec()) else {
            assert!(len < tables_end, "the tables in front are whole at {len}");
            continue;
        };
        assert!(
            !problems_by(&mut decoder, &reader, &original).is_empty(),
            "cut to {len}"
        );
        let readable = blocks_by(&mut decoder, &reader, &original)
            .iter()
            .filter(|r| r.is_ok())
            .count();
        assert!(readable >= most_readable, "cut to {len}");
        most_readable = readable;
    }
    assert!(most_readable > 3);
}

#[test]
fn records_of_lossy_tensors_are_read_from_the_copy_that_is_whole() {
    let (_, archive) = sample_of_levels();
    let reader = open(archive.clone()).unwrap();
    let records = reader.fidelity().unwrap();
    let extents = reader.geometry().extents().skip(1);
    let expected =
        extents.map(|extent| record(extent, extent.len / u64::from(extent.element.bytes())));
    assert_eq!(records, expected.collect::<Vec<_>>());
    let copies = reader.superblock().table_copies();
    let places = copies.map(|tables| tables.fidelity.start as usize + 20);
    for damaged in [&places[..1], &places[1..], &places] {
        let mut archive = archive.clone();
        for &place in damaged {
            archive[place] ^= 1;
        }
        let reader = open(archive).unwrap();
        assert_eq!(reader.check_tables().len(), damaged.len());
        match reader.fidelity() {
            Ok(found) => assert_eq!(found, records),
            Err(error) => assert!(damaged.len() == 2, "{error}"),
        }
    }
}

#[test]
fn appended_bytes_are_reported() {
    let (original, mut archive) = sample();
    archive.extend(b"tail");
    let reader = open(archive).unwrap();
    assert_eq!(problems(&reader, &original).len(), 1);
}

#[test]
fn damage_names_file_block_and_range() {
    let (_, mut archive) = sample();
    let reader = open(archive.clone()).unwrap();
    let at = usize::try_from(reader.entry(1).unwrap().offset).unwrap();
    archive[at + 60] ^= 1;
    let reader = open(archive).unwrap();
    let message = verify(&mut BlockDecoder::new().unwrap(), &reader, 1)
        .unwrap_err()
        .to_string();
    assert!(
        message.starts_with("sample.wfz: block 1 (bytes 101..4097): damaged:"),
        "{message}"
    );
}

#[test]
fn other_files_are_named_as_such() {
    for bytes in [vec![], b"hello".to_vec(), vec![0; 1000]] {
        let error = open(bytes).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("sample.wfz: not a weightfs archive"),
            "{error}"
        );
    }
}

/// Changes bytes of an archive and makes every checksum but those of the contents right again: what
/// somebody could write who means harm.
fn forged(archive: &[u8], changes: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = archive.to_vec();
    for &(at, value) in changes {
        let at = at % bytes.len();
        bytes[at] = value;
    }
    let reader = open(archive.to_vec()).unwrap();
    let superblock = *reader.superblock();
    let sum = |bytes: &mut [u8], range: std::ops::Range<usize>, to: usize| {
        let sum = checksum(&bytes[range]);
        bytes[to..to + 8].copy_from_slice(&sum.to_le_bytes());
    };
    let usize = |value: u64| usize::try_from(value).unwrap();
    for tables in superblock.table_copies() {
        let mut at = usize(tables.index.start);
        while at < usize(tables.index.end) {
            let end = (at + 4096).min(usize(tables.index.end));
            sum(&mut bytes, at..end - 8, end - 8);
            at = end;
        }
    }
    let extents = superblock.table_copies()[0].extents.clone();
    let fidelity = superblock.table_copies()[0].fidelity.clone();
    let superblock_at = [0, bytes.len() - 256];
    for at in superblock_at {
        sum(
            &mut bytes,
            usize(extents.start)..usize(extents.end),
            at + 120,
        );
        if superblock.lossy.is_some() {
            sum(
                &mut bytes,
                usize(fidelity.start)..usize(fidelity.end),
                at + 184,
            );
        }
        sum(&mut bytes, at..at + 248, at + 248);
    }
    bytes
}

#[test]
fn forged_archives_give_errors_or_right_bytes_and_cost_little() {
    forge(&sample().1);
    forge(&sample_of_levels().1);
}

fn forge(archive: &[u8]) {
    assert_eq!(forged(archive, &[]), archive);
    let interesting = prop::sample::select(vec![0u8, 1, 2, 8, 16, 22, 0x7f, 0x80, 0xff]);
    let place = prop_oneof![0usize..256, 256usize..1500, any::<usize>()];
    let decoder = std::cell::RefCell::new(BlockDecoder::new().unwrap());
    let change = (place, prop_oneof![interesting, any::<u8>()]);
    TestRunner::new(Config::with_cases(2000))
        .run(&prop::collection::vec(change, 1..6), |changes| {
            let Ok(reader) = open(forged(archive, &changes)) else {
                return Ok(());
            };
            reader.check_tables();
            let _ = reader.fidelity();
            let geometry = reader.geometry();
            prop_assert!(geometry.block_count() <= archive.len() as u64 / 32);
            let mut decoder = decoder.borrow_mut();
            for block in 0..geometry.block_count() {
                let span = geometry.block(block).unwrap();
                prop_assert!(span.buffer_bytes() <= 4 << 20);
                let mut decoded = vec![0; span.buffer_bytes()];
                let decode = reader.decode_block(block, &mut decoder, &mut decoded);
                let _ = reader.block_header(block);
                // A forger may state another checksum, but has to find bytes that fit it.
                if decode.is_ok() {
                    let expected = reader.entry(block).unwrap().decoded_checksum;
                    prop_assert_eq!(checksum(&decoded), expected);
                }
            }
            Ok(())
        })
        .unwrap();
}
