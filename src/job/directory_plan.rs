//! Turns a directory into another: what becomes of each thing in it is decided and checked before
//! anything is written.

use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::archives::{archive_path, original_path};
use super::monitor::Monitor;
use super::output::{OutputDir, OutputFile, temporary_name};
use super::source_file::SourceFile;
use super::totals::Totals;
use super::walk::{self, EntryKind, WalkEntry};
use crate::error::{Error, Result};
use crate::os::write_all_at;

/// Longest name that Linux file systems take.
const MAX_NAME_BYTES: usize = 255;
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
    /// Path of the source.
    pub(super) from: PathBuf,
    /// Path of the result, below the destination.
    pub(super) to: PathBuf,
    pub(super) action: Action,
    /// Bytes of progress it makes.
    pub(super) work: u64,
}

pub(super) enum Action {
    MakeDirectory,
    Link(PathBuf),
    Copy,
    /// Pack or unpack.
    Convert,
}

impl Step {
    /// Keeps a directory, link or file as it is.
    pub(super) fn keep(entry: WalkEntry) -> Result<Self> {
        let (action, work) = match entry.kind {
            EntryKind::Link(target) => (Action::Link(target), 0),
            EntryKind::Directory => (Action::MakeDirectory, 0),
            EntryKind::File | EntryKind::Special => (Action::Copy, bytes(&entry.from)?),
        };
        Ok(Self {
            from: entry.from,
            to: entry.relative,
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

/// The plan for a directory: one step for each thing in it, as `decide` says. Special files are left
/// out.
pub(super) fn make(
    from: &Path,
    monitor: &Monitor<'_>,
    mut decide: impl FnMut(WalkEntry) -> Result<Step>,
) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    for entry in walk::walk(from)? {
        if matches!(entry.kind, EntryKind::Special) {
            (monitor.warn)(&format!(
                "{} is not a regular file and was left out",
                entry.from.display()
            ));
        } else {
            steps.push(decide(entry)?);
        }
    }
    Ok(steps)
}

/// Carries out a plan. `convert` packs or unpacks one file to a destination.
///
/// # Errors
/// Whatever keeps a file from being made. A destination that did not exist does not exist then
/// either; in one that did (`force`), each file is the old one or the new one.
pub(super) fn carry_out(
    steps: &[Step],
    from: &Path,
    to: &Path,
    force: bool,
    monitor: &Monitor<'_>,
    mut convert: impl FnMut(&Path, &Path) -> Result<Totals>,
) -> Result<Totals> {
    check(steps, from, to)?;
    (monitor.begin)(steps.iter().map(|step| step.work).sum());
    let mut output = OutputDir::create(to, force)?;
    let mut totals = Totals::default();
    let mut made = Vec::new();
    for step in steps {
        let to = output.path().join(&step.to);
        match &step.action {
            Action::MakeDirectory => {
                if !make_directory(&to)? {
                    continue;
                }
                made.push(step);
            }
            Action::Link(target) => make_link(target, &to, force)?,
            Action::Copy => totals.add(copy_file(&step.from, &to, force, monitor)?),
            Action::Convert => totals.add(convert(&step.from, &to)?),
        }
        output.made(&step.to);
    }
    // Modes last, and from the bottom: a directory may be read-only. One that was there keeps its
    // own.
    for step in made.into_iter().rev() {
        finish_directory(Some(&step.from), &output.path().join(&step.to))?;
    }
    finish_directory(output.is_new().then_some(from), output.path())?;
    output.publish()?;
    Ok(totals)
}

/// Refuses a plan whose result would lie in its source, lack a thing, or not be shown as what it is.
fn check(steps: &[Step], from: &Path, to: &Path) -> Result<()> {
    refuse_inside(steps, from, to)?;
    let mut names = HashSet::new();
    for step in steps {
        if !names.insert(&step.to) {
            return refuse(format!(
                "two things in {} would both become {}; rename one of them",
                from.display(),
                step.to.display()
            ));
        }
        if step
            .to
            .file_name()
            .is_some_and(|name| name.len() > MAX_NAME_BYTES)
        {
            return refuse(format!(
                "{}: the name is too long with the suffix of an archive",
                step.from.display()
            ));
        }
    }
    refuse_twins(steps, &names, to)
}

fn refuse(what: String) -> Result<()> {
    Err(Error::InvalidInput(what))
}

/// Nothing is written into what is read.
fn refuse_inside(steps: &[Step], from: &Path, to: &Path) -> Result<()> {
    let canonical = |path: &Path| {
        path.canonicalize()
            .map_err(|e| Error::io(format!("cannot use {}", path.display()), e))
    };
    let source = canonical(from)?;
    // Where a path would end up, as far as it exists.
    let lies_inside = |path: &Path| {
        let existing = path.ancestors().find(|path| path.exists());
        let existing = existing.filter(|path| !path.as_os_str().is_empty());
        Ok::<_, Error>(canonical(existing.unwrap_or(Path::new(".")))?.starts_with(&source))
    };
    for path in std::iter::once(to.to_path_buf()).chain(steps.iter().map(|step| to.join(&step.to)))
    {
        if lies_inside(&path)? {
            return refuse(format!(
                "{} lies inside {}; choose a place outside",
                path.display(),
                from.display()
            ));
        }
    }
    Ok(())
}

/// Beside the other form of itself, what is made would not be shown, or not as what it is.
fn refuse_twins(steps: &[Step], names: &HashSet<&PathBuf>, to: &Path) -> Result<()> {
    for step in steps
        .iter()
        .filter(|step| matches!(step.action, Action::Convert))
    {
        for other in [original_path(&step.to), Some(archive_path(&step.to))] {
            let Some(other) = other.filter(|other| !names.contains(other)) else {
                continue;
            };
            let other = to.join(other);
            if other.symlink_metadata().is_ok() {
                return refuse(format!(
                    "{} is there and would stand beside {}; remove it first",
                    other.display(),
                    to.join(&step.to).display()
                ));
            }
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
        let parent = to.parent().unwrap_or(Path::new("."));
        let temporary = temporary_name().make_in(parent, |path| symlink(target, path))?;
        temporary.persist(to)?;
        Ok(())
    };
    make().map_err(|e| Error::io(format!("cannot make {}", to.display()), e))
}

/// Copies a file with its permission bits and time.
fn copy_file(from: &Path, to: &Path, force: bool, monitor: &Monitor<'_>) -> Result<Totals> {
    let source = SourceFile::open(from)?;
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
        archives: 0,
        copied: 1,
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
