//! Mounts a directory of archives from a program of one's own, has another process read from it, and
//! unmounts:
//!
//!     cargo run --release --example mount_and_wait -- packed mnt
//!
//! `packed` holds archives (`weightfs pack`), `mnt` is an empty directory.

use std::path::Path;
use std::process::{Command, ExitCode};

use weightfs::{MountOptions, mount};

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let [source, mountpoint] = &args[..] else {
        eprintln!("usage: mount_and_wait SRC MOUNTPOINT");
        return ExitCode::from(2);
    };
    match show(Path::new(source), Path::new(mountpoint)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Mounts, lists what is there, and unmounts.
pub fn show(source: &Path, mountpoint: &Path) -> weightfs::Result<()> {
    let options = MountOptions {
        cache_bytes: 64 << 20,
        ..MountOptions::default()
    };
    // When this returns, the mount answers.
    let mounted = mount(source, mountpoint, &options)?;
    // Any program may read now. One that maps files must not be the one that serves them.
    let listed = Command::new("ls").arg("-lL").arg(mountpoint).status();
    mounted.unmount()?;
    mounted.wait()?;
    match listed {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(weightfs::Error::Environment(format!(
            "ls ended with {status}"
        ))),
        Err(error) => Err(weightfs::Error::io("cannot run ls", error)),
    }
}
