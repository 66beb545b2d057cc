//! How many threads a job may have with the memory that it may have.

use std::num::NonZeroUsize;

use super::monitor::Monitor;
use crate::error::{Error, Result};
use crate::format::DEFAULT_BLOCK_BYTES;
use crate::os::{BoundBy, MemoryLimit, memory_limit, own_limit};

/// What a job holds whatever it does: the program, its libraries, what is listed of directories.
const JOB_BYTES: u64 = 24 << 20;
/// Of the rest, this part is for threads; the other one for the page cache, which what is written waits in.
const THREADS_PART: u64 = 2;

/// What a thread takes of the address space, whatever it uses of it: its stack, and one for signals.
const STACK_BYTES: u64 = (2 << 20) + (64 << 10);

/// What a thread that decodes holds: stored and decoded bytes of a block, and what it compares them with.
/// Measured with blocks of 512 KiB: 3.5 times their length; of records with a byte for each level, 5.5 times.
pub(super) const fn decoding_bytes(block_bytes: u32) -> u64 {
    6 * block_bytes as u64 + (512 << 10)
}

/// So many threads, or as many as there is memory for; who asked for more is told.
///
/// # Errors
/// `Environment` if the limits of this process have no room for a single one.
pub(super) fn fitting_threads(
    wanted: NonZeroUsize,
    bytes_each: u64,
    monitor: &Monitor<'_>,
) -> Result<NonZeroUsize> {
    if let Some(limit) = own_limit() {
        let needed = bytes_each + 2 * STACK_BYTES;
        if limit.bytes < needed {
            return Err(Error::Environment(format!(
                "{} is {} MiB, and a block takes {} MiB; raise the limit, or use smaller blocks",
                limit.by,
                limit.bytes >> 20,
                needed.div_ceil(1 << 20)
            )));
        }
    }
    let Some(limit) = memory_limit() else {
        return Ok(wanted);
    };
    let fitting = fitting(wanted, bytes_each, &limit);
    if fitting < wanted {
        (monitor.warn)(&format!(
            "using {fitting} of {wanted} threads: {} ({} MiB) has room for no more",
            limit.by,
            limit.bytes >> 20
        ));
    }
    Ok(fitting)
}

/// As `fitting_threads`, for one of the archives of a job: its blocks may be longer than is usual.
pub(super) fn threads_for(wanted: NonZeroUsize, block_bytes: u32) -> NonZeroUsize {
    if block_bytes <= 2 * DEFAULT_BLOCK_BYTES {
        return wanted;
    }
    memory_limit().map_or(wanted, |limit| {
        fitting(wanted, decoding_bytes(block_bytes), &limit)
    })
}

fn fitting(wanted: NonZeroUsize, bytes_each: u64, limit: &MemoryLimit) -> NonZeroUsize {
    let bytes_each = match limit.by {
        // Packing starts two threads for each of these.
        BoundBy::AddressSpace | BoundBy::DataSegment => bytes_each + 2 * STACK_BYTES,
        BoundBy::ControlGroup | BoundBy::Machine => bytes_each,
    };
    let room = limit.bytes.saturating_sub(JOB_BYTES) / THREADS_PART;
    let count = usize::try_from(room / bytes_each.max(1)).unwrap_or(usize::MAX);
    NonZeroUsize::new(count).map_or(NonZeroUsize::MIN, |count| count.min(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_one_thread_and_never_more_than_there_is_room_for() {
        for (limit_mib, wanted, each_mib, expected) in [
            (64, 16, 2, 10),
            (64, 4, 2, 4),
            (64, 16, 100, 1),
            (10, 16, 1, 1),
            (1 << 20, 16, 2, 16),
        ] {
            let limit = MemoryLimit {
                bytes: limit_mib << 20,
                by: BoundBy::ControlGroup,
            };
            let wanted = NonZeroUsize::new(wanted).unwrap();
            let found = fitting(wanted, each_mib << 20, &limit);
            assert_eq!(found.get(), expected, "{limit_mib} MiB");
        }
    }
}
