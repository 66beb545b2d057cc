//! `mount --pack`: files that are written to a mount become archives behind those who use them, and nothing is
//! lost or changes for that, whatever is killed when.
#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{XattrFlags, getxattr, setxattr};
use serde_json::{Value, json};
use support::{Dir, Mount, Place, model, noise, ok, safetensors, weightfs, weights};

/// Nothing here takes that long, and what packs runs only when all else is idle.
const LIMIT: Duration = Duration::from_secs(300);
const WAIT: Duration = Duration::from_secs(200);
const PAUSE: Duration = Duration::from_millis(10);

/// A writable mount that packs what nobody has touched for so many seconds; its messages go to a file.
fn mount_after(place: &Place, seconds: &str) -> Mount {
    let log = File::options()
        .create(true)
        .append(true)
        .open(log_of(place))
        .unwrap();
    let mut command = weightfs();
    command
        .args([
            "mount",
            "--writable",
            "--pack=fast",
            "--ttl",
            "0",
            "--pack-after",
            seconds,
        ])
        .arg(&place.source)
        .arg(&place.mountpoint)
        .stderr(log);
    Mount::spawn(command, &place.mountpoint, LIMIT)
}

fn log_of(place: &Place) -> PathBuf {
    place.root.path().join("log")
}

/// What the mount says of packing.
fn packing(mount: &Mount) -> Value {
    mount.packing().unwrap()
}

#[track_caller]
fn wait_for(is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < WAIT);
        std::thread::sleep(PAUSE);
    }
}

/// Waits until packing is as it should be.
#[track_caller]
fn wait_until(mount: &Mount, is_so: impl Fn(&Value) -> bool) -> Value {
    let start = Instant::now();
    loop {
        let found = packing(mount);
        if is_so(&found) {
            return found;
        }
        assert!(start.elapsed() < WAIT, "{found}");
        std::thread::sleep(PAUSE);
    }
}

fn has_packed(files: u64) -> impl Fn(&Value) -> bool {
    move |packing| packing["packed_files"] == files
}

/// Nothing waits or is in work.
fn is_idle(packing: &Value) -> bool {
    packing["queued_files"] == 0 && packing["packing"].is_null()
}

/// All regular files below a directory, by their relative paths.
fn files_in(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![root.to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => directories.push(path),
                false => found.push(path.strip_prefix(root).unwrap().to_path_buf()),
            }
        }
    }
    found.sort();
    found
}

/// What is of packing alone, and should be gone when nothing is packed.
fn work_files(source: &Path) -> Vec<PathBuf> {
    let mut files = files_in(source);
    files.retain(|path| {
        let path = path.to_str().unwrap();
        let is_work = [".weightfs/work", ".weightfs/changes"]
            .iter()
            .any(|own| path.contains(own));
        is_work || path.ends_with(".wfz-tmp")
    });
    files
}

/// What is of a file that must stay as it is.
#[derive(Debug, PartialEq, Eq)]
struct Facts {
    inode: u64,
    bytes: u64,
    mode: u32,
    owner: (u32, u32),
    modified: SystemTime,
    note: Vec<u8>,
}

fn facts(path: &Path) -> Facts {
    let meta = fs::metadata(path).unwrap();
    let mut note = vec![0; 100];
    let len = getxattr(path, "user.note", &mut note[..]).unwrap_or(0);
    note.truncate(len);
    Facts {
        inode: meta.ino(),
        bytes: meta.len(),
        mode: meta.mode(),
        owner: (meta.uid(), meta.gid()),
        modified: meta.modified().unwrap(),
        note,
    }
}

/// `pack-behind`, as a mount starts it.
fn pack_behind(directory: &Dir, from: &str) -> Value {
    let output = weightfs()
        .args(["pack-behind", "--level", "fast", "--parent"])
        .arg(std::process::id().to_string())
        .args(["--", from, "work/archive"])
        .current_dir(directory.0.path())
        .stdin(File::open(directory.path(from)).unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    support::json(&String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_process_that_packs_says_what_became_of_a_file() {
    let dir = Dir::new();
    let bytes = model(1, 2);
    let cut = &bytes[..bytes.len() - 1000];
    let random = noise(2, 3 << 20);
    let random = safetensors(&[("a", "U8", &[random.len() as u64], random)]);
    dir.write("work/.gone.wfz-tmp", b"what a killed one has left");
    dir.write("work/.a1b2c3.wfz-tmp", b"what a killed one has left");
    for (name, bytes, expected) in [
        ("cut.safetensors", cut, "fault"),
        ("not.safetensors", &[7; 5000][..], "fault"),
        ("random.safetensors", &random, "\"not_smaller\""),
        ("text", &[b'a'; 2 << 20], "\"no_model\""),
        ("m.safetensors.part", &bytes, "\"no_model\""),
        ("sha256-1234-partial", &bytes, "\"no_model\""),
    ] {
        dir.write(name, bytes);
        let answer = pack_behind(&dir, name).to_string();
        assert!(answer.contains(expected), "{name}: {answer}");
        assert_eq!(dir.names("work"), [".gone.wfz-tmp"], "{name}");
    }
    let file = dir.write("a blob", &bytes);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    for name in ["user.note", "user.weightfs.kept"] {
        setxattr(&file, name, b"kept", XattrFlags::empty()).unwrap();
    }
    let before = facts(Path::new(&file));
    let answer = pack_behind(&dir, "a blob");
    let archive = PathBuf::from(dir.path("work/archive"));
    let stored = archive.metadata().unwrap().len();
    let expected = json!({ "packed": { "original_bytes": bytes.len(), "stored_bytes": stored } });
    assert_eq!(answer, expected);
    assert_eq!(facts(Path::new(&file)), before, "it is only read");
    let made = facts(&archive);
    let expected = Facts {
        inode: made.inode,
        bytes: stored,
        ..before
    };
    assert_eq!(made, expected);
    let own = getxattr(&archive, "user.weightfs.kept", &mut [0; 10][..]);
    assert!(own.is_err(), "that was noted at the file");
    ok(["unpack", archive.to_str().unwrap(), "-o", &dir.path("back")]);
    assert_eq!(fs::read(dir.path("back")).unwrap(), bytes);
}

#[test]
fn a_process_that_packs_ends_with_the_one_that_started_it() {
    let dir = Dir::new();
    dir.write("work/x", b"");
    dir.write("m.safetensors", &model(1, 64));
    // A shell that starts it, and is killed.
    let script =
        r#""$0" pack-behind --parent $$ m.safetensors work/a <m.safetensors & echo $!; read x"#;
    let mut shell = Command::new("sh")
        .args(["-c", script])
        .arg(env!("CARGO_BIN_EXE_weightfs"))
        .current_dir(dir.0.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = [0; 20];
    let len = shell.stdout.as_mut().unwrap().read(&mut said).unwrap();
    let pid = std::str::from_utf8(&said[..len]).unwrap().trim().to_owned();
    let state = || fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    wait_for(|| dir.names("work").len() == 2);
    // Stopped, as where somebody reads.
    support::signal(pid.parse().unwrap(), "STOP");
    wait_for(|| state().contains("State:\tT"));
    shell.kill().unwrap();
    shell.wait().unwrap();
    wait_for(|| !is_running(&pid));
    assert!(!Path::new(&dir.path("work/a")).exists());
}

#[test]
fn what_is_written_is_packed_and_stays_the_same_file() {
    let place = Place::new();
    fs::create_dir(place.source.join("sub")).unwrap();
    let mount = mount_after(&place, "0.2");
    let bytes = model(1, 2);
    let path = mount.path("sub/m.safetensors");
    fs::write(&path, &bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    setxattr(&path, "user.note", b"kept", XattrFlags::empty()).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_600_000_000_123_456_789);
    let file = File::options().write(true).open(&path).unwrap();
    file.set_modified(time).unwrap();
    drop(file);
    let before = facts(&path);
    let reader = File::open(&path).unwrap();
    let mut start = vec![0; 1 << 20];
    reader.read_exact_at(&mut start, 0).unwrap();

    let found = wait_until(&mount, has_packed(1));
    assert_eq!(facts(&path), before);
    assert_eq!(fs::read(&path).unwrap(), bytes);
    let mut rest = vec![0; bytes.len()];
    reader.read_exact_at(&mut rest, 0).unwrap();
    assert!(start == bytes[..start.len()] && rest == bytes);
    let files = files_in(&place.source);
    assert!(files.contains(&"sub/m.safetensors.wfz".into()), "{files:?}");
    assert!(!files.contains(&"sub/m.safetensors".into()), "{files:?}");
    let stored = fs::metadata(place.source.join("sub/m.safetensors.wfz"));
    let stored = stored.unwrap().len();
    assert_eq!(found["original_bytes"], bytes.len());
    assert!(found["saved_bytes"].as_u64().unwrap() >= bytes.len() as u64 - stored - (1 << 16));
    assert_eq!(work_files(&place.source), [""; 0].map(PathBuf::from));
    let lines = ok(["stats", mount.mountpoint.to_str().unwrap()]);
    assert!(lines.contains("packed              1 files of"), "{lines}");
    drop(reader);
    mount.stop();
    let log = fs::read_to_string(log_of(&place)).unwrap();
    assert!(log.contains("packed sub/m.safetensors"), "{log}");
}

/// What a reader has open is the file that was there before, which is gone.
#[test]
fn what_is_packed_under_a_reader_is_changed_where_it_is() {
    let place = Place::new();
    let mount = mount_after(&place, "0");
    let path = mount.path("m.safetensors");
    fs::write(&path, model(1, 2)).unwrap();
    let reader = File::open(&path).unwrap();
    wait_until(&mount, has_packed(1));
    let archive = place.source.join("m.safetensors.wfz");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    reader.set_modified(time).unwrap();
    setxattr(&path, "user.note", b"note", XattrFlags::empty()).unwrap();
    for shown in [fs::metadata(&path).unwrap(), reader.metadata().unwrap()] {
        assert_eq!(shown.mode() & 0o777, 0o600);
        assert_eq!(shown.modified().unwrap(), time);
    }
    assert_eq!(fs::metadata(&archive).unwrap().mode() & 0o777, 0o600);
    let mut note = [0; 8];
    let len = getxattr(&archive, "user.note", &mut note[..]).unwrap();
    assert_eq!(&note[..len], b"note");
    drop(reader);
    mount.stop();
}

/// What is mounted over a source is in the way of all that goes by the path of it.
#[test]
fn a_source_that_its_mount_lies_over_is_packed() {
    let mut place = Place::new();
    place.mountpoint.clone_from(&place.source);
    let before = model(1, 2);
    place.write("deep/before.safetensors", &before);
    let mount = mount_after(&place, "0");
    let written = model(2, 2);
    fs::write(mount.path("m.safetensors"), &written).unwrap();
    wait_until(&mount, has_packed(2));
    assert!(fs::read(mount.path("deep/before.safetensors")).unwrap() == before);
    assert!(fs::read(mount.path("m.safetensors")).unwrap() == written);
    mount.stop();
    let archives = ["deep/before.safetensors.wfz", "m.safetensors.wfz"];
    assert_eq!(files_in(&place.source), archives.map(PathBuf::from));
}

#[test]
fn what_was_there_before_is_packed_too_and_nothing_else() {
    let place = Place::new();
    let bytes = model(1, 1);
    place.write("deep/er/m.gguf", &bytes);
    place.write(
        "small.safetensors",
        &safetensors(&[("a", "BF16", &[1000], weights(1, 1000))]),
    );
    place.write("text", &[b'a'; 2 << 20]);
    place.write("cut.safetensors", &bytes[..bytes.len() - 1]);
    place.write("taken.safetensors", &bytes);
    place.write("taken.safetensors.wfz", b"something else");
    let before = files_in(&place.source);
    let mount = mount_after(&place, "0");
    let found = wait_until(&mount, |packing| {
        packing["packed_files"] == 1 && is_idle(packing)
    });
    assert_eq!(found["failed_files"], 1);
    let failure = found["last_failure"].as_str().unwrap();
    assert!(
        failure.starts_with("cut.safetensors: it is not complete"),
        "{failure}"
    );
    let mut expected = before;
    for path in &mut expected {
        if path.ends_with("m.gguf") {
            path.as_mut_os_string().push(".wfz");
        }
    }
    let mut files = files_in(&place.source);
    files.retain(|path| !path.starts_with(".weightfs"));
    assert_eq!(files, expected);
    assert_eq!(fs::read(mount.path("deep/er/m.gguf")).unwrap(), bytes);
    // It is told once, and again when somebody writes to it.
    let told = || {
        let log = fs::read_to_string(log_of(&place)).unwrap();
        log.matches("cut.safetensors is not packed").count()
    };
    assert_eq!(told(), 1);
    fs::write(mount.path("cut.safetensors"), &bytes[..bytes.len() - 2]).unwrap();
    wait_until(&mount, |packing| {
        packing["failed_files"] == 2 && is_idle(packing)
    });
    assert_eq!(told(), 2);
    fs::write(mount.path("cut.safetensors"), &bytes).unwrap();
    wait_until(&mount, has_packed(2));
    mount.stop();
}

#[test]
fn what_is_changed_while_it_is_packed_is_not_lost() {
    let place = Place::new();
    let mount = mount_after(&place, "0");
    let path = mount.path("m.safetensors");
    for round in 0..4 {
        let before = packing(&mount)["packed_files"].as_u64().unwrap();
        fs::write(&path, model(round, 16)).unwrap();
        wait_until(&mount, |packing| !packing["packing"].is_null());
        let bytes = model(100 + round, 3);
        match round {
            0 => fs::write(&path, &bytes).unwrap(),
            1 => {
                fs::write(mount.path("new"), &bytes).unwrap();
                fs::rename(mount.path("new"), &path).unwrap();
            }
            2 => {
                fs::remove_file(&path).unwrap();
                fs::write(&path, &bytes).unwrap();
            }
            _ => {
                fs::rename(&path, mount.path("away")).unwrap();
                fs::write(&path, &bytes).unwrap();
            }
        }
        assert!(fs::read(&path).unwrap() == bytes);
        wait_until(&mount, |packing| {
            packing["packed_files"].as_u64() > Some(before) && is_idle(packing)
        });
        assert!(fs::read(&path).unwrap() == bytes, "round {round}");
    }
    assert!(fs::read(mount.path("away")).unwrap() == model(3, 16));
    assert_eq!(work_files(&place.source), [""; 0].map(PathBuf::from));
    mount.stop();
}

#[test]
fn who_has_it_open_for_writing_is_waited_for() {
    let place = Place::new();
    let mount = mount_after(&place, "0");
    let path = mount.path("m.safetensors");
    let bytes = model(1, 2);
    let mut writer = File::create(&path).unwrap();
    writer.write_all(&bytes[..bytes.len() - 1]).unwrap();
    // Somebody else opens and closes it meanwhile.
    drop(File::options().append(true).open(&path).unwrap());
    fs::write(mount.path("other.safetensors"), model(2, 2)).unwrap();
    wait_until(&mount, has_packed(1));
    assert!(place.source.join("m.safetensors").exists());
    writer.write_all(&bytes[bytes.len() - 1..]).unwrap();
    drop(writer);
    wait_until(&mount, has_packed(2));
    assert!(fs::read(&path).unwrap() == bytes);
    mount.stop();
}

/// What a map writes to a page that it has written to before changes no time of the file.
#[test]
fn who_writes_by_a_map_is_waited_for_though_the_file_is_closed() {
    const OFFSET: usize = 5_000;
    let place = Place::new();
    let mut bytes = model(1, 16);
    let below = place.write("m.safetensors", &bytes);
    let file = File::options().read(true).write(true).open(&below).unwrap();
    // SAFETY: nobody cuts the file.
    #[expect(unsafe_code, reason = "a program that maps a file")]
    let mut map = unsafe { memmap2::MmapMut::map_mut(&file) }.unwrap();
    drop(file);
    map[OFFSET] = 0;
    let mount = mount_after(&place, "0");
    let path = mount.path("m.safetensors");
    fs::write(mount.path("other.safetensors"), model(2, 2)).unwrap();
    let has_read_all = |child: &String| {
        let counts = fs::read_to_string(format!("/proc/{child}/io")).unwrap_or_default();
        let read = counts.lines().find_map(|line| line.strip_prefix("rchar: "));
        read.is_some_and(|read| read.parse::<usize>().unwrap() > bytes.len())
    };
    // The other one has its turn after this one.
    wait_for(|| {
        children_of(mount.pid()).iter().any(has_read_all) || packing(&mount)["packed_files"] == 1
    });
    map[OFFSET] = 77;
    bytes[OFFSET] = 77;
    drop(map);
    wait_until(&mount, has_packed(2));
    assert!(fs::read(&path).unwrap() == bytes);
    mount.stop();
}

#[test]
fn a_mount_that_ends_takes_its_packing_with_it() {
    let place = Place::new();
    let bytes = model(1, 64);
    place.write("m.safetensors", &bytes);
    for way in ["stop", "umount", "kill"] {
        let mount = mount_after(&place, "0");
        // The mount says that it packs when a process has been started, and that is the program that does it a little later.
        wait_for(|| !children_of(mount.pid()).is_empty());
        let children = children_of(mount.pid());
        assert!(!children.is_empty());
        // So that none is done before the mount ends.
        for child in &children {
            support::signal(child.parse().unwrap(), "STOP");
        }
        match way {
            "stop" => mount.stop(),
            "umount" => {
                support::umount(&mount.mountpoint);
                assert!(mount.wait().success());
            }
            _ => mount.kill(),
        }
        wait_for(|| !children.iter().any(|child| is_running(child)));
        if way != "kill" {
            assert_eq!(
                work_files(&place.source),
                [""; 0].map(PathBuf::from),
                "{way}"
            );
        }
        assert!(fs::read(place.source.join("m.safetensors")).unwrap() == bytes);
    }
    // What the killed one has left goes, and the file is packed after all.
    let mount = mount_after(&place, "0");
    wait_until(&mount, has_packed(1));
    assert_eq!(work_files(&place.source), [""; 0].map(PathBuf::from));
    assert!(fs::read(mount.path("m.safetensors")).unwrap() == bytes);
    mount.stop();
}

/// The processes that pack for a mount.
fn children_of(pid: u32) -> Vec<String> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let children = fs::read_to_string(task.unwrap().path().join("children"));
        found.extend(
            children
                .unwrap_or_default()
                .split_whitespace()
                .map(str::to_owned),
        );
    }
    found.retain(|child| is_running(child));
    found
}

fn is_running(pid: &str) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.windows(11).any(|part| part == b"pack-behind")
}

#[test]
fn it_stands_back_and_goes_on_where_readers_never_end() {
    let place = Place::new();
    place.pack("other.safetensors", &model(9, 8));
    place.write("m.safetensors", &model(1, 40));
    let mount = mount_after(&place, "0");
    // Its policy, counted behind the name.
    let policy = |child: &String| {
        let stat = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        let behind = stat.rsplit(')').next().unwrap_or_default();
        let mut fields = behind.split_whitespace().map(str::to_owned);
        fields.nth(38)
    };
    let is_idle_only = Some(libc::SCHED_IDLE.to_string());
    let (mut has_waited, mut was_idle_only) = (false, false);
    let mut buffer = vec![0; 1 << 20];
    let start = Instant::now();
    loop {
        // Past the page cache, so that the mount is asked each time.
        let file = File::options()
            .read(true)
            .open(mount.path("other.safetensors"))
            .unwrap();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        file.read_exact_at(&mut buffer, 0).unwrap();
        let found = packing(&mount);
        has_waited |= found["waits_for"] == "readers";
        let mut children = children_of(mount.pid()).into_iter();
        was_idle_only |= children.any(|child| policy(&child) == is_idle_only);
        if found["packed_files"] == 1 {
            break;
        }
        assert!(start.elapsed() < WAIT, "{found}");
    }
    assert!(has_waited, "it never stood back");
    assert!(was_idle_only, "it had the processor like others");
    mount.stop();
}

/// A file system of so many bytes, in memory.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn new(at: &Path, bytes: u64) -> Self {
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "none"])
            .arg(at)
            .output()
            .unwrap();
        assert!(output.status.success(), "mounting needs root: {output:?}");
        Self(at.to_path_buf())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn where_the_disk_is_full_files_stay_as_they_are() {
    let place = Place::new();
    let disk = SmallDisk::new(&place.source, 100 << 20);
    let (bytes, large) = (model(1, 32), model(2, 60));
    place.write("m.safetensors", &bytes);
    let mount = mount_after(&place, "0");
    wait_until(&mount, |packing| !packing["packing"].is_null());
    // Somebody else takes the rest.
    let filler = File::create(place.source.join("filler")).unwrap();
    let flags = rustix::fs::FallocateFlags::empty();
    let mut taken = 0;
    // What packs takes some of it at the same time.
    while rustix::fs::fallocate(&filler, flags, taken, 1 << 20).is_ok() {
        taken += 1 << 20;
    }
    let found = wait_until(&mount, |packing| packing["failed_files"] == 1);
    let failure = found["last_failure"].as_str().unwrap();
    // Not as the process that packs has it.
    assert!(!failure.contains("/proc/"), "{failure}");
    assert!(
        failure.starts_with("m.safetensors: ") && failure.contains("No space left"),
        "{failure}"
    );
    assert!(fs::read(mount.path("m.safetensors")).unwrap() == bytes);
    assert_eq!(work_files(&place.source), [""; 0].map(PathBuf::from));
    drop(filler);
    fs::remove_file(place.source.join("filler")).unwrap();
    // Written again, it is packed without waiting for the next try.
    fs::write(mount.path("m.safetensors"), &bytes).unwrap();
    wait_until(&mount, has_packed(1));
    // One for which there is no room to begin with.
    fs::write(mount.path("large.safetensors"), &large).unwrap();
    let found = wait_until(&mount, |packing| packing["waits_for"] == "room on the disk");
    assert_eq!(found["failed_files"], 1);
    assert!(fs::read(mount.path("large.safetensors")).unwrap() == large);
    assert!(fs::read(mount.path("m.safetensors")).unwrap() == bytes);
    mount.stop();
    drop(disk);
}

/// What a name may stand for: one thing, or before or after something that was not seen to end.
type Possible = Vec<Option<Arc<Vec<u8>>>>;

/// Writers, readers and packing; the mount is killed at a random moment, again and again.
/// `WEIGHTFS_TEST_ROUNDS` sets how often.
#[test]
fn whatever_is_killed_when_every_file_is_whole() {
    // Where all else is never idle, nothing is packed.
    const MOST_WAIT: Duration = Duration::from_secs(10);
    const NAMES: [&str; 4] = ["a.safetensors", "b", "sub/c.gguf", "d.safetensors"];

    let rounds = support::rounds(15);
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let place = Place::new();
    fs::create_dir(place.source.join("sub")).unwrap();
    let mut known: HashMap<&str, Possible> = NAMES.iter().map(|&name| (name, vec![None])).collect();
    let mut packed = 0;
    for round in 0..rounds {
        let after = random.choice(["0", "0.1", "0.5"]).unwrap();
        let mount = mount_after(&place, after);
        check(&mount, &mut known);
        let (moment, delay) = (random.u32(0..3), Duration::from_millis(random.u64(0..300)));
        let ends = AtomicBool::new(false);
        let mut writers_own = random.fork();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut written = Ok(());
                while written.is_ok() && !ends.load(Ordering::SeqCst) {
                    written = write_something(&mount.mountpoint, &mut known, &mut writers_own);
                }
                // Nobody but the killer is to be the cause.
                assert!(ends.load(Ordering::SeqCst), "round {round}: {written:?}");
            });
            scope.spawn(|| {
                while !ends.load(Ordering::SeqCst) {
                    for name in NAMES {
                        let _ = fs::read(mount.path(name));
                    }
                    // Packing is to have its time as well.
                    std::thread::sleep(Duration::from_millis(500));
                }
            });
            let start = Instant::now();
            let is_time = |found: &Value| match moment {
                0 => true,
                1 => !found["packing"].is_null(),
                _ => found["packed_files"].as_u64() > Some(0),
            };
            while !is_time(&packing(&mount)) && start.elapsed() < MOST_WAIT {
                std::thread::sleep(PAUSE);
            }
            std::thread::sleep(delay);
            packed += packing(&mount)["packed_files"].as_u64().unwrap();
            ends.store(true, Ordering::SeqCst);
            support::signal(mount.pid(), "KILL");
        });
        mount.kill();
    }
    let mount = mount_after(&place, "0");
    check(&mount, &mut known);
    wait_until(&mount, is_idle);
    check(&mount, &mut known);
    mount.stop();
    let mount = mount_after(&place, "1000");
    check(&mount, &mut known);
    assert_eq!(work_files(&place.source), [""; 0].map(PathBuf::from));
    mount.stop();
    println!("{packed} files were packed in {rounds} rounds");
}

/// Every name stands for what it may stand for, and there is no other. From then on it stands for that.
#[track_caller]
fn check(mount: &Mount, known: &mut HashMap<&str, Possible>) {
    for (name, possible) in known.iter_mut() {
        let found = fs::read(mount.path(name));
        let found = match found {
            Ok(bytes) => Some(bytes),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
            Err(e) => panic!("{name}: {e}"),
        };
        let is_it = |one: &&Option<Arc<Vec<u8>>>| one.as_deref() == found.as_ref();
        let is = possible.iter().find(is_it).cloned();
        let told = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(Vec::len);
        assert!(
            is.is_some(),
            "{name}: {:?} of {}",
            told(&found),
            possible.len()
        );
        *possible = is.into_iter().collect();
    }
    let _ = fs::remove_file(mount.path("new"));
    let shown = files_in(&mount.mountpoint);
    let has = |path: &Path| {
        known
            .get(path.to_str().unwrap())
            .is_some_and(|one| one[0].is_some())
    };
    assert!(shown.iter().all(|path| has(path)), "{shown:?}");
}

/// One change, which is known to be possible before it is tried and certain when it is done.
fn write_something(
    root: &Path,
    known: &mut HashMap<&str, Possible>,
    random: &mut fastrand::Rng,
) -> std::io::Result<()> {
    let mut names: Vec<_> = known.keys().copied().collect();
    names.sort_unstable();
    random.shuffle(&mut names);
    let (name, other) = (names[0], names[1]);
    let path = root.join(name);
    let now = known[name][0].clone();
    let mut may_become = |name, what| known.get_mut(name).unwrap().push(what);
    match (random.u32(0..8), now) {
        (0, Some(_)) => {
            may_become(name, None);
            fs::remove_file(&path)?;
        }
        (1, Some(bytes)) => {
            may_become(name, None);
            may_become(other, Some(bytes));
            fs::rename(&path, root.join(other))?;
        }
        (2..=4, Some(bytes)) => {
            let mut patched = bytes.to_vec();
            let at = random.usize(0..patched.len() / 4096 - 1) * 4096;
            random.fill(&mut patched[at..at + 4096]);
            let page = patched[at..at + 4096].to_vec();
            may_become(name, Some(Arc::new(patched)));
            let file = File::options().write(true).open(&path)?;
            file.write_all_at(&page, at as u64)?;
            file.sync_all()?;
        }
        _ => {
            let bytes = model(random.u64(..1 << 20), random.usize(1..4));
            let mut file = File::create(root.join("new"))?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            drop(file);
            may_become(name, Some(Arc::new(bytes)));
            fs::rename(root.join("new"), &path)?;
        }
    }
    for possible in known.values_mut() {
        let last = possible.pop();
        *possible = last.into_iter().collect();
    }
    let pause = if random.bool() { 100 } else { 1500 };
    std::thread::sleep(Duration::from_millis(random.u64(0..pause)));
    Ok(())
}
