//! Removes the pins that nobody needs.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::relations::relations;
use crate::error::{Error, Result};
use crate::format::{BaseRecord, OWN_DIRECTORY, is_pin_name, pin_path, pins_directory};
use crate::job::base_search::BaseSearch;
use crate::job::kin::hold_pins_alone;
use crate::job::monitor::Monitor;
use crate::job::output::{names_in, remove_abandoned_in};

/// What was removed, or would be.
#[derive(Debug, Default)]
pub struct Collected {
    /// Pins that no archive below their directory rests on, and the bytes that they alone keep.
    pub removed: Vec<(PathBuf, u64)>,
    /// How many stay.
    pub kept: u64,
    /// What could not be looked at, or removed.
    pub failures: Vec<Error>,
}

/// An archive that is renamed while a directory is gone through may be seen under neither name: what nobody needs is looked
/// at so often.
const LOOKS: usize = 2;

/// Removes pins below a directory that no archive below the directory of the pin rests on; or only tells which.
///
/// # Errors
/// `Io` if the directory cannot be read; `Interrupted`. What keeps pins where they are is among the failures.
pub fn gc(directory: &Path, dry_run: bool, monitor: &Monitor<'_>) -> Result<Collected> {
    let mut collected = Collected::default();
    for root in relations(directory, &BaseSearch::default(), monitor)?.with_pins {
        monitor.check()?;
        match collect(&root, dry_run, monitor, &mut collected) {
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(failure) => collected.failures.push(failure),
            Ok(()) => {}
        }
    }
    Ok(collected)
}

/// Removes the pins of a directory.
///
/// # Errors
/// `Environment` if somebody uses them, or an archive cannot be read, which may rest on any; `Io` if they cannot be looked
/// at; `Interrupted`.
fn collect(
    root: &Path,
    dry_run: bool,
    monitor: &Monitor<'_>,
    collected: &mut Collected,
) -> Result<()> {
    let pins = root.join(pins_directory());
    let Some(_held) = hold_pins_alone(&pins)? else {
        if !pins.exists() {
            return Ok(());
        }
        return Err(Error::Environment(format!(
            "{} is in use: somebody is making what rests on one of these; try again when that is done",
            pins.display()
        )));
    };
    if !dry_run {
        // What killed runs have left.
        remove_abandoned_in(&pins);
    }
    // Now that nobody can come to rest on one. By their names: a damaged one is told by nothing else.
    let names = names_of_pins(&pins)
        .map_err(|e| Error::io(format!("cannot read {}", pins.display()), e))?;
    let count = names.len() as u64;
    let mut unneeded = names;
    for _ in 0..LOOKS {
        if unneeded.is_empty() {
            break;
        }
        let found = relations(root, &BaseSearch::default(), monitor)?;
        if let Some(failure) = found.failures.first() {
            return Err(Error::Environment(format!(
                "{}: its pins stay, since what cannot be read may rest on any of them ({failure})",
                root.display()
            )));
        }
        let rests = found.archives.iter().flat_map(|archive| &archive.rests_on);
        let needed: HashSet<_> = rests.filter_map(|rest| pin_name(&rest.record)).collect();
        unneeded.retain(|name| !needed.contains(name));
    }
    collected.kept += count - unneeded.len() as u64;
    for pin in unneeded.iter().map(|name| pins.join(name)) {
        match remove(&pin, dry_run) {
            Ok(bytes) => collected.removed.push((pin, bytes)),
            Err(failure) => collected.failures.push(failure),
        }
    }
    if !dry_run {
        // They stay if there is anything in them.
        let _ = fs::remove_dir(&pins).and_then(|()| fs::remove_dir(root.join(OWN_DIRECTORY)));
    }
    Ok(())
}

fn names_of_pins(pins: &Path) -> io::Result<Vec<OsString>> {
    let mut names = names_in(pins)?;
    names.retain(|name| is_pin_name(name));
    names.sort();
    Ok(names)
}

/// The name of the pin of a base.
fn pin_name(record: &BaseRecord) -> Option<OsString> {
    Some(pin_path(&record.sha256).file_name()?.to_os_string())
}

/// Removes a pin, and says how many bytes only it has kept.
fn remove(pin: &Path, dry_run: bool) -> Result<u64> {
    let cannot = |e| Error::io(format!("cannot remove {}", pin.display()), e);
    let meta = pin.symlink_metadata().map_err(cannot)?;
    if !dry_run {
        fs::remove_file(pin).map_err(cannot)?;
    }
    Ok(if meta.nlink() > 1 { 0 } else { meta.len() })
}
