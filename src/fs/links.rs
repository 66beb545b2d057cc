//! Follows symbolic links in the source the way the kernel would, but watched at each step: it
//! tells whether the end is inside the source, and never walks into the mount itself (a request to
//! the file system from its own thread could wait for itself for ever).

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use super::facts::Facts;
use super::place::Place;
use super::source::Source;
use crate::format::archive_name;
use crate::os::{MAX_LINKS, leads_out};

/// What a link leads to in the end: something that exists and is no link.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) place: Place,
    pub(super) facts: Facts,
    /// How it leads there from where it stands in the mount.
    pub(super) way: Way,
    /// Owners of the links on the way, that of the first one not included.
    pub(super) owners: Vec<u32>,
}

/// How links lead to a place, seen from the mount, whose links that lead out are absolute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// By names of the source alone: in the mount, by names of the mount.
    Inside,
    /// Out of the source by a link that does so in the mount too. What is met behind it, were it in
    /// the source again, is the source itself and not what the mount shows of it.
    Out,
    /// Out of the source by the `..` of its root. The mount's root stands elsewhere.
    Above,
}

/// Follows the target of a link that stands in `directory`. A target that does not exist stands for
/// the archive of that name, if there is one, because that is what the mount shows there.
///
/// `None` if it leads nowhere, in circles, or into the mount.
pub(super) fn follow(source: &Source, directory: &Path, target: &Path) -> Option<Followed> {
    follow_to(source, directory, target, true)
}

/// The same of a target that has to exist by its own name.
pub(super) fn follow_exactly(source: &Source, directory: &Path, target: &Path) -> Option<Followed> {
    follow_to(source, directory, target, false)
}

fn follow_to(
    source: &Source,
    directory: &Path,
    target: &Path,
    mut may_be_archive: bool,
) -> Option<Followed> {
    let mut at = Place::Inside(directory.to_path_buf());
    let mut facts = None;
    let mut rest = VecDeque::new();
    let mut owners = Vec::new();
    let mut way = Way::Inside;
    if target.is_absolute() && inside_source(source, target).is_none() {
        way = Way::Out;
    }
    prepend(&mut rest, target);
    while let Some(step) = rest.pop_front() {
        facts = None;
        let name = match step {
            Step::Root => {
                at = Place::Outside(PathBuf::from("/"));
                continue;
            }
            Step::Up => {
                if way == Way::Inside && at.path().as_os_str().is_empty() {
                    way = Way::Above;
                }
                at = at.parent(source);
                if let Place::Outside(path) = &at
                    && source.is_in_mount(path)
                {
                    return None;
                }
                continue;
            }
            Step::Down(name) => name,
        };
        let mut next = at.join(&name);
        if let Place::Outside(path) = &next {
            if path == source.path() {
                at = Place::Inside(PathBuf::new());
                continue;
            }
            if source.is_in_mount(path) {
                return None;
            }
        }
        let found = match next.facts(source) {
            Err(_) if rest.is_empty() && may_be_archive => {
                next = at.join(&archive_name(&name));
                // A link of that name is shown without the suffix only if it leads to an archive by the archive's own name.
                may_be_archive = false;
                next.facts(source).ok()?
            }
            other => other.ok()?,
        };
        if found.is_link() {
            owners.push(found.uid);
            if owners.len() > MAX_LINKS {
                return None;
            }
            let target = next.read_link(source).ok()?;
            if way == Way::Inside && leads_out_in_mount(source, at.path(), &target) {
                way = Way::Out;
            }
            prepend(&mut rest, &target);
            continue;
        }
        if !rest.is_empty() && !found.is_directory() {
            return None;
        }
        at = next;
        facts = Some(found);
    }
    let facts = facts.or_else(|| at.facts(source).ok())?;
    Some(Followed {
        place: at,
        facts,
        way,
        owners,
    })
}

/// True if a link in this directory of the source is shown with an absolute target.
fn leads_out_in_mount(source: &Source, directory: &Path, target: &Path) -> bool {
    if target.is_absolute() {
        return inside_source(source, target).is_none();
    }
    leads_out(directory.components().count(), target)
}

/// What an absolute target is below the root of the source, if by its names it stays there.
pub(super) fn inside_source<'a>(source: &Source, target: &'a Path) -> Option<&'a Path> {
    let below = target.strip_prefix(source.path()).ok()?;
    (!leads_out(0, below)).then_some(below)
}

enum Step {
    Root,
    Up,
    Down(OsString),
}

fn prepend(rest: &mut VecDeque<Step>, path: &Path) {
    for component in path.components().rev() {
        match component {
            Component::Prefix(_) | Component::CurDir => {}
            Component::RootDir => rest.push_front(Step::Root),
            Component::ParentDir => rest.push_front(Step::Up),
            Component::Normal(name) => rest.push_front(Step::Down(name.to_os_string())),
        }
    }
}
