//! What is listed of a directory is what is in it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, DirEntry, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirEntryExt, MetadataExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{Dir, FileType, RawDir, SeekFrom, XattrFlags, removexattr, setxattr};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::strace::Strace;
use super::support::{Mount, Place, model};
use super::writable;

/// Many times what the kernel and the C library ask for at once.
const FILES: usize = 3000;
/// Few enough for the kernel to keep the listing.
const FEW_FILES: usize = 120;
/// A directory that has not changed for so long is listed once: its times are no more exact.
const SETTLED: Duration = Duration::from_millis(50);
/// Of files that are shown as they are.
const MARK: &str = "user.weightfs.as-it-is";

fn place(files: usize) -> (Place, Mount) {
    let place = Place::new();
    let below = place.source.join("d");
    fs::create_dir(&below).unwrap();
    for number in 0..files {
        fs::write(below.join(number.to_string()), b"").unwrap();
    }
    let mount = writable(&place.source, &place.mountpoint);
    (place, mount)
}

fn names(directory: &Path) -> BTreeSet<OsString> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name()).collect()
}

#[test]
fn whoever_changes_a_directory_it_is_listed_as_it_is() {
    listed_as_it_is(FILES);
}

#[test]
fn whoever_changes_a_directory_that_the_kernel_keeps_it_is_listed_as_it_is() {
    listed_as_it_is(FEW_FILES);
}

fn listed_as_it_is(files: usize) {
    let (place, mount) = place(files);
    let (below, shown) = (place.source.join("d"), mount.path("d"));
    type Change = fn(&Path);
    let changes: [(&str, Change); 6] = [
        ("made", |d| fs::write(d.join("new"), b"new").unwrap()),
        ("renamed", |d| {
            fs::rename(d.join("new"), d.join("newer")).unwrap();
        }),
        ("a directory", |d| fs::create_dir(d.join("e")).unwrap()),
        ("removed", |d| fs::remove_file(d.join("newer")).unwrap()),
        ("removed too", |d| fs::remove_dir(d.join("e")).unwrap()),
        ("another one", |d| fs::remove_file(d.join("7")).unwrap()),
    ];
    for by in [&shown, &below] {
        fs::write(below.join("7"), b"").unwrap();
        for (what, change) in changes {
            std::thread::sleep(SETTLED);
            names(&shown);
            names(&shown);
            change(by);
            assert_eq!(names(&shown), names(&below), "{what} by {by:?}");
        }
    }
    // What shows an archive hangs on more than its name.
    let archive = place.pack("m", &model(1, 1));
    fs::rename(archive, below.join("m.wfz")).unwrap();
    for is_as_it_is in [false, true, false] {
        let archive = below.join("m.wfz");
        match is_as_it_is {
            true => setxattr(&archive, MARK, b"1", XattrFlags::empty()).unwrap(),
            false => drop(removexattr(&archive, MARK)),
        }
        // Names may be remembered for as long.
        std::thread::sleep(Duration::from_millis(1100));
        let name = if is_as_it_is { "m.wfz" } else { "m" };
        let names = names(&shown);
        let archives = names
            .iter()
            .filter(|name| name.as_encoded_bytes()[0] == b'm');
        assert_eq!(archives.collect::<Vec<_>>(), [name]);
    }
    mount.stop();
}

/// What an entry says of a file is what a look at it says, whether the kernel has looked at it already (then it is listed
/// without) or not, and whatever came in the place of what it has looked at.
#[test]
fn what_is_listed_is_what_is_found() {
    found_as_listed(FILES);
}

#[test]
fn what_the_kernel_lists_is_what_is_found() {
    found_as_listed(FEW_FILES);
}

fn found_as_listed(files: usize) {
    let (place, mount) = place(files);
    let (below, shown) = (place.source.join("d"), mount.path("d"));
    let agree = || {
        let entries: Vec<_> = fs::read_dir(&shown).unwrap().map(Result::unwrap).collect();
        let told: BTreeSet<_> = entries.iter().map(DirEntry::file_name).collect();
        assert_eq!(told.len(), entries.len());
        assert_eq!(told, names(&below));
        for entry in &entries {
            let found = fs::symlink_metadata(entry.path()).unwrap();
            assert_eq!(entry.ino(), found.ino(), "{entry:?}");
            assert_eq!(entry.file_type().unwrap(), found.file_type(), "{entry:?}");
        }
    };
    std::thread::sleep(SETTLED);
    agree();
    // By now all is known.
    agree();
    for number in 0..files / 2 {
        let path = shown.join(number.to_string());
        fs::remove_file(&path).unwrap();
        match number % 5 {
            // File systems give the next one the number of the one that is gone.
            0 => fs::create_dir(path).unwrap(),
            1 => fs::write(path, b"another").unwrap(),
            2 => fs::rename(shown.join((files / 2 + number).to_string()), path).unwrap(),
            3 => symlink("0", path).unwrap(),
            _ => fs::hard_link(shown.join((files - 1).to_string()), path).unwrap(),
        }
    }
    agree();
    agree();
    // What was an archive may get the number of what was removed.
    place.pack("m", &model(1, 1));
    fs::rename(place.source.join("m.wfz"), below.join("m.wfz")).unwrap();
    let found = |name: &str| fs::metadata(shown.join(name)).unwrap();
    assert_eq!(found("m").len(), model(1, 1).len() as u64);
    fs::remove_file(shown.join("1")).unwrap();
    let archived = File::options().append(true).open(shown.join("m"));
    archived.unwrap().write_all(b"x").unwrap();
    let listed = fs::read_dir(&shown).unwrap().map(Result::unwrap);
    let listed = listed.filter(|entry| entry.file_name() == "m");
    let numbers: Vec<_> = listed.map(|entry| entry.ino()).collect();
    assert_eq!(numbers, [found("m").ino()]);
    agree();
    // Behind the mount as well, of what nobody has looked at.
    fs::remove_file(below.join("6")).unwrap();
    fs::write(below.join("behind"), b"").unwrap();
    agree();
    mount.stop();
}

/// Who has opened a directory is told what is in it when it is read, as far as it is changed by way of the mount.
#[test]
fn what_a_listing_tells_is_no_older_than_the_question() {
    let place = Place::new();
    for name in ["a", "b", "c", "d"] {
        fs::write(place.source.join(name), b"").unwrap();
    }
    let mount = writable(&place.source, &place.mountpoint);
    for name in ["a", "b", "c", "d"] {
        fs::symlink_metadata(mount.path(name)).unwrap();
    }
    let mut directory = Dir::new(File::open(&mount.mountpoint).unwrap()).unwrap();
    fs::remove_file(mount.path("a")).unwrap();
    fs::rename(mount.path("b"), mount.path("z")).unwrap();
    fs::rename(mount.path("c"), mount.path("y")).unwrap();
    fs::create_dir(mount.path("c")).unwrap();
    let told: BTreeMap<_, _> = directory
        .by_ref()
        .map(Result::unwrap)
        .filter(|entry| !entry.file_name().to_bytes().starts_with(b"."))
        .map(|entry| {
            let name = OsStr::from_bytes(entry.file_name().to_bytes()).to_os_string();
            (name, (entry.file_type(), entry.ino()))
        })
        .collect();
    // What has come since may be among it, and all that is must be as it is now.
    for (name, (kind, inode)) in &told {
        let found = fs::symlink_metadata(mount.path(name.to_str().unwrap())).unwrap();
        let is_directory = *kind == FileType::Directory;
        assert_eq!(
            (is_directory, *inode),
            (found.is_dir(), found.ino()),
            "{name:?}"
        );
    }
    assert!(
        ["c", "d"]
            .map(OsStr::new)
            .iter()
            .all(|name| told.contains_key(*name))
    );
    drop(directory);
    mount.stop();
}

/// A name that cannot be looked at, since the daemon has no descriptor left, is an error and is not left out.
#[test]
fn what_cannot_be_listed_is_an_error() {
    let (_place, mount) = place(FILES);
    let shown = mount.path("d");
    let pid = Pid::from_raw(mount.pid().cast_signed());
    let limit = |current| {
        let new = Rlimit {
            current,
            maximum: Some(1024),
        };
        prlimit(pid, Resource::Nofile, new).unwrap()
    };
    let mut entries = fs::read_dir(&shown).unwrap();
    entries.next().unwrap().unwrap();
    let before = limit(Some(3));
    let failed = entries.find_map(Result::err);
    limit(before.current.map(|current| current.min(1024)));
    assert_eq!(failed.unwrap().raw_os_error(), Some(libc::EMFILE));
    drop(entries);
    assert_eq!(names(&shown).len(), FILES);
    mount.stop();
}

#[test]
fn who_begins_a_listing_anew_sees_what_has_changed() {
    let (place, mount) = place(FILES);
    let mut directory = Dir::read_from(File::open(mount.path("d")).unwrap()).unwrap();
    assert_eq!(count(&mut directory), FILES + 2);
    fs::write(mount.path("d/new"), b"").unwrap();
    assert_eq!(count(&mut directory), FILES + 3);
    fs::remove_file(place.source.join("d/0")).unwrap();
    assert_eq!(count(&mut directory), FILES + 2);
    drop(directory);
    mount.stop();
}

/// The kernel reads what it keeps as long as a directory is open, unless the mount changes it, or the daemon says so.
#[test]
fn who_begins_a_listing_anew_that_the_kernel_keeps_sees_what_has_changed() {
    let (place, mount) = place(FEW_FILES);
    std::thread::sleep(SETTLED);
    let directory = File::open(mount.path("d")).unwrap();
    let mut buffer = Vec::with_capacity(1 << 15);
    let mut count = || {
        rustix::fs::seek(&directory, SeekFrom::Start(0)).unwrap();
        told(&directory, &mut buffer, FEW_FILES * 2).len()
    };
    for _ in 0..3 {
        assert_eq!(count(), FEW_FILES + 2);
    }
    fs::write(mount.path("d/new"), b"").unwrap();
    assert_eq!(count(), FEW_FILES + 3);
    fs::remove_file(place.source.join("d/0")).unwrap();
    let removed = Instant::now();
    while count() != FEW_FILES + 2 {
        assert!(removed.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(directory);
    mount.stop();
}

/// What was opened before something changed, and is read after that, is not kept as what is there.
#[test]
fn what_has_changed_since_a_directory_was_opened_is_kept_as_it_is() {
    let (place, mount) = place(FEW_FILES);
    std::thread::sleep(SETTLED);
    let mut buffer = Vec::with_capacity(1 << 15);
    for (number, by) in [mount.path("d"), place.source.join("d")].iter().enumerate() {
        let directory = File::open(mount.path("d")).unwrap();
        fs::write(by.join(format!("new{number}")), b"").unwrap();
        let mut count = || {
            rustix::fs::seek(&directory, SeekFrom::Start(0)).unwrap();
            told(&directory, &mut buffer, FEW_FILES * 2).len()
        };
        count();
        assert_eq!(count(), FEW_FILES + 3 + number);
        std::thread::sleep(SETTLED);
        assert_eq!(names(&mount.path("d")).len(), FEW_FILES + 1 + number);
    }
    mount.stop();
}

/// Names as they are told from where a directory is read, at least as many as are asked for if there are.
fn told(directory: &File, buffer: &mut Vec<u8>, most: usize) -> Vec<CString> {
    let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
    let mut told = Vec::new();
    // What has been read into the buffer is told to its end.
    while told.len() < most || !entries.is_buffer_empty() {
        let Some(entry) = entries.next() else { break };
        told.push(entry.unwrap().file_name().to_owned());
    }
    told
}

/// Who has read half of what the kernel keeps goes on in that half, and not in what others have the kernel keep by then.
#[test]
fn who_goes_on_with_a_listing_misses_no_name() {
    for by_mount in [true, false] {
        let (place, mount) = place(FEW_FILES);
        let shown = mount.path("d");
        std::thread::sleep(SETTLED);
        let directory = File::open(&shown).unwrap();
        let mut buffer = Vec::with_capacity(512);
        assert_eq!(
            told(&directory, &mut buffer, FEW_FILES * 2).len(),
            FEW_FILES + 2
        );
        rustix::fs::seek(&directory, SeekFrom::Start(0)).unwrap();
        let mut names_told = told(&directory, &mut buffer, FEW_FILES / 2);
        assert!(names_told.len() < FEW_FILES);
        let by = if by_mount {
            shown.clone()
        } else {
            place.source.join("d")
        };
        // First of all, so that what comes after it moves on.
        fs::write(by.join("!"), b"").unwrap();
        std::thread::sleep(SETTLED);
        for _ in 0..3 {
            assert_eq!(names(&shown).len(), FEW_FILES + 1);
        }
        names_told.extend(told(&directory, &mut buffer, FEW_FILES * 2));
        names_told.retain(|name| !name.to_bytes().starts_with(b".") && name.to_bytes() != b"!");
        let all: BTreeSet<_> = names_told.iter().collect();
        assert_eq!((all.len(), names_told.len()), (FEW_FILES, FEW_FILES));
        drop(directory);
        mount.stop();
    }
}

fn count(directory: &mut Dir) -> usize {
    directory.rewind();
    let entries = directory.by_ref().map(Result::unwrap);
    entries.count()
}

/// As `rm -r` does it.
#[test]
fn all_that_is_listed_is_removed_while_others_list() {
    removed_while_listed(FILES, 500);
}

#[test]
fn all_that_the_kernel_lists_is_removed_while_others_list() {
    removed_while_listed(FEW_FILES, 10);
}

fn removed_while_listed(files: usize, step: usize) {
    let (_place, mount) = place(files);
    let shown = mount.path("d");
    std::thread::sleep(SETTLED);
    names(&shown);
    for (number, entry) in fs::read_dir(&shown).unwrap().enumerate() {
        fs::remove_file(entry.unwrap().path()).unwrap();
        if number % step == 0 {
            assert_eq!(names(&shown).len(), files - number - 1);
        }
    }
    fs::remove_dir(&shown).unwrap();
    mount.stop();
}

/// Who lists a directory again within moments has it from the kernel: nobody lists it below.
#[test]
fn a_listing_is_kept_by_the_kernel() {
    let (place, mount) = place(FEW_FILES);
    let shown = mount.path("d");
    std::thread::sleep(SETTLED);
    let strace = Strace::attach(&mount, &place, &["-e", "trace=getdents64"]);
    for _ in 0..10 {
        assert_eq!(names(&shown).len(), FEW_FILES);
    }
    mount.stop();
    let listings = strace
        .trace()
        .lines()
        .filter(|line| line.contains("= 0"))
        .count();
    assert!((1..=3).contains(&listings), "{listings}");
}

/// Names that are there all the time are in each listing, once, whatever comes and goes beside them, in whatever pieces it
/// is read.
#[test]
fn no_name_is_missed_or_told_twice_while_others_come_and_go() {
    const READERS: usize = 4;
    let (place, mount) = place(FEW_FILES);
    let (below, shown) = (place.source.join("d"), mount.path("d"));
    let end = Instant::now() + Duration::from_secs(5);
    let change = |directory: &Path, pause: u64| {
        let mut number = 0;
        while Instant::now() < end {
            let name = directory.join(format!("{}-{pause}-{number}", number % 97));
            fs::write(&name, b"").unwrap();
            std::thread::sleep(Duration::from_millis(pause));
            fs::remove_file(&name).unwrap();
            number += 1;
        }
    };
    let read = |reader: usize| {
        let mut listings = 0_u32;
        let mut buffer = Vec::with_capacity(128 << reader);
        while Instant::now() < end {
            let directory = File::open(&shown).unwrap();
            for pass in 0..3 {
                rustix::fs::seek(&directory, SeekFrom::Start(0)).unwrap();
                let mut told = BTreeMap::new();
                let mut entries = RawDir::new(&directory, buffer.spare_capacity_mut());
                while let Some(entry) = entries.next() {
                    let name = entry.unwrap().file_name().to_owned();
                    *told.entry(name).or_insert(0) += 1;
                    // Long enough for others to list what has changed meanwhile, and for the kernel to keep that.
                    if reader == 0 && pass > 0 && told.len() == FEW_FILES / 2 {
                        std::thread::sleep(Duration::from_millis(100));
                    }
                }
                let twice = told.iter().find(|(_, times)| **times > 1);
                assert_eq!(twice, None);
                for number in 0..FEW_FILES {
                    let name = CString::new(number.to_string()).unwrap();
                    assert!(told.contains_key(&name), "{number} of {}", told.len());
                }
                listings += 1;
            }
        }
        listings
    };
    std::thread::scope(|scope| {
        scope.spawn(|| change(&shown, 61));
        scope.spawn(|| change(&below, 83));
        let readers: Vec<_> = (0..READERS)
            .map(|reader| scope.spawn(move || read(reader)))
            .collect();
        for reader in readers {
            assert!(reader.join().unwrap() > 10);
        }
    });
    mount.stop();
}
