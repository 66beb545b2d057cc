//! Numbers of inodes, as the kernel and users see them.
//!
//! The same in each mount of a source, another one for another generation of an archive. Made of what
//! tells a file from every other one; knows no file.

use crate::format::checksum;

/// Number of an inode.
pub type Inode = u64;

/// The root of the mount.
pub const ROOT_INODE: Inode = 1;

/// Makes the number of an inode of the file's identity (`Identity::file`) and, for what can be another
/// thing at the same place, of what tells it from that: an archive's superblock, a link's target.
pub(super) fn inode_number(file: [u8; 16], generation: &[u8]) -> Inode {
    let mut identity = Vec::with_capacity(file.len() + generation.len());
    identity.extend_from_slice(&file);
    identity.extend_from_slice(generation);
    // Programs keep inode numbers in signed integers; 0 and 1 have a meaning of their own.
    (checksum(&identity) >> 1).max(ROOT_INODE + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Backups and NFS clients know files by these numbers: they may not change with the program.
    #[test]
    fn numbers_are_what_they_were() {
        let mut file = [0; 16];
        file[..8].copy_from_slice(&0x1_0300u64.to_le_bytes());
        file[8..].copy_from_slice(&4_711u64.to_le_bytes());
        assert_eq!(inode_number(file, b""), PLAIN);
        assert_eq!(inode_number(file, b"generation"), GENERATION);
    }

    const PLAIN: Inode = 6_639_220_997_974_615_336;
    const GENERATION: Inode = 3_472_687_656_507_760_420;
}
