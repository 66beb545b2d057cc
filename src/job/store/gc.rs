//! Removes the pins that nobody needs.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::relations::{Pin, relations};
use crate::error::{Error, Result};
use crate::format::{OWN_DIRECTORY, pin_path};
use crate::job::base_search::BaseSearch;
use crate::job::kin::hold_pins_alone;
use crate::job::monitor::Monitor;
use crate::job::output::remove_abandoned_in;

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

/// Removes pins below a directory that no archive below the directory of the pin rests on; or only tells which.
///
/// # Errors
/// `Environment` if an archive cannot be read, which may rest on any; `Io` if the directory cannot be read;
/// `Interrupted`.
pub fn gc(directory: &Path, dry_run: bool, monitor: &Monitor<'_>) -> Result<Collected> {
    let mut collected = Collected::default();
    let mut roots: BTreeSet<PathBuf> = BTreeSet::new();
    for pin in relations(directory, &BaseSearch::default(), monitor)?.pins {
        roots.extend(root_of(&pin.path));
    }
    for root in roots {
        monitor.check()?;
        let pins = root.join(pin_path(&[0; 32]));
        let pins = pins.parent().unwrap_or(&root);
        let Some(_held) = hold_pins_alone(pins)? else {
            collected.failures.push(Error::Environment(format!(
                "{} is in use: somebody is making what rests on one of these; try again when that is done",
                pins.display()
            )));
            continue;
        };
        if !dry_run {
            // What killed runs have left.
            remove_abandoned_in(pins);
        }
        // Anew, now that nobody can come to rest on one.
        let found = relations(&root, &BaseSearch::default(), monitor)?;
        if let Some(failure) = found.failures.first() {
            collected.failures.push(Error::Environment(format!(
                "{}: its pins stay, since what cannot be read may rest on any of them ({failure})",
                root.display()
            )));
            continue;
        }
        let rests = found.archives.iter().flat_map(|archive| &archive.rests_on);
        let needed: HashSet<_> = rests.map(|rest| rest.record.sha256).collect();
        for pin in found
            .pins
            .iter()
            .filter(|pin| root_of(&pin.path).as_ref() == Some(&root))
        {
            let is_named_so = pin.path.ends_with(pin_path(&pin.superblock.sha256));
            if needed.contains(&pin.superblock.sha256) || !is_named_so {
                collected.kept += 1;
                continue;
            }
            match remove(pin, dry_run) {
                Ok(bytes) => collected.removed.push((pin.path.clone(), bytes)),
                Err(failure) => collected.failures.push(failure),
            }
        }
        if !dry_run {
            // They stay if there is anything in them.
            let _ = fs::remove_dir(pins).and_then(|()| fs::remove_dir(root.join(OWN_DIRECTORY)));
        }
    }
    Ok(collected)
}

/// The directory whose archives a pin is for.
fn root_of(pin: &Path) -> Option<PathBuf> {
    Some(pin.parent()?.parent()?.parent()?.to_path_buf())
}

/// Removes a pin, and says how many bytes only it has kept.
fn remove(pin: &Pin, dry_run: bool) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;

    let cannot = |e| Error::io(format!("cannot remove {}", pin.path.display()), e);
    let meta = pin.path.symlink_metadata().map_err(cannot)?;
    if !dry_run {
        fs::remove_file(&pin.path).map_err(cannot)?;
    }
    Ok(if meta.nlink() > 1 { 0 } else { meta.len() })
}
