//! The way back: unmounted, unpacked in place, the unit removed. The unit goes last: until all is unpacked, what is left of
//! the archives is shown again by it, also after a restart of the machine.

use std::path::Path;
use std::time::Instant;

use serde_json::json;

use super::keeper::{Keeper, unit_without_manager};
use super::mounted::OverItself;
use super::told::{Told, note_of_shells};
use super::unit::{Unit, UnitFile};
use crate::cli::adopt_args::AdoptArgs;
use crate::cli::commands::tell_failures;
use crate::cli::job_report;
use crate::cli::level::Level;
use crate::console::{Outcome, Stop, say, size, watched};
use crate::error::{Error, Result};
use crate::fuse;
use crate::job::{
    self, BaseSearch, Conversion, Replacements, Totals, UnpackOptions, free_bytes, needed_bytes,
    needed_to_unpack,
};
use crate::printable::printable_name;
use crate::sync::cores;

pub(super) fn undo(
    directory: &Path,
    args: &AdoptArgs,
    stop: &Stop,
    told: &mut Told,
) -> Result<Outcome> {
    let name = printable_name(directory);
    let keeper = keeper(directory, args.no_unit)?;
    let mounted = OverItself::at(directory)?;
    if mounted.is_none() && fuse::mount_above(directory)?.is_some() {
        return Err(Error::InvalidInput(format!(
            "{name} is in a weightfs mount; name the directory that was adopted"
        )));
    }
    told.put("dry_run", json!(args.dry_run));
    let (found, room) = match &mounted {
        Some(_) => (None, Room::of_mount(directory)?),
        None => {
            let (found, room) = look(directory, stop)?;
            (Some(found), room)
        }
    };
    stop.check()?;
    if mounted.is_none() && keeper.is_none() && room.archives == 0 {
        let failures = found.map_or_else(Vec::new, |found| found.failures);
        tell_failures(&failures);
        told.line(&format!("{name}: there is nothing to undo"))?;
        return Ok(Outcome::after(&failures));
    }
    if let Some(keeper) = &keeper {
        let path = &keeper.unit.path;
        told.put("unit", json!(path.display().to_string()));
        told.line(&format!("unit: {}, which goes", printable_name(path)))?;
    }
    room.tell(directory, told)?;
    room.check(directory)?;
    if args.dry_run {
        return Ok(Outcome::Done);
    }
    let leaving = Leaving {
        directory,
        args,
        stop,
        keeper,
        mounted,
    };
    leaving.run(found, told)
}

/// The unit that is to go, with its manager; nothing if there is none.
///
/// # Errors
/// `Environment` if it is somebody else's, or nobody can be asked to stop it.
fn keeper(directory: &Path, no_unit: bool) -> Result<Option<Keeper>> {
    if no_unit {
        return Ok(None);
    }
    let why = match Keeper::of(directory, Level::default()) {
        Ok(keeper) => {
            let is_there = keeper.unit.file()? != UnitFile::Missing;
            return Ok(is_there.then_some(keeper));
        }
        Err(error) => error,
    };
    let is_there = |unit: &Unit| !matches!(unit.file(), Ok(UnitFile::Missing));
    match unit_without_manager(directory).ok().filter(is_there) {
        Some(unit) => Err(Error::Environment(format!(
            "{} is there, and systemd does not answer ({why}); undo it where it does, or say --no-unit to leave the unit",
            printable_name(&unit.path)
        ))),
        None => Ok(None),
    }
}

/// What unpacking takes.
struct Room {
    archives: u64,
    stored: u64,
    needed: u64,
}

/// The archives.
fn look(directory: &Path, stop: &Stop) -> Result<(Replacements, Room)> {
    let (found, needed) = watched("looking", stop, |monitor| {
        let mut found = job::originals_to_make(directory, monitor)?;
        let needed = needed_to_unpack(&mut found, monitor)?;
        Ok((found, needed))
    })?;
    let room = Room {
        archives: found.files.len() as u64,
        stored: found.files.iter().map(|file| file.bytes).sum(),
        needed,
    };
    Ok((found, room))
}

impl Room {
    /// The same while they are hidden.
    fn of_mount(directory: &Path) -> Result<Self> {
        let shown = OverItself::shown(directory)?;
        Ok(Self {
            archives: shown.archives,
            stored: shown.stored_bytes,
            needed: needed_bytes(shown.exchanges),
        })
    }

    fn tell(&self, directory: &Path, told: &mut Told) -> Result<()> {
        let free = free_bytes(directory)?;
        told.put("archives", json!(self.archives));
        told.put("stored_bytes", json!(self.stored));
        told.put("needed_bytes", json!(self.needed));
        told.put("free_bytes", json!(free));
        told.line(&format!(
            "{}: {} archives, {}; {} more are needed for the files, {} are free",
            printable_name(directory),
            self.archives,
            size::show(self.stored),
            size::show(self.needed),
            size::show(free)
        ))
    }

    fn check(&self, directory: &Path) -> Result<()> {
        let free = free_bytes(directory)?;
        if self.needed <= free {
            return Ok(());
        }
        Err(Error::Environment(format!(
            "{}: too little room to unpack: {} are needed, {} are free",
            printable_name(directory),
            size::show(self.needed),
            size::show(free)
        )))
    }
}

/// An undoing that has begun.
struct Leaving<'a> {
    directory: &'a Path,
    args: &'a AdoptArgs,
    stop: &'a Stop,
    keeper: Option<Keeper>,
    mounted: Option<OverItself>,
}

impl Leaving<'_> {
    fn run(self, found: Option<Replacements>, told: &mut Told) -> Result<Outcome> {
        if let Some(mounted) = &self.mounted {
            mounted.unmount(self.directory)?;
        }
        // It may still be at work on what was written through it.
        let stopped = self.keeper.as_ref().map_or(Ok(()), Keeper::stop);
        let start = Instant::now();
        let unpacked = stopped.and_then(|()| match found {
            Some(found) => self.unpack(found),
            None => {
                let (found, room) = look(self.directory, self.stop)?;
                room.check(self.directory)?;
                self.unpack(found)
            }
        });
        // Whatever was told: links that lead nowhere were there before.
        let unpacked = unpacked.and_then(|done| {
            let (_, left) = look(self.directory, self.stop)?;
            Ok((done, left.archives == 0))
        });
        if !matches!(unpacked, Ok((_, true))) {
            self.mount_again();
        }
        let (mut done, is_whole) = unpacked?;
        if is_whole {
            done.failures.extend(self.clear_away()?);
        }
        let time = start.elapsed();
        told.put("unpacked", job_report::conversion_json(&done, None, time));
        tell_failures(&done.failures);
        if done.totals != Totals::default() {
            told.lines(job_report::conversion_lines(&done, None, time))?;
        }
        if is_whole {
            let name = printable_name(self.directory);
            told.line(&format!("{name} is as it was before it was adopted"))?;
        }
        if let Some(note) = note_of_shells(self.directory).filter(|_| self.mounted.is_some()) {
            say(&format!("weightfs: {note}"));
        }
        Ok(if is_whole {
            Outcome::after(&done.failures)
        } else {
            Outcome::SomeFailed
        })
    }

    fn unpack(&self, found: Replacements) -> Result<Conversion> {
        let options = UnpackOptions {
            threads: self.args.threads.unwrap_or_else(cores),
            force: false,
            bases: BaseSearch::default(),
        };
        watched("unpacking", self.stop, |monitor| {
            job::replace_by_originals(found, &options, monitor)
        })
    }

    /// Some of it is packed still, and is to be found.
    fn mount_again(&self) {
        let name = printable_name(self.directory);
        let keeper = self.keeper.as_ref().filter(|_| self.mounted.is_some());
        say(&match keeper.map(|keeper| keeper.start(self.directory)) {
            Some(Ok(())) => format!("weightfs: {name} is mounted again; run it again to go on"),
            Some(Err(error)) => format!("weightfs: {error}"),
            None => format!("weightfs: some of {name} is packed still; run it again to go on"),
        });
    }

    /// Bases that nobody needs any more, and the unit; what could not be removed of the bases.
    fn clear_away(&self) -> Result<Vec<Error>> {
        let collected = watched("looking", self.stop, |monitor| {
            job::gc(self.directory, false, monitor)
        })?;
        if let Some(keeper) = &self.keeper {
            keeper.remove()?;
        }
        Ok(collected.failures)
    }
}
