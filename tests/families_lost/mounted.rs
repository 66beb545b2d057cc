//! A mount of a store, with readers that look at whatever is there while it changes.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use weightfs::archive::ArchiveReader;

use super::store::{Content, Form, HEAD_BYTES, Standing, Store, hex, text};
use super::support::{Mount, json, ok, weightfs};

/// Nothing here takes that long.
const LIMIT: Duration = Duration::from_secs(120);
const READERS: u64 = 2;
/// What mounts may remember of names, in seconds.
pub const TTLS: [&str; 2] = ["0", "0.2"];
/// Then they do so no more.
const WAIT: Duration = Duration::from_millis(400);
const PAUSE: Duration = Duration::from_millis(5);
/// Longest read.
const MOST_BYTES: usize = 300_000;

/// Another way to a directory that something is mounted over.
struct Alias(PathBuf);

impl Alias {
    fn new(of: &Path, at: &Path) -> Self {
        mount(&["--bind", &text(of), &text(at)]);
        let alias = Self(at.to_path_buf());
        // What is mounted over the one is not to be seen by the other.
        mount(&["--make-private", &text(at)]);
        alias
    }
}

impl Drop for Alias {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

fn mount(arguments: &[&str]) {
    let output = Command::new("mount").args(arguments).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "mounting needs root: {told}");
}

/// What readers know.
struct Shared {
    mountpoint: PathBuf,
    contents: Arc<Vec<Content>>,
    names: Mutex<Vec<String>>,
    /// Whether something changes, so that a name may lead nowhere.
    changes: AtomicBool,
    /// Whether a base may be missing.
    may_fail: AtomicBool,
    ends: AtomicBool,
    reads: AtomicU64,
    faults: Mutex<Vec<String>>,
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

pub struct Mounted {
    shared: Arc<Shared>,
    readers: Vec<JoinHandle<()>>,
    mount: Option<Mount>,
    log: PathBuf,
    _alias: Option<Alias>,
}

impl Mounted {
    /// Mounts a store, also over itself: it is changed by another way then.
    pub fn new(store: &mut Store, over_itself: bool, ttl: &str, seed: u64) -> Self {
        let source = store.path.clone();
        let (mountpoint, alias) = if over_itself {
            let alias = store.beside("alias");
            store.path.clone_from(&alias);
            (source.clone(), Some(Alias::new(&source, &alias)))
        } else {
            (store.beside("mnt"), None)
        };
        let log = store.beside("log");
        let mut command = weightfs();
        command
            .args(["mount", "--ttl", ttl])
            .args([&source, &mountpoint])
            .stderr(Stdio::from(File::create(&log).unwrap()));
        let mount = Mount::spawn(command, &mountpoint, LIMIT);
        let shared = Arc::new(Shared {
            mountpoint,
            contents: Arc::clone(&store.contents),
            names: Mutex::default(),
            changes: AtomicBool::new(false),
            may_fail: AtomicBool::new(false),
            ends: AtomicBool::new(false),
            reads: AtomicU64::new(0),
            faults: Mutex::default(),
        });
        let reader = |number: u64| {
            let (shared, mut rng) = (Arc::clone(&shared), fastrand::Rng::with_seed(seed + number));
            std::thread::spawn(move || {
                while !shared.ends.load(Ordering::Relaxed) {
                    if let Err(fault) = shared.look(&mut rng) {
                        lock(&shared.faults).push(fault);
                    }
                    // The cores are for those who change something.
                    sleep(PAUSE);
                }
            })
        };
        Self {
            readers: (0..READERS).map(reader).collect(),
            shared,
            mount: Some(mount),
            log,
            _alias: alias,
        }
    }

    /// Tells readers what there is, and whether that changes now.
    pub fn set_names(&self, store: &Store, changes: bool) {
        if changes {
            self.shared.changes.store(true, Ordering::SeqCst);
        }
        *lock(&self.shared.names) = store.names.keys().cloned().collect();
        self.shared.changes.store(changes, Ordering::SeqCst);
    }

    /// From now on a base may be missing.
    pub fn may_fail(&self) {
        self.shared.may_fail.store(true, Ordering::SeqCst);
    }

    pub fn faults(&self) {
        let faults = lock(&self.shared.faults);
        assert!(faults.is_empty(), "{faults:#?}");
    }

    /// Reads all of a name: all of it where its bases are there, and else what does not rest on them. What is open
    /// already, or in the page cache, may be read all the same.
    pub fn check_whole(&self, store: &Store, name: &str) {
        check_whole(&self.shared.mountpoint, store, name, false);
    }

    /// Ends readers and the mount; gives how often was read.
    pub fn end(mut self, store: &mut Store) -> u64 {
        self.shared.ends.store(true, Ordering::SeqCst);
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        self.faults();
        let mount = self.mount.take().unwrap();
        self.check_closed(&mount);
        mount.stop();
        store.path = store.beside("store");
        // What is missing was told, and nothing panicked.
        let log = fs::read_to_string(&self.log).unwrap();
        assert!(!log.contains("panicked"), "{log}");
        self.shared.reads.load(Ordering::Relaxed)
    }

    /// Nothing stays open but what is expected to be read next, with what it rests on.
    fn check_closed(&self, mount: &Mount) {
        const MOST_EXPECTED: usize = 4;
        let start = Instant::now();
        loop {
            let stats = json(&ok(["stats", "--json", &text(&self.shared.mountpoint)]));
            let links = fs::read_dir(format!("/proc/{}/fd", mount.pid())).unwrap();
            let links = links.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
            let open: Vec<_> = links.filter(|path| text(path).contains(".wfz")).collect();
            if stats["open_files"] == 0 && open.len() <= MOST_EXPECTED {
                return;
            }
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "{stats} {open:?}"
            );
            sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
        // Readers that wait for it get an error.
        drop(self.mount.take());
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

impl Shared {
    /// Opens something and reads it here and there.
    fn look(&self, rng: &mut fastrand::Rng) -> Result<(), String> {
        let name = {
            let names = lock(&self.names);
            if names.is_empty() {
                return Ok(());
            }
            names[rng.usize(..names.len())].clone()
        };
        let was_changing = self.changes.load(Ordering::SeqCst);
        let changes = || was_changing || self.changes.load(Ordering::SeqCst);
        let is_known = || lock(&self.names).contains(&name);
        let may_fail = || self.may_fail.load(Ordering::SeqCst);
        let file = match File::open(self.mountpoint.join(&name)) {
            Ok(file) => file,
            // One that was renamed before this reader began.
            Err(_) if changes() || !is_known() => return Ok(()),
            Err(e) => return Err(format!("cannot open {name}: {e}")),
        };
        let mut head = [0; HEAD_BYTES];
        match file.read_exact_at(&mut head, 0) {
            Ok(()) => {}
            Err(e) if may_fail() && e.raw_os_error() == Some(libc::EIO) => return Ok(()),
            Err(e) => return Err(format!("{name}: {e}")),
        }
        let Some(content) = self
            .contents
            .iter()
            .find(|one| one.bytes.starts_with(&head))
        else {
            return Err(format!("{name} begins as none of the contents"));
        };
        for _ in 0..rng.u8(1..12) {
            let start = rng.usize(..content.bytes.len());
            let len = rng.usize(1..=MOST_BYTES.min(content.bytes.len() - start));
            let mut bytes = vec![0; len];
            match file.read_exact_at(&mut bytes, start as u64) {
                Ok(()) if bytes == content.bytes[start..start + len] => {}
                Ok(()) => return Err(format!("{name}: wrong bytes in {start}..{}", start + len)),
                Err(e) if may_fail() && e.raw_os_error() == Some(libc::EIO) => {}
                Err(e) => return Err(format!("{name} at {start}: {e}")),
            }
            self.reads.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Waits until a mount shows the content that a name has now: names may be remembered for a while.
fn wait_for(path: &Path, store: &Store, content: &[u8]) {
    let start = Instant::now();
    loop {
        let mut head = [0; HEAD_BYTES];
        let file = File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        match file.read_exact_at(&mut head, 0) {
            Ok(()) if content.starts_with(&head) => return,
            Ok(()) => assert!(
                store
                    .contents
                    .iter()
                    .any(|one| one.bytes.starts_with(&head))
            ),
            // Even that may rest on what is missing, and so may what was there before.
            Err(e) if start.elapsed() > WAIT => {
                assert_eq!(e.raw_os_error(), Some(libc::EIO), "{}", path.display());
                return;
            }
            Err(_) => {}
        }
        assert!(start.elapsed() < 5 * WAIT, "{} is not new", path.display());
        sleep(Duration::from_millis(20));
    }
}

/// Reads all of a name through a mount. If that is new, exactly what rests on what is missing cannot be read.
fn check_whole(mountpoint: &Path, store: &Store, name: &str, is_new: bool) {
    let content = &store.contents[store.names[name]].bytes;
    let path = mountpoint.join(name);
    let archive = store.file(name, Form::Archive);
    let is_archive = store.forms(name) == [Form::Archive];
    let standing = store.standing(&archive, &[]);
    if !is_new {
        wait_for(&path, store, content);
    }
    if !is_archive || standing == Standing::Whole {
        let read = fs::read(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(read == *content, "{name} has wrong bytes");
        return;
    }
    let reader = ArchiveReader::open(&archive).unwrap();
    let records = reader.base_records().unwrap();
    // Past the page cache, which has pages of two blocks.
    let mut options = File::options();
    options.read(true).custom_flags(libc::O_DIRECT);
    let file = options
        .open(&path)
        .unwrap_or_else(|e| panic!("{name}: {e}"));
    for block in 0..reader.geometry().block_count() {
        let range = reader.geometry().block(block).unwrap().range;
        let reference = reader.reference(block).unwrap();
        let base = reference.map(|rests| records[rests.base as usize].sha256);
        let is_missing = match &standing {
            Standing::Missing(missing) => {
                base.is_some_and(|base| missing.iter().any(|one| one.sha256 == base))
            }
            _ => false,
        };
        let mut bytes = vec![0; (range.end - range.start) as usize];
        match file.read_exact_at(&mut bytes, range.start) {
            Ok(()) => {
                let expected = &content[range.start as usize..range.end as usize];
                assert!(bytes == expected, "{name}: wrong bytes in {range:?}");
                assert!(
                    !(is_new && is_missing),
                    "{name}: {range:?} came from where?"
                );
            }
            Err(e) => {
                assert_eq!(e.raw_os_error(), Some(libc::EIO), "{name}: {e}");
                let may_fail = is_missing || base.is_some() && standing == Standing::Unsure;
                assert!(
                    may_fail,
                    "{name}: {range:?} rests on nothing that is missing: {e}"
                );
            }
        }
    }
}

/// Reads all names through a mount of their own: exactly what is missing is, and that is told.
pub fn check_all(store: &Store) {
    let log = store.beside("log-of-all");
    let mountpoint = store.beside("mnt");
    let mut command = weightfs();
    command
        .arg("mount")
        .args([&store.path, &mountpoint])
        .stderr(Stdio::from(File::create(&log).unwrap()));
    let mount = Mount::spawn(command, &mountpoint, LIMIT);
    for name in store.names.keys() {
        check_whole(&mountpoint, store, name, true);
    }
    mount.stop();
    let log = fs::read_to_string(&log).unwrap();
    assert!(!log.contains("panicked"), "{log}");
    for name in store.names.keys() {
        let archive = store.file(name, Form::Archive);
        if store.forms(name) == [Form::Archive]
            && let Standing::Missing(missing) = store.standing(&archive, &[])
        {
            let is_told = |line: &str| {
                line.contains(&text(&archive))
                    && missing
                        .iter()
                        .any(|one| line.contains(&hex(&one.sha256)) && line.contains(&one.name))
                    && line.contains("--bases DIR")
            };
            assert!(log.lines().any(is_told), "{name}: {missing:?} {log}");
        }
    }
}
