//! What only the kernel can be asked: mapped files, places in directories, access, and what a read-only
//! file system refuses.

use std::ffi::CString;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, Dir, XattrFlags};

use super::expected::{Kind, Shown, listing};
use super::source::{Picks, Source};

type Checked = Result<(), String>;

pub fn check(
    mountpoint: &Path,
    path: &Path,
    shown: &Result<Shown, i32>,
    source: &Source,
    picks: Picks,
) -> Checked {
    let at = mountpoint.join(path);
    match picks.0[3] % 6 {
        0 => places(mountpoint, path.parent().unwrap(), source, picks),
        1 => access(&at, shown),
        2 => sizes(mountpoint, source),
        3 => mapped(&at, shown, picks),
        4 => no_change(&at, shown),
        _ => nothing_new(&at, shown),
    }
}

/// A directory can be read on from each place in it, and again from the start.
fn places(mountpoint: &Path, directory: &Path, source: &Source, picks: Picks) -> Checked {
    let open = File::open(mountpoint.join(directory)).map_err(|e| e.to_string())?;
    let mut stream = Dir::new(open).map_err(|e| e.to_string())?;
    let mut read = Vec::new();
    while let Some(entry) = stream.read() {
        let entry = entry.map_err(|e| e.to_string())?;
        read.push((entry.file_name().to_owned(), entry.offset()));
    }
    let names: Vec<CString> = [".".into(), "..".into()]
        .into_iter()
        .chain(listing(source, directory).into_keys())
        .map(|name| CString::new(name.as_bytes()).unwrap())
        .collect();
    let all: Vec<_> = read.iter().map(|(name, _)| name.clone()).collect();
    if all != names {
        return Err(format!("{all:?} are listed, {names:?} expected"));
    }
    let from = picks.of(1, read.len());
    let (mut rest, mut again) = (Vec::new(), Vec::new());
    stream.seek(read[from].1).map_err(|e| e.to_string())?;
    while let Some(Ok(entry)) = stream.read() {
        rest.push(entry.file_name().to_owned());
    }
    stream.rewind();
    while let Some(Ok(entry)) = stream.read() {
        again.push(entry.file_name().to_owned());
    }
    if rest != all[from + 1..] || again != all {
        return Err(format!(
            "from {from} of {all:?}: {rest:?}, again: {again:?}"
        ));
    }
    Ok(())
}

/// What the source allows and a read-only file system does.
fn access(at: &Path, shown: &Result<Shown, i32>) -> Checked {
    let original = match shown {
        Ok(Shown::AsIs(path) | Shown::Archive(path, ..)) => path,
        _ => return Ok(()),
    };
    for wanted in [Access::EXISTS, Access::READ_OK, Access::EXEC_OK] {
        let of = |path: &Path| rustix::fs::accessat(CWD, path, wanted, AtFlags::EACCESS);
        if of(at) != of(original) {
            return Err(format!(
                "access {wanted:?}: {:?}, not {:?}",
                of(at),
                of(original)
            ));
        }
    }
    match rustix::fs::access(at, Access::WRITE_OK) {
        Err(rustix::io::Errno::ROFS) => Ok(()),
        other => Err(format!("access for writing: {other:?}")),
    }
}

fn sizes(mountpoint: &Path, source: &Source) -> Checked {
    let of = |path: &Path| {
        let stat = rustix::fs::statvfs(path).unwrap();
        (stat.f_blocks, stat.f_bsize, stat.f_namemax)
    };
    let (shown, expected) = (of(mountpoint), of(&source.path));
    if shown != expected {
        return Err(format!("statfs: {shown:?}, not {expected:?}"));
    }
    Ok(())
}

#[expect(unsafe_code, reason = "a test of mapped files")]
fn mapped(at: &Path, shown: &Result<Shown, i32>, picks: Picks) -> Checked {
    let Some(bytes) = shown.as_ref().ok().and_then(Shown::bytes) else {
        return Ok(());
    };
    if bytes.is_empty() {
        return Ok(());
    }
    let file = File::open(at).map_err(|e| e.to_string())?;
    // SAFETY: nothing changes the file until the map is gone.
    let map = unsafe { memmap2::Mmap::map(&file) }.map_err(|e| e.to_string())?;
    let (a, b) = (picks.of(0, bytes.len()), picks.of(1, bytes.len()));
    for (from, to) in [(a.min(b), a.max(b)), (0, bytes.len())] {
        if map.get(from..to) != bytes.get(from..to) {
            return Err(format!("wrong bytes in {from}..{to} of the mapped file"));
        }
    }
    Ok(())
}

/// Opening for writing and every other change is refused.
fn no_change(at: &Path, shown: &Result<Shown, i32>) -> Checked {
    let Some(kind) = shown
        .as_ref()
        .ok()
        .filter(|s| s.stat().is_ok())
        .map(Shown::kind)
    else {
        return Ok(());
    };
    let mut done = vec![
        ("rename", fs::rename(at, at.with_file_name("renamed"))),
        ("chown", std::os::unix::fs::lchown(at, Some(1), None)),
    ];
    if kind == Kind::Directory {
        done.push(("rmdir", fs::remove_dir(at)));
    } else {
        done.push(("unlink", fs::remove_file(at)));
    }
    if kind == Kind::File {
        let open = |options: &mut fs::OpenOptions| options.open(at).map(drop);
        done.push(("write", open(File::options().write(true))));
        done.push(("append", open(File::options().append(true))));
        done.push(("truncate", open(File::options().write(true).truncate(true))));
        done.push((
            "read and write",
            open(File::options().read(true).write(true)),
        ));
        done.push(("create", File::create(at).map(drop)));
        let set = rustix::fs::setxattr(at, "user.x", b"x", XattrFlags::empty());
        done.push(("setxattr", set.map_err(Into::into)));
        done.push((
            "chmod",
            fs::set_permissions(at, std::os::unix::fs::PermissionsExt::from_mode(0o600)),
        ));
    }
    all_refused(done)
}

/// Nor is anything made.
fn nothing_new(at: &Path, shown: &Result<Shown, i32>) -> Checked {
    if shown.is_ok() {
        return Ok(());
    }
    all_refused(vec![
        ("create", File::create(at).map(drop)),
        ("mkdir", fs::create_dir(at)),
        ("symlink", symlink("x", at)),
    ])
}

fn all_refused(done: Vec<(&str, std::io::Result<()>)>) -> Checked {
    for (what, done) in done {
        match done {
            Err(e) if e.raw_os_error() == Some(libc::EROFS) => {}
            other => return Err(format!("{what}: {other:?}")),
        }
    }
    Ok(())
}
