//! Gets a connection to the kernel: with mount(2) where that is allowed, else through fusermount3.

use std::ffi::CString;
use std::fs::OpenOptions;
use std::io::{self, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::mountinfo::FILE_SYSTEM_TYPE;
use super::options::MountOptions;
use crate::error::{Error, Result};
use crate::os::limits_hint;

/// The part of the type behind the dot.
const SUBTYPE: &str = "weightfs";
/// The program that mounts for users who may not.
pub(super) const FUSERMOUNT: &str = "fusermount3";
pub(super) const DEVICE: &str = "/dev/fuse";
/// What a container needs that mounts.
const CONTAINER: &str = "--device /dev/fuse --cap-add SYS_ADMIN";
/// The number of the capability to mount.
const CAP_SYS_ADMIN: u32 = 21;

/// Mounts on a canonical path and returns the connection.
///
/// # Errors
/// `Io` that says what is missing, and how to get it.
pub(super) fn connect(mountpoint: &Path, wanted: &MountOptions) -> Result<OwnedFd> {
    if !Path::new(DEVICE).exists() {
        return Err(Error::Environment(format!(
            "{DEVICE} is missing: load the kernel module (modprobe fuse), or start the container \
             with {CONTAINER}"
        )));
    }
    if rustix::process::geteuid().is_root()
        && let Some(connection) = mount_directly(mountpoint, wanted)?
    {
        return Ok(connection);
    }
    mount_by_helper(mountpoint, wanted)
}

/// `None` if the system does not allow it, as in a container without the capability.
fn mount_directly(mountpoint: &Path, wanted: &MountOptions) -> Result<Option<OwnedFd>> {
    let cannot = |e| Error::io(format!("cannot mount on {}", mountpoint.display()), e);
    let device = match OpenOptions::new().read(true).write(true).open(DEVICE) {
        Ok(device) => device,
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => return Ok(None),
        Err(e) => return Err(Error::io(format!("cannot open {DEVICE}"), e)),
    };
    let mut options = format!(
        "fd={},rootmode=40000,user_id={},group_id={},default_permissions",
        device.as_raw_fd(),
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    if wanted.allow_other {
        options += ",allow_other";
    }
    let options = CString::new(options).expect("invariant: no NUL in options made here");
    let mut flags = MountFlags::NOSUID | MountFlags::NODEV;
    if !wanted.writable {
        flags |= MountFlags::RDONLY;
    }
    if wanted.no_exec {
        flags |= MountFlags::NOEXEC;
    }
    match rustix::mount::mount(
        &wanted.source_name,
        mountpoint,
        FILE_SYSTEM_TYPE,
        flags,
        options.as_c_str(),
    ) {
        Ok(()) => Ok(Some(device.into())),
        Err(Errno::PERM | Errno::NOSYS) => Ok(None),
        Err(Errno::NODEV) => Err(Error::Environment(
            "the kernel does not know FUSE: load its module (modprobe fuse)".into(),
        )),
        Err(e) => Err(cannot(e.into())),
    }
}

/// The helper mounts and sends the connection through a socket.
fn mount_by_helper(mountpoint: &Path, wanted: &MountOptions) -> Result<OwnedFd> {
    let cannot = |e| Error::io(format!("cannot run {FUSERMOUNT}"), e);
    let (ours, theirs) = UnixStream::pair().map_err(cannot)?;
    // A comma would end the name.
    let name = wanted.source_name.to_string_lossy();
    let name = name.replace('\\', "\\\\").replace(',', "\\,");
    let access = if wanted.writable { "rw" } else { "ro" };
    let mut options =
        format!("{access},nosuid,nodev,default_permissions,fsname={name},subtype={SUBTYPE}");
    if wanted.no_exec {
        options += ",noexec";
    }
    if wanted.allow_other {
        options += ",allow_other";
    }
    let mut child = Command::new(FUSERMOUNT)
        .args(["-o", &options, "--"])
        .arg(mountpoint)
        // The helper finds its end of the socket as descriptor 0.
        .env("_FUSE_COMMFD", "0")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| helper_missing(e, &what_is_missing()))?;
    let connection = receive(&ours);
    let mut message = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        let _ = stderr.read_to_string(&mut message);
    }
    child.wait().map_err(cannot)?;
    connection.map_err(|e| {
        Error::Environment(format!(
            "cannot mount on {}: {}{}",
            mountpoint.display(),
            if message.trim().is_empty() {
                e.to_string()
            } else {
                message.trim().replace('\n', "; ")
            },
            what_is_missing()
        ))
    })
}

/// What keeps this process from mounting, and which setting lets it; empty for an ordinary user, whom the
/// helper tells what is wrong.
fn what_is_missing() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    what_lacks(&status, rustix::process::geteuid().is_root())
}

/// `status` is `/proc/self/status`.
fn what_lacks(status: &str, is_root: bool) -> String {
    if !is_root && lacks_new_privileges(status) {
        format!(
            "; no_new_privs is set, with which {FUSERMOUNT}, a setuid program, cannot mount: leave that \
             setting out (NoNewPrivileges= of systemd, no-new-privileges of a container, \
             allowPrivilegeEscalation of Kubernetes), or mount as root"
        )
    } else if is_root && !may_mount(status) {
        format!(
            "; the capability SYS_ADMIN is missing: start the container with {CONTAINER} (and \
             --security-opt apparmor=unconfined where AppArmor forbids to mount)"
        )
    } else if is_root {
        format!(
            "; something around this process forbids to mount or to open {DEVICE}: start the container \
             with {CONTAINER}, and see its filter of system calls (seccomp), AppArmor or SELinux"
        )
    } else {
        String::new()
    }
}

/// True if a process has the capability to mount, by its `/proc/PID/status`.
pub(super) fn may_mount(status: &str) -> bool {
    let capabilities = u64::from_str_radix(status_field(status, "CapEff:"), 16).unwrap_or(0);
    capabilities >> CAP_SYS_ADMIN & 1 == 1
}

/// True if a process cannot get rights by running a setuid program, by its `/proc/PID/status`.
pub(super) fn lacks_new_privileges(status: &str) -> bool {
    status_field(status, "NoNewPrivs:") == "1"
}

fn status_field<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.map_or("", str::trim)
}

fn receive(socket: &UnixStream) -> io::Result<OwnedFd> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut byte)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    control
        .drain()
        .find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        })
        .ok_or_else(|| io::Error::other("it sent no connection"))
}

/// Unmounts a canonical path; with `lazy` also while files are open, which then stay readable.
///
/// # Errors
/// `Io` with EBUSY if files are open and `lazy` is not set.
pub(super) fn disconnect(mountpoint: &Path, lazy: bool) -> Result<()> {
    let cannot = |e| Error::io(format!("cannot unmount {}", mountpoint.display()), e);
    let flags = if lazy {
        UnmountFlags::DETACH | UnmountFlags::NOFOLLOW
    } else {
        UnmountFlags::NOFOLLOW
    };
    match rustix::mount::unmount(mountpoint, flags) {
        Ok(()) => return Ok(()),
        Err(Errno::PERM | Errno::NOSYS) => {}
        Err(e) => return Err(cannot(e.into())),
    }
    let mut command = Command::new(FUSERMOUNT);
    command.arg("-u");
    if lazy {
        command.arg("-z");
    }
    let output = command
        .arg("--")
        .arg(mountpoint)
        .output()
        .map_err(|e| helper_missing(e, ""))?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    // The helper does not tell which; a mount that is ours cannot be unmounted only while in use.
    let busy = message.contains("busy");
    Err(if busy {
        cannot(io::Error::from_raw_os_error(libc::EBUSY))
    } else {
        Error::Environment(format!(
            "cannot unmount {}: {message}",
            mountpoint.display()
        ))
    })
}

fn helper_missing(error: io::Error, lacking: &str) -> Error {
    let hint = limits_hint(&error);
    if error.kind() == io::ErrorKind::NotFound {
        Error::Environment(format!(
            "{FUSERMOUNT} is missing; it mounts for who may not mount by himself. Install the package \
             fuse3 (Debian, Ubuntu: apt install fuse3; Fedora: dnf install fuse3){lacking}"
        ))
    } else if hint.is_empty() {
        Error::io(format!("cannot run {FUSERMOUNT}"), error)
    } else {
        Error::Environment(format!("cannot run {FUSERMOUNT}: {error}{hint}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_with_the_setting_that_gives_it() {
        for (status, is_root, expected) in [
            (
                "CapEff:\t0000000000000000\nNoNewPrivs:\t1\n",
                false,
                "no_new_privs",
            ),
            (
                "CapEff:\t00000000a80425fb\nNoNewPrivs:\t0\n",
                true,
                "--cap-add SYS_ADMIN",
            ),
            (
                "CapEff:\t00000000a82425fb\nNoNewPrivs:\t1\n",
                true,
                "seccomp",
            ),
            ("CapEff:\t0000000000000000\nNoNewPrivs:\t0\n", false, ""),
            ("", true, "--device /dev/fuse"),
        ] {
            let told = what_lacks(status, is_root);
            assert!(told.contains(expected), "{status}: {told}");
            assert_eq!(told.is_empty(), expected.is_empty(), "{status}: {told}");
        }
    }
}
