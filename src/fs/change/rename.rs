//! Gives things other names.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::RenameFlags;

use super::forms::MAX_TRIES;
use super::remove::empty_directory;
use crate::error::Result;
use crate::fs::errno::{at, errno, stale};
use crate::fs::inode::Inode;
use crate::fs::model_tree::ModelTree;
use crate::fs::view::{Located, Sought};
use crate::fs::writing::{PathBytes, Record, forget, forget_when_durable, note};
use crate::sync::{alone, lock};

/// A path that nothing is shown under: no path of the mount begins with a slash.
const BETWEEN: &str = "/between";

impl ModelTree {
    /// Renames what is shown under a name. `flags` are those of renameat2(2).
    ///
    /// # Errors
    /// `Io` with what the system answered; EEXIST if the name is to be free, and is not.
    pub fn rename(
        &self,
        (from_parent, from_name): (Inode, &OsStr),
        (to_parent, to_name): (Inode, &OsStr),
        flags: u32,
    ) -> Result<()> {
        let flags = RenameFlags::from_bits(flags).ok_or_else(|| errno("flags", libc::EINVAL))?;
        if flags.contains(RenameFlags::WHITEOUT) {
            return Err(errno("no such flag here", libc::EINVAL));
        }
        let exchange = flags.contains(RenameFlags::EXCHANGE);
        self.changes()?;
        if !exchange {
            self.make_room(to_parent, to_name)?;
        }
        let from = self.path_in(from_parent, from_name)?;
        let to = self.path_in(to_parent, to_name)?;
        self.prepare(&from, &to, exchange)?;
        for _ in 0..MAX_TRIES {
            let forms = alone(&self.forms);
            let from = self.path_in(from_parent, from_name)?;
            let to = self.path_in(to_parent, to_name)?;
            let one = self.find_below(&from)?;
            let other = match self.sought(&to).map_err(|e| at(&to, e))? {
                Sought::Found(other) => Some(other),
                Sought::Nothing => None,
                Sought::Hidden => return Err(errno("the name is that of an archive", libc::EPERM)),
            };
            // Names change all the time: what was prepared need not be what is there now.
            if needs_plain(&one, other.as_ref(), exchange)
                || one.is_archive && !exchange && !self.can_have_archive(&to)?
            {
                drop(forms);
                self.prepare(&from, &to, exchange)?;
                continue;
            }
            let record = self.rename_alone((&from, one), (&to, other), flags)?;
            for (parent, name) in [(from_parent, from_name), (to_parent, to_name)] {
                self.known_names.forget(parent, name);
            }
            drop(forms);
            if let Some(record) = record {
                forget_when_durable(&self.source, [&from, &to].into_iter(), &record);
            }
            return Ok(());
        }
        Err(stale(from_parent))
    }

    /// Has what cannot be renamed as an archive become a file, and what others rest on be there too.
    fn prepare(&self, from: &Path, to: &Path, exchange: bool) -> Result<()> {
        let one = self.find_below(from)?;
        let other = self.find_below(to).ok();
        if needs_plain(&one, other.as_ref(), exchange) {
            let archive = if one.is_archive { from } else { to };
            self.become_plain_at(archive)?;
        } else if one.is_archive && !exchange && !self.can_have_archive(to)? {
            self.become_plain_at(from)?;
        } else {
            if !exchange && !one.is_archive && other.is_some_and(|other| other.is_archive) {
                // The file system below does not see to that, as it may where a name is replaced.
                self.sync_file(&one)?;
            }
            self.take_pins_along(from, to)?;
            if exchange {
                self.take_pins_along(to, from)?;
            }
        }
        Ok(())
    }

    fn sync_file(&self, file: &Located) -> Result<()> {
        if !file.facts.is_file() {
            return Ok(());
        }
        let opened = self.source.open_file(&file.path);
        opened
            .and_then(|file| file.sync_all())
            .map_err(|e| at(&file.path, e))
    }

    /// While nobody looks. Returns the record of it, if there is one, which is to be forgotten once it is durable.
    fn rename_alone(
        &self,
        (from, one): (&Path, Located),
        (to, other): (&Path, Option<Located>),
        flags: RenameFlags,
    ) -> Result<Option<PathBuf>> {
        let source = &self.source;
        let mut record = None;
        let target = one.beside(to);
        // Before they have their names: somebody could look after a crash.
        self.mark_before(&one, to).map_err(|e| at(to, e))?;
        let exchange = flags.contains(RenameFlags::EXCHANGE);
        match &other {
            None if exchange => return Err(at(to, io::Error::from_raw_os_error(libc::ENOENT))),
            Some(other) if exchange => {
                self.mark_before(other, from).map_err(|e| at(from, e))?;
                source
                    .rename(&one.path, &other.path, flags)
                    .map_err(|e| at(from, e))?;
            }
            Some(_) if flags.contains(RenameFlags::NOREPLACE) => {
                return Err(at(to, io::Error::from_raw_os_error(libc::EEXIST)));
            }
            None => source
                .rename(&one.path, &target, RenameFlags::NOREPLACE)
                .map_err(|e| at(from, e))?,
            Some(other) if other.path == target => self
                .rename_over(&one.path, &target)
                .map_err(|e| at(from, e))?,
            Some(other) => record = Some(self.rename_over_other_form(&one, &target, other)?),
        }
        if exchange {
            self.moved(&[
                (from, Path::new(BETWEEN), Some(&one)),
                (to, from, other.as_ref()),
                (Path::new(BETWEEN), to, Some(&one)),
            ]);
            self.tell_of(from);
        } else {
            self.moved(&[(from, to, Some(&one))]);
        }
        // A directory has got them with all that is in it.
        self.tell_of(to);
        Ok(record)
    }

    fn rename_over(&self, from: &Path, to: &Path) -> io::Result<()> {
        match self.source.rename(from, to, RenameFlags::empty()) {
            Err(e) if e.raw_os_error() == Some(libc::ENOTEMPTY) => {
                empty_directory(&self.source, to)?;
                self.source.rename(from, to, RenameFlags::empty())
            }
            renamed => renamed,
        }
    }

    /// Of what had the name nothing is left, though its own name below is another one.
    /// Returns the record of that, which is to be forgotten once it is durable.
    fn rename_over_other_form(
        &self,
        one: &Located,
        target: &Path,
        other: &Located,
    ) -> Result<PathBuf> {
        let record = Record {
            temporary: None,
            names: vec![(PathBytes::of(target), PathBytes::of(&other.path))],
            comes: one.facts.number.file,
            goes: other.facts.number.file,
        };
        let source = &self.source;
        let cannot = |e: io::Error| at(target, e);
        let work = &self.changes()?.work;
        let record = note(work, source, &record).map_err(cannot)?;
        if let Err(error) = source.rename(&one.path, target, RenameFlags::NOREPLACE) {
            forget(source, &record);
            return Err(cannot(error));
        }
        if let Err(error) = source.remove_file(&other.path) {
            if source
                .rename(target, &one.path, RenameFlags::NOREPLACE)
                .is_ok()
            {
                forget(source, &record);
            }
            return Err(cannot(error));
        }
        Ok(record)
    }

    /// Notes that what was known by a path, and all below it, is known by another one from now on. Nobody sees one move
    /// without the others.
    fn moved(&self, moves: &[(&Path, &Path, Option<&Located>)]) {
        let inode = |what: &Located| {
            let is_one = what.facts.is_file() && !what.is_archive;
            is_one.then(|| self.number(&what.facts, &[]))
        };
        let inodes: Vec<_> = moves
            .iter()
            .map(|(.., what)| what.and_then(inode))
            .collect();
        let mut nodes = lock(&self.nodes);
        for ((from, to, _), inode) in moves.iter().zip(inodes) {
            nodes.moved(inode, from, to);
        }
        drop(nodes);
        self.opened.moved(|place| {
            for (from, to, _) in moves {
                place.move_to(from, to);
            }
        });
    }

    /// Has what gets the name of an archive and is none not be taken for one.
    fn mark_before(&self, one: &Located, to: &Path) -> io::Result<()> {
        if one.is_archive {
            return Ok(());
        }
        if one.facts.is_link() && self.would_be_hidden(to, &self.source.read_link(&one.path)?) {
            return Err(io::Error::from_raw_os_error(libc::EPERM));
        }
        if one.facts.is_file() {
            let file = self.source.open_to_ask(&one.path)?;
            self.mark_if_named_as_archive(to, &file)?;
        }
        Ok(())
    }
}

/// Two of different forms cannot change places in one step.
fn needs_plain(one: &Located, other: Option<&Located>, exchange: bool) -> bool {
    exchange && other.is_some_and(|other| other.is_archive != one.is_archive)
}
