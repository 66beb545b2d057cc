//! Mounting, serving and unmounting.

use std::ffi::OsString;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use fuser::{Config, Filesystem, INodeNo, Notifier, Session, SessionACL};
use rustix::io::Errno;

use super::abort::AbortControl;
use super::connection::{connect, disconnect};
use super::mountinfo::{self, mount_at};
use super::progress::Progress;
use super::server::Server;
use crate::error::{Error, Result};
use crate::file::PageCache;
use crate::fs::{ModelTree, Source};
use crate::sync::cores;

/// A kernel that reads so far ahead keeps two threads busy.
const AMPLE_READAHEAD_BYTES: u64 = 1 << 20;

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
    /// Let other users read, as far as the permissions of the source allow.
    pub allow_other: bool,
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
            ttl: Duration::from_secs(1),
            no_exec: false,
            source_name: "weightfs".into(),
        }
    }
}

/// A live mount; it is not unmounted when this is dropped, but when `unmount` is called or somebody
/// else unmounts it.
pub struct Mounted {
    unmounter: Unmounter,
    server: JoinHandle<io::Result<()>>,
    notifier: Notifier,
    progress: Arc<Progress>,
}

/// What became of an unmount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmount {
    /// It is gone.
    Done,
    /// Files are open: the mount point is free, and those who have files open can go on reading.
    Detached,
}

/// Mounts a directory, or one archive, on an existing directory. When this returns, the mount
/// answers.
///
/// A mount of ours that no process serves any more is removed first. The tree is to be asked in place
/// of the mount, which a process must not wait for that serves it.
///
/// # Errors
/// `InvalidInput` if source or mount point do not fit, `Environment` if a helper is missing, `Io` if the system
/// refuses.
pub fn mount(
    source: &Path,
    mountpoint: &Path,
    options: &MountOptions,
) -> Result<(Mounted, Arc<ModelTree>)> {
    // Before the source is opened: it may be the same directory, under a dead mount.
    clear_mountpoint(mountpoint)?;
    let mut source = Source::open(source)?;
    source.set_mountpoint(mountpoint, options.allow_other)?;
    let tree = ModelTree::new(source, options.cache_bytes, options.threads)?;
    let tree = Arc::new(tree);
    let progress = Arc::new(Progress::default());
    let server = Server::new(Arc::clone(&tree), options.ttl, Arc::clone(&progress));
    Ok((serve(server, progress, mountpoint, options)?, tree))
}

/// Has a server answer on a mount point that is free.
pub(crate) fn serve(
    server: impl Filesystem,
    progress: Arc<Progress>,
    mountpoint: &Path,
    options: &MountOptions,
) -> Result<Mounted> {
    let cannot = |e| Error::io(format!("cannot mount on {}", mountpoint.display()), e);
    let mountpoint = mountpoint.canonicalize().map_err(cannot)?;
    let acl = if options.allow_other {
        SessionACL::All
    } else {
        SessionACL::Owner
    };
    let mut config = Config::default();
    config.acl = acl;
    config.n_threads = Some(options.threads.get());
    let connection = connect(&mountpoint, options)?;
    let serve = || {
        let session = Session::from_fd(server, connection, acl, config)?;
        let notifier = session.notifier();
        let thread = std::thread::Builder::new()
            .name("fuse".into())
            .spawn(move || session.run())?;
        Ok((thread, notifier))
    };
    let ready = serve().map_err(cannot).and_then(|(server, notifier)| {
        // Only now, so that nobody is asked before somebody answers.
        let line = mount_at(&mountpoint)?
            .ok_or_else(|| Error::Environment("it was unmounted at once".into()))?;
        Ok((server, notifier, line.device))
    });
    match ready {
        Ok((server, notifier, device)) => {
            set_readahead(&device, options.readahead_bytes);
            let unmounter = Unmounter { mountpoint, device };
            Ok(Mounted {
                unmounter,
                server,
                notifier,
                progress,
            })
        }
        Err(error) => {
            // Nobody would ever answer there.
            let _ = disconnect(&mountpoint, true);
            Err(error)
        }
    }
}

impl Mounted {
    /// The mount's device number, as the table of mounts has it.
    pub fn device(&self) -> &str {
        &self.unmounter.device
    }

    /// Has the tree fetch ahead of its readers. A process that pushes must not be killed without its
    /// connection being broken (`AbortControl`): a thread of it may wait in the kernel for an answer to
    /// a READ, and cannot be killed while it waits.
    pub fn read_ahead(&self, tree: &Arc<ModelTree>, push: Push) {
        tree.read_ahead(page_cache(self.notifier.clone(), self.device(), push));
    }

    /// Unmounts it, from any thread.
    pub fn unmounter(&self) -> Unmounter {
        self.unmounter.clone()
    }

    /// Whether its requests are answered, for whoever watches over the process.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Waits until it is unmounted and every open file is closed.
    ///
    /// # Errors
    /// `Io` if the connection to the kernel broke.
    pub fn join(self) -> Result<()> {
        let lost = |e| Error::io("lost the connection to the kernel", e);
        let served = match self.server.join() {
            // How the end looks to a worker that was just taking a request, such as the closing of
            // the last file.
            Ok(Err(e)) if e.raw_os_error() == Some(libc::ECONNABORTED) => Ok(()),
            Ok(served) => served.map_err(lost),
            Err(_) => Err(lost(io::Error::other("a worker panicked"))),
        };
        if served.is_err() {
            // Leave no mount behind that nobody answers.
            let _ = self.unmounter.unmount();
        }
        served
    }
}

/// Unmounts a live mount of this process.
#[derive(Debug, Clone)]
pub struct Unmounter {
    mountpoint: PathBuf,
    /// The mount's device number: another mount may stand at the same place meanwhile.
    device: String,
}

impl Unmounter {
    /// Unmounts. If files are open, the mount point is freed at once, and their readers can finish.
    ///
    /// # Errors
    /// `Io` if the system refuses.
    pub fn unmount(&self) -> Result<Unmount> {
        if mount_at(&self.mountpoint)?.is_none_or(|line| line.device != self.device) {
            // Somebody else unmounted it; files may still be open.
            return Ok(Unmount::Detached);
        }
        match disconnect(&self.mountpoint, false) {
            Ok(()) => Ok(Unmount::Done),
            Err(error) if error.errno() == libc::EBUSY => {
                disconnect(&self.mountpoint, true)?;
                Ok(Unmount::Detached)
            }
            Err(error) => Err(error),
        }
    }
}

impl Unmounter {
    /// Breaks the connection to the kernel: whoever reads or will read gets an error.
    ///
    /// # Errors
    /// `Io` if the system refuses.
    pub fn abort(&self) -> Result<()> {
        AbortControl::open(&self.device)
            .and_then(AbortControl::abort)
            .map_err(|e| Error::io("cannot break the connection to the kernel", e))
    }
}

/// Unmounts what `mount` mounted, from another process.
///
/// # Errors
/// `InvalidInput` if there is no mount of ours, `Environment` if files are open and `lazy` is not set.
pub fn unmount(mountpoint: &Path, lazy: bool) -> Result<()> {
    let canonical = canonical(mountpoint)?;
    if !is_ours(&canonical)? {
        return Err(Error::InvalidInput(format!(
            "{} is not a weightfs mount",
            mountpoint.display()
        )));
    }
    disconnect(&canonical, lazy).map_err(|error| {
        if error.errno() == libc::EBUSY {
            Error::Environment(format!(
                "{} is in use; close its files, or use --lazy to free the mount point now and let \
                 their readers finish",
                mountpoint.display()
            ))
        } else {
            error
        }
    })
}

/// Makes sure that nothing of ours is mounted there: a dead mount is removed, a live one refused.
pub(crate) fn clear_mountpoint(mountpoint: &Path) -> Result<()> {
    let canonical = canonical(mountpoint)?;
    let ours = is_ours(&canonical)?;
    // Not stat, which the kernel may still answer from what it remembers.
    let dead = matches!(
        rustix::fs::statfs(mountpoint),
        Err(Errno::NOTCONN | Errno::CONNABORTED)
    );
    match (ours, dead) {
        (true, true) => {
            tracing::warn!(
                "{}: removing the mount of a weightfs that is gone",
                mountpoint.display()
            );
            disconnect(&canonical, true)
        }
        (true, false) => Err(Error::InvalidInput(format!(
            "{} is a weightfs mount already; unmount it first (weightfs umount)",
            mountpoint.display()
        ))),
        (false, true) => Err(Error::InvalidInput(format!(
            "{} is the mount of another program that is gone; unmount it first (fusermount3 -u)",
            mountpoint.display()
        ))),
        (false, false) => Ok(()),
    }
}

/// True if something of ours is mounted there, whether it answers or not.
///
/// # Errors
/// `Io` if the system does not tell.
pub fn is_mounted(mountpoint: &Path) -> Result<bool> {
    is_ours(&canonical(mountpoint)?)
}

fn is_ours(mountpoint: &Path) -> Result<bool> {
    Ok(mount_at(mountpoint)?.is_some_and(|line| line.is_ours()))
}

/// Sets how far the kernel reads ahead of a sequential reader. It offers a FUSE server no more than
/// 128 KiB; an administrator may have more.
fn set_readahead(device: &str, bytes: u64) {
    let control = readahead_control(device);
    match std::fs::write(&control, bytes.div_ceil(1024).to_string()) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            tracing::debug!("readahead stays at the default: cannot write {control}: {error}");
        }
        Err(error) => {
            tracing::warn!("readahead stays at the default: cannot write {control}: {error}");
        }
    }
}

/// How far the kernel reads ahead, if it tells.
fn readahead(device: &str) -> Option<u64> {
    let kib: u64 = std::fs::read_to_string(readahead_control(device))
        .ok()?
        .trim()
        .parse()
        .ok()?;
    kib.checked_mul(1024)
}

fn readahead_control(device: &str) -> String {
    format!("/sys/class/bdi/{device}/read_ahead_kb")
}

/// The kernel's page cache of this mount, as far as it is to be pushed into.
fn page_cache(notifier: Notifier, device: &str, push: Push) -> Option<PageCache> {
    let reads_ahead = match push {
        Push::Never => return None,
        Push::Always => false,
        Push::Auto => readahead(device).is_some_and(|bytes| bytes >= AMPLE_READAHEAD_BYTES),
    };
    Some(PageCache {
        store: Box::new(move |inode, offset, bytes| notifier.store(INodeNo(inode), offset, bytes)),
        reads_ahead,
    })
}

fn canonical(mountpoint: &Path) -> Result<PathBuf> {
    mountinfo::canonical(mountpoint).map_err(|e| {
        Error::io(
            format!("cannot use mount point {}", mountpoint.display()),
            e,
        )
    })
}
