//! A mount that is served by the program itself.

use std::path::Path;

use crate::error::Result;
use crate::fuse::{self, MountOptions, Mounted, Unmount};

/// A live mount, served by threads of this process. It stays when this is dropped, until the process
/// ends or somebody unmounts it; [`unmount`](Self::unmount) ends it in good order.
pub struct Mount(Mounted);

/// Shows a directory of archives, or one archive, as ordinary files on an existing directory. When this
/// returns, the mount answers.
///
/// No thread of the process that serves a mount may use it in any way, neither by a path nor by a file that
/// is open: what waits in the kernel for an answer of its own process may wait for ever, and keeps a process
/// that is killed from ending. Let another process do that.
///
/// # Errors
/// [`Error::InvalidInput`](crate::Error::InvalidInput) if source or mount point do not fit,
/// [`Error::Environment`](crate::Error::Environment) if `/dev/fuse` or a helper is missing,
/// [`Error::Io`](crate::Error::Io) if the system refuses.
pub fn mount(
    source: impl AsRef<Path>,
    mountpoint: impl AsRef<Path>,
    options: &MountOptions,
) -> Result<Mount> {
    let (mounted, tree) = fuse::mount(source.as_ref(), mountpoint.as_ref(), options)?;
    // What is read ahead is decoded into the cache. Pushing it on into the kernel's page cache needs a
    // process that stands by, which is the program's business.
    mounted.read_ahead(&tree, fuse::Push::Never, None);
    Ok(Mount(mounted))
}

impl Mount {
    /// Unmounts. The mount point is free at once; readers that have files open can finish.
    ///
    /// # Errors
    /// `Io` if the system refuses.
    pub fn unmount(&self) -> Result<Unmount> {
        self.0.unmounter().unmount()
    }

    /// Waits until it is unmounted, by whomever, and every open file is closed.
    ///
    /// # Errors
    /// `Io` if the connection to the kernel broke.
    pub fn wait(self) -> Result<()> {
        self.0.join()
    }
}
