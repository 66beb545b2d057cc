//! Files as they are.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::process::Command;

use super::place;
use super::support::noise;

#[test]
fn files_are_made_written_read_and_removed() {
    let (place, mount) = place();
    let bytes = noise(7, 3_000_000);
    fs::write(mount.path("new"), &bytes).unwrap();
    assert_eq!(fs::read(mount.path("new")).unwrap(), bytes);
    assert_eq!(fs::read(place.source.join("new")).unwrap(), bytes);
    let mut file = OpenOptions::new()
        .append(true)
        .open(mount.path("new"))
        .unwrap();
    file.write_all(b"more").unwrap();
    file.sync_all().unwrap();
    assert_eq!(file.metadata().unwrap().len(), 3_000_004);
    file.set_len(10).unwrap();
    assert_eq!(fs::read(place.source.join("new")).unwrap(), &bytes[..10]);
    fs::remove_file(mount.path("new")).unwrap();
    assert!(!place.source.join("new").exists());
    // It is there as long as it is open.
    file.set_len(0).unwrap();
    file.write_all(b"unseen").unwrap();
    assert_eq!(file.metadata().unwrap().len(), 6);
    assert_eq!(file.metadata().unwrap().nlink(), 0);
    drop(file);
    mount.stop();
}

#[test]
fn a_removed_file_is_not_taken_for_the_next_one() {
    let (_place, mount) = place();
    let path = mount.path("f");
    fs::write(&path, b"first").unwrap();
    let mut first = File::open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"second one").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"second one");
    let mut read = String::new();
    first.read_to_string(&mut read).unwrap();
    assert_eq!(read, "first");
    let now = File::open(&path).unwrap();
    assert_ne!(
        first.metadata().unwrap().ino(),
        now.metadata().unwrap().ino()
    );
    drop((first, now));
    mount.stop();
}

#[test]
fn holes_copies_and_reserved_space_are_as_below() {
    let (place, mount) = place();
    let file = OpenOptions::new()
        .create_new(true)
        .read(true)
        .write(true)
        .open(mount.path("holes"))
        .unwrap();
    file.write_all_at(b"data", 1 << 20).unwrap();
    file.set_len(4 << 20).unwrap();
    let seek = |from| rustix::fs::seek(&file, from);
    assert_eq!(seek(rustix::fs::SeekFrom::Data(0)), Ok(1 << 20));
    assert!(seek(rustix::fs::SeekFrom::Hole(1 << 20)).unwrap() < 2 << 20);
    assert_eq!(
        seek(rustix::fs::SeekFrom::Data(2 << 20)),
        Err(rustix::io::Errno::NXIO)
    );
    let flags = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(&file, flags, 1 << 20, 4096).unwrap();
    assert_eq!(fs::read(mount.path("holes")).unwrap(), vec![0; 4 << 20]);
    fs::copy(mount.path("dir/model.safetensors"), mount.path("copy")).unwrap();
    fs::copy(mount.path("copy"), mount.path("again")).unwrap();
    let model = super::support::model(1, 1);
    assert_eq!(fs::read(mount.path("again")).unwrap(), model);
    assert_eq!(fs::read(place.source.join("copy")).unwrap(), model);
    drop(file);
    mount.stop();
}

#[test]
fn special_files_and_names_of_weightfs() {
    let (place, mount) = place();
    let pipe = mount.path("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    assert!(
        Command::new("test")
            .arg("-p")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let refused = fs::create_dir(mount.path(".weightfs")).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
    assert!(!mount.path(".weightfs").exists());
    // A name that ends as those of archives do is kept as it is.
    fs::write(mount.path("x.wfz"), b"no archive").unwrap();
    let archive = fs::read(place.source.join("dir/model.safetensors.wfz")).unwrap();
    fs::write(mount.path("dir/copy.wfz"), &archive).unwrap();
    assert_eq!(fs::read(mount.path("dir/copy.wfz")).unwrap(), archive);
    assert!(!mount.path("dir/copy").exists() && !mount.path("x").exists());
    // And that of an archive that is shown is free: it becomes a file.
    fs::write(mount.path("dir/model.safetensors.wfz"), b"taken").unwrap();
    assert_eq!(
        fs::read(mount.path("dir/model.safetensors.wfz")).unwrap(),
        b"taken"
    );
    let model = super::support::model(1, 1);
    assert_eq!(
        fs::read(mount.path("dir/model.safetensors")).unwrap(),
        model
    );
    assert_eq!(
        fs::read(place.source.join("dir/model.safetensors")).unwrap(),
        model
    );
    mount.stop();
}

#[test]
fn what_is_mapped_and_written_is_in_the_file() {
    let (place, mount) = place();
    fs::write(mount.path("map"), vec![1; 100_000]).unwrap();
    let script = "import mmap,sys\nf=open(sys.argv[1],'r+b')\nm=mmap.mmap(f.fileno(),0)\nm[50000:50003]=b'abc'\nm.flush()\nm[60000:60003]=b'def'\nm.close()\n";
    for name in ["map", "dir/model.safetensors"] {
        let before = fs::read(mount.path(name)).unwrap();
        let ran = Command::new("python3")
            .arg("-c")
            .arg(script)
            .arg(mount.path(name))
            .status();
        assert!(ran.unwrap().success());
        let mut expected = before;
        expected[50000..50003].copy_from_slice(b"abc");
        expected[60000..60003].copy_from_slice(b"def");
        assert!(fs::read(mount.path(name)).unwrap() == expected);
        assert!(fs::read(place.source.join(name)).unwrap() == expected);
    }
    mount.stop();
}

#[test]
fn locks_hold_between_processes() {
    let (_place, mount) = place();
    let file = File::open(mount.path("plain.txt")).unwrap();
    file.lock().unwrap();
    let try_lock = |path: &std::path::Path| {
        let tried = Command::new("flock")
            .arg("-n")
            .arg(path)
            .arg("true")
            .status();
        tried.unwrap().success()
    };
    assert!(!try_lock(&mount.path("plain.txt")));
    assert!(try_lock(&mount.path("dir/model.safetensors")));
    drop(file);
    assert!(try_lock(&mount.path("plain.txt")));
    mount.stop();
}

#[test]
fn a_file_grows_under_its_reader() {
    let (_place, mount) = place();
    let mut writer = File::create(mount.path("log")).unwrap();
    let mut reader = File::open(mount.path("log")).unwrap();
    for number in 0..50 {
        let line = format!("line {number}\n");
        writer.write_all(line.as_bytes()).unwrap();
        let mut read = vec![0; line.len()];
        reader.read_exact(&mut read).unwrap();
        assert_eq!(read, line.as_bytes());
    }
    assert_eq!(
        reader.seek(SeekFrom::End(0)).unwrap(),
        writer.metadata().unwrap().len()
    );
    drop((writer, reader));
    mount.stop();
}

#[test]
fn a_second_writable_mount_is_refused() {
    let (place, mount) = place();
    let other = place.root.path().join("other");
    fs::create_dir(&other).unwrap();
    let arguments = [
        "mount".as_ref(),
        "--writable".as_ref(),
        place.source.as_os_str(),
        other.as_os_str(),
    ];
    let (status, _, stderr) = super::support::run(arguments);
    assert_eq!(status, 2, "{stderr}");
    assert!(stderr.contains("another mount writes to"), "{stderr}");
    mount.stop();
    let (status, _, stderr) = super::support::run([
        "mount".as_ref(),
        "--writable".as_ref(),
        place.source.join("dir/model.safetensors.wfz").as_os_str(),
        other.as_os_str(),
    ]);
    assert_eq!(status, 2, "{stderr}");
    assert!(
        stderr.contains("mount the directory that it is in"),
        "{stderr}"
    );
}

#[test]
fn modes_and_flags_of_opening_hold() {
    let (_place, mount) = place();
    let path = mount.path("mode");
    OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o640)
        .open(&path)
        .unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o640
    );
    let again = OpenOptions::new()
        .create_new(true)
        .write(true)
        .open(&path)
        .unwrap_err();
    assert_eq!(again.kind(), std::io::ErrorKind::AlreadyExists);
    fs::write(&path, b"long text").unwrap();
    OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(&path)
        .unwrap()
        .write_all(b"short")
        .unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"short");
    mount.stop();
}
