//! How much memory the system, or the control group of this process, can still give.

use std::fs;
use std::path::{Path, PathBuf};

const CONTROL_GROUPS: &str = "/sys/fs/cgroup";

/// Bytes that can be had without taking them from anybody who needs them: the least of what the system
/// has and of what the control groups of this process may still use. `None` if nothing tells.
pub fn available_bytes() -> Option<u64> {
    let system = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| kib_field(&text, "MemAvailable:"));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = groups
        .lines()
        .filter_map(|line| left_in(Path::new(CONTROL_GROUPS), line));
    system.into_iter().chain(group).min()
}

/// What a control group may still use, and those it is in: the least. `line` is one of
/// `/proc/self/cgroup`.
fn left_in(root: &Path, line: &str) -> Option<u64> {
    let mut parts = line.splitn(3, ':');
    let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    let (root, files) = match controllers {
        "" => (root.to_path_buf(), &UNIFIED),
        "memory" => (root.join("memory"), &MEMORY_CONTROLLER),
        _ => return None,
    };
    let group = root.join(path.trim_start_matches('/'));
    group
        .ancestors()
        .take_while(|group| group.starts_with(&root))
        .filter_map(|group| files.left(group))
        .min()
}

/// The files of a control group that tell of memory.
struct GroupFiles {
    limits: &'static [&'static str],
    used: &'static str,
    /// Of what is used, cached files: in `memory.stat`, not used lately and used.
    inactive: &'static str,
    active: &'static str,
}

/// Version 2.
const UNIFIED: GroupFiles = GroupFiles {
    // Beyond the second one, all that allocate are slowed down.
    limits: &["memory.max", "memory.high"],
    used: "memory.current",
    inactive: "inactive_file ",
    active: "active_file ",
};
/// Version 1.
const MEMORY_CONTROLLER: GroupFiles = GroupFiles {
    limits: &["memory.limit_in_bytes"],
    used: "memory.usage_in_bytes",
    inactive: "total_inactive_file ",
    active: "total_active_file ",
};

impl GroupFiles {
    /// `None` without a limit.
    fn left(&self, group: &Path) -> Option<u64> {
        let read = |name: &str| fs::read_to_string(PathBuf::from(group).join(name)).ok();
        let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
        let limit = self.limits.iter().copied().filter_map(number).min()?;
        let stat = read("memory.stat").unwrap_or_default();
        // As the kernel reckons for the whole system: half of what is in use can be had.
        let cached =
            field(&stat, self.inactive).unwrap_or(0) + field(&stat, self.active).unwrap_or(0) / 2;
        Some(limit.saturating_sub(number(self.used)?.saturating_sub(cached)))
    }
}

fn kib_field(text: &str, name: &str) -> Option<u64> {
    field(text, name)?.checked_mul(1024)
}

/// The number behind a name at the start of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells() {
        assert!(available_bytes().unwrap() > 1 << 20);
        let text = "MemTotal:  100 kB\nMemAvailable:    12 kB\n";
        assert_eq!(kib_field(text, "MemAvailable:"), Some(12 << 10));
        assert_eq!(kib_field("MemAvailable: x kB", "MemAvailable:"), None);
    }

    #[test]
    fn the_tightest_group_counts_and_cached_files_do_not() {
        let root = tempfile::tempdir().unwrap();
        let write = |group: &str, name: &str, text: &str| {
            let group = root.path().join(group);
            fs::create_dir_all(&group).unwrap();
            fs::write(group.join(name), text).unwrap();
        };
        write("a", "memory.max", "1000\n");
        write("a", "memory.current", "900\n");
        write(
            "a",
            "memory.stat",
            "anon 5\ninactive_file 200\nactive_file 200\n",
        );
        write("a/b", "memory.max", "max\n");
        write("a/b", "memory.current", "900\n");
        assert_eq!(left_in(root.path(), "0::/a/b"), Some(400));
        write("a/b", "memory.high", "950\n");
        assert_eq!(left_in(root.path(), "0::/a/b"), Some(50));
        assert_eq!(left_in(root.path(), "0::/"), None);
        assert_eq!(left_in(root.path(), "0::/gone/altogether"), None);
        write("memory/x", "memory.limit_in_bytes", "70");
        write("memory/x", "memory.usage_in_bytes", "100");
        write("memory/x", "memory.stat", "total_inactive_file 50\n");
        assert_eq!(left_in(root.path(), "5:memory:/x"), Some(20));
        assert_eq!(left_in(root.path(), "4:cpu:/x"), None);
    }
}
