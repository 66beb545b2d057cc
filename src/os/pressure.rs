//! How much memory the system, or the control group of this process, can still give.

use std::fs;
use std::path::Path;

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

/// A field of `/proc/meminfo`, in bytes.
pub(super) fn kib_field(text: &str, name: &str) -> Option<u64> {
    field(text, name)?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells() {
        assert!(AvailableMemory::of_this_process().bytes().unwrap() > 1 << 20);
        let text = "MemTotal:  100 kB\nMemAvailable:    12 kB\n";
        assert_eq!(kib_field(text, "MemAvailable:"), Some(12 << 10));
        assert_eq!(kib_field("MemAvailable: x kB", "MemAvailable:"), None);
    }
}
