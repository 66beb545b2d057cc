//! Control groups of a test's own that bound memory, or threads.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A control group, removed when this is dropped.
pub struct Group {
    directory: PathBuf,
    is_unified: bool,
}

const NEEDED: &str = "control groups are needed that this process may make: root, with the controllers \
     memory and pids of version 1 or 2 mounted for writing (in a container: --privileged)";

/// Where a controller is: of version 1, or of version 2.
fn controller(name: &str) -> Option<(PathBuf, bool)> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let of = |wanted: &str, option: &str| {
        mounts.lines().find_map(|line| {
            let (mount, kind) = line.split_once(" - ")?;
            let mut kind = kind.split(' ');
            let is_this = kind.next()? == wanted
                && kind
                    .nth(1)?
                    .split(',')
                    .any(|name| option.is_empty() || name == option);
            is_this.then(|| PathBuf::from(mount.split(' ').nth(4).unwrap()))
        })
    };
    if let Some(mounted) = of("cgroup", name) {
        return Some((mounted, false));
    }
    let unified = of("cgroup2", "")?;
    // Refused where processes are in the group itself, which is no root then.
    fs::write(unified.join("cgroup.subtree_control"), format!("+{name}")).ok()?;
    Some((unified, true))
}

impl Group {
    /// One whose processes may have so many bytes together.
    pub fn of_memory(bytes: u64) -> Self {
        let group = Self::new("memory");
        let limit = group.file("memory.max", "memory.limit_in_bytes");
        fs::write(limit, bytes.to_string()).expect(NEEDED);
        if group.is_unified {
            // Else what does not fit is swapped, where there is swap.
            let _ = fs::write(group.directory.join("memory.swap.max"), "0");
        }
        group
    }

    /// One that may have so many processes and threads.
    pub fn of_threads(count: u64) -> Self {
        let group = Self::new("pids");
        fs::write(group.directory.join("pids.max"), count.to_string()).expect(NEEDED);
        group
    }

    fn new(controller_name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (parent, is_unified) = controller(controller_name).expect(NEEDED);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("weightfs-test-{}-{count}", std::process::id());
        let directory = parent.join(name);
        fs::create_dir(&directory).expect(NEEDED);
        Self {
            directory,
            is_unified,
        }
    }

    /// A command that runs in it.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", r#"echo $$ >"$0" && exec "$@""#])
            .arg(self.directory.join("cgroup.procs"))
            .arg(program);
        command
    }

    /// How many of its processes were killed for memory.
    pub fn killed(&self) -> u64 {
        let events = self.file("memory.events", "memory.oom_control");
        field(&fs::read_to_string(events).unwrap(), "oom_kill")
    }

    /// What it holds that is not cached of files.
    pub fn held_bytes(&self) -> u64 {
        let stat = fs::read_to_string(self.directory.join("memory.stat")).unwrap();
        field(&stat, if self.is_unified { "anon" } else { "rss" })
    }

    fn file(&self, unified: &str, memory: &str) -> PathBuf {
        let name = if self.is_unified { unified } else { memory };
        self.directory.join(name)
    }
}

fn field(text: &str, name: &str) -> u64 {
    let line = text
        .lines()
        .find(|line| line.split(' ').next() == Some(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in {text}"));
    line.split(' ').nth(1).unwrap().parse().unwrap()
}

impl Drop for Group {
    fn drop(&mut self) {
        let start = Instant::now();
        // Who has ended leaves it a moment later.
        while fs::remove_dir(&self.directory).is_err() && start.elapsed() < Duration::from_secs(10)
        {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
