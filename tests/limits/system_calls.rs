//! System calls that an older kernel has not, or that a container's filter answers with an error.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::limited::{forbid_to_mount, refuse};
use crate::support::{Mount, Place, model, weightfs};

const LIMIT: Duration = Duration::from_secs(240);

/// What Linux has had since 5.5 or a little longer, by number, as far as it is known today; those from 424
/// on have the same numbers on all machines.
fn new_calls() -> Vec<libc::c_long> {
    let later = (424..=470).filter(|&call| call != libc::SYS_clone3);
    let earlier = [
        libc::SYS_statx,
        libc::SYS_renameat2,
        libc::SYS_copy_file_range,
        libc::SYS_preadv2,
        libc::SYS_pwritev2,
        libc::SYS_rseq,
        libc::SYS_sync_file_range,
        libc::SYS_membarrier,
    ];
    later.chain(earlier).collect()
}

/// Does everything there is to do while the kernel refuses some calls.
fn works_without(calls: &[libc::c_long], errno: i32) {
    let place = Place::new();
    let original = model(8, 2);
    let file = place.write("file.safetensors", &original);
    place.write("dir/other", b"other");
    std::os::unix::fs::symlink("dir/other", place.source.join("link")).unwrap();
    let limited = |arguments: &[&std::path::Path]| {
        let mut command = weightfs();
        refuse(command.args(arguments), calls, errno);
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{arguments:?} {calls:?} {errno}: {stderr}"
        );
    };
    let packed = place.root.path().join("packed");
    limited(&["pack".as_ref(), &place.source, "-o".as_ref(), &packed]);
    limited(&["verify".as_ref(), &packed]);
    limited(&["inspect".as_ref(), &packed.join("file.safetensors.wfz")]);
    limited(&["analyze".as_ref(), &file]);
    limited(&[
        "unpack".as_ref(),
        &packed,
        "-o".as_ref(),
        &place.root.path().join("unpacked"),
    ]);
    limited(&["pack".as_ref(), "--replace".as_ref(), &file]);
    limited(&["unpack".as_ref(), "--replace".as_ref(), &place.source]);
    assert!(fs::read(&file).unwrap() == original);
    let mut command = weightfs();
    command.arg("mount").args([&packed, &place.mountpoint]);
    refuse(&mut command, calls, errno);
    let mount = Mount::spawn(command, &place.mountpoint, LIMIT);
    assert!(fs::read(mount.path("file.safetensors")).unwrap() == original);
    assert_eq!(fs::read(mount.path("link")).unwrap(), b"other");
    assert_eq!(fs::read_dir(mount.path("dir")).unwrap().count(), 1);
    mount.stop();
}

#[test]
fn everything_works_without_new_system_calls() {
    for errno in [libc::EPERM, libc::ENOSYS] {
        works_without(&new_calls(), errno);
        works_without(&[libc::SYS_openat2], errno);
    }
    works_without(&[libc::SYS_clone3], libc::ENOSYS);
}

/// glibc takes EPERM of clone3 for an answer.
#[test]
fn a_filter_that_refuses_threads_is_told() {
    let place = Place::new();
    let file = place.write("file", &model(9, 1));
    let archive = place.pack("m", b"1");
    for arguments in [
        &["pack".as_ref(), file.as_path()][..],
        &["mount".as_ref(), &archive, &place.mountpoint],
    ] {
        let mut command = weightfs();
        refuse(command.args(arguments), &[libc::SYS_clone3], libc::EPERM);
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        let is_old = output.status.success();
        assert!(is_old || stderr.contains("seccomp"), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
}

#[test]
fn what_keeps_from_mounting_is_told_with_the_setting_that_lets() {
    let place = Place::new();
    place.pack("m", b"1");
    let try_it = |change: &dyn Fn(&mut Command)| {
        let mut command = weightfs();
        command
            .arg("mount")
            .args([&place.source, &place.mountpoint]);
        change(&mut command);
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let root = try_it(&|command| forbid_to_mount(command, true));
    assert!(root.contains("--cap-add SYS_ADMIN"), "{root}");
    for errno in [libc::EPERM, libc::ENOSYS] {
        let filtered =
            try_it(&|command| refuse(command, &[libc::SYS_mount, libc::SYS_fsopen], errno));
        assert!(filtered.contains("seccomp"), "{filtered}");
    }
    let path = place.root.path();
    for path in [path, &place.source, &place.mountpoint] {
        std::os::unix::fs::chown(path, Some(crate::limited::NOBODY), None).expect("run as root");
    }
    let user = try_it(&|command| forbid_to_mount(command, false));
    assert!(user.contains("no_new_privs"), "{user}");
}
