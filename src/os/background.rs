//! Being a process that takes only what nobody else wants.

#![expect(unsafe_code, reason = "system calls that no safe crate has")]

use std::fs;

use rustix::process::nice;

/// Of `ioprio_set`: this thread; libc has no names for them.
const IOPRIO_WHO_PROCESS: libc::c_int = 1;
/// Disk time that nobody else asks for.
const IOPRIO_CLASS_IDLE: libc::c_int = 3;
const IOPRIO_CLASS_SHIFT: libc::c_int = 13;
/// As low as it goes.
const LOWEST_NICE: i32 = 19;
/// The first to go when memory runs out.
const FIRST_TO_GO: &str = "1000";

/// Has this thread, and those that it starts from here on, run and use the disk only where nobody else does,
/// and this process be the one that goes where memory runs out. A system that refuses one of it does without.
pub fn stand_back() {
    let _ = nice(LOWEST_NICE);
    run_when_idle();
    // SAFETY: only numbers are passed.
    unsafe {
        libc::syscall(
            libc::SYS_ioprio_set,
            IOPRIO_WHO_PROCESS,
            0,
            IOPRIO_CLASS_IDLE << IOPRIO_CLASS_SHIFT,
        )
    };
    let _ = fs::write("/proc/self/oom_score_adj", FIRST_TO_GO);
}

fn run_when_idle() {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameters live as long as the call; 0 is this thread.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_stands_back_is_scheduled_when_all_else_is_idle() {
        // Only of this thread: tests beside it go on as they are.
        let policy = std::thread::spawn(|| {
            run_when_idle();
            // SAFETY: 0 is this thread.
            unsafe { libc::sched_getscheduler(0) }
        });
        assert_eq!(policy.join().unwrap(), libc::SCHED_IDLE);
    }
}
