//! Mounts that are written to: what is done by way of one has the outcome that it has on the file system below.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    missing_docs,
    reason = "test code"
)]

#[path = "../support/mod.rs"]
mod support;

mod again;
mod archives;
mod killed;
mod listings;
mod order;
mod plain;
mod random;
mod readers;
mod renames;
mod steps;
mod strace;
mod tree;
mod users;

use std::path::Path;
use std::time::Duration;

use support::{Mount, Place};

/// No test here takes longer.
const LIMIT: Duration = Duration::from_secs(300);

/// Mounts to be written.
fn writable(source: &Path, mountpoint: &Path) -> Mount {
    Mount::with(source, mountpoint, &["--writable"], LIMIT)
}

/// Mounts to be written, and has what is written packed.
fn packing(place: &Place, limit: Duration) -> Mount {
    let options = ["--writable", "--pack=fast", "--pack-after=0"];
    Mount::with(&place.source, &place.mountpoint, &options, limit)
}

/// A source with a plain file, an archive in a directory, and a mount of it that is written to.
fn place() -> (Place, Mount) {
    let place = Place::new();
    place.write("plain.txt", b"plain");
    place.pack("dir/model.safetensors", &support::model(1, 1));
    let mount = writable(&place.source, &place.mountpoint);
    (place, mount)
}
