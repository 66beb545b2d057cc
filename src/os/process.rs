//! What a process says to the one that started it, which signals end it, and what keeps one from starting.

use std::io::{self, BufRead, BufReader};
use std::process::Child;

/// What to do about a system that starts no thread or process; empty for other errors.
pub fn limits_hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EAGAIN) => {
            "; raise the limit of processes and threads (ulimit -u, pids.max of the control group, \
             TasksMax= of systemd, --pids-limit of a container)"
        }
        Some(libc::ENOMEM) => "; raise the limit of memory (ulimit -v, ulimit -d)",
        Some(libc::EPERM) => {
            "; the container's filter of system calls (seccomp) refuses clone3 in a way that the C \
             library does not understand: update the container's runtime, or start it with \
             --security-opt seccomp=unconfined"
        }
        _ => "",
    }
}

/// The first line that a process prints; empty if it ends without one.
///
/// # Errors
/// What the system answered.
pub fn first_line(child: &mut Child) -> io::Result<String> {
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    Ok(line)
}

/// The signals that ask a process to end. A terminal that goes away is one, unless whoever started the
/// program (nohup) said that it is not.
pub fn ending_signals() -> Vec<i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    let hangup_is_ignored = ignored >> (libc::SIGHUP - 1) & 1 == 1;
    let mut signals = vec![libc::SIGINT, libc::SIGTERM];
    if !hangup_is_ignored {
        signals.push(libc::SIGHUP);
    }
    signals
}
