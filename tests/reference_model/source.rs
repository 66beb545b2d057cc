//! The source directory that is mounted: what is put there, and everything that is done to it while
//! the mount runs.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use rustix::fs::{XattrFlags, setxattr};
use weightfs::job::{Monitor, PackOptions, pack_file};

use super::support::{model, noise, safetensors, weights};

/// An extended attribute that users set.
pub const NOTE: &str = "user.note";

/// From so many entries on, more is removed than made.
const MANY_ENTRIES: usize = 60;

/// What an archive was made of.
pub struct Original {
    pub bytes: Vec<u8>,
    pub mtime: SystemTime,
}

impl fmt::Debug for Original {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes.len())
    }
}

/// A file and its archive.
#[derive(Clone)]
struct Packed {
    original: Arc<Original>,
    archive: Vec<u8>,
}

/// Choices that were made before it was known what there would be to choose from.
#[derive(Debug, Clone, Copy)]
pub struct Picks(pub [u32; 4]);

impl Picks {
    pub fn of(&self, which: usize, count: usize) -> usize {
        self.0[which] as usize % count.max(1)
    }

    pub fn one_of<'a, T>(&self, which: usize, all: &'a [T]) -> Option<&'a T> {
        all.get(self.of(which, all.len()))
    }
}

/// Two directories, `source` and what links can lead to outside of it.
pub struct Source {
    root: tempfile::TempDir,
    /// Canonical path.
    pub path: PathBuf,
    pub outside: PathBuf,
    pub mountpoint: PathBuf,
    /// What archives were made of, by their bytes.
    originals: HashMap<Vec<u8>, (usize, Arc<Original>)>,
    /// Device and inode of files that were written to in place, and when, counted in changes.
    pub written: HashMap<(u64, u64), u64>,
    /// Changes so far.
    pub changes: u64,
}

impl Source {
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let top = root.path().canonicalize().unwrap();
        // Not beside each other: `..` means something else in the mount.
        let (path, mountpoint) = (top.join("of/source"), top.join("mnt"));
        let outside = top.join("of/outside");
        for directory in [&path, &mountpoint, &outside] {
            fs::create_dir_all(directory).unwrap();
        }
        symlink(&path, outside.join("alias")).unwrap();
        let mut source = Self {
            root,
            path,
            outside: outside.clone(),
            mountpoint,
            originals: HashMap::new(),
            written: HashMap::new(),
            changes: 0,
        };
        fs::write(outside.join("plain"), b"outside").unwrap();
        fs::create_dir(outside.join("dir")).unwrap();
        for (name, content) in [("arch.wfz", 3), ("pair.wfz", 4), ("dir/deep.wfz", 5)] {
            source.put_archive(&outside.join(name), content).unwrap();
        }
        fs::write(outside.join("pair"), b"beside").unwrap();
        fs::write(outside.join("bad.wfz"), b"no archive").unwrap();
        symlink("arch.wfz", outside.join("chain")).unwrap();
        symlink("../source/a.wfz", outside.join("back.wfz")).unwrap();
        source
    }

    /// What an archive of these bytes was made of, and its number; `None` if they are no archive.
    pub fn original(&self, archive: &[u8]) -> Option<&(usize, Arc<Original>)> {
        self.originals.get(archive)
    }

    /// All directories, relative to the source, the root first.
    pub fn directories(&self) -> Vec<PathBuf> {
        let mut found = vec![PathBuf::new()];
        for entry in self.entries() {
            if self.path.join(&entry).symlink_metadata().unwrap().is_dir() {
                found.push(entry);
            }
        }
        found
    }

    /// All that there is, relative to the source.
    pub fn entries(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut next = vec![PathBuf::new()];
        while let Some(directory) = next.pop() {
            let mut names: Vec<_> = fs::read_dir(self.path.join(&directory))
                .unwrap()
                .map(|entry| entry.unwrap())
                .collect();
            names.sort_by_key(fs::DirEntry::file_name);
            for entry in names {
                let path = directory.join(entry.file_name());
                if entry.file_type().unwrap().is_dir() {
                    next.push(path.clone());
                }
                found.push(path);
            }
        }
        found
    }

    /// Changes something; tells what.
    pub fn change(&mut self, kind: u32, picks: Picks) -> String {
        self.changes += 1;
        let entries = self.entries();
        let kind = if entries.len() > MANY_ENTRIES {
            3
        } else {
            kind
        };
        let (what, done) = match kind {
            0 | 1 => self.archive(picks),
            2 => self.plain(picks),
            3 => self.remove(picks, &entries),
            4 => self.rename(picks, &entries),
            5 => self.directory(picks),
            6 | 7 => self.link(picks, &entries),
            8 => self.hard_link(picks, &entries),
            9 => self.pack(picks, &entries),
            10 => self.unpack(picks, &entries),
            11 => self.attributes(picks, &entries),
            12 => self.special(picks),
            13 => self.damaged(picks),
            _ => self.write_in_place(picks, &entries),
        };
        match done {
            Ok(()) => what,
            Err(e) => format!("{what}: {e}"),
        }
    }

    /// A place for something new, or in the place of something.
    fn place(&self, picks: Picks) -> PathBuf {
        let directories = self.directories();
        let directory = picks.one_of(0, &directories).unwrap();
        self.path.join(directory).join(name(picks.0[1]))
    }

    fn archive(&mut self, picks: Picks) -> (String, io::Result<()>) {
        let at = with_suffix(self.place(picks));
        let content = picks.of(2, contents().len());
        let what = format!("archive of content {content} at {at:?}");
        (what, self.put_archive(&at, content))
    }

    fn put_archive(&mut self, at: &Path, content: usize) -> io::Result<()> {
        let Packed { original, archive } = contents()[content].clone();
        let number = self.originals.len();
        self.originals
            .entry(archive.clone())
            .or_insert((number, original));
        self.put(at, &archive)
    }

    /// Puts a file there at once, whatever was there before.
    fn put(&self, at: &Path, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.root.path().join("temporary");
        fs::write(&temporary, bytes)?;
        fs::rename(temporary, at)
    }

    fn plain(&self, picks: Picks) -> (String, io::Result<()>) {
        let at = self.place(picks);
        let content = picks.of(2, contents().len());
        let what = format!("file of content {content} at {at:?}");
        let bytes = &contents()[content].original.bytes;
        (what, self.put(&at, bytes))
    }

    fn remove(&self, picks: Picks, entries: &[PathBuf]) -> (String, io::Result<()>) {
        let Some(entry) = picks.one_of(0, entries) else {
            return ("nothing to remove".into(), Ok(()));
        };
        let at = self.path.join(entry);
        let done = if at.symlink_metadata().unwrap().is_dir() {
            fs::remove_dir_all(&at)
        } else {
            fs::remove_file(&at)
        };
        (format!("remove {entry:?}"), done)
    }

    fn rename(&self, picks: Picks, entries: &[PathBuf]) -> (String, io::Result<()>) {
        let Some(entry) = picks.one_of(2, entries) else {
            return ("nothing to rename".into(), Ok(()));
        };
        let mut to = self.place(picks);
        if picks.0[3].is_multiple_of(4) {
            to = with_suffix(to);
        }
        let done = fs::rename(self.path.join(entry), &to);
        (format!("rename {entry:?} to {to:?}"), done)
    }

    fn directory(&self, picks: Picks) -> (String, io::Result<()>) {
        let at = self.place(picks);
        (format!("directory {at:?}"), fs::create_dir(&at))
    }

    fn link(&self, picks: Picks, entries: &[PathBuf]) -> (String, io::Result<()>) {
        let mut at = self.place(picks);
        if picks.0[3].is_multiple_of(4) {
            at = with_suffix(at);
        }
        let target = self.target(&at, picks, entries);
        let what = format!("link {at:?} to {target:?}");
        let temporary = self.root.path().join("temporary-link");
        let done = symlink(target, &temporary).and_then(|()| fs::rename(&temporary, &at));
        let _ = fs::remove_file(temporary);
        (what, done)
    }

    /// What a link at a path could lead to.
    fn target(&self, at: &Path, picks: Picks, entries: &[PathBuf]) -> PathBuf {
        let depth = at.strip_prefix(&self.path).unwrap().iter().count() - 1;
        let up: PathBuf = std::iter::repeat_n("..", depth).collect();
        let pick = picks.0[2];
        let mut entry = picks.one_of(2, entries).cloned().unwrap_or_default();
        // The name it is shown as, or that of the archive which could be there.
        match picks.0[3] / 4 % 4 {
            0 => entry = without_suffix(entry),
            1 => entry = with_suffix(entry),
            _ => {}
        }
        let outside = [
            "plain", "dir", "arch.wfz", "arch", "pair.wfz", "bad.wfz", "chain", "back.wfz", "gone",
            "alias",
        ];
        let outside = outside[pick as usize / 7 % outside.len()];
        let odd = name(pick / 3);
        match picks.0[3] / 16 % 16 {
            0..=3 => up.join(entry),
            4 | 5 => self.path.join(entry),
            6 => self.outside.join(outside),
            7 => up.join("../outside").join(outside),
            8 => self.outside.join("alias").join(entry),
            9 => up.join("../source").join(entry),
            // On from what may be a link to a directory.
            10 => up.join(entry).join("..").join(odd),
            11 => up.join(entry).join(with_suffix(odd.into())),
            12 => up.join(entry).join("../..").join(odd),
            13 => odd.into(),
            14 => {
                let all = [
                    ".",
                    "..",
                    "/",
                    "self/..",
                    "./.",
                    "../outside/dir/deep",
                    "nothing",
                ];
                all[pick as usize % all.len()].into()
            }
            _ => self.mountpoint.join(odd),
        }
    }

    fn hard_link(&self, picks: Picks, entries: &[PathBuf]) -> (String, io::Result<()>) {
        let Some(entry) = picks.one_of(2, entries) else {
            return ("nothing to link".into(), Ok(()));
        };
        let at = self.place(picks);
        let done = fs::hard_link(self.path.join(entry), &at);
        (format!("hard link {at:?} to {entry:?}"), done)
    }

    /// As `pack --replace`: first the archive is there as well, then alone.
    fn pack(&mut self, picks: Picks, entries: &[PathBuf]) -> (String, io::Result<()>) {
        let plain = |entry: &&PathBuf| {
            let is_file = self.path.join(entry).symlink_metadata().unwrap().is_file();
            is_file && with_suffix((*entry).clone()) != **entry
        };
        let plain: Vec<_> = entries.iter().filter(plain).cloned().collect();
        let Some(entry) = picks.one_of(0, &plain) else {
            return ("nothing to pack".into(), Ok(()));
        };
        let at = self.path.join(entry);
        let archive = match pack(&at, &self.root.path().join("packed")) {
            Ok(archive) => archive,
            // An archive by another name.
            Err(e) => return (format!("pack {entry:?}: {e}"), Ok(())),
        };
        let number = self.originals.len();
        let original = Arc::new(Original {
            bytes: fs::read(&at).unwrap(),
            mtime: at.metadata().unwrap().modified().unwrap(),
        });
        self.originals
            .entry(archive.clone())
            .or_insert((number, original));
        let done = self
            .put(&with_suffix(at.clone()), &archive)
            .and_then(|()| fs::remove_file(&at));
        (format!("pack {entry:?}"), done)
    }

    /// As `unpack --replace`.
    fn unpack(&self, picks: Picks, entries: &[PathBuf]) -> (String, io::Result<()>) {
        let archives: Vec<_> = entries
            .iter()
            .filter_map(|entry| {
                let at = self.path.join(entry);
                let to = without_suffix(at.clone());
                let is_file = to != at && at.symlink_metadata().unwrap().is_file();
                let (_, original) = is_file.then(|| self.original(&fs::read(&at).unwrap()))??;
                Some((at, to, Arc::clone(original)))
            })
            .collect();
        let Some((at, to, original)) = picks.one_of(0, &archives) else {
            return ("nothing to unpack".into(), Ok(()));
        };
        let done = self
            .put(to, &original.bytes)
            .and_then(|()| File::options().write(true).open(to))
            .and_then(|file| file.set_modified(original.mtime))
            .and_then(|()| fs::remove_file(at));
        (format!("unpack {at:?}"), done)
    }

    fn attributes(&self, picks: Picks, entries: &[PathBuf]) -> (String, io::Result<()>) {
        let Some(entry) = picks.one_of(0, entries) else {
            return ("nothing has attributes".into(), Ok(()));
        };
        let at = self.path.join(entry);
        let meta = at.symlink_metadata().unwrap();
        if meta.is_symlink() {
            return ("attributes of links stay".into(), Ok(()));
        }
        let mode = picks.0[1] & 0o777 | if meta.is_dir() { 0o700 } else { 0o400 };
        let mut done = fs::set_permissions(&at, fs::Permissions::from_mode(mode));
        if picks.0[2].is_multiple_of(2) && meta.is_file() {
            let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(picks.0[2].into()) * 1000;
            done = done
                .and_then(|()| File::open(&at))
                .and_then(|file| file.set_modified(time));
        }
        if rustix::process::geteuid().is_root() {
            done = done.and_then(|()| chown(&at, None, Some(picks.0[3] % 3)));
        }
        if meta.is_file() || meta.is_dir() {
            let note = vec![b'n'; picks.of(3, 40)];
            let set = setxattr(&at, NOTE, &note, XattrFlags::empty());
            // One of ours that somebody has copied is not taken for ours.
            let ours = setxattr(&at, "user.weightfs.none", b"x", XattrFlags::empty());
            done = done
                .and(set.map_err(Into::into))
                .and(ours.map_err(Into::into));
        }
        (format!("attributes of {entry:?}"), done)
    }

    fn special(&self, picks: Picks) -> (String, io::Result<()>) {
        let mut at = self.place(picks);
        if picks.0[2].is_multiple_of(2) {
            at = with_suffix(at);
        }
        let fifo = picks.0[3].is_multiple_of(2);
        let done = if fifo {
            let kind = rustix::fs::FileType::Fifo;
            rustix::fs::mknodat(rustix::fs::CWD, &at, kind, 0o600.into(), 0).map_err(Into::into)
        } else {
            UnixListener::bind(&at).map(drop)
        };
        (format!("special file {at:?}"), done)
    }

    /// What has an archive's name and is none.
    fn damaged(&self, picks: Picks) -> (String, io::Result<()>) {
        let at = with_suffix(self.place(picks));
        let archive = &contents()[picks.of(2, contents().len())].archive;
        let bytes = match picks.0[3] % 3 {
            0 => &b""[..],
            1 => &b"no archive at all"[..],
            _ => &archive[..200],
        };
        (format!("damaged archive {at:?}"), self.put(&at, bytes))
    }

    fn write_in_place(&mut self, picks: Picks, entries: &[PathBuf]) -> (String, io::Result<()>) {
        // Not archives: who writes to those in place gets errors, and other tests see to that.
        let plain = |entry: &&PathBuf| {
            let meta = self.path.join(entry).symlink_metadata().unwrap();
            let is_plain = meta.is_file() && with_suffix((*entry).clone()) != **entry;
            is_plain
                && self
                    .original(&fs::read(self.path.join(entry)).unwrap())
                    .is_none()
        };
        let plain: Vec<_> = entries.iter().filter(plain).collect();
        let Some(entry) = picks.one_of(0, &plain) else {
            return ("nothing to write to".into(), Ok(()));
        };
        let at = self.path.join(entry);
        let write = || {
            let file = File::options().write(true).open(&at)?;
            let meta = file.metadata()?;
            let len = u64::from(picks.0[1]) % 9000;
            if picks.0[2].is_multiple_of(2) {
                file.set_len(len)?;
            }
            file.write_all_at(&noise(picks.0[2].into(), 50), len)?;
            Ok((meta.dev(), meta.ino()))
        };
        let done = write().map(|file| {
            self.written.insert(file, self.changes);
        });
        (format!("write to {entry:?}"), done)
    }
}

/// A name, of few, so that they meet often.
pub fn name(pick: u32) -> OsString {
    let long = |len| vec![b'n'; len];
    let name = match pick % 24 {
        0..=3 => b"a".to_vec(),
        4..=6 => b"b".to_vec(),
        7 => b"c.wfz".to_vec(),
        8 => b"c".to_vec(),
        9 => b".wfz".to_vec(),
        10 => b"a.wfz.wfz".to_vec(),
        11 => b"\xff\xfe".to_vec(),
        12 => b"sp ace\n".to_vec(),
        // With the suffix, just what fits, and just not.
        13 => long(251),
        14 => long(252),
        15 => [long(251), b".wfz".to_vec()].concat(),
        16 => long(255),
        17 => b"m-00001-of-00002.safetensors".to_vec(),
        18 => b"m-00002-of-00002.safetensors".to_vec(),
        19 | 20 => b"dir".to_vec(),
        21 => b"dir.wfz".to_vec(),
        22 => b"up".to_vec(),
        _ => b"WFZ.WFZ".to_vec(),
    };
    OsString::from_vec(name)
}

/// A path with the suffix of archives, if it does not have it and the name has room for it.
pub fn with_suffix(path: PathBuf) -> PathBuf {
    let name = path.file_name().unwrap_or_default().as_bytes();
    if name.is_empty() || name.len() > 251 || (name.len() > 4 && name.ends_with(b".wfz")) {
        return path;
    }
    let name = [name, b".wfz"].concat();
    path.with_file_name(OsStr::from_bytes(&name))
}

pub fn without_suffix(path: PathBuf) -> PathBuf {
    let name = path.file_name().unwrap_or_default().as_bytes();
    match name.strip_suffix(b".wfz") {
        Some(name) if !name.is_empty() => path.with_file_name(OsStr::from_bytes(name)),
        _ => path,
    }
}

/// Makes an archive of a file with the library.
fn pack(original: &Path, archive: &Path) -> weightfs::Result<Vec<u8>> {
    let options = PackOptions {
        force: true,
        block_bytes: Some(4096),
        threads: NonZeroUsize::MIN,
        ..PackOptions::default()
    };
    let never = AtomicBool::new(false);
    pack_file(original, archive, &options, &Monitor::silent(&never))?;
    Ok(fs::read(archive).unwrap())
}

/// Files of all lengths around a page and a block, of noise, zeros and weights.
fn contents() -> &'static [Packed] {
    static CONTENTS: OnceLock<Vec<Packed>> = OnceLock::new();
    CONTENTS.get_or_init(|| {
        let tensor = |seed, count: usize| {
            let bytes = weights(seed, count);
            safetensors(&[("w", "BF16", &[count as u64], bytes)])
        };
        let files = [
            Vec::new(),
            b"x".to_vec(),
            noise(1, 4095),
            noise(2, 4096),
            // As long as the one before.
            noise(3, 4096),
            noise(4, 4097),
            vec![0; 20_000],
            tensor(5, 3000),
            tensor(6, 3000),
            tensor(7, 40_000),
            noise(8, 150_000),
            model(9, 1)[..300_001].to_vec(),
        ];
        let directory = tempfile::tempdir().unwrap();
        let (path, archive) = (
            directory.path().join("file"),
            directory.path().join("archive"),
        );
        let pack = |(number, bytes): (u32, Vec<u8>)| {
            fs::write(&path, &bytes).unwrap();
            let mtime = SystemTime::UNIX_EPOCH + Duration::new(1 << 30, number + 1);
            let file = File::options().write(true).open(&path).unwrap();
            file.set_modified(mtime).unwrap();
            Packed {
                archive: pack(&path, &archive).unwrap(),
                original: Arc::new(Original { bytes, mtime }),
            }
        };
        (0..).zip(files).map(pack).collect()
    })
}
