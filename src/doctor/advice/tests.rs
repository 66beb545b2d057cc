//! Each rule on facts that are made up: it speaks where it should, with the figures, and is silent elsewhere.

use std::path::PathBuf;

use super::*;
use crate::doctor::decode_speed::{DecodeSpeed, DecodeSpeedOf};
use crate::doctor::facts::Facts;
use crate::doctor::found::Found;
use crate::doctor::machine::Machine;
use crate::doctor::memory::MemoryFacts;
use crate::doctor::mounted::{MountFacts, MountState};
use crate::doctor::place::{Disk, Packed, Place, PlaceKind};
use crate::doctor::processor::ProcessorFacts;
use crate::doctor::sample::{Coding, LevelCoding};
use crate::doctor::test_mount::TestMount;
use crate::file::{CacheStats, PrefetchStats, ReadStats};
use crate::fs::MountStats;
use crate::fuse::{FuseAccess, Helper, KernelOffer};
use crate::os::{MountUser, MountUsers};

const MB: u64 = 1_000_000;

/// A machine on which nothing is wrong.
fn machine() -> Machine {
    Machine {
        kernel: "6.18".into(),
        fuse: FuseAccess {
            device: "/dev/fuse",
            device_refused: None,
            is_root: true,
            may_mount: true,
            no_new_privs: false,
            helper: None,
            user_allow_other: Some(false),
        },
        test_mount: Found::Known(TestMount {
            offer: Found::Known(KernelOffer {
                protocol: (7, 45),
                readahead_bytes: 128 << 10,
                store: true,
                long_reads: true,
                parallel_lookups: true,
                async_direct_io: true,
                access_lists: true,
                passthrough: false,
                io_uring: false,
            }),
            readahead_bytes: Found::Known(4 << 20),
            can_push: true,
            large_folios: Found::Known(false),
            read: Found::Known(3000 * MB),
        }),
        processor: ProcessorFacts {
            name: "x".into(),
            cores: 8,
            load_average: Found::Known(0.5),
            is_optimized: true,
            asked_for: None,
            decode: Found::Known(
                [("avx2", true, 1500), ("portable", false, 700)]
                    .map(|(instructions, is_used, speed)| DecodeSpeedOf {
                        instructions,
                        is_used,
                        one_thread: speed * MB,
                    })
                    .to_vec(),
            ),
        },
        memory: memory(16 << 30, 256 << 20, 16),
    }
}

fn memory(limit: u64, cache: u64, threads: usize) -> MemoryFacts {
    MemoryFacts {
        limit_bytes: Found::Known(limit),
        limit_by: Some("the memory limit of the control group".into()),
        available_bytes: Found::Known(limit),
        cache_bytes: cache,
        threads,
        most_bytes: cache + (20 << 20),
        open_files: None,
    }
}

/// A place with an archive whose disk and decoder give so many million bytes a second.
fn place(disk: u64, decode: u64) -> Place {
    let speed = |all: u64| DecodeSpeed {
        one_thread: all * MB / 8,
        all_threads: all * MB,
    };
    let coding = |ratio, speed_of| Coding {
        block_bytes: 256 << 10,
        ratio,
        decode: speed(speed_of),
    };
    let level = |level, ratio, speed_of| LevelCoding {
        level,
        coding: coding(ratio, speed_of),
    };
    Place {
        path: PathBuf::from("/models"),
        kind: PlaceKind::Directory,
        archives: 1,
        failures: Vec::new(),
        packed: Found::Known(Packed {
            archive: PathBuf::from("/models/m.wfz"),
            original_bytes: 1500 * MB,
            stored_bytes: 1000 * MB,
            ratio: Found::Known(1.5),
            block_bytes: 256 << 10,
            is_lossy: false,
            element: "BF16",
            decoding_bytes: 512 << 10,
            decode: Found::Known(speed(decode)),
            as_stored: Found::Known(coding(1.5, decode)),
            levels: Found::Known(vec![
                level("fast", 1.48, decode * 3 / 2),
                level("default", 1.5, decode),
                level("max", 1.6, decode / 2),
            ]),
        }),
        damage: None,
        disk: Found::Known(Disk {
            file: PathBuf::from("/models/m.wfz"),
            bytes: MB,
            seconds: 0.1,
            bytes_per_second: disk * MB,
            is_direct: true,
        }),
    }
}

fn mount(state: MountState, stats: MountStats) -> MountFacts {
    MountFacts {
        mountpoint: PathBuf::from("/mnt"),
        state,
        options: Vec::new(),
        readahead_bytes: Found::Known(128 << 10),
        stats: Found::Known(stats),
        users: Found::Known(MountUsers::default()),
    }
}

fn stats() -> MountStats {
    MountStats {
        seconds: 1.0,
        open_files: 0,
        open_lossy_files: 0,
        open_files_without_base: 0,
        memory_bytes: None,
        source_changed: false,
        reads: ReadStats {
            bytes: 0,
            failed: 0,
            by_size: [0; 6],
        },
        cache: CacheStats {
            budget_bytes: 256 << 20,
            cached_bytes: 0,
            hits: 0,
            waits: 0,
            decodes: 0,
            decode_nanoseconds: 0,
        },
        prefetch: PrefetchStats::default(),
        packing: None,
    }
}

fn of(machine: Machine, mount: Option<MountFacts>, place: Option<Place>) -> Vec<Advice> {
    advise(&Facts::new(machine, mount, place.map(Found::Known)))
}

/// The one advice that has all of the words.
#[track_caller]
fn one<'a>(all: &'a [Advice], words: &[&str]) -> &'a Advice {
    let text = |one: &Advice| format!("{}: {}", one.because, one.advice);
    let found: Vec<_> = all
        .iter()
        .filter(|one| words.iter().all(|word| text(one).contains(word)))
        .collect();
    assert_eq!(found.len(), 1, "{words:?} in {all:#?}");
    found[0]
}

#[test]
fn where_nothing_is_wrong_there_is_nothing_to_do() {
    assert_eq!(of(machine(), None, None), []);
}

#[test]
fn what_keeps_one_from_mounting_comes_first_and_says_how_it_is_had() {
    let mut refused = machine();
    refused.test_mount = Found::unknown("fusermount3: no");
    refused.fuse.is_root = false;
    refused.fuse.helper = Some(Helper {
        path: PathBuf::from("/usr/bin/fusermount3"),
        is_setuid_root: false,
    });
    let all = of(refused.clone(), None, None);
    let first = one(&all, &["fusermount3: no", "chmod u+s /usr/bin/fusermount3"]);
    assert_eq!((&all[0], first.weight), (first, Weight::Blocks));
    // Without a mount, only what was not measured is unknown.
    one(&all, &["user_allow_other"]);
    refused.fuse.device_refused = Some("Permission denied".into());
    one(&of(refused, None, None), &["--device /dev/fuse"]);
}

#[test]
fn a_mount_that_does_not_work_is_in_the_way() {
    let silent = of(machine(), Some(mount(MountState::Silent, stats())), None);
    assert_eq!(
        one(&silent, &["umount --abort /mnt"]).weight,
        Weight::Blocks
    );
    let state = MountState::Refuses("not connected".into());
    let gone = of(machine(), Some(mount(state, stats())), None);
    assert_eq!(
        one(&gone, &["not connected", "mount again"]).weight,
        Weight::Blocks
    );
}

#[test]
fn a_place_that_cannot_be_mounted_is_in_the_way_and_one_without_archives_is_not() {
    let mut file = place(500, 1000);
    (file.kind, file.packed) = (PlaceKind::File, Found::unknown("not an archive"));
    let all = of(machine(), None, Some(file.clone()));
    assert_eq!(one(&all, &["weightfs pack /models"]).weight, Weight::Blocks);
    file.kind = PlaceKind::Archive;
    let all = of(machine(), None, Some(file.clone()));
    assert_eq!(one(&all, &["cannot be read"]).weight, Weight::Blocks);
    file.kind = PlaceKind::Directory;
    let all = of(machine(), None, Some(file.clone()));
    assert_eq!(one(&all, &["cannot be read"]).weight, Weight::Better);
    (file.archives, file.failures) = (0, vec!["x: denied".into()]);
    let all = of(machine(), None, Some(file));
    assert_eq!(one(&all, &["has no archive"]).weight, Weight::Note);
    one(&all, &["x: denied"]);
}

#[test]
fn an_archive_that_is_damaged_or_has_another_name_is_in_the_way() {
    let mut damaged = place(500, 1000);
    damaged.damage = Some("m.wfz: block 3".into());
    for kind in [PlaceKind::Directory, PlaceKind::Archive] {
        damaged.kind = kind;
        let all = of(machine(), None, Some(damaged.clone()));
        let found = one(&all, &["m.wfz: block 3", "weightfs verify /models"]);
        assert_eq!(found.weight, Weight::Blocks);
        // The same if nothing of it can be read, and no more than that.
        let mut unreadable = damaged.clone();
        unreadable.packed = Found::unknown("m.wfz: block 3");
        assert_eq!(of(machine(), None, Some(unreadable)).len(), 1);
    }
    let mut renamed = place(500, 1000);
    renamed.kind = PlaceKind::File;
    let all = of(machine(), None, Some(renamed));
    assert_eq!(
        one(&all, &["an archive and not named"]).weight,
        Weight::Blocks
    );
}

#[test]
fn from_a_slow_disk_only_size_gains_by_another_level() {
    let all = of(machine(), None, Some(place(500, 4000)));
    one(
        &all,
        &[
            "the disk limits",
            "476.84 MiB/s, which is 715.26 MiB/s",
            "ratio of 1.500",
        ],
    );
    // It costs half of the decoder's speed.
    let smaller = one(
        &all,
        &[
            "--level max gives",
            "1.600 instead of 1.500",
            "at 1.86 GiB/s instead of 3.73 GiB/s",
            "about 6 % smaller",
        ],
    );
    assert_eq!(smaller.weight, Weight::Note);
    assert_eq!(all.len(), 2, "{all:#?}");
}

#[test]
fn no_level_is_told_that_the_archive_has_or_that_only_noise_makes_faster() {
    let told = |machine: Machine, level, ratio, speed: u64, block_bytes| {
        let mut place = place(2000, 1000);
        if let Found::Known(packed) = &mut place.packed {
            let decode = DecodeSpeed {
                one_thread: speed * MB / 8,
                all_threads: speed * MB,
            };
            packed.levels = Found::Known(vec![LevelCoding {
                level,
                coding: Coding {
                    block_bytes,
                    ratio,
                    decode,
                },
            }]);
        }
        let mut all = of(machine, None, Some(place));
        all.retain(|one| one.advice.contains("--level"));
        all
    };
    const BLOCK: u32 = 256 << 10;
    for (level, ratio, speed) in [
        ("default", 1.5, 1900),
        ("max", 1.51, 1900),
        ("fast", 1.48, 1200),
    ] {
        assert_eq!(told(machine(), level, ratio, speed, BLOCK), [], "{level}");
    }
    let faster = told(machine(), "fast", 1.48, 1300, BLOCK);
    one(&faster, &["up to 30 % faster"]);
    // The same level in other blocks is another way.
    let shorter = told(machine(), "default", 1.5, 1300, BLOCK / 4);
    one(&shorter, &["up to 30 % faster"]);
    // Beside other work, and without optimization, speeds tell nothing.
    let (mut busy, mut slow) = (machine(), machine());
    busy.processor.load_average = Found::Known(4.0);
    slow.processor.is_optimized = false;
    for machine in [busy, slow] {
        assert_eq!(told(machine.clone(), "fast", 1.48, 1300, BLOCK), []);
        assert_eq!(told(machine, "max", 1.6, 500, BLOCK), []);
    }
}

#[test]
fn a_load_from_a_fast_disk_gains_from_a_faster_level_and_more_threads() {
    let mut little = machine();
    little.memory.threads = 2;
    let all = of(little, None, Some(place(2000, 1000)));
    one(&all, &["the decoder limits", "slower than plain"]);
    one(&all, &["--level fast: a cold load gets up to 50 % faster"]);
    one(&all, &["2 threads", "8 cores", "--threads 8"]);
    let mut same = place(900, 1000);
    if let Found::Known(packed) = &mut same.packed {
        packed.levels = Found::unknown("lossy");
    }
    let all = of(machine(), None, Some(same));
    one(&all, &["the decoder limits", "can be faster"]);
    assert_eq!(all.len(), 1, "{all:#?}");
}

#[test]
fn a_load_that_fuse_limits_says_how_far_the_kernel_reads_ahead() {
    let mut user = machine();
    user.fuse.is_root = false;
    user.fuse.user_allow_other = Some(true);
    if let Found::Known(mount) = &mut user.test_mount {
        mount.readahead_bytes = Found::Known(128 << 10);
    }
    let all = of(user.clone(), None, Some(place(5000, 9000)));
    one(&all, &["FUSE limits", "128.00 KiB ahead; mount as root"]);
    if let Found::Known(mount) = &mut user.test_mount {
        mount.can_push = false;
    }
    one(&of(user, None, None), &["nothing can be pushed", "fusectl"]);
}

#[test]
fn what_is_not_known_limits_nothing() {
    let mut place = place(500, 1000);
    place.disk = Found::unknown("it is in memory");
    let all = of(machine(), None, Some(place));
    one(&all, &["gets about 6 % smaller"]);
    assert_eq!(all.len(), 1, "{all:#?}");
}

#[test]
fn little_memory_is_told_with_what_a_mount_makes_of_it() {
    let mut little = machine();
    little.memory = memory(128 << 20, 32 << 20, 8);
    let all = of(little.clone(), None, None);
    one(
        &all,
        &[
            "128.00 MiB",
            "cache of 32.00 MiB and 8 threads",
            "allow 1.00 GiB",
        ],
    );
    one(
        &all,
        &[
            "128.00 MiB of memory can be had now",
            "fetches nothing ahead",
        ],
    );
    let mut long = place(500, 4000);
    if let Found::Known(packed) = &mut long.packed {
        (packed.block_bytes, packed.decoding_bytes) = (4 << 20, 8 << 20);
    }
    one(
        &of(little.clone(), None, Some(long)),
        &["2 at once", "8 threads", "--block-size"],
    );
    little.memory = memory(60 << 20, 15 << 20, 4);
    one(&of(little, None, None), &["nothing is decoded ahead"]);
}

#[test]
fn kernels_that_were_asked_for_and_are_not_the_best_are_told() {
    let mut slow = machine();
    slow.processor.asked_for = Some("portable".into());
    if let Found::Known(sets) = &mut slow.processor.decode {
        sets.iter_mut().for_each(|set| set.is_used = !set.is_used);
    }
    one(
        &of(slow.clone(), None, None),
        &["WEIGHTFS_SIMD=portable", "unset"],
    );
    slow.processor.is_optimized = false;
    slow.processor.load_average = Found::Known(4.0);
    one(&of(slow.clone(), None, None), &["load average 4.0"]);
    one(&of(slow, None, None), &["cargo build --release"]);
}

#[test]
fn what_readers_do_is_told_from_what_the_mount_has_counted() {
    let readers = |change: fn(&mut MountStats)| {
        let mut stats = stats();
        change(&mut stats);
        of(
            machine(),
            Some(mount(MountState::Answers, stats)),
            Some(place(500, 1000)),
        )
    };
    let small = readers(|stats| {
        stats.reads.by_size = [600, 100, 0, 300, 0, 0];
        stats.cache.decodes = 500;
        stats.cache.decode_nanoseconds = 50_000_000;
        stats.cache.hits = 200;
        stats.cache.cached_bytes = 255 << 20;
    });
    one(
        &small,
        &[
            "700 of 1000 reads",
            "of 256.00 KiB",
            "100 us each",
            "--block-size 64K",
        ],
    );
    one(&small, &["200 of 700 blocks", "--cache-size 1024M"]);
    let large = readers(|stats| stats.reads.by_size = [10, 0, 0, 990, 0, 0]);
    one(
        &large,
        &["990 of 1000 reads", "128.00 KiB ahead", "--push auto"],
    );
    let few = readers(|stats| stats.reads.by_size = [10, 0, 0, 0, 0, 0]);
    assert_eq!(few.len(), 2, "{few:#?}");
    let wasted = readers(|stats| {
        (stats.prefetch.used_bytes, stats.prefetch.wasted_bytes) = (100 << 20, 50 << 20);
        (stats.prefetch.issued_bytes, stats.prefetch.skipped_bytes) = (400 << 20, 250 << 20);
        (stats.reads.failed, stats.source_changed) = (3, true);
    });
    one(&wasted, &["50.00 MiB was not", "--push never"]);
    one(&wasted, &["250.00 MiB was left"]);
    one(&wasted, &["3 reads ended in an error"]);
    one(&wasted, &["something else now"]);
}

#[test]
fn who_reads_now_is_told() {
    let user = |process| MountUser {
        process,
        name: "llama-server".into(),
        open_files: 2,
        direct_files: usize::from(process == 2),
        shared_map_bytes: 4096 * u64::from(process == 1),
        private_map_bytes: 0,
    };
    let mut mount = mount(MountState::Answers, stats());
    mount.users = Found::Known(MountUsers {
        processes: vec![user(1), user(2)],
        unseen_processes: 0,
    });
    let all = of(machine(), Some(mount), None);
    one(&all, &["2 processes"]);
    one(&all, &["llama-server (1)", "4.00 KiB mapped shared"]);
    one(&all, &["llama-server (2)", "O_DIRECT"]);
}
