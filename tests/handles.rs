//! Files by handle, as NFS servers know them: longer than the kernel remembers them, and than a mount lives.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "test code"
)]

mod support;

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;

use support::{Mount, Place, weightfs};

const HANDLE_BYTES: usize = 128;

/// As `name_to_handle_at` fills it: the length, the type, and so many bytes.
#[repr(C)]
#[derive(Clone)]
struct Handle {
    len: u32,
    kind: i32,
    bytes: [u8; HANDLE_BYTES],
}

fn handle_of(path: &Path) -> Handle {
    let mut handle = Handle {
        len: HANDLE_BYTES as u32,
        kind: 0,
        bytes: [0; HANDLE_BYTES],
    };
    let path = std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap();
    let mut mount_id = 0;
    // SAFETY: the path ends with a NUL, and the handle has as many bytes as it says.
    #[expect(unsafe_code, reason = "no crate here has this call")]
    let done = unsafe {
        libc::name_to_handle_at(
            libc::AT_FDCWD,
            path.as_ptr(),
            (&raw mut handle).cast(),
            &raw mut mount_id,
            0,
        )
    };
    assert_eq!(done, 0, "{}", io::Error::last_os_error());
    handle
}

fn open(mount: &Mount, handle: &Handle) -> io::Result<File> {
    let root = File::open(&mount.mountpoint)?;
    let mut handle = handle.clone();
    // SAFETY: the handle has as many bytes as it says; what is opened is owned by nobody else.
    #[expect(unsafe_code, reason = "no crate here has this call")]
    unsafe {
        let opened = libc::open_by_handle_at(
            root.as_raw_fd(),
            (&raw mut handle).cast(),
            libc::O_RDONLY | libc::O_CLOEXEC,
        );
        if opened < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(File::from_raw_fd(opened))
    }
}

fn read(mount: &Mount, handle: &Handle) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(mount, handle)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[test]
fn handles_are_good_in_the_next_mount_for_as_long_as_the_file_exists() {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test opens by handle, which only root can"
    );
    let place = Place::new();
    place.pack("d/e/m", b"model");
    place.pack("replaced", b"before");
    place.write("d/f", b"plain");
    place.write("gone", b"gone");
    let outside = place.root.path().join("outside.wfz");
    fs::rename(place.pack("outside", b"outside"), &outside).unwrap();
    symlink(&outside, place.source.join("o.wfz")).unwrap();

    let files = [("d/e/m", "model"), ("d/f", "plain"), ("o", "outside")];
    let mount = place.mount();
    let handles = files.map(|(path, _)| handle_of(&mount.path(path)));
    let lost = ["replaced", "gone"].map(|path| handle_of(&mount.path(path)));
    let directory = handle_of(&mount.path("d/e"));
    let inode = fs::metadata(mount.path("d")).unwrap().ino();
    mount.stop();
    fs::remove_file(place.source.join("gone")).unwrap();
    place.pack("replaced", b"behind");

    // Nothing was looked up by its name.
    let mount = place.mount();
    for ((path, bytes), handle) in files.iter().zip(&handles) {
        let read = read(&mount, handle).unwrap_or_else(|e| panic!("{path}: {e}"));
        assert_eq!(read, bytes.as_bytes(), "{path}");
    }
    for handle in &lost {
        let error = read(&mount, handle).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ESTALE));
    }
    mount.stop();
    let mount = place.mount();
    let directory = open(&mount, &directory).unwrap();
    let up = rustix::fs::statat(&directory, "..", rustix::fs::AtFlags::empty()).unwrap();
    assert_eq!(up.st_ino, inode);
    let names: Vec<_> = rustix::fs::Dir::read_from(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_str().unwrap().to_owned())
        .filter(|name| !name.starts_with('.'))
        .collect();
    assert_eq!(names, ["m"]);
    drop(directory);
    mount.stop();
}

/// Two mounts of one source, on a file system that has another device number the second time: an overlay,
/// as there is in every kernel of containers.
const ON_ANOTHER_DEVICE: &str = r#"
set -e
cd "$2"
look() {
    mount -t overlay -o "lowerdir=source:empty" overlay seen
    "$1" mount seen mnt >ready & daemon=$!
    while ! grep -qs ^ready: ready; do kill -0 $daemon; sleep 0.05; done
    echo "$(stat -c %d seen) $(cd mnt && stat -c %i m f d d/m other other/m | tr '\n' ' ')"
    "$1" umount mnt
    wait $daemon
    rm ready
    umount seen
}
look "$1"
# Devices get the lowest number that is free, and others may have freed some.
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
    mount -t tmpfs tmpfs another
done
look "$1"
"#;

#[test]
fn inode_numbers_do_not_follow_the_number_of_the_device() {
    let place = Place::new();
    for path in ["m", "d/m", "other/m"] {
        place.pack(path, b"model");
    }
    place.write("f", b"plain");
    for name in ["empty", "seen", "another"] {
        fs::create_dir(place.root.path().join(name)).unwrap();
    }
    let mut command = Command::new("timeout");
    command.args(["-s", "KILL", "120", "unshare", "--mount", "--pid", "--fork"]);
    command.args(["--mount-proc", "--kill-child", "--propagation", "slave"]);
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["sh", "-c", ON_ANOTHER_DEVICE, "sh"]);
    command.arg(weightfs().get_program());
    let output = command
        .arg(place.root.path().canonicalize().unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let looks: Vec<_> = said
        .lines()
        .filter_map(|line| line.split_once(' '))
        .collect();
    let [(device, inodes), (other_device, others)] = looks[..] else {
        panic!("{said}{}", String::from_utf8_lossy(&output.stderr));
    };
    assert_ne!(device, other_device);
    assert_eq!(inodes, others);
    let mut numbers: Vec<_> = inodes.split_whitespace().collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(
        numbers.len(),
        6,
        "copies have numbers of their own: {inodes}"
    );
}
