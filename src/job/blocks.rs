//! Goes through all blocks of an archive on several threads.

use std::num::NonZeroUsize;

use super::fitting::threads_for;
use super::monitor::Monitor;
use super::pipeline;
use crate::archive::ArchiveReader;
use crate::block::BlockDecoder;
use crate::error::Result;
use crate::format::BlockSpan;

/// What a thread carries from block to block.
pub(super) struct BlockWorker<T> {
    pub(super) decoder: BlockDecoder,
    /// The number of the block.
    pub(super) block: u64,
    /// What it holds.
    pub(super) span: BlockSpan,
    /// A buffer of its length.
    pub(super) decoded: Vec<u8>,
    /// Whatever else the job needs.
    pub(super) own: T,
}

/// Runs `work` on each block, on all threads at once, and then `hand_over`, in order.
///
/// # Errors
/// The first error of either, or `Interrupted`.
pub(super) fn for_each_block<T: Default + Send>(
    reader: &ArchiveReader,
    threads: NonZeroUsize,
    monitor: &Monitor<'_>,
    work: impl Fn(&mut BlockWorker<T>) -> Result<()> + Sync,
    mut hand_over: impl FnMut(&mut BlockWorker<T>) -> Result<()> + Send,
) -> Result<()> {
    let geometry = reader.geometry();
    let threads = threads_for(threads, reader.superblock().block_bytes);
    let workers = (0..threads.get())
        .map(|_| {
            Ok(BlockWorker {
                decoder: BlockDecoder::new()?,
                block: 0,
                span: BlockSpan::EMPTY,
                decoded: Vec::new(),
                own: T::default(),
            })
        })
        .collect::<Result<Vec<_>>>()?;
    reader.expect_sequential();
    let mut next = 0;
    pipeline::run(
        workers,
        monitor.cancel,
        |worker| {
            let Some(span) = geometry.block(next) else {
                return Ok(false);
            };
            worker.decoded.resize(span.buffer_bytes(), 0);
            worker.span = span;
            worker.block = next;
            next += 1;
            Ok(true)
        },
        work,
        |worker| {
            hand_over(worker)?;
            (monitor.progress)(worker.decoded.len() as u64);
            Ok(())
        },
    )
}
