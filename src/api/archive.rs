//! One archive, opened without a mount.

use std::path::Path;
use std::sync::OnceLock;

use crate::archive::{ArchiveReader, ArchivedFile};
use crate::block::BlockDecoder;
use crate::error::{Error, Result};
use crate::format::{BlockSpan, TensorFidelity, original_name};
use crate::job::BaseSearch;
use crate::model::{self, Tensor};
use crate::sync::{Pool, cores};

/// An open archive: the file it stands for can be read at any offset, from many threads at once.
///
/// Only the blocks that hold what is asked for are decoded, each checked against its checksum before a
/// byte of it is given out; none is kept. Who reads a little here and there again and again is better
/// served by a [`mount()`](crate::mount), which has a cache.
#[derive(Debug)]
pub struct Archive {
    reader: ArchiveReader,
    contexts: Pool<Context>,
    tensors: OnceLock<Vec<Tensor>>,
}

/// What one read needs while it runs.
struct Context {
    decoder: BlockDecoder,
    block: Vec<u8>,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}

impl Context {
    fn new() -> Result<Self> {
        Ok(Self {
            decoder: BlockDecoder::new()?,
            block: Vec::new(),
        })
    }
}

impl Archive {
    /// Opens an archive: reads its superblock and the table of extents, nothing else.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be opened, [`Error::NotThisFormat`] if it is no archive,
    /// [`Error::Corrupt`] if neither copy of its tables is whole, [`Error::Unsupported`] if a newer
    /// version is needed.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self {
            reader: BaseSearch::default().open(path.as_ref(), cores())?,
            contexts: Pool::new(cores()),
            tensors: OnceLock::new(),
        })
    }

    /// The name of the file it stands for, by its own; `None` if that does not end in `.wfz`.
    pub fn original_name(&self) -> Option<&std::ffi::OsStr> {
        self.reader.path().file_name().and_then(original_name)
    }

    /// Length in bytes of the file it stands for.
    pub fn file_bytes(&self) -> u64 {
        self.reader.geometry().original_bytes()
    }

    /// Length in bytes of the archive.
    pub fn stored_bytes(&self) -> u64 {
        self.reader.superblock().archive_bytes
    }

    /// SHA-256 of the file it stands for, as it is read.
    pub fn sha256(&self) -> [u8; 32] {
        self.reader.superblock().sha256
    }

    /// Whether tensors of it may be others than those of the file that it was made from; which, and how far, says
    /// [`fidelity`](Self::fidelity).
    pub fn is_lossy(&self) -> bool {
        self.reader.superblock().lossy.is_some()
    }

    /// SHA-256 of the file that the archive was made from: that of what is read, unless it is lossy.
    pub fn source_sha256(&self) -> [u8; 32] {
        let lossy = self.reader.superblock().lossy;
        lossy.map_or_else(|| self.sha256(), |lossy| lossy.source_sha256)
    }

    /// What was done to the tensors that are lossy, by place; nothing if none is.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if both copies of that are damaged, [`Error::Unsupported`] if a newer version is
    /// needed, [`Error::Io`] if they cannot be read.
    pub fn fidelity(&self) -> Result<Vec<TensorFidelity>> {
        self.reader.fidelity()
    }

    /// Fills `buffer` with the bytes of the file from `offset` on.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if a block of the range is damaged, [`Error::Io`] if it cannot be read,
    /// [`Error::InvalidInput`] if the range does not lie in the file. `buffer` must not be used then.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let geometry = self.reader.geometry();
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.file_bytes()) {
            return Err(Error::InvalidInput(format!(
                "{}: {} bytes from {offset} on are not in a file of {} bytes",
                self.reader.path().display(),
                buffer.len(),
                self.file_bytes()
            )));
        }
        self.contexts.with(Context::new, |context| {
            let mut rest = buffer;
            let mut at = offset;
            while !rest.is_empty() {
                let (block, span) = geometry
                    .block_at(at)
                    .and_then(|block| Some((block, geometry.block(block)?)))
                    .ok_or_else(|| Error::corrupt("the blocks of the archive do not meet"))?;
                let skip = place_in(&span, at);
                let take = rest.len().min(span.buffer_bytes() - skip);
                let (part, behind) = rest.split_at_mut(take);
                if take == span.buffer_bytes() {
                    self.reader
                        .decode_block(block, &mut context.decoder, part)?;
                } else {
                    context.block.resize(span.buffer_bytes(), 0);
                    self.reader
                        .decode_block(block, &mut context.decoder, &mut context.block)?;
                    part.copy_from_slice(&context.block[skip..skip + take]);
                }
                rest = behind;
                at += take as u64;
            }
            Ok(())
        })
    }

    /// The tensors of the model that it stands for, sorted by place; none if it is no model. The header
    /// is read once.
    ///
    /// # Errors
    /// As `read_at`.
    pub fn tensors(&self) -> Result<&[Tensor]> {
        if let Some(tensors) = self.tensors.get() {
            return Ok(tensors);
        }
        let header = model::read(&ArchivedFile::new(&self.reader)?)?;
        let tensors = header.map_or_else(Vec::new, |header| header.tensors);
        Ok(self.tensors.get_or_init(|| tensors))
    }

    /// The tensor of a name, and its bytes as the file has them; `None` if there is none.
    ///
    /// # Errors
    /// As `read_at`; [`Error::InvalidInput`] if it does not fit in memory.
    pub fn tensor(&self, name: &str) -> Result<Option<(&Tensor, Vec<u8>)>> {
        let Some(tensor) = self.tensors()?.iter().find(|tensor| tensor.name == name) else {
            return Ok(None);
        };
        let len = usize::try_from(tensor.range.end - tensor.range.start)
            .map_err(|_| Error::InvalidInput(format!("tensor {name} is too large")))?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).map_err(|_| {
            Error::InvalidInput(format!(
                "tensor {name} does not fit in memory; read a part of it"
            ))
        })?;
        bytes.resize(len, 0);
        self.read_at(&mut bytes, tensor.range.start)?;
        Ok(Some((tensor, bytes)))
    }
}

fn place_in(span: &BlockSpan, offset: u64) -> usize {
    usize::try_from(offset - span.range.start)
        .expect("invariant: a block is at most MAX_BLOCK_BYTES")
}
