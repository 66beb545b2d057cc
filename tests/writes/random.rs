//! Random operations, by way of the mount and in a plain directory, compared after each.

use std::fs::{self, File, FileTimes, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::support::{Mount, Place, model, noise};
use super::tree::{difference, tree};
use super::{LIMIT, packing, writable};

const NAMES: [&str; 7] = ["a", "b", "c.safetensors", "d.wfz", "a.wfz", "e", "f.gguf"];
const DIRECTORIES: [&str; 3] = ["", "x", "x/y"];

#[derive(Debug)]
enum Operation {
    Write(PathBuf, Vec<u8>),
    Overwrite(PathBuf, u64, Vec<u8>),
    Append(PathBuf, Vec<u8>),
    Truncate(PathBuf, u64),
    Rename(PathBuf, PathBuf, RenameFlags),
    Remove(PathBuf),
    MakeDirectory(PathBuf),
    RemoveDirectory(PathBuf),
    Link(PathBuf, PathBuf),
    Symlink(PathBuf, PathBuf),
    Mode(PathBuf, u32),
    Times(PathBuf, u64),
    Attribute(PathBuf, &'static str, Option<Vec<u8>>),
    Copy(PathBuf, PathBuf),
}

fn path(rng: &mut fastrand::Rng) -> PathBuf {
    let directory = DIRECTORIES[rng.usize(..DIRECTORIES.len())];
    Path::new(directory).join(NAMES[rng.usize(..NAMES.len())])
}

fn any(rng: &mut fastrand::Rng) -> Operation {
    let directory =
        |rng: &mut fastrand::Rng| PathBuf::from(DIRECTORIES[rng.usize(1..DIRECTORIES.len())]);
    let bytes = |rng: &mut fastrand::Rng| noise(rng.u64(..), rng.usize(..5000));
    match rng.u32(..30) {
        0..4 => Operation::Write(path(rng), bytes(rng)),
        4..7 => Operation::Overwrite(path(rng), rng.u64(..2_000_000), bytes(rng)),
        7..9 => Operation::Append(path(rng), bytes(rng)),
        9..11 => Operation::Truncate(path(rng), rng.u64(..4) * rng.u64(..500_000)),
        11..16 => {
            let flags = [
                RenameFlags::empty(),
                RenameFlags::empty(),
                RenameFlags::NOREPLACE,
                RenameFlags::EXCHANGE,
            ];
            Operation::Rename(path(rng), path(rng), flags[rng.usize(..flags.len())])
        }
        16..18 => Operation::Remove(path(rng)),
        18..20 => Operation::MakeDirectory(directory(rng)),
        20 => Operation::RemoveDirectory(directory(rng)),
        21..23 => Operation::Link(path(rng), path(rng)),
        23 => Operation::Symlink(NAMES[rng.usize(..3)].into(), path(rng)),
        24 => Operation::Mode(path(rng), 0o600 | rng.u32(..0o100)),
        25..27 => Operation::Times(path(rng), rng.u64(..900_000_000)),
        27 => {
            let value = rng
                .bool()
                .then(|| bytes(rng).into_iter().take(100).collect());
            Operation::Attribute(path(rng), ["user.one", "user.two"][rng.usize(..2)], value)
        }
        _ => Operation::Copy(path(rng), path(rng)),
    }
}

impl Operation {
    fn run(&self, root: &Path) -> io::Result<()> {
        let at = |path: &Path| root.join(path);
        let existing = |path: &Path| {
            // Not by a link: what it leads to may be the plain directory's.
            match at(path).symlink_metadata()? {
                meta if meta.is_symlink() => Err(io::Error::from_raw_os_error(libc::ELOOP)),
                _ => Ok(at(path)),
            }
        };
        match self {
            Self::Write(path, bytes) => match existing(path) {
                Err(e) if e.raw_os_error() == Some(libc::ELOOP) => Err(e),
                _ => fs::write(at(path), bytes),
            },
            Self::Overwrite(path, offset, bytes) => {
                let file = OpenOptions::new().write(true).open(existing(path)?)?;
                file.write_all_at(bytes, *offset)
            }
            Self::Append(path, bytes) => {
                let mut file = OpenOptions::new().append(true).open(existing(path)?)?;
                file.write_all(bytes)
            }
            Self::Truncate(path, len) => {
                let file = OpenOptions::new().write(true).open(existing(path)?)?;
                file.set_len(*len)
            }
            Self::Rename(from, to, flags) => Ok(renameat_with(CWD, at(from), CWD, at(to), *flags)?),
            Self::Remove(path) => fs::remove_file(at(path)),
            Self::MakeDirectory(path) => fs::create_dir(at(path)),
            Self::RemoveDirectory(path) => fs::remove_dir(at(path)),
            Self::Link(from, to) => fs::hard_link(at(from), at(to)),
            Self::Symlink(target, path) => symlink(target, at(path)),
            Self::Mode(path, mode) => {
                fs::set_permissions(existing(path)?, Permissions::from_mode(*mode))
            }
            Self::Times(path, seconds) => {
                let time = SystemTime::UNIX_EPOCH + Duration::new(*seconds, 7);
                let times = FileTimes::new().set_modified(time).set_accessed(time);
                File::open(existing(path)?)?.set_times(times)
            }
            Self::Attribute(path, name, Some(value)) => {
                let flags = rustix::fs::XattrFlags::empty();
                Ok(rustix::fs::setxattr(existing(path)?, *name, value, flags)?)
            }
            Self::Attribute(path, name, None) => {
                Ok(rustix::fs::removexattr(existing(path)?, *name)?)
            }
            Self::Copy(from, to) => {
                let bytes = fs::read(existing(from)?)?;
                match existing(to) {
                    Err(e) if e.raw_os_error() == Some(libc::ELOOP) => Err(e),
                    _ => fs::write(at(to), bytes),
                }
            }
        }
    }
}

/// Waits until nothing is being packed, or some time.
fn wait_while_it_packs(mount: &Mount) {
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(10));
        let stats = mount.packing().unwrap();
        if stats["packing"].is_null() && stats["queued_files"] == 0 {
            break;
        }
    }
}

fn compare(seed: u64, operations: usize, packs: bool) {
    let place = Place::new();
    let plain = place.root.path().join("plain");
    fs::create_dir_all(plain.join("x/y")).unwrap();
    for (number, name) in ["a", "x/b", "x/c.safetensors", "x/y/d.wfz", "x/y/e"]
        .iter()
        .enumerate()
    {
        let bytes = model(number as u64, 1);
        fs::write(plain.join(name), &bytes).unwrap();
        let archive = place.pack(name, &bytes);
        let mode = Permissions::from_mode(0o644);
        fs::set_permissions(plain.join(name), mode.clone()).unwrap();
        fs::set_permissions(archive, mode).unwrap();
    }
    let mount = match packs {
        true => packing(&place, LIMIT),
        false => writable(&place.source, &place.mountpoint),
    };
    let mut rng = fastrand::Rng::with_seed(seed);
    assert_eq!(difference(&tree(&plain), &tree(&mount.mountpoint)), None);
    for number in 0..operations {
        let operation = match packs && rng.u32(..4) == 0 {
            true => Operation::Write(path(&mut rng), model(rng.u64(..), 1)),
            false => any(&mut rng),
        };
        if packs && rng.u32(..6) == 0 {
            wait_while_it_packs(&mount);
        }
        let expected = operation.run(&plain).map_err(|e| e.raw_os_error());
        let done = operation
            .run(&mount.mountpoint)
            .map_err(|e| e.raw_os_error());
        let case = || {
            let operation = format!("{operation:?}");
            let end = operation.len().min(200);
            format!("seed {seed}, operation {number}: {}", &operation[..end])
        };
        assert_eq!(done, expected, "{}", case());
        let difference = difference(&tree(&plain), &tree(&mount.mountpoint));
        assert_eq!(difference, None, "{}", case());
    }
    // However little of it was packed meanwhile.
    fs::write(mount.path("last"), model(seed, 1)).unwrap();
    while packs && mount.packing().unwrap()["packed_files"] == 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let before = tree(&mount.mountpoint);
    mount.stop();
    // What is below is what was shown, also to one that does not write.
    let mount = place.mount();
    assert_eq!(difference(&before, &tree(&mount.mountpoint)), None);
    mount.stop();
    for own in ["work", "changes"] {
        assert!(!place.source.join(".weightfs").join(own).exists());
    }
}

#[test]
fn random_operations_have_the_outcome_that_they_have_below() {
    let rounds = u64::from(super::support::rounds(3));
    let first = fastrand::u64(..1_000_000);
    for seed in first..first + rounds {
        eprintln!("seed {seed}");
        compare(seed, 150, false);
    }
}

#[test]
fn random_operations_among_packing_have_the_outcome_that_they_have_below() {
    let rounds = u64::from(super::support::rounds(1));
    let first = fastrand::u64(..1_000_000);
    for seed in first..first + rounds {
        eprintln!("seed {seed}");
        compare(seed, 70, true);
    }
}
