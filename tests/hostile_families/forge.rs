//! Archives from blocks and tables that no job would write.

use std::io::Read;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use weightfs::archive::{ArchiveReader, ArchiveWriter, Base, Original, WrittenBeside};
use weightfs::block::{BlockEncoder, Kin};
use weightfs::codec::Level;
use weightfs::error::Result;
use weightfs::file::Entries;
use weightfs::format::{
    BaseRecord, ElementType, Extent, Geometry, MIN_BLOCK_BYTES, TENSOR_HASH_BYTES, checksum,
};
use weightfs::storage::Memory;

use crate::support::{noise, weights};

/// Bytes of a block.
pub const BLOCK: usize = MIN_BLOCK_BYTES as usize;

/// A block as it is stored, and what it is said to decode to.
#[derive(Clone)]
pub struct Block {
    pub stored: Vec<u8>,
    pub decoded: Vec<u8>,
}

pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// All that is in the blocks.
pub fn original(blocks: &[Block]) -> Vec<u8> {
    blocks
        .iter()
        .flat_map(|block| block.decoded.clone())
        .collect()
}

/// An archive of blocks of `BLOCK` bytes, but for the last one, that says it holds what they do.
pub fn archive(blocks: &[Block], bases: &[u8], hashes: &[u8]) -> Vec<u8> {
    archive_of(sha256(&original(blocks)), blocks, bases, hashes)
}

/// The same with another SHA-256.
pub fn archive_of(sha256: [u8; 32], blocks: &[Block], bases: &[u8], hashes: &[u8]) -> Vec<u8> {
    let extent = Extent {
        start: 0,
        len: original(blocks).len() as u64,
        element: ElementType::Bytes,
    };
    let extents = if extent.len > 0 { &[extent][..] } else { &[] };
    let geometry = Geometry::new(MIN_BLOCK_BYTES, extents).unwrap();
    let mut file = tempfile::tempfile().unwrap();
    let beside = WrittenBeside {
        bases,
        hashed_tensors: hashes.len() / TENSOR_HASH_BYTES,
        ..WrittenBeside::default()
    };
    let mut writer = ArchiveWriter::new(&file, &geometry, beside).unwrap();
    for block in blocks {
        writer
            .append(&block.stored, checksum(&block.decoded))
            .unwrap();
    }
    let original = Original {
        sha256,
        lossy: None,
        hashes: hashes.to_vec(),
        mode: 0o644,
        mtime_seconds: 1,
        mtime_nanoseconds: 2,
    };
    writer.finish(&original).unwrap();
    let mut bytes = Vec::new();
    std::io::Seek::rewind(&mut file).unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

/// A file cut in blocks that stand for themselves.
pub fn alone(bytes: &[u8]) -> Vec<Block> {
    let mut encoder = BlockEncoder::new(Level::Fast).unwrap();
    let blocks = bytes.chunks(BLOCK).map(|decoded| {
        let mut stored = Vec::new();
        encoder
            .encode(decoded, ElementType::Bytes, &[], &mut stored)
            .unwrap();
        Block {
            stored,
            decoded: decoded.to_vec(),
        }
    });
    blocks.collect()
}

pub fn table(records: &[([u8; 32], usize, &str)]) -> Vec<u8> {
    let mut table = Vec::new();
    for &(sha256, bytes, name) in records {
        let record = BaseRecord {
            sha256,
            bytes: bytes as u64,
            name: name.into(),
        };
        record.encode_to(&mut table);
    }
    table
}

/// The table of one base that has these bytes.
pub fn table_of(base: &[u8]) -> Vec<u8> {
    table(&[(sha256(base), base.len(), "base.bin")])
}

// Where in the base numbers of each type are.
pub const BF16_AT: usize = 0;
pub const F16_AT: usize = BLOCK;
pub const F32_AT: usize = 2 * BLOCK;
pub const F8_AT: usize = 4 * BLOCK;
pub const NOISE_AT: usize = 5 * BLOCK;

/// A base of numbers of all types that differences are of, and of noise.
pub fn base() -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut value = || (rng.f32() - 0.5) * 0.1;
    let f16 = |value: f32| half::f16::from_f32(value).to_le_bytes();
    let mut base = weights(3, BLOCK / 2);
    base.extend((0..BLOCK / 2).flat_map(|_| f16(value())));
    base.extend((0..BLOCK / 2).flat_map(|_| value().to_le_bytes()));
    base.extend(noise(5, BLOCK).iter().map(|byte| 0x28 + byte % 16));
    base.extend(noise(6, BLOCK + 100));
    base
}

/// Numbers of so many bytes, of which every third is a place or two from another.
pub fn tuned(numbers: &[u8], width: usize) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(9);
    let mut tuned = numbers.to_vec();
    for number in tuned.chunks_exact_mut(width) {
        if rng.u8(..3) == 0 {
            number[0] = number[0].wrapping_add(rng.u8(..3));
        }
    }
    tuned
}

/// Blocks of each kind that rest on the base, and one that does not.
pub fn sound(base: &[u8]) -> Vec<Block> {
    use ElementType::{Bf16, Bytes, F8E4M3, F16, F32};
    let mut encoder = BlockEncoder::new(Level::Max).unwrap();
    let wide = &base[F32_AT..F32_AT + 2 * BLOCK];
    let wide = wide
        .as_chunks()
        .0
        .iter()
        .map(|&bytes| f32::from_le_bytes(bytes));
    let bf16 = |value: f32| half::bf16::from_f32(value).to_le_bytes();
    let f16 = |value: f32| half::f16::from_f32(value).to_le_bytes();
    let near = |at: usize, width: usize| tuned(&base[at..at + BLOCK], width);
    let cases = [
        (Bf16, BF16_AT, false, near(BF16_AT, 2)),
        (Bf16, BF16_AT, false, base[..BLOCK].to_vec()),
        (F16, F16_AT, false, near(F16_AT, 2)),
        (F32, F32_AT, false, near(F32_AT, 4)),
        (F8E4M3, F8_AT, false, near(F8_AT, 1)),
        (Bf16, F32_AT, true, wide.clone().flat_map(bf16).collect()),
        (
            F16,
            F32_AT,
            true,
            tuned(&wide.flat_map(f16).collect::<Vec<u8>>(), 2),
        ),
        (
            Bytes,
            NOISE_AT + 7,
            false,
            base[NOISE_AT + 7..][..BLOCK].to_vec(),
        ),
        (Bytes, NOISE_AT, false, noise(77, BLOCK)),
        // With a tail.
        (Bf16, BF16_AT, false, base[..999].to_vec()),
    ];
    let blocks = cases.into_iter().map(|(element, at, is_rounded, decoded)| {
        let own = decoded.len() - decoded.len() % usize::from(element.bytes());
        let times = if is_rounded { 2 } else { 1 };
        let kin = Kin {
            base: 0,
            offset: at as u64,
            is_rounded,
            bytes: &base[at..at + times * own],
        };
        let mut stored = Vec::new();
        encoder
            .encode_beside(&decoded, element, &[], &kin, &mut stored)
            .unwrap();
        Block { stored, decoded }
    });
    blocks.collect()
}

pub fn open(bytes: Vec<u8>) -> Result<ArchiveReader> {
    ArchiveReader::from_storage(Box::new(Memory(bytes)), Path::new("archive"))
}

/// An archive as the one base of another.
pub fn resting(dependent: Vec<u8>, base: ArchiveReader) -> Result<ArchiveReader> {
    let entries = Entries::new(0, NonZeroUsize::MIN);
    resting_on(dependent, Arc::new(entries.entry(base)))
}

pub fn resting_on(dependent: Vec<u8>, base: Arc<dyn Base>) -> Result<ArchiveReader> {
    let mut reader = open(dependent)?;
    reader.rest_on(vec![base]);
    Ok(reader)
}

/// A base that is there as it is.
#[derive(Debug)]
pub struct Plain(pub Vec<u8>);

impl Base for Plain {
    fn with(
        &self,
        range: std::ops::Range<u64>,
        read: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        let behind = || weightfs::error::Error::corrupt("behind the end");
        read(self.0.get(range).ok_or_else(behind)?)
    }

    fn will_need(&self, _: &std::ops::Range<u64>) {}
}
