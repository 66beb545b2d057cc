//! Blocks to measure decoding on: some of an archive as they are stored, or bytes coded at each level.

use serde::Serialize;

use super::decode_speed::{Blocks, DecodeSpeed, speeds};
use crate::archive::{ArchiveReader, ArchivedFile};
use crate::block::{BlockDecoder, BlockEncoder};
use crate::codec::{Level, Method};
use crate::console::size::ratio;
use crate::error::Result;
use crate::format::{BlockSpan, ElementType, Profiles};
use crate::model::ReadAt;

/// Blocks of an archive, from all over it.
const BLOCKS: u64 = 32;
/// Bytes that are coded at each level: a few blocks.
pub(super) const BYTES: usize = 2 << 20;

/// What a way of coding gives for the sample.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Coding {
    pub(crate) block_bytes: u32,
    /// Headers of blocks included.
    pub(crate) ratio: f64,
    pub(crate) decode: DecodeSpeed,
}

/// What a level would give for it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct LevelCoding {
    pub(crate) level: &'static str,
    #[serde(flatten)]
    pub(crate) coding: Coding,
}

/// Numbers of one type.
pub(super) struct Sample {
    pub(super) element: ElementType,
    pub(super) bytes: Vec<u8>,
}

/// Numbers of an archive, of one type: whole blocks that follow each other.
pub(super) struct StoredSample<'a> {
    pub(super) sample: Sample,
    reader: &'a ArchiveReader,
    first: u64,
    lens: Vec<usize>,
    stored_bytes: u64,
}

/// Some blocks of an archive as they are stored; they come from the page cache when they are decoded again.
pub(super) fn stored_blocks(reader: &ArchiveReader) -> Blocks<'_> {
    let count = reader.geometry().block_count();
    let of = move |number: usize| number as u64 * count / BLOCKS.min(count).max(1);
    let spans = (0..usize::try_from(BLOCKS.min(count)).unwrap_or(0))
        .filter_map(|number| reader.geometry().block(of(number)));
    Blocks {
        lens: spans.map(|span| span.buffer_bytes()).collect(),
        decode: Box::new(move |number, decoder, buffer| {
            reader.decode_block(of(number), decoder, buffer)
        }),
    }
}

/// The numbers in the middle of the longest run of one type; `None` of an empty file.
///
/// # Errors
/// That of reading or decoding them.
pub(super) fn from_archive(reader: &ArchiveReader) -> Result<Option<StoredSample<'_>>> {
    let geometry = reader.geometry();
    let longest = geometry.extents().max_by_key(|extent| extent.len);
    let Some(longest) = longest.filter(|extent| extent.len > 0) else {
        return Ok(None);
    };
    let room = (longest.len / 2).saturating_sub(BYTES as u64 / 2);
    let Some(first) = geometry.block_at(longest.start + room) else {
        return Ok(None);
    };
    let spans: Vec<(u64, BlockSpan)> = (first..geometry.block_count())
        .map_while(|number| Some((number, geometry.block(number)?)))
        .take_while(|(_, span)| span.range.end <= longest.end())
        .scan(0, |bytes, (number, span)| {
            let is_wanted = *bytes < BYTES as u64;
            *bytes += span.range.end - span.range.start;
            is_wanted.then_some((number, span))
        })
        .collect();
    let [(first, start), ..] = &spans[..] else {
        return Ok(None);
    };
    let lens: Vec<_> = spans.iter().map(|(_, span)| span.buffer_bytes()).collect();
    let mut bytes = vec![0; lens.iter().sum()];
    ArchivedFile::new(reader)?.read_at(&mut bytes, start.range.start)?;
    let mut stored_bytes = 0;
    for (number, _) in &spans {
        stored_bytes += u64::from(reader.entry(*number)?.stored_len);
    }
    Ok(Some(StoredSample {
        sample: Sample {
            element: longest.element,
            bytes,
        },
        reader,
        first: *first,
        lens,
        stored_bytes,
    }))
}

impl StoredSample<'_> {
    /// What its archive and each of these levels give, measured side by side. Each block is coded by itself: without
    /// what the level `max` learns of all of a file.
    ///
    /// # Errors
    /// That of decoding, `Io` for want of memory.
    pub(super) fn codings(&self, levels: &[Level]) -> Result<(Coding, Vec<LevelCoding>)> {
        let coded = levels.iter().map(|&level| self.sample.coded(level));
        let coded: Vec<_> = coded.collect::<Result<_>>()?;
        let as_stored = Blocks {
            lens: self.lens.clone(),
            decode: Box::new(|number, decoder, buffer| {
                let block = self.first + number as u64;
                self.reader.decode_block(block, decoder, buffer)
            }),
        };
        let mut blocks = vec![as_stored];
        blocks.extend(coded.iter().map(Coded::blocks));
        let mut speeds = speeds(&blocks)?.into_iter();
        let bytes = self.sample.bytes.len() as u64;
        let as_stored = Coding {
            block_bytes: self.reader.superblock().block_bytes,
            ratio: ratio(bytes, self.stored_bytes),
            decode: speeds.next().unwrap_or_default(),
        };
        let levels = coded.iter().zip(speeds).map(|(coded, decode)| LevelCoding {
            level: coded.level.name(),
            coding: Coding {
                block_bytes: coded.block_bytes,
                ratio: ratio(bytes, coded.stored_bytes()),
                decode,
            },
        });
        Ok((as_stored, levels.collect()))
    }
}

impl Sample {
    /// Coded at a level, in blocks of the length that is usual there.
    ///
    /// # Errors
    /// `Io` for want of memory.
    pub(super) fn coded(&self, level: Level) -> Result<Coded> {
        let block_bytes = Method::Weights.default_block_bytes(level);
        let element_bytes = usize::from(self.element.bytes());
        let step = block_bytes as usize / element_bytes * element_bytes;
        let mut encoder = BlockEncoder::new(level)?;
        let mut coded = Coded {
            level,
            block_bytes,
            blocks: Vec::new(),
        };
        for bytes in self.bytes.chunks(step) {
            let mut stored = Vec::new();
            let encoded = encoder.encode(bytes, self.element, &[], &mut stored)?;
            coded
                .blocks
                .push((stored, encoded.decoded_checksum, bytes.len()));
        }
        Ok(coded)
    }
}

/// A sample that was coded.
pub(super) struct Coded {
    level: Level,
    block_bytes: u32,
    /// Stored form, checksum of what it decodes to, length of that.
    blocks: Vec<(Vec<u8>, u64, usize)>,
}

impl Coded {
    /// To be decoded.
    pub(super) fn blocks(&self) -> Blocks<'_> {
        Blocks {
            lens: self.blocks.iter().map(|(_, _, len)| *len).collect(),
            decode: Box::new(|number, decoder: &mut BlockDecoder, buffer| {
                let (stored, checksum, _) = &self.blocks[number];
                decoder.decode_into(stored, *checksum, Profiles::of(&[]), buffer)
            }),
        }
    }

    fn stored_bytes(&self) -> u64 {
        let blocks = self.blocks.iter();
        blocks.map(|(stored, _, _)| stored.len() as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made_up::weights;

    #[test]
    fn made_up_weights_shrink_at_each_level_and_decode() {
        let sample = Sample {
            element: ElementType::Bf16,
            bytes: weights(1 << 20),
        };
        for level in Level::ALL {
            let coded = sample.coded(level).unwrap();
            let ratio = ratio(sample.bytes.len() as u64, coded.stored_bytes());
            assert!((1.4..1.7).contains(&ratio), "{level:?}: {ratio}");
            let speed = speeds(&[coded.blocks()]).unwrap()[0];
            assert!(speed.one_thread > 0 && speed.all_threads > 0, "{level:?}");
        }
    }
}
