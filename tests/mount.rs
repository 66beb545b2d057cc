//! Mounts: what programs see through the kernel.
#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use support::ordinary_user::{OrdinaryUser, copy_program};
use support::{Mount, Place, is_mounted, model, noise, ok, run, signal, umount, weightfs};

#[test]
fn a_model_reads_the_same_by_read_mmap_and_direct_io() {
    let place = Place::new();
    let original = model(1, 24);
    place.pack("model.safetensors", &original);
    let mount = place.mount();
    let path = mount.path("model.safetensors");
    assert!(fs::read(&path).unwrap() == original);

    let file = File::open(&path).unwrap();
    let meta = file.metadata().unwrap();
    assert_eq!((meta.size(), meta.blksize()), (original.len() as u64, 4096));
    assert!(shared_map(&file)[..] == original[..]);
    assert!(private_map(&file)[..] == original[..]);

    // Past the page cache, aligned as O_DIRECT wants it; the last piece ends with the file.
    let direct = File::options()
        .read(true)
        .custom_flags(libc::O_DIRECT)
        .open(&path)
        .unwrap();
    let mut buffer = vec![0u8; (1 << 20) + 4096];
    let skip = buffer.as_ptr().align_offset(4096);
    let buffer = &mut buffer[skip..skip + (1 << 20)];
    let mut at = 0;
    while at < original.len() {
        let read = direct.read_at(buffer, at as u64).unwrap();
        let expected = (original.len() - at).min(1 << 20);
        assert_eq!(read, expected, "no short read at {at}");
        assert!(buffer[..read] == original[at..at + read]);
        at += read;
    }
    drop((file, direct));
    mount.stop();
}

#[test]
fn random_reads_through_the_mount_equal_the_slice() {
    let place = Place::new();
    let original = model(2, 3);
    place.pack("m", &original);
    let mount = place.mount();
    let file = File::open(mount.path("m")).unwrap();
    let map = shared_map(&file);
    let strategy = (0..original.len() + 10_000, 0..600_000usize);
    TestRunner::new(Config::with_cases(400))
        .run(&strategy, |(offset, len)| {
            let expected = original.get(offset..).unwrap_or(&[]);
            let expected = &expected[..len.min(expected.len())];
            let mut buffer = vec![0; len];
            let read = read_at(&file, &mut buffer, offset as u64);
            prop_assert!(buffer[..read] == *expected);
            prop_assert!(map.get(offset..offset + expected.len()).unwrap_or(&[]) == expected);
            Ok(())
        })
        .unwrap();
    drop((map, file));
    mount.stop();
}

/// As many bytes as there are, in as many calls as it takes.
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> usize {
    let mut total = 0;
    while total < buffer.len() {
        match file
            .read_at(&mut buffer[total..], offset + total as u64)
            .unwrap()
        {
            0 => break,
            read => total += read,
        }
    }
    total
}

#[test]
fn sixteen_threads_read_random_ranges_without_a_wrong_byte_or_a_stall() {
    // WEIGHTFS_TEST_SECONDS makes it as long as one likes.
    let seconds = std::env::var("WEIGHTFS_TEST_SECONDS").map_or(10, |s| s.parse().unwrap());
    let place = Place::new();
    let original = model(3, 96);
    place.pack("m", &original);
    // A small cache, so that blocks come and go.
    let mount = Mount::with(
        &place.source,
        &place.mountpoint,
        &["--cache-size", "8M"],
        Duration::from_secs(seconds + 120),
    );
    let file = File::open(mount.path("m")).unwrap();
    let map = shared_map(&file);
    let (stop, slowest) = (
        AtomicBool::new(false),
        std::sync::Mutex::new(Duration::ZERO),
    );
    std::thread::scope(|scope| {
        for thread in 0..16u64 {
            let (file, map, stop, slowest, original) = (&file, &map, &stop, &slowest, &original);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(thread);
                let mut buffer = vec![0; 300_000];
                let mut reads = 0;
                while !stop.load(Ordering::Relaxed) {
                    let offset = random.usize(..original.len());
                    let len = random.usize(..buffer.len()).min(original.len() - offset);
                    let start = Instant::now();
                    if thread % 4 == 3 {
                        assert!(map[offset..offset + len] == original[offset..offset + len]);
                    } else {
                        let read = read_at(file, &mut buffer[..len], offset as u64);
                        assert!(buffer[..read] == original[offset..offset + len]);
                    }
                    let mut slowest = slowest.lock().unwrap();
                    *slowest = (*slowest).max(start.elapsed());
                    drop(slowest);
                    reads += 1;
                    if reads % 50 == 0 {
                        // So that reads keep coming to the daemon.
                        drop_pages(file);
                    }
                }
                assert!(reads > 0);
            });
        }
        std::thread::sleep(Duration::from_secs(seconds));
        stop.store(true, Ordering::Relaxed);
    });
    eprintln!("slowest of all reads: {:?}", slowest.into_inner().unwrap());
    drop((map, file));
    mount.stop();
}

#[test]
fn the_tree_is_shown_with_archives_under_their_own_names() {
    let place = Place::new();
    place.pack("a/model.safetensors", b"decoded");
    place.write("a/config.json", b"{}");
    place.write("a/both", b"plain");
    place.pack("a/both", b"packed");
    symlink("model.safetensors.wfz", place.source.join("a/link")).unwrap();
    symlink(
        place.source.join("a/config.json"),
        place.source.join("a/abs"),
    )
    .unwrap();
    let mount = place.mount();
    let mut names: Vec<_> = fs::read_dir(mount.path("a"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "abs",
            "both",
            "both.wfz",
            "config.json",
            "link",
            "model.safetensors"
        ]
    );
    for (name, bytes) in [
        ("model.safetensors", &b"decoded"[..]),
        ("config.json", b"{}"),
        ("both", b"plain"),
        ("link", b"decoded"),
        ("abs", b"{}"),
    ] {
        assert_eq!(
            fs::read(mount.path("a").join(name)).unwrap(),
            bytes,
            "{name}"
        );
    }
    assert_eq!(
        fs::canonicalize(mount.path("a/abs")).unwrap(),
        mount.path("a/config.json")
    );
    assert!(!mount.path("a/model.safetensors.wfz").exists());
    let free = Command::new("stat")
        .args(["-f", "-c", "%a"])
        .arg(&mount.mountpoint)
        .output()
        .unwrap();
    assert_ne!(String::from_utf8_lossy(&free.stdout).trim(), "0");
    // Many entries, more than one reply holds.
    for i in 0..3000 {
        fs::write(place.source.join(format!("file-with-a-long-name-{i}")), b"").unwrap();
    }
    assert_eq!(fs::read_dir(mount.path("")).unwrap().count(), 3001);
    mount.stop();
}

#[test]
fn the_layout_of_the_hub_cache_resolves_to_decoded_files() {
    let place = Place::new();
    let original = model(4, 1);
    place.write("raw/blobs/0123abcd", &original);
    place.write("raw/blobs/feed", b"{}");
    place.write("raw/refs/main", b"c0ffee");
    fs::create_dir_all(place.source.join("raw/snapshots/c0ffee")).unwrap();
    for (name, blob) in [("model.safetensors", "0123abcd"), ("config.json", "feed")] {
        let link = place.source.join("raw/snapshots/c0ffee").join(name);
        symlink(format!("../../blobs/{blob}"), link).unwrap();
    }
    let packed = place.root.path().join("packed");
    ok([
        "pack".as_ref(),
        place.source.join("raw").as_os_str(),
        "-o".as_ref(),
        packed.as_os_str(),
    ]);
    assert!(packed.join("blobs/0123abcd.wfz").exists() && packed.join("blobs/feed").exists());

    let read = |mount: &Mount, snapshot: &str| {
        let snapshot = mount.path(snapshot);
        assert!(fs::read(snapshot.join("model.safetensors")).unwrap() == original);
        assert_eq!(fs::read(snapshot.join("config.json")).unwrap(), b"{}");
    };
    let mount = Mount::start(&packed, &place.mountpoint);
    read(&mount, "snapshots/c0ffee");
    mount.stop();
    // With the link made to the archive, and with nothing mounted but the snapshot.
    let link = packed.join("snapshots/c0ffee/model.safetensors");
    fs::remove_file(&link).unwrap();
    symlink("../../blobs/0123abcd.wfz", &link).unwrap();
    let mount = Mount::start(&packed, &place.mountpoint);
    read(&mount, "snapshots/c0ffee");
    mount.stop();
    let mount = Mount::start(&packed.join("snapshots/c0ffee"), &place.mountpoint);
    read(&mount, "");
    mount.stop();
}

#[test]
fn every_write_is_refused_as_on_any_read_only_file_system() {
    let place = Place::new();
    place.pack("m", b"decoded");
    place.write("f", b"plain");
    let mount = place.mount();
    let refused = |result: std::io::Result<()>| {
        assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EROFS));
    };
    for name in ["m", "f"] {
        let path = mount.path(name);
        refused(File::options().write(true).open(&path).map(drop));
        refused(File::options().append(true).open(&path).map(drop));
        refused(fs::remove_file(&path));
        refused(fs::rename(&path, mount.path("other")));
        refused(fs::set_permissions(
            &path,
            fs::Permissions::from_mode(0o600),
        ));
        refused(fs::hard_link(&path, mount.path("other")));
        refused(
            File::open(&path)
                .unwrap()
                .set_modified(std::time::SystemTime::now()),
        );
    }
    refused(fs::write(mount.path("new"), b""));
    refused(fs::create_dir(mount.path("new")));
    refused(symlink("x", mount.path("new")));
    mount.stop();
    assert_eq!(fs::read_dir(&place.source).unwrap().count(), 2);
}

#[test]
fn what_changes_in_the_source_is_seen_and_open_files_keep_what_they_opened() {
    let place = Place::new();
    let (first, second) = (model(5, 2), model(6, 3));
    place.pack("m", &first);
    place.write("config", b"one");
    let mount = Mount::with(
        &place.source,
        &place.mountpoint,
        &["--ttl", "0"],
        Duration::from_secs(60),
    );
    let open = File::open(mount.path("m")).unwrap();
    let inode = open.metadata().unwrap().ino();
    assert_eq!(fs::read(mount.path("config")).unwrap(), b"one");

    place.pack("new", b"appeared");
    assert_eq!(fs::read(mount.path("new")).unwrap(), b"appeared");

    place.pack("m", &second);
    assert!(fs::read(mount.path("m")).unwrap() == second);
    assert_ne!(fs::metadata(mount.path("m")).unwrap().ino(), inode);
    drop_pages(&open);
    assert!(shared_map(&open)[..] == first[..]);
    assert_eq!(open.metadata().unwrap().ino(), inode);

    place.write("config", b"changed");
    assert_eq!(fs::read(mount.path("config")).unwrap(), b"changed");

    fs::remove_file(place.source.join("m.wfz")).unwrap();
    assert!(!mount.path("m").exists());
    drop_pages(&open);
    assert_eq!(read_at(&open, &mut vec![0; 1 << 20], 0), 1 << 20);
    drop(open);
    mount.stop();
}

#[test]
fn inode_numbers_and_times_stay_the_same_over_mounts() {
    let place = Place::new();
    place.pack("m", &model(7, 1));
    let look = || {
        let mount = place.mount();
        let meta = fs::metadata(mount.path("m")).unwrap();
        let seen = (meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec());
        let listed = fs::read_dir(mount.path(""))
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        assert_eq!(std::os::unix::fs::DirEntryExt::ino(&listed), meta.ino());
        // It keeps the directory open.
        drop(listed);
        mount.stop();
        seen
    };
    assert_eq!(look(), look());
}

#[test]
fn a_damaged_block_is_an_error_and_the_rest_reads_on() {
    let place = Place::new();
    let original = noise(8, 4 << 20);
    let archive = place.pack("m", &original);
    let file = File::options()
        .read(true)
        .write(true)
        .open(&archive)
        .unwrap();
    let middle = file.metadata().unwrap().len() / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, middle).unwrap();
    file.write_all_at(&[!byte[0]], middle).unwrap();
    place.write("broken.wfz", b"no archive");
    let mount = place.mount();
    let file = File::open(mount.path("m")).unwrap();
    let (mut good, mut bad) = (0, 0);
    let mut buffer = vec![0; 4096];
    for at in (0..original.len()).step_by(4096) {
        match file.read_at(&mut buffer, at as u64) {
            Ok(read) => {
                assert!(buffer[..read] == original[at..at + read]);
                good += 1;
            }
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(libc::EIO));
                bad += 1;
            }
        }
    }
    assert_eq!((good, bad), (1024 - 64, 64), "one block of 256 KiB is lost");
    let error = fs::read(mount.path("broken")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EIO));
    drop(file);
    mount.stop();
}

#[test]
fn an_archive_truncated_under_the_mount_costs_its_readers_an_error_and_nobody_else() {
    let place = Place::new();
    let original = noise(9, 8 << 20);
    let archive = place.pack("m", &original);
    place.pack("other", &original);
    let mount = Mount::with(
        &place.source,
        &place.mountpoint,
        &["--cache-size", "0"],
        Duration::from_secs(60),
    );
    let file = File::open(mount.path("m")).unwrap();
    assert_eq!(read_at(&file, &mut [0; 4096], 0), 4096);
    File::options()
        .write(true)
        .open(&archive)
        .unwrap()
        .set_len(2 << 20)
        .unwrap();
    let mut buffer = vec![0; 4096];
    assert_eq!(
        file.read_at(&mut buffer, 7 << 20)
            .unwrap_err()
            .raw_os_error(),
        Some(libc::EIO)
    );
    assert_eq!(file.read_at(&mut buffer, 1 << 20).unwrap(), 4096);
    assert!(buffer == original[1 << 20..(1 << 20) + 4096]);
    assert!(fs::read(mount.path("other")).unwrap() == original);
    drop(file);
    mount.stop();
}

#[test]
fn signals_and_umount_end_the_daemon_cleanly() {
    let place = Place::new();
    place.pack("m", b"decoded");
    for name in ["INT", "TERM", "HUP"] {
        let mount = place.mount();
        signal(mount.pid(), name);
        assert!(mount.wait().success());
        assert!(!is_mounted(&place.mountpoint));
    }
    let mount = place.mount();
    umount(&place.mountpoint);
    assert!(mount.wait().success());

    // With a file open: refused, then lazily; the reader can finish, then the daemon ends.
    let mount = place.mount();
    let mut open = File::open(mount.path("m")).unwrap();
    let (status, _, stderr) = run(["umount".as_ref(), place.mountpoint.as_os_str()]);
    assert_eq!(status, 2);
    assert!(
        stderr.contains("in use") && stderr.contains("--lazy"),
        "{stderr}"
    );
    signal(mount.pid(), "TERM");
    while is_mounted(&place.mountpoint) {
        std::thread::yield_now();
    }
    let mut bytes = Vec::new();
    open.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"decoded");
    drop(open);
    assert!(mount.wait().success());
}

#[test]
fn the_mount_of_a_killed_daemon_is_recovered_and_a_live_one_is_not_mounted_over() {
    let place = Place::new();
    place.pack("m", b"decoded");
    let mount = place.mount();
    let path = mount.path("m");
    mount.kill();
    assert!(is_mounted(&place.mountpoint));
    assert_eq!(
        fs::read(&path).unwrap_err().raw_os_error(),
        Some(libc::ENOTCONN)
    );
    let mount = place.mount();
    assert_eq!(fs::read(&path).unwrap(), b"decoded");
    let (status, _, stderr) = run([
        "mount".as_ref(),
        place.source.as_os_str(),
        place.mountpoint.as_os_str(),
    ]);
    assert_eq!(status, 2);
    assert!(stderr.contains("already"), "{stderr}");
    mount.stop();
    assert!(!is_mounted(&place.mountpoint));
}

#[test]
fn readers_of_a_killed_daemon_get_errors_and_the_next_one_serves_anew() {
    let place = Place::new();
    // Longer than what the kernel reads ahead.
    let original = noise(12, 32 << 20);
    place.pack("m", &original);
    let mount = place.mount();
    let path = mount.path("m");
    let file = File::open(&path).unwrap();
    let map = shared_map(&file);
    assert!(map[..4096] == original[..4096]);
    mount.kill();
    // What the kernel has, it still gives; the rest is an error, at once.
    assert!(map[..4096] == original[..4096]);
    let mut buffer = vec![0; 4096];
    let error = file.read_at(&mut buffer, 30 << 20).unwrap_err();
    let errno = error.raw_os_error();
    assert!(
        matches!(errno, Some(libc::ENOTCONN | libc::ECONNABORTED)),
        "{error}"
    );
    // Over the mount that is dead, but still in use.
    let mount = place.mount();
    assert!(fs::read(&path).unwrap() == original);
    assert!(file.read_at(&mut buffer, 30 << 20).is_err());
    drop((map, file));
    mount.stop();
}

#[test]
fn a_source_can_be_mounted_over_itself() {
    let place = Place::new();
    let original = model(10, 1);
    let archive = place.pack("m", &original);
    symlink(&archive, place.source.join("abs")).unwrap();
    let mount = Mount::start(&place.source, &place.source);
    for name in ["m", "abs"] {
        assert!(fs::read(place.source.join(name)).unwrap() == original);
    }
    assert!(!archive.exists());
    mount.stop();
    assert!(archive.exists());
}

#[test]
fn a_killed_mount_over_its_own_source_is_recovered() {
    let place = Place::new();
    place.pack("m", b"decoded");
    Mount::start(&place.source, &place.source).kill();
    let mount = Mount::start(&place.source, &place.source);
    assert_eq!(fs::read(place.source.join("m")).unwrap(), b"decoded");
    mount.stop();
}

#[test]
fn a_daemon_ends_its_own_mount_and_no_other() {
    let place = Place::new();
    place.pack("m", b"decoded");
    let first = place.mount();
    let open = File::open(first.path("m")).unwrap();
    ok([
        "umount".as_ref(),
        "--lazy".as_ref(),
        place.mountpoint.as_os_str(),
    ]);
    let second = place.mount();
    // It has nothing to unmount any more; the second signal ends it all the same.
    signal(first.pid(), "TERM");
    std::thread::sleep(Duration::from_millis(300));
    assert!(is_mounted(&place.mountpoint));
    signal(first.pid(), "TERM");
    assert_eq!(first.wait().code(), Some(2));
    drop(open);
    assert_eq!(fs::read(second.path("m")).unwrap(), b"decoded");
    second.stop();
}

#[test]
fn a_mount_point_may_be_reached_through_a_link() {
    let place = Place::new();
    place.pack("m", b"decoded");
    let link = place.root.path().join("link");
    symlink(&place.mountpoint, &link).unwrap();
    let mount = Mount::start(&place.source, &link);
    let (status, _, stderr) = run(["mount".as_ref(), place.source.as_os_str(), link.as_os_str()]);
    assert!(status == 2 && stderr.contains("already"), "{stderr}");
    umount(&link);
    assert!(mount.wait().success());
}

#[test]
fn the_daemon_outlives_whoever_reads_its_messages() {
    let place = Place::new();
    place.pack("m", b"decoded");
    for i in 0..3000 {
        place.write(&format!("broken{i}.wfz"), b"no archive");
    }
    let mut command = weightfs();
    command
        .args([
            "mount".as_ref(),
            place.source.as_os_str(),
            place.mountpoint.as_os_str(),
        ])
        .stderr(std::process::Stdio::piped());
    // The pipe stays open and full, and then is closed.
    let mut mount = Mount::spawn(command, &place.mountpoint, Duration::from_secs(60));
    for i in 0..3000 {
        assert!(fs::metadata(mount.path(format!("broken{i}"))).is_err());
    }
    assert_eq!(fs::read(mount.path("m")).unwrap(), b"decoded");
    mount.close_stderr();
    for i in 0..3000 {
        assert!(fs::metadata(mount.path(format!("broken{i}"))).is_err());
    }
    assert_eq!(fs::read(mount.path("m")).unwrap(), b"decoded");
    mount.stop();
}

#[test]
fn one_archive_can_be_mounted() {
    let place = Place::new();
    let archive = place.pack("m", b"decoded");
    let beside = place.source.join("mnt");
    fs::create_dir(&beside).unwrap();
    let mount = Mount::start(&archive, &beside);
    assert_eq!(fs::read(mount.path("m")).unwrap(), b"decoded");
    mount.stop();
    let mount = Mount::start(&archive, &place.mountpoint);
    assert_eq!(fs::read_dir(mount.path("")).unwrap().count(), 1);
    assert_eq!(fs::read(mount.path("m")).unwrap(), b"decoded");
    mount.stop();
}

/// Whoever mounts one archive knows its name, and need not be able to read those of others.
#[test]
fn one_archive_is_mounted_from_a_directory_that_may_only_be_searched() {
    if !rustix::process::geteuid().is_root() {
        // To others the mount's directory is as little readable as that of the source.
        return;
    }
    let place = Place::new();
    let archive = place.pack("m", b"decoded");
    OrdinaryUser::new().give(&[&place.source]);
    fs::set_permissions(&place.source, Permissions::from_mode(0o711)).unwrap();
    let mut command = Command::new("setpriv");
    let without = "-dac_override,-dac_read_search";
    command.args(["--inh-caps", without, "--bounding-set", without]);
    command.arg(weightfs().get_program()).arg("mount");
    command.args([&archive, &place.mountpoint]);
    let mount = Mount::spawn(command, &place.mountpoint, Duration::from_secs(60));
    let listed = fs::read_dir(&mount.mountpoint).unwrap();
    let names: Vec<_> = listed.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["m"]);
    mount.stop();
}

#[test]
fn an_ordinary_user_mounts_through_fusermount3_and_is_told_if_it_is_missing() {
    let place = Place::new();
    let original = model(11, 1);
    place.pack("m", &original);
    let program = place.root.path().join("weightfs");
    copy_program(&program);
    let user = OrdinaryUser::new();
    user.give(&[
        place.root.path(),
        &place.source,
        &place.mountpoint,
        &place.source.join("m.wfz"),
    ]);
    let mount_command = || {
        let mut command = user.command(&program);
        command.args([
            "mount".as_ref(),
            place.source.as_os_str(),
            place.mountpoint.as_os_str(),
        ]);
        command
    };
    let output = mount_command().env("PATH", "/nowhere").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains("fusermount3 is missing") && stderr.contains("fuse3"),
        "{stderr}"
    );

    assert!(
        Command::new("fusermount3").arg("-V").output().is_ok(),
        "this test needs fusermount3 (Debian: apt install fuse3)"
    );
    let mount = Mount::spawn(mount_command(), &place.mountpoint, Duration::from_secs(60));
    let copy = place.root.path().join("copy");
    let copied = user
        .command(Path::new("/bin/cp"))
        .arg(mount.path("m"))
        .arg(&copy)
        .output()
        .unwrap();
    assert!(
        copied.status.success(),
        "{}",
        String::from_utf8_lossy(&copied.stderr)
    );
    assert!(fs::read(&copy).unwrap() == original);
    let touched = user
        .command(Path::new("/bin/touch"))
        .arg(mount.path("new"))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&touched.stderr);
    assert!(stderr.contains("Read-only file system"), "{stderr}");
    // A dead mount of an ordinary user is recovered by that user.
    mount.kill();
    let mount = Mount::spawn(mount_command(), &place.mountpoint, Duration::from_secs(60));
    let unmounted = user
        .command(&program)
        .args(["umount".as_ref(), place.mountpoint.as_os_str()])
        .status()
        .unwrap();
    assert!(unmounted.success());
    assert!(mount.wait().success());
}

#[test]
fn the_supervisor_is_told_when_the_mount_answers_and_when_it_ends() {
    let place = Place::new();
    place.pack("m", b"decoded");
    let socket = place.root.path().join("notify");
    let supervisor = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    supervisor
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut command = weightfs();
    command
        .args([
            "mount".as_ref(),
            place.source.as_os_str(),
            place.mountpoint.as_os_str(),
        ])
        .env("NOTIFY_SOCKET", &socket);
    let mount = Mount::spawn(command, &place.mountpoint, Duration::from_secs(60));
    let mut buffer = [0; 500];
    let mut hear = || {
        let len = supervisor.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..len]).into_owned()
    };
    assert!(hear().starts_with("READY=1\n"));
    assert_eq!(fs::read(mount.path("m")).unwrap(), b"decoded");
    mount.stop();
    assert_eq!(hear(), "STOPPING=1");
}

#[test]
fn demo_does_the_whole_job_on_a_model_of_ones_own_and_cleans_up() {
    let place = Place::new();
    place.write("m/model.safetensors", &model(12, 4));
    place.write("m/config.json", b"{}");
    place.write("q/model.gguf", &support::gguf::quantized(12, 1));
    let work = place.root.path().join("tmp");
    fs::create_dir(&work).unwrap();
    for source in ["m", "m/model.safetensors", "q", "q/model.gguf"] {
        let output = weightfs()
            .arg("demo")
            .arg("--model")
            .arg(place.source.join(source))
            .env("TMPDIR", &work)
            .output()
            .unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{stdout}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(
            stdout.contains("identical") && stdout.contains("mmap, warm"),
            "{stdout}"
        );
        assert_eq!(fs::read_dir(&work).unwrap().count(), 0);
    }
}

/// Forgets what the kernel has cached of a file.
#[test]
fn the_mount_tells_what_it_has_done_and_files_what_they_are() {
    let place = Place::new();
    let original = support::model(6, 3);
    let archive = place.pack("m.safetensors", &original);
    let quantized = place.pack("q.gguf", &support::gguf::quantized(6, 1));
    place.write("plain", b"plain");
    let mount = place.mount();
    assert!(fs::read(mount.path("m.safetensors")).unwrap() == original);
    let stats: serde_json::Value =
        serde_json::from_str(&ok(["stats", mount.mountpoint.to_str().unwrap(), "--json"])).unwrap();
    let number = |path: &str| stats.pointer(path).unwrap().as_u64().unwrap();
    assert!(number("/reads/bytes") >= original.len() as u64);
    assert!(number("/memory_bytes") > 100_000);
    assert!(number("/cache/decodes") >= 12 && number("/cache/decode_nanoseconds") > 0);
    // The kernel tells of a closed file when it likes.
    assert!(number("/reads/failed") == 0 && number("/open_files") <= 1);
    assert!(ok(["stats", mount.mountpoint.to_str().unwrap()]).contains("bytes served"));

    let xattr = |name: &str, of: &str| {
        let mut value = [0; 4096];
        let len = rustix::fs::getxattr(mount.path(of), name, &mut value[..])?;
        Ok::<_, rustix::io::Errno>(String::from_utf8_lossy(&value[..len]).into_owned())
    };
    let of = "m.safetensors";
    for (of, archive) in [(of, archive), ("q.gguf", quantized)] {
        let archive = archive.to_str().unwrap();
        let found = support::json(&ok(["inspect", archive, "--json"]));
        assert_eq!(
            xattr("user.weightfs.original_sha256", of).unwrap(),
            found["sha256"]
        );
        assert_eq!(xattr("user.weightfs.archive", of).unwrap(), archive);
        assert!(xattr("user.weightfs.codec", of).unwrap().contains("ans"));
        let ratio: f64 = xattr("user.weightfs.ratio", of).unwrap().parse().unwrap();
        assert!((ratio - found["ratio"].as_f64().unwrap()).abs() < 1e-3);
    }
    for of in [of, ""] {
        let listed = rustix::fs::listxattr(mount.path(of), &mut [0u8; 4096][..]);
        assert_eq!(listed, Ok(0), "ours are read by name and not copied along");
    }
    for (name, of) in [("user.other", of), ("user.weightfs.ratio", "plain")] {
        assert_eq!(xattr(name, of), Err(rustix::io::Errno::NODATA));
    }
    mount.stop();
    let (status, _, stderr) = support::run(["stats", place.mountpoint.to_str().unwrap()]);
    assert_eq!(status, 2);
    assert!(stderr.contains("not where weightfs is mounted"), "{stderr}");
}

/// Descriptors, threads and anonymous memory (KiB) of a process.
fn holdings(pid: u32) -> (usize, usize, u64) {
    let count = |what: &str| fs::read_dir(format!("/proc/{pid}/{what}")).unwrap().count();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let anonymous = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .and_then(|text| text.trim().strip_suffix(" kB"))
        .map(|number| number.trim().parse().unwrap());
    (count("fd"), count("task"), anonymous.unwrap())
}

/// `WEIGHTFS_TEST_ROUNDS` sets how many.
#[test]
fn opening_reading_and_closing_again_and_again_leaves_nothing_behind() {
    let rounds = u64::from(support::rounds(5_000));
    let place = Place::new();
    let original = noise(4, 3 << 20);
    for name in ["a", "b", "sub/c"] {
        place.pack(name, &original);
    }
    let options = ["--cache-size", "2M", "--ttl", "0"];
    let mount = Mount::with(
        &place.source,
        &place.mountpoint,
        &options,
        Duration::from_secs(3000),
    );
    let cycles = |count: u64| {
        for i in 0..count {
            let name = ["a", "b", "sub/c", "missing"][usize::try_from(i % 4).unwrap()];
            let Ok(file) = File::open(mount.path(name)) else {
                assert_eq!(name, "missing");
                continue;
            };
            let at = i * 7919 % (original.len() as u64 - 100);
            let mut bytes = [0; 100];
            assert_eq!(read_at(&file, &mut bytes, at), 100);
            assert!(bytes == original[usize::try_from(at).unwrap()..][..100]);
            if i % 16 == 0 {
                drop_pages(&file);
            }
            if i % 64 == 0 {
                assert!(fs::read_dir(mount.path("sub")).unwrap().count() == 1);
            }
        }
    };
    // Till caches and pools are full.
    cycles(2_000);
    let before = holdings(mount.pid());
    cycles(rounds);
    let after = holdings(mount.pid());
    println!("descriptors, threads, KiB: {before:?}, after {rounds} cycles {after:?}");
    // Threads that look around now and then have a descriptor for that moment.
    let is_back = || {
        let now = holdings(mount.pid());
        now.0 <= before.0 && now.1 <= before.1
    };
    assert!((0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        is_back()
    }));
    assert!(after.2 < before.2 + 4096, "{before:?} {after:?}");
    mount.stop();
}

#[test]
fn a_connection_that_is_broken_is_an_error_for_readers_and_no_mount_is_none() {
    let place = Place::new();
    let original = model(70, 4);
    place.pack("m", &original);
    let mount = place.mount();
    let file = File::open(mount.path("m")).unwrap();
    assert_eq!(read_at(&file, &mut [0; 4096], 0), 4096);
    let abort = || {
        let mountpoint = mount.mountpoint.as_os_str();
        ok(["umount".as_ref(), "--abort".as_ref(), mountpoint])
    };
    abort();
    assert!(!is_mounted(&mount.mountpoint));
    drop_pages(&file);
    let error = file.read_at(&mut [0; 4096], 3 << 20).unwrap_err();
    assert!(
        matches!(
            error.raw_os_error(),
            Some(libc::ENOTCONN | libc::ECONNABORTED)
        ),
        "{error}"
    );
    abort();
    let status = mount.wait();
    assert!(status.success(), "{status}");
}

fn drop_pages(file: &File) {
    rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
}

fn shared_map(file: &File) -> memmap2::Mmap {
    // SAFETY: the mount is read-only, so nobody changes the file.
    #[expect(unsafe_code, reason = "a client that maps a file")]
    unsafe {
        memmap2::MmapOptions::new().map(file).unwrap()
    }
}

fn private_map(file: &File) -> memmap2::MmapMut {
    // SAFETY: as above; a private map has copies of what is written to it.
    #[expect(unsafe_code, reason = "a client that maps a file")]
    unsafe {
        memmap2::MmapOptions::new().map_copy(file).unwrap()
    }
}
