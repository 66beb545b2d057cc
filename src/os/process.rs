//! What a process says to the one that started it.

use std::io::{self, BufRead, BufReader};
use std::process::Child;

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
