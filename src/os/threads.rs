//! Starting threads where the system may refuse it: an error that says what to do, never a panic.

use std::sync::mpsc::channel;
use std::thread::{Builder, JoinHandle, Scope, ScopedJoinHandle};

use super::process::limits_hint;
use crate::error::{Error, Result};

/// Starts a thread that outlives its starter.
///
/// # Errors
/// `Environment` if the system starts none.
pub fn start_thread<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>> {
    let named = Builder::new().name(name.into());
    named.spawn(run).map_err(|e| cannot_start(&e))
}

/// Starts a thread that ends before the scope does.
///
/// # Errors
/// `Environment` if the system starts none.
pub fn in_scope<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    run: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>> {
    let started = Builder::new().spawn_scoped(scope, run);
    started.map_err(|e| cannot_start(&e))
}

fn cannot_start(error: &std::io::Error) -> Error {
    let hint = limits_hint(error);
    Error::Environment(format!("cannot start a thread: {error}{hint}"))
}

/// How many threads can be alive at once beside those there are, up to `wanted`, each with so many bytes
/// of its own: starts them, and ends them.
pub fn startable_threads(wanted: usize, bytes_each: usize) -> usize {
    let (mut ends, mut started) = (Vec::new(), Vec::new());
    let mut count = 0;
    while count < wanted {
        let (end, ended) = channel::<()>();
        let (tell, has_room) = channel();
        let thread = Builder::new().spawn(move || {
            let mut room = Vec::<u8>::new();
            let _ = tell.send(room.try_reserve_exact(bytes_each).is_ok());
            let _ = ended.recv();
        });
        let Ok(thread) = thread else { break };
        let is_enough = has_room.recv() == Ok(true);
        ends.push(end);
        started.push(thread);
        if !is_enough {
            break;
        }
        count += 1;
    }
    drop(ends);
    for thread in started {
        let _ = thread.join();
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_counted_up_to_what_is_wanted_or_there_is_room_for() {
        assert_eq!(startable_threads(3, 1 << 20), 3);
        assert_eq!(startable_threads(0, 1), 0);
        assert_eq!(startable_threads(3, usize::MAX / 4), 0);
    }
}
