//! How much memory the system, or the control group of this process, can still give.

use std::fs;
use std::path::{Path, PathBuf};

use super::control_group::{Group, field, groups};

/// What can be asked again and again. The groups are those that the process was in when this was made.
pub struct AvailableMemory(Vec<Group>);

impl AvailableMemory {
    /// Finds out whom to ask.
    pub fn of_this_process() -> Self {
        Self(groups(Path::new("/")))
    }

    /// Bytes that can be had without taking them from anybody who needs them: the least of what the
    /// system has and of what the control groups may still use. `None` if nothing tells.
    pub fn bytes(&self) -> Option<u64> {
        let system = fs::read_to_string("/proc/meminfo")
            .ok()
            .and_then(|text| kib_field(&text, "MemAvailable:"));
        let group = self.0.iter().filter_map(Group::left);
        system.into_iter().chain(group).min()
    }
}

/// How much of the time work waits for memory, asked again and again.
pub struct MemoryPressure {
    groups: Vec<Group>,
    root: PathBuf,
}

impl MemoryPressure {
    /// Finds out whom to ask.
    pub fn of_this_process() -> Self {
        Self::below(Path::new("/"))
    }

    fn below(root: &Path) -> Self {
        Self {
            groups: groups(root),
            root: root.to_path_buf(),
        }
    }

    /// Percent of the last ten seconds in which somebody waited for memory, in the system or in the control groups
    /// of this process, whichever is more. `None` if nothing tells.
    pub fn percent(&self) -> Option<f64> {
        let system = fs::read_to_string(self.root.join("proc/pressure/memory")).ok();
        let groups = self.groups.iter().filter_map(Group::pressure);
        let percents = system.into_iter().chain(groups);
        percents
            .filter_map(|text| stalled_percent(&text))
            .reduce(f64::max)
    }
}

/// Of a file of pressure: `some avg10=1.23 avg60=...`.
fn stalled_percent(text: &str) -> Option<f64> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let mut fields = some.split_whitespace();
    let average = fields.find_map(|field| field.strip_prefix("avg10="))?;
    average.parse().ok()
}

/// A field of `/proc/meminfo`, in bytes.
pub(super) fn kib_field(text: &str, name: &str) -> Option<u64> {
    field(text, name)?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::super::control_group::tests::Machine;
    use super::*;

    #[test]
    fn the_worst_of_the_system_and_the_groups_counts() {
        let machine = Machine::new("0::/a\n", &[("/", "/sys/fs/cgroup", "cgroup2 cgroup2 rw")]);
        let text = |percent| {
            format!("some avg10={percent} avg60=9.00 avg300=9.00 total=1\nfull avg10=99.00\n")
        };
        let percent = || MemoryPressure::below(machine.0.path()).percent();
        machine.write("sys/fs/cgroup/a/memory.max", "max\n");
        assert_eq!(percent(), None);
        machine.write("proc/pressure/memory", text("1.50"));
        assert_eq!(percent(), Some(1.5));
        machine.write("sys/fs/cgroup/a/memory.pressure", text("12.25"));
        assert_eq!(percent(), Some(12.25));
        machine.write("sys/fs/cgroup/a/memory.pressure", "some nonsense\n");
        assert_eq!(percent(), Some(1.5));
    }

    #[test]
    fn the_system_tells() {
        assert!(AvailableMemory::of_this_process().bytes().unwrap() > 1 << 20);
        let text = "MemTotal:  100 kB\nMemAvailable:    12 kB\n";
        assert_eq!(kib_field(text, "MemAvailable:"), Some(12 << 10));
        assert_eq!(kib_field("MemAvailable: x kB", "MemAvailable:"), None);
    }
}
