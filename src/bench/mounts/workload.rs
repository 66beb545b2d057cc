//! What can be measured of a mount, by name.

use clap::ValueEnum;

/// A way to read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Workload {
    /// read() from start to end, 1 MiB at a time
    Read,
    /// Map the file and copy it, 1 MiB at a time
    Mmap,
    /// The same, after madvise(WILLNEED) on all of it
    MmapWillneed,
    /// pread() of 4 KiB at random places
    #[value(name = "rand-4k")]
    Rand4k,
    /// pread() of 64 KiB at random places
    #[value(name = "rand-64k")]
    Rand64k,
    /// Copies of 4 KiB at random places of a map
    #[value(name = "rand-4k-mmap")]
    Rand4kMmap,
    /// 2 threads, each its own half of one descriptor
    #[value(name = "shared-2")]
    Shared2,
    /// 4 threads
    #[value(name = "shared-4")]
    Shared4,
    /// 16 threads
    #[value(name = "shared-16")]
    Shared16,
    /// 2 threads, each its own half with its own descriptor
    #[value(name = "own-2")]
    Own2,
    /// 4 threads
    #[value(name = "own-4")]
    Own4,
    /// 16 threads
    #[value(name = "own-16")]
    Own16,
    /// 4 processes, each its own quarter
    #[value(name = "processes-4")]
    Processes4,
}

/// What a workload does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Read,
    Map { ask_for_all: bool },
    Random { bytes: usize },
    RandomMap { bytes: usize },
    Threads { count: u64, share: bool },
    Processes { count: u64 },
}

impl Workload {
    pub(super) const fn way(self) -> Way {
        match self {
            Self::Read => Way::Read,
            Self::Mmap => Way::Map { ask_for_all: false },
            Self::MmapWillneed => Way::Map { ask_for_all: true },
            Self::Rand4k => Way::Random { bytes: 4 << 10 },
            Self::Rand64k => Way::Random { bytes: 64 << 10 },
            Self::Rand4kMmap => Way::RandomMap { bytes: 4 << 10 },
            Self::Shared2 => shared(2),
            Self::Shared4 => shared(4),
            Self::Shared16 => shared(16),
            Self::Own2 => own(2),
            Self::Own4 => own(4),
            Self::Own16 => own(16),
            Self::Processes4 => Way::Processes { count: 4 },
        }
    }

    /// True if it reads at random, and all that counts is how long each read takes.
    pub(super) const fn is_random(self) -> bool {
        matches!(self.way(), Way::Random { .. } | Way::RandomMap { .. })
    }

    /// The name that `--workloads` knows.
    pub(super) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

const fn shared(count: u64) -> Way {
    Way::Threads { count, share: true }
}

const fn own(count: u64) -> Way {
    Way::Threads {
        count,
        share: false,
    }
}
