//! What a kernel offers a FUSE server when they connect (FUSE_INIT), as far as it matters here.

use fuser::{InitFlags, KernelConfig};
use serde::{Deserialize, Serialize};

/// The protocol from which on a server can push pages into the page cache (FUSE_NOTIFY_STORE), by the
/// history in the kernel's `include/uapi/linux/fuse.h`.
const STORE_PROTOCOL: (u32, u32) = (7, 15);

/// What the kernel has offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KernelOffer {
    /// Version of the protocol: major, minor.
    pub(crate) protocol: (u32, u32),
    /// How far it reads ahead unless an administrator sets more.
    pub(crate) readahead_bytes: u32,
    /// Pages can be pushed into the page cache.
    pub(crate) store: bool,
    /// READs may be longer than 128 KiB.
    pub(crate) long_reads: bool,
    /// Look-ups in one directory at once.
    pub(crate) parallel_lookups: bool,
    /// Reads past the page cache are sent without waiting for each.
    pub(crate) async_direct_io: bool,
    /// Access lists are asked for.
    pub(crate) access_lists: bool,
    /// Files can be handed to the kernel to be read without the server; weightfs does not use it, as what is
    /// stored is not what is read.
    pub(crate) passthrough: bool,
    /// Requests can come by io_uring; weightfs does not use it.
    pub(crate) io_uring: bool,
}

impl KernelOffer {
    /// What is offered to a server that connects.
    pub(super) fn of(config: &mut KernelConfig) -> Self {
        let flags = config.capabilities();
        let protocol = config.kernel_abi();
        // What it offers is only told to who asks for too much; the setting stays as it is.
        let readahead_bytes = match config.set_max_readahead(u32::MAX) {
            Err(most) => most,
            Ok(offered) => {
                let _ = config.set_max_readahead(offered);
                offered
            }
        };
        let protocol = (protocol.0, protocol.1);
        Self {
            protocol,
            readahead_bytes,
            store: protocol >= STORE_PROTOCOL,
            long_reads: flags.contains(InitFlags::FUSE_MAX_PAGES),
            parallel_lookups: flags.contains(InitFlags::FUSE_PARALLEL_DIROPS),
            async_direct_io: flags.contains(InitFlags::FUSE_ASYNC_DIO),
            access_lists: flags.contains(InitFlags::FUSE_POSIX_ACL),
            passthrough: flags.contains(InitFlags::FUSE_PASSTHROUGH),
            io_uring: flags.contains(InitFlags::FUSE_OVER_IO_URING),
        }
    }
}
