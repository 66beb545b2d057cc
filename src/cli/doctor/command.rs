//! Finding out what was named, and printing what was found.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::text;
use crate::cli::args::DoctorArgs;
use crate::cli::in_mount;
use crate::console::{Outcome, Stop, print_as};
use crate::doctor::{
    Advice, Facts, Found, Machine, MountFacts, MountState, Place, Weight, advise, ask_path,
};
use crate::error::{Error, Result};
use crate::fuse;
use crate::printable::printable_name;

pub(crate) fn doctor(args: &DoctorArgs) -> Result<Outcome> {
    // What it makes for a moment is to be gone at the end.
    let stop = Stop::on_signals()?;
    let (mount, source) = match &args.path {
        Some(path) => look_at(path)?,
        None => (None, None),
    };
    stop.check()?;
    let facts = Facts::new(Machine::gather(), mount, source);
    stop.check()?;
    let advice = advise(&facts);
    print_as(
        args.json,
        || json!({ "facts": facts, "advice": advice }),
        || text::lines(&facts, &advice),
    )?;
    let blocks = |one: &Advice| one.weight == Weight::Blocks;
    Ok(if advice.iter().any(blocks) {
        Outcome::Hindered
    } else {
        Outcome::Done
    })
}

/// A mount and what it shows, or a place that may be mounted.
fn look_at(path: &Path) -> Result<(Option<MountFacts>, Option<Found<Place>>)> {
    let mountpoint = mountpoint(path)?;
    let Some(mountpoint) = mountpoint else {
        return Ok((None, Some(Found::Known(Place::gather(path)?))));
    };
    let mount = MountFacts::gather(&mountpoint)?;
    let source = if mount.state == MountState::Answers {
        in_mount::source_behind(&mountpoint)
            .and_then(|source| Place::gather(&source))
            .into()
    } else {
        Found::unknown("the mount does not answer")
    };
    Ok((Some(mount), Some(source)))
}

/// The mount that a path is, or lies in. What may not answer is asked by another process only.
fn mountpoint(path: &Path) -> Result<Option<PathBuf>> {
    if let Some(mountpoint) = fuse::mount_above(path)? {
        return Ok(Some(mountpoint));
    }
    match ask_path(path)? {
        MountState::Answers => in_mount::mountpoint_of(path),
        // Perhaps a dead mount, by a link.
        MountState::Refuses(_) if fuse::is_mounted(path).unwrap_or(false) => {
            Ok(Some(path.to_path_buf()))
        }
        // It answers after all: with an error, which is asked for again as it tells what is wrong with the path.
        MountState::Refuses(why) => match path.metadata() {
            Err(e) => Err(Error::io(format!("cannot read {}", path.display()), e)),
            Ok(_) => Err(Error::InvalidInput(why)),
        },
        MountState::Silent => Err(Error::Environment(format!(
            "{} does not answer: the file system that it is on waits for something (a server, a disk)",
            printable_name(path)
        ))),
    }
}
