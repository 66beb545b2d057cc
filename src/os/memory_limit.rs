//! How much memory this process may have at most, and what bounds it.

use std::fmt;
use std::fs;
use std::path::Path;

use rustix::process::{Resource, getrlimit};

use super::control_group::{Group, groups};
use super::memory::memory_bytes;
use super::pressure::kib_field;

/// A bound of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimit {
    /// Bytes that the process may have.
    pub bytes: u64,
    /// What says so.
    pub by: BoundBy,
}

/// What bounds the memory of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoundBy {
    /// A control group (a container, a service, a batch job).
    ControlGroup,
    /// The address space that is left (`ulimit -v`).
    AddressSpace,
    /// The data segment that is left (`ulimit -d`).
    DataSegment,
    /// The memory of the machine.
    Machine,
}

impl fmt::Display for BoundBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ControlGroup => "the memory limit of the control group",
            Self::AddressSpace => "what is left of the address space (ulimit -v)",
            Self::DataSegment => "what is left of the data segment (ulimit -d)",
            Self::Machine => "the memory of the machine",
        })
    }
}

/// The tightest bound of this process; `None` if nothing tells.
pub fn memory_limit() -> Option<MemoryLimit> {
    own_limit()
        .into_iter()
        .chain(limit_around(Path::new("/")))
        .min_by_key(|limit| limit.bytes)
}

/// What is left of the limits that this process has for itself alone. Beyond these, memory is refused, and
/// who cannot do without ends.
pub fn own_limit() -> Option<MemoryLimit> {
    let space = (address_space_left(), BoundBy::AddressSpace);
    let data = (left_of(Resource::Data, "VmData"), BoundBy::DataSegment);
    [space, data]
        .into_iter()
        .filter_map(|(bytes, by)| Some(MemoryLimit { bytes: bytes?, by }))
        .min_by_key(|limit| limit.bytes)
}

/// What this process can still map, if that is limited (`ulimit -v`).
pub fn address_space_left() -> Option<u64> {
    left_of(Resource::As, "VmSize")
}

fn left_of(resource: Resource, used: &str) -> Option<u64> {
    let limit = getrlimit(resource).current?;
    Some(limit.saturating_sub(memory_bytes(used).unwrap_or(0)))
}

/// The bound of the machine and the control groups of this process; `root` is `/`, but for tests.
fn limit_around(root: &Path) -> Option<MemoryLimit> {
    let text = fs::read_to_string(root.join("proc/meminfo")).unwrap_or_default();
    let machine = kib_field(&text, "MemTotal:").map(|bytes| (bytes, BoundBy::Machine));
    let group = groups(root).iter().filter_map(Group::limit).min();
    let group = group.map(|bytes| (bytes, BoundBy::ControlGroup));
    machine
        .into_iter()
        .chain(group)
        .map(|(bytes, by)| MemoryLimit { bytes, by })
        .min_by_key(|limit| limit.bytes)
}

#[cfg(test)]
mod tests {
    use super::super::control_group::tests::Machine;
    use super::*;

    #[test]
    fn the_tightest_bound_counts() {
        let mounted = ("/", "/sys/fs/cgroup", "cgroup2 cgroup2 rw");
        let machine = Machine::new("0::/a\n", &[mounted]);
        let limit = || limit_around(machine.0.path()).map(|limit| (limit.bytes, limit.by));
        assert_eq!(limit(), None);
        machine.write("proc/meminfo", "MemTotal: 100 kB\n");
        assert_eq!(limit(), Some((100 << 10, BoundBy::Machine)));
        machine.write("sys/fs/cgroup/a/memory.max", "65536\n");
        assert_eq!(limit(), Some((65536, BoundBy::ControlGroup)));
        machine.write("sys/fs/cgroup/a/memory.max", "max\n");
        assert_eq!(limit(), Some((100 << 10, BoundBy::Machine)));
        assert!(memory_limit().unwrap().bytes > 1 << 20);
    }
}
