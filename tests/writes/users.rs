//! Who may do what, and to whom it belongs.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use super::support::ordinary_user::{NOBODY, OrdinaryUser, copy_program};
use super::support::{Mount, Place, model};

fn run_as(uid: u32, script: &str) -> (bool, String) {
    use std::os::unix::process::CommandExt;
    let output = Command::new("sh")
        .arg("-c")
        .arg(script)
        .uid(uid)
        .gid(uid)
        .output()
        .unwrap();
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn what_users_make_in_a_mount_of_root_is_theirs() {
    if !rustix::process::geteuid().is_root() {
        // There is nobody to be then; the test below is of this user's own mount.
        return;
    }
    let place = Place::new();
    fs::set_permissions(place.root.path(), Permissions::from_mode(0o755)).unwrap();
    place.pack("model", &model(1, 1));
    fs::set_permissions(
        place.source.join("model.wfz"),
        Permissions::from_mode(0o644),
    )
    .unwrap();
    fs::create_dir(place.source.join("shared")).unwrap();
    fs::set_permissions(place.source.join("shared"), Permissions::from_mode(0o1777)).unwrap();
    fs::set_permissions(&place.source, Permissions::from_mode(0o755)).unwrap();
    let options = ["--writable", "--allow-other"];
    let mount = Mount::with(&place.source, &place.mountpoint, &options, super::LIMIT);
    let at = |name: &str| mount.path(name).display().to_string();
    let (done, said) = run_as(
        NOBODY,
        &format!(
            "umask 027; echo x > {0}; mkdir {0}.d; ln -s x {0}.l",
            at("shared/f")
        ),
    );
    assert!(done, "{said}");
    for (name, mode) in [("f", 0o640), ("f.d", 0o750)] {
        let meta = fs::metadata(place.source.join("shared").join(name)).unwrap();
        assert_eq!(
            (meta.uid(), meta.gid(), meta.mode() & 0o777),
            (NOBODY, NOBODY, mode),
            "{name}"
        );
    }
    let link = place.source.join("shared/f.l").symlink_metadata().unwrap();
    assert_eq!(link.uid(), NOBODY);
    fs::write(mount.path("shared/roots"), b"root").unwrap();
    for forbidden in [
        format!("echo x > {}", at("new")),
        format!("echo x >> {}", at("model")),
        format!("mv {} {}", at("model"), at("shared/m")),
        format!("rm -f {}", at("shared/roots")),
        format!("chmod 777 {}", at("model")),
        format!("touch {}", at("model")),
    ] {
        let (done, _) = run_as(NOBODY, &forbidden);
        assert!(!done, "{forbidden}");
    }
    assert!(fs::read(mount.path("model")).unwrap() == model(1, 1));
    mount.stop();
}

/// A source with an archive that is a user's, and that user's mount of it.
fn mounted_by(user: &OrdinaryUser) -> (Place, Mount) {
    let place = Place::new();
    fs::set_permissions(place.root.path(), Permissions::from_mode(0o755)).unwrap();
    let program = place.root.path().join("weightfs");
    copy_program(&program);
    let archive = place.pack("model", &model(1, 1));
    user.give(&[&place.source, &place.mountpoint, &archive]);
    let mut command = user.command(&program);
    command
        .args(["mount", "--writable"])
        .arg(&place.source)
        .arg(&place.mountpoint);
    let mount = Mount::spawn(command, &place.mountpoint, super::LIMIT);
    (place, mount)
}

/// What a script of a user's says; it must succeed.
fn run_shell(user: &OrdinaryUser, script: &str) -> Vec<u8> {
    let mut shell = user.command("sh".as_ref());
    let output = shell.arg("-c").arg(script).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

#[test]
fn a_user_mounts_and_writes() {
    let user = OrdinaryUser::new();
    let (place, mount) = mounted_by(&user);
    let model_path = mount.path("model").display().to_string();
    let script = format!(
        "set -e; cd {}; echo x > f; mkdir d; mv f d/g; printf abc | dd of={model_path} bs=1 seek=100 conv=notrunc 2>/dev/null; cat d/g; rm -r d",
        mount.mountpoint.display()
    );
    assert_eq!(run_shell(&user, &script), b"x\n");
    mount.stop();
    let mut expected = model(1, 1);
    expected[100..103].copy_from_slice(b"abc");
    assert!(fs::read(place.source.join("model")).unwrap() == expected);
}

/// The file that takes the archive's place may not be opened for writing any more then, by whoever is not root.
#[test]
fn who_has_made_the_file_of_an_archive_read_only_writes_on() {
    let user = OrdinaryUser::new();
    let (place, mount) = mounted_by(&user);
    let script = format!(
        "set -e; exec 3<>{0}; chmod 444 {0}; printf abc >&3; printf def >&3",
        mount.path("model").display()
    );
    run_shell(&user, &script);
    mount.stop();
    let mut expected = model(1, 1);
    expected[..6].copy_from_slice(b"abcdef");
    assert!(fs::read(place.source.join("model")).unwrap() == expected);
}
