//! Readers in processes of their own: forked, killed, many at once; and mounts that end under them.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use memmap2::Mmap;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, waitpid};

use crate::race::{
    OPTIONS, Reader, Subject, all_pages, descriptor, dropped_pages, faults, forget, limit, pause,
    race, race_time, random_pages, run, unmount,
};
use crate::support::{Mount, Place, is_mounted, model, ok, signal};

/// A process with this one's memory. It does nothing but read and compare.
struct Fork {
    pid: Option<Pid>,
}

impl Fork {
    /// Exits with 0 if `right` returns true. A SIGBUS, which is how a map tells an error, ends it.
    fn new(right: impl FnOnce() -> bool) -> Self {
        // SAFETY: the child calls nothing but system calls and `right`, which takes neither locks
        // nor memory from the heap, and it never returns.
        #[expect(unsafe_code, reason = "a client that forks")]
        let pid = unsafe {
            let pid = libc::fork();
            if pid == 0 {
                // It must not outlive the test. The standard library's own handler is for stacks.
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                libc::signal(libc::SIGBUS, libc::SIG_DFL);
                libc::_exit(i32::from(!right()));
            }
            pid
        };
        assert!(pid > 0, "{}", io::Error::last_os_error());
        Self {
            pid: Pid::from_raw(pid),
        }
    }

    fn kill(&self) {
        kill_process(self.pid.unwrap(), Signal::KILL).unwrap();
    }

    fn wait(mut self) -> WaitStatus {
        let (_, status) = waitpid(self.pid.take(), WaitOptions::empty())
            .unwrap()
            .unwrap();
        status
    }

    fn must_succeed(self) {
        let status = self.wait();
        assert_eq!(status.exit_status(), Some(0), "{status:?}");
    }
}

impl Drop for Fork {
    fn drop(&mut self) {
        if let Some(pid) = self.pid.take() {
            let _ = kill_process(pid, Signal::KILL);
            let _ = waitpid(Some(pid), WaitOptions::empty());
        }
    }
}

/// Compares by nothing but touching memory.
fn same(map: &Mmap, original: &[u8]) -> bool {
    map[..] == original[..]
}

/// Descriptors and threads of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holdings {
    descriptors: usize,
    threads: usize,
}

pub fn holdings(pid: u32) -> Holdings {
    let count = |what: &str| {
        std::fs::read_dir(format!("/proc/{pid}/{what}"))
            .unwrap()
            .count()
    };
    Holdings {
        descriptors: count("fd"),
        threads: count("task"),
    }
}

impl Holdings {
    /// Returns once the process has let go of what it had no more of before. The kernel tells of
    /// closed files when it likes.
    pub fn wait_for(pid: u32, before: Self) {
        let mut last = holdings(pid);
        while last.descriptors > before.descriptors {
            std::thread::sleep(Duration::from_millis(5));
            last = holdings(pid);
        }
        assert!(last.threads <= before.threads, "{before:?} {last:?}");
    }
}

/// Children that go on with the maps they were born with, while the parent does too.
fn children_of<'a>(subject: &'a Subject<'a>) -> Vec<Reader<'a>> {
    let maps = [subject.shared_map(), subject.private_map()];
    let mut readers = vec![
        dropped_pages(subject, maps.to_vec()),
        all_pages(subject, Arc::clone(&maps[0])),
        random_pages(subject, Arc::clone(&maps[1])),
    ];
    for _ in 0..2 {
        let maps = maps.clone();
        readers.push(Box::new(move |_| {
            let children = maps
                .each_ref()
                .map(|map| Fork::new(|| same(map, subject.original)));
            children.into_iter().for_each(Fork::must_succeed);
        }));
    }
    readers
}

#[test]
fn children_read_on_in_maps_they_inherit() {
    race(OPTIONS, &[children_of]);
}

#[test]
fn eight_processes_map_one_cold_file() {
    let place = Place::new();
    let original = model(50, 20);
    place.pack("m", &original);
    for options in OPTIONS {
        let mount = Mount::with(&place.source, &place.mountpoint, options, limit());
        let path = mount.path("m");
        let eight = |subject: &Subject<'_>| {
            // Each by a descriptor of its own.
            let subjects: [_; 8] = std::array::from_fn(|_| Subject::open(&path, &original));
            let maps = subjects.each_ref().map(|subject| subject.private_map());
            let children = maps
                .each_ref()
                .map(|map| Fork::new(|| same(map, &original)));
            children.into_iter().for_each(Fork::must_succeed);
            subject.drop_pages();
        };
        let subject = Subject::open(&path, &original);
        run(vec![Box::new(|_| eight(&subject))], race_time(), || ());
        drop(subject);
        mount.stop();
    }
}

/// Readers that are killed in the middle of a read or of a fault, again and again.
fn victims<'a>(subject: &'a Subject<'a>, path: &'a Path) -> Vec<Reader<'a>> {
    const LIFE: Duration = Duration::from_millis(15);
    let mut readers: Vec<Reader<'a>> = Vec::new();
    for program in ["cat", "dd"] {
        readers.push(Box::new(move |random| {
            let mut command = Command::new(program);
            if program == "dd" {
                command.args(["bs=64K", "status=none"]);
            } else {
                command.arg("-");
            }
            let mut child = command
                .stdin(File::open(path).unwrap())
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            pause(random, LIFE);
            child.kill().unwrap();
            child.wait().unwrap();
        }));
    }
    for _ in 0..2 {
        let map = subject.shared_map();
        readers.push(Box::new(move |random| {
            forget(&map);
            let child = Fork::new(|| same(&map, subject.original));
            pause(random, LIFE);
            child.kill();
            let status = child.wait();
            let killed = status.terminating_signal() == Some(libc::SIGKILL);
            assert!(killed || status.exit_status() == Some(0), "{status:?}");
        }));
    }
    readers
}

#[test]
fn readers_that_are_killed_cost_the_others_nothing() {
    let place = Place::new();
    let original = model(51, 20);
    place.pack("m", &original);
    for options in OPTIONS {
        let mount = Mount::with(&place.source, &place.mountpoint, options, limit());
        let path = mount.path("m");
        let subject = Subject::open(&path, &original);
        let before = holdings(mount.pid());
        let mut readers = victims(&subject, &path);
        readers.extend(faults(&subject));
        readers.extend(descriptor(&subject));
        run(readers, 2 * race_time(), || ());
        Holdings::wait_for(mount.pid(), before);
        drop(subject);
        mount.stop();
    }
}

/// How a daemon ends while files are open, so that it answers no more.
#[derive(Debug, Clone, Copy)]
enum End {
    SecondSignal,
    Kill,
}

impl End {
    fn bring_about(self, mount: Mount) {
        match self {
            Self::SecondSignal => {
                signal(mount.pid(), "TERM");
                while is_mounted(&mount.mountpoint) {
                    std::thread::yield_now();
                }
                signal(mount.pid(), "TERM");
                assert_eq!(mount.wait().code(), Some(2));
            }
            Self::Kill => {
                let mountpoint = mount.mountpoint.clone();
                mount.kill();
                let mountpoint = mountpoint.as_os_str();
                ok(["umount".as_ref(), "--lazy".as_ref(), mountpoint]);
            }
        }
    }
}

/// `WEIGHTFS_TEST_ROUNDS` sets how many.
#[test]
fn a_daemon_that_ends_gives_every_reader_its_bytes_or_an_error() {
    let rounds = std::env::var("WEIGHTFS_TEST_ROUNDS").ok();
    let rounds = rounds.map_or(8, |rounds| rounds.parse().unwrap());
    let place = Place::new();
    let original = model(52, 20);
    place.pack("m", &original);
    let mut random = Rng::with_seed(1);
    for round in 0..rounds {
        let options = OPTIONS[round % OPTIONS.len()];
        let mount = Mount::with(&place.source, &place.mountpoint, options, limit());
        let path = mount.path("m");
        let subject = Subject::open(&path, &original);
        let map = subject.shared_map();
        // Children, as an error of a map ends the process.
        let children: [_; 3] = std::array::from_fn(|_| {
            Fork::new(|| {
                while same(&map, &original) {
                    forget(&map);
                    subject.drop_pages();
                }
                false
            })
        });
        std::thread::scope(|scope| {
            for thread in 0..6 {
                let subject = &subject;
                scope.spawn(move || {
                    let error = read_until_error(subject, thread);
                    let errno = error.raw_os_error();
                    assert!(
                        matches!(errno, Some(libc::ENOTCONN | libc::ECONNABORTED)),
                        "{error}"
                    );
                });
            }
            pause(&mut random, Duration::from_millis(60));
            let end = [End::SecondSignal, End::Kill][round / OPTIONS.len() % 2];
            end.bring_about(mount);
        });
        for child in children {
            let status = child.wait();
            assert_eq!(
                status.terminating_signal(),
                Some(libc::SIGBUS),
                "{status:?}"
            );
        }
    }
}

/// Threads that push pages wait in the kernel for readers' READs, and cannot be killed while they do.
#[test]
fn a_daemon_that_is_killed_while_it_pushes_leaves_nobody_waiting() {
    const READERS: usize = 16;
    let rounds = std::env::var("WEIGHTFS_TEST_ROUNDS").ok();
    let rounds = rounds.map_or(6, |rounds| rounds.parse().unwrap());
    let place = Place::new();
    let original = model(53, 48);
    place.pack("m", &original);
    let options = ["--readahead", "128K", "--push", "always", "--threads", "2"];
    let mut random = Rng::with_seed(2);
    for _ in 0..rounds {
        let mount = Mount::with(&place.source, &place.mountpoint, &options, limit());
        let path = mount.path("m");
        let subject = Subject::open(&path, &original);
        std::thread::scope(|scope| {
            for reader in 0..READERS {
                let (subject, original) = (&subject, &original);
                scope.spawn(move || {
                    let mut buffer = vec![0; 128 << 10];
                    let start = original.len() / READERS * reader;
                    let ends = (start..start + original.len() / READERS).step_by(buffer.len());
                    while ends
                        .clone()
                        .all(|at| subject.read(&subject.file, &mut buffer, at).is_ok())
                    {
                        subject.drop_pages();
                    }
                });
            }
            pause(&mut random, Duration::from_millis(600));
            End::Kill.bring_about(mount);
        });
    }
}

/// The kernel takes the connection apart while a worker is told of the last file.
#[test]
fn a_daemon_whose_last_file_is_closed_after_the_unmount_ends_well() {
    let place = Place::new();
    place.pack("m", b"decoded");
    let end = std::time::Instant::now() + 2 * race_time();
    let mut round = 0;
    while std::time::Instant::now() < end {
        let mount = place.mount();
        let files: Vec<_> = (0..64)
            .map(|_| File::open(mount.path("m")).unwrap())
            .collect();
        unmount(&mount, 0);
        while is_mounted(&place.mountpoint) {
            std::thread::yield_now();
        }
        drop(files);
        let status = mount.wait();
        assert!(status.success(), "round {round}: {status}");
        round += 1;
    }
}

fn read_until_error(subject: &Subject<'_>, thread: u64) -> io::Error {
    let mut random = Rng::with_seed(thread);
    let mut buffer = vec![0; 200_000];
    loop {
        let at = random.usize(..subject.original.len());
        if let Err(error) = subject.read(&subject.file, &mut buffer, at) {
            return error;
        }
        subject.drop_pages();
    }
}
