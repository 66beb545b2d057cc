//! A process of its own that ends a mount whose test hangs, or is gone.
//!
//! Not a thread of the test: where a page fault hangs, so may whatever wants memory beside it. And it
//! cleans up after a test process that was killed, by a SIGBUS for one.

use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

/// Reads the mount's device and then `done` from its stdin.
const SCRIPT: &str = r#"
limit=$1 test=$2 name=$3 daemon=$4 mountpoint=$5
trap '' HUP INT TERM
said=$(timeout "$limit" sed -u '/^done$/q')
status=$?
case $said in *done) exit 0 ;; esac
if [ $status = 124 ]; then
    echo "watchdog: $name: the mount on $mountpoint took over $limit s" >&2
    stacks "$test" $(cat "/proc/$test/task"/*/children 2>/dev/null)
else
    echo "watchdog: $name: the test is gone; cleaning up $mountpoint" >&2
fi
found=
while read -r _ _ device _ at _; do
    if [ "$at" = "$mountpoint" ]; then found=$device; fi
done </proc/self/mountinfo
device=${said:-$found}
control=/sys/fs/fuse/connections
if [ -n "$device" ]; then
    if [ -z "$(ls "$control")" ]; then mount -t fusectl none "$control"; fi
    echo 1 >"$control/${device#*:}/abort"
fi
if [ -n "$daemon" ]; then kill -KILL "$daemon"; fi
if [ -n "$found" ] && [ "$found" = "$device" ]; then umount -l "$(printf '%b' "$mountpoint")"; fi
exit 1
"#;

/// What each thread of these processes waits for. Nothing is read that waits for a process's memory.
const STACKS: &str = r#"
stacks() {
    for pid; do
        for thread in "/proc/$pid/task"/*; do
            echo "$thread $(cat "$thread/comm") wchan $(cat "$thread/wchan")"
            echo "syscall $(cat "$thread/syscall")"
            cat "$thread/stack"
        done
    done >&2 2>/dev/null
}
"#;

/// Watches from its start until it is dismissed.
pub struct Watchdog {
    child: Child,
    tell: ChildStdin,
}

impl Watchdog {
    /// Ends `daemon` and whatever is mounted there after `limit`.
    pub fn start(daemon: Option<u32>, mountpoint: &Path, limit: Duration) -> Self {
        let test = std::thread::current();
        let mut child = Command::new("sh")
            .args(["-c", &format!("{STACKS}{SCRIPT}"), "watchdog"])
            .arg(limit.as_secs().max(1).to_string())
            .arg(std::process::id().to_string())
            .arg(test.name().unwrap_or("a test"))
            .arg(daemon.map_or_else(String::new, |pid| pid.to_string()))
            // As the table of mounts has it.
            .arg(mountpoint.to_str().unwrap().replace(' ', "\\040"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let tell = child.stdin.take().unwrap();
        Self { child, tell }
    }

    /// Says which connection it is, so that it is found when the mount point is free already.
    pub fn device(&mut self, device: &str) {
        writeln!(self.tell, "{device}").unwrap();
    }

    /// The test is done with the mount; false if that came too late.
    pub fn dismiss(&mut self) -> bool {
        // Without a reader it is late.
        let _ = writeln!(self.tell, "done");
        self.child.wait().unwrap().success()
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.dismiss();
    }
}

/// Tells on stderr what a process and this one wait for.
pub fn print_stacks(pid: u32) {
    let _ = Command::new("sh")
        .args(["-c", &format!("{STACKS}stacks $1 $2"), "stacks"])
        .args([pid, std::process::id()].map(|pid| pid.to_string()))
        .status();
}
