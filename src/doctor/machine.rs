//! The machine, as this process has it.

use serde::Serialize;

use super::found::Found;
use super::memory::MemoryFacts;
use super::processor::ProcessorFacts;
use super::test_mount::{TestMount, test_mount};
use crate::fuse::FuseAccess;
use crate::os::kernel;

/// What the machine is like, for this process.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    /// Version of the kernel.
    pub(crate) kernel: String,
    pub(crate) fuse: FuseAccess,
    pub(crate) test_mount: Found<TestMount>,
    pub(crate) processor: ProcessorFacts,
    pub(crate) memory: MemoryFacts,
}

impl Machine {
    /// Asks and measures; takes about a second.
    pub(crate) fn gather() -> Self {
        Self {
            kernel: kernel(),
            fuse: FuseAccess::of_this_process(),
            test_mount: test_mount().into(),
            processor: ProcessorFacts::gather(),
            memory: MemoryFacts::gather(),
        }
    }
}
