//! Nobody loses a base by accident: stores of a family to which random things are done, jobs killed and files removed,
//! replaced and renamed, while they are mounted and while they are not.
//!
//! A run that fails prints its seed and all that was done; `WEIGHTFS_TEST_SEED=...` repeats its choices, though not its
//! moments. `WEIGHTFS_TEST_ROUNDS` sets how many runs there are of each kind.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    missing_docs,
    reason = "test code"
)]

mod changes;
mod checks;
mod jobs;
mod mounted;
mod run;
mod shared;
mod store;
#[path = "../support/mod.rs"]
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};

use mounted::{Mounted, TTLS, check_all};
use run::{Counts, Run};
use store::{Store, Template};

/// So many things are done in a run, at least.
const STEPS: usize = 14;

fn from_environment(name: &str) -> Option<u64> {
    let number = std::env::var(name).ok()?;
    Some(number.trim().parse().unwrap())
}

/// Does runs; each begins with the same store.
fn runs(few: u64, is_mounted: bool) -> Counts {
    let template = Template::new();
    let seed = from_environment("WEIGHTFS_TEST_SEED");
    let rounds = from_environment("WEIGHTFS_TEST_ROUNDS").unwrap_or(few);
    let rounds = if seed.is_some() { 1 } else { rounds };
    let mut all = Counts::default();
    for _ in 0..rounds {
        let seed = seed.unwrap_or_else(|| fastrand::u64(..));
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut store = Store::new(&template);
        let mounted = is_mounted.then(|| {
            let ttl = TTLS[rng.usize(..2)];
            Mounted::new(&mut store, rng.bool(), ttl, seed)
        });
        let mut run = Run::new(store, rng.u64(..), mounted.as_ref());
        let mut done = catch_unwind(AssertUnwindSafe(|| (0..STEPS).for_each(|_| run.step())));
        let Run {
            mut store,
            mut counts,
            trace,
            ..
        } = run;
        if let Some(mounted) = mounted {
            let end = || counts.reads = mounted.end(&mut store);
            done = done.and_then(|()| catch_unwind(AssertUnwindSafe(end)));
        }
        done = done.and_then(|()| {
            catch_unwind(AssertUnwindSafe(|| {
                check_all(&store);
                Run::new(store, seed, None).end();
            }))
        });
        assert!(
            done.is_ok(),
            "WEIGHTFS_TEST_SEED={seed} repeats the choices. Done was:\n{}",
            trace.join("\n")
        );
        all.add(&counts);
    }
    println!("{rounds} runs: {all:?}");
    all
}

#[test]
fn whatever_is_killed_removed_or_renamed_no_base_is_lost() {
    runs(12, false);
}

#[test]
fn whatever_is_killed_removed_or_renamed_under_a_mount_no_wrong_byte_is_read() {
    let counts = runs(8, true);
    assert!(counts.reads > 0);
}
