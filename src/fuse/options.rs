//! How a mount answers, and what it may do beyond answering.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::file::{ReadShared, THREAD_BYTES};
use crate::os::{MemoryLimit, memory_limit};
use crate::sync::cores;

/// A larger cache makes no usual reader faster.
pub(crate) const ENOUGH_CACHE_BYTES: usize = 256 << 20;
/// Of what the process may have, this part is for the cache, and half as much for what threads have in hand;
/// the rest is for long blocks, the program, the processes beside it and the page cache that archives are
/// read through.
pub(crate) const MEMORY_PART: usize = 4;

/// When to push decoded bytes into the kernel's page cache ahead of readers that go on and on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Push {
    /// Where the kernel does not read far ahead itself, as for users other than root.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How to mount.
#[derive(Debug, Clone)]
pub struct MountOptions {
    /// Budget of decoded blocks; by default 256 MiB, or a quarter of what the process may have.
    pub cache_bytes: usize,
    /// Threads that answer the kernel; by default two a core, or as many as fit into an eighth of what the
    /// process may have.
    pub threads: NonZeroUsize,
    /// How far the kernel reads ahead of a sequential reader; only root can change it.
    pub readahead_bytes: u64,
    /// Let other users do what they may do in the source.
    pub allow_other: bool,
    /// Have all inode numbers fit 32 bits, for programs that know no others.
    pub inode32: bool,
    /// Let nobody read files of lossy archives.
    pub refuse_lossy: bool,
    /// Let who may write to the source do so by way of the mount.
    pub writable: bool,
    /// Directories where the bases that archives rest on are looked for as well.
    pub bases: Vec<PathBuf>,
    /// How long the kernel may believe names and attributes before it asks again.
    pub ttl: Duration,
    /// Let nobody run programs from the mount.
    pub no_exec: bool,
    /// What the table of mounts names as the source.
    pub source_name: OsString,
}

impl Default for MountOptions {
    fn default() -> Self {
        let part = part_of(memory_limit());
        // More than one a core, so that those that wait for the disk keep nobody from decoding.
        let threads = cores().saturating_mul(NonZeroUsize::MIN.saturating_add(1));
        let fitting = NonZeroUsize::new(part / 2 / THREAD_BYTES).unwrap_or(NonZeroUsize::MIN);
        Self {
            cache_bytes: ENOUGH_CACHE_BYTES.min(part),
            threads: threads.min(fitting),
            // Beyond this, reads get no faster and the first byte of a file comes later.
            readahead_bytes: 4 << 20,
            allow_other: false,
            inode32: false,
            refuse_lossy: false,
            writable: false,
            bases: Vec::new(),
            ttl: Duration::from_secs(1),
            no_exec: false,
            source_name: "weightfs".into(),
        }
    }
}

impl MountOptions {
    /// What is to be said at the start of options that ask for more memory than the process may have.
    pub fn memory_warning(&self) -> Option<String> {
        self.warning_within(memory_limit()?)
    }

    fn warning_within(&self, limit: MemoryLimit) -> Option<String> {
        let mib = |bytes: usize| bytes >> 20;
        let needed = ReadShared::most_bytes(self.cache_bytes, self.threads);
        let fits = u64::try_from(needed).is_ok_and(|needed| needed <= limit.bytes);
        (!fits).then(|| {
            format!(
                "a cache of {} MiB and {} threads may take {} MiB, more than {} ({} MiB): the mount may \
                 be killed for it. A cache of {} MiB is the default here",
                mib(self.cache_bytes),
                self.threads,
                mib(needed),
                limit.by,
                limit.bytes >> 20,
                mib(ENOUGH_CACHE_BYTES.min(part_of(Some(limit)))),
            )
        })
    }
}

fn part_of(limit: Option<MemoryLimit>) -> usize {
    let bytes = limit.and_then(|limit| usize::try_from(limit.bytes).ok());
    bytes.unwrap_or(usize::MAX) / MEMORY_PART
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::BoundBy;

    #[test]
    fn what_does_not_fit_is_told() {
        let limit = |mib: u64| MemoryLimit {
            bytes: mib << 20,
            by: BoundBy::ControlGroup,
        };
        let options = |mib: usize, threads| MountOptions {
            cache_bytes: mib << 20,
            threads: NonZeroUsize::new(threads).unwrap(),
            ..MountOptions::default()
        };
        for (options, mib, fits) in [
            (options(256, 4), 256, false),
            (options(256, 4), 276, true),
            (options(64, 4), 128, true),
            (options(16, 64), 96, false),
        ] {
            let warning = options.warning_within(limit(mib));
            assert_eq!(warning.is_none(), fits, "{warning:?}");
        }
        let warning = options(256, 4).warning_within(limit(64)).unwrap();
        assert!(warning.contains("control group (64 MiB)"), "{warning}");
        assert!(warning.contains("A cache of 16 MiB"), "{warning}");
        assert_eq!(part_of(Some(limit(96))), 24 << 20);
    }
}
