//! What is mounted on a directory, and what that shows of it.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::cli::in_mount::{archive_of, source_of};
use crate::error::{Error, Result};
use crate::fuse;
use crate::job::Exchange;
use crate::os::{MountLine, users_of};
use crate::printable::printable_name;

/// How long a mount that was announced may take to be seen.
const LIMIT: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Processes that are named.
const MOST_NAMED: usize = 5;

/// The mount over itself of a directory, if it is there.
pub(super) struct OverItself {
    line: MountLine,
}

/// Files that a mount shows of archives.
#[derive(Default)]
pub(super) struct Shown {
    pub(super) archives: u64,
    pub(super) original_bytes: u64,
    pub(super) stored_bytes: u64,
    /// What unpacking each would take and give back, the largest archives first.
    pub(super) exchanges: Vec<Exchange>,
}

impl OverItself {
    /// # Errors
    /// `Environment` if what is mounted there is another user's, or shows something else.
    pub(super) fn at(directory: &Path) -> Result<Option<Self>> {
        let Some(line) = fuse::mount_line(directory)? else {
            return Ok(None);
        };
        let name = printable_name(directory);
        let own = format!("user_id={}", rustix::process::geteuid().as_raw());
        if !line.has(&own) {
            return Err(Error::Environment(format!(
                "{name} is mounted by another user; let that user adopt it, or undo that"
            )));
        }
        match source_of(directory) {
            Some(source) if source == directory => Ok(Some(Self { line })),
            Some(source) => Err(Error::InvalidInput(format!(
                "{name} is a mount that shows {0}; name {0}",
                printable_name(&source)
            ))),
            None => Err(Error::Environment(format!(
                "{name} is a mount that does not tell what it shows; unmount it (weightfs umount {name})"
            ))),
        }
    }

    /// Looks at all of its files. Of further names of a file, one counts.
    ///
    /// # Errors
    /// `Io` if a directory cannot be read.
    pub(super) fn shown(directory: &Path) -> Result<Shown> {
        let mut shown = Shown::default();
        look_below(directory, &mut HashSet::new(), &mut shown)?;
        shown
            .exchanges
            .sort_by_key(|one| std::cmp::Reverse(one.goes));
        Ok(shown)
    }

    /// Unmounts, if nobody uses it.
    ///
    /// # Errors
    /// `Environment` that says who uses it.
    pub(super) fn unmount(&self, directory: &Path) -> Result<()> {
        match fuse::unmount(directory, false) {
            Err(Error::Environment(_)) => Err(self.busy(directory)),
            unmounted => unmounted,
        }?;
        // One below it, which somebody has mounted twice.
        if fuse::is_mounted(directory)? {
            return Err(Error::Environment(format!(
                "{} is mounted still, more than once; unmount all (weightfs umount)",
                printable_name(directory)
            )));
        }
        Ok(())
    }

    fn busy(&self, directory: &Path) -> Error {
        let users = users_of(self.line.id, &self.line.device).unwrap_or_default();
        let named = users.processes.iter().take(MOST_NAMED);
        let named: Vec<_> = named
            .map(|user| format!("{} ({})", user.name, user.process))
            .collect();
        let stands_in_it = std::env::current_dir().is_ok_and(|here| here.starts_with(directory));
        let who = match named.as_slice() {
            [] if stands_in_it => "this shell works in it; cd elsewhere".to_owned(),
            [] => "a program has a file of it open, or a shell works in it; end that".to_owned(),
            named => format!("files of it are open in {}; end that", named.join(", ")),
        };
        Error::Environment(format!(
            "{} is in use: {who}, and try again",
            printable_name(directory)
        ))
    }
}

/// Waits until a mount that was announced is in the table of mounts.
///
/// # Errors
/// `Environment` if it does not come.
pub(super) fn wait_for(directory: &Path) -> Result<()> {
    let start = Instant::now();
    while !fuse::is_mounted(directory)? {
        if start.elapsed() > LIMIT {
            return Err(Error::Environment(format!(
                "{} was to be mounted, and is not seen to be",
                printable_name(directory)
            )));
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}

fn look_below(directory: &Path, met: &mut HashSet<u64>, shown: &mut Shown) -> Result<()> {
    let cannot = |e| Error::io(format!("cannot read {}", directory.display()), e);
    for entry in fs::read_dir(directory).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        let meta = path.symlink_metadata().map_err(cannot)?;
        if meta.is_dir() {
            look_below(&path, met, shown)?;
        } else if meta.is_file() && met.insert(meta.ino()) && archive_of(&path).is_some() {
            let stored_bytes = meta.blocks() * 512;
            shown.archives += 1;
            shown.original_bytes += meta.len();
            shown.stored_bytes += stored_bytes;
            shown.exchanges.push(Exchange {
                comes: meta.len(),
                goes: stored_bytes,
            });
        }
    }
    Ok(())
}
