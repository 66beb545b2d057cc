//! How fast blocks are decoded that are in memory: a few of them, again and again, for a moment.

use std::num::NonZeroUsize;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::block::BlockDecoder;
use crate::console::size::per_second;
use crate::error::{Error, Result};
use crate::os::in_scope;
use crate::simd::Simd;
use crate::sync::cores;

/// How long a measurement takes; at least every thread decodes one block.
const MOMENT: Duration = Duration::from_millis(60);
/// The fastest of so many counts: what else is done by the machine only makes it slower.
const ROUNDS: usize = 3;

/// Decodes the block of a number into a buffer of its length.
type Decode<'a> = Box<dyn Fn(usize, &mut BlockDecoder, &mut [u8]) -> Result<()> + Sync + 'a>;

/// Blocks to decode.
pub(super) struct Blocks<'a> {
    pub(super) lens: Vec<usize>,
    pub(super) decode: Decode<'a>,
}

/// Bytes a second that come out of decoding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct DecodeSpeed {
    pub(crate) one_thread: u64,
    /// As many threads as there are cores, at once.
    pub(crate) all_threads: u64,
}

/// The speed with one set of vector instructions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct DecodeSpeedOf {
    pub(crate) instructions: &'static str,
    /// weightfs uses this one.
    pub(crate) is_used: bool,
    pub(crate) one_thread: u64,
}

/// Of each: one thread, and all. The rounds of all of them alternate, so that what else the machine does meanwhile
/// slows none down more than the others.
///
/// # Errors
/// That of decoding; `Environment` if no thread can be started.
pub(super) fn speeds(all: &[Blocks<'_>]) -> Result<Vec<DecodeSpeed>> {
    all.iter().try_for_each(Blocks::decode_once)?;
    let mut speeds = vec![DecodeSpeed::default(); all.len()];
    for _ in 0..ROUNDS {
        for (blocks, best) in all.iter().zip(&mut speeds) {
            let one_thread = blocks.one_round(Simd::detect(), NonZeroUsize::MIN)?;
            let all_threads = blocks.one_round(Simd::detect(), cores())?;
            best.one_thread = best.one_thread.max(one_thread);
            best.all_threads = best.all_threads.max(all_threads);
        }
    }
    Ok(speeds)
}

impl Blocks<'_> {
    /// One thread, with each set of instructions that the machine has; the best first.
    ///
    /// # Errors
    /// As `speeds`.
    pub(super) fn speeds_by_instructions(&self) -> Result<Vec<DecodeSpeedOf>> {
        self.decode_once()?;
        let used = Simd::detect();
        let mut speeds: Vec<_> = Simd::available().map(|simd| (simd, 0)).collect();
        for _ in 0..ROUNDS {
            for (simd, best) in &mut speeds {
                *best = self.one_round(*simd, NonZeroUsize::MIN)?.max(*best);
            }
        }
        let speeds = speeds.into_iter().map(|(simd, one_thread)| DecodeSpeedOf {
            instructions: simd.name(),
            is_used: simd == used,
            one_thread,
        });
        Ok(speeds.collect())
    }

    /// Decodes each block, so that none comes from a disk when it counts.
    fn decode_once(&self) -> Result<()> {
        let mut decoder = BlockDecoder::new()?;
        let mut buffer = Vec::new();
        for (block, &len) in self.lens.iter().enumerate() {
            buffer.resize(len, 0);
            (self.decode)(block, &mut decoder, &mut buffer)?;
        }
        Ok(())
    }

    fn one_round(&self, simd: Simd, threads: NonZeroUsize) -> Result<u64> {
        let threads = threads.get();
        thread::scope(|scope| {
            let running: Vec<_> = (0..threads)
                .map(|number| {
                    let first = number * self.lens.len() / threads;
                    in_scope(scope, move || self.decode_from(first, simd))
                })
                .collect::<Result<_>>()?;
            let panicked = |_| Err(Error::Environment("a thread that decoded ended".into()));
            running
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(panicked))
                .sum()
        })
    }

    /// What one thread does: each block in turn, beginning with one.
    fn decode_from(&self, first: usize, simd: Simd) -> Result<u64> {
        let mut decoder = BlockDecoder::with_simd(simd)?;
        let mut buffer = vec![0; self.lens.iter().copied().max().unwrap_or(0)];
        let mut block = first;
        let mut decode_next = || {
            let len = self.lens[block];
            (self.decode)(block, &mut decoder, &mut buffer[..len])?;
            block = (block + 1) % self.lens.len();
            Ok::<_, Error>(len as u64)
        };
        // Not counted: what a decoder makes once.
        decode_next()?;
        let start = Instant::now();
        let mut bytes = 0;
        while bytes == 0 || start.elapsed() < MOMENT {
            bytes += decode_next()?;
        }
        Ok(per_second(bytes, start.elapsed()))
    }
}
