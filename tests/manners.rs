//! What a user meets who does something else than expected: paths in a mount, other ways to mount, closed
//! descriptors, two runs at once, and bars that run to their end.
#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{Mode, OFlags};
use support::{Dir, Mount, Place, Watched, is_mounted, model, ok, run, umount, weightfs};
use weightfs::job::{
    archives_to_make, originals_to_make, replace_by_archives, replace_by_originals,
};
use weightfs::{
    Error, Level, Monitor, PackOptions, UnpackOptions, VerifyOptions, pack, unpack, verify,
};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Fails with status 2, and says all of this.
fn refused(arguments: &[&str], said: &[&str]) {
    let (status, stdout, stderr) = run(arguments);
    assert_eq!(status, 2, "{arguments:?}: {stdout}{stderr}");
    for said in said {
        assert!(
            stderr.contains(said),
            "{arguments:?}: no {said:?} in {stderr}"
        );
    }
}

#[test]
fn commands_on_a_mount_go_to_the_archives_beside_it() {
    let place = Place::new();
    let original = model(1, 1);
    let archive = place.pack("m.safetensors", &original);
    place.pack("sub/n.safetensors", &original);
    place.write("config.json", b"{}");
    let mount = place.mount();
    let (root, file) = (mount.path(""), mount.path("m.safetensors"));
    let (source, file) = (text(&place.source), text(&file));
    let out = place.root.path().join("out");
    let said = ok(["verify", text(&root)]);
    assert!(said.contains("2 archives, 0 damaged"), "{said}");
    let said = ok(["verify", file, text(&mount.path("sub"))]);
    assert!(said.contains("2 archives, 0 damaged"), "{said}");
    assert!(said.contains(text(&archive)), "{said}");
    assert!(ok(["inspect", file]).contains("embed"));
    ok(["unpack", file, "-o", text(&out)]);
    assert!(fs::read(&out).unwrap() == original);
    let all = place.root.path().join("all");
    ok(["unpack", text(&root), "-o", text(&all)]);
    assert!(fs::read(all.join("sub/n.safetensors")).unwrap() == original);
    // A file of a mount is a source like any other; the mount is no place for a result.
    let again = place.root.path().join("again.wfz");
    ok(["pack", file, "-o", text(&again)]);
    for command in ["pack --replace", "unpack --replace"] {
        let arguments: Vec<_> = command.split(' ').chain([text(&root)]).collect();
        refused(
            &arguments,
            &["is in a weightfs mount", "name what it shows", source],
        );
    }
    refused(&["pack", file], &["m.safetensors", "weightfs mount", "-o"]);
    let inside = mount.path("sub/new/x.wfz");
    refused(
        &["pack", text(&out), "-o", text(&inside)],
        &["weightfs mount", "-o"],
    );
    refused(
        &["unpack", text(&again), "-o", text(&inside)],
        &["weightfs mount", "-o"],
    );
    mount.stop();
}

#[test]
fn commands_on_a_mount_of_one_archive_know_that_one() {
    let place = Place::new();
    let archive = place.pack("m.safetensors", &model(1, 1));
    place.pack("other.safetensors", &model(2, 1));
    let mount = Mount::start(&archive, &place.mountpoint);
    let said = ok(["verify", text(&mount.path(""))]);
    assert!(said.contains("1 archives, 0 damaged"), "{said}");
    mount.stop();
}

#[test]
fn commands_on_a_mount_over_its_source_say_what_to_unmount() {
    let place = Place::new();
    let original = model(1, 1);
    place.pack("m.safetensors", &original);
    let mount = Mount::start(&place.source, &place.source);
    let (root, file) = (mount.path(""), mount.path("m.safetensors"));
    let (root, file) = (text(&root), text(&file));
    let umount = format!("weightfs umount {}", text(&place.source));
    for arguments in [
        &["verify", root][..],
        &["verify", file],
        &["inspect", file],
        &["pack", "--replace", root],
        &["unpack", "--replace", root],
        &["unpack", "--replace", "--dry-run", root],
    ] {
        refused(arguments, &["is in a weightfs mount", &umount]);
    }
    // What unpacking would make is there to be read.
    let out = place.root.path().join("out");
    ok(["unpack", root, "-o", text(&out)]);
    assert!(fs::read(out.join("m.safetensors")).unwrap() == original);
    mount.stop();
    ok(["verify", root]);
}

#[test]
fn names_and_paths_that_are_too_long_are_said_to_be() {
    let place = Place::new();
    place.write("short", b"x");
    let name = "d".repeat(250);
    // Deeper than a path may be long: directory by directory.
    let make = |at: rustix::fd::OwnedFd| {
        rustix::fs::mkdirat(&at, name.as_str(), Mode::RWXU).unwrap();
        open(at, &name).unwrap()
    };
    let mut at = open(rustix::fs::CWD, text(&place.source)).unwrap();
    for _ in 0..18 {
        at = make(at);
    }
    let mount = place.mount();
    for (bytes, expected) in [
        (251, libc::ENOENT),
        (252, libc::ENOENT),
        (255, libc::ENOENT),
        (256, libc::ENAMETOOLONG),
        (1000, libc::ENAMETOOLONG),
        (1025, libc::ENAMETOOLONG),
    ] {
        let name = "n".repeat(bytes);
        for directory in [&place.source, &mount.mountpoint] {
            let error = fs::metadata(directory.join(&name)).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(expected), "{bytes} bytes");
        }
    }
    let mut at = open(rustix::fs::CWD, text(&mount.mountpoint)).unwrap();
    let error = loop {
        match open(at, &name) {
            Ok(below) => at = below,
            Err(error) => break error,
        }
    };
    assert_eq!(error, rustix::io::Errno::NAMETOOLONG);
    mount.stop();
}

fn open(at: impl rustix::fd::AsFd, name: &str) -> rustix::io::Result<rustix::fd::OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, flags, Mode::empty())
}

#[test]
fn mount_fuse_mounts_and_a_remount_is_understood() {
    let place = Place::new();
    let original = model(1, 1);
    place.pack("m.safetensors", &original);
    let watched = Watched::new(&place.mountpoint);
    let (source, mountpoint) = (text(&place.source), text(&place.mountpoint));
    let program = Path::new(env!("CARGO_BIN_EXE_weightfs")).parent().unwrap();
    let path = format!("{}:{}", text(program), std::env::var("PATH").unwrap());
    // What mount(8) runs for `mount -t fuse.weightfs`.
    let output = Command::new("/sbin/mount.fuse3")
        .args([
            source,
            mountpoint,
            "-t",
            "fuse.weightfs",
            "-o",
            "rw,cache_size=64M",
        ])
        .env("PATH", path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(is_mounted(&place.mountpoint));
    assert!(fs::read(place.mountpoint.join("m.safetensors")).unwrap() == original);
    // What mount.fuse3 runs for `mount -o remount,...`, with the options that the mount has.
    let has = "nosuid,nodev,relatime,remount,user_id=0,group_id=0,default_permissions";
    let remount = |options: &str| {
        let options = format!("{options},{has}");
        run(["weightfs", mountpoint, "-o", &options])
    };
    assert_eq!(remount("ro").0, 0);
    for option in ["rw", "noexec", "allow_other", "cache_size=1G"] {
        let (status, _, stderr) = remount(&format!("ro,{option}"));
        assert_ne!(status, 0, "{option}");
        assert!(
            stderr.contains(option) && stderr.contains("unmount it"),
            "{stderr}"
        );
    }
    assert!(is_mounted(&place.mountpoint));
    umount(&place.mountpoint);
    let (status, _, stderr) = remount("ro");
    assert!(
        status != 0 && stderr.contains("is not a weightfs mount"),
        "{stderr}"
    );
    drop(watched);
    refused(
        &[source, mountpoint],
        &["weightfs mount", source, mountpoint],
    );
}

/// Runs the program with these descriptors closed.
fn with_closed(descriptors: &'static [i32], arguments: &[&str]) -> Output {
    let mut command = weightfs();
    command.args(arguments);
    // SAFETY: close is async-signal-safe, and what is closed belongs to the new process alone.
    #[expect(unsafe_code, reason = "nothing else closes a standard descriptor")]
    unsafe {
        command.pre_exec(move || {
            for &descriptor in descriptors {
                libc::close(descriptor);
            }
            Ok(())
        });
    }
    command.output().unwrap()
}

#[test]
fn closed_descriptors_and_readers_that_are_gone_harm_no_file() {
    let dir = Dir::new();
    let original = model(1, 1);
    let file = dir.write("m.safetensors", &original);
    let archive = dir.path("m.safetensors.wfz");
    let out = dir.path("out");
    ok(["pack", &file]);
    let packed = fs::read(&archive).unwrap();
    let gone = dir.path("gone");
    for (arguments, status) in [
        (&["pack", &file, "-o", &out][..], 0),
        (&["unpack", &archive, "-o", &out], 0),
        (&["verify", &archive], 0),
        (&["inspect", &archive], 0),
        (&["inspect", &archive, "--json"], 0),
        (&["analyze", &file], 0),
        (&["pack", "--replace", "--dry-run", &file], 0),
        (&["--help"], 0),
        (&["inspect", &gone], 2),
        (&["nonsense"], 2),
    ] {
        let check = |output: Output, what: &str| {
            assert_eq!(
                output.status.code(),
                Some(status),
                "{arguments:?} {what}: {output:?}"
            );
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(
                !stderr.contains("panicked"),
                "{arguments:?} {what}: {stderr}"
            );
            if let Ok(made) = fs::read(&out) {
                let expected = if arguments[0] == "pack" {
                    &packed
                } else {
                    &original
                };
                assert!(made == *expected, "{arguments:?} {what}");
                fs::remove_file(&out).unwrap();
            }
        };
        for closed in [&[0][..], &[1], &[2], &[0, 1, 2]] {
            check(
                with_closed(closed, arguments),
                &format!("without {closed:?}"),
            );
        }
        for stdout in [true, false] {
            let (reader, writer) = io::pipe().unwrap();
            drop(reader);
            let mut command = weightfs();
            command.args(arguments);
            if stdout {
                command.stdout(writer);
            } else {
                command.stdout(Stdio::null()).stderr(writer);
            }
            let what = if stdout {
                "stdout is gone"
            } else {
                "stderr is gone"
            };
            check(command.output().unwrap(), what);
        }
    }
    // Not to be said is not to be done.
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = weightfs()
        .args(["inspect", &archive])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("stdout"));
    assert!(fs::read(&file).unwrap() == original && fs::read(&archive).unwrap() == packed);
}

#[test]
fn whoever_comes_second_is_told_that_another_made_it() {
    let dir = Dir::new();
    let file = dir.write("m.safetensors", &model(1, 1));
    dir.write("models/m.safetensors", &model(1, 1));
    let never = AtomicBool::new(false);
    for (from, made) in [(file, "m.wfz"), (dir.path("models"), "packed/m.wfz")] {
        let to = dir.path(made.split('/').next().unwrap());
        let meanwhile = |_| {
            dir.write(made, b"another's");
        };
        let monitor = Monitor {
            progress: &meanwhile,
            ..Monitor::silent(&never)
        };
        let result = pack(
            from.as_ref(),
            Some(to.as_ref()),
            &PackOptions::default(),
            &monitor,
        );
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Environment(_)), "{error}");
        let error = error.to_string();
        assert!(
            error.contains(&to) && error.contains("meanwhile"),
            "{error}"
        );
        assert_eq!(fs::read(dir.path(made)).unwrap(), b"another's");
    }
    assert_eq!(
        dir.names(""),
        ["m.safetensors", "m.wfz", "models", "packed"]
    );
}

/// Runs a job; what it says it will do, and does, must be these bytes.
fn counted<T>(what: &str, bytes: u64, job: impl FnOnce(&Monitor<'_>) -> weightfs::Result<T>) {
    let (begun, done) = (AtomicU64::new(0), AtomicU64::new(0));
    let never = AtomicBool::new(false);
    let monitor = Monitor {
        begin: &|bytes| assert_eq!(begun.swap(bytes, Ordering::Relaxed), 0),
        progress: &|bytes| {
            done.fetch_add(bytes, Ordering::Relaxed);
        },
        ..Monitor::silent(&never)
    };
    job(&monitor).unwrap();
    let found = (begun.into_inner(), done.into_inner());
    assert_eq!(found, (bytes, bytes), "{what}");
}

#[test]
fn bars_run_to_the_size_of_the_files() {
    let dir = Dir::new();
    let original = model(1, 2);
    // An odd length, of which no half is whole.
    let mut odd = model(2, 1);
    odd.extend([0].repeat(1 + odd.len() % 2));
    let file = dir.write("m.safetensors", &original);
    dir.write("models/m.safetensors", &original);
    dir.write("models/sub/odd.safetensors", &odd);
    dir.write("models/notes", b"text");
    let path = |relative: &str| PathBuf::from(dir.path(relative));
    let one = original.len() as u64;
    let replaced = one + odd.len() as u64;
    let all = replaced + 4;
    for level in [Level::Fast, Level::Max] {
        let options = PackOptions {
            level,
            force: true,
            ..PackOptions::default()
        };
        counted("pack a file", one, |monitor| {
            pack(file.as_ref(), None, &options, monitor)
        });
    }
    let options = PackOptions::default();
    counted("pack a directory", all, |monitor| {
        pack(&path("models"), Some(&path("packed")), &options, monitor)
    });
    let archive = path("m.safetensors.wfz");
    let options = UnpackOptions::default();
    counted("unpack a file", one, |monitor| {
        unpack(&archive, Some(&path("out")), &options, monitor)
    });
    counted("unpack a directory", all, |monitor| {
        unpack(&path("packed"), Some(&path("back")), &options, monitor)
    });
    let packed = path("packed/sub/odd.safetensors.wfz");
    let options = VerifyOptions {
        threads: options.threads,
        deep: true,
        bases: weightfs::job::BaseSearch::default(),
    };
    counted("verify", replaced, |monitor| {
        verify(&[archive.clone(), packed], &options, monitor)
    });
    // One archive is there already, and is only compared.
    fs::copy(&archive, path("models/m.safetensors.wfz")).unwrap();
    let never = AtomicBool::new(false);
    let silent = Monitor::silent(&never);
    let planned = archives_to_make(&path("models"), &PackOptions::default(), &silent).unwrap();
    counted("pack --replace", replaced, |monitor| {
        replace_by_archives(planned, &PackOptions::default(), monitor)
    });
    fs::copy(&file, path("models/m.safetensors")).unwrap();
    let planned = originals_to_make(&path("models"), &silent).unwrap();
    counted("unpack --replace", replaced, |monitor| {
        replace_by_originals(planned, &UnpackOptions::default(), monitor)
    });
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    let dir = Dir::new();
    let file = dir.write("m.safetensors", &model(1, 1));
    dir.write("full/file", b"x");
    for made in ["empty", "archives", "mnt"] {
        fs::create_dir(dir.path(made)).unwrap();
    }
    let archive = dir.path("archives/m.safetensors.wfz");
    ok(["pack", &file, "-o", &archive]);
    let gone = dir.path("gone");
    let in_gone = dir.path("gone/x");
    let in_file = dir.path("m.safetensors/x");
    let (empty, archives) = (dir.path("empty"), dir.path("archives"));
    for (arguments, said) in [
        (
            &["pack", &file, "-o", &in_gone][..],
            &[&*in_gone, "make it first"][..],
        ),
        (
            &["pack", &file, "-o", &in_file],
            &[&in_file, "is not a directory"],
        ),
        (
            &["pack", &archives, "-o", &in_gone],
            &[&in_gone, "make it first"],
        ),
        (
            &["unpack", &archive, "-o", &in_gone],
            &[&in_gone, "make it first"],
        ),
        (
            &["pack", &file, "--threads", "0"],
            &["'0' is not a number of threads"],
        ),
        (&["inspect", &archives], &[&archives, "is a directory"]),
        (&["analyze", &archives], &[&archives, "mounted"]),
        (&["demo", "--model", &empty], &["no model", &empty]),
        (&["mount", &archives, &gone], &[&gone, "does not exist"]),
        (&["mount", &archives, &file], &[&file, "is not a directory"]),
        (&["umount", &gone], &[&gone, "does not exist"]),
    ] {
        refused(arguments, said);
        let (_, _, stderr) = run(arguments);
        assert!(!stderr.contains("wfz-tmp"), "{arguments:?}: {stderr}");
    }
    let said = ok(["pack", "--replace", &empty]);
    assert!(said.contains("nothing to replace"), "{said}");
    // What a mount hides is told; it is no reason not to mount.
    let full = PathBuf::from(dir.path("full"));
    let log = dir.path("log");
    let mut command = weightfs();
    command
        .args(["mount", &archives, text(&full)])
        .stderr(File::create(&log).unwrap());
    Mount::spawn(command, &full, std::time::Duration::from_secs(240)).stop();
    let said = fs::read_to_string(&log).unwrap();
    assert!(said.contains("is not empty"), "{said}");
}
