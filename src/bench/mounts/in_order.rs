//! Reading all of a file, with a clock: only the reading counts, buffers are made and written to
//! before.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::sync::RwLock;
use std::thread;
use std::time::Instant;

use super::reader::{PIECE_BYTES, Reader, stripe};
use crate::error::Result;
use crate::os::{PageBuffer, in_scope};

/// With read(), from start to end.
pub(super) fn read(reader: &Reader<'_>) -> Result<f64> {
    let mut buffer = PageBuffer::new(PIECE_BYTES);
    let mut file = reader.file;
    file.rewind().map_err(|e| reader.cannot(e))?;
    let start = Instant::now();
    let mut done = 0;
    loop {
        match file.read(buffer.bytes()) {
            Ok(0) => break,
            Ok(read) => done += read as u64,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(reader.cannot(e)),
        }
        reader.watch.beat()?;
    }
    let seconds = start.elapsed().as_secs_f64();
    if done == reader.bytes {
        Ok(seconds)
    } else {
        Err(reader.cannot(io::ErrorKind::UnexpectedEof.into()))
    }
}

/// Out of a map.
pub(super) fn map(reader: &Reader<'_>, ask_for_all: bool) -> Result<f64> {
    let mut buffer = PageBuffer::new(PIECE_BYTES);
    let start = Instant::now();
    let map = reader.mapped()?;
    if ask_for_all {
        map.ask_for_all().map_err(|e| reader.cannot(e))?;
    }
    for piece in map.as_slice().chunks(PIECE_BYTES) {
        reader.copy(&map, piece, buffer.bytes())?;
        reader.watch.beat()?;
    }
    Ok(start.elapsed().as_secs_f64())
}

/// By threads, each its own part, on one descriptor or each on its own.
pub(super) fn threads(reader: &Reader<'_>, count: u64, share: bool) -> Result<f64> {
    let own = (0..count)
        .map(|_| File::open(reader.path))
        .collect::<io::Result<Vec<_>>>()
        .map_err(|e| reader.cannot(e))?;
    // Held until all are there; those that wait go on as well if one cannot be started.
    let gate = RwLock::new(());
    let closed = gate.write();
    let times = thread::scope(|scope| {
        let threads: Result<Vec<_>> = (0..)
            .zip(&own)
            .map(|(number, own)| {
                let part = Reader {
                    file: if share { reader.file } else { own },
                    ..*reader
                };
                let gate = &gate;
                in_scope(scope, move || {
                    let mut buffer = PageBuffer::new(PIECE_BYTES);
                    drop(gate.read());
                    // Each by itself: who looks on may wake up long after the readers did.
                    let start = Instant::now();
                    part.read_range(stripe(reader.bytes, number, count), &mut buffer, || {})?;
                    Ok((start, Instant::now()))
                })
            })
            .collect();
        drop(closed);
        let panicked = || reader.cannot(io::Error::other("a thread panicked"));
        threads?
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(panicked())))
            .collect::<Result<Vec<_>>>()
    })?;
    let first = times.iter().map(|(start, _)| *start).min();
    let last = times.iter().map(|(_, end)| *end).max();
    let all = first.zip(last).map(|(first, last)| last - first);
    Ok(all.unwrap_or_default().as_secs_f64())
}
