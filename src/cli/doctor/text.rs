//! The facts and the advice as lines.

use std::fmt::Display;

use crate::console::size::{show, show_rate};
use crate::doctor::{
    Advice, DecodeSpeed, Facts, Found, LevelSpeed, Load, Machine, MemoryFacts, MountFacts,
    MountState, Packed, Place, ProcessorFacts, TestMount, Weight,
};
use crate::file::READ_SIZES;
use crate::fs::MountStats;
use crate::printable::printable_name;

/// A line: what, and what was found.
fn line(what: &str, found: impl Display) -> String {
    format!("  {what:22}{found}")
}

/// What is known in words, or that it is not and why.
fn told<T>(found: &Found<T>, words: impl FnOnce(&T) -> String) -> String {
    match found {
        Found::Known(value) => words(value),
        Found::Unknown { unknown } => format!("unknown: {unknown}"),
    }
}

const fn yes(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "no" }
}

pub(super) fn lines(facts: &Facts, advice: &[Advice]) -> Vec<String> {
    let mut lines = machine(&facts.machine);
    lines.extend(facts.mount.iter().flat_map(mounted));
    match &facts.source {
        Some(Found::Known(place)) => lines.extend(source(place)),
        Some(Found::Unknown { unknown }) => lines.push(format!("source: unknown: {unknown}")),
        None => {}
    }
    lines.extend(facts.load.iter().flat_map(load));
    lines.push("what to do".into());
    if advice.is_empty() {
        lines.push("  nothing".into());
    }
    for one in advice {
        let mark = match one.weight {
            Weight::Blocks => "in the way: ",
            Weight::Better => "better: ",
            Weight::Note => "note: ",
        };
        lines.push(format!("  {mark}{}", one.because));
        if !one.advice.is_empty() {
            lines.push(format!("    -> {}", one.advice));
        }
    }
    lines
}

fn machine(machine: &Machine) -> Vec<String> {
    let access = &machine.fuse;
    let device = access.device_refused.as_ref().map_or_else(
        || "can be opened".to_owned(),
        |why| format!("cannot be opened: {why}"),
    );
    let helper = match &access.helper {
        Some(helper) => {
            let runs_as_root = if helper.is_setuid_root {
                "setuid root"
            } else {
                "not setuid root"
            };
            format!("{}, {runs_as_root}", printable_name(&helper.path))
        }
        None => "not in PATH".into(),
    };
    let needed = if access.is_root && access.may_mount {
        " (root needs it not)"
    } else {
        ""
    };
    let mut lines = vec![
        "mounting".to_owned(),
        line(access.device, device),
        line("fusermount3", format!("{helper}{needed}")),
        line(
            "user_allow_other",
            match access.user_allow_other {
                Some(true) => "set in /etc/fuse.conf",
                Some(false) => "not set in /etc/fuse.conf",
                None => "unknown: /etc/fuse.conf cannot be read",
            },
        ),
        line(
            "runs as",
            format!(
                "{}, {} SYS_ADMIN{}",
                if access.is_root { "root" } else { "a user" },
                if access.may_mount { "with" } else { "without" },
                if access.no_new_privs {
                    ", no_new_privs"
                } else {
                    ""
                }
            ),
        ),
        line("test mount", told(&machine.test_mount, |_| "works".into())),
        format!("kernel {}", machine.kernel),
    ];
    match &machine.test_mount {
        Found::Known(mount) => lines.extend(kernel(mount)),
        Found::Unknown { .. } => lines.push(line(
            "what it offers",
            "unknown: without a mount, it does not tell",
        )),
    }
    lines.extend(processor(&machine.processor));
    lines.extend(memory(&machine.memory));
    lines
}

fn kernel(mount: &TestMount) -> Vec<String> {
    let offered = |words: &dyn Fn(&crate::fuse::KernelOffer) -> String| told(&mount.offer, words);
    vec![
        line(
            "FUSE protocol",
            offered(&|offer| format!("{}.{}", offer.protocol.0, offer.protocol.1)),
        ),
        line(
            "readahead",
            format!(
                "{} in a mount; offered {}",
                told(&mount.readahead_bytes, |bytes| show(*bytes)),
                offered(&|offer| show(offer.readahead_bytes.into()))
            ),
        ),
        line(
            "push (notify store)",
            format!(
                "{}; the mount {} push",
                offered(&|offer| if offer.store {
                    "offered".into()
                } else {
                    "not offered".into()
                }),
                if mount.can_push { "can" } else { "cannot" }
            ),
        ),
        line("passthrough", offered(&|offer| not_used(offer.passthrough))),
        line("io_uring", offered(&|offer| not_used(offer.io_uring))),
        line(
            "large folios",
            told(&mount.large_folios, |&large| {
                let pieces = if large {
                    "larger than a page"
                } else {
                    "of a page each"
                };
                format!(
                    "{}: after a read, the page cache holds pieces {pieces}",
                    yes(large)
                )
            }),
        ),
        line(
            "FUSE alone",
            told(&mount.read, |rate| {
                format!("{} (read() of a file that costs nothing)", show_rate(*rate))
            }),
        ),
    ]
}

fn not_used(is_offered: bool) -> String {
    let offered = if is_offered { "offered" } else { "not offered" };
    format!("{offered}; weightfs has no use for it")
}

fn processor(facts: &ProcessorFacts) -> Vec<String> {
    let load = told(&facts.load_average, |load| format!("{load:.2}"));
    let mut lines = vec![
        format!("processor {}, {} cores", facts.name, facts.cores),
        line("load average", load),
    ];
    match &facts.decode {
        Found::Known(sets) => lines.extend(sets.iter().map(|set| {
            let used = if set.is_used { ", used" } else { "" };
            line(
                set.instructions,
                format!(
                    "decodes {} on one thread (made-up BF16 weights){used}",
                    show_rate(set.one_thread)
                ),
            )
        })),
        Found::Unknown { unknown } => lines.push(line("decoding", format!("unknown: {unknown}"))),
    }
    lines
}

fn memory(facts: &MemoryFacts) -> Vec<String> {
    let by = facts.limit_by.as_deref().unwrap_or("unknown");
    vec![
        "memory".to_owned(),
        line(
            "limit",
            told(&facts.limit_bytes, |bytes| {
                format!("{} ({by})", show(*bytes))
            }),
        ),
        line(
            "to be had now",
            told(&facts.available_bytes, |bytes| show(*bytes)),
        ),
        line(
            "a mount would have",
            format!(
                "a cache of {}, {} threads, {} at most",
                show(facts.cache_bytes),
                facts.threads,
                show(facts.most_bytes)
            ),
        ),
        line(
            "open files",
            facts
                .open_files
                .map_or_else(|| "no limit".into(), |files| format!("at most {files}")),
        ),
    ]
}

fn mounted(mount: &MountFacts) -> Vec<String> {
    let state = match &mount.state {
        MountState::Answers => "answers".into(),
        MountState::Silent => "does not answer".into(),
        MountState::Refuses(why) => format!("refuses: {why}"),
    };
    let mut lines = vec![
        format!("mount {}", printable_name(&mount.mountpoint)),
        line("state", state),
        line("options", mount.options.join(",")),
        line(
            "readahead",
            told(&mount.readahead_bytes, |bytes| show(*bytes)),
        ),
    ];
    match &mount.stats {
        Found::Known(stats) => lines.extend(activity(stats)),
        Found::Unknown { unknown } => {
            lines.push(line("what it has done", format!("unknown: {unknown}")))
        }
    }
    match &mount.users {
        Found::Known(users) => {
            let unseen = match users.unseen_processes {
                0 => String::new(),
                unseen => format!("; {unseen} of other users were not looked at"),
            };
            let count = users.processes.len();
            lines.push(line(
                "readers now",
                format!("{count} processes have files of it open or mapped{unseen}"),
            ));
            lines.extend(users.processes.iter().map(|user| {
                format!(
                    "    {} ({}): {} files open ({} with O_DIRECT), mapped {} shared and {} private",
                    user.name,
                    user.process,
                    user.open_files,
                    user.direct_files,
                    show(user.shared_map_bytes),
                    show(user.private_map_bytes)
                )
            }));
        }
        Found::Unknown { unknown } => {
            lines.push(line("readers now", format!("unknown: {unknown}")))
        }
    }
    lines
}

fn activity(stats: &MountStats) -> Vec<String> {
    let sizes = READ_SIZES
        .iter()
        .zip(stats.reads.by_size)
        .filter(|(_, count)| *count > 0);
    let sizes: Vec<_> = sizes
        .map(|(&most, count)| match most {
            u64::MAX => format!("{count} longer"),
            most => format!("{count} to {}K", most >> 10),
        })
        .collect();
    let (cache, ahead) = (&stats.cache, &stats.prefetch);
    vec![
        line("mounted for", format!("{:.0} s", stats.seconds)),
        line(
            "reads",
            format!("{}; {}", show(stats.reads.bytes), sizes.join(", ")),
        ),
        line(
            "blocks",
            format!(
                "{} decoded, {} found in the cache, {} awaited; the cache holds {} of {}",
                cache.decodes,
                cache.hits,
                cache.waits,
                show(cache.cached_bytes as u64),
                show(cache.budget_bytes as u64)
            ),
        ),
        line(
            "fetched ahead",
            format!(
                "{}: {} pushed, {} used, {} in vain, {} left",
                show(ahead.issued_bytes),
                show(ahead.pushed_bytes),
                show(ahead.used_bytes),
                show(ahead.wasted_bytes),
                show(ahead.skipped_bytes)
            ),
        ),
        line(
            "read() or mmap",
            "unknown of the past: the kernel asks the same for both",
        ),
    ]
}

fn source(place: &Place) -> Vec<String> {
    let mut lines = vec![
        format!("source {}", printable_name(&place.path)),
        line("archives", place.archives),
        line(
            "disk",
            told(&place.disk, |disk| {
                let way = if disk.is_direct {
                    "read past the page cache"
                } else {
                    "read through the page cache, after it was dropped there"
                };
                format!(
                    "{} ({} of {}, {way})",
                    show_rate(disk.bytes_per_second),
                    show(disk.bytes),
                    printable_name(&disk.file)
                )
            }),
        ),
    ];
    match &place.packed {
        Found::Known(archive) => lines.extend(packed(archive)),
        Found::Unknown { unknown } => lines.push(line("decoding", format!("unknown: {unknown}"))),
    }
    lines
}

fn packed(archive: &Packed) -> Vec<String> {
    let speeds = |speed: &DecodeSpeed| {
        format!(
            "{} on one thread, {} on all",
            show_rate(speed.one_thread),
            show_rate(speed.all_threads)
        )
    };
    let mut lines = vec![
        line(
            "the largest archive",
            format!(
                "{}: {} of {}, ratio {:.3}, blocks of {}{}",
                printable_name(&archive.archive),
                show(archive.stored_bytes),
                show(archive.original_bytes),
                archive.ratio,
                show(archive.block_bytes.into()),
                if archive.is_lossy { ", lossy" } else { "" }
            ),
        ),
        line("decoding it", told(&archive.decode, speeds)),
    ];
    let level = |level: &LevelSpeed| {
        let found = format!(
            "ratio {:.3}, blocks of {}, {}",
            level.ratio,
            show(level.block_bytes.into()),
            speeds(&level.decode)
        );
        line(&format!("  --level {}", level.level), found)
    };
    match &archive.levels {
        Found::Known(levels) => {
            let stored = told(&archive.sample_ratio, |ratio| format!("{ratio:.3}"));
            lines.push(line(
                "a sample of it",
                format!(
                    "{} numbers; ratio as stored {stored}; coded anew:",
                    archive.element
                ),
            ));
            lines.extend(levels.iter().map(level));
        }
        Found::Unknown { unknown } => {
            lines.push(line("other levels", format!("unknown: {unknown}")))
        }
    }
    lines
}

fn load(load: &Load) -> Vec<String> {
    let mut lines = vec!["a cold load of that archive, in bytes of the file, at most".to_owned()];
    lines.extend(load.ceilings.iter().map(|one| {
        let name = format!("{:?}", one.stage).to_lowercase();
        line(&name, told(&one.bytes_per_second, |rate| show_rate(*rate)))
    }));
    lines.push(line(
        "limited by",
        told(&load.limited_by, |stage| {
            format!("{stage:?}").to_lowercase()
        }),
    ));
    lines
}
