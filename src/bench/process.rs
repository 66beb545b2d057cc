//! This program again, in a process of its own: one that measures, or one that reads.

use std::io::{self, Read};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

/// Ended when this is dropped, so that nobody writes where nobody looks any more.
pub(super) struct OwnProcess(Child);

impl OwnProcess {
    /// Starts it; what it says is kept for whoever asks.
    pub(super) fn start(command: &mut Command) -> io::Result<Self> {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().map(Self)
    }

    /// What it is told by, if it was started so that it can be told anything.
    pub(super) fn stdin(&mut self) -> Option<&mut ChildStdin> {
        self.0.stdin.as_mut()
    }

    /// What it says, once.
    pub(super) fn stdout(&mut self) -> Option<ChildStdout> {
        self.0.stdout.take()
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }

    /// What it complained of before it ended, without the program's name; nothing if it did not.
    pub(super) fn complaint(&mut self) -> Option<String> {
        let said = self.0.stderr.take().map(text_of).unwrap_or_default();
        let complaint = said.trim().trim_start_matches("weightfs: ");
        (!complaint.is_empty()).then(|| complaint.to_owned())
    }
}

/// What a process that has ended left in a pipe: one line, which the pipe held.
pub(super) fn text_of(mut pipe: impl Read) -> String {
    let mut bytes = Vec::new();
    // What is missing shows in what is there.
    let _ = pipe.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Drop for OwnProcess {
    fn drop(&mut self) {
        // It has ended already unless something went wrong, and that is what is reported.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
