//! Names that change under those who hold what they name.

use std::ffi::CString;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, RenameFlags, openat, renameat_with, statat, unlinkat,
};

use super::support::{Place, model};
use super::{place, writable};

/// Files that are made by way of a directory that somebody else renames all the time.
const FILES: usize = 1500;

#[test]
fn what_is_made_in_a_directory_is_in_it_whatever_name_that_has() {
    let place = Place::new();
    for name in ["one", "other"] {
        fs::create_dir(place.source.join(name)).unwrap();
    }
    let mount = writable(&place.source, &place.mountpoint);
    let (one, other) = (mount.path("one"), mount.path("other"));
    let directory = File::open(&one).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).unwrap();
            }
        });
        let work = || {
            for number in 0..FILES {
                let name = CString::new(format!("f{number}")).unwrap();
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
                openat(&directory, &name, flags, Mode::RUSR)?;
                statat(&directory, &name, AtFlags::empty())?;
                unlinkat(&directory, &name, AtFlags::empty())?;
            }
            Ok(())
        };
        let worked: rustix::io::Result<()> = work();
        done.store(true, Ordering::Relaxed);
        worked.unwrap();
    });
    for path in [&one, &other] {
        assert_eq!(fs::read_dir(path).unwrap().count(), 0, "{path:?}");
    }
    drop(directory);
    mount.stop();
}

#[test]
fn a_file_gets_another_name_though_it_has_lost_the_one_it_was_found_by_last() {
    let (place, mount) = place();
    for (first, more) in [
        ("plain.txt", ["b", "c"]),
        ("dir/model.safetensors", ["d", "e"]),
    ] {
        let [second, third] = more;
        fs::hard_link(mount.path(first), mount.path(second)).unwrap();
        fs::metadata(mount.path(first)).unwrap();
        fs::metadata(mount.path(second)).unwrap();
        fs::remove_file(mount.path(second)).unwrap();
        fs::hard_link(mount.path(first), mount.path(third)).unwrap();
        assert_eq!(fs::metadata(mount.path(third)).unwrap().nlink(), 2);
    }
    assert_eq!(fs::read(place.source.join("c")).unwrap(), b"plain");
    assert!(fs::read(mount.path("e")).unwrap() == model(1, 1));
    mount.stop();
}

/// A link to an archive, which is named as one below, where its new name leaves no room for that.
#[test]
fn links_to_archives_are_renamed_as_all_links_are() {
    let place = Place::new();
    place.pack("m", &model(1, 1));
    place.write("plain", b"plain");
    for name in ["a.wfz", "b.wfz", "c.wfz"] {
        symlink("m.wfz", place.source.join(name)).unwrap();
    }
    let mount = writable(&place.source, &place.mountpoint);
    let leads_to_m = |name: &str| {
        assert_eq!(
            fs::read_link(mount.path(name)).unwrap().as_os_str(),
            "m",
            "{name}"
        );
        assert!(fs::read(mount.path(name)).unwrap() == model(1, 1), "{name}");
    };
    for name in ["a", "b", "c"] {
        leads_to_m(name);
    }
    let long = "n".repeat(253);
    fs::rename(mount.path("a"), mount.path(&long)).unwrap();
    leads_to_m(&long);
    let (b, plain) = (mount.path("b"), mount.path("plain"));
    renameat_with(CWD, &b, CWD, &plain, RenameFlags::EXCHANGE).unwrap();
    assert_eq!(fs::read(&b).unwrap(), b"plain");
    leads_to_m("plain");
    // Its name below is free then.
    fs::write(mount.path("c.wfz"), b"other").unwrap();
    leads_to_m("c");
    assert_eq!(fs::read(mount.path("c.wfz")).unwrap(), b"other");
    mount.stop();
}
