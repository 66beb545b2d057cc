//! What is listed of a directory is what is in it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirEntry, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirEntryExt, MetadataExt, symlink};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Dir, FileType, XattrFlags, removexattr, setxattr};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::support::{Mount, Place, model};
use super::writable;

/// Many times what the kernel and the C library ask for at once.
const FILES: usize = 3000;
/// Of files that are shown as they are.
const MARK: &str = "user.weightfs.as-it-is";

fn place() -> (Place, Mount) {
    let place = Place::new();
    let below = place.source.join("d");
    fs::create_dir(&below).unwrap();
    for number in 0..FILES {
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
    let (place, mount) = place();
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
    let (place, mount) = place();
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
    agree();
    // By now all is known.
    agree();
    for number in 0..FILES / 2 {
        let path = shown.join(number.to_string());
        fs::remove_file(&path).unwrap();
        match number % 5 {
            // File systems give the next one the number of the one that is gone.
            0 => fs::create_dir(path).unwrap(),
            1 => fs::write(path, b"another").unwrap(),
            2 => fs::rename(shown.join((FILES / 2 + number).to_string()), path).unwrap(),
            3 => symlink("0", path).unwrap(),
            _ => fs::hard_link(shown.join((FILES - 1).to_string()), path).unwrap(),
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
    let expected =
        [("c", FileType::Directory), ("d", FileType::RegularFile)].map(|(name, kind)| {
            let found = fs::symlink_metadata(mount.path(name)).unwrap();
            (name.into(), (kind, found.ino()))
        });
    assert_eq!(told, BTreeMap::from(expected));
    drop(directory);
    mount.stop();
}

/// A name that cannot be looked at, since the daemon has no descriptor left, is an error and is not left out.
#[test]
fn what_cannot_be_listed_is_an_error() {
    let (_place, mount) = place();
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
    let (place, mount) = place();
    let shown = mount.path("d");
    let mut directory = Dir::read_from(File::open(&shown).unwrap()).unwrap();
    let mut count = || {
        directory.rewind();
        let entries = directory.by_ref().map(Result::unwrap);
        entries.count()
    };
    assert_eq!(count(), FILES + 2);
    fs::write(shown.join("new"), b"").unwrap();
    assert_eq!(count(), FILES + 3);
    fs::remove_file(place.source.join("d/0")).unwrap();
    assert_eq!(count(), FILES + 2);
    drop(directory);
    mount.stop();
}

/// As `rm -r` does it.
#[test]
fn all_that_is_listed_is_removed_while_others_list() {
    let (_place, mount) = place();
    let shown = mount.path("d");
    for (number, entry) in fs::read_dir(&shown).unwrap().enumerate() {
        fs::remove_file(entry.unwrap().path()).unwrap();
        if number % 500 == 0 {
            assert_eq!(names(&shown).len(), FILES - number - 1);
        }
    }
    fs::remove_dir(&shown).unwrap();
    mount.stop();
}
