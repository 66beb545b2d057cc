//! Readers that race each other, page drops, unmounts, kills and slow disks: every one of them gets
//! the right bytes, or a clean error where that is all there is, and none waits for ever.
//!
//! Each mount has a watchdog that tells what all threads wait for, aborts the mount and fails the
//! test. `WEIGHTFS_TEST_SECONDS` sets how long each race takes.
#![allow(clippy::unwrap_used, reason = "test code")]

#[path = "../support/mod.rs"]
mod support;

mod device;
mod faulty_device;
mod files;
mod processes;
mod race;
mod slow_device;

use race::{OPTIONS, advised_maps, descriptor, direct, drops, faults, race, steps};

#[test]
fn parallel_faults_beside_readahead() {
    race(OPTIONS, &[faults]);
}

#[test]
fn sixteen_threads_on_one_descriptor() {
    race(OPTIONS, &[descriptor]);
}

#[test]
fn maps_of_every_kind() {
    race(OPTIONS, &[advised_maps]);
}

#[test]
fn reads_past_the_page_cache_beside_reads_through_it() {
    race(OPTIONS, &[direct]);
}

#[test]
fn pages_that_are_dropped_all_the_time() {
    race(OPTIONS, &[drops, faults, descriptor]);
}

#[test]
fn a_cache_of_one_block_or_none() {
    let options: &[&[&str]] = &[&["--cache-size", "300K"], &["--cache-size", "0"]];
    race(options, &[faults, descriptor]);
}

#[test]
fn one_worker() {
    let options: &[&[&str]] = &[&["--threads", "1"]];
    race(options, &[faults]);
    race(options, &[descriptor]);
    race(options, &[advised_maps]);
}

#[test]
fn decoding_ahead_of_many_who_go_through_the_same_file() {
    for _ in 0..2 {
        race(OPTIONS, &[steps]);
    }
    race(OPTIONS, &[steps, faults, drops]);
}
