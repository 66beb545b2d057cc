//! strace, at the daemon of a mount.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};

use super::support::{Mount, Place};

pub struct Strace {
    strace: Child,
    /// It tells of each process and thread that it watches.
    _told: BufReader<ChildStderr>,
    trace: PathBuf,
}

impl Strace {
    pub fn attach(mount: &Mount, place: &Place, options: &[&str]) -> Self {
        let trace = place.root.path().join("trace");
        let mut strace = Command::new("strace")
            .args(["-f", "-p", &mount.pid().to_string()])
            .args(options)
            .arg("-o")
            .arg(&trace)
            .stderr(Stdio::piped())
            .spawn()
            .expect("strace is installed (Debian: apt install strace)");
        let mut said = String::new();
        let mut told = BufReader::new(strace.stderr.take().unwrap());
        told.read_line(&mut said).unwrap();
        assert!(
            said.contains("attached"),
            "only root, or with kernel.yama.ptrace_scope=0, strace may watch the daemon: {said}"
        );
        Self {
            strace,
            _told: told,
            trace,
        }
    }

    /// What it saw, once the daemon has ended.
    pub fn trace(mut self) -> String {
        self.strace.wait().unwrap();
        fs::read_to_string(self.trace).unwrap()
    }
}
