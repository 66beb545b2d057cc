//! A reference model of the mount: random directories, changed in random ways while they are mounted,
//! and random looks at the mount. The source, decoded, is the model: what must be shown is worked out
//! from it with nothing but `std::fs` and the bytes that archives were made of (`expected`).
//!
//! A run that fails prints its seed and the shortest list of steps found that fails as well; it is
//! repeated with `WEIGHTFS_TEST_SEED=...`. `WEIGHTFS_TEST_ROUNDS` sets how many runs there are.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    missing_docs,
    reason = "test code"
)]

mod expected;
mod kernel;
mod mounted;
mod operations;
mod source;
#[path = "../support/mod.rs"]
mod support;

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Stdio;
use std::time::{Duration, Instant};

use mounted::{InProcess, ThroughKernel};
use operations::{Freshness, Run, Step};
use source::Source;
use support::{Mount, weightfs};
use weightfs::fs::ModelTree;

/// Runs that failed once: the test, the seed, and what was wrong then. Each is repeated for ever.
const CASES: &[(&str, u64, &str)] = &[
    (
        IN_PROCESS,
        0xaa7b_df88_f3b6_c4ad,
        "a link to `a.wfz` that stands for `a.wfz.wfz` was shown as one to `a`",
    ),
    (
        IN_PROCESS,
        0xec6c_2fc1_3899_a9a9,
        "an open archive that was renamed told its former name as an extended attribute",
    ),
    (
        IN_PROCESS,
        0xe6d7_ff13_adb5_cb63,
        "a link that leads out and in again to an archive led to the source, which has no such name",
    ),
    (
        IN_PROCESS,
        0x4276_cab6_e354_68bd,
        "a link to `c.wfz`, itself a link that is shown with its suffix, was shown as one to `c`",
    ),
    (
        MOUNT,
        0x437b_ba51_e1ca_2946,
        "fstat of an open file whose name was gone was ENOENT or ESTALE",
    ),
];

const IN_PROCESS: &str = "in process";
const MOUNT: &str = "mount";
const MOUNT_WITH_TTL: &str = "mount with ttl";

/// So many steps are left out, one after the other, to find a shorter run that fails.
const MAX_TRIES: usize = 400;
/// And so long.
const MAX_SHRINKING: Duration = Duration::from_secs(60);

fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let text = text.trim();
    let number = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    Some(number.unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// The seeds to run: that which is asked for, or those of before and as many new ones.
fn seeds(test: &str, rounds: u64) -> Vec<u64> {
    if let Some(seed) = from_environment("WEIGHTFS_TEST_SEED") {
        return vec![seed];
    }
    let rounds = from_environment("WEIGHTFS_TEST_ROUNDS").unwrap_or(rounds);
    let of_test = CASES.iter().filter(|(of, ..)| *of == test);
    of_test
        .map(|(_, seed, _)| *seed)
        .chain(std::iter::repeat_with(|| fastrand::u64(..)).take(rounds as usize))
        .collect()
}

fn steps_of(seed: u64, count: usize) -> Vec<Step> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| Step::random(&mut random))
        .take(count)
        .collect()
}

/// What went wrong, and what was done before.
struct Failure {
    what: String,
    trace: Vec<String>,
}

/// Runs seeds; a failure is made shorter and told.
fn run_seeds(test: &str, rounds: u64, count: usize, run: impl Fn(&[Step]) -> Result<(), Failure>) {
    for seed in seeds(test, rounds) {
        let steps = steps_of(seed, count);
        let Err(first) = run(&steps) else {
            continue;
        };
        eprintln!("WEIGHTFS_TEST_SEED={seed:#x}: {}", first.what);
        let (steps, failure) = shrink(steps, first, &run);
        panic!(
            "WEIGHTFS_TEST_SEED={seed:#x} repeats it. The shortest run found has {} steps:\n  {}\n{}",
            steps.len(),
            failure.trace.join("\n  "),
            failure.what
        );
    }
}

/// Leaves out all that is not needed for a failure: what comes behind it, then long pieces, then
/// shorter ones.
fn shrink(
    mut steps: Vec<Step>,
    mut failure: Failure,
    run: impl Fn(&[Step]) -> Result<(), Failure>,
) -> (Vec<Step>, Failure) {
    let (start, mut tries) = (Instant::now(), 0);
    let mut piece = steps.len() / 2;
    while piece > 0 {
        let mut at = 0;
        while at < steps.len() {
            if tries >= MAX_TRIES || start.elapsed() > MAX_SHRINKING {
                return (steps, failure);
            }
            tries += 1;
            let mut fewer = steps.clone();
            fewer.drain(at..(at + piece).min(fewer.len()));
            match run(&fewer) {
                Err(again) => (steps, failure) = (fewer, again),
                Ok(()) => at += piece,
            }
        }
        piece /= 2;
    }
    (steps, failure)
}

fn run<M: mounted::Mounted>(mut run: Run<M>, steps: &[Step]) -> Result<Run<M>, Failure> {
    let done = catch_unwind(AssertUnwindSafe(|| run.steps(steps)));
    let what = match done {
        Ok(Ok(())) => return Ok(run),
        Ok(Err(what)) => what,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            format!("panicked: {}", text.unwrap_or("?"))
        }
    };
    let trace = std::mem::take(&mut run.trace);
    Err(Failure { what, trace })
}

fn in_process(steps: &[Step]) -> Result<(), Failure> {
    let source = Source::new();
    let mut shown = weightfs::fs::Source::open(&source.path).unwrap();
    shown.set_mountpoint(&source.mountpoint, false).unwrap();
    // A cache of few blocks, so that they come and go.
    let tree = ModelTree::new(shown, 64 << 10, NonZeroUsize::MIN).unwrap();
    let mounted = InProcess::new(tree, &source.mountpoint);
    let mut run = run(Run::new(source, mounted, Freshness::Exact), steps)?;
    run.mounted.forget_all();
    assert_eq!(run.mounted.tree.stats().open_files, 0);
    Ok(())
}

/// With the kernel, which believes for `ttl` what it was told.
fn through_kernel(steps: &[Step], ttl: &str, freshness: Freshness) -> Result<(), Failure> {
    let source = Source::new();
    let mountpoint = source.mountpoint.clone();
    let mut command = weightfs();
    command
        .args(["mount", "--ttl", ttl, "--cache-size", "1M"])
        .args([&source.path, &mountpoint])
        // It tells of every archive that is none.
        .stderr(Stdio::null());
    let mount = Mount::spawn(command, &mountpoint, Duration::from_secs(120));
    let mounted = ThroughKernel { mountpoint };
    let run = run(Run::new(source, mounted, freshness), steps)?;
    mount.stop();
    drop(run);
    Ok(())
}

#[test]
fn the_tree_shows_what_the_model_says() {
    run_seeds(IN_PROCESS, 60, 400, in_process);
}

#[test]
fn a_mount_shows_what_the_model_says() {
    run_seeds(MOUNT, 6, 1000, |steps| {
        through_kernel(steps, "0", Freshness::Exact)
    });
}

#[test]
fn a_mount_whose_names_are_believed_shows_what_the_model_says_soon() {
    let soon = Freshness::After(Duration::from_millis(1100));
    run_seeds(MOUNT_WITH_TTL, 2, 1000, |steps| {
        through_kernel(steps, "1", soon)
    });
}
