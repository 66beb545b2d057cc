//! Directories that are adopted: packed in place and kept mounted over themselves, by a service manager that is a script
//! here; and the way back.
#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use support::ordinary_user::{OrdinaryUser, copy_program};
use support::{
    Mount, Running, Watched, is_mounted, json, model, noise, ok, signal, umount, weightfs,
};

/// What systemctl does with units of services, as far as adopting asks for it. A service that is started runs until it is
/// stopped; `calls` has what was asked.
const SYSTEMCTL: &str = r#"#!/bin/sh
here=$(dirname "$0")
[ "$1" = --user ] && shift
printf '%s\n' "$*" >>"$here/calls"
verb=$1
for unit; do :; done
file=$here/etc/systemd/system/$unit
[ -f "$file" ] || file=$here/config/systemd/user/$unit
is_active() {
    pid=$(cat "$here/pid" 2>/dev/null) && [ -d "/proc/$pid" ] && ! grep -q '^State:.*Z' "/proc/$pid/status"
}
case $verb in
show)
    if [ -e "$here/silent" ]; then
        echo 'Failed to connect to bus: no medium found' >&2
        exit 1
    fi
    echo "/run/systemd/system $here/etc/systemd/system $here/config/systemd/user /usr/lib/systemd/system"
    ;;
daemon-reload | reset-failed) ;;
enable)
    [ -f "$file" ] || exit 1
    : >"$here/enabled"
    ;;
disable) rm -f "$here/enabled" ;;
is-active) is_active ;;
start)
    if [ -e "$here/refuses" ]; then
        echo "Job for $unit failed" >&2
        exit 1
    fi
    is_active && exit 0
    command=$(sed -n 's/^ExecStart=//p' "$file" | sed 's/%%/%/g; s/\$\$/\\$/g')
    : >"$here/out"
    eval "$command >>'$here/out' 2>>'$here/err' </dev/null &"
    pid=$!
    echo $pid >"$here/pid"
    until grep -q '^ready: ' "$here/out"; do
        is_active || exit 1
        sleep 0.02
    done
    ;;
stop)
    is_active && kill -TERM "$pid"
    while is_active; do sleep 0.02; done
    ;;
*) exit 1 ;;
esac
"#;

/// A directory to adopt, and a service manager.
struct Machine {
    root: tempfile::TempDir,
    watched: Option<Watched>,
}

impl Machine {
    fn new(name: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let bin = root.path().join("bin");
        fs::create_dir(&bin).unwrap();
        // By a process of its own, as a file that is open for writing somewhere cannot be run.
        let script = root.path().join("script");
        fs::write(&script, SYSTEMCTL).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let copied = Command::new("cp")
            .arg(&script)
            .arg(bin.join("systemctl"))
            .status();
        assert!(copied.unwrap().success());
        let mut machine = Self {
            root,
            watched: None,
        };
        fs::create_dir(machine.path(name)).unwrap();
        machine.watched = Some(Watched::new(&machine.path(name)));
        machine
    }

    fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.path().canonicalize().unwrap().join(relative)
    }

    fn write(&self, relative: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        // Some time that no clock of today would give.
        let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_700_000_000_123_456_789);
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(time).unwrap();
        path
    }

    fn link(&self, target: &str, relative: &str) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let path = std::env::var("PATH").unwrap();
        let mut command = weightfs();
        command
            .arg("adopt")
            .args(arguments)
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .current_dir(self.path(""));
        command
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.command(arguments).output().unwrap();
        (
            output.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let (status, stdout, stderr) = self.run(arguments);
        assert_eq!(status, 0, "{arguments:?}: {stdout}{stderr}");
        stdout
    }

    /// Refused with these words, and nothing came of it.
    fn refused(&self, arguments: &[&str], words: &[&str]) {
        let before = tree(&self.path(""));
        let (status, stdout, stderr) = self.run(arguments);
        assert_eq!(status, 2, "{arguments:?}: {stdout}{stderr}");
        for word in words {
            assert!(stderr.contains(word), "{word}: {stderr}");
        }
        let calls = self.path("bin/calls");
        let without = |mut tree: BTreeMap<PathBuf, Thing>| {
            tree.remove(calls.strip_prefix(self.path("")).unwrap());
            tree
        };
        assert_eq!(without(tree(&self.path(""))), without(before));
    }

    fn calls(&self, verb: &str) -> usize {
        let calls = fs::read_to_string(self.path("bin/calls")).unwrap_or_default();
        calls.lines().filter(|line| line.starts_with(verb)).count()
    }

    /// Files of units there are.
    fn units(&self) -> Vec<PathBuf> {
        let places = ["bin/etc/systemd/system", "bin/config/systemd/user"];
        let files = places
            .iter()
            .filter_map(|place| fs::read_dir(self.path(place)).ok());
        files.flatten().map(|entry| entry.unwrap().path()).collect()
    }

    fn flag(&self, name: &str, is_set: bool) {
        let path = self.path("bin").join(name);
        if is_set {
            fs::write(path, "").unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }

    /// Waits until something has come to be.
    fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let start = Instant::now();
        while !is_so() {
            assert!(start.elapsed() < Duration::from_secs(60), "{what}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A file, link or directory as a program sees it.
#[derive(Debug, PartialEq, Eq, Clone)]
struct Thing {
    mode: u32,
    owner: (u32, u32),
    /// Directories change with what is made in them.
    time: (i64, i64),
    bytes: Vec<u8>,
}

fn tree(root: &Path) -> BTreeMap<PathBuf, Thing> {
    let mut things = BTreeMap::new();
    let mut left = vec![root.to_path_buf()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            let mut time = (meta.mtime(), meta.mtime_nsec());
            let bytes = if meta.is_dir() {
                left.push(path.clone());
                time = (0, 0);
                Vec::new()
            } else if meta.is_symlink() {
                time = (0, 0);
                let target = fs::read_link(&path).unwrap();
                target.into_os_string().into_encoded_bytes()
            } else {
                fs::read(&path).unwrap()
            };
            let thing = Thing {
                mode: meta.mode(),
                owner: (meta.uid(), meta.gid()),
                time,
                bytes,
            };
            things.insert(path.strip_prefix(root).unwrap().to_path_buf(), thing);
        }
    }
    things
}

#[track_caller]
fn same(now: &BTreeMap<PathBuf, Thing>, before: &BTreeMap<PathBuf, Thing>) {
    let names = |tree: &BTreeMap<PathBuf, Thing>| tree.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(now), names(before));
    for (path, thing) in before {
        let now = &now[path];
        let facts = |thing: &Thing| (thing.mode, thing.owner, thing.time, thing.bytes.len());
        assert_eq!(facts(now), facts(thing), "{}", path.display());
        assert!(now.bytes == thing.bytes, "{}", path.display());
    }
}

/// Archives that lie in a directory just now.
fn archives_in(directory: &Path) -> usize {
    let names = fs::read_dir(directory).unwrap().flatten();
    let is_archive =
        |name: &std::ffi::OsString| Path::new(name).extension() == Some("wfz".as_ref());
    names.filter(|entry| is_archive(&entry.file_name())).count()
}

/// A cache as huggingface_hub 2.4 lays it out: a store of blobs that repositories share, one of the older kind, what it
/// remembers of files that are not there, listings, locks, and a download that did not come to its end.
fn hub(machine: &Machine, name: &str) {
    let at = |path: &str| format!("{name}/{path}");
    let (xet, etag, commit) = ("ab".repeat(32), "cd".repeat(32), "12".repeat(20));
    machine.write(
        &at("CACHEDIR.TAG"),
        b"Signature: 8a477f597d28d172789f06886806bc55\n",
    );
    machine.write(&at("blobs/.huggingface-shared-blobs"), b"1\n");
    let payload = machine.write(&at(&format!("blobs/ab/{xet}")), &model(1, 2));
    fs::set_permissions(&payload, fs::Permissions::from_mode(0o444)).unwrap();
    let reference = format!("models--org--new/blobs/{etag}\n");
    machine.write(&at(&format!("blobs/ab/{xet}.refs")), reference.as_bytes());
    machine.write(&at(&format!("blobs/ab/{xet}.lock")), b"");
    let new = |path: &str| at(&format!("models--org--new/{path}"));
    machine.link(
        &format!("../../blobs/ab/{xet}"),
        &new(&format!("blobs/{etag}")),
    );
    let snapshot = new(&format!("snapshots/{commit}"));
    machine.link(
        &format!("../../blobs/{etag}"),
        &format!("{snapshot}/model.safetensors"),
    );
    machine.write(&new("blobs/0123"), br#"{"hidden_size": 512}"#);
    machine.link("../../blobs/0123", &format!("{snapshot}/config.json"));
    machine.write(&new("refs/main"), commit.as_bytes());
    machine.write(
        &new(&format!(".no_exist/{commit}/adapter_config.json")),
        b"",
    );
    machine.write(
        &new(&format!("trees/{commit}.json")),
        br#"{"format_version": 1}"#,
    );
    machine.write(&at(&format!(".locks/models--org--new/{etag}.lock")), b"");
    let old = |path: &str| at(&format!("models--old/{path}"));
    let blob = "ef".repeat(32);
    machine.write(&old(&format!("blobs/{blob}")), &model(2, 1));
    machine.link(
        &format!("../../../blobs/{blob}"),
        &old("snapshots/3/sub/model.safetensors"),
    );
    let unfinished = old(&format!("blobs/{blob}.incomplete"));
    machine.write(&unfinished, &model(3, 1)[..300_000]);
    // Where no links can be made, files lie in the snapshot itself.
    machine.write(
        &at("datasets--set/snapshots/4/weights.safetensors"),
        &model(4, 1),
    );
}

#[test]
fn a_hub_cache_is_adopted_and_undone_with_every_file_as_before() {
    let machine = Machine::new("the hub 100%$HOME");
    hub(&machine, "the hub 100%$HOME");
    machine.link("the hub 100%$HOME", "link to it");
    let path = machine.path("the hub 100%$HOME");
    let before = tree(&path);

    let stdout = machine.ok(&["link to it/"]);
    assert!(
        stdout.contains("a Hugging Face hub cache, 3 repositories, 3 snapshots, with a store"),
        "{stdout}"
    );
    assert!(
        stdout.contains("1 unfinished downloads stay as they are"),
        "{stdout}"
    );
    assert!(stdout.contains("to pack: 3 files"), "{stdout}");
    assert!(is_mounted(&path));
    same(&tree(&path), &before);
    let stats = ok(["stats", path.to_str().unwrap()]);
    assert!(!stats.is_empty());
    let units = machine.units();
    assert_eq!(units.len(), 1);
    let name = units[0].file_name().unwrap().to_str().unwrap();
    assert!(
        name.ends_with(r"-the\x20hub\x20100\x25\x24HOME.service"),
        "{name}"
    );
    assert!(machine.path("bin/enabled").exists());

    // Once more.
    let starts = machine.calls("start");
    let stdout = machine.ok(&["./the hub 100%$HOME"]);
    assert!(stdout.contains("packed already: 3 archives"), "{stdout}");
    assert!(stdout.contains("is adopted"), "{stdout}");
    assert_eq!(machine.calls("start"), starts);
    assert!(is_mounted(&path));

    // Only told.
    let stdout = machine.ok(&["the hub 100%$HOME", "--undo", "--dry-run"]);
    assert!(stdout.contains("3 archives"), "{stdout}");
    assert!(is_mounted(&path) && machine.units().len() == 1);

    let stdout = machine.ok(&["the hub 100%$HOME", "--undo"]);
    assert!(stdout.contains("as it was before"), "{stdout}");
    assert!(!is_mounted(&path));
    same(&tree(&path), &before);
    assert!(machine.units().is_empty() && !machine.path("bin/enabled").exists());
    let stdout = machine.ok(&["the hub 100%$HOME", "--undo"]);
    assert!(stdout.contains("there is nothing to undo"), "{stdout}");
}

#[test]
fn an_ollama_store_is_adopted_and_undone() {
    let machine = Machine::new("models");
    machine.write(
        "models/manifests/registry.ollama.ai/library/m/latest",
        b"{}",
    );
    machine.write("models/blobs/sha256-1234", &support::gguf::quantized(7, 1));
    machine.write("models/blobs/sha256-5678", b"{\"stop\": []}");
    // As long as the model, and not yet it.
    let unfinished = "models/blobs/sha256-9abc-partial";
    machine.write(unfinished, &support::gguf::quantized(8, 1));
    let path = machine.path("models");
    let before = tree(&path);
    let told = json(&machine.ok(&["models", "--json", "--level", "fast"]));
    assert_eq!(told["kind"], "ollama");
    assert_eq!(told["packed"]["archives"], 1);
    assert_eq!(told["mounted"], true);
    assert!(told["expected_bytes"].as_u64() < told["original_bytes"].as_u64());
    same(&tree(&path), &before);
    let told = json(&machine.ok(&["models", "--undo", "--json"]));
    assert_eq!(told["unpacked"]["archives"], 1);
    same(&tree(&path), &before);
}

#[test]
fn bases_of_a_family_and_hard_links_are_undone_as_well() {
    let machine = Machine::new("models");
    let base = machine.write("models/base.safetensors", &model(8, 1));
    let mut tuned = model(8, 1);
    for at in (5_000..tuned.len() - 200_000).step_by(4_001) {
        tuned[at] ^= 1;
    }
    let tuned = machine.write("models/tuned.safetensors", &tuned);
    machine.write("models/twice.safetensors", &model(9, 1));
    fs::hard_link(
        machine.path("models/twice.safetensors"),
        machine.path("models/sub name"),
    )
    .unwrap();
    let path = machine.path("models");
    let before = tree(&path);
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    ok(["pack", "--replace", &text(&base)]);
    let packed_base = format!("{}.wfz", text(&base));
    ok(["pack", "--replace", &text(&tuned), "--base", &packed_base]);
    assert!(path.join(".weightfs/bases").exists());
    machine.ok(&["models"]);
    same(&tree(&path), &before);
    machine.ok(&["models", "--undo"]);
    same(&tree(&path), &before);
    let ino = |name: &str| path.join(name).metadata().unwrap().ino();
    assert_eq!(ino("twice.safetensors"), ino("sub name"));
}

#[test]
fn a_dry_run_changes_nothing_and_shows_the_unit() {
    let machine = Machine::new("models");
    machine.write("models/m.safetensors", &model(10, 1));
    let before = tree(&machine.path("models"));
    let stdout = machine.ok(&["models", "--dry-run"]);
    let path = machine.path("models");
    assert!(stdout.contains("Type=notify"), "{stdout}");
    assert!(
        stdout.contains(&format!("\"{0}\" \"{0}\"", path.display())),
        "{stdout}"
    );
    same(&tree(&path), &before);
    assert!(machine.units().is_empty() && !is_mounted(&path));
    assert_eq!(machine.calls("enable") + machine.calls("start"), 0);
}

#[test]
fn systemd_understands_the_unit() {
    let machine = Machine::new("a directory, 100% \"quoted\"");
    machine.write("a directory, 100% \"quoted\"/m.safetensors", &model(13, 1));
    let told = json(&machine.ok(&["a directory, 100% \"quoted\"", "--dry-run", "--json"]));
    let name = Path::new(told["unit"].as_str().unwrap())
        .file_name()
        .unwrap();
    let unit = machine.path(name);
    fs::write(&unit, told["unit_text"].as_str().unwrap()).unwrap();
    let mut command = Command::new("systemd-analyze");
    if !rustix::process::geteuid().is_root() {
        command
            .arg("--user")
            .env("XDG_RUNTIME_DIR", machine.path(""));
    }
    let output = command
        .args(["verify", "--man=no"])
        .arg(&unit)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success() && said.is_empty(),
        "{}",
        String::from_utf8_lossy(&said)
    );
}

#[test]
fn without_a_service_manager_nothing_is_packed_unless_that_is_wanted() {
    let machine = Machine::new("models");
    machine.write("models/m.safetensors", &model(11, 1));
    let path = machine.path("models");
    let before = tree(&path);
    machine.flag("silent", true);
    machine.refused(
        &["models"],
        &["no medium found", "--no-unit", "weightfs mount"],
    );
    same(&tree(&path), &before);

    let stdout = machine.ok(&["models", "--no-unit"]);
    assert!(stdout.contains("weightfs mount"), "{stdout}");
    assert!(path.join("m.safetensors.wfz").exists() && !is_mounted(&path));
    let mount = Mount::start(&path, &path);
    same(&tree(&path), &before);
    for arguments in [&["models"][..], &["models", "--no-unit"]] {
        let stdout = machine.ok(arguments);
        assert!(
            stdout.contains("is mounted over itself already"),
            "{stdout}"
        );
    }
    // With one, it could be kept, but for the mount that is there.
    machine.flag("silent", false);
    machine.refused(&["models"], &["by a process that no unit keeps", "umount"]);
    mount.stop();
    machine.ok(&["models"]);
    same(&tree(&path), &before);
    // The unit cannot be removed by nobody.
    machine.ok(&["models", "--undo"]);
    same(&tree(&path), &before);
}

#[test]
fn the_unit_of_somebody_else_is_left_alone() {
    let machine = Machine::new("models");
    machine.write("models/m.safetensors", &model(12, 1));
    let unit = json(&machine.ok(&["models", "--dry-run", "--json"]))["unit"]
        .as_str()
        .unwrap()
        .to_owned();
    fs::create_dir_all(Path::new(&unit).parent().unwrap()).unwrap();
    fs::write(&unit, "[Service]\nExecStart=/bin/true\n").unwrap();
    machine.refused(&["models"], &["was not written by weightfs adopt", &unit]);
    machine.refused(
        &["models", "--undo"],
        &["was not written by weightfs adopt"],
    );
    assert!(fs::read_to_string(&unit).unwrap().contains("/bin/true"));
    // What is no unit of ours is in nobody's way then.
    machine.ok(&["models", "--no-unit"]);
    machine.ok(&["models", "--undo", "--no-unit"]);
    assert!(fs::read_to_string(&unit).unwrap().contains("/bin/true"));
}

#[test]
fn who_is_killed_at_any_moment_goes_on_when_run_again() {
    let machine = Machine::new("models");
    for number in 0..6 {
        machine.write(
            &format!("models/{number}.safetensors"),
            &model(20 + number, 2),
        );
    }
    let path = machine.path("models");
    let before = tree(&path);
    // Packing, when some of it is done.
    let mut adopt = Running::start(&mut machine.command(&["models"]));
    machine.until("it packs", || archives_in(&path) > 0 || is_mounted(&path));
    adopt.0.kill().unwrap();
    adopt.0.wait().unwrap();
    machine.ok(&["models"]);
    assert!(is_mounted(&path));
    same(&tree(&path), &before);
    // Unpacking. What is below is only seen once it is unmounted.
    let mut undo = Running::start(&mut machine.command(&["models", "--undo"]));
    machine.until("it unpacks", || {
        !is_mounted(&path) && path.join("0.safetensors").exists()
    });
    undo.0.kill().unwrap();
    undo.0.wait().unwrap();
    machine.ok(&["models", "--undo"]);
    same(&tree(&path), &before);
    assert!(machine.units().is_empty() && !is_mounted(&path));
}

#[test]
fn whoever_is_told_to_stop_leaves_what_is_packed_mounted() {
    let machine = Machine::new("models");
    for number in 0..6 {
        machine.write(
            &format!("models/{number}.safetensors"),
            &model(30 + number, 2),
        );
    }
    let path = machine.path("models");
    let before = tree(&path);
    let stop = |arguments: &[&str], is_begun: &dyn Fn() -> bool| {
        let mut child = Running::start(&mut machine.command(arguments));
        machine.until("it is at work", is_begun);
        signal(child.0.id(), "INT");
        child.0.wait().unwrap().code()
    };
    let code = stop(&["models"], &|| archives_in(&path) > 0 || is_mounted(&path));
    assert!(matches!(code, Some(0 | 2)), "{code:?}");
    assert!(is_mounted(&path));
    same(&tree(&path), &before);
    machine.ok(&["models"]);
    assert!(is_mounted(&path));
    same(&tree(&path), &before);
    let code = stop(&["models", "--undo"], &|| {
        !is_mounted(&path) && path.join("0.safetensors").exists()
    });
    if code == Some(2) {
        assert!(is_mounted(&path), "what is packed still is to be found");
    }
    same(&tree(&path), &before);
    machine.ok(&["models", "--undo"]);
    same(&tree(&path), &before);
    assert!(!is_mounted(&path));
}

#[test]
fn what_cannot_be_packed_or_unpacked_is_told_and_the_rest_is_done() {
    let machine = Machine::new("models");
    machine.write("models/good.safetensors", &model(40, 1));
    let cut = machine.write("models/cut.safetensors", &model(41, 1)[..500_000]);
    let path = machine.path("models");
    let before = tree(&path);
    let (status, stdout, stderr) = machine.run(&["models"]);
    assert_eq!(status, 2, "{stdout}{stderr}");
    assert!(stderr.contains("cut.safetensors"), "{stderr}");
    assert!(is_mounted(&path));
    same(&tree(&path), &before);
    // Once more it is told, and nothing else is done.
    let starts = machine.calls("start");
    let (status, stdout, stderr) = machine.run(&["models"]);
    assert_eq!(status, 2, "{stdout}{stderr}");
    assert!(stderr.contains("cut.safetensors"), "{stderr}");
    assert!(stdout.contains("is adopted"), "{stdout}");
    assert_eq!(machine.calls("start"), starts);
    // An archive that has lost its end, which is found once it is unmounted.
    machine.ok(&["models", "--undo"]);
    ok([
        "pack",
        "--replace",
        path.join("good.safetensors").to_str().unwrap(),
    ]);
    let archive = path.join("good.safetensors.wfz");
    let whole = fs::read(&archive).unwrap();
    fs::remove_file(cut).unwrap();
    machine.write("models/other.safetensors", &model(42, 1));
    machine.ok(&["models"]);
    umount(&path);
    fs::write(&archive, &whole[..whole.len() / 2]).unwrap();
    machine.ok(&["models"]);
    let (status, stdout, stderr) = machine.run(&["models", "--undo"]);
    assert_eq!(status, 2, "{stdout}{stderr}");
    assert!(stderr.contains("good.safetensors.wfz"), "{stderr}");
    assert!(is_mounted(&path) && machine.units().len() == 1);
    assert!(fs::read(path.join("other.safetensors")).unwrap() == model(42, 1));
    umount(&path);
    fs::write(&archive, &whole).unwrap();
    machine.ok(&["models", "--undo"]);
    assert!(fs::read(path.join("good.safetensors")).unwrap() == model(40, 1));
}

#[test]
fn links_that_lead_nowhere_are_told_and_in_nobodys_way() {
    let machine = Machine::new("models");
    machine.write("models/m.safetensors", &model(43, 1));
    machine.link("gone", "models/link");
    let path = machine.path("models");
    let before = tree(&path);
    for (arguments, is_mounted_then) in [(&["models"][..], true), (&["models", "--undo"], false)] {
        let (status, stdout, stderr) = machine.run(arguments);
        assert_eq!(status, 2, "{stdout}{stderr}");
        assert!(stderr.contains("leads nowhere"), "{stderr}");
        assert_eq!(is_mounted(&path), is_mounted_then);
        same(&tree(&path), &before);
    }
    assert!(machine.units().is_empty());
}

#[test]
fn what_is_in_use_is_not_undone() {
    let machine = Machine::new("models");
    machine.write("models/m.safetensors", &model(50, 1));
    machine.ok(&["models"]);
    let path = machine.path("models");
    let held = fs::File::open(path.join("m.safetensors")).unwrap();
    machine.refused(&["models", "--undo"], &["is in use", "adopt"]);
    assert!(is_mounted(&path) && machine.units().len() == 1);
    drop(held);
    machine.until("it is let go", || machine.run(&["models", "--undo"]).0 == 0);
    assert!(!is_mounted(&path));
}

#[test]
fn a_unit_that_does_not_start_is_told_and_can_be_tried_again() {
    let machine = Machine::new("models");
    machine.write("models/m.safetensors", &model(51, 1));
    let path = machine.path("models");
    let before = tree(&path);
    machine.flag("refuses", true);
    let (status, _, stderr) = machine.run(&["models"]);
    assert_eq!(status, 2);
    assert!(
        stderr.contains("failed") && stderr.contains("--undo"),
        "{stderr}"
    );
    assert!(!is_mounted(&path));
    machine.flag("refuses", false);
    machine.ok(&["models"]);
    same(&tree(&path), &before);
    machine.ok(&["models", "--undo"]);
    same(&tree(&path), &before);
}

#[test]
fn what_comes_later_is_left_to_the_mount() {
    let machine = Machine::new("models");
    machine.write("models/one.safetensors", &model(60, 1));
    let path = machine.path("models");
    machine.ok(&["models"]);
    umount(&path);
    machine.write("models/two.safetensors", &model(61, 1));
    let before = model(61, 1);
    // Also when the unit was started again meanwhile.
    machine.until("it has ended", || {
        let mut command = Command::new(machine.path("bin/systemctl"));
        !command.args(["is-active", "x"]).status().unwrap().success()
    });
    let unit = machine.units().remove(0);
    let name = unit.file_name().unwrap();
    let started = Command::new(machine.path("bin/systemctl"))
        .arg("start")
        .arg(name)
        .status();
    assert!(started.unwrap().success() && is_mounted(&path));
    let told = json(&machine.ok(&["models", "--json"]));
    // Behind its writers, when its time has come.
    assert!(told["packed"].is_null());
    assert_eq!(told["packed_before"]["archives"], 1);
    assert!(is_mounted(&path));
    assert!(fs::read(path.join("two.safetensors")).unwrap() == before);
    // With other options the unit is written anew.
    fs::write(&unit, fs::read_to_string(&unit).unwrap() + "# older\n").unwrap();
    machine.ok(&["models"]);
    assert!(!fs::read_to_string(&unit).unwrap().contains("# older"));
    assert!(is_mounted(&path));
    machine.ok(&["models", "--undo"]);
}

#[test]
fn directories_that_must_not_be_mounted_over_are_refused() {
    let machine = Machine::new("models");
    machine.write("models/sub/m.safetensors", &model(70, 1));
    machine.write("file", b"x");
    machine.refused(&["/"], &["belongs to a system"]);
    machine.refused(&["/proc"], &["belongs to a system"]);
    machine.refused(&["nowhere"], &["nowhere"]);
    machine.refused(&["file"], &["is no directory"]);
    let output = machine
        .command(&["models"])
        .env("HOME", machine.path("models/sub"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("home directory"));
    // What is adopted already, from inside and from outside.
    machine.ok(&["models"]);
    machine.refused(&["models/sub"], &["is in a weightfs mount already"]);
    machine.refused(&["models/sub", "--undo"], &["is in a weightfs mount"]);
    let path = machine.path("models");
    machine.refused(
        &[path.parent().unwrap().to_str().unwrap()],
        &["has something mounted in it"],
    );
    machine.ok(&["models", "--undo"]);
    // A mount that shows something else.
    fs::create_dir(machine.path("other")).unwrap();
    let mount = Mount::start(&machine.path("other"), &path);
    machine.refused(&["models"], &["is a mount that shows", "other"]);
    machine.refused(&["models", "--undo"], &["is a mount that shows"]);
    mount.stop();
}

#[test]
fn a_user_who_is_not_root_has_a_unit_of_its_own() {
    let user = OrdinaryUser::new();
    let machine = Machine::new("models");
    machine.write("models/m.safetensors", &model(90, 1));
    let (path, program) = (machine.path("models"), machine.path("weightfs"));
    copy_program(&program);
    fs::create_dir(machine.path("home")).unwrap();
    user.give(&[
        &machine.path(""),
        &machine.path("bin"),
        &machine.path("home"),
        &path,
        &path.join("m.safetensors"),
    ]);
    let before = tree(&path);
    let run = |arguments: &[&str]| {
        let mut command = user.command(&program);
        let path = std::env::var("PATH").unwrap();
        command
            .arg("adopt")
            .args(arguments)
            .env("PATH", format!("{}:{path}", machine.path("bin").display()))
            .env("HOME", machine.path("home"))
            .current_dir(machine.path(""));
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        (output.status.code(), said)
    };
    let (status, said) = run(&["models"]);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("systemctl --user status"), "{said}");
    let unit = machine.units().remove(0);
    assert!(unit.starts_with(machine.path("bin/config/systemd/user")));
    assert!(is_mounted(&path));
    // It may keep others out.
    let (status, said) = run(&["models"]);
    assert_eq!(status, Some(0), "{said}");
    if rustix::process::geteuid().is_root() {
        let (status, _, said) = machine.run(&["models", "--undo"]);
        assert_eq!(status, 2, "{said}");
        let other = machine.path("other");
        fs::create_dir(&other).unwrap();
        let (status, said) = run(&["other"]);
        assert_eq!(status, Some(2), "{said}");
        assert!(said.contains("belongs to another user"), "{said}");
    }
    let (status, said) = run(&["models", "--undo"]);
    assert_eq!(status, Some(0), "{said}");
    same(&tree(&path), &before);
    assert!(machine.units().is_empty());
}

#[test]
fn who_stands_in_the_directory_is_told_to_look_again() {
    let machine = Machine::new("models");
    machine.write("models/m.safetensors", &model(80, 1));
    let path = machine.path("models");
    for (arguments, status, word) in [
        (&["."][..], 0, "cd \"$PWD\""),
        (&[".", "--undo"], 2, "this shell works in it; cd elsewhere"),
    ] {
        let mut command = machine.command(arguments);
        let output = command.current_dir(&path).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{stderr}");
        assert!(stderr.contains(word), "{stderr}");
        assert!(is_mounted(&path));
    }
    machine.ok(&["models", "--undo"]);
    assert!(!is_mounted(&path) && path.join("m.safetensors").exists());
}

#[test]
fn a_directory_without_models_waits_for_them() {
    let machine = Machine::new("models");
    machine.write("models/notes.txt", &noise(1, 1000));
    let path = machine.path("models");
    let stdout = machine.ok(&["models"]);
    assert!(stdout.contains("to pack: nothing more"), "{stdout}");
    assert!(machine.units().len() == 1 && is_mounted(&path));
    // Programs write to it as before.
    fs::write(path.join("later.safetensors"), model(80, 1)).unwrap();
    assert!(fs::read(path.join("later.safetensors")).unwrap() == model(80, 1));
    machine.until("it is let go", || machine.run(&["models", "--undo"]).0 == 0);
    assert!(machine.units().is_empty() && !is_mounted(&path));
    assert!(fs::read(path.join("later.safetensors")).unwrap() == model(80, 1));
}
