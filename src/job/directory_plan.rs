//! Turns a directory into another: what becomes of each thing in it is decided before anything is
//! written. What fails is told, and the rest goes on.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::archives::{archive_path, original_path};
use super::conversion::Conversion;
use super::links::relative_target;
use super::monitor::Monitor;
use super::output::{
    OutputDir, OutputFile, parent, refuse_source, remove_abandoned, remove_abandoned_in,
    temporary_name,
};
use super::source_file::SourceFile;
use super::totals::Totals;
use super::walk::{EntryKind, WalkEntry, Walked};
use crate::error::{Error, Result};
use crate::os::write_all_at;

/// Bytes that are copied between two looks at whether to stop.
const COPY_BYTES: usize = 1 << 20;

/// Where to make a directory: that cannot be guessed.
pub(super) fn destination<'a>(from: &Path, to: Option<&'a Path>) -> Result<&'a Path> {
    to.ok_or_else(|| {
        Error::InvalidInput(format!(
            "{} is a directory; name the directory to make with -o DST",
            from.display()
        ))
    })
}

/// One thing of a directory, and what becomes of it.
pub(super) struct Step {
    /// Path below the source.
    pub(super) relative: PathBuf,
    /// Path of the source, links that were followed resolved.
    pub(super) from: PathBuf,
    /// Path of the result, below the destination.
    pub(super) to: PathBuf,
    pub(super) action: Action,
    /// Bytes of progress it makes.
    pub(super) work: u64,
}

pub(super) enum Action {
    MakeDirectory,
    Copy,
    /// Pack or unpack.
    Convert,
    /// Make a link with this target.
    Link(PathBuf),
    /// Make a link to what becomes of another thing, by its path below the source.
    LinkTo(PathBuf),
    /// Make another name of what becomes of another file, by its path below the source.
    Again(PathBuf),
}

impl Step {
    /// Keeps a thing as it is.
    pub(super) fn keep(entry: WalkEntry) -> Result<Self> {
        let (action, work) = match entry.kind {
            EntryKind::Link(target) => (Action::Link(target), 0),
            EntryKind::LinkTo(other) => (Action::LinkTo(other), 0),
            EntryKind::Again(first) => (Action::Again(first), 0),
            EntryKind::Directory => (Action::MakeDirectory, 0),
            EntryKind::File | EntryKind::Special => (Action::Copy, bytes(&entry.from)?),
        };
        Ok(Self {
            to: entry.relative.clone(),
            relative: entry.relative,
            from: entry.from,
            action,
            work,
        })
    }
}

fn bytes(path: &Path) -> Result<u64> {
    fs::metadata(path)
        .map(|meta| meta.len())
        .map_err(|e| Error::io(format!("cannot read {}", path.display()), e))
}

/// What becomes of a directory.
pub(super) struct Plan {
    steps: Vec<Step>,
    /// What cannot be done.
    pub(super) failures: Vec<Error>,
    /// Canonical paths of all directories that are read, without those in them.
    sources: HashSet<PathBuf>,
}

impl Plan {
    /// The files that are packed or unpacked.
    pub(super) fn converted(&self) -> impl Iterator<Item = &Path> {
        let is_converted = |step: &&Step| matches!(step.action, Action::Convert);
        let converted = self.steps.iter().filter(is_converted);
        converted.map(|step| step.from.as_path())
    }
}

/// The plan for a directory that was walked: one step for each thing in it, as `decide` says. Special files are left
/// out.
///
/// # Errors
/// `Interrupted`.
pub(super) fn make(
    found: Walked,
    monitor: &Monitor<'_>,
    mut decide: impl FnMut(WalkEntry) -> Result<Step>,
) -> Result<Plan> {
    let mut failures = found.failures;
    let mut steps: Vec<Step> = Vec::new();
    let mut names = HashSet::new();
    for entry in found.entries {
        monitor.check()?;
        if matches!(entry.kind, EntryKind::Special) {
            (monitor.warn)(&format!(
                "{} is not a regular file and was left out",
                entry.from.display()
            ));
            continue;
        }
        match decide(entry) {
            Ok(step) if names.insert(step.to.clone()) => steps.push(step),
            Ok(step) => failures.push(Error::InvalidInput(format!(
                "{}: something else becomes {}; rename one of the two",
                step.from.display(),
                step.to.display()
            ))),
            Err(failure) => failures.push(failure),
        }
    }
    Ok(Plan {
        steps,
        failures,
        sources: found.bases.into_keys().collect(),
    })
}

/// Something that was made.
pub(super) struct Made {
    /// Its path below the destination.
    pub(super) to: PathBuf,
    pub(super) totals: Totals,
}

/// Where what is made is put.
pub(super) struct Destination<'a> {
    root: &'a Path,
    /// All that is planned to be there.
    names: HashSet<&'a PathBuf>,
}

impl Destination<'_> {
    pub(super) fn path(&self, to: &Path) -> PathBuf {
        self.root.join(to)
    }

    /// Beside the other form of itself, what is made would not be shown, or not as what it is.
    ///
    /// # Errors
    /// `InvalidInput` if the other form is there.
    pub(super) fn refuse_twins(&self, step: &Step, to: &Path) -> Result<()> {
        let is_planned = |other: &PathBuf| *other != step.to && self.names.contains(other);
        for other in [original_path(to), Some(archive_path(to))] {
            let Some(other) = other.filter(|other| !is_planned(other)) else {
                continue;
            };
            let other = self.path(&other);
            if other.symlink_metadata().is_ok() {
                return refuse(format!(
                    "{} is there and would stand beside {}; remove it first",
                    other.display(),
                    self.path(to).display()
                ));
            }
        }
        Ok(())
    }
}

/// Carries out a plan. `convert` packs or unpacks the file of a step.
///
/// # Errors
/// What keeps the rest from being made as well, such as a full disk, and `Interrupted`. A destination that
/// did not exist does not exist then either; in one that did (`force`), each file is the old one or
/// the new one. What keeps single things from being made is among the failures.
pub(super) fn carry_out(
    plan: Plan,
    from: &Path,
    to: &Path,
    force: bool,
    monitor: &Monitor<'_>,
    mut convert: impl FnMut(&Step, &Destination<'_>) -> Result<Made>,
) -> Result<Conversion> {
    refuse_inside(&plan, from, to)?;
    let work = plan.steps.iter().map(|step| step.work);
    (monitor.begin)(work.fold(0, u64::saturating_add));
    remove_abandoned(to);
    let output = OutputDir::create(to, force)?;
    let mut making = Making {
        root: output.path().to_path_buf(),
        output,
        force,
        conversion: Conversion {
            path: to.to_path_buf(),
            totals: Totals::default(),
            failures: plan.failures,
        },
        made: HashMap::from([(PathBuf::new(), PathBuf::new())]),
        directories: Vec::new(),
    };
    let root = making.root.clone();
    let destination = Destination {
        root: &root,
        names: plan.steps.iter().map(|step| &step.to).collect(),
    };
    let (files, links): (Vec<_>, Vec<_>) = plan.steps.iter().partition(|step| {
        let action = &step.action;
        matches!(
            action,
            Action::MakeDirectory | Action::Copy | Action::Convert
        )
    });
    for step in files {
        let made = match step.action {
            // What is there in its place may lead anywhere.
            _ if !making.has_directory_of(step) => Err(Error::InvalidInput(format!(
                "{}: the directory for it could not be made",
                step.from.display()
            ))),
            Action::MakeDirectory => making.directory(step),
            Action::Convert => convert(step, &destination),
            _ => copy(step, &destination, force, monitor),
        };
        making.note(step, made, monitor)?;
    }
    // What they lead to has its name now; a link may lead to a second name of a file.
    let is_name = |step: &&&Step| matches!(step.action, Action::Again(_));
    let (names, links): (Vec<_>, Vec<_>) = links.iter().partition(is_name);
    for step in names.into_iter().chain(links) {
        if !making.has_directory_of(step) {
            continue;
        }
        let made = making.link(step, &destination, monitor);
        making.note(step, made, monitor)?;
    }
    making.finish(from)
}

/// A directory that is being made.
struct Making {
    output: OutputDir,
    /// Where it is meanwhile.
    root: PathBuf,
    force: bool,
    conversion: Conversion,
    /// What was made, by its path below the source.
    made: HashMap<PathBuf, PathBuf>,
    /// Directories that were not there: where they come from, and their paths.
    directories: Vec<(PathBuf, PathBuf)>,
}

impl Making {
    fn note(&mut self, step: &Step, made: Result<Made>, monitor: &Monitor<'_>) -> Result<()> {
        match made {
            Ok(made) => {
                self.conversion.totals.add(made.totals);
                self.output.made(&made.to);
                self.made.insert(step.relative.clone(), made.to);
                Ok(())
            }
            Err(failure) => self.conversion.fail(failure, monitor),
        }
    }

    fn has_directory_of(&self, step: &Step) -> bool {
        let directory = step.relative.parent();
        directory.is_none_or(|directory| self.made.contains_key(directory))
    }

    fn directory(&mut self, step: &Step) -> Result<Made> {
        let path = self.root.join(&step.to);
        if make_directory(&path)? {
            self.directories.push((step.from.clone(), path));
        } else {
            remove_abandoned_in(&path);
        }
        Ok(Made {
            to: step.to.clone(),
            totals: Totals::default(),
        })
    }

    fn link(
        &self,
        step: &Step,
        destination: &Destination<'_>,
        monitor: &Monitor<'_>,
    ) -> Result<Made> {
        let mut totals = Totals::default();
        let to = match &step.action {
            Action::LinkTo(other) => {
                let (to, made) = self.named_like(step, other)?;
                destination.refuse_twins(step, &to)?;
                let target = relative_target(&to, made);
                make_link(&target, &self.root.join(&to), self.force)?;
                to
            }
            Action::Again(first) => {
                let (to, made) = self.named_like(step, first)?;
                destination.refuse_twins(step, &to)?;
                let (first, path) = (self.root.join(made), self.root.join(&to));
                match make_hard_link(&first, &path, self.force) {
                    Ok(()) => totals.linked = 1,
                    // A file system without them, or there are too many.
                    Err(_) => totals = copy_file(&first, &path, self.force, monitor)?,
                }
                to
            }
            Action::Link(target) => {
                destination.refuse_twins(step, &step.to)?;
                make_link(target, &self.root.join(&step.to), self.force)?;
                step.to.clone()
            }
            Action::MakeDirectory | Action::Copy | Action::Convert => step.to.clone(),
        };
        Ok(Made { to, totals })
    }

    /// The name of a link or another name, and what became of what it leads to.
    fn named_like(&self, step: &Step, other: &Path) -> Result<(PathBuf, &PathBuf)> {
        let made = self.made.get(other).ok_or_else(|| {
            Error::InvalidInput(format!(
                "{} is another name of {}, which could not be made",
                step.from.display(),
                other.display()
            ))
        })?;
        // A name takes the suffix with what it leads to, or loses it.
        let to = match original_path(&step.to) {
            None if *made == archive_path(other) => archive_path(&step.to),
            Some(original) if original_path(other).as_ref() == Some(made) => original,
            _ => step.to.clone(),
        };
        Ok((to, made))
    }

    /// Modes last, and from the bottom: a directory may be read-only. One that was there keeps its own.
    fn finish(mut self, from: &Path) -> Result<Conversion> {
        let directories = std::mem::take(&mut self.directories);
        for (like, path) in directories.into_iter().rev() {
            finish_directory(Some(&like), &path)?;
        }
        finish_directory(self.output.is_new().then_some(from), &self.root)?;
        self.output.publish()?;
        Ok(self.conversion)
    }
}

/// Copies the file of a step.
fn copy(
    step: &Step,
    destination: &Destination<'_>,
    force: bool,
    monitor: &Monitor<'_>,
) -> Result<Made> {
    destination.refuse_twins(step, &step.to)?;
    Ok(Made {
        totals: copy_file(&step.from, &destination.path(&step.to), force, monitor)?,
        to: step.to.clone(),
    })
}

fn refuse(what: String) -> Result<()> {
    Err(Error::InvalidInput(what))
}

/// Nothing is written into what is read.
fn refuse_inside(plan: &Plan, from: &Path, to: &Path) -> Result<()> {
    // Where a path would end up, as far as it exists.
    let lies_inside = |path: &Path| {
        let existing = path.ancestors().find(|path| path.exists());
        let existing = existing.filter(|path| !path.as_os_str().is_empty());
        let existing = existing.unwrap_or(Path::new("."));
        let end = existing
            .canonicalize()
            .map_err(|e| Error::io(format!("cannot use {}", existing.display()), e))?;
        Ok::<_, Error>(end.ancestors().any(|above| plan.sources.contains(above)))
    };
    let made = plan.steps.iter().map(|step| to.join(&step.to));
    for path in std::iter::once(to.to_path_buf()).chain(made) {
        if lies_inside(&path)? {
            return refuse(format!(
                "{} lies inside {}, or in a directory that a link in there leads to; choose a place \
                 outside",
                path.display(),
                from.display()
            ));
        }
    }
    Ok(())
}

/// Returns false if it was there already.
fn make_directory(to: &Path) -> Result<bool> {
    let cannot = |e| Error::io(format!("cannot make {}", to.display()), e);
    match to.symlink_metadata() {
        Ok(meta) if meta.is_dir() => Ok(false),
        // Also for a link: what is written must stay below the destination.
        Ok(_) => Err(Error::InvalidInput(format!(
            "{} exists and is not a directory",
            to.display()
        ))),
        Err(_) => fs::create_dir(to)
            .and_then(|()| fs::set_permissions(to, fs::Permissions::from_mode(0o700)))
            .map(|()| true)
            .map_err(cannot),
    }
}

/// Makes what is in a directory durable, and gives it the mode of another.
fn finish_directory(like: Option<&Path>, to: &Path) -> Result<()> {
    let finish = || {
        let directory = File::open(to)?;
        if let Some(like) = like {
            directory.set_permissions(fs::metadata(like)?.permissions())?;
        }
        directory.sync_all()
    };
    finish().map_err(|e| Error::io(format!("cannot write {}", to.display()), e))
}

/// Makes a link, at once under its name; with `force` it replaces a file or link.
fn make_link(target: &Path, to: &Path, force: bool) -> Result<()> {
    let make = || {
        if !force {
            return symlink(target, to);
        }
        let temporary = temporary_name().make_in(parent(to), |path| symlink(target, path))?;
        temporary.persist(to)?;
        Ok(())
    };
    make().map_err(|e| Error::io(format!("cannot make {}", to.display()), e))
}

/// Gives a file another name; with `force` what is there is replaced.
pub(super) fn make_hard_link(first: &Path, to: &Path, force: bool) -> io::Result<()> {
    if !force {
        return fs::hard_link(first, to);
    }
    let temporary = temporary_name().make_in(parent(to), |path| fs::hard_link(first, path))?;
    fs::rename(temporary.path(), to)
    // Where `to` was the same file, the temporary name is still there, and is dropped.
}

/// Copies a file with its permission bits and time.
pub(super) fn copy_file(
    from: &Path,
    to: &Path,
    force: bool,
    monitor: &Monitor<'_>,
) -> Result<Totals> {
    let source = SourceFile::open(from)?;
    refuse_source(from, to)?;
    let output = OutputFile::create(to, force)?;
    let mut buffer = vec![0; COPY_BYTES];
    let mut at = 0;
    loop {
        monitor.check()?;
        let read = source.read_up_to(&mut buffer, at)?;
        if read == 0 {
            break;
        }
        write_all_at(output.file(), &buffer[..read], at)
            .map_err(|e| Error::io(format!("cannot write {}", to.display()), e))?;
        at += read as u64;
        (monitor.progress)(read as u64);
    }
    source.check_unchanged()?;
    output.sync(source.mode, Some(source.modified()))?;
    output.publish()?;
    Ok(Totals {
        original_bytes: at,
        stored_bytes: at,
        copied: 1,
        ..Totals::default()
    })
}

/// An archive and the file it stands for, side by side, would become one file.
pub(super) fn refuse_pair(archive: &Path) -> Result<()> {
    match original_path(archive) {
        Some(original) if original.symlink_metadata().is_ok() => Err(Error::InvalidInput(format!(
            "{} and {} are both there; keep one of them",
            original.display(),
            archive.display()
        ))),
        _ => Ok(()),
    }
}
