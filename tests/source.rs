//! The source under a mount: what changes there while it is read, and what its files have beside their
//! bytes.
#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::fs::{XattrFlags, lgetxattr, lgetxattr_query, llistxattr, llistxattr_query, setxattr};
use support::{Mount, Place, model, ok, rounds, weightfs};

/// Nothing here takes that long.
const LIMIT: Duration = Duration::from_secs(600);
/// What the mount may remember of names, in seconds.
const TTLS: [&str; 3] = ["0", "1", "20"];

fn mount_with_ttl(place: &Place, ttl: &str) -> Mount {
    Mount::with(&place.source, &place.mountpoint, &["--ttl", ttl], LIMIT)
}

/// Has three threads look again and again, until `change` is done; gives how often they did.
fn look_during(look: impl Fn() + Sync, change: impl FnOnce()) -> u64 {
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let (done, looks) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    look();
                    looks.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // Also where it fails.
        let _done = Done(&done);
        change();
    });
    looks.into_inner()
}

/// All bytes of a file, whose length must be the one that it says.
fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    assert_eq!(bytes.len() as u64, len, "{}", path.display());
    Ok(bytes)
}

#[test]
fn a_name_is_never_missing_while_its_file_is_packed_and_unpacked_in_place() {
    for ttl in TTLS {
        let place = Place::new();
        let original = model(1, 1);
        for name in ["m.safetensors", "blobs/abc"] {
            let path = place.write(name, &original);
            setxattr(&path, "user.note", b"kept", XattrFlags::empty()).unwrap();
        }
        fs::create_dir(place.source.join("snapshots")).unwrap();
        let link = place.source.join("snapshots/model.safetensors");
        symlink("../blobs/abc", link).unwrap();
        let mount = mount_with_ttl(&place, ttl);
        let look = || {
            for name in ["m.safetensors", "blobs/abc", "snapshots/model.safetensors"] {
                let path = mount.path(name);
                let what = format!("ttl {ttl}, {name}");
                let meta = fs::metadata(&path).unwrap_or_else(|e| panic!("stat, {what}: {e}"));
                assert_eq!(meta.len(), original.len() as u64, "{what}");
                let read = read_whole(&path).unwrap_or_else(|e| panic!("read, {what}: {e}"));
                assert!(read == original, "{what}");
                let note = rustix::fs::getxattr(&path, "user.note", &mut [0u8; 16][..]);
                assert_eq!(note, Ok(4), "{what}");
            }
            let listed = fs::read_dir(mount.path("")).unwrap();
            let mut names = listed.map(|entry| entry.unwrap().file_name());
            assert!(names.any(|name| name == "m.safetensors"), "ttl {ttl}");
        };
        let looks = look_during(look, || {
            for _ in 0..rounds(6) {
                for command in ["pack", "unpack"] {
                    ok([
                        command.as_ref(),
                        "--replace".as_ref(),
                        place.source.as_os_str(),
                    ]);
                }
            }
        });
        eprintln!("ttl {ttl}: {looks} looks at 3 names each");
        mount.stop();
    }
}

/// Archives and files that are replaced by others, of another length, faster than a reader looks.
#[test]
fn whoever_opens_what_is_replaced_gets_one_or_the_other_whole() {
    let contents = [model(2, 1), model(3, 2)];
    for ttl in TTLS {
        let place = Place::new();
        let archives = ["first", "second"].map(|name| place.source.join(format!("{name}.wfz")));
        for (name, bytes) in ["first", "second"].iter().zip(&contents) {
            place.pack(name, bytes);
        }
        let replace = |round: usize| {
            let temporary = place.root.path().join("temporary");
            for (name, bytes) in [
                ("m.wfz", fs::read(&archives[round % 2]).unwrap()),
                ("plain", contents[round % 2].clone()),
            ] {
                fs::write(&temporary, bytes).unwrap();
                fs::rename(&temporary, place.source.join(name)).unwrap();
            }
        };
        replace(0);
        let mount = mount_with_ttl(&place, ttl);
        let look = || {
            for name in ["m", "plain"] {
                let path = mount.path(name);
                let what = format!("ttl {ttl}, {name}");
                let meta = fs::metadata(&path).unwrap_or_else(|e| panic!("stat, {what}: {e}"));
                let lengths = contents.each_ref().map(|bytes| bytes.len() as u64);
                assert!(lengths.contains(&meta.len()), "{what}");
                let read = read_whole(&path).unwrap_or_else(|e| panic!("read, {what}: {e}"));
                assert!(contents.contains(&read), "{what}: {} bytes", read.len());
                let listed = llistxattr(&path, &mut [0u8; 4096][..]);
                assert!(listed.is_ok(), "{what}: {listed:?}");
            }
        };
        let looks = look_during(look, || {
            for round in 0..rounds(200) {
                replace(round as usize);
                // As many as a thousand in some seconds.
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        eprintln!("ttl {ttl}: {looks} looks at 2 names each");
        mount.stop();
    }
}

/// The attributes that a copy would have, asked for as rsync does: first how long, then for as much.
fn attributes(path: &Path) -> Vec<(String, Vec<u8>)> {
    let len = llistxattr_query(path).unwrap();
    let mut list = vec![0u8; len];
    assert_eq!(
        llistxattr(path, &mut list[..]),
        Ok(len),
        "{}",
        path.display()
    );
    let names = list
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty());
    names
        .map(|name| {
            let name = OsString::from_vec(name.to_vec()).into_string().unwrap();
            let len = lgetxattr_query(path, &name).unwrap();
            let mut value = vec![0u8; len];
            assert_eq!(lgetxattr(path, &name, &mut value[..]), Ok(len), "{name}");
            (name, value)
        })
        .collect()
}

#[test]
fn attributes_of_the_source_are_shown_and_copied_and_ours_are_not() {
    use rustix::io::Errno;
    let place = Place::new();
    let original = model(4, 2);
    let archive = place.pack("m.safetensors", &original);
    let plain = place.write("d/plain", b"plain");
    let directory = place.source.join("d");
    let long = vec![b'v'; 300];
    for path in [&archive, &plain, &directory, &place.source] {
        setxattr(path, "user.note", b"hi", XattrFlags::empty()).unwrap();
        setxattr(path, "user.empty", b"", XattrFlags::empty()).unwrap();
        setxattr(path, "user.long", &long, XattrFlags::empty()).unwrap();
        // What an earlier copy took along tells of something else.
        setxattr(path, "user.weightfs.ratio", b"9", XattrFlags::empty()).unwrap();
    }
    symlink("m.safetensors", place.source.join("link")).unwrap();
    let expected = [
        ("user.empty".to_owned(), Vec::new()),
        ("user.long".to_owned(), long.clone()),
        ("user.note".to_owned(), b"hi".to_vec()),
    ];
    let mount = place.mount();
    let all = ["", "m.safetensors", "d", "d/plain"];
    let read = || drop(fs::read(mount.path("m.safetensors")).unwrap());
    let looks = look_during(read, || {
        for _ in 0..rounds(100) {
            for name in all {
                let mut found = attributes(&mount.path(name));
                found.sort();
                assert_eq!(found, expected, "{name}");
            }
            assert_eq!(attributes(&mount.path("link")), []);
        }
    });
    eprintln!("{looks} reads meanwhile");

    // Too little room, names that are not there, and prefixes that are not ours to answer for.
    for name in all {
        let path = mount.path(name);
        let get = |name: &str| lgetxattr(&path, name, &mut [0u8; 1][..]);
        assert_eq!(get("user.note"), Err(Errno::RANGE), "{name}");
        assert_eq!(llistxattr(&path, &mut [0u8; 1][..]), Err(Errno::RANGE));
        for none in ["user.none", "user.weightfs.none", "trusted.x", "security.x"] {
            assert_eq!(get(none), Err(Errno::NODATA), "{none} of {name}");
        }
    }
    assert_eq!(
        lgetxattr(
            mount.path("d/plain"),
            "user.weightfs.ratio",
            &mut [0u8; 9][..]
        ),
        Err(Errno::NODATA)
    );
    // Who asks how long the statistics are gets them in that, however much was read since.
    let stats = "user.weightfs.stats";
    let len = lgetxattr_query(mount.path(""), stats).unwrap();
    read();
    assert!(lgetxattr(mount.path(""), stats, &mut vec![0u8; len][..]).unwrap() <= len);

    let copy = place.root.path().join("copy");
    let done = Command::new("cp")
        .arg("-a")
        .args([&mount.mountpoint, &copy])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && said.is_empty(), "{said}");
    for name in all {
        let mut found = attributes(&copy.join(name));
        found.sort();
        assert_eq!(found, expected, "{name}");
    }
    mount.stop();
}

/// Starts a mount and gives what it logs, a line at a time.
fn mount_with_log(source: &Path, mountpoint: &Path) -> (Mount, impl FnMut(&str)) {
    let mut command = weightfs();
    command
        .arg("mount")
        .args([source, mountpoint])
        .stderr(Stdio::piped());
    let mut mount = Mount::spawn(command, mountpoint, Duration::from_secs(120));
    let mut lines = BufReader::new(mount.take_stderr()).lines();
    let wait_for = move |text: &str| {
        let mut seen = Vec::new();
        for line in lines.by_ref() {
            let line = line.unwrap();
            if line.contains(text) {
                return;
            }
            seen.push(line);
        }
        panic!("{text:?} is not among {seen:?}");
    };
    (mount, wait_for)
}

#[test]
fn a_source_that_is_another_directory_now_is_told_and_shown_on() {
    let place = Place::new();
    place.write("f", b"first");
    let other = place.root.path().join("other");
    let current = place.root.path().join("current");
    symlink(&place.source, &current).unwrap();
    let (mount, mut wait_for) = mount_with_log(&current, &place.mountpoint);
    let changed = || {
        let stats = ok(["stats", mount.mountpoint.to_str().unwrap(), "--json"]);
        support::json(&stats)["source_changed"].as_bool().unwrap()
    };
    assert!(!changed());

    // Renamed away.
    fs::rename(&place.source, &other).unwrap();
    wait_for("cannot be found any more");
    assert!(changed());
    assert_eq!(fs::read(mount.path("f")).unwrap(), b"first");
    // Another one in its place.
    fs::create_dir(&place.source).unwrap();
    wait_for("is another directory now");
    assert_eq!(fs::read(mount.path("f")).unwrap(), b"first");
    fs::remove_dir(&place.source).unwrap();
    fs::rename(&other, &place.source).unwrap();
    wait_for("is the directory again");
    assert!(!changed());
    // The link leads elsewhere.
    fs::create_dir(&other).unwrap();
    fs::remove_file(&current).unwrap();
    symlink(&other, &current).unwrap();
    wait_for("is another directory now");
    assert!(changed());
    mount.stop();
}

/// A source that is mounted after the mount, which would be empty for ever.
#[test]
fn a_source_that_something_is_mounted_over_is_told() {
    let place = Place::new();
    let (mount, mut wait_for) = mount_with_log(&place.source, &place.mountpoint);
    if rustix::process::geteuid().is_root() {
        let run = |arguments: &[&str]| {
            let done = Command::new(arguments[0]).args(&arguments[1..]).status();
            assert!(done.unwrap().success(), "{arguments:?}");
        };
        let source = place.source.to_str().unwrap();
        run(&["mount", "-t", "tmpfs", "none", source]);
        wait_for("is another directory now");
        run(&["umount", source]);
        wait_for("is the directory again");
    }
    // Our own mount there is not looked into, and no news.
    let over = place.root.path().join("over");
    fs::create_dir(&over).unwrap();
    let itself = Mount::start(&over, &over);
    itself.stop();
    mount.stop();
}
