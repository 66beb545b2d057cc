//! Files of archives, that are files too.

use std::fs::{self, File, FileTimes, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::time::{Duration, SystemTime};

use super::support::{Place, model};
use super::{place, writable};

const MODEL: &str = "dir/model.safetensors";

fn archive(place: &Place) -> std::path::PathBuf {
    place.source.join("dir/model.safetensors.wfz")
}

#[test]
fn names_and_attributes_change_where_the_archive_is() {
    let (place, mount) = place();
    let bytes = model(1, 1);
    let inode = fs::metadata(mount.path(MODEL)).unwrap().ino();
    fs::rename(mount.path(MODEL), mount.path("moved")).unwrap();
    assert!(place.source.join("moved.wfz").exists() && !archive(&place).exists());
    let meta = fs::metadata(mount.path("moved")).unwrap();
    assert_eq!((meta.ino(), meta.len()), (inode, bytes.len() as u64));
    fs::set_permissions(mount.path("moved"), Permissions::from_mode(0o600)).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::new(86_400, 5);
    let times = FileTimes::new().set_modified(time).set_accessed(time);
    File::open(mount.path("moved"))
        .unwrap()
        .set_times(times)
        .unwrap();
    fs::hard_link(mount.path("moved"), mount.path("linked")).unwrap();
    let meta = fs::metadata(mount.path("linked")).unwrap();
    assert_eq!(
        (meta.mode() & 0o7777, meta.modified().unwrap()),
        (0o600, time)
    );
    assert_eq!((meta.nlink(), meta.ino()), (2, inode));
    assert!(fs::read(mount.path("linked")).unwrap() == bytes);
    fs::remove_file(mount.path("moved")).unwrap();
    assert!(!place.source.join("moved.wfz").exists());
    mount.stop();
    // Unpacked, it has the time that was set.
    super::support::ok([
        "unpack".as_ref(),
        "--replace".as_ref(),
        place.source.join("linked.wfz").as_os_str(),
    ]);
    let meta = fs::metadata(place.source.join("linked")).unwrap();
    assert_eq!(meta.modified().unwrap(), time);
}

#[test]
fn who_opens_one_for_writing_and_reads_leaves_it_an_archive() {
    let (place, mount) = place();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(mount.path(MODEL))
        .unwrap();
    let mut read = vec![0; 100];
    file.read_exact_at(&mut read, 5000).unwrap();
    file.sync_all().unwrap();
    assert_eq!(read, model(1, 1)[5000..5100]);
    drop(file);
    assert!(archive(&place).exists());
    mount.stop();
}

#[test]
fn who_writes_gets_a_file_and_others_see_it() {
    let (place, mount) = place();
    let mut expected = model(1, 1);
    let before = fs::metadata(mount.path(MODEL)).unwrap();
    let reader = File::open(mount.path(MODEL)).unwrap();
    let second = OpenOptions::new()
        .read(true)
        .write(true)
        .open(mount.path(MODEL))
        .unwrap();
    let writer = OpenOptions::new()
        .write(true)
        .open(mount.path(MODEL))
        .unwrap();
    writer.write_all_at(b"written", 123_456).unwrap();
    expected[123_456..123_463].copy_from_slice(b"written");
    second.write_all_at(b"too", 7_000).unwrap();
    expected[7_000..7_003].copy_from_slice(b"too");
    for file in [&reader, &second] {
        let mut read = vec![0; expected.len()];
        file.read_exact_at(&mut read, 0).unwrap();
        assert!(read == expected);
    }
    writer.sync_all().unwrap();
    assert!(!archive(&place).exists());
    assert!(fs::read(place.source.join(MODEL)).unwrap() == expected);
    let after = fs::metadata(mount.path(MODEL)).unwrap();
    assert_eq!((before.ino(), before.mode()), (after.ino(), after.mode()));
    drop((reader, second, writer));
    assert!(fs::read(mount.path(MODEL)).unwrap() == expected);
    mount.stop();
}

#[test]
fn one_without_a_name_is_written_to_by_those_who_have_it_open() {
    for way in ["rename", "remove", "remove the directory"] {
        let (place, mount) = place();
        let mut expected = model(1, 1);
        let reader = File::open(mount.path(MODEL)).unwrap();
        let writer = OpenOptions::new()
            .write(true)
            .open(mount.path(MODEL))
            .unwrap();
        match way {
            "rename" => fs::rename(mount.path("plain.txt"), mount.path(MODEL)),
            "remove" => fs::remove_file(mount.path(MODEL)),
            _ => fs::remove_dir_all(mount.path("dir")),
        }
        .unwrap();
        writer.write_all_at(b"written", 123_456).unwrap();
        expected[123_456..123_463].copy_from_slice(b"written");
        writer.write_all_at(b"end", expected.len() as u64).unwrap();
        expected.extend(b"end");
        writer.sync_all().unwrap();
        let mut read = vec![0; expected.len()];
        reader.read_exact_at(&mut read, 0).unwrap();
        assert!(read == expected);
        let meta = reader.metadata().unwrap();
        assert_eq!((meta.len(), meta.nlink()), (expected.len() as u64, 0));
        drop((reader, writer));
        let named = fs::read(mount.path(MODEL)).ok();
        assert_eq!(named, (way == "rename").then(|| b"plain".to_vec()));
        mount.stop();
        assert!(!archive(&place).exists() && !place.source.join(".weightfs").exists());
    }
}

#[test]
fn one_is_written_to_by_whatever_name_it_has_left() {
    for is_taken in [false, true] {
        let (place, mount) = place();
        let mut expected = model(1, 1);
        let writer = OpenOptions::new()
            .write(true)
            .open(mount.path(MODEL))
            .unwrap();
        // Known by the one that was made last.
        fs::hard_link(mount.path(MODEL), mount.path("other")).unwrap();
        match is_taken {
            true => fs::rename(mount.path("plain.txt"), mount.path("other")),
            false => fs::remove_file(mount.path("other")),
        }
        .unwrap();
        writer.write_all_at(b"written", 123_456).unwrap();
        expected[123_456..123_463].copy_from_slice(b"written");
        drop(writer);
        assert!(fs::read(mount.path(MODEL)).unwrap() == expected);
        let other = fs::read(mount.path("other")).ok();
        assert_eq!(other, is_taken.then(|| b"plain".to_vec()));
        mount.stop();
        assert!(!archive(&place).exists());
    }
}

#[test]
fn one_that_is_cut_to_nothing_or_renamed_over_is_not_decoded() {
    let (place, mount) = place();
    let reader = File::open(mount.path(MODEL)).unwrap();
    fs::write(mount.path("other"), b"other").unwrap();
    fs::rename(mount.path("other"), mount.path(MODEL)).unwrap();
    assert_eq!(fs::read(mount.path(MODEL)).unwrap(), b"other");
    assert!(!archive(&place).exists());
    // Who has it open has what it was.
    let mut read = vec![0; 1000];
    reader.read_exact_at(&mut read, 300_000).unwrap();
    assert_eq!(read, model(1, 1)[300_000..301_000]);
    drop(reader);
    mount.stop();

    let place = Place::new();
    // Its blocks cannot be decoded, and need not be.
    let path = place.pack("m.safetensors", &model(2, 1));
    let mut damaged = fs::read(&path).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle - 5000..middle + 5000].fill(0x55);
    fs::write(&path, damaged).unwrap();
    let mount = writable(&place.source, &place.mountpoint);
    let file = OpenOptions::new()
        .write(true)
        .open(mount.path("m.safetensors"))
        .unwrap();
    let refused = file.write_all_at(b"x", 5).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EIO));
    assert!(path.exists());
    drop(file);
    File::create(mount.path("m.safetensors"))
        .unwrap()
        .write_all(b"new")
        .unwrap();
    assert_eq!(fs::read(mount.path("m.safetensors")).unwrap(), b"new");
    assert!(!path.exists());
    mount.stop();
}

#[test]
fn hard_links_of_one_stay_one_file() {
    let place = Place::new();
    let archive = place.pack("a/m", &model(3, 1));
    fs::create_dir(place.source.join("b")).unwrap();
    fs::hard_link(&archive, place.source.join("b/n.wfz")).unwrap();
    let mount = writable(&place.source, &place.mountpoint);
    let file = OpenOptions::new()
        .write(true)
        .open(mount.path("b/n"))
        .unwrap();
    file.write_all_at(b"changed", 0).unwrap();
    drop(file);
    let (one, other) = (
        fs::metadata(mount.path("a/m")),
        fs::metadata(mount.path("b/n")),
    );
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!((one.ino(), one.nlink()), (other.ino(), 2));
    assert_eq!(&fs::read(mount.path("a/m")).unwrap()[..7], b"changed");
    assert!(!archive.exists() && !place.source.join("b/n.wfz").exists());
    mount.stop();
}

#[test]
fn over_itself_with_links_as_hub_caches_have_them() {
    let place = Place::new();
    place.pack("blobs/abc", &model(4, 1));
    fs::create_dir(place.source.join("snapshots")).unwrap();
    std::os::unix::fs::symlink("../blobs/abc", place.source.join("snapshots/m.safetensors"))
        .unwrap();
    let mount = writable(&place.source, &place.source);
    let path = mount.path("snapshots/m.safetensors");
    assert!(fs::read(&path).unwrap() == model(4, 1));
    let absolute = place.source.join("blobs/abc");
    std::os::unix::fs::symlink(&absolute, mount.path("snapshots/absolute")).unwrap();
    assert_eq!(
        fs::read_link(mount.path("snapshots/absolute")).unwrap(),
        absolute
    );
    assert!(fs::read(mount.path("snapshots/absolute")).unwrap() == model(4, 1));
    let file = OpenOptions::new().append(true).open(&path).unwrap();
    (&file).write_all(b"end").unwrap();
    drop(file);
    assert_eq!(
        fs::metadata(&path).unwrap().len(),
        model(4, 1).len() as u64 + 3
    );
    mount.stop();
    assert_eq!(
        fs::metadata(place.source.join("blobs/abc")).unwrap().len(),
        model(4, 1).len() as u64 + 3
    );
}
