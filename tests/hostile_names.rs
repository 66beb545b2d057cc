//! Names that strangers chose (of tensors, dtypes, files) go to terminals and logs: nothing that a
//! terminal obeys comes out, nothing that hides or turns text, and no name passes for a line of its own.
#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::process::{Output, Stdio};

use support::{Mount, Place, weightfs, weights, with_header};

/// An escape, a bell, a C1 control, a line break, an override, a blank without width, and a tag.
const TENSOR: &str = r"t\u001b]0;pwn\u0007\u009b31m\nforged\u202e\u200b\udb40\udc41\u2028\u007f";
const DTYPE: &str = r"BF16\u001b[31m\r\nforged";
const FILE: &[u8] = b"m\x1b[31m\nforged\xe2\x80\xae\xc2\x9b\xff\x7f.safetensors";

fn hostile_model() -> Vec<u8> {
    let header = format!(
        r#"{{"__metadata__":{{"{TENSOR}":"{TENSOR}"}},
        "{TENSOR}":{{"dtype":"BF16","shape":[50000],"data_offsets":[0,100000]}},
        "{TENSOR}2":{{"dtype":"{DTYPE}","shape":[50000],"data_offsets":[100000,200000]}}}}"#
    );
    with_header(&header, &weights(1, 100_000))
}

/// Fails if something in a text is not to be seen, or a name made a line of its own.
fn check(what: &str, bytes: &[u8]) -> String {
    let text = std::str::from_utf8(bytes).unwrap_or_else(|e| panic!("{what}: {e}"));
    for line in text.split('\n') {
        assert!(!line.starts_with("forged"), "{what}: {line:?}");
        for c in line.chars() {
            let is_hostile = c.is_control()
                || "\u{200b}\u{202e}\u{2028}".contains(c)
                || ('\u{e0000}'..='\u{e0fff}').contains(&c);
            assert!(!is_hostile, "{what}: {c:?} in {line:?}");
        }
    }
    text.to_owned()
}

fn run(arguments: &[&OsStr]) -> (Output, String) {
    let output = weightfs().args(arguments).output().unwrap();
    let what = format!("{arguments:?}");
    let said = check(&what, &output.stdout) + &check(&what, &output.stderr);
    (output, said)
}

struct Files {
    place: Place,
    file: PathBuf,
    archive: PathBuf,
}

impl Files {
    fn new() -> Self {
        let place = Place::new();
        let name = |suffix: &str| OsString::from_vec([FILE, suffix.as_bytes()].concat());
        let file = place.source.join(name(""));
        fs::write(&file, hostile_model()).unwrap();
        let archive = place.source.join(name(".wfz"));
        Self {
            place,
            file,
            archive,
        }
    }

    fn pack(self) -> Self {
        run(&["pack".as_ref(), self.file.as_ref()]);
        fs::remove_file(&self.file).unwrap();
        self
    }

    /// Damages the last block that has a tensor.
    fn damage(&self) {
        let mut bytes = fs::read(&self.archive).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&self.archive, bytes).unwrap();
    }
}

fn words(command: &str) -> Vec<&OsStr> {
    command.split(' ').map(OsStr::new).collect()
}

#[test]
fn no_command_prints_what_a_terminal_obeys() {
    let files = Files::new();
    let (file, archive) = (files.file.as_os_str(), files.archive.as_os_str());
    let root = files.place.root.path();
    let (source, out, html) = (
        files.place.source.as_os_str(),
        root.join("out"),
        root.join("report.html"),
    );
    let plot = root.join("plot.svg");
    let missing = root.join(OsStr::from_bytes(b"gone\x1b[2J\nforged\xff"));
    let missing = missing.as_os_str();
    let succeeds = |command: &str, paths: &[&OsStr]| {
        let (output, said) = run(&[&words(command)[..], paths].concat());
        assert!(output.status.success(), "{command}: {said}");
        said
    };
    let fails = |command: &str, paths: &[&OsStr], status: i32| {
        let (output, said) = run(&[&words(command)[..], paths].concat());
        assert_eq!(output.status.code(), Some(status), "{command}: {said}");
        said
    };
    const NAME: &str = r"m\x1b[31m\nforged\u{202e}\u{9b}\xff\x7f.safetensors";
    const SHOWN: &str = r"t\x1b]0;pwn\x07\u{9b}31m\nforged\u{202e}\u{200b}\u{e0041}\u{2028}\x7f";
    assert!(succeeds("pack", &[file]).contains(NAME));
    fails("pack", &[file], 2);
    assert!(succeeds("pack --replace --dry-run", &[source]).contains(NAME));
    assert!(
        succeeds("pack --replace --dry-run --json", &[source]).contains(r"m\u001b[31m\nforged")
    );
    fails("pack", &[source, "-o".as_ref(), out.as_os_str()], 2);
    // What could be copied is there.
    fs::remove_dir_all(&out).unwrap();
    assert!(succeeds("analyze --html", &[html.as_os_str(), file]).contains(SHOWN));
    let page = check("the report", &fs::read(&html).unwrap());
    assert!(page.contains(SHOWN) && page.contains(NAME));
    assert!(
        succeeds("analyze --json", &[file]).contains(r"t\u001b]0;pwn\u0007\u009b31m\nforged\u202e")
    );
    succeeds(
        "bench --codecs zstd-1 --rounds 1 --threads 1 --plot",
        &[plot.as_os_str(), file],
    );
    check("the plot", &fs::read(&plot).unwrap());
    fails("inspect", &[file], 2);
    fails("verify", &[file], 1);
    assert!(succeeds("inspect", &[archive]).contains(SHOWN));
    let json = succeeds("inspect --json", &[archive]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let tensor: String = serde_json::from_str(&format!("\"{TENSOR}\"")).unwrap();
    assert_eq!(json["tensors"][0]["name"], tensor);
    assert!(succeeds("verify", &[archive]).contains(NAME));
    fails("unpack", &[archive], 2);
    fs::remove_file(&files.file).unwrap();
    assert!(succeeds("unpack --replace --dry-run", &[source]).contains(NAME));
    succeeds("unpack", &[source, "-o".as_ref(), out.as_os_str()]);
    files.damage();
    assert!(fails("verify", &[archive], 1).contains(SHOWN));
    fails("verify --json", &[archive], 1);
    fails("unpack", &[archive], 2);
    for command in [
        "pack",
        "unpack",
        "verify",
        "inspect",
        "analyze",
        "bench",
        "stats",
        "umount",
        "bench-mount",
    ] {
        let said = fails(command, &[missing], 2);
        assert!(said.contains(r"gone\x1b[2J\nforged"), "{command}: {said}");
    }
    fails("mount", &[missing, out.as_os_str()], 2);
    fails("mount", &[source, missing], 2);
    // More than a command takes, as a shell makes them of names.
    fails("inspect", &[archive, archive], 2);
    fails("demo --model", &[missing], 2);
}

#[test]
fn no_message_of_a_mount_holds_what_a_terminal_obeys() {
    let files = Files::new().pack();
    files.damage();
    // The directory above has such a name as well.
    let mountpoint = files.place.root.path().join("mnt\x1b[31m\u{202e}");
    fs::create_dir(&mountpoint).unwrap();
    let log = files.place.root.path().join("log");
    let mut command = weightfs();
    command
        .env("WEIGHTFS_LOG", "debug")
        .args(["mount", "--metrics", "0", "--push", "never"])
        .arg(&files.place.source)
        .arg(&mountpoint)
        .stderr(Stdio::from(fs::File::create(&log).unwrap()));
    let mount = Mount::spawn(command, &mountpoint, std::time::Duration::from_secs(240));
    let file = mount.path(OsStr::from_bytes(FILE));
    let error = fs::read(file).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EIO));
    fs::metadata(mount.path(OsStr::from_bytes(b"none\x1b[31m\nforged"))).unwrap_err();
    run(&["stats".as_ref(), mountpoint.as_ref()]);
    let said = fs::read_to_string(&log).unwrap();
    let address = said
        .split("http://")
        .nth(1)
        .unwrap()
        .split('/')
        .next()
        .unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    let (_, page) = page.split_once("\r\n\r\n").unwrap();
    check("the metrics", page.as_bytes());
    run(&[
        "mount".as_ref(),
        files.place.source.as_ref(),
        mountpoint.as_ref(),
    ]);
    mount.stop();
    run(&["umount".as_ref(), mountpoint.as_ref()]);
    let said = check("the log", &fs::read(&log).unwrap());
    assert!(said.contains(r"m\x1b[31m\nforged"), "{said}");
    assert!(said.contains(r"none\x1b[31m\nforged"), "{said}");
}
