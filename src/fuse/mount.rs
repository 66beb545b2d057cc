//! Mounting, serving and unmounting.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use fuser::{Config, Filesystem, INodeNo, Notifier, Session, SessionACL};

use super::cached_listings::CachedListings;
use super::connection::{connect, disconnect};
use super::guard::Guard;
use super::mountinfo::mount_at;
use super::options::{MountOptions, Push};
use super::progress::Progress;
use super::readahead::{readahead, set_readahead};
use super::server::Server;
use super::source_watch::watch;
use super::unmount::{Unmounter, clear_mountpoint};
use crate::error::{Error, Result};
use crate::file::{PageCache, THREAD_BYTES};
use crate::fs::{ModelTree, Source};
use crate::os::{start_thread, startable_threads};

/// A kernel that reads so far ahead keeps two threads busy.
pub(crate) const ENOUGH_READAHEAD_BYTES: u64 = 1 << 20;

/// Threads and processes of a mount beside those that answer: the one that waits for them, those that watch
/// SRC, open directories, signals and for the supervisor, the one for metrics, and the process that asks for an answer.
const OTHER_THREADS: usize = 7;
/// Address space of a thread that answers: a request of the longest kind, which is never touched beyond its
/// first page, and what it decodes.
const ANSWERING_BYTES: usize = (16 << 20) + 2 * THREAD_BYTES;

/// A live mount; it is not unmounted when this is dropped, but when `unmount` is called or somebody
/// else unmounts it.
pub struct Mounted {
    unmounter: Unmounter,
    server: JoinHandle<io::Result<()>>,
    notifier: Notifier,
    progress: Arc<Progress>,
    is_writable: bool,
}

/// Mounts a directory, or one archive, on an existing directory. When this returns, the mount
/// answers.
///
/// A mount of ours that no process serves any more is removed first. The tree is to be asked in place
/// of the mount, which a process must not wait for that serves it.
///
/// # Errors
/// `InvalidInput` if source or mount point do not fit, `Environment` if a helper is missing or something is
/// mounted there already, `Io` if the system refuses.
pub fn mount(
    source: &Path,
    mountpoint: &Path,
    options: &MountOptions,
) -> Result<(Mounted, Arc<ModelTree>)> {
    // Before the source is opened: it may be the same directory, under a dead mount.
    clear_mountpoint(mountpoint)?;
    let mut source = Source::open(source)?;
    source.set_mountpoint(mountpoint, options.allow_other)?;
    let mut tree = ModelTree::new(source, options.cache_bytes, options.threads)?;
    if options.inode32 {
        tree.number_in_32_bits();
    }
    if options.refuse_lossy {
        tree.refuse_lossy();
    }
    tree.look_for_bases_in(&options.bases)?;
    if options.writable {
        tree.write_to_source()?;
    }
    tree.names_are_believed_for(options.ttl);
    let tree = Arc::new(tree);
    let progress = Arc::new(Progress::default());
    let listings = Arc::new(CachedListings::new(options.ttl));
    let server = Server::new(
        Arc::clone(&tree),
        options.ttl,
        Arc::clone(&listings),
        Arc::clone(&progress),
    );
    let mounted = serve(server, progress, mountpoint, options)?;
    let notifier = mounted.notifier.clone();
    let drop_listing = move |directory| {
        // Whoever has it open has it, or else the kernel has forgotten it.
        let _ = notifier.inval_inode(INodeNo(directory), 0, 0);
    };
    let watched = start_thread("listings", move || listings.drop_at_intervals(drop_listing))
        .and_then(|_| watch(&tree, mounted.device()));
    if let Err(error) = watched {
        // The caller gets nothing to unmount it with.
        let _ = mounted.unmounter.unmount();
        return Err(error);
    }
    Ok((mounted, tree))
}

/// Has a server answer on a mount point that is free.
pub(super) fn serve(
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
    config.n_threads = Some(threads(options)?);
    let connection = connect(&mountpoint, options)?;
    let serve = || {
        let session = Session::from_fd(server, connection, acl, config).map_err(cannot)?;
        let notifier = session.notifier();
        let thread = start_thread("fuse", move || session.run())?;
        Ok((thread, notifier))
    };
    let ready = serve().and_then(|(server, notifier)| {
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
                is_writable: options.writable,
            })
        }
        Err(error) => {
            // Nobody would ever answer there.
            let _ = disconnect(&mountpoint, true);
            Err(error)
        }
    }
}

/// How many threads can answer: those that are wanted, or as many as the system starts beside the few that
/// the mount needs besides. One that fails later would end the mount.
fn threads(options: &MountOptions) -> Result<usize> {
    let wanted = options.threads.get();
    let startable = startable_threads(wanted + OTHER_THREADS, ANSWERING_BYTES);
    let threads = startable.saturating_sub(OTHER_THREADS).min(wanted);
    if threads == 0 {
        return Err(Error::Environment(format!(
            "a mount needs {} threads and processes, and the system starts only {startable} here; raise \
             the limit of processes (ulimit -u, TasksMax= of systemd, --pids-limit of a container) or of \
             the address space (ulimit -v)",
            1 + OTHER_THREADS
        )));
    }
    if threads < wanted {
        tracing::warn!("{threads} of {wanted} threads answer: the system starts no more here");
    }
    Ok(threads)
}

impl Mounted {
    /// The mount's device number, as the table of mounts has it.
    pub fn device(&self) -> &str {
        &self.unmounter.device
    }

    /// Has the tree fetch ahead of its readers. Pages are pushed only with a guard that stands by this
    /// mount; without one, it is as with `Push::Never`.
    pub fn read_ahead(&self, tree: &Arc<ModelTree>, push: Push, guard: Option<Guard>) {
        let guard = guard.filter(|guard| guard.is_of(self.device()));
        tree.read_ahead(guard.and_then(|guard| self.page_cache(push, guard)));
    }

    /// The kernel's page cache of this mount, as far as it is to be pushed into.
    fn page_cache(&self, push: Push, guard: Guard) -> Option<PageCache> {
        let reads_ahead = match push {
            Push::Never => return None,
            // What is pushed while somebody writes could be what was there before.
            _ if self.is_writable => return None,
            Push::Always => false,
            Push::Auto => {
                readahead(self.device()).is_some_and(|bytes| bytes >= ENOUGH_READAHEAD_BYTES)
            }
        };
        let notifier = self.notifier.clone();
        Some(PageCache {
            store: Box::new(move |inode, offset, bytes| {
                guard.store(&notifier, INodeNo(inode), offset, bytes)
            }),
            reads_ahead,
        })
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
