//! How a mount answers, and what it may do beyond answering.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::time::Duration;

use crate::sync::cores;

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
    /// Budget of decoded blocks.
    pub cache_bytes: usize,
    /// Threads that answer the kernel.
    pub threads: NonZeroUsize,
    /// How far the kernel reads ahead of a sequential reader; only root can change it.
    pub readahead_bytes: u64,
    /// Let other users do what they may do in the source.
    pub allow_other: bool,
    /// Have all inode numbers fit 32 bits, for programs that know no others.
    pub inode32: bool,
    /// How long the kernel may believe names and attributes before it asks again.
    pub ttl: Duration,
    /// Let nobody run programs from the mount.
    pub no_exec: bool,
    /// What the table of mounts names as the source.
    pub source_name: OsString,
}

impl Default for MountOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 256 << 20,
            // More than one a core, so that those that wait for the disk keep nobody from decoding.
            threads: cores().saturating_mul(NonZeroUsize::MIN.saturating_add(1)),
            // Beyond this, reads get no faster and the first byte of a file comes later.
            readahead_bytes: 4 << 20,
            allow_other: false,
            inode32: false,
            ttl: Duration::from_secs(1),
            no_exec: false,
            source_name: "weightfs".into(),
        }
    }
}
