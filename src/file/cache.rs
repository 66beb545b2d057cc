//! Decoded blocks: an LRU with a byte budget in which each miss is decoded once (single flight).
//!
//! Invariant: the cached blocks never exceed the budget, no lock is held while a block is decoded,
//! and a block whose decoding failed is in nobody's hands. The page cache of the kernel holds what
//! was read already; this one is for blocks that several reads share. A large cache is made of
//! several, each with its lock and its part of the budget, so that readers seldom meet.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use lru::LruCache;

use super::stats::CacheStats;
use crate::error::{Error, Result};
use crate::os::zeroed;
use crate::sync::lock;

/// Names a block of a generation of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlockKey {
    /// The archive's generation; no two that are cached have the same.
    pub archive: u64,
    /// The block.
    pub block: u64,
}

/// Decoded bytes that several readers share.
pub type Block = Arc<Vec<u8>>;

/// Buffers of evicted blocks that are kept for the next ones, so that a cache that is full
/// allocates nothing.
const SPARE_BUFFERS: usize = 8;
/// Parts of a large cache.
const SHARDS: usize = 8;
/// A part that is smaller might hold no two of the largest blocks.
const ENOUGH_SHARD_BYTES: usize = 8 << 20;

/// What an entry takes beside its block: key, links, counters.
const ENTRY_BYTES: usize = 200;

/// The cache. All methods may be called from many threads at once.
#[derive(Debug)]
pub struct BlockCache {
    shards: Vec<Mutex<State>>,
    shard_bytes: usize,
    /// What each may hold while memory is short; at most `shard_bytes`.
    held_bytes: AtomicUsize,
    hits: AtomicU64,
    waits: AtomicU64,
    decodes: AtomicU64,
    decode_nanoseconds: AtomicU64,
}

/// A part of the cache.
#[derive(Debug)]
struct State {
    blocks: LruCache<BlockKey, Block>,
    bytes: usize,
    flights: HashMap<BlockKey, Arc<Flight>>,
    spare: Vec<Vec<u8>>,
    max_spare: usize,
}

/// A block that somebody is decoding.
#[derive(Debug, Default)]
struct Flight {
    landed: Mutex<Landing>,
    wake: Condvar,
}

#[derive(Debug, Default)]
enum Landing {
    #[default]
    Flying,
    Decoded(Block),
    /// Decoding failed, or whoever decoded it has kept it.
    Gone,
}

impl BlockCache {
    /// A cache that keeps at most `budget_bytes` of decoded blocks. A budget of less than a block
    /// keeps none; readers that ask for one block at once still share it.
    pub fn new(budget_bytes: usize) -> Self {
        let count = if budget_bytes / SHARDS < ENOUGH_SHARD_BYTES {
            1
        } else {
            SHARDS
        };
        let shard = || {
            Mutex::new(State {
                blocks: LruCache::unbounded(),
                bytes: 0,
                flights: HashMap::new(),
                spare: Vec::new(),
                max_spare: SPARE_BUFFERS / count,
            })
        };
        Self {
            shards: std::iter::repeat_with(shard).take(count).collect(),
            shard_bytes: budget_bytes / count,
            held_bytes: AtomicUsize::new(budget_bytes / count),
            hits: AtomicU64::new(0),
            waits: AtomicU64::new(0),
            decodes: AtomicU64::new(0),
            decode_nanoseconds: AtomicU64::new(0),
        }
    }

    /// What it may hold.
    pub fn budget_bytes(&self) -> usize {
        self.shard_bytes * self.shards.len()
    }

    /// What it has done so far.
    pub fn stats(&self) -> CacheStats {
        CacheStats {
            budget_bytes: self.budget_bytes(),
            cached_bytes: self.cached_bytes(),
            hits: self.hits.load(Ordering::Relaxed),
            waits: self.waits.load(Ordering::Relaxed),
            decodes: self.decodes.load(Ordering::Relaxed),
            decode_nanoseconds: self.decode_nanoseconds.load(Ordering::Relaxed),
        }
    }

    /// The block of a key: from the cache, or from whoever is decoding it, or decoded by `decode`
    /// into a buffer of `len` bytes.
    ///
    /// # Errors
    /// That of `decode`. Readers that waited for a block whose decoding failed try it themselves,
    /// so that each has an error of its own.
    pub fn get_or_decode(
        &self,
        key: BlockKey,
        len: usize,
        decode: impl FnOnce(&mut [u8]) -> Result<()>,
    ) -> Result<Block> {
        let landing = match self.find(key) {
            Found::Cached(block) => return Ok(block),
            Found::Missing(landing) => landing,
        };
        let spare = lock(self.shard(key)).spare.pop();
        // That of a larger block would count for more than it holds.
        let fitting = spare.filter(|spare| (len..=2 * len).contains(&spare.capacity()));
        let mut buffer = match fitting {
            Some(mut spare) => {
                spare.resize(len, 0);
                spare
            }
            // Zeroed by the system, page by page as it is written to.
            None => zeroed(len).map_err(|e| Error::io("cannot keep a decoded block", e))?,
        };
        decode(&mut buffer)?;
        Ok(landing.with(buffer))
    }

    /// As `get_or_decode`, for a reader that takes the whole block and keeps it itself: `into` is
    /// where to. A block that is decoded is not cached: who reads on needs it no more.
    ///
    /// # Errors
    /// As `get_or_decode`; what `into` holds then must not be used.
    pub fn copy_or_decode(
        &self,
        key: BlockKey,
        into: &mut [u8],
        decode: impl FnOnce(&mut [u8]) -> Result<()>,
    ) -> Result<()> {
        match self.find(key) {
            Found::Cached(block) => {
                into.copy_from_slice(&block);
                Ok(())
            }
            Found::Missing(landing) => {
                decode(into)?;
                if landing.is_waited_for() {
                    landing.with(into.to_vec());
                }
                Ok(())
            }
        }
    }

    /// The block, or the right to decode it, which nobody else has meanwhile.
    fn find(&self, key: BlockKey) -> Found<'_> {
        loop {
            let flight = {
                let mut state = lock(self.shard(key));
                if let Some(block) = state.blocks.get(&key) {
                    self.hits.fetch_add(1, Ordering::Relaxed);
                    return Found::Cached(Arc::clone(block));
                }
                match state.flights.get(&key) {
                    Some(flight) => Arc::clone(flight),
                    None => {
                        let flight = Arc::new(Flight::default());
                        state.flights.insert(key, Arc::clone(&flight));
                        return Found::Missing(LandOnDrop {
                            cache: self,
                            key,
                            flight,
                            block: None,
                            since: Instant::now(),
                        });
                    }
                }
            };
            self.waits.fetch_add(1, Ordering::Relaxed);
            if let Some(block) = flight.wait() {
                return Found::Cached(block);
            }
        }
    }

    /// Bytes of the blocks that are cached now.
    pub fn cached_bytes(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).bytes).sum()
    }

    /// Gives back at once what it holds beyond so many bytes, and holds no more from now on.
    pub fn hold_at_most(&self, bytes: usize) {
        let bytes = (bytes / self.shards.len()).min(self.shard_bytes);
        self.held_bytes.store(bytes, Ordering::Relaxed);
        for shard in &self.shards {
            let evicted = {
                let mut state = lock(shard);
                let mut evicted = Vec::new();
                while state.bytes > bytes
                    && let Some(block) = state.evict()
                {
                    evicted.push(block);
                }
                if !evicted.is_empty() {
                    state.spare.clear();
                }
                evicted
            };
            // Not under the lock: the system takes each apart.
            drop(evicted);
        }
    }

    /// The part of the cache that a block belongs to.
    fn shard(&self, key: BlockKey) -> &Mutex<State> {
        // Fibonacci hashing, so that equal distances meet all parts.
        let hash = (key.archive.wrapping_add(key.block)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let number = hash % self.shards.len() as u64;
        &self.shards[usize::try_from(number).expect("invariant: less than SHARDS")]
    }
}

enum Found<'a> {
    Cached(Block),
    Missing(LandOnDrop<'a>),
}

/// Ends a flight, whatever happens, even a panic: nobody may wait for it for ever.
struct LandOnDrop<'a> {
    cache: &'a BlockCache,
    key: BlockKey,
    flight: Arc<Flight>,
    block: Option<Block>,
    since: Instant,
}

impl LandOnDrop<'_> {
    /// True if others than the list of flights know of this one: those who wait for it.
    fn is_waited_for(&self) -> bool {
        Arc::strong_count(&self.flight) > 2
    }

    fn with(mut self, buffer: Vec<u8>) -> Block {
        let block = Arc::new(buffer);
        self.block = Some(Arc::clone(&block));
        block
    }
}

impl Drop for LandOnDrop<'_> {
    fn drop(&mut self) {
        let nanoseconds = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.cache.decodes.fetch_add(1, Ordering::Relaxed);
        self.cache
            .decode_nanoseconds
            .fetch_add(nanoseconds, Ordering::Relaxed);
        let block = self.block.take();
        {
            let mut state = lock(self.cache.shard(self.key));
            state.flights.remove(&self.key);
            if let Some(block) = &block {
                let budget_bytes = self.cache.held_bytes.load(Ordering::Relaxed);
                state.keep(self.key, block, budget_bytes);
            }
        }
        self.flight
            .land(block.map_or(Landing::Gone, Landing::Decoded));
    }
}

impl State {
    fn keep(&mut self, key: BlockKey, block: &Block, budget_bytes: usize) {
        let Some(room) = budget_bytes.checked_sub(cost(block)) else {
            return;
        };
        while self.bytes > room {
            let Some(evicted) = self.evict() else {
                break;
            };
            if let Some(buffer) = Arc::into_inner(evicted)
                && self.spare.len() < self.max_spare
                // They are not counted, and must be little beside what is.
                && self.max_spare * buffer.capacity() <= budget_bytes / 4
            {
                self.spare.push(buffer);
            }
        }
        self.bytes += cost(block);
        self.blocks.put(key, Arc::clone(block));
    }

    /// The block that was not used for the longest time.
    fn evict(&mut self) -> Option<Block> {
        let (_, evicted) = self.blocks.pop_lru()?;
        self.bytes -= cost(&evicted);
        Some(evicted)
    }
}

/// What a cached block takes of the budget.
fn cost(block: &Block) -> usize {
    block.capacity() + ENTRY_BYTES
}

impl Flight {
    fn land(&self, landing: Landing) {
        *lock(&self.landed) = landing;
        self.wake.notify_all();
    }

    /// The block, or `None` if this flight has brought none.
    fn wait(&self) -> Option<Block> {
        let mut landed = lock(&self.landed);
        loop {
            match &*landed {
                Landing::Flying => {
                    landed = self
                        .wake
                        .wait(landed)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                Landing::Decoded(block) => return Some(Arc::clone(block)),
                Landing::Gone => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use std::sync::Barrier;
    use std::sync::atomic::AtomicUsize;

    fn key(block: u64) -> BlockKey {
        BlockKey { archive: 1, block }
    }

    fn load(cache: &BlockCache, block: u64, len: usize) -> bool {
        let mut decoded = false;
        cache
            .get_or_decode(key(block), len, |buffer| {
                decoded = true;
                buffer.fill(1);
                Ok(())
            })
            .unwrap();
        decoded
    }

    #[test]
    fn what_memory_does_not_allow_is_given_back_and_can_be_had_again() {
        let cache = BlockCache::new(3 * (100 + ENTRY_BYTES));
        for block in 0..3 {
            load(&cache, block, 100);
        }
        cache.hold_at_most(2 * (100 + ENTRY_BYTES));
        assert_eq!(cache.cached_bytes(), 2 * (100 + ENTRY_BYTES));
        assert!(!load(&cache, 2, 100) && load(&cache, 0, 100));
        assert_eq!(cache.cached_bytes(), 2 * (100 + ENTRY_BYTES));
        cache.hold_at_most(0);
        assert!(load(&cache, 2, 100) && load(&cache, 2, 100), "none is kept");
        assert_eq!(cache.cached_bytes(), 0);
        cache.hold_at_most(usize::MAX);
        for block in 0..5 {
            load(&cache, block, 100);
        }
        assert_eq!(cache.cached_bytes(), 3 * (100 + ENTRY_BYTES));
    }

    #[test]
    fn the_least_recently_used_goes_first_and_the_budget_holds() {
        let cache = BlockCache::new(300 + 3 * ENTRY_BYTES);
        assert!(load(&cache, 1, 100) && load(&cache, 2, 100) && load(&cache, 3, 100));
        assert!(!load(&cache, 1, 100));
        assert!(load(&cache, 4, 100));
        assert!(!load(&cache, 1, 100));
        assert!(load(&cache, 2, 100));
        assert_eq!(cache.cached_bytes(), 300 + 3 * ENTRY_BYTES);
        assert!(load(&cache, 5, 700));
        assert_eq!(cache.cached_bytes(), 700 + ENTRY_BYTES);
        assert!(load(&cache, 6, 701) && load(&cache, 6, 701));
        assert_eq!(cache.cached_bytes(), 700 + ENTRY_BYTES);
        assert!(!load(&cache, 5, 700));
    }

    #[test]
    fn a_large_cache_in_parts_holds_its_budget_as_well() {
        let block = 1 << 20;
        let cache = BlockCache::new(SHARDS * ENOUGH_SHARD_BYTES);
        for number in 0..100 {
            assert!(load(&cache, number, block));
        }
        let stats = cache.stats();
        assert_eq!(stats.budget_bytes, SHARDS * ENOUGH_SHARD_BYTES);
        let (held, most) = (stats.cached_bytes, stats.budget_bytes);
        assert!(held <= most && held > most - SHARDS * 2 * block, "{held}");
        assert!(!load(&cache, 99, block) && load(&cache, 0, block));
    }

    #[test]
    fn readers_of_one_missing_block_decode_it_once() {
        for budget in [0, 1 << 20] {
            let cache = BlockCache::new(budget);
            let (decoded, start) = (AtomicUsize::new(0), Barrier::new(8));
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        start.wait();
                        let block = cache.get_or_decode(key(7), 10, |buffer| {
                            decoded.fetch_add(1, Ordering::SeqCst);
                            // Long enough for the others to arrive.
                            std::thread::sleep(std::time::Duration::from_millis(200));
                            buffer.fill(9);
                            Ok(())
                        });
                        assert_eq!(*block.unwrap(), vec![9; 10]);
                    });
                }
            });
            assert_eq!(decoded.load(Ordering::SeqCst), 1);
        }
    }

    #[test]
    fn whole_blocks_go_to_their_reader_alone() {
        let cache = BlockCache::new(1000);
        let mut into = [0; 10];
        let decode = |buffer: &mut [u8]| {
            buffer.fill(3);
            Ok(())
        };
        cache.copy_or_decode(key(1), &mut into, decode).unwrap();
        assert_eq!((into, cache.cached_bytes()), ([3; 10], 0));
        assert!(load(&cache, 1, 10));
        cache
            .copy_or_decode(key(1), &mut into, |_| unreachable!("it is cached"))
            .unwrap();
        assert_eq!(into, [1; 10]);
        let failed = cache.copy_or_decode(key(2), &mut into, |_| Err(Error::corrupt("x")));
        assert!(failed.is_err() && load(&cache, 2, 10));
        // Those who wait meanwhile get theirs as well, if they came in time without decoding it again.
        let decoding = Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut into = [0; 10];
                let copied = cache.copy_or_decode(key(3), &mut into, |buffer| {
                    decoding.wait();
                    std::thread::sleep(std::time::Duration::from_millis(50));
                    buffer.fill(1);
                    Ok(())
                });
                assert!(copied.is_ok() && into == [1; 10]);
            });
            decoding.wait();
            let block = cache.get_or_decode(key(3), 10, |buffer| {
                buffer.fill(1);
                Ok(())
            });
            assert_eq!(*block.unwrap(), [1; 10]);
        });
        assert!(!load(&cache, 3, 10));
    }

    #[test]
    fn a_failure_is_not_cached_and_every_waiter_gets_an_error() {
        let cache = BlockCache::new(1000);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let result = cache.get_or_decode(key(1), 10, |_| Err(Error::corrupt("x")));
                    assert!(result.is_err());
                });
            }
        });
        assert!(load(&cache, 1, 10));
    }

    #[test]
    fn a_panic_while_decoding_leaves_nobody_waiting() {
        let cache = BlockCache::new(1000);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _ = cache.get_or_decode(key(1), 10, |_| panic!("on purpose"));
        }));
        assert!(panicked.is_err());
        assert!(load(&cache, 1, 10));
    }
}
