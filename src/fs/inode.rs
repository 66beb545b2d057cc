//! Numbers of inodes, as the kernel and users see them.
//!
//! The same in each mount of a source, another one for another generation of an archive. Made of what
//! tells a file from every other one; knows no file.

use std::collections::HashMap;
use std::sync::{Mutex, RwLock};

use super::facts::FileNumber;
use crate::format::checksum;
use crate::sync::{alone, lock, together};

/// Number of an inode.
pub type Inode = u64;

/// The root of the mount.
pub const ROOT_INODE: Inode = 1;

/// Makes the numbers of inodes.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// What the numbers stand for that have been given, if they are to fit 32 bits: of so few, some would
    /// be given twice.
    given: Option<Mutex<HashMap<Inode, Inode>>>,
    /// The numbers that files keep which were given other forms.
    kept: RwLock<HashMap<Inode, Inode>>,
}

impl Numbers {
    /// Numbers that fit 32 bits.
    pub(super) fn narrow() -> Self {
        Self {
            given: Some(Mutex::default()),
            ..Self::default()
        }
    }

    /// The number under which the kernel knows an inode: its own, or that of the form that it had before.
    pub(super) fn shown(&self, own: Inode) -> Inode {
        let kept = together(&self.kept);
        kept.get(&own).copied().unwrap_or(own)
    }

    /// Has a file in its new form keep the number of the former one, which is gone.
    pub(super) fn keep(&self, former: Inode, now: Inode) {
        let mut kept = alone(&self.kept);
        let shown = kept.remove(&former).unwrap_or(former);
        if shown == now {
            kept.remove(&now);
        } else {
            kept.insert(now, shown);
        }
    }

    /// The number of a file's inode, made of the file's own and, for what can be another thing at the same
    /// place, of what tells it from that: an archive's superblock, a link's target.
    pub(super) fn of(&self, file: FileNumber, generation: &[u8]) -> Inode {
        let wide = inode_number(file, generation);
        match &self.given {
            None => wide,
            Some(given) => narrow(wide, &mut lock(given)),
        }
    }
}

fn inode_number(file: FileNumber, generation: &[u8]) -> Inode {
    let mut identity = Vec::with_capacity(16 + generation.len());
    identity.extend_from_slice(&file.device.to_le_bytes());
    identity.extend_from_slice(&file.file.to_le_bytes());
    identity.extend_from_slice(generation);
    // Programs keep inode numbers in signed integers; 0 and 1 have a meaning of their own.
    (checksum(&identity) >> 1).max(ROOT_INODE + 1)
}

/// The number of 32 bits that stands for one of 64: the next one that is free, the same ever after.
fn narrow(wide: Inode, given: &mut HashMap<Inode, Inode>) -> Inode {
    // As with the wide ones, a bit is left for the sign.
    let mut number = wide >> 32;
    loop {
        number = (number % (1 << 31)).max(ROOT_INODE + 1);
        match given.get(&number) {
            Some(taken) if *taken != wide => number += 1,
            Some(_) => return number,
            None => {
                given.insert(number, wide);
                return number;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: FileNumber = FileNumber {
        device: 0,
        file: 4_711,
    };

    /// Backups and NFS clients know files by these numbers: they may not change with the program.
    #[test]
    fn numbers_are_what_they_were() {
        let numbers = Numbers::default();
        assert_eq!(numbers.of(FILE, b""), PLAIN);
        assert_eq!(numbers.of(FILE, b"generation"), GENERATION);
        let elsewhere = FileNumber { device: 1, ..FILE };
        assert_eq!(numbers.of(elsewhere, b""), ELSEWHERE);
    }

    const PLAIN: Inode = 1_532_086_884_072_388_799;
    const GENERATION: Inode = 5_496_567_717_736_608_956;
    const ELSEWHERE: Inode = 406_930_284_765_042_135;

    #[test]
    fn a_file_keeps_its_number_in_whatever_form() {
        let numbers = Numbers::default();
        assert_eq!(numbers.shown(7), 7);
        numbers.keep(7, 8);
        numbers.keep(8, 9);
        assert_eq!((numbers.shown(9), numbers.shown(8)), (7, 8));
        numbers.keep(9, 7);
        assert_eq!((numbers.shown(7), numbers.shown(9)), (7, 9));
    }

    #[test]
    fn narrow_numbers_fit_and_no_two_files_share_one() {
        let numbers = Numbers::narrow();
        let number = |file| numbers.of(FileNumber { file, ..FILE }, b"");
        let mut seen = std::collections::HashSet::new();
        let first: Vec<_> = (0..100_000).map(number).collect();
        for number in &first {
            assert!(*number > ROOT_INODE && i32::try_from(*number).is_ok());
            assert!(seen.insert(*number), "{number} twice");
        }
        let again: Vec<_> = (0..100_000).map(number).collect();
        assert!(first == again);
    }

    #[test]
    fn a_number_that_is_taken_gives_way_to_the_next() {
        let mut given = HashMap::new();
        let last = ((1 << 31) - 1) << 32;
        assert_eq!(narrow(last, &mut given), (1 << 31) - 1);
        assert_eq!(narrow(last + 1, &mut given), ROOT_INODE + 1);
        assert_eq!(narrow(last + 2, &mut given), ROOT_INODE + 2);
        assert_eq!(narrow(last + 1, &mut given), ROOT_INODE + 1);
        assert_eq!(narrow(0, &mut given), ROOT_INODE + 3);
    }
}
