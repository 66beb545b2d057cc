//! What others may do in a mount that they may use: as much as in its source, and never more. Asked of the
//! kernel, for many callers, in mounts of root and of an ordinary user.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "test code"
)]

mod support;

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::fs::{XattrFlags, getxattr, listxattr, removexattr, setxattr};
use support::ordinary_user::{NOBODY, OrdinaryUser, copy_program};
use support::{Mount, Place};

const LIMIT: Duration = Duration::from_secs(240);
const LIST: &str = "system.posix_acl_access";

/// She mounts where an ordinary user does: a user who has a name on every system.
const ALICE: u32 = NOBODY;
const BOB: u32 = 1002;
const CAROL: u32 = 1003;
const MODELS: u32 = 2001;
const GUESTS: u32 = 2002;

/// User, group, further groups; without the power over permissions that root has, also for root.
type Caller = (u32, u32, &'static [u32]);

const CALLERS: [Caller; 12] = [
    (ALICE, ALICE, &[]),
    (ALICE, ALICE, &[MODELS, GUESTS]),
    (BOB, BOB, &[]),
    (BOB, BOB, &[MODELS]),
    (BOB, MODELS, &[GUESTS]),
    (CAROL, CAROL, &[]),
    (CAROL, CAROL, &[MODELS]),
    (CAROL, CAROL, &[GUESTS]),
    (CAROL, GUESTS, &[MODELS]),
    (CAROL, CAROL, &[ALICE]),
    (0, 0, &[]),
    (0, MODELS, &[]),
];

/// Entries of an access list: tag, who, bits. Mask and everybody else are told by the mode.
type Named = &'static [(u16, u32, u16)];
const USER: u16 = 2;
const GROUP: u16 = 8;

/// Owner, group, mode, and the owning group's own bits and who is named, if there is a list.
type Rights = (u32, u32, u32, Option<(u16, Named)>);

const PLAIN: [Rights; 7] = [
    (0, 0, 0o755, None),
    (ALICE, ALICE, 0o700, None),
    (ALICE, MODELS, 0o750, None),
    (0, MODELS, 0o750, None),
    (BOB, MODELS, 0o705, None),
    (CAROL, CAROL, 0o055, None),
    (0, 0, 0o711, None),
];
const LISTED: [Rights; 11] = [
    (ALICE, ALICE, 0o755, Some((5, &[(USER, BOB, 0)]))),
    (ALICE, ALICE, 0o750, Some((0, &[(USER, BOB, 5)]))),
    // The mask stands in the group's place.
    (0, MODELS, 0o750, Some((0, &[(USER, CAROL, 5)]))),
    (0, 0, 0o750, Some((0, &[(GROUP, MODELS, 5)]))),
    (0, 0, 0o755, Some((5, &[(GROUP, MODELS, 0)]))),
    (
        0,
        0,
        0o755,
        Some((0, &[(GROUP, MODELS, 0), (GROUP, GUESTS, 5)])),
    ),
    (
        0,
        0,
        0o711,
        Some((7, &[(USER, BOB, 7), (GROUP, MODELS, 5)])),
    ),
    // With an empty mask, the list counts for nothing.
    (
        ALICE,
        MODELS,
        0o705,
        Some((5, &[(USER, BOB, 5), (USER, CAROL, 0)])),
    ),
    (
        BOB,
        BOB,
        0o770,
        Some((0, &[(USER, BOB, 0), (USER, CAROL, 5)])),
    ),
    (
        0,
        0,
        0o754,
        Some((4, &[(USER, BOB, 1), (GROUP, GUESTS, 4)])),
    ),
    (
        0,
        0,
        0o770,
        Some((0, &[(USER, BOB, 7), (USER, CAROL, 0), (GROUP, GUESTS, 7)])),
    ),
];

/// A directory, the source in it, and true if one list can say what both let through.
const SOURCES: [(Rights, Rights, bool); 14] = [
    (PLAIN[0], PLAIN[0], true),
    (PLAIN[1], (ALICE, ALICE, 0o755, None), true),
    (PLAIN[1], PLAIN[0], true),
    (PLAIN[3], PLAIN[0], true),
    (PLAIN[3], (BOB, BOB, 0o755, None), true),
    (PLAIN[3], (ALICE, MODELS, 0o750, None), true),
    (PLAIN[4], (ALICE, ALICE, 0o755, None), true),
    (PLAIN[6], LISTED[1], true),
    (LISTED[0], PLAIN[0], true),
    (LISTED[3], PLAIN[0], true),
    (LISTED[4], PLAIN[0], true),
    (LISTED[10], PLAIN[0], true),
    // In two groups at once.
    (PLAIN[3], (0, GUESTS, 0o750, None), false),
    (LISTED[5], LISTED[6], false),
];

fn list(mode: u32, group: u16, named: Named) -> Vec<u8> {
    let class = |shift: u32| (mode >> shift & 7) as u16;
    let mut entries = vec![(1, u32::MAX, class(6))];
    let of = |tag| {
        named
            .iter()
            .filter(move |one| one.0 == tag)
            .map(|one| (one.0, one.1, one.2))
    };
    entries.extend(of(USER));
    entries.push((4, u32::MAX, group));
    entries.extend(of(GROUP));
    entries.extend([(0x10, u32::MAX, class(3)), (0x20, u32::MAX, class(0))]);
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, id, bits) in entries {
        bytes.extend(u16::to_le_bytes(tag));
        bytes.extend(bits.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

fn set(path: &Path, (uid, gid, mode, named): Rights) {
    chown(path, Some(uid), Some(gid)).unwrap();
    // Files are given what directories are, without the right to be run.
    let is_file = !path.is_dir();
    let mode = if is_file { mode & 0o666 } else { mode };
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    if let Some((group, named)) = named {
        let list = list(mode, group, named);
        setxattr(path, LIST, &list, XattrFlags::empty())
            .unwrap_or_else(|e| panic!("{}: no access lists here: {e}", path.display()));
    }
}

/// What is asked about: names below the source, and below the mount.
struct Asked {
    names: Vec<(String, String)>,
}

impl Asked {
    fn same(&mut self, name: &str) {
        self.names.push((name.into(), name.into()));
    }

    fn archive(&mut self, name: &str) {
        self.names.push((format!("{name}.wfz"), name.into()));
    }
}

/// Fills a source with files, archives, directories and links to archives elsewhere, of all rights.
fn fill(place: &Place, above: &Path, source: &Path) -> Asked {
    let archive = place.source.join("m.wfz");
    let mut asked = Asked {
        names: vec![(".".into(), ".".into())],
    };
    let mut links = Vec::new();
    for (number, rights) in PLAIN.iter().chain(&LISTED).enumerate() {
        let add = |path: PathBuf, bytes: Option<&[u8]>| {
            match bytes {
                Some(bytes) => fs::write(&path, bytes).unwrap(),
                None => drop(fs::copy(&archive, &path).unwrap()),
            }
            path
        };
        set(
            &add(source.join(format!("f{number}")), Some(b"plain")),
            *rights,
        );
        set(&add(source.join(format!("a{number}.wfz")), None), *rights);
        asked.same(&format!("f{number}"));
        asked.archive(&format!("a{number}"));
        // Directories of the source, and others where links lead.
        let (inside, outside) = (
            source.join(format!("d{number}")),
            above.join(format!("o{number}")),
        );
        for directory in [&inside, &outside] {
            fs::create_dir(directory).unwrap();
            add(directory.join("f"), Some(b"plain"));
            add(directory.join("m.wfz"), None);
            set(directory, *rights);
        }
        asked.same(&format!("d{number}"));
        asked.same(&format!("d{number}/f"));
        asked.archive(&format!("d{number}/m"));
        links.push((format!("out{number}"), format!("../o{number}/m.wfz")));
        // Out, and in again.
        symlink(
            format!("source/d{number}/m.wfz"),
            above.join(format!("hop{number}")),
        )
        .unwrap();
        links.push((format!("back{number}"), format!("../hop{number}")));
    }
    for (name, target) in links {
        symlink(target, source.join(format!("{name}.wfz"))).unwrap();
        asked.archive(&name);
    }
    asked
}

/// Of each path, whether a caller may open it for reading, or enter and list it.
fn answers(caller: Caller, paths: &[PathBuf]) -> Vec<bool> {
    const ASK: &str = r#"for path; do
        if [ -d "$path" ]; then (cd "$path" && ls) >/dev/null 2>&1; else (exec <"$path") 2>/dev/null; fi
        echo $?
    done"#;
    let (uid, gid, groups) = caller;
    let groups: Vec<_> = groups.iter().map(u32::to_string).collect();
    let mut command = Command::new("setpriv");
    command.args(["--inh-caps=-all", "--bounding-set=-all"]);
    command
        .arg(format!("--reuid={uid}"))
        .arg(format!("--regid={gid}"));
    if groups.is_empty() {
        command.arg("--clear-groups");
    } else {
        command.arg(format!("--groups={}", groups.join(",")));
    }
    let output = command
        .args(["sh", "-c", ASK, "sh"])
        .args(paths)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<_> = said.lines().map(|line| line == "0").collect();
    assert_eq!(
        answers.len(),
        paths.len(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    answers
}

/// What is wrong with a mount: where it allows more than the source and, if it can be exact, less; of
/// callers who are refused what the one who mounted cannot read, the latter is nothing wrong.
fn compare(
    mount: &Path,
    source: &Path,
    asked: &Asked,
    exact: bool,
    mounted_by: Option<Caller>,
) -> String {
    let below = |root: &Path, name: &str| root.join(name);
    let in_source: Vec<_> = asked
        .names
        .iter()
        .map(|one| below(source, &one.0))
        .collect();
    let in_mount: Vec<_> = asked.names.iter().map(|one| below(mount, &one.1)).collect();
    let served = mounted_by.map(|caller| answers(caller, &in_source));
    let mut wrong = String::new();
    for caller in CALLERS {
        let allowed = answers(caller, &in_source);
        let shown = answers(caller, &in_mount);
        for (at, name) in asked.names.iter().enumerate() {
            let can_be_served = served.as_ref().is_none_or(|served| served[at]);
            // For root, a list is only ever less: to one who has the power of root, lists mean nothing.
            let less = exact && caller.0 != 0 && allowed[at] && can_be_served && !shown[at];
            if shown[at] && !allowed[at] || less {
                let what = if less { "less" } else { "MORE" };
                writeln!(wrong, "{what} {caller:?} {}", name.1).unwrap();
            }
        }
    }
    wrong
}

/// Where one caller may not do in a mount what that caller may in the source, or more.
fn differences(caller: Caller, mount: &Path, source: &Path, asked: &Asked) -> String {
    let below = |root: &Path, pick: fn(&(String, String)) -> &String| -> Vec<_> {
        asked.names.iter().map(|one| root.join(pick(one))).collect()
    };
    let allowed = answers(caller, &below(source, |one| &one.0));
    let shown = answers(caller, &below(mount, |one| &one.1));
    let mut wrong = String::new();
    for (at, name) in asked.names.iter().enumerate() {
        if allowed[at] != shown[at] {
            writeln!(wrong, "own mount {} {}", shown[at], name.1).unwrap();
        }
    }
    wrong
}

/// True in the mount namespace that this test makes for itself, where others' mounts may be used by all.
/// Outside of it, runs the test there.
fn in_namespace(test: &str) -> bool {
    const INSIDE: &str = "PERMISSIONS_TEST_IS_INSIDE";
    assert!(
        rustix::process::geteuid().is_root(),
        "this test asks as several users, which only root can"
    );
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let conf = tempfile::NamedTempFile::new().unwrap();
    fs::write(conf.path(), "user_allow_other\n").unwrap();
    fs::set_permissions(conf.path(), Permissions::from_mode(0o644)).unwrap();
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "slave", "sh", "-c"])
        .arg(r#"mount --bind "$0" /etc/fuse.conf && exec "$@""#)
        .arg(conf.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    false
}

fn open_to_all(place: &Place) {
    place.pack("m", b"weights");
    fs::set_permissions(place.root.path(), Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn others_may_do_in_a_mount_of_root_what_they_may_in_the_source() {
    if !in_namespace("others_may_do_in_a_mount_of_root_what_they_may_in_the_source") {
        return;
    }
    let place = Place::new();
    open_to_all(&place);
    let root = place.root.path().canonicalize().unwrap();
    for (number, (above_rights, source_rights, exact)) in SOURCES.into_iter().enumerate() {
        let above = root.join(number.to_string());
        let source = above.join("source");
        fs::create_dir_all(&source).unwrap();
        let asked = fill(&place, &above, &source);
        set(&source, source_rights);
        set(&above, above_rights);
        let mount = Mount::with(&source, &place.mountpoint, &["--allow-other"], LIMIT);
        let wrong = compare(&mount.mountpoint, &source, &asked, exact, None);
        mount.stop();
        assert!(
            wrong.is_empty(),
            "{above_rights:?} {source_rights:?}:\n{wrong}"
        );
    }
}

#[test]
fn others_may_do_in_a_mount_of_a_user_what_they_and_the_user_may_in_the_source() {
    if !in_namespace("others_may_do_in_a_mount_of_a_user_what_they_and_the_user_may_in_the_source")
    {
        return;
    }
    let place = Place::new();
    open_to_all(&place);
    let root = place.root.path().canonicalize().unwrap();
    let program = root.join("weightfs");
    copy_program(&program);
    let user = OrdinaryUser::new();
    user.give(&[&place.mountpoint]);
    let alice = CALLERS[1];
    for (number, (above_rights, source_rights, exact)) in SOURCES.into_iter().enumerate() {
        let above = root.join(number.to_string());
        let source = above.join("source");
        fs::create_dir_all(&source).unwrap();
        let asked = fill(&place, &above, &source);
        set(&source, source_rights);
        set(&above, above_rights);
        if !answers(alice, std::slice::from_ref(&source))[0] {
            continue;
        }
        let mount = |options: &[&str]| {
            let mut command = Command::new("setpriv");
            command.args([&format!("--reuid={ALICE}"), &format!("--regid={ALICE}")]);
            command.arg(format!("--groups={MODELS},{GUESTS}"));
            command.arg(&program).arg("mount").args(options);
            command.arg(&source).arg(&place.mountpoint);
            Mount::spawn(command, &place.mountpoint, LIMIT)
        };
        let of_all = mount(&["--allow-other"]);
        let mut wrong = compare(&of_all.mountpoint, &source, &asked, exact, Some(alice));
        of_all.stop();
        // In a mount of her own she may what she may in the source, also where no list could say so.
        let own = mount(&[]);
        wrong += &differences(alice, &own.mountpoint, &source, &asked);
        own.stop();
        assert!(
            wrong.is_empty(),
            "{above_rights:?} {source_rights:?}:\n{wrong}"
        );
    }
}

#[test]
fn access_lists_are_shown_and_followed_when_they_change() {
    if !in_namespace("access_lists_are_shown_and_followed_when_they_change") {
        return;
    }
    let place = Place::new();
    open_to_all(&place);
    fs::set_permissions(&place.source, Permissions::from_mode(0o755)).unwrap();
    let archive = place.source.join("m.wfz");
    let options = ["--allow-other", "--ttl", "0"];
    let mount = Mount::with(&place.source, &place.mountpoint, &options, LIMIT);
    let shown = mount.path("m");
    let bob_may = || answers(CALLERS[2], std::slice::from_ref(&shown))[0];
    let get = |path: &Path| {
        let mut list = [0; 1024];
        getxattr(path, LIST, &mut list[..]).map(|len| list[..len].to_vec())
    };
    let listed = |path: &Path| {
        let mut names = [0; 1024];
        let len = listxattr(path, &mut names[..]).unwrap();
        String::from_utf8_lossy(&names[..len]).contains(LIST)
    };
    assert!(bob_may() && get(&shown).is_err() && !listed(&shown));
    set(&archive, LISTED[0]);
    assert!(!bob_may() && listed(&shown));
    assert_eq!(get(&shown).unwrap(), get(&archive).unwrap());
    set(&archive, LISTED[1]);
    assert!(bob_may());
    removexattr(&archive, LIST).unwrap();
    assert!(!bob_may() && get(&shown).is_err() && !listed(&shown));
    // A directory above.
    set(&archive, PLAIN[0]);
    assert!(bob_may());
    set(place.root.path(), LISTED[0]);
    assert!(!bob_may());
    set(place.root.path(), PLAIN[0]);
    removexattr(place.root.path(), LIST).unwrap();
    fs::set_permissions(place.root.path(), Permissions::from_mode(0o755)).unwrap();
    assert!(bob_may());

    for path in [&shown, &place.mountpoint] {
        let list = list(0o644, 4, &[]);
        let refused = setxattr(path, LIST, &list, XattrFlags::empty());
        assert_eq!(refused, Err(rustix::io::Errno::ROFS));
    }
    mount.stop();
}

/// A FUSE mount lets nobody in but one user, whatever its permissions say; so does a mount of what is in it.
#[test]
fn a_source_that_its_file_system_keeps_others_out_of_stays_so() {
    if !in_namespace("a_source_that_its_file_system_keeps_others_out_of_stays_so") {
        return;
    }
    let place = Place::new();
    open_to_all(&place);
    for path in [&place.source, &place.source.join("m.wfz")] {
        set(path, PLAIN[0]);
    }
    let root = place.root.path().canonicalize().unwrap();
    let (inner, above) = (root.join("inner"), root.join("above"));
    fs::create_dir_all(above.join("below")).unwrap();
    fs::create_dir(&inner).unwrap();
    let all = &["--allow-other"][..];
    for (options, may_read) in [(&[][..], false), (all, true)] {
        // As the source, and below the source.
        for (first, source, name) in [
            (&inner, &inner, "m"),
            (&above.join("below"), &above, "below/m"),
        ] {
            let mounted = Mount::with(&place.source, first, options, LIMIT);
            let mount = Mount::with(source, &place.mountpoint, all, LIMIT);
            let paths = [mounted.path("m"), mount.path(name)];
            assert_eq!(
                answers(CALLERS[2], &paths),
                [may_read; 2],
                "{name} {options:?}"
            );
            assert_eq!(fs::read(&paths[1]).unwrap(), b"weights");
            mount.stop();
            mounted.stop();
        }
    }
}
