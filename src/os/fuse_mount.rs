//! Who may enter a FUSE mount. The kernel keeps all but one user out of most, whatever the permissions in
//! it say.

use std::fs::File;
use std::io;

use super::mounts::{MountLine, mount_id, mounts};

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
    of_mount(&mounts()?, mount_id(file)?)
        .ok_or_else(|| io::Error::other("the table of mounts does not tell who may enter"))
}

/// From the line of a mount in the table.
fn of_mount(table: &[MountLine], id: u64) -> Option<Entrance> {
    let line = table.iter().find(|line| line.id == id)?;
    if line.has("allow_other") {
        return Some(Entrance::All);
    }
    let user = |option: &String| option.strip_prefix("user_id=").map(str::parse);
    match line.options.iter().find_map(user) {
        Some(user) => user.ok().map(Entrance::Only),
        // Not one that a user's process serves.
        None => Some(Entrance::All),
    }
}

#[cfg(test)]
mod tests {
    use super::super::mounts::parse;
    use super::*;

    #[test]
    fn the_table_of_mounts_tells_who_may_enter() {
        let table = b"22 1 0:20 / /not\xfftext rw - ext4 /dev/vda rw\n\
                     23 1 0:21 / / rw - ext4 /dev/vda rw,allow_other\n\
                     77 23 0:52 / /mine rw - fuse.sshfs host: rw,user_id=1000,group_id=1000\n\
                     7 23 0:53 / /all rw - fuse.x y rw,user_id=0,group_id=0,allow_other\n\
                     8 23 0:54 / /guest rw - virtiofs share rw\n";
        let told = [
            (77, Some(Entrance::Only(1000))),
            (7, Some(Entrance::All)),
            (8, Some(Entrance::All)),
            (9, None),
        ];
        for (id, entrance) in told {
            assert_eq!(of_mount(&parse(table), id), entrance, "{id}");
        }
    }
}
