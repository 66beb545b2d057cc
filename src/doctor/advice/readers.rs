//! Rules about what the readers of a mount have been doing, and which settings of loaders fit.

use super::rule::{Advice, Rule, Weight, advice};
use crate::console::size::show;
use crate::doctor::facts::Facts;
use crate::fs::MountStats;
use crate::fuse::ENOUGH_READAHEAD_BYTES;
use crate::os::MountUsers;

pub(super) const RULES: &[Rule] = &[
    failed_reads,
    other_source,
    small_reads,
    large_reads,
    cache_is_full,
    wasted,
    skipped,
    many_readers,
    shared_maps,
    direct_readers,
];

/// With fewer reads or bytes, nothing is told from them.
const ENOUGH_READS: u64 = 100;
const ENOUGH_BYTES: u64 = 64 << 20;
/// A block that is short enough for reads at random.
const SHORT_BLOCK_BYTES: u32 = 64 << 10;
/// Of `READ_SIZES`: those of up to 16 KiB, and those of more than 64 KiB.
const SMALL: std::ops::Range<usize> = 0..2;
const LARGE: std::ops::Range<usize> = 3..6;

fn stats(facts: &Facts) -> Option<&MountStats> {
    facts.mount.as_ref()?.stats.known()
}

fn users(facts: &Facts) -> Option<&MountUsers> {
    facts.mount.as_ref()?.users.known()
}

/// So many in a hundred.
fn percent(part: u64, all: u64) -> u64 {
    part.saturating_mul(100).checked_div(all).unwrap_or(0)
}

/// All reads, and those of some sizes, if there were enough to tell something.
fn reads_of(stats: &MountStats, sizes: std::ops::Range<usize>) -> Option<(u64, u64)> {
    let all = stats.reads.by_size.iter().sum::<u64>();
    let of_these = stats.reads.by_size.get(sizes)?.iter().sum();
    (all >= ENOUGH_READS).then_some((all, of_these))
}

fn failed_reads(facts: &Facts) -> Option<Advice> {
    let failed = stats(facts)?.reads.failed;
    (failed > 0).then(|| Advice {
        weight: Weight::Better,
        because: format!("{failed} reads ended in an error"),
        advice: "the log of the mount names archive, block and range; weightfs verify SRC lists all damage".into(),
    })
}

fn other_source(facts: &Facts) -> Option<Advice> {
    stats(facts)?.source_changed.then(|| Advice {
        weight: Weight::Better,
        because: "the path of its source names something else now than what it shows".into(),
        advice: "unmount, and mount again to show that".into(),
    })
}

fn small_reads(facts: &Facts) -> Option<Advice> {
    let stats = stats(facts)?;
    let (all, small) = reads_of(stats, SMALL)?;
    let cache = &stats.cache;
    let nanoseconds = cache.decode_nanoseconds.checked_div(cache.decodes);
    let each_us = nanoseconds.unwrap_or(0) / 1000;
    let packed = facts.place().and_then(|place| place.packed.known());
    let of_length = packed.map_or_else(String::new, |packed| {
        format!(" of {}", show(packed.block_bytes.into()))
    });
    let shorter = if packed.is_some_and(|packed| packed.block_bytes <= SHORT_BLOCK_BYTES) {
        ""
    } else {
        ". If it has to be so, pack with --block-size 64K, as each read waits for its whole block; docs/BENCH.md has \
         figures of block sizes"
    };
    (percent(small, all) >= 50).then(|| Advice {
        weight: Weight::Better,
        because: format!(
            "{small} of {all} reads were of at most 16 KiB; {} blocks{of_length} were decoded for all reads, {each_us} us \
             each, {} times one was found in the cache",
            cache.decodes, cache.hits
        ),
        advice: format!(
            "this is reading at random (or a map with MADV_RANDOM): a loader that reads in order has each block decoded \
             once{shorter}"
        ),
    })
}

fn large_reads(facts: &Facts) -> Option<Advice> {
    let mount = facts.mount.as_ref()?;
    let (all, large) = reads_of(stats(facts)?, LARGE)?;
    let ahead = *mount.readahead_bytes.known()?;
    let is_far = ahead >= ENOUGH_READAHEAD_BYTES;
    (percent(large, all) >= 50).then(|| Advice {
        weight: Weight::Note,
        because: format!(
            "{large} of {all} reads were of more than 64 KiB, as the kernel makes them ahead of readers that go on; it \
             reads {} ahead in this mount",
            show(ahead)
        ),
        advice: if is_far {
            "reading in order, by read() or mmap, suits it: transformers and llama.cpp were measured so with their \
             defaults (docs/BENCH.md)"
        } else {
            "reading in order, by read() or mmap, suits it; the mount decodes and pushes ahead by itself (--push auto), \
             and mounted by root the kernel reads 4M ahead"
        }
        .into(),
    })
}

fn cache_is_full(facts: &Facts) -> Option<Advice> {
    let stats = stats(facts)?;
    let (cached, budget) = (
        stats.cache.cached_bytes as u64,
        stats.cache.budget_bytes as u64,
    );
    let (all, small) = reads_of(stats, SMALL)?;
    let looked = stats.cache.hits + stats.cache.waits + stats.cache.decodes;
    let is_small = percent(small, all) >= 50 && percent(stats.cache.hits, looked) < 50;
    (is_small && percent(cached, budget) >= 90).then(|| Advice {
        weight: Weight::Better,
        because: format!(
            "the cache is full ({} of {}) and {} of {looked} blocks were found in it",
            show(cached),
            show(budget),
            stats.cache.hits
        ),
        advice: format!(
            "mount with --cache-size {}M",
            budget.saturating_mul(4) >> 20
        ),
    })
}

fn wasted(facts: &Facts) -> Option<Advice> {
    let ahead = &stats(facts)?.prefetch;
    let settled = ahead.used_bytes + ahead.wasted_bytes;
    (settled >= ENOUGH_BYTES && percent(ahead.wasted_bytes, settled) >= 25).then(|| Advice {
        weight: Weight::Better,
        because: format!(
            "of what was fetched ahead, {} was passed by a reader and {} was not (reads in the page cache are not seen)",
            show(ahead.used_bytes),
            show(ahead.wasted_bytes)
        ),
        advice: "if processors are busy meanwhile, mount with --push never and see whether loads get faster".into(),
    })
}

fn skipped(facts: &Facts) -> Option<Advice> {
    let ahead = &stats(facts)?.prefetch;
    let is_much = ahead.issued_bytes >= ENOUGH_BYTES
        && percent(ahead.skipped_bytes, ahead.issued_bytes) >= 50;
    is_much.then(|| Advice {
        weight: Weight::Note,
        because: format!(
            "of {} that was to be fetched ahead, {} was left: for want of memory, or as the readers were there first",
            show(ahead.issued_bytes),
            show(ahead.skipped_bytes)
        ),
        advice: String::new(),
    })
}

fn many_readers(facts: &Facts) -> Option<Advice> {
    let processes = &users(facts)?.processes;
    (processes.len() > 1).then(|| Advice {
        weight: Weight::Note,
        because: format!(
            "{} processes have files of it open or mapped now: what one has read is in the page cache for all",
            processes.len()
        ),
        advice: String::new(),
    })
}

fn shared_maps(facts: &Facts) -> Option<Advice> {
    let processes = &users(facts)?.processes;
    let user = processes.iter().find(|user| user.shared_map_bytes > 0)?;
    advice(
        Weight::Note,
        format!(
            "{} ({}) has {} mapped shared, as llama.cpp, candle and gguf-py do",
            user.name,
            user.process,
            show(user.shared_map_bytes)
        ),
        "keep llama.cpp's default (mmap): beside the plain file it did better than --no-mmap, 1.13 against 1.22 times \
         its time cold and 0.85 against 1.16 from a disk of 500 MB/s (docs/BENCH.md, gemma-3-270m Q4_K_M)",
    )
}

fn direct_readers(facts: &Facts) -> Option<Advice> {
    let processes = &users(facts)?.processes;
    let user = processes.iter().find(|user| user.direct_files > 0)?;
    advice(
        Weight::Better,
        format!(
            "{} ({}) reads {} files past the page cache (O_DIRECT), so every read comes to the mount, and a second one \
             again",
            user.name, user.process, user.direct_files
        ),
        "turn direct I/O off in the loader: what is read then stays in the page cache",
    )
}
