//! One run: changes of the source and looks at the mount, in random order, each look compared.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::expected::{self, Kind, Shown, Stat, listing, lookup};
use super::kernel;
use super::mounted::{Mounted, printed};
use super::source::{NOTE, Original, Picks, Source, name, with_suffix};

/// As many files are held open at once.
const MAX_HELD: usize = 12;

/// Something to do, in numbers that mean something in every state: a run can be repeated with any of
/// them left out.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    pub kind: u32,
    pub picks: [u32; 4],
}

impl Step {
    pub fn random(random: &mut fastrand::Rng) -> Self {
        Self {
            kind: random.u32(..),
            picks: std::array::from_fn(|_| random.u32(..)),
        }
    }
}

/// A handle that is held, and the name it was opened by.
type Named<Open> = (Held<Open>, String);

/// A file that is kept open, and what it must be.
struct Held<O> {
    open: O,
    inode: u64,
    contents: Contents,
    since: u64,
}

enum Contents {
    /// Those of this generation, whatever happens to the archive.
    Archive(Arc<Original>, Stat),
    /// Those of a file of the source, by whatever name it has now, if any.
    File(File),
}

/// When what is shown is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Always.
    Exact,
    /// When the kernel has asked again: after this, what it was told before no longer holds.
    After(std::time::Duration),
}

pub struct Run<M: Mounted> {
    pub source: Source,
    pub mounted: M,
    freshness: Freshness,
    held: VecDeque<Held<M::Open>>,
    /// The inode numbers that were seen.
    inodes: HashMap<(u64, u64, Vec<u8>), u64>,
    identities: HashMap<u64, (u64, u64, Vec<u8>)>,
    /// Inodes of archives, and what they were.
    seen: Vec<(u64, Arc<Original>)>,
    /// True if the source has changed since the kernel was waited for.
    is_stale: bool,
    /// What was done.
    pub trace: Vec<String>,
    pub compared: u64,
}

/// What a check says: an error tells what is wrong.
type Checked = Result<(), String>;

fn same<T: PartialEq + std::fmt::Debug>(what: &str, shown: &T, expected: &T) -> Checked {
    if shown == expected {
        return Ok(());
    }
    Err(format!("{what}: shown {shown:?}, expected {expected:?}"))
}

/// As `same`, for what is too long to be printed.
fn same_bytes(what: &str, shown: &[u8], expected: &[u8]) -> Checked {
    if shown == expected {
        return Ok(());
    }
    let at = shown.iter().zip(expected).position(|(a, b)| a != b);
    let (shown, expected) = (shown.len(), expected.len());
    Err(format!(
        "{what}: {shown} bytes are shown, {expected} expected; the first difference is at {at:?}"
    ))
}

impl<M: Mounted> Run<M> {
    pub fn new(source: Source, mounted: M, freshness: Freshness) -> Self {
        Self {
            source,
            mounted,
            freshness,
            held: VecDeque::new(),
            inodes: HashMap::new(),
            identities: HashMap::new(),
            seen: Vec::new(),
            is_stale: false,
            trace: Vec::new(),
            compared: 0,
        }
    }

    /// Does it all. At the end, everything is compared and closed.
    pub fn steps(&mut self, steps: &[Step]) -> Checked {
        for step in steps {
            self.step(step)?;
        }
        self.settle();
        self.whole_tree()?;
        while let Some(held) = self.held.pop_front() {
            self.check_held(&held, Picks([0; 4]))?;
            self.mounted.close(held.open);
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Checked {
        let picks = Picks(step.picks);
        if step.kind.is_multiple_of(3) {
            let done = self.source.change(step.kind / 3 % 15, picks);
            self.trace.push(done);
            self.is_stale = true;
            return Ok(());
        }
        if self.freshness != Freshness::Exact && self.is_stale {
            // What the kernel was told may be believed for a while. Time is dear: many changes, and
            // as many looks that only may not harm, before it is waited for.
            if !(step.kind / 3).is_multiple_of(64) {
                return self.look_without_comparing(picks);
            }
            self.settle();
        }
        self.compared += 1;
        match step.kind / 3 % 16 {
            0 | 1 => self.stat(picks),
            2 | 3 => self.list(picks),
            4 => self.xattrs(picks),
            5 | 6 => self.open_and_read(picks),
            7 => self.open_and_hold(picks),
            8..=10 => self.held(picks),
            11 | 12 => self.through(picks),
            13 => self.inode(picks),
            14 if picks.0[0].is_multiple_of(8) => self.whole_tree(),
            14 => self.odd_name(picks),
            _ => self.kernel(picks),
        }
    }

    /// Waits until what the kernel was told no longer holds.
    fn settle(&mut self) {
        if let (Freshness::After(ttl), true) = (self.freshness, self.is_stale) {
            self.trace.push("wait".into());
            std::thread::sleep(ttl);
        }
        self.is_stale = false;
    }

    /// Has the kernel learn things that will be wrong soon.
    fn look_without_comparing(&mut self, picks: Picks) -> Checked {
        let (path, _) = self.pick(picks);
        self.trace.push(format!("glance at {path:?}"));
        let _ = self.mounted.stat(&path);
        if let Ok(open) = self.mounted.open(&path) {
            let _ = self.mounted.read(&open, 0, 100);
            self.mounted.close(open);
        }
        let _ = self.mounted.list(path.parent().unwrap_or(Path::new("")));
        Ok(())
    }

    /// Something that is shown, or a name that may be.
    fn pick(&self, picks: Picks) -> (PathBuf, Result<Shown, i32>) {
        let directories = self.source.directories();
        let directory = picks.one_of(0, &directories).unwrap();
        if picks.0[1].is_multiple_of(6) {
            let mut name: PathBuf = name(picks.0[2]).into();
            if picks.0[2].is_multiple_of(5) {
                name = with_suffix(name);
            }
            let shown = lookup(&self.source, directory, name.as_os_str());
            return (directory.join(name), shown);
        }
        let listing = listing(&self.source, directory);
        let count = listing.len();
        match listing.into_iter().nth(picks.of(2, count)) {
            Some((name, shown)) => (directory.join(name), Ok(shown)),
            None => (directory.join("nothing"), Err(libc::ENOENT)),
        }
    }

    fn stat(&mut self, picks: Picks) -> Checked {
        let (path, shown) = self.pick(picks);
        self.trace.push(format!("stat {path:?}"));
        self.check_stat(&path, &shown).map(drop)
    }

    /// Compares attributes and, of links, the target; gives the inode.
    fn check_stat(
        &mut self,
        path: &Path,
        shown: &Result<Shown, i32>,
    ) -> Result<Option<u64>, String> {
        let what = format!("stat {path:?} ({shown:?})");
        let found = self.mounted.stat(path);
        let expected = shown.as_ref().map_err(|e| *e).and_then(Shown::stat);
        let mut stat = found.as_ref().map(|(_, stat)| stat.clone()).map_err(|e| *e);
        if let (Ok(stat), Ok(expected)) = (&mut stat, &expected)
            && self.freshness != Freshness::Exact
        {
            // They become known when the system writes the file to the disk, which nobody is told.
            stat.blocks = expected.blocks;
        }
        if stat != expected {
            // It may just have done so.
            stat = self.mounted.stat(path).map(|(_, stat)| stat);
        }
        same(
            &what,
            &stat,
            &shown.as_ref().map_err(|e| *e).and_then(Shown::stat),
        )?;
        let (Ok((inode, _)), Ok(shown)) = (found, shown) else {
            return Ok(None);
        };
        if let Some(identity) = shown.identity() {
            let known = *self.inodes.entry(identity.clone()).or_insert(inode);
            same(&format!("inode of {what}"), &inode, &known)?;
            let first = self.identities.entry(inode).or_insert(identity.clone());
            same(&format!("whose inode is {what}"), first, &identity)?;
        }
        match shown {
            Shown::Archive(_, _, original) => self.seen.push((inode, Arc::clone(original))),
            Shown::Link(_, target) => {
                same(&what, &self.mounted.read_link(path), &Ok(target.clone()))?;
            }
            _ => {}
        }
        Ok(Some(inode))
    }

    fn list(&mut self, picks: Picks) -> Checked {
        let directories = self.source.directories();
        let directory = picks.one_of(0, &directories).unwrap();
        self.trace.push(format!("list {directory:?}"));
        self.check_list(directory)
    }

    fn check_list(&mut self, directory: &Path) -> Checked {
        let expected = listing(&self.source, directory);
        let what = format!("list {directory:?}");
        let listed = self
            .mounted
            .list(directory)
            .map_err(|e| format!("{what}: errno {e}"))?;
        let kinds = |(name, kind): (&OsString, Kind)| (printed(name), kind);
        let shown: Vec<_> = listed.iter().map(|e| kinds((&e.name, e.kind))).collect();
        let expected_kinds: Vec<_> = expected.iter().map(|(n, s)| kinds((n, s.kind()))).collect();
        same(&what, &shown, &expected_kinds)?;
        for (entry, (name, shown)) in listed.iter().zip(expected) {
            let path = directory.join(name);
            if let Some(inode) = self.check_stat(&path, &Ok(shown))? {
                same(&format!("{what}: inode of {path:?}"), &entry.inode, &inode)?;
            }
        }
        Ok(())
    }

    fn whole_tree(&mut self) -> Checked {
        self.trace.push("compare everything".into());
        for directory in self.source.directories() {
            self.check_list(&directory)?;
            for (name, shown) in listing(&self.source, &directory) {
                let path = directory.join(name);
                if let Some(expected) = shown.bytes() {
                    let what = format!("read {path:?}");
                    let read = self.mounted.read_through(&path);
                    let read = read.map_err(|e| format!("{what}: errno {e}"))?;
                    same_bytes(&what, &read, &expected)?;
                }
                self.check_through(&path, &Ok(shown))?;
            }
        }
        Ok(())
    }

    fn odd_name(&mut self, picks: Picks) -> Checked {
        let directories = self.source.directories();
        let directory = picks.one_of(0, &directories).unwrap();
        let long = "n".repeat(256 + picks.of(2, 700));
        let names = [&long, "\\", "%", "*", "wfz", ".wfz.wfz", "a.wf", "A"];
        let name = names[picks.of(1, names.len())];
        self.trace.push(format!("stat {name:?} in {directory:?}"));
        let shown = lookup(&self.source, directory, name.as_ref());
        self.check_stat(&directory.join(name), &shown).map(drop)
    }

    fn xattrs(&mut self, picks: Picks) -> Checked {
        if picks.0[1].is_multiple_of(12) {
            return self.xattrs_of_root();
        }
        let (path, shown) = self.pick(picks);
        self.trace.push(format!("xattrs of {path:?}"));
        let what = format!("xattrs of {path:?} ({shown:?})");
        let names = self.mounted.xattr_names(&path);
        // Those of the source are listed; ours are not, but can be read.
        let (file, values) = match &shown {
            Err(e) => return same(&what, &names, &Err(*e)),
            Ok(Shown::Damaged) => return same(&what, &names, &Err(libc::EIO)),
            Ok(Shown::Archive(path, _, original)) => (Some(path), values(path, original)),
            Ok(Shown::AsIs(path)) => (Some(path), Vec::new()),
            Ok(Shown::Link(..)) => (None, Vec::new()),
        };
        let note = file.and_then(|file| note_of(file));
        let names = names.map_err(|e| format!("{what}: errno {e}"))?;
        let expected = note.iter().map(|_| OsString::from(NOTE)).collect();
        same(&what, &names, &expected)?;
        let read = self.mounted.xattr(&path, NOTE);
        same(
            &format!("{what}: {NOTE}"),
            &read,
            &note.ok_or(libc::ENODATA),
        )?;
        for (name, value) in values {
            let read = self.mounted.xattr(&path, name);
            let read = read.map_err(|e| format!("{what}: {name}: errno {e}"))?;
            if name == "user.weightfs.codec" {
                same(&what, &(!read.is_empty() && read.is_ascii()), &true)?;
            } else {
                same(&format!("{what}: {name}"), &read, &value)?;
            }
        }
        for name in ["user.weightfs.none", "user.weightfs.stats"] {
            let read = self.mounted.xattr(&path, name);
            same(&format!("{what}: {name}"), &read, &Err(libc::ENODATA))?;
        }
        Ok(())
    }

    fn xattrs_of_root(&mut self) -> Checked {
        self.trace.push("xattrs of the root".into());
        let name = "user.weightfs.stats";
        let names = self.mounted.xattr_names(Path::new(""));
        same("xattrs of the root", &names, &Ok(Vec::new()))?;
        let read = self.mounted.xattr(Path::new(""), name);
        let read = read.map_err(|e| format!("{name}: errno {e}"))?;
        let stats: serde_json::Value =
            serde_json::from_slice(&read).map_err(|e| format!("{name}: {e}"))?;
        same("failed reads", &stats["reads"]["failed"].as_u64(), &Some(0))?;
        let held = self.held.len() as u64;
        let open = stats["open_files"].as_u64().unwrap_or(0);
        // The kernel closes a file some time after who had it has gone on.
        let is_right = open == held || (self.mounted.mountpoint().is_some() && open > held);
        same(
            &format!("{open} open files, of us {held}"),
            &is_right,
            &true,
        )
    }

    fn open_and_read(&mut self, picks: Picks) -> Checked {
        let Some((held, what)) = self.opened(picks)? else {
            return Ok(());
        };
        let read = self
            .check_held(&held, picks)
            .and_then(|()| self.check_held(&held, Picks([picks.0[3], picks.0[2], 1, 0])));
        self.mounted.close(held.open);
        read.map_err(|e| format!("{what}: {e}"))
    }

    fn open_and_hold(&mut self, picks: Picks) -> Checked {
        if let Some((held, _)) = self.opened(picks)? {
            self.held.push_back(held);
        }
        if self.held.len() > MAX_HELD {
            let held = self.held.pop_front().unwrap();
            self.mounted.close(held.open);
        }
        Ok(())
    }

    /// Opens something, if it can be.
    fn opened(&mut self, picks: Picks) -> Result<Option<Named<M::Open>>, String> {
        let (path, shown) = self.pick(picks);
        let what = format!("open {path:?} ({shown:?})");
        self.trace.push(format!("open {path:?}"));
        let opened = self.mounted.open(&path);
        let contents = match shown {
            Err(e) => Err(e),
            Ok(shown) => match (shown.kind(), &shown) {
                (_, Shown::Damaged) => Err(libc::EIO),
                (Kind::Link, _) => Err(libc::ELOOP),
                // Only the kernel opens directories, and in another way.
                (Kind::Directory, _) if self.mounted.mountpoint().is_some() => {
                    return Ok(None);
                }
                (Kind::Directory, _) => Err(libc::EISDIR),
                (Kind::File, Shown::Archive(_, _, original)) => {
                    let stat = shown.stat().unwrap();
                    Ok(Contents::Archive(Arc::clone(original), stat))
                }
                (Kind::File, Shown::AsIs(path) | Shown::Link(path, _)) => {
                    Ok(Contents::File(File::open(path).unwrap()))
                }
            },
        };
        match (opened, contents) {
            (Ok(open), Ok(contents)) => {
                let inode = self.mounted.stat_open(&open);
                let (inode, _) = inode.map_err(|e| format!("{what}: fstat: errno {e}"))?;
                let since = self.source.changes;
                let held = Held {
                    open,
                    inode,
                    contents,
                    since,
                };
                Ok(Some((held, what)))
            }
            (Err(shown), Err(expected)) => same(&what, &shown, &expected).map(|()| None),
            (Ok(open), Err(expected)) => {
                self.mounted.close(open);
                Err(format!("{what}: opened, expected errno {expected}"))
            }
            (Err(errno), Ok(_)) => Err(format!("{what}: errno {errno}")),
        }
    }

    fn held(&mut self, picks: Picks) -> Checked {
        let which = picks.of(0, self.held.len());
        let Some(held) = self.held.remove(which) else {
            return Ok(());
        };
        self.trace
            .push(format!("read an open file, inode {}", held.inode));
        let checked = self.check_held(&held, picks);
        self.held.insert(which, held);
        checked
    }

    fn check_held(&mut self, held: &Held<M::Open>, picks: Picks) -> Checked {
        let (inode, stat) = self
            .mounted
            .stat_open(&held.open)
            .map_err(|e| format!("fstat: errno {e}"))?;
        same("inode of an open file", &inode, &held.inode)?;
        let bytes = match &held.contents {
            Contents::Archive(original, first) => {
                // Owner and permissions follow the archive as long as it is there.
                let now = (stat.kind, stat.size, stat.mtime);
                let then = (first.kind, first.size, first.mtime);
                same("attributes of an open generation", &now, &then)?;
                original.bytes.clone()
            }
            Contents::File(file) => {
                let meta = file.metadata().unwrap();
                let written = self.source.written.get(&(meta.dev(), meta.ino()));
                if self.mounted.mountpoint().is_some() && written.is_some_and(|at| *at > held.since)
                {
                    // The kernel may believe its pages until somebody opens the file again.
                    return Ok(());
                }
                let expected = Stat::of(&meta);
                let stat = Stat {
                    blocks: expected.blocks,
                    ..stat
                };
                same("attributes of an open file", &stat, &expected)?;
                let mut bytes = vec![0; usize::try_from(meta.size()).unwrap()];
                std::os::unix::fs::FileExt::read_exact_at(file, &mut bytes, 0).unwrap();
                bytes
            }
        };
        let [a, b, ..] = picks.0;
        // Also at the end and past it, and whole.
        let (offset, len) = match a % 8 {
            0 => (0, 1 << 20),
            1 => (bytes.len() - bytes.len().min(b as usize % 5000), 5000),
            2 => (bytes.len() + b as usize % 100_000, 1 + b as usize % 5000),
            3 => (b as usize / 4096 * 4096 % (bytes.len() + 1), 4096),
            _ => (a as usize / 8 % (bytes.len() + 1), b as usize % 140_000),
        };
        let what = format!("read {len} bytes at {offset} of inode {inode}");
        let read = self.mounted.read(&held.open, offset as u64, len);
        let read = read.map_err(|e| format!("{what}: errno {e}"))?;
        let expected = bytes.get(offset..).unwrap_or(&[]);
        same_bytes(&what, &read, &expected[..len.min(expected.len())])
    }

    /// Where links lead in the mount is where they lead in the source.
    fn through(&mut self, picks: Picks) -> Checked {
        let (path, shown) = self.pick(picks);
        self.trace.push(format!("follow {path:?}"));
        self.check_through(&path, &shown)
    }

    fn check_through(&mut self, path: &Path, shown: &Result<Shown, i32>) -> Checked {
        let Ok(Shown::Link(at, target)) = shown else {
            return Ok(());
        };
        let what = format!("follow {path:?} ({shown:?})");
        if expected::passes_mount(&self.source, at) {
            return Ok(());
        }
        let Some(end) = expected::end(&self.source, at) else {
            let read = self.mounted.read_through(path);
            return same(&what, &read.map(|_| ()).is_err(), &true);
        };
        let meta = end.symlink_metadata().unwrap();
        if meta.is_dir() {
            // A link that leads out of the source and in again, by way of an absolute link or of another
            // name of the source, leads to the source itself and not to the mount.
            if let Some(directory) = expected::goes_straight(&self.source, path, target, &end) {
                let listed = self.mounted.list_through(path);
                let names: Vec<_> = listing(&self.source, &directory).into_keys().collect();
                return same(&what, &listed, &Ok(names));
            }
            return Ok(());
        }
        if !meta.is_file() {
            return Ok(());
        }
        let bytes = fs::read(&end).unwrap();
        let expected = match self.source.original(&bytes) {
            _ if !expected::is_archive(&end) => Ok(bytes),
            Some((_, original)) => Ok(original.bytes.clone()),
            None => Err(libc::EIO),
        };
        match (self.mounted.read_through(path), expected) {
            (Ok(shown), Ok(expected)) => same_bytes(&what, &shown, &expected),
            (shown, expected) => {
                let len = |bytes: Vec<u8>| format!("{} bytes", bytes.len());
                same(&what, &shown.map(len), &expected.map(len))
            }
        }
    }

    /// Opens what was seen once, by its inode, as the kernel does while it believes a name: it is what
    /// it was, or it is gone.
    fn inode(&mut self, picks: Picks) -> Checked {
        let Some((inode, original)) = picks.one_of(0, &self.seen).cloned() else {
            return Ok(());
        };
        self.trace.push(format!("open inode {inode}"));
        // Only ESTALE has the kernel look again.
        match self.mounted.read_inode(inode) {
            Some(Ok(bytes)) => same_bytes(&format!("inode {inode}"), &bytes, &original.bytes),
            Some(Err(e)) if e != libc::ESTALE => Err(format!("open inode {inode}: errno {e}")),
            _ => Ok(()),
        }
    }

    fn kernel(&mut self, picks: Picks) -> Checked {
        let (path, shown) = self.pick(picks);
        let Some(mountpoint) = self.mounted.mountpoint().map(Path::to_path_buf) else {
            return self.check_stat(&path, &shown).map(drop);
        };
        self.trace
            .push(format!("kernel {} {path:?}", picks.0[3] % 6));
        kernel::check(&mountpoint, &path, &shown, &self.source, picks)
            .map_err(|e| format!("{path:?} ({shown:?}): {e}"))
    }
}

/// What a user has noted on a file of the source.
fn note_of(path: &Path) -> Option<Vec<u8>> {
    let mut buffer = [0; 4096];
    let len = rustix::fs::lgetxattr(path, NOTE, &mut buffer[..]).ok()?;
    Some(buffer[..len].to_vec())
}

/// The extended attributes of an archive; that of the codec is not known.
fn values(archive: &Path, original: &Original) -> Vec<(&'static str, Vec<u8>)> {
    let mut hex = String::new();
    for byte in Sha256::digest(&original.bytes) {
        let _ = write!(hex, "{byte:02x}");
    }
    let stored = archive.metadata().unwrap().len() as f64;
    let ratio = format!("{:.4}", original.bytes.len() as f64 / stored);
    vec![
        (
            "user.weightfs.archive",
            archive.as_os_str().as_bytes().to_vec(),
        ),
        ("user.weightfs.codec", Vec::new()),
        ("user.weightfs.original_sha256", hex.into_bytes()),
        ("user.weightfs.ratio", ratio.into_bytes()),
    ]
}
