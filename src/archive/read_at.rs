//! The file that an archive stands for, read at any offset without a cache: for who reads its header, or
//! all of it in order.

use std::cell::RefCell;

use super::reader::ArchiveReader;
use crate::block::BlockDecoder;
use crate::error::{Error, Result};
use crate::format::BlockSpan;
use crate::model::ReadAt;

/// The file that an archive stands for. Holds the block that was decoded last, so that reads one behind
/// the other decode each block once.
pub struct ArchivedFile<'a> {
    reader: &'a ArchiveReader,
    last: RefCell<LastBlock>,
}

struct LastBlock {
    decoder: BlockDecoder,
    span: BlockSpan,
    bytes: Vec<u8>,
    #[cfg(test)]
    decoded_blocks: u64,
}

impl<'a> ArchivedFile<'a> {
    /// The file of an archive.
    ///
    /// # Errors
    /// `Io` for want of memory.
    pub fn new(reader: &'a ArchiveReader) -> Result<Self> {
        let last = LastBlock {
            decoder: BlockDecoder::new()?,
            span: BlockSpan::EMPTY,
            bytes: Vec::new(),
            #[cfg(test)]
            decoded_blocks: 0,
        };
        Ok(Self {
            reader,
            last: RefCell::new(last),
        })
    }
}

impl LastBlock {
    /// Decodes the block that holds the byte at `offset`, if it is another one.
    fn go_to(&mut self, reader: &ArchiveReader, offset: u64) -> Result<()> {
        if self.span.range.contains(&offset) {
            return Ok(());
        }
        let geometry = reader.geometry();
        let (block, span) = geometry
            .block_at(offset)
            .and_then(|block| Some((block, geometry.block(block)?)))
            .ok_or_else(|| {
                let behind = std::io::ErrorKind::UnexpectedEof;
                Error::io("cannot read behind the end", behind.into()).at(reader.path())
            })?;
        // What a failed decode leaves behind is no block.
        self.span = BlockSpan::EMPTY;
        self.bytes.resize(span.buffer_bytes(), 0);
        reader.decode_block(block, &mut self.decoder, &mut self.bytes)?;
        self.span = span;
        #[cfg(test)]
        {
            self.decoded_blocks += 1;
        }
        Ok(())
    }
}

impl ReadAt for ArchivedFile<'_> {
    fn file_bytes(&self) -> u64 {
        self.reader.geometry().original_bytes()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let mut last = self.last.borrow_mut();
        let mut done = 0;
        while done < buffer.len() {
            let at = offset.saturating_add(done as u64);
            last.go_to(self.reader, at)?;
            let skip = usize::try_from(at - last.span.range.start)
                .expect("invariant: a block is at most MAX_BLOCK_BYTES");
            let take = (buffer.len() - done).min(last.bytes.len() - skip);
            buffer[done..done + take].copy_from_slice(&last.bytes[skip..skip + take]);
            done += take;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::archive::{ArchiveWriter, Original, WrittenBeside};
    use crate::block::BlockEncoder;
    use crate::codec::Level;
    use crate::format::{Geometry, checksum};
    use crate::model::{self, extents};
    use proptest::prelude::*;

    const BLOCK_BYTES: u32 = 4096;

    fn archive(bytes: &[u8]) -> (tempfile::NamedTempFile, ArchiveReader) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let geometry = Geometry::new(BLOCK_BYTES, &extents::extents(bytes).unwrap()).unwrap();
        let mut writer =
            ArchiveWriter::new(file.as_file(), &geometry, WrittenBeside::default()).unwrap();
        let mut encoder = BlockEncoder::new(Level::Fast).unwrap();
        let mut stored = Vec::new();
        for span in (0..).map_while(|block| geometry.block(block)) {
            let start = usize::try_from(span.range.start).unwrap();
            let block = &bytes[start..start + span.buffer_bytes()];
            encoder
                .encode(block, span.element, &[], &mut stored)
                .unwrap();
            writer.append(&stored, checksum(block)).unwrap();
        }
        let original = Original {
            sha256: [0; 32],
            lossy: None,
            hashes: Vec::new(),
            mode: 0o644,
            mtime_seconds: 0,
            mtime_nanoseconds: 0,
        };
        writer.finish(&original).unwrap();
        let reader = ArchiveReader::from_file(file.as_file(), Path::new("archive")).unwrap();
        (file, reader)
    }

    /// A model with a header of several blocks.
    fn model() -> Vec<u8> {
        let entry = |i: u64| {
            let (start, end) = (100 * i, 100 * (i + 1));
            format!(
                r#""layers.{i}.weight":{{"dtype":"BF16","shape":[5,10],"data_offsets":[{start},{end}]}}"#
            )
        };
        let json = format!("{{{}}}", (0..300).map(entry).collect::<Vec<_>>().join(","));
        let mut file = (json.len() as u64).to_le_bytes().to_vec();
        file.extend(json.as_bytes());
        file.extend((0..30_000u32).map(|i| i.to_le_bytes()[0]));
        file
    }

    #[test]
    fn a_header_is_read_as_from_the_original_and_each_of_its_blocks_is_decoded_once() {
        let original = model();
        let (_file, reader) = archive(&original);
        let file = ArchivedFile::new(&reader).unwrap();
        let header = model::read(&file).unwrap().unwrap();
        assert_eq!(header, model::read(&original[..]).unwrap().unwrap());
        assert_eq!(header.tensors.len(), 300);
        let blocks = reader.geometry().block_at(header.end - 1).unwrap() + 1;
        assert!(blocks > 4 && blocks < reader.geometry().block_count());
        assert_eq!(file.last.borrow().decoded_blocks, blocks);
    }

    #[test]
    fn a_damaged_header_is_damage_and_not_a_file_of_another_format() {
        let (file, reader) = archive(&model());
        let entry = reader.entry(2).unwrap();
        let wrong = vec![0x5A; entry.stored_len as usize];
        crate::os::write_all_at(file.as_file(), &wrong, entry.offset).unwrap();
        let reader = ArchiveReader::from_file(file.as_file(), Path::new("archive")).unwrap();
        let file = ArchivedFile::new(&reader).unwrap();
        let error = model::read(&file).unwrap_err();
        assert!(matches!(&error, Error::Corrupt(damage) if damage.block.is_some()));
        // Nor does what came of it serve the next read.
        let mut byte = [0];
        assert!(file.read_at(&mut byte, 2 * 4096).is_err());
        file.read_at(&mut byte, 0).unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]
        #[test]
        fn reads_at_any_offset_are_slices_of_the_original(
            reads in prop::collection::vec((0usize..60_000, 0usize..20_000), 1..30),
        ) {
            let original = model();
            let (_file, reader) = archive(&original);
            let file = ArchivedFile::new(&reader).unwrap();
            prop_assert_eq!(file.file_bytes(), original.len() as u64);
            for (offset, len) in reads {
                let mut buffer = vec![0; len];
                let read = file.read_at(&mut buffer, offset as u64);
                match original.get(offset..offset + len) {
                    Some(bytes) => {
                        read.unwrap();
                        prop_assert_eq!(&buffer[..], bytes);
                    }
                    None => prop_assert!(read.is_err() || len == 0),
                }
            }
        }
    }
}
