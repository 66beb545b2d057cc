//! Blocks to measure decoding on: some of an archive as they are stored, or bytes coded at each level.

use serde::Serialize;

use super::decode_speed::{Blocks, DecodeSpeed};
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

/// What a level would give for the sample.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct LevelSpeed {
    pub(crate) level: &'static str,
    pub(crate) block_bytes: u32,
    /// Of the sample, headers of blocks included.
    pub(crate) ratio: f64,
    pub(crate) decode: DecodeSpeed,
}

/// Numbers of one type.
pub(super) struct Sample {
    pub(super) element: ElementType,
    pub(super) bytes: Vec<u8>,
    /// Bytes of the file for each stored byte, if they come from an archive.
    pub(super) ratio_as_stored: Option<f64>,
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
pub(super) fn from_archive(reader: &ArchiveReader) -> Result<Option<Sample>> {
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
    let [(_, start), ..] = &spans[..] else {
        return Ok(None);
    };
    let mut bytes = vec![0; spans.iter().map(|(_, span)| span.buffer_bytes()).sum()];
    ArchivedFile::new(reader)?.read_at(&mut bytes, start.range.start)?;
    let mut stored = 0;
    for (number, _) in &spans {
        stored += u64::from(reader.entry(*number)?.stored_len);
    }
    Ok(Some(Sample {
        element: longest.element,
        ratio_as_stored: Some(ratio(bytes.len() as u64, stored)),
        bytes,
    }))
}

impl Sample {
    /// What each level would give, each block coded by itself: without what the level `max` learns of all of a
    /// file.
    ///
    /// # Errors
    /// `Io` for want of memory.
    pub(super) fn levels(&self) -> Result<Vec<LevelSpeed>> {
        let levels = Level::ALL.iter();
        levels.map(|&level| self.coded(level)?.speed()).collect()
    }

    /// Coded at a level, in blocks of the length that is usual there.
    ///
    /// # Errors
    /// As `levels`.
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

    fn speed(&self) -> Result<LevelSpeed> {
        let stored: usize = self.blocks.iter().map(|(stored, _, _)| stored.len()).sum();
        let bytes: usize = self.blocks.iter().map(|(_, _, len)| len).sum();
        Ok(LevelSpeed {
            level: self.level.name(),
            block_bytes: self.block_bytes,
            ratio: ratio(bytes as u64, stored as u64),
            decode: self.blocks().speed()?,
        })
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
            ratio_as_stored: None,
        };
        for level in sample.levels().unwrap() {
            assert!((1.4..1.7).contains(&level.ratio), "{level:?}");
            assert!(level.decode.one_thread > 0, "{level:?}");
        }
    }
}
