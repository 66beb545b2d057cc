//! Processes that may do less than others.
#![expect(
    unsafe_code,
    reason = "limits are set between fork and exec; see each SAFETY"
)]

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// An ordinary user that every system has.
pub const NOBODY: u32 = 65534;

/// Runs a command as an ordinary user who may have so many processes and threads.
pub fn limit_processes(command: &mut Command, count: u64) {
    // SAFETY: only system calls.
    unsafe {
        command.pre_exec(move || {
            limit(libc::RLIMIT_NPROC, count)?;
            check(libc::setgroups(0, std::ptr::null()))?;
            check(libc::setgid(NOBODY))?;
            check(libc::setuid(NOBODY))
        });
    }
}

/// Bounds the address space of a command.
pub fn limit_address_space(command: &mut Command, bytes: u64) {
    // SAFETY: only a system call.
    unsafe {
        command.pre_exec(move || limit(libc::RLIMIT_AS, bytes));
    }
}

/// Has the kernel answer some system calls with an error.
pub fn refuse(command: &mut Command, calls: &[libc::c_long], errno: i32) {
    let instruction = |code: u32, jt, jf, k| libc::sock_filter {
        code: code.try_into().unwrap(),
        jt,
        jf,
        k,
    };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let answer = libc::BPF_RET | libc::BPF_K;
    // The number of the call comes first in what a filter sees.
    let mut filter = vec![instruction(load, 0, 0, 0)];
    for &call in calls {
        filter.push(instruction(equal, 0, 1, call.try_into().unwrap()));
        let errno = u32::try_from(errno).unwrap();
        filter.push(instruction(answer, 0, 0, libc::SECCOMP_RET_ERRNO | errno));
    }
    filter.push(instruction(answer, 0, 0, libc::SECCOMP_RET_ALLOW));
    // SAFETY: only system calls; the filter lives as long as the closure.
    unsafe {
        command.pre_exec(move || {
            let program = libc::sock_fprog {
                len: filter.len() as libc::c_ushort,
                filter: filter.as_ptr().cast_mut(),
            };
            check(libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const program,
            ))
        });
    }
}

/// Takes from a command the right to mount, and lets it gain none.
pub fn forbid_to_mount(command: &mut Command, as_root: bool) {
    const CAP_SYS_ADMIN: libc::c_ulong = 21;
    // SAFETY: only system calls.
    unsafe {
        command.pre_exec(move || {
            if as_root {
                check(libc::prctl(libc::PR_CAPBSET_DROP, CAP_SYS_ADMIN, 0, 0, 0))
            } else {
                check(libc::setgroups(0, std::ptr::null()))?;
                check(libc::setgid(NOBODY))?;
                check(libc::setuid(NOBODY))?;
                check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
            }
        });
    }
}

fn limit(resource: libc::__rlimit_resource_t, most: u64) -> io::Result<()> {
    let limit = libc::rlimit {
        rlim_cur: most,
        rlim_max: most,
    };
    // SAFETY: the limit is there.
    check(unsafe { libc::setrlimit(resource, &raw const limit) })
}

fn check(answer: i32) -> io::Result<()> {
    if answer == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
