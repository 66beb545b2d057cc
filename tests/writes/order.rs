//! The order in which a change of form becomes durable: a power failure at any moment leaves one whole form, or a record that
//! tells which one is to stay.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use super::strace::Strace;
use super::support::{Mount, Place, model};
use super::{LIMIT, packing, writable};

const CALLS: [&str; 3] = [
    "-y",
    "-e",
    "trace=pwrite64,write,fsync,fdatasync,renameat2,linkat,unlinkat",
];

/// Asserts that calls that have all of the words are in the trace, one behind the other.
fn assert_order(trace: &str, calls: &[&[&str]]) {
    let mut lines = trace.lines();
    for words in calls {
        let has_all = |line: &str| words.iter().all(|word| line.contains(word));
        assert!(
            lines.any(has_all),
            "no {words:?} where it should be: {trace}"
        );
    }
}

fn watched(mount: Mount, place: &Place, change: impl FnOnce(&Mount)) -> String {
    let strace = Strace::attach(&mount, place, &CALLS);
    change(&mount);
    mount.stop();
    // Messages are no files of the source.
    strace.trace()
}

/// What follows once what comes is on the disk.
fn assert_swapped(trace: &str, comes: &str, goes: &str) {
    let named = format!("\"{comes}\"");
    let gone = format!("\"{goes}\"");
    assert_order(
        trace,
        &[
            &["write(", ".weightfs/changes/"],
            &["fsync(", ".weightfs/changes/"],
            &["fsync(", ".weightfs/changes>"],
            &["renameat2(", &named],
            &["unlinkat(", &gone],
            &["fsync(", "source/dir>"],
            &["unlinkat(", ".weightfs/changes>"],
        ],
    );
}

#[test]
fn what_becomes_a_file_is_on_the_disk_before_its_archive_goes() {
    let place = Place::new();
    place.pack("dir/m.safetensors", &model(1, 1));
    let mount = writable(&place.source, &place.mountpoint);
    let trace = watched(mount, &place, |mount| {
        let file = OpenOptions::new()
            .write(true)
            .open(mount.path("dir/m.safetensors"))
            .unwrap();
        file.write_all_at(b"changed", 0).unwrap();
        file.sync_all().unwrap();
    });
    assert_order(
        &trace,
        &[
            &["pwrite64(", ".weightfs/work/"],
            &["fsync(", ".weightfs/work/"],
            &["write(", ".weightfs/changes/"],
        ],
    );
    assert_swapped(&trace, "m.safetensors", "m.safetensors.wfz");
    assert_order(
        &trace,
        &[
            &["fsync(", "source/dir>"],
            &["pwrite64(", "dir/m.safetensors>", "changed"],
            &["fsync(", "dir/m.safetensors>"],
        ],
    );
}

#[test]
fn what_is_packed_is_on_the_disk_before_the_file_goes() {
    let place = Place::new();
    fs::create_dir(place.source.join("dir")).unwrap();
    place.write("dir/m.part", &model(1, 1));
    let trace = watched(packing(&place, LIMIT), &place, |mount| {
        fs::rename(mount.path("dir/m.part"), mount.path("dir/m.safetensors")).unwrap();
        while mount.packing().unwrap()["packed_files"] == 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    assert_order(
        &trace,
        &[
            &["pwrite64(", ".weightfs/work/"],
            &["fsync(", ".weightfs/work/"],
            &["renameat2(", ".weightfs/work"],
            &["fsync(", ".weightfs/work>"],
            &["write(", ".weightfs/changes/"],
        ],
    );
    assert_swapped(&trace, "m.safetensors.wfz", "m.safetensors");
}

#[test]
fn what_is_renamed_over_another_form_is_so_on_the_disk_before_its_record_goes() {
    let place = Place::new();
    place.pack("dir/m.safetensors", &model(1, 1));
    place.write("plain", b"plain");
    let mount = writable(&place.source, &place.mountpoint);
    let trace = watched(mount, &place, |mount| {
        fs::rename(mount.path("plain"), mount.path("dir/m.safetensors")).unwrap();
    });
    assert_order(
        &trace,
        &[&["fsync(", "source/plain>"], &["write(", "changes/"]],
    );
    assert_swapped(&trace, "m.safetensors", "m.safetensors.wfz");
}
