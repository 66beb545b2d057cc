//! A file as one stream of a general compressor, or as several, and back.

use std::fs::File;
use std::hash::Hasher;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use liblzma::stream::{Check, Stream};
use liblzma::write::XzEncoder;
use twox_hash::XxHash3_64;

use super::contender::Tool;
use super::{records, xor, zstd_frame};
use crate::error::{Error, Result};
use crate::job::Monitor;
use crate::job::source_file::SourceFile;

/// Bytes that are read, coded and written at a time.
pub(super) const PIECE_BYTES: usize = 1 << 20;

/// Compresses a file into another, which is on the disk then: packing an archive waits for that as
/// well.
///
/// # Errors
/// `Io` if the system refuses, `Environment` if the source changes meanwhile, `Interrupted`.
pub(super) fn encode(
    tool: Tool,
    level: u32,
    (source, base): (&SourceFile, Option<&SourceFile>),
    to: &Path,
    monitor: &Monitor<'_>,
) -> Result<()> {
    let cannot = |e| Error::io(format!("cannot write {}", to.display()), e);
    let mut out = BufWriter::with_capacity(PIECE_BYTES, File::create(to).map_err(cannot)?);
    let feed = |encoder: &mut dyn Write| feed(source, encoder, to, monitor);
    let finished = match tool {
        Tool::Gzip => {
            let mut encoder = GzEncoder::new(out, Compression::new(level));
            feed(&mut encoder)?;
            encoder.finish()
        }
        Tool::Bzip2 => {
            let mut encoder = bzip2::write::BzEncoder::new(out, bzip2::Compression::new(level));
            feed(&mut encoder)?;
            encoder.finish()
        }
        Tool::Xz => {
            let stream = Stream::new_easy_encoder(level, Check::Crc64).map_err(io::Error::from);
            let mut encoder = XzEncoder::new_stream(out, stream.map_err(cannot)?);
            feed(&mut encoder)?;
            encoder.finish()
        }
        Tool::Zstd => {
            let mut encoder = zstd_frame::encoder(out, level, source.stamp.size).map_err(cannot)?;
            feed(&mut encoder)?;
            encoder.finish()
        }
        Tool::StreamsZstd => {
            records::encode(level, source, &mut out, cannot, monitor)?;
            Ok(out)
        }
        Tool::XorZstd => {
            xor::encode(level, source, needed(base)?, &mut out, cannot, monitor)?;
            Ok(out)
        }
    };
    finished
        .and_then(|out| out.into_inner().map_err(io::IntoInnerError::into_error))
        .and_then(|file| file.sync_all())
        .map_err(cannot)
}

fn needed(base: Option<&SourceFile>) -> Result<&SourceFile> {
    base.ok_or_else(|| Error::InvalidInput("name a base".into()))
}

fn feed(
    source: &SourceFile,
    encoder: &mut dyn Write,
    to: &Path,
    monitor: &Monitor<'_>,
) -> Result<()> {
    for_each_piece(source, |piece| {
        monitor.check()?;
        encoder
            .write_all(piece)
            .map_err(|e| Error::io(format!("cannot write {}", to.display()), e))?;
        (monitor.progress)(piece.len() as u64);
        Ok(())
    })
}

/// Reads a source from start to end.
///
/// # Errors
/// That of `each`; `Io` if the system refuses, `Environment` if the file has another length by now.
pub(super) fn for_each_piece(
    source: &SourceFile,
    mut each: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut at = 0;
    loop {
        let read = source.read_up_to(&mut piece, at)?;
        if read == 0 {
            break;
        }
        each(&piece[..read])?;
        at += read as u64;
    }
    if at == source.stamp.size {
        Ok(())
    } else {
        Err(source.changed())
    }
}

/// Decompresses a stream; returns how many bytes it holds and their XXH3.
///
/// # Errors
/// `Io` if the system refuses or the stream is damaged, `Interrupted`.
pub(super) fn decode(
    tool: Tool,
    from: &Path,
    base: Option<&SourceFile>,
    monitor: &Monitor<'_>,
) -> Result<(u64, u64)> {
    let cannot = |e| Error::io(format!("cannot decode {}", from.display()), e);
    let input = File::open(from).map_err(cannot)?;
    let mut input = BufReader::with_capacity(PIECE_BYTES, input);
    let mut decoder: Box<dyn Read> = match tool {
        Tool::Gzip => Box::new(MultiGzDecoder::new(input)),
        Tool::Bzip2 => Box::new(bzip2::bufread::BzDecoder::new(input)),
        Tool::Xz => Box::new(liblzma::bufread::XzDecoder::new(input)),
        Tool::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(input).map_err(cannot)?),
        Tool::StreamsZstd => return records::decode(&mut input, cannot, monitor),
        Tool::XorZstd => return xor::decode(&mut input, needed(base)?, cannot, monitor),
    };
    let mut piece = vec![0; PIECE_BYTES];
    let mut hasher = XxHash3_64::new();
    let mut bytes = 0;
    loop {
        monitor.check()?;
        match decoder.read(&mut piece) {
            Ok(0) => return Ok((bytes, hasher.finish())),
            Ok(read) => {
                hasher.write(&piece[..read]);
                bytes += read as u64;
                (monitor.progress)(read as u64);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(cannot(e)),
        }
    }
}
