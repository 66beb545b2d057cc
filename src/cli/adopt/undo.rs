//! The way back: unmounted, unpacked in place, the unit removed. The unit goes last: until all is unpacked, what is left of
//! the archives is shown again by it, also after a restart of the machine.

use std::path::Path;
use std::time::Instant;

use serde_json::json;

use super::keeper::{Keeper, unit_without_manager};
use super::mounted::OverItself;
use super::told::{Told, note_of_shells};
use super::unit::UnitFile;
use crate::cli::adopt_args::AdoptArgs;
use crate::cli::commands::tell_failures;
use crate::cli::job_report;
use crate::cli::level::Level;
use crate::console::{Outcome, Stop, say, size, watched};
use crate::error::{Error, Result};
use crate::fuse;
use crate::job::{
    self, BaseSearch, Conversion, Monitor, Replacements, UnpackOptions, free_bytes, needed_bytes,
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
    let dry_run = args.dry_run;
    told.put("dry_run", json!(dry_run));
    let found = match &mounted {
        Some(_) => {
            look_through(directory, told)?;
            None
        }
        None => Some(look(directory, stop, told)?),
    };
    stop.check()?;
    let has_unit = match &keeper {
        Some(keeper) => keeper.unit.file()? != UnitFile::Missing,
        None => false,
    };
    if let Some(keeper) = keeper.as_ref().filter(|_| has_unit) {
        let path = printable_name(&keeper.unit.path);
        told.put("unit", json!(keeper.unit.path.display().to_string()));
        told.line(&format!("unit: {path}, which goes"))?;
    }
    let has_archives = found.as_ref().is_none_or(|found| !found.files.is_empty());
    let has_failed = found
        .as_ref()
        .is_some_and(|found| !found.failures.is_empty());
    if mounted.is_none() && !has_unit && !has_archives && !has_failed {
        told.line(&format!("{name}: there is nothing to undo"))?;
        return Ok(Outcome::Done);
    }
    if dry_run {
        let failures = found.map_or_else(Vec::new, |found| found.failures);
        tell_failures(&failures);
        return Ok(Outcome::after(&failures));
    }
    let keeper = keeper.filter(|_| has_unit);
    if let Some(mounted) = &mounted {
        mounted.unmount(directory)?;
    }
    if let Some(keeper) = &keeper {
        // It may still be at work on what was written through it.
        keeper.stop()?;
    }
    let unpacked = match found {
        Some(found) => unpack(found, args, stop),
        None => look(directory, stop, told).and_then(|found| unpack(found, args, stop)),
    };
    finish(
        directory,
        keeper.as_ref(),
        mounted.is_some(),
        unpacked,
        stop,
        told,
    )
}

/// What keeps it mounted, if anybody can be asked.
fn keeper(directory: &Path, no_unit: bool) -> Result<Option<Keeper>> {
    if no_unit {
        return Ok(None);
    }
    let why = match Keeper::of(directory, Level::default()) {
        Ok(keeper) => return Ok(Some(keeper)),
        Err(error) => error,
    };
    let unit = unit_without_manager(directory);
    match unit
        .ok()
        .filter(|unit| !matches!(unit.file(), Ok(UnitFile::Missing)))
    {
        Some(unit) => Err(Error::Environment(format!(
            "{} is there, and systemd does not answer ({why}); undo it where it does, or say --no-unit to leave the unit",
            printable_name(&unit.path)
        ))),
        None => Ok(None),
    }
}

/// The archives, and whether there is room for their files.
fn look(directory: &Path, stop: &Stop, told: &mut Told) -> Result<Replacements> {
    let (found, needed) = watched("looking", stop, |monitor| {
        let mut found = job::originals_to_make(directory, monitor)?;
        let needed = needed_to_unpack(&mut found, monitor)?;
        Ok((found, needed))
    })?;
    let stored = found.files.iter().map(|file| file.bytes).sum();
    tell_room(directory, (found.files.len() as u64, stored, needed), told)?;
    Ok(found)
}

/// The same while they are hidden.
fn look_through(directory: &Path, told: &mut Told) -> Result<()> {
    let shown = OverItself::shown(directory)?;
    let needed = needed_bytes(shown.exchanges);
    tell_room(
        directory,
        (shown.archives, shown.stored_bytes, needed),
        told,
    )
}

fn tell_room(
    directory: &Path,
    (archives, stored, needed): (u64, u64, u64),
    told: &mut Told,
) -> Result<()> {
    let free = free_bytes(directory)?;
    told.put("archives", json!(archives));
    told.put("stored_bytes", json!(stored));
    told.put("needed_bytes", json!(needed));
    told.put("free_bytes", json!(free));
    let name = printable_name(directory);
    let room = format!(
        "{} more are needed for the files, {} are free",
        size::show(needed),
        size::show(free)
    );
    told.line(&format!(
        "{name}: {archives} archives, {}; {room}",
        size::show(stored)
    ))?;
    if needed > free {
        return Err(Error::Environment(format!(
            "{name}: too little room to unpack: {room}"
        )));
    }
    Ok(())
}

fn unpack(found: Replacements, args: &AdoptArgs, stop: &Stop) -> Result<Conversion> {
    let options = UnpackOptions {
        threads: args.threads.unwrap_or_else(cores),
        force: false,
        bases: BaseSearch::default(),
    };
    watched("unpacking", stop, |monitor: &Monitor<'_>| {
        job::replace_by_originals(found, &options, monitor)
    })
}

/// What is left of it goes, once nothing is packed any more; else it is mounted again.
fn finish(
    directory: &Path,
    keeper: Option<&Keeper>,
    was_mounted: bool,
    unpacked: Result<Conversion>,
    stop: &Stop,
    told: &mut Told,
) -> Result<Outcome> {
    let name = printable_name(directory);
    let start = Instant::now();
    let is_whole = unpacked.as_ref().is_ok_and(|done| done.failures.is_empty());
    if !is_whole {
        match keeper {
            Some(keeper) if was_mounted => {
                keeper.start(directory)?;
                say(&format!(
                    "weightfs: {name} is mounted again; run it again to go on"
                ));
            }
            _ => say(&format!(
                "weightfs: some of {name} is packed still; run it again to go on"
            )),
        }
    }
    let mut done = unpacked?;
    if is_whole {
        let collected = watched("looking", stop, |monitor| {
            job::gc(directory, false, monitor)
        })?;
        done.failures.extend(collected.failures);
        if let Some(keeper) = keeper {
            keeper.remove()?;
        }
    }
    let time = start.elapsed();
    told.put("unpacked", job_report::conversion_json(&done, None, time));
    tell_failures(&done.failures);
    told.lines(job_report::conversion_lines(&done, None, time))?;
    if is_whole {
        told.line(&format!("{name} is as it was before it was adopted"))?;
    }
    if was_mounted && let Some(note) = note_of_shells(directory) {
        say(&format!("weightfs: {note}"));
    }
    Ok(Outcome::after(&done.failures))
}
