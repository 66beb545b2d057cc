//! Replacing files by their archives and archives by their files, where they are.
//!
//! Invariant: at every moment the file, the archive, or both are there whole and durable. What is
//! replaced goes last, after every byte of what stays was compared with it. A run that was stopped
//! in between left both: the next one compares them and goes on.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File, Metadata};
use std::num::NonZeroUsize;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::archives::{archive_path, can_be_archived, is_archive, is_archive_name, original_path};
use super::blocks::{BlockWorker, for_each_block};
use super::condition::{is_named_unfinished, missing_parts, refuse_fault};
use super::conversion::Conversion;
use super::directory_plan::make_hard_link;
use super::file_filter::FileFilter;
use super::links::follow;
use super::lossy::check_patterns;
use super::monitor::Monitor;
use super::output::{OutputFile, parent, remove_abandoned_in, take_attributes_of};
use super::pack_options::PackOptions;
use super::removal::{Held, hold, hold_open, remove};
use super::source_file::SourceFile;
use super::stand_in::{pack_stand_in, published};
use super::totals::Totals;
use super::unpack::{UnpackOptions, unpack_to};
use super::walk::{EntryKind, identity, walk};
use super::worth::{Fate, is_worth_packing};
use crate::archive::ArchiveReader;
use crate::error::{Error, Result};
use crate::format::is_own;
use crate::model::names;

/// A file that something else takes the place of, under all of its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// What goes, and what comes. More than one for hard links.
    pub names: Vec<(PathBuf, PathBuf)>,
    /// Bytes of what goes.
    pub bytes: u64,
}

impl Replacement {
    /// The names that go.
    fn going(&self) -> Vec<&Path> {
        self.names.iter().map(|(from, _)| from.as_path()).collect()
    }
}

/// What is to be replaced below a path.
#[derive(Debug)]
pub struct Replacements {
    /// The path.
    pub path: PathBuf,
    /// The files.
    pub files: Vec<Replacement>,
    /// What could not be looked at, and links that lead nowhere.
    pub failures: Vec<Error>,
    /// The directories that were looked through.
    directories: Vec<PathBuf>,
}

impl Replacements {
    /// Leaves downloads as they are that have not come to their end; gives the names of those.
    pub fn leave_unfinished(&mut self) -> Vec<PathBuf> {
        let is_unfinished = |file: &mut Replacement| is_named_unfinished(&file.names[0].0);
        let left = self.files.extract_if(.., is_unfinished);
        left.flat_map(|file| file.names)
            .map(|(name, _)| name)
            .collect()
    }

    /// A name of each file.
    pub fn sources(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|file| file.names[0].0.as_path())
    }
}

/// What `replace_by_archives` would replace: a file, or those in a directory that are models or gain by it.
///
/// # Errors
/// `InvalidInput` if there is nothing to replace, `Io` if the system refuses.
pub fn archives_to_make(
    path: &Path,
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<Replacements> {
    // For samples one thread will do.
    let options = &PackOptions {
        threads: NonZeroUsize::MIN,
        ..options.clone()
    };
    let fate = Fate::Replaced {
        is_named: !path.is_dir() || options.files.names_files(),
    };
    let is_one = |file: &Path| {
        let relative = file.strip_prefix(path).unwrap_or(file);
        Ok(!is_archive_name(file)
            && is_worth_packing(&SourceFile::open(file)?, relative, fate, options, monitor)?)
    };
    let kind = Kind {
        what: "model, nor a large file that gains by packing",
        files: options.files.clone(),
        is_one: &is_one,
        is_one_by_name: names::is_model_name,
        to: |path| {
            let is_wanted = !is_archive_name(path) && can_be_archived(path);
            is_wanted.then(|| archive_path(path))
        },
    };
    find(path, monitor, &kind)
}

/// What `replace_by_originals` would replace: an archive, or those in a directory.
///
/// # Errors
/// As `archives_to_make`.
pub fn originals_to_make(path: &Path, monitor: &Monitor<'_>) -> Result<Replacements> {
    let kind = Kind {
        what: "archive",
        files: FileFilter::default(),
        is_one: &|path| Ok(is_archive(path)),
        is_one_by_name: is_archive_name,
        to: original_path,
    };
    find(path, monitor, &kind)
}

/// Packs each file beside itself, with its owner, mode, times and extended attributes, and removes
/// it once the archive is durable and every byte was compared. What does not become smaller stays, and
/// so does, unless it is forced, what is not complete.
///
/// # Errors
/// As `Conversion::fail`. Files that failed are there unchanged.
pub fn replace_by_archives(
    found: Replacements,
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<Conversion> {
    let options = &options.fitting(monitor)?;
    if let Some(lossy) = &options.lossy {
        check_patterns(found.sources(), lossy, monitor)?;
    }
    let work = |file: &Replacement| Ok(file.bytes);
    let root = match found.path.is_dir() {
        true => found.path.clone(),
        false => parent(&found.path).to_path_buf(),
    };
    run(found, monitor, work, |file| {
        let (from, to) = &file.names[0];
        let source = SourceFile::open(from)?;
        if !options.force {
            refuse_fault(&source, from)?;
        }
        hold_open(from, &source.file)?;
        let compare_archive = |archive: &Path| {
            let held = hold(archive)?;
            let reader = ArchiveReader::from_file(&held.file, archive)?;
            let reader = options.bases.with_bases(reader, options.threads)?;
            let totals = compare(&source, &reader, archive, options.threads, monitor)?;
            finish_archive(&source, &held.file, archive)?;
            Ok((totals, held))
        };
        let already = made_already(file)?;
        if let (Some(archive), Some(_)) = (already, &options.lossy) {
            // Whether it is near enough to what is wanted cannot be told by comparing bytes.
            return Err(Error::InvalidInput(format!(
                "{} is there already; remove it, or unpack it in place, so that {} is packed as you ask",
                archive.display(),
                from.display()
            )));
        }
        let (totals, made) = if let Some(archive) = already {
            compare_archive(archive)?
        } else {
            let made = pack_stand_in(&source, to, &root, options, monitor)?;
            let Some(made) = made else {
                return Ok(Totals {
                    original_bytes: source.stamp.size,
                    stored_bytes: source.stamp.size,
                    copied: 1,
                    unshrunk: 1,
                    ..Totals::default()
                });
            };
            made
        };
        let stays = name_all(file, made, |other| Ok(compare_archive(other)?.1))?;
        remove(&source, &file.going(), &stays)?;
        Ok(totals)
    })
}

/// Unpacks each archive beside itself and removes it once the file is durable and its SHA-256 was
/// compared. Undoes `replace_by_archives`.
///
/// # Errors
/// As `replace_by_archives`.
pub fn replace_by_originals(
    found: Replacements,
    options: &UnpackOptions,
    monitor: &Monitor<'_>,
) -> Result<Conversion> {
    let options = &options.fitting(monitor)?;
    let mut found = found;
    // What others rest on goes after them: they may find it by its name.
    found.files.sort_by_cached_key(|file| {
        let reader = ArchiveReader::open(&file.names[0].0);
        reader.is_ok_and(|reader| reader.superblock().bases.is_none())
    });
    let work = |file: &Replacement| {
        let reader = ArchiveReader::open(&file.names[0].0)?;
        Ok(reader.superblock().original_bytes)
    };
    run(found, monitor, work, |file| {
        let (from, to) = &file.names[0];
        let archive = SourceFile::open(from)?;
        hold_open(from, &archive.file)?;
        let reader = ArchiveReader::from_file(&archive.file, from)?;
        let reader = options.bases.with_bases(reader, options.threads)?;
        let compare_original = |path: &Path| {
            let original = SourceFile::open(path)?;
            hold_open(path, &original.file)?;
            let totals = compare(&original, &reader, path, options.threads, monitor)?;
            // Whoever made it may not have waited for the disk.
            original.file.sync_all().map_err(|e| cannot(path, e))?;
            let held = Held {
                path: path.to_path_buf(),
                identity: (original.stamp.dev, original.stamp.ino),
                file: original.file,
            };
            Ok((totals, held))
        };
        let (totals, made) = if let Some(original) = made_already(file)? {
            compare_original(original)?
        } else {
            let output = OutputFile::create(to, false)?;
            let modified = reader.modified();
            let totals = unpack_to(&reader, &output, options, monitor, |output| {
                output.take_attributes_of(&archive.file)?;
                output.sync(archive.mode, Some(modified))
            })?;
            (totals, published(output)?)
        };
        let stays = name_all(file, made, |other| Ok(compare_original(other)?.1))?;
        remove(&archive, &file.going(), &stays)?;
        Ok(totals)
    })
}

/// Which files are to be replaced.
struct Kind<'k> {
    what: &'static str,
    /// Which of a directory.
    files: FileFilter,
    is_one: &'k dyn Fn(&Path) -> Result<bool>,
    /// Names that one may have, whatever its others are.
    is_one_by_name: fn(&Path) -> bool,
    /// What takes the place of one, if it can be.
    to: fn(&Path) -> Option<PathBuf>,
}

/// Files in place: those that are reached without a link.
fn find(path: &Path, monitor: &Monitor<'_>, kind: &Kind<'_>) -> Result<Replacements> {
    let refuse = |why: &str| Err(Error::InvalidInput(format!("{} {why}", path.display())));
    let meta = path.symlink_metadata().map_err(|e| cannot(path, e))?;
    let mut found = Replacements {
        path: path.to_path_buf(),
        files: Vec::new(),
        failures: Vec::new(),
        directories: Vec::new(),
    };
    if meta.is_symlink() {
        return match follow(path) {
            Ok(end) => refuse(&format!(
                "is a link; name what it leads to: {}",
                end.display()
            )),
            Err(_) => refuse("is a link that leads nowhere"),
        };
    }
    if meta.is_file() {
        let to = (kind.is_one)(path)?.then(|| (kind.to)(path)).flatten();
        let Some(to) = to else {
            return refuse(&format!("is no {}, or its name is too long", kind.what));
        };
        tell_of_other_names(path, &meta, 1, monitor);
        found.files.push(Replacement {
            names: vec![(path.to_path_buf(), to)],
            bytes: meta.len(),
        });
        return Ok(found);
    }
    if !meta.is_dir() {
        return refuse("is not a regular file or directory");
    }
    let walked = walk(path)?;
    for missing in missing_parts(&walked.entries) {
        (monitor.warn)(&format!("{}: {missing}", path.display()));
    }
    found.failures = walked.failures;
    let chosen = kind.files.choose(path, &walked.entries)?;
    // What was looked at, for links that lead there too.
    let mut elsewhere = HashMap::new();
    let mut has_archives = false;
    // Every name of each file, in the order of the first ones.
    let mut names: Vec<(Metadata, Vec<PathBuf>)> = Vec::new();
    let mut known = HashMap::new();
    let mut leads_out = false;
    found.directories.push(path.to_path_buf());
    // What others rest on stays as it is.
    for entry in walked
        .entries
        .into_iter()
        .filter(|entry| !is_own(&entry.relative))
    {
        let name = path.join(&entry.relative);
        if matches!(entry.kind, EntryKind::Directory) && entry.from == name {
            found.directories.push(name);
            continue;
        }
        if !matches!(entry.kind, EntryKind::File | EntryKind::Again(_)) || !chosen.has(&entry) {
            continue;
        }
        if entry.from != name {
            let is_one = || (kind.is_one)(&entry.from).unwrap_or(false);
            if *elsewhere.entry(entry.from.clone()).or_insert_with(is_one) {
                leads_out = true;
                (monitor.warn)(&format!(
                    "{} leads out of {} and is left as it is",
                    name.display(),
                    path.display()
                ));
            }
            continue;
        }
        has_archives = has_archives || is_archive_name(&name);
        match name.metadata() {
            Ok(meta) => {
                let at = *known.entry(identity(&meta)).or_insert(names.len());
                if at == names.len() {
                    names.push((meta, Vec::new()));
                }
                names[at].1.push(name);
            }
            Err(e) => found.failures.push(cannot(&name, e)),
        }
    }
    for (meta, names) in names {
        monitor.check()?;
        match replacement(&meta, names, kind, monitor) {
            Ok(file) => found.files.extend(file),
            Err(failure) => found.failures.push(failure),
        }
    }
    // Archives may be what a run before has made.
    if leads_out && found.files.is_empty() && !has_archives {
        return refuse("has only links to what lies elsewhere; name the directory where that is");
    }
    Ok(found)
}

/// What is to become of a file with these names.
fn replacement(
    meta: &Metadata,
    names: Vec<PathBuf>,
    kind: &Kind<'_>,
    monitor: &Monitor<'_>,
) -> Result<Option<Replacement>> {
    let (first, others) = names
        .split_first()
        .expect("invariant: it was met by a name");
    let mut is_one = (kind.is_one)(first)?;
    for name in others.iter().filter(|name| (kind.is_one_by_name)(name)) {
        is_one = is_one || (kind.is_one)(name)?;
    }
    if !is_one {
        return Ok(None);
    }
    tell_of_other_names(&names[0], meta, names.len(), monitor);
    let mut replaced = Vec::new();
    for name in names {
        match (kind.to)(&name) {
            Some(to) => replaced.push((name, to)),
            None => (monitor.warn)(&format!(
                "{} stays as it is: the name is too long with the suffix of an archive, or has none",
                name.display()
            )),
        }
    }
    Ok((!replaced.is_empty()).then_some(Replacement {
        names: replaced,
        bytes: meta.len(),
    }))
}

/// Names that are not known keep the file on the disk.
fn tell_of_other_names(name: &Path, meta: &Metadata, known: usize, monitor: &Monitor<'_>) {
    let others = meta.nlink().saturating_sub(known as u64);
    if others > 0 {
        (monitor.warn)(&format!(
            "{} has names elsewhere as well ({others}), which keep its {} bytes on the disk",
            name.display(),
            meta.len()
        ));
    }
}

fn run(
    found: Replacements,
    monitor: &Monitor<'_>,
    work: impl Fn(&Replacement) -> Result<u64>,
    mut replace: impl FnMut(&Replacement) -> Result<Totals>,
) -> Result<Conversion> {
    let Replacements {
        path,
        files,
        failures,
        directories,
    } = found;
    // One that cannot be opened is told when its turn comes.
    let all = files.iter().map(|one| work(one).unwrap_or(0));
    (monitor.begin)(all.fold(0, u64::saturating_add));
    let names = files.iter().flat_map(|one| &one.names);
    let beside: BTreeSet<_> = names.map(|(from, _)| parent(from)).collect();
    let directories = directories.iter().map(PathBuf::as_path);
    directories.chain(beside).for_each(remove_abandoned_in);
    let mut done = Conversion {
        path,
        totals: Totals::default(),
        failures,
    };
    for file in &files {
        match replace(file) {
            Ok(totals) => {
                done.totals.add(totals);
                done.totals.linked += file.names.len() as u64 - 1;
            }
            Err(failure) => done.fail(failure, monitor)?,
        }
    }
    Ok(done)
}

/// Which of the names that are to come is there already.
fn made_already(file: &Replacement) -> Result<Option<&Path>> {
    for (_, to) in &file.names {
        if is_there(to)? {
            return Ok(Some(to));
        }
    }
    Ok(None)
}

/// Gives what was made all of its names, and says what stays under each. What is there under one of
/// them and is not the same file is compared.
fn name_all(
    file: &Replacement,
    made: Held,
    compare_other: impl Fn(&Path) -> Result<Held>,
) -> Result<Vec<Held>> {
    let mut stays = Vec::new();
    for (_, to) in file.names.iter().filter(|(_, to)| *to != made.path) {
        if !is_there(to)? {
            make_hard_link(&made.path, to, false).map_err(|e| cannot(to, e))?;
        }
        let meta = to.symlink_metadata().map_err(|e| cannot(to, e))?;
        stays.push(if identity(&meta) == made.identity {
            Held {
                path: to.clone(),
                file: made.file.try_clone().map_err(|e| cannot(to, e))?,
                identity: made.identity,
            }
        } else {
            compare_other(to)?
        });
    }
    stays.push(made);
    Ok(stays)
}

/// Whether what is to be made is there already: as a file, since what a link leads to may go.
fn is_there(path: &Path) -> Result<bool> {
    match path.symlink_metadata() {
        Ok(meta) if meta.is_file() => Ok(true),
        Ok(_) => Err(Error::InvalidInput(format!(
            "{} is there and is not a regular file; move it away",
            path.display()
        ))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(cannot(path, e)),
    }
}

fn cannot(path: &Path, error: std::io::Error) -> Error {
    Error::io(format!("cannot use {}", path.display()), error)
}

/// An archive that was there may be one that a stopped run has not finished, or one of a plain
/// `pack`.
fn finish_archive(source: &SourceFile, archive: &File, path: &Path) -> Result<()> {
    take_attributes_of(&source.file, archive, path)?;
    // Whoever may not read the source may not read the archive.
    archive
        .set_permissions(fs::Permissions::from_mode(source.mode & 0o777))
        .and_then(|()| archive.sync_all())
        .map_err(|e| cannot(path, e))
}

/// Compares every byte of a file with what an archive holds. `existing` is the one of both that was
/// in the way.
fn compare(
    source: &SourceFile,
    reader: &ArchiveReader,
    existing: &Path,
    threads: std::num::NonZeroUsize,
    monitor: &Monitor<'_>,
) -> Result<Totals> {
    let differ = || {
        Error::InvalidInput(format!(
            "{} is there and holds something else; move one of the two away",
            existing.display()
        ))
    };
    let superblock = reader.superblock();
    if superblock.original_bytes != source.stamp.size {
        return Err(differ());
    }
    if let Some(problem) = reader.check_tables().pop() {
        return Err(problem);
    }
    for_each_block(
        reader,
        threads,
        monitor,
        |worker: &mut BlockWorker<Vec<u8>>| {
            source.read_block(&worker.span, &mut worker.own)?;
            reader.verify_block(worker.block, &mut worker.decoder, &mut worker.decoded)?;
            if worker.decoded == worker.own {
                Ok(())
            } else {
                Err(differ())
            }
        },
        |_| Ok(()),
    )?;
    Ok(Totals {
        original_bytes: superblock.original_bytes,
        stored_bytes: superblock.archive_bytes,
        archives: 1,
        ..Totals::default()
    })
}
