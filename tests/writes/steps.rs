//! Every step that a change takes below fails once, and is the last one once, as on a full disk and as by a killed daemon:
//! a file has one form afterwards, and is what it was before or after what was done to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags, XattrFlags, renameat_with, setxattr};

use super::strace::Strace;
use super::support::{Mount, Place, model, rounds, signal};
use super::tree::{Entry, difference, tree};
use super::{LIMIT, packing, writable};

type Tree = BTreeMap<PathBuf, Entry>;
/// One thing that a program does.
type Step = fn(&Path) -> io::Result<()>;

const ONE: &str = "a/m.safetensors";
/// Another name of the same file.
const SAME: &str = "b/n.safetensors";
const OTHER: &str = "other.gguf";
const PLAIN: &str = "plain";
/// A model that is not packed by this name.
const PART: &str = "new.part";

const KILL: &str = "signal=KILL";

/// The calls by which the source is changed, and by which it is asked.
const CALLS: [&str; 13] = [
    "fallocate",
    "pwrite64",
    "write",
    "ftruncate",
    "fsync",
    "fsetxattr",
    "fchmod",
    "utimensat",
    "mkdirat",
    "renameat2",
    "linkat",
    "unlinkat",
    "openat2",
];

fn write(root: &Path) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(root.join(ONE))?;
    file.write_all_at(b"changed", 100_000)?;
    file.sync_all()
}

fn cut(root: &Path) -> io::Result<()> {
    File::create(root.join(ONE)).map(drop)
}

fn append(root: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).open(root.join(SAME))?;
    file.write_all(b"more")?;
    file.sync_all()
}

fn rename(root: &Path, from: &str, to: &str, flags: RenameFlags) -> io::Result<()> {
    Ok(renameat_with(
        CWD,
        root.join(from),
        CWD,
        root.join(to),
        flags,
    )?)
}

/// What is done by way of a mount.
struct Change {
    name: &'static str,
    /// Whether the mount packs what it finds, and that is waited for.
    packs: bool,
    steps: &'static [Step],
}

const CHANGES: [Change; 7] = [
    Change {
        name: "written to",
        packs: false,
        steps: &[write, append],
    },
    Change {
        name: "cut",
        packs: false,
        steps: &[cut, append],
    },
    Change {
        name: "an archive over a file, and another in its place",
        packs: false,
        steps: &[
            |root| rename(root, OTHER, PLAIN, RenameFlags::empty()),
            |root| rename(root, ONE, OTHER, RenameFlags::NOREPLACE),
        ],
    },
    Change {
        name: "a file over an archive, and named as one",
        packs: false,
        steps: &[
            |root| rename(root, PLAIN, OTHER, RenameFlags::empty()),
            |root| rename(root, OTHER, "b/x.wfz", RenameFlags::empty()),
        ],
    },
    Change {
        name: "exchanged",
        packs: false,
        steps: &[|root| rename(root, OTHER, PLAIN, RenameFlags::EXCHANGE)],
    },
    Change {
        name: "attributes and names",
        packs: false,
        steps: &[
            |root| fs::set_permissions(root.join(SAME), Permissions::from_mode(0o600)),
            |root| {
                let flags = XattrFlags::empty();
                Ok(setxattr(root.join(ONE), "user.note", b"note", flags)?)
            },
            |root| fs::hard_link(root.join(OTHER), root.join("b/third")),
            |root| fs::remove_file(root.join(ONE)),
        ],
    },
    Change {
        name: "packed",
        packs: true,
        steps: &[
            |root| rename(root, PART, "b/new.safetensors", RenameFlags::empty()),
            |root| fs::hard_link(root.join("b/new.safetensors"), root.join("a/new")),
        ],
    },
];

/// The source, and the same as plain files.
fn prepared() -> (Place, PathBuf) {
    let place = Place::new();
    let plain = place.root.path().join("compared");
    for (name, seed) in [(ONE, 1), (OTHER, 2)] {
        let bytes = model(seed, 1);
        let archive = place.pack(name, &bytes);
        let path = plain.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        for path in [path, archive] {
            fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
        }
    }
    for (name, bytes) in [(PLAIN, b"plain".to_vec()), (PART, model(3, 1))] {
        place.write(name, &bytes);
        fs::write(plain.join(name), bytes).unwrap();
    }
    for (root, suffix) in [(&plain, ""), (&place.source, ".wfz")] {
        let name = |name: &str| root.join(format!("{name}{suffix}"));
        fs::create_dir(root.join("b")).unwrap();
        fs::hard_link(name(ONE), name(SAME)).unwrap();
    }
    (place, plain)
}

/// Takes steps until one fails; returns how many did not.
fn take(steps: &[Step], root: &Path) -> usize {
    let done = steps.iter().take_while(|step| step(root).is_ok());
    done.count()
}

/// That what is below is one of these, in a mount and without one, and that nothing else is left.
fn check(place: &Place, expected: &[&Tree], case: &str) {
    let mount = writable(&place.source, &place.mountpoint);
    let found = tree(&mount.mountpoint);
    let differences: Vec<_> = expected.iter().map(|one| difference(one, &found)).collect();
    assert!(differences.contains(&None), "{case}: {differences:?}");
    mount.stop();
    let below = tree(&place.source);
    let own = below.keys().find(|path| path.starts_with(".weightfs"));
    assert_eq!(own, None, "{case}");
    assert_eq!(below.len(), found.len(), "{case}: {:?}", below.keys());
}

/// Waits until what is to be packed is, or could not be, or the daemon is gone.
fn wait_for_packing(mount: &Mount, case: &str) {
    let start = Instant::now();
    while let Some(packing) = mount.packing() {
        let count = |what: &str| packing[what].as_u64().unwrap();
        if count("packed_files") + count("failed_files") > 0 && packing["packing"].is_null() {
            break;
        }
        assert!(start.elapsed() < LIMIT / 3, "{case}: {packing}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Returns whether the call was made as often.
fn meddled(change: &Change, states: &[Tree], call: &str, with: &str, number: u32) -> bool {
    let case = format!("{}: {call} {number} {with}", change.name);
    eprintln!("{case}");
    let (place, _) = prepared();
    let mount = match change.packs {
        true => packing(&place, LIMIT),
        false => writable(&place.source, &place.mountpoint),
    };
    let traced = format!("trace={call}");
    let injected = format!("inject={call}:{with}:when={number}");
    let strace = Strace::attach(&mount, &place, &["-e", &traced, "-e", &injected]);
    let steps = change.steps;
    let done = take(steps, &mount.mountpoint);
    if change.packs && done == steps.len() {
        wait_for_packing(&mount, &case);
    }
    let daemon = format!("{} ", mount.pid());
    signal(mount.pid(), "TERM");
    let _ = mount.wait();
    let trace = strace.trace();
    let is_killed =
        |line: &str| line.starts_with(&daemon) && line.contains("+++ killed by SIGKILL");
    let was_met = match with {
        KILL => trace.lines().any(is_killed),
        _ => trace.contains("(INJECTED)"),
    };
    assert!(was_met || done == steps.len(), "{case}: {done}");
    let expected: Vec<_> = states.iter().skip(done).take(2).collect();
    check(&place, &expected, &case);
    was_met
}

fn states(steps: &[Step]) -> Vec<Tree> {
    let (_place, plain) = prepared();
    let mut states = vec![tree(&plain)];
    for step in steps {
        step(&plain).unwrap();
        states.push(tree(&plain));
    }
    states
}

/// Each call of each change, or one in eight of them, since they are many; `WEIGHTFS_TEST_ROUNDS` sets how many of eight.
fn each_call(with: &str) {
    const PARTS: u32 = 8;
    let parts = rounds(1).min(PARTS);
    let mut count = fastrand::u32(..PARTS);
    let mut met = BTreeSet::new();
    for change in &CHANGES {
        let states = states(change.steps);
        for call in CALLS {
            for number in 1.. {
                count += 1;
                if count % PARTS >= parts {
                    continue;
                }
                if !meddled(change, &states, call, with, number) {
                    break;
                }
                met.insert(call);
            }
        }
    }
    let expected = if parts == PARTS { CALLS.len() - 1 } else { 1 };
    assert!(met.len() >= expected, "{met:?}");
}

#[test]
fn whatever_fails_once_each_file_is_whole_and_in_one_form() {
    each_call("error=ENOSPC");
}

#[test]
fn wherever_it_ends_each_file_is_whole_and_in_one_form() {
    each_call(KILL);
}
