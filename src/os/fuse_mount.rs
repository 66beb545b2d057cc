//! Who may enter a FUSE mount. The kernel keeps all but one user out of most, whatever the permissions in
//! it say.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// `f_type` of FUSE and what is built on it.
const FUSE_MAGIC: u64 = 0x6573_5546;

/// Who may enter what a file or directory lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entrance {
    /// Whoever the permissions let in.
    All,
    /// The user who mounted it, and nobody else.
    Only(u32),
}

/// Who may enter the mount that an open file, or what is open as a path, lies on.
///
/// # Errors
/// What the system answered, or that it does not tell.
pub fn entrance(file: &File) -> io::Result<Entrance> {
    if rustix::fs::fstatfs(file)?.f_type.cast_unsigned() != FUSE_MAGIC {
        return Ok(Entrance::All);
    }
    let untold = || io::Error::other("the table of mounts does not tell who may enter");
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd()))?;
    let id = info
        .lines()
        .find_map(|line| line.strip_prefix("mnt_id:"))
        .ok_or_else(untold)?;
    let table = std::fs::read_to_string("/proc/self/mountinfo")?;
    of_mount(&table, id.trim()).ok_or_else(untold)
}

/// From the line of a mount in the table: its number first, the options of the file system last.
fn of_mount(table: &str, id: &str) -> Option<Entrance> {
    let line = table
        .lines()
        .find(|line| line.split(' ').next() == Some(id))?;
    let options = || {
        line.rsplit(' ')
            .next()
            .into_iter()
            .flat_map(|o| o.split(','))
    };
    if options().any(|option| option == "allow_other") {
        return Some(Entrance::All);
    }
    match options().find_map(|option| option.strip_prefix("user_id=")) {
        Some(user) => user.parse().ok().map(Entrance::Only),
        // Not one that a user's process serves.
        None => Some(Entrance::All),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_mounts_tells_who_may_enter() {
        let table = "23 1 0:21 / / rw - ext4 /dev/vda rw,allow_other\n\
                     77 23 0:52 / /mine rw - fuse.sshfs host: rw,user_id=1000,group_id=1000\n\
                     7 23 0:53 / /all rw - fuse.x y rw,user_id=0,group_id=0,allow_other\n\
                     8 23 0:54 / /guest rw - virtiofs share rw\n";
        let told = [
            ("77", Some(Entrance::Only(1000))),
            ("7", Some(Entrance::All)),
            ("8", Some(Entrance::All)),
            ("9", None),
        ];
        for (id, entrance) in told {
            assert_eq!(of_mount(table, id), entrance, "{id}");
        }
    }
}
