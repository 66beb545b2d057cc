//! A store of a family: what each name must contain, whose bases are there, and what of it is found on the disk. Worked out
//! with nothing but `std::fs` and the tables of archives, by what docs/FAMILIES.md says.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sha2::{Digest, Sha256};
use weightfs::archive::ArchiveReader;
use weightfs::format::{BaseRecord, OWN_DIRECTORY, pin_path, pins_directory};
use weightfs::job::{BaseSearch, Monitor, VerifyOptions, verify};

use super::support::{Tensor, ok, safetensors, weights};

/// What files may contain.
pub struct Content {
    pub bytes: Vec<u8>,
    pub sha256: [u8; 32],
}

/// Families of the contents, and dependents of each.
const FAMILIES: u64 = 2;
const TUNED: u64 = 3;
/// Contents that are like no other.
const OTHERS: u64 = 2;
/// The first bytes of a content, which no other has.
pub const HEAD_BYTES: usize = 256;

pub fn hex(sha256: &[u8; 32]) -> String {
    sha256.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// The bases, then what is made from them, then others.
fn contents() -> Vec<Content> {
    // Shared as a whole it is what `dedup` wants at least.
    let (long, short) = (128 * 4096, 128 * 1024);
    let base = |family: u64| [weights(family, long), weights(family + 100, short)];
    let moved = |bytes: &[u8], seed: u64| -> Vec<u8> {
        let mut rng = fastrand::Rng::with_seed(seed);
        let numbers = bytes.as_chunks().0.iter().map(|&number| {
            let places = if rng.u8(..3) == 0 { rng.u16(..3) } else { 0 };
            u16::from_le_bytes(number)
                .wrapping_add(places)
                .to_le_bytes()
        });
        numbers.flatten().collect()
    };
    let mut all: Vec<Vec<(&str, Vec<u8>)>> = Vec::new();
    for family in 0..FAMILIES {
        let [a, b] = base(family);
        all.push(vec![("a", a), ("b", b)]);
    }
    for family in 0..FAMILIES {
        for which in 0..TUNED {
            let seed = 10 * family + which;
            let [a, b] = base(family);
            let a = if which == 0 { a } else { moved(&a, seed) };
            let head = weights(seed + 200, short);
            all.push(vec![("head", head), ("a", a), ("b", moved(&b, seed + 50))]);
        }
    }
    for other in 0..OTHERS {
        all.push(vec![("z", weights(other + 300, short))]);
    }
    let content = |(number, tensors): (usize, Vec<(&str, Vec<u8>)>)| {
        let own = format!("number {number}");
        let shapes: Vec<_> = tensors
            .iter()
            .map(|(_, bytes)| [bytes.len() as u64 / 256, 128])
            .collect();
        let mut with: Vec<Tensor<'_>> = vec![(&own, "U8", &[], vec![number as u8])];
        for ((name, bytes), shape) in tensors.into_iter().zip(&shapes) {
            with.push((name, "BF16", shape, bytes));
        }
        let bytes = safetensors(&with);
        Content {
            sha256: Sha256::digest(&bytes).into(),
            bytes,
        }
    };
    all.into_iter().enumerate().map(content).collect()
}

/// What rounds begin with: contents as files and archives, and a store.
pub struct Template {
    pub root: tempfile::TempDir,
    pub contents: Arc<Vec<Content>>,
    names: BTreeMap<String, usize>,
}

impl Template {
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let path = |relative: &str| text(&root.path().join(relative));
        let contents = Arc::new(contents());
        for directory in ["in", "store/base", "store/tuned/deep", "store/more"] {
            fs::create_dir_all(path(directory)).unwrap();
        }
        for (number, content) in contents.iter().enumerate() {
            let plain = path(&format!("in/{number}.safetensors"));
            fs::write(&plain, &content.bytes).unwrap();
            ok(["pack", &plain]);
        }
        let mut names = BTreeMap::new();
        let mut pack = |content: usize, name: &str, base: &[&str]| {
            let plain = path(&format!("in/{content}.safetensors"));
            let archive = path(&format!("store/{name}.wfz"));
            let mut arguments = vec!["pack", &plain, "-o", &archive];
            arguments.extend(base);
            ok(arguments);
            names.insert(name.to_owned(), content);
        };
        pack(0, "base/0.safetensors", &[]);
        pack(1, "base/1.safetensors", &[]);
        let named = path("store/base/0.safetensors.wfz");
        pack(2, "tuned/2.safetensors", &["--base", &named]);
        pack(3, "tuned/deep/3.safetensors", &["--base", &named]);
        // One that nothing has been found of yet, and one whose pins are in the store itself.
        pack(6, "tuned/6.safetensors", &[]);
        fs::write(path("store/more/7.safetensors"), &contents[7].bytes).unwrap();
        let named = path("store/base/1.safetensors.wfz");
        ok(["pack", "--replace", &path("store"), "--base", &named]);
        fs::write(path("store/more/8.safetensors"), &contents[8].bytes).unwrap();
        names.extend([
            ("more/7.safetensors".to_owned(), 7),
            ("more/8.safetensors".into(), 8),
        ]);
        Self {
            root,
            contents,
            names,
        }
    }
}

/// Whether an archive can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// All that it rests on is there.
    Whole,
    /// These are nowhere.
    Missing(Vec<BaseRecord>),
    /// Something damaged lies where a base is to be.
    Unsure,
}

/// A form of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Plain,
    Archive,
}

/// What is on the disk.
#[derive(Default)]
pub struct Found {
    /// The content of each form of each name.
    pub names: BTreeMap<String, Vec<(Form, usize)>>,
    /// What somebody has not finished.
    pub unfinished: Vec<PathBuf>,
}

pub struct Store {
    root: tempfile::TempDir,
    /// The directory of the store, by which it is changed.
    pub path: PathBuf,
    pub contents: Arc<Vec<Content>>,
    /// What each name must contain, as a file, as an archive or as both.
    pub names: BTreeMap<String, usize>,
    /// Names of files that contain nothing.
    pub broken: BTreeSet<String>,
    /// Whether files are whole that may be bases, by what they are told by.
    wholes: RefCell<HashMap<(u64, u64, i64, i64), bool>>,
    made: u64,
}

impl Store {
    /// A copy of a template's, as `cp -a` makes it.
    pub fn new(template: &Template) -> Self {
        let root = tempfile::tempdir().unwrap();
        let top = root.path().canonicalize().unwrap();
        for what in ["in", "store"] {
            copy_all(&template.root.path().join(what), &top.join(what));
        }
        for directory in ["mnt", "out", "alias"] {
            fs::create_dir(top.join(directory)).unwrap();
        }
        Self {
            root,
            path: top.join("store"),
            contents: Arc::clone(&template.contents),
            names: template.names.clone(),
            broken: BTreeSet::new(),
            wholes: RefCell::default(),
            made: 0,
        }
    }

    /// A path beside the store.
    pub fn beside(&self, relative: &str) -> PathBuf {
        self.root.path().canonicalize().unwrap().join(relative)
    }

    pub fn file(&self, name: &str, form: Form) -> PathBuf {
        match form {
            Form::Plain => self.path.join(name),
            Form::Archive => self.path.join(format!("{name}.wfz")),
        }
    }

    pub fn forms(&self, name: &str) -> Vec<Form> {
        let is_there = |form: &Form| self.file(name, *form).symlink_metadata().is_ok();
        [Form::Archive, Form::Plain]
            .into_iter()
            .filter(is_there)
            .collect()
    }

    /// A content outside of the store.
    pub fn input(&self, content: usize, form: Form) -> PathBuf {
        let end = if form == Form::Archive { ".wfz" } else { "" };
        self.beside(&format!("in/{content}.safetensors{end}"))
    }

    /// A name that nothing has had.
    pub fn fresh(&mut self, directory: &str) -> String {
        self.made += 1;
        fs::create_dir_all(self.path.join(directory)).unwrap();
        format!("{directory}/new{}.safetensors", self.made)
    }

    /// Which content a file has; `None` for none of them.
    fn content_of(&self, path: &Path, form: Form) -> Option<usize> {
        let sha256 = match form {
            Form::Plain => Sha256::digest(fs::read(path).ok()?).into(),
            Form::Archive => ArchiveReader::open(path).ok()?.superblock().sha256,
        };
        self.contents
            .iter()
            .position(|content| content.sha256 == sha256)
    }

    /// Looks at all there is, but for pins.
    pub fn look(&self) -> Found {
        let mut found = Found::default();
        let mut directories = vec![self.path.clone()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(&directory).unwrap() {
                let path = entry.unwrap().path();
                let relative = text(path.strip_prefix(&self.path).unwrap());
                if is_unfinished(&path) {
                    found.unfinished.push(path);
                } else if path.ends_with(OWN_DIRECTORY) {
                    let pins = fs::read_dir(path.join("bases")).into_iter().flatten();
                    let pins = pins.map(|pin| pin.unwrap().path());
                    found
                        .unfinished
                        .extend(pins.filter(|pin| is_unfinished(pin)));
                } else if path.symlink_metadata().unwrap().is_dir() {
                    directories.push(path);
                } else if !self.broken.contains(&relative) {
                    let (name, form) = match relative.strip_suffix(".wfz") {
                        Some(name) => (name, Form::Archive),
                        None => (relative.as_str(), Form::Plain),
                    };
                    let content = self.content_of(&path, form);
                    let content =
                        content.unwrap_or_else(|| panic!("{relative} has none of the contents"));
                    let forms = found.names.entry(name.to_owned()).or_default();
                    forms.push((form, content));
                }
            }
        }
        found
    }

    /// Whether a file is the base of a record, and then whether it is whole.
    fn gives(&self, path: &Path, record: &BaseRecord) -> Option<bool> {
        let reader = ArchiveReader::open(path).ok()?;
        if !reader.is_base_of(record) {
            return None;
        }
        let meta = fs::metadata(path).ok()?;
        let key = (meta.dev(), meta.ino(), meta.mtime(), meta.mtime_nsec());
        if let Some(is_whole) = self.wholes.borrow().get(&key) {
            return Some(*is_whole);
        }
        let options = VerifyOptions {
            threads: NonZeroUsize::MIN,
            deep: true,
            bases: BaseSearch::default(),
        };
        let never = AtomicBool::new(false);
        let found = verify(&[path.to_path_buf()], &options, &Monitor::silent(&never)).unwrap();
        let is_whole = found[0].problem_count == 0;
        self.wholes.borrow_mut().insert(key, is_whole);
        Some(is_whole)
    }

    /// The pin of a record beside an archive or above it, as far as there is one that is whole.
    fn pin(&self, archive: &Path, record: &BaseRecord) -> Option<PathBuf> {
        let above = archive.ancestors().skip(1);
        let mut pins = above.map(|above| above.join(pin_path(&record.sha256)));
        pins.find(|pin| self.gives(pin, record) == Some(true))
    }

    /// Whether an archive can be read, `elsewhere` being archives that stand for themselves.
    pub fn standing(&self, archive: &Path, elsewhere: &[PathBuf]) -> Standing {
        let mut missing = Vec::new();
        for record in records(archive) {
            let above = archive.ancestors().skip(1);
            let mut places: Vec<_> = above
                .map(|above| above.join(pin_path(&record.sha256)))
                .collect();
            let named = archive.with_file_name("").join(&record.name);
            places.extend([PathBuf::from(format!("{}.wfz", text(&named))), named]);
            places.extend(elsewhere.iter().cloned());
            match places.iter().find_map(|place| self.gives(place, &record)) {
                Some(true) => {}
                Some(false) => return Standing::Unsure,
                None => missing.push(record),
            }
        }
        if missing.is_empty() {
            Standing::Whole
        } else {
            Standing::Missing(missing)
        }
    }

    /// The archives that rest on something, each with what it rests on and the pin of that.
    pub fn pinned(&self) -> Vec<(String, BaseRecord, Option<PathBuf>)> {
        let mut pinned = Vec::new();
        for name in self.names.keys() {
            let archive = self.file(name, Form::Archive);
            for record in records(&archive) {
                let pin = self.pin(&archive, &record);
                pinned.push((name.clone(), record, pin));
            }
        }
        pinned
    }

    /// All pins.
    pub fn pins(&self) -> Vec<PathBuf> {
        let mut directories = vec![self.path.clone()];
        let mut pins = Vec::new();
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(&directory).unwrap() {
                let path = entry.unwrap().path();
                if path.symlink_metadata().unwrap().is_dir() {
                    directories.push(path);
                } else if directory.ends_with(pins_directory()) && !is_unfinished(&path) {
                    pins.push(path);
                }
            }
        }
        pins.sort();
        pins
    }
}

/// What an archive rests on; nothing if there is no such archive.
pub fn records(archive: &Path) -> Vec<BaseRecord> {
    let reader = ArchiveReader::open(archive);
    reader
        .and_then(|reader| reader.base_records())
        .unwrap_or_default()
}

pub fn is_unfinished(path: &Path) -> bool {
    text(path).ends_with(".wfz-tmp")
}

pub fn copy_all(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(status.unwrap().success());
}
