//! The control groups that bound the memory of this process: its own, and those that one is in.
//!
//! Both versions are read from their files, wherever they are mounted: a container sees its own group as
//! the root of what is mounted, whatever `/proc/self/cgroup` calls it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::mounts::{MountLine, mounts_under};

/// A control group that counts memory.
pub(super) struct Group {
    directory: PathBuf,
    files: &'static GroupFiles,
}

/// The files of a control group that tell of memory.
struct GroupFiles {
    limits: &'static [&'static str],
    used: &'static str,
    /// In `memory.stat`: the limit with those of all groups above, also of those that are not seen here.
    all_above: &'static str,
    /// Of what is used, cached files: in `memory.stat`, not used lately and used.
    inactive: &'static str,
    active: &'static str,
}

/// Version 2.
static UNIFIED: GroupFiles = GroupFiles {
    // Beyond the second one, all that allocate are slowed down.
    limits: &["memory.max", "memory.high"],
    used: "memory.current",
    all_above: "none ",
    inactive: "inactive_file ",
    active: "active_file ",
};
/// Version 1.
static MEMORY_CONTROLLER: GroupFiles = GroupFiles {
    limits: &["memory.limit_in_bytes"],
    used: "memory.usage_in_bytes",
    all_above: "hierarchical_memory_limit ",
    inactive: "total_inactive_file ",
    active: "total_active_file ",
};

/// The groups of this process and all above them, as far as they can be seen. `root` is `/`, but for
/// tests.
pub(super) fn groups(root: &Path) -> Vec<Group> {
    // Names are bytes: one that is not text must not hide the others.
    let own = fs::read(root.join("proc/self/cgroup")).unwrap_or_default();
    let mut found = Vec::new();
    for mounted in mounts_under(root).unwrap_or_default() {
        let Some(files) = files_in(&mounted) else {
            continue;
        };
        let mut lines = own.split(|&byte| byte == b'\n');
        let path = lines.find_map(|line| path_in(files, line));
        let Some(path) = path else { continue };
        let top = root.join(
            mounted
                .mountpoint
                .strip_prefix("/")
                .unwrap_or(&mounted.mountpoint),
        );
        // What is mounted may be a part of all groups, and this process in one of that part or not.
        let below = path.strip_prefix(&mounted.root);
        let group = below.map_or_else(|_| top.clone(), |below| top.join(below));
        let group = if group.is_dir() { group } else { top.clone() };
        found.extend(
            group
                .ancestors()
                .take_while(|group| group.starts_with(&top))
                .map(|group| Group {
                    directory: group.to_path_buf(),
                    files,
                }),
        );
    }
    found
}

/// The files of a hierarchy of groups that count memory; `None` for all else that is mounted.
fn files_in(mounted: &MountLine) -> Option<&'static GroupFiles> {
    match mounted.kind.as_str() {
        "cgroup2" => Some(&UNIFIED),
        "cgroup" if mounted.has("memory") => Some(&MEMORY_CONTROLLER),
        _ => None,
    }
}

/// The path of this process's group, if a line of `/proc/self/cgroup` is of the hierarchy with these files.
fn path_in<'a>(files: &GroupFiles, line: &'a [u8]) -> Option<&'a Path> {
    let mut parts = line.splitn(3, |&byte| byte == b':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?);
    let is_of_this = if std::ptr::eq(files, &UNIFIED) {
        controllers.is_empty()
    } else {
        let mut names = controllers.split(|&byte| byte == b',');
        names.any(|name| name == b"memory")
    };
    is_of_this.then(|| Path::new(OsStr::from_bytes(path)))
}

impl Group {
    /// What all in it may use together; `None` without a limit.
    pub fn limit(&self) -> Option<u64> {
        let number = |name: &&str| self.read(name)?.trim().parse::<u64>().ok();
        let own = self.files.limits.iter().filter_map(number);
        own.chain(field(&self.stat(), self.files.all_above)).min()
    }

    /// What it can still give without taking it from anybody who needs it; `None` without a limit.
    pub fn left(&self) -> Option<u64> {
        let number = |name: &&str| self.read(name)?.trim().parse::<u64>().ok();
        let limit = self.files.limits.iter().filter_map(number).min()?;
        let stat = self.stat();
        // As the kernel reckons for the whole system: half of what is in use can be had.
        let cached = field(&stat, self.files.inactive).unwrap_or(0)
            + field(&stat, self.files.active).unwrap_or(0) / 2;
        let used = number(&self.files.used)?.saturating_sub(cached);
        Some(limit.saturating_sub(used))
    }

    /// What the kernel says of how long those in it wait for memory; `None` where it does not count that.
    pub fn pressure(&self) -> Option<String> {
        self.read("memory.pressure")
    }

    fn stat(&self) -> String {
        self.read("memory.stat").unwrap_or_default()
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.directory.join(name)).ok()
    }
}

/// The number behind a name at the start of a line.
pub(super) fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A machine that is made up.
    pub struct Machine(pub tempfile::TempDir);

    impl Machine {
        /// What the process is told of its groups, and of what is mounted: root, place and type.
        pub fn new(groups: &str, mounted: &[(&str, &str, &str)]) -> Self {
            let machine = Self(tempfile::tempdir().unwrap());
            machine.write("proc/self/cgroup", groups);
            let line = |(root, at, kind): &(&str, &str, &str)| {
                format!("35 31 0:32 {root} {at} rw,relatime shared:7 - {kind}\n")
            };
            machine.write(
                "proc/self/mountinfo",
                mounted.iter().map(line).collect::<String>(),
            );
            machine
        }

        pub fn write(&self, path: impl AsRef<Path>, text: impl AsRef<[u8]>) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn least(&self, what: impl Fn(&Group) -> Option<u64>) -> Option<u64> {
            groups(self.0.path()).iter().filter_map(what).min()
        }

        fn limit(&self) -> Option<u64> {
            self.least(Group::limit)
        }

        fn left(&self) -> Option<u64> {
            self.least(Group::left)
        }
    }

    const V2: (&str, &str, &str) = ("/", "/sys/fs/cgroup", "cgroup2 cgroup2 rw");
    const V1: (&str, &str, &str) = ("/", "/sys/fs/cgroup/memory", "cgroup cgroup rw,memory");

    #[test]
    fn the_tightest_group_counts_and_cached_files_do_not() {
        let machine = Machine::new("0::/a/b\n", &[V2]);
        machine.write("sys/fs/cgroup/a/memory.max", "1000\n");
        machine.write("sys/fs/cgroup/a/memory.current", "900\n");
        let stat = "anon 5\ninactive_file 200\nactive_file 200\n";
        machine.write("sys/fs/cgroup/a/memory.stat", stat);
        machine.write("sys/fs/cgroup/a/b/memory.max", "max\n");
        machine.write("sys/fs/cgroup/a/b/memory.current", "900\n");
        assert_eq!((machine.limit(), machine.left()), (Some(1000), Some(400)));
        machine.write("sys/fs/cgroup/a/b/memory.high", "950\n");
        assert_eq!((machine.limit(), machine.left()), (Some(950), Some(50)));
        machine.write("proc/self/cgroup", "0::/\n");
        assert_eq!((machine.limit(), machine.left()), (None, None));
        machine.write("proc/self/cgroup", "");
        assert_eq!((machine.limit(), machine.left()), (None, None));
    }

    #[test]
    fn version_1_is_found_beside_version_2_and_tells_of_groups_that_cannot_be_seen() {
        let other = ("/", "/sys/fs/cgroup/cpu", "cgroup cgroup rw,cpu");
        let unified = ("/", "/sys/fs/cgroup/unified", "cgroup2 cgroup2 rw");
        let machine = Machine::new("5:memory:/x\n4:cpu:/y\n0::/\n", &[other, V1, unified]);
        machine.write("sys/fs/cgroup/cpu/y/memory.limit_in_bytes", "1");
        let at = |name: &str| format!("sys/fs/cgroup/memory/x/{name}");
        machine.write(at("memory.limit_in_bytes"), "70");
        machine.write(at("memory.usage_in_bytes"), "100");
        machine.write(at("memory.stat"), "total_inactive_file 50\n");
        assert_eq!((machine.limit(), machine.left()), (Some(70), Some(20)));
        machine.write(at("memory.stat"), "hierarchical_memory_limit 60\n");
        assert_eq!(machine.limit(), Some(60));
    }

    #[test]
    fn a_container_sees_its_own_group_as_the_root() {
        // Without a namespace of groups, paths are those of the host.
        let mounted = ("/docker/1", V1.1, V1.2);
        let machine = Machine::new("5:memory,hugetlb:/docker/1/sub\n", &[mounted]);
        machine.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "90");
        machine.write("sys/fs/cgroup/memory/sub/memory.limit_in_bytes", "100");
        assert_eq!(machine.limit(), Some(90));
        machine.write("sys/fs/cgroup/memory/sub/memory.limit_in_bytes", "80");
        assert_eq!(machine.limit(), Some(80));
        for elsewhere in ["5:memory:/docker/2\n", "5:memory:/../..\n"] {
            machine.write("proc/self/cgroup", elsewhere);
            assert_eq!(machine.limit(), Some(90), "{elsewhere}");
        }
    }

    #[test]
    fn names_that_are_not_text_or_have_spaces_hide_no_limit() {
        let machine = Machine::new("", &[]);
        let table = b"30 1 0:30 / /media/caf\xe9 rw - vfat /dev/sdb1 rw\n\
                      31 1 0:31 / /a\\040b\xff rw shared:7 - cgroup2 cgroup2 rw\n";
        machine.write("proc/self/mountinfo", table);
        machine.write("proc/self/cgroup", b"1:name=\xff:/\n0::/jobs\xff/x y\n");
        let at = Path::new(OsStr::from_bytes(b"a b\xff/jobs\xff/x y/memory.max"));
        machine.write(at, "80");
        assert_eq!(machine.limit(), Some(80));
    }
}
