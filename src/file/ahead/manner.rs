//! How a read is fetched ahead of: how far, and to where.

use super::page_cache::{MARK_BYTES, PageCache};
use super::streams::Reach;

/// How a read is fetched ahead of.
#[derive(Debug, Clone, Copy)]
pub(in crate::file) struct Manner {
    pub reach: Reach,
    /// Into the page cache; else the blocks are decoded into the cache here.
    pub push: bool,
}

impl Manner {
    /// How a read of `len` bytes is fetched ahead of. `page_cache` is the kernel's, if the reader goes through
    /// it and it may be pushed into; `ask_bytes` is what the storage wants to be asked for beyond that.
    pub fn of(len: u64, block_bytes: u64, page_cache: Option<&PageCache>, ask_bytes: u64) -> Self {
        let mut manner = match page_cache {
            Some(cache) if !cache.reads_ahead => Self::PUSH,
            Some(_) if len >= block_bytes => Self::PUSH_JUMPS,
            _ if len < block_bytes => Self::blocks(block_bytes),
            _ => Self::NONE,
        };
        manner.reach.ask_bytes = ask_bytes;
        manner
    }

    /// Into the page cache, ahead of a reader that goes on and on.
    const PUSH: Self = Self {
        reach: Reach {
            window_bytes: 8 << 20,
            step_bytes: MARK_BYTES,
            lead_bytes: 256 << 10,
            goes_on: true,
            ask_bytes: 0,
        },
        push: true,
    };
    /// Into the page cache, where a reader is to jump to.
    const PUSH_JUMPS: Self = Self {
        reach: Reach {
            goes_on: false,
            ..Self::PUSH.reach
        },
        push: true,
    };

    /// Nothing, where the reader goes on.
    const NONE: Self = Self {
        reach: Reach {
            window_bytes: 0,
            step_bytes: 0,
            lead_bytes: 0,
            goes_on: false,
            ask_bytes: 0,
        },
        push: false,
    };

    /// Blocks, ahead of reads that are shorter than one.
    const fn blocks(block_bytes: u64) -> Self {
        Self {
            reach: Reach {
                window_bytes: 4 * block_bytes,
                step_bytes: block_bytes,
                lead_bytes: 0,
                goes_on: true,
                ask_bytes: 0,
            },
            push: false,
        }
    }
}
