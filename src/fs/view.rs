//! What is shown under a name.
//!
//! - An archive `NAME.wfz` is shown as `NAME`. If there is a `NAME` as well, both are shown as they
//!   are, so that nothing is hidden.
//! - A link that stays inside the source stays a link; where its target is the name of an archive,
//!   the suffix is taken off. An absolute target inside the source becomes a relative one, since
//!   the mount stands elsewhere.
//! - A link that leads out of the source is shown with an absolute target, so that it leads where
//!   it led; if that is an archive, the link is shown as the file the archive stands for (in a mount
//!   for all users only if the link's owner is root or owns the archive: nobody can make the mount
//!   read what only the mount may read). So is one that leads out and in again, since behind the way
//!   out stands the source itself.
//! - What weightfs keeps for itself (`.weightfs`) is not shown, nor are pipes, sockets and devices where nothing is
//!   written.
//! - A file `NAME.wfz` that was written to a mount under that name is shown as it is: it is marked.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::facts::{Facts, Kind, Listed, Listing};
use super::links::{Followed, Way, follow, follow_exactly, inside_source};
use super::place::Place;
use super::source::{Source, attributes, local};
use super::xattr::AS_IT_IS_XATTR;
use crate::format::{OWN_DIRECTORY, archive_name, original_name};
use crate::os::{MAX_NAME_BYTES, leads_out};

/// So often is looked again at what changes meanwhile.
pub(super) const MAX_LOOKS: usize = 16;
/// So often is listed again what changes meanwhile.
const MAX_LISTINGS: usize = 4;
/// File systems keep the times of their files no better than to the tick of a clock.
const TIMES_ARE_EXACT_TO: Duration = Duration::from_millis(20);

/// What is shown under a name.
#[derive(Debug)]
pub(super) enum Shown {
    /// A directory of the source.
    Directory { path: PathBuf, facts: Facts },
    /// A file, a pipe, a socket or a device, as it is.
    File { place: Place, facts: Facts },
    /// The file that the archive at this place stands for, found there or `by_link`.
    Archive {
        place: Place,
        facts: Facts,
        by_link: bool,
    },
    /// A link with this target.
    Link { target: PathBuf, facts: Facts },
}

impl Shown {
    /// What is known of what is shown.
    pub(super) fn facts(&self) -> &Facts {
        match self {
            Self::Directory { facts, .. }
            | Self::File { facts, .. }
            | Self::Archive { facts, .. }
            | Self::Link { facts, .. } => facts,
        }
    }

    /// Where the file is, if it is one.
    pub(super) fn place(&self) -> Option<&Place> {
        match self {
            Self::File { place, .. } | Self::Archive { place, .. } => Some(place),
            Self::Directory { .. } | Self::Link { .. } => None,
        }
    }
}

/// Looks up a name in a directory of the source.
///
/// While an archive takes the place of its file or the other way round, one of both is always there,
/// but a look at one after the other can miss both. So nothing is there only if the directory did not
/// change meanwhile.
///
/// # Errors
/// `NotFound` if nothing is shown under that name; else what the system answered.
pub(super) fn look(source: &Source, directory: &Path, name: &OsStr) -> io::Result<Shown> {
    if name.len() > MAX_NAME_BYTES {
        return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
    }
    let mut before = None;
    for _ in 0..MAX_LOOKS {
        match look_once(source, directory, name) {
            Ok(Glance::Shown(shown)) => return Ok(shown),
            Ok(Glance::Hidden) => break,
            Ok(Glance::Nothing) => {}
            // What was a link when it was looked at is gone, or none any more.
            Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::EINVAL)) => {}
            Err(e) => return Err(e),
        }
        // Where the mount is written to it is the mount that changes forms, and nobody looks meanwhile; whoever unpacks
        // past it has put the file there by now.
        if source.is_writable() {
            match source.facts_lately(&directory.join(name)) {
                Ok(_) => continue,
                Err(_) => break,
            }
        }
        match source.facts(directory) {
            Ok(now) if before == Some(now.identity) && !is_fresh(&now) => break,
            Ok(now) => before = Some(now.identity),
            Err(_) => break,
        }
    }
    Err(not_found())
}

/// True if something changed so lately that another change would leave the times as they are. A time to come
/// was set by somebody: the next change takes it back.
fn is_fresh(directory: &Facts) -> bool {
    let now = SystemTime::now();
    // The one may have been set back, and not the other.
    are_one(now, directory.mtime) || are_one(now, directory.ctime)
}

fn are_one(now: SystemTime, time: SystemTime) -> bool {
    let apart = now.duration_since(time);
    apart.unwrap_or_else(|ahead| ahead.duration()) < TIMES_ARE_EXACT_TO
}

/// What one look finds.
enum Glance {
    Shown(Shown),
    /// Something that is not shown under this name: an archive, a pipe.
    Hidden,
    Nothing,
}

fn look_once(source: &Source, directory: &Path, name: &OsStr) -> io::Result<Glance> {
    let Located {
        path,
        facts,
        is_archive,
    } = match locate(source, directory, name)? {
        Sought::Found(located) => located,
        Sought::Hidden => return Ok(Glance::Hidden),
        Sought::Nothing => return Ok(Glance::Nothing),
    };
    if is_archive && facts.is_file() {
        let place = Place::Inside(path);
        return Ok(Glance::Shown(Shown::Archive {
            place,
            facts,
            by_link: false,
        }));
    }
    as_it_is(source, directory, path, facts)
}

/// What of the source stands behind a name that is shown.
#[derive(Debug)]
pub(super) struct Located {
    pub(super) path: PathBuf,
    pub(super) facts: Facts,
    /// An archive, or a link to one: its own name is longer by the suffix.
    pub(super) is_archive: bool,
}

/// What is found of what stands behind a name.
#[derive(Debug)]
pub(super) enum Sought {
    Found(Located),
    /// The name is that of something that is not shown under it.
    Hidden,
    Nothing,
}

/// Finds what stands behind a name.
///
/// # Errors
/// What the system answered.
pub(super) fn locate(source: &Source, directory: &Path, name: &OsStr) -> io::Result<Sought> {
    if name == OWN_DIRECTORY {
        return Ok(Sought::Hidden);
    }
    let path = directory.join(name);
    let found = match source
        .shows(directory, name)
        .then(|| source.facts_lately(&path))
    {
        Some(Ok(facts)) => Some(facts),
        // Also for one that is too long: the name of its archive would be longer still.
        Some(Err(e)) if e.raw_os_error() != Some(libc::ENOENT) => return Err(e),
        _ => None,
    };
    if let Some(facts) = found {
        let alone = original_name(name)
            .is_some_and(|original| source.facts_lately(&directory.join(original)).is_err());
        if alone && stands_for_file(source, directory, &path, &facts) {
            return Ok(Sought::Hidden);
        }
        return Ok(Sought::Found(Located {
            path,
            facts,
            is_archive: false,
        }));
    }
    Ok(match locate_archive(source, directory, name)? {
        Some(located) => Sought::Found(located),
        None => Sought::Nothing,
    })
}

/// Finds the archive, or the link to one, that would be shown under a name if nothing else had it.
///
/// # Errors
/// What the system answered.
pub(super) fn locate_archive(
    source: &Source,
    directory: &Path,
    name: &OsStr,
) -> io::Result<Option<Located>> {
    let archive = archive_name(name);
    let path = directory.join(&archive);
    let facts = source
        .shows(directory, &archive)
        .then(|| existing(source.facts_lately(&path)))
        .transpose()?
        .flatten();
    let is_one = |facts: &Facts| stands_for_file(source, directory, &path, facts);
    Ok(facts.filter(is_one).map(|facts| Located {
        path: path.clone(),
        facts,
        is_archive: true,
    }))
}

/// True if what has the name of an archive is shown without the suffix, unless what has the shorter name is there too.
fn stands_for_file(source: &Source, directory: &Path, path: &Path, facts: &Facts) -> bool {
    match facts.kind {
        Some(Kind::File) => !is_kept_as_it_is(source, &Place::Inside(path.to_path_buf())),
        Some(Kind::Link) => is_link_to_archive(source, directory, path, facts),
        _ => false,
    }
}

/// True for a file whose name ends as those of archives do and that was written to a mount under this name: it is shown as
/// it is, whatever is in it.
pub(super) fn is_kept_as_it_is(source: &Source, place: &Place) -> bool {
    let mark = |file: File| attributes::value(&file, OsStr::new(AS_IT_IS_XATTR));
    place
        .open_to_ask(source)
        .and_then(mark)
        .is_ok_and(|mark| mark.is_some())
}

/// The names that are shown in a directory, sorted; a look at some may find nothing.
pub(super) fn list(source: &Source, directory: &Path) -> io::Result<Listing> {
    let mut listing = match source.only_in(directory) {
        Some(only) => Listing {
            names: vec![Listed::of(only.to_os_string())],
            state: None,
        },
        None => list_until_settled(source, directory)?,
    };
    let names = &mut listing.names;
    let mut originals = Vec::new();
    for listed in names.iter_mut() {
        if let Some(original) = original_name(&listed.name) {
            originals.push(Listed::of(original.to_os_string()));
            // Whether an archive is shown by its own name takes a look.
            listed.plain = None;
            listing.state = None;
        }
    }
    names.extend(originals);
    // Of what is there twice, what more is known of.
    names.sort_by(|a, b| (&a.name, a.plain.is_none()).cmp(&(&b.name, b.plain.is_none())));
    names.dedup_by(|b, a| a.name == b.name);
    Ok(listing)
}

/// All names in a directory. A listing may miss both forms of a name while one takes the other's place.
fn list_until_settled(source: &Source, directory: &Path) -> io::Result<Listing> {
    let open = source.open_directory(directory)?;
    let mut names: Vec<Listed> = Vec::new();
    for round in 0..MAX_LISTINGS {
        let before = source.facts_of(&open, directory)?.identity;
        names.extend(local::list(&open)?);
        let now = source.facts_of(&open, directory)?;
        let is_same = now.identity == before;
        let is_settled = is_same && !is_fresh(&now);
        if is_settled || (is_same && source.is_writable()) {
            // After another round, names of former states may be among them.
            let state = (is_settled && round == 0).then_some(now.identity);
            return Ok(Listing { names, state });
        }
        // What was found may be another file by now.
        names.iter_mut().for_each(|listed| listed.plain = None);
    }
    Ok(Listing { names, state: None })
}

fn as_it_is(source: &Source, directory: &Path, path: PathBuf, facts: Facts) -> io::Result<Glance> {
    Ok(Glance::Shown(match facts.kind {
        Some(Kind::Directory) => Shown::Directory { path, facts },
        Some(
            Kind::File | Kind::Pipe | Kind::Socket | Kind::CharacterDevice | Kind::BlockDevice,
        ) => {
            let place = Place::Inside(path);
            Shown::File { place, facts }
        }
        Some(Kind::Link) => link(source, directory, &path, facts)?,
        None => return Ok(Glance::Hidden),
    }))
}

fn link(source: &Source, directory: &Path, path: &Path, facts: Facts) -> io::Result<Shown> {
    let target = source.read_link(path)?;
    let end = follow(source, directory, &target);
    let leads_above = end.as_ref().is_some_and(|end| end.way == Way::Above);
    let archive = end.filter(|end| is_archive(source, end));
    let target = match (inside(source, directory, &target), archive) {
        (Some(inside), Some(archive)) if stays_inside(&archive) => {
            without_suffix(source, directory, inside)
        }
        (_, Some(archive)) if may_follow_out(source, &facts, &archive) => {
            return Ok(Shown::Archive {
                place: archive.place,
                facts: archive.facts,
                by_link: true,
            });
        }
        (Some(inside), _) if !leads_above => inside,
        // As it was made: where it stands it means the same in both.
        _ if source.is_mounted_over() && source.is_writable() => target,
        _ if target.is_absolute() => target,
        // With its `..`, which mean something else by name than behind links.
        _ => source.path().join(directory).join(target),
    };
    Ok(Shown::Link { target, facts })
}

/// Whether a link with this target, in a directory of the source, is one to an archive, and not to the file of one.
pub(super) fn leads_to_archive(source: &Source, directory: &Path, target: &Path) -> bool {
    follow_exactly(source, directory, target).is_some_and(|end| is_archive(source, &end))
}

fn is_link_to_archive(source: &Source, directory: &Path, link: &Path, facts: &Facts) -> bool {
    let Ok(target) = source.read_link(link) else {
        return false;
    };
    follow_exactly(source, directory, &target)
        .filter(|end| is_archive(source, end))
        .is_some_and(|end| stays_inside(&end) || may_follow_out(source, facts, &end))
}

/// True if the way by which a link leads in the source is there in the mount.
fn stays_inside(end: &Followed) -> bool {
    matches!(end.place, Place::Inside(_)) && end.way == Way::Inside
}

/// True if a link out of the source may be shown as what it leads to: for all users only if everybody
/// who has made a link on the way is root or owns the end, since whoever makes one decides what is
/// shown.
fn may_follow_out(source: &Source, link: &Facts, followed: &Followed) -> bool {
    let end = followed.facts.uid;
    let mut owners = followed.owners.iter().copied().chain([link.uid]);
    !source.is_for_all_users() || owners.all(|owner| owner == 0 || owner == end)
}

/// True if what a link leads to is an archive that is shown as the file it stands for.
fn is_archive(source: &Source, end: &Followed) -> bool {
    let path = end.place.path();
    let original = path.file_name().and_then(original_name);
    end.facts.is_file()
        && original.is_some_and(|name| {
            let pair = match &end.place {
                Place::Inside(_) => Place::Inside(path.with_file_name(name)),
                Place::Outside(_) => Place::Outside(path.with_file_name(name)),
            };
            pair.facts(source).is_err()
        })
        && !is_kept_as_it_is(source, &end.place)
}

/// A target as it holds in the mount, if by its names it stays inside the source.
fn inside(source: &Source, directory: &Path, target: &Path) -> Option<PathBuf> {
    let depth = directory.components().count();
    if !target.is_absolute() {
        return (!leads_out(depth, target)).then(|| target.to_path_buf());
    }
    let below = inside_source(source, target)?;
    if source.is_mounted_over() && source.is_writable() {
        // It holds there as it is, and whoever made the link finds it as it was made.
        return Some(target.to_path_buf());
    }
    let mut relative: PathBuf = std::iter::repeat_n("..", depth).collect();
    relative.push(below);
    if relative.as_os_str().is_empty() {
        relative.push(".");
    }
    Some(relative)
}

/// The target of a link to an archive, under the name that the archive is shown as.
fn without_suffix(source: &Source, directory: &Path, target: PathBuf) -> PathBuf {
    let Some((name, original)) = target
        .file_name()
        .and_then(|name| Some((name, original_name(name)?)))
    else {
        return target;
    };
    // Not by the names alone: a directory on the way may be a link.
    let parent = follow_exactly(source, directory, target.parent().unwrap_or(Path::new("")));
    let Some(Place::Inside(parent)) = parent.map(|parent| parent.place) else {
        return target;
    };
    // Where there is no such archive, the name is that of the file another one stands for.
    let path = parent.join(name);
    let is_shown_without = source.facts(&parent.join(original)).is_err()
        && source
            .facts(&path)
            .is_ok_and(|facts| stands_for_file(source, &parent, &path, &facts));
    if is_shown_without {
        target.with_file_name(original)
    } else {
        target
    }
}

fn not_found() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOENT)
}

/// `None` for what does not exist. A name that is too long with the suffix does not exist either.
fn existing(facts: io::Result<Facts>) -> io::Result<Option<Facts>> {
    match facts {
        Ok(facts) => Ok(Some(facts)),
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ENAMETOOLONG)) => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_come_is_not_now() {
        let (now, hour) = (SystemTime::now(), Duration::from_secs(3600));
        assert!(!are_one(now, now + hour) && !are_one(now, now - hour));
        let tick = TIMES_ARE_EXACT_TO / 2;
        assert!(are_one(now, now + tick) && are_one(now, now - tick));
    }
}
