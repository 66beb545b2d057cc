//! A file XORed with its base, and the bytes of each place in a number coded as a frame of zstd: what is published
//! for fine-tunes (ZipLLM), so that figures can be held beside it.
//!
//! Each tensor of which the base has one of the same name, type and shape is XORed with that; all else stays as it
//! is. A table of these pieces with its length before it: for each where it ends, where the base's bytes begin, and
//! how many bytes a number has, of 8 bytes each. Then, for each part of each piece, a frame for each place.

use std::collections::HashMap;
use std::hash::Hasher;
use std::io::{self, Read, Write};

use twox_hash::XxHash3_64;

use super::framed::{PART_BYTES, get, get_frame, put, put_frame};
use crate::error::{Error, Result};
use crate::job::Monitor;
use crate::job::source_file::SourceFile;
use crate::model::{self, ReadAt, Tensor};

/// Where the base's bytes begin of what is not XORed.
const NOWHERE: u64 = u64::MAX;
/// Bytes of the longest numbers.
const MOST_PLACES: u64 = 8;
const MOST_PIECES: u64 = 1 << 20;

/// Bytes of a file that are XORed with others, or not.
#[derive(Clone, Copy)]
struct Piece {
    end: u64,
    base: u64,
    places: u64,
}

impl Piece {
    const BYTES: usize = 3 * 8;

    fn words(self) -> [u64; 3] {
        [self.end, self.base, self.places]
    }
}

/// The pieces of a file, from its start to its end.
fn pieces(source: &SourceFile, base: &SourceFile) -> Result<Vec<Piece>> {
    let tensors_of = |file| Ok(model::read(file)?.map_or_else(Vec::new, |header| header.tensors));
    let (mut own, others): (Vec<Tensor>, Vec<Tensor>) = (tensors_of(source)?, tensors_of(base)?);
    let others: HashMap<&str, &Tensor> = others.iter().map(|one| (&*one.name, one)).collect();
    own.sort_by_key(|tensor| tensor.range.start);
    let mut pieces = Vec::new();
    let mut at = 0;
    let raw = |end| Piece {
        end,
        base: NOWHERE,
        places: 1,
    };
    for tensor in own {
        let like = others
            .get(&*tensor.name)
            .filter(|other| other.dtype == tensor.dtype && other.shape == tensor.shape);
        let Some(like) = like.filter(|_| tensor.range.start >= at) else {
            continue;
        };
        if tensor.range.start > at {
            pieces.push(raw(tensor.range.start));
        }
        let places = u64::from(tensor.element.bytes());
        let is_of_numbers = (1..=MOST_PLACES).contains(&places);
        pieces.push(Piece {
            end: tensor.range.end,
            base: like.range.start,
            places: if is_of_numbers { places } else { 1 },
        });
        at = tensor.range.end;
    }
    if at < source.file_bytes() {
        pieces.push(raw(source.file_bytes()));
    }
    Ok(pieces)
}

/// Calls `each` with the parts of pieces, one after the other: where one begins, its piece and its length.
fn for_each_part(
    pieces: &[Piece],
    mut each: impl FnMut(u64, Option<u64>, usize, usize) -> Result<()>,
) -> Result<()> {
    let mut start = 0;
    for piece in pieces {
        let step = PART_BYTES - PART_BYTES % piece.places;
        let places = usize::try_from(piece.places).expect("invariant: at most MOST_PLACES");
        let mut at = start;
        while at < piece.end {
            let len = usize::try_from(step.min(piece.end - at)).expect("invariant: a part");
            let base = (piece.base != NOWHERE).then(|| piece.base + (at - start));
            each(at, base, places, len)?;
            at += len as u64;
        }
        start = piece.end;
    }
    Ok(())
}

fn xor(part: &mut [u8], base: &SourceFile, from: Option<u64>, others: &mut Vec<u8>) -> Result<()> {
    if let Some(from) = from {
        others.resize(part.len(), 0);
        base.read_at(others, from)?;
        for (byte, other) in part.iter_mut().zip(&*others) {
            *byte ^= other;
        }
    }
    Ok(())
}

/// How many bytes of a part are of a place in its numbers.
const fn bytes_of_place(len: usize, places: usize, place: usize) -> usize {
    (len + places - 1 - place) / places
}

/// Writes the coded form of a file.
///
/// # Errors
/// `Io` if the system refuses, `Environment` if a file changes meanwhile, `Interrupted`.
pub(super) fn encode(
    level: u32,
    source: &SourceFile,
    base: &SourceFile,
    out: &mut impl Write,
    cannot: impl Fn(io::Error) -> Error,
    monitor: &Monitor<'_>,
) -> Result<()> {
    let pieces = pieces(source, base)?;
    let words = pieces.iter().flat_map(|piece| piece.words());
    let table: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
    put(out, &table).map_err(&cannot)?;
    let (mut part, mut others, mut plane) = (Vec::new(), Vec::new(), Vec::new());
    for_each_part(&pieces, |at, from, places, len| {
        part.resize(len, 0);
        source.read_at(&mut part, at)?;
        xor(&mut part, base, from, &mut others)?;
        for place in 0..places {
            plane.clear();
            plane.extend(part.iter().skip(place).step_by(places));
            put_frame(out, level, &plane, &cannot, monitor)?;
        }
        (monitor.progress)(len as u64);
        Ok(())
    })
}

/// Decodes what `encode` wrote; returns how many bytes it holds and their XXH3.
///
/// # Errors
/// `Io` if the system refuses or something is damaged, `Corrupt`, `Interrupted`.
pub(super) fn decode(
    input: &mut impl Read,
    base: &SourceFile,
    cannot: impl Fn(io::Error) -> Error,
    monitor: &Monitor<'_>,
) -> Result<(u64, u64)> {
    let table = get(input, Piece::BYTES as u64 * MOST_PIECES).map_err(&cannot)?;
    let words = table
        .as_chunks()
        .0
        .iter()
        .map(|word| u64::from_le_bytes(*word));
    let words: Vec<u64> = words.collect();
    let pieces = words
        .as_chunks()
        .0
        .iter()
        .map(|&[end, base, places]| Piece { end, base, places });
    let pieces: Vec<Piece> = pieces.collect();
    if pieces
        .iter()
        .any(|piece| !(1..=MOST_PLACES).contains(&piece.places))
    {
        return Err(Error::corrupt("a table of pieces is malformed"));
    }
    let (mut part, mut others, mut plane) = (Vec::new(), Vec::new(), Vec::new());
    let mut hasher = XxHash3_64::new();
    for_each_part(&pieces, |_, from, places, len| {
        part.resize(len, 0);
        for place in 0..places {
            monitor.check()?;
            plane.resize(bytes_of_place(len, places, place), 0);
            get_frame(input, &mut plane).map_err(&cannot)?;
            for (byte, &coded) in part.iter_mut().skip(place).step_by(places).zip(&plane) {
                *byte = coded;
            }
        }
        xor(&mut part, base, from, &mut others)?;
        hasher.write(&part);
        (monitor.progress)(len as u64);
        Ok(())
    })?;
    Ok((pieces.last().map_or(0, |last| last.end), hasher.finish()))
}
